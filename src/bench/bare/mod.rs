//! The reference: smoltcp alone. Two `Interface`s are fed one packet at a time; each connection has a `SocketSet` of
//! its own, found by a hash of the 4-tuple, because smoltcp walks a whole set for each packet. Checksums are on,
//! controller, buffers and options are those of the tcplab run.
//!
//! It leaves out what is measured: links, an event queue, timers, rules, the conversation, descriptors, async programs.
//! Its programs are a few lines that call `send_slice` and `recv_slice`.

pub(super) mod bulk;
pub(super) mod churn;
pub(super) mod connections;
mod one_packet;
#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) mod tun;
mod wire;

use std::cell::Cell;
use std::collections::HashMap;

use foldhash::fast::FixedState;
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, Ipv4Address, Ipv4Packet, TcpPacket};

use one_packet::OnePacket;

const CLIENT: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);
const SERVER: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);
/// Clients use these ports of theirs; when they are through, the server's next port.
const FIRST_PORT: usize = 32_768;
const PORTS: usize = 28_232;

thread_local! {
    /// smoltcp asks for TSval through a plain function pointer.
    static MILLIS: Cell<u32> = const { Cell::new(0) };
}

/// Both ends of a connection, as the host that receives sees them.
type Key = (u64, u32);

fn key(local: (Ipv4Address, u16), remote: (Ipv4Address, u16)) -> Key {
    let addresses = u64::from(local.0.to_bits()) << 32 | u64::from(remote.0.to_bits());
    (addresses, u32::from(local.1) << 16 | u32::from(remote.1))
}

fn key_of(packet: &[u8]) -> Key {
    let ip = Ipv4Packet::new_unchecked(packet);
    let tcp = TcpPacket::new_unchecked(ip.payload());
    key((ip.dst_addr(), tcp.dst_port()), (ip.src_addr(), tcp.src_port()))
}

/// What sockets are made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct BareSettings {
    pub(super) buffer: usize,
    pub(super) congestion: tcp::CongestionControl,
    pub(super) timestamps: bool,
    pub(super) ack_delay: Option<Duration>,
    /// All sockets of a host in one set, as smoltcp is meant to be used; a packet then costs a walk over all of them.
    pub(super) one_set: bool,
}

/// One host.
struct BareHost {
    address: Ipv4Address,
    interface: Interface,
    settings: BareSettings,
    sockets: Vec<Option<Socket>>,
    free: Vec<usize>,
    by_tuple: HashMap<Key, usize, FixedState>,
    shared: SocketSet<'static>,
}

struct Socket {
    key: Key,
    /// Empty if the socket stands in the shared set.
    set: SocketSet<'static>,
    handle: SocketHandle,
}

impl BareHost {
    fn new(address: Ipv4Address, settings: BareSettings) -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = u64::from(address.to_bits());
        let mut interface = Interface::new(config, &mut OnePacket::sending(&mut Vec::new()), Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(IpAddress::Ipv4(address), 8)).expect("smoltcp holds at least one address");
        });
        Self {
            address,
            interface,
            settings,
            sockets: Vec::new(),
            free: Vec::new(),
            by_tuple: HashMap::default(),
            shared: SocketSet::new(Vec::new()),
        }
    }

    fn open(&mut self, port: u16, remote: (Ipv4Address, u16), active: bool) -> usize {
        let buffer = || tcp::SocketBuffer::new(vec![0; self.settings.buffer]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_congestion_control(self.settings.congestion);
        if self.settings.timestamps {
            socket.set_tsval_generator(Some(|| MILLIS.get()));
        }
        socket.set_ack_delay(self.settings.ack_delay);
        if active {
            socket.connect(self.interface.context(), remote, port).expect("the ends are not zero");
        } else {
            socket.listen((self.address, port)).expect("the port is not zero");
        }
        let (set, handle) = if self.settings.one_set {
            (SocketSet::new(Vec::new()), self.shared.add(socket))
        } else {
            let mut set = SocketSet::new(Vec::with_capacity(1));
            let handle = set.add(socket);
            (set, handle)
        };
        let key = key((self.address, port), remote);
        let socket = Some(Socket { key, set, handle });
        let at = self.free.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() - 1
        });
        self.sockets[at] = socket;
        self.by_tuple.insert(key, at);
        at
    }

    fn close(&mut self, at: usize) {
        if let Some(socket) = self.sockets[at].take() {
            self.by_tuple.remove(&socket.key);
            self.free.push(at);
        }
    }

    fn socket(&mut self, at: usize) -> &mut tcp::Socket<'static> {
        let Socket { set, handle, .. } = self.sockets[at].as_mut().expect("the socket is open");
        if self.settings.one_set { self.shared.get_mut(*handle) } else { set.get_mut(*handle) }
    }

    /// The set that a socket is in.
    fn set(&mut self, at: usize) -> (&mut Interface, &mut SocketSet<'static>) {
        let own = &mut self.sockets[at].as_mut().expect("the socket is open").set;
        (&mut self.interface, if self.settings.one_set { &mut self.shared } else { own })
    }

    /// Takes a packet and returns its connection. The immediate answer of smoltcp is written to `reply`, which else is
    /// empty.
    fn ingress(&mut self, now: Instant, packet: &[u8], reply: &mut Vec<u8>) -> Option<usize> {
        let at = *self.by_tuple.get(&key_of(packet))?;
        set_clock(now);
        let (interface, set) = self.set(at);
        interface.poll_ingress_single(now, &mut OnePacket::receiving(packet, reply), set);
        Some(at)
    }

    /// Writes the next packet that a socket has to send; false if there is none.
    fn egress(&mut self, now: Instant, at: usize, packet: &mut Vec<u8>) -> bool {
        set_clock(now);
        let (interface, set) = self.set(at);
        let mut device = OnePacket::sending(packet);
        let result = interface.poll_egress(now, &mut device, set);
        debug_assert!(result != PollResult::None || packet.is_empty());
        !packet.is_empty()
    }

    fn next_at(&mut self, now: Instant, at: usize) -> Option<Instant> {
        let (interface, set) = self.set(at);
        interface.poll_at(now, set)
    }
}

fn set_clock(now: Instant) {
    MILLIS.set(now.total_millis() as u32);
}

/// The two ends of the n-th connection: the client's port and the server's.
fn ports(n: usize) -> (u16, u16) {
    ((FIRST_PORT + n % PORTS) as u16, (1024 + n / PORTS) as u16)
}
