//! One connection of a trace: its ends, its account and the states of both sides. `events` and `records` feed it with
//! each segment, annotated at the interface of its sender.

use core::net::SocketAddr;

use super::Vantage;
use super::states::States;
use crate::conversation::{Account, ByEnds, Conversation, Kinds, Observed, Side};
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
        let before = self.states;
        self.states.observe(from, segment, &observed.seen, conversation, arrives);
        for side in Side::BOTH.into_iter().filter(|side| self.told[*side as usize]) {
            self.states.keep(side, before);
        }
    }
}

/// Flows that are kept. Segments of later ones are counted as refused.
const MOST: usize = 1 << 18;

/// The flows of a trace.
#[derive(Debug, Default)]
pub(super) struct FlowList {
    pub(super) list: Vec<Flow>,
    /// The newest flow between two ends.
    by_ends: ByEnds<usize>,
    /// Segments that belong to no flow, because there are too many.
    pub(super) refused: u64,
}

impl FlowList {
    /// The newest flow between two ends.
    pub(super) fn find(&self, one: SocketAddr, other: SocketAddr) -> Option<usize> {
        self.by_ends.find(one, other)
    }

    /// Begins a flow. `None` if there are too many.
    pub(super) fn begin(&mut self, at: Instant, ends: [SocketAddr; 2]) -> Option<usize> {
        let number = self.list.len();
        if number >= MOST {
            self.refused += 1;
            return None;
        }
        self.list.push(Flow::new(number, ends, at));
        self.by_ends.insert(ends, number);
        Some(number)
    }

    /// The flow of a segment that an annotator has observed. `known` is what the annotator's stream tells. A stream that
    /// has no flow yet gets the one that the other end of the run has begun, or a new one.
    pub(super) fn place(
        &mut self,
        at: Instant,
        vantage: Vantage,
        known: Option<usize>,
        ends: [SocketAddr; 2],
    ) -> Option<usize> {
        if known.is_some() {
            return known;
        }
        let shared = self.find(ends[0], ends[1]).filter(|number| !self.list[*number].is_bound(vantage));
        let number = shared.or_else(|| self.begin(at, ends))?;
        self.list[number].bind(vantage);
        Some(number)
    }
}
