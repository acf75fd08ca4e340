//! Text that was read from files, packets and arguments must not command a terminal. Here is what such characters are, and
//! how they are written instead. Every printer uses this file: messages, tables, ladders, JSON.
//!
//! Escaped are the control characters (C0, DEL, C1), the characters that change the direction of text, the separators of
//! lines and paragraphs, and characters that cannot be seen and change what can.

use std::borrow::Cow;

/// True for a character that is not sent to a terminal as it is.
pub(crate) fn is_unsafe(c: char) -> bool {
    if matches!(c, ' '..='~') {
        return false;
    }
    let of_direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let unseen = matches!(c, '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}');
    let tag = matches!(c, '\u{e0000}'..='\u{e007f}');
    c.is_control() || of_direction || matches!(c, '\u{2028}' | '\u{2029}') || unseen || tag
}

/// A text of one line, such as a name: each unsafe character as `\n`, `\u{1b}` and the like.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    escaped_if(text, is_unsafe)
}

/// A text of several lines: its line ends and tabs stay.
pub(crate) fn escaped_lines(text: &str) -> Cow<'_, str> {
    escaped_if(text, |c| is_unsafe(c) && !matches!(c, '\n' | '\t'))
}

fn escaped_if(text: &str, unsafe_here: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&unsafe_here) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if unsafe_here(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// JSON without unsafe characters. In JSON such a character can only be in a string, where `\u001b` is the same character.
#[cfg(feature = "cli")]
pub(crate) fn escaped_json(json: &str) -> Cow<'_, str> {
    use core::fmt::Write as _;

    let unsafe_here = |c| is_unsafe(c) && c != '\n';
    if !json.chars().any(unsafe_here) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if unsafe_here(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Shows a name that came from outside, in one line.
#[cfg(any(feature = "capture", feature = "live", feature = "control"))]
pub(crate) struct Name<'a>(pub(crate) &'a str);

#[cfg(any(feature = "capture", feature = "live", feature = "control"))]
impl core::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&escaped(self.0))
    }
}

/// Shows a path, in one line.
#[cfg(any(feature = "cli", feature = "drill", feature = "proxy", feature = "replay"))]
pub(crate) fn path(path: &std::path::Path) -> impl core::fmt::Display {
    escaped(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_written_as_an_escape() {
        let text = "a\x1b[31mb\u{202e}c\u{9b}d\u{7f}e\u{2028}f\ng\th";
        assert_eq!(escaped(text), r"a\u{1b}[31mb\u{202e}c\u{9b}d\u{7f}e\u{2028}f\ng\th");
        assert_eq!(escaped_lines(text), "a\\u{1b}[31mb\\u{202e}c\\u{9b}d\\u{7f}e\\u{2028}f\ng\th");
        for c in ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}').chain('\u{2066}'..='\u{2069}') {
            assert!(!escaped(&c.to_string()).contains(c), "{c:?}");
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in ["", "plain", "caf\u{e9} \u{3042} \u{1f980} \u{2192}", r"back\slash"] {
            assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn json_with_escapes_means_the_same() {
        let value = serde_json::json!({ "name": "a\u{1b}\u{9b}\u{7f}\u{202e}\u{2029}\u{e0041}\nb" });
        let text = value.to_string();
        let safe = escaped_json(&text);
        assert!(!safe.chars().any(is_unsafe), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).expect("JSON"), value);
    }
}
