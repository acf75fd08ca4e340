//! One connection for some time over a path that loses one packet in a hundred: 100 Mbit/s, 50 ms there and back.
//! Congestion control limits the goodput, not the link. The result is compared with the formula of Mathis et al., "The
//! Macroscopic Behavior of the TCP Congestion Avoidance Algorithm" (1997).

use std::net::SocketAddr;

use super::flow::{FlowAccount, FlowSettings, receive, send};
use super::measure::Stopwatch;
use super::{BenchError, Measured, finish, two_hosts};
use crate::time::{Duration, Instant};

/// Lossy towards the server only, as the error model of the ns-3 program.
const LINK: &str = "rate=100Mbit,delay=25ms,limit=1000";
const LOSSY: &str = "client>server:rate=100Mbit,delay=25ms,limit=1000,loss=1%";
const LOSS: f64 = 0.01;
const RTT: f64 = 0.05;
const MSS: f64 = 1460.0;
/// Segments that one ACK stands for.
const ACKED: f64 = 2.0;

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    /// Virtual seconds.
    pub seconds: u64,
    /// Buffers, controller, capture.
    pub flows: FlowSettings,
}

/// Bits per second that the formula gives this path: MSS / RTT × √(3 / 2bp), with b segments for each ACK.
pub(super) fn mathis() -> f64 {
    MSS * 8.0 / RTT * libm::sqrt(3.0 / (2.0 * ACKED * LOSS))
}

/// Runs it on tcplab.
pub(super) fn run(workload: &Workload) -> Result<Measured, BenchError> {
    let hosts = two_hosts(workload.flows.seed, LINK, |config| workload.flows.apply(config));
    hosts.sim.link(&hosts.client, &hosts.server, LOSSY);
    let capture = workload.flows.record(&hosts.sim, hosts.client.id())?;
    let addr = SocketAddr::new(hosts.server.address(), 5001);
    let account = FlowAccount::default();
    let receiver = account.clone();
    hosts.server.spawn_daemon(async move |net| receive(net, addr, receiver).await);
    hosts.client.spawn_daemon(async move |net| send(net, addr, u64::MAX).await);
    let stopwatch = Stopwatch::start();
    hosts.sim.try_run_until(Instant::EPOCH + Duration::from_secs(workload.seconds))?;
    finish(capture)?;
    let taken = stopwatch.stop();
    let counters = hosts.counters();
    Ok(Measured {
        packets: counters.sent,
        frames: counters.sent,
        connections: 1,
        hosts: 2,
        buffer_kib: workload.flows.buffer as u64 / 1024,
        sim_s: workload.seconds as f64,
        taken,
        bytes: account.bytes(),
        retransmissions: hosts.retransmissions(),
        dropped: counters.dropped,
        ..Measured::default()
    })
}
