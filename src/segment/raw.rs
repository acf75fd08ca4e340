//! Builds packets that no stack would send: any options, any flags, any header field. The scripted peer of `drill` sends
//! them. Formats: RFC 791, RFC 8200, RFC 9293 section 3.1, RFC 792, RFC 4443.

use core::net::{IpAddr, SocketAddr};

use super::build::IpFields;
use super::{IpView, Protocol, fill_checksums};

/// The fields of an IP header that a script can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawIp {
    /// Type of service or traffic class, the ECN bits included.
    pub tos: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// The flow label, from 0 to 2^20 - 1, written over IPv6 only.
    pub flow_label: u32,
}

impl Default for RawIp {
    fn default() -> Self {
        Self { tos: 0, ttl: 64, flow_label: 0 }
    }
}

/// A TCP segment, field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawSegment<'a> {
    /// Source address and port.
    pub src: SocketAddr,
    /// Destination address and port.
    pub dst: SocketAddr,
    /// The IP header.
    pub ip: RawIp,
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK, as it is written.
    pub ack: u32,
    /// The low eight control bits; bit 8 is AE (RFC 9768).
    pub flags: u16,
    /// The window field, not scaled.
    pub window: u16,
    /// The urgent pointer.
    pub urgent: u16,
    /// The bytes of the options, at most 40. They are padded with zeros to a multiple of four.
    pub options: &'a [u8],
    /// The bytes of data.
    pub payload: &'a [u8],
}

impl RawSegment<'_> {
    /// The packet with checksums.
    pub fn to_bytes(&self) -> Vec<u8> {
        let options = &self.options[..self.options.len().min(40)];
        let padded = options.len().next_multiple_of(4);
        let header_len = 20 + padded;
        let mut bytes = begin(self.src.ip(), self.dst.ip(), Protocol::Tcp, self.ip, header_len + self.payload.len());
        bytes.extend_from_slice(&self.src.port().to_be_bytes());
        bytes.extend_from_slice(&self.dst.port().to_be_bytes());
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.ack.to_be_bytes());
        let offset = (header_len as u16 / 4) << 12;
        bytes.extend_from_slice(&(offset | (self.flags & 0x01ff)).to_be_bytes());
        bytes.extend_from_slice(&self.window.to_be_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.urgent.to_be_bytes());
        bytes.extend_from_slice(options);
        bytes.resize(bytes.len() + padded - options.len(), 0);
        bytes.extend_from_slice(self.payload);
        fill_checksums(&mut bytes);
        bytes
    }
}

/// A UDP datagram with checksums.
#[cfg(any(test, feature = "drill"))]
pub(crate) fn raw_udp(src: SocketAddr, dst: SocketAddr, ip: RawIp, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len();
    let mut bytes = begin(src.ip(), dst.ip(), Protocol::Udp, ip, len);
    bytes.extend_from_slice(&src.port().to_be_bytes());
    bytes.extend_from_slice(&dst.port().to_be_bytes());
    bytes.extend_from_slice(&(len as u16).to_be_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(payload);
    fill_checksums(&mut bytes);
    bytes
}

/// An ICMP message: type, code, the second word of the header, and what follows it.
#[cfg(any(test, feature = "drill"))]
pub(crate) fn raw_icmp(src: IpAddr, dst: IpAddr, ip: RawIp, head: (u8, u8, u32), body: &[u8]) -> Vec<u8> {
    let protocol = if src.is_ipv6() { Protocol::Icmpv6 } else { Protocol::Icmp };
    let mut bytes = begin(src, dst, protocol, ip, 8 + body.len());
    bytes.extend_from_slice(&[head.0, head.1, 0, 0]);
    bytes.extend_from_slice(&head.2.to_be_bytes());
    bytes.extend_from_slice(body);
    fill_checksums(&mut bytes);
    bytes
}

/// Writes the IP header of a packet that carries `len` bytes.
fn begin(src: IpAddr, dst: IpAddr, protocol: Protocol, ip: RawIp, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    IpFields { src, dst, protocol: protocol.number(), ttl: ip.ttl, ecn: 0 }.begin(len, &mut bytes);
    if src.is_ipv6() {
        let word = 0x6000_0000 | u32::from(ip.tos) << 20 | (ip.flow_label & 0x000f_ffff);
        bytes[..4].copy_from_slice(&word.to_be_bytes());
    } else {
        bytes[1] = ip.tos;
    }
    bytes
}

impl IpView<'_> {
    /// Type of service or traffic class, the ECN bits included.
    pub fn tos(&self) -> u8 {
        match *self.header {
            [first, tos, ..] if first >> 4 == 4 => tos,
            [first, second, ..] => first << 4 | second >> 4,
            _ => 0,
        }
    }

    /// The flow label of an IPv6 header; zero over IPv4.
    pub fn flow_label(&self) -> u32 {
        match *self.header {
            [first, second, third, fourth, ..] if first >> 4 == 6 => {
                u32::from_be_bytes([0, second & 0x0f, third, fourth])
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Flags, Segment};

    #[test]
    fn each_field_is_read_as_it_was_written_over_both_versions() {
        for ends in [["192.0.2.1:1000", "192.0.2.2:80"], ["[fd69::1]:1000", "[fd69::2]:80"]] {
            let [src, dst] = ends.map(|end| end.parse::<SocketAddr>().expect("an address"));
            let raw = RawSegment {
                src,
                dst,
                ip: RawIp { tos: 0xb9, ttl: 3, flow_label: 0x12345 },
                seq: 7,
                ack: 9,
                flags: 0x1ff,
                window: 11,
                urgent: 13,
                options: &[1, 1, 5],
                payload: b"abc",
            };
            let bytes = raw.to_bytes();
            let ip = IpView::parse(&bytes).expect("a packet");
            assert!(ip.checksums_ok());
            let label = if src.is_ipv6() { 0x12345 } else { 0 };
            assert_eq!((ip.tos(), ip.ttl, ip.flow_label(), ip.ecn), (0xb9, 3, label, 1));
            assert_eq!(ip.payload[12..14], [0x61, 0xff]);
            assert_eq!(ip.payload[18..24], [0, 13, 1, 1, 5, 0]);
            let segment = Segment::parse(&ip).expect("a segment");
            assert_eq!((segment.src, segment.dst, segment.seq.0, segment.ack.0), (src, dst, 7, 9));
            assert_eq!((segment.flags, segment.window, segment.payload), (Flags(0xff), 11, &b"abc"[..]));
        }
    }

    #[test]
    fn datagrams_and_messages_have_valid_checksums() {
        for ends in [["192.0.2.1:1000", "192.0.2.2:80"], ["[fd69::1]:1000", "[fd69::2]:80"]] {
            let [src, dst] = ends.map(|end| end.parse::<SocketAddr>().expect("an address"));
            let udp = raw_udp(src, dst, RawIp::default(), b"abc");
            let icmp = raw_icmp(src.ip(), dst.ip(), RawIp::default(), (3, 1, 0), &udp);
            for bytes in [&udp, &icmp] {
                assert!(IpView::parse(bytes).expect("a packet").checksums_ok());
            }
            assert_eq!(IpView::parse(&icmp).expect("a packet").payload[8..], udp[..]);
        }
    }
}
