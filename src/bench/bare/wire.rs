//! One direction of a link for the reference: a queue with a rate, a delay and a limit in packets, and nothing else.
//! Buffers are used again, so a steady state allocates nothing.

use std::collections::VecDeque;

/// Nanoseconds of virtual time.
type Nanos = u64;

/// The settings of a wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct WireSettings {
    /// Bits per second.
    pub(super) rate: u64,
    /// Nanoseconds on the way.
    pub(super) delay: Nanos,
    /// Packets that wait at most; what comes then is lost.
    pub(super) limit: usize,
}

pub(super) struct Wire {
    line: WireSettings,
    /// On the way, with the instant of arrival.
    queue: VecDeque<(Nanos, Vec<u8>)>,
    /// When the packets that wait leave. Past entries are removed when the next packet arrives.
    leaving: VecDeque<Nanos>,
    free_at: Nanos,
    spare: Vec<Vec<u8>>,
    pub(super) sent: u64,
    pub(super) dropped: u64,
}

impl Wire {
    pub(super) fn new(line: WireSettings) -> Self {
        let (queue, leaving, spare) = (VecDeque::new(), VecDeque::new(), Vec::new());
        Self { line, queue, leaving, free_at: 0, spare, sent: 0, dropped: 0 }
    }

    /// A buffer for a packet to be sent.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(1500))
    }

    /// Takes a buffer that has been read back.
    pub(super) fn give_back(&mut self, packet: Vec<u8>) {
        self.spare.push(packet);
    }

    /// Sends a packet.
    pub(super) fn send(&mut self, now: Nanos, packet: Vec<u8>) {
        self.sent += 1;
        while self.leaving.front().is_some_and(|&at| at <= now) {
            self.leaving.pop_front();
        }
        // The packet in transmission does not wait.
        if self.leaving.len() > self.line.limit {
            self.dropped += 1;
            self.spare.push(packet);
            return;
        }
        let time = (packet.len() as u64 * 8 * 1_000_000_000).div_ceil(self.line.rate);
        self.free_at = self.free_at.max(now) + time;
        self.leaving.push_back(self.free_at);
        self.queue.push_back((self.free_at + self.line.delay, packet));
    }

    /// When the next packet arrives.
    pub(super) fn next_at(&self) -> Option<Nanos> {
        self.queue.front().map(|&(at, _)| at)
    }

    /// The next packet, if it has arrived.
    pub(super) fn receive(&mut self, now: Nanos) -> Option<Vec<u8>> {
        if self.next_at()? > now {
            return None;
        }
        self.queue.pop_front().map(|(_, packet)| packet)
    }
}

#[cfg(test)]
mod tests {
    use super::{Wire, WireSettings};

    #[test]
    fn packets_follow_each_other_at_the_rate_and_a_full_queue_loses_the_last() {
        // 1,000 bytes in a millisecond, 2 ms on the way, one in transmission and two that wait.
        let mut wire = Wire::new(WireSettings { rate: 8_000_000, delay: 2_000_000, limit: 2 });
        for byte in 0..4 {
            let mut packet = wire.buffer();
            packet.resize(1000, byte);
            wire.send(0, packet);
        }
        assert_eq!((wire.sent, wire.dropped), (4, 1));
        assert!(wire.receive(2_999_999).is_none());
        for (byte, at) in [(0, 3_000_000), (1, 4_000_000), (2, 5_000_000)] {
            assert_eq!(wire.next_at(), Some(at));
            let packet = wire.receive(at).expect("it has arrived");
            assert_eq!(packet, [byte; 1000]);
            wire.give_back(packet);
        }
        assert_eq!(wire.next_at(), None);
    }
}
