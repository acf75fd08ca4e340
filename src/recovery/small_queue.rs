//! A queue whose first entry lies in the queue itself. Most flows have one entry at a time: one segment in flight, one
//! write, one block. Such a flow takes no memory on the heap. The scoreboard, the send buffer and the receive buffer use it.

use core::iter::Chain;
use std::collections::VecDeque;

/// A queue, empty or with its front inline.
#[derive(Clone, Debug)]
pub struct SmallQueue<T> {
    /// `None` only if the queue is empty.
    front: Option<T>,
    /// What comes behind the front. It stays when it is empty, until [`SmallQueue::shrink`].
    #[expect(clippy::box_collection, reason = "most queues have no rest; it then takes 8 bytes, not 32")]
    rest: Option<Box<VecDeque<T>>>,
}

impl<T> Default for SmallQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> SmallQueue<T> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { front: None, rest: None }
    }

    fn rest_mut(&mut self) -> &mut VecDeque<T> {
        self.rest.get_or_insert_default()
    }

    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.front.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    /// True without an entry.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.front.is_none()
    }

    /// The first entry.
    #[inline]
    pub const fn front(&self) -> Option<&T> {
        self.front.as_ref()
    }

    /// The last entry.
    #[inline]
    pub fn back(&self) -> Option<&T> {
        self.rest.as_ref().and_then(|rest| rest.back()).or(self.front.as_ref())
    }

    /// The entry at `index`, from 0.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        match index.checked_sub(1) {
            None => self.front.as_ref(),
            Some(behind) => self.rest.as_ref()?.get(behind),
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        match index.checked_sub(1) {
            None => self.front.as_mut(),
            Some(behind) => self.rest.as_mut()?.get_mut(behind),
        }
    }

    #[inline]
    pub(crate) fn push_back(&mut self, entry: T) {
        if self.front.is_none() {
            self.front = Some(entry);
        } else {
            self.rest_mut().push_back(entry);
        }
    }

    pub(crate) fn push_front(&mut self, entry: T) {
        if let Some(second) = self.front.replace(entry) {
            self.rest_mut().push_front(second);
        }
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let next = self.rest.as_mut().and_then(|rest| rest.pop_front());
        core::mem::replace(&mut self.front, next)
    }

    /// Puts an entry before the one at `index`.
    pub(crate) fn insert(&mut self, index: usize, entry: T) {
        match index.checked_sub(1) {
            None => self.push_front(entry),
            Some(behind) => self.rest_mut().insert(behind, entry),
        }
    }

    /// How many entries at the front satisfy `is_before`. Those that do all come before those that do not.
    #[inline]
    pub(crate) fn partition_point(&self, mut is_before: impl FnMut(&T) -> bool) -> usize {
        match &self.front {
            Some(front) if is_before(front) => 1 + self.rest.as_ref().map_or(0, |rest| rest.partition_point(is_before)),
            _ => 0,
        }
    }

    /// The entries in order.
    pub fn iter(&self) -> Iter<'_, T> {
        self.into_iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.front.iter_mut().chain(self.rest.iter_mut().flat_map(|rest| rest.iter_mut()))
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| size_of::<VecDeque<T>>() + rest.capacity() * size_of::<T>())
    }

    /// True if it is empty and holds memory on the heap.
    pub(crate) fn has_spare(&self) -> bool {
        self.is_empty() && self.rest.is_some()
    }

    /// Gives back the heap if the queue is empty, and most of it if few of many places are in use.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() {
            self.rest = None;
        } else if let Some(rest) = &mut self.rest
            && rest.capacity() > 64
            && rest.len() < rest.capacity() / 8
        {
            rest.shrink_to((2 * rest.len()).max(64));
        }
    }
}

/// The entries of a [`SmallQueue`].
pub type Iter<'a, T> = Chain<core::option::Iter<'a, T>, core::iter::Flatten<core::option::IntoIter<&'a VecDeque<T>>>>;

impl<'a, T> IntoIterator for &'a SmallQueue<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.front.iter().chain(self.rest.as_deref().into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn it_does_what_a_ring_does() {
        let mut rng = Rng::new(1, "small queue");
        let (mut queue, mut ring) = (SmallQueue::new(), VecDeque::new());
        for step in 0..20_000_u32 {
            match rng.below(8) {
                0..=2 => {
                    queue.push_back(step);
                    ring.push_back(step);
                }
                3 => {
                    queue.push_front(step);
                    ring.push_front(step);
                }
                4 => {
                    let at = rng.below(ring.len() as u64 + 1) as usize;
                    queue.insert(at, step);
                    ring.insert(at, step);
                }
                5 | 6 => {
                    for _ in 0..rng.below(4) {
                        assert_eq!(queue.pop_front(), ring.pop_front());
                    }
                }
                _ => queue.shrink(),
            }
            assert_eq!((queue.len(), queue.is_empty()), (ring.len(), ring.is_empty()));
            assert_eq!((queue.front(), queue.back()), (ring.front(), ring.back()));
            assert!(queue.iter().eq(&ring) && queue.iter().rev().eq(ring.iter().rev()));
            let at = rng.below(ring.len() as u64 + 1) as usize;
            assert_eq!(queue.get(at), ring.get(at));
            assert_eq!(queue.get_mut(at), ring.get_mut(at));
            for (one, other) in queue.iter_mut().zip(&mut ring) {
                (*one, *other) = (*one ^ 1, *other ^ 1);
            }
        }
    }

    #[test]
    fn one_entry_takes_no_heap_and_more_give_it_back() {
        let mut queue = SmallQueue::new();
        for round in 0..3_u64 {
            queue.push_back(round);
            assert_eq!((queue.memory(), queue.pop_front()), (0, Some(round)));
        }
        (0..1_000).for_each(|entry| queue.push_back(entry));
        let full = queue.memory();
        (0..990).for_each(|entry| assert_eq!(queue.pop_front(), Some(entry)));
        queue.shrink();
        assert!(queue.memory() < full / 8, "{} of {full}", queue.memory());
        (990..1_000).for_each(|entry| assert_eq!(queue.pop_front(), Some(entry)));
        assert!(queue.memory() > 0);
        queue.shrink();
        assert_eq!(queue.memory(), 0);
    }

    #[test]
    fn partition_point_counts_from_the_front() {
        let mut queue = SmallQueue::new();
        (0..5).for_each(|entry| queue.push_back(entry));
        assert_eq!([0, 1, 3, 5].map(|bound| queue.partition_point(|entry| *entry < bound)), [0, 1, 3, 5]);
        assert_eq!(SmallQueue::<u8>::new().partition_point(|_| true), 0);
    }
}
