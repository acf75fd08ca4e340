//! Messages on established connections: it measures the cost of a packet when there are many connections.
//!
//! N connections between two hosts, buffers of 4 KiB. Each is used once in full, so that all its memory is there. Then
//! one connection after the other, chosen at random, carries a message of one segment to the server and back: the
//! message, its echo, the ACK of the echo. The server has an async task for each connection, the client one task for
//! all, which rests 100 µs after each message.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::measure::{Stopwatch, resident_kib};
use super::{BenchError, Measured, PORTS_EACH, per_end, two_hosts};
use crate::net::{Net, TcpListener, TcpStream};
use crate::rng::Rng;
use crate::time::Duration;

/// Bytes of each buffer of a connection.
pub(super) const BUFFER: usize = 4096;
/// Bytes of a message.
pub(super) const MESSAGE: usize = 64;
const REST: Duration = Duration::from_micros(100);
const LINK: &str = "delay=50us";

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// Established connections.
    pub count: usize,
    /// Messages in the measured phase.
    pub messages: usize,
}

/// The connection that carries the next message.
pub(super) fn choose(rng: &mut Rng, count: usize) -> usize {
    if count == 1 { 0 } else { rng.below(count as u64) as usize }
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut buf = [0; 256];
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(()),
            count => stream.write_all(&buf[..count]).await?,
        }
    }
}

async fn serve(net: Net, addr: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(&net, addr)?;
    loop {
        let (stream, _) = listener.accept().await?;
        net.spawn_named("echo", async move {
            let _ = echo(stream).await;
        });
    }
}

async fn connect(net: Net, server: IpAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(count);
    let mut buf = [0; BUFFER];
    for n in 0..count {
        let stream = TcpStream::connect(&net, SocketAddr::new(server, 1024 + (n / PORTS_EACH) as u16)).await?;
        stream.write_all(&[0; BUFFER]).await?;
        stream.read_exact(&mut buf).await?;
        streams.push(stream);
    }
    Ok(streams)
}

async fn talk(net: Net, streams: Rc<[TcpStream]>, messages: usize) -> io::Result<()> {
    let mut rng = Rng::new(1, "bench connections");
    let mut buf = [0; MESSAGE];
    for _ in 0..messages {
        let stream = &streams[choose(&mut rng, streams.len())];
        stream.write_all(&[1; MESSAGE]).await?;
        stream.read_exact(&mut buf).await?;
        net.sleep(REST).await;
    }
    Ok(())
}

/// Runs it on tcplab.
pub(super) fn run(workload: &Workload) -> Result<Measured, BenchError> {
    let resident = resident_kib();
    let hosts = two_hosts(1, LINK, |config| {
        (config.rcv_buf, config.snd_buf, config.ack_delay) = (Some(BUFFER), Some(BUFFER), None);
    });
    let server = hosts.server.address();
    for n in 0..workload.count.div_ceil(PORTS_EACH) {
        let addr = SocketAddr::new(server, 1024 + n as u16);
        hosts.server.spawn_daemon(async move |net| serve(net, addr).await);
    }
    let count = workload.count;
    let streams = hosts.run(async move |net| connect(net, server, count).await)?;
    // The buffers are empty, and empty buffers hold no memory.
    let memory = per_end(resident, workload.count, 0);

    let streams: Rc<[TcpStream]> = streams.into();
    let (before, started) = (hosts.counters(), hosts.sim.now());
    let (talking, messages) = (Rc::clone(&streams), workload.messages);
    let stopwatch = Stopwatch::start();
    hosts.run(async move |net| talk(net, talking, messages).await)?;
    let taken = stopwatch.stop();
    let after = hosts.counters();
    let packets = after.sent - before.sent;
    Ok(Measured {
        packets,
        frames: packets,
        connections: workload.count as u64,
        hosts: 2,
        buffer_kib: BUFFER as u64 / 1024,
        sim_s: (hosts.sim.now() - started).as_secs_f64(),
        taken,
        bytes: (workload.messages * MESSAGE * 2) as u64,
        retransmissions: hosts.retransmissions(),
        dropped: after.dropped - before.dropped,
        bytes_per_end: memory,
        ..Measured::default()
    })
}
