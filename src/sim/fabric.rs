//! The fabric of a network: its nodes, and the cables between them.
//!
//! A node is a host, a router or a scripted peer. Nodes and link directions are numbered in the order in which they are
//! made. The two directions of cable `n` are the links `2 n` and `2 n + 1`.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::peer::ScriptedPeer;
use super::queue::Slot;
use super::router::Router;
use super::routes::Topology;
use crate::device::{Cable, CableEnd};
use crate::event::{HostId, LinkId};
use crate::link::{Link, LinkSpec};

/// Nodes and cables, by their numbers.
pub(super) struct Fabric<E> {
    pub(super) nodes: Vec<Node<E>>,
    pub(super) names: BTreeMap<Rc<str>, HostId>,
    pub(super) cables: Vec<Cable>,
    /// By the numbers of the nodes that they join, the smaller first.
    cable_between: BTreeMap<(HostId, HostId), usize>,
    pub(super) routers: u32,
}

/// A host, a router or a scripted peer.
pub(super) struct Node<E> {
    pub(super) name: Rc<str>,
    pub(super) addresses: Vec<(IpAddr, u8)>,
    pub(super) kind: NodeKind<E>,
    pub(super) links: Vec<LinkId>,
}

pub(super) enum NodeKind<E> {
    Host(HostNode<E>),
    Router(Router),
    Peer(Box<ScriptedPeer>),
}

/// A host, as the loop sees it.
pub(super) struct HostNode<E> {
    pub(super) endpoint: E,
    pub(super) slot: Slot,
    /// It is in the list of the scheduler.
    pub(super) woken: bool,
}

/// The cable that a link direction belongs to, and the end that it leaves from.
pub(super) const fn cable_of(link: LinkId) -> (usize, CableEnd) {
    (link.0 as usize / 2, if link.0.is_multiple_of(2) { CableEnd::A } else { CableEnd::B })
}

/// The other direction of a link.
pub(super) const fn reverse(link: LinkId) -> LinkId {
    LinkId(link.0 ^ 1)
}

impl<E> Default for Fabric<E> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            names: BTreeMap::new(),
            cables: Vec::new(),
            cable_between: BTreeMap::new(),
            routers: 0,
        }
    }
}

impl<E> Fabric<E> {
    /// The number of the next node.
    pub(super) fn next_id(&self) -> HostId {
        HostId(self.nodes.len() as u32)
    }

    pub(super) fn add(&mut self, name: &str, addresses: Vec<(IpAddr, u8)>, kind: NodeKind<E>) -> HostId {
        let id = self.next_id();
        let name: Rc<str> = name.into();
        self.names.insert(Rc::clone(&name), id);
        self.nodes.push(Node { name, addresses, kind, links: Vec::new() });
        id
    }

    #[inline]
    pub(super) fn node(&mut self, node: HostId) -> &mut Node<E> {
        &mut self.nodes[node.0 as usize]
    }

    /// A host.
    #[inline]
    pub(super) fn host(&mut self, host: HostId) -> &mut HostNode<E> {
        match &mut self.nodes[host.0 as usize].kind {
            NodeKind::Host(host) => host,
            NodeKind::Router(_) | NodeKind::Peer(_) => unreachable!("only a host has programs"),
        }
    }

    /// A scripted peer.
    pub(super) fn peer(&mut self, peer: HostId) -> &mut ScriptedPeer {
        match &mut self.nodes[peer.0 as usize].kind {
            NodeKind::Peer(peer) => peer,
            NodeKind::Host(_) | NodeKind::Router(_) => unreachable!("a node keeps its kind"),
        }
    }

    /// A router.
    pub(super) fn router(&mut self, router: HostId) -> &mut Router {
        match &mut self.nodes[router.0 as usize].kind {
            NodeKind::Router(router) => router,
            NodeKind::Host(_) | NodeKind::Peer(_) => unreachable!("a node keeps its kind"),
        }
    }

    /// The cable between two nodes, if they are joined.
    pub(super) fn cable_between(&self, a: HostId, b: HostId) -> Option<usize> {
        self.cable_between.get(&(a.min(b), a.max(b))).copied()
    }

    /// Joins two nodes by a cable without rate and delay, and gives its number. Its links draw from `seed` and their names.
    pub(super) fn join(&mut self, a: HostId, b: HostId, seed: u64) -> usize {
        let at = self.cables.len();
        let mut direction = |from: HostId, to: HostId, id: LinkId| {
            let name = format!("{}>{}", self.nodes[from.0 as usize].name, self.nodes[to.0 as usize].name);
            self.nodes[from.0 as usize].links.push(id);
            (Link::new(&LinkSpec::default(), seed, &name), id, from)
        };
        let first = LinkId(2 * at as u32);
        let links = [direction(a, b, first), direction(b, a, LinkId(first.0 + 1))];
        self.cables.push(Cable::new(links));
        self.cable_between.insert((a.min(b), a.max(b)), at);
        at
    }

    /// The link direction with this number.
    pub(super) fn link(&self, link: LinkId) -> &Link {
        let (cable, end) = cable_of(link);
        &self.cables[cable][end]
    }

    /// The node that a link direction leads to.
    pub(super) fn far_end(&self, link: LinkId) -> HostId {
        let (cable, end) = cable_of(link);
        self.cables[cable].host(!end)
    }
}

impl<E> Topology for Fabric<E> {
    fn neighbours(&self, node: HostId) -> impl Iterator<Item = (LinkId, HostId)> {
        self.nodes[node.0 as usize].links.iter().map(|link| (*link, self.far_end(*link)))
    }

    fn is_router(&self, node: HostId) -> bool {
        matches!(self.nodes[node.0 as usize].kind, NodeKind::Router(_))
    }

    fn addresses(&self, node: HostId) -> &[(IpAddr, u8)] {
        &self.nodes[node.0 as usize].addresses
    }

    fn needs_routes(&self, node: HostId) -> bool {
        self.is_router(node) || self.nodes[node.0 as usize].links.len() > 1
    }

    fn len(&self) -> usize {
        self.nodes.len()
    }
}
