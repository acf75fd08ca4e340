//! Short connections: connect, 1 KB to the server, 10 KB back, close by the client, TIME-WAIT at the client. P of them
//! at a time, each by an async task that begins the next when one is over. Buffers of 64 KiB.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::measure::Stopwatch;
use super::{BenchError, Measured, PORTS_EACH, two_hosts};
use crate::net::{Net, TcpListener, TcpStream};
use crate::time::Duration;

/// Bytes that the client sends.
pub(super) const REQUEST: usize = 1_000;
/// Bytes that the server sends back.
pub(super) const RESPONSE: usize = 10_000;
/// Bytes of each buffer of a connection.
pub(super) const BUFFER: usize = 64 * 1024;
const LINK: &str = "delay=1ms";

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// Connections in all.
    pub count: usize,
    /// Connections at a time.
    pub parallel: usize,
    /// How long TIME-WAIT lasts.
    pub time_wait: Duration,
}

async fn serve(net: Net, addr: SocketAddr, backlog: usize) -> io::Result<()> {
    let listener = TcpListener::bind_with_backlog(&net, addr, backlog)?;
    loop {
        let (stream, _) = listener.accept().await?;
        net.spawn_named("server", async move {
            let _ = respond(stream).await;
        });
    }
}

async fn respond(stream: TcpStream) -> io::Result<()> {
    let mut request = [0; REQUEST];
    stream.read_exact(&mut request).await?;
    stream.write_all(&[7; RESPONSE]).await?;
    stream.read(&mut request).await?;
    Ok(())
}

async fn request(net: &Net, addr: SocketAddr, buf: &mut [u8]) -> io::Result<()> {
    let stream = TcpStream::connect(net, addr).await?;
    stream.write_all(&[7; REQUEST]).await?;
    stream.read_exact(&mut buf[..RESPONSE]).await
}

async fn work(net: Net, server: IpAddr, next: Rc<Cell<usize>>, workload: Workload) -> io::Result<()> {
    let mut buf = vec![0; RESPONSE];
    while next.get() < workload.count {
        let n = next.replace(next.get() + 1);
        // As many ports of the server as make the client's suffice, in turn.
        let port = 1024 + n % workload.count.div_ceil(PORTS_EACH);
        request(&net, SocketAddr::new(server, port as u16), &mut buf).await?;
    }
    Ok(())
}

/// Runs it on tcplab.
pub(super) fn run(workload: &Workload) -> Result<Measured, BenchError> {
    let workload = *workload;
    let hosts = two_hosts(1, LINK, |config| {
        // As bare smoltcp, which has no quick ACKs.
        (config.time_wait, config.quick_acks) = (workload.time_wait, 0);
    });
    let server = hosts.server.address();
    for n in 0..workload.count.div_ceil(PORTS_EACH) {
        let (addr, backlog) = (SocketAddr::new(server, 1024 + n as u16), workload.parallel.max(128));
        hosts.server.spawn_daemon(async move |net| serve(net, addr, backlog).await);
    }
    let next = Rc::new(Cell::new(0));
    let stopwatch = Stopwatch::start();
    hosts.run(async move |net| {
        let start = |_| net.spawn_named("client", work(net.clone(), server, Rc::clone(&next), workload));
        let clients: Vec<_> = (0..workload.parallel.min(workload.count)).map(start).collect();
        for client in clients {
            client.await?;
        }
        Ok(())
    })?;
    let taken = stopwatch.stop();
    let counters = hosts.counters();
    Ok(Measured {
        packets: counters.sent,
        frames: counters.sent,
        connections: workload.count as u64,
        hosts: 2,
        buffer_kib: BUFFER as u64 / 1024,
        sim_s: hosts.sim.now().as_secs_f64(),
        taken,
        bytes: (workload.count * (REQUEST + RESPONSE)) as u64,
        retransmissions: hosts.retransmissions(),
        dropped: counters.dropped,
        ..Measured::default()
    })
}
