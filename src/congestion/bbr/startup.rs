//! Startup, which doubles the rate each round until the pipe is full, and Drain, which empties the queue that came of
//! it (draft-ietf-ccwg-bbr-06, "Startup", "Drain").

use super::super::sample::{AckSample, RateSample};
use super::{Bbr, BbrState};

/// `BBRStartupFullLossCnt`: discontiguous ranges lost in a round before Startup ends for loss.
const STARTUP_FULL_LOSS_COUNT: u32 = 6;

/// The full pipe estimator ("Exiting Acceleration Based on Bandwidth Plateau").
#[derive(Debug, Default)]
pub(super) struct FullBandwidth {
    /// `BBR.full_bw_reached`: the pipe was full once in the life of the connection.
    pub(super) reached: bool,
    /// `BBR.full_bw_now`: it is full in this probe.
    pub(super) now: bool,
    /// `BBR.full_bw`: the baseline, in bytes per second.
    baseline: u64,
    /// `BBR.full_bw_count`: rounds without much growth.
    count: u32,
}

impl FullBandwidth {
    /// `ResetFullBW`, with a new baseline.
    pub(super) fn reset(&mut self, baseline: u64) {
        self.now = false;
        self.count = 0;
        self.baseline = baseline;
    }
}

impl Bbr {
    /// `CheckFullBWReached`.
    pub(super) fn check_full_bw_reached(&mut self, rate: &RateSample, rate_now: u64) {
        if self.full_bw.now || !self.path.round_start || rate.app_limited {
            return;
        }
        // "if (RS.delivery_rate >= BBR.full_bw * 1.25)": it still grows.
        if rate_now >= self.full_bw.baseline.saturating_mul(5) / 4 {
            self.full_bw.reset(rate_now);
            return;
        }
        self.full_bw.count += 1;
        self.full_bw.now = self.full_bw.count >= 3;
        self.full_bw.reached |= self.full_bw.now;
    }

    /// `CheckStartupDone`, with `CheckStartupHighLoss` ("Exiting Startup Based on Packet Loss").
    pub(super) fn check_startup_done(&mut self, rate: &RateSample) {
        if self.state != BbrState::Startup {
            return;
        }
        if self.path.loss_round_start {
            // "in fast recovery for at least one full packet-timed round trip": the round began with the first loss.
            let lossy = if self.sack {
                self.loss_ranges >= STARTUP_FULL_LOSS_COUNT && self.is_inflight_too_high(rate.lost, rate.tx_in_flight)
            } else {
                self.path.is_loss_in_round
            };
            if self.recovering && lossy && !self.full_bw.reached {
                self.leave_for_loss(BbrState::Startup);
                self.full_bw.reached = true;
                self.full_bw.now = true;
                // "max(BBR.bdp, BBR.inflight_latest)".
                self.cycle.inflight_longterm = self.bdp_multiple(100).max(self.path.inflight_latest);
            }
            self.forget_losses();
        }
        if self.full_bw.reached {
            self.state = BbrState::Drain;
            self.drain_start_round = self.path.round_count;
            self.path.start_round();
        }
    }

    /// `CheckDrainDone` ("Drain").
    pub(super) fn check_drain_done(&mut self, ack: &AckSample) {
        let overdue = self.path.round_count > self.drain_start_round + 3;
        if self.state == BbrState::Drain && (ack.pipe <= self.inflight(100) || overdue) {
            self.start_probe_bw_down(ack.now);
        }
    }
}
