//! From packets to records: here the comments are formatted, the records put together, and the sink filled. The same
//! code runs in two places, so that the bytes are the same:
//!
//! ```text
//!  packet path                     the scribe's thread, or the packet path itself
//!  bytes and facts --> Batch --(bounded channel)--> comment --> record --> Sink --> file
//!            ^-----------(used again)-----------------'
//! ```
//!
//! A batch is handed over when it is full or when somebody flushes; then its buffers come back. So the packet path
//! copies bytes, allocates nothing in the steady state, and wakes the other thread once for many packets.

use std::sync::mpsc::{Receiver, RecvError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::comment::{self, Subject};
use super::encode::{self, Record};
use super::flows::{Ends, FlowTable};
use super::sink::{Outcome, Sink};
use super::{Comments, Direction, Format, Numbers};
use crate::conversation::Side;
use crate::event::{Fate, TimerKind};
use crate::time::Instant;

/// A batch is handed over when it holds so much: waking the other thread costs as much as some twenty packets.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_ENTRIES: usize = 2048;
/// Batches on their way; with the one being filled, what the packet path can be ahead.
const BATCHES: usize = 8;
/// The same where the packet path does not wait: a burst of 64 MiB is no loss.
const BATCHES_OF_A_BURST: usize = 256;

/// Comments are written from the headers: so much of a packet is copied, even if less of it goes into the file. 60
/// bytes of IPv4, or an IPv6 header with extensions, and 60 of TCP fit.
const HEADERS: usize = 160;

/// One packet: what is known of it beside its bytes, and how many of these were copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) at: Instant,
    pub(super) direction: Option<Direction>,
    pub(super) fate: Option<Fate>,
    pub(super) copied: u32,
    pub(super) original_len: u32,
}

/// What a connection has said of itself between two packets. Rare, and large.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    Timer { at: Instant, ends: Ends, timer: TimerKind },
    Numbers { ends: Ends, numbers: Numbers },
}

/// What happened, in the order in which it happened.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Packet(Facts),
    /// The next one of the news.
    News,
}

/// Entries, and the bytes of their packets one after the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    news: Vec<News>,
    /// The sink is to write out everything.
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
    /// How much of a packet the scribe needs.
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
        self.entries.len() >= BATCH_ENTRIES || self.bytes.len() >= BATCH_BYTES
    }

    pub(super) fn packets(&self) -> usize {
        self.entries.len() - self.news.len()
    }

    pub(super) fn push(&mut self, facts: Facts, bytes: &[u8]) {
        self.entries.push(Entry::Packet(facts));
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn push_news(&mut self, news: News) {
        self.entries.push(Entry::News);
        self.news.push(news);
    }

    pub(super) fn clear(&mut self) {
        let Self { entries, bytes, news, flush } = self;
        entries.clear();
        bytes.clear();
        news.clear();
        *flush = false;
    }

    pub(super) fn ask_to_flush(&mut self) {
        self.flush = true;
    }
}

/// Writes records.
pub(super) struct Scribe {
    manner: Manner,
    flows: FlowTable,
    sink: Sink,
    comment: String,
    /// A packet of which only the beginning was copied, filled up with zeros to its length.
    filled_up: Vec<u8>,
}

impl Scribe {
    pub(super) fn new(manner: Manner, sink: Sink) -> Self {
        Self { manner, flows: FlowTable::default(), sink, comment: String::new(), filled_up: Vec::new() }
    }

    /// Takes the entries of a batch and empties it.
    pub(super) fn take(&mut self, batch: &mut Batch) {
        let mut rest = batch.bytes.as_slice();
        let mut news = batch.news.as_slice();
        for (n, entry) in batch.entries.iter().enumerate() {
            match entry {
                Entry::Packet(facts) => {
                    // A host tells why it sent, and what it knows now, right after it has sent.
                    let behind = batch.entries[n + 1..].iter().take_while(|entry| matches!(entry, Entry::News));
                    for news in &news[..behind.count()] {
                        self.note(news);
                    }
                    let (bytes, others) = rest.split_at(facts.copied as usize);
                    rest = others;
                    self.write_packet(facts, bytes);
                }
                Entry::News => {
                    let (first, others) = news.split_first().expect("one for each such entry");
                    news = others;
                    self.note(first);
                }
            }
        }
        if batch.flush {
            self.sink.flush();
        }
        batch.clear();
    }

    pub(super) fn finish(&mut self) -> Outcome {
        self.sink.flush();
        self.sink.outcome()
    }

    fn note(&mut self, news: &News) {
        match *news {
            News::Timer { at, ends, timer } => self.flows.flow(ends).timer = Some((at, timer)),
            News::Numbers { ends, numbers } => self.flows.flow(ends).numbers = Some(numbers),
        }
    }

    fn write_packet(&mut self, facts: &Facts, bytes: &[u8]) {
        let Facts { at, direction, fate, copied: _, original_len } = *facts;
        if self.sink.is_over() {
            return self.sink.count_not_written();
        }
        let Self { manner, flows, sink, comment, filled_up } = self;
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
            let inbound = direction == Some(Direction::Inbound);
            let from = if inbound { Side::Remote } else { Side::Local };
            let subject = Subject { at, from, bytes: packet, verify: inbound && whole, fate };
            comment::write(comment, manner.comments, flows, &subject);
        }
        let kept = manner.snaplen.map_or(bytes.len(), |snaplen| bytes.len().min(snaplen as usize));
        let record = Record { at, direction, bytes: &bytes[..kept], original_len, comment };
        encode::packet(&mut sink.gathered, manner.format, &record);
        sink.packet_added();
    }
}

/// A scribe on a thread of its own.
pub(super) struct Office {
    to_scribe: Option<SyncSender<Batch>>,
    from_scribe: Receiver<Batch>,
    thread: Option<JoinHandle<Outcome>>,
    /// Batches that exist beside the one being filled.
    batches: usize,
    /// How many there may be.
    limit: usize,
}

impl Office {
    /// Starts the thread, or gives the scribe back where there are no threads. `waits` says whether the packet path
    /// waits for it.
    pub(super) fn open(scribe: Scribe, waits: bool) -> Result<Self, Box<Scribe>> {
        let limit = if waits { BATCHES } else { BATCHES_OF_A_BURST };
        let (to_scribe, incoming) = sync_channel::<Batch>(limit);
        let (outgoing, from_scribe) = sync_channel::<Batch>(limit + 1);
        let (hand_over, post) = sync_channel::<Box<Scribe>>(1);
        let work = move || {
            let Ok(mut scribe) = post.recv() else { return Outcome::default() };
            // Until the packet path closes its end.
            while let Ok(mut batch) = incoming.recv() {
                scribe.take(&mut batch);
                // There is a place for each batch that exists; after the end nobody wants them.
                let _ = outgoing.try_send(batch);
            }
            scribe.finish()
        };
        let scribe = Box::new(scribe);
        match Builder::new().name("capture".into()).spawn(work) {
            Ok(thread) => match hand_over.send(scribe) {
                Ok(()) => Ok(Self { to_scribe: Some(to_scribe), from_scribe, thread: Some(thread), batches: 0, limit }),
                Err(returned) => Err(returned.0),
            },
            Err(_) => Err(scribe),
        }
    }

    /// Hands a batch over for an empty one. With `wait` it waits until the scribe has room, else the batch is given
    /// back as it was.
    pub(super) fn hand_over(&mut self, batch: Batch, wait: bool) -> Result<Batch, Batch> {
        let Some(to_scribe) = &self.to_scribe else { return Err(batch) };
        if batch.is_empty() && !batch.flush {
            return Ok(batch);
        }
        // An empty one first: without it there is no place for what comes next.
        let empty = match self.from_scribe.try_recv() {
            Ok(used) => used,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) if self.batches < self.limit => {
                self.batches += 1;
                Batch::default()
            }
            Err(_) if wait => match self.from_scribe.recv() {
                Ok(used) => used,
                Err(RecvError) => return Err(batch),
            },
            Err(_) => return Err(batch),
        };
        // As many places as batches: this neither waits nor fails, unless the thread has panicked.
        match to_scribe.try_send(batch) {
            Ok(()) => Ok(empty),
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => Err(batch),
        }
    }

    /// Waits until everything is written.
    pub(super) fn close(&mut self) -> Outcome {
        self.to_scribe = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(panic)) if !std::thread::panicking() => std::panic::resume_unwind(panic),
            _ => Outcome::default(),
        }
    }
}
