//! The options of `tcplab wire`. `--link` and `--hop` are read in their order: a line belongs to the link that was begun
//! last.

use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Arg, ArgAction, ArgMatches, Args as ClapArgs, Command, FromArgMatches, ValueEnum, value_parser};

use crate::cli::control::ControlOptions;
use crate::cli::live::args::Capture;
use crate::cli::{help, values};
use crate::link::{LinkArgument, SpecError};
use crate::live::wire::Side;

#[derive(Debug, ClapArgs)]
#[command(after_help = help::WIRE)]
pub(in crate::cli) struct Wire {
    /// Command on the left side, for `sh -c`; its standard output goes to standard error [default: none]
    #[arg(long, value_name = "COMMAND", value_parser = OsStringValueParser::new().try_map(command))]
    pub(super) left: Option<OsString>,
    /// Command on the right side, for `sh -c`; its exit code becomes that of tcplab, and the left one ends with it
    /// [default: a shell with the terminal]
    #[arg(long, value_name = "COMMAND", value_parser = OsStringValueParser::new().try_map(command))]
    pub(super) right: Option<OsString>,
    /// When the right command starts: when the left side has a socket on this port, or at once; at the latest after 10 s
    /// [default: when the left side has a socket that listens or is bound]
    #[arg(long, value_name = "PORT|none", value_parser = wait)]
    pub(super) wait: Option<Wait>,
    #[command(flatten)]
    pub(super) links: Links,
    /// Random seed: with the same seed the links draw the same losses and delays [default: a fresh seed; -v prints it, the
    /// capture keeps it]
    #[arg(long, value_name = "N", value_parser = values::seed, help_heading = "Links")]
    pub(super) seed: Option<u64>,
    /// Print the table of connections at the end [default: not printed]
    #[arg(long)]
    pub(super) flows: bool,
    #[command(flatten)]
    pub(super) control: ControlOptions,
    #[command(flatten)]
    pub(super) capture: Capture,
    /// Side at which the capture is taken; `all` writes a file for each, named after it
    #[arg(long, value_name = "SIDE", default_value = "left", requires = "write", help_heading = "Capture")]
    pub(super) at: At,
}

/// A command for `sh -c`. An empty one is perhaps a variable of the shell that is not set.
fn command(text: OsString) -> Result<OsString, &'static str> {
    if text.to_string_lossy().trim().is_empty() {
        return Err("expected a command for `sh -c`, such as 'curl http://10.77.0.1/', or leave the option out");
    }
    Ok(text)
}

/// When the right command starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// When a socket has this port.
    Port(u16),
    /// At once.
    None,
}

/// Where captures are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum At {
    Left,
    Right,
    All,
}

impl At {
    pub(super) fn sides(self) -> Vec<Side> {
        match self {
            Self::Left => vec![Side::Left],
            Self::Right => vec![Side::Right],
            Self::All => Side::BOTH.to_vec(),
        }
    }
}

fn wait(text: &str) -> Result<Wait, String> {
    match text {
        "none" => Ok(Wait::None),
        port => values::number(port, 1..=65_535, "80")
            .map(|port| Wait::Port(port as u16))
            .map_err(|_| "expected a port from 1 to 65535, such as 80, or none".to_owned()),
    }
}

/// The lines of each link, from left to right.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Links(pub(super) Vec<Vec<LinkArgument>>);

const LINK: &str = "link";
const HOP: &str = "hop";

impl ClapArgs for Links {
    fn augment_args(command: Command) -> Command {
        let line = |name| Arg::new(name).long(name).value_name("SPEC").action(ArgAction::Append).help_heading("Links");
        command
            .arg(line(LINK).value_parser(value_parser!(LinkArgument)).help(
                "Impair packets, in the terms of tc-netem(8): `delay=50ms,loss=1%`; `left>right:loss=1%` for one direction; \
                 `@5s:loss=5%` from a time on; `@FILE` for a file of such lines; may be repeated [default: no impairment]",
            ))
            .arg(line(HOP).value_parser(hop).help(
                "Begin a further link, behind a router; each has its own queue; '' is a link without impairment. --link behind \
                 it adds to this link; may be repeated [default: one link]",
            ))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// A line, or nothing: then the link is there and impairs no packet.
fn hop(text: &str) -> Result<LinkArgument, SpecError> {
    if text.is_empty() { Ok(LinkArgument::Line(Box::default())) } else { text.parse() }
}

impl FromArgMatches for Links {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let lines = |name| {
            let at = matches.indices_of(name).into_iter().flatten();
            let lines = matches.get_many::<LinkArgument>(name).into_iter().flatten();
            at.zip(lines).map(move |(at, line)| (at, name == HOP, line.clone()))
        };
        let mut all: Vec<_> = lines(LINK).chain(lines(HOP)).collect();
        all.sort_by_key(|(at, ..)| *at);
        let mut links = vec![Vec::new()];
        for (_, begins, line) in all {
            if begins {
                links.push(Vec::new());
            }
            if let Some(last) = links.last_mut() {
                last.push(line);
            }
        }
        Ok(Self(links))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], expected: &[&[&str]]) {
        let command = Links::augment_args(Command::new("wire").no_binary_name(true));
        let matches = command.try_get_matches_from(words).expect("valid");
        let parse = |line: &&str| hop(line).expect("a line");
        let expected = expected.iter().map(|lines| lines.iter().map(parse).collect()).collect();
        assert_eq!(Links::from_arg_matches(&matches).expect("links"), Links(expected));
    }

    #[test]
    fn a_line_belongs_to_the_link_that_was_begun_last() {
        check(&[], &[&[]]);
        check(&["--link", "loss=1%"], &[&["loss=1%"]]);
        check(&["--hop", "loss=1%"], &[&[], &["loss=1%"]]);
        let first = ["--link=delay=1ms", "--hop", "rate=1Mbit", "--link", "left>right:@1s:loss=2%"];
        let second = ["--hop=", "--link", "mtu=99", "--link", "@file"];
        let expected: [&[&str]; 3] =
            [&["delay=1ms"], &["rate=1Mbit", "left>right:@1s:loss=2%"], &["", "mtu=99", "@file"]];
        check(&[&first[..], &second].concat(), &expected);
    }

    #[test]
    fn the_port_to_wait_for_is_a_number_or_none() {
        assert_eq!(wait("none"), Ok(Wait::None));
        assert_eq!((wait("1"), wait("65535")), (Ok(Wait::Port(1)), Ok(Wait::Port(65_535))));
        for wrong in ["0", "65536", "", "http", "None"] {
            assert!(wait(wrong).expect_err(wrong).contains("such as 80, or none"), "{wrong}");
        }
    }
}
