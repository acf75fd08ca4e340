//! What is wrong with a script, where, and how it is shown: file, line, and a caret under the place.

use core::fmt;
use core::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::Span;
use super::source::is_word;
use crate::view::printable;

/// Characters that are shown of what was found.
const FOUND: usize = 40;

/// Why a script cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What kind of error.
    pub kind: ParseErrorKind,
    /// The place in the source.
    pub span: Span,
    /// The line of the place, from 1.
    pub line: usize,
    /// The column of the place in characters, from 1.
    pub column: usize,
    /// What stands there.
    pub found: String,
    /// What may stand there, for a syntax error.
    pub expected: Vec<String>,
}

/// The kinds of errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// The text does not follow the grammar.
    Syntax,
    /// The text follows the grammar, but says what cannot be.
    Invalid(String),
    /// A part of the language that this program does not have, by its name in the script.
    Unsupported(String),
    /// The script is larger or deeper than what is read.
    Limit(String),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ParseErrorKind::Syntax => {
                f.write_str("expected ")?;
                for (nth, expected) in self.expected.iter().enumerate() {
                    let between = match nth {
                        0 => "",
                        _ if nth + 1 == self.expected.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{between}{expected}")?;
                }
                write!(f, "; found {}", self.found)
            }
            ParseErrorKind::Invalid(message) | ParseErrorKind::Limit(message) => f.write_str(message),
            ParseErrorKind::Unsupported(name) => write!(f, "{} is not supported", quoted(name)),
        }
    }
}

impl core::error::Error for ParseError {}

impl ParseError {
    pub(super) fn new(source: &str, span: Span, kind: ParseErrorKind, expected: Vec<String>) -> Self {
        let before = &source[..span.start];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            kind,
            span,
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            found: found(&source[span.start..span.end]),
            expected,
        }
    }

    /// The error with the file's name and the line of the place. Control characters are replaced.
    pub fn render(&self, file: &str, source: &str) -> String {
        let file = printable(file, false);
        let start = self.span.start;
        let (Some(before), Some(behind)) = (source.get(..start), source.get(start..)) else {
            return format!("{file}:{}:{}: {self}", self.line, self.column); // not the source of this error
        };
        let behind = behind.split(['\n', '\r']).next().unwrap_or_default();
        let (place, behind) = behind.split_at_checked(self.span.end - start).unwrap_or((behind, ""));
        // Each character is replaced by one, so that a caret stands where it belongs.
        let shown = |text: &str| text.chars().map(visible).collect::<String>();
        let before = shown(before.rsplit('\n').next().unwrap_or_default());
        let place = shown(place);
        let span = before.len()..before.len() + place.len();
        let line = before + &place + &shown(behind);

        let (title, label) = match &self.kind {
            ParseErrorKind::Syntax => (format!("found {}", self.found), Some(self.expectation())),
            ParseErrorKind::Unsupported(_) => (self.to_string(), Some("this program does not have it".to_owned())),
            ParseErrorKind::Invalid(_) | ParseErrorKind::Limit(_) => (self.to_string(), None),
        };
        let mark = AnnotationKind::Primary.span(span).label(label);
        let snippet = Snippet::source(line).line_start(self.line).path(file).annotation(mark);
        let report = [Level::ERROR.primary_title(printable(&title, false)).element(snippet)];
        Renderer::plain().render(&report)
    }

    /// What may stand at the place, as a list.
    fn expectation(&self) -> String {
        match self.expected.as_slice() {
            [one] => format!("expected {one}"),
            all => format!("expected one of: {}", all.join(", ")),
        }
    }
}

/// A character that is as wide as what replaces it, and does not command a terminal. A tab is widened by the renderer.
fn visible(c: char) -> char {
    if c == '\t' { c } else { printable(c.encode_utf8(&mut [0; 4]), false).chars().next().unwrap_or('\u{fffd}') }
}

/// What stands at a place: a word, or what was marked, in back quotes.
fn found(text: &str) -> String {
    if text.is_empty() { "the end of the script".to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let (first, rest) = text.split_at(text.char_indices().nth(FOUND).map_or(text.len(), |(at, _)| at));
    let dots = if rest.is_empty() { "" } else { "..." };
    format!("`{}{dots}`", first.escape_debug())
}

/// The end of the token that begins at `start`.
pub(super) fn token_end(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    let word = rest.bytes().take_while(|byte| is_word(*byte)).count();
    let first = rest.chars().next().map_or(0, char::len_utf8);
    start + word.max(first)
}

/// An error whose kind is known at once: the parsers of alternatives are not tried. The place is one in the prepared
/// text, or in the source before there is one.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) kind: ParseErrorKind,
    pub(super) place: Range<usize>,
}

impl Refusal {
    pub(super) fn invalid(place: Range<usize>, message: &str) -> Self {
        Self { kind: ParseErrorKind::Invalid(message.to_owned()), place }
    }

    pub(super) fn limit(place: Range<usize>, message: String) -> Self {
        Self { kind: ParseErrorKind::Limit(message), place }
    }

    pub(super) fn unsupported(place: Range<usize>, name: &str) -> Self {
        Self { kind: ParseErrorKind::Unsupported(name.to_owned()), place }
    }
}
