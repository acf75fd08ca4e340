//! The smallest round-trip time, and `ProbeRTT`, which drains the queue so that it can be seen
//! (draft-ietf-ccwg-bbr-06, "`ProbeRTT`", "`BBR.min_rtt`").

use super::super::Setup;
use super::super::sample::AckSample;
use super::cycle::AckPhase;
use super::{Bbr, BbrState, INFINITY, micros};
use crate::time::{Duration, Instant};

/// `BBR.ProbeRTTInterval`.
const INTERVAL: Duration = Duration::from_secs(5);
/// `BBR.MinRTTFilterLen`.
const MIN_RTT_FILTER: Duration = Duration::from_secs(10);
/// `BBR.ProbeRTTDuration`.
const DURATION: Duration = Duration::from_millis(200);

/// "`ProbeRTT` and `min_rtt` Parameters and State". Round-trip times in microseconds.
#[derive(Debug)]
pub(super) struct ProbeRtt {
    /// `BBR.min_rtt`; infinite before the first sample.
    pub(super) min_rtt: u64,
    min_rtt_stamp: Instant,
    /// `BBR.probe_rtt_min_delay`: the smallest of the last five seconds.
    min_delay: u64,
    min_stamp: Instant,
    expired: bool,
    done_stamp: Option<Instant>,
    round_done: bool,
    /// `BBR.idle_restart`: the connection begins again after an idle time, which has drained the queue.
    pub(super) idle_restart: bool,
}

impl ProbeRtt {
    pub(super) fn new(setup: &Setup) -> Self {
        let min_rtt = setup.srtt.map_or(INFINITY, micros);
        Self {
            min_rtt,
            min_rtt_stamp: setup.now,
            min_delay: min_rtt,
            min_stamp: setup.now,
            expired: false,
            done_stamp: None,
            round_done: false,
            idle_restart: false,
        }
    }
}

impl Bbr {
    /// `UpdateMinRTT`.
    pub(super) fn update_min_rtt(&mut self, ack: &AckSample) {
        let probe = &mut self.probe_rtt;
        probe.expired = ack.now > probe.min_stamp + INTERVAL;
        if let Some(rtt) = ack.rtt.map(micros)
            && (rtt < probe.min_delay || probe.expired)
        {
            probe.min_delay = rtt;
            probe.min_stamp = ack.now;
        }
        let min_rtt_expired = ack.now > probe.min_rtt_stamp + MIN_RTT_FILTER;
        if probe.min_delay < probe.min_rtt || min_rtt_expired {
            probe.min_rtt = probe.min_delay;
            probe.min_rtt_stamp = probe.min_stamp;
        }
    }

    /// `CheckProbeRTT`.
    pub(super) fn check_probe_rtt(&mut self, ack: &AckSample) {
        if self.state != BbrState::ProbeRtt && self.probe_rtt.expired && !self.probe_rtt.idle_restart {
            if self.cycle.ack_phase == AckPhase::ProbeFeedback {
                // Not in the draft: a probe for bandwidth that is interrupted here ends its cycle. Where a round trip
                // takes a second, every probe is interrupted, and an old maximum would never leave the filter.
                self.path.advance_max_bw_filter();
            }
            self.state = BbrState::ProbeRtt;
            self.save_cwnd();
            self.probe_rtt.done_stamp = None;
            self.cycle.ack_phase = AckPhase::ProbeStopping;
            self.path.start_round();
        }
        if self.state == BbrState::ProbeRtt {
            self.handle_probe_rtt(ack);
        }
        if ack.newly_delivered > 0 {
            self.probe_rtt.idle_restart = false;
        }
    }

    /// `HandleProbeRTT`. What it sends counts as application-limited: see `marks_app_limited`.
    fn handle_probe_rtt(&mut self, ack: &AckSample) {
        if self.probe_rtt.done_stamp.is_none() {
            if ack.pipe <= self.probe_rtt_cwnd() {
                self.probe_rtt.done_stamp = Some(ack.now + DURATION);
                self.probe_rtt.round_done = false;
                self.path.start_round();
            }
            return;
        }
        self.probe_rtt.round_done |= self.path.round_start;
        if self.probe_rtt.round_done {
            self.check_probe_rtt_done(ack.now);
        }
    }

    /// `CheckProbeRTTDone`.
    pub(super) fn check_probe_rtt_done(&mut self, now: Instant) {
        if self.probe_rtt.done_stamp.is_some_and(|done| now > done) {
            // "schedule next ProbeRTT".
            self.probe_rtt.min_stamp = now;
            self.restore_cwnd();
            self.exit_probe_rtt(now);
        }
    }

    /// `ExitProbeRTT` ("Exiting `ProbeRTT`").
    fn exit_probe_rtt(&mut self, now: Instant) {
        self.path.reset_short_term_model();
        if self.full_bw.reached {
            self.start_probe_bw_down(now);
            self.state = BbrState::ProbeBwCruise;
        } else {
            self.state = BbrState::Startup;
        }
    }
}
