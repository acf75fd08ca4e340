//! The table of descriptors. A new descriptor gets the lowest free number from 3, as in POSIX (0, 1 and 2 are standard
//! input, output and error).

use core::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Fd;

const FIRST: u32 = 3;

/// Entries by descriptor.
#[derive(Debug)]
pub(super) struct Table<T> {
    entries: Vec<Option<T>>,
    /// Numbers below the end of `entries` that are free.
    free: BinaryHeap<Reverse<u32>>,
    limit: usize,
}

impl<T> Table<T> {
    /// A table for at most `limit` descriptors.
    pub(super) const fn new(limit: usize) -> Self {
        Self { entries: Vec::new(), free: BinaryHeap::new(), limit }
    }

    /// The number that the next entry will have; `None` if the table is full.
    pub(super) fn next_free(&self) -> Option<Fd> {
        match self.free.peek() {
            Some(Reverse(lowest)) => Some(Fd(*lowest)),
            None if self.entries.len() < self.limit => Some(Fd(FIRST + self.entries.len() as u32)),
            None => None,
        }
    }

    /// Puts an entry at the number that [`Table::next_free`] gave.
    pub(super) fn insert(&mut self, fd: Fd, entry: T) {
        let at = (fd.0 - FIRST) as usize;
        if at == self.entries.len() {
            self.entries.push(Some(entry));
        } else {
            self.free.pop();
            self.entries[at] = Some(entry);
        }
    }

    /// How many descriptors are open.
    pub(super) fn open(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub(super) fn at(&self, fd: Fd) -> Option<&T> {
        self.entries.get(fd.0.checked_sub(FIRST)? as usize)?.as_ref()
    }

    pub(super) fn at_mut(&mut self, fd: Fd) -> Option<&mut T> {
        self.entries.get_mut(fd.0.checked_sub(FIRST)? as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, fd: Fd) -> Option<T> {
        let entry = self.entries.get_mut(fd.0.checked_sub(FIRST)? as usize)?.take()?;
        self.free.push(Reverse(fd.0));
        Some(entry)
    }

    /// Open descriptors in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Fd, &T)> {
        (FIRST..).zip(&self.entries).filter_map(|(number, entry)| Some((Fd(number), entry.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_number_is_taken_first() {
        let mut table = Table::new(4);
        let open = |table: &mut Table<()>| {
            let fd = table.next_free()?;
            table.insert(fd, ());
            Some(fd.0)
        };
        assert_eq!([(); 4].map(|()| open(&mut table)), [Some(3), Some(4), Some(5), Some(6)]);
        assert_eq!(open(&mut table), None, "the limit is 4");
        assert!(table.remove(Fd(5)).is_some() && table.remove(Fd(3)).is_some());
        assert_eq!([(); 3].map(|()| open(&mut table)), [Some(3), Some(5), None]);
        assert!(table.remove(Fd(2)).is_none() && table.remove(Fd(9)).is_none());
    }
}
