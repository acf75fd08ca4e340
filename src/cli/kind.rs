//! What kind of file a path leads to, for the message of a command that needs another kind. Captures, scenario files and
//! scripts each have a command of their own. The commands that read files call it after a failure.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::CliError;
use super::output_file::is_magic;
use crate::escape;
use crate::scenario::Scenario;

/// What a command reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Capture,
    Scenario,
    Script,
}

impl Kind {
    /// What the file is, if it is not of this kind, and which command is for it. Begins with `; ` or is empty.
    pub(super) fn hint(self, path: &Path) -> String {
        let shown = escape::path(path);
        let name = path.to_str().unwrap_or_default();
        match found(path) {
            Found::Directory if self == Self::Script => String::new(),
            Found::Directory => format!("; {shown} is a directory: name a file in it{}", self.example()),
            Found::Missing if self != Self::Scenario && Scenario::lesson(name).is_some() => {
                format!("; {shown} is the name of a lesson: `tcplab run {shown}` runs it")
            }
            Found::Missing => format!("; check the name{}", self.example()),
            Found::File(Some(kind)) if kind == self => String::new(),
            Found::File(Some(Self::Capture)) if self == Self::Script => {
                format!("; {shown} is a capture: `tcplab drill --from {shown}` makes a script of it")
            }
            Found::File(Some(Self::Capture)) => {
                format!("; {shown} is a capture: `tcplab show {shown}` prints it, `tcplab replay {shown}` replays it")
            }
            Found::File(Some(Self::Scenario)) => {
                format!("; {shown} seems to be a scenario file: `tcplab run {shown}` runs it")
            }
            Found::File(Some(Self::Script)) => {
                format!("; {shown} seems to be a packetdrill script: `tcplab drill {shown}` runs it")
            }
            Found::File(None) if self == Self::Capture => {
                "; `tcplab run NAME -w NEW.pcapng` writes a capture, and so do tcpdump and Wireshark".to_owned()
            }
            Found::File(None) => String::new(),
        }
    }

    /// The kind of the file is another one.
    pub(super) fn is_not_that_of(self, path: &Path) -> bool {
        matches!(found(path), Found::File(Some(kind)) if kind != self)
    }

    fn example(self) -> &'static str {
        match self {
            Self::Capture => ", such as tcplab-demo.pcapng, which `tcplab demo` writes",
            Self::Scenario => "; `tcplab lessons --show handshake > mine.toml` writes a scenario file",
            Self::Script => ", such as accept.pkt; `tcplab drill --from CAPTURE > accept.pkt` writes a script",
        }
    }
}

/// Refuses `-` in place of a file, for a command that does not read standard input.
pub(super) fn refuse_stdin(command: &str, path: &Path) -> Result<(), CliError> {
    if path.as_os_str() == "-" {
        return Err(CliError::Usage(format!(
            "{command} -: standard input is not read here; write it into a file and name that, or ./- for a file of this name"
        )));
    }
    Ok(())
}

enum Found {
    Missing,
    Directory,
    File(Option<Kind>),
}

/// By the first bytes, else by the ending of the name.
fn found(path: &Path) -> Found {
    match fs::metadata(path) {
        Err(_) => return Found::Missing,
        Ok(file) if file.is_dir() => return Found::Directory,
        // A pipe would wait for its writer.
        Ok(file) if !file.is_file() => return Found::File(None),
        Ok(_) => {}
    }
    let mut begins = [0; 4];
    if File::open(path).and_then(|mut file| file.read_exact(&mut begins)).is_ok() && is_magic(begins) {
        return Found::File(Some(Kind::Capture));
    }
    Found::File(match path.extension().and_then(|ending| ending.to_str()) {
        Some("toml") => Some(Kind::Scenario),
        Some("pkt") => Some(Kind::Script),
        _ => None,
    })
}
