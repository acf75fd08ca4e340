//! `tcplab wire`: real programs on two real kernels, with our links between them. The namespaces are those that the command
//! makes; nothing outside of them is touched. Each test runs the binary, since a process with threads cannot enter one.
#![cfg(all(feature = "live", feature = "cli", target_os = "linux"))]

#[path = "../common/mod.rs"]
mod common;

mod captures;
mod endings;
mod figures;
mod hops;
mod links;
mod programs;
mod start;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::left_out;

/// How long any run may take.
const LIMIT: Duration = Duration::from_mins(1);
const PATH: &str = "path: tun tcplab0 on the left, tun tcplab0 on the right\n";

/// True if this machine lets us join two namespaces.
fn possible() -> bool {
    static POSSIBLE: OnceLock<bool> = OnceLock::new();
    let possible = *POSSIBLE.get_or_init(|| {
        let doctor = tcplab(&["doctor"]).output().expect("it starts");
        text(&doctor.stdout).contains("two namespaces, for wire: ok\n")
    });
    if !possible {
        left_out("two kernels joined by links", "`tcplab doctor` says what to do");
    }
    possible
}

/// True if the programs are there. They may be where root finds them.
fn installed(programs: &[&str]) -> bool {
    let found = |program: &&&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
        places.into_iter().any(|dir| dir.join(program).is_file())
    };
    let missing: Vec<_> = programs.iter().filter(|program| !found(program)).collect();
    for program in &missing {
        left_out(&format!("two kernels joined by links, with {program}"), "make deps");
    }
    missing.is_empty()
}

fn tcplab(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcplab"));
    let path = std::env::var("PATH").unwrap_or_default();
    command.args(args).stdin(Stdio::null()).env_remove("NO_COLOR").env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

fn begin(args: &[&str]) -> Child {
    let mut command = tcplab(&[&["wire"], args].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

/// Waits for the end, for a bounded time.
#[track_caller]
fn finish(mut child: Child) -> Output {
    let began = Instant::now();
    let waits = std::thread::scope(|scope| {
        let read = |stream: Option<Box<dyn std::io::Read + Send>>| {
            scope.spawn(move || {
                let mut bytes = Vec::new();
                if let Some(mut stream) = stream {
                    stream.read_to_end(&mut bytes).expect("a pipe");
                }
                bytes
            })
        };
        let stdout = read(child.stdout.take().map(|stream| Box::new(stream) as _));
        let stderr = read(child.stderr.take().map(|stream| Box::new(stream) as _));
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break Some(status);
            }
            if began.elapsed() > LIMIT {
                let _ = child.kill();
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let (stdout, stderr) = (stdout.join().expect("read"), stderr.join().expect("read"));
        status.map(|status| Output { status, stdout, stderr })
    });
    waits.unwrap_or_else(|| panic!("it has not ended within {LIMIT:?}"))
}

/// A run: its exit code, what it printed, and what it said on standard error.
struct Ran {
    code: Option<i32>,
    printed: String,
    said: String,
}

#[track_caller]
fn wire(args: &[&str]) -> Ran {
    let Output { status, stdout, stderr } = finish(begin(args));
    Ran { code: status.code(), printed: text(&stdout), said: text(&stderr) }
}

/// Runs a command on each side; the right one must succeed. Gives what it printed.
#[track_caller]
fn joined(link: &str, left: &str, right: &str) -> String {
    let line: &[&str] = if link.is_empty() { &[] } else { &["--link", link] };
    let ran = wire(&[line, &["--left", left, "--right", right]].concat());
    assert_eq!(ran.code, Some(0), "{left}\n{right}\n{}{}", ran.printed, ran.said);
    assert!(ran.said.starts_with(PATH), "{}", ran.said);
    ran.printed
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").expect("proc").uid() == 0
}

/// A directory of its own for each test, that everybody can reach, gone with the value.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("tcplab-wire-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).expect("a directory");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("ours");
        Self(dir)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn str(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
