//! How the receive buffer grows with the flow (Linux's `tcp_rcv_space_adjust`, "dynamic right-sizing"): the application
//! reads so much in a round trip; the buffer gets room for twice as much, and for more while the rate still grows.
//! Simplification: Linux also raises the window slowly within the buffer (`rcv_ssthresh`); here the window is the buffer.

use crate::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    size: usize,
    /// Linux's third `tcp_rmem`; the size if it is fixed.
    max: usize,
    mss: u32,
    /// Bytes read in the last round trip (Linux's `rcvq_space.space`).
    per_round: u64,
    /// Where reading stood when this round trip began, and when.
    began: u64,
    began_at: Instant,
    /// The round-trip time as the receiver sees it, in nanoseconds.
    rtt: Option<u64>,
    /// Without timestamps: a round trip ends when RCV.NXT reaches this position.
    round_end: Option<(u64, Instant)>,
}

impl Growth {
    pub(super) fn new(size: usize, max: usize, mss: u32, now: Instant) -> Self {
        // Linux begins with the initial window of a sender.
        let per_round = (10 * u64::from(mss)).min(size as u64).max(1);
        Self { size, max, mss, per_round, began: 0, began_at: now, rtt: None, round_end: None }
    }

    /// The size stays as it is.
    pub(super) fn fix(&mut self) {
        self.max = 0;
    }

    /// A sample from the echo of a timestamp, in nanoseconds.
    pub(super) fn on_rtt(&mut self, sample: u64) {
        self.rtt = Some(self.rtt.map_or(sample, |rtt| rtt.saturating_mul(7).saturating_add(sample) / 8));
    }

    /// RCV.NXT is `nxt` and the window ends at `edge`.
    pub(super) fn on_received(&mut self, now: Instant, nxt: u64, edge: u64) {
        match self.round_end {
            Some((end, _)) if nxt < end => {}
            Some((_, began_at)) => {
                // A window may take longer than a round trip: only less counts.
                let sample = now.nanos_since(began_at);
                self.rtt = Some(self.rtt.map_or(sample, |rtt| rtt.min(sample)));
                self.round_end = Some((edge, now));
            }
            None => self.round_end = Some((edge, now)),
        }
    }

    /// The application has read up to `read`. Returns the new size, if the buffer grows.
    pub(super) fn on_read(&mut self, now: Instant, read: u64) -> Option<usize> {
        let rtt = self.rtt?;
        if now.nanos_since(self.began_at) < rtt {
            return None;
        }
        let copied = read - self.began;
        (self.began, self.began_at) = (read, now);
        if copied <= self.per_round {
            return None;
        }
        // "The 16 segments let slow start begin"; the last term is for a sender in slow start.
        let wanted = 2 * copied + 16 * u64::from(self.mss);
        let more = wanted.saturating_mul(copied - self.per_round) / self.per_round;
        self.per_round = copied;
        let size = usize::try_from(wanted.saturating_add(2 * more)).unwrap_or(usize::MAX).min(self.max);
        (size > self.size).then(|| {
            self.size = size;
            size
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    const RTT: Duration = Duration::from_millis(50);

    #[test]
    fn the_buffer_grows_to_twice_what_is_read_in_a_round_trip_up_to_its_limit() {
        let mut growth = Growth::new(65_536, 1 << 20, 1_448, Instant::EPOCH);
        growth.on_rtt(RTT.as_nanos() as u64);
        let (mut now, mut read, mut size) = (Instant::EPOCH, 0, 65_536);
        for _ in 0..100 {
            now += RTT;
            read += 200_000;
            size = growth.on_read(now, read).unwrap_or(size);
            assert!(size <= 1 << 20);
        }
        assert!(size >= 400_000, "{size}");
    }

    #[test]
    fn a_slow_reader_and_a_fixed_buffer_do_not_grow() {
        let mut slow = Growth::new(65_536, 1 << 20, 1_448, Instant::EPOCH);
        slow.on_rtt(RTT.as_nanos() as u64);
        assert_eq!(slow.on_read(Instant::EPOCH + RTT, 14_480), None);
        let mut fixed = Growth::new(65_536, 65_536, 1_448, Instant::EPOCH);
        fixed.on_rtt(RTT.as_nanos() as u64);
        assert_eq!(fixed.on_read(Instant::EPOCH + RTT, 1_000_000), None);
    }

    #[test]
    fn before_a_round_trip_has_passed_nothing_changes() {
        let mut growth = Growth::new(65_536, 1 << 20, 1_448, Instant::EPOCH);
        assert_eq!(growth.on_read(Instant::from_secs(1), 1_000_000), None, "no round-trip time is known");
        growth.on_rtt(RTT.as_nanos() as u64);
        let just_before = Instant::EPOCH + Duration::from_micros(49_999);
        assert_eq!(growth.on_read(just_before, 1_000_000), None);
        assert!(growth.on_read(Instant::EPOCH + RTT, 1_000_000).is_some());
    }
}
