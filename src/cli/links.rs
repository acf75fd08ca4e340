//! The values of `--link`: lines, files of lines (`@FILE`), and the traces that a line names (`rate=trace:FILE`). Every
//! command with `--link` reads them here, before it enters a namespace. Nothing else opens such a file.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::CliError;
use crate::escape::Name;
use crate::link::{LinkArgument, LinkLine, LinkSchedule, MOST_LINE_BYTES, SpecError, Trace, read_lines};

/// The lines that `--link` stands for, in order, their traces read.
pub(super) fn read(arguments: &[LinkArgument]) -> Result<Vec<LinkLine>, CliError> {
    let mut lines = Vec::new();
    for argument in arguments {
        match argument {
            LinkArgument::Line(line) => lines.push((**line).clone()),
            LinkArgument::File { direction, path } => {
                let wrong = |why: &dyn std::fmt::Display| CliError::Usage(format!("--link @{}: {why}", Name(path)));
                let unread = |why: &dyn std::fmt::Display| {
                    wrong(&format_args!("{why}; @FILE is a text file of link lines, such as @5s:loss=5%"))
                };
                let bytes = contents(path, MOST_LINE_BYTES).map_err(|why| unread(&why))?;
                let text = String::from_utf8(bytes).map_err(|_| unread(&"the file is not text in UTF-8"))?;
                lines.extend(read_lines(&text, direction.as_ref()).map_err(|error| wrong(&Name(&error.to_string())))?);
            }
        }
    }
    let mut seen = BTreeSet::new();
    for LinkLine { direction, at, items } in &lines {
        let Some(at) = *at else { continue };
        if let Some(key) = items.keys().find(|key| !seen.insert((at, direction.clone(), *key))) {
            return Err(CliError::Usage(format!("--link: {}", SpecError::ChangesTwice { at, key })));
        }
    }
    let mut traces = Traces::default();
    for line in &mut lines {
        if let Some(path) = line.items.unread() {
            let trace = traces.read(path).map_err(|why| wrong_trace(path, &why))?;
            line.items.give_trace(trace);
        }
    }
    Ok(lines)
}

/// What `--link` makes of the two directions of a link, from the first end and from the second.
#[cfg_attr(not(all(feature = "live", target_os = "linux")), allow(dead_code, reason = "commands in real time use it"))]
pub(super) fn schedules(arguments: &[LinkArgument], ends: [&str; 2]) -> Result<[LinkSchedule; 2], CliError> {
    let lines = read(arguments)?;
    LinkSchedule::of_link(&lines, ends)
        .map_err(|error| CliError::Usage(format!("--link: {}", Name(&error.to_string()))))
}

/// What a trace is, behind an error.
const TRACE: &str = "a trace is a file of mahimahi's format, a number of milliseconds on each line";

fn wrong_trace(path: &str, why: &str) -> CliError {
    CliError::Usage(format!("--link rate=trace:{}: {}; {TRACE}", Name(path), Name(why)))
}

/// Traces by the path from which they were read.
#[derive(Default)]
struct Traces(BTreeMap<String, Trace>);

impl Traces {
    /// The name of a trace is that of its file, without the directory: it is printed and kept in captures.
    fn read(&mut self, path: &str) -> Result<Trace, String> {
        if let Some(trace) = self.0.get(path) {
            return Ok(trace.clone());
        }
        let bytes = contents(path, Trace::MOST_BYTES)?;
        let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path);
        let trace = Trace::parse(name, &bytes).map_err(|error| error.to_string())?;
        if let Some((other, _)) = self.0.iter().find(|(_, known)| known.name() == name && **known != trace) {
            return Err(format!("{other} has the same file name and other contents; rename one of them"));
        }
        self.0.insert(path.to_owned(), trace.clone());
        Ok(trace)
    }
}

/// A trace of `--trace`.
pub(super) struct GivenTrace {
    pub(super) path: String,
    pub(super) trace: Trace,
    /// A capture needed it.
    pub(super) used: Cell<bool>,
}

/// Reads the traces of `--trace`.
pub(super) fn traces(paths: &[String]) -> Result<Vec<GivenTrace>, CliError> {
    let mut known = Traces::default();
    let read = |path: &String| match known.read(path) {
        Ok(trace) => Ok(GivenTrace { path: path.clone(), trace, used: Cell::new(false) }),
        Err(why) => Err(CliError::Usage(format!("--trace {}: {}; {TRACE}", Name(path), Name(&why)))),
    };
    paths.iter().map(read).collect()
}

/// The bytes of a file, which may be a device without an end.
fn contents(path: &str, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| error.to_string())?;
    if bytes.len() > most {
        return Err(format!("the file has more than {most} bytes"));
    }
    Ok(bytes)
}
