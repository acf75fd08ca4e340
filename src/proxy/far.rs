//! The far end: it connects to the targets. A SYN is held until the kernel's connect to the target has succeeded. Then it
//! is answered by a SYN|ACK, else by an RST, as the target itself would have done.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use socket2::{SockAddr, Socket};

use super::end::{Common, Connection, Owner};
use super::kernel;
use super::poll::{Key, Watched};
use super::relay::{Relay, Side};
use super::udp::FarDatagrams;
use crate::socket::{Domain, Errno, Fd, HeldSyn, Type};
use crate::time::{Duration, Instant};

/// How long the far end waits when no file descriptor is free or the backlog of a Unix socket is full.
const PAUSE: Duration = Duration::from_millis(20);
/// The backlog of its listeners. The listening sockets of the kernel limit how many connections wait.
const BACKLOG: usize = 1 << 20;

/// The host of the targets.
pub(super) struct Far {
    pub(super) common: Common,
    targets: Vec<Target>,
    /// What is known of connections that the near host does not know to be open yet, by slot.
    openings: Vec<Option<Opening>>,
    /// SYNs whose connect has to be tried again.
    waiting: VecDeque<Attempt>,
    resumes_at: Option<Instant>,
    pub(super) datagrams: FarDatagrams,
}

/// Where connections of a pair go.
struct Target {
    addresses: Vec<SockAddr>,
    listener: Fd,
    /// Sockets for clients that were accepted and whose SYNs have not come yet.
    reserved: Vec<Socket>,
    /// How many clients these are.
    expected: usize,
}

/// A connection that is being opened.
struct Opening {
    held: HeldSyn,
    /// Which address of the target is tried.
    address: usize,
    answered: bool,
}

/// A connect that is to be tried.
#[derive(Clone, Copy)]
struct Attempt {
    held: HeldSyn,
    from: SocketAddr,
    pair: usize,
    address: usize,
}

impl Far {
    pub(super) fn new(common: Common) -> Self {
        let (openings, waiting) = (Vec::new(), VecDeque::new());
        Self { common, targets: Vec::new(), openings, waiting, resumes_at: None, datagrams: FarDatagrams::new() }
    }

    /// Listens at `at` on the middle for connections that go to the first of `addresses` that takes them.
    pub(super) fn serve(&mut self, at: SocketAddr, addresses: Vec<SockAddr>) -> Result<(), Errno> {
        let host = &mut self.common.host;
        let listener = host.socket(Domain::of(&at), Type::Stream)?;
        host.bind(listener, at)?;
        host.listen(listener, BACKLOG)?;
        host.hold_syns(listener, true)?;
        self.common.own(listener, Owner::Listener(self.targets.len()));
        self.targets.push(Target { addresses, listener, reserved: Vec::new(), expected: 0 });
        Ok(())
    }

    /// Clients that were accepted and went before their SYN came are not expected any more: there are not more than `most`.
    pub(super) fn expect_at_most(&mut self, pair: usize, most: usize) {
        let target = &mut self.targets[pair];
        target.expected = target.expected.min(most);
        target.reserved.truncate(target.expected + 1);
    }

    /// Makes a socket for one more client, so that no client is accepted whose target cannot be asked.
    pub(super) fn reserve(&mut self, pair: usize) -> io::Result<()> {
        let target = &mut self.targets[pair];
        if target.reserved.len() <= target.expected {
            target.reserved.push(kernel::stream(&target.addresses[0])?);
        }
        target.expected += 1;
        Ok(())
    }

    /// Takes back [`Far::reserve`]: no client came.
    pub(super) fn unreserve(&mut self, pair: usize) {
        let expected = &mut self.targets[pair].expected;
        *expected = expected.saturating_sub(1);
    }

    pub(super) fn run(&mut self, now: Instant) {
        while let Some(fd) = self.common.host.poll_ready() {
            match self.common.owner(fd) {
                Owner::Connection(slot) => self.common.wake(slot),
                Owner::Listener(pair) => self.serve_listener(now, pair),
                Owner::Datagrams(pair) => self.datagrams.deliver(now, &mut self.common, pair),
                Owner::Flow(_) | Owner::Nobody => {}
            }
        }
        for _ in 0..self.common.ready() {
            let Some(slot) = self.common.next_ready() else { break };
            if self.openings.get(slot).is_some_and(Option::is_some) {
                self.check_opening(now, slot);
            } else {
                self.common.step(slot);
            }
        }
    }

    /// SYNs that have come, records that have gone, connections whose handshake is over.
    fn serve_listener(&mut self, now: Instant, pair: usize) {
        let listener = self.targets[pair].listener;
        while let Ok(Some((held, from))) = self.common.host.poll_gone_syn(listener) {
            self.waiting.retain(|attempt| attempt.held != held);
            let slot = self.common.names.get(&(from, pair)).copied();
            let is_it = |slot: &usize| self.opening(*slot).is_some_and(|opening| opening.held == held);
            if let Some(slot) = slot.filter(is_it) {
                self.openings[slot] = None;
                self.common.fail(slot, Side::Stream);
            }
        }
        while let Ok(Some((held, from))) = self.common.host.poll_held_syn(listener) {
            self.targets[pair].expected = self.targets[pair].expected.saturating_sub(1);
            self.attempt(now, Attempt { held, from, pair, address: 0 });
        }
        while let Ok((stream, from)) = self.common.host.accept(listener) {
            self.begin(pair, stream, from);
        }
    }

    fn opening(&self, slot: usize) -> Option<&Opening> {
        self.openings.get(slot)?.as_ref()
    }

    /// The handshake of a connection is over.
    fn begin(&mut self, pair: usize, stream: Fd, from: SocketAddr) {
        let slot = self.common.names.get(&(from, pair)).copied().filter(|slot| self.opening(*slot).is_some());
        let connection = slot.and_then(|slot| self.common.connections.get_mut(slot).map(|it| (slot, it)));
        let Some((slot, connection)) = connection else {
            // The target has reset the connection meanwhile.
            super::relay::reset_stream(&mut self.common.host, stream);
            self.common.resets.push_back((from, pair));
            return;
        };
        connection.stream = Some(stream);
        if connection.is_reset {
            super::relay::probe(&mut self.common.host, stream);
        }
        self.openings[slot] = None;
        self.common.own(stream, Owner::Connection(slot));
        self.common.wake(slot);
    }

    /// Begins to connect to a target.
    fn attempt(&mut self, now: Instant, attempt: Attempt) {
        let Attempt { held, from, pair, address } = attempt;
        let target = &mut self.targets[pair];
        let to = &target.addresses[address];
        let reserved = target.reserved.pop().filter(|_| address == 0);
        let Ok(socket) = reserved.map_or_else(|| kernel::stream(to), Ok) else { return self.later(now, attempt) };
        match socket.connect(to) {
            Ok(()) => {}
            // The backlog of a Unix socket is full.
            Err(error) if to.is_unix() && error.kind() == io::ErrorKind::WouldBlock => return self.later(now, attempt),
            Err(error) if kernel::would_block(&error) => {}
            Err(_) => return self.give_up(now, attempt),
        }
        let slot = self.common.connections.next();
        let Ok(socket) = Watched::changes(socket, &self.common.poller, Key::Far(slot)) else {
            return self.later(now, attempt);
        };
        let mut relay = Relay::new(socket);
        relay.await_connection();
        self.common.connections.insert(Connection { relay, stream: None, name: (from, pair), is_reset: false });
        self.common.names.insert((from, pair), slot);
        if slot >= self.openings.len() {
            self.openings.resize_with(slot + 1, || None);
        }
        self.openings[slot] = Some(Opening { held, address, answered: false });
        self.common.counts.opened += 1;
    }

    /// What the kernel says of a connection that is being opened.
    fn check_opening(&mut self, now: Instant, slot: usize) {
        let Some(Opening { held, address, answered }) = self.opening(slot).map(|it| Opening { ..*it }) else { return };
        let Some(connection) = self.common.connections.get_mut(slot) else { return };
        let (from, pair) = connection.name;
        if connection.relay.has_failed() {
            self.openings[slot] = None;
            if answered {
                // The near host learns of it when its part of the handshake comes.
                self.common.fail(slot, Side::Kernel);
            } else {
                self.common.remove(slot);
                self.common.counts.opened -= 1;
                self.give_up(now, Attempt { held, from, pair, address });
            }
        } else if !answered && connection.relay.is_connected() {
            self.common.host.answer_syn(held, true);
            self.openings[slot] = Some(Opening { held, address, answered: true });
        }
    }

    /// An address of the target does not answer: the next one, or an RST.
    fn give_up(&mut self, now: Instant, attempt: Attempt) {
        let address = attempt.address + 1;
        if address < self.targets[attempt.pair].addresses.len() {
            return self.attempt(now, Attempt { address, ..attempt });
        }
        self.common.host.answer_syn(attempt.held, false);
        self.common.counts.refused += 1;
    }

    /// Tries again after a pause.
    fn later(&mut self, now: Instant, attempt: Attempt) {
        self.waiting.push_back(attempt);
        self.resumes_at.get_or_insert(now + PAUSE);
    }

    /// Tries again what waits, if the pause is over, and ends what was idle for too long.
    pub(super) fn resume(&mut self, now: Instant) {
        self.datagrams.expire(now);
        if self.resumes_at.is_some_and(|at| at <= now) {
            self.resumes_at = None;
            for attempt in core::mem::take(&mut self.waiting) {
                self.attempt(now, attempt);
            }
        }
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        Instant::earliest([self.resumes_at, self.datagrams.next_at()])
    }

    /// Resets every connection.
    pub(super) fn reset_all(&mut self) {
        for slot in self.common.connections.numbers() {
            if let Some(opening) = self.openings.get_mut(slot) {
                *opening = None;
            }
            self.common.fail(slot, Side::Kernel);
        }
    }
}
