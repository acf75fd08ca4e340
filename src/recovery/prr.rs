//! Proportional Rate Reduction (RFC 9937, which replaces RFC 6937): how much each ACK lets go during fast recovery, so
//! that the flight ends near ssthresh. [`Recovery`](super::Recovery) starts it, passes each ACK and each transmission,
//! and reads the window.

/// The variables of RFC 9937, section 6, in charged bytes.
#[derive(Clone, Copy, Debug)]
pub struct Prr {
    /// `prr_delivered`: delivered during recovery.
    delivered: u64,
    /// `prr_out`: sent during recovery.
    out: u64,
    /// `RecoverFS`: the flight when recovery began.
    recover_fs: u64,
    /// `ssthresh`, the target.
    ssthresh: u64,
    /// `cwnd`: `pipe` after the last ACK, and what that ACK lets go.
    window: u64,
}

/// What one ACK in recovery brings.
#[derive(Clone, Copy, Debug)]
pub struct PrrAck {
    /// `DeliveredData`: charged bytes that the ACK delivered.
    pub delivered: u64,
    /// `inflight`: `pipe` after the ACK.
    pub pipe: u64,
    /// `safeACK`: SND.UNA moved and the ACK shows no further loss.
    pub safe: bool,
}

impl Prr {
    /// Recovery begins. `recover_fs` is what RFC 9937, section 6.1 has: SND.NXT - SND.UNA less what had been `SACKed`
    /// before, and with what the ACK delivered that begins recovery. `before`: what other ACKs delivered since the sender
    /// last had its turn; it counts as delivered during recovery.
    pub const fn new(recover_fs: u64, before: u64, ssthresh: u64) -> Self {
        // One byte at least: it is a divisor.
        let recover_fs = if recover_fs + before == 0 { 1 } else { recover_fs + before };
        Self { delivered: before, out: 0, recover_fs, ssthresh, window: 0 }
    }

    /// How much `pipe` may be.
    pub const fn window(&self) -> u64 {
        self.window
    }

    /// `charge` bytes left ("On any data transmission or retransmission").
    pub const fn on_sent(&mut self, charge: u64) {
        self.out += charge;
    }

    /// RFC 9937, section 6.2: "On every ACK starting or during fast recovery".
    pub fn on_ack(&mut self, ack: PrrAck, mss: u64) {
        self.delivered += ack.delivered;
        let sndcnt = if ack.pipe > self.ssthresh {
            // "sndcnt = CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out".
            let target = u128::from(self.delivered) * u128::from(self.ssthresh);
            let target = target.div_ceil(u128::from(self.recover_fs));
            u64::try_from(target).unwrap_or(u64::MAX).saturating_sub(self.out)
        } else {
            // "PRR-CRB by default: sndcnt = MAX(prr_delivered - prr_out, DeliveredData)".
            let mut sndcnt = self.delivered.saturating_sub(self.out).max(ack.delivered);
            // "PRR-SSRB when recovery is in good progress: If safeACK: sndcnt += MSS".
            if ack.safe {
                sndcnt += mss;
            }
            // "Attempt to catch up, as permitted: sndcnt = MIN(ssthresh - inflight, sndcnt)".
            sndcnt.min(self.ssthresh - ack.pipe)
        };
        // "If prr_out is 0 AND sndcnt is 0: Force a fast retransmit upon entering recovery: sndcnt = MSS". In bytes,
        // less than one MSS forces nothing, so it counts as none.
        let sndcnt = if self.out == 0 { sndcnt.max(mss) } else { sndcnt };
        // "cwnd = inflight + sndcnt".
        self.window = ack.pipe + sndcnt;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u64 = 1_000;

    /// Segments that each of `acks` ACKs lets go in recovery: `pipe` shrinks by what arrives and grows by what is sent.
    fn run(acks: usize, mut pipe: u64, recover_fs: u64, ssthresh: u64, safe: bool) -> Vec<u64> {
        let mut prr = Prr::new(recover_fs, 0, ssthresh);
        (0..acks)
            .map(|_| {
                pipe -= MSS;
                prr.on_ack(PrrAck { delivered: MSS, pipe, safe }, MSS);
                let send = (prr.window() - pipe) / MSS;
                for _ in 0..send {
                    prr.on_sent(MSS);
                    pipe += MSS;
                }
                send
            })
            .collect()
    }

    #[test]
    fn the_proportional_part_of_rfc_9937_section_6_2_sends_one_segment_for_two_delivered() {
        // Flight 20, one lost, ssthresh 10.
        let sent = run(18, 19 * MSS, 20 * MSS, 10 * MSS, false);
        assert_eq!(sent[0], 1, "the fast retransmit is forced");
        assert_eq!(sent.iter().sum::<u64>(), 9);
        assert!(sent.windows(2).all(|pair| pair[0] + pair[1] <= 2));
    }

    #[test]
    fn below_ssthresh_prr_crb_sends_no_more_than_was_delivered() {
        // Most of the flight was lost: pipe 4 of 20, ssthresh 10.
        assert_eq!(run(4, 4 * MSS, 20 * MSS, 10 * MSS, false), [1, 1, 1, 1]);
    }

    #[test]
    fn below_ssthresh_a_safe_ack_lets_one_more_segment_go_up_to_ssthresh() {
        let sent = run(8, 4 * MSS, 20 * MSS, 10 * MSS, true);
        assert_eq!(sent[..6], [2, 2, 2, 2, 2, 2]);
        assert_eq!(sent[6..], [1, 1], "at ssthresh: packet conservation");
    }

    #[test]
    fn the_first_ack_of_recovery_lets_one_segment_go_also_when_nothing_was_delivered() {
        let mut prr = Prr::new(20 * MSS, 0, 10 * MSS);
        prr.on_ack(PrrAck { delivered: 0, pipe: 19 * MSS, safe: false }, MSS);
        assert_eq!(prr.window(), 20 * MSS);
        prr.on_sent(MSS);
        prr.on_ack(PrrAck { delivered: 0, pipe: 20 * MSS, safe: false }, MSS);
        assert_eq!(prr.window(), 20 * MSS);
    }
}
