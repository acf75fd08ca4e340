//! A script of packets and calls in the order of time. Times are relative and in microseconds. Each is the difference of
//! two times since the first packet, so that what is cut off does not add up.

use super::calls::Timed;
use super::packet::{self, Manner};
use crate::drill::script::{Action, Event, OptionLine, Script, Span, Spanned, Time};
use crate::recording::{Recorded, Recording};
use crate::segment::Flags;
use crate::time::Duration;

/// Packets that the script leaves out, each with the reason.
pub(super) type LeftOut = Vec<(u64, &'static str)>;

/// The script, and what it leaves out.
pub(super) fn weave(
    recording: &Recording,
    calls: &[Timed],
    manner: Manner,
    options: Vec<OptionLine>,
) -> (Script, LeftOut) {
    let mut weaver = Weaver { events: Vec::new(), clock: 0, left_out: Vec::new() };
    let mut calls = calls.iter().peekable();
    for (index, recorded) in recording.packets.iter().enumerate() {
        while let Some(timed) = calls.next_if(|timed| timed.before <= index) {
            weaver.call(timed);
        }
        weaver.packet(recording, recorded, manner);
    }
    calls.for_each(|timed| weaver.call(timed));
    let options = options.into_iter().map(|value| Spanned { value, span: Span::default() }).collect();
    (Script { options, events: weaver.events, ..Script::default() }, weaver.left_out)
}

struct Weaver {
    events: Vec<Event>,
    /// Microseconds since the first packet.
    clock: u64,
    left_out: LeftOut,
}

impl Weaver {
    /// The time to a moment, to which the clock is set.
    fn to(&mut self, at: Duration) -> Duration {
        let at = micros(at).max(self.clock);
        Duration::from_micros(at - core::mem::replace(&mut self.clock, at))
    }

    fn push(&mut self, time: Time, action: Action) {
        let line = self.events.len() + 1;
        self.events.push(Event { time, action, span: Span::default(), line });
    }

    fn packet(&mut self, recording: &Recording, recorded: &Recorded, manner: Manner) {
        let why = if recorded.icmp && recorded.from == manner.ours {
            "an ICMP error that goes to the other end"
        } else if recorded.bad_checksum && !recorded.is_acceptable() {
            "its checksum is wrong, which the language cannot say"
        } else if is_unheard(recording, recorded, manner) {
            "the host did not answer it: its queues were full"
        } else if let Some(packet) = packet::packet(recording, recorded, manner) {
            let time = Time::Relative(self.to(recorded.at));
            return self.push(time, Action::Packet(Box::new(packet)));
        } else {
            "the language has no words for it"
        };
        self.left_out.push((recorded.number, why));
    }

    fn call(&mut self, timed: &Timed) {
        let start = self.to(timed.at);
        let time = match timed.until {
            None => Time::Relative(start),
            Some(end) => {
                let end = Duration::from_micros(micros(end).saturating_sub(self.clock));
                Time::RelativeBlocking(start, start + end)
            }
        };
        self.push(time, Action::Call(Box::new(timed.call.clone())));
    }
}

/// A SYN that the host did not answer, but the same one later. Its queues were full of connections that are not here.
fn is_unheard(recording: &Recording, recorded: &Recorded, manner: Manner) -> bool {
    let is_syn = |p: &Recorded| p.has(Flags::SYN) && !p.has(Flags::ACK);
    let mut behind = recording.packets.iter().skip_while(|p| p.number <= recorded.number);
    recorded.from != manner.ours
        && is_syn(recorded)
        && behind
            .find(|p| p.from == manner.ours || is_syn(p))
            .is_some_and(|p| p.from == recorded.from && p.seq == recorded.seq)
}

/// Whole microseconds.
pub(super) fn micros(at: Duration) -> u64 {
    u64::try_from(at.as_nanos() / 1_000).unwrap_or(u64::MAX)
}
