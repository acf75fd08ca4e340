//! The wall clock for a run in virtual time, and captures that are shown as they grow.

use std::cell::RefCell;
use std::rc::Rc;

use crate::capture::Capture;
use crate::event::{Event, HostEvent, Observer};
use crate::time::Instant;

/// Lets no event pass before its time has come on the wall clock, and has the captures written out before it waits. It
/// has to observe first.
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
        // What goes on inside of a host shows itself by a call or a packet; the end of TIME-WAIT, which shows itself by
        // nothing, nobody wants to wait for.
        let inside = matches!(event, Event::Host { event, .. } if !matches!(event, HostEvent::Call { .. }));
        if at <= self.last || inside {
            return;
        }
        self.last = at;
        // What is known of a packet may come behind it, at the same instant: not before now is it whole.
        for capture in self.captures.borrow().iter() {
            capture.borrow_mut().flush();
        }
        let due = self.began + (at - Instant::EPOCH);
        std::thread::sleep(due.saturating_duration_since(std::time::Instant::now()));
    }
}

/// A capture that somebody else closes.
pub(super) struct Shared(pub(super) Rc<RefCell<Capture>>);

impl Observer for Shared {
    fn wants_numbers(&self) -> bool {
        self.0.borrow().wants_numbers()
    }

    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        self.0.borrow_mut().on_event(at, event);
    }
}
