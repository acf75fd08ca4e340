//! No congestion control: only the receiver's window bounds the flight. For replay, which must follow a recorded
//! sender, and for lessons that show what congestion control is good for. Loss recovery goes on, without any reduction.

use super::sample::{AckSample, CongestionSample};
use super::{Controller, MAX_CWND, Setup};
use crate::time::Instant;

/// The controller named `none`.
#[derive(Debug)]
pub struct Unlimited;

impl Unlimited {
    /// A controller for one connection.
    pub fn new(_setup: &Setup) -> Self {
        Self
    }
}

impl Controller for Unlimited {
    fn name(&self) -> &'static str {
        "none"
    }

    fn cwnd(&self) -> u64 {
        MAX_CWND
    }

    fn ssthresh(&self) -> u64 {
        u64::MAX
    }

    fn on_ack(&mut self, _ack: &AckSample) {}

    fn on_congestion(&mut self, _congestion: &CongestionSample) {}

    fn undo(&mut self, _now: Instant) {}

    fn set_mss(&mut self, _mss: u64) {}

    fn governs_recovery(&self) -> bool {
        true
    }

    fn phase(&self) -> &'static str {
        "no congestion control"
    }
}
