//! Captures as tests. One side of a recorded conversation is fed to our stack, which plays the other side in virtual
//! time. A verdict is given: the conversation is the same or it differs.
//!
//! A recorded client against a server of your own:
//!
//! ```
//! use std::io;
//! use tcplab::net::{Net, TcpListener};
//! use tcplab::replay::{Replay, Role};
//!
//! async fn my_server(net: Net) -> io::Result<()> {
//!     let listener = TcpListener::bind(&net, "0.0.0.0:7".parse().unwrap())?;
//!     let (stream, _) = listener.accept().await?;
//!     let mut buf = [0; 100];
//!     while let count @ 1.. = stream.read(&mut buf).await? {
//!         stream.write_all(&buf[..count]).await?;
//!     }
//!     Ok(())
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! Replay::open("tests/replay/echo-client.pcapng")?
//!     .role(Role::Server)
//!     .program(async |net| my_server(net).await)
//!     .run()?
//!     .assert_same_bytes();
//! # Ok(()) }
//! ```
//!
//! Other replay tools cannot replay TCP to a server, because the server's initial sequence number is random. Here the
//! stack, the clock and the initial sequence numbers are ours.
//!
//! ```text
//!   crate::recording --> near (which side) --> program (what it did) ----+
//!                 |                                                      v
//!                 +--> feed (what is due when, with which numbers) --> feeder, strict --> run: our host and the
//!                 |                                                                        scripted peer on a `Sim`
//!                 '--> semantic, strict (is it the same?) <--------------- live <-----------'
//! ```
//!
//! Without a program of the user the program of our side is derived from the recording ([`crate::app::calls`]). It
//! reads and writes the same bytes, waits as long, and ends in the same way.

mod again;
mod feed;
mod feeder;
mod icmp;
mod live;
mod one;
mod player;
mod program;
mod report;
mod run;
mod semantic;
mod strict;
mod test_dir;

pub use report::{Mode, Outcome, Report, Role, Verdict};
pub use test_dir::{TestDir, test_dir};

use core::fmt;
use std::cell::RefCell;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use crate::app::Registry;
use crate::capture::{Capture, ReadError, Reader};
use crate::conversation::Side;
use crate::event::Observer;
use crate::link::Trace;
use crate::net::Net;
use crate::recording::{CLIENT, FileContent, Origin, Recording, SERVER, find, near, origin};
use again::Again;
use run::{Observers, UserProgram};

/// Why a replay could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The capture of the replay cannot be written.
    #[error(transparent)]
    Write(#[from] crate::capture::WriteError),
}

/// The conversations of a capture. Set the options first, then call [`Replay::run`].
pub struct Replay {
    file: String,
    found: FileContent,
    role: Role,
    mode: Option<Mode>,
    stream: Option<usize>,
    program: Option<UserProgram>,
    observers: Observers,
    capture: Option<Rc<RefCell<Capture>>>,
    origin: Origin,
    /// The whole file, if it has a recipe.
    bytes: Vec<u8>,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replay({}, {} conversations, as {})", self.file, self.found.recordings.len(), self.role)
    }
}

impl Replay {
    /// Reads a capture, pcap or pcapng of any link type that [`Reader`] knows.
    ///
    /// # Errors
    /// The file cannot be read, or not to its end.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReplayError> {
        let name = path.as_ref().display().to_string();
        let mut replay = Self::read(Reader::open(&path)?, name.clone())?;
        if !matches!(replay.origin, Origin::Foreign) {
            let unreadable = |error: io::Error| ReadError { file: name, packet: None, problem: error.into() };
            replay.bytes = std::fs::read(&path).map_err(unreadable)?;
        }
        Ok(replay)
    }

    /// Reads a capture from a stream or from memory; `name` is for messages.
    ///
    /// # Errors
    /// It cannot be read, or not to its end.
    pub fn from_read(mut input: impl Read, name: &str) -> Result<Self, ReplayError> {
        let mut bytes = Vec::new();
        let unreadable = |error: io::Error| ReadError { file: name.to_owned(), packet: None, problem: error.into() };
        input.read_to_end(&mut bytes).map_err(unreadable)?;
        let replay = Self::read(Reader::from_read(io::Cursor::new(bytes.clone()), name)?, name.to_owned())?;
        Ok(Self { bytes, ..replay })
    }

    fn read(mut reader: Reader, file: String) -> Result<Self, ReplayError> {
        let found = find(&mut reader)?;
        let origin = Origin::of(found.comment.as_deref(), &Registry::default());
        let (role, observers) = (Role::default(), Observers::new());
        let (mode, stream, program, capture) = (None, None, None, None);
        Ok(Self { file, found, role, mode, stream, program, observers, capture, origin, bytes: Vec::new() })
    }

    /// The programs and controllers that the recipe of the capture may name. By default the built-in ones. Call it before
    /// [`Replay::ignore_recipe`].
    #[must_use]
    pub fn registry(self, registry: &Registry) -> Self {
        Self { origin: Origin::of(self.found.comment.as_deref(), registry), ..self }
    }

    /// Which side our stack plays. By default the near one.
    #[must_use]
    pub fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// How closely the replay must follow the recording. By default strictly for captures of tcplab, semantically for all
    /// others.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode: Some(mode), ..self }
    }

    /// Only this conversation, counted from 0.
    #[must_use]
    pub fn stream(self, stream: usize) -> Self {
        Self { stream: Some(stream), ..self }
    }

    /// A program for our side instead of the derived one. It is started anew for each conversation, on a host of its own;
    /// what it returns is dropped. As a server it listens on the recorded port, or on one other; as a client it connects
    /// to any address.
    #[must_use]
    pub fn program<F, T>(self, program: F) -> Self
    where
        F: AsyncFn(Net) -> T + 'static,
    {
        let program = Rc::new(program);
        let start: UserProgram = Rc::new(move |net| {
            let program = Rc::clone(&program);
            Box::pin(async move {
                let _ = program(net).await;
            })
        });
        Self { program: Some(start), ..self }
    }

    /// Ignores the recipe of a capture of tcplab. The run is not made again, and the settings of the host are inferred
    /// from the packets.
    #[must_use]
    pub fn ignore_recipe(self) -> Self {
        let mode = self.mode.or_else(|| matches!(self.origin, Origin::Recipe(_)).then_some(Mode::Strict));
        Self { mode, origin: Origin::Foreign, ..self }
    }

    /// Publishes the events of each replayed conversation to `observer`, at the instants of the recording. Our host is
    /// the first host of the events, [`HostId(0)`](crate::event::HostId), and the recorded side the second.
    #[must_use]
    pub fn observe(mut self, observer: Rc<RefCell<dyn Observer>>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Writes what passes our stack, conversation after conversation, at the instants of the recording.
    #[must_use]
    pub fn capture(self, capture: Capture) -> Self {
        Self { capture: Some(Rc::new(RefCell::new(capture))), ..self }
    }

    /// Gives a trace (`rate=trace:FILE`) that the recipe of the capture needs and does not contain. False if it does not
    /// need this trace.
    pub fn give_trace(&mut self, trace: &Trace) -> bool {
        match &mut self.origin {
            Origin::Recipe(recipe) => recipe.give_trace(trace),
            Origin::Foreign | Origin::Broken(_) => false,
        }
    }

    /// How many conversations there are.
    pub fn conversations(&self) -> usize {
        self.found.recordings.len()
    }

    /// Packets in the file.
    pub fn packets(&self) -> u64 {
        self.found.packets
    }

    /// Replays every conversation, one after the other.
    ///
    /// # Errors
    /// The capture of the replay cannot be written.
    pub fn run(mut self) -> Result<Report, ReplayError> {
        let capture = self.capture.take();
        let observed = match &capture {
            Some(capture) => self.observe(Rc::clone(capture) as Rc<RefCell<dyn Observer>>),
            None => self,
        };
        let report = observed.report();
        if let Some(capture) = capture {
            capture.borrow_mut().close()?;
        }
        Ok(report)
    }

    fn report(&self) -> Report {
        let mut outcomes = Vec::new();
        let again = self.run_again();
        let host = match &self.origin {
            Origin::Recipe(recipe) => origin::host(recipe),
            Origin::Foreign | Origin::Broken(_) => None,
        };
        let chosen = |recording: &&Recording| self.stream.is_none_or(|stream| recording.stream == stream);
        for recording in self.found.recordings.iter().filter(chosen) {
            let ends: &[Side] = match self.role {
                Role::Near => &[near(recording).unwrap_or(CLIENT)],
                Role::Client => &[CLIENT],
                Role::Server => &[SERVER],
                Role::Both => &[CLIENT, SERVER],
            };
            for &end in ends {
                let role = if end == CLIENT { Role::Client } else { Role::Server };
                let mut outcome = self.blank(Some(recording), role);
                if self.mode.is_none() && near(recording).is_some_and(|near| near != end) {
                    // What the far side's packets were when it sent them is not in the file.
                    outcome.mode = Mode::Semantic;
                }
                let player = one::Ours { end, program: self.program.as_ref(), host: host.as_ref() };
                outcomes.push(one::replay(recording, player, outcome, &self.observers));
            }
        }
        if outcomes.is_empty() {
            let mut outcome = self.blank(None, self.role);
            let among = self.found.packets;
            outcome.reason = match self.stream {
                Some(stream) if !self.found.recordings.is_empty() => {
                    outcome.verdict = Verdict::Error;
                    format!("there is no stream {stream}: {} in the file, from 0", self.found.recordings.len())
                }
                _ => {
                    let unread = self.found.unread.as_ref().map_or_else(String::new, |unread| format!("; {unread}"));
                    format!("no TCP conversation among {among} packets{unread}")
                }
            };
            outcomes.push(outcome);
        }
        if let Some(again) = again {
            for outcome in outcomes.iter_mut().filter(|outcome| outcome.verdict != Verdict::Error) {
                outcome.run_again(&again);
            }
        }
        Report { outcomes, warnings: self.found.warnings.clone() }
    }

    /// A capture of ours is run again, unless it is replayed by the user's program or not strictly.
    fn run_again(&self) -> Option<Again> {
        match &self.origin {
            _ if self.program.is_some() || self.mode_or_default() != Mode::Strict => None,
            Origin::Recipe(recipe) => Some(again::again(recipe, &self.bytes, self.found.torn)),
            Origin::Broken(why) => Some(Again::Failed(why.clone())),
            Origin::Foreign => None,
        }
    }

    fn mode_or_default(&self) -> Mode {
        let ours = !matches!(self.origin, Origin::Foreign) && self.program.is_none();
        self.mode.unwrap_or(if ours { Mode::Strict } else { Mode::Semantic })
    }

    fn blank(&self, recording: Option<&Recording>, role: Role) -> Outcome {
        Outcome {
            file: self.file.clone(),
            stream: recording.map(|recording| recording.stream),
            ends: recording.map(|recording| recording.ends),
            role,
            mode: self.mode_or_default(),
            verdict: Verdict::Skipped,
            packet: None,
            reason: String::new(),
            notes: Vec::new(),
            sent: Vec::new(),
            recorded: Vec::new(),
            packets: recording.map_or(0, |recording| recording.packets.len() + recording.left_out.len()),
            fed: Vec::new(),
            steps: 0,
        }
    }
}
