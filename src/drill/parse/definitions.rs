//! Words with a definition: `-D NAME=VALUE` of the command line, and `--define=NAME=VALUE` in a script. A definition of
//! the command line wins. [`source`](super::source) replaces the words; `#ifdef` asks whether a name is defined.

use std::collections::BTreeMap;

use thiserror::Error;

use super::source::{is_word, string_end};

/// Bytes of a name or of a value.
pub const MAX_DEFINITION: usize = 4096;

/// Characters of a wrong definition that its error shows.
const MAX_SHOWN: usize = 40;

/// Definitions by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    /// `None`: defined for `#ifdef`, but not replaced.
    values: BTreeMap<String, Option<String>>,
}

/// A definition that cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DefinitionError {
    /// The name is not a word.
    #[error("a definition is NAME or NAME=VALUE, and NAME is letters, digits and `_`; this one is `{0}`")]
    Name(String),
    /// The value is neither one word, nor a number, nor a quoted text.
    #[error("the value of `{0}` is a number, a word, a text in double quotes, or a command in back quotes")]
    Value(String),
    /// Name or value is too long.
    #[error("a definition has at most {MAX_DEFINITION} bytes")]
    Length,
}

impl Definitions {
    /// No definitions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `NAME` or `NAME=VALUE`, as behind `-D`. A later definition of a name replaces an earlier one. A word with a
    /// value is replaced in the script: by a string if the value is in double quotes, by a command if it is in back
    /// quotes, else by a number or a word.
    pub fn define(&mut self, argument: &str) -> Result<(), DefinitionError> {
        let (name, value) = read(argument)?;
        self.values.insert(name.to_owned(), value.map(str::to_owned));
        Ok(())
    }

    /// As [`define`](Self::define), but an earlier definition of the name stays.
    pub(super) fn define_below(&mut self, argument: &str) -> Result<(), DefinitionError> {
        let (name, value) = read(argument)?;
        self.values.entry(name.to_owned()).or_insert_with(|| value.map(str::to_owned));
        Ok(())
    }

    /// True if there is a definition of this name.
    pub fn is_defined(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// What the word is replaced by.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_deref()
    }
}

/// Name and value.
fn read(argument: &str) -> Result<(&str, Option<&str>), DefinitionError> {
    if argument.len() > MAX_DEFINITION {
        return Err(DefinitionError::Length);
    }
    let (name, value) = match argument.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (argument, None),
    };
    if !name.bytes().all(is_word) || !name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        return Err(DefinitionError::Name(argument.escape_debug().take(MAX_SHOWN).collect()));
    }
    if value.is_some_and(|value| !is_token(value)) {
        return Err(DefinitionError::Value(name.to_owned()));
    }
    Ok((name, value))
}

/// True if the grammar reads this text as one token.
fn is_token(value: &str) -> bool {
    match value.as_bytes().first() {
        None => false,
        Some(b'"') => string_end(value) == Some(value.len()),
        Some(b'`') => value[1..].find('`').map(|end| end + 2) == Some(value.len()),
        Some(_) => {
            let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'`' | b'#' | b'%');
            value.bytes().all(plain) && !value.contains("//") && !value.contains("/*")
        }
    }
}
