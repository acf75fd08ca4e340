//! What the simulator wants of a host: the face of [`Runtime`]. Tests put something smaller in its place.

use crate::event::{Event, HostId, StackEvent};
use crate::net::Runtime;
use crate::segment::Packet;
use crate::socket::Errno;
use crate::time::Instant;

/// A host with its programs, driven by the network: input, then `run`, then output until nothing is due.
pub(super) trait Endpoint {
    fn handle_packet(&mut self, now: Instant, packet: &mut Packet);
    fn handle_timeout(&mut self, now: Instant);
    fn run(&mut self, now: Instant);
    fn poll_transmit(&mut self, now: Instant, packet: &mut Packet) -> bool;
    fn next_at(&mut self) -> Option<Instant>;
    fn observe_events(&mut self, on: bool);
    /// The next thing that happened in the stack.
    fn poll_event(&mut self) -> Option<StackEvent>;
    /// The next call that a program made, as an event of `host`.
    fn poll_call(&mut self, host: HostId) -> Option<Event<'static>>;
    /// One line for each program that has not ended.
    fn waiting(&self) -> Vec<String>;
}

impl Endpoint for Runtime {
    fn handle_packet(&mut self, now: Instant, packet: &mut Packet) {
        self.handle_packet(now, packet);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn run(&mut self, now: Instant) {
        self.run(now);
    }

    fn poll_transmit(&mut self, now: Instant, packet: &mut Packet) -> bool {
        self.poll_transmit(now, packet)
    }

    fn next_at(&mut self) -> Option<Instant> {
        self.next_at()
    }

    fn observe_events(&mut self, on: bool) {
        self.observe_events(on);
    }

    fn poll_event(&mut self) -> Option<StackEvent> {
        self.poll_event()
    }

    fn poll_call(&mut self, host: HostId) -> Option<Event<'static>> {
        let call = self.poll_call()?;
        Some(Event::Call { host, fd: call.fd.0, call: call.call, result: call.result.map_err(Errno::name) })
    }

    fn waiting(&self) -> Vec<String> {
        self.waiting()
    }
}
