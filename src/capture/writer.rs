//! Makes records of packets: it gets the comments, builds the records and fills the sink. The same code runs in two
//! places, so the bytes are the same:
//!
//! ```text
//!  packet path                     the writer's thread, or the packet path itself
//!  bytes and facts --> Batch --(bounded channel)--> annotate --> record --> Sink --> file
//!            ^-----------(used again)-----------------'
//! ```
//!
//! A batch is handed over when it is full or when the capture is flushed. Then its buffers come back. So the packet path
//! copies bytes, allocates nothing in the steady state, and wakes the other thread once for many packets.

use core::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::encode::{self, EncodedRecord};
use super::sink::{Sink, SinkOutcome};
use super::{Comments, Direction, Format, Numbers};
use crate::annotate::tags::{self, Tag};
use crate::annotate::{Annotator, Subject};
use crate::event::TimerKind;
use crate::time::Instant;

/// A batch is handed over when it holds this much: waking the other thread costs as much as some twenty packets.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_ENTRIES: usize = 2048;
/// Batches on their way. With the one being filled, this is how far the packet path can be ahead.
const BATCHES: usize = 8;
/// The same where the packet path does not wait. A burst of 32 MiB is no loss, and a reader that has stopped costs no more.
const BATCHES_OF_A_BURST: usize = 128;
/// Notes in a batch at most, for a host that reports much and sends nothing. Comments miss what later ones tell.
pub(super) const MOST_NOTES: usize = 16 * BATCH_ENTRIES;

/// Comments are written from the headers: this much of a packet is copied, even if less of it goes into the file. 60
/// bytes of IPv4, or an IPv6 header with extensions, and 60 of TCP fit.
const HEADERS: usize = 160;

/// One packet: what is known of it beside its bytes, and how many of these were copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) at: Instant,
    pub(super) direction: Option<Direction>,
    /// What the first link does to it, or that it is a copy made by a link.
    pub(super) tag: Option<Tag>,
    pub(super) copied: u32,
    pub(super) original_len: u32,
}

/// What a host reported between two packets. It is rare and large.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    pub(super) at: Instant,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) what: What,
}

/// What it is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Timer(TimerKind),
    Numbers(Numbers),
    Call(&'static str),
    /// The SYN|ACK that follows is a SYN cookie.
    SynCookie,
}

/// A packet or a note, in the order of the events.
#[derive(Clone, Copy, Debug)]
enum BatchEntry {
    Packet(Facts),
    /// The next one of the notes.
    Note,
}

/// Entries, and the bytes of their packets one after the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entries: Vec<BatchEntry>,
    bytes: Vec<u8>,
    notes: Vec<Note>,
    /// Whether the sink writes out everything.
    flush: bool,
}

/// How packets are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) format: Format,
    pub(super) comments: Comments,
    pub(super) snaplen: Option<u32>,
}

impl Manner {
    /// How much of a packet the writer needs.
    pub(super) fn copied(&self, len: usize) -> usize {
        let snaplen = self.snaplen.map_or(len, |snaplen| snaplen as usize);
        len.min(if self.comments == Comments::None { snaplen } else { snaplen.max(HEADERS) })
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= BATCH_ENTRIES || self.size() >= BATCH_BYTES
    }

    /// Its memory.
    fn size(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<BatchEntry>() + self.notes.len() * size_of::<Note>()
    }

    pub(super) fn packets(&self) -> usize {
        self.entries.len() - self.notes.len()
    }

    #[cfg(test)]
    pub(super) fn notes(&self) -> usize {
        self.notes.len()
    }

    pub(super) fn push(&mut self, facts: Facts, bytes: &[u8]) {
        self.entries.push(BatchEntry::Packet(facts));
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn push_note(&mut self, note: Note) {
        if self.notes.len() < MOST_NOTES {
            self.entries.push(BatchEntry::Note);
            self.notes.push(note);
        }
    }

    pub(super) fn clear(&mut self) {
        let Self { entries, bytes, notes, flush } = self;
        entries.clear();
        bytes.clear();
        notes.clear();
        *flush = false;
    }

    pub(super) fn ask_to_flush(&mut self) {
        self.flush = true;
    }
}

/// Writes records.
pub(super) struct Writer {
    manner: Manner,
    annotator: Annotator,
    sink: Sink,
    comment: String,
    /// A packet of which only the beginning was copied, filled up with zeros to its length.
    filled_up: Vec<u8>,
}

impl Writer {
    pub(super) fn new(manner: Manner, sink: Sink) -> Self {
        Self { manner, annotator: Annotator::default(), sink, comment: String::new(), filled_up: Vec::new() }
    }

    /// Takes the entries of a batch and empties it.
    pub(super) fn take(&mut self, batch: &mut Batch) {
        let mut rest = batch.bytes.as_slice();
        let mut notes = batch.notes.as_slice();
        // Notes that were taken together with the packet before them.
        let mut early = 0;
        for (n, entry) in batch.entries.iter().enumerate() {
            match entry {
                BatchEntry::Packet(facts) => {
                    // A host reports the timer that fired, and its numbers, right after it has sent.
                    let behind = batch.entries[n + 1..].iter().take_while(|entry| matches!(entry, BatchEntry::Note));
                    for note in &notes[..behind.count()] {
                        let later = matches!(note.what, What::Timer(_)) && note.at != facts.at;
                        if later || matches!(note.what, What::Call(_) | What::SynCookie) {
                            break;
                        }
                        self.note(note);
                        early += 1;
                    }
                    let (bytes, others) = rest.split_at(facts.copied as usize);
                    rest = others;
                    self.write_packet(facts, bytes);
                }
                BatchEntry::Note => {
                    let (first, others) = notes.split_first().expect("one for each such entry");
                    notes = others;
                    if early == 0 {
                        self.note(first);
                    } else {
                        early -= 1;
                    }
                }
            }
        }
        if batch.flush {
            self.sink.flush();
        }
        batch.clear();
    }

    pub(super) fn finish(&mut self) -> SinkOutcome {
        self.sink.flush();
        self.sink.outcome()
    }

    fn note(&mut self, note: &Note) {
        let Note { at, local, remote, what } = *note;
        match what {
            What::Timer(timer) => _ = self.annotator.timer(at, local, remote, timer),
            What::Numbers(numbers) => self.annotator.numbers(at, local, remote, numbers),
            What::Call(call) => self.annotator.call(at, local, remote, call),
            What::SynCookie => self.annotator.syn_cookie(at, local, remote),
        }
    }

    fn write_packet(&mut self, facts: &Facts, bytes: &[u8]) {
        let Facts { at, direction, tag, copied: _, original_len } = *facts;
        if self.sink.is_over() {
            return self.sink.count_not_written();
        }
        let Self { manner, annotator, sink, comment, filled_up } = self;
        comment.clear();
        if manner.comments != Comments::None && manner.format == Format::Pcapng {
            let whole = bytes.len() == original_len as usize;
            let packet = if whole {
                bytes
            } else {
                filled_up.clear();
                filled_up.extend_from_slice(bytes);
                filled_up.resize(original_len as usize, 0);
                filled_up
            };
            // A packet of unknown direction is taken as outbound.
            let direction = direction.unwrap_or(Direction::Outbound);
            let subject = Subject { copy: tag == Some(Tag::Copy), ..Subject::parse(at, direction, packet) };
            let verify = direction == Direction::Inbound && whole;
            let annotation = annotator.annotate(&if verify { subject.verified() } else { subject });
            comment.push_str(annotation.words);
            let full = manner.comments == Comments::Full;
            let variables = annotation.segment.filter(|_| full).map(|segment| segment.variables());
            tags::write(comment, tag, variables.as_ref());
        }
        let kept = manner.snaplen.map_or(bytes.len(), |snaplen| bytes.len().min(snaplen as usize));
        let record = EncodedRecord { at, direction, bytes: &bytes[..kept], original_len, comment };
        encode::packet(&mut sink.gathered, manner.format, &record);
        sink.packet_added();
    }
}

/// A writer on a thread of its own.
pub(super) struct WriterThread {
    to_writer: Option<SyncSender<Batch>>,
    from_writer: Receiver<Batch>,
    thread: Option<JoinHandle<SinkOutcome>>,
    /// Batches that exist beside the one being filled.
    batches: usize,
    /// How many there may be.
    limit: usize,
    /// Batches that were handed over and not yet taken to their end.
    queued: Arc<AtomicUsize>,
}

impl WriterThread {
    /// Starts the thread, or returns the writer where there are no threads. `waits` is true if the packet path waits
    /// for it.
    pub(super) fn open(writer: Writer, waits: bool) -> Result<Self, Box<Writer>> {
        let limit = if waits { BATCHES } else { BATCHES_OF_A_BURST };
        let (to_writer, incoming) = sync_channel::<Batch>(limit);
        let (outgoing, from_writer) = sync_channel::<Batch>(limit + 1);
        let (hand_over, handed) = sync_channel::<Box<Writer>>(1);
        let queued = Arc::new(AtomicUsize::new(0));
        let taken = Arc::clone(&queued);
        let work = move || {
            let Ok(mut writer) = handed.recv() else { return SinkOutcome::default() };
            // Until the packet path closes its end.
            while let Ok(mut batch) = incoming.recv() {
                writer.take(&mut batch);
                taken.fetch_sub(1, Ordering::Relaxed);
                // There is a place for each batch that exists; after the end they are not wanted.
                let _ = outgoing.try_send(batch);
            }
            writer.finish()
        };
        let writer = Box::new(writer);
        match Builder::new().name("capture".into()).spawn(work) {
            Ok(thread) => match hand_over.send(writer) {
                Ok(()) => Ok(Self {
                    to_writer: Some(to_writer),
                    from_writer,
                    thread: Some(thread),
                    batches: 0,
                    limit,
                    queued,
                }),
                Err(returned) => Err(returned.0),
            },
            Err(_) => Err(writer),
        }
    }

    /// Passes a batch to the writer and returns an empty one. With `wait` it waits until the writer has room, else the
    /// batch is given back as it was.
    pub(super) fn hand_over(&mut self, batch: Batch, wait: bool) -> Result<Batch, Batch> {
        let Some(to_writer) = &self.to_writer else { return Err(batch) };
        if batch.is_empty() && !batch.flush {
            return Ok(batch);
        }
        // An empty one first: without it there is no place for what comes next.
        let empty = match self.from_writer.try_recv() {
            Ok(used) => used,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) if self.batches < self.limit => {
                self.batches += 1;
                Batch::default()
            }
            Err(_) if wait => match self.from_writer.recv() {
                Ok(used) => used,
                Err(RecvError) => return Err(batch),
            },
            Err(_) => return Err(batch),
        };
        // After a burst its batches are freed.
        while self.batches > BATCHES && self.from_writer.try_recv().is_ok() {
            self.batches -= 1;
        }
        // As many places as batches: this neither waits nor fails, unless the thread has panicked.
        self.queued.fetch_add(1, Ordering::Relaxed);
        match to_writer.try_send(batch) {
            Ok(()) => Ok(empty),
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                self.queued.fetch_sub(1, Ordering::Relaxed);
                Err(batch)
            }
        }
    }

    /// True while as many batches wait for the thread as stand in its queue outside a burst.
    pub(super) fn is_behind(&self) -> bool {
        self.queued.load(Ordering::Relaxed) >= BATCHES
    }

    /// Tells the writer that nothing more comes. True if it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.to_writer = None;
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until everything is written.
    pub(super) fn close(&mut self) -> SinkOutcome {
        self.to_writer = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(panic)) if !std::thread::panicking() => std::panic::resume_unwind(panic),
            _ => SinkOutcome::default(),
        }
    }
}
