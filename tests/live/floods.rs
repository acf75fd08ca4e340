//! What the kernel's side can do to a live host: floods of UDP and of SYNs, a device that goes down. Memory has a bound, and
//! what was taken is given back. The suite has small floods; `make figures` has them at full size.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::endings::resident;
use super::peers::compiled;
use super::{figures, finish, installed, path, place, possible, run, tcplab, text};
use tcplab::capture::Reader;

/// Resident memory in KiB: at the start, the most, and some time after the flood.
#[derive(Debug)]
struct Resident {
    start: u64,
    peak: u64,
    after: u64,
}

/// How long after a flood its memory may be in use, and how much may then be left.
const GIVEN_BACK: Duration = Duration::from_secs(10);
const KEPT: u64 = 8 * 1024;

/// Runs a server and beside it first `before`, then a flood, which begins when the memory of the server was read. `flood` is a
/// program of `tests/c` and its arguments.
fn flooded(
    serve: &[&str],
    name: &str,
    before: &str,
    (program, flood): (&str, &str),
) -> Option<(Resident, Child, String)> {
    let dir = place(name);
    let program = compiled(program, &dir)?;
    let (begin, end) = (dir.join("begin"), dir.join("end"));
    let line = format!(
        "{before}; echo ready; until [ -e {} ]; do sleep 0.01; done; {} {flood}; until [ -e {} ]; do sleep 0.01; done",
        path(&begin),
        path(&program),
        path(&end)
    );
    let args = [&["serve"], serve, &["--", "sh", "-c", &line]].concat();
    let mut child = tcplab(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut told = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert_eq!(told.next().expect("a line").expect("text"), "ready");
    let start = resident(child.id(), "VmRSS:");
    fs::write(begin, "").expect("a file");
    let sent = told.next().expect("a line").expect("text");
    let began = Instant::now();
    let mut after = u64::MAX;
    while began.elapsed() < GIVEN_BACK && after > start + KEPT {
        std::thread::sleep(Duration::from_millis(100));
        after = resident(child.id(), "VmRSS:");
    }
    let peak = resident(child.id(), "VmHWM:");
    fs::write(end, "").expect("a file");
    // The rest of standard output, such as a table.
    let rest: Vec<_> = told.map(|line| line.expect("text")).collect();
    let memory = Resident { start, peak, after };
    println!("{name}: {memory:?}, {sent}");
    Some((memory, child, [vec![sent], rest].concat().join("\n")))
}

/// The number in front of these words.
fn number(text: &str, before: &str) -> Option<u64> {
    let (line, _) = text.lines().find_map(|line| line.split_once(before))?;
    line.rsplit(' ').next()?.replace(',', "").parse().ok()
}

#[test]
fn a_udp_flood_into_a_long_link_takes_at_most_64_mib_and_gives_it_back() {
    if !possible() {
        return;
    }
    // In both directions, with large and with small packets, behind a delay and behind a rate.
    let seconds = if figures() { "20" } else { "2" };
    let cases = [
        ("delay=2s", "7 1472"),
        ("delay=2s", "7 8"),
        ("rate=1Mbit,delay=2s,limit=5MiB", "9 1472"),
        ("delay=1s,jitter=900ms,duplicate=50%,reorder=20%:1s", "9 700"),
    ];
    for (n, (link, flood)) in cases.iter().enumerate() {
        let app = if flood.starts_with('7') { "echo" } else { "discard" };
        let flood = format!("192.168.69.1 {flood} {seconds}");
        let run = flooded(&[app, "--link", link], &format!("udp-flood-{n}"), "true", ("flood", &flood));
        let Some((memory, child, _)) = run else { return };
        assert!(memory.peak <= 64 * 1024, "{link}: {memory:?}");
        assert!(memory.after <= memory.start + KEPT, "{link}: {memory:?}");
        let output = finish(child);
        assert_eq!(output.status.code(), Some(0));
        let said = text(&output.stderr);
        assert!(
            link.contains("rate=") || said.contains(" packets dropped by the link, which held as many as it may"),
            "{said}"
        );
    }
}

#[test]
fn a_long_fat_link_lets_one_gigabit_per_second_through() {
    if !(possible() && installed(&["curl"])) {
        return;
    }
    // 16,667 packets of 1,500 bytes are 1 Gbit/s for 200 ms.
    let args = ["http", "--size", "60000000", "--link", "host>kernel:rate=1Gbit,delay=200ms,limit=20000"];
    let line = "curl -sS --max-time 50 -o /dev/null -w '%{size_download}' http://192.168.69.1:8080/";
    let output = run(&[&["serve"], &args[..], &["--", "sh", "-c", line]].concat());
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "60000000"), "{said}");
    assert!(!said.contains("dropped by the link"), "{said}");
}

#[test]
fn a_queue_without_end_is_refused() {
    for limit in ["100000000000000", "1000001", "1025MiB", "18446744073709551615B", "0"] {
        let output = run(&["serve", "hello", "--link", &format!("rate=1bit,limit={limit}"), "--", "true"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(&format!("`limit={limit}`")) && said.contains("at most 1000000 packets or 1024MiB"),
            "{said}"
        );
    }
}

#[test]
fn the_table_of_connections_is_bounded_in_a_syn_flood_and_keeps_those_that_are_complete() {
    if !(possible() && installed(&["nc"])) {
        return;
    }
    let (rate, seconds) = if figures() { (20_000, 30) } else { (10_000, 3) };
    let file = place("flows").join("x.pcapng");
    let hello = "nc -w 9 192.168.69.1 12345 < /dev/null > /dev/null";
    let flood = format!("syns 192.168.69.1 12345 {rate} {seconds}");
    let serve = ["hello", "--flows", "-s", "60", "-w", path(&file)];
    let Some((memory, child, told)) = flooded(&serve, "syn-flood", hello, ("forge", &flood)) else { return };
    let output = finish(child);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(memory.peak - memory.start <= 64 * 1024, "{memory:?}");
    let sent: u64 = told.lines().next().and_then(|line| line.strip_prefix("sent ")?.parse().ok()).expect("a number");
    let dropped = number(&said, " dropped by the device queue").expect("a summary");
    // Those that the queue of the device dropped were not seen.
    let check = |told: &str| {
        let unlisted = number(told, " never finished their handshake and are not listed");
        assert_eq!(unlisted, Some(sent - dropped - 1000), "{told}");
        let rows: Vec<_> = told.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(rows.len(), 1001);
        let complete: Vec<_> = rows.iter().filter(|row| row.contains("192.168.69.2:")).collect();
        assert!(complete.len() == 1 && complete[0].contains("closed"), "{complete:?}");
    };
    check(&told);
    // The same from the capture.
    check(&text(&run(&["show", "--flows", path(&file)]).stdout));
    let _ = fs::remove_file(file);
}

#[test]
fn a_device_that_is_set_down_during_a_transfer_loses_packets_and_goes_on_when_it_is_up() {
    if !(possible() && installed(&["curl", "ip"])) {
        return;
    }
    let file = place("down").join("x.pcapng");
    let line = "curl -sS --max-time 50 --limit-rate 8M http://192.168.69.1:8080/ | wc -c & sleep 0.3; \
                ip link set tcplab0 down; sleep 1; ip link set tcplab0 up; wait; \
                curl -sS --max-time 10 'http://[fd69::1]:8080/' | wc -c";
    let args = ["serve", "http", "--size", "20000000", "-w", path(&file), "--", "sh", "-c", line];
    let output = run(&args);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "20000000\n20000000\n"), "{said}");
    assert!(number(&said, " packets lost while the device was down").is_some_and(|count| count > 0), "{said}");
    let mut reader = Reader::open(&file).expect("a capture");
    while let Some(record) = reader.next_record() {
        record.expect("a whole record");
    }
    let _ = fs::remove_file(file);
}
