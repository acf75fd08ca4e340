//! Whatever a path does to packets, bytes in are bytes out: random, reordered, duplicated, lost and corrupted packets, an MTU
//! that changes on the way with ICMP and without, random sizes, buffers, MSS and controllers, both directions at once, any
//! order of closing. After each event host and wire agree on SND.* and RCV.*, and packets are conserved.
//!
//! Each case follows from its seed; a failure names it. `TCPLAB_FUZZ_CASES` says how many cases are run, and
//! `TCPLAB_FIGURES=whole` runs five times as many as usual.

#[path = "streams/agree.rs"]
mod agree;
#[path = "streams/case.rs"]
mod case;
#[path = "streams/run.rs"]
mod run;

use std::collections::BTreeMap;
use std::env;

use case::Case;
use run::{LOG, run};

/// How many cases by default: some seconds.
const CASES: u64 = 100_000;
/// How many with the figures.
const WHOLE: u64 = 500_000;

fn cases() -> u64 {
    let whole = env::var("TCPLAB_FIGURES").is_ok_and(|value| value == "whole");
    let default = if whole { WHOLE } else { CASES };
    env::var("TCPLAB_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

fn run_case(seed: u64) {
    let case = Case::new(seed);
    let result = std::panic::catch_unwind(|| drop(run(&case, false)));
    if let Err(panic) = result {
        eprintln!("case {seed} failed: {case:#?}");
        LOG.set(true);
        let _ = std::panic::catch_unwind(|| drop(run(&case, true)));
        std::panic::resume_unwind(panic);
    }
}

/// Four tests, so that they use the cores that there are.
fn quarter(nth: u64) {
    if let Ok(seed) = env::var("TCPLAB_STREAMS_SEED") {
        return run_case(seed.parse().expect("a seed"));
    }
    (0..cases()).filter(|seed| seed % 4 == nth).for_each(run_case);
}

#[test]
fn bytes_in_are_bytes_out_and_packets_are_conserved_first_quarter() {
    quarter(0);
}

#[test]
fn bytes_in_are_bytes_out_and_packets_are_conserved_second_quarter() {
    quarter(1);
}

#[test]
fn bytes_in_are_bytes_out_and_packets_are_conserved_third_quarter() {
    quarter(2);
}

#[test]
fn bytes_in_are_bytes_out_and_packets_are_conserved_fourth_quarter() {
    quarter(3);
}

#[test]
fn the_same_seed_gives_the_same_events_and_the_same_packets() {
    let log = |seed| run(&Case::new(seed), true).log.expect("a log");
    for seed in 0..(cases() / 100).max(1) {
        let (first, second) = (log(seed), log(seed));
        assert!(first.len() > 10);
        let at = first.iter().zip(&second).position(|(first, second)| first != second);
        assert_eq!((at, first.len()), (None, second.len()), "seed {seed}");
    }
    assert_ne!(log(1), log(2));
}

/// The cases are worth their name: all ends come, hosts and wires are compared at nearly each event, and each kind of path.
#[test]
fn the_cases_meet_every_kind_of_path_and_of_end_and_each_is_compared_with_the_wire() {
    let (mut ends, mut paths) = (BTreeMap::<String, u64>::new(), [0_u64; 6]);
    let mut compared = 0;
    for seed in 0..2_000 {
        let case = Case::new(seed);
        let outcome = run(&case, false);
        assert!(case.mortal || outcome.compared > 0, "case {seed}: never compared");
        compared += outcome.compared;
        for end in outcome.ends {
            *ends.entry(format!("{end:?}")).or_default() += 1;
        }
        let mtu_changes = case.changes.iter().any(|(_, spec)| spec.contains("mtu"));
        let behind = case.behind.as_ref();
        let facts = [
            case.v6,
            behind.is_some_and(|spec| spec.contains("mtu")) && case.icmp,
            behind.is_some_and(|spec| spec.contains("mtu")) && !case.icmp,
            case.cable.contains("mtu"),
            mtu_changes,
            case.mortal,
        ];
        for (count, fact) in paths.iter_mut().zip(facts) {
            *count += u64::from(fact);
        }
    }
    assert!(compared >= 2_000 * 50, "{compared}");
    assert!(paths.iter().all(|count| *count >= 50), "{paths:?}");
    for end in ["Whole", "Aborted", "Waited", "Failed(Some(ETIMEDOUT))", "Failed(Some(ECONNRESET))"] {
        assert!(ends.get(end).is_some_and(|count| *count >= 5), "{end}: {ends:?}");
    }
}
