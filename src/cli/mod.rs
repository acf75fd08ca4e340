//! The command line. Results go to standard output. Progress, summaries and warnings go to standard error.
//!
//! Exit codes: 0 success; 1 a comparison or a run failed; 2 wrong usage or unreadable input; the exit code of COMMAND if there
//! is one; 128 + n after signal n. An error names the operation, the object and the next step.

mod args;
mod bench;
mod captures;
mod control;
mod demo;
mod diff;
mod drill;
mod ending;
mod extcap;
mod help;
mod host;
mod kind;
mod lessons;
mod links;
#[cfg(all(feature = "live", target_os = "linux"))]
mod live;
mod named;
mod output;
mod output_file;
mod pages;
mod pictures;
mod proxy;
mod record;
mod replay;
mod run;
mod scenario;
mod show;
mod step;
mod sweep;
mod tables;
mod usage;
mod values;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::FromArgMatches;

use crate::app::Registry;
use crate::capture::ReadError;
use crate::escape;
use args::{Args, Command};
use output::Output;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// The run failed. Exit code 1.
    #[error("{0}")]
    Run(String),
    /// Something failed in a run of this scenario; each failure has a line. Exit code 1.
    #[error("{0}: {1}")]
    Failures(String, String),
    /// A signal ended the command. Exit code 128 + n.
    #[error("{0}: stopped by signal {1}")]
    #[cfg(all(feature = "live", target_os = "linux"))]
    Signal(&'static str, u8),
    /// The arguments are wrong. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read, or not to its end. Exit code 2.
    #[error(transparent)]
    Input(#[from] ReadError),
    /// Standard output cannot be written. Exit code 1.
    #[error("write to standard output: {0}; if it is a file, check that its disk has space")]
    Output(#[from] io::Error),
}

impl CliError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Run(_) | Self::Failures(..) | Self::Output(_) => ExitCode::from(1),
            #[cfg(all(feature = "live", target_os = "linux"))]
            Self::Signal(_, signal) => ExitCode::from(128 + signal),
            Self::Usage(_) | Self::Input(_) => ExitCode::from(2),
        }
    }
}

/// Parses the arguments of the process, runs the command, and returns its exit code. The programs and controllers are those
/// of the registry. A binary with programs or controllers of its own needs only this call:
///
/// ```no_run
/// use std::process::ExitCode;
/// use tcplab::{Program, Registry};
///
/// fn main() -> ExitCode {
///     let mirror = Program::new("mirror", 7001, "the echo server under another name")
///         .server(|net, options| tcplab::app::echo::server(net, options.listen));
///     tcplab::command_line(Registry::default().with(mirror))
/// }
/// ```
#[allow(clippy::needless_pass_by_value)] // a binary needs its registry for this call only
pub fn command_line(registry: Registry) -> ExitCode {
    let args =
        named::command(&registry).try_get_matches().and_then(|mut matches| Args::from_arg_matches_mut(&mut matches));
    let args = match args {
        Ok(args) => args,
        Err(error) => {
            let words: Vec<_> = std::env::args_os().collect();
            match usage::message(&error, named::command(&registry), &words) {
                Some(text) => Output::before_parsing(&words).error(&text),
                // Help and version are not errors: clap prints them to standard output.
                None => {
                    let _ = print_clap(&error);
                }
            }
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let output = Output::new(&args.global);
    match run(&args, &registry, output) {
        Ok(code) => ExitCode::from(code),
        // The reader has closed the pipe, as in `tcplab ... | head`.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let text = error.to_string();
            // Each failure of a run has a line. Elsewhere a line end is one of a name.
            let text = match &error {
                CliError::Failures(..) => text,
                _ => escape::escaped(&text).into_owned(),
            };
            // An error about an option names its command.
            if text.starts_with('-') {
                let words: Vec<_> = std::env::args_os().collect();
                output.error(&format!("{}: {text}", usage::command_name(named::command(&registry), &words)));
            } else {
                output.error(&text);
            }
            error.exit_code()
        }
    }
}

/// Prints what clap says: help, the version, or an error, whose words may be any.
fn print_clap(error: &clap::Error) -> io::Result<()> {
    let text = error.render().to_string();
    match escape::escaped_lines(&text) {
        std::borrow::Cow::Owned(text) if error.use_stderr() => write!(io::stderr().lock(), "{text}"),
        _ => error.print(),
    }
}

/// Runs the command. Returns the exit code of a command that did not fail with an error.
fn run(args: &Args, registry: &Registry, output: Output) -> Result<u8, CliError> {
    match &args.command {
        Command::Demo(demo) => demo::run(demo, output).map(|()| 0),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Serve(serve) => live::serve::run(serve, registry, output),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Connect(connect) => live::connect::run(connect, registry, output),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Wire(wire) => live::wire::run(wire, output),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Doctor => live::doctor::run(output),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::DemoClient { server } => demo::client(*server).map(|()| 0),
        Command::Proxy(proxy) => proxy::run(proxy, registry, output),
        Command::Show(show) => show::run(show, output).map(|()| 0),
        Command::Step(args) => step::run(args, registry, output),
        Command::Replay(replay) => replay::run(replay, registry, output),
        Command::Diff(diff) => diff::run(diff, output),
        Command::Drill(args) => drill::run(args, output),
        Command::Lessons(lessons) => lessons::run(lessons, registry, output).map(|()| 0),
        Command::Run(args) => run::run(args, registry, output).map(|()| 0),
        Command::Sweep(sweep) => sweep::run(sweep, registry, output).map(|()| 0),
        Command::Bench(bench) => bench::run(bench, registry, output).map(|()| 0),
        Command::Extcap(extcap) => extcap::run(extcap, registry, output).map(|()| 0),
        Command::Completions { shell } => {
            output.refuse_json("completions", "it prints a script for a shell")?;
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut named::command(registry), "tcplab", &mut text);
            io::stdout().write_all(&text)?;
            Ok(0)
        }
        Command::Man => {
            output.refuse_json("man", "it prints a page for man(1)")?;
            let mut text = Vec::new();
            manual(registry, &mut text)?;
            io::stdout().write_all(&text)?;
            Ok(0)
        }
    }
}

/// The manual page of the command, then those of its subcommands, in one roff document.
fn manual(registry: &Registry, text: &mut Vec<u8>) -> io::Result<()> {
    let mut command = named::command(registry);
    command.build();
    clap_mangen::Man::new(command.clone()).render(text)?;
    for subcommand in
        command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help" && !subcommand.is_hide_set())
    {
        clap_mangen::Man::new(subcommand.clone()).render(text)?;
    }
    Ok(())
}
