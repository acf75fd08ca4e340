//! One connection of a [`super::Table`]: its conversation, its account, and what relative numbers are counted from.
//!
//! The account has what RFC 147 asks of every connection: both ends, duration, bytes each way, and how it ended. The
//! table makes streams; annotators, ladders, figures and replay read them.

use core::fmt;
use core::net::SocketAddr;

use super::kind::{Kind, Kinds, Watch};
use super::memory::Memory;
use super::{Conversation, DataKind, Seen, Side};
use crate::segment::{Segment, Seq};
use crate::time::{Duration, Instant};

/// One connection as seen at a vantage point. [`Side::Local`] is the first of `ends`: the one that opened the connection,
/// or that was seen first.
#[derive(Debug)]
pub struct Stream<T = ()> {
    /// From 0, in the order in which the streams of the table began.
    pub number: usize,
    /// Both ends. The first opened the connection, or was seen first.
    pub ends: [SocketAddr; 2],
    /// The variables of both sides.
    pub conversation: Conversation,
    /// What was counted.
    pub account: Account,
    /// What the owner of the table keeps with each stream.
    pub notes: T,
    /// What numbers of each side are counted from where its SYN was not seen.
    base: [Option<Seq>; 2],
    watch: Watch,
    /// The last bytes of both sides, if the table compares them.
    pub(super) memory: Option<Box<Memory>>,
    /// The stream on the same sockets that was open when the SYN of this one came.
    pub(crate) previous: Option<usize>,
}

/// What was counted of one connection. Of each pair the first is that of [`Side::Local`].
#[derive(Clone, Debug)]
pub struct Account {
    /// When its first segment passed.
    pub first: Instant,
    /// When its last segment passed.
    pub last: Instant,
    /// Segments that each end sent.
    pub segments: [u64; 2],
    /// Segments with data that each end sent, repeated ones included.
    pub messages: [u64; 2],
    /// Bytes of data that each end sent, repeated ones included.
    pub bytes: [u64; 2],
    /// The side that opened the connection, if that was seen.
    pub opener: Option<Side>,
    /// How it ended.
    pub close: Close,
    counts: [[u32; Kind::COUNT]; 2],
    /// Segments of each side without SYN and RST, up to [`SURELY_OPEN`].
    plain: [u8; 2],
    /// The side has sent a SYN.
    syn: [bool; 2],
}

/// So many segments of one side belong to a connection, though neither its handshake nor its other side is seen.
const SURELY_OPEN: u8 = 3;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Close {
    /// It did not.
    #[default]
    Open,
    /// This side has closed its direction.
    Half(Side),
    /// Both sides have closed, this one first.
    Closed(Side),
    /// This side has aborted the connection.
    Reset(Side),
    /// This side has refused the connection.
    Refused(Side),
}

/// What a stream found out about one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The side that sent it.
    pub from: Side,
    /// What it is by the bytes seen before.
    pub seen: Seen,
    /// What it is as Wireshark's users expect it.
    pub kinds: Kinds,
    /// SEG.SEQ, relative. The SYN is 0, the first byte of data is 1.
    pub seq: u32,
    /// SEG.ACK, relative, if it has one.
    pub ack: Option<u32>,
}

impl<T> Stream<T> {
    pub(super) fn new(number: usize, ends: [SocketAddr; 2], at: Instant, notes: T) -> Self {
        Self {
            number,
            ends,
            conversation: Conversation::new(),
            account: Account::new(at),
            notes,
            base: [None; 2],
            watch: Watch::default(),
            memory: None,
            previous: None,
        }
    }

    /// The side that an address stands on: the local one if it is the first of `ends`.
    pub fn side_of(&self, end: SocketAddr) -> Side {
        if end == self.ends[0] { Side::Local } else { Side::Remote }
    }

    /// A sequence number of `side`, counted from its SYN, so that its first byte of data is 1. Where the SYN was not seen
    /// the first segment counts as byte 1.
    pub fn relative(&self, side: Side, seq: Seq) -> u32 {
        seq - self.conversation.sender(side).iss.or(self.base[side as usize]).unwrap_or(seq - 1)
    }

    /// Takes one segment that passed at `now`. Returns what it is. [`super::Table::place`] finds the stream of a
    /// segment.
    pub fn observe(&mut self, now: Instant, segment: &Segment<'_>) -> Observed {
        self.observe_cut(now, segment, 0)
    }

    /// The same for a segment of which the last `missing` bytes were not captured.
    pub fn observe_cut(&mut self, now: Instant, segment: &Segment<'_>, missing: usize) -> Observed {
        let from = self.side_of(segment.src);
        self.note_base(from, segment);
        let late = segment.is_syn() && self.take_late_syn(from, segment);
        let mut seen = self.conversation.observe(now, from, segment);
        if late {
            (seen.data, seen.new_bytes) = (DataKind::OutOfOrder, 1);
        }
        let mut kinds = self.watch.observe(now, from, segment);
        if self.memory.is_some() && self.bytes_differ(from, segment, missing, (seen.data, kinds)) {
            kinds.add(Kind::BytesDiffer);
        }
        self.account.take(now, from, segment, &seen, kinds, &self.conversation);
        // A SYN stands at 0, also one with a number that was not taken.
        let seq = if segment.is_syn() { 0 } else { self.relative(from, segment.seq) };
        let ack = segment.is_ack().then(|| self.relative(from.other(), segment.ack));
        Observed { from, seen, kinds, seq, ack }
    }

    #[cold]
    fn bytes_differ(
        &mut self,
        from: Side,
        segment: &Segment<'_>,
        missing: usize,
        (data, kinds): (DataKind, Kinds),
    ) -> bool {
        let bytes = &segment.payload[..segment.payload.len().saturating_sub(missing)];
        // The byte of a probe or a keep-alive may be any.
        let is_data = !matches!(data, DataKind::Unacceptable | DataKind::Probe | DataKind::KeepAlive);
        let is_data = is_data && !kinds.contains(Kind::KeepAlive) && !kinds.contains(Kind::ZeroWindowProbe);
        let seq = segment.seq + u32::from(segment.is_syn());
        let memory = self.memory.as_mut().filter(|_| is_data && !bytes.is_empty());
        memory.is_some_and(|memory| memory.differs(from as usize, seq, bytes))
    }

    /// Fixes what numbers are counted from, if nothing has fixed it yet.
    fn note_base(&mut self, from: Side, segment: &Segment<'_>) {
        let first = if segment.is_syn() { segment.seq } else { segment.seq - 1 };
        self.base[from as usize].get_or_insert(first);
        if segment.is_ack() {
            self.base[from.other() as usize].get_or_insert(segment.ack - 1);
        }
    }

    /// Whether this SYN was recorded behind segments that follow it: its own side's, or the SYN|ACK that answers it.
    fn take_late_syn(&mut self, from: Side, segment: &Segment<'_>) -> bool {
        if self.is_late_syn(from, segment) {
            self.conversation.take_late_syn(from, segment);
            return true;
        }
        let (own, peer) = (self.conversation.sender(from), self.conversation.sender(from.other()));
        !own.is_started() && peer.iss.is_some() && peer.last_ack == Some(segment.seq + 1)
    }

    /// Whether this is the SYN of what was seen of its side before: recorded late.
    pub(super) fn is_late_syn(&self, from: Side, segment: &Segment<'_>) -> bool {
        let own = self.conversation.sender(from);
        let below = |base: Seq| (0..=LATE).contains(&base.distance(segment.seq));
        own.is_started() && own.iss.is_none() && self.base[from as usize].is_some_and(below)
    }

    /// How far a number is from where this stream stands: `seq` of a segment of `opener`, the ACK of one of its peer.
    pub(super) fn distance(&self, opener: Side, segment: &Segment<'_>) -> Option<u32> {
        let number =
            if self.side_of(segment.src) == opener { segment.seq } else { segment.is_ack().then_some(segment.ack)? };
        Some(number.distance(self.conversation.sender(opener).snd_nxt).unsigned_abs())
    }
}

/// A SYN that stands no more than this before the first segment seen of its side belongs to it.
const LATE: i32 = 65_535;

impl Account {
    /// An account that begins at this instant.
    pub(crate) fn new(at: Instant) -> Self {
        Self {
            first: at,
            last: at,
            segments: [0; 2],
            messages: [0; 2],
            bytes: [0; 2],
            opener: None,
            close: Close::Open,
            counts: [[0; Kind::COUNT]; 2],
            plain: [0; 2],
            syn: [false; 2],
        }
    }

    /// True while nothing shows that a handshake has finished: no side has sent anything behind its SYN, and there is no
    /// answer to what was sent without one. An RST is no answer.
    pub fn is_half_open(&self) -> bool {
        let [left, right] = self.plain;
        let both = [0, 1].map(|side| self.syn[side] || self.plain[side] > 0) == [true; 2];
        let behind_syn = [0, 1].iter().any(|&side: &usize| self.syn[side] && self.plain[side] > 0);
        !(behind_syn || both && left + right > 0 || left.max(right) >= SURELY_OPEN)
    }

    /// How long the connection was seen.
    pub fn open_for(&self) -> Duration {
        self.last - self.first
    }

    /// How many segments of this kind a side sent.
    pub fn count(&self, side: Side, kind: Kind) -> u32 {
        self.counts[side as usize][kind as usize]
    }

    /// Retransmissions that each end sent: ordinary, fast and spurious ones.
    pub fn retransmissions(&self) -> [u64; 2] {
        self.counts.map(|counts| {
            let again = Kind::ALL.into_iter().filter(|kind| kind.is_retransmission());
            again.map(|kind| u64::from(counts[kind as usize])).sum()
        })
    }

    /// Counts a segment that `conversation` has observed. For those who join the streams of several tables.
    pub(crate) fn take(
        &mut self,
        at: Instant,
        from: Side,
        segment: &Segment<'_>,
        seen: &Seen,
        kinds: Kinds,
        conversation: &Conversation,
    ) {
        let side = from as usize;
        self.last = self.last.max(at);
        self.segments[side] += 1;
        self.messages[side] += u64::from(!segment.payload.is_empty());
        self.bytes[side] += segment.payload.len() as u64;
        for kind in kinds.iter() {
            let count = &mut self.counts[side][kind as usize];
            *count = count.saturating_add(1);
        }
        let counts = seen.data != DataKind::Unacceptable;
        if segment.is_syn() {
            self.syn[side] = true;
        } else if !segment.is_rst() && counts {
            self.plain[side] = (self.plain[side] + 1).min(SURELY_OPEN);
        }
        if segment.is_syn() && counts {
            // Who answers a SYN was asked.
            self.opener.get_or_insert(if segment.is_ack() { from.other() } else { from });
        }
        if counts && segment.is_rst() {
            self.note_rst(from, conversation);
        } else if self.close != Close::Open || segment.is_fin() {
            self.note_fin(from, conversation);
        }
    }

    fn note_rst(&mut self, from: Side, conversation: &Conversation) {
        if !matches!(self.close, Close::Open | Close::Half(_)) {
            return;
        }
        // Nothing but the refusal came from there.
        let refuses = !conversation.sender(from).is_started() && self.opener == Some(from.other());
        let refuses = refuses && self.bytes == [0; 2];
        self.close = if refuses { Close::Refused(from) } else { Close::Reset(from) };
    }

    /// Follows the FINs that count. A connection that was refused or reset goes on with a SYN that is taken.
    fn note_fin(&mut self, from: Side, conversation: &Conversation) {
        let fins = Side::BOTH.map(|side| conversation.sender(side).fin.is_some());
        self.close = match (self.close, fins) {
            (Close::Reset(_) | Close::Refused(_), _)
                if Side::BOTH.iter().any(|side| conversation.sender(*side).rst) =>
            {
                return;
            }
            (_, [false, false]) => Close::Open,
            (_, [true, false]) => Close::Half(Side::Local),
            (_, [false, true]) => Close::Half(Side::Remote),
            (Close::Half(first) | Close::Closed(first), _) => Close::Closed(first),
            (_, _) => Close::Closed(from),
        };
    }
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
    pub const fn side(self) -> Option<Side> {
        match self {
            Self::Open => None,
            Self::Half(side) | Self::Closed(side) | Self::Reset(side) | Self::Refused(side) => Some(side),
        }
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |side: Side| if side == Side::Local { "left" } else { "right" };
        match *self {
            Self::Open => f.write_str(self.kind()),
            Self::Closed(side) => write!(f, "{} first, {}", end(side), self.kind()),
            Self::Half(side) | Self::Reset(side) | Self::Refused(side) => {
                write!(f, "by the {}, {}", end(side), self.kind())
            }
        }
    }
}
