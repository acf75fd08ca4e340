//! The situations of the shared corpus, `corpus/cases`: how many streams, segments and bytes there are, and how they close.
//!
//! `expected.csv` says what is right. `encapsulations` compares what is found in frames with what tshark finds.
#![cfg(feature = "cli")]

mod encapsulations;

#[cfg(feature = "scenario")]
use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
#[cfg(feature = "scenario")]
use std::rc::Rc;

#[cfg(feature = "scenario")]
use crate::common;
use crate::common::wire::{Log, SYN};
use crate::programs;

use serde_json::Value;
use tcplab::capture::Reader;
use tcplab::conversation::{Kind, Table};
use tcplab::segment::CaptureParser;
#[cfg(feature = "scenario")]
use tcplab::{
    event::{HostId, State},
    scenario::Scenario,
    segment::Flags,
    time::Duration,
};

#[cfg(feature = "scenario")]
const FIN: Flags = Flags::FIN;

/// Runs the command.
fn tcplab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tcplab")).args(arguments).output().expect("the command runs")
}

/// What `show --flows --json` prints of a file, one value for each stream.
fn flows(path: &Path) -> Vec<Value> {
    let output = tcplab(&["show", "--flows", "--json", &path.to_string_lossy()]);
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn sum(flows: &[Value], field: &str) -> u64 {
    flows.iter().flat_map(|flow| flow[field].as_array().expect("a pair")).filter_map(Value::as_u64).sum()
}

#[test]
fn every_case_is_shown_and_replayed_as_the_table_has_it() {
    let Some(dir) = programs::shared("corpus/cases") else { return };
    let table = fs::read_to_string(dir.join("expected.csv")).expect("the table");
    let (mut rows, mut wrong) = (0, Vec::new());
    for row in table.lines().skip(1) {
        let fields: Vec<_> = row.split(',').collect();
        let &[file, streams, segments, bytes, close, replay, _] = fields.as_slice() else { panic!("{row}") };
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
        if !replay.is_empty() {
            let output = tcplab(&["replay", "--json", "--role", "both", &dir.join(file).to_string_lossy()]);
            let text = String::from_utf8(output.stdout).expect("text");
            let verdict = |line| serde_json::from_str::<Value>(line).expect("JSON")["verdict"].clone();
            let verdicts: Vec<_> = text.lines().map(verdict).collect();
            if verdicts.is_empty() || verdicts.iter().any(|verdict| verdict != replay) {
                wrong.push(format!("{file}: replay {verdicts:?}, expected {replay}"));
            }
        }
    }
    assert!(rows >= 23, "{rows} rows");
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

/// A scenario of the cases, run to its end: all that was sent and refused.
#[cfg(feature = "scenario")]
fn scenario(file: &str) -> Option<(Rc<RefCell<Log>>, [HostId; 2])> {
    let text = fs::read_to_string(programs::shared("corpus/cases")?.join(file)).expect("a scenario");
    let world = Scenario::parse(&text).expect("a scenario").build(1).expect("it can be built");
    let log = common::wire::log(world.sim());
    let id = |name: &str| world.hosts().iter().find(|host| host.name() == name).expect("a host").id();
    let ends = [id("client"), id("server")];
    let outcome = world.run();
    assert_eq!(outcome.failures, Vec::<String>::new());
    Some((log, ends))
}

/// Text that a host sent, as often as it left.
#[cfg(feature = "scenario")]
fn text_sent(log: &Log, host: HostId) -> usize {
    log.sent.iter().filter(|(from, _)| *from == host).map(|(_, said)| said.payload.len()).sum()
}

#[test]
#[cfg(feature = "scenario")]
fn a_window_that_is_closed_one_way_hinders_nothing_the_other_way() {
    let Some((log, [client, server])) = scenario("closed-one-way.toml") else { return };
    let log = log.borrow();
    assert_eq!((text_sent(&log, server), text_sent(&log, client)), (20_000, 280), "nothing is sent again");
    // What a host refuses is a window probe, which is outside of the window by intention.
    for (host, _, said) in &log.dropped {
        assert!(*host == client && said.payload.is_empty(), "{said:?}");
    }
    // Each ACK of the client is acceptable: not before what the server expects, not beyond its window.
    let mut nxt = None;
    for (host, said) in &log.sent {
        if *host == client {
            assert!(nxt.is_none_or(|nxt| said.seq == nxt), "SND.NXT: {said:?}");
            nxt = Some(said.seq + said.payload.len() as u32 + u32::from(said.is(SYN) || said.flags.contains(FIN)));
        }
    }
    // Each of its 20 segments is acknowledged by the server, within the delay of an ACK and a round trip.
    for (_, said) in log.sent.iter().filter(|(host, said)| *host == client && !said.payload.is_empty()) {
        let end = said.seq + said.payload.len() as u32;
        let ack = log.sent.iter().find(|(host, ack)| *host == server && ack.at > said.at && ack.ack >= end);
        let (_, ack) = ack.expect("an ACK");
        assert!(ack.at - said.at <= Duration::from_millis(10 + 200), "{said:?} {ack:?}");
    }
}

#[test]
#[cfg(feature = "scenario")]
fn text_and_a_fin_that_cross_a_fin_are_acknowledged_at_once() {
    let Some((log, [client, server])) = scenario("fins-cross-with-data.toml") else { return };
    let log = log.borrow();
    assert_eq!((text_sent(&log, server), text_sent(&log, client)), (48, 0));
    assert_eq!(log.dropped, []);
    let fins: Vec<_> = log.sent.iter().filter(|(_, said)| said.flags.contains(FIN)).collect();
    assert_eq!(fins.len(), 2, "no FIN is sent again");
    let (host, fin) = fins[1];
    assert_eq!((*host, fin.payload.len()), (server, 48));
    let states: Vec<_> = log.states.iter().filter(|(host, ..)| *host == client).map(|(.., to)| *to).collect();
    let expected =
        [State::SynSent, State::Established, State::FinWait1, State::Closing, State::TimeWait, State::Closed];
    assert_eq!(states, expected);
    // The text and the FIN arrive 10 ms after they left, and their ACK leaves at that instant.
    let acks: Vec<_> = log.sent.iter().filter(|(host, said)| *host == client && said.at > fin.at).collect();
    assert_eq!(acks.len(), 1, "{acks:?}");
    let (_, ack) = acks[0];
    assert_eq!((ack.at - fin.at, ack.ack), (Duration::from_millis(10), fin.seq + 49));
}
