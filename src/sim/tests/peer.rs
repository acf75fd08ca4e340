//! The scripted peer: when its packets are sent, what is kept, and what is refused.

use core::net::SocketAddr;

use super::super::peer::ScriptedPeer;
use crate::segment::{Flags, IpView, Segment, SegmentTemplate};
use crate::sim::{Arrived, HostHandle, PeerCounters, PeerHandle, Sim};
use crate::socket::{Domain, Type};
use crate::time::{Duration, Instant};

fn pair(line: &str) -> (Sim, HostHandle, PeerHandle) {
    let sim = Sim::seeded(7);
    // The answer to each SYN is an RST.
    let host = sim.host_with("host", "192.0.2.1/24", |config| config.reset_rate = 0);
    let peer = sim.scripted_peer("peer", "192.0.2.2/24");
    sim.link(&host, &peer, line);
    (sim, host, peer)
}

fn syn(port: u16) -> Vec<u8> {
    let [src, dst] = [("192.0.2.2", port), ("192.0.2.1", 80)]
        .map(|(ip, port)| SocketAddr::new(ip.parse().expect("an address"), port));
    SegmentTemplate { flags: Flags::SYN, ..SegmentTemplate::new(src, dst) }.to_bytes()
}

/// Flags and the port of the peer.
fn brief(arrived: &Arrived) -> (Instant, Flags, u16) {
    let ip = IpView::parse(&arrived.bytes).expect("a packet");
    let segment = Segment::parse(&ip).expect("a segment");
    (arrived.at, segment.flags, segment.dst.port())
}

fn all(peer: &PeerHandle) -> Vec<(Instant, Flags, u16)> {
    core::iter::from_fn(|| peer.poll_packet()).map(|arrived| brief(&arrived)).collect()
}

const REFUSED: Flags = Flags(Flags::RST.0 | Flags::ACK.0);

#[test]
fn packets_for_later_are_sent_at_their_instants_and_in_the_order_in_which_they_were_given() {
    let (sim, _host, peer) = pair("delay=1ms");
    peer.inject_at(Instant::from_millis(20), syn(3));
    peer.inject_at(Instant::from_millis(10), syn(1));
    peer.inject_at(Instant::from_millis(10), syn(2));
    assert_eq!(sim.next_at(), Some(Instant::EPOCH), "the host was just made");
    sim.run_for(Duration::from_millis(5));
    assert_eq!(sim.next_at(), Some(Instant::from_millis(10)));
    peer.inject_at(Instant::EPOCH, syn(4)); // over: now
    sim.run_until_idle();
    let at = |millis| Instant::from_millis(millis);
    assert_eq!(all(&peer), [(at(7), REFUSED, 4), (at(12), REFUSED, 1), (at(12), REFUSED, 2), (at(22), REFUSED, 3)]);
    assert_eq!(peer.poll_packet(), None);
    assert_eq!(peer.counters(), PeerCounters { sent: 4, arrived: 4, refused: 0 });
}

#[test]
fn without_delay_a_packet_is_handled_before_the_deadlines_of_its_instant_and_before_inject_returns() {
    let (sim, host, peer) = pair("");
    let addr = SocketAddr::new(host.address(), 80);
    host.sys(|host| {
        let fd = host.socket(Domain::Inet, Type::Stream)?;
        host.bind(fd, addr)?;
        host.listen(fd, 5)
    })
    .expect("it listens");
    sim.run_for(Duration::ZERO);
    peer.inject(syn(1));
    // Nothing was run: the answer is there all the same.
    assert_eq!(all(&peer), [(Instant::EPOCH, Flags::SYN | Flags::ACK, 1)]);
    // The SYN|ACK is sent again after a second. What is injected at that instant is handled first.
    let second = Instant::from_secs(1);
    assert_eq!(sim.next_at(), Some(second));
    sim.advance_to(second);
    peer.inject(syn(2));
    assert_eq!(all(&peer), [(second, Flags::SYN | Flags::ACK, 2)]);
    sim.run_until(second);
    assert_eq!(all(&peer), [(second, Flags::SYN | Flags::ACK, 1)]);
}

#[test]
fn an_answer_is_sent_at_the_instant_of_the_packet_that_it_answers() {
    let (sim, _host, peer) = pair("delay=1ms");
    let mut left = 2;
    peer.respond(move |at, packet| {
        let segment = IpView::parse(packet).expect("a packet");
        assert_eq!((at.as_millis() % 2, segment.header.len()), (0, 20));
        left -= 1;
        (left > 0).then(|| syn(left))
    });
    peer.inject(syn(9));
    sim.run_until_idle();
    let at = |millis| Instant::from_millis(millis);
    assert_eq!(all(&peer), [(at(2), REFUSED, 9), (at(4), REFUSED, 1)]);
    assert_eq!(peer.counters(), PeerCounters { sent: 2, arrived: 2, refused: 0 });
}

#[test]
fn what_arrives_beyond_the_limit_is_refused_and_counted() {
    let (_sim, _host, peer) = pair("");
    let limit = ScriptedPeer::LIMIT as u64;
    for _ in 0..=limit {
        peer.inject(syn(1));
    }
    // Arrivals are taken out of the link when a test asks for them.
    let mut taken = 0;
    while peer.poll_packet().is_some() {
        taken += 1;
    }
    assert_eq!(taken, limit);
    assert_eq!(peer.counters(), PeerCounters { sent: limit + 1, arrived: limit + 1, refused: 1 });
}

#[test]
fn packets_for_later_beyond_the_limit_are_refused_and_counted() {
    let (sim, _host, peer) = pair("");
    let limit = ScriptedPeer::LIMIT as u64;
    for _ in 0..=limit {
        peer.inject_at(Instant::from_secs(1), syn(1));
    }
    assert_eq!(peer.counters(), PeerCounters { sent: 0, arrived: 0, refused: 1 });
    sim.run_until_idle();
    assert_eq!((peer.counters().sent, peer.counters().arrived), (limit, limit));
}

#[test]
fn the_same_packets_give_the_same_events() {
    let run = || {
        let (sim, _host, peer) = pair("delay=1ms,loss=30%,duplicate=10%");
        let seen = sim.observe(super::fake::Seen::default());
        for port in 1..50 {
            peer.inject_at(Instant::from_millis(u64::from(port % 7)), syn(port));
        }
        sim.run_until_idle();
        let events = seen.borrow().0.clone();
        assert!(events.len() > 100, "{}", events.len());
        events
    };
    assert_eq!(run(), run());
}
