//! UDP (RFC 768): tables of connected, bound and wildcard sockets, and receive queues.
//!
//! smoltcp's UDP socket cannot be connected and loses its port's identity in one buffer, so that only its answer for a
//! closed port is used. A datagram that finds its queue full is dropped; nobody is told, as everywhere.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;
use slotmap::SlotMap;

use crate::event::DropReason;
use crate::segment::{IpView, udp_packet};

use super::Stack;
use super::address::{Addr, FourTuple};
use super::calls::{BindError, Binding, choose_port};
use super::connection::ConnectionError;
use super::ports::{Holder, Ports, Role};
use super::ready::Ready;

slotmap::new_key_type! {
    /// Names a UDP socket of a stack.
    pub struct UdpId;
}

/// Packets that a host keeps for a link that has not taken them yet; Linux's `txqueuelen` of 1,000.
const OUT_LIMIT: usize = 1_000;

/// Linux charges every datagram for its kernel structures too; so a queue of empty datagrams is not endless.
const OVERHEAD: usize = 256;

/// The UDP of one host.
#[derive(Default)]
pub(super) struct Udp {
    sockets: SlotMap<UdpId, UdpSocket>,
    /// Sockets without peer. With `SO_REUSEADDR` several may have the same address: the last one hears, as on Linux.
    bound: HashMap<(Addr, u16), Vec<UdpId>, FixedState>,
    connected: HashMap<FourTuple, UdpId, FixedState>,
    ports: Ports,
    spare: Vec<Vec<u8>>,
}

struct UdpSocket {
    token: u32,
    binding: Option<Binding>,
    peer: Option<FourTuple>,
    queue: VecDeque<(SocketAddr, Vec<u8>)>,
    queued: usize,
    limit: usize,
    ttl: u8,
    error: Option<ConnectionError>,
}

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendRefusal {
    /// It does not fit the MTU; this host does not fragment.
    TooBig,
    /// No route.
    NoRoute,
    /// A loopback address cannot be the source of a packet that leaves the host (RFC 1122, section 3.2.1.3).
    LoopbackSource,
    /// Too many packets wait for the link.
    NoBuffers,
    /// No port is free to send from.
    NoPort,
}

impl Udp {
    /// Puts a datagram into the queue of its socket.
    pub(super) fn handle_packet(&mut self, ip: &IpView<'_>, ready: &mut Ready) -> Result<(), DropReason> {
        let Some((header, rest)) = ip.payload.split_first_chunk::<8>() else { return Err(DropReason::Malformed) };
        let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let len = usize::from(field(4)).checked_sub(8).ok_or(DropReason::Malformed)?;
        let payload = rest.get(..len).ok_or(DropReason::Malformed)?;
        let from = SocketAddr::new(ip.src, field(0));
        let tuple = FourTuple::new(SocketAddr::new(ip.dst, field(2)), from);
        let id = self.socket_for(&tuple).ok_or(DropReason::NoSocket)?;
        let socket = &mut self.sockets[id];
        if socket.queued + len + OVERHEAD > socket.limit && !socket.queue.is_empty() {
            return Err(DropReason::ReceiveQueueFull);
        }
        let mut datagram = self.spare.pop().unwrap_or_default();
        datagram.clear();
        datagram.extend_from_slice(payload);
        socket.queued += len + OVERHEAD;
        socket.queue.push_back((from, datagram));
        ready.push(socket.token);
        Ok(())
    }

    /// Connected sockets first, then the address, then the wildcard of its version, then a dual-stack one.
    fn socket_for(&self, tuple: &FourTuple) -> Option<UdpId> {
        let bound = |addr: Addr| self.bound.get(&(addr, tuple.local_port)).and_then(|ids| ids.last()).copied();
        let any_v6 = Addr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        self.connected.get(tuple).copied().or_else(|| bound(tuple.local)).or_else(|| {
            if tuple.local.ip().is_ipv6() {
                return bound(any_v6);
            }
            bound(Addr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED))).or_else(|| {
                bound(any_v6).filter(|id| self.sockets[*id].binding.is_some_and(|binding| !binding.v6_only))
            })
        })
    }

    /// An ICMP error about a datagram of a connected socket.
    pub(super) fn on_icmp(&mut self, tuple: &FourTuple, error: ConnectionError, ready: &mut Ready) {
        if let Some(id) = self.connected.get(tuple) {
            let socket = &mut self.sockets[*id];
            socket.error = Some(error);
            ready.push(socket.token);
        }
    }

    /// Takes a socket out of the tables.
    fn unlist(&mut self, id: UdpId) {
        let socket = &self.sockets[id];
        if let Some(binding) = &socket.binding {
            let key = (Addr::new(binding.addr.ip()), binding.addr.port());
            if let Some(ids) = self.bound.get_mut(&key) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    self.bound.remove(&key);
                }
            }
        }
        if let Some(peer) = &socket.peer
            && self.connected.get(peer) == Some(&id)
        {
            self.connected.remove(peer);
        }
    }

    /// Puts a socket into the table where it belongs now: connected ones hear only their peer.
    fn list(&mut self, id: UdpId) {
        let socket = &self.sockets[id];
        match (&socket.peer, &socket.binding) {
            (Some(peer), _) => {
                self.connected.insert(*peer, id);
            }
            (None, Some(binding)) => {
                self.bound.entry((Addr::new(binding.addr.ip()), binding.addr.port())).or_default().push(id);
            }
            (None, None) => {}
        }
    }
}

fn holder(binding: &Binding) -> Holder {
    Holder { addr: Addr::new(binding.addr.ip()), v6_only: binding.v6_only, reuse: binding.reuse, role: Role::Bound }
}

impl Stack {
    /// A UDP socket, not bound.
    pub(crate) fn open_udp(&mut self, token: u32, limit: usize, ttl: u8) -> UdpId {
        self.udp.sockets.insert(UdpSocket {
            token,
            binding: None,
            peer: None,
            queue: VecDeque::new(),
            queued: 0,
            limit,
            ttl,
            error: None,
        })
    }

    /// Binds a UDP socket to an address and a port, or a free one if it is zero. Returns the port.
    pub(crate) fn bind_udp(&mut self, id: UdpId, binding: &Binding) -> Result<u16, BindError> {
        let ip = binding.addr.ip();
        if !ip.is_unspecified() && !self.addresses.is_own(ip) {
            return Err(BindError::NotAvailable);
        }
        let offset = self.port_offset(ip).wrapping_add(self.connects);
        self.connects = self.connects.wrapping_add(1);
        let port = choose_port(&mut self.udp.ports, binding.addr.port(), &holder(binding), offset)?;
        let binding = Binding { addr: SocketAddr::new(ip, port), ..*binding };
        self.udp.ports.hold(port, holder(&binding));
        self.udp.sockets[id].binding = Some(binding);
        self.udp.list(id);
        Ok(port)
    }

    /// Fixes the peer of a bound socket, or frees it from its peer. Returns the local address that datagrams will have.
    pub(crate) fn connect_udp(&mut self, id: UdpId, remote: Option<SocketAddr>) -> Result<(), SendRefusal> {
        let local = match remote {
            Some(remote) => Some(self.udp_source(id, remote)?),
            None => None,
        };
        self.udp.unlist(id);
        self.udp.sockets[id].peer = local.zip(remote).map(|(local, remote)| FourTuple::new(local, remote));
        self.udp.list(id);
        Ok(())
    }

    /// Both ends of a socket: where it is bound or sends from, and its peer.
    pub(crate) fn udp_endpoints(&self, id: UdpId) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let socket = &self.udp.sockets[id];
        match (&socket.peer, &socket.binding) {
            (Some(peer), _) => (Some(peer.local_addr()), Some(peer.remote_addr())),
            (None, binding) => (binding.map(|binding| binding.addr), None),
        }
    }

    fn udp_source(&self, id: UdpId, remote: SocketAddr) -> Result<SocketAddr, SendRefusal> {
        let route = self.addresses.source_for(remote.ip()).ok_or(SendRefusal::NoRoute)?;
        let binding = self.udp.sockets[id].binding.ok_or(SendRefusal::NoPort)?;
        let ip = Some(binding.addr.ip()).filter(|ip| !ip.is_unspecified()).unwrap_or(route);
        if ip.is_loopback() && !self.addresses.is_own(remote.ip()) {
            return Err(SendRefusal::LoopbackSource);
        }
        if ip.is_ipv4() == remote.is_ipv4() {
            Ok(SocketAddr::new(ip, binding.addr.port()))
        } else {
            Err(SendRefusal::NoRoute)
        }
    }

    /// Sends one datagram from a bound socket.
    pub(crate) fn send_udp(&mut self, id: UdpId, remote: SocketAddr, payload: &[u8]) -> Result<(), SendRefusal> {
        let local = self.udp_source(id, remote)?;
        let headers = if local.is_ipv4() { 28 } else { 48 };
        if headers + payload.len() > self.config.mtu {
            return Err(SendRefusal::TooBig);
        }
        if self.queues.out.len() >= OUT_LIMIT {
            return Err(SendRefusal::NoBuffers);
        }
        let mut packet = self.queues.take_spare();
        udp_packet(local, remote, self.udp.sockets[id].ttl, payload, &mut packet.bytes);
        self.queues.out.push_back(packet);
        Ok(())
    }

    /// Takes the oldest datagram, or only looks at it: what fits into `buf`. Returns its whole length and its sender.
    pub(crate) fn receive_udp(&mut self, id: UdpId, buf: &mut [u8], peek: bool) -> Option<(usize, SocketAddr)> {
        let socket = &mut self.udp.sockets[id];
        let (from, datagram) = socket.queue.front()?;
        let (from, len) = (*from, datagram.len());
        let copied = len.min(buf.len());
        buf[..copied].copy_from_slice(&datagram[..copied]);
        if !peek && let Some((_, datagram)) = socket.queue.pop_front() {
            socket.queued -= len + OVERHEAD;
            if self.udp.spare.len() < 64 {
                self.udp.spare.push(datagram);
            }
        }
        Some((len, from))
    }

    /// The length of the oldest datagram that waits.
    pub(crate) fn next_datagram(&self, id: UdpId) -> Option<usize> {
        self.udp.sockets[id].queue.front().map(|(_, datagram)| datagram.len())
    }

    /// Takes the error that ICMP reported.
    pub(crate) fn take_udp_error(&mut self, id: UdpId) -> Option<ConnectionError> {
        self.udp.sockets[id].error.take()
    }

    /// True if an error waits.
    pub(crate) fn has_udp_error(&self, id: UdpId) -> bool {
        self.udp.sockets[id].error.is_some()
    }

    /// `SO_RCVBUF` and `IP_TTL` of a UDP socket.
    pub(crate) fn set_udp_options(&mut self, id: UdpId, limit: usize, ttl: u8) {
        let socket = &mut self.udp.sockets[id];
        (socket.limit, socket.ttl) = (limit, ttl);
    }

    /// Closes a UDP socket; what waits in its queue is gone.
    pub(crate) fn close_udp(&mut self, id: UdpId) {
        self.udp.unlist(id);
        if let Some(socket) = self.udp.sockets.remove(id)
            && let Some(binding) = socket.binding
        {
            self.udp.ports.release(binding.addr.port(), &holder(&binding));
        }
    }
}
