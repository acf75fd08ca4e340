//! The scoreboard against RFC 2018 and RFC 6675.
use super::*;
pub(crate) fn block(left: u32, right: u32) -> SackBlock {
    SackBlock { left: Seq(left), right: Seq(right) }
}
/// A board with `count` segments of `len` bytes from 0 on, sent 1 ms apart.
pub(crate) fn board_of(count: u32, len: u32) -> Scoreboard {
    let mut board = Scoreboard::new(Seq(0));
    for index in 0..count {
        let new = NewSegment { text: len, syn: false, fin: false, charge: len, marks: Marks::default() };
        board.on_sent(Instant::from_millis(u64::from(index)), new, Snapshot::default());
    }
    board
}
/// Marks `blocks` and returns how many units that delivered.
pub(crate) fn sack(board: &mut Scoreboard, blocks: &[(u32, u32)]) -> usize {
    let blocks: Vec<_> = blocks.iter().map(|&(left, right)| block(left, right)).collect();
    let mut delivered = 0;
    board.on_sack(&blocks, &mut |_| delivered += 1);
    delivered
}

/// The sums over all units, counted anew by the text of RFC 6675, section 4.
pub(crate) fn recount(board: &Scoreboard) -> Totals {
    let mut totals = Totals::default();
    for unit in board.units() {
        let marked = |mark| unit.marks.has(mark);
        let charge = u64::from(unit.charge);
        totals.outstanding += charge;
        totals.fragments += u32::from(marked(Marks::FRAGMENT));
        if marked(Marks::SACKED) {
            totals.sacked += charge;
            totals.sacked_units += 1;
            continue;
        }
        if marked(Marks::LOST) {
            totals.lost_units += 1;
            totals.waiting_units += u32::from(!marked(Marks::RETRANSMITTED));
        } else {
            totals.pipe += charge;
        }
        if marked(Marks::RETRANSMITTED) {
            totals.retransmitted_units += 1;
            totals.pipe += charge;
        }
    }
    totals
}
