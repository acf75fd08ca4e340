//! The numbers behind a plot as rows of CSV: one for each sample of the kind, with nothing joined or left out. The columns
//! are described in docs/views.md; those of `sequence` begin with what tshark prints as `frame.time_relative`, `tcp.seq`
//! and `tcp.len`.

use core::fmt::Write as _;

use super::{PlotKind, Sample, SegmentPoint, Series};
use crate::event::LinkId;
use crate::time::Duration;
use crate::view::label::flags;

/// Bins of a plot of throughput, at most.
pub(crate) const MOST_BINS: i64 = 120;

/// Writes rows of one kind.
#[derive(Clone, Copy, Debug)]
pub struct RowWriter {
    kind: PlotKind,
}

impl RowWriter {
    /// A writer for the numbers of this plot.
    pub const fn new(kind: PlotKind) -> Self {
        Self { kind }
    }

    /// The first line: the names of the columns.
    pub fn header(&self) -> &'static str {
        match self.kind {
            PlotKind::Sequence => "time_s,seq,len,stream,from,packet,flags,ack,window,kind,analysis,link,sack\n",
            PlotKind::Window => "time_s,stream,side,flight_size,window,cwnd,ssthresh\n",
            PlotKind::Rtt => "time_s,stream,side,rtt_s,srtt_s,rto_s\n",
            PlotKind::Throughput => "time_s,width_s,stream,side,sent_bytes,acked_bytes\n",
            PlotKind::Queue => "time_s,link,packets,bytes\n",
        }
    }

    /// Writes the row of a sample, if it is of this kind. `link` names links.
    pub fn row(&self, sample: &Sample, link: impl Fn(LinkId) -> String, out: &mut String) {
        let written = match (self.kind, sample) {
            (PlotKind::Sequence, Sample::Segment(point)) => segment(point, out),
            (PlotKind::Window, Sample::Window(point)) => writeln!(
                out,
                "{},{},{},{},{},{},{}",
                Seconds(point.time),
                point.flow,
                point.side as usize,
                point.flight_size,
                Maybe(point.window),
                Maybe(point.cwnd),
                Maybe(point.ssthresh)
            ),
            (PlotKind::Rtt, Sample::Rtt(point)) => {
                let time = |time: Option<Duration>| Maybe(time.map(|time| Seconds(time.as_nanos() as i64)));
                writeln!(
                    out,
                    "{},{},{},{},{},{}",
                    Seconds(point.time),
                    point.flow,
                    point.side as usize,
                    time(point.sample),
                    time(point.srtt),
                    time(point.rto)
                )
            }
            (PlotKind::Queue, Sample::Queue(point)) => {
                writeln!(out, "{},{},{},{}", Seconds(point.time), field(&link(point.link)), point.packets, point.bytes)
            }
            _ => Ok(()),
        };
        // Writing into a string does not fail.
        let _ = written;
    }

    /// Writes the rows that are known at the end only: bins of throughput are as wide as the whole run makes them.
    pub fn finish(&self, series: &Series, out: &mut String) {
        if self.kind != PlotKind::Throughput {
            return;
        }
        let width = series.wide_bin_width(MOST_BINS);
        for flow in series.flows() {
            for (number, side) in flow.sides.iter().enumerate() {
                for (at, bin) in series.wide_bins(side, width) {
                    let time = Seconds(at.saturating_mul(width));
                    let (width, flow) = (Seconds(width), flow.number);
                    let _ = writeln!(out, "{time},{width},{flow},{number},{},{}", bin.sent, bin.acked);
                }
            }
        }
    }
}

fn segment(point: &SegmentPoint, out: &mut String) -> core::fmt::Result {
    let analysis: Vec<_> = point.kinds.iter().map(crate::conversation::Kind::name).collect();
    write!(
        out,
        "{},{},{},{},{},{},{},{},{},{},{},{},",
        Seconds(point.time),
        point.seq as u32,
        point.len,
        point.flow,
        point.side as usize,
        point.packet,
        flags(point.flags),
        Maybe(point.ack.map(|ack| ack as u32)),
        point.window,
        point.mark.name(),
        analysis.join(" "),
        Maybe(point.tag)
    )?;
    for (nth, (left, right)) in point.sack.into_iter().flatten().enumerate() {
        let blank = if nth == 0 { "" } else { " " };
        write!(out, "{blank}{}:{}", left as u32, right as u32)?;
    }
    out.push('\n');
    Ok(())
}

/// A name as a field: in quotes where it must be (RFC 4180).
fn field(name: &str) -> String {
    let name = crate::escape::escaped(name);
    if name.contains([',', '"']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.into_owned() }
}

/// Nanoseconds as seconds with nine decimals.
#[derive(Clone, Copy)]
struct Seconds(i64);

impl core::fmt::Display for Seconds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
    }
}

/// Nothing where nothing is known.
struct Maybe<T>(Option<T>);

impl<T: core::fmt::Display> core::fmt::Display for Maybe<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}
