//! `[[programs]]`: what runs on a host. A list of calls (`do`), a built-in server (`app`), or the client of one (`app`
//! with `to`).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::error::ScenarioError;
use super::host::{number, switch, time};
use super::limits::Cost;
use super::source::{Section, TomlEntry};
use crate::app::calls::Call;
use crate::app::{Program, Registry, calls, one_of};
use crate::link::parse_size;
use crate::time::Duration;

/// A program as it is written.
#[derive(Clone, Debug)]
pub(super) struct ProgramPart {
    pub(super) name: Option<String>,
    pub(super) host: String,
    pub(super) what: What,
    /// When the first of them starts.
    pub(super) start: Duration,
    /// How many there are.
    pub(super) count: u32,
    /// How much later the next one starts.
    pub(super) every: Duration,
    /// The run does not wait for its end.
    pub(super) daemon: bool,
    pub(super) port: Option<u16>,
    pub(super) backlog: usize,
    pub(super) size: u64,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// The lines, and what they cost.
    Calls(Vec<String>, Cost),
    Server(Program),
    /// With the server's host or address, and its port if it is not the usual one.
    Client(Program, String),
}

/// Keys of a program with what they mean.
pub(super) const KEYS: [(&str, &str); 12] = [
    ("host", "where it runs"),
    ("name", "what it is called in results and in settings"),
    ("do", "a list of calls, one text for each"),
    (
        "app",
        "a program by its name: hello, echo, discard, chat, bulk, http or one of your own; it serves, unless `to` is there",
    ),
    ("to", "the server, HOST or HOST:PORT: the program is the client of `app` (hello, echo, bulk, http)"),
    (
        "size",
        "bytes: of the file that http serves, of what the client of echo or bulk sends (default 100000); also 64KiB or 1MB",
    ),
    ("port", "where a server listens; by default the usual port of the program"),
    ("backlog", "connections that may wait for accept (default 128)"),
    ("start", "when it starts (default 0)"),
    ("count", "how many of it there are (default 1)"),
    ("every", "how much later the next one of them starts (default 0)"),
    ("daemon", "true or false: whether the run may end before it; servers are daemons"),
];

/// Bytes that a call or a built-in program sends at most: more would take minutes, and a scenario may come from an
/// untrusted capture.
pub(super) const MOST_SENT: u64 = 1 << 30;

/// Keys that can be set from outside.
const SETTABLE: [&str; 6] = ["size", "port", "backlog", "start", "count", "every"];

/// What `count` is at most. [`super::limits`] has the limit for all programs.
const MOST_PROGRAMS: u32 = 10_000;
const DO: &str = "a list of calls, such as [\"connect server:80\", \"send 3000\", \"close\"]";

impl ProgramPart {
    pub(super) fn read(
        section: &Section<'_, '_>,
        hosts: &BTreeMap<String, IpAddr>,
        registry: &Registry,
    ) -> Result<Self, ScenarioError> {
        let entries = section.entries();
        let find = |key: &str| entries.iter().find(|entry| entry.key == key);
        for entry in &entries {
            if !KEYS.iter().any(|(key, _)| *key == entry.key) {
                return Err(entry.unknown(&KEYS.map(|(key, _)| key)));
            }
        }
        let names = || hosts.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let host = find("host").ok_or_else(|| section.missing("host", format!("one of the hosts: {}", names())))?;
        let one_of = format!("one of the hosts: {}", names());
        let name = host.string(&one_of)?;
        if !hosts.contains_key(name) {
            return Err(host.wrong(one_of));
        }
        let what = what(section, find("do"), find("app"), find("to"), hosts, registry)?;
        let daemon = matches!(what, What::Server(_));
        let mut program = Self {
            name: None,
            host: name.to_owned(),
            what,
            start: Duration::ZERO,
            count: 1,
            every: Duration::ZERO,
            daemon,
            port: None,
            backlog: 128,
            size: 100_000,
        };
        for entry in entries.iter().filter(|entry| !["host", "do", "app", "to"].contains(&entry.key)) {
            let value = entry.scalar("a text, a number, true or false")?;
            program.set(entry.key, &value).map_err(|expected| entry.wrong(expected))?;
        }
        Ok(program)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "name" if !value.is_empty() && value.chars().all(|c| c.is_alphanumeric() || "-_ ".contains(c)) => {
                self.name = Some(value.to_owned());
            }
            "name" => return Err("a name of letters, digits, spaces, - and _".to_owned()),
            "size" => self.size = size(value)?,
            "port" => self.port = Some(number(value, 1, u16::MAX)?),
            "backlog" => self.backlog = number(value, 0, 65_535)?,
            "start" => self.start = time(value)?,
            "count" => self.count = number(value, 0, MOST_PROGRAMS)?,
            "every" => self.every = time(value)?,
            "daemon" => self.daemon = switch(value)?,
            _ => return Err(super::error::unknown(key, &SETTABLE)),
        }
        Ok(())
    }

    /// Sets a key from outside.
    pub(super) fn set_from_outside(&mut self, key: &str, value: &str) -> Result<(), String> {
        if SETTABLE.contains(&key) { self.set(key, value) } else { Err(super::error::unknown(key, &SETTABLE)) }
    }
}

fn size(text: &str) -> Result<u64, String> {
    let read = parse_size(text).filter(|size| *size <= MOST_SENT);
    read.ok_or_else(|| format!("bytes from 0 to {MOST_SENT}, such as 100000, 64KiB or 1MB"))
}

/// Bytes of the pattern that a call sends.
fn pattern_len(call: &Call) -> u64 {
    match call {
        Call::SendPattern(count) | Call::SendPaced(count, _) => *count,
        Call::Fails(call, _) => pattern_len(call),
        _ => 0,
    }
}

fn what(
    section: &Section<'_, '_>,
    calls: Option<&TomlEntry<'_, '_>>,
    app: Option<&TomlEntry<'_, '_>>,
    to: Option<&TomlEntry<'_, '_>>,
    hosts: &BTreeMap<String, IpAddr>,
    registry: &Registry,
) -> Result<What, ScenarioError> {
    let names = || one_of(registry.programs().map(Program::name));
    match (calls, app, to) {
        (Some(_), Some(other), _) | (Some(_), None, Some(other)) => Err(other.wrong("`do` or `app`, not both")),
        (None, None, _) => Err(section.missing("do", format!("`do`, {DO}, or `app`, one of {}", names()))),
        (Some(entry), None, None) => {
            let places = entry.strings(DO)?;
            let lines: Vec<_> = places.iter().map(|place| place.string).collect();
            let parsed = calls::parse(lines.iter().copied(), hosts).map_err(|error| {
                let place = &places[error.line - 1];
                let expected = match &error.word {
                    Some(word) => format!("{}, not {word}", error.expected),
                    None => format!("{} where the call ends", error.expected),
                };
                place.wrong(error.word.as_deref(), &entry.path, expected)
            })?;
            let spoken = places.iter().filter(|place| !matches!(place.string.trim().chars().next(), None | Some('#')));
            for (place, call) in spoken.zip(&parsed) {
                if pattern_len(call) > MOST_SENT {
                    return Err(place.wrong(None, &entry.path, format!("at most {MOST_SENT} bytes in one call")));
                }
            }
            Ok(What::Calls(lines.into_iter().map(str::to_owned).collect(), Cost::of(&parsed)))
        }
        (None, Some(entry), to) => {
            let app = registry.find(entry.string(&names())?).ok_or_else(|| entry.wrong(names()))?.clone();
            let Some(to) = to else {
                if !app.has_server() {
                    return Err(entry.wrong(format!("`to` beside it: {} has no server", app.name())));
                }
                return Ok(What::Server(app));
            };
            if !app.has_client() {
                let clients = one_of(registry.programs().filter(|app| app.has_client()).map(Program::name));
                return Err(to.wrong(format!("no `to`: only {clients} has a client")));
            }
            let expected = "HOST or HOST:PORT, for example server:80";
            let address = to.string(expected)?;
            resolve(address, app.port(), hosts).ok_or_else(|| to.wrong(expected))?;
            Ok(What::Client(app, address.to_owned()))
        }
    }
}

/// `server`, `server:80`, `192.0.2.1:80`.
pub(super) fn resolve(text: &str, port: u16, hosts: &BTreeMap<String, IpAddr>) -> Option<SocketAddr> {
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Some(addr);
    }
    if let Some(&ip) = hosts.get(text) {
        return Some(SocketAddr::new(ip, port));
    }
    let (host, port) = text.rsplit_once(':')?;
    Some(SocketAddr::new(*hosts.get(host)?, port.parse().ok().filter(|&port| port != 0)?))
}
