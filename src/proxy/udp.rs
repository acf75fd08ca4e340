//! Datagrams. Each source of a client is a flow: a UDP socket of the near host, and a socket of the kernel at the far end.
//! A flow without datagrams for a minute ends. A datagram above the MTU is dropped and counted, as the network would.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::io;
use std::net::{SocketAddr, UdpSocket};

use foldhash::fast::FixedState;
use socket2::SockAddr;

use super::end::{Common, Counts, Owner};
use super::kernel;
use super::poll::{Key, Watched};
use super::slots::Slots;
use crate::socket::{Domain, Errno, Fd, Host, MsgFlags, Type};
use crate::time::{Duration, Instant};

/// A flow ends when no datagram came for so long.
pub const IDLE: Duration = Duration::from_mins(1);
/// Flows at once, in all pairs together. Datagrams of further ones are lost and counted.
pub const MOST_FLOWS: usize = 4096;

/// Datagrams that are taken from one socket before other work is done.
const BATCH: usize = 64;

/// Flows by a key, each with the time of its last datagram.
struct Flows<K, T> {
    slots: Slots<(K, Instant, T)>,
    by_key: HashMap<K, usize, FixedState>,
    /// When to look whether a flow is idle: one entry for each flow.
    looks: VecDeque<(Instant, usize)>,
}

impl<K: Copy + Eq + Hash, T> Flows<K, T> {
    fn new() -> Self {
        Self { slots: Slots::default(), by_key: HashMap::default(), looks: VecDeque::new() }
    }

    fn is_full(&self) -> bool {
        self.slots.len() >= MOST_FLOWS
    }

    fn find(&self, key: &K) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    fn insert(&mut self, now: Instant, key: K, flow: T) -> usize {
        let slot = self.slots.insert((key, now, flow));
        self.by_key.insert(key, slot);
        self.looks.push_back((now + IDLE, slot));
        slot
    }

    /// The flow in a slot, which has a datagram now.
    fn touch(&mut self, now: Instant, slot: usize) -> Option<(K, &mut T)> {
        let (key, last, flow) = self.slots.get_mut(slot)?;
        *last = now;
        Some((*key, flow))
    }

    /// A flow that has been idle for too long; it is forgotten.
    fn poll_idle(&mut self, now: Instant) -> Option<T> {
        while let Some((at, slot)) = self.looks.front().copied().filter(|(at, _)| *at <= now) {
            self.looks.pop_front();
            let Some((_, last, _)) = self.slots.get_mut(slot) else { continue };
            let ends = *last + IDLE;
            if ends > at && ends > now {
                self.looks.push_back((ends, slot));
                continue;
            }
            let (key, _, flow) = self.slots.remove(slot)?;
            self.by_key.remove(&key);
            return Some(flow);
        }
        None
    }

    fn next_at(&self) -> Option<Instant> {
        self.looks.front().map(|(at, _)| *at)
    }
}

/// The datagrams of the near end.
pub(super) struct NearDatagrams {
    pairs: Vec<(Watched<UdpSocket>, SocketAddr)>,
    /// By the address of the client and the number of the pair.
    flows: Flows<(SocketAddr, usize), Fd>,
    buffer: Vec<u8>,
}

impl NearDatagrams {
    pub(super) fn new() -> Self {
        Self { pairs: Vec::new(), flows: Flows::new(), buffer: vec![0; 65_536] }
    }

    /// Takes datagrams at the first of `addresses` that can be bound, for `to` on the middle.
    pub(super) fn listen(&mut self, common: &Common, addresses: &[SockAddr], to: SocketAddr) -> io::Result<()> {
        let socket = kernel::datagrams(addresses)?;
        self.pairs.push((Watched::readable(socket, &common.poller, Key::Datagrams(self.pairs.len()))?, to));
        Ok(())
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = String> {
        self.pairs.iter().map(|(socket, _)| socket.local_addr().map_or_else(|_| String::new(), |it| it.to_string()))
    }

    /// Datagrams of clients have come.
    pub(super) fn receive(&mut self, now: Instant, common: &mut Common, pair: usize) {
        for _ in 0..BATCH {
            let Some((socket, to)) = self.pairs.get(pair) else { return };
            match socket.recv_from(&mut self.buffer) {
                Ok((len, from)) => {
                    let to = *to;
                    let known = self.flows.find(&(from, pair));
                    let Ok(slot) = known.map_or_else(|| self.open(now, common, (from, pair), to), Ok) else {
                        common.counts.lost += 1;
                        continue;
                    };
                    let Some((_, fd)) = self.flows.touch(now, slot) else { continue };
                    send(&mut common.host, &mut common.counts, *fd, &self.buffer[..len], None);
                }
                Err(error) if kernel::would_block(&error) => break,
                // What ICMP said about an earlier datagram to a client that has gone.
                Err(_) => {}
            }
        }
        if let Some((socket, _)) = self.pairs.get(pair) {
            socket.ask_again(true, false);
        }
    }

    fn open(
        &mut self,
        now: Instant,
        common: &mut Common,
        key: (SocketAddr, usize),
        to: SocketAddr,
    ) -> Result<usize, Errno> {
        if self.flows.is_full() {
            return Err(Errno::ENOBUFS);
        }
        let fd = common.host.socket(Domain::of(&to), Type::Datagram)?;
        if let Err(error) = common.host.connect(fd, to) {
            let _ = common.host.close(fd);
            return Err(error);
        }
        let slot = self.flows.insert(now, key, fd);
        common.own(fd, Owner::Flow(slot));
        common.counts.opened += 1;
        Ok(slot)
    }

    /// Datagrams for a client have come over the middle.
    pub(super) fn deliver(&mut self, now: Instant, common: &mut Common, slot: usize) {
        let Some(((client, pair), fd)) = self.flows.touch(now, slot).map(|(key, fd)| (key, *fd)) else { return };
        while let Ok((len, _)) = common.host.recvfrom(fd, &mut self.buffer, MsgFlags::NONE) {
            let Some((socket, _)) = self.pairs.get(pair) else { return };
            common.counts.lost += u64::from(socket.send_to(&self.buffer[..len], client).is_err());
        }
    }

    /// Ends the flows that are idle.
    pub(super) fn expire(&mut self, now: Instant, common: &mut Common) {
        while let Some(fd) = self.flows.poll_idle(now) {
            common.own(fd, Owner::Nobody);
            let _ = common.host.close(fd);
            common.counts.closed += 1;
        }
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.flows.next_at()
    }

    pub(super) fn stop(&mut self) {
        self.pairs.clear();
    }
}

/// The datagrams of the far end.
pub(super) struct FarDatagrams {
    pairs: Vec<(Fd, Vec<SockAddr>)>,
    /// By the address of the near host and the number of the pair.
    flows: Flows<(SocketAddr, usize), Watched<UdpSocket>>,
    buffer: Vec<u8>,
}

impl FarDatagrams {
    pub(super) fn new() -> Self {
        Self { pairs: Vec::new(), flows: Flows::new(), buffer: vec![0; 65_536] }
    }

    /// Takes datagrams at `at` on the middle, for the first of `addresses`.
    pub(super) fn serve(&mut self, common: &mut Common, at: SocketAddr, addresses: Vec<SockAddr>) -> Result<(), Errno> {
        let fd = common.host.socket(Domain::of(&at), Type::Datagram)?;
        common.host.bind(fd, at)?;
        common.own(fd, Owner::Datagrams(self.pairs.len()));
        self.pairs.push((fd, addresses));
        Ok(())
    }

    /// Datagrams for a target have come over the middle.
    pub(super) fn deliver(&mut self, now: Instant, common: &mut Common, pair: usize) {
        let Some(fd) = self.pairs.get(pair).map(|(fd, _)| *fd) else { return };
        while let Ok((len, Some(from))) = common.host.recvfrom(fd, &mut self.buffer, MsgFlags::NONE) {
            let slot = self.flows.find(&(from, pair)).map_or_else(|| self.open(now, common, (from, pair)), Ok);
            let flow = slot.ok().and_then(|slot| self.flows.touch(now, slot));
            let sent = flow.is_some_and(|(_, socket)| to_target(socket, &self.buffer[..len]));
            common.counts.lost += u64::from(!sent);
        }
    }

    fn open(&mut self, now: Instant, common: &Common, key: (SocketAddr, usize)) -> io::Result<usize> {
        if self.flows.is_full() {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let socket = kernel::connected_datagrams(&self.pairs[key.1].1[0])?;
        let socket = Watched::changes(socket, &common.poller, Key::Flow(self.flows.slots.next()))?;
        Ok(self.flows.insert(now, key, socket))
    }

    /// Datagrams of a target have come.
    pub(super) fn receive(&mut self, now: Instant, common: &mut Common, slot: usize) {
        let Some(((client, pair), _)) = self.flows.touch(now, slot) else { return };
        let Some(fd) = self.pairs.get(pair).map(|(fd, _)| *fd) else { return };
        // Until nothing is left, since the poller tells of a change only once.
        loop {
            let Some((_, socket)) = self.flows.touch(now, slot) else { return };
            match socket.recv(&mut self.buffer) {
                Ok(len) => send(&mut common.host, &mut common.counts, fd, &self.buffer[..len], Some(client)),
                Err(error) if kernel::would_block(&error) => return socket.ask_again(true, false),
                // What ICMP said about an earlier datagram: nobody listens there.
                Err(_) => {}
            }
        }
    }

    /// Ends the flows that are idle.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.flows.poll_idle(now).is_some() {}
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.flows.next_at()
    }
}

/// Sends a datagram over the middle.
fn send(host: &mut Host, counts: &mut Counts, fd: Fd, datagram: &[u8], to: Option<SocketAddr>) {
    match host.sendto(fd, datagram, MsgFlags::NONE, to) {
        Ok(_) => {}
        Err(Errno::EMSGSIZE) => counts.too_big += 1,
        Err(_) => counts.lost += 1,
    }
}

/// Sends a datagram to a target. An error of an earlier one is reported first, and only once.
fn to_target(socket: &UdpSocket, datagram: &[u8]) -> bool {
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    socket.send(datagram).or_else(|error| if refused(&error) { socket.send(datagram) } else { Err(error) }).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_ends_a_minute_after_its_last_datagram() {
        let at = |millis| Instant::from_secs(100) + Duration::from_millis(millis);
        let mut flows = Flows::new();
        let (a, b) = (flows.insert(at(0), 'a', 1), flows.insert(at(0), 'b', 2));
        assert_eq!(flows.touch(at(30_000), a), Some(('a', &mut 1)));
        assert_eq!((flows.next_at(), flows.poll_idle(at(59_999))), (Some(at(60_000)), None));
        assert_eq!((flows.poll_idle(at(60_000)), flows.poll_idle(at(60_000))), (Some(2), None));
        assert_eq!((flows.find(&'a'), flows.find(&'b'), flows.touch(at(0), b)), (Some(a), None, None));
        assert_eq!((flows.poll_idle(at(89_999)), flows.poll_idle(at(90_000))), (None, Some(1)));
        assert_eq!((flows.next_at(), flows.slots.len()), (None, 0));
    }
}
