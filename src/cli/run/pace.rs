//! `run --realtime`: an observer that holds each event back until its time on the wall clock. It also flushes the captures
//! before it waits, so that a reader sees them grow.

use std::cell::RefCell;
use std::rc::Rc;

use crate::capture::Capture;
use crate::event::{Event, HostEvent, Observer};
use crate::time::Instant;

/// Waits until the time of each event on the wall clock. It flushes the captures before it waits. It must be the first
/// observer.
pub(super) struct Pace {
    began: std::time::Instant,
    last: Instant,
    captures: Rc<RefCell<Vec<Rc<RefCell<Capture>>>>>,
}

impl Pace {
    pub(super) fn new(captures: Rc<RefCell<Vec<Rc<RefCell<Capture>>>>>) -> Self {
        Self { began: std::time::Instant::now(), last: Instant::EPOCH, captures }
    }
}

impl Observer for Pace {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        // Events inside a host do not wait: a call or a packet follows them, which does. The end of TIME-WAIT has neither,
        // and the run does not wait for it.
        let inside = matches!(event, Event::Host { event, .. } if !matches!(event, HostEvent::Call { .. }));
        if at <= self.last || inside {
            return;
        }
        self.last = at;
        // More about a packet may follow it at the same instant. The record is complete when the time advances.
        for capture in self.captures.borrow().iter() {
            capture.borrow_mut().flush();
        }
        let due = self.began + (at - Instant::EPOCH);
        std::thread::sleep(due.saturating_duration_since(std::time::Instant::now()));
    }
}
