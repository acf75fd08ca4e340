//! Reads Rust source as text, far enough to hold laws against it: comments and literals are blanked, test-only items
//! are blanked, and what is left is taken apart into words and paths. It is not a compiler: macros are not expanded and
//! names are not resolved beyond `crate`, `super` and `self`.

use std::path::Path;

/// One file below `src`.
pub(crate) struct Source {
    /// Relative to `src`, with forward slashes.
    pub(crate) path: String,
    /// As it is on disk.
    pub(crate) raw: String,
    /// Comments and literals blanked; same length, same lines.
    pub(crate) whole: String,
    /// As `whole`, with the items under `#[cfg(test)]` blanked too; all of it in a file of tests.
    pub(crate) code: String,
}

/// A path as it is written, `use` trees expanded to their leaves: `std`, `io`, `stdin`.
pub(crate) struct NamedPath {
    pub(crate) offset: usize,
    pub(crate) segments: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, raw: &str) -> Self {
        let whole = blank_comments_and_literals(raw);
        let is_test = path.split('/').any(|part| part == "tests.rs" || part == "tests");
        let code = if is_test { blank(&whole, 0, whole.len()) } else { blank_test_items(&whole) };
        Self { path: path.to_owned(), raw: raw.to_owned(), whole, code }
    }

    /// The files below `root`, sorted by path.
    pub(crate) fn all_below(root: &Path) -> Vec<Self> {
        let mut found = Vec::new();
        collect(root, root, &mut found);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(!found.is_empty(), "no source files below {}", root.display());
        found
    }

    /// The top-level module that the file belongs to; `lib` and `main` for the two roots.
    pub(crate) fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or(&self.path);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many modules stand between the crate's root and this file's module: 0 for the roots themselves.
    fn depth(&self) -> usize {
        match self.path.as_str() {
            "lib.rs" | "main.rs" => 0,
            path if path.ends_with("/mod.rs") => path.matches('/').count(),
            path => path.matches('/').count() + 1,
        }
    }

    /// What a path names below the crate's root, if it leads there: `crate::stack::demux` names `stack`, and so does
    /// `super::stack` in a top-level module. `None` for paths that stay inside the module.
    pub(crate) fn below_root<'p>(&self, path: &'p NamedPath) -> Option<&'p str> {
        let start = usize::from(path.segments[0] == "self");
        let supers = path.segments[start..].iter().take_while(|segment| *segment == "super").count();
        let next = match path.segments[0].as_str() {
            "crate" => 1,
            "super" | "self" if supers >= self.depth() + inline_modules_around(&self.code, path.offset) => {
                start + supers
            }
            _ => return None,
        };
        path.segments.get(next).map(String::as_str)
    }
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|why| panic!("read {}: {why}", folder.display())) {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let raw = std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("read {}: {why}", path.display()));
            let relative = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
            found.push(Source::new(&relative, &raw));
        }
    }
}

/// The line of an offset, counted from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// The words of blanked text with their offsets.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = code.as_bytes();
    let mut at = 0;
    core::iter::from_fn(move || {
        while at < bytes.len() && !is_word(bytes[at]) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        (start < at).then(|| (start, &code[start..at]))
    })
}

/// True if a word is a macro call: `todo!`, but not `todo != 1`.
pub(crate) fn is_macro_call(code: &str, offset: usize, word: &str) -> bool {
    let rest = &code[offset + word.len()..];
    rest.starts_with('!') && !rest.starts_with("!=")
}

/// The paths of blanked text, single words included.
pub(crate) fn paths(code: &str) -> Vec<NamedPath> {
    let mut scanner = Scanner { bytes: code.as_bytes(), at: 0, found: Vec::new() };
    while scanner.at < scanner.bytes.len() {
        if is_word(scanner.bytes[scanner.at]) {
            scanner.path(Vec::new());
        } else {
            scanner.at += 1;
        }
    }
    scanner.found
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    found: Vec<NamedPath>,
}

impl Scanner<'_> {
    /// A path or `use` tree that begins here, below what has been read of it.
    fn path(&mut self, mut segments: Vec<String>) {
        loop {
            self.skip_blanks();
            let offset = self.at;
            match self.peek() {
                Some(b'{') if !segments.is_empty() => return self.tree(&segments),
                Some(b'*') if !segments.is_empty() => {
                    self.at += 1;
                    segments.push("*".to_owned());
                    return self.found.push(NamedPath { offset, segments });
                }
                Some(byte) if is_word(byte) => {
                    let word = self.word();
                    // `self` as the leaf of a tree is the module itself.
                    if word != "self" || segments.is_empty() {
                        segments.push(word);
                    }
                }
                _ => return self.found.push(NamedPath { offset, segments }),
            }
            self.skip_blanks();
            if !self.bytes[self.at..].starts_with(b"::") || self.peek_after_colons() == Some(b'<') {
                return self.found.push(NamedPath { offset, segments });
            }
            self.at += 2;
        }
    }

    fn tree(&mut self, prefix: &[String]) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'}' => {
                    self.at += 1;
                    return;
                }
                b'*' => self.path(prefix.to_vec()),
                byte if is_word(byte) => {
                    self.path(prefix.to_vec());
                    self.skip_blanks();
                    if self.bytes[self.at..].starts_with(b"as ") {
                        self.at += 3;
                        self.word();
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn peek_after_colons(&self) -> Option<u8> {
        self.bytes[self.at + 2..].iter().copied().find(|byte| !byte.is_ascii_whitespace())
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(is_word) {
            self.at += 1;
        }
        String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned()
    }
}

pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How many `mod name { ... }` of this file are open at `offset`.
fn inline_modules_around(code: &str, offset: usize) -> usize {
    let mut open = Vec::new();
    for (at, byte) in code.bytes().enumerate().take(offset) {
        match byte {
            b'{' => open.push(code[..at].split_whitespace().rev().nth(1) == Some("mod")),
            b'}' => drop(open.pop()),
            _ => {}
        }
    }
    open.into_iter().filter(|is_module| *is_module).count()
}

fn blank(text: &str, from: usize, to: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    blank_bytes(&mut bytes[from..to]);
    String::from_utf8(bytes).expect("only whole characters are blanked")
}

fn blank_bytes(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

/// Blanks comments, strings and characters, and every character that is not ASCII.
fn blank_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let starts_word = at == 0 || !is_word(bytes[at - 1]);
        let len = if rest.starts_with(b"//") {
            rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            block_comment(rest)
        } else if rest[0] == b'"' {
            quoted(rest, b'"')
        } else if rest[0] == b'\'' {
            character(text, at)
        } else if starts_word && let Some(len) = raw_string(rest) {
            len
        } else {
            0
        };
        if len > 0 {
            blank_bytes(&mut out[at..at + len]);
        }
        at += len.max(1);
    }
    for byte in out.iter_mut().filter(|byte| !byte.is_ascii()) {
        *byte = b' ';
    }
    String::from_utf8(out).expect("nothing but ASCII is left")
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of the character literal that begins at `at`; 0 if it is a lifetime.
fn character(text: &str, at: usize) -> usize {
    let mut next = text[at + 1..].chars();
    match next.next() {
        Some('\\') => quoted(&text.as_bytes()[at..], b'\''),
        Some(first) if next.next() == Some('\'') => first.len_utf8() + 2,
        _ => 0,
    }
}

/// The length of the raw string (`r"`, `br#"`, `cr"`) that begins here.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let prefix = if rest[0] == b'r' { 1 } else { usize::from(rest.starts_with(b"br") || rest.starts_with(b"cr")) * 2 };
    let hashes = rest.get(prefix..)?.iter().take_while(|byte| **byte == b'#').count();
    if prefix == 0 || rest.get(prefix + hashes) != Some(&b'"') {
        return None;
    }
    let end: Vec<u8> = core::iter::once(b'"').chain(core::iter::repeat_n(b'#', hashes)).collect();
    let body = prefix + hashes + 1;
    Some(rest[body..].windows(end.len()).position(|w| w == end).map_or(rest.len(), |found| body + found + end.len()))
}

/// Blanks each item that stands under `#[cfg(test)]` or `#[cfg(all(test, ...))]`: up to its semicolon or its closing
/// brace, and no further, so that a `mod tests;` at the top of a file exempts nothing below it.
fn blank_test_items(whole: &str) -> String {
    let mut code = whole.to_owned();
    for opening in ["#[cfg(test)]", "#[cfg(all(test"] {
        while let Some(from) = code.find(opening) {
            code = blank(&code, from, end_of_item(code.as_bytes(), from));
        }
    }
    code
}

fn end_of_item(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    // The attributes.
    while bytes.get(at) == Some(&b'#') {
        at = closing(bytes, at + 1);
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
    }
    while at < bytes.len() {
        match bytes[at] {
            b';' | b',' => return at + 1,
            b'}' | b')' | b']' => return at,
            b'{' => return closing(bytes, at),
            b'(' | b'[' => at = closing(bytes, at),
            _ => at += 1,
        }
    }
    at
}

/// Just behind the bracket that closes the one at `at`.
fn closing(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in bytes.iter().enumerate().skip(at) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return offset + 1;
                }
            }
            _ => {}
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> Vec<String> {
        let source = Source::new("stack/mod.rs", text);
        paths(&source.code).into_iter().map(|path| path.segments.join("::")).filter(|path| path.contains(':')).collect()
    }

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay_where_they_are() {
        let text = "// a::b\n/* c::d /* e::f */ g::h */ \"i::\\\"j\" '\\'' 'k' 'é' r#\"l::m \"\" n::o\"# br\"p::q\" r::s\n&'t u::v";
        assert_eq!(listed(text), ["r::s", "u::v"]);
        let source = Source::new("stack/mod.rs", text);
        assert_eq!(source.code.len(), text.len());
        assert_eq!(line_of(&source.code, source.code.find("u::v").unwrap()), 3);
    }

    #[test]
    fn use_trees_are_expanded_to_their_leaves() {
        let text = "use a::{self, b::{c as d, e}, f::*};\nlet x = g::h::<i::j>(k::l);";
        assert_eq!(listed(text), ["a::b::c", "a::b::e", "a::f::*", "g::h", "i::j", "k::l"]);
        assert_eq!(paths("use a::{self, b};")[1].segments, ["a"]);
    }

    #[test]
    fn an_item_under_cfg_test_is_blanked_and_what_follows_it_is_not() {
        assert_eq!(listed("#[cfg(test)]\nmod tests;\nuse a::b;"), ["a::b"]);
        assert_eq!(listed("#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests { use c::d; fn f() {} }\nuse a::b;"), ["a::b"]);
        assert_eq!(listed("struct S {\n    #[cfg(test)]\n    x: c::d,\n    y: a::b,\n}"), ["a::b"]);
        assert_eq!(listed("#[cfg(all(test, feature = \"cli\"))]\nfn f() { c::d() }\nuse a::b;"), ["a::b"]);
        assert_eq!(listed("#[cfg(not(test))]\nuse a::b;"), ["a::b"]);
    }

    #[test]
    fn crate_and_super_lead_to_the_root_and_paths_within_the_module_do_not() {
        let named = |file: &str, text: &str| {
            let source = Source::new(file, text);
            let found = paths(&source.code);
            found.iter().filter_map(|path| source.below_root(path)).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            named("stack/demux.rs", "use crate::net; use super::guard; use super::super::socket;"),
            ["net", "socket"]
        );
        assert_eq!(named("time.rs", "use super::rng; mod inner { use super::Instant; }"), ["rng"]);
        assert_eq!(named("stack/mod.rs", "use self::demux; use self::super::app;"), ["app"]);
        assert_eq!(named("stack/mod.rs", "use crate::*; pub(crate) fn f() {}"), ["*"]);
    }

    #[test]
    fn rooms_are_named_by_the_first_part_of_the_path() {
        assert_eq!(Source::new("time.rs", "").room(), "time");
        assert_eq!(Source::new("stack/guard/paws.rs", "").room(), "stack");
    }
}
