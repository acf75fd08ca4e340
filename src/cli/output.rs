//! Where words go: results to standard output, everything else to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use super::args::{Color, Global};

/// How to speak, as the flags say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) json: bool,
    talk: Talk,
    stdout_color: bool,
    stderr_color: bool,
    /// Standard output carries a capture.
    results_to_stderr: bool,
}

/// How much goes to standard error, errors apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Talk {
    Quiet,
    Usual,
    Verbose,
}

const RED: &str = "1;31";
const BOLD: &str = "1";

/// Prints a result.
pub(super) fn print(text: impl Display) -> io::Result<()> {
    write!(io::stdout().lock(), "{text}")
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
            results_to_stderr: false,
        }
    }

    /// Sends results to standard error if `yes`, because a capture goes to standard output.
    pub(super) fn results_to_stderr(self, yes: bool) -> Self {
        let stdout_color = if yes { self.stderr_color } else { self.stdout_color };
        Self { results_to_stderr: yes, stdout_color, ..self }
    }

    /// Prints a result, to standard output unless a capture goes there.
    pub(super) fn result(self, text: impl Display) -> io::Result<()> {
        if self.results_to_stderr { write!(io::stderr().lock(), "{text}") } else { print(text) }
    }

    /// Whether results may have colours.
    pub(super) fn color(self) -> bool {
        self.stdout_color
    }

    /// A result whose first line is a title.
    pub(super) fn titled(self, text: &str) -> io::Result<()> {
        match text.split_once('\n') {
            Some((title, rest)) if self.stdout_color => print(format_args!("\x1b[{BOLD}m{title}\x1b[0m\n{rest}")),
            _ => print(text),
        }
    }

    /// Progress or a summary.
    pub(super) fn note(self, text: impl Display) {
        if self.talk != Talk::Quiet {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Whether progress is not wanted.
    pub(super) fn is_quiet(self) -> bool {
        self.talk == Talk::Quiet
    }

    /// What only the curious want to know.
    pub(super) fn detail(self, text: impl Display) {
        if self.talk == Talk::Verbose {
            self.note(text);
        }
    }

    pub(super) fn error(self, error: &dyn Display) {
        let word = if self.stderr_color { format!("\x1b[{RED}merror:\x1b[0m") } else { "error:".to_owned() };
        let _ = writeln!(io::stderr().lock(), "{word} {error}");
    }
}
