//! A device with one packet to receive and room for one to send. smoltcp computes the checksums here.

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

pub(super) struct OnePacket<'a> {
    ingress: Option<&'a [u8]>,
    egress: &'a mut Vec<u8>,
}

impl<'a> OnePacket<'a> {
    pub(super) fn receiving(packet: &'a [u8], reply: &'a mut Vec<u8>) -> Self {
        reply.clear();
        Self { ingress: Some(packet), egress: reply }
    }

    pub(super) fn sending(egress: &'a mut Vec<u8>) -> Self {
        egress.clear();
        Self { ingress: None, egress }
    }
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
        self.ingress.take().map(|packet| (Ingress(packet), Egress(self.egress)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Egress<'_>> {
        // One packet for each call of egress: the room is taken when something stands in it.
        if self.egress.is_empty() { Some(Egress(self.egress)) } else { None }
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities
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
        // smoltcp writes every byte of a packet that it emits.
        self.0.resize(len, 0);
        f(self.0)
    }
}
