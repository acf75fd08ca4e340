//! The plot of sequence numbers, in the manner of tcptrace: segments as vertical bars, the line of what is acknowledged
//! below them, the edge of the window above. Each direction with data has a panel.

use super::axis::Quantity;
use super::draw::{Layer, Mark as Form, Panel, Shape};
use super::{About, Drawn, bar, direction};
use crate::conversation::Side;
use crate::segment::Flags;
use crate::view::palette;
use crate::view::series::{AckPoint, Mark, SegmentPoint, SideSeries};

/// A kind of segments: its colour, its stroke, the form beside its bar, its words.
type Kind = (Mark, palette::Color, &'static str, Option<Form>, &'static str);

const KINDS: [Kind; 5] = [
    (Mark::Retransmission, palette::RETRANSMISSION, bar!("3"), Some(Form::Diamond), "retransmission"),
    (Mark::Duplicate, palette::DUPLICATE, bar!("2.4"), Some(Form::Square), "duplicate: needless, or a copy"),
    (Mark::OutOfOrder, palette::OUT_OF_ORDER, bar!("2.4"), Some(Form::Left), "out of order"),
    (Mark::Probe, palette::PROBE, bar!("1.6"), Some(Form::Circle), "window probe"),
    (Mark::KeepAlive, palette::PROBE, bar!("1.6"), Some(Form::Plus), "keep-alive"),
];

/// Control bits that have a mark, at the end of the segment.
const CONTROLS: [(Flags, Form, &str); 3] =
    [(Flags::SYN, Form::Up, "SYN"), (Flags::FIN, Form::Down, "FIN"), (Flags::RST, Form::Star, "RST")];

/// The panels, one for each direction in which something was sent or acknowledged.
pub(super) fn panels(about: &About<'_>, drawn: &Drawn<'_>) -> Vec<Panel> {
    let bytes = Side::BOTH.map(|side| drawn.sides(side).map(|(_, series)| series.bytes).sum::<u64>());
    let has = |side: Side| {
        let occupies = |series: &SideSeries| series.segments.iter().any(|point| point.end() > point.seq);
        drawn.sides(side).any(|(_, series)| occupies(series))
            || bytes[side] == 0 && bytes[side.other()] == 0 && drawn.sides(side).any(|(_, one)| !one.acks.is_empty())
    };
    let both = Side::BOTH.into_iter().all(has);
    // What goes mostly one way has most of the room.
    let height = |side: Side| match (both, bytes[side] * 10 < bytes[side.other()]) {
        (false, _) => 400.0,
        (true, true) => 110.0,
        (true, false) if bytes[side.other()] * 10 < bytes[side] => 340.0,
        (true, false) => 220.0,
    };
    let sides = Side::BOTH.into_iter().filter(|side| has(*side));
    sides.map(|side| panel(about, drawn, side, height(side))).collect()
}

fn panel(about: &About<'_>, drawn: &Drawn<'_>, side: Side, height: f64) -> Panel {
    let several = drawn.several();
    let sent = drawn.sides(side).flat_map(|(_, series)| &series.segments).map(SegmentPoint::end).max();
    let acked = drawn.sides(side).flat_map(|(_, series)| &series.acks).map(|point| point.ack).max();
    let edge = drawn.sides(side).flat_map(|(_, series)| &series.acks).map(right_edge).max().unwrap_or(0);
    let most = sent.max(acked).unwrap_or(0).max(1);
    // A window far above the data would press them flat.
    let high = if edge <= most * 2 { edge.max(most) } else { most + most / 4 };
    let high = high + high / 25 + 1;
    let mut layers = Vec::new();
    for (flow, series) in drawn.sides(side) {
        let own = drawn.color(flow);
        let (window, acks) = if several { (own, own) } else { (palette::WINDOW, palette::ACK) };
        let words = |text: &str| if several { String::new() } else { text.to_owned() };
        if series.acks.iter().any(|point| right_edge(point) <= high) || !several {
            let points = series.acks.iter().map(|point| (point.time, Some(right_edge(point)))).collect();
            let stroke = " stroke-width=\"1.2\" stroke-dasharray=\"6 3\"";
            layers.push(Layer {
                shape: Shape::Stair(points),
                color: window,
                stroke,
                label: words("edge of the window"),
            });
        }
        let points = series.acks.iter().map(|point| (point.time, Some(point.ack))).collect();
        let stroke = if several { " stroke-width=\"1\" opacity=\".6\"" } else { " stroke-width=\"1.5\"" };
        layers.push(Layer { shape: Shape::Stair(points), color: acks, stroke, label: words("acknowledged") });
        layers.push(new_data(series, own, if several { drawn.label(flow) } else { "data sent".to_owned() }));
    }
    layers.extend(told_by_acks(drawn, side));
    layers.extend(kinds(drawn, side));
    layers.retain(|layer| !layer.shape.is_empty());
    let title = format!("{} · sequence number", direction(about, drawn, side));
    let note = if edge > high { "higher: edge of the window".to_owned() } else { String::new() };
    Panel { title, quantity: Quantity::Bytes, height, high, note, layers }
}

fn right_edge(point: &AckPoint) -> i64 {
    point.ack + i64::from(point.window)
}

fn new_data(series: &SideSeries, color: palette::Color, label: String) -> Layer {
    let new = series.segments.iter().filter(|point| point.mark == Mark::New && point.end() > point.seq);
    let bars = new.map(|point| (point.time, point.seq, point.end())).collect();
    Layer { shape: Shape::Bars(bars), color, stroke: bar!("1.6"), label }
}

/// SACK blocks, duplicate ACKs and closed windows, at the times of the ACKs that tell them.
fn told_by_acks(drawn: &Drawn<'_>, side: Side) -> Vec<Layer> {
    let acks = || drawn.sides(side).flat_map(|(_, series)| &series.acks);
    let sack = acks().flat_map(|point| point.sack.into_iter().flatten().map(|(left, right)| (point.time, left, right)));
    let duplicates = acks().filter(|point| point.dup_ack > 0).map(|point| (point.time, point.ack));
    let closed = acks().filter(|point| point.window == 0).map(|point| (point.time, point.ack));
    let layer = |shape, color, stroke, label: &str| Layer { shape, color, stroke, label: label.to_owned() };
    vec![
        layer(
            Shape::Bars(sack.collect()),
            palette::SACK,
            " stroke-width=\"3\" stroke-dasharray=\"1.5 1.5\"",
            "SACK: received beyond a hole",
        ),
        layer(Shape::Marks(Form::Tick, duplicates.collect()), palette::ACK, " stroke-width=\"1.4\"", "duplicate ACK"),
        layer(Shape::Marks(Form::Cap, closed.collect()), palette::WINDOW, " stroke-width=\"1.4\"", "window is zero"),
    ]
}

/// Segments that are not simply new, holes, control bits and losses.
fn kinds(drawn: &Drawn<'_>, side: Side) -> Vec<Layer> {
    let segments = || drawn.sides(side).flat_map(|(_, series)| &series.segments);
    let mut layers = Vec::new();
    let missing = segments().filter(|point| point.missing > 0);
    let missing = missing.map(|point| (point.time, point.seq - i64::from(point.missing), point.seq)).collect();
    layers.push(Layer {
        shape: Shape::Bars(missing),
        color: palette::WINDOW,
        stroke: " stroke-width=\"1.4\" stroke-dasharray=\"2 2\"",
        label: "not seen before this (inferred)".to_owned(),
    });
    for (mark, color, stroke, form, label) in KINDS {
        let of_kind = || segments().filter(|point| point.mark == mark);
        let bars = of_kind().map(|point| (point.time, point.seq, point.end())).collect();
        layers.push(Layer { shape: Shape::Bars(bars), color, stroke, label: String::new() });
        if let Some(form) = form {
            let middle = |point: &SegmentPoint| (point.time, i64::midpoint(point.seq, point.end()));
            let shape = Shape::Marks(form, of_kind().map(middle).collect());
            layers.push(Layer { shape, color, stroke: " stroke-width=\"1.3\"", label: label.to_owned() });
        }
    }
    for (flag, form, label) in CONTROLS {
        let marked = segments().filter(|point| point.flags.contains(flag)).map(|point| (point.time, point.end()));
        let shape = Shape::Marks(form, marked.collect());
        let (color, stroke) = (palette::TEXT, " stroke-width=\"1.4\"");
        layers.push(Layer { shape, color, stroke, label: label.to_owned() });
    }
    let lost = segments().filter(|point| point.is_lost()).map(|point| (point.time, point.end()));
    let stroke = " stroke-width=\"2.2\"";
    let shape = Shape::Marks(Form::Cross, lost.collect());
    layers.push(Layer { shape, color: palette::LOST, stroke, label: "lost on the way".to_owned() });
    layers
}
