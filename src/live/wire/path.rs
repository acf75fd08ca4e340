//! The links from left to right and the hops between them, without a socket and a clock: packets and instants come in,
//! packets and instants go out. `Wire` gives it what it reads and writes what arrives.
//!
//! A packet that reaches a hop enters the next link at the instant of its arrival, not at that of the call. So a loop
//! that is late makes no hop slower.

use super::hop::{Hop, Verdict};
use super::side::Side;
use crate::device::{Cable, CableEnd, Pool};
use crate::event::{DropReason, Event, HostId, LinkId, Observer, Observers};
use crate::link::{Link, LinkSchedule};
#[cfg(feature = "control")]
use crate::link::{LinkItems, SpecError};
use crate::segment::{IpView, Packet, PacketId, decrement_ttl};
use crate::time::Instant;

/// The left host in events. The right one follows, then the hops.
pub(super) const LEFT: HostId = HostId(0);

/// The packets of a device with an MTU of 1,500 bytes. Longer ones grow.
const MTU: usize = 1500;

pub(super) struct Path {
    /// From left to right. End A of each is the left one.
    cables: Vec<Cable>,
    /// The hop between each cable and the next one.
    hops: Vec<Hop>,
    pool: Pool,
    sequence: u64,
    packets: u64,
}

/// A packet that has reached a side.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) side: Side,
    /// The direction of the link that it came out of.
    pub(super) link: LinkId,
    /// When it came out.
    pub(super) due: Instant,
    pub(super) packet: Packet,
}

/// A direction of a cable: its place in `cables`, and the end that sends into it.
type Direction = (usize, CableEnd);

impl Path {
    /// A path of these links. Each has a schedule for its packets to the right and one for those to the left.
    /// Their times count from `began`.
    pub(super) fn new(links: &[[LinkSchedule; 2]], seed: u64, began: Instant) -> Self {
        let last = links.len() - 1;
        let name = |node: usize| match node {
            0 => "left".to_owned(),
            node if node > last => "right".to_owned(),
            node => format!("hop{node}"),
        };
        let host = |node: usize| match node {
            0 => Side::Left.host(),
            node if node > last => Side::Right.host(),
            node => HostId(Side::Right.host().0 + node as u32),
        };
        let link = |schedule: &LinkSchedule, from: usize, to: usize| {
            Link::in_real_time(schedule, seed, &format!("{}>{}", name(from), name(to)), MTU, began)
        };
        let cable = |(at, [out, back]): (usize, &[LinkSchedule; 2])| {
            let id = LinkId(2 * at as u32);
            let (out, back) = (link(out, at, at + 1), link(back, at + 1, at));
            Cable::new([(out, id, host(at)), (back, LinkId(id.0 + 1), host(at + 1))])
        };
        Self {
            cables: links.iter().enumerate().map(cable).collect(),
            hops: (1..=last).map(|number| Hop::new(number, host(number))).collect(),
            pool: Pool::new(MTU),
            sequence: 0,
            packets: 0,
        }
    }

    /// An empty packet.
    #[inline]
    pub(super) fn take(&mut self) -> Packet {
        self.pool.take()
    }

    /// Takes a packet back.
    #[inline]
    pub(super) fn give_back(&mut self, packet: Packet) {
        self.pool.give_back(packet);
    }

    /// Frees spare packets after a burst.
    pub(super) fn shrink(&mut self) {
        self.pool.shrink();
    }

    /// Takes a packet that a side has sent. `now` is not earlier than in any call before.
    #[inline]
    pub(super) fn handle_packet(&mut self, now: Instant, side: Side, mut packet: Packet, observers: &mut Observers) {
        self.number(&mut packet);
        let cable = match side {
            Side::Left => 0,
            Side::Right => self.hops.len(),
        };
        self.send(now, (cable, side.end()), packet, observers);
    }

    /// The next packet that has reached a side by `now`. Moves packets over the hops on the way.
    #[inline]
    pub(super) fn poll_arrival(&mut self, now: Instant, observers: &mut Observers) -> Option<Arrival> {
        loop {
            let Some((due, _, (cable, from))) = self.next().filter(|(due, ..)| *due <= now) else {
                // Not earlier: a packet at a hop enters a link at its own instant.
                self.cables.iter_mut().for_each(|cable| cable.make_changes(now, observers));
                return None;
            };
            let packet = self.cables[cable].poll_packet(due, from)?;
            let link = self.cables[cable].link_id(from);
            let side = match from {
                CableEnd::A if cable == self.hops.len() => Side::Right,
                CableEnd::B if cable == 0 => Side::Left,
                CableEnd::A => {
                    self.cross(due, link, cable, from, packet, observers);
                    continue;
                }
                CableEnd::B => {
                    self.cross(due, link, cable - 1, from, packet, observers);
                    continue;
                }
            };
            return Some(Arrival { side, link, due, packet });
        }
    }

    /// When the next packet comes out of a link, or a link changes.
    #[inline]
    pub(super) fn next_at(&self) -> Option<Instant> {
        let changes = self.cables.iter().filter_map(Cable::next_change_at);
        self.next().map(|(at, ..)| at).into_iter().chain(changes).min()
    }

    /// Whether a packet is on a link.
    pub(super) fn is_in_flight(&self) -> bool {
        self.next().is_some()
    }

    /// Each direction of each link, from left to right.
    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.cables.iter().flat_map(|cable| [&cable[CableEnd::A], &cable[CableEnd::B]])
    }

    /// As [`Path::links`], to look at queues and to take links down.
    pub(super) fn links_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        self.cables.iter_mut().flat_map(Cable::links_mut)
    }

    /// Lays items over the spec of a direction, by its place in [`Path::links`].
    #[cfg(feature = "control")]
    pub(super) fn set_items(
        &mut self,
        now: Instant,
        direction: usize,
        items: &LinkItems,
        observers: &mut Observers,
    ) -> Result<(), SpecError> {
        let (cable, end) = place(direction);
        self.cables[cable].set_items(now, end, items, observers)
    }

    /// Takes a direction down or up, by its place in [`Path::links`].
    #[cfg(feature = "control")]
    pub(super) fn set_up(&mut self, now: Instant, direction: usize, up: bool, observers: &mut Observers) {
        let (cable, end) = place(direction);
        self.cables[cable].set_up(now, end, up, observers);
    }

    /// The direction whose head comes out first: its instant and sequence number, and which one it is.
    #[inline]
    fn next(&self) -> Option<(Instant, u64, Direction)> {
        let ends = [CableEnd::A, CableEnd::B];
        let heads = self.cables.iter().enumerate().flat_map(|(at, cable)| {
            ends.map(|end| cable[end].next_key().map(|(due, sequence)| (due, sequence, (at, end))))
        });
        heads.flatten().min_by_key(|(due, sequence, _)| (*due, *sequence))
    }

    /// Has a hop handle a packet that came over a cable from its end `from`.
    fn cross(
        &mut self,
        at: Instant,
        link: LinkId,
        hop: usize,
        from: CableEnd,
        mut packet: Packet,
        observers: &mut Observers,
    ) {
        let host = self.hops[hop].host;
        observers.on_event(at, &Event::Delivered { host, link, packet: &packet });
        let onward = onward(hop, from);
        let mtu = self.cables[onward.0][onward.1].mtu();
        let (why, reply) = match self.hops[hop].decide(&packet, mtu) {
            Verdict::Forward => {
                decrement_ttl(&mut packet);
                packet.meta.forwarded = true;
                return self.send(at, onward, packet, observers);
            }
            Verdict::Drop(why) => (Some(why), None),
            Verdict::Refuse(error) => (
                Some(DropReason::from(error)),
                self.write(hop, &packet, |hop, ip, from, to| {
                    hop.write_error(error, ip, from, to);
                }),
            ),
            Verdict::Echo => (None, self.write(hop, &packet, |_, ip, _, to| ip.write_echo_reply(to))),
        };
        if let Some(why) = why {
            observers.on_event(at, &Event::StackDropped { host, packet: &packet, why });
        }
        self.pool.give_back(packet);
        if let Some(reply) = reply {
            self.send(at, self::onward(hop, !from), reply, observers);
        }
    }

    /// A packet of a hop about another one.
    fn write(
        &mut self,
        hop: usize,
        about: &Packet,
        write: impl FnOnce(&Hop, &IpView<'_>, &[u8], &mut Vec<u8>),
    ) -> Option<Packet> {
        let ip = IpView::parse(&about.bytes).ok()?;
        let mut packet = self.pool.take();
        write(&self.hops[hop], &ip, &about.bytes, &mut packet.bytes);
        if packet.bytes.is_empty() {
            self.pool.give_back(packet);
            return None;
        }
        self.number(&mut packet);
        Some(packet)
    }

    fn number(&mut self, packet: &mut Packet) {
        self.packets += 1;
        packet.meta.id = PacketId(self.packets);
    }

    #[inline]
    fn send(&mut self, at: Instant, (cable, end): Direction, packet: Packet, observers: &mut Observers) {
        self.cables[cable].handle_packet(at, end, packet, &mut self.sequence, &mut self.pool, observers);
    }
}

/// The direction at a place in [`Path::links`].
#[cfg(feature = "control")]
fn place(direction: usize) -> Direction {
    (direction / 2, if direction.is_multiple_of(2) { CableEnd::A } else { CableEnd::B })
}

/// Where a hop sends a packet on that came from the end `from` of a cable.
fn onward(hop: usize, from: CableEnd) -> Direction {
    match from {
        CableEnd::A => (hop + 1, CableEnd::A),
        CableEnd::B => (hop, CableEnd::B),
    }
}

#[cfg(test)]
mod tests;
