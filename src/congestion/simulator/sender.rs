//! One sender and its receiver: scoreboard, loss detection by the order of transmissions, PRR, RTO, rate sampler.

use std::collections::{BTreeSet, VecDeque};

use super::{FlowReport, MSS};
use crate::congestion::{
    AckSample, CongestionSample, Controller, CwndUsage, LostSample, Pacer, RateSample, SentSample, Signal, pacing_rate,
};
use crate::segment::Seq;
use crate::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq)]
enum UnitState {
    InFlight,
    Lost,
    Delivered,
}

/// One segment between SND.UNA and SND.NXT, with the per-packet state of draft-ietf-ccwg-bbr.
#[derive(Clone, Copy)]
struct Unit {
    state: UnitState,
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

pub(in crate::congestion) struct Flow {
    pub(in crate::congestion) controller: Box<dyn Controller>,
    pub(in crate::congestion) report: FlowReport,
    pub(super) usage: CwndUsage,
    pub(super) pacer: Option<Pacer>,
    pub(super) wake_at: Option<Instant>,
    units: VecDeque<Unit>,
    outstanding: VecDeque<(u64, u64)>,
    lost_queue: VecDeque<u64>,
    pub(super) una: u64,
    pub(super) nxt: u64,
    pub(super) available: u64,
    pub(super) pipe: u64,
    next_tx: u64,
    delivered: u64,
    lost: u64,
    delivered_time: Instant,
    first_send_time: Instant,
    app_limited_until: u64,
    pub(super) srtt: Option<Duration>,
    min_rtt: Option<Duration>,
    pub(super) last_progress: Instant,
    recovery_point: Option<u64>,
    after_timeout: bool,
    prr: Prr,
    // The receiver.
    pub(super) rcv_nxt: u64,
    pub(super) beyond: BTreeSet<u64>,
    pub(super) unacked: Vec<(u64, u64)>,
}

/// PRR (RFC 6937) for the controllers that do not govern recovery.
#[derive(Default)]
struct Prr {
    delivered: u64,
    out: u64,
    recover_fs: u64,
    allowed: u64,
}

impl Flow {
    pub(super) fn new(controller: Box<dyn Controller>, at: Instant, bulk: bool) -> Self {
        Self {
            pacer: controller.pacing_rate().map(|_| Pacer::new(MSS, 10 * MSS)),
            controller,
            report: FlowReport::default(),
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
        }
    }

    fn governed(&self) -> bool {
        self.recovery_point.is_none() || self.after_timeout || self.controller.governs_recovery()
    }

    fn limit(&self) -> u64 {
        if self.governed() { self.controller.cwnd() } else { self.prr.allowed }
    }

    /// Paces what is sent, with a controller that gives no rate too.
    pub(in crate::congestion) fn pace(&mut self) {
        self.pacer = Some(Pacer::new(MSS, 10 * MSS));
    }

    pub(super) fn check_app_limited(&mut self) {
        if self.available == 0 && self.lost_queue.is_empty() && self.pipe < self.controller.cwnd() {
            self.app_limited_until = (self.delivered + self.pipe).max(1);
        }
    }

    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<(u64, u64)> {
        if self.pacer.as_mut().is_some_and(|pacer| !pacer.may_send(now)) || self.pipe + MSS > self.limit() {
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
            state: UnitState::InFlight,
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

    pub(super) fn handle_ack(&mut self, now: Instant, una: u64, units: &[(u64, u64)]) {
        self.check_app_limited();
        let prior_pipe = self.pipe;
        let (mut newly_delivered, mut newest): (u64, Option<Unit>) = (0, None);
        for &(seq, tx) in units {
            let Some(offset) = seq.checked_sub(self.una) else { continue };
            let unit = &mut self.units[offset as usize];
            if unit.state == UnitState::Delivered {
                continue;
            }
            if unit.state == UnitState::InFlight {
                self.pipe -= MSS;
            } else {
                self.lost_queue.retain(|&lost| lost != seq);
            }
            assert_eq!(unit.tx, tx, "this link does not reorder");
            unit.state = UnitState::Delivered;
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
            if unit.tx == tx && unit.state == UnitState::InFlight {
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
            unit.state = UnitState::Lost;
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

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.report.timeouts += 1;
        let una = self.una;
        let lost: Vec<u64> =
            (una..self.nxt).filter(|&seq| self.units[(seq - una) as usize].state == UnitState::InFlight).collect();
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
