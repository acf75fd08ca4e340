//! From the source text to the text that the grammar reads. Comments and inactive conditionals become spaces, so that
//! each byte keeps its place. A word with a definition is replaced; [`Prepared`] maps the places behind it back.
//! [`parse`](super::parse) calls this first.

use core::ops::Range;

use super::definitions::Definitions;
use super::error::Refusal;
use super::{MAX_BYTES, MAX_CONDITIONALS, Span};

/// A text without comments and conditionals, and where its parts come from.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The text.
    pub(super) text: String,
    /// The replaced words, in order.
    patches: Vec<Patch>,
}

/// A replaced word: its place in the text, and in the source.
#[derive(Debug)]
struct Patch {
    text: Range<usize>,
    source: Range<usize>,
}

impl Prepared {
    /// The place in the source of a place in the text.
    pub(super) fn span(&self, text: Range<usize>) -> Span {
        Span { start: self.at(text.start, false), end: self.at(text.end, true) }
    }

    /// The text of a place, if definitions made it another one than in the source.
    pub(super) fn replaced(&self, text: Range<usize>) -> Option<String> {
        let patched = |patch: &Patch| patch.text.start < text.end && text.start < patch.text.end;
        self.patches.iter().any(patched).then(|| self.text[text.clone()].to_owned())
    }

    /// The offset in the source. An offset inside a replaced word is the begin or the end of that word.
    fn at(&self, offset: usize, end: bool) -> usize {
        let before = |patch: &Patch| if end { patch.text.start < offset } else { patch.text.start <= offset };
        match self.patches.partition_point(before).checked_sub(1).and_then(|last| self.patches.get(last)) {
            None => offset,
            Some(patch) if offset >= patch.text.end => patch.source.end + (offset - patch.text.end),
            Some(patch) if end => patch.source.end,
            Some(patch) => patch.source.start,
        }
    }
}

/// One `#ifdef` whose `#endif` has not come yet.
struct Conditional {
    /// The directive, for the error if it has no end.
    place: Range<usize>,
    /// The text around it is read.
    outside: bool,
    /// The text in it is read.
    active: bool,
    /// Its `#else` has come.
    has_else: bool,
}

/// Reads the source once.
struct Scanner<'a> {
    source: &'a str,
    at: usize,
    /// The source up to here is in the text.
    copied: usize,
    text: String,
    patches: Vec<Patch>,
    definitions: Definitions,
    conditionals: Vec<Conditional>,
    /// Only white space and comments stand before this place in its line.
    line_start: bool,
}

/// Takes comments and conditionals out of a source and replaces words that have a definition.
pub(super) fn prepare(source: &str, definitions: &Definitions) -> Result<Prepared, Refusal> {
    if source.len() > MAX_BYTES {
        return Err(too_long(0..0));
    }
    let mut scanner = Scanner {
        source,
        at: 0,
        copied: 0,
        text: String::with_capacity(source.len()),
        patches: Vec::new(),
        definitions: definitions.clone(),
        conditionals: Vec::new(),
        line_start: true,
    };
    scanner.scan()?;
    if let Some(open) = scanner.conditionals.pop() {
        return Err(Refusal::invalid(open.place, "this conditional has no `#endif`"));
    }
    if scanner.text.len() > MAX_BYTES {
        return Err(too_long(0..0));
    }
    Ok(Prepared { text: scanner.text, patches: scanner.patches })
}

fn too_long(place: Range<usize>) -> Refusal {
    let message = format!("a script has at most {} MiB, also with its definitions replaced", MAX_BYTES >> 20);
    Refusal::limit(place, message)
}

impl Scanner<'_> {
    fn scan(&mut self) -> Result<(), Refusal> {
        if self.source.starts_with('\u{feff}') {
            self.blank('\u{feff}'.len_utf8());
        }
        while let Some(&byte) = self.source.as_bytes().get(self.at) {
            let rest = &self.source[self.at..];
            let line_start = core::mem::take(&mut self.line_start);
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.line_start = true;
                }
                b' ' | b'\t' | b'\r' => {
                    self.at += 1;
                    self.line_start = line_start;
                }
                b'#' if line_start => self.directive(rest)?,
                b'/' if rest.starts_with("//") => {
                    self.blank(rest.find('\n').unwrap_or(rest.len()));
                }
                b'/' if rest.starts_with("/*") => {
                    let end = rest[2..].find("*/").ok_or_else(|| self.no_end(2, "this comment has no `*/`"))?;
                    self.blank(end + 4);
                    self.line_start = line_start;
                }
                _ if !self.active() => self.blank(rest.chars().next().map_or(1, char::len_utf8)),
                b'"' => {
                    let end = string_end(rest).ok_or_else(|| self.no_end(1, "this string has no end in its line"))?;
                    self.at += end;
                }
                b'`' => {
                    let end =
                        rest[1..].find('`').ok_or_else(|| self.no_end(1, "this command has no second back quote"))?;
                    self.at += end + 2;
                }
                b'%' if rest.starts_with("%{") => {
                    let end = rest.find("}%").ok_or_else(|| self.no_end(2, "this code has no `}%`"))?;
                    self.at += end + 2;
                }
                b'-' if line_start && definition(rest).is_some() => self.define(rest)?,
                byte if is_word(byte) => self.word(rest)?,
                _ => self.at += rest.chars().next().map_or(1, char::len_utf8),
            }
        }
        self.flush();
        Ok(())
    }

    fn no_end(&self, len: usize, message: &str) -> Refusal {
        Refusal::invalid(self.at..self.at + len, message)
    }

    fn active(&self) -> bool {
        self.conditionals.last().is_none_or(|conditional| conditional.active)
    }

    /// Copies what was read.
    fn flush(&mut self) {
        self.text.push_str(&self.source[self.copied..self.at]);
        self.copied = self.at;
    }

    /// Reads `len` bytes as white space. Ends of lines stay.
    fn blank(&mut self, len: usize) {
        self.flush();
        let bytes = self.source[self.at..self.at + len].bytes();
        self.text.extend(bytes.map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        self.at += len;
        self.copied = self.at;
    }

    /// A word, or what its definition says.
    fn word(&mut self, rest: &str) -> Result<(), Refusal> {
        let len = rest.bytes().take_while(|byte| is_word(*byte)).count();
        let Some(value) = self.definitions.value(&rest[..len]) else {
            self.at += len;
            return Ok(());
        };
        let value = value.to_owned();
        self.flush();
        let start = self.text.len();
        if start + value.len() > MAX_BYTES {
            return Err(too_long(self.at..self.at + len));
        }
        self.text.push_str(&value);
        self.patches.push(Patch { text: start..self.text.len(), source: self.at..self.at + len });
        self.at += len;
        self.copied = self.at;
        Ok(())
    }

    /// `--define=NAME=VALUE` or `-D NAME=VALUE`. A definition of the caller is not replaced.
    fn define(&mut self, rest: &str) -> Result<(), Refusal> {
        let Some((argument, len)) = definition(rest) else { return Ok(()) };
        let place = self.at..self.at + len;
        self.definitions.define_below(argument).map_err(|error| Refusal::invalid(place, &error.to_string()))?;
        self.at += len;
        Ok(())
    }

    /// A line that begins with `#`.
    fn directive(&mut self, rest: &str) -> Result<(), Refusal> {
        let line = rest.split('\n').next().unwrap_or_default();
        let line = line.split("//").next().unwrap_or_default();
        let line = line.split("/*").next().unwrap_or_default().trim_end();
        let place = self.at..self.at + line.len();
        let mut words = line[1..].split_ascii_whitespace();
        let (name, argument) = (words.next().unwrap_or_default(), words.next());
        if words.next().is_some() {
            return Err(Refusal::invalid(place, "a directive has one name at most"));
        }
        match (name, argument) {
            ("ifdef" | "ifndef", Some(word)) => {
                if self.conditionals.len() == MAX_CONDITIONALS {
                    let message = format!("conditionals nest at most {MAX_CONDITIONALS} deep");
                    return Err(Refusal::limit(place, message));
                }
                let outside = self.active();
                let active = outside && self.definitions.is_defined(word) == (name == "ifdef");
                self.conditionals.push(Conditional { place, outside, active, has_else: false });
            }
            ("ifdef" | "ifndef", None) => {
                return Err(Refusal::invalid(place, &format!("`#{name}` has no name")));
            }
            ("else" | "endif", Some(_)) => {
                return Err(Refusal::invalid(place, &format!("`#{name}` has no name behind it")));
            }
            ("else", None) => match self.conditionals.last_mut() {
                Some(open) if !open.has_else => {
                    open.has_else = true;
                    open.active = open.outside && !open.active;
                }
                Some(_) => return Err(Refusal::invalid(place, "this conditional has an `#else` already")),
                None => return Err(Refusal::invalid(place, "`#else` without `#ifdef`")),
            },
            ("endif", None) => {
                if self.conditionals.pop().is_none() {
                    return Err(Refusal::invalid(place, "`#endif` without `#ifdef`"));
                }
            }
            ("if" | "elif" | "include" | "define" | "undef", _) => {
                return Err(Refusal::unsupported(place, &format!("#{name}")));
            }
            _ => {
                let message = "a directive is `#ifdef NAME`, `#ifndef NAME`, `#else` or `#endif`";
                return Err(Refusal::invalid(place, message));
            }
        }
        self.blank(line.len());
        Ok(())
    }
}

/// What a word is made of.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The length of the string at the begin, with both quotes.
pub(super) fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'\n' => return None,
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// What is defined at the begin of this text, and the length of the whole option: `--define=NAME=VALUE`, `-D NAME=VALUE`.
pub(super) fn definition(text: &str) -> Option<(&str, usize)> {
    let short = || text.strip_prefix("-D").map(|rest| rest.trim_start_matches([' ', '\t']));
    let rest = text.strip_prefix("--define=").or_else(short)?;
    let len = option_value(rest);
    Some((&rest[..len], text.len() - rest.len() + len))
}

/// The length of the value of an option: up to white space outside of quotes. A quote without a second one is a
/// character like others, and then no other quote is looked for.
pub(super) fn option_value(text: &str) -> usize {
    let (mut at, mut quotes) = (0, true);
    while let Some(byte) = text.as_bytes().get(at) {
        let quoted = match byte {
            b'"' if quotes => string_end(&text[at..]),
            b'`' if quotes => text[at + 1..].find('`').map(|end| end + 2),
            _ if byte.is_ascii_whitespace() => return at,
            _ => Some(1),
        };
        quotes &= quoted.is_some();
        at += quoted.unwrap_or(1);
    }
    at
}
