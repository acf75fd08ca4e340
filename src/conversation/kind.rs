//! What a segment is in Wireshark's terms: retransmission, fast retransmission, duplicate ACK, keep-alive.
//!
//! The conditions are those of the Wireshark User's Guide, section "TCP Analysis", and were compared with what tshark 4.0
//! prints. They differ from [`super::DataKind`] and [`super::AckKind`], which are exact for the bytes seen at the vantage
//! point: the kinds here also use the time. A segment that fills a hole a round trip later is a retransmission here, because
//! the original was lost before the vantage point. [`super::Stream`] calls [`Watch`] once for each segment.

use crate::segment::{Flags, Segment, Seq};
use crate::time::{Duration, Instant};

use super::Side;

/// One kind of segment. A segment can be of several kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Sent before, or fills a hole too late to be out of order.
    Retransmission,
    /// A retransmission within 20 ms of the second or a later duplicate ACK that asks for it.
    FastRetransmission,
    /// It has data, all of which was acknowledged before it passed again.
    SpuriousRetransmission,
    /// Below the next expected sequence number, but not later than a round trip (3 ms where none was measured).
    OutOfOrder,
    /// Starts above the next expected sequence number.
    PreviousNotCaptured,
    /// Acknowledges bytes that were not seen.
    AckedUnseen,
    /// Repeats the last ACK without data; [`Kinds::dup_ack`] counts them.
    DuplicateAck,
    /// Advertises a window of zero.
    ZeroWindow,
    /// One byte into a window of zero. A probe without data, as Linux sends it, is a keep-alive to Wireshark; see
    /// [`super::DataKind::Probe`].
    ZeroWindowProbe,
    /// Answers a zero-window probe; the window is still zero.
    ZeroWindowProbeAck,
    /// Acknowledges nothing new; only the window differs.
    WindowUpdate,
    /// Zero or one byte below the next expected sequence number.
    KeepAlive,
    /// Answers a keep-alive; the window is as before and not zero.
    KeepAliveAck,
    /// A retransmission whose bytes are not those of the original. Wireshark reports this in its reassembly.
    BytesDiffer,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 14;

    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Retransmission,
        Self::FastRetransmission,
        Self::SpuriousRetransmission,
        Self::OutOfOrder,
        Self::PreviousNotCaptured,
        Self::AckedUnseen,
        Self::DuplicateAck,
        Self::ZeroWindow,
        Self::ZeroWindowProbe,
        Self::ZeroWindowProbeAck,
        Self::WindowUpdate,
        Self::KeepAlive,
        Self::KeepAliveAck,
        Self::BytesDiffer,
    ];

    /// A stable name for JSON and tags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retransmission => "retransmission",
            Self::FastRetransmission => "fast-retransmission",
            Self::SpuriousRetransmission => "spurious-retransmission",
            Self::OutOfOrder => "out-of-order",
            Self::PreviousNotCaptured => "previous-not-captured",
            Self::AckedUnseen => "acked-unseen",
            Self::DuplicateAck => "duplicate-ack",
            Self::ZeroWindow => "zero-window",
            Self::ZeroWindowProbe => "zero-window-probe",
            Self::ZeroWindowProbeAck => "zero-window-probe-ack",
            Self::WindowUpdate => "window-update",
            Self::KeepAlive => "keep-alive",
            Self::KeepAliveAck => "keep-alive-ack",
            Self::BytesDiffer => "bytes-differ",
        }
    }

    /// True for the three kinds of retransmission.
    pub const fn is_retransmission(self) -> bool {
        matches!(self, Self::Retransmission | Self::FastRetransmission | Self::SpuriousRetransmission)
    }
}

/// The kinds of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Kinds {
    bits: u16,
    dup_ack: u32,
}

impl Kinds {
    /// True if the segment is of this kind.
    pub const fn contains(self, kind: Kind) -> bool {
        self.bits & (1 << kind as u16) != 0
    }

    /// True if the segment is of no special kind.
    pub const fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// True if the segment is one of the three kinds of retransmission.
    pub fn is_retransmission(self) -> bool {
        self.iter().any(Kind::is_retransmission)
    }

    /// The kinds, in the order of [`Kind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    /// The number of a duplicate ACK in its row, from 1; 0 if the segment is none.
    pub const fn dup_ack(self) -> u32 {
        self.dup_ack
    }

    pub(super) fn add(&mut self, kind: Kind) {
        self.bits |= 1 << kind as u16;
    }
}

/// The guide's limit between the last ACK and a fast retransmission.
const FAST: Duration = Duration::from_millis(20);
/// The guide's limit for a segment out of order where no round trip was measured.
const REORDERED: Duration = Duration::from_millis(3);

/// What is remembered of one direction. The names are those of the guide.
#[derive(Clone, Copy, Debug, Default)]
struct DirectionState {
    /// The next expected sequence number.
    next: Option<Seq>,
    /// When `next` last moved.
    next_at: Instant,
    /// The last-seen acknowledgment number, and when it was seen.
    last_ack: Option<Seq>,
    last_ack_at: Instant,
    /// The last-seen window, as it stands in the header.
    window: Option<u16>,
    /// Duplicate ACKs in a row.
    dup_acks: u32,
    /// Where a zero-window probe ends whose byte was not acknowledged so far. It does not move `next`.
    probed: Option<Seq>,
    /// What the last segment was.
    probe: bool,
    keep_alive: bool,
}

/// Follows both directions of one connection and names each segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    sides: [DirectionState; 2],
    syn_at: Option<Instant>,
    /// The time from the last SYN to the ACK that completes the handshake.
    initial_rtt: Option<Duration>,
}

impl Watch {
    /// Names a segment. `shift` is the window shift of the side that sent it.
    pub(super) fn observe(&mut self, now: Instant, from: Side, segment: &Segment<'_>) -> Kinds {
        self.measure(now, segment);
        let mut kinds = Kinds::default();
        let (own, peer) = (self.sides[from as usize], self.sides[from.other() as usize]);
        let control = segment.flags.intersects(Flags(Flags::SYN.0 | Flags::FIN.0 | Flags::RST.0));
        let len = segment.payload.len();
        let Segment { seq, ack, .. } = *segment;
        let end = segment.end();
        let at_next = own.next == Some(seq);
        let same_ack = segment.is_ack() && own.last_ack == Some(ack);
        let zero = segment.window == 0 && !control;
        if zero {
            kinds.add(Kind::ZeroWindow);
        }
        let probe = len == 1 && at_next && peer.window == Some(0) && !control;
        if probe {
            kinds.add(Kind::ZeroWindowProbe);
        }
        let keep_alive = len <= 1 && !control && own.next.is_some_and(|next| seq + 1 == next);
        if keep_alive {
            kinds.add(Kind::KeepAlive);
        }
        if own.next.is_some_and(|next| seq > next) && !segment.is_rst() {
            kinds.add(Kind::PreviousNotCaptured);
        }
        let takes_probe = segment.is_ack() && peer.probed == Some(ack) && peer.next.is_some_and(|next| ack > next);
        if segment.is_ack() && !takes_probe && peer.next.is_some_and(|next| ack > next) {
            kinds.add(Kind::AckedUnseen);
        }
        let mut dup_acks = 0;
        if len == 0 && !control && at_next && same_ack {
            let same_window = own.window == Some(segment.window);
            if segment.window == 0 && same_window && peer.probe {
                kinds.add(Kind::ZeroWindowProbeAck);
            } else if segment.window != 0 && same_window && peer.keep_alive {
                kinds.add(Kind::KeepAliveAck);
            } else if segment.window != 0 && own.window.is_some_and(|window| window != segment.window) {
                kinds.add(Kind::WindowUpdate);
                dup_acks = own.dup_acks;
            } else if segment.window != 0 && own.window == Some(segment.window) {
                dup_acks = own.dup_acks + 1;
                kinds.add(Kind::DuplicateAck);
                kinds.dup_ack = dup_acks;
            }
        } else if same_ack {
            dup_acks = own.dup_acks;
        }
        if !segment.is_empty() && !keep_alive && own.next.is_some_and(|next| seq < next) && !segment.is_rst() {
            let fast = peer.dup_acks >= 2 && peer.last_ack == Some(seq) && now - peer.last_ack_at < FAST;
            let spurious = len > 0 && peer.last_ack.is_some_and(|acked| end <= acked);
            let limit = self.initial_rtt.unwrap_or(REORDERED);
            kinds.add(if spurious {
                Kind::SpuriousRetransmission
            } else if fast {
                Kind::FastRetransmission
            } else if now - own.next_at < limit && own.next != Some(end) {
                Kind::OutOfOrder
            } else {
                Kind::Retransmission
            });
        }
        if takes_probe {
            self.sides[from.other() as usize].next = Some(ack);
        }
        let own = &mut self.sides[from as usize];
        if probe {
            own.probed = Some(end);
        } else if !segment.is_rst() && own.next.is_none_or(|next| end > next) {
            (own.next, own.next_at, own.probed) = (Some(end), now, None);
        }
        if segment.is_ack() {
            (own.last_ack, own.last_ack_at) = (Some(ack), now);
        }
        own.window = Some(segment.window);
        (own.dup_acks, own.probe, own.keep_alive) = (dup_acks, probe, keep_alive);
        kinds
    }

    fn measure(&mut self, now: Instant, segment: &Segment<'_>) {
        if segment.is_syn() && !segment.is_ack() {
            self.syn_at = Some(now);
        } else if self.initial_rtt.is_none() && segment.is_ack() && !segment.is_syn() {
            self.initial_rtt = self.syn_at.map(|at| now - at);
        }
    }
}
