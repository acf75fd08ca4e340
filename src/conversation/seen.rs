//! What a segment is, relative to the earlier segments of its connection.
//!
//! A segment has two sides to it: the sequence space that it occupies ([`DataKind`]) and the acknowledgment that it
//! carries ([`AckKind`]). The two are independent: a retransmission can bring a fresh acknowledgment. The words printed
//! are those of the RFCs, and of packet analysers where the RFCs have none.

use core::fmt;

use crate::segment::Seq;

/// What [`super::Conversation::observe`] found out about one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// What its sequence space is.
    pub data: DataKind,
    /// What its acknowledgment is.
    pub ack: AckKind,
    /// SEG.SEQ.
    pub start: Seq,
    /// SEG.SEQ + SEG.LEN: an acknowledgment of this number or a later one covers the segment. An RST occupies nothing.
    pub end: Seq,
    /// Bytes of sequence space (SYN and FIN count one each) that were not seen before.
    pub new_bytes: u32,
    /// True if the segment is a SYN that began a new connection on the same pair of sockets: the variables were reset.
    pub restarted: bool,
}

impl Seen {
    /// Bytes of sequence space that the segment acknowledges and that no segment acknowledged before.
    pub const fn newly_acked(&self) -> u32 {
        match self.ack {
            AckKind::Advance { bytes } => bytes,
            _ => 0,
        }
    }

    /// Bytes of sequence space of the segment that were seen before; 0 for one that was not taken.
    pub fn repeated_bytes(&self) -> u32 {
        match self.data {
            DataKind::Unacceptable => 0,
            _ => (self.end - self.start).saturating_sub(self.new_bytes),
        }
    }
}

/// What the sequence space of a segment is.
///
/// A segment that is partly new and partly seen is named after **its first byte never seen before**: a retransmission
/// that was packed together with new data is `New`, one that fills a hole on the way is `OutOfOrder`. Only a segment
/// without any new byte is `Retransmission` or `Duplicate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataKind {
    /// Occupies no sequence space: a bare ACK, an RST.
    None,
    /// In order: its first new byte is at `snd_nxt`.
    New,
    /// Starts beyond `snd_nxt`: something before it was lost, overtaken, or not captured.
    Gap,
    /// Holds bytes below `snd_nxt` that were never seen: it fills a hole, or a part of one.
    OutOfOrder,
    /// All of it was seen before, and not all of it is acknowledged. A SYN|ACK that repeats the SYN of a simultaneous
    /// open counts here as well.
    Retransmission {
        /// The how-manieth in a row of the byte at `snd_una`, from 1, since `snd_una` last moved; 0 if the segment
        /// does not hold that byte (one of several losses repaired by SACK).
        nth: u32,
    },
    /// All of it was seen before and acknowledged: the retransmission was spurious, or the network duplicated it.
    Duplicate,
    /// The window is zero and one byte is sent at its right edge, for the first time or again (RFC 9293, section
    /// 3.8.6.1). What looks like a keep-alive counts as a probe too while the window is zero: Linux probes so.
    Probe,
    /// Nothing is outstanding and the segment has 0 or 1 bytes at `snd_nxt - 1` (RFC 9293, section 3.8.4).
    KeepAlive,
    /// Belongs to no window that can be open, or is a SYN in the midst of an open connection (RFC 5961, section 4), or
    /// an RST that no receiver takes. No variable moved: neither its data nor its acknowledgment were taken.
    Unacceptable,
}

/// What the acknowledgment of a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AckKind {
    /// The segment has none, or none that counts (RST, unacceptable segment).
    None,
    /// Moves `snd_una`.
    Advance {
        /// Bytes of sequence space newly acknowledged, SYN and FIN included.
        bytes: u32,
    },
    /// A duplicate ACK by RFC 5681, section 2; which one in a row, from 1, "without any intervening ACKs which move
    /// SND.UNA" (section 3.2).
    Duplicate(u32),
    /// Acknowledges nothing new and carries nothing, but the window is another one.
    WindowUpdate,
    /// Below `snd_una`: overtaken by a later one.
    Old,
    /// Above `snd_nxt`: acknowledges bytes that were never seen here. The variables of the acknowledged side stay.
    BeyondSent,
    /// Repeats the current acknowledgment without being any of the above, or acknowledges a side not seen so far.
    Plain,
}

impl DataKind {
    /// True for a segment all of which was seen before: sent again, or delivered twice. At its sender the count of
    /// these is exact; [`super::Kind`] is Wireshark's kind of it.
    pub const fn is_repeated(self) -> bool {
        matches!(self, Self::Retransmission { .. } | Self::Duplicate)
    }
}

impl fmt::Display for DataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no data",
            Self::New => "in order",
            Self::Gap => "previous segment not seen",
            Self::OutOfOrder => "out of order",
            Self::Retransmission { nth: 0 } => "retransmission",
            Self::Retransmission { nth } => return write!(f, "retransmission {nth}"),
            Self::Duplicate => "spurious retransmission",
            Self::Probe => "zero-window probe",
            Self::KeepAlive => "keep-alive",
            Self::Unacceptable => "unacceptable segment",
        })
    }
}

impl fmt::Display for AckKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no ACK",
            Self::Advance { bytes: 1 } => "acknowledges 1 byte",
            Self::Advance { bytes } => return write!(f, "acknowledges {bytes} bytes"),
            Self::Duplicate(n) => return write!(f, "duplicate ACK {n}"),
            Self::WindowUpdate => "window update",
            Self::Old => "old ACK",
            Self::BeyondSent => "ACK of bytes not seen",
            Self::Plain => "ACK",
        })
    }
}

impl fmt::Display for Seen {
    /// `retransmission 2, acknowledges 10 bytes`: what is silent about itself (no data, a repeated ACK beside data) is
    /// left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.data, self.ack) {
            (data, AckKind::None | AckKind::Plain) if data != DataKind::None => data.fmt(f),
            (DataKind::None, AckKind::None) => DataKind::None.fmt(f),
            (DataKind::None, ack) => ack.fmt(f),
            (data, ack) => write!(f, "{data}, {ack}"),
        }
    }
}
