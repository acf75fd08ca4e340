//! The plots of curves: window, round-trip times, throughput, queues.

use super::axis::Quantity;
use super::draw::{Layer, Panel, Shape};
use super::{About, Drawn, direction};
use crate::conversation::Side;
use crate::time::Duration;
use crate::view::palette;
use crate::view::series::{Bin, MOST_BINS, QueuePoint, Series, SideSeries, WindowPoint};

const THIN: &str = " stroke-width=\"1.2\"";
const THICK: &str = " stroke-width=\"2\"";
const DASHED: &str = " stroke-width=\"1.4\" stroke-dasharray=\"6 3\"";
const DOTTED: &str = " stroke-width=\"1.8\" stroke-dasharray=\"2 3\"";
const DOTS: &str = " stroke-width=\"4\" stroke-linecap=\"round\"";

/// Panels of the directions in which one of the series has something to show.
fn by_side(
    about: &About<'_>,
    drawn: &Drawn<'_>,
    (title, quantity): (&str, Quantity),
    has: impl Fn(&SideSeries) -> bool,
    layers: impl Fn(Side) -> (Vec<Layer>, i64, String),
) -> Vec<Panel> {
    let sides = Side::BOTH.into_iter().filter(|side| drawn.sides(*side).any(|(_, series)| has(series)));
    let sides: Vec<_> = sides.collect();
    let height = if sides.len() == 1 { 360.0 } else { 200.0 };
    let panel = |side: Side| {
        let (mut layers, high, note) = layers(side);
        layers.retain(|layer| !layer.shape.is_empty());
        let title = format!("{} · {title}", direction(about, drawn, side));
        Panel { title, quantity, height, high: high + high / 15 + 1, note, layers }
    };
    sides.into_iter().map(panel).collect()
}

/// Flight size, the window of the other side, cwnd and ssthresh.
pub(super) fn window(about: &About<'_>, drawn: &Drawn<'_>) -> Vec<Panel> {
    let layers = |side: Side| {
        let points = || drawn.sides(side).flat_map(|(_, series)| &series.windows);
        let most = points().map(|point| point.flight_size.max(point.cwnd.unwrap_or(0))).max().unwrap_or(0);
        let windows = points().filter_map(|point| point.window).map(u64::from).max().unwrap_or(0);
        // What is far above would press the rest flat.
        let high = if windows <= most * 2 { most.max(windows) } else { most + most / 3 };
        let ssthresh = points().filter_map(|point| point.ssthresh).max().unwrap_or(0);
        let above = [("advertised window", windows), ("ssthresh", ssthresh)];
        let above: Vec<_> =
            above.iter().filter(|(_, value)| *value > high + high / 15).map(|(name, _)| *name).collect();
        let note = if above.is_empty() { String::new() } else { format!("higher: {}", above.join(", ")) };
        let curve = |name: &str, color, stroke, value: fn(&WindowPoint) -> Option<u64>| {
            drawn
                .sides(side)
                .map(|(flow, series)| {
                    let points = series.windows.iter().map(|point| (point.time, value(point).map(clamped)));
                    let color = if drawn.several() { drawn.color(flow) } else { color };
                    Layer { shape: Shape::Stair(points.collect()), color, stroke, label: name.to_owned() }
                })
                .collect::<Vec<_>>()
        };
        let layers = [
            curve("advertised window", palette::WINDOW, DASHED, |point| point.window.map(u64::from)),
            curve("ssthresh", palette::OUT_OF_ORDER, DOTTED, |point| point.ssthresh),
            curve("flight size (inferred)", palette::NEW, THIN, |point| Some(point.flight_size)),
            curve("cwnd", palette::RETRANSMISSION, THICK, |point| point.cwnd),
        ];
        (layers.concat(), clamped(high), note)
    };
    let has = |series: &SideSeries| series.bytes > 0;
    by_side(about, drawn, ("in flight and allowed", Quantity::Bytes), has, layers)
}

fn clamped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

/// Samples, SRTT and RTO.
pub(super) fn rtt(about: &About<'_>, drawn: &Drawn<'_>) -> Vec<Panel> {
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX / 4);
    let layers = |side: Side| {
        let points = || drawn.sides(side).flat_map(|(_, series)| &series.rtts);
        let most = points().filter_map(|point| point.sample.max(point.srtt)).map(nanos).max().unwrap_or(0);
        // The RTO before the first sample, or one that has backed off, would press the samples flat.
        let limit = if most == 0 { i64::MAX } else { most.saturating_mul(8) };
        let told = points().filter(|point| most == 0 || point.srtt.is_some()).filter_map(|point| point.rto);
        let high = told.map(nanos).filter(|rto| *rto <= limit).max().unwrap_or(0).max(most);
        let above = points().any(|point| point.rto.is_some_and(|rto| nanos(rto) > high));
        let note = if above { "partly higher: RTO".to_owned() } else { String::new() };
        let mut layers = Vec::new();
        for (flow, series) in drawn.sides(side) {
            let color = |usual| if drawn.several() { drawn.color(flow) } else { usual };
            let samples = series.rtts.iter().filter_map(|point| Some((point.time, nanos(point.sample?))));
            let srtt = series.rtts.iter().filter_map(|point| Some((point.time, point.srtt.map(nanos)?)));
            let rto = series.rtts.iter().filter_map(|point| Some((point.time, Some(nanos(point.rto?)))));
            layers.push(Layer {
                shape: Shape::Stair(rto.collect()),
                color: color(palette::RETRANSMISSION),
                stroke: DASHED,
                label: "RTO".to_owned(),
            });
            layers.push(Layer {
                shape: Shape::Dots(samples.collect()),
                color: color(palette::NEW),
                stroke: DOTS,
                label: "sample (inferred)".to_owned(),
            });
            let srtt: Vec<_> = srtt.collect();
            // One point is no line; it would have an entry in the legend and not be seen.
            if srtt.len() > 1 {
                layers.push(Layer {
                    shape: Shape::Line(srtt),
                    color: color(palette::ACK),
                    stroke: THICK,
                    label: "SRTT".to_owned(),
                });
            }
        }
        // Samples of one value would lie on the frame.
        (layers, high.saturating_add(high / 10), note)
    };
    let has = |series: &SideSeries| !series.rtts.is_empty();
    by_side(about, drawn, ("round-trip time", Quantity::Time), has, layers)
}

/// What was sent and what was acknowledged for the first time, over stretches of time.
pub(super) fn throughput(about: &About<'_>, drawn: &Drawn<'_>, series: &Series) -> Vec<Panel> {
    let width = series.wide_bin_width(MOST_BINS);
    let rate = |bytes: u64| clamped((u128::from(bytes) * 8_000_000_000 / width.max(1) as u128) as u64);
    let layers = |side: Side| {
        let mut layers = Vec::new();
        let mut high = 0;
        for (flow, one) in drawn.sides(side) {
            let bins = series.wide_bins(one, width);
            high = bins.values().map(|bin| rate(bin.sent.max(bin.acked))).fold(high, i64::max);
            let steps = |of: fn(&Bin) -> u64| {
                let mut points: Vec<(i64, Option<i64>)> = Vec::new();
                let mut next = None;
                for (at, bin) in &bins {
                    if next != Some(*at) {
                        // Nothing was sent before this bin.
                        let ended = next.map_or(*at, |next: i64| next);
                        points.push((ended.saturating_mul(width), Some(0)));
                    }
                    points.push((at.saturating_mul(width), Some(rate(of(bin)))));
                    next = Some(at + 1);
                }
                points.extend(next.map(|next| (next.saturating_mul(width), Some(0))));
                Shape::Stair(points)
            };
            let color = |usual| if drawn.several() { drawn.color(flow) } else { usual };
            layers.push(Layer {
                shape: steps(|bin| bin.sent),
                color: color(palette::RETRANSMISSION),
                stroke: if drawn.several() { DASHED } else { THIN },
                label: "throughput".to_owned(),
            });
            layers.push(Layer {
                shape: steps(|bin| bin.acked),
                color: color(palette::NEW),
                stroke: THICK,
                label: "goodput".to_owned(),
            });
        }
        (layers, high, String::new())
    };
    let has = |series: &SideSeries| series.bytes > 0;
    by_side(about, drawn, ("bits per second", Quantity::Rate), has, layers)
}

/// Links that are drawn, at most: those with the longest queues.
const MOST_LINKS: usize = palette::FLOWS.len();

/// The length of the queues.
pub(super) fn queue(about: &About<'_>, series: &Series) -> Vec<Panel> {
    let longest = |points: &[QueuePoint]| points.iter().map(|point| point.packets).max().unwrap_or(0);
    let mut queues: Vec<_> = series.queues().map(|(link, points)| (longest(points), link, points)).collect();
    queues.sort_by_key(|(longest, link, _)| (core::cmp::Reverse(*longest), *link));
    queues.truncate(MOST_LINKS);
    // Where packets wait somewhere, a link that sends each at once is of no interest.
    if queues.first().is_some_and(|(longest, ..)| *longest > 1) {
        queues.retain(|(longest, ..)| *longest > 1);
    }
    let high = queues.iter().map(|(longest, ..)| clamped(*longest)).max().unwrap_or(0);
    let layers = queues.into_iter().enumerate().map(|(nth, (_, link, points))| {
        let mut line = Vec::with_capacity(points.len() * 2);
        for point in points {
            if let Some((_, before)) = line.last().copied() {
                line.push((point.time, before));
            }
            line.push((point.time, clamped(point.packets)));
        }
        let stroke = if nth == 0 { THIN } else { DASHED };
        Layer { shape: Shape::Line(line), color: palette::FLOWS[nth], stroke, label: about.link(link) }
    });
    let layers: Vec<_> = layers.filter(|layer| !layer.shape.is_empty()).collect();
    if layers.is_empty() {
        return Vec::new();
    }
    let title = "queue in front of a link, with the packet in transmission".to_owned();
    let high = high + high / 15 + 1;
    vec![Panel { title, quantity: Quantity::Packets, height: 360.0, high, note: String::new(), layers }]
}
