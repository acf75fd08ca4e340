//! What BBR decides: the pacing rate, the send quantum and cwnd (draft-ietf-ccwg-bbr-06, "Updating Control
//! Parameters").

use super::super::sample::{AckSample, per_second};
use super::super::{MAX_CWND, Setup};
use super::{Bbr, BbrState, INFINITY};
use crate::time::Duration;

/// `BBR.PacingMarginPercent`: pace 1 % below the bandwidth.
const PACING_MARGIN_PERCENT: u64 = 1;
/// Without an RTT sample the nominal bandwidth is the initial window in one millisecond.
const NOMINAL_RTT: Duration = Duration::from_millis(1);

/// Control parameters; amounts in charged bytes, the rate in bytes per second.
#[derive(Debug)]
pub(super) struct Outputs {
    pub(super) cwnd: u64,
    pub(super) pacing_rate: u64,
    initial_cwnd: u64,
    prior_cwnd: u64,
    /// The pacing rate is still the one that a nominal round-trip time gave.
    nominal: bool,
}

impl Outputs {
    /// `InitPacingRate`.
    pub(super) fn new(setup: &Setup) -> Self {
        let srtt = setup.srtt.filter(|srtt| !srtt.is_zero());
        Self {
            cwnd: setup.cwnd,
            pacing_rate: initial_rate(setup.initial_window, srtt.unwrap_or(NOMINAL_RTT)),
            initial_cwnd: setup.initial_window,
            prior_cwnd: 0,
            nominal: srtt.is_none(),
        }
    }
}

/// "BBR.StartupPacingGain * C.InitialCwnd / C.srtt".
fn initial_rate(initial_cwnd: u64, srtt: Duration) -> u64 {
    per_second(initial_cwnd * BbrState::Startup.pacing_gain() / 100, srtt)
}

impl Bbr {
    /// `UpdateControlParameters`.
    pub(super) fn update_control_parameters(&mut self, ack: &AckSample) {
        if self.output.nominal
            && let Some(srtt) = ack.srtt.filter(|srtt| !srtt.is_zero())
        {
            // "the initial C.srtt after the first non-zero RTT sample".
            self.output.pacing_rate = initial_rate(self.output.initial_cwnd, srtt);
            self.output.nominal = false;
        }
        self.set_pacing_rate(self.state.pacing_gain());
        self.set_cwnd(ack);
    }

    /// `SetPacingRateWithGain`; the gain in percent.
    pub(super) fn set_pacing_rate(&mut self, gain: u64) {
        let rate = (self.path.bw / 100).saturating_mul(gain) / 100 * (100 - PACING_MARGIN_PERCENT);
        if self.full_bw.reached || rate > self.output.pacing_rate {
            // A sender that paces at 0 would never send again.
            self.output.pacing_rate = rate.max(self.mss);
        }
    }

    /// `SetSendQuantum`: what leaves in 1 ms, at most 64 KB, at least two segments.
    fn send_quantum(&self) -> u64 {
        (self.output.pacing_rate / 1_000).min(64 * 1024).max(2 * self.mss)
    }

    /// `SetCwnd` ("cwnd Adjustment Mechanism").
    fn set_cwnd(&mut self, ack: &AckSample) {
        let max_inflight = self.max_inflight();
        let cwnd = self.output.cwnd.saturating_add(ack.newly_delivered);
        if self.full_bw.reached {
            self.output.cwnd = cwnd.min(max_inflight);
        } else if self.output.cwnd < max_inflight || ack.delivered < self.output.initial_cwnd {
            self.output.cwnd = cwnd;
        }
        self.output.cwnd = self.output.cwnd.clamp(self.min_pipe_cwnd(), MAX_CWND.max(self.min_pipe_cwnd()));
        if self.state == BbrState::ProbeRtt {
            self.output.cwnd = self.output.cwnd.min(self.probe_rtt_cwnd());
        }
        self.bound_cwnd_for_model();
    }

    /// `BoundCwndForModel` ("Bounding cwnd Based on Recent Congestion").
    fn bound_cwnd_for_model(&mut self) {
        let cap = match self.state {
            BbrState::ProbeBwCruise | BbrState::ProbeRtt => self.inflight_with_headroom(),
            state if state.is_probe_bw() => self.cycle.inflight_longterm,
            _ => INFINITY,
        };
        let cap = cap.min(self.path.inflight_shortterm).max(self.min_pipe_cwnd());
        self.output.cwnd = self.output.cwnd.min(cap);
    }

    /// `BBR.MinPipeCwnd`: four segments.
    pub(super) const fn min_pipe_cwnd(&self) -> u64 {
        4 * self.mss
    }

    /// `BDPMultiple`; the gain in percent.
    pub(super) fn bdp_multiple(&self, gain: u64) -> u64 {
        self.bdp_at(self.path.bw, gain)
    }

    fn bdp_at(&self, bw: u64, gain: u64) -> u64 {
        let min_rtt = self.probe_rtt.min_rtt;
        if min_rtt == INFINITY {
            // "no valid RTT samples yet".
            return self.output.initial_cwnd;
        }
        (bw.saturating_mul(min_rtt) / 1_000_000).saturating_mul(gain) / 100
    }

    /// `QuantizationBudget`: never below three send quanta and four segments.
    fn quantization_budget(&self, inflight_cap: u64) -> u64 {
        let budget = inflight_cap.max(3 * self.send_quantum()).max(self.min_pipe_cwnd());
        if self.state == BbrState::ProbeBwUp { budget + 2 * self.mss } else { budget }
    }

    /// `Inflight`; the gain in percent.
    pub(super) fn inflight(&self, gain: u64) -> u64 {
        self.inflight_at(self.path.bw, gain)
    }

    pub(super) fn inflight_at(&self, bw: u64, gain: u64) -> u64 {
        self.quantization_budget(self.bdp_at(bw, gain))
    }

    /// `UpdateMaxInflight`.
    fn max_inflight(&self) -> u64 {
        let inflight_cap = self.bdp_multiple(self.state.cwnd_gain()).saturating_add(self.path.extra_acked);
        self.quantization_budget(inflight_cap)
    }

    /// `ProbeRTTCwnd`.
    pub(super) fn probe_rtt_cwnd(&self) -> u64 {
        self.bdp_multiple(BbrState::ProbeRtt.cwnd_gain()).max(self.min_pipe_cwnd())
    }

    /// `SaveCwnd`: the last good cwnd, not lowered by recovery or `ProbeRTT`.
    pub(super) fn save_cwnd(&mut self) {
        self.output.prior_cwnd = if self.recovering || self.state == BbrState::ProbeRtt {
            self.output.prior_cwnd.max(self.output.cwnd)
        } else {
            self.output.cwnd
        };
    }

    /// `RestoreCwnd`.
    pub(super) fn restore_cwnd(&mut self) {
        self.output.cwnd = self.output.cwnd.max(self.output.prior_cwnd);
    }
}
