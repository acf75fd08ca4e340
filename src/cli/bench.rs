//! `tcplab bench`: runs tcplab and the reference on the same work, and prints both results. The work is in `crate::bench`.

use super::CliError;
use super::args::{Bench as Args, Name, Only};
use super::output::{Output, print};
use crate::app::Registry;
use crate::bench::{
    Bench, BenchError, BenchLine, BenchReport, Bulk, Churn, Connections, Dumbbell, Loss, Measured, Subject,
};
#[cfg(all(feature = "live", target_os = "linux"))]
use {
    super::args::SubjectName,
    super::named,
    crate::bench::{FlowDirection, OverTun, prepare},
};

/// A set with more sockets than this takes minutes, because each packet searches the whole set.
const ONE_SET_AT_MOST: usize = 100;

/// The number of flows that a run with many flows is compared with.
const FEW_FLOWS: usize = 10;

/// Runs with and without a capture. Their medians are compared.
const PAIRS: usize = 5;

pub(super) fn run(args: &Args, registry: &Registry, output: Output) -> Result<(), CliError> {
    let (bench, Only { only }) = match &args.name {
        Name::Connections { count, messages, only } => {
            (Bench::Connections(Connections { count: *count as usize, messages: *messages as usize }), *only)
        }
        Name::Churn { count, parallel, time_wait, only } => {
            let (count, parallel) = (*count as usize, *parallel as usize);
            (Bench::Churn(Churn { count, parallel, time_wait: *time_wait }), *only)
        }
        Name::Bulk { count, flows, only } => {
            (Bench::Bulk(Bulk { megabytes: u64::from(*count), flows: flows.settings(registry, 1)? }), *only)
        }
        Name::Loss { seconds, flows } => (
            Bench::Loss(Loss { seconds: u64::from(*seconds), flows: flows.settings(registry, 1)? }),
            Only { only: None },
        ),
        Name::Dumbbell { count, seconds, flows } => {
            let (count, seconds) = (*count as usize, u64::from(*seconds));
            (Bench::Dumbbell(Dumbbell { count, seconds, flows: flows.settings(registry, count)? }), Only { only: None })
        }
        #[cfg(all(feature = "live", target_os = "linux"))]
        Name::Tun { count, seconds, cc, only } => {
            let congestion = named::controller(registry, cc)?;
            let workload = OverTun { direction: FlowDirection::Receive, length: *seconds, congestion };
            return over_tun(*count, &workload, only.only, output);
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
    let mut report = BenchReport { bench: bench.clone(), lines: Vec::new(), beside: None };
    for subject in subjects {
        output.detail(format_args!("bench {}: {}", bench.name(), subject.name()));
        let mut figures = measure(&bench, subject)?;
        if !report.lines.is_empty() {
            // The later subjects use the memory of the first again, so their figure would be wrong.
            figures.bytes_per_end = None;
        }
        let line = BenchLine { subject, figures };
        if output.json {
            print(format_args!("{}\n", line.json(&bench)))?;
        }
        report.lines.push(line);
    }
    if output.json {
        return Ok(());
    }
    if let (Bench::Bulk(workload), Some(line)) = (&bench, report.lines.first_mut())
        && workload.flows.capture.is_some()
    {
        let mut plain = workload.clone();
        plain.flows.capture = None;
        let plain = Bench::Bulk(plain);
        // Alternating, so that other load on the machine affects both.
        let (mut with, mut without) = (vec![line.figures], vec![measure(&plain, Subject::Tcplab)?]);
        for pair in 1..PAIRS {
            output.detail(format_args!("bench bulk: tcplab with and without the capture, {} of {PAIRS}", pair + 1));
            with.push(measure(&bench, Subject::Tcplab)?);
            without.push(measure(&plain, Subject::Tcplab)?);
        }
        line.figures = Measured::middle_by_wall(with).expect("as many as there are pairs");
        report.beside = Measured::middle_by_wall(without);
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
        output.detail(format_args!("bench {}: tcplab with few connections, for comparison", few.name()));
        report.beside = Some(measure(&few, Subject::Tcplab)?);
    }
    Ok(output.table(&report.to_string())?)
}

/// Both directions, one after the other. The subjects alternate, so that other load on the machine affects both.
#[cfg(all(feature = "live", target_os = "linux"))]
fn over_tun(runs: u32, workload: &OverTun, only: Option<SubjectName>, output: Output) -> Result<(), CliError> {
    prepare().map_err(|error| CliError::Run(error.to_string()))?;
    let subjects = only.map_or_else(|| vec![Subject::Tcplab, Subject::BareSmoltcp], |side| vec![Subject::from(side)]);
    for direction in [FlowDirection::Receive, FlowDirection::Send] {
        let bench = Bench::Tun(OverTun { direction, ..workload.clone() });
        let mut figures = vec![Vec::new(); subjects.len()];
        for _ in 0..runs {
            for (subject, figures) in subjects.iter().zip(&mut figures) {
                let run = bench.run(*subject).map_err(|error| CliError::Run(error.to_string()))?;
                let (direction, goodput) = (direction.name(), run.goodput_mbit());
                output.detail(format_args!("bench tun, {direction}: {}: {goodput:.0} Mbit/s", subject.name()));
                figures.push(run);
            }
        }
        let medians = figures.into_iter().filter_map(Measured::median);
        let lines = subjects.iter().zip(medians).map(|(&subject, figures)| BenchLine { subject, figures }).collect();
        let report = BenchReport { bench: bench.clone(), lines, beside: None };
        if output.json {
            for line in &report.lines {
                print(format_args!("{}\n", line.json(&bench)))?;
            }
        } else {
            output.table(&report.to_string())?;
        }
    }
    Ok(())
}

fn measure(bench: &Bench, subject: Subject) -> Result<Measured, CliError> {
    let failed = |error: BenchError| match &error {
        // Nothing was written: the place is wrong.
        BenchError::Capture(why) if why.summary.is_none() => {
            CliError::Usage(format!("{error}; -w FILE names another place for the capture"))
        }
        BenchError::Capture(_) => CliError::Run(format!("{error}; -w FILE names another place for the capture")),
        _ => {
            CliError::Run(format!("{error}; this is a bug of tcplab: please report it together with the command line"))
        }
    };
    bench.run(subject).map_err(failed)
}
