//! Peers that are known to the last call: programs in C with plain BSD sockets, ping, and clients that do not end well.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::{LIMIT, beside, clean, finish, installed, path, place, possible, printed, tcplab, text};
use crate::common::left_out;

/// Compiles `tests/c/NAME.c` into `dir`. `None`, and a line on the list of what was left out, without a compiler.
#[track_caller]
pub(super) fn compiled(name: &str, dir: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name).with_extension("c");
    let binary = dir.join(name);
    let flags = ["-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-o", path(&binary)];
    let compiler = Command::new("cc").args(flags).arg(&source).stdin(Stdio::null()).output();
    let Ok(output) = compiler else {
        left_out("the host on a TUN device with programs in C", "make deps");
        return None;
    };
    assert!(output.status.success(), "{}: {}", source.display(), text(&output.stderr));
    Some(binary)
}

/// The packets of a capture that a filter of Wireshark shows; `None` without tshark.
#[track_caller]
pub(super) fn shown(capture: &Path, filter: &str) -> Option<usize> {
    let fields = ["-n", "-2", "-r", path(capture), "-Y", filter, "-T", "fields", "-e", "frame.number"];
    printed("tshark", &fields).map(|lines| lines.lines().count())
}

#[test]
fn the_client_of_the_tutorial_is_greeted() {
    if !possible() {
        return;
    }
    let dir = place("c-client");
    let Some(client) = compiled("hello_client", &dir) else { return };
    let file = dir.join("x.pcapng");
    let line = format!("{0} 192.168.69.1 && {0} 192.168.69.1", path(&client));
    assert_eq!(beside(&["hello", "-w", path(&file)], &line), "Hello, Client!\nHello, Client!\n");
    clean(&file, "31");
    let refused = format!("{} 192.168.69.1 2>&1; echo $?", path(&client));
    assert_eq!(beside(&["echo"], &refused), "connect: Connection refused\n1\n");
}

#[test]
fn the_server_of_the_tutorial_greets_the_userspace_host() {
    if !possible() {
        return;
    }
    let dir = place("c-server");
    let Some(server) = compiled("hello_server", &dir) else { return };
    let file = dir.join("x.pcapng");
    let mut child = tcplab(&["connect", "192.168.69.2:12345", "-w", path(&file), "--", path(&server), "1"]);
    child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(b"Userspace").expect("a pipe");
    let output = finish(child);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "Hello, Userspace!"), "{said}");
    assert!(said.contains("greeted Userspace\n"), "COMMAND prints on standard error: {said}");
    // Attempts before the server listened were refused.
    assert!(shown(&file, "tcp.completeness == 31").is_none_or(|packets| packets >= 7));
    let bad = "_ws.malformed || tcp.checksum.status == \"Bad\" || (tcp.completeness == 31 && tcp.flags.reset == 1)";
    assert_eq!(shown(&file, bad).unwrap_or(0), 0);
}

#[test]
fn what_standard_input_says_does_not_wait_for_something_else_to_happen() {
    if !possible() {
        return;
    }
    let Some(server) = compiled("hello_server", &place("c-promptly")) else { return };
    // Without a capture nothing but packets and input wakes the loop; each of the two programs has to say something.
    let began = Instant::now();
    let mut child = tcplab(&["connect", "192.168.69.2:12345", "--", path(&server), "1"]);
    child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(b"Userspace").expect("a pipe");
    let output = finish(child);
    assert_eq!(text(&output.stdout), "Hello, Userspace!", "{}", text(&output.stderr));
    assert!(began.elapsed() < LIMIT / 6, "it takes a fraction of a second: {:?}", began.elapsed());
}

#[test]
fn a_thousand_clients_at_once_are_served_on_one_port() {
    if !possible() {
        return;
    }
    let dir = place("many");
    let Some(many) = compiled("many", &dir) else { return };
    let file = dir.join("x.pcapng");
    let line = format!("{} 192.168.69.1 7 1000", path(&many));
    let said = beside(&["echo", "--backlog", "1024", "--flows", "-w", path(&file)], &line);
    assert!(said.starts_with("1000 open\n1000 echoed\n"), "{}", said.lines().take(5).collect::<String>());
    assert_eq!(said.matches(", closed\n").count(), 1000);
    let packets = clean(&file, "31");
    assert!(packets.is_none_or(|packets| packets >= 8_000), "{packets:?}");
    assert_eq!(shown(&file, "tcp.flags.reset == 1").unwrap_or(0), 0);
    let _ = fs::remove_file(file);
}

#[test]
fn ten_clients_are_served_through_a_backlog_of_two() {
    if !possible() {
        return;
    }
    let dir = place("backlog");
    let Some(many) = compiled("many", &dir) else { return };
    let file = dir.join("x.pcapng");
    // The delay keeps a handshake in the SYN queue until all ten SYNs have come, on any machine.
    for cookies in ["off", "on"] {
        ten_clients_and_a_backlog_of_two(cookies, &many, &file);
    }
}

fn ten_clients_and_a_backlog_of_two(cookies: &str, many: &Path, file: &Path) {
    let options = ["--backlog", "2", "--syn-cookies", cookies, "--link", "delay=20ms", "--flows", "-w", path(file)];
    let args = [&["echo"], &options[..]].concat();
    let said = beside(&args, &format!("{} 192.168.69.1 7 10", path(many)));
    assert!(said.starts_with("10 open\n10 echoed\n"), "{said}");
    assert_eq!(said.matches(", closed\n").count(), 10, "{said}");
    let again = "tcp.flags.syn == 1 && tcp.flags.ack == 0 && tcp.analysis.retransmission";
    let Some(again) = shown(file, again) else { return };
    match cookies {
        "off" => assert!(again >= 8, "two of ten SYNs find room, the other eight come again: {again}"),
        _ => assert_eq!(again, 0, "each SYN is answered"),
    }
    assert_eq!(shown(file, "tcp.flags.reset == 1"), Some(0));
}

#[test]
fn a_ping_is_answered_over_both_families() {
    if !(possible() && installed(&["ping"])) {
        return;
    }
    let file = place("ping").join("x.pcapng");
    let line = "ping -q -c 3 -i 0.2 192.168.69.1 && ping -q -c 3 -i 0.2 fd69::1 && \
                ping -q -c 2 -i 0.2 -s 1400 192.168.69.1 && ping -q -c 2 -i 0.2 -s 1400 fd69::1";
    let said = beside(&["discard", "-w", path(&file)], line);
    assert_eq!(said.matches(" 0% packet loss").count(), 4, "{said}");
    // A reply that Wireshark cannot assign to its request would not count.
    assert_eq!(shown(&file, "icmp.type == 0 && icmp.resp_to").unwrap_or(5), 5);
    assert_eq!(shown(&file, "icmpv6.type == 129 && icmpv6.resp_to").unwrap_or(5), 5);
    let large = "(icmp.type == 0 || icmpv6.type == 129) && data.len >= 1384";
    assert_eq!(shown(&file, large).unwrap_or(4), 4);
}

#[test]
fn a_client_that_is_killed_disturbs_nobody() {
    if !(possible() && installed(&["curl", "mkfifo"])) {
        return;
    }
    let dir = place("client-killed");
    let file = dir.join("x.pcapng");
    let line = format!(
        "cd {}; mkfifo pipe; curl -sS --max-time 50 http://192.168.69.1:8080/ > pipe & exec 3< pipe; \
         head -c 100000 <&3 | wc -c; kill -9 $!; wait $! 2>/dev/null; echo $?; \
         curl -sS --max-time 50 -r 0-199999 http://192.168.69.1:8080/ | wc -c",
        path(&dir)
    );
    let args = ["http", "--size", "50000000", "--fds", "--flows", "-s", "100", "-w", path(&file)];
    let said = beside(&args, &line);
    assert!(said.starts_with("100000\n137\n200000\n"), "{said}");
    assert!(said.contains(", reset\n") && said.contains(", closed\n"), "{said}");
    // The second client's may still be open, the first one's may not.
    // The left end, behind the number of the stream.
    let killed = said.lines().find_map(|line| line.strip_suffix(", reset")?.split_whitespace().nth(1));
    let killed = killed.and_then(|client| client.rsplit_once(':')).expect("an address and a port").1;
    let descriptors = said.lines().filter(|line| line.contains('↔'));
    assert_eq!(descriptors.filter(|line| line.ends_with(&format!(":{killed}"))).count(), 0, "{said}");
    let Some(resets) = shown(&file, "tcp.flags.reset == 1 && ip.src == 192.168.69.2") else { return };
    assert!(resets > 0, "the kernel says that nobody reads any more");
    assert_eq!(shown(&file, "tcp.flags.reset == 1 && ip.src == 192.168.69.1"), Some(0));
}

#[test]
fn a_client_that_vanishes_disturbs_nobody() {
    if !(possible() && installed(&["curl", "mkfifo", "ip"])) {
        return;
    }
    let dir = place("client-vanished");
    let file = dir.join("x.pcapng");
    // Without its address the kernel hears nothing of that connection and says nothing, not even an RST.
    let line = format!(
        "cd {}; mkfifo pipe; curl -sS --max-time 50 http://192.168.69.1:8080/ > pipe & exec 3< pipe; \
         head -c 100000 <&3 | wc -c; ip address del 192.168.69.2/24 dev tcplab0; kill -9 $!; \
         wait $! 2>/dev/null; echo $?; curl -sS --max-time 50 -r 0-199999 'http://[fd69::1]:8080/' | wc -c",
        path(&dir)
    );
    let args = ["http", "--size", "50000000", "--flows", "-s", "100", "-w", path(&file)];
    let said = beside(&args, &line);
    assert!(said.starts_with("100000\n137\n200000\n"), "{said}");
    assert!(said.contains("fd69::2") && said.contains(", closed\n"), "{said}");
    assert_eq!(shown(&file, "tcp.flags.reset == 1 && ip.src == 192.168.69.2").unwrap_or(0), 0);
    let Some(again) = shown(&file, "ip.src == 192.168.69.1 && tcp.analysis.retransmission") else { return };
    assert!(again > 0, "it is tried again until the end");
}
