//! SYN cookies (RFC 4987, section 3.6): a listener whose SYN queue is full answers without a record, as Linux with
//! `tcp_syncookies` of 1.

use crate::common::wire::{FIN_ACK, Peer, RST, SYN_ACK, Said, Wire, nothing, only, secs};
use tcplab::event::{CookieStep, DropReason, HostEvent, State};
use tcplab::segment::{Flags, Options, SegmentTemplate, Timestamps};
use tcplab::socket::{Errno, Fd, HostConfig, SynCookies};
use tcplab::time::{Duration, Instant};

/// A host whose SYN queue of one is full.
fn flooded_with(adjust: impl FnOnce(&mut HostConfig)) -> (Wire, Fd) {
    let mut wire = Wire::new(|config| {
        // The record in the queue stays for ever and says nothing.
        (config.initial_rto, config.max_rto) = (Duration::from_hours(1000), Duration::from_hours(1000));
        adjust(config);
    });
    let listener = wire.listen(1);
    Peer::new(3999).half_open(&mut wire);
    wire.drops();
    (wire, listener)
}

fn flooded() -> (Wire, Fd) {
    flooded_with(|_| {})
}

fn steps(wire: &mut Wire) -> Vec<CookieStep> {
    std::iter::from_fn(|| wire.host.poll_event())
        .filter_map(|event| match event {
            HostEvent::SynCookie { step, .. } => Some(step),
            _ => None,
        })
        .collect()
}

/// SYN, cookie. Gives the SYN|ACK.
fn offered(wire: &mut Wire, peer: &mut Peer, options: Options, flags: Flags) -> Said {
    let syn_ack = only(wire.feed(&SegmentTemplate { options, flags, ..peer.syn() }));
    assert_eq!(steps(wire), [CookieStep::Sent]);
    peer.hear_syn_ack(&Said { flags: syn_ack.flags.without(Flags::ECE), ..syn_ack.clone() });
    syn_ack
}

#[test]
fn a_syn_that_finds_the_syn_queue_full_is_answered_and_its_ack_makes_a_connection() {
    let (mut wire, listener) = flooded();
    let mut peer = Peer::new(4001);
    let syn_ack = only(wire.feed(&peer.syn()));
    assert!(syn_ack.is(SYN_ACK));
    assert_eq!(wire.queues(), None, "no queue changes");
    wire.silent_for(secs(60));
    peer.hear_syn_ack(&syn_ack);
    nothing(&wire.feed(&peer.ack()));
    assert_eq!(wire.states(), [State::SynReceived, State::Established]);
    let (fd, from) = wire.host.accept(listener).expect("established");
    assert_eq!(from, peer.addr);
    wire.feed(&peer.data(b"hello"));
    assert_eq!(wire.read(fd), b"hello");
    wire.host.write(fd, b"answer").expect("write");
    assert_eq!(only(wire.drain()).payload, b"answer");
    let counters = wire.host.counters();
    assert_eq!((counters.syn_cookies_sent, counters.syn_cookies_received, counters.syn_cookies_failed), (1, 1, 0));
    assert_eq!(wire.host.tcp_info(fd).expect("TCP_INFO").rtt, Duration::ZERO, "when the SYN|ACK left is not known");
}

#[test]
fn without_cookies_a_full_syn_queue_drops_the_syn() {
    let (mut wire, listener) = flooded_with(|config| config.syn_cookies = SynCookies::Off);
    let peer = Peer::new(4001);
    nothing(&wire.feed(&peer.syn()));
    assert_eq!(wire.drops(), [DropReason::SynQueueFull]);
    assert!(only(wire.feed(&peer.ack())).is(RST));
    assert_eq!(wire.host.accept(listener), Err(Errno::EAGAIN));
    assert_eq!(wire.host.counters().dropped(DropReason::SynQueueFull), 1);
}

#[test]
fn with_always_every_syn_is_answered_with_a_cookie() {
    let mut wire = Wire::new(|config| config.syn_cookies = SynCookies::Always);
    let listener = wire.listen(8);
    let mut peer = Peer::new(4001);
    let syn_ack = offered(&mut wire, &mut peer, Options::default(), Flags::SYN);
    wire.silent_for(secs(120));
    assert_eq!(syn_ack.options.mss, Some(1460));
    nothing(&wire.feed(&peer.ack()));
    wire.host.accept(listener).expect("established");
}

#[test]
fn the_mss_is_in_the_number_and_without_timestamps_there_is_no_scale_and_no_sack() {
    for (mss, largest) in
        [(Some(1460), 1460), (Some(1459), 1440), (Some(1400), 1300), (Some(1000), 536), (None, 536), (Some(500), 216)]
    {
        let (mut wire, listener) = flooded();
        let mut peer = Peer::new(4001);
        let options = Options { mss, wscale: Some(7), sack_permitted: true, ..Options::default() };
        let syn_ack = offered(&mut wire, &mut peer, options, Flags::SYN);
        assert_eq!(syn_ack.options, Options { mss: Some(1460), ..Options::default() });
        nothing(&wire.feed(&peer.ack()));
        let (fd, _) = wire.host.accept(listener).expect("established");
        wire.host.write(fd, &[7; 3000]).expect("write");
        assert_eq!(wire.drain()[0].payload.len(), largest, "{mss:?}");
        // The window of the ACK is not scaled.
        assert_eq!(wire.host.tcp_info(fd).expect("TCP_INFO").snd_mss as usize, largest);
    }
}

#[test]
fn scale_sack_and_ecn_are_in_the_timestamp() {
    let ecn_setup = Flags::SYN | Flags::ECE | Flags::CWR;
    for bits in 0..8 {
        let has = |bit: u8| bits & 1 << bit != 0;
        let (mut wire, listener) = flooded_with(|config| {
            config.ecn = true;
            config.rcv_buf = Some(1 << 20);
        });
        let before = wire.now;
        let mut peer = Peer::with_timestamps(4001, 900);
        let options = Options {
            mss: Some(1460),
            wscale: has(0).then_some(9),
            sack_permitted: has(1),
            ts: peer.ts,
            ..Options::default()
        };
        let flags = if has(2) { ecn_setup } else { Flags::SYN };
        let syn_ack = offered(&mut wire, &mut peer, options, flags);
        assert_eq!(syn_ack.options.wscale, has(0).then_some(5));
        assert_eq!(syn_ack.options.sack_permitted, has(1));
        assert_eq!(syn_ack.flags.contains(Flags::ECE), has(2));
        assert_eq!(syn_ack.options.ts.map(|ts| ts.ts_ecr), Some(900));
        assert_eq!(wire.now, before);
        peer.ts = peer.ts.map(|ts| Timestamps { ts_val: 901, ..ts });
        nothing(&wire.feed(&SegmentTemplate { window: 100, ..peer.ack() }));
        let (fd, _) = wire.host.accept(listener).expect("established");
        let info = wire.host.tcp_info(fd).expect("TCP_INFO");
        assert_eq!(info.snd_wnd, if has(0) { 100 << 9 } else { 100 }, "the window of the ACK, scaled");
        // A hole: the ACK has a SACK block if SACK was agreed on, and a scaled window.
        let hole = SegmentTemplate { seq: peer.nxt + 100, ..peer.data(b"xyz") };
        let ack = only(wire.feed(&hole));
        assert_eq!(ack.options.ts.map(|ts| ts.ts_ecr), Some(901));
        let blocks = ack.options.sack.iter().filter(|block| block.left != block.right);
        assert_eq!(blocks.count(), usize::from(has(1)));
        assert_eq!(ack.window > 40_000, !has(0), "{}", ack.window);
        wire.host.write(fd, b"x").expect("write");
        let ts = wire.drain().last().expect("data").options.ts.expect("timestamps");
        let ahead = ts.ts_val.wrapping_sub(syn_ack.options.ts.expect("timestamps").ts_val) as i32;
        assert!((0..128).contains(&ahead), "TSval never goes back: {ahead}");
    }
}

#[test]
fn a_cookie_is_valid_for_two_periods_of_64_seconds() {
    let just_before = Instant::from_nanos(128_000_000_000 - 1);
    for (sent, answered, valid) in [
        (Instant::EPOCH, just_before, true),
        (Instant::EPOCH, Instant::from_secs(128), false),
        (Instant::from_secs(63), just_before, true),
        (Instant::from_secs(63), Instant::from_secs(128), false),
    ] {
        let (mut wire, listener) = flooded();
        wire.run_until(sent);
        let mut peer = Peer::new(4001);
        offered(&mut wire, &mut peer, Options::default(), Flags::SYN);
        wire.run_until(answered);
        // Another SYN, so that the listener takes cookies.
        only(wire.feed(&Peer::new(4002).syn()));
        let said = wire.feed(&peer.ack());
        assert_eq!(wire.host.accept(listener).is_ok(), valid, "{sent} {answered}");
        assert_eq!(said.iter().filter(|said| said.is(RST)).count(), usize::from(!valid));
        assert_eq!(said.len(), usize::from(!valid));
    }
}

#[test]
fn a_listener_takes_cookies_only_if_it_has_sent_one_in_the_last_128_seconds() {
    for (after, valid) in [(secs(64), true), (secs(129), false)] {
        let (mut wire, listener) = flooded();
        let mut peer = Peer::new(4001);
        offered(&mut wire, &mut peer, Options::default(), Flags::SYN);
        wire.run_for(after);
        let said = wire.feed(&peer.ack());
        assert_eq!(wire.host.accept(listener).is_ok(), valid);
        assert_eq!(said.len(), usize::from(!valid));
        // Without a cookie sent lately no ACK is looked at.
        assert_eq!(wire.host.counters().syn_cookies_failed, 0);
    }
    let mut wire = Wire::new(|_| {});
    wire.listen(4);
    let peer = Peer { nxt: tcplab::segment::Seq(1001), rcv: tcplab::segment::Seq(5), ..Peer::new(4001) };
    assert!(only(wire.feed(&peer.ack())).is(RST));
    assert_eq!(wire.host.counters().syn_cookies_failed, 0);
}

#[test]
fn an_ack_that_is_not_of_a_cookie_is_reset_and_counted() {
    let (mut wire, listener) = flooded();
    let mut peer = Peer::new(4001);
    offered(&mut wire, &mut peer, Options::default(), Flags::SYN);
    let wrong: [Peer; 4] = [
        Peer { rcv: peer.rcv + 1, ..peer.clone() },
        Peer { rcv: peer.rcv + (1 << 24), ..peer.clone() },
        Peer { nxt: peer.nxt + 1, ..peer.clone() },
        Peer { addr: "192.0.2.2:4009".parse().unwrap(), ..peer.clone() },
    ];
    for other in &wrong {
        let rst = only(wire.feed(&other.ack()));
        assert!(rst.is(RST) && rst.seq == other.rcv, "{rst:?}");
        assert_eq!(steps(&mut wire), [CookieStep::Failed]);
    }
    assert_eq!(wire.host.counters().syn_cookies_failed, 4);
    nothing(&wire.feed(&peer.segment(RST)));
    assert_eq!(wire.host.accept(listener), Err(Errno::EAGAIN));
    nothing(&wire.feed(&peer.ack()));
    wire.host.accept(listener).expect("the RST has changed nothing, as there is no record");
}

#[test]
fn the_ack_of_a_cookie_may_carry_data_and_a_fin() {
    let (mut wire, listener) = flooded();
    let mut peer = Peer::new(4001);
    offered(&mut wire, &mut peer, Options::default(), Flags::SYN);
    wire.feed(&SegmentTemplate { flags: FIN_ACK, payload: b"all", ..peer.ack() });
    let (fd, _) = wire.host.accept(listener).expect("established");
    assert_eq!((wire.read(fd), wire.read(fd)), (b"all".to_vec(), Vec::new()));
}

#[test]
fn over_ipv6_a_cookie_tells_the_mss_too() {
    let (mut wire, _) = flooded_with(|config| config.addresses.push(("2001:db8::1".parse().unwrap(), 64)));
    let fd = wire.host.socket(tcplab::socket::Domain::Inet6, tcplab::socket::Type::Stream).unwrap();
    wire.host.bind(fd, "[2001:db8::1]:81".parse().unwrap()).unwrap();
    wire.host.listen(fd, 1).unwrap();
    let host = "[2001:db8::1]:81".parse().unwrap();
    Peer { host, ..Peer::at("[2001:db8::2]:3999".parse().unwrap()) }.half_open(&mut wire);
    let mut peer = Peer { host, ..Peer::at("[2001:db8::2]:4001".parse().unwrap()) };
    steps(&mut wire);
    offered(&mut wire, &mut peer, Options { mss: Some(1439), ..Options::default() }, Flags::SYN);
    nothing(&wire.feed(&peer.ack()));
    let (fd, _) = wire.host.accept(fd).expect("established");
    assert_eq!(wire.host.tcp_info(fd).expect("TCP_INFO").snd_mss, 1420);
}

#[test]
fn an_ack_of_a_cookie_that_finds_the_accept_queue_full_is_dropped_and_asked_for_again_when_there_is_room() {
    // Linux drops it and forgets the client. A client that waits for the server to speak would wait for ever.
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(1);
    let [mut first, mut second] = [4001, 4002].map(Peer::new);
    first.half_open(&mut wire);
    steps(&mut wire);
    offered(&mut wire, &mut second, Options::default(), Flags::SYN);
    nothing(&wire.feed(&first.ack()));
    nothing(&wire.feed(&second.ack()));
    assert_eq!(wire.drops(), [DropReason::AcceptQueueFull]);
    // A SYN that finds the accept queue full gets no cookie.
    nothing(&wire.feed(&Peer::new(4003).syn()));
    assert_eq!(wire.drops(), [DropReason::AcceptQueueFull]);
    nothing(&wire.run_until(Instant::from_millis(999)));
    let again = only(wire.run_until(Instant::from_secs(1)));
    assert!(again.is(SYN_ACK), "by the timer of any half-open connection");
    nothing(&wire.feed(&second.ack()));
    assert_eq!(wire.drops(), [DropReason::AcceptQueueFull], "still full");
    wire.host.accept(listener).expect("the first");
    let again = only(wire.drain());
    assert!(again.is(SYN_ACK) && (again.dst, again.seq + 1) == (second.addr, second.rcv), "{again:?}");
    nothing(&wire.feed(&second.ack()));
    assert_eq!(wire.host.accept(listener).expect("the second").1, second.addr);
    wire.silent_for(secs(600));
}

#[test]
fn clients_that_returned_their_cookies_and_wait_for_a_full_accept_queue_have_a_bound() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(1);
    let mut first = Peer::new(3999);
    first.half_open(&mut wire);
    let mut others: Vec<_> = (0..200).map(|n| Peer::new(4000 + n)).collect();
    for peer in &mut others {
        peer.half_open(&mut wire);
    }
    nothing(&wire.feed(&first.ack()));
    for peer in &others {
        nothing(&wire.feed(&peer.ack()));
    }
    assert_eq!(wire.queues(), Some((129, 1)), "the backlog of 1, and 128 more");
    assert_eq!(wire.host.counters().dropped(DropReason::AcceptQueueFull), 200);
    let again = wire.run_until(Instant::from_secs(1));
    assert_eq!(again.len(), 129);
    wire.host.accept(listener).expect("the first");
}

#[test]
fn a_syn_for_a_connection_in_time_wait_gets_a_record_although_the_queue_is_full() {
    // Linux: such a peer is there.
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(1);
    let mut peer = Peer::with_timestamps(4001, 100);
    peer.establish(&mut wire);
    let (fd, _) = wire.host.accept(listener).expect("established");
    wire.host.close(fd).expect("close");
    only(wire.drain());
    peer.rcv += 1;
    nothing(&wire.feed(&peer.ack()));
    only(wire.feed(&peer.segment(FIN_ACK)));
    Peer::new(3999).half_open(&mut wire);
    steps(&mut wire);
    let again = Peer { iss: peer.nxt + 50_000, ts: Some(Timestamps { ts_val: 200, ts_ecr: 0 }), ..Peer::new(4001) };
    let mut again = Peer { nxt: again.iss, ..again };
    again.half_open(&mut wire);
    assert_eq!(steps(&mut wire), []);
    nothing(&wire.feed(&again.ack()));
    wire.host.accept(listener).expect("established");
}

#[test]
fn the_same_seed_gives_the_same_cookies_and_another_seed_others() {
    let cookies = |seed| {
        let (mut wire, _) = flooded_with(|config| config.seed = seed);
        let ports = 4001..4020;
        ports.map(|port| only(wire.feed(&Peer::with_timestamps(port, 5).syn()))).collect::<Vec<_>>()
    };
    assert_eq!(cookies(1), cookies(1));
    assert!(cookies(1).iter().zip(cookies(2)).all(|(one, other)| one.seq != other.seq));
}
