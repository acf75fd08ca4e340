//! Echo requests and their replies (RFC 792, RFC 4443 section 4), for a node that is no host: a hop of `live`.

use super::build::IpFields;
use super::{IpView, Protocol, fill_checksums};

/// Type and code of request and reply, over IPv4 and IPv6.
const V4: [[u8; 2]; 2] = [[8, 0], [0, 0]];
const V6: [[u8; 2]; 2] = [[128, 0], [129, 0]];

impl IpView<'_> {
    /// Whether it asks for an echo. A fragment does not.
    pub(crate) fn is_echo_request(&self) -> bool {
        let request = match self.protocol {
            Protocol::Icmp => V4[0],
            Protocol::Icmpv6 => V6[0],
            _ => return false,
        };
        !self.fragment && self.payload.len() >= 8 && self.payload.starts_with(&request)
    }

    /// Writes the reply to an echo request into `bytes`, whose old content is gone.
    pub(crate) fn write_echo_reply(&self, bytes: &mut Vec<u8>) {
        let reply = if self.dst.is_ipv4() { V4[1] } else { V6[1] };
        let fields =
            IpFields { src: self.dst, dst: self.src, protocol: self.protocol.number(), ttl: 64, ecn: self.ecn };
        fields.begin(self.payload.len(), bytes);
        bytes.extend_from_slice(&reply);
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.payload[4..]);
        fill_checksums(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::RawIp;
    use crate::segment::raw::raw_icmp;

    #[test]
    fn a_reply_has_the_request_turned_round_and_its_data() {
        for (v6, request, reply) in [(false, 8, 0), (true, 128, 129)] {
            let [src, dst] = if v6 { ["fd77::2", "fd77:1::1"] } else { ["10.77.0.2", "10.77.1.1"] };
            let [src, dst] = [src, dst].map(|text| text.parse().expect("an address"));
            let bytes = raw_icmp(src, dst, RawIp::default(), (request, 0, 0x0102_0003), b"data");
            let ip = IpView::parse(&bytes).expect("a packet");
            assert!(ip.is_echo_request());
            let mut answer = vec![7; 9];
            ip.write_echo_reply(&mut answer);
            let ip = IpView::parse(&answer).expect("a packet");
            assert_eq!((ip.src, ip.dst, ip.ttl), (dst, src, 64));
            assert!(ip.checksums_ok() && !ip.is_echo_request());
            assert_eq!((ip.payload[0], &ip.payload[4..]), (reply, &bytes[bytes.len() - 8..]));
        }
    }

    #[test]
    fn a_message_that_is_no_whole_request_is_none() {
        let [src, dst] = ["10.77.0.2", "10.77.1.1"].map(|text| text.parse().expect("an address"));
        for (head, body) in [((0, 0, 0), &b"data"[..]), ((8, 1, 0), b"data"), ((3, 3, 0), b"")] {
            let bytes = raw_icmp(src, dst, RawIp::default(), head, body);
            assert!(!IpView::parse(&bytes).expect("a packet").is_echo_request(), "{head:?}");
        }
    }
}
