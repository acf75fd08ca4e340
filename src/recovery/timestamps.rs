//! The clock of our TCP timestamps (RFC 7323, section 5.4): which `TSval` a segment carries at an instant.
//! Undo and RTT samples read the echo with it; the sender writes `TSval` with it.

use core::num::NonZeroU64;

use super::rto::nanos;
use crate::time::{Duration, Instant};

/// A timestamp clock: a random offset and the length of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TsClock {
    offset: u32,
    /// In nanoseconds.
    tick: NonZeroU64,
}

impl TsClock {
    /// A clock. RFC 7323, section 5.4: a tick lasts "between 1 ms and 1 sec"; Linux takes 1 ms. A shorter tick is
    /// allowed here and 0 counts as 1 ns.
    pub fn new(offset: u32, tick: Duration) -> Self {
        Self { offset, tick: NonZeroU64::new(nanos(tick)).unwrap_or(NonZeroU64::MIN) }
    }

    /// `TSval` at `now`.
    pub const fn at(&self, now: Instant) -> u32 {
        self.offset.wrapping_add((now.as_nanos() / self.tick.get()) as u32)
    }

    /// True if the echo is of a segment that left before `sent_at`, by at least one tick.
    pub const fn is_older(&self, ts_ecr: u32, sent_at: Instant) -> bool {
        (ts_ecr.wrapping_sub(self.at(sent_at)) as i32) < 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_older_by_whole_ticks_also_across_the_wrap() {
        let clock = TsClock::new(u32::MAX - 5, Duration::from_millis(1));
        let at = Instant::from_millis(10);
        assert_eq!(clock.at(at), 4);
        assert!(clock.is_older(3, at));
        assert!(clock.is_older(u32::MAX, at));
        assert!(!clock.is_older(4, at));
        assert!(!clock.is_older(4, at + Duration::from_micros(999)));
        assert!(clock.is_older(4, at + Duration::from_millis(1)));
    }
}
