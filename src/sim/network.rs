//! The loop: hosts and cables, one clock that jumps from event to event, one queue that says which is next.
//!
//! ```text
//!   queue --> a packet at the end of a link --> handle_packet --+
//!         '-> the deadline of a host ---------> handle_timeout -+--> run --> poll_transmit until false --> into links
//!   woken --> (the test did something) -------------------------+
//! ```
//!
//! At a router a packet goes straight on into the next link (`forward`).
//!
//! One event is one packet or one deadline at one host, with all that this host does about it at that instant; what it
//! does reaches another host only through a link. Events at the same instant come in the order in which they were
//! arranged: a packet when it was sent, a deadline when the host first named it.

use core::net::IpAddr;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::rc::Rc;

use super::endpoint::Endpoint;
use super::gave_up::{GaveUp, Reason};
use super::queue::{EventQueue, Slot};
use super::router::Router;
use super::routes::{Route, RouteTable, Topology};
use crate::device::{Cable, End, Pool};
use crate::event::{DropReason, Event, HostEvent, HostId, LinkId, Observer, Observers};
use crate::link::{Link, LinkSpec};
use crate::segment::{IpView, Packet, PacketId};
use crate::time::Instant;

/// More packets than a host can have to send at one instant: a stack that never stops is our bug.
const MOST_PACKETS_AT_ONCE: u32 = 10_000_000;

pub(super) struct Network<E> {
    pub(super) seed: u64,
    pub(super) now: Instant,
    /// Hosts and routers, by their numbers.
    pub(super) nodes: Vec<Node<E>>,
    pub(super) names: BTreeMap<Rc<str>, HostId>,
    pub(super) cables: Vec<Cable>,
    /// By the numbers of the nodes that they join, the smaller first.
    cable_between: BTreeMap<(HostId, HostId), usize>,
    /// A node or a cable was added since the routes were computed.
    routes_are_old: bool,
    pub(super) routers: u32,
    pub(super) pool: Pool,
    /// Always at hand for a host that may have something to send.
    next: Packet,
    pub(super) programs: Vec<Program>,
    /// Programs started so far, to name them.
    pub(super) spawned: u64,
    observers: Observers,
    queue: EventQueue,
    /// What each slot of the queue belongs to.
    sources: Vec<Source>,
    /// The slots of the link directions, by number.
    link_slots: Vec<Slot>,
    /// Hosts to be run at this instant although nothing arrived.
    woken: VecDeque<HostId>,
    packets: u64,
    sequence: u64,
}

/// A host or a router.
pub(super) struct Node<E> {
    pub(super) name: Rc<str>,
    pub(super) addresses: Vec<(IpAddr, u8)>,
    pub(super) role: Role<E>,
    links: Vec<LinkId>,
    /// Of routers, and of hosts with several links.
    routes: RouteTable,
}

pub(super) enum Role<E> {
    Host(Seat<E>),
    Router(Router),
}

/// The place of a host in the loop.
pub(super) struct Seat<E> {
    pub(super) endpoint: E,
    slot: Slot,
    woken: bool,
}

/// A program that has to end before the network is at rest.
pub(super) struct Program {
    pub(super) name: String,
    pub(super) ended: Rc<Cell<bool>>,
}

#[derive(Clone, Copy)]
enum Source {
    Host(HostId),
    Link(LinkId),
}

/// What became of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// One event was handled.
    Done,
    /// The next event is later than was allowed.
    Later,
    /// There is no next event.
    Idle,
}

const fn place(link: LinkId) -> (usize, End) {
    (link.0 as usize / 2, if link.0.is_multiple_of(2) { End::A } else { End::B })
}

impl<E: Endpoint> Network<E> {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            now: Instant::EPOCH,
            nodes: Vec::new(),
            names: BTreeMap::new(),
            cables: Vec::new(),
            cable_between: BTreeMap::new(),
            routes_are_old: false,
            routers: 0,
            pool: Pool::new(1500),
            next: Packet::default(),
            programs: Vec::new(),
            spawned: 0,
            observers: Observers::default(),
            queue: EventQueue::default(),
            sources: Vec::new(),
            link_slots: Vec::new(),
            woken: VecDeque::new(),
            packets: 0,
            sequence: 0,
        }
    }

    pub(super) fn add_host(&mut self, name: &str, addresses: Vec<(IpAddr, u8)>, mut endpoint: E) -> HostId {
        let slot = self.add_source(Source::Host(HostId(self.nodes.len() as u32)));
        endpoint.observe_events(!self.observers.is_empty());
        endpoint.observe_numbers(self.observers.wants_numbers());
        let id = self.add_node(name, addresses, Role::Host(Seat { endpoint, slot, woken: false }));
        self.wake(id);
        id
    }

    pub(super) fn add_router(&mut self, name: &str) -> HostId {
        let router = Router::new(self.routers);
        self.routers += 1;
        self.add_node(name, Vec::new(), Role::Router(router))
    }

    fn add_node(&mut self, name: &str, addresses: Vec<(IpAddr, u8)>, role: Role<E>) -> HostId {
        let id = HostId(self.nodes.len() as u32);
        let name: Rc<str> = name.into();
        self.names.insert(Rc::clone(&name), id);
        self.nodes.push(Node { name, addresses, role, links: Vec::new(), routes: RouteTable::default() });
        self.routes_are_old = true;
        id
    }

    /// The seat of a host.
    #[inline]
    pub(super) fn seat(&mut self, host: HostId) -> &mut Seat<E> {
        match &mut self.nodes[host.0 as usize].role {
            Role::Host(seat) => seat,
            Role::Router(_) => unreachable!("a router has no programs and no deadlines"),
        }
    }

    /// The cable between two nodes: there is one at most, and it is made when it is first asked for.
    pub(super) fn cable(&mut self, a: HostId, b: HostId) -> usize {
        let between = (a.min(b), a.max(b));
        if let Some(at) = self.cable_between.get(&between) {
            return *at;
        }
        let at = self.cables.len();
        let mut direction = |from: HostId, to: HostId, id: LinkId| {
            let name = format!("{}>{}", self.nodes[from.0 as usize].name, self.nodes[to.0 as usize].name);
            let slot = self.add_source(Source::Link(id));
            self.link_slots.push(slot);
            self.nodes[from.0 as usize].links.push(id);
            (Link::new(&LinkSpec::default(), self.seed, &name), id, from)
        };
        let first = LinkId(2 * at as u32);
        let links = [direction(a, b, first), direction(b, a, LinkId(first.0 + 1))];
        self.cables.push(Cable::new(links));
        self.cable_between.insert(between, at);
        self.routes_are_old = true;
        at
    }

    pub(super) fn observe(&mut self, observer: Rc<RefCell<dyn Observer>>) {
        self.observers.add(observer);
        for node in &mut self.nodes {
            if let Role::Host(seat) = &mut node.role {
                seat.endpoint.observe_events(true);
                seat.endpoint.observe_numbers(self.observers.wants_numbers());
            }
        }
    }

    /// Has the host run at this instant, before the next event.
    pub(super) fn wake(&mut self, host: HostId) {
        if !core::mem::replace(&mut self.seat(host).woken, true) {
            self.woken.push_back(host);
        }
    }

    /// Handles the next event if it is not later than `until`.
    pub(super) fn step(&mut self, until: Instant) -> Step {
        if let Some(host) = self.woken.pop_front() {
            self.seat(host).woken = false;
            self.turn(host);
            return Step::Done;
        }
        let Some((at, slot)) = self.queue.peek() else {
            return Step::Idle;
        };
        if at > until {
            return Step::Later;
        }
        self.now = at;
        match self.sources[EventQueue::number(slot)] {
            Source::Link(link) => self.deliver(link),
            Source::Host(host) => {
                self.queue.set(slot, None);
                self.seat(host).endpoint.handle_timeout(at);
                self.publish(host, None);
                self.turn(host);
            }
        }
        Step::Done
    }

    /// Whether [`Network::step`] would handle an event.
    pub(super) fn is_due(&self, until: Instant) -> bool {
        !self.woken.is_empty() || self.queue.peek().is_some_and(|(at, _)| at <= until)
    }

    /// The programs that have to end and have not.
    pub(super) fn unfinished(&mut self) -> Vec<String> {
        self.programs.retain(|program| !program.ended.get());
        self.programs.iter().map(|program| program.name.clone()).collect()
    }

    /// Who waits for what, for a message.
    pub(super) fn who(&self) -> String {
        let mut text = String::new();
        let mut line = |line: core::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a String takes everything");
        for node in &self.nodes {
            let seat = match &node.role {
                Role::Host(seat) => seat,
                Role::Router(router) => {
                    line(format_args!("  router {}: {router}", node.name));
                    continue;
                }
            };
            match self.queue.key(seat.slot) {
                Some((at, _)) => line(format_args!("  host {}: next deadline {at}", node.name)),
                None => line(format_args!("  host {}: no deadline", node.name)),
            }
            for waiting in seat.endpoint.waiting() {
                line(format_args!("    {waiting}"));
            }
        }
        for link in self.cables.iter().flat_map(|cable| [&cable[End::A], &cable[End::B]]) {
            match link.next_at() {
                Some(at) => line(format_args!("  link {}: {}, next arrival {at}", link.name(), link.counters())),
                None => line(format_args!("  link {}: {}", link.name(), link.counters())),
            }
        }
        text
    }

    pub(super) fn give_up(&self, reason: Reason) -> GaveUp {
        GaveUp { reason, at: self.now, who: self.who() }
    }

    fn add_source(&mut self, source: Source) -> Slot {
        self.sources.push(source);
        self.queue.add_slot()
    }

    fn deliver(&mut self, link: LinkId) {
        let (cable, end) = place(link);
        let cable = &mut self.cables[cable];
        let mut packet = cable.poll_packet(self.now, end).expect("a link stands in the queue with its next arrival");
        self.queue.set(self.link_slots[link.0 as usize], cable[end].next_key());
        let host = cable.host(!end);
        self.observers.on_event(self.now, &Event::Delivered { host, link, packet: &packet });
        let Role::Host(seat) = &mut self.nodes[host.0 as usize].role else {
            return self.forward(host, packet);
        };
        seat.endpoint.handle_packet(self.now, &mut packet);
        self.publish(host, Some(&packet));
        self.pool.give_back(packet);
        self.turn(host);
    }

    /// All that a host does at this instant after its input.
    fn turn(&mut self, host: HostId) {
        let now = self.now;
        self.seat(host).endpoint.run(now);
        self.publish(host, None);
        let mut sent = 0;
        while let Role::Host(seat) = &mut self.nodes[host.0 as usize].role
            && seat.endpoint.poll_transmit(now, &mut self.next)
        {
            let packet = core::mem::replace(&mut self.next, self.pool.take());
            self.transmit(host, packet);
            self.publish(host, None);
            sent += 1;
            assert!(sent < MOST_PACKETS_AT_ONCE, "{} sends without end", self.nodes[host.0 as usize].name);
        }
        self.publish(host, None);
        self.arrange(host);
    }

    /// Puts the next deadline of a host into the queue; one that is over is due now.
    fn arrange(&mut self, host: HostId) {
        let now = self.now;
        let seat = self.seat(host);
        let (at, slot) = (seat.endpoint.next_at().map(|at| at.max(now)), seat.slot);
        let old = self.queue.key(slot);
        if at != old.map(|(at, _)| at) {
            self.sequence += 1;
            self.queue.set(slot, at.map(|at| (at, self.sequence)));
        }
    }

    fn transmit(&mut self, host: HostId, mut packet: Packet) {
        self.number(&mut packet);
        // The only link, or the one that leads to the destination.
        let link = match self.nodes[host.0 as usize].links[..] {
            [only] => Some(only),
            _ => match IpView::parse(&packet.bytes).ok().and_then(|ip| self.route(host, ip.dst)) {
                Some(Route::Via(link)) => Some(link),
                Some(Route::OnLink) | None => None,
            },
        };
        match link {
            Some(link) => self.enter_link(link, packet),
            None => self.drop(host, packet, DropReason::NoRoute),
        }
    }

    /// A packet that was not there before gets its number.
    pub(super) fn number(&mut self, packet: &mut Packet) {
        self.packets += 1;
        packet.meta.id = PacketId(self.packets);
        packet.meta.forwarded = false;
    }

    /// Puts a packet into a link.
    #[inline]
    pub(super) fn enter_link(&mut self, link: LinkId, packet: Packet) {
        let (cable, end) = place(link);
        let cable = &mut self.cables[cable];
        cable.handle_packet(self.now, end, packet, &mut self.sequence, &mut self.pool, &mut self.observers);
        self.queue.set(self.link_slots[link.0 as usize], cable[end].next_key());
    }

    /// A packet ends at a host or router.
    pub(super) fn drop(&mut self, host: HostId, packet: Packet, why: DropReason) {
        self.observers.on_event(self.now, &Event::StackDropped { host, packet: &packet, why });
        self.pool.give_back(packet);
    }

    /// What the table of a node says about a destination.
    #[inline]
    pub(super) fn route(&mut self, node: HostId, destination: IpAddr) -> Option<Route> {
        if self.routes_are_old {
            self.compute_routes();
        }
        self.nodes[node.0 as usize].routes.look_up(destination)
    }

    #[cold]
    fn compute_routes(&mut self) {
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            if node.links.len() > 1 || matches!(node.role, Role::Router(_)) {
                self.nodes[at].routes = RouteTable::compute(&*self, HostId(at as u32));
            }
        }
        self.routes_are_old = false;
    }

    /// The link direction with this number.
    pub(super) fn link(&self, link: LinkId) -> &Link {
        let (cable, end) = place(link);
        &self.cables[cable][end]
    }

    /// Hands what happened inside a host to the observers. `packet` is the one just handled, if any.
    #[inline]
    fn publish(&mut self, host: HostId, packet: Option<&Packet>) {
        if !self.observers.is_empty() {
            self.publish_all(host, packet);
        }
    }

    #[cold]
    fn publish_all(&mut self, host: HostId, packet: Option<&Packet>) {
        let now = self.now;
        while let Some(event) = self.seat(host).endpoint.poll_event() {
            let event = match (event, packet) {
                (HostEvent::Dropped { why }, Some(packet)) => Event::StackDropped { host, packet, why },
                (event, _) => Event::Host { host, event },
            };
            self.observers.on_event(now, &event);
        }
    }
}

impl<E> Topology for Network<E> {
    fn neighbours(&self, node: HostId) -> impl Iterator<Item = (LinkId, HostId)> {
        self.nodes[node.0 as usize].links.iter().map(|link| {
            let (cable, end) = place(*link);
            (*link, self.cables[cable].host(!end))
        })
    }

    fn is_router(&self, node: HostId) -> bool {
        matches!(self.nodes[node.0 as usize].role, Role::Router(_))
    }

    fn addresses(&self, node: HostId) -> &[(IpAddr, u8)] {
        &self.nodes[node.0 as usize].addresses
    }

    fn len(&self) -> usize {
        self.nodes.len()
    }
}
