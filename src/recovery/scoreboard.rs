//! The scoreboard: what was sent and is not cumulatively `ACKed`, as units in sequence order, with the marks of RFC
//! 6675. It takes cumulative ACKs and SACK blocks (RFC 2018), keeps `pipe` with each change and answers `NextSeg`. What
//! is lost is decided elsewhere ([`rack`](super::rack), `dup_thresh`,
//! [`newreno`](super::newreno)); here it is marked. [`Recovery`](super::Recovery) calls it.

mod retransmit;
#[cfg(test)]
pub(super) mod tests;
mod unit;

use std::collections::VecDeque;

pub use retransmit::Lost;
pub use unit::{Marks, Snapshot, Totals, Unit};

use super::Reason;
use super::seldom::{Seldom, Unchanged};
use super::small_queue::SmallQueue;
use crate::segment::{SackBlock, Seq};
use crate::time::Instant;

/// Units that one scoreboard holds. With full segments of 1,460 bytes that is a window of 182 MiB.
/// At the bound nothing new is sent, and a unit is not split any more: a SACK block that covers it in part is ignored.
pub const MAX_UNITS: usize = 131_072;

/// Units cut off by partial ACKs and SACKs that one scoreboard holds. A peer that reports single bytes costs no more
/// memory. At the bound a unit is not split any more.
pub const MAX_FRAGMENTS: u32 = 1_024;

/// What a new segment carries, for the scoreboard.
#[derive(Clone, Copy, Debug)]
pub struct NewSegment {
    /// Bytes of text.
    pub text: u32,
    /// It carries a SYN.
    pub syn: bool,
    /// It carries a FIN.
    pub fin: bool,
    /// What it counts for in `pipe`.
    pub charge: u32,
    /// [`Marks::APP_LIMITED`] or nothing.
    pub marks: Marks,
}

/// A range of sequence numbers that was sent, to be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentRange {
    /// The first sequence number.
    pub seq: Seq,
    /// Bytes of text.
    pub text: u32,
    /// The SYN before the text is part of it.
    pub syn: bool,
    /// The FIN behind the text is part of it.
    pub fin: bool,
}

/// What was sent and is not cumulatively `ACKed`.
#[derive(Clone, Debug)]
pub struct Scoreboard {
    units: SmallQueue<Unit>,
    snd_una: Seq,
    snd_nxt: Seq,
    totals: Totals,
    /// `HighACK` or the end of the highest `SACKed` unit, whichever is higher (`RACK.fack`, RFC 8985 section 5.3).
    fack: Seq,
    /// No unit before this waits for its retransmission.
    waiting_from: Seq,
    /// All units before this were resent, `SACKed` or judged lost: RACK need not look at them again.
    judged_to: Seq,
    holes: Seldom<Holes>,
}

/// What is needed only while something is `SACKed` or was sent again.
#[derive(Clone, Debug)]
struct Holes {
    /// The SACK blocks of the last ACK: all in them is marked already. Valid while something is `SACKed`.
    marked: [SackBlock; 4],
    /// Retransmissions in the order in which they left: the unit's first sequence number and when. Entries of units
    /// that were sent again later, `SACKed` or `ACKed` are stale and are dropped when they are met.
    resent: VecDeque<(Seq, Instant)>,
}

impl Unchanged for Holes {
    const UNCHANGED: &'static Self = &Self { marked: [NOTHING; 4], resent: VecDeque::new() };
}

impl Scoreboard {
    /// An empty scoreboard whose first unit will begin at `snd_nxt`.
    pub fn new(snd_nxt: Seq) -> Self {
        Self {
            units: SmallQueue::new(),
            snd_una: snd_nxt,
            snd_nxt,
            totals: Totals::default(),
            fack: snd_nxt,
            waiting_from: snd_nxt,
            judged_to: snd_nxt,
            holes: Seldom::default(),
        }
    }

    /// SND.UNA.
    pub const fn snd_una(&self) -> Seq {
        self.snd_una
    }

    /// SND.NXT.
    pub const fn snd_nxt(&self) -> Seq {
        self.snd_nxt
    }

    /// The sums over all units.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The highest sequence number known to have arrived (`RACK.fack`).
    pub const fn fack(&self) -> Seq {
        self.fack
    }

    /// The units, in sequence order.
    pub const fn units(&self) -> &SmallQueue<Unit> {
        &self.units
    }

    /// `RACK.segs_sacked` of RFC 8985, section 5.3: a FIN that left with text is no segment of its own.
    pub fn sacked_segments(&self) -> u32 {
        let with_text = |unit: &Unit| unit.marks.has(Marks::FIN.with(Marks::SACKED)) && unit.charge == 0;
        self.totals.sacked_units - u32::from(self.units.back().is_some_and(with_text))
    }

    /// Nothing is outstanding.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// There is room for one more segment of text and FIN.
    pub fn has_room(&self) -> bool {
        self.units.len() + 2 <= MAX_UNITS
    }

    /// Bytes of memory that the rings hold.
    pub fn memory(&self) -> usize {
        self.units.memory() + self.holes.memory() + self.holes.resent.capacity() * size_of::<(Seq, Instant)>()
    }

    /// Adds a segment that begins at SND.NXT.
    pub fn on_sent(&mut self, now: Instant, new: NewSegment, snapshot: Snapshot) {
        let mut charge = new.charge;
        if new.syn {
            self.push(now, 1, charge, new.marks.with(Marks::SYN), snapshot);
            charge = 0;
        }
        if new.text > 0 {
            self.push(now, new.text, charge, new.marks, snapshot);
            charge = 0;
        }
        if new.fin {
            // A FIN is a unit of its own: a receiver with a hole may forget it while it keeps the text before it.
            self.push(now, 1, charge, new.marks.with(Marks::FIN), snapshot);
        }
    }

    fn push(&mut self, sent_at: Instant, len: u32, charge: u32, marks: Marks, snapshot: Snapshot) {
        let unit =
            Unit { seq: self.snd_nxt, len, charge, transmissions: 1, marks, lost_by: Reason::New, sent_at, snapshot };
        self.totals.add(&unit);
        self.units.push_back(unit);
        self.snd_nxt += len;
    }

    /// Takes a cumulative ACK up to `ack`, with SND.UNA < `ack` <= SND.NXT. `deliver` sees each unit, as it was before,
    /// that had not been `SACKed`. Returns the charged bytes by which SND.UNA moved.
    pub fn on_ack(&mut self, ack: Seq, deliver: &mut impl FnMut(&Unit)) -> u64 {
        let before = self.totals.outstanding;
        while let Some(unit) = self.units.front() {
            if unit.end() <= ack {
                let unit = *unit;
                self.totals.remove(&unit);
                self.units.pop_front();
                if !unit.is_sacked() {
                    deliver(&unit);
                }
            } else {
                if unit.seq < ack {
                    self.cut_front(ack, deliver);
                }
                break;
            }
        }
        if self.units.is_empty()
            && let Some(holes) = self.holes.made()
        {
            holes.resent.clear();
        }
        self.snd_una = ack;
        self.fack = self.fack.max(ack);
        self.waiting_from = self.waiting_from.max(ack);
        self.judged_to = self.judged_to.max(ack);
        before - self.totals.outstanding
    }

    /// The ACK ends within the first unit: its first part is done with.
    fn cut_front(&mut self, ack: Seq, deliver: &mut impl FnMut(&Unit)) {
        let Some(unit) = self.units.get_mut(0) else { return };
        self.totals.remove(unit);
        let mut head = *unit;
        head.len = ack - unit.seq;
        head.charge = share(unit.charge, head.len, unit.len);
        unit.charge -= head.charge;
        unit.len -= head.len;
        unit.seq = ack;
        self.totals.add(unit);
        if !head.is_sacked() {
            deliver(&head);
        }
    }

    /// Takes SACK blocks, a DSACK block not among them. `deliver` sees each unit, as it was before, that they mark
    /// first.
    ///
    /// RFC 2018, section 4: a block that does not lie within what is outstanding is ignored.
    pub fn on_sack(&mut self, blocks: &[SackBlock], deliver: &mut impl FnMut(&Unit)) {
        if self.totals.sacked_units == 0 {
            self.holes.marked = [NOTHING; 4];
        }
        let mut now_marked = [NOTHING; 4];
        let mut count = 0;
        for block in blocks {
            let whole = SackBlock { left: block.left.max(self.snd_una), right: block.right };
            if whole.left >= whole.right || whole.right > self.snd_nxt {
                continue;
            }
            // Blocks are repeated on three or more ACKs (RFC 2018, section 4). Only what is new is looked at.
            let mut new = whole;
            for old in &self.holes.marked {
                if old.left <= new.left && new.left < old.right {
                    new.left = old.right;
                }
                if old.left < new.right && new.right <= old.right {
                    new.right = old.left;
                }
            }
            if new.left < new.right {
                self.mark_sacked(new, deliver);
            }
            if let Some(slot) = now_marked.get_mut(count) {
                *slot = whole;
                count += 1;
            }
        }
        if count > 0 {
            self.holes.marked = now_marked;
        }
    }

    fn mark_sacked(&mut self, block: SackBlock, deliver: &mut impl FnMut(&Unit)) {
        let mut index = self.index_of(block.left);
        if self.units.get(index).is_some_and(|unit| unit.seq < block.left && !unit.is_sacked()) {
            self.split(index, block.left);
            index += 1;
        }
        while let Some(&unit) = self.units.get(index) {
            if unit.seq >= block.right {
                break;
            }
            if !unit.is_sacked() && unit.seq >= block.left {
                if unit.end() > block.right && !self.split(index, block.right) {
                    break;
                }
                let Some(unit) = self.units.get_mut(index) else { break };
                let before = *unit;
                self.totals.remove(unit);
                unit.marks.set(Marks::SACKED);
                unit.marks.clear(Marks::LOST.with(Marks::RETRANSMITTED));
                self.totals.add(unit);
                self.fack = self.fack.max(unit.end());
                deliver(&before);
            }
            index += 1;
        }
    }

    /// The index of the unit that holds `seq`, or of the first one after it.
    pub(super) fn index_of(&self, seq: Seq) -> usize {
        if seq <= self.snd_una { 0 } else { self.units.partition_point(|unit| unit.end() <= seq) }
    }

    /// Cuts a unit of text in two at `at`. Both parts keep the marks. False if a bound forbids it or nothing is to be
    /// cut.
    fn split(&mut self, index: usize, at: Seq) -> bool {
        self.units.len() < MAX_UNITS && self.totals.fragments < MAX_FRAGMENTS && self.cut(index, at)
    }

    /// As [`split`](Self::split), for the sender's own cuts to a smaller MSS: those need no bound but the window's.
    fn cut(&mut self, index: usize, at: Seq) -> bool {
        let Some(unit) = self.units.get_mut(index) else { return false };
        if at <= unit.seq || at >= unit.end() {
            return false;
        }
        self.totals.remove(unit);
        let mut tail = *unit;
        unit.len = at - unit.seq;
        unit.charge = share(tail.charge, unit.len, tail.len);
        tail.seq = at;
        tail.len -= unit.len;
        tail.charge -= unit.charge;
        tail.marks.set(Marks::FRAGMENT);
        self.totals.add(unit);
        self.totals.add(&tail);
        let resent_at = tail.marks.has(Marks::RETRANSMITTED).then_some(tail.sent_at);
        self.units.insert(index + 1, tail);
        if let Some(sent_at) = resent_at {
            // The tail is judged beside its head: it left with the same segment.
            let place = self.holes.resent.partition_point(|&(_, other)| other <= sent_at);
            self.holes.resent.insert(place, (at, sent_at));
        }
        true
    }

    /// True if the board is empty and holds memory.
    pub fn has_spare_memory(&self) -> bool {
        self.units.has_spare() || (self.units.is_empty() && self.holes.memory() > 0)
    }

    /// Gives back memory: all of an empty board, and most of a ring that is nearly empty. Bursts use the memory again, so that
    /// not each ACK calls it.
    pub fn shrink(&mut self) {
        self.units.shrink();
        if self.units.is_empty() {
            self.holes.shrink(|_| true);
        }
    }
}

const NOTHING: SackBlock = SackBlock { left: Seq(0), right: Seq(0) };

/// The share of `charge` that belongs to `part` of `len` sequence numbers.
fn share(charge: u32, part: u32, len: u32) -> u32 {
    (u64::from(charge) * u64::from(part) / u64::from(len.max(1))) as u32
}
