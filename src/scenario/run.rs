//! A run from beginning to end, and what came of it.

use super::world::World;
use crate::app::calls::Done;
use crate::sim::{GaveUp, Reason};
use crate::socket::{Host, Transcript, descriptor_table};
use crate::time::{Duration, Instant};

/// What came of a run.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// When it was over.
    pub end: Instant,
    /// When the last program that is no daemon ended; `None` if one has not ended, or there is none.
    pub completed: Option<Duration>,
    /// What each program did, in order.
    pub reports: Vec<ProgramReport>,
    /// What did not go as it is written; empty if all went well.
    pub failures: Vec<String>,
    /// The descriptors that were asked for.
    pub table: Option<Table>,
    /// What the programs wrote and read on each connection, by host, if [`World::keep_transcripts`] was called.
    pub transcripts: Vec<(String, Vec<Transcript>)>,
}

/// What one program did.
#[derive(Clone, Debug)]
pub struct ProgramReport {
    /// Its name.
    pub name: String,
    /// Where it ran.
    pub host: String,
    /// The run did not wait for it.
    pub daemon: bool,
    /// When it ended, if it did.
    pub ended: Option<Instant>,
    /// What it did, or what went wrong; `None` while it runs.
    pub result: Option<Result<Done, String>>,
}

/// The descriptors of a host at an instant.
#[derive(Clone, Debug)]
pub struct Table {
    /// Whose.
    pub host: String,
    /// When.
    pub at: Instant,
    /// One on each line.
    pub text: String,
}

impl ProgramReport {
    pub(super) fn new(name: String, host: String, daemon: bool) -> Self {
        Self { name, host, daemon, ended: None, result: None }
    }

    pub(super) fn end(&mut self, at: Instant, result: Result<Done, String>) {
        self.ended = Some(at);
        self.result = Some(result);
    }
}

impl RunOutcome {
    /// True if a program that is no daemon has not ended.
    pub fn is_unfinished(&self) -> bool {
        self.reports.iter().any(|report| !report.daemon && report.ended.is_none())
    }

    /// True if a program failed.
    pub fn has_failed_program(&self) -> bool {
        self.reports.iter().any(|report| matches!(report.result, Some(Err(_))))
    }
}

impl World {
    /// Has every host keep what programs write and read, for [`RunOutcome::transcripts`].
    pub fn keep_transcripts(&self) {
        for host in self.hosts() {
            host.sys(Host::keep_transcripts);
        }
    }

    /// Runs to the end. A program that failed, or that has not ended when nothing can happen any more, is a failure; one
    /// that still runs when the time is over (`until`) is not.
    pub fn run(self) -> RunOutcome {
        let mut failures = Vec::new();
        let mut table = None;
        if let Err(why) = self.go(&mut table) {
            failures.push(why);
        }
        let reports = self.reports.borrow().clone();
        for report in &reports {
            if let Some(Err(why)) = &report.result {
                failures.push(format!("{} on {}: {why}", report.name, report.host));
            }
        }
        let mine = reports.iter().filter(|report| !report.daemon);
        // Of the ends the latest; none if one is missing.
        let ends: Option<Vec<_>> = mine.map(|report| report.ended).collect();
        let completed = ends.and_then(|ends| ends.into_iter().max()).map(|at| at - Instant::EPOCH);
        let transcripts = self.hosts().iter().map(|host| (host.name().to_owned(), host.sys(|host| host.transcripts())));
        let transcripts = transcripts.filter(|(_, all)| !all.is_empty()).collect();
        RunOutcome { end: self.sim.now(), completed, reports, failures, table, transcripts }
    }

    /// Runs to the instant of the table of descriptors, and then to the end.
    fn go(&self, table: &mut Option<Table>) -> Result<(), String> {
        let end = self.until.unwrap_or(Instant::FAR_FUTURE);
        if let Some((host, at)) = self.fds.as_ref().filter(|(_, at)| *at <= end) {
            self.sim.try_run_until(*at).map_err(|gave_up| ended_early(&gave_up))?;
            let text = host.sys(|host| descriptor_table(host));
            *table = Some(Table { host: host.name().to_owned(), at: *at, text });
        }
        let run = match self.until {
            Some(until) => self.sim.try_run_until(until),
            None => self.sim.try_run_until_idle(),
        };
        run.map_err(|gave_up| ended_early(&gave_up))
    }
}

/// Why a run ended early, in the words of a scenario file.
fn ended_early(gave_up: &GaveUp) -> String {
    let GaveUp { reason, seed, at, who } = gave_up;
    let why = match reason {
        Reason::Events(limit) => format!(
            "{limit} events handled, which is the limit; with a smaller `size` or `count`, or with `until`, such as \
             `until = \"10s\"`, a run has fewer"
        ),
        Reason::VirtualTime(limit) => format!(
            "the next event is more than {} hours after the start; `until`, such as `until = \"1h\"`, ends a run earlier",
            limit.as_secs() / 3600
        ),
        Reason::Memory(limit) => format!(
            "the buffers of the hosts take more than {limit} bytes; with a smaller `size` or `count` they take less, and a \
             larger `buffer_limit` of the hosts allows more"
        ),
        Reason::TotalMemory(limit) => format!(
            "buffers, connections and packets on links together take more than {limit} bytes; with a smaller `size` or \
             `count`, or with a larger `every`, they take less"
        ),
        Reason::Unfinished(programs) => format!(
            "nothing can happen any more and these programs have not ended: {}; for a program that serves without end, \
             write `daemon = true` in its table [[programs]]",
            programs.join(", ")
        ),
        _ => return gave_up.to_string(),
    };
    format!("the run with seed {seed} ended early at {at}: {why}\n{who}")
}
