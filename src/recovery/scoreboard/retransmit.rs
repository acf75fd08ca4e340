//! The scoreboard's second half: marks of loss, retransmissions, `NextSeg` (RFC 6675, section 4), and the end of SACK
//! marks when the receiver has reneged (RFC 2018, section 8) or when a loss was none.

use super::{Marks, NOTHING, Scoreboard, SentRange, Snapshot, Unit};
use crate::recovery::Reason;
use crate::segment::Seq;
use crate::time::Instant;

/// A unit that was just marked lost.
#[derive(Clone, Copy, Debug)]
pub struct Lost {
    /// The unit, as it was before.
    pub unit: Unit,
    /// The unit before it in sequence is not marked lost.
    pub new_range: bool,
}

impl Scoreboard {
    /// Marks a unit lost, by the judgement of `cause`. `None` if it is `SACKed` or waits for its retransmission
    /// already.
    pub fn mark_lost(&mut self, index: usize, cause: Reason) -> Option<Lost> {
        let before_is_lost = index
            .checked_sub(1)
            .and_then(|before| self.units.get(before))
            .is_some_and(|unit| unit.marks.has(Marks::LOST));
        let unit = self.units.get_mut(index)?;
        if unit.is_sacked() || unit.is_waiting() {
            return None;
        }
        let before = *unit;
        self.totals.remove(unit);
        unit.marks.set(Marks::LOST);
        unit.marks.clear(Marks::RETRANSMITTED);
        unit.lost_by = cause;
        self.totals.add(unit);
        self.waiting_from = if self.totals.waiting_units == 1 { unit.seq } else { self.waiting_from.min(unit.seq) };
        Some(Lost { unit: before, new_range: !before_is_lost })
    }

    /// `NextSeg`, rule (1) of RFC 6675, section 4: "the smallest unSACKed sequence number" that is lost and whose
    /// retransmission has not left, and who judged it lost. At most `mss` bytes of text; a FIN behind it goes along.
    pub fn next_waiting(&mut self, mss: u32) -> Option<(SentRange, Reason)> {
        if self.totals.waiting_units == 0 {
            return None;
        }
        let mut index = self.index_of(self.waiting_from);
        while !self.units.get(index)?.is_waiting() {
            index += 1;
        }
        let Unit { seq, lost_by, .. } = *self.units.get(index)?;
        self.waiting_from = seq;
        Some((self.range_at(index, mss)?, lost_by))
    }

    /// `NextSeg`, rule (3): a unit below the highest `SACKed` one that is neither `SACKed` nor resent. Only where
    /// `DupThresh` alone judges losses: RACK finds them by time, and a guess would often be sent for nothing. Rule (4), the
    /// rescue retransmission, is left out: a probe or the timer does the same.
    pub fn next_unresent(&self, mss: u32) -> Option<SentRange> {
        let index = self.units.iter().position(|unit| !unit.is_sacked() && !unit.is_resent())?;
        (self.units.get(index)?.end() <= self.fack).then(|| self.range_at(index, mss))?
    }

    /// The first unit, whatever its marks: what a retransmission timeout sends (RFC 6298, section 5.4).
    pub fn first(&self, mss: u32) -> Option<SentRange> {
        self.range_at(0, mss)
    }

    /// The highest unit that the peer has not reported: what a tail loss probe sends again (RFC 8985, section 7.3).
    pub fn last(&self, mss: u32) -> Option<SentRange> {
        let mut index =
            (0..self.units.len()).rev().find(|at| self.units.get(*at).is_some_and(|unit| !unit.is_sacked()))?;
        // A FIN goes with its text where that is outstanding too.
        if let Some(before) = index.checked_sub(1)
            && self.leaves_with(before, index)
        {
            index = before;
        }
        let range = self.range_at(index, mss)?;
        let unit = self.units.get(index)?;
        if unit.len > range.text && range.text > 0 {
            // The MSS has shrunk: the last bytes, not the first.
            return Some(SentRange { seq: unit.seq + (unit.len - range.text), ..range });
        }
        Some(range)
    }

    /// What one segment may carry from the unit at `index` on.
    fn range_at(&self, index: usize, mss: u32) -> Option<SentRange> {
        let unit = self.units.get(index)?;
        let mut range = SentRange { seq: unit.seq, text: 0, syn: false, fin: false };
        if unit.marks.has(Marks::SYN) {
            range.syn = true;
        } else if unit.marks.has(Marks::FIN) {
            range.fin = true;
        } else {
            range.text = unit.len.min(mss);
            range.fin = range.text == unit.len && self.leaves_with(index, index + 1);
        }
        Some(range)
    }

    /// True if the unit at `fin` is a FIN that left with the text at `text`, or waits as that does.
    fn leaves_with(&self, text: usize, fin: usize) -> bool {
        match (self.units.get(text), self.units.get(fin)) {
            (Some(text), Some(fin)) => {
                fin.marks.has(Marks::FIN)
                    && !text.is_sacked()
                    && !fin.is_sacked()
                    && !text.marks.has_any(Marks::SYN.with(Marks::FIN))
                    && (fin.is_waiting() || fin.sent_at == text.sent_at)
            }
            _ => false,
        }
    }

    /// A retransmission of everything from `from` up to `to` leaves. `charge` counts for its first unit.
    pub fn on_resent(&mut self, now: Instant, from: Seq, to: Seq, snapshot: Snapshot) {
        let mut index = self.index_of(from);
        // The sender may cut a unit to a smaller MSS (RFC 1191, section 6.5).
        if self.units.get(index).is_some_and(|unit| unit.seq < from) && self.cut(index, from) {
            index += 1;
        }
        while let Some(&Unit { seq, .. }) = self.units.get(index) {
            if seq >= to {
                break;
            }
            self.cut(index, to);
            let Some(unit) = self.units.get_mut(index) else { break };
            self.totals.remove(unit);
            unit.marks.set(Marks::RETRANSMITTED.with(Marks::RESENT));
            unit.sent_at = now;
            unit.transmissions = unit.transmissions.saturating_add(1);
            unit.snapshot = snapshot;
            self.totals.add(unit);
            self.holes.resent.push_back((seq, now));
            index += 1;
        }
        // Stale entries behind a retransmission that is still out are dropped here, so that the ring stays bounded.
        if self.holes.resent.len() > 2 * self.units.len() + 16 {
            let mut resent = core::mem::take(&mut self.holes.resent);
            resent.retain(|&(seq, at)| self.resent_at(seq, at).is_some());
            self.holes.resent = resent;
        }
    }

    /// The index of the unit that holds `seq` if its newest transmission is the retransmission that left at `at`.
    fn resent_at(&self, seq: Seq, at: Instant) -> Option<usize> {
        // Its first part may have been ACKed since.
        let seq = seq.max(self.snd_una);
        let index = self.index_of(seq);
        let unit = self.units.get(index)?;
        (unit.seq <= seq && unit.sent_at == at && unit.marks.has(Marks::RETRANSMITTED)).then_some(index)
    }

    /// The unit that left first among those whose original is in flight: its index. Originals leave in sequence order,
    /// so the first one not yet judged is also the oldest.
    pub(in crate::recovery) fn oldest_original(&mut self) -> Option<usize> {
        let mut index = self.index_of(self.judged_to);
        loop {
            let unit = self.units.get(index)?;
            if !unit.marks.has_any(Marks::SACKED.with(Marks::LOST).with(Marks::RESENT)) {
                self.judged_to = unit.seq;
                return Some(index);
            }
            self.judged_to = unit.end();
            index += 1;
        }
    }

    /// The unit whose retransmission is in flight and left first: its index.
    pub(in crate::recovery) fn oldest_retransmission(&mut self) -> Option<usize> {
        while let Some(&(seq, at)) = self.holes.resent.front() {
            if let Some(index) = self.resent_at(seq, at) {
                return Some(index);
            }
            self.holes.resent.pop_front();
        }
        None
    }

    /// The receiver has dropped what it had reported. RFC 2018, section 8: "the data sender SHOULD turn off all of the
    /// `SACKed` bits". All that was `SACKed` counts as lost. Returns how many units that were.
    pub fn on_reneging(&mut self) -> u32 {
        let count = self.totals.sacked_units;
        for unit in self.units.iter_mut() {
            if unit.is_sacked() {
                self.totals.remove(unit);
                unit.marks.clear(Marks::SACKED);
                unit.marks.set(Marks::LOST);
                unit.lost_by = Reason::Rto;
                self.totals.add(unit);
            }
        }
        self.holes.marked = [NOTHING; 4];
        self.fack = self.snd_una;
        self.waiting_from = self.snd_una;
        count
    }

    /// True if the first unit is `SACKed`: the receiver has all before it and reported it, but does not ACK it. It has
    /// reneged (RFC 2018, section 8), unless a better ACK is still on its way.
    pub fn is_reneged(&self) -> bool {
        self.units.front().is_some_and(Unit::is_sacked)
    }

    /// Units whose retransmission left at `since` or later and is in flight. Undo asks for it, which is rare: it walks
    /// all units.
    pub fn resent_since(&self, since: Instant) -> u32 {
        if self.totals.retransmitted_units == 0 {
            return 0;
        }
        let resent = |unit: &&Unit| unit.marks.has(Marks::RETRANSMITTED) && !unit.is_sacked() && unit.sent_at >= since;
        self.units.iter().filter(resent).count() as u32
    }

    /// The losses were none: whatever waits for its retransmission is in flight again. What was sent again stays as it
    /// is.
    pub fn unmark_waiting(&mut self) {
        if self.totals.waiting_units == 0 {
            return;
        }
        for unit in self.units.iter_mut() {
            if unit.is_waiting() {
                self.totals.remove(unit);
                unit.marks.clear(Marks::LOST);
                if unit.is_resent() {
                    // Its last retransmission is in flight, not the original.
                    unit.marks.set(Marks::RETRANSMITTED.with(Marks::LOST));
                    self.holes.resent.push_back((unit.seq, unit.sent_at));
                }
                self.totals.add(unit);
            }
        }
        self.holes.resent.make_contiguous().sort_by_key(|&(_, at)| at);
        self.judged_to = self.snd_una;
    }
}
