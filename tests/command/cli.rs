//! The command as a user runs it: what it prints where, and its exit code.
#![cfg(feature = "cli")]

#[cfg(unix)]
mod hostile;

use std::process::Output;

use assert_cmd::Command;

use crate::common::golden;

fn tcplab(args: &[&str]) -> Output {
    let mut command = Command::cargo_bin("tcplab").expect("the binary of this package");
    command.args(args).env_remove("NO_COLOR").env("COLUMNS", "100").output().expect("it starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[test]
fn help_says_what_there_is() {
    let help = tcplab(&["--help"]);
    assert_eq!((help.status.code(), stderr(&help)), (Some(0), String::new()));
    golden("cli/help.txt", &stdout(&help));
    golden("cli/help-show.txt", &stdout(&tcplab(&["show", "--help"])));
    golden("cli/help-bench-churn.txt", &stdout(&tcplab(&["bench", "churn", "--help"])));
    assert_eq!(stdout(&tcplab(&["-V"])), format!("tcplab {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_exits_2_and_prints_nothing_on_standard_output() {
    let wrong: [&[&str]; 8] = [
        &[],
        &["dmeo"],
        &["demo", "--no-such-flag"],
        &["bench"],
        &["bench", "connections", "--count", "0"],
        &["bench", "churn", "--time-wait", "100"],
        &["-q", "-v", "demo"],
        &["completions", "cmd"],
    ];
    for args in wrong {
        let output = tcplab(args);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()), "{args:?}");
        assert!(!stderr(&output).is_empty(), "{args:?}");
    }
    let said = stderr(&tcplab(&["bench", "churn", "--time-wait", "100"]));
    assert!(said.contains("'100'") && said.contains("--time-wait") && said.contains("20ms"), "{said}");
}

#[test]
fn the_demo_draws_the_same_ladder_every_time() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("simulated-demo.pcapng");
    let path = path.to_str().expect("UTF-8");
    let demo = tcplab(&["demo", "--simulated", "-w", path]);
    assert_eq!(demo.status.code(), Some(0));
    golden("cli/demo.txt", &stdout(&demo));
    let said = stderr(&demo);
    assert!(said.starts_with("path: simulated link: "), "{said}");
    assert!(said.contains("Hello, Client!"), "{said}");
    let capture = std::fs::read(path).expect("the capture");
    let quiet = tcplab(&["-q", "demo", "--simulated", "-w", path]);
    assert!(std::fs::read(path).expect("the capture") == capture, "same run, same bytes");
    assert_eq!((stdout(&quiet), stderr(&quiet)), (stdout(&demo), String::new()));
}

#[test]
fn full_comments_of_the_demo_know_the_sender() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("full-demo.pcapng");
    let path = path.to_str().expect("UTF-8");
    assert_eq!(tcplab(&["demo", "--simulated", "--comments", "full", "-w", path]).status.code(), Some(0));
    let json = stdout(&tcplab(&["show", "--json", path]));
    // The capture is taken at the server, which is on the right.
    let ours: Vec<_> = json.lines().filter(|line| line.contains("\"from\":1")).collect();
    let words = ["srtt=", "rttvar=", "rto=", "cwnd=", "flight_size="];
    assert!(ours.iter().any(|line| words.iter().all(|word| line.contains(word))), "{json}");
    assert_eq!(tcplab(&["demo", "--simulated", "-w", path]).status.code(), Some(0));
    assert!(!stdout(&tcplab(&["show", "--json", path])).contains("rto="), "not unless asked for");
}

#[test]
fn the_benches_print_one_json_object_for_each_side() {
    const FIELDS: [&str; 15] = [
        "bench",
        "packets",
        "frames",
        "connections",
        "hosts",
        "buffer_kib",
        "sim_s",
        "cpu_s",
        "wall_s",
        "frames_per_cpu_s",
        "goodput_mbit",
        "retransmissions",
        "dropped",
        "peak_rss_kib",
        "subject",
    ];
    let runs: [(&[&str], u64); 3] = [
        (&["bench", "connections", "--count", "3", "--messages", "50", "--json"], 3),
        (&["bench", "churn", "--count", "40", "--parallel", "4", "--json"], 40),
        (&["bench", "bulk", "--count", "1", "--json"], 1),
    ];
    for (args, connections) in runs {
        let output = tcplab(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        let text = stdout(&output);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
        assert!(lines.len() >= 2, "{args:?}: {text}");
        assert_eq!(lines[0]["subject"], "tcplab", "{args:?}");
        assert_eq!(lines[1]["subject"], "bare-smoltcp", "{args:?}");
        for line in &lines {
            for field in FIELDS {
                assert!(line.get(field).is_some(), "{args:?}: no {field} in {line}");
            }
            assert_eq!(line["bench"], args[1]);
            assert_eq!(line["connections"], connections, "{args:?}: {line}");
            assert_eq!((line["dropped"].as_u64(), line["retransmissions"].as_u64()), (Some(0), Some(0)), "{line}");
        }
        let of = |at: usize| lines[at]["packets"].as_u64().expect("a number");
        // smoltcp sends the FIN of a short connection behind its text; here they leave together.
        assert!(of(0).abs_diff(of(1)) * 12 <= of(1), "{args:?}: the same work makes about the same packets: {text}");
    }
}

#[test]
fn the_table_has_tcplab_and_the_reference_next_to_each_other() {
    let output = tcplab(&["bench", "connections", "--count", "2", "--messages", "20", "--color", "always"]);
    let text = stdout(&output);
    assert!(text.starts_with("\x1b[1mconnections: 2 established"), "{text}");
    assert!(text.contains("tcplab bare-smoltcp bare-smoltcp-one-set   ratio  target"), "{text}");
    let only = stdout(&tcplab(&["bench", "connections", "--messages", "20", "--only", "tcplab"]));
    assert!(only.starts_with("connections: 100 established") && !only.contains("bare-smoltcp"), "{only}");
}

#[test]
fn the_topics_of_lessons_are_bold_where_there_are_colours() {
    let plain = stdout(&tcplab(&["lessons"]));
    let topic = plain.lines().next().expect("a topic");
    let bold = stdout(&tcplab(&["lessons", "--color", "always"]));
    assert!(bold.starts_with(&format!("\x1b[1m{topic}\x1b[0m\n")), "{bold}");
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let man = stdout(&tcplab(&["man"]));
    for command in ["demo", "show", "bench", "completions"] {
        assert!(man.contains(&format!("tcplab\\-{command}")), "{command}: {man}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&tcplab(&["completions", shell]));
        assert!(script.contains("tcplab") && script.contains("demo"), "{shell}: {script}");
    }
}

/// A wrong command of `tests/wrong/commands.txt`, and what its message must have: the operation, the object, the way out.
#[cfg(all(feature = "live", target_os = "linux"))]
struct Wrong {
    line: String,
    words: Vec<String>,
    says: Vec<String>,
}

/// Reads the table. Writes its files into `place`.
#[cfg(all(feature = "live", target_os = "linux"))]
fn wrong_commands(place: &std::path::Path) -> Vec<Wrong> {
    let text = include_str!("../wrong/commands.txt").replace("\r\n", "\n");
    let (mut commands, mut file): (Vec<Wrong>, Option<(std::path::PathBuf, String)>) = (Vec::new(), None);
    for line in text.lines().chain([""]) {
        if let (Some((_, content)), Some(rest)) = (&mut file, line.strip_prefix("    ")) {
            content.push_str(rest);
            content.push('\n');
            continue;
        }
        if let Some((path, content)) = file.take() {
            std::fs::write(path, content).expect("written");
        }
        if let Some(name) = line.strip_prefix("file ") {
            file = Some((place.join(name), String::new()));
        } else if let Some(rest) = line.strip_prefix("$") {
            let (command, says) = rest.split_once("=>").unwrap_or_else(|| panic!("no => in: {line}"));
            let says = says.split(" | ").map(|word| word.trim().to_owned()).collect();
            commands.push(Wrong { line: line.to_owned(), words: words(command), says });
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "tests/wrong/commands.txt: {line}");
        }
    }
    commands
}

/// The words of a command line, of which some may be in single quotation marks.
#[cfg(all(feature = "live", target_os = "linux"))]
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in line.trim().chars().chain([' ']) {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words
}

#[test]
#[cfg(all(feature = "live", target_os = "linux"))]
fn a_wrong_command_exits_2_and_names_the_operation_the_object_and_the_way_out() {
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("wrong-commands");
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(place.join("dir")).expect("made");
    std::fs::write(place.join("binary.toml"), b"\xff\xfe\x00\x01").expect("written");
    let run = |words: &[String]| {
        let mut command = Command::cargo_bin("tcplab").expect("the binary of this package");
        command.args(words).current_dir(&place).env_remove("NO_COLOR").env("COLUMNS", "100");
        command.timeout(std::time::Duration::from_secs(20)).output().expect("it starts")
    };
    let capture = words("-q demo --simulated -w capture.pcapng");
    assert_eq!(run(&capture).status.code(), Some(0));
    let commands = wrong_commands(&place);
    assert!(commands.len() >= 200, "{} commands", commands.len());
    let files = || {
        let entries = std::fs::read_dir(&place).expect("it is there").map(|entry| entry.expect("an entry").file_name());
        entries.collect::<std::collections::BTreeSet<_>>()
    };
    let before = files();
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for part in commands.chunks(commands.len().div_ceil(4)) {
            let (run, failures) = (&run, &failures);
            scope.spawn(move || {
                for Wrong { line, words, says } in part {
                    let output = run(words);
                    let said = stderr(&output);
                    let missing: Vec<_> = says.iter().filter(|word| !said.contains(word.as_str())).collect();
                    let bug = said.contains("panicked") || said.contains("bug of tcplab") || says.len() < 3;
                    if output.status.code() != Some(2) || !output.stdout.is_empty() || !missing.is_empty() || bug {
                        let code = output.status.code();
                        let text =
                            format!("{line}\n  code {code:?}, without {missing:?}:\n  {said}{}", stdout(&output));
                        failures.lock().expect("no thread panics with it").push(text);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread panics with it");
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), commands.len(), failures.join("\n"));
    assert_eq!(files(), before, "a wrong command writes no file");
}
