//! Tail loss probe (RFC 8985, section 7): when no ACK comes for about two RTTs, one segment is sent so that the peer's
//! SACK shows what is missing, long before the retransmission timer would expire. [`Recovery`](super::Recovery) asks
//! for the probe timeout, reports the probe, and passes each ACK.

use crate::segment::{SackBlock, Seq};
use crate::time::Instant;

/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;

/// RFC 8985, section 7.2: "If SRTT is not available: PTO = 1 second".
const PTO_WITHOUT_SRTT: u64 = 1_000 * MS;

/// Added to each PTO, as on Linux. With an SRTT near zero 2 * SRTT would expire before the ACK can come.
const PTO_GRANULARITY: u64 = 2 * MS;

/// The variables of RFC 8985, section 7.1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tlp {
    /// `TLP.end_seq`: SND.NXT when the probe left; `None` if no probe is out.
    end_seq: Option<Seq>,
    /// `TLP.is_retrans`: the probe sent old text.
    is_retrans: bool,
}

/// What an ACK tells of the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeFate {
    /// Nothing yet, or no probe was out.
    Pending,
    /// The episode is over and nothing had been lost.
    Needless,
    /// The probe repaired a loss: congestion control must react (RFC 8985, section 7.4.2).
    Repaired,
}

/// The fields of an ACK that decide on the probe.
#[derive(Clone, Copy, Debug)]
pub struct ProbeAck {
    /// SEG.ACK.
    pub ack: Seq,
    /// The DSACK block.
    pub dsack: Option<SackBlock>,
    /// It carries SACK blocks, DSACK included.
    pub has_sack: bool,
    /// It is a duplicate ACK (RFC 5681, section 2).
    pub duplicate: bool,
}

impl Tlp {
    pub(super) const NONE: Self = Self { end_seq: None, is_retrans: false };

    /// A probe is out and its fate is not known.
    pub const fn is_out(&self) -> bool {
        self.end_seq.is_some()
    }

    /// `TLP_calc_PTO` of RFC 8985, section 7.2, in nanoseconds. `max_ack_delay` is the peer's delayed ACK timer at its
    /// longest.
    pub fn pto(srtt: Option<u64>, one_segment_in_flight: bool, max_ack_delay: u64) -> u64 {
        let Some(srtt) = srtt else { return PTO_WITHOUT_SRTT };
        // "PTO = 2 * SRTT; If FlightSize is one segment: PTO += TLP.max_ack_delay".
        let delay = if one_segment_in_flight { max_ack_delay } else { 0 };
        2 * srtt + delay + PTO_GRANULARITY
    }

    /// When the probe is due: at `now` + PTO, but "if `Now()` + PTO > `TCP_RTO_expire()`: PTO = `TCP_RTO_expire()` -
    /// `Now()`".
    pub fn deadline(now: Instant, pto: u64, rto_at: Option<Instant>) -> Instant {
        let at = Instant::from_nanos(now.as_nanos().saturating_add(pto));
        rto_at.map_or(at, |rto_at| at.min(rto_at))
    }

    /// A probe left. `snd_nxt` counts it if it carries new text.
    pub const fn on_probe(&mut self, snd_nxt: Seq, is_retrans: bool) {
        self.end_seq = Some(snd_nxt);
        self.is_retrans = is_retrans;
    }

    /// Recovery begins by other means: it repairs what the probe was for.
    pub const fn cancel(&mut self) {
        self.end_seq = None;
    }

    /// True if `dsack` tells that the probe was needless. Such a DSACK says nothing of reordering.
    pub fn matches(&self, dsack: SackBlock) -> bool {
        self.is_retrans && self.end_seq == Some(dsack.right)
    }

    /// `TLP_process_ack` of RFC 8985, section 7.4.2.
    pub fn on_ack(&mut self, ack: &ProbeAck) -> ProbeFate {
        // "If TLP.end_seq is not None AND ACK's ack. number >= TLP.end_seq".
        let Some(end_seq) = self.end_seq.filter(|&end_seq| ack.ack >= end_seq) else { return ProbeFate::Pending };
        let fate = if !self.is_retrans || ack.dsack.is_some_and(|dsack| self.matches(dsack)) {
            ProbeFate::Needless
        } else if ack.ack > end_seq {
            // "Else If ACK's ack. number > TLP.end_seq: ... Invoke congestion control".
            ProbeFate::Repaired
        } else if ack.duplicate && !ack.has_sack {
            ProbeFate::Needless
        } else {
            return ProbeFate::Pending;
        };
        self.end_seq = None;
        fate
    }
}
