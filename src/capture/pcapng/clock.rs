//! The times of pcapng packets: resolution and offset of an interface, and times that [`Instant`] cannot hold.
//!
//! Such a time is before 1970 or beyond 64 bits of nanoseconds. If the first packet of a section has one, all packets of
//! the section are moved by the same time, so that the distances stay. Any other is moved to the packet before it.

use crate::time::Instant;

/// How an interface counts time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// `if_tsresol`: a negative power of ten, or with the highest bit of two.
    pub(super) resolution: u8,
    /// `if_tsoffset`, in seconds.
    pub(super) offset: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { resolution: 6, offset: 0 }
    }
}

impl Clock {
    /// Finer than a nanosecond.
    pub(super) fn is_fine(self) -> bool {
        if self.resolution & 0x80 == 0 { self.resolution > 9 } else { self.resolution & 0x7f > 29 }
    }

    /// Nanoseconds since 1970.
    pub(super) fn nanos(self, ticks: u64) -> i128 {
        let exponent = u32::from(self.resolution & 0x7f);
        let ticks = u128::from(ticks);
        let since = if self.resolution & 0x80 != 0 {
            (ticks * 1_000_000_000) >> exponent
        } else if exponent <= 9 {
            ticks * 10_u128.pow(9 - exponent)
        } else {
            // Of so small a unit, 64 bits are less than a nanosecond.
            10_u128.checked_pow(exponent - 9).map_or(0, |divisor| ticks / divisor)
        };
        since as i128 + i128::from(self.offset) * 1_000_000_000
    }
}

/// The times of the packets of a section.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// The time of the packet before.
    pub(super) last: Instant,
    /// How far packets are moved.
    shift: Option<i128>,
    /// The first packet was moved, so all are.
    all: bool,
    begun: bool,
}

impl Times {
    /// Another section begins.
    pub(super) fn restart(&mut self) {
        *self = Self { last: self.last, ..Self::default() };
    }

    /// The instant of a packet, and whether its time was out of range.
    pub(super) fn place(&mut self, nanos: i128) -> (Instant, bool) {
        let exact = u64::try_from(nanos).ok();
        let first = !core::mem::replace(&mut self.begun, true);
        let at = match exact {
            Some(nanos) if !self.all => nanos,
            _ => {
                self.all |= first;
                let last = i128::from(self.last.as_nanos());
                let shift = *self.shift.get_or_insert(last - nanos);
                (nanos + shift).clamp(0, u64::MAX.into()) as u64
            }
        };
        self.last = Instant::from_nanos(at);
        (self.last, exact.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_every_resolution_are_nanoseconds() {
        let nanos = |resolution, ticks| Clock { resolution, offset: 0 }.nanos(ticks);
        assert_eq!(nanos(0, 7), 7_000_000_000);
        assert_eq!(nanos(6, 7), 7_000);
        assert_eq!(nanos(9, 7), 7);
        assert_eq!(nanos(12, 7_999), 7);
        assert_eq!(nanos(0x80, 7), 7_000_000_000);
        assert_eq!(nanos(0x9e, 3 << 30 | 1 << 29), 3_500_000_000);
        assert_eq!(nanos(0xbf, 1 << 63), 1_000_000_000);
        assert_eq!(nanos(0xff, u64::MAX), 0);
        for resolution in 0..=u8::MAX {
            for offset in [i64::MIN, -1, 0, i64::MAX] {
                Clock { resolution, offset }.nanos(u64::MAX);
            }
        }
        let fine: Vec<_> =
            [0, 9, 10, 0x7f, 0x9d, 0x9e, 0xff].map(|resolution| Clock { resolution, offset: 0 }.is_fine()).into();
        assert_eq!(fine, [false, false, true, true, false, true, true]);
    }

    #[test]
    fn times_before_1970_keep_their_distances_if_the_first_one_is_among_them() {
        let mut times = Times::default();
        let placed = [-5_000, -3_000, -4_000, -9_000, 2_000].map(|nanos| times.place(nanos));
        let expected = [(0, true), (2_000, true), (1_000, true), (0, true), (7_000, false)];
        assert_eq!(placed, expected.map(|(at, odd)| (Instant::from_nanos(at), odd)));
    }

    #[test]
    fn one_time_that_is_out_of_range_is_that_of_the_packet_before_and_the_rest_stay_exact() {
        let mut times = Times::default();
        let late = i128::from(u64::MAX) + 10;
        let placed = [100, late, late + 5, 300].map(|nanos| times.place(nanos).0.as_nanos());
        assert_eq!(placed, [100, 100, 105, 300]);
        times.restart();
        assert_eq!(times.place(late).0.as_nanos(), 300, "another section goes on from the last time");
        assert_eq!(times.place(late + 1).0.as_nanos(), 301);
    }
}
