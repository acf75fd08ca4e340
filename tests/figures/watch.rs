//! Counts what happens to the text of every connection of a run: segments, retransmissions, drops, timeouts, and
//! retransmissions of text that had already arrived. It sees both ends and the link, so nothing is inferred.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use tcplab::event::{Event, HostEvent, Numbers, Observer, Phase, Reason, TimerKind};
use tcplab::segment::{IpView, Packet, Segment, Seq};
use tcplab::time::Instant;

/// Source and destination.
pub(crate) type Ends = (SocketAddr, SocketAddr);

/// One direction of one connection. Offsets count from the SYN.
#[derive(Default)]
pub(crate) struct Direction {
    isn: Seq,
    /// The end of the text sent so far.
    sent: u64,
    /// The text that has arrived: start and end of each run.
    arrived: BTreeMap<u64, u64>,
    /// Segments with text, retransmissions too.
    pub(crate) segments: u64,
    /// Of them, those with text that had been sent before.
    pub(crate) resent: u64,
    /// Of them, those whose text had arrived entirely when they were sent.
    pub(crate) needless: u64,
    /// Segments sent by the retransmission timer.
    pub(crate) by_rto: u64,
    /// Of them, those whose text had arrived entirely.
    pub(crate) needless_by_rto: u64,
    /// Segments with text that the link lost or refused.
    pub(crate) dropped: u64,
    /// How often the retransmission timer expired.
    pub(crate) timeouts: u64,
    /// The largest text of one segment, since it was last asked.
    pub(crate) largest: usize,
    /// The segment just sent.
    last: Last,
    /// What the sender knew when it sent the last segment.
    pub(crate) numbers: Numbers,
    /// The largest excess of `pipe` over `cwnd` in phase Open, in bytes.
    pub(crate) excess: u64,
}

#[derive(Clone, Copy, Default)]
struct Last {
    text: bool,
    needless: bool,
}

/// The observer.
#[derive(Default)]
pub(crate) struct Watch {
    directions: HashMap<Ends, Direction>,
    /// Changes of state.
    pub(crate) changes: Vec<(Instant, HostEvent)>,
    /// Whether changes of state are kept.
    pub(crate) keep_states: bool,
}

impl Watch {
    /// What is known of a direction.
    pub(crate) fn direction(&mut self, from: SocketAddr, to: SocketAddr) -> &mut Direction {
        self.directions.entry((from, to)).or_default()
    }

    /// The direction with most segments.
    pub(crate) fn busiest(&self) -> &Direction {
        self.directions.values().max_by_key(|direction| direction.segments).expect("a connection")
    }

    /// The same, to change it.
    pub(crate) fn busiest_mut(&mut self) -> &mut Direction {
        self.directions.values_mut().max_by_key(|direction| direction.segments).expect("a connection")
    }

    /// Every direction.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Direction> {
        self.directions.values()
    }

    fn of(&mut self, packet: &Packet) -> Option<(&mut Direction, Text)> {
        let segment = Segment::parse(&IpView::parse(&packet.bytes).ok()?).ok()?;
        let direction = self.directions.entry((segment.src, segment.dst)).or_default();
        if segment.is_syn() {
            direction.isn = segment.seq;
        }
        // A run carries less than 2^31 bytes beyond what was sent.
        let near = direction.isn + (direction.sent as u32);
        let start = direction.sent.wrapping_add_signed(i64::from(segment.seq.distance(near)));
        let len = segment.payload.len();
        Some((direction, Text { start, end: start + len as u64, len }))
    }
}

#[derive(Clone, Copy)]
struct Text {
    start: u64,
    end: u64,
    len: usize,
}

impl Direction {
    fn has(&self, text: Text) -> bool {
        self.arrived.range(..=text.start).next_back().is_some_and(|(_, end)| *end >= text.end)
    }

    fn add(&mut self, text: Text) {
        let (mut start, mut end) = (text.start, text.end);
        while let Some((&from, &to)) = self.arrived.range(..=end).next_back() {
            if to < start {
                break;
            }
            (start, end) = (start.min(from), end.max(to));
            self.arrived.remove(&from);
        }
        self.arrived.insert(start, end);
    }

    fn send(&mut self, text: Text) {
        self.last = Last::default();
        if text.len == 0 {
            return;
        }
        self.segments += 1;
        self.largest = self.largest.max(text.len);
        let needless = text.start < self.sent && self.has(text);
        if text.start < self.sent {
            self.resent += 1;
            self.needless += u64::from(needless);
        }
        self.last = Last { text: true, needless };
        self.sent = self.sent.max(text.end);
    }

    fn tell(&mut self, numbers: Numbers) {
        if self.last.text && numbers.reason == Some(Reason::Rto) {
            self.by_rto += 1;
            self.needless_by_rto += u64::from(self.last.needless);
        }
        if numbers.phase == Some(Phase::Open)
            && numbers.reason == Some(Reason::New)
            && let (Some(pipe), Some(cwnd)) = (numbers.pipe, numbers.cwnd)
        {
            self.excess = self.excess.max(pipe.saturating_sub(cwnd));
        }
        self.numbers = numbers;
    }
}

impl Observer for Watch {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        match event {
            Event::Sent { packet, .. } => {
                if let Some((direction, text)) = self.of(packet) {
                    direction.send(text);
                }
            }
            Event::Delivered { packet, .. } => {
                if let Some((direction, text)) = self.of(packet)
                    && text.len > 0
                {
                    direction.add(text);
                }
            }
            Event::LinkDropped { packet, .. } => {
                if let Some((direction, text)) = self.of(packet) {
                    direction.dropped += u64::from(text.len > 0);
                }
            }
            Event::Host { event: HostEvent::Numbers { local, remote, numbers }, .. } => {
                self.direction(*local, *remote).tell(*numbers);
            }
            Event::Host { event: HostEvent::Timer { local, remote, timer: TimerKind::Retransmission }, .. } => {
                self.direction(*local, *remote).timeouts += 1;
            }
            Event::Host { event: event @ HostEvent::State { .. }, .. } if self.keep_states => {
                self.changes.push((at, *event));
            }
            _ => {}
        }
    }

    fn wants_numbers(&self) -> bool {
        true
    }
}
