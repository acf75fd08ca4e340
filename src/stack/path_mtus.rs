//! The MTU of paths, as ICMP reported it, for the connections that follow (RFC 1191, section 6.3; RFC 8201, section 5.3).
//! A report of a connection is kept for the destination for ten minutes, as on Linux; then the MTU of the link is tried
//! again. At most 1,024 destinations are kept; with more, the oldest report is forgotten.

use super::address::Addr;
use super::destinations::Destinations;
use crate::time::{Duration, Instant};

/// Linux's `net.ipv4.route.mtu_expires`.
const VALID_FOR: Duration = Duration::from_mins(10);

/// The reports by destination: the MTU, and until when it holds.
#[derive(Debug, Default)]
pub(super) struct PathMtus(Destinations<(usize, Instant)>);

impl PathMtus {
    /// Keeps what was reported of the path to a destination.
    pub(super) fn learn(&mut self, now: Instant, to: Addr, mtu: usize) {
        let report = (mtu, now + VALID_FOR);
        *self.0.get_or_insert(to, report) = report;
    }

    /// The MTU of the path to a destination: `link` if nothing smaller was reported lately.
    pub(super) fn of(&self, now: Instant, to: Addr, link: usize) -> usize {
        match self.0.get(to) {
            Some((mtu, until)) if now < *until => link.min(*mtu),
            _ => link,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u32) -> Addr {
        Addr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::from_bits(n)))
    }

    #[test]
    fn a_report_is_valid_for_ten_minutes_and_never_raises_the_mtu_of_the_link() {
        let mut mtus = PathMtus::default();
        let now = Instant::EPOCH;
        mtus.learn(now, addr(1), 1400);
        assert_eq!(mtus.of(now, addr(1), 1500), 1400);
        assert_eq!(mtus.of(now, addr(2), 1500), 1500);
        assert_eq!(mtus.of(now, addr(1), 1280), 1280);
        let last = Instant::from_nanos((now + VALID_FOR).as_nanos() - 1);
        assert_eq!(mtus.of(last, addr(1), 1500), 1400);
        assert_eq!(mtus.of(now + VALID_FOR, addr(1), 1500), 1500);
    }

    #[test]
    fn the_oldest_of_more_than_1024_reports_is_forgotten() {
        let mut mtus = PathMtus::default();
        let now = Instant::EPOCH;
        for n in 0..1024 {
            mtus.learn(now, addr(n), 1400);
        }
        assert_eq!(mtus.of(now, addr(0), 1500), 1400);
        mtus.learn(now, addr(0), 1300);
        assert_eq!(mtus.of(now, addr(0), 1500), 1300);
        mtus.learn(now, addr(1024), 1400);
        assert_eq!((mtus.of(now, addr(0), 1500), mtus.of(now, addr(1), 1500)), (1500, 1400));
        assert_eq!(mtus.0.len(), (1024, 1024));
    }
}
