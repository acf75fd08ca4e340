//! `[links]`: `client-server = "rate=10Mbit,delay=20ms"`, a link line as everywhere, or a list of lines, of which one
//! with `A>B:` in front is for that direction and goes before those for both. A line with `@TIME:` sets its items from that
//! time on.

use std::collections::BTreeMap;

use super::error::ScenarioError;
use super::source::TomlEntry;
use crate::link::{LinkItems, LinkLine, LinkSchedule, LinkSpec, SpecError, Trace};
use crate::time::Duration;

/// A link as it is written.
#[derive(Clone, Debug)]
pub(super) struct LinkPart {
    /// `A-B`.
    pub(super) name: String,
    pub(super) ends: [String; 2],
    /// What each end sends into, from the start.
    lines: [LinkItems; 2],
    /// What changes: when, whether a line for this direction alone says so, and in what the first or second end sends into.
    changes: BTreeMap<(Duration, bool, usize), LinkItems>,
}

const EXPECTED: &str = "a link line such as \"rate=10Mbit,delay=20ms,loss=1%\", or a list of them";

/// A word of a line, and what was expected instead.
type Wrong = (Option<String>, String);

impl LinkPart {
    pub(super) fn read(entry: &TomlEntry<'_, '_>, hosts: &[&str]) -> Result<Self, ScenarioError> {
        let ends = ends(entry.key, hosts).ok_or_else(|| {
            let example = hosts.get(..2).map_or("A-B".to_owned(), |pair| pair.join("-"));
            entry.unknown_name(&format!("two hosts with a hyphen between, such as {example}, of {}", hosts.join(", ")))
        })?;
        let (name, lines) = (entry.key.to_owned(), [LinkItems::default(), LinkItems::default()]);
        let mut link = Self { name, ends, lines, changes: BTreeMap::new() };
        for place in entry.strings(EXPECTED)? {
            let merged = place.string.parse().map_err(|error| located(&error)).and_then(|line| link.add(&line));
            merged.map_err(|(word, expected)| place.wrong(word.as_deref(), &entry.path, expected))?;
        }
        Ok(link)
    }

    /// Takes the items of a line of the file over into the directions that it is for.
    fn add(&mut self, line: &LinkLine) -> Result<(), Wrong> {
        let directions = self.directions(line.direction.as_ref()).map_err(|expected| (None, expected))?;
        if let Some(at) = line.at {
            let known = directions.iter().filter_map(|end| self.changes.get(&(at, line.direction.is_some(), *end)));
            let twice = known.flat_map(LinkItems::keys).find(|key| line.items.keys().any(|other| other == *key));
            if let Some(key) = twice {
                return Err(located(&SpecError::ChangesTwice { at, key }));
            }
        }
        self.set(line).map_err(|expected| (None, expected))
    }

    /// Reads a line that changes the link at a time that is given elsewhere: the directions that it is for, and its items.
    pub(super) fn change(&self, text: &str) -> Result<(Vec<usize>, LinkItems), Wrong> {
        let LinkLine { direction, items, .. } = LinkLine::parse_change(text).map_err(|error| located(&error))?;
        Ok((self.directions(direction.as_ref()).map_err(|expected| (None, expected))?, items))
    }

    /// Sets items, in one direction or both, from the start or from a time on.
    pub(super) fn set(&mut self, line: &LinkLine) -> Result<(), String> {
        for end in self.directions(line.direction.as_ref())? {
            let items = match line.at {
                None => &mut self.lines[end],
                Some(at) => self.changes.entry((at, line.direction.is_some(), end)).or_default(),
            };
            items.merge(&line.items);
        }
        let most = LinkSchedule::MOST_CHANGES;
        if self.changes.len() > 2 * most { Err(format!("at most {most} changes of each direction")) } else { Ok(()) }
    }

    pub(super) fn joins(&self, from: &str, to: &str) -> bool {
        [[from, to], [to, from]].contains(&[self.ends[0].as_str(), self.ends[1].as_str()])
    }

    /// Which of the two lines a direction means.
    fn directions(&self, direction: Option<&(String, String)>) -> Result<Vec<usize>, String> {
        match direction {
            None => Ok(vec![0, 1]),
            Some((from, to)) if self.joins(from, to) => Ok(vec![usize::from(self.ends[0] != *from)]),
            Some(_) => {
                let [a, b] = &self.ends;
                Err(format!("a direction of this link, {a}>{b} or {b}>{a}"))
            }
        }
    }

    /// What the two lines say from the start.
    pub(super) fn specs(&self) -> [&LinkSpec; 2] {
        [self.lines[0].spec(), self.lines[1].spec()]
    }

    /// Whether the link changes.
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    fn items(&self) -> impl Iterator<Item = &LinkItems> {
        self.lines.iter().chain(self.changes.values())
    }

    /// The traces that its lines name, and that were not given.
    pub(super) fn unread(&self) -> impl Iterator<Item = &str> {
        self.items().filter_map(LinkItems::unread)
    }

    /// The traces that were given.
    pub(super) fn traces(&self) -> impl Iterator<Item = &Trace> {
        self.items().filter_map(|items| items.spec().trace.as_ref()).filter(|trace| trace.is_read())
    }

    /// Gives the traces that its lines name, where they are known.
    pub(super) fn give_traces(&mut self, known: &BTreeMap<String, Trace>) {
        for items in self.lines.iter_mut().chain(self.changes.values_mut()) {
            if let Some(trace) = items.unread().and_then(|name| known.get(name)).cloned() {
                items.give_trace(trace);
            }
        }
    }

    /// Its lines, each with its direction: those from the start first, then the changes in order of time.
    pub(super) fn lines(&self) -> impl Iterator<Item = LinkLine> {
        let starts = self.lines.iter().enumerate().map(|(end, items)| (None, end, items));
        let changes = self.changes.iter().map(|((at, _, end), items)| (Some(*at), *end, items));
        starts.chain(changes).map(|(at, end, items)| self.line(end, at, items.clone()))
    }

    /// A line for what one of its ends sends.
    pub(super) fn line(&self, end: usize, at: Option<Duration>, items: LinkItems) -> LinkLine {
        let [a, b] = self.ends.clone();
        LinkLine { direction: Some(if end == 0 { (a, b) } else { (b, a) }), at, items }
    }
}

/// The word of the line that is wrong, and what was expected.
fn located(error: &SpecError) -> Wrong {
    let word = match error {
        SpecError::UnknownKey(key) | SpecError::Twice(key) => Some(format!("{key}=")),
        SpecError::Value { key, value, .. } => Some(format!("{key}={value}")),
        SpecError::NoValue(item) => Some(item.clone()),
        SpecError::ChangesTwice { key, .. } => Some(format!("{key}=")),
        _ => None,
    };
    (word, described(error))
}

pub(super) fn described(error: &SpecError) -> String {
    format!("a link line ({error})")
}

/// `A-B`, where names may have hyphens too.
fn ends(name: &str, hosts: &[&str]) -> Option<[String; 2]> {
    let cuts = name.match_indices('-').map(|(at, _)| (&name[..at], &name[at + 1..]));
    let mut pairs = cuts.filter(|(a, b)| a != b && hosts.contains(a) && hosts.contains(b));
    pairs.next().map(|(a, b)| [a.to_owned(), b.to_owned()])
}
