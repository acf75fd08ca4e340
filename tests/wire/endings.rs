//! However it ends, nothing is left: no process, no namespace, no device.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{begin, finish, possible, text, wire};

/// The processes of this machine that are in a network namespace, by its number.
fn processes_in(namespace: &str) -> Vec<String> {
    let in_it = |pid: &String| {
        let link = fs::read_link(format!("/proc/{pid}/ns/net"));
        link.is_ok_and(|link| link.to_string_lossy() == namespace)
    };
    let names =
        fs::read_dir("/proc").expect("proc").flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).filter(in_it).collect()
}

#[track_caller]
fn all_gone(namespace: &str) {
    let began = Instant::now();
    while !processes_in(namespace).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10), "{namespace}: {:?} still run", processes_in(namespace));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn devices() -> String {
    fs::read_to_string("/proc/net/dev")
        .expect("proc")
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A run with processes that leave their parents on both sides. Gives it and the namespaces of both.
fn busy() -> (Child, [String; 2]) {
    let orphans = "setsid sleep 300 & (sleep 301 &); readlink /proc/self/ns/net";
    let left = format!("{orphans} >&2; sleep 302");
    let right = format!("sleep 0.3; {orphans}; sleep 303");
    let mut child = begin(&["--wait", "none", "--left", &left, "--right", &right]);
    let mut namespaces = [String::new(), String::new()];
    let mut said = BufReader::new(child.stderr.as_mut().expect("a pipe"));
    while !namespaces[0].starts_with("net:") {
        namespaces[0].clear();
        assert!(said.read_line(&mut namespaces[0]).expect("a line") > 0);
    }
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut namespaces[1]).expect("a line");
    (child, namespaces.map(|line| line.trim().to_owned()))
}

#[test]
fn after_every_signal_nothing_is_left() {
    if !possible() {
        return;
    }
    let before = devices();
    for (name, code) in [("KILL", None), ("TERM", Some(143)), ("INT", Some(130)), ("HUP", Some(129)), ("ABRT", None)] {
        let (child, namespaces) = busy();
        assert_ne!(namespaces[0], namespaces[1]);
        for namespace in &namespaces {
            assert!(processes_in(namespace).len() >= 3, "{name}: {namespace}");
        }
        let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
        let output = finish(child);
        assert_eq!(output.status.code(), code, "{name}: {}", text(&output.stderr));
        for namespace in &namespaces {
            all_gone(namespace);
        }
    }
    assert_eq!(devices(), before);
}

#[test]
fn the_left_command_ends_with_the_right_one_and_what_is_on_its_way_arrives() {
    if !possible() {
        return;
    }
    let (before, began) = (devices(), Instant::now());
    // The FIN needs 60 ms, and the left one tells when it has come.
    let left = "readlink /proc/self/ns/net >&2; setsid sleep 300 & nc -l 9000 > /dev/null; echo came >&2; sleep 300";
    let right = "readlink /proc/self/ns/net; echo x | nc -N -q 0 10.77.0.1 9000 & sleep 0.3";
    let ran = wire(&["--link", "delay=60ms", "--left", left, "--right", right]);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert!(ran.said.contains("came\n"), "{}", ran.said);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let left = ran.said.lines().find(|line| line.starts_with("net:")).expect("a namespace");
    for namespace in [left, ran.printed.trim()] {
        all_gone(namespace);
    }
    assert_eq!(devices(), before);
}

#[test]
fn a_device_that_is_deleted_ends_the_run_and_one_that_is_down_does_not() {
    if !(possible() && super::installed(&["ip", "ping"])) {
        return;
    }
    let right = "ip link set tcplab0 down; sleep 0.1; ip link set tcplab0 up; \
                 ping -q -c 1 10.77.0.1 | grep -o ' 0% packet loss'";
    let ran = wire(&["--right", right]);
    assert_eq!((ran.code, ran.printed.as_str()), (Some(0), " 0% packet loss\n"), "{}", ran.said);
    let ran = wire(&["--right", "ip link del tcplab0; sleep 300"]);
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert!(ran.said.contains("the device was deleted"), "{}", ran.said);
}

#[test]
fn a_capture_on_a_full_disk_costs_the_exit_code_and_not_the_run() {
    if !possible() || !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let mut command = super::tcplab(&["wire", "-w", "/dev/full", "--right", "echo ran"]);
    let output = finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(2), "it cannot begin: {}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
}
