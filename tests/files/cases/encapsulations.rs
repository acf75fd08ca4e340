//! One conversation in each encapsulation, read here and by tshark: each segment is in the same stream of the same length.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;

use tcplab::capture::Reader;
use tcplab::segment::{CaptureParser, Flags, SegmentTemplate, Seq};

use crate::programs;

/// Puts a packet into a frame.
type Wrap = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// Bytes in hexadecimal, with blanks between them.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// A header before the packet.
fn before(header: &str) -> Wrap {
    let header = hex(header);
    Box::new(move |packet| [&header, packet].concat())
}

/// The Internet checksum.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum = words.sum::<u32>();
    !(((sum & 0xffff) + (sum >> 16)) as u16)
}

/// An IPv4 packet with this protocol.
fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let mut header = [hex("45 00"), len.to_be_bytes().to_vec(), hex("00 01 00 00 40"), vec![protocol]].concat();
    header.extend(hex("00 00 cb 00 71 01 cb 00 71 02"));
    let check = checksum(&header);
    header[10..12].copy_from_slice(&check.to_be_bytes());
    [header, payload.to_vec()].concat()
}

/// An IPv6 packet with this next header.
fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_be_bytes();
    let ends = hex("20010db8000000000000000000000001 20010db8000000000000000000000002");
    [hex("60 00 00 00"), len.to_vec(), vec![next, 64], ends, payload.to_vec()].concat()
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    [&40_000_u16.to_be_bytes()[..], &port.to_be_bytes(), &len.to_be_bytes(), &[0; 2], payload].concat()
}

const ADDRESSES: &str = "02 00 00 00 00 02 02 00 00 00 00 01";

/// The type of a packet in Ethernet.
fn ethertype(packet: &[u8]) -> Vec<u8> {
    if packet[0] >> 4 == 4 { hex("0800") } else { hex("86dd") }
}

fn ethernet(packet: &[u8]) -> Vec<u8> {
    [hex(ADDRESSES), ethertype(packet), packet.to_vec()].concat()
}

/// A tunnel header in IPv4, and IPv4 in raw IP.
fn in_ipv4(protocol: u8, header: &str) -> Wrap {
    let header = hex(header);
    Box::new(move |packet| ipv4(protocol, &[&header, packet].concat()))
}

/// A header before an Ethernet frame, over a UDP port.
fn over_udp(port: u16, header: &str) -> Wrap {
    let header = hex(header);
    Box::new(move |packet| ipv4(17, &udp(port, &[header.clone(), ethernet(packet)].concat())))
}

fn with_type(header: &str) -> Wrap {
    let header = hex(header);
    Box::new(move |packet| [header.clone(), ethertype(packet), packet.to_vec()].concat())
}

/// An 802.11 data frame with LLC and SNAP, behind a header.
fn wlan(before: &str, frame: &str) -> Wrap {
    with_type(&format!("{before} {frame} aa aa 03 00 00 00"))
}

const DATA: &str = "08 02 00 00 020000000001 020000000002 020000000003 10 00";
const QOS: &str = "88 01 00 00 020000000001 020000000002 020000000003 10 00 00 00";
const WDS: &str = "08 03 00 00 020000000001 020000000002 020000000003 10 00 020000000004";

/// An encapsulation: a name, a link type, the frame of a packet.
type Case = (&'static str, u16, Wrap);

/// IPv4 in Ethernet and in raw IP.
fn in_ethernet() -> Vec<Case> {
    let eth = |header: &str| before(&format!("{ADDRESSES} {header}"));
    vec![
        ("raw", 101, before("")),
        ("raw, 228", 228, before("")),
        ("BSD loopback", 0, before("02 00 00 00")),
        ("OpenBSD loopback", 108, before("00 00 00 02")),
        ("Ethernet", 1, eth("08 00")),
        ("VLAN", 1, eth("81 00 00 05 08 00")),
        ("QinQ", 1, eth("88 a8 00 05 81 00 00 06 08 00")),
        ("three VLAN tags", 1, eth("81 00 00 05 81 00 00 06 81 00 00 07 08 00")),
        ("MPLS", 1, eth("88 47 00 01 01 40")),
        ("MPLS, three labels", 1, eth("88 47 00 01 00 40 00 02 00 40 00 03 01 40")),
        ("MPLS in a VLAN", 1, eth("81 00 00 05 88 47 00 01 01 40")),
        (
            "Ethernet in MPLS",
            1,
            Box::new(|packet| [hex(ADDRESSES), hex("88 47 00 01 01 40 00 00 00 00"), ethernet(packet)].concat()),
        ),
        (
            "PPPoE",
            1,
            Box::new(|packet| {
                let len = (packet.len() as u16 + 2).to_be_bytes();
                [hex(ADDRESSES), hex("88 64 11 00 00 01"), len.to_vec(), hex("00 21"), packet.to_vec()].concat()
            }),
        ),
        (
            "LLC and SNAP",
            1,
            Box::new(|packet| {
                let len = (packet.len() as u16 + 8).to_be_bytes();
                [hex(ADDRESSES), len.to_vec(), hex("aa aa 03 00 00 00 08 00"), packet.to_vec()].concat()
            }),
        ),
        (
            "provider backbone",
            1,
            Box::new(|packet| [hex(ADDRESSES), hex("88 e7 00 00 00 05"), ethernet(packet)].concat()),
        ),
    ]
}

/// IPv4 below other link layers.
fn in_links() -> Vec<Case> {
    vec![
        ("PPP", 9, before("00 21")),
        ("PPP in HDLC framing", 9, before("ff 03 00 21")),
        ("PPP in HDLC framing, 50", 50, before("ff 03 00 21")),
        ("Cisco HDLC", 104, before("0f 00 08 00")),
        (
            "PPPoE without Ethernet",
            51,
            Box::new(|packet| {
                let len = (packet.len() as u16 + 2).to_be_bytes();
                [hex("11 00 00 01"), len.to_vec(), hex("00 21"), packet.to_vec()].concat()
            }),
        ),
        ("frame relay", 107, before("18 41 03 cc")),
        ("FDDI", 10, before(&format!("50 {ADDRESSES} aa aa 03 00 00 00 08 00"))),
        ("Token Ring", 6, before(&format!("10 40 {ADDRESSES} aa aa 03 00 00 00 08 00"))),
        ("ATM, RFC 2684", 100, before("aa aa 03 00 00 00 08 00")),
        ("IP over IEEE 1394", 138, before("0000000000000001 0000000000000002 08 00")),
        ("cooked", 113, before("00 00 00 01 00 06 02 00 00 00 00 01 00 00 08 00")),
        ("cooked, VLAN", 113, before("00 00 00 01 00 06 02 00 00 00 00 01 00 00 81 00 00 05 08 00")),
        ("cooked 2", 276, before("08 00 00 00 00 00 00 01 00 01 00 06 02 00 00 00 00 01 00 00")),
        ("802.11", 105, wlan("", DATA)),
        ("802.11, quality of service", 105, wlan("", QOS)),
        ("802.11, four addresses", 105, wlan("", WDS)),
        ("radiotap", 127, wlan("00 00 08 00 00 00 00 00", DATA)),
        ("radiotap with time and flags", 127, wlan("00 00 12 00 03 00 00 00 0102030405060708 00 00", DATA)),
        ("radiotap with padding", 127, wlan("00 00 09 00 02 00 00 00 20", &format!("{QOS} 00 00"))),
        ("radiotap with two bitmaps", 127, wlan("00 00 0d 00 02 00 00 80 00 00 00 00 00", DATA)),
        ("Prism", 119, {
            let frame = hex(&format!("{DATA} aa aa 03 00 00 00 08 00"));
            let head = [hex("44 00 00 00 90 00 00 00"), vec![0; 136]].concat();
            Box::new(move |packet| [&head, &frame, packet].concat())
        }),
        ("AVS", 163, {
            let head = format!("80211001 00000040 {}", "00".repeat(56));
            wlan(&head, DATA)
        }),
        ("per-packet information", 192, wlan("00 00 08 00 69 00 00 00", DATA)),
    ]
}

/// IPv4 in IP.
fn in_tunnels() -> Vec<Case> {
    let ah = |packet: &[u8]| {
        let header = hex("06 04 0000 00000001 00000001 000102030405060708090a0b");
        let mut whole = packet[..20].to_vec();
        whole[9] = 51;
        whole[2..4].copy_from_slice(&((packet.len() + header.len()) as u16).to_be_bytes());
        whole[10..12].fill(0);
        let check = checksum(&whole);
        whole[10..12].copy_from_slice(&check.to_be_bytes());
        [&whole, &header, &packet[20..]].concat()
    };
    vec![
        ("IP in IP", 101, in_ipv4(4, "")),
        ("IP in IP in IP", 101, Box::new(|packet| ipv4(4, &ipv4(4, packet)))),
        ("4in6", 101, Box::new(|packet| ipv6(4, packet))),
        (
            "4in6 with options",
            101,
            Box::new(|packet| ipv6(60, &[hex("04 00 01 04 00 00 00 00"), packet.to_vec()].concat())),
        ),
        ("GRE", 101, in_ipv4(47, "00 00 08 00")),
        ("GRE with a key", 101, in_ipv4(47, "20 00 08 00 00 00 00 07")),
        ("GRE with a checksum", 101, in_ipv4(47, "80 00 08 00 00 00 00 00")),
        ("GRE with a sequence number", 101, in_ipv4(47, "10 00 08 00 00 00 00 01")),
        ("GRE with all of them", 101, in_ipv4(47, "b0 00 08 00 00 00 00 00 00 00 00 07 00 00 00 01")),
        (
            "GRE of PPTP",
            101,
            Box::new(|packet| {
                let len = (packet.len() as u16 + 4).to_be_bytes();
                ipv4(
                    47,
                    &[hex("30 81 88 0b"), len.to_vec(), hex("00 01 00000001 00000001 ff 03 00 21"), packet.to_vec()]
                        .concat(),
                )
            }),
        ),
        ("Ethernet in GRE", 101, Box::new(|packet| ipv4(47, &[hex("00 00 65 58"), ethernet(packet)].concat()))),
        ("ERSPAN I", 101, Box::new(|packet| ipv4(47, &[hex("00 00 88 be"), ethernet(packet)].concat()))),
        (
            "ERSPAN II",
            101,
            Box::new(|packet| {
                ipv4(47, &[hex("10 00 88 be 00 00 00 01 10 01 00 01 00 00 00 01"), ethernet(packet)].concat())
            }),
        ),
        (
            "ERSPAN III",
            101,
            Box::new(|packet| {
                ipv4(
                    47,
                    &[hex("10 00 22 eb 00 00 00 01 20 01 00 01 00 00 00 01 00 00 00 00"), ethernet(packet)].concat(),
                )
            }),
        ),
        ("MPLS in GRE", 101, in_ipv4(47, "00 00 88 47 00 01 01 40")),
        ("MPLS in IP", 101, in_ipv4(137, "00 01 01 40")),
        ("EtherIP", 101, Box::new(|packet| ipv4(97, &[hex("30 00"), ethernet(packet)].concat()))),
        ("AH", 101, Box::new(ah)),
        (
            "AH and IP in IP",
            101,
            Box::new(|packet| {
                ipv4(51, &[hex("04 04 0000 00000001 00000001 000102030405060708090a0b"), packet.to_vec()].concat())
            }),
        ),
        ("VXLAN", 101, over_udp(4789, "08 00 00 00 00 00 05 00")),
        ("Geneve", 101, over_udp(6081, "00 00 65 58 00 00 05 00")),
        ("Geneve with options", 101, over_udp(6081, "02 00 65 58 00 00 05 00 01 02 03 01 00 00 00 00")),
        (
            "GTP-U",
            101,
            Box::new(|packet| {
                let len = (packet.len() as u16).to_be_bytes();
                ipv4(17, &udp(2152, &[hex("30 ff"), len.to_vec(), hex("00 00 00 01"), packet.to_vec()].concat()))
            }),
        ),
        (
            "MPLS over UDP",
            101,
            Box::new(|packet| ipv4(17, &udp(6635, &[hex("00 01 01 40"), packet.to_vec()].concat()))),
        ),
        (
            "VXLAN in a VLAN in MPLS",
            1,
            Box::new(|packet| {
                let vxlan = ipv4(17, &udp(4789, &[hex("08 00 00 00 00 00 05 00"), ethernet(packet)].concat()));
                [hex(ADDRESSES), hex("81 00 00 05 88 47 00 01 01 40"), vxlan].concat()
            }),
        ),
    ]
}

/// The encapsulations of IPv6.
fn of_ipv6() -> Vec<Case> {
    let eth = |header: &str| before(&format!("{ADDRESSES} {header}"));
    vec![
        ("raw, version 6", 101, before("")),
        ("raw, 229", 229, before("")),
        ("BSD loopback, family 30", 0, before("1e 00 00 00")),
        ("Ethernet, version 6", 1, eth("86 dd")),
        ("PPP, version 6", 9, before("00 57")),
        ("MPLS, version 6", 1, eth("88 47 00 01 01 40")),
        ("6in4", 101, in_ipv4(41, "")),
        ("6in6", 101, Box::new(|packet| ipv6(41, packet))),
        ("GRE, version 6", 101, in_ipv4(47, "00 00 86 dd")),
        ("GRE in IPv6", 101, Box::new(|packet| ipv6(47, &[hex("00 00 86 dd"), packet.to_vec()].concat()))),
        ("VXLAN, version 6", 101, over_udp(4789, "08 00 00 00 00 00 05 00")),
        ("Teredo", 101, Box::new(|packet| ipv4(17, &udp(3544, packet)))),
        ("radiotap, version 6", 127, wlan("00 00 08 00 00 00 00 00", DATA)),
        (
            "AH in IPv6",
            101,
            Box::new(|packet| {
                let mut whole = packet[..40].to_vec();
                let ah = hex("06 04 0000 00000001 00000001 000102030405060708090a0b");
                whole[6] = 51;
                let len = (packet.len() - 40 + ah.len()) as u16;
                whole[4..6].copy_from_slice(&len.to_be_bytes());
                [whole, ah, packet[40..].to_vec()].concat()
            }),
        ),
    ]
}

/// A SYN and two segments of text, from the port that is the number of the encapsulation.
fn conversation(v6: bool, nth: usize) -> Vec<Vec<u8>> {
    let ends = if v6 { ["[2001:db8:1::1]", "[2001:db8:1::2]"] } else { ["192.0.2.1", "192.0.2.2"] };
    let src = format!("{}:{}", ends[0], 10_000 + nth).parse().expect("an address");
    let dst = format!("{}:80", ends[1]).parse().expect("an address");
    let mut template = SegmentTemplate { seq: Seq(1_000), flags: Flags::SYN, ..SegmentTemplate::new(src, dst) };
    let syn = template.to_bytes();
    (template.flags, template.seq, template.payload) = (Flags::ACK, Seq(1_001), b"first text");
    let first = template.to_bytes();
    (template.seq, template.payload) = (Seq(1_011), b"second");
    vec![syn, first, template.to_bytes()]
}

/// A pcapng file with an interface for each link type.
struct File {
    bytes: Vec<u8>,
    interfaces: Vec<u16>,
}

impl File {
    fn new() -> Self {
        let mut file = Self { bytes: Vec::new(), interfaces: Vec::new() };
        let magic = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
        file.block(0x0a0d_0d0a, &magic);
        file
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let len = (body.len().next_multiple_of(4) + 12) as u32;
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend(len.to_le_bytes());
        self.bytes.extend(body);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.bytes.extend(len.to_le_bytes());
    }

    fn frame(&mut self, link_type: u16, frame: &[u8]) {
        let known = self.interfaces.iter().position(|known| *known == link_type);
        let interface = known.unwrap_or_else(|| {
            self.block(1, &[&link_type.to_le_bytes()[..], &[0; 6]].concat());
            self.interfaces.push(link_type);
            self.interfaces.len() - 1
        });
        let (number, len) = (self.bytes.len() as u32, frame.len() as u32);
        let fixed = [interface as u32, 0, number, len, len].map(u32::to_le_bytes).concat();
        self.block(6, &[&fixed, frame].concat());
    }
}

/// The port, sequence number and length of the segment in each frame, as it is read here.
fn ours(file: &[u8]) -> BTreeMap<u64, (u16, u32, usize)> {
    let mut reader = Reader::from_read(Cursor::new(file.to_vec()), "encapsulations").expect("a capture");
    let mut parser = CaptureParser::new();
    let mut found = BTreeMap::new();
    while let Some(record) = reader.next_record() {
        let record = record.expect("a record");
        let Some(packet) = record.packet else { continue };
        let captured = parser.parse(packet, record.original_len);
        if let Ok(segment) = captured.segment {
            assert!(captured.ip.expect("a packet").checksums_ok(), "packet {}", record.number);
            found.insert(record.number, (segment.src.port(), segment.seq.0, segment.payload.len()));
        }
    }
    assert_eq!(reader.warnings(), [], "nothing in the file is odd");
    found
}

/// The same, as tshark has it.
fn tsharks(path: &str) -> Option<BTreeMap<u64, (u16, u32, usize)>> {
    let fields = ["frame.number", "tcp.srcport", "tcp.seq_raw", "tcp.len"];
    let mut arguments = vec!["-n", "-r", path, "-Y", "tcp", "-T", "fields"];
    arguments.extend(fields.iter().flat_map(|field| ["-e", field]));
    let text = programs::printed("tshark", &arguments)?;
    let row = |line: &str| {
        let fields: Vec<_> = line.split('\t').collect();
        let number = |at: usize| fields[at].parse::<u64>().unwrap_or_else(|_| panic!("{line}"));
        (number(0), (number(1) as u16, number(2) as u32, number(3) as usize))
    };
    Some(text.lines().map(row).collect())
}

/// Encapsulations that tshark 4.0 does not look into, and why.
///
/// MPLS does not announce frames. tshark looks for them if their addresses are of known manufacturers; these are local ones.
const NOT_TSHARKS: [&str; 1] = ["Ethernet in MPLS"];

#[test]
fn the_innermost_packet_of_every_encapsulation_is_the_one_that_tshark_finds() {
    let mut file = File::new();
    let (mut expected, mut names) = (BTreeMap::new(), Vec::new());
    let of_ipv4 = [in_ethernet(), in_links(), in_tunnels()].into_iter().flatten();
    let all = of_ipv4.map(|case| (false, case)).chain(of_ipv6().into_iter().map(|case| (true, case)));
    for (nth, (v6, (name, link_type, wrap))) in all.enumerate() {
        for (packet, (seq, len)) in conversation(v6, nth).iter().zip([(1_000, 0), (1_001, 10), (1_011, 6)]) {
            file.frame(link_type, &wrap(packet));
            names.push(name);
            expected.insert(names.len() as u64, (10_000 + nth as u16, seq, len));
        }
    }
    let found = ours(&file.bytes);
    let wrong: Vec<_> = expected.iter().filter(|(number, row)| found.get(number) != Some(row)).collect();
    let wrong: Vec<_> = wrong.iter().map(|(number, _)| names[**number as usize - 1]).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(found, expected, "and nothing else");

    let path = programs::scratch("encapsulations.pcapng");
    fs::write(&path, &file.bytes).expect("a place for it");
    let Some(tsharks) = tsharks(&path.to_string_lossy()) else { return };
    let differs = expected.iter().filter(|(number, row)| tsharks.get(number) != Some(row));
    let differs: Vec<_> = differs.map(|(number, _)| names[*number as usize - 1]).collect();
    let differs: Vec<_> = differs.into_iter().filter(|name| !NOT_TSHARKS.contains(name)).collect();
    assert!(differs.is_empty(), "tshark has another segment or none: {differs:?}");
}

#[test]
fn a_packet_in_fragments_of_a_tunnel_is_put_together() {
    let packet = conversation(false, 7).remove(1);
    let outer = ipv4(47, &[hex("00 00 08 00"), packet].concat());
    let fragments = |outer: &[u8]| {
        let part = |bytes: &[u8], field: u16| {
            let mut part = ipv4(47, bytes);
            part[6..8].copy_from_slice(&field.to_be_bytes());
            part[10..12].fill(0);
            let check = checksum(&part[..20]);
            part[10..12].copy_from_slice(&check.to_be_bytes());
            part
        };
        [part(&outer[20..44], 0x2000), part(&outer[44..], 3)]
    };
    let mut file = File::new();
    for fragment in fragments(&outer) {
        file.frame(101, &fragment);
    }
    assert_eq!(ours(&file.bytes), BTreeMap::from([(2, (10_007, 1_001, 10))]));
    let path = programs::scratch("tunnel-fragments.pcapng");
    fs::write(&path, &file.bytes).expect("a place for it");
    if let Some(tsharks) = tsharks(&path.to_string_lossy()) {
        assert_eq!(tsharks, BTreeMap::from([(2, (10_007, 1_001, 10))]));
    }
}

#[test]
fn a_frame_may_have_32_headers_and_not_33() {
    let packet = conversation(false, 1).remove(1);
    // Link, Ethernet, EtherType and IP are the others.
    for (tags, found) in [(28, 1), (29, 0)] {
        let header = [hex(ADDRESSES), hex("81 00 00 05").repeat(tags), hex("08 00")].concat();
        let mut file = File::new();
        file.frame(1, &[header, packet.clone()].concat());
        assert_eq!(ours(&file.bytes).len(), found, "{tags} tags");
    }
    // Of packets in packets without end the outermost that can be reached counts.
    let mut nested = packet;
    for _ in 0..200 {
        nested = ipv4(4, &nested);
    }
    let mut file = File::new();
    file.frame(101, &nested);
    let mut reader = Reader::from_read(Cursor::new(file.bytes), "nested").expect("a capture");
    assert!(reader.next_record().expect("a record").expect("it is read").packet.is_some());
}

#[test]
fn what_is_not_looked_into_is_counted_by_its_name() {
    let mut file = File::new();
    let frames: &[(u16, usize, &str)] = &[
        (204, 12, "01 ff 03 00 21 45"),
        (1, 3, "ff ff ff ff ff ff 02 00 00 00 00 01 88 cc 02 07"),
        (1, 2, "ff ff ff ff ff ff 02 00 00 00 00 01 08 06 00 01"),
        (1, 1, "ff ff ff ff ff ff 02 00 00 00 00 01 00 27 42 42 03"),
        (1, 1, "ff ff ff ff ff ff 02 00 00 00 00 01 00 27 aa aa 03 00 00 0c 20 00"),
        (9, 1, "ff 03 c0 21 01 01"),
        (127, 1, "00 00 08 00 00 00 00 00 80 00 00 00"),
        (1, 1, "ff ff ff ff ff ff 02 00 00 00"),
        (220, 1, "00"),
    ];
    for (link_type, count, frame) in frames {
        for _ in 0..*count {
            file.frame(*link_type, &hex(frame));
        }
    }
    let path = programs::scratch("not-looked-into.pcapng");
    fs::write(&path, &file.bytes).expect("a place for it");
    let output = super::tcplab(&["show", &path.to_string_lossy()]);
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("23 packets, 0 connections\n"), "{said}");
    for name in [
        "12 packets of link type 204 (PPP with direction)",
        "3 packets of EtherType 0x88cc (LLDP)",
        "2 packets of EtherType 0x0806 (ARP)",
        "1 packet of LLC service access point 0x42 (spanning tree)",
        "1 packet of SNAP protocol 00000c:2000 (CDP)",
        "1 packet of PPP protocol 0xc021 (LCP)",
        "1 packet of 802.11 management frames",
        "1 packet of frames that end before the IP header",
        "1 packet of link type 220 (USB, Linux, memory-mapped)",
    ] {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert!(!said.contains("without an IP packet"), "{said}");
    let replayed = super::tcplab(&["replay", &path.to_string_lossy()]);
    let text = String::from_utf8(replayed.stdout).expect("text");
    assert_eq!(replayed.status.code(), Some(1));
    assert!(
        text.contains("no TCP conversation among 23 packets; not looked into: 12 packets of link type 204"),
        "{text}"
    );
    let drilled = super::tcplab(&["drill", "--from", &path.to_string_lossy()]);
    let said = String::from_utf8(drilled.stderr).expect("text");
    assert!(said.contains("12 packets of link type 204"), "{said}");
}
