//! Instants in nanoseconds. Virtual time starts at the Unix epoch; live time is counted from the start of the loop or
//! from the epoch. Nothing here reads a clock: `now` is always an argument.
//!
//! smoltcp counts microseconds. Instants given to it are rounded down.

use core::fmt;
use core::num::NonZeroU64;
use core::ops::{Add, AddAssign, Sub};

pub use core::time::Duration;

/// A point in time, in nanoseconds since the Unix epoch (virtual time begins there).
///
/// Kept plus one, so that an instant that may be absent takes no more room than one that is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

impl Instant {
    /// The epoch, where virtual time begins.
    pub const EPOCH: Self = Self::from_nanos(0);
    /// Later than every instant that occurs: about the year 2554.
    pub const FAR_FUTURE: Self = Self(NonZeroU64::MAX);

    /// The instant `nanos` nanoseconds after the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        // The last nanosecond is that before it.
        match NonZeroU64::new(nanos.saturating_add(1)) {
            Some(plus_one) => Self(plus_one),
            None => Self::FAR_FUTURE,
        }
    }

    /// The instant `micros` microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self::from_nanos(micros.saturating_mul(1_000))
    }

    /// The instant `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// The instant `secs` seconds after the epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_nanos(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// Whole milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.as_nanos() / 1_000_000
    }

    /// Seconds since the epoch, for printing.
    pub fn as_secs_f64(self) -> f64 {
        self.as_nanos() as f64 / 1e9
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// The nanoseconds from `earlier` to `self`, zero if `earlier` is later.
    pub(crate) const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }

    /// The earliest of deadlines that may be absent. One that is absent counts as the latest, so that nothing branches.
    #[inline]
    pub(crate) fn earliest<const N: usize>(deadlines: [Option<Self>; N]) -> Option<Self> {
        let mut least = u64::MAX;
        for at in deadlines {
            least = least.min(at.map_or(0, |at| at.0.get()).wrapping_sub(1));
        }
        NonZeroU64::new(least.wrapping_add(1)).map(Self)
    }

    /// The instant for smoltcp: microseconds, rounded down.
    pub(crate) const fn to_smoltcp(self) -> smoltcp::time::Instant {
        smoltcp::time::Instant::from_micros_const((self.as_nanos() / 1_000) as i64)
    }
}

impl Default for Instant {
    fn default() -> Self {
        Self::EPOCH
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, delay: Duration) {
        *self = *self + delay;
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// As [`Instant::since`]: never negative.
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.as_nanos() / 1_000_000_000, self.as_nanos() % 1_000_000_000)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoltcp_sees_time_rounded_down_to_microseconds() {
        assert_eq!(Instant::from_nanos(1_999).to_smoltcp().total_micros(), 1);
        assert_eq!(Instant::from_nanos(2_000).to_smoltcp().total_micros(), 2);
    }

    #[test]
    fn instants_print_as_seconds_with_nine_digits() {
        assert_eq!(Instant::from_nanos(1_000_000_005).to_string(), "1.000000005");
    }

    #[test]
    fn the_earliest_deadline_is_one_that_is_there() {
        let [one, two] = [1, 2].map(|secs| Some(Instant::from_secs(secs)));
        assert_eq!(Instant::earliest([two, None, one]), one);
        assert_eq!(Instant::earliest([None, Some(Instant::FAR_FUTURE)]), Some(Instant::FAR_FUTURE));
        assert_eq!(Instant::earliest([one, Some(Instant::EPOCH)]), Some(Instant::EPOCH));
        assert_eq!(Instant::earliest([None, None]), None);
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::EPOCH - Instant::from_secs(1), Duration::ZERO);
        assert_eq!(Instant::FAR_FUTURE + Duration::from_secs(1), Instant::FAR_FUTURE);
    }

    #[test]
    fn an_instant_that_may_be_absent_takes_eight_bytes() {
        assert_eq!(size_of::<Option<Instant>>(), 8);
        assert_eq!(Instant::EPOCH.as_nanos(), 0);
        assert_eq!(Instant::default(), Instant::EPOCH);
        assert_eq!(Instant::from_nanos(u64::MAX), Instant::FAR_FUTURE);
        assert_eq!(Instant::from_nanos(u64::MAX - 1), Instant::FAR_FUTURE);
        assert!(Instant::from_nanos(u64::MAX - 2) < Instant::FAR_FUTURE);
    }
}
