//! The memory of socket buffers: a pool of blocks with a limit, and a buffer that holds bytes of a stream in blocks.
//! An empty buffer holds no block. The pool keeps as many spare blocks as are in use, and gives others back to the system.
//! Sender and receiver have one buffer each; the stack has one pool.

use crate::recovery::small_queue::SmallQueue;

/// Bytes in a block.
pub(in crate::stack) const BLOCK: usize = 4096;

type Block = Box<[u8; BLOCK]>;

/// Spare blocks that are kept in any case: 256 KiB.
const SPARE_LEAST: usize = 64;

/// The blocks of one host.
#[derive(Debug)]
pub(in crate::stack) struct BlockPool {
    spare: Vec<Block>,
    used: usize,
    limit: usize,
}

impl BlockPool {
    /// A pool of at most `limit` bytes in use, rounded down to blocks.
    pub(in crate::stack) const fn new(limit: usize) -> Self {
        Self { spare: Vec::new(), used: 0, limit: limit / BLOCK }
    }

    /// True if no window may open further: 7/8 of the limit are in use. Linux's `tcp_mem` has such a mark too.
    pub(in crate::stack) const fn is_under_pressure(&self) -> bool {
        self.used >= self.limit - self.limit / 8
    }

    /// Bytes that can still be taken.
    pub(in crate::stack) const fn room(&self) -> usize {
        self.limit.saturating_sub(self.used).saturating_mul(BLOCK)
    }

    /// Bytes in use, in whole blocks.
    pub(in crate::stack) const fn used_bytes(&self) -> usize {
        self.used * BLOCK
    }

    /// Blocks in use.
    #[cfg(test)]
    pub(in crate::stack) const fn used(&self) -> usize {
        self.used
    }

    fn take(&mut self) -> Block {
        self.used += 1;
        self.spare.pop().unwrap_or_else(|| Box::new([0; BLOCK]))
    }

    fn give_back(&mut self, block: Block) {
        self.used -= 1;
        // A sender frees a third of its buffer before its application writes again.
        let kept = SPARE_LEAST.max(self.used);
        if self.spare.len() < kept {
            self.spare.push(block);
        } else if self.spare.len() > kept {
            // Two go for each one that comes, until few enough are left.
            self.spare.pop();
            // Not at once: the list would grow and shrink with each buffer.
            let places = 2 * kept.next_power_of_two();
            if self.spare.capacity() > places {
                self.spare.shrink_to(places);
            }
        }
    }
}

/// Bytes of a stream. A position counts bytes from the begin of the stream.
#[derive(Debug, Default)]
pub(in crate::stack) struct Buffer {
    /// The position of the first byte of the first block: a multiple of [`BLOCK`].
    base: u64,
    blocks: SmallQueue<Option<Block>>,
}

impl Buffer {
    /// Puts `bytes` at the position `at`.
    pub(super) fn write(&mut self, mut at: u64, mut bytes: &[u8], pool: &mut BlockPool) {
        if self.blocks.is_empty() {
            self.base = at - at % BLOCK as u64;
        }
        // Text beyond a hole came before it.
        while at < self.base {
            self.blocks.push_front(None);
            self.base -= BLOCK as u64;
        }
        while !bytes.is_empty() {
            let place = (at - self.base) as usize;
            let (index, start) = (place / BLOCK, place % BLOCK);
            while self.blocks.len() <= index {
                self.blocks.push_back(None);
            }
            let Some(place) = self.blocks.get_mut(index) else { return };
            let block = place.get_or_insert_with(|| pool.take());
            let len = bytes.len().min(BLOCK - start);
            block[start..start + len].copy_from_slice(&bytes[..len]);
            (at, bytes) = (at + len as u64, &bytes[len..]);
        }
    }

    /// The bytes from `at` on that lie in one block, at most `len`.
    fn run(&self, at: u64, len: usize) -> &[u8] {
        let place = (at - self.base) as usize;
        let start = place % BLOCK;
        let end = (start + len).min(BLOCK);
        self.blocks.get(place / BLOCK).and_then(Option::as_ref).map_or(&[], |block| &block[start..end])
    }

    /// Copies bytes from the position `at` on into `out`. They must be there.
    pub(super) fn read(&self, mut at: u64, mut out: &mut [u8]) {
        while !out.is_empty() {
            let run = self.run(at, out.len());
            if run.is_empty() {
                return;
            }
            let (now, later) = out.split_at_mut(run.len());
            now.copy_from_slice(run);
            (at, out) = (at + run.len() as u64, later);
        }
    }

    /// Appends `len` bytes from the position `at` on to `out`. They must be there.
    pub(super) fn append_to(&self, mut at: u64, mut len: usize, out: &mut Vec<u8>) {
        while len > 0 {
            let run = self.run(at, len);
            if run.is_empty() {
                return;
            }
            out.extend_from_slice(run);
            (at, len) = (at + run.len() as u64, len - run.len());
        }
    }

    /// Gives back what lies before the position `at`. With nothing at `at` and behind it (`at` is `end`), everything.
    pub(super) fn free_before(&mut self, at: u64, end: u64, pool: &mut BlockPool) {
        if at == end {
            self.clear(pool);
            return;
        }
        while !self.blocks.is_empty() && self.base + BLOCK as u64 <= at {
            if let Some(Some(block)) = self.blocks.pop_front() {
                pool.give_back(block);
            }
            self.base += BLOCK as u64;
        }
    }

    /// Gives everything back.
    pub(super) fn clear(&mut self, pool: &mut BlockPool) {
        while let Some(block) = self.blocks.pop_front() {
            if let Some(block) = block {
                pool.give_back(block);
            }
        }
    }

    pub(super) fn has_spare_places(&self) -> bool {
        self.blocks.has_spare()
    }

    /// Gives back the room for blocks that an empty buffer does not need.
    pub(super) fn shrink(&mut self) {
        if self.blocks.is_empty() {
            self.blocks.shrink();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_across_blocks_and_out_of_order() {
        let (mut pool, mut buffer) = (BlockPool::new(1 << 20), Buffer::default());
        let text: Vec<u8> = (0..20_000_u32).map(|i| (i % 251) as u8).collect();
        for start in [12_000, 0, 4_000, 8_000, 16_000] {
            buffer.write(1_000 + start as u64, &text[start..(start + 4_000)], &mut pool);
        }
        let mut out = vec![0; text.len()];
        buffer.read(1_000, &mut out);
        assert_eq!(out, text);
        let mut appended = Vec::new();
        buffer.append_to(1_005, 9_000, &mut appended);
        assert_eq!(appended, text[5..9_005]);
    }

    #[test]
    fn an_empty_buffer_holds_no_block() {
        let (mut pool, mut buffer) = (BlockPool::new(1 << 20), Buffer::default());
        buffer.write(0, &[7; 10_000], &mut pool);
        assert_eq!(pool.used(), 3);
        buffer.free_before(8_192, 10_000, &mut pool);
        assert_eq!(pool.used(), 1);
        buffer.free_before(10_000, 10_000, &mut pool);
        assert_eq!(pool.used(), 0);
        buffer.write(10_000, &[8; 10], &mut pool);
        let mut out = [0; 10];
        buffer.read(10_000, &mut out);
        assert_eq!((out, pool.used()), ([8; 10], 1));
    }

    #[test]
    fn the_pool_gives_memory_back_after_a_burst() {
        let mut pool = BlockPool::new(usize::MAX);
        let blocks: Vec<_> = (0..10_000).map(|_| pool.take()).collect();
        for block in blocks {
            pool.give_back(block);
        }
        assert!(pool.spare.len() <= SPARE_LEAST, "{}", pool.spare.len());
        assert!(pool.spare.capacity() <= 2 * SPARE_LEAST, "{}", pool.spare.capacity());
    }

    #[test]
    fn pressure_begins_at_seven_eighths_of_the_limit() {
        let mut pool = BlockPool::new(16 * BLOCK);
        let mut held: Vec<_> = (0..13).map(|_| pool.take()).collect();
        assert!(!pool.is_under_pressure());
        held.push(pool.take());
        assert!(pool.is_under_pressure());
        assert_eq!(pool.room(), 2 * BLOCK);
    }
}
