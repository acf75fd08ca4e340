//! Counts what segments are, stream by stream, and compares the packets counted with those that tshark counts.
//!
//! Two sets of captures are compared: every lesson, captured at each of its hosts, with the segments that this host sent; and
//! the captures of the shared corpus, taken from kernels and other stacks, with the segments of both ends.

mod common;
#[path = "common/programs.rs"]
mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use tcplab::capture::{Direction, Reader};
use tcplab::conversation::{Kind, Kinds, Table};
use tcplab::scenario::lessons;
use tcplab::segment::CaptureParser;

/// What is compared: a name, the field that tshark prints, and the test for it. tshark prints the field of a retransmission
/// for fast and spurious ones too.
const COUNTED: [(&str, &str, fn(Kinds) -> bool); 13] = [
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
    ("ACKed unseen", "tcp.analysis.ack_lost_segment", |kinds| kinds.contains(Kind::AckedUnseen)),
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

/// For each stream the numbers of the packets that were counted, in the order of [`COUNTED`].
type Counts = BTreeMap<usize, [Vec<u64>; COUNTED.len()]>;

/// What the table counts in a file; with `sent` only what the host of the capture sent.
fn ours(path: &Path, sent: bool) -> Counts {
    let mut reader = Reader::open(path).expect("a capture");
    let (mut parser, mut table, mut counts) = (CaptureParser::new(), Table::<()>::new(), Counts::new());
    while let Some(record) = reader.next_record() {
        let record = record.expect("a record");
        let Some(packet) = record.packet else { continue };
        let Ok(segment) = parser.parse(packet, record.original_len).segment else { continue };
        let (stream, observed) = table.observe(record.at, &segment);
        let counted = counts.entry(stream.number).or_default();
        if !sent || record.direction == Some(Direction::Outbound) {
            for (numbers, (_, _, holds)) in counted.iter_mut().zip(COUNTED) {
                numbers.extend(holds(observed.kinds).then_some(record.number));
            }
        }
    }
    counts
}

/// The same from tshark. `None` if it is not installed.
fn tsharks(path: &Path, sent: bool) -> Option<Counts> {
    let path = path.to_string_lossy();
    let mut arguments = vec!["-n", "-2", "-Y", "tcp", "-T", "fields", "-r", &*path];
    let fields = ["frame.number", "tcp.stream", "frame.packet_flags_direction"];
    arguments.extend(fields.into_iter().chain(COUNTED.map(|(_, field, _)| field)).flat_map(|field| ["-e", field]));
    let mut counts = Counts::new();
    for line in programs::printed("tshark", &arguments)?.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        // A packet quoted in an ICMP error is no segment of a stream.
        let Ok(stream) = fields[1].parse() else { continue };
        let counted = counts.entry(stream).or_default();
        if !sent || ["2", "0x00000002"].contains(&fields[2]) {
            for (numbers, field) in counted.iter_mut().zip(&fields[3..]) {
                numbers.extend((!field.is_empty()).then(|| fields[0].parse::<u64>().expect("a number")));
            }
        }
    }
    Some(counts)
}

/// What differs, a line for each stream and count.
fn differences(path: &Path, sent: bool) -> Option<String> {
    let (ours, theirs) = (ours(path, sent), tsharks(path, sent)?);
    let mut text = String::new();
    for stream in ours.keys().chain(theirs.keys()).copied().collect::<BTreeSet<_>>() {
        let (Some(ours), Some(theirs)) = (ours.get(&stream), theirs.get(&stream)) else {
            let _ = writeln!(text, "  {} streams, tshark {}", ours.len(), theirs.len());
            break;
        };
        for ((ours, theirs), (name, _, _)) in ours.iter().zip(theirs).zip(COUNTED) {
            if ours != theirs {
                let only = |one: &[u64], other: &[u64]| -> Vec<u64> {
                    one.iter().filter(|number| !other.contains(number)).copied().collect()
                };
                let (extra, lacking) = (only(ours, theirs), only(theirs, ours));
                let _ = writeln!(text, "  stream {stream}, {name}: {extra:?} only here, {lacking:?} only in tshark");
            }
        }
    }
    Some(text)
}

/// Compares files, several at a time, and gives what differs by the names of the files. `None` without tshark.
fn compare(files: &[PathBuf], sent: bool) -> Option<BTreeMap<String, String>> {
    let (next, found) = (Mutex::new(files.iter()), Mutex::new(Some(BTreeMap::new())));
    let work = || {
        while let Some(path) = { next.lock().expect("no thread has panicked").next() } {
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            let text = differences(path, sent);
            let mut found = found.lock().expect("no thread has panicked");
            match text {
                None => *found = None,
                Some(text) if text.is_empty() => {}
                Some(text) => _ = found.as_mut().map(|found| found.insert(name, text)),
            }
        }
    };
    thread::scope(|scope| (0..4).for_each(|_| _ = scope.spawn(work)));
    found.into_inner().expect("no thread has panicked")
}

fn report(found: &BTreeMap<String, String>) -> String {
    found.iter().map(|(name, text)| format!("{name}\n{text}")).collect()
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
    let Some(found) = compare(&files, true) else { return };
    assert!(found.is_empty(), "{}", report(&found));
}

#[test]
fn the_shared_corpus_agrees_with_tshark_but_for_the_captures_listed() {
    let Some(dir) = programs::shared("corpus/captures") else { return };
    let is_capture = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "pcap");
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("a file").path());
    let mut files: Vec<_> = entries.filter(is_capture).collect();
    files.sort();
    assert_eq!(files.len(), 110);
    let Some(found) = compare(&files, false) else { return };
    let listed: Vec<_> = TSHARK_IS_WRONG.iter().map(|(name, _)| *name).collect();
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), listed, "{}", report(&found));
}
