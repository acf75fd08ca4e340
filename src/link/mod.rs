//! One direction of a wire. It has no socket and no clock: packets and instants are given to it.
//!
//! ```text
//!  packet --> MTU --> queue --> transmitter --> the wire: loss, corruption, propagation delay --> packet
//!             too big   full     one at a time             (held back: one more delay; copied: once more through the
//!             drop      drop     by the rate                queue, right behind the original)
//! ```
//!
//! The fate of a packet is decided when it enters, so that it is known when the packet is recorded as sent. A packet
//! that is lost on the wire takes its place in the queue and its time on the transmitter all the same (as with an error
//! model of ns-3; tc-netem(8) loses packets before its queue). A copy is made only of a packet that arrives, harmed or
//! not, and only if the queue has room for it; it is whole and not held back.
//!
//! *reorder* holds a packet back on the wire, so that those behind it overtake it; tc-netem(8) sends it ahead instead,
//! so that it overtakes those before it. Both shift it by one `delay`.
//!
//! Every impairment draws from a stream of its own, named after the link and its purpose, one draw for each packet that
//! enters: the n-th packet meets the same luck in each, whatever the others do. A draw is left out only while its
//! probability is zero.
//!
//! Packets are conserved: sent + duplicated = delivered + dropped + in flight ([`Counters`]).

mod fault;
mod flight;
mod spec;
mod transmitter;
mod value;

#[cfg(test)]
mod tests;

pub use fault::{Fault, Verdict};
pub use spec::{LinkLine, LinkSpec, SpecError};
pub use value::{Limit, Percent, Rate, TIME_EXPECTED, parse_time};

use core::fmt;

use crate::event::{DropReason, Fate};
use crate::rng::Rng;
use crate::segment::Packet;
use crate::time::{Duration, Instant};
use flight::Flight;
use transmitter::Transmitter;

/// One direction of a wire.
///
/// Inputs: [`Link::handle_packet`] decides, [`Link::carry`] and [`Link::carry_copy`] do what was decided. Outputs:
/// [`Link::poll_packet`], [`Link::next_at`]. The link takes packets and gives them back; it never copies bytes.
pub struct Link {
    name: String,
    spec: LinkSpec,
    transmitter: Transmitter,
    loss: Luck,
    reorder: Luck,
    duplicate: Luck,
    corrupt: Luck,
    bit: Rng,
    faults: Vec<Box<dyn Fault>>,
    /// Neither chance nor script: rate, delay, queue and MTU are all there is.
    is_plain: bool,
    flight: Flight,
    counted: Counters,
}

/// What was decided about one packet: hand it to [`Link::carry`] and, if [`Passage::has_copy`], to
/// [`Link::carry_copy`], before the next packet enters.
#[derive(Debug)]
#[must_use = "the packet is counted as sent: let the link carry it"]
pub struct Passage {
    /// What becomes of the packet. Of several things the gravest is named: lost, corrupted, duplicated, held back.
    pub fate: Fate,
    copy_at: Option<Instant>,
    flip: Option<usize>,
}

/// How many packets entered a link and what became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    /// Entered.
    pub sent: u64,
    /// Copies that the link made.
    pub duplicated: u64,
    /// Came out at the other end, copies included.
    pub delivered: u64,
    /// Lost, or refused at the entrance.
    pub dropped: u64,
    /// On the way: in the queue, in transmission or on the wire.
    pub in_flight: u64,
}

impl Counters {
    /// The law of conservation: sent + duplicated = delivered + dropped + in flight.
    pub fn conserved(&self) -> bool {
        self.sent + self.duplicated == self.delivered + self.dropped + self.in_flight
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, duplicated, delivered, dropped, in_flight } = self;
        write!(
            f,
            "sent {sent}, duplicated {duplicated}, delivered {delivered}, dropped {dropped}, in flight {in_flight}"
        )
    }
}

/// A probability and the stream that belongs to it.
#[derive(Debug)]
struct Luck {
    probability: f64,
    rng: Rng,
}

/// What chance and script hold ready for one packet.
struct Chance {
    lost: bool,
    held: bool,
    copied: bool,
    flip: Option<usize>,
    fault: Verdict,
}

impl Luck {
    fn new(seed: u64, link: &str, purpose: &str) -> Self {
        Self { probability: 0.0, rng: Rng::new(seed, &format!("link {link} {purpose}")) }
    }

    fn strikes(&mut self) -> bool {
        self.probability > 0.0 && self.rng.chance(self.probability)
    }
}

impl Link {
    /// A link whose luck follows from `seed` and `name`, which is `A>B` in a network.
    pub fn new(spec: &LinkSpec, seed: u64, name: &str) -> Self {
        let mut link = Self {
            name: name.to_owned(),
            spec: *spec,
            transmitter: Transmitter::new(spec),
            loss: Luck::new(seed, name, "loss"),
            reorder: Luck::new(seed, name, "reorder"),
            duplicate: Luck::new(seed, name, "duplicate"),
            corrupt: Luck::new(seed, name, "corrupt"),
            bit: Rng::new(seed, &format!("link {name} bit")),
            faults: Vec::new(),
            is_plain: true,
            flight: Flight::default(),
            counted: Counters::default(),
        };
        link.set_spec(spec);
        link
    }

    /// Another spec, for the packets that enter from now on. Those on the way keep their times.
    pub fn set_spec(&mut self, spec: &LinkSpec) {
        self.spec = *spec;
        self.transmitter.set(spec);
        self.loss.probability = spec.loss.probability();
        self.reorder.probability = spec.reorder.probability();
        self.duplicate.probability = spec.duplicate.probability();
        self.corrupt.probability = spec.corrupt.probability();
        self.is_plain = self.faults.is_empty()
            && [spec.loss, spec.reorder, spec.duplicate, spec.corrupt].iter().all(|percent| *percent == Percent::NEVER);
    }

    /// Adds a scripted fault. Every fault judges every packet; one that drops wins, delays add up.
    pub fn add_fault(&mut self, fault: impl Fault + 'static) {
        self.faults.push(Box::new(fault));
        self.is_plain = false;
    }

    /// Decides the fate of a packet that enters at `now`, which is never earlier than the last one.
    #[inline]
    pub fn handle_packet(&mut self, now: Instant, packet: &Packet) -> Passage {
        self.counted.sent += 1;
        let len = packet.bytes.len();
        // Before anything else, so that a draw belongs to its packet whatever becomes of it.
        let luck = if self.is_plain { None } else { Some(self.draw(now, packet)) };
        if self.spec.mtu.is_some_and(|mtu| len > usize::from(mtu)) {
            return self.drop(DropReason::TooBig);
        }
        let Some(departure) = self.transmitter.enqueue(now, len) else {
            return self.drop(DropReason::QueueFull);
        };
        let at = departure + self.spec.delay;
        match luck {
            None => Passage { fate: Fate::Deliver(at), copy_at: None, flip: None },
            Some(luck) => self.harm(now, len, at, &luck),
        }
    }

    /// Takes the packet that `passage` is about on its way. `sequence` breaks ties: of two packets that arrive at the
    /// same instant the one with the smaller number comes first; give rising numbers. A packet whose fate is to be
    /// dropped is given back, for its buffer.
    #[inline]
    #[must_use = "the buffer of a dropped packet can be used again"]
    pub fn carry(&mut self, passage: &Passage, sequence: u64, mut packet: Packet) -> Option<Packet> {
        let (Fate::Deliver(at) | Fate::Reorder(at) | Fate::Duplicate(at) | Fate::Corrupt(at)) = passage.fate else {
            return Some(packet);
        };
        if let Some(bit) = passage.flip
            && let Some(octet) = packet.bytes.get_mut(bit / 8)
        {
            *octet ^= 0x80 >> (bit % 8);
            packet.meta.sound = false;
        }
        self.flight.insert(at, sequence, packet);
        None
    }

    /// Takes the copy on its way; without one, [`Passage::has_copy`], it is given back. Carry the original first.
    #[must_use = "the buffer of a packet not taken can be used again"]
    pub fn carry_copy(&mut self, passage: &Passage, sequence: u64, copy: Packet) -> Option<Packet> {
        let Some(at) = passage.copy_at else {
            return Some(copy);
        };
        self.flight.insert(at, sequence, copy);
        None
    }

    /// The next packet that has arrived by `now`.
    #[inline]
    pub fn poll_packet(&mut self, now: Instant) -> Option<Packet> {
        let packet = self.flight.pop(now)?;
        self.counted.delivered += 1;
        Some(packet)
    }

    /// When the next packet arrives.
    pub fn next_at(&self) -> Option<Instant> {
        self.flight.next().map(|(at, _)| at)
    }

    /// When the next packet arrives, with its sequence number: the key under which a link stands in an event queue.
    #[inline]
    pub fn next_key(&self) -> Option<(Instant, u64)> {
        self.flight.next()
    }

    /// Its name, for people and for its streams.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does.
    pub fn spec(&self) -> &LinkSpec {
        &self.spec
    }

    /// What became of all packets so far.
    pub fn counters(&self) -> Counters {
        Counters { in_flight: self.flight.len() as u64, ..self.counted }
    }

    /// What waits or is in transmission at `now`: packets and octets.
    pub fn queued(&mut self, now: Instant) -> (u64, u64) {
        (self.transmitter.queued_packets(now), self.transmitter.queued_octets(now))
    }

    /// One draw from every stream for every packet, whatever becomes of it.
    fn draw(&mut self, now: Instant, packet: &Packet) -> Chance {
        let (lost, held) = (self.loss.strikes(), self.reorder.strikes());
        let (copied, corrupted) = (self.duplicate.strikes(), self.corrupt.strikes());
        let flip = if corrupted { Some(self.bit.below(packet.bytes.len() as u64 * 8) as usize) } else { None };
        let fault = if self.faults.is_empty() { Verdict::Pass } else { self.judge(now, packet) };
        Chance { lost, held, copied, flip, fault }
    }

    /// What the wire does to a packet that would arrive at `at`.
    fn harm(&mut self, now: Instant, len: usize, mut at: Instant, luck: &Chance) -> Passage {
        let mut late = false;
        match luck.fault {
            Verdict::Pass => {}
            Verdict::Drop => return self.drop(DropReason::Fault),
            Verdict::Delay(delay) => (at, late) = (at + delay, !delay.is_zero()),
        }
        if luck.lost {
            return self.drop(DropReason::Loss);
        }
        if luck.held {
            (at, late) = (at + self.spec.hold(), true);
        }
        let copy = if luck.copied { self.transmitter.enqueue(now, len) } else { None };
        self.counted.duplicated += u64::from(copy.is_some());
        let fate = match (luck.flip, copy) {
            (Some(_), _) => Fate::Corrupt(at),
            (None, Some(_)) => Fate::Duplicate(at),
            (None, None) if late => Fate::Reorder(at),
            (None, None) => Fate::Deliver(at),
        };
        Passage { fate, copy_at: copy.map(|departure| departure + self.spec.delay), flip: luck.flip }
    }

    fn judge(&mut self, now: Instant, packet: &Packet) -> Verdict {
        let mut delay = Duration::ZERO;
        let mut dropped = false;
        for fault in &mut self.faults {
            match fault.judge(now, packet) {
                Verdict::Pass => {}
                Verdict::Drop => dropped = true,
                Verdict::Delay(more) => delay += more,
            }
        }
        if dropped { Verdict::Drop } else { Verdict::Delay(delay) }
    }

    fn drop(&mut self, why: DropReason) -> Passage {
        self.counted.dropped += 1;
        Passage { fate: Fate::Drop(why), copy_at: None, flip: None }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({} `{}`: {})", self.name, self.spec, self.counters())
    }
}

impl Passage {
    /// True if the link wants a copy of the packet, for [`Link::carry_copy`].
    pub fn has_copy(&self) -> bool {
        self.copy_at.is_some()
    }
}
