//! The numbers behind plots: what each step of a `Trace` adds to the curves of its connection. Plots, tables of numbers and
//! pages read them.
//!
//! ```text
//!   a run --RunSteps--.
//!                      >--> Sampler --Sample--> Series      bounded, thinned: for pictures
//!   a capture --Trace-'                    '--> RowWriter   all of them, one at a time: for files of numbers
//! ```
//!
//! A [`Sampler`] keeps a few numbers for each connection and no packets. Its samples are of one direction each: `side` is
//! the sender of the data. An ACK counts where it reaches that sender: in a run when it is delivered, in a capture when it
//! passes the vantage point. cwnd, ssthresh, srtt and RTO are those that a host told; everything else is inferred from
//! the packets.

mod collect;
mod queues;
mod rows;
mod run;
mod sampler;
#[cfg(all(test, feature = "capture"))]
mod tests;

pub use collect::{Bin, FlowSeries, Series, SideSeries};
pub(crate) use rows::MOST_BINS;
pub use rows::RowWriter;
pub use run::{Happening, Links, RunSteps};
pub use sampler::Sampler;

use crate::annotate::Tag;
use crate::conversation::{DataKind, Kind, Kinds, Side};
use crate::event::LinkId;
use crate::segment::Flags;
use crate::time::Duration;
use crate::trace::SegmentStep;

/// What a segment is in a plot of sequence numbers. SYN, FIN and RST are seen by its flags, a loss by its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// It occupies no sequence space: a bare ACK, an RST.
    None,
    /// Data, SYN or FIN sent for the first time.
    New,
    /// Sent again and not acknowledged so far.
    Retransmission,
    /// Sent again though it was acknowledged, or copied by a link.
    Duplicate,
    /// It fills a hole: it was overtaken on the way.
    OutOfOrder,
    /// It asks whether the window is still zero.
    Probe,
    /// It asks whether the peer is still there.
    KeepAlive,
}

impl Mark {
    /// All marks, in the order of a legend.
    pub const ALL: [Self; 7] =
        [Self::None, Self::New, Self::Retransmission, Self::Duplicate, Self::OutOfOrder, Self::Probe, Self::KeepAlive];

    /// A stable name for files of numbers and pages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::New => "new",
            Self::Retransmission => "retransmission",
            Self::Duplicate => "duplicate",
            Self::OutOfOrder => "out-of-order",
            Self::Probe => "probe",
            Self::KeepAlive => "keep-alive",
        }
    }

    /// The mark of a segment, in the terms of Wireshark where it has them.
    pub fn of(segment: &SegmentStep) -> Self {
        let data = segment.seen.map_or(DataKind::None, |seen| seen.data);
        let kinds = segment.kinds;
        if segment.tag == Some(Tag::Copy) || kinds.contains(Kind::SpuriousRetransmission) {
            return Self::Duplicate;
        }
        if data == DataKind::Probe || kinds.contains(Kind::ZeroWindowProbe) {
            return Self::Probe;
        }
        if kinds.is_retransmission() {
            return Self::Retransmission;
        }
        if kinds.contains(Kind::OutOfOrder) {
            return Self::OutOfOrder;
        }
        if data == DataKind::KeepAlive || kinds.contains(Kind::KeepAlive) {
            return Self::KeepAlive;
        }
        let occupies = segment.payload > 0 || segment.flags.intersects(Flags::SYN | Flags::FIN);
        if occupies { Self::New } else { Self::None }
    }
}

/// What a plot is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlotKind {
    /// Sequence numbers over time: segments, ACKs and the window.
    Sequence,
    /// Flight size, advertised window, cwnd and ssthresh.
    Window,
    /// Round-trip times, SRTT and RTO.
    Rtt,
    /// Bits per second, sent and acknowledged.
    Throughput,
    /// The length of the queues of links.
    Queue,
}

impl PlotKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Sequence, Self::Window, Self::Rtt, Self::Throughput, Self::Queue];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sequence => "sequence",
            Self::Window => "window",
            Self::Rtt => "rtt",
            Self::Throughput => "throughput",
            Self::Queue => "queue",
        }
    }
}

/// SACK blocks of one segment, relative, in their order, from `left` up to but not including `right`.
pub type SackBlocks = [Option<(i64, i64)>; 4];

/// A segment that its sender sent, or that passed the vantage point of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentPoint {
    /// Nanoseconds since the first step of the capture, or since the beginning of the run.
    pub time: i64,
    /// The number of the flow.
    pub flow: usize,
    /// Its sender.
    pub side: Side,
    /// The number of the packet in the run, or of the record in the capture.
    pub packet: u64,
    /// SEG.SEQ, relative. It does not wrap: behind 2^32 it goes on.
    pub seq: i64,
    /// Bytes of data.
    pub len: u32,
    /// The length of the IP packet.
    pub wire_len: u32,
    /// The control bits.
    pub flags: Flags,
    /// SEG.ACK, relative to the other side, if it has one. It does not wrap.
    pub ack: Option<i64>,
    /// The window that it advertises in bytes, scaled if the scale is known.
    pub window: u32,
    /// Its SACK blocks.
    pub sack: SackBlocks,
    /// What it is.
    pub mark: Mark,
    /// The same in Wireshark's terms.
    pub kinds: Kinds,
    /// What a link does to it: on its own link, else on one behind a router.
    pub tag: Option<Tag>,
    /// Bytes directly before it that were not seen so far: lost before the vantage point, overtaken or not captured.
    pub missing: u32,
}

impl SegmentPoint {
    /// The sequence number behind its last byte. SYN and FIN count one each.
    pub fn end(&self) -> i64 {
        let control = [Flags::SYN, Flags::FIN].into_iter().filter(|flag| self.flags.contains(*flag)).count();
        self.seq + i64::from(self.len) + control as i64
    }

    /// True if it does not reach the other end of its link as it was sent.
    pub fn is_lost(&self) -> bool {
        self.tag.is_some_and(Tag::is_loss)
    }
}

/// An acknowledgment that reached the sender of the data, or passed the vantage point of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckPoint {
    /// As in [`SegmentPoint`].
    pub time: i64,
    /// The number of the flow.
    pub flow: usize,
    /// The side whose data it acknowledges.
    pub side: Side,
    /// SEG.ACK, relative, not wrapped.
    pub ack: i64,
    /// The window in bytes, scaled if the scale is known. Data may be sent up to `ack + window`.
    pub window: u32,
    /// Bytes of data that it acknowledges, also selectively, and that no ACK acknowledged before. SYN and FIN are not counted.
    pub newly_acked: u32,
    /// Its number in a row of duplicate ACKs, from 1, as Wireshark counts; 0 if it is none.
    pub dup_ack: u32,
    /// Its SACK blocks.
    pub sack: SackBlocks,
}

/// What is in flight and what may be, of one sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPoint {
    /// As in [`SegmentPoint`].
    pub time: i64,
    /// The number of the flow.
    pub flow: usize,
    /// The sender of the data.
    pub side: Side,
    /// Bytes sent and not acknowledged. Inferred from the packets.
    pub flight_size: u64,
    /// The window that the other side advertised last, in bytes. `None` if none was seen.
    pub window: Option<u32>,
    /// The congestion window in bytes, where the host told it.
    pub cwnd: Option<u64>,
    /// The slow start threshold in bytes, where the host told it.
    pub ssthresh: Option<u64>,
}

/// A round-trip time, or what its sender makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RttPoint {
    /// As in [`SegmentPoint`].
    pub time: i64,
    /// The number of the flow.
    pub flow: usize,
    /// The sender of the data.
    pub side: Side,
    /// From a segment to the ACK of it, without retransmitted ones (Karn's algorithm, RFC 6298, section 3). Inferred.
    /// In a capture it is the time at the vantage point: the whole round trip only at the sender.
    pub sample: Option<Duration>,
    /// SRTT, where the host told it.
    pub srtt: Option<Duration>,
    /// RTO, where the host told it.
    pub rto: Option<Duration>,
}

/// The length of the queue in front of a link, when a packet has entered or left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePoint {
    /// As in [`SegmentPoint`].
    pub time: i64,
    /// The direction of the link.
    pub link: LinkId,
    /// Packets that wait or are in transmission.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One number of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // It is handed on at once and not kept.
pub enum Sample {
    /// A segment.
    Segment(SegmentPoint),
    /// An acknowledgment.
    Ack(AckPoint),
    /// Flight size and windows.
    Window(WindowPoint),
    /// A round-trip time.
    Rtt(RttPoint),
    /// The queue of a link.
    Queue(QueuePoint),
}
