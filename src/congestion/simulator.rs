//! A small network for the tests of this directory: senders with a minimal loss recovery, one bottleneck link with a
//! rate, a delay, a queue and random loss, receivers that delay ACKs, and a delivery rate sampler. Virtual time, one
//! seed. It stands in for `recovery`: a segment is lost if one sent three later has arrived (the link does not
//! reorder).

mod sender;

use std::collections::{BTreeMap, VecDeque};

use super::{Controller, Pacer, Setup, by_name};
use crate::rng::Rng;
use crate::segment::Seq;
use crate::time::{Duration, Instant};

use sender::Flow;

pub(super) const MSS: u64 = 1_448;
const WIRE: u64 = 1_500;

/// The bottleneck, in one direction; ACKs come back after the same delay and are never lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bottleneck {
    pub(super) mbit: u64,
    /// One way.
    pub(super) delay: Duration,
    /// Packets.
    pub(super) queue: usize,
    pub(super) loss: f64,
}

enum Event {
    Arrive { flow: usize, seq: u64, tx: u64 },
    DelayedAck { flow: usize },
    Ack { flow: usize, una: u64, units: Vec<(u64, u64)> },
    Wake { flow: usize },
    Timer { flow: usize },
    Write { flow: usize, segments: u64 },
    Start { flow: usize },
}

/// What a test wants to know of one flow.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowReport {
    pub(super) delivered: u64,
    pub(super) sent: u64,
    pub(super) retransmissions: u64,
    pub(super) random_drops: u64,
    pub(super) queue_drops: u64,
    pub(super) timeouts: u64,
    pub(super) recoveries: u64,
    /// SRTT in nanoseconds at each ACK.
    pub(super) srtts: Vec<u64>,
    pub(super) min_rtt: u64,
    /// (time, cwnd, phase) whenever the phase changes.
    pub(super) phases: Vec<(Instant, u64, &'static str)>,
    /// `queue_drops` when slow start ended.
    pub(super) drops_in_slow_start: Option<u64>,
}

impl FlowReport {
    pub(super) fn median_srtt(&self) -> u64 {
        let mut srtts = self.srtts.clone();
        srtts.sort_unstable();
        srtts[srtts.len() / 2]
    }
}

pub(super) struct Network {
    pub(super) link: Bottleneck,
    pub(super) flows: Vec<Flow>,
    pub(super) now: Instant,
    events: BTreeMap<(Instant, u64), Event>,
    order: u64,
    departures: VecDeque<Instant>,
    rng: Rng,
}

impl Network {
    pub(super) fn new(link: Bottleneck, seed: u64) -> Self {
        Self {
            link,
            flows: Vec::new(),
            now: Instant::EPOCH,
            events: BTreeMap::new(),
            order: 0,
            departures: VecDeque::new(),
            rng: Rng::new(seed, "loss"),
        }
    }

    /// Adds a flow that starts at `at`. It sends for ever, or what [`write`](Self::write) gives it.
    pub(super) fn add(&mut self, name: &str, at: Instant, bulk: bool) -> usize {
        let controller = by_name(name).unwrap();
        let setup = Setup { seed: self.flows.len() as u64, ..Setup::new(MSS, at) };
        self.add_controller(controller.controller(&setup), at, bulk)
    }

    pub(super) fn add_controller(&mut self, controller: Box<dyn Controller>, at: Instant, bulk: bool) -> usize {
        let flow = self.flows.len();
        self.flows.push(Flow::new(controller, at, bulk));
        self.at(at, Event::Start { flow });
        flow
    }

    pub(super) fn write(&mut self, flow: usize, at: Instant, segments: u64) {
        self.at(at, Event::Write { flow, segments });
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.order += 1;
        self.events.insert((at, self.order), event);
    }

    pub(super) fn run_until(&mut self, end: Instant) {
        while let Some(entry) = self.events.first_entry() {
            let at = entry.key().0;
            if at > end {
                break;
            }
            let event = entry.remove();
            self.now = at;
            match event {
                Event::Arrive { flow, seq, tx } => self.arrive(flow, seq, tx),
                Event::DelayedAck { flow } => self.acknowledge(flow),
                Event::Ack { flow, una, units } => self.handle_ack(flow, una, &units),
                Event::Wake { flow } => {
                    self.flows[flow].wake_at = None;
                    self.transmit(flow);
                }
                Event::Timer { flow } => self.handle_timer(flow),
                Event::Write { flow, segments } => {
                    self.flows[flow].check_app_limited();
                    self.flows[flow].available += segments;
                    self.transmit(flow);
                }
                Event::Start { flow } => {
                    self.at(at + Duration::from_secs(1), Event::Timer { flow });
                    self.transmit(flow);
                }
            }
        }
        self.now = end;
    }

    fn enqueue(&mut self, flow: usize, seq: u64, tx: u64) {
        let lost = self.rng.chance(self.link.loss);
        let now = self.now;
        while self.departures.front().is_some_and(|&at| at <= now) {
            self.departures.pop_front();
        }
        if lost {
            self.flows[flow].report.random_drops += 1;
            return;
        }
        if self.departures.len() >= self.link.queue {
            self.flows[flow].report.queue_drops += 1;
            return;
        }
        let start = self.departures.back().copied().unwrap_or(now);
        let departure = start + Duration::from_nanos(WIRE * 8_000 / self.link.mbit);
        self.departures.push_back(departure);
        let arrival = departure + self.link.delay;
        self.at(arrival, Event::Arrive { flow, seq, tx });
    }

    fn arrive(&mut self, index: usize, seq: u64, tx: u64) {
        let now = self.now;
        let flow = &mut self.flows[index];
        let in_order = seq == flow.rcv_nxt && flow.beyond.is_empty();
        if seq >= flow.rcv_nxt {
            flow.beyond.insert(seq);
        }
        while flow.beyond.remove(&flow.rcv_nxt) {
            flow.rcv_nxt += 1;
        }
        flow.unacked.push((seq, tx));
        // RFC 5681, section 4.2: an ACK for every second segment, at once out of order and when a hole is filled.
        if !in_order || flow.unacked.len() >= 2 {
            self.acknowledge(index);
        } else {
            self.at(now + Duration::from_millis(40), Event::DelayedAck { flow: index });
        }
    }

    fn acknowledge(&mut self, index: usize) {
        let flow = &mut self.flows[index];
        if flow.unacked.is_empty() {
            return;
        }
        let units = core::mem::take(&mut flow.unacked);
        let una = flow.rcv_nxt;
        let at = self.now + self.link.delay;
        self.at(at, Event::Ack { flow: index, una, units });
    }

    fn handle_ack(&mut self, index: usize, una: u64, units: &[(u64, u64)]) {
        let now = self.now;
        self.flows[index].handle_ack(now, una, units);
        self.transmit(index);
    }

    fn handle_timer(&mut self, index: usize) {
        let now = self.now;
        let flow = &mut self.flows[index];
        let rto = flow.srtt.map_or(Duration::from_secs(1), |srtt| srtt * 2 + Duration::from_millis(200));
        if flow.pipe > 0 && now >= flow.last_progress + rto {
            flow.handle_timeout(now);
            flow.last_progress = now;
            self.transmit(index);
        }
        self.at(now + Duration::from_millis(50), Event::Timer { flow: index });
    }

    fn transmit(&mut self, index: usize) {
        let now = self.now;
        while let Some((seq, tx)) = self.flows[index].poll_transmit(now) {
            self.enqueue(index, seq, tx);
        }
        let flow = &mut self.flows[index];
        let cwnd = flow.controller.cwnd();
        flow.usage.on_transmit(flow.pipe, cwnd, MSS, Seq((flow.una * MSS) as u32), Seq((flow.nxt * MSS) as u32));
        if let Some(at) = flow.pacer.as_ref().and_then(Pacer::next_at)
            && flow.wake_at.is_none()
        {
            flow.wake_at = Some(at);
            self.at(at, Event::Wake { flow: index });
        }
    }
}
