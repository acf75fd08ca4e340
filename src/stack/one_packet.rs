//! The device that smoltcp sees: it holds exactly one packet to receive, and room for one to send.
//!
//! smoltcp moves packets between a device and a set of sockets. Offering one packet at a time to the one-socket set that
//! the demultiplexer chose is what makes the cost of a packet independent of the number of connections.

use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// One packet in, one packet out.
pub(super) struct OnePacket<'a> {
    mtu: usize,
    ingress: Option<&'a [u8]>,
    egress: &'a mut Vec<u8>,
}

impl<'a> OnePacket<'a> {
    /// Offers `ingress`; what smoltcp answers is written to `egress`, which stays empty if it says nothing.
    pub(super) fn receiving(mtu: usize, ingress: &'a [u8], egress: &'a mut Vec<u8>) -> Self {
        egress.clear();
        Self { mtu, ingress: Some(ingress), egress }
    }

    /// Offers nothing; what smoltcp has to say is written to `egress`, which stays empty if it says nothing.
    pub(super) fn sending(mtu: usize, egress: &'a mut Vec<u8>) -> Self {
        egress.clear();
        Self { mtu, ingress: None, egress }
    }
}

/// What smoltcp is told of the device. Checksums are verified before and filled in after smoltcp, in `segment`.
pub(super) fn capabilities(mtu: usize) -> DeviceCapabilities {
    let mut caps = DeviceCapabilities::default();
    caps.medium = Medium::Ip;
    caps.max_transmission_unit = mtu;
    caps.checksum.ipv4 = Checksum::None;
    caps.checksum.tcp = Checksum::None;
    caps.checksum.udp = Checksum::None;
    caps.checksum.icmpv4 = Checksum::None;
    caps.checksum.icmpv6 = Checksum::None;
    caps
}

impl Device for OnePacket<'_> {
    type RxToken<'t>
        = Ingress<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Egress<'t>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(Ingress<'_>, Egress<'_>)> {
        self.ingress.take().map(|bytes| (Ingress(bytes), Egress(self.egress)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Egress<'_>> {
        Some(Egress(self.egress))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities(self.mtu)
    }
}

pub(super) struct Ingress<'a>(&'a [u8]);

impl RxToken for Ingress<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub(super) struct Egress<'a>(&'a mut Vec<u8>);

impl TxToken for Egress<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        // Old bytes may stand in the buffer: smoltcp writes every byte of a packet that it emits.
        self.0.resize(len, 0);
        f(self.0)
    }
}
