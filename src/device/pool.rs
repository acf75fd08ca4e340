//! A pool of packets to use again. A loop takes one for each packet that it moves, and returns it when the packet is
//! handled. When the pool has as many packets as are in flight at once, nothing more is allocated.

use crate::segment::{Packet, PacketMeta};

/// A stack of packets not in use. The packet returned last is taken first, because its bytes are still in the cache.
#[derive(Debug)]
pub(crate) struct Pool {
    spare: Vec<Packet>,
    buffer_len: usize,
}

impl Pool {
    /// A pool whose packets are made with room for `buffer_len` bytes, which should be the largest MTU in use: then no
    /// packet ever grows.
    pub(crate) const fn new(buffer_len: usize) -> Self {
        Self { spare: Vec::new(), buffer_len }
    }

    /// Makes packets of at least this room from now on.
    pub(crate) fn set_buffer_len(&mut self, buffer_len: usize) {
        self.buffer_len = self.buffer_len.max(buffer_len);
    }

    /// An empty packet.
    #[inline]
    pub(crate) fn take(&mut self) -> Packet {
        self.spare.pop().unwrap_or_else(|| Packet::new(Vec::with_capacity(self.buffer_len)))
    }

    /// Takes a packet back and clears its content.
    #[inline]
    pub(crate) fn give_back(&mut self, mut packet: Packet) {
        packet.bytes.clear();
        packet.meta = PacketMeta::default();
        self.spare.push(packet);
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

    #[test]
    fn a_packet_given_back_is_taken_again_empty_and_with_its_buffer() {
        let mut pool = Pool::new(1500);
        let mut packet = pool.take();
        packet.bytes.extend_from_slice(&[7; 1500]);
        let buffer = packet.bytes.as_ptr();
        pool.give_back(packet);
        let again = pool.take();
        assert!(again.bytes.is_empty());
        assert_eq!((again.bytes.as_ptr(), again.bytes.capacity(), pool.spare()), (buffer, 1500, 0));
    }
}
