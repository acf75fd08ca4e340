//! The three timers of loss recovery: RACK's reordering timer, the probe timer (RFC 8985) and the retransmission timer
//! (RFC 6298).

use super::frto::Frto;
use super::{Phase, Probe, Reason, Recovery};
use crate::congestion::{CongestionSample, Controller, Signal};
use crate::time::Instant;

/// A timer of loss recovery. At equal deadlines they expire in this order, after the delayed ACK's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The reordering window has passed (RFC 8985, section 6.2, step 5).
    Rack,
    /// No ACK came for the probe timeout (RFC 8985, section 7.2).
    Tlp,
    /// The retransmission timeout (RFC 6298, section 5).
    Rto,
}

impl Recovery {
    /// The earliest deadline and its timer.
    pub fn next_at(&self) -> Option<(Instant, Timer)> {
        let mut next: Option<(Instant, Timer)> = None;
        for (at, timer) in [(self.rack_at, Timer::Rack), (self.pto_at, Timer::Tlp), (self.rto_at, Timer::Rto)] {
            if let Some(at) = at
                && next.is_none_or(|(earliest, _)| at < earliest)
            {
                next = Some((at, timer));
            }
        }
        next
    }

    /// The earliest deadline.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        Instant::earliest([self.rack_at, self.pto_at, self.rto_at])
    }

    /// Handles the next timer that has expired at `now`; `None` if none has. `unsent`: there is text that was never
    /// sent and that the peer's window admits. Call it until it returns `None`, then poll what may leave.
    pub fn on_timeout(&mut self, now: Instant, unsent: bool, controller: &mut dyn Controller) -> Option<Timer> {
        let (_, timer) = self.next_at().filter(|&(at, _)| at <= now)?;
        match timer {
            Timer::Rack => {
                self.rack_at = None;
                if self.detect_loss(now, true, controller) > 0 {
                    self.begin_recovery(now, 0, controller);
                }
            }
            Timer::Tlp => self.on_pto(now, unsent),
            Timer::Rto => self.on_rto(now, controller),
        }
        Some(timer)
    }

    /// RFC 8985, section 7.3: "If a previously unsent segment exists AND the receive window allows new data to be sent:
    /// Transmit the lowest-sequence unsent segment of up to SMSS; Else: Retransmit the highest-sequence segment sent so
    /// far".
    fn on_pto(&mut self, now: Instant, unsent: bool) {
        self.pto_at = None;
        if self.board.is_empty() {
            return;
        }
        self.probe = Some(if unsent && self.board.has_room() { Probe::New } else { Probe::Old });
        self.arm_rto(now);
    }

    fn on_rto(&mut self, now: Instant, controller: &mut dyn Controller) {
        self.rto_at = None;
        if self.board.is_empty() {
            return;
        }
        self.trouble.counters.timeouts += 1;
        let again = self.trouble.timed_out_at == Some(self.snd_una());
        self.trouble.timed_out_at = Some(self.snd_una());
        self.trouble.loss_at = now;

        // RFC 2018, section 8: the receiver may have reneged. SACK marks are kept otherwise, as RFC 6675, section 5.1
        // allows.
        if self.board.is_reneged() {
            self.trouble.counters.reneged += 1;
            self.board.on_reneging();
            self.trouble.undo.end();
        }
        // A new episode, unless the timeout interrupts a recovery: then undo goes back to what was before that.
        if !self.is_recovering() {
            let (start, end) = (self.snd_una(), self.snd_nxt());
            let in_flight = self.board.totals().retransmitted_units;
            self.trouble.undo.begin(now, start, end, self.last_new_at, in_flight);
        }
        if self.config.frto {
            // In fast recovery too: what is lost already does not become spurious with the timeout.
            let recovering = self.is_recovering();
            self.trouble.frto.on_timeout(recovering);
        } else {
            self.trouble.frto = Frto::Off;
        }
        self.mark_lost_on_rto(now, controller);
        // RFC 6298, section 5.5: "back off the timer"; section 5.6: start it.
        self.rto.back_off();
        self.arm_rto(now);

        self.phase = Phase::Loss;
        self.trouble.recovery_point = self.snd_nxt();
        self.trouble.prr = None;
        self.trouble.cwr_point = None;
        self.trouble.tlp.cancel();
        self.probe = None;
        self.pto_at = None;
        self.rack_at = None;
        let snd_nxt = self.snd_nxt();
        self.trouble.newreno.on_timeout(snd_nxt);
        self.forced = true;
        controller.on_congestion(&self.congestion(now, Signal::Timeout { again }, controller));
    }

    /// RFC 8985, section 6.3: with RACK the first unit is lost, and what left long enough ago. Without RACK, all that
    /// is outstanding (RFC 6675, section 5.1).
    fn mark_lost_on_rto(&mut self, now: Instant, controller: &mut dyn Controller) {
        let by_time = self.config.sack && self.config.rack;
        let reo_wnd = self.reo_wnd();
        for index in 0..self.board.units().len() {
            let lost = index == 0
                || !by_time
                || self.board.units().get(index).is_some_and(|unit| self.rack.is_overdue(now, unit, reo_wnd));
            if lost && let Some(lost) = self.board.mark_lost(index, Reason::Rto) {
                self.trouble.counters.lost += 1;
                controller.on_lost(&self.rate.on_lost(now, &lost));
            }
        }
    }

    /// The congestion event of now.
    pub(super) fn congestion(&self, now: Instant, signal: Signal, controller: &dyn Controller) -> CongestionSample {
        // What cwnd has grown by since the last turn would have left already.
        let flight = self.turn.flight + controller.cwnd().saturating_sub(self.turn.cwnd);
        CongestionSample {
            now,
            signal,
            flight_size: self.board.totals().outstanding.max(flight),
            pipe: self.pipe(),
            delivered: self.rate.delivered(),
            snd_nxt: self.snd_nxt(),
        }
    }
}
