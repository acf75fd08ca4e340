//! The bytes seen beyond a hole: sorted ranges of sequence space that neither overlap nor touch.
//!
//! Most connections never have any; then nothing is allocated. Their number is bounded by [`MAX_RANGES`], so that a
//! hostile sender cannot make the record grow: beyond it the lowest hole is taken as filled. A segment that fills it
//! later is then called a retransmission where it is out of order; the next ACK past it sets everything right.
//!
//! All numbers lie within 2^31 of each other (the sender keeps them within the largest window), so that comparison
//! modulo 2^32 is an order here.

use crate::segment::Seq;

/// How many ranges are kept for one direction.
pub(super) const MAX_RANGES: usize = 64;

/// From `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: Seq,
    end: Seq,
}

/// The ranges seen above the contiguous end of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    list: Vec<Range>,
}

impl Ranges {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The first byte of `start..end` in no range.
    pub(super) fn first_unseen(&self, start: Seq, end: Seq) -> Option<Seq> {
        // Ranges do not touch, so the byte after the range that holds `start` is in none.
        let holder = self.list.iter().find(|range| range.start <= start && start < range.end);
        let first = holder.map_or(start, |range| range.end);
        (first < end).then_some(first)
    }

    /// Adds `start..end`, which is not empty. Returns how many of its bytes are new.
    pub(super) fn insert(&mut self, start: Seq, end: Seq) -> u32 {
        let from = self.list.partition_point(|range| range.end < start);
        let to = from + self.list[from..].partition_point(|range| range.start <= end);
        let mut merged = Range { start, end };
        let mut seen = 0;
        for range in &self.list[from..to] {
            seen += range.end.min(end) - range.start.max(start);
            merged = Range { start: merged.start.min(range.start), end: merged.end.max(range.end) };
        }
        self.list.splice(from..to, [merged]);
        if self.list.len() > MAX_RANGES {
            self.list[0].end = self.list[1].end;
            self.list.remove(1);
        }
        (end - start).saturating_sub(seen)
    }

    /// Everything below `end` is contiguous now: takes away the ranges that it reaches and returns how far it goes with
    /// them.
    pub(super) fn absorb(&mut self, end: Seq) -> Seq {
        let reached = self.list.partition_point(|range| range.start <= end);
        self.list.drain(..reached).fold(end, |end, range| end.max(range.end))
    }

    /// How many bytes of `start..end` are in a range.
    pub(super) fn overlap(&self, start: Seq, end: Seq) -> u32 {
        let clipped = |range: &Range| (range.start.max(start), range.end.min(end));
        self.list.iter().map(clipped).filter(|(from, to)| from < to).map(|(from, to)| to - from).sum()
    }
}
