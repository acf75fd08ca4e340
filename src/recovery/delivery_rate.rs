//! Delivery-rate samples (draft-ietf-ccwg-bbr, section 4.1; before: draft-cheng-iccrg-delivery-rate-estimation).
//! [`Recovery`](super::Recovery) takes a snapshot with each transmission and makes one sample for each ACK; BBR reads
//! them.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::Reason;
    use crate::segment::Seq;

    const MS: u64 = 1_000_000;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn unit(sent_at: Instant, snapshot: Snapshot, marks: Marks) -> Unit {
        let (seq, lost_by) = (Seq(0), Reason::New);
        Unit { seq, len: 1_000, charge: 1_000, transmissions: 1, marks, lost_by, sent_at, snapshot }
    }

    /// Delivers one unit and returns its sample.
    fn deliver(rate: &mut DeliveryRate, now: Instant, unit: &Unit, min_rtt: u64) -> RateSample {
        let mut candidate = Candidate::default();
        rate.on_delivered(now, unit, &mut candidate);
        rate.sample(now, &candidate, Some(min_rtt * MS)).expect("a sample")
    }

    #[test]
    fn bbr_draft_section_4_1_the_rate_is_what_was_delivered_over_the_longer_interval() {
        let mut rate = DeliveryRate::new(at(0));
        // Four segments leave at once and arrive 10 ms apart after 100 ms; then each ACK lets one go.
        let first: Vec<_> = (0..4).map(|index| rate.on_sent(at(0), 1_000 * (index + 1), index == 0)).collect();
        for index in 0..4 {
            let now = at(100 + 10 * index);
            deliver(&mut rate, now, &unit(at(0), first[index as usize], Marks::default()), 100);
            let snapshot = rate.on_sent(now, 4_000, false);
            if index == 3 {
                // Three others are delivered first. The ACK interval is 130 to 240, the send interval 0 to 130.
                for other in 1..=3 {
                    deliver(
                        &mut rate,
                        at(200 + 10 * other),
                        &unit(at(100 + 10 * other), first[0], Marks::default()),
                        100,
                    );
                }
                let sample = deliver(&mut rate, at(240), &unit(now, snapshot, Marks::default()), 100);
                assert_eq!((sample.prior_delivered, sample.delivered), (4_000, 4_000));
                assert_eq!(sample.interval, Duration::from_millis(130));
                assert_eq!(sample.tx_in_flight, 4_000);
            }
        }
        assert_eq!(rate.delivered(), 8_000);
    }

    #[test]
    fn an_interval_shorter_than_the_smallest_rtt_gives_no_rate() {
        let mut rate = DeliveryRate::new(at(0));
        let snapshot = rate.on_sent(at(0), 1_000, true);
        let sample = deliver(&mut rate, at(99), &unit(at(0), snapshot, Marks::default()), 100);
        assert_eq!((sample.interval, sample.delivery_rate()), (Duration::ZERO, 0));
        let snapshot = rate.on_sent(at(200), 1_000, true);
        let sample = deliver(&mut rate, at(300), &unit(at(200), snapshot, Marks::default()), 100);
        assert_eq!(sample.delivery_rate(), 10_000);
    }

    #[test]
    fn the_newest_unit_of_an_ack_gives_the_sample() {
        let mut rate = DeliveryRate::new(at(0));
        let old = rate.on_sent(at(0), 1_000, true);
        let new = rate.on_sent(at(5), 2_000, false);
        let mut candidate = Candidate::default();
        rate.on_delivered(at(100), &unit(at(5), new, Marks::APP_LIMITED), &mut candidate);
        rate.on_delivered(at(100), &unit(at(0), old, Marks::default()), &mut candidate);
        let sample = rate.sample(at(100), &candidate, None).expect("a sample");
        assert!(sample.app_limited);
        assert_eq!(sample.tx_in_flight, 2_000);
    }

    #[test]
    fn the_application_limit_ends_when_what_was_in_flight_then_is_delivered() {
        let mut rate = DeliveryRate::new(at(0));
        let snapshot = rate.on_sent(at(0), 1_000, true);
        rate.mark_app_limited(1_000);
        assert!(rate.is_app_limited());
        deliver(&mut rate, at(100), &unit(at(0), snapshot, Marks::default()), 100);
        assert!(rate.is_app_limited(), "delivered must exceed it");
        let snapshot = rate.on_sent(at(100), 1_000, true);
        deliver(&mut rate, at(200), &unit(at(100), snapshot, Marks::APP_LIMITED), 100);
        assert!(!rate.is_app_limited());
    }

    #[test]
    fn losses_since_a_unit_was_sent_are_counted() {
        let mut rate = DeliveryRate::new(at(0));
        let snapshot = rate.on_sent(at(0), 1_000, true);
        let lost = Lost { unit: unit(at(0), snapshot, Marks::default()), new_range: true };
        assert_eq!(rate.on_lost(at(50), &lost).lost, 1_000);
        assert_eq!(rate.on_lost(at(50), &lost).lost, 2_000);
        assert_eq!(deliver(&mut rate, at(100), &unit(at(0), snapshot, Marks::default()), 100).lost, 2_000);
    }
}
