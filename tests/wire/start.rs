//! When the right command starts, whose exit code is whose, and what the two sides look like from inside.

use super::{PATH, Place, installed, joined, possible, wire};
use crate::common::left_out;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn the_exit_code_of_the_right_command_is_ours() {
    if !possible() {
        return;
    }
    for (right, code) in
        [("true", 0), ("exit 7", 7), ("exit 255", 255), ("kill -s KILL $$", 137), ("no-such-program", 127)]
    {
        let ran = wire(&["-q", "--right", right]);
        assert_eq!((ran.code, ran.printed.as_str()), (Some(code), ""), "{right}: {}", ran.said);
    }
}

#[test]
fn each_side_has_its_addresses_and_no_way_out() {
    if !(possible() && installed(&["ip"])) {
        return;
    }
    let show = "ip -br -4 a; ip -br -6 a show scope global; ip r; ip -6 r get fd77:9::1 | cut -c1-30";
    let printed = joined("", &format!("{{ {show}; }} > /dev/stderr; nc -l 9000"), show);
    let words: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(words.contains(&vec!["tcplab0", "UNKNOWN", "10.77.0.2/16"]), "{printed}");
    assert!(words.contains(&vec!["tcplab0", "UNKNOWN", "fd77::2/16"]), "{printed}");
    assert!(!printed.contains("default"), "{printed}");
    let ran = wire(&["--left", show, "--right", "true"]);
    assert!(ran.said.contains("10.77.0.1/16") && ran.said.contains("fd77::1/16"), "{}", ran.said);
}

#[test]
fn the_right_command_starts_when_a_socket_listens_or_is_bound() {
    if !(possible() && installed(&["nc"])) {
        return;
    }
    // Each client fails at once where nothing listens.
    let tcp = "sleep 0.3; echo served | nc -N -l 9000 > /dev/null";
    assert_eq!(joined("", tcp, "nc -w 5 10.77.0.1 9000 < /dev/null"), "served\n");
    let v6 = "sleep 0.2; echo served | nc -6 -N -l 9000 > /dev/null";
    assert_eq!(joined("", v6, "nc -w 5 fd77::1 9000 < /dev/null"), "served\n");
    let udp = "sleep 0.2; nc -u -l 5353 > /dev/null";
    assert_eq!(joined("", udp, "echo x | nc -u -q 0 10.77.0.1 5353; echo $?"), "0\n");
}

#[test]
fn it_waits_for_a_port_or_for_nothing() {
    if !(possible() && installed(&["nc"])) {
        return;
    }
    let left = "nc -k -l 9001 & sleep 0.4; echo served | nc -N -l 9000 > /dev/null";
    let right = "nc -w 5 10.77.0.1 9000 < /dev/null";
    let ran = wire(&["--wait", "9000", "--left", left, "--right", right]);
    assert_eq!((ran.code, ran.printed.as_str()), (Some(0), "served\n"), "{}", ran.said);
    let began = Instant::now();
    let ran = wire(&["--wait", "none", "--left", "sleep 100", "--right", "echo $((6 * 7))"]);
    assert_eq!((ran.code, ran.printed.as_str(), ran.said.as_str()), (Some(0), "42\n", PATH));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn a_left_command_that_fails_before_it_listens_ends_the_run() {
    if !possible() {
        return;
    }
    let ran = wire(&["--left", "exit 3", "--right", "echo started"]);
    assert_eq!((ran.code, ran.printed.as_str()), (Some(1), ""));
    let error =
        "error: tcplab wire: --left: the command ended with exit code 3 before a socket listened; try it alone\n";
    assert_eq!(ran.said, format!("{PATH}{error}"));
    // A server may go into the background.
    let background = "nc -l 9000 > /dev/null 2>&1 & exit 0";
    assert_eq!(joined("", background, "echo started"), "started\n");
}

#[test]
fn the_right_command_has_our_standard_input_and_the_left_one_has_none() {
    if !possible() {
        return;
    }
    let args = ["wire", "--wait", "none", "--left", "cat; echo left", "--right", "cat; sleep 0.2; echo right"];
    let mut command = super::tcplab(&args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), b"hello\n").expect("it reads");
    let output = super::finish(child);
    assert_eq!(super::text(&output.stdout), "hello\nright\n");
    assert_eq!(
        super::text(&output.stderr),
        format!("{PATH}left\n"),
        "standard output of the left goes to standard error"
    );
}

/// A terminal by script(1), and keys into it: Ctrl-C ends a job of the shell and not tcplab, Ctrl-Z stops it.
#[test]
fn without_a_right_command_a_shell_has_the_terminal() {
    if !(possible() && installed(&["script", "bash"])) {
        return;
    }
    let keys = "sleep 0.8; printf 'sleep 100\\r'; sleep 0.4; printf '\\003'; sleep 0.2; printf 'sleep 101\\r'; sleep 0.4; \
                printf '\\032'; sleep 0.2; printf 'jobs; kill %%1; wait; echo is $((6 * 7)); \
                ping -c 1 10.77.0.1; exit 5\\r'";
    let tool = env!("CARGO_BIN_EXE_tcplab");
    let line = format!("{{ {keys}; sleep 2; }} | script -qec '{tool} wire --left \"sleep 300\" --wait none' /dev/null");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &line]).env("SHELL", "/bin/bash").env("HOME", "/nonexistent").env("TERM", "dumb");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let output = super::finish(child);
    let printed = super::text(&output.stdout);
    assert_eq!(output.status.code(), Some(5), "{printed}");
    for wanted in [
        "this shell is on the right side, 10.77.0.2 and fd77::2",
        "Stopped                 sleep 101",
        "is 42",
        " 0% packet loss",
    ] {
        assert!(printed.contains(wanted), "no {wanted:?}:\n{printed}");
    }
    assert!(!printed.contains("Stopped                 sleep 100"), "Ctrl-C has ended it:\n{printed}");
}

/// As nobody, who finds a /dev/net/tun that everybody may open; all of that in a mount namespace of its own.
#[test]
fn nobody_keeps_the_own_number_and_gets_three_capabilities() {
    if !possible() {
        return;
    }
    if !(super::is_root() && installed(&["unshare", "mount", "setpriv", "ping", "nc", "ip"])) {
        return left_out("wire, run by nobody", "run the tests as root: only root can become nobody");
    }
    let place = Place::new("nobody");
    let prepare = "{ mount -t tmpfs -o mode=0755 tmpfs \"$1\" && mknod -m 0666 \"$1/node\" c 10 200 && \
                   chmod 0666 \"$1/node\" && mount --bind \"$1/node\" /dev/net/tun && cp \"$0\" \"$1/tcplab\" && \
                   mkdir -m 0777 \"$1/out\" && cd \"$1/out\"; } || exit 99; dir=$1; shift; \
                   exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$dir/tcplab\" \"$@\"";
    let left = "echo left $(id -u) >&2; echo served | nc -N -l 80 > /dev/null";
    let right = "id -u; id -g; grep -E 'Cap(Eff|Amb|Bnd)' /proc/self/status; nc -w 5 10.77.0.1 80 < /dev/null; \
                 ping -c 1 -q 10.77.0.1 | grep -o '0% packet loss'; ip link set tcplab0 mtu 1400 && cat x.pcapng | wc -c";
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["-m", "sh", "-c", prepare, env!("CARGO_BIN_EXE_tcplab"), place.path()]);
    unshare.args(["wire", "-w", "x.pcapng", "--left", left, "--right", right]).stdin(Stdio::null());
    let child = unshare.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("unshare starts");
    let output = super::finish(child);
    let (printed, said) = (super::text(&output.stdout), super::text(&output.stderr));
    if output.status.code() == Some(99) {
        return left_out("wire, run by nobody", said.trim());
    }
    assert_eq!(output.status.code(), Some(0), "{printed}{said}");
    assert!(said.contains("left 65534\n") && said.contains(", 0 dropped by the device queue, 0 not written"), "{said}");
    let lines: Vec<_> = printed.lines().map(str::trim).collect();
    let three = "0000000000003400";
    let caps = ["CapEff", "CapBnd", "CapAmb"].map(|set| format!("{set}:\t{three}"));
    assert_eq!(lines[..2], ["65534", "65534"], "{printed}");
    assert_eq!(lines[2..5], caps, "{printed}");
    assert_eq!(lines[5..7], ["served", "0% packet loss"], "{printed}");
    assert!(lines[7].parse::<u64>().is_ok_and(|len| len > 100), "{printed}");
}

#[test]
fn root_keeps_the_capabilities_of_a_container() {
    if !possible() {
        return;
    }
    if !super::is_root() {
        return left_out("wire, run by root", "run the tests as root");
    }
    let printed = joined("", "true", "grep CapEff /proc/self/status; id -u; cat /proc/self/uid_map");
    let words: Vec<_> = printed.split_whitespace().collect();
    assert_eq!(words[..3], ["CapEff:", "00000000a80435fb", "0"], "{printed}");
    assert_eq!(words[3..], ["0", "0", "4294967295"], "no user namespace: {printed}");
}
