//! The plugin: the sentences that Wireshark reads, where it is installed, and a lesson captured by tshark as an ordinary
//! user.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{pipe_in, place, printed, programs, run, tcplab, text};
use crate::common::golden;

const SCENARIO: &str = "summary = \"A {line} of two hosts\"\nseed = 3\n[hosts.left]\naddress = \"192.0.2.1/24\"\n\
                        [hosts.right]\naddress = \"192.0.2.2/24\"\n[links]\nleft-right = \"delay=1ms\"\n";

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A directory with a scenario file, one with a mistake, and files that are none.
fn scenarios(name: &str) -> PathBuf {
    let dir = place(name);
    let files = [("mine.toml", SCENARIO), ("bad.toml", "broken"), ("a b.toml", SCENARIO), ("notes.txt", SCENARIO)];
    for (file, text) in files {
        fs::write(dir.join(file), text).expect("a file");
    }
    dir
}

#[test]
fn the_interfaces_are_the_chooser_every_lesson_and_every_scenario_file() {
    let dir = scenarios("interfaces");
    let said = printed(&["extcap", "--scenarios", path(&dir), "--extcap-interfaces", "--extcap-version=4.0"]);
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some(&*format!("extcap {{version={}}}{{display=tcplab}}", env!("CARGO_PKG_VERSION"))));
    let values: Vec<_> =
        lines.filter_map(|line| line.strip_prefix("interface {value=")?.split_once("}{display=")).collect();
    let lessons = printed(&["lessons", "--json", "-q"]);
    let lessons: Vec<serde_json::Value> =
        lessons.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let word = |lesson: &serde_json::Value, key: &str| lesson[key].as_str().expect("a text").to_owned();
    let mut expected = vec![("tcplab".to_owned(), "tcplab: choose a lesson or a scenario file}".to_owned())];
    expected.extend(lessons.iter().map(|lesson| {
        let name = word(lesson, "name");
        (format!("tcplab-{name}"), format!("tcplab {name}: {}}}", word(lesson, "summary")))
    }));
    expected.push(("tcplab-file-bad".to_owned(), "tcplab bad.toml: a mistake in the file}".to_owned()));
    // A brace would end the value.
    expected.push(("tcplab-file-mine".to_owned(), "tcplab mine.toml: A (line) of two hosts}".to_owned()));
    let values: Vec<_> = values.into_iter().map(|(name, display)| (name.to_owned(), display.to_owned())).collect();
    assert_eq!(values, expected);
}

#[test]
fn a_hundred_scenario_files_are_listed_and_no_more() {
    let dir = place("hundred");
    for (count, listed) in [(100, 100), (101, 100)] {
        for nth in 0..count {
            fs::write(dir.join(format!("s{nth:03}.toml")), SCENARIO).expect("a file");
        }
        let said = printed(&["extcap", "--scenarios", path(&dir), "--extcap-interfaces"]);
        assert_eq!(said.matches("{value=tcplab-file-").count(), listed, "{count} files");
    }
}

#[test]
fn the_dialog_has_seed_links_controller_vantage_point_comments_and_pace() {
    let dir = scenarios("dialog");
    let dialog = |name| printed(&["extcap", "--scenarios", path(&dir), "--extcap-interface", name, "--extcap-config"]);
    golden("extcap/fast-retransmit.txt", &dialog("tcplab-fast-retransmit"));
    golden("extcap/file.txt", &dialog("tcplab-file-mine"));
    // A mistake in the file does not make Wireshark print an error when it starts.
    assert!(dialog("tcplab-file-bad").contains("{call=--at}{display=Vantage point}{type=string}"));
    let chooser = dialog("tcplab");
    let lessons = printed(&["lessons", "--json", "-q"]).lines().count();
    assert_eq!(chooser.matches("value {arg=0}").count(), lessons + 2, "{chooser}");
    assert!(chooser.starts_with("arg {number=0}{call=--lesson}{display=Lesson}{type=selector}"), "{chooser}");
    assert_eq!(chooser.matches("{value=handshake}{display=handshake: ").count(), 1, "{chooser}");
    assert_eq!(chooser.lines().filter(|line| line.contains("arg=0") && line.contains("{default=true}")).count(), 1);
    let link_types = printed(&["extcap", "--extcap-interface=tcplab-handshake", "--extcap-dlts"]);
    assert_eq!(link_types, "dlt {number=101}{name=RAW}{display=Raw IP}\n");
}

#[test]
fn a_capture_has_the_bytes_of_run_with_the_same_settings() {
    let dir = scenarios("bytes");
    let (fifo, other) = (dir.join("x.pcapng"), dir.join("y.pcapng"));
    let mine = dir.join("mine.toml");
    let all: [(&[&str], &[&str]); 5] = [
        (&["--extcap-interface", "tcplab-fast-retransmit"], &["fast-retransmit"]),
        (
            &["--extcap-interface=tcplab", "--lesson", "handshake", "--seed", "7", "--link", "delay=50ms,loss=1%"],
            &["handshake", "--seed", "7", "--link", "delay=50ms,loss=1%"],
        ),
        (&["--extcap-interface=tcplab", "--lesson", "file-mine", "--at", "right"], &[path(&mine), "--at", "right"]),
        (&["--extcap-interface", "tcplab-fast-retransmit", "--cc", "reno"], &["fast-retransmit", "--cc", "reno"]),
        (&["--extcap-interface=tcplab", "--comments", "full"], &["handshake", "--comments", "full"]),
    ];
    for (ours, runs) in all {
        let asked = ["extcap", "--scenarios", path(&dir), "--capture", "--fifo", path(&fifo)];
        let pipes = ["--extcap-control-in", "/nowhere/in", "--extcap-control-out", "/nowhere/out"];
        assert_eq!(printed(&[&asked[..], &pipes, ours].concat()), "", "{ours:?}");
        let ran = run(&[&["run", "-q", "--no-ladder", "-w", path(&other)], runs].concat());
        assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
        assert!(fs::read(&fifo).expect("a capture") == fs::read(&other).expect("a capture"), "{ours:?}");
    }
}

#[test]
fn what_cannot_be_captured_is_an_error_that_wireshark_shows() {
    let dir = scenarios("refused");
    let file = dir.join("x.pcapng");
    let handshake = ["--extcap-interface", "tcplab-handshake"];
    let cases: [(&[&str], &str); 6] = [
        (&["--extcap-interface", "tcplab-nothing"], "there is no interface tcplab-nothing"),
        (&["--extcap-interface", "tcplab-file-a b"], "there is no interface tcplab-file-a b"),
        (&["--extcap-interface", "tcplab", "--lesson", "nothing"], "no lesson and no scenario file of that name"),
        (&["--extcap-interface", "tcplab-file-bad"], "bad.toml: line 1"),
        (&[&handshake[..], &["--at", "nobody"]].concat(), "the hosts are client, server"),
        (&[&handshake[..], &["--extcap-capture-filter", "tcp port 80"]].concat(), "tcplab has no capture filters"),
    ];
    for (more, reason) in cases {
        let asked = ["extcap", "--scenarios", path(&dir), "--capture", "--fifo", path(&file)];
        let output = run(&[&asked[..], more].concat());
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{more:?}: {said}");
        assert!(said.contains(reason) && said.lines().count() == 1, "{more:?}: {said}");
        assert!(!file.exists(), "{more:?}");
    }
    // Wireshark asks beforehand whether a filter is right: any text says that it is not.
    let filter =
        |filter| printed(&["extcap", "--extcap-interface=tcplab-handshake", "--extcap-capture-filter", filter]);
    assert_eq!(filter("tcp"), "tcplab has no capture filters; leave it out, and use a display filter\n");
    assert_eq!(filter(""), "");
    // Neither a scenario nor a file of another kind is overwritten.
    for victim in ["mine.toml", "notes.txt"] {
        let victim = dir.join(victim);
        let output = run(&["extcap", "--extcap-interface=tcplab-handshake", "--capture", "--fifo", path(&victim)]);
        assert_eq!((output.status.code(), fs::read_to_string(&victim).expect("a text").as_str()), (Some(2), SCENARIO));
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_capture_without_a_word() {
    let dir = place("gone");
    let fifo = pipe_in(&dir);
    // 16 s long at the speed of the wall clock.
    let args = ["extcap", "--extcap-interface=tcplab-rto-backoff", "--capture", "--fifo", path(&fifo), "--realtime"];
    let child = tcplab(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut reader = File::open(&fifo).expect("a pipe");
    reader.read_exact(&mut [0; 4]).expect("the capture begins");
    drop(reader);
    // The next packet finds that nobody reads.
    let output = ended(child, "the reader has gone");
    assert_eq!(
        (output.status.code(), text(&output.stdout), text(&output.stderr)),
        (Some(0), String::new(), String::new())
    );
}

#[test]
fn a_signal_ends_the_capture_without_a_word() {
    let dir = place("signal");
    let fifo = pipe_in(&dir);
    for (name, number) in [("TERM", 15), ("INT", 2)] {
        let args = ["extcap", "--extcap-interface=tcplab-keep-alive", "--capture", "--fifo", path(&fifo), "--realtime"];
        let child = tcplab(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut reader = File::open(&fifo).expect("a pipe");
        reader.read_exact(&mut [0; 4]).expect("the capture begins");
        kill(&child, name);
        let output = ended(child, name);
        assert_eq!(output.status.signal(), Some(number), "{output:?}");
        assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()));
    }
}

fn kill(child: &Child, name: &str) {
    let killed = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
}

/// Waits for the end of a child, for a bounded time.
fn ended(mut child: Child, why: &str) -> Output {
    let began = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if began.elapsed() > Duration::from_mins(1) {
            let _ = child.kill();
            panic!("it has not ended: {why}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("its output")
}

/// A home directory, and a directory with a tshark that only knows its folders.
fn home(name: &str, folders: &str) -> (PathBuf, PathBuf) {
    let home = place(name);
    let bin = home.join("bin");
    fs::create_dir(&bin).expect("a directory");
    let folders = folders.replace("HOME", path(&home));
    script(&bin.join("tshark"), &format!("#!/bin/sh\n[ \"$*\" = '-G folders' ] && printf '{folders}'\n"));
    (home, bin)
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("our own file");
}

/// Runs a command of ours in such a home.
fn at_home(home: &Path, bin: &Path, args: &[&str]) -> Output {
    let binary = assert_cmd::cargo::cargo_bin!("tcplab");
    let mut command = Command::new(binary);
    command.args(args).current_dir(home).stdin(Stdio::null()).env_clear();
    command.env("HOME", home).env("PATH", format!("{}:/usr/bin:/bin", bin.display())).output().expect("it starts")
}

#[test]
fn the_plugin_is_installed_where_tshark_says_and_removed_again() {
    let old = "Personal configuration:\\tHOME/config\\nExtcap path:\\t/usr/lib/extcap\\n";
    let new = format!("{old}Personal Extcap path:\\tHOME/lib/extcap\\n");
    for (name, folders, place) in [("old", old, "config/extcap"), ("new", &*new, "lib/extcap")] {
        let (home, bin) = home(name, folders);
        let plugin = home.join(place).join("tcplab");
        let installed = at_home(&home, &bin, &["extcap", "--install"]);
        let said = text(&installed.stderr);
        assert_eq!((installed.status.code(), text(&installed.stdout)), (Some(0), format!("wrote {}\n", path(&plugin))));
        let files = home.join(".local/share/tcplab/scenarios");
        assert!(said.contains(&format!("0 scenario files (*.toml in {})", path(&files))), "{said}");
        // Again, over our own file; from now on with a file, from a directory whose name needs quotes.
        let dir = home.join("it's $HOME");
        fs::create_dir(&dir).expect("a directory");
        fs::write(dir.join("mine.toml"), SCENARIO).expect("a file");
        let again = at_home(&home, &bin, &["extcap", "--install", "--scenarios", "it's $HOME"]);
        assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
        let asked =
            Command::new(&plugin).arg("--extcap-interfaces").current_dir("/").output().expect("it is executable");
        assert!(text(&asked.stdout).contains("{value=tcplab-file-mine}"), "{}", text(&asked.stderr));
        let removed = at_home(&home, &bin, &["extcap", "--uninstall"]);
        assert_eq!((removed.status.code(), text(&removed.stdout)), (Some(0), format!("removed {}\n", path(&plugin))));
        assert!(!plugin.exists());
        let none = at_home(&home, &bin, &["extcap", "--uninstall"]);
        assert_eq!((none.status.code(), text(&none.stdout)), (Some(0), String::new()));
        assert!(text(&none.stderr).contains("nothing to remove"));
    }
}

#[test]
fn a_file_that_tcplab_did_not_write_is_kept_without_force() {
    let home = place("foreign");
    let dir = home.join("plugins");
    fs::create_dir(&dir).expect("a directory");
    let (plugin, other) = (dir.join("tcplab"), home.join("other"));
    let [install, uninstall] = ["install", "uninstall"].map(|task| format!("--{task}={}", path(&dir)));
    fs::write(&other, "of another program\n").expect("a file");
    for link in [false, true] {
        if link {
            symlink(&other, &plugin).expect("a link");
        } else {
            fs::copy(&other, &plugin).expect("a copy");
        }
        for task in [&install, &uninstall] {
            let output = run(&["extcap", task]);
            let said = text(&output.stderr);
            assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{said}");
            assert!(said.contains("tcplab did not write") && said.contains("add --force"), "{said}");
            assert_eq!(fs::read_to_string(&plugin).expect("a file"), "of another program\n");
        }
        let forced = run(&["extcap", &install, "--force"]);
        assert_eq!(forced.status.code(), Some(0), "{}", text(&forced.stderr));
        assert!(fs::read_to_string(&plugin).expect("a script").starts_with("#!/bin/sh\n"));
        // What a link leads to is not written.
        assert_eq!(fs::read_to_string(&other).expect("a file"), "of another program\n");
        assert_eq!(run(&["extcap", &uninstall]).status.code(), Some(0));
    }
    let missing = run(&["extcap", &install, "--scenarios", path(&home.join("none"))]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("this is not a directory"), "{}", text(&missing.stderr));
    assert!(!plugin.exists());
}

#[test]
fn without_tshark_the_error_says_how_to_name_the_directory() {
    let home = place("none");
    let mut command = tcplab(&["extcap", "--install"]);
    let output = command.env_clear().env("HOME", &home).env("PATH", &home).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("`--install=DIR` names the directory"), "{}", text(&output.stderr));
    assert_eq!(fs::read_dir(&home).expect("a directory").count(), 0);
}

#[test]
fn tshark_lists_the_lessons_and_captures_one_as_an_ordinary_user() {
    if programs::run("tshark", &["--version"]).is_none() {
        return;
    }
    // The build directory may be closed to other users.
    let home = std::env::temp_dir().join(format!("tcplab-shark-{}", std::process::id()));
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(home.join(".local/share/tcplab/scenarios")).expect("a directory");
    fs::copy(assert_cmd::cargo::cargo_bin!("tcplab"), home.join("tcplab")).expect("a copy");
    fs::write(home.join(".local/share/tcplab/scenarios/mine.toml"), SCENARIO).expect("a file");
    let is_root = text(&Command::new("id").arg("-u").output().expect("id").stdout).trim() == "0";
    if is_root {
        let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(&home).status().expect("chown");
        assert!(owned.success());
    }
    let user = |program: &str, args: &[&str]| {
        let mut command = Command::new(if is_root { "setpriv" } else { program });
        if is_root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program]);
        }
        command.args(args).current_dir(&home).env_clear().env("HOME", &home).env("PATH", "/usr/bin:/bin:/usr/sbin");
        command.stdin(Stdio::null()).output().expect("it starts")
    };
    let installed = user(path(&home.join("tcplab")), &["extcap", "--install"]);
    assert_eq!(installed.status.code(), Some(0), "{}", text(&installed.stderr));

    let listed = user("tshark", &["-D"]);
    let (list, said) = (text(&listed.stdout), text(&listed.stderr));
    assert!(list.contains(" tcplab-handshake (tcplab handshake: Three segments open a connection"), "{list}{said}");
    assert!(list.contains(" tcplab-file-mine (tcplab mine.toml: A (line) of two hosts)"), "{list}{said}");
    assert!(!said.contains("error"), "{said}");

    let seed = ["-o", "extcap.tcplab_fast_retransmit.seed:7"];
    let captured = user("tshark", &[&["-i", "tcplab-fast-retransmit", "-w", "got.pcapng"], &seed[..]].concat());
    assert_eq!(captured.status.code(), Some(0), "{}", text(&captured.stderr));
    let ran = user(path(&home.join("tcplab")), &["run", "-q", "fast-retransmit", "--seed", "7", "-w", "own.pcapng"]);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    let (got, own) = (packets(&home.join("got.pcapng")), packets(&home.join("own.pcapng")));
    assert!(own.len() > 20 && got == own, "{} and {} packets", got.len(), own.len());
    let _ = fs::remove_dir_all(&home);
}

/// Time, bytes and comment of each packet.
fn packets(file: &Path) -> Vec<(tcplab::time::Instant, Vec<u8>, Option<String>)> {
    let mut reader = tcplab::capture::Reader::open(file).expect("a capture");
    let mut all = Vec::new();
    while let Some(record) = reader.next_record() {
        let record = record.expect("a record");
        all.push((record.at, record.packet.expect("IP").to_vec(), record.comment.map(str::to_owned)));
    }
    all
}

#[test]
fn it_says_what_to_do_when_nothing_is_asked_for() {
    let output = run(&["extcap"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("`tcplab extcap --install`"), "{}", text(&output.stderr));
    let two = run(&["extcap", "--install", "--extcap-interfaces"]);
    assert_eq!(two.status.code(), Some(2), "{}", text(&two.stdout));
    assert_eq!(run(&["extcap", "--json", "--extcap-interfaces"]).status.code(), Some(2));
    let version = printed(&["extcap", "--extcap-version"]);
    assert_eq!(version, format!("extcap {{version={}}}{{display=tcplab}}\n", env!("CARGO_PKG_VERSION")));
}
