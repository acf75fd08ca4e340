//! Signals as bytes on a descriptor, so that the live loop can wait for them with poll(2).

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};

/// SIGINT, SIGTERM and SIGCHLD, caught from now on.
pub struct Signals {
    /// For each signal the socket to read from: one byte for each signal.
    pipes: [(i32, UnixStream); 3],
}

impl Signals {
    /// Catches the signals.
    ///
    /// # Errors
    /// The error of sigaction(2) or socketpair(2).
    pub fn catch() -> io::Result<Self> {
        let pipe = |signal| {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            signal_hook::low_level::pipe::register(signal, theirs)?;
            Ok::<_, io::Error>((signal, ours))
        };
        Ok(Self { pipes: [pipe(SIGINT)?, pipe(SIGTERM)?, pipe(SIGCHLD)?] })
    }

    /// The descriptors to wait on.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().map(|(_, pipe)| pipe.as_fd())
    }

    /// The signal that ends the loop, if one has arrived. SIGCHLD only wakes the loop.
    pub fn poll_stop(&mut self) -> Option<i32> {
        let mut stop = None;
        for (signal, pipe) in &mut self.pipes {
            let mut bytes = [0; 64];
            while pipe.read(&mut bytes).is_ok_and(|count| count > 0) {
                if *signal != SIGCHLD {
                    stop = Some(*signal);
                }
            }
        }
        stop
    }
}
