//! What a host allocates: an allocator counts.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/counting.rs"]
mod counting;

mod buffers;
mod flood;
#[cfg(feature = "scenario")]
mod scenarios;
