//! The event queue of the scheduler. Each host and each link direction has one slot, with its next instant or none. So
//! the queue does not grow with traffic, and no entry is stale. Keys are (instant, sequence number): of two events at
//! the same instant the one that was scheduled first comes first.
//!
//! It is a binary heap with an index from each slot to its place.

use crate::time::Instant;

/// The instant, and the order among events at the same instant.
pub(super) type Key = (Instant, u64);

/// The place of one host or link in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u32);

/// Beyond the end of every heap.
const NOWHERE: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(super) struct EventQueue {
    heap: Vec<(Key, Slot)>,
    /// For each slot its index in the heap, or [`NOWHERE`].
    place: Vec<u32>,
}

impl EventQueue {
    /// A new slot, with nothing in it.
    pub(super) fn add_slot(&mut self) -> Slot {
        self.place.push(NOWHERE);
        // So that a later `set` never allocates.
        self.heap.reserve(self.place.len() - self.heap.len());
        Slot(self.place.len() as u32 - 1)
    }

    /// The number of a slot, from 0 in the order in which they were added.
    pub(super) fn number(slot: Slot) -> usize {
        slot.0 as usize
    }

    /// What the slot holds.
    #[inline]
    pub(super) fn key(&self, slot: Slot) -> Option<Key> {
        self.heap.get(self.place[slot.0 as usize] as usize).map(|(key, _)| *key)
    }

    /// The slot with the smallest key.
    #[inline]
    pub(super) fn peek(&self) -> Option<(Instant, Slot)> {
        self.heap.first().map(|((at, _), slot)| (*at, *slot))
    }

    /// Puts another key, or nothing, into the slot.
    pub(super) fn set(&mut self, slot: Slot, key: Option<Key>) {
        let place = self.place[slot.0 as usize];
        match ((place != NOWHERE).then_some(place as usize), key) {
            (None, None) => {}
            (None, Some(key)) => {
                self.heap.push((key, slot));
                self.sift_up(self.heap.len() - 1);
            }
            (Some(at), Some(key)) => {
                let old = core::mem::replace(&mut self.heap[at].0, key);
                if key < old {
                    self.sift_up(at);
                } else if key > old {
                    self.sift_down(at);
                }
            }
            (Some(at), None) => {
                self.place[slot.0 as usize] = NOWHERE;
                let last = self.heap.pop().expect("the slot stands in the heap");
                if at < self.heap.len() {
                    let old = core::mem::replace(&mut self.heap[at], last);
                    if last.0 < old.0 { self.sift_up(at) } else { self.sift_down(at) }
                }
            }
        }
    }

    fn sift_up(&mut self, mut at: usize) {
        let entry = self.heap[at];
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.heap[parent].0 <= entry.0 {
                break;
            }
            self.put(at, self.heap[parent]);
            at = parent;
        }
        self.put(at, entry);
    }

    fn sift_down(&mut self, mut at: usize) {
        let entry = self.heap[at];
        loop {
            let mut child = 2 * at + 1;
            if child + 1 < self.heap.len() && self.heap[child + 1].0 < self.heap[child].0 {
                child += 1;
            }
            if child >= self.heap.len() || self.heap[child].0 >= entry.0 {
                break;
            }
            self.put(at, self.heap[child]);
            at = child;
        }
        self.put(at, entry);
    }

    fn put(&mut self, at: usize, entry: (Key, Slot)) {
        self.heap[at] = entry;
        self.place[entry.1.0 as usize] = at as u32;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_head_is_always_the_smallest_key(
            changes in prop::collection::vec((0_usize..12, prop::option::weighted(0.8, 0_u64..40)), 1..300),
        ) {
            let mut queue = EventQueue::default();
            let slots: Vec<_> = (0..12).map(|_| queue.add_slot()).collect();
            let capacity = queue.heap.capacity();
            let mut reference = [None; 12];
            for (sequence, (slot, at)) in changes.into_iter().enumerate() {
                let key = at.map(|at| (Instant::from_nanos(at), sequence as u64));
                queue.set(slots[slot], key);
                reference[slot] = key;
                let smallest = (0..12).filter_map(|slot| reference[slot].map(|key| (key, slot))).min();
                prop_assert_eq!(queue.peek(), smallest.map(|((at, _), slot)| (at, slots[slot])));
                prop_assert!((0..12).all(|slot| queue.key(slots[slot]) == reference[slot]));
            }
            prop_assert_eq!(queue.heap.capacity(), capacity);
        }
    }

    #[test]
    fn at_the_same_instant_the_smaller_sequence_number_comes_first() {
        let mut queue = EventQueue::default();
        let [a, b, c] = core::array::from_fn(|_| queue.add_slot());
        let at = Instant::from_secs(1);
        queue.set(a, Some((at, 3)));
        queue.set(b, Some((at, 1)));
        queue.set(c, Some((at, 2)));
        let mut order = Vec::new();
        while let Some((_, slot)) = queue.peek() {
            order.push(slot);
            queue.set(slot, None);
        }
        assert_eq!(order, [b, c, a]);
    }
}
