//! What is seen of a run and of a capture: ladders and tables, the terminal UI.
#![cfg(feature = "cli")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/programs.rs"]
mod programs;

mod flows;
mod ladder;
mod step;
