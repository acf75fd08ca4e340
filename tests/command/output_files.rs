//! `-w` never destroys a file: not an input of the same command, and no file that is not a capture. Every refusal is exit
//! code 2, leaves the bytes of all files as they were, and makes no new file.
#![cfg(all(feature = "cli", unix))]

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const LINE: &str = r#"
[hosts.left]
address = "192.0.2.1/24"
[hosts.right]
address = "192.0.2.2/24"
[links]
left-right = "delay=1ms"
"#;

fn tcplab(dir: &Path, args: &[&str], stdin: Option<&Path>) -> Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tcplab"));
    let stdin = stdin.map_or_else(Stdio::null, |path| File::open(path).expect("it is there").into());
    command.args(args).current_dir(dir).stdin(stdin).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An empty directory with a scenario, a capture, and three other names of each.
fn place(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("output-files").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("sub")).expect("a directory");
    fs::write(dir.join("s.toml"), LINE).expect("a scenario");
    let made = tcplab(&dir, &["-q", "run", "handshake", "-w", "c.pcapng"], None);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    for file in ["s.toml", "c.pcapng"] {
        symlink(file, dir.join(format!("symbolic-{file}"))).expect("a symbolic link");
        fs::hard_link(dir.join(file), dir.join(format!("hard-{file}"))).expect("a hard link");
    }
    symlink("/dev/stdin", dir.join("link-to-stdin")).expect("a symbolic link");
    dir
}

/// Every file of a directory with its bytes.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).expect("a file")))
        .collect();
    all.sort();
    all
}

/// Runs a command that has to be refused.
#[track_caller]
fn refused(dir: &Path, args: &[&str], stdin: Option<&Path>, reason: &str) {
    let before = contents(dir);
    let output = tcplab(dir, args, stdin);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{args:?}: {said}");
    assert!(said.contains(reason) && said.contains("name another file"), "{args:?}: {said}");
    assert!(contents(dir) == before, "{args:?} changed a file");
}

const INPUT: &str = "and writing would destroy it";
const STDIN: &str = "this is standard input";

#[test]
fn a_capture_never_goes_to_the_recording_that_is_replayed() {
    let dir = place("replay");
    let absolute = dir.join("c.pcapng");
    let absolute = absolute.to_str().expect("UTF-8");
    for same in ["c.pcapng", "./c.pcapng", "sub/../c.pcapng", absolute, "symbolic-c.pcapng", "hard-c.pcapng"] {
        refused(&dir, &["replay", "c.pcapng", "-w", same], None, INPUT);
        refused(&dir, &["replay", same, "-w", "c.pcapng"], None, INPUT);
        refused(&dir, &["replay", "c.pcapng", "-w", same, "--force"], None, INPUT);
    }
    // The second of two inputs.
    fs::copy(dir.join("c.pcapng"), dir.join("d.pcapng")).expect("a copy");
    refused(&dir, &["replay", "c.pcapng", "d.pcapng", "-w", "d.pcapng"], None, INPUT);
}

#[test]
fn an_input_that_does_not_exist_does_not_come_into_being_as_the_output() {
    let dir = place("missing");
    for same in ["none.pcapng", "./none.pcapng", "sub/../none.pcapng"] {
        refused(&dir, &["replay", "none.pcapng", "-w", same], None, INPUT);
        refused(&dir, &["replay", same, "-w", "none.pcapng", "--force"], None, INPUT);
    }
    assert!(!dir.join("none.pcapng").exists());
}

#[test]
fn a_capture_never_goes_to_the_scenario_that_is_run() {
    let dir = place("run");
    for same in ["s.toml", "./s.toml", "symbolic-s.toml", "hard-s.toml"] {
        refused(&dir, &["run", "s.toml", "-w", same], None, INPUT);
        refused(&dir, &["run", same, "-w", "s.toml", "--force"], None, INPUT);
    }
}

#[test]
fn a_capture_never_goes_to_standard_input() {
    let dir = place("stdin");
    let capture = dir.join("c.pcapng");
    for stdin in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "link-to-stdin"] {
        refused(&dir, &["replay", "/dev/stdin", "-w", stdin], Some(&capture), STDIN);
        refused(&dir, &["run", "handshake", "-w", stdin, "--force"], Some(&capture), STDIN);
        refused(&dir, &["demo", "--simulated", "-w", stdin], Some(&capture), STDIN);
        refused(&dir, &["bench", "bulk", "--count", "1", "-w", stdin], Some(&capture), STDIN);
        // Standard input is a file that the output names by its own path.
        refused(&dir, &["replay", stdin, "-w", "c.pcapng"], Some(&capture), INPUT);
        refused(&dir, &["replay", stdin, "-w", "hard-c.pcapng"], Some(&capture), INPUT);
    }
}

#[test]
fn each_file_of_a_capture_at_all_hosts_is_checked_before_one_is_opened() {
    let dir = place("all");
    // The second host's file is the input.
    fs::rename(dir.join("s.toml"), dir.join("out.right.pcapng")).expect("renamed");
    refused(&dir, &["run", "out.right.pcapng", "-w", "out.pcapng", "--at", "all"], None, INPUT);
    assert!(!dir.join("out.left.pcapng").exists());
    // It is a text that is not read.
    fs::rename(dir.join("out.right.pcapng"), dir.join("s.toml")).expect("renamed");
    fs::write(dir.join("out.right.pcapng"), "notes").expect("written");
    let args = ["run", "s.toml", "-w", "out.pcapng", "--at", "all"];
    refused(&dir, &args, None, "not a capture");
    assert!(!dir.join("out.left.pcapng").exists());
    let forced = tcplab(&dir, &[&args[..], &["--force"]].concat(), None);
    assert_eq!(forced.status.code(), Some(0), "{}", text(&forced.stderr));
    assert!(fs::read(dir.join("out.right.pcapng")).expect("a capture").starts_with(b"\n\r\r\n"));
    assert!(dir.join("out.left.pcapng").exists() && !dir.join("out.pcapng").exists());
}

#[test]
fn a_file_that_is_not_a_capture_is_overwritten_only_with_force() {
    let dir = place("force");
    let commands: [&[&str]; 4] = [
        &["run", "handshake"],
        &["replay", "c.pcapng"],
        &["demo", "--simulated"],
        &["bench", "bulk", "--count", "1", "--only", "tcplab"],
    ];
    for command in commands {
        // Shorter than the magic of a capture, as long, longer.
        for content in ["x", "note", "notes of a week"] {
            fs::write(dir.join("notes"), content).expect("written");
            refused(&dir, &[command, &["-w", "notes"]].concat(), None, "add --force to overwrite it");
        }
        let forced = tcplab(&dir, &[command, &["-w", "notes", "--force"]].concat(), None);
        assert_eq!(forced.status.code(), Some(0), "{}", text(&forced.stderr));
        assert!(fs::read(dir.join("notes")).expect("a capture").starts_with(b"\n\r\r\n"), "{command:?}");
    }
}

#[test]
fn a_capture_and_an_empty_file_are_overwritten() {
    let dir = place("overwritten");
    let big_endian_pcap = 0xa1b2_c3d4_u32.to_be_bytes();
    let nanoseconds = 0xa1b2_3c4d_u32.to_le_bytes();
    for content in [&b""[..], &big_endian_pcap, &nanoseconds, b"\n\r\r\n and more"] {
        fs::write(dir.join("old"), content).expect("written");
        let output = tcplab(&dir, &["run", "handshake", "-w", "old"], None);
        assert_eq!(output.status.code(), Some(0), "{content:?}: {}", text(&output.stderr));
        assert_eq!(fs::read(dir.join("old")).expect("a capture"), fs::read(dir.join("c.pcapng")).expect("a capture"));
    }
}

#[test]
fn the_names_of_standard_output_behave_as_a_hyphen() {
    let dir = place("stdout");
    let capture = fs::read(dir.join("c.pcapng")).expect("a capture");
    let commands: [&[&str]; 3] = [&["run", "handshake"], &["replay", "c.pcapng"], &["demo", "--simulated"]];
    for command in commands {
        let hyphen = tcplab(&dir, &[command, &["-w", "-"]].concat(), None);
        assert_eq!(hyphen.status.code(), Some(0), "{}", text(&hyphen.stderr));
        assert!(hyphen.stdout.starts_with(b"\n\r\r\n"), "{command:?}: nothing but the capture");
        assert!(!hyphen.stderr.is_empty(), "{command:?}: the results");
        for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
            let named = tcplab(&dir, &[command, &["-w", name]].concat(), None);
            assert_eq!((named.status.code(), text(&named.stderr)), (Some(0), text(&hyphen.stderr)));
            assert!(named.stdout == hyphen.stdout, "{command:?} {name}");
        }
    }
    assert_eq!(tcplab(&dir, &["run", "handshake", "-w", "/dev/stdout"], None).stdout, capture);
    let all = tcplab(&dir, &["run", "handshake", "--at", "all", "-w", "/dev/stdout"], None);
    assert_eq!((all.status.code(), all.stdout.len()), (Some(2), 0));
}

#[test]
fn standard_output_that_appends_to_the_input_is_refused() {
    let dir = place("append");
    let before = contents(&dir);
    let append = fs::OpenOptions::new().append(true).open(dir.join("c.pcapng")).expect("it is there");
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tcplab"));
    let output = command.args(["replay", "c.pcapng", "-w", "-"]).current_dir(&dir).stdout(append).output();
    let output = output.expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("standard output is the input file c.pcapng"));
    assert!(contents(&dir) == before);
}
