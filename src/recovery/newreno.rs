//! `NewReno` (RFC 6582): fast retransmit and fast recovery by duplicate ACKs, for peers without SACK.
//! [`Recovery`](super::Recovery) passes duplicate, partial and full ACKs and asks for the window while it recovers.

use crate::segment::Seq;

/// The variables of RFC 6582.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewReno {
    /// Duplicate ACKs in a row.
    dup_acks: u32,
    /// `recover` of RFC 6582, section 3.1.
    recover: Option<Seq>,
    /// cwnd while fast recovery runs: ssthresh, plus what has left the network, less what partial ACKs covered. In
    /// bytes.
    cwnd: u64,
    /// A partial ACK has come in this recovery.
    partial_ack_seen: bool,
}

impl NewReno {
    pub(super) const NONE: Self = Self { dup_acks: 0, recover: None, cwnd: 0, partial_ack_seen: false };

    /// Duplicate ACKs in a row.
    pub const fn dup_acks(&self) -> u32 {
        self.dup_acks
    }

    /// cwnd while fast recovery runs, in charged bytes.
    pub const fn cwnd(&self) -> u64 {
        self.cwnd
    }

    /// A duplicate ACK came outside of recovery. True if it asks for a fast retransmit.
    ///
    /// RFC 6582, section 3.2, step 1: only if "the Cumulative Acknowledgment field covers more than recover". Otherwise
    /// the duplicate ACKs are answers to what a timeout had sent again.
    pub fn on_dup_ack(&mut self, snd_una: Seq, dup_thresh: u32) -> bool {
        self.dup_acks = self.dup_acks.saturating_add(1);
        self.dup_acks == dup_thresh && self.recover.is_none_or(|recover| snd_una > recover)
    }

    /// SND.UNA moved outside of recovery, or the run of duplicate ACKs broke.
    pub const fn reset_dup_acks(&mut self) {
        self.dup_acks = 0;
    }

    /// RFC 6582, section 3.2, step 2: fast recovery begins. "set ssthresh ...; set cwnd to ssthresh plus 3*SMSS".
    pub fn on_recovery(&mut self, snd_nxt: Seq, ssthresh: u64, mss: u64) {
        self.recover = Some(snd_nxt);
        // A controller without a bound has an ssthresh without one.
        self.cwnd = ssthresh.saturating_add(u64::from(self.dup_acks) * mss);
        self.partial_ack_seen = false;
    }

    /// RFC 6582, section 3.2, step 2 (RFC 5681, section 3.2, step 4): one more duplicate ACK in recovery, "increment
    /// cwnd by SMSS".
    pub const fn on_dup_ack_in_recovery(&mut self, mss: u64) {
        self.cwnd = self.cwnd.saturating_add(mss);
    }

    /// RFC 6582, section 3.2, step 3: a partial ACK of `acked` bytes. True if the retransmission timer is to be
    /// restarted.
    ///
    /// "Deflate the congestion window by the amount of new data acknowledged ... If the partial ACK acknowledges at
    /// least one SMSS of new data, then add back SMSS bytes". The ACK itself restarts the timer for the first partial ACK
    /// only. But the retransmission that each partial ACK causes restarts it as well, because it is that of the first
    /// unit. So the timer is that of the "Slow-but-Steady" variant (section 4).
    pub fn on_partial_ack(&mut self, acked: u64, mss: u64) -> bool {
        self.cwnd = self.cwnd.saturating_sub(acked);
        if acked >= mss {
            self.cwnd = self.cwnd.saturating_add(mss);
        }
        // Never too small to send the retransmission.
        self.cwnd = self.cwnd.max(mss);
        let first = !self.partial_ack_seen;
        self.partial_ack_seen = true;
        first
    }

    /// RFC 6582, section 3.2, step 3: a full ACK ends recovery. The largest cwnd that may be left:
    /// "min (ssthresh, max(FlightSize, SMSS) + SMSS)", so that no burst follows.
    pub fn exit_cap(flight_size: u64, mss: u64) -> u64 {
        flight_size.max(mss) + mss
    }

    /// RFC 6582, section 3.2, step 4: a timeout. "record the highest sequence number transmitted in the variable
    /// recover".
    pub const fn on_timeout(&mut self, snd_nxt: Seq) {
        self.recover = Some(snd_nxt);
        self.dup_acks = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u64 = 1_000;

    #[test]
    fn rfc_6582_section_3_2_step_1_the_third_duplicate_ack_starts_fast_retransmit_and_only_beyond_recover() {
        let mut newreno = NewReno::default();
        let dup = |newreno: &mut NewReno, una| newreno.on_dup_ack(Seq(una), 3);
        assert_eq!([dup(&mut newreno, 5), dup(&mut newreno, 5), dup(&mut newreno, 5)], [false, false, true]);
        newreno.on_timeout(Seq(100));
        assert_eq!([dup(&mut newreno, 100), dup(&mut newreno, 100), dup(&mut newreno, 100)], [false; 3]);
        newreno.reset_dup_acks();
        assert_eq!([dup(&mut newreno, 101), dup(&mut newreno, 101), dup(&mut newreno, 101)], [false, false, true]);
    }

    #[test]
    fn rfc_6582_section_3_2_steps_2_and_3_cwnd_inflates_and_deflates() {
        let mut newreno = NewReno { dup_acks: 3, ..NewReno::default() };
        newreno.on_recovery(Seq(20_000), 10 * MSS, MSS);
        assert_eq!(newreno.cwnd(), 13 * MSS);
        newreno.on_dup_ack_in_recovery(MSS);
        assert_eq!(newreno.cwnd(), 14 * MSS);
        assert!(newreno.on_partial_ack(4 * MSS, MSS), "the timer is restarted");
        assert_eq!(newreno.cwnd(), 11 * MSS);
        assert!(!newreno.on_partial_ack(MSS - 1, MSS), "impatient: not again");
        assert_eq!(newreno.cwnd(), 10 * MSS + 1);
    }

    #[test]
    fn rfc_6582_section_3_2_step_3_a_full_ack_leaves_one_segment_more_than_the_flight() {
        assert_eq!(NewReno::exit_cap(0, MSS), 2 * MSS);
        assert_eq!(NewReno::exit_cap(5 * MSS, MSS), 6 * MSS);
    }
}
