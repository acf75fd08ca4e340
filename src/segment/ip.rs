//! Parses the IP header, version 4 (RFC 791) or 6 (RFC 8200). The host and the parser of captures use it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum;

/// The authentication header (RFC 4302).
const AH: u8 = 51;

/// Why bytes are not a packet, or not a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Neither version 4 nor 6.
    #[error("the first nibble is neither 4 nor 6")]
    Version,
    /// The IP header is cut off or its length field is impossible.
    #[error("the IP header is cut off or its length is impossible")]
    IpHeader,
    /// The packet is shorter than the length in its IP header.
    #[error("the packet is shorter than the length in its IP header")]
    Truncated,
    /// The TCP header is cut off or its data offset is impossible.
    #[error("the TCP header is cut off or its data offset is impossible")]
    TcpHeader,
    /// A fragment cannot be read as a segment.
    #[error("the packet is an IP fragment")]
    Fragment,
    /// The packet carries something else.
    #[error("the packet does not carry TCP")]
    NotTcp,
}

/// What an IP packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// 6.
    Tcp,
    /// 17.
    Udp,
    /// 1.
    Icmp,
    /// 58.
    Icmpv6,
    /// Anything else, by its IANA number.
    Other(u8),
}

impl From<u8> for Protocol {
    fn from(number: u8) -> Self {
        match number {
            1 => Self::Icmp,
            6 => Self::Tcp,
            17 => Self::Udp,
            58 => Self::Icmpv6,
            other => Self::Other(other),
        }
    }
}

impl Protocol {
    /// The IANA protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Icmp => 1,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmpv6 => 58,
            Self::Other(number) => number,
        }
    }
}

/// The IP layer of a packet, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpView<'a> {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// What the payload is.
    pub protocol: Protocol,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// The ECN field, from 0 to 3 (RFC 3168, section 5).
    pub ecn: u8,
    /// A fragment of a larger datagram (version 4: offset or more-fragments; version 6: a fragment header).
    pub fragment: bool,
    /// The IP header with its options or extension headers.
    pub header: &'a [u8],
    /// What follows the header, cut at the IP length: link-layer padding is gone.
    pub payload: &'a [u8],
}

impl<'a> IpView<'a> {
    /// Reads the IP header at the start of `bytes`.
    ///
    /// # Errors
    /// [`Malformed::Version`], [`Malformed::IpHeader`] or [`Malformed::Truncated`].
    #[expect(clippy::inline_always, reason = "it runs for each packet, and its large result is not copied then")]
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match bytes.first().map(|byte| byte >> 4) {
            Some(4) => Self::parse_v4(bytes),
            Some(6) => Self::parse_v6(bytes),
            _ => Err(Malformed::Version),
        }
    }

    /// Reads a packet of a capture: as [`IpView::parse`], but a length field of zero is one that was left to the hardware
    /// (segmentation offload), and the packet is as long as `bytes`. On the wire there is no such packet.
    ///
    /// # Errors
    /// As [`IpView::parse`].
    pub fn parse_captured(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let ip = match bytes {
            [first, _, 0, 0, ..] if first >> 4 == 4 => Self::parse_v4_of(bytes, bytes.len()),
            [first, _, _, _, 0, 0, ..] if first >> 4 == 6 => Self::parse_v6_of(bytes, bytes.len()),
            _ => Self::parse(bytes),
        }?;
        Ok(if ip.protocol == Protocol::Other(AH) && !ip.fragment { ip.behind_ah(bytes) } else { ip })
    }

    /// The packet with its authentication headers (RFC 4302) as a part of the IP header. The host does not have them.
    fn behind_ah(self, bytes: &'a [u8]) -> Self {
        let (mut ip, end) = (self, self.total_len());
        while let (Protocol::Other(AH), [next, len, ..]) = (ip.protocol, ip.payload) {
            let start = ip.header.len() + (usize::from(*len) + 2) * 4;
            if start > end {
                break;
            }
            (ip.protocol, ip.header, ip.payload) = ((*next).into(), &bytes[..start], &bytes[start..end]);
        }
        ip
    }

    #[expect(clippy::inline_always, reason = "it runs for each packet, and its large result is not copied then")]
    #[inline(always)]
    fn parse_v4(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let total_len = bytes.get(2..4).map_or(0, |field| usize::from(u16::from_be_bytes([field[0], field[1]])));
        Self::parse_v4_of(bytes, total_len)
    }

    #[expect(clippy::inline_always, reason = "it runs for each packet, and its large result is not copied then")]
    #[inline(always)]
    fn parse_v4_of(bytes: &'a [u8], total_len: usize) -> Result<Self, Malformed> {
        let Some((fixed, _)) = bytes.split_first_chunk::<20>() else {
            return Err(Malformed::IpHeader);
        };
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        if header_len < 20 || total_len < header_len {
            return Err(Malformed::IpHeader);
        }
        if total_len > bytes.len() {
            return Err(Malformed::Truncated);
        }
        Ok(Self {
            src: IpAddr::V4(Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15])),
            dst: IpAddr::V4(Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19])),
            protocol: fixed[9].into(),
            ttl: fixed[8],
            ecn: fixed[1] & 3,
            // Everything but the reserved bit and don't-fragment.
            fragment: u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3fff != 0,
            header: &bytes[..header_len],
            payload: &bytes[header_len..total_len],
        })
    }

    fn parse_v6(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let total_len = 40 + bytes.get(4..6).map_or(0, |field| usize::from(u16::from_be_bytes([field[0], field[1]])));
        Self::parse_v6_of(bytes, total_len)
    }

    fn parse_v6_of(bytes: &'a [u8], total_len: usize) -> Result<Self, Malformed> {
        let Some((fixed, _)) = bytes.split_first_chunk::<40>() else {
            return Err(Malformed::IpHeader);
        };
        if total_len > bytes.len() {
            return Err(Malformed::Truncated);
        }
        let address = |at: usize| {
            let bytes: [u8; 16] = core::array::from_fn(|i| fixed[at + i]);
            IpAddr::V6(Ipv6Addr::from(bytes))
        };
        let (header_len, next, fragment) = skip_extensions(&bytes[..total_len], fixed[6])?;
        Ok(Self {
            src: address(8),
            dst: address(24),
            protocol: next.into(),
            ttl: fixed[7],
            ecn: (fixed[1] >> 4) & 3,
            fragment,
            header: &bytes[..header_len],
            payload: &bytes[header_len..total_len],
        })
    }

    /// Verifies every checksum that the packet has: IPv4 header, TCP, UDP, ICMP. A UDP checksum of zero over IPv4 means
    /// that there is none (RFC 768); a fragment's transport checksum cannot be verified and passes.
    pub fn checksums_ok(&self) -> bool {
        self.header_checksum_ok() && (self.fragment || checksum::transport_ok(self))
    }

    /// Verifies the checksum of the IPv4 header; IPv6 has none.
    pub fn header_checksum_ok(&self) -> bool {
        self.dst.is_ipv6() || {
            // An authentication header may follow, which it does not cover.
            let len = self.header.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
            checksum::fold(checksum::sum(&self.header[..len.min(self.header.len())])) == 0xffff
        }
    }

    /// True if the transport's checksum is that of the pseudo-header alone. A host writes it there if its network card is
    /// to compute the rest (checksum offload).
    #[cfg(any(feature = "replay", feature = "drill"))]
    pub(crate) fn checksum_is_partial(&self) -> bool {
        checksum::is_partial(self)
    }

    /// The length of the packet by its own header.
    pub fn total_len(&self) -> usize {
        self.header.len() + self.payload.len()
    }
}

/// Walks hop-by-hop, routing, destination-options and fragment headers (RFC 8200, section 4). Returns the length of all
/// headers, the protocol behind them, and whether the packet is a fragment.
fn skip_extensions(packet: &[u8], first: u8) -> Result<(usize, u8, bool), Malformed> {
    let (mut at, mut next, mut fragment) = (40, first, false);
    while matches!(next, 0 | 43 | 44 | 60) {
        let Some(&[following, len, high, low, ..]) = packet.get(at..at + 8) else {
            return Err(Malformed::IpHeader);
        };
        if next == 44 {
            // An atomic fragment (offset 0, no more) is a whole datagram (RFC 6946).
            fragment |= u16::from_be_bytes([high, low]) & 0xfff9 != 0;
            at += 8;
        } else {
            at += (usize::from(len) + 1) * 8;
        }
        next = following;
        if at > packet.len() {
            return Err(Malformed::IpHeader);
        }
    }
    Ok((at, next, fragment))
}

/// The part of an IPv6 header before its fragment header.
pub(super) struct BeforeFragment {
    /// Its length.
    pub(super) len: usize,
    /// Where the protocol of the next header stands in it.
    pub(super) next_at: usize,
}

/// Finds the fragment header in the headers of an IPv6 packet.
pub(super) fn fragment_header(header: &[u8]) -> Option<(BeforeFragment, [u8; 8])> {
    let (mut at, mut next_at) = (40, 6);
    loop {
        match header.get(next_at)? {
            44 => return Some((BeforeFragment { len: at, next_at }, *header.get(at..)?.first_chunk()?)),
            0 | 43 | 60 => {
                next_at = at;
                at += (usize::from(*header.get(at + 1)?) + 1) * 8;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::SegmentTemplate;

    fn packet(ends: [&str; 2], payload: &[u8]) -> Vec<u8> {
        let [src, dst] = ends.map(|end| end.parse().expect("an address"));
        SegmentTemplate { payload, ..SegmentTemplate::new(src, dst) }.to_bytes()
    }

    #[test]
    fn a_length_left_to_the_hardware_is_read_in_a_capture_and_refused_on_the_wire() {
        for (ends, field) in [(["192.0.2.1:1", "192.0.2.2:2"], 2), (["[fd69::1]:1", "[fd69::2]:2"], 4)] {
            let mut bytes = packet(ends, b"12345");
            let sound = IpView::parse(&bytes).expect("a packet").payload.to_vec();
            assert_eq!(IpView::parse_captured(&bytes).expect("a packet").payload, sound);
            bytes[field..field + 2].fill(0);
            assert_eq!(IpView::parse_captured(&bytes).expect("a packet").payload, sound);
            assert_ne!(IpView::parse(&bytes).map(|ip| ip.payload.len()), Ok(sound.len()));
        }
    }

    #[test]
    fn a_captured_packet_is_cut_at_its_length_and_may_not_be_shorter() {
        let mut bytes = packet(["192.0.2.1:1", "192.0.2.2:2"], b"12345");
        let whole = bytes.len();
        bytes.extend_from_slice(&[0; 6]);
        assert_eq!(IpView::parse_captured(&bytes).map(|ip| ip.total_len()), Ok(whole));
        assert_eq!(IpView::parse_captured(&bytes[..whole - 1]), Err(Malformed::Truncated));
        for len in 0..20 {
            assert!(IpView::parse_captured(&bytes[..len]).is_err());
            assert!(IpView::parse_captured(&vec![0x60; len]).is_err());
            assert!(IpView::parse_captured(&[&[0x45, 0, 0, 0][..], &vec![0; len]].concat()[..len]).is_err());
        }
    }
}
