//! `tcplab replay` as a user meets it: lines, JSON, exit codes; many conversations; files that are none.
#![cfg(feature = "replay")]
#![cfg_attr(not(feature = "cli"), allow(unused_imports, dead_code, reason = "half of it is about the command"))]

use std::fs;
use std::io::Cursor;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::programs;
use tcplab::app::{Listen, echo, http};
use tcplab::capture::{Format, Reader, Settings};
use tcplab::net::{Net, TcpStream};
use tcplab::replay::{Mode, Replay, ReplayError, Role, TestDir, Verdict};
use tcplab::rng::Rng;
use tcplab::sim::Sim;

#[cfg(feature = "cli")]
fn tcplab(args: &[&str]) -> Output {
    assert_cmd::Command::cargo_bin("tcplab").expect("the binary is built").args(args).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Runs `client` against a server on a link and captures at `at`.
fn record<F>(name: &str, at: &str, server: impl AsyncFnOnce(Net) + 'static, client: F) -> PathBuf
where
    F: AsyncFnOnce(Net) + 'static,
{
    let sim = Sim::seeded(5);
    let hosts = [("client", "192.0.2.2/24"), ("server", "192.0.2.1/24")].map(|(name, ip)| sim.host(name, ip));
    sim.link(&hosts[0], &hosts[1], "rate=10Mbit,delay=10ms");
    let path = programs::scratch(name);
    let vantage = hosts.iter().find(|host| host.name() == at).expect("one of the two");
    let capture = sim.observe(Settings::default().at(vantage.id()).create(&path).expect("a place for it"));
    hosts[1].spawn_daemon(server);
    hosts[0].spawn(client);
    sim.run_until_idle();
    capture.borrow_mut().close().expect("written");
    path
}

fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

async fn greet(net: Net) {
    echo::client(net, addr(7), b"Do you hear me?".to_vec()).await.expect("an echo");
}

fn echo_capture(name: &str, at: &str) -> PathBuf {
    record(name, at, async |net| drop(echo::server(net, Listen::new(addr(7))).await), greet)
}

#[cfg(feature = "cli")]
#[test]
fn a_line_for_each_conversation_and_a_table_at_the_end() {
    let path = echo_capture("cli-echo.pcapng", "client");
    let file = path.to_str().expect("UTF-8");
    let output = tcplab(&["replay", file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let line = text(&output.stdout);
    assert!(line.starts_with(&format!("pass     {file} 0 client semantic 192.0.2.2:")), "{line}");
    assert_eq!(line.lines().count(), 1);
    assert_eq!(text(&output.stderr), "1 files, 1 conversations\n  pass          1\n");
    let quiet = tcplab(&["-q", "replay", "--role", "both", file]);
    assert_eq!((text(&quiet.stdout).lines().count(), text(&quiet.stderr)), (2, String::new()));
}

#[cfg(feature = "cli")]
#[test]
fn json_has_the_fields_that_others_rely_on_and_a_bad_file_does_not_stop_the_rest() {
    let path = echo_capture("cli-json.pcapng", "client");
    let whole = fs::read(&path).expect("a capture");
    let damaged = programs::scratch("cli-damaged.pcapng");
    let mut bytes = whole.clone();
    let last_block = whole.len() - u32::from_le_bytes(*whole.last_chunk().expect("a length")) as usize;
    bytes[last_block + 4] = 7;
    fs::write(&damaged, &bytes).expect("a place for it");
    let [good, damaged] = [&path, &damaged].map(|path| path.to_str().expect("UTF-8"));
    let output = tcplab(&["replay", "--json", "nowhere.pcap", damaged, good]);
    assert_eq!(output.status.code(), Some(2));
    let out = text(&output.stdout);
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for line in &lines {
        for field in ["file", "stream", "role", "mode", "verdict", "packet", "reason"] {
            assert!(line.get(field).is_some(), "no {field} in {line}");
        }
    }
    let verdicts: Vec<_> = lines.iter().map(|line| line["verdict"].as_str().expect("a verdict")).collect();
    assert_eq!(verdicts, ["error", "error", "pass"]);
    let files: Vec<_> = lines.iter().map(|line| line["file"].as_str().expect("a file")).collect();
    assert_eq!(files, ["nowhere.pcap", damaged, good]);
    let packets = Replay::open(&path).expect("a capture").packets();
    assert_eq!(lines[1]["packet"], packets, "the last one is damaged");
    assert!(lines[1]["reason"].as_str().is_some_and(|reason| reason.contains(damaged)));
    assert_eq!((&lines[2]["stream"], &lines[2]["packet"]), (&serde_json::json!(0), &serde_json::Value::Null));
}

#[cfg(feature = "cli")]
#[test]
fn a_file_torn_in_its_last_record_is_replayed_up_to_there_with_a_warning() {
    let lesson = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/data.pcapng");
    for (name, path) in [("echo", echo_capture("cli-whole.pcapng", "client")), ("data", lesson)] {
        let whole = fs::read(&path).expect("a capture");
        let packets = Replay::open(&path).expect("a capture").packets();
        let last_block = u32::from_le_bytes(*whole.last_chunk().expect("a length")) as usize;
        for lost in [1, 10, last_block - 1] {
            let torn = programs::scratch(&format!("cli-torn-{name}-{lost}.pcapng"));
            fs::write(&torn, &whole[..whole.len() - lost]).expect("a place for it");
            let file = torn.to_str().expect("UTF-8");
            let output = tcplab(&["replay", file]);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stdout));
            let warning = format!(
                "warning: read {file}, packet {packets}: the file ends in the middle of this record, as after kill -9; its {} \
                 bytes are not read",
                last_block - lost
            );
            assert!(said.contains(&warning), "{said}");
            assert_eq!(said.matches("warning").count(), 1, "{said}");
            assert!(text(&output.stdout).starts_with("pass"), "{}", text(&output.stdout));
        }
    }
}

/// A capture as a pcap file of raw IP, after a change of its packets.
fn rewritten(path: &Path, name: &str, mut change: impl FnMut(u64, &mut Vec<u8>)) -> PathBuf {
    let mut file = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 65_535, 101].map(u32::to_le_bytes).concat();
    let mut reader = Reader::open(path).expect("a capture");
    while let Some(record) = reader.next_record() {
        let record = record.expect("a record");
        let mut packet = record.packet.expect("a packet").to_vec();
        change(record.number, &mut packet);
        let (nanos, len) = (record.at.as_nanos(), packet.len() as u32);
        let words = [(nanos / 1_000_000_000) as u32, (nanos % 1_000_000_000) as u32, len, len];
        file.extend(words.map(u32::to_le_bytes).concat());
        file.extend(packet);
    }
    let path = programs::scratch(name);
    fs::write(&path, file).expect("a place for it");
    path
}

/// The sum of the pseudo-header of a TCP segment over IPv4: what a host writes that leaves the rest to its network card.
fn unfinished(packet: &[u8]) -> [u8; 2] {
    let words = packet[12..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>();
    let sum = words + 6 + (packet.len() as u32 - 20);
    (((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
}

#[cfg(feature = "cli")]
#[test]
fn wrong_checksums_are_warned_of_with_their_count_and_the_first_packet() {
    let path = echo_capture("cli-sums.pcapng", "client");
    let said = |path: &Path| {
        let output = tcplab(&["replay", path.to_str().expect("UTF-8")]);
        assert!(text(&output.stdout).starts_with("pass"), "{}", text(&output.stdout));
        text(&output.stderr)
    };
    assert!(!said(&rewritten(&path, "cli-sums-right.pcap", |_, _| {})).contains("warning"));

    let spoil = |number, packet: &mut Vec<u8>| packet[36] ^= if matches!(number, 3..=5) { 0x55 } else { 0 };
    let wrong = rewritten(&path, "cli-sums-wrong.pcap", spoil);
    let text = said(&wrong);
    let warning = format!("warning: {}: 3 segments have a wrong checksum, first packet 3: ", wrong.display());
    assert!(text.contains(&warning) && text.contains("(checksum offload)"), "{text}");
    assert_eq!(text.matches("warning").count(), 1, "{text}");

    let one = rewritten(&path, "cli-sums-one.pcap", |number, packet| packet[36] ^= u8::from(number == 5));
    assert!(said(&one).contains(": 1 segment has a wrong checksum, first packet 5: "));

    let offload = rewritten(&path, "cli-sums-offload.pcap", |_, packet| {
        if packet[12..16] == [192, 0, 2, 2] {
            let sum = unfinished(packet);
            packet[36..38].copy_from_slice(&sum);
        }
    });
    let text = said(&offload);
    assert!(
        text.contains("segments have an unfinished checksum, first packet 1: the host that took the capture"),
        "{text}"
    );
    assert_eq!(text.matches("warning").count(), 1, "{text}");

    // The IPv4 header has one too.
    let header = rewritten(&path, "cli-sums-header.pcap", |number, packet| packet[10] ^= u8::from(number == 2));
    assert!(said(&header).contains(": 1 segment has a wrong checksum, first packet 2: "));
}

#[cfg(feature = "cli")]
#[test]
fn todays_server_stands_in_for_the_recorded_one() {
    let settings = || http::HttpSettings::new(http::Source::Size(3_000));
    let server = async move |net| drop(http::server(net, Listen::new(addr(80)), settings()).await);
    let path = record("cli-http.pcapng", "client", server, async |net| {
        let stream = TcpStream::connect(&net, addr(80)).await.expect("it listens");
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("sent");
        stream.read_to_end(&mut Vec::new()).await.expect("an answer");
    });
    let file = path.to_str().expect("UTF-8");
    // It was recorded on port 80 and listens on 8080 today.
    let same = tcplab(&["replay", "--app", "http", "--size", "3000", file]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stdout));
    assert!(text(&same.stdout).contains(" server semantic "), "{}", text(&same.stdout));
    let other = tcplab(&["replay", "--app", "http", "--size", "3001", file]);
    assert_eq!(other.status.code(), Some(1), "{}", text(&other.stdout));
    assert!(text(&other.stdout).contains("bytes of our side: at offset "), "{}", text(&other.stdout));
    let wrong = tcplab(&["replay", "--app", "http", "--role", "client", file]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("leave out --role"), "{}", text(&wrong.stderr));
}

#[cfg(feature = "cli")]
#[test]
fn what_the_stack_did_is_written_for_wireshark() {
    let path = echo_capture("cli-write.pcapng", "server");
    let out = programs::scratch("cli-replayed.pcapng");
    let [file, out] = [&path, &out].map(|path| path.to_str().expect("UTF-8"));
    assert_eq!(tcplab(&["replay", "-w", out, file]).status.code(), Some(0));
    let count = |path: &str| {
        let mut reader = Reader::open(path).expect("a capture");
        let mut directions = Vec::new();
        while let Some(record) = reader.next_record() {
            directions.push(record.expect("a record").direction);
        }
        directions
    };
    assert_eq!(count(out), count(file), "the same packets, of the same directions");
    let again = Replay::open(out).expect("a capture").role(Role::Both).run().expect("nothing is written");
    again.assert_pass();
}

#[test]
fn a_file_without_a_conversation_is_skipped_and_that_is_no_pass() {
    let path = programs::scratch("empty.pcapng");
    Settings::default().create(&path).expect("a place for it").close().expect("written");
    let report = Replay::open(&path).expect("a capture").run().expect("nothing is written");
    assert_eq!((report.outcomes[0].verdict, report.passed()), (Verdict::Skipped, false));
    assert_eq!(report.outcomes[0].reason, "no TCP conversation among 0 packets");
    #[cfg(feature = "cli")]
    assert_eq!(tcplab(&["replay", path.to_str().expect("UTF-8")]).status.code(), Some(1));
}

/// Copies of one conversation, each from a port of its own.
fn many(count: u16) -> Vec<u8> {
    let mut reader = Reader::open(echo_capture(&format!("many-{count}.pcapng"), "client")).expect("a capture");
    let mut packets = Vec::new();
    while let Some(record) = reader.next_record() {
        let record = record.expect("a record");
        packets.push((record.at, record.direction, record.packet.expect("a packet").to_vec()));
    }
    let path = programs::scratch(&format!("many-{count}-out.pcap"));
    let mut capture = Settings::default().format(Format::Pcap).create(&path).expect("a place for it");
    for nth in 0..count {
        for (at, direction, bytes) in &packets {
            let mut bytes = bytes.clone();
            // The client's port: the source of what it sends. Checksums of a semantic replay are not looked at.
            let to_client = bytes[16..20] == [192, 0, 2, 2];
            let place = if to_client { 22 } else { 20 };
            bytes[place..place + 2].copy_from_slice(&(10_000 + nth).to_be_bytes());
            capture.packet(*at, *direction, &bytes, None);
        }
    }
    capture.close().expect("written");
    fs::read(path).expect("written a moment ago")
}

#[test]
fn a_file_may_hold_a_thousand_conversations() {
    let report = Replay::from_read(Cursor::new(many(1_000)), "many.pcap").expect("a capture").run().expect("run");
    assert_eq!((report.outcomes.len(), report.count(Verdict::Pass)), (1_000, 1_000));
    assert!(report.outcomes.iter().enumerate().all(|(nth, outcome)| outcome.stream == Some(nth)));
    let one = Replay::from_read(Cursor::new(many(3)), "many.pcap").expect("a capture").stream(2).run().expect("run");
    assert_eq!((one.outcomes.len(), one.outcomes[0].stream), (1, Some(2)));
    let none = Replay::from_read(Cursor::new(many(3)), "many.pcap").expect("a capture").stream(3).run().expect("run");
    assert_eq!(none.outcomes[0].reason, "there is no stream 3: 3 in the file, from 0");
    assert_eq!((none.outcomes.len(), none.outcomes[0].verdict), (1, Verdict::Error));
}

#[test]
fn a_stream_that_is_not_in_a_capture_with_a_recipe_is_an_error_though_the_recipe_gives_the_same_bytes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/captures/hello.pcapng");
    let report = |stream| Replay::open(path).expect("a capture").stream(stream).run().expect("run");
    assert_eq!(report(0).outcomes[0].verdict, Verdict::Pass);
    let none = report(1);
    assert_eq!((none.outcomes.len(), none.outcomes[0].verdict), (1, Verdict::Error));
    assert_eq!(none.outcomes[0].reason, "there is no stream 1: 1 in the file, from 0");
}

#[cfg(feature = "cli")]
#[test]
fn a_stream_beyond_the_last_one_is_a_wrong_use() {
    let path = echo_capture("cli-stream.pcapng", "client");
    let file = path.to_str().expect("UTF-8");
    assert_eq!(tcplab(&["replay", "--stream", "0", file]).status.code(), Some(0));
    for stream in ["1", "9"] {
        let output = tcplab(&["replay", "--stream", stream, file]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
        let message = text(&output.stderr);
        let expected = format!("error: {file}: there is no stream {stream}: 1 in the file, from 0\n");
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn a_directory_of_captures_is_a_test_for_each_and_an_empty_one_a_failure() {
    let dir = programs::scratch("test-dir");
    fs::create_dir_all(dir.join("deeper")).expect("a place for it");
    fs::copy(echo_capture("dir.pcapng", "client"), dir.join("deeper/echo.pcapng")).expect("copied");
    fs::write(dir.join("bad.pcap"), b"no capture").expect("written");
    fs::write(dir.join("notes.txt"), b"not looked at").expect("written");
    let trials = TestDir::new(&dir).trials();
    let names: Vec<_> = trials.iter().map(|trial| trial.name().to_owned()).collect();
    assert_eq!(names, ["bad.pcap", "deeper/echo.pcapng"]);
    let arguments = libtest_mimic::Arguments { quiet: true, ..Default::default() };
    let conclusion = libtest_mimic::run(&arguments, trials);
    assert_eq!((conclusion.num_passed, conclusion.num_failed), (1, 1));
    assert_eq!(TestDir::new(dir.join("deeper")).at_least(2).trials().len(), 2, "one too few is a failure of its own");
    assert_eq!(TestDir::new(dir.join("nowhere")).trials().len(), 1);
}

// ---- files that are none

fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(6) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        match rng.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.next_u32() as u8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 if at + 4 <= bytes.len() => {
                let word = [0, 1, 4, u32::MAX, 0x7fff_ffff, 0x8000_0000][rng.below(6) as usize];
                bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            }
            _ if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            _ => {}
        }
    }
}

/// Whatever a file holds: an error that names it, or a verdict.
#[test]
fn files_with_wrong_bits_give_an_error_or_a_verdict_and_never_a_panic() {
    let cases = std::env::var("TCPLAB_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(3_000);
    let mut seeds: Vec<_> =
        ["client", "server"].map(|at| fs::read(echo_capture(&format!("fuzz-{at}.pcapng"), at)).expect("it")).into();
    seeds.push(many(2));
    if let Some(corpus) = programs::shared("corpus/captures") {
        let mut files: Vec<_> =
            fs::read_dir(corpus).expect("readable").map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        let small = |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.len() < 20_000);
        seeds.extend(files.iter().filter(|path| small(path)).map(|path| fs::read(path).expect("readable")));
    }
    for case in 0..cases {
        let mut rng = Rng::new(case, "wrong bits in a replayed capture");
        let mut bytes = seeds[rng.below(seeds.len() as u64) as usize].clone();
        mutate(&mut bytes, &mut rng);
        let role = [Role::Near, Role::Both][rng.below(2) as usize];
        let mode = [Mode::Semantic, Mode::Strict][rng.below(2) as usize];
        match Replay::from_read(Cursor::new(bytes), "a.pcapng") {
            Ok(replay) => drop(replay.role(role).mode(mode).run().expect("nothing is written")),
            Err(ReplayError::Read(error)) => assert_eq!(error.file, "a.pcapng", "case {case}"),
            Err(other) => panic!("case {case}: {other}"),
        }
    }
}

/// A recipe names a lesson or holds a scenario; everything else in its place is an error, and nothing is run.
#[test]
fn a_hostile_recipe_is_an_error() {
    let recipes = [
        r#"{"tcplab":1,"scenario":"/etc/passwd","seed":1,"set":{},"at":"client"}"#,
        r#"{"tcplab":1,"scenario":"../../handshake","seed":1,"set":{},"at":"client"}"#,
        r#"{"tcplab":1,"scenario":"handshake","seed":1,"set":{},"at":"client","command":"true"}"#,
        r#"{"tcplab":1,"scenario":"no-such-lesson","seed":1,"set":{},"at":"client"}"#,
        r#"{"tcplab":1,"scenario":"handshake","seed":1,"set":{"hosts.client.file":"/dev/tty"},"at":"client"}"#,
        r#"{"tcplab":2,"scenario":"handshake","seed":1,"set":{},"at":"client"}"#,
        r#"{"tcplab":1"#,
    ];
    for recipe in recipes {
        let path = programs::scratch("hostile.pcapng");
        Settings::default().recipe(recipe).create(&path).expect("a place for it").close().expect("written");
        let report = Replay::open(&path).expect("a capture").run().expect("nothing is written");
        assert_eq!(report.outcomes[0].verdict, Verdict::Error, "{recipe}: {}", report.outcomes[0]);
        assert!(Path::new(&report.outcomes[0].file).ends_with("hostile.pcapng"));
        #[cfg(feature = "cli")]
        assert_eq!(tcplab(&["replay", path.to_str().expect("UTF-8")]).status.code(), Some(2), "{recipe}");
    }
}
