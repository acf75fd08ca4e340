//! Undo by timestamps, DSACK and F-RTO, with scripted ACKs.

use super::*;

const CWND: u64 = 10;

fn full(f: &Fixture) -> bool {
    f.controller.cwnd == CWND * u64::from(MSS)
}

/// Segment 0 is overtaken by 5 others, judged lost and sent again at 100 ms.
fn overtaken(mut f: Fixture) -> Fixture {
    f.send(6);
    let echo = f.recovery.min_rtt().map(|_| 0);
    f.at(100).ack_with(0, &[(1, 6)], echo);
    assert_eq!(f.send(0), [(0, Reason::FastRetransmit)]);
    assert!(!full(&f));
    f
}

#[test]
fn rfc_3522_section_3_2_an_echo_of_the_original_undoes_fast_recovery() {
    let mut f = overtaken(Fixture::timestamps(CWND));
    let outcome = f.at(105).ack_with(6, &[], Some(0));
    assert_eq!(outcome.undone, Some(UndoReason::Timestamps));
    assert!(full(&f));
    assert_eq!(f.recovery.phase(), Phase::Open);
    assert!(f.recovery.reordering_seen());
}

#[test]
fn an_echo_of_the_retransmission_ends_recovery_with_the_smaller_window() {
    let mut f = overtaken(Fixture::timestamps(CWND));
    let outcome = f.at(200).ack_with(6, &[], Some(100));
    assert_eq!((outcome.undone, outcome.ended_recovery), (None, true));
    assert!(!full(&f));
    assert_eq!(f.controller.events, ["end"]);
}

#[test]
fn nothing_is_undone_while_another_retransmission_is_outstanding() {
    let mut f = Fixture::timestamps(CWND);
    f.send(8);
    f.at(100).ack_with(0, &[(1, 2), (3, 8)], Some(0));
    assert_eq!(f.send(0).len(), 2, "segments 0 and 2");
    let outcome = f.at(105).ack_with(2, &[(3, 8)], Some(0));
    assert_eq!(outcome.undone, None, "segment 2 is out");
    // It was really lost.
    let outcome = f.at(200).ack_with(8, &[], Some(100));
    assert_eq!((outcome.undone, outcome.ended_recovery), (None, true));
    assert!(!full(&f));
}

#[test]
fn rfc_3708_section_2_dsacks_for_all_retransmissions_undo_it_also_after_recovery() {
    let mut f = overtaken(Fixture::sack(CWND));
    assert!(f.at(105).ack(6, &[]).ended_recovery);
    assert!(!full(&f));
    let outcome = f.at(200).ack(6, &[(0, 1)]);
    assert_eq!(outcome.undone, Some(UndoReason::Dsack));
    assert!(full(&f));
}

#[test]
fn rfc_3522_section_3_2_an_echo_of_the_original_undoes_a_timeout() {
    let mut f = Fixture::timestamps(CWND);
    f.send(5);
    assert_eq!(f.expire().1, Timer::Tlp);
    f.send(1);
    assert_eq!(f.expire().1, Timer::Rto);
    assert_eq!(f.send(0), [(0, Reason::Rto)]);
    assert_eq!(f.expire().1, Timer::Rto);
    assert_eq!(f.send(0), [(0, Reason::Rto)]);
    let ms = f.now.as_millis() + 10;
    let outcome = f.at(ms).ack_with(2, &[], Some(0));
    assert_eq!(outcome.undone, Some(UndoReason::Timestamps));
    assert!(full(&f));
    assert_eq!(f.recovery.backoff(), 0);
    f.ack_with(5, &[], Some(0));
    assert_eq!(f.recovery.counters().retransmissions, 2);
}

#[test]
fn rfc_5682_section_3_1_f_rto_sends_two_new_segments_and_undoes_the_timeout() {
    let mut f = Fixture::new(CWND, |config| config.tlp = false);
    f.send(6);
    assert_eq!(f.expire(), (300, Timer::Rto));
    assert_eq!(f.send(9), [(0, Reason::Rto)]);
    f.at(500).ack(1, &[]);
    assert_eq!(f.send(9), [(6, Reason::New), (7, Reason::New)], "new text instead of retransmissions");
    let outcome = f.at(501).ack(2, &[]);
    assert_eq!(outcome.undone, Some(UndoReason::Frto));
    assert!(full(&f));
    assert_eq!(f.recovery.phase(), Phase::Open);
    f.at(502).ack(6, &[]);
    assert_eq!(f.recovery.counters().retransmissions, 1);
}

#[test]
fn rfc_5682_section_2_1_a_real_timeout_goes_on_with_slow_start() {
    let mut f = Fixture::no_sack(CWND);
    f.send(6);
    f.expire();
    f.send(0);
    f.at(400).ack(1, &[]);
    assert_eq!(f.send(9).len(), 2);
    // The new segments arrive beyond the hole.
    f.at(500).ack(1, &[]);
    assert_eq!(f.recovery.phase(), Phase::Loss);
    assert_eq!(f.send(9)[0], (1, Reason::Rto));
}
