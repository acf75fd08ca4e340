//! ICMP errors that a router sends (RFC 792, RFC 4443), and whether an error may be sent about a packet. `sim` uses both;
//! `quoted` reads what an error quotes.

use core::net::IpAddr;

use super::build::IpFields;
use super::{IpView, Protocol, fill_checksums};

/// Why a router does not forward a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IcmpError {
    /// No route leads there.
    NetUnreachable,
    /// The destination network is attached here, and no host on it has the address.
    HostUnreachable,
    /// The packet is larger than the MTU of the next link.
    TooBig {
        /// Bytes.
        mtu: u16,
    },
    /// The TTL or hop limit is used up.
    TimeExceeded,
}

impl IcmpError {
    /// Type, code and the second word of the header.
    fn head(self, v6: bool) -> (u8, u8, u32) {
        let (v4_head, v6_head, word) = match self {
            Self::NetUnreachable => ((3, 0), (1, 0), 0),
            Self::HostUnreachable => ((3, 1), (1, 3), 0),
            Self::TooBig { mtu } => ((3, 4), (2, 0), mtu.into()),
            Self::TimeExceeded => ((11, 0), (3, 0), 0),
        };
        let (kind, code) = if v6 { v6_head } else { v4_head };
        (kind, code, word)
    }

    /// Writes the packet from `src` to the sender of `about`, whose IP version `src` has to be of, into `bytes`, whose
    /// old content is gone. As much is quoted as fits into 576 bytes (RFC 1812, section 4.3.2.3) or 1280 (RFC 4443,
    /// section 2.4).
    pub(crate) fn write(self, src: IpAddr, about: &IpView<'_>, about_bytes: &[u8], bytes: &mut Vec<u8>) {
        let v6 = src.is_ipv6();
        let (longest, header, protocol) = if v6 { (1280, 40, Protocol::Icmpv6) } else { (576, 20, Protocol::Icmp) };
        let quoted = &about_bytes[..about.total_len().min(longest - header - 8)];
        let fields = IpFields { src, dst: about.src, protocol: protocol.number(), ttl: 64, ecn: 0 };
        fields.begin(8 + quoted.len(), bytes);
        let (kind, code, word) = self.head(v6);
        bytes.extend_from_slice(&[kind, code, 0, 0]);
        bytes.extend_from_slice(&word.to_be_bytes());
        bytes.extend_from_slice(quoted);
        fill_checksums(bytes);
    }
}

impl IpView<'_> {
    /// Whether an ICMP error may be sent about this packet (RFC 1122, section 3.2.2; RFC 4443, section 2.4): not about
    /// an ICMP error, not about a fragment, and only if source and destination are unicast addresses. "Packet too big" over
    /// IPv6 may also answer multicast; no host here sends any.
    pub(crate) fn allows_icmp_error(&self) -> bool {
        let single = |address: IpAddr| match address {
            IpAddr::V4(v4) => !(v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() || v4.is_loopback()),
            IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_multicast() || v6.is_loopback()),
        };
        let is_error = match (self.protocol, self.payload.first()) {
            (Protocol::Icmp, kind) => !matches!(kind, Some(0 | 8 | 9 | 10 | 13 | 14)),
            (Protocol::Icmpv6, kind) => kind.is_none_or(|kind| *kind < 128),
            _ => false,
        };
        single(self.src) && single(self.dst) && !is_error && !self.fragment
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::SegmentTemplate;

    fn segment(ttl: u8, payload: &[u8], v6: bool) -> Vec<u8> {
        let [src, dst] = if v6 { ["[fd00::1]:80", "[fd00::2]:90"] } else { ["192.0.2.1:80", "192.0.2.2:90"] };
        let [src, dst] = [src, dst].map(|addr| addr.parse().expect("an address"));
        SegmentTemplate { payload, ttl, ..SegmentTemplate::new(src, dst) }.to_bytes()
    }

    #[test]
    fn an_error_quotes_what_fits_and_its_checksums_are_right() {
        let mut bytes = Vec::new();
        for (v6, longest) in [(false, 576), (true, 1280)] {
            let about = segment(9, &[1; 1400], v6);
            let ip = IpView::parse(&about).expect("a packet");
            let src: IpAddr = if v6 { "fd00::9" } else { "192.0.2.9" }.parse().expect("an address");
            IcmpError::TooBig { mtu: 1400 }.write(src, &ip, &about, &mut bytes);
            let error = IpView::parse(&bytes).expect("a packet");
            assert_eq!((bytes.len(), error.src, error.dst), (longest, src, ip.src));
            assert!(error.checksums_ok() && about.starts_with(&error.payload[8..]));
            assert_eq!(error.payload[..2], if v6 { [2, 0] } else { [3, 4] });
            assert_eq!(error.payload[4..8], 1400_u32.to_be_bytes());
            assert!(ip.allows_icmp_error() && !error.allows_icmp_error(), "no error about an error");
        }
    }
}
