//! Which arriving packets are copies that a link has made. A copy keeps the number of its original, so the second arrival
//! of a number that a link has copied is the copy. Used by `Capture`.

use std::collections::VecDeque;

use crate::segment::PacketId;

/// The most copied packets that are remembered. The oldest is removed first.
const MOST: usize = 4_096;

/// Packets that were copied and have not arrived twice yet.
#[derive(Debug, Default)]
pub(super) struct Copies(VecDeque<(PacketId, bool)>);

impl Copies {
    /// A link has copied this packet.
    pub(super) fn copied(&mut self, id: PacketId) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((id, false));
    }

    /// The packet arrives. True if it has arrived before.
    #[inline]
    pub(super) fn arrives(&mut self, id: PacketId) -> bool {
        !self.0.is_empty() && self.look_up(id)
    }

    #[cold]
    fn look_up(&mut self, id: PacketId) -> bool {
        let Some(at) = self.0.iter().position(|(known, _)| *known == id) else { return false };
        if self.0[at].1 {
            self.0.remove(at);
            return true;
        }
        self.0[at].1 = true;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_arrival_of_a_copied_packet_is_the_copy() {
        let mut copies = Copies::default();
        assert!(!copies.arrives(PacketId(1)));
        copies.copied(PacketId(1));
        copies.copied(PacketId(2));
        assert_eq!([1, 2, 1, 1, 2].map(|id| copies.arrives(PacketId(id))), [false, false, true, false, true]);
        assert!(copies.0.is_empty());
    }

    #[test]
    fn no_more_than_the_limit_is_remembered() {
        let mut copies = Copies::default();
        for id in 0..=MOST as u64 {
            copies.copied(PacketId(id));
        }
        assert_eq!(copies.0.len(), MOST);
        assert!(!copies.arrives(PacketId(0)) && !copies.arrives(PacketId(0)), "forgotten");
        assert!(!copies.arrives(PacketId(1)) && copies.arrives(PacketId(1)));
    }
}
