//! packetdrill scripts: the parser, the run, the printed script, scripts from captures, and the command.
#![cfg(feature = "drill")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/programs.rs"]
mod programs;
#[path = "../common/scripts.rs"]
mod scripts;

mod command;
mod from;
mod parse;
mod print;
mod run;
