//! `tcplab drill` as a command: exit codes, the order of the lines, `--expect`, captures, and the same JSON however many
//! scripts run at once.
#![cfg(feature = "cli")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::programs::scratch;
use assert_cmd::Command;

const GOOD: &str = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n\
    +0 < S 0:0(0) win 1000 <mss 1000>\n+0 > S. 0:0(0) ack 1 <mss 1460>\n";

/// A directory with a script of each verdict.
fn scripts(name: &str) -> PathBuf {
    let dir = scratch(name);
    let _ = fs::remove_dir_all(&dir);
    let bad = GOOD.replace("ack 1 <mss 1460>", "ack 2 <mss 1460>");
    let unsupported = format!("{GOOD}+0 setsockopt(3, IPPROTO_TCP, TCP_FASTOPEN, [1], 4) = 0\n");
    for (file, text) in
        [("b/good.pkt", GOOD), ("a/bad.pkt", bad.as_str()), ("c.pkt", unsupported.as_str()), ("d.pkt", "+0 what\n")]
    {
        let path = dir.join(file);
        fs::create_dir_all(path.parent().expect("a directory")).expect("room");
        fs::write(path, text).expect("room");
    }
    fs::write(dir.join("notes.txt"), "no script").expect("room");
    dir
}

/// Exit code, standard output and standard error.
fn drill(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcplab"));
    let output = command.current_dir(dir).arg("drill").args(args).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("no signal"), text(&output.stdout), text(&output.stderr))
}

#[test]
fn scripts_run_in_the_order_of_their_paths_and_the_exit_code_is_that_of_the_worst() {
    let dir = scripts("drill-order");
    let (code, out, told) = drill(&dir, &["--no-ladder", "."]);
    let verdicts: Vec<_> = out.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(
        verdicts,
        ["fail        ./a/bad.pkt", "pass        ./b/good.pkt", "unsupported ./c.pkt", "error       ./d.pkt"]
    );
    assert_eq!(code, 2, "{told}");
    assert!(out.contains("./a/bad.pkt:5: expected: > S. 0:0(0) ack 2 <mss 1460>"), "{out}");
    assert!(out.contains("acknowledgment number: expected 2, was 1"), "{out}");
    assert!(told.contains("directory") && told.contains("total"), "{told}");
    for (file, wanted) in [("a/bad.pkt", 1), ("b/good.pkt", 0), ("c.pkt", 1), ("d.pkt", 2), ("none.pkt", 2)] {
        assert_eq!(drill(&dir, &["-q", file]).0, wanted, "{file}");
    }
}

#[test]
fn a_failure_prints_the_ladder_before_it_and_verbose_prints_it_always() {
    let dir = scripts("drill-ladder");
    let (_, out, _) = drill(&dir, &["a/bad.pkt"]);
    let ladder = out.find("SYN|ACK 0:1 ack 1").expect("a ladder");
    assert!(ladder < out.find("expected: > S.").expect("a reason"), "{out}");
    assert!(drill(&dir, &["-v", "b/good.pkt"]).1.contains("SYN|ACK 0:1 ack 1"));
    assert!(!drill(&dir, &["b/good.pkt"]).1.contains("SYN|ACK"));
}

#[test]
fn expected_verdicts_are_no_failure_and_others_are() {
    let dir = scripts("drill-expect");
    let (_, json, _) = drill(&dir, &["--json", "."]);
    fs::write(dir.join("expected.json"), &json).expect("room");
    assert_eq!(drill(&dir, &["-q", "--expect", "expected.json", "."]).0, 0);
    fs::write(dir.join("expected.json"), json.replace("\"verdict\":\"pass\"", "\"verdict\":\"fail\"")).expect("room");
    assert_eq!(drill(&dir, &["-q", "--expect", "expected.json", "."]).0, 1);
    // What is expected is one line. What is not says so, and so do scripts that were not run.
    fs::write(dir.join("expected.json"), &json).expect("room");
    let (_, out, told) = drill(&dir, &["--expect", "expected.json", "."]);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "fail        ./a/bad.pkt (as expected)",
            "pass        ./b/good.pkt",
            "unsupported ./c.pkt (as expected)",
            "error       ./d.pkt (as expected)"
        ]
    );
    assert!(told.contains("0 of 4 verdicts are not those of expected.json") && !told.contains("not run"), "{told}");
    let (code, out, told) = drill(&dir, &["--no-ladder", "--expect", "expected.json", "a/bad.pkt", "b/good.pkt"]);
    assert!(out.starts_with("fail        a/bad.pkt (expected: pass, as --expect does not name it)\n"), "{out}");
    assert!(out.contains("acknowledgment number: expected 2, was 1"), "{out}");
    assert!(told.contains("1 of 2 verdicts") && told.contains("4 scripts of expected.json were not run"), "{told}");
    assert_eq!(code, 1);
    let (_, out, _) = drill(&dir, &["-v", "--no-ladder", "--expect", "expected.json", "./a/bad.pkt"]);
    assert!(out.contains("(as expected)") && out.contains("acknowledgment number"), "{out}");
    fs::write(dir.join("expected.json"), json.replace("\"unsupported\"", "\"fail\"")).expect("room");
    let (_, out, _) = drill(&dir, &["--no-ladder", "--expect", "expected.json", "./c.pkt"]);
    assert!(out.starts_with("unsupported ./c.pkt (expected: fail)\n"), "{out}");
    fs::write(dir.join("expected.json"), "no json\n").expect("room");
    let (code, _, told) = drill(&dir, &["--expect", "expected.json", "b/good.pkt"]);
    assert_eq!(code, 2);
    assert!(told.contains("expected.json:1"), "{told}");
}

#[test]
fn a_failure_tells_what_was_not_executed_and_whose_defaults_the_host_has() {
    let dir = scripts("drill-notes");
    let bad = GOOD.replace("ack 1 <mss 1460>", "ack 2 <mss 1460>");
    fs::write(dir.join("noted.pkt"), format!("`./defaults.sh`\n{bad}")).expect("room");
    let (_, out, _) = drill(&dir, &["--no-ladder", "noted.pkt"]);
    let noted = "  note: `./defaults.sh` is not executed\n";
    assert!(out.contains(noted), "{out}");
    assert!(
        out.ends_with("  note: the host has the defaults of rfc; --as linux or --as freebsd chooses others\n"),
        "{out}"
    );
    let (_, out, _) = drill(&dir, &["--no-ladder", "--as", "linux", "noted.pkt"]);
    assert!(out.ends_with(noted), "{out}");
    // A pass tells it only with -v.
    fs::write(dir.join("noted.pkt"), format!("`./defaults.sh`\n{GOOD}")).expect("room");
    let (_, out, told) = drill(&dir, &["noted.pkt"]);
    assert!(out == "pass        noted.pkt\n" && !told.contains("not executed"), "{out}{told}");
    assert!(drill(&dir, &["-v", "noted.pkt"]).2.contains("`./defaults.sh` is not executed"));
}

/// Issue 10: "the same JSON (but for `wall_ms`) [...] with `-j 1` and `-j 2`".
#[test]
fn the_json_is_the_same_however_many_scripts_run_at_once() {
    let dir = scripts("drill-jobs");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drill");
    let own = own.to_str().expect("a path of letters");
    let json = |jobs: &str| {
        let (_, json, _) = drill(&dir, &["--json", "-j", jobs, ".", own]);
        let lines = json.lines().map(|line| {
            let mut object: serde_json::Value = serde_json::from_str(line).expect("JSON");
            object["wall_ms"] = serde_json::Value::Null;
            object
        });
        lines.collect::<Vec<_>>()
    };
    let one = json("1");
    assert!(one.len() > 100);
    assert_eq!(one, json("2"));
}

#[test]
fn a_capture_is_written_for_each_script_and_a_file_that_is_none_is_kept() {
    let dir = scripts("drill-captures");
    let (code, _, told) = drill(&dir, &["-q", "-w", "out", "b/good.pkt", "a/bad.pkt"]);
    assert_eq!(code, 1, "{told}");
    let mut names: Vec<_> =
        fs::read_dir(dir.join("out")).expect("captures").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["a-bad.pcapng", "b-good.pcapng"]);
    let shown =
        Command::new(env!("CARGO_BIN_EXE_tcplab")).current_dir(&dir).args(["show", "out/b-good.pcapng"]).output();
    let shown = String::from_utf8_lossy(&shown.expect("it runs").stdout).into_owned();
    assert!(shown.contains("SYN|ACK 0:1 ack 1"), "{shown}");
    fs::write(dir.join("out/b-good.pcapng"), "mine").expect("room");
    assert_eq!(drill(&dir, &["-q", "-w", "out", "b/good.pkt"]).0, 2);
    assert_eq!(fs::read_to_string(dir.join("out/b-good.pcapng")).expect("it is there"), "mine");
}

#[test]
fn wrong_arguments_say_what_was_expected() {
    let dir = scripts("drill-usage");
    for (args, wanted) in [
        (&["--relax", "everything", "."][..], "window"),
        (&["--as", "plan9", "."], "freebsd"),
        (&["--set", "colour=blue", "."], "expected a known key (address, cc,"),
        (&["--set", "sack=maybe", "."], "--set sack=maybe: expected true or false"),
        (&["--set", "mtu", "."], "KEY=VALUE"),
        (&["--ip-version", "7", "."], "ipv6"),
        (&["-D", "1x", "."], "-D 1x"),
        (&["-j", "0", "."], "from 1 to 1024"),
        (&[], "FILE|DIR"),
    ] {
        let (code, out, told) = drill(&dir, args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {told}");
        assert!(told.contains(wanted), "{args:?}: {told}");
    }
}
