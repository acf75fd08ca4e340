//! The MTU of paths, as ICMP reported it, for the connections that follow (RFC 1191, section 6.3; RFC 8201, section 5.3).
//! A report of a connection is kept for the destination for ten minutes, as on Linux; then the MTU of the link is tried
//! again. At most 1,024 destinations are kept; with more, the oldest report is forgotten.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use super::address::Addr;
use crate::time::{Duration, Instant};

/// Linux's `net.ipv4.route.mtu_expires`.
const VALID_FOR: Duration = Duration::from_mins(10);
const LIMIT: usize = 1024;

/// The reports by destination. The map is looked up and never iterated.
#[derive(Debug, Default)]
pub(super) struct PathMtus {
    known: HashMap<Addr, (usize, Instant), FixedState>,
    /// In the order of the first report.
    order: VecDeque<Addr>,
}

impl PathMtus {
    /// Keeps what was reported of the path to a destination.
    pub(super) fn learn(&mut self, now: Instant, to: Addr, mtu: usize) {
        if self.known.insert(to, (mtu, now + VALID_FOR)).is_none() {
            self.order.push_back(to);
        }
        if self.order.len() > LIMIT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// The MTU of the path to a destination: `link` if nothing smaller was reported lately.
    pub(super) fn of(&self, now: Instant, to: Addr, link: usize) -> usize {
        // Most hosts know none.
        if self.known.is_empty() {
            return link;
        }
        match self.known.get(&to) {
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
        assert_eq!((mtus.known.len(), mtus.order.len()), (1024, 1024));
    }
}
