//! One direction of a connection: the variables of the data that flow from one side, and what each segment does.
//!
//! ```text
//!        snd_una           contiguous_end               snd_nxt
//!   --------|--------------------|--------[####]--[######]|-------->  sequence space
//!   acked      seen, not acked     hole    ranges seen
//! ```
//!
//! These are the sender's variables as far as the wire shows them: what was sent is what was seen, and what the peer has is
//! what it acknowledged. Three rules hold whatever arrives:
//!
//! - `snd_una <= contiguous_end <= snd_nxt`, except that a direction seen from the middle may learn from its first
//!   acknowledgment that more was outstanding, which moves `snd_una` back once.
//! - Nothing is outstanding further back than [`MAX_WINDOW`], since no window is larger: in a capture without ACKs
//!   `snd_una` and the holes follow `snd_nxt` at that distance.
//! - A segment further away than a window can reach moves nothing.

use super::ranges::Ranges;
use super::seen::DataKind;
use crate::segment::{Options, Segment, Seq};

/// No window is larger: 2^30 bytes (RFC 7323, section 2.3).
pub(super) const MAX_WINDOW: u32 = 1 << 30;

/// What one side offered on its SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Offer {
    /// Maximum segment size in bytes (RFC 9293, section 3.7.1).
    pub mss: Option<u16>,
    /// Window scale shift as it stood in the option, not capped (RFC 7323, section 2.2).
    pub wscale: Option<u8>,
    /// SACK-permitted (RFC 2018, section 2).
    pub sack_permitted: bool,
    /// Timestamps (RFC 7323, section 3.2).
    pub timestamps: bool,
}

impl From<&Options> for Offer {
    fn from(options: &Options) -> Self {
        let Options { mss, wscale, sack_permitted, ts, sack: _, irregular: _ } = *options;
        Self { mss, wscale, sack_permitted, timestamps: ts.is_some() }
    }
}

/// The variables of one side (RFC 9293, section 3.3.1, in snake case): of the data that it sends, and of the window and
/// the acknowledgments that it gives. Read only: [`super::Conversation::observe`] moves them. Sequence numbers are zero
/// until [`Sender::is_started`].
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own; together they are no state machine.
pub struct Sender {
    /// Initial send sequence number; `None` if the SYN was not seen.
    pub iss: Option<Seq>,
    /// Oldest byte not acknowledged. Never above `snd_nxt`.
    pub snd_una: Seq,
    /// Highest sequence number sent, plus one.
    pub snd_nxt: Seq,
    /// The window that the peer advertises, in bytes, scaled if scaling is in force.
    pub snd_wnd: u32,
    /// SEG.SEQ of the peer's segment that last set `snd_wnd`.
    pub snd_wl1: Seq,
    /// SEG.ACK of the peer's segment that last set `snd_wnd`.
    pub snd_wl2: Seq,
    /// The largest `snd_wnd` so far, in bytes (MAX.SND.WND of RFC 5961, section 5).
    pub max_snd_wnd: u32,
    /// All bytes below were sent. The peer's RCV.NXT when everything that was seen here reaches it. The wire shows only
    /// what the peer acknowledged, not what it has.
    pub contiguous_end: Seq,
    /// Sequence number of the FIN: always `snd_nxt - 1`. Data beyond a FIN disprove it, since no host sends any, and
    /// make this `None` again.
    pub fin: Option<Seq>,
    /// The acknowledgment number that this side sent last.
    pub last_ack: Option<Seq>,
    /// The window that this side advertised last, in bytes, scaled if scaling is in force.
    pub rcv_wnd: u32,
    /// The same as it stood in the header.
    pub window: u16,
    /// What its SYN offered.
    pub offer: Offer,
    /// An RST was seen that the peer may accept: inside the window, or acknowledging its SYN (RFC 9293, section 3.5.3).
    /// Whether it matches RCV.NXT exactly (RFC 5961) is not checked here.
    pub rst: bool,
    /// Duplicate ACKs received for `snd_una` (RFC 5681, section 2) since it last moved.
    pub dup_acks: u32,
    /// Retransmissions of the byte at `snd_una` since it last moved; probes are not counted.
    pub retries: u32,
    /// Segments that this side sent, whatever is in them.
    pub segments: u64,
    /// Bytes of payload that this side sent, repeated ones included.
    pub bytes: u64,
    /// Segments of kind [`DataKind::Retransmission`] or [`DataKind::Duplicate`] that this side sent.
    pub retransmissions: u32,
    pub(super) started: bool,
    /// False while `snd_una` is assumed: the direction was seen from the middle and no ACK has come.
    pub(super) una_known: bool,
    /// The peer's window is known and zero.
    pub(super) zero_window: bool,
    /// `rcv_wnd` stood in a SYN, which is never scaled (RFC 7323, section 2.2).
    pub(super) window_of_syn: bool,
    /// By how much the windows that this side advertises are shifted.
    pub(super) shift: u8,
    pub(super) rare: Option<Box<Rare>>,
}

/// State that few connections need.
#[derive(Clone, Debug, Default)]
pub(super) struct Rare {
    /// Seen above the contiguous end.
    pub(super) ranges: Ranges,
    /// A SYN that came in the midst of an open connection: the sequence number that acknowledges it, and its options.
    pub(super) stray_syn: Option<(Seq, Seq, Offer)>,
}

/// What the sequence space of one segment turned out to be.
#[derive(Clone, Copy)]
pub(super) struct Placement {
    pub(super) kind: DataKind,
    pub(super) new_bytes: u32,
}

/// The longest segment that is taken at its length: what a kernel hands to the hardware at once is shorter (BIG TCP).
const LONGEST: usize = 1 << 20;

/// SEG.LEN. A segment that claims to be longer than [`LONGEST`] is cut.
#[inline]
pub(super) fn sequence_len(segment: &Segment<'_>) -> u32 {
    segment.payload.len().min(LONGEST) as u32 + u32::from(segment.is_syn()) + u32::from(segment.is_fin())
}

impl Sender {
    /// True once a segment of this side was seen that fixes its sequence numbers.
    pub const fn is_started(&self) -> bool {
        self.started
    }

    /// Bytes sent and not acknowledged (`FlightSize` of RFC 5681, section 2): `snd_nxt - snd_una`. SACK is not counted
    /// off.
    pub fn flight_size(&self) -> u32 {
        self.snd_nxt - self.snd_una
    }

    /// How many ranges are seen above a hole; bounded.
    pub fn ranges_beyond_holes(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.ranges.len())
    }

    /// True once the FIN was seen and acknowledged.
    pub fn is_fin_acked(&self) -> bool {
        self.fin.is_some_and(|fin| self.snd_una > fin)
    }

    /// The first segment of this side. One that is no SYN begins in the middle: what came before is taken as sent, and
    /// as acknowledged up to the last ACK of the peer, if that fits.
    pub(super) fn start(&mut self, segment: &Segment<'_>, peer_ack: Option<Seq>) {
        let seq = segment.seq;
        let syn = segment.is_syn();
        let acked = peer_ack.filter(|ack| !syn && seq - *ack <= MAX_WINDOW);
        self.iss = syn.then_some(seq);
        self.snd_una = acked.unwrap_or(seq);
        self.una_known = syn || acked.is_some();
        (self.snd_nxt, self.contiguous_end) = (seq, seq);
        self.started = true;
    }

    /// Takes the sequence space of a segment of this side, `segment.seq..segment.seq + len`.
    #[inline]
    pub(super) fn take_data(&mut self, peer: &Self, segment: &Segment<'_>, len: u32) -> Placement {
        self.segments += 1;
        self.bytes += segment.payload.len() as u64;
        // In order and nothing special: what nearly every segment is.
        if self.started
            && segment.seq == self.snd_nxt
            && self.contiguous_end == self.snd_nxt
            && (len == 0 || !self.zero_window)
        {
            if len == 0 {
                return Placement { kind: DataKind::None, new_bytes: 0 };
            }
            let end = segment.seq + len;
            self.contiguous_end = end;
            self.move_snd_nxt(end);
            if segment.is_fin() {
                self.note_fin(end);
            }
            return Placement { kind: DataKind::New, new_bytes: len };
        }
        self.take_unusual(peer, segment, len)
    }

    #[cold]
    fn take_unusual(&mut self, peer: &Self, segment: &Segment<'_>, len: u32) -> Placement {
        if !self.started {
            self.start(segment, peer.last_ack);
        }
        let (start, end) = (segment.seq, segment.seq + len);
        if !self.in_window(start, peer) {
            return Placement { kind: DataKind::Unacceptable, new_bytes: 0 };
        }
        let no_control = !segment.is_syn() && !segment.is_fin();
        if len <= 1 && no_control && start + 1 == self.snd_nxt && self.snd_una == self.snd_nxt {
            let kind = if self.zero_window { DataKind::Probe } else { DataKind::KeepAlive };
            return Placement { kind, new_bytes: 0 };
        }
        if len == 0 {
            return Placement { kind: DataKind::None, new_bytes: 0 };
        }
        let at_edge = start == self.snd_una || start == self.snd_nxt;
        let probe = self.zero_window && len == 1 && no_control && at_edge;
        let kind = if probe { DataKind::Probe } else { self.classify(start, end) };
        if kind.is_repeated() {
            self.retransmissions = self.retransmissions.saturating_add(1);
        }
        // The number first: it pulls what is too far behind into the reach of comparison.
        if end > self.snd_nxt {
            self.move_snd_nxt(end);
        }
        let new_bytes = self.record(start, end);
        if segment.is_fin() {
            self.note_fin(end);
        }
        Placement { kind, new_bytes }
    }

    /// Whether a segment that starts here can belong to the connection: not more than [`MAX_WINDOW`] behind `snd_nxt`,
    /// and beyond `snd_nxt` only as far as the largest window of the peer reaches from its last ACK. Where the
    /// handshake was not seen the scale of windows is not known, and the largest that exists is assumed.
    pub(super) fn in_window(&self, start: Seq, peer: &Self) -> bool {
        let ahead = start.distance(self.snd_nxt);
        if ahead <= 0 {
            return self.snd_nxt - start <= MAX_WINDOW;
        }
        if self.iss.is_none() || peer.iss.is_none() {
            return ahead.unsigned_abs() <= MAX_WINDOW;
        }
        // An ACK of bytes that were not seen counts: after a pause in the capture it leads the way back.
        let acked = peer.last_ack.unwrap_or(self.snd_una).max(self.snd_una);
        ahead.unsigned_abs() <= MAX_WINDOW && start <= acked + self.max_snd_wnd
    }

    fn classify(&mut self, start: Seq, end: Seq) -> DataKind {
        if start > self.snd_nxt {
            return DataKind::Gap;
        }
        match self.first_unseen(start, end) {
            Some(first) if first == self.snd_nxt => DataKind::New,
            Some(_) => DataKind::OutOfOrder,
            None if end <= self.snd_una => DataKind::Duplicate,
            None if start <= self.snd_una => {
                self.retries = self.retries.saturating_add(1);
                DataKind::Retransmission { nth: self.retries }
            }
            None => DataKind::Retransmission { nth: 0 },
        }
    }

    fn first_unseen(&self, start: Seq, end: Seq) -> Option<Seq> {
        let start = start.max(self.contiguous_end);
        if start >= end {
            return None;
        }
        self.rare.as_ref().map_or(Some(start), |rare| rare.ranges.first_unseen(start, end))
    }

    /// Records `start..end` as seen. Returns how many of its bytes are new.
    fn record(&mut self, start: Seq, end: Seq) -> u32 {
        let start = start.max(self.contiguous_end);
        if start >= end {
            return 0;
        }
        if start > self.contiguous_end {
            return self.rare.get_or_insert_default().ranges.insert(start, end);
        }
        let seen = self.rare.as_ref().map_or(0, |rare| rare.ranges.overlap(start, end));
        self.reach(end);
        (end - start).saturating_sub(seen)
    }

    /// Everything below `end` counts as sent.
    pub(super) fn reach(&mut self, end: Seq) {
        self.contiguous_end = match &mut self.rare {
            Some(rare) => rare.ranges.absorb(end),
            None => end,
        };
    }

    #[inline]
    fn move_snd_nxt(&mut self, end: Seq) {
        self.snd_nxt = end;
        self.fin = None;
        if self.flight_size() > MAX_WINDOW {
            self.drag();
        }
    }

    /// Pulls `snd_una` and the holes up to where the largest window begins.
    #[cold]
    fn drag(&mut self) {
        self.snd_una = self.snd_nxt - MAX_WINDOW;
        if self.snd_nxt - self.contiguous_end > MAX_WINDOW {
            self.reach(self.snd_una);
        }
    }

    /// The last byte before `end` is a FIN.
    fn note_fin(&mut self, end: Seq) {
        if end == self.snd_nxt {
            self.fin = Some(end - 1);
        }
    }
}
