//! Gives memory back to the system after a burst. The allocator keeps what was freed below something that is still in use.
//! Where it is glibc's, `malloc_trim(3)` releases those pages. [`Live`](super::Live) calls it some time after many packets, and
//! after connections have left their buffers.

#![allow(unsafe_code)]

use crate::time::{Duration, Instant};

/// So many packets may have left something behind.
const MANY: u64 = 4096;
/// So many more until then, and it is done once more: the burst was not over.
const MORE: u64 = 64;
/// So many bytes of socket buffers came free: few packets may end many connections.
const LARGE: usize = 4 << 20;
/// How long after them memory is given back: at most once in this time.
const PAUSE: Duration = Duration::from_secs(2);

/// When memory is given back next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GiveBack {
    /// Packets so far when it was last done, or decided on.
    packets: u64,
    /// The most bytes in socket buffers since then.
    most: usize,
    at: Option<Instant>,
}

impl GiveBack {
    /// So many packets have entered or left the link by now, and so many bytes are in socket buffers. True if memory is to be
    /// given back now.
    pub(super) fn is_due(&mut self, now: Instant, packets: u64, buffered: usize) -> bool {
        self.most = self.most.max(buffered);
        let Some(at) = self.at else {
            if packets - self.packets >= MANY || self.most - buffered >= LARGE {
                *self = Self { packets, most: buffered, at: Some(now + PAUSE) };
            }
            return false;
        };
        if now < at {
            return false;
        }
        let more = packets - self.packets >= MORE;
        *self = Self { packets, most: buffered, at: more.then(|| now + PAUSE) };
        true
    }

    /// The deadline.
    pub(super) const fn next_at(&self) -> Option<Instant> {
        self.at
    }
}

/// Releases free memory that the allocator keeps.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes the locks of the allocator and changes no memory in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_two_seconds_after_4096_packets_and_again_while_more_come() {
        let mut give_back = GiveBack::default();
        let at = |secs| Instant::from_secs(100) + Duration::from_secs(secs);
        assert!(!give_back.is_due(at(0), MANY - 1, 0));
        assert_eq!(give_back.next_at(), None);
        assert!(!give_back.is_due(at(1), MANY, 0));
        assert_eq!(give_back.next_at(), Some(at(3)));
        assert!(!give_back.is_due(at(2), MANY + MORE, 0));
        assert!(give_back.is_due(at(3), MANY + MORE, 0));
        assert_eq!(give_back.next_at(), Some(at(5)));
        assert!(give_back.is_due(at(5), MANY + 2 * MORE - 1, 0));
        assert_eq!(give_back.next_at(), None);
        assert!(!give_back.is_due(at(9), 2 * MANY + 2 * MORE - 2, 0));
        assert_eq!(give_back.next_at(), None);
    }

    #[test]
    fn memory_is_given_back_two_seconds_after_4_mib_of_buffers_came_free_however_few_packets_there_were() {
        let mut give_back = GiveBack::default();
        let at = |secs| Instant::from_secs(100) + Duration::from_secs(secs);
        let most = 10 * LARGE;
        assert!(!give_back.is_due(at(0), 0, most));
        assert!(!give_back.is_due(at(1), 0, most - LARGE + 1));
        assert_eq!(give_back.next_at(), None);
        assert!(!give_back.is_due(at(2), 0, most - LARGE));
        assert_eq!(give_back.next_at(), Some(at(4)));
        assert!(give_back.is_due(at(4), 0, 2 * LARGE));
        assert_eq!(give_back.next_at(), None);
        // What stayed in the buffers counts when it comes free.
        assert!(!give_back.is_due(at(5), 0, LARGE + 1));
        assert_eq!(give_back.next_at(), None);
        assert!(!give_back.is_due(at(6), 0, LARGE));
        assert_eq!(give_back.next_at(), Some(at(8)));
    }
}
