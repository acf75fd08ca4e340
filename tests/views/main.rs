//! What is seen of a run and of a capture: ladders, tables, the terminal UI, pictures and the numbers behind them.
#![cfg(feature = "cli")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/programs.rs"]
mod programs;

mod flows;
mod ladder;
mod plots;
mod step;
