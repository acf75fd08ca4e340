//! The captures of a wire, one for each side that was asked for.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::args::{At, Wire};
use crate::cli::CliError;
use crate::cli::output::Output;
use crate::cli::output_file::Destination;
use crate::cli::record::{self, Recording};
use crate::event::Observer;
use crate::live::wire::Side;

#[derive(Default)]
pub(super) struct Captures(Vec<Recording>);

/// Decides where each capture goes, before anything is changed on this machine.
pub(super) fn destinations(args: &Wire) -> Result<Vec<(Side, Destination)>, CliError> {
    args.capture.comments.check(args.capture.pcap)?;
    let Some(path) = &args.capture.write else { return Ok(Vec::new()) };
    let check = |path: &Path| Destination::check(path, &[], args.capture.force);
    let sides = args.at.sides();
    if args.at != At::All {
        let destination = check(path)?;
        return Ok(sides.into_iter().map(|side| (side, destination.clone())).collect());
    }
    if path == Path::new("-") || check(path).is_ok_and(|destination| destination.is_stdout()) {
        return Err(CliError::Usage(
            "--at all writes one file for each side; name a file with -w instead of `-`".to_owned(),
        ));
    }
    sides.into_iter().map(|side| Ok((side, check(&Destination::beside(path, side.name()))?))).collect()
}

impl Captures {
    pub(super) fn open(args: &Wire, destinations: Vec<(Side, Destination)>, seed: u64) -> Result<Self, CliError> {
        let open = |(side, destination): (Side, Destination)| {
            let vantage = record::Vantage { host: side.host(), interface: side.name() };
            Recording::open(&args.capture, &destination, vantage, seed)
        };
        Ok(Self(destinations.into_iter().map(open).collect::<Result<_, _>>()?))
    }

    pub(super) fn observers(&self) -> Vec<Rc<RefCell<dyn Observer>>> {
        self.0.iter().map(Recording::observer).collect()
    }

    pub(super) fn is_on_stdout(&self) -> bool {
        self.0.iter().any(Recording::is_on_stdout)
    }

    /// Flushes those that are due. Gives the time until the next flush is due.
    pub(super) fn keep_flushed(&mut self) -> Option<Duration> {
        self.0.iter_mut().filter_map(Recording::keep_flushed).min()
    }

    /// Writes the rest of each, and returns the first error.
    pub(super) fn close(
        self,
        dropped: u64,
        mut signalled: impl FnMut() -> bool,
        output: Output,
    ) -> Result<(), CliError> {
        self.0
            .into_iter()
            .map(|recording| recording.close(Some(dropped), &mut signalled, output))
            .fold(Ok(()), Result::and)
    }
}
