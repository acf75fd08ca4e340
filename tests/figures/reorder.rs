//! Reordering: one packet in a hundred is held back 5 ms for a minute, and everything is held back for a second once.
//! Neither is loss, and the sender finds that out (RFC 8985, section 6.2; RFC 3522; RFC 5682).

use tcplab::link::FaultAction;
use tcplab::segment::Packet;
use tcplab::time::{Duration, Instant};

use super::flow::{Flow, Pair, start};
use super::{mean, pick, tell};

const LINK: &str = "rate=100Mbit,delay=25ms";

fn minute(seed: u64, controller: &str, reorder: &str) -> (f64, u64, u64) {
    let pair = Pair::new(seed, controller, LINK);
    pair.sim.link(&pair.client, &pair.server, &format!("client>server:{LINK}{reorder}"));
    let flow = start(&pair.client, &pair.server, 9, Duration::ZERO, u64::MAX);
    let time = Duration::from_mins(1);
    pair.sim.run_for(time);
    assert_eq!(flow.wrong.get(), None);
    let info = flow.info.get().expect("connected");
    let watch = pair.watch.borrow();
    (Flow::mbits(flow.received.get(), time), u64::from(info.dsack_dups), watch.busiest().timeouts)
}

fn reordered(controller: &str) {
    let seeds = pick(1, 20);
    let runs = |reorder| (1..=seeds).map(|seed| minute(seed, controller, reorder)).collect::<Vec<_>>();
    let (plain, held) = (runs(""), runs(",reorder=1%:5ms"));
    let [without, with] = [mean(&plain, |run| run.0), mean(&held, |run| run.0)];
    let spurious = mean(&held, |run| run.1 as f64);
    tell(
        &format!("reorder 1 % by 5 ms, {controller}"),
        &format!("{with:.1} Mbit/s, without reordering {without:.1}; {spurious:.2} spurious retransmissions"),
    );
    assert!(with >= 0.9 * without, "{controller}: {with} Mbit/s, without reordering {without}");
    assert!(spurious <= 10.0, "{controller}: {spurious} spurious retransmissions");
    assert_eq!(held.iter().map(|run| run.2).sum::<u64>(), 0, "{controller}: RTOs");
}

#[test]
fn reordering_costs_reno_little() {
    reordered("reno");
}

#[test]
fn reordering_costs_cubic_little() {
    reordered("cubic");
}

/// These ends of a link hold everything that enters there between second 10 and second 11 until second 11, and keep the
/// order. The queue is in front of another link: in one link, a packet that waited longer would arrive later.
fn held_for_a_second(controller: &str, ends: &[&str]) {
    let pair = Pair::behind_a_router(1, controller, "rate=100Mbit", "delay=25ms");
    for end in ends {
        pair.link.fault(*end, |now: Instant, _: &Packet| {
            let [begin, until] = [10_000, 11_000].map(|ms| Instant::EPOCH + Duration::from_millis(ms));
            if (begin..until).contains(&now) { FaultAction::Delay(until - now) } else { FaultAction::Pass }
        });
    }
    let flow = start(&pair.client, &pair.server, 9, Duration::ZERO, u64::MAX);
    pair.sim.run_until(Instant::EPOCH + Duration::from_millis(9_999));
    let before = pair.watch.borrow().busiest().numbers.cwnd.expect("connected");
    let resent = pair.watch.borrow().busiest().resent;
    pair.sim.run_until(Instant::EPOCH + Duration::from_millis(11_200));
    let after = pair.watch.borrow().busiest().numbers.cwnd.expect("connected");
    let more = pair.watch.borrow().busiest().resent - resent;
    tell(
        &format!("held for 1 s at {ends:?}, {controller}"),
        &format!("{more} retransmissions, cwnd {before} before and {after} after"),
    );
    assert_eq!(flow.wrong.get(), None);
    assert!(more <= 3, "{controller}, {ends:?}: {more} retransmissions");
    assert!(after >= before, "{controller}, {ends:?}: cwnd {before} before and {after} after");
}

#[test]
fn a_link_that_holds_everything_for_a_second_leaves_cwnd_as_it_was() {
    for controller in ["reno", "cubic"] {
        for ends in [&["r"][..], &["server"], &["r", "server"]] {
            held_for_a_second(controller, ends);
        }
    }
}
