//! The loop: hosts and cables, one clock that jumps from event to event, one queue that says which is next.
//!
//! ```text
//!   queue --> a packet at the end of a link --> handle_packet --+
//!         '-> the deadline of a host ---------> handle_timeout -+--> run --> poll_transmit until false --> into links
//!   woken --> (the test did something) -------------------------+
//! ```
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
use crate::device::{Cable, End, Pool};
use crate::event::{DropReason, Event, HostEvent, HostId, LinkId, Observer};
use crate::link::{Link, LinkSpec};
use crate::segment::{IpView, Packet, PacketId};
use crate::time::Instant;

/// More packets than a host can have to send at one instant: a stack that never stops is our bug.
const MOST_PACKETS_AT_ONCE: u32 = 10_000_000;

pub(super) struct Network<E> {
    pub(super) seed: u64,
    pub(super) now: Instant,
    pub(super) hosts: Vec<Node<E>>,
    pub(super) cables: Vec<Cable>,
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

pub(super) struct Node<E> {
    pub(super) name: Rc<str>,
    pub(super) addresses: Vec<(IpAddr, u8)>,
    pub(super) endpoint: E,
    slot: Slot,
    woken: bool,
    links: Vec<LinkId>,
    /// With several links: which one leads to an address. Filled from the neighbours; routers will fill it too.
    routes: BTreeMap<IpAddr, LinkId>,
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

#[derive(Default)]
struct Observers(Vec<Rc<RefCell<dyn Observer>>>);

impl Observer for Observers {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        for observer in &self.0 {
            observer.borrow_mut().on_event(at, event);
        }
    }

    fn wants_numbers(&self) -> bool {
        self.0.iter().any(|observer| observer.borrow().wants_numbers())
    }
}

const fn place(link: LinkId) -> (usize, End) {
    (link.0 as usize / 2, if link.0.is_multiple_of(2) { End::A } else { End::B })
}

impl<E: Endpoint> Network<E> {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            now: Instant::EPOCH,
            hosts: Vec::new(),
            cables: Vec::new(),
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
        let id = HostId(self.hosts.len() as u32);
        let slot = self.add_source(Source::Host(id));
        endpoint.observe_events(!self.observers.0.is_empty());
        endpoint.observe_numbers(self.observers.wants_numbers());
        self.hosts.push(Node {
            name: name.into(),
            addresses,
            endpoint,
            slot,
            woken: false,
            links: Vec::new(),
            routes: BTreeMap::new(),
        });
        self.wake(id);
        id
    }

    /// The cable between two hosts: there is one at most, and it is made when it is first asked for.
    pub(super) fn cable(&mut self, a: HostId, b: HostId) -> usize {
        let joins = |cable: &Cable| [cable.host(End::A), cable.host(End::B)];
        if let Some(at) = self.cables.iter().position(|cable| joins(cable) == [a, b] || joins(cable) == [b, a]) {
            return at;
        }
        let at = self.cables.len();
        let mut direction = |from: HostId, to: HostId, id: LinkId| {
            let name = format!("{}>{}", self.hosts[from.0 as usize].name, self.hosts[to.0 as usize].name);
            let slot = self.add_source(Source::Link(id));
            self.link_slots.push(slot);
            let routes =
                self.hosts[to.0 as usize].addresses.iter().map(|(address, _)| (*address, id)).collect::<Vec<_>>();
            let sender = &mut self.hosts[from.0 as usize];
            sender.links.push(id);
            sender.routes.extend(routes);
            (Link::new(&LinkSpec::default(), self.seed, &name), id, from)
        };
        let first = LinkId(2 * at as u32);
        let links = [direction(a, b, first), direction(b, a, LinkId(first.0 + 1))];
        self.cables.push(Cable::new(links));
        at
    }

    pub(super) fn observe(&mut self, observer: Rc<RefCell<dyn Observer>>) {
        self.observers.0.push(observer);
        for node in &mut self.hosts {
            node.endpoint.observe_events(true);
            node.endpoint.observe_numbers(self.observers.wants_numbers());
        }
    }

    /// Has the host run at this instant, before the next event.
    pub(super) fn wake(&mut self, host: HostId) {
        let node = &mut self.hosts[host.0 as usize];
        if !core::mem::replace(&mut node.woken, true) {
            self.woken.push_back(host);
        }
    }

    /// Handles the next event if it is not later than `until`.
    pub(super) fn step(&mut self, until: Instant) -> Step {
        if let Some(host) = self.woken.pop_front() {
            self.hosts[host.0 as usize].woken = false;
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
                self.hosts[host.0 as usize].endpoint.handle_timeout(at);
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
        for node in &self.hosts {
            match self.queue.key(node.slot) {
                Some((at, _)) => line(format_args!("  host {}: next deadline {at}", node.name)),
                None => line(format_args!("  host {}: no deadline", node.name)),
            }
            for waiting in node.endpoint.waiting() {
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
        self.hosts[host.0 as usize].endpoint.handle_packet(self.now, &mut packet);
        self.publish(host, Some(&packet));
        self.pool.give_back(packet);
        self.turn(host);
    }

    /// All that a host does at this instant after its input.
    fn turn(&mut self, host: HostId) {
        self.hosts[host.0 as usize].endpoint.run(self.now);
        self.publish(host, None);
        let mut sent = 0;
        while self.hosts[host.0 as usize].endpoint.poll_transmit(self.now, &mut self.next) {
            let packet = core::mem::replace(&mut self.next, self.pool.take());
            self.transmit(host, packet);
            self.publish(host, None);
            sent += 1;
            assert!(sent < MOST_PACKETS_AT_ONCE, "{} sends without end", self.hosts[host.0 as usize].name);
        }
        self.publish(host, None);
        self.arrange(host);
    }

    /// Puts the next deadline of a host into the queue; one that is over is due now.
    fn arrange(&mut self, host: HostId) {
        let node = &mut self.hosts[host.0 as usize];
        let at = node.endpoint.next_at().map(|at| at.max(self.now));
        let old = self.queue.key(node.slot);
        if at != old.map(|(at, _)| at) {
            self.sequence += 1;
            self.queue.set(node.slot, at.map(|at| (at, self.sequence)));
        }
    }

    fn transmit(&mut self, host: HostId, mut packet: Packet) {
        self.packets += 1;
        packet.meta.id = PacketId(self.packets);
        let Some(link) = self.route(host, &packet) else {
            self.observers.on_event(self.now, &Event::StackDropped { host, packet: &packet, why: DropReason::NoRoute });
            self.pool.give_back(packet);
            return;
        };
        let (cable, end) = place(link);
        let cable = &mut self.cables[cable];
        cable.handle_packet(self.now, end, packet, &mut self.sequence, &mut self.pool, &mut self.observers);
        self.queue.set(self.link_slots[link.0 as usize], cable[end].next_key());
    }

    /// The link that a packet leaves by: the only one, or the one that leads to its destination.
    fn route(&self, host: HostId, packet: &Packet) -> Option<LinkId> {
        let node = &self.hosts[host.0 as usize];
        match node.links[..] {
            [only] => Some(only),
            _ => node.routes.get(&IpView::parse(&packet.bytes).ok()?.dst).copied(),
        }
    }

    /// Hands what happened inside a host to the observers. `packet` is the one just handled, if any.
    #[inline]
    fn publish(&mut self, host: HostId, packet: Option<&Packet>) {
        if !self.observers.0.is_empty() {
            self.publish_all(host, packet);
        }
    }

    #[cold]
    fn publish_all(&mut self, host: HostId, packet: Option<&Packet>) {
        let (now, endpoint) = (self.now, &mut self.hosts[host.0 as usize].endpoint);
        while let Some(event) = endpoint.poll_event() {
            let event = match (event, packet) {
                (HostEvent::Dropped { why }, Some(packet)) => Event::StackDropped { host, packet, why },
                (event, _) => Event::Host { host, event },
            };
            self.observers.on_event(now, &event);
        }
    }
}
