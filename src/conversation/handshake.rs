//! How SYN and RST begin and end a connection (RFC 9293, section 3.5). `Conversation` calls it.
//!
//! A SYN with an initial sequence number other than the known one means one of three things:
//!
//! - The connection is over (an RST from either side, or a FIN from both): the pair of sockets is used again. A SYN
//!   without ACK begins everything anew, both directions and the counters.
//! - The SYN of that side was never acknowledged: a new attempt replaces the old one. That direction begins anew. Of two
//!   SYN|ACKs the one counts that the peer acknowledges.
//! - The connection is open. Then the receiver answers with a challenge ACK (RFC 5961, section 4) and nothing changes,
//!   for anyone can send such a SYN. If the peer answers with a SYN|ACK of exactly that SYN instead, the capture has
//!   missed the end of the old connection, and everything begins anew with the two.

use super::seen::{AckKind, DataKind, Seen};
use super::sender::{MAX_WINDOW, Offer, Sender, sequence_len};
use super::{Conversation, Side};
use crate::segment::Segment;
use crate::time::Instant;

impl Conversation {
    /// Takes a SYN.
    #[cold]
    pub(super) fn observe_syn(&mut self, now: Instant, from: Side, segment: &Segment<'_>) -> Seen {
        let len = sequence_len(segment);
        let own = self.sender(from);
        let again = own.iss == Some(segment.seq);
        let unanswered = own.started && own.iss == Some(own.snd_una);
        let mut restarted = false;
        if again && unanswered {
            // Asked again after a refusal.
            self.sides.iter_mut().for_each(|sender| sender.rst = false);
        } else if own.started && !again {
            if self.is_over() && !segment.is_ack() {
                *self = Self { opened_at: Some(now), last_at: now, ..Self::default() };
            } else if unanswered && segment.is_ack() && self.sender(from.other()).iss.is_some() && !self.is_over() {
                return self.keep_second_answer(from, segment, len);
            } else if unanswered || self.is_over() || self.answers_open_syn(from, segment) {
                *self.sender_mut(from) = Sender::default();
            } else if !self.believe_stray_syn(now, from, segment) {
                return self.keep_stray_syn(from, segment, len);
            }
            restarted = true;
        }
        let own = self.sender_mut(from);
        if !again {
            own.start(segment, None);
        }
        // A retransmitted SYN may leave options out: a host that was not answered tries without.
        if own.iss == Some(own.snd_una) {
            own.offer = Offer::from(&segment.options);
        }
        self.negotiate();
        let mut seen = self.observe_plain(from, segment, len);
        let (own, peer) = self.pair(from);
        // The SYN|ACK was recorded before its SYN.
        if let Some(ack) = peer.last_ack.filter(|ack| *ack > own.snd_una && *ack <= own.snd_nxt) {
            own.advance(ack);
        }
        // Without ACK the window of a first SYN would go unnoticed. The window of a late SYN is out of date.
        if !segment.is_ack() && own.iss == Some(own.snd_una) {
            own.advertise(segment);
            peer.set_window(own.rcv_wnd, segment.seq, peer.snd_una);
        }
        seen.restarted = restarted;
        seen
    }

    /// Whether this SYN|ACK answers the SYN of the peer while its own side was only guessed from segments without a SYN.
    fn answers_open_syn(&self, from: Side, segment: &Segment<'_>) -> bool {
        let (own, peer) = (self.sender(from), self.sender(from.other()));
        let open = peer.iss.is_some_and(|iss| peer.snd_una == iss);
        segment.is_ack() && own.iss.is_none() && open && segment.ack > peer.snd_una && segment.ack <= peer.snd_nxt
    }

    /// A SYN|ACK with another number than the one before it. The peer takes the first that reaches it; until its ACK
    /// shows which one that was, the variables stay with the first.
    fn keep_second_answer(&mut self, from: Side, segment: &Segment<'_>, len: u32) -> Seen {
        let end = segment.seq + len;
        let own = self.sender_mut(from);
        own.rare.get_or_insert_default().stray_syn = Some((segment.seq, end, Offer::from(&segment.options)));
        self.keep_stray_syn(from, segment, len)
    }

    /// The SYN of a side whose later segments were recorded before it: its numbers stay, the SYN's options count.
    pub(super) fn take_late_syn(&mut self, from: Side, segment: &Segment<'_>) {
        let own = self.sender_mut(from);
        own.iss = Some(segment.seq);
        own.offer = Offer::from(&segment.options);
        self.negotiate();
    }

    /// A SYN in the midst of an open connection: remembered, not followed.
    fn keep_stray_syn(&mut self, from: Side, segment: &Segment<'_>, len: u32) -> Seen {
        let end = segment.seq + len;
        let own = self.sender_mut(from);
        own.segments += 1;
        own.bytes += segment.payload.len() as u64;
        if !segment.is_ack() {
            own.rare.get_or_insert_default().stray_syn = Some((segment.seq, end, Offer::from(&segment.options)));
        }
        Seen {
            data: DataKind::Unacceptable,
            ack: AckKind::None,
            start: segment.seq,
            end,
            new_bytes: 0,
            restarted: false,
        }
    }

    /// Whether this SYN|ACK answers a stray SYN of the peer. If so the conversation begins anew with that SYN.
    fn believe_stray_syn(&mut self, now: Instant, from: Side, segment: &Segment<'_>) -> bool {
        let stray = self.sender(from.other()).rare.as_ref().and_then(|rare| rare.stray_syn);
        let Some((iss, end, offer)) = stray else { return false };
        // Data on the SYN need not be acknowledged with it (RFC 7413).
        if !segment.is_ack() || (segment.ack != end && segment.ack != iss + 1) {
            return false;
        }
        *self = Self { opened_at: Some(now), last_at: now, ..Self::default() };
        *self.sender_mut(from.other()) = Sender {
            iss: Some(iss),
            snd_una: iss,
            snd_nxt: end,
            contiguous_end: end,
            offer,
            segments: 1,
            started: true,
            una_known: true,
            ..Sender::default()
        };
        true
    }

    /// Window scaling is in force when both SYNs carried the option; a shift above 14 counts as 14 (RFC 7323, sections
    /// 2.2 and 2.3).
    fn negotiate(&mut self) {
        let in_force = self.window_scaling();
        for sender in &mut self.sides {
            sender.shift = sender.offer.wscale.filter(|_| in_force).map_or(0, |shift| shift.min(14));
        }
    }

    /// Takes an RST. Neither its acknowledgment nor its window moves anything.
    #[cold]
    pub(super) fn observe_rst(&mut self, from: Side, segment: &Segment<'_>) -> Seen {
        let acceptable = self.is_rst_acceptable(from, segment);
        let own = self.sender_mut(from);
        own.segments += 1;
        own.rst |= acceptable;
        Seen {
            data: if acceptable { DataKind::None } else { DataKind::Unacceptable },
            ack: AckKind::None,
            start: segment.seq,
            end: segment.seq,
            new_bytes: 0,
            restarted: false,
        }
    }

    /// RFC 9293, section 3.5.3: in SYN-SENT an RST is valid "if the ACK field acknowledges the SYN", in all other
    /// states if it is in the window.
    fn is_rst_acceptable(&self, from: Side, segment: &Segment<'_>) -> bool {
        let (own, peer) = (self.sender(from), self.sender(from.other()));
        let syn_sent = peer.started && peer.iss == Some(peer.snd_una);
        if syn_sent && segment.is_ack() && segment.ack > peer.snd_una && segment.ack <= peer.snd_nxt {
            return true;
        }
        if own.started {
            return segment.seq >= own.snd_una && own.in_window(segment.seq, peer);
        }
        // Nothing of this side was seen. Its numbers are inferred from what the peer has acknowledged.
        match peer.last_ack {
            Some(ack) => segment.seq - ack <= MAX_WINDOW,
            None => !syn_sent,
        }
    }
}
