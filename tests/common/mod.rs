//! What the integration tests share: golden files, and naming what a machine cannot run.
//!
//! A test that needs something that is not there (a program, a privilege) calls [`left_out`] and returns. `make test`
//! prints the list at the end; with `TCPLAB_REQUIRE_ALL=1` the test fails instead.

#![allow(dead_code, reason = "each test binary compiles this module anew and uses its own part of it")]

pub(crate) mod calls;
pub(crate) mod wire;

use std::env;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Names what this machine does not allow, and how to get it: `left_out("captures read by tshark", "make deps")`.
#[track_caller]
pub(crate) fn left_out(what: &str, how: &str) {
    let list = env::var_os("TCPLAB_LEFT_OUT").map(PathBuf::from);
    if let Err(refusal) = note_left_out(list.as_deref(), is_set("TCPLAB_REQUIRE_ALL"), what, how) {
        panic!("{refusal}");
    }
}

/// As [`left_out`], with what it would read from the environment. Without a list the line goes to standard error.
pub(crate) fn note_left_out(list: Option<&Path>, require_all: bool, what: &str, how: &str) -> Result<(), String> {
    let line = format!("left out: {what} ({how})\n");
    if require_all {
        return Err(format!("TCPLAB_REQUIRE_ALL=1 forbids leaving anything out; {line}"));
    }
    let written = match list {
        // One write for each line: test binaries and their threads append to the same file.
        Some(path) => {
            OpenOptions::new().create(true).append(true).open(path).and_then(|mut f| f.write_all(line.as_bytes()))
        }
        None => io::stderr().write_all(line.as_bytes()),
    };
    written.map_err(|why| format!("note what was left out in {list:?}: {why}"))
}

/// Compares `text` with `tests/golden/NAME`. `TCPLAB_BLESS=1` (`make bless`) writes the file instead.
#[track_caller]
pub(crate) fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if let Err(difference) = compare_golden(&path, text, is_set("TCPLAB_BLESS")) {
        panic!("{difference}");
    }
}

/// As [`golden`], with the whole path and what it would read from the environment.
pub(crate) fn compare_golden(path: &Path, text: &str, bless: bool) -> Result<(), String> {
    let written = |result: io::Result<()>| result.map_err(|why| format!("write {}: {why}", path.display()));
    if bless {
        written(path.parent().map_or(Ok(()), fs::create_dir_all))?;
        return written(fs::write(path, text));
    }
    let expected = fs::read_to_string(path)
        .map_err(|why| format!("read {}: {why}; `make bless` writes it, then look at the diff", path.display()))?;
    if expected == text {
        return Ok(());
    }
    Err(difference(&path.display().to_string(), &expected, text))
}

fn difference(name: &str, expected: &str, got: &str) -> String {
    // Lines with their ends, so that a missing last newline or a carriage return is a difference that can be shown.
    let (left, right): (Vec<_>, Vec<_>) =
        (expected.split_inclusive('\n').collect(), got.split_inclusive('\n').collect());
    let at = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    let (line, left, right) = (at + 1, left.get(at), right.get(at));
    let show = |line: Option<&&str>| line.map_or("(end of text)".to_owned(), |line| format!("{line:?}"));
    let mut out = format!("{name} differs, first in line {line}:\n");
    let _ = write!(out, "  expected {}\n  got      {}\n", show(left), show(right));
    for (title, text) in [("expected", expected), ("got", got)] {
        let _ = write!(out, "{}\n{text}", ruler(title));
        if !text.ends_with('\n') {
            out.push('\n');
        }
    }
    let _ = write!(out, "{}\n`make bless` takes what was got as the new expectation", ruler("end"));
    out
}

fn ruler(title: &str) -> String {
    format!("{:-<80}", format!("---- {title} "))
}

fn is_set(variable: &str) -> bool {
    env::var(variable).is_ok_and(|value| value == "1")
}
