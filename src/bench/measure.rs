//! Measures the cost of a run: CPU time of all threads, wall time, resident memory. A value that the system does not
//! provide is `None`. Without CPU time the wall time is used, and the report states it.

use std::time::{Duration, Instant};

/// True if the system provides the CPU time; else the wall time is used.
pub(super) const CPU_TIME_KNOWN: bool = cfg!(unix);

/// A measurement under way.
#[derive(Debug)]
pub(super) struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

/// What a phase took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    /// User and system time of all threads.
    pub cpu: Duration,
    /// Real time.
    pub wall: Duration,
}

impl Stopwatch {
    /// Begins now.
    pub(super) fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_time().unwrap_or_default() }
    }

    /// What it took since the start.
    pub(super) fn stop(&self) -> Taken {
        let wall = self.wall.elapsed();
        let cpu = cpu_time().map_or(wall, |cpu| cpu.saturating_sub(self.cpu));
        Taken { cpu, wall }
    }
}

#[cfg(unix)]
fn cpu_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Some(Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?))
}

#[cfg(not(unix))]
fn cpu_time() -> Option<Duration> {
    None
}

/// Resident memory now, in KiB.
pub(super) fn resident_kib() -> Option<u64> {
    status("VmRSS:")
}

/// The most that was resident since the start or [`forget_peak`], in KiB.
pub(super) fn peak_kib() -> Option<u64> {
    status("VmHWM:")
}

/// Resets the peak to what is resident now, so that a run does not affect the next one's figure. On systems without a
/// reset the peak is that of the process.
pub(super) fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn status(field: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_written_to_is_resident_and_raises_the_peak() {
        forget_peak();
        let before = resident_kib().expect("Linux has it");
        let block = vec![1_u8; 32 << 20];
        let now = resident_kib().expect("Linux has it");
        assert!(now >= before + (24 << 10), "{before} KiB before, {now} KiB with 32 MiB more");
        assert!(peak_kib().expect("Linux has it") >= now - 1024);
        drop(block);
    }
}
