//! The wall clock of the live loop: instants since the Unix epoch that never go back.

use std::time::{Instant as Monotonic, SystemTime, UNIX_EPOCH};

use crate::time::Instant;

/// The wall clock when the loop began, and the monotonic clock since then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: Instant,
    origin: Monotonic,
}

impl Clock {
    pub(super) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::EPOCH + since_epoch, origin: Monotonic::now() }
    }

    pub(super) fn now(&self) -> Instant {
        self.began + self.origin.elapsed()
    }
}
