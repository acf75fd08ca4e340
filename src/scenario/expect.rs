//! What tshark has to find in the capture of a scenario: the names of its expert items (`tcp.analysis.retransmission`,
//! `tcp.connection.syn`), each with the numbers of the packets that show it, or with how many do. What is not named
//! must not be there.

use core::fmt;
use std::collections::BTreeMap;

use super::error::ScenarioError;
use super::source::Section;

/// The packets that show an expert item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frames {
    /// These, by number from 1.
    Numbers(Vec<u64>),
    /// So many.
    Count(u64),
}

const EXPECTED: &str = "numbers of packets such as [4, 7], or how many packets there are";

pub(super) fn read(section: &Section<'_, '_>) -> Result<BTreeMap<String, Frames>, ScenarioError> {
    let mut all = BTreeMap::new();
    for entry in section.entries() {
        let frames = match entry.numbers(EXPECTED)? {
            Ok(numbers) if numbers.is_empty() || numbers.contains(&0) => return Err(entry.wrong(EXPECTED)),
            Ok(numbers) => Frames::Numbers(numbers),
            Err(count) => Frames::Count(count),
        };
        all.insert(entry.key.to_owned(), frames);
    }
    Ok(all)
}

impl Frames {
    /// Whether exactly these packets are as expected.
    pub fn is(&self, found: &[u64]) -> bool {
        match self {
            Self::Numbers(numbers) => numbers == found,
            Self::Count(count) => *count == found.len() as u64,
        }
    }
}

impl fmt::Display for Frames {
    /// As it is written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbers(numbers) => write!(f, "{numbers:?}"),
            Self::Count(count) => count.fmt(f),
        }
    }
}
