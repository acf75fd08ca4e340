//! The figures of a run, for sweeps: bytes delivered, goodput, retransmissions, losses, and fairness; and the same of each
//! connection. What happens in the warm-up is not counted.

use std::net::SocketAddr;

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
    /// The same in Mbit/s from the end of the warm-up until [`Figures::completed`], or to the end of the run if a program
    /// has not ended. `None` if that is no time.
    pub goodput_mbit: Option<f64>,
    /// Segments without a new byte, counted where they are sent.
    pub retransmissions: u64,
    /// Packets that did not arrive or were refused.
    pub drops: u64,
    /// When the last program that is no daemon ended; `None` if one has not ended, or there is none.
    pub completed: Option<Duration>,
    /// Jain's index over the rates of all connections that carried data, from 1/n to 1; 1 if there is one or none.
    pub fairness: f64,
}

/// The numbers of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowFigures {
    /// Its number, from 0 in the order in which connections began.
    pub number: usize,
    /// The end that opened it.
    pub client: SocketAddr,
    /// The other end.
    pub server: SocketAddr,
    /// When its first segment was sent.
    pub begin: Duration,
    /// When its last segment was sent.
    pub end: Duration,
    /// Bytes of application data that were acknowledged, both ways.
    pub bytes: u64,
    /// The same in Mbit/s, from its begin, or from the end of the warm-up, until the last of them were acknowledged. `None`
    /// if that is no time.
    pub goodput_mbit: Option<f64>,
    /// Segments that both ends sent.
    pub packets: u64,
    /// Segments without a new byte.
    pub retransmissions: u64,
}

/// Connections that were forgotten by the table and whose figures are kept.
const MOST_FLOWS: usize = 1 << 18;

/// Watches a run for its [`Figures`].
#[derive(Debug, Default)]
pub(super) struct Counter {
    /// In the order of their numbers.
    hosts: Vec<HostId>,
    /// What is before it is not counted.
    from: Instant,
    table: Table<Progress>,
    /// Of connections that the table has forgotten.
    forgotten: Carried,
    /// The same, each by itself, if they are wanted.
    flows: Option<Vec<FlowFigures>>,
    packets: u64,
    retransmissions: u64,
    drops: u64,
    datagram_bytes: u64,
}

/// What a connection has done.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Bytes of each side that were acknowledged.
    acked: [u64; 2],
    /// The same in the warm-up, of both sides.
    before: u64,
    /// When the last of them were acknowledged.
    last: Option<Instant>,
    packets: u64,
    retransmissions: u64,
}

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
    pub(super) fn of(world: &World, warmup: Duration, flows: bool) -> Self {
        Self {
            hosts: world.hosts().iter().map(crate::sim::HostHandle::id).collect(),
            from: Instant::EPOCH + warmup,
            flows: flows.then(Vec::new),
            ..Self::default()
        }
    }

    pub(super) fn figures(&self, outcome: &RunOutcome) -> Figures {
        let carried = self.table.streams().fold(self.forgotten, |sum, stream| sum.with(stream, self.from));
        let bytes = carried.bytes + self.datagram_bytes;
        let Carried { connections, rates, squares, .. } = carried;
        let fairness = if connections > 1 { rates * rates / (connections as f64 * squares) } else { 1.0 };
        let end = outcome.completed.map_or(outcome.end, |completed| Instant::EPOCH + completed);
        Figures {
            connections: self.table.begun() as u64,
            packets: self.packets,
            bytes,
            goodput_mbit: mbit(bytes, self.from, end),
            retransmissions: self.retransmissions,
            drops: self.drops,
            completed: outcome.completed,
            fairness,
        }
    }

    /// The figures of each connection, in the order in which they began; empty if they are not wanted.
    pub(super) fn flows(&self) -> Vec<FlowFigures> {
        let Some(forgotten) = &self.flows else { return Vec::new() };
        let mut flows = forgotten.clone();
        flows.extend(self.table.streams().map(|stream| flow(stream, self.from)));
        flows.sort_by_key(|flow| flow.number);
        flows
    }

    fn sent(&mut self, at: Instant, packet: &Packet) {
        let counts = u64::from(at >= self.from);
        self.packets += counts;
        let Ok(ip) = IpView::parse(&packet.bytes) else { return };
        let Ok(segment) = Segment::parse(&ip) else { return };
        let (stream, observed) = self.table.observe(at, &segment);
        let repeated = counts * u64::from(observed.seen.data.is_repeated());
        let notes = &mut stream.notes;
        notes.packets += counts;
        notes.retransmissions += repeated;
        self.retransmissions += repeated;
        if observed.seen.newly_acked() > 0 {
            notes.last = Some(at);
            for side in Side::BOTH {
                let acked = &mut notes.acked[side as usize];
                // The number on the wire has 32 bits. What is negative is a SYN that is not acknowledged yet.
                let more = acknowledged(&stream.conversation, side).wrapping_sub(*acked as u32);
                *acked += u64::from(if more > u32::MAX / 2 { 0 } else { more });
            }
            if counts == 0 {
                notes.before = notes.acked.iter().sum();
            }
        }
        if let Some(stream) = self.table.take_forgotten() {
            self.forgotten = self.forgotten.with(&stream, self.from);
            if let Some(flows) = self.flows.as_mut().filter(|flows| flows.len() < MOST_FLOWS) {
                flows.push(flow(&stream, self.from));
            }
        }
    }
}

/// Bytes of a connection after the warm-up.
fn bytes(stream: &Stream<Progress>) -> u64 {
    stream.notes.acked.iter().sum::<u64>() - stream.notes.before
}

/// From when on a connection is measured, and until when.
fn measured(stream: &Stream<Progress>, from: Instant) -> (Instant, Instant) {
    let began = stream.account.first.max(from);
    (began, stream.notes.last.unwrap_or(began).max(began))
}

fn flow(stream: &Stream<Progress>, from: Instant) -> FlowFigures {
    let (began, last) = measured(stream, from);
    let Progress { packets, retransmissions, .. } = stream.notes;
    FlowFigures {
        number: stream.number,
        client: stream.ends[0],
        server: stream.ends[1],
        begin: stream.account.first - Instant::EPOCH,
        end: stream.account.last - Instant::EPOCH,
        bytes: bytes(stream),
        goodput_mbit: mbit(bytes(stream), began, last),
        packets,
        retransmissions,
    }
}

/// Mbit/s.
fn mbit(bytes: u64, from: Instant, until: Instant) -> Option<f64> {
    (until > from).then(|| bytes as f64 * 8.0 / (until - from).as_secs_f64() / 1e6)
}

impl Carried {
    /// Adds what a connection has carried: bytes that were acknowledged, both ways, and the time that took.
    fn with(self, stream: &Stream<Progress>, from: Instant) -> Self {
        let bytes = bytes(stream);
        if bytes == 0 {
            return self;
        }
        let (began, last) = measured(stream, from);
        let rate = bytes as f64 / (last - began).as_secs_f64().max(1e-9);
        Self {
            connections: self.connections + 1,
            bytes: self.bytes + bytes,
            rates: self.rates + rate,
            squares: self.squares + rate * rate,
        }
    }
}

/// Bytes of data of a side that were acknowledged, modulo 2^32.
fn acknowledged(conversation: &Conversation, side: Side) -> u32 {
    let sender = conversation.sender(side);
    let Some(iss) = sender.iss else { return 0 };
    let fin = sender.fin.is_some_and(|fin| sender.snd_una == fin + 1);
    let acked: u32 = sender.snd_una - (iss + 1);
    acked.wrapping_sub(u32::from(fin))
}

impl Observer for Counter {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        match *event {
            Event::Sent { packet, .. } => self.sent(at, packet),
            _ if at < self.from => {}
            Event::LinkDropped { .. } | Event::StackDropped { .. } => self.drops += 1,
            Event::Delivered { host, packet, .. } if self.hosts.binary_search(&host).is_ok() => {
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
