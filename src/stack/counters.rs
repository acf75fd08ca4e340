//! What a host counts, as Linux shows with nstat(8): SYN cookies, packets dropped by reason, and replies that a rate limit
//! held back. The counters need no observer. [`Host::counters`](crate::socket::Host::counters) shows them.

use crate::event::DropReason;

/// The counters of a host since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// SYNs that were answered with a SYN cookie. Linux: `SyncookiesSent`.
    pub syn_cookies_sent: u64,
    /// ACKs with a valid cookie that made a connection. Linux: `SyncookiesRecv`.
    pub syn_cookies_received: u64,
    /// ACKs without a valid cookie, to a listener that had sent some. Linux: `SyncookiesFailed`.
    pub syn_cookies_failed: u64,
    /// ICMP errors that the rate limit held back. Linux: `IcmpOutRateLimitHost` and `IcmpOutRateLimitGlobal`.
    pub icmp_errors_limited: u64,
    /// RSTs that the rate limit held back.
    pub resets_limited: u64,
    dropped: Vec<(DropReason, u64)>,
}

impl Counters {
    /// How many packets the host has dropped for this reason.
    pub fn dropped(&self, why: DropReason) -> u64 {
        self.dropped.iter().find(|(known, _)| *known == why).map_or(0, |(_, count)| *count)
    }

    /// Every reason for which the host has dropped packets, in the order of the first one, and how many.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> {
        self.dropped.iter().copied()
    }

    pub(super) fn count_drop(&mut self, why: DropReason) {
        match self.dropped.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += 1,
            // There are as many entries as reasons at most.
            None => self.dropped.push((why, 1)),
        }
    }
}
