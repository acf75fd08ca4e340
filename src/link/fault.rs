//! Scripted faults in code: a predicate on the packets that enter a link, for what neither chance nor a link line can
//! tell.

use crate::segment::Packet;
use crate::time::{Duration, Instant};

/// What a [`Fault`] says about one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultAction {
    /// Nothing.
    Pass,
    /// The packet is lost on the wire.
    Drop,
    /// The packet arrives so much later; packets behind it do not wait for it.
    Delay(Duration),
}

impl FaultAction {
    /// Both: one that drops wins, delays add up.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Drop, _) | (_, Self::Drop) => Self::Drop,
            (Self::Delay(one), Self::Delay(two)) => Self::Delay(one.saturating_add(two)),
            (Self::Pass, verdict) | (verdict, Self::Pass) => verdict,
        }
    }
}

/// Judges every packet that enters one direction of a link, in order, also those that are lost for another reason: a
/// fault can count. Any `FnMut(Instant, &Packet) -> FaultAction` is one.
pub trait Fault {
    /// What becomes of `packet`, which enters at `now`.
    fn judge(&mut self, now: Instant, packet: &Packet) -> FaultAction;
}

impl<F: FnMut(Instant, &Packet) -> FaultAction> Fault for F {
    fn judge(&mut self, now: Instant, packet: &Packet) -> FaultAction {
        self(now, packet)
    }
}
