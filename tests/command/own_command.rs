//! A user's binary that adds a program to the command: `examples/own_command.rs`. Its program works in every command that
//! names programs, and the plain command refuses it. `examples/controller.rs` does the same with a congestion controller.
#![cfg(feature = "cli")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SCENARIO: &str = r#"
[hosts.client]
[hosts.server]
[links]
client-server = "delay=10ms"
[[programs]]
host = "server"
app = "shout"
[[programs]]
host = "client"
do = ["connect server:7002", "send \"quiet\"", "recv 5", "close"]
"#;

fn own_command() -> PathBuf {
    example("own_command")
}

/// The example beside this test. `cargo test` builds both.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let path = test.parent().and_then(Path::parent).expect("target/debug/deps").join("examples").join(name);
    assert!(path.exists(), "{} is missing: `cargo build --examples` makes it", path.display());
    path
}

fn run(program: &Path, args: &[&str]) -> Output {
    Command::new(program).args(args).env("COLUMNS", "100").output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn place(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("own-command").join(name);
    fs::create_dir_all(&dir).expect("a directory");
    dir
}

#[test]
fn a_program_of_a_user_runs_in_scenarios_sweeps_and_replays() {
    let (own, plain) = (own_command(), assert_cmd::cargo::cargo_bin!("tcplab"));
    let dir = place("everywhere");
    let (scenario, capture) = (dir.join("shout.toml"), dir.join("shout.pcapng"));
    fs::write(&scenario, SCENARIO).expect("written");
    let (scenario, capture) = (scenario.to_str().expect("UTF-8"), capture.to_str().expect("UTF-8"));

    let ran = run(&own, &["run", scenario, "-w", capture]);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    assert!(text(&ran.stdout).contains("5 bytes sent, 5 received"), "{}", text(&ran.stdout));
    let bytes = fs::read(capture).expect("a capture");
    let sent = |word: &[u8]| bytes.windows(word.len()).filter(|window| *window == word).count();
    assert_eq!(sent(b"QUIET"), 1, "the answer");

    let swept = run(&own, &["sweep", scenario, "--seed", "1..3", "--set", "host.cc=reno,none"]);
    let rows = text(&swept.stdout);
    assert_eq!((swept.status.code(), rows.lines().count()), (Some(0), 7), "{rows}");

    // The recipe in the capture names the program: the run is made again.
    let replayed = run(&own, &["replay", "-v", capture]);
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed.stdout));
    let as_server = run(&own, &["replay", "--app", "shout", "--no-recipe", capture]);
    assert_eq!(as_server.status.code(), Some(0), "{}", text(&as_server.stdout));
    let as_another = run(&own, &["replay", "--app", "echo", "--no-recipe", capture]);
    assert_eq!(as_another.status.code(), Some(1), "an echo answers otherwise: {}", text(&as_another.stdout));

    let refused = run(plain, &["run", scenario]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("expected hello, echo, discard, chat, bulk or http"), "{said}");
    let unknown = run(plain, &["replay", "--app", "shout", capture]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("possible values: hello, echo"), "{}", text(&unknown.stderr));
}

#[test]
fn every_command_lists_the_names_of_the_registry() {
    let (own, plain) = (own_command(), assert_cmd::cargo::cargo_bin!("tcplab"));
    let commands: &[&[&str]] = if cfg!(all(feature = "live", target_os = "linux")) {
        &[&["replay", "--help"], &["serve", "--help"]]
    } else {
        &[&["replay", "--help"]]
    };
    for command in commands {
        let line = "shout:   sends back what it receives, in capital letters; port 7002";
        assert!(text(&run(&own, command).stdout).contains(line), "{}", text(&run(&own, command).stdout));
        assert!(!text(&run(plain, command).stdout).contains("shout"));
    }
    assert!(text(&run(&own, &["completions", "bash"]).stdout).contains("shout"));
    for command in [&["run", "--help"][..], &["sweep", "--help"], &["bench", "bulk", "--help"]] {
        let help = text(&run(plain, command).stdout);
        assert!(["- reno:", "- cubic:", "- bbr:", "- none:"].iter().all(|name| help.contains(name)), "{help}");
    }
}

#[test]
fn every_congestion_controller_that_is_offered_is_taken() {
    let tcplab = assert_cmd::cargo::cargo_bin!("tcplab");
    for name in ["cubic", "reno", "bbr", "none"] {
        let ran = run(tcplab, &["-q", "run", "handshake", "--cc", name]);
        assert_eq!((ran.status.code(), text(&ran.stderr)), (Some(0), String::new()), "{name}");
        let set = run(tcplab, &["-q", "run", "handshake", "--set", &format!("hosts.client.cc={name}")]);
        assert_eq!(set.status.code(), Some(0), "{name}: {}", text(&set.stderr));
    }
    let unknown = run(tcplab, &["run", "handshake", "--cc", "vegas"]);
    assert_eq!(unknown.status.code(), Some(2));
    let set = run(tcplab, &["run", "handshake", "--set", "host.cc=vegas"]);
    assert_eq!(set.status.code(), Some(2));
    assert!(text(&set.stderr).contains("cubic, reno, bbr or none"), "{}", text(&set.stderr));
}

const DELAY: &str = r#"
[hosts.client]
cc = "delay"
[hosts.server]
[links]
client-server = "rate=10Mbit,delay=10ms"
[[programs]]
host = "server"
app = "bulk"
[[programs]]
host = "client"
app = "bulk"
to = "server"
[[programs]]
host = "server"
do = ["socket", "set cc delay", "set cc vegas -> ENOENT"]
"#;

#[test]
fn a_controller_of_a_user_is_named_in_scenarios_settings_and_options() {
    let (own, plain) = (example("controller"), assert_cmd::cargo::cargo_bin!("tcplab"));
    let dir = place("controller");
    let (scenario, capture) = (dir.join("delay.toml"), dir.join("delay.pcapng"));
    fs::write(&scenario, DELAY).expect("written");
    let (scenario, capture) = (scenario.to_str().expect("UTF-8"), capture.to_str().expect("UTF-8"));

    let ran = run(&own, &["run", scenario, "--no-ladder", "-w", capture]);
    assert_eq!(ran.status.code(), Some(0), "{}{}", text(&ran.stdout), text(&ran.stderr));
    let replayed = run(&own, &["replay", capture]);
    assert_eq!(replayed.status.code(), Some(0), "the recipe names it: {}", text(&replayed.stdout));
    let swept = run(&own, &["sweep", scenario, "--set", "host.cc=delay,cubic"]);
    assert_eq!((swept.status.code(), text(&swept.stdout).lines().count()), (Some(0), 3), "{}", text(&swept.stderr));
    let chosen = run(&own, &["-q", "run", "handshake", "--cc", "delay"]);
    assert_eq!(chosen.status.code(), Some(0), "{}", text(&chosen.stderr));
    let help = text(&run(&own, &["run", "--help"]).stdout);
    assert!(help.contains("- delay: about three segments in the queue"), "{help}");

    let refused = run(plain, &["run", scenario]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    let expected = "line 3, column 6: `hosts.client.cc`: expected cubic, reno, bbr or none";
    assert!(said.contains(expected), "{said}");
}
