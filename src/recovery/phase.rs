//! The phases of recovery: how fast recovery begins, how recovery ends, and how it is undone. Called for each ACK and
//! by the timers; the rules that decide are in [`undo`](super::undo), [`frto`](super::frto) and [`prr`](super::prr).

use super::ack::Delivery;
use super::frto::{Frto, FrtoAck};
use super::newreno::NewReno;
use super::prr::{Prr, PrrAck};
use super::{AckInfo, Phase, Recovery, UndoReason};
use crate::congestion::{Controller, Signal};
use crate::time::Instant;

impl Recovery {
    /// Undoes the last congestion event if it was none.
    pub(super) fn try_undo(
        &mut self,
        now: Instant,
        ack: &AckInfo<'_>,
        advanced: bool,
        duplicate: bool,
        delivery: &Delivery,
        controller: &mut dyn Controller,
    ) -> Option<UndoReason> {
        let held = self.trouble.frto.holds_retransmissions();
        let (recovery_point, loss_at) = (self.trouble.recovery_point, self.trouble.loss_at);
        let spurious_timeout = self.phase == Phase::Loss
            && self.trouble.frto.on_ack(&FrtoAck {
                advanced,
                covers_recover: ack.ack >= recovery_point,
                // Text that left before the timeout and was not sent again.
                delivers_original: delivery.first_sent_at.is_some_and(|at| at <= loss_at),
                duplicate,
                sack: self.config.sack,
                unsent: ack.unsent,
            });
        // RFC 5682, section 2.1, step 3a: conventional recovery goes on, with the new segments in flight besides.
        self.forced |= held && !spurious_timeout && !self.trouble.frto.holds_retransmissions();
        let reason = if spurious_timeout {
            UndoReason::Frto
        } else if self.config.undo {
            let (board, began_at) = (&self.board, self.trouble.undo.began_at()?);
            self.trouble.undo.verdict(|| board.resent_since(began_at))?
        } else {
            return None;
        };
        self.trouble.undo.end();
        self.trouble.counters.undos += 1;
        self.rack.on_spurious_retransmission();
        self.rack.on_undo();
        controller.undo(now);
        self.board.unmark_waiting();
        self.rto.end_back_off();
        self.leave_recovery();
        Some(reason)
    }

    /// Ends recovery once SND.UNA has reached the recovery point (RFC 6675, section 5; RFC 6582, section 3.2, step 3).
    pub(super) fn try_end(&mut self, now: Instant, controller: &mut dyn Controller) -> bool {
        if let Some(point) = self.trouble.cwr_point
            && self.snd_una() >= point
        {
            self.trouble.cwr_point = None;
            controller.on_recovery_end(now, u64::MAX);
        }
        if !self.is_recovering() || self.snd_una() < self.trouble.recovery_point {
            return false;
        }
        let cap = if self.config.sack || self.phase == Phase::Loss {
            u64::MAX
        } else {
            NewReno::exit_cap(self.board.totals().outstanding, u64::from(self.mss))
        };
        self.rack.on_recovery_end();
        controller.on_recovery_end(now, cap);
        self.leave_recovery();
        true
    }

    fn leave_recovery(&mut self) {
        self.phase = Phase::Open;
        self.forced = false;
        self.trouble.prr = None;
        self.trouble.frto = Frto::Off;
        self.trouble.newreno.reset_dup_acks();
    }

    /// Fast recovery begins. `delivered`: charged bytes that the ACK delivered which begins it.
    pub(super) fn begin_recovery(&mut self, now: Instant, delivered: u64, controller: &mut dyn Controller) -> bool {
        if self.is_recovering() {
            return false;
        }
        let totals = *self.board.totals();
        self.phase = Phase::Recovery;
        self.trouble.recovery_point = self.snd_nxt();
        self.trouble.counters.recoveries += 1;
        self.trouble.tlp.cancel();
        self.probe = None;
        self.pto_at = None;
        let (start, end) = (self.snd_una(), self.snd_nxt());
        self.trouble.undo.begin(now, start, end, self.last_new_at, totals.retransmitted_units);
        // RFC 3168, section 6.1.2: one reaction in a window of data, to a mark or to a loss.
        if self.trouble.cwr_point.take().is_none() {
            controller.on_congestion(&self.congestion(now, Signal::Loss, controller));
        }
        // Without PRR pipe may be above cwnd. RFC 6675, section 5, step 4.3: "Retransmit the first data segment
        // presumed dropped".
        self.forced = true;
        if !self.config.sack {
            self.trouble.newreno.on_recovery(end, controller.ssthresh(), u64::from(self.mss));
        } else if self.config.prr && !controller.governs_recovery() {
            // RFC 9937, section 6.1: what had been SACKed before this ACK had left the network before.
            let recover_fs = (totals.outstanding + delivered).saturating_sub(totals.sacked);
            // ACKs since the last turn delivered this before; each would have let something go.
            let before = (self.rate.delivered() - self.turn.delivered).saturating_sub(delivered);
            let mut prr = Prr::new(recover_fs, before, controller.ssthresh());
            // By RACK's timer recovery begins without an ACK; the fast retransmit may go all the same.
            prr.on_ack(PrrAck { delivered: 0, pipe: totals.pipe, safe: false }, u64::from(self.mss));
            self.trouble.prr = Some(prr);
            self.forced = false;
        }
        true
    }

    /// RFC 3168, section 6.1.2: the peer echoes a mark. A reduction at once; the flight shrinks as ACKs come.
    /// Linux uses PRR here too.
    pub(super) fn on_ece(&mut self, now: Instant, controller: &mut dyn Controller) {
        if self.is_recovering() || self.trouble.cwr_point.is_some() || self.board.is_empty() {
            return;
        }
        self.trouble.cwr_point = Some(self.snd_nxt());
        controller.on_congestion(&self.congestion(now, Signal::Ecn, controller));
    }
}
