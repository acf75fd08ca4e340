//! Addresses as keys, and which of them are this host's.
//!
//! Inside the stack every address is 16 octets: an IPv4 address is kept as its IPv4-mapped IPv6 address (RFC 4291,
//! section 2.5.5.2). That makes one table of connections serve both versions, and an IPv6 socket that accepts IPv4
//! needs no second entry. Such addresses never appear on the wire: a packet that claims one is dropped.

use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::event::DropReason;

/// An address as a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Addr(pub(crate) [u8; 16]);

impl Addr {
    pub(crate) fn new(ip: IpAddr) -> Self {
        Self(match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        })
    }

    /// The address as it is on the wire.
    pub(crate) fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.0).to_canonical()
    }
}

/// Both ends of a connection, as the host sees them: the key of every table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FourTuple {
    pub(crate) local: Addr,
    pub(crate) remote: Addr,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

impl FourTuple {
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self::between(&local, &remote)
    }

    /// As [`FourTuple::new`], without a copy of both addresses first.
    pub(crate) fn between(local: &SocketAddr, remote: &SocketAddr) -> Self {
        Self {
            local: Addr::new(local.ip()),
            remote: Addr::new(remote.ip()),
            local_port: local.port(),
            remote_port: remote.port(),
        }
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        SocketAddr::new(self.local.ip(), self.local_port)
    }

    pub(crate) fn remote_addr(&self) -> SocketAddr {
        SocketAddr::new(self.remote.ip(), self.remote_port)
    }
}

impl Hash for FourTuple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for octets in [&self.local.0, &self.remote.0] {
            state.write_u128(u128::from_ne_bytes(*octets));
        }
        state.write_u32(u32::from(self.local_port) << 16 | u32::from(self.remote_port));
    }
}

/// The addresses of a host, and what it can reach.
#[derive(Debug)]
pub(crate) struct Addresses {
    own: Vec<(IpAddr, u8)>,
    default_route: bool,
}

impl Addresses {
    pub(crate) fn new(own: &[(IpAddr, u8)], default_route: bool) -> Self {
        Self { own: own.to_vec(), default_route }
    }

    /// True if `ip` is an address of this host, loopback included.
    pub(crate) fn is_own(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.own.iter().any(|(own, _)| *own == ip)
    }

    /// Whether a packet from outside may have these addresses. No other host sends from an address of this host, and none
    /// sends to or from a loopback address (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3). A mapped address would be
    /// taken for the IPv4 address. Linux calls such packets martian. The other sources are looked at where the packet has no
    /// connection.
    #[inline]
    pub(super) fn check_outside(&self, src: IpAddr, dst: IpAddr) -> Result<(), DropReason> {
        if self.is_own(src) || matches!(src, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
            Err(DropReason::BadSource)
        } else if dst.is_loopback() {
            Err(DropReason::NotLocal)
        } else {
            Ok(())
        }
    }

    /// True if a host can have sent from this address (RFC 1122, section 3.2.1.3; RFC 4291, section 2.7): it is not in 0/8,
    /// not multicast, broadcast or class E, and not a mapped address on the wire. Linux takes class E. In a network of this
    /// host the lowest address is a broadcast address too (RFC 1122, section 3.3.6); Linux takes it since version 5.14.
    pub(crate) fn is_good_source(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(v4) => {
                let first = v4.octets()[0];
                first != 0 && first < 224 && !self.is_directed_broadcast(v4)
            }
            IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast() && v6.to_ipv4_mapped().is_none(),
        }
    }

    /// The broadcast addresses of the networks of this host. A network of one or two addresses has none (RFC 3021).
    fn is_directed_broadcast(&self, ip: Ipv4Addr) -> bool {
        self.own.iter().any(|(own, prefix)| {
            let IpAddr::V4(own) = own else { return false };
            let host_bits = u32::MAX.checked_shr(u32::from(*prefix)).unwrap_or(0);
            let host = ip.to_bits() & host_bits;
            host_bits > 1 && (own.to_bits() ^ ip.to_bits()) & !host_bits == 0 && (host == 0 || host == host_bits)
        })
    }

    /// The source address for a packet to `remote`; `None` if there is no route. An address whose prefix holds `remote`
    /// is preferred, then the first of the same version. Linux asks the routing table; a host here has one interface.
    pub(crate) fn source_for(&self, remote: IpAddr) -> Option<IpAddr> {
        if remote.is_loopback() || self.own.iter().any(|(own, _)| *own == remote) {
            return Some(remote);
        }
        let same_version = || self.own.iter().filter(|(own, _)| own.is_ipv4() == remote.is_ipv4());
        same_version()
            .find(|(own, prefix)| same_prefix(*own, remote, *prefix))
            .or_else(|| same_version().next().filter(|_| self.default_route))
            .map(|(own, _)| *own)
    }
}

fn same_prefix(a: IpAddr, b: IpAddr, len: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(len).min(Ipv4Addr::BITS)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(len).min(Ipv6Addr::BITS)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_source_is_the_address_whose_prefix_holds_the_destination() {
        let own = [(ip("192.0.2.1"), 24), (ip("198.51.100.1"), 24), (ip("2001:db8::1"), 64)];
        let routed = Addresses::new(&own, true);
        assert_eq!(routed.source_for(ip("198.51.100.9")), Some(ip("198.51.100.1")));
        assert_eq!(routed.source_for(ip("203.0.113.9")), Some(ip("192.0.2.1")));
        assert_eq!(routed.source_for(ip("2001:db8::9")), Some(ip("2001:db8::1")));
        assert_eq!(routed.source_for(ip("127.0.0.1")), Some(ip("127.0.0.1")));
        let unrouted = Addresses::new(&own, false);
        assert_eq!(unrouted.source_for(ip("203.0.113.9")), None);
        assert_eq!(unrouted.source_for(ip("192.0.2.9")), Some(ip("192.0.2.1")));
    }

    #[test]
    fn a_source_is_an_address_that_one_host_can_have() {
        let own = [(ip("192.0.2.1"), 24), (ip("203.0.113.5"), 30), (ip("198.51.100.4"), 31), (ip("2001:db8::1"), 64)];
        let addresses = Addresses::new(&own, true);
        let good = ["192.0.2.9", "1.0.0.0", "223.255.255.255", "198.51.100.5", "192.0.3.255", "2001:db8::9", "fe80::9"];
        for good in good {
            assert!(
                addresses.is_good_source(ip(good)) && addresses.check_outside(ip(good), own[0].0).is_ok(),
                "{good}"
            );
        }
        let bad = [
            "0.0.0.0",
            "0.0.0.1",
            "0.255.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.0",
            "254.1.1.1",
            "255.255.255.255",
            "192.0.2.255",
            "192.0.2.0",
            "203.0.113.7",
            "203.0.113.4",
            "::",
            "ff02::1",
            "::ffff:192.0.2.9",
        ];
        for bad in bad {
            assert!(!addresses.is_good_source(ip(bad)), "{bad}");
        }
        for outside in ["192.0.2.1", "2001:db8::1", "127.0.0.1", "127.9.9.9", "::1"] {
            assert_eq!(addresses.check_outside(ip(outside), own[0].0), Err(DropReason::BadSource), "{outside}");
        }
        assert_eq!(addresses.check_outside(ip("192.0.2.9"), ip("127.0.0.1")), Err(DropReason::NotLocal));
    }

    #[test]
    fn addresses_survive_the_way_through_the_key() {
        for text in ["192.0.2.1", "2001:db8::1", "::1", "127.0.0.1"] {
            assert_eq!(Addr::new(ip(text)).ip(), ip(text));
        }
    }
}
