//! `HyStart++` (RFC 9406): leave slow start when the delay grows, before the queue overflows. It watches the smallest
//! RTT of each round. A rise leads to Conservative Slow Start (CSS), which grows at a quarter of the speed; after five
//! rounds of it slow start ends. Reno and CUBIC use it, in the first slow start of a connection only.
//!
//! Linux has the older `HyStart`, in CUBIC only: it ends slow start at once on a rise of the delay or on a train of
//! ACKs.

use super::sample::{AckSample, nanos};
use crate::segment::Seq;

// RFC 9406, section 4.3: the recommended constants. Times in nanoseconds.
const MIN_RTT_THRESH: u64 = 4_000_000;
const MAX_RTT_THRESH: u64 = 16_000_000;
const MIN_RTT_DIVISOR: u64 = 8;
const N_RTT_SAMPLE: u32 = 8;
const CSS_GROWTH_DIVISOR: u64 = 4;
const CSS_ROUNDS: u32 = 5;
/// L without pacing: how many segments one ACK may add. With pacing there is no limit.
const L: u64 = 8;

const INFINITY: u64 = u64::MAX;

/// Where the delay stands, round by round.
#[derive(Clone, Copy, Debug)]
pub(super) struct HyStart {
    last_round_min_rtt: u64,
    current_round_min_rtt: u64,
    rtt_sample_count: u32,
    /// SND.NXT when this round began; `None` before the first ACK.
    window_end: Option<Seq>,
    /// `cssBaselineMinRtt`; `Some` in CSS.
    css_baseline: Option<u64>,
    css_rounds: u32,
}

impl HyStart {
    pub(super) const fn new() -> Self {
        Self {
            last_round_min_rtt: INFINITY,
            current_round_min_rtt: INFINITY,
            rtt_sample_count: 0,
            window_end: None,
            css_baseline: None,
            css_rounds: 0,
        }
    }

    /// In Conservative Slow Start.
    pub(super) const fn in_css(&self) -> bool {
        self.css_baseline.is_some()
    }

    /// By how much cwnd may grow for `acked` bytes (section 4.2): `cwnd = cwnd + min(N, L * SMSS)`.
    pub(super) fn growth(acked: u64, mss: u64, paced: bool) -> u64 {
        if paced { acked } else { acked.min(L * mss) }
    }

    /// The same in Conservative Slow Start: `/ CSS_GROWTH_DIVISOR`.
    pub(super) fn slowed(&self, growth: u64) -> u64 {
        if self.in_css() { growth / CSS_GROWTH_DIVISOR } else { growth }
    }

    /// An ACK came in slow start or in CSS (section 4.2). True if the rounds of CSS are over: ssthresh becomes cwnd.
    pub(super) fn on_ack(&mut self, ack: &AckSample) -> bool {
        // A round is one window of data. It ends with the first ACK beyond what was SND.NXT at its start: by then
        // SND.NXT covers all that the old round let go, and the next round does not begin with the full queue at the
        // end of this one.
        let ended = self.window_end.is_some_and(|end| ack.snd_una > end);
        if self.window_end.is_none() {
            self.window_end = Some(ack.snd_nxt);
        }
        if ended && self.next_round(ack.snd_nxt) {
            return true;
        }
        let Some(rtt) = ack.rtt else { return false };
        self.current_round_min_rtt = self.current_round_min_rtt.min(nanos(rtt));
        self.rtt_sample_count = self.rtt_sample_count.saturating_add(1);
        if self.rtt_sample_count >= N_RTT_SAMPLE {
            self.compare();
        }
        false
    }

    /// "lastRoundMinRTT = currentRoundMinRTT, currentRoundMinRTT = infinity, rttSampleCount = 0". True if that was the
    /// last of CSS.
    fn next_round(&mut self, snd_nxt: Seq) -> bool {
        self.last_round_min_rtt = self.current_round_min_rtt;
        self.current_round_min_rtt = INFINITY;
        self.rtt_sample_count = 0;
        self.window_end = Some(snd_nxt);
        if !self.in_css() {
            return false;
        }
        // "If the transition into CSS happens in the middle of a round, that partial round counts towards the limit."
        self.css_rounds += 1;
        self.css_rounds >= CSS_ROUNDS
    }

    fn compare(&mut self) {
        match self.css_baseline {
            None if self.last_round_min_rtt != INFINITY => {
                // "RttThresh = max(MIN_RTT_THRESH, min(lastRoundMinRTT / MIN_RTT_DIVISOR, MAX_RTT_THRESH))"
                let threshold = (self.last_round_min_rtt / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH);
                if self.current_round_min_rtt >= self.last_round_min_rtt.saturating_add(threshold) {
                    self.css_baseline = Some(self.current_round_min_rtt);
                    self.css_rounds = 0;
                }
            }
            // "if (currentRoundMinRTT < cssBaselineMinRtt)": the exit was spurious, resume slow start.
            Some(baseline) if self.current_round_min_rtt < baseline => self.css_baseline = None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::tests::ack;
    use crate::time::Duration;

    /// Feeds rounds of ten ACKs with the RTT given in milliseconds for each round; returns the state and whether slow
    /// start ended.
    fn rounds(rtts: &[u64]) -> (HyStart, bool) {
        let mut hystart = HyStart::new();
        let mut una = 0;
        for &rtt in rtts {
            let end = una + 10;
            for _ in 0..10 {
                una += 1;
                let mut ack = ack(0, 1_000);
                // The first ACK of a round is beyond the old SND.NXT; the next window is in flight already.
                (ack.snd_una, ack.snd_nxt) = (Seq(una), Seq(end));
                ack.rtt = Some(Duration::from_millis(rtt));
                if hystart.on_ack(&ack) {
                    return (hystart, true);
                }
            }
        }
        (hystart, false)
    }

    #[test]
    fn css_begins_when_the_delay_has_grown_by_an_eighth() {
        assert!(!rounds(&[80, 89]).0.in_css());
        assert!(rounds(&[80, 90]).0.in_css());
    }

    #[test]
    fn the_threshold_is_at_least_4_and_at_most_16_milliseconds() {
        assert!(!rounds(&[10, 13]).0.in_css());
        assert!(rounds(&[10, 14]).0.in_css());
        assert!(!rounds(&[400, 415]).0.in_css());
        assert!(rounds(&[400, 416]).0.in_css());
    }

    #[test]
    fn slow_start_resumes_when_the_delay_falls_below_the_baseline_of_css() {
        assert!(rounds(&[80, 90, 90]).0.in_css());
        assert!(!rounds(&[80, 90, 89]).0.in_css());
    }

    #[test]
    fn css_lasts_five_rounds_with_the_partial_first_one() {
        assert!(!rounds(&[80, 90, 100, 110, 120, 130]).1);
        assert!(rounds(&[80, 90, 100, 110, 120, 130, 140]).1);
    }

    #[test]
    fn css_grows_at_a_quarter_and_one_ack_adds_at_most_eight_segments_unless_paced() {
        assert_eq!(HyStart::growth(8_000, 1_000, false), 8_000);
        assert_eq!(HyStart::growth(9_000, 1_000, false), 8_000);
        assert_eq!(HyStart::growth(9_000, 1_000, true), 9_000);
        assert_eq!(rounds(&[80, 90]).0.slowed(8_000), 2_000);
        assert_eq!(rounds(&[80, 80]).0.slowed(8_000), 8_000);
    }
}
