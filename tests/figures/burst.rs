//! A minute over 100 Mbit/s with a round trip of 50 ms and losses in bursts of eight packets on average, with 1 ms
//! between two packets of slow flows. Few runs have a timeout, and no timeout sends anything that had arrived.

use tcplab::time::Duration;

use super::flow::{Flow, Pair, start};
use super::{mean, pick, tell};

const LINK: &str = "rate=100Mbit,delay=25ms";
const LOSS: &str = "loss=gemodel:0.05%:12.5%:100%:0%";

fn bursts(controller: &str, without_rto: f64) {
    let seeds = pick(20, 200);
    let runs: Vec<_> = (1..=seeds)
        .map(|seed| {
            let pair = Pair::new(seed, controller, LINK);
            pair.sim.link(&pair.client, &pair.server, &format!("client>server:{LINK},{LOSS}"));
            let flow = start(&pair.client, &pair.server, 9, Duration::ZERO, u64::MAX);
            let time = Duration::from_mins(1);
            pair.sim.run_for(time);
            assert_eq!(flow.wrong.get(), None);
            let watch = pair.watch.borrow();
            let sender = watch.busiest();
            (Flow::mbits(flow.received.get(), time), sender.timeouts, sender.needless_by_rto, sender.needless)
        })
        .collect();
    let share = mean(&runs, |run| f64::from(u8::from(run.1 == 0)));
    let goodput = mean(&runs, |run| run.0);
    let needless: u64 = runs.iter().map(|run| run.2).sum();
    tell(
        &format!("bursts, {controller}"),
        &format!(
            "{:.1} % of {seeds} runs without RTO, {goodput:.1} Mbit/s, {needless} needless by RTO, {} in all",
            share * 100.0,
            runs.iter().map(|run| run.3).sum::<u64>()
        ),
    );
    assert!(share >= without_rto, "{controller}: {share} of the runs without RTO");
    assert_eq!(needless, 0, "{controller}: segments that an RTO sent again had arrived");
}

#[test]
fn bursts_of_loss_rarely_end_in_a_timeout_with_reno() {
    bursts("reno", pick(0.75, 0.80));
}

#[test]
fn bursts_of_loss_rarely_end_in_a_timeout_with_cubic() {
    bursts("cubic", pick(0.85, 0.90));
}
