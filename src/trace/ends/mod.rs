//! Both ends of a flow after each step: their states, the variables of RFC 9293, what is known of congestion and timers, and
//! how the sequence space of each direction is divided. The terminal UI and the page draw it.
//!
//! [`Ends`] is a fold: give it the steps of one flow in order, with [`Ends::take`]. In a run, a segment reaches the other
//! end when it is delivered, and the hosts tell their numbers. In a capture, a segment reaches the other end when it passes,
//! unless a tag says that it is lost. What the host of an end does not tell is inferred, and marked so ([`Known::told`]).
//!
//! - `end`: what is known of one end; `ranges`: sets of bytes of the sequence space.

mod end;
mod ranges;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

pub use end::{End, Known, Running};
use end::{Sent, Told};
pub use ranges::{Extent, Space};

use super::{Content, SegmentStep, Step, Vantage};
use crate::annotate::Tag;
use crate::conversation::{AckKind, DataKind, Side};
use crate::event::TimerKind;
use crate::segment::Flags;
use crate::time::Instant;

/// Segments of a flow that are on their way at a time. The oldest of more is taken as arrived.
const MOST_ON_THE_WAY: usize = 1 << 14;
/// No acknowledgment is followed further beyond what was seen: 2^30 bytes, the largest window (RFC 7323, section 2.3).
const MOST_AHEAD: u64 = 1 << 30;

/// Both ends of one flow. [`Side::Local`] is the left one.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    sides: [End; 2],
    /// In the order in which they arrive.
    on_the_way: VecDeque<Arrival>,
}

/// What a segment brings to the other end.
#[derive(Clone, Debug)]
struct Arrival {
    at: Instant,
    packet: u64,
    to: Side,
    /// Its sequence space, from the first number to the one behind the last.
    space: (u64, u64),
    ack: Option<u32>,
    kind: AckKind,
    window: u64,
    sacked: Vec<(u32, u32)>,
    /// Whether the fates of segments are told: then no loss is inferred.
    told: bool,
}

impl Ends {
    /// Both ends before the first step.
    pub fn new() -> Self {
        Self::default()
    }

    /// One end.
    pub fn end(&self, side: Side) -> &End {
        &self.sides[side]
    }

    /// Takes the next step of the flow. Steps of other flows are not to be given.
    pub fn take(&mut self, step: &Step) {
        if let Content::Refused { packet, .. } = step.content {
            self.on_the_way.retain(|arrival| arrival.packet != packet);
        }
        self.advance(step.at);
        match &step.content {
            Content::Segment(segment) => self.segment(step, segment),
            Content::State { side, to, cause } => {
                self.sides[*side].set_state(step.at, to.map(|to| Known { value: to, told: cause.is_some() }));
            }
            Content::Recovery { side, to, .. } => self.sides[*side].phase = Some(Known::told(*to)),
            Content::Sender(told) => self.sides[told.side].tell(&told.variables, Told::Numbers),
            Content::Timer { side, timer, .. } => match timer {
                TimerKind::Retransmission => self.sides[*side].restart_timer(step.at),
                TimerKind::Persist => self.sides[*side].probed(step.at),
                _ => {}
            },
            _ => {}
        }
    }

    /// What is on the way and arrives until `now`, arrives.
    pub fn advance(&mut self, now: Instant) {
        while self.on_the_way.front().is_some_and(|first| first.at <= now)
            && let Some(arrival) = self.on_the_way.pop_front()
        {
            self.arrive(&arrival);
        }
    }

    fn segment(&mut self, step: &Step, segment: &SegmentStep) {
        let Some(seen) = segment.seen else { return };
        let in_run = matches!(step.vantage, Vantage::Host(_));
        if seen.restarted {
            *self = Self::default();
        }
        for side in Side::BOTH {
            let told = self.sides[side].state.is_some_and(|state| state.told);
            let state = segment.states[side];
            // Of a run, a host tells its state itself.
            if !told && (!in_run || state.is_some()) {
                self.sides[side].set_state(step.at, state.map(Known::inferred));
            }
        }
        if seen.data == DataKind::Unacceptable {
            return;
        }
        let from = segment.from;
        let own = &mut self.sides[from];
        let lost = [segment.tag, segment.behind.map(|(_, tag)| tag)].into_iter().flatten().any(Tag::is_loss);
        let copy = segment.tag == Some(Tag::Copy);
        let space = own.sent(&Sent {
            at: step.at,
            seq: segment.seq,
            len: seen.end - seen.start,
            payload: segment.payload as u64,
            syn: segment.flags.contains(Flags::SYN),
            data: seen.data,
            lost,
            copy,
        });
        own.fates_told |= in_run || lost;
        if let Some(ack) = segment.ack.filter(|_| seen.ack != AckKind::None) {
            own.acknowledges(ack, segment.window, in_run);
        }
        if let Some(variables) = &segment.variables {
            let whose = if in_run || variables.cwnd.is_some() { Told::Host } else { Told::Numbers };
            own.tell(variables, whose);
        }
        let arrives = if in_run { segment.arrival } else { Some(step.at) };
        let Some(at) = arrives.filter(|_| !lost) else { return };
        let arrival = Arrival {
            at,
            packet: segment.packet,
            to: from.other(),
            space,
            ack: segment.ack,
            kind: seen.ack,
            window: segment.window.into(),
            sacked: segment.sacked.clone(),
            told: in_run,
        };
        if !in_run {
            return self.arrive(&arrival);
        }
        let place = self.on_the_way.partition_point(|other| other.at <= at);
        self.on_the_way.insert(place, arrival);
        if self.on_the_way.len() > MOST_ON_THE_WAY
            && let Some(first) = self.on_the_way.pop_front()
        {
            self.arrive(&first);
        }
    }

    fn arrive(&mut self, arrival: &Arrival) {
        let end = &mut self.sides[arrival.to];
        end.receives(arrival.space, arrival.told);
        if let Some(ack) = arrival.ack.filter(|_| !matches!(arrival.kind, AckKind::None | AckKind::Old)) {
            end.acknowledged(arrival, ack);
        }
    }
}
