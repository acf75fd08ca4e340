//! Rules that take more than one segment to show.

use core::time::Duration;

use tcplab::event::State;
use tcplab::segment::{Flags, Options, Seq, Timestamps};
use tcplab::socket::{Errno, Shutdown};

use crate::bare::{Seen, Setting, WINDOW, Wire};

const ACK: Flags = Flags::ACK;
const FIN: Flags = Flags(Flags::FIN.0 | Flags::ACK.0);
const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);

fn established(setting: Setting) -> Wire {
    Wire::established(setting, |_| {})
}

fn with_timestamps() -> impl Iterator<Item = Setting> {
    Setting::all().filter(|setting| setting.timestamps)
}

/// The answer is one ACK that says where the host stands.
#[track_caller]
fn is_ack_of(sent: &[Seen], wire: &Wire, ack: Seq) {
    let got: Vec<_> = sent.iter().map(|seen| (seen.flags, seen.seq, seen.ack, seen.payload.len())).collect();
    assert_eq!(got, [(ACK, wire.snd_nxt, ack, 0)], "{:?}", wire.setting);
}

fn octets(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|n| (n % 251) as u8).collect()
}

// ---- RFC 5961

#[test]
fn challenge_acks_are_limited_but_a_retransmission_is_always_acknowledged() {
    for setting in Setting::all() {
        let mut wire = established(setting);
        let (rcv, nxt) = (wire.rcv_nxt, wire.snd_nxt);
        is_ack_of(&wire.peer_says(Flags::RST, rcv + 1, Seq(0), b""), &wire, rcv);
        assert_eq!(wire.peer_says(Flags::RST, rcv + 2, Seq(0), b""), []);
        assert_eq!(wire.peer_says(Flags::SYN, rcv + 2, Seq(0), b""), []);
        assert_eq!(wire.peer_says(ACK, rcv, nxt + 1, b""), []);
        is_ack_of(&wire.peer_says(ACK, rcv, nxt, b"0123456789"), &wire, rcv + 10);
        for _ in 0..3 {
            is_ack_of(&wire.peer_says(ACK, rcv, nxt, b"0123456789"), &wire, rcv + 10);
        }
        wire.pass(Duration::from_millis(499));
        assert_eq!(wire.peer_says(Flags::RST, rcv + 11, Seq(0), b""), []);
        wire.pass(Duration::from_millis(1));
        is_ack_of(&wire.peer_says(Flags::RST, rcv + 11, Seq(0), b""), &wire, rcv + 10);
        assert_eq!(wire.state, State::Established);
    }
}

#[test]
fn a_peer_that_lost_its_connection_and_is_challenged_resets_the_old_one() {
    for setting in Setting::all() {
        let mut wire = established(setting);
        let challenge = wire.peer_says(Flags::SYN, wire.rcv_nxt + 5000, Seq(0), b"");
        is_ack_of(&challenge, &wire, wire.rcv_nxt);
        // RFC 9293, section 3.10.7.3: in SYN-SENT such an ACK is answered with <SEQ=SEG.ACK><CTL=RST>.
        assert_eq!(wire.peer_says(Flags::RST, challenge[0].ack, Seq(0), b""), []);
        assert_eq!((wire.state, wire.read()), (State::Closed, Err(Errno::ECONNRESET)));
    }
}

#[test]
fn a_reset_counts_whatever_its_acknowledgment_says() {
    for setting in Setting::all() {
        for ack in [0_u32, 1, 0x8000_0000, u32::MAX] {
            let mut wire = established(setting);
            assert_eq!(wire.peer_says(Flags::RST | ACK, wire.rcv_nxt, wire.snd_nxt + ack, b"why"), []);
            assert_eq!((wire.state, wire.read()), (State::Closed, Err(Errno::ECONNRESET)), "{setting:?} {ack}");
        }
    }
}

// ---- RFC 7323

#[test]
fn a_segment_with_an_old_timestamp_is_acknowledged_and_dropped_unless_it_is_a_reset() {
    for setting in with_timestamps() {
        let mut wire = established(setting);
        let rcv = wire.rcv_nxt;
        wire.ts_val = 500;
        is_ack_of(&wire.peer_says(ACK, rcv, wire.snd_nxt, b"stale"), &wire, rcv);
        is_ack_of_nothing(&mut wire);
        wire.ts_val = 500;
        assert_eq!(wire.peer_says(FIN, rcv, wire.snd_nxt, b""), [], "limited as challenge ACKs are");
        assert_eq!(wire.state, State::Established);
        wire.ts_val = 500;
        assert_eq!(wire.peer_says(Flags::RST, rcv, Seq(0), b""), []);
        assert_eq!(wire.state, State::Closed);
    }
}

#[track_caller]
fn is_ack_of_nothing(wire: &mut Wire) {
    assert_eq!(wire.read(), Err(Errno::EAGAIN), "nothing was taken");
}

#[test]
fn timestamps_wrap_around_and_are_outdated_after_24_days() {
    for setting in with_timestamps() {
        let mut wire = Wire::new(setting, |_| {});
        wire.ts_val = u32::MAX - 1;
        if setting.active {
            wire.connect();
            wire.timestamps = true;
            wire.peer_says(SYN_ACK, Seq(setting.irs), wire.iss + 1, b"");
        } else {
            wire.listen();
            wire.peer_says(Flags::SYN, Seq(setting.irs), Seq(0), b"");
            wire.peer_says(ACK, Seq(setting.irs) + 1, wire.snd_nxt, b"");
        }
        let rcv = wire.rcv_nxt;
        wire.ts_val = 3;
        is_ack_of(&wire.peer_says(ACK, rcv, wire.snd_nxt, b"0123456789"), &wire, rcv + 10);
        wire.ts_val = u32::MAX;
        is_ack_of(&wire.peer_says(ACK, rcv + 10, wire.snd_nxt, b"0123456789"), &wire, rcv + 10);
        wire.pass(Duration::from_hours(24 * 24 + 1));
        wire.ts_val = u32::MAX;
        is_ack_of(&wire.peer_says(ACK, rcv + 10, wire.snd_nxt, b"0123456789"), &wire, rcv + 20);
    }
}

#[test]
fn the_echo_is_of_the_segment_that_advanced_the_window_last() {
    for setting in with_timestamps() {
        let mut wire = established(setting);
        let (rcv, nxt) = (wire.rcv_nxt, wire.snd_nxt);
        wire.ts_val = 2000;
        let first = wire.peer_says(ACK, rcv, nxt, &octets(0, 10));
        assert_eq!(first[0].options.ts.map(|ts| ts.ts_ecr), Some(2000));
        // RFC 7323, section 4.3, case B: a hole in front of it, so that the old echo stays.
        wire.ts_val = 3000;
        let beyond = wire.peer_says(ACK, rcv + 20, nxt, &octets(20, 10));
        assert_eq!(beyond[0].options.ts.map(|ts| ts.ts_ecr), Some(2000), "{setting:?}");
        // Case C: the hole is filled.
        wire.ts_val = 3500;
        let filled = wire.peer_says(ACK, rcv + 10, nxt, &octets(10, 10));
        assert_eq!((filled[0].ack, filled[0].options.ts.map(|ts| ts.ts_ecr)), (rcv + 30, Some(3500)));
        assert_eq!(wire.read(), Ok(octets(0, 30)));
    }
}

/// RFC 7323, section 3.2, would rather have it dropped; Linux takes it too, and a middlebox that strips options must not
/// kill a connection.
#[test]
fn a_segment_that_lacks_its_timestamp_is_taken() {
    for setting in with_timestamps() {
        let mut wire = established(setting);
        let rcv = wire.rcv_nxt;
        let mut segment = wire.segment(ACK, rcv, wire.snd_nxt, b"0123456789");
        segment.options.ts = None;
        let sent = wire.deliver(&segment);
        is_ack_of(&sent, &wire, rcv + 10);
        wire.timestamps = true;
    }
}

#[test]
fn timestamps_and_scaling_that_were_not_offered_are_not_used() {
    for setting in Setting::all().filter(|setting| !setting.timestamps) {
        let mut wire = established(setting);
        let rcv = wire.rcv_nxt;
        let mut segment = wire.segment(ACK, rcv, wire.snd_nxt, b"0123456789");
        segment.options = Options { ts: Some(Timestamps { ts_val: 1, ts_ecr: 1 }), ..Options::default() };
        let sent = wire.deliver(&segment);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].options, Options::default());
        segment = wire.segment(ACK, rcv + 10, wire.snd_nxt, b"0123456789");
        segment.options = Options { ts: Some(Timestamps { ts_val: 0, ts_ecr: 1 }), ..Options::default() };
        is_ack_of(&wire.deliver(&segment), &wire, rcv + 20);
    }
}

// ---- the right edge of the window, the FIN, old acknowledgments

#[test]
fn what_is_cut_off_at_the_right_edge_comes_again_and_nothing_is_lost() {
    for setting in Setting::all() {
        for old in [0, 1] {
            let mut wire = established(setting);
            wire.write(b"x");
            let (rcv, ack) = (wire.rcv_nxt, wire.snd_nxt - old);
            let all = octets(0, 1250);
            let sent = wire.peer_says(FIN, rcv, ack, &all);
            is_ack_of(&sent, &wire, rcv + u32::from(WINDOW));
            assert_eq!((sent[0].window, wire.state), (0, State::Established));
            assert_eq!(wire.read().as_deref(), Ok(&all[..1000]));
            is_ack_of(&wire.sent(), &wire, rcv + 1000);
            is_ack_of(&wire.peer_says(FIN, rcv + 1000, ack, &all[1000..]), &wire, rcv + 1251);
            assert_eq!(wire.read().as_deref(), Ok(&all[1000..]));
            assert_eq!((wire.state, wire.read()), (State::CloseWait, Ok(Vec::new())));
        }
    }
}

#[test]
fn a_closed_window_takes_no_data_and_answers_every_probe() {
    for setting in Setting::all() {
        let mut wire = established(setting);
        let (rcv, nxt) = (wire.rcv_nxt, wire.snd_nxt);
        wire.peer_says(ACK, rcv, nxt, &octets(0, 1000));
        assert_eq!((wire.rcv_nxt, wire.rcv_edge), (rcv + 1000, rcv + 1000));
        for _ in 0..3 {
            is_ack_of(&wire.peer_says(ACK, rcv + 1000, nxt, b"p"), &wire, rcv + 1000);
        }
        // ACK and RST count although the window is closed (RFC 9293, section 3.10.7.4).
        wire.host.set_now(wire.now);
        assert_eq!(wire.write(b"down").len(), 1);
        let nxt = wire.snd_nxt;
        assert_eq!(wire.peer_says(ACK, rcv + 1000, nxt, b""), []);
        assert_eq!(wire.host.tcp_info(wire.fd()).map(|info| info.unacked), Ok(0));
        // DEPARTS: a FIN does not fit into a closed window. Taken, as in Linux: it takes no room.
        is_ack_of(&wire.peer_says(FIN, rcv + 1000, nxt, b""), &wire, rcv + 1001);
        assert_eq!(wire.state, State::CloseWait);
        assert_eq!(wire.read(), Ok(octets(0, 1000)));
    }
}

#[test]
fn nothing_comes_after_a_fin() {
    for setting in Setting::all() {
        let mut wire = established(setting);
        let (rcv, nxt) = (wire.rcv_nxt, wire.snd_nxt);
        is_ack_of(&wire.peer_says(FIN, rcv, nxt, b"end"), &wire, rcv + 4);
        assert_eq!(wire.peer_says(ACK, rcv + 4, nxt, b"more"), []);
        assert_eq!(wire.peer_says(FIN, rcv + 4, nxt, b"more"), []);
        is_ack_of(&wire.peer_says(FIN, rcv, nxt, b"end"), &wire, rcv + 4);
        assert_eq!(wire.read(), Ok(b"end".to_vec()));
        assert_eq!((wire.read(), wire.state), (Ok(Vec::new()), State::CloseWait));
    }
}

#[test]
fn data_with_an_old_acknowledgment_is_taken_once_and_the_acknowledgment_is_not() {
    for setting in Setting::all() {
        let mut wire = established(setting);
        let rcv = wire.rcv_nxt;
        wire.write(&octets(0, 300));
        let nxt = wire.snd_nxt;
        wire.peer_says(ACK, rcv, nxt - 100, b"");
        is_ack_of(&wire.peer_says(ACK, rcv, nxt - 200, b"late"), &wire, rcv + 4);
        is_ack_of(&wire.peer_says(ACK, rcv, nxt - 300, b"late"), &wire, rcv + 4);
        assert_eq!(wire.read(), Ok(b"late".to_vec()));
        let unacked = wire.host.tcp_info(wire.fd()).expect("info").unacked;
        assert_eq!(unacked, 1, "100 bytes are still in flight");
        assert_eq!(wire.peer_says(ACK, rcv + 4, nxt, b""), []);
        assert_eq!(wire.host.tcp_info(wire.fd()).expect("info").unacked, 0);
    }
}

#[test]
fn a_window_from_an_older_segment_is_not_believed() {
    for setting in Setting::all() {
        let mut wire = established(setting);
        let (rcv, nxt) = (wire.rcv_nxt, wire.snd_nxt);
        let mut newer = wire.segment(ACK, rcv + 10, nxt, b"newer");
        newer.window = 500;
        wire.deliver(&newer);
        let mut older = wire.segment(ACK, rcv, nxt, b"0123456789");
        older.window = 0;
        is_ack_of(&wire.deliver(&older), &wire, rcv + 15);
        let sent = wire.write(&octets(0, 600));
        assert_eq!(sent.iter().map(|seen| seen.payload.len()).sum::<usize>(), 500, "{setting:?}");
    }
}

#[test]
fn data_for_an_application_that_has_gone_is_answered_with_a_reset() {
    for setting in Setting::all() {
        let mut wire = established(setting);
        let (fd, rcv) = (wire.fd(), wire.rcv_nxt);
        wire.host.close(fd).expect("close");
        assert_eq!(wire.one().flags, FIN);
        let nxt = wire.snd_nxt;
        let reset = wire.peer_says(ACK, rcv, nxt - 1, b"hello?");
        assert_eq!(reset.len(), 1);
        // The connection is gone, so the answer is that of CLOSED (RFC 9293, section 3.10.7.1): SEQ is SEG.ACK.
        assert_eq!((reset[0].flags, reset[0].seq), (Flags::RST, nxt - 1), "{reset:?}");
        assert_eq!(wire.state, State::Closed);
    }
}

// ---- both at once

#[test]
fn a_simultaneous_open_needs_three_segments_from_each_side() {
    for setting in Setting::all().filter(|setting| setting.active) {
        let mut wire = Wire::new(setting, |_| {});
        wire.connect();
        let (fd, irs) = (wire.fd(), Seq(setting.irs));
        let syn_ack = wire.peer_says(Flags::SYN, irs, Seq(0), b"");
        assert_eq!(syn_ack.len(), 1);
        assert_eq!((syn_ack[0].flags, syn_ack[0].seq, syn_ack[0].ack), (SYN_ACK, wire.iss, irs + 1));
        assert_eq!(wire.host.connect(fd, wire.peer), Err(Errno::EALREADY));
        assert_eq!(wire.peer_says(SYN_ACK, irs, wire.iss + 1, b""), []);
        assert_eq!((wire.state, wire.host.connect(fd, wire.peer)), (State::Established, Ok(())));
        is_ack_of(&wire.peer_says(ACK, irs + 1, wire.iss + 1, b"hello"), &wire, irs + 6);
        assert_eq!(wire.read(), Ok(b"hello".to_vec()));
    }
}

#[test]
fn a_simultaneous_close_goes_through_closing_to_time_wait() {
    for setting in Setting::all() {
        let mut wire = established(setting);
        let (fd, rcv) = (wire.fd(), wire.rcv_nxt);
        wire.host.shutdown(fd, Shutdown::Write).expect("shutdown");
        wire.one();
        let nxt = wire.snd_nxt;
        is_ack_of(&wire.peer_says(FIN, rcv, nxt - 1, b""), &wire, rcv + 1);
        assert_eq!(wire.state, State::Closing);
        assert_eq!(wire.peer_says(ACK, rcv + 1, nxt, b""), []);
        assert_eq!(wire.state, State::TimeWait);
    }
}

#[test]
fn time_wait_acknowledges_a_fin_that_comes_again_and_begins_anew() {
    for setting in Setting::all() {
        let mut wire = established(setting);
        let (fd, rcv) = (wire.fd(), wire.rcv_nxt);
        wire.host.shutdown(fd, Shutdown::Write).expect("shutdown");
        wire.one();
        let nxt = wire.snd_nxt;
        wire.peer_says(FIN, rcv, nxt, b"");
        assert_eq!(wire.state, State::TimeWait);
        wire.pass(Duration::from_secs(59));
        is_ack_of(&wire.peer_says(FIN, rcv, nxt, b""), &wire, rcv + 1);
        is_ack_of(&wire.peer_says(FIN, rcv, nxt, b""), &wire, rcv + 1);
        wire.pass(Duration::from_secs(59));
        wire.host.handle_timeout(wire.now);
        wire.silent();
        assert_eq!(wire.state, State::TimeWait);
        wire.pass(Duration::from_secs(1));
        wire.host.handle_timeout(wire.now);
        wire.silent();
        assert_eq!(wire.state, State::Closed);
    }
}

// ---- what smoltcp alone would never recover from

#[track_caller]
fn fire_timer(wire: &mut Wire) -> Vec<Seen> {
    let at = wire.host.next_at().expect("a timer runs");
    wire.now = wire.now.max(at);
    wire.host.handle_timeout(wire.now);
    wire.sent()
}

#[test]
fn an_ack_after_a_timeout_carries_snd_nxt_as_far_as_the_window_reaches() {
    for setting in Setting::all() {
        let mut wire = Wire::established(setting, |config| config.mtu = 1280);
        let rcv = wire.rcv_nxt;
        wire.write(&octets(0, 900));
        let nxt = wire.snd_nxt;
        let again = fire_timer(&mut wire);
        assert_eq!((again[0].seq, wire.snd_nxt), (wire.snd_una, nxt));
        // The window closes over bytes in flight. SND.NXT lies outside of it, and an ACK that says so would not be
        // acceptable: it says the right edge.
        let mut closed = wire.segment(ACK, rcv, wire.snd_una, b"");
        closed.window = 1;
        wire.deliver(&closed);
        fire_timer(&mut wire);
        let mut data = wire.segment(ACK, rcv, wire.snd_una, b"hello");
        data.window = 1;
        let una = wire.snd_una;
        let acks = wire.deliver(&data);
        assert_eq!(
            acks.iter().map(|seen| (seen.flags, seen.seq, seen.ack)).collect::<Vec<_>>(),
            [(ACK, una + 1, rcv + 5)]
        );
    }
}

#[test]
fn a_window_that_closes_over_bytes_in_flight_stops_no_retransmission() {
    for setting in Setting::all() {
        let mut wire = established(setting);
        // One segment: half of the largest window is full-sized.
        wire.write(&octets(0, 500));
        let (rcv, una, nxt) = (wire.rcv_nxt, wire.snd_una, wire.snd_nxt);
        let mut closed = wire.segment(ACK, rcv, una + 100, b"");
        closed.window = 0;
        assert_eq!(wire.deliver(&closed), []);
        let open = wire.segment(ACK, rcv, una + 100, b"");
        wire.deliver(&open);
        let mut got = 100;
        for _ in 0..5 {
            for seen in fire_timer(&mut wire) {
                assert!(seen.seq <= una + got, "no hole");
                got = got.max(seen.seq + seen.payload.len() as u32 - una);
            }
        }
        assert_eq!(una + got, nxt, "everything was sent again");
    }
}

#[test]
fn a_fin_is_retransmitted_however_often_the_byte_before_it_is_acknowledged() {
    for setting in Setting::all() {
        let mut wire = established(setting);
        let (fd, rcv) = (wire.fd(), wire.rcv_nxt);
        wire.host.shutdown(fd, Shutdown::Write).expect("shutdown");
        wire.one();
        let una = wire.snd_una;
        // The third duplicate ACK calls for a fast retransmission (RFC 5681, section 3.2), others for nothing.
        let fast: Vec<_> = [rcv, rcv, rcv, rcv, rcv + 1, rcv + 1, rcv + 1, rcv + 1]
            .into_iter()
            .flat_map(|seq| wire.peer_says(ACK, seq, una, b""))
            .map(|seen| (seen.flags, seen.seq))
            .collect();
        assert_eq!(fast, [(FIN, una)]);
        for _ in 0..4 {
            wire.peer_says(FIN, rcv + 1, una, b"");
        }
        let again: Vec<_> = fire_timer(&mut wire).iter().map(|seen| (seen.flags, seen.seq)).collect();
        assert_eq!(again, [(FIN, una)]);
    }
}
