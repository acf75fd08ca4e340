//! A server and a client on one link in virtual time, for tests of programs.

#![allow(dead_code, reason = "each test binary compiles this module anew and uses its own part of it")]

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use tcplab::event::{Event, Observer};
use tcplab::net::Net;
use tcplab::sim::{HostHandle, LinkHandle, Sim};
use tcplab::time::{Duration, Instant};

/// Two hosts, each with an IPv4 and an IPv6 address, and the link between them.
pub(crate) struct Lab {
    pub(crate) sim: Sim,
    pub(crate) server: HostHandle,
    pub(crate) client: HostHandle,
    pub(crate) link: LinkHandle,
}

/// A lab whose luck follows from `seed` and whose link is `line`.
pub(crate) fn lab(seed: u64, line: &str) -> Lab {
    let sim = Sim::seeded(seed);
    let server = sim.host("server", "192.168.69.1/24, fd69::1/64");
    let client = sim.host("client", "192.168.69.2/24, fd69::2/64");
    let link = sim.link(&client, &server, line);
    Lab { sim, server, client, link }
}

impl Lab {
    /// A port of the server, IPv4.
    pub(crate) fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.server.address(), port)
    }

    /// A port of the server, IPv6.
    pub(crate) fn at_v6(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.server.addresses()[1].0, port)
    }

    /// The client's two addresses.
    pub(crate) fn client_ips(&self) -> [IpAddr; 2] {
        [0, 1].map(|at: usize| self.client.addresses()[at].0)
    }

    /// Runs a program on the client until it has ended; gives its value. What was begun before goes on meanwhile.
    #[track_caller]
    pub(crate) fn run<T: 'static>(&self, program: impl AsyncFnOnce(Net) -> T + 'static) -> T {
        let mut handle = self.client.spawn(program);
        self.sim.run_until(|| handle.is_finished());
        handle.try_take().expect("it has ended")
    }

    /// Runs as [`Lab::run`] and says how much virtual time it took.
    #[track_caller]
    pub(crate) fn timed<T: 'static>(&self, program: impl AsyncFnOnce(Net) -> T + 'static) -> (T, Duration) {
        let begin = self.sim.now();
        let value = self.run(program);
        (value, self.sim.now().since(begin))
    }
}

/// What programs note, in order. Clones are the same log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}

/// Every event as a line of text.
#[derive(Debug, Default)]
pub(crate) struct EventLog(pub(crate) Vec<String>);

impl Observer for EventLog {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        self.0.push(format!("{at} {event:?}"));
    }
}

/// `len` bytes that no shift leaves the same.
pub(crate) fn octets(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8 ^ (at / 251 % 256) as u8).collect()
}
