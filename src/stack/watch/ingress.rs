//! What an incoming segment does: acceptable or not (RFC 9293, section 3.10.7), then window, acknowledgment, timer.
//!
//! smoltcp shows none of this in public: a segment that it refuses and a duplicate ACK look the same from outside. So
//! the tests of RFC 9293 are made here again, with smoltcp's edges: SND.NXT is all that was written, the right edge of
//! the receive window is that of the last segment sent, SYN and FIN have no length.

use smoltcp::socket::tcp::State;

use super::timer::Timer;
use super::{LEAST_MSS, MAX_SHIFT, Micros, Snapshot, Watch, micros};
use crate::segment::{Flags, Segment};
use crate::time::Instant;

/// What smoltcp made of a segment that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Not acceptable, or nothing to do with it in this state: no number has changed.
    Ignored,
    /// An acceptable RST.
    Reset,
    /// Accepted; it acknowledges nothing new.
    Accepted,
    /// It acknowledges this many octets of data that were outstanding (none if only a SYN or FIN was).
    Advance { octets: u32 },
    /// A duplicate ACK in the sense of RFC 5681, section 2; the third one asks for a fast retransmission.
    Duplicate { nth: u8 },
}

/// What an acceptable segment acknowledges.
#[derive(Clone, Copy, Default)]
struct Acked {
    /// Octets of data, without SYN and FIN.
    octets: u32,
    /// Everything that is outstanding.
    all: bool,
}

impl Watch {
    /// `segment` was given to smoltcp, which turned the socket from `before` into `after`.
    pub(crate) fn on_ingress(
        &mut self,
        now: Instant,
        segment: &Segment<'_>,
        before: Snapshot,
        after: Snapshot,
    ) -> Arrival {
        let now = micros(now);
        self.note_queue(before.send_queue);
        let taken = match before.state {
            State::Closed => return Arrival::Ignored,
            State::Listen | State::SynSent => self.take_syn(segment, before.state),
            _ => self.take(segment, before),
        };
        if segment.is_rst() {
            let reset = taken.is_some();
            self.flags.gone |= reset;
            return if reset { Arrival::Reset } else { Arrival::Ignored };
        }
        let Some(acked) = taken else {
            return Arrival::Ignored;
        };
        self.rcv_nxt += after.recv_queue.saturating_sub(before.recv_queue) as u32;
        if after.state != before.state {
            self.rcv_nxt += u32::from(fin_taken(before.state, after.state));
            self.flags.gone |= after.state == State::Closed;
            if after.state == State::TimeWait {
                self.timer = Timer::Close;
            }
        }
        self.accept(now, segment, acked)
    }

    /// A segment for a socket in LISTEN or SYN-SENT: what it acknowledges, if smoltcp takes it.
    fn take_syn(&mut self, segment: &Segment<'_>, state: State) -> Option<Acked> {
        let syn_sent = state == State::SynSent;
        // RFC 9293, section 3.10.7.3: an ACK must be for our SYN, and an RST must have one. In LISTEN (3.10.7.2)
        // neither an ACK nor an RST is for us.
        let wrong_ack = segment.is_ack() && !(syn_sent && segment.ack == self.snd_una + 1);
        if wrong_ack || segment.is_fin() || segment.is_syn() == segment.is_rst() {
            return None;
        }
        if segment.is_rst() {
            return (syn_sent && segment.is_ack()).then_some(Acked::default());
        }
        if let Some(mss) = segment.options.mss.filter(|&mss| mss != 0) {
            self.mss = mss.max(LEAST_MSS);
            self.congestion.set_mss(self.mss);
        }
        self.snd_shift = segment.options.wscale.unwrap_or(0).min(MAX_SHIFT);
        self.rcv_nxt = segment.seq + 1;
        let all = segment.is_ack() && self.snd_nxt <= segment.ack;
        if syn_sent {
            self.snd_nxt = self.snd_una + 1;
            self.rcv_ack = segment.seq;
            self.flags.rcv_ack = true;
            if segment.options.wscale.is_none() {
                // Both sides must send the option to enable window scaling in either direction (RFC 7323, section 2.1).
                self.rcv_shift = 0;
            }
        } else {
            self.flags.gone = false;
            self.flags.synchronized = false;
            self.timer = Timer::Idle;
        }
        Some(Acked { octets: 0, all })
    }

    /// A segment for a socket that has seen a SYN: what it acknowledges, if smoltcp takes it.
    fn take(&mut self, segment: &Segment<'_>, before: Snapshot) -> Option<Acked> {
        let state = before.state;
        let control = segment.flags.without(Flags::PSH | Flags::URG);
        if state == State::Established && control == Flags::ACK {
            // The common case, with the same rules as below.
            let octets = segment.ack - self.snd_una;
            let acceptable = octets as usize <= before.send_queue && self.in_window(segment);
            return acceptable.then_some(Acked { octets, all: self.snd_nxt <= segment.ack });
        }
        let sent_fin = matches!(state, State::FinWait1 | State::Closing | State::LastAck);
        let in_syn_received = state == State::SynReceived;
        if !segment.is_rst() {
            // RFC 9293, section 3.10.7.4: no ACK, no processing; and SND.UNA =< SEG.ACK =< SND.NXT, where smoltcp
            // counts all that was written as sent. In SYN-RECEIVED the ACK must be exactly that of the SYN.
            let distance = segment.ack.distance(self.snd_una);
            let acceptable = if in_syn_received {
                distance == 1
            } else {
                distance >= 0 && distance as usize <= before.send_queue + usize::from(sent_fin)
            };
            if !segment.is_ack() || !acceptable {
                return None;
            }
        }
        if !self.in_window(segment) {
            return None;
        }
        if segment.is_rst() {
            return (!segment.is_syn() && !segment.is_fin()).then_some(Acked::default());
        }

        // A FIN behind a hole is not looked at yet.
        let fin = segment.is_fin() && segment.seq <= self.rcv_nxt;
        let fin_welcome = matches!(state, State::SynReceived | State::Established | State::FinWait1 | State::FinWait2);
        if segment.is_syn() || state == State::TimeWait || (fin && !fin_welcome) {
            return None;
        }
        let mut octets = if in_syn_received { 0 } else { segment.ack - self.snd_una };
        let of_fin = sent_fin && octets as usize == before.send_queue + 1;
        octets -= u32::from(of_fin);
        if state == State::LastAck && octets == 0 && !of_fin {
            return None;
        }
        Some(Acked { octets, all: self.snd_nxt <= segment.ack })
    }

    /// The four cases of RFC 9293, section 3.10.7.4 (table 6), with SYN and FIN not counted as length. The right edge
    /// is that of the last segment sent.
    fn in_window(&self, segment: &Segment<'_>) -> bool {
        let left = self.rcv_nxt;
        let right = if self.flags.rcv_ack { self.rcv_ack + (u32::from(self.rcv_wnd) << self.rcv_shift) } else { left };
        let (seq, end) = (segment.seq, segment.seq + segment.payload.len() as u32);
        match (seq == end, left == right) {
            (true, true) => seq == left,
            (true, false) => left <= seq && seq < right,
            (false, true) => false,
            (false, false) => (left <= seq && seq < right) || (left < end && end <= right),
        }
    }

    /// An acceptable segment without RST: window, acknowledgment, timer, in this order.
    fn accept(&mut self, now: Micros, segment: &Segment<'_>, acked: Acked) -> Arrival {
        let window = u32::from(segment.window) << if segment.is_syn() { 0 } else { self.snd_shift };
        let window_moved = window != self.snd_wnd;
        self.snd_wnd = window;
        self.congestion.set_peer_window(window);
        self.send_queue = self.send_queue.saturating_sub(acked.octets);

        let mut arrival = Arrival::Accepted;
        if segment.is_ack() {
            arrival = self.acknowledge(now, segment, acked, window_moved);
        }

        match self.timer {
            // RFC 6298, sections 5.2 and 5.3: all acknowledged, the timer stops; something acknowledged, it restarts.
            Timer::Retransmit { .. } | Timer::FastRetransmit if acked.all => self.timer = Timer::Idle,
            Timer::Retransmit { .. } | Timer::FastRetransmit if acked.octets > 0 => self.timer.arm(now, self.rtt.rto),
            _ => {}
        }
        if window != 0 {
            self.probes = 0;
            if matches!(self.timer, Timer::Probe { .. }) {
                self.timer = Timer::Idle;
            }
        } else if self.send_queue != 0 && (self.timer == Timer::Idle || acked.octets > 0) {
            self.timer = Timer::probe(now, self.rtt.rto);
        }
        arrival
    }

    fn acknowledge(&mut self, now: Micros, segment: &Segment<'_>, acked: Acked, window_moved: bool) -> Arrival {
        let ack = segment.ack;
        // RFC 5681, section 2: data is outstanding, no data comes with it, the same ACK as before, the same window. (A
        // FIN is not looked at.)
        let duplicate = self.flags.last_ack
            && self.last_ack == ack
            && segment.payload.is_empty()
            && ack < self.snd_nxt
            && !window_moved;
        let arrival = if duplicate {
            self.dup_acks = self.dup_acks.saturating_add(1);
            if self.dup_acks == 3 {
                self.timer = Timer::FastRetransmit;
            }
            self.congestion.on_duplicate_ack(self.mss);
            Arrival::Duplicate { nth: self.dup_acks }
        } else {
            self.dup_acks = 0;
            self.last_ack = ack;
            self.flags.last_ack = true;
            self.rtt.on_ack(now, ack);
            let in_flight = self.flight().saturating_sub(acked.octets);
            self.congestion.on_ack(now, acked.octets, in_flight, if self.rtt.measured { self.rtt.srtt } else { 0 });
            if self.snd_una < ack {
                self.timeouts = 0;
                self.expired_rto = 0;
                Arrival::Advance { octets: acked.octets }
            } else {
                Arrival::Accepted
            }
        };
        self.snd_una = ack;
        self.snd_nxt = self.snd_nxt.max(ack);
        arrival
    }
}

/// True if the step consumed the peer's FIN, which the change of state tells.
const fn fin_taken(before: State, after: State) -> bool {
    matches!(
        (before, after),
        (State::SynReceived | State::Established, State::CloseWait)
            | (State::FinWait1, State::Closing | State::TimeWait)
            | (State::FinWait2, State::TimeWait)
    )
}
