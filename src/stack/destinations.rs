//! What a host keeps for each destination that it has met lately. The number of destinations has a bound: with more, the one
//! that was met first is forgotten. `path_mtus` and `replies` keep their state in it.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use super::address::Addr;

const LIMIT: usize = 1024;

/// A value for each of at most 1,024 destinations. The map is looked up and never iterated.
#[derive(Debug)]
pub(super) struct Destinations<V> {
    known: HashMap<Addr, V, FixedState>,
    /// In the order in which they were met.
    order: VecDeque<Addr>,
}

impl<V> Default for Destinations<V> {
    fn default() -> Self {
        Self { known: HashMap::default(), order: VecDeque::new() }
    }
}

impl<V> Destinations<V> {
    pub(super) fn get(&self, to: Addr) -> Option<&V> {
        // Most hosts know none.
        if self.known.is_empty() { None } else { self.known.get(&to) }
    }

    /// The value of a destination; `new` if it is met for the first time.
    pub(super) fn get_or_insert(&mut self, to: Addr, new: V) -> &mut V {
        if !self.known.contains_key(&to) {
            if self.order.len() == LIMIT
                && let Some(first) = self.order.pop_front()
            {
                self.known.remove(&first);
            }
            self.order.push_back(to);
        }
        self.known.entry(to).or_insert(new)
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        (self.known.len(), self.order.len())
    }
}
