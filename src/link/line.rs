//! A link line with its direction and its time: `[A>B:][@TIME:]items`. `@FILE` stands for a file of such lines.
//!
//! A line without a time is what the link does from the start. A line with a time sets items from that time on, counted
//! from the start. What it does not name stays. The value `0` takes an item away: `@5s:rate=0`. `cli` reads lines of
//! options and files, `scenario` those of scenario files, `control` those that come while something runs.

use core::fmt;
use core::str::FromStr;

use super::spec::{KEYS, LinkSpec, REPEATED, SpecError, Time};
use super::trace::Trace;
use super::value;
use crate::time::Duration;

/// Items of a link line: the values, and which of them are given.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LinkItems {
    spec: LinkSpec,
    /// By their place in [`KEYS`].
    given: [bool; KEYS.len()],
}

/// A link line: items, the direction that they are for, and the time from which on they hold.
#[derive(Clone, Debug, Default)]
pub struct LinkLine {
    /// `A>B:`; without it the line is for both directions.
    pub direction: Option<(String, String)>,
    /// `@TIME:`, counted from the start; without it the line holds from the start.
    pub at: Option<Duration>,
    /// The rest of the line.
    pub items: LinkItems,
}

/// What an option takes: a line, or a file of lines.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkArgument {
    /// A line.
    Line(Box<LinkLine>),
    /// `[A>B:]@FILE`. With a direction, its lines are for that direction.
    File {
        /// The direction.
        direction: Option<(String, String)>,
        /// The path.
        path: String,
    },
}

/// An error in a file of lines, with the number of the line from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct LineError {
    /// The number of the line.
    pub line: usize,
    /// What is wrong.
    pub error: String,
}

impl LinkItems {
    /// Reads items: `rate=10Mbit,delay=20ms`.
    ///
    /// # Errors
    /// The first item that is none.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        Self::read(text, false)
    }

    /// As [`LinkItems::parse`], where the value 0 takes an item away.
    ///
    /// # Errors
    /// As there.
    pub fn parse_change(text: &str) -> Result<Self, SpecError> {
        Self::read(text, true)
    }

    fn read(text: &str, is_change: bool) -> Result<Self, SpecError> {
        let mut items = Self::default();
        if text.trim().is_empty() {
            return Ok(items);
        }
        for item in text.split(',').map(str::trim) {
            if item.is_empty() {
                return Err(SpecError::NoItem(text.to_owned()));
            }
            let (key, value) = item.split_once('=').ok_or_else(|| SpecError::NoValue(item.to_owned()))?;
            let Some(at) = KEYS.iter().position(|known| *known == key) else {
                // The one place that knows the message.
                return items.spec.set(key, value).map(|()| items);
            };
            let was_given = core::mem::replace(&mut items.given[at], true);
            let takes_away = is_change && value == "0";
            if was_given && (takes_away || !REPEATED.contains(&key)) {
                return Err(SpecError::Twice(key.to_owned()));
            }
            if !takes_away {
                items.spec.set(key, value)?;
            }
        }
        Ok(items)
    }

    /// One item. The value 0 takes it away. Values of a key that may be repeated are joined by commas.
    ///
    /// # Errors
    /// No such key or value.
    pub fn item(key: &str, value: &str) -> Result<Self, SpecError> {
        let is_list = REPEATED.contains(&key);
        let values = value.split(',').filter(|_| is_list).chain(Some(value).filter(|_| !is_list));
        let text = values.map(|value| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        let items = Self::parse_change(&text)?;
        if items.keys().eq([key]) { Ok(items) } else { Err(SpecError::NoValue(text)) }
    }

    /// Each key that is given with its value, as [`LinkItems::item`] reads it.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let one = |key: &'static str| {
            let mut alone = Self::default();
            alone.merge_key(key, self);
            let text = alone.to_string();
            let values: Vec<_> =
                text.split(',').filter_map(|item| item.split_once('=')).map(|(_, value)| value).collect();
            (key, values.join(","))
        };
        self.keys().map(one).collect()
    }

    /// Takes over what other items give.
    pub fn merge(&mut self, other: &Self) {
        other.keys().for_each(|key| self.merge_key(key, other));
    }

    fn merge_key(&mut self, key: &str, other: &Self) {
        self.spec.take(key, &other.spec);
        for (known, given) in KEYS.iter().zip(&mut self.given) {
            *given |= *known == key;
        }
    }

    /// The keys that are given.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        KEYS.into_iter().zip(self.given).filter(|(_, given)| *given).map(|(key, _)| key)
    }

    /// Whether this key is given.
    pub(super) fn gives(&self, key: &str) -> bool {
        self.keys().any(|given| given == key)
    }

    /// True if nothing is given.
    pub fn is_empty(&self) -> bool {
        self.keys().next().is_none()
    }

    /// The name of a trace whose file is to be read: the path as it is written.
    pub fn unread(&self) -> Option<&str> {
        self.spec.trace.as_ref().and_then(Trace::unread_path)
    }

    /// Gives the trace that was read.
    pub fn give_trace(&mut self, trace: Trace) {
        if self.gives("rate") {
            (self.spec.rate, self.spec.trace) = (None, Some(trace));
        }
    }

    /// Lays the items over a spec. What is not given stays.
    pub fn lay_over(&self, spec: &mut LinkSpec) {
        self.keys().for_each(|key| spec.take(key, &self.spec));
    }

    /// The spec that has these items and nothing else.
    pub fn into_spec(self) -> LinkSpec {
        self.spec
    }

    /// As [`LinkItems::into_spec`], borrowed.
    pub fn spec(&self) -> &LinkSpec {
        &self.spec
    }
}

impl PartialEq for LinkLine {
    /// From the start, an item with its default value is as if it was not written. Later it is a change.
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (&self.items, &other.items);
        (&self.direction, self.at, &one.spec) == (&other.direction, other.at, &two.spec)
            && (self.at.is_none() || one.given == two.given)
    }
}

impl LinkLine {
    /// Reads `[A>B:]items`, what changes a link at once or at a time that is given elsewhere. The value 0 takes an item away.
    ///
    /// # Errors
    /// As for a line with a time.
    pub fn parse_change(text: &str) -> Result<Self, SpecError> {
        let (direction, rest) = split_direction(text)?;
        if split_at(rest).is_some() {
            return Err(SpecError::Timed(text.to_owned()));
        }
        let items = LinkItems::parse_change(rest)?;
        if items.is_empty() {
            return Err(SpecError::NoChange(text.to_owned()));
        }
        Ok(Self { direction, at: None, items })
    }

    /// Whether the line is for the direction between these ends.
    pub(super) fn is_for(&self, from: &str, to: &str) -> bool {
        self.direction.as_ref().is_none_or(|(a, b)| a == from && b == to)
    }
}

/// The most bytes of a file of lines.
pub const MOST_LINE_BYTES: usize = 1 << 20;
/// The most lines in it, without empty ones and comments.
pub const MOST_LINES: usize = 10_000;

/// Reads a file of link lines. Empty lines, and lines that begin with `#`, are skipped. `direction` is that of lines that
/// have none.
///
/// # Errors
/// The first line that is none, with its number.
pub fn read_lines(text: &str, direction: Option<&(String, String)>) -> Result<Vec<LinkLine>, LineError> {
    let mut lines = Vec::new();
    for (line, text) in (1..).zip(text.lines().map(str::trim)) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let wrong = |error: String| LineError { line, error };
        if lines.len() == MOST_LINES {
            return Err(wrong(format!("more than {MOST_LINES} link lines")));
        }
        let mut read: LinkLine = text.parse().map_err(|error: SpecError| wrong(error.to_string()))?;
        match (&read.direction, direction) {
            (Some(own), Some(given)) if own != given => {
                let ((from, to), (a, b)) = (own, given);
                return Err(wrong(format!("the line is for {from}>{to}, and the file is given for {a}>{b}")));
            }
            _ => read.direction = read.direction.or_else(|| direction.cloned()),
        }
        lines.push(read);
    }
    Ok(lines)
}

/// A and B of `A>B`.
type Ends = (String, String);

/// Splits `A>B:` off.
fn split_direction(text: &str) -> Result<(Option<Ends>, &str), SpecError> {
    // A path behind `@` or `trace:` may have such a character.
    let first = text.find(['>', '@']).filter(|at| text[*at..].starts_with('>') && !text[..*at].contains("trace:"));
    let Some(at) = first else { return Ok((None, text)) };
    let wrong = || SpecError::Direction(text.to_owned());
    let (to, rest) = text[at + 1..].split_once(':').ok_or_else(wrong)?;
    let (from, to) = (text[..at].trim(), to.trim());
    if [from, to].iter().any(|name| name.is_empty() || name.contains(['=', ',', ':', '>', '@'])) {
        return Err(wrong());
    }
    Ok((Some((from.to_owned(), to.to_owned())), rest))
}

/// What stands behind `@` at the beginning, and whether it is a time.
fn split_at(text: &str) -> Option<(&str, bool)> {
    let rest = text.trim_start().strip_prefix('@')?;
    Some((rest, rest.starts_with(|c: char| c.is_ascii_digit())))
}

fn parse_line(direction: Option<(String, String)>, text: &str, whole: &str) -> Result<LinkLine, SpecError> {
    let Some((rest, _)) = split_at(text) else {
        return Ok(LinkLine { direction, at: None, items: LinkItems::parse(text)? });
    };
    let wrong = || SpecError::Time(whole.to_owned());
    let (time, items) = rest.split_once(':').ok_or_else(wrong)?;
    let at = value::parse_time(time.trim()).ok_or_else(wrong)?;
    let items = LinkItems::parse_change(items)?;
    if items.is_empty() {
        return Err(SpecError::NoChange(whole.to_owned()));
    }
    Ok(LinkLine { direction, at: Some(at), items })
}

impl FromStr for LinkArgument {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        // Perhaps a variable of the shell that is not set.
        if text.trim().is_empty() {
            return Err(SpecError::Empty);
        }
        let (direction, rest) = split_direction(text)?;
        match split_at(rest) {
            Some((path, false)) if !path.is_empty() => Ok(Self::File { direction, path: path.to_owned() }),
            Some((_, false)) => Err(SpecError::Time(text.to_owned())),
            _ => parse_line(direction, rest, text).map(|line| Self::Line(Box::new(line))),
        }
    }
}

impl FromStr for LinkLine {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        // A scenario has "" for a link that does nothing.
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        match text.parse()? {
            LinkArgument::Line(line) => Ok(*line),
            LinkArgument::File { path, .. } => Err(SpecError::File(path)),
        }
    }
}

impl fmt::Display for LinkItems {
    /// The items that parse to the same: values that are not the default, and `KEY=0` for what is taken away.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)?;
        let mut separator = if self.spec == LinkSpec::default() { "" } else { "," };
        for key in self.keys() {
            let mut rest = self.spec.clone();
            rest.take(key, &LinkSpec::default());
            if rest == self.spec {
                write!(f, "{separator}{key}=0")?;
                separator = ",";
            }
        }
        Ok(())
    }
}

impl fmt::Display for LinkLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((from, to)) = &self.direction {
            write!(f, "{from}>{to}:")?;
        }
        match self.at {
            Some(at) => write!(f, "@{}:{}", Time(at), self.items),
            // A default that is written is no change.
            None => self.items.spec.fmt(f),
        }
    }
}
