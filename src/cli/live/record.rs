//! The capture of a live host: begun before the first packet, flushed now and then, closed with a summary.

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::args;
use crate::capture::{Capture, Format, Settings, WhenBehind};
use crate::cli::CliError;
use crate::cli::output::Output;
use crate::event::Observer;

/// The section comment: a live run cannot be run again.
const RECIPE: &str = r#"{"tcplab":1,"live":true}"#;
/// How long a record may wait on a stream that somebody reads meanwhile.
const STREAM: Duration = Duration::from_millis(50);
/// And in a file, which is looked at after a crash.
const FILE: Duration = Duration::from_secs(1);

pub(super) struct Recording {
    capture: Rc<RefCell<Capture>>,
    on_stdout: bool,
    /// How long a record may wait.
    patience: Duration,
    flushed: Instant,
}

impl Recording {
    pub(super) fn open(wanted: &args::Capture, interface: &str) -> Result<Option<Self>, CliError> {
        let Some(path) = &wanted.write else { return Ok(None) };
        let on_stdout = path.as_os_str() == "-";
        let mut settings = Settings::default()
            .recipe(RECIPE)
            .interface(interface)
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
            if io::stdout().is_terminal() {
                let text =
                    "-w -: standard output is a terminal; give a FILE, or pipe it: `... -w - | wireshark -k -i -`";
                return Err(CliError::Usage(text.to_owned()));
            }
            settings.stream(crate::live::standard_output()?, "standard output")
        } else {
            settings.create(path)
        };
        let capture = capture.map_err(|error| CliError::Run(error.to_string()))?;
        let patience = match (wanted.packet_buffered, on_stdout) {
            (true, _) => Duration::ZERO,
            (false, true) => STREAM,
            (false, false) => FILE,
        };
        let capture = Rc::new(RefCell::new(capture));
        Ok(Some(Self { capture, on_stdout, patience, flushed: Instant::now() }))
    }

    pub(super) fn observer(&self) -> Rc<RefCell<dyn Observer>> {
        Rc::clone(&self.capture) as _
    }

    pub(super) fn is_on_stdout(&self) -> bool {
        self.on_stdout
    }

    /// Flushes if it is time to. Gives how long the loop may wait before it asks again.
    pub(super) fn keep_flushed(&mut self) -> Option<Duration> {
        let mut capture = self.capture.borrow_mut();
        if capture.is_flushed() {
            return None;
        }
        let waited = self.flushed.elapsed();
        let left = self.patience.saturating_sub(waited);
        if !left.is_zero() {
            return Some(left);
        }
        capture.flush();
        self.flushed = Instant::now();
        None
    }

    /// Writes the rest. `dropped` is what the device's queue had no room for.
    pub(super) fn close(self, dropped: u64, output: Output) -> Result<(), CliError> {
        let closed = self.capture.borrow_mut().close();
        let (summary, result) = match closed {
            Ok(summary) => (summary, Ok(())),
            Err(error) => (error.summary.unwrap_or_default(), Err(CliError::Run(error.to_string()))),
        };
        output.note(format_args!(
            "{} packets captured, {dropped} dropped by the device queue, {} not written",
            summary.captured,
            summary.not_written + summary.dropped
        ));
        result
    }
}
