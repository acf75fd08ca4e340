//! How a capture is taken: which host, what is written, where to, and what happens when the writer cannot keep up.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::encode::{self, Head};
use super::sink::{Progress, Regular, Sink, Stream, Target};
use super::writer::{Manner, Writer};
use super::{Capture, Comments, Format, WriteError};
use crate::event::HostId;

/// What to do with a packet when the writer's thread is many packets behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum WhenBehind {
    /// Wait: the capture is complete. This is for virtual time.
    #[default]
    Wait,
    /// Leave the packet out and count it: the capture never delays packets. This is for the wall clock.
    Drop,
}

/// Settings of a capture, changed one by one: `Settings::default().at(host).snaplen(128).create("x.pcapng")?`.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) at: HostId,
    pub(super) format: Option<Format>,
    pub(super) comments: Comments,
    pub(super) snaplen: Option<u32>,
    pub(super) count: Option<u64>,
    pub(super) recipe: Option<String>,
    pub(super) interface: Option<String>,
    pub(super) own_thread: bool,
    pub(super) when_behind: WhenBehind,
}

impl Default for Settings {
    /// The first host, everything whole, brief comments, a thread where there are threads, waiting for it.
    fn default() -> Self {
        Self {
            at: HostId(0),
            format: None,
            comments: Comments::default(),
            snaplen: None,
            count: None,
            recipe: Some(NO_RECIPE.to_owned()),
            interface: None,
            own_thread: true,
            when_behind: WhenBehind::default(),
        }
    }
}

/// The section comment of a capture that was not made from a scenario: it says that the comments are ours.
const NO_RECIPE: &str = r#"{"tcplab":1}"#;

impl Settings {
    /// The vantage point: the packets that this host sends and that are delivered to it.
    #[must_use]
    pub fn at(self, at: HostId) -> Self {
        Self { at, ..self }
    }

    /// The file format, whatever the path ends in.
    #[must_use]
    pub fn format(self, format: Format) -> Self {
        Self { format: Some(format), ..self }
    }

    /// How detailed the comments are. A pcap file has no comments.
    #[must_use]
    pub fn comments(self, comments: Comments) -> Self {
        Self { comments, ..self }
    }

    /// The most bytes of each packet; 0 for all of them, as in tcpdump.
    #[must_use]
    pub fn snaplen(self, snaplen: u32) -> Self {
        Self { snaplen: (snaplen != 0).then_some(snaplen), ..self }
    }

    /// Only the first `count` packets.
    #[must_use]
    pub fn count(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }

    /// The recipe from which the run can be repeated. It is the comment on the section, of up to 65532 bytes.
    #[must_use]
    pub fn recipe(self, recipe: impl Into<String>) -> Self {
        Self { recipe: Some(recipe.into()), ..self }
    }

    /// The name of the interface at the vantage point, for example that of a simulated host. It should not be the name
    /// of a machine's device.
    #[must_use]
    pub fn interface(self, name: impl Into<String>) -> Self {
        Self { interface: Some(name.into()), ..self }
    }

    /// Whether comments and records are made on a thread of its own (the default; where there are no threads it is done
    /// in place). The bytes are the same.
    #[must_use]
    pub fn own_thread(self, own_thread: bool) -> Self {
        Self { own_thread, ..self }
    }

    /// What to do when the thread is behind.
    #[must_use]
    pub fn when_behind(self, when_behind: WhenBehind) -> Self {
        Self { when_behind, ..self }
    }

    /// Begins a capture into a file, which is overwritten if there is one. A named pipe is waited for until a process
    /// reads it.
    ///
    /// # Errors
    /// The file cannot be made, or its first bytes cannot be written.
    pub fn create(self, path: impl AsRef<Path>) -> Result<Capture, WriteError> {
        let path = path.as_ref();
        let format = self.format.unwrap_or_else(|| Format::of(path));
        let failed = |source| WriteError::creating(&path.display().to_string(), source);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path).map_err(failed)?;
        let regular = file.metadata().map_err(failed)?.is_file();
        let target: Box<dyn Target> = if regular { Box::new(Regular(file)) } else { Box::new(Stream(Box::new(file))) };
        self.begin(target, format, path.display().to_string())
    }

    /// Begins a capture into a stream; `name` is for messages, for example `"standard output"`.
    ///
    /// # Errors
    /// The first bytes cannot be written.
    pub fn stream(self, stream: impl Write + Send + 'static, name: &str) -> Result<Capture, WriteError> {
        let format = self.format.unwrap_or_default();
        self.begin(Box::new(Stream(Box::new(stream))), format, name.to_owned())
    }

    pub(super) fn begin(self, target: Box<dyn Target>, format: Format, name: String) -> Result<Capture, WriteError> {
        for text in [&self.recipe, &self.interface].into_iter().flatten() {
            if text.len() > encode::MAX_OPTION {
                return Err(WriteError::too_long(&name, text.len()));
            }
        }
        let progress = Arc::new(Progress::default());
        let mut sink = Sink::new(target, Arc::clone(&progress));
        let head =
            Head { snaplen: self.snaplen, section_comment: self.recipe.clone(), interface: self.interface.clone() };
        encode::head(&mut sink.gathered, format, &head);
        // At once: a full disk is known before the run, and a reader of the stream sees that something has begun.
        sink.flush();
        if let Some(source) = sink.outcome().failure {
            return Err(WriteError::creating(&name, source));
        }
        let manner = Manner { format, comments: self.comments, snaplen: self.snaplen };
        Ok(Capture::begin(Writer::new(manner, sink), manner, &self, name, progress))
    }
}
