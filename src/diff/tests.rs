//! Captures are put together packet by packet, with one thing changed at a time.

#![allow(clippy::type_complexity, clippy::needless_pass_by_value, reason = "rows of tables, and templates of packets")]

use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use super::read::{Limits, read_within};
use super::{Comparison, Contents, Settings, Verdict, compare};
use crate::capture::{self, Reader};
use crate::segment::{Flags, OptionLayout, SegmentTemplate, Seq, Timestamps, fill_checksums, udp_packet};
use crate::time::{Duration, Instant};

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A capture of these packets, each with its time in milliseconds.
fn file(packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    cut_file(packets, 0)
}

fn cut_file(packets: &[(u64, Vec<u8>)], snaplen: u32) -> Vec<u8> {
    let memory = Memory::default();
    let settings = capture::Settings::default().own_thread(false).snaplen(snaplen);
    let mut capture = settings.stream(memory.clone(), "memory").unwrap();
    for (at, packet) in packets {
        capture.packet(Instant::from_millis(*at), None, packet, None);
    }
    capture.close().unwrap();
    memory.0.lock().unwrap().clone()
}

fn contents(file: Vec<u8>) -> Contents {
    super::read(&mut Reader::from_read(Cursor::new(file), "memory").unwrap()).unwrap()
}

fn compared(a: &[(u64, Vec<u8>)], b: &[(u64, Vec<u8>)], settings: Settings) -> Comparison {
    compare(&contents(file(a)), &contents(file(b)), &settings)
}

/// What may differ between two captures of the same conversation.
#[derive(Clone, Copy)]
struct Chance {
    client: &'static str,
    server: &'static str,
    iss: [u32; 2],
    stamps: [u32; 2],
    ident: u16,
}

const ONE: Chance =
    Chance { client: "192.0.2.1:40000", server: "192.0.2.2:80", iss: [1000, 9000], stamps: [1, 2], ident: 7 };
const OTHER: Chance =
    Chance { client: "192.0.2.1:51111", iss: [u32::MAX - 1, 77], stamps: [500, 900], ident: 99, ..ONE };

/// A segment: from the client or not, flags, relative numbers.
fn segment(chance: &Chance, client: bool, flags: Flags, seq: u32, ack: u32) -> SegmentTemplate<'static> {
    let [c, s]: [SocketAddr; 2] = [chance.client, chance.server].map(|end| end.parse().unwrap());
    let (src, dst, own, peer) = if client { (c, s, 0, 1) } else { (s, c, 1, 0) };
    let mut template = SegmentTemplate::new(src, dst);
    template.seq = Seq(chance.iss[own]) + seq;
    template.ack = if flags.contains(Flags::ACK) { Seq(chance.iss[peer]) + ack } else { Seq(0) };
    template.flags = flags;
    template.window = 1000;
    template.layout = OptionLayout::Compact;
    template.options.ts = Some(Timestamps { ts_val: chance.stamps[own] + seq, ts_ecr: chance.stamps[peer] });
    template
}

fn bytes(chance: &Chance, template: SegmentTemplate<'_>, payload: &[u8]) -> Vec<u8> {
    let mut packet = SegmentTemplate { payload, ..template }.to_bytes();
    packet[4..6].copy_from_slice(&chance.ident.to_be_bytes());
    let _ = fill_checksums(&mut packet);
    packet
}

/// A handshake, a request, an answer in two segments, both FINs.
fn conversation(chance: &Chance) -> Vec<(u64, Vec<u8>)> {
    let psh = Flags::ACK | Flags::PSH;
    let fin = Flags::ACK | Flags::FIN;
    let all: [(u64, bool, Flags, u32, u32, &[u8]); 9] = [
        (0, true, Flags::SYN, 0, 0, b""),
        (20, false, Flags::SYN | Flags::ACK, 0, 1, b""),
        (40, true, Flags::ACK, 1, 1, b""),
        (40, true, psh, 1, 1, b"question"),
        (60, false, Flags::ACK, 1, 9, b"a long "),
        (61, false, psh, 8, 9, b"answer"),
        (80, true, Flags::ACK, 9, 14, b""),
        (90, true, fin, 9, 14, b""),
        (110, false, fin, 14, 10, b""),
    ];
    let packet = |(at, client, flags, seq, ack, payload): (u64, bool, Flags, u32, u32, &[u8])| {
        (at, bytes(chance, segment(chance, client, flags, seq, ack), payload))
    };
    all.into_iter().map(packet).collect()
}

const STRICT: Settings = Settings { time: None, semantic: false };
const SEMANTIC: Settings = Settings { time: None, semantic: true };

/// The fields of the first difference of the only conversation, with the packets.
fn first(comparison: &Comparison) -> ([Option<u64>; 2], Vec<(String, String, String)>) {
    let [one] = &comparison.conversations[..] else { panic!("{comparison:?}") };
    let Verdict::Differs(finding) = &one.verdict else { panic!("{one:?}") };
    (finding.packets, finding.fields.iter().map(|pair| (pair.field.clone(), pair.a.clone(), pair.b.clone())).collect())
}

fn pair(field: &str, a: &str, b: &str) -> (String, String, String) {
    (field.to_owned(), a.to_owned(), b.to_owned())
}

#[test]
fn what_is_the_same_only_by_chance_is_not_compared() {
    let comparison = compared(&conversation(&ONE), &conversation(&OTHER), STRICT);
    assert!(comparison.is_same(), "{comparison:?}");
    let [one] = &comparison.conversations[..] else { panic!("{comparison:?}") };
    assert_eq!((one.packets, one.compared), ([9, 9], 9));
    let ends = |client: &str| Some([client, ONE.server].map(|end| end.parse().unwrap()));
    assert_eq!(one.ends, [ends(ONE.client), ends(OTHER.client)]);
}

#[test]
fn the_first_packet_that_differs_is_named_with_each_field_that_differs() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(usize, Change, &[(&str, &str, &str)]); 9] = [
        (4, |packet| packet[8] = 63, &[("ttl", "64", "63")]),
        (4, |packet| packet[1] |= 3, &[("ecn", "0", "3")]),
        (4, |packet| packet[1] |= 0x28, &[("dscp", "0", "10")]),
        (4, |packet| packet[6] ^= 0x40, &[("don't fragment", "", "")]),
        (4, |packet| packet[20 + 14] ^= 4, &[("win", "1000", "2024")]),
        (4, |packet| packet[20 + 13] |= 8, &[("flags", ".", "P.")]),
        (4, |packet| packet[20 + 12] |= 2, &[("reserved bits", "0", "2")]),
        (4, |packet| packet[20 + 19] = 5, &[("urgent", "0", "5")]),
        (4, |packet| *packet.last_mut().unwrap() = b'!', &[("payload", "", ""), ("from byte 6", "\" \"", "\"!\"")]),
    ];
    for (nth, change, expected) in cases {
        let mut other = conversation(&OTHER);
        change(&mut other[nth].1);
        let (packets, fields) = first(&compared(&conversation(&ONE), &other, STRICT));
        assert_eq!(packets, [Some(nth as u64 + 1); 2], "{fields:?}");
        assert_eq!(fields.len(), expected.len(), "{fields:?}");
        for ((field, a, b), (name, one, two)) in fields.iter().zip(expected) {
            assert_eq!(field, name);
            assert!(one.is_empty() || (a, b) == (&(*one).to_owned(), &(*two).to_owned()), "{fields:?}");
        }
    }
}

#[test]
fn the_lines_of_both_packets_have_marks_below_what_differs() {
    let mut other = conversation(&OTHER);
    other[4].1[8] = 63;
    let comparison = compared(&conversation(&ONE), &other, STRICT);
    let Verdict::Differs(finding) = &comparison.conversations[0].verdict else { panic!("{comparison:?}") };
    let [line_a, marks_a, line_b, marks_b] = &finding.lines[..] else { panic!("{finding:?}") };
    assert_eq!(line_a, "   0.060000000 |<-- ACK 1:8 ack 9 win 1000 <TS val 0 ecr 0> (7) ttl 64 ---|   A");
    assert_eq!(line_b, "   0.060000000 |<-- ACK 1:8 ack 9 win 1000 <TS val 0 ecr 0> (7) ttl 63 ---|   B");
    for (line, marks) in [(line_a, marks_a), (line_b, marks_b)] {
        let at = marks.find('^').unwrap();
        assert_eq!((&line[at..at + 2], marks.trim()), (if line == line_a { "64" } else { "63" }, "^^"));
    }
}

#[test]
fn a_packet_more_and_another_order_are_differences() {
    let whole = conversation(&ONE);
    let short = &whole[..8];
    let (packets, fields) = first(&compared(&whole, short, STRICT));
    assert_eq!((packets, fields), ([Some(9), None], vec![pair("packets", "9", "8")]));
    let (packets, fields) = first(&compared(short, &whole, STRICT));
    assert_eq!((packets, fields), ([None, Some(9)], vec![pair("packets", "8", "9")]));
    let mut swapped = whole.clone();
    (swapped[6].1, swapped[5].1) = (whole[5].1.clone(), whole[6].1.clone());
    let (packets, fields) = first(&compared(&whole, &swapped, STRICT));
    assert_eq!((packets, fields), ([Some(6); 2], vec![pair("from", "server", "client")]));
}

#[test]
fn times_count_from_the_beginning_of_the_conversation_and_may_differ_by_the_tolerance() {
    let whole = conversation(&ONE);
    let later: Vec<_> = conversation(&OTHER).into_iter().map(|(at, packet)| (at + 5000, packet)).collect();
    let exact = |time| Settings { time: Some(time), ..STRICT };
    assert!(compared(&whole, &later, exact(Duration::ZERO)).is_same());
    let mut slow = later;
    slow[5].0 += 5;
    assert!(compared(&whole, &slow, exact(Duration::from_millis(5))).is_same());
    let (packets, fields) = first(&compared(&whole, &slow, exact(Duration::from_nanos(4_999_999))));
    assert_eq!((packets, fields), ([Some(6); 2], vec![pair("time", "0.061000000", "0.066000000")]));
    assert!(compared(&whole, &slow, STRICT).is_same());
}

#[test]
fn conversations_are_matched_by_the_server_and_their_order_and_the_others_are_named() {
    let elsewhere = Chance { server: "192.0.2.2:81", ..ONE };
    let second = Chance { client: "192.0.2.1:40001", ..ONE };
    let a: Vec<_> = [conversation(&ONE), conversation(&second)].concat();
    // In B the other order of beginning, and one more conversation with another port of the server.
    let b: Vec<_> = [conversation(&elsewhere), conversation(&OTHER)].concat();
    let comparison = compared(&a, &b, STRICT);
    let verdicts: Vec<_> = comparison.conversations.iter().map(|one| format!("{:?}", one.verdict)).collect();
    assert_eq!(verdicts, ["Same", "OnlyInA", "OnlyInB"]);
    assert!(!comparison.is_same());
    assert_eq!(comparison.conversations[1].packets, [9, 0]);
    assert_eq!(comparison.conversations[2].packets, [0, 9]);
    // Without a SYN the lower port is that of the server.
    let middle = |chance: &Chance| conversation(chance)[4..].to_vec();
    assert!(compared(&middle(&ONE), &middle(&OTHER), STRICT).is_same());
}

#[test]
fn a_semantic_comparison_takes_the_bytes_and_the_turns_in_any_segments() {
    let whole = conversation(&ONE);
    // The answer in one segment, sent twice; no FIN.
    let psh = Flags::ACK | Flags::PSH;
    let answer = bytes(&OTHER, segment(&OTHER, false, psh, 1, 9), b"a long answer");
    let mut other = conversation(&OTHER);
    other.truncate(4);
    other.extend([(70, answer.clone()), (300, answer)]);
    assert!(!compared(&whole, &other, STRICT).is_same());
    assert!(compared(&whole, &other, SEMANTIC).is_same());
    // Another byte.
    let wrong = bytes(&OTHER, segment(&OTHER, false, psh, 1, 9), b"a long Answer");
    let with = |last: Vec<u8>| [&other[..4], &[(70, last)]].concat();
    let (packets, fields) = first(&compared(&whole, &with(wrong), SEMANTIC));
    assert_eq!((packets, fields), ([Some(6), Some(5)], vec![pair("byte 7 of the server", "\"answer\"", "\"Answer\"")]));
    // Fewer bytes.
    let short = bytes(&OTHER, segment(&OTHER, false, psh, 1, 9), b"a long answe");
    let (_, fields) = first(&compared(&whole, &with(short), SEMANTIC));
    assert_eq!(fields, [pair("bytes of the server", "13", "12")]);
    // The server begins.
    let mut early = conversation(&OTHER);
    let (question, answer) = (early[3].1.clone(), early[4].1.clone());
    (early[3].1, early[4].1) = (answer, question);
    let (packets, fields) = first(&compared(&whole, &early, SEMANTIC));
    assert_eq!(packets, [Some(4); 2]);
    assert_eq!(fields, [pair("turn 1", "the client sends 8 bytes", "the server sends 7 bytes")]);
}

fn udp(client: &str, from_client: bool, payload: &[u8]) -> Vec<u8> {
    let (client, server): (SocketAddr, SocketAddr) = (client.parse().unwrap(), "192.0.2.2:53".parse().unwrap());
    let (src, dst) = if from_client { (client, server) } else { (server, client) };
    let mut packet = Vec::new();
    udp_packet(src, dst, 64, payload, &mut packet);
    packet
}

/// An ICMP error about a packet, from a router.
fn icmp_error(about: &[u8], code: u8) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 56, 0, 1, 0, 0, 64, 1, 0, 0, 203, 0, 113, 1];
    packet.extend_from_slice(&about[12..16]);
    packet.extend_from_slice(&[3, code, 0, 0, 0, 0, 0, 0]);
    packet.extend_from_slice(&about[..28]);
    let _ = fill_checksums(&mut packet);
    packet
}

fn ping(ident: u16, data: u8) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 32, 0, 1, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 8, 0, 0, 0];
    packet.extend_from_slice(&ident.to_be_bytes());
    packet.extend_from_slice(&[0, 1, data, data, data, data]);
    let _ = fill_checksums(&mut packet);
    packet
}

#[test]
fn datagrams_and_icmp_messages_are_compared_too() {
    let a = [
        (0, udp("192.0.2.1:5000", true, b"name?")),
        (1, udp("192.0.2.1:5000", false, b"address")),
        (2, icmp_error(&udp("192.0.2.1:5000", true, b"name?"), 3)),
        (3, ping(1, 9)),
    ];
    let mut b = [
        (0, udp("192.0.2.1:6000", true, b"name?")),
        (1, udp("192.0.2.1:6000", false, b"address")),
        (2, icmp_error(&udp("192.0.2.1:6000", true, b"name?"), 3)),
        (3, ping(2, 9)),
    ];
    let same = compared(&a, &b, STRICT);
    assert!(same.is_same(), "{same:?}");
    assert_eq!(same.conversations.iter().map(|one| one.compared).collect::<Vec<_>>(), [3, 1]);
    b[2].1 = icmp_error(&b[0].1, 1);
    b[3].1 = ping(2, 8);
    let other = compared(&a, &b, STRICT);
    let fields = |nth: usize| match &other.conversations[nth].verdict {
        Verdict::Differs(finding) => finding.fields.iter().map(|pair| pair.field.clone()).collect::<Vec<_>>(),
        verdict => panic!("{verdict:?}"),
    };
    assert_eq!((fields(0), fields(1)), (vec!["ICMP type and code".to_owned()], vec!["from byte 8".to_owned()]));
    // With --semantic only the datagrams count, and what is left out is counted.
    let semantic = compared(&a, &b, SEMANTIC);
    assert!(semantic.is_same());
    assert_eq!((semantic.left_out, semantic.errors_left_out), ([1, 1], [1, 1]));
    b[1].1 = udp("192.0.2.1:6000", false, b"adDress");
    let (packets, fields) = first(&compared(&a, &b, SEMANTIC));
    let expected = pair("datagram 2 from byte 2", "\"dress\"", "\"Dress\"");
    assert_eq!((packets, fields), ([Some(2); 2], vec![expected]));
}

#[test]
fn of_a_packet_that_was_cut_off_the_beginning_is_compared_and_it_is_counted() {
    let whole = conversation(&ONE);
    let mut other = conversation(&OTHER);
    // 20 bytes of IP, 32 of TCP with timestamps, and 4 of data.
    let cut = |packets: &[(u64, Vec<u8>)]| contents(cut_file(packets, 56));
    *other[3].1.last_mut().unwrap() = b'!';
    let comparison = compare(&contents(file(&whole)), &cut(&other), &STRICT);
    assert!(comparison.is_same(), "{comparison:?}");
    assert_eq!(comparison.cut, [0, 3]);
    assert!(compare(&contents(file(&whole)), &cut(&other), &SEMANTIC).is_same());
    other[3].1[52 + 3] = b'!';
    let (packets, _) = first(&compare(&contents(file(&whole)), &cut(&other), &STRICT));
    assert_eq!(packets, [Some(4); 2]);
}

#[test]
fn a_file_beyond_a_limit_is_refused() {
    let bytes = file(&conversation(&ONE));
    let read = |limits| read_within(&mut Reader::from_read(Cursor::new(bytes.clone()), "memory").unwrap(), limits);
    let kept = contents(bytes.clone()).bytes.len();
    let limits = Limits { packets: 9, bytes: kept, conversations: 1 };
    assert_eq!(read(limits).unwrap().packets(), 9);
    let refused = [
        (Limits { packets: 8, ..limits }, "more than 8 packets".to_owned()),
        (Limits { bytes: kept - 1, ..limits }, format!("more than {} bytes of data", kept - 1)),
        (Limits { conversations: 0, ..limits }, "more than 0 conversations".to_owned()),
    ];
    for (limits, words) in refused {
        let said = read(limits).unwrap_err().to_string();
        assert!(said.starts_with("compare memory: ") && said.contains(&words), "{said}");
    }
}
