//! The persist timer (RFC 9293, section 3.8.6.1; RFC 1122, section 4.2.2.17): probes of a window that is closed, and the
//! override timeout of silly window avoidance. It runs only while nothing is in flight; else the RTO covers it.
//! A probe has no text and the sequence number SND.UNA - 1, as on Linux, so that SND.NXT never passes a closed edge.

use crate::time::{Duration, Instant};

/// Linux's `TCP_RTO_MAX`, which bounds the interval of probes too.
const MAX_INTERVAL: Duration = Duration::from_mins(2);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Persist {
    at: Option<Instant>,
    /// Doublings of the interval.
    backoff: u8,
    /// Probes since the peer was last heard.
    pub(super) probes: u32,
    due: bool,
}

impl Persist {
    pub(super) const fn at(&self) -> Option<Instant> {
        self.at
    }

    /// The window keeps something from leaving, and nothing is in flight.
    pub(super) fn start(&mut self, now: Instant, rto: Duration) {
        if self.at.is_none() {
            self.at = Some(now + self.interval(rto));
        }
    }

    /// The window has opened, or nothing waits for it.
    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }

    /// An ACK came: the peer is there, even if its window stays closed.
    pub(super) fn heard(&mut self) {
        self.probes = 0;
    }

    /// True if the timer has expired; it is then off.
    pub(super) fn expires(&mut self, now: Instant) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }

    /// A probe is due, and the interval doubles (RFC 9293, section 3.8.6.1).
    pub(super) fn probe(&mut self, now: Instant, rto: Duration) {
        self.due = true;
        self.probes += 1;
        self.backoff = (self.backoff + 1).min(16);
        self.at = Some(now + self.interval(rto));
    }

    /// True if a probe is due.
    pub(super) const fn is_due(&self) -> bool {
        self.due
    }

    /// Takes the probe that is due.
    pub(super) fn take_due(&mut self) -> bool {
        core::mem::take(&mut self.due)
    }

    fn interval(&self, rto: Duration) -> Duration {
        rto.saturating_mul(1 << self.backoff).min(MAX_INTERVAL)
    }
}
