//! Wake-ups from other threads: a thread writes to a socket pair on which the loop waits. `cli` uses it for standard
//! input and output, which have threads of their own.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The end that the loop waits on.
pub struct WakeReceiver {
    socket: UnixStream,
    sender: WakeSender,
}

/// The end that other threads hold.
#[derive(Clone)]
pub struct WakeSender(Arc<UnixStream>);

impl WakeReceiver {
    /// A pair without a wake-up.
    ///
    /// # Errors
    /// The error of socketpair(2).
    pub fn new() -> io::Result<Self> {
        let (socket, other) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        Ok(Self { socket, sender: WakeSender(Arc::new(other)) })
    }

    /// The other end, for another thread.
    pub fn sender(&self) -> WakeSender {
        self.sender.clone()
    }

    /// The descriptor to wait on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Clears the wake-ups so far.
    pub fn clear(&mut self) {
        let mut bytes = [0; 64];
        while self.socket.read(&mut bytes).is_ok_and(|count| count > 0) {}
    }
}

impl WakeSender {
    /// Wakes the loop.
    pub fn wake(&self) {
        let _ = (&*self.0).write(&[1]); // a full socket wakes it all the same
    }
}
