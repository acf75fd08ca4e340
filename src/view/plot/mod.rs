//! Plots as SVG: sequence numbers, windows, round-trip times, throughput, queues. They are drawn from `series` and
//! nothing else.
//!
//! - `sequence`, `curves`: what is in a plot; `draw`: panels, legend and captions; `axis`: ticks and units;
//! - `svg`: the writer. It is own code: a picture needs a few elements, both colour schemes and a text for screen readers,
//!   and its bytes are the same on every machine.

mod axis;
mod curves;
mod draw;
mod sequence;
pub(super) mod svg;

use core::net::SocketAddr;
use std::collections::BTreeMap;

use super::palette::{self, Color};
use super::series::{FlowSeries, Mark, PlotKind, Series, SideSeries};
use crate::conversation::Side;
use crate::event::{HostId, LinkId};
use crate::trace::Trace;
use draw::{Picture, Shape};

/// The stroke of a bar of this width.
macro_rules! bar {
    ($width:literal) => {
        concat!(" stroke-width=\"", $width, "\"")
    };
}
use bar;

/// Connections that have a colour of their own.
const MOST_FLOWS: usize = palette::FLOWS.len();

/// What a picture is of, and what its parts are called.
#[derive(Debug)]
pub struct About<'a> {
    /// The title: the name of a lesson or of a file.
    pub title: &'a str,
    /// Where the samples come from.
    pub origin: Origin,
    /// The names of hosts at both ends of flows, where they are known.
    pub hosts: BTreeMap<usize, [Option<String>; 2]>,
    /// The names of links.
    pub links: BTreeMap<LinkId, String>,
}

/// Where samples come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The events of a run: times are those at the sender of the data.
    Run,
    /// A capture: times are those at its vantage point.
    Capture,
}

impl<'a> About<'a> {
    /// A picture with this title, of flows whose hosts the trace may know.
    pub fn new(title: &'a str, origin: Origin, trace: &Trace) -> Self {
        let name = |host: Option<HostId>| host.map(|host| trace.host_name(host));
        let hosts = trace.flows().iter().map(|flow| (flow.number, flow.hosts.map(name))).collect();
        Self { title, origin, hosts, links: BTreeMap::new() }
    }

    /// The name of a link.
    fn link(&self, link: LinkId) -> String {
        self.links.get(&link).cloned().unwrap_or_else(|| format!("link {}", link.0))
    }

    /// The names of both ends, without ports where hosts are known.
    fn ends(&self, flow: &FlowSeries) -> [String; 2] {
        let hosts = self.hosts.get(&flow.number);
        core::array::from_fn(|side| {
            hosts.and_then(|hosts| hosts[side].clone()).unwrap_or_else(|| flow.ends[side].to_string())
        })
    }
}

/// The connections of a picture.
struct Drawn<'a> {
    /// With their colours.
    flows: Vec<(&'a FlowSeries, Color)>,
    /// Those with most data have a colour of their own; the others share one.
    others: usize,
    labels: BTreeMap<usize, String>,
}

impl<'a> Drawn<'a> {
    fn of(series: &'a Series, about: &About<'_>) -> Self {
        let mut by_size: Vec<_> = series.flows().collect();
        by_size.sort_by_key(|flow| {
            (core::cmp::Reverse(flow.sides.iter().map(|side| side.bytes).sum::<u64>()), flow.number)
        });
        let mut first: Vec<_> = by_size.iter().take(MOST_FLOWS).map(|flow| flow.number).collect();
        first.sort_unstable();
        let color = |flow: &FlowSeries| match first.binary_search(&flow.number) {
            Ok(nth) => palette::FLOWS[nth],
            Err(_) => palette::WINDOW,
        };
        let others = by_size.len().saturating_sub(MOST_FLOWS);
        let mut flows: Vec<_> = series.flows().map(|flow| (flow, color(flow))).collect();
        // The others lie below.
        flows.sort_by_key(|(flow, _)| (first.binary_search(&flow.number).is_ok(), flow.number));
        let label = |flow: &FlowSeries| {
            if first.binary_search(&flow.number).is_err() {
                return format!("{others} more connections");
            }
            let [left, right] = match about.hosts.get(&flow.number) {
                Some([Some(left), Some(right)]) => [with_port(left, flow.ends[0]), with_port(right, flow.ends[1])],
                _ => flow.ends.map(|end| end.to_string()),
            };
            format!("#{} {left} – {right}", flow.number)
        };
        let labels = series.flows().map(|flow| (flow.number, label(flow))).collect();
        Self { flows, others, labels }
    }

    fn several(&self) -> bool {
        self.flows.len() > 1
    }

    /// The data of one side of all connections, with the numbers of the connections.
    fn sides(&self, side: Side) -> impl Iterator<Item = (usize, &'a SideSeries)> {
        self.flows.iter().map(move |(flow, _)| (flow.number, flow.side(side)))
    }

    fn color(&self, number: usize) -> Color {
        let found = self.flows.iter().find(|(flow, _)| flow.number == number);
        found.map_or(palette::NEW, |(_, color)| *color)
    }

    fn label(&self, number: usize) -> String {
        self.labels.get(&number).cloned().unwrap_or_default()
    }

    /// Several connections with their colours, for the legend; none if there is only one.
    fn key(&self, has: impl Fn(&FlowSeries) -> bool) -> Vec<(String, Color)> {
        let mut key: Vec<(String, Color)> = Vec::new();
        for (flow, color) in self.flows.iter().filter(|(flow, _)| self.several() && has(flow)) {
            let label = self.label(flow.number);
            if key.iter().all(|(known, _)| *known != label) {
                key.push((label, *color));
            }
        }
        key
    }
}

fn with_port(name: &str, end: SocketAddr) -> String {
    format!("{name}:{}", end.port())
}

/// Draws a plot. A kind of which there are no samples gives a picture that says so.
pub fn plot(kind: PlotKind, series: &Series, about: &About<'_>) -> String {
    let drawn = Drawn::of(series, about);
    let panels = match kind {
        PlotKind::Sequence => sequence::panels(about, &drawn),
        PlotKind::Window => curves::window(about, &drawn),
        PlotKind::Rtt => curves::rtt(about, &drawn),
        PlotKind::Throughput => curves::throughput(about, &drawn, series),
        PlotKind::Queue => curves::queue(about, series),
    };
    let title = format!("{}: {}", about.title, subject(kind));
    let flows = match kind {
        PlotKind::Window => drawn.key(|flow| flow.sides.iter().any(|side| !side.windows.is_empty())),
        PlotKind::Throughput => drawn.key(|flow| flow.sides.iter().any(|side| side.sent > 0)),
        PlotKind::Rtt => drawn.key(|flow| flow.sides.iter().any(|side| !side.rtts.is_empty())),
        PlotKind::Sequence | PlotKind::Queue => Vec::new(),
    };
    draw::draw(&Picture {
        title,
        flows,
        description: description(kind, series),
        captions: captions(kind, series, about, &drawn),
        panels,
    })
}

fn subject(kind: PlotKind) -> &'static str {
    match kind {
        PlotKind::Sequence => "sequence numbers over time",
        PlotKind::Window => "flight size and windows over time",
        PlotKind::Rtt => "round-trip times",
        PlotKind::Throughput => "throughput and goodput",
        PlotKind::Queue => "queues of links",
    }
}

/// What a screen reader says of the picture.
fn description(kind: PlotKind, series: &Series) -> String {
    let plural = |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    if kind == PlotKind::Queue {
        let longest = series.queues().flat_map(|(_, points)| points).map(|point| point.packets).max().unwrap_or(0);
        let links = plural(series.queues().len() as u64, "link");
        return format!("Queues of {links}. The longest has {}.", plural(longest, "packet"));
    }
    let sides = || series.flows().flat_map(|flow| &flow.sides);
    let sum = |of: fn(&SideSeries) -> u64| sides().map(of).sum::<u64>();
    let connections = plural(series.flows().len() as u64, "connection");
    let marked = |mark: Mark| sides().map(|side| side.count(mark)).sum::<u64>();
    format!(
        "{connections}, {} with {} of data. {}, {} out of order, {} lost on the way.",
        plural(sum(|side| side.sent), "segment"),
        plural(sum(|side| side.bytes), "byte"),
        plural(marked(Mark::Retransmission), "retransmission"),
        marked(Mark::OutOfOrder),
        sum(|side| side.lost),
    )
}

/// How to read the picture: where times were taken, and what is inferred.
fn captions(kind: PlotKind, series: &Series, about: &About<'_>, drawn: &Drawn<'_>) -> Vec<String> {
    let mut captions = Vec::new();
    let place = match (kind, about.origin) {
        (PlotKind::Queue, _) => "A queue grows when a packet enters it, and shrinks when its last bit has left.",
        (_, Origin::Run) => "Segments stand where they are sent, ACKs where they reach the sender of the data.",
        (PlotKind::Rtt, Origin::Capture) => {
            "Times at the place of the capture, inferred from the packets: only at the sender a sample is the whole round trip."
        }
        (PlotKind::Window, Origin::Capture) => {
            "Times at the place of the capture. The flight size is inferred from the packets."
        }
        (_, Origin::Capture) => {
            "Times at the place of the capture. What a segment is, is inferred from those before it."
        }
    };
    captions.push(place.to_owned());
    let told = series.flows().flat_map(|flow| &flow.sides).any(|side| {
        side.windows.iter().any(|point| point.cwnd.is_some()) || side.rtts.iter().any(|point| point.srtt.is_some())
    });
    if matches!(kind, PlotKind::Window | PlotKind::Rtt) {
        captions.push(if told {
            "cwnd, ssthresh, SRTT and RTO are those that the hosts told.".to_owned()
        } else {
            "cwnd, ssthresh, SRTT and RTO are not known: only captures of tcplab with --comments full tell them."
                .to_owned()
        });
    }
    if kind == PlotKind::Throughput {
        let millis = series.wide_bin_width(super::series::MOST_BINS) / 1_000_000;
        captions.push(format!(
            "Throughput is of packets sent, with their headers; goodput is of data acknowledged for the first time, also by \
             SACK. Averages over {millis} ms."
        ));
    }
    if kind == PlotKind::Sequence && drawn.several() {
        captions.push(
            "Of each connection, in its colour: data as bars, the thin line of what is acknowledged, the dashed edge of the \
             window."
                .to_owned(),
        );
    }
    if drawn.others > 0 && kind != PlotKind::Queue {
        captions.push(format!("The {MOST_FLOWS} connections with most data have a colour of their own."));
    }
    if series.left_out() > 0 {
        captions.push("Some connections are left out, because there are too many.".to_owned());
    }
    captions
}

/// Characters of both ends, beside which what is drawn and its unit have room in a title.
const MOST_OF_ENDS: usize = 43;

/// What a panel of one direction is called.
fn direction(about: &About<'_>, drawn: &Drawn<'_>, side: Side) -> String {
    let ends: Vec<_> = drawn.flows.iter().map(|(flow, _)| about.ends(flow)).collect();
    match ends.split_first() {
        Some((first, rest)) if rest.iter().all(|other| other == first) => {
            let both = format!("{} → {}", first[side], first[side.other()]);
            // What this end sends. The other one is in the title of the other direction.
            if both.chars().count() > MOST_OF_ENDS { first[side].clone() } else { both }
        }
        _ if side == Side::Local => "from the opener".to_owned(),
        _ => "from the other side".to_owned(),
    }
}

impl Shape {
    fn is_empty(&self) -> bool {
        match self {
            Self::Stair(points) => points.iter().all(|(_, value)| value.is_none()),
            Self::Line(points) | Self::Dots(points) | Self::Marks(_, points) => points.is_empty(),
            Self::Bars(bars) => bars.is_empty(),
        }
    }
}
