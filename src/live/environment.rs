//! Variables that programs beside the host find in their environment. `cli` sets them before any thread starts.

#![allow(unsafe_code)]

use std::fs;
use std::io;

/// Sets a variable for the programs that are started later.
///
/// # Errors
/// The process has more than one thread, which might read the environment at the same time.
pub fn export(name: &str, value: &str) -> io::Result<()> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("the process has started a thread already"));
    }
    // SAFETY: this is the only thread.
    unsafe { std::env::set_var(name, value) };
    Ok(())
}
