//! Builds packets: a TCP segment from its fields ([`SegmentTemplate`]), a UDP datagram, an IP header.
//!
//! The stack builds with it what smoltcp does not send (SYN|ACK of a half-open connection, RST, the ACK of TIME-WAIT, UDP).
//! Replay and tests build the segments that they feed. Formats: RFC 791, RFC 8200, RFC 9293 section 3.1.

use core::net::{IpAddr, SocketAddr};

use super::layout::{self, OptionLayout};
use super::{Flags, Options, Packet, Seq, fill_checksums};

/// A segment to be written: the fields of [`super::Segment`], owned. Start from [`SegmentTemplate::new`] and change
/// what differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentTemplate<'a> {
    /// Source address and port.
    pub src: SocketAddr,
    /// Destination address and port.
    pub dst: SocketAddr,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK. Zero is written unless [`Flags::ACK`] is set.
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// The window field, not scaled.
    pub window: u16,
    /// Options, in the order and with the padding of `layout`. What does not fit into 40 bytes is left out.
    pub options: Options,
    /// The order and padding of the options.
    pub layout: OptionLayout,
    /// The bytes of data.
    pub payload: &'a [u8],
    /// Time to live or hop limit.
    pub ttl: u8,
    /// The ECN field of the IP header, from 0 to 3 (RFC 3168, section 5).
    pub ecn: u8,
}

/// A TCP header without options.
const TCP_HEADER: usize = 20;

impl SegmentTemplate<'_> {
    /// An empty ACK segment between two endpoints of the same IP version, all numbers zero.
    pub fn new(src: SocketAddr, dst: SocketAddr) -> Self {
        Self {
            src,
            dst,
            seq: Seq(0),
            ack: Seq(0),
            flags: Flags::ACK,
            window: 0,
            options: Options::default(),
            layout: OptionLayout::default(),
            payload: &[],
            ttl: 64,
            ecn: 0,
        }
    }

    /// Writes the packet, checksums included, into `bytes`, whose old content is gone.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        self.write_fields(self.payload.len(), bytes, |bytes| bytes.extend_from_slice(self.payload));
        fill_checksums(bytes);
    }

    /// Writes the packet with `len` bytes of data that `append` adds in place of `payload`: the text of a buffer can lie in
    /// several blocks. The checksums are left out, and the metadata of the packet says so
    /// ([`PacketMeta::checksums_missing`](super::PacketMeta)).
    pub(crate) fn write_without_checksums(&self, len: usize, packet: &mut Packet, append: impl FnOnce(&mut Vec<u8>)) {
        self.write_fields(len, &mut packet.bytes, append);
        packet.meta.sound = true;
        packet.meta.checksums_missing = true;
    }

    /// The packet as new bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// Writes the packet with checksum fields of zero.
    #[inline]
    fn write_fields(&self, text_len: usize, bytes: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>)) {
        // Both headers are made on the stack, with the TCP header at a constant place, and copied at once.
        let mut headers = [0; IPV6_HEADER + TCP_HEADER + layout::LONGEST];
        let (ip, tcp) = headers.split_at_mut(IPV6_HEADER);
        let (fixed, options) = tcp.split_at_mut(TCP_HEADER);
        let options_len = match options.first_chunk_mut() {
            Some(area) => layout::write(&self.options, self.layout, area),
            None => 0,
        };
        let header_len = TCP_HEADER + options_len;
        let ack = if self.flags.contains(Flags::ACK) { self.ack.0 } else { 0 };
        fixed[0..2].copy_from_slice(&self.src.port().to_be_bytes());
        fixed[2..4].copy_from_slice(&self.dst.port().to_be_bytes());
        fixed[4..8].copy_from_slice(&self.seq.0.to_be_bytes());
        fixed[8..12].copy_from_slice(&ack.to_be_bytes());
        fixed[12] = (header_len << 2) as u8;
        fixed[13] = self.flags.0;
        fixed[14..16].copy_from_slice(&self.window.to_be_bytes());

        let len = header_len + text_len;
        let fields = IpFields { src: self.src.ip(), dst: self.dst.ip(), protocol: 6, ttl: self.ttl, ecn: self.ecn };
        let from = fields.write(len, ip);
        let headers_len = IPV6_HEADER - from + header_len;
        bytes.clear();
        // Not more than the packet needs, since its buffer may have exactly this room.
        bytes.reserve((IPV6_HEADER - from + len).max(headers.len() - from));
        // Copies of constant length are fast. What lies behind the options is cut off.
        if from == 0 {
            bytes.extend_from_slice(&headers);
        } else {
            bytes.extend_from_slice(&headers[IPV6_HEADER - IPV4_HEADER..]);
        }
        bytes.truncate(headers_len);
        append(bytes);
    }
}

/// Writes a UDP datagram, checksums included.
pub(crate) fn udp_packet(src: SocketAddr, dst: SocketAddr, ttl: u8, payload: &[u8], bytes: &mut Vec<u8>) {
    let len = 8 + payload.len();
    IpFields { src: src.ip(), dst: dst.ip(), protocol: 17, ttl, ecn: 0 }.begin(len, bytes);
    bytes.extend_from_slice(&src.port().to_be_bytes());
    bytes.extend_from_slice(&dst.port().to_be_bytes());
    bytes.extend_from_slice(&(len as u16).to_be_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(payload);
    fill_checksums(bytes);
}

/// The fields of an IP header that differ between packets.
#[derive(Clone, Copy)]
pub(super) struct IpFields {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) protocol: u8,
    pub(super) ttl: u8,
    pub(super) ecn: u8,
}

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

impl IpFields {
    /// Begins a packet that carries `len` bytes: its IP header, in `bytes`, whose old content is gone.
    pub(super) fn begin(self, len: usize, bytes: &mut Vec<u8>) {
        let mut header = [0; IPV6_HEADER];
        let from = self.write(len, &mut header);
        bytes.clear();
        bytes.extend_from_slice(&header[from..]);
    }

    /// Writes the header to the end of `header`, which is zero and has room for IPv6, and returns where it begins. As
    /// smoltcp writes it: don't-fragment is set, and the identification is zero (RFC 6864 permits it for atomic datagrams).
    #[inline]
    fn write(self, len: usize, header: &mut [u8]) -> usize {
        let Self { src, dst, protocol, ttl, ecn } = self;
        let ecn = ecn & 3;
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let header = &mut header[IPV6_HEADER - IPV4_HEADER..IPV6_HEADER];
                header[0] = 0x45;
                header[1] = ecn;
                header[2..4].copy_from_slice(&((IPV4_HEADER + len) as u16).to_be_bytes());
                header[6] = 0x40;
                header[8] = ttl;
                header[9] = protocol;
                header[12..16].copy_from_slice(&src.octets());
                header[16..20].copy_from_slice(&dst.octets());
                IPV6_HEADER - IPV4_HEADER
            }
            (src, dst) => {
                header[0] = 0x60;
                header[1] = ecn << 4;
                header[4..6].copy_from_slice(&(len as u16).to_be_bytes());
                header[6] = protocol;
                header[7] = ttl;
                for (place, address) in [(8, src), (24, dst)] {
                    let data = match address {
                        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                        IpAddr::V6(v6) => v6.octets(),
                    };
                    header[place..place + 16].copy_from_slice(&data);
                }
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::segment::{IpView, SackBlock, Segment, Timestamps, complete_checksums};

    fn ends(v6: bool) -> [SocketAddr; 2] {
        let ends = if v6 { ["[fd00::1]:80", "[fd00::2]:90"] } else { ["192.0.2.1:80", "192.0.2.2:90"] };
        ends.map(|end| end.parse().expect("an address"))
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_with_valid_checksums_wherever_the_text_is_cut(
            v6 in any::<bool>(),
            numbers in any::<(u32, u32, u8, u16, u8)>(),
            ecn in 0_u8..4,
            options in any::<(Option<u16>, Option<u8>, bool, Option<(u32, u32)>, u8)>(),
            text in prop::collection::vec(any::<u8>(), 0..200),
            cut in any::<prop::sample::Index>(),
            layout in prop::sample::select(vec![OptionLayout::Linux, OptionLayout::FreeBsd, OptionLayout::Compact]),
        ) {
            let ([src, dst], (seq, ack, flags, window, ttl)) = (ends(v6), numbers);
            let (mss, wscale, sack_permitted, ts, blocks) = options;
            let ts = ts.map(|(ts_val, ts_ecr)| Timestamps { ts_val, ts_ecr });
            let mut options = Options { mss, wscale, sack_permitted, ts, ..Options::default() };
            if blocks & 1 == 1 {
                options.sack[0] = SackBlock { left: Seq(ack) + 10, right: Seq(ack) + 20 };
            }
            let (seq, ack, flags) = (Seq(seq), Seq(ack), Flags(flags) | Flags::ACK);
            let fields = SegmentTemplate { seq, ack, flags, window, options, layout, ttl, ecn, ..SegmentTemplate::new(src, dst) };
            let whole = SegmentTemplate { payload: &text, ..fields.clone() }.to_bytes();
            let (first, second) = text.split_at(cut.index(text.len() + 1));
            let mut unfinished = Packet::new(vec![7; 30]);
            fields.write_without_checksums(text.len(), &mut unfinished, |bytes| {
                bytes.extend_from_slice(first);
                bytes.extend_from_slice(second);
            });
            prop_assert!(unfinished.meta.checksums_missing && unfinished.meta.sound);
            prop_assert!(!IpView::parse(&unfinished.bytes).is_ok_and(|ip| ip.checksums_ok()));
            complete_checksums(&mut unfinished);
            prop_assert_eq!(&unfinished.bytes, &whole);
            prop_assert!(!unfinished.meta.checksums_missing && unfinished.meta.sound);
            let ip = IpView::parse(&whole).expect("a packet");
            prop_assert!(ip.checksums_ok());
            prop_assert_eq!(ip.total_len(), whole.len());
            let expected = Segment { src, dst, seq, ack, flags, window, options, payload: &text, ttl, ecn };
            prop_assert_eq!(Segment::parse(&ip), Ok(expected));
        }
    }

    #[test]
    fn a_packet_is_written_into_a_buffer_of_its_size_without_growing_it() {
        for v6 in [false, true] {
            let [src, dst] = ends(v6);
            let text = [7; 1000];
            let template = SegmentTemplate { payload: &text, ..SegmentTemplate::new(src, dst) };
            let mut bytes = Vec::with_capacity(template.to_bytes().len());
            let buffer = bytes.as_ptr();
            template.write(&mut bytes);
            assert_eq!((bytes.as_ptr(), bytes.len()), (buffer, bytes.capacity()));
        }
    }
}
