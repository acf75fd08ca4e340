//! Reading and writing captures. A capture has every packet at the interface of one host, in a file that Wireshark
//! reads. The comment on a packet contains what it is and why it was sent. [`Reader`] reads captures of tcplab and of
//! other programs.
//!
//! ```no_run
//! use tcplab::capture::{Capture, Reader, Settings};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut capture = Capture::create("handshake.pcapng")?; // an Observer: `sim.observe(capture)`
//! // ... the run ...
//! let summary = capture.close()?;
//! println!("{} packets captured", summary.captured);
//!
//! let mut reader = Reader::open("handshake.pcapng")?;
//! while let Some(record) = reader.next_record() {
//!     let record = record?;
//!     println!("{} {} {}", record.number, record.at, record.comment.unwrap_or_default());
//! }
//! # Ok(()) }
//! ```
//!
//! Writing: [`Capture`] takes events, `writer` makes records of them (on a thread of its own or in place, to the same
//! bytes), `annotate` finds the words, `encode` makes the bytes, `sink` writes whole records and handles full disks.
//! Reading: [`Reader`] over `pcap` and `pcapng`; `link_layer` finds the IP packet in a frame; what is odd is a [`Warning`].
//! The crate pcap-file is named in `pcapng` only.
//!
//! A capture has the packets as on the wire, before any rule of the stack.

mod copies;
mod encode;
mod error;
mod link_layer;
mod pcap;
mod pcapng;
mod reader;
mod settings;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod warning;
mod writer;

pub use crate::annotate::Direction;
pub use crate::event::Numbers;
pub use error::{ReadError, ReadProblem, WriteError};
pub use link_layer::Unread;
#[cfg(any(feature = "replay", feature = "drill"))]
pub(crate) use reader::is_ours;
pub use reader::{Reader, Record};
pub use settings::{Settings, WhenBehind};
pub use warning::Warning;

use core::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::annotate::{self, Tag};
use crate::event::{CookieStep, Event, Fate, HostEvent, HostId, Observer, TimerKind};
use crate::time::Instant;
use copies::Copies;
use sink::Progress;
use writer::{Batch, Facts, Manner, Note, What, Writer, WriterThread};

/// The two file formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// With comments and directions.
    #[default]
    Pcapng,
    /// The older format: only bytes and times.
    Pcap,
}

/// How detailed the comment on each packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Comments {
    /// No comment.
    None,
    /// What it is and why it was sent.
    #[default]
    Brief,
    /// That, and the variables of its sender.
    Full,
}

/// How many packets were written and how many were not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Summary {
    /// Packets that are in the file, whole records all of them.
    pub captured: u64,
    /// Packets that were not taken because the writer was behind ([`WhenBehind::Drop`]).
    pub dropped: u64,
    /// Packets that could not be written after an error, or after the reader of a stream had gone.
    pub not_written: u64,
}

/// Writes the packets of one host into a file.
///
/// Inputs: events as an [`Observer`], or [`Capture::packet`]; [`Capture::numbers`]; [`Capture::flush`]. The end:
/// [`Capture::close`], which returns the result. A capture that is dropped is closed, and its errors are lost.
pub struct Capture {
    at: HostId,
    manner: Manner,
    when_behind: WhenBehind,
    /// Packets that are still wanted.
    wanted: Option<u64>,
    name: String,
    batch: Batch,
    target: Target,
    copies: Copies,
    /// Something was taken since the last flush.
    unflushed: bool,
    /// Packets that were taken.
    taken: u64,
    dropped: u64,
    /// The last packet was dropped, and what the host reports behind it goes with it.
    dropping: bool,
    progress: Arc<Progress>,
}

/// Where records are made.
enum Target {
    InPlace(Box<Writer>),
    Thread(WriterThread),
    Closed(Summary),
}

impl Capture {
    /// Begins a capture of the first host of a run, as [`Settings::default`] has it: pcapng, or pcap if the path ends
    /// in `.pcap` or `.cap`, with brief comments. A file of that name is overwritten.
    ///
    /// # Errors
    /// The file cannot be made or its first bytes cannot be written.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, WriteError> {
        Settings::default().create(path)
    }

    /// One packet, as on the wire. `fate` is what the link will do to it, where that is known.
    pub fn packet(&mut self, at: Instant, direction: Option<Direction>, bytes: &[u8], fate: Option<Fate>) {
        self.take(at, direction, bytes, fate.and_then(Tag::of));
    }

    fn take(&mut self, at: Instant, direction: Option<Direction>, bytes: &[u8], tag: Option<Tag>) {
        let over = self.progress.over.load(Ordering::Relaxed);
        match &mut self.wanted {
            Some(0) => return,
            Some(wanted) => *wanted -= 1,
            None => {}
        }
        // After an error the writer only counts.
        let copied = if over { 0 } else { self.manner.copied(bytes.len()) };
        self.dropping = !self.has_room();
        if self.dropping {
            self.dropped += 1;
        } else {
            self.taken += 1;
            let (copied_len, original_len) = (copied as u32, bytes.len() as u32);
            let facts = Facts { at, direction, tag, copied: copied_len, original_len };
            self.batch.push(facts, &bytes[..copied]);
        }
    }

    /// The host's numbers of the connection between these ends, right after a packet that it sent. They are for the
    /// comment on that packet, if it is the last one taken, and on later ones.
    pub fn numbers(&mut self, local: SocketAddr, remote: SocketAddr, numbers: Numbers) {
        if self.manner.comments == Comments::Full {
            self.note(Instant::EPOCH, local, remote, What::Numbers(numbers));
        }
    }

    /// Has everything written that was taken so far. With a thread it is written soon, else before this returns. When
    /// to do so is for the caller to decide: after each batch of packets on a stream, now and then for a file.
    ///
    /// With [`WhenBehind::Drop`], a thread that is behind is not asked: small batches would fill its queue. Then
    /// [`Capture::is_flushed`] stays false, and the caller asks again later.
    pub fn flush(&mut self) {
        if self.unflushed && !self.is_behind() {
            self.unflushed = false;
            self.batch.ask_to_flush();
            self.hand_over();
        }
    }

    /// The thread has batches before it, and the packet path does not wait for it.
    fn is_behind(&self) -> bool {
        match &self.target {
            Target::Thread(thread) => self.when_behind == WhenBehind::Drop && thread.is_behind(),
            Target::InPlace(_) | Target::Closed(_) => false,
        }
    }

    /// True if nothing was taken since the last [`Capture::flush`] that was passed on.
    pub fn is_flushed(&self) -> bool {
        !self.unflushed
    }

    /// True when nothing more is written: after an error, or when the reader of the stream has gone.
    pub fn has_ended(&self) -> bool {
        self.progress.over.load(Ordering::Relaxed)
    }

    /// True when no more packets can or need be taken: the number that was asked for is there, or the file takes no
    /// more, or the reader of the stream has gone.
    pub fn is_done(&self) -> bool {
        self.wanted == Some(0) || self.progress.over.load(Ordering::Relaxed)
    }

    /// Writes the rest and returns the result. Another call returns the same numbers.
    ///
    /// # Errors
    /// The first error that occurred while writing. The file ends with the last whole record before it.
    pub fn close(&mut self) -> Result<Summary, WriteError> {
        let outcome = match &mut self.target {
            Target::Closed(summary) => return Ok(*summary),
            Target::InPlace(writer) => {
                writer.take(&mut self.batch);
                writer.finish()
            }
            Target::Thread(thread) => {
                if !self.batch.is_empty()
                    && let Err(lost) = thread.hand_over(core::mem::take(&mut self.batch), true)
                {
                    self.dropped += lost.packets() as u64;
                }
                thread.close()
            }
        };
        let summary = Summary { captured: outcome.kept, dropped: self.dropped, not_written: outcome.not_written };
        self.target = Target::Closed(summary);
        self.progress.over.store(true, Ordering::Relaxed);
        match outcome.failure {
            None => Ok(summary),
            Some(source) => Err(WriteError::writing(&self.name, source, summary)),
        }
    }

    /// As [`Capture::close`], for a target that may take nothing any more, such as a pipe whose reader has stopped.
    /// `go_on` is asked again and again while something is left to write, with the number of bytes written so far. It waits
    /// a moment. When it returns false, the rest is given up.
    ///
    /// # Errors
    /// As [`Capture::close`]; or the rest was given up, and the error has the number of packets that are not written.
    pub fn close_while(&mut self, mut go_on: impl FnMut(u64) -> bool) -> Result<Summary, WriteError> {
        while let Target::Thread(thread) = &mut self.target {
            self.batch = match thread.hand_over(core::mem::take(&mut self.batch), false) {
                Ok(batch) | Err(batch) => batch,
            };
            if self.batch.is_empty() && thread.has_ended() {
                break;
            }
            if !go_on(self.progress.bytes.load(Ordering::Relaxed)) {
                let captured = self.progress.kept.load(Ordering::Relaxed);
                let summary = Summary { captured, dropped: self.dropped, not_written: self.taken - captured };
                self.target = Target::Closed(summary);
                return Err(WriteError::stopped(&self.name, summary));
            }
        }
        self.close()
    }

    /// A note goes into the batch of the packet before it, full or not. It is dropped with its packet.
    fn note(&mut self, at: Instant, local: SocketAddr, remote: SocketAddr, what: What) {
        if self.manner.comments != Comments::None && !self.dropping && !self.is_done() {
            self.batch.push_note(Note { at, local, remote, what });
        }
    }

    /// Makes room for one more entry; fails if the thread is behind and must not be waited for.
    fn has_room(&mut self) -> bool {
        self.unflushed = true;
        if self.batch.is_full() {
            self.hand_over();
        }
        !self.batch.is_full()
    }

    fn hand_over(&mut self) {
        match &mut self.target {
            Target::InPlace(writer) => writer.take(&mut self.batch),
            Target::Closed(_) => self.batch.clear(),
            Target::Thread(thread) => {
                let wait = self.when_behind == WhenBehind::Wait;
                self.batch = match thread.hand_over(core::mem::take(&mut self.batch), wait) {
                    Ok(batch) | Err(batch) => batch,
                };
            }
        }
    }

    fn begin(writer: Writer, manner: Manner, settings: &Settings, name: String, progress: Arc<Progress>) -> Self {
        let target = if settings.own_thread {
            WriterThread::open(writer, settings.when_behind == WhenBehind::Wait)
                .map_or_else(Target::InPlace, Target::Thread)
        } else {
            Target::InPlace(Box::new(writer))
        };
        Self {
            at: settings.at,
            manner,
            when_behind: settings.when_behind,
            wanted: settings.count,
            name,
            batch: Batch::default(),
            target,
            copies: Copies::default(),
            unflushed: false,
            taken: 0,
            dropped: 0,
            dropping: false,
            progress,
        }
    }
}

impl Observer for Capture {
    /// Takes what the host at the vantage point sends and what is delivered to it.
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        match *event {
            Event::Sent { host, packet, fate, .. } if host == self.at => {
                self.packet(at, Some(Direction::Outbound), &packet.bytes, Some(fate));
            }
            Event::Delivered { host, packet, .. } if host == self.at => {
                let tag = self.copies.arrives(packet.meta.id).then_some(Tag::Copy);
                self.take(at, Some(Direction::Inbound), &packet.bytes, tag);
            }
            Event::Duplicated { packet, .. } => self.copies.copied(packet.meta.id),
            Event::Host { host, event } if host == self.at => match event {
                HostEvent::Timer { local, remote, timer }
                    if matches!(
                        timer,
                        TimerKind::Retransmission | TimerKind::SynAck | TimerKind::Tlp | TimerKind::KeepAlive
                    ) =>
                {
                    self.note(at, local, remote, What::Timer(timer));
                }
                HostEvent::Numbers { local, remote, numbers } => self.numbers(local, remote, numbers),
                HostEvent::Call { call, ends: Some((local, remote)), result, .. } if annotate::sends(call, result) => {
                    self.note(at, local, remote, What::Call(call));
                }
                HostEvent::SynCookie { local, remote, step: CookieStep::Sent } => {
                    self.note(at, local, remote, What::SynCookie);
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn wants_numbers(&self) -> bool {
        self.manner.comments == Comments::Full
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

impl core::fmt::Debug for Capture {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Capture({} at {:?})", self.name, self.at)
    }
}

impl Format {
    /// By the ending of a path: `.pcap` and `.cap` are pcap, everything else is pcapng.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("pcap" | "cap") => Self::Pcap,
            _ => Self::Pcapng,
        }
    }
}
