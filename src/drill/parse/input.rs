//! What the parsers read from and fail with. An alternative that fails notes what it expected; the notes of the furthest
//! place become the error. A refusal is an error at once. The other files of [`parse`](super) use this.

use core::cell::{Cell, RefCell};
use core::ops::Range;

use winnow::error::{ErrMode, ParserError};
use winnow::stream::{LocatingSlice, Location, Stateful, Stream};

use super::error::{ParseError, ParseErrorKind, Refusal, token_end};
use super::source::{Prepared, is_word};
use super::{MAX_DEPTH, Span};
use crate::drill::script::Spanned;

/// The text that is left, and the notes.
pub(super) type Input<'a> = Stateful<LocatingSlice<&'a str>, &'a State<'a>>;
/// What a parser gives.
pub(super) type Parsed<T> = Result<T, ErrMode<Fail>>;

/// Why a parser failed.
#[derive(Debug)]
pub(super) enum Fail {
    /// It expected something else; [`State`] has the notes.
    Expected,
    /// The script cannot be right, whatever is tried.
    Refused(Box<Refusal>),
}

impl<I: Stream> ParserError<I> for Fail {
    type Inner = Self;

    fn from_input(_: &I) -> Self {
        Self::Expected
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

/// What something that may stand at a place is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// The text itself, shown in back quotes.
    Text(&'static str),
    /// A description.
    Name(&'static str),
}

/// What all parsers of a script share.
#[derive(Debug)]
pub(super) struct State<'a> {
    prepared: &'a Prepared,
    /// The ends of lines of the source.
    line_ends: Vec<usize>,
    /// The furthest place where a parser failed.
    furthest: Cell<usize>,
    /// What was expected there.
    expected: RefCell<Vec<Label>>,
    /// How many arrays and structs are open.
    depth: Cell<usize>,
}

impl State<'_> {
    /// The line of a place in the source, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_ends.partition_point(|end| *end < at) + 1
    }

    fn note(&self, at: usize, label: Label) {
        if at < self.furthest.get() {
            return;
        }
        let mut expected = self.expected.borrow_mut();
        if at > self.furthest.replace(at) {
            expected.clear();
        }
        if !expected.contains(&label) {
            expected.push(label);
        }
    }
}

/// The last token before a place, if it stands on a line before.
fn token_before(text: &str, place: usize) -> Option<Range<usize>> {
    let before = text[..place].trim_ascii_end();
    let last = before.chars().next_back()?;
    let word = before.bytes().rev().take_while(|byte| is_word(*byte)).count().max(last.len_utf8());
    text[before.len()..place].contains('\n').then(|| before.len() - word..before.len())
}

/// Runs a parser over a whole text.
pub(super) fn run<T>(
    source: &str,
    prepared: &Prepared,
    parser: impl FnOnce(&mut Input<'_>) -> Parsed<T>,
) -> Result<T, ParseError> {
    let state = State {
        prepared,
        line_ends: source.match_indices('\n').map(|(at, _)| at).collect(),
        furthest: Cell::new(0),
        expected: RefCell::default(),
        depth: Cell::new(0),
    };
    let text = prepared.text.as_str();
    let mut input = Stateful { input: LocatingSlice::new(text), state: &state };
    let refusal = match parser(&mut input) {
        Ok(value) => return Ok(value),
        Err(ErrMode::Backtrack(Fail::Refused(refusal)) | ErrMode::Cut(Fail::Refused(refusal))) => *refusal,
        Err(_) => {
            let (start, end) = (state.furthest.get(), text.trim_ascii_end().len());
            let place = if start < end { start..token_end(text, start) } else { end..end };
            Refusal { kind: ParseErrorKind::Syntax, place }
        }
    };
    let shown = |label: &Label| match label {
        Label::Text(text) => format!("`{text}`"),
        Label::Name(name) => (*name).to_owned(),
    };
    let place = refusal.place.clone();
    let mut error = ParseError::new(source, prepared.span(place.clone()), refusal);
    if error.kind == ParseErrorKind::Syntax {
        error.expected = state.expected.borrow().iter().map(shown).collect();
        error.context.behind = token_before(text, place.start).map(|place| prepared.span(place));
    }
    error.context.replaced = prepared.replaced(place);
    Err(error)
}

/// True if an end of line stands between what was read and what comes next.
pub(super) fn on_new_line(input: &Input<'_>) -> bool {
    let read = &input.state.prepared.text[..at(input)];
    read[read.trim_ascii_end().len()..].contains('\n')
}

/// The offset of what comes next.
pub(super) fn at(input: &Input<'_>) -> usize {
    input.input.current_token_start()
}

/// The text that is left.
pub(super) fn rest<'a>(input: &Input<'a>) -> &'a str {
    input.input.peek_finish()
}

/// Fails here, and notes what was expected.
pub(super) fn expected<T>(input: &Input<'_>, label: Label) -> Parsed<T> {
    input.state.note(at(input), label);
    Err(ErrMode::Backtrack(Fail::Expected))
}

/// The script cannot be right: what stands here says what cannot be.
pub(super) fn invalid<T>(place: Range<usize>, message: &str) -> Parsed<T> {
    refuse(Refusal::invalid(place, message))
}

/// The script uses what this program does not have.
pub(super) fn unsupported<T>(place: Range<usize>, name: &str) -> Parsed<T> {
    refuse(Refusal::unsupported(place, name))
}

fn refuse<T>(refusal: Refusal) -> Parsed<T> {
    Err(ErrMode::Cut(Fail::Refused(Box::new(refusal))))
}

/// The place in the source from an offset up to here, without the white space before here.
pub(super) fn span_from(input: &Input<'_>, start: usize) -> Span {
    input.state.prepared.span(place_from(input, start))
}

/// The place in the text from an offset up to here, without the white space before here.
pub(super) fn place_from(input: &Input<'_>, start: usize) -> Range<usize> {
    let text = &input.state.prepared.text[start..at(input)];
    start..start + text.trim_ascii_end().len()
}

/// A value and its place.
pub(super) fn spanned<'a, T>(
    mut parser: impl FnMut(&mut Input<'a>) -> Parsed<T>,
) -> impl FnMut(&mut Input<'a>) -> Parsed<Spanned<T>> {
    move |input| {
        let start = at(input);
        let value = parser(input)?;
        Ok(Spanned { value, span: span_from(input, start) })
    }
}

/// Runs a parser one level deeper. `opened` is where the array or struct begins.
pub(super) fn nested<'a, T>(
    input: &mut Input<'a>,
    opened: usize,
    parser: impl FnOnce(&mut Input<'a>) -> Parsed<T>,
) -> Parsed<T> {
    let depth = input.state.depth.get();
    if depth == MAX_DEPTH {
        return refuse(Refusal::limit(opened..opened + 1, format!("arrays and structs nest at most {MAX_DEPTH} deep")));
    }
    input.state.depth.set(depth + 1);
    let result = parser(input);
    input.state.depth.set(depth);
    result
}
