//! The HTML page of a run or a capture: one file with the ladder, the packets, both ends and plots, opened from disk without
//! a network. `--html` and `lessons --pages` write it. Rust gives the data and the frame; the scripts in `assets` draw.
//!
//! ```text
//!   Model --rows, changes--> JSON ---.
//!   Curves -----------------'         >-- deflate, base64 --> page.html with style, scripts and a Content-Security-Policy
//!   packets ------------------ bytes-'
//! ```
//!
//! - `rows`: the rows of the ladder as columns; `changes`: what each row changes at both ends; `curves`: round-trip times
//!   and queues; `columns`: numbers as JSON; `frame`: the file around the data; `index`: the course of the lessons.

mod changes;
mod columns;
mod curves;
mod frame;
mod index;
mod rows;
#[cfg(test)]
mod tests;

use serde_json::json;

use super::model::Model;
use crate::event::{Phase, State, TimerKind};
use columns::Object;
pub(crate) use curves::Curves;
pub(crate) use frame::BEGINNING;
pub(crate) use index::{Entry, index};

/// Bytes of each packet that stand in a page: the headers, and the begin of the data.
pub(crate) const KEPT: usize = 96;

/// Where a page belongs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place<'a> {
    /// The topic of a lesson: decides at which packet it opens.
    pub(crate) topic: Option<&'a str>,
    /// It is one of the pages of the course: it has a link to `index.html`.
    pub(crate) in_course: bool,
}

/// The page, as the text of a file. The same model gives the same text on every machine.
pub(crate) fn page(model: &Model, curves: &Curves, place: Place<'_>) -> String {
    let data = data(model, curves, place);
    frame::page(model, &data, &rows::bytes(model), place)
}

/// The row at which a page opens: a packet.
fn opening_row(model: &Model, place: Place<'_>) -> usize {
    let row = place.topic.map_or(0, |topic| model.opening_row(topic));
    let is_packet = |row: &usize| model.packet_of(*row).is_some();
    (row..model.rows.len()).chain((0..row).rev()).find(is_packet).unwrap_or(row)
}

/// Everything but the bytes of packets, as JSON. The scripts read it; docs/views.md does not promise its form.
fn data(model: &Model, curves: &Curves, place: Place<'_>) -> String {
    let mut object = Object::new();
    let ends: Vec<_> = model.flows.iter().map(|flow| json!(flow.ends)).collect();
    object.value("flows", &json!(ends));
    object.value("states", &json!(changes::STATES.map(|state: State| state.to_string())));
    object.value("phases", &json!(Phase::ALL.map(Phase::name)));
    object.value("timers", &json!(changes::TIMERS.map(TimerKind::name)));
    object.value("open", &json!(opening_row(model, place)));
    object.object("rows", rows::columns(model));
    object.raw("changes", &changes::changes(model));
    object.object("rtt", curves.rtt());
    object.object("queue", curves.queue());
    object.value("links", &json!(curves.links()));
    object.finish()
}
