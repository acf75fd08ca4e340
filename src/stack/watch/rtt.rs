//! The mirror of smoltcp's round-trip time estimator: RFC 6298 in whole milliseconds.
//!
//! One segment at a time is timed. It is chosen when it is first sent and given up when anything is retransmitted
//! (Karn's algorithm: RFC 6298, section 3), so that an acknowledgment of a retransmission never becomes a sample. Both
//! averages are rounded up, which keeps a small RTTVAR from dying out.

use super::Micros;
use crate::segment::Seq;

/// "Until a round-trip time (RTT) measurement has been made [...] the sender SHOULD set RTO <- 1 second" (RFC 6298,
/// section 2.1), which is also the smallest RTO (2.4).
const MIN_RTO: u32 = 1_000;
/// "A maximum value MAY be placed on RTO provided it is at least 60 seconds" (2.5). Zero-window probes stop there too.
pub(super) const MAX_RTO: u32 = 60_000;
/// G of RFC 6298, section 2.3: the least that is added to SRTT.
const MIN_MARGIN: u32 = 5;
/// "A TCP implementation MAY clear SRTT and RTTVAR after backing off the timer multiple times" (5.7): after this many.
const BOGUS_AFTER: u8 = 3;

/// SRTT, RTTVAR, RTO, and the segment that is being timed. All times are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rtt {
    /// When the timed segment was sent; meaningless unless `timing`.
    pub(super) timed_at: Micros,
    /// The sequence number whose acknowledgment ends the measurement.
    pub(super) timed_end: Seq,
    /// The highest sequence number sent so far; meaningless until `sent`.
    pub(super) high: Seq,
    pub(super) srtt: u32,
    pub(super) rttvar: u32,
    pub(super) rto: u32,
    /// Timeouts since the last sample, modulo [`BOGUS_AFTER`].
    pub(super) rto_count: u8,
    /// SRTT and RTTVAR mean something.
    pub(super) measured: bool,
    pub(super) timing: bool,
    pub(super) sent: bool,
}

impl Rtt {
    pub(super) const fn new() -> Self {
        Self {
            timed_at: 0,
            timed_end: Seq(0),
            high: Seq(0),
            srtt: 0,
            rttvar: 0,
            rto: MIN_RTO,
            rto_count: 0,
            measured: false,
            timing: false,
            sent: false,
        }
    }

    /// A segment that ends before `end` was sent. It is timed if it carries something new and no other is being timed.
    pub(super) fn on_send(&mut self, now: Micros, end: Seq) {
        if self.sent && end <= self.high {
            return;
        }
        self.high = end;
        self.sent = true;
        if !self.timing {
            self.timing = true;
            self.timed_at = now;
            self.timed_end = end;
        }
    }

    /// An acknowledgment that is not a duplicate was accepted.
    pub(super) fn on_ack(&mut self, now: Micros, ack: Seq) {
        if self.timing && ack >= self.timed_end {
            self.timing = false;
            self.sample((now.abs_diff(self.timed_at) / 1_000) as u32);
        }
    }

    /// RFC 6298, sections 2.2 and 2.3, with alpha = 1/8, beta = 1/4, K = 4.
    fn sample(&mut self, rtt: u32) {
        if self.measured {
            let deviation = u64::from(self.srtt.abs_diff(rtt));
            self.rttvar = (u64::from(self.rttvar) * 3 + deviation).div_ceil(4) as u32;
            self.srtt = (u64::from(self.srtt) * 7 + u64::from(rtt)).div_ceil(8) as u32;
        } else {
            self.measured = true;
            self.rttvar = rtt / 2;
            self.srtt = rtt;
        }
        let margin = self.rttvar.saturating_mul(4).max(MIN_MARGIN);
        self.rto = self.srtt.saturating_add(margin).clamp(MIN_RTO, MAX_RTO);
        self.rto_count = 0;
    }

    /// "The host MUST set RTO <- RTO * 2" (RFC 6298, section 5.5).
    pub(super) fn on_timeout(&mut self) {
        self.rto = (self.rto * 2).min(MAX_RTO);
        self.rto_count += 1;
        if self.rto_count == BOGUS_AFTER {
            self.rto_count = 0;
            self.measured = false;
        }
    }

    /// "RTT samples MUST NOT be made using segments that were retransmitted" (RFC 6298, section 3).
    pub(super) fn on_retransmit(&mut self) {
        self.timing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(rtt: &mut Rtt, end: u32, millis: u64) {
        rtt.on_send(0, Seq(end));
        rtt.on_ack(millis * 1_000, Seq(end));
    }

    #[test]
    fn the_first_sample_sets_srtt_and_half_of_it_as_rttvar() {
        let mut rtt = Rtt::new();
        timed(&mut rtt, 1, 800);
        assert_eq!((rtt.measured, rtt.srtt, rtt.rttvar, rtt.rto), (true, 800, 400, 2_400));
    }

    #[test]
    fn later_samples_move_the_averages_by_an_eighth_and_a_quarter_rounded_up() {
        let mut rtt = Rtt::new();
        timed(&mut rtt, 1, 100);
        timed(&mut rtt, 2, 181);
        // RTTVAR = ceil((3 * 50 + 81) / 4), SRTT = ceil((7 * 100 + 181) / 8).
        assert_eq!((rtt.srtt, rtt.rttvar, rtt.rto), (111, 58, MIN_RTO));
    }

    #[test]
    fn each_timeout_doubles_the_rto_up_to_a_minute_and_the_third_forgets_the_measurement() {
        let mut rtt = Rtt::new();
        timed(&mut rtt, 1, 10);
        rtt.on_timeout();
        rtt.on_timeout();
        assert_eq!((rtt.rto, rtt.rto_count, rtt.measured), (4_000, 2, true));
        rtt.on_timeout();
        assert_eq!((rtt.rto, rtt.rto_count, rtt.measured), (8_000, 0, false));
        for _ in 0..10 {
            rtt.on_timeout();
        }
        assert_eq!(rtt.rto, MAX_RTO);
    }

    #[test]
    fn a_retransmission_ends_the_measurement_and_a_resent_segment_does_not_start_one() {
        let mut rtt = Rtt::new();
        rtt.on_send(0, Seq(100));
        rtt.on_retransmit();
        rtt.on_send(5, Seq(100));
        assert!(!rtt.timing);
        rtt.on_ack(9_000, Seq(100));
        assert!(!rtt.measured);
        rtt.on_send(10_000, Seq(200));
        rtt.on_ack(13_000, Seq(200));
        assert_eq!((rtt.measured, rtt.srtt), (true, 3));
    }

    #[test]
    fn a_week_long_round_trip_does_not_overflow() {
        let mut rtt = Rtt::new();
        for end in 1..5 {
            timed(&mut rtt, end, u64::from(u32::MAX));
        }
        assert_eq!(rtt.rto, MAX_RTO);
    }
}
