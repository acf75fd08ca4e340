//! The scripted peer: a node without a stack, whose packets are given. It sends them now, at an instant, or as the
//! answer to a packet that arrives. Packets that arrive are kept for the owner of the handle.
//!
//! Tests use it to send what no host would send. Replay uses it to play the recorded side of a conversation. Its packets
//! go over an ordinary link, and become ordinary events.

use core::fmt;
use core::net::IpAddr;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};

use super::fabric::reverse;
use super::host::with;
use super::network::Network;
use super::queue::Slot;
use crate::drive::Endpoint;
use crate::event::HostId;
use crate::net::Runtime;
use crate::segment::{Packet, complete_checksums};
use crate::time::Instant;

/// Makes the answer to a packet that has arrived.
type Responder = Box<dyn FnMut(Instant, &[u8]) -> Option<Vec<u8>>>;

/// A packet that has arrived at a scripted peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// When.
    pub at: Instant,
    /// The packet, from its IP header on.
    pub bytes: Vec<u8>,
}

/// How many packets a scripted peer sent and took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PeerCounters {
    /// Packets that it sent.
    pub sent: u64,
    /// Packets that arrived, those that were refused included.
    pub arrived: u64,
    /// Packets that were given for later or that arrived, and for which its queue had no room.
    pub refused: u64,
}

/// The state of a scripted peer, beside its name and addresses.
pub(super) struct ScriptedPeer {
    slot: Slot,
    /// Packets to be sent, by instant, and of one instant in the order in which they were given.
    scheduled: BTreeMap<(Instant, u64), Packet>,
    responder: Option<Responder>,
    arrived: VecDeque<Arrived>,
    counters: PeerCounters,
    /// Packets scheduled so far.
    given: u64,
}

impl ScriptedPeer {
    /// The most packets that wait to be sent, and the most that wait to be taken.
    pub(super) const LIMIT: usize = 65_536;

    pub(super) fn new(slot: Slot) -> Self {
        Self {
            slot,
            scheduled: BTreeMap::new(),
            responder: None,
            arrived: VecDeque::new(),
            counters: PeerCounters::default(),
            given: 0,
        }
    }
}

impl fmt::Display for ScriptedPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PeerCounters { sent, arrived, refused } = self.counters;
        write!(f, "sent {sent}, arrived {arrived}, refused {refused}, scheduled {}", self.scheduled.len())
    }
}

impl<E: Endpoint> Network<E> {
    /// A packet has come to a scripted peer.
    pub(super) fn reach_peer(&mut self, peer: HostId, mut packet: Packet) {
        complete_checksums(&mut packet);
        let now = self.now();
        let node = self.fabric.peer(peer);
        node.counters.arrived += 1;
        let answer = node.responder.as_mut().and_then(|respond| respond(now, &packet.bytes));
        if node.arrived.len() < ScriptedPeer::LIMIT {
            node.arrived.push_back(Arrived { at: now, bytes: packet.bytes.clone() });
        } else {
            node.counters.refused += 1;
        }
        self.pool.give_back(packet);
        if let Some(bytes) = answer {
            self.peer_sends(peer, Packet::new(bytes));
        }
    }

    /// Sends what a scripted peer has for this instant.
    pub(super) fn send_scheduled(&mut self, peer: HostId) {
        let now = self.now();
        while let Some(entry) = self.fabric.peer(peer).scheduled.first_entry()
            && entry.key().0 <= now
        {
            let packet = entry.remove();
            self.peer_sends(peer, packet);
        }
        self.schedule_peer(peer);
    }

    /// Sends a packet. What its link delivers at this very instant is handled at once, before other events of the instant.
    fn inject(&mut self, peer: HostId, packet: Packet) {
        self.peer_sends(peer, packet);
        for at in 0..self.fabric.node(peer).links.len() {
            let link = self.fabric.node(peer).links[at];
            while self.fabric.link(link).next_at().is_some_and(|at| at <= self.now()) {
                self.deliver(link);
            }
        }
    }

    /// As [`Network::inject`], but a host at the end of the link only takes the packet. It runs when the simulation runs.
    #[cfg(feature = "drill")]
    fn inject_held(&mut self, peer: HostId, packet: Packet) {
        self.peer_sends(peer, packet);
        for at in 0..self.fabric.node(peer).links.len() {
            let link = self.fabric.node(peer).links[at];
            while self.fabric.link(link).next_at().is_some_and(|at| at <= self.now()) {
                if let Some(host) = self.hand_over(link) {
                    self.wake(host);
                }
            }
        }
    }

    fn inject_at(&mut self, peer: HostId, at: Instant, packet: Packet) {
        let at = at.max(self.now());
        let node = self.fabric.peer(peer);
        if node.scheduled.len() == ScriptedPeer::LIMIT {
            node.counters.refused += 1;
            return;
        }
        node.given += 1;
        node.scheduled.insert((at, node.given), packet);
        self.schedule_peer(peer);
    }

    fn peer_sends(&mut self, peer: HostId, packet: Packet) {
        self.fabric.peer(peer).counters.sent += 1;
        self.send(peer, packet);
    }

    fn schedule_peer(&mut self, peer: HostId) {
        let node = self.fabric.peer(peer);
        let (slot, at) = (node.slot, node.scheduled.keys().next().map(|(at, _)| *at));
        self.scheduler.set_deadline(slot, at);
    }

    /// Gives a scripted peer what its links deliver by now, and takes the oldest packet that it has.
    pub(super) fn poll_arrived(&mut self, peer: HostId) -> Option<Arrived> {
        for at in 0..self.fabric.node(peer).links.len() {
            let towards = reverse(self.fabric.node(peer).links[at]);
            while self.fabric.link(towards).next_at().is_some_and(|at| at <= self.now()) {
                self.deliver(towards);
            }
        }
        self.fabric.peer(peer).arrived.pop_front()
    }
}

/// A scripted peer of a [`Sim`](super::Sim). Clones are the same peer. It can be used wherever a name is expected.
#[derive(Clone)]
pub struct PeerHandle {
    pub(super) network: Weak<RefCell<Network<Runtime>>>,
    pub(super) id: HostId,
    pub(super) name: Rc<str>,
    pub(super) addresses: Rc<[(IpAddr, u8)]>,
}

impl PeerHandle {
    /// Sends a packet at the present instant. `packet` begins with its IP header and is sent as it is. Over a link without
    /// delay it is handled before this returns, and before every other event of the instant.
    pub fn inject(&self, packet: Vec<u8>) {
        self.inject_packet(Packet::new(packet));
    }

    pub(crate) fn inject_packet(&self, packet: Packet) {
        with(&self.network, |network| network.inject(self.id, packet));
    }

    /// As [`PeerHandle::inject`], but the host does not answer until the simulation runs. Calls made before that are made
    /// in the same turn of the host.
    #[cfg(feature = "drill")]
    pub(crate) fn inject_held(&self, packet: Vec<u8>) {
        with(&self.network, |network| network.inject_held(self.id, Packet::new(packet)));
    }

    /// Sends a packet at an instant. A past instant means now. Packets of the same instant keep the order in which they
    /// were given. More than 65,536 that wait are refused, and counted.
    pub fn inject_at(&self, at: Instant, packet: Vec<u8>) {
        with(&self.network, |network| network.inject_at(self.id, at, Packet::new(packet)));
    }

    /// Calls `respond` with each packet that arrives, and its instant. The packet that it returns is sent at once.
    pub fn respond(&self, respond: impl FnMut(Instant, &[u8]) -> Option<Vec<u8>> + 'static) {
        with(&self.network, |network| network.fabric.peer(self.id).responder = Some(Box::new(respond)));
    }

    /// Takes the oldest packet that has arrived and was not taken. 65,536 are kept; what arrives beyond them is refused, and
    /// counted.
    pub fn poll_packet(&self) -> Option<Arrived> {
        with(&self.network, |network| network.poll_arrived(self.id))
    }

    /// How many packets it sent and took.
    pub fn counters(&self) -> PeerCounters {
        with(&self.network, |network| network.fabric.peer(self.id).counters)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number in events.
    pub fn id(&self) -> HostId {
        self.id
    }

    /// Its first address.
    pub fn address(&self) -> IpAddr {
        self.addresses[0].0
    }
}

impl AsRef<str> for PeerHandle {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for PeerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerHandle({})", self.name)
    }
}
