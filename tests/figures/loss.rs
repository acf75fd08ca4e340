//! A minute over 100 Mbit/s with a round trip of 50 ms and random loss in the direction of the text, against the estimate
//! of Mathis, Semke, Mahdavi and Ott (1997): MSS / RTT × √(3 / 2bp), with b = 1, because growth counts bytes (RFC 3465).

use tcplab::time::Duration;

use super::flow::{Flow, Pair, start};
use super::{mean, percentile, pick, tell};

const LINK: &str = "rate=100Mbit,delay=25ms";
const BEGIN: Duration = Duration::from_secs(5);
/// MSS with timestamps.
const MSS: f64 = 1448.0;

struct Run {
    goodput: f64,
    resent: f64,
    dropped: f64,
    timeouts: u64,
    /// SRTT at the end of each tenth of a second, in ms, and the smallest RTT.
    srtt: f64,
    min_rtt: f64,
}

fn run(seed: u64, controller: &str, loss: &str, time: Duration) -> Run {
    let pair = Pair::new(seed, controller, LINK);
    pair.sim.link(&pair.client, &pair.server, &format!("client>server:{LINK}{loss}"));
    let flow = start(&pair.client, &pair.server, 9, Duration::ZERO, u64::MAX);
    pair.sim.run_for(BEGIN);
    let before = flow.received.get();
    let mut samples = Vec::new();
    for _ in 0..time.as_millis() / 100 {
        pair.sim.run_for(Duration::from_millis(100));
        samples.push(flow.info.get().expect("connected").rtt.as_secs_f64() * 1e3);
    }
    assert_eq!(flow.wrong.get(), None);
    let watch = pair.watch.borrow();
    let sender = watch.busiest();
    Run {
        goodput: Flow::mbits(flow.received.get() - before, time),
        resent: sender.resent as f64,
        dropped: sender.dropped as f64,
        timeouts: sender.timeouts,
        srtt: percentile(&mut samples, 0.5),
        min_rtt: flow.info.get().expect("connected").min_rtt.as_secs_f64() * 1e3,
    }
}

fn runs(controller: &str, loss: &str, seeds: u64, time: u64) -> Vec<Run> {
    (1..=seeds).map(|seed| run(seed, controller, loss, Duration::from_secs(time))).collect()
}

/// The goodput, after the assertions that hold for each loss-based controller.
fn loss_based(controller: &str, percent: f64, seeds: u64) -> f64 {
    let runs = runs(controller, &format!(",loss={percent}%"), seeds, 60);
    let goodput = mean(&runs, |run| run.goodput);
    let [resent, dropped] = [mean(&runs, |run| run.resent), mean(&runs, |run| run.dropped)];
    let timeouts: u64 = runs.iter().map(|run| run.timeouts).sum();
    let [least, most] = [f64::min, f64::max]
        .map(|fold: fn(f64, f64) -> f64| runs.iter().map(|run| run.goodput).reduce(fold).expect("a run"));
    tell(
        &format!("loss {percent} %, {controller}"),
        &format!(
            "{goodput:.2} Mbit/s ({least:.2} to {most:.2}), {resent:.1} retransmissions, {dropped:.1} drops, \
             {timeouts} RTOs"
        ),
    );
    assert_eq!(timeouts, 0, "{controller} at {percent} %");
    assert!((resent - dropped).abs() <= dropped * 0.01, "{controller} at {percent} %: {resent} for {dropped} drops");
    goodput
}

fn near_mathis(percent: f64, seeds: u64) {
    let estimate = MSS * 8.0 / 0.05 * (1.5 / (percent / 100.0)).sqrt() / 1e6;
    let reno = loss_based("reno", percent, seeds);
    assert!((0.80..=1.15).contains(&(reno / estimate)), "Reno: {reno} Mbit/s, estimated {estimate}");
    let cubic = loss_based("cubic", percent, seeds);
    assert!(cubic >= reno, "CUBIC: {cubic} Mbit/s, Reno: {reno}");
}

#[test]
fn at_one_percent_reno_is_near_the_estimate_of_mathis_and_cubic_at_least_as_fast() {
    near_mathis(1.0, pick(5, 20));
}

#[test]
fn at_one_permille_reno_is_near_the_estimate_of_mathis_and_cubic_at_least_as_fast() {
    near_mathis(0.1, pick(3, 20));
}

#[test]
fn at_one_percent_bbr_keeps_three_quarters_of_the_link() {
    let runs = runs("bbr", ",loss=1%", pick(1, 20), pick(10, 60));
    let goodput = mean(&runs, |run| run.goodput);
    let timeouts: u64 = runs.iter().map(|run| run.timeouts).sum();
    tell("loss 1 %, bbr", &format!("{goodput:.1} Mbit/s, {timeouts} RTOs"));
    assert!(goodput >= 75.0, "{goodput} Mbit/s");
    assert_eq!(timeouts, 0);
}

#[test]
fn without_loss_bbr_keeps_the_queue_shorter_than_the_path() {
    let runs = runs("bbr", "", pick(1, 20), pick(10, 60));
    let (srtt, min_rtt) = (mean(&runs, |run| run.srtt), mean(&runs, |run| run.min_rtt));
    let goodput = mean(&runs, |run| run.goodput);
    tell("no loss, bbr", &format!("{goodput:.1} Mbit/s, median SRTT {srtt:.1} ms, smallest {min_rtt:.1} ms"));
    assert!(srtt < 2.0 * min_rtt, "SRTT {srtt} ms, smallest {min_rtt} ms");
}
