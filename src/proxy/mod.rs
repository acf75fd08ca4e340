//! A proxy between sockets of the kernel. The bytes of each connection travel over a TCP connection between two userspace
//! hosts, over a link, in real time. It needs no privileges and nothing that only Linux has. `cli` runs the loop.
//!
//! ```text
//!   client --> socket of the kernel --> near host --> link --> far host --> socket of the kernel --> target
//!                                   relay        segments          relay
//! ```
//!
//! Hosts and links are those of the simulator; the clock is the wall clock. One loop waits for the kernel, for packets in
//! the link and for timers. A relay (`relay`) joins a socket of the kernel and a stream of a host. `near` accepts clients, `far`
//! connects to the targets, and the two know of each other only what the packets say. `udp` is for datagrams.
//!
//! What is held is bounded: by the buffers of the kernel ([`KERNEL_BUFFER`]), by those of the hosts ([`HOST_BUFFERS`]), and
//! by what the link may hold.

#[cfg(feature = "control")]
mod controlled;
mod end;
mod far;
mod kernel;
mod near;
mod poll;
mod relay;
mod slots;
mod udp;

pub use end::Counts;
pub use kernel::{Address, KERNEL_BUFFER, raise_descriptor_limit};
pub use udp::{IDLE, MOST_FLOWS};

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use polling::{Events, Poller};
use socket2::SockAddr;

use crate::device::{Cable, CableEnd, Pool};
use crate::drive::{self, Clock, Endpoint, Medium};
use crate::event::{Event, HostId, LinkId, Observer, Observers};
use crate::link::{Link, LinkSchedule, LinkSpec};
use crate::segment::{Packet, PacketId};
use crate::socket::{Errno, HostConfig};
use crate::time::Instant;

use end::{Common, End};
use far::Far;
use near::Near;
use poll::{Key, Watched};

/// The host of the clients, in events.
pub const NEAR: HostId = HostId(0);
/// The host of the targets, in events.
pub const FAR: HostId = HostId(1);
/// Pairs of `--listen` and `--to` at most.
pub const MOST_PAIRS: usize = 250;
/// The most that the buffers of all connections of one host take, in bytes.
pub const HOST_BUFFERS: usize = 256 << 20;

/// Packets that are handed to a host before it sends. A receiver acknowledges at least every second segment (RFC 9293,
/// section 3.8.6.3), and the growth of cwnd for one ACK is limited (RFC 9406, section 4.2).
const TURN: usize = 2;
/// The same where the link does nothing: an ACK for many segments, as behind a network card that merges segments.
const PLAIN_TURN: usize = 32;
/// Packets that are moved before the kernel is asked again.
const BATCH: usize = 512;
/// Addresses of the near host of each IP version. Each has 28,232 ports for each target.
const SOURCES: u8 = 16;
/// The port of a target without a port whose clients have none either: both are Unix sockets.
const NO_PORT: u16 = 1;

/// What to listen on, and where its connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What clients connect to.
    pub listen: Address,
    /// The target.
    pub to: Address,
}

/// What a proxy is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// At least one, at most [`MOST_PAIRS`].
    pub pairs: Vec<Pair>,
    /// Datagrams in place of connections.
    pub udp: bool,
    /// The settings of both hosts. Addresses, and what a proxy needs, are set by [`Proxy::open`].
    pub host: HostConfig,
    /// The link from the clients to the targets, and back.
    pub links: [LinkSchedule; 2],
}

/// Why a proxy cannot be opened, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// An address of the command line is of no use.
    #[error("{0}")]
    Address(String),
    /// The system did not do what was asked.
    #[error("{what}: {cause}")]
    System {
        /// The operation.
        what: &'static str,
        /// What the system said.
        cause: io::Error,
    },
}

impl ProxyError {
    fn system(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |cause| Self::System { what, cause }
    }
}

/// Ends the wait of a proxy from another thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Poller>);

impl Waker {
    /// Ends the wait of now, or the next one.
    pub fn wake(&self) {
        let _ = self.0.notify(); // the poller lives as long as this
    }
}

/// The proxy: two hosts, the link between them, and the sockets of the kernel.
pub struct Proxy {
    poller: Arc<Poller>,
    events: Events,
    middle: Middle,
    clock: Clock,
    /// Descriptors of the owner, which end a wait.
    #[cfg(unix)]
    others: Vec<Watched<std::os::fd::OwnedFd>>,
}

/// The two hosts and the link between them.
struct Middle {
    ends: [End; 2],
    /// End A is the near host's.
    cable: Cable,
    pool: Pool,
    /// The host writes the next packet that it sends into it.
    buffer: Packet,
    observers: Observers,
    sequence: u64,
    packets: u64,
}

impl Proxy {
    /// Listens for clients. From now on they are accepted by [`Proxy::turn`].
    ///
    /// # Errors
    /// [`ProxyError`], which names the address.
    pub fn open(settings: &Settings) -> Result<Self, ProxyError> {
        let clock = Clock::start();
        let poller = Arc::new(Poller::new().map_err(ProxyError::system("make a poller for sockets"))?);
        let (sources, targets) = (addresses(0, SOURCES), addresses(1, settings.pairs.len() as u8));
        let host = |own: &[IpAddr], stream| HostConfig {
            seed: settings.host.seed ^ stream,
            addresses: own.iter().map(|ip| (*ip, if ip.is_ipv4() { 16 } else { 64 })).collect(),
            nodelay: true,
            keep_alive: false,
            // Both hosts trust each other. Neither may hold back what the other waits for.
            reset_rate: 0,
            backlog_limit: usize::MAX >> 1,
            buffer_limit: HOST_BUFFERS,
            ..settings.host.clone()
        };
        let common = |own: &[IpAddr], stream| Common::new(&host(own, stream), &poller, clock.now());
        let with_port = sources.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
        let mut near = Near::new(common(&sources, 0), with_port);
        let mut far = Far::new(common(&targets, 1 << 63));
        for (at, pair) in settings.pairs.iter().enumerate() {
            let to = resolve(&pair.to, "--to")?;
            let bind = resolve(&pair.listen, "--listen")?;
            let failed = |error: io::Error| {
                let hint = match error.kind() {
                    io::ErrorKind::AddrNotAvailable => {
                        "; this machine has no such address; 127.0.0.1 and 0.0.0.0 are there"
                    }
                    io::ErrorKind::AddrInUse => "; another program has it; choose another port",
                    io::ErrorKind::PermissionDenied => "; choose a port above 1023, or another directory",
                    io::ErrorKind::InvalidInput => "; choose a path of at most 107 bytes",
                    io::ErrorKind::NotFound => "; make the directory first",
                    _ => "; choose another address, such as 127.0.0.1:9000",
                };
                ProxyError::Address(format!("--listen {}: {error}{hint}", pair.listen))
            };
            let is_v6 = to[0].is_ipv6();
            let ip = targets.iter().filter(|ip| ip.is_ipv6() == is_v6).nth(at).copied().unwrap_or(targets[0]);
            let errno = |errno: Errno| ProxyError::Address(format!("--to {}: {errno}", pair.to));
            if settings.udp {
                let middle = SocketAddr::new(ip, pair.to.port().unwrap_or(NO_PORT));
                far.datagrams.serve(&mut far.common, middle, to).map_err(errno)?;
                near.datagrams.listen(&near.common, &bind, middle).map_err(failed)?;
                continue;
            }
            let socket = kernel::listener(&bind).map_err(failed)?;
            let port = pair.to.port().or_else(|| kernel::local_address(&socket).map(|address| address.port()));
            let middle = SocketAddr::new(ip, port.unwrap_or(NO_PORT));
            far.serve(middle, to).map_err(errno)?;
            near.listen(socket, middle).map_err(ProxyError::system("watch a listening socket"))?;
        }
        let mtu = settings.host.mtu;
        let link =
            |at: usize, name| Link::in_real_time(&settings.links[at], settings.host.seed, name, mtu, clock.now());
        let links = [(link(0, "client>server"), LinkId(0), NEAR), (link(1, "server>client"), LinkId(1), FAR)];
        let middle = Middle {
            ends: [End::Near(Box::new(near)), End::Far(Box::new(far))],
            cable: Cable::new(links),
            pool: Pool::new(mtu),
            buffer: Packet::default(),
            observers: Observers::default(),
            sequence: 0,
            packets: 0,
        };
        Ok(Self {
            poller,
            events: Events::new(),
            middle,
            clock,
            #[cfg(unix)]
            others: Vec::new(),
        })
    }

    /// The addresses that clients connect to, in the order of the pairs.
    pub fn addresses(&self) -> Vec<String> {
        match &self.middle.ends[0] {
            End::Near(near) => near.addresses().collect(),
            End::Far(_) => Vec::new(),
        }
    }

    /// Publishes all events from now on to `observer`.
    pub fn observe(&mut self, observer: Rc<RefCell<dyn Observer>>) {
        self.middle.observers.add(observer);
        drive::observe(&mut self.middle, NEAR);
        drive::observe(&mut self.middle, FAR);
    }

    /// Ends waits from now on when `descriptor` is readable.
    ///
    /// # Errors
    /// [`ProxyError::System`].
    #[cfg(unix)]
    pub fn watch(&mut self, descriptor: std::os::fd::BorrowedFd<'_>) -> Result<(), ProxyError> {
        let watched = descriptor.try_clone_to_owned().and_then(|own| Watched::readable(own, &self.poller, Key::Other));
        self.others.push(watched.map_err(ProxyError::system("watch a descriptor"))?);
        Ok(())
    }

    /// For another thread that wants the loop to look again.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.poller))
    }

    /// The clock of the loop.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// What has become of the connections of the clients, or of their flows of datagrams. Lost datagrams are those of both
    /// directions.
    pub fn counts(&self) -> Counts {
        let [near, far] = self.middle.ends.each_ref().map(|end| end.common().counts);
        Counts { too_big: near.too_big + far.too_big, lost: near.lost + far.lost, ..near }
    }

    /// Connections that are not over: those of clients and targets, and those of the middle.
    pub fn connections(&self) -> usize {
        let of = |end: &End| end.common().connections.len().max(end.common().host.connections());
        self.middle.ends.iter().map(of).sum()
    }

    /// Packets of the middle that the link dropped because it held as much as it may.
    pub fn lost_in_link(&self) -> u64 {
        [CableEnd::A, CableEnd::B].map(|end| self.middle.cable[end].overflowed()).iter().sum()
    }

    /// Each direction of the link, with the counts of its packets.
    pub fn link_counters(&self) -> [(&str, crate::link::Counters); 2] {
        [CableEnd::A, CableEnd::B].map(|end| {
            let link = &self.middle.cable[end];
            (link.name(), link.counters())
        })
    }

    /// Takes no more clients. A client that comes is refused.
    pub fn stop_listening(&mut self) {
        if let End::Near(near) = &mut self.middle.ends[0] {
            near.stop_listening();
        }
    }

    /// Resets every connection, at both ends and in the middle.
    pub fn reset_all(&mut self) {
        for end in &mut self.middle.ends {
            match end {
                End::Near(near) => near.reset_all(),
                End::Far(far) => far.reset_all(),
            }
        }
    }

    /// When the next turn is due at the latest.
    pub fn next_at(&mut self) -> Option<Instant> {
        let [near, far] = &mut self.middle.ends;
        let links = [CableEnd::A, CableEnd::B].map(|end| self.middle.cable[end].next_at());
        Instant::earliest([near.next_at(), far.next_at(), links[0], links[1], self.middle.cable.next_change_at()])
    }

    /// Waits until the kernel has something, or `until` has come. True if a descriptor of [`Proxy::watch`] is readable or
    /// [`Waker::wake`] was called.
    ///
    /// # Errors
    /// [`ProxyError::System`].
    pub fn wait(&mut self, until: Option<Instant>) -> Result<bool, ProxyError> {
        self.wait_for(until)
    }

    /// As [`Proxy::wait`], and ends when one of `others` is readable too. True then.
    ///
    /// # Errors
    /// [`ProxyError::System`].
    #[cfg(unix)]
    pub fn wait_beside(
        &mut self,
        until: Option<Instant>,
        others: &[std::os::fd::BorrowedFd<'_>],
    ) -> Result<bool, ProxyError> {
        // They differ from wait to wait: a client of the control interface comes and goes.
        let others = others.iter().copied();
        let watched: io::Result<Vec<_>> =
            others.map(|descriptor| Watched::readable(descriptor, &self.poller, Key::Other)).collect();
        let _watched = watched.map_err(ProxyError::system("watch a descriptor"))?;
        self.wait_for(until)
    }

    fn wait_for(&mut self, until: Option<Instant>) -> Result<bool, ProxyError> {
        let timeout = until.map(|until| until - self.clock.now());
        self.events.clear();
        let count = self.poller.wait(&mut self.events, timeout).map_err(ProxyError::system("wait for sockets"))?;
        let now = self.clock.now();
        let mut called = count == 0 && until.is_none_or(|until| now < until);
        for event in self.events.iter() {
            match Key::of(event.key) {
                Key::Other => called = true,
                Key::Listener(pair) => self.middle.accept(now, pair),
                Key::Near(slot) => self.middle.ends[0].common_mut().note(slot, event),
                Key::Far(slot) => self.middle.ends[1].common_mut().note(slot, event),
                Key::Datagrams(pair) => {
                    if let End::Near(near) = &mut self.middle.ends[0] {
                        near.datagrams.receive(now, &mut near.common, pair);
                    }
                }
                Key::Flow(slot) => {
                    if let End::Far(far) = &mut self.middle.ends[1] {
                        far.datagrams.receive(now, &mut far.common, slot);
                    }
                }
            }
        }
        Ok(called)
    }

    /// One turn: hand over the packets that have arrived, fire what is due, run the relays, send.
    pub fn turn(&mut self) {
        let now = self.clock.now();
        self.middle.turn(now);
    }
}

impl Middle {
    fn accept(&mut self, now: Instant, pair: usize) {
        let [End::Near(near), End::Far(far)] = &mut self.ends else { return };
        far.expect_at_most(pair, near.common.connections.len());
        let before = near.common.counts.opened;
        let mut reserved = 0;
        near.accept(now, pair, || far.reserve(pair).inspect(|()| reserved += 1));
        for _ in near.common.counts.opened - before..reserved {
            far.unreserve(pair);
        }
    }

    fn turn(&mut self, now: Instant) {
        self.cable.make_changes(now, &mut self.observers);
        self.move_packets(now);
        for host in [NEAR, FAR] {
            drive::handle_timeout(self, now, host);
            match &mut self.ends[host.0 as usize] {
                End::Near(near) => near.resume(now),
                End::Far(far) => far.resume(now),
            }
            self.run(now, host);
        }
        self.move_packets(now);
        self.tell_resets();
    }

    /// Hands packets over until none is due, or enough were moved.
    fn move_packets(&mut self, now: Instant) {
        let mut left = BATCH;
        while left > 0 {
            let mut moved = 0;
            for (end, host) in [(CableEnd::A, FAR), (CableEnd::B, NEAR)] {
                let count = self.hand_over(now, end, host);
                if count > 0 {
                    self.run(now, host);
                }
                moved += count;
            }
            if moved == 0 {
                return;
            }
            left = left.saturating_sub(moved);
        }
    }

    fn hand_over(&mut self, now: Instant, end: CableEnd, host: HostId) -> usize {
        let turn = if *self.cable[end].spec() == LinkSpec::default() { PLAIN_TURN } else { TURN };
        let mut count = 0;
        while count < turn
            && let Some(mut packet) = self.cable.poll_packet(now, end)
        {
            self.observers.complete(&mut packet);
            let link = self.cable.link_id(end);
            self.observers.on_event(now, &Event::Delivered { host, link, packet: &packet });
            drive::handle_packet(self, now, host, &mut packet);
            self.pool.give_back(packet);
            count += 1;
        }
        count
    }

    fn run(&mut self, now: Instant, host: HostId) {
        match drive::run(self, now, host) {
            Ok(_) => {}
            Err(never) => match never {},
        }
    }

    /// Each end hears which connections were reset at the other one.
    fn tell_resets(&mut self) {
        let [near, far] = &mut self.ends;
        let (near, far) = (near.common_mut(), far.common_mut());
        while let Some(name) = near.resets.pop_front() {
            far.hear_of_reset(name);
        }
        while let Some(name) = far.resets.pop_front() {
            near.hear_of_reset(name);
        }
    }
}

impl Medium for Middle {
    type Endpoint = End;
    type Error = Infallible;

    fn endpoint(&mut self, host: HostId) -> &mut End {
        &mut self.ends[host.0 as usize]
    }

    fn endpoint_and_buffer(&mut self, host: HostId) -> (&mut End, &mut Packet) {
        (&mut self.ends[host.0 as usize], &mut self.buffer)
    }

    fn transmit(&mut self, now: Instant, host: HostId) -> Result<(), Infallible> {
        let mut packet = core::mem::replace(&mut self.buffer, self.pool.take());
        self.packets += 1;
        packet.meta.id = PacketId(self.packets);
        let end = if host == NEAR { CableEnd::A } else { CableEnd::B };
        let Self { cable, sequence, pool, observers, .. } = self;
        cable.handle_packet(now, end, packet, sequence, pool, observers);
        Ok(())
    }

    fn observers(&mut self) -> &mut Observers {
        &mut self.observers
    }
}

fn resolve(address: &Address, option: &str) -> Result<Vec<SockAddr>, ProxyError> {
    address.resolve().map_err(|error| {
        let hint = match address {
            Address::Inet(..) => "check the name, or give an address such as 127.0.0.1:8080",
            Address::Unix(_) => "choose a path of at most 107 bytes",
        };
        ProxyError::Address(format!("{option} {address}: {error}; {hint}"))
    })
}

/// Addresses of a host, of both IP versions: `10.78.N.1` and `fd78::N:1`, and those that follow.
fn addresses(subnet: u8, count: u8) -> Vec<IpAddr> {
    let v4 = (1..=count).map(|at| IpAddr::from([10, 78, subnet, at]));
    let v6 = (1..=count).map(|at| IpAddr::from([0xfd78, 0, 0, 0, 0, 0, u16::from(subnet), u16::from(at)]));
    v4.chain(v6).collect()
}
