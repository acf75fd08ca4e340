//! Random and mutated input of each parser: packets, captures, scenario files, scripts.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/fuzz.rs"]
mod fuzz;
#[path = "../common/programs.rs"]
mod programs;
#[cfg(feature = "drill")]
#[path = "../common/scripts.rs"]
mod scripts;

mod captures;
mod control;
mod drill;
mod packets;
mod scenarios;
