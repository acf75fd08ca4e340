//! `tcplab diff`: what it prints, its exit codes, and that a lesson run again is the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::{place, run, text};
use crate::common::golden;

/// A run of a lesson, as a file.
fn lesson(dir: &Path, name: &str, args: &[&str]) -> PathBuf {
    let file = dir.join(name);
    let output = run(&[&["run", "-q", "--no-ladder", "-w", file.to_str().expect("UTF-8")], args].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    file
}

fn diff(args: &[&str], a: &Path, b: &Path) -> Output {
    run(&[&["diff", a.to_str().expect("UTF-8"), b.to_str().expect("UTF-8")], args].concat())
}

fn objects(output: &Output) -> Vec<serde_json::Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

#[test]
fn a_lesson_with_another_seed_is_the_same_conversation() {
    let dir = place("diff-same");
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    for name in ["fast-retransmit", "close"] {
        let again = lesson(&dir, name, &[name, "--seed", "99"]);
        let own = captures.join(format!("{name}.pcapng"));
        let output = diff(&["--time", "1us"], &own, &again);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.starts_with("same: 1 conversations compared, "), "{said}");
    }
}

#[test]
fn every_capture_is_the_same_as_itself() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    for name in ["udp-vs-tcp", "unreachable", "pmtud", "paws", "simultaneous-open", "many-clients", "corrupt"] {
        let file = captures.join(format!("{name}.pcapng"));
        for more in [&["--time", "0ns"][..], &["--semantic"]] {
            let output = diff(more, &file, &file);
            assert_eq!(output.status.code(), Some(0), "{name} {more:?}: {}", text(&output.stdout));
        }
    }
}

#[test]
fn the_first_packet_that_differs_is_drawn_from_both_files() {
    let dir = place("diff-lines");
    let a = lesson(&dir, "a.pcapng", &["close"]);
    let b = lesson(&dir, "b.pcapng", &["close", "--set", "hosts.client.mtu=1400"]);
    let output = diff(&[], &a, &b);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    golden("diff/mss.txt", &text(&output.stdout));
    let slow = lesson(&dir, "slow.pcapng", &["close", "--link", "delay=30ms"]);
    assert_eq!(diff(&[], &a, &slow).status.code(), Some(0), "times are not compared");
    let output = diff(&["--time", "1ms"], &a, &slow);
    assert_eq!(output.status.code(), Some(1));
    let all = objects(&diff(&["--time", "1ms", "--json"], &a, &slow));
    assert_eq!((all.len(), &all[0]["verdict"], &all[0]["fields"][0]["field"]), (1, &"differs".into(), &"time".into()));
    assert!(text(&output.stdout).contains("  time  A "), "{}", text(&output.stdout));
}

#[test]
fn a_lossy_run_has_the_same_bytes_and_turns_as_one_without_loss() {
    let dir = place("diff-semantic");
    let a = lesson(&dir, "a.pcapng", &["http"]);
    let b = lesson(&dir, "b.pcapng", &["http", "--link", "loss=10%", "--seed", "5"]);
    assert_eq!(diff(&[], &a, &b).status.code(), Some(1), "other packets");
    let output = diff(&["--semantic"], &a, &b);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn conversations_that_only_one_file_has_are_named() {
    let dir = place("diff-only");
    let a = lesson(&dir, "a.pcapng", &["many-clients"]);
    let b = lesson(&dir, "b.pcapng", &["many-clients", "-c", "20"]);
    let all = objects(&diff(&["--json"], &a, &b));
    let count = |verdict: &str| all.iter().filter(|one| one["verdict"] == verdict).count();
    assert!(count("only-a") + count("differs") > 0 && count("only-b") == 0, "{all:?}");
    let back = objects(&diff(&["--json"], &b, &a));
    assert_eq!(back.iter().filter(|one| one["verdict"] == "only-b").count(), count("only-a"));
}

#[test]
fn what_cannot_be_compared_is_a_usage_error() {
    let dir = place("diff-errors");
    let a = lesson(&dir, "a.pcapng", &["close"]);
    fs::write(dir.join("notes.txt"), "notes").expect("a file");
    for (other, reason) in [("none.pcapng", "No such file"), ("notes.txt", "neither pcap nor pcapng")] {
        for [one, two] in [[a.clone(), dir.join(other)], [dir.join(other), a.clone()]] {
            let output = diff(&[], &one, &two);
            let said = text(&output.stderr);
            assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{said}");
            assert!(said.contains(reason), "{said}");
        }
    }
    assert_eq!(run(&["diff", "-", "-"]).status.code(), Some(2));
    let both = diff(&["--semantic", "--time", "1ms"], &a, &a);
    assert_eq!(both.status.code(), Some(2), "--semantic has no times");
    // A file that ends in the middle of a record is compared up to there, and a warning says so.
    let bytes = fs::read(&a).expect("a capture");
    fs::write(dir.join("torn.pcapng"), &bytes[..bytes.len() - 10]).expect("a file");
    let output = diff(&[], &a, &dir.join("torn.pcapng"));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("warning: "), "{}", text(&output.stderr));
}
