//! Whether cwnd is what bounds the flight. RFC 9438, section 5.8 and RFC 7661 ask that cwnd does not grow while the
//! application or the receiver's window bounds it; RFC 5681 alone would let it grow without use. The sender records
//! each batch of transmissions here and copies the answers into [`AckSample`](super::AckSample).

use crate::segment::Seq;

/// The use of cwnd in the current and the last window of data.
#[derive(Clone, Copy, Debug, Default)]
pub struct CwndUsage {
    current: Round,
    last: Round,
    /// SND.NXT when the current round began: it ends when this is acknowledged. `None` before the first transmission.
    end: Option<Seq>,
}

/// One window of data.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// The largest `pipe`, in charged bytes.
    max_pipe: u64,
    /// At some time not one more segment had room in cwnd.
    filled: bool,
}

impl CwndUsage {
    /// A batch of segments was sent; `pipe` includes it. Call it also when cwnd let nothing go.
    pub fn on_transmit(&mut self, pipe: u64, cwnd: u64, mss: u64, snd_una: Seq, snd_nxt: Seq) {
        if self.end.is_none_or(|end| snd_una >= end) {
            self.last = core::mem::take(&mut self.current);
            self.end = Some(snd_nxt);
        }
        self.current.max_pipe = self.current.max_pipe.max(pipe);
        self.current.filled |= pipe.saturating_add(mss) > cwnd;
    }

    /// True if in this or the last window of data not one more segment had room in cwnd.
    pub const fn is_cwnd_filled(&self) -> bool {
        self.current.filled || self.last.filled
    }

    /// True if cwnd may grow.
    ///
    /// In slow start it is enough that half of cwnd was used, as on Linux: cwnd then never exceeds twice what was in
    /// flight, and a sender that is slowed by its own pacing or by small writes is not held in slow start for ever.
    pub fn is_cwnd_limited(&self, cwnd: u64, slow_start: bool) -> bool {
        let max_pipe = self.current.max_pipe.max(self.last.max_pipe);
        self.is_cwnd_filled() || (slow_start && cwnd < max_pipe.saturating_mul(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u64 = 1_000;

    fn after(pipe: u64, cwnd: u64) -> CwndUsage {
        let mut usage = CwndUsage::default();
        usage.on_transmit(pipe, cwnd, MSS, Seq(0), Seq(pipe as u32));
        usage
    }

    #[test]
    fn cwnd_is_the_limit_when_not_one_more_segment_has_room() {
        assert!(!after(9_000, 10_000).is_cwnd_limited(10_000, false));
        assert!(after(9_001, 10_000).is_cwnd_limited(10_000, false));
    }

    #[test]
    fn in_slow_start_more_than_half_of_cwnd_in_use_is_enough() {
        assert!(!after(5_000, 10_000).is_cwnd_limited(10_000, true));
        assert!(after(5_001, 10_000).is_cwnd_limited(10_000, true));
        assert!(!after(5_001, 10_000).is_cwnd_limited(10_000, false));
    }

    #[test]
    fn a_full_window_counts_for_its_own_round_and_for_the_next_one() {
        let mut usage = after(10_000, 10_000);
        usage.on_transmit(1_000, 10_000, MSS, Seq(9_999), Seq(10_500));
        assert!(usage.is_cwnd_limited(10_000, false));
        usage.on_transmit(1_000, 10_000, MSS, Seq(10_000), Seq(11_000));
        assert!(usage.is_cwnd_limited(10_000, false));
        usage.on_transmit(1_000, 10_000, MSS, Seq(11_000), Seq(12_000));
        assert!(!usage.is_cwnd_limited(10_000, false));
    }

    #[test]
    fn rounds_end_whatever_the_initial_sequence_number_is() {
        for iss in [0, 1 << 31, u32::MAX] {
            let mut usage = CwndUsage::default();
            usage.on_transmit(10_000, 10_000, MSS, Seq(iss), Seq(iss) + 10_000);
            for round in 1..3 {
                let una = Seq(iss) + round * 10_000;
                usage.on_transmit(1_000, 10_000, MSS, una, una + 10_000);
            }
            assert!(!usage.is_cwnd_limited(10_000, false), "{iss}");
        }
    }
}
