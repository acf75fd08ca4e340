//! The ladder: time runs down, a host stands on each side, an arrow is a segment. Below the arrow stands what a capture
//! says of it.
//!
//! [`LadderWriter`] draws the steps of a [`Trace`] one at a time, as `show` does. [`Ladder`] is an observer: show it a run,
//! then print it. It draws each connection by itself, and what belongs to no connection at the end.
//!
//! A segment stands at the instant at which it is sent, or passes the interface of a capture. A state stands where it
//! begins, and holds until the next one. Sequence numbers count from the initial one of their side, `start:end` as
//! tcpdump writes them.

use core::fmt;
use std::cell::RefCell;

use super::arrows::{Arrow, End, Manner};
use super::fold::{self, Drawn, Folder};
use super::label;
use super::layout::{Body, Layout, Row, Style};
use super::order::{self, Item};
use crate::annotate::{self, Tag, reason};
use crate::conversation::Side;
use crate::event::{Cause, DropReason, Event, HostId, Observer, Phase, TimerKind};
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
    /// The routers between the ends, from left to right, as far as they have columns.
    routers: Vec<HostId>,
}

impl LadderWriter {
    /// Of the steps of all flows as they come, each row with the number of its flow, each flow with a title.
    pub fn new(style: Style) -> Self {
        Self::with(style, true, Vec::new())
    }

    fn with(style: Style, numbers: bool, routers: Vec<HostId>) -> Self {
        let layout = Layout::new(style, numbers).with_routers(routers.len());
        Self {
            layout,
            routers: if layout.has_routers() { routers } else { Vec::new() },
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
        self.item(trace, step.into(), out);
    }

    fn item(&mut self, trace: &Trace, item: Item, out: &mut String) {
        let Self { layout, folder, pending, headed, by_flow, routers } = self;
        let mut sheet = Sheet { layout, pending, headed, by_flow: *by_flow, routers, trace, out };
        folder.take(item, |drawn| sheet.draw(&drawn));
    }

    /// Writes what was taken so far and is not held back for a fold.
    pub fn flush(&mut self, out: &mut String) {
        if let Some(row) = self.pending.take() {
            self.layout.row(out, &row);
        }
    }

    /// The end: writes what is left.
    pub fn finish(&mut self, trace: &Trace, out: &mut String) {
        let Self { layout, folder, pending, headed, by_flow, routers } = self;
        let mut sheet = Sheet { layout, pending, headed, by_flow: *by_flow, routers, trace, out };
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
    routers: &'a [HostId],
    trace: &'a Trace,
    out: &'a mut String,
}

impl Sheet<'_> {
    fn draw(&mut self, drawn: &Drawn) {
        match drawn {
            Drawn::Item(Item::Step { step, slopes }) => self.step(step, *slopes),
            Drawn::Item(Item::Arrival { at, flow, arrival, .. }) => {
                self.flush();
                let (at, body) = (self.trace.since_ladder_origin(*at), Body::Arrival(arrival.clone()));
                *self.pending = Some(Row { at, flow: Some(*flow), body, ..Row::default() });
            }
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

    fn step(&mut self, step: &Step, slopes: bool) {
        let at = self.trace.since_ladder_origin(step.at);
        match &step.content {
            Content::Segment(segment) => {
                if segment.begins && !self.by_flow {
                    self.title(step.flow);
                }
                let comments = vec![label::said(segment, self.trace)];
                let arrow = self.arrow(segment, slopes);
                let other = segment.from.other() as usize;
                self.join(at, step.flow, |row| {
                    let free =
                        matches!(row.body, Body::Nothing) && row.states[other].is_none() && row.notes[other].is_none();
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
                        Body::Arrival(arrival) => arrival.from != *side,
                        Body::Free(_) => false,
                    };
                    // A timer changes the state; a call is told of after the change.
                    let told = row.notes[*side as usize].is_none() || matches!(cause, Some(Cause::Timer(_)));
                    let free = fits && told && row.states[*side as usize].is_none();
                    if free {
                        row.states[*side as usize] = Some(name.clone());
                    }
                    free
                });
            }
            Content::Call { side: Some(side), fd, call, result } => {
                self.beside(at, step.flow, *side, &label::call_text(*fd, call, *result));
            }
            Content::Call { side: None, fd, call, result } => {
                let text = format!("{}: {}", self.host(step.vantage), label::call_text(*fd, call, *result));
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
                let said = label::packet_said(packet, self.trace);
                if let Some(arrow) = self.arrow_of_packet(step, packet) {
                    self.flush();
                    let body = Body::Arrow(arrow);
                    *self.pending = Some(Row { at, flow: step.flow, body, comments: vec![said], ..Row::default() });
                    return;
                }
                let ends = packet.ends.map_or(String::new(), |(src, dst)| format!("{src} → {dst}: "));
                self.free(at, format!("{ends}{said}"), Vec::new());
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
            let (own, other) = (side as usize, side.other() as usize);
            let fits = match &row.body {
                Body::Nothing => row.states[other].is_none() && row.notes[other].is_none(),
                // The call returns what arrives.
                Body::Arrival(arrival) => arrival.from != side,
                Body::Arrow(_) | Body::Free(_) => false,
            };
            let free = fits && row.notes[own].is_none();
            if free {
                row.notes[own] = Some(text.to_owned());
            }
            free
        });
    }

    fn arrow(&self, segment: &SegmentStep, slopes: bool) -> Arrow {
        let text = label::describe(segment);
        let tag = segment.tag.or(segment.behind.map(|(_, tag)| tag));
        let end = match (segment.tag, segment.behind) {
            (Some(Tag::Lost(_)), _) => End::Hop(0),
            (_, Some((router, Tag::Lost(why)))) => self.lost_behind(router, segment.from, why),
            _ if slopes => End::Slope,
            _ => End::Bar,
        };
        let (again, manner) = (label::is_again(segment), label::manner(segment, tag));
        Arrow { from: segment.from, begin: None, short: label::beginnings(&text), text, tag, again, manner, end }
    }

    /// Where the arrow of a packet ends that a router drops, or the link behind it.
    fn lost_behind(&self, router: HostId, from: Side, why: DropReason) -> End {
        let Some(place) = self.routers.iter().position(|known| *known == router) else { return End::Hop(usize::MAX) };
        let nth = if from == Side::Local { place } else { self.routers.len() - 1 - place };
        match why {
            DropReason::NoRoute | DropReason::HostUnreachable | DropReason::TtlExceeded => End::Router(nth),
            _ => End::Hop(nth + 1),
        }
    }

    /// The arrow of an ICMP error: from a router that has a column, or from the other end, to the end that it is for.
    fn arrow_of_packet(&self, step: &Step, packet: &PacketStep) -> Option<Arrow> {
        let (Some(flow), Vantage::Host(sender)) = (step.flow.and_then(|number| self.trace.flow(number)), step.vantage)
        else {
            return None;
        };
        let (_, to) = packet.ends?;
        let to = Side::BOTH.into_iter().find(|side| flow.ends[*side as usize].ip() == to)?;
        let from = to.other();
        let begin = match self.routers.iter().position(|router| *router == sender) {
            Some(place) if from == Side::Local => Some(place),
            Some(place) => Some(self.routers.len() - 1 - place),
            None if flow.hosts[from as usize] == Some(sender) => None,
            None => return None,
        };
        let text = packet.words.clone();
        let short = text.split_once(", ").map(|(before, _)| before.to_owned());
        let end = if matches!(packet.tag, Some(Tag::Lost(_))) { End::Hop(0) } else { End::Bar };
        let manner = if packet.tag.is_some_and(Tag::is_loss) { Manner::Lost } else { Manner::Plain };
        // The words stand below it too: what does not fit is left out.
        let text = short.unwrap_or(text);
        let short = text.split(' ').next().map(str::to_owned).into_iter().collect();
        Some(Arrow { from, begin, short, text, tag: packet.tag, again: false, manner, end })
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
        self.layout.ends(self.out, [&ends[0], &ends[1]], &[]);
        *self.headed += 1;
    }

    fn host(&self, vantage: Vantage) -> String {
        match vantage {
            Vantage::Host(host) => self.trace.host_name(host),
            Vantage::Capture => "here".to_owned(),
        }
    }
}

/// The names of both ends: host and address where the host is known.
pub(super) fn names(trace: &Trace, flow: &Flow) -> [String; 2] {
    core::array::from_fn(|side| match flow.hosts[side] {
        Some(host) => format!("{} {}", trace.host_name(host), flow.ends[side]),
        None => flow.ends[side].to_string(),
    })
}

/// Whether a step stands in a ladder. Numbers and queues are for plots. What happens with every few segments and loses
/// nothing, delayed ACKs and disorder, stands only where `all` is asked for.
pub(super) fn is_drawn(content: &Content, all: bool) -> bool {
    match content {
        Content::Sender(_) | Content::ListenQueues { .. } | Content::LinkQueue { .. } => false,
        Content::Timer { timer: TimerKind::DelayedAck, .. } => all,
        Content::Recovery { from, to, undone: false, .. } => {
            all || [from, to].iter().any(|phase| matches!(phase, Phase::Recovery | Phase::Loss))
        }
        _ => true,
    }
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

    /// All hosts side by side, a column each, in one order of time.
    ///
    /// # Errors
    /// The style is too narrow: the columns that are needed.
    pub fn draw_joint(&self, style: &Style) -> Result<String, usize> {
        let mut trace = self.trace.borrow_mut();
        trace.settle();
        let mut out = super::joint::draw(&trace, style)?;
        if trace.left_out() > 0 {
            let text = format!("the ladder shows the first {MOST_STEPS} steps only; -w FILE writes every packet");
            Layout::new(*style, false).title(&mut out, &text);
        }
        Ok(out)
    }

    /// The ladder in this style: each connection by itself, in the order in which they began.
    pub fn draw(&self, style: &Style) -> String {
        let mut trace = self.trace.borrow_mut();
        trace.settle();
        let trace = &*trace;
        let mut out = String::new();
        let mut by_flow: Vec<Vec<(u64, &Step)>> = vec![Vec::new(); trace.flows().len()];
        let mut others = Vec::new();
        for (step, number) in trace.steps().zip(0..).filter(|(step, _)| is_drawn(&step.content, style.all)) {
            match step.flow {
                Some(flow) => by_flow[flow].push((number, step)),
                None => others.push(Item::from(step.clone())),
            }
        }
        let mut section = |mut writer: LadderWriter, heading: &dyn Fn(&Layout, &mut String), items: Vec<Item>| {
            if items.is_empty() {
                return;
            }
            if !out.is_empty() {
                out.push('\n');
            }
            heading(&writer.layout, &mut out);
            for item in items {
                writer.item(trace, item, &mut out);
            }
            writer.finish(trace, &mut out);
        };
        for (flow, steps) in trace.flows().iter().zip(&by_flow) {
            let ends = names(trace, flow);
            let routers = order::routers(steps, flow);
            let called: Vec<_> = routers.iter().map(|router| trace.host_name(*router)).collect();
            let writer = LadderWriter::with(*style, false, routers);
            let items = if writer.layout.has_slopes() {
                order::in_order(steps, flow, fold::is_ordinary_segment)
            } else {
                steps.iter().map(|(_, step)| Item::from((*step).clone())).collect()
            };
            section(writer, &|layout, out| layout.ends(out, [&ends[0], &ends[1]], &called), items);
        }
        let writer = LadderWriter::with(*style, false, Vec::new());
        section(writer, &|layout, out| layout.title(out, "outside the connections:"), others);
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
