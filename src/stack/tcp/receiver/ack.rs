//! When an ACK leaves (RFC 9293, section 3.8.6.3; RFC 5681, section 4.2), as Linux does it: at once in the first segments
//! of a flow and after an idle time ("quick ACKs"), for every second full-sized segment, and else after a delay that
//! follows the arrivals, 40 ms at least. What is out of order is acknowledged at once; [`Receiver`](super::Receiver)
//! decides that.

use crate::stack::config::{HostConfig, TcpOptions};
use crate::time::{Duration, Instant};

/// Linux's `TCP_MSS_DEFAULT` and `TCP_MIN_MSS`: between them the estimate of the peer's segment size begins.
const FIRST_ESTIMATE: u32 = 536;
const LEAST_ESTIMATE: u32 = 88;

/// Stands for a time that there is not.
const NONE: u64 = u64::MAX;

/// Nanoseconds, fewer than [`NONE`].
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NONE).min(NONE - 1)
}

/// What is owed to the peer.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, as in Linux's `icsk_ack`")]
pub(in crate::stack) struct AckPolicy {
    /// The shortest delay; [`NONE`] is no delay. Times are nanoseconds: half the room of a `Duration`.
    least: u64,
    most: u64,
    /// `TCP_QUICKACK`
    always: bool,
    /// The second segment is acknowledged at once.
    every_second: bool,
    /// The peer's segment size, as estimated, and the size of its last segment (Linux's `rcv_mss`, `last_seg_size`).
    peer_mss: u32,
    last_len: u32,
    mss_limit: u32,
    /// Text is not acknowledged yet.
    pending: bool,
    /// The ACK leaves now.
    now: bool,
    at: Option<Instant>,
    /// The delay (Linux's `ato`).
    ato: u64,
    /// ACKs that leave at once.
    quick: u32,
    quick_limit: u32,
    /// `HostConfig::delay_fin_ack`
    delay_fin: bool,
    /// Both directions carry text in turn: an ACK can wait for the answer.
    pingpong: bool,
    /// Small segments since the last ACK, up to 2 (Linux's `ICSK_ACK_PUSHED`, `_PUSHED2`).
    pushed: u8,
    last_text_at: Option<Instant>,
    /// [`NONE`] before the first sample.
    srtt: u64,
    rto: u64,
}

impl AckPolicy {
    pub(super) fn new(config: &HostConfig, options: &TcpOptions, mss: u32) -> Self {
        Self {
            least: config.ack_delay.map_or(NONE, nanos),
            most: nanos(config.ack_delay_max),
            always: options.quick_ack,
            every_second: config.ack_second_segment,
            peer_mss: mss.clamp(1, FIRST_ESTIMATE),
            last_len: 0,
            mss_limit: mss,
            pending: false,
            now: false,
            at: None,
            ato: 0,
            quick: 0,
            quick_limit: config.quick_acks,
            delay_fin: config.delay_fin_ack,
            pingpong: false,
            pushed: 0,
            last_text_at: None,
            srtt: NONE,
            rto: nanos(config.initial_rto),
        }
    }

    pub(super) const fn peer_mss(&self) -> u32 {
        self.peer_mss
    }

    /// The sender's round-trip time and timeout in nanoseconds, which bound the delay.
    pub(in crate::stack::tcp) fn set_rtt(&mut self, (srtt, rto): (Option<u64>, u64)) {
        (self.srtt, self.rto) = (srtt.unwrap_or(NONE), rto);
    }

    /// `TCP_QUICKACK`
    pub(in crate::stack::tcp) fn set_always(&mut self, always: bool) {
        self.always = always;
        if always {
            self.pingpong = false;
            self.now |= self.pending;
        }
    }

    /// An ACK leaves now.
    pub(in crate::stack::tcp) fn set_now(&mut self) {
        (self.pending, self.now) = (true, true);
    }

    /// True if an ACK leaves now.
    pub(in crate::stack::tcp) const fn is_due(&self) -> bool {
        self.now
    }

    /// True if text is not acknowledged yet.
    pub(in crate::stack::tcp) const fn is_pending(&self) -> bool {
        self.pending
    }

    /// When the delayed ACK leaves.
    pub(in crate::stack::tcp) const fn next_at(&self) -> Option<Instant> {
        self.at
    }

    /// Text came in order.
    pub(super) fn on_text(&mut self, now: Instant, len: u32) {
        let second = self.pending && self.every_second;
        self.pending = true;
        self.now |= second;
        self.estimate(len);
        let least = self.least;
        if least == NONE {
            self.now = true;
            return;
        }
        match self.last_text_at.map(|last| now.nanos_since(last)) {
            None => {
                self.begin_quick();
                self.ato = least;
            }
            Some(gap) if gap <= least / 2 => self.ato = self.ato / 2 + least / 2,
            Some(gap) if gap < self.ato => self.ato = (self.ato / 2).saturating_add(gap).min(self.rto),
            // The sender begins anew after a pause.
            Some(gap) if gap > self.rto => self.begin_quick(),
            Some(_) => {}
        }
        self.last_text_at = Some(now);
        if self.always || (self.quick > 0 && !self.pingpong) {
            self.now = true;
        } else {
            self.wait(now, least);
        }
    }

    /// The ACK leaves after the delay, or when it was to leave already.
    fn wait(&mut self, now: Instant, least: u64) {
        let at = Instant::from_nanos(now.as_nanos().saturating_add(self.delay(least)));
        self.at = Some(self.at.map_or(at, |before| before.min(at)));
    }

    /// A FIN comes in order, with or without text. As Linux's `tcp_fin`: an answer is expected, which ends quick ACKs.
    pub(super) const fn expect_fin(&mut self) {
        self.pingpong |= self.delay_fin;
    }

    /// The FIN that ends an open connection has come. Its ACK waits where text came before; without text Linux has no delay
    /// yet.
    pub(in crate::stack::tcp) fn on_fin(&mut self, now: Instant) {
        if self.least != NONE && self.delay_fin && self.last_text_at.is_some() {
            self.pending = true;
            self.wait(now, self.least);
        } else {
            self.set_now();
        }
    }

    /// As Linux's `tcp_measure_rcv_mss`: a larger segment raises the estimate, two of the same size set it.
    fn estimate(&mut self, len: u32) {
        let same = core::mem::replace(&mut self.last_len, len) == len;
        if len >= self.peer_mss || (same && len >= FIRST_ESTIMATE.min(self.mss_limit)) {
            self.peer_mss = len.min(self.mss_limit).max(LEAST_ESTIMATE.min(self.mss_limit)).max(1);
        } else {
            self.pushed = (self.pushed + 1).min(2);
        }
    }

    /// The shortest delay, or none.
    const fn first_delay(&self) -> u64 {
        if self.least == NONE { 0 } else { self.least }
    }

    fn begin_quick(&mut self) {
        self.quick = self.quick_limit;
    }

    /// As Linux's `tcp_send_delayed_ack`.
    fn delay(&self, least: u64) -> u64 {
        const MOST: u64 = 500_000_000;
        let mut ato = self.ato.max(least);
        if ato > least {
            let mut most = if self.pingpong || self.pushed > 0 { self.most } else { MOST };
            most = most.min(self.srtt.max(least));
            ato = ato.min(most);
        }
        // RFC 9293, section 3.8.6.3: "the delay MUST be less than 0.5 seconds".
        ato.min(self.most.max(least)).min(MOST)
    }

    /// The delayed ACK's timer has expired.
    pub(in crate::stack::tcp) fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.at.take_if(|at| *at <= now).is_none() {
            return false;
        }
        if self.pingpong {
            // No answer came that could have carried it.
            (self.pingpong, self.ato) = (false, self.first_delay());
        } else {
            self.ato = self.ato.saturating_mul(2).min(self.rto);
        }
        self.now = self.pending;
        self.pending
    }

    /// A segment with an ACK left.
    pub(super) fn on_ack_sent(&mut self) {
        (self.pending, self.now, self.at, self.pushed) = (false, false, None, 0);
        if self.quick > 0 {
            self.quick -= 1;
            if self.quick == 0 {
                self.ato = self.first_delay();
            }
        }
    }

    /// New text left.
    pub(in crate::stack::tcp) fn on_text_sent(&mut self, now: Instant) {
        if self.last_text_at.is_some_and(|last| now.nanos_since(last) < self.ato) {
            self.pingpong = true;
        }
    }

    /// The application has read; `unacked` bytes are not acknowledged. As Linux's `tcp_cleanup_rbuf`.
    pub(super) fn on_read(&mut self, unacked: u64, drained: bool) {
        let pushed = self.pushed == 2 || (self.pushed == 1 && !self.pingpong);
        if self.pending && (unacked > u64::from(self.peer_mss) || (pushed && drained)) {
            self.now = true;
        }
    }
}
