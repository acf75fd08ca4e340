//! `[[faults]]`: a link that changes at an instant. Single packets are taken or held back by `drop` and `hold` in the link
//! line itself, and a link that goes down for a while is `down` there.

use super::error::ScenarioError;
use super::host::time;
use super::link::LinkPart;
use super::source::Section;
use crate::link::LinkLine;
use crate::time::Duration;

/// A change as it is written.
#[derive(Clone, Debug)]
pub(super) struct FaultPart {
    pub(super) link: String,
    /// What changes, with its time: a line for each direction.
    pub(super) lines: Vec<LinkLine>,
}

/// Keys of a fault with what they mean.
pub(super) const KEYS: [(&str, &str); 3] = [
    ("at", "when the link changes"),
    ("link", "which link, A-B"),
    (
        "line",
        "its new items, a link line; items that it does not name stay as they are; the value 0 takes an item away",
    ),
];

impl FaultPart {
    pub(super) fn read(section: &Section<'_, '_>, links: &[LinkPart]) -> Result<Self, ScenarioError> {
        let known = KEYS.map(|(key, _)| key);
        let entries = section.entries();
        if let Some(entry) = entries.iter().find(|entry| !known.contains(&entry.key)) {
            return Err(entry.unknown(&known));
        }
        let need = |key: &str, expected: &str| {
            entries.iter().find(|entry| entry.key == key).ok_or_else(|| section.missing(key, expected))
        };
        let names = || links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ");
        let (at, link, line) =
            (need("at", "a time such as 2s")?, need("link", "a link, A-B")?, need("line", "a link line")?);
        let instant: Duration = time(&at.scalar("a time")?).map_err(|expected| at.wrong(expected))?;
        let name = link.string("a link, A-B")?;
        let known = links.iter().find(|link| link.name == name);
        let known = known.ok_or_else(|| link.wrong(format!("a link: {}", names())))?;
        let text = line.string("a link line")?;
        let (ends, items) = known.change(text).map_err(|(_, expected)| line.wrong(expected))?;
        let lines = ends.into_iter().map(|end| known.line(end, Some(instant), items.clone())).collect();
        Ok(Self { link: name.to_owned(), lines })
    }
}
