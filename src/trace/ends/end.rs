//! One end of a flow: its variables as a sender and as a receiver, and the bytes that it has sent. `Ends` moves it with each
//! segment that it sends and that reaches it.

use super::ranges::{Extent, Ranges, Space, divide};
use super::{Arrival, MOST_AHEAD};
use crate::annotate::Variables;
use crate::conversation::{AckKind, DataKind};
use crate::event::{Phase, State, TimerKind};
use crate::time::{Duration, Instant};

/// `DupThresh` of RFC 6675.
const DUP_THRESH: u64 = 3;

/// A value, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<T> {
    /// The value.
    pub value: T,
    /// The end tells it, by an event of the run, a comment of ours, or a segment of its own. Otherwise it is inferred.
    pub told: bool,
}

impl<T> Known<T> {
    /// A value that the end tells.
    pub const fn told(value: T) -> Self {
        Self { value, told: true }
    }

    /// A value that is inferred from the segments.
    pub const fn inferred(value: T) -> Self {
        Self { value, told: false }
    }
}

/// A timer that runs. No host tells its timers before they expire, so each is inferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Which.
    pub timer: TimerKind,
    /// When it was started last.
    pub since: Instant,
    /// When it expires, if the end has told its rto.
    pub due: Option<Instant>,
}

/// What is known of one end. Sequence numbers count from the initial one of their direction and do not wrap. A field is
/// `None` while it is not known.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// The state of RFC 9293, section 3.3.2.
    pub state: Option<Known<State>>,
    /// When the state was entered.
    pub state_since: Option<Instant>,
    /// Oldest byte that is not acknowledged.
    pub snd_una: Option<Known<u64>>,
    /// The next byte to send.
    pub snd_nxt: Option<Known<u64>>,
    /// The window that the other end advertises, in bytes.
    pub snd_wnd: Option<Known<u64>>,
    /// The next byte that is expected from the other end.
    pub rcv_nxt: Option<Known<u64>>,
    /// The window that this end has advertised last, in bytes. That of a SYN is not scaled.
    pub rcv_wnd: Option<Known<u64>>,
    /// Congestion window in bytes.
    pub cwnd: Option<Known<u64>>,
    /// Slow start threshold in bytes.
    pub ssthresh: Option<Known<u64>>,
    /// Smoothed round-trip time.
    pub srtt: Option<Known<Duration>>,
    /// Its variation.
    pub rttvar: Option<Known<Duration>>,
    /// Retransmission timeout.
    pub rto: Option<Known<Duration>>,
    /// Estimate of the bytes in the network (RFC 6675).
    pub pipe: Option<Known<u64>>,
    /// The phase of loss recovery.
    pub phase: Option<Known<Phase>>,
    sacked: Ranges,
    lost: Ranges,
    /// Sent more than once, and not acknowledged.
    repeated: Ranges,
    /// Received above `rcv_nxt`.
    received: Ranges,
    /// What became of the segments of this end is told: no loss is inferred.
    pub(super) fates_told: bool,
    /// The most data in a segment of this end so far.
    largest: u64,
    /// SND.WL1.
    wl1: u64,
    timer_since: Option<Instant>,
    probed_at: Option<Instant>,
}

/// A segment that the end sends.
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) seq: u32,
    pub(super) len: u32,
    pub(super) payload: u64,
    pub(super) syn: bool,
    pub(super) data: DataKind,
    pub(super) lost: bool,
    pub(super) copy: bool,
}

/// Whose the variables are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// All are those of the host.
    Host,
    /// SND.* are not, or are left out.
    Numbers,
}

impl End {
    /// The sequence space of what this end sends: disjoint ranges, in order, without gaps, from 0 to the right edge of the
    /// window, or to `snd_nxt` where the window has shrunk below it. Empty while nothing is known.
    pub fn space(&self) -> Vec<Extent> {
        let (Some(una), Some(nxt)) = (self.snd_una, self.snd_nxt) else { return Vec::new() };
        divide(una.value, nxt.value, self.edge().unwrap_or(nxt.value), &self.sacked, &self.lost)
    }

    /// The right edge of the window that this end may send into.
    pub fn edge(&self) -> Option<u64> {
        Some(self.snd_una?.value + self.snd_wnd?.value)
    }

    /// Bytes sent and not acknowledged (`FlightSize` of RFC 5681): `snd_nxt - snd_una`.
    pub fn flight_size(&self) -> Option<Known<u64>> {
        let (una, nxt) = (self.snd_una?, self.snd_nxt?);
        Some(Known { value: nxt.value - una.value, told: una.told && nxt.told })
    }

    /// Bytes that are lost and not sent again.
    pub fn lost_bytes(&self) -> u64 {
        self.space().iter().filter(|part| part.kind == Space::Lost).map(|part| part.end - part.start).sum()
    }

    /// The timers that run, as far as that can be inferred: retransmission, persist, TIME-WAIT.
    pub fn timers(&self) -> Vec<Running> {
        let due = |since: Instant| self.rto.map(|rto| since + rto.value);
        let retransmission =
            self.timer_since.map(|since| Running { timer: TimerKind::Retransmission, since, due: due(since) });
        let persist = self.probed_at.map(|since| Running { timer: TimerKind::Persist, since, due: None });
        let waits = self.state.is_some_and(|state| state.value == State::TimeWait);
        let time_wait = self.state_since.filter(|_| waits);
        let time_wait = time_wait.map(|since| Running { timer: TimerKind::TimeWait, since, due: None });
        [retransmission, persist, time_wait].into_iter().flatten().collect()
    }

    pub(super) fn set_state(&mut self, at: Instant, state: Option<Known<State>>) {
        if state.map(|state| state.value) != self.state.map(|state| state.value) {
            self.state_since = Some(at);
        }
        self.state = state;
        if state.is_some_and(|state| state.value == State::Closed) {
            (self.timer_since, self.probed_at) = (None, None);
        }
    }

    /// The end sends a segment. Gives its sequence space.
    pub(super) fn sent(&mut self, sent: &Sent) -> (u64, u64) {
        let start = near(self.snd_nxt.map_or(0, |nxt| nxt.value), sent.seq);
        let end = start + u64::from(sent.len);
        self.largest = self.largest.max(sent.payload);
        let before = self.snd_nxt.map(|nxt| nxt.value);
        let idle = self.flight_size().is_none_or(|flight| flight.value == 0);
        if before.is_none() {
            self.snd_una = Some(Known { value: start, told: sent.syn });
        }
        self.snd_nxt = Some(Known::told(before.map_or(end, |before| before.max(end))));
        if sent.copy || matches!(sent.data, DataKind::None | DataKind::KeepAlive) {
            return (start, end);
        }
        if sent.lost {
            self.lost.add(start, end);
        } else {
            self.lost.remove(start, end);
        }
        if let Some(before) = before.filter(|before| start < *before) {
            self.repeated.add(start, end.min(before));
        }
        // What stands before it was not seen.
        if let Some(before) = before.filter(|before| *before < start) {
            self.lost.add(before, start);
        }
        if idle || sent.data.is_repeated() {
            self.restart_timer(sent.at);
        }
        if sent.data == DataKind::Probe {
            self.probed(sent.at);
        }
        self.settle();
        (start, end)
    }

    /// The end acknowledges and advertises in a segment of its own.
    pub(super) fn acknowledges(&mut self, ack: u32, window: u32, in_run: bool) {
        let ack = near(self.rcv_nxt.map_or(0, |next| next.value), ack);
        // In a capture, the byte at `ack` may have passed before it was lost: it is missing. In a run, what has arrived may
        // not have been taken yet.
        let beyond = self.received.reach(ack);
        self.received.add(ack + u64::from(!in_run), beyond);
        self.rcv_nxt = Some(Known::told(ack));
        self.rcv_wnd = Some(Known::told(window.into()));
    }

    /// What the host tells of itself.
    pub(super) fn tell(&mut self, variables: &Variables, whose: Told) {
        let Variables { snd_una, snd_nxt, snd_wnd, srtt, rttvar, rto, cwnd, ssthresh, flight_size: _, pipe, .. } =
            *variables;
        if whose == Told::Host
            && let (Some(una), Some(nxt)) = (snd_una, snd_nxt)
        {
            let at = self.snd_nxt.map_or(0, |nxt| nxt.value);
            let nxt = near(at, nxt as u32).max(at);
            let una = near(at, una as u32).min(nxt).max(self.snd_una.map_or(0, |una| una.value));
            (self.snd_una, self.snd_nxt) = (Some(Known::told(una)), Some(Known::told(nxt)));
            if let Some(window) = snd_wnd {
                self.snd_wnd = Some(Known::told(window));
            }
            self.settle();
        }
        if cwnd.is_some() {
            (self.cwnd, self.ssthresh) = (cwnd.map(Known::told), ssthresh.map(Known::told));
        }
        if pipe.is_some() {
            self.pipe = pipe.map(Known::told);
        }
        for (field, told) in [(&mut self.srtt, srtt), (&mut self.rttvar, rttvar), (&mut self.rto, rto)] {
            if let Some(told) = told {
                *field = Some(Known::told(told));
            }
        }
        if let Some(phase) = variables.phase {
            self.phase = Some(Known::told(phase));
        }
    }

    /// Sequence space of the other end reaches this one.
    pub(super) fn receives(&mut self, (start, end): (u64, u64), told: bool) {
        if start >= end {
            return;
        }
        let next = self.rcv_nxt.map_or(start, |next| next.value);
        self.received.add(start, end);
        let reached = self.received.reach(next);
        if reached > next || self.rcv_nxt.is_none() {
            self.rcv_nxt = Some(Known { value: reached, told });
        }
    }

    /// An acknowledgment reaches this end.
    pub(super) fn acknowledged(&mut self, arrival: &Arrival, ack: u32) {
        let told = arrival.told;
        let before = self.snd_una.map(|una| una.value);
        let nxt = self.snd_nxt.map_or(0, |nxt| nxt.value);
        let ack = near(nxt, ack);
        let Some(una) = before else {
            // Of this direction nothing else was seen.
            (self.snd_una, self.snd_nxt) = (Some(Known { value: ack, told }), Some(Known { value: ack, told }));
            self.snd_wnd = Some(Known { value: arrival.window, told });
            return;
        };
        if ack < una || ack > nxt + MOST_AHEAD {
            return;
        }
        if ack > una {
            self.snd_una = Some(Known { value: ack, told });
            if ack > nxt {
                self.snd_nxt = Some(Known::inferred(ack));
            }
            self.timer_since = (ack < nxt).then_some(arrival.at);
        }
        if arrival.space.0 >= self.wl1 || ack > una {
            self.wl1 = self.wl1.max(arrival.space.0);
            self.snd_wnd = Some(Known { value: arrival.window, told });
            if arrival.window > 0 {
                self.probed_at = None;
            }
        }
        for (left, right) in &arrival.sacked {
            let (left, right) = (near(nxt, *left), near(nxt, *right));
            if ack <= left && left < right && right <= nxt {
                self.sacked.add(left, right);
                self.lost.remove(left, right);
            }
        }
        if !self.fates_told {
            self.infer_losses(arrival.kind);
        }
        if ack > una || !arrival.sacked.is_empty() {
            self.pipe = None;
        }
        self.settle();
    }

    /// What a sender judges lost (RFC 6675, `IsLost`; RFC 5681, section 3.2), where no host tells.
    fn infer_losses(&mut self, kind: AckKind) {
        let (Some(una), Some(nxt)) = (self.snd_una, self.snd_nxt) else { return };
        if self.sacked.is_empty() {
            if kind == AckKind::Duplicate(DUP_THRESH as u32) {
                self.judge_lost(una.value, nxt.value.min(una.value + self.largest.max(1)));
            }
            return;
        }
        // Of the SACKed bytes, more than (DupThresh - 1) * SMSS are above the hole that ends here.
        let mut above = self.sacked.bytes();
        let enough = (DUP_THRESH - 1) * self.largest.max(1);
        let mut at = una.value;
        for (start, end) in self.sacked.clone().iter() {
            if above > enough {
                self.judge_lost(at, start);
            }
            above -= end - start;
            at = end;
        }
    }

    /// A range is judged lost, but for what was sent again.
    fn judge_lost(&mut self, start: u64, end: u64) {
        let mut range = Ranges::default();
        range.add(start, end);
        self.repeated.iter().for_each(|(start, end)| range.remove(start, end));
        range.iter().for_each(|(start, end)| self.lost.add(start, end));
    }

    pub(super) fn restart_timer(&mut self, at: Instant) {
        self.timer_since = self.flight_size().filter(|flight| flight.value > 0).map(|_| at);
    }

    /// A window probe was sent, or is due.
    pub(super) fn probed(&mut self, at: Instant) {
        self.probed_at = Some(at);
        self.timer_since = None;
    }

    /// What is acknowledged is neither `SACKed` nor lost.
    fn settle(&mut self) {
        let una = self.snd_una.map_or(0, |una| una.value);
        self.sacked.remove(0, una);
        self.lost.remove(0, una);
        self.repeated.remove(0, una);
        if self.flight_size().is_some_and(|flight| flight.value == 0) {
            self.timer_since = None;
        }
        if self.pipe.is_none_or(|pipe| !pipe.told) {
            let pipe = |part: &&Extent| part.kind == Space::InFlight;
            let bytes = self.space().iter().filter(pipe).map(|part| part.end - part.start).sum();
            self.pipe = self.snd_una.map(|_| Known::inferred(bytes));
        }
    }
}

/// The number whose last 32 bits are these and which is nearest to `at`. None is below 0.
fn near(at: u64, low: u32) -> u64 {
    let ahead = low.wrapping_sub(at as u32) as i32;
    at.saturating_add_signed(ahead.into())
}
