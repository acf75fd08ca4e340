//! Why a run ended without coming to rest, and who waits for what: the text that a test shows when it fails.

use core::fmt;

use crate::time::{Duration, Instant};

/// A run that did not come to rest. Its text has one paragraph for the reason, then each host with its next deadline
/// and what its programs wait for, and each link with what became of its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GaveUp {
    /// Why.
    pub reason: Reason,
    /// The seed of the simulation.
    pub seed: u64,
    /// The virtual time at which the run was given up.
    pub at: Instant,
    /// Hosts and links, one or more lines each.
    pub who: String,
}

/// Why a run was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// So many events were handled and there are more.
    Events(u64),
    /// The next event lies further ahead than a run may go.
    VirtualTime(Duration),
    /// Nothing can happen any more, but these programs, which are no daemons, have not ended.
    Unfinished(Vec<String>),
    /// Nothing can happen any more, but what `run_until` waits for has not come true.
    NeverTrue,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the simulation with seed {} gave up at {}: ", self.seed, self.at)?;
        match &self.reason {
            Reason::Events(limit) => write!(f, "{limit} events handled and no rest (Sim::limit_events)")?,
            Reason::VirtualTime(limit) => {
                write!(f, "the next event is more than {limit:?} after the start of the run (Sim::limit_time)")?;
            }
            Reason::Unfinished(programs) => {
                write!(f, "nothing can happen any more and these programs have not ended: {}", programs.join(", "))?;
                write!(f, " (one that serves for ever is started with spawn_daemon)")?;
            }
            Reason::NeverTrue => write!(f, "nothing can happen any more and the condition has not come true")?,
        }
        write!(f, "\n{}", self.who)
    }
}

impl std::error::Error for GaveUp {}
