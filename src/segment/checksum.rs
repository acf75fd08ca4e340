//! The Internet checksum (RFC 1071) over whole packets.
//!
//! smoltcp does not compute and verify checksums here: the stack verifies a segment before it passes it to smoltcp. A stack
//! can also leave them out, and [`complete_checksums`] fills them in for those who read them. The sum is taken over eight
//! bytes at a time.

use core::net::IpAddr;

use super::{IpView, Packet, Protocol};

/// The sum of 64-bit words in the byte order of the machine: its value is `low + 2^64 carries`.
#[derive(Default)]
struct WideSum {
    low: u64,
    carries: u64,
}

impl WideSum {
    /// Adds the words of a block. The carry of each addition goes into the next. Every block begins anew, so that none
    /// waits for the one before.
    #[inline]
    fn add<const N: usize>(&mut self, block: &[u8; N]) {
        let (mut sum, mut carry) = (0_u64, false);
        for word in block.as_chunks::<8>().0 {
            (sum, carry) = sum.carrying_add(u64::from_ne_bytes(*word), carry);
        }
        self.carries += u64::from(carry);
        (self.low, carry) = self.low.overflowing_add(sum);
        self.carries += u64::from(carry);
    }
}

/// The ones'-complement sum of `data` as big-endian 16-bit words, folded. An odd byte at the end counts as if a zero
/// followed.
pub(super) fn sum(data: &[u8]) -> u64 {
    // RFC 1071, section 2 (B): the sum may be taken in any byte order and swapped at the end, and (C) in wider words, since
    // 2^16, 2^32 and 2^64 are all 1 modulo 2^16 - 1.
    let mut wide = WideSum::default();
    let (blocks, rest) = data.as_chunks::<256>();
    for block in blocks {
        wide.add(block);
    }
    let (blocks, rest) = rest.as_chunks::<64>();
    for block in blocks {
        wide.add(block);
    }
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        wide.add(word);
    }
    let mut end = 0_u64;
    let (fours, rest) = rest.as_chunks::<4>();
    if let [four] = fours {
        end += u64::from(u32::from_ne_bytes(*four));
    }
    let (pairs, odd) = rest.as_chunks::<2>();
    if let [pair] = pairs {
        end += u64::from(u16::from_ne_bytes(*pair));
    }
    if let [last] = odd {
        end += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    let sum = (wide.low & 0xffff_ffff) + (wide.low >> 32) + wide.carries + end;
    u64::from(u16::from_be(fold(sum)))
}

/// Folds a sum to 16 bits with end-around carry.
pub(super) const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The sum of the pseudo-header: addresses, protocol, length (RFC 9293, section 3.1; RFC 8200, section 8.1).
fn pseudo_header(src: &IpAddr, dst: &IpAddr, protocol: u8, len: usize) -> u64 {
    let addresses = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let halves = |bits: u32| u64::from(bits >> 16) + u64::from(bits & 0xffff);
            halves(src.to_bits()) + halves(dst.to_bits())
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => sum(&src.to_bits().to_be_bytes()) + sum(&dst.to_bits().to_be_bytes()),
        _ => 0,
    };
    addresses + u64::from(protocol) + len as u64
}

/// Where the checksum of a transport stands in its header.
const fn field_of(protocol: Protocol) -> Option<usize> {
    match protocol {
        Protocol::Tcp => Some(16),
        Protocol::Udp => Some(6),
        Protocol::Icmp | Protocol::Icmpv6 => Some(2),
        Protocol::Other(_) => None,
    }
}

/// The sum of what the checksum covers beside header and payload of the transport.
fn pseudo_sum(ip: &IpView<'_>) -> u64 {
    match ip.protocol {
        Protocol::Icmp => 0,
        other => pseudo_header(&ip.src, &ip.dst, other.number(), ip.payload.len()),
    }
}

/// Verifies the checksum of the transport header.
pub(super) fn transport_ok(ip: &IpView<'_>) -> bool {
    let Some(at) = field_of(ip.protocol) else {
        return true;
    };
    let Some(&[high, low]) = ip.payload.get(at..at + 2) else {
        return false;
    };
    if ip.protocol == Protocol::Udp && ip.src.is_ipv4() && high == 0 && low == 0 {
        return true;
    }
    fold(pseudo_sum(ip) + sum(ip.payload)) == 0xffff
}

/// True if the checksum field holds the sum of the pseudo-header.
#[cfg(any(feature = "replay", feature = "drill"))]
pub(super) fn is_partial(ip: &IpView<'_>) -> bool {
    let field = field_of(ip.protocol).and_then(|at| ip.payload.get(at..at + 2));
    field.is_some_and(|field| u16::from_be_bytes([field[0], field[1]]) == fold(pseudo_sum(ip)))
}

/// Fills in the checksums of a packet that was sent without them. Other packets stay as they are.
///
/// The stack can leave out the checksums of a packet ([`PacketMeta::checksums_missing`](super::PacketMeta)), because nobody
/// reads them between two hosts of one process. Call this before the bytes are shown to an observer, changed, quoted or
/// given to another machine.
#[inline]
pub fn complete_checksums(packet: &mut Packet) {
    if packet.meta.checksums_missing {
        packet.meta.checksums_missing = false;
        fill_checksums(&mut packet.bytes);
    }
}

/// Fills in every checksum of a packet, IPv4 header and transport, and gives the packet parsed. Bytes that are no packet
/// stay as they are; a fragment gets that of its IP header only.
pub(crate) fn fill_checksums(packet: &mut [u8]) -> Option<IpView<'_>> {
    let ip = IpView::parse(packet).ok()?;
    let (start, end, pseudo) = (ip.header.len(), ip.total_len(), pseudo_sum(&ip));
    let IpView { src, dst, protocol, ttl, ecn, fragment, header: _, payload: _ } = ip;
    if src.is_ipv4() {
        packet[10..12].fill(0);
        let check = !fold(sum(&packet[..start]));
        packet[10..12].copy_from_slice(&check.to_be_bytes());
    }
    if let Some(at) = field_of(protocol).map(|at| start + at).filter(|at| at + 2 <= end && !fragment) {
        packet[at..at + 2].fill(0);
        let check = match !fold(pseudo + sum(&packet[start..end])) {
            // RFC 768: a computed zero is sent as all ones, since zero means that there is no checksum.
            0 if protocol == Protocol::Udp => 0xffff,
            check => check,
        };
        packet[at..at + 2].copy_from_slice(&check.to_be_bytes());
    }
    let (header, payload) = (&packet[..start], &packet[start..end]);
    Some(IpView { src, dst, protocol, ttl, ecn, fragment, header, payload })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 taken literally: 16-bit words, end-around carry after each.
    fn literal(data: &[u8]) -> u16 {
        data.chunks(2).fold(0_u16, |acc, pair| {
            let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
            let (sum, carry) = acc.overflowing_add(word);
            sum + u16::from(carry)
        })
    }

    #[test]
    fn the_wide_sum_equals_the_literal_one_for_every_length_and_alignment() {
        let mut rng = crate::rng::Rng::new(1, "checksum");
        let random: Vec<u8> = (0..1600).map(|_| rng.next_u64() as u8).collect();
        // With all bits set, every addition carries.
        for data in [random, vec![0xff; 1600], vec![0; 1600]] {
            for (start, len) in (0..1560).flat_map(|len| [(len % 16, len), (0, len), (len % 7, len)]) {
                let part = &data[start..start + len];
                assert_eq!(fold(sum(part)), literal(part), "{len} bytes from {start}");
            }
        }
        let ones = vec![0xff; 65_535];
        assert_eq!(fold(sum(&ones)), literal(&ones));
    }

    proptest! {
        #[test]
        fn the_wide_sum_equals_the_literal_one_for_any_content(
            data in prop::collection::vec(prop_oneof![Just(0xff_u8), Just(0), any::<u8>()], 0..2000),
            start in 0_usize..16,
        ) {
            let part = &data[start.min(data.len())..];
            prop_assert_eq!(fold(sum(part)), literal(part));
        }
    }

    #[test]
    fn the_example_of_rfc_1071_section_3() {
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
    }
}
