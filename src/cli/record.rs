//! The capture of a host in real time, or of a side of a wire. It begins before the first packet, is flushed at intervals,
//! and is closed with a summary. `serve`, `connect`, `proxy` and `wire` have one.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::CliError;
use super::host::Capture as Wanted;
use super::output::Output;
use super::output_file::Destination;
use crate::capture::{Capture, Format, Settings, WhenBehind};
use crate::event::{HostId, Observer};

/// How long a record may wait before it is written to a pipe.
const STREAM: Duration = Duration::from_millis(50);
/// How long a record may wait before it is written to a file.
const FILE: Duration = Duration::from_secs(1);

/// A moment between two looks at a capture that is being closed.
const MOMENT: Duration = Duration::from_millis(2);
/// After a signal: a pipe that takes nothing for so long while the capture is closed has no reader that goes on.
const STOPPED_PIPE: Duration = Duration::from_secs(2);
/// After a signal: the most time for closing a capture that goes into a pipe, for a reader that is slow.
const LONGEST_PIPE: Duration = Duration::from_secs(10);
/// Without a signal: a reader that takes nothing for so long has stopped. One that has just been started, such as Wireshark,
/// may need many seconds before it reads.
const SILENT_READER: Duration = Duration::from_mins(1);
/// The same for a file: a disk that is slow loses nothing, and one that hangs does not keep the program.
const STOPPED_FILE: Duration = Duration::from_secs(10);

/// The section comment. A live run cannot be repeated; with the same seed its link draws the same.
fn recipe(seed: u64) -> String {
    format!(r#"{{"tcplab":1,"live":true,"seed":{seed}}}"#)
}

/// The host at whose interface a capture is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vantage<'a> {
    pub(super) host: HostId,
    /// The name of the interface in the file.
    pub(super) interface: &'a str,
}

pub(super) struct Recording {
    capture: Rc<RefCell<Capture>>,
    on_stdout: bool,
    /// It goes into a pipe or the like.
    is_stream: bool,
    /// How long a record may wait.
    delay: Duration,
    flushed: Instant,
}

impl Recording {
    /// Decides where the capture goes, before anything is changed on this machine.
    #[cfg(all(feature = "live", target_os = "linux"))]
    pub(super) fn destination(wanted: &Wanted) -> Result<Option<Destination>, CliError> {
        wanted.comments.check(wanted.pcap)?;
        wanted.write.as_ref().map(|path| Destination::check(path, &[], wanted.force)).transpose()
    }

    pub(super) fn open(
        wanted: &Wanted,
        destination: &Destination,
        vantage: Vantage<'_>,
        seed: u64,
    ) -> Result<Self, CliError> {
        let on_stdout = destination.is_stdout();
        let mut settings = Settings::default()
            .recipe(recipe(seed))
            .at(vantage.host)
            .interface(vantage.interface)
            .comments(wanted.comments.into())
            .when_behind(WhenBehind::Drop);
        if let Some(count) = wanted.count {
            settings = settings.count(count);
        }
        if let Some(snaplen) = wanted.snaplen {
            settings = settings.snaplen(snaplen);
        }
        if wanted.pcap {
            settings = settings.format(Format::Pcap);
        }
        let capture = if on_stdout {
            let stream = settings.stream(super::output::standard_output()?, "standard output");
            stream.map_err(|error| CliError::Usage(error.to_string()))?
        } else {
            destination.capture(settings)?
        };
        let delay = match (wanted.packet_buffered, on_stdout) {
            (true, _) => Duration::ZERO,
            (false, true) => STREAM,
            (false, false) => FILE,
        };
        let capture = Rc::new(RefCell::new(capture));
        let path = match destination {
            Destination::Stdout => std::path::Path::new("/dev/stdout"),
            Destination::File(path) => path,
        };
        let is_stream = !std::fs::metadata(path).is_ok_and(|file| file.is_file());
        Ok(Self { capture, on_stdout, is_stream, delay, flushed: Instant::now() })
    }

    pub(super) fn observer(&self) -> Rc<RefCell<dyn Observer>> {
        Rc::clone(&self.capture) as _
    }

    pub(super) fn is_on_stdout(&self) -> bool {
        self.on_stdout
    }

    /// Flushes if it is due. Gives the time until the next flush is due.
    pub(super) fn keep_flushed(&mut self) -> Option<Duration> {
        let mut capture = self.capture.borrow_mut();
        if capture.is_flushed() {
            return None;
        }
        let waited = self.flushed.elapsed();
        let left = self.delay.saturating_sub(waited);
        if !left.is_zero() {
            return Some(left);
        }
        capture.flush();
        self.flushed = Instant::now();
        // A writer that is behind takes it later.
        (!capture.is_flushed()).then_some(self.delay.max(STREAM))
    }

    /// Writes the rest, in a bounded time. `dropped` is the number of packets that the device's queue dropped, if there is a
    /// device. After a signal the time is short; `signalled` says whether one has come, and is asked again and again.
    pub(super) fn close(
        self,
        dropped: Option<u64>,
        signalled: impl FnMut() -> bool,
        output: Output,
    ) -> Result<(), CliError> {
        let patience = patience(self.is_stream, signalled, output);
        let closed = self.capture.borrow_mut().close_while(patience);
        let (summary, result) = match closed {
            Ok(summary) => (summary, Ok(())),
            Err(error) => (error.summary.unwrap_or_default(), Err(CliError::Run(error.to_string()))),
        };
        let dropped = dropped.map_or_else(String::new, |dropped| format!(", {dropped} dropped by the device queue"));
        let not_written = summary.not_written + summary.dropped;
        output.note(format_args!("{} packets captured{dropped}, {not_written} not written", summary.captured));
        result
    }
}

/// Waits while a capture is being closed, as long as that makes sense. A reader of a pipe that has not begun to read gets its
/// time, until a signal says that the user does not wait for it.
fn patience(is_stream: bool, mut signalled: impl FnMut() -> bool, output: Output) -> impl FnMut(u64) -> bool {
    let began = Instant::now();
    let mut last = (0, began);
    let mut told = false;
    move |written| {
        let now = Instant::now();
        if written != last.0 {
            last = (written, now);
        }
        std::thread::sleep(MOMENT);
        let stopped = now - last.1;
        if !is_stream {
            return stopped < STOPPED_FILE;
        }
        if signalled() {
            return stopped < STOPPED_PIPE && now - began < LONGEST_PIPE;
        }
        if stopped >= STOPPED_PIPE && !told {
            told = true;
            output.note("the capture waits for its reader; Ctrl-C gives up what is not written yet");
        }
        stopped < SILENT_READER
    }
}
