//! The list of waits: which task waits for which descriptor. Each wait has a number, and the list is in the order in
//! which the waits began. A change of readiness wakes the matching waits and leaves them in their places. So a task
//! that was woken in vain keeps its place before later ones.

use core::cell::Cell;
use core::task::Waker;
use std::collections::BTreeMap;

use crate::socket::{Fd, Readiness};
use crate::time::Instant;

/// Errors end every wait, whatever it is for.
const ALWAYS: u32 = Readiness::ERROR.0 | Readiness::HANG_UP.0 | Readiness::INVALID.0;

/// What a wait is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interest {
    /// The descriptor; `None` is any descriptor, for poll and epoll.
    pub(super) fd: Option<Fd>,
    /// Which changes wake.
    pub(super) events: Readiness,
    /// The call that waits.
    pub(super) call: &'static str,
}

impl Interest {
    pub(super) const fn read(fd: Fd, call: &'static str) -> Self {
        Self { fd: Some(fd), events: Readiness(Readiness::READABLE.0 | Readiness::READ_HANG_UP.0), call }
    }

    pub(super) const fn write(fd: Fd, call: &'static str) -> Self {
        Self { fd: Some(fd), events: Readiness::WRITABLE, call }
    }

    pub(super) const fn any(call: &'static str) -> Self {
        Self { fd: None, events: Readiness(u32::MAX), call }
    }
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    interest: Interest,
    since: Instant,
    task: u64,
    waker: Waker,
    /// False once woken, until it waits again.
    armed: bool,
}

impl Waiter {
    fn wake(&mut self) {
        if self.armed {
            self.armed = false;
            self.waker.wake_by_ref();
        }
    }
}

/// The place of one wait; empty when there is none. Dropping it does not end the wait; its owner does that.
#[derive(Debug, Default)]
pub(super) struct Place(Cell<Option<(Option<Fd>, u64)>>);

impl Place {
    /// True if there is no wait.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.get().is_none()
    }
}

/// What a task waits for: the call, its descriptor, and since when.
pub(super) type Wait = (&'static str, Option<Fd>, Instant);

/// All waits of one host.
#[derive(Debug, Default)]
pub(super) struct Waits {
    by_fd: Vec<Vec<Waiter>>,
    any: Vec<Waiter>,
    begun: u64,
}

impl Waits {
    fn list(&mut self, fd: Option<Fd>) -> &mut Vec<Waiter> {
        let Some(Fd(number)) = fd else { return &mut self.any };
        let index = number as usize;
        if index >= self.by_fd.len() {
            self.by_fd.resize_with(index + 1, Vec::new);
        }
        &mut self.by_fd[index]
    }

    /// Begins a wait, or continues the one at `place`. Returns a waker that is no longer used; drop it when nothing is
    /// borrowed.
    pub(super) fn wait(
        &mut self,
        place: &Place,
        interest: Interest,
        now: Instant,
        task: u64,
        waker: &Waker,
    ) -> Option<Waker> {
        if let Some((fd, number)) = place.0.get()
            && fd == interest.fd
            && let Some(waiter) = self.list(fd).iter_mut().find(|waiter| waiter.number == number)
        {
            waiter.armed = true;
            waiter.task = task;
            waiter.interest = interest;
            let same = waiter.waker.will_wake(waker);
            return (!same).then(|| core::mem::replace(&mut waiter.waker, waker.clone()));
        }
        let left = self.end(place);
        self.begun += 1;
        let number = self.begun;
        place.0.set(Some((interest.fd, number)));
        let waiter = Waiter { number, interest, since: now, task, waker: waker.clone(), armed: true };
        let list = self.list(interest.fd);
        if list.is_empty() {
            // There may be 100,000 descriptors, and nearly each has one wait. So the first allocation has room for one.
            list.reserve_exact(1);
        }
        list.push(waiter);
        left
    }

    /// Ends the wait at `place`, if there is one. The waker is to be dropped when nothing is borrowed.
    pub(super) fn end(&mut self, place: &Place) -> Option<Waker> {
        let (fd, number) = place.0.take()?;
        let list = self.list(fd);
        // Nearly always it is the only one.
        let waiter = if list.last()?.number == number {
            list.pop()?
        } else {
            let index = list.iter().position(|waiter| waiter.number == number)?;
            list.remove(index)
        };
        Some(waiter.waker)
    }

    /// True if a change of the descriptor can wake a task.
    pub(super) fn is_awaited(&self, fd: Fd) -> bool {
        !self.any.is_empty() || self.by_fd.get(fd.0 as usize).is_some_and(|list| list.iter().any(|waiter| waiter.armed))
    }

    /// The readiness of a descriptor has changed to `readiness`.
    pub(super) fn wake(&mut self, fd: Fd, readiness: Readiness) {
        for waiter in self.by_fd.get_mut(fd.0 as usize).into_iter().flatten() {
            if readiness.intersects(waiter.interest.events | Readiness(ALWAYS)) {
                waiter.wake();
            }
        }
        self.any.iter_mut().for_each(Waiter::wake);
    }

    /// What each task waits for, in the order in which it began: call, descriptor, since when.
    pub(super) fn by_task(&self) -> BTreeMap<u64, Vec<Wait>> {
        let mut waiters: Vec<_> = self.by_fd.iter().flatten().chain(&self.any).collect();
        waiters.sort_unstable_by_key(|waiter| waiter.number);
        let mut tasks: BTreeMap<u64, Vec<Wait>> = BTreeMap::new();
        for Waiter { task, interest, since, .. } in waiters {
            tasks.entry(*task).or_default().push((interest.call, interest.fd, *since));
        }
        tasks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    struct Note(u32, Arc<Mutex<Vec<u32>>>);

    impl Wake for Note {
        fn wake(self: Arc<Self>) {
            self.1.lock().expect("one thread").push(self.0);
        }
    }

    fn waker(name: u32, log: &Arc<Mutex<Vec<u32>>>) -> Waker {
        Waker::from(Arc::new(Note(name, Arc::clone(log))))
    }

    #[test]
    fn waits_wake_in_the_order_in_which_they_began_and_keep_their_places() {
        let log = Arc::default();
        let [a, b, c] = [1, 2, 3].map(|name| waker(name, &log));
        let places: [Place; 3] = Default::default();
        let mut waits = Waits::default();
        let accept = Interest::read(Fd(3), "accept");
        waits.wait(&places[0], accept, Instant::EPOCH, 1, &a);
        waits.wait(&places[1], accept, Instant::EPOCH, 2, &b);
        waits.wake(Fd(3), Readiness::READABLE);
        assert_eq!(*log.lock().unwrap(), [1, 2]);

        // The first got its connection and is done; a third comes before the second waits again.
        waits.end(&places[0]);
        assert!(!waits.is_awaited(Fd(3)), "the only wait was woken");
        waits.wait(&places[2], accept, Instant::EPOCH, 3, &c);
        assert!(waits.is_awaited(Fd(3)) && !waits.is_awaited(Fd(4)));
        waits.wait(&places[1], accept, Instant::EPOCH, 2, &b);
        waits.wake(Fd(3), Readiness::READABLE);
        assert_eq!(*log.lock().unwrap(), [1, 2, 2, 3]);
    }

    #[test]
    fn only_matching_readiness_and_errors_wake() {
        let log = Arc::default();
        let [a, b] = [1, 2].map(|name| waker(name, &log));
        let places: [Place; 2] = Default::default();
        let mut waits = Waits::default();
        waits.wait(&places[0], Interest::read(Fd(3), "read"), Instant::EPOCH, 1, &a);
        waits.wait(&places[1], Interest::write(Fd(3), "write"), Instant::EPOCH, 1, &b);
        waits.wake(Fd(3), Readiness::NONE);
        waits.wake(Fd(4), Readiness::READABLE);
        assert!(log.lock().unwrap().is_empty());
        waits.wake(Fd(3), Readiness::WRITABLE);
        assert_eq!(*log.lock().unwrap(), [2]);
        waits.wake(Fd(3), Readiness::ERROR);
        waits.wake(Fd(3), Readiness::ERROR);
        assert_eq!(*log.lock().unwrap(), [2, 1], "woken once until it waits again");
    }

    #[test]
    fn a_wait_that_has_ended_is_forgotten() {
        let log = Arc::default();
        let place = Place::default();
        let mut waits = Waits::default();
        waits.wait(&place, Interest::any("poll"), Instant::EPOCH, 7, &waker(1, &log));
        assert_eq!(waits.by_task(), BTreeMap::from([(7, vec![("poll", None, Instant::EPOCH)])]));
        waits.end(&place);
        waits.end(&place);
        waits.wake(Fd(3), Readiness::READABLE);
        assert!(log.lock().unwrap().is_empty());
        assert_eq!(waits.by_task(), BTreeMap::new());
    }
}
