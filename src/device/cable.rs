//! The in-memory cable: two links back to back, with an end at each of two hosts. It does the packet's side of a link's
//! decision (copies, drops, buffers) and publishes what happens, so that a loop only says "this goes in here".

use core::ops::{Index, IndexMut, Not};

use super::Pool;
use crate::event::{Event, Fate, HostId, LinkId, Observer};
use crate::link::Link;
use crate::segment::Packet;
use crate::time::Instant;

/// One of the two ends of a cable; also the direction that leaves from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The first.
    A,
    /// The second.
    B,
}

impl Not for End {
    type Output = Self;

    /// The other end.
    fn not(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Two links back to back. `cable[End::A]` is the link that leaves from end A.
#[derive(Debug)]
pub struct Cable {
    directions: [Direction; 2],
}

#[derive(Debug)]
struct Direction {
    link: Link,
    id: LinkId,
    from: HostId,
}

impl Cable {
    /// A cable of two links, each with its number and the host that sends into it: the first from end A, the second
    /// from end B.
    pub fn new(links: [(Link, LinkId, HostId); 2]) -> Self {
        Self { directions: links.map(|(link, id, from)| Direction { link, id, from }) }
    }

    /// Sends `packet` into the cable at `end`. `sequence` is a counter of the loop that breaks ties in time. Publishes
    /// [`Event::Sent`] or [`Event::Forwarded`], [`Event::Duplicated`] and [`Event::LinkDropped`].
    pub fn handle_packet(
        &mut self,
        now: Instant,
        end: End,
        packet: Packet,
        sequence: &mut u64,
        pool: &mut Pool,
        observer: &mut impl Observer,
    ) {
        let Direction { link, id, from } = &mut self.directions[end as usize];
        let (id, host) = (*id, *from);
        let passage = link.handle_packet(now, &packet);
        let fate = passage.fate;
        let event = if packet.meta.forwarded {
            Event::Forwarded { host, link: id, packet: &packet, fate }
        } else {
            Event::Sent { host, link: id, packet: &packet, fate }
        };
        observer.on_event(now, &event);
        if let Fate::Drop(why) = passage.fate {
            observer.on_event(now, &Event::LinkDropped { link: id, packet: &packet, why });
        }
        let copy = passage.has_copy().then(|| {
            observer.on_event(now, &Event::Duplicated { link: id, packet: &packet });
            let mut copy = pool.take();
            copy.bytes.extend_from_slice(&packet.bytes);
            copy.meta = packet.meta;
            copy
        });
        *sequence += 1;
        if let Some(dropped) = link.carry(&passage, *sequence, packet) {
            pool.give_back(dropped);
        }
        if let Some(copy) = copy {
            *sequence += 1;
            if let Some(refused) = link.carry_copy(&passage, *sequence, copy) {
                pool.give_back(refused);
            }
        }
    }

    /// The next packet that has arrived by `now`, sent from `end`.
    pub fn poll_packet(&mut self, now: Instant, end: End) -> Option<Packet> {
        self.directions[end as usize].link.poll_packet(now)
    }

    /// The number of the link that leaves from `end`.
    pub fn link_id(&self, end: End) -> LinkId {
        self.directions[end as usize].id
    }

    /// The host at `end`.
    pub fn host(&self, end: End) -> HostId {
        self.directions[end as usize].from
    }
}

impl Index<End> for Cable {
    type Output = Link;

    fn index(&self, end: End) -> &Link {
        &self.directions[end as usize].link
    }
}

impl IndexMut<End> for Cable {
    fn index_mut(&mut self, end: End) -> &mut Link {
        &mut self.directions[end as usize].link
    }
}
