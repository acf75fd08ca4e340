//! The joint ladder of a run with several hosts: a column for each host and router, all connections in one order of time.
//! [`Ladder::draw_joint`](super::Ladder) calls it; `tcplab run --joint` prints it. The texts are those of the ladder of one
//! connection.
//!
//! ```text
//!              client        r            server       other
//!   0.010000   │── #0 SYN 0:1 ┼──────────────→│         │
//!   0.020000   │              ┆               │         │ accept(3) = 4
//! ```

use core::fmt::Write as _;

use super::arrows::{Manner, color_of, heads, shaft};
use super::label::{self, beside_text, describe, said, without_ends};
use super::ladder::is_drawn;
use super::layout::Style;
use super::text::{ascii, columns, printable, seconds, wrapped};
use crate::annotate::Tag;
use crate::conversation::Side;
use crate::event::HostId;
use crate::trace::{Content, SegmentStep, Step, Trace, Vantage};

/// Columns of a time and the blanks behind it.
const TIME: usize = 15;
/// The least columns from one host to the next.
const LEAST: usize = 12;
const PLAIN: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";

/// The joint ladder of what happened, or the columns that it needs.
///
/// # Errors
/// The style is too narrow: so many columns are needed.
pub(super) fn draw(trace: &Trace, style: &Style) -> Result<String, usize> {
    let order = order(trace);
    let gaps = order.len().max(2) - 1;
    if style.width < TIME + gaps * LEAST + 2 {
        return Err(TIME + gaps * LEAST + 2);
    }
    let room = (style.width - TIME - 2).min(gaps * 48);
    let places = (0..order.len()).map(|nth| room * nth / gaps).collect();
    let mut sheet =
        Sheet { trace, style: *style, order, places, room, out: String::new(), numbers: trace.flows().len() > 1 };
    sheet.names();
    for step in trace.steps().filter(|step| is_drawn(&step.content, style.all)) {
        sheet.step(step);
    }
    Ok(sheet.out)
}

/// Hosts that open connections, routers, the other hosts: each in the order in which they appear.
fn order(trace: &Trace) -> Vec<HostId> {
    let (mut openers, mut routers, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let add = |list: &mut Vec<HostId>, host: HostId| {
        if !list.contains(&host) {
            list.push(host);
        }
    };
    for flow in trace.flows() {
        flow.hosts[0].into_iter().for_each(|host| add(&mut openers, host));
    }
    for step in trace.steps() {
        if let Vantage::Host(host) = step.vantage {
            add(if trace.is_router(host) { &mut routers } else { &mut others }, host);
        }
        let path = match &step.content {
            Content::Segment(segment) => &segment.path,
            Content::Packet(packet) => &packet.path,
            _ => continue,
        };
        for passage in path {
            add(if trace.is_router(passage.host) { &mut routers } else { &mut others }, passage.host);
        }
    }
    others.retain(|host| !openers.contains(host));
    [openers, routers, others].concat()
}

struct Sheet<'a> {
    trace: &'a Trace,
    style: Style,
    order: Vec<HostId>,
    /// Where the bar of each host stands, counted from the first.
    places: Vec<usize>,
    /// Columns from the first bar to the last.
    room: usize,
    out: String,
    /// There are several connections: each arrow says which it belongs to.
    numbers: bool,
}

impl Sheet<'_> {
    fn safe(&self, text: &str) -> String {
        let text = printable(text, false);
        if self.style.ascii { ascii(&text) } else { text }
    }

    fn place(&self, host: HostId) -> Option<usize> {
        let nth = self.order.iter().position(|known| *known == host)?;
        self.places.get(nth).copied()
    }

    /// A line of bars, one character for each column.
    fn bars(&self) -> Vec<char> {
        let mut line = vec![' '; self.room + 1];
        for (host, place) in self.order.iter().zip(&self.places) {
            line[*place] = match (self.trace.is_router(*host), self.style.ascii) {
                (false, false) => '│',
                (true, false) => '┆',
                (false, true) => '|',
                (true, true) => ':',
            };
        }
        line
    }

    /// The names of the hosts above their bars. One that has no room on a line stands on the next.
    fn names(&mut self) {
        let mut left: Vec<_> =
            self.order.iter().zip(&self.places).map(|(host, place)| (self.trace.host_name(*host), *place)).collect();
        while !left.is_empty() {
            let (mut line, mut rest) = (String::new(), Vec::new());
            for (name, place) in left {
                let name = self.safe(&name);
                let begin = place.min((self.room + 2).saturating_sub(columns(&name)));
                let used = columns(&line);
                if used == 0 || used < begin {
                    let _ = write!(line, "{:gap$}{name}", "", gap = begin - used);
                } else {
                    rest.push((name, place));
                }
            }
            self.line("", &line, BOLD);
            left = rest;
        }
    }

    /// A line behind a time.
    fn line(&mut self, time: &str, text: &str, color: &str) {
        let (color, plain) = if self.style.color && !color.is_empty() { (color, PLAIN) } else { ("", "") };
        let text = text.trim_end_matches(' ');
        let line = format!("{time:>width$}  {color}{text}{plain}", width = TIME - 2);
        self.out.push_str(line.trim_end_matches(' '));
        self.out.push('\n');
    }

    fn step(&mut self, step: &Step) {
        let time = seconds(self.trace.since_ladder_origin(step.at), 9, TIME - 2).unwrap_or_default();
        let flow = step.flow.and_then(|number| self.trace.flow(number));
        let of = |side: Side| flow.and_then(|flow| flow.hosts[side as usize]).and_then(|host| self.place(host));
        let number = step.flow.filter(|_| self.numbers).map_or(String::new(), |flow| format!("#{flow} "));
        let vantage = if let Vantage::Host(host) = step.vantage { self.place(host) } else { None };
        match &step.content {
            Content::Segment(segment) => {
                let from = vantage.or_else(|| of(segment.from));
                let to = of(segment.from.other());
                let text = describe(segment);
                let words = said(segment, self.trace);
                match (from, to) {
                    (Some(from), Some(to)) if from != to => {
                        self.arrow(&time, (from, to), (&number, &text), segment, &words);
                    }
                    _ => self.beside(&time, from.unwrap_or(0), &format!("{number}{text}: {words}")),
                }
            }
            Content::State { side, to, .. } => {
                let state = to.map_or("?".to_owned(), |state| state.to_string());
                self.beside(&time, of(*side).unwrap_or(0), &format!("{number}{state}"));
            }
            Content::Packet(packet) => {
                let ends = packet.ends.map_or(String::new(), |(src, dst)| format!("{src} → {dst}: "));
                self.beside(&time, vantage.unwrap_or(0), &format!("{ends}{}", label::packet_said(packet, self.trace)));
            }
            _ => {
                let (text, place) = if let Some(text) = without_ends(self.trace, step) {
                    // The column says which host it is.
                    let text = text.split_once(": ").map_or(text.as_str(), |(_, rest)| rest).to_owned();
                    (text, vantage)
                } else {
                    let (side, text) = beside_text(step);
                    (text, of(side))
                };
                self.beside(&time, place.or(vantage).unwrap_or(0), &text);
            }
        }
    }

    /// A text right of the bar of a host; left of it where the right has less room.
    fn beside(&mut self, time: &str, place: usize, text: &str) {
        let text = self.safe(text);
        let (before, behind) = (place.saturating_sub(2), (self.style.width - TIME).saturating_sub(place + 3));
        let is_left = behind < columns(&text).min(LEAST * 2) && before > behind;
        let most = if is_left { before } else { behind };
        for (nth, part) in wrapped(&text, most.max(4)).into_iter().enumerate() {
            let at = if is_left { place - 1 - columns(&part).min(place - 1) } else { place + 2 };
            let line = self.with_text(at, &part);
            self.line(if nth == 0 { time } else { "" }, &line, "");
        }
    }

    /// The bars, with a text over them.
    fn with_text(&self, at: usize, text: &str) -> String {
        let bars = self.bars();
        let end = at + columns(text);
        let before: String = bars[..at.min(bars.len())].iter().collect();
        let after: String = bars.get(end..).unwrap_or_default().iter().collect();
        let pad = at.saturating_sub(bars.len());
        format!("{before}{:pad$}{text}{after}", "")
    }

    fn arrow(
        &mut self,
        time: &str,
        (from, to): (usize, usize),
        (number, text): (&str, &str),
        segment: &SegmentStep,
        words: &str,
    ) {
        let tag = segment.tag.or(segment.behind.map(|(_, tag)| tag));
        let again = label::is_again(segment);
        let manner = label::manner(segment, tag);
        let to_right = from < to;
        // What is lost ends two thirds of the way behind its sender, or behind the router that is known.
        let end = match (segment.tag, segment.behind) {
            (_, Some((router, Tag::Lost(_)))) => self.place(router).map_or(to, |at| (at * 2 + to) / 3),
            (Some(Tag::Lost(_)), _) => (from + to * 2) / 3,
            _ => to,
        };
        let end = if end.abs_diff(from) < 6 { to } else { end };
        let (low, high) = (from.min(end), from.max(end));
        let mut line = self.bars();
        let stroke = shaft(again, self.style.ascii).chars().next().unwrap_or('-');
        let crossing = match (again, self.style.ascii) {
            (false, false) => '┼',
            (true, false) => '╪',
            (_, true) => '+',
        };
        for cell in &mut line[low + 1..high] {
            *cell = if *cell == ' ' { stroke } else { crossing };
        }
        let [right, left] = heads(tag, self.style.ascii);
        if to_right {
            line[high - 1] = right;
        } else {
            line[low + 1] = left;
        }
        let inside = (high - low).saturating_sub(6);
        let beginnings = core::iter::once(text.to_owned()).chain(label::beginnings(text));
        let label =
            beginnings.map(|text| self.safe(&format!(" {number}{text} "))).find(|label| columns(label) <= inside);
        let is_whole = label.as_ref().is_some_and(|label| label.trim() == self.safe(&format!("{number}{text}")));
        // A label in text of one column for each character replaces the shaft.
        if let Some(label) = label.filter(|label| columns(label) == label.chars().count()) {
            let at = if to_right { low + 3 } else { high - 2 - label.chars().count() };
            for (nth, char) in label.chars().enumerate() {
                line[at + nth] = char;
            }
        }
        let shown: String = line.into_iter().collect();
        self.line(time, &shown, color_of(manner));
        let below = if is_whole { words.to_owned() } else { format!("{number}{text}: {words}") };
        let below = self.safe(&below);
        // Words need some room: an arrow that begins far to the right has them further to the left.
        let room = self.style.width - TIME - 1;
        let begin = (low + 3).min(room.saturating_sub(24)).max(2);
        for part in wrapped(&below, room - begin) {
            let line = self.with_text(begin, &part);
            self.line("", &line, if manner == Manner::Plain { DIM } else { "" });
        }
    }
}
