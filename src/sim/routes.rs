//! Static routes, computed from the topology and looked up by the longest prefix (RFC 1812, section 5.2.4.3).
//!
//! [`Routing`] has the table of each router, and of each host with several links. The tables are computed again when
//! they are first used after a change of the fabric. A table holds the address of every host that can be reached (/32,
//! /128) and the network of every such address. A lookup is one probe of a hash map for each prefix length in use, the
//! longest first: it grows neither with the number of routes nor with that of interfaces. Tables are filled by a
//! breadth-first search from their owner: the shortest path by hops. Of equal paths the one over the link made first is
//! used. Hosts do not forward.

use core::net::IpAddr;
use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use crate::event::{HostId, LinkId};

/// The route to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Out by this link.
    Via(LinkId),
    /// The address is of a network at one of our own links, and no host there has it.
    OnLink,
}

/// The tables of all nodes, by their numbers. Nodes that need none have an empty one.
#[derive(Debug, Default)]
pub(super) struct Routing {
    tables: Vec<RouteTable>,
    is_current: bool,
}

impl Routing {
    /// The fabric has changed.
    pub(super) fn forget(&mut self) {
        self.is_current = false;
    }

    /// The route of a node to a destination.
    #[inline]
    pub(super) fn look_up(&mut self, topology: &impl Topology, node: HostId, destination: IpAddr) -> Option<Route> {
        if !self.is_current {
            self.compute(topology);
        }
        self.tables[node.0 as usize].look_up(destination)
    }

    #[cold]
    fn compute(&mut self, topology: &impl Topology) {
        let nodes = (0..topology.len() as u32).map(HostId);
        let table = |node| {
            if topology.needs_routes(node) { RouteTable::compute(topology, node) } else { RouteTable::default() }
        };
        self.tables = nodes.map(table).collect();
        self.is_current = true;
    }
}

/// The routes of one router, or of a host with several links.
#[derive(Debug, Default)]
struct RouteTable {
    v4: Prefixes,
    v6: Prefixes,
    /// The default route.
    default: Option<LinkId>,
}

/// One IP version: for each prefix length in use its routes, the longest first. Addresses are numbers whose lowest bit
/// is the last of the address.
#[derive(Debug, Default)]
struct Prefixes(Vec<(u128, HashMap<u128, Route, FixedState>)>);

/// A node of the topology, as the search sees it.
pub(super) trait Topology {
    /// Its links, in the order in which they were made, each with the node at the other end.
    fn neighbours(&self, node: HostId) -> impl Iterator<Item = (LinkId, HostId)>;
    fn is_router(&self, node: HostId) -> bool;
    fn addresses(&self, node: HostId) -> &[(IpAddr, u8)];
    /// A router, or a host with several links.
    fn needs_routes(&self, node: HostId) -> bool;
    fn len(&self) -> usize;
}

impl RouteTable {
    /// The routes of `owner`.
    fn compute(topology: &impl Topology, owner: HostId) -> Self {
        let mut table = Self::default();
        // The first link on the way to each node that was reached, and how far it is.
        let mut reached = vec![false; topology.len()];
        reached[owner.0 as usize] = true;
        let mut waiting = VecDeque::from([(owner, None, 0)]);
        while let Some((node, first, hops)) = waiting.pop_front() {
            if let Some(first) = first {
                for (address, prefix_len) in topology.addresses(node) {
                    let via = Route::Via(first);
                    table.add(*address, 128, via);
                    table.add(*address, *prefix_len, if hops == 1 { Route::OnLink } else { via });
                }
            }
            if node != owner && !topology.is_router(node) {
                continue;
            }
            for (link, next) in topology.neighbours(node) {
                if !core::mem::replace(&mut reached[next.0 as usize], true) {
                    waiting.push_back((next, first.or(Some(link)), hops + 1));
                }
            }
        }
        if !topology.is_router(owner) {
            table.default =
                topology.neighbours(owner).find(|(_, next)| topology.is_router(*next)).map(|(link, _)| link);
        }
        table
    }

    /// Where to; `None` if no route leads there.
    #[inline]
    fn look_up(&self, destination: IpAddr) -> Option<Route> {
        let found = match destination {
            IpAddr::V4(v4) => self.v4.look_up(v4.to_bits().into()),
            IpAddr::V6(v6) => self.v6.look_up(v6.to_bits()),
        };
        found.or(self.default.map(Route::Via))
    }

    /// Adds a route, unless there is one of this prefix already: the nearest comes first. Longer than the address is the
    /// address itself.
    fn add(&mut self, address: IpAddr, prefix_len: u8, route: Route) {
        let (prefixes, bits, host_bits) = match address {
            IpAddr::V4(v4) => (&mut self.v4, v4.to_bits().into(), 32_u32.saturating_sub(prefix_len.into())),
            IpAddr::V6(v6) => (&mut self.v6, v6.to_bits(), 128_u32.saturating_sub(prefix_len.into())),
        };
        prefixes.add(bits, u128::MAX.checked_shl(host_bits).unwrap_or(0), route);
    }
}

impl Prefixes {
    fn add(&mut self, address: u128, mask: u128, route: Route) {
        // Masks fall from the longest prefix on.
        let at = self.0.partition_point(|(other, _)| *other > mask);
        if self.0.get(at).is_none_or(|(other, _)| *other != mask) {
            self.0.insert(at, (mask, HashMap::default()));
        }
        self.0[at].1.entry(address & mask).or_insert(route);
    }

    #[inline]
    fn look_up(&self, address: u128) -> Option<Route> {
        self.0.iter().find_map(|(mask, routes)| routes.get(&(address & mask)).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes by number: routers, and hosts with an address; links by their ends.
    struct Plan {
        hosts: Vec<Vec<(IpAddr, u8)>>,
        links: Vec<(u32, u32)>,
    }

    impl Topology for Plan {
        fn neighbours(&self, node: HostId) -> impl Iterator<Item = (LinkId, HostId)> {
            let number = |at: usize, back: u32| LinkId(2 * at as u32 + back);
            self.links.iter().enumerate().filter_map(move |(at, (a, b))| match (*a == node.0, *b == node.0) {
                (true, _) => Some((number(at, 0), HostId(*b))),
                (_, true) => Some((number(at, 1), HostId(*a))),
                _ => None,
            })
        }

        fn is_router(&self, node: HostId) -> bool {
            self.hosts[node.0 as usize].is_empty()
        }

        fn addresses(&self, node: HostId) -> &[(IpAddr, u8)] {
            &self.hosts[node.0 as usize]
        }

        fn needs_routes(&self, _node: HostId) -> bool {
            true
        }

        fn len(&self) -> usize {
            self.hosts.len()
        }
    }

    fn plan(nodes: &[&str], links: &[(u32, u32)]) -> Plan {
        let parse = |one| super::super::address::parse_one(one).expect(one);
        let hosts = nodes.iter().map(|text| text.split_whitespace().map(parse).collect()).collect();
        Plan { hosts, links: links.to_vec() }
    }

    fn look_up(plan: &Plan, owner: u32, address: &str) -> Option<Route> {
        RouteTable::compute(plan, HostId(owner)).look_up(address.parse().expect("an address"))
    }

    const fn via(link: u32) -> Route {
        Route::Via(LinkId(link))
    }

    #[test]
    fn the_longest_prefix_wins_and_the_nearest_host_of_a_network_gives_its_route() {
        let plan =
            plan(&["", "", "10.0.0.1/8", "10.1.0.1/16", "10.1.2.1/24 fd00::1/64"], &[(0, 1), (0, 2), (1, 3), (1, 4)]);
        assert_eq!(look_up(&plan, 0, "10.1.2.1"), Some(via(0)));
        assert_eq!(look_up(&plan, 0, "10.1.2.77"), Some(via(0)), "the /24 is behind router 1");
        assert_eq!(look_up(&plan, 0, "10.9.9.9"), Some(Route::OnLink), "the /8 is at a link of router 0");
        assert_eq!(look_up(&plan, 0, "10.0.0.1"), Some(via(2)));
        assert_eq!(look_up(&plan, 1, "10.9.9.9"), Some(via(1)));
        assert_eq!(look_up(&plan, 1, "10.1.2.77"), Some(Route::OnLink));
        assert_eq!(look_up(&plan, 0, "fd00::9"), Some(via(0)));
        assert_eq!(look_up(&plan, 0, "fd01::9"), None);
        assert_eq!(look_up(&plan, 0, "11.0.0.1"), None);
    }

    #[test]
    fn the_shortest_way_wins_and_of_equal_ones_the_link_made_first() {
        // A ring of four routers with a host at the far corner, and a host between two of them that does not forward.
        let nodes = ["", "", "", "", "192.0.2.1/24", "198.51.100.1/24"];
        let ring = plan(&nodes, &[(0, 3), (0, 1), (1, 2), (3, 2), (2, 4), (0, 5), (5, 2)]);
        assert_eq!(look_up(&ring, 0, "192.0.2.1"), Some(via(0)));
        let ring = plan(&nodes, &[(0, 1), (0, 3), (1, 2), (3, 2), (2, 4), (0, 5), (5, 2)]);
        assert_eq!(look_up(&ring, 0, "192.0.2.1"), Some(via(0)));
        let shorter = plan(&nodes, &[(0, 1), (0, 3), (1, 2), (3, 2), (2, 4), (0, 2)]);
        assert_eq!(look_up(&shorter, 0, "192.0.2.1"), Some(via(10)));
        assert_eq!(look_up(&shorter, 0, "198.51.100.1"), None, "no link leads there");
    }

    #[test]
    fn a_host_of_several_links_gives_what_it_does_not_know_to_its_first_router() {
        let plan = plan(&["192.0.2.1/24", "192.0.2.2/24", "", "203.0.113.1/24"], &[(0, 1), (0, 2), (2, 3)]);
        assert_eq!(look_up(&plan, 0, "192.0.2.2"), Some(via(0)));
        assert_eq!(look_up(&plan, 0, "203.0.113.1"), Some(via(2)));
        assert_eq!(look_up(&plan, 0, "8.8.8.8"), Some(via(2)));
        assert_eq!(look_up(&plan, 0, "192.0.2.9"), Some(Route::OnLink));
        assert_eq!(look_up(&plan, 2, "8.8.8.8"), None);
    }

    #[test]
    fn a_lookup_probes_one_map_for_each_prefix_length_however_many_routes_there_are() {
        let hosts: Vec<String> = (0..1_000).map(|n| format!("10.0.{}.{}/24", n / 250, n % 250 + 1)).collect();
        let nodes: Vec<&str> = core::iter::once("").chain(hosts.iter().map(String::as_str)).collect();
        let links: Vec<_> = (1..=1_000).map(|host| (0, host)).collect();
        let table = RouteTable::compute(&plan(&nodes, &links), HostId(0));
        assert_eq!(table.v4.0.iter().map(|(_, routes)| routes.len()).collect::<Vec<_>>(), [1_000, 4]);
        assert_eq!(table.look_up("10.0.3.250".parse().expect("an address")), Some(via(2 * 999)));
    }
}
