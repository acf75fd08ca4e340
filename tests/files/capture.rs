//! Captures of simulated runs: what their comments say, and what Wireshark, tcpdump and tcptrace make of them; and the
//! captures of others, read by us.
#![cfg(feature = "capture")]

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::common::golden;
use crate::lab;
use crate::lab::{lab, octets};
use crate::programs::{printed, run, scratch, shared};
use tcplab::app::{Listen, echo};
use tcplab::capture::{Capture, Comments, Direction, Format, Reader, Settings};
use tcplab::event::HostId;
use tcplab::link::FaultAction;
use tcplab::net::{TcpListener, TcpStream, UdpSocket};
use tcplab::segment::{IpView, Packet, Segment};
use tcplab::time::{Duration, Instant};

const PORT: u16 = 7;
const CLIENT: HostId = HostId(1);
const RECIPE: &str = r#"{"tcplab":1,"scenario":"test","seed":1,"set":{},"at":"client"}"#;

/// All records of a capture.
struct Row {
    at: Instant,
    bytes: Option<Vec<u8>>,
    original_len: u32,
    direction: Option<Direction>,
    comment: String,
}

#[track_caller]
fn rows(path: &Path) -> Vec<Row> {
    let mut reader = Reader::open(path).unwrap_or_else(|error| panic!("{error}"));
    let mut rows = Vec::new();
    while let Some(record) = reader.next_record() {
        let record = record.unwrap_or_else(|error| panic!("{error}"));
        rows.push(Row {
            at: record.at,
            bytes: record.packet.map(<[u8]>::to_vec),
            original_len: record.original_len,
            direction: record.direction,
            comment: record.comment.unwrap_or_default().to_owned(),
        });
    }
    rows
}

/// Time, direction, flags and comment of each packet.
fn told(path: &Path) -> String {
    let mut text = String::new();
    for row in rows(path) {
        let bytes = row.bytes.expect("IP");
        let ip = IpView::parse(&bytes).expect("a packet");
        let flags = Segment::parse(&ip).map_or("-".to_owned(), |segment| segment.flags.to_string());
        let arrow = if row.direction == Some(Direction::Outbound) { "->" } else { "<-" };
        let (millis, nanos) = (row.at.as_nanos() / 1_000_000, row.at.as_nanos() % 1_000_000);
        let _ = writeln!(text, "{millis:>6}.{nanos:06} ms {arrow} [{flags}] {}", row.comment);
    }
    text
}

/// Runs a program on the client, with an echo server at the other end, and captures at the client.
fn capture<T: 'static>(
    name: &str,
    line: &str,
    settings: Settings,
    prepare: impl FnOnce(&lab::Lab),
    program: impl AsyncFnOnce(tcplab::net::Net) -> T + 'static,
) -> std::path::PathBuf {
    let path = scratch(name);
    let lab = lab(1, line);
    prepare(&lab);
    let begun = settings.at(CLIENT).recipe(RECIPE).interface("client").create(&path).expect("a place for the file");
    let capture = lab.sim.observe(begun);
    lab.run(program);
    lab.sim.run_for(Duration::from_secs(130));
    capture.borrow_mut().close().expect("written");
    path
}

fn server() -> SocketAddr {
    SocketAddr::new("192.168.69.1".parse::<IpAddr>().unwrap(), PORT)
}

fn echoing(lab: &lab::Lab) {
    let address = lab.at(PORT);
    lab.server.spawn_daemon(move |net| echo::server(net, Listen::new(address)));
}

fn one_echo(name: &str, settings: Settings) -> std::path::PathBuf {
    capture(name, "delay=20ms", settings, echoing, async |net| {
        echo::client(net, server(), octets(3_000)).await.expect("echoed");
    })
}

fn bad_link(name: &str, settings: Settings) -> std::path::PathBuf {
    let prepare = |lab: &lab::Lab| {
        echoing(lab);
        // The first SYN|ACK, and data of the client: one in the midst of many, and one with nothing behind it.
        let mut answers = 0;
        lab.link.fault("server", move |_: Instant, _: &Packet| {
            answers += 1;
            if answers == 1 { FaultAction::Drop } else { FaultAction::Pass }
        });
        let mut data = 0;
        lab.link.fault("client", move |_: Instant, packet: &Packet| {
            data += u32::from(packet.bytes.len() > 500);
            if packet.bytes.len() > 500 && data == 4 { FaultAction::Drop } else { FaultAction::Pass }
        });
    };
    capture(name, "rate=10Mbit,delay=20ms", settings, prepare, async |net| {
        echo::client(net, server(), octets(30_000)).await.expect("echoed");
    })
}

#[test]
fn comments_tell_the_story_of_an_echo() {
    golden("capture/echo.txt", &told(&one_echo("echo.pcapng", Settings::default())));
}

#[test]
fn comments_tell_what_was_lost_and_sent_again() {
    golden("capture/lost.txt", &told(&bad_link("lost.pcapng", Settings::default())));
}

#[test]
fn full_comments_have_the_variables() {
    golden("capture/full.txt", &told(&one_echo("full.pcapng", Settings::default().comments(Comments::Full))));
}

#[test]
fn comments_tell_of_refusals_other_protocols_and_both_versions_of_ip() {
    let path = capture(
        "refused.pcapng",
        "delay=1ms",
        Settings::default(),
        |_| {},
        async |net| {
            TcpStream::connect(&net, server()).await.expect_err("nobody listens");
            let mut v6 = server();
            v6.set_ip("fd69::1".parse().unwrap());
            TcpStream::connect(&net, v6).await.expect_err("nobody listens");
            let socket = UdpSocket::bind(&net, "0.0.0.0:5000".parse().unwrap()).expect("a free port");
            socket.send_to(b"anybody?", server()).await.expect("sent");
        },
    );
    golden("capture/refused.txt", &told(&path));
}

#[test]
fn comments_tell_of_a_closed_window_and_of_keep_alive() {
    let prepare = |lab: &lab::Lab| {
        let address = lab.at(PORT);
        lab.server.spawn_daemon(async move |net| {
            let listener = TcpListener::bind(&net, address).expect("a free port");
            let (stream, _) = listener.accept().await.expect("a client");
            // Nothing is read for two seconds.
            net.sleep(Duration::from_secs(2)).await;
            let mut buffer = vec![0; 100_000];
            while stream.read(&mut buffer).await.expect("data") > 0 {}
        });
    };
    let path = capture("window.pcapng", "rate=100Mbit,delay=1ms", Settings::default(), prepare, async |net| {
        let stream = TcpStream::connect(&net, server()).await.expect("connected");
        stream.write_all(&octets(120_000)).await.expect("written");
    });
    let told = told(&path);
    for expected in ["the window closes", "zero-window probe", "window update: "] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
}

#[test]
fn wireshark_has_nothing_to_complain_of_and_shows_comments_and_directions() {
    for (name, path) in [
        ("echo", one_echo("clean-echo.pcapng", Settings::default())),
        ("cut", one_echo("clean-cut.pcapng", Settings::default().snaplen(64))),
        ("lost", bad_link("clean-lost.pcapng", Settings::default().comments(Comments::Full))),
    ] {
        let file = path.to_str().expect("a plain path");
        let complaints = "_ws.malformed || _ws.expert.severity >= \"Warning\" || tcp.checksum.status == \"Bad\"";
        // A loss is worth a warning ("previous segment not captured"): then only what is wrong with the file counts.
        let complaints = if name == "lost" { "_ws.malformed || tcp.checksum.status == \"Bad\"" } else { complaints };
        let checksums = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"];
        let arguments = [&["-n", "-2"], &checksums[..], &["-r", file, "-Y", complaints]].concat();
        let Some(complaints) = printed("tshark", &arguments) else { return };
        assert_eq!(complaints, "", "{name}");

        let fields = ["-n", "-r", file, "-T", "fields", "-e", "frame.packet_flags_direction", "-e", "frame.comment"];
        let shown = printed("tshark", &fields).expect("it was there a moment ago");
        let mut ours = String::new();
        for row in rows(&path) {
            let direction = if row.direction == Some(Direction::Inbound) { 1 } else { 2 };
            let _ = writeln!(ours, "0x{direction:08x}\t{}", row.comment);
        }
        assert_eq!(shown.replace("\t0x", "\n0x"), ours, "{name}");
    }
}

#[test]
fn capinfos_knows_the_recipe_the_resolution_and_the_order() {
    let path = one_echo("infos.pcapng", Settings::default());
    let Some(infos) = printed("capinfos", &[path.to_str().unwrap()]) else { return };
    for expected in ["Wireshark/... - pcapng", "nanoseconds (9)", RECIPE, "Raw IP", "Strict time order:   True"] {
        assert!(infos.contains(expected), "{expected}\n{infos}");
    }
    assert!(infos.contains("Number of interfaces in file: 1"), "{infos}");
}

#[test]
fn tcpdump_and_tcptrace_read_as_many_packets() {
    for name in ["count.pcapng", "count.pcap"] {
        let path = bad_link(name, Settings::default());
        let (file, count) = (path.to_str().unwrap(), rows(&path).len());
        assert!(count > 20);
        if let Some(lines) = printed("tcpdump", &["-nr", file]) {
            assert_eq!(lines.lines().count(), count, "{lines}");
        }
        if let Some(lines) = printed("tcptrace", &["-n", file]) {
            assert!(lines.contains(&format!("{count} packets seen, {count} TCP packets traced")), "{lines}");
        }
    }
}

#[test]
fn what_editcap_makes_of_a_capture_is_read_back() {
    let path = bad_link("before-editcap.pcapng", Settings::default());
    let before = rows(&path);
    for (format, unit) in [
        ("pcapng", 1),
        ("nsecpcap", 1),
        ("pcap", 1_000),
        ("modpcap", 1_000),
        ("nokiapcap", 1_000),
        ("rh6_1pcap", 1_000),
        ("suse6_3pcap", 1_000),
    ] {
        let converted = scratch(&format!("editcap-{format}"));
        let files = [path.to_str().unwrap(), converted.to_str().unwrap()];
        let Some(_) = printed("editcap", &["-F", format, files[0], files[1]]) else { return };
        let after = rows(&converted);
        assert_eq!(after.len(), before.len(), "{format}");
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before.at.as_nanos() / unit, after.at.as_nanos() / unit, "{format}");
            assert_eq!((&before.bytes, before.original_len), (&after.bytes, after.original_len), "{format}");
            if format == "pcapng" {
                assert_eq!((before.direction, &before.comment), (after.direction, &after.comment));
            }
        }
    }
}

#[test]
fn what_was_cut_to_64_bytes_is_read_with_its_length_on_the_wire() {
    let path = bad_link("before-cut.pcap", Settings::default().format(Format::Pcap));
    let by_editcap = scratch("editcap-s64.pcap");
    let files = [path.to_str().unwrap(), by_editcap.to_str().unwrap()];
    let ours = bad_link("cut-by-us.pcapng", Settings::default().snaplen(64));
    let mut cut = vec![ours];
    if printed("editcap", &["-F", "nsecpcap", "-s", "64", files[0], files[1]]).is_some() {
        cut.push(by_editcap);
    }
    let before = rows(&path);
    for path in cut {
        let after = rows(&path);
        assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(&after) {
            assert_eq!((before.at, before.original_len), (after.at, after.original_len));
            let (before, after) = (before.bytes.as_deref().unwrap(), after.bytes.as_deref().unwrap());
            assert!(before.starts_with(after) && after.len() == before.len().min(64));
        }
    }
}

#[test]
fn every_capture_of_the_corpus_is_read_with_the_packets_that_its_index_promises() {
    let Some(corpus) = shared("corpus/captures") else { return };
    let index = fs::read_to_string(corpus.join("INDEX.csv")).expect("the index");
    let mut files = 0;
    for line in index.lines().skip(1) {
        let fields: Vec<_> = line.split(',').collect();
        let path = corpus.join(fields[0]);
        let rows = rows(&path);
        assert_eq!(rows.len().to_string(), fields[3], "{}", fields[0]);
        let mut octets = 0;
        for (row, number) in rows.iter().zip(1..) {
            let bytes = row.bytes.as_ref().unwrap_or_else(|| panic!("{}: packet {number} is no IP", fields[0]));
            if bytes[2..4] == [0, 0] && bytes[0] >> 4 == 4 {
                // The length was left to the network card, and is not known to `IpView`.
                octets += bytes.len() - 40;
                continue;
            }
            let ip = IpView::parse(bytes).unwrap_or_else(|error| panic!("{}: packet {number}: {error}", fields[0]));
            octets += Segment::parse(&ip).map_or(0, |segment| segment.payload.len());
        }
        // No less than what both sides have sent; more where something was sent twice.
        let sent: usize = fields[4].parse::<usize>().unwrap() + fields[5].parse::<usize>().unwrap();
        assert!(octets >= sent, "{}: {octets} bytes, not {sent}", fields[0]);
        files += 1;
    }
    assert_eq!(files, 110);
}

#[test]
fn times_and_lengths_of_the_corpus_are_those_that_tshark_sees() {
    let Some(corpus) = shared("corpus/captures") else { return };
    for name in ["A468_zeek_irc-353_s1.pcap", "A423_tcpdump_print-flags_s0.pcap", "A484_zeek_port4242_s0.pcap"] {
        let path = corpus.join(name);
        let fields = ["-e", "frame.time_epoch", "-e", "ip.len", "-e", "ipv6.plen"];
        let arguments = [&["-n", "-r", path.to_str().unwrap(), "-T", "fields"], &fields[..]].concat();
        let Some(shown) = printed("tshark", &arguments) else { return };
        let mut ours = String::new();
        for row in rows(&path) {
            let v6 = row.bytes.expect("IP")[0] >> 4 == 6;
            let len = if v6 { format!("\t{}", row.original_len - 40) } else { format!("{}\t", row.original_len) };
            let _ = writeln!(ours, "{}\t{len}", row.at);
        }
        assert_eq!(shown, ours, "{name}");
    }
}

#[test]
fn a_stream_is_shown_by_tshark() {
    let path = one_echo("stream.pcapng", Settings::default());
    let Some(output) = run("tshark", &["-n", "-r", path.to_str().unwrap(), "-z", "conv,tcp", "-q"]) else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("192.168.69.1:7"), "{text}");
}

#[test]
fn a_path_that_cannot_be_written_is_named() {
    let error = Capture::create("/nowhere/x.pcapng").expect_err("there is no such directory").to_string();
    assert!(error.starts_with("create the capture /nowhere/x.pcapng: No such file or directory"), "{error}");
}

#[test]
fn full_comments_know_the_round_trip_time_the_timer_and_the_congestion_window() {
    let path = bad_link("numbers.pcapng", Settings::default().comments(Comments::Full));
    let rows = rows(&path);
    let ours = |row: &&Row| row.direction == Some(Direction::Outbound);
    let syn = rows.iter().find(ours).expect("a SYN");
    assert!(syn.comment.contains(" rto=1000ms ") && !syn.comment.contains("srtt"), "{}", syn.comment);
    let last = rows.iter().rfind(ours).expect("an ACK");
    for word in ["srtt=", "rttvar=", "rto=", "cwnd=", "ssthresh=", "flight_size="] {
        assert!(last.comment.contains(word), "no {word}: {}", last.comment);
    }
    let theirs = rows.iter().find(|row| row.direction == Some(Direction::Inbound)).expect("a SYN|ACK");
    assert!(theirs.comment.contains("flight_size=") && !theirs.comment.contains("rto="), "{}", theirs.comment);
    let brief = self::rows(&bad_link("no-numbers.pcapng", Settings::default()));
    assert_eq!(brief.len(), rows.len(), "who asks for numbers changes nothing");
    assert!(brief.iter().all(|row| !row.comment.contains("rto=")), "brief comments are brief");
}
