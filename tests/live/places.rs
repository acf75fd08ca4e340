//! Where the host is and who runs it: without privileges, on a device that somebody made beforehand, on a full disk,
//! into a pipe.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{finish, installed, path, place, possible, printed, tcplab, text};
use crate::common::left_out;
use tcplab::capture::Reader;

/// The exit code of a script whose preparations failed.
pub(super) const UNPREPARED: i32 = 99;

pub(super) fn is_root() -> bool {
    fs::metadata("/proc/self").expect("proc").uid() == 0
}

/// Runs a script in namespaces of its own (`-m` or `-n`), as root in them. `$0` is the command, `$1` the directory.
#[track_caller]
pub(super) fn apart(namespace: &str, dir: &Path, script: &str) -> Output {
    let mut unshare = Command::new("unshare");
    if !is_root() {
        unshare.arg("-r");
    }
    unshare.args([namespace, "sh", "-c", script, env!("CARGO_BIN_EXE_tcplab"), path(dir)]).stdin(Stdio::null());
    finish(unshare.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("unshare starts"))
}

/// A directory that everybody can reach, gone with the value.
struct Open(PathBuf);

impl Open {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("tcplab-{name}-{}", std::process::id()));
        fs::create_dir(&dir).expect("a directory");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("ours");
        Self(dir)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the command as nobody, who finds a /dev/net/tun with these permissions; all of that in a mount namespace of its
/// own. `None`, and a line on the list of what was left out, if this machine does not let us.
#[track_caller]
fn as_nobody(mode: &str, args: &[&str]) -> Option<Output> {
    if !(is_root() && installed(&["unshare", "mount", "setpriv"])) {
        left_out("the host on a TUN device, run by nobody", "run the tests as root: only root can become nobody");
        return None;
    }
    let dir = Open::new(&format!("nobody-{mode}-{}", args[0]));
    let prepare = format!(
        "{{ mount -t tmpfs -o mode=0755 tmpfs \"$1\" && mknod -m {mode} \"$1/node\" c 10 200 && \
         chmod {mode} \"$1/node\" && mount --bind \"$1/node\" /dev/net/tun && cp \"$0\" \"$1/tcplab\" && \
         mkdir -m 0777 \"$1/out\" && cd \"$1/out\"; }} || exit {UNPREPARED}; dir=$1; shift; \
         exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$dir/tcplab\" \"$@\""
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "sh", "-c", &prepare, env!("CARGO_BIN_EXE_tcplab"), path(&dir.0)]).args(args);
    let unshare = unshare.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = finish(unshare.spawn().expect("unshare starts"));
    if output.status.code() == Some(UNPREPARED) {
        left_out("the host on a TUN device, run by nobody", text(&output.stderr).trim());
        return None;
    }
    Some(output)
}

#[test]
fn nobody_needs_no_privileges_where_the_node_is_open() {
    if !possible() {
        return;
    }
    let Some(doctor) = as_nobody("0666", &["doctor"]) else { return };
    let says = text(&doctor.stdout);
    if let Some(refused) = says.lines().find(|line| line.starts_with("private network namespace: cannot")) {
        return left_out("the host on a TUN device, run by nobody", refused);
    }
    assert_eq!(doctor.status.code(), Some(0), "{says}");
    let demo = as_nobody("0666", &["demo"]).expect("as before");
    let said = text(&demo.stderr);
    assert_eq!(demo.status.code(), Some(0), "{said}");
    assert!(said.starts_with("path: tun tcplab0\n") && said.contains("Hello, Client!"), "{said}");
    let line = "id -u; curl -sS --max-time 20 http://192.168.69.1:8080/ | wc -c; \
                curl -sS --max-time 20 'http://[fd69::1]:8080/' | wc -c";
    let serve = ["serve", "http", "--size", "2000000", "-w", "x.pcapng", "--", "sh", "-c", line];
    let serve = as_nobody("0666", &serve).expect("as before");
    let said = text(&serve.stderr);
    // In the sandbox nobody is root.
    assert_eq!((serve.status.code(), text(&serve.stdout).as_str()), (Some(0), "0\n2000000\n2000000\n"), "{said}");
    assert!(said.starts_with("path: tun tcplab0\n"), "{said}");
    assert!(said.contains(" packets captured, 0 dropped by the device queue, 0 not written"), "{said}");
}

#[test]
fn nobody_is_told_what_to_do_where_the_node_is_closed() {
    if !possible() {
        return;
    }
    let Some(demo) = as_nobody("0600", &["demo"]) else { return };
    let said = text(&demo.stderr);
    assert_eq!(demo.status.code(), Some(0), "{said}");
    let first = said.lines().next().unwrap_or_default();
    assert!(first.starts_with("path: simulated link: ") && first.contains("chmod 0666 /dev/net/tun"), "{said}");
    assert!(text(&demo.stdout).contains("SYN|ACK 0:1 ack 1"), "the ladder all the same");
    let serve = as_nobody("0600", &["serve", "hello", "--", "true"]).expect("as before");
    let said = text(&serve.stderr);
    assert_eq!(serve.status.code(), Some(1), "{said}");
    assert!(said.contains("you may not open /dev/net/tun: ask for `chmod 0666 /dev/net/tun`"), "{said}");
    let doctor = as_nobody("0600", &["doctor"]).expect("as before");
    assert_eq!(doctor.status.code(), Some(1));
    assert!(text(&doctor.stdout).contains("TUN node may be opened: /dev/net/tun: Permission denied"));
}

#[test]
fn a_full_disk_ends_the_capture_and_not_the_transfer() {
    if !(possible() && installed(&["curl", "sha256sum", "unshare", "mount"])) {
        return;
    }
    let dir = place("full");
    let (small, kept) = (dir.join("small"), dir.join("kept.pcapng"));
    fs::create_dir(&small).expect("a directory");
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs \"$1/small\" || exit {UNPREPARED}; \
         \"$0\" serve http --size 5000000 -w \"$1/small/x.pcapng\" -- \
         sh -c 'curl -sS --max-time 50 http://192.168.69.1:8080/ | sha256sum'; code=$?; \
         cp \"$1/small/x.pcapng\" \"$1/kept.pcapng\"; exit $code"
    );
    let output = apart("-m", &dir, &script);
    let said = text(&output.stderr);
    if output.status.code() == Some(UNPREPARED) {
        return left_out("a capture on a full disk", said.trim());
    }
    assert_eq!(output.status.code(), Some(1), "{said}");
    fs::write(dir.join("whole"), (0..5_000_000_u64).map(|n| (n % 251) as u8).collect::<Vec<_>>()).expect("room");
    let whole = printed("sha256sum", &[path(&dir.join("whole"))]).unwrap_or_default();
    assert_eq!(text(&output.stdout).split_whitespace().next(), whole.split_whitespace().next(), "{said}");
    let summary = said.lines().find(|line| line.contains(" packets captured, ")).expect("a summary");
    let number = |line: &str| line.split(' ').next().and_then(|word| word.parse::<usize>().ok()).expect("a number");
    let captured = number(summary);
    let not_written = number(summary.split(", ").nth(2).expect("three parts"));
    assert!(captured > 100 && not_written > 100, "{summary}");
    assert!(said.contains(&format!("write {}: No space left on device", path(&small.join("x.pcapng")))), "{said}");
    let mut reader = Reader::open(&kept).expect("a capture");
    let mut whole = 0;
    while let Some(record) = reader.next_record() {
        record.expect("no record is cut");
        whole += 1;
    }
    assert_eq!(whole, captured);
    // tshark fails on a record that is cut short.
    let frames = printed("tshark", &["-n", "-r", path(&kept), "-T", "fields", "-e", "frame.number"]);
    assert_eq!(frames.map_or(captured, |frames| frames.lines().count()), captured);
}

#[test]
fn a_stream_shows_packets_while_the_connection_is_open() {
    if !(possible() && installed(&["nc", "mkfifo"])) {
        return;
    }
    let dir = place("stream");
    assert!(Command::new("mkfifo").arg(dir.join("more")).status().expect("it starts").success());
    // nc says one thing and is then silent until the pipe is opened and closed again.
    let line = format!("{{ echo one; cat {}; }} | nc -N 192.168.69.1 7", path(&dir.join("more")));
    let mut child = tcplab(&["serve", "echo", "-w", "-", "--", "sh", "-c", &line]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut reader =
        Reader::from_read(child.stdout.take().expect("a pipe"), "the pipe").expect("it begins as a capture");
    let mut longest = Duration::ZERO;
    // The request, its echo, and the kernel's ACK of that: nothing comes after it.
    let mut left = 3;
    while left > 0 {
        let record = reader.next_record().expect("the capture goes on").expect("a record");
        let age = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let at = record.at.since(tcplab::time::Instant::EPOCH);
        longest = longest.max(age.saturating_sub(at));
        let comment = record.comment.unwrap_or_default();
        left -= usize::from(comment.contains("data 1:5") || comment.contains("acknowledges everything up to 5"));
    }
    println!("the oldest packet was {longest:?} old when it could be read");
    assert!(longest < Duration::from_secs(2), "{longest:?}; it should be 0.1 s on a machine that is not busy");
    drop(File::options().write(true).open(dir.join("more")).expect("a pipe"));
    while let Some(record) = reader.next_record() {
        record.expect("a record");
    }
    let output = finish(child);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("one\n"), "COMMAND prints on standard error: {said}");
}

#[test]
fn a_device_made_beforehand_is_used_and_stays() {
    if !(possible() && installed(&["nc", "ip", "unshare"])) {
        return;
    }
    let script = "ip link set lo up && ip tuntap add dev lab0 mode tun && ip address add 10.9.0.2/24 dev lab0 && \
                  ip link set dev lab0 mtu 1400 txqueuelen 77 up || exit 99; \
                  \"$0\" serve hello --tun lab0 --address 10.9.0.1/24 -- nc -w 5 10.9.0.1 12345 || exit 1; echo; \
                  \"$0\" serve hello --tun lab0 -- \"$0\" serve hello --tun lab0 -- true; echo busy: $?; \
                  \"$0\" serve hello --tun lo -- true; echo kind: $?; \
                  \"$0\" serve hello --tun 'no name' -- true; echo name: $?; \
                  \"$0\" serve hello --tun new0 -- sh -c 'nc -w 5 192.168.69.1 12345 < /dev/null'; echo; \
                  ip -o link show";
    let output = apart("-n", &place("beforehand"), script);
    let (told, said) = (text(&output.stdout), text(&output.stderr));
    if output.status.code() == Some(UNPREPARED) {
        return left_out("a device made beforehand", said.trim());
    }
    assert_eq!(output.status.code(), Some(0), "{told}{said}");
    assert_eq!(said.matches("path: tun lab0\n").count(), 2, "{said}");
    assert!(told.starts_with("Hello, Client!\nbusy: 1\nkind: 2\nname: 2\nHello, Client!\n"), "{told}{said}");
    for hint in ["`lab0`", "choose another name", "`lo`", "is no TUN device", "`no name`", "path: tun new0\n"] {
        assert!(said.contains(hint), "no {hint} in {said}");
    }
    let link = told.lines().find(|line| line.contains(" lab0: ")).expect("it is still there");
    assert!(link.contains("mtu 1400") && link.contains("qlen 77"), "with the settings that it had: {link}");
    assert!(!told.contains(" new0: "), "what we made is gone: {told}");
}

#[test]
fn what_the_queue_of_the_device_drops_is_told() {
    if !(possible() && installed(&["ip", "ping", "unshare"])) {
        return;
    }
    let script = "ip link set lo up && ip tuntap add dev lab0 mode tun && ip address add 192.168.69.2/24 dev lab0 && \
                  ip link set dev lab0 txqueuelen 5 up || exit 99; cd \"$1\"; \
                  \"$0\" serve discard --tun lab0 -- sh -c '\
                      touch ready; until [ -e go ]; do sleep 0.01; done; \
                      ping -q -c 20 -i 0.01 -W 0.2 192.168.69.1; touch done; sleep 0.3; exit 0' & \
                  until [ -e ready ]; do sleep 0.01; done; kill -STOP $!; touch go; \
                  until [ -e done ]; do sleep 0.01; done; kill -CONT $!; wait $!";
    let output = apart("-n", &place("queue"), script);
    let said = text(&output.stderr);
    if output.status.code() == Some(UNPREPARED) {
        return left_out("a queue that is too short", said.trim());
    }
    assert_eq!(output.status.code(), Some(0), "{said}");
    let dropped = said.lines().find_map(|line| line.strip_suffix(" packets dropped by the device queue"));
    let dropped = dropped.and_then(|count| count.parse::<u32>().ok());
    assert!(dropped.is_some_and(|count| (1..=100).contains(&count)), "{said}");
}

#[test]
fn two_clients_of_the_kernel_chat() {
    if !(possible() && installed(&["nc", "mkfifo", "grep"])) {
        return;
    }
    let dir = place("chat");
    // Each repeats itself until the other has heard it: who comes into the room late hears nothing of before.
    let line = format!(
        "cd {}; mkfifo a b; nc -N 192.168.69.1 5000 < a > heard-by-a & nc -N 192.168.69.1 5000 < b > heard-by-b & \
         exec 3> a 4> b; \
         until grep -q 'from b' heard-by-a; do echo from b >&4; sleep 0.05; done; \
         until grep -q 'from a' heard-by-b; do echo from a >&3; sleep 0.05; done; \
         exec 3>&- 4>&-; wait; sort -u heard-by-a heard-by-b",
        path(&dir)
    );
    let file = dir.join("x.pcapng");
    assert_eq!(super::beside(&["chat", "-w", path(&file)], &line), "from a\nfrom b\n");
    super::clean(&file, "31");
}

#[test]
fn a_command_that_is_not_there_leaves_nothing_behind() {
    if !possible() {
        return;
    }
    let file = place("no-command").join("x.pcapng");
    for args in [["serve", "hello", "-w"], ["connect", "192.168.69.2:9", "-w"]] {
        let mut child = tcplab(&args);
        child.args([path(&file), "--", "/no/such/program"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = finish(child.spawn().expect("it starts"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("cannot run `/no/such/program`: No such file"), "{said}");
        let mut octets = Vec::new();
        File::open(&file).and_then(|mut file| file.read_to_end(&mut octets)).expect("a capture");
        assert!(Reader::open(&file).is_ok(), "it is closed in order all the same");
    }
}
