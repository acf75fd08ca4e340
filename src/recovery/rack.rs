//! RACK (RFC 8985, section 6): a segment is lost if one that left later has arrived and a reordering window has passed.
//! The judge of losses wherever the peer sends SACK. [`Recovery`](super::Recovery) feeds it each unit that an ACK
//! delivers, then asks which units are lost and when to ask again.

use super::Reason;
use super::scoreboard::{Lost, Scoreboard, Unit};
use crate::segment::Seq;
use crate::time::Instant;

/// RFC 8985, section 6.2: recoveries without a DSACK after which the reordering window is small again.
const REO_WND_PERSIST: u8 = 16;

/// The variables of RFC 8985, section 5.3. Times are nanoseconds.
#[derive(Clone, Debug)]
pub struct Rack {
    /// `RACK.xmit_ts` and `RACK.end_seq`: of all delivered segments the one that left last.
    newest: Option<(Instant, Seq)>,
    /// `RACK.rtt`: the RTT of that segment.
    rtt: u64,
    /// `RACK.reordering_seen`.
    reordering_seen: bool,
    /// `RACK.reo_wnd_mult`.
    reo_wnd_mult: u8,
    /// `RACK.reo_wnd_persist`.
    reo_wnd_persist: u8,
    /// `RACK.dsack_round`.
    dsack_round: Option<Seq>,
}

/// What bounds the reordering window at the moment.
#[derive(Clone, Copy, Debug)]
pub struct ReorderingLimits {
    /// `RACK.min_RTT`, in nanoseconds; `None` before the first sample.
    pub min_rtt: Option<u64>,
    /// SRTT, in nanoseconds; `None` before the first sample.
    pub srtt: Option<u64>,
    /// Recovery after a loss or a timeout runs.
    pub recovering: bool,
    /// `RACK.segs_sacked` has reached `DupThresh`.
    pub dup_thresh_reached: bool,
}

impl Default for Rack {
    fn default() -> Self {
        Self {
            newest: None,
            rtt: 0,
            reordering_seen: false,
            reo_wnd_mult: 1,
            reo_wnd_persist: REO_WND_PERSIST,
            dsack_round: None,
        }
    }
}

impl Rack {
    /// A segment has overtaken another one on this connection.
    pub const fn reordering_seen(&self) -> bool {
        self.reordering_seen
    }

    /// A retransmission proved spurious: its original had only been overtaken. RFC 8985 has no such rule; without it
    /// each overtaken segment whose retransmission has left would be judged by `DupThresh` again.
    pub const fn on_spurious_retransmission(&mut self) {
        self.reordering_seen = true;
    }

    /// The last congestion event was undone. What RACK holds to be the newest delivery may be a retransmission whose
    /// ACK was for the original; then all originals would be overdue. The next ACK names the newest anew.
    pub const fn on_undo(&mut self) {
        self.newest = None;
    }

    /// RFC 8985, section 6.2, steps 2 and 3: an ACK delivered `unit`. `min_rtt` includes the sample of this ACK.
    ///
    /// `echo_is_older`: the cumulative ACK covers it, and the timestamp echo is older than its last transmission.
    /// `fack` is `RACK.fack` before this ACK: blocks taken before the cumulative ACK would look like reordering.
    pub fn on_delivered(&mut self, now: Instant, unit: &Unit, fack: Seq, min_rtt: Option<u64>, echo_is_older: bool) {
        let rtt = now.as_nanos().saturating_sub(unit.sent_at.as_nanos());
        // "If SEG.retransmitted is TRUE: If ACK.ts_option.echo_reply < SEG.xmit_ts: continue; If rtt < RACK.min_RTT:
        // continue": the ACK is one for the original.
        let original = !unit.is_resent() || echo_is_older || min_rtt.is_some_and(|min_rtt| rtt < min_rtt);
        // Step 3: "If SEG.end_seq < RACK.fack AND SEG.retransmitted is FALSE: RACK.reordering_seen = TRUE". An original
        // that was resent in vain counts too. Otherwise each one that is overtaken in the round trip before the first
        // DSACK would be resent.
        if original && unit.end() < fack {
            self.reordering_seen = true;
        }
        if original && unit.is_resent() {
            return;
        }
        if self.newest.is_none_or(|newest| sent_after((unit.sent_at, unit.end()), newest)) {
            self.newest = Some((unit.sent_at, unit.end()));
            self.rtt = rtt;
        }
    }

    /// RFC 8985, section 6.2, step 4, first half: an ACK came, with or without a DSACK.
    pub fn on_ack(&mut self, snd_una: Seq, snd_nxt: Seq, dsack: bool) {
        // "If RACK.dsack_round is not None AND SND.UNA >= RACK.dsack_round: RACK.dsack_round = None".
        if self.dsack_round.is_some_and(|round| snd_una >= round) {
            self.dsack_round = None;
        }
        // "Grow the reordering window per round that sees DSACK."
        if dsack && self.dsack_round.is_none() {
            self.dsack_round = Some(snd_nxt);
            self.reo_wnd_mult = self.reo_wnd_mult.saturating_add(1);
            self.reo_wnd_persist = REO_WND_PERSIST;
        }
    }

    /// RFC 8985, section 6.2, step 4: "Reset the window after 16 DSACK-free recoveries".
    pub fn on_recovery_end(&mut self) {
        self.reo_wnd_persist = self.reo_wnd_persist.saturating_sub(1);
        if self.reo_wnd_persist == 0 {
            self.reo_wnd_mult = 1;
        }
    }

    /// RFC 8985, section 6.2, step 4, second half: the reordering window in nanoseconds.
    pub fn reo_wnd(&self, limits: &ReorderingLimits) -> u64 {
        // "If RACK.reordering_seen is FALSE: If in Fast or RTO recovery: return 0; Else if RACK.segs_sacked >=
        // DupThresh: return 0".
        if !self.reordering_seen && (limits.recovering || limits.dup_thresh_reached) {
            return 0;
        }
        // "return min(RACK.reo_wnd_mult * RACK.min_RTT / 4, SRTT)".
        let window = u64::from(self.reo_wnd_mult).saturating_mul(limits.min_rtt.unwrap_or(0)) / 4;
        window.min(limits.srtt.unwrap_or(0))
    }

    /// RFC 8985, section 6.2, step 5: marks what is lost and returns when the next unit will be. `on_lost` sees each
    /// one, `cause` says who judged the originals: `DupThresh` by a window of zero, or RACK.
    ///
    /// The RFC walks a list in the order of transmission. Here that is two: originals, which leave in sequence order,
    /// and retransmissions. In each the walk ends at the first unit that is not overdue, so an ACK without a loss costs
    /// O(1).
    pub fn detect_loss(
        &self,
        now: Instant,
        board: &mut Scoreboard,
        reo_wnd: u64,
        cause: Reason,
        on_lost: &mut impl FnMut(Lost),
    ) -> Option<Instant> {
        let newest = self.newest?;
        let mut next = None;
        while let Some(index) = board.oldest_original() {
            match self.judge(now, newest, reo_wnd, board.units().get(index)) {
                Verdict::Lost => mark(board, index, cause, on_lost),
                Verdict::LostAt(at) => {
                    next = Some(at);
                    break;
                }
                Verdict::Unknown => break,
            }
        }
        while let Some(index) = board.oldest_retransmission() {
            match self.judge(now, newest, reo_wnd, board.units().get(index)) {
                Verdict::Lost => mark(board, index, Reason::Rack, on_lost),
                Verdict::LostAt(at) => {
                    next = Some(next.map_or(at, |other: Instant| other.min(at)));
                    break;
                }
                Verdict::Unknown => break,
            }
        }
        next
    }

    fn judge(&self, now: Instant, newest: (Instant, Seq), reo_wnd: u64, unit: Option<&Unit>) -> Verdict {
        let Some(unit) = unit else { return Verdict::Unknown };
        // "If RACK_sent_after(RACK.xmit_ts, RACK.end_seq, SEG.xmit_ts, SEG.end_seq)".
        if !sent_after(newest, (unit.sent_at, unit.end())) {
            return Verdict::Unknown;
        }
        // Where a packet takes no time, originals with higher numbers may have left before this retransmission, at the same
        // instant: the order of the numbers says nothing. No RTT has passed since it left.
        if unit.is_resent() && unit.sent_at == now {
            return Verdict::Unknown;
        }
        // "remaining = SEG.xmit_ts + RACK.rtt + reo_wnd - Now(); If remaining <= 0: SEG.lost = TRUE".
        let at = self.overdue_at(unit, reo_wnd);
        if at <= now { Verdict::Lost } else { Verdict::LostAt(at) }
    }

    /// RFC 8985, section 6.3: on a timeout a unit is lost if it is the first, or if
    /// "`SEG.xmit_ts` + RACK.rtt + `RACK.reo_wnd` - `Now()` <= 0".
    pub fn is_overdue(&self, now: Instant, unit: &Unit, reo_wnd: u64) -> bool {
        self.overdue_at(unit, reo_wnd) <= now
    }

    fn overdue_at(&self, unit: &Unit, reo_wnd: u64) -> Instant {
        Instant::from_nanos(unit.sent_at.as_nanos().saturating_add(self.rtt).saturating_add(reo_wnd))
    }
}

enum Verdict {
    Lost,
    /// Unless it arrives before.
    LostAt(Instant),
    Unknown,
}

fn mark(board: &mut Scoreboard, index: usize, cause: Reason, on_lost: &mut impl FnMut(Lost)) {
    if let Some(lost) = board.mark_lost(index, cause) {
        on_lost(lost);
    }
}

/// `RACK_sent_after` of RFC 8985, section 6.2: by time, then by sequence number.
fn sent_after(one: (Instant, Seq), other: (Instant, Seq)) -> bool {
    one.0 > other.0 || (one.0 == other.0 && one.1 > other.1)
}
