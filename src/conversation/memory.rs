//! The last bytes of each side, kept to compare a retransmission with what was sent before.
//!
//! A sender sends the same bytes again (RFC 9293, section 3.8.1). Other bytes mean that a middlebox has changed them,
//! or that segments were injected. Only tables that are asked to compare keep bytes, at most [`WINDOW`] of each side
//! and a stated sum for all streams. Beyond the sum nothing is kept, and the table counts the segments that were not
//! compared.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::segment::Seq;

/// Bytes that are kept of one side.
pub(super) const WINDOW: usize = 64 * 1024;

/// What all streams of a table may keep.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicUsize,
    refused: AtomicU64,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(bytes), refused: AtomicU64::new(0) })
    }

    /// Segments that were not kept.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        if taken.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The last bytes of both sides of one stream.
#[derive(Debug)]
pub(super) struct Memory {
    budget: Arc<Budget>,
    sides: [Recent; 2],
}

/// The last bytes of one side, without holes.
#[derive(Debug, Default)]
struct Recent {
    start: Seq,
    bytes: VecDeque<u8>,
}

impl Memory {
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), sides: Default::default() }
    }

    /// Takes bytes of a side. Returns true if they differ from those that were kept for the same numbers.
    pub(super) fn differs(&mut self, side: usize, seq: Seq, bytes: &[u8]) -> bool {
        let Self { budget, sides } = self;
        let recent = &mut sides[side];
        let end = recent.start + recent.bytes.len() as u32;
        // Behind a hole the memory begins anew.
        if recent.bytes.is_empty() || seq > end {
            budget.give_back(recent.bytes.len());
            recent.bytes.clear();
            recent.start = seq;
        }
        let end = recent.start + recent.bytes.len() as u32;
        let differs = recent.compare(seq, bytes);
        let known = end.distance(seq).max(0) as usize;
        let new = bytes.get(known..).unwrap_or_default();
        let new = &new[new.len().saturating_sub(WINDOW)..];
        if new.is_empty() || !budget.take(new.len()) {
            return differs;
        }
        recent.bytes.extend(new);
        let over = recent.bytes.len().saturating_sub(WINDOW);
        recent.bytes.drain(..over);
        recent.start = seq + bytes.len() as u32 - recent.bytes.len() as u32;
        budget.give_back(over);
        differs
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.budget.give_back(self.sides.iter().map(|recent| recent.bytes.len()).sum());
    }
}

impl Recent {
    fn compare(&self, seq: Seq, bytes: &[u8]) -> bool {
        let offset = seq.distance(self.start);
        let (skip, from) = if offset < 0 { (offset.unsigned_abs() as usize, 0) } else { (0, offset as usize) };
        let ours = bytes.get(skip..).unwrap_or_default();
        let to = (from + ours.len()).min(self.bytes.len());
        from < to && !self.bytes.range(from..to).eq(&ours[..to - from])
    }
}
