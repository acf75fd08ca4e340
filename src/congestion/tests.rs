//! The figures that controllers must reach, on a simulated bottleneck: goodput, fairness, delay, drops.
//! The samples that the tests of single controllers are fed with are made here too.

use proptest::prelude::*;

use super::simulator::{Bottleneck, FlowReport, MSS, Network};
use super::{AckSample, CongestionSample, LostSample, RateSample, Reno, SentSample, Setup, Signal};
use crate::rng::Rng;
use crate::segment::Seq;
use crate::time::{Duration, Instant};

/// An ACK at `millis` that delivers `bytes` in order, with an RTT of 100 ms and cwnd in full use.
pub(super) fn ack(millis: u64, bytes: u64) -> AckSample {
    AckSample {
        now: Instant::from_millis(millis),
        newly_acked: bytes,
        newly_delivered: bytes,
        newly_lost: 0,
        prior_pipe: bytes,
        pipe: 0,
        delivered: bytes,
        lost: 0,
        rate: None,
        rtt: Some(Duration::from_millis(100)),
        srtt: Some(Duration::from_millis(100)),
        min_rtt: Some(Duration::from_millis(100)),
        reordering_seen: false,
        cwnd_limited: true,
        cwnd_filled: true,
        snd_una: Seq(0),
        snd_nxt: Seq(0),
    }
}

pub(super) fn congestion(signal: Signal, flight_size: u64) -> CongestionSample {
    CongestionSample { now: Instant::EPOCH, signal, flight_size, pipe: 0, delivered: 0, snd_nxt: Seq(0) }
}

/// 100 Mbit/s, 50 ms there and back, a queue of 1,000 packets. The link carries 96.5 Mbit/s of text.
pub(super) const WIDE: Bottleneck = Bottleneck { mbit: 100, delay: Duration::from_millis(25), queue: 1_000, loss: 0.0 };

/// Goodput in Mbit/s from `from` to `to` seconds, and the whole report.
pub(super) fn goodput(name: &str, link: Bottleneck, seed: u64, from: u64, to: u64) -> (f64, FlowReport) {
    let mut network = Network::new(link, seed);
    let flow = network.add(name, Instant::EPOCH, true);
    network.run_until(Instant::from_secs(from));
    let before = network.flows[flow].report.delivered;
    network.run_until(Instant::from_secs(to));
    let report = network.flows[flow].report.clone();
    ((report.delivered - before) as f64 * 8.0 / 1e6 / (to - from) as f64, report)
}

fn mean_goodput(name: &str, link: Bottleneck, seeds: u64) -> f64 {
    (0..seeds).map(|seed| goodput(name, link, seed, 5, 65).0).sum::<f64>() / seeds as f64
}

#[test]
fn reno_under_random_loss_has_the_goodput_that_mathis_predicts() {
    // MSS / RTT * sqrt(3/2) / sqrt(p), since every byte counts (b = 1): 2.84 Mbit/s at 1 %.
    for (loss, seeds) in [(0.01, 10), (0.001, 5)] {
        let mathis = MSS as f64 * 8.0 / 0.05 * libm::sqrt(1.5 / loss) / 1e6;
        let mean = mean_goodput("reno", Bottleneck { loss, ..WIDE }, seeds);
        assert!((0.80..=1.15).contains(&(mean / mathis)), "loss {loss}: {mean} of {mathis} Mbit/s");
    }
}

#[test]
fn cubic_under_random_loss_is_at_least_as_fast_as_reno() {
    for (loss, seeds) in [(0.01, 10), (0.001, 5)] {
        let link = Bottleneck { loss, ..WIDE };
        let (cubic, reno) = (mean_goodput("cubic", link, seeds), mean_goodput("reno", link, seeds));
        assert!(cubic >= reno, "loss {loss}: {cubic} and {reno} Mbit/s");
    }
}

#[test]
fn window_based_controllers_send_again_what_was_dropped_and_no_more_and_need_no_timeout() {
    for name in ["reno", "cubic"] {
        for loss in [0.0, 0.01] {
            let report = goodput(name, Bottleneck { loss, ..WIDE }, 3, 5, 35).1;
            let drops = report.random_drops + report.queue_drops;
            assert_eq!(report.timeouts, 0, "{name} {loss}");
            assert!(
                report.retransmissions <= drops && report.retransmissions + 5 >= drops,
                "{name} {loss}: {report:?}"
            );
        }
    }
}

#[test]
fn bbr_keeps_75_of_100_mbit_per_second_at_one_percent_loss() {
    let mean = mean_goodput("bbr", Bottleneck { loss: 0.01, ..WIDE }, 2);
    assert!(mean >= 75.0, "{mean} Mbit/s");
}

#[test]
fn bbr_without_loss_fills_the_link_with_a_median_srtt_below_twice_the_minimum() {
    let (mean, report) = goodput("bbr", WIDE, 1, 5, 65);
    assert!(mean >= 90.0, "{mean} Mbit/s");
    assert!(report.median_srtt() < 2 * report.min_rtt, "{} {}", report.median_srtt(), report.min_rtt);
    assert_eq!(report.queue_drops, 0);
}

#[test]
fn hystart_leaves_slow_start_before_a_deep_queue_overflows() {
    for name in ["reno", "cubic"] {
        let report = goodput(name, Bottleneck { queue: 4_000, ..WIDE }, 1, 4, 5).1;
        let phases: Vec<_> = report.phases.iter().map(|&(_, _, phase)| phase).collect();
        assert_eq!(phases, ["slow start", "conservative slow start", "congestion avoidance"], "{name}");
        assert_eq!(report.drops_in_slow_start, Some(0), "{name}");
    }
}

#[test]
fn with_hystart_fewer_packets_are_dropped_in_slow_start_than_without() {
    let drops = |ssthresh| {
        let mut network = Network::new(WIDE, 1);
        let setup = Setup { ssthresh, ..Setup::new(MSS, Instant::EPOCH) };
        let flow = network.add_controller(Box::new(Reno::new(&setup)), Instant::EPOCH, true);
        network.run_until(Instant::from_secs(3));
        network.flows[flow].report.queue_drops
    };
    // HyStart++ is for the first slow start only, where ssthresh is infinite.
    let (with, without) = (drops(u64::MAX), drops(u64::MAX - 1));
    assert!(with < without / 2, "{with} {without}");
}

#[test]
fn a_setup_without_hystart_stays_in_slow_start_until_a_loss() {
    for name in ["reno", "cubic"] {
        let mut network = Network::new(Bottleneck { queue: 4_000, ..WIDE }, 1);
        let setup = Setup { hystart: false, ..Setup::new(MSS, Instant::EPOCH) };
        let controller = super::by_name(name).expect("it is built in").controller(&setup);
        let flow = network.add_controller(controller, Instant::EPOCH, true);
        network.run_until(Instant::from_secs(5));
        let report = &network.flows[flow].report;
        let phases: Vec<_> = report.phases.iter().map(|&(_, _, phase)| phase).collect();
        assert_eq!(phases.first(), Some(&"slow start"), "{name}");
        assert!(!phases.contains(&"conservative slow start"), "{name}: {phases:?}");
        assert!(report.queue_drops > 0, "{name}");
    }
}

#[test]
fn bulk_over_a_fast_short_link_reaches_95_percent() {
    let link = Bottleneck { mbit: 1_000, delay: Duration::from_millis(1), queue: 1_000, loss: 0.0 };
    for name in ["reno", "cubic", "bbr"] {
        let (mean, report) = goodput(name, link, 1, 0, 3);
        assert!(mean >= 0.95 * 965.0, "{name}: {mean} Mbit/s");
        assert_eq!(report.timeouts, 0, "{name}");
    }
}

/// Ten flows that start within 100 ms: their sum in Mbit/s and Jain's index.
fn ten_flows(name: &str, seed: u64, seconds: u64) -> (f64, f64) {
    let mut network = Network::new(Bottleneck { queue: 500, ..WIDE }, seed);
    let mut starts = Rng::new(seed, "starts");
    for _ in 0..10 {
        network.add(name, Instant::from_micros(starts.below(100_000)), true);
    }
    network.run_until(Instant::from_secs(seconds));
    let rates: Vec<f64> =
        network.flows.iter().map(|flow| flow.report.delivered as f64 * 8.0 / 1e6 / seconds as f64).collect();
    let sum: f64 = rates.iter().sum();
    (sum, sum * sum / (10.0 * rates.iter().map(|rate| rate * rate).sum::<f64>()))
}

#[test]
fn ten_flows_share_a_bottleneck() {
    for (name, fair) in [("reno", 0.95), ("cubic", 0.93), ("bbr", 0.90)] {
        let (sum, jain) = ten_flows(name, 1, 60);
        assert!(sum >= 90.0, "{name}: {sum} Mbit/s");
        assert!(jain >= fair, "{name}: Jain {jain}");
    }
}

#[test]
fn cubic_and_bbr_share_a_bottleneck_and_neither_starves() {
    let mut network = Network::new(Bottleneck { queue: 400, ..WIDE }, 1);
    for name in ["cubic", "bbr"] {
        network.add(name, Instant::EPOCH, true);
    }
    network.run_until(Instant::from_secs(60));
    let rates: Vec<f64> = network.flows.iter().map(|flow| flow.report.delivered as f64 * 8.0 / 60e6).collect();
    assert!(rates.iter().all(|&rate| rate >= 10.0), "{rates:?} Mbit/s");
}

#[test]
fn none_is_bounded_by_nothing_and_is_not_slowed_by_losses() {
    let none = super::by_name("none").unwrap();
    let mut controller = none.controller(&Setup::new(MSS, Instant::EPOCH));
    controller.on_congestion(&congestion(Signal::Timeout { again: false }, 10 * MSS));
    assert_eq!(controller.cwnd(), super::MAX_CWND);
    assert!(controller.governs_recovery());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for name in super::names() {
        if name != "none" {
            let link = Bottleneck { loss: 0.01, ..WIDE };
            let (first, second) = (goodput(name, link, 7, 1, 4).1, goodput(name, link, 7, 1, 4).1);
            assert_eq!(format!("{first:?}"), format!("{second:?}"), "{name}");
        }
    }
}

#[test]
fn a_controller_takes_a_small_part_of_the_3_kib_of_an_idle_connection() {
    assert!(size_of::<Reno>() <= 256, "{}", size_of::<Reno>());
    assert!(size_of::<super::Cubic>() <= 384, "{}", size_of::<super::Cubic>());
    assert!(size_of::<super::Bbr>() <= 640, "{}", size_of::<super::Bbr>());
}

#[test]
fn the_initial_window_is_that_of_rfc_6928() {
    for (mss, window) in [(536, 5_360), (1_448, 14_480), (1_460, 14_600), (4_000, 14_600), (8_948, 17_896)] {
        assert_eq!(super::initial_window(mss), window, "{mss}");
    }
}

/// Seconds that 724 segments (1 MB) take over 100 ms and 1 % loss, as a median over seeds.
fn one_megabyte(name: &str) -> f64 {
    let link = Bottleneck { mbit: 2_000, delay: Duration::from_millis(50), queue: 10_000, loss: 0.01 };
    let mut times: Vec<_> = (0..41)
        .map(|seed| {
            let mut network = Network::new(link, seed);
            let flow = network.add(name, Instant::EPOCH, false);
            network.write(flow, Instant::EPOCH, 724);
            let mut now = Instant::EPOCH;
            while network.flows[flow].report.delivered < 724 * MSS && now < Instant::from_secs(60) {
                now += Duration::from_millis(5);
                network.run_until(now);
            }
            now
        })
        .collect();
    times.sort();
    times[20].as_secs_f64()
}

#[test]
fn one_megabyte_over_a_lossy_path_takes_no_longer_than_on_linux() {
    // Medians of Linux over such a link, with 30 % for the differences of the path. The handshake takes 0.1 s.
    for (name, linux) in [("reno", 3.8), ("cubic", 2.4), ("bbr", 1.3)] {
        let seconds = one_megabyte(name) + 0.1;
        assert!(seconds <= 1.3 * linux, "{name}: {seconds} s");
    }
}

#[test]
fn paced_slow_start_fills_more_of_the_path_before_a_shallow_queue_overflows() {
    let delivered_before_overflow = |paced| {
        let mut network = Network::new(Bottleneck { queue: 60, ..WIDE }, 1);
        let setup = Setup { paced, ..Setup::new(MSS, Instant::EPOCH) };
        let flow = network.add_controller(Box::new(Reno::new(&setup)), Instant::EPOCH, true);
        if paced {
            network.flows[flow].pace();
        }
        let mut now = Instant::EPOCH;
        while network.flows[flow].report.queue_drops == 0 && now < Instant::from_secs(5) {
            now += Duration::from_millis(1);
            network.run_until(now);
        }
        network.flows[flow].report.delivered
    };
    let (paced, unpaced) = (delivered_before_overflow(true), delivered_before_overflow(false));
    assert!(paced > 2 * unpaced, "{paced} {unpaced}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn no_history_makes_a_controller_panic_or_leaves_it_without_a_window(
        events in prop::collection::vec((0_u8..12, any::<[u32; 4]>(), any::<bool>()), 1..200),
    ) {
        for name in super::names() {
            let mut controller = super::by_name(name).unwrap().controller(&Setup::new(MSS, Instant::EPOCH));
            let mut now = Instant::EPOCH;
            let mut delivered = 0;
            for &(kind, [a, b, c, d], flag) in &events {
                let [a, b, c, d] = [a, b, c, d].map(u64::from);
                now += Duration::from_micros(a);
                delivered += b;
                match kind {
                    0 => {
                        let signal = [Signal::Loss, Signal::Ecn, Signal::Timeout { again: flag }][(a % 3) as usize];
                        let (flight_size, pipe) = (b, c);
                        let snd_nxt = Seq(d as u32);
                        let sample = CongestionSample { now, signal, flight_size, pipe, delivered, snd_nxt };
                        controller.on_congestion(&sample);
                    }
                    1 => controller.on_recovery_end(now, b),
                    2 => controller.undo(now),
                    3 => controller.on_idle_restart(now),
                    4 => controller.set_mss(a % 9_000),
                    5 => {
                        let sample = LostSample {
                            now,
                            bytes: a,
                            tx_in_flight: b,
                            lost: c,
                            delivered,
                            app_limited: flag,
                            new_range: true,
                        };
                        controller.on_lost(&sample);
                    }
                    6 => {
                        let prior_pipe = if flag { 0 } else { b };
                        let (bytes, app_limited, retransmission) = (a, flag, flag);
                        controller.on_sent(&SentSample { now, bytes, prior_pipe, app_limited, retransmission });
                    }
                    _ => {
                        let rate = RateSample {
                            delivered: b,
                            prior_delivered: delivered.saturating_sub(c),
                            interval: Duration::from_nanos(d),
                            lost: a % 10_000,
                            tx_in_flight: c,
                            app_limited: flag,
                        };
                        controller.on_ack(&AckSample {
                            now,
                            newly_acked: b,
                            newly_delivered: b,
                            newly_lost: a,
                            prior_pipe: c,
                            pipe: d,
                            delivered,
                            lost: a,
                            rate: Some(rate),
                            rtt: Some(Duration::from_nanos(c)),
                            srtt: Some(Duration::from_nanos(d)),
                            min_rtt: Some(Duration::from_nanos(c)),
                            reordering_seen: flag,
                            cwnd_limited: true,
                            cwnd_filled: flag,
                            snd_una: Seq(a as u32),
                            snd_nxt: Seq(b as u32),
                        });
                    }
                }
                prop_assert!((1..=super::MAX_CWND.max(1 << 33)).contains(&controller.cwnd()), "{name}");
                prop_assert!(controller.pacing_rate().is_none_or(|rate| rate > 0), "{name}");
            }
        }
    }
}
