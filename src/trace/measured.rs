//! What is measured of one side of a flow as a sender: new and repeated bytes, round trips, windows, idle times, and why
//! segments were sent again. `flow` feeds it with each segment; the tables of `view` print it.
//!
//! A round trip is measured as tcptrace does: from a segment to the ACK that ends exactly where the segment ends. A segment
//! that was sent again has none, nor one whose ACK may have waited for a segment before it that came later (RFC 6298,
//! section 3).

use std::collections::VecDeque;

use crate::conversation::{DataKind, Seen};
use crate::event::Reason;
use crate::segment::{Segment, Seq};
use crate::time::{Duration, Instant};

/// Segments of a side that wait for their ACK and are timed. While there are so many, later ones are not timed.
const MOST_TIMED: usize = 1024;

/// What was measured of one side: of a run at the interface of its host, of a capture at the vantage point.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Bytes of data that were sent for the first time.
    pub new_bytes: u64,
    /// Bytes of data that were sent before. Copies made by a link do not count.
    pub repeated_bytes: u64,
    /// Bytes of data of the largest segment.
    pub largest: u32,
    /// Segments that carry SACK blocks (RFC 2018).
    pub sacks: u64,
    /// Round trips.
    pub rtt: RoundTrips,
    /// The smallest and the largest window that the side has advertised, in bytes. Those of SYN and RST do not count.
    pub windows: Option<(u32, u32)>,
    /// The longest time between two segments of the side that follow each other.
    pub idle: Duration,
    /// Retransmissions by reason, in the order of [`Reason::ALL`], where the host tells why it sends.
    reasons: [u32; Reason::ALL.len()],
    last: Option<Instant>,
    fin: bool,
    timed: VecDeque<Timed>,
}

/// Round trips that were measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTrips {
    /// How many.
    pub count: u64,
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    sum: u128,
}

/// A segment that waits for its ACK.
#[derive(Clone, Copy, Debug)]
struct Timed {
    start: Seq,
    end: Seq,
    at: Instant,
    /// When it was last sent again.
    again: Option<Instant>,
}

impl RoundTrips {
    /// The mean; zero if there are none.
    pub fn mean(&self) -> Duration {
        let mean = self.sum.checked_div(u128::from(self.count)).unwrap_or_default();
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// These and others.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        match (self.count, other.count) {
            (_, 0) => self,
            (0, _) => *other,
            _ => Self {
                count: self.count + other.count,
                min: self.min.min(other.min),
                max: self.max.max(other.max),
                sum: self.sum.saturating_add(other.sum),
            },
        }
    }

    fn add(&mut self, rtt: Duration) {
        let one = Self { count: 1, min: rtt, max: rtt, sum: rtt.as_nanos() };
        *self = self.and(&one);
    }
}

impl Measured {
    /// Segments that were sent again for this reason, as far as the host tells it.
    pub fn resent_for(&self, reason: Reason) -> u32 {
        Reason::ALL.iter().position(|known| *known == reason).map_or(0, |at| self.reasons[at])
    }

    /// A retransmission was sent for this reason.
    pub(super) fn resent(&mut self, reason: Reason) {
        if let Some(at) = Reason::ALL.iter().position(|known| *known == reason) {
            self.reasons[at] = self.reasons[at].saturating_add(1);
        }
    }

    /// The side has sent a segment; `window` is the one that it advertises, scaled.
    pub(super) fn sent(&mut self, at: Instant, segment: &Segment<'_>, seen: &Seen, window: u32) {
        if let Some(last) = self.last {
            self.idle = self.idle.max(at.max(last) - last);
        }
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        self.sacks += u64::from(segment.options.sack_blocks().next().is_some());
        if !segment.is_syn() && !segment.is_rst() {
            let (least, most) = self.windows.unwrap_or((window, window));
            self.windows = Some((least.min(window), most.max(window)));
        }
        let len = segment.payload.len();
        self.largest = self.largest.max(u32::try_from(len).unwrap_or(u32::MAX));
        if seen.data == DataKind::Unacceptable {
            return;
        }
        let control = u32::from(segment.is_syn()) + u32::from(segment.is_fin() && !self.fin);
        self.fin |= segment.is_fin();
        let new = u64::from(seen.new_bytes.saturating_sub(control)).min(len as u64);
        self.new_bytes += new;
        self.repeated_bytes += len as u64 - new;
        if seen.end != seen.start {
            self.time(at, seen);
        }
    }

    fn time(&mut self, at: Instant, seen: &Seen) {
        if seen.new_bytes == 0 || seen.repeated_bytes() > 0 {
            for timed in self.timed.iter_mut().filter(|timed| timed.end > seen.start && timed.start < seen.end) {
                timed.again = Some(at);
            }
        }
        if seen.new_bytes > 0 && self.timed.len() < MOST_TIMED {
            // Segments out of order are few: the place is near the end.
            let place = self.timed.iter().rposition(|timed| timed.end <= seen.end).map_or(0, |before| before + 1);
            let again = (seen.repeated_bytes() > 0).then_some(at);
            self.timed.insert(place, Timed { start: seen.start, end: seen.end, at, again });
        }
    }

    /// An ACK of this number has come.
    pub(super) fn acked(&mut self, at: Instant, ack: Seq) {
        // When the last of the segments passed, or passed again, for which the ACK may have waited.
        let mut waited = Instant::EPOCH;
        while let Some(timed) = self.timed.front().filter(|timed| timed.end <= ack).copied() {
            self.timed.pop_front();
            if timed.end == ack && timed.again.is_none() && waited <= timed.at && at >= timed.at {
                self.rtt.add(at - timed.at);
            }
            waited = waited.max(timed.at).max(timed.again.unwrap_or(timed.at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::AckKind;
    use crate::segment::{Flags, SegmentTemplate};

    /// Sends bytes `start..end` at a millisecond; the first `old` of them were sent before.
    fn send(measured: &mut Measured, at: u64, (start, end): (u32, u32), old: u32) {
        let ends = ["192.0.2.1:80", "192.0.2.2:4000"].map(|end| end.parse().expect("an address"));
        let payload = vec![0; (end - start) as usize];
        let bytes = SegmentTemplate { flags: Flags::ACK, payload: &payload, ..SegmentTemplate::new(ends[0], ends[1]) }
            .to_bytes();
        let ip = crate::segment::IpView::parse(&bytes).expect("a packet");
        let segment = Segment::parse(&ip).expect("a segment");
        let data = if old == end - start { DataKind::Retransmission { nth: 1 } } else { DataKind::New };
        let (start, end, new_bytes) = (Seq(start), Seq(end), end - start - old);
        let seen = Seen { data, ack: AckKind::Plain, start, end, new_bytes, restarted: false };
        measured.sent(Instant::from_millis(at), &segment, &seen, 1000);
    }

    #[test]
    fn a_round_trip_ends_with_the_ack_of_exactly_that_segment_and_one_that_was_sent_again_has_none() {
        let mut measured = Measured::default();
        let ack = |measured: &mut Measured, at, ack| measured.acked(Instant::from_millis(at), Seq(ack));
        send(&mut measured, 0, (0, 100), 0);
        send(&mut measured, 1, (100, 200), 0);
        ack(&mut measured, 20, 150);
        assert_eq!(measured.rtt.count, 0, "the first has no ACK of its own");
        ack(&mut measured, 31, 200);
        assert_eq!((measured.rtt.count, measured.rtt.min), (1, Duration::from_millis(30)));
        // One is sent again; the other may have waited for it; the third was sent behind it.
        send(&mut measured, 40, (200, 300), 0);
        send(&mut measured, 41, (300, 400), 0);
        send(&mut measured, 60, (200, 300), 100);
        send(&mut measured, 61, (400, 500), 0);
        ack(&mut measured, 70, 400);
        assert_eq!(measured.rtt.count, 1);
        ack(&mut measured, 71, 500);
        assert_eq!((measured.rtt.count, measured.rtt.min, measured.rtt.max), {
            (2, Duration::from_millis(10), Duration::from_millis(30))
        });
        assert_eq!(measured.rtt.mean(), Duration::from_millis(20));
        assert_eq!((measured.new_bytes, measured.repeated_bytes), (500, 100));
        assert_eq!(measured.idle, Duration::from_millis(39));
    }

    #[test]
    fn no_more_segments_are_timed_than_there_is_room_for() {
        let mut measured = Measured::default();
        for n in 0..=MOST_TIMED as u32 {
            send(&mut measured, 0, (n, n + 1), 0);
        }
        assert_eq!(measured.timed.len(), MOST_TIMED);
        for n in 1..=MOST_TIMED as u32 + 1 {
            measured.acked(Instant::from_millis(1), Seq(n));
        }
        assert_eq!((measured.rtt.count, measured.timed.len()), (MOST_TIMED as u64, 0));
    }
}
