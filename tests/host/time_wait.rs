//! TIME-WAIT (RFC 9293, sections 3.6 and 3.10.7.4): how a connection comes to it, how long it stays, what it answers, and
//! who may use the tuple again (RFC 6191).

use std::net::SocketAddr;

use crate::common;
use crate::common::wire::{ACK, ALMOST_A_MINUTE, FIN_ACK, Peer, RST, Said, Wire, accepted, nothing, only, secs};
use tcplab::event::State;
use tcplab::segment::{Options, SegmentTemplate, Seq, Timestamps};
use tcplab::socket::{Domain, Errno, Fd, Shutdown, SocketOption, Type};
use tcplab::time::{Duration, Instant};

const NS: Duration = Duration::from_nanos(1);
const MS: Duration = Duration::from_millis(1);

/// Port 80 listens, one connection is accepted.
fn connected(peer: &mut Peer) -> (Wire, Fd, Fd) {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(8);
    let fd = accepted(&mut wire, listener, peer);
    (wire, listener, fd)
}

/// The host closes first; both FINs are exchanged and acknowledged. Gives the last ACK.
#[track_caller]
fn close_actively(wire: &mut Wire, fd: Fd, peer: &mut Peer) -> Said {
    wire.host.close(fd).expect("close");
    let fin = only(wire.drain());
    assert!(fin.is(FIN_ACK), "{fin:?}");
    assert_eq!(fin.seq, peer.rcv);
    peer.rcv += 1;
    nothing(&wire.feed(&peer.ack()));
    let ack = only(wire.feed(&peer.segment(FIN_ACK)));
    peer.nxt += 1;
    assert_pure_ack(&ack, peer);
    ack
}

/// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`
#[track_caller]
fn assert_pure_ack(said: &Said, peer: &Peer) {
    assert!(said.is(ACK) && said.payload.is_empty(), "{said:?}");
    assert_eq!((said.seq, said.ack), (peer.rcv, peer.nxt));
}

/// A connection in TIME-WAIT since now.
fn waiting(peer: &mut Peer) -> (Wire, Fd) {
    let (mut wire, listener, fd) = connected(peer);
    close_actively(&mut wire, fd, peer);
    wire.states();
    (wire, listener)
}

/// Asserts that the record is still there: a retransmitted FIN is acknowledged (which begins the wait again).
#[track_caller]
fn assert_waits(wire: &mut Wire, peer: &Peer) {
    assert_pure_ack(&only(wire.feed(&fin_again(peer))), peer);
}

fn fin_again(peer: &Peer) -> SegmentTemplate<'static> {
    SegmentTemplate { seq: peer.nxt - 1, ..peer.segment(FIN_ACK) }
}

// ---- the ways to it

#[test]
fn who_closes_first_waits_for_60_seconds_and_not_a_nanosecond_more() {
    let mut peer = Peer::new(4001);
    let (mut wire, _, fd) = connected(&mut peer);
    wire.run_until(Instant::from_secs(5));
    wire.states();
    close_actively(&mut wire, fd, &mut peer);
    assert_eq!(wire.states(), [State::FinWait1, State::FinWait2, State::TimeWait]);
    wire.silent_for(ALMOST_A_MINUTE);
    assert_eq!(wire.states(), []);
    wire.silent_for(NS);
    assert_eq!(wire.states(), [State::Closed]);
    assert_eq!(wire.host.next_at(), None);
    let rst = only(wire.feed(&fin_again(&peer)));
    assert!(rst.is(RST), "nobody is there any more: {rst:?}");
}

#[test]
fn the_length_of_the_wait_is_a_setting() {
    let mut wire = Wire::new(|config| config.time_wait = 100 * MS);
    let listener = wire.listen(8);
    let mut peer = Peer::new(4001);
    let fd = accepted(&mut wire, listener, &mut peer);
    close_actively(&mut wire, fd, &mut peer);
    wire.states();
    wire.silent_for(Duration::from_nanos(99_999_999));
    assert_eq!(wire.states(), []);
    wire.silent_for(NS);
    assert_eq!(wire.states(), [State::Closed]);
}

#[test]
fn who_closes_second_does_not_wait() {
    let mut peer = Peer::new(4001);
    let (mut wire, _, fd) = connected(&mut peer);
    wire.states();
    let acks = [wire.feed(&peer.segment(FIN_ACK)), wire.run_for(20 * MS)].concat();
    peer.nxt += 1;
    assert_pure_ack(acks.last().expect("the FIN is acknowledged"), &peer);
    wire.host.close(fd).expect("close");
    let fin = only(wire.drain());
    assert!(fin.is(FIN_ACK));
    peer.rcv += 1;
    nothing(&wire.feed(&peer.ack()));
    assert_eq!(wire.states(), [State::CloseWait, State::LastAck, State::Closed]);
    assert_eq!(wire.host.next_at(), None);
}

#[test]
fn fins_that_cross_lead_both_ends_through_closing_to_the_wait() {
    let mut peer = Peer::new(4001);
    let (mut wire, _, fd) = connected(&mut peer);
    wire.states();
    wire.host.close(fd).expect("close");
    assert!(only(wire.drain()).is(FIN_ACK));
    // The peer's FIN does not acknowledge ours.
    let ack = only(wire.feed(&peer.segment(FIN_ACK)));
    (peer.nxt, peer.rcv) = (peer.nxt + 1, peer.rcv + 1);
    assert_pure_ack(&ack, &peer);
    assert_eq!(wire.states(), [State::FinWait1, State::Closing]);
    nothing(&wire.feed(&peer.ack()));
    assert_eq!(wire.states(), [State::TimeWait]);
    wire.silent_for(ALMOST_A_MINUTE);
    assert_waits(&mut wire, &peer);
}

#[test]
fn a_fin_that_acknowledges_ours_leads_to_the_wait_at_once() {
    let mut peer = Peer::new(4001);
    let (mut wire, _, fd) = connected(&mut peer);
    wire.states();
    wire.host.close(fd).expect("close");
    only(wire.drain());
    peer.rcv += 1;
    let ack = only(wire.feed(&peer.segment(FIN_ACK)));
    peer.nxt += 1;
    assert_pure_ack(&ack, &peer);
    assert_eq!(wire.states(), [State::FinWait1, State::TimeWait]);
}

// ---- what it answers

#[test]
fn a_retransmitted_fin_is_acknowledged_again_and_begins_the_wait_again() {
    let mut peer = Peer::new(4001);
    let (mut wire, _) = waiting(&mut peer);
    wire.silent_for(secs(59));
    assert_waits(&mut wire, &peer);
    wire.silent_for(ALMOST_A_MINUTE);
    assert_eq!(wire.states(), []);
    wire.silent_for(NS);
    assert_eq!(wire.states(), [State::Closed]);
}

#[test]
fn a_fin_with_its_data_again_is_acknowledged_too() {
    let mut peer = Peer::new(4001);
    let (mut wire, _, fd) = connected(&mut peer);
    wire.host.shutdown(fd, Shutdown::Write).expect("shutdown");
    only(wire.drain());
    peer.rcv += 1;
    let last = SegmentTemplate { payload: b"bye", ..peer.segment(FIN_ACK) };
    wire.feed(&last);
    wire.states();
    wire.silent_for(secs(30));
    peer.nxt += 4;
    assert_pure_ack(&only(wire.feed(&last)), &peer);
    wire.silent_for(ALMOST_A_MINUTE);
    assert_eq!(wire.states(), []);
}

#[test]
fn two_ends_in_time_wait_do_not_talk_for_ever() {
    let mut peer = Peer::new(4001);
    let (mut wire, _) = waiting(&mut peer);
    for _ in 0..3 {
        nothing(&wire.feed(&peer.ack()));
    }
    // An old duplicate is answered, and the answer to that is not.
    let old = SegmentTemplate { seq: peer.nxt - 1, payload: b"x", ..peer.ack() };
    assert_pure_ack(&only(wire.feed(&old)), &peer);
    nothing(&wire.feed(&old));
    wire.run_for(500 * MS);
    assert_pure_ack(&only(wire.feed(&old)), &peer);
}

#[test]
fn segments_other_than_the_fin_do_not_make_the_wait_longer() {
    let mut peer = Peer::new(4001);
    let (mut wire, _) = waiting(&mut peer);
    wire.run_for(secs(30));
    wire.feed(&peer.ack());
    wire.feed(&peer.data(b"late"));
    wire.feed(&SegmentTemplate { seq: peer.nxt - 1, ..peer.ack() });
    wire.run_until(Instant::from_nanos(59_999_999_999));
    assert_eq!(wire.states(), []);
    wire.run_for(NS);
    assert_eq!(wire.states(), [State::Closed]);
}

#[test]
fn an_rst_ends_the_wait_only_if_it_hits_rcv_nxt_exactly() {
    let mut peer = Peer::new(4001);
    let (mut wire, _) = waiting(&mut peer);
    // RFC 5961, section 3.2: inside the window it is challenged, once; outside it is dropped.
    assert_eq!(wire.feed(&SegmentTemplate { seq: peer.nxt + 1, ..peer.segment(RST) }).len(), 1);
    for off in [1000, u32::MAX, 1 << 31] {
        nothing(&wire.feed(&SegmentTemplate { seq: peer.nxt + off, ..peer.segment(RST) }));
    }
    assert_eq!(wire.states(), []);
    assert_waits(&mut wire, &peer);
    nothing(&wire.feed(&peer.segment(RST)));
    assert_eq!(wire.states(), [State::Closed]);
    assert_eq!(wire.host.next_at(), None);
}

#[test]
fn the_acks_of_time_wait_carry_timestamps_if_the_connection_had_them() {
    let mut peer = Peer::with_timestamps(4001, 100);
    let (mut wire, _, fd) = connected(&mut peer);
    peer.ts = Some(Timestamps { ts_val: 200, ..peer.ts.expect("set") });
    let last = close_actively(&mut wire, fd, &mut peer);
    let first = last.options.ts.expect("the connection has timestamps");
    assert_eq!(first.ts_ecr, 200);
    wire.run_for(secs(7));
    let again = only(wire.feed(&fin_again(&peer))).options.ts.expect("as before");
    assert_eq!((again.ts_val.wrapping_sub(first.ts_val), again.ts_ecr), (7000, 200));
}

// ---- the tuple again: RFC 6191

/// A SYN on the tuple of a connection in TIME-WAIT; true if it makes a new connection, which is then completed.
#[track_caller]
fn reuses(old: Option<u32>, syn_seq: impl Fn(Seq) -> Seq, new: Option<u32>) -> bool {
    let mut peer = match old {
        Some(ts_val) => Peer::with_timestamps(4001, ts_val),
        None => Peer::new(4001),
    };
    let (mut wire, listener) = waiting(&mut peer);
    wire.run_for(secs(1));
    let mut again = Peer::new(4001);
    again.iss = syn_seq(peer.nxt);
    again.ts = new.map(|ts_val| Timestamps { ts_val, ts_ecr: 0 });
    let said = only(wire.feed(&again.syn()));
    if said.is(ACK) {
        assert_pure_ack(&said, &peer);
        assert_eq!(wire.states(), [], "TIME-WAIT goes on");
        assert_waits(&mut wire, &peer);
        return false;
    }
    again.hear_syn_ack(&said);
    nothing(&wire.feed(&again.ack()));
    let (fd, _) = wire.host.accept(listener).expect("a new connection");
    wire.feed(&again.data(b"new"));
    assert_eq!(wire.read(fd), b"new");
    // The old record is gone for good: its end comes to nobody.
    wire.run_for(secs(120));
    assert_eq!(wire.host.write(fd, b"still here"), Ok(10));
    true
}

#[test]
fn a_syn_with_a_newer_timestamp_takes_the_tuple_over_whatever_its_sequence_number() {
    for offset in [1, 1_000_000, u32::MAX, 1 << 31] {
        assert!(reuses(Some(100), |nxt| nxt + offset, Some(101)), "{offset}");
    }
    assert!(reuses(Some(u32::MAX), |nxt| nxt - 1, Some(0)), "timestamps wrap");
}

#[test]
fn a_syn_with_an_older_timestamp_does_not_take_the_tuple_over() {
    for offset in [1, 1_000_000, u32::MAX] {
        assert!(!reuses(Some(100), |nxt| nxt + offset, Some(99)), "{offset}");
    }
}

#[test]
fn a_syn_with_the_same_timestamp_needs_a_higher_sequence_number() {
    assert!(reuses(Some(100), |nxt| nxt + 1, Some(100)));
    assert!(!reuses(Some(100), |nxt| nxt - 1, Some(100)));
}

#[test]
fn without_timestamps_a_syn_needs_a_higher_sequence_number() {
    assert!(reuses(None, |nxt| nxt + 1, None));
    assert!(reuses(None, |nxt| nxt + 1_000_000, None));
    for offset in [u32::MAX, u32::MAX - 1_000_000, (1 << 31) + 1] {
        assert!(!reuses(None, |nxt| nxt + offset, None), "{offset}");
    }
    // The new incarnation has none, the old one had.
    assert!(reuses(Some(100), |nxt| nxt + 1, None));
    assert!(!reuses(Some(100), |nxt| nxt - 1, None));
    // RFC 6191, section 2: timestamps where the old one had none.
    assert!(reuses(None, |nxt| nxt - 1, Some(1)));
}

#[test]
fn a_client_whose_syn_is_refused_resets_the_old_connection_and_its_next_syn_is_taken() {
    let mut peer = Peer::new(4001);
    let (mut wire, listener) = waiting(&mut peer);
    let mut again = Peer { iss: peer.nxt - 5000, ..Peer::new(4001) };
    let ack = only(wire.feed(&again.syn()));
    assert_pure_ack(&ack, &peer);
    // RFC 9293, section 3.10.7.3: SYN-SENT answers an unacceptable ACK with an RST.
    nothing(&wire.feed(&SegmentTemplate { seq: ack.ack, ..again.segment(RST) }));
    wire.run_for(secs(1));
    again.establish(&mut wire);
    wire.host.accept(listener).expect("a new connection");
}

#[test]
fn the_new_connection_begins_above_the_sequence_numbers_of_the_old_one() {
    // RFC 9293, section 3.10.7.4 (MAY-2): its ISS is larger than any that the previous incarnation used. The clock of
    // RFC 6528 is too slow for that after a megabyte in no time.
    let mut peer = Peer::new(4001);
    let (mut wire, _, fd) = connected(&mut peer);
    let (mut written, mut heard) = (0, 0);
    while heard < written || written < 1_000_000 {
        if written < 1_000_000 {
            written += wire.host.write(fd, &vec![7; 65_536]).unwrap_or(0);
        }
        let said = [wire.drain(), wire.feed(&peer.ack())].concat();
        let octets: usize = said.iter().map(|said| said.payload.len()).sum();
        heard += octets;
        peer.rcv += octets as u32;
    }
    close_actively(&mut wire, fd, &mut peer);
    let mut again = Peer { iss: peer.nxt + 1, ..Peer::new(4001) };
    let syn_ack = again.half_open(&mut wire);
    assert!(syn_ack.seq > peer.rcv, "{:?} is not beyond {:?}", syn_ack.seq, peer.rcv);
}

#[test]
fn a_syn_for_a_port_where_nobody_listens_any_more_leaves_the_wait_alone() {
    let mut peer = Peer::new(4001);
    let (mut wire, listener) = waiting(&mut peer);
    wire.host.close(listener).expect("close");
    let again = Peer { iss: peer.nxt + 1, ..Peer::new(4001) };
    let said = wire.feed(&again.syn());
    assert!(said.iter().all(|said| said.is(ACK)), "no SYN|ACK and no RST: {said:#?}");
    assert_eq!(wire.states(), []);
    wire.run_for(secs(1));
    assert_waits(&mut wire, &peer);
}

#[test]
fn connect_does_not_use_a_tuple_that_waits() {
    let remote: SocketAddr = "192.0.2.2:4001".parse().unwrap();
    let mut wire = Wire::new(|_| {});
    let fd = wire.host.socket(Domain::Inet, Type::Stream).expect("socket");
    wire.host.setsockopt(fd, SocketOption::ReuseAddr(true)).expect("SO_REUSEADDR");
    wire.host.bind(fd, "192.0.2.1:5000".parse().unwrap()).expect("bind");
    assert_eq!(wire.host.connect(fd, remote), Err(Errno::EINPROGRESS));
    let syn = only(wire.drain());
    let mut peer = Peer { host: "192.0.2.1:5000".parse().unwrap(), rcv: syn.seq + 1, ..Peer::at(remote) };
    let syn_ack = SegmentTemplate {
        flags: common::wire::SYN_ACK,
        options: Options { mss: Some(1460), ..Options::default() },
        ..peer.ack()
    };
    assert!(only(wire.feed(&syn_ack)).is(ACK));
    peer.nxt += 1;
    assert_eq!(wire.host.connect(fd, remote), Ok(()));
    close_actively(&mut wire, fd, &mut peer);

    let fd = wire.host.socket(Domain::Inet, Type::Stream).expect("socket");
    wire.host.setsockopt(fd, SocketOption::ReuseAddr(true)).expect("SO_REUSEADDR");
    wire.host.bind(fd, "192.0.2.1:5000".parse().unwrap()).expect("with SO_REUSEADDR on both");
    assert_eq!(wire.host.connect(fd, remote), Err(Errno::EADDRNOTAVAIL));
    nothing(&wire.drain());
    wire.run_for(secs(60));
    assert_eq!(wire.host.connect(fd, remote), Err(Errno::EINPROGRESS));
}

// ---- the port

/// bind to port 80 by a new socket.
fn bind(wire: &mut Wire, reuse: bool) -> Result<(), Errno> {
    let fd = wire.host.socket(Domain::Inet, Type::Stream).expect("socket");
    wire.host.setsockopt(fd, SocketOption::ReuseAddr(reuse)).expect("SO_REUSEADDR");
    let bound = wire.host.bind(fd, "0.0.0.0:80".parse().unwrap()).and_then(|()| wire.host.listen(fd, 1));
    wire.host.close(fd).expect("close");
    bound
}

#[test]
fn a_port_that_time_wait_holds_cannot_be_bound_without_so_reuseaddr() {
    for listener_reuses in [false, true] {
        let mut wire = Wire::new(|_| {});
        let listener = wire.host.socket(Domain::Inet, Type::Stream).expect("socket");
        wire.host.setsockopt(listener, SocketOption::ReuseAddr(listener_reuses)).expect("SO_REUSEADDR");
        wire.host.bind(listener, "0.0.0.0:80".parse().unwrap()).expect("bind");
        wire.host.listen(listener, 1).expect("listen");
        let mut peer = Peer::new(4001);
        let fd = accepted(&mut wire, listener, &mut peer);
        close_actively(&mut wire, fd, &mut peer);
        wire.host.close(listener).expect("close");

        assert_eq!(bind(&mut wire, false), Err(Errno::EADDRINUSE));
        // Linux: both the old socket and the new one must have it.
        let expected = if listener_reuses { Ok(()) } else { Err(Errno::EADDRINUSE) };
        assert_eq!(bind(&mut wire, true), expected, "the listener had SO_REUSEADDR: {listener_reuses}");
        wire.run_for(ALMOST_A_MINUTE);
        assert_eq!(bind(&mut wire, false), Err(Errno::EADDRINUSE), "one nanosecond too early");
        wire.run_for(NS);
        assert_eq!(bind(&mut wire, false), Ok(()));
    }
}

// ---- what a descriptor still has of it

#[test]
fn unread_data_is_readable_in_time_wait_and_after_it() {
    let mut peer = Peer::new(4001);
    let (mut wire, _, fd) = connected(&mut peer);
    wire.host.shutdown(fd, Shutdown::Write).expect("shutdown");
    only(wire.drain());
    peer.rcv += 1;
    wire.feed(&SegmentTemplate { payload: b"last words", ..peer.segment(FIN_ACK) });
    assert_eq!(wire.states().last(), Some(&State::TimeWait));
    assert_eq!(wire.host.fionread(fd), Ok(10));
    let mut five = [0; 5];
    assert_eq!((wire.host.read(fd, &mut five), &five), (Ok(5), b"last "));
    wire.run_for(secs(61));
    assert_eq!(wire.host.fionread(fd), Ok(5));
    assert_eq!(wire.read(fd), b"words");
    assert_eq!(wire.read(fd), b"");
    assert_eq!(wire.host.write(fd, b"x"), Err(Errno::EPIPE));
    wire.host.close(fd).expect("close");
    wire.silent_for(secs(600));
}

#[test]
fn closing_a_descriptor_with_unread_data_in_time_wait_says_nothing() {
    let mut peer = Peer::new(4001);
    let (mut wire, _, fd) = connected(&mut peer);
    wire.host.shutdown(fd, Shutdown::Write).expect("shutdown");
    only(wire.drain());
    peer.rcv += 1;
    wire.feed(&SegmentTemplate { payload: b"unread", ..peer.segment(FIN_ACK) });
    peer.nxt += 7;
    wire.states();
    wire.host.close(fd).expect("close");
    nothing(&wire.drain());
    assert_waits(&mut wire, &peer);
    wire.silent_for(secs(60));
    assert_eq!(wire.states(), [State::Closed]);
}

#[test]
fn unread_data_is_readable_after_a_passive_close_too() {
    let mut peer = Peer::new(4001);
    let (mut wire, _, fd) = connected(&mut peer);
    wire.feed(&SegmentTemplate { payload: b"all there is", ..peer.segment(FIN_ACK) });
    peer.nxt += 13;
    wire.host.shutdown(fd, Shutdown::Write).expect("shutdown");
    assert!(wire.drain().last().expect("a FIN").is(FIN_ACK));
    peer.rcv += 1;
    nothing(&wire.feed(&peer.ack()));
    assert_eq!(wire.states().last(), Some(&State::Closed));
    wire.run_for(secs(600));
    assert_eq!(wire.read(fd), b"all there is");
    assert_eq!(wire.read(fd), b"");
}

#[test]
fn the_descriptor_table_shows_the_wait_and_its_end() {
    let mut peer = Peer::new(4001);
    let (mut wire, _, fd) = connected(&mut peer);
    wire.host.shutdown(fd, Shutdown::Write).expect("shutdown");
    only(wire.drain());
    peer.rcv += 1;
    only(wire.feed(&peer.segment(FIN_ACK)));
    assert_eq!(wire.host.describe(fd), "4 TIME-WAIT 192.0.2.1:80 ↔ 192.0.2.2:4001");
    wire.run_for(ALMOST_A_MINUTE);
    assert_eq!(wire.host.describe(fd), "4 TIME-WAIT 192.0.2.1:80 ↔ 192.0.2.2:4001");
    wire.run_for(NS);
    assert_eq!(wire.host.describe(fd), "4 CLOSED 192.0.2.1:80 ↔ 192.0.2.2:4001");
}

#[test]
fn getpeername_ends_with_the_connection_and_getsockname_does_not() {
    let mut peer = Peer::new(4001);
    let (mut wire, _, fd) = connected(&mut peer);
    wire.host.shutdown(fd, Shutdown::Write).expect("shutdown");
    only(wire.drain());
    peer.rcv += 1;
    assert_eq!(wire.host.getpeername(fd), Ok(peer.addr));
    only(wire.feed(&peer.segment(FIN_ACK)));
    // Linux: the descriptor's socket is CLOSED once TIME-WAIT has taken over.
    assert_eq!(wire.host.getpeername(fd), Err(Errno::ENOTCONN));
    assert_eq!(wire.host.getsockname(fd), Ok(peer.host));
}
