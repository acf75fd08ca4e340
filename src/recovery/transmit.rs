//! What leaves: the next retransmission, how much new text may go, and the record of each transmission.

use super::scoreboard::{Marks, NewSegment, SentRange};
use super::{Phase, Probe, Reason, Recovery, tlp::Tlp};
use crate::congestion::{Controller, SentSample, charge};
use crate::segment::Seq;
use crate::time::Instant;

/// A segment that leaves, as the sender reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its sequence number.
    pub seq: Seq,
    /// Bytes of text.
    pub text: u32,
    /// It carries a SYN.
    pub syn: bool,
    /// It carries a FIN.
    pub fin: bool,
    /// Why it leaves: what [`Recovery::poll_resend`] or [`Recovery::new_text_reason`] said.
    pub reason: Reason,
}

/// A retransmission that is due. The sender may send less of the text, from the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resend {
    /// What to send.
    pub range: SentRange,
    /// Why.
    pub reason: Reason,
}

impl Recovery {
    /// The next retransmission that may leave now. It stays due until [`on_sent`](Self::on_sent) reports it.
    pub fn poll_resend(&mut self, controller: &dyn Controller) -> Option<Resend> {
        if self.probe == Some(Probe::Old) {
            let range = self.board.last(self.mss)?;
            return Some(Resend { range, reason: Reason::Tlp });
        }
        if self.trouble.frto.holds_retransmissions() {
            return None;
        }
        let (range, reason) = match self.board.next_waiting(self.mss) {
            Some(waiting) => waiting,
            // NextSeg, rule (3), where RACK does not judge.
            None if self.phase == Phase::Recovery && self.config.sack && !self.config.rack => {
                (self.board.next_unresent(self.mss)?, Reason::FastRetransmit)
            }
            None => return None,
        };
        // RFC 6675, section 5, step C: "If cwnd - pipe >= 1 SMSS, the sender SHOULD transmit".
        let fits = self.pipe() + self.charge(range.text) <= self.window(controller);
        (fits || self.forced).then_some(Resend { range, reason })
    }

    /// True if a retransmission may be due: [`poll_resend`](Self::poll_resend) says whether.
    pub fn has_resend(&self) -> bool {
        self.probe == Some(Probe::Old)
            || self.board.totals().waiting_units > 0
            || (self.phase == Phase::Recovery && !self.config.rack)
    }

    /// How many charged bytes of new text may leave now. A segment counts as a whole MSS (see [`charge`]), so nothing
    /// may leave while this is less than one MSS. The peer's window is the sender's affair.
    pub fn allowance(&mut self, now: Instant, controller: &mut dyn Controller) -> u64 {
        if !self.board.has_room() {
            return 0;
        }
        let mss = u64::from(self.mss);
        if self.probe == Some(Probe::New) {
            return mss;
        }
        if self.trouble.frto.holds_retransmissions() {
            return u64::from(self.trouble.frto.new_segments()) * mss;
        }
        // NextSeg of RFC 6675, section 4: rule (1), what is lost, before rule (2), new text.
        if self.board.totals().waiting_units > 0 {
            return 0;
        }
        // RFC 5681, section 4.1: restart after idle.
        if self.config.idle_restart
            && self.board.is_empty()
            && self.last_sent_at.is_some_and(|at| now.as_nanos().saturating_sub(at.as_nanos()) > self.rto.rto())
        {
            controller.on_idle_restart(now);
        }
        self.window(controller).saturating_sub(self.pipe())
    }

    /// Why new text would leave now: it is new, or a tail loss probe is due.
    pub fn new_text_reason(&self) -> Reason {
        if self.probe == Some(Probe::New) { Reason::Tlp } else { Reason::New }
    }

    /// A segment with text, SYN or FIN leaves at `now`. New text begins at SND.NXT; all before it is a retransmission.
    pub fn on_sent(&mut self, now: Instant, sent: &Sent, controller: &mut dyn Controller) {
        let end = sent.seq + (sent.text + u32::from(sent.syn) + u32::from(sent.fin));
        let snd_nxt = self.snd_nxt();
        let resent_to = end.min(snd_nxt);
        let app_limited = self.rate.is_app_limited() || controller.marks_app_limited();
        if sent.seq < resent_to {
            self.on_resent(now, sent, resent_to, app_limited, controller);
        }
        if end > snd_nxt {
            self.on_new(now, sent, end, app_limited, controller);
        }
        if self.probe.take_if(|_| sent.reason == Reason::Tlp).is_some() {
            self.trouble.counters.probes += 1;
            let probed_to = self.snd_nxt();
            self.trouble.tlp.on_probe(probed_to, end <= snd_nxt);
            // RFC 8985, section 7.3: "the sender MUST re-arm the RTO timer, not the PTO timer".
            self.pto_at = None;
            self.arm_rto(now);
        }
        self.last_sent_at = Some(now);
        let cwnd = controller.cwnd();
        self.usage.on_transmit(self.pipe(), cwnd, u64::from(self.mss), self.snd_una(), self.snd_nxt());
    }

    fn on_resent(&mut self, now: Instant, sent: &Sent, to: Seq, app_limited: bool, controller: &mut dyn Controller) {
        let is_first = sent.seq <= self.snd_una();
        let bytes = self.charge(sent.text);
        self.leave(now, bytes, app_limited, true, controller);
        let snapshot = self.rate.on_sent(now, self.pipe() + bytes, false);
        self.board.on_resent(now, sent.seq, to, snapshot);
        self.trouble.counters.retransmissions += 1;
        self.trouble.undo.on_resent(now, sent.seq);
        self.forced = false;
        if is_first && self.is_recovering() {
            // The timer guards the first unit. RFC 6675, section 6 leaves it to the sender to restart it for a
            // retransmission; Linux does for the first unit.
            self.arm_rto(now);
        }
    }

    fn on_new(&mut self, now: Instant, sent: &Sent, end: Seq, app_limited: bool, controller: &mut dyn Controller) {
        let fresh = end - self.snd_nxt();
        let text = (fresh - u32::from(sent.fin)).min(sent.text);
        let syn = sent.syn && fresh > text + u32::from(sent.fin);
        let bytes = self.charge(text);
        self.leave(now, bytes, app_limited, false, controller);
        let idle = self.board.is_empty();
        let snapshot = self.rate.on_sent(now, self.pipe() + bytes, idle);
        let marks = if app_limited { Marks::APP_LIMITED } else { Marks::default() };
        let charge = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.board.on_sent(now, NewSegment { text, syn, fin: sent.fin, charge, marks }, snapshot);
        self.last_new_at = now;
        if let Some(trouble) = self.trouble.made() {
            trouble.frto.on_new_segment();
        }
        if self.rto_at.is_none() {
            // RFC 6298, section 5.1: "if the timer is not running, start it running".
            self.arm_rto(now);
        }
        self.arm_pto(now);
    }

    fn leave(
        &mut self,
        now: Instant,
        bytes: u64,
        app_limited: bool,
        retransmission: bool,
        controller: &mut dyn Controller,
    ) {
        controller.on_sent(&SentSample { now, bytes, prior_pipe: self.pipe(), app_limited, retransmission });
        if let Some(prr) = self.trouble.made().and_then(|trouble| trouble.prr.as_mut()) {
            prr.on_sent(bytes);
        }
    }

    fn charge(&self, text: u32) -> u64 {
        charge(u64::from(text), u64::from(self.mss))
    }

    /// Starts the retransmission timer anew.
    pub(super) fn arm_rto(&mut self, now: Instant) {
        let armed = !self.board.is_empty();
        self.rto_at = armed.then(|| Instant::from_nanos(now.as_nanos().saturating_add(self.rto.rto())));
    }

    /// RFC 8985, section 7.2: schedules a loss probe where one is of use: with SACK, outside of recovery, with
    /// something in flight and nothing `SACKed`, and while no probe is out.
    pub(super) fn arm_pto(&mut self, now: Instant) {
        let totals = self.board.totals();
        let wanted = self.config.tlp
            && self.config.sack
            && !self.is_recovering()
            && !self.trouble.tlp.is_out()
            && totals.sacked_units == 0
            && totals.outstanding > 0;
        self.pto_at = wanted.then(|| {
            let one = totals.outstanding <= u64::from(self.mss);
            let pto = Tlp::pto(self.rto.srtt(), one, self.config.max_ack_delay);
            Tlp::deadline(now, pto, self.rto_at)
        });
    }
}
