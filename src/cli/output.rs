//! Output: results go to standard output, everything else to standard error. All commands print through this module.
//!
//! Text may contain names and contents of files, packets and arguments. So everything is escaped here once more: only line
//! ends, tabs and the colours of this program reach a terminal. A name is escaped where it is put into a text, since a line
//! end in it would begin a line ([`crate::escape`]).

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::CliError;
use super::args::{Color, Global};
use crate::escape::{escaped, escaped_json, escaped_lines};

/// The settings of the output, from the common options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) json: bool,
    talk: Talk,
    stdout_color: bool,
    stderr_color: bool,
    results: Results,
}

/// Where results go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Results {
    Stdout,
    /// A capture or a page goes to standard output.
    Stderr,
}

/// How much goes to standard error, except errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Talk {
    Quiet,
    Usual,
    Verbose,
}

const RED: &str = "1;31";
const GREEN: &str = "32";
const BOLD: &str = "1";

/// Prints a result without colours.
pub(super) fn print(text: impl Display) -> io::Result<()> {
    write!(io::stdout().lock(), "{}", escaped_lines(&text.to_string()))
}

/// A JSON object on one line, without what would command a terminal.
pub(super) fn json_line(object: &Value) -> String {
    let text = object.to_string();
    let mut line = escaped_json(&text).into_owned();
    line.push('\n');
    line
}

/// A text as it may reach a terminal. Colours stay if there are to be any.
pub(super) fn shown(text: &str, color: bool) -> Cow<'_, str> {
    if !color || !text.contains("\x1b[") {
        return escaped_lines(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split("\x1b[");
    out.push_str(&escaped_lines(parts.next().unwrap_or_default()));
    for part in parts {
        let digits = part.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
        out.push_str(if part[digits..].starts_with('m') { "\x1b[" } else { "\\u{1b}[" });
        out.push_str(&escaped_lines(part));
    }
    Cow::Owned(out)
}

impl Output {
    pub(super) fn new(global: &Global) -> Self {
        let color = |is_terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            // no-color.org: set and not empty.
            Color::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        Self {
            json: global.json,
            talk: match (global.quiet, global.verbose) {
                (true, _) => Talk::Quiet,
                (false, false) => Talk::Usual,
                (false, true) => Talk::Verbose,
            },
            stdout_color: color(io::stdout().is_terminal()),
            stderr_color: color(io::stderr().is_terminal()),
            results: Results::Stdout,
        }
    }

    /// The output for an error in the arguments themselves, from those that can be recognized.
    pub(super) fn before_parsing(words: &[OsString]) -> Self {
        let has = |option: &str, value: &str| {
            let both = format!("{option}={value}");
            words.iter().any(|word| *word == *both)
                || words.windows(2).any(|pair| pair[0] == *option && pair[1] == *value)
        };
        let color = match (has("--color", "always"), has("--color", "never")) {
            (true, false) => Color::Always,
            (false, true) => Color::Never,
            _ => Color::Auto,
        };
        Self::new(&Global { json: false, color, quiet: false, verbose: false })
    }

    /// Refuses `--json` for a command that has no results to print as JSON.
    pub(super) fn refuse_json(self, command: &str, why: &str) -> Result<(), CliError> {
        if self.json {
            return Err(CliError::Usage(format!("tcplab {command}: there is no --json: {why}; leave out --json")));
        }
        Ok(())
    }

    /// A title, bold where results may have colours.
    pub(super) fn title(self, text: &str) -> String {
        if self.stdout_color { format!("\x1b[{BOLD}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Green for what is right and red for what is not, where results may have colours.
    pub(super) fn verdict(self, good: bool, text: &str) -> String {
        let color = if good { GREEN } else { RED };
        if self.stdout_color { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Sends results to standard error if `yes`, because a capture goes to standard output.
    pub(super) fn results_to_stderr(self, yes: bool) -> Self {
        if yes { Self { results: Results::Stderr, stdout_color: self.stderr_color, ..self } } else { self }
    }

    /// Where results go, for a command that prints them while it works.
    pub(super) fn writer(self) -> Box<dyn Write> {
        match self.results {
            Results::Stdout => Box::new(io::stdout()),
            Results::Stderr if self.talk == Talk::Quiet => Box::new(io::sink()),
            Results::Stderr => Box::new(io::stderr()),
        }
    }

    /// Prints a result, to standard output unless a capture goes there.
    pub(super) fn result(self, text: impl Display) -> io::Result<()> {
        match self.results {
            Results::Stderr if self.talk == Talk::Quiet => Ok(()),
            Results::Stdout => write!(io::stdout().lock(), "{}", shown(&text.to_string(), self.stdout_color)),
            Results::Stderr => write!(io::stderr().lock(), "{}", shown(&text.to_string(), self.stderr_color)),
        }
    }

    /// Columns of the terminal that shows the results: from `COLUMNS`, else from the terminal, else 80.
    pub(super) fn width(self) -> usize {
        let asked =
            std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
        asked.or_else(|| self.terminal_width()).unwrap_or(80)
    }

    fn terminal_width(self) -> Option<usize> {
        let size = match self.results {
            Results::Stdout => terminal_size::terminal_size_of(io::stdout()),
            Results::Stderr => terminal_size::terminal_size_of(io::stderr()),
        };
        size.map(|(terminal_size::Width(columns), _)| columns.into())
    }

    /// Whether results may have colours.
    pub(super) fn color(self) -> bool {
        self.stdout_color
    }

    /// Prints a result whose first line is a title, or names the columns of a table.
    pub(super) fn table(self, text: &str) -> io::Result<()> {
        match text.split_once('\n') {
            Some((names, rest)) => self.result(format_args!("{}\n{rest}", self.title(names))),
            None => self.result(text),
        }
    }

    /// Prints progress or a summary, unless `--quiet`.
    pub(super) fn note(self, text: impl Display) {
        if self.talk != Talk::Quiet {
            let _ = writeln!(io::stderr().lock(), "{}", escaped_lines(&text.to_string()));
        }
    }

    /// True with `--verbose`.
    pub(super) fn is_verbose(self) -> bool {
        self.talk == Talk::Verbose
    }

    /// True with `--quiet`.
    pub(super) fn is_quiet(self) -> bool {
        self.talk == Talk::Quiet
    }

    /// Prints details, with `--verbose` only.
    pub(super) fn detail(self, text: impl Display) {
        if self.talk == Talk::Verbose {
            self.note(text);
        }
    }

    /// Prints what is odd and stops nothing, also with `--quiet`. A line end in a warning is one of a name.
    pub(super) fn warnings<W: Display>(self, warnings: &[W]) {
        for warning in warnings {
            let word = if self.stderr_color { format!("\x1b[{BOLD}mwarning:\x1b[0m") } else { "warning:".to_owned() };
            let _ = writeln!(io::stderr().lock(), "{word} {}", escaped(&warning.to_string()));
        }
    }

    pub(super) fn error(self, error: &dyn Display) {
        let word = if self.stderr_color { format!("\x1b[{RED}merror:\x1b[0m") } else { "error:".to_owned() };
        let _ = writeln!(io::stderr().lock(), "{word} {}", cut(&escaped_lines(&error.to_string())));
    }
}

/// Characters of a word in an error that are printed at most. A path on Linux has up to 4,096 bytes.
const LONGEST_WORD: usize = 4_200;
/// What is left of a longer one.
const CUT_WORD: usize = 100;

/// The text, with words of extreme length cut to their beginning: an error repeats what it was given.
fn cut(text: &str) -> Cow<'_, str> {
    let length = |word: &str| word.chars().count();
    if text.len() <= LONGEST_WORD || text.split([' ', '\n']).all(|word| length(word) <= LONGEST_WORD) {
        return Cow::Borrowed(text);
    }
    let cut = |word: &str| match length(word) {
        0..=LONGEST_WORD => word.to_owned(),
        length => format!("{}... ({length} characters)", word.chars().take(CUT_WORD).collect::<String>()),
    };
    let line = |line: &str| line.split(' ').map(cut).collect::<Vec<_>>().join(" ");
    Cow::Owned(text.split('\n').map(line).collect::<Vec<_>>().join("\n"))
}

/// Standard output without a buffer in between, for a capture that is read while it is written.
///
/// # Errors
/// The error of dup(2).
pub(super) fn standard_output() -> io::Result<std::fs::File> {
    #[cfg(unix)]
    let own = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?;
    #[cfg(windows)]
    let own = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned()?;
    Ok(own.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_line_ends_and_tabs_reach_a_terminal() {
        let text = "\x1b[1;31mred\x1b[0m\x1b[2J\x1b]0;title\x07\ta\r\n\u{9b}5n\u{202e}";
        let red = "\x1b[1;31mred\x1b[0m";
        let rest = "\\u{1b}[2J\\u{1b}]0;title\\u{7}\ta\\r\n\\u{9b}5n\\u{202e}";
        assert_eq!(shown(text, true), format!("{red}{rest}"));
        assert_eq!(shown(text, false), format!("{}{rest}", red.replace('\x1b', "\\u{1b}")));
    }

    #[test]
    fn a_word_of_an_error_is_cut_beyond_the_longest() {
        let word = |length| "x".repeat(length);
        let text = format!("--link {} wrong\nsee {}", word(LONGEST_WORD), word(5));
        assert_eq!(cut(&text), text);
        let text = format!("--link {} wrong\nsee {}", word(LONGEST_WORD + 1), word(5));
        let shown = format!("--link {}... (4201 characters) wrong\nsee xxxxx", word(CUT_WORD));
        assert_eq!(cut(&text), shown);
    }
}
