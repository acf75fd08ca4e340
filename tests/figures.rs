//! The numbers that this project promises for a TCP connection in the simulator: goodput, retransmissions, timeouts,
//! fairness, the time of short transfers. `cargo test` runs a few seeds with bounds stated for them.
//! `make figures` sets `TCPLAB_FIGURES=whole`: every seed, the whole time, the bounds of the promise, and a line for each.
//! docs/performance.md has the results. Without features the stack is the same, so one set of features is enough.
#![cfg(feature = "cli")]

#[path = "figures/bulk.rs"]
mod bulk;
#[path = "figures/burst.rs"]
mod burst;
#[path = "figures/fairness.rs"]
mod fairness;
#[path = "figures/flow.rs"]
mod flow;
#[path = "figures/loss.rs"]
mod loss;
#[path = "figures/reorder.rs"]
mod reorder;
#[path = "figures/short.rs"]
mod short;
#[path = "figures/watch.rs"]
mod watch;

use std::env;

/// True if every seed is to be run for its whole time.
fn whole() -> bool {
    env::var_os("TCPLAB_FIGURES").is_some_and(|value| value == "whole")
}

/// `few` in the suite, `all` for `make figures`.
fn pick<T>(few: T, all: T) -> T {
    if whole() { all } else { few }
}

/// The mean of what one run gives for each element.
fn mean<T>(runs: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    runs.iter().map(figure).sum::<f64>() / runs.len() as f64
}

/// The value below which `share` of the values are: 0.5 is the median.
fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() as f64 * share).ceil() as usize).clamp(1, values.len()) - 1]
}

/// One line of the table of `make figures`; `cargo test` shows it only of a test that fails.
fn tell(figure: &str, value: &str) {
    println!("{figure:<52} {value}");
}
