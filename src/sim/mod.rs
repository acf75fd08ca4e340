//! Hosts, routers and links in virtual time. The same host that runs on a TUN runs here. The clock jumps from event to
//! event, so a minute in TIME-WAIT takes no real time. The same seed gives the same packets.
//!
//! A test builds a network, starts programs and runs the clock:
//!
//! ```
//! use std::net::SocketAddr;
//! use std::time::Duration;
//! use tcplab::net::TcpStream;
//! use tcplab::sim::Sim;
//! use tcplab::socket::{Domain, Type, descriptor_table};
//!
//! let sim = Sim::seeded(7);
//! let server = sim.host("server", "192.0.2.1/24");
//! let client = sim.host("client", "192.0.2.2/24");
//! sim.link(&client, &server, "rate=10Mbit,delay=20ms,loss=1%");
//! // Calls as in section 2 of the manual, between runs ...
//! let addr = SocketAddr::new(server.address(), 80);
//! let listener = server.sys(|host| {
//!     let fd = host.socket(Domain::Inet, Type::Stream)?;
//!     host.bind(fd, addr)?;
//!     host.listen(fd, 5).map(|()| fd)
//! })?;
//! // ... and programs, which run whenever the simulation does.
//! let call = client.spawn(async move |net| TcpStream::connect(&net, addr).await);
//! sim.run_until(|| call.is_finished());
//! assert_eq!(sim.now().as_millis(), 40);
//!
//! // A partition of an hour. The connection stays open. Names can be used in place of handles.
//! sim.link("client", "server", "loss=100%");
//! sim.run_for(Duration::from_secs(3600));
//! server.sys(|host| host.accept(listener))?;
//! let table = server.sys(|host| descriptor_table(host));
//! assert!(table.starts_with("3 LISTEN 192.0.2.1:80\n4 ESTABLISHED 192.0.2.1:80 ↔ 192.0.2.2:"), "{table}");
//! # Ok::<(), tcplab::socket::Errno>(())
//! ```
//!
//! There may be routers between hosts, and an observer gets every event:
//!
//! ```
//! use std::cell::RefCell;
//! use std::net::SocketAddr;
//! use std::rc::Rc;
//! use tcplab::app::{Listen, echo};
//! use tcplab::congestion;
//! use tcplab::event::{Event, HostEvent, State};
//! use tcplab::sim::Sim;
//! use tcplab::time::{Duration, Instant};
//!
//! let sim = Sim::seeded(7);
//! let reno = congestion::by_name("reno").expect("a built-in controller");
//! let client = sim.host_with("client", "10.0.1.2/24", |host| host.congestion = reno);
//! let server = sim.host("server", "10.0.2.2/24");
//! sim.router("router");
//! sim.link("client", "router", "rate=100Mbit,delay=1ms");
//! // The bottleneck: five packets fit into its queue. The first SYN|ACK is dropped.
//! let bottleneck = sim.link("router", "server", "rate=2Mbit,delay=10ms,limit=5");
//! sim.link("router", "server", "server>router:rate=2Mbit,delay=10ms,drop=synack:1");
//!
//! let states = Rc::new(RefCell::new(Vec::new()));
//! let (seen, of) = (Rc::clone(&states), client.id());
//! sim.observe(move |_: Instant, event: &Event<'_>| match event {
//!     Event::Host { host, event: HostEvent::State { to, .. } } if *host == of => seen.borrow_mut().push(*to),
//!     _ => {}
//! });
//!
//! let at = SocketAddr::new(server.address(), 7);
//! server.spawn_daemon(move |net| echo::server(net, Listen::on(at.ip(), at.port())));
//! let mut echoed = client.spawn(async move |net| echo::client(net, at, vec![1; 100_000]).await);
//! sim.run_until_idle();
//!
//! assert_eq!(echoed.try_take().unwrap()?.len(), 100_000);
//! use State::*;
//! assert_eq!(states.borrow()[..3], [SynSent, Established, FinWait1]);
//! assert!(states.borrow().ends_with(&[TimeWait, Closed]));
//! let way = bottleneck.counters("router");
//! assert!(way.conserved() && way.dropped > 0, "the queue was full at times: {way}");
//! assert!(sim.now() > Instant::EPOCH + Duration::from_secs(60), "TIME-WAIT included");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! `fabric` has the nodes and cables, `scheduler` the clock and the event queue, `routes` and `router` the routing, `peer`
//! the node whose packets are given. `network` is the loop over them, and `drive` moves each host. Hosts draw
//! their secrets from the seed and their name, links from the seed and `A>B`. So another node changes nothing for them.
//!
//! Names and specs come from the author of the test. Methods that take them panic, and the message lists the known
//! names. The `try_` methods return an error instead, for names that come from a file.

mod address;
mod fabric;
mod gave_up;
mod host;
mod network;
mod peer;
mod queue;
mod router;
mod routes;
mod run;
mod scheduler;

#[cfg(test)]
mod tests;

#[cfg(feature = "scenario")]
pub(crate) use address::parse as parse_addresses;
#[cfg(all(feature = "live", feature = "cli", target_os = "linux"))]
pub(crate) use address::parse_one as parse_address;
pub use gave_up::{GaveUp, Reason};
pub use host::{HostHandle, LinkHandle};
pub use peer::{Arrived, PeerCounters, PeerHandle};
pub use router::RouterHandle;
pub use run::Until;

use core::net::IpAddr;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::device::CableEnd;
use crate::event::{HostId, Observer};
use crate::link::{LinkLine, SpecError};
use crate::net::Runtime;
use crate::rng::Rng;
use crate::socket::{Host, HostConfig};
use crate::time::{Duration, Instant};
use fabric::{Fabric, NodeKind};
use network::Network;
use run::Limits;

const BUSY: &str = "the simulation is running: a program reaches its own host through its `net`, and no other";

/// A network in virtual time.
///
/// Building: [`Sim::host`], [`Sim::link`], [`Sim::observe`]. Running: [`Sim::run_until_idle`], [`Sim::run_for`],
/// [`Sim::run_until`]. Reading: [`Sim::now`], the handles, and observers.
pub struct Sim {
    network: Rc<RefCell<Network<Runtime>>>,
    limits: Cell<Limits>,
}

/// Why the description of a network is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// Two hosts or routers of one name.
    #[error("`{0}`: there is a host or router of that name already")]
    NameTaken(String),
    /// A name that cannot be written in a link line.
    #[error("`{0}`: a name is not empty and has no `>`, `:`, `=`, `,` and no space in it")]
    Name(String),
    /// Not an address with its prefix length.
    #[error("`{0}` is not an address with its prefix length, such as 192.0.2.1/24 or 2001:db8::1/64")]
    Address(String),
    /// Two hosts with one address. The receiver of a packet would be ambiguous.
    #[error("{address}: this is the address of {host} already; give each host an address of its own")]
    AddressTaken {
        /// The address.
        address: IpAddr,
        /// The host that has it.
        host: String,
    },
    /// A setting of a host that is out of range.
    #[error("host `{host}`: {what}")]
    Setting {
        /// The host.
        host: String,
        /// The setting, and its valid range.
        what: String,
    },
    /// A program of a run calls the simulation that it runs in.
    #[error("{BUSY}")]
    Busy,
    /// No such host.
    #[error("there is no host or router `{name}`; there are {known}")]
    UnknownHost {
        /// The name.
        name: String,
        /// The known names.
        known: String,
    },
    /// A link from a host to itself.
    #[error("a link joins two hosts or routers, not `{0}` with itself")]
    SameHost(String),
    /// A host or direction that the link has not.
    #[error("`{host}` is at neither end of the link {link}")]
    NotAtThisLink {
        /// The host.
        host: String,
        /// The link.
        link: String,
    },
    /// The link line.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

impl Sim {
    /// A network without hosts, at [`Instant::EPOCH`]. Everything random in it follows from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self { network: Rc::new(RefCell::new(Network::new(seed))), limits: Cell::new(Limits::default()) }
    }

    /// Adds a host with its addresses: `"192.0.2.1/24"`, or several, `"192.0.2.1/24, 2001:db8::1/64"`.
    ///
    /// # Panics
    /// With the text of the [`SimError`] that [`Sim::try_host`] would return.
    #[track_caller]
    pub fn host(&self, name: &str, addresses: &str) -> HostHandle {
        self.host_with(name, addresses, |_| {})
    }

    /// Adds a host whose settings are changed by `adjust`, after seed, addresses and default route are filled in.
    ///
    /// # Panics
    /// As [`Sim::host`].
    #[track_caller]
    pub fn host_with(&self, name: &str, addresses: &str, adjust: impl FnOnce(&mut HostConfig)) -> HostHandle {
        self.or_panic(self.try_host(name, addresses, adjust))
    }

    /// Adds a host, for names and addresses that come from a file.
    ///
    /// # Errors
    /// [`SimError::Name`], [`SimError::NameTaken`], [`SimError::Address`], [`SimError::AddressTaken`],
    /// [`SimError::Setting`], [`SimError::Busy`].
    pub fn try_host(
        &self,
        name: &str,
        addresses: &str,
        adjust: impl FnOnce(&mut HostConfig),
    ) -> Result<HostHandle, SimError> {
        self.check_name(name)?;
        let addresses = address::parse(addresses)?;
        let mut network = self.network.try_borrow_mut().map_err(|_| SimError::Busy)?;
        let seed = Rng::new(network.seed, &format!("host {name}")).next_u64();
        let mut config = HostConfig { seed, addresses, default_route: true, ..HostConfig::default() };
        adjust(&mut config);
        check_config(name, &config)?;
        check_addresses(&network.fabric, &config.addresses)?;
        network.pool.add_mtu(config.mtu);
        let runtime = Runtime::new(Host::new(&config));
        let id = network.add_host(name, config.addresses, runtime);
        drop(network);
        Ok(self.handle(id))
    }

    /// The host of that name.
    pub fn find(&self, name: &str) -> Option<HostHandle> {
        let id = self.id(name)?;
        let is_host = matches!(self.network.borrow().fabric.nodes[id.0 as usize].kind, NodeKind::Host(_));
        is_host.then(|| self.handle(id))
    }

    /// The router of that name.
    pub fn find_router(&self, name: &str) -> Option<RouterHandle> {
        let id = self.id(name)?;
        let network = self.network.borrow();
        let node = &network.fabric.nodes[id.0 as usize];
        let is_router = matches!(node.kind, NodeKind::Router(_));
        is_router.then(|| RouterHandle { network: Rc::downgrade(&self.network), id, name: Rc::clone(&node.name) })
    }

    /// Adds a router. It forwards packets by the shortest path through the network at the time when the packet arrives.
    /// It needs no addresses.
    ///
    /// # Panics
    /// With the text of the [`SimError`] that [`Sim::try_router`] would return.
    #[track_caller]
    pub fn router(&self, name: &str) -> RouterHandle {
        self.or_panic(self.try_router(name))
    }

    /// Adds a router, for a name that comes from a file.
    ///
    /// # Errors
    /// [`SimError::Name`], [`SimError::NameTaken`].
    pub fn try_router(&self, name: &str) -> Result<RouterHandle, SimError> {
        self.check_name(name)?;
        let mut network = self.network.try_borrow_mut().map_err(|_| SimError::Busy)?;
        let id = network.add_router(name);
        let name = Rc::clone(&network.fabric.nodes[id.0 as usize].name);
        Ok(RouterHandle { network: Rc::downgrade(&self.network), id, name })
    }

    /// Adds a scripted peer: a node whose packets are given. It has addresses, but no stack.
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use tcplab::segment::{Flags, IpView, Segment, SegmentTemplate};
    /// use tcplab::sim::Sim;
    ///
    /// let sim = Sim::seeded(7);
    /// let host = sim.host("host", "192.0.2.1/24");
    /// let peer = sim.scripted_peer("peer", "192.0.2.2/24");
    /// sim.link(&host, &peer, "delay=1ms");
    /// // No socket listens on port 80, so the host answers the SYN with an RST.
    /// let (from, to) = (SocketAddr::new(peer.address(), 4000), SocketAddr::new(host.address(), 80));
    /// peer.inject(SegmentTemplate { flags: Flags::SYN, ..SegmentTemplate::new(from, to) }.to_bytes());
    /// sim.run_until_idle();
    /// let answer = peer.poll_packet().expect("an answer");
    /// assert_eq!(answer.at.as_millis(), 2);
    /// let ip = IpView::parse(&answer.bytes)?;
    /// assert_eq!(Segment::parse(&ip)?.flags, Flags::RST | Flags::ACK);
    /// # Ok::<(), tcplab::segment::Malformed>(())
    /// ```
    ///
    /// # Panics
    /// With the text of the [`SimError`] that [`Sim::try_scripted_peer`] would return.
    #[track_caller]
    pub fn scripted_peer(&self, name: &str, addresses: &str) -> PeerHandle {
        self.or_panic(self.try_scripted_peer(name, addresses))
    }

    /// Adds a scripted peer, for a name and addresses that come from a file.
    ///
    /// # Errors
    /// As [`Sim::try_host`].
    pub fn try_scripted_peer(&self, name: &str, addresses: &str) -> Result<PeerHandle, SimError> {
        self.check_name(name)?;
        let addresses = address::parse(addresses)?;
        let mut network = self.network.try_borrow_mut().map_err(|_| SimError::Busy)?;
        check_addresses(&network.fabric, &addresses)?;
        let id = network.add_peer(name, addresses.clone());
        let name = Rc::clone(&network.fabric.nodes[id.0 as usize].name);
        Ok(PeerHandle { network: Rc::downgrade(&self.network), id, name, addresses: addresses.into() })
    }

    /// Joins two hosts or routers by a link, or changes the link that joins them: `spec` is a link line as in
    /// [`LinkLine`], for both directions, or for one with `A>B:` in front; a direction without a spec has no delay, no
    /// limit and no impairment. A change is for packets that enter later. For a partition use `sim.link("a", "b",
    /// "loss=100%")`, and later the old line. A line with `@TIME:` sets its items when that time has come, counted from
    /// [`Instant::EPOCH`]: `sim.link("a", "b", "@5s:loss=5%")`.
    ///
    /// # Panics
    /// With the text of the [`SimError`] that [`Sim::try_link`] would return.
    #[track_caller]
    pub fn link(&self, a: impl AsRef<str>, b: impl AsRef<str>, spec: &str) -> LinkHandle {
        self.or_panic(self.try_link(a.as_ref(), b.as_ref(), spec))
    }

    /// Joins two hosts or routers, for names and specs that come from a file.
    ///
    /// # Errors
    /// [`SimError::Spec`], [`SimError::UnknownHost`], [`SimError::SameHost`]; [`SimError::NotAtThisLink`] if the line
    /// is for a direction between other hosts.
    pub fn try_link(&self, a: &str, b: &str, spec: &str) -> Result<LinkHandle, SimError> {
        self.try_link_line(a, b, &spec.parse()?)
    }

    /// As [`Sim::try_link`], for a line that was read, such as one with a [`Trace`](crate::link::Trace).
    ///
    /// # Errors
    /// As [`Sim::try_link`]; [`SpecError::NoTrace`] if the file of a trace was not read.
    pub fn try_link_line(&self, a: &str, b: &str, line: &LinkLine) -> Result<LinkHandle, SimError> {
        let direction = &line.direction;
        if let Some(trace) = line.items.unread() {
            return Err(SpecError::NoTrace(trace.to_owned()).into());
        }
        let (id_a, id_b) = (self.known(a)?, self.known(b)?);
        if id_a == id_b {
            return Err(SimError::SameHost(a.to_owned()));
        }
        let senders = match direction {
            None => vec![id_a, id_b],
            Some((from, to)) => {
                let at_this_link = [[a, b], [b, a]].contains(&[from, to]);
                let other = || if [a, b].contains(&from.as_str()) { to.clone() } else { from.clone() };
                if !at_this_link {
                    return Err(SimError::NotAtThisLink { host: other(), link: format!("{a}-{b}") });
                }
                vec![self.known(from)?]
            }
        };
        let mut network = self.network.try_borrow_mut().map_err(|_| SimError::Busy)?;
        let is_new = network.fabric.cable_between(id_a, id_b).is_none();
        let at = network.cable(id_a, id_b);
        for end in [CableEnd::A, CableEnd::B] {
            if senders.contains(&network.fabric.cables[at].host(end)) {
                network.set_link(at, end, line, is_new)?;
            }
        }
        let cable = &network.fabric.cables[at];
        let ends = [cable.host(CableEnd::A), cable.host(CableEnd::B)];
        let names = ends.map(|host| Rc::clone(&network.fabric.nodes[host.0 as usize].name));
        Ok(LinkHandle { network: Rc::downgrade(&self.network), cable: at, names })
    }

    /// Publishes every event from now on to `observer`, after the earlier observers. The observer is returned, so that
    /// it can be read between runs.
    pub fn observe<O: Observer + 'static>(&self, observer: O) -> Rc<RefCell<O>> {
        let observer = Rc::new(RefCell::new(observer));
        self.network.borrow_mut().observe(Rc::clone(&observer) as Rc<RefCell<dyn Observer>>);
        observer
    }

    /// The virtual time: the instant of the last event, or where the last [`Sim::run_for`] ended.
    pub fn now(&self) -> Instant {
        self.network.borrow().now()
    }

    /// When the next event is, if nothing is done through a handle before: a packet that arrives, or a deadline.
    pub fn next_at(&self) -> Option<Instant> {
        self.network.borrow().scheduler.next_at()
    }

    fn id(&self, name: &str) -> Option<HostId> {
        self.network.borrow().fabric.names.get(name).copied()
    }

    fn known(&self, name: &str) -> Result<HostId, SimError> {
        self.network.try_borrow().map_err(|_| SimError::Busy)?;
        self.id(name).ok_or_else(|| {
            let known: Vec<_> = self.network.borrow().fabric.nodes.iter().map(|node| node.name.to_string()).collect();
            SimError::UnknownHost { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.network.borrow().seed
    }

    /// A source of random numbers for a test or a program: the same seed and name give the same numbers, and no other draw
    /// of the simulation depends on it.
    pub fn rng(&self, name: &str) -> Rng {
        Rng::new(self.seed(), &format!("program {name}"))
    }

    /// The names of hosts, routers and scripted peers by their number in events.
    pub fn names(&self) -> Vec<(HostId, String)> {
        let network = self.network.borrow();
        let numbered = (0..).zip(&network.fabric.nodes);
        numbered.map(|(number, node)| (HostId(number), node.name.to_string())).collect()
    }

    /// Panics at the caller, with the seed in the message.
    #[track_caller]
    fn or_panic<T>(&self, result: Result<T, SimError>) -> T {
        match (result, self.network.try_borrow()) {
            (Ok(value), _) => value,
            (Err(error), Ok(network)) => panic!("{error} (seed {})", network.seed),
            (Err(error), Err(_)) => panic!("{error}"),
        }
    }

    fn check_name(&self, name: &str) -> Result<(), SimError> {
        self.network.try_borrow().map_err(|_| SimError::Busy)?;
        if name.is_empty() || name.contains(|c: char| matches!(c, '>' | ':' | '=' | ',') || c.is_whitespace()) {
            return Err(SimError::Name(name.to_owned()));
        }
        if self.id(name).is_some() {
            return Err(SimError::NameTaken(name.to_owned()));
        }
        Ok(())
    }

    fn handle(&self, id: HostId) -> HostHandle {
        let network = self.network.borrow();
        let node = &network.fabric.nodes[id.0 as usize];
        let (name, addresses) = (Rc::clone(&node.name), node.addresses.as_slice().into());
        HostHandle { network: Rc::downgrade(&self.network), id, name, addresses }
    }
}

/// Refuses settings that are out of range.
fn check_config(host: &str, config: &HostConfig) -> Result<(), SimError> {
    let wrong = |what: &str| Err(SimError::Setting { host: host.to_owned(), what: what.to_owned() });
    if !(576..=65_535).contains(&config.mtu) {
        return wrong("the mtu is from 576 to 65535 bytes");
    }
    if [config.min_rto, config.initial_rto, config.max_rto].iter().any(Duration::is_zero) {
        return wrong("min_rto, initial_rto and max_rto are above zero");
    }
    if config.window_scale.is_some_and(|shift| shift > 14) {
        return wrong("the window scale is at most 14 (RFC 7323, section 2.3)");
    }
    if config.addresses.is_empty() {
        return wrong("a host has at least one address");
    }
    Ok(())
}

/// Refuses an address that another node has.
fn check_addresses<E>(fabric: &Fabric<E>, addresses: &[(IpAddr, u8)]) -> Result<(), SimError> {
    for &(address, _) in addresses {
        let has = |node: &&fabric::Node<E>| node.addresses.iter().any(|(known, _)| *known == address);
        if let Some(node) = fabric.nodes.iter().find(has) {
            return Err(SimError::AddressTaken { address, host: node.name.to_string() });
        }
    }
    Ok(())
}

impl core::fmt::Debug for Sim {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let network = self.network.borrow();
        write!(f, "Sim(seed {} at {}\n{})", network.seed, network.now(), network.who())
    }
}
