//! Writes records into a file or a stream, and handles write errors. `writer` fills it.
//!
//! Records are gathered and written many at a time, but only ever whole: the buffer is handed over at the end of a
//! record, so that a process that is killed leaves a file that ends on one. Three ways to fail:
//!
//! - a regular file (disk full): it is cut back to its last whole record, and nothing more is written to it, since what
//!   follows a hole is garbage. The run continues; the error is reported at the end.
//! - a stream: the same, but what is written is written.
//! - a reader that has closed the pipe (`BrokenPipe`), as in `tcplab ... -w - | head`. This is no error.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes gathered before they are written.
const GATHER: usize = 128 * 1024;
/// Bytes of one write to a stream: a pipe takes so many at once or none of them (`PIPE_BUF`). So a reader that is slow is seen
/// to go on, and what a reader that has stopped finds is what was counted.
const PIECE: usize = 4096;

/// What the packet path sees of the writing.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Nothing more can be written, so that nothing more need be copied.
    pub(super) over: AtomicBool,
    /// Bytes in the target.
    pub(super) bytes: AtomicU64,
    /// Packets in the target, whole records.
    pub(super) kept: AtomicU64,
}

/// Something that takes the bytes of a capture.
pub(super) trait Target: Write + Send {
    /// Takes back everything beyond the first `len` bytes; `false` if that cannot be done here.
    fn cut_back(&mut self, len: u64) -> io::Result<bool>;
}

/// A regular file.
pub(super) struct Regular(pub(super) File);

/// A pipe, a terminal, a device: bytes that are out are out.
pub(super) struct Stream(pub(super) Box<dyn Write + Send>);

impl Target for Regular {
    fn cut_back(&mut self, len: u64) -> io::Result<bool> {
        self.0.set_len(len).map(|()| true)
    }
}

impl Target for Stream {
    fn cut_back(&mut self, _len: u64) -> io::Result<bool> {
        Ok(false)
    }
}

impl Write for Regular {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(PIECE)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Gathers whole records and writes them.
pub(super) struct Sink {
    target: Box<dyn Target>,
    /// Whole records, not yet written.
    pub(super) gathered: Vec<u8>,
    /// Where each packet in `gathered` ends.
    ends: Vec<usize>,
    /// Bytes of whole records in the target.
    written: u64,
    /// Packets in the target.
    kept: u64,
    not_written: u64,
    failure: Option<io::Error>,
    progress: Arc<Progress>,
}

/// The counts of packets, and the first error.
#[derive(Debug, Default)]
pub(super) struct SinkOutcome {
    pub(super) kept: u64,
    pub(super) not_written: u64,
    pub(super) failure: Option<io::Error>,
}

impl Sink {
    pub(super) fn new(target: Box<dyn Target>, progress: Arc<Progress>) -> Self {
        Self {
            target,
            gathered: Vec::with_capacity(GATHER + GATHER / 2),
            ends: Vec::new(),
            written: 0,
            kept: 0,
            not_written: 0,
            failure: None,
            progress,
        }
    }

    /// A whole packet was added to `gathered`.
    pub(super) fn packet_added(&mut self) {
        self.ends.push(self.gathered.len());
        if self.gathered.len() >= GATHER {
            self.write_out();
        }
    }

    /// True after the first error.
    pub(super) fn is_over(&self) -> bool {
        self.progress.over.load(Ordering::Relaxed)
    }

    /// A packet that can no longer be written.
    pub(super) fn count_not_written(&mut self) {
        self.not_written += 1;
    }

    /// Writes what is gathered, and has the target pass it on.
    pub(super) fn flush(&mut self) {
        self.write_out();
        if self.is_over() {
            return;
        }
        if let Err(error) = self.target.flush() {
            self.fail(error);
        }
    }

    pub(super) fn outcome(&mut self) -> SinkOutcome {
        SinkOutcome { kept: self.kept, not_written: self.not_written, failure: self.failure.take() }
    }

    fn write_out(&mut self) {
        if self.is_over() || self.gathered.is_empty() {
            self.drop_gathered(0);
            return;
        }
        let mut done = 0;
        let result = loop {
            match self.target.write(&self.gathered[done..]) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    done += n;
                    self.report(n, done);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
            if done == self.gathered.len() {
                break Ok(());
            }
        };
        match result {
            Ok(()) => {
                self.written += done as u64;
                self.drop_gathered(self.ends.len());
            }
            Err(error) => {
                let whole = self.ends.partition_point(|end| *end <= done);
                // Before the first packet of a file there is its head, which is written with it or not at all.
                self.written += whole.checked_sub(1).map_or(0, |last| self.ends[last]) as u64;
                self.drop_gathered(whole);
                self.fail(error);
            }
        }
    }

    /// Tells the packet path that `more` bytes are written, `done` of those gathered.
    fn report(&self, more: usize, done: usize) {
        self.progress.bytes.fetch_add(more as u64, Ordering::Relaxed);
        let whole = self.ends.partition_point(|end| *end <= done);
        self.progress.kept.store(self.kept + whole as u64, Ordering::Relaxed);
    }

    /// Empties the buffer, of which the first `whole` packets are in the target.
    fn drop_gathered(&mut self, whole: usize) {
        self.kept += whole as u64;
        self.not_written += (self.ends.len() - whole) as u64;
        self.gathered.clear();
        self.ends.clear();
    }

    fn fail(&mut self, error: io::Error) {
        self.progress.over.store(true, Ordering::Relaxed);
        if error.kind() == ErrorKind::BrokenPipe {
            return;
        }
        self.failure = Some(match self.target.cut_back(self.written) {
            Ok(_) => error,
            Err(cut) => io::Error::new(error.kind(), format!("{error}; cutting off the torn end failed too: {cut}")),
        });
    }
}
