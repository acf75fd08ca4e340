//! The samples of a trace, kept for pictures. When there are too many, those that fall on the same spot of a fine grid are
//! joined, so that memory has a bound and a picture looks the same.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use super::{AckPoint, Mark, QueuePoint, RttPoint, Sample, SegmentPoint, WindowPoint};
use crate::conversation::Side;
use crate::event::LinkId;
use crate::segment::Flags;
use crate::trace::Trace;

/// Points that are kept. When there are more, they are thinned out.
const MOST_POINTS: usize = 1 << 18;
/// Connections and links of which points are kept.
const MOST_FLOWS: usize = 1 << 10;
/// Cells of the grid at first: some for each pixel of a wide picture.
const CELLS: i64 = 1 << 12;
/// The width of the first bins of throughput in nanoseconds: a millisecond.
const FIRST_BIN: i64 = 1_000_000;
/// Bins that are kept. When there are more, ten become one.
const MOST_BINS: usize = 1 << 16;

/// All samples of a trace, thinned out where there are too many for a picture.
#[derive(Debug)]
pub struct Series {
    flows: BTreeMap<usize, FlowSeries>,
    queues: BTreeMap<LinkId, Vec<QueuePoint>>,
    bin_width: i64,
    points: usize,
    bins: usize,
    most_points: usize,
    thinned: bool,
    /// No connection is taken that has no points so far.
    full: bool,
    left_out: u64,
}

/// One connection.
#[derive(Clone, Debug)]
pub struct FlowSeries {
    /// Its number in the trace.
    pub number: usize,
    /// Both ends, the left one first.
    pub ends: [SocketAddr; 2],
    /// The data of each side.
    pub sides: [SideSeries; 2],
}

/// The data that one side of a connection sends.
#[derive(Clone, Debug, Default)]
pub struct SideSeries {
    /// Segments that it sent. One that stands for several is as long as all of them.
    pub segments: Vec<SegmentPoint>,
    /// ACKs that it received.
    pub acks: Vec<AckPoint>,
    /// Its flight size and windows.
    pub windows: Vec<WindowPoint>,
    /// Its round-trip times.
    pub rtts: Vec<RttPoint>,
    /// What it sent and what was acknowledged, by the number of the bin: `time / Series::bin_width()`, rounded down.
    pub bins: BTreeMap<i64, Bin>,
    /// Bytes of data that it sent, repeated ones included.
    pub bytes: u64,
    /// Segments that it sent.
    pub sent: u64,
    /// Of these, how many did not reach the other end of their link as they were sent.
    pub lost: u64,
    marks: [u64; Mark::ALL.len()],
}

impl SideSeries {
    /// Segments of one kind that it sent, also where points were joined.
    pub fn count(&self, mark: Mark) -> u64 {
        self.marks[mark as usize]
    }
}

/// Bytes of a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Bin {
    /// Of IP packets that were sent: headers and retransmissions included.
    pub sent: u64,
    /// Of data that was acknowledged for the first time.
    pub acked: u64,
}

impl FlowSeries {
    /// The series of one side.
    pub fn side(&self, side: Side) -> &SideSeries {
        &self.sides[side]
    }
}

impl Default for Series {
    fn default() -> Self {
        Self {
            flows: BTreeMap::new(),
            queues: BTreeMap::new(),
            bin_width: FIRST_BIN,
            points: 0,
            bins: 0,
            most_points: MOST_POINTS,
            thinned: false,
            full: false,
            left_out: 0,
        }
    }
}

impl Series {
    /// Series without points.
    pub fn new() -> Self {
        Self::default()
    }

    /// Series of at most so many points, for a page that has a size.
    #[must_use]
    pub fn with_limit(points: usize) -> Self {
        Self { most_points: points.max(1), ..Self::default() }
    }

    /// The connections, by their numbers.
    pub fn flows(&self) -> impl ExactSizeIterator<Item = &FlowSeries> {
        self.flows.values()
    }

    /// The queues of links, by their numbers.
    pub fn queues(&self) -> impl ExactSizeIterator<Item = (LinkId, &[QueuePoint])> {
        self.queues.iter().map(|(link, points)| (*link, points.as_slice()))
    }

    /// The width of the bins of throughput in nanoseconds: 1 ms, 10 ms and so on.
    pub fn bin_width(&self) -> i64 {
        self.bin_width
    }

    /// The width of the bins of a picture of throughput in nanoseconds: 1, 2 or 5 with zeros, so that there are at most so
    /// many bins. The bins kept here add up to them.
    pub fn wide_bin_width(&self, most: i64) -> i64 {
        let numbers = self.flows.values().flat_map(|flow| &flow.sides).flat_map(|side| side.bins.keys());
        let (first, last) = numbers.fold((i64::MAX, i64::MIN), |(first, last), at| (first.min(*at), last.max(*at)));
        let bins = last.saturating_sub(first).saturating_add(1);
        let mut factor = 1_i64;
        loop {
            for step in [1, 2, 5] {
                if bins / (factor * step) < most.max(1) {
                    return self.bin_width.saturating_mul(factor * step);
                }
            }
            factor *= 10;
        }
    }

    /// The bins of one side with a width of [`Series::wide_bin_width`], by the number of the bin.
    pub fn wide_bins(&self, side: &SideSeries, width: i64) -> BTreeMap<i64, Bin> {
        let joined = (width / self.bin_width).max(1);
        let mut wide: BTreeMap<i64, Bin> = BTreeMap::new();
        for (number, bin) in &side.bins {
            let sum = wide.entry(number.div_euclid(joined)).or_default();
            (sum.sent, sum.acked) = (sum.sent + bin.sent, sum.acked + bin.acked);
        }
        wide
    }

    /// Points that fell on one spot were joined.
    pub fn is_thinned(&self) -> bool {
        self.thinned
    }

    /// Samples of connections and links that were not kept, because there are too many others.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes the next sample of a trace.
    pub fn take(&mut self, trace: &Trace, sample: &Sample) {
        let (flow, side) = match sample {
            Sample::Segment(SegmentPoint { flow, side, .. })
            | Sample::Ack(AckPoint { flow, side, .. })
            | Sample::Window(WindowPoint { flow, side, .. })
            | Sample::Rtt(RttPoint { flow, side, .. }) => (*flow, *side),
            Sample::Queue(point) => {
                if self.queues.len() >= MOST_FLOWS && !self.queues.contains_key(&point.link) {
                    self.left_out += 1;
                    return;
                }
                self.queues.entry(point.link).or_default().push(*point);
                return self.count();
            }
        };
        if !self.flows.contains_key(&flow) {
            let Some(known) = trace.flow(flow).filter(|_| !self.full && self.flows.len() < MOST_FLOWS) else {
                self.left_out += 1;
                return;
            };
            self.flows.insert(flow, FlowSeries { number: flow, ends: known.ends, sides: Default::default() });
        }
        let Some(series) = self.flows.get_mut(&flow).map(|flow| &mut flow.sides[side]) else { return };
        let (bins, width) = (series.bins.len(), self.bin_width);
        match *sample {
            Sample::Segment(point) => {
                series.bytes += u64::from(point.len);
                series.sent += 1;
                series.lost += u64::from(point.is_lost());
                series.marks[point.mark as usize] += 1;
                series.bins.entry(point.time.div_euclid(width)).or_default().sent += u64::from(point.wire_len);
                series.segments.push(point);
            }
            Sample::Ack(point) => {
                if point.newly_acked > 0 {
                    series.bins.entry(point.time.div_euclid(width)).or_default().acked += u64::from(point.newly_acked);
                }
                series.acks.push(point);
            }
            Sample::Window(point) => series.windows.push(point),
            Sample::Rtt(point) => series.rtts.push(point),
            Sample::Queue(_) => {}
        }
        self.bins += series.bins.len() - bins;
        while self.bins > MOST_BINS {
            self.widen();
        }
        self.count();
    }

    fn count(&mut self) {
        self.points += 1;
        if self.points > self.most_points {
            self.thin();
        }
    }

    /// Makes one bin of ten. A stretch of time is at least as long as before, so this comes to an end.
    #[cold]
    fn widen(&mut self) {
        self.bin_width = self.bin_width.saturating_mul(10);
        self.bins = 0;
        for series in self.flows.values_mut().flat_map(|flow| &mut flow.sides) {
            let mut wide: BTreeMap<i64, Bin> = BTreeMap::new();
            for (number, bin) in core::mem::take(&mut series.bins) {
                let sum = wide.entry(number.div_euclid(10)).or_default();
                (sum.sent, sum.acked) = (sum.sent + bin.sent, sum.acked + bin.acked);
            }
            self.bins += wide.len();
            series.bins = wide;
        }
    }

    /// Joins points that fall on one spot, with a grid as coarse as it must be to halve their number.
    #[cold]
    fn thin(&mut self) {
        self.thinned = true;
        let mut cells = CELLS;
        loop {
            let grid = Grid::of(self, cells);
            let flows = self.flows.values_mut().flat_map(|flow| &mut flow.sides);
            let kept: usize = flows.map(|side| side.thin(&grid)).sum();
            let queues: usize = self.queues.values_mut().map(|points| thin_queue(points, &grid)).sum();
            self.points = kept + queues;
            if self.points <= self.most_points / 2 || cells <= 1 {
                break;
            }
            cells /= 2;
        }
        // So many connections have so little each that nothing more can be joined: no other one is taken.
        self.full |= self.points > self.most_points / 2;
        self.most_points = self.most_points.max(self.points * 2);
    }
}

/// How large the spots of a picture are: what falls into one looks alike.
struct Grid {
    time: i64,
    seq: i64,
}

impl Grid {
    fn of(series: &Series, cells: i64) -> Self {
        let (mut first, mut last, mut seq) = (i64::MAX, i64::MIN, 0);
        let mut note = |time: i64| (first, last) = (first.min(time), last.max(time));
        for side in series.flows.values().flat_map(|flow| &flow.sides) {
            side.segments.iter().for_each(|point| note(point.time));
            side.acks.iter().for_each(|point| note(point.time));
            seq = side.segments.iter().fold(seq, |most, point| most.max(point.end()));
        }
        series.queues.values().flatten().for_each(|point| note(point.time));
        Self { time: (last.saturating_sub(first) / cells).max(1), seq: (seq / cells).max(1) }
    }
}

impl SideSeries {
    /// Joins what falls on one spot. Gives how many points are left.
    fn thin(&mut self, grid: &Grid) -> usize {
        self.thin_segments(grid);
        let column = |time: i64| time.div_euclid(grid.time);
        thin_columns(&mut self.acks, |point| (column(point.time), point.ack + i64::from(point.window)));
        thin_columns(&mut self.windows, |point| (column(point.time), point.flight_size as i64));
        thin_columns(&mut self.rtts, |point| {
            let shown = point.sample.or(point.srtt).or(point.rto).unwrap_or_default();
            (column(point.time), shown.as_nanos() as i64)
        });
        self.segments.len() + self.acks.len() + self.windows.len() + self.rtts.len()
    }

    /// Joins segments of one kind that nearly touch each other within a column.
    fn thin_segments(&mut self, grid: &Grid) {
        let mut kept: Vec<SegmentPoint> = Vec::new();
        // The last kept one of each kind.
        let mut last: BTreeMap<(Mark, u8, bool), usize> = BTreeMap::new();
        for point in &self.segments {
            let class = (point.mark, point.flags.0 & CONTROL.0, point.is_lost());
            let before = last.get(&class).and_then(|at| kept.get_mut(*at));
            let column = |point: &SegmentPoint| point.time.div_euclid(grid.time);
            if let Some(before) =
                before.filter(|before| column(before) == column(point) && gap(before, point) <= grid.seq)
            {
                let (start, end) = (before.seq.min(point.seq), before.end().max(point.end()));
                let control = before.end() - before.seq - i64::from(before.len);
                before.seq = start;
                before.len = (end - start - control).clamp(0, i64::from(u32::MAX)) as u32;
                before.missing = before.missing.max(point.missing);
            } else {
                last.insert(class, kept.len());
                kept.push(*point);
            }
        }
        self.segments = kept;
    }
}

/// Control bits that are drawn.
const CONTROL: Flags = Flags(Flags::SYN.0 | Flags::FIN.0 | Flags::RST.0);

/// Sequence numbers between two segments; negative if they overlap.
fn gap(one: &SegmentPoint, other: &SegmentPoint) -> i64 {
    (other.seq - one.end()).max(one.seq - other.end())
}

/// Of each run of points in one column, keeps the first, the lowest, the highest and the last. `place` gives the column and
/// the value.
fn thin_columns<T: Copy>(points: &mut Vec<T>, place: impl Fn(&T) -> (i64, i64)) {
    let mut kept: Vec<T> = Vec::new();
    for run in points.chunk_by(|one, next| place(one).0 == place(next).0) {
        let value = |at: &usize| place(&run[*at]).1;
        let least = (0..run.len()).min_by_key(value).unwrap_or_default();
        let most = (0..run.len()).max_by_key(value).unwrap_or_default();
        let mut ends = [0, least, most, run.len() - 1];
        ends.sort_unstable();
        for (nth, at) in ends.into_iter().enumerate() {
            if nth == 0 || ends[nth - 1] != at {
                kept.push(run[at]);
            }
        }
    }
    *points = kept;
}

fn thin_queue(points: &mut Vec<QueuePoint>, grid: &Grid) -> usize {
    thin_columns(points, |point| (point.time.div_euclid(grid.time), point.packets as i64));
    points.len()
}
