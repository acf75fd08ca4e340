//! `tcplab show`: captures of ours and of others as a ladder, as a table of connections, as sockets; what is read of the
//! files of tcpdump, dumpcap, editcap and ns-3 is what tshark reads.
#![cfg(feature = "cli")]

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::rc::Rc;

use crate::common::{golden, left_out};
use crate::lab::{lab, octets};
use crate::programs::{printed, run, scratch};
use tcplab::app::{Listen, echo};
use tcplab::capture::{Reader, Settings};
use tcplab::event::{Event, HostEvent, HostId, Observer, State};
use tcplab::link::FaultAction;
use tcplab::net::UdpSocket;
use tcplab::segment::{Flags, Packet, SegmentTemplate, Seq};
use tcplab::time::{Duration, Instant};
use tcplab::trace::{Content, Trace};

const CLIENT: HostId = HostId(1);
const PORT: u16 = 7;

fn tcplab(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcplab"));
    command.args(args).stdin(Stdio::null()).env_remove("NO_COLOR").env_remove("COLUMNS");
    command
}

fn show(args: &[&str]) -> Output {
    tcplab(&[&["show"], args].concat()).output().expect("it starts")
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).expect("UTF-8")
}

/// What a command that must succeed prints.
#[track_caller]
fn shown(args: &[&str]) -> String {
    let output = show(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Every state that the hosts come to, in order: of the server (host 0) and the client (host 1).
#[derive(Default)]
struct True([Vec<State>; 2]);

impl Observer for True {
    fn on_event(&mut self, _: Instant, event: &Event<'_>) {
        if let Event::Host { host, event: HostEvent::State { to, .. } } = event {
            self.0[host.0 as usize].push(*to);
        }
    }
}

/// An echo over a link, captured at the client: the third packet with data is lost, and a datagram that nobody wants is
/// answered.
fn echo_over(name: &str, line: &str, loses: bool) -> (PathBuf, Rc<RefCell<True>>) {
    let file = scratch(name);
    let lab = lab(1, line);
    let address = lab.at(PORT);
    lab.server.spawn_daemon(move |net| echo::server(net, Listen::new(address)));
    if loses {
        let mut data = 0;
        lab.link.fault("client", move |_: Instant, packet: &Packet| {
            data += u32::from(packet.bytes.len() > 500);
            if packet.bytes.len() > 500 && data == 3 { FaultAction::Drop } else { FaultAction::Pass }
        });
    }
    let states = lab.sim.observe(True::default());
    let settings = Settings::default().at(CLIENT).recipe(r#"{"tcplab":1}"#).interface("client");
    let capture = lab.sim.observe(settings.create(&file).expect("a place for the file"));
    lab.run(async move |net| {
        echo::client(net.clone(), address, octets(6_000)).await.expect("echoed");
        let socket = UdpSocket::bind(&net, "0.0.0.0:5000".parse().unwrap()).expect("a free port");
        socket.send_to(b"anybody?", address).await.expect("sent");
    });
    lab.sim.run_for(Duration::from_secs(130));
    capture.borrow_mut().close().expect("written");
    (file, states)
}

#[test]
fn a_capture_is_shown_as_a_ladder() {
    let (file, _) = echo_over("show-lost.pcapng", "rate=10Mbit,delay=20ms", true);
    let ladder = shown(&[path(&file)]);
    golden("show/lost.txt", &ladder);
    assert!(ladder.contains("─✗  ") && ladder.contains("UDP from port 5000"), "{ladder}");
    assert!(ladder.lines().all(|line| line.chars().count() <= 80 && line == line.trim_end()), "{ladder}");
    assert_eq!(shown(&["--color", "never", path(&file)]), ladder);
    let painted = shown(&["--color", "always", path(&file)]);
    assert!(painted.contains("\x1b[31m") && painted.contains("\x1b[2m"), "{painted}");
    let plain = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[35m", "\x1b[36m"]
        .iter()
        .fold(painted, |text, code| text.replace(code, ""));
    assert_eq!(plain, ladder, "colour changes nothing else");
}

#[test]
fn connections_and_sockets_are_shown_as_tables() {
    let (file, _) = echo_over("show-tables.pcapng", "rate=10Mbit,delay=20ms", true);
    let file = path(&file);
    golden("show/tables.txt", &shown(&["--flows", "--fds", file]));
    let output = show(&["--fds", file]);
    assert!(text(&output.stderr).contains("the sockets of 192.168.69.2"), "{}", text(&output.stderr));
    assert_eq!(text(&show(&["-q", "--fds", file]).stderr), "");
}

#[test]
fn a_server_without_directions_has_a_listener() {
    let (file, _) = echo_over("show-server.pcapng", "delay=1ms", false);
    let pcap = scratch("show-server.pcap");
    let Some(_) = printed("editcap", &["-F", "nsecpcap", path(&file), path(&pcap)]) else { return };
    let table = shown(&["--fds", path(&pcap)]);
    assert!(table.starts_with("3 LISTEN 192.168.69.1:7\n4 CLOSED 192.168.69.1:7 ↔ 192.168.69.2:"), "{table}");
}

#[test]
fn json_has_one_object_for_each_packet_connection_and_descriptor() {
    let (file, _) = echo_over("show-json.pcapng", "rate=10Mbit,delay=20ms", true);
    let file = path(&file);
    let objects = |args: &[&str]| -> Vec<serde_json::Value> {
        let text = shown(args);
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
    };
    let packets = objects(&["--json", file]);
    assert_eq!(packets[0]["flags"], "SYN");
    assert_eq!(packets[0]["states"], serde_json::json!(["SYN-SENT", null]));
    assert_eq!((&packets[1]["seq"], &packets[1]["ack"]), (&0.into(), &1.into()));
    for (packet, number) in packets.iter().zip(1..) {
        assert_eq!(packet["number"], number);
        for field in ["at", "len", "comment"] {
            assert!(packet.get(field).is_some(), "{packet}");
        }
    }
    let flows = objects(&["--json", "--flows", file]);
    assert_eq!(flows.len(), 1);
    let flow = &flows[0];
    assert_eq!((&flow["stream"], &flow["close"]), (&0.into(), &"closed".into()), "{flow}");
    assert_eq!(flow["closed_by"], 0, "{flow}");
    assert_eq!(flow["bytes"][1], 6_000, "{flow}");
    assert!(flow["bytes"][0].as_u64() > Some(6_000) && flow["retransmissions"][0].as_u64() > Some(0), "{flow}");
    assert_eq!(objects(&["--json", "--fds", file])[0]["kind"], "TCP");
    assert_eq!(objects(&["--json", "-c", "4", file]).len(), 4);
}

#[test]
fn states_are_inferred_as_the_hosts_tell_them() {
    for (line, loses) in [("delay=20ms", false), ("rate=10Mbit,delay=20ms", true)] {
        let (file, states) = echo_over("show-states.pcapng", line, loses);
        let mut reader = Reader::open(&file).expect("a capture");
        let mut trace = Trace::new();
        let mut inferred: [Vec<State>; 2] = Default::default();
        while let Some(record) = reader.next_record() {
            trace.record(&record.expect("a record"), true);
            let mut steps = std::iter::from_fn(|| trace.next_step());
            let segment = steps.find_map(|step| match step.content {
                Content::Segment(segment) => Some(segment),
                _ => None,
            });
            let Some(segment) = segment else { continue };
            // The left end is the client, host 1.
            for (host, state) in [(1, segment.states[0]), (0, segment.states[1])] {
                if let Some(state) = state.filter(|state| inferred[host].last() != Some(state)) {
                    inferred[host].push(state);
                }
            }
        }
        let mut known = states.borrow().0.clone();
        // No packet tells that somebody listens, or that TIME-WAIT is over.
        for states in &mut known {
            states.retain(|state| *state != State::Listen);
        }
        assert_eq!(known[1].pop(), Some(State::Closed));
        assert_eq!(inferred, known, "{line}");
    }
}

#[test]
fn a_file_that_is_cut_off_is_shown_as_far_as_it_goes() {
    let (file, _) = echo_over("show-whole.pcapng", "delay=1ms", false);
    let bytes = fs::read(&file).expect("written a moment ago");
    let whole = shown(&[path(&file)]);
    let cut = scratch("show-cut.pcapng");
    fs::write(&cut, &bytes[..bytes.len() - 7]).expect("a place for it");
    let output = show(&[path(&cut)]);
    let (ladder, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(ladder.len() > 1_000 && whole.starts_with(&ladder), "{ladder}");
    let count = said.split(" packets").next().expect("a number").parse::<u64>().expect("a number");
    let warning = format!("warning: read {}, packet {}: the file ends in the middle", path(&cut), count + 1);
    assert!(said.contains(&warning) && !said.contains("error"), "{said}");
    // The tables too are those of what could be read.
    assert_eq!(text(&show(&["--flows", path(&cut)]).stdout).matches("\n#").count(), 1);
}

#[test]
fn what_is_no_capture_is_named() {
    let junk = scratch("show-junk.pcap");
    fs::write(&junk, "this is not a capture\n").expect("a place for it");
    let empty = scratch("show-empty.pcap");
    fs::write(&empty, "").expect("a place for it");
    for (file, words) in [
        (path(&junk), "neither pcap nor pcapng"),
        (path(&empty), "the file is empty"),
        ("/no/such/file.pcap", "No such file"),
    ] {
        let output = show(&[file]);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{said}");
        assert!(said.contains(&format!("error: read {file}")) && said.contains(words), "{said}");
    }
}

#[test]
fn standard_input_is_read_and_shown_while_it_comes() {
    let (file, _) = echo_over("show-stdin.pcapng", "delay=1ms", false);
    let bytes = fs::read(&file).expect("written a moment ago");
    let mut child = tcplab(&["show", "-"]);
    let mut child =
        child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let (mut to, mut from) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    to.write_all(first).expect("a pipe");
    // Half of the file is enough for the first line; the rest is not written before it has come.
    let mut begin = vec![0; 100];
    from.read_exact(&mut begin).expect("the beginning of the ladder");
    to.write_all(rest).expect("a pipe");
    drop(to);
    let mut end = Vec::new();
    from.read_to_end(&mut end).expect("a pipe");
    assert_eq!(child.wait().expect("a child").code(), Some(0));
    assert_eq!(text(&[begin, end].concat()), shown(&[path(&file)]));
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let file = scratch("show-long.pcapng");
    let mut capture = Settings::default().create(&file).expect("a place for it");
    let ends = ["192.0.2.1:1", "192.0.2.2:2"].map(|end| end.parse().unwrap());
    for nth in 0..20_000 {
        let template = SegmentTemplate { seq: Seq(nth), flags: Flags::ACK, ..SegmentTemplate::new(ends[0], ends[1]) };
        capture.packet(Instant::from_millis(u64::from(nth)), None, &template.to_bytes(), None);
    }
    capture.close().expect("written");
    let mut child = tcplab(&["show", path(&file)]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut begin = vec![0; 100];
    child.stdout.take().expect("a pipe").read_exact(&mut begin).expect("the beginning");
    let output = child.wait_with_output().expect("a child");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

/// Number, time, frame length and captured length of each packet, as tshark and as we read them.
#[track_caller]
fn same_as_tshark(file: &Path) -> Option<usize> {
    let fields = ["frame.number", "frame.time_epoch", "frame.len", "frame.cap_len"];
    let fields = fields.map(|field| ["-e", field]).concat();
    let theirs = printed("tshark", &[&["-n", "-r", path(file), "-T", "fields"], &fields[..]].concat())?;
    let mut reader = Reader::open(file).unwrap_or_else(|error| panic!("{error}"));
    let mut ours = String::new();
    while let Some(record) = reader.next_record() {
        let record = record.unwrap_or_else(|error| panic!("{error}"));
        let (number, at) = (record.number, record.at);
        let _ = writeln!(ours, "{number}\t{at}\t{}\t{}", record.frame_len, record.frame_captured_len);
    }
    assert!(theirs == ours, "{}: tshark reads\n{theirs}and we read\n{ours}", file.display());
    Some(ours.lines().count())
}

#[test]
fn every_format_of_editcap_is_read_right_or_refused_with_the_way_out() {
    let (file, _) = echo_over("show-formats.pcapng", "rate=10Mbit,delay=20ms", true);
    // editcap names its formats on either output, and fails.
    let Some(list) = run("editcap", &["-F"]) else { return };
    let list = text(&[list.stdout, list.stderr].concat());
    let formats: Vec<_> = list.lines().filter_map(|line| line.trim().split_once(" - ")).map(|(name, _)| name).collect();
    assert!(formats.len() > 20, "{list}");
    let (mut read, mut refused) = (Vec::new(), Vec::new());
    // Some formats have no raw IP: they are tried with Ethernet too.
    let ethernet = scratch("show-formats-ethernet.pcap");
    let dump = printed("tshark", &["-n", "-r", path(&file), "-x"]).expect("it is installed with editcap");
    let hex = scratch("show-formats.hex");
    fs::write(&hex, dump).expect("a place for it");
    printed("text2pcap", &["-q", "-e", "0x800", "-F", "nsecpcap", path(&hex), path(&ethernet)]);
    for format in formats {
        for source in [&file, &ethernet] {
            let converted = scratch(&format!("show-format-{format}"));
            let _ = fs::remove_file(&converted);
            let output = run("editcap", &["-F", format, path(source), path(&converted)]).expect("it was there");
            if !output.status.success() {
                continue;
            }
            if format.contains("pcap") {
                // tshark does not recognize every file that its own family has written.
                if run("tshark", &["-n", "-r", path(&converted)]).is_some_and(|output| output.status.success()) {
                    assert!(same_as_tshark(&converted).expect("tshark is there") > 10, "{format}");
                } else {
                    assert_eq!(format, "rh6_1pcap");
                }
                let (before, after) = (shown(&[path(source)]), shown(&[path(&converted)]));
                assert!(after.contains("SYN 0:1") && after.contains("retransmission of 2897"), "{format}\n{after}");
                assert_eq!(before.matches('#').count(), after.matches('#').count(), "{format}");
                read.push(format);
            } else {
                let output = show(&[path(&converted)]);
                let said = text(&output.stderr);
                assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{format}: {said}");
                assert!(said.contains("editcap -F pcapng FILE NEW.pcapng"), "{format}: {said}");
                let named = [("snoop", "Sun snoop"), ("ngsniffer", "Sniffer (DOS)"), ("netmon2", "Microsoft NetMon 2")];
                let name = named.iter().find(|(known, _)| *known == format).map_or("", |(_, name)| name);
                assert!(said.contains(name), "{format}: {said}");
                refused.push(format);
            }
        }
    }
    for format in ["pcap", "pcapng", "nsecpcap", "modpcap", "nokiapcap", "rh6_1pcap", "suse6_3pcap"] {
        assert!(read.contains(&format), "{format}: {read:?}");
    }
    for format in ["snoop", "netmon2", "ngsniffer", "lanalyzer"] {
        assert!(refused.contains(&format), "{format}: {refused:?}");
    }
}

#[test]
fn link_layers_of_others_are_read_as_tshark_reads_them() {
    let (file, _) = echo_over("show-layers.pcapng", "delay=1ms", false);
    // What editcap says of the link layer is believed by every reader: only those whose frames are IP packets can be
    // made from ours.
    for layer in ["rawip", "rawip4"] {
        let converted = scratch(&format!("show-layer-{layer}.pcap"));
        let Some(_) = printed("editcap", &["-F", "nsecpcap", "-T", layer, path(&file), path(&converted)]) else {
            return;
        };
        same_as_tshark(&converted);
        assert!(shown(&[path(&converted)]).contains("SYN 0:1"), "{layer}");
    }
}

/// A capture as ns-3 writes it (`PointToPointHelper::EnablePcap`): pcap with microseconds, link type 9, two bytes of
/// PPP in front of each packet, no checksums, no MSS option.
fn ns3_file() -> PathBuf {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 9] {
        bytes.extend(word.to_le_bytes());
    }
    let ends = ["10.0.0.1:49153", "10.0.0.2:80"].map(|end| end.parse().unwrap());
    let syn_ack = Flags::SYN | Flags::ACK;
    let steps: [(usize, Flags, u32, u32, usize, u32); 7] = [
        (0, Flags::SYN, 0, 0, 0, 0),
        (1, syn_ack, 0, 1, 0, 2_000),
        (0, Flags::ACK, 1, 1, 0, 2_000),
        (0, Flags::ACK, 1, 1, 1_024, 2_001),
        (1, Flags::FIN | Flags::ACK, 1, 1_025, 20, 4_094),
        (0, Flags::FIN | Flags::ACK, 1_025, 22, 0, 4_094),
        (1, Flags::ACK, 22, 1_026, 0, 6_095),
    ];
    for (from, flags, seq, ack, len, micros) in steps {
        let payload = vec![0; len];
        let mut template = SegmentTemplate::new(ends[from], ends[1 - from]);
        (template.flags, template.seq, template.ack) = (flags, Seq(seq), Seq(ack));
        template.payload = &payload;
        template.window = if flags.contains(Flags::SYN) { 65_535 } else { 512 };
        if flags.contains(Flags::SYN) {
            (template.options.wscale, template.options.sack_permitted) = (Some(7), true);
        }
        let mut packet = template.to_bytes();
        packet[10..12].fill(0);
        packet[36..38].fill(0);
        let len = packet.len() as u32 + 2;
        for word in [0, micros, len, len] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend([0x00, 0x21]);
        bytes.extend(packet);
    }
    let file = scratch("show-ns3.pcap");
    fs::write(&file, bytes).expect("a place for it");
    file
}

#[test]
fn a_file_of_ns_3_is_shown() {
    let file = ns3_file();
    golden("show/ns3.txt", &shown(&[path(&file)]));
    same_as_tshark(&file);
}

#[test]
fn tcpdump_and_dumpcap_beside_the_host_are_read_as_tshark_reads_them() {
    if !possible() {
        return;
    }
    let dir = scratch("show-live");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("a directory");
    for program in ["tcpdump", "dumpcap", "curl"] {
        if run(program, &["--version"]).is_none() {
            return;
        }
    }
    // In the sandbox of `serve`: nothing of the machine is seen. Two interfaces for dumpcap, each with its own block.
    let line = "tcpdump -i tcplab0 -s 64 -U -Z root --time-stamp-precision=nano -w cut.pcap 2>tcpdump.txt & one=$!
        tcpdump -i tcplab0 -U -Z root -w micro.pcap 2>tcpdump-micro.txt & two=$!
        dumpcap -q -i tcplab0 -i lo -w two.pcapng 2>dumpcap.txt & three=$!
        n=0; while [ $n -lt 500 ]; do
            [ -s cut.pcap ] && [ -s micro.pcap ] && [ -s two.pcapng ] && break; sleep 0.02; n=$((n + 1))
        done
        sleep 0.2
        curl -sS --max-time 20 -o /dev/null http://192.168.69.1:8080/x; echo hello | nc -w 1 127.0.0.1 9
        n=0; while [ $n -lt 500 ]; do
            [ $(wc -c <cut.pcap) -gt 700 ] && [ $(wc -c <micro.pcap) -gt 20000 ] && [ $(wc -c <two.pcapng) -gt 20000 ] &&
                break; sleep 0.02; n=$((n + 1))
        done
        kill -INT $one $two $three; wait $one $two $three; true";
    // tcpdump changes its user, for which COMMAND has no capability. So it joins the namespace from outside.
    let wait = "touch ready; n=0; until [ -e done ] || [ $n -gt 3000 ]; do sleep 0.02; n=$((n + 1)); done";
    let mut serve = tcplab(&["serve", "http", "--size", "20000", "-w", "own.pcapng", "--", "sh", "-c", wait]);
    let serve = serve.current_dir(&dir).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let began = std::time::Instant::now();
    while !dir.join("ready").exists() {
        assert!(began.elapsed().as_secs() < 60, "COMMAND does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = serve.id().to_string();
    let mut join = Command::new("nsenter");
    join.args(["-t", &pid, "-n"]);
    if printed("id", &["-u"]).is_some_and(|id| id.trim() != "0") {
        join.args(["-U", "--preserve-credentials"]);
    }
    let joined = join.args(["timeout", "60", "sh", "-c", line]).current_dir(&dir).output().expect("nsenter starts");
    fs::write(dir.join("done"), "").expect("a file");
    assert_eq!(joined.status.code(), Some(0), "{}", text(&joined.stderr));
    let output = serve.wait_with_output().expect("a child");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for (file, tcp) in [("cut.pcap", true), ("micro.pcap", true), ("two.pcapng", true), ("own.pcapng", true)] {
        let file = dir.join(file);
        let count = same_as_tshark(&file);
        let said: String = ["tcpdump.txt", "tcpdump-micro.txt", "dumpcap.txt"]
            .iter()
            .map(|name| fs::read_to_string(dir.join(name)).unwrap_or_default())
            .collect();
        assert!(count.is_none_or(|count| count >= 8), "{}: {count:?}\n{said}", file.display());
        let ladder = shown(&[path(&file)]);
        assert_eq!(ladder.contains("SYN|ACK 0:1 ack 1"), tcp, "{}\n{ladder}", file.display());
        // Lengths are those on the wire, also where 64 bytes of each packet were kept.
        let flows = shown(&["--json", "--flows", path(&file)]);
        let flows: Vec<serde_json::Value> =
            flows.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
        // The left end is the client, also where dumpcap writes what two interfaces see in another order.
        let http = flows.iter().find(|flow| flow["ends"][1] == "192.168.69.1:8080").expect("a connection");
        assert!(http["bytes"][1].as_u64() > Some(20_000), "{}: {http}", file.display());
    }
}

#[test]
fn full_comments_of_a_live_host_know_the_sender() {
    if !possible() || run("curl", &["--version"]).is_none() {
        return;
    }
    let file = scratch("show-live-full.pcapng");
    let serve = ["serve", "http", "--size", "100000", "--comments", "full", "-w", path(&file), "--"];
    let curl = ["curl", "-sS", "--max-time", "20", "-o", "/dev/null", "http://192.168.69.1:8080/"];
    let output = tcplab(&[&serve[..], &curl[..]].concat()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let json = shown(&["--json", path(&file)]);
    let data = |line: &&str| line.contains("\"from\":1") && line.contains("\"payload\":1448");
    let words = ["srtt=", "rttvar=", "rto=", "cwnd=", "flight_size="];
    let sent: Vec<_> = json.lines().filter(data).collect();
    assert!(!sent.is_empty() && sent.iter().all(|line| words.iter().all(|word| line.contains(word))), "{json}");
}

/// True if this machine has sandboxes with a TUN device in them.
fn possible() -> bool {
    let possible = cfg!(all(feature = "live", target_os = "linux"))
        && tcplab(&["doctor"]).output().expect("it starts").status.code() == Some(0);
    if !possible {
        left_out("tcpdump and dumpcap beside the host on a TUN device", "`tcplab doctor` says what to do");
    }
    possible
}
