//! The SYN of an active open, or the SYN|ACK of a simultaneous one: when it leaves, and how often (RFC 9293, section 3.5;
//! RFC 6298, section 2.1). The SYN|ACK of a passive open is the half-open record's. The timer is ours, because its first
//! value and the number of retries are settings; smoltcp has neither.

use crate::segment::Seq;
use crate::stack::config::HostConfig;
use crate::time::{Duration, Instant};

/// A SYN that is not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) iss: Seq,
    /// It is a SYN|ACK.
    pub(super) syn_ack: bool,
    /// How often it left.
    pub(super) sends: u32,
    /// When it last left; `None` if that is not known.
    pub(super) sent_at: Option<Instant>,
    /// It leaves now.
    pub(super) due: bool,
    /// When its timer expires.
    pub(super) at: Option<Instant>,
}

impl Opening {
    /// A SYN that leaves now.
    pub(super) const fn new(iss: Seq, now: Instant) -> Self {
        Self { iss, syn_ack: false, sends: 0, sent_at: Some(now), due: true, at: None }
    }

    /// The SYN|ACK of a half-open record, which left `sends` times, last at `sent_at`.
    pub(super) const fn answered(iss: Seq, sends: u32, sent_at: Option<Instant>) -> Self {
        Self { iss, syn_ack: true, sends, sent_at, due: false, at: None }
    }

    /// It leaves.
    pub(super) fn on_sent(&mut self, now: Instant, config: &HostConfig) {
        self.at = Some(now + syn_timeout(config, self.sends));
        (self.due, self.sends, self.sent_at) = (false, self.sends + 1, Some(now));
    }

    /// The peer's SYN crossed ours: a SYN|ACK leaves now, its timer begins anew.
    pub(super) fn answer(&mut self) {
        (self.syn_ack, self.due) = (true, true);
    }
}

/// How long to wait for the answer to the `n`-th SYN or SYN|ACK, counted from 0: the initial RTO, doubled each time up to
/// its limit (RFC 6298, sections 2.1 and 5.5).
pub(in crate::stack) fn syn_timeout(config: &HostConfig, n: u32) -> Duration {
    config.initial_rto.saturating_mul(1 << n.min(20)).min(config.max_rto)
}
