//! The connections of a run or of a capture as a table: who, for how long, how much each way, what was sent again, how it
//! ended, and the state of both sides at the end.

use core::fmt;
use std::cell::RefCell;
use std::rc::Rc;

use super::streams::{Stream, Streams};
use crate::capture::Narrator;
use crate::conversation::Side;
use crate::event::{Event, Fate, HostEvent, Observer};
use crate::segment::{IpView, Segment};
use crate::time::Instant;

/// Counts what is sent in a run, connection by connection. The states are those that the hosts tell, and where they tell
/// nothing (the kernel's side of a TUN) what the packets say.
#[derive(Default)]
pub struct Flows {
    narrator: Narrator,
    streams: Streams,
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

    /// The connections so far, in order of appearance.
    pub fn streams(&self) -> &[Stream] {
        &self.streams.list
    }

    fn sent(&mut self, at: Instant, segment: &Segment<'_>, arrives: bool) {
        let number = self.streams.of(at, segment);
        let stream = &self.streams.list[number];
        let [local, remote] = stream.ends;
        let (seen, flow) = self.narrator.follow(at, stream.side_of(segment.src), [local, remote], segment);
        self.streams.take(number, at, segment, (&seen, &flow.conversation), arrives);
    }
}

impl Observer for Flows {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        match *event {
            Event::Sent { packet, fate, .. } => {
                if let Ok(segment) = IpView::parse(&packet.bytes).and_then(|ip| Segment::parse(&ip)) {
                    self.sent(at, &segment, !matches!(fate, Fate::Drop(_) | Fate::Corrupt(_)));
                }
            }
            Event::Host { event: HostEvent::State { local, remote, to, .. }, .. } => {
                if let Some(number) = self.streams.find(local, remote) {
                    let stream = &mut self.streams.list[number];
                    let side = if local == stream.ends[0] { Side::Local } else { Side::Remote };
                    stream.set_state(side, to);
                }
            }
            _ => {}
        }
    }
}

impl fmt::Display for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        flow_table(&self.streams.list).fmt(f)
    }
}

impl fmt::Debug for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flows({})", self.streams.list.len())
    }
}

/// Streams as a table, each on one line, below a line that names the columns. Of two numbers the first is of the left
/// end.
pub fn flow_table(streams: &[Stream]) -> String {
    const NAMES: [&str; 9] =
        ["stream", "left", "right", "open for", "packets", "messages", "bytes", "sent again", "states at the end"];
    let mut rows = vec![NAMES.map(str::to_owned).to_vec()];
    rows[0].push("end".to_owned());
    for stream in streams {
        let pair = |numbers: [u64; 2]| format!("{}/{}", numbers[0], numbers[1]);
        let state = |side: usize| stream.states()[side].map_or("?".to_owned(), |state| state.to_string());
        rows.push(vec![
            format!("#{}", stream.number),
            stream.ends[0].to_string(),
            stream.ends[1].to_string(),
            format!("{:.6} s", stream.open_for().as_secs_f64()),
            pair(stream.packets),
            pair(stream.messages),
            pair(stream.bytes),
            pair(stream.retransmissions),
            format!("{}/{}", state(0), state(1)),
            stream.close.to_string(),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..rows[0].len()).map(width).collect();
    rows.iter().fold(String::new(), |mut text, row| {
        let line =
            row.iter().zip(&widths).fold(String::new(), |line, (cell, &width)| line + &format!("{cell:<width$}  "));
        text.push_str(line.trim_end());
        text.push('\n');
        text
    })
}
