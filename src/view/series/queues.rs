//! The queues of links over time. A link reports its queue when a packet enters, with the time at which the last one will have
//! left (`Event::LinkQueue`). From these reports follow the times at which packets leave. `Sampler` calls this module.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::QueuePoint;
use crate::event::LinkId;

/// Packets whose departure is waited for, of all links together.
const MOST_WAITING: usize = 1 << 20;

/// The queues of all links.
#[derive(Debug, Default)]
pub(super) struct Queues {
    links: BTreeMap<LinkId, Queue>,
    /// When the first packet of each queue leaves.
    next: BTreeSet<(i64, LinkId)>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Queue {
    packets: u64,
    bytes: u64,
    /// When packets leave, and their bytes.
    leaving: VecDeque<(i64, u64)>,
}

impl Queues {
    /// A report at `time`: the queue has so many packets and bytes, and the last of them leaves at `empty_at`.
    pub(super) fn report(&mut self, point: &QueuePoint, empty_at: i64) {
        let QueuePoint { time, link, packets, bytes } = *point;
        let queue = self.links.entry(link).or_default();
        let entered = packets.saturating_sub(queue.packets);
        let last = queue.leaving.back().map_or(time, |(at, _)| *at);
        let was_empty = queue.leaving.is_empty();
        // A packet and its copy enter together, and are of one length.
        for nth in 1..=entered {
            if self.waiting >= MOST_WAITING {
                break;
            }
            let at = last + (i128::from(empty_at - last) * i128::from(nth) / i128::from(entered)) as i64;
            queue.leaving.push_back((at.max(time), bytes.saturating_sub(queue.bytes) / entered));
            self.waiting += 1;
        }
        if let Some((first, _)) = queue.leaving.front().filter(|_| was_empty) {
            self.next.insert((*first, link));
        }
        (queue.packets, queue.bytes) = (packets, bytes);
    }

    /// Gives `take` a point for each packet that has left at or before `time`, in order.
    pub(super) fn leave_until(&mut self, time: i64, mut take: impl FnMut(QueuePoint)) {
        while let Some((at, link)) = self.next.first().copied().filter(|(at, _)| *at <= time) {
            self.next.pop_first();
            let Some(queue) = self.links.get_mut(&link) else { continue };
            let Some((_, bytes)) = queue.leaving.pop_front() else { continue };
            self.waiting -= 1;
            queue.packets = queue.packets.saturating_sub(1);
            queue.bytes = queue.bytes.saturating_sub(bytes);
            if let Some((next, _)) = queue.leaving.front() {
                self.next.insert((*next, link));
            }
            take(QueuePoint { time: at, link, packets: queue.packets, bytes: queue.bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(queues: &mut Queues, time: i64, link: u32, (packets, bytes): (u64, u64), empty_at: i64) {
        queues.report(&QueuePoint { time, link: LinkId(link), packets, bytes }, empty_at);
    }

    fn left(queues: &mut Queues, time: i64) -> Vec<(i64, u32, u64, u64)> {
        let mut points = Vec::new();
        queues.leave_until(time, |point| points.push((point.time, point.link.0, point.packets, point.bytes)));
        points
    }

    #[test]
    fn packets_leave_at_their_own_times_and_links_take_turns() {
        let mut queues = Queues::default();
        report(&mut queues, 0, 0, (1, 1000), 10);
        report(&mut queues, 0, 0, (2, 1500), 15);
        report(&mut queues, 2, 1, (1, 300), 12);
        assert_eq!(left(&mut queues, 9), []);
        assert_eq!(left(&mut queues, 14), [(10, 0, 1, 500), (12, 1, 0, 0)]);
        // The queue had no room.
        report(&mut queues, 14, 0, (1, 500), 15);
        assert_eq!(left(&mut queues, i64::MAX), [(15, 0, 0, 0)]);
    }

    #[test]
    fn a_packet_and_its_copy_leave_one_after_the_other() {
        let mut queues = Queues::default();
        report(&mut queues, 0, 0, (2, 2000), 20);
        assert_eq!(left(&mut queues, 20), [(10, 0, 1, 1000), (20, 0, 0, 0)]);
    }
}
