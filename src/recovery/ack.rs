//! What an ACK does: the scoreboard, the RTT sample, undo, the end and the begin of recovery, timers, the controller.
//! The order is that of RFC 8985, section 6.2 and of [`Controller`]: delivery, undo or end, losses, reduction, growth.

use super::delivery_rate::Candidate;
use super::prr::PrrAck;
use super::rack::ReorderingLimits;
use super::scoreboard::Unit;
use super::tlp::{ProbeAck, ProbeFate};
use super::{Phase, Reason, Recovery, UndoReason, dup_thresh};
use crate::congestion::{AckSample, Controller, Signal};
use crate::segment::{SackBlock, Seq};
use crate::time::{Duration, Instant};

/// An acceptable ACK as recovery sees it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts of a segment, each of its own")]
pub struct AckInfo<'a> {
    /// SEG.ACK. Beyond SND.NXT or before SND.UNA the ACK is ignored.
    pub ack: Seq,
    /// The SACK blocks, in the order in which they came; a DSACK is the first (RFC 2883, section 4).
    pub sack: &'a [SackBlock],
    /// `TSecr`.
    pub ts_ecr: Option<u32>,
    /// The segment carries text.
    pub text: bool,
    /// The segment changes the window (SND.WND).
    pub window_changed: bool,
    /// There is unsent text that the peer's window admits.
    pub unsent: bool,
    /// The ACK carries ECE, and ECN is in use (RFC 3168).
    pub ece: bool,
}

/// What an ACK changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Sequence numbers by which SND.UNA moved.
    pub acked: u32,
    /// Charged bytes delivered, by ACK or SACK, for the first time.
    pub delivered: u64,
    /// Charged bytes judged lost.
    pub lost: u64,
    /// The RTT sample that went into SRTT.
    pub rtt: Option<Duration>,
    /// The block that the receiver had twice (RFC 2883).
    pub dsack: Option<SackBlock>,
    /// The last congestion event proved to be none.
    pub undone: Option<UndoReason>,
    /// Fast recovery began.
    pub began_recovery: bool,
    /// Recovery, fast or after a timeout, ended.
    pub ended_recovery: bool,
}

/// What one ACK delivered, collected unit by unit.
#[derive(Default)]
pub(super) struct Delivery {
    charge: u64,
    /// When the earliest and the latest unit that was never resent had left.
    pub(super) first_sent_at: Option<Instant>,
    last_sent_at: Option<Instant>,
    /// The first unit that had been resent: when it last left.
    resent_at: Option<Instant>,
    rate: Candidate,
}

impl Recovery {
    /// Takes an ACK.
    pub fn on_ack(&mut self, now: Instant, ack: &AckInfo<'_>, controller: &mut dyn Controller) -> Outcome {
        let prior_una = self.snd_una();
        let idle = self.board.is_empty() && ack.sack.is_empty() && !self.trouble.tlp.is_out();
        if idle || ack.ack < prior_una || ack.ack > self.snd_nxt() {
            return Outcome::default();
        }
        let prior_pipe = self.pipe();
        // RFC 5681, section 2: "outstanding data; no data; SYN and FIN bits are both off; the greatest acknowledgment;
        // the advertised window equals the one in the last". After a probe nothing need be outstanding.
        let duplicate = ack.ack == prior_una && !ack.text && !ack.window_changed;
        let (dsack, sack) = split_dsack(ack, prior_una);
        let sack = if self.config.sack { sack } else { &[] };

        // 1. What the ACK delivers.
        let mut delivery = Delivery::default();
        let newly_acked = self.deliver(now, ack, sack, &mut delivery);
        let advanced = ack.ack > prior_una;
        // RFC 7323, section 4.1: the echo counts only where SND.UNA moves.
        let rtt = self.sample_rtt(now, ack.ts_ecr.filter(|_| advanced), &delivery);
        let mut outcome = Outcome {
            acked: ack.ack - prior_una,
            delivered: delivery.charge,
            rtt: rtt.map(Duration::from_nanos),
            dsack,
            ..Outcome::default()
        };
        let reordered = dsack.is_some_and(|block| self.on_dsack(block));
        self.rack.on_ack(self.snd_una(), self.snd_nxt(), reordered);
        if advanced || delivery.charge > 0 {
            self.probe = None;
        }

        // 2. Was the last congestion event one at all, and is recovery over?
        if advanced
            && delivery.resent_at.is_some()
            && let (Some(clock), Some(ts_ecr)) = (&self.config.timestamps, ack.ts_ecr)
        {
            self.trouble.undo.on_resent_acked(clock, ts_ecr);
        }
        let newreno = self.phase == Phase::Recovery && !self.config.sack;
        outcome.undone = self.try_undo(now, ack, advanced, duplicate, &delivery, controller);
        if advanced {
            if let Some(trouble) = self.trouble.made() {
                trouble.timed_out_at = None;
            }
            outcome.ended_recovery = outcome.undone.is_some() || self.try_end(now, controller);
        }

        // 3. What is lost, and does recovery begin?
        let probe_ack = ProbeAck { ack: ack.ack, dsack, has_sack: !ack.sack.is_empty(), duplicate };
        let probe_fate = self.trouble.made().map_or(ProbeFate::Pending, |trouble| trouble.tlp.on_ack(&probe_ack));
        if self.config.sack {
            outcome.lost = self.detect_loss(now, false, controller);
        } else {
            outcome.lost = self.count_dup_acks(now, advanced, newly_acked, duplicate, controller);
        }
        // What was lost after the recovery point begins another recovery (RFC 6675, section 5).
        let left_over = outcome.ended_recovery && outcome.undone.is_none() && self.board.totals().lost_units > 0;
        if (outcome.lost > 0 || left_over) && !self.is_recovering() {
            outcome.began_recovery = self.begin_recovery(now, delivery.charge, controller);
        } else if !self.is_recovering() {
            if probe_fate == ProbeFate::Repaired {
                // RFC 8985, section 7.4.2: the probe hid a loss from fast recovery; the reaction is the same.
                controller.on_congestion(&self.congestion(now, Signal::Loss, controller));
                controller.on_recovery_end(now, u64::MAX);
                self.trouble.undo.end();
            }
            let disorder = self.board.totals().sacked_units > 0 || self.trouble.newreno.dup_acks() > 0;
            self.phase = if disorder { Phase::Disorder } else { Phase::Open };
        }
        if ack.ece {
            self.on_ece(now, controller);
        }

        // 4. Timers.
        self.on_progress(now, advanced, delivery.charge > 0);

        // 5. The controller, or PRR in its place.
        if self.phase == Phase::Recovery
            && let Some(prr) = &mut self.trouble.prr
        {
            let safe = advanced && outcome.lost == 0;
            prr.on_ack(
                PrrAck { delivered: delivery.charge, pipe: self.board.totals().pipe, safe },
                u64::from(self.mss),
            );
        } else if (delivery.charge > 0 || advanced || outcome.lost > 0)
            && (self.phase != Phase::Recovery || controller.governs_recovery())
        {
            let cwnd = controller.cwnd();
            let slow_start = cwnd < controller.ssthresh();
            // RFC 3168, section 6.1.2: no growth "in response to the receipt of an ECN-Echo ACK packet". Nor by the full ACK
            // that ends fast recovery: it has just set cwnd, so that no burst follows (RFC 6582, section 3.2).
            let held = ack.ece || (newreno && outcome.ended_recovery);
            let last_rtt = delivery.last_sent_at.map(|at| now.since(at));
            let sample = AckSample {
                now,
                newly_acked,
                newly_delivered: delivery.charge,
                newly_lost: outcome.lost,
                prior_pipe,
                pipe: self.pipe(),
                delivered: self.rate.delivered(),
                lost: self.rate.lost(),
                rate: self.rate.sample(now, &delivery.rate, self.min_rtt.get()),
                rtt: last_rtt,
                srtt: self.srtt(),
                min_rtt: self.min_rtt(),
                cwnd_limited: !held && self.usage.is_cwnd_limited(cwnd, slow_start),
                cwnd_filled: self.usage.is_cwnd_filled(),
                reordering_seen: self.rack.reordering_seen(),
                snd_una: self.snd_una(),
                snd_nxt: self.snd_nxt(),
            };
            controller.on_ack(&sample);
        }
        outcome
    }

    /// Gives the ACK and its SACK blocks to the scoreboard. Returns the charged bytes by which SND.UNA moved.
    fn deliver(&mut self, now: Instant, ack: &AckInfo<'_>, sack: &[SackBlock], delivery: &mut Delivery) -> u64 {
        let fack = self.board.fack();
        let (rack, rate, min_rtt) = (&mut self.rack, &mut self.rate, &mut self.min_rtt);
        let clock = self.config.timestamps;
        let mut on_delivered = |unit: &Unit| {
            delivery.charge += u64::from(unit.charge);
            rate.on_delivered(now, unit, &mut delivery.rate);
            let mut echo_is_older = false;
            if unit.is_resent() {
                delivery.resent_at = delivery.resent_at.or(Some(unit.sent_at));
                // The echo speaks of what fills the hole, not of what is SACKed beyond it (RFC 7323, section 4.3).
                if let (Some(clock), Some(ts_ecr), true) = (&clock, ack.ts_ecr, unit.end() <= ack.ack) {
                    echo_is_older = clock.is_older(ts_ecr, unit.sent_at);
                }
            } else {
                delivery.first_sent_at = Some(delivery.first_sent_at.map_or(unit.sent_at, |at| at.min(unit.sent_at)));
                if delivery.last_sent_at.is_none_or(|at| at < unit.sent_at) {
                    delivery.last_sent_at = Some(unit.sent_at);
                    // RFC 8985, section 6.2, step 1: "Use the RTT measurements obtained ... to update the estimated
                    // minimum RTT".
                    min_rtt.on_sample(now, now.as_nanos().saturating_sub(unit.sent_at.as_nanos()));
                }
            }
            rack.on_delivered(now, unit, fack, min_rtt.get(), echo_is_older);
        };
        let mut newly_acked = 0;
        if ack.ack > self.board.snd_una() {
            newly_acked = self.board.on_ack(ack.ack, &mut on_delivered);
        }
        if !sack.is_empty() {
            self.board.on_sack(sack, &mut on_delivered);
        }
        newly_acked
    }

    /// An RTT sample by Karn's algorithm (RFC 6298, section 3), in nanoseconds.
    ///
    /// From the time of transmission, if nothing that was delivered had been resent. An ACK that covers a resent unit
    /// besides may have waited for it, and the sample would contain the RTO. Otherwise only the echo can tell: it must
    /// name the retransmission.
    fn sample_rtt(&mut self, now: Instant, ts_ecr: Option<u32>, delivery: &Delivery) -> Option<u64> {
        let sent_at = match delivery.resent_at {
            None => delivery.first_sent_at?,
            Some(_) if delivery.first_sent_at.is_some() => return None,
            Some(resent_at) => {
                let clock = self.config.timestamps.as_ref()?;
                (ts_ecr? == clock.at(resent_at)).then_some(resent_at)?
            }
        };
        let rtt = now.as_nanos().saturating_sub(sent_at.as_nanos());
        self.rto.on_sample(rtt);
        Some(rtt)
    }

    /// The peer has `block` twice. True if that shows reordering: RACK judged a segment lost that had only been
    /// overtaken.
    fn on_dsack(&mut self, block: SackBlock) -> bool {
        // As on Linux: more duplicates than retransmissions are copies that the network made.
        if self.trouble.counters.spurious >= self.trouble.counters.retransmissions {
            return false;
        }
        self.trouble.counters.spurious += 1;
        self.trouble.undo.on_dsack(block);
        if self.trouble.tlp.matches(block) {
            return false;
        }
        self.rack.on_spurious_retransmission();
        true
    }

    /// Marks what is lost, by RACK or by `DupThresh`, and arms RACK's timer. Returns the charged bytes.
    pub(super) fn detect_loss(&mut self, now: Instant, by_timer: bool, controller: &mut dyn Controller) -> u64 {
        if self.board.is_empty() {
            self.rack_at = None;
            return 0;
        }
        let before = self.rate.lost();
        let reo_wnd = self.reo_wnd();
        let (rate, trouble) = (&mut self.rate, &mut self.trouble);
        let mut on_lost = |lost| {
            trouble.counters.lost += 1;
            controller.on_lost(&rate.on_lost(now, &lost));
        };
        if self.config.rack {
            let by_time = by_timer || reo_wnd > 0;
            let cause = if by_time { Reason::Rack } else { Reason::FastRetransmit };
            self.rack_at = self.rack.detect_loss(now, &mut self.board, reo_wnd, cause, &mut on_lost);
        } else {
            dup_thresh::detect_loss(&mut self.board, self.config.dup_thresh, self.mss, &mut on_lost);
        }
        self.rate.lost() - before
    }

    /// The reordering window of RACK now, in nanoseconds.
    pub(super) fn reo_wnd(&self) -> u64 {
        self.rack.reo_wnd(&ReorderingLimits {
            min_rtt: self.min_rtt.get(),
            srtt: self.rto.srtt(),
            recovering: self.is_recovering(),
            dup_thresh_reached: self.board.sacked_segments() >= self.config.dup_thresh,
        })
    }

    /// RFC 6582: duplicate, partial and full ACKs without SACK. Returns the charged bytes judged lost.
    fn count_dup_acks(
        &mut self,
        now: Instant,
        advanced: bool,
        newly_acked: u64,
        duplicate: bool,
        controller: &mut dyn Controller,
    ) -> u64 {
        let mss = u64::from(self.mss);
        let mut retransmit = false;
        match self.phase {
            Phase::Recovery if advanced => {
                // A partial ACK: the next unit is lost too.
                if self.trouble.newreno.on_partial_ack(newly_acked, mss) {
                    self.arm_rto(now);
                }
                retransmit = true;
            }
            Phase::Recovery if duplicate => self.trouble.newreno.on_dup_ack_in_recovery(mss),
            Phase::Open | Phase::Disorder if advanced => {
                if let Some(trouble) = self.trouble.made() {
                    trouble.newreno.reset_dup_acks();
                }
            }
            Phase::Open | Phase::Disorder if duplicate => {
                let snd_una = self.snd_una();
                retransmit = self.trouble.newreno.on_dup_ack(snd_una, self.config.dup_thresh);
            }
            _ => {}
        }
        if !retransmit {
            return 0;
        }
        self.forced = true;
        let Some(lost) = self.board.mark_lost(0, Reason::FastRetransmit) else { return 0 };
        self.trouble.counters.lost += 1;
        let sample = self.rate.on_lost(now, &lost);
        controller.on_lost(&sample);
        sample.bytes
    }

    /// Sets the retransmission and probe timers after an ACK.
    fn on_progress(&mut self, now: Instant, advanced: bool, delivered: bool) {
        if self.board.is_empty() {
            // RFC 6298, section 5.2: "When all outstanding data has been acknowledged, turn off the retransmission
            // timer".
            (self.rto_at, self.pto_at, self.rack_at) = (None, None, None);
            return;
        }
        // RFC 6298, section 5.3: restart it "when an ACK is received that acknowledges new data". For partial ACKs
        // of RFC 6582 that is done where they are handled.
        let partial = !self.config.sack && self.phase == Phase::Recovery;
        if advanced && !partial {
            self.arm_rto(now);
        }
        if advanced || delivered {
            self.arm_pto(now);
        }
    }
}

/// The DSACK block, if the first block is one, and the others.
///
/// RFC 2883, section 4: it is one if it lies below the cumulative ACK or within the second block.
fn split_dsack<'a>(ack: &AckInfo<'a>, snd_una: Seq) -> (Option<SackBlock>, &'a [SackBlock]) {
    let Some((&first, rest)) = ack.sack.split_first() else { return (None, &[]) };
    let valid = first.left < first.right;
    let below = first.right <= ack.ack;
    let within = rest.first().is_some_and(|second| second.left <= first.left && first.right <= second.right);
    // RFC 3708, section 2: a block far below tells of text that is long forgotten, or is forged.
    let recent = snd_una.distance(first.left) < 1 << 30;
    match (valid && recent, below || within) {
        (true, true) => (Some(first), rest),
        _ => (None, ack.sack),
    }
}
