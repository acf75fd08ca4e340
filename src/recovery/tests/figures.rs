//! The figures of a sender over simulated links: goodput, retransmissions, timeouts. Means over a few seeds, bounds with room.

use crate::recovery::simulator::link::{Link, Loss};
use crate::recovery::simulator::{Options, World};
use crate::time::{Duration, Instant};

const MBIT: u64 = 1_000_000;

/// 100 Mbit/s, 50 ms round trip.
fn world(options: Options, seed: u64, change: impl FnOnce(&mut Link)) -> World {
    let delay = Duration::from_millis(25);
    let mut forward = Link::new(100 * MBIT, delay, seed, "forward");
    change(&mut forward);
    World::new(options, forward, Link::new(100 * MBIT, delay, seed, "backward"))
}

/// Mbit/s from the sixth second on for 60 s.
fn goodput(world: &mut World) -> f64 {
    world.run_until(Instant::from_secs(6));
    let before = world.receiver.rcv_nxt;
    world.run_until(Instant::from_secs(66));
    f64::from(world.receiver.rcv_nxt - before) * 8.0 / 60.0 / 1e6
}

#[test]
fn one_percent_of_loss() {
    for cc in ["reno", "cubic"] {
        for seed in 0..5 {
            let mut w = world(Options { controller: cc, ..Options::default() }, seed, |l| l.loss = Loss::Random(0.01));
            let g = goodput(&mut w);
            println!("{cc} seed {seed}: {g:.2} Mbit/s, drops {}, dup {}, {:?}", w.forward.drops, w.receiver.duplicates, w.recovery.counters());
        }
    }
}
#[test]
fn bursts() {
    for cc in ["reno", "cubic"] {
        for seed in 0..10 {
            let mut w = world(Options { controller: cc, ..Options::default() }, seed, |l| l.loss = Loss::Bursts(0.0005, 0.125));
            let g = goodput(&mut w);
            println!("{cc} seed {seed}: {g:.2} Mbit/s, drops {}, dup {}, {:?}", w.forward.drops, w.receiver.duplicates, w.recovery.counters());
        }
    }
}
#[test]
fn reorder() {
    for seed in 0..5 {
        let mut w = world(Options::default(), seed, |l| l.reorder = (0.01, Duration::from_millis(5))).unchecked();
        let g = goodput(&mut w);
        println!("seed {seed}: {g:.2} Mbit/s, drops {}, dup {}, {:?}", w.forward.drops, w.receiver.duplicates, w.recovery.counters());
    }
    let mut w = world(Options::default(), 1, |_| {}).unchecked();
    println!("without {:.2} {:?}", goodput(&mut w), w.recovery.counters());
}
#[test]
fn hold() {
    for ts in [true, false] {
        let mut w = world(Options { timestamps: ts, ..Options::default() }, 1, |l| l.hold = Some((Instant::from_secs(5), Instant::from_secs(6)))).unchecked();
        w.run_until(Instant::from_millis(5000));
        let before = w.controller.cwnd();
        let c = *w.recovery.counters();
        w.run_until(Instant::from_millis(6200));
        println!("ts {ts} cwnd {before} -> {} ssthresh {} {c:?} {:?} dup {}", w.controller.cwnd(), w.controller.ssthresh(), w.recovery.counters(), w.receiver.duplicates);
    }
}
