//! The values of options that name a program or a congestion controller. clap's description of the command line exists at
//! compile time, but the registry is known only at run time. This module adds its names to the description.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Command, CommandFactory};

use super::CliError;
use super::args::Args;
use crate::app::{Listen, Program, Registry, ServerOptions};
use crate::congestion::Algorithm;
use crate::escape;

/// The command line with the names of this registry.
pub(super) fn command(registry: &Registry) -> Command {
    let controllers = || {
        let value = |algorithm: &Algorithm| {
            PossibleValue::new(algorithm.name().to_owned()).help(algorithm.summary().to_owned())
        };
        PossibleValuesParser::new(registry.algorithms().iter().map(value))
    };
    let servers = || {
        let value = |program: &Program| {
            PossibleValue::new(program.name().to_owned()).help(format!(
                "{}; port {}",
                program.summary(),
                program.port()
            ))
        };
        PossibleValuesParser::new(registry.programs().filter(|program| program.has_server()).map(value))
    };
    visit(Args::command(), &|command| {
        // A number below zero is the value of its option, so that the error names what the option takes.
        let command = command.mut_args(|arg| {
            let takes = arg.get_action().takes_values();
            if takes { arg.allow_negative_numbers(true) } else { arg }
        });
        let has = |id: &str| command.get_arguments().any(|arg| arg.get_id() == id);
        let (cc, app) = (has("cc"), has("app"));
        let command = if cc { command.mut_arg("cc", |arg| arg.value_parser(controllers())) } else { command };
        if app { command.mut_arg("app", |arg| arg.value_parser(servers())) } else { command }
    })
}

/// Changes a command and all of its subcommands.
fn visit(command: Command, change: &dyn Fn(Command) -> Command) -> Command {
    change(command).mut_subcommands(|command| visit(command, change))
}

/// The program of that name. clap has refused other names.
pub(super) fn program<'r>(registry: &'r Registry, name: &str) -> Result<&'r Program, CliError> {
    registry.find(name).ok_or_else(|| CliError::Usage(format!("there is no program `{name}`")))
}

/// The congestion controller of that name. clap has refused other names.
pub(super) fn controller(registry: &Registry, name: &str) -> Result<Algorithm, CliError> {
    let known = registry.algorithms().by_name(name).cloned();
    known.ok_or_else(|| CliError::Usage(format!("there is no congestion controller `{name}`")))
}

/// `--dir` and `--size`: the files that a server serves.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    dir: Option<PathBuf>,
    size: Option<u64>,
}

impl Files {
    /// Checks the two options against the program. Without either, the directory is the current one.
    pub(super) fn of(program: &Program, dir: Option<PathBuf>, size: Option<u64>) -> Result<Self, CliError> {
        let name = program.name();
        if !program.takes_files() {
            return match (&dir, size) {
                (None, None) => Ok(Self::default()),
                _ => {
                    Err(CliError::Usage(format!("--dir and --size apply to http only, not to {name}: leave them out")))
                }
            };
        }
        if size.is_none() {
            let dir = dir.as_deref().unwrap_or(Path::new("."));
            if !dir.is_dir() {
                let dir = escape::path(dir);
                return Err(CliError::Usage(format!(
                    "--dir {dir}: this is not a readable directory; name another one, such as `--dir .`, or --size N for a \
                     generated file"
                )));
            }
        }
        Ok(Self { dir, size })
    }

    /// The options of the server, with its address.
    pub(super) fn options(&self, listen: Listen) -> ServerOptions {
        let mut options = ServerOptions::new(listen);
        (options.dir, options.size) = (self.dir.clone(), self.size);
        options
    }
}
