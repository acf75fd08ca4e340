//! RFC 6298, 5681, 6675, 6582, 3042, 8985 with scripted ACKs.

use super::*;

#[test]
fn rfc_6298_section_5_the_timer_runs_while_something_is_outstanding_and_restarts_with_each_ack() {
    let mut f = Fixture::no_sack(10);
    assert_eq!(f.recovery.next_at(), None);
    f.send(2);
    // SRTT 100 ms and RTTVAR 50 ms from the handshake.
    assert_eq!(f.recovery.next_at(), Some((Instant::from_millis(300), Timer::Rto)));
    f.at(100).ack(1, &[]);
    let rto = f.recovery.rto();
    assert_eq!(f.recovery.next_at(), Some((f.now + rto, Timer::Rto)));
    f.at(110).ack(2, &[]);
    assert_eq!(f.recovery.next_at(), None);
}

#[test]
fn rfc_6298_section_5_4_to_5_6_a_timeout_sends_the_first_segment_again_and_doubles_the_rto() {
    let mut f = Fixture::no_sack(10);
    f.send(3);
    assert_eq!(f.expire(), (300, Timer::Rto));
    assert_eq!(f.send(3), [(0, Reason::Rto)], "cwnd is one segment");
    assert_eq!(f.recovery.phase(), Phase::Loss);
    assert_eq!(f.expire(), (900, Timer::Rto));
    assert_eq!(f.send(3), [(0, Reason::Rto)]);
    assert_eq!(f.expire(), (2_100, Timer::Rto));
}

#[test]
fn rfc_5681_section_3_1_ssthresh_is_held_when_the_timer_sends_the_same_segment_again() {
    let mut f = Fixture::no_sack(10);
    f.send(3);
    f.expire();
    f.send(0);
    f.expire();
    f.send(0);
    f.ack(1, &[]);
    f.send(9);
    f.expire();
    let again = |again| Signal::Timeout { again };
    assert_eq!(f.controller.signals, [again(false), again(true), again(false)]);
}

#[test]
fn rfc_5681_section_3_1_acks_of_one_batch_do_not_shrink_the_flight_that_a_loss_halves() {
    for (turn_between, flight) in [(false, 20), (true, 8)] {
        let mut f = Fixture::sack(20);
        f.send(20);
        f.at(100).ack(12, &[]);
        if turn_between {
            // The sender could have sent, and had nothing to send.
            f.recovery.on_turn(&f.controller);
        }
        f.ack(12, &[(13, 20)]);
        assert_eq!(f.controller.signals, [Signal::Loss]);
        assert_eq!(f.controller.ssthresh, u64::from(flight * MSS) / 2, "a turn between: {turn_between}");
    }
}

#[test]
fn growth_of_cwnd_since_the_last_turn_counts_in_the_flight_and_what_was_delivered_since_may_be_sent_in_recovery() {
    let mut f = Fixture::sack(20);
    f.send(20);
    f.at(100).ack(8, &[]);
    f.controller.cwnd += 8 * u64::from(MSS);
    f.ack(8, &[(9, 20)]);
    assert_eq!(f.controller.ssthresh, 14 * u64::from(MSS), "half of 20 and 8");
    // RFC 9937: 8 + 11 segments were delivered, and the window has room for 14.
    let sent = f.send(30);
    assert_eq!((sent.len(), sent[0]), (14, (8, Reason::FastRetransmit)));
}

#[test]
fn rfc_6298_section_3_karn_no_sample_from_an_ack_that_covers_a_retransmission() {
    let mut f = Fixture::sack(10);
    f.send(4);
    f.at(100);
    assert!(f.ack(0, &[(1, 4)]).rtt.is_some(), "SACKed text that was sent once is a sample");
    assert_eq!(f.send(0), [(0, Reason::FastRetransmit)]);
    f.at(200);
    f.send(1);
    assert_eq!(f.at(300).ack(5, &[]).rtt, None, "segment 4 may have waited for segment 0");
}

#[test]
fn the_echo_gives_a_sample_only_where_it_names_the_retransmission() {
    for (echo, sample) in [(100, Some(150)), (0, None)] {
        let mut f = Fixture::timestamps(10);
        f.send(4);
        f.at(100).ack_with(0, &[(1, 4)], Some(0));
        f.send(0);
        let outcome = f.at(250).ack_with(4, &[], Some(echo));
        assert_eq!(outcome.rtt, sample.map(Duration::from_millis));
    }
}

#[test]
fn rfc_6298_section_3_the_backed_off_rto_stays_until_a_sample() {
    let mut f = Fixture::no_sack(10);
    f.send(1);
    f.expire();
    f.send(0);
    f.at(400).ack(1, &[]);
    assert_eq!(f.recovery.backoff(), 1);
    f.send(1);
    f.at(500).ack(2, &[]);
    assert_eq!(f.recovery.backoff(), 0);
}

#[test]
fn rfc_6298_section_5_7_three_seconds_after_a_lost_syn() {
    let mut recovery = Recovery::new(RecoveryConfig::default(), MSS, Seq(0), Instant::EPOCH);
    recovery.on_handshake(Instant::EPOCH, None, true);
    assert_eq!(recovery.rto(), Duration::from_secs(3));
}

#[test]
fn rfc_3042_section_2_the_first_two_duplicate_acks_let_a_new_segment_go_each() {
    let mut f = Fixture::no_sack(4);
    assert_eq!(f.new_only(9), [0, 1, 2, 3]);
    f.at(100).ack(0, &[]);
    assert_eq!(f.new_only(9), [4]);
    f.ack(0, &[]);
    assert_eq!(f.new_only(9), [5]);
    f.ack(0, &[]);
    assert_eq!(f.send(9), [(0, Reason::FastRetransmit)], "the third one asks for the fast retransmit");
}

#[test]
fn limited_transmit_does_not_add_to_a_flight_that_exceeds_cwnd() {
    let mut f = Fixture::no_sack(8);
    f.send(8);
    f.controller.cwnd = 4 * u64::from(MSS);
    f.at(100).ack(0, &[]);
    assert!(f.new_only(9).is_empty());
}

#[test]
fn rfc_6675_section_5_step_3_with_sack_each_sacked_segment_lets_a_new_one_go() {
    let mut f = Fixture::sack(4);
    f.send(4);
    f.at(100).ack(0, &[(1, 2)]);
    assert_eq!(f.recovery.phase(), Phase::Disorder);
    assert_eq!(f.new_only(9), [4]);
    f.ack(0, &[(1, 3)]);
    assert_eq!(f.new_only(9), [5]);
    assert!(f.ack(0, &[(1, 4)]).began_recovery);
}

#[test]
fn rfc_6582_section_3_2_a_partial_ack_sends_the_next_segment_again_and_a_full_one_ends_recovery() {
    let mut f = Fixture::no_sack(10);
    f.send(10);
    f.at(100);
    for _ in 0..3 {
        f.ack(0, &[]);
    }
    assert_eq!(f.controller.signals, [Signal::Loss]);
    assert_eq!(f.send(0), [(0, Reason::FastRetransmit)]);
    // ssthresh is 5 segments; with three duplicates cwnd is 8, with six 11: one new segment.
    for _ in 0..3 {
        f.ack(0, &[]);
    }
    assert_eq!(f.new_only(9), [10]);
    f.at(200).ack(4, &[]);
    assert_eq!(f.send(0), [(4, Reason::FastRetransmit)]);
    assert!(!f.at(250).ack(9, &[]).ended_recovery);
    assert_eq!(f.send(0), [(9, Reason::FastRetransmit)]);
    let outcome = f.at(300).ack(11, &[]);
    assert!(outcome.ended_recovery);
    assert_eq!(f.controller.cwnd, 2 * u64::from(MSS), "the exit cap: nothing is in flight");
}

#[test]
fn rfc_6582_section_4_the_impatient_timer_is_restarted_for_the_first_partial_ack_only() {
    let mut f = Fixture::no_sack(10);
    f.send(10);
    f.at(100);
    for _ in 0..3 {
        f.ack(0, &[]);
    }
    f.send(0);
    f.at(200).ack(2, &[]);
    let (restarted, _) = f.recovery.next_at().expect("the timer");
    assert_eq!(restarted, f.now + f.recovery.rto());
    let before = f.recovery.next_at();
    f.at(250).ack(4, &[]);
    assert_eq!(f.recovery.next_at(), before);
}

#[test]
fn an_ack_that_carries_text_or_changes_the_window_is_no_duplicate() {
    let mut f = Fixture::no_sack(10);
    f.send(5);
    for (text, window_changed) in [(true, false), (false, true)] {
        for _ in 0..5 {
            let info =
                AckInfo { ack: Seq(0), sack: &[], ts_ecr: None, text, window_changed, unsent: false, ece: false };
            assert_eq!(f.recovery.on_ack(f.now, &info, &mut f.controller), Outcome::default());
        }
    }
    assert_eq!(f.recovery.phase(), Phase::Open);
}

#[test]
fn rfc_8985_section_6_2_dup_thresh_sacked_segments_mark_a_loss_at_once() {
    let mut f = Fixture::sack(10);
    f.send(5);
    f.at(100);
    assert_eq!(f.ack(0, &[(1, 3)]).lost, 0, "two segments above");
    let outcome = f.ack(0, &[(1, 4)]);
    assert_eq!(outcome.lost, u64::from(MSS));
    assert!(outcome.began_recovery);
    assert_eq!(f.send(0), [(0, Reason::FastRetransmit)]);
}

#[test]
fn rfc_8985_section_6_2_fewer_sacked_segments_mark_it_after_the_reordering_window() {
    let mut f = Fixture::sack(10);
    f.send(3);
    f.at(100).ack(0, &[(1, 2)]);
    // RACK.rtt 100 ms and a quarter of the smallest RTT.
    assert_eq!(f.expire(), (125, Timer::Rack));
    assert_eq!(f.recovery.phase(), Phase::Recovery);
    assert_eq!(f.send(0), [(0, Reason::Rack)]);
}

#[test]
fn rfc_8985_section_6_2_once_reordering_was_seen_dup_thresh_does_not_count() {
    let mut f = Fixture::sack(20);
    f.send(3);
    f.at(100).ack(0, &[(1, 2)]);
    f.at(101).ack(3, &[]);
    assert!(f.recovery.reordering_seen());
    f.at(200).send(8);
    f.at(300);
    assert_eq!(f.ack(3, &[(4, 11)]).lost, 0, "seven segments above");
    assert_eq!(f.recovery.phase(), Phase::Disorder);
    assert_eq!(f.expire(), (325, Timer::Rack));
    assert_eq!(f.send(0), [(3, Reason::Rack)]);
}

#[test]
fn a_cumulative_ack_with_sack_blocks_above_it_is_no_reordering() {
    let mut f = Fixture::sack(20);
    f.send(8);
    f.at(100).ack(2, &[(4, 6)]);
    assert!(!f.recovery.reordering_seen());
}

#[test]
fn rfc_8985_section_6_2_a_lost_retransmission_is_found_by_what_left_after_it() {
    let mut f = Fixture::sack(10);
    f.send(5);
    f.at(100).ack(0, &[(1, 5)]);
    assert_eq!(f.send(9)[0], (0, Reason::FastRetransmit));
    f.at(200);
    let last = f.recovery.snd_nxt().0 / MSS;
    let outcome = f.ack(0, &[(1, last)]);
    assert_eq!(outcome.lost, u64::from(MSS));
    assert_eq!(f.send(0), [(0, Reason::Rack)]);
    assert_eq!(f.controller.signals, [Signal::Loss], "one reduction in a recovery");
}

#[test]
fn rfc_8985_section_6_2_a_dsack_widens_the_window_once_in_a_round() {
    let mut f = Fixture::sack(20);
    f.send(6);
    f.at(100).ack(0, &[(1, 6)]);
    f.send(0);
    // The original arrives; the retransmission is a duplicate.
    f.at(110).ack(6, &[]);
    f.send(4);
    let outcome = f.at(200).ack(6, &[(0, 1)]);
    assert!(outcome.dsack.is_some());
    assert_eq!(f.recovery.counters().spurious, 1);
    f.at(210).ack(6, &[(7, 8)]);
    // Sent at 110, RACK.rtt 100 ms, 2 * 100 ms / 4.
    assert_eq!(f.recovery.next_at(), Some((Instant::from_millis(260), Timer::Rack)));
}

#[test]
fn without_rack_is_lost_of_rfc_6675_judges() {
    let mut f = Fixture::new(10, |config| config.rack = false);
    f.send(6);
    f.at(100);
    assert_eq!(f.ack(0, &[(1, 3)]).lost, 0);
    assert!(f.ack(0, &[(1, 4)]).began_recovery);
    assert_eq!(f.send(0)[0], (0, Reason::FastRetransmit));
}

#[test]
fn rfc_6675_section_5_what_is_lost_after_the_recovery_point_begins_another_recovery() {
    let mut f = Fixture::sack(10);
    f.send(8);
    f.at(100).ack(0, &[(1, 8)]);
    assert_eq!(f.send(9)[0], (0, Reason::FastRetransmit));
    let sent = f.recovery.snd_nxt().0 / MSS;
    assert!(sent > 9, "new text left in recovery");
    let outcome = f.at(200).ack(8, &[(9, sent)]);
    assert!(outcome.ended_recovery);
    f.at(230);
    while f.recovery.next_at().is_some_and(|(_, timer)| timer == Timer::Rack) {
        f.expire();
    }
    assert_eq!(f.controller.signals, [Signal::Loss, Signal::Loss]);
}

#[test]
fn rfc_9937_section_6_2_in_recovery_about_one_segment_leaves_for_two_delivered() {
    let mut f = Fixture::sack(20);
    f.send(20);
    f.at(100);
    let mut sent = 0;
    for arrived in 2..=20 {
        f.ack(0, &[(1, arrived)]);
        sent += f.send(9).len();
    }
    // Two more left in Disorder, by limited transmit; ssthresh is half of the flight.
    let window = f.recovery.window(&f.controller);
    assert!(f.recovery.pipe() <= window);
    assert!((10..=13).contains(&sent), "{sent}");
    assert!(f.recovery.pipe().abs_diff(f.controller.ssthresh) <= u64::from(MSS));
}

#[test]
fn rfc_2018_section_8_a_receiver_that_reneges_is_survived() {
    let mut f = Fixture::sack(10);
    f.unsent = false;
    f.send(5);
    f.at(100).ack(0, &[(1, 5)]);
    f.send(0);
    // The retransmission arrives, but the receiver has dropped the rest.
    f.at(200).ack(1, &[]);
    assert!(f.recovery.board().is_reneged());
    let (_, timer) = f.expire();
    assert_eq!(timer, Timer::Rto);
    assert_eq!(f.recovery.counters().reneged, 1);
    assert_eq!(f.send(0), [(1, Reason::Rto)]);
    for next in 2..5 {
        let ms = f.now.as_millis() + 100;
        f.controller.cwnd = 2 * u64::from(MSS);
        f.at(ms).ack(next, &[]);
        f.send(0);
    }
    let ms = f.now.as_millis() + 100;
    f.at(ms).ack(5, &[]);
    assert!(f.recovery.board().is_empty());
}

#[test]
fn a_smaller_path_mtu_cuts_what_is_in_flight_and_is_no_sign_of_congestion() {
    let mut f = Fixture::sack(10);
    f.send(3);
    f.recovery.on_mss(600, true, &mut f.controller);
    let mut sent = Vec::new();
    while let Some(Resend { range, reason }) = f.recovery.poll_resend(&f.controller) {
        f.leave(range, reason);
        sent.push((range.seq.0, range.text));
        assert_eq!(reason, Reason::PathMtu);
    }
    assert_eq!(sent, [(0, 600), (600, 400), (1_000, 600), (1_600, 400), (2_000, 600), (2_600, 400)]);
    assert!(f.controller.signals.is_empty());
    assert_eq!(f.recovery.phase(), Phase::Open);
    f.at(100).ack(3, &[]);
    assert!(f.recovery.board().is_empty());
}

#[test]
fn rfc_3168_section_6_1_2_a_mark_reduces_cwnd_once_in_a_window_of_data() {
    let mut f = Fixture::sack(10);
    f.send(10);
    f.at(100);
    let ece = |f: &mut Fixture, ack: u32| {
        let info = AckInfo {
            ack: Seq(ack * MSS),
            sack: &[],
            ts_ecr: None,
            text: false,
            window_changed: false,
            unsent: true,
            ece: true,
        };
        f.recovery.on_ack(f.now, &info, &mut f.controller);
        f.controller.signals.len()
    };
    assert_eq!([ece(&mut f, 1), ece(&mut f, 2), ece(&mut f, 9)], [1, 1, 1]);
    f.send(9);
    assert_eq!(ece(&mut f, 11), 2);
}

#[test]
fn rfc_5681_section_4_1_after_an_idle_time_of_more_than_one_rto_the_controller_restarts() {
    let mut f = Fixture::sack(10);
    f.send(1);
    f.at(100).ack(1, &[]);
    let rto = f.recovery.rto().as_millis() as u64;
    f.at(rto).send(1);
    assert!(f.controller.events.is_empty());
    f.at(rto + 100).ack(2, &[]);
    let rto_now = f.recovery.rto().as_millis() as u64;
    f.at(rto + rto_now + 2).send(1);
    assert_eq!(f.controller.events, ["idle"]);
}

#[test]
fn acks_outside_of_what_was_sent_change_nothing() {
    let mut f = Fixture::sack(10);
    f.send(3);
    f.at(100).ack(1, &[]);
    for ack in [0, 4, 4_000_000] {
        assert_eq!(f.ack(ack, &[(2, 3)]), Outcome::default());
    }
    assert_eq!(f.recovery.snd_una(), Seq(1_000));
}

#[test]
fn a_steady_flow_gives_samples_of_its_rate_and_rtt() {
    let mut f = Fixture::sack(10);
    f.send(10);
    // One segment each 10 ms: 100,000 bytes per second.
    for number in 1..60_u32 {
        f.at(90 + 10 * u64::from(number)).ack(number, &[]);
        f.send(1);
    }
    let last = f.controller.acks.last().expect("a sample");
    assert_eq!(last.rate.expect("a rate").delivery_rate(), 100_000);
    assert_eq!(last.rtt, Some(Duration::from_millis(100)));
    assert_eq!((last.newly_acked, last.newly_delivered, last.delivered), (1_000, 1_000, 59_000));
    assert_eq!((last.prior_pipe, last.pipe), (10_000, 9_000));
}

#[test]
fn a_connection_takes_less_than_a_kibibyte_when_idle() {
    let mut f = Fixture::sack(100);
    f.send(100);
    f.at(100).ack(100, &[]);
    f.recovery.shrink();
    let idle = size_of::<Recovery>() + f.recovery.board().memory();
    assert!(idle < 1_024, "{idle}");
}
