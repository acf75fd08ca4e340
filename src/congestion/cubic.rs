//! CUBIC (RFC 9438), the default, as on Linux: above ssthresh cwnd is a cubic function of the time since the last
//! reduction. Slow start is that of RFC 9406 (RFC 9438, section 4.10). Segments are units of the formulas, as in the
//! RFC; cwnd is in bytes. Floating point is deterministic here: only + - * / and the cube root of `libm`.
//!
//! Linux computes in integers of 1/1024, uses cwnd where we use the flight, and has the older `HyStart`.

use super::sample::{AckSample, CongestionSample, SentSample, Signal};
use super::window::Window;
use super::{Controller, MAX_CWND, Setup};
use crate::time::{Duration, Instant};

/// Section 4.6: "the multiplicative decrease factor"; "SHOULD be set to 0.7".
const BETA: f64 = 0.7;
/// Section 5.1: "C SHOULD be set to 0.4", in segments per second cubed.
const C: f64 = 0.4;
/// Section 4.3: the additive increase that is as friendly as Reno with our [`BETA`].
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// The CUBIC controller.
#[derive(Debug)]
pub struct Cubic {
    window: Window,
    curve: Curve,
    /// The state before the last reduction (section 4.9). Boxed at the first one, and the box stays.
    saved: Option<Box<Option<Saved>>>,
}

/// The state of the cubic function: what section 4.9 wants restored after a spurious reduction.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Curve {
    /// `W_max` in segments; `None` if the next epoch begins without a loss (sections 4.8 and 4.10).
    w_max: Option<f64>,
    /// `cwnd_prior`: cwnd in segments before the last reduction.
    cwnd_prior: f64,
    /// The congestion avoidance stage; `None` until it begins.
    epoch: Option<Epoch>,
}

/// One congestion avoidance stage.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Epoch {
    /// `t_epoch`, moved on by times in which cwnd did not grow since the application limited it.
    start: Instant,
    /// K in seconds: how long the curve takes to come back to `origin`.
    k: f64,
    /// Where the curve is flat, in segments: `W_max`, or `cwnd_epoch` if that is larger.
    origin: f64,
    /// `W_est` in segments: the window that Reno would have.
    w_est: f64,
    /// When cwnd was last updated.
    updated: Instant,
    /// Since then an ACK came that found cwnd not in use.
    unused: bool,
    /// What is owed to cwnd: the part of a byte that did not fit.
    rest: f64,
}

#[derive(Clone, Copy, Debug)]
struct Saved {
    cwnd: u64,
    ssthresh: u64,
    curve: Curve,
}

impl Cubic {
    /// A controller for one connection.
    pub fn new(setup: &Setup) -> Self {
        Self { window: Window::new(setup), curve: Curve { w_max: None, cwnd_prior: 0.0, epoch: None }, saved: None }
    }

    fn segments(&self, bytes: u64) -> f64 {
        bytes as f64 / self.window.mss as f64
    }

    /// The application, not cwnd, limits the flight at this time.
    fn note_unused(&mut self) {
        if let Some(epoch) = &mut self.curve.epoch {
            epoch.unused = true;
        }
    }

    /// One ACK in congestion avoidance that delivered `acked` bytes.
    fn avoid(&mut self, ack: &AckSample, acked: u64) {
        let cwnd = self.segments(self.window.cwnd);
        let acked = self.segments(acked);
        let mut epoch = self.curve.epoch.unwrap_or_else(|| Epoch::new(ack.now, cwnd, self.curve.w_max));
        if epoch.unused {
            // Section 4.2: t "MUST NOT include periods during which cwnd has not been updated" since the application
            // limited it.
            epoch.start += ack.now - epoch.updated;
            epoch.unused = false;
        }
        epoch.updated = ack.now;
        // Section 4.3: "W_est = W_est + alpha * segments_acked / cwnd"; alpha is 1 from cwnd_prior on.
        let alpha = if epoch.w_est >= self.curve.cwnd_prior { 1.0 } else { ALPHA };
        epoch.w_est += alpha * acked / cwnd;
        let elapsed = (ack.now - epoch.start).as_secs_f64();
        let goal = if epoch.w_cubic(elapsed) < epoch.w_est {
            // Section 4.3, Reno-friendly region: "cwnd SHOULD be set to W_est at each reception of a new ACK".
            cwnd.max(epoch.w_est)
        } else {
            // Section 4.2: the target is W_cubic(t + RTT), not below cwnd and not above one and a half.
            let rtt = ack.srtt.unwrap_or(Duration::ZERO).as_secs_f64();
            let target = epoch.w_cubic(elapsed + rtt).clamp(cwnd, 1.5 * cwnd);
            // Section 4.4: "cwnd MUST be incremented by (target - cwnd) / cwnd for each received new ACK".
            cwnd + (target - cwnd) / cwnd * acked
        };
        let growth = (goal - cwnd) * self.window.mss as f64 + epoch.rest;
        epoch.rest = growth - libm::floor(growth);
        // Not negative, and bounded by the ACKed bytes or by W_est: the cast is exact.
        self.window.cwnd = (self.window.cwnd + growth as u64).min(MAX_CWND);
        self.curve.epoch = Some(epoch);
    }
}

impl Curve {
    /// The same bytes in segments of another size. The curve begins anew from here.
    fn rescale(&mut self, scale: f64) {
        self.cwnd_prior *= scale;
        self.w_max = self.w_max.map(|w_max| w_max * scale);
        self.epoch = None;
    }
}

impl Epoch {
    /// A stage that begins with `cwnd` segments (`cwnd_epoch`).
    fn new(now: Instant, cwnd: f64, w_max: Option<f64>) -> Self {
        let (k, origin) = match w_max {
            // Section 4.2: "K = cubic root of ((W_max - cwnd_epoch) / C)".
            Some(w_max) if w_max > cwnd => (libm::cbrt((w_max - cwnd) / C), w_max),
            // Sections 4.8 and 4.10: after a timeout and after slow start without a loss "K is set to 0", W_max to
            // cwnd.
            _ => (0.0, cwnd),
        };
        Self { start: now, k, origin, w_est: cwnd, updated: now, unused: false, rest: 0.0 }
    }

    /// Section 4.2: `W_cubic(t) = C * (t - K)^3 + W_max`.
    fn w_cubic(&self, t: f64) -> f64 {
        let t = t - self.k;
        C * t * t * t + self.origin
    }
}

impl Controller for Cubic {
    fn name(&self) -> &'static str {
        "cubic"
    }

    fn cwnd(&self) -> u64 {
        self.window.cwnd
    }

    fn ssthresh(&self) -> u64 {
        self.window.ssthresh
    }

    fn on_sent(&mut self, sent: &SentSample) {
        // Nothing was in flight: the time since the last update is no time in which cwnd could grow. The time from here to
        // the ACK is: all of a window may be acknowledged at once, in each round trip.
        if sent.prior_pipe == 0
            && let Some(epoch) = &mut self.curve.epoch
        {
            epoch.start += sent.now - epoch.updated;
            epoch.updated = sent.now;
        }
    }

    fn on_ack(&mut self, ack: &AckSample) {
        let left = self.window.slow_start(ack);
        if left > 0 {
            self.avoid(ack, left);
        } else if !ack.cwnd_limited {
            self.note_unused();
        }
    }

    fn on_congestion(&mut self, congestion: &CongestionSample) {
        if self.window.begins_recovery() {
            let (cwnd, ssthresh) = (self.window.cwnd, self.window.ssthresh);
            **self.saved.get_or_insert_default() = Some(Saved { cwnd, ssthresh, curve: self.curve });
        }
        let cwnd = self.segments(self.window.cwnd);
        // Section 4.6: "ssthresh = flight_size * beta".
        let ssthresh = self.window.flight(congestion) * 7 / 10;
        self.curve.epoch = None;
        match congestion.signal {
            Signal::Loss | Signal::Ecn => {
                self.curve.cwnd_prior = cwnd;
                // Section 4.7, fast convergence: below the last W_max leave room for new flows.
                let shrinking = self.curve.w_max.is_some_and(|w_max| cwnd < w_max);
                self.curve.w_max = Some(if shrinking { cwnd * (1.0 + BETA) / 2.0 } else { cwnd });
            }
            Signal::Timeout { again } => {
                if !again {
                    self.curve.cwnd_prior = cwnd;
                }
                // Section 4.8: the next stage begins with K = 0 and W_max = cwnd.
                self.curve.w_max = None;
            }
        }
        self.window.reduce(congestion, ssthresh);
    }

    fn on_recovery_end(&mut self, _now: Instant, cap: u64) {
        let before = self.window.cwnd;
        self.window.on_recovery_end(cap);
        if self.window.cwnd < before {
            // The curve, which may have begun after a timeout, is above this window.
            self.curve.epoch = None;
        }
    }

    fn on_idle_restart(&mut self, _now: Instant) {
        self.window.on_idle_restart();
        // Slow start comes first; the stage after it begins anew, towards the same W_max.
        self.curve.epoch = None;
    }

    fn undo(&mut self, _now: Instant) {
        if let Some(saved) = self.saved.as_deref_mut().and_then(Option::take) {
            self.window.undo(saved.cwnd, saved.ssthresh);
            // Section 4.9: cwnd, ssthresh, W_max, K, t_epoch and W_est are restored.
            self.curve = saved.curve;
        }
    }

    fn set_mss(&mut self, mss: u64) {
        let old = self.window.mss;
        self.window.set_mss(mss);
        let scale = old as f64 / self.window.mss as f64;
        self.curve.rescale(scale);
        if let Some(saved) = self.saved.as_deref_mut().and_then(Option::as_mut) {
            saved.curve.rescale(scale);
        }
    }

    fn phase(&self) -> &'static str {
        self.window.phase()
    }
}

#[cfg(test)]
mod tests;
