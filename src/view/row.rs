//! One step of a ladder as text, whoever found it out: a time, a state on each side, and an arrow between two bars with
//! what the packet is below it.
//!
//! ```text
//!   0.000000000 SYN-SENT     │── SYN 0:1 win 65535 <mss 1460,sackOK> ────────────────────→│ SYN-RECEIVED
//!                            │   opens the connection                                     │
//! ```
//!
//! The head of the arrow says what the link does to the packet: `→` it arrives, `✗` it is lost, `↠` it arrives twice,
//! `⇢` it is held back, `⇉` it is sent ahead, `≁` a bit of it flips.

use core::fmt::{self, Write};

use crate::capture::Told;
use crate::conversation::{AckKind, DataKind, Side};
use crate::event::{Fate, State};
use crate::segment::{Flags, Options, Segment};

/// Columns between the two bars.
pub(super) const WIDTH: usize = 66;
/// Columns of a state.
const STATE: usize = 12;
/// Columns of a time, and the blank behind it.
const TIME: usize = 14;
/// Columns of the number of a stream, and the blank behind it.
const NUMBER: usize = 5;
/// Columns that words below an arrow are moved in.
const INDENT: usize = 3;

const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// How rows are put on a page.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Page {
    /// For a terminal.
    pub(super) color: bool,
    /// Rows of several streams stand between each other: each says whose it is.
    pub(super) numbers: bool,
}

/// A state where it begins; `?` where it cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown(pub(super) Option<State>);

/// What happened at one instant, as far as it fits between two bars.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// Nanoseconds since the ladder begins.
    pub(super) at: i64,
    /// The stream, if several stand between each other.
    pub(super) stream: Option<usize>,
    pub(super) body: Body,
    pub(super) states: [Option<Shown>; 2],
    pub(super) comments: Vec<String>,
}

/// What stands between the bars.
#[derive(Clone, Debug, Default)]
pub(super) enum Body {
    #[default]
    Nothing,
    Arrow(Arrow),
    /// A packet of no connection: there are no bars.
    Other(String),
}

#[derive(Clone, Debug)]
pub(super) struct Arrow {
    /// The side that it starts from: 0 is the left one.
    pub(super) from: usize,
    pub(super) text: String,
    pub(super) fate: Option<Fate>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(state) => state.fmt(f),
            None => f.pad("?"),
        }
    }
}

impl Page {
    /// The columns before the left bar.
    fn margin(self) -> usize {
        TIME + STATE + 1 + if self.numbers { NUMBER } else { 0 }
    }

    /// The ends of a connection above its bars, and `title` above them.
    pub(super) fn heading(self, out: &mut String, title: &str, ends: [&str; 2]) {
        let (bold, plain) = if self.color { (BOLD, PLAIN) } else { ("", "") };
        if !title.is_empty() {
            let _ = writeln!(out, "{bold}{title}{plain}");
        }
        let [left, right] = ends;
        let gap = (WIDTH + 1).saturating_sub(left.chars().count()).max(2);
        let _ = writeln!(out, "{:margin$}{bold}{left}{:gap$}{right}{plain}", "", "", margin = self.margin());
    }

    /// A row, with a line end behind each of its lines.
    pub(super) fn row(self, out: &mut String, row: &Row) {
        let paint = |code: &'static str| if self.color { (code, PLAIN) } else { ("", "") };
        let begin = out.len();
        let _ = write!(out, "{:>width$} ", Seconds(row.at), width = TIME - 1);
        if self.numbers {
            match row.stream {
                Some(number) => _ = write!(out, "{:>width$} ", format!("#{number}"), width = NUMBER - 1),
                None => _ = write!(out, "{:NUMBER$}", ""),
            }
        }
        let state = |side: usize| row.states[side].map_or(String::new(), |shown| shown.to_string());
        match &row.body {
            Body::Other(text) => {
                let _ = write!(out, "{text}");
            }
            Body::Nothing => {
                let _ = write!(out, "{:<STATE$} │{:WIDTH$}│ {}", state(0), "", state(1));
            }
            Body::Arrow(arrow) => {
                let (color, plain) = if arrow.is_lost() { paint(RED) } else { ("", "") };
                let _ = write!(out, "{:<STATE$} │{color}{arrow}{plain}│ {}", state(0), state(1));
            }
        }
        end_line(out, begin);
        let (dim, plain) = paint(DIM);
        let barred = !matches!(row.body, Body::Other(_));
        for line in row.comments.iter().flat_map(|comment| comment.lines()).flat_map(wrapped) {
            let begin = out.len();
            if barred {
                let pad = (WIDTH - INDENT).saturating_sub(line.chars().count());
                let _ =
                    write!(out, "{:margin$}│{:INDENT$}{dim}{line}{plain}{:pad$}│", "", "", "", margin = self.margin());
            } else {
                let _ = write!(out, "{:margin$}{:INDENT$} {dim}{line}{plain}", "", "", margin = self.margin());
            }
            end_line(out, begin);
        }
    }
}

/// Takes blanks off the line that begins at `begin`, and ends it.
fn end_line(out: &mut String, begin: usize) {
    let len = out[begin..].trim_end_matches(' ').len();
    out.truncate(begin + len);
    out.push('\n');
}

/// The lines of a text that fit between the bars.
fn wrapped(text: &str) -> Vec<String> {
    let most = WIDTH - INDENT - 1;
    let mut lines = vec![String::new()];
    // What a file says may hold anything; a terminal must not obey it.
    for word in text.split_whitespace() {
        let word: String = word.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let last = lines.last_mut().expect("one at least");
        let room = most.saturating_sub(last.chars().count() + 1);
        if last.is_empty() {
            last.push_str(&word);
        } else if word.chars().count() <= room {
            last.push(' ');
            last.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    lines
}

/// Nanoseconds, which may be negative, as seconds.
struct Seconds(i64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        f.pad(&format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000))
    }
}

impl Arrow {
    /// It does not get to the other side as it was.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.fate, Some(Fate::Drop(_) | Fate::Corrupt(_)))
    }
}

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = match self.fate {
            Some(Fate::Drop(_)) => ['✗', '✗'],
            Some(Fate::Duplicate(_)) => ['↠', '↞'],
            Some(Fate::Reorder(_)) => ['⇢', '⇠'],
            Some(Fate::Overtake(_)) => ['⇉', '⇇'],
            Some(Fate::Corrupt(_)) => ['≁', '≁'],
            Some(Fate::Deliver(_)) | None => ['→', '←'],
        };
        let shaft = "─".repeat(WIDTH.saturating_sub(self.text.chars().count() + 5));
        match self.from {
            0 => write!(f, "── {} {shaft}{}", self.text, heads[0]),
            _ => write!(f, "{}{shaft} {} ──", heads[1], self.text),
        }
    }
}

/// `PSH|ACK 1:15 ack 1 (14)`: flags, relative sequence numbers `start:end`, the acknowledgment, the window where it
/// matters, options on a SYN, bytes of data. `cut` says that options are missing.
pub(super) fn describe(segment: &Segment<'_>, from: Side, told: &Told<'_>, cut: bool) -> String {
    let mut text = flags(segment.flags);
    let Some((seen, flow)) = &told.segment else { return text };
    let start = flow.relative(from, segment.seq);
    if !segment.is_empty() {
        let _ = write!(text, " {start}:{}", start.wrapping_add(segment.len()));
    } else if segment.is_rst() {
        let _ = write!(text, " {start}");
    }
    if segment.is_ack() {
        let _ = write!(text, " ack {}", flow.relative(from.other(), segment.ack));
    }
    let window = flow.conversation.sender(from).rcv_wnd;
    let tells = seen.ack == AckKind::WindowUpdate || matches!(seen.data, DataKind::Probe) || window == 0;
    if segment.is_syn() {
        let _ = write!(text, " win {}", segment.window);
    } else if tells && !segment.is_rst() && seen.data != DataKind::Unacceptable {
        let _ = write!(text, " win {window}");
    }
    if segment.is_syn() {
        write_options(&mut text, &segment.options, cut);
    }
    if !segment.payload.is_empty() {
        let _ = write!(text, " ({})", segment.payload.len());
    }
    text
}

/// ` <mss 1460,sackOK,TS>`. The values of timestamps say little: that they are there is enough.
fn write_options(text: &mut String, options: &Options, cut: bool) {
    let rest = Options { ts: None, ..*options }.to_string();
    let rest = rest.trim_start_matches(", <").trim_end_matches('>');
    let all = [rest, options.ts.map_or("", |_| "TS"), if cut { "…" } else { "" }];
    let all: Vec<_> = all.into_iter().filter(|text| !text.is_empty()).collect();
    if !all.is_empty() {
        let _ = write!(text, " <{}>", all.join(","));
    }
}

pub(super) fn flags(flags: Flags) -> String {
    const WORDS: [(Flags, &str); 6] = [
        (Flags::SYN, "SYN"),
        (Flags::FIN, "FIN"),
        (Flags::RST, "RST"),
        (Flags::PSH, "PSH"),
        (Flags::URG, "URG"),
        (Flags::ACK, "ACK"),
    ];
    let words: Vec<_> = WORDS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, word)| *word).collect();
    if words.is_empty() { "no flags".to_owned() } else { words.join("|") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Flip;

    fn drawn(row: &Row) -> String {
        let mut text = String::new();
        Page::default().row(&mut text, row);
        text
    }

    #[test]
    fn arrows_fill_the_ladder_and_words_stand_below_them() {
        let arrow = Arrow { from: 0, text: "SYN 0:1".to_owned(), fate: None };
        let comments = vec!["word ".repeat(20)];
        let states = [Some(Shown(Some(State::SynSent))), Some(Shown(None))];
        let text = drawn(&Row { at: -5, body: Body::Arrow(arrow), states, comments, stream: None });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(
            lines[0].starts_with(" -0.000000005 SYN-SENT     │── SYN 0:1 ──") && lines[0].ends_with("→│ ?"),
            "{text}"
        );
        assert!(lines.iter().all(|line| line.chars().filter(|c| *c == '│').count() == 2), "{text}");
        let bars = |line: &str| line.chars().take_while(|c| *c != '│').count();
        assert!(lines.iter().all(|line| bars(line) == bars(lines[0])), "{text}");
    }

    #[test]
    fn what_the_link_does_is_the_head_of_the_arrow() {
        let at = crate::time::Instant::EPOCH;
        let head = |from, fate| Arrow { from, text: "ACK".to_owned(), fate: Some(fate) }.to_string();
        assert!(head(0, Fate::Drop(crate::event::DropReason::Loss)).ends_with("─✗"));
        assert!(head(1, Fate::Duplicate(at)).starts_with("↞─"));
        assert!(
            head(0, Fate::Reorder(at)).ends_with("─⇢")
                && head(0, Fate::Corrupt(Flip { at, byte: 0, bit: 0 })).ends_with("─≁")
        );
        assert_eq!(head(0, Fate::Deliver(at)).chars().count(), WIDTH);
    }

    #[test]
    fn a_terminal_does_not_obey_what_a_file_says() {
        let comments = vec!["a\x1b[31mb".to_owned()];
        let text = drawn(&Row { body: Body::Other("ICMP".to_owned()), comments, ..Row::default() });
        assert!(!text.contains('\x1b') && text.contains("a\u{fffd}[31mb"), "{text}");
    }
}
