//! `IsLost` of RFC 6675, section 4: a unit is lost when `DupThresh` segments above it were `SACKed`.
//! Used where RACK is switched off; with RACK `DupThresh` is part of its reordering window (RFC 8985, section 6.2).

use super::Reason;
use super::scoreboard::{Lost, Scoreboard};
use crate::segment::Seq;

/// Marks each unit for which "either `DupThresh` discontiguous `SACKed` sequences have arrived above '`SeqNum`' or more
/// than (`DupThresh` - 1) * SMSS bytes with sequence numbers greater than '`SeqNum`' have been `SACKed`". `on_lost`
/// sees each one.
///
/// Units that were resent are not judged: RFC 6675 finds a lost retransmission by the timer only.
pub(super) fn detect_loss(board: &mut Scoreboard, dup_thresh: u32, mss: u32, on_lost: &mut impl FnMut(Lost)) {
    let Some(limit) = threshold(board, dup_thresh, mss) else { return };
    while let Some(index) = board.oldest_original() {
        if board.units().get(index).is_none_or(|unit| unit.seq >= limit) {
            return;
        }
        if let Some(lost) = board.mark_lost(index, Reason::FastRetransmit) {
            on_lost(lost);
        }
    }
}

/// All that is not `SACKed` before this is lost.
fn threshold(board: &Scoreboard, dup_thresh: u32, mss: u32) -> Option<Seq> {
    if board.totals().sacked_units == 0 {
        return None;
    }
    let enough = u64::from(dup_thresh.saturating_sub(1)) * u64::from(mss);
    let (mut bytes, mut runs) = (0, 0);
    let mut in_run = false;
    for unit in board.units().iter().rev() {
        if unit.is_sacked() {
            runs += u32::from(!in_run);
            bytes += u64::from(unit.len);
            if runs >= dup_thresh || bytes > enough {
                return Some(unit.seq);
            }
        }
        in_run = unit.is_sacked();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::scoreboard::tests::{board_of, sack};
    use super::*;

    fn lost(sacked: &[(u32, u32)]) -> Vec<u32> {
        let mut board = board_of(10, 1_000);
        for &(left, right) in sacked {
            sack(&mut board, &[(left, right)]);
        }
        let mut lost = Vec::new();
        detect_loss(&mut board, 3, 1_000, &mut |unit| lost.push(unit.unit.seq.0 / 1_000));
        lost
    }

    #[test]
    fn rfc_6675_section_4_is_lost_by_bytes_and_by_discontiguous_runs() {
        assert!(lost(&[(1_000, 3_000)]).is_empty(), "(DupThresh - 1) * SMSS bytes are not more");
        assert_eq!(lost(&[(1_000, 3_001)]), [0]);
        assert_eq!(lost(&[(1_000, 4_000)]), [0]);
        assert!(lost(&[(1_000, 1_100), (2_000, 2_100)]).is_empty());
        assert_eq!(lost(&[(1_000, 1_100), (2_000, 2_100), (3_000, 3_100)]), [0]);
        assert_eq!(lost(&[(1_000, 2_000), (3_000, 4_000), (5_000, 6_000)]), [0]);
        assert_eq!(lost(&[(1_000, 2_000), (3_000, 4_000), (5_000, 6_000), (6_000, 7_000), (7_000, 8_000)]), [0, 2, 4]);
    }
}
