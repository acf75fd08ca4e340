//! BBR, version 3, as draft-ietf-ccwg-bbr-06 describes it: cwnd and pacing rate follow a model of the path (bandwidth
//! and round-trip time), not the losses. Sections are cited by their titles, since numbers move between drafts.
//!
//! Version 3 and not 1: it has a published, maintained description, it reacts to loss above 2 %, and it shares a queue
//! with Reno and CUBIC. The `bbr` of Linux's main line is version 1: no reaction to loss, a probe every eight round
//! trips, and `ProbeRTT` with four segments every 10 s. The files: `bbr/path.rs` estimates, `bbr/cycle.rs` probes for
//! bandwidth, `bbr/rtt.rs` probes for the round-trip time, `bbr/startup.rs` has Startup and Drain, `bbr/output.rs` sets
//! rate and cwnd.
//!
//! Differences from the draft: ECN marks count as losses (the draft leaves ECN open); the filter of `extra_acked` spans
//! five to ten rounds instead of exactly ten; a probe for bandwidth that `ProbeRTT` interrupts ends its cycle.

mod cycle;
mod output;
mod path;
mod rtt;
mod startup;

use super::sample::{AckSample, CongestionSample, LostSample, RateSample, SentSample, Signal};
use super::{Controller, Setup};
use crate::rng::Rng;
use crate::time::{Duration, Instant};

use cycle::Cycle;
use output::Outputs;
use path::PathModel;
use rtt::ProbeRtt;
use startup::FullBandwidth;

/// "Infinity" of the draft, for amounts and rates.
const INFINITY: u64 = u64::MAX;
/// `BBR.LossThresh`, "the default is 2%": one in 50.
const LOSS_THRESH_INVERSE: u64 = 50;
/// `BBR.state` ("State Machine").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BbrState {
    Startup,
    Drain,
    ProbeBwDown,
    ProbeBwCruise,
    ProbeBwRefill,
    ProbeBwUp,
    ProbeRtt,
}

impl BbrState {
    /// `BBR.pacing_gain` in percent ("Summary of Control Behavior in the State Machine").
    const fn pacing_gain(self) -> u64 {
        match self {
            Self::Startup => 277,
            Self::Drain => 50,
            Self::ProbeBwDown => 90,
            Self::ProbeBwCruise | Self::ProbeBwRefill | Self::ProbeRtt => 100,
            Self::ProbeBwUp => 125,
        }
    }

    /// `BBR.cwnd_gain` in percent.
    const fn cwnd_gain(self) -> u64 {
        match self {
            Self::ProbeBwUp => 225,
            Self::ProbeRtt => 50,
            _ => 200,
        }
    }

    /// `IsInAProbeBWState`.
    const fn is_probe_bw(self) -> bool {
        matches!(self, Self::ProbeBwDown | Self::ProbeBwCruise | Self::ProbeBwRefill | Self::ProbeBwUp)
    }

    /// `IsProbingBW`: an accelerating state.
    const fn is_probing_bw(self) -> bool {
        matches!(self, Self::Startup | Self::ProbeBwRefill | Self::ProbeBwUp)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Drain => "Drain",
            Self::ProbeBwDown => "ProbeBW_DOWN",
            Self::ProbeBwCruise => "ProbeBW_CRUISE",
            Self::ProbeBwRefill => "ProbeBW_REFILL",
            Self::ProbeBwUp => "ProbeBW_UP",
            Self::ProbeRtt => "ProbeRTT",
        }
    }
}

/// The BBR controller.
#[derive(Debug)]
pub struct Bbr {
    state: BbrState,
    mss: u64,
    sack: bool,
    /// Loss recovery runs (`InLossRecovery`).
    recovering: bool,
    /// The loss that was just marked begins a recovery, and the state before it is saved.
    state_saved: bool,
    /// Discontiguous ranges lost in this round.
    loss_ranges: u32,
    /// `BBR.drain_start_round`.
    drain_start_round: u64,
    path: PathModel,
    full_bw: FullBandwidth,
    cycle: Cycle,
    probe_rtt: ProbeRtt,
    output: Outputs,
    saved: Option<Saved>,
    rng: Rng,
}

/// "Undo State": what a spurious recovery restores.
#[derive(Debug)]
struct Saved {
    /// `BBR.undo_state`: the state that the losses ended.
    state: Option<BbrState>,
    bw_shortterm: u64,
    inflight_shortterm: u64,
    inflight_longterm: u64,
}

impl Bbr {
    /// A controller for one connection ("Initialization").
    pub fn new(setup: &Setup) -> Self {
        Self {
            state: BbrState::Startup,
            mss: setup.mss,
            sack: setup.sack,
            recovering: false,
            state_saved: false,
            loss_ranges: 0,
            drain_start_round: 0,
            path: PathModel::new(setup),
            full_bw: FullBandwidth::default(),
            cycle: Cycle::new(setup.now),
            probe_rtt: ProbeRtt::new(setup),
            output: Outputs::new(setup),
            saved: None,
            rng: Rng::new(setup.seed, "bbr"),
        }
    }

    /// `UpdateModelAndState` ("Per-ACK Steps").
    fn update_model_and_state(&mut self, ack: &AckSample, rate: &RateSample) {
        let rate_now = rate.delivery_rate();
        self.path.update_latest_delivery_signals(ack, rate, rate_now);
        self.update_congestion_signals(rate, rate_now);
        self.path.update_ack_aggregation(ack, self.output.cwnd, self.full_bw.reached);
        self.check_full_bw_reached(rate, rate_now);
        self.check_startup_done(rate);
        self.check_drain_done(ack);
        self.update_probe_bw_cycle_phase(ack, rate, rate_now);
        self.update_min_rtt(ack);
        self.check_probe_rtt(ack);
        self.path.advance_latest_delivery_signals(rate, rate_now);
        self.path.bound_bw_for_model();
    }

    /// `UpdateCongestionSignals` ("When not Probing for Bandwidth").
    fn update_congestion_signals(&mut self, rate: &RateSample, rate_now: u64) {
        if self.path.update_round(rate) {
            self.cycle.rounds_since_probe_up = self.cycle.rounds_since_probe_up.saturating_add(1);
        }
        self.path.update_max_bw(rate, rate_now);
        if !self.path.loss_round_start {
            return;
        }
        // `AdaptLowerBoundsFromCongestion`, once in a round.
        if !self.state.is_probing_bw() && self.path.is_loss_in_round {
            self.path.lower_bounds(self.output.cwnd);
        }
        // Startup looks at the losses of the whole round before they are forgotten.
        if self.state != BbrState::Startup {
            self.forget_losses();
        }
    }

    fn forget_losses(&mut self) {
        self.path.is_loss_in_round = false;
        self.loss_ranges = 0;
    }

    /// `IsInflightTooHigh` ("Probing for Bandwidth In `ProbeBW`").
    fn is_inflight_too_high(&self, lost: u64, tx_in_flight: u64) -> bool {
        if self.sack { lost > tx_in_flight / LOSS_THRESH_INVERSE } else { lost > 0 }
    }

    /// `SaveStateUponLoss`.
    fn save_state_upon_loss(&mut self) {
        self.save_cwnd();
        self.saved = Some(Saved {
            state: None,
            bw_shortterm: self.path.bw_shortterm,
            inflight_shortterm: self.path.inflight_shortterm,
            inflight_longterm: self.cycle.inflight_longterm,
        });
    }

    /// The losses end `state`; undo goes back to it.
    fn leave_for_loss(&mut self, state: BbrState) {
        if let Some(saved) = &mut self.saved {
            saved.state = Some(state);
        }
    }

    /// `NoteLoss`.
    fn note_loss(&mut self, delivered: u64) {
        self.path.delivered = delivered;
        if !self.path.is_loss_in_round {
            self.path.loss_round_delivered = delivered;
        }
        self.path.is_loss_in_round = true;
        if !self.recovering && !self.state_saved {
            self.save_state_upon_loss();
            self.state_saved = true;
        }
    }
}

impl Controller for Bbr {
    fn name(&self) -> &'static str {
        "bbr"
    }

    fn cwnd(&self) -> u64 {
        self.output.cwnd
    }

    fn on_sent(&mut self, sent: &SentSample) {
        // `HandleRestartFromIdle` ("Actions when Restarting from Idle").
        if sent.prior_pipe == 0 && sent.app_limited {
            self.probe_rtt.idle_restart = true;
            self.path.restart_ack_aggregation(sent.now);
            if self.state.is_probe_bw() {
                self.set_pacing_rate(100);
            } else if self.state == BbrState::ProbeRtt {
                self.check_probe_rtt_done(sent.now);
            }
        }
    }

    fn on_ack(&mut self, ack: &AckSample) {
        let Some(rate) = ack.rate else { return };
        self.update_model_and_state(ack, &rate);
        self.update_control_parameters(ack);
    }

    fn on_lost(&mut self, lost: &LostSample) {
        self.note_loss(lost.delivered);
        self.loss_ranges = self.loss_ranges.saturating_add(u32::from(lost.new_range));
        self.handle_lost_packet(lost);
    }

    fn on_congestion(&mut self, congestion: &CongestionSample) {
        // `OnEnterFastRecovery`, `OnEnterRTO`. Within a recovery the state from before it stays the one to restore.
        if congestion.signal == Signal::Ecn {
            self.note_loss(congestion.delivered);
        }
        if !self.recovering && !self.state_saved {
            self.save_state_upon_loss();
        }
        if matches!(congestion.signal, Signal::Timeout { .. }) {
            // "C.cwnd = C.inflight + 1", one segment more ("Modulating cwnd in Loss Recovery").
            self.save_cwnd();
            self.output.cwnd = congestion.pipe + self.mss;
        }
        self.recovering = true;
        self.state_saved = false;
    }

    fn on_recovery_end(&mut self, _now: Instant, _cap: u64) {
        self.recovering = false;
        self.restore_cwnd();
    }

    /// `HandleSpuriousLossDetection` ("Handling a Spurious Loss Recovery").
    fn undo(&mut self, _now: Instant) {
        let Some(saved) = self.saved.take() else { return };
        self.recovering = false;
        self.restore_cwnd();
        self.forget_losses();
        self.full_bw.reset(0);
        self.path.bw_shortterm = self.path.bw_shortterm.max(saved.bw_shortterm);
        self.path.inflight_shortterm = self.path.inflight_shortterm.max(saved.inflight_shortterm);
        self.cycle.inflight_longterm = self.cycle.inflight_longterm.max(saved.inflight_longterm);
        match saved.state {
            Some(BbrState::Startup) if self.state != BbrState::Startup => {
                self.full_bw.reached = false;
                if self.state != BbrState::ProbeRtt {
                    self.state = BbrState::Startup;
                }
            }
            Some(BbrState::ProbeBwUp) if !matches!(self.state, BbrState::ProbeBwUp | BbrState::ProbeRtt) => {
                self.start_probe_bw_refill();
            }
            _ => {}
        }
    }

    fn set_mss(&mut self, mss: u64) {
        self.mss = mss.max(1);
        self.output.cwnd = self.output.cwnd.max(self.min_pipe_cwnd());
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.output.pacing_rate)
    }

    fn ssthresh(&self) -> u64 {
        // There is none: the flight is bounded by the model.
        u64::MAX
    }

    fn governs_recovery(&self) -> bool {
        true
    }

    fn marks_app_limited(&self) -> bool {
        // "Ignore low rate samples during ProbeRTT" ("ProbeRTT Logic").
        self.state == BbrState::ProbeRtt
    }

    fn phase(&self) -> &'static str {
        self.state.name()
    }
}

/// Microseconds: what the bandwidth-delay product is computed in.
const fn micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(duration.subsec_micros() as u64)
}

#[cfg(test)]
mod tests;
