//! Numbers as JSON, written column by column: equal kinds of numbers side by side compress well. A column of differences
//! holds each number less the one before.

use core::fmt::{Display, Write as _};

use serde_json::Value;

/// A JSON object that is being written.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        let _ = write!(self.0, "\"{name}\":");
    }

    pub(super) fn value(&mut self, name: &str, value: &Value) {
        self.raw(name, &value.to_string());
    }

    /// Text that is JSON.
    pub(super) fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.0.push_str(json);
    }

    pub(super) fn object(&mut self, name: &str, object: Self) {
        self.raw(name, &object.finish());
    }

    /// A column of numbers.
    pub(super) fn column(&mut self, name: &str, numbers: impl IntoIterator<Item = impl Display>) {
        self.name(name);
        write_list(&mut self.0, numbers);
    }

    /// A column of numbers, each less the one before.
    pub(super) fn differences(&mut self, name: &str, numbers: impl IntoIterator<Item = i64>) {
        let mut before = 0_i64;
        self.column(
            name,
            numbers.into_iter().map(|number| {
                let difference = number.wrapping_sub(before);
                before = number;
                difference
            }),
        );
    }

    /// A column of texts.
    pub(super) fn texts(&mut self, name: &str, texts: impl IntoIterator<Item = String>) {
        self.name(name);
        self.0.push('[');
        for (nth, text) in texts.into_iter().enumerate() {
            if nth > 0 {
                self.0.push(',');
            }
            self.0.push_str(&Value::String(text).to_string());
        }
        self.0.push(']');
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// `[1,2,3]`
pub(super) fn write_list(out: &mut String, numbers: impl IntoIterator<Item = impl Display>) {
    out.push('[');
    for (nth, number) in numbers.into_iter().enumerate() {
        let _ = if nth > 0 { write!(out, ",{number}") } else { write!(out, "{number}") };
    }
    out.push(']');
}
