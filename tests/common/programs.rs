//! Other people's programs, and the corpus of captures beside the repository.

#![allow(dead_code, reason = "each test binary compiles this module anew and uses its own part of it")]

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::common::left_out;

/// Runs a program with an empty home, so that nobody's settings apply. `None`, and a line on the list of what was left
/// out, if it is not installed.
#[track_caller]
pub(crate) fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    let home = scratch("home");
    fs::create_dir_all(&home).expect("a place for an empty home");
    let output = Command::new(program)
        .args(arguments)
        .env("HOME", &home)
        .env("XDG_CONFIG_HOME", &home)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(output),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            left_out(&format!("captures read by {program}"), "make deps");
            None
        }
        Err(error) => panic!("run {program}: {error}"),
    }
}

/// What a program that must succeed prints on standard output.
#[track_caller]
pub(crate) fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let output = run(program, arguments)?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{out}{err}", output.status);
    Some(out.into_owned())
}

/// A place for a test's own file.
pub(crate) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A directory beside the repository (or at `TCPLAB_SHARED`). `None`, and a line on the list of what was left out, if
/// it is not there.
#[track_caller]
pub(crate) fn shared(below: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let path = env::var_os("TCPLAB_SHARED").map_or(beside, PathBuf::from).join(below);
    if path.is_dir() {
        return Some(path);
    }
    left_out(&format!("the shared corpus, {below}"), "it belongs beside the repository, or at TCPLAB_SHARED");
    None
}
