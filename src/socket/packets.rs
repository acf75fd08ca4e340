//! The packets of a host: those that come from links, and those that go into them. `net` and tests call it.

use super::Host;
use crate::segment::{Packet, complete_checksums};
use crate::time::Instant;

impl Host {
    /// Takes one packet from the link. The host may change it, so a capture records it before.
    pub fn handle_packet(&mut self, now: Instant, packet: &mut Packet) {
        self.stack.handle_packet(now, packet);
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
    }

    /// Writes the next packet to send into `packet`, whose old content is gone. False if there is none.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, packet: &mut Packet) -> bool {
        let sent = self.poll_unfinished(now, packet);
        complete_checksums(packet);
        sent
    }

    /// As [`Host::poll_transmit`], but the checksums of the packet can be missing.
    pub(crate) fn poll_unfinished(&mut self, now: Instant, packet: &mut Packet) -> bool {
        self.stack.poll_transmit(now, packet)
    }
}
