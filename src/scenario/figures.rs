//! The figures of a run, for sweeps: bytes delivered, goodput, retransmissions, losses, and fairness.

use super::run::RunOutcome;
use super::world::World;
use crate::conversation::{Conversation, Side, Stream, Table};
use crate::event::{Event, HostId, Observer};
use crate::segment::{IpView, Packet, Protocol, Segment};
use crate::time::{Duration, Instant};

/// The numbers of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// TCP connections.
    pub connections: u64,
    /// Packets that hosts sent.
    pub packets: u64,
    /// Bytes of application data that arrived, each once: acknowledged by TCP, delivered by UDP.
    pub bytes: u64,
    /// The same in Mbit/s over [`Figures::completed`].
    pub goodput_mbit: f64,
    /// Segments without a new byte, counted where they are sent.
    pub retransmissions: u64,
    /// Packets that did not arrive or were refused.
    pub drops: u64,
    /// When the last program that is no daemon ended.
    pub completed: Duration,
    /// Jain's index over the rates of all connections that carried data, from 1/n to 1; 1 if there is one or none.
    pub fairness: f64,
}

/// Watches a run for its [`Figures`].
#[derive(Debug, Default)]
pub(super) struct Counter {
    hosts: Vec<HostId>,
    table: Table<Progress>,
    /// Of connections that the table has forgotten.
    forgotten: Carried,
    packets: u64,
    retransmissions: u64,
    drops: u64,
    datagram_bytes: u64,
}

/// When the data of each side were last acknowledged anew.
type Progress = [Option<Instant>; 2];

/// What connections have carried.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    /// How many connections carried data.
    connections: u64,
    bytes: u64,
    /// The sum of their rates in bytes per second, and the sum of the squares.
    rates: f64,
    squares: f64,
}

impl Counter {
    pub(super) fn of(world: &World) -> Self {
        Self { hosts: world.hosts().iter().map(crate::sim::HostHandle::id).collect(), ..Self::default() }
    }

    pub(super) fn figures(&self, outcome: &RunOutcome) -> Figures {
        let carried = self.table.streams().fold(self.forgotten, Carried::with);
        let bytes = carried.bytes + self.datagram_bytes;
        let Carried { connections, rates, squares, .. } = carried;
        let fairness = if connections > 1 { rates * rates / (connections as f64 * squares) } else { 1.0 };
        let seconds = outcome.completed.as_secs_f64();
        Figures {
            connections: self.table.begun() as u64,
            packets: self.packets,
            bytes,
            goodput_mbit: if seconds > 0.0 { bytes as f64 * 8.0 / seconds / 1e6 } else { 0.0 },
            retransmissions: self.retransmissions,
            drops: self.drops,
            completed: outcome.completed,
            fairness,
        }
    }

    fn sent(&mut self, at: Instant, packet: &Packet) {
        self.packets += 1;
        let Ok(ip) = IpView::parse(&packet.bytes) else { return };
        let Ok(segment) = Segment::parse(&ip) else { return };
        let (stream, observed) = self.table.observe(at, &segment);
        if observed.seen.newly_acked() > 0 {
            stream.notes[observed.from.other() as usize] = Some(at);
        }
        self.retransmissions += u64::from(observed.seen.data.is_repeated());
        if let Some(stream) = self.table.take_forgotten() {
            self.forgotten = self.forgotten.with(&stream);
        }
    }
}

impl Carried {
    /// Adds what a connection has carried: bytes that were acknowledged, both ways, and the time that took.
    fn with(self, stream: &Stream<Progress>) -> Self {
        let bytes = Side::BOTH.map(|side| acknowledged(&stream.conversation, side)).iter().sum::<u64>();
        if bytes == 0 {
            return self;
        }
        let began = stream.account.first;
        let last = stream.notes.into_iter().flatten().max().unwrap_or(began);
        let rate = bytes as f64 / (last - began).as_secs_f64().max(1e-9);
        Self {
            connections: self.connections + 1,
            bytes: self.bytes + bytes,
            rates: self.rates + rate,
            squares: self.squares + rate * rate,
        }
    }
}

/// Bytes of data of a side that were acknowledged.
fn acknowledged(conversation: &Conversation, side: Side) -> u64 {
    let sender = conversation.sender(side);
    let Some(iss) = sender.iss else { return 0 };
    let fin = sender.fin.is_some_and(|fin| sender.snd_una == fin + 1);
    let acked: u32 = sender.snd_una - (iss + 1);
    // Before the SYN is acknowledged the difference is negative.
    if acked > u32::MAX / 2 { 0 } else { u64::from(acked.saturating_sub(u32::from(fin))) }
}

impl Observer for Counter {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        match *event {
            Event::Sent { packet, .. } => self.sent(at, packet),
            Event::LinkDropped { .. } | Event::StackDropped { .. } => self.drops += 1,
            Event::Delivered { host, packet, .. } if self.hosts.contains(&host) => {
                if let Ok(ip) = IpView::parse(&packet.bytes)
                    && ip.protocol == Protocol::Udp
                {
                    self.datagram_bytes += ip.payload.len().saturating_sub(8) as u64;
                }
            }
            _ => {}
        }
    }
}
