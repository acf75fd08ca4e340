//! Files put together by hand, in every byte order and resolution; files written and read again; files that are broken.

use std::io::Cursor;

use proptest::prelude::*;

use super::segment;
use crate::capture::error::ReadProblem;
use crate::capture::{Capture, Comments, Direction, Format, ReadError, Reader, Settings, Summary};
use crate::time::Instant;

/// What is read of a record.
pub(super) type Seen = (u64, Vec<u8>, u32, Option<Direction>, Option<String>);

/// Whole records, then how it ended.
pub(super) fn read(bytes: &[u8]) -> (Vec<Seen>, Option<ReadError>) {
    let mut reader = match Reader::from_read(Cursor::new(bytes.to_vec()), "f") {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let (mut seen, mut failure) = (Vec::new(), None);
    while let Some(record) = reader.next_record() {
        match record {
            Ok(record) => {
                assert_eq!(record.number, seen.len() as u64 + 1);
                let bytes = record.packet.map(<[u8]>::to_vec).unwrap_or_default();
                let comment = record.comment.map(str::to_owned);
                seen.push((record.at.as_nanos(), bytes, record.original_len, record.direction, comment));
            }
            Err(error) => failure = Some(error),
        }
    }
    assert!(reader.next_record().is_none(), "after the end there is nothing");
    (seen, failure)
}

/// What is odd in a file.
pub(super) fn warned(bytes: &[u8]) -> Vec<String> {
    let mut reader = Reader::from_read(Cursor::new(bytes.to_vec()), "f").expect("a capture");
    while reader.next_record().is_some() {}
    reader.warnings().iter().map(ToString::to_string).collect()
}

/// Where the header and the records of a file of ours end.
fn ends(bytes: &[u8], format: Format) -> Vec<usize> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let (mut at, mut ends) = (if format == Format::Pcap { 24 } else { 0 }, Vec::new());
    while at < bytes.len() {
        ends.push(at);
        at += if format == Format::Pcap { 16 + word(at + 8) } else { word(at + 4) };
    }
    ends
}

/// Numbers in the byte order of the file.
#[derive(Clone, Copy)]
pub(super) struct Order {
    pub(super) big: bool,
}

impl Order {
    pub(super) fn u32(self, word: u32) -> [u8; 4] {
        if self.big { word.to_be_bytes() } else { word.to_le_bytes() }
    }

    pub(super) fn u16(self, word: u16) -> [u8; 2] {
        if self.big { word.to_be_bytes() } else { word.to_le_bytes() }
    }

    pub(super) fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| self.u32(*word)).collect()
    }

    pub(super) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let len = self.u32(padded as u32 + 12);
        [&self.u32(kind)[..], &len, body, &vec![0; padded - body.len()], &len].concat()
    }

    pub(super) fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let pad = value.len().next_multiple_of(4) - value.len();
        [&self.u16(code)[..], &self.u16(value.len() as u16), value, &vec![0; pad]].concat()
    }

    pub(super) fn section(self) -> Vec<u8> {
        self.block(0x0a0d_0d0a, &[&self.u32(0x1a2b_3c4d)[..], &self.u16(1), &self.u16(0), &[0xff; 8]].concat())
    }

    pub(super) fn interface(self, link_type: u16, options: &[Vec<u8>]) -> Vec<u8> {
        self.block(1, &[&self.u16(link_type)[..], &[0; 2], &self.u32(0), &options.concat()].concat())
    }

    pub(super) fn packet(self, interface: u32, ticks: u64, bytes: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
        let len = bytes.len() as u32;
        let pad = bytes.len().next_multiple_of(4) - bytes.len();
        let fixed = self.words(&[interface, (ticks >> 32) as u32, ticks as u32, len, len + 5]);
        self.block(6, &[&fixed[..], bytes, &vec![0; pad], &options.concat()].concat())
    }
}

pub(super) const ORDERS: [Order; 2] = [Order { big: false }, Order { big: true }];

#[test]
fn pcap_is_read_in_both_byte_orders_and_resolutions_whatever_its_snaplen_says() {
    let packet = segment(1, 30);
    for order in ORDERS {
        for (magic, fraction, nanos) in [(0xa1b2_c3d4, 123_456, 123_456_000), (0xa1b2_3c4d, 123_456_789, 123_456_789)] {
            for snaplen in [0, 20, 65_535] {
                let mut file =
                    order.words(&[magic, if order.big { 2 << 16 | 4 } else { 4 << 16 | 2 }, 0, 0, snaplen, 101]);
                let head = file.len();
                file.extend(order.words(&[7, fraction, 40, 70]));
                file.extend_from_slice(&packet[..40]);
                let (seen, failure) = read(&file);
                assert!(failure.is_none(), "{failure:?}");
                assert_eq!(seen, [(7_000_000_000 + nanos, packet[..40].to_vec(), 70, None, None)]);
                assert_eq!(read(&file[..head]).0.len(), 0, "a header alone is a capture of nothing");
            }
        }
    }
}

#[test]
fn pcapng_times_follow_resolution_and_offset_of_their_interface() {
    let packet = segment(1, 3);
    for order in ORDERS {
        let cases: [(Vec<Vec<u8>>, u64, u64); 6] = [
            (vec![], 1_234_567, 1_234_567_000),
            (vec![order.option(9, &[9])], 1_234_567, 1_234_567),
            (vec![order.option(9, &[3]), order.option(0, &[])], 1_234, 1_234_000_000),
            (vec![order.option(9, &[0x8a])], 3 * 1_024 + 512, 3_500_000_000),
            (vec![order.option(9, &[0x9d])], 1 << 29 | 1, 1_000_000_001),
            (
                vec![
                    order.option(9, &[6]),
                    order.option(14, &if order.big { 5_i64.to_be_bytes() } else { 5_i64.to_le_bytes() }),
                ],
                1,
                5_000_001_000,
            ),
        ];
        let mut file = order.section();
        for (options, _, _) in &cases {
            file.extend(order.interface(101, options));
        }
        for (n, (_, ticks, _)) in cases.iter().enumerate() {
            file.extend(order.packet(n as u32, *ticks, &packet, &[]));
        }
        let (seen, failure) = read(&file);
        assert!(failure.is_none(), "{failure:?}");
        let times: Vec<_> = seen.iter().map(|seen| seen.0).collect();
        assert_eq!(times, cases.map(|case| case.2));
        assert!(seen.iter().all(|seen| seen.1 == packet && seen.2 as usize == packet.len()));
    }
}

#[test]
fn pcapng_gives_directions_comments_other_blocks_and_a_second_section_in_another_byte_order() {
    let packet = segment(1, 3);
    let mut file = Vec::new();
    for order in ORDERS {
        file.extend(order.section());
        file.extend(order.block(4, &[1, 2, 3, 4]));
        file.extend(order.interface(1_000, &[]));
        file.extend(order.interface(228, &[order.option(2, b"name")]));
        let options =
            [order.option(1, b"one"), order.option(2, &order.u32(2)), order.option(1, b"two"), order.option(0, &[])];
        file.extend(order.packet(1, 1, &packet, &options));
        file.extend(order.block(0x0bad, &[0; 16]));
        file.extend(order.packet(0, 2, &packet, &[order.option(2, &order.u32(1))]));
        file.extend(order.block(3, &[&order.u32(packet.len() as u32)[..], &packet].concat()));
    }
    let (seen, failure) = read(&file);
    assert!(failure.is_none(), "{failure:?}");
    assert_eq!(seen.len(), 6);
    for section in seen.chunks(3) {
        assert_eq!(section[0].1, packet);
        assert_eq!((section[0].3, section[0].4.as_deref()), (Some(Direction::Outbound), Some("one\ntwo")));
        assert_eq!(
            (section[1].1.len(), section[1].3),
            (0, Some(Direction::Inbound)),
            "an unknown link type beside 228"
        );
        assert_eq!((section[2].0, section[2].1.len()), (2_000, 0), "a simple packet is of the first interface");
    }
}

#[test]
fn what_is_no_capture_is_refused_with_a_next_step() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "read f: the file is empty"),
        (b"\x1f\x8b\x08\x00", "compressed; unpack it first"),
        (
            b"GET / HTTP/1.1",
            "neither pcap nor pcapng (it begins with 47455420); what Wireshark can read is converted by",
        ),
        (b"\xd4\xc3\xb2\xa1\x02\x00", "ends in the middle of a record, before the first packet"),
        (b"\x0a\x0d\x0d\x0a\x1c\x00", "ends in the middle of a record"),
        (b"ab", "ends in the middle of a record"),
    ];
    for (bytes, expected) in cases {
        let (seen, failure) = read(bytes);
        let message = failure.expect("no capture").to_string();
        assert!(seen.is_empty() && message.contains(expected), "{message}");
    }
    let missing = Reader::open("/nowhere/x.pcapng").expect_err("it is not there").to_string();
    assert!(missing.starts_with("read /nowhere/x.pcapng: No such file"), "{missing}");
}

fn write(settings: Settings, packets: &[(u64, bool, Vec<u8>)]) -> (Vec<u8>, Summary) {
    let disk = super::disk(usize::MAX);
    let format = settings.format.unwrap_or_default();
    let mut capture: Capture =
        settings.own_thread(false).begin(Box::new(disk.clone()), format, "disk".into()).expect("room");
    for (at, inbound, bytes) in packets {
        let direction = if *inbound { Direction::Inbound } else { Direction::Outbound };
        capture.packet(Instant::from_nanos(*at), Some(direction), bytes, None);
    }
    let summary = capture.close().expect("room");
    let bytes = disk.bytes.lock().unwrap().clone();
    (bytes, summary)
}

fn some_packets() -> impl Strategy<Value = Vec<(u64, bool, Vec<u8>)>> {
    let packet =
        (0_u32..50, 0_usize..1_500, any::<u8>(), any::<proptest::sample::Index>()).prop_map(|(nth, len, byte, at)| {
            let mut bytes = segment(nth, len);
            // Behind the length field, so that the reader cuts nothing off.
            let at = 4 + at.index(bytes.len() - 4);
            bytes[at] = byte;
            bytes
        });
    proptest::collection::vec((0..u64::from(u32::MAX) * 1_000_000_000, any::<bool>(), packet), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_written_is_read_again(packets in some_packets(), snaplen in 0_u32..200, full in any::<bool>()) {
        for format in [Format::Pcapng, Format::Pcap] {
            let comments = if full { Comments::Full } else { Comments::Brief };
            let settings = Settings::default().format(format).snaplen(snaplen).comments(comments).recipe("{}");
            let (bytes, summary) = write(settings, &packets);
            prop_assert_eq!(summary.captured, packets.len() as u64);
            let (seen, failure) = read(&bytes);
            prop_assert!(failure.is_none(), "{:?}", failure);
            prop_assert_eq!(seen.len(), packets.len());
            for ((at, inbound, sent), record) in packets.iter().zip(seen) {
                let (seen_at, seen_bytes, original_len, direction, comment) = record;
                prop_assert_eq!(*at, seen_at);
                let kept = if snaplen == 0 { sent.len() } else { sent.len().min(snaplen as usize) };
                prop_assert_eq!(&sent[..kept], &seen_bytes[..]);
                if kept >= 4 {
                    prop_assert_eq!(original_len as usize, sent.len());
                }
                if format == Format::Pcapng {
                    prop_assert_eq!(direction == Some(Direction::Inbound), *inbound);
                    prop_assert!(!comment.expect("a comment on each packet").is_empty());
                }
            }
        }
    }

    #[test]
    fn a_file_cut_anywhere_gives_its_whole_records_and_then_says_so(
        packets in some_packets(),
        at in any::<proptest::sample::Index>(),
    ) {
        for format in [Format::Pcapng, Format::Pcap] {
            let (bytes, _) = write(Settings::default().format(format), &packets);
            let (all, _) = read(&bytes);
            let cut = at.index(bytes.len());
            let (seen, failure) = read(&bytes[..cut]);
            prop_assert!(seen.len() <= all.len() && seen == all[..seen.len()]);
            if let Some(failure) = failure {
                // In the header of the file.
                prop_assert!(matches!(failure.problem, ReadProblem::CutOff | ReadProblem::Empty), "{}", failure);
                prop_assert!(cut < 200 && seen.is_empty());
                continue;
            }
            let warned = warned(&bytes[..cut]);
            let torn = warned.iter().any(|warning| warning.contains("ends in the middle of this record"));
            prop_assert_eq!(torn, !ends(&bytes, format).contains(&cut), "{:?}", warned);
        }
    }
}
