//! An allocator that counts, for test binaries that measure memory: `#[path = "common/counting.rs"] mod counting;`.
//!
//! It counts for each thread on its own, so that tests that run side by side do not disturb each other: a host lives on
//! one thread.

#![allow(
    unsafe_code,
    reason = "GlobalAlloc is an unsafe trait; every call is handed to the system's allocator as it came"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator and a count.
pub(crate) struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(octets: i64) {
    // At the end of a thread its counters may be gone.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + octets);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: all work is done by `System`, with the caller's arguments; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above; the pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Old and new may be there at the same time.
        count(new_size as i64);
        count(-(layout.size() as i64));
        // SAFETY: as above; the pointer came from `System`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// Bytes that this thread has allocated and not given back.
pub(crate) fn live() -> i64 {
    LIVE.get()
}

/// The most bytes that were live since the last [`reset_peak`].
pub(crate) fn peak() -> i64 {
    PEAK.get()
}

/// Begins to look for the peak again.
pub(crate) fn reset_peak() {
    PEAK.set(LIVE.get());
}
