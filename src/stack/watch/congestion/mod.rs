//! The mirror of smoltcp's congestion controllers: none, Reno (RFC 5681) and CUBIC (RFC 9438).
//!
//! ```text
//!              cwnd < ssthresh     slow start            cwnd += min(octets, MSS) per ACK      RFC 5681, 3.1
//!  new ACK --> cwnd >= ssthresh    congestion avoidance  Reno or CUBIC                         reno.rs, cubic.rs
//!              in fast recovery    recovery ends         cwnd = ssthresh                       RFC 5681, 3.2 (6)
//!  3rd dup ACK                     recovery begins       ssthresh cut, cwnd = ssthresh + 3 MSS RFC 5681, 3.2 (2), (3)
//!  timeout                         loss                  ssthresh cut once, cwnd = 1 MSS       RFC 5681, 3.1
//! ```
//!
//! Everything but congestion avoidance and the size of the cut is common to both. Where smoltcp differs from the RFCs
//! the mirror follows smoltcp: the first new ACK ends recovery, whether it covers the whole flight or not (no
//! `NewReno`); cwnd never exceeds the largest window that the peer has offered (at least 64 KiB); the initial window is
//! 2,048 octets whatever the MSS (not RFC 6928's ten segments); an idle connection keeps its window.

mod cubic;
mod reno;

pub(super) use cubic::Cubic;

use smoltcp::socket::tcp::CongestionControl;

use super::Micros;

/// The MSS a controller assumes until the peer's SYN names one.
const ASSUMED_MSS: u16 = 1_024;

/// Stands for `usize::MAX` in 32 bits: no threshold yet. No window can reach it (the largest is 2^30 octets).
const UNLIMITED: u32 = u32::MAX;

/// What both controllers keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) cwnd: u32,
    pub(super) ssthresh: u32,
    /// The largest window that the peer has offered.
    pub(super) rwnd: u32,
    pub(super) mss: u16,
    pub(super) in_fast_recovery: bool,
    /// A timeout happened and nothing new was acknowledged since: further timeouts leave ssthresh alone.
    pub(super) in_loss: bool,
}

impl Window {
    /// Grows cwnd, up to the peer's largest window, but never below one segment.
    fn grow_to(&mut self, cwnd: u32) {
        self.cwnd = cwnd.min(self.rwnd).max(u32::from(self.mss));
    }
}

/// The algorithm and what only it needs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Law {
    /// The window is unlimited; only the phases are followed.
    None,
    Reno,
    Cubic(Cubic),
}

/// One connection's congestion control.
#[derive(Clone, Copy, Debug)]
pub(super) struct Congestion {
    pub(super) window: Window,
    pub(super) law: Law,
}

impl Congestion {
    pub(super) fn new(control: CongestionControl) -> Self {
        let window = Window {
            cwnd: 2 * u32::from(ASSUMED_MSS),
            ssthresh: UNLIMITED,
            rwnd: 64 * u32::from(ASSUMED_MSS),
            mss: ASSUMED_MSS,
            in_fast_recovery: false,
            in_loss: false,
        };
        let law = match control {
            CongestionControl::None => Law::None,
            CongestionControl::Reno => Law::Reno,
            CongestionControl::Cubic => Law::Cubic(Cubic::new(&window)),
        };
        Self { window, law }
    }

    /// The congestion window in octets; `usize::MAX` without a controller.
    pub(super) const fn cwnd(&self) -> usize {
        match self.law {
            Law::None => usize::MAX,
            _ => self.window.cwnd as usize,
        }
    }

    /// The slow start threshold; `usize::MAX` until something was lost, and without a controller.
    pub(super) const fn ssthresh(&self) -> usize {
        match (&self.law, self.window.ssthresh) {
            (Law::None, _) | (_, UNLIMITED) => usize::MAX,
            (_, ssthresh) => ssthresh as usize,
        }
    }

    pub(super) fn set_mss(&mut self, mss: u16) {
        self.window.mss = mss;
        if let Law::Cubic(cubic) = &mut self.law {
            cubic.set_mss(mss);
        }
    }

    pub(super) fn set_peer_window(&mut self, window: u32) {
        self.window.rwnd = self.window.rwnd.max(window);
    }

    /// A segment that is not a duplicate ACK was accepted. It acknowledges `octets` of new data, perhaps none, and
    /// leaves `in_flight` outstanding.
    pub(super) fn on_ack(&mut self, now: Micros, octets: u32, in_flight: u32, srtt: u32) {
        if let Law::Cubic(cubic) = &mut self.law {
            cubic.on_idle_change(now, in_flight == 0);
        }
        if octets == 0 {
            return;
        }
        let window = &mut self.window;
        window.in_loss = false;
        if window.in_fast_recovery {
            // "Set cwnd to ssthresh": deflating the window (RFC 5681, section 3.2, step 6).
            window.in_fast_recovery = false;
            window.cwnd = window.ssthresh;
            if let Law::Cubic(cubic) = &mut self.law {
                cubic.restart_estimate(window.cwnd);
            }
            return;
        }
        let octets = octets.min(u32::from(window.mss));
        match &mut self.law {
            Law::None => {}
            _ if window.cwnd < window.ssthresh => window.grow_to(window.cwnd.saturating_add(octets)),
            Law::Reno => reno::avoid(window),
            Law::Cubic(cubic) => cubic.avoid(window, now, octets, srtt),
        }
    }

    /// A duplicate ACK arrived: in recovery, "cwnd MUST be incremented by SMSS" (RFC 5681, section 3.2, step 4).
    pub(super) fn on_duplicate_ack(&mut self, mss: u16) {
        if self.window.in_fast_recovery {
            self.window.grow_to(self.window.cwnd.saturating_add(u32::from(mss)));
        }
    }

    /// Three duplicate ACKs: the earliest segment is about to be sent again.
    pub(super) fn on_fast_retransmit(&mut self, now: Micros, in_flight: u32) {
        if let Law::Cubic(cubic) = &mut self.law {
            cubic.forget_idle();
        }
        if self.window.in_fast_recovery {
            return;
        }
        if let Law::Cubic(cubic) = &mut self.law {
            cubic.on_congestion(now, &self.window);
        }
        self.cut_threshold(in_flight);
        let window = &mut self.window;
        // "Set [cwnd] to ssthresh plus 3*SMSS" (RFC 5681, section 3.2, step 3).
        window.cwnd = window.ssthresh.min(window.rwnd).saturating_add(3 * u32::from(window.mss));
        window.in_fast_recovery = true;
    }

    /// The retransmission timer expired.
    pub(super) fn on_timeout(&mut self, in_flight: u32) {
        // "When [...] the given segment has already been retransmitted by way of the retransmission timer at least
        // once, the value of ssthresh is held constant" (RFC 5681, section 3.1).
        if !self.window.in_loss {
            self.cut_threshold(in_flight);
            self.window.in_loss = true;
        }
        self.window.cwnd = u32::from(self.window.mss);
        self.window.in_fast_recovery = false;
        if let Law::Cubic(cubic) = &mut self.law {
            cubic.on_timeout(in_flight);
        }
    }

    /// Something that occupies sequence space was sent.
    pub(super) fn on_send(&mut self, now: Micros) {
        if let Law::Cubic(cubic) = &mut self.law {
            cubic.on_idle_change(now, false);
        }
    }

    /// ssthresh = max(beta * `FlightSize`, 2 * SMSS): RFC 5681, equation 4; RFC 9438, section 4.6.
    fn cut_threshold(&mut self, in_flight: u32) {
        let cut = match self.law {
            Law::None => return,
            Law::Reno => reno::cut(in_flight),
            Law::Cubic(_) => cubic::cut(in_flight),
        };
        self.window.ssthresh = cut.max(2 * u32::from(self.window.mss));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reno() -> Congestion {
        let mut reno = Congestion::new(CongestionControl::Reno);
        reno.set_mss(1_000);
        reno
    }

    #[test]
    fn without_a_controller_nothing_limits_the_sender_and_the_phases_are_still_followed() {
        let mut none = Congestion::new(CongestionControl::None);
        none.on_fast_retransmit(0, 5_000);
        assert!(none.window.in_fast_recovery);
        none.on_timeout(5_000);
        assert!(none.window.in_loss && !none.window.in_fast_recovery);
        assert_eq!((none.cwnd(), none.ssthresh()), (usize::MAX, usize::MAX));
    }

    #[test]
    fn slow_start_adds_what_was_acknowledged_but_at_most_one_segment() {
        let mut reno = reno();
        reno.on_ack(0, 400, 0, 0);
        reno.on_ack(0, 2_000, 0, 0);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (2_048 + 400 + 1_000, usize::MAX));
    }

    #[test]
    fn recovery_is_entered_once_inflated_by_duplicates_and_left_by_the_first_new_ack() {
        let mut reno = reno();
        reno.on_fast_retransmit(0, 10_000);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (8_000, 5_000));
        reno.on_duplicate_ack(1_000);
        reno.on_fast_retransmit(0, 2_000);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (9_000, 5_000));
        reno.on_ack(0, 0, 0, 0);
        assert!(reno.window.in_fast_recovery, "an ACK of nothing does not end recovery");
        reno.on_ack(0, 1, 0, 0);
        assert_eq!((reno.cwnd(), reno.window.in_fast_recovery), (5_000, false));
    }

    #[test]
    fn the_second_timeout_of_the_same_segment_leaves_the_threshold_alone() {
        let mut reno = reno();
        reno.on_timeout(10_000);
        reno.on_timeout(1_000);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (1_000, 5_000));
        reno.on_ack(0, 1_000, 0, 0);
        reno.on_timeout(8_000);
        assert_eq!(reno.ssthresh(), 4_000);
    }

    #[test]
    fn the_threshold_is_never_below_two_segments() {
        let mut reno = reno();
        reno.on_timeout(1);
        assert_eq!(reno.ssthresh(), 2_000);
    }

    #[test]
    fn the_window_stops_at_the_largest_that_the_peer_has_offered() {
        let mut reno = reno();
        reno.set_peer_window(70_000);
        reno.set_peer_window(10);
        for _ in 0..200 {
            reno.on_ack(0, 1_000, 0, 0);
        }
        assert_eq!(reno.cwnd(), 70_000);
    }
}
