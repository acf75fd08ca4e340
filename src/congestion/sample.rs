//! What `recovery` tells a congestion controller: what was sent, what an ACK changed, what was lost, when to slow down.
//! The rate sample is that of draft-ietf-ccwg-bbr, "Delivery Rate Samples" (before:
//! draft-cheng-iccrg-delivery-rate-estimation). `recovery` fills these types; controllers read them. Plain data, no
//! behaviour beyond small conversions.
//!
//! All amounts are *charged* bytes: a segment shorter than the MSS counts as one MSS (see [`charge`]). So cwnd, pipe,
//! delivered and lost stay comparable, and cwnd bounds packets also when the application writes single bytes.

use crate::segment::Seq;
use crate::time::{Duration, Instant};

/// What a transmission of `len` bytes of text counts for, in bytes: a whole number of segments of `mss`.
///
/// Linux counts cwnd in packets; this is the same rule in bytes. Counted by its true length, a runt costs almost
/// nothing: 1-byte writes with `TCP_NODELAY` then put thousands of packets in flight and overflow every queue. A FIN
/// without text counts as one segment (`len` 0).
pub const fn charge(len: u64, mss: u64) -> u64 {
    if len <= mss { mss } else { len.div_ceil(mss) * mss }
}

/// One transmission, before it is added to `pipe`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SentSample {
    /// When it leaves the sender.
    pub now: Instant,
    /// Its size, in charged bytes.
    pub bytes: u64,
    /// `pipe` (RFC 6675) before it, in charged bytes.
    pub prior_pipe: u64,
    /// The sender had run out of data (the sampler's `C.app_limited` is set).
    pub app_limited: bool,
    /// The text was sent before.
    pub retransmission: bool,
}

/// What one ACK changed. One is made for each ACK that delivers data, moves SND.UNA or marks losses.
#[derive(Clone, Copy, Debug, Default)]
pub struct AckSample {
    /// When the ACK came.
    pub now: Instant,
    /// Charged bytes by which SND.UNA moved; 0 for a duplicate ACK.
    pub newly_acked: u64,
    /// Charged bytes that this ACK delivered: acknowledged or selectively acknowledged for the first time
    /// (`DeliveredData` of RFC 6937).
    pub newly_delivered: u64,
    /// Charged bytes that were marked lost with this ACK.
    pub newly_lost: u64,
    /// `pipe` before this ACK, in charged bytes.
    pub prior_pipe: u64,
    /// `pipe` after this ACK and after its losses were marked, in charged bytes.
    pub pipe: u64,
    /// All charged bytes delivered so far on this connection (`C.delivered`), this ACK included.
    pub delivered: u64,
    /// All charged bytes marked lost so far on this connection (`C.lost`), this ACK included.
    pub lost: u64,
    /// The rate sample; `None` if the ACK delivered nothing.
    pub rate: Option<RateSample>,
    /// RTT of the newest segment that this ACK delivered; `None` if all of them had been retransmitted (Karn).
    pub rtt: Option<Duration>,
    /// SRTT of RFC 6298; `None` before the first sample.
    pub srtt: Option<Duration>,
    /// The smallest RTT that the connection has seen; `None` before the first sample.
    pub min_rtt: Option<Duration>,
    /// Reordering has been seen on this connection (`RACK.reordering_seen`, RFC 8985, section 6.2): a duplicate ACK
    /// then says little about loss, and controllers may grow on it.
    pub reordering_seen: bool,
    /// cwnd has bounded the flight during the last window of data, so it may grow: see [`CwndUsage`](super::CwndUsage).
    pub cwnd_limited: bool,
    /// During the last window of data there was a time when not one more segment had room in cwnd
    /// (`C.is_cwnd_limited`). Stricter than `cwnd_limited`, which in slow start is content with half.
    pub cwnd_filled: bool,
    /// SND.UNA after this ACK.
    pub snd_una: Seq,
    /// SND.NXT when this ACK came.
    pub snd_nxt: Seq,
}

/// The delivery rate as one ACK shows it (`RS` in draft-ietf-ccwg-bbr, section "Rate Sample (rs) Output").
/// It belongs to the newest segment, by send time, that the ACK delivered.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateSample {
    /// Charged bytes delivered between the sending of that segment and now (`RS.delivered`).
    pub delivered: u64,
    /// `C.delivered` when that segment was sent (`RS.prior_delivered`).
    pub prior_delivered: u64,
    /// The longer of send interval and ACK interval (`RS.interval`). Zero if it is shorter than the connection's
    /// smallest RTT: then there is no reliable rate.
    pub interval: Duration,
    /// Charged bytes marked lost between the sending of that segment and now (`RS.lost`).
    pub lost: u64,
    /// `pipe` right after that segment was sent, itself included (`RS.tx_in_flight`).
    pub tx_in_flight: u64,
    /// The sender was limited by its application when it sent that segment (`RS.is_app_limited`).
    pub app_limited: bool,
}

impl RateSample {
    /// The delivery rate in bytes per second; 0 if the sample is not reliable.
    pub fn delivery_rate(&self) -> u64 {
        per_second(self.delivered, self.interval)
    }
}

/// One segment that was just marked lost.
#[derive(Clone, Copy, Debug, Default)]
pub struct LostSample {
    /// When it was marked.
    pub now: Instant,
    /// Its size, in charged bytes.
    pub bytes: u64,
    /// `pipe` right after it was sent, itself included (`P.tx_in_flight`).
    pub tx_in_flight: u64,
    /// Charged bytes marked lost since it was sent, itself included (`C.lost - P.lost`).
    pub lost: u64,
    /// `C.delivered` now.
    pub delivered: u64,
    /// The sender was limited by its application when it sent it (`P.is_app_limited`).
    pub app_limited: bool,
    /// The segment before it, in sequence, is not marked lost: a new discontiguous range begins.
    pub new_range: bool,
}

/// Why the sender must slow down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signal {
    /// Loss detection found a loss and recovery begins (RFC 5681, section 3.2; RFC 6675, section 5).
    #[default]
    Loss,
    /// The peer echoed a CE mark (RFC 3168, section 6.1.2): once in a window of data.
    Ecn,
    /// The retransmission timer expired (RFC 6298, section 5).
    Timeout {
        /// The same segment has already been sent again by this timer: ssthresh is held (RFC 5681, section 3.1).
        again: bool,
    },
}

/// The event that makes a controller slow down.
#[derive(Clone, Copy, Debug, Default)]
pub struct CongestionSample {
    /// When.
    pub now: Instant,
    /// Why.
    pub signal: Signal,
    /// `FlightSize` of RFC 5681, in charged bytes: all that was sent and not cumulatively acknowledged when the sender last
    /// had its turn. ACKs that came together since then do not make it smaller.
    pub flight_size: u64,
    /// `pipe` of RFC 6675 after the losses were marked, in charged bytes.
    pub pipe: u64,
    /// `C.delivered` now.
    pub delivered: u64,
    /// SND.NXT: the recovery point.
    pub snd_nxt: Seq,
}

/// `bytes` in `interval`, as bytes per second; 0 for an empty interval.
pub(super) fn per_second(bytes: u64, interval: Duration) -> u64 {
    match nanos(interval) {
        0 => 0,
        interval => bytes.saturating_mul(1_000_000_000) / interval,
    }
}

/// Nanoseconds in 64 bits: enough for 584 years, and cheaper than [`Duration::as_nanos`].
pub(super) const fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runt_and_a_bare_fin_are_charged_one_full_segment() {
        assert_eq!(charge(0, 1_448), 1_448);
        assert_eq!(charge(1, 1_448), 1_448);
        assert_eq!(charge(1_448, 1_448), 1_448);
        assert_eq!(charge(1_449, 1_448), 2 * 1_448);
        assert_eq!(charge(10 * 1_448, 1_448), 10 * 1_448);
    }

    #[test]
    fn a_rate_is_bytes_over_interval_and_zero_without_one() {
        let sample = RateSample {
            delivered: 125_000,
            prior_delivered: 0,
            interval: Duration::from_millis(10),
            lost: 0,
            tx_in_flight: 0,
            app_limited: false,
        };
        assert_eq!(sample.delivery_rate(), 12_500_000);
        assert_eq!(RateSample { interval: Duration::ZERO, ..sample }.delivery_rate(), 0);
    }
}
