//! The clock of programs: the host's time, and sleeps until a deadline. Nothing here reads a wall clock; the loop sets
//! the time. Sleeps wake in the order of their deadlines. Sleeps with the same deadline wake in the order in which they
//! began.
//!
//! The clock is in an `Arc` with atomics and a mutex, because hyper requires `Send` and `Sync` sleeps. The mutex is
//! never contended. The loop checks after every packet whether a sleep is due. That check takes no lock.
//!
//! Most sleeps are timeouts and are dropped before they are due. A dropped sleep leaves a stale entry in the heap. When
//! more than half of the entries are stale, they are removed. So the cost stays constant and the number is bounded.

use core::cmp::Reverse;
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll, Waker};
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::executor::Current;
#[cfg(feature = "http")]
use super::hyper::Origin;
use crate::time::{Duration, Instant};

/// The deadline when there is no sleep: the largest time.
const NOBODY: u64 = u64::MAX;

/// Below this many entries the heap is not swept.
const SWEEP_FROM: usize = 64;

#[derive(Debug)]
struct Sleeper {
    /// 0 if the place is free.
    sequence: u64,
    deadline: Instant,
    task: u64,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Inner {
    heap: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    sleepers: Vec<Sleeper>,
    free: Vec<usize>,
    /// Sleeps begun so far.
    begun: u64,
    /// Heap entries whose sleep is gone.
    stale: usize,
}

/// The time of one host, and its sleeps.
#[derive(Debug)]
pub(super) struct Clock {
    /// Nanoseconds since the epoch.
    now: AtomicU64,
    /// No sleep ends before this many nanoseconds; [`NOBODY`] if there is no sleep.
    quiet_until: AtomicU64,
    inner: Mutex<Inner>,
    current: Current,
    /// For hyper's timer.
    #[cfg(feature = "http")]
    pub(super) origin: Origin,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            now: AtomicU64::new(0),
            quiet_until: AtomicU64::new(NOBODY),
            inner: Mutex::default(),
            current: Current::default(),
            #[cfg(feature = "http")]
            origin: Origin::default(),
        }
    }
}

impl Clock {
    pub(super) fn new(current: Current) -> Self {
        Self { current, ..Self::default() }
    }

    // A poisoned lock comes from a panic elsewhere. No panic can happen between two writes below.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Ordering::Relaxed))
    }

    /// The first deadline of `inner`, until which it is quiet.
    fn first(&self, inner: &mut Inner) -> Option<Instant> {
        let first = inner.first();
        self.quiet_until.store(first.map_or(NOBODY, last_quiet), Ordering::Relaxed);
        first
    }

    /// Moves the time forward, never back. Wakes the sleeps that are due.
    pub(super) fn advance(&self, now: Instant) {
        let now = self.now().max(now);
        self.now.store(now.as_nanos(), Ordering::Relaxed);
        while self.quiet_until.load(Ordering::Relaxed) <= now.as_nanos() {
            // The lock is released for each waker: what it runs may sleep or stop sleeping.
            let waker = {
                let mut inner = self.lock();
                if self.first(&mut inner).is_none_or(|deadline| deadline > now) {
                    return;
                }
                let Some(Reverse((_, _, slot))) = inner.heap.pop() else { return };
                inner.release(slot)
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// The earliest deadline.
    pub(super) fn next_at(&self) -> Option<Instant> {
        if self.quiet_until.load(Ordering::Relaxed) == NOBODY { None } else { self.first(&mut self.lock()) }
    }

    /// The deadlines that each task sleeps for, earliest first.
    pub(super) fn sleeps_by_task(&self) -> BTreeMap<u64, Vec<Instant>> {
        let mut tasks: BTreeMap<u64, Vec<Instant>> = BTreeMap::new();
        for sleeper in self.lock().sleepers.iter().filter(|sleeper| sleeper.sequence != 0) {
            tasks.entry(sleeper.task).or_default().push(sleeper.deadline);
        }
        for deadlines in tasks.values_mut() {
            deadlines.sort_unstable();
        }
        tasks
    }

    /// How many entries the heap has, the stale ones too.
    #[cfg(test)]
    pub(super) fn heap_len(&self) -> usize {
        self.lock().heap.len()
    }
}

/// The value of `next` for the first `deadline`. It stays below [`NOBODY`], also for the largest deadline.
fn last_quiet(deadline: Instant) -> u64 {
    deadline.as_nanos().min(NOBODY - 1)
}

impl Inner {
    fn is_stale(&self, sequence: u64, slot: usize) -> bool {
        self.sleepers[slot].sequence != sequence
    }

    /// The earliest deadline that is not stale.
    fn first(&mut self) -> Option<Instant> {
        while let Some(&Reverse((deadline, sequence, slot))) = self.heap.peek() {
            if !self.is_stale(sequence, slot) {
                return Some(deadline);
            }
            self.heap.pop();
            self.stale -= 1;
        }
        None
    }

    fn begin(&mut self, deadline: Instant, task: u64, waker: Waker) -> SleepPlace {
        self.begun += 1;
        let sequence = self.begun;
        let sleeper = Sleeper { sequence, deadline, task, waker: Some(waker) };
        let slot = if let Some(slot) = self.free.pop() {
            self.sleepers[slot] = sleeper;
            slot
        } else {
            self.sleepers.push(sleeper);
            self.sleepers.len() - 1
        };
        self.heap.push(Reverse((deadline, sequence, slot)));
        SleepPlace { sequence, slot }
    }

    /// Frees the place of a sleep whose heap entry is gone or becomes stale.
    fn release(&mut self, slot: usize) -> Option<Waker> {
        self.sleepers[slot].sequence = 0;
        self.free.push(slot);
        self.sleepers[slot].waker.take()
    }

    fn cancel(&mut self, place: SleepPlace) -> Option<Waker> {
        if self.is_stale(place.sequence, place.slot) {
            return None;
        }
        let waker = self.release(place.slot);
        self.stale += 1;
        if self.stale * 2 > self.heap.len().max(SWEEP_FROM) {
            let sleepers = &self.sleepers;
            self.heap.retain(|&Reverse((_, sequence, slot))| sleepers[slot].sequence == sequence);
            self.stale = 0;
        }
        waker
    }
}

/// The place of a sleep in the list of sleeps.
#[derive(Clone, Copy, Debug)]
struct SleepPlace {
    sequence: u64,
    slot: usize,
}

/// Ready when its deadline has come. Made by [`Net::sleep`](super::Net::sleep).
#[derive(Debug)]
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    clock: Arc<Clock>,
    deadline: Instant,
    place: Option<SleepPlace>,
}

impl Sleep {
    pub(super) fn until(clock: Arc<Clock>, deadline: Instant) -> Self {
        Self { clock, deadline, place: None }
    }

    pub(super) fn of(clock: Arc<Clock>, duration: Duration) -> Self {
        let deadline = clock.now() + duration;
        Self::until(clock, deadline)
    }

    /// When it ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Ends it at another instant. The task that awaits it must poll it again.
    pub fn reset(&mut self, deadline: Instant) {
        self.cancel();
        self.deadline = deadline;
    }

    fn cancel(&mut self) {
        if let Some(place) = self.place.take() {
            let waker = self.clock.lock().cancel(place);
            drop(waker); // after the lock: dropping a waker may drop other sleeps
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.clock.now() >= this.deadline {
            this.cancel();
            return Poll::Ready(());
        }
        let mut inner = this.clock.lock();
        let task = this.clock.current.number();
        let place = this.place.filter(|place| !inner.is_stale(place.sequence, place.slot));
        let Some(place) = place else {
            this.place = Some(inner.begin(this.deadline, task, cx.waker().clone()));
            this.clock.quiet_until.fetch_min(last_quiet(this.deadline), Ordering::Relaxed);
            return Poll::Pending;
        };
        let sleeper = &mut inner.sleepers[place.slot];
        sleeper.task = task;
        let known = sleeper.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker()));
        let old = if known { None } else { sleeper.waker.replace(cx.waker().clone()) };
        drop(inner);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancel();
    }
}
