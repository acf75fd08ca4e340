//! The errors of a scenario: its text, a setting, or the combination of its parts.

use std::fmt;

use crate::escape::Name;

/// An error in a scenario file, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {key}: expected {}", Name(.expected), key = Named(.key))]
pub struct ScenarioError {
    /// Which line, from 1.
    pub line: usize,
    /// Which character of it, from 1.
    pub column: usize,
    /// The offending key, with the tables that it is in: `hosts.client.cc`.
    pub key: String,
    /// What was expected there.
    pub expected: String,
}

/// An error in a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("set {key}={}: {key} {}", Name(.value), Name(.expected), key = Name(.key))]
pub struct SetError {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// What is wrong with it.
    pub expected: String,
}

/// Parts that do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("build the network of the scenario: {0}")]
pub struct BuildError(pub String);

struct Named<'a>(&'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("the file"),
            key => write!(f, "`{}`", Name(key)),
        }
    }
}

/// The message for an unknown key: the nearest known key, and all of them.
pub(super) fn unknown(key: &str, known: &[&str]) -> String {
    let all = known.join(", ");
    match nearest(key, known) {
        Some(near) if known.len() > LONG_LIST => {
            format!("a known key, `{near}` perhaps; docs/scenarios.md lists all")
        }
        Some(near) => format!("a known key, `{near}` perhaps (known are {all})"),
        None => format!("a known key ({all})"),
    }
}

/// More keys than this are not listed beside the one that was meant.
const LONG_LIST: usize = 30;

/// The known word that differs least, if it differs by little.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let (distance, near) = known.iter().map(|known| (distance(word, known), *known)).min()?;
    (distance * 2 <= word.chars().count().max(2)).then_some(near)
}

/// How many letters have to be changed, put in, taken out or (neighbours) swapped.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(40).collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, j) => j,
                (i, 0) => i,
                _ => {
                    let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    let swapped = if swapped { rows[i - 2][j - 2] + 1 } else { usize::MAX };
                    changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(swapped)
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_suggested_and_nothing_that_is_far_away() {
        let known = ["address", "cc", "mtu"];
        assert!(unknown("adress", &known).starts_with("a known key, `address` perhaps"));
        assert!(unknown("mut", &known).starts_with("a known key, `mtu` perhaps"));
        assert_eq!(unknown("colour", &known), "a known key (address, cc, mtu)");
    }
}
