//! The situations of the shared corpus, `corpus/cases`: how many streams, segments and bytes there are, and how they close.
//!
//! `expected.csv` says what is right. A row that is marked `later` belongs to a later issue and is left aside.

mod common;
#[path = "common/programs.rs"]
mod programs;

use tcplab::capture::Reader;
use tcplab::conversation::{Kind, Table};
use tcplab::segment::CaptureParser;

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
