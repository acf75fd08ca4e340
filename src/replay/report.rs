//! The verdicts, outcomes and reports of a replay. `cli` and tests of users print them.

use core::fmt;
use core::net::SocketAddr;

use super::ReplayError;
use super::again::Again;
use crate::escape::Name;

/// Which side of a conversation our stack plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// The side whose host the capture was taken on, by the gaps of the handshake or the directions in the file; the
    /// client where that is unclear.
    #[default]
    Near,
    /// The one that sent the first SYN.
    Client,
    /// The other side.
    Server,
    /// Both sides, one after the other.
    Both,
}

/// How closely the replay must follow the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Packet by packet, without initial sequence numbers, ephemeral port, timestamps and IP identification. For
    /// captures of this stack.
    Strict,
    /// The same conversation: for captures of any stack.
    Semantic,
}

/// The result of one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// It is the same.
    Pass,
    /// It differs.
    Differs,
    /// The replay could not continue.
    Stalled,
    /// It cannot be replayed. This does not count as a pass.
    Skipped,
    /// The file cannot be read.
    Error,
}

/// One conversation, replayed by one side.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The file, as it was named.
    pub file: String,
    /// Which conversation of the file, from 0, in the order in which they begin; `None` if there is none.
    pub stream: Option<usize>,
    /// The client, and the server.
    pub ends: Option<[SocketAddr; 2]>,
    /// [`Role::Client`] or [`Role::Server`]; the requested role if nothing was replayed.
    pub role: Role,
    /// How it was compared.
    pub mode: Mode,
    /// The verdict.
    pub verdict: Verdict,
    /// The packet of the file that the reason is about, from 1.
    pub packet: Option<u64>,
    /// Why it did not pass; empty for a pass.
    pub reason: String,
    /// How packets were changed, and what is reported and not compared.
    pub notes: Vec<String>,
    /// The bytes that our side sent, and those that it should have.
    pub sent: Vec<u8>,
    /// The bytes of our side in the recording.
    pub recorded: Vec<u8>,
    /// Packets of the recording.
    pub packets: usize,
    /// The packets of the other side that were fed to ours, by their numbers in the file, in the order in which they
    /// were fed. Each is listed once.
    pub fed: Vec<u64>,
    /// Steps that the replay took. They are bounded by the length of the recording.
    pub steps: usize,
}

/// The outcomes of a file, or of several.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One for each conversation and role, in the order of the file.
    pub outcomes: Vec<Outcome>,
    /// What is odd in the file and stops no replay: metadata that cannot be read, a torn end, wrong checksums.
    pub warnings: Vec<String>,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Near => "near",
            Self::Client => "client",
            Self::Server => "server",
            Self::Both => "both",
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Strict => "strict",
            Self::Semantic => "semantic",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Differs => "differs",
            Self::Stalled => "stalled",
            Self::Skipped => "skipped",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Outcome {
    /// `a.pcap stream 0 (192.0.2.2:4000 > 192.0.2.1:80) as server: differs, packet 7: ...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Name(&self.file))?;
        if let Some(stream) = self.stream {
            write!(f, " stream {stream}")?;
        }
        if let Some([client, server]) = self.ends {
            write!(f, " ({client} > {server})")?;
        }
        write!(f, " as {}, {}: {}", self.role, self.mode, self.verdict)?;
        if let Some(packet) = self.packet {
            write!(f, ", packet {packet}")?;
        }
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

impl Outcome {
    /// What is reported of a file that cannot be read.
    pub fn unreadable(file: &str, role: Role, mode: Mode, error: &ReplayError) -> Self {
        let packet = match error {
            ReplayError::Read(error) => error.packet,
            ReplayError::Write(_) => None,
        };
        Self {
            file: file.to_owned(),
            stream: None,
            ends: None,
            role,
            mode,
            verdict: Verdict::Error,
            packet,
            reason: error.to_string(),
            notes: Vec::new(),
            sent: Vec::new(),
            recorded: Vec::new(),
            packets: 0,
            fed: Vec::new(),
            steps: 0,
        }
    }
}

impl Outcome {
    /// Adds the result of running the recipe of the capture again.
    pub(super) fn run_again(&mut self, again: &Again) {
        match again {
            Again::Same => {
                self.notes.push("run again from its recipe: the same bytes".to_owned());
                // There was nothing to feed.
                if self.stream.is_none() {
                    self.verdict = Verdict::Pass;
                    self.notes.push(core::mem::take(&mut self.reason));
                }
            }
            Again::Differs(packet, what) => {
                self.verdict = Verdict::Differs;
                (self.packet, self.reason) =
                    (*packet, format!("run again from its recipe, it is not the same: {what}"));
            }
            Again::Failed(why) => {
                self.verdict = Verdict::Error;
                (self.packet, self.reason) = (None, format!("{}: {why}", Name(&self.file)));
            }
        }
    }
}

impl Report {
    /// True if something was replayed, and everything that was passed. Skipped conversations are no pass, but do not
    /// spoil one.
    pub fn passed(&self) -> bool {
        self.count(Verdict::Pass) > 0
            && self.outcomes.iter().all(|outcome| matches!(outcome.verdict, Verdict::Pass | Verdict::Skipped))
    }

    /// How many conversations came to this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.verdict == verdict).count()
    }

    /// Panics unless the report [passed](Report::passed), with a line for each conversation that did not.
    ///
    /// # Panics
    /// If the report did not pass.
    #[track_caller]
    pub fn assert_pass(&self) {
        assert!(self.passed(), "{}", self.failures());
    }

    /// Panics unless our side sent exactly the bytes of the recording in every conversation that was replayed, and
    /// there was one. Nothing else is compared.
    ///
    /// # Panics
    /// If the bytes differ; the message has the place of the first difference.
    #[track_caller]
    pub fn assert_same_bytes(&self) {
        let replayed = |outcome: &&Outcome| !matches!(outcome.verdict, Verdict::Skipped | Verdict::Error);
        assert!(self.outcomes.iter().any(|outcome| replayed(&outcome)), "nothing was replayed:\n{}", self.failures());
        for outcome in self.outcomes.iter().filter(replayed) {
            if let Some(at) = super::semantic::first_difference(&outcome.recorded, &outcome.sent) {
                let text = super::semantic::describe(&outcome.recorded, &outcome.sent, at);
                panic!("{outcome}\nthe bytes of our side differ: {text}");
            }
        }
    }

    fn failures(&self) -> String {
        let lines = self.outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Pass).map(Outcome::to_string);
        let lines: Vec<_> = lines.collect();
        if lines.is_empty() { "no conversation was replayed".to_owned() } else { lines.join("\n") }
    }
}
