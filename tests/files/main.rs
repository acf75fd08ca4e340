//! Captures and scenario files: what is read and written, how it is shown, and captures as tests.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/lab.rs"]
mod lab;
#[path = "../common/programs.rs"]
mod programs;

mod capture;
mod cases;
mod ladder;
mod replay_cli;
mod replay_generated;
mod replay_mutations;
mod scenario;
mod show;
mod tshark_counts;
