//! Two hosts, a link, and connections that carry text in one direction.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tcplab::congestion::by_name;
use tcplab::net::{Net, TcpListener, TcpStream};
use tcplab::sim::{HostHandle, LinkHandle, Sim};
use tcplab::socket::TcpInfo;
use tcplab::time::{Duration, Instant};

use super::watch::Watch;

/// The text of one call.
const CHUNK: usize = 64 * 1024;

/// Two hosts and what happens between them.
pub(crate) struct Pair {
    pub(crate) sim: Sim,
    pub(crate) client: HostHandle,
    pub(crate) server: HostHandle,
    pub(crate) link: LinkHandle,
    pub(crate) watch: Rc<RefCell<Watch>>,
}

impl Pair {
    /// Hosts with default settings and this controller, and one link.
    pub(crate) fn new(seed: u64, controller: &str, link: &str) -> Self {
        Self::with(seed, controller, None, |sim, client, server| sim.link(client, server, link))
    }

    /// The same with a router `r` and a send buffer of 1 MiB, so that the queue of the first link does not overflow. The
    /// link in the end is the one between router and server.
    pub(crate) fn behind_a_router(seed: u64, controller: &str, client_link: &str, server_link: &str) -> Self {
        Self::with(seed, controller, Some(1 << 20), |sim, client, server| {
            let router = sim.router("r");
            sim.link(client, &router, client_link);
            sim.link(&router, server, server_link)
        })
    }

    fn with(
        seed: u64,
        controller: &str,
        snd_buf: Option<usize>,
        links: impl FnOnce(&Sim, &HostHandle, &HostHandle) -> LinkHandle,
    ) -> Self {
        let sim = Sim::seeded(seed);
        sim.limit_events(u64::MAX);
        let [client, server] = [("client", "192.0.2.2/24"), ("server", "198.51.100.1/24")].map(|(name, address)| {
            sim.host_with(name, address, |host| {
                host.congestion = by_name(controller).expect("a built-in controller");
                host.snd_buf = snd_buf;
            })
        });
        let link = links(&sim, &client, &server);
        let watch = sim.observe(Watch::default());
        Self { sim, client, server, link, watch }
    }
}

/// Starts a receiver on `to` and a sender on `from`, at an instant. Both run on.
pub(crate) fn start(from: &HostHandle, to: &HostHandle, port: u16, start: Duration, bytes: u64) -> Flow {
    let flow = Flow::default();
    let (at, received) = (SocketAddr::new(to.address(), port), flow.clone());
    to.spawn_daemon(async move |net| receive(&net, at, &received).await);
    let info = Rc::clone(&flow.info);
    from.spawn_daemon(async move |net| {
        net.sleep(start).await;
        send(&net, at, bytes, &info).await
    });
    flow
}

/// What one flow has done.
#[derive(Clone, Default)]
pub(crate) struct Flow {
    /// Bytes that the receiver has read.
    pub(crate) received: Rc<Cell<u64>>,
    /// When it read the last of them.
    pub(crate) last: Rc<Cell<Instant>>,
    /// The first byte that was not what the sender wrote.
    pub(crate) wrong: Rc<Cell<Option<u64>>>,
    /// `TCP_INFO` of the sender, taken at the last call.
    pub(crate) info: Rc<Cell<Option<TcpInfo>>>,
}

impl Flow {
    /// Mbit/s of text in a time.
    pub(crate) fn mbits(bytes: u64, time: Duration) -> f64 {
        bytes as f64 * 8.0 / time.as_secs_f64() / 1e6
    }
}

fn byte(at: u64) -> u8 {
    (at % 251) as u8
}

async fn receive(net: &Net, at: SocketAddr, flow: &Flow) -> io::Result<()> {
    let (stream, _) = TcpListener::bind(net, at)?.accept().await?;
    let mut buf = vec![0; CHUNK];
    loop {
        let count = stream.read(&mut buf).await?;
        if count == 0 {
            return Ok(());
        }
        let before = flow.received.get();
        // One byte of each read is compared: the property tests compare all.
        if buf[0] != byte(before) && flow.wrong.get().is_none() {
            flow.wrong.set(Some(before));
        }
        flow.received.set(before + count as u64);
        flow.last.set(net.now());
    }
}

async fn send(net: &Net, at: SocketAddr, bytes: u64, info: &Cell<Option<TcpInfo>>) -> io::Result<()> {
    let pattern: Vec<u8> = (0..(CHUNK + 251) as u64).map(byte).collect();
    let stream = TcpStream::connect(net, at).await?;
    let mut written = 0;
    while written < bytes {
        let from = (written % 251) as usize;
        let len = usize::try_from(bytes - written).unwrap_or(CHUNK).min(CHUNK);
        written += stream.write(&pattern[from..from + len]).await? as u64;
        info.set(net.host().tcp_info(stream.fd()?).ok());
    }
    stream.shutdown_write()?;
    stream.read(&mut [0; 1]).await?;
    Ok(())
}
