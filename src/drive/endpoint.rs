//! What `drive` needs of a host: the interface of [`Runtime`]. Tests of the simulator implement it with a smaller type.
//! A host can leave out checksums; loops fill them in for those who read them.

use crate::event::HostEvent;
use crate::net::Runtime;
use crate::segment::Packet;
use crate::time::Instant;

/// A host with its programs. The methods are those of [`Runtime`], which documents them.
pub(crate) trait Endpoint {
    fn handle_packet(&mut self, now: Instant, packet: &mut Packet);
    fn handle_timeout(&mut self, now: Instant);
    fn run(&mut self, now: Instant);
    /// The checksums of the packet can be missing.
    fn poll_transmit(&mut self, now: Instant, packet: &mut Packet) -> bool;
    fn next_at(&mut self) -> Option<Instant>;
    fn observe_events(&mut self, on: bool);
    /// An endpoint without connections has no numbers.
    fn observe_numbers(&mut self, _on: bool) {}
    /// The next call of a program or event of the stack.
    fn poll_event(&mut self) -> Option<HostEvent>;
    /// One line for each program that has not ended.
    fn waiting(&self) -> Vec<String>;
    /// Bytes in the buffers of its connections. An endpoint without connections has none.
    fn buffered(&self) -> usize {
        0
    }
    /// How many descriptors are open.
    fn open_descriptors(&self) -> usize {
        0
    }
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
        self.poll_unfinished(now, packet)
    }

    fn next_at(&mut self) -> Option<Instant> {
        self.next_at()
    }

    fn observe_events(&mut self, on: bool) {
        self.observe_events(on);
    }

    fn observe_numbers(&mut self, on: bool) {
        self.observe_numbers(on);
    }

    fn poll_event(&mut self) -> Option<HostEvent> {
        self.poll_event()
    }

    fn waiting(&self) -> Vec<String> {
        self.waiting()
    }

    fn buffered(&self) -> usize {
        self.host().buffered()
    }

    fn open_descriptors(&self) -> usize {
        self.host().open_descriptors()
    }
}
