//! The interfaces that Wireshark lists: one to choose from, one for each lesson, one for each scenario file of the
//! directories. `sentences` prints them.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::app::Registry;
use crate::cli::CliError;
use crate::escape::Name;
use crate::scenario::{Scenario, lessons};

/// The interface whose dialog has a list of all lessons and files.
pub(super) const CHOOSER: &str = "tcplab";
/// What the chooser runs without a choice.
pub(super) const FIRST_LESSON: &str = "handshake";
/// Scenario files that are listed at most, of all directories together, in the order of their names.
const MOST_FILES: usize = 100;
/// Entries of a directory that are looked at.
const MOST_ENTRIES: usize = 10_000;
/// Bytes of a scenario file that are read: more than the parser takes.
const MOST_BYTES: u64 = 2 << 20;

/// One line of Wireshark's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// Its name, as in `tshark -i NAME`.
    pub(super) name: String,
    /// What the list shows beside it.
    pub(super) display: String,
    /// The lesson or the file that it runs; `None` if the dialog chooses.
    pub(super) scenario: Option<String>,
}

impl Interface {
    /// What the dialog of the chooser calls it.
    pub(super) fn choice(&self) -> Option<&str> {
        self.name.strip_prefix("tcplab-")
    }
}

/// The directories with scenario files: those given, else the one of the user's data.
pub(super) fn directories(given: &[PathBuf]) -> Vec<PathBuf> {
    if given.is_empty() { default_directory().into_iter().collect() } else { given.to_vec() }
}

/// `$XDG_DATA_HOME/tcplab/scenarios`, else that below `~/.local/share`.
fn default_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
    Some(data?.join("tcplab/scenarios"))
}

/// All interfaces, the chooser first.
pub(super) fn list(directories: &[PathBuf], registry: &Registry) -> Vec<Interface> {
    let chooser = "tcplab: choose a lesson or a scenario file".to_owned();
    let mut all = vec![Interface { name: CHOOSER.to_owned(), display: chooser, scenario: None }];
    all.extend(lessons().filter_map(|lesson| of_lesson(lesson, registry)));
    all.extend(files(directories).iter().map(|file| of_file(file, registry)));
    all
}

/// The interface of that name.
pub(super) fn find(name: &str, directories: &[PathBuf], registry: &Registry) -> Result<Interface, CliError> {
    let found = match name.strip_prefix("tcplab-") {
        None if name == CHOOSER => list(&[], registry).into_iter().next(),
        None => None,
        Some(choice) => of_lesson(choice, registry).or_else(|| file_of(choice, directories, registry)),
    };
    found.ok_or_else(|| {
        CliError::Usage(format!(
            "extcap: there is no interface {}; `tcplab extcap --extcap-interfaces` lists them",
            Name(name)
        ))
    })
}

/// The lesson or the path of the file that the dialog of the chooser names.
pub(super) fn chosen(choice: &str, directories: &[PathBuf], registry: &Registry) -> Result<String, CliError> {
    let lesson = of_lesson(choice, registry).or_else(|| file_of(choice, directories, registry));
    lesson.and_then(|interface| interface.scenario).ok_or_else(|| {
        CliError::Usage(format!(
            "extcap --lesson {}: there is no lesson and no scenario file of that name; `tcplab extcap \
             --extcap-interfaces` lists them, each behind `tcplab-`",
            Name(choice)
        ))
    })
}

fn of_lesson(name: &str, registry: &Registry) -> Option<Interface> {
    let lesson = Scenario::lesson_with(name, registry)?;
    let display = format!("tcplab {name}: {}", lesson.summary());
    Some(Interface { name: format!("tcplab-{name}"), display, scenario: Some(name.to_owned()) })
}

fn file_of(choice: &str, directories: &[PathBuf], registry: &Registry) -> Option<Interface> {
    let stem = choice.strip_prefix("file-")?;
    files(directories).iter().find(|file| file.stem == stem).map(|file| of_file(file, registry))
}

/// A file that does not parse is listed too: the capture then says what is wrong.
fn of_file(file: &ScenarioFile, registry: &Registry) -> Interface {
    let mut text = String::new();
    let read = File::open(&file.path).and_then(|open| open.take(MOST_BYTES).read_to_string(&mut text)).is_ok();
    let scenario = Scenario::parse_with(&text, registry).ok().filter(|_| read);
    let summary = match &scenario {
        None => "a mistake in the file",
        Some(scenario) if scenario.summary().is_empty() => "a scenario file",
        Some(scenario) => scenario.summary(),
    };
    let display = format!("tcplab {}.toml: {summary}", file.stem);
    Interface { name: format!("tcplab-file-{}", file.stem), display, scenario: Some(file.path.clone()) }
}

struct ScenarioFile {
    stem: String,
    path: String,
}

/// The scenario files, by name. Of two with the same name the one of the first directory counts. A name with other
/// characters than letters, digits, `.`, `_` and `-` cannot be the name of an interface.
fn files(directories: &[PathBuf]) -> Vec<ScenarioFile> {
    let mut all: Vec<ScenarioFile> = Vec::new();
    for directory in directories {
        let Ok(entries) = fs::read_dir(directory) else { continue };
        let mut found: Vec<_> =
            entries.take(MOST_ENTRIES).flatten().filter_map(|entry| scenario_file(&entry.path())).collect();
        found.retain(|file| !all.iter().any(|other| other.stem == file.stem));
        all.append(&mut found);
    }
    all.sort_by(|a, b| a.stem.cmp(&b.stem));
    all.truncate(MOST_FILES);
    all
}

fn scenario_file(path: &Path) -> Option<ScenarioFile> {
    if path.extension()? != "toml" || !path.is_file() {
        return None;
    }
    let stem = path.file_stem()?.to_str()?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fits = !stem.is_empty() && stem.bytes().all(allowed);
    fits.then_some(())?;
    Some(ScenarioFile { stem: stem.to_owned(), path: path.to_str()?.to_owned() })
}
