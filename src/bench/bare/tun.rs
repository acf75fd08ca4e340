//! The reference on a TUN device: smoltcp as the benchmark among its examples uses it. One interface, one set with a
//! socket that listens for each direction, buffers of 65,535 bytes, no congestion control; `poll`, then the socket's
//! buffers filled or emptied in place, then wait until `poll_at`. The device is smoltcp's `TunTapInterface` anew: a fresh
//! buffer for each packet, one system call for each.
//!
//! Its program writes no byte: it sends the old content of the buffer. The program of tcplab copies.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, Ipv4Address};

use crate::bench::tun::{FlowDirection, HOST, MTU, PORT, PREFIX, Peer, Workload, device};
use crate::bench::{BenchError, Measured};
use crate::device::{Tun, TunError};

/// Bytes of each buffer.
const BUFFER: usize = 65_535;
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(1);

struct TunDevice {
    tun: Tun,
    packets: u64,
    /// The first error; nothing is moved after it.
    failure: Option<TunError>,
}

impl Device for TunDevice {
    type RxToken<'t> = Ingress;
    type TxToken<'t> = Egress<'t>;

    fn receive(&mut self, _: Instant) -> Option<(Ingress, Egress<'_>)> {
        let mut buffer = vec![0; MTU];
        match self.tun.read(&mut buffer) {
            Ok(len) => {
                buffer.truncate(len?);
                self.packets += 1;
                Some((Ingress(buffer), Egress(self)))
            }
            Err(error) => {
                self.failure.get_or_insert(error);
                None
            }
        }
    }

    fn transmit(&mut self, _: Instant) -> Option<Egress<'_>> {
        Some(Egress(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }
}

struct Ingress(Vec<u8>);

impl RxToken for Ingress {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Egress<'a>(&'a mut TunDevice);

impl TxToken for Egress<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut buffer = vec![0; len];
        let result = f(&mut buffer);
        self.0.packets += 1;
        if let Err(error) = self.0.tun.send(&buffer) {
            self.0.failure.get_or_insert(error);
        }
        result
    }
}

fn socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_congestion_control(tcp::CongestionControl::None);
    socket
}

/// Runs it.
pub(in crate::bench) fn run(workload: &Workload) -> Result<Measured, BenchError> {
    let mut device = TunDevice { tun: device()?, packets: 0, failure: None };
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = 1;
    let mut interface = Interface::new(config, &mut device, Instant::now());
    interface.update_ip_addrs(|addresses| {
        let address = IpAddress::Ipv4(Ipv4Address::from(HOST));
        addresses.push(IpCidr::new(address, PREFIX)).expect("smoltcp holds at least one address");
    });
    let mut sockets = SocketSet::new(vec![]);
    let handle = sockets.add(socket());
    // The other direction's, which stands in the set and waits.
    sockets.add(socket());
    sockets.get_mut::<tcp::Socket<'_>>(handle).listen(PORT).expect("the port is not zero");
    let peer = Peer::start(workload, None)?;
    while !peer.is_done() {
        let now = Instant::now();
        interface.poll(now, &mut device, &mut sockets);
        if let Some(error) = device.failure.take() {
            return Err(error.into());
        }
        let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
        match workload.direction {
            FlowDirection::Send => while socket.can_send() && socket.send(|room| (room.len(), ())).is_ok() {},
            FlowDirection::Receive => while socket.can_recv() && socket.recv(|bytes| (bytes.len(), ())).is_ok() {},
        }
        match interface.poll_at(now, &sockets) {
            Some(at) if at <= now => {}
            at => wait(&device.tun, at.map_or(LONGEST, |at| at - now)),
        }
    }
    peer.finish(device.packets, BUFFER)
}

fn wait(tun: &Tun, at_most: Duration) {
    let timeout = Timespec {
        tv_sec: at_most.total_micros() as i64 / 1_000_000,
        tv_nsec: at_most.total_micros() as i64 % 1_000_000 * 1_000,
    };
    // An interrupted poll counts as no packet; the loop polls again.
    let _ = poll(&mut [PollFd::new(tun, PollFlags::IN)], Some(&timeout));
}
