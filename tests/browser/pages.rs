//! The pages that the tests open, written by the command, and what `tcplab show --json` tells of the same captures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::programs::scratch;

/// Runs the command to its end; what it prints.
#[track_caller]
pub(crate) fn tcplab(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tcplab")).args(arguments).stdin(Stdio::null()).output();
    let output = output.expect("the command starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tcplab {arguments:?}: {}\n{said}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// An empty directory for one test.
pub(crate) fn place(name: &str) -> PathBuf {
    let place = scratch("browser").join(name);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).expect("a directory");
    place
}

/// The capture of a lesson.
pub(crate) fn capture(lesson: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(lesson).with_extension("pcapng")
}

/// The page of a capture, in a directory of the test.
#[track_caller]
pub(crate) fn page(capture: &Path, place: &Path) -> PathBuf {
    let page = place.join("page.html");
    let _ = fs::remove_file(&page);
    tcplab(&["show", path(capture), "--html", path(&page)]);
    page
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

/// The directory with the course: a page for each lesson, and an index.
pub(crate) fn course() -> &'static Path {
    static COURSE: OnceLock<PathBuf> = OnceLock::new();
    COURSE.get_or_init(|| {
        let place = place("course");
        tcplab(&["lessons", "--pages", path(&place)]);
        place
    })
}

/// The page of a lesson.
pub(crate) fn lesson(name: &str) -> PathBuf {
    course().join(name).with_extension("html")
}

/// The pages of the lessons, in the order of their names.
pub(crate) fn lessons() -> Vec<PathBuf> {
    let entries = fs::read_dir(course()).expect("the course");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "html") && !file.ends_with("index.html"));
    files.sort();
    assert!(files.len() > 40, "{files:?}");
    files
}

/// One packet, as `show --json` tells it.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) number: u64,
    /// Seconds since the first packet.
    pub(crate) at: f64,
    pub(crate) stream: Option<u64>,
    pub(crate) words: String,
    /// Of both ends, the left one first; empty where it is not known.
    pub(crate) states: [String; 2],
    pub(crate) lost: bool,
    pub(crate) again: bool,
}

/// The packets of a capture.
#[track_caller]
pub(crate) fn packets(capture: &Path) -> Vec<Packet> {
    let printed = tcplab(&["show", "--json", path(capture)]);
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let at = |line: &Value| line["at"].as_str().and_then(|at| at.parse::<f64>().ok()).expect("a time");
    let first = lines.first().map(at).expect("a packet");
    let read = |line: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kinds = line["kinds"].as_array().into_iter().flatten();
        let tag = text(&line["tag"]);
        Packet {
            number: line["number"].as_u64().expect("a number"),
            at: at(line) - first,
            stream: line["stream"].as_u64(),
            words: text(&line["words"]),
            states: [0, 1].map(|side| text(&line["states"][side])),
            lost: tag.starts_with("lost: ") || tag.starts_with("corrupted: "),
            // A kind is what a stranger sees on the wire. Our own words know more.
            again: kinds.chain([&line["words"]]).filter_map(Value::as_str).any(|kind| kind.contains("retransmission")),
        }
    };
    lines.iter().map(read).collect()
}

/// The packets with which a state of an end begins, in their own connection.
pub(crate) fn changes(packets: &[Packet]) -> Vec<u64> {
    let before = |at: usize| packets[..at].iter().rev().find(|earlier| earlier.stream == packets[at].stream);
    let none = [String::new(), String::new()];
    let changed = |at: &usize| before(*at).map_or(&none, |packet| &packet.states) != &packets[*at].states;
    (0..packets.len()).filter(changed).map(|at| packets[at].number).collect()
}
