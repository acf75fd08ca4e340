//! The command on a TUN device: programs of the real kernel talk to the userspace host, in a private network namespace.
//! Each test runs the binary, since a process with threads cannot enter one. Nothing outside of it is touched.
#![cfg(all(feature = "live", feature = "cli", target_os = "linux"))]

#[path = "common/checker.rs"]
mod checker;
mod common;
#[path = "live/crowd.rs"]
mod crowd;
#[path = "live/endings.rs"]
mod endings;
#[path = "live/floods.rs"]
mod floods;
#[path = "live/links.rs"]
mod links;
#[path = "live/peers.rs"]
mod peers;
#[path = "live/places.rs"]
mod places;
#[path = "common/programs.rs"]
mod programs;
#[path = "live/speed.rs"]
mod speed;
#[path = "live/strangers.rs"]
mod strangers;

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::left_out;
use programs::printed;
use tcplab::capture::Reader;
use tcplab::segment::{IpView, Segment, Seq};

/// How long any run may take.
const LIMIT: Duration = Duration::from_mins(1);
/// A client that fills our receive window is in its right, and so is a host that says that it is full, though Wireshark
/// warns of both: which of the two real programs is faster decides the machine, not the stack. It also warns of a
/// checksum of 0xffff, which is how the kernel writes zero: one segment in 65,536 has it.
const WARNINGS: &str = "(_ws.malformed || _ws.expert.severity >= \"Warning\" || tcp.checksum.status == \"Bad\" || \
                        ip.checksum.status == \"Bad\") && !tcp.analysis.window_full && \
                        !tcp.analysis.zero_window && !tcp.checksum.ffff";

/// True if this machine has sandboxes with a TUN device in them.
fn possible() -> bool {
    static POSSIBLE: OnceLock<bool> = OnceLock::new();
    let possible = *POSSIBLE.get_or_init(|| tcplab(&["doctor"]).output().expect("it starts").status.code() == Some(0));
    if !possible {
        left_out("the host on a TUN device", "`tcplab doctor` says what to do");
    }
    possible
}

/// True if every number of the issue is to be measured whole, as `make figures` does.
fn figures() -> bool {
    std::env::var("TCPLAB_FIGURES").is_ok_and(|value| value == "whole")
}

/// True if the programs are there.
fn installed(programs: &[&str]) -> bool {
    let found = |program: &&&str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file())
    };
    let missing: Vec<_> = programs.iter().filter(|program| !found(program)).collect();
    for program in &missing {
        left_out(&format!("the host on a TUN device with {program}"), "make deps");
    }
    missing.is_empty()
}

fn tcplab(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcplab"));
    command.args(args).stdin(Stdio::null()).env_remove("NO_COLOR");
    command
}

/// Runs it, for a bounded time.
#[track_caller]
fn run(args: &[&str]) -> Output {
    finish(tcplab(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"))
}

/// Waits for the end, for a bounded time.
#[track_caller]
fn finish(mut child: Child) -> Output {
    fn all(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
        std::thread::spawn(move || {
            let mut octets = Vec::new();
            if let Some(mut stream) = stream {
                stream.read_to_end(&mut octets).expect("a pipe");
            }
            octets
        })
    }
    let (stdout, stderr) = (all(child.stdout.take()), all(child.stderr.take()));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if began.elapsed() > LIMIT {
            let _ = child.kill();
            panic!("it has not ended within {LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Output { status, stdout: stdout.join().expect("read"), stderr: stderr.join().expect("read") }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Runs a shell line beside the server; it must succeed. Gives what it printed.
#[track_caller]
fn beside(serve: &[&str], line: &str) -> String {
    let output = run(&[&["serve"], serve, &["--", "sh", "-c", line]].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{serve:?} -- {line}\n{}{said}", text(&output.stdout));
    assert!(said.starts_with("path: tun tcplab0\n"), "{said}");
    text(&output.stdout)
}

/// A directory of its own for each test.
fn place(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live").join(name);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).expect("a directory");
    place
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Has tshark and tcpdump read a capture: no warning, every connection whole, a comment on each packet, and as many
/// packets as our own reader finds. Gives their number.
#[track_caller]
fn clean(capture: &Path, completeness: &str) -> Option<usize> {
    let mut reader = Reader::open(capture).expect("a capture");
    let mut packets = 0;
    while let Some(record) = reader.next_record() {
        let record = record.expect("a whole record");
        assert!(
            record.comment.is_some_and(|comment| !comment.is_empty()),
            "packet {} without a comment",
            record.number
        );
        packets += 1;
    }
    let capture = path(capture);
    let checks = ["-n", "-2", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-r", capture];
    let filter = format!("({WARNINGS}) || (tcp && tcp.completeness != {completeness}) || !frame.comment");
    let bad = printed("tshark", &[&checks[..], &["-Y", &filter]].concat())?;
    let excused = if bad.is_empty() { Vec::new() } else { answers_to_probes(Path::new(capture)) };
    let number = |line: &str| line.split_whitespace().next().and_then(|number| number.parse().ok());
    let bad = bad.lines().filter(|line| number(line).is_none_or(|number| !excused.contains(&number)));
    let bad: Vec<_> = bad.take(5).collect();
    assert!(bad.is_empty(), "{capture}: {bad:#?}");
    let listed = printed("tcpdump", &["-n", "-r", capture])?;
    assert_eq!(listed.lines().count(), packets, "{capture}");
    assert!(listed.contains(" Flags [S], "), "{capture}: no connection in it");
    Some(packets)
}

/// The numbers of the packets that are DSACKs for a needless loss probe, where no ACK was on its way when the probe left.
/// Linux delays the ACK of everything while the program does not read, and a machine under load lets it wait. RFC 8985,
/// section 7.3, asks for the probe then. If an ACK had lain unread, it would stand between the probe and the DSACK.
fn answers_to_probes(capture: &Path) -> Vec<u64> {
    let mut reader = Reader::open(capture).expect("a capture");
    let mut last: HashMap<(SocketAddr, SocketAddr), (Seq, Seq)> = HashMap::new();
    let mut answers = Vec::new();
    while let Some(record) = reader.next_record() {
        let record = record.expect("a whole record");
        let Some(Ok(segment)) = record.packet.and_then(|packet| Some(Segment::parse(&IpView::parse(packet).ok()?)))
        else {
            continue;
        };
        let dsack = segment.options.sack_blocks().next().filter(|block| block.right <= segment.ack);
        let before = last.remove(&(segment.dst, segment.src));
        if dsack.is_some_and(|block| before == Some((block.left, block.right))) {
            answers.push(record.number);
        }
        last.insert(
            (segment.src, segment.dst),
            (segment.seq, segment.seq + u32::try_from(segment.payload.len()).expect("a segment")),
        );
    }
    answers
}

#[test]
fn the_demo_shows_a_whole_connection() {
    if !possible() {
        return;
    }
    let file = place("demo").join("demo.pcapng");
    let output = run(&["demo", "-w", path(&file)]);
    let (ladder, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("path: tun tcplab0\n") && said.contains("Hello, Client!"), "{said}");
    for word in ["SYN 0:1", "SYN|ACK 0:1 ack 1", "1:7 ack 1 (6)", "1:15 ack 7 win ", "FIN|ACK"] {
        assert!(ladder.contains(word), "no {word} in\n{ladder}");
    }
    if let Some(packets) = clean(&file, "31") {
        assert!(packets >= 8, "{packets}");
        let again = ["-n", "-2", "-r", path(&file), "-Y", "tcp.analysis.retransmission"];
        assert_eq!(printed("tshark", &again).as_deref(), Some(""));
    }
}

#[test]
fn curl_fetches_fifty_megabytes_and_the_capture_is_whole() {
    if !(possible() && installed(&["curl", "sha256sum"])) {
        return;
    }
    let file = place("fifty").join("fifty.pcapng");
    let args = ["http", "--size", "50000000", "-w", path(&file)];
    let sum = beside(&args, "curl -sS --max-time 50 http://192.168.69.1:8080/file | sha256sum");
    // Byte n of the file is n modulo 251.
    let dir = place("fifty-expected");
    let expected: Vec<u8> = (0..50_000_000_u64).map(|n| (n % 251) as u8).collect();
    let own = dir.join("expected");
    fs::write(&own, expected).expect("room for 50 MB");
    let own = printed("sha256sum", &[path(&own)]).unwrap_or_default();
    assert_eq!(sum.split_whitespace().next(), own.split_whitespace().next());
    let _ = fs::remove_dir_all(dir);
    clean(&file, "31");
    let _ = fs::remove_file(file);
}

#[test]
fn twenty_curls_at_once() {
    if !(possible() && installed(&["curl"])) {
        return;
    }
    let line = "for i in $(seq 20); do curl -sS --max-time 50 http://192.168.69.1:8080/$i | wc -c & done; wait";
    let counts = beside(&["http", "--size", "1000000"], line);
    assert_eq!(counts.split_whitespace().collect::<Vec<_>>(), ["1000000"; 20]);
}

#[test]
fn an_upload_arrives_and_keep_alive_keeps_the_connection() {
    if !(possible() && installed(&["curl"])) {
        return;
    }
    let file = place("upload").join("upload.pcapng");
    let line = "head -c 3000000 /dev/zero | curl -sS --max-time 50 -T - http://192.168.69.1:8080/up";
    assert_eq!(beside(&["http", "--size", "1", "-w", path(&file)], line), "3000000 bytes received\n");
    clean(&file, "31");
    let line = "curl -sS --max-time 50 -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects} ' \
                http://192.168.69.1:8080/a http://192.168.69.1:8080/b http://192.168.69.1:8080/c";
    assert_eq!(beside(&["http", "--size", "5000"], line), "1 0 0 ");
}

#[test]
fn a_directory_is_served_over_a_bad_link() {
    if !(possible() && installed(&["curl"])) {
        return;
    }
    let dir = place("readme");
    fs::write(dir.join("FILE"), "what is in it\n").expect("a file");
    let capture = dir.join("bad.pcapng");
    let args = ["http", "--dir", path(&dir), "--link", "delay=50ms,loss=1%", "-w", path(&capture)];
    let line = "curl -sS --max-time 50 http://192.168.69.1:8080/FILE";
    assert_eq!(beside(&args, line), "what is in it\n");
    assert!(fs::metadata(&capture).expect("the capture").len() > 1_000);
}

#[test]
fn scripts_outages_and_the_mtu_of_a_link_line_work_on_the_tun_path_in_each_direction() {
    if !(possible() && installed(&["nc", "curl"])) {
        return;
    }
    let file = place("link").join("link.pcapng");
    let said = |links: &[&str], app: &[&str], line: &str| {
        let links = links.iter().flat_map(|spec| ["--link", spec]);
        let args: Vec<_> = app.iter().copied().chain(links).chain(["-w", path(&file)]).collect();
        let printed = beside(&args, line);
        (printed, text(&fs::read(&file).expect("the capture")))
    };
    let hello = "nc -w 9 192.168.69.1 12345 < /dev/null";
    // The kernel sends its SYN again after a second, and we our data.
    let (printed, capture) = said(&["kernel>host:drop=syn:1", "host>kernel:drop=data:1"], &["hello"], hello);
    assert_eq!(printed, "Hello, Client!");
    assert!(capture.contains(" [lost: scripted]") && capture.contains("retransmission of 1:15"));
    // A line for one direction replaces what one for both said of it.
    let (printed, capture) =
        said(&["down=0s..60s", "host>kernel:down=0s..900ms", "kernel>host:delay=1ms"], &["hello"], hello);
    assert_eq!(printed, "Hello, Client!");
    assert!(capture.contains(" [lost: link-down]"), "the SYN|ACK");
    let curl = "curl -sS --max-time 2 http://192.168.69.1:8080/ | wc -c";
    let (printed, capture) = said(&["host>kernel:mtu=1000"], &["http", "--size", "5000"], curl);
    assert_eq!(printed.trim(), "0");
    assert!(capture.contains(" [lost: too-big]"));
}

#[test]
fn the_seed_is_told_and_kept_and_the_buffer_that_is_asked_for_is_announced() {
    if !(possible() && installed(&["curl"])) {
        return;
    }
    let dir = place("seed");
    let kept = |name: &str, options: &[&str]| {
        let capture = dir.join(name);
        let serve = ["serve", "http", "--size", "3000", "-v", "-w", path(&capture)];
        let curl = ["--", "curl", "-sS", "-o", "/dev/null", "http://192.168.69.1:8080/"];
        let output = run(&[&serve, options, &curl[..]].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let seed = said.lines().find_map(|line| line.strip_prefix("seed ")).map(str::to_owned);
        let seed = seed.unwrap_or_else(|| panic!("no seed in {said}"));
        let bytes = fs::read(&capture).expect("a capture");
        let recipe = format!("{{\"tcplab\":1,\"live\":true,\"seed\":{seed}}}");
        assert!(bytes.windows(recipe.len()).any(|window| window == recipe.as_bytes()), "{recipe}");
        (seed, capture)
    };
    let options = [
        "--cc",
        "bbr",
        "--rcvbuf",
        "8KiB",
        "--sndbuf",
        "65536",
        "--min-rto",
        "1s",
        "--seed",
        "7",
        "--link",
        "delay=1ms",
    ];
    let (seed, capture) = kept("given.pcapng", &options);
    assert_eq!(seed, "7");
    let mut reader = Reader::open(&capture).expect("a capture");
    let mut windows = Vec::new();
    while let Some(record) = reader.next_record() {
        let packet = record.expect("a whole record").packet.expect("an IP packet");
        let ip = IpView::parse(packet).expect("IP");
        // The kernel may also send ICMPv6.
        let Ok(segment) = Segment::parse(&ip) else { continue };
        if segment.is_syn() && segment.is_ack() {
            windows.push(segment.window);
        }
    }
    assert_eq!(windows, [8192]);
    let [(first, _), (second, _)] = ["fresh.pcapng", "another.pcapng"].map(|name| kept(name, &[]));
    assert_ne!(first, second, "without --seed it is a fresh one");
}

#[test]
fn nc_is_echoed_over_tcp_and_udp_and_greeted_by_hello() {
    if !(possible() && installed(&["nc"])) {
        return;
    }
    let file = place("echo").join("echo.pcapng");
    let line = "echo over TCP | nc -N -w 5 192.168.69.1 7; echo over UDP | nc -u -w 1 192.168.69.1 7; \
                echo IPv6 | nc -N -w 5 fd69::1 7";
    assert_eq!(beside(&["echo", "-w", path(&file)], line), "over TCP\nover UDP\nIPv6\n");
    clean(&file, "31");
    assert_eq!(beside(&["hello"], "nc -w 5 192.168.69.1 12345 < /dev/null"), "Hello, Client!");
    assert_eq!(beside(&["hello", "--listen", "[fd69::1]:99"], "nc -w 5 fd69::1 99 < /dev/null"), "Hello, Client!");
    assert_eq!(beside(&["discard"], "echo gone | nc -N -w 5 192.168.69.1 9"), "");
}

#[test]
fn a_closed_port_refuses_and_ipv6_is_served() {
    if !(possible() && installed(&["curl"])) {
        return;
    }
    let line = "curl -sS --max-time 5 http://192.168.69.1:81/ 2>&1; echo $?; \
                curl -sS --max-time 50 'http://[fd69::1]:8080/' | wc -c";
    let said = beside(&["http", "--size", "200000"], line);
    assert!(said.contains("\n7\n") && said.ends_with("200000\n"), "{said}");
}

#[test]
fn the_exit_code_of_command_is_ours() {
    if !possible() {
        return;
    }
    let code = |line: &str| run(&["-q", "serve", "hello", "--", "sh", "-c", line]).status.code();
    assert_eq!([code("exit 0"), code("exit 9"), code("kill -9 $$")], [Some(0), Some(9), Some(137)]);
    let missing = run(&["serve", "hello", "--", "/no/such/program"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("cannot run `/no/such/program`"), "{}", text(&missing.stderr));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let usage: [&[&str]; 13] = [
        &["serve"],
        &["serve", "nothing"],
        &["serve", "http", "--dir", "/no/such/directory"],
        &["serve", "echo", "--size", "1"],
        &["serve", "hello", "--link", "dealy=1ms"],
        &["serve", "hello", "--link", "a>b:delay=1ms"],
        &["serve", "hello", "--cc", "vegas"],
        &["serve", "hello", "--rcvbuf", "0"],
        &["serve", "hello", "--sndbuf", "2GiB"],
        &["serve", "hello", "--min-rto", "0s"],
        &["connect", "192.168.69.2:1", "--min-rto", "121s"],
        &["connect", "192.168.69.2:1", "--seed", "-1"],
        &["connect", "nowhere"],
    ];
    for args in usage {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
    }
    if possible() {
        let elsewhere = run(&["serve", "hello", "--listen", "203.0.113.1:1"]);
        let said = text(&elsewhere.stderr);
        assert_eq!(elsewhere.status.code(), Some(2), "{said}");
        assert!(said.contains("--listen 203.0.113.1: this is not an address of the userspace host"), "{said}");
    }
}

#[test]
fn signals_end_it_in_order() {
    if !(possible() && installed(&["kill"])) {
        return;
    }
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let file = place(signal).join("x.pcapng");
        let mut server = tcplab(&["serve", "echo", "-w", path(&file)]);
        let mut server = server.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut said = BufReader::new(server.stderr.take().expect("a pipe"));
        let line = endings::read_until(&mut said, "in a second terminal: ");
        assert!(line.contains(&format!("nsenter -t {}", server.id())), "{line}");
        endings::signal(&server, signal);
        assert_eq!(finish(server).status.code(), Some(code));
        let mut rest = String::new();
        said.read_to_string(&mut rest).expect("text");
        assert!(rest.contains(" packets captured, 0 dropped by the device queue, 0 not written"), "{rest}");
        printed("tcpdump", &["-n", "-r", path(&file)]);
    }
}

#[test]
fn the_capture_streams_and_a_reader_that_goes_ends_only_the_capture() {
    if !(possible() && installed(&["curl"])) {
        return;
    }
    let args = ["serve", "http", "--size", "3000000", "-w", "-", "--"];
    let curl = ["sh", "-c", "curl -sS --max-time 50 http://192.168.69.1:8080/ | wc -c"];
    let whole = run(&[&args[..], &curl[..]].concat());
    let said = text(&whole.stderr);
    assert_eq!(whole.status.code(), Some(0), "{said}");
    assert!(said.contains("3000000\n"), "COMMAND prints on standard error: {said}");
    assert_eq!(whole.stdout.get(..4), Some(&[0x0a, 0x0d, 0x0d, 0x0a][..]), "pcapng");
    let mut child = tcplab(&[&args[..], &curl[..]].concat());
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let output = finish(child);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("3000000\n") && !said.contains("error"), "{said}");
}

#[test]
fn connect_talks_to_a_server_of_the_kernel() {
    if !(possible() && installed(&["nc"])) {
        return;
    }
    let file = place("connect").join("connect.pcapng");
    let args = ["connect", "192.168.69.2:9000", "-w", path(&file), "--"];
    let server = ["sh", "-c", "sleep 0.2; echo from the kernel | nc -N -l 9000"];
    let mut child = tcplab(&[&args[..], &server[..]].concat());
    child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(b"from the userspace\n").expect("a pipe");
    let output = finish(child);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "from the kernel\n"), "{said}");
    assert!(said.contains("from the userspace\n"), "COMMAND prints on standard error: {said}");
    let nobody = run(&["connect", "192.168.69.2:9", "--", "true"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("no server listens"), "{}", text(&nobody.stderr));
}

#[test]
fn a_device_that_is_deleted_ends_the_run_and_the_capture_is_whole() {
    if !(possible() && installed(&["curl", "ip"])) {
        return;
    }
    let file = place("deleted").join("x.pcapng");
    let line = "curl -sS --max-time 10 http://192.168.69.1:8080/ | wc -c; ip link delete tcplab0; sleep 30";
    let output = run(&["serve", "http", "--size", "100000", "-w", path(&file), "--", "sh", "-c", line]);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), "100000\n"), "{said}");
    assert!(said.contains("`tcplab0`") && said.contains("the device was deleted"), "{said}");
    clean(&file, "31");
}

#[test]
fn the_capture_of_a_run_that_was_killed_is_readable() {
    if !(possible() && installed(&["curl"])) {
        return;
    }
    let file = place("killed").join("x.pcapng");
    let args = ["serve", "http", "--size", "2000000000", "-s", "100", "-w", path(&file), "--"];
    let curl =
        ["curl", "-sS", "--max-time", "50", "--limit-rate", "2M", "-o", "/dev/null", "http://192.168.69.1:8080/"];
    let mut child = tcplab(&[&args[..], &curl[..]].concat());
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let began = Instant::now();
    while fs::metadata(&file).map_or(0, |file| file.len()) < 20_000 {
        assert!(began.elapsed() < LIMIT, "nothing is written");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("a child");
    child.wait().expect("a child");
    let mut reader = Reader::open(&file).expect("a capture");
    let mut whole = 0;
    while let Some(Ok(_)) = reader.next_record() {
        whole += 1;
    }
    assert!(whole > 50, "{whole}");
}

#[test]
fn the_bench_measures_both_sides_in_both_directions() {
    if !possible() {
        return;
    }
    let output = run(&["bench", "tun", "--seconds", "0.05", "--count", "1", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    let names: Vec<_> = lines.iter().map(|line| (line["direction"].as_str(), line["subject"].as_str())).collect();
    let [ours, bare] = [Some("tcplab"), Some("bare-smoltcp")];
    let [receive, send] = [Some("receive"), Some("send")];
    assert_eq!(names, [(receive, ours), (receive, bare), (send, ours), (send, bare)]);
    for line in &lines {
        assert_eq!((line["bench"].as_str(), line["connections"].as_u64()), (Some("tun"), Some(1)));
        assert!(line["goodput_mbit"].as_f64().is_some_and(|goodput| goodput > 0.0), "{line}");
        assert!(line["packets"].as_u64().is_some_and(|packets| packets > 0), "{line}");
    }
    for seconds in ["0", "-1", "x", "601"] {
        assert_eq!(run(&["bench", "tun", "--seconds", seconds]).status.code(), Some(2), "{seconds}");
    }
    let table = text(&run(&["bench", "tun", "--seconds", "0.05", "--count", "1", "--only", "tcplab"]).stdout);
    assert!(
        table.contains("the userspace host: send, congestion control cubic\n") && !table.contains("bare-smoltcp"),
        "{table}"
    );
}

#[test]
fn nothing_is_left_behind() {
    if !possible() {
        return;
    }
    let devices = || fs::read_to_string("/proc/net/dev").expect("a table").contains("tcplab0");
    let before = devices();
    assert_eq!(run(&["-q", "serve", "hello", "--", "true"]).status.code(), Some(0));
    assert_eq!(devices(), before);
    // COMMAND dies with us, also when nothing can be done in order.
    let mark = format!("{}9", std::process::id());
    let mut server = tcplab(&["serve", "hello", "--", "sh", "-c", &format!("echo begins; exec sleep {mark}")]);
    let mut server = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut String::new()).expect("a line");
    server.kill().expect("a child");
    server.wait().expect("a child");
    endings::all_gone(&format!("sleep\0{mark}"));
}
