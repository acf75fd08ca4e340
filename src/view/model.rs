//! What the terminal UI and the page show: the rows of the ladder, the connections, the bytes of the packets, and what is
//! known of both ends at each row. Made once from a trace.

use std::collections::BTreeMap;

use super::label::is_again;
use super::ladder::names;
use crate::capture::Record;
use crate::conversation::{Kind, Side};
use crate::event::{Cause, Event, HostId, Observer, State};
use crate::time::Instant;
use crate::trace::ends::Ends;
use crate::trace::{Content, Step, Trace};

/// Packets of a capture that the terminal UI and a page have.
pub(crate) const MOST_PACKETS: u64 = 200_000;
/// Steps of a run that they have.
pub(crate) const MOST_STEPS: usize = 500_000;
/// Steps of a flow between two stored folds.
const STRIDE: usize = 256;
/// Bytes of packets that are kept whole.
const WHOLE: usize = 256 << 20;
/// After that, so many bytes of each packet are kept.
const HEADERS: usize = 128;
/// The most that is kept of one packet.
const LONGEST: usize = 4096;

/// The bytes of packets by their numbers, with a bound: at first whole packets up to 4,096 bytes, later only their headers.
#[derive(Debug, Default)]
pub(super) struct Packets {
    bytes: Vec<u8>,
    places: BTreeMap<u64, (usize, usize)>,
}

impl Packets {
    /// Keeps a packet. One that was kept before under this number stays.
    pub(super) fn keep(&mut self, number: u64, packet: &[u8]) {
        let most = if self.bytes.len() < WHOLE { LONGEST } else { HEADERS };
        let kept = &packet[..packet.len().min(most)];
        if !self.places.contains_key(&number) {
            self.places.insert(number, (self.bytes.len(), kept.len()));
            self.bytes.extend_from_slice(kept);
        }
    }

    pub(super) fn of(&self, number: u64) -> Option<&[u8]> {
        let (start, len) = *self.places.get(&number)?;
        self.bytes.get(start..start + len)
    }
}

/// Takes what a run or a capture has, for a [`Model`]: steps and the bytes of packets, both with a bound.
#[derive(Default)]
pub(crate) struct Recorder {
    trace: Trace,
    packets: Packets,
    /// Those of a capture, taken out as they come.
    steps: Vec<Step>,
}

impl Recorder {
    /// A recorder that keeps at most so many steps of a run.
    pub(crate) fn with_limit(limit: usize) -> Self {
        Self { trace: Trace::with_limit(limit), ..Self::default() }
    }

    /// Names hosts.
    pub(crate) fn name_hosts(&mut self, names: impl IntoIterator<Item = (HostId, String)>) {
        self.trace.name_hosts(names);
    }

    /// Times count from the first event instead of from the epoch.
    pub(crate) fn count_from_first(&mut self) {
        self.trace.count_from_first();
    }

    /// Takes the next record of a capture.
    pub(crate) fn record(&mut self, record: &Record<'_>, ours: bool) {
        if let Some(packet) = record.packet {
            self.packets.keep(record.number, packet);
        }
        self.trace.record(record, ours);
        self.steps.extend(core::iter::from_fn(|| self.trace.next_step()));
    }

    /// Steps that were not kept because of the limit.
    pub(crate) fn left_out(&self) -> u64 {
        self.trace.left_out()
    }
}

impl Observer for Recorder {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        if let Event::Sent { packet, .. } = event
            && !self.trace.is_full()
        {
            self.packets.keep(packet.meta.id.0, &packet.bytes);
        }
        self.trace.on_event(at, event);
    }

    fn wants_numbers(&self) -> bool {
        true
    }
}

/// The text of a lesson or a scenario.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    /// In a line.
    pub(crate) summary: String,
    /// What happens and why.
    #[allow(clippy::struct_field_names, reason = "the key of a scenario file")]
    pub(crate) story: String,
    /// What to look at.
    pub(crate) look: Vec<String>,
}

/// Marks of a row, for jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Each is a mark of its own.
pub(super) struct Marks {
    pub(super) loss: bool,
    pub(super) again: bool,
    pub(super) state: bool,
    /// The link or a host did something unusual with it, or Wireshark has a name for it.
    pub(super) special: bool,
}

/// A row of the ladder: what happened at one instant.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) at: Instant,
    pub(super) flow: Option<usize>,
    /// The step that is drawn between the bars.
    pub(super) body: Option<usize>,
    /// States that begin; an inner `None` is an unknown one.
    #[allow(clippy::option_option)] // The two say different things.
    pub(super) states: [Option<Option<State>>; 2],
    /// Its last step.
    pub(super) last: usize,
    pub(super) marks: Marks,
}

/// A connection.
#[derive(Debug)]
pub(super) struct FlowRows {
    /// Host and address of both ends.
    pub(super) ends: [String; 2],
    /// Its rows, in order.
    pub(super) rows: Vec<usize>,
    pub(super) steps: Vec<usize>,
    /// The fold after every so many steps.
    pub(super) folds: Vec<Ends>,
}

/// Everything that is shown.
pub(crate) struct Model {
    /// The file or the lesson.
    pub(super) title: String,
    pub(super) story: Option<Story>,
    /// What the reader has to know: what was left out, what is odd.
    pub(super) notes: Vec<String>,
    pub(super) rows: Vec<Row>,
    pub(super) flows: Vec<FlowRows>,
    pub(super) packets: Packets,
    steps: Vec<Step>,
    /// For names of hosts. Its steps were taken out.
    pub(super) trace: Trace,
}

impl Model {
    /// What was recorded, under this title.
    pub(crate) fn new(title: &str, recorded: Recorder) -> Self {
        let Recorder { mut trace, packets, mut steps } = recorded;
        trace.settle();
        steps.extend(core::iter::from_fn(|| trace.next_step()));
        let flows = trace.flows().iter().map(|flow| FlowRows {
            ends: names(&trace, flow),
            rows: Vec::new(),
            steps: Vec::new(),
            folds: Vec::new(),
        });
        let mut model = Self {
            title: title.to_owned(),
            story: None,
            notes: Vec::new(),
            rows: Vec::new(),
            flows: flows.collect(),
            packets,
            steps: Vec::new(),
            trace,
        };
        let mut folds = vec![Ends::new(); model.flows.len()];
        for number in 0..steps.len() {
            model.add(number, &steps, &mut folds);
        }
        model.steps = steps;
        for (number, row) in model.rows.iter().enumerate() {
            if let Some(flow) = row.flow.and_then(|flow| model.flows.get_mut(flow)) {
                flow.rows.push(number);
            }
        }
        model
    }

    /// With the text of a lesson.
    pub(crate) fn with_story(self, story: Story) -> Self {
        Self { story: Some(story), ..self }
    }

    /// With what the reader has to know.
    pub(crate) fn with_notes(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }

    /// What the reader has to know.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// True if there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds the step of this number to the rows, and to the fold of its flow.
    fn add(&mut self, number: usize, steps: &[Step], folds: &mut [Ends]) {
        let step = &steps[number];
        let mut more_lost = false;
        if let Some(flow) = step.flow
            && let (Some(rows), Some(fold)) = (self.flows.get_mut(flow), folds.get_mut(flow))
        {
            if rows.steps.len() % STRIDE == 0 {
                rows.folds.push(fold.clone());
            }
            rows.steps.push(number);
            if matches!(step.content, Content::Segment(_)) {
                let lost = |ends: &Ends| Side::BOTH.map(|side| ends.end(side).lost_bytes());
                let before = lost(fold);
                fold.take(step);
                let after = lost(fold);
                more_lost = after[0] > before[0] || after[1] > before[1];
            } else {
                fold.take(step);
            }
        }
        let mut marks = Marks { loss: more_lost, ..Marks::default() };
        match &step.content {
            Content::Sender(_) | Content::ListenQueues { .. } | Content::LinkQueue { .. } => {}
            Content::State { side, to, cause } => self.add_state(number, steps, *side, (*to, *cause)),
            Content::Segment(segment) => {
                let tags = [segment.tag, segment.behind.map(|(_, tag)| tag)];
                marks.loss |= tags.iter().flatten().any(|tag| tag.is_loss());
                marks.again = is_again(segment) || segment.kinds.is_retransmission();
                let usual = |kind: Kind| matches!(kind, Kind::WindowUpdate | Kind::DuplicateAck);
                marks.special = tags.iter().any(Option::is_some)
                    || segment.flags.contains(crate::segment::Flags::RST)
                    || segment.kinds.iter().any(|kind| !usual(kind));
                let other = segment.from.other();
                match self.last_row(step).filter(|row| row.body.is_none() && row.states[other].is_none()) {
                    Some(row) => {
                        (row.body, row.last) = (Some(number), number);
                        row.marks = Marks { state: row.marks.state, ..marks };
                    }
                    None => self.push(number, step, marks),
                }
            }
            Content::Packet(packet) => {
                let tags = [packet.tag, packet.behind.map(|(_, tag)| tag)];
                marks.loss = tags.iter().flatten().any(|tag| tag.is_loss());
                marks.special = tags.iter().any(Option::is_some);
                self.push(number, step, marks);
            }
            Content::Refused { .. } => self.push(number, step, Marks { special: true, ..marks }),
            _ => self.push(number, step, marks),
        }
    }

    /// A state stands on the row of the segment with which it begins, else on a row of its own.
    fn add_state(&mut self, number: usize, steps: &[Step], side: Side, (to, cause): (Option<State>, Option<Cause>)) {
        let step = &steps[number];
        let fits = self.last_row(step).is_some_and(|row| {
            let body = row.body.map(|body| &steps[body].content);
            row.states[side].is_none()
                && match body {
                    None => true,
                    // An inferred state is that of the segment above.
                    Some(Content::Segment(segment)) => cause.is_none() || segment.from == side,
                    Some(Content::Timer { side: at, .. }) => *at == side && matches!(cause, Some(Cause::Timer(_))),
                    Some(_) => false,
                }
        });
        // A state that is not known at the beginning says nothing.
        let says = to.is_some() || cause.is_some();
        if let Some(row) = self.rows.last_mut().filter(|_| fits) {
            row.states[side] = Some(to);
            row.last = number;
            row.marks.state |= says;
        } else {
            let mut row = Row { at: step.at, flow: step.flow, last: number, ..Row::default() };
            row.states[side] = Some(to);
            row.marks.state = says;
            self.rows.push(row);
        }
    }

    fn last_row(&mut self, step: &Step) -> Option<&mut Row> {
        self.rows.last_mut().filter(|row| row.at == step.at && row.flow == step.flow)
    }

    fn push(&mut self, number: usize, step: &Step, marks: Marks) {
        let states = [None; 2];
        self.rows.push(Row { at: step.at, flow: step.flow, body: Some(number), states, last: number, marks });
    }

    /// All steps, in order.
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter()
    }

    /// A step.
    pub(super) fn step(&self, number: usize) -> Option<&Step> {
        self.steps.get(number)
    }

    /// The step that a row is drawn for.
    pub(super) fn step_of(&self, row: usize) -> Option<&Step> {
        self.steps.get(self.rows.get(row)?.body?)
    }

    /// The place of the last step of a row.
    #[cfg(test)]
    pub(super) fn step_place(&self, row: usize) -> usize {
        self.rows[row].last
    }

    /// The number of the packet on a row.
    pub(super) fn packet_of(&self, row: usize) -> Option<u64> {
        match &self.step_of(row)?.content {
            Content::Segment(segment) => Some(segment.packet),
            Content::Packet(packet) => Some(packet.packet),
            _ => None,
        }
    }

    /// The row of a packet.
    pub(super) fn row_of_packet(&self, number: u64) -> Option<usize> {
        (0..self.rows.len()).find(|row| self.packet_of(*row) == Some(number))
    }

    /// What is known of both ends of the flow of a row, after it.
    pub(super) fn ends_at(&self, row: usize) -> Option<(&FlowRows, Ends)> {
        let row = self.rows.get(row)?;
        let flow = self.flows.get(row.flow?)?;
        let count = flow.steps.partition_point(|step| *step <= row.last);
        let from = (count / STRIDE).min(flow.folds.len().checked_sub(1)?);
        let mut ends = flow.folds[from].clone();
        for step in &flow.steps[from * STRIDE..count] {
            ends.take(&self.steps[*step]);
        }
        Some((flow, ends))
    }

    /// Nanoseconds since the first step, or since the run began.
    pub(super) fn since_origin(&self, at: Instant) -> i64 {
        self.trace.since_ladder_origin(at)
    }

    /// The row at which a lesson opens: the first at which something is lost or unusual. Where nothing is, the first FIN if
    /// the lesson is about closing, the first data unless it is about opening, else the first segment.
    pub(super) fn opening_row(&self, topic: &str) -> usize {
        let first = |wanted: &dyn Fn(usize, &Row) -> bool| {
            self.rows.iter().enumerate().find(|(number, row)| wanted(*number, row)).map(|(number, _)| number)
        };
        let segment = |number: usize| match self.step_of(number).map(|step| &step.content) {
            Some(Content::Segment(segment)) => Some(segment),
            _ => None,
        };
        let fin = |number: usize, _: &Row| {
            segment(number).is_some_and(|segment| segment.flags.contains(crate::segment::Flags::FIN))
        };
        let data = |number: usize, _: &Row| segment(number).is_some_and(|segment| segment.payload > 0);
        let special = first(&|_, row| row.marks.loss || row.marks.again || row.marks.special);
        special
            .or_else(|| if topic == "closing" { first(&fin) } else { None })
            .or_else(|| if topic == "opening" { None } else { first(&data) })
            .or_else(|| first(&|number, _| segment(number).is_some()))
            .unwrap_or(0)
    }
}
