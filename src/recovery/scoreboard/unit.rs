//! One entry of the scoreboard: a range of sequence numbers that left in one segment, and what became of it. SYN and
//! FIN are units of their own. The marks are those of RFC 6675 and RFC 8985; `in_pipe` is the rule of RFC 6675 for one
//! unit.

use crate::recovery::Reason;
use crate::segment::Seq;
use crate::time::Instant;

/// Marks of a [`Unit`], as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u8);

impl Marks {
    /// The unit is a SYN.
    pub const SYN: Self = Self(1);
    /// The unit is a FIN.
    pub const FIN: Self = Self(1 << 1);
    /// The peer reported it with SACK.
    pub const SACKED: Self = Self(1 << 2);
    /// Its newest original copy, or the copy before the retransmission in flight, is judged lost.
    pub const LOST: Self = Self(1 << 3);
    /// A retransmission of it is in flight.
    pub const RETRANSMITTED: Self = Self(1 << 4);
    /// It was retransmitted at least once (Karn's rule, RFC 6298 section 3).
    pub const RESENT: Self = Self(1 << 5);
    /// The sender had run out of data when it was sent.
    pub const APP_LIMITED: Self = Self(1 << 6);
    /// It was cut off another unit by a partial ACK or SACK.
    pub const FRAGMENT: Self = Self(1 << 7);

    /// True if all marks of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if at least one mark of `other` is set.
    pub const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(super) const fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Both sets of marks.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The state of the delivery-rate sampler when a unit was last sent (draft-ietf-ccwg-bbr, section 4.1.2.2).
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot {
    /// `P.delivered`: charged bytes delivered on the connection until then.
    pub delivered: u64,
    /// `P.delivered_time`: when `delivered` last changed.
    pub delivered_at: Instant,
    /// `P.first_send_time`: the begin of the send interval.
    pub first_sent_at: Instant,
    /// `P.lost`, modulo 2^32: charged bytes marked lost on the connection until then.
    pub lost: u32,
    /// `P.tx_in_flight`: `pipe` with this unit, in charged bytes.
    pub tx_in_flight: u32,
}

/// A range of sequence numbers that was sent in one segment.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// The first sequence number.
    pub seq: Seq,
    /// How many sequence numbers it takes; 1 for a SYN or a FIN.
    pub len: u32,
    /// What it counts for in `pipe`, in bytes: see [`charge`](crate::congestion::charge). A FIN that left with text
    /// counts 0.
    pub charge: u32,
    /// How often it was sent, up to 255.
    pub transmissions: u8,
    /// What became of it.
    pub marks: Marks,
    /// Who judged it lost, if someone did.
    pub lost_by: Reason,
    /// When it was last sent (`Segment.xmit_ts` of RFC 8985, section 5.2).
    pub sent_at: Instant,
    /// The delivery-rate sampler at that time.
    pub snapshot: Snapshot,
}

impl Unit {
    /// The sequence number after its last (`Segment.end_seq` of RFC 8985).
    pub fn end(&self) -> Seq {
        self.seq + self.len
    }

    /// The peer reported it with SACK.
    pub const fn is_sacked(&self) -> bool {
        self.marks.has(Marks::SACKED)
    }

    /// It was retransmitted at least once.
    pub const fn is_resent(&self) -> bool {
        self.marks.has(Marks::RESENT)
    }

    /// It is lost and its retransmission has not left yet.
    pub const fn is_waiting(&self) -> bool {
        self.marks.has(Marks::LOST) && !self.marks.has_any(Marks::SACKED.with(Marks::RETRANSMITTED))
    }

    /// Its share of `pipe`, in charged bytes.
    ///
    /// RFC 6675, section 4, `SetPipe`: a byte that was `SACKed` does not count. One that is not lost counts (a). One at or
    /// below `HighRxt` counts (b). So a probe beside its original counts twice. In place of `HighRxt` the mark of the unit
    /// says whether its retransmission is in flight.
    pub const fn in_pipe(&self) -> u64 {
        if self.is_sacked() {
            return 0;
        }
        let copies = !self.marks.has(Marks::LOST) as u64 + self.marks.has(Marks::RETRANSMITTED) as u64;
        self.charge as u64 * copies
    }
}

/// Sums over all units, kept with each change; a test holds them equal to a naive recount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// `pipe` of RFC 6675, in charged bytes.
    pub pipe: u64,
    /// All that is not cumulatively `ACKed` (`FlightSize` of RFC 5681), in charged bytes.
    pub outstanding: u64,
    /// Of that, what the peer reported with SACK, in charged bytes.
    pub sacked: u64,
    /// Units that the peer reported with SACK.
    pub sacked_units: u32,
    /// Units that are marked lost and not `SACKed`.
    pub lost_units: u32,
    /// Units whose retransmission is in flight.
    pub retransmitted_units: u32,
    /// Units that are lost and wait for their retransmission.
    pub waiting_units: u32,
    /// Units that were cut off another one.
    pub fragments: u32,
}

impl Totals {
    pub(super) fn add(&mut self, unit: &Unit) {
        self.outstanding += u64::from(unit.charge);
        if !unit.marks.has_any(COUNTED) {
            self.pipe += u64::from(unit.charge);
            return;
        }
        let flags = Flags::of(unit);
        self.pipe += unit.in_pipe();
        self.sacked += u64::from(flags.sacked * unit.charge);
        self.sacked_units += flags.sacked;
        self.lost_units += flags.lost;
        self.retransmitted_units += flags.retransmitted;
        self.waiting_units += flags.waiting;
        self.fragments += flags.fragment;
    }

    pub(super) fn remove(&mut self, unit: &Unit) {
        self.outstanding -= u64::from(unit.charge);
        if !unit.marks.has_any(COUNTED) {
            self.pipe -= u64::from(unit.charge);
            return;
        }
        let flags = Flags::of(unit);
        self.pipe -= unit.in_pipe();
        self.sacked -= u64::from(flags.sacked * unit.charge);
        self.sacked_units -= flags.sacked;
        self.lost_units -= flags.lost;
        self.retransmitted_units -= flags.retransmitted;
        self.waiting_units -= flags.waiting;
        self.fragments -= flags.fragment;
    }
}

/// Marks that have a sum. Most units never get one: they are added and removed in a few instructions.
const COUNTED: Marks = Marks::SACKED.with(Marks::LOST).with(Marks::RETRANSMITTED).with(Marks::FRAGMENT);

/// The marks of one unit as numbers to add.
struct Flags {
    sacked: u32,
    lost: u32,
    retransmitted: u32,
    waiting: u32,
    fragment: u32,
}

impl Flags {
    fn of(unit: &Unit) -> Self {
        let open = !unit.is_sacked();
        Self {
            sacked: u32::from(!open),
            lost: u32::from(open && unit.marks.has(Marks::LOST)),
            retransmitted: u32::from(open && unit.marks.has(Marks::RETRANSMITTED)),
            waiting: u32::from(unit.is_waiting()),
            fragment: u32::from(unit.marks.has(Marks::FRAGMENT)),
        }
    }
}
