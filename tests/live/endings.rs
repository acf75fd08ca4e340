//! How a run ends: by signals, with a reader of the capture that has stopped, with processes that COMMAND has left behind,
//! and where no connection can be made.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::places::{UNPREPARED, apart, is_root};
use super::{clean, finish, installed, path, place, possible, run, tcplab, text};
use crate::common::left_out;
use tcplab::capture::Reader;

/// Sends a signal to a child of ours.
pub(super) fn signal(child: &Child, name: &str) {
    let killed = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
}

/// Reads lines of standard error until one has this text.
pub(super) fn read_until(said: &mut impl BufRead, wanted: &str) -> String {
    let mut line = String::new();
    while !line.contains(wanted) {
        line.clear();
        assert!(said.read_line(&mut line).expect("a line") > 0, "no line with {wanted}");
    }
    line
}

/// A field of /proc/PID/status, in KiB.
pub(super) fn resident(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("KiB")
}

/// The processes whose command line has this text.
fn processes(mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("proc").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(bytes) = fs::read(entry.path().join("cmdline")) else { continue };
        if name.bytes().all(|byte| byte.is_ascii_digit()) && text(&bytes).contains(mark) {
            found.push(name);
        }
    }
    found
}

/// Waits until no process has this mark.
#[track_caller]
pub(super) fn all_gone(mark: &str) {
    let began = Instant::now();
    while !processes(mark).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10), "{mark}: {:?} still run", processes(mark));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_hang_up_ends_it_as_a_termination_does() {
    if !(possible() && installed(&["kill"])) {
        return;
    }
    let file = place("hup").join("x.pcapng");
    let line = "nc -w 5 192.168.69.1 12345 < /dev/null; echo served; sleep 100";
    let mut server = tcplab(&["serve", "hello", "-w", path(&file), "--", "sh", "-c", line]);
    let mut server = server.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    read_until(&mut BufReader::new(server.stdout.take().expect("a pipe")), "served");
    // A terminal that is closed may send it twice.
    signal(&server, "HUP");
    std::thread::sleep(Duration::from_millis(150));
    let _ = Command::new("kill").args(["-s", "HUP", &server.id().to_string()]).stderr(Stdio::null()).status();
    let output = finish(server);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(129), "{said}");
    assert!(said.contains(" packets captured, 0 dropped by the device queue, 0 not written"), "{said}");
    clean(&file, "31");
}

#[test]
fn under_nohup_a_hang_up_changes_nothing() {
    if !(possible() && installed(&["kill", "nohup"])) {
        return;
    }
    let mut server = Command::new("nohup");
    server.args([env!("CARGO_BIN_EXE_tcplab"), "serve", "hello"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut server = server.stderr(Stdio::piped()).spawn().expect("it starts");
    read_until(&mut BufReader::new(server.stderr.take().expect("a pipe")), "press Ctrl-C");
    signal(&server, "HUP");
    std::thread::sleep(Duration::from_millis(200));
    assert!(server.try_wait().expect("a child").is_none(), "it still runs");
    signal(&server, "TERM");
    assert_eq!(finish(server).status.code(), Some(143));
}

/// A server whose capture goes to a pipe that nobody reads, and a client that fills it. Gives what it prints on standard
/// error once the pipe is full, and the end of the pipe, which has to stay open.
fn with_a_stopped_reader(more: &[&str]) -> Option<(Child, std::process::ChildStdout, impl BufRead + Send + 'static)> {
    if !(possible() && installed(&["curl", "kill"])) {
        return None;
    }
    let line = "curl -sS --max-time 50 -o /dev/null http://192.168.69.1:8080/; echo filled >&2; \
                while :; do curl -sS -o /dev/null http://192.168.69.1:8080/; done";
    let args = [&["serve", "http", "--size", "20000000", "-w", "-"], more, &["--", "sh", "-c", line]].concat();
    let mut child = tcplab(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let pipe = child.stdout.take().expect("a pipe");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
    read_until(&mut said, "filled");
    Some((child, pipe, said))
}

#[test]
fn a_reader_that_has_stopped_keeps_the_program_for_two_seconds_and_the_packets_are_counted() {
    for name in ["INT", "TERM", "HUP"] {
        let Some((child, pipe, mut said)) = with_a_stopped_reader(&[]) else { return };
        let began = Instant::now();
        signal(&child, name);
        let output = finish(child);
        let took = began.elapsed();
        let mut rest = String::new();
        said.read_to_string(&mut rest).expect("text");
        assert_eq!(output.status.code(), Some(1), "{rest}");
        assert!(took < Duration::from_secs(8), "{took:?}; it should be 2 s, and 2 s for the connections");
        let error = rest.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{rest}"));
        assert!(error.contains("write standard output: the data is not taken any more; "), "{error}");
        let numbers: Vec<u64> =
            error.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
        let [written, not_written] = numbers[..] else { panic!("{error}") };
        assert!(written > 0 && not_written > 100, "{error}");
        // What is in the pipe is what was counted.
        let mut reader = Reader::from_read(pipe, "the pipe").expect("a capture");
        let mut whole = 0;
        while let Some(Ok(_)) = reader.next_record() {
            whole += 1;
        }
        assert_eq!(whole, written, "{error}");
    }
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    let Some((mut child, _pipe, _said)) = with_a_stopped_reader(&[]) else { return };
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().expect("a child").is_none(), "the first one ends it in order");
    let began = Instant::now();
    signal(&child, "INT");
    let status = finish(child).status;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(status.code(), Some(130));
}

#[test]
fn two_signals_that_come_together_are_one() {
    if !(possible() && installed(&["kill"])) {
        return;
    }
    // timeout(1) signals its child, and then its process group.
    let file = place("timeout").join("x.pcapng");
    let mut server = Command::new("timeout");
    server.args(["1", env!("CARGO_BIN_EXE_tcplab"), "serve", "echo", "-w", path(&file)]);
    let output = finish(server.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("timeout starts"));
    let said = text(&output.stderr);
    assert!(said.contains(" packets captured, 0 dropped by the device queue, 0 not written"), "{said}");
}

#[test]
fn while_the_reader_is_stopped_memory_is_bounded_and_afterwards_the_capture_goes_on() {
    let Some((child, mut pipe, _said)) = with_a_stopped_reader(&["--comments", "full"]) else { return };
    // By now 20 MB were sent: more than the first batches hold.
    let began = Instant::now();
    let mut highest = 0;
    while began.elapsed() < Duration::from_secs(4) {
        highest = highest.max(resident(child.id(), "VmRSS:"));
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("a stopped reader, --comments full: at most {highest} KiB");
    assert!(highest < 96 * 1024, "{highest} KiB");
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    while bytes < 8 << 20 {
        bytes += pipe.read(&mut buffer).expect("the capture goes on");
    }
    let reading = std::thread::spawn(move || while pipe.read(&mut buffer).is_ok_and(|count| count > 0) {});
    signal(&child, "TERM");
    let status = finish(child).status.code();
    reading.join().expect("read");
    assert_eq!(status, Some(143));
}

/// What a COMMAND leaves behind: a daemon by a double fork in a session of its own, one that ignores signals, and a tree.
fn litter(mark: &str) -> String {
    format!(
        "(setsid sh -c 'sleep 1{mark} & sleep 2{mark}' & ) ; \
         sh -c 'trap \"\" HUP TERM INT; sleep 3{mark}; :' & \
         for i in 1 2 3 4 5; do sh -c 'sh -c \"sleep 4{mark}\" & sleep 5{mark}' & done; \
         sleep 0.3"
    )
}

#[test]
fn what_command_has_started_ends_with_us() {
    if !(possible() && installed(&["setsid", "kill"])) {
        return;
    }
    // A number that no other process sleeps for.
    let mark = |n: u32| format!("{:06}{n}", std::process::id());
    let ended = mark(1);
    let output = run(&["-q", "serve", "hello", "--", "sh", "-c", &format!("{}; exit 7", litter(&ended))]);
    assert_eq!((output.status.code(), processes(&ended)), (Some(7), vec![]), "gone before we have ended");
    for (n, name) in [(2, "TERM"), (3, "KILL")] {
        let mark = mark(n);
        let line = format!("{}; echo ready; sleep 100", litter(&mark));
        let mut server = tcplab(&["-q", "serve", "hello", "--", "sh", "-c", &line]);
        let mut server = server.stdout(Stdio::piped()).spawn().expect("it starts");
        read_until(&mut BufReader::new(server.stdout.take().expect("a pipe")), "ready");
        assert!(processes(&mark).len() >= 8, "{:?}", processes(&mark));
        signal(&server, name);
        server.wait().expect("a child");
        if name == "KILL" { all_gone(&mark) } else { assert_eq!(processes(&mark), Vec::<String>::new()) }
    }
}

#[test]
fn what_command_has_started_ends_with_us_also_where_no_pid_namespace_is_allowed() {
    if !(possible() && is_root() && installed(&["setsid", "setpriv", "unshare", "ip"])) {
        return;
    }
    let mark = format!("{:06}4", std::process::id());
    let script = format!(
        "ip link set lo up && ip tuntap add dev lab0 mode tun && ip address add 192.168.69.2/24 dev lab0 && \
         ip link set lab0 up || exit {UNPREPARED}; \
         setpriv --bounding-set -sys_admin \"$0\" -q serve hello --tun lab0 -- sh -c '{}; readlink /proc/self/ns/pid; exit 7'; \
         echo $?; readlink /proc/self/ns/pid; pgrep -f '^sleep .{mark}'; \
         setpriv --bounding-set -sys_admin \"$0\" -q serve hello --tun lab0 -- sh -c '{}; sleep 100' & \
         n=0; until [ $(pgrep -fc '^sleep .{mark}') -ge 8 ] || [ $n -gt 1000 ]; do n=$((n + 1)); sleep 0.01; done; \
         pgrep -fc '^sleep .{mark}'; kill -KILL $!; \
         n=0; while pgrep -f '^sleep .{mark}' >/dev/null && [ $n -lt 1000 ]; do n=$((n + 1)); sleep 0.01; done; \
         pgrep -fc '^sleep .{mark}'; exit 0",
        litter(&mark).replace('\'', "'\\''"),
        litter(&mark).replace('\'', "'\\''"),
    );
    let output = apart("-n", &place("subreaper"), &script);
    let (told, said) = (text(&output.stdout), text(&output.stderr));
    if output.status.code() == Some(UNPREPARED) {
        return left_out("COMMAND without a PID namespace", said.trim());
    }
    let lines: Vec<_> = told.lines().collect();
    let [inside, code, outside, many, none] = lines[..] else { panic!("{told}{said}") };
    assert_eq!(inside, outside, "this is the way without a PID namespace");
    assert_eq!((code, none), ("7", "0"), "{told}{said}");
    assert!(many.parse::<u32>().is_ok_and(|count| count >= 8), "{told}{said}");
    all_gone(&mark);
}

#[test]
fn command_inherits_three_descriptors_and_as_root_three_capabilities() {
    if !possible() {
        return;
    }
    let line = "grep ^Cap /proc/self/status; ls /proc/self/fd";
    let dir = place("inherits");
    // A descriptor of the shell that starts us, without close-on-exec.
    let script =
        format!("exec 9< /dev/null; exec \"$0\" -q serve hello -w \"{}\" -- sh -c '{line}'", path(&dir.join("x")));
    let shell = Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_tcplab")]).stdin(Stdio::null()).output();
    let told = text(&shell.expect("a shell").stdout);
    // CAP_NET_BIND_SERVICE is 10, CAP_NET_ADMIN 12, CAP_NET_RAW 13.
    let kept = "0000000000003400";
    let sets: Vec<_> = told.lines().filter(|line| line.starts_with("Cap")).collect();
    let of = |name: &str| sets.iter().find_map(|set| set.strip_prefix(name)).unwrap_or_default().trim();
    assert_eq!([of("CapPrm:"), of("CapEff:"), of("CapBnd:")], [kept; 3], "{told}");
    assert_eq!([of("CapInh:"), of("CapAmb:")], ["0000000000000000"; 2], "{told}");
    let descriptors: Vec<_> = told.lines().filter(|line| !line.starts_with("Cap")).collect();
    // ls has opened the directory.
    assert_eq!(descriptors, ["0", "1", "2", "3"], "{told}");
}

#[test]
fn command_finds_its_own_processes_and_not_ours() {
    if !(possible() && installed(&["pgrep"])) {
        return;
    }
    let said = super::beside(&["hello"], "sleep 77 & pgrep -x sleep | wc -l; pgrep -x tcplab; kill -9 -1; echo $?");
    assert_eq!(said, "1\n0\n", "the kernel lets nobody reach the processes outside");
}

#[test]
fn connect_without_a_route_ends_with_command_and_says_so() {
    if !possible() {
        return;
    }
    let cases: [(&str, &[&str], &str); 4] = [
        ("10.1.2.3:80", &["--", "true"], "no route"),
        ("[2001:db8::1]:80", &["--", "false"], "no route"),
        ("192.168.69.77:80", &["--", "true"], "no host there"),
        ("10.1.2.3:80", &[], "no route"),
    ];
    for (to, command, why) in cases {
        let began = Instant::now();
        let output = run(&[&["connect", to], command].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{to}: {said}");
        assert!(said.contains(&format!("error: connect to {to}: {why}: ")), "{said}");
        assert!(said.contains("192.168.69.2 and fd69::2") && said.contains("--kernel-address"), "{said}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

#[test]
fn connect_reaches_an_address_that_command_gives_to_the_kernel() {
    if !(possible() && installed(&["ip", "nc"])) {
        return;
    }
    let line = "sleep 0.5; ip address add 10.1.2.3/32 dev lo; echo hello | nc -N -l 10.1.2.3 80";
    let output = run(&["connect", "10.1.2.3:80", "--", "sh", "-c", line]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "hello\n"), "{}", text(&output.stderr));
}
