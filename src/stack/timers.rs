//! The deadlines of a host: a binary heap in which each owner has about one entry.
//!
//! A connection's deadline moves with nearly every packet, mostly later. Moving an entry for that would cost more than
//! the packet; so an entry may be too early, and is put right when it comes to the top. Only a deadline that moves
//! earlier than its entry makes a new one. Ties are broken by the order in which deadlines were set (law 3).
//!
//! Entries whose owner has gone or has an earlier one mean nothing any more. Those at the top are dropped when they are
//! met; when the heap has doubled since the last time, all of them are, so that a burst of connections with keep-alive
//! does not stay in it for two hours.

use core::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::time::Instant;

/// Deadlines of owners of type `K`.
#[derive(Debug)]
pub(super) struct Timers<K> {
    heap: BinaryHeap<Reverse<Entry<K>>>,
    sequence: u64,
    /// With more entries than this it is time to drop those that mean nothing.
    sweep_above: usize,
}

/// Below so many entries nothing is swept.
const SWEEP_LEAST: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Entry<K> {
    at: Instant,
    sequence: u64,
    owner: K,
}

/// What an owner keeps of its timer: the true deadline, and the earliest entry that stands for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deadline {
    at: Option<Instant>,
    entry: Option<Instant>,
}

/// Finds the deadlines of owners.
pub(super) trait Deadlines<K> {
    /// The deadline of `owner`, or `None` if the owner is gone.
    fn deadline(&mut self, owner: K) -> Option<&mut Deadline>;
}

impl<K: Copy> Timers<K> {
    pub(super) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), sequence: 0, sweep_above: SWEEP_LEAST }
    }

    /// Sets the deadline of `owner`.
    pub(super) fn set(&mut self, owner: K, deadline: &mut Deadline, at: Option<Instant>) {
        deadline.at = at;
        if let Some(at) = at
            && deadline.entry.is_none_or(|entry| at < entry)
        {
            deadline.entry = Some(at);
            self.push(owner, at);
        }
    }

    fn push(&mut self, owner: K, at: Instant) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry { at, sequence: self.sequence, owner }));
    }

    /// The earliest deadline of all owners that still exist.
    pub(super) fn next_at(&mut self, owners: &mut impl Deadlines<K>) -> Option<Instant> {
        if self.heap.len() > self.sweep_above {
            self.sweep(owners);
        }
        loop {
            let Reverse(Entry { at, owner, .. }) = *self.heap.peek()?;
            let Some(deadline) = owners.deadline(owner).filter(|deadline| deadline.entry == Some(at)) else {
                self.heap.pop();
                continue;
            };
            if deadline.at == Some(at) {
                return Some(at);
            }
            self.heap.pop();
            deadline.entry = deadline.at;
            if let Some(due) = deadline.at {
                self.push(owner, due);
            }
        }
    }

    /// Drops every entry that means nothing. Those that are left keep their order: it is in the entries.
    fn sweep(&mut self, owners: &mut impl Deadlines<K>) {
        self.heap.retain(|Reverse(Entry { at, owner, .. })| {
            owners.deadline(*owner).is_some_and(|deadline| deadline.entry == Some(*at))
        });
        self.sweep_above = (self.heap.len() * 2).max(SWEEP_LEAST);
        self.heap.shrink_to(self.sweep_above);
    }

    /// Takes one owner whose deadline has come; its deadline is then unset.
    pub(super) fn poll_due(&mut self, now: Instant, owners: &mut impl Deadlines<K>) -> Option<K> {
        self.next_at(owners).filter(|at| *at <= now)?;
        let Reverse(Entry { owner, .. }) = self.heap.pop()?;
        if let Some(deadline) = owners.deadline(owner) {
            *deadline = Deadline::default();
        }
        Some(owner)
    }
}

impl<K> PartialEq for Entry<K> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl<K> Eq for Entry<K> {}

impl<K> PartialOrd for Entry<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Entry<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Deadlines<usize> for Vec<Deadline> {
        fn deadline(&mut self, owner: usize) -> Option<&mut Deadline> {
            self.get_mut(owner)
        }
    }

    fn secs(secs: u64) -> Instant {
        Instant::from_secs(secs)
    }

    #[test]
    fn a_deadline_that_moves_later_is_found_at_its_new_place() {
        let (mut timers, mut owners) = (Timers::new(), vec![Deadline::default(); 2]);
        timers.set(0, &mut owners[0], Some(secs(1)));
        timers.set(1, &mut owners[1], Some(secs(2)));
        timers.set(0, &mut owners[0], Some(secs(3)));
        assert_eq!(timers.heap.len(), 2, "moving later makes no entry");
        assert_eq!(timers.next_at(&mut owners), Some(secs(2)));
        assert_eq!(timers.poll_due(Instant::from_secs(1), &mut owners), None);
        assert_eq!(timers.poll_due(Instant::from_secs(2), &mut owners), Some(1));
        assert_eq!(timers.next_at(&mut owners), Some(secs(3)));
        timers.set(0, &mut owners[0], None);
        assert_eq!(timers.next_at(&mut owners), None);
    }

    #[test]
    fn a_deadline_that_moves_earlier_comes_once() {
        let (mut timers, mut owners) = (Timers::new(), vec![Deadline::default()]);
        timers.set(0, &mut owners[0], Some(secs(5)));
        timers.set(0, &mut owners[0], Some(secs(1)));
        assert_eq!(timers.poll_due(Instant::from_secs(9), &mut owners), Some(0));
        assert_eq!(timers.poll_due(Instant::from_secs(9), &mut owners), None);
    }

    #[test]
    fn entries_that_mean_nothing_do_not_pile_up_behind_one_that_does() {
        let (mut timers, mut owners) = (Timers::new(), vec![Deadline::default(); 2]);
        timers.set(0, &mut owners[0], Some(secs(1)));
        for _ in 0..10_000 {
            timers.set(1, &mut owners[1], Some(secs(7200)));
            owners[1] = Deadline::default(); // gone, and another one in its place
            assert_eq!(timers.next_at(&mut owners), Some(secs(1)));
        }
        assert!(timers.heap.len() <= SWEEP_LEAST + 1, "{}", timers.heap.len());
        timers.set(1, &mut owners[1], Some(secs(2)));
        let order: Vec<_> = core::iter::from_fn(|| timers.poll_due(Instant::from_secs(9), &mut owners)).collect();
        assert_eq!(order, [0, 1]);
    }

    #[test]
    fn equal_deadlines_come_in_the_order_in_which_they_were_set() {
        let (mut timers, mut owners) = (Timers::new(), vec![Deadline::default(); 3]);
        for owner in [2, 0, 1] {
            timers.set(owner, &mut owners[owner], Some(secs(1)));
        }
        let order: Vec<_> = core::iter::from_fn(|| timers.poll_due(Instant::from_secs(1), &mut owners)).collect();
        assert_eq!(order, [2, 0, 1]);
    }
}
