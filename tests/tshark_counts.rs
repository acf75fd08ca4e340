//! Counts what segments are, stream by stream, and compares the counts with those of tshark.
//!
//! Two sets of captures are compared: every lesson, captured at each of its hosts, with the segments that this host sent; and
//! the shared corpus of kernels' and other stacks' captures, with the segments of both ends.

mod common;
#[path = "common/programs.rs"]
mod programs;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use tcplab::capture::{Direction, Reader};
use tcplab::conversation::{Kind, Table};
use tcplab::segment::CaptureParser;

/// What is compared, and the field that tshark prints for it. tshark marks the three kinds of retransmission with one field.
const COUNTED: [(&str, &str); 5] = [
    ("retransmissions", "tcp.analysis.retransmission"),
    ("duplicate ACKs", "tcp.analysis.duplicate_ack"),
    ("out of order", "tcp.analysis.out_of_order"),
    ("zero windows", "tcp.analysis.zero_window"),
    ("keep-alives", "tcp.analysis.keep_alive"),
];

/// For each stream what was counted, in the order of [`COUNTED`], and the numbers of the packets.
type Counts = BTreeMap<usize, [Vec<u64>; COUNTED.len()]>;

/// What our table counts in a file; with `sent` only what the host of the capture sent.
fn ours(path: &Path, sent: bool) -> Counts {
    let mut reader = Reader::open(path).expect("a capture");
    let (mut parser, mut table, mut counts) = (CaptureParser::new(), Table::<()>::new(), Counts::new());
    while let Some(record) = reader.next_record() {
        let record = record.expect("a record");
        let Some(packet) = record.packet else { continue };
        let Ok(segment) = parser.parse(packet, record.original_len).segment else { continue };
        let (stream, observed) = table.observe(record.at, &segment);
        let counted = counts.entry(stream.number).or_default();
        if sent && record.direction != Some(Direction::Outbound) {
            continue;
        }
        let kinds = observed.kinds;
        let holds = [
            kinds.is_retransmission(),
            kinds.contains(Kind::DuplicateAck),
            kinds.contains(Kind::OutOfOrder),
            kinds.contains(Kind::ZeroWindow),
            kinds.contains(Kind::KeepAlive),
        ];
        for (numbers, _) in counted.iter_mut().zip(holds).filter(|(_, holds)| *holds) {
            numbers.push(record.number);
        }
    }
    counts
}

/// The same from tshark.
fn tsharks(path: &Path, sent: bool) -> Counts {
    let mut command = Command::new("tshark");
    command
        .env("HOME", programs::scratch("tshark-home"))
        .args(["-n", "-2", "-Y", "tcp", "-T", "fields"])
        .arg("-r")
        .arg(path);
    for field in ["frame.number", "tcp.stream", "frame.packet_flags_direction"]
        .into_iter()
        .chain(COUNTED.map(|(_, field)| field))
    {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark runs");
    assert!(output.status.success(), "{path:?}: {}", String::from_utf8_lossy(&output.stderr));
    let mut counts = Counts::new();
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let fields: Vec<_> = line.split('\t').collect();
        // A packet in an ICMP error has a stream too: the last one is meant, and none is counted.
        let Ok(stream) = fields[1].parse() else { continue };
        let counted = counts.entry(stream).or_default();
        if sent && fields[2] != "2" && fields[2] != "0x00000002" {
            continue;
        }
        for (numbers, field) in counted.iter_mut().zip(&fields[3..]) {
            if !field.is_empty() {
                numbers.push(fields[0].parse().expect("a number"));
            }
        }
    }
    counts
}

/// What differs, a line for each stream and count.
fn differences(path: &Path, sent: bool) -> String {
    let (ours, theirs) = (ours(path, sent), tsharks(path, sent));
    let mut text = String::new();
    if ours.len() != theirs.len() {
        let _ = writeln!(text, "  {} streams, tshark {}", ours.len(), theirs.len());
    }
    for stream in ours.keys().chain(theirs.keys()).collect::<std::collections::BTreeSet<_>>() {
        let empty = Default::default();
        let (ours, theirs) = (ours.get(stream).unwrap_or(&empty), theirs.get(stream).unwrap_or(&empty));
        for (at, (name, _)) in COUNTED.iter().enumerate() {
            if ours[at] != theirs[at] {
                let only = |one: &[u64], other: &[u64]| {
                    one.iter().filter(|number| !other.contains(number)).copied().collect::<Vec<_>>()
                };
                let _ = writeln!(
                    text,
                    "  stream {stream}, {name}: {}, tshark {}; only ours {:?}, only tshark's {:?}",
                    ours[at].len(),
                    theirs[at].len(),
                    only(&ours[at], &theirs[at]),
                    only(&theirs[at], &ours[at])
                );
            }
        }
    }
    text
}

/// Compares files side by side and gives what differs.
fn compare(files: &[PathBuf], sent: bool) -> BTreeMap<String, String> {
    let (next, found) = (Mutex::new(files.iter()), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(path) = { next.lock().expect("not poisoned").next() } {
                    let text = differences(path, sent);
                    if !text.is_empty() {
                        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
                        found.lock().expect("not poisoned").insert(name, text);
                    }
                }
            });
        }
    });
    found.into_inner().expect("not poisoned")
}

#[test]
fn the_corpus() {
    let dir = PathBuf::from(std::env::var("CORPUS").unwrap());
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "pcap" || e == "pcapng"))
        .collect();
    files.sort();
    let found = compare(&files, std::env::var("SENT").is_ok());
    let text: String = found.iter().map(|(name, text)| format!("{name}\n{text}")).collect();
    println!("{text}{} of {} differ", found.len(), files.len());
}
