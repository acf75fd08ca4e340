//! The control interface: HTTP and JSON over a socket of the machine, to look at links and to change them while something
//! runs. `serve`, `proxy` and `wire` open it with `--control`.
//!
//! ```text
//!   socket --> Control: accept, read, write; never waits --> request: HTTP --> answer: routes, JSON --> Controlled
//! ```
//!
//! The owner of the loop waits on [`Control::descriptors`] and until [`Control::next_at`], and calls [`Control::turn`].
//! There is no thread. A client has a bounded time, a request a bounded size, and clients a bounded number. What the
//! requests act on is a [`Controlled`]. docs/control.md describes the interface.

mod address;
mod answer;
mod client;
mod request;

#[cfg(test)]
mod tests;

pub use address::{ControlAddress, OpenError};
pub use answer::{Hosts, Response, answer};

use core::net::SocketAddr;
use std::io;

use crate::event::State;
use crate::link::{Counters, LinkItems};
use crate::time::{Duration, Instant};
use address::Listener;
use client::Client;

/// What a control interface acts on.
pub trait Controlled {
    /// The directions of its links, in order. Their names are `A>B`, each once.
    fn links(&mut self) -> Vec<LinkState>;

    /// Lays items over the direction with this number in [`Controlled::links`], for packets that enter from now on.
    ///
    /// # Errors
    /// Why that cannot be.
    fn set_link(&mut self, direction: usize, items: &LinkItems) -> Result<(), String>;

    /// Takes the direction with this number down, or up again.
    fn set_link_up(&mut self, direction: usize, up: bool);

    /// The connections of the userspace host, at most `most`. None by default.
    fn connections(&mut self, most: usize) -> Vec<ConnectionState> {
        let _ = most;
        Vec::new()
    }

    /// Resets a connection of the userspace host: both ends see a reset. False if there is no such connection.
    fn reset(&mut self, local: SocketAddr, remote: SocketAddr) -> bool {
        let _ = (local, remote);
        false
    }
}

/// One direction of a link, as the interface shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkState {
    /// `A>B`.
    pub name: String,
    /// What it does, as a link line.
    pub line: String,
    /// False while it was taken down.
    pub up: bool,
    /// Its packets.
    pub counters: Counters,
    /// Packets and bytes that wait in its queue or are in transmission.
    pub queued: (u64, u64),
}

impl LinkState {
    /// What a link shows at this instant.
    #[cfg(any(feature = "proxy", all(feature = "live", target_os = "linux")))]
    pub(crate) fn of(link: &mut crate::link::Link, now: Instant) -> Self {
        let (name, line) = (link.name().to_owned(), link.spec().to_string());
        Self { name, line, up: link.is_up(), counters: link.counters(), queued: link.queued(now) }
    }
}

/// A connection, as the interface shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionState {
    /// The end of the userspace host.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// The state of the userspace host's end.
    pub state: State,
}

/// The most clients at a time. Further ones wait.
pub const MOST_CLIENTS: usize = 8;
/// How long a client may take from its connection to the end of the answer.
pub const CLIENT_TIME: Duration = Duration::from_secs(5);
/// When a client that does not take its answer is tried again.
const AGAIN: Duration = Duration::from_millis(10);

/// The socket of a control interface and its clients.
#[derive(Debug)]
pub struct Control {
    listener: Listener,
    hosts: Hosts,
    clients: Vec<Client>,
    /// The socket could not accept, and is not looked at until then.
    pause: Option<Instant>,
}

impl Control {
    /// Opens the socket. `anywhere` allows an address that other machines can reach.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(address: &ControlAddress, anywhere: bool) -> Result<Self, OpenError> {
        let (listener, hosts) = Listener::open(address, anywhere)?;
        Ok(Self { listener, hosts, clients: Vec::new(), pause: None })
    }

    /// Where it listens, as `--control` takes it: `127.0.0.1:PORT` with the port that it has, or `unix:PATH` with an
    /// absolute path.
    pub fn address(&self) -> &str {
        self.listener.name()
    }

    /// What to wait on: each becomes readable when [`Control::turn`] has something to do.
    #[cfg(unix)]
    pub fn descriptors(&self) -> impl Iterator<Item = std::os::fd::BorrowedFd<'_>> {
        let listener = (self.clients.len() < MOST_CLIENTS && self.pause.is_none()).then(|| self.listener.descriptor());
        listener.into_iter().chain(self.clients.iter().filter_map(Client::descriptor))
    }

    /// When to call [`Control::turn`] at the latest.
    pub fn next_at(&self) -> Option<Instant> {
        self.clients.iter().map(Client::next_at).chain(self.pause).min()
    }

    /// Accepts, reads, answers and writes, as far as that goes without waiting. True if a request was answered: the owner
    /// then makes a turn, so that a reset goes out.
    pub fn turn(&mut self, now: Instant, controlled: &mut dyn Controlled) -> bool {
        let mut answered = false;
        self.pause = self.pause.filter(|until| now < *until);
        while self.pause.is_none() && self.clients.len() < MOST_CLIENTS {
            match self.listener.accept() {
                Ok(stream) => self.clients.push(Client::new(stream, now + CLIENT_TIME)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) => {
                }
                // No descriptor is free, for example.
                Err(_) => self.pause = Some(now + AGAIN * 10),
            }
        }
        for client in &mut self.clients {
            answered |= client.turn(now, self.hosts, controlled);
        }
        self.clients.retain(|client| !client.is_done());
        answered
    }
}
