//! When a host stops trying: SYNs, data, connections without an application, FIN-WAIT-2, and what never ends.
//!
//! The numbers of tries are Linux's (`tcp_syn_retries` 6, `tcp_retries2` 15, `tcp_orphan_retries` 8, `tcp_fin_timeout`
//! 60 s); the times between them are RFC 6298's with an RTO of one second to one minute.

use std::net::SocketAddr;

use crate::common::wire::{
    ACK, ALMOST_A_MINUTE, FIN_ACK, Peer, RST, SYN, SYN_ACK, Said, Wire, accepted, nothing, only, secs,
};
use tcplab::event::State;
use tcplab::segment::{Flags, Options, SegmentTemplate};
use tcplab::socket::{Domain, Errno, Fd, HostConfig, Readiness, Shutdown, SocketOption, Type};
use tcplab::time::{Duration, Instant};

const NS: Duration = Duration::from_nanos(1);
const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_hours(24);

/// When segments were sent, in milliseconds from `since`.
fn times(said: &[Said], since: Instant) -> Vec<u128> {
    said.iter().map(|said| (said.at - since).as_millis()).collect()
}

fn connected_with(peer: &mut Peer, adjust: impl FnOnce(&mut HostConfig)) -> (Wire, Fd) {
    let mut wire = Wire::new(adjust);
    let listener = wire.listen(8);
    let fd = accepted(&mut wire, listener, peer);
    wire.host.close(listener).expect("close");
    wire.states();
    (wire, fd)
}

fn connected(peer: &mut Peer) -> (Wire, Fd) {
    connected_with(peer, |_| {})
}

// ---- connect

fn dead_host() -> SocketAddr {
    "192.0.2.99:80".parse().unwrap()
}

fn connect(wire: &mut Wire) -> Fd {
    let fd = wire.host.socket(Domain::Inet, Type::Stream).expect("socket");
    assert_eq!(wire.host.connect(fd, dead_host()), Err(Errno::EINPROGRESS));
    fd
}

#[test]
fn a_host_that_is_dead_gets_seven_syns_and_connect_times_out_after_127_seconds() {
    let mut wire = Wire::new(|_| {});
    let fd = connect(&mut wire);
    let syns = wire.run_until(Instant::from_secs(127).just_before());
    assert_eq!(times(&syns, Instant::EPOCH), [0, 1000, 3000, 7000, 15_000, 31_000, 63_000]);
    assert!(syns.iter().all(|said| said.is(SYN) && said.seq == syns[0].seq), "{syns:#?}");
    assert_eq!(wire.host.connect(fd, dead_host()), Err(Errno::EALREADY));
    nothing(&wire.run_for(NS));
    assert_eq!(wire.now, Instant::from_secs(127));
    assert!(wire.host.readiness(fd).contains(Readiness::ERROR));
    assert_eq!(wire.host.connect(fd, dead_host()), Err(Errno::ETIMEDOUT));
    assert_eq!(wire.host.next_at(), None);
    // The socket can try again.
    assert_eq!(wire.host.connect(fd, dead_host()), Err(Errno::EINPROGRESS));
    assert!(only(wire.drain()).is(SYN));
}

#[test]
fn the_number_of_syns_is_a_setting() {
    for (retries, end) in [(1, 3), (2, 7), (3, 15)] {
        let mut wire = Wire::new(|config| config.syn_retries = retries);
        let fd = connect(&mut wire);
        assert_eq!(wire.run_until(Instant::from_secs(end).just_before()).len(), 1 + retries as usize);
        assert_eq!(wire.host.connect(fd, dead_host()), Err(Errno::EALREADY));
        nothing(&wire.run_for(NS));
        assert_eq!(wire.host.connect(fd, dead_host()), Err(Errno::ETIMEDOUT));
    }
}

#[test]
fn a_setting_of_no_retries_means_none() {
    let mut wire = Wire::new(|config| config.syn_retries = 0);
    let fd = connect(&mut wire);
    assert!(only(wire.run_until(Instant::from_secs(1).just_before())).is(SYN));
    assert_eq!(wire.host.connect(fd, dead_host()), Err(Errno::EALREADY));
    nothing(&wire.run_for(NS));
    assert_eq!(wire.host.connect(fd, dead_host()), Err(Errno::ETIMEDOUT));
}

#[test]
fn a_syn_ack_that_comes_late_ends_the_counting() {
    let mut wire = Wire::new(|_| {});
    let fd = connect(&mut wire);
    let syns = wire.run_until(Instant::from_secs(126));
    let mut peer = Peer { host: syns[0].src, rcv: syns[0].seq + 1, ..Peer::at(dead_host()) };
    let options = Options { mss: Some(1460), ..Options::default() };
    assert!(only(wire.feed(&SegmentTemplate { flags: SYN_ACK, options, ..peer.ack() })).is(ACK));
    peer.nxt += 1;
    wire.silent_for(secs(3600));
    assert_eq!(wire.host.connect(fd, dead_host()), Ok(()));
    wire.feed(&peer.data(b"x"));
    assert_eq!(wire.read(fd), b"x");
}

#[test]
fn a_descriptor_that_closes_in_syn_sent_ends_the_syns_in_silence() {
    let mut wire = Wire::new(|_| {});
    let fd = connect(&mut wire);
    assert_eq!(wire.run_until(Instant::from_secs(4)).len(), 3);
    wire.host.close(fd).expect("close");
    wire.silent_for(DAY);
}

// ---- data

#[test]
fn data_that_nobody_acknowledges_is_sent_15_times_more_and_then_the_connection_is_given_up() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected(&mut peer);
    wire.host.write(fd, b"anybody there?").expect("write");
    let said = wire.run_for(DAY);
    let expected: Vec<u128> =
        // The RTO is 200 ms and doubles up to 120 s.
        [0, 2, 6, 14, 30, 62, 126, 254, 510, 1022, 2046, 3246, 4446, 5646, 6846, 8046].map(|tenths| tenths * 100).into();
    assert_eq!(times(&said, Instant::EPOCH), expected);
    assert!(said.iter().all(|said| said.seq == peer.rcv && said.payload == b"anybody there?"), "nothing but that");
    assert_eq!(wire.states(), [State::Closed]);
    assert_eq!(wire.host.read(fd, &mut [0; 9]), Err(Errno::ETIMEDOUT));
    assert_eq!(wire.host.read(fd, &mut [0; 9]), Ok(0));
    assert_eq!(wire.host.write(fd, b"x"), Err(Errno::EPIPE));
}

#[test]
fn the_last_retransmission_is_given_one_timeout_more() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected_with(&mut peer, |config| config.retries = 3);
    wire.host.write(fd, b"x").expect("write");
    // 200 ms, doubled three times.
    assert_eq!(wire.run_until(Instant::from_secs(3).just_before()).len(), 4);
    assert_eq!(wire.states(), []);
    nothing(&wire.run_for(NS));
    assert_eq!(wire.states(), [State::Closed]);
    assert_eq!(wire.host.read(fd, &mut [0; 9]), Err(Errno::ETIMEDOUT));
}

#[test]
fn an_acknowledgment_begins_the_count_again() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected_with(&mut peer, |config| config.retries = 3);
    // Two retransmissions each time are six in all. The RTO stays backed off without a sample (RFC 6298, section 5.7).
    for timeouts in [2 + 4, 8 + 16, 32 + 64] {
        wire.host.write(fd, b"abc").expect("write");
        assert_eq!(wire.run_for(100 * timeouts * MS).len(), 3);
        peer.rcv += 3;
        nothing(&wire.feed(&peer.ack()));
    }
    wire.silent_for(DAY);
    assert_eq!(wire.states(), []);
    assert_eq!(wire.host.write(fd, b"still here"), Ok(10));
}

#[test]
fn a_connection_with_nothing_to_say_lives_for_ever() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected(&mut peer);
    wire.silent_for(100 * DAY);
    wire.feed(&peer.data(b"hello"));
    assert_eq!(wire.read(fd), b"hello");
}

// ---- the window is shut

#[test]
fn zero_window_probes_go_on_for_as_long_as_they_are_answered() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected(&mut peer);
    peer.window = 0;
    nothing(&wire.feed(&peer.ack()));
    wire.host.write(fd, b"waiting").expect("write");
    let start = wire.now;
    let mut probes = Vec::new();
    while wire.now - start < DAY {
        let said = wire.run_for(secs(1));
        for _ in &said {
            // A probe is outside of the window: the answer is the same ACK, window shut.
            nothing(&wire.feed(&peer.ack()));
        }
        probes.extend(said);
    }
    assert!(probes.len() > 700, "a probe each two minutes at least: {}", probes.len());
    let gaps: Vec<_> = probes.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs()).collect();
    assert!(gaps.windows(2).all(|pair| pair[0] <= pair[1]), "RFC 9293, section 3.8.6.1: intervals grow: {gaps:?}");
    assert!(gaps.iter().all(|gap| *gap <= 120));
    assert!(probes.iter().all(|probe| probe.payload.is_empty() && probe.is(ACK)));
    assert_eq!(wire.states(), []);

    peer.window = 1000;
    let mut said = wire.feed(&peer.ack());
    said.extend(wire.run_for(secs(1)));
    let octets: Vec<u8> = said.iter().flat_map(|said| said.payload.clone()).collect();
    assert!(octets == b"waiting" || said.iter().any(|said| said.payload == b"waiting"), "{said:#?}");
}

#[test]
fn zero_window_probes_that_nobody_answers_end_like_retransmissions() {
    // Linux: tcp_probe_timer gives up after tcp_retries2 probes without an answer.
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected_with(&mut peer, |config| config.retries = 4);
    peer.window = 0;
    nothing(&wire.feed(&peer.ack()));
    wire.host.write(fd, b"waiting").expect("write");
    let probes = wire.run_for(DAY);
    assert_eq!(probes.len(), 4, "{probes:#?}");
    assert_eq!(wire.states(), [State::Closed]);
    assert_eq!(wire.host.read(fd, &mut [0; 9]), Err(Errno::ETIMEDOUT));
}

// ---- without an application

#[test]
fn a_fin_that_nobody_acknowledges_is_sent_eight_times_more() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected(&mut peer);
    wire.host.close(fd).expect("close");
    let said = wire.run_for(DAY);
    assert_eq!(times(&said, Instant::EPOCH), [0, 2, 6, 14, 30, 62, 126, 254, 510].map(|tenths| tenths * 100));
    assert!(said.iter().all(|said| said.is(FIN_ACK)), "{said:#?}");
    assert_eq!(wire.states(), [State::FinWait1, State::Closed]);
    assert_eq!(wire.host.next_at(), None);
}

#[test]
fn data_left_behind_by_close_is_sent_and_retransmitted_as_often_as_the_fin() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected_with(&mut peer, |config| config.orphan_retries = 2);
    wire.host.write(fd, b"last words").expect("write");
    wire.host.close(fd).expect("close");
    let said = wire.run_for(DAY);
    assert_eq!(times(&said, Instant::EPOCH).last(), Some(&600), "{said:#?}");
    assert!(said.iter().any(|said| said.payload == b"last words"));
    assert_eq!(wire.states(), [State::FinWait1, State::Closed]);
}

#[test]
fn a_close_in_the_midst_of_retransmissions_takes_the_smaller_limit() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected_with(&mut peer, |config| config.orphan_retries = 2);
    wire.host.write(fd, b"x").expect("write");
    assert_eq!(wire.run_until(Instant::from_millis(2_000)).len(), 4);
    wire.host.close(fd).expect("close");
    nothing(&wire.run_until(Instant::from_millis(3_000)));
    wire.states();
    nothing(&wire.run_for(DAY));
    assert_eq!(wire.host.next_at(), None);
}

#[test]
fn fin_wait_2_of_an_orphan_ends_after_60_seconds_in_silence() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected(&mut peer);
    wire.host.close(fd).expect("close");
    only(wire.drain());
    peer.rcv += 1;
    wire.run_for(MS);
    nothing(&wire.feed(&peer.ack()));
    assert_eq!(wire.states(), [State::FinWait1, State::FinWait2]);
    wire.silent_for(ALMOST_A_MINUTE);
    assert_eq!(wire.states(), []);
    wire.silent_for(NS);
    assert_eq!(wire.states(), [State::Closed]);
    assert_eq!(wire.host.next_at(), None);
    assert!(only(wire.feed(&peer.segment(FIN_ACK))).flags.contains(RST), "nobody is there any more");
}

#[test]
fn a_fin_within_the_60_seconds_leads_to_time_wait_all_the_same() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected(&mut peer);
    wire.host.close(fd).expect("close");
    only(wire.drain());
    peer.rcv += 1;
    nothing(&wire.feed(&peer.ack()));
    wire.silent_for(secs(59));
    assert!(only(wire.feed(&peer.segment(FIN_ACK))).is(ACK));
    wire.states();
    wire.silent_for(ALMOST_A_MINUTE);
    assert_eq!(wire.states(), []);
    wire.silent_for(NS);
    assert_eq!(wire.states(), [State::Closed]);
}

#[test]
fn fin_wait_2_of_a_descriptor_never_ends_and_close_begins_the_60_seconds() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected(&mut peer);
    wire.host.shutdown(fd, Shutdown::Write).expect("shutdown");
    only(wire.drain());
    peer.rcv += 1;
    nothing(&wire.feed(&peer.ack()));
    wire.silent_for(100 * DAY);
    wire.feed(&peer.data(b"half closed"));
    wire.run_for(secs(1));
    assert_eq!(wire.read(fd), b"half closed");
    peer.nxt += 11;
    wire.drain();
    wire.states();
    wire.host.close(fd).expect("close");
    wire.silent_for(ALMOST_A_MINUTE);
    assert_eq!(wire.states(), []);
    wire.silent_for(NS);
    assert_eq!(wire.states(), [State::Closed]);
}

#[test]
fn data_for_a_closed_descriptor_is_reset() {
    // RFC 1122, section 4.2.2.13, in FIN-WAIT-1 and in FIN-WAIT-2.
    for fin_acknowledged in [false, true] {
        let mut peer = Peer::new(4001);
        let (mut wire, fd) = connected(&mut peer);
        wire.host.close(fd).expect("close");
        only(wire.drain());
        if fin_acknowledged {
            peer.rcv += 1;
            nothing(&wire.feed(&peer.ack()));
        }
        let rst = only(wire.feed(&peer.data(b"is anybody reading?")));
        assert!(rst.flags.contains(RST), "{rst:?}");
        let edge = if fin_acknowledged { peer.rcv } else { peer.rcv + 1 };
        assert!(peer.rcv <= rst.seq && rst.seq <= edge, "the peer takes it: {rst:?}, RCV.NXT {:?}", peer.rcv);
        assert_eq!(wire.states().last(), Some(&State::Closed));
        wire.silent_for(DAY);
    }
}

#[test]
fn data_that_comes_again_to_a_closed_descriptor_is_not_reset() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected(&mut peer);
    wire.feed(&peer.data(b"seen"));
    wire.run_for(secs(1));
    assert_eq!(wire.read(fd), b"seen");
    wire.host.close(fd).expect("close");
    only(wire.drain());
    let said = wire.feed(&peer.data(b"seen"));
    assert!(said.iter().all(|said| !said.flags.contains(RST)), "{said:#?}");
}

#[test]
fn a_close_with_unread_data_resets_at_once() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected(&mut peer);
    wire.feed(&peer.data(b"unread"));
    wire.run_for(secs(1));
    wire.host.close(fd).expect("close");
    let rst = only(wire.drain());
    assert!(rst.flags.contains(RST) && rst.seq == peer.rcv, "RFC 2525, section 2.17: {rst:?}");
    wire.silent_for(DAY);
}

#[test]
fn so_linger_of_zero_resets_and_time_wait_is_skipped() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected(&mut peer);
    wire.host.setsockopt(fd, SocketOption::Linger(Some(Duration::ZERO))).expect("SO_LINGER");
    wire.host.write(fd, b"never sent").expect("write");
    wire.host.close(fd).expect("close");
    let said = wire.drain();
    assert!(said.last().expect("an RST").flags.contains(Flags::RST), "{said:#?}");
    assert_eq!(wire.states(), [State::Closed]);
    wire.silent_for(DAY);
}

#[test]
fn data_that_came_before_a_reset_can_be_read_and_then_the_error() {
    let mut peer = Peer::new(4001);
    let (mut wire, fd) = connected(&mut peer);
    wire.feed(&peer.data(b"before"));
    peer.nxt += 6;
    nothing(&wire.feed(&peer.segment(RST)));
    assert_eq!(wire.read(fd), b"before");
    assert_eq!(wire.host.read(fd, &mut [0; 9]), Err(Errno::ECONNRESET));
    assert_eq!(wire.host.read(fd, &mut [0; 9]), Ok(0));
}

/// The instant just before another.
trait Before {
    fn just_before(self) -> Self;
}

impl Before for Instant {
    fn just_before(self) -> Self {
        Self::from_nanos(self.as_nanos() - 1)
    }
}
