//! Where writes of the application end: the segment with such a byte carries PSH (RFC 9293, section 3.9.1.2). Linux sets
//! PSH where a write ends too. At most 32 ends are kept: with more, the oldest lose their PSH, except the last one.

use crate::recovery::small_queue::SmallQueue;

const LIMIT: usize = 32;

/// Positions behind the last byte of a write, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct WriteEnds(SmallQueue<u64>);

impl WriteEnds {
    /// A write ends at `end`.
    pub(super) fn push(&mut self, end: u64) {
        if self.0.len() == LIMIT {
            self.0.pop_front();
        }
        self.0.push_back(end);
    }

    /// What lies before `una` is acknowledged.
    pub(super) fn free_to(&mut self, una: u64) {
        while self.0.front().is_some_and(|end| *end <= una) {
            self.0.pop_front();
        }
    }

    pub(super) fn has_spare_memory(&self) -> bool {
        self.0.has_spare()
    }

    /// Gives back the memory of an empty list.
    pub(super) fn shrink(&mut self) {
        self.0.shrink();
    }

    /// True if a write ends in the text from `from` up to `to`.
    pub(super) fn is_in(&self, from: u64, to: u64) -> bool {
        // Most segments hold the last end or none.
        match (self.0.front(), self.0.back()) {
            (Some(first), Some(last)) if *first <= to && *last > from => {
                self.0.iter().any(|end| from < *end && *end <= to)
            }
            _ => false,
        }
    }
}
