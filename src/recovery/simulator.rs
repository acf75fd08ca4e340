//! A simulator of packets for the tests: a sender made of [`Recovery`] and a controller, a receiver, and a link each
//! way. It checks on every step what must always hold: `pipe` equals a naive recount, SND.UNA <= SND.NXT, what is in
//! flight does not exceed what the controller allows, and nothing that was `SACKed` is sent again.

pub(crate) mod link;
pub(crate) mod receiver;

use std::collections::BTreeMap;

use super::scoreboard::Marks;
use super::{AckInfo, Phase, Reason, Recovery, RecoveryConfig, Resend, Sent, Timer, TsClock};
use crate::congestion::{Controller, Setup, by_name, charge};
use crate::segment::{SackBlock, Seq};
use crate::time::{Duration, Instant};
use link::Link;
use receiver::Receiver;

#[derive(Clone, Debug)]
pub(crate) struct DataSegment {
    pub(crate) seq: Seq,
    pub(crate) text: u32,
    pub(crate) fin: bool,
    pub(crate) ts_val: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct AckSegment {
    pub(crate) ack: Seq,
    pub(crate) sack: Vec<SackBlock>,
    pub(crate) ts_ecr: Option<u32>,
}

#[derive(Debug)]
enum Event {
    Data(DataSegment),
    Ack(AckSegment),
}

/// What a run is made of.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) controller: &'static str,
    pub(crate) mss: u32,
    pub(crate) iss: u32,
    pub(crate) timestamps: bool,
    pub(crate) config: RecoveryConfig,
    /// Bytes to send, then a FIN; `None` without an end.
    pub(crate) bytes: Option<u64>,
    /// The receive window, in bytes.
    pub(crate) window: u32,
    /// Text in each segment; the MSS if larger.
    pub(crate) write: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            controller: "reno",
            mss: 1_448,
            iss: u32::MAX - 100_000,
            timestamps: true,
            config: RecoveryConfig::default(),
            bytes: None,
            window: 4 << 20,
            write: u32::MAX,
        }
    }
}

/// A connection over two links.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) recovery: Recovery,
    pub(crate) controller: Box<dyn Controller>,
    pub(crate) receiver: Receiver,
    pub(crate) forward: Link,
    pub(crate) backward: Link,
    options: Options,
    clock: TsClock,
    start: Seq,
    unsent: Option<u64>,
    fin_sent: bool,
    events: BTreeMap<(Instant, u64), Event>,
    number: u64,
    /// Reasons of all transmissions of old text.
    pub(crate) resent: Vec<(Instant, Resend)>,
    pub(crate) sent: u64,
    pub(crate) max_cwnd: u64,
    check: bool,
}

impl World {
    pub(crate) fn new(options: Options, forward: Link, backward: Link) -> Self {
        let start = Seq(options.iss);
        let clock = TsClock::new(4_000_000_000, Duration::from_millis(1));
        let config = RecoveryConfig { timestamps: options.timestamps.then_some(clock), ..options.config.clone() };
        let now = Instant::from_secs(1);
        let mut recovery = Recovery::new(config, options.mss, start, now);
        // The handshake gave a sample, as it does in a host.
        recovery.on_handshake(now, Some(forward.delay + backward.delay), false);
        let setup = Setup::new(u64::from(options.mss), now);
        let controller = by_name(options.controller).expect("a controller of this name").controller(&setup);
        let mut receiver = Receiver::new(start, options.mss);
        receiver.timestamps = options.timestamps;
        receiver.ts_recent = clock.at(now);
        receiver.sack = options.config.sack;
        Self {
            now,
            recovery,
            controller,
            receiver,
            forward,
            backward,
            clock,
            start,
            unsent: options.bytes,
            fin_sent: false,
            events: BTreeMap::new(),
            number: 0,
            resent: Vec::new(),
            sent: 0,
            max_cwnd: 0,
            check: true,
            options,
        }
    }

    /// Without the costly checks.
    pub(crate) fn unchecked(mut self) -> Self {
        self.check = false;
        self
    }

    /// Bytes that the receiver has in order.
    pub(crate) fn received(&self) -> u32 {
        self.receiver.rcv_nxt - self.start
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.fin_sent && self.recovery.snd_una() == self.recovery.snd_nxt()
    }

    /// Runs up to `end`, or until the FIN is `ACKed`.
    pub(crate) fn run_until(&mut self, end: Instant) {
        self.transmit();
        while !self.is_finished() {
            let event = self.events.first_key_value().map(|(&(at, _), _)| at);
            let timer = self.recovery.next_at().map(|(at, _)| at);
            let Some(at) = [event, self.receiver.ack_at, timer].into_iter().flatten().min() else { break };
            if at > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(at);
            if event == Some(at) {
                if let Some((_, event)) = self.events.pop_first() {
                    self.handle(event);
                }
            } else if self.receiver.ack_at == Some(at) {
                let ack = self.receiver.ack(self.now, None);
                self.send_ack(&ack);
            } else {
                let unsent = self.can_send_new();
                while self.recovery.on_timeout(self.now, unsent, &mut *self.controller).is_some() {}
                self.transmit();
            }
            self.verify();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Data(data) => {
                if let Some(ack) = self.receiver.handle_data(self.now, &data) {
                    self.send_ack(&ack);
                }
            }
            Event::Ack(ack) => {
                let info = AckInfo {
                    ack: ack.ack,
                    sack: &ack.sack,
                    ts_ecr: ack.ts_ecr,
                    text: false,
                    window_changed: false,
                    unsent: self.can_send_new(),
                    ece: false,
                };
                self.recovery.on_ack(self.now, &info, &mut *self.controller);
                self.transmit();
            }
        }
    }

    fn send_ack(&mut self, ack: &AckSegment) {
        for at in self.backward.send(self.now, 64) {
            self.schedule(at, Event::Ack(ack.clone()));
        }
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        self.number += 1;
        self.events.insert((at, self.number), event);
    }

    fn can_send_new(&self) -> bool {
        let open = self.recovery.flight_size() < self.options.window;
        open && (self.unsent.is_none_or(|left| left > 0) || !self.fin_sent)
    }

    fn transmit(&mut self) {
        self.transmit_all();
        self.recovery.on_turn(&*self.controller);
    }

    fn transmit_all(&mut self) {
        while let Some(resend) = self.recovery.poll_resend(&*self.controller) {
            self.verify_resend(&resend);
            self.resent.push((self.now, resend));
            self.send(resend.range.seq, resend.range.text, resend.range.fin, resend.reason);
        }
        loop {
            let allowance = self.recovery.allowance(self.now, &mut *self.controller);
            let left = self.unsent.unwrap_or(u64::MAX);
            let room = self.options.window.saturating_sub(self.recovery.flight_size());
            let text = u64::from(self.options.mss.min(self.options.write).min(room)).min(left) as u32;
            let fin = self.unsent.is_some() && u64::from(text) == left && text < room && !self.fin_sent;
            if text == 0 && !fin {
                if room > 0 {
                    self.recovery.on_app_limited(&*self.controller);
                }
                break;
            }
            if allowance < charge(u64::from(text), u64::from(self.options.mss)) {
                break;
            }
            let reason = self.recovery.new_text_reason();
            let seq = self.recovery.snd_nxt();
            let prior = self.recovery.pipe();
            let limit = prior + allowance;
            self.send(seq, text, fin, reason);
            assert!(self.recovery.pipe() <= limit, "in flight more than the controller allows");
            if let Some(unsent) = &mut self.unsent {
                *unsent -= u64::from(text);
            }
            self.fin_sent |= fin;
        }
        self.max_cwnd = self.max_cwnd.max(self.controller.cwnd());
    }

    fn send(&mut self, seq: Seq, text: u32, fin: bool, reason: Reason) {
        let sent = Sent { seq, text, syn: false, fin, reason };
        self.recovery.on_sent(self.now, &sent, &mut *self.controller);
        self.sent += 1;
        let data = DataSegment { seq, text, fin, ts_val: self.clock.at(self.now) };
        for at in self.forward.send(self.now, u64::from(text) + 52) {
            self.schedule(at, Event::Data(data.clone()));
        }
    }

    fn verify_resend(&self, resend: &Resend) {
        let end = resend.range.seq + (resend.range.text + u32::from(resend.range.fin));
        for unit in self.recovery.board().units() {
            if unit.seq < end && resend.range.seq < unit.end() {
                assert!(!unit.is_sacked(), "{resend:?} sends again what was SACKed");
            }
        }
        if resend.reason != Reason::Tlp && resend.reason != Reason::Rto && self.options.config.sack {
            let window = self.recovery.window(&*self.controller);
            let forced = self.recovery.phase() == Phase::Recovery;
            assert!(
                forced
                    || self.recovery.pipe() + u64::from(self.options.mss) <= window.max(1)
                    || !self.options.config.prr
            );
        }
    }

    fn verify(&self) {
        if !self.check {
            return;
        }
        let board = self.recovery.board();
        assert!(board.snd_una() <= board.snd_nxt());
        assert_eq!(*board.totals(), super::scoreboard::tests::recount(board));
        assert!(self.recovery.snd_una() <= self.receiver.rcv_nxt);
        let mut next = board.snd_una();
        for unit in board.units() {
            assert_eq!(unit.seq, next, "the units cover SND.UNA to SND.NXT");
            next = unit.end();
            assert!(!unit.marks.has(Marks::SACKED.with(Marks::LOST)));
        }
        assert_eq!(next, board.snd_nxt());
        let something = self.recovery.next_at().is_some();
        assert_eq!(something, !board.is_empty(), "a timer runs while something is outstanding");
        if let Some((_, timer)) = self.recovery.next_at() {
            assert!(timer <= Timer::Rto);
        }
    }
}
