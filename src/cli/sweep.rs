//! `tcplab sweep`: runs a scenario with many seeds and settings on all cores. It prints a row of CSV, or an object, for each
//! run.

use std::io::{IsTerminal, Write};

use clap::Args as ClapArgs;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::output::{Output, json_line, shown};
use super::scenario::{Which, setting, wrong_setting};
use super::{CliError, help};
use crate::app::Registry;
use crate::scenario::{Axis, FlowFigures, Run, Seeds, Shard, Sweep as Plan, SweepError};
use crate::time::Duration;

#[derive(Debug, ClapArgs)]
#[command(after_help = help::SWEEP)]
pub(super) struct Sweep {
    #[command(flatten)]
    which: Which,
    /// Random seeds: `7`, `1..100` (both ends included) or `1,5,9..12` [default: the seed of the scenario]
    #[arg(long, value_name = "SEEDS", value_parser = seeds)]
    seed: Option<Seeds>,
    /// Leave out of all figures what happens before this time of each run [default: 0]
    #[arg(long, value_name = "TIME", value_parser = super::values::time)]
    warmup: Option<Duration>,
    /// Print a row for each TCP connection instead of one for each run
    #[arg(long)]
    flows: bool,
    /// Run with each of these values of a key: `link.loss=0,1%`; may be repeated [default: no changes]
    #[arg(long, value_name = "KEY=V1,V2", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Number of threads [default: one for each core]
    #[arg(short = 'j', long = "jobs", value_name = "N", value_parser = super::values::jobs)]
    jobs: Option<u16>,
    /// Run only part K of N, for a batch system; the N parts together are all runs [default: 1/1]
    #[arg(long, value_name = "K/N", value_parser = shard)]
    shard: Option<Shard>,
}

fn seeds(text: &str) -> Result<Seeds, String> {
    const EXPECTED: &str = "expected seeds such as 7, 1..100 or 1,5,9..12";
    let mut all = Seeds::default();
    for part in text.split(',') {
        let (first, last) = part.split_once("..").unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| EXPECTED.to_owned());
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("{EXPECTED}, the first of a range before the last"));
        }
        all.add(first..=last);
    }
    Ok(all)
}

fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    match parts {
        Some((part, of)) if (1..=of).contains(&part) => Ok(Shard { part, of }),
        _ => Err("expected K/N, part K of N parts with K from 1 to N, such as 1/4".to_owned()),
    }
}

pub(super) fn run(args: &Sweep, registry: &Registry, output: Output) -> Result<(), CliError> {
    let scenario = args.which.open(&args.set, registry)?;
    let seeds = args.seed.clone().unwrap_or_else(|| vec![scenario.seed()].into());
    let axes = args.set.iter().map(|(key, values)| Axis {
        key: key.clone(),
        values: values.split(',').map(|value| value.trim().to_owned()).collect(),
    });
    let wrong = |error| match error {
        SweepError::Set(error) => wrong_setting(&error),
        error => CliError::Usage(error.to_string()),
    };
    let plan = Plan::new(scenario, seeds, axes.collect()).map_err(wrong)?;
    let plan = plan.shard(args.shard.unwrap_or(Shard { part: 1, of: 1 })).warmup(args.warmup.unwrap_or_default());
    let plan = if args.flows { plan.flows() } else { plan };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.jobs.map_or(cores, usize::from);

    let bar = progress(plan.len(), output);
    let mut stdout = std::io::stdout().lock();
    if !output.json {
        writeln!(stdout, "{}", shown(&plan.header(), false))?;
    }
    let (mut failed, mut first, mut written) = (0, None, Ok(()));
    plan.run(threads, |run| {
        let lines = match (output.json, args.flows) {
            (true, flows) => vec![json_of(&args.set, &run, flows)],
            (false, true) => run.flow_rows(),
            (false, false) => vec![run.row()],
        };
        let text: String =
            lines.iter().map(|line| shown(line, false).trim_end_matches('\n').to_owned() + "\n").collect();
        written = bar.suspend(|| stdout.write_all(text.as_bytes()));
        if let Some(why) = run.failures.first() {
            failed += 1;
            first.get_or_insert_with(|| format!("seed {}: {why}", run.seed));
        }
        bar.inc(1);
        written.is_ok()
    });
    bar.finish_and_clear();
    written?;
    stdout.flush()?;
    match first {
        None => Ok(()),
        Some(first) => {
            Err(CliError::Run(format!("{failed} of {} runs failed; the first failure: {first}", plan.len())))
        }
    }
}

/// The progress bar. It is shown on a terminal only.
fn progress(runs: u64, output: Output) -> ProgressBar {
    if output.is_quiet() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(runs), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {per_sec}, {eta} left");
    style.map_or(ProgressBar::hidden(), |style| bar.with_style(style))
}

fn json_of(set: &[(String, String)], run: &Run, flows: bool) -> String {
    let settings: serde_json::Map<_, _> =
        set.iter().zip(&run.settings).map(|((key, _), value)| (key.clone(), json!(value))).collect();
    let result = run.result.name();
    let mut line = json!({ "seed": run.seed, "set": settings, "result": result, "failures": run.failures });
    if let Ok(figures) = &run.figures {
        line["goodput_mbit"] = json!(figures.goodput_mbit);
        line["bytes"] = json!(figures.bytes);
        line["completion_s"] = json!(figures.completed.map(|time| time.as_secs_f64()));
        line["connections"] = json!(figures.connections);
        line["packets"] = json!(figures.packets);
        line["retransmissions"] = json!(figures.retransmissions);
        line["drops"] = json!(figures.drops);
        line["fairness"] = json!(figures.fairness);
    }
    if flows {
        line["flows"] = run.flows.iter().map(flow_of).collect();
    }
    json_line(&line)
}

fn flow_of(flow: &FlowFigures) -> serde_json::Value {
    json!({
        "flow": flow.number, "client": flow.client.to_string(), "server": flow.server.to_string(),
        "begin_s": flow.begin.as_secs_f64(), "end_s": flow.end.as_secs_f64(), "goodput_mbit": flow.goodput_mbit,
        "bytes": flow.bytes, "packets": flow.packets, "retransmissions": flow.retransmissions,
    })
}
