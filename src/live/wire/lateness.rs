//! How late packets are written: a loop that does not run in time makes a link longer than its line says. `Wire` notes each
//! packet, and `cli` prints the counts.

use core::fmt;

use crate::time::Duration;

/// A packet that is written later than this after its arrival is counted.
const LATE: Duration = Duration::from_millis(1);

/// Counts of the packets that came out of the links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Packets.
    pub packets: u64,
    /// Packets that were written more than 1 ms after they had arrived.
    pub late: u64,
    /// The longest time between the arrival of a packet and its write.
    pub worst: Duration,
}

impl Lateness {
    /// A packet was written so long after it had arrived.
    pub(super) fn note(&mut self, late: Duration) {
        self.packets += 1;
        self.late += u64::from(late > LATE);
        self.worst = self.worst.max(late);
    }
}

impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets, late, worst } = self;
        write!(
            f,
            "{late} of {packets} packets were written more than 1 ms late; the longest delay was {:.3} ms",
            worst.as_secs_f64() * 1e3
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_is_written_more_than_a_millisecond_late_is_counted() {
        let mut lateness = Lateness::default();
        for nanos in [0, 1_000_000, 1_000_001, 2_500_000, 999_999] {
            lateness.note(Duration::from_nanos(nanos));
        }
        assert_eq!(lateness, Lateness { packets: 5, late: 2, worst: Duration::from_micros(2500) });
        let text = "2 of 5 packets were written more than 1 ms late; the longest delay was 2.500 ms";
        assert_eq!(lateness.to_string(), text);
    }
}
