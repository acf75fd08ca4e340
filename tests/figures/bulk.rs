//! 200 MB over 1 Gbit/s, 1 ms each way, a queue of 1,000 packets: in one direction, and in both at once.

use tcplab::time::{Duration, Instant};

use super::flow::{Flow, Pair, start};
use super::{pick, tell};

const LINK: &str = "rate=1Gbit,delay=1ms,limit=1000";

/// The suite carries a quarter of the bytes: slow start then weighs four times as much.
fn bytes() -> u64 {
    pick(50_000_000, 200_000_000)
}

fn one_way(controller: &str) {
    let pair = Pair::new(1, controller, LINK);
    let flow = start(&pair.client, &pair.server, 9, Duration::ZERO, bytes());
    pair.sim.run_until(|| flow.received.get() == bytes());
    let goodput = Flow::mbits(bytes(), flow.last.get() - Instant::EPOCH);
    let watch = pair.watch.borrow();
    let sender = watch.busiest();
    tell(
        &format!("bulk, {controller}"),
        &format!(
            "{goodput:.1} Mbit/s, {} retransmissions, {} drops, {} RTOs",
            sender.resent, sender.dropped, sender.timeouts
        ),
    );
    assert_eq!(flow.wrong.get(), None);
    assert!(goodput >= pick(930.0, 950.0), "{controller}: {goodput} Mbit/s");
    assert_eq!((sender.resent, sender.timeouts, sender.needless), (sender.dropped, 0, 0), "{controller}");
}

#[test]
fn bulk_with_reno_fills_the_link_and_sends_again_what_was_dropped_and_nothing_else() {
    one_way("reno");
}

#[test]
fn bulk_with_cubic_fills_the_link_and_sends_again_what_was_dropped_and_nothing_else() {
    one_way("cubic");
}

#[test]
fn bulk_both_ways_at_once_fills_each_direction() {
    for controller in ["reno", "cubic"] {
        let pair = Pair::new(1, controller, LINK);
        let flows = [
            start(&pair.client, &pair.server, 9, Duration::ZERO, bytes()),
            start(&pair.server, &pair.client, 10, Duration::ZERO, bytes()),
        ];
        pair.sim.run_until(|| flows.iter().any(|flow| flow.received.get() == bytes()));
        let time = pair.sim.now() - Instant::EPOCH;
        let goodput = flows.each_ref().map(|flow| Flow::mbits(flow.received.get(), time));
        tell(&format!("bulk both ways, {controller}"), &format!("{:.0} and {:.0} Mbit/s", goodput[0], goodput[1]));
        for flow in &flows {
            assert_eq!(flow.wrong.get(), None);
        }
        assert!(goodput.iter().all(|goodput| *goodput >= pick(800.0, 850.0)), "{controller}: {goodput:?}");
    }
}
