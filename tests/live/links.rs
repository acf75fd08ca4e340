//! Random links between the userspace host and the kernel, with text both ways at once. Our own checker and tshark look at
//! each capture: every ACK that is owed is sent, the peer accepts every segment, and nothing that was `SACKed` or acknowledged
//! is sent again. And a window that is closed one way, with text the other way.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tcplab::capture::Reader;
use tcplab::rng::Rng;
use tcplab::segment::{IpView, Segment};

use super::peers::{compiled, shown};
use super::{figures, finish, installed, path, place, possible, tcplab, text};
use crate::checker::{Counts, Findings, check};

/// How many links are tried: in the suite, and by `make figures`.
const SUITE: u64 = 6;
const WHOLE: u64 = 200;
/// Sandboxes at once.
const AT_ONCE: usize = 8;

/// About four packets of a hundred have their bit inverted in the IP version. The kernel refuses to take these from the
/// device (EINVAL).
#[test]
fn packets_whose_ip_version_the_link_has_corrupted_are_lost_and_the_server_goes_on() {
    if !(possible() && installed(&["bash", "curl"])) {
        return;
    }
    let script = "for i in $(seq 1000); do echo > /dev/udp/192.168.69.1/7; done; \
                  curl -sS --unix-socket \"${TCPLAB_CONTROL#unix:}\" http://localhost/links/down -d {} | grep -c host";
    let dir = place("corrupted");
    let socket = format!("unix:{}", path(&dir.join("c.sock")));
    let link = ["--link", "host>kernel:corrupt=100%", "--seed", "1", "--control", &socket];
    let output = super::run(&[&["serve", "echo"], &link[..], &["--", "bash", "-c", script]].concat());
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "1\n"), "{said}");
    let line = said.lines().find(|line| line.contains("refused by the kernel")).unwrap_or_else(|| panic!("{said}"));
    let count: usize = line.split(' ').next().and_then(|count| count.parse().ok()).expect("a number");
    assert!((5..100).contains(&count), "{line}");
    assert!(line.ends_with("packets refused by the kernel, because a link had corrupted the IP version"), "{line}");
}

/// The addresses of the host in a sandbox.
fn ours() -> [IpAddr; 2] {
    ["192.168.69.1", "fd69::1"].map(|address| address.parse().expect("an address"))
}

/// One direction of a link: its spec, and about how many bytes a second it lets through at a round trip of 100 ms.
fn direction(rng: &mut Rng) -> (String, u64) {
    let delay = 1 + rng.below(50);
    let loss = [0, 0, 1, 5, 10, 20, 30, 50][rng.below(8) as usize];
    let mut spec = format!("delay={delay}ms,loss={}.{}%", loss / 10, loss % 10);
    let mut speed = 2_000_000;
    if rng.chance(0.7) {
        let rate = [1, 2, 5, 10, 20, 50, 100][rng.below(7) as usize];
        let limit = 5 + rng.below(200);
        let _ = write!(spec, ",rate={rate}Mbit,limit={limit}");
        speed = speed.min(rate * 100_000);
    }
    if rng.chance(0.5) {
        let held = rng.below(20);
        let held = if held == 0 { String::new() } else { format!(":{held}ms") };
        let _ = write!(spec, ",reorder={}.{}%{held}", rng.below(3), 1 + rng.below(9));
        // What arrives out of order may look lost, once or twice, until the sender has learned.
        speed /= 2;
    }
    if rng.chance(0.4) {
        let _ = write!(spec, ",duplicate=0.{}%", 1 + rng.below(9));
    }
    // Mathis' formula: MSS / (RTT sqrt(2p/3)).
    if loss > 0 {
        speed = speed.min((1_448.0 * 10.0 / (f64::from(loss) / 1_000.0 * 2.0 / 3.0).sqrt()) as u64);
    }
    (spec, speed)
}

/// Runs link number `nth` and gives what is wrong with it.
fn try_link(nth: u64, dir: &Path, exchange: &Path) -> Result<Counts, String> {
    let mut rng = Rng::new(nth, "links");
    let ((out, out_speed), (back, back_speed)) = (direction(&mut rng), direction(&mut rng));
    let count = (3 * out_speed.min(back_speed)).clamp(100_000, 2_000_000).to_string();
    let controller = |rng: &mut Rng| ["cubic", "reno", "bbr"][rng.below(3) as usize];
    let (our_cc, kernels_cc) = (controller(&mut rng), controller(&mut rng));
    let address = ["192.168.69.1", "fd69::1"][rng.below(2) as usize];
    let file = dir.join(format!("{nth}.pcapng"));
    let exchange = path(exchange);
    let kind = nth % 4;
    let line = match kind {
        0 => format!("{exchange} connect {address} 7 {count} {kernels_cc}"),
        1 => format!("{exchange} listen 9000 {count} {kernels_cc}"),
        2 => format!("{exchange} connect {address} 9 {count} {kernels_cc}"),
        _ => format!(
            "curl -sgS --max-time 50 -o {0} http://[{1}]:8080/ & \
             head -c {count} /dev/zero | curl -sgS --max-time 50 -T - http://[{1}]:8080/ && wait && wc -c < {0}",
            path(&dir.join(format!("{nth}.got"))),
            "fd69::1",
        ),
    };
    let seed = nth.to_string();
    let (links, seed) = ([format!("host>kernel:{out}"), format!("kernel>host:{back}")], ["--seed", &seed]);
    let mut args = match kind {
        0 => vec!["serve", "echo"],
        1 => vec!["connect", if address == "fd69::1" { "[fd69::2]:9000" } else { "192.168.69.2:9000" }],
        2 => vec!["serve", "discard"],
        _ => vec!["serve", "http", "--size", &count],
    };
    args.extend(["--cc", our_cc, "-w", path(&file), "--link", &links[0], "--link", &links[1]]);
    args.extend(seed.into_iter().chain(["--", "sh", "-c", &line]));
    let mut child = tcplab(&args);
    if kind == 1 {
        let sent = dir.join(format!("{nth}.sent"));
        let len = count.parse::<usize>().expect("a number");
        fs::write(&sent, (0..len).map(|at| (at % 251) as u8).collect::<Vec<_>>()).expect("room");
        child.stdin(File::open(&sent).expect("it is there"));
    }
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let output = finish(child);
    let (told, said) = (text(&output.stdout), text(&output.stderr));
    let about = format!("link {nth}: {}", args.join(" "));
    let arrived = match kind {
        0 => told == format!("{count} heard\n{count} received\n"),
        1 => output.stdout.len().to_string() == count && said.contains(&format!("{count} received\n")),
        2 => told == "0 received\n",
        _ => told == format!("{count} bytes received\n{count}\n"),
    };
    if output.status.code() != Some(0) || !arrived {
        return Err(format!("{about}\nnot all arrived: {:?}\n{}{said}", output.status, &told[..told.len().min(200)]));
    }
    let Findings { mut breaches, counts } = check(&file, &ours(), kind == 2);
    for (filter, what) in [
        ("tcp.analysis.ack_lost_segment", "an ACK of an unseen segment"),
        (
            "tcp.analysis.spurious_retransmission && (ip.src == 192.168.69.1 || ipv6.src == fd69::1)",
            "a spurious retransmission",
        ),
    ] {
        let count = shown(&file, filter).unwrap_or(0);
        if count > 0 {
            breaches.push(format!("tshark reports {what}, {count} times"));
        }
    }
    for name in ["pcapng", "got", "sent"] {
        if breaches.is_empty() {
            let _ = fs::remove_file(dir.join(format!("{nth}.{name}")));
        }
    }
    if breaches.is_empty() {
        Ok(counts)
    } else {
        Err(format!("{about}\n{}", breaches[..breaches.len().min(8)].join("\n")))
    }
}

#[test]
fn over_random_links_each_ack_is_sent_each_segment_is_acceptable_and_nothing_sacked_is_sent_again() {
    if !(possible() && installed(&["curl", "tshark"])) {
        return;
    }
    let dir = place("links");
    let Some(exchange) = compiled("exchange", &dir) else { return };
    let links = if figures() { WHOLE } else { SUITE };
    let (next, wrong, counts) = (AtomicU64::new(0), Mutex::new(Vec::new()), Mutex::new(Counts::default()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= links {
                        return;
                    }
                    match try_link(nth, &dir, &exchange) {
                        Ok(one) => counts.lock().unwrap_or_else(PoisonError::into_inner).add(&one),
                        Err(what) => wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what),
                    }
                }
            });
        }
    });
    let (wrong, counts) = (wrong.into_inner().expect("whole"), counts.into_inner().expect("whole"));
    println!("{links} links: {counts:?}");
    assert!(wrong.is_empty(), "{} of {links} links:\n{}", wrong.len(), wrong.join("\n"));
    assert!(counts.sent_again > 0 && counts.out_of_order > 0 && counts.sacks > 0, "{counts:?}");
}

/// True if a segment of `from` with a window of zero is in the capture.
fn closes(capture: &Path, from: &str) -> bool {
    let mut reader = Reader::open(capture).expect("a capture");
    while let Some(record) = reader.next_record() {
        let packet = record.expect("a whole record").packet.expect("an IP packet");
        let ip = IpView::parse(packet).expect("IP");
        let Ok(segment) = Segment::parse(&ip) else { continue };
        if segment.src.ip().to_string() == from && segment.window == 0 && !segment.is_rst() {
            return true;
        }
    }
    false
}

/// Our command connects to `exchange`; both send a million bytes. Gives both streams of our command and it.
fn million(dir: &Path, options: &[&str], exchange: &str) -> (std::process::Child, std::path::PathBuf) {
    let (file, sent) = (dir.join("x.pcapng"), dir.join("sent"));
    fs::write(&sent, (0..1_000_000).map(|at| (at % 251) as u8).collect::<Vec<_>>()).expect("room");
    let args = [&["connect", "192.168.69.2:9000", "-w", path(&file)], options].concat();
    let mut child = tcplab(&[&args[..], &["--", "sh", "-c", exchange]].concat());
    child.stdin(File::open(&sent).expect("it is there")).stdout(Stdio::piped()).stderr(Stdio::piped());
    (child.spawn().expect("it starts"), file)
}

#[track_caller]
fn nothing_wrong(file: &Path) {
    let findings = check(file, &ours(), false);
    assert_eq!(findings.breaches, [""; 0], "{}", path(file));
    assert_eq!(findings.counts.closed, 1, "{}", path(file));
    assert_eq!(shown(file, "tcp.analysis.ack_lost_segment").unwrap_or(0), 0);
}

#[test]
fn a_peer_that_reads_nothing_has_all_that_it_sends_acknowledged() {
    if !possible() {
        return;
    }
    let dir = place("window-of-the-kernel");
    let Some(exchange) = compiled("exchange", &dir) else { return };
    let (child, file) =
        million(&dir, &["--link", "delay=5ms"], &format!("{} listen 9000 1000000 cubic late", path(&exchange)));
    let output = finish(child);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 1_000_000), "{said}");
    assert!(said.contains("acknowledged\n1000000 heard\n1000000 received\n"), "{said}");
    assert!(closes(&file, "192.168.69.2"), "its window was closed meanwhile");
    nothing_wrong(&file);
}

#[test]
fn a_program_of_ours_that_reads_nothing_has_all_that_it_sends_acknowledged() {
    if !possible() {
        return;
    }
    let dir = place("window-of-ours");
    let Some(exchange) = compiled("exchange", &dir) else { return };
    // It says when it has everything; the program reads then.
    let line = format!("{} listen 9000 1000000 cubic", path(&exchange));
    // Ours takes a second and a half, in which the peer fills the pipe and our window.
    let links = ["--link", "host>kernel:delay=5ms,rate=5Mbit", "--link", "kernel>host:delay=5ms"];
    let (mut child, file) = million(&dir, &[&["--rcvbuf", "16KiB"], &links[..]].concat(), &line);
    let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("1000000 heard") {
        line.clear();
        assert!(said.read_line(&mut line).expect("text") > 0, "it has not heard everything");
    }
    let rest = std::thread::spawn(move || {
        let mut rest = String::new();
        said.read_to_string(&mut rest).expect("text");
        rest
    });
    let output = finish(child);
    let rest = rest.join().expect("it ends");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 1_000_000), "{rest}");
    assert!(closes(&file, "192.168.69.1"), "our window was closed meanwhile");
    nothing_wrong(&file);
}
