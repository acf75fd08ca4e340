//! Socket buffers that are used again.
//!
//! smoltcp never gives a buffer back, and a new 64 KiB buffer for every short connection costs more than the connection:
//! the allocator clears it. So buffers are lent to smoltcp as `&'static mut` slices, and taken back when the socket that
//! held them is gone. Old octets stay in them; a ring buffer never reads what it has not written.
//!
//! The only unsafe code of the stack. The rule that makes it sound: a [`Lent`] buffer is returned to the pool only by
//! [`Pool::take_back`], whose caller has dropped the socket first; whoever forgets leaks the buffer, which is safe.

#![allow(unsafe_code)]

use core::ptr::NonNull;

/// Free buffers by size, and how many octets are lent out.
#[derive(Debug)]
pub(super) struct Pool {
    /// Sorted by size; hosts use few sizes.
    free: Vec<(usize, Vec<Box<[u8]>>)>,
    lent: usize,
    limit: usize,
}

/// The claim ticket for a buffer that is lent out.
#[derive(Debug)]
pub(super) struct Lent {
    buffer: NonNull<[u8]>,
}

// SAFETY: the ticket owns the allocation exclusively; nothing about it is tied to a thread.
unsafe impl Send for Lent {}

impl Pool {
    /// A pool that lends at most `limit` octets.
    pub(super) const fn new(limit: usize) -> Self {
        Self { free: Vec::new(), lent: 0, limit }
    }

    /// True if buffers of `octets` in all can be lent.
    pub(super) const fn has_room_for(&self, octets: usize) -> bool {
        octets <= self.limit.saturating_sub(self.lent)
    }

    /// Lends a buffer. The slice may live as long as it likes, but must be gone before the ticket is given back.
    pub(super) fn lend(&mut self, size: usize) -> (&'static mut [u8], Lent) {
        let recycled = match self.free.binary_search_by_key(&size, |(size, _)| *size) {
            Ok(at) => self.free[at].1.pop(),
            Err(_) => None,
        };
        let buffer = Box::leak(recycled.unwrap_or_else(|| vec![0; size].into_boxed_slice()));
        self.lent += size;
        let mut buffer = NonNull::from(buffer);
        // SAFETY: the allocation was just leaked, so it lives until `take_back` frees it; the ticket never reads or
        // writes through its pointer before that, so the slice is the only access.
        (unsafe { buffer.as_mut() }, Lent { buffer })
    }

    /// Takes a buffer back. The caller has dropped the socket that held the slice.
    #[expect(clippy::needless_pass_by_value, reason = "each ticket is good once")]
    pub(super) fn take_back(&mut self, lent: Lent) {
        // SAFETY: the pointer came from `Box::leak` in `lend`, each ticket is consumed once, and by this function's
        // contract no slice of it is alive any more.
        let buffer = unsafe { Box::from_raw(lent.buffer.as_ptr()) };
        let size = buffer.len();
        self.lent -= size;
        let at = match self.free.binary_search_by_key(&size, |(size, _)| *size) {
            Ok(at) => at,
            Err(at) => {
                self.free.insert(at, (size, Vec::new()));
                at
            }
        };
        // A burst of connections must not hold its memory for ever: 4 MiB of each size are kept.
        if self.free[at].1.len() * size < 4 << 20 {
            self.free[at].1.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_given_back_is_lent_again_with_its_old_content() {
        let mut pool = Pool::new(10_000);
        let (slice, lent) = pool.lend(4096);
        slice[7] = 42;
        let first = slice.as_ptr();
        pool.take_back(lent);
        let (slice, lent) = pool.lend(4096);
        assert_eq!((slice.as_ptr(), slice[7]), (first, 42));
        pool.take_back(lent);
    }

    #[test]
    fn the_limit_counts_what_is_lent_and_not_what_is_free() {
        let mut pool = Pool::new(8192);
        assert!(pool.has_room_for(8192) && !pool.has_room_for(8193));
        let (_, first) = pool.lend(4096);
        assert!(pool.has_room_for(4096) && !pool.has_room_for(4097));
        pool.take_back(first);
        assert!(pool.has_room_for(8192));
    }
}
