//! The near end: it accepts the clients, and connects over the middle for each of them.

use std::io;
use std::net::SocketAddr;

use socket2::Socket;

use super::end::{Common, Connection, Owner};
use super::kernel;
use super::poll::{Key, Watched};
use super::relay::{Relay, Side};
use super::udp::NearDatagrams;
use crate::socket::{Domain, Errno, Fd, Type};
use crate::time::{Duration, Instant};

/// Connections that are accepted before other work is done.
const BATCH: usize = 64;
/// How long accepting pauses when no file descriptor is free.
const PAUSE: Duration = Duration::from_millis(100);

/// The host of the clients.
pub(super) struct Near {
    pub(super) common: Common,
    listeners: Vec<Listener>,
    /// Its addresses, and which of them is in use.
    sources: Vec<SocketAddr>,
    source: usize,
    pub(super) datagrams: NearDatagrams,
    /// Accepting goes on at this instant.
    resumes_at: Option<Instant>,
}

/// A listening socket of the kernel.
struct Listener {
    socket: Watched<Socket>,
    /// The address of the far host for this pair.
    to: SocketAddr,
}

impl Near {
    pub(super) fn new(common: Common, sources: Vec<SocketAddr>) -> Self {
        Self { common, listeners: Vec::new(), sources, source: 0, datagrams: NearDatagrams::new(), resumes_at: None }
    }

    /// Accepts at `socket` from now on.
    pub(super) fn listen(&mut self, socket: Socket, to: SocketAddr) -> io::Result<()> {
        let socket = Watched::readable(socket, &self.common.poller, Key::Listener(self.listeners.len()))?;
        self.listeners.push(Listener { socket, to });
        Ok(())
    }

    /// The addresses that clients connect to.
    pub(super) fn addresses(&self) -> impl Iterator<Item = String> {
        let address = |listener: &Listener| listener.socket.local_addr().map(|address| kernel::shown(&address));
        self.listeners
            .iter()
            .map(move |listener| address(listener).unwrap_or_default())
            .chain(self.datagrams.addresses())
    }

    /// Accepts clients of a pair. `reserve` makes sure that the far end has a socket for each.
    pub(super) fn accept(&mut self, now: Instant, pair: usize, mut reserve: impl FnMut() -> io::Result<()>) {
        for _ in 0..BATCH {
            let Some(listener) = self.listeners.get(pair) else { return };
            let accepted = reserve().and_then(|()| listener.socket.accept());
            match accepted.and_then(|(socket, _)| kernel::set_options(&socket).map(|()| socket)) {
                Ok(socket) => self.connect(pair, socket),
                Err(error) if kernel::would_block(&error) => break,
                Err(error) if may_go_on(&error) => {}
                Err(_) => return self.pause(now),
            }
        }
        if let Some(listener) = self.listeners.get(pair) {
            listener.socket.ask_again(true, false);
        }
    }

    /// No file descriptor is free, or no memory: clients wait in the backlog of the kernel.
    fn pause(&mut self, now: Instant) {
        self.common.counts.paused += 1;
        self.resumes_at = Some(now + PAUSE);
        for listener in &self.listeners {
            let _ = listener.socket.listen(false);
        }
    }

    /// Begins the connection of a client.
    fn connect(&mut self, pair: usize, socket: Socket) {
        self.common.counts.opened += 1;
        let slot = self.common.connections.next();
        let Ok(socket) = Watched::changes(socket, &self.common.poller, Key::Near(slot)) else { return };
        let relay = Relay::new(socket);
        // No port is free, or no memory.
        let Ok(stream) = self.open(self.listeners[pair].to) else {
            self.common.counts.reset += 1;
            relay.reset();
            return;
        };
        let from = self.common.host.getsockname(stream).unwrap_or(self.sources[0]);
        let connection = Connection { relay, stream: Some(stream), name: (from, pair), is_reset: false };
        self.common.connections.insert(connection);
        self.common.names.insert((from, pair), slot);
        self.common.own(stream, Owner::Connection(slot));
    }

    /// Sends a SYN. When an address of this host has no free port for the target, the next one is taken from then on. Until
    /// it is its turn again, what was in TIME-WAIT there has ended.
    fn open(&mut self, to: SocketAddr) -> Result<Fd, Errno> {
        let host = &mut self.common.host;
        for _ in 0..self.sources.len() {
            let source = self.sources[self.source];
            let stream = host.socket(Domain::of(&to), Type::Stream)?;
            let bound =
                if source.is_ipv4() == to.is_ipv4() { host.bind(stream, source) } else { Err(Errno::EADDRINUSE) };
            match bound.and_then(|()| host.connect(stream, to)) {
                Ok(()) | Err(Errno::EINPROGRESS) => return Ok(stream),
                Err(error) => {
                    let _ = host.close(stream);
                    if !matches!(error, Errno::EADDRNOTAVAIL | Errno::EADDRINUSE) {
                        return Err(error);
                    }
                }
            }
            self.source = (self.source + 1) % self.sources.len();
        }
        Err(Errno::EADDRNOTAVAIL)
    }

    pub(super) fn run(&mut self, now: Instant) {
        while let Some(fd) = self.common.host.poll_ready() {
            match self.common.owner(fd) {
                Owner::Connection(slot) => self.common.wake(slot),
                Owner::Flow(slot) => self.datagrams.deliver(now, &mut self.common, slot),
                Owner::Listener(_) | Owner::Datagrams(_) | Owner::Nobody => {}
            }
        }
        for _ in 0..self.common.ready() {
            let Some(slot) = self.common.next_ready() else { break };
            self.common.step(slot);
        }
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        Instant::earliest([self.resumes_at, self.datagrams.next_at()])
    }

    /// Goes on accepting after a pause, and ends what was idle for too long.
    pub(super) fn resume(&mut self, now: Instant) {
        self.datagrams.expire(now, &mut self.common);
        if self.resumes_at.is_some_and(|at| at <= now) {
            self.resumes_at = None;
            for listener in &self.listeners {
                let _ = listener.socket.listen(true);
            }
        }
    }

    /// Takes no more clients.
    pub(super) fn stop_listening(&mut self) {
        self.listeners.clear();
        self.datagrams.stop();
    }

    /// Resets every connection.
    pub(super) fn reset_all(&mut self) {
        for slot in self.common.connections.numbers() {
            self.common.fail(slot, Side::Kernel);
        }
    }
}

/// An error of one connection, which says nothing about the next one.
fn may_go_on(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionReset
    )
}
