//! Congestion control: how much may be in flight, and how fast it may leave. [`Controller`] is the trait that every
//! controller implements, those of users included; one file here for each built-in one. `recovery` feeds a controller
//! with the samples of [`sample`]; the sender asks it for cwnd and a pacing rate. All of it is pure: no clock, no I/O.
//! Sections of RFC 5681, 9406, 9438 and of the BBR draft are cited where they are obeyed.
//!
//! # A controller of one's own
//!
//! A controller is a type with the trait [`Controller`]. examples/controller.rs in the repository has one of 40 lines,
//! and docs/controllers.md explains each call. An [`Algorithm`] gives it a name; [`Algorithms`] are those that can be
//! chosen by name.
//!
//! ```
//! use tcplab::Registry;
//! use tcplab::congestion::{Algorithm, Algorithms, Reno, Setup};
//! use tcplab::socket::HostConfig;
//! use tcplab::time::Instant;
//!
//! // Reno from two segments up, as it was before RFC 6928.
//! let old = Algorithm::new("old-reno", "Reno with a small initial window", |setup: &Setup| {
//!     Reno::new(&Setup { cwnd: 2 * setup.mss, ..*setup })
//! })?;
//! assert_eq!(old.controller(&Setup::new(1_448, Instant::EPOCH)).cwnd(), 2 * 1_448);
//!
//! // For every connection of a host, unless a socket says otherwise.
//! let host = HostConfig { congestion: old.clone(), ..HostConfig::default() };
//! // For scenario files and every command: `cc = "old-reno"`, `--cc old-reno`, `TCP_CONGESTION`.
//! let registry = Registry::default().with_controller(old);
//! assert_eq!(registry.algorithms().names(), "cubic, reno, bbr, none, old-reno");
//! # let _ = host;
//! # Ok::<(), tcplab::congestion::NameError>(())
//! ```

mod algorithm;
mod bbr;
mod cubic;
mod hystart;
mod none;
mod pacing;
mod reno;
pub mod sample;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod tests;
mod usage;
mod window;

use core::fmt;

pub use algorithm::{Algorithm, Algorithms, NameError, by_name, names};
pub use bbr::Bbr;
pub use cubic::Cubic;
pub use none::Unlimited;
pub use pacing::{Pacer, pacing_rate};
pub use reno::Reno;
pub use sample::{AckSample, CongestionSample, LostSample, RateSample, SentSample, Signal, charge};

pub use usage::CwndUsage;

use crate::time::{Duration, Instant};

/// cwnd never grows above this: the largest window that TCP can offer is 1 GiB (RFC 7323, section 2.3).
pub const MAX_CWND: u64 = 1 << 30;

/// A congestion controller: one for each connection.
///
/// Amounts are *charged* bytes (see [`charge`]). The order of the calls for one ACK is: [`undo`](Self::undo) or
/// [`on_recovery_end`](Self::on_recovery_end), then [`on_lost`](Self::on_lost) for each loss, then
/// [`on_congestion`](Self::on_congestion), then [`on_ack`](Self::on_ack).
///
/// While recovery runs after [`Signal::Loss`] or [`Signal::Ecn`], PRR (RFC 6937) decides what may be sent, and `on_ack`
/// is not called, unless the controller [governs recovery](Self::governs_recovery) itself. After a [`Signal::Timeout`]
/// there is no PRR: `on_ack` is called as ever.
pub trait Controller: fmt::Debug + Send {
    /// The name, as `TCP_CONGESTION` and `--cc` have it.
    fn name(&self) -> &str;

    /// The congestion window: `pipe` may not exceed it.
    fn cwnd(&self) -> u64;

    /// The slow start threshold; `u64::MAX` while there is none. After [`on_congestion`](Self::on_congestion) it is the
    /// target of PRR: what recovery reduces the flight to. A controller without slow start leaves it at cwnd.
    fn ssthresh(&self) -> u64 {
        self.cwnd()
    }

    /// A segment is about to be sent.
    fn on_sent(&mut self, sent: &SentSample) {
        let _ = sent;
    }

    /// An ACK delivered data, moved SND.UNA or marked losses.
    fn on_ack(&mut self, ack: &AckSample);

    /// A segment was marked lost. Called for each one; [`on_congestion`](Self::on_congestion) is called once in a
    /// recovery.
    fn on_lost(&mut self, lost: &LostSample) {
        let _ = lost;
    }

    /// Slow down: recovery begins, a CE mark was echoed, or the retransmission timer expired.
    fn on_congestion(&mut self, congestion: &CongestionSample);

    /// Recovery is over, after fast recovery and after a timeout: all that was outstanding when it began is
    /// acknowledged. cwnd must not be left above `cap`, so that no burst follows (RFC 6582, section 3.2, step 3); with
    /// SACK it is `u64::MAX`.
    fn on_recovery_end(&mut self, now: Instant, cap: u64) {
        let _ = (now, cap);
    }

    /// The sender was idle for longer than the RTO and is about to send again (RFC 5681, section 4.1).
    fn on_idle_restart(&mut self, now: Instant) {
        let _ = now;
    }

    /// The last [`on_congestion`](Self::on_congestion) was for nothing: no segment had been lost. Restore what it
    /// reduced.
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

/// What a controller starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// When the connection was established, or when the controller was changed.
    pub now: Instant,
    /// The sender's MSS in bytes: the text that fits in a segment (`Eff.snd.MSS` of RFC 9293, section 3.7.1). Never 0.
    pub mss: u64,
    /// The initial window, in bytes, which is also the restart window.
    pub initial_window: u64,
    /// cwnd to begin with, in bytes: the initial window, or that of the controller before.
    pub cwnd: u64,
    /// ssthresh to begin with, in bytes: `u64::MAX`, or that of the controller before.
    pub ssthresh: u64,
    /// SRTT, if the handshake gave a sample.
    pub srtt: Option<Duration>,
    /// The sender paces what leaves.
    pub paced: bool,
    /// The peer permits SACK: more than one loss can be found in a round trip.
    pub sack: bool,
    /// The first slow start ends when the delay grows (`HyStart++`, RFC 9406). Reno and CUBIC heed this.
    pub hystart: bool,
    /// Seed for the controller's own random draws, different for each connection.
    pub seed: u64,
}

impl Setup {
    /// A new connection with the initial window of RFC 6928, no RTT sample, SACK, no pacing.
    pub fn new(mss: u64, now: Instant) -> Self {
        let mss = mss.max(1);
        let cwnd = initial_window(mss);
        Self {
            now,
            mss,
            initial_window: cwnd,
            cwnd,
            ssthresh: u64::MAX,
            srtt: None,
            paced: false,
            sack: true,
            hystart: true,
            seed: 0,
        }
    }
}

/// The initial window in bytes. RFC 6928, section 2: `min (10*MSS, max (2*MSS, 14600))`.
///
/// Linux takes ten segments whatever the MSS is; the two differ above an MSS of 1,460.
pub const fn initial_window(mss: u64) -> u64 {
    initial_window_of(10, mss)
}

/// The same for another number of segments: a host may have another initial window.
pub(crate) const fn initial_window_of(segments: u32, mss: u64) -> u64 {
    let segments = segments as u64;
    let lower = if 2 * mss > 1_460 * segments { 2 * mss } else { 1_460 * segments };
    if segments * mss < lower { segments * mss } else { lower }
}
