//! Scripts that `drill --from` writes. Each is compared with its recording, packet by packet, and run.
//!
//! The recordings are read here a second time: numbers, flags, options, lengths and times are those of the bytes in the file.

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use crate::common;
use crate::programs;
use tcplab::capture::Reader;
use tcplab::conversation::Table;
use tcplab::drill::parse::{Definitions, parse};
use tcplab::drill::script::{Action, Body, Direction, Ecn, Options, Script, Tcp, TcpOption, Time};
use tcplab::drill::{Drill, FromError, FromRole, Outcome, Relax, Verdict, from_capture, from_read};
use tcplab::scenario::{Recipe, RecipeError};
use tcplab::segment::{CaptureParser, Protocol};

const ROLES: [FromRole; 2] = [FromRole::Client, FromRole::Server];

/// One packet of a recording.
struct Recorded {
    number: u64,
    nanos: u64,
    from_client: bool,
    /// `None`: an ICMP error.
    tcp: Option<Segment>,
}

#[derive(PartialEq, Eq)]
struct Segment {
    /// The TCP header from the sequence number on, without the checksum.
    seq: u32,
    ack: u32,
    bits: u16,
    window: u16,
    urgent: u16,
    options: Vec<u8>,
    len: usize,
    ecn: u8,
}

/// The packets of a conversation in a capture.
fn recorded(bytes: &[u8], stream: usize) -> Vec<Recorded> {
    let mut reader = Reader::from_read(Cursor::new(bytes.to_vec()), "capture").expect("it was read before");
    let (mut parser, mut table) = (CaptureParser::new(), Table::<()>::new());
    let mut packets = Vec::new();
    let mut client = None;
    while let Some(record) = reader.next_record() {
        let record = record.expect("it was read before");
        let nanos = record.at.as_nanos();
        let Some(packet) = record.packet else { continue };
        let captured = parser.parse(packet, record.original_len);
        let Ok(ip) = captured.ip else { continue };
        let Ok(segment) = captured.segment else {
            if ip.protocol != Protocol::Tcp {
                packets.push(Recorded { number: record.number, nanos, from_client: false, tcp: None });
            }
            continue;
        };
        let (found, _) = table.observe(record.at, &segment);
        if found.number != stream {
            continue;
        }
        let client = *client.get_or_insert(found.ends[0]);
        let header = &ip.payload[..ip.payload.len() - segment.payload.len()];
        let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("4 bytes"));
        let half = |at: usize| u16::from_be_bytes(header[at..at + 2].try_into().expect("2 bytes"));
        let tcp = Segment {
            seq: word(4),
            ack: word(8),
            bits: half(12) & 0x1ff,
            window: half(14),
            urgent: half(18),
            options: header[20..].to_vec(),
            len: segment.payload.len(),
            ecn: ip.ecn,
        };
        packets.push(Recorded { number: record.number, nanos, from_client: segment.src == client, tcp: Some(tcp) });
    }
    packets
}

/// The bytes of options as a script has them. `shift` is added to the numbers of SACK blocks.
fn option_bytes(options: &Options, shift: u32) -> Vec<u8> {
    let Options::List(list) = options else { panic!("a script of a recording lists its options") };
    let long = |kind: u8, data: &[u8]| [&[kind, data.len() as u8 + 2], data].concat();
    let bytes = |option: &TcpOption| match option {
        TcpOption::Eol => vec![0],
        TcpOption::Nop => vec![1],
        TcpOption::Mss(mss) => long(2, &mss.to_be_bytes()),
        TcpOption::Wscale(shift) => long(3, &[*shift]),
        TcpOption::SackOk => long(4, &[]),
        TcpOption::Sack(blocks) => {
            let edges = blocks.iter().flat_map(|(left, right)| [*left, *right]);
            let edges: Vec<_> = edges.flat_map(|edge| edge.wrapping_add(shift).to_be_bytes()).collect();
            long(5, &edges)
        }
        TcpOption::Timestamp { val, ecr } => {
            let [val, ecr] = [val, ecr].map(|value| value.expect("a recorded value").to_be_bytes());
            long(8, &[val, ecr].concat())
        }
        TcpOption::FastOpen(cookie) => long(34, cookie),
        TcpOption::FastOpenExperimental(cookie) => long(254, &[&[0xf9, 0x89], cookie.as_slice()].concat()),
        TcpOption::Md5(digest) => long(19, digest.as_deref().expect("recorded bytes")),
        TcpOption::Unknown { kind, data } => long(*kind, data),
        TcpOption::AccEcn(counts) => {
            let kind = if counts.first().is_some_and(|(name, _)| name == "e1b") { 174 } else { 172 };
            let counts: Vec<_> = counts.iter().flat_map(|(_, count)| count.to_be_bytes()[1..].to_vec()).collect();
            long(kind, &counts)
        }
    };
    list.iter().flat_map(bytes).collect()
}

/// The control bits of a segment of a script.
fn bits(tcp: &Tcp) -> u16 {
    let flags = tcp.flags;
    let order = [flags.fin, flags.syn, flags.rst, flags.psh, flags.ack, flags.urg, flags.ece, flags.cwr, flags.ae];
    order.iter().enumerate().fold(0, |bits, (at, set)| bits | u16::from(*set) << at)
}

fn parsed(text: &str) -> Script {
    parse(text, &Definitions::new()).unwrap_or_else(|error| panic!("{}\n{text}", error.render("script", text)))
}

/// The packets that the head of a script says are left out.
fn left_out(text: &str) -> BTreeSet<u64> {
    let numbers = text.lines().filter_map(|line| line.strip_prefix("// Packet ")?.split(' ').next()?.parse().ok());
    numbers.collect()
}

/// Compares a script with its recording. Gives the number of packets, or says what differs.
fn compare(text: &str, bytes: &[u8], stream: usize) -> Result<usize, String> {
    let script = parsed(text);
    let as_client = text.lines().next().is_some_and(|line| line.contains(", as the client:"));
    let twice = text.contains("packets are in the capture twice");
    let left_out = left_out(text);
    let refused: BTreeSet<_> = text
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with("//"))
        .filter(|line| line.contains("refused"))
        .collect();
    let all = recorded(bytes, stream);
    let mut begin = all.iter().filter(|packet| packet.tcp.is_some());
    let begin = begin.nth(refused.len()).map_or(0, |packet| packet.nanos);
    let recorded: Vec<_> = all.into_iter().filter(|packet| !left_out.contains(&packet.number)).collect();
    let first_syn = |client: bool| {
        let syns = recorded.iter().rev().filter(|packet| packet.from_client == client);
        let syn = syns.filter_map(|packet| packet.tcp.as_ref()).find(|tcp| tcp.bits & 2 != 0);
        syn.map_or(0, |syn| syn.seq)
    };
    let starts = [first_syn(true), first_syn(false)];
    let mut clock = 0;
    let mut rest = recorded.iter().peekable();
    let mut count = 0;
    for event in &script.events {
        let before = clock;
        clock += match event.time {
            Time::Relative(offset) | Time::RelativeBlocking(offset, _) => offset.as_nanos() as u64 / 1_000,
            other => return Err(format!("line {}: the time {other} is not relative", event.line)),
        };
        let Action::Packet(packet) = &event.action else { continue };
        let from_client = as_client == (packet.direction == Direction::Outbound);
        let fits = |recorded: &Recorded| -> Result<(), String> {
            // Where the clock of the capture goes back, the script stays.
            let due = (recorded.nanos.saturating_sub(begin) / 1_000).max(before);
            if due != clock {
                return Err(format!("time: {due} us in the recording, {clock} us in the script"));
            }
            match (&packet.body, &recorded.tcp) {
                (Body::Icmp(_), None) => Ok(()),
                (Body::Tcp(tcp), Some(expected)) if from_client == recorded.from_client => {
                    let own = starts[usize::from(!from_client)];
                    let peer = starts[usize::from(from_client)];
                    let acks = expected.bits & 0x10 != 0;
                    let actual = Segment {
                        seq: tcp.seq.unwrap_or(0).wrapping_add(own),
                        ack: if acks { tcp.ack.unwrap_or(0).wrapping_add(peer) } else { expected.ack },
                        bits: bits(tcp),
                        window: tcp.win.unwrap_or(0),
                        urgent: tcp.urg.unwrap_or(0),
                        options: option_bytes(&tcp.options, peer),
                        len: tcp.len as usize,
                        ecn: match packet.ip.ecn {
                            None => expected.ecn,
                            Some(Ecn::NotEct) => 0,
                            Some(Ecn::Ect1) => 1,
                            Some(Ecn::Ect0 | Ecn::Ect01) => 2,
                            Some(Ecn::Ce) => 3,
                        },
                    };
                    if actual == *expected { Ok(()) } else { Err("another packet".to_owned()) }
                }
                _ => Err("another packet".to_owned()),
            }
        };
        loop {
            let Some(next) = rest.next() else {
                return Err(format!("line {}: {packet} is not in the recording", event.line));
            };
            if next.tcp.is_none() && !matches!(packet.body, Body::Icmp(_)) {
                continue; // about another conversation
            }
            match fits(next) {
                Ok(()) => break,
                Err(_) if twice => {}
                Err(why) => return Err(format!("line {}: {packet}: packet {}: {why}", event.line, next.number)),
            }
        }
        count += 1;
    }
    match rest.find(|packet| packet.tcp.is_some()) {
        Some(packet) if !twice => Err(format!("packet {} is not in the script", packet.number)),
        _ => Ok(count),
    }
}

fn captures(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "pcap" || end == "pcapng")).collect();
    files.sort();
    files
}

fn own() -> Vec<PathBuf> {
    captures(&Path::new(env!("CARGO_MANIFEST_DIR")).join("captures"))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The scripts of all conversations, with their numbers, and the reasons of those that cannot be written.
fn scripts(bytes: &[u8], name: &str, role: Option<FromRole>) -> Vec<(usize, Result<String, FromError>)> {
    let mut scripts = Vec::new();
    for stream in 0.. {
        match from_read(Cursor::new(bytes.to_vec()), name, Some(stream), role) {
            Err(FromError::NoStream { .. } | FromError::NoConversation { .. }) => break,
            written => scripts.push((stream, written)),
        }
    }
    scripts
}

fn run(text: &str, relax: &[Relax]) -> Outcome {
    Drill::new().relax(relax.iter().copied()).run_text("written.pkt", text)
}

fn is_pass(outcome: &Outcome) -> bool {
    outcome.verdict == Verdict::Pass
}

/// Fails if something is in the list.
#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} scripts:\n{}", wrong.len(), wrong.join("\n"));
}

/// Issue 10: "Captures of our lessons [...]: 100 % pass strictly, times included".
#[test]
fn every_conversation_of_our_captures_passes_strictly_as_the_side_of_the_capture() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in own() {
        let bytes = fs::read(&path).expect("a capture");
        for (stream, written) in scripts(&bytes, &name(&path), None) {
            let text = written.unwrap_or_else(|error| panic!("{error}"));
            count += 1;
            if let Err(why) = compare(&text, &bytes, stream) {
                wrong.push(format!("{} {stream}: {why}", name(&path)));
            }
            let outcome = run(&text, &[]);
            if !is_pass(&outcome) {
                wrong.push(format!("{} {stream}: {}", name(&path), outcome.reason));
            }
        }
    }
    assert!(count >= 83, "{count} conversations");
    none(&wrong);
}

/// Conversations whose script does not pass strictly, with the cause. `replay` cannot follow the first two either.
const NOT_STRICTLY: [(&str, usize, &str); 3] = [
    // The packets do not show how far the program had read.
    ("fairness.pcapng", 0, "bob"),
    ("silly-window.pcapng", 1, "server"),
    // A paced segment and an ACK are less than 1 us apart, which is the resolution of scripts.
    ("cubic-vs-bbr.pcapng", 0, "bbr"),
];

/// The same at every host of every lesson, so that each side is the side of a capture.
#[test]
fn every_conversation_of_a_lesson_passes_strictly_at_each_of_its_hosts() {
    let mut wrong = Vec::new();
    let mut roles = [0, 0];
    for path in own() {
        let reader = Reader::open(&path).expect("a capture");
        let recipe = Recipe::parse(reader.section_comment().expect("a recipe")).expect("a recipe");
        let scenario = recipe.scenario().expect("a lesson");
        for host in scenario.hosts() {
            let bytes = match recipe.clone().at(host).rerun_to_bytes() {
                Err(RecipeError::UnknownHost(_)) => continue, // a router
                bytes => bytes.expect("a capture"),
            };
            for (stream, written) in scripts(&bytes, &name(&path), None) {
                let shown = format!("{} {stream} at {host}", name(&path));
                let text = match written {
                    Ok(text) => text,
                    Err(error) => {
                        wrong.push(format!("{shown}: {error}"));
                        continue;
                    }
                };
                roles[usize::from(text.contains(", as the server:"))] += 1;
                if let Err(why) = compare(&text, &bytes, stream) {
                    wrong.push(format!("{shown}: {why}"));
                }
                let outcome = run(&text, &[]);
                let known = NOT_STRICTLY.contains(&(name(&path).as_str(), stream, host));
                if is_pass(&outcome) == known {
                    wrong.push(format!("{shown}: {} {}", outcome.verdict, outcome.reason));
                }
            }
        }
    }
    assert!(roles[0] >= 80 && roles[1] >= 80, "{roles:?} as client and as server");
    none(&wrong);
}

/// The other side's script has the packets of the recording too. Whether it passes depends on what is lost on the way.
#[test]
fn the_script_of_the_other_side_states_the_recording() {
    let mut wrong = Vec::new();
    for path in own() {
        let bytes = fs::read(&path).expect("a capture");
        for role in ROLES {
            for (stream, written) in scripts(&bytes, &name(&path), Some(role)) {
                let Ok(text) = written else { continue };
                if let Err(why) = compare(&text, &bytes, stream) {
                    wrong.push(format!("{} {stream} as {role:?}: {why}", name(&path)));
                }
            }
        }
    }
    none(&wrong);
}

/// Issue 10: "The 110 shared captures: all parse, at least 80 % pass relaxed; the strict share is reported."
#[test]
fn of_the_shared_captures_all_parse_and_at_least_80_percent_pass_relaxed() {
    let Some(corpus) = programs::shared("corpus/captures") else { return };
    let files = captures(&corpus);
    assert_eq!(files.len(), 110);
    let (mut wrong, mut table) = (Vec::new(), String::new());
    let (mut strict, mut relaxed) = (0, 0);
    for path in files {
        let bytes = fs::read(&path).expect("a capture");
        let text = from_capture(&path, None, None).unwrap_or_else(|error| panic!("{error}"));
        if let Err(why) = compare(&text, &bytes, 0) {
            wrong.push(format!("{}: {why}", name(&path)));
        }
        let (exact, lenient) = (run(&text, &[]), run(&text, &Relax::ALL));
        strict += usize::from(is_pass(&exact));
        relaxed += usize::from(is_pass(&lenient));
        let needed: Vec<_> = lenient.relaxed.iter().map(|relax| relax.name()).collect();
        let line = format!("{} {} {} {}", name(&path), exact.verdict, lenient.verdict, needed.join(","));
        table.push_str(line.trim_end());
        table.push('\n');
    }
    none(&wrong);
    assert!(relaxed * 100 >= 80 * 110, "{relaxed} of 110 pass relaxed, {strict} strictly");
    common::golden("drill/from.txt", &table);
}

#[test]
fn a_script_is_the_same_each_time_and_names_its_capture_without_the_path() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/chat.pcapng");
    let text = from_capture(&path, Some(0), Some(FromRole::Server)).expect("a script");
    assert_eq!(from_capture(&path, Some(0), Some(FromRole::Server)).expect("a script"), text);
    let first = text.lines().next().expect("a line");
    assert_eq!(first, "// From chat.pcapng, stream 0, as the server: the packets are those of the recording.");
}

#[test]
fn a_call_that_fails_has_a_note_behind_the_error_which_packetdrill_requires() {
    for (capture, result) in [
        ("refused.pcapng", "= -1 ECONNREFUSED (Connection refused)"),
        ("unreachable.pcapng", "= -1 EINPROGRESS (Operation now in progress)"),
    ] {
        let bytes = fs::read(Path::new("captures").join(capture)).expect("a capture");
        let written = scripts(&bytes, capture, Some(FromRole::Client));
        let text = written[0].1.as_ref().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(text.lines().filter(|line| line.contains("= -1 ")).count(), 1, "{text}");
        assert!(text.lines().any(|line| line.ends_with(result)), "{text}");
    }
}

#[test]
fn a_file_that_is_no_capture_and_a_stream_that_is_not_there_are_errors_that_name_the_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/chat.pcapng");
    let told = |written: Result<String, FromError>| written.expect_err("no script").to_string();
    let missing = told(from_capture(&path, Some(7), None));
    assert!(missing.contains("chat.pcapng: there is no stream 7") && missing.contains("--stream"), "{missing}");
    let foreign = told(from_read(&b"not a capture"[..], "notes.txt", None, None));
    assert!(foreign.contains("notes.txt"), "{foreign}");
}

#[test]
fn a_script_sets_its_host_and_the_command_line_wins() {
    let script = "--as=linux\n--set=initial_rto=2s\n\
        0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n\
        +0...2.1 connect(3, ..., ...) = 0\n\
        +0 > S 0:0(0) <...>\n\
        +2 > S 0:0(0) <...>\n\
        +.1 < S. 0:0(0) ack 1 win 1000 <mss 1000>\n\
        +0 > . 1:1(0) ack 1\n";
    let outcome = Drill::new().run_text("set.pkt", script);
    assert_eq!((outcome.verdict, outcome.system.name()), (Verdict::Pass, "linux"), "{}", outcome.reason);
    let other = Drill::new().set("initial_rto", "1s").expect("a key").run_text("set.pkt", script);
    assert_eq!((other.verdict, other.line), (Verdict::Fail, Some(6)), "{}", other.reason);
    for (line, told) in [
        ("--set=initial_rto", "KEY=VALUE"),
        ("--set=colour=red", "expected"),
        ("--set=mtu=big", "number"),
        ("--as=plan9", "freebsd, linux or rfc"),
    ] {
        let outcome = Drill::new().run_text("wrong.pkt", &format!("{line}\n0 socket(..., SOCK_STREAM, 0) = 3\n"));
        assert!(outcome.verdict == Verdict::Error && outcome.reason.contains(told), "{line}: {}", outcome.reason);
    }
}

/// With `--one_turn` an answer that is written at the instant of a segment carries its acknowledgment.
#[test]
fn calls_at_the_instant_of_a_packet_belong_to_the_turn_that_takes_it_if_the_script_says_so() {
    let body = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n\
        +0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n\
        +0 < S 0:0(0) win 1000 <mss 1000>\n+0 > S. 0:0(0) ack 1 <mss 1460>\n\
        +.1 < . 1:1(0) ack 1 win 1000\n+0 accept(3, ..., ...) = 4\n\
        +.1 < P. 1:11(10) ack 1 win 1000\n\
        +0 read(4, ..., 100) = 10\n+0 write(4, ..., 20) = 20\n+0 close(4) = 0\n";
    let together = format!("--as=linux\n--one_turn\n--no_extra\n{body}+0 > FP. 1:21(20) ack 11\n");
    let apart = format!("--as=linux\n{body}+0 > . 1:1(0) ack 11\n+0 > P. 1:21(20) ack 11\n+0 > F. 21:21(0) ack 11\n");
    for script in [together, apart] {
        let outcome = Drill::new().run_text("turn.pkt", &script);
        assert_eq!(outcome.verdict, Verdict::Pass, "{}", outcome.reason);
    }
}

/// Exit code 2, and a message that says what to do.
#[cfg(feature = "cli")]
#[test]
fn the_command_writes_a_script_or_says_what_is_wrong_with_the_capture() {
    let command = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tcplab"));
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("drill").args(args).output();
        let output = output.expect("the command runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, script, told) = command(&["--from", "captures/chat.pcapng", "--stream", "1", "--role", "client"]);
    assert_eq!((code, told.as_str()), (Some(0), ""));
    assert!(script.starts_with("// From chat.pcapng, stream 1, as the client:"), "{script}");
    for (args, wanted) in [
        (&["--from", "captures/chat.pcapng", "--stream", "9"][..], "captures/chat.pcapng: there is no stream 9"),
        (&["--from", "Cargo.toml"], "Cargo.toml"),
        (&["--from", "captures/none.pcapng"], "captures/none.pcapng"),
        (&["--from", "captures/chat.pcapng", "a.pkt"], "cannot be used with"),
        (&["--from", "captures/chat.pcapng", "--set", "mtu=900"], "cannot be used with"),
        (&["a.pkt", "--stream", "1"], "--from"),
    ] {
        let (code, script, told) = command(args);
        assert_eq!((code, script.as_str()), (Some(2), ""), "{args:?}: {told}");
        assert!(told.contains(wanted), "{args:?}: {told}");
    }
}
