//! The mirror of what smoltcp keeps private: SRTT, RTTVAR, RTO, cwnd, ssthresh, and why a segment was sent.
//!
//! ```text
//!   poll_ingress_single --> Watch::on_ingress     the segment given to smoltcp, the socket before and after
//!        '-- its answer --> Watch::on_reply       an ACK that smoltcp sent from inside ingress
//!   poll_egress ----------> Watch::on_egress      the segment it made, if any, and the socket before
//! ```
//!
//! A [`Watch`] is told what one smoltcp socket was told and said, and comes to the same numbers by the same rules: RFC
//! 6298 (`rtt`), RFC 5681 and RFC 9438 (`congestion`), RFC 9293 for what is acceptable. It is not a second TCP:
//! whatever the public side of the socket shows (state, queues) is taken from there, only what is hidden is computed.
//! In particular it follows SND.UNA and SND.NXT as smoltcp sees them: on a timeout SND.NXT goes back to SND.UNA
//! (go-back-N), so they are not those that an observer of the wire would note.
//!
//! The mirror is exact: `tests` runs two sockets over bad links and compares every number with what smoltcp's `{:?}`
//! prints, after every packet, floating point included. Three conditions, on the caller:
//!
//! - segments are those that smoltcp saw and made: after the guard on the way in, before any rewriting on the way out
//!   (but for the echo of timestamps and the sequence number of a bare ACK, which the mirror does not read); what smoltcp
//!   would not parse or would not take for this socket (bad checksum, port 0, an option of impossible length, another
//!   4-tuple) is not shown to the mirror;
//! - every `poll_egress` is reported, also the last one of a batch that yields nothing: timers expire in it;
//! - the socket is not used again after it has closed, and `set_timeout`, if used at all, ends in an RST that is
//!   reported.

mod congestion;
mod egress;
mod ingress;
mod rtt;
#[cfg(test)]
mod tests;
mod timer;

use smoltcp::socket::tcp::{self, CongestionControl, State};

use crate::event::Phase;
use crate::segment::{Segment, Seq};
use crate::time::{Duration, Instant};
use congestion::Congestion;
use rtt::Rtt;
use timer::Timer;

pub(crate) use egress::Departure;
#[cfg(test)]
use ingress::Arrival;

/// smoltcp's clock: whole microseconds.
type Micros = u64;

/// The MSS of a peer that names none (RFC 9293, section 3.7.1).
const DEFAULT_MSS: u16 = 536;
/// The smallest MSS that smoltcp believes.
const LEAST_MSS: u16 = 48;
/// The largest window shift (RFC 7323, section 2.3).
const MAX_SHIFT: u8 = 14;

/// What a socket shows in public, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The state of RFC 9293.
    pub(crate) state: State,
    /// Octets written and not yet acknowledged.
    pub(crate) send_queue: usize,
    /// Octets received in order and not yet read.
    pub(crate) recv_queue: usize,
}

impl Snapshot {
    /// Looks at a socket.
    pub(crate) fn of(socket: &tcp::Socket<'_>) -> Self {
        Self { state: socket.state(), send_queue: socket.send_queue(), recv_queue: socket.recv_queue() }
    }
}

/// The hidden half of one smoltcp connection.
///
/// - *inputs*: [`on_ingress`](Self::on_ingress), [`on_reply`](Self::on_reply), [`on_egress`](Self::on_egress),
///   `set_congestion_control` (tests);
/// - *getters*: everything else.
///
/// No input panics or allocates, whatever it is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    congestion: Congestion,
    rtt: Rtt,
    timer: Timer,
    snd_una: Seq,
    /// Goes back to `snd_una` on a timeout.
    snd_nxt: Seq,
    snd_wnd: u32,
    /// RCV.NXT, the data that the application has not read yet included.
    rcv_nxt: Seq,
    /// SEG.ACK of the last segment sent; with the window of that segment it gives the edge that the peer may fill.
    rcv_ack: Seq,
    last_ack: Seq,
    send_queue: u32,
    total_retransmissions: u32,
    /// What the retransmission timer was set to when it ran out, in milliseconds; 0 if that has been answered.
    expired_rto: u16,
    mss: u16,
    /// The window field of the last segment sent, not scaled.
    rcv_wnd: u16,
    snd_shift: u8,
    rcv_shift: u8,
    dup_acks: u8,
    /// Timeouts since something new was acknowledged.
    timeouts: u8,
    /// Probes since the window closed.
    probes: u8,
    flags: Flags,
}

/// What is known or pending, one bit each.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state machine")]
struct Flags {
    /// `snd_una` is known: a SYN was sent.
    synchronized: bool,
    /// `rcv_ack` is known.
    rcv_ack: bool,
    /// `last_ack` is known.
    last_ack: bool,
    /// The earliest segment is to be sent again.
    fast_retransmit: bool,
    /// smoltcp has let go of the 4-tuple: nothing will happen any more.
    gone: bool,
}

impl Watch {
    /// The mirror of a new socket with this controller.
    pub(crate) fn new(control: CongestionControl) -> Self {
        Self {
            congestion: Congestion::new(control),
            rtt: Rtt::new(),
            timer: Timer::Idle,
            snd_una: Seq(0),
            snd_nxt: Seq(0),
            snd_wnd: 0,
            rcv_nxt: Seq(0),
            rcv_ack: Seq(0),
            last_ack: Seq(0),
            send_queue: 0,
            total_retransmissions: 0,
            expired_rto: 0,
            mss: DEFAULT_MSS,
            rcv_wnd: 0,
            snd_shift: 0,
            rcv_shift: 0,
            dup_acks: 0,
            timeouts: 0,
            probes: 0,
            flags: Flags { synchronized: false, rcv_ack: false, last_ack: false, fast_retransmit: false, gone: false },
        }
    }

    /// The socket was given another controller. It starts from nothing, also without the MSS, as smoltcp's does.
    #[cfg(test)]
    pub(crate) fn set_congestion_control(&mut self, control: CongestionControl) {
        self.congestion = Congestion::new(control);
    }

    /// smoltcp sent `segment` from inside ingress: an immediate ACK, a challenge ACK, or an RST.
    pub(crate) fn on_reply(&mut self, segment: &Segment<'_>) {
        if segment.is_ack() && !segment.is_rst() {
            self.advertise(segment);
        }
    }

    /// Data written into a closed window starts the probes, the first one RTO after the epoch, since smoltcp's `send`
    /// has no clock: at once, unless virtual time has just begun. The queue grows only by writing, so that writes need
    /// not be reported one by one.
    fn note_queue(&mut self, queue: usize) {
        let queue = queue as u32;
        if queue > self.send_queue && self.snd_wnd == 0 && self.timer == Timer::Idle {
            self.timer = Timer::probe(0, self.rtt.rto);
        }
        self.send_queue = queue;
    }

    /// What a sent segment tells the peer about our window.
    fn advertise(&mut self, segment: &Segment<'_>) {
        self.flags.rcv_ack = segment.is_ack();
        self.rcv_ack = segment.ack;
        self.rcv_wnd = segment.window;
    }

    fn flight(&self) -> u32 {
        self.snd_nxt.distance(self.snd_una).max(0) as u32
    }

    /// The smoothed round-trip time; none before the first measurement, or when it was given up as bogus.
    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.rtt.measured.then(|| millis(self.rtt.srtt))
    }

    /// The variation of the round-trip time, as [`srtt`](Self::srtt).
    pub(crate) fn rttvar(&self) -> Option<Duration> {
        self.rtt.measured.then(|| millis(self.rtt.rttvar))
    }

    /// The retransmission timeout, backed off if it has been.
    pub(crate) fn rto(&self) -> Duration {
        millis(self.rtt.rto)
    }

    /// The congestion window in octets; `usize::MAX` without a controller.
    pub(crate) fn cwnd(&self) -> usize {
        self.congestion.cwnd()
    }

    /// The slow start threshold in octets; `usize::MAX` until something was lost, and without a controller.
    pub(crate) fn ssthresh(&self) -> usize {
        self.congestion.ssthresh()
    }

    /// Octets that smoltcp counts as outstanding: SND.NXT - SND.UNA, SYN and FIN included, zero right after a timeout.
    pub(crate) fn flight_size(&self) -> u32 {
        self.flight()
    }

    /// SND.UNA.
    #[cfg(test)]
    pub(crate) fn snd_una(&self) -> Seq {
        self.snd_una
    }

    /// SND.NXT as smoltcp has it: back at SND.UNA after a timeout.
    #[cfg(test)]
    pub(crate) fn snd_nxt(&self) -> Seq {
        self.snd_nxt
    }

    /// SND.WND in octets.
    pub(crate) fn snd_wnd(&self) -> u32 {
        self.snd_wnd
    }

    /// RCV.NXT. It is ahead of what was acknowledged when an ACK is being delayed.
    #[cfg(test)]
    pub(crate) fn rcv_nxt(&self) -> Seq {
        self.rcv_nxt
    }

    /// The peer's MSS as smoltcp believes it, in octets; what is sent may be less (our MTU, timestamps).
    #[cfg(test)]
    pub(crate) fn peer_mss(&self) -> u16 {
        self.mss
    }

    /// Duplicate ACKs in a row.
    pub(crate) fn dup_acks(&self) -> u8 {
        self.dup_acks
    }

    /// Recovery, loss or neither.
    pub(crate) fn phase(&self) -> Phase {
        let window = &self.congestion.window;
        match (window.in_fast_recovery, window.in_loss) {
            (true, _) => Phase::Recovery,
            (false, true) => Phase::Loss,
            (false, false) => Phase::Open,
        }
    }

    /// Timeouts since something new was acknowledged.
    pub(crate) fn timeouts(&self) -> u8 {
        self.timeouts
    }

    /// Zero-window probes since the window closed.
    pub(crate) fn probes(&self) -> u8 {
        self.probes
    }

    /// Segments sent again, for whatever reason; probes and keep-alives are not counted.
    pub(crate) fn total_retransmissions(&self) -> u32 {
        self.total_retransmissions
    }

    /// When the retransmission timer runs out, if it is running. (After the third duplicate ACK it is not: the next
    /// egress retransmits.)
    #[cfg(test)]
    pub(crate) fn retransmit_at(&self) -> Option<Instant> {
        match self.timer {
            Timer::Retransmit { at } => Some(Instant::from_micros(at)),
            _ => None,
        }
    }

    /// When the next zero-window probe is due, if the window is being probed.
    #[cfg(test)]
    pub(crate) fn probe_at(&self) -> Option<Instant> {
        match self.timer {
            Timer::Probe { at, .. } => Some(Instant::from_micros(at)),
            _ => None,
        }
    }
}

const fn micros(at: Instant) -> Micros {
    at.as_nanos() / 1_000
}

const fn millis(millis: u32) -> Duration {
    Duration::from_millis(millis as u64)
}
