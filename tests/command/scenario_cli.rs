//! `tcplab run` and `tcplab lessons` as a user runs them: what they print where, the files they leave, exit codes.
#![cfg(feature = "cli")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use tcplab::capture::Comments;
use tcplab::scenario::{Recipe, Scenario, lessons};

fn tcplab(arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("tcplab").expect("the binary of this package");
    command.args(arguments).env_remove("NO_COLOR").env("COLUMNS", "100").output().expect("it starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// A fresh directory.
fn place(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).expect("a directory");
    place
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn lessons_are_listed_and_shown_as_files_to_start_from() {
    let listed = stdout(&tcplab(&["lessons"]));
    let lines = stdout(&tcplab(&["lessons", "--json"]));
    let rows: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.len(), lessons().count());
    for (name, row) in lessons().zip(&rows) {
        assert!(listed.contains(&format!("\n  {name} ")), "{name}");
        assert_eq!(row["name"], name);
        assert!(row["topic"].is_string() && row["summary"].is_string());
    }
    let output = tcplab(&["lessons", "--show", "close"]);
    let shown = stdout(&output);
    assert_eq!(shown, Scenario::lesson("close").expect("a lesson").text());
    for (key, _) in tcplab::scenario::keys() {
        let told = key.strip_prefix("hosts.NAME.").is_none_or(|key| stderr(&output).contains(key));
        assert!(told, "{key} is not named beside the lesson");
    }
    let place = place("shown");
    let path = place.join("mine.toml");
    fs::write(&path, shown).expect("written");
    assert_eq!(tcplab(&["run", text(&path)]).status.code(), Some(0));
    let unknown = tcplab(&["lessons", "--show", "clsoe"]);
    assert_eq!((unknown.status.code(), stdout(&unknown)), (Some(2), String::new()));
    assert!(stderr(&unknown).contains("handshake"));
}

#[test]
fn a_run_tells_its_story_and_leaves_no_file_unless_asked() {
    let place = place("no-file");
    let mut command = Command::cargo_bin("tcplab").expect("the binary of this package");
    let output = command.args(["run", "many-clients"]).current_dir(&place).output().expect("it starts");
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let told = stdout(&output);
    for expected in ["One port can serve", "SYN|ACK", "3 LISTEN 0.0.0.0:80\n", "8 ESTABLISHED", "In Wireshark"] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
    assert_eq!(fs::read_dir(&place).expect("a directory").count(), 0);
}

#[test]
fn a_refusal_that_the_story_tells_is_exit_0_and_one_that_it_does_not_is_exit_1() {
    assert_eq!(tcplab(&["run", "refused"]).status.code(), Some(0));
    let place = place("refused");
    let path = place.join("refused.toml");
    let lesson = Scenario::lesson("refused").expect("a lesson");
    fs::write(&path, lesson.text().replace(" -> ECONNREFUSED\"", "\"")).expect("written");
    let output = tcplab(&["run", text(&path)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("ECONNREFUSED"), "{}", stderr(&output));
    assert!(stdout(&output).contains("RST"), "the ladder is there all the same");
}

#[test]
fn a_capture_has_the_bytes_of_its_recipe_wherever_it_is_written() {
    let place = place("captures");
    let recipe = |host: &str| {
        let mut lesson = Scenario::lesson("lost-data").expect("a lesson");
        lesson.set("host.cc", "cubic").and_then(|()| lesson.set("link.delay", "30ms")).expect("settings");
        Recipe::new(&lesson, 5).at(host).rerun_to_bytes().expect("it runs")
    };
    let path = place.join("all.pcapng");
    let arguments = ["run", "lost-data", "--seed", "5", "--cc", "cubic", "--link", "delay=30ms", "--at", "all"];
    let output = tcplab(&[&arguments[..], &["-w", text(&path)]].concat());
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("packets in"));
    assert!(!path.exists());
    for host in ["client", "server"] {
        assert!(fs::read(place.join(format!("all.{host}.pcapng"))).expect("a capture") == recipe(host), "{host}");
    }
    let streamed = tcplab(&["run", "lost-data", "--seed", "5", "--cc", "cubic", "--link", "delay=30ms", "-w", "-"]);
    assert!(streamed.stdout == recipe("client"), "a stream has the same bytes");
    assert!(stderr(&streamed).contains("RFC 6298"), "what else is to be said goes to standard error");
    let full = place.join("full.pcapng");
    assert_eq!(
        tcplab(&["run", "lost-data", "--comments", "full", "-s", "80", "-c", "9", "-w", text(&full)]).status.code(),
        Some(0)
    );
    let lesson = Scenario::lesson("lost-data").expect("a lesson");
    let recipe = Recipe::new(&lesson, 1).comments(Comments::Full).snaplen(80).count(9);
    let bytes = fs::read(&full).expect("a capture");
    assert!(bytes == recipe.rerun_to_bytes().expect("it runs"));
    assert!(String::from_utf8_lossy(&bytes).contains("cwnd"), "full comments have the numbers");
    let quiet = tcplab(&["-q", "run", "handshake", "-w", text(&place.join("x.pcapng"))]);
    assert_eq!(stderr(&quiet), "");
}

#[test]
fn the_wall_clock_changes_no_byte() {
    let place = place("realtime");
    let paths = ["slow.pcapng", "fast.pcapng"].map(|name| place.join(name));
    let slow = tcplab(&["run", "half-close", "--realtime", "-w", text(&paths[0])]);
    let fast = tcplab(&["run", "half-close", "-w", text(&paths[1])]);
    assert_eq!((slow.status.code(), stdout(&slow)), (Some(0), stdout(&fast)));
    let [slow, fast] = paths.map(|path| fs::read(path).expect("a capture"));
    assert!(slow == fast);
}

#[test]
fn every_event_and_every_field_of_it_is_on_its_page() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md")).expect("the page");
    let (mut events, mut fields) = (BTreeSet::new(), BTreeSet::new());
    for name in
        ["many-clients", "unreachable", "duplicate", "corrupt", "lost-data", "backlog", "udp-vs-tcp", "fairness"]
    {
        let output = tcplab(&["run", name, "--json"]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{name}");
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let line = line.as_object().expect("an object");
            assert!(line["at"].is_string(), "{line:?}");
            events.insert(line["event"].as_str().expect("a name").to_owned());
            fields.extend(line.keys().cloned());
        }
        assert!(text.lines().last().expect("a line").contains("\"event\":\"end\""));
    }
    for name in
        ["sent", "forwarded", "delivered", "duplicated", "dropped", "refused", "state", "queue", "call", "timer"]
    {
        assert!(events.contains(name), "no event {name} among {events:?}");
    }
    for name in events.iter().chain(&fields) {
        assert!(page.contains(&format!("`{name}`")), "docs/events.md does not know `{name}`");
    }
}

#[test]
fn wrong_usage_exits_2_and_prints_nothing_on_standard_output() {
    let place = place("wrong");
    let wrong_file = place.join("wrong.toml");
    fs::write(&wrong_file, "[hosts.client]\nccc = \"reno\"\n").expect("written");
    let long = place.join("long.toml");
    fs::write(&long, format!("[hosts.a]\n# {}\n", "x".repeat(70_000))).expect("written");
    let capture = place.join("x.pcapng");
    let wrong: [&[&str]; 11] = [
        &["run"],
        &["run", "no-such-lesson"],
        &["run", "/nowhere/x.toml"],
        &["run", text(&wrong_file)],
        &["run", "handshake", "--set", "link.los=1%"],
        &["run", "handshake", "--set", "link.loss"],
        &["run", "handshake", "--link", "loss=1"],
        &["run", "handshake", "--link", "client>router:loss=1%"],
        &["run", "handshake", "--cc", "vegas"],
        &["run", "handshake", "--at", "router", "-w", "never.pcapng"],
        &["run", "handshake", "--at", "all", "-w", "-"],
    ];
    for arguments in wrong {
        let output = tcplab(arguments);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()), "{arguments:?}");
        assert!(!stderr(&output).is_empty(), "{arguments:?}");
    }
    if cfg!(unix) {
        let endless = tcplab(&["run", "/dev/zero"]);
        assert_eq!((endless.status.code(), stdout(&endless)), (Some(2), String::new()));
        assert!(stderr(&endless).contains("at most 1048576 bytes"), "{}", stderr(&endless));
    }
    let said = stderr(&tcplab(&["run", text(&wrong_file)]));
    assert!(
        said.contains("wrong.toml: line 2, column 1: `hosts.client.ccc`") && said.contains("`cc` perhaps"),
        "{said}"
    );
    // It runs, but a capture has no room for its text.
    assert_eq!(tcplab(&["run", text(&long)]).status.code(), Some(0));
    let output = tcplab(&["run", text(&long), "-w", text(&capture)]);
    assert!(output.status.code() != Some(0) && stderr(&output).contains("65532"), "{}", stderr(&output));
    let nowhere = tcplab(&["run", "handshake", "-w", "/nowhere/x.pcapng"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(stderr(&nowhere).contains("/nowhere/x.pcapng"));
}

#[test]
fn every_kind_of_setting_of_a_host_can_be_swept_and_a_wrong_value_names_what_is_expected() {
    for set in [
        "host.cc=cubic,bbr",
        "host.initial_window=3,10",
        "host.sack=true,false",
        "host.min_rto=200ms,1s",
        "hosts.client.rcv_buf=auto,64KiB",
        "host.window_scale=auto,7",
        "host.option_layout=linux,freebsd",
        "host.window_update=doubled,two-segments",
    ] {
        let swept = tcplab(&["sweep", "hello", "--set", set]);
        assert_eq!((swept.status.code(), stdout(&swept).lines().count()), (Some(0), 3), "{set}: {}", stderr(&swept));
    }
    for (set, expected) in [
        ("host.cc=vegas", "takes cubic, reno, bbr or none"),
        ("host.initial_window=0", "takes a number from 1 to 1000"),
        ("host.min_rto=0", "at least 1ms"),
        ("host.window_scale=15", "takes a number from 0 to 14, or auto"),
        ("host.rcv_buf=17MiB", "takes bytes from 1 to 16777216, also as 64KiB or 1MiB, or auto"),
        ("host.option_layout=bsd", "takes linux, freebsd or compact"),
    ] {
        let refused = tcplab(&["run", "hello", "--set", set]);
        assert_eq!(refused.status.code(), Some(2), "{set}");
        assert!(stderr(&refused).contains(expected), "{set}: {}", stderr(&refused));
    }
}
