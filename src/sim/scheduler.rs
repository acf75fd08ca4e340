//! The scheduler: the virtual clock, and what happens next.
//!
//! The clock jumps from event to event. [`EventQueue`] has one slot for each host, scripted peer and link direction. Nodes
//! that were woken by the user of a handle run before the next event. Events at the same instant come in the order in
//! which they were scheduled: a packet when it was sent, a deadline when its host first named it.

use std::collections::VecDeque;

use super::queue::{EventQueue, Key, Slot};
use crate::event::{HostId, LinkId};
use crate::time::Instant;

/// What an event belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// The deadline of a host or of a scripted peer.
    Node(HostId),
    /// The next packet that a link direction delivers.
    Link(LinkId),
}

/// The next event that is due.
pub(super) enum Next {
    /// A node runs although nothing arrived.
    Woken(HostId),
    /// An event of the queue.
    Event(Source),
    /// The next event is later than asked for.
    Later,
    /// There is no next event.
    Idle,
}

#[derive(Default)]
pub(super) struct Scheduler {
    /// The virtual time: the instant of the last event.
    pub(super) now: Instant,
    queue: EventQueue,
    /// What each slot of the queue belongs to.
    sources: Vec<Source>,
    /// The slots of the link directions, by number.
    links: Vec<Slot>,
    /// Nodes to be run at this instant although nothing arrived, each once.
    woken: VecDeque<HostId>,
    /// Breaks ties in time.
    pub(super) sequence: u64,
}

impl Scheduler {
    /// A slot for the deadlines of a node.
    pub(super) fn add_node(&mut self, node: HostId) -> Slot {
        self.sources.push(Source::Node(node));
        self.queue.add_slot()
    }

    /// A slot for the next link direction, which has this number.
    pub(super) fn add_link(&mut self, link: LinkId) {
        self.sources.push(Source::Link(link));
        let slot = self.queue.add_slot();
        self.links.push(slot);
    }

    /// Has the node run before the next event. The caller sees to it that a node is woken once.
    pub(super) fn wake(&mut self, node: HostId) {
        self.woken.push_back(node);
    }

    /// Takes the next event that is not later than `until`, and sets the clock to it.
    #[inline]
    pub(super) fn next(&mut self, until: Instant) -> Next {
        if let Some(node) = self.woken.pop_front() {
            return Next::Woken(node);
        }
        let Some((at, slot)) = self.queue.peek() else { return Next::Idle };
        if at > until {
            return Next::Later;
        }
        self.now = at;
        Next::Event(self.sources[EventQueue::number(slot)])
    }

    /// Whether [`Scheduler::next`] would give an event.
    pub(super) fn is_due(&self, until: Instant) -> bool {
        !self.woken.is_empty() || self.queue.peek().is_some_and(|(at, _)| at <= until)
    }

    /// When the next event is.
    pub(super) fn next_at(&self) -> Option<Instant> {
        if self.woken.is_empty() { self.queue.peek().map(|(at, _)| at) } else { Some(self.now) }
    }

    /// The deadline in a slot.
    #[inline]
    pub(super) fn deadline(&self, slot: Slot) -> Option<Instant> {
        self.queue.key(slot).map(|(at, _)| at)
    }

    /// Puts the deadline of a node, or none, into its slot. A deadline that is over is due now. One that stays the same
    /// keeps its place among the events of its instant.
    #[inline]
    pub(super) fn set_deadline(&mut self, slot: Slot, at: Option<Instant>) {
        let at = at.map(|at| at.max(self.now));
        if at != self.deadline(slot) {
            self.sequence += 1;
            self.queue.set(slot, at.map(|at| (at, self.sequence)));
        }
    }

    /// Takes the deadline out of a slot.
    #[inline]
    pub(super) fn clear_deadline(&mut self, slot: Slot) {
        self.queue.set(slot, None);
    }

    /// Puts the next arrival of a link direction, or none, into its slot.
    #[inline]
    pub(super) fn set_arrival(&mut self, link: LinkId, key: Option<Key>) {
        self.queue.set(self.links[link.0 as usize], key);
    }
}
