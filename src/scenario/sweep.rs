//! Sweeps: the product of seeds and settings, one run and one row of CSV each.
//!
//! A run is built, made and thrown away on one thread; threads take the next run from a counter that they share. What is
//! given out is in the order of the product, whatever the number of threads. The last axis turns fastest.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use super::error::SetError;
use super::figures::{Counter, Figures};
use super::{RunOutcome, Scenario};

/// A key and the values that it takes in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The key, as in [`Scenario::set`].
    pub key: String,
    /// Its values.
    pub values: Vec<String>,
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
    seeds: Vec<u64>,
    axes: Vec<Axis>,
    shard: Shard,
}

/// One run of a sweep.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its number in the whole product, from 0.
    pub number: usize,
    /// The settings, in the order of the axes.
    pub settings: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// Its numbers, or why it could not be made.
    pub figures: Result<Figures, String>,
    /// What did not go as it is written.
    pub failures: Vec<String>,
}

impl Sweep {
    /// A sweep over everything. Every setting is tried before the first run.
    ///
    /// # Errors
    /// A key or a value that the scenario does not take.
    pub fn new(scenario: Scenario, seeds: Vec<u64>, axes: Vec<Axis>) -> Result<Self, SetError> {
        for axis in &axes {
            for value in &axis.values {
                scenario.clone().set(&axis.key, value)?;
            }
        }
        Ok(Self { scenario, seeds, axes, shard: Shard { part: 1, of: 1 } })
    }

    /// Only this part.
    #[must_use]
    pub fn shard(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }

    /// How many runs this part has.
    pub fn len(&self) -> usize {
        self.numbers().count()
    }

    /// True if this part has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first line of the CSV.
    pub fn header(&self) -> String {
        let keys = self.axes.iter().map(|axis| field(&axis.key));
        let columns = ["seed", "result", "goodput_mbit", "bytes", "completion_s", "connections", "packets"];
        let more = ["retransmissions", "drops", "fairness"];
        keys.chain(columns.iter().chain(&more).map(|column| (*column).to_owned())).collect::<Vec<_>>().join(",")
    }

    /// Makes the runs on so many threads and hands them over in the order of the product, one by one. `false` from
    /// `take` ends the sweep.
    pub fn run(&self, threads: usize, mut take: impl FnMut(Run) -> bool) {
        let numbers: Vec<_> = self.numbers().collect();
        let next = AtomicUsize::new(0);
        let (finished, results) = channel::<(usize, Run)>();
        let finished = Mutex::new(finished);
        std::thread::scope(|scope| {
            for _ in 0..threads.clamp(1, numbers.len().max(1)) {
                let finished = finished.lock().expect("no thread panics with the lock").clone();
                let (next, numbers) = (&next, &numbers);
                scope.spawn(move || {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(&number) = numbers.get(at) else { break };
                        if finished.send((at, self.one(number))).is_err() {
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
                    if !take(run) {
                        next.store(usize::MAX / 2, Ordering::Relaxed);
                        return;
                    }
                }
            }
        });
    }

    fn numbers(&self) -> impl Iterator<Item = usize> {
        let all = self.axes.iter().map(|axis| axis.values.len()).product::<usize>() * self.seeds.len();
        (self.shard.part.saturating_sub(1)..all).step_by(self.shard.of.max(1))
    }

    /// The run of that number. Seeds turn fastest.
    fn one(&self, number: usize) -> Run {
        let (mut rest, seed) = (number / self.seeds.len(), self.seeds[number % self.seeds.len()]);
        let mut settings = Vec::new();
        for axis in self.axes.iter().rev() {
            settings.push(axis.values[rest % axis.values.len()].clone());
            rest /= axis.values.len();
        }
        settings.reverse();
        let made = self.make(&settings, seed);
        let (figures, failures) = match made {
            Ok((figures, outcome)) => (Ok(figures), outcome.failures),
            Err(why) => (Err(why.clone()), vec![why]),
        };
        Run { number, settings, seed, figures, failures }
    }

    fn make(&self, settings: &[String], seed: u64) -> Result<(Figures, RunOutcome), String> {
        let mut scenario = self.scenario.clone();
        for (axis, value) in self.axes.iter().zip(settings) {
            scenario.set(&axis.key, value).map_err(|error| error.to_string())?;
        }
        let world = scenario.build(seed).map_err(|error| error.to_string())?;
        let counter = Counter::of(&world);
        let counter = world.observe(counter);
        let outcome = world.run();
        let figures = counter.borrow().figures(&outcome);
        Ok((figures, outcome))
    }
}

impl Run {
    /// Its line of the CSV. `result` is `ok`, `failed` where a program did not go as it is written, or `error`.
    pub fn row(&self) -> String {
        let mut row = self.settings.iter().map(|value| field(value)).collect::<Vec<_>>().join(",");
        if !row.is_empty() {
            row.push(',');
        }
        let _ = match &self.figures {
            Err(_) => write!(row, "{},error,,,,,,,,", self.seed),
            Ok(figures) => {
                let Figures { connections, packets, bytes, goodput_mbit, retransmissions, drops, completed, fairness } =
                    figures;
                let (seed, seconds) = (self.seed, completed.as_secs_f64());
                let result = if self.failures.is_empty() { "ok" } else { "failed" };
                write!(
                    row,
                    "{seed},{result},{goodput_mbit:.6},{bytes},{seconds:.6},{connections},{packets},{retransmissions},\
                     {drops},{fairness:.6}"
                )
            }
        };
        row
    }
}

/// A field of CSV, in quotation marks where it needs them (RFC 4180).
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
