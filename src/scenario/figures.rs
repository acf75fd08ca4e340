//! A run in numbers, for sweeps: how much came over, how fast, at what cost, and how fairly.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::run::Outcome;
use super::world::World;
use crate::conversation::{Conversation, DataKind, Side};
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
    /// Segments sent again by TCP.
    pub retransmissions: u64,
    /// Packets that did not arrive or that nobody wanted.
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
    flows: BTreeMap<(SocketAddr, SocketAddr), Flow>,
    /// In order of their first segment.
    over: Vec<Flow>,
    packets: u64,
    retransmissions: u64,
    drops: u64,
    datagram_bytes: u64,
}

/// One connection; the local side sent first.
#[derive(Debug)]
struct Flow {
    first: SocketAddr,
    conversation: Conversation,
    began: Instant,
    /// When each side's data were last acknowledged anew.
    progress: [Instant; 2],
}

impl Counter {
    pub(super) fn of(world: &World) -> Self {
        Self { hosts: world.hosts().iter().map(crate::sim::HostHandle::id).collect(), ..Self::default() }
    }

    pub(super) fn figures(&self, outcome: &Outcome) -> Figures {
        let flows = || self.over.iter().chain(self.flows.values());
        let carried: Vec<_> = flows().map(Flow::carried).filter(|(data, _)| *data > 0).collect();
        let data = carried.iter().map(|(data, _)| data).sum::<u64>() + self.datagram_bytes;
        let rates = carried.iter().map(|(data, time)| *data as f64 / time.as_secs_f64().max(1e-9));
        let (sum, squares) = rates.fold((0.0, 0.0), |(sum, squares), rate| (sum + rate, squares + rate * rate));
        let fairness = if carried.len() > 1 { sum * sum / (carried.len() as f64 * squares) } else { 1.0 };
        let seconds = outcome.completed.as_secs_f64();
        Figures {
            connections: flows().count() as u64,
            packets: self.packets,
            bytes: data,
            goodput_mbit: if seconds > 0.0 { data as f64 * 8.0 / seconds / 1e6 } else { 0.0 },
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
        let key = (segment.src.min(segment.dst), segment.src.max(segment.dst));
        let begins = segment.is_syn() && !segment.is_ack();
        if begins && self.flows.get(&key).is_some_and(|flow| flow.conversation.is_over()) {
            self.over.extend(self.flows.remove(&key));
        }
        let flow = self.flows.entry(key).or_insert_with(|| Flow {
            first: segment.src,
            conversation: Conversation::new(),
            began: at,
            progress: [at; 2],
        });
        let side = if segment.src == flow.first { Side::Local } else { Side::Remote };
        let before = flow.conversation.sender(side.other()).snd_una;
        let seen = flow.conversation.observe(at, side, &segment);
        if flow.conversation.sender(side.other()).snd_una != before {
            flow.progress[side.other() as usize] = at;
        }
        let again = matches!(seen.data, DataKind::Retransmission { .. } | DataKind::Duplicate | DataKind::OutOfOrder);
        self.retransmissions += u64::from(again);
    }
}

impl Flow {
    /// Bytes of data that were acknowledged, both ways, and how long that took.
    fn carried(&self) -> (u64, Duration) {
        let data = [Side::Local, Side::Remote].map(|side| self.acknowledged(side));
        let last = self.progress[0].max(self.progress[1]);
        (data[0] + data[1], last - self.began)
    }

    fn acknowledged(&self, side: Side) -> u64 {
        let sender = self.conversation.sender(side);
        let Some(iss) = sender.iss else { return 0 };
        let fin = sender.fin.is_some_and(|fin| sender.snd_una == fin + 1);
        let acked: u32 = sender.snd_una - (iss + 1);
        // Before the SYN is acknowledged the difference is negative.
        if acked > u32::MAX / 2 { 0 } else { u64::from(acked.saturating_sub(u32::from(fin))) }
    }
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
