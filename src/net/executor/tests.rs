//! The executor and the clock without a host: order, ties, joining, spawning from tasks, dropping.

use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::*;
use crate::net::clock::{Clock, Sleep};
use crate::time::{Duration, Instant};

type Log = Rc<RefCell<Vec<&'static str>>>;

struct Bench {
    executor: Rc<Executor>,
    clock: Arc<Clock>,
    log: Log,
}

impl Bench {
    fn new() -> Self {
        let executor = Rc::new(Executor::default());
        let clock = Arc::new(Clock::new(executor.current()));
        Self { executor, clock, log: Log::default() }
    }

    fn sleep(&self, millis: u64) -> Sleep {
        Sleep::until(Arc::clone(&self.clock), Instant::from_millis(millis))
    }

    fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
        let log = Rc::clone(&self.log);
        self.executor.spawn(name.into(), async move {
            future.await;
            log.borrow_mut().push(name);
        })
    }

    fn run(&self) -> usize {
        let mut polls = 0;
        while self.executor.run_one().is_some() {
            polls += 1;
            assert!(polls < 10_000, "the tasks do not come to rest");
        }
        polls
    }

    fn run_until(&self, millis: u64) {
        self.run();
        while let Some(at) = self.clock.next_at().filter(|&at| at <= Instant::from_millis(millis)) {
            self.clock.advance(at);
            self.run();
        }
    }
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn ready_tasks_run_first_in_first_out() {
    let bench = Bench::new();
    for name in ["a", "b", "c"] {
        let log = Rc::clone(&bench.log);
        drop(bench.spawn(name, async move {
            log.borrow_mut().push(name);
            yield_now().await;
        }));
    }
    assert_eq!(bench.run(), 6);
    assert_eq!(*bench.log.borrow(), ["a", "b", "c", "a", "b", "c"]);
    assert_eq!(bench.executor.unfinished(), 0);
}

#[test]
fn a_task_woken_twice_is_polled_once() {
    let bench = Bench::new();
    let mut polls = 0;
    let counted = Rc::new(Cell::new(0));
    let seen = Rc::clone(&counted);
    drop(bench.spawn("a", async move {
        poll_fn(|cx| {
            polls += 1;
            seen.set(polls);
            if polls == 2 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        core::future::pending::<()>().await;
    }));
    bench.run();
    assert_eq!(counted.get(), 2);
}

#[test]
fn sleeps_end_in_the_order_of_their_deadlines_and_ties_in_the_order_in_which_they_began() {
    let bench = Bench::new();
    for (name, millis) in [("late", 30), ("tie 1", 20), ("tie 2", 20), ("early", 10), ("tie 3", 20)] {
        drop(bench.spawn(name, bench.sleep(millis)));
    }
    bench.run_until(100);
    assert_eq!(*bench.log.borrow(), ["early", "tie 1", "tie 2", "tie 3", "late"]);
    assert_eq!(bench.clock.now(), Instant::from_millis(30));
}

#[test]
fn a_sleep_ends_at_its_deadline_and_not_a_nanosecond_before() {
    let bench = Bench::new();
    drop(bench.spawn("a", bench.sleep(1)));
    bench.run();
    bench.clock.advance(Instant::from_nanos(999_999));
    assert_eq!(bench.run(), 0);
    bench.clock.advance(Instant::from_nanos(1_000_000));
    assert_eq!(bench.run(), 1);
    assert_eq!(*bench.log.borrow(), ["a"]);
}

#[test]
fn a_sleep_until_the_past_ends_at_once() {
    let bench = Bench::new();
    bench.clock.advance(Instant::from_millis(5));
    drop(bench.spawn("a", bench.sleep(5)));
    assert_eq!(bench.run(), 1);
    assert_eq!(bench.executor.unfinished(), 0);
}

#[test]
fn the_clock_never_goes_back() {
    let bench = Bench::new();
    bench.clock.advance(Instant::from_secs(2));
    bench.clock.advance(Instant::from_secs(1));
    assert_eq!(bench.clock.now(), Instant::from_secs(2));
}

#[test]
fn a_dropped_sleep_wakes_nobody_and_does_not_pile_up() {
    let bench = Bench::new();
    let clock = Arc::clone(&bench.clock);
    drop(bench.spawn("a", async move {
        for _ in 0..10_000 {
            let mut sleep = pin!(Sleep::of(Arc::clone(&clock), Duration::from_secs(30)));
            poll_fn(|cx| {
                assert!(sleep.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        }
    }));
    assert_eq!(bench.run(), 1);
    assert!(bench.clock.heap_len() <= 64, "{} entries left behind", bench.clock.heap_len());
    assert_eq!(bench.clock.next_at(), None);
}

#[test]
fn a_sleep_that_is_reset_ends_at_its_new_deadline() {
    let bench = Bench::new();
    let mut sleep = bench.sleep(10);
    drop(bench.spawn("a", async move {
        poll_fn(|cx| {
            assert!(Pin::new(&mut sleep).poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        sleep.reset(Instant::from_millis(50));
        sleep.await;
    }));
    bench.run_until(49);
    assert_eq!(bench.clock.next_at(), Some(Instant::from_millis(50)));
    assert_eq!(*bench.log.borrow(), [] as [&str; 0]);
    bench.run_until(50);
    assert_eq!(*bench.log.borrow(), ["a"]);
}

#[test]
fn joining_gives_the_value_before_and_after_the_end() {
    let bench = Bench::new();
    let sleep = bench.sleep(10);
    let mut early = bench.executor.spawn("early".into(), async { 1 });
    let late = bench.executor.spawn("late".into(), async move {
        sleep.await;
        2
    });
    assert_eq!(early.try_take(), None);
    assert_eq!((early.number(), late.number()), (1, 2));
    bench.run();
    assert!(early.is_finished() && !late.is_finished());
    assert_eq!(early.try_take(), Some(1));
    assert_eq!(early.try_take(), None, "it is given once");

    let sum = Rc::new(Cell::new(0));
    let seen = Rc::clone(&sum);
    drop(bench.spawn("join", async move { seen.set(late.await) }));
    bench.run_until(10);
    assert_eq!(sum.get(), 2);
}

#[test]
fn tasks_spawned_from_tasks_run_after_those_that_are_ready() {
    let bench = Bench::new();
    let (executor, log) = (Rc::clone(&bench.executor), Rc::clone(&bench.log));
    drop(bench.spawn("parent", async move {
        drop(executor.spawn("child".into(), async move { log.borrow_mut().push("child") }));
    }));
    drop(bench.spawn("sibling", async {}));
    bench.run();
    assert_eq!(*bench.log.borrow(), ["parent", "sibling", "child"]);
}

#[test]
fn a_waker_that_outlives_its_task_wakes_nobody() {
    let bench = Bench::new();
    let kept = Rc::new(RefCell::new(None));
    let keep = Rc::clone(&kept);
    drop(bench.spawn("first", async move {
        poll_fn(|cx| {
            *keep.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        })
        .await;
    }));
    bench.run();
    drop(bench.spawn("second", core::future::pending())); // takes the same slot
    assert_eq!(bench.run(), 1);
    kept.borrow_mut().take().expect("kept above").wake();
    assert_eq!(bench.run(), 0);
}

#[test]
fn clearing_drops_the_tasks_and_those_that_their_dropping_spawns() {
    struct SpawnsOnDrop(Rc<Executor>, Log);
    impl Drop for SpawnsOnDrop {
        fn drop(&mut self) {
            self.1.borrow_mut().push("dropped");
            drop(self.0.spawn("late".into(), core::future::pending::<()>()));
        }
    }
    let bench = Bench::new();
    let guard = SpawnsOnDrop(Rc::clone(&bench.executor), Rc::clone(&bench.log));
    drop(bench.spawn("a", async move {
        let _guard = guard;
        core::future::pending::<()>().await;
    }));
    bench.run();
    bench.executor.clear();
    assert_eq!(*bench.log.borrow(), ["dropped"]);
    assert_eq!(bench.executor.unfinished(), 0);
}

#[test]
fn a_panic_goes_through_and_leaves_the_executor_usable() {
    let bench = Bench::new();
    drop(bench.spawn("bad", async { panic!("as planned") }));
    drop(bench.spawn("good", async {}));
    let result = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| bench.run()));
    assert_eq!(result.expect_err("it goes through").downcast_ref(), Some(&"as planned"));
    assert_eq!(bench.executor.current_number(), 0);
    bench.run();
    assert_eq!(*bench.log.borrow(), ["good"]);
}

#[test]
fn tasks_are_listed_with_their_numbers_and_names_and_what_they_sleep_for() {
    let bench = Bench::new();
    drop(bench.spawn("short", async {}));
    drop(bench.spawn("sleeper", bench.sleep(7)));
    bench.run();
    drop(bench.spawn("third", core::future::pending())); // in the slot of the first
    assert_eq!(bench.executor.tasks(), [(2, "sleeper".into()), (3, "third".into())]);
    assert_eq!(bench.clock.sleeps_by_task().get(&2), Some(&vec![Instant::from_millis(7)]));
    assert_eq!(bench.executor.name(3).as_deref(), Some("third"));
}
