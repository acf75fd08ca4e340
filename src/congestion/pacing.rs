//! Pacing: what is in cwnd leaves evenly over the round trip instead of at once. A token bucket of one quantum. The
//! rate is the controller's, or derived from cwnd and SRTT as Linux does it. The sender asks [`Pacer::may_send`] before
//! each segment and wakes up at [`Pacer::next_at`].

use super::Controller;
use super::sample::nanos;
use crate::time::{Duration, Instant};

/// Linux's `tcp_pacing_ss_ratio`: in the first half of slow start, twice the rate that fills cwnd once in an SRTT.
const SLOW_START_PERCENT: u64 = 200;
/// Linux's `tcp_pacing_ca_ratio`.
const AVOIDANCE_PERCENT: u64 = 120;
/// The quantum is what leaves in one millisecond, at most 64 KiB (draft-ietf-ccwg-bbr, "Send Quantum"; Linux's TSO
/// sizing).
const QUANTUM_TIME: u64 = 1_000_000;
const QUANTUM_MAX: u64 = 64 * 1024;

/// The rate at which `controller` wants to send, in bytes per second; `None` before the first RTT sample.
pub fn pacing_rate(controller: &dyn Controller, srtt: Option<Duration>) -> Option<u64> {
    if let Some(rate) = controller.pacing_rate() {
        return Some(rate);
    }
    let cwnd = controller.cwnd();
    let percent = if cwnd < controller.ssthresh() / 2 { SLOW_START_PERCENT } else { AVOIDANCE_PERCENT };
    // An SRTT of 0 occurs in virtual time, over loopback.
    let srtt = nanos(srtt?).max(1_000);
    Some(cwnd.saturating_mul(10_000_000 * percent) / srtt)
}

/// A token bucket for one connection.
///
/// What leaves in an interval is at most rate * interval + one quantum + one segment.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    /// Bytes per second; `None` sends at once.
    rate: Option<u64>,
    /// When the bucket is full again: a full quantum may leave.
    full_at: Instant,
    /// How long the rate takes for a quantum.
    quantum_time: Duration,
    /// Bytes that may leave before pacing begins: the initial window, as on Linux.
    unpaced: u64,
    mss: u64,
    /// A segment was refused and waits.
    waiting: bool,
}

impl Pacer {
    /// A pacer that lets the first `unpaced` bytes go at once. Linux does not pace the first ten segments.
    pub const fn new(mss: u64, unpaced: u64) -> Self {
        Self { rate: None, full_at: Instant::EPOCH, quantum_time: Duration::ZERO, unpaced, mss, waiting: false }
    }

    /// The MSS has changed.
    pub fn set_mss(&mut self, mss: u64) {
        self.mss = mss;
        let rate = self.rate.take();
        self.set_rate(rate);
    }

    /// The rate has changed, in bytes per second. A rate of 0 counts as one byte per second.
    pub fn set_rate(&mut self, rate: Option<u64>) {
        if rate == self.rate {
            return;
        }
        self.rate = rate;
        if let Some(rate) = rate {
            self.quantum_time = time_for(self.quantum(), rate);
        }
    }

    /// The rate in bytes per second; `None` while nothing is paced.
    pub const fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// What may leave at once, in bytes: at least two segments.
    pub fn quantum(&self) -> u64 {
        let rate = self.rate.unwrap_or(u64::MAX);
        (rate / (1_000_000_000 / QUANTUM_TIME)).min(QUANTUM_MAX).max(2 * self.mss)
    }

    /// True if a segment may leave now. After a "no" [`next_at`](Self::next_at) is set, after a "yes" it is not.
    ///
    /// Ask before each segment and before looking at data and window. A sender that asks last keeps a deadline of the
    /// past when cwnd stops it, and would wake up again and again.
    pub fn may_send(&mut self, now: Instant) -> bool {
        // At a very high rate a quantum takes no time: a deadline of now would come again and again.
        let in_debt = self.full_at > now && self.full_at >= now + self.quantum_time;
        self.waiting = self.rate.is_some() && self.unpaced == 0 && in_debt;
        !self.waiting
    }

    /// When to ask again, if the last answer was "no". The bucket is full then: one wake-up serves a quantum.
    ///
    /// It does not change as time goes by: whoever handles another event first, and does not ask, still wakes up.
    pub fn next_at(&self) -> Option<Instant> {
        self.waiting.then_some(self.full_at)
    }

    /// A segment left; `bytes` as charged.
    pub fn on_sent(&mut self, now: Instant, bytes: u64) {
        if self.unpaced > 0 {
            self.unpaced = self.unpaced.saturating_sub(bytes);
            return;
        }
        if let Some(rate) = self.rate {
            // An idle time fills the bucket once, not more.
            self.full_at = self.full_at.max(now) + time_for(bytes, rate);
        }
    }
}

fn time_for(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::{Reno, Setup};

    const MSS: u64 = 1_000;

    /// Sends whenever it may until `end`; returns the bytes sent and the number of wake-ups.
    fn drain(pacer: &mut Pacer, end: Instant) -> (u64, u64) {
        let (mut now, mut sent, mut wakes) = (Instant::EPOCH, 0, 0);
        while now <= end {
            while pacer.may_send(now) {
                pacer.on_sent(now, MSS);
                sent += MSS;
            }
            wakes += 1;
            now = pacer.next_at().unwrap();
        }
        (sent, wakes)
    }

    #[test]
    fn a_rate_at_which_a_quantum_takes_no_time_never_waits() {
        let mut pacer = Pacer::new(MSS, 0);
        pacer.set_rate(Some(1 << 50));
        for _ in 0..1_000 {
            assert!(pacer.may_send(Instant::from_secs(1)));
            assert_eq!(pacer.next_at(), None);
            pacer.on_sent(Instant::from_secs(1), MSS);
        }
    }

    #[test]
    fn what_leaves_in_an_interval_is_at_most_the_rate_and_one_quantum_and_one_segment() {
        for rate in [10_000, 123_456, 1_000_000, 12_500_000, 125_000_000] {
            let mut pacer = Pacer::new(MSS, 0);
            pacer.set_rate(Some(rate));
            let (sent, wakes) = drain(&mut pacer, Instant::from_secs(1));
            assert!(sent <= rate + pacer.quantum() + MSS, "{rate}: {sent}");
            assert!(sent >= rate - pacer.quantum(), "{rate}: {sent}");
            assert!(wakes <= rate / pacer.quantum() + 2, "{rate}: {wakes}");
        }
    }

    #[test]
    fn the_initial_window_leaves_at_once_and_the_next_segments_are_paced() {
        let mut pacer = Pacer::new(MSS, 10 * MSS);
        pacer.set_rate(Some(1_000_000));
        let now = Instant::EPOCH;
        let mut sent = 0;
        while pacer.may_send(now) {
            pacer.on_sent(now, MSS);
            sent += 1;
        }
        assert_eq!(sent, 12, "ten segments of the initial window and a quantum of two");
        assert_eq!(pacer.next_at(), Some(Instant::from_millis(2)));
    }

    #[test]
    fn an_idle_time_fills_the_bucket_once() {
        let mut pacer = Pacer::new(MSS, 0);
        pacer.set_rate(Some(1_000_000));
        let now = Instant::from_secs(100);
        let mut sent = 0;
        while pacer.may_send(now) {
            pacer.on_sent(now, MSS);
            sent += 1;
        }
        assert_eq!(sent, 2);
    }

    #[test]
    fn the_deadline_stays_when_time_goes_by_without_a_question() {
        let mut pacer = Pacer::new(MSS, 0);
        pacer.set_rate(Some(1_000_000));
        while pacer.may_send(Instant::EPOCH) {
            pacer.on_sent(Instant::EPOCH, MSS);
        }
        let at = pacer.next_at();
        assert_eq!(at, Some(Instant::from_millis(2)));
        // One segment might leave now, but nobody asks.
        assert_eq!(pacer.next_at(), at);
        assert!(pacer.may_send(Instant::from_millis(1)));
        assert_eq!(pacer.next_at(), None);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut pacer = Pacer::new(MSS, 0);
        pacer.on_sent(Instant::EPOCH, 1 << 30);
        assert!(pacer.may_send(Instant::EPOCH));
        assert_eq!(pacer.next_at(), None);
    }

    #[test]
    fn a_window_is_paced_at_twice_its_rate_in_slow_start_and_at_six_fifths_later() {
        let mut setup = Setup::new(MSS, Instant::EPOCH);
        let srtt = Some(Duration::from_millis(100));
        assert_eq!(pacing_rate(&Reno::new(&setup), None), None);
        assert_eq!(pacing_rate(&Reno::new(&setup), srtt), Some(200_000));
        setup.ssthresh = 20 * MSS;
        assert_eq!(pacing_rate(&Reno::new(&setup), srtt), Some(120_000), "from half of ssthresh on");
        setup.ssthresh = 20 * MSS + 2;
        assert_eq!(pacing_rate(&Reno::new(&setup), srtt), Some(200_000));
    }

    #[test]
    fn a_round_trip_of_zero_is_no_division_by_zero() {
        let reno = Reno::new(&Setup::new(MSS, Instant::EPOCH));
        assert!(pacing_rate(&reno, Some(Duration::ZERO)).is_some());
    }
}
