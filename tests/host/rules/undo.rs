//! Undo: a reduction for a loss that was none goes. By timestamps, by DSACK and by F-RTO, after a fast retransmit and after a
//! timeout.

use super::lab::{Lab, NOTHING, Offer};
use tcplab::event::{HostEvent, Phase};
use tcplab::socket::HostConfig;

/// Five segments in flight at 200 ms; the first seems lost and is sent again.
fn fast_retransmit(timestamps: bool, adjust: impl FnOnce(&mut HostConfig)) -> Lab {
    let mss = if timestamps { 1012 } else { 1000 };
    let mut lab = Lab::with(&Offer { mss, timestamps, ..Offer::default() }, adjust);
    assert_eq!(lab.write(5000).len(), 5);
    assert_eq!(lab.until(200), NOTHING);
    assert_eq!(lab.sack(1, &[(1001, 5001)]), ["1:1001"]);
    assert_eq!(lab.info().ca_state, Phase::Recovery);
    assert!(lab.info().snd_cwnd < 10_000);
    lab
}

fn undone(lab: &Lab) -> bool {
    lab.events.iter().any(|event| matches!(event, HostEvent::Recovery { undone: true, .. }))
}

fn is_as_before(lab: &Lab) -> bool {
    let info = lab.info();
    assert_eq!((undone(lab), info.ca_state), (info.snd_cwnd >= 10_000, Phase::Open), "{info:?}");
    undone(lab) && info.snd_ssthresh == u64::MAX
}

/// RFC 3522, section 3.2 (Eifel): the echo is older than the retransmission, so that the original had arrived.
#[test]
fn rfc_3522_section_3_2_an_echo_of_the_original_undoes_the_reduction() {
    for (echo, undo, expected) in [(100, true, true), (200, true, false), (100, false, false)] {
        let mut lab = fast_retransmit(true, |config| config.undo = undo);
        lab.until(210);
        assert_eq!(lab.ack_echo(5001, echo), NOTHING);
        assert_eq!(is_as_before(&lab), expected, "an echo of {echo} ms, undo {undo}");
    }
}

/// RFC 3708, section 2, and RFC 2883, section 5.1: a DSACK for each retransmission shows that none was needed.
#[test]
fn rfc_3708_section_2_dsacks_of_all_retransmissions_undo_the_reduction() {
    for undo in [true, false] {
        let mut lab = fast_retransmit(false, |config| config.undo = undo);
        lab.until(210);
        assert_eq!(lab.ack(5001), NOTHING);
        assert!(!undone(&lab));
        assert_eq!(lab.write(1000), ["5001:6001 PSH"]);
        lab.until(300);
        assert_eq!(lab.sack(5001, &[(1, 1001)]), NOTHING);
        assert_eq!(is_as_before(&lab), undo);
        assert_eq!(lab.info().dsack_dups, 1);
    }
}

/// RFC 4015 and RFC 3522 after a timeout: everything was late, and the echo of the first ACK says so.
#[test]
fn rfc_3522_section_3_2_an_echo_of_the_original_undoes_a_timeout() {
    let offer = Offer { timestamps: true, mss: 1012, ..Offer::default() };
    let mut lab = Lab::with(&offer, |config| (config.tlp, config.frto) = (false, false));
    assert_eq!(lab.write(5000).len(), 5);
    assert_eq!(lab.until(400), ["400: 1:1001"]);
    assert_eq!(lab.info().snd_cwnd, 1000);
    lab.until(450);
    assert_eq!(lab.ack_echo(1001, 100), NOTHING, "nothing else is sent again");
    assert!(is_as_before(&lab));
    assert_eq!(lab.ack_echo(5001, 100), NOTHING);
}

/// RFC 5682, section 2.1: after the timeout the first ACK lets two new segments go; the second one acknowledges what was not
/// sent again, so that the timeout was spurious.
#[test]
fn rfc_5682_section_2_1_f_rto_sends_two_new_segments_and_undoes_the_timeout() {
    for sack in [true, false] {
        let offer = Offer { sack, ..Offer::default() };
        let mut lab = Lab::with(&offer, |config| {
            config.tlp = false;
            config.snd_buf = Some(100_000);
        });
        assert_eq!(lab.write(30_000).len(), 10);
        assert_eq!(lab.until(400), ["400: 1:1001"]);
        lab.until(450);
        assert_eq!(lab.ack(1001), ["10001:11001", "11001:12001"]);
        assert!(!undone(&lab));
        let said = lab.ack(2001);
        assert!(said.iter().all(|line| line.starts_with("12") || line.starts_with("13")), "new text only: {said:?}");
        assert!(is_as_before(&lab), "SACK {sack}");
    }
}

/// RFC 5682, section 2.1, step 3a: a duplicate ACK after the two new segments shows that the loss was real.
#[test]
fn rfc_5682_section_2_1_a_real_timeout_goes_on_with_slow_start() {
    let mut lab = Lab::with(&Offer { sack: false, ..Offer::default() }, |config| config.snd_buf = Some(100_000));
    assert_eq!(lab.write(30_000).len(), 10);
    assert_eq!(lab.until(400), ["400: 1:1001"]);
    lab.until(450);
    assert_eq!(lab.ack(1001), ["10001:11001", "11001:12001"]);
    assert_eq!(lab.ack(1001)[0], "1001:2001");
    assert!(!undone(&lab));
    assert_eq!(lab.info().ca_state, Phase::Loss);
}

/// Without F-RTO the first ACK after a timeout lets what was lost go again.
#[test]
fn without_f_rto_the_first_ack_after_a_timeout_sends_the_next_segments_again() {
    let offer = Offer { sack: false, ..Offer::default() };
    let mut lab = Lab::with(&offer, |config| {
        config.frto = false;
        config.snd_buf = Some(100_000);
    });
    assert_eq!(lab.write(30_000).len(), 10);
    assert_eq!(lab.until(400), ["400: 1:1001"]);
    lab.until(450);
    assert_eq!(lab.ack(1001), ["1001:2001", "2001:3001"]);
}
