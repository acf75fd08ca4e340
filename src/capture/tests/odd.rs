//! Odd metadata costs that metadata, with a warning that names block and option, and never a packet.

use super::files::{ORDERS, Order, read, warned};
use super::segment;
use crate::capture::Direction;

/// A section with an interface of raw IP, the options of which are given.
fn head(order: Order, options: &[Vec<u8>]) -> Vec<u8> {
    [order.section(), order.interface(101, options)].concat()
}

/// The packets of a file, which are all read, and its warnings.
fn packets(file: &[u8]) -> (Vec<super::files::Seen>, Vec<String>) {
    let (seen, failure) = read(file);
    assert!(failure.is_none(), "{failure:?}");
    (seen, warned(file))
}

/// Makes a file with these options in one of its blocks.
type Maker<'a> = &'a dyn Fn(&[Vec<u8>]) -> Vec<u8>;

/// What is odd in one way: its block, its option, and what is said.
struct Case {
    file: Vec<u8>,
    says: String,
}

fn case(file: Vec<u8>, says: impl Into<String>) -> Case {
    Case { file, says: says.into() }
}

const LATIN1: &[u8] = b"caf\xe9";
const NOT_UTF8: &str = "the text is not UTF-8; bytes that are not are shown as \u{fffd}";

/// A name that is not UTF-8, an option of a wrong length and one that is too long, in each kind of block with options.
fn odd_options(order: Order) -> Vec<Case> {
    let packet = segment(1, 3);
    let plain = || order.packet(0, 5, &packet, &[]);
    let too_long = |code| [order.u16(code), order.u16(400)].concat();
    let shb = |options: &[Vec<u8>]| {
        let fixed = [&order.u32(0x1a2b_3c4d)[..], &order.u16(1), &order.u16(0), &[0xff; 8]].concat();
        order.block(0x0a0d_0d0a, &[fixed, options.concat()].concat())
    };
    let in_shb = |options: &[Vec<u8>]| [shb(options), order.interface(101, &[]), plain()].concat();
    let in_idb = |options: &[Vec<u8>]| [head(order, options), plain()].concat();
    let in_epb = |options: &[Vec<u8>]| [head(order, &[]), order.packet(0, 5, &packet, options)].concat();
    let beside = |kind, body: Vec<u8>| [head(order, &[]), order.block(kind, &body), plain()].concat();
    let in_isb = |options: &[Vec<u8>]| beside(5, [vec![0; 12], options.concat()].concat());
    let record = |kind: u16, value: &[u8]| order.option(kind, value);
    let in_nrb = |options: &[Vec<u8>]| beside(4, [vec![0; 4], options.concat()].concat());
    let pb = |options: &[Vec<u8>]| {
        let len = packet.len() as u32;
        let pad = vec![0; packet.len().next_multiple_of(4) - packet.len()];
        let fixed = [order.u16(0).to_vec(), order.u16(0).to_vec(), order.words(&[0, 5, len, len])].concat();
        [head(order, &[]), order.block(2, &[fixed, packet.clone(), pad, options.concat()].concat())].concat()
    };
    let mut cases = Vec::new();
    let mut add = |block: &str, option: &str, says: &str, file: Vec<u8>| {
        cases.push(case(file, format!("{block}, option {option}: {says}")));
    };
    let shown: [(&str, &str, u16, Maker<'_>); 16] = [
        ("block 1 (section header)", "opt_comment", 1, &in_shb),
        ("block 1 (section header)", "shb_hardware", 2, &in_shb),
        ("block 1 (section header)", "shb_os", 3, &in_shb),
        ("block 1 (section header)", "shb_userappl", 4, &in_shb),
        ("block 2 (interface description)", "opt_comment", 1, &in_idb),
        ("block 2 (interface description)", "if_name", 2, &in_idb),
        ("block 2 (interface description)", "if_description", 3, &in_idb),
        ("block 2 (interface description)", "if_os", 12, &in_idb),
        ("block 2 (interface description)", "if_hardware", 15, &in_idb),
        ("block 2 (interface description)", "if_iana_tzname", 18, &in_idb),
        ("block 3 (enhanced packet)", "opt_comment", 1, &in_epb),
        ("block 3 (packet)", "opt_comment", 1, &pb),
        ("block 3 (interface statistics)", "opt_comment", 1, &in_isb),
        ("block 3 (name resolution)", "opt_comment", 1, &in_nrb),
        ("block 3 (name resolution)", "ns_dnsname", 2, &in_nrb),
        ("block 3 (enhanced packet)", "opt_custom", 2988, &|options| {
            let code = order.u16(2988);
            in_epb(&[[&code[..], &order.u16(8), &[0; 4], LATIN1].concat(), options[0][..0].to_vec()])
        }),
    ];
    for (block, option, code, file) in shown {
        add(block, option, NOT_UTF8, file(&[order.option(code, LATIN1)]));
        let beyond = "an option reaches beyond the block; it and those behind it are ignored";
        if option != "opt_custom" {
            add(block, option, beyond, file(&[too_long(code)]));
        }
    }
    let lengths: [(&str, &str, u16, u16, Maker<'_>); 14] = [
        ("block 2 (interface description)", "if_IPv4addr", 4, 8, &in_idb),
        ("block 2 (interface description)", "if_IPv6addr", 5, 17, &in_idb),
        ("block 2 (interface description)", "if_MACaddr", 6, 6, &in_idb),
        ("block 2 (interface description)", "if_speed", 8, 8, &in_idb),
        ("block 2 (interface description)", "if_tsresol", 9, 1, &in_idb),
        ("block 2 (interface description)", "if_tzone", 10, 4, &in_idb),
        ("block 2 (interface description)", "if_fcslen", 13, 1, &in_idb),
        ("block 2 (interface description)", "if_tsoffset", 14, 8, &in_idb),
        ("block 3 (enhanced packet)", "epb_flags", 2, 4, &in_epb),
        ("block 3 (enhanced packet)", "epb_dropcount", 4, 8, &in_epb),
        ("block 3 (enhanced packet)", "epb_packetid", 5, 8, &in_epb),
        ("block 3 (enhanced packet)", "epb_queue", 6, 4, &in_epb),
        ("block 3 (packet)", "pack_flags", 2, 4, &pb),
        ("block 3 (interface statistics)", "isb_ifdrop", 5, 8, &in_isb),
    ];
    for (block, option, code, len, file) in lengths {
        let says = format!("it should have {len} bytes; it is ignored");
        for wrong in [0, len - 1, len + 1].into_iter().filter(|wrong| *wrong != len) {
            add(block, option, &says, file(&[order.option(code, &vec![7; usize::from(wrong)])]));
        }
    }
    cases.push(case(
        beside(4, [record(1, b"\x01\x02\x03\x04caf\xe9\0"), vec![0; 4]].concat()),
        "block 3 (name resolution): the names in it cannot all be read; they are ignored",
    ));
    cases.push(case(
        beside(4, record(1, b"ab")),
        "block 3 (name resolution): the names in it cannot all be read; they are ignored",
    ));
    cases
}

#[test]
fn an_odd_option_of_any_block_costs_that_option_and_is_named() {
    for order in ORDERS {
        for Case { file, says } in odd_options(order) {
            let (seen, warnings) = packets(&file);
            assert_eq!(seen.len(), 1, "{says}");
            assert_eq!((seen[0].0, &seen[0].1), (5_000, &segment(1, 3)), "{says}");
            let first = warnings.first().unwrap_or_else(|| panic!("no warning: {says}"));
            assert_eq!(*first, format!("read f, {says}"));
            assert_eq!(warnings.len(), 1, "{warnings:?}");
        }
    }
}

#[test]
fn sound_options_beside_an_odd_one_are_read() {
    let packet = segment(1, 3);
    for order in ORDERS {
        let options =
            [order.option(1, LATIN1), order.option(2, &[1]), order.option(2, &order.u32(2)), order.option(1, b"two")];
        let mut file = head(order, &[order.option(14, &[1, 2, 3, 4]), order.option(2, LATIN1), order.option(9, &[9])]);
        for ticks in 0..3 {
            file.extend(order.packet(0, ticks, &packet, &options));
        }
        let (seen, warnings) = packets(&file);
        for (nth, (at, bytes, _, direction, comment)) in seen.iter().enumerate() {
            assert_eq!((*at, bytes, *direction), (nth as u64, &packet, Some(Direction::Outbound)));
            assert_eq!(comment.as_deref(), Some("caf\u{fffd}\ntwo"));
        }
        assert_eq!(seen.len(), 3);
        let counted = warnings.iter().filter(|warning| warning.ends_with(" (3 times)")).count();
        assert_eq!((warnings.len(), counted), (4, 2), "{warnings:?}");
    }
}

#[test]
fn odd_fields_of_blocks_cost_no_packet() {
    let packet = segment(1, 3);
    let len = packet.len() as u32;
    for order in ORDERS {
        let epb = |interface, captured, original| {
            let fixed = order.words(&[interface, 0, 5, captured, original]);
            order.block(6, &[fixed, packet.clone()].concat())
        };
        let section = |version: u16| {
            let fixed = [&order.u32(0x1a2b_3c4d)[..], &order.u16(version), &order.u16(9), &[0; 8]].concat();
            [order.block(0x0a0d_0d0a, &fixed), order.interface(101, &[])].concat()
        };
        let short_section = [order.block(0x0a0d_0d0a, &order.u32(0x1a2b_3c4d)), order.interface(101, &[])].concat();
        let mut trailer = head(order, &[]);
        let last = trailer.len() - 4;
        trailer[last] ^= 0x50;
        let mut unaligned = head(order, &[]);
        for at in [unaligned.len() - 16, unaligned.len() - 4] {
            // 20 bytes, of which one is called padding.
            unaligned[at..at + 4].copy_from_slice(&order.u32(19));
        }
        let cases = [
            (
                vec![head(order, &[]), epb(0, len, len - 7)],
                "block 3 (enhanced packet): more was captured than the original",
            ),
            (
                vec![head(order, &[]), epb(0, len + 400, len + 400)],
                "block 3 (enhanced packet): the captured length is larger",
            ),
            (vec![head(order, &[]), epb(7, len, len)], "block 3 (enhanced packet): the packet is of an interface that"),
            (
                vec![section(2), epb(0, len, len)],
                "block 1 (section header): version 2 of the format is read as version 1",
            ),
            (
                vec![short_section, epb(0, len, len)],
                "block 1 (section header): the block is shorter than its fixed fields",
            ),
            (vec![trailer, epb(0, len, len)], "block 2 (interface description): the length at the end of the block"),
            (
                vec![unaligned, epb(0, len, len)],
                "block 2 (interface description): the length of the block is not a multiple",
            ),
            (
                vec![head(order, &[]), order.block(5, &[0; 4]), epb(0, len, len)],
                "block 3 (interface statistics): the block is shorter than its fixed fields",
            ),
            (
                vec![head(order, &[]), order.block(0x0bad, &[]), epb(0, len, len)],
                "block 3 (custom block): the block is shorter than its fixed fields",
            ),
            (
                vec![head(order, &[]), order.block(6, &[0; 16]), epb(0, len, len)],
                "block 3 (enhanced packet): the block is shorter than its fixed fields",
            ),
            (
                vec![head(order, &[]), order.block(1, &order.u16(101)), epb(1, len, len)],
                "block 3 (interface description): the block is shorter than its fixed fields",
            ),
        ];
        for (file, says) in cases {
            let (seen, warnings) = packets(&file.concat());
            assert_eq!(seen.len(), 1, "{says}");
            assert_eq!((seen[0].0, &seen[0].1, seen[0].2), (5_000, &packet, len), "{says}");
            assert!(warnings.len() == 1 && warnings[0].starts_with(&format!("read f, {says}")), "{says}: {warnings:?}");
        }
        // A block of a type that nobody knows, and a simple packet, are no oddities.
        let unknown = [head(order, &[]), order.block(0x1234_5678, &[9; 3]), epb(0, len, len)].concat();
        assert_eq!(packets(&unknown).1, [""; 0]);
    }
}

type TimeCase<'a> = (Vec<Vec<u8>>, [u64; 3], [u64; 3], &'a str);

#[test]
fn times_finer_than_a_nanosecond_are_cut_to_it_and_times_out_of_range_keep_their_distances() {
    let packet = segment(1, 3);
    for order in ORDERS {
        let offset =
            |seconds: i64| order.option(14, &if order.big { seconds.to_be_bytes() } else { seconds.to_le_bytes() });
        let fine = "option if_tsresol: times are finer than a nanosecond";
        let range = "the time is before 1970 or after 2554";
        // The options, ticks of three packets, their times, and what is said.
        let cases: [TimeCase<'_>; 7] = [
            (
                vec![order.option(9, &[0x9e])],
                [1 << 30, 3 << 29, 1 << 31],
                [1_000_000_000, 1_500_000_000, 2_000_000_000],
                fine,
            ),
            (vec![order.option(9, &[12])], [1_000, 2_999, 5_000_000], [1, 2, 5_000], fine),
            (vec![order.option(9, &[0xff])], [1, 2, u64::MAX], [0, 0, 0], fine),
            (vec![order.option(9, &[9]), offset(-7)], [0, 100, 250], [0, 100, 250], range),
            (
                vec![order.option(9, &[0])],
                [1 << 40, (1 << 40) + 2, (1 << 40) + 3],
                [0, 2_000_000_000, 3_000_000_000],
                range,
            ),
            (vec![order.option(9, &[9]), offset(i64::MAX)], [0, 100, 250], [0, 100, 250], range),
            (
                vec![order.option(9, &[9]), offset(-1)],
                [500_000_000, 1_500_000_000, 1_600_000_000],
                [0, 1_000_000_000, 1_100_000_000],
                range,
            ),
        ];
        for (options, ticks, expected, says) in cases {
            let mut file = head(order, &options);
            for ticks in ticks {
                file.extend(order.packet(0, ticks, &packet, &[]));
            }
            let (seen, warnings) = packets(&file);
            let times: Vec<_> = seen.iter().map(|seen| seen.0).collect();
            assert_eq!(times, expected, "{ticks:?}");
            assert!(warnings.len() == 1 && warnings[0].contains(says), "{warnings:?}");
        }
    }
}

#[test]
fn each_section_is_read_by_itself_and_odd_ones_between_sound_ones() {
    let packet = segment(1, 3);
    let [little, big] = ORDERS;
    let mut file = Vec::new();
    for order in [little, big, little] {
        file.extend(head(order, &[order.option(2, LATIN1)]));
        file.extend(order.packet(0, 1, &packet, &[order.option(1, LATIN1), order.option(2, &[1, 2, 3])]));
        file.extend(order.block(3, &[&order.u32(packet.len() as u32)[..], &packet].concat()));
    }
    let (seen, warnings) = packets(&file);
    assert_eq!(seen.len(), 6);
    assert!(seen.iter().all(|seen| seen.1 == packet));
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings.iter().all(|warning| warning.ends_with(" (3 times)")), "{warnings:?}");
}

/// A pcap file of raw IP with these packet headers: seconds, fraction, captured and original length, and more bytes.
fn pcap(order: Order, more: usize, records: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let mut file = order.words(&[0xa1b2_c3d4, if order.big { 2 << 16 | 4 } else { 4 << 16 | 2 }, 0, 0, 65_535, 101]);
    for (fraction, original, bytes) in records {
        file.extend(order.words(&[1, *fraction, bytes.len() as u32, *original]));
        file.extend(vec![0; more]);
        file.extend_from_slice(bytes);
    }
    file
}

#[test]
fn the_length_of_packet_headers_is_found_whatever_the_file_ends_with() {
    let packet = segment(1, 30);
    let whole = (5, packet.len() as u32, packet.as_slice());
    let empty = (7, 0, &[][..]);
    let odd = (2_000_000, 20, packet.as_slice());
    for order in ORDERS {
        for more in [0, 4, 8] {
            let ends: [&[_]; 6] =
                [&[whole], &[whole, whole], &[whole, empty], &[whole, empty, empty], &[whole, odd], &[empty, whole]];
            for records in ends {
                let (seen, _) = packets(&pcap(order, more, records));
                let bytes: Vec<_> = seen.iter().map(|seen| seen.1.as_slice()).collect();
                let expected: Vec<_> = records.iter().map(|record| record.2).collect();
                assert_eq!(bytes, expected, "{more} more bytes");
            }
            // Cut off after each byte of the second record, the first one is still read.
            let file = pcap(order, more, &[whole, whole]);
            let first = pcap(order, more, &[whole]).len();
            for cut in first + 1..file.len() {
                let (seen, warnings) = packets(&file[..cut]);
                assert_eq!((seen.len(), &seen[0].1), (1, &packet), "{more} more bytes, cut at {cut}");
                let says = format!("its {} bytes are not read", cut - first);
                assert!(warnings.len() == 1 && warnings[0].contains(&says), "{warnings:?}");
            }
        }
    }
}
