//! packetdrill scripts on the userspace stack. A script runs against the sockets of a host in virtual time: a scripted
//! peer sends the packets of the script, and the packets of the host are compared with those that the script expects.
//!
//! ```
//! use tcplab::drill::{Drill, Verdict};
//!
//! let script = "
//!      0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
//!     +0    bind(3, ..., ...) = 0
//!     +0    listen(3, 1) = 0
//!     +0    < S  0:0(0) win 32792 <mss 1000>
//!     +0    > S. 0:0(0) ack 1 <mss 1460>
//!     +0.1  <  . 1:1(0) ack 1 win 257
//!     +0    accept(3, ..., ...) = 4
//! ";
//! assert_eq!(Drill::new().run_text("accept.pkt", script).verdict, Verdict::Pass);
//! ```
//!
//! ```text
//!   text --> parse --> script (data) --> run: calls (the sockets of our host), packets and flow (what the scripted peer
//!                                        sends), compare (what the host sent) --> report
//! ```
//!
//! `returns` compares what calls returned. `settings` reads option lines, `system` the defaults and sysctls of FreeBSD and
//! Linux, `code` the assertions in Python. docs/drill.md describes the language and what is compared.

mod calls;
mod code;
mod compare;
mod expect;
mod flow;
mod from;
mod icmp;
mod packets;
pub mod parse;
mod print;
mod report;
mod returns;
mod run;
pub mod script;
mod settings;
mod system;
mod test_dir;
mod wire;

pub use compare::Relax;
#[cfg(feature = "cli")]
pub(crate) use from::from_reader;
pub use from::{FromError, FromRole, from_capture, from_read};
pub use report::{Outcome, Verdict};
pub use settings::IpVersion;
pub use system::System;
#[cfg(feature = "cli")]
pub(crate) use test_dir::SCRIPTS;
pub use test_dir::{TestDir, test_dir};

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use crate::escape::Name;
use crate::event::Observer;
use crate::scenario::set_host_key;
use crate::socket::HostConfig;
use crate::time::Duration;
use parse::{Definitions, ParseErrorKind};
use run::{Ran, Setup, Stop};
use script::{OptionLine, Script, Span};
use settings::{Settings, Unusable};

/// How scripts are run. Set the options first, then call [`Drill::run_file`] or [`Drill::run_text`].
#[derive(Clone, Debug, Default)]
pub struct Drill {
    relax: BTreeSet<Relax>,
    system: Option<System>,
    options: Vec<OptionLine>,
    definitions: Vec<String>,
    host: Vec<(String, String)>,
}

impl Drill {
    /// Strict comparison, and the system that the script is for.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a comparison may leave out.
    #[must_use]
    pub fn relax(mut self, relax: impl IntoIterator<Item = Relax>) -> Self {
        self.relax.extend(relax);
        self
    }

    /// Whose defaults the host has, whatever the script is for.
    #[must_use]
    pub fn system(self, system: System) -> Self {
        Self { system: Some(system), ..self }
    }

    /// An option of scripts by name, such as `ip_version`, which wins over the line of the script.
    #[must_use]
    pub fn option(mut self, name: &str, value: Option<&str>) -> Self {
        self.options.push(OptionLine { name: name.to_owned(), value: value.map(str::to_owned) });
        self
    }

    /// `NAME` defines a name for `#ifdef`; `NAME=VALUE` also replaces the word.
    ///
    /// # Errors
    /// What is wrong with the definition.
    pub fn define(mut self, definition: &str) -> Result<Self, String> {
        Definitions::new().define(definition).map_err(|error| error.to_string())?;
        self.definitions.push(definition.to_owned());
        Ok(self)
    }

    /// Sets a field of [`HostConfig`] by the key that scenario files have for it. It wins over the script.
    ///
    /// # Errors
    /// The key is not known, or what was expected as its value.
    pub fn set(mut self, key: &str, value: &str) -> Result<Self, String> {
        set_host_key(&mut HostConfig::default(), key, value)?;
        self.host.push((key.to_owned(), value.to_owned()));
        Ok(self)
    }

    /// Runs the script in a file.
    pub fn run_file(&self, path: impl AsRef<Path>) -> Outcome {
        self.run_file_observed(path, &[])
    }

    /// As [`Drill::run_file`], and publishes the events to `observers`. The host under test is the first host of the
    /// events, [`HostId(0)`](crate::event::HostId), and the script's side the second.
    pub fn run_file_observed(&self, path: impl AsRef<Path>, observers: &[Rc<RefCell<dyn Observer>>]) -> Outcome {
        let name = path.as_ref().display().to_string();
        match read_script(path.as_ref()) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => self.run_text_observed(&name, &text, observers),
                Err(error) => {
                    let reason = format!("byte {} is not UTF-8", error.utf8_error().valid_up_to());
                    blank(&name, Verdict::Error, reason)
                }
            },
            Err(error) => blank(&name, Verdict::Error, format!("read {}: {error}", Name(&name))),
        }
    }

    /// Runs a script. `name` is for the outcome and for messages.
    pub fn run_text(&self, name: &str, text: &str) -> Outcome {
        self.run_text_observed(name, text, &[])
    }

    /// As [`Drill::run_text`], and publishes the events to `observers`.
    pub fn run_text_observed(&self, name: &str, text: &str, observers: &[Rc<RefCell<dyn Observer>>]) -> Outcome {
        match self.parse(name, text) {
            Ok((system, script)) => self.run_as((name, text), system, &script, observers),
            Err(outcome) => *outcome,
        }
    }

    /// Runs a script that was parsed.
    pub fn run_script(&self, name: &str, script: &Script) -> Outcome {
        self.run_as((name, ""), self.system.unwrap_or_else(|| System::of(script)), script, &[])
    }

    /// Parses a script. Which system it is for decides about its conditionals, so it can be parsed twice. The error is the
    /// outcome that [`Drill::run_text`] gives.
    pub fn parse(&self, name: &str, text: &str) -> Result<(System, Script), Box<Outcome>> {
        let parse_for = |system: System| {
            let mut definitions = Definitions::new();
            let words = core::iter::once(system.definition()).chain(self.definitions.iter().map(String::as_str));
            for word in words {
                let defined = definitions.define(word);
                defined.map_err(|error| Box::new(blank(name, Verdict::Error, error.to_string())))?;
            }
            parse::parse(text, &definitions).map_err(|error| {
                let verdict = match error.kind {
                    ParseErrorKind::Unsupported(_) => Verdict::Unsupported,
                    _ => Verdict::Error,
                };
                Box::new(Outcome { line: Some(error.line), system, ..blank(name, verdict, error.render(name, text)) })
            })
        };
        let first = self.system.unwrap_or(System::Rfc);
        let script = parse_for(first)?;
        let system = self.system.unwrap_or_else(|| System::of(&script));
        if system == first { Ok((system, script)) } else { parse_for(system).map(|script| (system, script)) }
    }

    /// `text`: the source of the script, for the lines in messages.
    fn run_as(
        &self,
        (name, text): (&str, &str),
        system: System,
        script: &Script,
        observers: &[Rc<RefCell<dyn Observer>>],
    ) -> Outcome {
        let settings = match Settings::of(script, &self.options) {
            Ok(settings) => settings,
            Err((unusable, span)) => {
                let line = line_of(text, span);
                let (verdict, what) = match unusable {
                    Unusable::Unsupported(what) => (Verdict::Unsupported, what),
                    Unusable::Wrong(what) => (Verdict::Error, what),
                };
                return Outcome { system, line, ..blank(name, verdict, what) };
            }
        };
        let config = system.config();
        let setup =
            Setup { script, settings, config, host: &self.host, relax: &self.relax, observers, measured: false };
        let Ran { stop, relaxed, skipped_asserts, notes, virtual_time, .. } = run::run(setup);
        let (verdict, reason, line) = match stop {
            None => (Verdict::Pass, String::new(), None),
            Some((Stop::Fail(reason), line)) => (Verdict::Fail, reason, line),
            Some((Stop::Unsupported(reason), line)) => (Verdict::Unsupported, reason, line),
            Some((Stop::Error(reason), line)) => (Verdict::Error, reason, line),
        };
        // What has no event is the command before the first one.
        let init = script.init.as_ref().map(|init| init.span).filter(|_| verdict != Verdict::Pass);
        let line = line.or_else(|| line_of(text, init));
        let relaxed = relaxed.into_iter().collect();
        Outcome { system, relaxed, skipped_asserts, line, notes, virtual_time, ..blank(name, verdict, reason) }
    }
}

/// The line of a place, from 1. `None` if there is no text.
fn line_of(text: &str, span: Option<Span>) -> Option<usize> {
    let before = span.and_then(|span| text.get(..span.start)).filter(|_| !text.is_empty());
    before.map(|before| before.matches('\n').count() + 1)
}

/// An outcome before anything ran.
fn blank(name: &str, verdict: Verdict, reason: String) -> Outcome {
    Outcome {
        script: name.to_owned(),
        verdict,
        system: System::Rfc,
        relaxed: Vec::new(),
        skipped_asserts: 0,
        line: None,
        reason,
        notes: Vec::new(),
        virtual_time: Duration::ZERO,
    }
}

/// Bytes of a script at most.
const LONGEST: u64 = 1 << 20;

/// Reads a script, which may be a device without an end.
fn read_script(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;

    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(std::io::Error::other(format!("a script has at most {LONGEST} bytes")));
    }
    Ok(bytes)
}
