//! The bind table of one protocol: which local ports are held, by whom, and which is free.
//!
//! The rules are Linux's. Two sockets conflict on a port if their addresses overlap (the same, or one of them a
//! wildcard that covers the other), unless both have `SO_REUSEADDR` and neither listens. Connections, those in TIME-WAIT
//! too, hold the port of the socket they came from.

use core::net::IpAddr;
use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::address::{Addr, FourTuple};

/// The range of ports that are given out: Linux's `ip_local_port_range`.
pub(super) const EPHEMERAL: core::ops::RangeInclusive<u16> = 32_768..=60_999;

/// One kind of holder of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// The address, or a wildcard: `0.0.0.0` (mapped) for IPv4, `::` for IPv6.
    pub(super) addr: Addr,
    /// For the wildcard `::`: does not cover IPv4.
    pub(super) v6_only: bool,
    pub(super) reuse: bool,
    pub(super) role: Role,
}

/// What a holder does with its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Bound by a call.
    Bound,
    /// In LISTEN.
    Listening,
    /// A connection or its TIME-WAIT.
    Connection,
}

/// Ports and their holders.
#[derive(Debug, Default)]
pub(super) struct Ports {
    // Never iterated: looked up by port. Equal holders are counted, so that 100,000 connections of one listener are one.
    held: HashMap<u16, Vec<(Holder, usize)>, FixedState>,
    /// Searches that found all ports held, since the last release. A search looks at 28,232 ports, and thousands of
    /// programs may ask for the same.
    in_vain: Vec<Wanted>,
}

/// Who looks for a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A socket that is bound.
    Binding(Holder),
    /// A connection to this address; its local port is 0.
    Connection(FourTuple),
}

/// So many searches in vain are remembered.
const MOST_IN_VAIN: usize = 4;

impl Ports {
    /// True if `holder` may not have `port`.
    pub(super) fn conflict(&self, port: u16, holder: &Holder) -> bool {
        self.held.get(&port).is_some_and(|others| {
            others.iter().any(|(other, _)| {
                let shared =
                    holder.reuse && other.reuse && holder.role != Role::Listening && other.role != Role::Listening;
                !shared && overlap(holder, other)
            })
        })
    }

    /// True if a socket other than a connection holds `port`.
    pub(super) fn is_bound(&self, port: u16) -> bool {
        self.held.get(&port).is_some_and(|others| others.iter().any(|(other, _)| other.role != Role::Connection))
    }

    /// True if a socket listens at `port` on an address that overlaps that of `holder`.
    pub(super) fn is_listened_on(&self, port: u16, holder: &Holder) -> bool {
        self.held.get(&port).is_some_and(|others| {
            others.iter().any(|(other, _)| other.role == Role::Listening && overlap(holder, other))
        })
    }

    pub(super) fn hold(&mut self, port: u16, holder: Holder) {
        let holders = self.held.entry(port).or_default();
        match holders.iter_mut().find(|(other, _)| *other == holder) {
            Some((_, count)) => *count += 1,
            None => holders.push((holder, 1)),
        }
    }

    pub(super) fn release(&mut self, port: u16, holder: &Holder) {
        self.in_vain.clear();
        let Some(holders) = self.held.get_mut(&port) else { return };
        if let Some(at) = holders.iter().position(|(other, _)| other == holder) {
            holders[at].1 -= 1;
            if holders[at].1 == 0 {
                holders.swap_remove(at);
            }
        }
        if holders.is_empty() {
            self.held.remove(&port);
        }
    }

    /// A free port, looked for from `offset` on; `None` if all are held. A port of which `is_free` says no stays so until
    /// a port is released.
    pub(super) fn ephemeral(
        &mut self,
        wanted: Wanted,
        offset: u32,
        is_free: impl Fn(&Self, u16) -> bool,
    ) -> Option<u16> {
        if self.in_vain.contains(&wanted) {
            return None;
        }
        let (first, count) = (u32::from(*EPHEMERAL.start()), EPHEMERAL.len() as u32);
        let mut ports = (0..count).map(|step| (first + (offset % count + step) % count) as u16);
        let found = ports.find(|port| is_free(self, *port));
        if found.is_none() && self.in_vain.len() < MOST_IN_VAIN {
            self.in_vain.push(wanted);
        }
        found
    }
}

fn overlap(a: &Holder, b: &Holder) -> bool {
    a.addr == b.addr || covers(a, b) || covers(b, a)
}

/// True if the wildcard `a` stands for an address of `b` too.
fn covers(a: &Holder, b: &Holder) -> bool {
    match a.addr.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => b.addr.ip().is_ipv4() || is_dual_wildcard(b),
        IpAddr::V6(v6) if v6.is_unspecified() => b.addr.ip().is_ipv6() || !a.v6_only,
        _ => false,
    }
}

fn is_dual_wildcard(holder: &Holder) -> bool {
    holder.addr.ip().is_unspecified() && !holder.v6_only
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    fn holder(addr: &str, v6_only: bool, reuse: bool, role: Role) -> Holder {
        Holder { addr: Addr::new(addr.parse().expect("an address")), v6_only, reuse, role }
    }

    #[test]
    fn conflicts_are_those_of_linux() {
        use Role::{Bound, Connection, Listening};
        let cases = [
            ("the same address", "192.0.2.1", false, false, Bound, "192.0.2.1", false, false, Bound, true),
            ("another address", "192.0.2.1", false, false, Bound, "192.0.2.2", false, false, Bound, false),
            ("wildcard and address", "0.0.0.0", false, false, Bound, "192.0.2.2", false, false, Bound, true),
            ("address and wildcard", "192.0.2.2", false, false, Bound, "0.0.0.0", false, false, Bound, true),
            ("both reuse", "0.0.0.0", false, true, Bound, "0.0.0.0", false, true, Bound, false),
            ("one reuses", "0.0.0.0", false, true, Bound, "0.0.0.0", false, false, Bound, true),
            ("a listener is in the way", "0.0.0.0", false, true, Listening, "0.0.0.0", false, true, Bound, true),
            ("time-wait with reuse", "192.0.2.1", false, true, Connection, "0.0.0.0", false, true, Bound, false),
            ("time-wait without", "192.0.2.1", false, true, Connection, "0.0.0.0", false, false, Bound, true),
            ("dual stack covers IPv4", "::", false, false, Bound, "0.0.0.0", false, false, Bound, true),
            ("dual stack covers an IPv4 address", "192.0.2.1", false, false, Bound, "::", false, false, Bound, true),
            ("v6only leaves IPv4", "::", true, false, Bound, "0.0.0.0", false, false, Bound, false),
            ("IPv4 wildcard leaves IPv6", "0.0.0.0", false, false, Bound, "2001:db8::1", false, false, Bound, false),
        ];
        for (name, addr, v6_only, reuse, role, addr2, v6_only2, reuse2, role2, expected) in cases {
            let mut ports = Ports::default();
            ports.hold(80, holder(addr, v6_only, reuse, role));
            assert_eq!(ports.conflict(80, &holder(addr2, v6_only2, reuse2, role2)), expected, "{name}");
            assert!(!ports.conflict(81, &holder(addr2, v6_only2, reuse2, role2)), "{name}: another port");
        }
    }

    #[test]
    fn a_port_is_free_when_its_last_holder_has_gone() {
        let mut ports = Ports::default();
        let connection = holder("192.0.2.1", false, false, Role::Connection);
        ports.hold(80, connection);
        ports.hold(80, connection);
        ports.release(80, &connection);
        assert!(ports.conflict(80, &holder("192.0.2.1", false, false, Role::Bound)));
        ports.release(80, &connection);
        assert!(!ports.conflict(80, &holder("192.0.2.1", false, false, Role::Bound)));
    }

    #[test]
    fn ephemeral_ports_come_from_linux_range_and_wrap_around_it() {
        let wanted = Wanted::Binding(holder("192.0.2.1", false, false, Role::Bound));
        let ephemeral =
            |offset, is_free: fn(u16) -> bool| Ports::default().ephemeral(wanted, offset, |_, port| is_free(port));
        assert_eq!(ephemeral(0, |_| true), Some(32_768));
        assert_eq!(ephemeral(28_231, |_| true), Some(60_999));
        assert_eq!(ephemeral(28_231, |port| port != 60_999), Some(32_768));
        assert_eq!(ephemeral(5, |_| false), None);
    }

    #[test]
    fn a_search_in_vain_is_not_made_again_until_a_port_is_released() {
        let connection = holder("192.0.2.1", false, false, Role::Connection);
        let bound = |addr| Wanted::Binding(holder(addr, false, false, Role::Bound));
        let mut ports = Ports::default();
        let looked = Cell::new(0);
        let search = |ports: &mut Ports, wanted| {
            looked.set(0);
            let found = ports.ephemeral(wanted, 0, |ports, port| {
                looked.set(looked.get() + 1);
                !ports.held.contains_key(&port)
            });
            (found, looked.get())
        };
        for port in EPHEMERAL {
            ports.hold(port, connection);
        }
        let all = EPHEMERAL.len();
        assert_eq!(search(&mut ports, bound("192.0.2.1")), (None, all));
        assert_eq!(search(&mut ports, bound("192.0.2.1")), (None, 0));
        assert_eq!(search(&mut ports, bound("192.0.2.2")), (None, all), "another address is looked for");
        ports.release(32_770, &connection);
        assert_eq!(search(&mut ports, bound("192.0.2.1")), (Some(32_770), 3));
    }
}
