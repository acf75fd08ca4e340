//! One connection that carries many MiB from the client to the server, buffers of 64 KiB.

use std::io;
use std::net::SocketAddr;

use super::measure::Stopwatch;
use super::{BenchError, Figures, two_hosts};
use crate::net::{Net, TcpListener, TcpStream};

/// Octets of each buffer of the connection.
pub(super) const BUFFER: usize = 64 * 1024;
/// Octets of one call of a program.
pub(super) const CHUNK: usize = 16 * 1024;
const LINK: &str = "delay=50us";

async fn receive(net: Net, addr: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(&net, addr)?;
    let (stream, _) = listener.accept().await?;
    let mut buf = vec![0; CHUNK];
    while stream.read(&mut buf).await? > 0 {}
    Ok(())
}

async fn send(net: Net, addr: SocketAddr, mut left: usize) -> io::Result<()> {
    let stream = TcpStream::connect(&net, addr).await?;
    let chunk = vec![7; CHUNK];
    while left > 0 {
        left -= stream.write(&chunk[..left.min(CHUNK)]).await?;
    }
    stream.shutdown_write()?;
    // The end of the server's direction: everything has been read.
    stream.read(&mut [0; 1]).await?;
    Ok(())
}

/// Runs it on tcplab.
pub(super) fn run(mib: usize) -> Result<Figures, BenchError> {
    let hosts = two_hosts(LINK, |config| (config.rcv_buf, config.snd_buf) = (BUFFER, BUFFER));
    let addr = SocketAddr::new(hosts.server.address(), 5001);
    hosts.server.spawn_daemon(async move |net| receive(net, addr).await);
    let stopwatch = Stopwatch::start();
    hosts.run(async move |net| send(net, addr, mib << 20).await)?;
    let taken = stopwatch.stop();
    let counters = hosts.counters();
    Ok(Figures {
        packets: counters.sent,
        frames: counters.sent,
        connections: 1,
        buffer_kib: BUFFER as u64 / 1024,
        sim_s: hosts.sim.now().as_secs_f64(),
        taken,
        octets: (mib << 20) as u64,
        retransmissions: hosts.retransmissions(),
        dropped: counters.dropped,
        ..Figures::default()
    })
}
