//! Output: results go to standard output, everything else to standard error. All commands print through this module.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use super::CliError;
use super::args::{Color, Global};

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
    /// A capture goes to standard output.
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

    /// Prints a result, to standard output unless a capture goes there.
    pub(super) fn result(self, text: impl Display) -> io::Result<()> {
        match self.results {
            Results::Stdout => print(text),
            Results::Stderr if self.talk == Talk::Quiet => Ok(()),
            Results::Stderr => write!(io::stderr().lock(), "{text}"),
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

    /// Prints a result whose first line is a title.
    pub(super) fn titled(self, text: &str) -> io::Result<()> {
        match text.split_once('\n') {
            Some((title, rest)) if self.stdout_color => print(format_args!("\x1b[{BOLD}m{title}\x1b[0m\n{rest}")),
            _ => print(text),
        }
    }

    /// Prints a table whose first line names the columns.
    pub(super) fn table(self, text: &str) -> io::Result<()> {
        match text.split_once('\n') {
            Some((names, rest)) => self.result(format_args!("{}\n{rest}", self.title(names))),
            None => self.result(text),
        }
    }

    /// Prints progress or a summary, unless `--quiet`.
    pub(super) fn note(self, text: impl Display) {
        if self.talk != Talk::Quiet {
            let _ = writeln!(io::stderr().lock(), "{text}");
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

    pub(super) fn error(self, error: &dyn Display) {
        let word = if self.stderr_color { format!("\x1b[{RED}merror:\x1b[0m") } else { "error:".to_owned() };
        let _ = writeln!(io::stderr().lock(), "{word} {error}");
    }
}
