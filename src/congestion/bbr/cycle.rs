//! `ProbeBW`: the cycle of four states that probes for more bandwidth, and the long-term bound of the flight that
//! excess loss sets (draft-ietf-ccwg-bbr-06, "`ProbeBW`", "Probing for Bandwidth In `ProbeBW`").

use super::super::sample::{AckSample, LostSample, RateSample};
use super::path::beta;
use super::{Bbr, BbrState, INFINITY, LOSS_THRESH_INVERSE};
use crate::time::{Duration, Instant};

/// `BBR.Headroom`: 0.15 of the long-term bound is left free.
const HEADROOM_PERCENT: u64 = 15;
/// `T_reno_bound`: 62 or 63 rounds ("A Dual-Time-Scale Approach for Coexistence").
const RENO_ROUNDS: u64 = 63;

/// `BBR.ack_phase`: what the ACKs that come in tell about the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckPhase {
    Init,
    Refilling,
    ProbeStarting,
    ProbeFeedback,
    ProbeStopping,
}

/// "`ProbeBW` State".
#[derive(Debug)]
pub(super) struct Cycle {
    /// `BBR.inflight_longterm`, in charged bytes.
    pub(super) inflight_longterm: u64,
    pub(super) ack_phase: AckPhase,
    /// `BBR.is_bw_probe_sample`.
    is_bw_probe_sample: bool,
    probe_up_acked_per_inc: u64,
    bw_probe_up_acked: u64,
    bw_probe_up_rounds: u32,
    pub(super) rounds_since_probe_up: u64,
    bw_probe_wait: Duration,
    /// `BBR.cycle_stamp`.
    started: Instant,
    prev_probe_too_high: bool,
    prev_probe_precautionary: bool,
}

impl Cycle {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            inflight_longterm: INFINITY,
            ack_phase: AckPhase::Init,
            is_bw_probe_sample: false,
            probe_up_acked_per_inc: INFINITY,
            bw_probe_up_acked: 0,
            bw_probe_up_rounds: 0,
            rounds_since_probe_up: 0,
            bw_probe_wait: Duration::ZERO,
            started: now,
            prev_probe_too_high: false,
            prev_probe_precautionary: false,
        }
    }
}

impl Bbr {
    /// `UpdateProbeBWCyclePhase`.
    pub(super) fn update_probe_bw_cycle_phase(&mut self, ack: &AckSample, rate: &RateSample, rate_now: u64) {
        if !self.full_bw.reached || self.adapt_long_term_model(ack, rate) {
            return;
        }
        let state = self.state;
        match state {
            BbrState::ProbeBwDown => {
                if self.is_time_to_probe_bw(ack.now) {
                    self.start_probe_bw_refill();
                } else if self.is_time_to_cruise(ack.pipe) {
                    self.state = BbrState::ProbeBwCruise;
                }
            }
            BbrState::ProbeBwCruise if self.is_time_to_probe_bw(ack.now) => self.start_probe_bw_refill(),
            // "After one round of REFILL, start UP".
            BbrState::ProbeBwRefill if self.path.round_start => {
                self.cycle.is_bw_probe_sample = true;
                self.start_probe_bw_up(rate_now);
            }
            BbrState::ProbeBwUp if self.is_time_to_go_down(ack, rate_now) => {
                self.cycle.prev_probe_too_high = false;
                self.start_probe_bw_down(ack.now);
            }
            _ => {}
        }
    }

    /// `StartProbeBW_DOWN`.
    pub(super) fn start_probe_bw_down(&mut self, now: Instant) {
        self.path.reset_congestion_signals();
        self.cycle.probe_up_acked_per_inc = INFINITY;
        // `PickProbeWait`: "random_int_between(0, 1)" rounds and two to three seconds.
        self.cycle.rounds_since_probe_up = self.rng.below(2);
        self.cycle.bw_probe_wait = Duration::from_millis(2_000 + self.rng.below(1_000));
        self.cycle.started = now;
        self.cycle.ack_phase = AckPhase::ProbeStopping;
        self.path.start_round();
        self.state = BbrState::ProbeBwDown;
    }

    /// `StartProbeBW_REFILL`.
    pub(super) fn start_probe_bw_refill(&mut self) {
        self.path.reset_short_term_model();
        self.cycle.bw_probe_up_rounds = 0;
        self.cycle.bw_probe_up_acked = 0;
        self.cycle.prev_probe_precautionary = false;
        self.cycle.ack_phase = AckPhase::Refilling;
        self.path.start_round();
        self.state = BbrState::ProbeBwRefill;
    }

    /// `StartProbeBW_UP`.
    fn start_probe_bw_up(&mut self, rate_now: u64) {
        self.cycle.ack_phase = AckPhase::ProbeStarting;
        self.path.start_round();
        self.full_bw.reset(rate_now);
        self.state = BbrState::ProbeBwUp;
        self.raise_inflight_longterm_slope();
    }

    /// `IsTimeToCruise`: there is headroom, and the queue is drained.
    fn is_time_to_cruise(&self, pipe: u64) -> bool {
        pipe <= self.inflight_with_headroom() && pipe <= self.inflight_at(self.path.max_bw, 100)
    }

    /// `IsTimeToProbeBW`: some seconds have gone by, or as many rounds as Reno needs ("Time Scale for Bandwidth
    /// Probing").
    fn is_time_to_probe_bw(&self, now: Instant) -> bool {
        let reno_rounds = (self.target_inflight() / self.mss).min(RENO_ROUNDS);
        now > self.cycle.started + self.cycle.bw_probe_wait || self.cycle.rounds_since_probe_up >= reno_rounds
    }

    /// `IsTimeToGoDown` ("Exit Conditions for Bandwidth Probing").
    fn is_time_to_go_down(&mut self, ack: &AckSample, rate_now: u64) -> bool {
        // "Precautionary Bandwidth Probing: Deceleration".
        if self.cycle.prev_probe_too_high && ack.pipe >= self.cycle.inflight_longterm {
            self.cycle.prev_probe_precautionary = true;
            return true;
        }
        if ack.cwnd_filled && self.output.cwnd >= self.cycle.inflight_longterm {
            // "bw is limited by BBR.inflight_longterm": no plateau of the path.
            self.full_bw.reset(rate_now);
            return false;
        }
        self.full_bw.now
    }

    /// `TargetInflight`: "Our estimated BDP, unless congestion cut C.cwnd".
    fn target_inflight(&self) -> u64 {
        self.bdp_multiple(100).min(self.output.cwnd)
    }

    /// `InflightWithHeadroom`.
    pub(super) fn inflight_with_headroom(&self) -> u64 {
        let bound = self.cycle.inflight_longterm;
        if bound == INFINITY {
            return INFINITY;
        }
        let headroom = (bound / 100 * HEADROOM_PERCENT).max(self.mss);
        bound.saturating_sub(headroom).max(self.min_pipe_cwnd())
    }

    /// `RaiseInflightLongtermSlope`: the bound grows by 1, 2, 4 ... segments a round.
    fn raise_inflight_longterm_slope(&mut self) {
        let growth_this_round = 1 << self.cycle.bw_probe_up_rounds;
        self.cycle.bw_probe_up_rounds = (self.cycle.bw_probe_up_rounds + 1).min(30);
        self.cycle.probe_up_acked_per_inc = (self.output.cwnd / growth_this_round).max(self.mss);
    }

    /// `ProbeInflightLongtermUpward`.
    fn probe_inflight_longterm_upward(&mut self, ack: &AckSample) {
        let cycle = &mut self.cycle;
        if !ack.cwnd_filled || self.output.cwnd < cycle.inflight_longterm {
            return;
        }
        cycle.bw_probe_up_acked += ack.newly_delivered;
        if cycle.bw_probe_up_acked >= cycle.probe_up_acked_per_inc {
            let delta = cycle.bw_probe_up_acked / cycle.probe_up_acked_per_inc;
            cycle.bw_probe_up_acked -= delta * cycle.probe_up_acked_per_inc;
            cycle.inflight_longterm = cycle.inflight_longterm.saturating_add(delta * self.mss);
        }
        if self.path.round_start {
            self.raise_inflight_longterm_slope();
        }
    }

    /// `AdaptLongTermModel`; true if it decided the next state.
    fn adapt_long_term_model(&mut self, ack: &AckSample, rate: &RateSample) -> bool {
        if self.path.round_start {
            match self.cycle.ack_phase {
                AckPhase::ProbeStarting => self.cycle.ack_phase = AckPhase::ProbeFeedback,
                AckPhase::ProbeStopping => {
                    self.cycle.is_bw_probe_sample = false;
                    self.cycle.ack_phase = AckPhase::Init;
                    if self.state.is_probe_bw() && !rate.app_limited {
                        self.path.advance_max_bw_filter();
                    }
                    // "Precautionary Bandwidth Probing: Acceleration".
                    if self.state.is_probe_bw()
                        && self.cycle.prev_probe_precautionary
                        && !self.cycle.prev_probe_too_high
                    {
                        self.start_probe_bw_refill();
                        return true;
                    }
                }
                _ => {}
            }
        }
        if !self.is_inflight_too_high(rate.lost, rate.tx_in_flight) && self.cycle.inflight_longterm != INFINITY {
            // "Loss rate is safe. Adjust upper bounds upward."
            self.cycle.inflight_longterm = self.cycle.inflight_longterm.max(rate.tx_in_flight);
            if self.state == BbrState::ProbeBwUp {
                self.probe_inflight_longterm_upward(ack);
            }
        }
        false
    }

    /// `HandleLostPacket`, after `NoteLoss`.
    pub(super) fn handle_lost_packet(&mut self, lost: &LostSample) {
        // "not a packet sent while probing bandwidth".
        if self.cycle.is_bw_probe_sample && self.is_inflight_too_high(lost.lost, lost.tx_in_flight) {
            let tx_in_flight = inflight_at_loss(lost);
            self.handle_inflight_too_high(tx_in_flight, lost.app_limited, lost.now);
        }
    }

    /// `HandleInflightTooHigh`.
    fn handle_inflight_too_high(&mut self, tx_in_flight: u64, app_limited: bool, now: Instant) {
        self.cycle.prev_probe_too_high = true;
        // "only react once per bw probe".
        self.cycle.is_bw_probe_sample = false;
        if !app_limited {
            self.cycle.inflight_longterm = tx_in_flight.max(beta(self.target_inflight()));
        }
        if self.state == BbrState::ProbeBwUp {
            self.leave_for_loss(BbrState::ProbeBwUp);
            self.start_probe_bw_down(now);
        }
    }
}

/// `InflightAtLoss`: the flight at which the losses crossed `BBR.LossThresh`, which may be within this segment.
///
/// `lost_prefix = (LossThresh * inflight_prev - lost_prev) / (1 - LossThresh)`; with a threshold of 1/50 both sides
/// times 50.
pub(super) fn inflight_at_loss(lost: &LostSample) -> u64 {
    let inflight_prev = lost.tx_in_flight.saturating_sub(lost.bytes);
    let lost_prev = lost.lost.saturating_sub(lost.bytes);
    let excess = inflight_prev.saturating_sub(lost_prev.saturating_mul(LOSS_THRESH_INVERSE));
    inflight_prev + excess / (LOSS_THRESH_INVERSE - 1)
}
