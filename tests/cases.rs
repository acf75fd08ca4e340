//! The situations of the shared corpus, `corpus/cases`: how many streams, segments and bytes there are, and how they close.
//!
//! `expected.csv` says what is right. A row that is marked `later` belongs to a later issue and is left aside.
#![cfg(feature = "capture")]

mod common;
#[path = "common/programs.rs"]
mod programs;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tcplab::capture::Reader;
use tcplab::conversation::{Kind, Table};
use tcplab::segment::CaptureParser;

/// What `show --flows --json` prints of a file, one value for each stream.
fn flows(path: &Path) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_tcplab"))
        .args(["show", "--flows", "--json"])
        .arg(path)
        .output()
        .expect("the command runs");
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn sum(flows: &[Value], field: &str) -> u64 {
    flows.iter().flat_map(|flow| flow[field].as_array().expect("a pair")).filter_map(Value::as_u64).sum()
}

#[test]
fn show_counts_streams_segments_and_bytes_of_every_case() {
    let Some(dir) = programs::shared("corpus/cases") else { return };
    let table = fs::read_to_string(dir.join("expected.csv")).expect("the table");
    let (mut rows, mut wrong) = (0, Vec::new());
    for row in table.lines().skip(1) {
        let fields: Vec<_> = row.split(',').collect();
        let &[file, streams, segments, bytes, close, _, when] = fields.as_slice() else { panic!("{row}") };
        if when != "first" {
            continue;
        }
        rows += 1;
        let flows = flows(&dir.join(file));
        let closes: Vec<_> =
            flows.iter().filter_map(|flow| flow["close"]["kind"].as_str().or(flow["close"].as_str())).collect();
        let found = [
            ("streams", streams, flows.len().to_string()),
            ("segments", segments, sum(&flows, "packets").to_string()),
            ("bytes", bytes, sum(&flows, "bytes").to_string()),
            ("close", close, closes.join(" ")),
        ];
        for (what, expected, found) in found {
            if !expected.is_empty() && expected != found {
                wrong.push(format!("{file}: {what} {found}, expected {expected}"));
            }
        }
    }
    assert!(rows >= 15, "{rows} rows");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_retransmission_with_other_bytes_is_reported_once() {
    let Some(dir) = programs::shared("corpus/cases") else { return };
    let mut reader = Reader::open(dir.join("retrans_diff.pcap")).expect("a capture");
    let (mut parser, mut table) = (CaptureParser::new(), Table::<()>::new().compare_bytes(1 << 20));
    let mut differing = Vec::new();
    while let Some(record) = reader.next_record() {
        let record = record.expect("a record");
        let segment = parser.parse(record.packet.expect("a packet"), record.original_len).segment.expect("a segment");
        if table.observe(record.at, &segment).1.kinds.contains(Kind::BytesDiffer) {
            differing.push(record.number);
        }
    }
    assert_eq!(differing, [5]);
}

#[test]
fn show_says_what_differs_and_what_is_missing() {
    let Some(dir) = programs::shared("corpus/cases") else { return };
    for (file, words, times) in [
        ("retrans_diff.pcap", "its bytes are not those sent before", 1),
        ("trim96.pcap", "bytes of it are not in the file", 6),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_tcplab")).args(["show", "--json"]).arg(dir.join(file)).output();
        let text = String::from_utf8(output.expect("the command runs").stdout).expect("text");
        assert_eq!(text.lines().filter(|line| line.contains(words)).count(), times, "{file}: {text}");
    }
}

#[test]
fn no_relative_number_of_a_case_is_beyond_what_was_sent() {
    let Some(dir) = programs::shared("corpus/cases") else { return };
    for file in [
        "two_synacks_first.pcap",
        "half_open_recovery.pcap",
        "synack_first.pcap",
        "refused_then_ok.pcap",
        "reuse_open.pcap",
    ] {
        let mut reader = Reader::open(dir.join(file)).expect("a capture");
        let (mut parser, mut table) = (CaptureParser::new(), Table::<()>::new());
        while let Some(record) = reader.next_record() {
            let record = record.expect("a record");
            let segment =
                parser.parse(record.packet.expect("a packet"), record.original_len).segment.expect("a segment");
            let (_, observed) = table.observe(record.at, &segment);
            let largest = observed.seq.max(observed.ack.unwrap_or(0));
            // The half-open end of RFC 9293, figure 9, acknowledges a number of its old connection.
            let limit = if file.starts_with("half_open") { 500_000 } else { 1_000 };
            assert!(largest < limit, "{file}, packet {}: {largest}", record.number);
        }
    }
}
