//! The model of the path: rounds, bandwidth, aggregation of ACKs, and the short-term bounds after losses
//! (draft-ietf-ccwg-bbr-06, "Updating Network Path Model Parameters").

use super::super::Setup;
use super::super::sample::{AckSample, RateSample};
use super::{INFINITY, micros};
use crate::time::Instant;

/// Half of `BBR.ExtraAckedFilterLen`, in rounds: the filter has two slots of this length.
const EXTRA_ACKED_SLOT: u64 = 5;

/// What is known of the path. Rates in bytes per second, amounts in charged bytes.
#[derive(Debug)]
pub(super) struct PathModel {
    /// `C.delivered`, as of the last event.
    pub(super) delivered: u64,
    /// `BBR.round_count`.
    pub(super) round_count: u64,
    /// `BBR.round_start`: this ACK begins a round.
    pub(super) round_start: bool,
    next_round_delivered: u64,
    /// `BBR.bw`: the smaller of `max_bw` and `bw_shortterm`.
    pub(super) bw: u64,
    /// `BBR.max_bw`.
    pub(super) max_bw: u64,
    /// `BBR.max_bw_filter`: the maximum of the previous `ProbeBW` cycle and of this one.
    max_bw_slots: [u64; 2],
    /// `BBR.bw_shortterm`.
    pub(super) bw_shortterm: u64,
    /// `BBR.inflight_shortterm`.
    pub(super) inflight_shortterm: u64,
    /// `BBR.bw_latest`.
    bw_latest: u64,
    /// `BBR.inflight_latest`.
    pub(super) inflight_latest: u64,
    /// `BBR.loss_round_start`: this ACK ends a round of loss accounting.
    pub(super) loss_round_start: bool,
    /// `BBR.loss_round_delivered`.
    pub(super) loss_round_delivered: u64,
    /// `BBR.is_loss_in_round`.
    pub(super) is_loss_in_round: bool,
    /// `BBR.extra_acked`.
    pub(super) extra_acked: u64,
    extra_acked_slots: [u64; 2],
    extra_acked_slot_start: u64,
    extra_acked_interval_start: Instant,
    extra_acked_delivered: u64,
}

impl PathModel {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            delivered: 0,
            round_count: 0,
            round_start: false,
            next_round_delivered: 0,
            bw: 0,
            max_bw: 0,
            max_bw_slots: [0; 2],
            bw_shortterm: INFINITY,
            inflight_shortterm: INFINITY,
            bw_latest: 0,
            inflight_latest: 0,
            loss_round_start: false,
            loss_round_delivered: 0,
            is_loss_in_round: false,
            extra_acked: 0,
            extra_acked_slots: [0; 2],
            extra_acked_slot_start: 0,
            extra_acked_interval_start: setup.now,
            extra_acked_delivered: 0,
        }
    }

    /// `StartRound`: the round ends when a segment sent from now on is delivered.
    pub(super) fn start_round(&mut self) {
        self.next_round_delivered = self.delivered;
    }

    /// `UpdateRound`; true if a round begins.
    pub(super) fn update_round(&mut self, rate: &RateSample) -> bool {
        self.round_start = rate.prior_delivered >= self.next_round_delivered;
        if self.round_start {
            self.start_round();
            self.round_count += 1;
        }
        self.round_start
    }

    /// `UpdateMaxBw`: `RS.delivery_rate >= BBR.max_bw || !RS.is_app_limited`.
    pub(super) fn update_max_bw(&mut self, rate: &RateSample, rate_now: u64) {
        if rate_now > 0 && (rate_now >= self.max_bw || !rate.app_limited) {
            self.max_bw_slots[1] = self.max_bw_slots[1].max(rate_now);
            self.max_bw = self.max_bw_slots[0].max(self.max_bw_slots[1]);
        }
    }

    /// `AdvanceMaxBwFilter`: a cycle has ended. A cycle without any sample is no cycle.
    pub(super) fn advance_max_bw_filter(&mut self) {
        if self.max_bw_slots[1] > 0 {
            self.max_bw_slots = [self.max_bw_slots[1], 0];
            self.max_bw = self.max_bw_slots[0];
        }
    }

    /// `UpdateLatestDeliverySignals`, near the start of ACK processing.
    pub(super) fn update_latest_delivery_signals(&mut self, ack: &AckSample, rate: &RateSample, rate_now: u64) {
        self.delivered = ack.delivered;
        self.bw_latest = self.bw_latest.max(rate_now);
        self.inflight_latest = self.inflight_latest.max(rate.delivered);
        self.loss_round_start = rate.prior_delivered >= self.loss_round_delivered;
        if self.loss_round_start {
            self.loss_round_delivered = ack.delivered;
        }
    }

    /// `AdvanceLatestDeliverySignals`, near its end.
    pub(super) fn advance_latest_delivery_signals(&mut self, rate: &RateSample, rate_now: u64) {
        if self.loss_round_start {
            self.bw_latest = rate_now;
            self.inflight_latest = rate.delivered;
        }
    }

    /// `ResetCongestionSignals`.
    pub(super) fn reset_congestion_signals(&mut self) {
        self.is_loss_in_round = false;
        self.bw_latest = 0;
        self.inflight_latest = 0;
    }

    /// `InitLowerBounds` and `LossLowerBounds`: `max(bw_latest, BBR.Beta * bw_shortterm)`, Beta being 0.7.
    pub(super) fn lower_bounds(&mut self, cwnd: u64) {
        if self.bw_shortterm == INFINITY {
            self.bw_shortterm = self.max_bw;
        }
        if self.inflight_shortterm == INFINITY {
            self.inflight_shortterm = cwnd;
        }
        self.bw_shortterm = self.bw_latest.max(beta(self.bw_shortterm));
        self.inflight_shortterm = self.inflight_latest.max(beta(self.inflight_shortterm));
    }

    /// `ResetShortTermModel`.
    pub(super) fn reset_short_term_model(&mut self) {
        self.bw_shortterm = INFINITY;
        self.inflight_shortterm = INFINITY;
    }

    /// `BoundBWForModel`.
    pub(super) fn bound_bw_for_model(&mut self) {
        self.bw = self.max_bw.min(self.bw_shortterm);
    }

    /// `UpdateACKAggregation`: what was acknowledged beyond what the bandwidth explains, as a maximum over some rounds.
    pub(super) fn update_ack_aggregation(&mut self, ack: &AckSample, cwnd: u64, full_bw_reached: bool) {
        let interval = micros(ack.now - self.extra_acked_interval_start);
        let mut expected = self.bw.saturating_mul(interval) / 1_000_000;
        if self.extra_acked_delivered <= expected {
            self.restart_ack_aggregation(ack.now);
            expected = 0;
        }
        self.extra_acked_delivered += ack.newly_delivered;
        let extra = (self.extra_acked_delivered - expected).min(cwnd);
        // "in Startup, just remember 1 round".
        let length = if full_bw_reached { EXTRA_ACKED_SLOT } else { 1 };
        if self.round_count >= self.extra_acked_slot_start + length {
            self.extra_acked_slots = [self.extra_acked_slots[1], 0];
            self.extra_acked_slot_start = self.round_count;
        }
        self.extra_acked_slots[1] = self.extra_acked_slots[1].max(extra);
        self.extra_acked = self.extra_acked_slots[0].max(self.extra_acked_slots[1]);
    }

    /// A new interval of ACK aggregation begins.
    pub(super) fn restart_ack_aggregation(&mut self, now: Instant) {
        self.extra_acked_delivered = 0;
        self.extra_acked_interval_start = now;
    }
}

/// `BBR.Beta`: 0.7.
pub(super) const fn beta(amount: u64) -> u64 {
    amount / 10 * 7 + amount % 10 * 7 / 10
}
