//! The lessons: scenario files that come with the program.

macro_rules! lesson {
    ($name:literal) => {
        ($name, include_str!(concat!("lessons/", $name, ".toml")))
    };
}

/// Name and text, in the order in which they are best read.
const LESSONS: &[(&str, &str)] = &[lesson!("handshake")];

/// The names of all lessons, in the order in which they are best read.
pub fn lessons() -> impl Iterator<Item = &'static str> {
    LESSONS.iter().map(|(name, _)| *name)
}

pub(super) fn find(name: &str) -> Option<(&'static str, &'static str)> {
    LESSONS.iter().find(|(known, _)| *known == name).copied()
}
