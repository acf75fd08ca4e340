//! Loss recovery: limited transmit, SACK with `NextSeg`, RACK, TLP, PRR, `NewReno`, RTO, reneging. The RTT is 100 ms, the RTO 300
//! ms; the first text leaves 100 ms after the SYN.

use super::lab::{Lab, MS, NOTHING, Offer};
use tcplab::congestion::by_name;
use tcplab::event::{HostEvent, Phase, Reason, TimerKind};
use tcplab::socket::HostConfig;
use tcplab::time::Duration;

fn no_sack() -> Offer {
    Offer { sack: false, ..Offer::default() }
}

/// A Reno host with `segments` of text, of which ten are in flight, at 200 ms.
fn ten_in_flight(offer: &Offer, adjust: impl FnOnce(&mut HostConfig)) -> Lab {
    let mut lab = Lab::with(offer, |config| {
        config.congestion = by_name("reno").expect("a controller");
        config.snd_buf = Some(200_000);
        adjust(config);
    });
    assert_eq!(lab.write(100_000).len(), 10);
    assert_eq!(lab.until(200), NOTHING);
    lab.reasons();
    lab
}

/// `segments` full segments in flight and nothing more, at 200 ms.
fn in_flight(segments: usize, adjust: impl FnOnce(&mut HostConfig)) -> Lab {
    let mut lab = Lab::on_host(adjust);
    assert_eq!(lab.write(1000 * segments).len(), segments);
    assert_eq!(lab.until(200), NOTHING);
    lab.reasons();
    lab
}

/// RFC 3042, section 2: the first two duplicate ACKs let a new segment go each; the third asks for the fast retransmit (RFC
/// 5681, section 3.2).
#[test]
fn rfc_3042_section_2_limited_transmit() {
    let mut lab = ten_in_flight(&no_sack(), |_| {});
    assert_eq!(lab.ack(1), ["10001:11001"]);
    assert_eq!(lab.ack(1), ["11001:12001"]);
    assert_eq!(lab.ack(1), ["1:1001"]);
    assert_eq!(lab.reasons(), [Some(Reason::New), Some(Reason::New), Some(Reason::FastRetransmit)]);
    let mut lab = ten_in_flight(&no_sack(), |config| config.limited_transmit = false);
    assert_eq!(lab.ack(1), NOTHING);
    assert_eq!(lab.ack(1), NOTHING);
    assert_eq!(lab.ack(1), ["1:1001"]);
}

/// RFC 6675, section 5, step 3: with SACK each segment that was `SACKed` lets a new one go, whatever `limited_transmit` says.
#[test]
fn rfc_6675_section_5_step_3_with_sack_a_new_segment_leaves_for_each_sacked_one() {
    for limited_transmit in [true, false] {
        let mut lab = ten_in_flight(&Offer::default(), |config| config.limited_transmit = limited_transmit);
        assert_eq!(lab.sack(1, &[(1001, 2001)]), ["10001:11001"]);
        assert_eq!(lab.sack(1, &[(1001, 3001)]), ["11001:12001"]);
        assert_eq!(lab.info().ca_state, Phase::Disorder);
        assert_eq!(lab.sack(1, &[(1001, 4001)]), ["1:1001"]);
        assert_eq!(lab.info().ca_state, Phase::Recovery);
    }
}

/// RFC 6675, section 4, `NextSeg`: (1) the lowest segment that is lost and was not sent again, (2) new text. What was `SACKed` is
/// not sent again.
#[test]
fn rfc_6675_section_4_next_seg_sends_the_lost_segments_in_order_and_then_new_text() {
    let mut lab = ten_in_flight(&Offer::default(), |_| {});
    let said = lab.sack(1, &[(2001, 4001), (5001, 10_001)]);
    assert_eq!(said, ["1:1001", "1001:2001", "4001:5001", "10001:11001", "11001:12001"], "ssthresh is five segments");
    let (fast, new) = (Some(Reason::FastRetransmit), Some(Reason::New));
    assert_eq!(lab.reasons(), [fast, fast, fast, new, new]);
    let info = lab.info();
    assert_eq!((info.unacked, info.sacked, info.lost, info.retrans), (12, 7, 3, 3));
    assert_eq!((info.pipe, info.snd_ssthresh, info.total_retrans), (5000, 5000, 3));
    // Each is acknowledged after a round trip: nothing of the first flight is sent again.
    lab.until(300);
    assert_eq!(lab.sack(1001, &[(2001, 4001), (5001, 10_001)]), ["12001:13001"]);
    assert_eq!(lab.sack(4001, &[(5001, 10_001)]), ["13001:14001"]);
    assert_eq!(lab.ack(10_001), ["14001:15001"]);
    assert_eq!((lab.info().ca_state, lab.info().snd_cwnd), (Phase::Open, 5000));
}

/// RFC 8985, section 6.2: a segment is lost if one that left later was delivered and a reordering window has passed: a quarter
/// of the smallest RTT.
#[test]
fn rfc_8985_section_6_2_rack_waits_for_a_quarter_of_the_smallest_rtt() {
    let mut lab = in_flight(3, |_| {});
    assert_eq!(lab.sack(1, &[(1001, 2001)]), NOTHING);
    lab.silent_before(225);
    assert_eq!(lab.until(225), ["225: 1:1001"]);
    assert_eq!(lab.reasons(), [Some(Reason::Rack)]);
    assert!(lab.events.iter().any(|event| matches!(event, HostEvent::Timer { timer: TimerKind::Rack, .. })));
    // What was only overtaken is not sent again.
    let mut lab = in_flight(3, |_| {});
    assert_eq!(lab.sack(1, &[(1001, 2001)]), NOTHING);
    lab.silent_before(225);
    assert_eq!(lab.ack(3001), NOTHING);
    assert!(lab.info().reord_seen);
    assert_eq!(lab.until(10_000), NOTHING);
}

/// RFC 8985, section 6.2: "If `RACK.segs_sacked` >= `DupThresh`: return 0", and RFC 5681's `DupThresh` is a setting.
#[test]
fn rfc_8985_section_6_2_dup_thresh_segments_show_a_loss_at_once_and_dup_thresh_is_a_setting() {
    for dup_thresh in [1, 2, 3, 5] {
        let mut lab = in_flight(8, |config| config.dup_thresh = dup_thresh);
        for nth in 1..dup_thresh {
            assert_eq!(lab.sack(1, &[(1001, 1001 + nth * 1000)]), NOTHING, "DupThresh {dup_thresh}, segment {nth}");
        }
        assert_eq!(lab.sack(1, &[(1001, 1001 + dup_thresh * 1000)]), ["1:1001"]);
        assert_eq!(lab.reasons(), [Some(Reason::FastRetransmit)]);
    }
}

/// RFC 8985, section 5.3: `RACK.segs_sacked` counts segments. A FIN that left with text is no segment of its own.
#[test]
fn rfc_8985_section_5_3_a_fin_that_left_with_text_counts_as_one_segment_for_dup_thresh() {
    let mut lab = Lab::new();
    lab.set(tcplab::socket::SocketOption::Cork(true));
    assert_eq!(lab.write(2500).len(), 2);
    lab.wire.host.shutdown(lab.fd, tcplab::socket::Shutdown::Write).expect("shutdown");
    assert_eq!(lab.until(200), ["100: 2001:2501 PSH FIN"]);
    assert_eq!(lab.sack(1, &[(1001, 2502)]), NOTHING, "two segments are SACKed");
    lab.silent_before(225);
    assert_eq!(lab.until(225), ["225: 1:1001"]);
    assert_eq!(lab.ack(2502), NOTHING);
}

/// Without RACK `IsLost` of RFC 6675, section 4 judges, and no time.
#[test]
fn rfc_6675_section_4_without_rack_is_lost_judges() {
    let mut lab = in_flight(8, |config| config.rack = false);
    assert_eq!(lab.sack(1, &[(1001, 3001)]), NOTHING);
    assert_eq!(lab.until(390), NOTHING, "no reordering window passes");
    assert_eq!(lab.sack(1, &[(1001, 4001)])[0], "1:1001");
}

/// RFC 8985, section 7.2: "PTO = 2 * SRTT", and 2 ms for the granularity of timers, as Linux; section 7.3: new text if there is
/// some, else the last segment.
#[test]
fn rfc_8985_section_7_3_a_tail_loss_probe_is_the_last_segment_or_new_text_after_two_srtt() {
    let mut lab = in_flight(3, |_| {});
    lab.silent_before(302);
    assert_eq!(lab.until(302), ["302: 2001:3001 PSH"]);
    assert_eq!(lab.reasons(), [Some(Reason::Tlp)]);
    // The SACK that it draws shows the loss of the others, long before the RTO.
    lab.until(402);
    assert_eq!(lab.sack(1, &[(2001, 3001)]), ["1:1001"]);
    lab.until(502);
    assert_eq!(lab.sack(1001, &[(2001, 3001)]), ["1001:2001"]);
    assert_eq!(lab.ack(3001), NOTHING);
    let mut lab = ten_in_flight(&Offer::default(), |_| {});
    lab.silent_before(302);
    assert_eq!(lab.until(302), ["302: 10001:11001"], "one segment more than cwnd");
    assert_eq!(lab.reasons(), [Some(Reason::Tlp)]);
    let mut lab = in_flight(3, |config| config.tlp = false);
    lab.silent_before(400);
    assert_eq!(lab.until(400), ["400: 1:1001"], "the RTO");
}

/// RFC 8985, section 7.2: "If `FlightSize` is one segment: PTO += `TLP.max_ack_delay`", at most the RTO.
#[test]
fn rfc_8985_section_7_2_the_probe_of_a_single_segment_waits_for_the_delayed_ack() {
    let mut lab = in_flight(1, |config| config.min_rto = Duration::from_secs(1));
    // 2 * 100 ms + 200 ms + 2 ms.
    lab.silent_before(502);
    assert_eq!(lab.until(502), ["502: 1:1001 PSH"]);
    // The RTO begins again with the probe.
    lab.silent_before(1602);
    assert_eq!(lab.until(1602), ["1602: 1:1001 PSH"]);
    assert_eq!(lab.reasons(), [Some(Reason::Tlp), Some(Reason::Rto)]);
}

/// RFC 9937, section 6.2: in recovery about one segment leaves for two that arrive, and the flight ends at ssthresh.
#[test]
fn rfc_9937_section_6_2_prr_lets_one_segment_go_for_two_delivered() {
    let sent = |prr: bool| {
        let mut lab = ten_in_flight(&Offer::default(), |config| config.prr = prr);
        for end in [2001, 3001] {
            assert_eq!(lab.sack(1, &[(1001, end)]).len(), 1);
        }
        let mut sent = Vec::new();
        for end in 4..=10 {
            sent.push(lab.sack(1, &[(1001, end * 1000 + 1)]).len());
        }
        assert!(lab.info().pipe <= 6000, "{:?}", lab.info());
        sent
    };
    // ssthresh is half of ten: what limited transmit sent does not count (RFC 5681, section 3.2). Ten of the flight had not
    // been SACKed when recovery began.
    assert_eq!(sent(true), [1, 0, 0, 1, 0, 0, 1]);
    // RFC 6675, section 5: cwnd is ssthresh at once. Silence until pipe has shrunk to it, then one for one.
    assert_eq!(sent(false), [1, 0, 0, 0, 0, 1, 1]);
}

/// RFC 6582, section 3.2: each partial ACK sends the next lost segment again; the ACK of all that was in flight ends recovery.
#[test]
fn rfc_6582_section_3_2_new_reno_sends_one_lost_segment_again_for_each_partial_ack() {
    let mut lab = ten_in_flight(&no_sack(), |config| config.limited_transmit = false);
    for _ in 0..2 {
        assert_eq!(lab.ack(1), NOTHING);
    }
    assert_eq!(lab.ack(1), ["1:1001"]);
    assert_eq!(lab.info().snd_ssthresh, 5000);
    // cwnd is 5 + 3 segments; each duplicate ACK adds one: 10, 11.
    assert_eq!(lab.ack(1), NOTHING);
    assert_eq!(lab.ack(1), NOTHING);
    assert_eq!(lab.ack(1), ["10001:11001"]);
    lab.until(300);
    assert_eq!(lab.ack(3001)[0], "3001:4001", "a partial ACK");
    assert_eq!(lab.info().ca_state, Phase::Recovery);
    lab.until(400);
    assert_eq!(lab.ack(7001)[0], "7001:8001", "another one");
    lab.until(500);
    let said = lab.ack(10_001);
    assert!(said.iter().all(|line| !line.starts_with("1000")), "{said:?}");
    assert_eq!(lab.info().ca_state, Phase::Open);
    assert_eq!(lab.info().retransmits, 0, "without a timeout");
}

/// RFC 6582, section 3.2, step 1: duplicate ACKs that answer what a timeout sent again begin no fast retransmit.
#[test]
fn rfc_6582_section_3_2_duplicate_acks_after_a_timeout_begin_no_recovery() {
    let mut lab = Lab::with(&no_sack(), |_| {});
    lab.write(4000);
    assert_eq!(lab.until(400), ["400: 1:1001"]);
    for _ in 0..5 {
        assert_eq!(lab.ack(1), NOTHING);
    }
    assert_eq!(lab.info().ca_state, Phase::Loss);
}

/// RFC 6298, sections 2 and 5, with Linux's minimum: RTO = SRTT + max(4 RTTVAR, 200 ms); a timeout sends the first segment
/// again and doubles the RTO up to its maximum.
#[test]
fn rfc_6298_section_5_the_rto_its_minimum_back_off_and_maximum() {
    let times = |rtt: u64, adjust: fn(&mut HostConfig)| {
        let offer = Offer { rtt: rtt as u32 * MS, ..no_sack() };
        let mut lab = Lab::with(&offer, |config| {
            config.mtu_probing = false;
            adjust(config);
        });
        let begin = lab.ms();
        assert_eq!(lab.write(1000), ["1:1001 PSH"]);
        let said = lab.until(begin + 5000);
        assert!(said.iter().all(|line| line.ends_with(": 1:1001 PSH")), "{said:?}");
        lab.said[1..].iter().map(|said| said.at.as_millis() - begin).collect::<Vec<_>>()
    };
    assert_eq!(times(100, |_| {}), [300, 900, 2100, 4500]);
    assert_eq!(times(10, |_| {}), [210, 630, 1470, 3150], "the minimum is added to SRTT");
    assert_eq!(
        times(100, |config| config.min_rto = Duration::from_secs(1)),
        [1100, 3300],
        "RFC 6298, section 2.4: 1 s"
    );
    assert_eq!(times(100, |config| config.max_rto = 700 * MS), [300, 900, 1600, 2300, 3000, 3700, 4400]);
}

/// RFC 6298, section 5.4: "Retransmit the earliest segment that has not been acknowledged"; section 5.5 of RFC 5681: cwnd is one
/// segment after it.
#[test]
fn rfc_6298_section_5_4_a_timeout_sends_one_segment_and_slow_start_follows() {
    let mut lab = in_flight(6, |config| (config.tlp, config.frto) = (false, false));
    assert_eq!(lab.until(400), ["400: 1:1001"]);
    assert_eq!((lab.info().snd_cwnd, lab.info().ca_state, lab.info().backoff), (1000, Phase::Loss, 1));
    assert_eq!(lab.reasons(), [Some(Reason::Rto)]);
    lab.until(500);
    assert_eq!(lab.ack(1001), ["1001:2001", "2001:3001"]);
    lab.until(600);
    assert_eq!(lab.ack(3001), ["3001:4001", "4001:5001", "5001:6001 PSH"]);
    assert_eq!(lab.reasons(), [Some(Reason::Rto); 5]);
}

/// RFC 6298, section 3 (Karn): no sample of a segment that was sent again, so that the RTO stays doubled; section 5.7.
#[test]
fn rfc_6298_section_3_karn_the_rto_stays_doubled_until_a_segment_that_was_sent_once_is_acknowledged() {
    let mut lab = Lab::with(&no_sack(), |config| config.mtu_probing = false);
    lab.write(1000);
    assert_eq!(lab.until(1000), ["400: 1:1001 PSH", "1000: 1:1001 PSH"]);
    assert_eq!(lab.ack(1001), NOTHING);
    assert_eq!((lab.info().rtt, lab.info().rto, lab.info().backoff), (100 * MS, 1200 * MS, 2));
    lab.write(1000);
    lab.silent_before(2200);
    assert_eq!(lab.until(2200), ["2200: 1001:2001 PSH"]);
    assert_eq!(lab.ack(2001), NOTHING);
    lab.write(1000);
    lab.until(2300);
    assert_eq!(lab.ack(3001), NOTHING);
    assert_eq!((lab.info().rto, lab.info().backoff), (300 * MS, 0));
}

/// With timestamps the echo names what was acknowledged: a sample of a retransmission too (RFC 7323, section 4.1).
#[test]
fn rfc_7323_section_4_1_an_echo_gives_a_sample_of_a_retransmission() {
    let mut lab = Lab::with(&Offer { timestamps: true, sack: false, ..Offer::default() }, |_| {});
    lab.write(988);
    assert_eq!(lab.until(400), ["400: 1:989 PSH"]);
    lab.until(440);
    assert_eq!(lab.ack_echo(989, 400), NOTHING);
    assert_eq!((lab.info().rtt, lab.info().backoff), (Duration::from_micros(92_500), 0), "7/8 * 100 + 1/8 * 40");
}

/// RFC 2018, section 8: "The sender MUST NOT discard data before being acknowledged by the Cumulative Acknowledgment Number": a
/// receiver that drops what it had `SACKed` gets it again.
#[test]
fn rfc_2018_section_8_a_receiver_that_reneges_is_survived() {
    let mut lab = in_flight(5, |config| config.mtu_probing = false);
    assert_eq!(lab.sack(1, &[(1001, 5001)]), ["1:1001"]);
    lab.until(300);
    // The hole is filled, and the receiver has nothing behind it.
    assert_eq!(lab.ack(1001), NOTHING);
    let mut acked = 1001;
    let mut again = Vec::new();
    while acked < 5001 {
        let at = lab.wire.host.next_at().expect("a timer").as_millis() + 1;
        again.extend(lab.until(at));
        lab.until(at + 100);
        acked += 1000;
        again.extend(lab.ack(acked));
    }
    for seq in [1001, 2001, 3001, 4001] {
        assert!(again.iter().any(|line| line.contains(&format!("{seq}:{}", seq + 1000))), "{again:?}");
    }
    assert_eq!(lab.info().unacked, 0);
}

/// RFC 6675, section 5.1: SACK marks outlive a timeout. What was `SACKed` is not sent again.
#[test]
fn rfc_6675_section_5_1_what_was_sacked_is_not_sent_again_after_a_timeout() {
    let mut lab = in_flight(5, |config| config.mtu_probing = false);
    assert_eq!(lab.sack(1, &[(1001, 2001), (3001, 5001)])[0], "1:1001");
    lab.said.clear();
    lab.until(60_000);
    assert!(lab.said.len() > 5);
    assert!(lab.said.iter().all(|said| {
        let seq = said.seq - (lab.syn_ack.seq + 0);
        seq == 1 || seq == 2001
    }));
}

/// RFC 3168, section 6.1.2: an ECE reduces cwnd once in a window of data, CWR says so, and new text is marked as ECN-capable.
#[test]
fn rfc_3168_section_6_1_2_an_echo_of_a_mark_reduces_cwnd_and_cwr_tells() {
    let offer = Offer { ecn: true, ..Offer::default() };
    let mut lab = ten_in_flight(&offer, |config| config.ecn = true);
    let mut ece = lab.segment(1001);
    ece.flags = ece.flags | tcplab::segment::Flags::ECE;
    assert_eq!(lab.feed(&ece), NOTHING);
    assert_eq!(lab.info().snd_cwnd, 5000, "half of the ten that were in flight before the ACK, as on Linux");
    assert_eq!(lab.ack(6001), ["10001:11001 CWR", "11001:12001"], "cwnd grows by a segment for a window of ACKs");
    assert_eq!(lab.ack(7001), ["12001:13001"], "CWR stands on one segment");
    let without = Lab::with(&offer, |_| {});
    assert!(!without.syn_ack.flags.contains(tcplab::segment::Flags::ECE), "ECN is off by default");
}
