//! The single-threaded executor. Tasks are in a slab. A waker puts the key of its task at the end of one FIFO queue, at
//! most once until the task is polled again. Only that order selects the next task: no thread, clock, random number or
//! hash map does.
//!
//! Wakers are `Arc`s because `std::task::Wake` requires it; nothing here moves to another thread. A task has one waker,
//! made when it is spawned, so polling and waking allocate nothing. A key contains the number of its task, so the waker
//! of a finished task wakes no other.
//!
//! ```text
//!   spawn --> slab[slot] = Task, queue <- key          wake --> queue <- key, unless it is there
//!   run_one:  key <- queue, the future taken out of the slab, polled, put back (or dropped when it is ready)
//! ```

use core::cell::{Cell, RefCell};
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker, ready};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;

/// The future of a task.
type Body = Pin<Box<dyn Future<Output = ()>>>;

/// The slot of a task, and its number from 1 in the order of spawning. Numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    slot: usize,
    number: u64,
}

/// The queue that wakers write to.
#[derive(Debug, Default)]
struct Ready {
    queue: Mutex<VecDeque<Key>>,
    /// The length of the queue, readable without its lock. It is checked after every packet, and mostly no task is
    /// ready.
    len: AtomicUsize,
}

impl Ready {
    fn push(&self, key: Key) {
        self.change(|queue| queue.push_back(key));
    }

    fn pop(&self) -> Option<Key> {
        if self.is_empty() { None } else { self.change(VecDeque::pop_front) }
    }

    fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    fn change<T>(&self, change: impl FnOnce(&mut VecDeque<Key>) -> T) -> T {
        // A poisoned lock is left over from a panic in a task; the queue itself is whole.
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut queue);
        self.len.store(queue.len(), Ordering::Release);
        result
    }
}

/// Wakes one task.
#[derive(Debug)]
struct TaskWaker {
    key: Key,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.push(self.key);
        }
    }
}

struct Task {
    number: u64,
    name: Cow<'static, str>,
    /// Taken out while the task is polled.
    body: Option<(Body, Waker)>,
    state: Arc<TaskWaker>,
}

/// The number of the task that is being polled; 0 if there is none. Shared with the list of waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Current(Arc<AtomicU64>);

impl Current {
    pub(super) fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The tasks of one host.
#[derive(Default)]
pub(super) struct Executor {
    slab: RefCell<Vec<Option<Task>>>,
    free: RefCell<Vec<usize>>,
    ready: Arc<Ready>,
    current: Current,
    spawned: Cell<u64>,
    unfinished: Cell<usize>,
}

impl Executor {
    /// The task that is being polled.
    pub(super) fn current(&self) -> Current {
        self.current.clone()
    }

    /// The number of the task that is being polled; 0 if there is none.
    pub(super) fn current_number(&self) -> u64 {
        self.current.number()
    }

    /// The number of tasks that have not finished.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished.get()
    }

    /// True if a task would be polled by [`Executor::run_one`].
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Puts a task at the end of the queue.
    pub(super) fn spawn<T: 'static>(
        &self,
        name: Cow<'static, str>,
        future: impl Future<Output = T> + 'static,
    ) -> JoinHandle<T> {
        let join = Rc::new(Join { outcome: RefCell::new(TaskState::Running(None)) });
        let theirs = Rc::clone(&join);
        // Boxed by itself: inside an async block that awaits it, a future takes its room twice.
        let mut future = Some(Box::pin(future));
        let body = Box::pin(core::future::poll_fn(move |cx| {
            let Some(polled) = future.as_mut().map(|future| future.as_mut().poll(cx)) else { return Poll::Pending };
            let value = ready!(polled);
            future = None;
            if let TaskState::Running(Some(waker)) = theirs.outcome.replace(TaskState::Done(value)) {
                waker.wake();
            }
            Poll::Ready(())
        }));
        let number = self.spawned.get() + 1;
        self.spawned.set(number);
        self.unfinished.set(self.unfinished.get() + 1);

        let mut slab = self.slab.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slab.push(None);
            slab.len() - 1
        });
        let key = Key { slot, number };
        let state = Arc::new(TaskWaker { key, queued: AtomicBool::new(true), ready: Arc::clone(&self.ready) });
        let waker = Waker::from(Arc::clone(&state));
        slab[slot] = Some(Task { number, name, body: Some((body, waker)), state });
        self.ready.push(key);
        JoinHandle { join, number }
    }

    /// Polls the first task of the queue and returns its number; `None` if no task is ready. A panic of the task is
    /// passed on.
    pub(super) fn run_one(&self) -> Option<u64> {
        loop {
            let key = self.ready.pop()?;
            let Some((mut body, waker)) = self.take(key) else { continue };
            self.current.0.store(key.number, Ordering::Relaxed);
            let leave = Leave(&self.current);
            let polled = body.as_mut().poll(&mut Context::from_waker(&waker));
            drop(leave);
            match polled {
                Poll::Pending => self.put_back(key, (body, waker)),
                Poll::Ready(()) => {
                    // Dropping the future may spawn, wake and close, so nothing is borrowed here.
                    drop(body);
                    drop(self.remove(key));
                }
            }
            return Some(key.number);
        }
    }

    fn take(&self, key: Key) -> Option<(Body, Waker)> {
        let mut slab = self.slab.borrow_mut();
        let task = slab.get_mut(key.slot)?.as_mut().filter(|task| task.number == key.number)?;
        task.state.queued.store(false, Ordering::Relaxed);
        task.body.take()
    }

    fn put_back(&self, key: Key, body: (Body, Waker)) {
        let mut slab = self.slab.borrow_mut();
        let task = slab[key.slot].as_mut().expect("a task that is being polled keeps its place");
        task.body = Some(body);
    }

    fn remove(&self, key: Key) -> Option<Task> {
        let task = self.slab.borrow_mut().get_mut(key.slot)?.take();
        if task.is_some() {
            self.free.borrow_mut().push(key.slot);
            self.unfinished.set(self.unfinished.get() - 1);
        }
        task
    }

    /// The unfinished tasks: number and name, in the order of spawning.
    pub(super) fn tasks(&self) -> Vec<(u64, Cow<'static, str>)> {
        let mut tasks: Vec<_> =
            self.slab.borrow().iter().flatten().map(|task| (task.number, task.name.clone())).collect();
        tasks.sort_unstable_by_key(|&(number, _)| number);
        tasks
    }

    /// The name of an unfinished task.
    pub(super) fn name(&self, number: u64) -> Option<Cow<'static, str>> {
        self.slab.borrow().iter().flatten().find(|task| task.number == number).map(|task| task.name.clone())
    }

    /// Drops every task, also those that are spawned by the dropping.
    pub(super) fn clear(&self) {
        // What is dropped may spawn into a place that was passed already.
        while self.unfinished.get() > 0 {
            let slots = self.slab.borrow().len();
            for slot in 0..slots {
                let number = self.slab.borrow()[slot].as_ref().map_or(0, |task| task.number);
                drop(self.remove(Key { slot, number }));
            }
        }
    }
}

impl core::fmt::Debug for Executor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Executor").field("unfinished", &self.unfinished).finish_non_exhaustive()
    }
}

/// No task is being polled any more, also after a panic.
struct Leave<'a>(&'a Current);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.0.store(0, Ordering::Relaxed);
    }
}

enum TaskState<T> {
    /// With the waker of the task that awaits the end.
    Running(Option<Waker>),
    Done(T),
    Taken,
}

struct Join<T> {
    outcome: RefCell<TaskState<T>>,
}

/// The end of a task: await it for the value that the task returned. Dropping it leaves the task running.
pub struct JoinHandle<T> {
    join: Rc<Join<T>>,
    number: u64,
}

impl<T> JoinHandle<T> {
    /// True once the task has ended.
    pub fn is_finished(&self) -> bool {
        !matches!(*self.join.outcome.borrow(), TaskState::Running(_))
    }

    /// The value, if the task has ended and the value was not taken before.
    pub fn try_take(&mut self) -> Option<T> {
        if !self.is_finished() {
            return None;
        }
        match self.join.outcome.replace(TaskState::Taken) {
            TaskState::Done(value) => Some(value),
            TaskState::Running(_) | TaskState::Taken => None,
        }
    }

    /// The number of the task, from 1 in the order of spawning.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        if let TaskState::Running(waker) = &mut *this.join.outcome.borrow_mut() {
            if waker.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        Poll::Ready(this.try_take().expect("a JoinHandle is not polled again after it gave the value"))
    }
}

impl<T> core::fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("JoinHandle")
            .field("number", &self.number)
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
