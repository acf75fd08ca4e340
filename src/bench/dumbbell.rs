//! Many flows through one bottleneck: on each side as many hosts as there are flows, each on a link of 10 Gbit/s and
//! 0.1 ms to its router; between the two routers 1 Gbit/s, 5 ms, and a queue of 1,000 packets. A packet takes three hops
//! and is counted on each of them. The flows begin within the first tenth of a second, at random times.

use std::net::SocketAddr;

use super::flow::{FlowAccount, FlowSettings, receive, send};
use super::measure::Stopwatch;
use super::{BenchError, Measured, finish};
use crate::rng::Rng;
use crate::sim::{HostHandle, LinkHandle, Sim};
use crate::time::{Duration, Instant};

const ACCESS: &str = "rate=10Gbit,delay=100us,limit=10000";
const BOTTLENECK: &str = "rate=1Gbit,delay=5ms,limit=1000";
/// All flows have begun by then.
const BEGINNINGS: Duration = Duration::from_millis(100);

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    /// Flows: pairs of hosts.
    pub count: usize,
    /// Virtual seconds.
    pub seconds: u64,
    /// Buffers, controller, capture.
    pub flows: FlowSettings,
}

/// A host on one side, with its link to the router of that side.
fn join(sim: &Sim, side: &str, n: usize, flows: &FlowSettings) -> (HostHandle, LinkHandle) {
    let network = if side == "left" { 10 } else { 11 };
    let address = format!("{network}.{}.{}.1/24", n / 256, n % 256);
    let host = sim.host_with(&format!("{side}{n}"), &address, |config| flows.apply(config));
    let link = sim.link(&host, format!("{side}-router"), ACCESS);
    (host, link)
}

/// Runs it on tcplab.
pub(super) fn run(workload: &Workload) -> Result<Measured, BenchError> {
    let sim = Sim::seeded(workload.flows.seed);
    sim.limit_events(u64::MAX);
    sim.limit_time(Duration::MAX);
    let (left, right) = (sim.router("left-router"), sim.router("right-router"));
    let mut links = vec![sim.link(&left, &right, BOTTLENECK)];
    let account = FlowAccount::default();
    let mut rng = Rng::new(workload.flows.seed, "bench dumbbell");
    let mut senders = Vec::new();
    for n in 0..workload.count {
        let (sender, link) = join(&sim, "left", n, &workload.flows);
        let (receiver, other_link) = join(&sim, "right", n, &workload.flows);
        links.extend([link, other_link]);
        let addr = SocketAddr::new(receiver.address(), 5001);
        let bytes = account.clone();
        receiver.spawn_daemon(async move |net| receive(net, addr, bytes).await);
        let begins = Duration::from_nanos(rng.below(BEGINNINGS.as_nanos() as u64));
        sender.spawn_daemon(async move |net| {
            net.sleep(begins).await;
            send(net, addr, u64::MAX).await
        });
        senders.push(sender);
    }
    let capture = senders.first().map(|sender| workload.flows.record(&sim, sender.id())).transpose()?.flatten();
    let stopwatch = Stopwatch::start();
    sim.try_run_until(Instant::EPOCH + Duration::from_secs(workload.seconds))?;
    finish(capture)?;
    let taken = stopwatch.stop();
    let [mut frames, mut dropped, mut packets] = [0; 3];
    for (at, link) in links.iter().enumerate() {
        for end in link.ends() {
            let counters = link.counters(end);
            frames += counters.sent;
            dropped += counters.dropped;
            // What a host sent, not a router.
            if at > 0 && !end.ends_with("-router") {
                packets += counters.sent;
            }
        }
    }
    Ok(Measured {
        packets,
        frames,
        connections: workload.count as u64,
        hosts: 2 * workload.count as u64,
        buffer_kib: workload.flows.buffer as u64 / 1024,
        sim_s: workload.seconds as f64,
        taken,
        bytes: account.bytes(),
        retransmissions: senders.iter().map(|sender| sender.sys(|host| host.retransmissions())).sum(),
        dropped,
        ..Measured::default()
    })
}
