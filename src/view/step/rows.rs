//! A row of the ladder as a line of the terminal: time, connection, states, and the arrow or the note between the bars.

use std::fmt::Write as _;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::super::arrows;
use super::super::label::{beside_text, describe, is_again, packet_said, said, without_ends};
use super::super::model::{Model, Row};
use super::super::text::{columns as columns_of, seconds};
use super::{Look, fitted};
use crate::annotate::Tag;
use crate::conversation::Side;
use crate::trace::{Content, SegmentStep, Step};

/// Columns of a time.
const TIME: usize = 11;
/// Columns of a state.
const STATE: usize = 12;
/// Narrower ladders have no columns for states.
const STATES_FROM: usize = 76;

/// The columns of the ladder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    width: usize,
    /// Of the number of a connection; 0 if there is one only.
    number: usize,
    states: bool,
}

impl Columns {
    pub(super) fn new(width: usize, flows: usize) -> Self {
        let number = if flows > 1 { (flows - 1).to_string().len() + 2 } else { 0 };
        Self { width, number, states: width >= STATES_FROM + number }
    }

    /// Between the bars.
    fn body(self) -> usize {
        let states = if self.states { 2 * (STATE + 1) } else { 0 };
        self.width.saturating_sub(1 + TIME + 1 + self.number + states + 2).max(8)
    }
}

/// The line of a row.
pub(super) fn line(model: &Model, row: &Row, at_cursor: bool, columns: Columns, look: Look) -> Line<'static> {
    let step = row.body.and_then(|body| model.step(body));
    // Where background and text are exchanged, a colour would be a bar with a text that is hard to read.
    let look = Look { color: look.color && !at_cursor, ..look };
    let state = |side: usize| row.states[side].map(|state| state.map_or("?".to_owned(), |state| state.to_string()));
    let bar = if look.ascii { "|" } else { "│" };
    let mut spans = Vec::new();
    let cursor = if at_cursor { ">" } else { " " };
    let time = seconds(model.since_origin(row.at), 6, TIME).unwrap_or_default();
    let number = row.flow.filter(|_| columns.number > 0).map_or(String::new(), |flow| format!("#{flow}"));
    let mut head = format!("{cursor}{time:>TIME$} {number:<width$}", width = columns.number);
    if columns.states {
        let _ = write!(head, "{:>STATE$} ", state(0).unwrap_or_default());
    }
    spans.push(Span::raw(head));
    let width = columns.body();
    if let Some(text) = step.and_then(|step| without_ends(&model.trace, step)) {
        let (room, style) = (width + 2 + if columns.states { STATE + 1 } else { 0 }, tone(step, look));
        spans.push(Span::styled(fitted(&text, room, look), style));
    } else {
        spans.push(Span::raw(bar));
        let (text, style) = body(step, row, columns, look);
        let pad = width.saturating_sub(columns_of(&text));
        spans.push(Span::styled(format!("{text}{:pad$}", ""), style));
        spans.push(Span::raw(bar));
        if columns.states {
            spans.push(Span::raw(format!(" {}", state(1).unwrap_or_default())));
        }
    }
    let line = Line::from(spans);
    if at_cursor { line.style(Style::new().add_modifier(Modifier::REVERSED)) } else { line }
}

/// The colour of a step: of losses, of what was sent before.
fn tone(step: Option<&Step>, look: Look) -> Style {
    let tags = |tag: Option<Tag>, behind: Option<Tag>| [tag, behind].into_iter().flatten();
    let (lost, again) = match step.map(|step| &step.content) {
        Some(Content::Segment(segment)) => {
            (tags(segment.tag, segment.behind.map(|(_, tag)| tag)).any(Tag::is_loss), is_again(segment))
        }
        Some(Content::Packet(packet)) => (tags(packet.tag, packet.behind.map(|(_, tag)| tag)).any(Tag::is_loss), false),
        Some(Content::Refused { .. }) => (true, false),
        _ => (false, false),
    };
    match (lost, again) {
        (true, _) => look.color(Color::Red),
        (false, true) => look.color(Color::Yellow),
        (false, false) => Style::new(),
    }
}

/// What stands between the bars.
fn body(step: Option<&Step>, row: &Row, columns: Columns, look: Look) -> (String, Style) {
    let width = columns.body();
    let beside = |side: Side, text: &str| {
        let text = fitted(text, width - 2, look);
        match side {
            Side::Local => format!(" {text}"),
            Side::Remote => format!("{:pad$}{text} ", "", pad = width - 1 - columns_of(&text)),
        }
    };
    let text = match (step, step.map(|step| &step.content)) {
        (_, Some(Content::Segment(segment))) => arrow(segment, width, look),
        (Some(step), _) => {
            let (side, text) = beside_text(step);
            beside(side, &text)
        }
        // Where states have no columns, a row that has nothing else names them.
        _ if !columns.states => {
            let name = |side: usize| row.states[side].flatten().map_or(String::new(), |state| state.to_string());
            let (left, right) = (name(0), name(1));
            format!(" {left}{right:>pad$} ", pad = width.saturating_sub(left.len() + 2))
        }
        _ => String::new(),
    };
    (fitted(&text, width, look), tone(step, look))
}

/// The arrow of a segment. As many words as fit stand on its shaft. One that is lost ends on the way.
fn arrow(segment: &SegmentStep, width: usize, look: Look) -> String {
    let tag = segment.tag.or(segment.behind.map(|(_, tag)| tag));
    let lost = matches!(tag, Some(Tag::Lost(_)));
    let width = if lost { width - width / 5 } else { width };
    let shaft = arrows::shaft(is_again(segment), look.ascii);
    let [to_right, to_left] = arrows::heads(tag, look.ascii);
    let text = look.safe(&describe(segment));
    let mut on_shaft = text.as_str();
    while columns_of(on_shaft) + 5 > width {
        let Some((shorter, _)) = on_shaft.rsplit_once(' ') else { break };
        on_shaft = shorter;
    }
    let label = format!(" {on_shaft} ");
    let rest = shaft.repeat(width.saturating_sub(3 + columns_of(&label)));
    match segment.from {
        Side::Local => format!("{shaft}{shaft}{label}{rest}{to_right}"),
        Side::Remote if lost => format!("{:pad$}{to_left}{rest}{label}{shaft}{shaft}", "", pad = width / 4),
        Side::Remote => format!("{to_left}{rest}{label}{shaft}{shaft}"),
    }
}

/// What is said of a row, below the ladder.
pub(super) fn words(model: &Model, number: usize) -> String {
    let Some(row) = model.rows.get(number) else { return String::new() };
    let Some(step) = model.step_of(number) else {
        let names = row.flow.and_then(|flow| model.flows.get(flow)).map(|flow| &flow.ends);
        let says = |side: Side| {
            let state = row.states[side]?.map_or("unknown".to_owned(), |state| state.to_string());
            Some(format!("{} is {state}", names.map_or("one end", |names| &names[side])))
        };
        return Side::BOTH.into_iter().filter_map(says).collect::<Vec<_>>().join(", ");
    };
    match &step.content {
        Content::Segment(segment) => format!("packet {}: {}", segment.packet, said(segment, &model.trace)),
        Content::Packet(packet) => format!("packet {}: {}", packet.packet, packet_said(packet, &model.trace)),
        _ => without_ends(&model.trace, step).unwrap_or_else(|| beside_text(step).1),
    }
}
