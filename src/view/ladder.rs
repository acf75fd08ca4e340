//! The ladder: time runs down, a host stands on each side, an arrow is a segment. Below the arrow stands what a capture
//! says of it.
//!
//! [`LadderWriter`] draws the steps of a [`Trace`] one at a time, as `show` does. [`Ladder`] is an observer: show it a run,
//! then print it. It draws each connection by itself, and what belongs to no connection at the end.
//!
//! A segment stands at the instant at which it is sent, or passes the interface of a capture. A state stands where it
//! begins, and holds until the next one. Sequence numbers count from the initial one of their side, `start:end` as
//! tcpdump writes them.

use core::fmt::{self, Write as _};
use std::cell::RefCell;

use super::fold::{Drawn, Folder};
use super::layout::{Arrow, Body, Layout, Row, Style};
use crate::annotate::{self, Tag, reason};
use crate::conversation::{AckKind, DataKind, Side};
use crate::event::{Cause, Event, HostId, Observer, Phase, TimerKind};
use crate::segment::{Flags, Options};
use crate::time::Instant;
use crate::trace::{Content, Flow, PacketStep, SegmentStep, Step, Trace, Vantage};

/// Draws steps, one at a time.
pub struct LadderWriter {
    layout: Layout,
    folder: Folder,
    pending: Option<Row>,
    /// Flows that have a heading.
    headed: usize,
    /// The ends stand above each flow, since there is no title.
    by_flow: bool,
}

impl LadderWriter {
    /// Of the steps of all flows as they come, each row with the number of its flow, each flow with a title.
    pub fn new(style: Style) -> Self {
        Self::with(style, true)
    }

    fn with(style: Style, numbers: bool) -> Self {
        Self {
            layout: Layout::new(style, numbers),
            folder: Folder::new(style.all),
            pending: None,
            headed: 0,
            by_flow: !numbers,
        }
    }

    /// Takes the next step. What is complete is written to `out`.
    pub fn step(&mut self, trace: &Trace, step: Step, out: &mut String) {
        if !is_drawn(&step.content, self.layout.style.all) {
            return;
        }
        let Self { layout, folder, pending, headed, by_flow } = self;
        let mut sheet = Sheet { layout, pending, headed, by_flow: *by_flow, trace, out };
        folder.take(step, |drawn| sheet.draw(&drawn));
    }

    /// Writes what was taken so far and is not held back for a fold.
    pub fn flush(&mut self, out: &mut String) {
        if let Some(row) = self.pending.take() {
            self.layout.row(out, &row);
        }
    }

    /// The end: writes what is left.
    pub fn finish(&mut self, trace: &Trace, out: &mut String) {
        let Self { layout, folder, pending, headed, by_flow } = self;
        let mut sheet = Sheet { layout, pending, headed, by_flow: *by_flow, trace, out };
        folder.end_run(|drawn| sheet.draw(&drawn));
        self.flush(out);
    }
}

/// Where rows are put together.
struct Sheet<'a> {
    layout: &'a Layout,
    pending: &'a mut Option<Row>,
    headed: &'a mut usize,
    by_flow: bool,
    trace: &'a Trace,
    out: &'a mut String,
}

impl Sheet<'_> {
    fn draw(&mut self, drawn: &Drawn) {
        match drawn {
            Drawn::Step(step) => self.step(step),
            Drawn::Fold(fold) => {
                let row = Row { comments: vec![format!("⋮ {}", fold.words())], ..Row::default() };
                self.flush();
                self.layout.comments(self.out, &row);
            }
        }
    }

    fn flush(&mut self) {
        if let Some(row) = self.pending.take() {
            self.layout.row(self.out, &row);
        }
    }

    fn step(&mut self, step: &Step) {
        let at = self.since_origin(step.at);
        match &step.content {
            Content::Segment(segment) => {
                if segment.begins && !self.by_flow {
                    self.title(step.flow);
                }
                let comments = vec![said(segment, self.trace)];
                let text = describe(segment);
                let arrow = Arrow {
                    from: segment.from,
                    short: [without_options(&text).to_owned(), flags(segment.flags)],
                    text,
                    tag: segment.tag.or(segment.behind.map(|(_, tag)| tag)),
                    again: is_again(segment),
                };
                let other = segment.from.other() as usize;
                self.join(at, step.flow, |row| {
                    let free = matches!(row.body, Body::Nothing) && row.states[other].is_none();
                    if free {
                        row.body = Body::Arrow(arrow.clone());
                        row.comments.clone_from(&comments);
                    }
                    free
                });
            }
            Content::State { side, to, cause } => {
                let name = to.map_or("?".to_owned(), |state| state.to_string());
                self.join(at, step.flow, |row| {
                    let fits = match &row.body {
                        Body::Nothing => true,
                        // An inferred state is that of the segment above.
                        Body::Arrow(arrow) => arrow.from == *side || cause.is_none(),
                        // A timer changes the state; a call is told of after the change.
                        Body::Beside(at, _) => at == side && matches!(cause, Some(Cause::Timer(_))),
                        Body::Free(_) => false,
                    };
                    let free = fits && row.states[*side as usize].is_none();
                    if free {
                        row.states[*side as usize] = Some(name.clone());
                    }
                    free
                });
            }
            Content::Call { side: Some(side), fd, call, result } => {
                self.beside(at, step.flow, *side, &call_text(*fd, call, *result));
            }
            Content::Call { side: None, fd, call, result } => {
                let text = format!("{}: {}", self.host(step.vantage), call_text(*fd, call, *result));
                self.free(at, text, Vec::new());
            }
            Content::Timer { side, timer, ran } => {
                self.beside(at, step.flow, *side, &annotate::timer(*timer, *ran));
            }
            Content::Recovery { side, from, to, undone } => {
                self.beside(at, step.flow, *side, annotate::recovery(*from, *to, *undone));
            }
            Content::SynCookie { side, step: cookie } => {
                self.beside(at, step.flow, *side, annotate::syn_cookie(*cookie));
            }
            Content::Refused { side: Some(side), why, .. } => {
                self.beside(at, step.flow, *side, &format!("not taken: {}", reason(*why)));
            }
            Content::Refused { side: None, why, .. } => {
                let text = format!("{}: packet not taken: {}", self.host(step.vantage), reason(*why));
                self.free(at, text, Vec::new());
            }
            Content::Packet(packet) => {
                let ends = packet.ends.map_or(String::new(), |(src, dst)| format!("{src} → {dst}: "));
                let (text, more) = packet_text(packet, self.trace);
                self.free(at, format!("{ends}{text}"), more);
            }
            _ => {}
        }
    }

    /// Gives the pending row to `join`, and a new one if it does not take it.
    fn join(&mut self, at: i64, flow: Option<usize>, mut join: impl FnMut(&mut Row) -> bool) {
        if let Some(row) = self.pending.as_mut().filter(|row| row.at == at && row.flow == flow)
            && join(row)
        {
            return;
        }
        self.flush();
        let mut row = Row { at, flow, ..Row::default() };
        join(&mut row);
        *self.pending = Some(row);
    }

    fn beside(&mut self, at: i64, flow: Option<usize>, side: Side, text: &str) {
        self.join(at, flow, |row| {
            let free = matches!(row.body, Body::Nothing) && row.states[side.other() as usize].is_none();
            if free {
                row.body = Body::Beside(side, text.to_owned());
            }
            free
        });
    }

    fn free(&mut self, at: i64, text: String, comments: Vec<String>) {
        self.flush();
        *self.pending = Some(Row { at, body: Body::Free(text), comments, ..Row::default() });
    }

    fn title(&mut self, flow: Option<usize>) {
        let Some(flow) = flow.and_then(|number| self.trace.flow(number)) else { return };
        self.flush();
        let ends = names(self.trace, flow);
        if *self.headed > 0 {
            self.out.push('\n');
        }
        let how = if *self.headed == 0 { " (states inferred from the packets, ? is unknown)" } else { "" };
        self.layout.title(self.out, &format!("stream #{} {} ↔ {}{how}", flow.number, ends[0], ends[1]));
        self.layout.ends(self.out, [&ends[0], &ends[1]]);
        *self.headed += 1;
    }

    fn host(&self, vantage: Vantage) -> String {
        match vantage {
            Vantage::Host(host) => self.trace.host_name(host),
            Vantage::Capture => "here".to_owned(),
        }
    }

    /// Nanoseconds since the trace begins. A capture may be out of order.
    fn since_origin(&self, at: Instant) -> i64 {
        let origin = self.trace.ladder_origin();
        let nanos = i128::from(at.as_nanos()) - i128::from(origin.as_nanos());
        nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

/// The names of both ends: host and address where the host is known.
fn names(trace: &Trace, flow: &Flow) -> [String; 2] {
    core::array::from_fn(|side| match flow.hosts[side] {
        Some(host) => format!("{} {}", trace.host_name(host), flow.ends[side]),
        None => flow.ends[side].to_string(),
    })
}

/// Whether a step stands in a ladder. Numbers and queues are for plots. What happens with every few segments and loses
/// nothing, delayed ACKs and disorder, stands only where `all` is asked for.
fn is_drawn(content: &Content, all: bool) -> bool {
    match content {
        Content::Sender(_) | Content::ListenQueues { .. } | Content::LinkQueue { .. } => false,
        Content::Timer { timer: TimerKind::DelayedAck, .. } => all,
        Content::Recovery { from, to, undone: false, .. } => {
            all || [from, to].iter().any(|phase| matches!(phase, Phase::Recovery | Phase::Loss))
        }
        _ => true,
    }
}

/// Sent before, as its sender knows it.
fn is_again(segment: &SegmentStep) -> bool {
    match segment.seen.map(|seen| seen.data) {
        Some(DataKind::Retransmission { .. } | DataKind::Duplicate) => true,
        Some(DataKind::OutOfOrder) => segment.kinds.is_retransmission(),
        _ => false,
    }
}

/// What stands below the arrow: the words and what becomes of the segment.
fn said(segment: &SegmentStep, trace: &Trace) -> String {
    let mut text = segment.words.clone();
    add_fate(&mut text, segment.tag, segment.behind, trace);
    if let Some(variables) = segment.variables.as_ref().filter(|_| segment.comment.is_some()) {
        let _ = write!(text, " [{variables}]");
    }
    text
}

fn packet_text(packet: &PacketStep, trace: &Trace) -> (String, Vec<String>) {
    let mut text = packet.words.clone();
    add_fate(&mut text, packet.tag, packet.behind, trace);
    (text, Vec::new())
}

fn add_fate(text: &mut String, tag: Option<Tag>, behind: Option<(HostId, Tag)>, trace: &Trace) {
    if let Some(tag) = tag {
        let _ = write!(text, " [{tag}]");
    }
    if let Some((router, tag)) = behind {
        let _ = write!(text, " [behind {}: {tag}]", trace.host_name(router));
    }
}

/// `read(3) = 14`, `connect(3): EINPROGRESS`
fn call_text(fd: u32, call: &str, result: Result<i64, &'static str>) -> String {
    let of = if call == "socket" { String::new() } else { fd.to_string() };
    match result {
        Ok(result) => format!("{call}({of}) = {result}"),
        Err(errno) => format!("{call}({of}): {errno}"),
    }
}

/// `PSH|ACK 1:15 ack 1 (14)`: flags, relative sequence numbers `start:end`, the acknowledgment, the window where it
/// is another one than before, options on a SYN, bytes of data.
fn describe(segment: &SegmentStep) -> String {
    let mut text = flags(segment.flags);
    let Some(seen) = &segment.seen else { return text };
    let (syn, rst) = (segment.flags.contains(Flags::SYN), segment.flags.contains(Flags::RST));
    let len = segment.payload as u32 + u32::from(syn) + u32::from(segment.flags.contains(Flags::FIN));
    if len > 0 {
        let _ = write!(text, " {}:{}", segment.seq, segment.seq.wrapping_add(len));
    } else if rst {
        let _ = write!(text, " {}", segment.seq);
    }
    if let Some(ack) = segment.ack {
        let _ = write!(text, " ack {ack}");
    }
    let tells = segment.window_changed || seen.ack == AckKind::WindowUpdate || segment.window == 0;
    if syn || (tells && !rst && seen.data != DataKind::Unacceptable) {
        let _ = write!(text, " win {}", segment.window);
    }
    if syn {
        write_options(&mut text, &segment.options, segment.options_cut);
    }
    if segment.payload > 0 {
        let _ = write!(text, " ({})", segment.payload);
    }
    text
}

/// What stands before the options.
fn without_options(text: &str) -> &str {
    text.split_once(" <").map_or(text, |(before, _)| before)
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

/// `SYN|ACK`
pub(crate) fn flags(flags: Flags) -> String {
    const WORDS: [(Flags, &str); 8] = [
        (Flags::SYN, "SYN"),
        (Flags::FIN, "FIN"),
        (Flags::RST, "RST"),
        (Flags::PSH, "PSH"),
        (Flags::URG, "URG"),
        (Flags::ACK, "ACK"),
        (Flags::ECE, "ECE"),
        (Flags::CWR, "CWR"),
    ];
    let words: Vec<_> = WORDS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, word)| *word).collect();
    if words.is_empty() { "no flags".to_owned() } else { words.join("|") }
}

/// Steps that a ladder of a run keeps.
const MOST_STEPS: usize = 200_000;

/// The ladder of a run: an observer that draws when it is printed.
pub struct Ladder {
    trace: RefCell<Trace>,
}

impl Default for Ladder {
    fn default() -> Self {
        Self { trace: RefCell::new(Trace::with_limit(MOST_STEPS)) }
    }
}

impl Ladder {
    /// A ladder of nothing yet; hosts are named by their numbers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names hosts.
    pub fn name_hosts(&mut self, names: impl IntoIterator<Item = (HostId, String)>) {
        self.trace.get_mut().name_hosts(names);
    }

    /// Times count from the first event instead of from the epoch.
    pub fn count_from_first(&mut self) {
        self.trace.get_mut().count_from_first();
    }

    /// The ladder in this style: each connection by itself, in the order in which they began.
    pub fn draw(&self, style: &Style) -> String {
        let mut trace = self.trace.borrow_mut();
        trace.settle();
        let trace = &*trace;
        let mut out = String::new();
        let mut by_flow: Vec<Vec<&Step>> = vec![Vec::new(); trace.flows().len()];
        let mut others = Vec::new();
        for step in trace.steps().filter(|step| is_drawn(&step.content, style.all)) {
            match step.flow {
                Some(number) => by_flow[number].push(step),
                None => others.push(step),
            }
        }
        let mut section = |heading: &dyn Fn(&Layout, &mut String), steps: &[&Step]| {
            if steps.is_empty() {
                return;
            }
            if !out.is_empty() {
                out.push('\n');
            }
            let mut writer = LadderWriter::with(*style, false);
            heading(&writer.layout, &mut out);
            for step in steps {
                writer.step(trace, (*step).clone(), &mut out);
            }
            writer.finish(trace, &mut out);
        };
        for (flow, steps) in trace.flows().iter().zip(&by_flow) {
            let ends = names(trace, flow);
            section(&|layout, out| layout.ends(out, [&ends[0], &ends[1]]), steps);
        }
        section(&|layout, out| layout.title(out, "outside the connections:"), &others);
        if trace.left_out() > 0 {
            let text = format!("the ladder shows the first {MOST_STEPS} steps only; -w FILE writes every packet");
            Layout::new(*style, false).title(&mut out, &text);
        }
        out
    }
}

impl Observer for Ladder {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        self.trace.get_mut().on_event(at, event);
    }
}

impl fmt::Display for Ladder {
    /// In 80 columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.draw(&Style::default()))
    }
}

impl fmt::Debug for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ladder({} connections)", self.trace.borrow().flows().len())
    }
}

impl fmt::Debug for LadderWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LadderWriter({} columns)", self.layout.style.width)
    }
}

#[cfg(test)]
#[path = "ladder_tests.rs"]
mod tests;
