//! The connections that pass a vantage point, each followed by a [`Conversation`], in bounded memory.
//!
//! There are two generations. A flow is found in the young one, or brought over from the old one; when the young one is
//! full it becomes the old one, and what was in the old one is forgotten. So a flow is kept while it is used, nobody
//! ever looks through a table, and which flows are forgotten follows from the packets alone. One that comes back after
//! it was forgotten is seen from the middle.

use core::net::SocketAddr;
use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::Numbers;
use crate::conversation::{Conversation, DataKind, Seen, Side};
use crate::event::TimerKind;
use crate::segment::{Segment, Seq};
use crate::time::{Duration, Instant};

/// Flows in a generation.
const GENERATION: usize = 1 << 17;

type Generation = HashMap<Ends, Box<Flow>, FixedState>;

/// The two ends of a connection, the one at the vantage point first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

/// What is known of one connection.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) conversation: Conversation,
    /// What sequence numbers of each side are counted from.
    base: [Option<Seq>; 2],
    /// When the retransmission timer of each side was last started, as RFC 6298, section 5 has it.
    timer_started: [Instant; 2],
    /// The last timer of the local side that went off.
    pub(super) timer: Option<(Instant, TimerKind)>,
    /// What the local side told of itself.
    pub(super) numbers: Option<Numbers>,
}

pub(super) struct FlowTable {
    young: Generation,
    old: Generation,
    most: usize,
}

impl Default for FlowTable {
    fn default() -> Self {
        Self::with_generations_of(GENERATION)
    }
}

impl FlowTable {
    pub(super) fn with_generations_of(most: usize) -> Self {
        Self { young: Generation::default(), old: Generation::default(), most }
    }

    /// The flow between these ends, a fresh one if it is not known.
    pub(super) fn flow(&mut self, ends: Ends) -> &mut Flow {
        if !self.young.contains_key(&ends) && self.young.len() >= self.most {
            self.old = core::mem::take(&mut self.young);
        }
        let Self { young, old, most: _ } = self;
        young.entry(ends).or_insert_with(|| old.remove(&ends).unwrap_or_default())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

impl Flow {
    /// A sequence number of `side` counted from its SYN (so that its first byte of data is 1), or from the first
    /// segment seen of it.
    pub(crate) fn relative(&self, side: Side, seq: Seq) -> u32 {
        seq - self.base[side as usize].unwrap_or(seq - 1)
    }

    /// Has the conversation see a segment.
    pub(super) fn observe(&mut self, now: Instant, from: Side, segment: &Segment<'_>) -> Seen {
        self.note_base(from, segment);
        let seen = self.conversation.observe(now, from, segment);
        if segment.is_syn() && !segment.is_rst() && seen.data != DataKind::Unacceptable {
            self.note_syn(from, segment, seen.restarted);
        }
        seen
    }

    /// Fixes what sequence numbers are counted from, if nothing has fixed it yet.
    fn note_base(&mut self, from: Side, segment: &Segment<'_>) {
        let first = if segment.is_syn() { segment.seq } else { segment.seq - 1 };
        self.base[from as usize].get_or_insert(first);
        if segment.is_ack() {
            self.base[from.other() as usize].get_or_insert(segment.ack - 1);
        }
    }

    /// A SYN that counts: it is what its side is counted from, and with a new connection the other side starts anew.
    fn note_syn(&mut self, from: Side, segment: &Segment<'_>, restarted: bool) {
        self.base[from as usize] = Some(segment.seq);
        if restarted {
            self.base[from.other() as usize] = None;
        }
    }

    /// Starts the retransmission timer of a side anew.
    pub(super) fn start_timer(&mut self, side: Side, now: Instant) {
        self.timer_started[side as usize] = now;
    }

    /// How long the retransmission timer of a side has been running.
    pub(super) fn waited(&self, side: Side, now: Instant) -> Duration {
        now - self.timer_started[side as usize]
    }
}
