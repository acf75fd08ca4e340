//! The command line. Results go to standard output; progress, summaries and warnings to standard error.
//!
//! Exit codes: 0 good; 1 a comparison or a run failed; 2 usage or unreadable input. An error names the operation, the
//! object and the next step.

mod args;
mod bench;
mod demo;
mod output;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Command};
use output::Output;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// The run itself; exit 1.
    #[error("{0}")]
    Run(String),
    /// Standard output; exit 1.
    #[error("write to standard output: {0}; if it is a file, look for space on its disk")]
    Output(#[from] io::Error),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors: clap prints them to standard output.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let output = Output::new(&args.global);
    match run(&args, output) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough: `tcplab ... | head`.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(1)
        }
    }
}

fn run(args: &Args, output: Output) -> Result<(), CliError> {
    match &args.command {
        Command::Demo => demo::run(output),
        Command::Bench(bench) => bench::run(bench, output),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "tcplab", &mut text);
            Ok(io::stdout().write_all(&text)?)
        }
        Command::Man => {
            let mut text = Vec::new();
            manual(&mut text)?;
            Ok(io::stdout().write_all(&text)?)
        }
    }
}

/// The manual page of the command, then those of its subcommands, in one roff document.
fn manual(text: &mut Vec<u8>) -> io::Result<()> {
    let mut command = Args::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(text)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        clap_mangen::Man::new(subcommand.clone()).render(text)?;
    }
    Ok(())
}
