//! A segment arrives (RFC 9293, section 3.10.7): what SYN-SENT takes, and the order in which the synchronized states look
//! at a segment: rules, RST, ACK, text, FIN.

use super::machine::Shown;
use super::outgoing::Reply;
use super::terms::Terms;
use super::{Context, Tcp, Verdict};
use crate::event::{DropReason, Rule, State};
use crate::segment::{Flags, Segment};
use crate::stack::connect::TS_TICK;
use crate::stack::replies::reset_for;
use crate::stack::rules::{Disposition, judge};
use crate::time::{Duration, Instant};

impl Tcp {
    /// Takes a segment for this connection. `orphan`: no application has the connection any more. `verdict` is the default.
    pub(in crate::stack) fn handle_segment(
        &mut self,
        context: &mut Context<'_>,
        segment: &Segment<'_>,
        orphan: bool,
        verdict: &mut Verdict,
    ) {
        if self.machine.state() == State::SynSent {
            *verdict = self.in_syn_sent(context, segment);
            return;
        }
        let Some(situation) = self.situation(context, orphan) else { return };
        verdict.heard = true;
        match judge(&situation, segment) {
            Disposition::Pass => self.process(context, segment, verdict),
            Disposition::Edit(rule) => {
                verdict.edited = Some(rule);
                // The window of a segment with SYN is not scaled (RFC 7323, section 2.2); the one of this segment is.
                let shift = self.terms().map_or(0, Terms::peer_shift);
                let plain = Segment {
                    seq: segment.seq + 1,
                    flags: segment.flags.without(Flags::SYN),
                    window: segment.window >> shift,
                    ..*segment
                };
                self.process(context, &plain, verdict);
            }
            Disposition::Drop(rule) => verdict.dropped = Some(DropReason::Rule(rule)),
            Disposition::Reply(rule) => {
                verdict.dropped = Some(DropReason::Rule(rule));
                self.answer(context, segment, rule, verdict);
            }
            Disposition::Reset(rule @ Rule::SynChallenge) => {
                verdict.dropped = Some(DropReason::Rule(rule));
                verdict.reply = Some(Reply::Reset(Box::new(self.reset(context.now))));
                self.machine.show(Shown::Rst, context.machines);
            }
            Disposition::Reset(rule) => {
                // RFC 9293, section 3.10.7.1: with no application left, what comes is for no connection. The number is that
                // which the peer waits for (RFC 5961, section 3.2). Nothing is sent where both FINs are under way.
                verdict.dropped = Some(DropReason::Rule(rule));
                verdict.reply = (!matches!(self.machine.state(), State::Closing | State::LastAck))
                    .then(|| Reply::Reset(Box::new(reset_for(segment))));
                self.machine.show(Shown::Rst, context.machines);
            }
        }
    }

    /// RFC 9293, section 3.10.7.3.
    fn in_syn_sent(&mut self, context: &mut Context<'_>, segment: &Segment<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let (_, snd_nxt) = self.sent();
        // "If the ACK bit is set, if SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset (unless the RST bit is set)".
        if segment.is_ack() && segment.ack != snd_nxt {
            verdict.dropped = Some(DropReason::Rule(Rule::AckOutOfRange));
            verdict.reply = (!segment.is_rst()).then(|| Reply::Reset(Box::new(reset_for(segment))));
            return verdict;
        }
        if segment.is_rst() {
            if segment.is_ack() {
                self.machine.show(Shown::Rst, context.machines);
            } else {
                verdict.dropped = Some(DropReason::Rule(Rule::ExactRst));
            }
            return verdict;
        }
        if !segment.is_syn() {
            verdict.dropped = Some(DropReason::Rule(Rule::AckOutOfRange));
            return verdict;
        }
        verdict.heard = true;
        let terms = Terms::new(&self.offer, segment);
        self.ts_recent = segment.options.ts.filter(|_| terms.timestamps).map(|ts| (ts.ts_val, context.now));
        self.begin_flow(context, terms);
        if segment.is_ack() {
            self.machine.show(Shown::SynAck, context.machines);
            self.end_handshake(context, segment);
            verdict.advanced = true;
            if let Some(flow) = &mut self.flow {
                flow.receiver.ack.set_now();
            }
            verdict.writable = true;
        } else {
            // RFC 9293, section 3.5, figure 7: both SYNs crossed.
            self.machine.show(Shown::Syn, context.machines);
            if let Some(opening) = &mut self.opening {
                opening.answer();
            }
        }
        verdict
    }

    /// Our SYN is acknowledged by this segment.
    fn end_handshake(&mut self, context: &Context<'_>, segment: &Segment<'_>) {
        let (Some(opening), Some(flow)) = (self.opening.take(), &mut self.flow) else { return };
        self.syn_resends = opening.sends.saturating_sub(1);
        // Karn's rule (RFC 6298, section 3), unless the echo names the last SYN.
        let echo = segment.options.ts.filter(|_| flow.terms.timestamps).map(|ts| ts.ts_ecr);
        let named = echo.zip(opening.sent_at).is_some_and(|(echo, sent_at)| echo == self.clock.at(sent_at));
        let sent_at = opening.sent_at.filter(|_| opening.sends == 1 || named);
        let rtt = sent_at.map(|sent_at| context.now.nanos_since(sent_at));
        flow.sender.on_handshake(
            context.now,
            rtt.map(Duration::from_nanos),
            opening.sends,
            &self.options,
            context.config.pacing,
        );
        flow.receiver.ack.set_rtt(flow.sender.recovery().nanos());
        if let Some(rtt) = rtt {
            flow.receiver.on_rtt(rtt);
        }
    }

    /// The fifth to eighth step of RFC 9293, section 3.10.7.4, for a segment that the rules let pass.
    fn process(&mut self, context: &mut Context<'_>, segment: &Segment<'_>, verdict: &mut Verdict) {
        if segment.is_rst() {
            self.machine.show(Shown::Rst, context.machines);
            return;
        }
        self.note_timestamp(context.now, segment);
        if self.machine.state() == State::SynReceived {
            if segment.ack != self.sent().1 {
                // "If the segment acknowledgment is not acceptable, form a reset segment".
                verdict.dropped = Some(DropReason::Rule(Rule::AckOutOfRange));
                verdict.reply = Some(Reply::Reset(Box::new(reset_for(segment))));
                return;
            }
            self.machine.show(Shown::AckOfSyn, context.machines);
            self.end_handshake(context, segment);
            (verdict.writable, verdict.advanced) = (true, true);
        }
        self.take_ack(context, segment, verdict);
        self.take_text(context, segment, verdict);
    }

    fn take_ack(&mut self, context: &mut Context<'_>, segment: &Segment<'_>, verdict: &mut Verdict) {
        let Some(flow) = &mut self.flow else { return };
        let window_changed = flow.sender.on_window(segment);
        let acked = flow.sender.on_ack(context.now, segment, window_changed, context.pool);
        verdict.advanced |= acked.advanced;
        verdict.undone = acked.outcome.undone.is_some();
        verdict.writable |= acked.writable;
        if acked.outcome.rtt.is_some() {
            flow.receiver.ack.set_rtt(flow.sender.recovery().nanos());
        }
        if acked.fin {
            self.machine.show(Shown::AckOfFin, context.machines);
        }
    }

    fn take_text(&mut self, context: &mut Context<'_>, segment: &Segment<'_>, verdict: &mut Verdict) {
        let Some(flow) = &mut self.flow else { return };
        if flow.terms.ecn && !segment.payload.is_empty() {
            // RFC 3168, section 6.1.3: CWR ends the echo, a CE mark begins it.
            const CE: u8 = 0b11;
            self.ece = (self.ece && !segment.flags.contains(Flags::CWR)) || segment.ecn == CE;
        }
        if segment.payload.is_empty() && !segment.is_fin() {
            return;
        }
        let taken = flow.receiver.on_text(context.now, segment.seq, segment.payload, segment.is_fin(), context.pool);
        verdict.readable = taken.readable || taken.fin;
        if taken.no_memory {
            verdict.dropped = Some(DropReason::NoMemory);
        }
        if taken.cut {
            verdict.edited = Some(Rule::RightEdge);
        }
        if taken.readable {
            match segment.options.ts.filter(|_| flow.terms.timestamps) {
                // As Linux: the echo is of the segment that let this one leave.
                Some(ts) if segment.payload.len() as u32 >= flow.receiver.peer_mss() => {
                    let ticks = self.clock.at(context.now).wrapping_sub(ts.ts_ecr);
                    if ticks < 1 << 20 {
                        flow.receiver.on_rtt(u64::from(ticks.max(1)) * TS_TICK.as_nanos() as u64);
                    }
                }
                Some(_) => {}
                None => flow.receiver.measure_rtt(context.now),
            }
        }
        if taken.fin {
            // RFC 9293, section 3.10.7.4, eighth: "send an acknowledgment for the FIN". At once where no answer is to be
            // expected, or where it fills a gap.
            if self.machine.state() == State::Established && !taken.ack_now {
                flow.receiver.ack.on_fin(context.now);
            } else {
                flow.receiver.ack.set_now();
            }
            self.machine.show(Shown::Fin, context.machines);
        } else if taken.ack_now {
            // One for each such segment, also in a batch: the sender counts them.
            verdict.reply = Some(Reply::Ack);
        }
    }

    /// RFC 7323, section 4.3: `TS.Recent` follows a segment that begins at or before the last ACK sent.
    fn note_timestamp(&mut self, now: Instant, segment: &Segment<'_>) {
        let (Some(ts), Some(flow)) = (segment.options.ts, &self.flow) else { return };
        if let Some((recent, at)) = &mut self.ts_recent
            && segment.seq <= flow.receiver.last_ack_sent()
            && ts.ts_val.wrapping_sub(*recent) as i32 >= 0
        {
            (*recent, *at) = (ts.ts_val, now);
        }
    }

    /// The ACK that answers a segment which the rules refused.
    fn answer(&mut self, context: &Context<'_>, segment: &Segment<'_>, rule: Rule, verdict: &mut Verdict) {
        // Linux's `tcp_oow_rate_limited`: a segment with text cannot be part of a loop of ACKs.
        let unlimited = rule == Rule::OutOfWindow && !segment.is_empty() && !segment.is_syn();
        if unlimited {
            if let Some(flow) = &mut self.flow {
                flow.receiver.note_refused(segment.seq, segment.payload.len() as u32);
            }
        } else if context.now < self.challenge_at {
            return;
        } else {
            self.challenge_at = context.now + context.config.challenge_interval;
        }
        verdict.reply = Some(Reply::Ack);
    }
}
