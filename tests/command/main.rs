//! The command line: what it prints, what it refuses, the files that it writes, and the order of the modules.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/programs.rs"]
mod programs;

mod cli;
mod commands;
mod modules;
mod output_files;
mod own_command;
mod scenario_cli;
mod sweep;
