//! Counts what segments are, stream by stream, and compares the packets counted with those that tshark counts.
//!
//! Three sets of captures are compared: every lesson, captured at each of its hosts, with the segments that this host sent;
//! the captures of the shared corpus, taken from kernels and other stacks, with the segments of both ends; and random
//! histories of probes, keep-alives and tail loss probes.
#![cfg(feature = "scenario")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;
use tcplab::capture::{Capture, Direction, Reader};
use tcplab::conversation::{Kind, Kinds, Side, Table};
use tcplab::rng::Rng;
use tcplab::scenario::{Scenario, lessons};
use tcplab::segment::{CaptureParser, Flags, SegmentTemplate, Seq};
use tcplab::time::{Duration, Instant};
use tcplab::view::{Flows, Ladder, Style};

/// A name, the field that tshark prints, and the test for it.
type Counted = (&'static str, &'static str, fn(Kinds) -> bool);

/// What is compared: a name, the field that tshark prints, and the test for it. tshark prints the field of a retransmission
/// for fast and spurious ones too. ACKs of unseen bytes are not compared: tshark marks the first of them only.
const COUNTED: [Counted; 12] = [
    ("retransmissions", "tcp.analysis.retransmission", Kinds::is_retransmission),
    ("fast retransmissions", "tcp.analysis.fast_retransmission", |kinds| kinds.contains(Kind::FastRetransmission)),
    ("spurious ones", "tcp.analysis.spurious_retransmission", |kinds| kinds.contains(Kind::SpuriousRetransmission)),
    ("out of order", "tcp.analysis.out_of_order", |kinds| kinds.contains(Kind::OutOfOrder)),
    ("duplicate ACKs", "tcp.analysis.duplicate_ack", |kinds| kinds.contains(Kind::DuplicateAck)),
    ("zero windows", "tcp.analysis.zero_window", |kinds| kinds.contains(Kind::ZeroWindow)),
    ("probes", "tcp.analysis.zero_window_probe", |kinds| kinds.contains(Kind::ZeroWindowProbe)),
    ("ACKs of probes", "tcp.analysis.zero_window_probe_ack", |kinds| kinds.contains(Kind::ZeroWindowProbeAck)),
    ("keep-alives", "tcp.analysis.keep_alive", |kinds| kinds.contains(Kind::KeepAlive)),
    ("ACKs of keep-alives", "tcp.analysis.keep_alive_ack", |kinds| kinds.contains(Kind::KeepAliveAck)),
    ("window updates", "tcp.analysis.window_update", |kinds| kinds.contains(Kind::WindowUpdate)),
    ("previous not captured", "tcp.analysis.lost_segment", |kinds| kinds.contains(Kind::PreviousNotCaptured)),
];

/// Captures of the corpus that tshark counts wrongly, and why. In each of them every byte is there once.
const TSHARK_IS_WRONG: [(&str, &str); 2] = [
    (
        "B047_arkime_smtp-decrypted_s2.pcap",
        "packet 22 was recorded after packet 21, which acknowledges it; tshark calls the only copy a spurious retransmission",
    ),
    (
        "B049_arkime_smtp-decrypted_s0.pcap",
        "packets 29 to 32 were recorded after packets 27 and 28, which acknowledge them; tshark calls them spurious as well",
    ),
];

/// For each capture and each stream in it the numbers of the packets that were counted, in the order of [`COUNTED`].
type Counts = BTreeMap<(usize, usize), [Vec<u64>; COUNTED.len()]>;

/// Many captures as one file for one run of tshark. Each capture has addresses of its own, so that its streams are its own.
struct Joined {
    file: Vec<u8>,
    /// For each packet of the file its capture, its number there, and whether it is compared.
    packets: Vec<(usize, u64, bool)>,
    ours: Counts,
}

/// Joins captures, and counts in each what the table counts; with `sent` only what the host of the capture sent.
fn join(files: &[PathBuf], sent: bool) -> Joined {
    // pcap with nanoseconds, LINKTYPE_RAW.
    let header = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 0x0004_0000, 101];
    let file = header.into_iter().flat_map(u32::to_le_bytes).collect();
    let mut joined = Joined { file, packets: Vec::new(), ours: Counts::new() };
    for (capture, path) in files.iter().enumerate() {
        let mut reader = Reader::open(path).expect("a capture");
        let (mut parser, mut table) = (CaptureParser::new(), Table::<()>::new());
        let mut addresses = Vec::new();
        while let Some(record) = reader.next_record() {
            let record = record.expect("a record");
            let Some(packet) = record.packet else { continue };
            let compared = !sent || record.direction == Some(Direction::Outbound);
            joined.packets.push((capture, record.number, compared));
            let renamed = rename(packet, capture, &mut addresses);
            // tshark takes a SYN at the time 0 for one that it has not seen, and then measures no round trip.
            let at = record.at.as_nanos() + 1_000_000_000;
            let (seconds, nanos) = ((at / 1_000_000_000) as u32, (at % 1_000_000_000) as u32);
            for word in [seconds, nanos, packet.len() as u32, record.original_len] {
                joined.file.extend_from_slice(&word.to_le_bytes());
            }
            joined.file.extend_from_slice(&renamed);
            let Ok(segment) = parser.parse(packet, record.original_len).segment else { continue };
            let (stream, observed) = table.observe(record.at, &segment);
            let counted = joined.ours.entry((capture, stream.number)).or_default();
            for (numbers, (_, _, holds)) in counted.iter_mut().zip(COUNTED) {
                numbers.extend((compared && holds(observed.kinds)).then_some(record.number));
            }
        }
    }
    joined
}

/// The packet with the addresses of its capture. Checksums are wrong afterwards, which tshark does not verify.
fn rename(packet: &[u8], capture: usize, addresses: &mut Vec<Vec<u8>>) -> Vec<u8> {
    let mut renamed = packet.to_vec();
    let places = if packet[0] >> 4 == 4 { [(12, 4), (16, 4)] } else { [(8, 16), (24, 16)] };
    for (at, len) in places {
        let Some(address) = packet.get(at..at + len) else { continue };
        let known = addresses.iter().position(|known| known == address);
        let number = known.unwrap_or_else(|| {
            addresses.push(address.to_vec());
            addresses.len() - 1
        });
        renamed[at] = if len == 4 { 10 } else { 0xfd };
        renamed[at + 1..at + len].fill(0);
        renamed[at + 1] = capture as u8;
        renamed[at + len - 2..at + len].copy_from_slice(&(number as u16 + 1).to_be_bytes());
    }
    // An ICMP error quotes a packet behind its own header of eight bytes.
    let quoted = match packet {
        [0x45, ..] if packet.get(9) == Some(&1) => 28,
        [0x60, ..] if packet.get(6) == Some(&58) => 48,
        _ => return renamed,
    };
    if let Some(packet) = packet.get(quoted..).filter(|packet| matches!(packet.first(), Some(0x45 | 0x60))) {
        renamed.truncate(quoted);
        renamed.extend(rename(packet, capture, addresses));
    }
    renamed
}

/// What tshark counts in the joined captures, and of each capture its segments and their bytes. `None` if it is not installed.
fn tsharks(joined: &Joined, name: &str) -> Option<(Counts, Vec<(u64, u64)>)> {
    let path = programs::scratch(name);
    fs::write(&path, &joined.file).expect("the file can be written");
    let path = path.to_string_lossy();
    let mut arguments = vec!["-n", "-2", "-Y", "tcp", "-T", "fields", "-r", &*path];
    let fields = ["frame.number", "tcp.stream", "tcp.len"].into_iter().chain(COUNTED.map(|(_, field, _)| field));
    arguments.extend(fields.flat_map(|field| ["-e", field]));
    let (mut counts, mut lengths) = (Counts::new(), vec![(0, 0); 256]);
    // The number of the first stream of each capture in the joined file.
    let mut first = BTreeMap::new();
    for line in programs::printed("tshark", &arguments)?.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        // A packet quoted in an ICMP error is no segment of a stream.
        let (Ok(frame), Ok(stream)) = (fields[0].parse::<usize>(), fields[1].parse::<usize>()) else { continue };
        let (capture, number, compared) = joined.packets[frame - 1];
        let first = *first.entry(capture).or_insert(stream);
        let counted = counts.entry((capture, stream - first)).or_default();
        for (numbers, field) in counted.iter_mut().zip(&fields[3..]) {
            numbers.extend((compared && !field.is_empty()).then_some(number));
        }
        if compared {
            let (segments, bytes) = &mut lengths[capture];
            (*segments, *bytes) = (*segments + 1, *bytes + fields[2].parse::<u64>().unwrap_or(0));
        }
    }
    Some((counts, lengths))
}

/// What differs by the names of the files, a line for each stream and count.
type Found = BTreeMap<String, String>;

/// What tshark counts in one capture: segments, bytes of data, and the counts of [`COUNTED`].
type Totals = (u64, u64, [u64; COUNTED.len()]);

/// Compares captures. Gives what differs, and what tshark counts in each.
fn compare(files: &[PathBuf], sent: bool, name: &str) -> Option<(Found, Vec<Totals>)> {
    let joined = join(files, sent);
    let (theirs, lengths) = tsharks(&joined, name)?;
    let ours = &joined.ours;
    let mut found = BTreeMap::new();
    let mut packets = 0;
    for key in ours.keys().chain(theirs.keys()).copied().collect::<BTreeSet<_>>() {
        let (capture, stream) = key;
        let mut text = String::new();
        if let (Some(ours), Some(theirs)) = (ours.get(&key), theirs.get(&key)) {
            for ((ours, theirs), (name, _, _)) in ours.iter().zip(theirs).zip(COUNTED) {
                packets += ours.len();
                let only = |one: &[u64], other: &[u64]| -> Vec<u64> {
                    one.iter().filter(|number| !other.contains(number)).copied().collect()
                };
                if ours != theirs {
                    let (extra, lacking) = (only(ours, theirs), only(theirs, ours));
                    let _ =
                        writeln!(text, "  stream {stream}, {name}: {extra:?} only here, {lacking:?} only in tshark");
                }
            }
        } else {
            let _ = writeln!(text, "  stream {stream} is known to one of the two only");
        }
        if !text.is_empty() {
            let name = files[capture].file_name().expect("a file").to_string_lossy().into_owned();
            found.entry(name).or_insert_with(String::new).push_str(&text);
        }
    }
    assert!(packets > 100, "{packets} packets were counted: there was something to compare");
    let total = |capture: usize| {
        let counts = theirs.range((capture, 0)..(capture + 1, 0)).fold([0; COUNTED.len()], |mut sum, (_, counts)| {
            sum.iter_mut().zip(counts).for_each(|(sum, numbers)| *sum += numbers.len() as u64);
            sum
        });
        (lengths[capture].0, lengths[capture].1, counts)
    };
    Some((found, (0..files.len()).map(total).collect()))
}

/// What the left end does next in a history.
const TURNS: u64 = 9;

/// A connection whose left end probes: windows of zero, keep-alives and tails, with 0 or 1 byte, at all of its edges.
fn history(seed: u64, path: &Path) {
    let mut rng = Rng::new(seed, "probes");
    let mut capture = Capture::create(path).expect("a place for it");
    let ends = ["192.0.2.1:80", "192.0.2.2:4000"].map(|end| end.parse().expect("an address"));
    let mut now = Instant::EPOCH;
    let mut pass = |after: u64, from: usize, flags: Flags, (seq, ack): (u32, u32), window: u16, len: usize| {
        now += Duration::from_millis(after);
        let payload = vec![b'x'; len];
        let mut template = SegmentTemplate::new(ends[from], ends[1 - from]);
        (template.flags, template.seq, template.ack) = (flags, Seq(seq), Seq(ack));
        (template.window, template.payload) = (window, &payload);
        let direction = if from == 0 { Direction::Outbound } else { Direction::Inbound };
        capture.packet(now, Some(direction), &template.to_bytes(), None);
    };
    let ack = Flags::ACK;
    pass(0, 0, Flags::SYN, (99, 0), 1000, 0);
    pass(20, 1, Flags::SYN | ack, (499, 100), 1000, 0);
    pass(0, 0, ack, (100, 500), 1000, 0);
    // SND.UNA and SND.NXT of the left end, RCV.NXT of the same, and the window that the right end advertised last.
    let (mut una, mut nxt, mut rcv, mut window) = (100, 100, 500, 1000);
    for _ in 0..40 {
        let after = [1, 15, 45, 220][rng.below(4) as usize];
        let byte = rng.below(2) as usize;
        match rng.below(TURNS) {
            0 if window > 0 => {
                let len = [1, 2, 100][rng.below(3) as usize];
                pass(after, 0, ack, (nxt, rcv), 1000, len);
                nxt += len as u32;
            }
            // The last segment again, or one byte of it.
            1 if nxt > una => pass(after, 0, ack, (nxt - 1, rcv), 1000, 1),
            2 if nxt > una => pass(after, 0, ack, (una, rcv), 1000, (nxt - una) as usize),
            3 => {
                (una, window) = (nxt, [0, 0, 500, 1000][rng.below(4) as usize]);
                pass(after, 1, ack, (rcv, una), window, 0);
            }
            // Linux and others probe below SND.UNA, with nothing in flight.
            4 | 5 if nxt == una => {
                pass(after, 0, ack, (una - 1, rcv), 1000, byte);
                if rng.below(3) > 0 {
                    pass(20, 1, ack, (rcv, una), window, 0);
                }
            }
            // Others send the first byte beyond the window; the receiver does not take it.
            6 if nxt == una && window == 0 => {
                pass(after, 0, ack, (una, rcv), 1000, 1);
                if rng.below(3) > 0 {
                    pass(20, 1, ack, (rcv, una), 0, 0);
                }
            }
            7 => {
                pass(after, 1, ack, (rcv, una), window, 10);
                rcv += 10;
            }
            8 => pass(after, 0, ack, (nxt, rcv), 1000, 0),
            _ => {}
        }
    }
    capture.close().expect("written");
}

#[test]
fn random_histories_of_probes_agree_with_tshark() {
    let dir = programs::scratch("tshark-probes");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("a directory");
    let files: Vec<_> = (0..200).map(|seed| dir.join(format!("{seed:03}.pcap"))).collect();
    for (seed, path) in files.iter().enumerate() {
        history(seed as u64, path);
    }
    let Some((found, _)) = compare(&files, false, "tshark-probes.pcap") else { return };
    assert!(found.is_empty(), "{}", report(&found));
}

fn report(found: &BTreeMap<String, String>) -> String {
    found.iter().flat_map(|(name, text)| [name, "\n", text]).collect()
}

#[test]
fn every_lesson_agrees_with_tshark_in_the_capture_of_the_host_that_sent_the_segment() {
    let dir = programs::scratch("tshark-counts");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("a directory");
    for lesson in lessons() {
        let output = Command::new(env!("CARGO_BIN_EXE_tcplab"))
            .args(["run", lesson, "--at", "all", "-q", "-w"])
            .arg(dir.join(format!("{lesson}.pcapng")))
            .output()
            .expect("the command runs");
        assert!(output.status.success(), "{lesson}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let mut files: Vec<_> =
        fs::read_dir(&dir).expect("a directory").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() > 2 * lessons().count() - 5, "{} files: one for each host", files.len());
    let Some((found, totals)) = compare(&files, true, "tshark-lessons.pcap") else { return };
    assert!(found.is_empty(), "{}", report(&found));
    for lesson in lessons() {
        let of_lesson =
            |file: &Path| file.file_name().and_then(|name| name.to_str()?.split('.').next()) == Some(lesson);
        let theirs = files.iter().zip(&totals).filter(|(file, _)| of_lesson(file)).fold(
            Totals::default(),
            |(segments, bytes, mut counts), (_, more)| {
                counts.iter_mut().zip(more.2).for_each(|(sum, count)| *sum += count);
                (segments + more.0, bytes + more.1, counts)
            },
        );
        let (table, arrows) = tables_and_ladder(lesson);
        assert_eq!(table, theirs, "{lesson}: segments, bytes, and {:?}", COUNTED.map(|(name, _, _)| name));
        // What a host sends out of order it has sent before.
        let again = theirs.2[0] + theirs.2[3];
        assert_eq!(arrows, [theirs.0, again], "{lesson}: arrows, and those of retransmissions");
    }
}

/// The kinds of [`COUNTED`], in its order, without its first row, which is three of them.
const KINDS: [Kind; COUNTED.len() - 1] = [
    Kind::FastRetransmission,
    Kind::SpuriousRetransmission,
    Kind::OutOfOrder,
    Kind::DuplicateAck,
    Kind::ZeroWindow,
    Kind::ZeroWindowProbe,
    Kind::ZeroWindowProbeAck,
    Kind::KeepAlive,
    Kind::KeepAliveAck,
    Kind::WindowUpdate,
    Kind::PreviousNotCaptured,
];

/// What the table of connections of a lesson counts, and of its ladder the arrows: all, and those with the shaft of a
/// retransmission.
fn tables_and_ladder(lesson: &str) -> (Totals, [u64; 2]) {
    let scenario = Scenario::lesson(lesson).expect("it is on the list");
    let world = scenario.build(scenario.seed()).expect("a lesson is valid");
    let (flows, ladder) = (world.observe(Flows::new()), world.observe(Ladder::new()));
    world.run();
    let mut flows = flows.borrow_mut();
    flows.settle();
    let mut totals = Totals::default();
    for flow in flows.flows() {
        totals.0 += flow.account.segments.iter().sum::<u64>();
        totals.1 += flow.account.bytes.iter().sum::<u64>();
        totals.2[0] += flow.account.retransmissions().iter().sum::<u64>();
        for (kind, total) in KINDS.into_iter().zip(&mut totals.2[1..]) {
            *total += Side::BOTH.iter().map(|side| u64::from(flow.account.count(*side, kind))).sum::<u64>();
        }
    }
    let text = ladder.borrow().draw(&Style { width: 250, all: true, ..Style::default() });
    let begins = |shaft: &str| {
        let from = |line: &&str| line.contains(&format!("│{shaft} ")) || line.contains(&format!(" {shaft}│"));
        text.lines().filter(from).count() as u64
    };
    let again = begins("══");
    (totals, [begins("──") + again, again])
}

#[test]
fn the_shared_corpus_agrees_with_tshark_but_for_the_captures_listed() {
    let Some(dir) = programs::shared("corpus/captures") else { return };
    let is_capture = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "pcap");
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("a file").path());
    let mut files: Vec<_> = entries.filter(is_capture).collect();
    files.sort();
    assert_eq!(files.len(), 110);
    let Some((found, _)) = compare(&files, false, "tshark-corpus.pcap") else { return };
    let listed: Vec<_> = TSHARK_IS_WRONG.iter().map(|(name, _)| *name).collect();
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), listed, "{}", report(&found));
}
