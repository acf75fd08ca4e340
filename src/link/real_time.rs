//! Links whose time is that of the wall clock. The other end of such a link can send without end, so what it holds is
//! limited. `live` and `proxy` make their links here.

use super::{Limit, Link, LinkSchedule, LinkSpec};
use crate::time::Instant;

/// What a direction holds by default, in packets and in bytes: 1 Gbit/s for 200 ms are 16,667 packets of 1,500 bytes.
const CAPACITY: (usize, usize) = (17_000, 17_000 * 1500);
/// The smallest packet that is worth a byte of a limit in bytes: an empty segment with timestamps.
const SMALL: usize = 52;

/// What one direction holds: the default, or what an explicit `limit` needs if that is more.
fn capacity(spec: &LinkSpec, mtu: usize) -> (usize, usize) {
    let (packets, bytes) = match spec.limit {
        None => (0, 0),
        Some(Limit::Packets(packets)) => (packets as usize, (packets as usize).saturating_mul(mtu)),
        Some(Limit::Bytes(bytes)) => (bytes as usize / SMALL, bytes as usize),
    };
    (packets.max(CAPACITY.0), bytes.clamp(CAPACITY.1, Limit::MOST_BYTES as usize))
}

impl Link {
    /// A link whose times count from `began`. It holds as much as one of its specs needs, and not more.
    pub(crate) fn in_real_time(schedule: &LinkSchedule, seed: u64, name: &str, mtu: usize, began: Instant) -> Self {
        let mut link = Self::new(&schedule.spec, seed, name);
        link.set_beginning(began);
        link.set_schedule(schedule);
        let specs = core::iter::once(&schedule.spec).chain(schedule.changes().iter().map(|change| change.items.spec()));
        let (packets, bytes) =
            specs.map(|spec| capacity(spec, mtu)).fold(CAPACITY, |one, two| (one.0.max(two.0), one.1.max(two.1)));
        link.set_capacity(packets, bytes);
        link
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_holds_the_default_or_what_its_limit_needs() {
        let of = |line: &str| capacity(&line.parse().expect(line), 1500);
        assert_eq!(of("delay=1ms"), CAPACITY);
        assert_eq!(of("rate=1Mbit,limit=17000"), CAPACITY);
        assert_eq!(of("rate=1Mbit,limit=17001"), (17_001, 17_001 * 1500));
        assert_eq!(of("rate=1Mbit,limit=10B"), CAPACITY);
        let bytes = CAPACITY.1 + 1;
        assert_eq!(of(&format!("rate=1Mbit,limit={bytes}B")), (bytes / SMALL, bytes));
    }
}
