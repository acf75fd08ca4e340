//! `tcplab bench`: runs both sides and prints them.

use super::CliError;
use super::args::{Bench as Args, Name, Only};
use super::output::{Output, print};
use crate::bench::{Bench, BenchError, Churn, Connections, Figures, Line, Report, Subject};
#[cfg(all(feature = "live", target_os = "linux"))]
use {
    super::args::Side,
    crate::bench::{Direction, OverTun, prepare},
    crate::time::Duration,
};

/// More sockets than this in one set take minutes: each packet walks over all of them.
const ONE_SET_AT_MOST: usize = 100;

pub(super) fn run(args: &Args, output: Output) -> Result<(), CliError> {
    let (bench, Only { only }) = match args.name {
        Name::Connections { count, messages, only } => {
            (Bench::Connections(Connections { count: count as usize, messages: messages as usize }), only)
        }
        Name::Churn { count, parallel, time_wait, only } => {
            (Bench::Churn(Churn { count: count as usize, parallel: parallel as usize, time_wait }), only)
        }
        Name::Bulk { count, only } => (Bench::Bulk { mib: count as usize }, only),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Name::Tun { count, seconds, only } => return over_tun(count, seconds, only.only, output),
    };
    let subjects = match (only, &bench) {
        (Some(side), _) => vec![side.into()],
        (None, Bench::Connections(workload)) if (2..=ONE_SET_AT_MOST).contains(&workload.count) => {
            vec![Subject::Tcplab, Subject::BareSmoltcp, Subject::OneSet]
        }
        (None, _) => vec![Subject::Tcplab, Subject::BareSmoltcp],
    };
    let mut report = Report { bench, lines: Vec::new(), at_one: None };
    for subject in subjects {
        output.detail(format_args!("bench {}: {}", bench.name(), subject.name()));
        let mut figures = measure(&bench, subject)?;
        if !report.lines.is_empty() {
            // The memory of the first side is used again by the others.
            figures.bytes_per_end = None;
        }
        let line = Line { subject, figures };
        if output.json {
            print(format_args!("{}\n", line.json(&bench)))?;
        }
        report.lines.push(line);
    }
    if output.json {
        return Ok(());
    }
    if let (None, Bench::Connections(workload)) = (only, bench)
        && workload.count > 1
    {
        output.detail("bench connections: tcplab with one connection, to compare with");
        let one = Bench::Connections(Connections { count: 1, ..workload });
        report.at_one = Some(measure(&one, Subject::Tcplab)?);
    }
    Ok(output.titled(&report.to_string())?)
}

/// Both directions, one after the other; the sides take turns, so that what else the machine does meets both.
#[cfg(all(feature = "live", target_os = "linux"))]
fn over_tun(runs: u32, length: Duration, only: Option<Side>, output: Output) -> Result<(), CliError> {
    prepare().map_err(|error| CliError::Run(error.to_string()))?;
    let subjects = only.map_or_else(|| vec![Subject::Tcplab, Subject::BareSmoltcp], |side| vec![Subject::from(side)]);
    for direction in [Direction::Receive, Direction::Send] {
        let bench = Bench::Tun(OverTun { direction, length });
        let mut figures = vec![Vec::new(); subjects.len()];
        for _ in 0..runs {
            for (subject, figures) in subjects.iter().zip(&mut figures) {
                let run = bench.run(*subject).map_err(|error| CliError::Run(error.to_string()))?;
                let (direction, goodput) = (direction.name(), run.goodput_mbit());
                output.detail(format_args!("bench tun, {direction}: {}: {goodput:.0} Mbit/s", subject.name()));
                figures.push(run);
            }
        }
        let medians = figures.into_iter().filter_map(Figures::median);
        let lines = subjects.iter().zip(medians).map(|(&subject, figures)| Line { subject, figures }).collect();
        let report = Report { bench, lines, at_one: None };
        if output.json {
            for line in &report.lines {
                print(format_args!("{}\n", line.json(&bench)))?;
            }
        } else {
            output.titled(&report.to_string())?;
        }
    }
    Ok(())
}

fn measure(bench: &Bench, subject: Subject) -> Result<Figures, CliError> {
    let failed = |error: BenchError| {
        CliError::Run(format!("{error}; this is a bug of tcplab: please report it with the command line"))
    };
    bench.run(subject).map_err(failed)
}
