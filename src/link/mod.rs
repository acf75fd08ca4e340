//! One direction of a wire. It has no socket and no clock: `sim` and `live` give it packets and instants.
//!
//! ```text
//!  packet --> MTU --> queue --> transmitter --> the wire: loss, corruption, propagation delay --> packet
//!             too big   full     one at a time             (held back: one more delay; copied: once more through the
//!             drop      drop     by the rate                queue, right behind the original)
//! ```
//!
//! The fate of a packet is decided when it enters, so it is known when the packet is recorded as sent. A packet that is
//! lost on the wire still uses the queue and the transmitter. An error model of ns-3 does the same; tc-netem(8) loses
//! packets before its queue. Only a packet that arrives is copied, corrupted or not, and only if the queue has room.
//! The copy is not corrupted and not held back.
//!
//! *reorder* sends a packet without the delay, so it overtakes those on the way, as in tc-netem(8). With a time it
//! holds the packet back instead. Nothing else reorders: jitter keeps the order, and a copy comes right behind its
//! original.
//!
//! While the link is down, packets that enter it are lost. A packet whose transmission ends in that time is lost too. A
//! packet that is on the wire already arrives.
//!
//! Every impairment has a random stream of its own, named after the link and the purpose. It makes the same number of
//! draws for each packet that enters. So the draws for the n-th packet do not depend on the other impairments. An
//! impairment that is off makes no draw.
//!
//! A link changes by its [`LinkSchedule`] as time passes, or by [`Link::set_items`] and [`Link::set_up`]. A change holds
//! for packets that enter after it. Those on the way keep their fate.
//!
//! Packets are conserved: sent + duplicated = delivered + dropped + in flight ([`Counters`]).

mod fault;
mod flight;
mod jitter;
mod line;
mod loss;
#[cfg(any(feature = "proxy", all(feature = "live", target_os = "linux")))]
mod real_time;
mod schedule;
mod script;
mod spec;
mod trace;
mod transmitter;
mod value;

#[cfg(test)]
mod tests;

pub use fault::{Fault, FaultAction};
pub use jitter::{Distribution, Jitter};
pub use line::{LineError, LinkArgument, LinkItems, LinkLine, MOST_LINE_BYTES, MOST_LINES, read_lines};
pub use loss::{GilbertElliott, Loss};
pub use schedule::{LinkChange, LinkSchedule};
pub use script::{Outage, PacketKind, Script};
pub use spec::{LinkSpec, SpecError};
pub use trace::{OPPORTUNITY, Trace, TraceError};
pub(crate) use value::digits;
pub use value::{Limit, Percent, Rate, SIZE_EXPECTED, TIME_EXPECTED, parse_size, parse_time};

use core::fmt;
use std::collections::VecDeque;

use crate::event::{DropReason, Fate, Flip};
use crate::rng::Rng;
use crate::segment::Packet;
use crate::time::{Duration, Instant};
use flight::Flight;
use loss::Channel;
use script::Scripts;
use transmitter::Transmitter;

/// One direction of a wire.
///
/// Inputs: [`Link::handle_packet`] decides, [`Link::carry`] and [`Link::carry_copy`] do what was decided. Outputs:
/// [`Link::poll_packet`], [`Link::next_at`]. The link moves packets; it never copies their bytes.
pub struct Link {
    /// The link has only rate, delay, queue and MTU: no impairment, script or outage.
    is_plain: bool,
    /// The values of the spec that every packet needs.
    mtu: Option<u16>,
    delay: Duration,
    /// When the spec changes next; the far future if it does not.
    change_at: Instant,
    transmitter: Transmitter,
    flight: Flight,
    /// The most that `flight` holds, in packets and in bytes of memory.
    capacity: (usize, usize),
    counted: Counters,
    rare: Box<Rare>,
}

/// The state that a packet on a plain link never needs. It is separate, so that a thousand links fit into the cache.
struct Rare {
    name: String,
    spec: LinkSpec,
    loss: Channel,
    jitter: Rng,
    reorder: Bernoulli,
    duplicate: Bernoulli,
    corrupt: Bernoulli,
    bit: Rng,
    scripts: Scripts,
    faults: Vec<Box<dyn Fault>>,
    /// The changes that are still to come, in order of time.
    changes: VecDeque<LinkChange>,
    /// Somebody has taken the link down.
    is_down: bool,
    /// The instant from which `down` and the times of changes are counted.
    began: Instant,
    /// The last arrival of a packet that keeps its place: the next one is not earlier.
    last_in_order: Instant,
    /// Packets dropped because the link held as much as it may.
    overflowed: u64,
}

/// The decision about one packet. Pass it to [`Link::carry`] and, if [`Decision::has_copy`], to [`Link::carry_copy`],
/// before the next packet enters.
#[derive(Debug)]
#[must_use = "the packet is counted as sent: let the link carry it"]
pub struct Decision {
    /// The fate of the packet. Of several fates one is named, in this order: lost, corrupted, duplicated, reordered.
    pub fate: Fate,
    copy_at: Option<Instant>,
}

/// Counts of the packets that entered a link, by their fate.
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
    /// Whether packets are conserved: sent + duplicated = delivered + dropped + in flight.
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

/// A probability and its random stream.
#[derive(Debug)]
struct Bernoulli {
    probability: f64,
    rng: Rng,
}

/// The draws for one packet, and the action of the scripts.
struct Draws {
    loss: Option<DropReason>,
    delay: Duration,
    out_of_place: bool,
    copied: bool,
    /// The index of a bit of the packet, from 0.
    flip: Option<u64>,
    fault: FaultAction,
}

impl Bernoulli {
    fn new(seed: u64, link: &str, purpose: &str) -> Self {
        Self { probability: 0.0, rng: Rng::new(seed, &format!("link {link} {purpose}")) }
    }

    fn draw(&mut self) -> bool {
        self.probability > 0.0 && self.rng.chance(self.probability)
    }
}

impl Link {
    /// A link that draws from `seed` and `name`, which is `A>B` in a network.
    pub fn new(spec: &LinkSpec, seed: u64, name: &str) -> Self {
        let rare = Rare {
            name: name.to_owned(),
            spec: spec.clone(),
            loss: Channel::new(seed, name),
            jitter: Rng::new(seed, &format!("link {name} jitter")),
            reorder: Bernoulli::new(seed, name, "reorder"),
            duplicate: Bernoulli::new(seed, name, "duplicate"),
            corrupt: Bernoulli::new(seed, name, "corrupt"),
            bit: Rng::new(seed, &format!("link {name} bit")),
            scripts: Scripts::default(),
            faults: Vec::new(),
            changes: VecDeque::new(),
            is_down: false,
            began: Instant::EPOCH,
            last_in_order: Instant::EPOCH,
            overflowed: 0,
        };
        let mut link = Self {
            is_plain: true,
            mtu: spec.mtu,
            delay: spec.delay,
            change_at: Instant::FAR_FUTURE,
            transmitter: Transmitter::new(spec),
            flight: Flight::default(),
            capacity: (usize::MAX, usize::MAX),
            counted: Counters::default(),
            rare: Box::new(rare),
        };
        link.set_spec(spec);
        link
    }

    /// Sets another spec, for the packets that enter from now on. Packets on the way keep their times. Scripts count
    /// from 1 again, and a trace begins at the beginning of the link.
    pub fn set_spec(&mut self, spec: &LinkSpec) {
        self.rare.spec = spec.clone();
        self.transmitter.set_rate(spec, self.rare.began);
        self.rare.scripts = Scripts::new(&spec.scripts);
        self.rare.last_in_order = Instant::EPOCH;
        self.obey_spec();
    }

    /// Sets what the link does from its beginning, and how that changes. The changes that were to come are forgotten.
    pub fn set_schedule(&mut self, schedule: &LinkSchedule) {
        self.set_spec(&schedule.spec);
        self.rare.changes = schedule.changes().iter().cloned().collect();
        self.look_ahead();
    }

    /// Adds a change that is to come.
    ///
    /// # Errors
    /// [`SpecError::TooManyChanges`], or the file of a trace was not read.
    pub fn add_change(&mut self, change: LinkChange) -> Result<(), SpecError> {
        if let Some(trace) = change.items.unread() {
            return Err(SpecError::NoTrace(trace.to_owned()));
        }
        if self.rare.changes.len() >= LinkSchedule::MOST_CHANGES {
            return Err(SpecError::TooManyChanges);
        }
        let at = self.rare.changes.partition_point(|other| other.at <= change.at);
        self.rare.changes.insert(at, change);
        self.look_ahead();
        Ok(())
    }

    /// When the spec changes next, by [`Link::set_schedule`] or [`Link::add_change`].
    #[inline]
    pub fn next_change_at(&self) -> Option<Instant> {
        (self.change_at != Instant::FAR_FUTURE).then_some(self.change_at)
    }

    /// Makes the next change that is due at `now`, and returns it. [`Link::handle_packet`] makes those that are due too, so
    /// that a caller who needs no events need not call this.
    #[inline]
    pub fn poll_change(&mut self, now: Instant) -> Option<LinkChange> {
        if now < self.change_at { None } else { self.make_change() }
    }

    #[cold]
    fn make_change(&mut self) -> Option<LinkChange> {
        let change = self.rare.changes.pop_front()?;
        let at = self.rare.began + change.at;
        self.look_ahead();
        self.apply(&change.items, at);
        Some(change)
    }

    fn look_ahead(&mut self) {
        let next = self.rare.changes.front();
        self.change_at = next.map_or(Instant::FAR_FUTURE, |change| self.rare.began + change.at);
    }

    /// Lays items over the spec, for packets that enter from `now` on. Packets on the way keep their times. What is not
    /// given stays: a script goes on counting and a trace goes on. A trace that is given begins at `now`.
    ///
    /// # Errors
    /// The file of a trace was not read; the link is as before.
    pub fn set_items(&mut self, items: &LinkItems, now: Instant) -> Result<(), SpecError> {
        if let Some(trace) = items.unread() {
            return Err(SpecError::NoTrace(trace.to_owned()));
        }
        self.apply(items, now);
        Ok(())
    }

    fn apply(&mut self, items: &LinkItems, now: Instant) {
        items.lay_over(&mut self.rare.spec);
        if items.gives("rate") {
            self.transmitter.set_rate(&self.rare.spec, now);
        }
        if items.gives("drop") || items.gives("hold") {
            self.rare.scripts = Scripts::new(&self.rare.spec.scripts);
        }
        if items.gives("delay") || items.gives("jitter") {
            self.rare.last_in_order = Instant::EPOCH;
        }
        self.obey_spec();
    }

    /// Takes the link down, or up again. While it is down, packets that enter it are lost. Those on the way arrive.
    pub fn set_up(&mut self, up: bool) {
        self.rare.is_down = !up;
        self.obey_spec();
    }

    /// False while the link is down by [`Link::set_up`]. The item `down` of its spec is another matter.
    pub fn is_up(&self) -> bool {
        !self.rare.is_down
    }

    /// Takes over what depends on the spec and has no state.
    fn obey_spec(&mut self) {
        let Self { transmitter, rare, .. } = self;
        let spec = &rare.spec;
        (self.mtu, self.delay) = (spec.mtu, spec.delay);
        transmitter.set_limit(spec);
        rare.loss.set(spec.loss);
        rare.reorder.probability = spec.reorder.probability();
        rare.duplicate.probability = spec.duplicate.probability();
        rare.corrupt.probability = spec.corrupt.probability();
        self.is_plain = rare.faults.is_empty()
            && rare.scripts.is_empty()
            && (spec.loss, spec.jitter) == (Loss::NONE, None)
            && spec.down.is_empty()
            && !rare.is_down
            && [spec.reorder, spec.duplicate, spec.corrupt].iter().all(|percent| *percent == Percent::NEVER);
    }

    /// Sets the instant from which `down`, the times of changes and a trace are counted. The default is [`Instant::EPOCH`].
    pub fn set_beginning(&mut self, began: Instant) {
        self.rare.began = began;
        self.transmitter.set_rate(&self.rare.spec, began);
        self.look_ahead();
    }

    /// Sets the most that the link holds, in its queue and on the wire: packets, and bytes of memory. What is more is
    /// dropped, as with a full queue. By default there is no limit, because the hosts of a simulation cannot be flooded
    /// from outside.
    pub fn set_capacity(&mut self, packets: usize, bytes: usize) {
        self.capacity = (packets, bytes);
    }

    /// Packets that were dropped because of [`Link::set_capacity`].
    pub fn overflowed(&self) -> u64 {
        self.rare.overflowed
    }

    /// Adds a scripted fault. Every fault gets every packet. A drop wins, and delays are added.
    pub fn add_fault(&mut self, fault: impl Fault + 'static) {
        self.rare.faults.push(Box::new(fault));
        self.is_plain = false;
    }

    /// Whether the link shows packets to faults in code, which can read every byte.
    #[inline]
    pub(crate) fn shows_packets(&self) -> bool {
        !self.is_plain && !self.rare.faults.is_empty()
    }

    /// Decides the fate of a packet that enters at `now`, which is never earlier than the last one.
    #[inline]
    pub fn handle_packet(&mut self, now: Instant, packet: &Packet) -> Decision {
        while self.poll_change(now).is_some() {}
        self.counted.sent += 1;
        if !self.is_plain {
            return self.decide_impaired(now, packet);
        }
        match self.depart(now, packet.bytes.len()) {
            Ok(departure) => Decision { fate: Fate::Deliver(departure + self.delay), copy_at: None },
            Err(why) => self.drop(why),
        }
    }

    /// Sends the packet of `decision`. `sequence` breaks ties: of two packets that arrive at the same instant, the one
    /// with the smaller number comes first. The numbers must rise. A dropped packet is returned, so that its buffer can
    /// be used again.
    #[inline]
    #[must_use = "the buffer of a dropped packet can be used again"]
    pub fn carry(&mut self, decision: &Decision, sequence: u64, mut packet: Packet) -> Option<Packet> {
        let Some(at) = decision.fate.arrival() else {
            return Some(packet);
        };
        if let Fate::Corrupt(Flip { byte, bit, .. }) = decision.fate {
            packet.flip_bit(byte as usize, bit);
        }
        self.flight.insert(at, sequence, packet);
        None
    }

    /// Sends the copy, after the original. It is returned if the decision has no copy ([`Decision::has_copy`]).
    #[must_use = "the buffer of a packet not taken can be used again"]
    pub fn carry_copy(&mut self, decision: &Decision, sequence: u64, copy: Packet) -> Option<Packet> {
        let Some(at) = decision.copy_at else {
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

    /// When the next packet arrives, with its sequence number: the key of a link in an event queue.
    #[inline]
    pub fn next_key(&self) -> Option<(Instant, u64)> {
        self.flight.next()
    }

    /// Its name, for messages and for its random streams.
    pub fn name(&self) -> &str {
        &self.rare.name
    }

    /// The memory of the packets in its queue and on the wire.
    pub(crate) fn memory(&self) -> usize {
        self.flight.memory()
    }

    /// The largest packet in bytes, if there is a limit.
    pub fn mtu(&self) -> Option<u16> {
        self.mtu
    }

    /// What it does.
    pub fn spec(&self) -> &LinkSpec {
        &self.rare.spec
    }

    /// The counts of all packets so far.
    pub fn counters(&self) -> Counters {
        Counters { in_flight: self.flight.len() as u64, ..self.counted }
    }

    /// Packets and bytes that wait or are in transmission at `now`.
    pub fn queued(&mut self, now: Instant) -> (u64, u64) {
        (self.transmitter.queued_packets(now), self.transmitter.queued_bytes(now))
    }

    /// As [`Link::queued`], for a link with a rate, and when the last of them has left. `None` without a rate, where no
    /// queue forms.
    pub(crate) fn queue_behind_rate(&mut self, now: Instant) -> Option<(u64, u64, Instant)> {
        let (packets, bytes) = self.transmitter.has_rate().then(|| self.queued(now))?;
        Some((packets, bytes, self.transmitter.empty_at().max(now)))
    }

    /// When the last bit of a packet leaves the transmitter, if it takes it.
    #[inline]
    fn depart(&mut self, now: Instant, len: usize) -> Result<Instant, DropReason> {
        if self.mtu.is_some_and(|mtu| len > usize::from(mtu)) {
            return Err(DropReason::TooBig);
        }
        if self.flight.len() >= self.capacity.0 || self.flight.bytes() >= self.capacity.1 {
            self.rare.overflowed += 1;
            return Err(DropReason::QueueFull);
        }
        self.transmitter.enqueue(now, len).ok_or(DropReason::QueueFull)
    }

    fn decide_impaired(&mut self, now: Instant, packet: &Packet) -> Decision {
        // The draws come first, so that each packet has its own draws whatever its fate.
        let draws = self.draw(now, packet);
        self.decide(now, packet.bytes.len(), &draws).unwrap_or_else(|why| self.drop(why))
    }

    /// Draws from every stream, the same number for every packet, whatever its fate.
    fn draw(&mut self, now: Instant, packet: &Packet) -> Draws {
        let bits = packet.bytes.len() as u64 * 8;
        Draws {
            loss: self.rare.loss.draw(),
            delay: match self.rare.spec.jitter {
                None => self.rare.spec.delay,
                Some(jitter) => jitter.delay(self.rare.spec.delay, &mut self.rare.jitter),
            },
            out_of_place: self.rare.reorder.draw(),
            copied: self.rare.duplicate.draw(),
            flip: self.rare.corrupt.draw().then(|| self.rare.bit.below(bits)),
            fault: self.judge(now, packet),
        }
    }

    fn decide(&mut self, now: Instant, len: usize, draws: &Draws) -> Result<Decision, DropReason> {
        self.check_up(now)?;
        let departure = self.depart(now, len)?;
        let late = match draws.fault {
            FaultAction::Drop => return Err(DropReason::Fault),
            FaultAction::Pass => Duration::ZERO,
            FaultAction::Delay(late) => late,
        };
        self.check_up(departure)?;
        if let Some(why) = draws.loss {
            return Err(why);
        }
        let fate = self.place(departure, draws, late);
        let at = fate.arrival().expect("it is not lost");
        let copy = if draws.copied { self.depart(now, len).ok() } else { None };
        self.counted.duplicated += u64::from(copy.is_some());
        let copy_at = copy.map(|departure| self.in_order(departure + draws.delay));
        let fate = match draws.flip {
            Some(bit) => Fate::Corrupt(Flip { at, byte: (bit / 8) as u32, bit: (bit % 8) as u8 }),
            None if copy.is_some() => Fate::Duplicate(at),
            None => fate,
        };
        Ok(Decision { fate, copy_at })
    }

    /// When a packet that leaves the transmitter at `departure` arrives, and whether that is in its place.
    fn place(&mut self, departure: Instant, draws: &Draws, late: Duration) -> Fate {
        let held = late + draws.out_of_place.then(|| self.rare.spec.hold()).flatten().unwrap_or_default();
        if !held.is_zero() {
            Fate::Reorder(departure + draws.delay + held)
        } else if draws.out_of_place {
            Fate::Overtake(departure)
        } else {
            Fate::Deliver(self.in_order(departure + draws.delay))
        }
    }

    /// An arrival that overtakes no packet that keeps the order.
    fn in_order(&mut self, at: Instant) -> Instant {
        self.rare.last_in_order = self.rare.last_in_order.max(at);
        self.rare.last_in_order
    }

    /// Whether the link is up.
    fn check_up(&self, at: Instant) -> Result<(), DropReason> {
        if self.rare.is_down {
            return Err(DropReason::LinkDown { until: None });
        }
        let since = at.since(self.rare.began);
        let down = self.rare.spec.down.iter().filter(|outage| outage.from <= since && since < outage.until);
        match down.map(|outage| outage.until).max() {
            None => Ok(()),
            until => Err(DropReason::LinkDown { until }),
        }
    }

    fn judge(&mut self, now: Instant, packet: &Packet) -> FaultAction {
        let scripted = if self.rare.scripts.is_empty() { FaultAction::Pass } else { self.rare.scripts.judge(packet) };
        self.rare.faults.iter_mut().fold(scripted, |verdict, fault| verdict.and(fault.judge(now, packet)))
    }

    fn drop(&mut self, why: DropReason) -> Decision {
        self.counted.dropped += 1;
        Decision { fate: Fate::Drop(why), copy_at: None }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({} `{}`: {})", self.rare.name, self.rare.spec, self.counters())
    }
}

impl Decision {
    /// True if the link needs a copy of the packet for [`Link::carry_copy`].
    pub fn has_copy(&self) -> bool {
        self.copy_at.is_some()
    }
}
