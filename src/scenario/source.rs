//! TOML values with their place in the text.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ScenarioError, unknown};

/// The text, for lines and columns.
#[derive(Clone, Copy)]
pub(super) struct Text<'t>(pub(super) &'t str);

/// A table with the keys that lead to it.
pub(super) struct Section<'t, 'd> {
    pub(super) text: Text<'t>,
    path: String,
    span: Range<usize>,
    table: &'d DeTable<'t>,
}

/// One key of a table with its value.
pub(super) struct TomlEntry<'t, 'd> {
    pub(super) text: Text<'t>,
    /// The key alone.
    pub(super) key: &'d str,
    /// The key with the tables that it is in.
    pub(super) path: String,
    key_span: Range<usize>,
    value: &'d Spanned<DeValue<'t>>,
}

impl<'t> Text<'t> {
    pub(super) fn parse(self) -> Result<Spanned<DeTable<'t>>, ScenarioError> {
        DeTable::parse(self.0).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let word = self.0.get(span.clone()).unwrap_or_default().split_whitespace().next().unwrap_or_default();
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            self.error(span.start, word, format!("TOML: {message}"))
        })
    }

    pub(super) fn error(self, at: usize, key: impl Into<String>, expected: impl Into<String>) -> ScenarioError {
        let before = self.0.get(..at.min(self.0.len())).unwrap_or(self.0);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[start..].chars().count() + 1;
        ScenarioError { line, column, key: key.into(), expected: expected.into() }
    }
}

impl<'t, 'd> Section<'t, 'd> {
    pub(super) fn root(text: Text<'t>, table: &'d Spanned<DeTable<'t>>) -> Self {
        Self { text, path: String::new(), span: 0..0, table: table.get_ref() }
    }

    /// Its keys in the order of the text.
    pub(super) fn entries(&self) -> Vec<TomlEntry<'t, 'd>> {
        let join = |key: &str| if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| TomlEntry {
                text: self.text,
                key: key.get_ref().as_ref(),
                path: join(key.get_ref()),
                key_span: key.span(),
                value,
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_span.start);
        entries
    }

    pub(super) fn entry(&self, key: &str) -> Option<TomlEntry<'t, 'd>> {
        self.entries().into_iter().find(|entry| entry.key == key)
    }

    /// An error about the table as a whole: something is missing in it.
    pub(super) fn missing(&self, key: &str, expected: impl Into<String>) -> ScenarioError {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        self.text.error(self.span.start, path, expected)
    }
}

impl<'t, 'd> TomlEntry<'t, 'd> {
    /// An error about the value.
    pub(super) fn wrong(&self, expected: impl Into<String>) -> ScenarioError {
        self.text.error(self.value.span().start, &self.path, expected)
    }

    /// An error about the key.
    pub(super) fn unknown(&self, known: &[&str]) -> ScenarioError {
        self.text.error(self.key_span.start, &self.path, unknown(self.key, known))
    }

    /// An error about a key that is a name.
    pub(super) fn unknown_name(&self, expected: &str) -> ScenarioError {
        self.text.error(self.key_span.start, &self.path, expected)
    }

    pub(super) fn string(&self, expected: &str) -> Result<&'d str, ScenarioError> {
        self.value.get_ref().as_str().ok_or_else(|| self.wrong(expected))
    }

    /// A string, a number or a truth value as text: what `--set` would be given.
    pub(super) fn scalar(&self, expected: &str) -> Result<String, ScenarioError> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text.as_ref().to_owned()),
            DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
            DeValue::Float(number) => Ok(number.as_str().to_owned()),
            DeValue::Boolean(value) => Ok(value.to_string()),
            _ => Err(self.wrong(expected)),
        }
    }

    /// A string, or a list of strings with their places.
    pub(super) fn strings(&self, expected: &str) -> Result<Vec<TextPlace<'t, 'd>>, ScenarioError> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(vec![TextPlace { text: self.text, string: text, span: self.value.span() }]),
            DeValue::Array(array) => {
                let place = |value: &'d Spanned<DeValue<'t>>| {
                    let string = value.get_ref().as_str();
                    let wrong = || self.text.error(value.span().start, &self.path, expected);
                    Ok(TextPlace { text: self.text, string: string.ok_or_else(wrong)?, span: value.span() })
                };
                array.iter().map(place).collect()
            }
            _ => Err(self.wrong(expected)),
        }
    }

    /// A list of whole numbers, or one.
    pub(super) fn numbers(&self, expected: &str) -> Result<Result<Vec<u64>, u64>, ScenarioError> {
        let number = |value: &DeValue<'_>| {
            let integer = value.as_integer().filter(|integer| integer.radix() == 10)?;
            integer.as_str().parse::<u64>().ok()
        };
        match self.value.get_ref() {
            DeValue::Array(array) => array
                .iter()
                .map(|value| {
                    number(value.get_ref()).ok_or_else(|| self.text.error(value.span().start, &self.path, expected))
                })
                .collect::<Result<_, _>>()
                .map(Ok),
            value => number(value).map(Err).ok_or_else(|| self.wrong(expected)),
        }
    }

    pub(super) fn table(&self, expected: &str) -> Result<Section<'t, 'd>, ScenarioError> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.wrong(expected))?;
        Ok(Section { text: self.text, path: self.path.clone(), span: self.key_span.clone(), table })
    }

    /// `[[key]]`, each with its number from 1 in its path.
    pub(super) fn tables(&self, expected: &str) -> Result<Vec<Section<'t, 'd>>, ScenarioError> {
        let array = self.value.get_ref().as_array().ok_or_else(|| self.wrong(expected))?;
        let section = |(at, value): (usize, &'d Spanned<DeValue<'t>>)| {
            let wrong = || self.text.error(value.span().start, &self.path, expected);
            let table = value.get_ref().as_table().ok_or_else(wrong)?;
            Ok(Section { text: self.text, path: format!("{}.{}", self.path, at + 1), span: value.span(), table })
        };
        array.iter().enumerate().map(section).collect()
    }
}

/// A string of the text with its place.
pub(super) struct TextPlace<'t, 'd> {
    text: Text<'t>,
    pub(super) string: &'d str,
    span: Range<usize>,
}

impl TextPlace<'_, '_> {
    /// An error about a word in the string, or about the whole.
    pub(super) fn wrong(&self, word: Option<&str>, path: &str, expected: impl Into<String>) -> ScenarioError {
        let source = self.text.0.get(self.span.clone()).unwrap_or_default();
        let offset = word.and_then(|word| source.find(word)).unwrap_or(0);
        self.text.error(self.span.start + offset, path, expected)
    }
}
