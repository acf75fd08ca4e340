//! ICMP errors about a conversation: they quote the packet that could not go on, and are fed with the live numbers in the
//! quotation.

use core::net::{IpAddr, SocketAddr};

use super::feed::Mapping;
use super::live::Live;
use super::recording::Recorded;
use crate::segment::{IpView, Protocol, Seq, fill_checksums};

/// Behind the ICMP header.
const QUOTED: usize = 8;

/// Where in a packet the quoted one stands.
struct Quotation {
    /// Its addresses.
    src: usize,
    dst: usize,
    address_len: usize,
    /// Its ports and sequence number.
    tcp: usize,
}

fn quotation(ip: &IpView<'_>) -> Option<Quotation> {
    let is_error = match ip.protocol {
        Protocol::Icmp => matches!(ip.payload.first()?, 3 | 4 | 11 | 12),
        Protocol::Icmpv6 => *ip.payload.first()? < 128,
        _ => false,
    };
    let at = ip.header.len() + QUOTED;
    let quoted = ip.payload.get(QUOTED..).filter(|_| is_error)?;
    let (src, dst, address_len, header_len, protocol) = match quoted.first()? >> 4 {
        4 => (12, 16, 4, usize::from(quoted[0] & 0x0f) * 4, *quoted.get(9)?),
        6 => (8, 24, 16, 40, *quoted.get(6)?),
        _ => return None,
    };
    let whole = protocol == 6 && header_len >= 20 && quoted.len() >= header_len + 8;
    whole.then_some(Quotation { src: at + src, dst: at + dst, address_len, tcp: at + header_len })
}

/// The ends of the quoted packet: its sender, whom the error is for, and the other one.
pub(super) fn quoted_ends(bytes: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let ip = IpView::parse_captured(bytes).ok()?;
    let Quotation { src, dst, address_len, tcp } = quotation(&ip)?;
    let address = |at: usize| {
        let data = &bytes[at..at + address_len];
        <[u8; 4]>::try_from(data).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(data).map(IpAddr::from)).ok()
    };
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let ends = (SocketAddr::new(address(src)?, port(tcp)), SocketAddr::new(address(dst)?, port(tcp + 2)));
    (ip.dst == ends.0.ip()).then_some(ends)
}

/// The error as it is fed: about the live connection between `ends`, ours first.
pub(super) fn mapped(
    mapping: &Mapping<'_>,
    packet: &Recorded,
    live: &Live,
    ends: (SocketAddr, SocketAddr),
) -> Option<Vec<u8>> {
    let mut bytes = mapping.recording.bytes[packet.payload.clone()].to_vec();
    let ip = IpView::parse_captured(&bytes).ok()?;
    let (Quotation { src, dst, address_len, tcp }, own) = (quotation(&ip)?, if ip.dst.is_ipv4() { 16 } else { 24 });
    let number = Seq(u32::from_be_bytes([bytes[tcp + 4], bytes[tcp + 5], bytes[tcp + 6], bytes[tcp + 7]]));
    for (at, ip) in [(own, ends.0.ip()), (src, ends.0.ip()), (dst, ends.1.ip())] {
        match ip {
            IpAddr::V4(v4) if address_len == 4 => bytes[at..at + 4].copy_from_slice(&v4.to_bits().to_be_bytes()),
            IpAddr::V6(v6) if address_len == 16 => bytes[at..at + 16].copy_from_slice(&v6.to_bits().to_be_bytes()),
            _ => return None,
        }
    }
    bytes[tcp..tcp + 2].copy_from_slice(&ends.0.port().to_be_bytes());
    bytes[tcp + 2..tcp + 4].copy_from_slice(&ends.1.port().to_be_bytes());
    bytes[tcp + 4..tcp + 8].copy_from_slice(&mapping.number(number, live).0.to_be_bytes());
    fill_checksums(&mut bytes)?;
    Some(bytes)
}
