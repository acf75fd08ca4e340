//! Tail loss probes (RFC 8985, section 7) and the order of the timers.

use super::*;

#[test]
fn rfc_8985_section_7_2_the_probe_is_due_after_two_srtt_and_later_for_a_single_segment() {
    let mut f = Fixture::sack(10);
    f.send(2);
    assert_eq!(f.recovery.next_at(), Some((Instant::from_millis(202), Timer::Tlp)));
    let mut f = Fixture::sack(10);
    f.send(1);
    // 2 * 100 + 200 + 2 ms is beyond the RTO: the probe takes its place.
    assert_eq!(f.recovery.next_at(), Some((Instant::from_millis(300), Timer::Tlp)));
}

#[test]
fn at_equal_deadlines_the_probe_goes_before_the_retransmission_timer() {
    let mut f = Fixture::sack(10);
    f.unsent = false;
    f.send(1);
    assert_eq!(f.expire(), (300, Timer::Tlp));
    assert_eq!(f.recovery.on_timeout(f.now, false, &mut f.controller), None, "the RTO was restarted");
    assert_eq!(f.send(0), [(0, Reason::Tlp)]);
    assert_eq!(f.expire(), (600, Timer::Rto));
}

#[test]
fn rfc_8985_section_7_3_the_probe_is_new_text_whatever_cwnd_says_or_the_last_segment() {
    let mut f = Fixture::sack(2);
    f.send(9);
    f.expire();
    assert_eq!(f.send(9), [(2, Reason::Tlp)], "one segment beyond cwnd");
    let mut f = Fixture::sack(2);
    f.unsent = false;
    f.send(2);
    f.expire();
    assert_eq!(f.send(0), [(1, Reason::Tlp)]);
    assert_eq!(f.recovery.counters().probes, 1);
    assert_eq!(f.recovery.next_at().map(|(_, timer)| timer), Some(Timer::Rto), "one probe in an episode");
}

#[test]
fn a_probe_covers_the_fin() {
    let mut f = Fixture::sack(10);
    f.unsent = false;
    f.leave(SentRange { seq: Seq(0), text: MSS, syn: false, fin: false }, Reason::New);
    f.leave(SentRange { seq: Seq(MSS), text: 10, syn: false, fin: true }, Reason::New);
    f.expire();
    let resend = f.recovery.poll_resend(&f.controller).expect("a probe");
    assert_eq!(resend.range, SentRange { seq: Seq(MSS), text: 10, syn: false, fin: true });
}

#[test]
fn rfc_8985_section_7_4_2_a_probe_that_repaired_a_loss_reduces_cwnd() {
    let mut f = Fixture::sack(10);
    f.unsent = false;
    f.send(2);
    f.expire();
    f.send(0);
    f.at(300).ack(2, &[]);
    assert!(f.controller.signals.is_empty(), "it may have been the original");
    f.send(1);
    f.at(400).ack(3, &[]);
    assert_eq!(f.controller.signals, [Signal::Loss]);
    assert_eq!(f.controller.events, ["end"]);
    assert_eq!(f.recovery.phase(), Phase::Open);
}

#[test]
fn rfc_8985_section_7_4_2_a_dsack_or_a_duplicate_ack_shows_that_the_probe_was_needless() {
    for dsack in [&[(1, 2)][..], &[]] {
        let mut f = Fixture::sack(10);
        f.unsent = false;
        f.send(2);
        f.expire();
        f.send(0);
        f.at(300).ack(2, &[]);
        f.at(301).ack(2, dsack);
        f.send(1);
        f.at(400).ack(3, &[]);
        assert!(f.controller.signals.is_empty());
        assert!(!f.recovery.reordering_seen(), "a probe's DSACK is no reordering");
    }
}

#[test]
fn rfc_8985_section_7_1_a_tail_loss_is_found_by_the_sack_that_the_probe_draws() {
    let mut f = Fixture::sack(10);
    f.unsent = false;
    f.send(5);
    f.at(100).ack(2, &[]);
    f.expire();
    assert_eq!(f.send(0), [(4, Reason::Tlp)]);
    let ms = f.now.as_millis() + 100;
    let outcome = f.at(ms).ack(2, &[(4, 5)]);
    // What left 300 ms ago is overdue.
    assert!(outcome.began_recovery);
    assert_eq!(outcome.lost, 2 * u64::from(MSS));
    assert_eq!(f.send(0)[0].0, 2);
    assert_eq!(f.recovery.counters().timeouts, 0);
}

#[test]
fn no_probe_is_scheduled_in_recovery_or_while_something_is_sacked_or_without_sack() {
    let mut f = Fixture::sack(10);
    f.send(4);
    f.at(100).ack(0, &[(1, 2)]);
    assert_eq!(f.recovery.next_at().map(|(_, timer)| timer), Some(Timer::Rack));
    f.expire();
    f.send(0);
    assert_eq!(f.recovery.next_at().map(|(_, timer)| timer), Some(Timer::Rto));
    let mut f = Fixture::no_sack(10);
    f.send(4);
    assert_eq!(f.recovery.next_at().map(|(_, timer)| timer), Some(Timer::Rto));
}
