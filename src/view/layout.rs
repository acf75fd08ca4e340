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
//! What a link does to a packet is the head of its arrow: `→` it arrives, `✗` it is lost, `↠` it arrives twice, `⇢` it is
//! held back, `⇉` it is sent ahead, `≁` a bit of it flips. A retransmission has a shaft of `═`.

use core::fmt::Write as _;

use super::text::{ascii, columns, printable, seconds, wrapped};
use crate::annotate::Tag;
use crate::conversation::Side;

/// The narrowest ladder.
pub const NARROWEST: usize = 20;
/// Columns of a state, and the blank beside it.
const STATE: usize = 13;
/// Columns of the number of a flow, and the blank behind it.
const NUMBER: usize = 5;
/// Columns that words below an arrow are moved in.
const INDENT: usize = 3;
/// Columns of the time, its decimals, whether states stand outside the bars, and the least body that this is for.
const CHOICES: [(usize, usize, bool, usize); 4] =
    [(13, 9, true, 60), (13, 9, false, 55), (10, 6, false, 40), (7, 3, false, 30)];
/// More between the bars is of no use.
const WIDEST_BODY: usize = 96;

const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
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
    /// Columns between the bars.
    body: usize,
}

/// What happened at one instant, as far as it fits between two bars.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// Nanoseconds since the ladder begins.
    pub(super) at: i64,
    pub(super) flow: Option<usize>,
    pub(super) states: [Option<String>; 2],
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
    /// Something that a side did by itself.
    Beside(Side, String),
    /// What belongs to no flow: there are no bars.
    Free(String),
}

#[derive(Clone, Debug)]
pub(super) struct Arrow {
    pub(super) from: Side,
    /// What stands on the shaft where it fits.
    pub(super) text: String,
    /// Beginnings of it that stand there where it does not fit, the longest first.
    pub(super) short: [String; 2],
    pub(super) tag: Option<Tag>,
    /// It was sent before.
    pub(super) again: bool,
}

impl Layout {
    /// The columns for a width. `numbers` says that the rows carry the number of their flow.
    pub(super) fn new(style: Style, numbers: bool) -> Self {
        let style = Style { width: style.width.max(NARROWEST), ..style };
        let number = if numbers { NUMBER } else { 0 };
        for (time, decimals, outside, least) in CHOICES {
            let around = time + 1 + number + 2 + if outside { 2 * STATE } else { 0 };
            if style.width >= around + least {
                let body = (style.width - around).min(WIDEST_BODY);
                return Self { style, time, decimals, numbers, outside, body };
            }
        }
        Self { style, time: 0, decimals: 9, numbers, outside: false, body: style.width - 2 }
    }

    /// The columns before the left bar.
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

    fn safe(self, text: &str) -> String {
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
    pub(super) fn ends(self, out: &mut String, ends: [&str; 2]) {
        let (bold, plain) = self.paint(BOLD);
        let [left, right] = ends.map(|end| self.safe(end));
        let (margin, room) = (self.margin(), self.body + 2);
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
        let margin = " ".repeat(self.margin());
        let mut head = self.head(out, row);
        let mut right =
            row.states[1].as_deref().filter(|_| self.outside).map_or(String::new(), |state| format!(" {state}"));
        let bar = self.bar();
        let mut line = |out: &mut String, inside: &str| {
            let head = core::mem::replace(&mut head, margin.clone());
            end_line(out, &format!("{head}{bar}{inside}{bar}{}", core::mem::take(&mut right)));
        };
        if !self.outside {
            self.states_inside(row).iter().for_each(|inside| line(out, inside));
        }
        match &row.body {
            Body::Nothing if self.outside => line(out, &" ".repeat(self.body)),
            Body::Nothing | Body::Free(_) => {}
            Body::Beside(side, text) => {
                for text in wrapped(&self.safe(text), self.body - 2) {
                    line(out, &self.beside(*side, &text));
                }
            }
            Body::Arrow(arrow) => {
                let (inside, rest) = self.arrow(arrow);
                line(out, &inside);
                for text in rest.iter().flat_map(|rest| wrapped(&self.safe(rest), self.body - 2)) {
                    line(out, &self.beside(Side::Local, &text));
                }
            }
        }
        self.comments(out, row);
    }

    /// The comments of a row between the bars.
    pub(super) fn comments(self, out: &mut String, row: &Row) {
        let (dim, plain) = self.paint(DIM);
        let (bar, margin) = (self.bar(), " ".repeat(self.margin()));
        let indent = if self.body > 40 { INDENT } else { 1 };
        for comment in row.comments.iter().flat_map(|comment| wrapped(&self.safe(comment), self.body - indent - 1)) {
            let pad = self.body.saturating_sub(indent + columns(&comment));
            end_line(out, &format!("{margin}{bar}{:indent$}{dim}{comment}{plain}{:pad$}{bar}", "", ""));
        }
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

    fn states_inside(self, row: &Row) -> Vec<String> {
        let [left, right] = [0, 1].map(|side| row.states[side].as_deref().unwrap_or_default());
        if left.is_empty() && right.is_empty() {
            return Vec::new();
        }
        let room = self.body - 2;
        if columns(left) + columns(right) < room {
            let gap = room - columns(left) - columns(right);
            return vec![format!(" {left}{:gap$}{right} ", "")];
        }
        vec![self.beside(Side::Local, left), self.beside(Side::Remote, right)]
    }

    /// A text at the bar of a side.
    fn beside(self, side: Side, text: &str) -> String {
        let pad = (self.body - 2).saturating_sub(columns(text));
        match side {
            Side::Local => format!(" {text}{:pad$} ", ""),
            Side::Remote => format!(" {:pad$}{text} ", ""),
        }
    }

    /// The arrow, and the text that does not fit on its shaft.
    fn arrow(self, arrow: &Arrow) -> (String, Option<String>) {
        let fits = |text: &str| columns(text) + 5 <= self.body;
        let text = self.safe(&arrow.text);
        let shorter = arrow.short.iter().map(|short| self.safe(short));
        let mut beginnings = core::iter::once(text.clone()).chain(shorter);
        let on_shaft = beginnings.find(|beginning| fits(beginning) && text.starts_with(&**beginning));
        let on_shaft = on_shaft.unwrap_or_default();
        let rest = Some(text[on_shaft.len()..].to_owned()).filter(|rest| !rest.is_empty());
        let shaft = match (self.style.ascii, arrow.again) {
            (false, false) => "─",
            (false, true) => "═",
            (true, false) => "-",
            (true, true) => "=",
        };
        let [to_right, to_left] = self.heads(arrow.tag);
        let label = if on_shaft.is_empty() { String::new() } else { format!(" {on_shaft} ") };
        let rest_of_shaft = shaft.repeat(self.body - 3 - columns(&label));
        let (color, plain) = match arrow.tag {
            Some(tag) if tag.is_loss() => self.paint(RED),
            _ if arrow.again => self.paint(YELLOW),
            _ => ("", ""),
        };
        let inside = match arrow.from {
            Side::Local => format!("{color}{shaft}{shaft}{label}{rest_of_shaft}{to_right}{plain}"),
            Side::Remote => format!("{color}{to_left}{rest_of_shaft}{label}{shaft}{shaft}{plain}"),
        };
        (inside, rest)
    }

    fn heads(self, tag: Option<Tag>) -> [char; 2] {
        match (tag, self.style.ascii) {
            (None | Some(Tag::Copy), false) => ['→', '←'],
            (Some(Tag::Lost(_)), false) => ['✗', '✗'],
            (Some(Tag::Duplicated), false) => ['↠', '↞'],
            (Some(Tag::Reordered), false) => ['⇢', '⇠'],
            (Some(Tag::Overtakes), false) => ['⇉', '⇇'],
            (Some(Tag::Corrupted { .. }), false) => ['≁', '≁'],
            (Some(Tag::Lost(_)), true) => ['X', 'X'],
            (Some(Tag::Corrupted { .. }), true) => ['~', '~'],
            (_, true) => ['>', '<'],
        }
    }
}

/// Ends a line, without blanks at its end.
fn end_line(out: &mut String, line: &str) {
    out.push_str(line.trim_end_matches(' '));
    out.push('\n');
}
