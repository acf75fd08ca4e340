//! One connection that carries many megabytes from the client to the server, over 1 Gbit/s with 1 ms of delay and a
//! queue of 1,000 packets.

use std::net::SocketAddr;

use super::flow::{FlowAccount, FlowSettings, receive, send};
use super::measure::Stopwatch;
use super::{BenchError, Measured, finish, two_hosts};

/// Bytes of one call of a program of the reference.
pub(super) const CHUNK: usize = 16 * 1024;
/// Bits per second of the link.
pub(super) const RATE: u64 = 1_000_000_000;
/// Nanoseconds from one end of the link to the other.
pub(super) const DELAY: u64 = 1_000_000;
/// Packets that wait for the link at most.
pub(super) const LIMIT: usize = 1_000;
const LINK: &str = "rate=1Gbit,delay=1ms,limit=1000";

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    /// Megabytes to carry.
    pub megabytes: u64,
    /// Buffers, controller, capture.
    pub flows: FlowSettings,
}

impl Workload {
    /// Bytes to carry.
    pub(super) fn bytes(&self) -> u64 {
        self.megabytes * 1_000_000
    }
}

/// Runs it on tcplab.
pub(super) fn run(workload: &Workload) -> Result<Measured, BenchError> {
    let hosts = two_hosts(workload.flows.seed, LINK, |config| workload.flows.apply(config));
    let capture = workload.flows.record(&hosts.sim, hosts.client.id())?;
    let addr = SocketAddr::new(hosts.server.address(), 5001);
    let account = FlowAccount::default();
    let receiver = account.clone();
    hosts.server.spawn_daemon(async move |net| receive(net, addr, receiver).await);
    let (stopwatch, bytes) = (Stopwatch::start(), workload.bytes());
    hosts.run(async move |net| send(net, addr, bytes).await)?;
    finish(capture)?;
    let taken = stopwatch.stop();
    let counters = hosts.counters();
    Ok(Measured {
        packets: counters.sent,
        frames: counters.sent,
        connections: 1,
        hosts: 2,
        buffer_kib: workload.flows.buffer as u64 / 1024,
        sim_s: (account.last() - crate::time::Instant::EPOCH).as_secs_f64(),
        taken,
        bytes: account.bytes(),
        retransmissions: hosts.retransmissions(),
        dropped: counters.dropped,
        ..Measured::default()
    })
}
