//! The scoreboard against RFC 2018 and RFC 6675, and against a naive recount over random histories.

use proptest::prelude::*;

use super::*;

pub(crate) fn block(left: u32, right: u32) -> SackBlock {
    SackBlock { left: Seq(left), right: Seq(right) }
}

fn text(len: u32) -> NewSegment {
    NewSegment { text: len, syn: false, fin: false, charge: len, marks: Marks::default() }
}

/// A board with `count` segments of `len` bytes from 0 on, sent 1 ms apart.
pub(crate) fn board_of(count: u32, len: u32) -> Scoreboard {
    let mut board = Scoreboard::new(Seq(0));
    for index in 0..count {
        board.on_sent(Instant::from_millis(u64::from(index)), text(len), Snapshot::default());
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

fn ack(board: &mut Scoreboard, ack: u32) -> usize {
    let mut delivered = 0;
    board.on_ack(Seq(ack), &mut |_| delivered += 1);
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

fn sacked(board: &Scoreboard) -> Vec<(u32, u32)> {
    board.units().iter().filter(|unit| unit.is_sacked()).map(|unit| (unit.seq.0, unit.end().0)).collect()
}

#[test]
fn a_cumulative_ack_frees_whole_units_and_cuts_the_one_that_it_ends_in() {
    let mut board = board_of(4, 1_000);
    assert_eq!(ack(&mut board, 2_000), 2);
    assert_eq!(board.totals().outstanding, 2_000);
    assert_eq!(ack(&mut board, 2_400), 1);
    assert_eq!((board.snd_una(), board.totals().pipe), (Seq(2_400), 1_600));
    assert_eq!(board.units().front().unwrap().seq, Seq(2_400));
    assert_eq!(ack(&mut board, 4_000), 2);
    assert!(board.is_empty());
}

#[test]
fn rfc_2018_section_4_a_sacked_unit_is_marked_and_kept_until_the_cumulative_ack() {
    let mut board = board_of(4, 1_000);
    assert_eq!(sack(&mut board, &[(1_000, 3_000)]), 2);
    assert_eq!(board.units().len(), 4);
    assert_eq!((board.totals().pipe, board.totals().sacked), (2_000, 2_000));
    assert_eq!(ack(&mut board, 3_000), 1, "what was SACKed is not delivered twice");
}

#[test]
fn a_sack_of_part_of_a_unit_splits_it() {
    let mut board = board_of(3, 1_000);
    assert_eq!(sack(&mut board, &[(1_200, 1_700)]), 1);
    assert_eq!(sacked(&board), [(1_200, 1_700)]);
    assert_eq!(board.units().len(), 5);
    assert_eq!(board.totals().pipe, 2_500);
    assert_eq!(sack(&mut board, &[(1_000, 2_000)]), 2);
    assert_eq!(board.totals().pipe, 2_000);
}

#[test]
fn blocks_that_are_repeated_mark_nothing_and_growing_ones_only_their_ends() {
    let mut board = board_of(20, 1_000);
    assert_eq!(sack(&mut board, &[(4_000, 5_000)]), 1);
    assert_eq!(sack(&mut board, &[(4_000, 6_000)]), 1);
    assert_eq!(sack(&mut board, &[(8_000, 9_000), (4_000, 6_000)]), 1);
    assert_eq!(sack(&mut board, &[(4_000, 9_000)]), 2);
    assert_eq!(sack(&mut board, &[(3_000, 10_000), (15_000, 16_000)]), 3);
    assert_eq!(sacked(&board).len(), 8);
}

#[test]
fn rfc_2018_section_4_blocks_outside_of_what_is_outstanding_are_ignored() {
    let mut board = board_of(3, 1_000);
    ack(&mut board, 1_000);
    for blocks in [[(0, 1_000)], [(2_000, 3_001)], [(2_000, 2_000)], [(2_500, 2_000)], [(9_000, 10_000)]] {
        assert_eq!(sack(&mut board, &blocks), 0, "{blocks:?}");
    }
    assert_eq!(sack(&mut board, &[(500, 2_000)]), 1, "what is above SND.UNA counts");
}

#[test]
fn rfc_6675_section_4_pipe_counts_what_is_in_flight_and_a_retransmission_beside_its_original_twice() {
    let mut board = board_of(4, 1_000);
    assert_eq!(board.totals().pipe, 4_000);
    assert!(board.mark_lost(0, Reason::Rack).is_some());
    assert_eq!(board.totals().pipe, 3_000);
    assert!(board.mark_lost(0, Reason::Rack).is_none(), "it waits already");
    board.on_resent(Instant::from_millis(50), Seq(0), Seq(1_000), Snapshot::default());
    assert_eq!(board.totals().pipe, 4_000);
    // A probe: the original is not lost.
    board.on_resent(Instant::from_millis(51), Seq(3_000), Seq(4_000), Snapshot::default());
    assert_eq!(board.totals().pipe, 5_000);
    assert!(board.mark_lost(0, Reason::Rack).is_some(), "a lost retransmission");
    assert_eq!(board.totals().pipe, 4_000);
}

#[test]
fn rfc_6675_section_4_next_seg_is_the_lowest_lost_unit_that_has_not_left() {
    let mut board = board_of(6, 1_000);
    let next = |board: &mut Scoreboard| board.next_waiting(1_000).map(|(range, _)| range.seq.0);
    assert_eq!(next(&mut board), None);
    for index in [4, 1, 2] {
        board.mark_lost(index, Reason::Rack);
    }
    assert_eq!(next(&mut board), Some(1_000));
    board.on_resent(Instant::from_millis(50), Seq(1_000), Seq(2_000), Snapshot::default());
    assert_eq!(next(&mut board), Some(2_000));
    sack(&mut board, &[(2_000, 3_000)]);
    assert_eq!(next(&mut board), Some(4_000));
    board.mark_lost(1, Reason::Rack);
    assert_eq!(next(&mut board), Some(1_000), "its retransmission was lost");
}

#[test]
fn a_retransmission_may_be_shorter_than_the_unit_after_the_mss_has_shrunk() {
    let mut board = board_of(2, 1_000);
    board.mark_lost(0, Reason::PathMtu);
    let range = |board: &mut Scoreboard| board.next_waiting(600).map(|(range, _)| (range.seq.0, range.text));
    assert_eq!(range(&mut board), Some((0, 600)));
    board.on_resent(Instant::from_millis(9), Seq(0), Seq(600), Snapshot::default());
    assert_eq!(range(&mut board), Some((600, 400)));
    board.on_resent(Instant::from_millis(9), Seq(600), Seq(1_000), Snapshot::default());
    assert_eq!(range(&mut board), None);
    assert_eq!(board.totals().outstanding, 2_000);
}

#[test]
fn a_fin_is_a_unit_of_its_own_and_goes_again_with_the_text_it_left_with() {
    let mut board = board_of(1, 1_000);
    board.on_sent(Instant::from_millis(5), NewSegment { fin: true, ..text(500) }, Snapshot::default());
    assert_eq!((board.units().len(), board.snd_nxt()), (3, Seq(1_501)));
    assert_eq!(board.totals().outstanding, 1_500, "a FIN with text costs nothing");
    let last = board.last(1_000).expect("a range");
    assert_eq!((last.seq, last.text, last.fin), (Seq(1_000), 500, true));
    board.mark_lost(1, Reason::Rack);
    let (range, _) = board.next_waiting(1_000).expect("a range");
    assert!(range.fin && range.text == 500);
    // The receiver kept the text but forgot the FIN.
    sack(&mut board, &[(1_000, 1_500)]);
    let last = board.last(1_000).expect("a range");
    assert_eq!((last.seq, last.text, last.fin), (Seq(1_500), 0, true));
    assert_eq!(ack(&mut board, 1_500), 1);
    assert_eq!(ack(&mut board, 1_501), 1);
}

#[test]
fn a_syn_is_a_unit_of_one_sequence_number() {
    let mut board = Scoreboard::new(Seq(u32::MAX));
    board.on_sent(Instant::EPOCH, NewSegment { syn: true, charge: 1_000, ..text(0) }, Snapshot::default());
    assert_eq!((board.snd_nxt(), board.units().len()), (Seq(0), 1));
    assert_eq!(board.first(1_000), Some(SentRange { seq: Seq(u32::MAX), text: 0, syn: true, fin: false }));
}

#[test]
fn rfc_2018_section_8_reneging_turns_off_all_sacked_bits() {
    let mut board = board_of(5, 1_000);
    sack(&mut board, &[(1_000, 3_000), (4_000, 5_000)]);
    assert!(!board.is_reneged());
    ack(&mut board, 1_000);
    assert!(board.is_reneged(), "the first unit is SACKed and not ACKed");
    assert_eq!(board.on_reneging(), 3);
    assert_eq!(*board.totals(), recount(&board));
    assert_eq!((board.totals().sacked_units, board.totals().waiting_units), (0, 3));
    assert_eq!(board.next_waiting(1_000).map(|(range, _)| range.seq), Some(Seq(1_000)));
    assert_eq!(sack(&mut board, &[(1_000, 3_000)]), 2, "it may be reported anew");
}

#[test]
fn a_peer_that_reports_single_bytes_splits_up_to_the_bound_and_no_further() {
    let mut board = board_of(3, 60_000);
    for index in 0..MAX_FRAGMENTS {
        sack(&mut board, &[(60_001 + 4 * index, 60_002 + 4 * index)]);
    }
    assert_eq!(board.totals().fragments, MAX_FRAGMENTS);
    let units = board.units().len();
    assert_eq!(sack(&mut board, &[(150_000, 150_001)]), 0);
    assert_eq!(board.units().len(), units);
    assert_eq!(*board.totals(), recount(&board));
    ack(&mut board, 60_002);
    assert_eq!(board.totals().fragments, MAX_FRAGMENTS - 1);
}

#[test]
fn the_board_is_full_at_its_bound() {
    let mut board = board_of(MAX_UNITS as u32 - 2, 1);
    assert!(board.has_room());
    board.on_sent(Instant::from_secs(9), text(1), Snapshot::default());
    assert!(!board.has_room());
}

#[test]
fn the_ring_gives_memory_back() {
    let mut board = board_of(3_000, 1_000);
    let full = board.memory();
    ack(&mut board, 2_900_000);
    board.shrink();
    assert!(board.memory() < full / 4, "{} of {full}", board.memory());
    ack(&mut board, 3_000_000);
    board.shrink();
    assert_eq!(board.memory(), 0);
}

#[test]
fn a_unit_takes_64_bytes_at_most() {
    assert!(size_of::<Unit>() <= 64, "{}", size_of::<Unit>());
}

#[derive(Clone, Debug)]
enum Step {
    Send(u32, bool),
    Ack(u32),
    Sack(Vec<(u32, u32)>),
    Lose(u16),
    Resend(u32),
    Unmark,
    Renege,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..2_000_u32, prop::bool::weighted(0.05)).prop_map(|(len, fin)| Step::Send(len, fin)),
        3 => (0..3_000_u32).prop_map(Step::Ack),
        4 => prop::collection::vec((0..20_000_u32, 1..4_000_u32), 1..4).prop_map(Step::Sack),
        3 => any::<u16>().prop_map(Step::Lose),
        3 => (1..2_000_u32).prop_map(Step::Resend),
        1 => Just(Step::Unmark),
        1 => Just(Step::Renege),
    ]
}

proptest! {
    #[test]
    fn the_sums_equal_a_naive_recount_over_random_histories(
        start in any::<u32>(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut board = Scoreboard::new(Seq(start));
        for (index, step) in steps.into_iter().enumerate() {
            let now = Instant::from_millis(index as u64);
            let mut delivered = 0;
            match step {
                Step::Send(len, fin) => {
                    let new = NewSegment { fin, charge: len.max(1_000), ..text(len) };
                    board.on_sent(now, new, Snapshot::default());
                }
                Step::Ack(ahead) => {
                    let ack = (board.snd_una() + ahead).min(board.snd_nxt());
                    if ack > board.snd_una() {
                        board.on_ack(ack, &mut |unit| delivered += unit.charge);
                    }
                }
                Step::Sack(blocks) => {
                    let una = board.snd_una();
                    let block = |(from, len)| SackBlock { left: una + from, right: una + from + len };
                    let blocks: Vec<_> = blocks.into_iter().map(block).collect();
                    board.on_sack(&blocks, &mut |unit| {
                        assert!(!unit.is_sacked());
                        delivered += unit.charge;
                    });
                }
                Step::Lose(index) => {
                    let index = usize::from(index) % board.units().len().max(1);
                    board.mark_lost(index, Reason::Rack);
                }
                Step::Resend(mss) => {
                    if let Some((range, _)) = board.next_waiting(mss) {
                        let end = range.seq + (range.text + u32::from(range.syn) + u32::from(range.fin));
                        prop_assert!(end > range.seq && end <= board.snd_nxt());
                        board.on_resent(now, range.seq, end, Snapshot::default());
                    }
                }
                Step::Unmark => board.unmark_waiting(),
                Step::Renege => { board.on_reneging(); }
            }
            prop_assert_eq!(*board.totals(), recount(&board));
            prop_assert!(board.snd_una() <= board.snd_nxt());
            prop_assert_eq!(board.totals().waiting_units > 0, board.next_waiting(1_000).is_some());
            let mut next = board.snd_una();
            for unit in board.units() {
                prop_assert_eq!(unit.seq, next);
                prop_assert!(unit.len > 0);
                next = unit.end();
            }
            prop_assert_eq!(next, board.snd_nxt());
            // The walk in the order of transmission finds every retransmission that is in flight.
            let mut copy = board.clone();
            let mut found = 0;
            while let Some(index) = copy.oldest_retransmission() {
                copy.mark_lost(index, Reason::Rack);
                found += 1;
            }
            prop_assert_eq!(found, board.totals().retransmitted_units);
        }
    }
}
