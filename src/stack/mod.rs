//! TCP/IP of one host.
//!
//! ```text
//!   handle_packet --> ingress: demultiplexer --+--> connection: tcp (rules, sender, machine, receiver) --> dirty, ready
//!                                              +--> half-open record, TIME-WAIT record, listener, SYN cookie
//!                                              +--> UDP socket
//!                                              '--> nobody: RST, ICMP, limited
//!   poll_transmit <-- egress: replies, then each dirty connection in order of first touch
//! ```
//!
//! Our own demultiplexer finds the connection, so that the cost of a packet does not depend on their number. The interface
//! is the same for the loop in virtual time and for the one on a TUN:
//!
//! * inputs: [`Stack::handle_packet`], [`Stack::handle_timeout`], and the calls of the socket layer;
//! * outputs: [`Stack::poll_transmit`], [`Stack::poll_ready`], [`Stack::poll_event`], to be asked until they have nothing;
//! * [`Stack::next_at`]: when to call again at the latest. Earlier calls do no harm.
//!
//! No I/O, no clock, no randomness of its own: time is an argument, random numbers follow from the seed.

mod address;
mod calls;
mod close;
mod config;
mod connect;
mod connection;
mod cookies;
mod counters;
mod destinations;
mod egress;
mod half_open;
mod icmp;
mod info;
mod ingress;
mod isn;
mod listener;
mod one_packet;
mod path_mtus;
mod ports;
mod ready;
mod replies;
mod rules;
mod tcp;
mod time_wait;
mod timers;
mod udp;

pub use config::{HostConfig, SynCookies, WindowUpdate};
pub use connection::{Account, ConnectionError, ConnectionId};
pub use counters::Counters;
pub use info::TcpInfo;
pub use listener::{HalfOpenId, ListenerId};
pub use udp::UdpId;

pub(crate) use calls::{BindError, Binding, Condition, ConnectRefusal, Received, Sent};
pub(crate) use config::TcpOptions;
#[cfg(any(feature = "replay", feature = "drill"))]
pub(crate) use tcp::window_shift;
pub(crate) use udp::SendRefusal;

use core::net::SocketAddr;
use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;
use slotmap::SlotMap;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::wire::HardwareAddress;

use crate::event::{Cause, HostEvent, Phase, State, TimerKind};
use crate::segment::{Packet, PacketMeta, SegmentTemplate};
use crate::time::{Duration, Instant};

use address::{Addr, Addresses, FourTuple};
use connection::Connection;
use isn::Secret;
use listener::{HalfOpen, Listener};
use one_packet::OnePacket;
use path_mtus::PathMtus;
use ports::Ports;
use ready::Ready;
use replies::ReplyLimits;
use tcp::{BlockPool, Machines};
use time_wait::{TimeWait, TimeWaitId};
use timers::{Deadline, Deadlines, Timers};
use udp::Udp;

/// How long a connection keeps memory that it does not use.
const IDLE_FOR: Duration = Duration::from_secs(1);

/// The TCP/IP of one host.
pub struct Stack {
    config: HostConfig,
    addresses: Addresses,
    secret: Secret,
    now: Instant,
    interface: Interface,
    /// The empty set: what it is given belongs to nobody.
    nobody: SocketSet<'static>,
    tables: Tables,
    ports: Ports,
    udp: Udp,
    path_mtus: PathMtus,
    pool: BlockPool,
    machines: Machines,
    timers: Timers<TimerOwner>,
    /// Connections to be given their egress, in order of first touch.
    dirty: VecDeque<ConnectionId>,
    /// Connections that became idle, and when: later they give back the memory that they do not need.
    resting: VecDeque<(Instant, ConnectionId)>,
    queues: PacketQueues,
    ready: Ready,
    events: Events,
    counters: Counters,
    reply_limits: ReplyLimits,
    /// How many local ports were chosen: the next search begins behind the last.
    connects: u32,
    /// Of connections whose TCP is over.
    retransmissions: u64,
}

/// Who is who. The maps are looked up and never iterated.
#[derive(Default)]
struct Tables {
    exact: HashMap<FourTuple, Slot, FixedState>,
    listening: HashMap<(Addr, u16), ListenerId, FixedState>,
    connections: SlotMap<ConnectionId, Box<Connection>>,
    /// Boxed: after a flood the records are gone, and their places are small.
    half_open: SlotMap<HalfOpenId, Box<HalfOpen>>,
    time_wait: SlotMap<TimeWaitId, TimeWait>,
    /// Records in the order in which they end.
    time_wait_ends: VecDeque<(Instant, TimeWaitId)>,
    listeners: SlotMap<ListenerId, Listener>,
}

/// What a 4-tuple belongs to.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Connection(ConnectionId),
    HalfOpen(HalfOpenId),
    TimeWait(TimeWaitId),
}

/// Who has a timer.
#[derive(Clone, Copy, Debug)]
enum TimerOwner {
    Connection(ConnectionId),
    HalfOpen(HalfOpenId),
}

impl Deadlines<TimerOwner> for Tables {
    fn deadline(&mut self, owner: TimerOwner) -> Option<&mut Deadline> {
        match owner {
            TimerOwner::Connection(id) => self.connections.get_mut(id).map(|connection| &mut connection.deadline),
            TimerOwner::HalfOpen(id) => self.half_open.get_mut(id).map(|half_open| &mut half_open.deadline),
        }
    }
}

/// Where a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The link.
    Link,
    /// This host itself.
    Loopback,
}

/// Packets that wait inside the host. Buffers are swapped, never copied, and used again.
#[derive(Default)]
struct PacketQueues {
    /// Answers that do not come from the egress of a connection: RST, SYN|ACK, ICMP, UDP.
    out: VecDeque<Packet>,
    /// Packets from this host to itself.
    loopback: VecDeque<Packet>,
    spare: Vec<Packet>,
}

impl PacketQueues {
    fn take_spare(&mut self) -> Packet {
        self.spare.pop().unwrap_or_default()
    }

    /// Queues a segment of our own making.
    fn send(&mut self, segment: &SegmentTemplate<'_>) {
        let mut packet = self.take_spare();
        segment.write(&mut packet.bytes);
        self.out.push_back(packet);
    }

    fn give_back(&mut self, mut packet: Packet) {
        if self.spare.len() < 64 {
            packet.meta = PacketMeta::default();
            self.spare.push(packet);
        }
    }
}

/// Events wait here until the loop takes them; without an observer none are kept.
#[derive(Default)]
struct Events {
    observed: bool,
    /// Numbers are wanted with each segment.
    numbers: bool,
    queue: VecDeque<HostEvent>,
}

impl Events {
    fn push(&mut self, event: HostEvent) {
        if self.observed {
            self.queue.push_back(event);
        }
    }

    fn state(&mut self, tuple: &FourTuple, from: State, to: State, cause: Cause) {
        if self.observed && from != to {
            let (local, remote) = (tuple.local_addr(), tuple.remote_addr());
            self.queue.push_back(HostEvent::State { local, remote, from, to, cause });
        }
    }

    fn phase(&mut self, tuple: &FourTuple, from: Phase, to: Phase, undone: bool) {
        if self.observed && (from != to || undone) {
            let (local, remote) = (tuple.local_addr(), tuple.remote_addr());
            self.queue.push_back(HostEvent::Recovery { local, remote, from, to, undone });
        }
    }

    fn timer(&mut self, tuple: &FourTuple, timer: TimerKind) {
        if self.observed {
            let (local, remote) = (tuple.local_addr(), tuple.remote_addr());
            self.queue.push_back(HostEvent::Timer { local, remote, timer });
        }
    }
}

impl Stack {
    /// A stack with these settings at the epoch.
    pub fn new(config: &HostConfig) -> Self {
        let mut unused = Vec::new();
        let mut device = OnePacket::sending(config.mtu, &mut unused);
        let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut device, Instant::EPOCH.to_smoltcp());
        // Our own demultiplexer has looked at the address before smoltcp sees a packet.
        interface.set_any_ip(true);
        Self {
            addresses: Addresses::new(&config.addresses, config.default_route),
            secret: Secret::new(config.seed),
            now: Instant::EPOCH,
            interface,
            nobody: SocketSet::new(Vec::new()),
            tables: Tables::default(),
            ports: Ports::default(),
            udp: Udp::default(),
            path_mtus: PathMtus::default(),
            pool: BlockPool::new(config.buffer_limit),
            machines: Machines::new(),
            timers: Timers::new(),
            dirty: VecDeque::new(),
            resting: VecDeque::new(),
            queues: PacketQueues::default(),
            ready: Ready::default(),
            events: Events::default(),
            counters: Counters::default(),
            reply_limits: ReplyLimits::default(),
            connects: 0,
            retransmissions: 0,
            config: config.clone(),
        }
    }

    /// Changes the settings, but for seed, addresses, MTU, controllers and the limit of all buffers.
    pub(crate) fn reconfigure(&mut self, config: &HostConfig) {
        let HostConfig { seed, addresses, mtu, algorithms, buffer_limit, .. } = self.config.clone();
        self.config = HostConfig { seed, addresses, mtu, algorithms, buffer_limit, ..config.clone() };
    }

    /// The settings of the stack.
    pub fn config(&self) -> &HostConfig {
        &self.config
    }

    /// The clock of the host: the latest instant that it was told of.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Moves the clock of the host forward; it never goes back.
    pub fn set_now(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Takes one packet from the link. It may be changed: the caller has captured it before.
    pub fn handle_packet(&mut self, now: Instant, packet: &mut Packet) {
        self.set_now(now);
        self.ingress(packet, Origin::Link);
        self.release_idle();
    }

    /// Lets connections give back memory that have been idle for a second. No timer of its own: a host without packets
    /// does nothing.
    fn release_idle(&mut self) {
        while let Some((since, id)) = self.resting.front().copied() {
            if self.now - since < IDLE_FOR {
                return;
            }
            self.resting.pop_front();
            let Some(connection) = self.tables.connections.get_mut(id) else { continue };
            if self.now - connection.limits.heard_at < IDLE_FOR {
                self.resting.push_back((self.now, id));
                continue;
            }
            connection.resting = false;
            if let Some(tcp) = &mut connection.tcp {
                tcp.shrink();
            }
        }
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.set_now(now);
        while let Some(owner) = self.timers.poll_due(self.now, &mut self.tables) {
            match owner {
                TimerOwner::Connection(id) => self.on_connection_timer(id),
                TimerOwner::HalfOpen(id) => self.on_half_open_timer(id),
            }
        }
        self.end_time_waits();
    }

    /// Writes the next packet to send into `packet`, whose old content is gone. False if there is none.
    #[must_use]
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant, packet: &mut Packet) -> bool {
        self.set_now(now);
        let sent = self.has_output() && self.egress(packet);
        if !sent {
            packet.bytes.clear();
        }
        packet.meta.sound = sent;
        sent
    }

    /// True if a packet may be due.
    #[inline]
    fn has_output(&self) -> bool {
        !self.dirty.is_empty() || !self.queues.out.is_empty() || !self.queues.loopback.is_empty()
    }

    /// The earliest instant at which the stack wants to be called again.
    #[must_use]
    pub fn next_at(&mut self) -> Option<Instant> {
        if self.has_output() {
            return Some(self.now);
        }
        let timer = self.timers.next_at(&mut self.tables);
        Instant::earliest([timer, self.next_time_wait_end()])
    }

    /// The descriptor number of a socket whose readiness may have changed, each once, in the order of the changes.
    #[must_use]
    pub fn poll_ready(&mut self) -> Option<u32> {
        self.ready.pop()
    }

    /// True if [`Stack::poll_ready`] has something.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Says that the readiness of a descriptor may have changed.
    pub(crate) fn push_ready(&mut self, token: u32) {
        self.ready.push(token);
    }

    /// The next event; there are none unless they were asked for.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<HostEvent> {
        self.events.queue.pop_front()
    }

    /// Keeps an event of the socket layer, in its place among those of the stack.
    pub(crate) fn report(&mut self, event: HostEvent) {
        self.events.push(event);
    }

    /// Whether to keep events for [`Stack::poll_event`].
    pub fn observe_events(&mut self, on: bool) {
        self.events.observed = on;
    }

    /// Whether to keep [`HostEvent::Numbers`] as well.
    pub fn observe_numbers(&mut self, on: bool) {
        self.events.numbers = on;
    }

    /// Connections that are not over: half-open ones and those in TIME-WAIT are not among them.
    pub fn connections(&self) -> usize {
        self.tables.connections.len()
    }

    /// Bytes that the buffers of all connections take, in whole blocks.
    pub fn buffered(&self) -> usize {
        self.pool.used_bytes()
    }

    /// Segments that connections of this host sent again, those that are over included.
    pub fn retransmissions(&self) -> u64 {
        let open = self.tables.connections.values();
        self.retransmissions + open.map(|connection| connection.retransmissions()).sum::<u64>()
    }

    /// What the host has counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What the descriptor table shows of a connection.
    pub(crate) fn endpoints(&self, id: ConnectionId) -> Option<(State, SocketAddr, SocketAddr)> {
        self.tables.connections.get(id).map(|connection| {
            (self.shown_state(connection), connection.tuple.local_addr(), connection.tuple.remote_addr())
        })
    }
}

impl core::fmt::Debug for Stack {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stack")
            .field("now", &self.now)
            .field("connections", &self.tables.connections.len())
            .field("half_open", &self.tables.half_open.len())
            .field("time_wait", &self.tables.time_wait.len())
            .finish_non_exhaustive()
    }
}
