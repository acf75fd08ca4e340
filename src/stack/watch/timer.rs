//! The one timer of a smoltcp connection, which is the retransmission timer, the persist timer, the keep-alive timer or
//! the TIME-WAIT timer, never two at once. The keep-alive deadline is not mirrored: only the stack's own deadline heap
//! needs it, and that asks smoltcp.

use super::Micros;
use super::rtt::MAX_RTO;

/// What the timer is running for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Nothing is outstanding (a keep-alive may be due).
    Idle,
    /// RFC 6298, section 5.
    Retransmit { at: Micros },
    /// Three duplicate ACKs arrived; the next egress retransmits.
    FastRetransmit,
    /// RFC 9293, section 3.8.6.1: probes of a closed window, `delay` milliseconds apart and doubling.
    Probe { at: Micros, delay: u32 },
    /// TIME-WAIT.
    Close,
}

impl Timer {
    /// Starts or restarts the retransmission timer; the TIME-WAIT timer is left alone.
    pub(super) fn arm(&mut self, now: Micros, rto: u32) {
        if *self != Self::Close {
            *self = Self::Retransmit { at: after(now, rto) };
        }
    }

    pub(super) const fn probe(now: Micros, delay: u32) -> Self {
        Self::Probe { at: after(now, delay), delay }
    }

    /// A probe was sent: the next one after twice the time, at most a minute.
    pub(super) fn back_off_probe(&mut self, now: Micros) {
        if let Self::Probe { delay, .. } = *self {
            *self = Self::probe(now, (delay * 2).min(MAX_RTO));
        }
    }

    pub(super) const fn is_retransmit(self) -> bool {
        matches!(self, Self::Retransmit { .. } | Self::FastRetransmit)
    }

    pub(super) const fn probe_due(self, now: Micros) -> bool {
        matches!(self, Self::Probe { at, .. } if now >= at)
    }
}

const fn after(now: Micros, millis: u32) -> Micros {
    now.saturating_add(millis as Micros * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_back_off_to_a_minute_and_not_further() {
        let mut timer = Timer::probe(0, 16_000);
        assert!(!timer.probe_due(15_999_999) && timer.probe_due(16_000_000));
        timer.back_off_probe(16_000_000);
        assert_eq!(timer, Timer::Probe { at: 48_000_000, delay: 32_000 });
        timer.back_off_probe(48_000_000);
        timer.back_off_probe(108_000_000);
        assert_eq!(timer, Timer::Probe { at: 168_000_000, delay: MAX_RTO });
    }

    #[test]
    fn the_time_wait_timer_is_never_replaced_by_a_retransmission() {
        let mut timer = Timer::Close;
        timer.arm(0, 1_000);
        assert_eq!(timer, Timer::Close);
        let mut timer = Timer::Idle;
        timer.arm(5, 1_000);
        assert_eq!(timer, Timer::Retransmit { at: 1_000_005 });
    }
}
