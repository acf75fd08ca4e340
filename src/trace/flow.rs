//! One connection of a trace: its ends, its account and the states of both sides. `events` and `records` feed it with
//! each segment, annotated at the interface of its sender.

use core::net::SocketAddr;

use super::Vantage;
use super::measured::Measured;
use super::states::States;
use crate::conversation::{Account, ByEnds, Conversation, DataKind, Kinds, Observed, Seen, Side};
use crate::event::{HostId, State};
use crate::segment::Segment;
use crate::time::Instant;

/// One connection. [`Side::Local`] is the left end: the one that opened it, or that was seen first.
#[derive(Clone, Debug)]
pub struct Flow {
    /// From 0, in the order in which flows began.
    pub number: usize,
    /// Both ends, the left one first.
    pub ends: [SocketAddr; 2],
    /// The hosts at both ends, where they are known.
    pub hosts: [Option<HostId>; 2],
    /// What was counted.
    pub account: Account,
    /// What was measured of each side as a sender.
    pub measured: [Measured; 2],
    states: States,
    /// The host tells the state of this side: it is not inferred.
    told: [bool; 2],
    /// The window that each side has advertised last, and whether that was on a SYN.
    windows: [Option<(u32, bool)>; 2],
    /// The vantage points that have observed the connection.
    bound: [Option<Vantage>; 2],
}

impl Flow {
    pub(super) fn new(number: usize, ends: [SocketAddr; 2], at: Instant) -> Self {
        Self {
            number,
            ends,
            hosts: [None; 2],
            account: Account::new(at),
            measured: Default::default(),
            states: States::default(),
            told: [false; 2],
            windows: [None; 2],
            bound: [None; 2],
        }
    }

    /// The side that an address stands on: the left one if it is the first of the ends.
    pub fn side_of(&self, end: SocketAddr) -> Side {
        if end == self.ends[0] { Side::Local } else { Side::Remote }
    }

    /// The last state of each side, as far as it is known: told by the hosts of a run, else inferred from the segments.
    pub fn states(&self) -> [Option<State>; 2] {
        [self.states.of(Side::Local), self.states.of(Side::Remote)]
    }

    pub(super) fn is_bound(&self, vantage: Vantage) -> bool {
        // A connection has two ends: a third vantage point sees another one.
        self.bound.contains(&Some(vantage)) || self.bound.iter().all(Option::is_some)
    }

    pub(super) fn bind(&mut self, vantage: Vantage) {
        if let Some(free) = self.bound.iter_mut().find(|bound| bound.is_none()) {
            *free = Some(vantage);
        }
    }

    /// A state that the host tells.
    pub(super) fn tell_state(&mut self, side: Side, state: State) {
        self.told[side as usize] = true;
        self.states.set(side, state);
    }

    /// Notes the window of a segment. True if the side has advertised another one before. That of a SYN is not scaled: only
    /// a smaller one is another.
    pub(super) fn note_window(&mut self, side: Side, window: u32, syn: bool) -> bool {
        match self.windows[side as usize].replace((window, syn)) {
            Some((before, true)) => window < before,
            Some((before, false)) => window != before,
            None => false,
        }
    }

    /// A segment of the other side has come to this one, or has passed the vantage point of a capture.
    pub(super) fn came(&mut self, at: Instant, to: Side, segment: &Segment<'_>, seen: &Seen) {
        if segment.is_ack() && seen.data != DataKind::Unacceptable {
            self.measured[to as usize].acked(at, segment.ack);
        }
    }

    /// Takes a segment that was observed. A copy made by a link is no retransmission. `arrives` is false if it is known
    /// to be lost.
    pub(super) fn take(
        &mut self,
        at: Instant,
        from: Side,
        segment: &Segment<'_>,
        observed: &Observed,
        conversation: &Conversation,
        (arrives, copy): (bool, bool),
    ) {
        let kinds = if copy { Kinds::default() } else { observed.kinds };
        self.account.take(at, from, segment, &observed.seen, kinds, conversation);
        if !copy {
            self.measured[from as usize].sent(at, segment, &observed.seen, conversation.sender(from).rcv_wnd);
        }
        let before = self.states;
        self.states.observe(from, segment, &observed.seen, conversation, arrives);
        for side in Side::BOTH.into_iter().filter(|side| self.told[*side as usize]) {
            self.states.keep(side, before);
        }
    }
}

/// Flows that are kept. Segments of later ones are counted as refused.
const MOST: usize = 1 << 17;
/// The same where the steps of every flow are kept too.
const MOST_WITH_STEPS: usize = 1 << 18;
/// Flows that are kept though their handshake has not finished, while it may still do so. Up to twice as many are in memory,
/// which is as many as an annotator remembers.
const HALF_OPEN: usize = 1 << 12;

/// The flows of a trace.
#[derive(Debug, Default)]
pub(super) struct FlowList {
    /// In the order of their numbers.
    pub(super) list: Vec<Flow>,
    /// The newest flow between two ends.
    by_ends: ByEnds<usize>,
    /// Flows that have begun.
    pub(super) begun: usize,
    /// Flows whose handshake has not finished are forgotten when there are many.
    pub(super) forgets: bool,
    /// How many were forgotten.
    pub(super) forgotten: u64,
    /// The length of the list at which some may have to be forgotten.
    check_at: usize,
    /// Segments that belong to no flow, because there are too many.
    pub(super) refused: u64,
}

impl FlowList {
    /// The newest flow between two ends.
    pub(super) fn find(&self, one: SocketAddr, other: SocketAddr) -> Option<usize> {
        self.by_ends.find(one, other)
    }

    /// The flow of this number, unless it was forgotten.
    pub(super) fn get(&self, number: usize) -> Option<&Flow> {
        self.index(number).map(|index| &self.list[index])
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Flow> {
        self.index(number).map(|index| &mut self.list[index])
    }

    /// Where a flow stands: at its number, unless flows before it were forgotten.
    fn index(&self, number: usize) -> Option<usize> {
        if self.list.get(number).is_some_and(|flow| flow.number == number) {
            return Some(number);
        }
        self.list.binary_search_by_key(&number, |flow| flow.number).ok()
    }

    /// Begins a flow. `None` if there are too many.
    pub(super) fn begin(&mut self, at: Instant, ends: [SocketAddr; 2]) -> Option<usize> {
        if self.forgets && self.list.len() >= self.check_at {
            self.forget();
        }
        if self.list.len() >= if self.forgets { MOST } else { MOST_WITH_STEPS } {
            self.refused += 1;
            return None;
        }
        let number = self.begun;
        self.begun += 1;
        self.list.push(Flow::new(number, ends, at));
        self.by_ends.insert(ends, number);
        Some(number)
    }

    /// Forgets the oldest flows whose handshake has not finished, but for the newest [`HALF_OPEN`].
    #[cold]
    fn forget(&mut self) {
        let half_open = self.list.iter().filter(|flow| flow.account.is_half_open()).count();
        let mut excess = half_open.saturating_sub(HALF_OPEN);
        let Self { list, by_ends, forgotten, .. } = self;
        list.retain(|flow| {
            let goes = excess > 0 && flow.account.is_half_open();
            if goes {
                excess -= 1;
                *forgotten += 1;
                by_ends.remove(flow.ends, flow.number);
            }
            !goes
        });
        self.check_at = (self.list.len() + HALF_OPEN).min(MOST);
    }

    /// The flow of a segment that an annotator has observed. `known` is what the annotator's stream tells. A stream that
    /// has no flow yet gets the one that the other end of the run has begun, or a new one. `answers` is true if the segment
    /// answers one that was seen before: then its flow was forgotten, and it begins none.
    pub(super) fn place(
        &mut self,
        at: Instant,
        vantage: Vantage,
        (known, answers): (Option<usize>, bool),
        ends: [SocketAddr; 2],
    ) -> Option<usize> {
        match known {
            Some(known) if self.index(known).is_some() => return Some(known),
            Some(_) if answers => return None,
            // It goes on after it was forgotten: it is counted once.
            Some(_) => self.forgotten = self.forgotten.saturating_sub(1),
            None => {}
        }
        let shared = self.find(ends[0], ends[1]);
        let shared = shared.filter(|number| self.get(*number).is_some_and(|flow| !flow.is_bound(vantage)));
        if shared.is_none() && answers && self.forgotten > 0 {
            return None;
        }
        let number = shared.or_else(|| self.begin(at, ends))?;
        if let Some(flow) = self.get_mut(number) {
            flow.bind(vantage);
        }
        Some(number)
    }
}
