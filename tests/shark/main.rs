//! What has to do with Wireshark: the plugin, its profile, and captures that are read while they are written.
#![cfg(all(feature = "cli", unix))]

#[path = "../common/mod.rs"]
mod common;
mod diff;
mod extcap;
#[cfg(all(feature = "live", target_os = "linux"))]
mod late_readers;
mod profile;
#[path = "../common/programs.rs"]
mod programs;
mod realtime;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn tcplab(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tcplab"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs it to its end.
fn run(args: &[&str]) -> Output {
    tcplab(args).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command that must succeed prints; it prints nothing on standard error.
#[track_caller]
fn printed(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{args:?}");
    text(&output.stdout)
}

/// An empty directory for a test.
fn place(name: &str) -> PathBuf {
    let place = programs::scratch("shark").join(name);
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).expect("a directory");
    place
}

/// A named pipe in a directory.
fn pipe_in(place: &std::path::Path) -> PathBuf {
    let pipe = place.join("fifo");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    pipe
}
