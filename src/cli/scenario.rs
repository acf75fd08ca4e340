//! The options that `run` and `sweep` share: the scenario, its links and its congestion controller. Reads the lesson or the
//! file that is named.

use std::fmt::Display;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use clap::Args as ClapArgs;

use super::kind::{self, Kind};
use super::{CliError, links};
use crate::app::Registry;
use crate::escape::Name;
use crate::link::{LinkArgument, LinkLine};
use crate::scenario::{Scenario, ScenarioError, SetError, lessons};

/// Bytes that are read of a file at most, because a device may have no end. The parser refuses shorter texts than this.
const ENOUGH: u64 = 2 << 20;

/// A scenario and its settings.
#[derive(Debug, ClapArgs)]
pub(super) struct Which {
    /// Name of a lesson (see `tcplab lessons`), or a scenario file
    #[arg(value_name = "LESSON|FILE.toml")]
    pub(super) scenario: String,
    /// Change items of every link: `delay=50ms,loss=1%`; `A>B:loss=1%` for one direction; `@5s:loss=5%` from a time on;
    /// `@FILE` for a file of such lines; may be repeated [default: the links of the scenario]
    #[arg(long, value_name = "SPEC")]
    pub(super) link: Vec<LinkArgument>,
    /// Trace that a link line of the scenario names: a scenario opens no file itself; may be repeated [default: no trace]
    #[arg(long, value_name = "FILE")]
    pub(super) trace: Vec<String>,
    /// Congestion controller of every host [default: the one in the scenario, else cubic]
    #[arg(long, value_name = "NAME")]
    pub(super) cc: Option<String>,
}

impl Which {
    /// Reads the scenario and applies `--link` and `--cc`. The caller applies `set`, the values of `--set`, whose keys must
    /// differ from each other and from those that `--link` and `--cc` set.
    pub(super) fn open(&self, set: &[(String, String)], registry: &Registry) -> Result<Scenario, CliError> {
        let lines = links::read(&self.link)?;
        self.check_keys(set, &lines)?;
        let mut scenario = self.read(registry)?;
        for given in links::traces(&self.trace)? {
            let name = given.trace.name().to_owned();
            scenario.give_trace(given.trace);
            let is_set = |(_, value): &(String, String)| value.contains(&format!("trace:{name}"));
            if !scenario.names_trace(&name) && !set.iter().any(is_set) {
                let text = format!(
                    "--trace {}: no link line of the scenario has rate=trace:{}",
                    Name(&given.path),
                    Name(&name)
                );
                return Err(CliError::Usage(text));
            }
        }
        let wrong = |error: SetError| {
            let expected = error.expected.replacen("is not known:", "there is no such link:", 1);
            CliError::Usage(format!("--link: {}={}: {}", Name(&error.key), Name(&error.value), Name(&expected)))
        };
        scenario.set_links(&lines).map_err(wrong)?;
        if let Some(name) = &self.cc {
            let wrong = |error: SetError| CliError::Usage(format!("--cc {}: {}", Name(name), Name(&error.expected)));
            scenario.set("host.cc", name).map_err(wrong)?;
        }
        Ok(scenario)
    }

    fn check_keys(&self, set: &[(String, String)], lines: &[LinkLine]) -> Result<(), CliError> {
        once(set.iter().map(|(key, _)| key.as_str()))?;
        let given = |key: &str| set.iter().any(|(known, _)| known == key);
        if self.cc.is_some() && given("host.cc") {
            return Err(CliError::Usage("--cc and --set host.cc set the same key: leave one of them out".to_owned()));
        }
        for (key, _) in lines.iter().flat_map(Scenario::keys_of) {
            if given(&key) {
                let text = format!("--link and --set {} set the same key: leave one of them out", Name(&key));
                return Err(CliError::Usage(text));
            }
        }
        Ok(())
    }

    /// The scenario file that is read; `None` if it is a lesson.
    pub(super) fn file(&self) -> Option<&Path> {
        Scenario::lesson(&self.scenario).is_none().then(|| Path::new(&self.scenario))
    }

    fn read(&self, registry: &Registry) -> Result<Scenario, CliError> {
        let name = self.scenario.as_str();
        if let Some(lesson) = Scenario::lesson_with(name, registry) {
            return Ok(lesson);
        }
        let path = Path::new(name);
        kind::refuse_stdin("read the scenario", path)?;
        let looks_like_a_path =
            path.extension().is_some() || name.contains(['/', '\\']) || path.symlink_metadata().is_ok();
        if !looks_like_a_path {
            let all = lessons().collect::<Vec<_>>().join(", ");
            let near = near_lesson(name).map_or_else(String::new, |near| format!(" (`{near}` perhaps)"));
            return Err(CliError::Usage(format!(
                "read the scenario {name}: there is no lesson of that name{near} and no such file; the lessons are {all}; a \
                 scenario file ends in .toml"
            )));
        }
        let lesson =
            path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| lessons().any(|lesson| lesson == *stem));
        if let Some(lesson) = lesson.filter(|_| !path.exists()) {
            return Err(CliError::Usage(format!(
                "read the scenario {name}: there is no such file; `{lesson}` is the name of a lesson: leave out the ending"
            )));
        }
        let hint = || match Kind::Scenario.hint(path) {
            hint if hint.is_empty() => "; `tcplab lessons --show handshake` prints one".to_owned(),
            hint => hint,
        };
        let wrong = |why: &dyn Display| CliError::Usage(format!("read the scenario {name}: {why}{}", hint()));
        if Kind::Scenario.is_not_that_of(path) {
            return Err(wrong(&"it is not a scenario file"));
        }
        let mut text = String::new();
        let file = File::open(path).map_err(|error| wrong(&error))?;
        file.take(ENOUGH).read_to_string(&mut text).map_err(|error| wrong(&error))?;
        if text.len() > Scenario::MOST_BYTES {
            let text = format!(
                "read the scenario {name}: expected a file of at most {} bytes; write a shorter one",
                Scenario::MOST_BYTES
            );
            return Err(CliError::Usage(text));
        }
        let wrong = |error: ScenarioError| {
            let error = error.to_string();
            let known = if error.contains("docs/scenarios.md") { "" } else { "docs/scenarios.md explains each key, " };
            let example = "`tcplab lessons --show handshake` prints an example";
            CliError::Usage(format!("read the scenario {name}: {error}; {known}{example}"))
        };
        Scenario::parse_with(&text, registry).map_err(wrong)
    }
}

/// The lesson whose name differs by case, or by a missing or wrong end.
fn near_lesson(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let same = |lesson: &&str| lesson.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    let near = lessons().max_by_key(same)?;
    (same(&near) >= 4 && same(&near) * 3 >= near.len() * 2).then_some(near)
}

/// An error in a value of `--set`.
pub(super) fn wrong_setting(error: &SetError) -> CliError {
    CliError::Usage(format!("--{error}"))
}

/// Refuses a key that `--set` has twice.
pub(super) fn once<'k>(keys: impl Iterator<Item = &'k str>) -> Result<(), CliError> {
    let mut seen = std::collections::BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(CliError::Usage(format!(
                "--set {key}: the key is there twice; write it once, such as --set {key}=VALUE; a sweep takes several \
                 values behind one key: --set {key}=V1,V2"
            )));
        }
    }
    Ok(())
}

/// `KEY=VALUE`.
pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    const EXPECTED: &str = "expected KEY=VALUE, such as link.loss=1%";
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.trim().is_empty()).ok_or(EXPECTED)?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
