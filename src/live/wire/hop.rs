//! A hop between two links: what it does with a packet (RFC 1812). `path` calls it.
//!
//! ```text
//!  packet --> sound? --> for the hop itself? --> TTL --> MTU of the next link --> that link
//!             drop       echo reply, or drop     time    fragmentation needed,
//!                                                exceeded  packet too big
//! ```
//!
//! It never fragments. Hop N has the addresses 10.77.N.1 and `fd77:N::1`.

use core::net::IpAddr;

use crate::event::{DropReason, HostId};
use crate::segment::{IcmpError, IpView, Packet};

#[derive(Debug)]
pub(super) struct Hop {
    /// In events.
    pub(super) host: HostId,
    addresses: [IpAddr; 2],
}

/// What becomes of a packet at a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Forward,
    Drop(DropReason),
    /// It is dropped, and its sender gets an ICMP error, if one may be sent about it.
    Refuse(IcmpError),
    /// It is for the hop, and its sender gets an echo reply.
    Echo,
}

impl Hop {
    /// The hop of this number, from 1 to 255.
    pub(super) fn new(number: usize, host: HostId) -> Self {
        let number = number as u8;
        // The number is written as in the IPv4 address: fd77:12::1 belongs to 10.77.12.1.
        let digits = u16::from(number / 100) << 8 | u16::from(number / 10 % 10) << 4 | u16::from(number % 10);
        let addresses = [IpAddr::from([10, 77, number, 1]), IpAddr::from([0xfd77, digits, 0, 0, 0, 0, 0, 1])];
        Self { host, addresses }
    }

    /// Decides about a packet that would enter a link of this MTU.
    pub(super) fn decide(&self, packet: &Packet, mtu: Option<u16>) -> Verdict {
        let Ok(ip) = IpView::parse(&packet.bytes) else { return Verdict::Drop(DropReason::Malformed) };
        if !ip.header_checksum_ok() {
            return Verdict::Drop(DropReason::Checksum);
        }
        if self.addresses.contains(&ip.dst) {
            return match (ip.is_echo_request(), ip.checksums_ok()) {
                (true, true) => Verdict::Echo,
                (_, false) => Verdict::Drop(DropReason::Checksum),
                _ => Verdict::Drop(DropReason::NoSocket),
            };
        }
        if ip.ttl <= 1 {
            return Verdict::Refuse(IcmpError::TimeExceeded);
        }
        match mtu.filter(|mtu| packet.bytes.len() > usize::from(*mtu)) {
            Some(mtu) => Verdict::Refuse(IcmpError::TooBig { mtu }),
            None => Verdict::Forward,
        }
    }

    /// Writes an ICMP error about a packet into `bytes`, unless none may be sent about it.
    pub(super) fn write_error(&self, error: IcmpError, ip: &IpView<'_>, about: &[u8], bytes: &mut Vec<u8>) {
        if ip.allows_icmp_error() {
            let [v4, v6] = self.addresses;
            error.write(if ip.src.is_ipv4() { v4 } else { v6 }, ip, about, bytes);
        }
    }
}
