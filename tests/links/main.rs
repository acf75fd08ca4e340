//! Links that change: lines with times, files of lines, traces, and the control interface.
#![cfg(feature = "cli")]

#[path = "../common/mod.rs"]
mod common;

mod command;
#[cfg(all(feature = "live", target_os = "linux"))]
mod control;
mod runs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn tcplab(args: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcplab"));
    command.args(args).current_dir(dir).stdin(Stdio::null()).env_remove("NO_COLOR").env("COLUMNS", "100");
    command.output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A fresh directory.
fn place(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("links").join(name);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).expect("a directory");
    place
}
