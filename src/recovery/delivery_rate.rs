//! Delivery-rate samples (draft-ietf-ccwg-bbr, section 4.1; before: draft-cheng-iccrg-delivery-rate-estimation).
//! [`Recovery`](super::Recovery) takes a snapshot with each transmission and makes one sample for each ACK; BBR reads them.

use super::scoreboard::{Lost, Marks, Snapshot, Unit};
use crate::congestion::{LostSample, RateSample};
use crate::time::{Duration, Instant};

/// The connection's variables. Amounts are charged bytes.
#[derive(Clone, Debug)]
pub struct DeliveryRate {
    /// `C.delivered`: delivered on this connection.
    delivered: u64,
    /// `C.delivered_time`.
    delivered_at: Instant,
    /// `C.first_send_time`: the begin of the send interval.
    first_sent_at: Instant,
    /// `C.lost`: marked lost on this connection.
    lost: u64,
    /// `C.app_limited`: the sample that ends here or before is limited by the application; 0 for none.
    app_limited_until: u64,
}

/// The rate sample while one ACK is taken: the newest unit that it delivered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Candidate {
    newest: Option<(Snapshot, Instant, bool)>,
}

impl DeliveryRate {
    /// The state of a connection that begins at `now`.
    pub const fn new(now: Instant) -> Self {
        Self { delivered: 0, delivered_at: now, first_sent_at: now, lost: 0, app_limited_until: 0 }
    }

    /// `C.delivered`.
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// `C.lost`.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// What is sent now is limited by the application.
    pub const fn is_app_limited(&self) -> bool {
        self.app_limited_until > 0
    }

    /// The application has nothing to send while cwnd has room; `pipe` is in flight.
    pub const fn mark_app_limited(&mut self, pipe: u64) {
        let until = self.delivered.saturating_add(pipe);
        self.app_limited_until = if until == 0 { 1 } else { until };
    }

    /// A segment leaves. `pipe` counts it; `idle`: nothing was in flight before.
    pub const fn on_sent(&mut self, now: Instant, pipe: u64, idle: bool) -> Snapshot {
        // "If there are no packets in flight yet, we can start the delivery rate interval at the current time".
        if idle {
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        Snapshot {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            lost: self.lost as u32,
            tx_in_flight: if pipe > u32::MAX as u64 { u32::MAX } else { pipe as u32 },
        }
    }

    /// An ACK delivered a unit ("`UpdateRateSample`").
    pub fn on_delivered(&mut self, now: Instant, unit: &Unit, candidate: &mut Candidate) {
        self.delivered += u64::from(unit.charge);
        self.delivered_at = now;
        // "Update info using the newest packet": the one that left last.
        if candidate.newest.is_none_or(|(newest, sent_at, _)| {
            unit.snapshot.delivered > newest.delivered
                || (unit.snapshot.delivered == newest.delivered && unit.sent_at >= sent_at)
        }) {
            candidate.newest = Some((unit.snapshot, unit.sent_at, unit.marks.has(Marks::APP_LIMITED)));
            self.first_sent_at = unit.sent_at;
        }
    }

    /// A unit was marked lost.
    pub fn on_lost(&mut self, now: Instant, lost: &Lost) -> LostSample {
        let unit = &lost.unit;
        self.lost += u64::from(unit.charge);
        LostSample {
            now,
            bytes: u64::from(unit.charge),
            tx_in_flight: u64::from(unit.snapshot.tx_in_flight),
            lost: u64::from((self.lost as u32).wrapping_sub(unit.snapshot.lost)),
            delivered: self.delivered,
            app_limited: unit.marks.has(Marks::APP_LIMITED),
            new_range: lost.new_range,
        }
    }

    /// The ACK is taken ("`GenerateRateSample`"). `min_rtt` in nanoseconds.
    pub fn sample(&mut self, now: Instant, candidate: &Candidate, min_rtt: Option<u64>) -> Option<RateSample> {
        // "Clear app-limited field if bubble is ACKed and gone".
        if self.app_limited_until > 0 && self.delivered > self.app_limited_until {
            self.app_limited_until = 0;
        }
        let (snapshot, sent_at, app_limited) = candidate.newest?;
        let span = |from: Instant, to: Instant| to.as_nanos().saturating_sub(from.as_nanos());
        // "Use the longer of the send_elapsed and ack_elapsed".
        let interval = span(snapshot.first_sent_at, sent_at).max(span(snapshot.delivered_at, now));
        // "Normally we expect interval >= MinRTT": a shorter one is of a spurious retransmission.
        let reliable = min_rtt.is_none_or(|min_rtt| interval >= min_rtt);
        Some(RateSample {
            delivered: self.delivered - snapshot.delivered,
            prior_delivered: snapshot.delivered,
            interval: if reliable { Duration::from_nanos(interval) } else { Duration::ZERO },
            lost: u64::from((self.lost as u32).wrapping_sub(snapshot.lost)),
            tx_in_flight: u64::from(snapshot.tx_in_flight),
            app_limited,
        })
    }
}
