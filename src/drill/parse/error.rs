//! What is wrong with a script, where, and how it is shown: file, line, and a caret under the place.

use core::fmt;
use core::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::Span;
use super::source::is_word;
use crate::escape::{Name, escaped, is_unsafe};

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
    /// What the rendering shows besides.
    pub(super) context: Box<Context>,
}

/// What helps to understand an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Context {
    /// The token before the place, if it stands on a line before.
    pub(super) behind: Option<Span>,
    /// What was read at the place, if definitions made it another text.
    pub(super) replaced: Option<String>,
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
    pub(super) fn new(source: &str, span: Span, refusal: Refusal) -> Self {
        let before = &source[..span.start];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            kind: refusal.kind,
            span,
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            found: found(&source[span.start..span.end]),
            expected: Vec::new(),
            context: Box::default(),
        }
    }

    /// The error with the file's name and the line of the place. Control characters are replaced.
    pub fn render(&self, file: &str, source: &str) -> String {
        let file = Name(file).to_string();
        // The lines of the place, and of the token before it.
        let first = self.context.behind.map_or(self.span.start, |behind| behind.start);
        let (Some(before), Some(behind)) = (source.get(..first), source.get(self.span.start..)) else {
            return format!("{file}:{}:{}: {self}", self.line, self.column); // not the source of this error
        };
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let end = self.span.start + behind.find('\n').unwrap_or(behind.len());
        let shown = Shown::new(&source[start..end]);
        let span = |span: Span| shown.at(span.start - start)..shown.at(span.end - start);

        let (title, label) = match &self.kind {
            ParseErrorKind::Syntax => (format!("found {}", self.found), Some(self.expectation())),
            ParseErrorKind::Unsupported(_) => (self.to_string(), Some("this program does not have it".to_owned())),
            ParseErrorKind::Invalid(_) | ParseErrorKind::Limit(_) => (self.to_string(), None),
        };
        let line = self.line - source[start..self.span.start].matches('\n').count();
        let snippet = Snippet::source(shown.text.as_str()).line_start(line).path(file);
        let snippet = snippet.annotation(AnnotationKind::Primary.span(span(self.span)).label(label));
        let token = self.context.behind.map(|behind| AnnotationKind::Context.span(span(behind)).label("behind this"));
        let report = Level::ERROR.primary_title(title).element(snippet.annotations(token));
        let read =
            self.context.replaced.as_ref().map(|text| format!("with definitions replaced, this is {}", quoted(text)));
        let report = report.elements(read.map(|text| Level::NOTE.message(text)));
        Renderer::plain().render(&[report])
    }

    /// What may stand at the place, as a list.
    fn expectation(&self) -> String {
        match self.expected.as_slice() {
            [one] => format!("expected {one}"),
            all => format!("expected one of: {}", all.join(", ")),
        }
    }
}

/// A text that does not command a terminal. Each character is replaced by one, so that a caret stands where it belongs;
/// the renderer widens tabs.
struct Shown {
    text: String,
    /// Where the characters begin: in the source, and in the text.
    places: Vec<(usize, usize)>,
}

impl Shown {
    fn new(source: &str) -> Self {
        let (mut text, mut places) = (String::with_capacity(source.len()), Vec::new());
        for (at, c) in source.char_indices() {
            places.push((at, text.len()));
            match c {
                '\n' | '\t' | ' '..='~' => text.push(c),
                '\r' if source[at + 1..].starts_with('\n') || at + 1 == source.len() => {}
                _ => text.push(if is_unsafe(c) || is_joiner(c) { '\u{fffd}' } else { c }),
            }
        }
        Self { text, places }
    }

    /// The place in the text of one in the source.
    fn at(&self, source: usize) -> usize {
        let nth = self.places.partition_point(|(at, _)| *at < source);
        self.places.get(nth).map_or(self.text.len(), |(_, text)| *text)
    }
}

/// What stands at a place: a word, or what was marked, in back quotes.
fn found(text: &str) -> String {
    if text.is_empty() { "the end of the script".to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let (first, rest) = text.split_at(text.char_indices().nth(FOUND).map_or(text.len(), |(at, _)| at));
    let dots = if rest.is_empty() { "" } else { "..." };
    format!("`{}{dots}`", escaped(first))
}

/// True for a character that changes the width of the one before it.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{200d}')
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
