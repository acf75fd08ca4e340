//! What is acknowledged when, and how: SACK and DSACK blocks, immediate and delayed ACKs, the FIN beyond a hole, options.

use super::lab::{Lab, MS, NOTHING, Offer};
use crate::common::wire::{FIN_ACK, PSH_ACK};
use tcplab::event::{HostEvent, State, TimerKind};
use tcplab::segment::SegmentTemplate;
use tcplab::socket::{Shutdown, SocketOption};

/// A host that has used up its quick ACKs: 16 segments are acknowledged, and the next one begins at 16,001.
fn without_quick_acks(offer: &Offer) -> Lab {
    let mut lab = Lab::with(offer, |_| {});
    for nth in 0..16 {
        assert_eq!(lab.data(1 + nth * 1000, 1000).len(), 1);
        assert_eq!(lab.read(1000), (Ok(1000), vec![]));
    }
    lab
}

/// RFC 2018, section 4: "The first SACK block MUST specify the contiguous block of data containing the segment which triggered
/// this ACK"; section 3: four blocks fit, three beside timestamps.
#[test]
fn rfc_2018_section_4_the_newest_block_is_first_and_four_fit_without_timestamps_and_three_with() {
    for (timestamps, most) in [(false, 4), (true, 3)] {
        let mut lab = Lab::with(&Offer { timestamps, ..Offer::default() }, |_| {});
        let mut expected = Vec::new();
        for from in [1001, 3001, 5001, 7001, 9001, 11_001] {
            expected.insert(0, format!("{from}:{}", from + 1000));
            let blocks = expected.iter().take(most).cloned().collect::<Vec<_>>().join(" ");
            assert_eq!(lab.data(from, 1000), [format!("1 ack 1 sack {blocks}")]);
        }
        // A segment that joins two blocks is first with both; the others follow in their order.
        let all = ["1001:4001", "11001:12001", "9001:10001", "7001:8001"];
        assert_eq!(lab.data(2001, 1000), [format!("1 ack 1 sack {}", all[..most].join(" "))]);
        // The hole is filled. As Linux, the host remembers four blocks: the oldest is not repeated.
        assert_eq!(lab.data(1, 1000), ["1 ack 4001 sack 11001:12001 9001:10001 7001:8001 win 56000"]);
    }
}

/// RFC 2018, section 2: without SACK-permitted on both SYNs no SACK is sent.
#[test]
fn rfc_2018_section_2_without_sack_permitted_no_block_is_sent() {
    let mut lab = Lab::with(&Offer { sack: false, ..Offer::default() }, |_| {});
    assert_eq!(lab.data(1001, 1000), ["1 ack 1"]);
    let mut lab = Lab::on_host(|config| config.sack = false);
    assert!(!lab.syn_ack.options.sack_permitted);
    assert_eq!(lab.data(1001, 1000), ["1 ack 1"]);
}

/// RFC 2883, section 4: a segment that came before is reported by the first block, once, below the ACK or within the second
/// block.
#[test]
fn rfc_2883_section_4_a_duplicate_is_reported_by_the_first_block_and_once() {
    let mut lab = Lab::new();
    assert_eq!(lab.data(1, 1000), ["1 ack 1001 win 59000"]);
    assert_eq!(lab.data(1, 1000), ["1 ack 1001 sack 1:1001"], "section 4.1.1");
    assert_eq!(lab.data(3001, 1000), ["1 ack 1001 sack 3001:4001"]);
    assert_eq!(lab.data(3001, 1000), ["1 ack 1001 sack 3001:4001 3001:4001"], "section 4.2.1: beyond a hole");
    assert_eq!(lab.data(3501, 1000), ["1 ack 1001 sack 3501:4001 3001:4501"], "section 4.2.2: a part of it");
    assert_eq!(lab.data(501, 1000), ["1 ack 1501 sack 501:1001 3001:4501 win 58500"], "a part of a segment");
    assert_eq!(lab.data(1501, 1500), ["1 ack 4501 win 55500"]);
    let mut lab = Lab::on_host(|config| config.dsack = false);
    assert_eq!(lab.data(1, 1000), ["1 ack 1001 win 59000"]);
    assert_eq!(lab.data(1, 1000), ["1 ack 1001"]);
}

/// RFC 9293, section 3.10.7.4: a FIN beyond a hole is kept, and counts once the hole is filled. RFC 2018, section 3: its
/// sequence number is in the block, so that it is not sent again.
#[test]
fn rfc_2018_section_3_a_fin_beyond_a_hole_is_kept_and_its_number_is_in_the_block() {
    let mut lab = Lab::new();
    assert_eq!(lab.data_with(1001, 500, FIN_ACK), ["1 ack 1 sack 1001:1502"]);
    assert_eq!(lab.data_with(1001, 500, FIN_ACK), ["1 ack 1 sack 1001:1502 1001:1502"], "again: a DSACK with the FIN");
    assert_eq!(lab.info().state, State::Established);
    assert_eq!(lab.data(1, 1000), ["1 ack 1502 win 58500"]);
    assert_eq!(lab.info().state, State::CloseWait);
    assert_eq!(lab.read(9999), (Ok(1500), vec![]), "no window update after the FIN");
    assert_eq!(lab.read(9999), (Ok(0), vec![]));
    assert_eq!(lab.until(100_000), NOTHING);
}

/// RFC 5681, section 4.2: "A TCP receiver SHOULD send an immediate duplicate ACK when an out-of-order segment arrives", also
/// for a bare FIN beyond a hole.
#[test]
fn rfc_5681_section_4_2_a_bare_fin_beyond_a_hole_is_acknowledged_at_once() {
    let mut lab = without_quick_acks(&Offer::default());
    assert_eq!(lab.fin(17_001), ["1 ack 16001 sack 17001:17002 win 60000"]);
    assert_eq!(lab.data(16_001, 999), ["1 ack 17000 sack 17001:17002 win 59001"]);
    assert_eq!(lab.data(17_000, 1), ["1 ack 17002 win 59000"]);
    assert_eq!(lab.info().state, State::CloseWait);
    let mut lab = Lab::with(&Offer { sack: false, ..Offer::default() }, |_| {});
    assert_eq!(lab.fin(1001), ["1 ack 1"]);
    assert_eq!(lab.data(1, 1000), ["1 ack 1002 win 59000"]);
}

/// RFC 5681, section 4.2: an ACK goes at once for a segment out of order and for one "that fills in all or part of a gap", and
/// for at least every second full-sized segment in order.
#[test]
fn rfc_5681_section_4_2_immediate_acks() {
    let mut lab = without_quick_acks(&Offer::default());
    assert_eq!(lab.data(16_001, 1000), NOTHING, "a first segment in order is delayed");
    assert_eq!(lab.read(1000), (Ok(1000), vec![]));
    assert_eq!(lab.data(17_001, 1000), ["1 ack 18001"], "a second one is not");
    assert_eq!(lab.read(1000), (Ok(1000), vec![]));
    assert_eq!(lab.data(19_001, 1000), ["1 ack 18001 sack 19001:20001 win 60000"], "out of order");
    assert_eq!(lab.data(21_001, 1000), ["1 ack 18001 sack 21001:22001 19001:20001"]);
    assert_eq!(lab.data(18_001, 400), ["1 ack 18401 sack 21001:22001 19001:20001 win 59600"], "a part of the gap");
    assert_eq!(lab.data(18_401, 600), ["1 ack 20001 sack 21001:22001 win 58000"], "the gap");
    assert_eq!(lab.data(20_001, 1000), ["1 ack 22001 win 56000"]);
    assert_eq!(lab.data(22_001, 1000), NOTHING);
    assert_eq!(lab.data(16_001, 1000), ["1 ack 23001 sack 16001:17001 win 55000"], "an old segment");
    assert_eq!(lab.data(23_001, 100), NOTHING);
    assert_eq!(lab.data_with(23_101, 0, FIN_ACK), ["1 ack 23102 win 54900"], "a FIN");
}

/// RFC 9293, section 3.8.6.3: "the delay MUST be less than 0.5 seconds". Linux: 40 ms at least (`TCP_DELACK_MIN`).
#[test]
fn rfc_9293_section_3_8_6_3_an_ack_is_delayed_by_40_ms_and_not_more() {
    let mut lab = without_quick_acks(&Offer::default());
    let begin = lab.ms();
    assert_eq!(lab.data(16_001, 1000), NOTHING);
    assert!(lab.info().rtt > 40 * MS);
    lab.silent_before(begin + 40);
    assert_eq!(lab.until(begin + 40), [format!("{}: 1 ack 17001", begin + 40)]);
    assert!(lab.events.iter().any(|event| matches!(event, HostEvent::Timer { timer: TimerKind::DelayedAck, .. })));
    assert_eq!(lab.until(begin + 10_000), NOTHING);
}

/// Linux (`tcp_send_delayed_ack`): the delay grows with the time between segments, up to the setting of the host.
#[test]
fn rfc_9293_section_3_8_6_3_the_delay_adapts_to_the_arrivals_up_to_its_limit() {
    // Segments of 100 bytes, 250 ms apart. Each ACK that leaves by its timer doubles the delay, up to SRTT or to the setting.
    for (most, expected) in [(60, [40, 60, 60, 60]), (200, [40, 80, 100, 100])] {
        let mut lab = Lab::on_host(|config| {
            config.ack_delay_max = most * MS;
            config.quick_acks = 0;
        });
        let delays: [u64; 4] = std::array::from_fn(|nth| {
            let begin = lab.ms();
            assert_eq!(lab.data(1 + nth as u32 * 100, 100), NOTHING);
            assert_eq!(lab.until(begin + 250).len(), 1);
            assert_eq!(lab.read(100), (Ok(100), vec![]));
            lab.said.last().expect("an ACK").at.as_millis() - begin
        });
        assert_eq!(delays, expected, "a limit of {most} ms");
    }
}

/// Linux (`tcp_enter_quickack_mode`): the first 16 segments are acknowledged at once; a pause of more than an RTO begins anew.
#[test]
fn quick_acks_are_sixteen_at_first_and_again_after_a_pause() {
    let mut lab = without_quick_acks(&Offer::default());
    assert_eq!(lab.data(16_001, 1000), NOTHING, "the seventeenth is delayed");
    lab.until(lab.ms() + 10_000);
    assert_eq!(lab.data(17_001, 1000), ["1 ack 18001 win 58000"]);
    assert_eq!(lab.data(18_001, 1000), ["1 ack 19001 win 57000"]);
    for (quick_acks, at_once) in [(0, 0), (1, 1), (3, 3)] {
        let mut lab = Lab::on_host(|config| config.quick_acks = quick_acks);
        let mut said = 0;
        for nth in 0..10 {
            said += lab.data(1 + nth * 100, 100).len();
        }
        assert_eq!(said, at_once, "a setting of {quick_acks}");
    }
}

/// `TCP_QUICKACK`, and a host without delays.
#[test]
fn tcp_quickack_and_no_ack_delay_acknowledge_each_segment() {
    let mut lab = without_quick_acks(&Offer::default());
    assert_eq!(lab.data(16_001, 100), NOTHING);
    assert_eq!(lab.set(SocketOption::QuickAck(true)), ["1 ack 16101 win 59900"]);
    for nth in 0..20 {
        assert_eq!(lab.data(16_101 + nth * 10, 10).len(), 1);
    }
    let mut lab = Lab::on_host(|config| config.ack_delay = None);
    for nth in 0..40 {
        assert_eq!(lab.data(1 + nth * 10, 10).len(), 1);
    }
}

/// A delayed ACK that is owed leaves also when the state changes: with our FIN, or by its timer.
#[test]
fn no_ack_is_lost_when_the_state_changes() {
    let mut lab = without_quick_acks(&Offer::default());
    assert_eq!(lab.data(16_001, 100), NOTHING);
    lab.wire.host.shutdown(lab.fd, Shutdown::Write).expect("shutdown");
    let begin = lab.ms();
    assert_eq!(lab.until(begin), [format!("{begin}: 1 FIN ack 16101 win 59900")]);
    assert_eq!(lab.data(16_101, 100), NOTHING);
    // The ACK of our FIN moves the state to FIN-WAIT-2; the ACK of the text leaves by its timer.
    assert_eq!(lab.ack(2), NOTHING);
    assert_eq!(lab.info().state, State::FinWait2);
    assert_eq!(lab.until(begin + 200), [format!("{}: 2 ack 16201 win 59800", begin + 40)]);
    // Text and FIN in FIN-WAIT-2: TIME-WAIT, and one ACK of both.
    assert_eq!(lab.data_with(16_201, 10, FIN_ACK), ["2 ack 16212 win 59790"]);
    assert_eq!(lab.info().state, State::TimeWait);
}

/// RFC 9293, section 3.10.7.4: text with the peer's FIN that crosses ours is acknowledged at once in CLOSING and TIME-WAIT.
#[test]
fn rfc_9293_section_3_6_text_and_fin_that_cross_our_fin_are_acknowledged_at_once() {
    let mut lab = Lab::new();
    lab.wire.host.shutdown(lab.fd, Shutdown::Write).expect("shutdown");
    assert_eq!(lab.until(100), ["100: 1 FIN"]);
    assert_eq!(lab.data_with(1, 48, FIN_ACK), ["2 ack 50 win 59952"]);
    assert_eq!(lab.info().state, State::Closing);
    assert_eq!(lab.ack(2), NOTHING);
    assert_eq!(lab.info().state, State::TimeWait);
    assert_eq!(lab.read(100), (Ok(48), vec![]));
}

/// RFC 9293, section 3.1: an option of impossible length ends the option list. As on Linux the segment counts.
#[test]
fn rfc_9293_section_3_1_an_option_of_impossible_length_ends_the_list_and_the_segment_counts() {
    for len in [0, 1, 3, 40] {
        let mut lab = Lab::with(&Offer { timestamps: true, ..Offer::default() }, |_| {});
        let segment = lab.segment(1);
        let mut bytes = SegmentTemplate { payload: b"text", ..segment }.to_bytes();
        // NOP, NOP, timestamps: the length of the timestamps is wrong.
        assert_eq!(bytes[40..44], [1, 1, 8, 10]);
        bytes[43] = len;
        fix_checksum(&mut bytes);
        let mut packet = tcplab::segment::Packet::new(bytes);
        lab.wire.host.handle_packet(lab.wire.now, &mut packet);
        let at = lab.ms();
        assert_eq!(lab.until(at), [format!("{at}: 1 ack 5 win 59996")], "a length of {len}");
        assert_eq!(lab.read(9), (Ok(4), vec![]));
    }
}

/// Sets the TCP checksum of an IPv4 packet.
fn fix_checksum(bytes: &mut [u8]) {
    bytes[36..38].fill(0);
    let len = bytes.len() as u32 - 20;
    let words = |bytes: &[u8]| -> u32 {
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum()
    };
    let mut sum = words(&bytes[12..]) + 6 + len;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[36..38].copy_from_slice(&(!sum as u16).to_be_bytes());
}

/// RFC 9293, section 3.8.6.2.2: the window of a receiver opens by a segment or by half of the buffer, and an update leaves when
/// it has doubled (Linux) or by two segments (BSD).
#[test]
fn rfc_9293_section_3_8_6_2_2_a_closed_window_opens_with_an_update_and_not_by_a_few_bytes() {
    let mut lab = Lab::on_host(|config| config.rcv_buf = Some(4000));
    for nth in 0..4 {
        assert_eq!(lab.data(1 + nth * 1000, 1000), [format!("1 ack {} win {}", 1001 + nth * 1000, 3000 - nth * 1000)]);
    }
    assert_eq!(lab.read(999), (Ok(999), vec![]));
    assert_eq!(lab.read(1), (Ok(1), vec!["1 ack 4001 win 1000".to_owned()]));
    assert_eq!(lab.read(999), (Ok(999), vec![]));
    assert_eq!(lab.read(1), (Ok(1), vec!["1 ack 4001 win 2000".to_owned()]));
    assert_eq!(lab.read(1999), (Ok(1999), vec![]));
    assert_eq!(lab.read(1), (Ok(1), vec!["1 ack 4001 win 4000".to_owned()]));
    assert_eq!(lab.data_with(4001, 1500, PSH_ACK), ["1 ack 5501 win 2500"]);
    assert_eq!(lab.read(1500), (Ok(1500), vec![]), "more than half of the buffer is open");
}

/// RFC 2018, section 4: an ACK with text carries SACK blocks too, if they fit; a full-sized one has room left for them.
#[test]
fn rfc_2018_section_4_text_carries_the_blocks_and_leaves_room_for_them() {
    let mut lab = Lab::new();
    assert_eq!(lab.data(1001, 1000), ["1 ack 1 sack 1001:2001"]);
    // 12 bytes of option: full-sized is 988 now.
    assert_eq!(lab.write(1000), ["1:989 sack 1001:2001", "989:1001 PSH sack 1001:2001"]);
    assert_eq!(lab.data(1, 1000), ["1001 ack 2001 win 58000"]);
}
