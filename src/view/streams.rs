//! The connections of a run or of a capture, told apart and counted: who, how long, how much each way, how it ended. It
//! is the account that RFC 147 asked of every connection.
//!
//! A stream is one connection. The end on the left is the one that opened it, or that was seen first. A SYN that begins
//! another connection on the same ports begins another stream.

use core::net::SocketAddr;
use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::states::States;
use crate::conversation::{Conversation, DataKind, Seen, Side};
use crate::event::State;
use crate::segment::Segment;
use crate::time::{Duration, Instant};

/// One connection and its account. Of each pair the left end comes first.
#[derive(Clone, Debug)]
pub struct Stream {
    /// From 0, in order of appearance.
    pub number: usize,
    /// Both ends; the first is the one that opened it, or that was seen first.
    pub ends: [SocketAddr; 2],
    /// When its first packet was sent.
    pub first: Instant,
    /// When its last packet was sent.
    pub last: Instant,
    /// Packets that each end sent.
    pub packets: [u64; 2],
    /// Packets with data that each end sent, repeated ones included.
    pub messages: [u64; 2],
    /// Bytes of data that each end sent, repeated ones included.
    pub bytes: [u64; 2],
    /// Segments that each end sent again.
    pub retransmissions: [u64; 2],
    /// The side that asked for the connection, if that was seen.
    pub opener: Option<usize>,
    /// How it ended.
    pub close: Close,
    pub(super) states: States,
}

/// How a connection ended. Sides are 0 for the left and 1 for the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Close {
    /// It did not.
    #[default]
    Open,
    /// One side has closed its direction.
    Half(usize),
    /// Both sides have closed, this one first.
    Closed(usize),
    /// This side has aborted it.
    Reset(usize),
    /// This side did not want it.
    Refused(usize),
}

impl Stream {
    fn new(number: usize, ends: [SocketAddr; 2], at: Instant) -> Self {
        Self {
            number,
            ends,
            first: at,
            last: at,
            packets: [0; 2],
            messages: [0; 2],
            bytes: [0; 2],
            retransmissions: [0; 2],
            opener: None,
            close: Close::Open,
            states: States::default(),
        }
    }

    /// How long it was seen.
    pub fn open_for(&self) -> Duration {
        self.last - self.first
    }

    /// The last state of each side, as far as it is known: told by the hosts of a run, else inferred from the packets.
    pub fn states(&self) -> [Option<State>; 2] {
        [self.states.of(Side::Local), self.states.of(Side::Remote)]
    }

    pub(super) fn side_of(&self, end: SocketAddr) -> Side {
        if end == self.ends[0] { Side::Local } else { Side::Remote }
    }

    pub(super) fn set_state(&mut self, side: Side, state: State) {
        self.states.set(side, state);
    }

    /// Takes a segment that `conversation` has seen. `arrives` is false if it is known to be lost.
    pub(super) fn take(
        &mut self,
        at: Instant,
        from: Side,
        segment: &Segment<'_>,
        seen: &Seen,
        conversation: &Conversation,
        arrives: bool,
    ) {
        let side = from as usize;
        self.last = self.last.max(at);
        self.packets[side] += 1;
        self.messages[side] += u64::from(!segment.payload.is_empty());
        self.bytes[side] += segment.payload.len() as u64;
        let again = matches!(seen.data, DataKind::Retransmission { .. } | DataKind::Duplicate);
        self.retransmissions[side] += u64::from(again);
        if segment.is_syn() && !segment.is_ack() && seen.data != DataKind::Unacceptable {
            self.opener.get_or_insert(side);
        }
        self.close = self.closed_by(side, segment, seen);
        self.states.observe(from, segment, seen, conversation, arrives);
    }

    fn closed_by(&self, side: usize, segment: &Segment<'_>, seen: &Seen) -> Close {
        let counts = seen.data != DataKind::Unacceptable;
        match self.close {
            Close::Open | Close::Half(_) if counts && segment.is_rst() => {
                // Nothing but the refusal came from there.
                if self.packets[side] == 1 && self.bytes == [0; 2] && self.opener == Some(1 - side) {
                    Close::Refused(side)
                } else {
                    Close::Reset(side)
                }
            }
            Close::Open if counts && segment.is_fin() => Close::Half(side),
            Close::Half(first) if counts && segment.is_fin() && first != side => Close::Closed(first),
            close => close,
        }
    }
}

/// The streams so far, found by their ends.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Looked up and never walked.
    by_ends: HashMap<[SocketAddr; 2], usize, FixedState>,
    pub(super) list: Vec<Stream>,
}

impl Streams {
    /// The stream between two ends, if there is one.
    pub(super) fn find(&self, one: SocketAddr, other: SocketAddr) -> Option<usize> {
        self.by_ends.get(&key(one, other)).copied()
    }

    /// The stream that a segment between these ends belongs to, as far as can be told before it is looked at.
    pub(super) fn of(&mut self, at: Instant, segment: &Segment<'_>) -> usize {
        let (from, to) = (segment.src, segment.dst);
        // Who answers a SYN has been asked.
        let ends = if segment.is_syn() && segment.is_ack() { [to, from] } else { [from, to] };
        self.find(from, to).unwrap_or_else(|| self.begin(ends, at))
    }

    /// Begins a stream between these ends.
    pub(super) fn begin(&mut self, ends: [SocketAddr; 2], at: Instant) -> usize {
        let number = self.list.len();
        self.list.push(Stream::new(number, ends, at));
        self.by_ends.insert(key(ends[0], ends[1]), number);
        number
    }

    /// Takes a segment that was seen; if it begins another connection, that is another stream. Gives its number.
    pub(super) fn take(
        &mut self,
        number: usize,
        at: Instant,
        segment: &Segment<'_>,
        told: (&Seen, &Conversation),
        arrives: bool,
    ) -> usize {
        let (seen, conversation) = told;
        let number = if seen.restarted { self.begin(self.list[number].ends, at) } else { number };
        let stream = &mut self.list[number];
        let from = stream.side_of(segment.src);
        stream.take(at, from, segment, seen, conversation, arrives);
        number
    }
}

/// The same whichever end is named first.
fn key(one: SocketAddr, other: SocketAddr) -> [SocketAddr; 2] {
    if one <= other { [one, other] } else { [other, one] }
}

impl Close {
    /// What kind of end it is, in one word or two.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Half(_) => "half closed",
            Self::Closed(_) => "closed",
            Self::Reset(_) => "reset",
            Self::Refused(_) => "refused",
        }
    }

    /// The side that began it.
    pub const fn side(self) -> Option<usize> {
        match self {
            Self::Open => None,
            Self::Half(side) | Self::Closed(side) | Self::Reset(side) | Self::Refused(side) => Some(side),
        }
    }
}

impl core::fmt::Display for Close {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let end = |side: usize| if side == 0 { "left" } else { "right" };
        match *self {
            Self::Open => f.write_str(self.kind()),
            Self::Closed(side) => write!(f, "{} first, {}", end(side), self.kind()),
            Self::Half(side) | Self::Reset(side) | Self::Refused(side) => {
                write!(f, "by the {}, {}", end(side), self.kind())
            }
        }
    }
}
