//! Why a run ended before it was idle, and what each host waits for: the text of a failing test.

use core::fmt;

use crate::time::{Duration, Instant};

/// A run that ended before it was idle. Its text has one paragraph for the reason. Then come each host with its next
/// deadline and the waits of its programs, and each link with its counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GaveUp {
    /// Why.
    pub reason: Reason,
    /// The seed of the simulation.
    pub seed: u64,
    /// The virtual time at which the run ended.
    pub at: Instant,
    /// Hosts and links, one or more lines each.
    pub who: String,
}

/// Why a run was ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The limit of events was reached.
    Events(u64),
    /// The next event is later than the time limit of the run.
    VirtualTime(Duration),
    /// The buffers of all hosts together take more bytes than this.
    Memory(usize),
    /// Buffers, open descriptors with their connections, and packets on links together take more bytes than this.
    TotalMemory(usize),
    /// There is no next event, but these programs, which are no daemons, have not ended.
    Unfinished(Vec<String>),
    /// There is no next event, but the condition of `run_until` is not true.
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
            Reason::Memory(limit) => {
                write!(f, "the buffers of the hosts take more than {limit} bytes (Sim::limit_memory)")?;
            }
            Reason::TotalMemory(limit) => write!(
                f,
                "buffers, connections and packets on links together take more than {limit} bytes \
                 (Sim::limit_total_memory)"
            )?,
            Reason::Unfinished(programs) => {
                write!(f, "nothing can happen any more and these programs have not ended: {}", programs.join(", "))?;
                write!(f, " (one that serves without end is started with spawn_daemon)")?;
            }
            Reason::NeverTrue => write!(f, "nothing can happen any more and the condition has not come true")?,
        }
        write!(f, "\n{}", self.who)
    }
}

impl std::error::Error for GaveUp {}
