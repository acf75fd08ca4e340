//! The arrows of a ladder: where they begin and end, what stands on them, and their heads and colours. `layout` puts them
//! between the bars.

use super::layout::{Layout, Line};
use super::text::columns;
use crate::annotate::Tag;
use crate::conversation::Side;

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const MAGENTA: &str = "\x1b[35m";
const CYAN: &str = "\x1b[36m";

/// The colour of an arrow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Manner {
    #[default]
    Plain,
    /// Lost or changed on the way.
    Lost,
    /// Sent before.
    Again,
    /// A packet that arrives twice, or a duplicate ACK.
    Duplicate,
    /// Overtaken, or it overtakes others.
    Reordered,
}

/// Where an arrow ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// At the other bar.
    #[default]
    Bar,
    /// On the way: it goes on in a later row.
    Slope,
    /// Lost behind so many routers, counted from the sender.
    Hop(usize),
    /// Lost at this router, counted from the sender.
    Router(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Arrow {
    pub(super) from: Side,
    /// It begins at this router, counted from the side of `from`.
    pub(super) begin: Option<usize>,
    /// What stands on the shaft where it fits.
    pub(super) text: String,
    /// Beginnings of it that stand there where it does not fit, the longest first.
    pub(super) short: Vec<String>,
    pub(super) tag: Option<Tag>,
    /// It was sent before.
    pub(super) again: bool,
    pub(super) manner: Manner,
    pub(super) end: End,
}

/// The end of an arrow.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) from: Side,
    /// What arrives.
    pub(super) label: String,
    pub(super) tag: Option<Tag>,
    pub(super) again: bool,
    pub(super) manner: Manner,
}

impl Layout {
    /// How far it is from the bar of a side to itself, to each router, and to the other bar, in columns.
    fn distances(self, from: Side) -> Vec<usize> {
        let mut all: Vec<_> = match from {
            Side::Local => self.router_columns().map(|column| column + 1).collect(),
            Side::Remote => self.router_columns().map(|column| self.body - column).collect(),
        };
        all.extend([0, self.body + 1]);
        all.sort_unstable();
        all
    }

    /// The arrow, and the text that does not fit on its shaft.
    pub(super) fn arrow(self, arrow: &Arrow) -> (Line, Option<String>) {
        let distances = self.distances(arrow.from);
        // Columns before its beginning, and those that it may take.
        let skip = arrow.begin.and_then(|router| distances.get(router + 1)).copied().unwrap_or(0);
        let spare = usize::from(arrow.end != End::Bar);
        let most = self.body.saturating_sub(skip + spare);
        let hop = |nth: usize| {
            let nth = nth.min(distances.len().saturating_sub(2));
            distances[nth] + (distances[nth + 1] - distances[nth]) * 2 / 3
        };
        let length = match arrow.end {
            End::Bar => self.body,
            End::Slope => self.body * 3 / 5,
            End::Hop(nth) => hop(nth),
            End::Router(nth) => distances.get(nth + 1).copied().unwrap_or(self.body),
        };
        let length = length.saturating_sub(skip).min(most);
        // What is lost goes no further than to the next router, as long as its flags fit.
        let least = columns(&arrow.short.last().map_or(String::new(), |flags| self.safe(flags))) + 6;
        let room = match arrow.end {
            End::Bar | End::Slope => most,
            End::Hop(nth) => distances[nth.saturating_add(1).min(distances.len() - 1)].saturating_sub(1),
            End::Router(_) => length,
        };
        let room = room.max(least).min(most);
        let head = self.head_of(arrow);
        let heads = head.chars().count();
        let fits = |text: &str| columns(text) + 4 + heads <= room;
        let text = self.safe(&arrow.text);
        let shorter = arrow.short.iter().map(|short| self.safe(short));
        let mut beginnings = core::iter::once(text.clone()).chain(shorter);
        let on_shaft = beginnings.find(|beginning| fits(beginning) && text.starts_with(&**beginning));
        let on_shaft = on_shaft.unwrap_or_default();
        let rest = Some(text[on_shaft.len()..].to_owned()).filter(|rest| !rest.is_empty());
        let label = if on_shaft.is_empty() { String::new() } else { format!(" {on_shaft} ") };
        let length = length.max(columns(&label) + 3 + heads).min(most);
        let shaft = shaft(arrow.again, self.style.ascii);
        let rest_of_shaft = shaft.repeat(length.saturating_sub(2 + columns(&label) + heads));
        let (before, after) = (" ".repeat(skip), " ".repeat(self.body.saturating_sub(skip + length)));
        let line = match arrow.from {
            Side::Local => format!("{before}{shaft}{shaft}{label}{rest_of_shaft}{head}{after}"),
            Side::Remote => format!("{after}{head}{rest_of_shaft}{label}{shaft}{shaft}{before}"),
        };
        ((line, color_of(arrow.manner)), rest)
    }

    /// The end of an arrow that began in an earlier row.
    pub(super) fn arrival(self, arrival: &Arrival) -> Line {
        let shaft = shaft(arrival.again, self.style.ascii);
        let label = format!(" {} ", self.safe(&arrival.label));
        let length = (self.body * 2 / 5).max(columns(&label) + 6).min(self.body);
        let rest = shaft.repeat(length.saturating_sub(columns(&label) + 4));
        let before = " ".repeat(self.body - length);
        let tag = arrival.tag.filter(|tag| matches!(tag, Tag::Corrupted { .. }));
        let [to_right, to_left] = heads(tag, self.style.ascii);
        let line = match arrival.from {
            Side::Local => format!("{before}{}{shaft}{shaft}{label}{rest}{to_right}", self.slope(Side::Local)),
            Side::Remote => format!("{to_left}{rest}{label}{shaft}{shaft}{}{before}", self.slope(Side::Remote)),
        };
        (line, color_of(arrival.manner))
    }

    /// The line of an arrow that goes down, away from this side.
    fn slope(self, from: Side) -> char {
        match (from, self.style.ascii) {
            (Side::Local, false) => '╲',
            (Side::Remote, false) => '╱',
            (Side::Local, true) => '\\',
            (Side::Remote, true) => '/',
        }
    }

    /// The head of an arrow, from left to right.
    fn head_of(self, arrow: &Arrow) -> String {
        let [to_right, to_left] = heads(arrow.tag, self.style.ascii);
        let (head, slope) = match arrow.from {
            Side::Local => (to_right, self.slope(Side::Local)),
            Side::Remote => (to_left, self.slope(Side::Remote)),
        };
        match (arrow.end, arrow.tag, arrow.from) {
            (End::Slope, None | Some(Tag::Copy), _) => slope.to_string(),
            (End::Slope, Some(_), Side::Local) => format!("{head}{slope}"),
            (End::Slope, Some(_), Side::Remote) => format!("{slope}{head}"),
            _ => head.to_string(),
        }
    }
}

/// The shaft of an arrow, whose data may have been sent before.
pub(super) fn shaft(again: bool, ascii: bool) -> &'static str {
    match (again, ascii) {
        (false, false) => "─",
        (true, false) => "═",
        (false, true) => "-",
        (true, true) => "=",
    }
}

/// The heads of arrows to the right and to the left, by what a link did to the packet.
pub(super) fn heads(tag: Option<Tag>, ascii: bool) -> [char; 2] {
    match (tag, ascii) {
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

pub(super) fn color_of(manner: Manner) -> &'static str {
    match manner {
        Manner::Plain => "",
        Manner::Lost => RED,
        Manner::Again => YELLOW,
        Manner::Duplicate => MAGENTA,
        Manner::Reordered => CYAN,
    }
}
