//! Sequence numbers: 32 bits, all arithmetic modulo 2^32 (RFC 9293, section 3.4).

use core::cmp::Ordering;
use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};

/// A sequence number. Comparison is the RFC's: `a < b` if `b` lies less than 2^31 ahead of `a`. It is an order only
/// within half of the space, which is why `Ord` is not implemented.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seq(pub u32);

impl Seq {
    /// How far `self` is ahead of `other`; negative if it is behind.
    pub const fn distance(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }

    /// The later of two.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if self < other { other } else { self }
    }

    /// The earlier of two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        if other < self { other } else { self }
    }
}

impl PartialOrd for Seq {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.distance(*other).cmp(&0))
    }
}

impl Add<u32> for Seq {
    type Output = Self;

    fn add(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl AddAssign<u32> for Seq {
    fn add_assign(&mut self, bytes: u32) {
        *self = *self + bytes;
    }
}

impl Sub<u32> for Seq {
    type Output = Self;

    fn sub(self, bytes: u32) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

impl SubAssign<u32> for Seq {
    fn sub_assign(&mut self, bytes: u32) {
        *self = *self - bytes;
    }
}

impl Sub for Seq {
    type Output = u32;

    /// The bytes from `earlier` to `self`, modulo 2^32: only meaningful when `earlier <= self`.
    fn sub(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_wraps_around() {
        let before = Seq(u32::MAX - 1);
        let after = before + 5;
        assert_eq!(after, Seq(3));
        assert!(before < after);
        assert!(after > before);
        assert_eq!(after - before, 5);
        assert_eq!(before.distance(after), -5);
        assert_eq!(before.max(after), after);
        assert_eq!(before.min(after), before);
    }
}
