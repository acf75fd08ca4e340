//! The loop of a simulation: it takes the next event from the scheduler and carries it out.
//!
//! ```text
//!   scheduler --> a packet at the end of a link --> drive::handle_packet --+
//!             '-> the deadline of a host ---------> drive::handle_timeout -+--> drive::run --> into links
//!   woken ----> (a handle was used) ----------------------------------------+
//! ```
//!
//! One event is one packet or one deadline at one node, with all that the node does about it at that instant. It reaches
//! another node only through a link. At a router a packet goes at once into the next link (`router`). A scripted peer
//! keeps what arrives and sends what it was given (`peer`).

use core::convert::Infallible;
use core::net::IpAddr;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::rc::Rc;

use super::fabric::{Fabric, HostNode, NodeKind, cable_of};
use super::gave_up::{GaveUp, Reason};
use super::peer::ScriptedPeer;
use super::router::Router;
use super::routes::{Route, Routing};
use super::scheduler::{Next, Scheduler, Source};
use crate::device::{CableEnd, Pool};
use crate::drive::{self, Endpoint, Medium};
use crate::event::{DropReason, Event, HostId, LinkId, Observer, Observers};
use crate::link::{LinkChange, LinkLine, SpecError};
use crate::segment::{IpView, Packet, PacketId};
use crate::time::Instant;

pub(super) struct Network<E> {
    pub(super) seed: u64,
    pub(super) fabric: Fabric<E>,
    pub(super) scheduler: Scheduler,
    routing: Routing,
    pub(super) pool: Pool,
    /// A host writes the next packet that it sends into it.
    buffer: Packet,
    pub(super) programs: Vec<RunningProgram>,
    /// Programs started so far, to name them.
    pub(super) spawned: u64,
    observers: Observers,
    /// When each cable that is to change changes next.
    changes: BTreeSet<(Instant, usize)>,
    /// Packets made so far, to number them.
    packets: u64,
}

/// A program that must end before the network is idle.
pub(super) struct RunningProgram {
    pub(super) name: String,
    pub(super) ended: Rc<Cell<bool>>,
}

/// What [`Network::step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// One event was handled.
    Handled,
    /// The next event is later than was allowed.
    Later,
    /// There is no next event.
    Idle,
}

impl<E: Endpoint> Network<E> {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            fabric: Fabric::default(),
            scheduler: Scheduler::default(),
            routing: Routing::default(),
            pool: Pool::new(1500),
            buffer: Packet::default(),
            programs: Vec::new(),
            spawned: 0,
            observers: Observers::default(),
            changes: BTreeSet::new(),
            packets: 0,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.scheduler.now
    }

    pub(super) fn add_host(&mut self, name: &str, addresses: Vec<(IpAddr, u8)>, endpoint: E) -> HostId {
        let slot = self.scheduler.add_node(self.fabric.next_id());
        let host = HostNode { endpoint, slot, woken: false };
        let id = self.fabric.add(name, addresses, NodeKind::Host(host));
        self.routing.forget();
        drive::observe(self, id);
        self.wake(id);
        id
    }

    pub(super) fn add_router(&mut self, name: &str) -> HostId {
        let router = Router::new(self.fabric.routers);
        self.fabric.routers += 1;
        self.routing.forget();
        self.fabric.add(name, Vec::new(), NodeKind::Router(router))
    }

    pub(super) fn add_peer(&mut self, name: &str, addresses: Vec<(IpAddr, u8)>) -> HostId {
        let slot = self.scheduler.add_node(self.fabric.next_id());
        self.routing.forget();
        self.fabric.add(name, addresses, NodeKind::Peer(Box::new(ScriptedPeer::new(slot))))
    }

    /// The host of that number.
    #[inline]
    pub(super) fn host(&mut self, host: HostId) -> &mut HostNode<E> {
        self.fabric.host(host)
    }

    /// The cable between two nodes. There is one at most; it is made at its first use.
    pub(super) fn cable(&mut self, a: HostId, b: HostId) -> usize {
        if let Some(at) = self.fabric.cable_between(a, b) {
            return at;
        }
        let at = self.fabric.join(a, b, self.seed);
        for end in [CableEnd::A, CableEnd::B] {
            self.scheduler.add_link(self.fabric.cables[at].link_id(end));
        }
        self.routing.forget();
        at
    }

    pub(super) fn observe(&mut self, observer: Rc<RefCell<dyn Observer>>) {
        self.observers.add(observer);
        for at in 0..self.fabric.nodes.len() {
            if let NodeKind::Host(_) = self.fabric.nodes[at].kind {
                drive::observe(self, HostId(at as u32));
            }
        }
    }

    /// Has the host run at this instant, before the next event.
    pub(super) fn wake(&mut self, host: HostId) {
        if !core::mem::replace(&mut self.host(host).woken, true) {
            self.scheduler.wake(host);
        }
    }

    /// Takes a link line for one end of a cable: the link changes at once, or at the time of the line. A cable that is new
    /// does not change.
    pub(super) fn set_link(
        &mut self,
        cable: usize,
        end: CableEnd,
        line: &LinkLine,
        is_new: bool,
    ) -> Result<(), SpecError> {
        let now = self.now();
        let link = &mut self.fabric.cables[cable][end];
        if let Some(at) = line.at {
            link.add_change(LinkChange { at, items: line.items.clone() })?;
        } else {
            link.set_spec(line.items.spec());
            if !is_new {
                let (link, items) = (self.fabric.cables[cable].link_id(end), line.items.spec().to_string());
                self.observers.on_event(now, &Event::LinkChanged { link, items: &items });
            }
        }
        self.look_ahead(cable);
        self.make_changes(now);
        Ok(())
    }

    /// An entry that is there already stays: it is the time of a later change.
    fn look_ahead(&mut self, cable: usize) {
        self.changes.extend(self.fabric.cables[cable].next_change_at().map(|at| (at, cable)));
    }

    /// Makes the changes of links up to an instant. They come before the other events of their instant. The clock stands at
    /// each of them for its event.
    pub(super) fn make_changes(&mut self, until: Instant) {
        while let Some((at, cable)) = self.changes.first().copied().filter(|(at, _)| *at <= until) {
            self.changes.pop_first();
            let now = self.scheduler.now.max(at);
            self.scheduler.now = now;
            self.fabric.cables[cable].make_changes(now, &mut self.observers);
            self.look_ahead(cable);
        }
    }

    /// Handles the next event if it is not later than `until`.
    pub(super) fn step(&mut self, until: Instant) -> Progress {
        if !self.changes.is_empty()
            && let Some(next) = self.scheduler.next_at()
        {
            self.make_changes(next.min(until));
        }
        match self.scheduler.next(until) {
            Next::Woken(host) => {
                self.host(host).woken = false;
                self.run(host);
            }
            Next::Event(Source::Link(link)) => self.deliver(link),
            Next::Event(Source::Node(node)) => self.expire(node),
            Next::Later => return Progress::Later,
            Next::Idle => return Progress::Idle,
        }
        Progress::Handled
    }

    /// Whether [`Network::step`] would handle an event.
    pub(super) fn is_due(&self, until: Instant) -> bool {
        self.scheduler.is_due(until)
    }

    /// The programs that must end and have not.
    pub(super) fn unfinished(&mut self) -> Vec<String> {
        self.programs.retain(|program| !program.ended.get());
        self.programs.iter().map(|program| program.name.clone()).collect()
    }

    /// Bytes in the buffers of all hosts.
    pub(super) fn buffered(&self) -> usize {
        let hosts = self.fabric.nodes.iter().map(|node| match &node.kind {
            NodeKind::Host(host) => host.endpoint.buffered(),
            NodeKind::Router(_) | NodeKind::Peer(_) => 0,
        });
        hosts.sum()
    }

    /// Bytes that open descriptors with their connections, and packets on links, take.
    pub(super) fn held(&self) -> usize {
        let descriptors = self.fabric.nodes.iter().map(|node| match &node.kind {
            NodeKind::Host(host) => host.endpoint.open_descriptors(),
            NodeKind::Router(_) | NodeKind::Peer(_) => 0,
        });
        let descriptors: usize = descriptors.sum();
        let on_links: usize = self.fabric.cables.iter().map(crate::device::Cable::memory).sum();
        descriptors * super::Sim::DESCRIPTOR_BYTES + on_links
    }

    /// The waits of all hosts, for a message.
    pub(super) fn who(&self) -> String {
        let mut text = String::new();
        let mut line = |line: core::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a String takes everything");
        for node in &self.fabric.nodes {
            let name = &node.name;
            match &node.kind {
                NodeKind::Host(host) => {
                    match self.scheduler.deadline(host.slot) {
                        Some(at) => line(format_args!("  host {name}: next deadline {at}")),
                        None => line(format_args!("  host {name}: no deadline")),
                    }
                    for waiting in host.endpoint.waiting() {
                        line(format_args!("    {waiting}"));
                    }
                }
                NodeKind::Router(router) => line(format_args!("  router {name}: {router}")),
                NodeKind::Peer(peer) => line(format_args!("  scripted peer {name}: {peer}")),
            }
        }
        for link in self.fabric.cables.iter().flat_map(|cable| [&cable[CableEnd::A], &cable[CableEnd::B]]) {
            match link.next_at() {
                Some(at) => line(format_args!("  link {}: {}, next arrival {at}", link.name(), link.counters())),
                None => line(format_args!("  link {}: {}", link.name(), link.counters())),
            }
        }
        text
    }

    pub(super) fn give_up(&self, reason: Reason) -> GaveUp {
        GaveUp { reason, seed: self.seed, at: self.now(), who: self.who() }
    }

    /// Takes the next packet out of a link direction and gives it to the node at its end.
    pub(super) fn deliver(&mut self, link: LinkId) {
        if let Some(host) = self.hand_over(link) {
            self.run(host);
        }
    }

    /// As [`Network::deliver`], but a host only takes the packet. It is named, and has to be run.
    pub(super) fn hand_over(&mut self, link: LinkId) -> Option<HostId> {
        let now = self.now();
        let (cable, end) = cable_of(link);
        let cable = &mut self.fabric.cables[cable];
        let mut packet = cable.poll_packet(now, end).expect("a link stands in the queue with its next arrival");
        self.scheduler.set_arrival(link, cable[end].next_key());
        let node = cable.host(!end);
        self.observers.complete(&mut packet);
        self.observers.on_event(now, &Event::Delivered { host: node, link, packet: &packet });
        match self.fabric.nodes[node.0 as usize].kind {
            NodeKind::Host(_) => {
                drive::handle_packet(self, now, node, &mut packet);
                self.pool.give_back(packet);
                return Some(node);
            }
            NodeKind::Router(_) => self.forward(node, packet),
            NodeKind::Peer(_) => self.reach_peer(node, packet),
        }
        None
    }

    /// The deadline of a node has come.
    fn expire(&mut self, node: HostId) {
        match &self.fabric.nodes[node.0 as usize].kind {
            NodeKind::Host(host) => {
                self.scheduler.clear_deadline(host.slot);
                drive::handle_timeout(self, self.scheduler.now, node);
                self.run(node);
            }
            NodeKind::Peer(_) => self.send_scheduled(node),
            NodeKind::Router(_) => unreachable!("a router has no deadlines"),
        }
    }

    /// Runs a host after its input: [`drive::run`].
    fn run(&mut self, host: HostId) {
        let Ok(next_at) = drive::run(self, self.scheduler.now, host);
        let slot = self.host(host).slot;
        self.scheduler.set_deadline(slot, next_at);
    }

    /// Sends a packet of a host or scripted peer: into its only link, or into the one that leads to the destination.
    #[inline]
    pub(super) fn send(&mut self, node: HostId, mut packet: Packet) {
        self.number(&mut packet);
        let link = match self.fabric.nodes[node.0 as usize].links[..] {
            [only] => Some(only),
            _ => match IpView::parse(&packet.bytes).ok().and_then(|ip| self.route(node, ip.dst)) {
                Some(Route::Via(link)) => Some(link),
                Some(Route::OnLink) | None => None,
            },
        };
        match link {
            Some(link) => self.enter_link(link, packet),
            None => self.drop(node, packet, DropReason::NoRoute),
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
        let (cable, end) = cable_of(link);
        let cable = &mut self.fabric.cables[cable];
        let Scheduler { now, sequence, .. } = &mut self.scheduler;
        cable.handle_packet(*now, end, packet, sequence, &mut self.pool, &mut self.observers);
        self.scheduler.set_arrival(link, cable[end].next_key());
    }

    /// A packet ends at a node.
    pub(super) fn drop(&mut self, host: HostId, mut packet: Packet, why: DropReason) {
        self.observers.complete(&mut packet);
        self.observers.on_event(self.scheduler.now, &Event::StackDropped { host, packet: &packet, why });
        self.pool.give_back(packet);
    }

    /// The route of a node to a destination.
    #[inline]
    pub(super) fn route(&mut self, node: HostId, destination: IpAddr) -> Option<Route> {
        self.routing.look_up(&self.fabric, node, destination)
    }
}

impl<E: Endpoint> Medium for Network<E> {
    type Endpoint = E;
    type Error = Infallible;

    #[inline]
    fn endpoint(&mut self, host: HostId) -> &mut E {
        &mut self.fabric.host(host).endpoint
    }

    #[inline]
    fn endpoint_and_buffer(&mut self, host: HostId) -> (&mut E, &mut Packet) {
        (&mut self.fabric.host(host).endpoint, &mut self.buffer)
    }

    #[inline]
    fn transmit(&mut self, _now: Instant, host: HostId) -> Result<(), Infallible> {
        let packet = core::mem::replace(&mut self.buffer, self.pool.take());
        self.send(host, packet);
        Ok(())
    }

    #[inline]
    fn observers(&mut self) -> &mut Observers {
        &mut self.observers
    }
}
