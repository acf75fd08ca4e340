//! State that most connections never change. It takes eight bytes until it is changed for the first time; then it is made.
//! [`Recovery`](super::Recovery), its scoreboard and the receiver keep in it what only losses, reordering, timeouts, probes
//! and marks need, so that an idle connection stays small.

use core::ops::{Deref, DerefMut};

/// A type with a value that stands for "never changed".
pub(crate) trait Unchanged: Clone + 'static {
    /// The value before the first change.
    const UNCHANGED: &'static Self;
}

/// A value that is made when it is first changed. To read it makes nothing; to borrow it mutably does.
#[derive(Clone, Debug)]
pub(crate) struct Seldom<T>(Option<Box<T>>);

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Seldom<T> {
    /// The value to change, if it was made. What would only set it to its default needs no more.
    pub(crate) fn made(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// Bytes on the heap.
    pub(crate) const fn memory(&self) -> usize {
        if self.0.is_some() { size_of::<T>() } else { 0 }
    }

    /// Gives the memory back if the value is as it was at first.
    pub(crate) fn shrink(&mut self, is_unchanged: impl FnOnce(&T) -> bool) {
        self.0.take_if(|value| is_unchanged(value));
    }
}

impl<T: Unchanged> Deref for Seldom<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::UNCHANGED)
    }
}

impl<T: Unchanged> DerefMut for Seldom<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| Box::new(T::UNCHANGED.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Pair(u64, u64);

    impl Unchanged for Pair {
        const UNCHANGED: &'static Self = &Self(0, 0);
    }

    #[test]
    fn it_is_made_by_the_first_change_and_not_by_reading() {
        let mut pair = Seldom::<Pair>::default();
        assert_eq!((size_of::<Seldom<Pair>>(), &*pair, pair.memory()), (8, &Pair(0, 0), 0));
        assert!(pair.made().is_none());
        pair.1 = 7;
        assert_eq!((&*pair, pair.memory()), (&Pair(0, 7), 16));
        pair.shrink(|pair| *pair == Pair(0, 0));
        assert_eq!(pair.memory(), 16);
        pair.1 = 0;
        pair.shrink(|pair| *pair == Pair(0, 0));
        assert_eq!((&*pair, pair.memory()), (&Pair(0, 0), 0));
    }
}
