//! What leaves when: the initial window, full-sized segments, Nagle's algorithm, PSH, the persist timer, restart after idle.

use super::lab::{Lab, MS, NOTHING, Offer};
use tcplab::congestion::by_name;
use tcplab::event::{HostEvent, Reason, TimerKind};
use tcplab::socket::SocketOption;
use tcplab::time::Duration;

/// Full segments of 1,000 bytes from `from` on.
fn full(from: u32, count: u32) -> Vec<String> {
    (0..count).map(|nth| format!("{}:{}", from + 1000 * nth, from + 1000 * (nth + 1))).collect()
}

/// RFC 6928, section 2: "the upper bound for the initial window will be min (10*MSS, max (2*MSS, 14600))".
#[test]
fn rfc_6928_section_2_the_initial_window_is_ten_segments_and_not_more_than_14600_bytes() {
    let mut lab = Lab::new();
    assert_eq!(lab.write(20_000), full(1, 10));
    assert_eq!(lab.info().snd_cwnd, 10_000);
    for (mss, mtu, segments, cwnd) in
        [(1460, 1500, 10, 14_600), (1461, 1501, 9, 14_600), (4000, 9000, 3, 14_600), (8960, 9000, 2, 17_920)]
    {
        let offer = Offer { mss, ..Offer::default() };
        let mut lab = Lab::with(&offer, |config| {
            config.mtu = mtu;
            config.snd_buf = Some(100_000);
        });
        assert_eq!((lab.write(50_000).len(), lab.info().snd_cwnd), (segments, cwnd), "MSS {mss}");
    }
}

/// RFC 6928, section 2: "If the SYN or SYN/ACK is lost, the initial window used by a sender after a correctly transmitted SYN
/// MUST be one segment". As Linux: after two losses.
#[test]
fn rfc_6928_section_2_after_two_lost_syn_acks_the_initial_window_is_one_segment() {
    for (rtt, segments) in [(900, 10), (1100, 10), (3100, 1)] {
        let mut wire = crate::common::wire::Wire::new(|_| {});
        let listener = wire.listen(1);
        let mut peer = crate::common::wire::Peer::new(4000);
        peer.half_open(&mut wire);
        wire.run_for(rtt * MS);
        assert_eq!(wire.feed(&peer.ack()), []);
        let (fd, _) = wire.host.accept(listener).expect("established");
        wire.host.write(fd, &[7; 16_000]).expect("write");
        assert_eq!(wire.drain().len(), segments, "after {rtt} ms");
    }
}

/// RFC 9293, section 3.8.6.2.1: a sender waits for full segments: the small writes of an application leave in them.
#[test]
fn rfc_9293_section_3_8_6_2_1_small_writes_leave_in_full_sized_segments() {
    let mut lab = Lab::new();
    assert_eq!(lab.write(300), ["1:301 PSH"]);
    for _ in 0..3 {
        assert_eq!(lab.write(300), NOTHING);
    }
    assert_eq!(lab.write(300), ["301:1301 PSH"], "four writes, of the last one 100 bytes");
    assert_eq!(lab.ack(301), ["1301:1501 PSH"]);
    assert_eq!(lab.ack(1501), NOTHING);
}

/// RFC 9293, section 3.8.6.2.1: "send data: (1) if a maximum-sized segment can be sent [...]; (3) or if at least a fraction Fs
/// of the maximum window can be sent"; (4) "the override timeout occurs".
#[test]
fn rfc_9293_section_3_8_6_2_1_a_window_of_less_than_a_segment_is_not_filled_before_the_override_timeout() {
    let mut lab = Lab::with(&Offer { window: 2500, ..Offer::default() }, |_| {});
    assert_eq!(lab.write(4000), full(1, 2));
    lab.until(200);
    assert_eq!(lab.window(999).ack(2001), NOTHING);
    // The RTO is 300 ms.
    lab.silent_before(500);
    assert_eq!(lab.until(500), ["500: 2001:3000"]);
    assert_eq!(lab.window(1000).ack(3000), ["3000:4000"]);
    assert_eq!(lab.window(1).ack(4000), ["4000:4001 PSH"], "all that is left fits");
}

/// RFC 9293, section 3.7.4, with Minshall's change: only an unacknowledged small segment holds a small one back.
#[test]
fn rfc_9293_section_3_7_4_nagle_with_minshalls_change() {
    let mut lab = Lab::new();
    assert_eq!(lab.write(1000), ["1:1001 PSH"]);
    assert_eq!(lab.write(100), ["1001:1101 PSH"], "a full segment in flight holds nothing back");
    assert_eq!(lab.write(100), NOTHING, "a small one does");
    assert_eq!(lab.ack(1001), NOTHING);
    assert_eq!(lab.write(899), NOTHING);
    assert_eq!(lab.write(1), ["1101:2101 PSH"], "a full segment is not held");
    assert_eq!(lab.write(10), NOTHING);
    assert_eq!(lab.ack(1101), ["2101:2111 PSH"]);
    assert_eq!(lab.ack(2111), NOTHING);
}

/// tcp(7), `TCP_NODELAY`: "segments are always sent as soon as possible, even if there is only a small amount of data."
#[test]
fn tcp_nodelay_holds_nothing_back_and_setting_it_sends_what_is_held() {
    let mut lab = Lab::on_host(|config| config.nodelay = true);
    for nth in 0..5 {
        assert_eq!(lab.write(10), [format!("{}:{} PSH", 1 + nth * 10, 11 + nth * 10)]);
    }
    let mut lab = Lab::new();
    assert_eq!(lab.write(10), ["1:11 PSH"]);
    assert_eq!(lab.write(10), NOTHING);
    assert_eq!(lab.set(SocketOption::NoDelay(true)), ["11:21 PSH"]);
}

/// tcp(7), `TCP_CORK`: "don't send out partial frames. All queued partial frames are sent when the option is cleared again.
/// [...] there is a 200 millisecond ceiling on the time for which output is corked by `TCP_CORK`."
#[test]
fn tcp_cork_holds_a_partial_segment_for_200_ms_or_until_it_is_cleared() {
    let mut lab = Lab::new();
    assert_eq!(lab.set(SocketOption::Cork(true)), NOTHING);
    assert_eq!(lab.write(999), NOTHING);
    lab.silent_before(300);
    assert_eq!(lab.until(300), ["300: 1:1000 PSH"]);
    assert!(lab.events.iter().any(|event| matches!(event, HostEvent::Timer { timer: TimerKind::Cork, .. })));
    assert_eq!(lab.ack(1000), NOTHING);
    assert_eq!(lab.write(1001), ["1000:2000"], "full segments leave");
    assert_eq!(lab.write(50), NOTHING);
    assert_eq!(lab.ack(2000), NOTHING, "the cork holds though nothing is in flight");
    assert_eq!(lab.set(SocketOption::Cork(false)), ["2000:2051 PSH"]);
    let mut lab = Lab::on_host(|config| config.cork_timeout = 50 * MS);
    lab.set(SocketOption::Cork(true));
    assert_eq!(lab.write(10), NOTHING);
    lab.silent_before(150);
    assert_eq!(lab.until(150), ["150: 1:11 PSH"]);
}

/// RFC 9293, section 3.9.1.2: PSH stands on the segment with the last byte of a write, also when it is sent again.
#[test]
fn rfc_9293_section_3_9_1_2_psh_stands_where_a_write_ends() {
    let mut lab = Lab::new();
    assert_eq!(lab.set(SocketOption::Cork(true)), NOTHING);
    assert_eq!(lab.write(500), NOTHING);
    assert_eq!(lab.write(3000), ["1:1001 PSH", "1001:2001", "2001:3001"]);
    assert_eq!(lab.write(500), ["3001:4001 PSH"], "two writes end in it");
    assert_eq!(lab.sack(1, &[(1001, 4001)]), ["1:1001 PSH"], "sent again");
    assert_eq!(lab.ack(4001), NOTHING);
}

/// RFC 9293, section 3.8.6.1: "The sending TCP peer must regularly transmit at least one octet of new data (if available), or
/// retransmit [...] with exponentially increasing intervals". As Linux: without text, at SND.UNA - 1.
#[test]
fn rfc_9293_section_3_8_6_1_a_closed_window_is_probed_at_snd_una_less_one_with_growing_intervals() {
    let mut lab = Lab::new();
    assert_eq!(lab.window(0).ack(1), NOTHING);
    assert_eq!(lab.write(100), NOTHING);
    // The RTO is 300 ms; the interval doubles.
    for at in [400, 1000, 2200, 4600] {
        lab.silent_before(at);
        assert_eq!(lab.until(at), [format!("{at}: 0 ack 1")]);
        assert_eq!(lab.ack(1), NOTHING, "the window stays closed");
        assert_eq!((lab.info().probes, lab.info().snd_wnd, lab.info().unacked), (0, 0, 0));
    }
    assert_eq!(lab.reasons(), [Some(Reason::Probe); 4]);
    assert_eq!(lab.window(1000).ack(1), ["1:101 PSH"]);
    assert_eq!(lab.reasons(), [Some(Reason::New)]);
    assert_eq!(lab.ack(101), NOTHING);
    assert_eq!(lab.until(100_000), NOTHING);
}

/// RFC 9293, section 3.8.6.1, and RFC 1122, section 4.2.2.17: "The time intervals between retransmitted probe segments SHOULD
/// increase exponentially": up to two minutes, as on Linux.
#[test]
fn rfc_1122_section_4_2_2_17_the_interval_of_probes_grows_to_two_minutes() {
    let mut lab = Lab::new();
    assert_eq!(lab.window(0).ack(1), NOTHING);
    assert_eq!(lab.write(100), NOTHING);
    let mut times = vec![100];
    while times.len() < 14 {
        let at = lab.wire.host.next_at().expect("the persist timer").as_millis();
        assert_eq!(lab.until(at), [format!("{at}: 0 ack 1")]);
        lab.ack(1);
        times.push(at);
    }
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let expected: Vec<u64> = (0..13).map(|doubled| (300 << doubled).min(120_000)).collect();
    assert_eq!(gaps, expected);
}

/// RFC 9293, section 3.8.6.1: the FIN waits for the window too, and leaves with it.
#[test]
fn rfc_9293_section_3_8_6_1_a_fin_waits_for_the_window() {
    let mut lab = Lab::new();
    assert_eq!(lab.window(0).ack(1), NOTHING);
    assert_eq!(lab.close(), NOTHING);
    assert_eq!(lab.until(400), ["400: 0 ack 1"]);
    assert_eq!(lab.window(1).ack(1), ["1 FIN"]);
    assert_eq!(lab.ack(2), NOTHING);
}

/// RFC 9293, section 3.10.7.4: "If SND.UNA =< SEG.ACK =< SND.NXT, the send window should be updated." An older ACK, though its
/// sequence number is newer, changes no window.
#[test]
fn rfc_9293_section_3_10_7_4_the_window_of_an_old_ack_is_not_taken() {
    let mut lab = Lab::new();
    assert_eq!(lab.write(3000).len(), 3);
    assert_eq!(lab.window(5000).ack(2001), NOTHING);
    let payload = [3; 10];
    for (ack, wnd) in [(1001, 5000), (2000, 5000), (2001, 400), (3001, 400)] {
        let old = tcplab::segment::SegmentTemplate { payload: &payload, window: 400, ..lab.segment(ack) };
        lab.feed(&old);
        lab.peer.nxt += 10;
        assert_eq!(lab.info().snd_wnd, wnd, "an ACK of {ack}");
    }
}

/// RFC 5681, section 4.1: "when TCP has not received a segment for more than one retransmission timeout, cwnd is reduced to the
/// value of the restart window (RW) before transmission begins."
#[test]
fn rfc_5681_section_4_1_after_an_idle_time_of_more_than_one_rto_the_window_is_the_initial_one() {
    for (restart, wait, segments) in [(true, 0, 20), (true, 350, 10), (false, 350, 20)] {
        let mut lab = Lab::on_host(|config| {
            config.idle_restart = restart;
            config.snd_buf = Some(100_000);
        });
        lab.write(10_000);
        lab.until(200);
        for nth in 1..=10 {
            assert_eq!(lab.ack(1 + 1000 * nth), NOTHING);
        }
        assert_eq!(lab.info().snd_cwnd, 20_000);
        let idle_from = lab.ms();
        let rto = lab.info().rto.as_millis() as u64;
        assert!(rto < 350, "{rto}");
        lab.until(idle_from + wait);
        assert_eq!(lab.write(30_000), full(10_001, segments), "after {wait} ms, restart {restart}");
    }
}

/// `tcp_wmem` and `SO_SNDBUF` apart: cwnd alone bounds what is in flight in slow start, and each ACK lets twice as much go.
#[test]
fn rfc_5681_section_3_1_slow_start_doubles_the_window_in_a_round_trip() {
    let mut lab = Lab::on_host(|config| config.snd_buf = Some(200_000));
    assert_eq!(lab.write(100_000), full(1, 10));
    lab.until(200);
    assert_eq!(lab.ack(1001), full(10_001, 2));
    assert_eq!(lab.ack(3001), full(12_001, 4));
    assert_eq!(lab.ack(10_001), full(16_001, 14));
    assert_eq!((lab.info().snd_cwnd, lab.info().unacked), (20_000, 20));
}

/// With pacing the initial window leaves at once, as on Linux; then one quantum at a time at twice cwnd / SRTT.
#[test]
fn pacing_spreads_what_the_window_admits_over_the_round_trip() {
    let mut lab = Lab::on_host(|config| {
        config.pacing = true;
        config.snd_buf = Some(200_000);
    });
    assert_eq!(lab.write(100_000), full(1, 10));
    lab.until(200);
    let at_once = lab.ack(10_001);
    let rate = lab.info().pacing_rate.expect("a rate");
    assert!(rate.abs_diff(2 * 20_000 * 10) < 8_000, "cwnd of 20,000, twice in 100 ms: {rate}");
    assert!(at_once.len() <= 3, "a quantum is two segments: {at_once:?}");
    let rest = lab.until(300);
    assert_eq!(at_once.len() + rest.len(), 20, "{rest:?}");
    let times: Vec<Duration> =
        lab.said[10..].iter().map(|said| said.at - tcplab::time::Instant::from_millis(200)).collect();
    for (nth, at) in times.iter().enumerate().skip(3) {
        let allowed = Duration::from_nanos((nth as u64 - 2) * 1_000_000_000 * 1000 / rate);
        assert!(*at + MS / 10 >= allowed, "segment {nth} leaves at {at:?}, not before {allowed:?}");
    }
    assert!(*times.last().expect("20") <= 55 * MS, "twice as fast as the round trip: {times:?}");
    let unpaced = Lab::new();
    assert_eq!(unpaced.info().pacing_rate, None);
}

/// tcp(7), `TCP_CONGESTION`: each socket has its own controller. A new one goes on from cwnd and ssthresh.
#[test]
fn tcp_congestion_changes_the_controller_of_one_socket_in_the_midst_of_a_flow() {
    let mut lab = Lab::new();
    lab.write(20_000);
    lab.until(200);
    assert_eq!(lab.sack(1, &[(1001, 4001)])[0], "1:1001");
    let before = lab.info();
    assert_eq!(lab.set(SocketOption::Congestion("reno".into())), NOTHING);
    let after = lab.info();
    assert_eq!((after.snd_cwnd, after.snd_ssthresh), (before.snd_cwnd, before.snd_ssthresh));
    assert_eq!(lab.set(SocketOption::Congestion("none".into())).len(), 10, "the window alone bounds it");
    assert!(lab.info().snd_cwnd >= 1 << 30);
}

/// RFC 9406, section 4.2: a growth of the RTT leads to Conservative Slow Start and out of slow start, without a loss.
#[test]
fn rfc_9406_section_4_2_slow_start_ends_when_the_delay_grows() {
    let slow_start = |growing: bool| {
        let offer = Offer { wscale: Some(7), window: 65_000, ..Offer::default() };
        let mut lab = Lab::with(&offer, |config| {
            config.snd_buf = Some(4_000_000);
            config.congestion = by_name("reno").expect("a controller");
        });
        lab.write(3_000_000);
        let (mut acked, mut sent) = (1, 10_001);
        for round in 0..9 {
            // All of the flight is acknowledged one delay after it left, segment by segment.
            let delay = if growing { 100 + 20 * round } else { 100 };
            lab.until(lab.ms() + delay);
            let end = sent;
            while acked < end && lab.info().snd_ssthresh == u64::MAX {
                acked += 1000;
                sent += 1000 * lab.ack(acked).len() as u32;
            }
        }
        lab.info().snd_ssthresh
    };
    assert_eq!(slow_start(false), u64::MAX, "cwnd has doubled nine times");
    let left = slow_start(true);
    assert!(left < 500_000, "{left}");
}
