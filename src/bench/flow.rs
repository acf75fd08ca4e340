//! One-way flows: a client that writes, a server that reads and counts. What `bulk`, `loss` and `dumbbell` have in
//! common, with the settings that they share with the ns-3 program for the same scenarios: MSS 1460 without timestamps, an
//! ACK for every other segment, buffers that never are the bottleneck.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use super::BenchError;
use crate::capture::{Capture, Settings};
use crate::congestion::Algorithm;
use crate::event::HostId;
use crate::net::{Net, TcpListener, TcpStream};
use crate::sim::Sim;
use crate::socket::HostConfig;
use crate::time::{Duration, Instant};

/// Bytes of one call of a program.
const CHUNK: usize = 16 * 1024;
/// What every sender writes: one for all of them, so that many senders measure the host and not their own memory.
static BYTES: [u8; CHUNK] = [7; CHUNK];
/// How long a receiver may hold an ACK back.
pub(super) const ACK_DELAY: Duration = Duration::from_millis(200);

/// What the flows of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct FlowSettings {
    /// Bytes of each socket buffer.
    pub buffer: usize,
    /// The controller of every host.
    pub congestion: Algorithm,
    /// The random seed.
    pub seed: u64,
    /// A capture of the first host that sends.
    pub capture: Option<FlowCapture>,
}

/// Where a run is captured to.
#[derive(Clone, Debug)]
pub(crate) struct FlowCapture {
    /// The file.
    pub path: PathBuf,
    /// At most so many bytes of each packet; 0 for all.
    pub snaplen: u32,
}

impl FlowSettings {
    /// The settings of a host.
    pub(super) fn apply(&self, config: &mut HostConfig) {
        (config.rcv_buf, config.snd_buf) = (Some(self.buffer), Some(self.buffer));
        config.congestion = self.congestion.clone();
        config.timestamps = false;
        config.ack_delay = Some(ACK_DELAY);
    }

    /// Begins the capture, if one is wanted.
    pub(super) fn record(&self, sim: &Sim, at: HostId) -> Result<Option<Rc<RefCell<Capture>>>, BenchError> {
        let Some(FlowCapture { path, snaplen }) = &self.capture else { return Ok(None) };
        let capture = Settings::default().at(at).snaplen(*snaplen).create(path)?;
        Ok(Some(sim.observe(capture)))
    }
}

/// What a receiver has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowAccount {
    bytes: Rc<Cell<u64>>,
    last: Rc<Cell<Instant>>,
}

impl FlowAccount {
    /// Bytes that arrived.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// When the last of them did.
    pub(super) fn last(&self) -> Instant {
        self.last.get()
    }
}

/// Accepts one connection and reads it to its end.
pub(super) async fn receive(net: Net, addr: SocketAddr, account: FlowAccount) -> io::Result<()> {
    let listener = TcpListener::bind(&net, addr)?;
    let (stream, _) = listener.accept().await?;
    let mut buf = vec![0; CHUNK];
    loop {
        let count = stream.read(&mut buf).await?;
        if count == 0 {
            return Ok(());
        }
        account.bytes.set(account.bytes.get() + count as u64);
        account.last.set(net.now());
    }
}

/// Connects, writes so many bytes, and waits until the receiver has closed.
pub(super) async fn send(net: Net, addr: SocketAddr, mut left: u64) -> io::Result<()> {
    let stream = TcpStream::connect(&net, addr).await?;
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        left -= stream.write(&BYTES[..len]).await? as u64;
    }
    stream.shutdown_write()?;
    // The end of the server's direction: everything has been read.
    stream.read(&mut [0; 1]).await?;
    Ok(())
}
