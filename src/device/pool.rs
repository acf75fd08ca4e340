//! A pool of packets to use again. A loop takes one for each packet that it moves, and returns it when the packet is
//! handled. When the pool has as many packets as are in flight at once, nothing more is allocated.
//!
//! The pool gives memory back. It keeps at most [`MOST_BYTES`] of spare packets. After each [`PERIOD`] of packets it frees
//! those that nobody needed in that time, down to [`FEWEST`]. Packets that come from elsewhere do not make it grow.

use crate::segment::{Packet, PacketMeta};

/// The most memory in spare packets: 8 MiB.
const MOST_BYTES: usize = 8 << 20;

/// Spare packets are counted once for so many that came back.
const PERIOD: u32 = 4096;

/// So many spare packets stay, needed or not: a few round trips of one connection.
const FEWEST: usize = 256;

/// The most memory in spare packets after a burst.
#[cfg(all(feature = "live", target_os = "linux"))]
const FEWEST_BYTES: usize = 1 << 20;

/// The most room that a new packet is given before its content is known. A longer packet grows when it is written.
const LONGEST_NEW: usize = 2048;

/// A stack of packets not in use. The packet returned last is taken first, because its bytes are still in the cache.
#[derive(Debug)]
pub(crate) struct Pool {
    spare: Vec<Packet>,
    /// The memory of the spare packets.
    spare_bytes: usize,
    /// Packets taken and not given back.
    out: usize,
    /// The least number of spare packets in this period: so many were not needed.
    unused: usize,
    /// Packets that come back until the period ends.
    rest_of_period: u32,
    buffer_len: usize,
}

/// The memory of a packet.
const fn size(packet: &Packet) -> usize {
    size_of::<Packet>() + packet.bytes.capacity()
}

impl Pool {
    /// A pool for packets up to `mtu` bytes.
    pub(crate) fn new(mtu: usize) -> Self {
        let buffer_len = mtu.min(LONGEST_NEW);
        Self { spare: Vec::new(), spare_bytes: 0, out: 0, unused: 0, rest_of_period: PERIOD, buffer_len }
    }

    /// Packets of this length are among those from now on.
    pub(crate) fn add_mtu(&mut self, mtu: usize) {
        self.buffer_len = self.buffer_len.max(mtu.min(LONGEST_NEW));
    }

    /// An empty packet.
    #[inline]
    pub(crate) fn take(&mut self) -> Packet {
        self.out += 1;
        let Some(packet) = self.spare.pop() else {
            self.unused = 0;
            return Packet::new(Vec::with_capacity(self.buffer_len));
        };
        self.spare_bytes -= size(&packet);
        self.unused = self.unused.min(self.spare.len());
        packet
    }

    /// Takes a packet back and clears its content.
    #[inline]
    pub(crate) fn give_back(&mut self, mut packet: Packet) {
        packet.bytes.clear();
        packet.meta = PacketMeta::default();
        let size = size(&packet);
        // A packet that did not come from here, one that a scripted peer was given, takes the place of one that did.
        if self.out > 0 {
            self.out -= 1;
            if self.spare_bytes + size <= MOST_BYTES {
                self.spare_bytes += size;
                self.spare.push(packet);
            }
        }
        self.rest_of_period -= 1;
        if self.rest_of_period == 0 {
            self.end_period();
        }
    }

    /// Frees the packets that were spare for the whole period.
    #[cold]
    fn end_period(&mut self) {
        self.keep(self.spare.len().saturating_sub(self.unused).max(FEWEST));
        self.unused = self.spare.len();
        self.rest_of_period = PERIOD;
    }

    /// Frees all spare packets but the fewest, after a burst; of large ones also of these.
    #[cfg(all(feature = "live", target_os = "linux"))]
    pub(crate) fn shrink(&mut self) {
        let mut bytes = 0;
        let warm = self.spare.iter().rev().take(FEWEST).take_while(|packet| {
            bytes += size(packet);
            bytes <= FEWEST_BYTES
        });
        self.keep(warm.count());
        self.unused = self.unused.min(self.spare.len());
    }

    fn keep(&mut self, kept: usize) {
        // Those at the bottom are the coldest. Which packets go has no effect on what is sent.
        if kept < self.spare.len() {
            let freed = self.spare.drain(..self.spare.len() - kept);
            self.spare_bytes -= freed.map(|packet| size(&packet)).sum::<usize>();
            self.spare.shrink_to(2 * kept);
        }
    }

    /// Packets not in use.
    #[cfg(test)]
    pub(crate) fn spare(&self) -> usize {
        self.spare.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `count` packets, writes `len` bytes into each, and gives all back.
    fn burst(pool: &mut Pool, count: usize, len: usize) {
        let packets: Vec<_> = (0..count)
            .map(|_| {
                let mut packet = pool.take();
                packet.bytes.resize(len, 7);
                packet
            })
            .collect();
        for packet in packets {
            pool.give_back(packet);
        }
    }

    #[test]
    fn a_packet_given_back_is_taken_again_empty_and_with_its_buffer() {
        let mut pool = Pool::new(1500);
        let mut packet = pool.take();
        packet.bytes.extend_from_slice(&[7; 1500]);
        packet.meta.sound = true;
        let buffer = packet.bytes.as_ptr();
        pool.give_back(packet);
        let again = pool.take();
        assert!(again.bytes.is_empty());
        assert_eq!((again.bytes.as_ptr(), again.bytes.capacity(), pool.spare()), (buffer, 1500, 0));
        assert_eq!(again.meta, PacketMeta::default());
    }

    #[test]
    fn a_burst_leaves_at_most_8_mib_of_spare_packets_of_any_length() {
        for (count, len) in [(200_000, 40), (50_000, 1500), (2_000, 65_535)] {
            let mut pool = Pool::new(len);
            burst(&mut pool, count, len);
            let bytes: usize = pool.spare.iter().map(size).sum();
            assert_eq!(pool.spare_bytes, bytes);
            assert!(bytes <= MOST_BYTES, "{count} packets of {len} bytes: {bytes}");
        }
    }

    #[test]
    fn after_a_burst_the_pool_holds_what_is_in_use_lately_and_at_most_256_packets_more() {
        let mut pool = Pool::new(1500);
        burst(&mut pool, 5000, 1500);
        assert_eq!(pool.spare(), 5000);
        // At most 1,000 at once are in use from now on: two periods, since the burst is a part of the first.
        (0..12).for_each(|_| burst(&mut pool, 1000, 1500));
        assert_eq!(pool.spare(), 1000);
        (0..12_000).for_each(|_| burst(&mut pool, 1, 1500));
        assert_eq!(pool.spare(), FEWEST);
        let bytes: usize = pool.spare.iter().map(size).sum();
        assert_eq!(pool.spare_bytes, bytes);
        assert!(pool.spare.capacity() <= 4 * FEWEST);
    }

    #[cfg(all(feature = "live", target_os = "linux"))]
    #[test]
    fn when_the_pool_shrinks_it_keeps_256_packets_or_a_mebibyte_of_large_ones() {
        for (len, kept) in [(1500, FEWEST), (65_535, 15)] {
            let mut pool = Pool::new(len);
            burst(&mut pool, 1000, len);
            pool.shrink();
            assert_eq!(pool.spare(), kept, "{len}");
            assert_eq!(pool.spare_bytes, pool.spare.iter().map(size).sum::<usize>());
        }
    }

    #[test]
    fn packets_from_elsewhere_do_not_make_the_pool_grow() {
        let mut pool = Pool::new(1500);
        burst(&mut pool, 10, 1500);
        for _ in 0..10_000 {
            pool.give_back(Packet::new(vec![7; 40]));
        }
        assert_eq!(pool.spare(), 10);
    }

    #[test]
    fn a_new_packet_has_room_for_the_mtu_and_never_for_more_than_2048_bytes() {
        let mut pool = Pool::new(576);
        assert_eq!(pool.take().bytes.capacity(), 576);
        pool.add_mtu(1500);
        pool.add_mtu(1000);
        assert_eq!(pool.take().bytes.capacity(), 1500);
        pool.add_mtu(65_535);
        assert_eq!(pool.take().bytes.capacity(), LONGEST_NEW);
    }
}
