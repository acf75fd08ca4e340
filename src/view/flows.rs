//! The connections of a run or of a capture as a table: who, for how long, how much each way, what was sent again, how it
//! ended, and the state of both sides at the end. `flow_report` has the long form.

use core::fmt::{self, Write as _};
use std::cell::RefCell;
use std::rc::Rc;

use super::text::columns;
use crate::event::{Event, Observer};
use crate::time::Instant;
use crate::trace::{Flow, Trace};

/// Counts what is sent in a run, connection by connection. The states are those that the hosts tell, and where they tell
/// nothing (the kernel's side of a TUN) what the packets say.
pub struct Flows {
    trace: Trace,
}

impl Default for Flows {
    fn default() -> Self {
        Self { trace: Trace::of_flows() }
    }
}

impl Flows {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// For a loop and for whoever prints it.
    pub fn shared() -> Rc<RefCell<Self>> {
        Rc::default()
    }

    /// The connections so far, in order of appearance. Of thousands whose handshake has not finished the oldest are missing.
    pub fn flows(&self) -> &[Flow] {
        self.trace.flows()
    }

    /// The run is over: what was sent last is counted. Gives the trace with the connections.
    pub fn settle(&mut self) -> &Trace {
        self.trace.settle();
        &self.trace
    }
}

impl Observer for Flows {
    /// Why a segment is sent again, the host tells with its numbers.
    fn wants_numbers(&self) -> bool {
        true
    }

    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        self.trace.on_event(at, event);
    }
}

impl fmt::Display for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        flow_table(listed_flows(&self.trace), usize::MAX).fmt(f)?;
        unlisted_flows(&self.trace).fmt(f)
    }
}

impl fmt::Debug for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flows({})", self.flows().len())
    }
}

/// Connections whose handshake has not finished that a table lists.
const MOST_HALF_OPEN: usize = 1000;

/// The flows of a trace that are listed: of those whose handshake has not finished the last 1,000, and all others.
pub fn listed_flows(trace: &Trace) -> impl Iterator<Item = &Flow> {
    let mut excess = half_open(trace).saturating_sub(MOST_HALF_OPEN);
    trace.flows().iter().filter(move |flow| {
        let left_out = excess > 0 && flow.account.is_half_open();
        excess -= usize::from(left_out);
        !left_out
    })
}

/// What there is to say of the flows that are not listed: a line, or nothing.
pub fn unlisted_flows(trace: &Trace) -> String {
    let unfinished = trace.forgotten_flows() + half_open(trace).saturating_sub(MOST_HALF_OPEN) as u64;
    let mut text = String::new();
    if unfinished > 0 {
        let count = with_commas(unfinished);
        let _ = writeln!(text, "{count} never finished their handshake and are not listed");
    }
    if trace.refused_segments() > 0 {
        let count = with_commas(trace.refused_segments());
        let _ = writeln!(text, "{count} packets belong to connections that are not listed, because the table is full");
    }
    text
}

fn half_open(trace: &Trace) -> usize {
    trace.flows().iter().filter(|flow| flow.account.is_half_open()).count()
}

/// A number with a comma behind each three digits, as in `599,000`.
pub(super) fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_owned();
    for three in digits.as_bytes()[first..].chunks(3) {
        if !text.is_empty() {
            text.push(',');
        }
        text.extend(three.iter().map(|digit| char::from(*digit)));
    }
    text
}

/// The columns of the table, in the order in which they stand where there is room for all.
const NAMES: [&str; 10] =
    ["stream", "left", "right", "open for", "packets", "messages", "bytes", "sent again", "states at the end", "end"];

/// Which columns stand on each line of a connection: on one line, on two, or on four for long addresses.
const LINES: [&[&[usize]]; 3] = [
    &[&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    &[&[0, 1, 2, 3, 9], &[4, 5, 6, 7, 8]],
    &[&[0, 1], &[2], &[3, 9], &[4, 5, 6, 7, 8]],
];

/// Connections as a table, below lines that name the columns. Of two numbers the first is of the left end. A connection
/// has one line, or several where that is wider than `width` columns.
pub fn flow_table<'a>(flows: impl IntoIterator<Item = &'a Flow>, width: usize) -> String {
    let rows: Vec<_> = core::iter::once(NAMES.map(str::to_owned)).chain(flows.into_iter().map(cells)).collect();
    let widths: [usize; NAMES.len()] =
        core::array::from_fn(|column| rows.iter().map(|row| columns(&row[column])).max().unwrap_or(0));
    let indent = |n: usize| if n > 0 { widths[0] + 2 } else { 0 };
    let columns_of = |line: &[usize]| line.iter().map(|column| widths[*column] + 2).sum::<usize>() - 2;
    let fits = |lines: &&&[&[usize]]| lines.iter().enumerate().all(|(n, line)| indent(n) + columns_of(line) <= width);
    let lines = LINES.iter().find(fits).unwrap_or(&LINES[LINES.len() - 1]);
    let mut text = String::new();
    for row in &rows {
        for (n, line) in lines.iter().enumerate() {
            let mut cells = " ".repeat(indent(n));
            for &column in *line {
                let pad = widths[column] - columns(&row[column]) + 2;
                let _ = write!(cells, "{}{:pad$}", row[column], "");
            }
            text.push_str(cells.trim_end());
            text.push('\n');
        }
    }
    text
}

fn cells(flow: &Flow) -> [String; NAMES.len()] {
    let account = &flow.account;
    let pair = |numbers: [u64; 2]| format!("{}/{}", numbers[0], numbers[1]);
    [
        format!("#{}", flow.number),
        flow.ends[0].to_string(),
        flow.ends[1].to_string(),
        format!("{:.6} s", account.open_for().as_secs_f64()),
        pair(account.segments),
        pair(account.messages),
        pair(account.bytes),
        pair(account.retransmissions()),
        states(flow),
        account.close.to_string(),
    ]
}

/// `TIME-WAIT/CLOSED`
pub(super) fn states(flow: &Flow) -> String {
    let state = |side: usize| flow.states()[side].map_or("?".to_owned(), |state| state.to_string());
    format!("{}/{}", state(0), state(1))
}
