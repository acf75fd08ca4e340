//! Scripted faults in code: a function of the packets that enter a link. It does what random impairments and link lines
//! cannot do. Tests and programs of users add them with `Link::add_fault`.

use crate::segment::Packet;
use crate::time::{Duration, Instant};

/// What a [`Fault`] does with one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultAction {
    /// The fault does nothing.
    Pass,
    /// The packet is lost on the wire.
    Drop,
    /// The packet arrives this much later. Packets behind it do not wait for it.
    Delay(Duration),
}

impl FaultAction {
    /// Combines two actions: a drop wins, and delays are added.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Drop, _) | (_, Self::Drop) => Self::Drop,
            (Self::Delay(one), Self::Delay(two)) => Self::Delay(one.saturating_add(two)),
            (Self::Pass, verdict) | (verdict, Self::Pass) => verdict,
        }
    }
}

/// A function of every packet that enters one direction of a link, in order. It also gets packets that are lost for
/// another reason, so it can count. Any `FnMut(Instant, &Packet) -> FaultAction` is one.
pub trait Fault {
    /// Decides about `packet`, which enters at `now`.
    fn judge(&mut self, now: Instant, packet: &Packet) -> FaultAction;
}

impl<F: FnMut(Instant, &Packet) -> FaultAction> Fault for F {
    fn judge(&mut self, now: Instant, packet: &Packet) -> FaultAction {
        self(now, packet)
    }
}
