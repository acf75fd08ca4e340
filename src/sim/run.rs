//! How a run ends: idle, at an instant, when a condition is true, or at a limit.

use std::cell::RefCell;

use super::Sim;
use super::gave_up::{GaveUp, Reason};
use super::network::{Network, Progress};
use crate::drive::Endpoint;
use crate::time::{Duration, Instant};

/// Running. Every run is bounded. The error of a run that is not idle at its limit lists what each host waits for.
impl Sim {
    /// The default limit of events in a run.
    pub const LIMIT_EVENTS: u64 = 10_000_000;
    /// After how many events the limits of memory are checked.
    pub const MEMORY_CHECKED: u64 = 128;
    /// What an open descriptor counts for in [`Sim::limit_total_memory`]: an end of a connection without its buffers, and
    /// what a host keeps for it in its tables.
    pub const DESCRIPTOR_BYTES: usize = 3 << 10;
    /// The default limit of virtual time for a run until idle: a day. In a day every timer of TCP has ended, except
    /// endless keep-alives and zero-window probes.
    pub const LIMIT_TIME: Duration = Duration::from_hours(24);

    /// Sets the limit of events for a run.
    pub fn limit_events(&self, events: u64) {
        self.limits.set(Limits { events, ..self.limits.get() });
    }

    /// Sets the limit of memory for the buffers of all hosts together, in bytes. It is checked after every
    /// [`Sim::MEMORY_CHECKED`] events. By default there is none: each host has its own limit.
    pub fn limit_memory(&self, bytes: usize) {
        self.limits.set(Limits { memory: bytes, ..self.limits.get() });
    }

    /// Sets the limit of memory for buffers, open descriptors with their connections, and packets on links, all together,
    /// in bytes. A descriptor counts for [`Sim::DESCRIPTOR_BYTES`]. It is checked as [`Sim::limit_memory`] is. By default
    /// there is none.
    pub fn limit_total_memory(&self, bytes: usize) {
        self.limits.set(Limits { total: bytes, ..self.limits.get() });
    }

    /// Sets the limit of virtual time for a run until idle, counted from its start.
    pub fn limit_time(&self, time: Duration) {
        self.limits.set(Limits { time, ..self.limits.get() });
    }

    /// Runs until no packet is in flight, no deadline is set and no program is ready. Timers count, so after a close it
    /// runs through TIME-WAIT. Programs that are no daemons must have ended.
    ///
    /// # Panics
    /// With the text of [`GaveUp`].
    #[track_caller]
    pub fn run_until_idle(&self) {
        if let Err(gave_up) = self.try_run_until_idle() {
            panic!("{gave_up}");
        }
    }

    /// As [`Sim::run_until_idle`], with the reason as an error.
    ///
    /// # Errors
    /// [`Reason::Events`], [`Reason::VirtualTime`], [`Reason::Memory`], [`Reason::Unfinished`].
    pub fn try_run_until_idle(&self) -> Result<(), GaveUp> {
        self.limits.get().run_until_idle(&mut *self.network.borrow_mut())
    }

    /// Runs for a time. [`Sim::now`] is later by exactly this time afterwards.
    ///
    /// # Panics
    /// With the text of [`GaveUp`] after too many events.
    #[track_caller]
    pub fn run_for(&self, time: Duration) {
        self.run_until(self.now() + time);
    }

    /// Runs until an instant, its own events included, or until a condition is true. The condition is checked before
    /// the first and after every event: `sim.run_until(|| reply.is_finished())`.
    ///
    /// # Panics
    /// With the text of [`GaveUp`], also when there is no next event and the condition is not true.
    #[track_caller]
    pub fn run_until(&self, end: impl Until) {
        if let Err(gave_up) = self.try_run_until(end) {
            panic!("{gave_up}");
        }
    }

    /// Sets the clock to an instant, without handling the events of that instant. Events before it are handled first.
    pub fn advance_to(&self, at: Instant) {
        if let Some(before) = at.as_nanos().checked_sub(1).map(Instant::from_nanos) {
            self.run_until(before);
        }
        let scheduler = &mut self.network.borrow_mut().scheduler;
        scheduler.now = scheduler.now.max(at);
    }

    /// As [`Sim::run_until`], with the reason as an error.
    ///
    /// # Errors
    /// [`Reason::Events`], [`Reason::Memory`]; with a condition also [`Reason::VirtualTime`] and [`Reason::NeverTrue`].
    pub fn try_run_until(&self, mut end: impl Until) -> Result<(), GaveUp> {
        self.limits.get().run_until(&self.network, &mut end)
    }
}

/// The end of a run: an [`Instant`], or a condition, `FnMut() -> bool`.
pub trait Until {
    /// The instant, if it is one.
    fn instant(&self) -> Option<Instant>;
    /// Whether the condition is true; never for an instant.
    fn is_true(&mut self) -> bool;
}

impl Until for Instant {
    fn instant(&self) -> Option<Instant> {
        Some(*self)
    }

    fn is_true(&mut self) -> bool {
        false
    }
}

impl<F: FnMut() -> bool> Until for F {
    fn instant(&self) -> Option<Instant> {
        None
    }

    fn is_true(&mut self) -> bool {
        self()
    }
}

/// The limits of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) events: u64,
    pub(super) time: Duration,
    /// Bytes of the buffers of all hosts.
    pub(super) memory: usize,
    /// Bytes of buffers, descriptors and packets on links.
    pub(super) total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: Sim::LIMIT_EVENTS, time: Sim::LIMIT_TIME, memory: usize::MAX, total: usize::MAX }
    }
}

impl Limits {
    /// The limit of memory that is exceeded.
    fn over_memory<E: Endpoint>(self, events: u64, network: &Network<E>) -> Option<Reason> {
        if (self.memory, self.total) == (usize::MAX, usize::MAX) || !(events + 1).is_multiple_of(Sim::MEMORY_CHECKED) {
            return None;
        }
        let buffered = network.buffered();
        if buffered > self.memory {
            return Some(Reason::Memory(self.memory));
        }
        (buffered + network.held() > self.total).then_some(Reason::TotalMemory(self.total))
    }

    pub(super) fn run_until_idle<E: Endpoint>(self, network: &mut Network<E>) -> Result<(), GaveUp> {
        let latest = network.now() + self.time;
        let mut events = 0;
        loop {
            if events == self.events && network.is_due(latest) {
                return Err(network.give_up(Reason::Events(self.events)));
            }
            if let Some(reason) = self.over_memory(events, network) {
                return Err(network.give_up(reason));
            }
            match network.step(latest) {
                Progress::Handled => events += 1,
                Progress::Later => return Err(network.give_up(Reason::VirtualTime(self.time))),
                Progress::Idle => break,
            }
        }
        match network.unfinished() {
            unfinished if unfinished.is_empty() => Ok(()),
            unfinished => Err(network.give_up(Reason::Unfinished(unfinished))),
        }
    }

    pub(super) fn run_until<E: Endpoint>(
        self,
        network: &RefCell<Network<E>>,
        end: &mut impl Until,
    ) -> Result<(), GaveUp> {
        let give_up = |reason| Err(network.borrow().give_up(reason));
        let latest = end.instant().unwrap_or(network.borrow().now() + self.time);
        let mut events = 0;
        // Nothing is borrowed while the condition is checked, because it may read through handles.
        while !end.is_true() {
            if events == self.events && network.borrow().is_due(latest) {
                return give_up(Reason::Events(self.events));
            }
            let over = self.over_memory(events, &network.borrow());
            if let Some(reason) = over {
                return give_up(reason);
            }
            let step = network.borrow_mut().step(latest);
            match (step, end.instant()) {
                (Progress::Handled, _) => events += 1,
                (Progress::Later | Progress::Idle, Some(instant)) => {
                    let mut network = network.borrow_mut();
                    network.make_changes(instant);
                    network.scheduler.now = network.now().max(instant);
                    return Ok(());
                }
                (Progress::Later, None) => return give_up(Reason::VirtualTime(self.time)),
                (Progress::Idle, None) => return give_up(Reason::NeverTrue),
            }
        }
        Ok(())
    }
}
