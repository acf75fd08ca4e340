//! What a failing test leaves: the ladder of the run, and with feature `capture` a capture at each host. It observes the run
//! from its start and writes files only when it is asked to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::event::{Event, Observer};
use crate::sim::Sim;
use crate::time::Instant;
use crate::view::Ladder;

/// Observes a run.
#[derive(Default)]
pub(super) struct Recorder {
    ladder: Ladder,
    #[cfg(feature = "capture")]
    captures: captures::Captures,
}

impl Recorder {
    /// Writes the files and gives the path of the ladder. The directory is made if it is missing.
    pub(super) fn keep(&mut self, sim: &Sim, directory: &Path, name: &str) -> io::Result<PathBuf> {
        fs::create_dir_all(directory)?;
        self.ladder.name_hosts(sim.names());
        let path = directory.join(format!("{name}.txt"));
        fs::write(&path, self.ladder.to_string())?;
        #[cfg(feature = "capture")]
        self.captures.keep(sim, directory, name)?;
        Ok(path)
    }
}

impl Observer for Recorder {
    fn wants_numbers(&self) -> bool {
        self.ladder.wants_numbers()
    }

    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        self.ladder.on_event(at, event);
        #[cfg(feature = "capture")]
        self.captures.on_event(at, event);
    }
}

#[cfg(feature = "capture")]
mod captures {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::{self, Write};
    use std::path::Path;
    use std::sync::{Arc, Mutex, PoisonError};

    use crate::capture::{Capture, Settings};
    use crate::event::{Event, HostId, Observer};
    use crate::sim::Sim;
    use crate::time::Instant;

    /// Bytes of a capture that are kept. The packets after that are left out.
    const MOST_BYTES: usize = 64 << 20;

    /// A capture at each node, in memory.
    #[derive(Default)]
    pub(super) struct Captures(BTreeMap<HostId, (Capture, Memory)>);

    impl Captures {
        /// Shows an event to the captures. The first packet at a node begins its capture.
        pub(super) fn on_event(&mut self, at: Instant, event: &Event<'_>) {
            if let Event::Sent { host, .. } | Event::Delivered { host, .. } = event
                && !self.0.contains_key(host)
            {
                let memory = Memory::default();
                let settings = Settings::default().at(*host).own_thread(false);
                if let Ok(capture) = settings.stream(memory.clone(), "memory") {
                    self.0.insert(*host, (capture, memory));
                }
            }
            self.0.values_mut().for_each(|(capture, _)| capture.on_event(at, event));
        }

        /// Writes one file for each host.
        pub(super) fn keep(&mut self, sim: &Sim, directory: &Path, name: &str) -> io::Result<()> {
            let names: BTreeMap<_, _> = sim.names().into_iter().collect();
            for (host, (mut capture, memory)) in core::mem::take(&mut self.0) {
                let Some(host) = names.get(&host).filter(|host| sim.find(host).is_some()) else { continue };
                // An error is a capture that has become too long: it ends with its last whole packet.
                let _ = capture.close();
                let bytes = memory.0.lock().unwrap_or_else(PoisonError::into_inner);
                // A name of a host may hold what a path must not.
                let host: String = host.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
                fs::write(directory.join(format!("{name}.{host}.pcapng")), &*bytes)?;
            }
            Ok(())
        }
    }

    /// A stream that is kept in memory.
    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() + bytes.len() > MOST_BYTES {
                return Err(io::Error::other("the capture is too long to be kept in memory"));
            }
            kept.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
