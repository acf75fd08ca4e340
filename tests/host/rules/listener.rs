//! A listener that holds SYNs: its owner accepts or refuses each one. BSD sockets have no such calls.

use crate::common::wire::{ACK, Peer, RST, SYN_ACK, Wire, nothing, only};
use tcplab::event::{Cause, DropReason, HostEvent, State};
use tcplab::segment::{Flags, SegmentTemplate};
use tcplab::socket::{Errno, Fd, HeldSyn, Readiness};
use tcplab::time::{Duration, Instant};

const RST_ACK: Flags = Flags(RST.0 | ACK.0);

fn holding(backlog: usize) -> (Wire, Fd) {
    let mut wire = Wire::new(|_| {});
    let listener = wire.listen(backlog);
    wire.host.hold_syns(listener, true).expect("it listens");
    (wire, listener)
}

fn held(wire: &mut Wire, listener: Fd, peer: &Peer) -> HeldSyn {
    let (held, from) = wire.host.poll_held_syn(listener).expect("it listens").expect("a SYN waits");
    assert_eq!(from, peer.addr);
    held
}

#[test]
fn a_held_syn_is_answered_by_nothing_until_it_is_accepted() {
    let (mut wire, listener) = holding(4);
    let mut peer = Peer::new(4001);
    nothing(&wire.feed(&peer.syn()));
    wire.silent_for(Duration::from_secs(100));
    assert_eq!(wire.states(), [State::SynReceived]);
    let syn = held(&mut wire, listener, &peer);
    assert_eq!(wire.host.poll_held_syn(listener), Ok(None), "each is told once");
    wire.host.answer_syn(syn, true);
    let syn_ack = only(wire.drain());
    assert!(syn_ack.is(SYN_ACK));
    peer.hear_syn_ack(&syn_ack);
    // The timer of the SYN|ACK begins when it leaves.
    let again = wire.run_for(Duration::from_secs(1));
    assert_eq!(only(again).seq, syn_ack.seq);
    nothing(&wire.feed(&peer.ack()));
    let (fd, from) = wire.host.accept(listener).expect("established");
    assert_eq!(from, peer.addr);
    wire.host.write(fd, b"x").expect("write");
    assert_eq!(only(wire.drain()).payload, b"x");
    wire.host.answer_syn(syn, false);
    nothing(&wire.drain());
}

#[test]
fn a_held_syn_that_is_refused_is_reset_as_by_a_closed_port() {
    let (mut wire, listener) = holding(4);
    let peer = Peer::new(4001);
    nothing(&wire.feed(&peer.syn()));
    let syn = held(&mut wire, listener, &peer);
    wire.states();
    wire.host.answer_syn(syn, false);
    let rst = only(wire.drain());
    assert_eq!((rst.flags, rst.seq.0, rst.ack), (RST_ACK, 0, peer.iss + 1));
    let cause = std::iter::from_fn(|| wire.host.poll_event()).find_map(|event| match event {
        HostEvent::State { to: State::Closed, cause, .. } => Some(cause),
        _ => None,
    });
    assert_eq!(cause, Some(Cause::Call("refuse")));
    wire.silent_for(Duration::from_mins(5));
    assert_eq!(wire.host.accept(listener), Err(Errno::EAGAIN));
    // The place is free, and the client may try again.
    nothing(&wire.feed(&peer.syn()));
    held(&mut wire, listener, &peer);
}

#[test]
fn held_syns_take_places_of_the_backlog_and_one_more_is_dropped() {
    let (mut wire, listener) = holding(2);
    let peers = [4001, 4002, 4003].map(Peer::new);
    for peer in &peers {
        nothing(&wire.feed(&peer.syn()));
    }
    assert_eq!(wire.drops(), [DropReason::SynQueueFull]);
    let first = held(&mut wire, listener, &peers[0]);
    held(&mut wire, listener, &peers[1]);
    assert_eq!(wire.host.poll_held_syn(listener), Ok(None));
    wire.host.answer_syn(first, false);
    assert!(only(wire.drain()).is(RST_ACK));
    nothing(&wire.feed(&peers[2].syn()));
    assert_eq!(wire.drops(), []);
    held(&mut wire, listener, &peers[2]);
}

#[test]
fn a_syn_that_the_peer_sends_again_is_held_once_and_answered_once() {
    let (mut wire, listener) = holding(4);
    let mut peer = Peer::new(4001);
    for _ in 0..4 {
        nothing(&wire.feed(&peer.syn()));
        wire.silent_for(Duration::from_secs(3));
    }
    // An ACK that nobody asked for says nothing either.
    nothing(&wire.feed(&SegmentTemplate { seq: peer.iss + 1, ..peer.ack() }));
    let syn = held(&mut wire, listener, &peer);
    assert_eq!(wire.host.poll_held_syn(listener), Ok(None));
    wire.host.answer_syn(syn, true);
    let syn_ack = only(wire.drain());
    peer.hear_syn_ack(&syn_ack);
    nothing(&wire.feed(&peer.ack()));
    let (fd, _) = wire.host.accept(listener).expect("established");
    // The round trip begins with the SYN|ACK, not with the SYN. TCP_INFO has a microsecond at least.
    assert_eq!(wire.host.tcp_info(fd).expect("TCP_INFO").rtt, Duration::from_micros(1));
}

#[test]
fn a_held_syn_is_forgotten_after_127_seconds_or_by_an_rst_and_a_late_answer_does_nothing() {
    for by_rst in [false, true] {
        let (mut wire, listener) = holding(4);
        let peer = Peer::new(4001);
        nothing(&wire.feed(&peer.syn()));
        let syn = held(&mut wire, listener, &peer);
        if by_rst {
            nothing(&wire.feed(&SegmentTemplate { seq: peer.iss + 1, flags: RST, ..peer.ack() }));
        } else {
            wire.silent_for(Duration::from_nanos(126_999_999_999));
            assert_eq!(wire.queues().map(|(syn_queue, _)| syn_queue), Some(1));
            wire.silent_for(Duration::from_nanos(1));
        }
        assert_eq!(wire.queues().map(|(syn_queue, _)| syn_queue), Some(0));
        for accept in [true, false] {
            wire.host.answer_syn(syn, accept);
            nothing(&wire.drain());
        }
        assert_eq!(wire.host.next_at(), None);
        // The next SYN is another one.
        nothing(&wire.feed(&peer.syn()));
        held(&mut wire, listener, &peer);
    }
}

#[test]
fn a_listener_that_holds_no_more_answers_at_once_and_those_held_still_wait() {
    let (mut wire, listener) = holding(4);
    let (first, mut second) = (Peer::new(4001), Peer::new(4002));
    nothing(&wire.feed(&first.syn()));
    wire.host.hold_syns(listener, false).expect("it listens");
    second.half_open(&mut wire);
    let syn = held(&mut wire, listener, &first);
    wire.host.answer_syn(syn, true);
    assert!(only(wire.drain()).is(SYN_ACK));
    assert!(!wire.host.readiness(listener).contains(Readiness::READABLE));
    assert!(wire.now < Instant::from_secs(1));
}

#[test]
fn the_owner_is_told_of_each_held_syn_whose_connection_will_not_come() {
    let (mut wire, listener) = holding(4);
    let (mut made, mut reset, refused) = (Peer::new(4001), Peer::new(4002), Peer::new(4003));
    for peer in [&made, &reset, &refused] {
        nothing(&wire.feed(&peer.syn()));
    }
    let syns = [&made, &reset, &refused].map(|peer| held(&mut wire, listener, peer));
    assert_eq!(wire.host.poll_gone_syn(listener), Ok(None));
    for syn in &syns[..2] {
        wire.host.answer_syn(*syn, true);
    }
    let answers = wire.drain();
    made.hear_syn_ack(&answers[0]);
    reset.hear_syn_ack(&answers[1]);
    nothing(&wire.feed(&made.ack()));
    nothing(&wire.feed(&reset.segment(RST)));
    wire.host.answer_syn(syns[2], false);
    assert!(only(wire.drain()).is(RST_ACK));
    assert_eq!(wire.host.poll_gone_syn(listener), Ok(Some((syns[1], reset.addr))));
    assert_eq!(wire.host.poll_gone_syn(listener), Ok(Some((syns[2], refused.addr))));
    assert_eq!(wire.host.poll_gone_syn(listener), Ok(None));
    assert_eq!(wire.host.accept(listener).map(|(_, from)| from), Ok(made.addr));
    // Without an owner nobody is told.
    let last = Peer::new(4004);
    nothing(&wire.feed(&last.syn()));
    let syn = held(&mut wire, listener, &last);
    wire.host.hold_syns(listener, false).expect("it listens");
    wire.host.answer_syn(syn, false);
    assert_eq!(wire.host.poll_gone_syn(listener), Ok(None));
}

#[test]
fn only_a_listener_holds_syns() {
    let (mut wire, listener) = holding(4);
    wire.host.close(listener).expect("close");
    assert_eq!(wire.host.hold_syns(listener, true), Err(Errno::EBADF));
    let fd = wire.host.socket(tcplab::socket::Domain::Inet, tcplab::socket::Type::Stream).expect("socket");
    assert_eq!(wire.host.hold_syns(fd, true), Err(Errno::EINVAL));
    assert_eq!(wire.host.poll_held_syn(fd), Err(Errno::EINVAL));
}

#[test]
fn a_listener_that_closes_forgets_the_syns_that_it_holds() {
    let (mut wire, listener) = holding(4);
    let peer = Peer::new(4001);
    nothing(&wire.feed(&peer.syn()));
    let syn = held(&mut wire, listener, &peer);
    wire.host.close(listener).expect("close");
    nothing(&wire.drain());
    wire.host.answer_syn(syn, true);
    wire.silent_for(Duration::from_mins(5));
    assert!(only(wire.feed(&peer.syn())).is(RST_ACK), "nobody listens");
}
