//! Listeners: the SYN queue, the accept queue, and what becomes of a connection that was half open.
//!
//! SYN cookies are off in most of these tests: what a full SYN queue does with them is in `rules/cookies.rs`.
//!
//! The reference is Linux and RFC 9293; where this host counts differently from Linux (a backlog of n is n, not n + 1)
//! the module `stack::listener` says so.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::common::wire::{ACK, FIN_ACK, Log, Peer, RST, SYN, SYN_ACK, Said, Wire, accepted, log, nothing, only, secs};
use tcplab::event::{DropReason, State};
use tcplab::net::{Net, TcpListener, TcpStream};
use tcplab::segment::{Options, SegmentTemplate, Timestamps};
use tcplab::sim::{HostHandle, Sim};
use tcplab::socket::{Errno, Fd, HostConfig, SocketOption, SynCookies};
use tcplab::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

fn without_cookies(config: &mut HostConfig) {
    config.syn_cookies = SynCookies::Off;
}

// ---- the queues, with programs

async fn serve_slowly(net: Net, clients: usize, pause: Duration) -> Vec<SocketAddr> {
    let listener = TcpListener::bind_with_backlog(&net, "0.0.0.0:80".parse().unwrap(), 2).unwrap();
    let mut served = Vec::new();
    for _ in 0..clients {
        net.sleep(pause).await;
        let (stream, peer) = listener.accept().await.unwrap();
        stream.write_all(b"Hello, Client!").await.unwrap();
        served.push(peer);
    }
    served
}

/// Ten clients of a server that speaks first and accepts one connection each four seconds, by a backlog of two. All are
/// served, and none is reset. Gives what was seen, and the server.
fn ten_clients_of_a_queue_of_two(cookies: SynCookies) -> (Rc<RefCell<Log>>, HostHandle) {
    let sim = Sim::seeded(1);
    let server = sim.host_with("server", "192.0.2.1/24", |config| config.syn_cookies = cookies);
    let client = sim.host("client", "192.0.2.2/24");
    sim.link(&client, &server, "delay=10ms");
    let log = log(&sim);
    let mut served = server.spawn(async |net| serve_slowly(net, 10, secs(4)).await);
    let done = Rc::new(RefCell::new(0));
    for _ in 0..10 {
        let done = Rc::clone(&done);
        client.spawn(async move |net| {
            let stream = TcpStream::connect(&net, "192.0.2.1:80".parse().unwrap()).await.unwrap();
            let mut text = Vec::new();
            stream.read_to_end(&mut text).await.unwrap();
            assert_eq!(text, b"Hello, Client!");
            *done.borrow_mut() += 1;
        });
    }
    sim.run_until_idle();

    assert_eq!(*done.borrow(), 10);
    let mut peers = served.try_take().expect("the server has served all");
    peers.sort();
    peers.dedup();
    assert_eq!(peers.len(), 10, "each client is served once: {peers:?}");
    assert!(log.borrow().sent.iter().all(|(_, said)| !said.flags.contains(RST)), "nobody is reset");
    let established = |state: &&(_, _, _, State)| state.0 == server.id() && state.3 == State::Established;
    assert_eq!(log.borrow().states.iter().filter(established).count(), 10, "no SYN makes a second connection");
    (log, server)
}

#[test]
fn ten_clients_of_a_queue_of_two_are_all_served_and_none_is_reset() {
    let (log, server) = ten_clients_of_a_queue_of_two(SynCookies::Off);
    let log = log.borrow();
    let syns = |src: SocketAddr| log.sent.iter().filter(|(_, said)| said.is(SYN) && said.src == src).count();
    let dropped: Vec<_> = log.dropped.iter().filter(|(host, _, said)| *host == server.id() && said.is(SYN)).collect();
    assert!(dropped.iter().all(|(_, why, _)| matches!(why, DropReason::SynQueueFull | DropReason::AcceptQueueFull)));
    let at_once =
        dropped.iter().filter(|(_, why, said)| *why == DropReason::SynQueueFull && said.at < Instant::from_secs(1));
    assert_eq!(at_once.count(), 8, "two SYNs find room, eight do not");
    for (_, _, said) in &dropped {
        assert!(syns(said.src) > 1, "the dropped SYN of {} is sent again", said.src);
    }
}

#[test]
fn with_syn_cookies_all_ten_are_answered_at_once_and_served_too() {
    let (log, server) = ten_clients_of_a_queue_of_two(SynCookies::On);
    let log = log.borrow();
    let answers = log.sent.iter().filter(|(host, said)| *host == server.id() && said.is(SYN_ACK));
    assert_eq!(answers.filter(|(_, said)| said.at < Instant::from_secs(1)).count(), 10, "two records, eight cookies");
    assert_eq!(log.sent.iter().filter(|(_, said)| said.is(SYN)).count(), 10, "no client sends its SYN again");
    let dropped = log.dropped.iter().filter(|(host, ..)| *host == server.id());
    assert!(dropped.clone().all(|(_, why, said)| *why == DropReason::AcceptQueueFull && said.is(ACK)));
    assert!(dropped.count() >= 8, "ACKs that find the accept queue full are dropped");
}

#[test]
fn connections_are_accepted_in_the_order_in_which_they_were_established() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(8);
    let mut peers: Vec<_> = (1..=4).map(|n| Peer::new(4000 + n)).collect();
    for peer in &mut peers {
        peer.half_open(&mut wire);
    }
    for at in [2, 0, 3, 1] {
        nothing(&wire.feed(&peers[at].ack()));
    }
    let order: Vec<_> = (0..4).map(|_| wire.host.accept(listener).expect("four wait").1.port()).collect();
    assert_eq!(order, [4003, 4001, 4004, 4002]);
    assert_eq!(wire.host.accept(listener), Err(Errno::EAGAIN));
}

// ---- the queues, segment by segment

#[test]
fn the_syn_queue_takes_as_many_as_the_backlog_and_not_one_more() {
    let mut wire = Wire::new(without_cookies);
    wire.listen(3);
    let mut peers: Vec<_> = (1..=4).map(|n| Peer::new(4000 + n)).collect();
    for peer in &mut peers[..3] {
        peer.half_open(&mut wire);
    }
    assert_eq!(wire.drops(), []);
    nothing(&wire.feed(&peers[3].syn()));
    assert_eq!(wire.drops(), [DropReason::SynQueueFull]);
    nothing(&wire.feed(&peers[0].ack()));
    assert_eq!(wire.queues(), Some((2, 1)));
    peers[3].half_open(&mut wire);
    assert_eq!(wire.queues(), Some((3, 1)));
}

#[test]
fn the_accept_queue_takes_as_many_as_the_backlog_and_not_one_more() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(2);
    let mut peers: Vec<_> = (1..=3).map(|n| Peer::new(4000 + n)).collect();
    for peer in &mut peers[..2] {
        peer.establish(&mut wire);
    }
    assert_eq!(wire.queues(), Some((0, 2)));
    nothing(&wire.feed(&peers[2].syn()));
    assert_eq!(wire.drops(), [DropReason::AcceptQueueFull]);
    wire.host.accept(listener).expect("two wait");
    peers[2].establish(&mut wire);
    assert_eq!(wire.queues(), Some((0, 2)));
}

#[test]
fn a_backlog_of_zero_is_one() {
    let mut wire = Wire::new(without_cookies);
    wire.listen(0);
    Peer::new(4001).half_open(&mut wire);
    nothing(&wire.feed(&Peer::new(4002).syn()));
    assert_eq!(wire.drops(), [DropReason::SynQueueFull]);
}

#[test]
fn a_second_listen_changes_the_backlog_and_drops_nobody() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(3);
    let mut peers: Vec<_> = (1..=3).map(|n| Peer::new(4000 + n)).collect();
    for peer in &mut peers {
        peer.half_open(&mut wire);
    }
    wire.host.listen(listener, 1).expect("listen again");
    nothing(&wire.feed(&peers[0].ack()));
    nothing(&wire.feed(&peers[1].ack()));
    assert_eq!(wire.drops(), [DropReason::AcceptQueueFull], "now one may wait");
    wire.host.accept(listener).expect("one waits");
    nothing(&wire.feed(&peers[1].ack()));
    wire.host.accept(listener).expect("the second");
    nothing(&wire.feed(&peers[2].ack()));
    wire.host.accept(listener).expect("the third");
}

/// A listener of backlog 2 whose accept queue is full, and a third client whose connection is half open.
fn full_accept_queue(wire: &mut Wire) -> (Fd, Peer) {
    let listener = wire.listen(2);
    let [mut first, mut second, mut third] = [4001, 4002, 4003].map(Peer::new);
    first.half_open(wire);
    second.half_open(wire);
    nothing(&wire.feed(&first.ack()));
    third.half_open(wire);
    nothing(&wire.feed(&second.ack()));
    assert_eq!(wire.queues(), Some((1, 2)));
    (listener, third)
}

#[test]
fn a_final_ack_that_finds_the_accept_queue_full_is_dropped_and_the_next_syn_ack_brings_another() {
    let mut wire = Wire::new(|_| {});
    let (listener, peer) = full_accept_queue(&mut wire);
    nothing(&wire.feed(&peer.ack()));
    assert_eq!(wire.drops(), [DropReason::AcceptQueueFull]);
    nothing(&wire.run_until(Instant::from_millis(999)));
    let again = only(wire.run_until(Instant::from_secs(1)));
    assert!(again.is(SYN_ACK) && again.dst == peer.addr, "{again:?}");
    nothing(&wire.feed(&peer.ack()));
    assert_eq!(wire.drops(), [DropReason::AcceptQueueFull], "still full");
    for _ in 0..2 {
        wire.host.accept(listener).expect("two wait");
    }
    only(wire.run_until(Instant::from_secs(3)));
    nothing(&wire.feed(&peer.ack()));
    assert_eq!(wire.host.accept(listener).expect("the third").1, peer.addr);
    wire.silent_for(secs(3600));
}

#[test]
fn data_that_finds_the_accept_queue_full_is_dropped_and_completes_the_connection_when_it_comes_again() {
    let mut wire = Wire::new(|_| {});
    let (listener, peer) = full_accept_queue(&mut wire);
    nothing(&wire.feed(&peer.ack()));
    nothing(&wire.feed(&peer.data(b"early")));
    assert_eq!(wire.drops(), [DropReason::AcceptQueueFull; 2]);
    wire.host.accept(listener).expect("two wait");
    wire.feed(&peer.data(b"early"));
    assert_eq!(wire.drops(), []);
    wire.host.accept(listener).expect("the second");
    let (fd, addr) = wire.host.accept(listener).expect("the third");
    assert_eq!((addr, wire.read(fd).as_slice()), (peer.addr, b"early".as_slice()));
}

#[test]
fn a_client_that_believes_itself_connected_is_served_although_its_final_ack_was_dropped() {
    let sim = Sim::seeded(3);
    let server = sim.host("server", "192.0.2.1/24");
    let client = sim.host("client", "192.0.2.2/24");
    sim.link(&client, &server, "delay=10ms");
    let log = log(&sim);
    let to: SocketAddr = "192.0.2.1:80".parse().unwrap();
    server.spawn(async move |net| {
        let listener = TcpListener::bind_with_backlog(&net, to, 2).unwrap();
        net.sleep(secs(6)).await;
        for _ in 0..3 {
            let (stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"x").await.unwrap();
            let mut text = Vec::new();
            stream.read_to_end(&mut text).await.unwrap();
            assert!(text.is_empty());
        }
    });
    // Two of three SYNs find room at first; the second pair of handshakes overlaps, so that one final ACK finds none.
    for pause in [0, 5, 25] {
        client.spawn(async move |net| {
            net.sleep(pause * MS).await;
            let stream = TcpStream::connect(&net, to).await.unwrap();
            stream.read_exact(&mut [0]).await.unwrap();
        });
    }
    sim.run_until_idle();
    assert!(log.borrow().sent.iter().all(|(_, said)| !said.flags.contains(RST)));
}

// ---- SYN-RECEIVED

#[test]
fn a_retransmitted_syn_gets_the_same_syn_ack_and_makes_no_second_connection() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(2);
    let mut peer = Peer::new(4001);
    let first = peer.half_open(&mut wire);
    wire.silent_for(300 * MS);
    let second = only(wire.feed(&peer.syn()));
    assert_eq!(Said { at: first.at, ..second }, first);
    assert_eq!(wire.queues(), Some((1, 0)), "it takes no second place");
    // The timer goes on from the first.
    let third = only(wire.run_until(Instant::from_secs(1)));
    assert_eq!((third.at, Said { at: first.at, ..third }), (Instant::from_secs(1), first));
    nothing(&wire.feed(&peer.ack()));
    wire.host.accept(listener).expect("one connection");
    assert_eq!(wire.host.accept(listener), Err(Errno::EAGAIN));
    wire.silent_for(secs(600));
}

#[test]
fn a_syn_of_another_sequence_number_is_challenged_and_an_rst_lets_the_new_one_in() {
    let mut wire = Wire::new(|_| {});
    wire.listen(1);
    let mut old = Peer::new(4001);
    let syn_ack = old.half_open(&mut wire);
    // The client has crashed and comes again from the same port.
    let mut new = Peer { iss: old.iss + 77_000, nxt: old.iss + 77_000, ..Peer::new(4001) };
    let challenge = only(wire.feed(&new.syn()));
    assert!(challenge.is(ACK), "{challenge:?}");
    assert_eq!((challenge.seq, challenge.ack), (syn_ack.seq + 1, old.iss + 1));
    // RFC 9293, section 3.10.7.3: SYN-SENT answers an unacceptable ACK with an RST from there.
    nothing(&wire.feed(&SegmentTemplate { seq: challenge.ack, flags: RST, ..new.segment(RST) }));
    new.half_open(&mut wire);
}

#[test]
fn an_rst_at_rcv_nxt_frees_the_place_in_silence() {
    let mut wire = Wire::new(without_cookies);
    wire.listen(1);
    let mut peer = Peer::new(4001);
    peer.half_open(&mut wire);
    nothing(&wire.feed(&Peer::new(4002).syn()));
    nothing(&wire.feed(&peer.segment(RST)));
    assert_eq!(wire.queues(), Some((0, 0)));
    Peer::new(4002).half_open(&mut wire);
    nothing(&wire.run_until(Instant::from_millis(999)));
    assert_eq!(only(wire.run_until(Instant::from_secs(1))).dst.port(), 4002, "the first has no timer any more");
}

#[test]
fn an_rst_elsewhere_does_not_free_the_place() {
    let mut wire = Wire::new(|_| {});
    wire.listen(1);
    let mut peer = Peer::new(4001);
    let syn_ack = peer.half_open(&mut wire);
    let rst = |offset: u32| SegmentTemplate { seq: peer.nxt + offset, ..peer.segment(RST) };
    for outside in [u32::MAX, 65_536, 1 << 31] {
        nothing(&wire.feed(&rst(outside)));
    }
    let challenge = only(wire.feed(&rst(1)));
    assert!(challenge.is(ACK));
    assert_eq!((challenge.seq, challenge.ack), (syn_ack.seq + 1, peer.nxt));
    nothing(&wire.feed(&rst(65_534)));
    assert_eq!(wire.queues().unwrap_or((1, 0)), (1, 0));
    nothing(&wire.feed(&peer.ack()));
    assert_eq!(wire.queues(), Some((0, 1)));
}

#[test]
fn an_ack_of_anything_but_our_syn_is_reset_and_the_half_open_connection_stays() {
    let mut wire = Wire::new(|_| {});
    wire.listen(1);
    let mut peer = Peer::new(4001);
    peer.half_open(&mut wire);
    for off in [1, u32::MAX, 1 << 31] {
        let wrong = SegmentTemplate { ack: peer.rcv + off, ..peer.ack() };
        let rst = only(wire.feed(&wrong));
        assert!(rst.is(RST), "{rst:?}");
        assert_eq!(rst.seq, wrong.ack);
    }
    nothing(&wire.feed(&peer.ack()));
    assert_eq!(wire.queues(), Some((0, 1)));
}

#[test]
fn a_segment_without_ack_in_syn_received_is_dropped_in_silence() {
    let mut wire = Wire::new(|_| {});
    wire.listen(1);
    let mut peer = Peer::new(4001);
    peer.half_open(&mut wire);
    let bare = SegmentTemplate { payload: b"x", flags: tcplab::segment::Flags::PSH, ..peer.ack() };
    nothing(&wire.feed(&bare));
    assert_eq!(wire.drops(), [DropReason::HalfOpen]);
}

#[test]
fn the_syn_ack_is_sent_again_at_1_3_7_15_and_31_seconds_and_the_record_goes_in_silence_at_63() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(1);
    let mut peer = Peer::new(4001);
    let first = peer.half_open(&mut wire);
    let again = wire.run_until(Instant::from_nanos(62_999_999_999));
    let times: Vec<_> = again.iter().map(|said| said.at.as_nanos()).collect();
    assert_eq!(times, [1, 3, 7, 15, 31].map(|at| at * 1_000_000_000));
    assert!(again.iter().all(|said| Said { at: first.at, ..said.clone() } == first), "{again:#?}");
    assert_eq!(wire.queues(), Some((1, 0)));
    nothing(&wire.run_until(Instant::from_secs(63)));
    assert_eq!(wire.queues(), Some((0, 0)));
    assert_eq!(wire.host.next_at(), None, "nothing is left to wait for");
    assert_eq!(wire.host.accept(listener), Err(Errno::EAGAIN));
    let rst = only(wire.feed(&peer.ack()));
    assert!(rst.is(RST) && rst.seq == peer.rcv, "a final ACK that comes too late is reset: {rst:?}");
    Peer::new(4001).half_open(&mut wire);
}

#[test]
fn the_number_of_syn_ack_retries_is_a_setting() {
    for (retries, end) in [(0, 1), (1, 3), (2, 7)] {
        let mut wire = Wire::new(|config| config.synack_retries = retries);
        wire.listen(1);
        Peer::new(4001).half_open(&mut wire);
        assert_eq!(wire.run_until(Instant::from_secs(3600)).len(), retries as usize);
        let closed = wire.states();
        assert_eq!(closed, [State::SynReceived, State::Closed], "after {end} s");
    }
}

#[test]
fn a_final_ack_just_before_the_end_still_completes_the_connection() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(1);
    let mut peer = Peer::new(4001);
    peer.half_open(&mut wire);
    wire.run_until(Instant::from_nanos(62_999_999_999));
    nothing(&wire.feed(&peer.ack()));
    let (fd, _) = wire.host.accept(listener).expect("established");
    nothing(&wire.run_until(Instant::from_secs(3600)));
    assert_eq!(wire.host.write(fd, b"x"), Ok(1));
    assert_eq!(only(wire.drain()).payload, b"x");
}

// ---- from the final ACK to accept

#[test]
fn a_final_ack_may_carry_data_and_a_fin() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(1);
    let mut peer = Peer::new(4001);
    peer.half_open(&mut wire);
    let said = wire.feed(&SegmentTemplate { flags: FIN_ACK, payload: b"all", ..peer.ack() });
    let acks = [said, wire.run_for(20 * MS)].concat();
    assert_eq!(acks.last().expect("data is acknowledged").ack, peer.nxt + 4);
    let (fd, _) = wire.host.accept(listener).expect("established");
    assert_eq!(wire.read(fd), b"all");
    assert_eq!(wire.read(fd), b"");
}

#[test]
fn a_segment_beyond_the_final_ack_completes_the_connection_too() {
    // The final ACK is lost, and of two data segments the first.
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(1);
    let mut peer = Peer::new(4001);
    peer.half_open(&mut wire);
    let second = SegmentTemplate { seq: peer.nxt + 3, ..peer.data(b"def") };
    wire.feed(&second);
    let (fd, _) = wire.host.accept(listener).expect("established");
    assert_eq!(wire.host.read(fd, &mut [0; 9]), Err(Errno::EAGAIN));
    wire.feed(&peer.data(b"abc"));
    assert_eq!(wire.read(fd), b"abcdef");
}

#[test]
fn data_before_accept_is_acknowledged_and_waits() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(1);
    let mut peer = Peer::new(4001);
    peer.establish(&mut wire);
    let mut acks = wire.feed(&peer.data(b"early"));
    acks.extend(wire.run_for(20 * MS));
    assert_eq!(only(acks).ack, peer.nxt + 5);
    let (fd, _) = wire.host.accept(listener).expect("established");
    assert_eq!(wire.read(fd), b"early");
}

#[test]
fn a_connection_that_its_peer_closed_before_accept_is_accepted_and_read_to_its_end() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(1);
    let mut peer = Peer::new(4001);
    peer.establish(&mut wire);
    wire.feed(&peer.data(b"last words"));
    peer.nxt += 10;
    let fin = wire.feed(&peer.segment(FIN_ACK));
    let acks = [fin, wire.run_for(20 * MS)].concat();
    assert_eq!(acks.last().expect("the FIN is acknowledged").ack, peer.nxt + 1);
    let (fd, addr) = wire.host.accept(listener).expect("it can be accepted");
    assert_eq!(addr, peer.addr);
    assert_eq!(wire.read(fd), b"last words");
    assert_eq!(wire.read(fd), b"");
    assert_eq!(wire.host.write(fd, b"reply"), Ok(5));
    assert_eq!(only(wire.drain()).payload, b"reply");
}

#[test]
fn a_connection_that_its_peer_reset_before_accept_is_accepted_and_says_so() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(1);
    let mut peer = Peer::new(4001);
    peer.establish(&mut wire);
    nothing(&wire.feed(&peer.segment(RST)));
    let (fd, addr) = wire.host.accept(listener).expect("Linux gives it to accept all the same");
    assert_eq!(addr, peer.addr);
    assert_eq!(wire.host.read(fd, &mut [0; 9]), Err(Errno::ECONNRESET));
    assert_eq!(wire.host.read(fd, &mut [0; 9]), Ok(0));
    assert_eq!(wire.host.getpeername(fd), Err(Errno::ENOTCONN));
    wire.host.close(fd).expect("close");
    wire.silent_for(secs(600));
    Peer::new(4001).half_open(&mut wire);
}

// ---- the listener goes

#[test]
fn a_listener_that_closes_resets_its_queued_children() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(4);
    let mut queued = Peer::new(4001);
    queued.establish(&mut wire);
    let mut child = Peer::new(4002);
    child.half_open(&mut wire);
    nothing(&wire.feed(&child.ack()));
    wire.host.close(listener).expect("close");
    let said = wire.drain();
    for peer in [&queued, &child] {
        let rst = only(said.iter().filter(|said| said.dst == peer.addr).cloned().collect());
        assert!(rst.flags.contains(RST), "{rst:?}");
        assert_eq!(rst.seq, peer.rcv, "the RST hits the peer's RCV.NXT");
    }
    wire.silent_for(secs(600));
}

#[test]
fn a_listener_that_closes_forgets_its_half_open_children_and_their_final_ack_is_reset() {
    // Linux: the request goes with its listener; what still comes finds nobody.
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(4);
    let mut half_open = Peer::new(4001);
    half_open.half_open(&mut wire);
    wire.host.close(listener).expect("close");
    wire.silent_for(secs(100));
    let rst = only(wire.feed(&half_open.ack()));
    assert!(rst.is(RST) && rst.seq == half_open.rcv, "{rst:?}");
    let again = wire.listen(4);
    assert_eq!(wire.host.accept(again), Err(Errno::EAGAIN), "the port is free and the queue empty");
}

#[test]
fn an_accepted_child_outlives_its_listener() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(4);
    let mut peer = Peer::new(4001);
    let fd = accepted(&mut wire, listener, &mut peer);
    wire.host.close(listener).expect("close");
    nothing(&wire.drain());
    wire.feed(&peer.data(b"still here"));
    assert_eq!(wire.read(fd), b"still here");
}

// ---- options

#[test]
fn a_syn_ack_offers_what_the_syn_offered_and_nothing_else() {
    for bits in 0_u8..16 {
        for own_timestamps in [true, false] {
            let has = |bit: u8| bits & 1 << bit != 0;
            let mut wire = Wire::new(|config| {
                config.timestamps = own_timestamps;
                config.rcv_buf = Some(65_536);
            });
            wire.listen(1);
            let offered = Options {
                mss: has(0).then_some(1300),
                wscale: has(1).then_some(7),
                sack_permitted: has(2),
                ts: has(3).then_some(Timestamps { ts_val: 77, ts_ecr: 0 }),
                ..Options::default()
            };
            let said = only(wire.feed(&SegmentTemplate { options: offered, ..Peer::new(4001).syn() }));
            let options = said.options;
            assert_eq!(options.mss, Some(1460), "RFC 9293, section 3.7.1: the MSS of this end, always");
            assert_eq!(options.wscale, has(1).then_some(1), "64 KiB need a shift of one; {offered:?}");
            assert_eq!(options.sack_permitted, has(2), "{offered:?}");
            assert_eq!(options.ts.map(|ts| ts.ts_ecr), (has(3) && own_timestamps).then_some(77), "{offered:?}");
            assert_eq!(said.window, 65_535, "RFC 7323, section 2.2: the window of a SYN is never scaled");
        }
    }
}

#[test]
fn the_syn_ack_of_a_larger_buffer_has_a_larger_shift() {
    for (rcv_buf, shift, window) in [(4096, 0, 4096), (65_535, 0, 65_535), (65_536, 1, 65_535), (1 << 20, 5, 65_535)] {
        let mut wire = Wire::new(|config| config.rcv_buf = Some(rcv_buf));
        wire.listen(1);
        let options = Options { wscale: Some(2), ..Options::default() };
        let said = only(wire.feed(&SegmentTemplate { options, ..Peer::new(4001).syn() }));
        assert_eq!((said.options.wscale, said.window), (Some(shift), window), "a buffer of {rcv_buf}");
    }
}

#[test]
fn tcp_maxseg_of_a_listener_is_what_its_syn_ack_announces() {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(1);
    wire.host.setsockopt(listener, SocketOption::MaxSeg(700)).expect("TCP_MAXSEG");
    assert_eq!(only(wire.feed(&Peer::new(4001).syn())).options.mss, Some(700));
}

#[test]
fn a_connection_keeps_what_its_syn_ack_said_whatever_the_listener_is_told_meanwhile() {
    let mut wire = Wire::new(|config| config.rcv_buf = Some(65_536));
    let listener = wire.listen(1);
    let mut peer = Peer::new(4001);
    let options = Options { wscale: Some(0), ..Options::default() };
    let syn_ack = only(wire.feed(&SegmentTemplate { options, ..peer.syn() }));
    assert_eq!(syn_ack.options.wscale, Some(1));
    peer.hear_syn_ack(&syn_ack);
    wire.host.setsockopt(listener, SocketOption::RcvBuf(1000)).expect("SO_RCVBUF");
    nothing(&wire.feed(&peer.ack()));
    wire.host.accept(listener).expect("established");
    let ack = only(wire.feed(&peer.data(b"x")));
    assert_eq!(ack.window, 65_534 / 2, "the edge of the SYN|ACK, with the shift of one that was agreed on");
}

#[test]
fn over_ipv6_the_mss_leaves_room_for_the_larger_header() {
    let mut wire = Wire::new(|config| config.addresses = vec![("2001:db8::1".parse().unwrap(), 64)]);
    let fd = wire.host.socket(tcplab::socket::Domain::Inet6, tcplab::socket::Type::Stream).unwrap();
    wire.host.bind(fd, "[::]:80".parse().unwrap()).unwrap();
    wire.host.listen(fd, 1).unwrap();
    let host: SocketAddr = "[2001:db8::1]:80".parse().unwrap();
    let mut peer = Peer { host, ..Peer::at("[2001:db8::2]:4001".parse().unwrap()) };
    assert_eq!(peer.half_open(&mut wire).options.mss, Some(1440));
    nothing(&wire.feed(&peer.ack()));
    assert_eq!(wire.host.accept(fd).expect("established").1, peer.addr);
}

#[test]
fn the_window_of_the_peer_is_scaled_only_if_it_offered_to_scale() {
    for (wscale, bytes) in [(Some(3), 800), (Some(0), 100), (None, 100)] {
        let mut wire = Wire::new(|_| {});
        let listener = wire.listen(1);
        let mut peer = Peer::new(4001);
        let options = Options { mss: Some(1460), wscale, ..Options::default() };
        let syn_ack = only(wire.feed(&SegmentTemplate { options, ..peer.syn() }));
        peer.hear_syn_ack(&syn_ack);
        nothing(&wire.feed(&SegmentTemplate { window: 100, ..peer.ack() }));
        let (fd, _) = wire.host.accept(listener).expect("established");
        wire.host.write(fd, &[7; 5000]).expect("write");
        // RFC 9293, section 3.8.6.2.1: less than a segment and than half of the largest window waits for the override
        // timeout, which sends what the window admits.
        nothing(&wire.drain());
        let sent: usize = wire.run_for(250 * MS).iter().map(|said| said.payload.len()).sum();
        assert_eq!(sent, bytes, "a window field of 100 with a scale of {wscale:?}");
    }
}

#[test]
fn the_mss_of_the_peer_and_536_without_one_bound_what_is_sent() {
    for (mss, ts, largest) in
        [(Some(1000), false, 1000), (Some(1000), true, 988), (None, false, 536), (Some(9000), false, 1460)]
    {
        let mut wire = Wire::new(|_| {});
        let listener = wire.listen(1);
        let mut peer = if ts { Peer::with_timestamps(4001, 5) } else { Peer::new(4001) };
        let options = Options { mss, ts: peer.ts, ..Options::default() };
        let syn_ack = only(wire.feed(&SegmentTemplate { options, ..peer.syn() }));
        peer.hear_syn_ack(&syn_ack);
        nothing(&wire.feed(&peer.ack()));
        let (fd, _) = wire.host.accept(listener).expect("established");
        wire.host.write(fd, &vec![7; 20_000]).expect("write");
        let said = wire.drain();
        assert_eq!(said[0].payload.len(), largest, "MSS {mss:?}, timestamps {ts}");
        assert!(said.iter().all(|said| said.payload.len() <= largest));
    }
}

// ---- the RTT of the handshake

fn srtt_after(lost_syn_acks: u32, syn_again_at: Option<Duration>, ack_at: Duration) -> Duration {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(1);
    let mut peer = Peer::with_timestamps(4001, 5);
    peer.half_open(&mut wire);
    if let Some(at) = syn_again_at {
        wire.run_until(Instant::EPOCH + at);
        only(wire.feed(&peer.syn()));
    }
    let again = wire.run_until(Instant::EPOCH + ack_at);
    assert_eq!(again.len(), lost_syn_acks as usize);
    nothing(&wire.feed(&peer.ack()));
    let (fd, _) = wire.host.accept(listener).expect("established");
    wire.host.tcp_info(fd).expect("TCP_INFO").rtt
}

#[test]
fn the_handshake_is_the_first_sample_of_the_rtt() {
    assert_eq!(srtt_after(0, None, 40 * MS), 40 * MS);
}

#[test]
fn a_syn_ack_that_was_sent_twice_is_no_sample() {
    // Karn's rule (RFC 6298, section 3): nobody knows which of the two was acknowledged.
    assert_eq!(srtt_after(1, None, 1040 * MS), Duration::ZERO);
    assert_eq!(srtt_after(2, None, 3040 * MS), Duration::ZERO);
}

#[test]
fn a_syn_ack_that_a_second_syn_called_for_again_is_no_sample_either() {
    assert_eq!(srtt_after(0, Some(900 * MS), 940 * MS), Duration::ZERO);
}
