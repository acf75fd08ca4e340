//! Controllers by name: the built-in ones and those of users. `--cc`, scenario files and `TCP_CONGESTION` ask here.
//! The order of [`names`] is the order in which help shows them; the first is the default, as on Linux.

use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, LazyLock};

use super::{Bbr, Controller, Cubic, Reno, Setup, Unlimited};

/// Linux's `TCP_CA_NAME_MAX` is 16, with the final zero byte: `TCP_CONGESTION` cannot tell a longer name.
const NAME_MAX: usize = 15;
/// More controllers than this are refused.
const ALGORITHMS_MAX: usize = 64;

type Make = dyn Fn(&Setup) -> Box<dyn Controller> + Send + Sync;

/// A kind of controller: its name, one line of help, and how one is made. A clone is a pointer to the same.
#[derive(Clone)]
pub struct Algorithm(Arc<Parts>);

struct Parts {
    name: Box<str>,
    summary: Box<str>,
    make: Box<Make>,
}

/// What a host has that was told nothing.
static DEFAULT: LazyLock<Algorithm> = LazyLock::new(cubic);

fn cubic() -> Algorithm {
    Algorithm::built_in("cubic", "RFC 9438, with HyStart++ (RFC 9406); the default, as on Linux", Cubic::new)
}

impl Algorithm {
    /// A controller of `name`. `make` is called once for each connection.
    pub fn new<F, C>(name: &str, summary: &str, make: F) -> Result<Self, NameError>
    where
        F: Fn(&Setup) -> C + Send + Sync + 'static,
        C: Controller + 'static,
    {
        let printable = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if name.is_empty() || name.len() > NAME_MAX || !printable {
            return Err(NameError::Malformed(name.to_owned()));
        }
        Ok(Self::built_in(name, summary, make))
    }

    fn built_in<F, C>(name: &str, summary: &str, make: F) -> Self
    where
        F: Fn(&Setup) -> C + Send + Sync + 'static,
        C: Controller + 'static,
    {
        let make = Box::new(move |setup: &Setup| Box::new(make(setup)) as Box<dyn Controller>);
        Self(Arc::new(Parts { name: name.into(), summary: summary.into(), make }))
    }

    /// The name, as `TCP_CONGESTION` and `--cc` have it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// One line for help.
    pub fn summary(&self) -> &str {
        &self.0.summary
    }

    /// A controller for one connection.
    pub fn controller(&self, setup: &Setup) -> Box<dyn Controller> {
        (self.0.make)(setup)
    }

    /// TEMPORARY, for `stack/bridge.rs`: true if nobody chose it, not even by the name of the default.
    pub(crate) fn is_unchosen(&self) -> bool {
        Arc::ptr_eq(&self.0, &DEFAULT.0)
    }
}

// A panic of `make` cannot leave an algorithm half changed: nothing in it changes.
impl UnwindSafe for Algorithm {}
impl RefUnwindSafe for Algorithm {}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Algorithm").field(&self.name()).finish()
    }
}

impl Default for Algorithm {
    /// CUBIC, as on Linux.
    fn default() -> Self {
        DEFAULT.clone()
    }
}

impl PartialEq for Algorithm {
    /// Two algorithms are the same if they have the same name.
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Algorithm {}

/// The controllers that can be chosen by name, in the order in which help shows them. At most 64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Algorithms(Vec<Algorithm>);

impl Algorithms {
    /// Adds one. A name that is taken, or a 65th algorithm, is refused.
    pub fn add(&mut self, algorithm: Algorithm) -> Result<(), NameError> {
        if self.by_name(algorithm.name()).is_some() {
            return Err(NameError::Taken(algorithm.name().to_owned()));
        }
        if self.0.len() >= ALGORITHMS_MAX {
            return Err(NameError::TooMany(algorithm.name().to_owned()));
        }
        self.0.push(algorithm);
        Ok(())
    }

    /// The algorithm of this name.
    pub fn by_name(&self, name: &str) -> Option<&Algorithm> {
        self.0.iter().find(|algorithm| algorithm.name() == name)
    }

    /// All of them, the default first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Algorithm> {
        self.0.iter()
    }

    /// The names, separated by `", "`, for messages and help.
    pub fn names(&self) -> String {
        self.0.iter().map(Algorithm::name).collect::<Vec<_>>().join(", ")
    }
}

impl Default for Algorithms {
    /// The built-in ones.
    fn default() -> Self {
        Self(vec![
            cubic(),
            Algorithm::built_in("reno", "RFC 5681, with HyStart++ (RFC 9406)", Reno::new),
            Algorithm::built_in("bbr", "BBR version 3 (draft-ietf-ccwg-bbr)", Bbr::new),
            Algorithm::built_in(
                "none",
                "no congestion control: only the peer's window bounds the flight",
                Unlimited::new,
            ),
        ])
    }
}

/// The built-in algorithm of this name.
pub fn by_name(name: &str) -> Option<Algorithm> {
    Algorithms::default().by_name(name).cloned()
}

/// The names of the built-in algorithms, the default first.
pub const fn names() -> [&'static str; 4] {
    ["cubic", "reno", "bbr", "none"]
}

/// Why a controller could not be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The name is empty, longer than 15 bytes, or has other characters than letters, digits, `-`, `_` and `.`.
    Malformed(String),
    /// There is a controller of this name.
    Taken(String),
    /// There are 64 controllers already.
    TooMany(String),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(name) => {
                let name = name.escape_debug();
                write!(
                    f,
                    "cannot register the controller \"{name}\": a name has 1 to {NAME_MAX} letters, digits, -, _ or ."
                )
            }
            Self::Taken(name) => {
                write!(f, "cannot register the controller {name}: there is one of this name, choose another")
            }
            Self::TooMany(name) => {
                write!(f, "cannot register the controller {name}: there are {ALGORITHMS_MAX} already")
            }
        }
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    fn setup() -> Setup {
        Setup::new(1_448, Instant::EPOCH)
    }

    #[test]
    fn each_built_in_controller_is_found_by_the_name_that_it_tells() {
        for name in names() {
            let algorithm = by_name(name).unwrap();
            assert_eq!(algorithm.controller(&setup()).name(), name);
        }
        assert_eq!(Algorithms::default().names(), names().join(", "));
        assert!(by_name("vegas").is_none());
        assert_eq!(Algorithm::default().name(), names()[0]);
    }

    #[test]
    fn a_name_has_at_most_15_bytes_and_is_registered_once() {
        let mut all = Algorithms::default();
        all.add(Algorithm::new("my-own.controll", "", Reno::new).unwrap()).unwrap();
        assert_eq!(all.add(Algorithm::new("reno", "", Reno::new).unwrap()), Err(NameError::Taken("reno".to_owned())));
        for name in ["", "sixteen-bytes-xx", "two words", "caf\u{e9}", "a,b"] {
            assert!(Algorithm::new(name, "", Reno::new).is_err(), "{name}");
        }
    }

    #[test]
    fn a_65th_controller_is_refused() {
        let mut all = Algorithms::default();
        for number in 0..ALGORITHMS_MAX - names().len() {
            all.add(Algorithm::new(&format!("user{number}"), "", Reno::new).unwrap()).unwrap();
        }
        let error = all.add(Algorithm::new("one-more", "", Reno::new).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "cannot register the controller one-more: there are 64 already");
    }
}
