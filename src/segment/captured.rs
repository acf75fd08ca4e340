//! The lenient parser: packets of a capture, as far as they can be read. The host's own parser is [`IpView::parse`].
//!
//! A capture can contain packets that no host accepts: a length left to the hardware (segmentation offload, BIG TCP),
//! packets cut by a snap length, fragments, options of impossible length. Annotators, traces and replay read records
//! through this one parser, so that they agree on lengths.

use super::fragments::Fragments;
use super::{IpView, Malformed, Options, Protocol, Segment};

/// The longest packet whose missing bytes are filled with zeros. Longer records are read as they are.
const LONGEST: usize = 40 + 65_535;

/// The same for packets whose length was left to the hardware.
const LONGEST_UNSEGMENTED: usize = 1 << 20;

/// The least bytes of a TCP header: the window, the checksum and the urgent pointer may be missing.
const TCP_HEAD: usize = 14;

/// Reads the packets of a capture, one after the other. It keeps IP fragments until their datagram is complete.
#[derive(Debug, Default)]
pub struct CaptureParser {
    buffer: Vec<u8>,
    fragments: Fragments,
}

/// One packet of a capture.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// The packet at its full length. Bytes that are not in the file are zero.
    pub bytes: &'a [u8],
    /// Its IP layer.
    pub ip: Result<IpView<'a>, Malformed>,
    /// Its TCP segment. [`Malformed::Fragment`] for a fragment that does not complete its datagram.
    pub segment: Result<Segment<'a>, Malformed>,
    /// Bytes of the packet that are not in the file.
    pub missing: usize,
    /// Some of the missing bytes are TCP options.
    pub options_cut: bool,
    /// The IP length was zero: the packet is as long as its record.
    pub length_from_record: bool,
    /// The datagram was put together from fragments; this packet completed it.
    pub reassembled: bool,
}

impl Captured<'_> {
    /// True if the packet is in the file as it was on the wire, so that its checksums can be verified.
    pub const fn is_verifiable(&self) -> bool {
        self.missing == 0 && !self.length_from_record
    }
}

impl CaptureParser {
    /// A parser without fragments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a packet of which `packet` was captured and `original_len` bytes were on the wire.
    pub fn parse<'a>(&'a mut self, packet: &'a [u8], original_len: u32) -> Captured<'a> {
        let Self { buffer, fragments } = self;
        let length = declared_len(packet);
        let length_from_record = length == Some(0);
        let wanted = match length {
            Some(len) if len > 0 => len,
            _ => original_len as usize,
        };
        let longest = if length_from_record { LONGEST_UNSEGMENTED } else { LONGEST };
        let wanted = wanted.clamp(packet.len().min(longest), longest);
        let header_len = if packet.first().is_some_and(|byte| byte >> 4 == 6) { 40 } else { 20 };
        let bytes: &'a [u8] = if packet.len() >= wanted || packet.len() < header_len {
            packet
        } else {
            buffer.clear();
            buffer.extend_from_slice(packet);
            buffer.resize(wanted, 0);
            buffer
        };
        let missing = bytes.len() - packet.len();
        let ip = IpView::parse_captured(bytes);
        if let Ok(view) = &ip
            && view.fragment
            && let Some((whole, lost)) = fragments.take(view, bytes, packet.len())
        {
            let ip = IpView::parse_captured(whole);
            let captured = if lost == 0 { whole.len() } else { packet.len().min(whole.len()) };
            let (segment, options_cut) = read_segment(&ip, whole, captured);
            return Captured {
                bytes: whole,
                ip,
                segment,
                missing: lost,
                options_cut,
                length_from_record: false,
                reassembled: true,
            };
        }
        let (segment, options_cut) = read_segment(&ip, bytes, packet.len());
        Captured { bytes, ip, segment, missing, options_cut, length_from_record, reassembled: false }
    }

    /// Fragments that were dropped because there was no room, or because they fit into no datagram.
    pub fn fragments_refused(&self) -> u64 {
        self.fragments.refused()
    }
}

/// The length by the IP header. Zero where it was left to the hardware; `None` where there is no header.
fn declared_len(packet: &[u8]) -> Option<usize> {
    match *packet {
        [first, _, high, low, ..] if first >> 4 == 4 => Some(usize::from(u16::from_be_bytes([high, low]))),
        [first, _, _, _, high, low, ..] if first >> 4 == 6 => match u16::from_be_bytes([high, low]) {
            0 => Some(0),
            len => Some(40 + usize::from(len)),
        },
        _ => None,
    }
}

/// The segment of a packet of which `kept` bytes were captured, and whether options are missing.
fn read_segment<'a>(
    ip: &Result<IpView<'a>, Malformed>,
    bytes: &'a [u8],
    kept: usize,
) -> (Result<Segment<'a>, Malformed>, bool) {
    let ip = match ip {
        Ok(ip) => ip,
        Err(malformed) => return (Err(*malformed), false),
    };
    if ip.protocol != Protocol::Tcp || ip.fragment {
        return (Segment::parse(ip), false);
    }
    let start = ip.header.len();
    if kept < bytes.len() && kept < start + TCP_HEAD {
        return (Err(Malformed::Truncated), false);
    }
    let header_len = ip.payload.get(12).map_or(0, |byte| usize::from(byte >> 4) * 4);
    let area = ip.payload.get(20..header_len).unwrap_or_default();
    let there = kept.saturating_sub(start + 20).min(area.len());
    let options_cut = there < area.len();
    let options = Options::parse_lenient(&area[..there], options_cut);
    (Segment::parse_with(ip, options), options_cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Flags, OptionLayout, SegmentTemplate, Timestamps};

    fn packet(v6: bool, payload: &[u8]) -> Vec<u8> {
        let ends = if v6 { ["[fd69::1]:1000", "[fd69::2]:80"] } else { ["192.0.2.1:1000", "192.0.2.2:80"] };
        let [src, dst] = ends.map(|end| end.parse().expect("an address"));
        let mut template = SegmentTemplate { payload, flags: Flags::SYN, ..SegmentTemplate::new(src, dst) };
        template.layout = OptionLayout::Compact;
        template.options.mss = Some(1460);
        template.options.ts = Some(Timestamps { ts_val: 1, ts_ecr: 0 });
        template.to_bytes()
    }

    #[test]
    fn a_whole_packet_is_read_as_by_a_host_and_padding_is_cut_off() {
        for v6 in [false, true] {
            let mut bytes = packet(v6, b"12345");
            let ip = IpView::parse(&bytes).expect("a packet");
            let segment = Segment::parse(&ip).expect("a segment");
            let mut parser = CaptureParser::new();
            let captured = parser.parse(&bytes, bytes.len() as u32);
            assert_eq!((captured.ip, captured.segment), (Ok(ip), Ok(segment)));
            assert!(captured.is_verifiable() && !captured.options_cut && !captured.reassembled);
            bytes.extend_from_slice(&[0; 6]);
            let captured = parser.parse(&bytes, bytes.len() as u32);
            assert_eq!(captured.segment.map(|segment| segment.payload.len()), Ok(5));
            assert!(captured.is_verifiable());
        }
    }

    #[test]
    fn a_length_of_zero_is_that_of_the_record_also_beyond_64_kib() {
        for (v6, len) in [(false, 5), (true, 5), (false, 100_000), (true, 100_000)] {
            let mut bytes = packet(v6, &vec![7; len]);
            let field = if v6 { 4 } else { 2 };
            bytes[field..field + 2].fill(0);
            let mut parser = CaptureParser::new();
            let captured = parser.parse(&bytes, bytes.len() as u32);
            assert_eq!(captured.segment.map(|segment| segment.payload.len()), Ok(len));
            assert!(captured.length_from_record && !captured.is_verifiable() && captured.missing == 0);
        }
    }

    #[test]
    fn what_was_cut_off_is_made_up_for_and_said_also_where_the_original_length_is_lost() {
        for v6 in [false, true] {
            let bytes = packet(v6, &[7; 300]);
            let header = bytes.len() - 300;
            for original_len in [bytes.len(), header + 42] {
                let mut parser = CaptureParser::new();
                let captured = parser.parse(&bytes[..header + 42], original_len as u32);
                let segment = captured.segment.expect("a segment");
                assert_eq!((segment.payload.len(), captured.missing), (300, 258));
                assert_eq!(segment.payload[41..43], [7, 0]);
                assert!(!captured.options_cut && !captured.is_verifiable());
                assert_eq!(segment.options.mss, Some(1460));
            }
        }
    }

    #[test]
    fn a_packet_cut_anywhere_is_a_segment_once_its_flags_are_there() {
        let bytes = packet(false, b"12345");
        for kept in 0..bytes.len() {
            let mut parser = CaptureParser::new();
            let captured = parser.parse(&bytes[..kept], bytes.len() as u32);
            assert_eq!(captured.segment.is_ok(), kept >= 34, "{kept}");
            if let Ok(segment) = captured.segment {
                assert_eq!((segment.payload.len(), captured.missing), (5, bytes.len() - kept));
                assert_eq!(segment.options.mss.is_some(), kept >= 44, "{kept}");
                assert_eq!(captured.options_cut, kept < bytes.len() - 5, "{kept}");
                assert!(!segment.options.irregular);
            }
        }
    }

    #[test]
    fn an_option_of_impossible_length_costs_the_rest_of_the_options_only() {
        let sound = packet(false, b"12345");
        for (at, len) in [(41, 0), (41, 1), (41, 200), (41, 3), (45, 0), (45, 39)] {
            let mut bytes = sound.clone();
            bytes[at] = len;
            let mut parser = CaptureParser::new();
            let segment = parser.parse(&bytes, bytes.len() as u32).segment.expect("a segment");
            assert_eq!((segment.payload, segment.flags), (&b"12345"[..], Flags::SYN), "{at} {len}");
            assert!(segment.options.irregular, "{at} {len}");
            assert_eq!(segment.options.mss, (at == 45).then_some(1460), "{at} {len}");
        }
    }

    #[test]
    fn what_is_no_packet_is_an_error() {
        let mut parser = CaptureParser::new();
        for bytes in [&[][..], &[0x45], &[0x60; 39], &[0x12; 60]] {
            let captured = parser.parse(bytes, bytes.len() as u32);
            assert!(captured.ip.is_err() && captured.segment.is_err());
        }
        assert!(parser.parse(&[0x45, 0, 0, 10, 0, 0], u32::MAX).segment.is_err());
    }
}
