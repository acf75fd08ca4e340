//! The options that `run` and `sweep` share: the scenario, its links and its congestion controller. Reads the lesson or the
//! file that is named.

use std::fmt::Display;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use clap::Args as ClapArgs;

use super::CliError;
use crate::app::Registry;
use crate::escape::Name;
use crate::link::LinkLine;
use crate::scenario::{Scenario, lessons};

/// Bytes that are read of a file at most, because a device may have no end. The parser refuses shorter texts than this.
const ENOUGH: u64 = 2 << 20;

/// A scenario and its settings.
#[derive(Debug, ClapArgs)]
pub(super) struct Which {
    /// Name of a lesson (see `tcplab lessons`), or a scenario file
    #[arg(value_name = "LESSON|FILE.toml")]
    pub(super) scenario: String,
    /// Change items of every link: `delay=50ms,loss=1%`; `A>B:loss=1%` for one direction [default: the links of the
    /// scenario]
    #[arg(long, value_name = "SPEC")]
    pub(super) link: Option<LinkLine>,
    /// Congestion controller of every host [default: the one in the scenario, else cubic]
    #[arg(long, value_name = "NAME")]
    pub(super) cc: Option<String>,
}

impl Which {
    /// Reads the scenario and applies `--link` and `--cc`. The caller applies `--set`.
    pub(super) fn open(&self, registry: &Registry) -> Result<Scenario, CliError> {
        let mut scenario = self.read(registry)?;
        let usage = |error: crate::scenario::SetError| CliError::Usage(error.to_string());
        if let Some(line) = &self.link {
            scenario.set_link(line).map_err(usage)?;
        }
        if let Some(name) = &self.cc {
            scenario.set("host.cc", name).map_err(usage)?;
        }
        Ok(scenario)
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
        let looks_like_a_path = path.extension().is_some() || name.contains(['/', '\\']) || path.exists();
        if !looks_like_a_path {
            let all = lessons().collect::<Vec<_>>().join(", ");
            return Err(CliError::Usage(format!(
                "there is no lesson `{}` and no such file; the lessons are {all}; a scenario file ends in .toml",
                Name(name)
            )));
        }
        let shown = Name(name);
        let wrong = |why: &dyn Display| {
            CliError::Usage(format!("read the scenario {shown}: {why}; `tcplab lessons --show handshake` prints one"))
        };
        let mut text = String::new();
        let file = File::open(path).map_err(|error| wrong(&error))?;
        file.take(ENOUGH).read_to_string(&mut text).map_err(|error| wrong(&error))?;
        Scenario::parse_with(&text, registry).map_err(|error| CliError::Usage(format!("{shown}: {error}")))
    }
}

/// `KEY=VALUE`.
pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, such as link.loss=1%")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
