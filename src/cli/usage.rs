//! What a wrong command line is told: the command, the word that is wrong, what is right, and where to read more. clap finds
//! the mistake; this module says it in the same form as the other errors. `command_line` calls it.

use std::error::Error as _;
use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::view::printable;

/// The message for a mistake; `None` for help, the version, and what clap says better.
pub(super) fn message(error: &clap::Error, root: Command, words: &[OsString]) -> Option<String> {
    let place = Place::of(root, words);
    let name = &place.name;
    let help = format!("`{name} --help` lists the options");
    let arg = context(error, ContextKind::InvalidArg);
    let option = arg.first().map(String::as_str).unwrap_or_default();
    // Without the name of its value: `--seed`, not `--seed <N>`.
    let option =
        if option.starts_with('-') { option.split([' ', '=', '[']).next().unwrap_or_default() } else { option };
    let option = printable(option, false);
    let value = context(error, ContextKind::InvalidValue).concat();
    let value = printable(&value, false);
    let suggested = context(error, ContextKind::SuggestedArg).into_iter().next();
    let perhaps = |word: Option<String>| word.map_or_else(String::new, |word| format!(" (`{word}` perhaps)"));
    let says = match error.kind() {
        ErrorKind::ValueValidation => {
            let why = error.source().map_or_else(String::new, ToString::to_string);
            format!("{option} '{value}': {}", printable(&why, false))
        }
        ErrorKind::InvalidValue | ErrorKind::NoEquals | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            let valid = context(error, ContextKind::ValidValue);
            let near = context(error, ContextKind::SuggestedValue).into_iter().next();
            let one_of = format!("expected one of the possible values: {}{}", valid.join(", "), perhaps(near));
            match (value.is_empty(), valid.is_empty()) {
                (true, true) => format!("{option} needs a value{}; {help}", place.example_value(&option)),
                (true, false) => format!("{option} needs a value: {one_of}"),
                (false, _) => format!("{option} '{value}': {one_of}"),
            }
        }
        ErrorKind::UnknownArgument if option.starts_with('-') => match place.negative(words, &option) {
            Some((before, value)) => {
                format!("{before} '{value}': expected a value that does not begin with a hyphen; {help}")
            }
            None => match place.usual(&option) {
                Some(ours) => format!("there is no option `{option}`: it is `{ours}` here; {help}"),
                None => format!("there is no option `{option}`{}; {help}", perhaps(suggested)),
            },
        },
        ErrorKind::TooManyValues if !value.is_empty() && option.starts_with('-') => {
            format!("{option} takes no value: leave out `={value}`; {help}")
        }
        ErrorKind::UnknownArgument | ErrorKind::TooManyValues => {
            format!("`{option}{value}` is one word too many; usage: {}{}", place.usage, place.example())
        }
        ErrorKind::InvalidSubcommand => {
            let word = context(error, ContextKind::InvalidSubcommand).concat();
            let near = context(error, ContextKind::SuggestedSubcommand);
            let near = near.into_iter().find(|near| place.subcommands.contains(near));
            if place.subcommands.is_empty() {
                let word = printable(&word, false);
                return Some(format!(
                    "{name}: `{word}` is one word too many; usage: {}{}",
                    place.usage,
                    place.example()
                ));
            }
            let known = place.subcommands.join(", ");
            format!("there is no command `{}`{}; the commands are {known}", printable(&word, false), perhaps(near))
        }
        ErrorKind::MissingSubcommand => {
            format!("<COMMAND> is missing; the commands are {}", place.subcommands.join(", "))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = printable(&arg.join(" and "), false);
            let verb = if arg.len() == 1 { "is" } else { "are" };
            match place.needing(words, &option) {
                Some(other) => format!("{other} needs {missing}: add it, or leave out {other}; {help}"),
                None => format!("{missing} {verb} missing; usage: {}{}", place.usage, place.example()),
            }
        }
        ErrorKind::ArgumentConflict => {
            let other = context(error, ContextKind::PriorArg);
            let short = |word: &String| word.split([' ', '=', '[']).next().unwrap_or_default().to_owned();
            let other: Vec<_> = other.iter().map(short).filter(|other| *other != option).collect();
            if other.is_empty() {
                format!("{option} is there twice: leave one of them out; {help}")
            } else {
                format!("{option} cannot be used with {}: leave one of them out; {help}", other.join(", "))
            }
        }
        ErrorKind::InvalidUtf8 => format!("a word of the command line is not UTF-8; only file names may be; {help}"),
        _ => return None,
    };
    Some(format!("{name}: {says}"))
}

/// The command that a command line names: `tcplab bench bulk`.
pub(super) fn command_name(root: Command, words: &[OsString]) -> String {
    Place::of(root, words).name
}

/// The strings of a part of an error.
fn context(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

/// The command in which the mistake is.
struct Place {
    /// `tcplab bench bulk`.
    name: String,
    usage: String,
    subcommands: Vec<String>,
    examples: String,
    command: Command,
}

impl Place {
    fn of(mut command: Command, words: &[OsString]) -> Self {
        command.build();
        let mut name = command.get_name().to_owned();
        for word in words.iter().skip(1).take_while(|word| *word != "--") {
            let Some(next) = word.to_str().and_then(|word| command.find_subcommand(word)).cloned() else { continue };
            name = format!("{name} {}", next.get_name());
            command = next;
        }
        let usage = command.render_usage().to_string().trim_start_matches("Usage:").trim().to_owned();
        let subcommands = command.get_subcommands().filter(|command| !command.is_hide_set());
        let subcommands = subcommands.map(|command| command.get_name().to_owned()).collect();
        let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        Self { name, usage, subcommands, examples, command }
    }

    /// The first example of the help.
    fn example(&self) -> String {
        let lines = self.examples.split_once("Examples:\n").map_or("", |(_, lines)| lines).lines();
        let example = lines.map(str::trim).find(|line| line.starts_with("tcplab ")).unwrap_or_default();
        let example = example.split("  #").next().unwrap_or_default().trim();
        if example.is_empty() { String::new() } else { format!("; example: `{example}`") }
    }

    /// An example with the name that the value of an option has in the help; empty if it takes none.
    fn example_value(&self, option: &str) -> String {
        let long = option.strip_prefix("--");
        let short = option.strip_prefix('-').and_then(|short| short.chars().next());
        let found = self.command.get_arguments().find(|arg| match long {
            Some(long) => arg.get_long() == Some(long),
            None => short.is_some() && arg.get_short() == short,
        });
        let names = found.and_then(clap::Arg::get_value_names).unwrap_or_default();
        names.first().map_or_else(String::new, |name| format!(", as in `{option} {name}`"))
    }

    /// The option of the command line that needs this one. clap does not tell it, so each is tried alone.
    fn needing(&self, words: &[OsString], missing: &str) -> Option<String> {
        if !missing.starts_with('-') {
            return None;
        }
        let options = words.iter().take_while(|word| *word != "--").filter_map(|word| word.to_str());
        let names = options.filter(|word| word.starts_with('-') && word.len() > 1);
        let name = |word: &str| {
            let word = word.split('=').next().unwrap_or_default();
            // `-s128` is `-s 128`.
            if word.starts_with("--") { word.to_owned() } else { word.chars().take(2).collect() }
        };
        names.map(name).find(|option| {
            let known = self.command.get_arguments().find(|arg| {
                arg.get_long().is_some_and(|long| *option == format!("--{long}"))
                    || arg.get_short().is_some_and(|short| *option == format!("-{short}"))
            });
            known.is_some_and(|arg| self.is_content_with(arg, missing))
        })
    }

    /// True if clap misses `missing` where `other` is the only option.
    fn is_content_with(&self, other: &clap::Arg, missing: &str) -> bool {
        let option = |arg: &clap::Arg| match (arg.get_long(), arg.get_short()) {
            (Some(long), _) => format!("--{long}"),
            (None, short) => format!("-{}", short.unwrap_or_default()),
        };
        let words = [self.command.get_name().to_owned(), option(other)];
        let value = other.get_action().takes_values().then(|| "1".to_owned());
        let any_value = |arg: clap::Arg| {
            let takes = arg.get_action().takes_values();
            if takes { arg.required(false).value_parser(clap::value_parser!(OsString)) } else { arg }
        };
        let error = self.command.clone().mut_args(any_value).try_get_matches_from(words.into_iter().chain(value)).err();
        error.is_some_and(|error| {
            error.kind() == ErrorKind::MissingRequiredArgument
                && context(&error, ContextKind::InvalidArg).iter().any(|arg| arg.starts_with(missing))
        })
    }

    /// Our option for what other programs call so.
    fn usual(&self, option: &str) -> Option<&'static str> {
        let (ours, example) = match option.trim_start_matches('-') {
            "port" | "p" | "bind" => ("listen", "--listen PORT"),
            "root" | "directory" | "d" => ("dir", "--dir DIR"),
            "loss" => ("link", "--link loss=1%"),
            "delay" | "latency" | "rtt" => ("link", "--link delay=20ms"),
            "rate" | "bandwidth" => ("link", "--link rate=10Mbit"),
            "output" | "o" | "out" => ("write", "-w FILE"),
            "seeds" => ("seed", "--seed 1..100"),
            "interface" | "i" | "device" => ("tun", "--tun NAME"),
            _ => return None,
        };
        self.command.get_arguments().any(|arg| arg.get_long() == Some(ours)).then_some(example)
    }

    /// The option before a word such as `-5ms`, which clap takes for an option, and the word.
    fn negative(&self, words: &[OsString], option: &str) -> Option<(String, String)> {
        let digit = option.strip_prefix('-')?.chars().next()?;
        let at = words.iter().position(|word| word.to_str().is_some_and(|word| word.starts_with(option)))?;
        let before = words.get(at.checked_sub(1)?)?.to_str().filter(|word| word.starts_with('-'))?;
        let takes = !self.example_value(before).is_empty();
        let word = words[at].to_str()?;
        (takes && (digit.is_ascii_digit() || digit == '.')).then(|| (before.to_owned(), printable(word, false)))
    }
}
