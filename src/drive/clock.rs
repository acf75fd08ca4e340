//! The wall clock of a loop in real time: instants since the Unix epoch that never go back. `live` and `proxy` have one.

#![allow(clippy::disallowed_methods)] // it is the wall clock of loops that have one

use std::time::{Instant as Monotonic, SystemTime, UNIX_EPOCH};

use crate::time::Instant;

/// The wall clock when the loop began, and the monotonic clock since then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
    origin: Monotonic,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::EPOCH + since_epoch, origin: Monotonic::now() }
    }

    pub(crate) fn now(&self) -> Instant {
        self.began + self.origin.elapsed()
    }
}
