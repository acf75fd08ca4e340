//! What every fuzz test asserts of each of its inputs: no panic, less than a second of CPU time, and less than 256 MiB of
//! memory for the whole process. `make fuzz` sets the number of inputs with `TCPLAB_FUZZ_CASES`. `TCPLAB_FUZZ_CASE=N` tries
//! case N alone.

#![allow(dead_code, reason = "each test binary compiles this module anew and uses its own part of it")]

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// The most CPU time that one input may take.
const MOST_TIME: Duration = Duration::from_secs(1);
/// The most memory that the process may have resident, in KiB.
const MOST_KIB: u64 = 256 * 1024;

/// How many inputs are tried.
pub(crate) fn cases(default: u64) -> u64 {
    env::var("TCPLAB_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

/// Calls `try_one` with each case number, and names the case that panics or takes too long.
pub(crate) fn each_case(cases: u64, mut try_one: impl FnMut(u64)) {
    let alone: Option<u64> = env::var("TCPLAB_FUZZ_CASE").ok().and_then(|case| case.parse().ok());
    for case in alone.map_or(0..cases, |case| case..case + 1) {
        let start = cpu_time();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| try_one(case))) {
            eprintln!("case {case} failed");
            resume_unwind(panic);
        }
        let taken = cpu_time().zip(start).map_or(Duration::ZERO, |(end, start)| end.saturating_sub(start));
        assert!(taken <= MOST_TIME, "case {case} took {taken:?} of CPU time");
    }
    let peak = peak_kib();
    assert!(peak.is_none_or(|kib| kib < MOST_KIB), "the process had {peak:?} KiB resident");
}

/// The CPU time of this thread, where Linux tells it.
fn cpu_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The most memory that was resident at once, where Linux tells it.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
