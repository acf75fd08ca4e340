//! What one direction of a link does from the start, and its changes in order of time. `cli`, `scenario` and the owners of
//! links make it from lines; `Link::set_schedule` takes it.

use super::line::{LinkItems, LinkLine};
use super::spec::{LinkSpec, SpecError};
use crate::time::Duration;

/// A link direction over time. A change holds for packets that enter at its time or after it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LinkSchedule {
    /// From the start.
    pub spec: LinkSpec,
    /// In order of time.
    changes: Vec<LinkChange>,
}

/// Items that hold from a time on.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkChange {
    /// Counted from the start.
    pub at: Duration,
    /// What changes.
    pub items: LinkItems,
}

impl LinkSchedule {
    /// The most changes of one direction.
    pub const MOST_CHANGES: usize = 10_000;

    /// The two directions of a link between `a` and `b`, from `a` first. A line without a time replaces earlier ones for its
    /// directions. Changes are in order of time; of two at one time, that with `A>B:` goes before the other.
    ///
    /// # Errors
    /// A direction of another link, two changes of an item at one time, more than [`LinkSchedule::MOST_CHANGES`] changes, a
    /// trace that was not read.
    pub fn of_link(lines: &[LinkLine], [a, b]: [&str; 2]) -> Result<[Self; 2], SpecError> {
        let known = |(from, to): &(String, String)| [[a, b], [b, a]].contains(&[from.as_str(), to.as_str()]);
        if let Some((from, to)) = lines.iter().filter_map(|line| line.direction.as_ref()).find(|pair| !known(pair)) {
            let direction = format!("{from}>{to}");
            return Err(SpecError::UnknownDirection {
                direction,
                known: format!("{a}>{b}"),
                other: format!("{b}>{a}"),
            });
        }
        if let Some(trace) = lines.iter().find_map(|line| line.items.unread()) {
            return Err(SpecError::NoTrace(trace.to_owned()));
        }
        Ok([Self::of_direction(lines, a, b)?, Self::of_direction(lines, b, a)?])
    }

    fn of_direction(lines: &[LinkLine], from: &str, to: &str) -> Result<Self, SpecError> {
        let mine = || lines.iter().filter(|line| line.is_for(from, to));
        let start = mine().rfind(|line| line.at.is_none());
        let mut timed: Vec<_> =
            mine().filter_map(|line| Some((line.at?, line.direction.is_some(), &line.items))).collect();
        if timed.len() > Self::MOST_CHANGES {
            return Err(SpecError::TooManyChanges);
        }
        // The sort is stable. So later lines are laid over earlier ones.
        timed.sort_by_key(|(at, is_directed, _)| (*at, *is_directed));
        for same in timed.chunk_by(|one, two| (one.0, one.1) == (two.0, two.1)) {
            let mut seen = std::collections::BTreeSet::new();
            let mut keys = same.iter().flat_map(|(_, _, items)| items.keys());
            if let Some(key) = keys.find(|key| !seen.insert(*key)) {
                return Err(SpecError::ChangesTwice { at: same[0].0, key });
            }
        }
        let changes = timed.into_iter().map(|(at, _, items)| LinkChange { at, items: items.clone() }).collect();
        Ok(Self { spec: start.map(|line| line.items.spec().clone()).unwrap_or_default(), changes })
    }

    /// The changes in order of time.
    pub fn changes(&self) -> &[LinkChange] {
        &self.changes
    }
}

impl From<LinkSpec> for LinkSchedule {
    /// Without changes.
    fn from(spec: LinkSpec) -> Self {
        Self { spec, changes: Vec::new() }
    }
}
