//! The traces of a recipe: their contents if they are short, else what they are recognized by. `recipe` writes and reads
//! them. A recipe names no file: whoever makes a run again gives what is missing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::recipe::RecipeError;
use crate::link::Trace;

/// Bytes of all traces in one recipe, with one number in each line.
const MOST_CONTAINED: usize = 32 << 10;

/// A trace in a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum TraceRecord {
    /// Its milliseconds, with a blank between.
    Contents(String),
    /// What it is recognized by.
    Recognized(Recognized),
}

/// The length and the digest of a trace with one number in each line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recognized {
    bytes: u64,
    sha256: String,
}

impl Recognized {
    fn of(trace: &Trace) -> Self {
        let (mut bytes, mut digest) = (0, Sha256::new());
        for millis in trace.millis() {
            let line = format!("{millis}\n");
            bytes += line.len() as u64;
            digest.update(line.as_bytes());
        }
        let mut sha256 = String::new();
        for byte in digest.finalize() {
            write!(sha256, "{byte:02x}").expect("a String takes everything");
        }
        Self { bytes, sha256 }
    }
}

impl TraceRecord {
    /// Whether this is the trace. `digest` keeps what was computed for it.
    pub(super) fn is_of(&self, trace: &Trace, digest: &mut Option<Recognized>) -> bool {
        match self {
            Self::Contents(_) => false,
            Self::Recognized(known) => known == digest.get_or_insert_with(|| Recognized::of(trace)),
        }
    }
}

/// The records of traces, by name. Those that fit are contained, in the order of the names.
pub(super) fn records(traces: &BTreeMap<&str, &Trace>) -> BTreeMap<String, TraceRecord> {
    let mut room = MOST_CONTAINED;
    let record = |(name, trace): (&&str, &&Trace)| {
        let numbers = trace.millis();
        let len: usize =
            numbers.iter().map(|millis| millis.checked_ilog10().map_or(1, |log| log as usize + 1) + 1).sum();
        let record = if len <= room {
            room -= len;
            let words: Vec<_> = numbers.iter().map(u32::to_string).collect();
            TraceRecord::Contents(words.join(" "))
        } else {
            TraceRecord::Recognized(Recognized::of(trace))
        };
        ((*name).to_owned(), record)
    };
    traces.iter().map(record).collect()
}

/// The traces whose contents are in the recipe.
pub(super) fn contained(records: &BTreeMap<String, TraceRecord>) -> Result<Vec<Trace>, RecipeError> {
    let mut traces = Vec::new();
    for (name, record) in records {
        if let TraceRecord::Contents(text) = record {
            let lines = text.replace(' ', "\n");
            let wrong = |error: crate::link::TraceError| RecipeError::Trace(name.clone(), error.to_string());
            traces.push(Trace::parse(name, lines.as_bytes()).map_err(wrong)?);
        }
    }
    Ok(traces)
}

/// The error for a trace that is missing.
pub(super) fn refuse(name: &str, records: &BTreeMap<String, TraceRecord>) -> Result<(), RecipeError> {
    match records.get(name) {
        Some(TraceRecord::Recognized(Recognized { bytes, sha256 })) => {
            let (name, bytes, sha256) = (name.to_owned(), *bytes, sha256.clone());
            Err(RecipeError::NeedsTrace { name, bytes, sha256 })
        }
        _ => Err(RecipeError::Trace(name.to_owned(), "the recipe does not have it".to_owned())),
    }
}
