//! Ten flows share a bottleneck of 100 Mbit/s with a queue of 500 packets and a round trip of 50 ms for a minute. They
//! start at random within 100 ms. Fairness is the index of Jain: (Σx)² / (n Σx²).

use tcplab::time::Duration;

use super::flow::{Flow, Pair, start};
use super::{mean, pick, tell};

const LINK: &str = "rate=100Mbit,delay=25ms,limit=500";
const FLOWS: u16 = 10;

fn ten_flows(controller: &str, link: f64, jain: f64) {
    let runs: Vec<_> = (1..=pick(3, 20))
        .map(|seed| {
            let pair = Pair::new(seed, controller, LINK);
            let mut starts = pair.sim.rng("starts");
            let flows: Vec<_> = (0..FLOWS)
                .map(|flow| {
                    let begin = Duration::from_micros(starts.below(100_000));
                    start(&pair.client, &pair.server, 100 + flow, begin, u64::MAX)
                })
                .collect();
            let time = Duration::from_mins(1);
            pair.sim.run_for(time);
            let shares: Vec<f64> = flows.iter().map(|flow| Flow::mbits(flow.received.get(), time)).collect();
            let sum: f64 = shares.iter().sum();
            let squares: f64 = shares.iter().map(|share| share * share).sum();
            let watch = pair.watch.borrow();
            (sum, sum * sum / (f64::from(FLOWS) * squares), watch.all().map(|one| one.timeouts).sum::<u64>())
        })
        .collect();
    let (sum, index) = (mean(&runs, |run| run.0), mean(&runs, |run| run.1));
    let timeouts: u64 = runs.iter().map(|run| run.2).sum();
    tell(&format!("ten flows, {controller}"), &format!("{sum:.2} Mbit/s, Jain {index:.3}, {timeouts} RTOs"));
    assert!(sum >= link, "{controller}: {sum} Mbit/s of 100");
    assert!(index >= jain, "{controller}: Jain {index}");
}

#[test]
fn ten_flows_with_reno_share_the_link() {
    ten_flows("reno", 95.5, pick(0.93, 0.95));
}

#[test]
fn ten_flows_with_cubic_share_the_link() {
    ten_flows("cubic", 95.5, pick(0.90, 0.93));
}
