//! The tables that stand in place of a ladder: connections and totals. `show`, `run` and `serve` print them, as text or as
//! JSON.

use clap::{Args as ClapArgs, ValueEnum};

use super::output::{Output, json_line};
use crate::trace::Trace;
use crate::view::{Stats, flow_report, flow_table, json, listed_flows, unlisted_flows};

/// Which tables stand in place of the ladder.
#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(next_help_heading = "Tables")]
pub(in crate::cli) struct Tables {
    /// Print the connections: addresses, duration, packets, bytes, retransmissions, states; `long`: each in full
    /// [default: the ladder]
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "table")]
    pub(in crate::cli) flows: Option<Form>,
    /// Print totals: packets by protocol and by kind, retransmissions, drops by reason, round trips, rates
    /// [default: the ladder]
    #[arg(long)]
    pub(in crate::cli) stats: bool,
}

/// How connections are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Form {
    Table,
    Long,
}

impl Tables {
    /// Whether there is a table in place of the ladder.
    pub(in crate::cli) fn any(self) -> bool {
        self.flows.is_some() || self.stats
    }
}

/// The connections of a trace: a table, the long form, or an object on each line.
pub(in crate::cli) fn flows(trace: &Trace, form: Form, output: Output) -> String {
    if output.json {
        return listed_flows(trace).map(|flow| json_line(&json::flow(flow))).collect();
    }
    let text = match form {
        Form::Table => flow_table(listed_flows(trace), output.width()),
        Form::Long => flow_report(listed_flows(trace)),
    };
    let heads = match form {
        Form::Table => text.lines().take_while(|line| !line.starts_with('#')).count(),
        Form::Long => 0,
    };
    let is_title = |(n, line): (usize, &str)| n < heads || line.starts_with("stream #");
    let line = |(n, line)| if is_title((n, line)) { output.title(line) + "\n" } else { format!("{line}\n") };
    text.lines().enumerate().map(line).collect::<String>() + &unlisted_flows(trace)
}

/// The totals of a trace: a line for each, or an object.
pub(in crate::cli) fn stats(stats: &Stats, trace: &Trace, output: Output) -> String {
    if output.json { json_line(&json::stats(stats, trace)) } else { stats.text(trace, output.width()) }
}
