//! A bell: another thread rings it, and the loop that waits goes on.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The end that the loop waits on.
pub struct Bell {
    heard: UnixStream,
    ringer: Ringer,
}

/// The end that other threads hold.
#[derive(Clone)]
pub struct Ringer(Arc<UnixStream>);

impl Bell {
    /// A bell that nobody has rung.
    ///
    /// # Errors
    /// What socketpair(2) says.
    pub fn new() -> io::Result<Self> {
        let (heard, rung) = UnixStream::pair()?;
        heard.set_nonblocking(true)?;
        rung.set_nonblocking(true)?;
        Ok(Self { heard, ringer: Ringer(Arc::new(rung)) })
    }

    /// For another thread.
    pub fn ringer(&self) -> Ringer {
        self.ringer.clone()
    }

    /// What to wait on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }

    /// Forgets the ringing so far.
    pub fn silence(&mut self) {
        let mut bytes = [0; 64];
        while self.heard.read(&mut bytes).is_ok_and(|count| count > 0) {}
    }
}

impl Ringer {
    /// Wakes the loop.
    pub fn ring(&self) {
        let _ = (&*self.0).write(&[1]); // a full pipe rings by itself
    }
}
