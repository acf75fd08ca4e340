//! Recipes: what a capture is made from, in one line of JSON that is the comment on its section.
//!
//! ```text
//! {"tcplab":1,"scenario":"handshake","seed":5,"set":{"link.loss":"1%"},"at":"client"}
//! ```
//!
//! | field | what it is |
//! |---|---|
//! | `tcplab` | 1, the version of this format |
//! | `scenario` | the name of a lesson (only a-z, 0-9 and -), else the whole text of a scenario file. A name alone is no TOML, so that there is no doubt |
//! | `seed` | the seed |
//! | `set` | what was set, by key |
//! | `at` | the host at whose interface the capture was taken |
//! | `traces` | the traces of `rate=trace:NAME`, by name: the milliseconds, with a blank between, if all of them together fit in 32 KiB; else `bytes` and `sha256` of the trace with one number in each line, and whoever makes the run again gives the trace |
//! | `comments`, `snaplen`, `count` | how it was written, where that is not as usual |
//!
//! A recipe with other content is refused: an untrusted capture can start only a simulation of bounded size, and no
//! command, file or device.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::error::{BuildError, ScenarioError, SetError};
use super::run::RunOutcome;
use super::traces::{self, TraceRecord};
use super::{Scenario, Source, World};
use crate::app::Registry;
use crate::capture::{Capture, Comments, Settings, WriteError};
use crate::escape::Name;
use crate::link::Trace;

/// The longest capture that is made again in memory.
const MOST_BYTES: usize = 512 << 20;

/// The limit of events for a run from a recipe, which may be untrusted: some seconds.
const MOST_EVENTS: u64 = 2_000_000;

/// What a capture is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    tcplab: u8,
    scenario: String,
    seed: u64,
    set: BTreeMap<String, String>,
    at: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    traces: BTreeMap<String, TraceRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    comments: Option<Remarks>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snaplen: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// The programs and controllers that its scenario may name.
    #[serde(skip)]
    registry: Known,
    /// The traces that were given.
    #[serde(skip)]
    given: Vec<Trace>,
}

/// A registry. Two recipes are equal if their content is equal.
#[derive(Clone, Debug, Default)]
struct Known(Registry);

impl PartialEq for Known {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Known {}

/// Comments that are not the usual brief ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Remarks {
    None,
    Full,
}

/// Why there is no recipe, or why its capture cannot be made again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// Not the JSON of a recipe.
    #[error("the comment is no recipe: {0}")]
    Json(String),
    /// Of a later version.
    #[error("the recipe is of version {0}, this is tcplab for version 1: use a newer one")]
    Version(u8),
    /// The capture was taken on a device.
    #[error("the capture was taken on a device: there is nothing to run again")]
    Live,
    /// The capture comes from a program of the library's user.
    #[error("the capture was not made from a scenario: there is nothing to run again")]
    NoScenario,
    /// No such lesson.
    #[error("the recipe names the lesson `{0}`, and there is none of that name")]
    UnknownLesson(String),
    /// The scenario in the recipe.
    #[error("the scenario in the recipe: {0}")]
    Scenario(#[from] ScenarioError),
    /// A setting of the recipe.
    #[error("the settings in the recipe: {0}")]
    Set(#[from] SetError),
    /// The host of the recipe.
    #[error("the recipe's capture was taken at `{0}`, and there is no host of that name")]
    UnknownHost(String),
    /// A trace of the recipe.
    #[error("the trace `{}` in the recipe: {}", Name(.0), Name(.1))]
    Trace(String, String),
    /// The recipe has no contents of a trace, and none was given.
    #[error(
        "the recipe needs the trace `{}` of {bytes} bytes, SHA-256 {}; --trace FILE gives it", Name(.name), Name(.sha256)
    )]
    NeedsTrace {
        /// Its name in the link lines.
        name: String,
        /// Its length, with one number in each line.
        bytes: u64,
        /// Of the same bytes.
        sha256: String,
    },
    /// The parts do not fit together.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The capture.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Recipe {
    /// The recipe of a scenario as it is set, with this seed, captured at its usual host in the usual way.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let name = match &scenario.source {
            Source::Lesson(name) => (*name).to_owned(),
            Source::Text(text) => text.clone(),
        };
        let (set, at) = (scenario.set.clone(), scenario.at().to_owned());
        let registry = Known(scenario.registry.clone());
        let used = scenario.used_traces();
        let given = used.values().map(|trace| (*trace).clone()).collect();
        let (traces, (comments, snaplen, count)) = (traces::records(&used), (None, None, None));
        Self { tcplab: 1, scenario: name, seed, set, at, traces, comments, snaplen, count, registry, given }
    }

    /// Captured at this host.
    #[must_use]
    pub fn at(self, host: &str) -> Self {
        Self { at: host.to_owned(), ..self }
    }

    /// With these comments.
    #[must_use]
    pub fn comments(self, comments: Comments) -> Self {
        let comments = match comments {
            Comments::Brief => None,
            Comments::None => Some(Remarks::None),
            Comments::Full => Some(Remarks::Full),
        };
        Self { comments, ..self }
    }

    /// At most so many bytes of each packet; 0 for all.
    #[must_use]
    pub fn snaplen(self, snaplen: u32) -> Self {
        Self { snaplen: (snaplen != 0).then_some(snaplen), ..self }
    }

    /// Only the first packets.
    #[must_use]
    pub fn count(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }

    /// Gives a trace whose contents the recipe has not. False if none of its traces is that.
    pub fn give_trace(&mut self, trace: &Trace) -> bool {
        let mut digest = None;
        let names = self.traces.iter().filter(|(_, record)| record.is_of(trace, &mut digest));
        let given: Vec<_> = names.map(|(name, _)| trace.renamed(name)).collect();
        let is_used = !given.is_empty();
        self.given.extend(given);
        is_used
    }

    /// The host at whose interface the capture is taken.
    pub fn vantage(&self) -> &str {
        &self.at
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers make JSON")
    }

    /// Reads one line of JSON.
    ///
    /// # Errors
    /// Everything that is not exactly a recipe whose scenario can be run.
    pub fn parse(json: &str) -> Result<Self, RecipeError> {
        Self::parse_with(json, &Registry::default())
    }

    /// As [`Recipe::parse`], of a scenario that may name the programs and controllers of this registry.
    ///
    /// # Errors
    /// As there.
    pub fn parse_with(json: &str, registry: &Registry) -> Result<Self, RecipeError> {
        #[derive(Deserialize)]
        struct Version {
            tcplab: u8,
            #[serde(default)]
            live: bool,
            scenario: Option<serde::de::IgnoredAny>,
        }
        let wrong = |error: serde_json::Error| RecipeError::Json(error.to_string());
        let version: Version = serde_json::from_str(json).map_err(wrong)?;
        match version {
            Version { live: true, .. } => return Err(RecipeError::Live),
            Version { tcplab: 1, scenario: None, .. } => return Err(RecipeError::NoScenario),
            Version { tcplab: 1, .. } => {}
            Version { tcplab, .. } => return Err(RecipeError::Version(tcplab)),
        }
        let mut recipe: Self = serde_json::from_str(json).map_err(wrong)?;
        recipe.registry = Known(registry.clone());
        recipe.given = traces::contained(&recipe.traces)?;
        let scenario = recipe.scenario()?;
        if let Some(name) = recipe.traces.keys().find(|name| !scenario.names_trace(name)) {
            return Err(RecipeError::Trace(name.clone(), "no link line names it".to_owned()));
        }
        Ok(recipe)
    }

    /// The scenario as it was set.
    ///
    /// # Errors
    /// A lesson or a host that there is not, a text that is no scenario, a setting that it does not take.
    pub fn scenario(&self) -> Result<Scenario, RecipeError> {
        let name = &self.scenario;
        let is_name = name.bytes().all(|value| value.is_ascii_lowercase() || value.is_ascii_digit() || value == b'-');
        let mut scenario = if is_name {
            Scenario::lesson_with(name, &self.registry.0).ok_or_else(|| RecipeError::UnknownLesson(name.clone()))?
        } else {
            Scenario::parse_with(name, &self.registry.0)?
        };
        for (key, value) in &self.set {
            scenario.set(key, value)?;
        }
        for trace in &self.given {
            scenario.give_trace(trace.clone());
        }
        if !scenario.hosts().any(|host| host == self.at) {
            return Err(RecipeError::UnknownHost(self.at.clone()));
        }
        Ok(scenario)
    }

    /// How the capture of a run is to be taken, the recipe itself as its comment.
    ///
    /// # Errors
    /// The world has no host of that name.
    pub fn settings(&self, world: &World) -> Result<Settings, RecipeError> {
        let at = world.id(&self.at).ok_or_else(|| RecipeError::UnknownHost(self.at.clone()))?;
        let comments = match self.comments {
            None => Comments::Brief,
            Some(Remarks::None) => Comments::None,
            Some(Remarks::Full) => Comments::Full,
        };
        let settings = Settings::default().at(at).interface(self.at.as_str()).recipe(self.to_json()).comments(comments);
        let settings = settings.snaplen(self.snaplen.unwrap_or(0));
        Ok(match self.count {
            Some(count) => settings.count(count),
            None => settings,
        })
    }

    /// Runs once more and gives the pcapng, byte for byte what `tcplab run -w` writes.
    ///
    /// # Errors
    /// The scenario cannot be read or built, or its capture is longer than half a gigabyte. A run of more than two
    /// million events is ended: [`Recipe::rerun`] reports it among its failures.
    pub fn rerun_to_bytes(&self) -> Result<Vec<u8>, RecipeError> {
        self.rerun().map(|(bytes, _)| bytes)
    }

    /// As [`Recipe::rerun_to_bytes`], with what came of the run.
    ///
    /// # Errors
    /// As there.
    pub fn rerun(&self) -> Result<(Vec<u8>, RunOutcome), RecipeError> {
        let scenario = self.scenario()?;
        for name in scenario.unread_traces() {
            traces::refuse(&name, &self.traces)?;
        }
        let world = scenario.build(self.seed)?;
        world.sim().limit_events(MOST_EVENTS);
        let data = Memory::default();
        let capture = self.settings(&world)?.own_thread(false).stream(data.clone(), "memory")?;
        let capture = world.observe::<Capture>(capture);
        let outcome = world.run();
        capture.borrow_mut().close()?;
        let bytes = core::mem::take(&mut *data.0.lock().expect("no thread panics with the lock"));
        Ok((bytes, outcome))
    }
}

/// A stream that is kept in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut data = self.0.lock().expect("no thread panics with the lock");
        if data.len() + bytes.len() > MOST_BYTES {
            return Err(io::Error::other(format!("a capture of more than {MOST_BYTES} bytes is not kept in memory")));
        }
        data.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
