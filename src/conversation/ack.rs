//! What an acknowledgment does to the side that it acknowledges: SND.UNA and SND.WND by RFC 9293, section 3.10.7.4,
//! duplicate ACKs by RFC 5681, section 2.
//!
//! An acknowledgment of more than was seen moves nothing: a host drops it ("ack acks something not yet sent"), and a
//! capture that missed the data will see the next one. It stays readable as `last_ack` of the side that sent it, and
//! widens what that side's peer may send next.

use super::seen::AckKind;
use super::sender::{MAX_WINDOW, Sender};
use crate::segment::{Segment, Seq};

impl Sender {
    /// Takes the acknowledgment and the window of a segment of `acker` for the data of this side. `len` is SEG.LEN.
    #[inline]
    pub(super) fn take_ack(&mut self, acker: &mut Self, segment: &Segment<'_>, len: u32) -> AckKind {
        let ack = segment.ack;
        // RFC 5681: "the advertised window in the incoming acknowledgment equals the advertised window in the last".
        let before = acker.last_ack.is_some().then_some(acker.rcv_wnd);
        // The window of a SYN cannot be compared: scaling rounds it, or it was cut to 65,535. A SACK block above the ACK then
        // says that this is a duplicate ACK (RFC 6675, section 2).
        let duplicate_by_sack = acker.window_of_syn && segment.options.sack_blocks().any(|block| block.left > ack);
        acker.advertise(segment);
        acker.last_ack = Some(ack);
        let window = acker.rcv_wnd;
        if !self.started {
            self.set_window(window, segment.seq, ack);
            return AckKind::Plain;
        }
        let (mut ahead, mut flight) = (ack - self.snd_una, self.flight_size());
        if ahead > flight && self.take_second_answer(ack) {
            (ahead, flight) = (ack - self.snd_una, self.flight_size());
        }
        if ahead > flight && !self.lower_guess(ack) {
            return if ack > self.snd_nxt { AckKind::BeyondSent } else { AckKind::Old };
        }
        // The window of a SYN|ACK counts until the SYN is acknowledged: with a SYN that crossed ours on the way there
        // is no SND.WL2 to compare with.
        let takes_window = self.snd_wl1 < segment.seq
            || (self.snd_wl1 == segment.seq && self.snd_wl2 <= ack)
            // As Linux: an old segment that is sent again carries the newest ACK and window.
            || (self.snd_wl2 < ack && ahead <= flight)
            || !self.una_known
            || (segment.is_syn() && acker.iss == Some(acker.snd_una));
        self.una_known = true;
        if takes_window {
            self.set_window(window, segment.seq, ack);
        }
        if ahead > 0 && ahead <= flight {
            self.advance(ack);
            return AckKind::Advance { bytes: ahead };
        }
        // SYN, FIN and payload all make the length positive, so an empty segment is RFC 5681's (b) and (c).
        if len > 0 {
            return AckKind::Plain;
        }
        match before {
            Some(before) if (before == window || duplicate_by_sack) && flight > 0 => {
                self.dup_acks = self.dup_acks.saturating_add(1);
                AckKind::Duplicate(self.dup_acks)
            }
            Some(before) if before != window && takes_window => AckKind::WindowUpdate,
            _ => AckKind::Plain,
        }
    }

    /// Notes the window that a segment of this side advertises. "The window field in a segment where the SYN bit is set
    /// [...] MUST NOT be scaled" (RFC 7323, section 2.2).
    #[inline]
    pub(super) fn advertise(&mut self, segment: &Segment<'_>) {
        let shift = if segment.is_syn() { 0 } else { self.shift };
        self.window = segment.window;
        self.window_of_syn = segment.is_syn();
        self.rcv_wnd = u32::from(segment.window) << shift;
    }

    #[inline]
    pub(super) fn set_window(&mut self, window: u32, seq: Seq, ack: Seq) {
        (self.snd_wnd, self.snd_wl1, self.snd_wl2) = (window, seq, ack);
        self.max_snd_wnd = self.max_snd_wnd.max(window);
        self.zero_window = window == 0;
    }

    #[inline]
    pub(super) fn advance(&mut self, ack: Seq) {
        self.snd_una = ack;
        (self.dup_acks, self.retries) = (0, 0);
        // What the peer acknowledges it has, whether or not it was seen here.
        if self.contiguous_end < ack {
            self.reach(ack);
        }
    }

    /// The peer acknowledges the second of two SYN|ACKs: this side begins with that one.
    #[cold]
    fn take_second_answer(&mut self, ack: Seq) -> bool {
        let unanswered = self.iss == Some(self.snd_una);
        let second = self.rare.as_ref().and_then(|rare| rare.stray_syn).filter(|(_, end, _)| unanswered && *end == ack);
        let Some((iss, end, offer)) = second else { return false };
        (self.iss, self.snd_una, self.offer) = (Some(iss), iss, offer);
        (self.snd_nxt, self.contiguous_end, self.fin, self.rare) = (end, end, None, None);
        (self.retries, self.dup_acks) = (0, 0);
        true
    }

    /// In a direction seen from the middle the first ACK may show that more is outstanding than was seen.
    #[cold]
    fn lower_guess(&mut self, ack: Seq) -> bool {
        let lower = !self.una_known && ack < self.snd_una && self.snd_nxt - ack <= MAX_WINDOW;
        if lower {
            self.snd_una = ack;
        }
        lower
    }
}
