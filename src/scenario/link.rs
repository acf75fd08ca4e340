//! `[links]`: `client-server = "rate=10Mbit,delay=20ms"`, a link line as everywhere, or a list of lines, of which one
//! with `A>B:` in front is for that direction and goes before those for both.

use super::error::ScenarioError;
use super::source::TomlEntry;
use crate::link::{LinkLine, LinkSpec, SpecError};

/// A link as it is written.
#[derive(Clone, Debug)]
pub(super) struct LinkPart {
    /// `A-B`.
    pub(super) name: String,
    pub(super) ends: [String; 2],
    /// What each end sends into.
    pub(super) lines: [Items; 2],
}

/// The items of a link line in order: key and value.
#[derive(Clone, Debug, Default)]
pub(super) struct Items(Vec<(String, String)>);

const EXPECTED: &str = "a link line such as \"rate=10Mbit,delay=20ms,loss=1%\", or a list of them";

impl LinkPart {
    pub(super) fn read(entry: &TomlEntry<'_, '_>, hosts: &[&str]) -> Result<Self, ScenarioError> {
        let ends = ends(entry.key, hosts).ok_or_else(|| {
            let example = hosts.get(..2).map_or("A-B".to_owned(), |pair| pair.join("-"));
            entry.unknown_name(&format!("two hosts with a hyphen between, such as {example}, of {}", hosts.join(", ")))
        })?;
        let mut link = Self { name: entry.key.to_owned(), ends, lines: [Items::default(), Items::default()] };
        for place in entry.strings(EXPECTED)? {
            link.merge(place.string).map_err(|(word, expected)| place.wrong(word.as_deref(), &entry.path, expected))?;
        }
        Ok(link)
    }

    /// Takes the items of a line over into the directions that it is for. The error is a word of the line and what was
    /// expected.
    pub(super) fn merge(&mut self, line: &str) -> Result<(), (Option<String>, String)> {
        let (direction, items) = match line.split_once('>') {
            Some((_, rest)) => {
                let LinkLine { direction, .. } = line.parse().map_err(|error| located(&error))?;
                (direction, rest.split_once(':').map_or("", |(_, items)| items))
            }
            None => (None, line),
        };
        let _: LinkSpec = items.parse().map_err(|error| located(&error))?;
        for at in self.directions(direction.as_ref()).map_err(|expected| (None, expected))? {
            self.lines[at].merge(items);
        }
        Ok(())
    }

    /// Sets one item, in one direction or both. `0` takes a key away.
    pub(super) fn set(&mut self, direction: Option<&(String, String)>, key: &str, value: &str) -> Result<(), String> {
        for at in self.directions(direction)? {
            self.lines[at].0.retain(|(known, _)| known != key);
            if value != "0" {
                self.lines[at].0.push((key.to_owned(), value.to_owned()));
            }
        }
        // What was taken away has to be a key as well.
        let probe = if value == "0" { format!("{key}=0%") } else { format!("{key}={value}") };
        match probe.parse::<LinkSpec>() {
            Err(error @ SpecError::UnknownKey(_)) => Err(described(&error)),
            Err(error) if value != "0" => Err(described(&error)),
            _ => Ok(()),
        }
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

    /// What the two lines say.
    pub(super) fn specs(&self) -> Vec<LinkSpec> {
        self.lines.iter().filter_map(|items| items.written().parse().ok()).collect()
    }

    /// The two link lines, each with its direction.
    pub(super) fn written(&self) -> [String; 2] {
        let [a, b] = &self.ends;
        [format!("{a}>{b}:{}", self.lines[0].written()), format!("{b}>{a}:{}", self.lines[1].written())]
    }
}

impl Items {
    /// A key of the line goes before what was there of it.
    fn merge(&mut self, line: &str) {
        let items: Vec<_> = line
            .split(',')
            .filter_map(|item| item.split_once('='))
            .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
            .collect();
        self.0.retain(|(known, _)| !items.iter().any(|(key, _)| key == known));
        self.0.extend(items);
    }

    fn written(&self) -> String {
        self.0.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    }
}

/// The word of the line that is wrong, and what was expected.
fn located(error: &SpecError) -> (Option<String>, String) {
    let word = match error {
        SpecError::UnknownKey(key) | SpecError::Twice(key) => Some(format!("{key}=")),
        SpecError::Value { key, value, .. } => Some(format!("{key}={value}")),
        SpecError::NoValue(item) => Some(item.clone()),
        _ => None,
    };
    (word, described(error))
}

fn described(error: &SpecError) -> String {
    format!("a link line ({error})")
}

/// `A-B`, where names may have hyphens too.
fn ends(name: &str, hosts: &[&str]) -> Option<[String; 2]> {
    let cuts = name.match_indices('-').map(|(at, _)| (&name[..at], &name[at + 1..]));
    let mut pairs = cuts.filter(|(a, b)| a != b && hosts.contains(a) && hosts.contains(b));
    pairs.next().map(|(a, b)| [a.to_owned(), b.to_owned()])
}
