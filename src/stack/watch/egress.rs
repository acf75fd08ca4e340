//! What happens when smoltcp is asked for output: the timer runs out or not, a segment leaves or not, and why.

use smoltcp::socket::tcp::State;

use super::timer::Timer;
use super::{MAX_SHIFT, Micros, Snapshot, Watch, micros, millis};
use crate::segment::Segment;
use crate::time::{Duration, Instant};

/// Why smoltcp sent a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// Data, SYN or FIN for the first time.
    New,
    /// It occupies no sequence space: an ACK, a window update, or an RST.
    Control,
    /// The earliest outstanding segment, after the third duplicate ACK (RFC 5681, section 3.2).
    FastRetransmit,
    /// The earliest outstanding segment, because the retransmission timer ran out for the `nth` time since something
    /// new was acknowledged; `rto` is what it was set to.
    Timeout { nth: u8, rto: Duration },
    /// Sent before, after a timeout that took SND.NXT back (go-back-N).
    GoBackN,
    /// The `nth` octet sent into a closed window since it closed (RFC 9293, section 3.8.6.1).
    WindowProbe { nth: u8 },
    /// A keep-alive (RFC 9293, section 3.8.4).
    KeepAlive,
}

impl Watch {
    /// smoltcp was asked for output while the socket was as in `before`, and made `sent`, or nothing.
    pub(crate) fn on_egress(
        &mut self,
        now: Instant,
        sent: Option<&Segment<'_>>,
        before: Snapshot,
    ) -> Option<Departure> {
        if self.flags.gone || before.state == State::Listen {
            return None;
        }
        let now = micros(now);
        self.note_queue(before.send_queue);
        let rst = sent.is_some_and(Segment::is_rst);
        // An RST for a socket that was not closed before: its `set_timeout` ran out, which comes before the other
        // timers.
        if !rst || before.state == State::Closed {
            self.run_timer(now);
        }
        let segment = sent?;
        self.flags.gone |= rst;
        Some(self.depart(now, segment, before.state))
    }

    /// RFC 6298, sections 5.4 to 5.6, and RFC 5681, section 3.2, step 2: whichever is due.
    fn run_timer(&mut self, now: Micros) {
        match self.timer {
            Timer::Retransmit { at } if now >= at => {
                self.congestion.on_timeout(self.flight());
                self.snd_nxt = self.snd_una;
                self.expired_rto = self.rtt.rto as u16;
                self.rtt.on_timeout();
                self.timeouts = self.timeouts.saturating_add(1);
            }
            Timer::FastRetransmit => {
                self.congestion.on_fast_retransmit(now, self.flight());
                self.flags.fast_retransmit = true;
            }
            _ => return,
        }
        self.timer = Timer::Idle;
        self.rtt.on_retransmit();
    }

    /// A segment left in `state` (as before egress; the timer has been run).
    fn depart(&mut self, now: Micros, segment: &Segment<'_>, state: State) -> Departure {
        let rst = segment.is_rst();
        let may_carry_data = !rst
            && matches!(
                state,
                State::Established | State::FinWait1 | State::Closing | State::CloseWait | State::LastAck
            );
        let mut fast = false;
        if may_carry_data {
            fast = core::mem::take(&mut self.flags.fast_retransmit);
            // The probe timer runs only while the window is closed.
            if !fast && self.timer.probe_due(now) {
                self.timer.back_off_probe(now);
                self.probes = self.probes.saturating_add(1);
                return Departure::WindowProbe { nth: self.probes };
            }
        }
        if segment.is_syn() {
            if !self.flags.synchronized {
                self.flags.synchronized = true;
                self.snd_una = segment.seq;
                self.snd_nxt = segment.seq;
            }
            self.rcv_shift = segment.options.wscale.unwrap_or(0).min(MAX_SHIFT);
        } else if !fast && segment.payload.len() == 1 && segment.seq + 1 == self.snd_nxt {
            // Only a keep-alive is behind SND.NXT: one octet that the peer already has. Nothing else changes.
            return Departure::KeepAlive;
        }
        self.advertise(segment);
        if segment.is_empty() {
            // It moves nothing: the stack gives it the highest SND.NXT, also while smoltcp's has gone back.
            return Departure::Control;
        }
        let end = segment.end();
        self.snd_nxt = self.snd_nxt.max(end);

        let again = self.rtt.sent && segment.seq < self.rtt.high;
        self.rtt.on_send(now, end);
        self.congestion.on_send(now);
        if !self.timer.is_retransmit() {
            // "Every time a packet containing data is sent [...], if the timer is not running, start it running" (RFC
            // 6298, section 5.1).
            self.timer.arm(now, self.rtt.rto);
        }
        let expired_rto = core::mem::take(&mut self.expired_rto);
        if !again {
            return Departure::New;
        }
        self.total_retransmissions = self.total_retransmissions.wrapping_add(1);
        if fast {
            Departure::FastRetransmit
        } else if expired_rto != 0 {
            Departure::Timeout { nth: self.timeouts, rto: millis(u32::from(expired_rto)) }
        } else {
            Departure::GoBackN
        }
    }
}
