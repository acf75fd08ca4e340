//! The in-memory cable: two links back to back, with an end at each of two nodes. It carries out what a link decides
//! (copies, drops, buffers) and publishes the events. `sim` and `live` put packets in and take them out.

use core::ops::{Index, IndexMut, Not};

use super::Pool;
use crate::event::{Event, Fate, HostId, LinkId, Observer, Observers};
use crate::link::{Link, LinkItems, SpecError};
use crate::segment::{Packet, complete_checksums};
use crate::time::Instant;

/// One of the two ends of a cable; also the direction that leaves from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum CableEnd {
    /// The first.
    A,
    /// The second.
    B,
}

impl Not for CableEnd {
    type Output = Self;

    /// The other end.
    fn not(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Two links back to back. `cable[CableEnd::A]` is the link that leaves from end A.
#[derive(Debug)]
pub(crate) struct Cable {
    directions: [CableDirection; 2],
}

#[derive(Debug)]
struct CableDirection {
    link: Link,
    id: LinkId,
    from: HostId,
}

impl Cable {
    /// A cable of two links, each with its number and the host that sends into it: the first from end A, the second
    /// from end B.
    pub(crate) fn new(links: [(Link, LinkId, HostId); 2]) -> Self {
        Self { directions: links.map(|(link, id, from)| CableDirection { link, id, from }) }
    }

    /// The memory of the packets in both directions.
    pub(crate) fn memory(&self) -> usize {
        self.directions.iter().map(|direction| direction.link.memory()).sum()
    }

    /// Sends `packet` into the cable at `end`. `sequence` is a counter of the loop that breaks ties in time. Publishes
    /// [`Event::Sent`] or [`Event::Forwarded`], [`Event::LinkDropped`], [`Event::Duplicated`], and for a link with a rate
    /// [`Event::LinkQueue`].
    pub(crate) fn handle_packet(
        &mut self,
        now: Instant,
        end: CableEnd,
        mut packet: Packet,
        sequence: &mut u64,
        pool: &mut Pool,
        observers: &mut Observers,
    ) {
        let direction = &mut self.directions[end as usize];
        direction.make_changes(now, observers);
        let CableDirection { link, id, from } = direction;
        let (id, host) = (*id, *from);
        if link.shows_packets() {
            complete_checksums(&mut packet);
        }
        observers.complete(&mut packet);
        let decision = link.handle_packet(now, &packet);
        if !observers.is_empty() {
            let fate = decision.fate;
            let event = if packet.meta.forwarded {
                Event::Forwarded { host, link: id, packet: &packet, fate }
            } else {
                Event::Sent { host, link: id, packet: &packet, fate }
            };
            observers.on_event(now, &event);
            if let Fate::Drop(why) = fate {
                observers.on_event(now, &Event::LinkDropped { link: id, packet: &packet, why });
            }
            if decision.has_copy() {
                observers.on_event(now, &Event::Duplicated { link: id, packet: &packet });
            }
            if let Some((packets, bytes, empty_at)) = link.queue_behind_rate(now) {
                observers.on_event(now, &Event::LinkQueue { link: id, packets, bytes, empty_at });
            }
        }
        let copy = decision.has_copy().then(|| {
            let mut copy = pool.take();
            copy.bytes.extend_from_slice(&packet.bytes);
            copy.meta = packet.meta;
            copy
        });
        *sequence += 1;
        if let Some(dropped) = link.carry(&decision, *sequence, packet) {
            pool.give_back(dropped);
        }
        if let Some(copy) = copy {
            *sequence += 1;
            if let Some(refused) = link.carry_copy(&decision, *sequence, copy) {
                pool.give_back(refused);
            }
        }
    }

    /// Makes the changes of both links that are due at `now`, and publishes [`Event::LinkChanged`] for each. A loop calls it
    /// so that the events are on time; a packet that enters sees all changes in any case.
    pub(crate) fn make_changes(&mut self, now: Instant, observers: &mut Observers) {
        for direction in &mut self.directions {
            direction.make_changes(now, observers);
        }
    }

    /// When the next change of one of the links is due.
    pub(crate) fn next_change_at(&self) -> Option<Instant> {
        self.directions.iter().filter_map(|direction| direction.link.next_change_at()).min()
    }

    /// Lays items over the spec of the link that leaves from `end`, and publishes [`Event::LinkChanged`].
    ///
    /// # Errors
    /// As [`Link::set_items`].
    #[cfg_attr(
        not(all(feature = "live", target_os = "linux")),
        allow(dead_code, reason = "only loops in real time are told to change a link")
    )]
    pub(crate) fn set_items(
        &mut self,
        now: Instant,
        end: CableEnd,
        items: &LinkItems,
        observers: &mut Observers,
    ) -> Result<(), SpecError> {
        let direction = &mut self.directions[end as usize];
        direction.make_changes(now, observers);
        direction.link.set_items(items, now)?;
        direction.publish(now, &items.to_string(), observers);
        Ok(())
    }

    /// Takes the link that leaves from `end` down or up, and publishes [`Event::LinkChanged`] if it was not so before.
    #[cfg_attr(
        not(all(feature = "live", target_os = "linux")),
        allow(dead_code, reason = "only loops in real time are told to change a link")
    )]
    pub(crate) fn set_up(&mut self, now: Instant, end: CableEnd, up: bool, observers: &mut Observers) {
        let direction = &mut self.directions[end as usize];
        if direction.link.is_up() != up {
            direction.link.set_up(up);
            direction.publish(now, if up { "up" } else { "down" }, observers);
        }
    }

    /// Both links, that of end A first.
    #[cfg(all(feature = "live", target_os = "linux"))]
    pub(crate) fn links_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        self.directions.iter_mut().map(|direction| &mut direction.link)
    }

    /// The next packet that has arrived by `now`, sent from `end`.
    pub(crate) fn poll_packet(&mut self, now: Instant, end: CableEnd) -> Option<Packet> {
        self.directions[end as usize].link.poll_packet(now)
    }

    /// The number of the link that leaves from `end`.
    pub(crate) fn link_id(&self, end: CableEnd) -> LinkId {
        self.directions[end as usize].id
    }

    /// The host at `end`.
    pub(crate) fn host(&self, end: CableEnd) -> HostId {
        self.directions[end as usize].from
    }
}

impl CableDirection {
    #[inline]
    fn make_changes(&mut self, now: Instant, observers: &mut Observers) {
        while let Some(change) = self.link.poll_change(now) {
            self.publish(now, &change.items.to_string(), observers);
        }
    }

    fn publish(&self, now: Instant, items: &str, observers: &mut Observers) {
        observers.on_event(now, &Event::LinkChanged { link: self.id, items });
    }
}

impl Index<CableEnd> for Cable {
    type Output = Link;

    fn index(&self, end: CableEnd) -> &Link {
        &self.directions[end as usize].link
    }
}

impl IndexMut<CableEnd> for Cable {
    fn index_mut(&mut self, end: CableEnd) -> &mut Link {
        &mut self.directions[end as usize].link
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::link::LinkSpec;

    /// (link, packets, bytes, when it will be empty) of each report, at its instant; times in nanoseconds.
    type Reports = Rc<RefCell<Vec<(u64, u32, u64, u64, u64)>>>;

    fn cable(specs: [&str; 2]) -> Cable {
        let link = |spec: &str, name| Link::new(&spec.parse::<LinkSpec>().expect(spec), 7, name);
        Cable::new([(link(specs[0], "a>b"), LinkId(0), HostId(0)), (link(specs[1], "b>a"), LinkId(1), HostId(1))])
    }

    fn observers() -> (Observers, Reports) {
        let reports = Reports::default();
        let into = Rc::clone(&reports);
        let mut observers = Observers::default();
        observers.add(Rc::new(RefCell::new(move |at: Instant, event: &Event<'_>| {
            if let Event::LinkQueue { link, packets, bytes, empty_at } = event {
                into.borrow_mut().push((at.as_nanos(), link.0, *packets, *bytes, empty_at.as_nanos()));
            }
        })));
        (observers, reports)
    }

    #[test]
    fn a_link_with_a_rate_reports_its_queue_after_each_packet_that_enters() {
        // 1,000 bytes take 1 ms.
        let mut cable = cable(["rate=8Mbit,limit=2,delay=5ms", ""]);
        let (mut observers, reports) = observers();
        let (mut sequence, mut pool) = (0, Pool::new(1500));
        let mut send = |millis, end, len| {
            let packet = Packet::new(vec![0; len]);
            cable.handle_packet(Instant::from_millis(millis), end, packet, &mut sequence, &mut pool, &mut observers);
        };
        send(0, CableEnd::A, 1000);
        send(0, CableEnd::A, 500);
        send(0, CableEnd::A, 100); // no room: the queue stays as it is
        send(1, CableEnd::A, 200); // the first has left at this instant
        send(1, CableEnd::B, 300); // the other direction has no rate and no queue
        send(9, CableEnd::A, 40);
        let reports = reports.borrow();
        let millis = |millis: u64| millis * 1_000_000;
        assert_eq!(
            *reports,
            [
                (0, 0, 1, 1000, millis(1)),
                (0, 0, 2, 1500, 1_500_000),
                (0, 0, 2, 1500, 1_500_000),
                (millis(1), 0, 2, 700, 1_700_000),
                (millis(9), 0, 1, 40, 9_040_000)
            ]
        );
    }

    #[test]
    fn a_copy_counts_in_the_queue_that_is_reported() {
        let mut cable = cable(["rate=8Mbit,duplicate=100%", ""]);
        let (mut observers, reports) = observers();
        let (mut sequence, mut pool) = (0, Pool::new(1500));
        let packet = Packet::new(vec![0; 1000]);
        cable.handle_packet(Instant::EPOCH, CableEnd::A, packet, &mut sequence, &mut pool, &mut observers);
        assert_eq!(*reports.borrow(), [(0, 0, 2, 2000, 2_000_000)]);
    }
}
