//! The captures of a wire or a proxy, one for each end at which packets are captured. `--at` says which.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::CliError;
use super::host::Capture as Wanted;
use super::output::Output;
use super::output_file::Destination;
use super::record::{Recording, Vantage};
use crate::event::Observer;

#[derive(Default)]
pub(super) struct Captures(Vec<Recording>);

/// Where the capture of each end goes.
pub(super) type Destinations<'a> = Vec<(Vantage<'a>, Destination)>;

/// Decides where each capture goes, before anything is changed on this machine. With several ends, each has a file that is
/// named after it: `x.client.pcapng` for `x.pcapng`.
///
/// # Errors
/// Those of [`Destination::check`], and standard output for several ends. Exit code 2.
pub(super) fn destinations<'a>(wanted: &Wanted, ends: &[Vantage<'a>]) -> Result<Destinations<'a>, CliError> {
    wanted.comments.check(wanted.pcap)?;
    let Some(path) = &wanted.write else { return Ok(Vec::new()) };
    let check = |path: &Path| Destination::check(path, &[], wanted.force);
    if let [end] = ends {
        return Ok(vec![(*end, check(path)?)]);
    }
    if path == Path::new("-") || check(path).is_ok_and(|destination| destination.is_stdout()) {
        return Err(CliError::Usage(
            "--at all writes one file for each side; name a file with -w instead of `-`".to_owned(),
        ));
    }
    ends.iter().map(|end| Ok((*end, check(&Destination::beside(path, end.interface))?))).collect()
}

impl Captures {
    pub(super) fn open(wanted: &Wanted, destinations: Destinations<'_>, seed: u64) -> Result<Self, CliError> {
        let open = |(end, destination): (Vantage<'_>, Destination)| Recording::open(wanted, &destination, end, seed);
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

    /// Writes the rest of each, and returns the first error. `dropped` is as for [`Recording::close`].
    pub(super) fn close(
        self,
        dropped: Option<u64>,
        mut signalled: impl FnMut() -> bool,
        output: Output,
    ) -> Result<(), CliError> {
        self.0.into_iter().map(|recording| recording.close(dropped, &mut signalled, output)).fold(Ok(()), Result::and)
    }
}
