//! Packets quoted in ICMP errors (RFC 792, RFC 4443, section 2.4): the one parser for them, and the change of their numbers.
//!
//! An error quotes the IP header and at least the first eight bytes behind it: ports and sequence number. Annotators
//! use it to describe an error. Replay finds the conversation of an error and feeds it with live numbers.

use core::net::{IpAddr, SocketAddr};

use super::{IpView, Protocol, Seq, fill_checksums};

/// Bytes of ICMP before the quoted packet.
const ICMP_HEADER: usize = 8;

/// What an ICMP error quotes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// The sender of the packet, to which the error is sent.
    pub src: SocketAddr,
    /// The destination of the packet.
    pub dst: SocketAddr,
    /// What it carried: TCP or UDP.
    pub protocol: Protocol,
    /// Its sequence number, if it carried TCP.
    pub seq: Option<Seq>,
    /// ICMP type and code.
    pub kind: (u8, u8),
    /// Where the quoted IP header and the transport header begin, from the start of the ICMP message.
    header: usize,
    transport: usize,
}

impl Quoted {
    /// Reads what an ICMP error quotes. `None` for other packets and messages, and where ports are not quoted.
    pub fn parse(ip: &IpView<'_>) -> Option<Self> {
        let &[kind, code] = ip.payload.first_chunk::<2>()?;
        let is_error = match ip.protocol {
            Protocol::Icmp => matches!(kind, 3 | 4 | 5 | 11 | 12),
            Protocol::Icmpv6 => kind < 128,
            _ => false,
        };
        let quoted = ip.payload.get(ICMP_HEADER..).filter(|_| is_error)?;
        let (addresses, len, header_len, protocol) = match quoted.first()? >> 4 {
            4 => (12, 4, usize::from(quoted[0] & 0x0f) * 4, *quoted.get(9)?),
            6 => (8, 16, 40, *quoted.get(6)?),
            _ => return None,
        };
        let protocol = Protocol::from(protocol);
        let transport = quoted.get(header_len..).filter(|_| header_len >= 20)?;
        let &[a, b, c, d] = transport.first_chunk::<4>()?;
        let seq = match protocol {
            Protocol::Tcp => Some(Seq(u32::from_be_bytes(*transport.get(4..)?.first_chunk()?))),
            Protocol::Udp => None,
            _ => return None,
        };
        let address = |at: usize| {
            let bytes = quoted.get(at..at + len)?;
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
        };
        Some(Self {
            src: SocketAddr::new(address(addresses)?, u16::from_be_bytes([a, b])),
            dst: SocketAddr::new(address(addresses + len)?, u16::from_be_bytes([c, d])),
            protocol,
            seq,
            kind: (kind, code),
            header: ICMP_HEADER,
            transport: ICMP_HEADER + header_len,
        })
    }

    /// Makes the error in `packet` one about a TCP packet from `src` to `dst` with this sequence number, for the host of
    /// `src`, and fills in its checksums. `None` if it is no such error, or of another IP version.
    pub fn rewrite(packet: &mut [u8], src: SocketAddr, dst: SocketAddr, seq: Seq) -> Option<()> {
        let ip = IpView::parse(packet).ok()?;
        let quoted = Self::parse(&ip)?;
        quoted.seq?;
        let message = ip.header.len();
        let v6 = ip.dst.is_ipv6();
        let (header, transport) = (message + quoted.header, message + quoted.transport);
        let (from, to, own) = if v6 { (8, 24, 24) } else { (12, 16, 16) };
        for (at, address) in [(own, src.ip()), (header + from, src.ip()), (header + to, dst.ip())] {
            match address {
                IpAddr::V4(v4) if !v6 && quoted.src.is_ipv4() => {
                    packet[at..at + 4].copy_from_slice(&v4.to_bits().to_be_bytes());
                }
                IpAddr::V6(address) if v6 && quoted.src.is_ipv6() => {
                    packet[at..at + 16].copy_from_slice(&address.to_bits().to_be_bytes());
                }
                _ => return None,
            }
        }
        packet[transport..transport + 2].copy_from_slice(&src.port().to_be_bytes());
        packet[transport + 2..transport + 4].copy_from_slice(&dst.port().to_be_bytes());
        packet[transport + 4..transport + 8].copy_from_slice(&seq.0.to_be_bytes());
        fill_checksums(packet).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{IcmpError, SegmentTemplate, udp_packet};

    fn ends(v6: bool) -> [SocketAddr; 2] {
        let ends = if v6 { ["[fd00::1]:1000", "[fd00::2]:80"] } else { ["192.0.2.1:1000", "192.0.2.2:80"] };
        ends.map(|end| end.parse().expect("an address"))
    }

    fn error(about: &[u8]) -> Vec<u8> {
        let ip = IpView::parse(about).expect("a packet");
        let router: IpAddr = if ip.src.is_ipv6() { "fd00::9" } else { "192.0.2.9" }.parse().expect("an address");
        let mut bytes = Vec::new();
        IcmpError::HostUnreachable.write(router, &ip, about, &mut bytes);
        bytes
    }

    #[test]
    fn a_quoted_segment_and_a_quoted_datagram_are_read_in_both_versions() {
        for v6 in [false, true] {
            let [src, dst] = ends(v6);
            let about = SegmentTemplate { seq: Seq(77), ..SegmentTemplate::new(src, dst) }.to_bytes();
            let bytes = error(&about);
            let quoted = Quoted::parse(&IpView::parse(&bytes).expect("a packet")).expect("a quoted segment");
            assert_eq!((quoted.src, quoted.dst, quoted.seq), (src, dst, Some(Seq(77))));
            assert_eq!((quoted.protocol, quoted.kind), (Protocol::Tcp, if v6 { (1, 3) } else { (3, 1) }));
            assert_eq!(Quoted::parse(&IpView::parse(&about).expect("a packet")), None);
            let mut datagram = Vec::new();
            udp_packet(src, dst, 64, b"12", &mut datagram);
            let bytes = error(&datagram);
            let quoted = Quoted::parse(&IpView::parse(&bytes).expect("a packet")).expect("a quoted datagram");
            assert_eq!((quoted.src, quoted.dst, quoted.seq, quoted.protocol), (src, dst, None, Protocol::Udp));
        }
    }

    #[test]
    fn an_error_cut_off_anywhere_is_read_once_ports_and_number_are_there() {
        for (v6, whole) in [(false, 20 + 8 + 20 + 8), (true, 40 + 8 + 40 + 8)] {
            let [src, dst] = ends(v6);
            let bytes = error(&SegmentTemplate::new(src, dst).to_bytes());
            for len in 0..bytes.len() {
                let mut cut = bytes[..len].to_vec();
                crate::segment::edit::set_ip_len(&mut cut);
                let quoted = IpView::parse(&cut).ok().and_then(|ip| Quoted::parse(&ip));
                assert_eq!(quoted.is_some(), len >= whole, "{len}");
            }
        }
    }

    #[test]
    fn a_rewritten_error_is_about_the_new_packet_and_sound() {
        for v6 in [false, true] {
            let [src, dst] = ends(v6);
            let mut bytes = error(&SegmentTemplate::new(src, dst).to_bytes());
            let (mut new_src, mut new_dst) = (dst, src);
            new_src.set_port(5);
            new_dst.set_port(6);
            assert_eq!(Quoted::rewrite(&mut bytes, new_src, new_dst, Seq(9)), Some(()));
            let ip = IpView::parse(&bytes).expect("a packet");
            let quoted = Quoted::parse(&ip).expect("a quoted segment");
            assert_eq!((quoted.src, quoted.dst, quoted.seq), (new_src, new_dst, Some(Seq(9))));
            assert_eq!(ip.dst, new_src.ip());
            assert!(ip.checksums_ok());
            let [other, _] = ends(!v6);
            assert_eq!(Quoted::rewrite(&mut bytes, other, other, Seq(9)), None);
        }
    }
}
