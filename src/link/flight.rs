//! The packets on a wire, in the order in which they arrive: by instant, then by sequence number.
//!
//! Nearly every packet arrives after those before it and goes to the back. Later packets go in front of one that is
//! held back. That moves one entry for each packet held back, and those are few.

use std::collections::VecDeque;

use crate::segment::Packet;
use crate::time::Instant;

/// A wire without packets keeps room for so many.
const MOST_ROOM: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Flight {
    packets: VecDeque<InFlight>,
    /// The memory of the packets.
    bytes: usize,
}

#[derive(Debug)]
struct InFlight {
    key: (Instant, u64),
    packet: Packet,
}

impl Flight {
    #[inline]
    pub(super) fn insert(&mut self, at: Instant, sequence: u64, packet: Packet) {
        self.bytes += packet.bytes.capacity();
        let entry = InFlight { key: (at, sequence), packet };
        if self.packets.back().is_none_or(|last| last.key <= entry.key) {
            self.packets.push_back(entry);
        } else {
            self.insert_before_others(entry);
        }
    }

    #[cold]
    fn insert_before_others(&mut self, entry: InFlight) {
        let place = self.packets.partition_point(|other| other.key <= entry.key);
        self.packets.insert(place, entry);
    }

    /// Instant and sequence number of the next arrival.
    #[inline]
    pub(super) fn next(&self) -> Option<(Instant, u64)> {
        self.packets.front().map(|head| head.key)
    }

    #[inline]
    pub(super) fn pop(&mut self, now: Instant) -> Option<Packet> {
        let head = self.packets.pop_front_if(|head| head.key.0 <= now)?;
        self.bytes -= head.packet.bytes.capacity();
        if self.packets.is_empty() && self.packets.capacity() > MOST_ROOM {
            self.packets.shrink_to(MOST_ROOM);
        }
        Some(head.packet)
    }

    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    /// The memory of the packets, without the table that they stand in.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The memory of the packets with their places in the table.
    pub(super) fn memory(&self) -> usize {
        self.bytes + self.packets.len() * size_of::<InFlight>()
    }
}
