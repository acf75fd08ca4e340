//! A router: it forwards packets from one link to the next (RFC 1812). It sends an ICMP error when it cannot. `network`
//! calls it for each packet that arrives.
//!
//! ```text
//!  packet --> sound? --> TTL --> route --> MTU of the next link --> that link
//!             drop       time    net or    fragmentation needed,
//!                        exceeded host      packet too big
//!                                 unreachable
//! ```
//!
//! Forwarding takes no time; links have the delays and queues. A router never fragments. A packet larger than the next
//! link's `mtu` is dropped, and an ICMP error goes to its sender, with and without don't-fragment. (Every packet of a
//! tcplab host has it set.) With [`RouterHandle::set_icmp`]`(false)` there is no ICMP error: a black hole. Routes are
//! static: a link that is down keeps its routes, and packets that enter it are lost without an ICMP error.
//!
//! The links of a router need no addresses. Its ICMP comes from one address of each IP version, from the networks for
//! benchmarks (RFC 2544, RFC 5180): the first router has 198.18.0.1 and `2001:2::1`. No host can send to it.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::cell::RefCell;
use std::rc::{Rc, Weak};

use super::host::with;
use super::network::Network;
use super::routes::Route;
use crate::drive::Endpoint;
use crate::event::{DropReason, HostId, LinkId};
use crate::net::Runtime;
use crate::segment::{IcmpError, IpView, Packet, complete_checksums, decrement_ttl};

/// The state of a router, beside its routes.
#[derive(Debug)]
pub(super) struct Router {
    addresses: [IpAddr; 2],
    icmp: bool,
    forwarded: u64,
    dropped: u64,
}

impl Router {
    /// The router that is made after `others` others.
    pub(super) fn new(others: u32) -> Self {
        let v4 = Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 1).to_bits().wrapping_add(others));
        let v6 = Ipv6Addr::from_bits(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1).to_bits() + u128::from(others));
        Self { addresses: [v4.into(), v6.into()], icmp: true, forwarded: 0, dropped: 0 }
    }
}

impl fmt::Display for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "forwarded {}, dropped {}", self.forwarded, self.dropped)
    }
}

/// The decision about a packet at a router.
enum Forwarding {
    Via(LinkId),
    Drop(DropReason),
    Refuse(IcmpError),
}

impl<E: Endpoint> Network<E> {
    /// Sends a packet that has come to a router on its way.
    pub(super) fn forward(&mut self, at: HostId, mut packet: Packet) {
        let forwarding = self.decide(at, &packet);
        let router = self.fabric.router(at);
        let counter =
            if matches!(forwarding, Forwarding::Via(_)) { &mut router.forwarded } else { &mut router.dropped };
        *counter += 1;
        match forwarding {
            Forwarding::Via(link) => {
                decrement_ttl(&mut packet);
                packet.meta.forwarded = true;
                self.enter_link(link, packet);
            }
            Forwarding::Drop(why) => self.drop(at, packet, why),
            Forwarding::Refuse(error) => self.refuse(at, packet, error),
        }
    }

    fn decide(&mut self, at: HostId, packet: &Packet) -> Forwarding {
        let Ok(ip) = IpView::parse(&packet.bytes) else {
            return Forwarding::Drop(DropReason::Malformed);
        };
        if !packet.meta.sound && !ip.header_checksum_ok() {
            return Forwarding::Drop(DropReason::Checksum);
        }
        if ip.ttl <= 1 {
            return Forwarding::Refuse(IcmpError::TimeExceeded);
        }
        match self.route(at, ip.dst) {
            Some(Route::Via(link)) => match self.fabric.link(link).mtu() {
                Some(mtu) if packet.bytes.len() > usize::from(mtu) => Forwarding::Refuse(IcmpError::TooBig { mtu }),
                _ => Forwarding::Via(link),
            },
            Some(Route::OnLink) => Forwarding::Refuse(IcmpError::HostUnreachable),
            None => Forwarding::Refuse(IcmpError::NetUnreachable),
        }
    }

    /// Drops a packet and sends an ICMP error, if that is permitted and not switched off.
    fn refuse(&mut self, at: HostId, mut packet: Packet, error: IcmpError) {
        // The error quotes the packet.
        complete_checksums(&mut packet);
        let mut message = None;
        let router = self.fabric.router(at);
        if let Ok(ip) = IpView::parse(&packet.bytes)
            && router.icmp
            && ip.allows_icmp_error()
        {
            let [v4, v6] = router.addresses;
            let mut icmp = self.pool.take();
            error.write(if ip.src.is_ipv4() { v4 } else { v6 }, &ip, &packet.bytes, &mut icmp.bytes);
            icmp.meta.sound = true;
            message = Some((icmp, ip.src));
        }
        self.drop(at, packet, error.into());
        if let Some((mut icmp, sender)) = message {
            self.number(&mut icmp);
            match self.route(at, sender) {
                Some(Route::Via(link)) => self.enter_link(link, icmp),
                Some(Route::OnLink) | None => self.drop(at, icmp, DropReason::NoRoute),
            }
        }
    }
}

/// A router of a [`Sim`](super::Sim). Clones are the same router. It can be used wherever a name is expected.
#[derive(Clone)]
pub struct RouterHandle {
    pub(super) network: Weak<RefCell<Network<Runtime>>>,
    pub(super) id: HostId,
    pub(super) name: Rc<str>,
}

impl RouterHandle {
    /// Whether it sends ICMP errors to the senders of packets that it cannot forward. It does by default. Without them
    /// it is a black hole for such packets.
    pub fn set_icmp(&self, on: bool) {
        self.router(|router| router.icmp = on);
    }

    /// The address that its ICMP over IPv4 and over IPv6 comes from.
    pub fn addresses(&self) -> [IpAddr; 2] {
        self.router(|router| router.addresses)
    }

    /// How many packets it has forwarded.
    pub fn forwarded(&self) -> u64 {
        self.router(|router| router.forwarded)
    }

    /// How many packets ended at it.
    pub fn dropped(&self) -> u64 {
        self.router(|router| router.dropped)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number in events.
    pub fn id(&self) -> HostId {
        self.id
    }

    #[track_caller]
    fn router<R>(&self, act: impl FnOnce(&mut Router) -> R) -> R {
        with(&self.network, |network| act(network.fabric.router(self.id)))
    }
}

impl AsRef<str> for RouterHandle {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for RouterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouterHandle({})", self.name)
    }
}
