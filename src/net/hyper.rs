//! hyper's timer and executor over a host.
//!
//! hyper uses `std::time::Instant`, which cannot be made without reading a clock. One is taken for each host, by the
//! provided method of hyper's `Timer`. It represents virtual time zero. Only differences from it are used, so its value
//! has no effect: the deadlines are exact in the host's time.

use core::pin::Pin;

use std::sync::{Arc, OnceLock};
use std::time::Instant as StdInstant;

use super::clock::{Clock, Sleep};
use super::handle::Net;
use crate::time::{Duration, Instant};

/// hyper's timer in the host's time, for `header_read_timeout` and the like.
#[derive(Clone, Debug)]
pub struct HyperTimer {
    clock: Arc<Clock>,
    origin: StdInstant,
}

impl HyperTimer {
    /// The timer of a host.
    pub fn new(net: &Net) -> Self {
        Self::of(Arc::clone(net.clock()))
    }

    fn of(clock: Arc<Clock>) -> Self {
        let origin = clock.origin.instant();
        Self { clock, origin }
    }

    fn instant(&self, at: StdInstant) -> Instant {
        Instant::EPOCH + at.saturating_duration_since(self.origin)
    }
}

impl hyper::rt::Timer for HyperTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep::of(Arc::clone(&self.clock), duration))
    }

    fn sleep_until(&self, deadline: StdInstant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep::until(Arc::clone(&self.clock), self.instant(deadline)))
    }

    fn now(&self) -> StdInstant {
        self.origin + self.clock.now().since(Instant::EPOCH)
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, new_deadline: StdInstant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(sleep) => sleep.get_mut().reset(self.instant(new_deadline)),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

impl hyper::rt::Sleep for Sleep {}

/// The instant that represents virtual time zero. It is taken at its first use.
#[derive(Debug, Default)]
pub(super) struct Origin(OnceLock<StdInstant>);

impl Origin {
    fn instant(&self) -> StdInstant {
        *self.0.get_or_init(|| hyper::rt::Timer::now(&Provided))
    }
}

/// Gives access to the provided `now` of hyper's trait.
struct Provided;

impl hyper::rt::Timer for Provided {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        unreachable!("asked for the time only")
    }

    fn sleep_until(&self, _: StdInstant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        unreachable!("asked for the time only")
    }
}

/// hyper's executor: what hyper spawns is a task of the host.
#[derive(Clone, Debug)]
pub struct HyperExecutor {
    net: Net,
}

impl HyperExecutor {
    /// The executor of a host.
    pub fn new(net: &Net) -> Self {
        Self { net: net.clone() }
    }
}

impl<F> hyper::rt::Executor<F> for HyperExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        drop(self.net.spawn_named("hyper", future));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::task::{Context, Waker};
    use hyper::rt::Timer;

    #[test]
    fn hypers_time_is_the_hosts_to_the_nanosecond() {
        let clock = Arc::new(Clock::default());
        let timer = HyperTimer::of(Arc::clone(&clock));
        let again = HyperTimer::of(Arc::clone(&clock));
        let start = timer.now();
        assert_eq!(start, again.now(), "one origin for all timers of a host");
        assert_eq!(start, timer.now(), "it stands while the host's time stands");
        clock.advance(Instant::from_nanos(1_000_000_007));
        assert_eq!(timer.now() - start, Duration::from_nanos(1_000_000_007));
    }

    #[test]
    fn sleeps_end_by_the_hosts_time_also_when_they_are_reset() {
        let clock = Arc::new(Clock::default());
        let timer = HyperTimer::of(Arc::clone(&clock));
        let mut cx = Context::from_waker(Waker::noop());
        let mut sleep = timer.sleep_until(timer.now() + Duration::from_secs(30));
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        assert_eq!(clock.next_at(), Some(Instant::from_secs(30)));
        timer.reset(&mut sleep, timer.now() + Duration::from_secs(50));
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        assert_eq!(clock.next_at(), Some(Instant::from_secs(50)));
        clock.advance(Instant::from_secs(50));
        assert!(sleep.as_mut().poll(&mut cx).is_ready());
        assert!(timer.sleep(Duration::ZERO).as_mut().poll(&mut cx).is_ready());
    }
}
