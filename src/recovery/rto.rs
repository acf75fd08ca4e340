//! The retransmission timeout (RFC 6298) and the smallest RTT.
//! [`Recovery`](super::Recovery) gives it RTT samples by Karn's rule and asks how long to wait.

use crate::time::{Duration, Instant};

/// RFC 6298, section 5.7: the RTO when data transmission begins after the SYN's timer had expired.
const RTO_AFTER_LOST_SYN: u64 = 3_000_000_000;

/// How the RTO is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtoConfig {
    /// Before the first sample: 1 s (RFC 6298, section 2.1).
    pub initial: Duration,
    /// What RTTVAR adds at least. Linux: 200 ms. With 1 s the RTO obeys "rounded up to 1 second" of RFC 6298, section
    /// 2.4.
    pub min: Duration,
    /// At most: 120 s as on Linux (RFC 6298, section 2.5 allows any value of at least 60 s).
    pub max: Duration,
}

impl Default for RtoConfig {
    fn default() -> Self {
        Self { initial: Duration::from_secs(1), min: Duration::from_millis(200), max: Duration::from_mins(2) }
    }
}

/// Stands for an RTT that is not known, in half the room of an `Option`.
const NONE: u64 = u64::MAX;

const fn known(rtt: u64) -> Option<u64> {
    if rtt == NONE { None } else { Some(rtt) }
}

/// SRTT, RTTVAR and the RTO, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Rto {
    /// [`NONE`] before the first sample.
    srtt: u64,
    rttvar: u64,
    /// Without back-off.
    base: u64,
    /// How often it was doubled (RFC 6298, section 5.5).
    backoff: u32,
    min: u64,
    max: u64,
}

impl Rto {
    /// The state of a new connection.
    pub fn new(config: &RtoConfig) -> Self {
        let (min, max) = (nanos(config.min), nanos(config.max));
        Self { srtt: NONE, rttvar: 0, base: nanos(config.initial).min(max), backoff: 0, min, max }
    }

    /// SRTT in nanoseconds.
    pub const fn srtt(&self) -> Option<u64> {
        known(self.srtt)
    }

    /// RTTVAR in nanoseconds.
    pub const fn rttvar(&self) -> u64 {
        self.rttvar
    }

    /// The RTO in nanoseconds, back-off included.
    pub fn rto(&self) -> u64 {
        // RFC 6298, section 5.5: "RTO <- RTO * 2"; section 2.5: a maximum.
        self.base.saturating_mul(1_u64.checked_shl(self.backoff).unwrap_or(u64::MAX)).min(self.max)
    }

    /// How often the RTO was doubled since the last sample.
    pub const fn backoff(&self) -> u32 {
        self.backoff
    }

    /// RFC 6298, section 5.5: the timer expired.
    pub const fn back_off(&mut self) {
        // 2^40 ns is far above any maximum.
        if self.backoff < 40 {
            self.backoff += 1;
        }
    }

    /// The timeout was for nothing, or an ACK of new data shows that the path works.
    pub const fn end_back_off(&mut self) {
        self.backoff = 0;
    }

    /// Takes an RTT sample in nanoseconds; 0 is a sample. The caller obeys Karn's rule (RFC 6298, section 3).
    ///
    /// RFC 7323, appendix G would weigh each of several samples in one RTT less. We do not; the minimum hides the
    /// difference.
    pub fn on_sample(&mut self, rtt: u64) {
        let rtt = rtt.min(self.max).min(NONE - 1);
        match known(self.srtt) {
            // RFC 6298, section 2.2: "SRTT <- R; RTTVAR <- R/2".
            None => {
                self.srtt = rtt;
                self.rttvar = rtt / 2;
            }
            // RFC 6298, section 2.3: "RTTVAR <- (1 - beta) * RTTVAR + beta * |SRTT - R'|", then
            // "SRTT <- (1 - alpha) * SRTT + alpha * R'", with alpha = 1/8 and beta = 1/4.
            Some(srtt) => {
                self.rttvar = self.rttvar - self.rttvar / 4 + srtt.abs_diff(rtt) / 4;
                self.srtt = srtt - srtt / 8 + rtt / 8;
            }
        }
        // RFC 6298, section 2.3: "RTO <- SRTT + max (G, K*RTTVAR)". As on Linux the minimum stands in the place of G:
        // max(SRTT + 4 RTTVAR, 200 ms) would expire before a delayed ACK where RTTVAR is near zero.
        self.base = self.srtt.saturating_add(self.rttvar.saturating_mul(4).max(self.min)).min(self.max);
        self.backoff = 0;
    }

    /// The handshake is over. RFC 6298, section 5.7: without a sample, because the SYN's timer expired, "the RTO MUST
    /// be re-initialized to 3 seconds when data transmission begins".
    pub fn on_handshake(&mut self, rtt: Option<u64>, syn_resent: bool) {
        match rtt {
            Some(rtt) => self.on_sample(rtt),
            None if syn_resent => self.base = self.base.max(RTO_AFTER_LOST_SYN).min(self.max),
            None => {}
        }
    }
}

/// How long a smallest RTT is believed, in nanoseconds: five minutes, as on Linux.
const MIN_RTT_WINDOW: u64 = 300_000_000_000;

/// The smallest RTT of the last five to ten minutes. Two periods are kept, which is coarser than Linux's filter.
#[derive(Clone, Copy, Debug)]
pub struct MinRtt {
    /// The smallest RTT of the last period, in nanoseconds; [`NONE`] without a sample.
    last: u64,
    /// The smallest RTT of this period.
    current: u64,
    /// When this period began.
    since: Instant,
}

impl Default for MinRtt {
    fn default() -> Self {
        Self { last: NONE, current: NONE, since: Instant::EPOCH }
    }
}

impl MinRtt {
    /// The smallest RTT, in nanoseconds.
    pub fn get(&self) -> Option<u64> {
        known(self.last.min(self.current))
    }

    /// Takes a sample in nanoseconds.
    pub fn on_sample(&mut self, now: Instant, rtt: u64) {
        if now.as_nanos().saturating_sub(self.since.as_nanos()) > MIN_RTT_WINDOW {
            self.last = core::mem::replace(&mut self.current, NONE);
            self.since = now;
        }
        self.current = self.current.min(rtt);
    }
}

/// Whole nanoseconds of a duration, saturating.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn rto() -> Rto {
        Rto::new(&RtoConfig::default())
    }

    #[test]
    fn rfc_6298_section_2_1_the_rto_is_one_second_before_the_first_sample() {
        assert_eq!(rto().rto(), 1_000 * MS);
    }

    #[test]
    fn rfc_6298_section_2_2_the_first_sample_sets_srtt_and_half_of_it_as_rttvar() {
        let mut rto = rto();
        rto.on_sample(200 * MS);
        assert_eq!((rto.srtt(), rto.rttvar()), (Some(200 * MS), 100 * MS));
        assert_eq!(rto.rto(), 600 * MS);
    }

    #[test]
    fn rfc_6298_section_2_3_rttvar_is_updated_with_the_old_srtt() {
        let mut rto = rto();
        rto.on_sample(80 * MS);
        rto.on_sample(160 * MS);
        assert_eq!(rto.rttvar(), 30 * MS + 20 * MS);
        assert_eq!(rto.srtt(), Some(90 * MS));
    }

    #[test]
    fn the_minimum_is_added_to_srtt_not_compared_with_the_sum() {
        let mut rto = rto();
        for _ in 0..200 {
            rto.on_sample(50 * MS);
        }
        assert!(rto.rto().abs_diff(250 * MS) < MS, "{}", rto.rto());
        let mut strict = Rto::new(&RtoConfig { min: Duration::from_secs(1), ..RtoConfig::default() });
        strict.on_sample(MS);
        assert!(strict.rto() >= 1_000 * MS);
    }

    #[test]
    fn rfc_6298_section_5_5_the_rto_doubles_up_to_the_maximum() {
        let mut rto = rto();
        rto.on_sample(100 * MS);
        assert_eq!(rto.rto(), 300 * MS);
        for doubled in 1..=8 {
            rto.back_off();
            assert_eq!(rto.rto(), (300 * MS) << doubled);
        }
        rto.back_off();
        assert_eq!(rto.rto(), 120_000 * MS);
        for _ in 0..100 {
            rto.back_off();
        }
        assert_eq!(rto.rto(), 120_000 * MS);
        rto.on_sample(100 * MS);
        assert_eq!(rto.backoff(), 0);
    }

    #[test]
    fn rfc_6298_section_5_7_the_rto_is_three_seconds_after_a_lost_syn() {
        let mut rto = rto();
        rto.on_handshake(None, false);
        assert_eq!(rto.rto(), 1_000 * MS);
        rto.on_handshake(None, true);
        assert_eq!(rto.rto(), 3_000 * MS);
        rto.on_handshake(Some(10 * MS), false);
        assert_eq!(rto.rto(), 210 * MS);
    }

    #[test]
    fn an_rtt_of_zero_is_a_sample() {
        let mut rto = rto();
        rto.on_sample(0);
        assert_eq!((rto.srtt(), rto.rto()), (Some(0), 200 * MS));
    }

    #[test]
    fn the_smallest_rtt_is_forgotten_after_two_periods_of_five_minutes() {
        let mut min = MinRtt::default();
        let at = |secs| Instant::from_secs(secs);
        min.on_sample(at(0), 10);
        min.on_sample(at(200), 30);
        assert_eq!(min.get(), Some(10));
        min.on_sample(at(301), 30);
        assert_eq!(min.get(), Some(10), "the last period still counts");
        min.on_sample(at(602), 30);
        assert_eq!(min.get(), Some(30));
    }
}
