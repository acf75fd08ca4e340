//! Sweeps: the product of seeds and settings, one run and one row of CSV each.
//!
//! A run is built, made and thrown away on one thread; threads take the next run from a counter that they share. What is
//! given out is in the order of the product, whatever the number of threads. The last axis turns fastest. A run exists
//! only while it is made: a sweep of a billion runs takes the memory of a few.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::sync::mpsc::channel;
use std::sync::{Condvar, Mutex, PoisonError};

use super::error::SetError;
use super::figures::{Counter, Figures, FlowFigures};
use super::{RunOutcome, Scenario};
use crate::time::Duration;

/// Runs in a sweep, at most. A computer that makes a thousand in a second would need thirty years.
const MOST_RUNS: u64 = 1_000_000_000_000;
/// How many runs a thread may be ahead of the first that is not finished.
const AHEAD: u64 = 64;

/// A key and the values that it takes in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The key, as in [`Scenario::set`].
    pub key: String,
    /// Its values.
    pub values: Vec<String>,
}

/// The seeds of a sweep, in order, as ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeds(Vec<RangeInclusive<u64>>);

impl Seeds {
    /// Adds a range.
    pub fn add(&mut self, range: RangeInclusive<u64>) {
        self.0.push(range);
    }

    /// How many there are; `None` if that is no number of 64 bits.
    pub fn len(&self) -> Option<u64> {
        self.0.iter().try_fold(0_u64, |sum, range| sum.checked_add(length(range)?))
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The seed with that place, from 0.
    fn get(&self, mut place: u64) -> Option<u64> {
        for range in &self.0 {
            match length(range) {
                Some(length) if place >= length => place -= length,
                _ => return range.start().checked_add(place),
            }
        }
        None
    }
}

fn length(range: &RangeInclusive<u64>) -> Option<u64> {
    if range.is_empty() { Some(0) } else { (range.end() - range.start()).checked_add(1) }
}

impl From<Vec<u64>> for Seeds {
    fn from(seeds: Vec<u64>) -> Self {
        Self(seeds.into_iter().map(|seed| seed..=seed).collect())
    }
}

impl From<RangeInclusive<u64>> for Seeds {
    fn from(range: RangeInclusive<u64>) -> Self {
        Self(vec![range])
    }
}

/// Why there is no such sweep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// A key or a value that the scenario does not take.
    #[error(transparent)]
    Set(#[from] SetError),
    /// A key that is there twice.
    #[error("--set {0}: the key is there twice; write all its values behind one: {0}=V1,V2")]
    Twice(String),
    /// More runs than a computer can make.
    #[error("sweep: the product of seeds and values is more than {MOST_RUNS} runs; leave out seeds or values")]
    TooMany,
}

/// One part of many: every run whose number is `part` modulo `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part, from 1.
    pub part: usize,
    /// Of how many.
    pub of: usize,
}

/// A scenario, seeds and settings: the runs that are their product.
#[derive(Clone, Debug)]
pub struct Sweep {
    scenario: Scenario,
    seeds: Seeds,
    axes: Vec<Axis>,
    shard: Shard,
    warmup: Duration,
    flows: bool,
    /// Runs in the whole product.
    all: u64,
}

/// One run of a sweep.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its number in the whole product, from 0.
    pub number: u64,
    /// The settings, in the order of the axes.
    pub settings: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// Its numbers, or why it could not be made.
    pub figures: Result<Figures, String>,
    /// The numbers of each connection, if [`Sweep::flows`] was called.
    pub flows: Vec<FlowFigures>,
    /// How it went.
    pub result: RunResult,
    /// What did not go as it is written.
    pub failures: Vec<String>,
}

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunResult {
    /// Every program ended as it is written.
    Ok,
    /// A program that is no daemon has not ended.
    Unfinished,
    /// A program failed, or the run was ended early.
    Failed,
    /// The run could not be made.
    Error,
}

impl RunResult {
    /// Its stable name: `ok`, `unfinished`, `failed`, `error`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unfinished => "unfinished",
            Self::Failed => "failed",
            Self::Error => "error",
        }
    }

    fn of(outcome: &RunOutcome) -> Self {
        if outcome.has_failed_program() {
            Self::Failed
        } else if outcome.is_unfinished() {
            Self::Unfinished
        } else if outcome.failures.is_empty() {
            Self::Ok
        } else {
            Self::Failed
        }
    }
}

/// Which run is next, and which is the first that is not finished.
#[derive(Default)]
struct Turn {
    next: u64,
    wanted: u64,
    ended: bool,
}

impl Sweep {
    /// A sweep over everything. Every setting is tried before the first run.
    ///
    /// # Errors
    /// A key or a value that the scenario does not take, a key that is there twice, or too many runs.
    pub fn new(scenario: Scenario, seeds: impl Into<Seeds>, axes: Vec<Axis>) -> Result<Self, SweepError> {
        let seeds = seeds.into();
        for (at, axis) in axes.iter().enumerate() {
            if axes[..at].iter().any(|other| other.key == axis.key) {
                return Err(SweepError::Twice(axis.key.clone()));
            }
            for value in &axis.values {
                scenario.clone().set(&axis.key, value)?;
            }
        }
        let product = |product: u64, axis: &Axis| product.checked_mul(axis.values.len() as u64);
        let all = seeds.len().and_then(|seeds| axes.iter().try_fold(seeds, product));
        let all = all.filter(|all| *all <= MOST_RUNS).ok_or(SweepError::TooMany)?;
        let (shard, warmup, flows) = (Shard { part: 1, of: 1 }, Duration::ZERO, false);
        Ok(Self { scenario, seeds, axes, shard, warmup, flows, all })
    }

    /// Only this part.
    #[must_use]
    pub fn shard(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }

    /// Leaves out of all figures what happens before this time.
    #[must_use]
    pub fn warmup(self, warmup: Duration) -> Self {
        Self { warmup, ..self }
    }

    /// Gives the figures of each TCP connection, a row for each.
    #[must_use]
    pub fn flows(self) -> Self {
        Self { flows: true, ..self }
    }

    /// How many runs this part has.
    pub fn len(&self) -> u64 {
        let first = self.shard.part.saturating_sub(1) as u64;
        self.all.saturating_sub(first).div_ceil(self.step())
    }

    /// True if this part has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn step(&self) -> u64 {
        self.shard.of.max(1) as u64
    }

    /// The number in the whole product of a run of this part.
    fn number(&self, at: u64) -> u64 {
        self.shard.part.saturating_sub(1) as u64 + at * self.step()
    }

    /// The first line of the CSV.
    pub fn header(&self) -> String {
        let keys = self.axes.iter().map(|axis| field(&axis.key));
        let columns: &[&str] = if self.flows { &FLOW_COLUMNS } else { &RUN_COLUMNS };
        keys.chain(["seed", "result"].iter().chain(columns).map(|column| (*column).to_owned()))
            .collect::<Vec<_>>()
            .join(",")
    }

    /// Makes the runs on so many threads and hands them over in the order of the product, one by one. `false` from
    /// `take` ends the sweep.
    pub fn run(&self, threads: usize, mut take: impl FnMut(Run) -> bool) {
        let count = self.len();
        let threads = threads.clamp(1, usize::try_from(count.max(1)).unwrap_or(usize::MAX));
        let turn = (Mutex::new(Turn::default()), Condvar::new());
        let (finished, results) = channel::<(u64, Run)>();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let finished = finished.clone();
                let turn = &turn;
                scope.spawn(move || {
                    while let Some(at) = next_of(turn, count, threads as u64 * AHEAD) {
                        if finished.send((at, self.one(self.number(at)))).is_err() {
                            break; // the receiver has gone
                        }
                    }
                });
            }
            drop(finished);
            let mut early = BTreeMap::new();
            let mut wanted = 0;
            for (at, run) in results {
                early.insert(at, run);
                while let Some(run) = early.remove(&wanted) {
                    wanted += 1;
                    let ended = !take(run);
                    let mut state = turn.0.lock().unwrap_or_else(PoisonError::into_inner);
                    (state.wanted, state.ended) = (wanted, ended);
                    drop(state);
                    turn.1.notify_all();
                    if ended {
                        return;
                    }
                }
            }
        });
    }

    /// The run of that number. Seeds turn fastest.
    fn one(&self, number: u64) -> Run {
        // A sweep without seeds has no runs.
        let seeds = self.seeds.len().unwrap_or(1).max(1);
        let (mut rest, seed) = (number / seeds, self.seeds.get(number % seeds).unwrap_or_default());
        let mut settings = Vec::new();
        for axis in self.axes.iter().rev() {
            let count = axis.values.len() as u64;
            settings.push(axis.values[(rest % count) as usize].clone());
            rest /= count;
        }
        settings.reverse();
        match self.make(&settings, seed) {
            Ok((figures, flows, outcome)) => {
                let (result, failures) = (RunResult::of(&outcome), outcome.failures);
                Run { number, settings, seed, figures: Ok(figures), flows, result, failures }
            }
            Err(why) => {
                let (flows, result, failures) = (Vec::new(), RunResult::Error, vec![why.clone()]);
                Run { number, settings, seed, figures: Err(why), flows, result, failures }
            }
        }
    }

    fn make(&self, settings: &[String], seed: u64) -> Result<(Figures, Vec<FlowFigures>, RunOutcome), String> {
        let mut scenario = self.scenario.clone();
        for (axis, value) in self.axes.iter().zip(settings) {
            scenario.set(&axis.key, value).map_err(|error| error.to_string())?;
        }
        let world = scenario.build(seed).map_err(|error| error.to_string())?;
        let counter = Counter::of(&world, self.warmup, self.flows);
        let counter = world.observe(counter);
        let outcome = world.run();
        let counter = counter.borrow();
        Ok((counter.figures(&outcome), counter.flows(), outcome))
    }
}

/// The run that is next, once it is not too far ahead of the first that is not finished.
fn next_of((turn, changed): &(Mutex<Turn>, Condvar), count: u64, ahead: u64) -> Option<u64> {
    let state = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let too_far = |state: &mut Turn| !state.ended && state.next < count && state.next >= state.wanted + ahead;
    let mut state = changed.wait_while(state, too_far).unwrap_or_else(PoisonError::into_inner);
    if state.ended || state.next >= count {
        return None;
    }
    state.next += 1;
    Some(state.next - 1)
}

/// The columns of a run behind the settings, `seed` and `result`.
const RUN_COLUMNS: [&str; 8] =
    ["goodput_mbit", "bytes", "completion_s", "connections", "packets", "retransmissions", "drops", "fairness"];
/// The columns of a connection behind the same.
const FLOW_COLUMNS: [&str; 9] =
    ["flow", "client", "server", "begin_s", "end_s", "goodput_mbit", "bytes", "packets", "retransmissions"];

impl Run {
    /// Its line of the CSV: the settings, the seed, `result`, and the figures. What there is not is empty.
    pub fn row(&self) -> String {
        let Ok(figures) = &self.figures else { return self.empty(RUN_COLUMNS.len()) };
        let Figures { connections, packets, bytes, goodput_mbit, retransmissions, drops, completed, fairness } =
            figures;
        let (goodput, completion) = (fixed(*goodput_mbit), fixed(completed.map(|time| time.as_secs_f64())));
        format!(
            "{}{goodput},{bytes},{completion},{connections},{packets},{retransmissions},{drops},{fairness:.6}",
            self.begin()
        )
    }

    /// Its lines of the CSV with a row for each connection. A run without connections has one row without figures.
    pub fn flow_rows(&self) -> Vec<String> {
        if self.flows.is_empty() {
            return vec![self.empty(FLOW_COLUMNS.len())];
        }
        let row = |flow: &FlowFigures| {
            let FlowFigures { number, client, server, begin, end, bytes, goodput_mbit, packets, retransmissions } =
                flow;
            let (begin, end) = (begin.as_secs_f64(), end.as_secs_f64());
            let goodput = fixed(*goodput_mbit);
            format!(
                "{}{number},{client},{server},{begin:.6},{end:.6},{goodput},{bytes},{packets},{retransmissions}",
                self.begin()
            )
        };
        self.flows.iter().map(row).collect()
    }

    /// The settings, the seed and the result, each with a comma behind it.
    fn begin(&self) -> String {
        let mut row: String = self.settings.iter().map(|value| field(value) + ",").collect();
        let _ = write!(row, "{},{},", self.seed, self.result.name());
        row
    }

    fn empty(&self, columns: usize) -> String {
        self.begin() + &",".repeat(columns - 1)
    }
}

/// Six decimals, or nothing.
fn fixed(number: Option<f64>) -> String {
    number.map_or(String::new(), |number| format!("{number:.6}"))
}

/// A field of CSV, in quotation marks where it needs them (RFC 4180).
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_ranges_and_take_no_memory_for_each() {
        let mut seeds = Seeds::from(1..=1_000_000_000_000);
        seeds.add(7..=7);
        assert_eq!(seeds.len(), Some(1_000_000_000_001));
        let at = [0, 999_999_999_999, 1_000_000_000_000, 1_000_000_000_001].map(|place| seeds.get(place));
        assert_eq!(at, [Some(1), Some(1_000_000_000_000), Some(7), None]);
        assert_eq!(Seeds::from(0..=u64::MAX).len(), None);
        assert_eq!(Seeds::from(vec![3, 1]).get(1), Some(1));
    }

    #[test]
    fn a_sweep_has_at_most_a_million_million_runs() {
        let scenario = || Scenario::lesson("handshake").expect("a lesson");
        let axis = |key: &str| Axis { key: key.to_owned(), values: ["1ms", "2ms"].map(str::to_owned).to_vec() };
        let half = MOST_RUNS / 2;
        let sweep = Sweep::new(scenario(), 1..=half, vec![axis("link.delay")]).expect("a sweep");
        assert_eq!(sweep.len(), MOST_RUNS);
        assert_eq!(sweep.clone().shard(Shard { part: 3, of: 4 }).len(), MOST_RUNS / 4);
        let more = Sweep::new(scenario(), 1..=half + 1, vec![axis("link.delay")]);
        assert_eq!(more.expect_err("too many"), SweepError::TooMany);
        let twice = Sweep::new(scenario(), 1..=1, vec![axis("link.delay"), axis("link.delay")]);
        assert_eq!(twice.expect_err("twice"), SweepError::Twice("link.delay".to_owned()));
        // The first runs of a long sweep come at once.
        let mut seen = Vec::new();
        sweep.run(2, |run| {
            seen.push(run.seed);
            seen.len() < 300
        });
        assert_eq!(seen, (1..=300).collect::<Vec<_>>());
    }
}
