//! `tcplab step` on a terminal, driven through tmux: every key does what `?` says, screens are as their files have them, and
//! the terminal is restored on every end. Nothing waits for a fixed time: a screen is read until it is as it must be.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{golden, left_out};
use crate::programs::scratch;

const TCPLAB: &str = env!("CARGO_BIN_EXE_tcplab");
/// How long a screen may take until it is as it must be.
const PATIENCE: Duration = Duration::from_secs(30);
const SIZES: [(u16, u16); 2] = [(80, 24), (200, 60)];

/// A terminal of tmux, with a server of its own.
struct Terminal {
    socket: String,
    /// The shell writes the exit code of the command here. tmux does not always tell that a command has ended.
    code: PathBuf,
}

impl Terminal {
    /// Runs a command line of the shell on a terminal of this size. `None` without tmux.
    #[track_caller]
    fn open((width, height): (u16, u16), command: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let socket = format!("tcplab-{}-{number}", std::process::id());
        let code = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&socket);
        let terminal = Self { socket, code };
        let is_replaced = command.starts_with("exec ");
        let after = if is_replaced { String::new() } else { format!("; echo $? >'{}'", terminal.code.display()) };
        let command = &format!("{command}{after}");
        let (width, height) = (width.to_string(), height.to_string());
        let start = ["-u", "-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, command];
        let keep = [";", "set-option", "remain-on-exit", "on", ";", "set-option", "status", "off"];
        if terminal.try_tmux(&[&start[..], &keep].concat()).is_none() {
            left_out("`tcplab step` driven through tmux", "make deps");
            return None;
        }
        Some(terminal)
    }

    fn try_tmux(&self, arguments: &[&str]) -> Option<Output> {
        let mut tmux = Command::new("tmux");
        tmux.args(["-L", &self.socket]).args(arguments).stdin(Stdio::null());
        for name in ["TMUX", "NO_COLOR", "COLUMNS", "LINES"] {
            tmux.env_remove(name);
        }
        match tmux.env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh").output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "tmux {arguments:?}: {said}");
                Some(output)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => panic!("run tmux: {error}"),
        }
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = self.try_tmux(arguments).expect("tmux is there");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Reads the screen until it is as it must be.
    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                // It may have been read while it was drawn.
                thread::sleep(Duration::from_millis(5));
                if self.screen() == screen {
                    return screen;
                }
                continue;
            }
            assert!(begin.elapsed() < PATIENCE, "{what}: the screen is\n{screen}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Presses a key, by the name that the help has for it.
    fn send(&self, key: &str) {
        let name = match key {
            "PgDn" => "NPage",
            "PgUp" => "PPage",
            "Esc" => "Escape",
            "Shift-Tab" => "BTab",
            "Ctrl-C" => "C-c",
            other => other,
        };
        self.tmux(&["send-keys", name]);
    }

    #[track_caller]
    fn press(&self, key: &str, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        self.send(key);
        self.wait(&format!("{key}: {what}"), is_so)
    }

    /// The exit code, when the program has ended.
    #[track_caller]
    fn exit_code(&self) -> String {
        let begin = Instant::now();
        loop {
            // The line is whole when it has its end.
            let code = fs::read_to_string(&self.code).unwrap_or_default();
            if let Some(code) = code.strip_suffix('\n') {
                return code.to_owned();
            }
            assert!(begin.elapsed() < PATIENCE, "it has not ended:\n{}", self.screen());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).stderr(Stdio::null()).status();
        let _ = fs::remove_file(&self.code);
    }
}

/// The step at the cursor, how many there are, and the packet of the step.
fn place(screen: &str) -> Option<(usize, usize, Option<u64>)> {
    let (_, text) = screen.lines().next()?.rsplit_once("step ")?;
    let mut words = text.split_whitespace();
    let (step, all) = words.next()?.split_once('/')?;
    let packet = words.next().and(words.next()).and_then(|packet| packet.parse().ok());
    Some((step.parse().ok()?, all.parse().ok()?, packet))
}

fn step(screen: &str) -> usize {
    place(screen).map_or(0, |(step, ..)| step)
}

/// The row at the cursor.
fn cursor(screen: &str) -> &str {
    let row = |line: &&str| line.contains(">  ") && line.split('>').nth(1).is_some_and(|rest| rest.contains('.'));
    screen.lines().skip(1).find(row).unwrap_or_default()
}

fn view(screen: &str, title: &str) -> bool {
    screen.contains(&format!("┌ {title}"))
}

fn no_view(screen: &str) -> bool {
    !screen.contains('┌')
}

fn status(screen: &str) -> &str {
    screen.trim_end().lines().last().unwrap_or_default()
}

/// The first step, no view and no filter.
fn reset(terminal: &Terminal) {
    terminal.press("Esc", "no view", no_view);
    terminal.press("g", "the first step", |screen| step(screen) == 1);
}

fn go_to(terminal: &Terminal, packet: u64) {
    terminal.send("/");
    packet.to_string().chars().for_each(|digit| terminal.send(&digit.to_string()));
    terminal.press("Enter", "the packet", |screen| place(screen).is_some_and(|(.., at)| at == Some(packet)));
}

/// The packet view of a long packet, which has more lines than the screen.
fn long_view(terminal: &Terminal) -> String {
    reset(terminal);
    terminal.press("l", "a loss", |screen| cursor(screen).contains('✗'));
    terminal.press("Enter", "the packet", |screen| view(screen, "packet, lines 1-"))
}

/// Presses a key that goes to the next of its kind until there is none. The row at the cursor must be of that kind.
fn visit(terminal: &Terminal, key: &str, what: &str, is_one: impl Fn(&str) -> bool) -> Vec<u64> {
    let mut packets = Vec::new();
    let mut before = step(&terminal.screen());
    loop {
        let is_there = |screen: &str| step(screen) != before && !cursor(screen).is_empty();
        let screen = terminal.press(key, what, |screen| is_there(screen) || status(screen).ends_with(what));
        if step(&screen) == before {
            return packets;
        }
        assert!(is_one(cursor(&screen)), "{key}: {screen}");
        before = step(&screen);
        packets.extend(place(&screen).and_then(|(.., packet)| packet));
    }
}

/// The packets that the links lost, as `run --json` tells.
fn lost_packets(lesson: &str) -> Vec<u64> {
    let output = Command::new(TCPLAB).args(["run", lesson, "--json", "-q"]).output().expect("tcplab runs");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let events = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let lost = events.filter(|event| {
        event["event"] == "sent" && event["fate"].as_str().is_some_and(|fate| fate.starts_with("drop"))
    });
    lost.map(|event| event["packet"].as_u64().expect("its number")).collect()
}

const STATES: [&str; 9] =
    ["SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT", "CLOSED"];

/// Presses a key of the help and sees that it does what the help says.
#[allow(clippy::too_many_lines, reason = "it is a table of keys")]
fn check(terminal: &Terminal, key: &str, does: &str) {
    let state = |row: &str| STATES.iter().any(|state| row.contains(state));
    reset(terminal);
    let (_, all, _) = place(&terminal.screen()).expect("a header");
    let at = |wanted: usize| move |screen: &str| step(screen) == wanted;
    match key {
        "Right" => _ = terminal.press(key, does, at(2)),
        "Left" => {
            terminal.press("Right", does, at(2));
            terminal.press(key, does, at(1));
        }
        "Down" | "j" | "Up" | "k" => {
            let down = matches!(key, "Down" | "j");
            terminal.press("Right", does, at(2));
            terminal.press(key, does, at(if down { 3 } else { 1 }));
            let place = step(&long_view(terminal));
            terminal.press("Down", does, |screen| view(screen, "packet, lines 2-"));
            let line = if down { "packet, lines 3-" } else { "packet, lines 1-" };
            let screen = terminal.press(key, does, |screen| view(screen, line));
            assert_eq!(step(&screen), place, "the cursor stays");
        }
        "PgDn" | "Space" => {
            let screen = terminal.press(key, does, |screen| step(screen) > 3);
            terminal.press("PgUp", does, at(1));
            assert!(step(&screen) < 60, "a page, and no more");
        }
        "PgUp" | "b" => {
            terminal.press("PgDn", does, |screen| step(screen) > 3);
            terminal.press(key, does, at(1));
        }
        "Home" | "g" => {
            terminal.press("End", does, at(all));
            terminal.press(key, does, at(1));
        }
        "End" | "G" => _ = terminal.press(key, does, at(all)),
        "l" => assert_eq!(visit(terminal, key, "loss", |row| row.contains('✗')), lost_packets(LESSON)),
        "L" => {
            terminal.press("G", "the last step", at(all));
            let mut lost = visit(terminal, key, "loss", |row| row.contains('✗'));
            lost.reverse();
            assert_eq!(lost, lost_packets(LESSON));
        }
        "r" => assert!(visit(terminal, key, "retransmission", |row| row.contains('═')).len() > 1),
        "R" => {
            terminal.press("G", "the last step", at(all));
            assert!(visit(terminal, key, "retransmission", |row| row.contains('═')).len() > 1);
        }
        "s" => _ = visit(terminal, key, "change of a state", state),
        "S" => {
            terminal.press("G", "the last step", at(all));
            visit(terminal, key, "change of a state", state);
        }
        "f" => {
            go_to(terminal, 1);
            let of = |screen: &str| place(screen).map_or(0, |(_, all, _)| all);
            let screen = terminal.press(key, does, |screen| screen.contains("only connection #0"));
            assert!(of(&screen) < all, "{screen}");
            assert!(!screen.contains(" #1 "), "{screen}");
            terminal.press(key, does, |screen| of(screen) == all && !screen.contains("only connection"));
        }
        "Tab" => {
            go_to(terminal, 1);
            terminal.press(key, does, |screen| cursor(screen).contains(" #1 "));
        }
        "Shift-Tab" => {
            go_to(terminal, 1);
            terminal.press("Tab", does, |screen| cursor(screen).contains(" #1 "));
            terminal.press(key, does, |screen| cursor(screen).contains(" #0 "));
        }
        "/" => go_to(terminal, 17),
        "Enter" => {
            go_to(terminal, 1);
            let has = ["packet 1 at", "flags SYN", "MSS 1460", "0000  45 00"];
            terminal.press(key, does, |screen| has.iter().all(|text| screen.contains(text)));
            terminal.press(key, does, no_view);
        }
        "t" => {
            terminal.press(key, does, |screen| view(screen, "story") && screen.contains("duplicate ACKs"));
            terminal.press(key, does, no_view);
        }
        "?" => {
            terminal.press(key, does, |screen| view(screen, "keys"));
            terminal.press(key, does, no_view);
        }
        "Esc" => {
            terminal.press("?", "the help", |screen| view(screen, "keys"));
            terminal.press(key, does, no_view);
            terminal.press("/", "the search", |screen| status(screen).starts_with(" packet: _"));
            terminal.press(key, does, |screen| !status(screen).starts_with(" packet:"));
        }
        "q" | "Ctrl-C" => {}
        other => panic!("the help has a key that no test knows: {other}: {does}"),
    }
}

const LESSON: &str = "limited-transmit";

/// The keys on the help, with what it says of each.
fn keys_of_help(screen: &str) -> Vec<(String, String)> {
    let lines = screen.lines().skip_while(|line| !line.contains("┌ keys")).skip(1);
    let lines = lines.take_while(|line| !line.contains('└'));
    let inside = lines.filter_map(|line| line.split_once("│ ")?.1.rsplit_once('│'));
    let rows = inside.map(|(line, _)| line).take_while(|line| !line.trim().is_empty());
    let split = |line: &str| {
        let (keys, does) = line.split_at(20);
        keys.split_whitespace().map(|key| (key.to_owned(), does.trim().to_owned())).collect::<Vec<_>>()
    };
    rows.flat_map(split).collect()
}

#[test]
fn every_key_does_what_the_help_says() {
    for size in SIZES {
        let command = format!("{TCPLAB} step {LESSON}");
        let Some(terminal) = Terminal::open(size, &command) else { return };
        terminal.wait("the story", |screen| view(screen, "story"));
        let help = terminal.press("?", "the help", |screen| view(screen, "keys, Esc closes"));
        let keys = keys_of_help(&help);
        assert!(keys.len() > 20, "{help}");
        for (key, does) in &keys {
            check(&terminal, key, does);
        }
        for (key, _) in keys.iter().filter(|(_, does)| does == "quit") {
            let Some(terminal) = Terminal::open(size, &command) else { return };
            terminal.wait("the story", |screen| view(screen, "story"));
            terminal.send(key);
            assert_eq!(terminal.exit_code(), "0", "{key}");
        }
    }
}

#[test]
fn screens_are_as_their_files_have_them_and_follow_the_size_of_the_terminal() {
    let Some(terminal) = Terminal::open((80, 24), &format!("{TCPLAB} step lost-data")) else { return };
    terminal.wait("the story", |screen| view(screen, "story"));
    terminal.press("Esc", "no view", no_view);
    for (width, height) in [(80_u16, 24_u16), (200, 60), (60, 16)] {
        let (columns, rows) = (width.to_string(), height.to_string());
        terminal.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
        let fills = |screen: &str| {
            let first = screen.lines().next().unwrap_or_default().chars().count();
            first + 1 == usize::from(width)
                && screen.lines().nth(usize::from(height) - 1).is_some_and(|line| line.contains("? help"))
        };
        golden(&format!("step/lost-data-{width}x{height}.txt"), &terminal.wait("the size", fills));
    }
    for rows in ["12", "10"] {
        terminal.tmux(&["resize-window", "-x", "40", "-y", rows]);
        terminal.wait("what it needs", |screen| screen.contains("tcplab step needs 60 columns and 16"));
    }
    terminal.tmux(&["resize-window", "-x", "80", "-y", "24"]);
    terminal.wait("the ladder", |screen| cursor(screen).contains("101:201"));
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let colors = |text: &str| text.contains("\x1b[38;5;1m") || text.contains("\x1b[31m");
    for (command, wanted) in [
        (format!("{TCPLAB} step lost-data"), true),
        (format!("NO_COLOR=1 {TCPLAB} step lost-data"), false),
        (format!("{TCPLAB} step lost-data --color never"), false),
    ] {
        let Some(terminal) = Terminal::open((80, 24), &command) else { return };
        terminal.wait("the story", |screen| view(screen, "story"));
        terminal.press("Esc", "the ladder", |screen| cursor(screen).contains('✗'));
        let shown = terminal.tmux(&["capture-pane", "-p", "-e"]);
        assert_eq!(colors(&shown), wanted, "{command}: {shown:?}");
    }
}

/// The process whose parent is this one.
#[cfg(target_os = "linux")]
fn child_of(parent: &str) -> Option<String> {
    let processes = fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|process| {
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        (rest.split(' ').nth(1) == Some(parent)).then(|| process.file_name().to_string_lossy().into_owned())
    })
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_restores_the_terminal() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let [before, after] = ["before", "after"].map(|name| scratch(&format!("step-{signal}-{name}")));
        let command = format!(
            "stty -a > {}; {TCPLAB} step lost-data; echo code $?; stty -a > {}; echo end; read wait",
            before.display(),
            after.display()
        );
        let Some(terminal) = Terminal::open((80, 24), &command) else { return };
        terminal.wait("the story", |screen| view(screen, "story"));
        assert_eq!(terminal.tmux(&["display-message", "-p", "#{alternate_on}"]).trim(), "1");
        let shell = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let child = child_of(shell.trim()).expect("tcplab is a child of the shell");
        assert!(Command::new("kill").args([&format!("-{signal}"), &child]).status().expect("kill runs").success());
        let screen = terminal.wait("the end", |screen| screen.contains("\nend"));
        assert!(screen.contains(&format!("code {code}")), "{signal}: {screen}");
        assert_eq!(terminal.tmux(&["display-message", "-p", "#{alternate_on}"]).trim(), "0");
        let read = |path| fs::read_to_string(path).expect("what stty says");
        assert_eq!(read(&before), read(&after), "{signal}");
    }
}

/// The hook for this test is only in builds with debug assertions.
#[cfg(all(target_os = "linux", debug_assertions))]
#[test]
fn a_panic_restores_the_terminal_and_its_message_can_be_read() {
    let [before, after] = ["before", "after"].map(|name| scratch(&format!("step-panic-{name}")));
    let command = format!(
        "stty -a > {}; RUST_BACKTRACE=0 TCPLAB_TEST_STEP_PANIC=1 {TCPLAB} step lost-data; echo code $?; \
         stty -a > {}; echo end; read wait",
        before.display(),
        after.display()
    );
    let Some(terminal) = Terminal::open((80, 24), &command) else { return };
    terminal.wait("the story", |screen| view(screen, "story"));
    assert_eq!(terminal.tmux(&["display-message", "-p", "#{alternate_on}"]).trim(), "1");
    let screen = terminal.press("j", "the end", |screen| screen.contains("\nend"));
    assert!(screen.contains("TCPLAB_TEST_STEP_PANIC is set") && !screen.contains("code 0"), "{screen}");
    let is = |what: &str| terminal.tmux(&["display-message", "-p", what]).trim().to_owned();
    assert_eq!((is("#{alternate_on}"), is("#{cursor_flag}")), ("0".to_owned(), "1".to_owned()));
    let read = |path| fs::read_to_string(path).expect("what stty says");
    assert_eq!(read(&before), read(&after));
}

#[cfg(target_os = "linux")]
#[test]
fn it_ends_when_its_terminal_goes() {
    let Some(terminal) = Terminal::open((80, 24), &format!("exec {TCPLAB} step lost-data")) else { return };
    terminal.wait("the story", |screen| view(screen, "story"));
    let process = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
    let path = format!("/proc/{}/comm", process.trim());
    assert_eq!(fs::read_to_string(&path).expect("it runs").trim(), "tcplab");
    drop(terminal);
    let begin = Instant::now();
    while fs::read_to_string(&path).is_ok_and(|name| name.trim() == "tcplab") {
        assert!(begin.elapsed() < PATIENCE, "it runs without a terminal");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs `tcplab step` without a terminal.
fn without_terminal(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(TCPLAB).arg("step").args(arguments).stdin(Stdio::null()).output().expect("tcplab runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn without_a_terminal_and_with_bad_input_it_says_what_to_do_and_ends_with_2() {
    let folder = scratch("step");
    fs::create_dir_all(&folder).expect("a folder");
    let (text, empty) = (folder.join("a\x1b[2J.txt"), folder.join("empty.pcap"));
    fs::write(&text, "no capture").expect("a file");
    let header = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 101, 0, 0, 0_u8];
    fs::write(&empty, header).expect("a file");
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/captures/sack.pcapng");
    let (text, empty) = (text.display().to_string(), empty.display().to_string());
    for (argument, says) in [
        (capture, "standard output is not a terminal; `tcplab show "),
        ("handshake", "standard output is not a terminal; `tcplab run handshake` prints the ladder"),
        ("handshak", "there is no such file and no lesson of that name; `tcplab lessons` lists the lessons"),
        ("missing.pcap", "check the name"),
        ("missing.toml", "missing.toml"),
        (&text, "neither pcap nor pcapng"),
        ("-", "standard input has the keys"),
        (&empty, "standard output is not a terminal"),
    ] {
        let (code, out, err) = without_terminal(&[argument]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{argument}: {err}");
        assert!(err.contains(says) && err.lines().count() == 1, "{argument}: {err}");
        assert!(!err.contains('\x1b'), "{err:?}");
    }
    let (code, _, err) = without_terminal(&["handshake", "--json"]);
    assert!(code == Some(2) && err.contains("`tcplab show --json FILE` prints the packets"), "{err}");
    let said = folder.join("said");
    let command = format!("{TCPLAB} step {empty} 2>'{}'", said.display());
    let Some(terminal) = Terminal::open((80, 24), &command) else { return };
    assert_eq!(terminal.exit_code(), "2");
    let said = fs::read_to_string(said).expect("what it says");
    assert!(said.contains("there is nothing to step through") && said.lines().count() == 1, "{said}");
    let Some(terminal) = Terminal::open((80, 24), &format!("TERM=dumb {TCPLAB} step handshake")) else { return };
    assert_eq!(terminal.exit_code(), "2");
}
