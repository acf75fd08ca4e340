//! What a script came to: its verdict, and where and why it failed. `run` makes it, the command and `test_dir` print it.

use core::fmt;

use super::compare::Relax;
use super::system::System;
use crate::time::Duration;

/// The verdict of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Everything came as the script has it.
    Pass,
    /// Something else came.
    Fail,
    /// The script asks for what the host does not have.
    Unsupported,
    /// The script cannot be read, or makes no sense.
    Error,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Fail, Self::Unsupported, Self::Error];
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unsupported => "unsupported",
            Self::Error => "error",
        })
    }
}

/// What a script came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The script, as it was given.
    pub script: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Whose defaults the host had.
    pub system: System,
    /// The relaxations that were needed, in order.
    pub relaxed: Vec<Relax>,
    /// Assertions in Python that were not evaluated. A pass with some is none in a share.
    pub skipped_asserts: usize,
    /// The line of the event that decided.
    pub line: Option<usize>,
    /// Why it is no pass.
    pub reason: String,
    /// What was noted on the way: commands that were not executed.
    pub notes: Vec<String>,
    /// How long the script took in virtual time.
    pub virtual_time: Duration,
}

impl Outcome {
    /// True for a pass without a skipped assertion.
    pub fn is_whole_pass(&self) -> bool {
        self.verdict == Verdict::Pass && self.skipped_asserts == 0
    }
}
