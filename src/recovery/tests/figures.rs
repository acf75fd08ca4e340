//! The figures of a sender over simulated links: goodput, retransmissions, timeouts. Timestamps are on. Bounds on
//! goodput are for means over a few seeds; "no timeout" holds in each run. The tests with 200 seeds are run by name.

use crate::recovery::RecoveryConfig;
use crate::recovery::simulator::link::{Link, Loss};
use crate::recovery::simulator::{Options, World};
use crate::time::{Duration, Instant};

const MBIT: u64 = 1_000_000;

fn options(controller: &'static str) -> Options {
    Options { controller, ..Options::default() }
}

/// 100 Mbit/s, 50 ms round trip.
fn world(options: Options, seed: u64, change: impl FnOnce(&mut Link)) -> World {
    let delay = Duration::from_millis(25);
    let mut forward = Link::new(100 * MBIT, delay, seed, "forward");
    change(&mut forward);
    World::new(options, forward, Link::new(100 * MBIT, delay, seed, "backward")).unchecked()
}

/// Mbit/s from the sixth second on for 60 s.
fn goodput(world: &mut World) -> f64 {
    world.run_until(Instant::from_secs(6));
    let before = world.receiver.rcv_nxt;
    world.run_until(Instant::from_secs(66));
    f64::from(world.receiver.rcv_nxt - before) * 8.0 / 60.0 / 1e6
}

/// Retransmissions equal the drops, but for those of the last round trip.
#[track_caller]
fn assert_no_waste(world: &World) {
    let counters = world.recovery.counters();
    assert_eq!(counters.timeouts, 0);
    assert_eq!(world.receiver.duplicates, 0);
    assert!(counters.retransmissions <= world.forward.drops);
    assert!(world.forward.drops - counters.retransmissions <= 3, "{} {counters:?}", world.forward.drops);
}

#[test]
fn one_percent_of_loss_gives_what_mathis_predicts_and_retransmissions_equal_the_drops() {
    let mean = |controller: &'static str| {
        let total: f64 = (0..5)
            .map(|seed| {
                let mut world = world(options(controller), seed, |link| link.loss = Loss::Random(0.01));
                let goodput = goodput(&mut world);
                assert_no_waste(&world);
                goodput
            })
            .sum();
        total / 5.0
    };
    let (reno, cubic) = (mean("reno"), mean("cubic"));
    assert!((2.27..3.26).contains(&reno), "{reno}");
    assert!(cubic >= reno, "{cubic}");
}

#[test]
fn a_thousandth_of_loss_gives_what_mathis_predicts() {
    let mut total = 0.0;
    for seed in 0..3 {
        let mut world = world(options("reno"), seed, |link| link.loss = Loss::Random(0.001));
        total += goodput(&mut world);
        assert_no_waste(&world);
    }
    assert!((7.2..10.4).contains(&(total / 3.0)), "{total}");
}

#[test]
fn bulk_fills_a_gigabit_and_retransmissions_equal_the_drops_of_the_queue() {
    for controller in ["reno", "cubic"] {
        let delay = Duration::from_millis(1);
        let bytes = 200_000_000;
        let options = Options { bytes: Some(bytes), ..options(controller) };
        let forward = Link::new(1_000 * MBIT, delay, 1, "forward");
        let mut world = World::new(options, forward, Link::new(1_000 * MBIT, delay, 1, "backward")).unchecked();
        world.run_until(Instant::from_secs(60));
        assert!(world.is_finished());
        let rate = bytes as f64 * 8.0 / (world.now - Instant::from_secs(1)).as_secs_f64() / 1e6;
        assert!(rate > 950.0, "{controller} {rate}");
        assert_eq!(world.recovery.counters().retransmissions, world.forward.drops, "{controller}");
        assert_eq!(world.recovery.counters().timeouts, 0, "{controller}");
    }
}

fn bursts(controller: &'static str, seeds: u64) -> (u64, f64) {
    let (mut without_timeout, mut total) = (0, 0.0);
    for seed in 0..seeds {
        let mut world = world(options(controller), seed, |link| link.loss = Loss::Bursts(0.000_5, 0.125));
        total += goodput(&mut world);
        without_timeout += u64::from(world.recovery.counters().timeouts == 0);
        assert_eq!(world.receiver.duplicates, 0, "nothing that had arrived was sent again");
    }
    (without_timeout, total / seeds as f64)
}

/// Runs of the burst test for each controller: 8, or 200 with `TCPLAB_FIGURES=1`.
fn burst_runs() -> u64 {
    if std::env::var("TCPLAB_FIGURES").is_ok_and(|value| value == "1") { 200 } else { 8 }
}

#[test]
fn bursts_of_eight_packets_rarely_need_a_timeout_and_nothing_that_arrived_is_sent_again() {
    let runs = burst_runs();
    let (reno, cubic) = (bursts("reno", runs), bursts("cubic", runs));
    assert!(reno.0 * 10 >= runs * 7, "{reno:?} of {runs}");
    assert!(cubic.0 * 10 >= runs * 8, "{cubic:?} of {runs}");
    assert!(cubic.1 > 11.0, "{cubic:?}");
}

#[test]
fn one_percent_held_back_5_ms_costs_a_few_retransmissions_only() {
    let plain = goodput(&mut world(options("reno"), 0, |_| {}));
    let (mut total, mut spurious) = (0.0, 0);
    for seed in 0..3 {
        let mut world = world(options("reno"), seed, |link| link.reorder = (0.01, Duration::from_millis(5)));
        total += goodput(&mut world);
        spurious += world.recovery.counters().spurious;
        assert_eq!(world.recovery.counters().timeouts, 0);
    }
    assert!(total / 3.0 > 0.9 * plain, "{total} {plain}");
    assert!(spurious <= 3 * 10, "{spurious}");
}

#[test]
fn a_link_that_holds_everything_for_a_second_costs_three_retransmissions_and_no_window() {
    for (timestamps, frto) in [(true, true), (true, false), (false, true)] {
        let config = RecoveryConfig { frto, ..RecoveryConfig::default() };
        let options = Options { timestamps, config, ..options("reno") };
        let hold = Some((Instant::from_secs(5), Instant::from_secs(6)));
        let mut world = world(options, 1, |link| link.hold = hold);
        world.run_until(Instant::from_secs(5));
        let (cwnd, before) = (world.controller.cwnd(), *world.recovery.counters());
        world.run_until(Instant::from_millis(6_300));
        let counters = world.recovery.counters();
        assert!(counters.retransmissions - before.retransmissions <= 3, "{timestamps} {frto} {counters:?}");
        assert!(counters.timeouts > before.timeouts);
        assert!(world.controller.cwnd() >= cwnd, "{timestamps} {frto}");
    }
}

#[test]
fn without_sack_new_reno_recovers_without_a_timeout_for_each_loss() {
    let config = RecoveryConfig { sack: false, ..RecoveryConfig::default() };
    let options = Options { config, ..options("reno") };
    let mut total = 0.0;
    for seed in 0..3 {
        let mut world = world(options.clone(), seed, |link| link.loss = Loss::Random(0.01));
        total += goodput(&mut world);
    }
    assert!(total / 3.0 > 1.8, "{total}");
}

#[test]
fn small_segments_do_not_overflow_the_queue() {
    let options = Options { write: 1, bytes: Some(4_000), ..options("reno") };
    let mut world = world(options, 1, |_| {});
    world.run_until(Instant::from_secs(600));
    assert!(world.is_finished());
    assert!(world.controller.cwnd() < 4_000 * 1_448, "cwnd counts segments, not bytes");
    assert_eq!((world.forward.drops, world.recovery.counters().retransmissions), (0, 0));
}

#[test]
fn a_lost_tail_is_repaired_by_a_probe_not_by_the_timer() {
    for last in [1, 2, 4] {
        let options = Options { bytes: Some(30_000), ..options("reno") };
        // 21 segments; the last ones are lost.
        let mut world = world(options, 1, |link| link.drop = (21 - last..21).collect());
        world.run_until(Instant::from_secs(30));
        assert!(world.is_finished());
        assert_eq!(world.recovery.counters().timeouts, 0, "{last} lost: {:?}", world.recovery.counters());
        assert!(world.recovery.counters().probes > 0);
        assert!(world.recovery.counters().retransmissions <= last + 1);
    }
}

/// 50 KB over 10 Mbit/s, 40 ms round trip, 3 % loss both ways.
fn short_transfers(seeds: u64) -> (f64, f64, f64) {
    let mut times: Vec<f64> = (0..seeds)
        .map(|seed| {
            let delay = Duration::from_millis(20);
            let mut forward = Link::new(10 * MBIT, delay, seed, "forward");
            let mut backward = Link::new(10 * MBIT, delay, seed, "backward");
            forward.loss = Loss::Random(0.03);
            backward.loss = Loss::Random(0.03);
            let options = Options { bytes: Some(50_000), ..options("reno") };
            let mut world = World::new(options, forward, backward).unchecked();
            world.run_until(Instant::from_secs(600));
            assert!(world.is_finished());
            // The handshake is not simulated: one round trip.
            (world.now - Instant::from_secs(1)).as_secs_f64() + 0.04
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let rank = |part: f64| times[((times.len() as f64 * part) as usize).min(times.len() - 1)];
    (times.iter().sum::<f64>() / times.len() as f64, rank(0.9), rank(0.99))
}

#[test]
fn short_transfers_with_loss_both_ways_are_quick() {
    let (mean, p90, p99) = short_transfers(200);
    assert!(mean <= 0.35 && p90 <= 0.50 && p99 <= 1.6, "{mean} {p90} {p99}");
}
