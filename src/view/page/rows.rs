//! The rows of the ladder as columns, and the first bytes of each packet, for the scripts of the page. The texts are those of
//! the ladder and of the terminal UI.

use super::super::arrows::Manner;
use super::super::label::{beside_text, describe, manner, packet_said, said, without_ends};
use super::super::model::{Model, Row};
use super::super::series::Mark;
use super::KEPT;
use super::changes::state_place;
use super::columns::Object;
use crate::conversation::Side;
use crate::trace::{Content, SegmentStep, Step};

/// How a row is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// An arrow from the left end.
    ToRight = 0,
    /// An arrow from the right end.
    ToLeft = 1,
    /// A text at the left end.
    Left = 2,
    /// A text at the right end.
    Right = 3,
    /// A text that belongs to no end.
    Middle = 4,
    /// Only states.
    States = 5,
}

/// Bits of a row's marks. The scripts have the same numbers.
mod mark {
    pub(super) const LOSS: u32 = 1;
    pub(super) const AGAIN: u32 = 2;
    pub(super) const STATE: u32 = 4;
    pub(super) const SPECIAL: u32 = 8;
    pub(super) const DUPLICATE: u32 = 16;
    pub(super) const REORDERED: u32 = 32;
    pub(super) const LOST_ON_THE_WAY: u32 = 64;
}

/// The columns: `t` nanoseconds since the origin (differences), `f` flow or -1, `k` shape, `p` packet or 0, `x` text, `w`
/// words, `m` marks, `s` states, and of segments `q` SEG.SEQ, `l` bytes of data, `c` control bits, `a` SEG.ACK or -1,
/// `d` window, `v` nanoseconds until it arrives or -1, `o` mark in the plot; `n` length on the wire, `b` bytes kept.
pub(super) fn columns(model: &Model) -> Object {
    let mut object = Object::new();
    let rows = || model.rows.iter();
    let steps = || (0..model.rows.len()).map(|row| model.step_of(row));
    let segments = || steps().map(segment);
    object.differences("t", rows().map(|row| model.since_origin(row.at)));
    object.column("f", rows().map(|row| row.flow.map_or(-1, |flow| flow as i64)));
    object.column("k", steps().map(|step| shape(model, step) as u8));
    let packets = || (0..model.rows.len()).map(|row| model.packet_of(row).unwrap_or(0));
    object.differences("p", packets().map(|number| number as i64));
    object.texts("x", steps().map(|step| step.map_or_else(String::new, |step| text(model, step))));
    object.texts("w", steps().map(|step| step.map_or_else(String::new, |step| words(model, step))));
    object.column("m", rows().zip(steps()).map(|(row, step)| marks(row, step)));
    object.column("s", rows().map(states));
    object.differences("q", segments().map(|segment| segment.map_or(0, |segment| segment.seq.into())));
    object.column("l", segments().map(|segment| segment.map_or(0, |segment| segment.payload)));
    object.column("c", segments().map(|segment| segment.map_or(0, |segment| segment.flags.0)));
    object.differences("a", segments().map(|segment| segment.and_then(|segment| segment.ack).map_or(-1, i64::from)));
    object.differences("d", segments().map(|segment| segment.map_or(0, |segment| segment.window.into())));
    let way = |(row, segment): (&Row, Option<&SegmentStep>)| {
        segment.and_then(|segment| segment.arrival).map_or(-1, |at| (at - row.at).as_nanos() as i64)
    };
    object.differences("v", rows().zip(segments()).map(way));
    object.column("o", segments().map(|segment| segment.map_or(0, |segment| Mark::of(segment) as u8)));
    object.column("n", steps().map(length));
    object.column("b", packets().map(|number| kept(model, number).len()));
    object.texts("marks", Mark::ALL.map(|mark| mark.name().to_owned()));
    object
}

/// The bytes of the packets, in the order of the rows.
pub(super) fn bytes(model: &Model) -> Vec<u8> {
    let numbers = (0..model.rows.len()).filter_map(|row| model.packet_of(row));
    numbers.flat_map(|number| kept(model, number)).copied().collect()
}

fn kept(model: &Model, number: u64) -> &[u8] {
    let bytes = model.packets.of(number).unwrap_or_default();
    &bytes[..bytes.len().min(KEPT)]
}

fn segment(step: Option<&Step>) -> Option<&SegmentStep> {
    match &step?.content {
        Content::Segment(segment) => Some(segment),
        _ => None,
    }
}

fn shape(model: &Model, step: Option<&Step>) -> Shape {
    let Some(step) = step else { return Shape::States };
    if without_ends(&model.trace, step).is_some() {
        return Shape::Middle;
    }
    let (side, is_arrow) = match &step.content {
        Content::Segment(segment) => (segment.from, true),
        _ => (beside_text(step).0, false),
    };
    match (side, is_arrow) {
        (Side::Local, true) => Shape::ToRight,
        (Side::Remote, true) => Shape::ToLeft,
        (Side::Local, false) => Shape::Left,
        (Side::Remote, false) => Shape::Right,
    }
}

fn text(model: &Model, step: &Step) -> String {
    match &step.content {
        Content::Segment(segment) => describe(segment),
        Content::Packet(packet) => packet.ends.map_or_else(String::new, |(src, dst)| format!("{src} → {dst}")),
        _ => without_ends(&model.trace, step).unwrap_or_else(|| beside_text(step).1),
    }
}

/// What stands below. The comment of a capture that says something else follows the words.
fn words(model: &Model, step: &Step) -> String {
    let (words, comment) = match &step.content {
        Content::Segment(segment) => (said(segment, &model.trace), &segment.comment),
        Content::Packet(packet) => (packet_said(packet, &model.trace), &packet.comment),
        _ => return String::new(),
    };
    match comment.as_ref().filter(|comment| !words.starts_with(*comment) && !comment.starts_with(&words)) {
        Some(comment) => format!("{words} · comment: {comment}"),
        None => words,
    }
}

fn marks(row: &Row, step: Option<&Step>) -> u32 {
    let mut bits = 0;
    let mut set = |bit: u32, on: bool| bits |= if on { bit } else { 0 };
    set(mark::LOSS, row.marks.loss);
    set(mark::AGAIN, row.marks.again);
    set(mark::STATE, row.marks.state);
    set(mark::SPECIAL, row.marks.special);
    let tags = match step.map(|step| &step.content) {
        Some(Content::Segment(segment)) => {
            let tag = segment.tag.or(segment.behind.map(|(_, tag)| tag));
            let manner = manner(segment, tag);
            set(mark::DUPLICATE, manner == Manner::Duplicate);
            set(mark::REORDERED, manner == Manner::Reordered);
            [segment.tag, segment.behind.map(|(_, tag)| tag)]
        }
        Some(Content::Packet(packet)) => [packet.tag, packet.behind.map(|(_, tag)| tag)],
        _ => [None; 2],
    };
    set(mark::LOST_ON_THE_WAY, tags.into_iter().flatten().any(crate::annotate::Tag::is_loss));
    bits
}

/// The states that begin: left times 16 plus right. 0 is none, 15 is an unknown state.
fn states(row: &Row) -> u32 {
    let [left, right] = row.states.map(|state| match state {
        None => 0,
        Some(None) => 15,
        Some(Some(state)) => 1 + state_place(state),
    });
    left * 16 + right
}

fn length(step: Option<&Step>) -> u32 {
    match step.map(|step| &step.content) {
        Some(Content::Segment(segment)) => segment.len,
        Some(Content::Packet(packet)) => packet.len,
        _ => 0,
    }
}
