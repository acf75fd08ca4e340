//! Signals as bytes on a descriptor, so that the live loop can wait for them with poll(2). The first one ends the loop in
//! order. A second SIGINT or SIGTERM ends the process at once, in the handler, whatever the process waits for.

#![allow(unsafe_code)]

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level;

/// A signal within this time of the first one is the same request: timeout(1) sends each signal twice, to its child and
/// to its process group.
const SAME_REQUEST: u64 = 100_000_000;

/// When the first signal came, in nanoseconds of the monotonic clock; 0 if none did.
static FIRST: AtomicU64 = AtomicU64::new(0);

/// SIGINT, SIGTERM and SIGHUP, caught from now on. SIGHUP is left alone where it was ignored before, as with nohup(1).
pub struct Signals {
    /// For each signal the socket to read from: one byte for each signal.
    pipes: Vec<(i32, UnixStream)>,
}

impl Signals {
    /// Catches the signals.
    ///
    /// # Errors
    /// The error of sigaction(2) or socketpair(2).
    pub fn catch() -> io::Result<Self> {
        let caught = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| *signal != SIGHUP || !is_ignored(*signal));
        let pipe = |signal| {
            // SAFETY: the handler uses an atomic number, clock_gettime and _exit, which are async-signal-safe.
            unsafe { low_level::register(signal, move || end_if_second(signal)) }?;
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            low_level::pipe::register(signal, theirs)?;
            Ok::<_, io::Error>((signal, ours))
        };
        Ok(Self { pipes: caught.map(pipe).collect::<Result<_, _>>()? })
    }

    /// The descriptors to wait on.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().map(|(_, pipe)| pipe.as_fd())
    }

    /// The signal that ends the loop, if one has arrived.
    pub fn poll_stop(&mut self) -> Option<i32> {
        let mut stop = None;
        for (signal, pipe) in &mut self.pipes {
            let mut bytes = [0; 64];
            while pipe.read(&mut bytes).is_ok_and(|count| count > 0) {
                stop = Some(*signal);
            }
        }
        stop
    }
}

/// The handler. A terminal that is closed sends SIGHUP more than once, so that it never counts as the second signal.
fn end_if_second(signal: i32) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is valid for the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let now = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
    if let Err(first) = FIRST.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed)
        && signal != SIGHUP
        && now.saturating_sub(first) > SAME_REQUEST
    {
        low_level::exit(128 + signal);
    }
}

/// Whether this process ignores a signal. It is async-signal-safe.
pub(super) fn is_ignored(signal: i32) -> bool {
    // SAFETY: zero is a valid value of the structure, which is written by the call and valid for it.
    unsafe {
        let mut now: libc::sigaction = core::mem::zeroed();
        libc::sigaction(signal, core::ptr::null(), &raw mut now) == 0 && now.sa_sigaction == libc::SIG_IGN
    }
}
