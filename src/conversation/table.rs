//! The one table of TCP connections, found by their 4-tuples, in bounded memory.
//!
//! ```text
//!  segment --place--> which stream, which side --observe--> what it is, its relative numbers, the account
//! ```
//!
//! A stream is one connection. A SYN with a new initial sequence number begins another stream on the same sockets (RFC
//! 9293, section 3.4.2). When the table is full a stream is removed: the least recently used of those whose handshake has
//! not finished, and where these are few the least recently used of the others. So a SYN flood does not remove the
//! connections. Which one that is follows from the packets alone. A connection that comes back after that is seen from the
//! middle, under a new number.
//! Annotators, traces, replay and the figures of a run each own a table.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Side;
use super::ends::ByEnds;
use super::memory::{Budget, Memory};
use super::stream::{Observed, Stream};
use crate::segment::{Segment, Seq};
use crate::time::Instant;

/// Streams in a table, unless another limit is given.
const STREAMS: usize = 1 << 18;

/// No slot.
const NONE: u32 = u32::MAX;

/// All connections that pass a vantage point. `T` is what the owner keeps with each of them.
#[derive(Debug)]
pub struct Table<T = ()> {
    limit: usize,
    slots: Vec<Slot<T>>,
    /// The newest stream between two ends.
    by_ends: ByEnds<u32>,
    by_number: BTreeMap<usize, u32>,
    /// Streams whose handshake has not finished, and the others.
    lists: [List; 2],
    half_open_limit: usize,
    /// The slot used last.
    last: u32,
    begun: usize,
    forgotten: Option<Box<Stream<T>>>,
    /// What streams may keep of their bytes, if they are compared.
    budget: Option<Arc<Budget>>,
}

/// A stream, and its neighbours in the order of use.
#[derive(Debug)]
struct Slot<T> {
    stream: Box<Stream<T>>,
    newer: u32,
    older: u32,
    /// The list that it stands in.
    list: usize,
}

/// Slots in the order of use.
#[derive(Debug)]
struct List {
    newest: u32,
    oldest: u32,
    len: usize,
}

/// The list of streams whose handshake had not finished when they were last used.
const HALF_OPEN: usize = 0;
/// The list of the others.
const OPEN: usize = 1;
/// A full table leaves one part in so many to streams whose handshake has not finished.
const HALF_OPEN_SHARE: usize = 8;

/// Where a segment belongs.
#[derive(Debug)]
pub struct Placed<'a, T> {
    /// Its stream, which has not observed it yet.
    pub stream: &'a mut Stream<T>,
    /// The side that sent it.
    pub from: Side,
    /// The stream begins with it.
    pub begins: bool,
}

impl<T: Default> Default for Table<T> {
    fn default() -> Self {
        Self::with_limit(STREAMS)
    }
}

impl<T: Default> Table<T> {
    /// A table of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A table that keeps at most `limit` streams, one at least.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, NONE as usize),
            slots: Vec::new(),
            by_ends: ByEnds::default(),
            by_number: BTreeMap::new(),
            lists: [HALF_OPEN, OPEN].map(|_| List { newest: NONE, oldest: NONE, len: 0 }),
            half_open_limit: usize::MAX,
            last: NONE,
            begun: 0,
            forgotten: None,
            budget: None,
        }
    }

    /// Keeps at most `limit` streams whose handshake has not finished, also while the table is not full.
    #[must_use]
    pub fn half_open_limit(self, limit: usize) -> Self {
        Self { half_open_limit: limit.max(1), ..self }
    }

    /// Has every stream compare retransmissions with what was sent before ([`super::Kind::BytesDiffer`]). All streams
    /// together keep at most `bytes` bytes.
    #[must_use]
    pub fn compare_bytes(self, bytes: usize) -> Self {
        Self { budget: Some(Budget::new(bytes)), ..self }
    }

    /// Segments that were not kept for comparison because the limit was reached.
    pub fn not_compared(&self) -> u64 {
        self.budget.as_ref().map_or(0, |budget| budget.refused())
    }

    /// Finds the stream of a segment, and begins one if there is none. The segment is not observed.
    pub fn place(&mut self, now: Instant, segment: &Segment<'_>) -> Placed<'_, T> {
        self.settle_last();
        let known = self.by_ends.find(segment.src, segment.dst);
        let (slot, begins) = match known {
            Some(slot) => match self.route(slot, segment) {
                Some(slot) => (slot, false),
                None => (self.succeed(slot, now, segment), true),
            },
            None => (self.begin(ends_of(segment), now), true),
        };
        self.touch(slot);
        let stream = &mut *self.slots[slot as usize].stream;
        let from = stream.side_of(segment.src);
        Placed { stream, from, begins }
    }

    /// Places a segment and observes it.
    pub fn observe(&mut self, now: Instant, segment: &Segment<'_>) -> (&mut Stream<T>, Observed) {
        let stream = self.place(now, segment).stream;
        let observed = stream.observe(now, segment);
        (stream, observed)
    }

    /// The newest stream between two ends, whichever is named first.
    pub fn find(&self, one: SocketAddr, other: SocketAddr) -> Option<&Stream<T>> {
        self.by_ends.find(one, other).map(|slot| &*self.slots[slot as usize].stream)
    }

    /// The same, to change it. A stream is begun if there is none, with `one` as its first end.
    pub fn find_or_begin(&mut self, now: Instant, one: SocketAddr, other: SocketAddr) -> &mut Stream<T> {
        self.settle_last();
        let known = self.by_ends.find(one, other);
        let slot = known.unwrap_or_else(|| self.begin([one, other], now));
        self.touch(slot);
        &mut self.slots[slot as usize].stream
    }

    /// The stream of this number, unless it was forgotten.
    pub fn get(&self, number: usize) -> Option<&Stream<T>> {
        self.by_number.get(&number).map(|slot| &*self.slots[*slot as usize].stream)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, number: usize) -> Option<&mut Stream<T>> {
        self.by_number.get(&number).map(|slot| &mut *self.slots[*slot as usize].stream)
    }

    /// The streams that are remembered, by number.
    pub fn streams(&self) -> impl DoubleEndedIterator<Item = &Stream<T>> {
        self.by_number.values().map(|slot| &*self.slots[*slot as usize].stream)
    }

    /// How many streams are remembered.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True if nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many streams have begun.
    pub fn begun(&self) -> usize {
        self.begun
    }

    /// How many streams were removed because the table was full.
    pub fn forgotten(&self) -> usize {
        self.begun - self.slots.len()
    }

    /// The stream that was forgotten last, once, for those who count what is left of it.
    pub fn take_forgotten(&mut self) -> Option<Box<Stream<T>>> {
        self.forgotten.take()
    }

    /// The slot that a segment between known ends belongs to; `None` if it begins another connection.
    fn route(&self, slot: u32, segment: &Segment<'_>) -> Option<u32> {
        let stream = &*self.slots[slot as usize].stream;
        if segment.is_syn() && !segment.is_rst() {
            return (!begins_another(stream, segment)).then_some(slot);
        }
        let Some(previous) = stream.previous else { return Some(slot) };
        Some(self.before(previous, stream, segment).unwrap_or(slot))
    }

    /// A SYN came while another connection was open on the same sockets. Until it is answered, segments of the open
    /// connection still pass: the receiver sends a challenge ACK and goes on (RFC 5961, section 4). Gives the slot of the
    /// open connection if the segment belongs there.
    #[cold]
    fn before(&self, previous: usize, stream: &Stream<T>, segment: &Segment<'_>) -> Option<u32> {
        let slot = *self.by_number.get(&previous)?;
        let opener = stream.account.opener?;
        if stream.conversation.sender(opener.other()).is_started() {
            return None;
        }
        let old = &*self.slots[slot as usize].stream;
        let old_side = old.side_of(stream.ends[opener as usize]);
        let (new, old) = (stream.distance(opener, segment), old.distance(old_side, segment));
        // Without an ACK a segment of the peer cannot refer to the SYN.
        (new.is_none() || new > old).then_some(slot)
    }

    /// Begins another connection on the sockets of the one in `slot`.
    #[cold]
    fn succeed(&mut self, slot: u32, now: Instant, segment: &Segment<'_>) -> u32 {
        let stream = &self.slots[slot as usize].stream;
        let previous = (!stream.conversation.is_over()).then_some(stream.number);
        let next = self.begin(ends_of(segment), now);
        self.slots[next as usize].stream.previous = previous;
        next
    }

    fn begin(&mut self, ends: [SocketAddr; 2], now: Instant) -> u32 {
        let mut stream = Box::new(Stream::new(self.begun, ends, now, T::default()));
        stream.memory = self.budget.as_ref().map(|budget| Box::new(Memory::new(budget)));
        let slot = if let Some(slot) = self.least_useful() {
            self.unlink(slot);
            let old = core::mem::replace(&mut self.slots[slot as usize].stream, stream);
            self.by_number.remove(&old.number);
            self.by_ends.remove(old.ends, slot);
            self.forgotten = Some(old);
            slot
        } else {
            self.slots.push(Slot { stream, newer: NONE, older: NONE, list: HALF_OPEN });
            self.slots.len() as u32 - 1
        };
        self.by_number.insert(self.begun, slot);
        self.by_ends.insert(ends, slot);
        self.begun += 1;
        self.link(slot);
        slot
    }

    /// The slot to use again; `None` while there is room for another stream.
    fn least_useful(&mut self) -> Option<u32> {
        let full = self.slots.len() >= self.limit;
        let [half_open, open] = &self.lists;
        let share = if full { self.limit / HALF_OPEN_SHARE } else { usize::MAX };
        if half_open.len >= self.half_open_limit || half_open.len > share || full && open.len == 0 {
            Some(half_open.oldest)
        } else {
            full.then_some(open.oldest)
        }
    }

    /// Puts the stream that was used last into the list of the others, if its handshake has finished with that.
    fn settle_last(&mut self) {
        let slot = self.last;
        if slot != NONE && self.list_of(slot) != self.slots[slot as usize].list {
            self.unlink(slot);
            self.link(slot);
        }
    }

    /// The list that the stream of a slot belongs to now.
    fn list_of(&self, slot: u32) -> usize {
        if self.slots[slot as usize].stream.account.is_half_open() { HALF_OPEN } else { OPEN }
    }

    /// Makes a slot the one that was used last.
    fn touch(&mut self, slot: u32) {
        self.last = slot;
        if self.lists[self.slots[slot as usize].list].newest != slot {
            self.unlink(slot);
            self.link(slot);
        }
    }

    fn link(&mut self, slot: u32) {
        let list = self.list_of(slot);
        let ends = &mut self.lists[list];
        ends.len += 1;
        let older = core::mem::replace(&mut ends.newest, slot);
        if older == NONE {
            ends.oldest = slot;
        }
        let entry = &mut self.slots[slot as usize];
        (entry.newer, entry.older, entry.list) = (NONE, older, list);
        if let Some(older) = self.slots.get_mut(older as usize) {
            older.newer = slot;
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { newer, older, list, .. } = self.slots[slot as usize];
        self.lists[list].len -= 1;
        match self.slots.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.lists[list].newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.lists[list].oldest = newer,
        }
    }
}

/// Whether a SYN begins another connection than that of a stream on the same sockets.
fn begins_another<T>(stream: &Stream<T>, segment: &Segment<'_>) -> bool {
    let from = stream.side_of(segment.src);
    let own = stream.conversation.sender(from);
    if !own.is_started() || own.iss == Some(segment.seq) || stream.is_late_syn(from, segment) {
        return false;
    }
    if segment.is_ack() {
        // The SYN was not recorded. While the connection is not over this may be another answer to the first one.
        let answers = |iss: Seq| segment.ack == iss + 1;
        return stream.conversation.is_over()
            && own.iss.is_some()
            && !stream.conversation.sender(from.other()).iss.is_some_and(answers);
    }
    true
}

/// The ends of a segment, the one that asked for the connection first. Who answers a SYN was asked.
fn ends_of(segment: &Segment<'_>) -> [SocketAddr; 2] {
    let (from, to) = (segment.src, segment.dst);
    if segment.is_syn() && segment.is_ack() { [to, from] } else { [from, to] }
}
