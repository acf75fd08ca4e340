//! Every command that README.md shows does what it says: each line of a `sh` block is run as it stands there, in order,
//! in a directory of its own. A line that no entry here knows is a failure.
//!
//! Three programs are not what their names say: `cargo` starts what `cargo test` has built already, and adds the crate
//! from where it lies; `make` works on a copy of the Makefile; `wireshark` is tshark.
#![cfg(all(feature = "live", feature = "cli", target_os = "linux"))]

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{compare_golden, left_out};
use crate::programs::scratch;

/// A line of README.md and what must come of it.
struct Example {
    line: &'static str,
    /// Programs beside ours.
    needs: &'static [&'static str],
    /// It needs a TUN device.
    live: bool,
    /// What it prints, on either output.
    prints: &'static [&'static str],
    /// Files that it leaves.
    leaves: &'static [&'static str],
}

const EXAMPLES: [Example; 22] = [
    Example {
        line: "cargo install --path .    # in a clone of this repository; nothing is published yet",
        needs: &[],
        live: false,
        prints: &["cargo install --path ."],
        leaves: &[],
    },
    Example {
        line: "make demo    # one connection from handshake to close, drawn, explained, and captured",
        needs: &["make"],
        live: false,
        prints: &["SYN|ACK 0:1 ack 1", "FIN|ACK", "Hello, Client!"],
        leaves: &["tcplab-demo.pcapng"],
    },
    Example {
        line: "make test    # everything that this machine allows; names what it left out and how to get it",
        needs: &["make"],
        live: false,
        prints: &["cargo test --all-features", "cargo test --no-default-features --lib --tests"],
        leaves: &[],
    },
    Example {
        line: "tcplab show tcplab-demo.pcapng",
        needs: &[],
        live: false,
        prints: &["stream #0 192.168.69.2:", "SYN|ACK 0:1 ack 1", "completes the handshake", "LAST-ACK"],
        leaves: &[],
    },
    Example {
        line: "tcplab lessons",
        needs: &[],
        live: false,
        prints: &["  handshake ", "Three segments open a connection", "  udp-vs-tcp "],
        leaves: &[],
    },
    Example {
        line: "tcplab run fast-retransmit -w fast.pcapng",
        needs: &[],
        live: false,
        prints: &["fast retransmission of 5793:7241 after 3 duplicate ACKs", "duplicate ACK 3", "In Wireshark"],
        leaves: &["fast.pcapng"],
    },
    Example {
        line: "tcplab run download.toml -w download.pcapng",
        needs: &[],
        live: false,
        prints: &["A download over a bad link", "download on client: 0 bytes sent, 100000 received"],
        leaves: &["download.pcapng"],
    },
    Example {
        line: "tcplab show --flows download.pcapng",
        needs: &[],
        live: false,
        prints: &["192.0.2.2:8080"],
        leaves: &[],
    },
    Example {
        line: "tcplab run download.toml --seed 7 --set link.delay=100ms --set host.cc=bbr",
        needs: &[],
        live: false,
        prints: &["100000 received"],
        leaves: &[],
    },
    Example {
        line: "tcplab sweep download.toml --seed 1..20 --set link.loss=0,2%,5% > sweep.csv",
        needs: &[],
        live: false,
        prints: &[],
        leaves: &["sweep.csv"],
    },
    Example {
        line: "tcplab serve http --dir . --link delay=50ms,loss=1% -w bad.pcapng -- curl -sS \
               http://192.168.69.1:8080/FILE",
        needs: &["curl"],
        live: true,
        prints: &["what is in it\n"],
        leaves: &["bad.pcapng"],
    },
    Example {
        line: "tcplab show --flows --fds bad.pcapng",
        needs: &["curl"],
        live: true,
        prints: &["sent again", "192.168.69.1:8080", "3 LISTEN 192.168.69.1:8080", "the sockets of 192.168.69.1"],
        leaves: &[],
    },
    Example {
        line: "echo \"from userspace\" | tcplab connect 192.168.69.2:9000 -- nc -N -l 9000",
        needs: &["nc"],
        live: true,
        prints: &["from userspace\n"],
        leaves: &[],
    },
    Example {
        line: "tcplab wire --link delay=50ms,loss=1% -w wire.pcapng --left 'python3 -m http.server 80' --right 'curl -sS \
               http://10.77.0.1/FILE'",
        needs: &["curl", "python3"],
        live: true,
        prints: &["what is in it\n"],
        leaves: &["wire.pcapng"],
    },
    Example {
        line: "tcplab serve http --size 100000 -w - -- curl -sS -o /dev/null http://192.168.69.1:8080/ | wireshark -k \
               -i -",
        needs: &["curl", "tshark", "dumpcap"],
        live: true,
        prints: &["[SYN, ACK]", "[FIN, ACK]", "GET / HTTP/1.1"],
        leaves: &[],
    },
    Example {
        line: "tcplab extcap --install    # lessons and scenario files in Wireshark's list of interfaces",
        needs: &["tshark"],
        live: false,
        prints: &["wrote ", "/extcap/tcplab\n", " 0 scenario files"],
        leaves: &[],
    },
    Example {
        line: "cargo add --dev tcplab --no-default-features",
        needs: &[],
        live: false,
        prints: &["dev-dependencies"],
        leaves: &[],
    },
    Example { line: "cargo run --example hyper", needs: &[], live: false, prints: &[" bytes after "], leaves: &[] },
    Example {
        line: "tcplab replay tcplab-demo.pcapng                         # the stack plays the near side",
        needs: &[],
        live: false,
        prints: &["pass     tcplab-demo.pcapng 0 ", "1 files, 1 conversations"],
        leaves: &[],
    },
    Example {
        line: "tcplab replay --app http --size 100000 download.pcapng   # a recorded client against a built-in server",
        needs: &[],
        live: false,
        prints: &["pass     download.pcapng 0 server semantic"],
        leaves: &[],
    },
    Example {
        line: "tcplab drill --from download.pcapng > download.pkt       # a script from a recorded conversation",
        needs: &[],
        live: false,
        prints: &[],
        leaves: &["download.pkt"],
    },
    Example {
        line: "tcplab drill --no-extra download.pkt                     # runs it; a directory stands for all scripts below it",
        needs: &[],
        live: false,
        prints: &["pass        download.pkt"],
        leaves: &[],
    },
];

fn readme() -> String {
    include_str!("../../README.md").replace("\r\n", "\n")
}

/// The lines of its `sh` blocks.
fn commands() -> Vec<String> {
    let readme = readme();
    let blocks = readme.split("```sh\n").skip(1).map(|rest| rest.split("```").next().expect("the end of the block"));
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

#[test]
fn every_command_of_the_readme_is_known_here_and_the_other_way_round() {
    let known: Vec<_> = EXAMPLES.iter().map(|example| example.line.to_owned()).collect();
    assert_eq!(commands(), known, "README.md shows the commands on the left; a test runs those on the right");
    let readme = readme();
    let indented: Vec<_> = readme.lines().filter(|line| line.starts_with("    tcplab ")).collect();
    assert!(indented.is_empty(), "a command belongs into a block of `sh`: {indented:?}");
}

#[test]
fn the_readme_shows_the_ladder_that_the_demo_draws() {
    let picture = format!("```text\n{}```\n", include_str!("../golden/cli/demo.txt"));
    assert!(readme().contains(&picture), "README.md does not show, between ```text and ```:\n{picture}");
}

#[test]
fn the_readme_shows_the_screen_that_step_draws() {
    let screen = format!("```text\n{}```\n", include_str!("../golden/step/lost-data-80x24.txt"));
    assert!(readme().contains(&screen), "README.md does not show, between ```text and ```:\n{screen}");
}

/// The pictures of README.md: the file in docs/pictures, and the arguments that write it.
const PICTURES: [(&str, &str); 6] = [
    ("sequence.svg", "run fast-retransmit --plot sequence"),
    ("ladder.svg", "run lost-data"),
    ("window.svg", "run sack --plot window"),
    ("rtt.svg", "run bufferbloat --plot rtt"),
    ("throughput.svg", "run cubic-vs-bbr --plot throughput"),
    ("queue.svg", "run bufferbloat --plot queue"),
];

#[test]
fn each_picture_of_the_readme_is_what_its_command_writes_now() {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
    for (file, arguments) in PICTURES {
        let shown = format!("`tcplab {arguments} --svg {file}`");
        assert!(readme().contains(&shown), "README.md does not name the command of {file}: {shown}");
        assert!(readme().contains(&format!("](docs/pictures/{file})")), "README.md does not show {file}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcplab"));
        command.args(arguments.split(' ')).args(["--svg", "-"]).stdin(Stdio::null()).env_remove("NO_COLOR");
        let output = command.output().expect("it starts");
        assert_eq!(output.status.code(), Some(0), "{shown}: {}", String::from_utf8_lossy(&output.stderr));
        let picture = String::from_utf8(output.stdout).expect("UTF-8");
        let bless = env::var_os("TCPLAB_BLESS").is_some_and(|value| value == "1");
        if let Err(difference) = compare_golden(&pictures.join(file), &picture, bless) {
            panic!("{shown}: {difference}");
        }
    }
    let mut files: Vec<_> = fs::read_dir(&pictures)
        .expect("docs/pictures")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    files.sort_unstable();
    let mut known = PICTURES.map(|(file, _)| file);
    known.sort_unstable();
    assert_eq!(files, known, "docs/pictures has the files on the left; a test makes those on the right");
}

#[test]
fn every_command_of_the_readme_does_what_it_says() {
    let place = place();
    for example in &EXAMPLES {
        let Example { line, needs, live, prints, leaves } = example;
        let missing = needs.iter().find(|program| !is_installed(program));
        if let Some(missing) = missing {
            left_out(&format!("`{line}` of README.md without {missing}"), "make deps");
            continue;
        }
        if *live && !possible() {
            left_out(&format!("`{line}` of README.md"), "`tcplab doctor` says what to do");
            continue;
        }
        if line.contains("--example hyper") && !built("examples/hyper").is_file() {
            left_out(&format!("`{line}` of README.md"), "cargo build --examples");
            continue;
        }
        let (code, said) = run(&place, line);
        assert_eq!(code, Some(0), "{line}: {said}");
        for words in *prints {
            assert!(said.contains(words), "{line}: no `{words}` in\n{said}");
        }
        for file in *leaves {
            assert!(place.join(file).is_file(), "{line}: no {file}");
        }
    }
}

/// What a shell says to a line, on both outputs, and its exit code.
fn run(place: &Path, line: &str) -> (Option<i32>, String) {
    let binaries = built("tcplab");
    let binaries = binaries.parent().expect("a directory").display().to_string();
    let inherited = env::var("PATH").unwrap_or_default();
    let path = format!("{}:{binaries}:{inherited}", place.join("bin").display());
    let mut shell = Command::new("timeout");
    shell.args(["60", "sh", "-c", line]).current_dir(place).stdin(Stdio::null());
    shell.env("PATH", path).env("HOME", place).env("CARGO_TARGET_DIR", place.join("target"));
    // Not those of a `make test` that we may be part of.
    for variable in [
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
        "TCPLAB_LEFT_OUT",
        "CARGO",
        "CARGO_HOME",
    ] {
        shell.env_remove(variable);
    }
    let output = shell.output().expect("a shell");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// A directory with what the commands of README.md find there.
fn place() -> PathBuf {
    let place = scratch("readme");
    let _ = fs::remove_dir_all(&place);
    for dir in ["bin", "tests", "target", "crate/src"] {
        fs::create_dir_all(place.join(dir)).expect("a directory");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::write(place.join("FILE"), "what is in it\n").expect("a file");
    for file in ["Makefile", "tests/left-out.sh"] {
        fs::copy(root.join(file), place.join(file)).expect("a copy");
    }
    fs::write(place.join("crate/src/lib.rs"), "").expect("a file");
    let scenario = readme().split_once("```toml\n").map(|(_, rest)| rest.split("```").next().unwrap_or("").to_owned());
    fs::write(place.join("download.toml"), scenario.expect("a scenario")).expect("a file");
    let manifest = "[package]\nname = \"trial\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n";
    fs::write(place.join("crate/Cargo.toml"), manifest).expect("a file");
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")));
    let stub = format!(
        "#!/bin/sh\n\
         case \"$*\" in\n\
         'run --release --quiet -- demo') exec tcplab demo;;\n\
         test* | 'build --all-features --examples' | 'install --path .') echo \"cargo $*\";;\n\
         'run --example hyper') exec '{}';;\n\
         add*) cd crate && CARGO_HOME='{}' '{cargo}' \"$@\" --path '{}' --offline && cat Cargo.toml;;\n\
         *) echo \"nobody expects cargo $*\"; exit 1;;\n\
         esac\n",
        built("examples/hyper").display(),
        home.unwrap_or_default(),
        root.display()
    );
    script(&place.join("bin/cargo"), &stub);
    script(&place.join("bin/wireshark"), "#!/bin/sh\n[ \"$1\" = -k ] || exit 1\nshift\nexec tshark -n \"$@\"\n");
    place
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own file");
}

/// What `cargo test` has built beside this test.
fn built(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_tcplab")).parent().expect("a directory").join(name)
}

fn is_installed(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file())
}

/// True if this machine has sandboxes with a TUN device in them.
fn possible() -> bool {
    let doctor = Command::new(env!("CARGO_BIN_EXE_tcplab")).arg("doctor").output().expect("it starts");
    doctor.status.code() == Some(0)
}
