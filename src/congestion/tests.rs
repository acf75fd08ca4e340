//! The figures that controllers must reach, on a simulated bottleneck: goodput, fairness, delay, drops.

use super::simulator::{Link, MSS, Network, Report};
use crate::time::{Duration, Instant};

const WIDE: Link = Link { mbit: 100, delay: Duration::from_millis(25), queue: 1_000, loss: 0.0 };

/// Goodput in Mbit/s from `from` to `to` seconds.
fn goodput(name: &str, link: Link, seed: u64, from: u64, to: u64) -> (f64, Report) {
    let mut network = Network::new(link, seed);
    let flow = network.add(name, Instant::EPOCH, true);
    network.run_until(Instant::from_secs(from));
    let before = network.flows[flow].report.delivered;
    network.run_until(Instant::from_secs(to));
    let report = network.flows[flow].report.clone();
    ((report.delivered - before) as f64 * 8.0 / 1e6 / (to - from) as f64, report)
}

#[test]
fn explore() {
    for name in ["reno", "cubic", "bbr"] {
        for loss in [0.0, 0.001, 0.01, 0.02, 0.05] {
            let (mean, report) = goodput(name, Link { loss, ..WIDE }, 1, 5, 35);
            println!(
                "{name} {loss}: {mean:.2} Mbit/s retx {} random {} queue {} rto {} rec {} median srtt {:.1} min {:.1} phases {:?}",
                report.retransmissions, report.random_drops, report.queue_drops, report.timeouts, report.recoveries,
                report.median_srtt() as f64 / 1e6, report.min_rtt as f64 / 1e6,
                report.phases.iter().take(14).map(|(at, cwnd, phase)| format!("{:.2}:{}:{phase}", at.as_secs_f64(), cwnd / MSS)).collect::<Vec<_>>()
            );
        }
    }
}
