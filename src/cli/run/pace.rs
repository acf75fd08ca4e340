//! The wall clock for a run in virtual time, and captures that are shown as they grow.

use std::cell::RefCell;
use std::rc::Rc;

use crate::capture::Capture;
use crate::event::{Event, Observer};
use crate::time::Instant;

/// Lets no event pass before its time has come on the wall clock. It has to observe first.
pub(super) struct Pace {
    began: std::time::Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { began: std::time::Instant::now() }
    }
}

impl Observer for Pace {
    fn on_event(&mut self, at: Instant, _: &Event<'_>) {
        let due = self.began + (at - Instant::EPOCH);
        std::thread::sleep(due.saturating_duration_since(std::time::Instant::now()));
    }
}

/// A capture that somebody else closes.
pub(super) struct Shared(pub(super) Rc<RefCell<Capture>>);

impl Observer for Shared {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        self.0.borrow_mut().on_event(at, event);
    }
}

/// A capture each of whose packets is written at once.
pub(super) struct Flushing(pub(super) Rc<RefCell<Capture>>);

impl Observer for Flushing {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        let mut capture = self.0.borrow_mut();
        capture.on_event(at, event);
        capture.flush();
    }
}
