//! Draws panels with curves, bars and marks, their axes, and one legend. What falls on the same spot of a fine grid is drawn
//! once, so that a picture of a hundred thousand packets is not larger than one of a few thousand.

use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};

use super::axis::{Axis, Quantity, label};
use super::svg::{Number, Svg, shortened};
use crate::view::palette::{Color, FAINT, FRAME, GRID, TEXT};

/// The width of every picture.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 34.0;
/// Between 0 and the frame.
const FLOOR: f64 = 6.0;
/// Above the frame of each panel, for its title.
const PANEL_TITLE: f64 = 34.0;
/// Below the last panel, for the times.
const BOTTOM: f64 = 52.0;
/// For a note that does not fit beside the title.
const NOTE_ROW: f64 = 19.0;
/// Characters of a line above a panel, at their largest size.
const TITLE_CHARACTERS: usize = 70;
const LEGEND_ROW: f64 = 23.0;
const CAPTION_ROW: f64 = 19.0;
/// Room of a character in a small text, at its largest size.
const CHARACTER: f64 = 9.6;
/// The same in a caption.
const CAPTION_CHARACTER: f64 = 8.2;
/// Columns of the legend. A long entry has the whole width.
const LEGEND_COLUMNS: usize = 2;
/// What is nearer than this is one spot: a pixel of a picture that is 1,600 pixels wide.
const SPOT: f64 = 0.5;
/// Marks of one kind are not drawn on top of each other nearer than this.
const MARK_SPOT: f64 = 2.5;

/// What is drawn in a panel: values over times in nanoseconds.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// A value holds until the next one. `None` interrupts the line.
    Stair(Vec<(i64, Option<i64>)>),
    /// Points joined by straight lines.
    Line(Vec<(i64, i64)>),
    /// A dot for each point.
    Dots(Vec<(i64, i64)>),
    /// Vertical bars from one value up to another.
    Bars(Vec<(i64, i64, i64)>),
    /// A mark for each point.
    Marks(Mark, Vec<(i64, i64)>),
}

/// The form of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Cross,
    Diamond,
    Square,
    Left,
    Up,
    Down,
    Circle,
    Plus,
    Star,
    Tick,
    Cap,
}

impl Mark {
    /// Whether it is filled, and its path from the centre.
    fn path(self) -> (bool, &'static str) {
        match self {
            Self::Cross => (false, "m-4.5-4.5 9 9m0-9-9 9"),
            Self::Diamond => (true, "m0-5 4 5-4 5-4-5z"),
            Self::Square => (false, "m-3.5-3.5h7v7h-7z"),
            Self::Left => (true, "m-5 0 8-4.5v9z"),
            Self::Up => (true, "m-4.5 4h9l-4.5-8z"),
            Self::Down => (true, "m-4.5-4h9l-4.5 8z"),
            Self::Circle => (false, "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"),
            Self::Plus => (false, "m-4.5 0h9m-4.5-4.5v9"),
            Self::Star => (false, "m-4.5 0h9m-6.8-4 4.6 8m0-8-4.6 8"),
            Self::Tick => (false, "m0 1.5v5"),
            Self::Cap => (false, "m-5-3h10m-10-3h10"),
        }
    }
}

/// One curve, or the bars or marks of one kind.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) shape: Shape,
    pub(super) color: Color,
    /// Attributes of the stroke, each with a blank in front.
    pub(super) stroke: &'static str,
    /// What the legend says. Layers with the same words have one entry.
    pub(super) label: String,
}

/// One plot area. All of them share the times.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) quantity: Quantity,
    pub(super) height: f64,
    /// The largest value that is shown.
    pub(super) high: i64,
    /// What is to be said above it.
    pub(super) note: String,
    pub(super) layers: Vec<Layer>,
}

/// A picture before it is drawn.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub(super) title: String,
    /// For screen readers.
    pub(super) description: String,
    /// Connections and their colours, where several share the panels: the legend lists them, and what a stroke means beside them.
    pub(super) flows: Vec<(String, Color)>,
    /// Lines below the legend.
    pub(super) captions: Vec<String>,
    pub(super) panels: Vec<Panel>,
}

/// Draws a picture as SVG.
pub(super) fn draw(picture: &Picture) -> String {
    let mut svg = Svg::default();
    let times = times(picture);
    let most = (WIDTH / 10.8) as usize;
    svg.text((12.0, 24.0), "h", "start", TEXT, &shortened(&picture.title, most));
    let mut y = TOP;
    for (number, panel) in picture.panels.iter().enumerate() {
        let top = y + PANEL_TITLE + if has_own_line(panel) { NOTE_ROW } else { 0.0 };
        let x_axis = Axis { low: times.0, high: times.1, from: LEFT, to: WIDTH - RIGHT };
        // A mark at 0 has room.
        let y_axis = Axis { low: 0, high: panel.high.max(1), from: top + panel.height - FLOOR, to: top };
        panel_frame(&mut svg, panel, number, (&x_axis, &y_axis), number + 1 == picture.panels.len());
        for layer in &panel.layers {
            let group = format!(" clip-path=\"url(#c{number})\"");
            draw_layer(&mut svg, layer, &group, (&x_axis, &y_axis));
        }
        y = top + panel.height;
    }
    if picture.panels.is_empty() {
        svg.text((12.0, y + 30.0), "t", "start", FAINT, "There is nothing to draw.");
    }
    y += BOTTOM;
    y = legend(&mut svg, picture, y);
    for line in
        picture.captions.iter().flat_map(|caption| lines(caption, ((WIDTH - 24.0) / CAPTION_CHARACTER) as usize))
    {
        y += CAPTION_ROW;
        svg.text((12.0, y - 6.0), "n", "start", FAINT, &line);
    }
    svg.finish((WIDTH, y + 8.0), &picture.title, &picture.description)
}

/// The first and the last instant.
fn times(picture: &Picture) -> (i64, i64) {
    let mut range = (i64::MAX, i64::MIN);
    for layer in picture.panels.iter().flat_map(|panel| &panel.layers) {
        let times: &mut dyn Iterator<Item = i64> = match &layer.shape {
            Shape::Stair(points) => &mut points.iter().map(|point| point.0),
            Shape::Line(points) | Shape::Dots(points) | Shape::Marks(_, points) => {
                &mut points.iter().map(|point| point.0)
            }
            Shape::Bars(bars) => &mut bars.iter().map(|bar| bar.0),
        };
        range = times.fold(range, |(first, last), time| (first.min(time), last.max(time)));
    }
    let (first, last) = if range.0 > range.1 { (0, 0) } else { range };
    if first == last {
        return (first.saturating_sub(20_000), first.saturating_add(1_000_000));
    }
    // A little room, so that the first and the last bar do not stand on the frame.
    let room = (last.saturating_sub(first) / 60).max(1_000);
    (first.saturating_sub(room), last.saturating_add(room))
}

/// The title of a panel with its unit.
fn titled(panel: &Panel) -> String {
    let (_, unit) = panel.quantity.unit(panel.high.max(1));
    if panel.title.is_empty() { unit.to_owned() } else { format!("{} ({unit})", panel.title) }
}

/// Whether the note of a panel stands below its title, because both do not fit into one line.
fn has_own_line(panel: &Panel) -> bool {
    let note = panel.note.chars().count();
    note > 0 && titled(panel).chars().count() + 2 + note > TITLE_CHARACTERS
}

/// Whether something of a layer is within its panel.
fn is_within(layer: &Layer, high: i64) -> bool {
    match &layer.shape {
        Shape::Stair(points) => points.iter().any(|(_, value)| value.is_some_and(|value| value <= high)),
        Shape::Line(points) | Shape::Dots(points) | Shape::Marks(_, points) => {
            points.iter().any(|(_, value)| *value <= high)
        }
        Shape::Bars(bars) => bars.iter().any(|(_, low, _)| *low <= high),
    }
}

fn panel_frame(svg: &mut Svg, panel: &Panel, number: usize, (x, y): (&Axis, &Axis), is_last: bool) {
    let floor = y.to + panel.height;
    let (left, right, bottom, top) = (Number(x.from), Number(x.to), Number(floor), Number(y.to));
    let size = (Number(x.to - x.from), Number(panel.height));
    svg.put(format_args!(
        "<clipPath id=\"c{number}\"><rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\"/></clipPath>\n",
        size.0, size.1
    ));
    let (divisor, _) = panel.quantity.unit(y.high);
    let title_at = y.to - 9.0 - if has_own_line(panel) { NOTE_ROW } else { 0.0 };
    svg.text((12.0, title_at), "t", "start", TEXT, &shortened(&titled(panel), TITLE_CHARACTERS));
    svg.text((x.to, y.to - 9.0), "n", "end", FAINT, &shortened(&panel.note, TITLE_CHARACTERS));
    let mut grid = String::new();
    let (values, step) = y.ticks((panel.height / 45.0) as i64);
    for value in values {
        let at = y.place(value);
        let _ = write!(grid, "M{left} {}H{right}", Number(at));
        svg.text((x.from - 7.0, at + 4.5), "m", "end", FAINT, &label(value, divisor, step));
    }
    let (times, time_step) = x.ticks(8);
    let (time_divisor, time_unit) = Quantity::Time.unit(x.high.saturating_sub(x.low));
    for time in times {
        let at = x.place(time);
        let _ = write!(grid, "M{} {top}V{bottom}", Number(at));
        if is_last {
            let text = label(time, time_divisor, time_step);
            svg.text((at, floor + 19.0), "m", "middle", FAINT, &text);
        }
    }
    if is_last {
        svg.text((x.to, floor + 39.0), "m", "end", FAINT, &format!("time ({time_unit})"));
    }
    svg.stroke(GRID, "", &grid);
    svg.stroke(FRAME, "", &format!("M{left} {top}V{bottom}H{right}"));
}

fn draw_layer(svg: &mut Svg, layer: &Layer, group: &str, axes: (&Axis, &Axis)) {
    let more = format!("{group}{}", layer.stroke);
    let place = |time: i64, value: i64| (axes.0.place(time), axes.1.place(value));
    let path = match &layer.shape {
        Shape::Stair(points) => stair(points, axes),
        Shape::Line(points) => line(points.iter().map(|(time, value)| place(*time, *value))),
        Shape::Dots(points) => {
            let mut path = String::new();
            for (x, y) in apart(points, SPOT * 2.0, axes) {
                let _ = write!(path, "M{} {}h0", Number(x), Number(y));
            }
            path
        }
        Shape::Bars(bars) => self::bars(bars, axes),
        Shape::Marks(mark, points) => {
            let (filled, form) = mark.path();
            let mut path = String::new();
            for (x, y) in apart(points, MARK_SPOT, axes) {
                let _ = write!(path, "M{} {}{form}", Number(x), Number(y));
            }
            if filled && !path.is_empty() {
                return svg.fill(layer.color, &more, &path);
            }
            path
        }
    };
    if !path.is_empty() {
        svg.stroke(layer.color, &more, &path);
    }
}

/// The points, without those that fall on the spot of another one.
fn apart(points: &[(i64, i64)], spot: f64, axes: (&Axis, &Axis)) -> Vec<(f64, f64)> {
    let mut taken = BTreeSet::new();
    let places = points.iter().map(|(time, value)| (axes.0.place(*time), axes.1.place(*value)));
    places.filter(|(x, y)| taken.insert(((x / spot) as i64, (y / spot) as i64))).collect()
}

/// Points joined by lines. Of each column the first, the lowest, the highest and the last are kept.
fn line(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (nth, (x, y)) in columns(points).into_iter().enumerate() {
        let _ = write!(path, "{}{} {}", if nth == 0 { 'M' } else { 'L' }, Number(x), Number(y));
    }
    path
}

fn stair(points: &[(i64, Option<i64>)], axes: (&Axis, &Axis)) -> String {
    let mut path = String::new();
    for run in points.chunk_by(|one, next| one.1.is_some() && next.1.is_some()) {
        let known = run.iter().filter_map(|(time, value)| Some((axes.0.place(*time), axes.1.place((*value)?))));
        // Where the pen is.
        let mut last: Option<(String, String)> = None;
        for (x, y) in columns(known) {
            let (x, y) = (Number(x).to_string(), Number(y).to_string());
            match &last {
                None => _ = write!(path, "M{x} {y}"),
                Some((_, before)) if *before == y => continue,
                Some((at, _)) if *at == x => _ = write!(path, "V{y}"),
                Some(_) => _ = write!(path, "H{x}V{y}"),
            }
            last = Some((x, y));
        }
        // Up to the last point, or to where the line is interrupted.
        let end = run.last().map(|(time, _)| Number(axes.0.place(*time)).to_string());
        if let (Some((at, _)), Some(end)) = (&last, end)
            && *at != end
        {
            let _ = write!(path, "H{end}");
        }
    }
    path
}

fn columns(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let points: Vec<_> = points.collect();
    let mut kept = Vec::new();
    for run in points.chunk_by(|one, next| (one.0 / SPOT) as i64 == (next.0 / SPOT) as i64) {
        let least = (0..run.len()).min_by(|one, other| run[*one].1.total_cmp(&run[*other].1)).unwrap_or_default();
        let most = (0..run.len()).max_by(|one, other| run[*one].1.total_cmp(&run[*other].1)).unwrap_or_default();
        let mut ends = [0, least, most, run.len() - 1];
        ends.sort_unstable();
        let mut before = None;
        for at in ends {
            if before != Some(at) {
                kept.push(run[at]);
            }
            before = Some(at);
        }
    }
    kept
}

/// Vertical bars. Those of one column that touch each other are one. None is too short to be seen.
fn bars(bars: &[(i64, i64, i64)], axes: (&Axis, &Axis)) -> String {
    let mut by_column: BTreeMap<i64, Vec<(f64, f64)>> = BTreeMap::new();
    for (time, low, high) in bars {
        let (mut top, mut bottom) = (axes.1.place(*high), axes.1.place(*low));
        if bottom - top < 2.0 {
            let middle = f64::midpoint(top, bottom);
            (top, bottom) = (middle - 1.0, middle + 1.0);
        }
        by_column.entry((axes.0.place(*time) / SPOT).round() as i64).or_default().push((top, bottom));
    }
    let mut path = String::new();
    for (column, mut spans) in by_column {
        spans.sort_by(|one, other| one.0.total_cmp(&other.0));
        let x = Number(column as f64 * SPOT);
        let mut open: Option<(f64, f64)> = None;
        for (top, bottom) in spans {
            match &mut open {
                Some(span) if top <= span.1 + 2.0 * SPOT => span.1 = span.1.max(bottom),
                _ => {
                    write_bar(&mut path, x, open.replace((top, bottom)));
                }
            }
        }
        write_bar(&mut path, x, open);
    }
    path
}

fn write_bar(path: &mut String, x: Number, span: Option<(f64, f64)>) {
    if let Some((top, bottom)) = span {
        let _ = write!(path, "M{x} {}V{}", Number(bottom), Number(top));
    }
}

/// The connections, and the entries of all layers that can be seen, in rows. Gives where it ends.
fn legend(svg: &mut Svg, picture: &Picture, top: f64) -> f64 {
    let flow = |(label, color): &(String, Color)| Layer {
        shape: Shape::Line(Vec::new()),
        color: *color,
        stroke: " stroke-width=\"5\"",
        label: label.clone(),
    };
    let mut entries: Vec<Layer> = picture.flows.iter().map(flow).collect();
    for panel in &picture.panels {
        for layer in panel.layers.iter().filter(|layer| is_within(layer, panel.high)) {
            let known = entries.iter().any(|entry| entry.label == layer.label);
            if !known && !layer.label.is_empty() {
                // A stroke means the same in the colour of every connection.
                let color = if picture.flows.is_empty() { layer.color } else { FAINT };
                entries.push(Layer { color, ..layer.clone() });
            }
        }
    }
    let column_width = (WIDTH - 12.0) / LEGEND_COLUMNS as f64;
    let room = ((column_width - 34.0) / CHARACTER) as usize;
    let (mut column, mut y) = (0, top);
    for layer in &entries {
        let text = shortened(&layer.label, 72);
        let is_long = text.chars().count() > room;
        if column == LEGEND_COLUMNS || (is_long && column > 0) {
            (column, y) = (0, y + LEGEND_ROW);
        }
        let x = 12.0 + column as f64 * column_width;
        swatch(svg, layer, (x, y + 8.0));
        svg.text((x + 34.0, y + 12.5), "m", "start", TEXT, &text);
        column += if is_long { LEGEND_COLUMNS } else { 1 };
    }
    if column > 0 { y + LEGEND_ROW } else { y }
}

/// What a layer looks like, beside its words.
fn swatch(svg: &mut Svg, layer: &Layer, (x, y): (f64, f64)) {
    let (left, middle) = (Number(x), Number(x + 13.0));
    match &layer.shape {
        Shape::Stair(_) | Shape::Line(_) => {
            svg.stroke(layer.color, layer.stroke, &format!("M{left} {}h26", Number(y)));
        }
        Shape::Dots(_) => {
            let dot = |dx: f64, dy: f64| format!("M{} {}h0", Number(x + dx), Number(y + dy));
            svg.stroke(layer.color, layer.stroke, &(dot(5.0, 3.0) + &dot(13.0, -3.0) + &dot(21.0, 1.0)));
        }
        Shape::Bars(_) => svg.stroke(layer.color, layer.stroke, &format!("M{middle} {}v-15", Number(y + 7.5))),
        Shape::Marks(mark, _) => {
            let (filled, form) = mark.path();
            let path = format!("M{middle} {}{form}", Number(y));
            if filled {
                svg.fill(layer.color, layer.stroke, &path);
            } else {
                svg.stroke(layer.color, layer.stroke, &path);
            }
        }
    }
}

/// A text in lines of at most so many characters.
fn lines(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > most {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::palette;

    const AXES: (Axis, Axis) =
        (Axis { low: 0, high: 1000, from: 0.0, to: 1000.0 }, Axis { low: 0, high: 1000, from: 1000.0, to: 0.0 });

    fn of_points(points: &[(i64, Option<i64>)]) -> String {
        stair(points, (&AXES.0, &AXES.1))
    }

    #[test]
    fn a_stair_holds_its_value_and_is_interrupted_where_nothing_is_known() {
        assert_eq!(
            of_points(&[(0, Some(10)), (100, Some(10)), (100, Some(20)), (300, Some(0))]),
            "M0 990H100V980H300V1000"
        );
        assert_eq!(
            of_points(&[(0, None), (10, Some(5)), (20, Some(5)), (30, None), (40, Some(7))]),
            "M10 995H20M40 993"
        );
        assert_eq!(of_points(&[(0, None)]), "");
    }

    #[test]
    fn bars_that_touch_are_one_and_a_short_one_is_seen() {
        let drawn = |all: &[(i64, i64, i64)]| bars(all, (&AXES.0, &AXES.1));
        assert_eq!(drawn(&[(5, 0, 100), (5, 100, 200), (5, 300, 400)]), "M5 700V600M5 1000V800");
        assert_eq!(drawn(&[(5, 500, 500)]), "M5 501V499");
    }

    #[test]
    fn a_hundred_thousand_packets_make_a_small_picture() {
        let bars: Vec<_> = (0..100_000).map(|nth| (nth * 10_000, nth * 1448, nth * 1448 + 1448)).collect();
        let acks = bars.iter().map(|(time, low, _)| (time + 20_000_000, Some(*low))).collect();
        let marks = bars.iter().step_by(100).map(|(time, low, _)| (*time, *low)).collect();
        let layer = |shape, label: &str| Layer { shape, color: palette::NEW, stroke: "", label: label.to_owned() };
        let layers = vec![
            layer(Shape::Bars(bars), "data"),
            layer(Shape::Stair(acks), "acknowledged"),
            layer(Shape::Marks(Mark::Cross, marks), "lost"),
        ];
        let (title, note) = (String::new(), String::new());
        let panel = Panel { title, quantity: Quantity::Bytes, height: 400.0, high: 144_800_000, note, layers };
        let picture = Picture {
            title: "t".to_owned(),
            flows: Vec::new(),
            description: String::new(),
            captions: Vec::new(),
            panels: vec![panel],
        };
        let svg = draw(&picture);
        assert!(svg.len() < 100_000, "{} bytes", svg.len());
    }

    #[test]
    fn a_note_that_does_not_fit_beside_the_title_has_a_line_and_what_is_above_the_panel_no_entry() {
        let panel = |note: &str| {
            let line = |value, label: &str| Layer {
                shape: Shape::Stair(vec![(0, Some(value)), (1_000, Some(value))]),
                color: palette::NEW,
                stroke: "",
                label: label.to_owned(),
            };
            let (title, note) = ("t".repeat(40), note.to_owned());
            let layers = vec![line(100, "inside"), line(101, "outside")];
            Panel { title, quantity: Quantity::Bytes, height: 200.0, high: 100, note, layers }
        };
        // The title has 40 characters, its unit 8, and 2 stand before the note.
        assert_eq!(["", &"n".repeat(20), &"n".repeat(21)].map(|note| has_own_line(&panel(note))), [false, false, true]);
        let picture = Picture {
            title: "t".to_owned(),
            flows: vec![("#0 a – b".to_owned(), palette::ACK)],
            description: String::new(),
            captions: Vec::new(),
            panels: vec![panel(&"n".repeat(21))],
        };
        let svg = draw(&picture);
        assert!(svg.contains(&format!(">{} (bytes)<", "t".repeat(40))), "{svg}");
        assert!(svg.contains(&format!(">{}<", "n".repeat(21))), "{svg}");
        assert!(svg.contains(">inside<") && !svg.contains(">outside<") && svg.contains(">#0 a – b<"), "{svg}");
    }

    #[test]
    fn a_caption_is_broken_between_words() {
        assert_eq!(lines("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(lines("aaaaaaaa b", 5), ["aaaaaaaa", "b"]);
    }
}
