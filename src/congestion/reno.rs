//! Reno (RFC 5681) with Appropriate Byte Counting (RFC 3465), `HyStart++` (RFC 9406) and undo.
//! Slow start up to ssthresh, then one segment for each window of data; half of the flight after a loss.
//! Fast retransmit and fast recovery are `recovery`'s. Linux's "reno" differs in three things: it counts packets, it takes
//! half of cwnd instead of half of the flight, and it has no `HyStart`.

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
        // RFC 5681, section 3.1: count bytes, and when they reach cwnd, "cwnd += SMSS". So delayed ACKs do not slow it down.
        // Equation 3, SMSS * SMSS / cwnd for each ACK, would.
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
