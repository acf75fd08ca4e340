//! Where the columns of a ladder stand, for every width of a terminal, and how a row of it is drawn.
//!
//! ```text
//!   wide    0.010000000 SYN-SENT     │── SYN 0:1 win 65535 ──────────→│ SYN-RECEIVED
//!   narrow  0.010000000 │ SYN-SENT                       SYN-RECEIVED │
//!                       │── SYN 0:1 win 65535 ───────────────────────→│
//!   20      0.010000
//!           │── SYN ─────────→│
//!           │ 0:1 win 65535    │
//! ```
//!
//! A wide terminal has columns beside the bars for calls and timers; a narrow one has them between the bars. What a link
//! does to a packet is the head of its arrow: `→` it arrives, `✗` it is lost on the way, `↠` it arrives twice, `⇢` it is
//! held back, `⇉` it is sent ahead, `≁` a bit of it flips. A retransmission has a shaft of `═`. An arrow that ends in `╲` or
//! `╱` goes on in a later row. `┆` is a router.

use core::fmt::Write as _;

use super::arrows::{Arrival, Arrow};
use super::text::{ascii, columns, printable, seconds, wrapped};
use crate::conversation::Side;

/// The narrowest ladder.
pub const NARROWEST: usize = 20;
/// Columns of a state, and the blank beside it.
const STATE: usize = 13;
/// Columns of the number of a flow, and the blank behind it.
const NUMBER: usize = 5;
/// The least and the most columns for states, calls and timers beside a bar, and the least body between them.
const NOTE: (usize, usize) = (36, 44);
const BESIDE_NOTES: usize = 72;
/// The least body in which arrows slope.
const SLOPING: usize = 56;
/// Routers between two bars at most, and the least columns between a router and its neighbours.
const MOST_ROUTERS: usize = 5;
const HOP: usize = 14;
/// Columns that words below an arrow are moved in.
const INDENT: usize = 3;
/// Columns of the time, its decimals, whether states stand outside the bars, and the least body that this is for.
const CHOICES: [(usize, usize, bool, usize); 4] =
    [(13, 9, true, 60), (13, 9, false, 55), (10, 6, false, 40), (7, 3, false, 30)];
/// More between the bars is of no use.
const WIDEST_BODY: usize = 96;

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// How a ladder is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Each is a switch of its own.
pub struct Style {
    /// Columns of the terminal; fewer than [`NARROWEST`] count as that many.
    pub width: usize,
    /// With escape sequences.
    pub color: bool,
    /// In ASCII only.
    pub ascii: bool,
    /// Long runs are drawn whole.
    pub all: bool,
}

impl Default for Style {
    /// 80 columns, plain, long runs folded.
    fn default() -> Self {
        Self { width: 80, color: false, ascii: false, all: false }
    }
}

/// The columns of a ladder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) style: Style,
    /// Columns of a time, without the blank behind it; 0 if times stand on lines of their own.
    time: usize,
    decimals: usize,
    /// Rows of several flows stand between each other: each says whose it is.
    numbers: bool,
    /// States stand outside the bars.
    outside: bool,
    /// Columns for states, calls and timers beside each bar; 0 if calls and timers stand between the bars.
    notes: usize,
    /// Columns between the bars.
    pub(super) body: usize,
    /// Routers between the bars.
    routers: usize,
}

/// What happened at one instant, as far as it fits between two bars.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// Nanoseconds since the ladder begins.
    pub(super) at: i64,
    pub(super) flow: Option<usize>,
    pub(super) states: [Option<String>; 2],
    /// What the sides did by themselves.
    pub(super) notes: [Option<String>; 2],
    pub(super) body: Body,
    /// Below it.
    pub(super) comments: Vec<String>,
}

/// What stands between the bars.
#[derive(Clone, Debug, Default)]
pub(super) enum Body {
    #[default]
    Nothing,
    Arrow(Arrow),
    /// The end of an arrow that began in an earlier row.
    Arrival(Arrival),
    /// What belongs to no flow: there are no bars.
    Free(String),
}

/// A line between the bars, and its colour.
pub(super) type Line = (String, &'static str);

impl Layout {
    /// The columns for a width. `numbers` says that the rows carry the number of their flow.
    pub(super) fn new(style: Style, numbers: bool) -> Self {
        let style = Style { width: style.width.max(NARROWEST), ..style };
        let number = if numbers { NUMBER } else { 0 };
        for (time, decimals, outside, least) in CHOICES {
            let around = time + 1 + number + 2 + if outside { 2 * STATE } else { 0 };
            if style.width >= around + least {
                let room = style.width - around;
                let beside = room + if outside { 2 * STATE } else { 0 };
                let notes = (beside.saturating_sub(BESIDE_NOTES) / 2).min(NOTE.1);
                let notes = if outside && !numbers && notes >= NOTE.0 { notes } else { 0 };
                let (room, outside) = if notes > 0 { (beside - 2 * notes, false) } else { (room, outside) };
                let body = room.min(WIDEST_BODY);
                return Self { style, time, decimals, numbers, outside, notes, body, routers: 0 };
            }
        }
        let body = style.width - 2;
        Self { style, time: 0, decimals: 9, numbers, outside: false, notes: 0, body, routers: 0 }
    }

    /// The same with so many routers between the bars, if there is room for them.
    pub(super) fn with_routers(self, count: usize) -> Self {
        let fits = count <= MOST_ROUTERS && self.body >= (count + 1) * HOP && self.has_slopes();
        Self { routers: if fits { count } else { 0 }, ..self }
    }

    pub(super) fn has_routers(self) -> bool {
        self.routers > 0
    }

    /// There is room for arrows that slope.
    pub(super) fn has_slopes(self) -> bool {
        self.body >= SLOPING
    }

    /// Where the routers stand between the bars, from left to right.
    pub(super) fn router_columns(self) -> impl Iterator<Item = usize> {
        (1..=self.routers).map(move |nth| self.body * nth / (self.routers + 1))
    }

    /// The columns before the left bar, without the notes.
    fn margin(self) -> usize {
        match self.time {
            0 => 0,
            time => time + 1 + if self.numbers { NUMBER } else { 0 } + if self.outside { STATE } else { 0 },
        }
    }

    fn bar(self) -> char {
        if self.style.ascii { '|' } else { '│' }
    }

    fn paint(self, code: &'static str) -> (&'static str, &'static str) {
        if self.style.color { (code, PLAIN) } else { ("", "") }
    }

    pub(super) fn safe(self, text: &str) -> String {
        let text = printable(text, false);
        if self.style.ascii { ascii(&text) } else { text }
    }

    /// A title over the whole width.
    pub(super) fn title(self, out: &mut String, text: &str) {
        let (bold, plain) = self.paint(BOLD);
        for line in wrapped(&self.safe(text), self.style.width) {
            end_line(out, &format!("{bold}{line}{plain}"));
        }
    }

    /// The ends of a connection above their bars.
    pub(super) fn ends(self, out: &mut String, ends: [&str; 2], routers: &[String]) {
        let (bold, plain) = self.paint(BOLD);
        let [left, right] = ends.map(|end| self.safe(end));
        let (margin, room) = (self.margin() + self.notes, self.body + 2);
        if self.has_routers() {
            let mut line = String::new();
            for (router, column) in routers.iter().zip(self.router_columns()) {
                let router = self.safe(router);
                let begin = (margin + column + 1).saturating_sub(columns(&router) / 2);
                let used = columns(&line);
                if (used == 0 || used < begin) && begin + columns(&router) <= self.style.width {
                    let _ = write!(line, "{:gap$}{router}", "", gap = begin - used);
                }
            }
            end_line(out, &format!("{bold}{line}{plain}"));
        }
        if columns(&left) + 2 + columns(&right) <= room {
            let gap = room - columns(&left) - columns(&right);
            end_line(out, &format!("{:margin$}{bold}{left}{:gap$}{right}{plain}", "", ""));
            return;
        }
        for line in wrapped(&left, room) {
            end_line(out, &format!("{:margin$}{bold}{line}{plain}", ""));
        }
        for line in wrapped(&right, room) {
            let gap = margin + room - columns(&line);
            end_line(out, &format!("{:gap$}{bold}{line}{plain}", ""));
        }
    }

    /// What stands before the left bar on the first line of a row. A time that does not fit has a line of its own.
    fn head(self, out: &mut String, row: &Row) -> String {
        let number = row.flow.filter(|_| self.numbers).map_or(String::new(), |number| format!("#{number}"));
        let in_column = (self.time > 0 && columns(&number) < NUMBER).then_some(self.time);
        if let Some(time) = in_column.and_then(|most| seconds(row.at, self.decimals, most)) {
            let mut head = format!("{time:>width$} ", width = self.time);
            if self.numbers {
                let _ = write!(head, "{number:>width$} ", width = NUMBER - 1);
            }
            if self.outside {
                let state = row.states[0].as_deref().unwrap_or_default();
                let _ = write!(head, "{state:<STATE$}");
            }
            return head;
        }
        let most = self.style.width.saturating_sub(columns(&number) + 1);
        let time = seconds(row.at, 9, most).unwrap_or_default();
        end_line(out, &self.safe(&format!("{time} {number}")));
        let state = row.states[0].as_deref().filter(|_| self.outside).unwrap_or_default();
        let columns = if self.outside { STATE } else { 0 };
        format!("{:width$}{state:<columns$}", "", width = self.margin() - columns)
    }

    /// Draws a row, with a line end behind each of its lines.
    pub(super) fn row(self, out: &mut String, row: &Row) {
        if let Body::Free(text) = &row.body {
            return self.free(out, row, text);
        }
        let own = if self.notes > 0 { Vec::new() } else { self.own_lines(row) };
        let mut inside: Vec<Line> = Vec::new();
        match &row.body {
            Body::Nothing | Body::Free(_) => inside.extend(own),
            Body::Arrow(arrow) => {
                inside.extend(own);
                let (line, rest) = self.arrow(arrow);
                inside.push(line);
                let rest = rest.iter().flat_map(|rest| wrapped(&self.safe(rest), self.body - 2));
                inside.extend(rest.map(|text| self.beside(Side::Local, &text)));
            }
            Body::Arrival(arrival) => {
                inside.push(self.arrival(arrival));
                inside.extend(own);
            }
        }
        inside.extend(self.comment_lines(row));
        self.lines(out, row, &inside);
    }

    /// States and what the sides did, where they stand between the bars.
    fn own_lines(self, row: &Row) -> Vec<Line> {
        let mut lines = if self.outside { Vec::new() } else { self.states_inside(row) };
        for side in Side::BOTH {
            let note = row.notes[side as usize].as_ref();
            let texts = note.map_or(Vec::new(), |note| wrapped(&self.safe(note), self.body - 2));
            lines.extend(texts.iter().map(|text| self.beside(side, text)));
        }
        lines
    }

    /// The comments of a row between the bars.
    pub(super) fn comments(self, out: &mut String, row: &Row) {
        let margin = " ".repeat(self.margin() + self.notes);
        for line in self.comment_lines(row) {
            end_line(out, &format!("{margin}{}", self.between(&line)));
        }
    }

    fn comment_lines(self, row: &Row) -> Vec<Line> {
        let indent = if self.body > 40 { INDENT } else { 1 };
        let lines = row.comments.iter().flat_map(|comment| wrapped(&self.safe(comment), self.body - indent - 1));
        lines.map(|comment| (format!("{:indent$}{comment}", ""), DIM)).collect()
    }

    /// Lines between the bars, and what stands beside them.
    fn lines(self, out: &mut String, row: &Row, inside: &[Line]) {
        let mut head = self.head(out, row);
        let room = self.notes.saturating_sub(1);
        let beside = |side: usize| -> Vec<String> {
            let (state, note) = (row.states[side].as_deref(), row.notes[side].as_deref());
            if self.notes == 0 {
                return state.filter(|_| self.outside && side == 1).into_iter().map(str::to_owned).collect();
            }
            // The state stands next to the bar.
            let both = if side == 0 { [note, state] } else { [state, note] };
            let texts: Vec<_> = both.into_iter().flatten().map(|text| self.safe(text)).collect();
            match texts.join("  ") {
                text if text.is_empty() => Vec::new(),
                text if columns(&text) <= room => vec![text],
                _ => texts.iter().flat_map(|text| wrapped(text, room)).collect(),
            }
        };
        let (left, right) = (beside(0), beside(1));
        let left = if self.notes > 0 { left } else { Vec::new() };
        let nothing = (String::new(), "");
        for at in 0..inside.len().max(left.len()).max(right.len()).max(1) {
            let body = self.between(inside.get(at).unwrap_or(&nothing));
            let left = left.get(at).map_or("", String::as_str);
            let pad = self.notes.saturating_sub(columns(left) + 1);
            let left = if self.notes > 0 { format!("{:pad$}{left} ", "") } else { String::new() };
            let right = right.get(at).map_or(String::new(), |right| format!(" {right}"));
            end_line(out, &format!("{head}{left}{body}{right}"));
            head = " ".repeat(self.margin());
        }
    }

    /// A line with the bars beside it, and the routers where there is nothing else.
    fn between(self, (text, color): &Line) -> String {
        let bar = self.bar();
        let mut text = format!("{text}{:pad$}", "", pad = self.body.saturating_sub(columns(text)));
        if self.has_routers() {
            text = self.with_bars_of_routers(&text);
        }
        let (color, plain) = if color.is_empty() || text.trim().is_empty() { ("", "") } else { self.paint(color) };
        format!("{bar}{color}{text}{plain}{bar}")
    }

    fn with_bars_of_routers(self, text: &str) -> String {
        let all: Vec<char> = text.chars().collect();
        let mut out = String::with_capacity(text.len());
        let (mut column, mut bars) = (0, self.router_columns().peekable());
        for (n, c) in all.iter().enumerate() {
            let here = bars.next_if(|bar| *bar <= column).is_some();
            let beside = |at: Option<usize>| at.and_then(|at| all.get(at)).is_none_or(|c| *c == ' ');
            let free = beside(n.checked_sub(1)) && beside(Some(n + 1));
            out.push(match (*c, self.style.ascii) {
                (' ', false) if here && free => '┆',
                (' ', true) if here && free => ':',
                ('─', _) if here => '┼',
                ('═', _) if here => '╪',
                ('-' | '=', true) if here => '+',
                (c, _) => c,
            });
            column += columns(c.encode_utf8(&mut [0; 4]));
        }
        out
    }

    fn free(self, out: &mut String, row: &Row, text: &str) {
        let head = self.head(out, row);
        let head = head.trim_end();
        let indent = if self.time > 0 { self.time + 1 } else { 0 };
        let room = self.style.width - indent;
        let (dim, plain) = self.paint(DIM);
        for (n, line) in wrapped(&self.safe(text), room).iter().enumerate() {
            match n {
                0 if !head.is_empty() => {
                    end_line(out, &format!("{:<indent$}{line}", &head[..head.len().min(self.time)]));
                }
                _ => end_line(out, &format!("{:indent$}{line}", "")),
            }
        }
        for comment in row.comments.iter().flat_map(|comment| wrapped(&self.safe(comment), room - 2)) {
            end_line(out, &format!("{:indent$}  {dim}{comment}{plain}", ""));
        }
    }

    fn states_inside(self, row: &Row) -> Vec<Line> {
        let [left, right] = [0, 1].map(|side| row.states[side].as_deref().unwrap_or_default());
        if left.is_empty() && right.is_empty() {
            return Vec::new();
        }
        let room = self.body - 2;
        if columns(left) + columns(right) < room {
            let gap = room - columns(left) - columns(right);
            return vec![(format!(" {left}{:gap$}{right} ", ""), "")];
        }
        vec![self.beside(Side::Local, left), self.beside(Side::Remote, right)]
    }

    /// A text at the bar of a side.
    fn beside(self, side: Side, text: &str) -> Line {
        let pad = (self.body - 2).saturating_sub(columns(text));
        let line = match side {
            Side::Local => format!(" {text}{:pad$} ", ""),
            Side::Remote => format!(" {:pad$}{text} ", ""),
        };
        (line, "")
    }
}

/// Ends a line, without blanks at its end.
fn end_line(out: &mut String, line: &str) {
    out.push_str(line.trim_end_matches(' '));
    out.push('\n');
}
