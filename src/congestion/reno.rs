//! Reno (RFC 5681) with Appropriate Byte Counting (RFC 3465), `HyStart++` (RFC 9406) and undo. Slow start up to
//! ssthresh, then one segment for each window of data; half of the flight after a loss. Fast retransmit and fast
//! recovery are `recovery`'s. Linux's "reno" differs in three things: it counts packets, it takes half of cwnd instead
//! of half of the flight, and it has no `HyStart`.

use super::sample::{AckSample, CongestionSample};
use super::window::Window;
use super::{Controller, MAX_CWND, Setup};
use crate::time::Instant;

/// The Reno controller.
#[derive(Debug)]
pub struct Reno {
    window: Window,
    /// `bytes_acked` of RFC 3465: delivered since cwnd last grew in congestion avoidance.
    bytes_acked: u64,
    /// cwnd and ssthresh before the last reduction.
    saved: Option<(u64, u64)>,
}

impl Reno {
    /// A controller for one connection.
    pub fn new(setup: &Setup) -> Self {
        Self { window: Window::new(setup), bytes_acked: 0, saved: None }
    }
}

impl Controller for Reno {
    fn name(&self) -> &'static str {
        "reno"
    }

    fn cwnd(&self) -> u64 {
        self.window.cwnd
    }

    fn ssthresh(&self) -> u64 {
        self.window.ssthresh
    }

    fn on_ack(&mut self, ack: &AckSample) {
        let left = self.window.slow_start(ack);
        if left == 0 {
            return;
        }
        // RFC 5681, section 3.1: count bytes, and when they reach cwnd, "cwnd += SMSS". So delayed ACKs do not slow it
        // down. Equation 3, SMSS * SMSS / cwnd for each ACK, would.
        self.bytes_acked += left;
        let cwnd = self.window.cwnd;
        if self.bytes_acked >= cwnd {
            // "no more than 1 full-sized segment per RTT": what is over counts at most for the next one.
            self.bytes_acked = (self.bytes_acked - cwnd).min(cwnd);
            self.window.cwnd = (cwnd + self.window.mss).min(MAX_CWND);
        }
    }

    fn on_congestion(&mut self, congestion: &CongestionSample) {
        if self.window.begins_recovery() {
            self.saved = Some((self.window.cwnd, self.window.ssthresh));
        }
        // RFC 5681, equation 4: "ssthresh = max (FlightSize / 2, 2*SMSS)".
        let ssthresh = self.window.flight(congestion) / 2;
        self.window.reduce(congestion, ssthresh);
        self.bytes_acked = 0;
    }

    fn on_recovery_end(&mut self, _now: Instant, cap: u64) {
        self.window.on_recovery_end(cap);
    }

    fn on_idle_restart(&mut self, _now: Instant) {
        self.window.on_idle_restart();
        self.bytes_acked = 0;
    }

    fn undo(&mut self, _now: Instant) {
        if let Some((cwnd, ssthresh)) = self.saved.take() {
            self.window.undo(cwnd, ssthresh);
        }
    }

    fn set_mss(&mut self, mss: u64) {
        self.window.set_mss(mss);
    }

    fn phase(&self) -> &'static str {
        self.window.phase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::sample::Signal;
    use crate::congestion::tests::{ack, congestion};

    const MSS: u64 = 1_000;

    fn reno(cwnd: u64, ssthresh: u64) -> Reno {
        Reno::new(&Setup { cwnd: cwnd * MSS, ssthresh, ..Setup::new(MSS, Instant::EPOCH) })
    }

    #[test]
    fn slow_start_adds_what_was_acked_and_doubles_cwnd_in_a_round() {
        let mut reno = reno(10, u64::MAX);
        for _ in 0..5 {
            reno.on_ack(&ack(0, 2 * MSS));
        }
        assert_eq!(reno.cwnd(), 20 * MSS);
    }

    #[test]
    fn slow_start_ends_at_ssthresh_and_the_rest_of_the_ack_counts_for_congestion_avoidance() {
        let mut reno = reno(10, 11 * MSS);
        reno.on_ack(&ack(0, 2 * MSS));
        assert_eq!(reno.cwnd(), 11 * MSS);
        for _ in 0..5 {
            reno.on_ack(&ack(0, 2 * MSS));
        }
        assert_eq!(reno.cwnd(), 12 * MSS, "one segment of the first ACK and ten more are a window");
    }

    #[test]
    fn congestion_avoidance_adds_one_segment_per_window_however_it_is_acked() {
        for step in [MSS / 2, MSS, 2 * MSS, 5 * MSS] {
            let mut reno = reno(10, 10 * MSS);
            for _ in 0..10 * MSS / step - 1 {
                reno.on_ack(&ack(0, step));
            }
            assert_eq!(reno.cwnd(), 10 * MSS, "{step}");
            reno.on_ack(&ack(0, step));
            assert_eq!(reno.cwnd(), 11 * MSS, "{step}");
        }
    }

    #[test]
    fn cwnd_grows_neither_on_duplicate_acks_nor_while_it_is_not_the_limit() {
        for ssthresh in [u64::MAX, 10 * MSS] {
            let mut reno = reno(10, ssthresh);
            for _ in 0..100 {
                reno.on_ack(&AckSample { newly_acked: 0, ..ack(0, MSS) });
                reno.on_ack(&AckSample { cwnd_limited: false, ..ack(0, MSS) });
            }
            assert_eq!(reno.cwnd(), 10 * MSS);
        }
    }

    #[test]
    fn a_loss_halves_the_flight_but_not_below_two_segments() {
        let mut reno = reno(20, 10 * MSS);
        reno.on_congestion(&congestion(Signal::Loss, 16 * MSS));
        assert_eq!((reno.cwnd(), reno.ssthresh()), (8 * MSS, 8 * MSS));
        reno.on_recovery_end(Instant::EPOCH, u64::MAX);
        reno.on_congestion(&congestion(Signal::Loss, 3 * MSS));
        assert_eq!((reno.cwnd(), reno.ssthresh()), (2 * MSS, 2 * MSS));
    }

    #[test]
    fn segments_of_limited_transmit_do_not_count_in_the_flight() {
        let mut reno = reno(10, 10 * MSS);
        reno.on_congestion(&congestion(Signal::Loss, 12 * MSS));
        assert_eq!(reno.ssthresh(), 5 * MSS);
    }

    #[test]
    fn a_timeout_leaves_one_segment_and_the_next_one_holds_ssthresh() {
        let mut reno = reno(20, u64::MAX);
        reno.on_congestion(&congestion(Signal::Timeout { again: false }, 20 * MSS));
        assert_eq!((reno.cwnd(), reno.ssthresh()), (MSS, 10 * MSS));
        reno.on_congestion(&congestion(Signal::Timeout { again: true }, 20 * MSS));
        assert_eq!((reno.cwnd(), reno.ssthresh()), (MSS, 10 * MSS));
    }

    #[test]
    fn a_timeout_in_fast_recovery_lowers_ssthresh_a_second_time() {
        let mut reno = reno(20, u64::MAX);
        reno.on_congestion(&congestion(Signal::Loss, 20 * MSS));
        reno.on_congestion(&congestion(Signal::Timeout { again: false }, 20 * MSS));
        assert_eq!((reno.cwnd(), reno.ssthresh()), (MSS, 5 * MSS));
    }

    #[test]
    fn after_a_timeout_one_ack_adds_one_segment_until_all_of_the_old_flight_is_acked() {
        let mut reno = reno(20, u64::MAX);
        reno.on_congestion(&congestion(Signal::Timeout { again: false }, 20 * MSS));
        reno.on_ack(&ack(0, 7 * MSS));
        assert_eq!(reno.cwnd(), 2 * MSS);
        reno.on_recovery_end(Instant::EPOCH, u64::MAX);
        reno.on_ack(&ack(0, 4 * MSS));
        assert_eq!(reno.cwnd(), 6 * MSS);
    }

    #[test]
    fn undo_restores_what_was_before_the_first_reduction_and_keeps_what_has_grown() {
        let mut reno = reno(20, 30 * MSS);
        reno.on_congestion(&congestion(Signal::Loss, 20 * MSS));
        reno.on_congestion(&congestion(Signal::Timeout { again: false }, 20 * MSS));
        reno.undo(Instant::EPOCH);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (20 * MSS, 30 * MSS));
        reno.undo(Instant::EPOCH);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (20 * MSS, 30 * MSS), "a second undo changes nothing");
    }

    #[test]
    fn undo_after_the_end_of_recovery_still_restores() {
        let mut reno = reno(20, 10 * MSS);
        reno.on_congestion(&congestion(Signal::Loss, 20 * MSS));
        reno.on_recovery_end(Instant::EPOCH, u64::MAX);
        reno.undo(Instant::EPOCH);
        assert_eq!(reno.cwnd(), 20 * MSS);
    }

    #[test]
    fn recovery_ends_with_cwnd_at_most_at_the_cap() {
        let mut reno = reno(20, 10 * MSS);
        reno.on_congestion(&congestion(Signal::Loss, 20 * MSS));
        reno.on_recovery_end(Instant::EPOCH, 3 * MSS);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (3 * MSS, 10 * MSS));
    }

    #[test]
    fn after_idle_cwnd_is_at_most_the_initial_window() {
        let mut large = reno(200, 100 * MSS);
        large.on_idle_restart(Instant::EPOCH);
        assert_eq!(large.cwnd(), 10 * MSS);
        assert_eq!(large.ssthresh(), 100 * MSS);
        let mut small = reno(3, 100 * MSS);
        small.on_idle_restart(Instant::EPOCH);
        assert_eq!(small.cwnd(), 3 * MSS, "RW = min(IW, cwnd)");
    }
}
