//! Feeds a recording to our host, packet by packet, as causality allows, for a semantic comparison.
//!
//! The time does not advance while a step is possible. Then it jumps to what is due first: a packet, a timer, or the
//! sleep of a program. If the next packet may not be fed, three things are tried in order. A program that sleeps is
//! waited for. The part that we have sent of what the packet acknowledges is acknowledged. The timers of the stack run
//! for a while. After that the conversation is stalled. Each packet is fed once. A step that changes nothing ends the
//! replay with a verdict.

use super::feed::{Gate, Mapping, PacketPart, gates};
use super::program::FOR_EVER;
use super::run::{BEHIND, Ending, Observers, Played, Run, Setup};
use crate::conversation::{DataKind, Side};
use crate::recording::{Recorded, place};
use crate::segment::{Flags, Options, SegmentTemplate, default_mss};
use crate::time::{Duration, Instant};

/// An acknowledgment of everything that we sent is fed after this time, even if a program will send more: a delayed
/// ACK.
const DELAYED_ACK: Duration = Duration::from_millis(200);
/// How long the timers of the stack may run when no other step is possible.
const TIMERS: Duration = Duration::from_secs(5);
/// The replay ends after this time without a step after the last packet. It is longer than any delayed ACK and shorter
/// than any retransmission timeout.
const QUIET: Duration = Duration::from_millis(500);

/// The result of trying the next packet.
enum Feeding {
    /// It was fed, or a part of it.
    Fed,
    /// It is due later.
    At(Instant),
    Blocked(Blocked),
    /// There is none.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocked {
    /// It acknowledges what we have not sent.
    Ack,
    /// We should have sent something before.
    Order,
    /// It is beyond our window.
    Window,
}

struct Feeder<'a> {
    run: Run<'a>,
    gates: Vec<Gate>,
    /// The next packet to be fed.
    next: usize,
    /// How much of its sequence space has been fed.
    offset: u32,
    /// It need not wait for what we should have sent.
    out_of_order: bool,
    blocked_since: Option<Instant>,
    /// The last split acknowledgment: the place that it acknowledged, and the edge of its window.
    last_split: (u32, u32),
    split_acks: u32,
    split_segments: u32,
}

/// What a step must change, or the replay is over.
#[derive(PartialEq, Eq)]
struct Position {
    now: Instant,
    next: usize,
    offset: u32,
    sent: usize,
    out_of_order: bool,
    last_split: (u32, u32),
}

/// Replays a conversation to its end.
pub(super) fn play(setup: Setup<'_>, observers: &Observers) -> Played {
    let gates = gates(setup.recording, setup.facts, setup.ours);
    let limit = 20_000 + 200 * setup.recording.packets.len() + setup.recording.bytes.len() / 100;
    let mut run = Run::new(setup, observers);
    run.begin();
    let mut feeder = Feeder {
        run,
        gates,
        next: 0,
        offset: 0,
        out_of_order: false,
        blocked_since: None,
        last_split: (0, 0),
        split_acks: 0,
        split_segments: 0,
    };
    let ending = feeder.play(limit);
    let Feeder { run, split_acks, split_segments, .. } = feeder;
    run.finish(ending, split_acks, split_segments)
}

impl<'a> Feeder<'a> {
    fn play(&mut self, limit: usize) -> Ending {
        let mut before = None;
        for _ in 0..limit {
            self.run.steps += 1;
            if let Some(ending) = self.step() {
                return ending;
            }
            if let Some(text) = self.run.gave_up.take() {
                return self.stalled(text);
            }
            let position = self.position();
            if before.as_ref() == Some(&position) {
                return self.stalled("something to change: nothing does".to_owned());
            }
            before = Some(position);
        }
        self.stalled(format!("an end: {limit} steps were not enough"))
    }

    fn position(&self) -> Position {
        Position {
            now: self.run.now(),
            next: self.next,
            offset: self.offset,
            sent: self.run.live.emitted.len(),
            out_of_order: self.out_of_order,
            last_split: self.last_split,
        }
    }

    fn step(&mut self) -> Option<Ending> {
        self.run.run_now();
        match self.try_feed() {
            Feeding::Fed => {
                self.blocked_since = None;
                None
            }
            Feeding::At(due) => {
                let next = self.run.next_at().map_or(due, |at| at.min(due));
                self.run.run_to(next);
                None
            }
            Feeding::Blocked(how) => self.blocked(how),
            Feeding::Done => self.quiet(),
        }
    }

    fn packet(&self) -> Option<&'a Recorded> {
        self.gates.get(self.next).map(|gate| &self.run.setup.recording.packets[gate.packet])
    }

    fn try_feed(&mut self) -> Feeding {
        let Some(packet) = self.packet() else { return Feeding::Done };
        let gate = self.gates[self.next];
        let due = self.run.setup.start + packet.at;
        if self.run.now() < due {
            return Feeding::At(due);
        }
        let live = &self.run.live;
        let (numbered, derived) = (live.iss.is_some(), self.run.is_derived());
        // After an RST of ours our side sends nothing more.
        let reset = live.reset;
        if !reset && live.sent < gate.acked || (packet.has(Flags::ACK) && !numbered && !packet.has(Flags::RST)) {
            return Feeding::Blocked(Blocked::Ack);
        }
        if !reset && derived && !self.out_of_order && live.sent < gate.sent {
            return Feeding::Blocked(Blocked::Order);
        }
        if self.run.feed_unseen(packet) {
            self.run.fed.push(packet.number);
            self.next += 1;
            return Feeding::Fed;
        }
        let live = &self.run.live;
        let Some(part) = self.next_part(packet) else { return Feeding::Blocked(Blocked::Window) };
        let template = self.run.mapping.part(packet, part, live, self.run.ends());
        self.run.feed(&template);
        if part.last {
            self.run.fed.push(packet.number);
            self.split_segments += u32::from(part.from > 0);
            (self.next, self.offset, self.out_of_order) = (self.next + 1, 0, false);
        } else {
            self.offset = part.to;
        }
        Feeding::Fed
    }

    /// As much of a packet as our MSS and our window allow. `None` if the window is closed.
    fn next_part(&self, packet: &Recorded) -> Option<PacketPart> {
        let len = Mapping::len(packet);
        let (syn, fin) = (u32::from(packet.has(Flags::SYN)), u32::from(packet.has(Flags::FIN)));
        let text = packet.payload.len() as u32;
        let from = self.offset;
        if text == 0 || packet.has(Flags::RST) || !packet.is_acceptable() {
            return Some(PacketPart { from, to: len, last: true });
        }
        // The stack takes no data from a SYN.
        if from == 0 && syn == 1 {
            return Some(PacketPart { from: 0, to: 1, last: false });
        }
        let live = &self.run.live;
        let least = default_mss(self.run.ends().0.ip());
        let mss = u32::from(live.offer.and_then(|offer| offer.mss).unwrap_or(least)).max(1);
        let mut to = (from + mss).min(syn + text);
        let probes = matches!(packet.kind, DataKind::Probe | DataKind::KeepAlive);
        let start = place(packet.seq, live.irs);
        if !probes && start + to > live.fed {
            to = to.min(live.own_edge.saturating_sub(start));
            if to <= from {
                return None;
            }
        }
        let last = to == syn + text;
        Some(PacketPart { from, to: if last { to + fin } else { to }, last })
    }

    fn blocked(&mut self, how: Blocked) -> Option<Ending> {
        let now = self.run.now();
        let since = *self.blocked_since.get_or_insert(now);
        let wakes = self.run.wakes_at();
        let timer = self.run.next_at();
        match how {
            Blocked::Order => {
                match wakes.filter(|at| *at <= since + TIMERS) {
                    Some(at) => self.run.run_to(timer.map_or(at, |timer| timer.min(at))),
                    None => self.out_of_order = true,
                }
                return None;
            }
            Blocked::Ack => {
                let patient = wakes.map(|at| at.min(since + DELAYED_ACK)).filter(|at| *at > now);
                if let Some(at) = patient {
                    self.run.run_to(timer.map_or(at, |timer| timer.min(at)));
                    return None;
                }
                if self.split_ack() {
                    return None;
                }
            }
            Blocked::Window => {}
        }
        let next = timer.into_iter().chain(wakes).min();
        if let Some(at) = next.filter(|at| *at <= since + TIMERS || wakes.is_some_and(|wakes| *at <= wakes)) {
            self.run.run_to(at);
            return None;
        }
        Some(self.stalled(self.waited_for(how)))
    }

    /// Acknowledges the part that we have sent of what the packet acknowledges, with the remaining window. False if
    /// that is not new.
    fn split_ack(&mut self) -> bool {
        let (Some(packet), live) = (self.packet(), &self.run.live) else { return false };
        let gate = self.gates[self.next];
        let shift = live.conversation.window_shift(Side::Remote);
        let edge = gate.acked.saturating_add(u32::from(packet.window) << shift);
        // Rounded to what the window field can hold.
        let edge = live.sent + (edge.saturating_sub(live.sent) >> shift << shift);
        // The same acknowledgment and window would be the same packet again.
        let says_more = live.sent > self.last_split.0 || edge > self.last_split.1;
        let news = says_more && (live.sent > live.acked || edge > live.peer_edge());
        if live.iss.is_none() || live.sent <= 1 || live.fed == 0 || packet.has(Flags::SYN | Flags::RST) || !news {
            return false;
        }
        let window = u16::try_from(edge.saturating_sub(live.sent) >> shift).unwrap_or(u16::MAX);
        let (ours, theirs) = self.run.ends();
        let whole = PacketPart { from: 0, to: 0, last: true };
        let options = self.run.mapping.part(packet, whole, live, (ours, theirs)).options;
        let template = SegmentTemplate {
            seq: live.irs + live.fed,
            ack: live.iss.unwrap_or_default() + live.sent,
            window,
            options: Options { sack: Default::default(), ..options },
            ..SegmentTemplate::new(theirs, ours)
        };
        self.split_acks += 1;
        self.last_split = (live.sent, edge);
        self.run.feed(&template);
        true
    }

    fn waited_for(&self, how: Blocked) -> String {
        let (live, gate) = (&self.run.live, self.gates[self.next]);
        let Some(packet) = self.packet() else { return String::new() };
        match how {
            Blocked::Window => format!(
                "our window to open: it ends at {}, the packet at {}",
                live.own_edge,
                place(packet.seq, live.irs) + Mapping::len(packet)
            ),
            _ if live.sent == 0 => "our SYN".to_owned(),
            _ if gate.acked == 1 => "our SYN|ACK".to_owned(),
            _ => format!("data of ours: it acknowledges up to {}, we have sent up to {}", gate.acked, live.sent),
        }
    }

    fn stalled(&self, waited: String) -> Ending {
        let packets = &self.run.setup.recording.packets;
        let packet = self.packet().or(packets.last()).map_or(0, |packet| packet.number);
        Ending::Stalled { packet, waited }
    }

    /// Everything is fed: waits for the rest of our side.
    fn quiet(&mut self) -> Option<Ending> {
        let wakes = self.run.wakes_at();
        let until = self.run.live.last_at + QUIET;
        match self.run.next_at() {
            Some(at) if at <= until || wakes.is_some_and(|wakes| at <= wakes) => {
                self.run.run_to(at);
                None
            }
            _ => Some(Ending::Finished),
        }
    }
}

const _: () = assert!(FOR_EVER.as_secs() > BEHIND.as_secs());
