//! Scenarios: a network, its programs, its faults and a description, in one TOML file. The lessons are such files.
//!
//! ```
//! use tcplab::scenario::{Recipe, Scenario};
//!
//! let lesson = Scenario::lesson("handshake").expect("a lesson of that name");
//! let world = lesson.build(5)?;
//! let outcome = world.run();
//! assert!(outcome.failures.is_empty());
//!
//! // A capture is made from a recipe, and can be made from it again:
//! let recipe = Recipe::new(&lesson, 5);
//! assert_eq!(recipe.to_json(), r#"{"tcplab":1,"scenario":"handshake","seed":5,"set":{},"at":"client"}"#);
//! let capture = recipe.rerun_to_bytes()?;
//! assert_eq!(capture[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A file is read in three steps, each with its own kind of mistake: TOML into values with their places (`toml`), values
//! into parts (`read`, `host`, `link`, `program`, `fault`, `expect`), parts into a network that runs (`world`). A setting
//! is a key of the file with a new value (`set`), the same on the command line, in a sweep and in a recipe.
//!
//! A scenario may come from an untrusted capture: nothing in it names a file, a command or a device, and what it can
//! cost is bounded.

mod error;
mod expect;
mod fault;
mod figures;
mod host;
mod lessons;
mod limits;
mod link;
mod program;
mod read;
mod recipe;
mod run;
mod set;
mod source;
mod sweep;
mod traces;
mod world;

pub use error::{BuildError, ScenarioError, SetError};
pub use expect::Frames;
pub use figures::{Figures, FlowFigures};
#[cfg(feature = "drill")]
pub(crate) use host::set_host_key;
pub use lessons::lessons;
pub use read::keys;
pub use recipe::{Recipe, RecipeError};
pub use run::{ProgramReport, RunOutcome, Table};
pub use sweep::{Axis, Run, RunResult, Seeds, Shard, Sweep, SweepError};
pub use world::World;

use std::collections::{BTreeMap, BTreeSet};

use crate::app::Registry;
use crate::link::Trace;
use crate::time::{Duration, Instant};

/// A valid scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    source: Source,
    /// The programs and controllers that it may name.
    registry: Registry,
    /// What the lesson is about, in one or two words.
    topic: String,
    summary: String,
    story: String,
    look: Vec<String>,
    seed: u64,
    at: Option<String>,
    until: Option<Duration>,
    fds: Option<(String, Instant)>,
    hosts: Vec<host::HostPart>,
    links: Vec<link::LinkPart>,
    programs: Vec<program::ProgramPart>,
    faults: Vec<fault::FaultPart>,
    tshark: BTreeMap<String, Frames>,
    /// The traces that were given, by the name in the link lines.
    traces: BTreeMap<String, Trace>,
    /// What was set, in order of the keys.
    set: BTreeMap<String, String>,
}

/// Where a scenario comes from, for its recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// A lesson: its name.
    Lesson(&'static str),
    /// A user's file: its text.
    Text(String),
}

impl Scenario {
    /// The most bytes of its text. A longer one fits into no capture, and is no scenario.
    pub const MOST_BYTES: usize = 1 << 20;

    /// Reads the text of a scenario file.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        Self::parse_with(text, &Registry::default())
    }

    /// Reads the text of a scenario file that may name the programs and controllers of this registry.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn parse_with(text: &str, registry: &Registry) -> Result<Self, ScenarioError> {
        read::scenario(text, Source::Text(text.to_owned()), registry)
    }

    /// The lesson of that name.
    pub fn lesson(name: &str) -> Option<Self> {
        Self::lesson_with(name, &Registry::default())
    }

    /// The lesson of that name, whose settings may name the controllers of this registry.
    pub fn lesson_with(name: &str, registry: &Registry) -> Option<Self> {
        let (name, text) = lessons::find(name)?;
        let read = read::scenario(text, Source::Lesson(name), registry);
        // `tests/lessons.rs` reads every one of them, and no registry lacks a built-in program.
        Some(read.unwrap_or_else(|error| panic!("lesson {name}: {error}")))
    }

    /// The name, if it is a lesson.
    pub fn name(&self) -> Option<&str> {
        match self.source {
            Source::Lesson(name) => Some(name),
            Source::Text(_) => None,
        }
    }

    /// The file.
    pub fn text(&self) -> &str {
        match &self.source {
            Source::Lesson(name) => lessons::find(name).map_or("", |(_, text)| text),
            Source::Text(text) => text,
        }
    }

    /// What it is about, in one or two words.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What it is about, in a line.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// What happens and why.
    pub fn story(&self) -> &str {
        &self.story
    }

    /// What to look at in the capture.
    pub fn look(&self) -> &[String] {
        &self.look
    }

    /// The seed of the file; 1 if it names none.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The names of the hosts, in order.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().filter(|host| !host.router).map(|host| host.name.as_str())
    }

    /// The host at whose interface a capture is taken: `at` of the file, or the first host.
    pub fn at(&self) -> &str {
        self.at.as_deref().or_else(|| self.hosts().next()).unwrap_or_default()
    }

    /// The traces that link lines name (`rate=trace:NAME`) and that were not given with [`Scenario::give_trace`], each once.
    pub fn unread_traces(&self) -> BTreeSet<String> {
        let faults = self.faults.iter().flat_map(|fault| &fault.lines).filter_map(|line| line.items.unread());
        self.links.iter().flat_map(link::LinkPart::unread).chain(faults).map(str::to_owned).collect()
    }

    /// Whether a link line names this trace.
    pub fn names_trace(&self, name: &str) -> bool {
        self.used_traces().contains_key(name) || self.unread_traces().contains(name)
    }

    /// Gives a trace for every link line that names it. The scenario itself opens no file.
    pub fn give_trace(&mut self, trace: Trace) {
        self.traces.insert(trace.name().to_owned(), trace);
        self.give_known_traces();
    }

    fn give_known_traces(&mut self) {
        self.links.iter_mut().for_each(|link| link.give_traces(&self.traces));
        for line in self.faults.iter_mut().flat_map(|fault| &mut fault.lines) {
            if let Some(trace) = line.items.unread().and_then(|name| self.traces.get(name)).cloned() {
                line.items.give_trace(trace);
            }
        }
    }

    /// The traces that it uses, each once.
    fn used_traces(&self) -> BTreeMap<&str, &Trace> {
        let faults = self.faults.iter().flat_map(|fault| &fault.lines);
        let faults = faults.filter_map(|line| line.items.spec().trace.as_ref()).filter(|trace| trace.is_read());
        let all = self.links.iter().flat_map(link::LinkPart::traces).chain(faults);
        all.map(|trace| (trace.name(), trace)).collect()
    }

    /// What tshark has to find in the capture taken there, and nothing else.
    pub fn tshark(&self) -> &BTreeMap<String, Frames> {
        &self.tshark
    }
}
