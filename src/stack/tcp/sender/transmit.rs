//! What leaves next: a probe, a retransmission, new text, the FIN. RFC 9293, sections 3.7.4 (Nagle), 3.8.6.2.1 (silly
//! window avoidance) and 3.10.4 (the FIN). [`Tcp`](super::super::Tcp) polls it until it has nothing.

use super::{Fin, Sender};
use crate::event::Reason;
use crate::recovery::{Resend, Sent};
use crate::segment::Seq;
use crate::time::Instant;

/// A segment that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "control bits of a segment")]
pub(in crate::stack) struct Outgoing {
    pub(in crate::stack) seq: Seq,
    /// The position of its first byte.
    pub(in crate::stack) at: u64,
    /// Bytes of text.
    pub(in crate::stack) len: u32,
    pub(in crate::stack) fin: bool,
    pub(in crate::stack) push: bool,
    /// It is less than a full segment as it may be now: with the options that it carries and the window of the peer.
    pub(in crate::stack) small: bool,
    /// RFC 3168, section 6.1.2.
    pub(in crate::stack) cwr: bool,
    /// It carries text or FIN for the first time.
    pub(in crate::stack) new: bool,
    pub(in crate::stack) reason: Reason,
}

/// Why nothing new leaves.
enum Held {
    /// There is nothing.
    Nothing,
    /// cwnd or the pacer.
    Congestion,
    /// The peer's window.
    Window,
    /// Nagle's algorithm.
    Nagle,
    /// `TCP_CORK`
    Cork,
}

impl Sender {
    /// The next segment. The caller sends it and reports it by [`Sender::on_sent`]. `options`: bytes that options take
    /// beside timestamps; a new segment leaves room for them.
    pub(in crate::stack) fn poll(&mut self, now: Instant, options: u32) -> Option<Outgoing> {
        self.recovery.on_turn(&*self.controller);
        if self.persist.take_due() {
            return Some(self.probe(Reason::Probe));
        }
        if let Some(pacer) = &mut self.pacer
            && !pacer.may_send(now)
        {
            return None;
        }
        if let Some(resend) = self.recovery.poll_resend(&*self.controller) {
            return self.again(&resend);
        }
        match self.next_new(now, options) {
            Ok(outgoing) => Some(outgoing),
            Err(Held::Nothing) => {
                self.recovery.on_app_limited(&*self.controller);
                None
            }
            Err(Held::Window) if !self.is_waiting() => {
                self.persist.start(now, self.recovery.rto());
                None
            }
            Err(Held::Cork) => {
                let timeout = self.cork_timeout;
                self.cork_at.get_or_insert(now + timeout);
                None
            }
            Err(Held::Window | Held::Nagle | Held::Congestion) => None,
        }
    }

    /// True if nothing is due that [`Sender::poll`] would give. The application is then the limit, and the rate samples
    /// hear of it as in [`Sender::poll`]. A paced sender is asked by [`Sender::poll`] itself.
    pub(in crate::stack) fn is_drained(&mut self) -> bool {
        let more = self.has_unsent() || self.recovery.has_resend() || self.persist.is_due() || self.pacer.is_some();
        if !more {
            self.recovery.on_turn(&*self.controller);
            self.recovery.on_app_limited(&*self.controller);
        }
        !more
    }

    /// An empty segment before SND.UNA, which every peer answers with an ACK: a window probe or a keep-alive.
    pub(in crate::stack) fn probe(&self, reason: Reason) -> Outgoing {
        let seq = self.snd_una() - 1;
        Outgoing { seq, at: self.una, len: 0, fin: false, push: false, small: false, cwr: false, new: false, reason }
    }

    /// A retransmission, as far as the peer's window admits it.
    ///
    /// As Linux: beyond a window that shrank only the first segment is sent again.
    fn again(&self, resend: &Resend) -> Option<Outgoing> {
        let (range, una) = (resend.range, self.snd_una());
        let room = self.window.edge().distance(range.seq);
        let mut len = range.text.min(self.mss);
        if let Ok(room @ 1..) = u32::try_from(room) {
            len = len.min(room);
        } else if range.seq != una {
            return None;
        }
        let fin = range.fin && len == range.text;
        let at = self.una + u64::from(range.seq - una);
        let push = len > 0 && self.write_ends.is_in(at, at + u64::from(len));
        (len > 0 || fin).then_some(Outgoing {
            seq: range.seq,
            at,
            len,
            fin,
            push,
            small: false,
            cwr: false,
            new: false,
            reason: resend.reason,
        })
    }

    fn next_new(&mut self, now: Instant, options: u32) -> Result<Outgoing, Held> {
        if !self.has_unsent() {
            return Err(Held::Nothing);
        }
        if self.recovery.allowance(now, &mut *self.controller) < u64::from(self.mss) {
            return Err(Held::Congestion);
        }
        let (unsent, room) = (self.end - self.nxt, self.room());
        let full = u64::from(self.segment_size(options));
        let len = unsent.min(room).min(full);
        let all = len == unsent;
        // The FIN takes a sequence number, which the window must admit.
        let fin = self.fin == Fin::Wanted && all && room > len;
        if len == 0 && !fin {
            return Err(Held::Window);
        }
        let reason = self.recovery.new_text_reason();
        if len < full && !fin && !self.forced && reason != Reason::Tlp {
            if !all {
                // RFC 9293, section 3.8.6.2.1: not a part of a segment because the window is small. It goes when the
                // window opens, or by the persist timer.
                return Err(Held::Window);
            }
            if self.cork {
                return Err(Held::Cork);
            }
            // RFC 9293, section 3.7.4, with Minshall's change: only an unacknowledged small segment holds a small one.
            if !self.nodelay && self.small_end > self.una && self.is_waiting() {
                return Err(Held::Nagle);
            }
        }
        let push = len > 0 && self.write_ends.is_in(self.nxt, self.nxt + len);
        let (seq, small) = (self.snd_nxt(), len > 0 && len < full);
        Ok(Outgoing { seq, at: self.nxt, len: len as u32, fin, push, small, cwr: self.cwr, new: true, reason })
    }

    /// Bytes of a full segment now: half of the largest window if that is less (as Linux's `tcp_bound_to_half_wnd`), so
    /// that a small window still carries full segments (RFC 9293, section 3.8.6.2.1: "at least a fraction Fs of the
    /// maximum window").
    fn segment_size(&self, options: u32) -> u32 {
        const SMALL: u32 = 536;
        let bound = if self.window.max > SMALL { self.window.max / 2 } else { self.window.max };
        self.mss.saturating_sub(options).min(bound).max(1)
    }

    /// A segment of [`Sender::poll`] leaves.
    pub(in crate::stack) fn on_sent(&mut self, now: Instant, sent: &Outgoing) {
        if sent.len == 0 && !sent.fin {
            return;
        }
        if sent.new {
            if sent.small {
                self.small_end = sent.at + u64::from(sent.len);
            }
            self.nxt += u64::from(sent.len);
            self.cwr = false;
            if sent.fin {
                self.fin = Fin::Sent;
            }
            self.persist.stop();
            (self.forced, self.cork_at) = (false, None);
        }
        let report = Sent { seq: sent.seq, text: sent.len, syn: false, fin: sent.fin, reason: sent.reason };
        self.recovery.on_sent(now, &report, &mut *self.controller);
        let charged = self.charge(sent.len);
        if let Some(pacer) = &mut self.pacer {
            pacer.on_sent(now, charged);
        }
    }

    /// Appends the text of a segment to `out`.
    pub(in crate::stack) fn append_text(&self, sent: &Outgoing, out: &mut Vec<u8>) {
        self.text.append_to(sent.at, sent.len as usize, out);
    }
}
