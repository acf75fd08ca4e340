//! Standard input and output on threads of their own, so that a blocked terminal delays no ACK. Each is a pipe of bounded
//! size with a thread at one end and a program of the host at the other. `connect` uses them.

use core::future::poll_fn;
use core::task::{Poll, Waker};
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::live::WakeSender;

/// Bytes in a pipe at most.
const CAPACITY: usize = 64 * 1024;

/// One direction.
#[derive(Clone)]
pub(super) struct Pipe(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// For the thread.
    changed: Condvar,
    /// For the loop, which then polls the program.
    waker: WakeSender,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// The writing end has ended.
    ended: bool,
    /// The thread has stopped with this error.
    broken: Option<io::Error>,
    waker: Option<Waker>,
}

impl Pipe {
    fn new(waker: WakeSender) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), waker }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes both ends.
    fn notify(&self, mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        self.0.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
            self.0.waker.wake();
        }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    // ---- the end of the program

    /// Waits for bytes. Empty at the end.
    pub(super) async fn take(&self) -> Vec<u8> {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.bytes.is_empty() && !state.ended {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let bytes = core::mem::take(&mut state.bytes);
            self.notify(state);
            Poll::Ready(bytes)
        })
        .await
    }

    /// Waits for free space, then gives the bytes to the thread.
    pub(super) async fn give(&self, bytes: &[u8]) -> io::Result<()> {
        poll_fn(|cx| {
            let mut state = self.lock();
            if let Some(error) = state.broken.take() {
                return Poll::Ready(Err(error));
            }
            if state.bytes.len() >= CAPACITY {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            state.bytes.extend_from_slice(bytes);
            self.notify(state);
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Ends the pipe. Returns when the thread has written everything.
    pub(super) async fn end(&self) -> io::Result<()> {
        poll_fn(|cx| {
            let mut state = self.lock();
            if let Some(error) = state.broken.take() {
                return Poll::Ready(Err(error));
            }
            let first = !core::mem::replace(&mut state.ended, true);
            if state.bytes.is_empty() && !first {
                return Poll::Ready(Ok(()));
            }
            // Set before the thread is notified, because it may answer at once.
            state.waker = Some(cx.waker().clone());
            drop(state);
            self.0.changed.notify_all();
            Poll::Pending
        })
        .await
    }
}

/// Standard input, read on a thread.
pub(super) fn input(waker: WakeSender) -> io::Result<Pipe> {
    let pipe = Pipe::new(waker);
    let theirs = pipe.clone();
    thread::Builder::new().name("standard input".to_owned()).spawn(move || read_all(&theirs))?;
    Ok(pipe)
}

fn read_all(pipe: &Pipe) {
    let mut buf = vec![0; 16 * 1024];
    loop {
        let count = match io::stdin().lock().read(&mut buf) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => 0, // as at the end of input: what was read is sent
        };
        let mut state = pipe.lock();
        while state.bytes.len() >= CAPACITY {
            state = pipe.wait(state);
        }
        state.bytes.extend_from_slice(&buf[..count]);
        state.ended = count == 0;
        pipe.notify(state);
        if count == 0 {
            return;
        }
    }
}

/// Standard output, written on a thread.
pub(super) fn output(waker: WakeSender) -> io::Result<Pipe> {
    let pipe = Pipe::new(waker);
    let theirs = pipe.clone();
    thread::Builder::new().name("standard output".to_owned()).spawn(move || write_all(&theirs))?;
    Ok(pipe)
}

fn write_all(pipe: &Pipe) {
    loop {
        let mut state = pipe.lock();
        while state.bytes.is_empty() {
            if state.ended {
                return pipe.notify(state);
            }
            state = pipe.wait(state);
        }
        // The bytes stay in the pipe until they are written, so that an empty pipe means written.
        let bytes = state.bytes.clone();
        drop(state);
        let mut out = io::stdout().lock();
        let result = out.write_all(&bytes).and_then(|()| out.flush());
        drop(out);
        let mut state = pipe.lock();
        state.bytes.drain(..bytes.len());
        let failed = result.is_err();
        state.broken = result.err();
        pipe.notify(state);
        if failed {
            return;
        }
    }
}
