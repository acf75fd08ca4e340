//! Recovery as a whole: rules of the RFCs with scripted ACKs, random histories, and the figures that it must reach.

mod figures;
mod probes;
mod properties;
mod rules;
mod undo;

use super::*;
use crate::congestion::{AckSample, CongestionSample, Signal};
use crate::segment::SackBlock;

const MSS: u32 = 1_000;

/// A controller that keeps cwnd where the test puts it, halves it for a loss, and records what it is told.
#[derive(Debug)]
struct Recorder {
    cwnd: u64,
    ssthresh: u64,
    saved: u64,
    signals: Vec<Signal>,
    events: Vec<&'static str>,
    acks: Vec<AckSample>,
}

impl Controller for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn cwnd(&self) -> u64 {
        self.cwnd
    }

    fn ssthresh(&self) -> u64 {
        self.ssthresh
    }

    fn on_ack(&mut self, ack: &AckSample) {
        self.acks.push(*ack);
    }

    fn on_congestion(&mut self, congestion: &CongestionSample) {
        self.signals.push(congestion.signal);
        self.saved = self.saved.max(self.cwnd);
        self.ssthresh = congestion.flight_size / 2;
        self.cwnd = if matches!(congestion.signal, Signal::Timeout { .. }) { u64::from(MSS) } else { self.ssthresh };
    }

    fn on_recovery_end(&mut self, _now: Instant, cap: u64) {
        self.events.push("end");
        self.cwnd = self.cwnd.min(cap);
    }

    fn on_idle_restart(&mut self, _now: Instant) {
        self.events.push("idle");
    }

    fn undo(&mut self, _now: Instant) {
        self.events.push("undo");
        self.cwnd = self.saved;
    }

    fn set_mss(&mut self, _mss: u64) {}
}

/// One sender and scripted ACKs. Sequence numbers start at 0 and are given in segments of 1,000 bytes.
struct Fixture {
    recovery: Recovery,
    controller: Recorder,
    now: Instant,
    clock: TsClock,
    unsent: bool,
}

impl Fixture {
    /// RTT 100 ms, cwnd of `cwnd` segments.
    fn new(cwnd: u64, change: impl FnOnce(&mut RecoveryConfig)) -> Self {
        let mut config = RecoveryConfig::default();
        change(&mut config);
        let clock = TsClock::new(0, Duration::from_millis(1));
        let mut recovery = Recovery::new(config, MSS, Seq(0), Instant::EPOCH);
        recovery.on_handshake(Instant::EPOCH, Some(Duration::from_millis(100)), false);
        let cwnd = cwnd * u64::from(MSS);
        let controller =
            Recorder { cwnd, ssthresh: u64::MAX, saved: 0, signals: Vec::new(), events: Vec::new(), acks: Vec::new() };
        Self { recovery, controller, now: Instant::EPOCH, clock, unsent: true }
    }

    fn sack(cwnd: u64) -> Self {
        Self::new(cwnd, |_| {})
    }

    fn no_sack(cwnd: u64) -> Self {
        Self::new(cwnd, |config| config.sack = false)
    }

    fn timestamps(cwnd: u64) -> Self {
        Self::new(cwnd, |config| config.timestamps = Some(TsClock::new(0, Duration::from_millis(1))))
    }

    fn at(&mut self, millis: u64) -> &mut Self {
        self.now = Instant::from_millis(millis);
        self
    }

    /// Sends what may leave: first retransmissions, then at most `new` new segments. Returns what left, by number of
    /// the segment, and why.
    fn send(&mut self, new: usize) -> Vec<(u32, Reason)> {
        let mut left = Vec::new();
        while let Some(Resend { range, reason }) = self.recovery.poll_resend(&self.controller) {
            self.leave(range, reason);
            left.push((range.seq.0 / MSS, reason));
        }
        for _ in 0..new {
            if self.recovery.allowance(self.now, &mut self.controller) < u64::from(MSS) {
                break;
            }
            let (seq, reason) = (self.recovery.snd_nxt(), self.recovery.new_text_reason());
            self.leave(SentRange { seq, text: MSS, syn: false, fin: false }, reason);
            left.push((seq.0 / MSS, reason));
        }
        self.recovery.on_turn(&self.controller);
        left
    }

    fn leave(&mut self, range: SentRange, reason: Reason) {
        let sent = Sent { seq: range.seq, text: range.text, syn: range.syn, fin: range.fin, reason };
        self.recovery.on_sent(self.now, &sent, &mut self.controller);
    }

    fn new_only(&mut self, new: usize) -> Vec<u32> {
        self.send(new).into_iter().filter(|(_, reason)| *reason == Reason::New).map(|(number, _)| number).collect()
    }

    fn ack(&mut self, ack: u32, sack: &[(u32, u32)]) -> Outcome {
        self.ack_with(ack, sack, None)
    }

    /// An ACK that echoes the `TSval` of `echo` milliseconds.
    fn ack_with(&mut self, ack: u32, sack: &[(u32, u32)], echo: Option<u64>) -> Outcome {
        let sack: Vec<_> =
            sack.iter().map(|&(left, right)| SackBlock { left: Seq(left * MSS), right: Seq(right * MSS) }).collect();
        let info = AckInfo {
            ack: Seq(ack * MSS),
            sack: &sack,
            ts_ecr: echo.map(|millis| self.clock.at(Instant::from_millis(millis))),
            text: false,
            window_changed: false,
            unsent: self.unsent,
            ece: false,
        };
        let outcome = self.recovery.on_ack(self.now, &info, &mut self.controller);
        assert_eq!(*self.recovery.board().totals(), scoreboard::tests::recount(self.recovery.board()));
        outcome
    }

    /// Lets the next timer expire at its time.
    #[track_caller]
    fn expire(&mut self) -> (u64, Timer) {
        let (at, timer) = self.recovery.next_at().expect("a timer runs");
        self.now = at;
        assert_eq!(self.recovery.on_timeout(at, self.unsent, &mut self.controller), Some(timer));
        (at.as_millis(), timer)
    }
}
