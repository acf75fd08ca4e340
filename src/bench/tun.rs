//! One connection between the userspace host and the kernel of this machine, over a TUN device in a sandbox: it
//! measures the goodput. The peer is a thread with a socket of the kernel; it counts bytes and time, the same for both
//! sides.
//!
//! The host listens. Its program reads and discards, or writes without end. The settings are those of `tcplab serve`.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream as KernelStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use super::measure::{Stopwatch, Taken};
use super::{BenchError, Measured};
use crate::congestion::Algorithm;
use crate::device::{InterfaceSettings, Tun};
use crate::link::LinkSchedule;
use crate::live::{self, Live, WakeReceiver, WakeSender};
use crate::net::{Net, TcpListener};
use crate::socket::HostConfig;
use crate::time::Duration;

/// The name of the device.
const NAME: &str = "tcplab0";
/// The userspace host.
pub(super) const HOST: [u8; 4] = [192, 168, 69, 1];
const KERNEL: [u8; 4] = [192, 168, 69, 2];
pub(super) const PREFIX: u8 = 24;
/// Where the host listens.
pub(super) const PORT: u16 = 5001;
pub(super) const MTU: usize = 1500;
/// Bytes of each buffer, as of `tcplab serve`.
const BUFFER: usize = 256 * 1024;
/// Bytes of one call of our program.
const CHUNK: usize = 64 * 1024;
/// And of one call of the kernel's.
const KERNEL_CHUNK: usize = 1_000_000;
/// Packets that the kernel keeps for us, as of `tcplab serve`.
const QUEUE_LEN: u32 = 10_000;

/// The direction of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowDirection {
    /// The userspace host receives.
    Receive,
    /// The userspace host sends.
    Send,
}

impl FlowDirection {
    /// The name in the output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Send => "send",
        }
    }
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    /// Which way.
    pub direction: FlowDirection,
    /// How long.
    pub length: Duration,
    /// The controller of the userspace host.
    pub congestion: Algorithm,
}

/// Gives this process a network namespace of its own; no thread may have been started.
///
/// # Errors
/// Why the namespace was refused.
pub(crate) fn prepare() -> Result<(), BenchError> {
    Ok(live::enter()?)
}

/// A device with the kernel's address.
pub(super) fn device() -> Result<Tun, BenchError> {
    let tun = Tun::open(NAME)?;
    let addresses = vec![(IpAddr::from(KERNEL), PREFIX)];
    live::set_up(tun.name(), &InterfaceSettings { addresses, mtu: MTU, queue_len: Some(QUEUE_LEN) })?;
    Ok(tun)
}

/// The kernel's end of the connection, on a thread.
pub(super) struct Peer {
    done: Arc<AtomicBool>,
    thread: thread::JoinHandle<io::Result<FlowResult>>,
}

/// What went through.
struct FlowResult {
    bytes: u64,
    taken: Taken,
}

impl Peer {
    /// Connects and goes on for the length of the run. `waker` wakes the loop at the end.
    pub(super) fn start(workload: &Workload, waker: Option<WakeSender>) -> io::Result<Self> {
        let done = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&done);
        let (direction, length) = (workload.direction, workload.length);
        let thread = thread::Builder::new().name("the kernel's end".to_owned()).spawn(move || {
            let result = carry(direction, length);
            theirs.store(true, Ordering::SeqCst);
            if let Some(waker) = waker {
                waker.wake();
            }
            result
        })?;
        Ok(Self { done, thread })
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }

    /// The figures of a run in which the host moved so many packets.
    pub(super) fn finish(self, packets: u64, buffer: usize) -> Result<Measured, BenchError> {
        let carried = self.thread.join().map_err(|_| io::Error::other("the kernel's end panicked"))??;
        Ok(Measured {
            packets,
            frames: packets,
            connections: 1,
            hosts: 2,
            buffer_kib: buffer as u64 / 1024,
            taken: carried.taken,
            bytes: carried.bytes,
            ..Measured::default()
        })
    }
}

fn carry(direction: FlowDirection, length: Duration) -> io::Result<FlowResult> {
    let host = SocketAddr::from((HOST, PORT));
    let mut stream = KernelStream::connect_timeout(&host, Duration::from_secs(10))?;
    // A connection that makes no progress for this time is broken.
    let patience = Some(length + Duration::from_secs(10));
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(patience)?;
    let mut buffer = vec![0; KERNEL_CHUNK];
    let mut bytes = 0;
    let stopwatch = Stopwatch::start();
    let began = Instant::now();
    while began.elapsed() < length {
        let count = match direction {
            FlowDirection::Receive => stream.write(&buffer)?,
            FlowDirection::Send => stream.read(&mut buffer)?,
        };
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the host ended the connection"));
        }
        bytes += count as u64;
    }
    Ok(FlowResult { bytes, taken: stopwatch.stop() })
}

async fn serve(net: Net, direction: FlowDirection) -> io::Result<()> {
    let listener = TcpListener::bind(&net, SocketAddr::from((HOST, PORT)))?;
    let (stream, _) = listener.accept().await?;
    let mut chunk = vec![7; CHUNK];
    loop {
        let count = match direction {
            FlowDirection::Receive => stream.read(&mut chunk).await?,
            FlowDirection::Send => stream.write(&chunk).await?,
        };
        if count == 0 {
            return Ok(());
        }
    }
}

/// Runs it on tcplab.
pub(super) fn run(workload: &Workload) -> Result<Measured, BenchError> {
    let config = HostConfig {
        addresses: vec![(IpAddr::from(HOST), PREFIX)],
        mtu: MTU,
        rcv_buf: Some(BUFFER),
        snd_buf: Some(BUFFER),
        congestion: workload.congestion.clone(),
        ..HostConfig::default()
    };
    let mut live = Live::new(&config, device()?, [&LinkSchedule::default(); 2]);
    let net = live.net();
    let mut serving = net.spawn_named("bench", serve(net.clone(), workload.direction));
    live.turn()?;
    let wakes = WakeReceiver::new()?;
    let peer = Peer::start(workload, Some(wakes.sender()))?;
    while !peer.is_done() {
        let until = live.next_at();
        live.wait(until, &[wakes.descriptor()])?;
        live.turn()?;
        if let Some(Err(error)) = serving.try_take()
            && !peer.is_done()
        {
            return Err(error.into());
        }
    }
    Ok(Measured { retransmissions: net.host().retransmissions(), ..peer.finish(live.packets(), BUFFER)? })
}
