//! Rate and queue: when the last bit of a packet leaves the sender.
//!
//! A packet of n bytes takes 8 n / rate seconds. Within a busy period the exact end is kept as whole nanoseconds and a
//! fraction with the rate as its denominator. The end that is reported is rounded up to the nanosecond. So rounding
//! errors do not accumulate: n packets back to back end at the exact time of all their bits, rounded up once. An idle
//! transmitter starts at `now`.
//!
//! The queue is drop-tail and counts the packets that wait and the one in transmission. A packet whose last bit leaves
//! at `now` has left. (tc-netem(8) counts the packets on the wire too; ns-3 does not count the one in transmission.)
//! With a trace instead of a rate, the last byte of a packet leaves at an opportunity of the trace.

use std::collections::VecDeque;

use super::spec::LinkSpec;
use super::trace::Opportunities;
use super::value::{Limit, Rate};
use crate::time::Instant;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// The most bytes in a queue whose limit is a number of packets, of whatever length they are.

#[derive(Debug)]
pub(super) struct Transmitter {
    rate: Option<Rate>,
    /// Instead of a rate.
    trace: Option<Box<Opportunities>>,
    limit: Limit,
    /// The end of the last transmission, rounded up ...
    end: Instant,
    /// ... from so many `1 / rate` of a nanosecond after the whole one before it; 0 if it is exact.
    fraction: u64,
    /// When each packet in the queue leaves, and its length.
    queue: VecDeque<(Instant, u32)>,
    queued_bytes: u64,
}

impl Transmitter {
    pub(super) fn new(spec: &LinkSpec) -> Self {
        Self {
            rate: spec.rate,
            trace: None,
            limit: spec.limit.unwrap_or(LinkSpec::DEFAULT_LIMIT),
            end: Instant::EPOCH,
            fraction: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
        }
    }

    /// Sets another rate, which begins at `began`, from the next packet on. Packets in the queue keep their times, and leave
    /// first.
    pub(super) fn set_rate(&mut self, spec: &LinkSpec, began: Instant) {
        self.fraction = 0;
        self.rate = spec.rate;
        self.trace = spec.trace.as_ref().map(|trace| Box::new(Opportunities::new(trace, began, self.end)));
    }

    /// Sets another limit, from the next packet on. Packets in the queue stay.
    pub(super) fn set_limit(&mut self, spec: &LinkSpec) {
        self.limit = spec.limit.unwrap_or(LinkSpec::DEFAULT_LIMIT);
    }

    /// When the last bit of a packet of `len` bytes that enters now leaves; `None` if the queue has no room.
    #[inline]
    pub(super) fn enqueue(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.rate else {
            return self.enqueue_without_rate(now, len);
        };
        self.leave(now);
        if !self.has_room(len as u64) {
            return None;
        }
        let (start, fraction) = if self.end <= now {
            (now.as_nanos(), 0)
        } else {
            (self.end.as_nanos() - u64::from(self.fraction > 0), self.fraction)
        };
        // No overflow: 64 KiB make 5.2 * 10^14, and the fraction is below the rate, at most 10^18.
        let nanos_times_rate = len as u64 * 8 * NANOS_PER_SECOND + fraction;
        let rate = rate.bits_per_second();
        self.fraction = nanos_times_rate % rate;
        self.end = Instant::from_nanos(start + nanos_times_rate / rate + u64::from(self.fraction > 0));
        self.queue.push_back((self.end, len as u32));
        self.queued_bytes += len as u64;
        Some(self.end)
    }

    fn enqueue_without_rate(&mut self, now: Instant, len: usize) -> Option<Instant> {
        self.leave(now);
        let has_room = self.has_room(len as u64);
        let Some(trace) = &mut self.trace else {
            // After a change of rate the old queue still has to leave first.
            return Some(self.end.max(now));
        };
        if !has_room {
            return None;
        }
        self.end = trace.depart(now, len as u64);
        self.queue.push_back((self.end, len as u32));
        self.queued_bytes += len as u64;
        Some(self.end)
    }

    /// Whether a queue forms: there is a rate or a trace.
    pub(super) fn has_rate(&self) -> bool {
        self.rate.is_some() || self.trace.is_some()
    }

    /// When the last packet that was taken has left.
    pub(super) fn empty_at(&self) -> Instant {
        self.end
    }

    /// Bytes that wait or are in transmission.
    pub(super) fn queued_bytes(&mut self, now: Instant) -> u64 {
        self.leave(now);
        self.queued_bytes
    }

    /// Packets that wait or are in transmission.
    pub(super) fn queued_packets(&mut self, now: Instant) -> u64 {
        self.leave(now);
        self.queue.len() as u64
    }

    fn leave(&mut self, now: Instant) {
        while let Some((departure, len)) = self.queue.front()
            && *departure <= now
        {
            self.queued_bytes -= u64::from(*len);
            self.queue.pop_front();
        }
    }

    fn has_room(&self, len: u64) -> bool {
        match self.limit {
            Limit::Packets(packets) => (self.queue.len() as u64) < packets && self.queued_bytes < Limit::MOST_BYTES,
            Limit::Bytes(bytes) => self.queued_bytes + len <= bytes,
        }
    }
}
