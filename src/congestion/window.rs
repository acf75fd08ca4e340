//! What Reno and CUBIC have in common: cwnd and ssthresh, slow start with `HyStart++`, the loss window after a timeout,
//! the restart after idle, and what an undo restores (RFC 5681, 3465, 9406).
//! The two controllers add how cwnd grows above ssthresh and how far it shrinks.

use super::hystart::HyStart;
use super::sample::{AckSample, CongestionSample, Signal};
use super::{MAX_CWND, Setup};

/// cwnd and ssthresh, in charged bytes.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) cwnd: u64,
    pub(super) ssthresh: u64,
    pub(super) mss: u64,
    /// The restart window of RFC 5681, section 4.1.
    restart: u64,
    paced: bool,
    /// `None`: only a loss ends slow start.
    hystart: Option<HyStart>,
    /// Recovery runs; a further reduction does not replace what undo restores.
    recovering: bool,
    /// Recovery after a timeout runs: all that was outstanding then is not yet acknowledged.
    after_timeout: bool,
}

impl Window {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            cwnd: setup.cwnd.clamp(setup.mss, MAX_CWND),
            // RFC 5681, section 3.1: "The initial value of ssthresh SHOULD be set arbitrarily high".
            ssthresh: setup.ssthresh,
            mss: setup.mss,
            restart: setup.initial_window,
            paced: setup.paced,
            hystart: setup.hystart.then(HyStart::new),
            recovering: false,
            after_timeout: false,
        }
    }

    pub(super) fn phase(&self) -> &'static str {
        if self.cwnd >= self.ssthresh {
            "congestion avoidance"
        } else if self.ssthresh == u64::MAX && self.hystart.as_ref().is_some_and(HyStart::in_css) {
            "conservative slow start"
        } else {
            "slow start"
        }
    }

    /// Handles an ACK in slow start. Returns the delivered bytes that are left for congestion avoidance; 0 if cwnd may
    /// not grow any more for this ACK.
    pub(super) fn slow_start(&mut self, ack: &AckSample) -> u64 {
        // RFC 9406, section 4.2: "only for the initial slow start (when the ssthresh is at its initial value)".
        let initial = self.ssthresh == u64::MAX;
        let mut hystart = self.hystart.as_mut().filter(|_| initial);
        if hystart.as_mut().is_some_and(|hystart| hystart.on_ack(ack)) {
            self.ssthresh = self.cwnd;
        }
        // RFC 5681, section 3.2, step 1: no growth on duplicate ACKs. With reordering seen they are no sign of loss.
        let progress = ack.newly_acked > 0 || ack.reordering_seen;
        if !ack.cwnd_limited || !progress {
            return 0;
        }
        if self.cwnd >= self.ssthresh {
            return ack.newly_delivered;
        }
        // RFC 5681 allows SMSS per ACK and RFC 3465 two; RFC 9406, section 4.2, allows eight or, with pacing, any
        // number. The last one holds here, in later slow starts too. Linux counts every segment that an ACK delivers,
        // without a limit.
        let growth = if self.after_timeout {
            // RFC 3465, section 2.3: after a timeout L is one segment, since one ACK may cover much that arrived
            // before.
            ack.newly_delivered.min(self.mss)
        } else {
            HyStart::growth(ack.newly_delivered, self.mss, self.paced)
        };
        let growth = hystart.map_or(growth, |hystart| hystart.slowed(growth));
        let room = self.ssthresh.min(MAX_CWND).saturating_sub(self.cwnd);
        self.cwnd += growth.min(room);
        if growth > room && self.cwnd >= self.ssthresh { growth - room } else { 0 }
    }

    /// True if `congestion` begins a new recovery, so that the state before it must be saved for undo.
    pub(super) fn begins_recovery(&self) -> bool {
        !self.recovering
    }

    /// Takes the new ssthresh, at least two segments (RFC 5681, equation 4), and sets cwnd for the signal.
    pub(super) fn reduce(&mut self, congestion: &CongestionSample, ssthresh: u64) {
        self.recovering = true;
        match congestion.signal {
            Signal::Loss | Signal::Ecn => {
                self.ssthresh = ssthresh.max(2 * self.mss);
                // RFC 5681, section 3.2, step 6: cwnd is ssthresh after recovery; until then PRR decides.
                self.cwnd = self.ssthresh;
            }
            Signal::Timeout { again } => {
                // RFC 5681, section 3.1: "the value of ssthresh is held constant" when the segment was sent again
                // before.
                // In fast recovery, cwnd being reduced already, this is the second reduction that section 4.3 asks for
                // ("the loss of a retransmission", "lowered twice"). Linux does not reduce a second time.
                if !again {
                    self.ssthresh = ssthresh.max(2 * self.mss);
                }
                // "cwnd MUST be set to no more than the loss window, LW, which equals 1 full-sized segment".
                self.cwnd = self.mss;
                self.after_timeout = true;
            }
        }
    }

    /// Amount in flight when congestion was found: the base of the reduction.
    ///
    /// RFC 5681, section 3.1: `FlightSize`, not cwnd. Segments sent by limited transmit do not count (section 3.2, step
    /// 2), hence no more than cwnd. Linux takes cwnd, also when the application had not filled it.
    pub(super) fn flight(&self, congestion: &CongestionSample) -> u64 {
        congestion.flight_size.min(self.cwnd)
    }

    pub(super) fn on_recovery_end(&mut self, cap: u64) {
        self.recovering = false;
        self.after_timeout = false;
        self.cwnd = self.cwnd.min(cap.max(self.mss));
    }

    /// RFC 5681, section 4.1: after an idle time of more than one RTO cwnd is at most the restart window,
    /// `RW = min(IW, cwnd)`.
    ///
    /// Linux halves cwnd for each RTO of idle time down to the same restart window, and raises ssthresh to three
    /// quarters of the old cwnd (RFC 2861). We do neither: the window is smaller after a short idle time.
    pub(super) fn on_idle_restart(&mut self) {
        self.cwnd = self.cwnd.min(self.restart);
    }

    /// Takes back a reduction (RFC 4015 in the form of Linux: what has grown since is kept).
    pub(super) fn undo(&mut self, cwnd: u64, ssthresh: u64) {
        self.cwnd = self.cwnd.max(cwnd);
        self.ssthresh = self.ssthresh.max(ssthresh);
        self.recovering = false;
        self.after_timeout = false;
    }

    pub(super) fn set_mss(&mut self, mss: u64) {
        self.mss = mss.max(1);
        self.cwnd = self.cwnd.max(self.mss);
    }
}
