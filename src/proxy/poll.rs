//! What the kernel says about sockets: one [`Poller`] of the crate `polling`, whose time limits are finer than a
//! millisecond. [`Watched`] is a socket that it watches; it leaves the poller when it is dropped.
//!
//! A socket says once that it became readable or writable, and then when it changed again (edge-triggered). Where the system
//! has no such mode, it is asked again after each `EWOULDBLOCK`.

#![allow(unsafe_code)]

use std::io;
use std::ops::Deref;
use std::sync::Arc;

use polling::{AsRawSource, AsSource, Event, PollMode, Poller};

/// Which socket an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// What the owner of the proxy watches: signals, the end of COMMAND.
    Other,
    /// A listening socket, by the number of its pair.
    Listener(usize),
    /// A connection of a client, by its slot.
    Near(usize),
    /// A connection to a target, by its slot.
    Far(usize),
    /// A UDP socket that clients send to, by the number of its pair.
    Datagrams(usize),
    /// A UDP socket to a target, by the slot of its flow.
    Flow(usize),
}

impl Key {
    const fn number(self) -> usize {
        match self {
            Self::Other => 0,
            Self::Listener(at) => at << 3 | 1,
            Self::Near(at) => at << 3 | 2,
            Self::Far(at) => at << 3 | 3,
            Self::Datagrams(at) => at << 3 | 4,
            Self::Flow(at) => at << 3 | 5,
        }
    }

    pub(super) const fn of(number: usize) -> Self {
        let at = number >> 3;
        match number & 7 {
            1 => Self::Listener(at),
            2 => Self::Near(at),
            3 => Self::Far(at),
            4 => Self::Datagrams(at),
            5 => Self::Flow(at),
            _ => Self::Other,
        }
    }
}

/// A socket in a poller.
pub(super) struct Watched<T: AsSource> {
    source: T,
    poller: Arc<Poller>,
    key: Key,
    mode: PollMode,
}

impl<T: AsSource> Watched<T>
where
    for<'a> &'a T: AsRawSource,
{
    /// A socket whose changes are reported.
    pub(super) fn changes(source: T, poller: &Arc<Poller>, key: Key) -> io::Result<Self> {
        let mode = if poller.supports_edge() { PollMode::Edge } else { PollMode::Oneshot };
        Self::add(source, poller, key, Event::all(key.number()), mode)
    }

    /// A socket that is reported as long as it is readable.
    pub(super) fn readable(source: T, poller: &Arc<Poller>, key: Key) -> io::Result<Self> {
        let mode = if poller.supports_level() { PollMode::Level } else { PollMode::Oneshot };
        Self::add(source, poller, key, Event::readable(key.number()), mode)
    }

    fn add(source: T, poller: &Arc<Poller>, key: Key, interest: Event, mode: PollMode) -> io::Result<Self> {
        // SAFETY: the source has to leave the poller before it is closed. `drop` sees to that, since the source is owned.
        unsafe { poller.add_with_mode(&source, interest, mode) }?;
        Ok(Self { source, poller: Arc::clone(poller), key, mode })
    }
}

impl<T: AsSource> Watched<T> {
    /// Asks for the next change, where the system does not report it by itself.
    pub(super) fn ask_again(&self, readable: bool, writable: bool) {
        if self.mode == PollMode::Oneshot {
            let _ = self.poller.modify(&self.source, Event::new(self.key.number(), readable, writable));
        }
    }

    /// Reports readability from now on, or not.
    pub(super) fn listen(&self, on: bool) -> io::Result<()> {
        self.poller.modify_with_mode(&self.source, Event::new(self.key.number(), on, false), self.mode)
    }
}

impl<T: AsSource> Deref for Watched<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.source
    }
}

impl<T: AsSource> Drop for Watched<T> {
    fn drop(&mut self) {
        let _ = self.poller.delete(&self.source); // it is in the poller, so this cannot fail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_the_way_through_its_number() {
        for at in [0, 1, 1 << 40] {
            for key in [Key::Listener(at), Key::Near(at), Key::Far(at), Key::Datagrams(at), Key::Flow(at)] {
                assert_eq!(Key::of(key.number()), key);
            }
        }
        assert_eq!(Key::of(Key::Other.number()), Key::Other);
    }
}
