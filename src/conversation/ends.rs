//! What stands between two ends: the newest entry for each pair of sockets, whichever end is named first. The table of
//! connections and the flows of a trace are looked up with it.

use core::net::SocketAddr;
use std::collections::HashMap;

use foldhash::fast::FixedState;

/// Entries by the two ends of a connection. Looked up, never iterated.
#[derive(Debug)]
pub(crate) struct ByEnds<T> {
    entries: HashMap<[SocketAddr; 2], T, FixedState>,
}

impl<T> Default for ByEnds<T> {
    fn default() -> Self {
        Self { entries: HashMap::default() }
    }
}

impl<T: Copy + PartialEq> ByEnds<T> {
    /// The newest entry between two ends.
    #[inline]
    pub(crate) fn find(&self, one: SocketAddr, other: SocketAddr) -> Option<T> {
        self.entries.get(&key(one, other)).copied()
    }

    /// Puts an entry in the place of the one that is there.
    pub(crate) fn insert(&mut self, [one, other]: [SocketAddr; 2], entry: T) {
        self.entries.insert(key(one, other), entry);
    }

    /// Removes an entry, unless a newer one has taken its place.
    pub(crate) fn remove(&mut self, [one, other]: [SocketAddr; 2], entry: T) {
        let ends = key(one, other);
        if self.entries.get(&ends) == Some(&entry) {
            self.entries.remove(&ends);
        }
    }
}

/// The same whichever end is named first.
fn key(one: SocketAddr, other: SocketAddr) -> [SocketAddr; 2] {
    if one <= other { [one, other] } else { [other, one] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_entry_is_found_from_both_ends_and_an_older_one_does_not_remove_it() {
        let ends = ["192.0.2.1:1", "192.0.2.2:2"].map(|end| end.parse::<SocketAddr>().expect("an address"));
        let [one, other] = ends;
        let mut by_ends = ByEnds::default();
        by_ends.insert(ends, 1);
        by_ends.insert([other, one], 2);
        assert_eq!([by_ends.find(one, other), by_ends.find(other, one)], [Some(2); 2]);
        by_ends.remove(ends, 1);
        assert_eq!(by_ends.find(one, other), Some(2));
        by_ends.remove(ends, 2);
        assert_eq!(by_ends.find(one, other), None);
    }
}
