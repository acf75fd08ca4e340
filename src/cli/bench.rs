//! `tcplab bench`: runs both sides and prints them.

use super::CliError;
use super::args::{Bench as Args, Name, Only};
use super::output::{Output, print};
use crate::bench::{Bench, BenchError, Bulk, Churn, Connections, Dumbbell, Figures, Line, Loss, Report, Subject};

/// More sockets than this in one set take minutes: each packet walks over all of them.
const ONE_SET_AT_MOST: usize = 100;

/// Flows that many of them are compared with.
const FEW_FLOWS: usize = 10;

pub(super) fn run(args: &Args, output: Output) -> Result<(), CliError> {
    let (bench, Only { only }) = match &args.name {
        Name::Connections { count, messages, only } => {
            (Bench::Connections(Connections { count: *count as usize, messages: *messages as usize }), *only)
        }
        Name::Churn { count, parallel, time_wait, only } => {
            let (count, parallel) = (*count as usize, *parallel as usize);
            (Bench::Churn(Churn { count, parallel, time_wait: *time_wait }), *only)
        }
        Name::Bulk { count, flows, only } => {
            (Bench::Bulk(Bulk { megabytes: u64::from(*count), flows: flows.settings(1) }), *only)
        }
        Name::Loss { seconds, flows } => {
            (Bench::Loss(Loss { seconds: u64::from(*seconds), flows: flows.settings(1) }), Only { only: None })
        }
        Name::Dumbbell { count, seconds, flows } => {
            let (count, seconds) = (*count as usize, u64::from(*seconds));
            (Bench::Dumbbell(Dumbbell { count, seconds, flows: flows.settings(count) }), Only { only: None })
        }
    };
    let subjects = match (only, &bench) {
        (Some(side), _) => vec![side.into()],
        (None, Bench::Connections(workload)) if (2..=ONE_SET_AT_MOST).contains(&workload.count) => {
            vec![Subject::Tcplab, Subject::BareSmoltcp, Subject::OneSet]
        }
        (None, bench) if bench.has_reference() => vec![Subject::Tcplab, Subject::BareSmoltcp],
        (None, _) => vec![Subject::Tcplab],
    };
    let mut report = Report { bench: bench.clone(), lines: Vec::new(), at_few: None };
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
    let few = match &bench {
        Bench::Connections(workload) if workload.count > 1 => {
            Some(Bench::Connections(Connections { count: 1, ..*workload }))
        }
        Bench::Dumbbell(workload) if workload.count > FEW_FLOWS => {
            let mut few = workload.clone();
            (few.count, few.flows.capture) = (FEW_FLOWS, None);
            Some(Bench::Dumbbell(few))
        }
        _ => None,
    };
    if let (None, Some(few)) = (only, few) {
        output.detail(format_args!("bench {}: tcplab with few connections, to compare with", few.name()));
        report.at_few = Some(measure(&few, Subject::Tcplab)?);
    }
    Ok(output.titled(&report.to_string())?)
}

fn measure(bench: &Bench, subject: Subject) -> Result<Figures, CliError> {
    let failed = |error: BenchError| {
        CliError::Run(format!("{error}; this is a bug of tcplab: please report it with the command line"))
    };
    bench.run(subject).map_err(failed)
}
