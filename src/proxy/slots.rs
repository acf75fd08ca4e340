//! Entries by number: a number that was given back is given out again. The ends keep their connections in it.

/// A table with numbers for keys.
pub(super) struct Slots<T> {
    entries: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// The number that the next entry gets.
    pub(super) fn next(&self) -> usize {
        self.free.last().copied().unwrap_or(self.entries.len())
    }

    /// Puts an entry at [`Slots::next`].
    pub(super) fn insert(&mut self, entry: T) -> usize {
        let slot = self.next();
        if self.free.pop().is_some() {
            self.entries[slot] = Some(entry);
        } else {
            self.entries.push(Some(entry));
        }
        slot
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.entries.get_mut(slot)?.as_mut()
    }

    pub(super) fn remove(&mut self, slot: usize) -> Option<T> {
        let entry = self.entries.get_mut(slot)?.take()?;
        self.free.push(slot);
        Some(entry)
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// The numbers in use.
    pub(super) fn numbers(&self) -> Vec<usize> {
        (0..self.entries.len()).filter(|slot| self.entries[*slot].is_some()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_given_back_is_given_out_again() {
        let mut slots = Slots::default();
        assert_eq!([slots.insert('a'), slots.insert('b')], [0, 1]);
        assert_eq!(slots.remove(0), Some('a'));
        assert_eq!((slots.remove(0), slots.len(), slots.next()), (None, 1, 0));
        assert_eq!(slots.get_mut(0), None);
        assert_eq!([slots.insert('c'), slots.insert('d')], [0, 2]);
        assert_eq!(slots.numbers(), [0, 1, 2]);
        assert_eq!(slots.get_mut(2), Some(&mut 'd'));
        assert_eq!(slots.get_mut(3), None);
    }
}
