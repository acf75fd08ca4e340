//! Congestion control: how much may be in flight, and how fast it may leave.
//! [`Controller`] is the trait that every controller implements, those of users included; one file here for each built-in
//! one. `recovery` feeds a controller with the samples of [`sample`]; the sender asks it for cwnd and a pacing rate.
//! All of it is pure: no clock, no I/O. Sections of RFC 5681, 9406, 9438 and of the BBR draft are cited where they are obeyed.

pub mod sample;

use core::fmt;

pub use sample::{AckSample, CongestionSample, LostSample, RateSample, SentSample, Signal, charge};

use crate::time::Instant;

/// A congestion controller: one for each connection.
///
/// Amounts are *charged* bytes (see [`charge`]). The order of the calls for one ACK is: [`undo`](Self::undo) or
/// [`on_recovery_end`](Self::on_recovery_end), then [`on_lost`](Self::on_lost) for each loss, then
/// [`on_congestion`](Self::on_congestion), then [`on_ack`](Self::on_ack).
///
/// While recovery runs after [`Signal::Loss`] or [`Signal::Ecn`], PRR (RFC 6937) decides what may be sent, and `on_ack` is
/// not called, unless the controller [governs recovery](Self::governs_recovery) itself. After a [`Signal::Timeout`] there
/// is no PRR: `on_ack` is called as ever.
pub trait Controller: fmt::Debug + Send {
    /// The name, as `TCP_CONGESTION` and `--cc` have it.
    fn name(&self) -> &str;

    /// The congestion window: `pipe` may not exceed it.
    fn cwnd(&self) -> u64;

    /// The slow start threshold; `u64::MAX` while there is none. PRR reduces the flight to it.
    fn ssthresh(&self) -> u64 {
        u64::MAX
    }

    /// A segment is about to be sent.
    fn on_sent(&mut self, sent: &SentSample) {
        let _ = sent;
    }

    /// An ACK delivered data, moved SND.UNA or marked losses.
    fn on_ack(&mut self, ack: &AckSample);

    /// A segment was marked lost. Called for each one; [`on_congestion`](Self::on_congestion) is called once in a recovery.
    fn on_lost(&mut self, lost: &LostSample) {
        let _ = lost;
    }

    /// Slow down: recovery begins, a CE mark was echoed, or the retransmission timer expired.
    fn on_congestion(&mut self, congestion: &CongestionSample);

    /// Recovery is over, after fast recovery and after a timeout: all that was outstanding when it began is ACKed.
    /// cwnd must not be left above `cap`, so that no burst follows (RFC 6582, section 3.2, step 3); with SACK it is `u64::MAX`.
    fn on_recovery_end(&mut self, now: Instant, cap: u64) {
        let _ = (now, cap);
    }

    /// The sender was idle for longer than the RTO and is about to send again (RFC 5681, section 4.1).
    fn on_idle_restart(&mut self, now: Instant) {
        let _ = now;
    }

    /// The last [`on_congestion`](Self::on_congestion) was for nothing: no segment had been lost. Restore what it reduced.
    fn undo(&mut self, now: Instant);

    /// The MSS has changed (handshake, path MTU discovery).
    fn set_mss(&mut self, mss: u64);

    /// The pacing rate in bytes per second. `None`: the sender derives one from cwnd and SRTT if pacing is on.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }

    /// True if cwnd holds in recovery too and PRR is not used.
    fn governs_recovery(&self) -> bool {
        false
    }

    /// True while what is sent must count as application-limited in the rate samples (BBR in `ProbeRTT`).
    fn marks_app_limited(&self) -> bool {
        false
    }

    /// What it is doing, in the words of its RFC, for traces.
    fn phase(&self) -> &'static str {
        if self.cwnd() < self.ssthresh() { "slow start" } else { "congestion avoidance" }
    }
}
