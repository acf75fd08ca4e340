//! The handle of programs: spawn, sleep and timeout. It also connects a call that would block with the readiness of its
//! descriptor. The calls themselves are in `calls`.

use core::cell::{Ref, RefCell, RefMut};
use core::fmt;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use std::borrow::Cow;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::clock::{Clock, Sleep};
use super::executor::{Executor, JoinHandle};
use super::wait::{Interest, Place, Waits};
use crate::rng::Rng;
use crate::socket::{Errno, Fd, Host};
use crate::time::{Duration, Instant};

/// Bytes of the buffer that all tasks of a host read into where they have none of their own.
const SCRATCH: usize = 64 * 1024;

#[derive(Debug)]
struct Inner {
    host: RefCell<Host>,
    waits: RefCell<Waits>,
    executor: Executor,
    clock: Arc<Clock>,
    scratch: RefCell<Vec<u8>>,
}

/// The access of a program to its host: sockets, time, tasks. Clones refer to the same host. It stays on its thread.
#[derive(Clone, Debug)]
pub struct Net {
    inner: Rc<Inner>,
}

/// The time limit of [`Net::timeout`] has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit has passed")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new(io::ErrorKind::TimedOut, elapsed)
    }
}

impl Net {
    pub(super) fn new(host: Host) -> Self {
        let executor = Executor::default();
        let clock = Arc::new(Clock::new(executor.current()));
        Self {
            inner: Rc::new(Inner {
                host: RefCell::new(host),
                waits: RefCell::default(),
                executor,
                clock,
                scratch: RefCell::default(),
            }),
        }
    }

    /// The host's time.
    pub fn now(&self) -> Instant {
        self.inner.clock.now()
    }

    /// Starts a task named `task`.
    pub fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        self.spawn_named("task", future)
    }

    /// Starts a task. It is polled for the first time after those that are ready now. A panic in it is passed on to the
    /// loop of the host.
    pub fn spawn_named<T: 'static>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: impl Future<Output = T> + 'static,
    ) -> JoinHandle<T> {
        self.inner.executor.spawn(name.into(), future)
    }

    /// Waits for a time.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::of(Arc::clone(&self.inner.clock), duration)
    }

    /// Waits until an instant; ready at once if it has passed.
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep::until(Arc::clone(&self.inner.clock), deadline)
    }

    /// Awaits `future` for at most `limit`. If both end at the same instant, the future wins.
    pub async fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut future = pin!(future);
        let mut sleep = self.sleep(limit);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => Pin::new(&mut sleep).poll(cx).map(|()| Err(Elapsed)),
        })
        .await
    }

    /// Lets every other ready task run first.
    pub async fn yield_now(&self) {
        let mut yielded = false;
        poll_fn(|cx| {
            if core::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// The host, for reading. Do not hold it across an await or another call.
    pub fn host(&self) -> Ref<'_, Host> {
        self.inner.host.borrow()
    }

    // ---- for this module

    pub(super) fn host_mut(&self) -> RefMut<'_, Host> {
        self.inner.host.borrow_mut()
    }

    pub(super) fn executor(&self) -> &Executor {
        &self.inner.executor
    }

    /// A source of random numbers for a program: the same host, seed and name give the same numbers. No other draw depends on
    /// it. On a TUN device the seed is another one in each run.
    pub fn rng(&self, name: &str) -> Rng {
        Rng::new(self.host().config().seed, &format!("program {name}"))
    }

    pub(super) fn clock(&self) -> &Arc<Clock> {
        &self.inner.clock
    }

    /// Reads at most `limit` and [`SCRATCH`] bytes with `read` into the scratch buffer, and gives them to `take`.
    pub(super) fn read_scratch<T>(
        &self,
        limit: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, Errno>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, Errno> {
        let mut scratch = self.scratch();
        let room = limit.min(scratch.len());
        let count = read(&mut scratch[..room])?;
        Ok(take(&scratch[..count]))
    }

    /// A buffer for reads into memory that may not be written to in place, or that must not stay while a task waits. It has
    /// [`SCRATCH`] bytes once it is used.
    pub(super) fn scratch(&self) -> RefMut<'_, Vec<u8>> {
        let mut scratch = self.inner.scratch.borrow_mut();
        if scratch.is_empty() {
            scratch.resize(SCRATCH, 0);
        }
        scratch
    }

    /// Wakes the tasks that wait for a descriptor whose readiness has changed.
    pub(super) fn wake_ready(&self) {
        let mut host = self.host_mut();
        while let Some(fd) = host.poll_ready() {
            let mut waits = self.inner.waits.borrow_mut();
            if waits.is_awaited(fd) {
                waits.wake(fd, host.readiness(fd));
            }
        }
    }

    /// Wakes all tasks that wait for a descriptor, because it was closed.
    pub(super) fn wake_all(&self, fd: Fd) {
        self.inner.waits.borrow_mut().wake(fd, crate::socket::Readiness::INVALID);
    }

    pub(super) fn wait(&self, place: &Place, interest: Interest, cx: &Context<'_>) {
        let (now, task) = (self.now(), self.inner.executor.current_number());
        let unused = self.inner.waits.borrow_mut().wait(place, interest, now, task, cx.waker());
        drop(unused); // when nothing is borrowed: dropping a waker may end other waits
    }

    #[inline]
    pub(super) fn end_wait(&self, place: &Place) {
        // Most calls do not wait.
        if place.is_empty() {
            return;
        }
        let unused = self.inner.waits.borrow_mut().end(place);
        drop(unused);
    }

    pub(super) fn waiting(&self) -> Vec<String> {
        let mut waits = self.inner.waits.borrow().by_task();
        let mut sleeps = self.inner.clock.sleeps_by_task();
        let tasks = self.inner.executor.tasks();
        let mut line = |(number, name): &(u64, Cow<'static, str>)| {
            let calls = waits.remove(number).into_iter().flatten().map(|(call, fd, since)| match fd {
                Some(fd) => format!("{call} on {fd} since {since}"),
                None => format!("{call} since {since}"),
            });
            let sleeps = sleeps.remove(number).into_iter().flatten().map(|until| format!("sleep until {until}"));
            let mut what = calls.chain(sleeps).collect::<Vec<_>>().join(", ");
            if what.is_empty() {
                // tokio's clock stands still here. That is the usual reason if there is no other task.
                "a wake-up from another task; a timer of tokio never wakes it, also in a paused runtime: `net.sleep` does"
                    .clone_into(&mut what);
            }
            format!("task {number} \"{name}\": {what}")
        };
        tasks.iter().map(&mut line).collect()
    }
}
