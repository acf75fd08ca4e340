//! A small network for the tests of this directory: senders with a minimal loss recovery, one bottleneck link with a rate, a
//! delay, a queue and random loss, receivers that delay ACKs, and a delivery rate sampler. Virtual time, one seed.
//! It stands in for `recovery`: a segment is lost if one sent three later has arrived (the link does not reorder).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    AckSample, CongestionSample, Controller, CwndUsage, LostSample, Pacer, RateSample, SentSample, Setup, Signal, by_name,
    pacing_rate,
};
use crate::rng::Rng;
use crate::segment::Seq;
use crate::time::{Duration, Instant};

pub(super) const MSS: u64 = 1_448;
const WIRE: u64 = 1_500;

/// The bottleneck, in one direction; ACKs come back after the same delay and are never lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
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

#[derive(Clone, Copy, PartialEq)]
enum State {
    InFlight,
    Lost,
    Delivered,
}

/// One segment between SND.UNA and SND.NXT, with the per-packet state of draft-ietf-ccwg-bbr.
#[derive(Clone, Copy)]
struct Unit {
    state: State,
    tx: u64,
    again: bool,
    sent_at: Instant,
    delivered: u64,
    delivered_time: Instant,
    first_send_time: Instant,
    lost: u64,
    tx_in_flight: u64,
    app_limited: bool,
}

/// What a test wants to know of one flow.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
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

impl Report {
    pub(super) fn median_srtt(&self) -> u64 {
        let mut srtts = self.srtts.clone();
        srtts.sort_unstable();
        srtts[srtts.len() / 2]
    }
}

pub(super) struct Flow {
    pub(super) controller: Box<dyn Controller>,
    pub(super) report: Report,
    usage: CwndUsage,
    pacer: Option<Pacer>,
    wake_at: Option<Instant>,
    units: VecDeque<Unit>,
    outstanding: VecDeque<(u64, u64)>,
    lost_queue: VecDeque<u64>,
    una: u64,
    nxt: u64,
    available: u64,
    pipe: u64,
    next_tx: u64,
    delivered: u64,
    lost: u64,
    delivered_time: Instant,
    first_send_time: Instant,
    app_limited_until: u64,
    srtt: Option<Duration>,
    min_rtt: Option<Duration>,
    last_progress: Instant,
    recovery_point: Option<u64>,
    after_timeout: bool,
    prr: Prr,
    // The receiver.
    rcv_nxt: u64,
    beyond: BTreeSet<u64>,
    unacked: Vec<(u64, u64)>,
}

/// PRR (RFC 6937) for the controllers that do not govern recovery.
#[derive(Default)]
struct Prr {
    delivered: u64,
    out: u64,
    recover_fs: u64,
    allowed: u64,
}

pub(super) struct Network {
    pub(super) link: Link,
    pub(super) flows: Vec<Flow>,
    pub(super) now: Instant,
    events: BTreeMap<(Instant, u64), Event>,
    order: u64,
    departures: VecDeque<Instant>,
    rng: Rng,
}

impl Network {
    pub(super) fn new(link: Link, seed: u64) -> Self {
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
        let paced = controller.pacing_rate().is_some();
        self.flows.push(Flow {
            pacer: paced.then(|| Pacer::new(MSS, 10 * MSS)),
            controller,
            report: Report::default(),
            wake_at: None,
            usage: CwndUsage::default(),
            units: VecDeque::new(),
            outstanding: VecDeque::new(),
            lost_queue: VecDeque::new(),
            una: 0,
            nxt: 0,
            available: if bulk { u64::MAX } else { 0 },
            pipe: 0,
            next_tx: 0,
            delivered: 0,
            lost: 0,
            delivered_time: at,
            first_send_time: at,
            app_limited_until: 0,
            srtt: None,
            min_rtt: None,
            last_progress: at,
            recovery_point: None,
            after_timeout: false,
            prr: Prr::default(),
            rcv_nxt: 0,
            beyond: BTreeSet::new(),
            unacked: Vec::new(),
        });
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
        if let Some(at) = flow.pacer.as_ref().and_then(|pacer| pacer.next_at(now))
            && flow.wake_at.is_none()
        {
            flow.wake_at = Some(at);
            self.at(at, Event::Wake { flow: index });
        }
    }
}

impl Flow {
    fn governed(&self) -> bool {
        self.recovery_point.is_none() || self.after_timeout || self.controller.governs_recovery()
    }

    fn limit(&self) -> u64 {
        if self.governed() { self.controller.cwnd() } else { self.prr.allowed }
    }

    fn check_app_limited(&mut self) {
        if self.available == 0 && self.lost_queue.is_empty() && self.pipe < self.controller.cwnd() {
            self.app_limited_until = (self.delivered + self.pipe).max(1);
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<(u64, u64)> {
        if self.pipe + MSS > self.limit() || self.pacer.as_ref().is_some_and(|pacer| !pacer.may_send(now)) {
            return None;
        }
        let again = self.lost_queue.pop_front();
        let seq = match again {
            Some(seq) => seq,
            None if self.available > 0 => {
                self.available -= 1;
                self.nxt += 1;
                self.nxt - 1
            }
            None => return None,
        };
        if self.controller.marks_app_limited() {
            self.app_limited_until = (self.delivered + self.pipe).max(1);
        }
        let app_limited = self.app_limited_until > 0;
        let retransmission = again.is_some();
        self.controller.on_sent(&SentSample { now, bytes: MSS, prior_pipe: self.pipe, app_limited, retransmission });
        if self.pipe == 0 {
            self.first_send_time = now;
            self.delivered_time = now;
            self.last_progress = now;
        }
        self.pipe += MSS;
        let unit = Unit {
            state: State::InFlight,
            tx: self.next_tx,
            again: retransmission,
            sent_at: now,
            delivered: self.delivered,
            delivered_time: self.delivered_time,
            first_send_time: self.first_send_time,
            lost: self.lost,
            tx_in_flight: self.pipe,
            app_limited,
        };
        self.next_tx += 1;
        self.outstanding.push_back((unit.tx, seq));
        if retransmission {
            self.report.retransmissions += 1;
            self.units[(seq - self.una) as usize] = unit;
        } else {
            self.units.push_back(unit);
        }
        self.report.sent += 1;
        self.prr.out += MSS;
        if let Some(pacer) = &mut self.pacer {
            pacer.set_rate(pacing_rate(self.controller.as_ref(), self.srtt));
            pacer.on_sent(now, MSS);
        }
        Some((seq, unit.tx))
    }

    fn handle_ack(&mut self, now: Instant, una: u64, units: &[(u64, u64)]) {
        self.check_app_limited();
        let prior_pipe = self.pipe;
        let (mut newly_delivered, mut newest): (u64, Option<Unit>) = (0, None);
        for &(seq, tx) in units {
            let Some(offset) = seq.checked_sub(self.una) else { continue };
            let unit = &mut self.units[offset as usize];
            if unit.state == State::Delivered {
                continue;
            }
            if unit.state == State::InFlight {
                self.pipe -= MSS;
            } else {
                self.lost_queue.retain(|&lost| lost != seq);
            }
            assert_eq!(unit.tx, tx, "this link does not reorder");
            unit.state = State::Delivered;
            newly_delivered += MSS;
            if newest.is_none_or(|newest| unit.tx > newest.tx) {
                newest = Some(*unit);
            }
        }
        self.delivered += newly_delivered;
        let newly_acked = (una - self.una) * MSS;
        while self.una < una {
            self.units.pop_front();
            self.una += 1;
        }
        if newly_acked > 0 {
            self.last_progress = now;
        }
        let Some(newest) = newest else { return };
        self.delivered_time = now;
        self.first_send_time = self.first_send_time.max(newest.sent_at);
        if self.app_limited_until > 0 && self.delivered > self.app_limited_until {
            self.app_limited_until = 0;
        }
        let rtt = (!newest.again).then(|| now - newest.sent_at);
        if let Some(rtt) = rtt {
            self.srtt = Some(self.srtt.map_or(rtt, |srtt| (srtt * 7 + rtt) / 8));
            self.min_rtt = Some(self.min_rtt.map_or(rtt, |min| min.min(rtt)));
        }
        if self.recovery_point.is_some_and(|point| una >= point) {
            self.recovery_point = None;
            self.after_timeout = false;
            self.controller.on_recovery_end(now, u64::MAX);
        }
        let newly_lost = self.detect_losses(now, newest.tx);
        let interval = (now - newest.delivered_time).max(newest.sent_at - newest.first_send_time);
        let rate = RateSample {
            delivered: self.delivered - newest.delivered,
            prior_delivered: newest.delivered,
            interval: if self.min_rtt.is_some_and(|min| interval < min) { Duration::ZERO } else { interval },
            lost: self.lost - newest.lost,
            tx_in_flight: newest.tx_in_flight,
            app_limited: newest.app_limited,
        };
        let cwnd = self.controller.cwnd();
        let slow_start = cwnd < self.controller.ssthresh();
        let ack = AckSample {
            now,
            newly_acked,
            newly_delivered,
            newly_lost,
            prior_pipe,
            pipe: self.pipe,
            delivered: self.delivered,
            lost: self.lost,
            rate: Some(rate),
            rtt,
            srtt: self.srtt,
            min_rtt: self.min_rtt,
            reordering_seen: false,
            cwnd_limited: self.usage.is_cwnd_limited(cwnd, slow_start),
            cwnd_filled: self.usage.is_cwnd_filled(),
            snd_una: Seq((self.una * MSS) as u32),
            snd_nxt: Seq((self.nxt * MSS) as u32),
        };
        if self.governed() {
            self.controller.on_ack(&ack);
        } else {
            self.prr.on_ack(newly_delivered, self.pipe, self.controller.ssthresh());
        }
        if let Some(pacer) = &mut self.pacer {
            pacer.set_rate(pacing_rate(self.controller.as_ref(), self.srtt));
        }
        self.record(now);
    }

    fn record(&mut self, now: Instant) {
        let phase = self.controller.phase();
        if self.report.phases.last().is_none_or(|&(_, _, last)| last != phase) {
            self.report.phases.push((now, self.controller.cwnd(), phase));
        }
        if self.report.drops_in_slow_start.is_none() && !phase.contains("slow start") {
            self.report.drops_in_slow_start = Some(self.report.queue_drops);
        }
        self.report.delivered = self.delivered;
        if let (Some(srtt), Some(min)) = (self.srtt, self.min_rtt) {
            self.report.srtts.push(srtt.as_nanos() as u64);
            self.report.min_rtt = min.as_nanos() as u64;
        }
    }

    /// RFC 8985 without its reordering window, which this link does not need.
    fn detect_losses(&mut self, now: Instant, newest: u64) -> u64 {
        let mut lost = Vec::new();
        while let Some(&(tx, seq)) = self.outstanding.front() {
            if tx + 3 > newest {
                break;
            }
            self.outstanding.pop_front();
            if seq < self.una {
                continue;
            }
            let unit = self.units[(seq - self.una) as usize];
            if unit.tx == tx && unit.state == State::InFlight {
                lost.push(seq);
            }
        }
        self.mark(now, &lost);
        if !lost.is_empty() && self.recovery_point.is_none() {
            self.enter(now, Signal::Loss);
            self.prr = Prr { recover_fs: self.flight_size(), ..Prr::default() };
        }
        lost.len() as u64 * MSS
    }

    fn mark(&mut self, now: Instant, lost: &[u64]) {
        for &seq in lost {
            let unit = &mut self.units[(seq - self.una) as usize];
            unit.state = State::Lost;
            let unit = *unit;
            self.pipe -= MSS;
            self.lost += MSS;
            self.lost_queue.push_back(seq);
            self.controller.on_lost(&LostSample {
                now,
                bytes: MSS,
                tx_in_flight: unit.tx_in_flight,
                lost: self.lost - unit.lost,
                delivered: self.delivered,
                app_limited: unit.app_limited,
                new_range: true,
            });
        }
        self.lost_queue.make_contiguous().sort_unstable();
    }

    fn flight_size(&self) -> u64 {
        (self.nxt - self.una) * MSS
    }

    fn enter(&mut self, now: Instant, signal: Signal) {
        self.recovery_point = Some(self.nxt);
        self.report.recoveries += 1;
        self.controller.on_congestion(&CongestionSample {
            now,
            signal,
            flight_size: self.flight_size(),
            pipe: self.pipe,
            delivered: self.delivered,
            snd_nxt: Seq((self.nxt * MSS) as u32),
        });
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.report.timeouts += 1;
        let una = self.una;
        let lost: Vec<u64> = (una..self.nxt).filter(|&seq| self.units[(seq - una) as usize].state == State::InFlight).collect();
        self.outstanding.clear();
        self.mark(now, &lost);
        let again = self.after_timeout;
        self.after_timeout = true;
        self.enter(now, Signal::Timeout { again });
    }
}

impl Prr {
    /// RFC 6937, section 3, with the slow start reduction bound.
    fn on_ack(&mut self, newly_delivered: u64, pipe: u64, ssthresh: u64) {
        self.delivered += newly_delivered;
        let count = if pipe > ssthresh {
            (self.delivered * ssthresh).div_ceil(self.recover_fs).saturating_sub(self.out)
        } else {
            let bound = self.delivered.saturating_sub(self.out).max(newly_delivered) + MSS;
            (ssthresh - pipe).min(bound)
        };
        self.allowed = pipe + count;
    }
}
