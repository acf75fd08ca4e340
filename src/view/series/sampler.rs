//! Makes samples of steps, one at a time. It keeps for each connection where both sides stand, and in a run the segments
//! that are on their way. All of it has a bound.

use std::collections::{BTreeMap, VecDeque};

use super::queues::Queues;
use super::{AckPoint, Mark, QueuePoint, RttPoint, SackBlocks, Sample, SegmentPoint, WindowPoint};
use crate::annotate::{Tag, Variables};
use crate::conversation::{DataKind, Side};
use crate::segment::Flags;
use crate::time::{Duration, Instant};
use crate::trace::{Content, SegmentStep, Step, Trace, Vantage};

/// Connections of which is kept where they stand. Of more, those that began first are forgotten; what comes of them later
/// begins anew.
const MOST_FLOWS: usize = 1 << 14;
/// Segments of a run that are on their way.
const MOST_ON_THE_WAY: usize = 1 << 16;
/// Ranges of one side that are acknowledged selectively.
const MOST_SACKED: usize = 1 << 10;
/// Segments of one side whose ACK is waited for, to measure a round trip.
const MOST_MEASURED: usize = 1 << 12;

/// Makes samples of the steps of one trace.
#[derive(Debug, Default)]
pub struct Sampler {
    flows: BTreeMap<usize, [SideState; 2]>,
    /// By the number of the packet.
    on_the_way: BTreeMap<u64, Acknowledging>,
    queues: Queues,
}

/// Where the data of one side stand.
#[derive(Debug, Default)]
struct SideState {
    /// The end of what was sent.
    nxt: Option<i64>,
    /// What is acknowledged.
    una: Option<i64>,
    /// The number behind its FIN.
    fin: Option<i64>,
    /// What is acknowledged selectively above `una`: ranges by their first numbers, and the numbers behind them.
    sacked: BTreeMap<i64, i64>,
    /// The last window that the other side advertised.
    window: Option<u32>,
    /// What the host told last.
    cwnd: Option<u64>,
    ssthresh: Option<u64>,
    srtt: Option<Duration>,
    rto: Option<Duration>,
    /// Segments that wait for their ACK, in the order of their ends.
    measured: VecDeque<Measured>,
    /// The last sample of the windows.
    last: Option<WindowPoint>,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    start: i64,
    end: i64,
    sent: i64,
    /// Sent more than once: an ACK of it measures nothing.
    again: bool,
}

/// What a segment tells the other side.
#[derive(Clone, Copy, Debug)]
struct Acknowledging {
    flow: usize,
    from: Side,
    ack: i64,
    window: u32,
    dup_ack: u32,
    sack: SackBlocks,
}

/// A relative number of 32 bits as one that does not wrap: the nearest to the last one.
fn unwrapped(last: i64, relative: u32) -> i64 {
    last + i64::from(relative.wrapping_sub(last as u32) as i32)
}

impl Sampler {
    /// A sampler that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next step of a trace. Its samples are given to `take`, in the order of their times.
    pub fn step(&mut self, trace: &Trace, step: &Step, mut take: impl FnMut(Sample)) {
        let time = trace.since_ladder_origin(step.at);
        self.queues.leave_until(time, |point| take(Sample::Queue(point)));
        match &step.content {
            Content::Segment(segment) => {
                if let Some(flow) = step.flow {
                    self.segment(time, flow, step.vantage, segment, &mut take);
                }
            }
            Content::LinkQueue { link, packets, bytes, empty_at } => {
                let point = QueuePoint { time, link: *link, packets: *packets, bytes: *bytes };
                self.queues.report(&point, trace.since_ladder_origin(*empty_at));
                take(Sample::Queue(point));
            }
            _ => {}
        }
    }

    /// The end: gives the samples of what happens after the last step.
    pub fn finish(&mut self, mut take: impl FnMut(Sample)) {
        self.queues.leave_until(i64::MAX, |point| take(Sample::Queue(point)));
    }

    /// A packet of a run has reached the host at the other end of its connection.
    pub fn arrived(&mut self, trace: &Trace, at: Instant, packet: u64, mut take: impl FnMut(Sample)) {
        let time = trace.since_ladder_origin(at);
        self.queues.leave_until(time, |point| take(Sample::Queue(point)));
        if let Some(told) = self.on_the_way.remove(&packet) {
            self.acknowledge(time, &told, &mut take);
        }
    }

    fn segment(
        &mut self,
        time: i64,
        flow: usize,
        vantage: Vantage,
        segment: &SegmentStep,
        take: &mut impl FnMut(Sample),
    ) {
        // A segment that its connection did not take has no place in its sequence space.
        let Some(seen) = segment.seen else { return };
        let taken = seen.data != DataKind::Unacceptable;
        if self.flows.len() >= MOST_FLOWS && !self.flows.contains_key(&flow) {
            self.flows.pop_first();
        }
        let sides = self.flows.entry(flow).or_default();
        if seen.restarted {
            *sides = Default::default();
        }
        let side = segment.from;
        let peer = &sides[side.other()];
        let ack = segment.ack.map(|ack| unwrapped(peer.una.or(peer.nxt).unwrap_or(0), ack));
        let sack = sack_blocks(segment, ack);
        let own = &mut sides[side];
        let seq = unwrapped(own.nxt.unwrap_or(0), segment.seq);
        let mark = Mark::of(segment);
        // A loss behind a router counts, whatever the first link does.
        let behind = segment.behind.map(|(_, tag)| tag);
        let tag = behind.filter(|tag| tag.is_loss()).or(segment.tag).or(behind);
        let mut point = SegmentPoint {
            time,
            flow,
            side,
            packet: segment.packet,
            seq,
            len: segment.payload as u32,
            wire_len: segment.len,
            flags: segment.flags,
            ack,
            window: segment.window,
            sack,
            mark,
            kinds: segment.kinds,
            tag,
            missing: 0,
        };
        if taken && !segment.flags.contains(Flags::RST) {
            point.missing = own.nxt.map_or(0, |nxt| (seq - nxt).clamp(0, i64::from(u32::MAX)) as u32);
            own.send(&point);
        }
        let variables = segment.variables.unwrap_or_default();
        let told = own.tell(&variables);
        take(Sample::Segment(point));
        if told {
            let (srtt, rto) = (variables.srtt, variables.rto);
            take(Sample::Rtt(RttPoint { time, flow, side, sample: None, srtt, rto }));
        }
        if let Some(window) = own.window_point(time, flow, side) {
            take(Sample::Window(window));
        }
        let arrives = taken && !tag.is_some_and(Tag::is_loss) && !segment.flags.contains(Flags::RST);
        let Some(ack) = ack.filter(|_| arrives) else { return };
        let (window, dup_ack) = (segment.window, segment.kinds.dup_ack());
        let told = Acknowledging { flow, from: side, ack, window, dup_ack, sack };
        match vantage {
            Vantage::Capture => self.acknowledge(time, &told, take),
            Vantage::Host(_) => {
                self.on_the_way.insert(segment.packet, told);
                if self.on_the_way.len() > MOST_ON_THE_WAY {
                    self.on_the_way.pop_first();
                }
            }
        }
    }

    fn acknowledge(&mut self, time: i64, told: &Acknowledging, take: &mut impl FnMut(Sample)) {
        let Acknowledging { flow, from, ack, window, dup_ack, sack } = *told;
        let side = from.other();
        let Some(sides) = self.flows.get_mut(&flow) else { return };
        let own = &mut sides[side];
        let before = own.una;
        let sample = own.acknowledged(time, ack);
        own.window = Some(window);
        let newly_acked = own.newly_acked(before, ack, &sack);
        take(Sample::Ack(AckPoint { time, flow, side, ack, window, newly_acked, dup_ack, sack }));
        if let Some(sample) = sample {
            take(Sample::Rtt(RttPoint { time, flow, side, sample: Some(sample), srtt: None, rto: None }));
        }
        if let Some(point) = own.window_point(time, flow, side) {
            take(Sample::Window(point));
        }
    }
}

impl SideState {
    /// A segment of this side.
    fn send(&mut self, point: &SegmentPoint) {
        let (start, end) = (point.seq, point.end());
        self.una.get_or_insert(start);
        let nxt = self.nxt.get_or_insert(start);
        let keeps_alive = matches!(point.mark, Mark::KeepAlive | Mark::Probe);
        if start >= end || keeps_alive {
            return;
        }
        if end > *nxt && start >= *nxt {
            self.measured.push_back(Measured { start, end, sent: point.time, again: false });
            if self.measured.len() > MOST_MEASURED {
                self.measured.pop_front();
            }
        } else {
            // They are in the order of their ends, so the last ones are looked at only.
            for measured in self.measured.iter_mut().rev().take_while(|measured| measured.end > start) {
                measured.again |= measured.start < end;
            }
        }
        *nxt = (*nxt).max(end);
        if point.flags.contains(Flags::FIN) {
            self.fin = Some(end);
        }
    }

    /// Bytes of data that an ACK acknowledges for the first time, at once or selectively. Those of SYN and FIN are none.
    fn newly_acked(&mut self, una: Option<i64>, ack: i64, sack: &SackBlocks) -> u32 {
        let Some(una) = una else { return 0 };
        let mut bytes = 0;
        if ack > una {
            let fin = self.fin.is_some_and(|fin| una < fin && fin <= ack);
            bytes += (ack - una.max(1) - i64::from(fin)).max(0);
            while let Some(range) = self.sacked.first_entry().filter(|range| *range.key() < ack) {
                let (left, right) = range.remove_entry();
                bytes -= right.min(ack) - left;
                if right > ack {
                    self.sacked.insert(ack, right);
                }
            }
        }
        for (left, right) in sack.iter().flatten() {
            bytes += self.sack((*left).max(ack), *right);
        }
        bytes.clamp(0, i64::from(u32::MAX)) as u32
    }

    /// Adds a range. Gives how many of its bytes are new.
    fn sack(&mut self, mut left: i64, mut right: i64) -> i64 {
        if left >= right || self.sacked.len() >= MOST_SACKED {
            return 0;
        }
        let mut known = 0;
        while let Some((start, end)) = self.sacked.range(..=right).next_back().map(|(start, end)| (*start, *end)) {
            if end < left {
                break;
            }
            self.sacked.remove(&start);
            known += end - start;
            (left, right) = (left.min(start), right.max(end));
        }
        self.sacked.insert(left, right);
        right - left - known
    }

    /// What the host tells of itself. True if its round-trip times are others than before.
    fn tell(&mut self, variables: &Variables) -> bool {
        self.cwnd = variables.cwnd.or(self.cwnd);
        self.ssthresh = variables.ssthresh.or(self.ssthresh);
        let before = (self.srtt, self.rto);
        self.srtt = variables.srtt.or(self.srtt);
        self.rto = variables.rto.or(self.rto);
        (self.srtt, self.rto) != before && (variables.srtt.is_some() || variables.rto.is_some())
    }

    /// An ACK for this side. Gives the round-trip time that it measures.
    fn acknowledged(&mut self, time: i64, ack: i64) -> Option<Duration> {
        if self.una.is_some_and(|una| ack <= una) {
            return None;
        }
        self.una = Some(ack);
        let (mut sample, mut again) = (None, false);
        while let Some(measured) = self.measured.pop_front_if(|measured| measured.end <= ack) {
            again |= measured.again;
            sample = Some(measured.sent);
        }
        // Beside a retransmission, the others may have arrived long ago.
        let sent = sample.filter(|_| !again)?;
        u64::try_from(time - sent).ok().map(Duration::from_nanos)
    }

    /// A point of the window plot, if something in it is another than at the last one.
    fn window_point(&mut self, time: i64, flow: usize, side: Side) -> Option<WindowPoint> {
        let (nxt, una) = (self.nxt?, self.una?);
        let flight_size = (nxt - una).max(0) as u64;
        let (window, cwnd, ssthresh) = (self.window, self.cwnd, self.ssthresh);
        let point = WindowPoint { time, flow, side, flight_size, window, cwnd, ssthresh };
        let before = self.last.replace(point);
        (before.map(|before| WindowPoint { time, ..before }) != Some(point)).then_some(point)
    }
}

/// The SACK blocks of a segment, by numbers that do not wrap.
fn sack_blocks(segment: &SegmentStep, ack: Option<i64>) -> SackBlocks {
    let mut blocks = [None; 4];
    let near = ack.unwrap_or(0);
    for (block, (left, right)) in blocks.iter_mut().zip(&segment.sacked) {
        *block = Some((unwrapped(near, *left), unwrapped(near, *right)));
    }
    blocks
}
