//! Builds the segments of a connection from one template: SYN, SYN|ACK, ACK, text, FIN, probes, RST. What leaves next is
//! decided in this order: RST, SYN, keep-alive, what the sender has, an ACK that is due. Checksums are left out: loops fill
//! them in for those who read them.

use super::opening::Opening;
use super::sender::Outgoing;
use super::{Context, Departure, Flow, Tcp};
use crate::event::{Reason, State};
use crate::segment::{Flags, Options, Packet, SegmentTemplate, Seq, Timestamps};
use crate::time::Instant;

/// A segment that answers another one at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::stack) enum Reply {
    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`
    Ack,
    /// An RST for a segment that belongs to no connection.
    Reset(Box<SegmentTemplate<'static>>),
}

/// ECT(0) of RFC 3168, section 5.
const ECT_0: u8 = 0b10;

impl Tcp {
    /// Writes the next segment that is due into `packet`. `None` if there is none.
    pub(in crate::stack) fn poll(&mut self, context: &mut Context<'_>, packet: &mut Packet) -> Option<Departure> {
        if core::mem::take(&mut self.rst_due) {
            self.write_rst(context.now, packet);
            return Some(Departure { reason: None, last: false });
        }
        if let Some(mut opening) = self.opening
            && opening.due
        {
            opening.on_sent(context.now, context.config);
            self.opening = Some(opening);
            self.write_syn(context, &opening, packet);
            return Some(Departure { reason: None, last: false });
        }
        if self.machine.state() == State::Closed {
            return None;
        }
        let Some(flow) = &mut self.flow else { return None };
        if self.opening.is_none() {
            let outgoing = if core::mem::take(&mut self.keep_alive_due) {
                Some(flow.sender.probe(Reason::KeepAlive))
            } else {
                let blocks = flow.receiver.sack_count(sack_room(flow.terms.timestamps));
                flow.sender.poll(context.now, sack_len(blocks))
            };
            if let Some(outgoing) = outgoing {
                self.write_outgoing(context, &outgoing, packet);
                let last =
                    self.flow.as_mut().is_some_and(|flow| !flow.receiver.ack.is_due() && flow.sender.is_drained());
                return Some(Departure { reason: Some(outgoing.reason), last });
            }
        }
        let flow = self.flow.as_ref()?;
        if !flow.receiver.ack.is_due() {
            return None;
        }
        if context.config.fin_with_acks
            && matches!(self.machine.state(), State::FinWait1 | State::Closing | State::LastAck)
        {
            self.write_ack_with_fin(context, packet);
        } else {
            self.write_ack(context, packet);
        }
        // The sender had nothing, and an ACK gives it nothing.
        Some(Departure { reason: None, last: true })
    }

    #[inline]
    fn template(&self, now: Instant, seq: Seq, flags: Flags) -> SegmentTemplate<'static> {
        let ts = self.ts_recent.map(|(ts_ecr, _)| Timestamps { ts_val: self.clock.at(now), ts_ecr });
        SegmentTemplate {
            seq,
            flags,
            ttl: self.options.ttl,
            layout: self.layout,
            options: Options { ts, ..Options::default() },
            ..SegmentTemplate::new(self.ends.0, self.ends.1)
        }
    }

    /// The same with RCV.NXT and the window.
    #[inline]
    fn acknowledging(&mut self, context: &Context<'_>, seq: Seq, flags: Flags) -> SegmentTemplate<'static> {
        let mut template = self.template(context.now, seq, flags | Flags::ACK);
        if let Some(flow) = &mut self.flow {
            template.ack = flow.receiver.rcv_nxt();
            template.window = flow.receiver.window_field(context.pool.is_under_pressure());
        }
        if self.ece {
            template.flags = template.flags | Flags::ECE;
        }
        template
    }

    /// Writes an ACK without text.
    pub(in crate::stack) fn write_ack(&mut self, context: &Context<'_>, packet: &mut Packet) {
        let Some(flow) = &self.flow else { return };
        // In SYN-RECEIVED SND.NXT is behind the SYN.
        let seq = if self.opening.is_some() { self.sent().1 } else { flow.sender.acceptable_seq() };
        let mut template = self.acknowledging(context, seq, Flags::ACK);
        if let Some(flow) = &mut self.flow {
            template.options.sack = flow.receiver.sack_blocks(sack_room(flow.terms.timestamps));
            flow.receiver.on_ack_sent(true);
        }
        template.write_without_checksums(0, packet, |_| {});
    }

    /// An ACK with the FIN that was sent and not acknowledged, as on BSD.
    fn write_ack_with_fin(&mut self, context: &Context<'_>, packet: &mut Packet) {
        let fin = self.sent().1 - 1;
        let mut template = self.acknowledging(context, fin, Flags::ACK | Flags::FIN);
        if let Some(flow) = &mut self.flow {
            template.options.sack = flow.receiver.sack_blocks(sack_room(flow.terms.timestamps));
            flow.receiver.on_ack_sent(true);
        }
        template.write_without_checksums(0, packet, |_| {});
    }

    fn write_outgoing(&mut self, context: &mut Context<'_>, sent: &Outgoing, packet: &mut Packet) {
        let mut flags = Flags::ACK;
        for (set, flag) in [(sent.fin, Flags::FIN), (sent.push, Flags::PSH), (sent.cwr, Flags::CWR)] {
            if set {
                flags = flags | flag;
            }
        }
        let mut template = self.acknowledging(context, sent.seq, flags);
        let now = context.now;
        let Some(Flow { terms, sender, receiver }) = &mut self.flow else { return };
        let blocks = receiver.sack_count(sack_room(terms.timestamps));
        // A full segment that is sent again has no room for SACK blocks; then an ACK is owed beside it.
        let fits = sent.len + sack_len(blocks) <= sender.mss();
        if blocks > 0 && fits {
            template.options.sack = receiver.sack_blocks(sack_room(terms.timestamps));
        }
        if blocks == 0 || fits {
            receiver.on_ack_sent(true);
        }
        if terms.ecn && sent.new && sent.len > 0 {
            template.ecn = ECT_0;
        }
        template.write_without_checksums(sent.len as usize, packet, |bytes| sender.append_text(sent, bytes));
        if sent.new && sent.len > 0 {
            receiver.ack.on_text_sent(now);
        }
        sender.on_sent(now, sent);
    }

    fn write_syn(&mut self, context: &Context<'_>, opening: &Opening, packet: &mut Packet) {
        let now = context.now;
        let flags = if opening.syn_ack { Flags::SYN | Flags::ACK } else { Flags::SYN };
        let mut template = self.template(now, opening.iss, flags);
        let ts_ecr = self.ts_recent.map_or(0, |(recent, _)| recent);
        let mut offer = self.offer;
        if let Some(flow) = self.flow.as_ref().filter(|_| opening.syn_ack) {
            (offer.sack, offer.timestamps) = (flow.terms.sack, flow.terms.timestamps);
            offer.shift = flow.terms.shifts.map(|(ours, _)| ours);
            template.ack = flow.receiver.rcv_nxt();
        } else if offer.ecn && opening.sends <= context.config.ecn_syn_retries + 1 {
            // RFC 3168, section 6.1.1.1: a SYN that gets no answer is sent again without ECN.
            template.flags = template.flags | Flags::ECE | Flags::CWR;
        }
        template.window = offer.window;
        template.options = offer.options(Timestamps { ts_val: self.clock.at(now), ts_ecr });
        template.write_without_checksums(0, packet, |_| {});
    }

    /// RFC 9293, section 3.10.5. The sequence number lies in the peer's window, as on Linux.
    fn write_rst(&mut self, now: Instant, packet: &mut Packet) {
        self.reset(now).write_without_checksums(0, packet, |_| {});
    }

    /// An RST in the peer's window.
    pub(super) fn reset(&self, now: Instant) -> SegmentTemplate<'static> {
        let seq = match (&self.opening, &self.flow) {
            (None, Some(flow)) => flow.sender.acceptable_seq(),
            _ => self.sent().1,
        };
        let mut template = self.template(now, seq, Flags::RST | Flags::ACK);
        template.ack = self.rcv_nxt();
        template
    }
}

/// How many SACK blocks fit (RFC 2018, section 3): three beside timestamps, else four.
const fn sack_room(timestamps: bool) -> usize {
    if timestamps { 3 } else { 4 }
}

/// Bytes of a SACK option with its padding.
const fn sack_len(blocks: usize) -> u32 {
    if blocks == 0 { 0 } else { 4 + 8 * blocks as u32 }
}
