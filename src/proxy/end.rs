//! One end of the proxy: a userspace host with its relays. `near` is the end of the clients and `far` that of the targets.
//! `drive` moves an end as any other host. Where other hosts have programs, an end runs its relays.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use polling::{Event, Poller};

use super::far::Far;
use super::near::Near;
use super::relay::{self, Relay, Side, Step};
use super::slots::Slots;
use crate::drive::Endpoint;
use crate::event::HostEvent;
use crate::segment::Packet;
use crate::socket::{Fd, Host, HostConfig};
use crate::time::Instant;

/// Bytes of the buffer between a socket of the kernel and a stream.
const BUFFER: usize = 64 << 10;

/// Names a connection of the middle: the address of the near host, and the number of the pair of `--listen` and `--to`.
pub(super) type Name = (SocketAddr, usize);

/// One connection at one end.
pub(super) struct Connection {
    pub(super) relay: Relay,
    /// Its stream; at the far end there is none until the handshake is over.
    pub(super) stream: Option<Fd>,
    pub(super) name: Name,
    /// It was reset at the other end of the proxy.
    pub(super) is_reset: bool,
}

/// What a descriptor of the host belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Nobody,
    /// A connection, by its slot.
    Connection(usize),
    /// The listener of a pair.
    Listener(usize),
    /// A flow of datagrams, by its slot.
    Flow(usize),
    /// The datagrams of a pair.
    Datagrams(usize),
}

/// What both ends have.
pub(super) struct Common {
    pub(super) host: Host,
    pub(super) poller: Arc<Poller>,
    pub(super) connections: Slots<Connection>,
    /// By descriptor.
    owners: Vec<Owner>,
    /// Slots by name.
    pub(super) names: HashMap<Name, usize, FixedState>,
    /// Slots of connections with something to do, each once.
    ready: VecDeque<usize>,
    queued: Vec<bool>,
    buffer: Vec<u8>,
    /// Names of connections that were reset here. The other end has to learn of it.
    pub(super) resets: VecDeque<Name>,
    pub(super) counts: Counts,
}

/// What has become of the connections of an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Begun.
    pub opened: u64,
    /// Both directions ended in order.
    pub closed: u64,
    /// Reset, by either side.
    pub reset: u64,
    /// The target did not take the connection.
    pub refused: u64,
    /// Accepting was paused, because no file descriptor was free.
    pub paused: u64,
    /// Datagrams above the MTU, which were dropped.
    pub too_big: u64,
    /// Datagrams that were lost outside of the link: a full buffer, too many flows, or nobody listens.
    pub lost: u64,
}

/// An end.
pub(super) enum End {
    Near(Box<Near>),
    Far(Box<Far>),
}

impl Common {
    pub(super) fn new(config: &HostConfig, poller: &Arc<Poller>, now: Instant) -> Self {
        let mut host = Host::new(config);
        host.set_now(now);
        Self {
            host,
            poller: Arc::clone(poller),
            connections: Slots::default(),
            owners: Vec::new(),
            names: HashMap::default(),
            ready: VecDeque::new(),
            queued: Vec::new(),
            buffer: vec![0; BUFFER],
            resets: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Remembers whose a descriptor is.
    pub(super) fn own(&mut self, fd: Fd, owner: Owner) {
        let at = fd.0 as usize;
        if at >= self.owners.len() {
            self.owners.resize(at + 1, Owner::Nobody);
        }
        self.owners[at] = owner;
    }

    pub(super) fn owner(&self, fd: Fd) -> Owner {
        self.owners.get(fd.0 as usize).copied().unwrap_or(Owner::Nobody)
    }

    /// The connection in this slot has something to do.
    pub(super) fn wake(&mut self, slot: usize) {
        if slot >= self.queued.len() {
            self.queued.resize(slot + 1, false);
        }
        if !core::mem::replace(&mut self.queued[slot], true) {
            self.ready.push_back(slot);
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next connection with something to do.
    pub(super) fn next_ready(&mut self) -> Option<usize> {
        let slot = self.ready.pop_front()?;
        self.queued[slot] = false;
        Some(slot)
    }

    /// How many connections have something to do.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// What the poller says about the socket of a connection. A socket that was closed meanwhile has no place any more, or
    /// another one has it, which then looks in vain.
    pub(super) fn note(&mut self, slot: usize, event: Event) {
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.relay.note(event);
            self.wake(slot);
        }
    }

    /// Moves the bytes of a connection, and ends it if it has ended.
    pub(super) fn step(&mut self, slot: usize) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let Some(stream) = connection.stream else { return };
        match connection.relay.step(&mut self.host, stream, &mut self.buffer) {
            Step::Wait => {}
            Step::Again => self.wake(slot),
            Step::Ended => {
                self.counts.closed += 1;
                self.remove(slot);
                let _ = self.host.close(stream);
            }
            Step::Failed(side) => self.fail(slot, side),
        }
    }

    /// Ends a connection one side of which has failed: the other side is reset.
    pub(super) fn fail(&mut self, slot: usize, side: Side) {
        let Some(connection) = self.remove(slot) else { return };
        let opened =
            connection.stream.and_then(|stream| self.host.account(stream)).is_some_and(|it| it.opened_at.is_some());
        let refused = side == Side::Stream && !opened;
        *(if refused { &mut self.counts.refused } else { &mut self.counts.reset }) += 1;
        if let Some(stream) = connection.stream {
            relay::reset_stream(&mut self.host, stream);
        }
        self.resets.push_back(connection.name);
        connection.relay.reset();
    }

    /// Forgets a connection. Its stream, if there is one, is closed by the caller.
    pub(super) fn remove(&mut self, slot: usize) -> Option<Connection> {
        let connection = self.connections.remove(slot)?;
        if let Some(stream) = connection.stream {
            self.own(stream, Owner::Nobody);
        }
        if self.names.get(&connection.name) == Some(&slot) {
            self.names.remove(&connection.name);
        }
        Some(connection)
    }

    /// The connection of this name was reset at the other end.
    pub(super) fn hear_of_reset(&mut self, name: Name) {
        let slot = self.names.get(&name).copied();
        let Some(connection) = slot.and_then(|slot| self.connections.get_mut(slot)) else { return };
        connection.is_reset = true;
        if let Some(stream) = connection.stream {
            relay::probe(&mut self.host, stream);
        }
    }
}

impl End {
    pub(super) fn common(&self) -> &Common {
        match self {
            Self::Near(near) => &near.common,
            Self::Far(far) => &far.common,
        }
    }

    pub(super) fn common_mut(&mut self) -> &mut Common {
        match self {
            Self::Near(near) => &mut near.common,
            Self::Far(far) => &mut far.common,
        }
    }
}

impl Endpoint for End {
    fn handle_packet(&mut self, now: Instant, packet: &mut Packet) {
        self.common_mut().host.handle_packet(now, packet);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.common_mut().host.handle_timeout(now);
    }

    /// Gives each connection with something to do one turn. Those that have more to do stay ready.
    fn run(&mut self, now: Instant) {
        self.common_mut().host.set_now(now);
        match self {
            Self::Near(near) => near.run(now),
            Self::Far(far) => far.run(now),
        }
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Packet) -> bool {
        self.common_mut().host.poll_unfinished(now, packet)
    }

    fn next_at(&mut self) -> Option<Instant> {
        let common = self.common_mut();
        if common.has_ready() || common.host.has_ready() {
            return Some(common.host.now());
        }
        let own = match self {
            Self::Near(near) => near.next_at(),
            Self::Far(far) => far.next_at(),
        };
        Instant::earliest([self.common_mut().host.next_at(), own])
    }

    fn observe_events(&mut self, on: bool) {
        self.common_mut().host.observe_events(on);
    }

    fn observe_numbers(&mut self, on: bool) {
        self.common_mut().host.observe_numbers(on);
    }

    fn poll_event(&mut self) -> Option<HostEvent> {
        self.common_mut().host.poll_event()
    }

    fn waiting(&self) -> Vec<String> {
        Vec::new()
    }

    fn buffered(&self) -> usize {
        self.common().host.buffered()
    }
}
