//! Bytes that nobody means: what reads files and packets says what is wrong and never panics. A fixed number of cases;
//! `make fuzz` has many more (`TCPLAB_FUZZ_CASES`).
#![cfg(feature = "capture")]

use std::fs;
use std::io::Cursor;

use crate::fuzz;
use crate::fuzz::each_case;
use crate::programs;
use crate::programs::shared;
use tcplab::capture::{Comments, Direction, Format, Reader, Settings};
use tcplab::rng::Rng;
use tcplab::segment::{Flags, SegmentTemplate, Seq};
use tcplab::time::Instant;
use tcplab::trace::Trace;
use tcplab::view::{LadderWriter, NARROWEST, Stats, Style, descriptors, flow_report, flow_table};

fn cases() -> u64 {
    fuzz::cases(20_000)
}

/// A capture of ours: some segments, one of them of version 6.
fn ours(format: Format) -> Vec<u8> {
    let path = programs::scratch(&format!("fuzz-{format:?}"));
    let mut capture = Settings::default().format(format).recipe("{}").create(&path).expect("a place for it");
    for nth in 0..8_u32 {
        let (a, b) = if nth == 5 { ("[fd69::1]:1", "[fd69::2]:2") } else { ("192.0.2.1:1", "192.0.2.2:2") };
        let mut template = SegmentTemplate::new(a.parse().unwrap(), b.parse().unwrap());
        (template.seq, template.flags) = (Seq(nth * 10), if nth == 0 { Flags::SYN } else { Flags::ACK });
        template.payload = &b"0123456789"[..if nth == 0 { 0 } else { 10 }];
        let at = Instant::from_millis(u64::from(nth));
        capture.packet(at, Some(Direction::Outbound), &template.to_bytes(), None);
    }
    capture.close().expect("written");
    fs::read(path).expect("written a moment ago")
}

fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        match rng.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.next_u32() as u8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 if at + 4 <= bytes.len() => {
                let word = [0, 1, 4, u32::MAX, 0x7fff_ffff, 0x8000_0000, 0x0004_0000][rng.below(7) as usize];
                bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            }
            _ if at < bytes.len() => bytes[at] = rng.next_u32() as u8,
            _ => {}
        }
    }
}

/// Reads to the end or the first error, which names file and packet; says how many records there were.
fn read(bytes: Vec<u8>) -> u64 {
    let longest = bytes.len() as u64;
    let named = |error: tcplab::capture::ReadError, records: u64| {
        let text = error.to_string();
        assert!(text.starts_with("read a.pcapng"), "{text}");
        assert_eq!(error.packet.unwrap_or(records + 1), records + 1, "{text}");
    };
    let mut reader = match Reader::from_read(Cursor::new(bytes), "a.pcapng") {
        Ok(reader) => reader,
        Err(error) => {
            named(error, 0);
            return 0;
        }
    };
    let mut records = 0;
    let (mut trace, mut text) = (Trace::new(), String::new());
    let width = NARROWEST + longest as usize % 100;
    let mut ladder = LadderWriter::new(Style { width, ..Style::default() });
    let mut stats = Stats::new();
    while let Some(record) = reader.next_record() {
        match record {
            Ok(record) => {
                // What `tcplab show` does with it; every other file as if it were ours.
                trace.record(&record, longest.is_multiple_of(2));
                while let Some(step) = trace.next_step() {
                    stats.step(&trace, &step);
                    ladder.step(&trace, step, &mut text);
                }
                records += 1;
            }
            Err(error) => named(error, records),
        }
        assert!(records <= longest, "more records than bytes");
    }
    ladder.finish(&trace, &mut text);
    assert!(text.is_empty() == (records == 0) && (records == 0 || text.ends_with('\n')), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
    let _ = (flow_table(trace.flows(), 80), flow_report(trace.flows()), descriptors(&trace));
    assert!(stats.text(&trace, width).lines().all(|line| line.chars().count() <= width.max(40)));
    records
}

#[test]
fn captures_with_wrong_bytes_are_refused_or_read() {
    let mut seeds = vec![ours(Format::Pcapng), ours(Format::Pcap)];
    if let Some(corpus) = shared("corpus/captures") {
        for name in ["A468_zeek_irc-353_s1.pcap", "A432_tcpdump_tfo-5c1fa7f9ae91_s0.pcap"] {
            seeds.push(fs::read(corpus.join(name)).expect("a capture of the corpus"));
        }
    }
    for seed in &seeds {
        assert!(read(seed.clone()) > 5);
    }
    each_case(cases(), |case| {
        let mut rng = Rng::new(case, "wrong bytes in a capture");
        let mut bytes = seeds[rng.below(seeds.len() as u64) as usize].clone();
        mutate(&mut bytes, &mut rng);
        read(bytes);
    });
}

#[test]
fn random_bytes_behind_a_good_beginning_are_refused_or_read() {
    let good = [ours(Format::Pcapng), ours(Format::Pcap)];
    each_case(cases() / 2, |case| {
        let mut rng = Rng::new(case, "random bytes in a capture");
        let start = &good[rng.below(2) as usize];
        let keep = rng.below(60).min(start.len() as u64) as usize;
        let tail = (0..rng.below(200)).map(|_| rng.next_u32() as u8);
        read(start[..keep].iter().copied().chain(tail).collect());
    });
}

/// Pieces of headers, each of which leads to another one.
const PIECES: [&[u8]; 26] = [
    &[0x08, 0x00],
    &[0x86, 0xdd],
    &[0x81, 0x00, 0x00, 0x05],
    &[0x88, 0x47, 0x00, 0x01, 0x00, 0x40],
    &[0x00, 0x01, 0x01, 0x40],
    &[0x88, 0x64, 0x11, 0x00, 0x00, 0x01, 0x00, 0x20],
    &[0xff, 0x03, 0x00, 0x21],
    &[0xaa, 0xaa, 0x03, 0x00, 0x00, 0x00],
    &[0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2],
    &[0x45, 0, 0, 0, 0, 1, 0, 0, 64, 4, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2],
    &[0x45, 0, 0, 40, 0, 1, 0, 0, 64, 47, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2],
    &[0x45, 0, 0, 40, 0, 1, 0x20, 0, 64, 47, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2],
    &[0x45, 0, 0, 40, 0, 1, 0, 1, 64, 47, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2],
    &[0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2],
    &[0x45, 0, 0, 0, 0, 1, 0, 0, 64, 51, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2],
    &[0x60, 0, 0, 0, 0, 0, 44, 64],
    &[0x12, 0xb5, 0x12, 0xb5, 0, 80, 0, 0, 8, 0, 0, 0, 0, 0, 5, 0],
    &[0x17, 0xc1, 0x17, 0xc1, 0, 80, 0, 0, 0x3f, 0, 0x65, 0x58, 0, 0, 5, 0],
    &[0x08, 0x68, 0x08, 0x68, 0, 80, 0, 0, 0x37, 0xff, 0, 80, 0, 0, 0, 1],
    &[0xb0, 0x00, 0x65, 0x58, 0, 0, 0, 0],
    &[0x10, 0x00, 0x88, 0xbe, 0, 0, 0, 1],
    &[0x08, 0x02, 0, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 0x10, 0],
    &[0x88, 0x01, 0, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 0x10, 0, 0x80, 0],
    &[0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x80],
    &[6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    &[0xff; 7],
];

#[test]
fn frames_of_any_headers_are_looked_into_or_named() {
    let types = [
        0, 1, 6, 9, 10, 12, 14, 50, 51, 100, 101, 104, 105, 107, 108, 109, 113, 117, 119, 127, 138, 163, 192, 228, 229,
        240, 274, 276, 204,
    ];
    each_case(cases(), |case| {
        let mut rng = Rng::new(case, "headers in frames");
        let link_type = types[rng.below(types.len() as u64) as usize];
        let mut file = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, link_type].map(u32::to_le_bytes).concat();
        for _ in 0..4 {
            let mut frame = Vec::new();
            for _ in 0..rng.below(40) {
                frame.extend_from_slice(PIECES[rng.below(PIECES.len() as u64) as usize]);
            }
            mutate(&mut frame, &mut rng);
            let len = frame.len() as u32;
            file.extend([1, 1, len, len + rng.below(40) as u32].map(u32::to_le_bytes).concat());
            file.extend(frame);
        }
        read(file);
    });
}

#[test]
fn packets_with_wrong_bytes_have_a_comment() {
    each_case(cases() / 20, |case| {
        let mut rng = Rng::new(case, "wrong bytes in packets");
        let mut bytes = ours_packets(&mut rng);
        let written = Settings::default().own_thread(false).comments(Comments::Full);
        let path = programs::scratch("fuzz-comments.pcapng");
        let mut capture = written.create(&path).expect("a place for it");
        for (nth, bytes) in bytes.iter_mut().enumerate() {
            let direction = if rng.chance(0.5) { Direction::Inbound } else { Direction::Outbound };
            capture.packet(Instant::from_millis(nth as u64), Some(direction), bytes, None);
        }
        capture.close().expect("written");
        let mut reader = Reader::open(&path).expect("a capture");
        let mut records = 0;
        while let Some(record) = reader.next_record() {
            assert!(record.expect("a record").comment.is_some_and(|text| !text.is_empty()), "case {case}");
            records += 1;
        }
        assert_eq!(records, bytes.len(), "case {case}");
    });
}

/// Segments of one connection with any flags and numbers near one another, some of them broken.
fn ours_packets(rng: &mut Rng) -> Vec<Vec<u8>> {
    let ends = ["192.0.2.1:1", "192.0.2.2:2"].map(|end| end.parse().unwrap());
    (0..30)
        .map(|_| {
            let towards = rng.below(2) as usize;
            let mut template = SegmentTemplate::new(ends[towards], ends[1 - towards]);
            template.flags = Flags(rng.next_u32() as u8 & 0x1f);
            template.seq = Seq(u32::MAX - 20) + rng.below(60) as u32;
            template.ack = Seq(u32::MAX - 20) + rng.below(60) as u32;
            template.window = rng.below(3) as u16 * 20;
            template.payload = &b"0123456789"[..rng.below(11) as usize];
            let mut bytes = template.to_bytes();
            if rng.chance(0.2) {
                mutate(&mut bytes, rng);
            }
            bytes
        })
        .collect()
}
