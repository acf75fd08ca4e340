//! Paths in virtual time: the addresses and errors of hops, the queue of each link, and the instants of arrivals.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use super::*;
use crate::event::Fate;
use crate::link::{Counters, LinkLine};
use crate::segment::{Protocol, RawIp, raw_icmp, raw_udp};

const V4: [&str; 2] = ["10.77.0.1", "10.77.0.2"];
const V6: [&str; 2] = ["fd77::1", "fd77::2"];

fn path(lines: &[&str]) -> Path {
    let link = |line: &&str| {
        let lines: Vec<LinkLine> = line.split(';').map(|line| line.parse().expect(line)).collect();
        LinkSchedule::of_link(&lines, ["left", "right"]).expect("a link")
    };
    Path::new(&lines.iter().map(link).collect::<Vec<_>>(), 7, Instant::EPOCH)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A datagram of this total length from one end to the other.
fn datagram([src, dst]: [&str; 2], ttl: u8, len: usize) -> Packet {
    let headers = if src.contains(':') { 48 } else { 28 };
    let raw = RawIp { ttl, ..RawIp::default() };
    Packet::new(raw_udp((ip(src), 7).into(), (ip(dst), 9).into(), raw, &vec![7; len - headers]))
}

fn send(path: &mut Path, millis: u64, side: Side, packet: Packet) {
    path.handle_packet(Instant::from_millis(millis), side, packet, &mut Observers::default());
}

/// Everything that arrives: the side, the microsecond, and the packet.
fn arrivals(path: &mut Path) -> Vec<(Side, u64, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(at) = path.next_at() {
        while let Some(arrival) = path.poll_arrival(at, &mut Observers::default()) {
            assert!(arrival.due <= at);
            all.push((arrival.side, arrival.due.as_nanos() / 1000, arrival.packet.bytes));
        }
    }
    all
}

#[test]
fn a_packet_crosses_every_link_and_each_hop_takes_one_from_its_ttl() {
    for ends in [V4, V6] {
        let mut path = path(&["delay=1ms", "delay=20ms", "delay=300ms"]);
        send(&mut path, 0, Side::Left, datagram(ends, 64, 100));
        let [(side, at, bytes)] = &arrivals(&mut path)[..] else { panic!("one packet") };
        let ip = IpView::parse(bytes).expect("a packet");
        assert_eq!((*side, *at, ip.ttl, bytes.len()), (Side::Right, 321_000, 62, 100));
        assert!(ip.checksums_ok());
    }
}

#[test]
fn without_hops_the_packet_arrives_as_it_was() {
    let mut path = path(&["delay=5ms"]);
    let packet = datagram(V4, 1, 100);
    let bytes = packet.bytes.clone();
    send(&mut path, 3, Side::Right, packet);
    assert_eq!(arrivals(&mut path), [(Side::Left, 8000, bytes)]);
}

#[test]
fn a_hop_says_time_exceeded_from_its_own_address_to_either_side() {
    for (ends, hops) in [(V4, ["10.77.1.1", "10.77.2.1"]), (V6, ["fd77:1::1", "fd77:2::1"])] {
        for (side, order) in [(Side::Left, [0, 1]), (Side::Right, [1, 0])] {
            for ttl in [1, 2] {
                let mut path = path(&["delay=1ms"; 3]);
                let ends = if side == Side::Left { ends } else { [ends[1], ends[0]] };
                let packet = datagram(ends, ttl, 100);
                let mut quoted = packet.bytes.clone();
                send(&mut path, 0, side, packet);
                let [(to, at, bytes)] = &arrivals(&mut path)[..] else { panic!("one packet") };
                assert_eq!((*to, *at), (side, 2000 * u64::from(ttl)));
                let error = IpView::parse(bytes).expect("a packet");
                let hop = ip(hops[order[usize::from(ttl) - 1]]);
                assert_eq!((error.src, error.dst), (hop, ip(ends[0])));
                let kind = if error.protocol == Protocol::Icmp { 11 } else { 3 };
                assert_eq!(error.payload[..2], [kind, 0]);
                // The packet as it reached the hop: all of it but TTL and header checksum.
                quoted.drain(..12);
                assert!(error.payload[20..].starts_with(&quoted[..20]), "{bytes:?}");
                assert!(error.checksums_ok());
            }
        }
    }
}

#[test]
fn a_packet_of_the_mtu_passes_and_one_byte_more_is_refused_and_never_fragmented() {
    for (ends, hop, head) in [(V4, "10.77.1.1", [3, 4]), (V6, "fd77:1::1", [2, 0])] {
        let mut path = path(&["", "mtu=1300"]);
        send(&mut path, 0, Side::Left, datagram(ends, 64, 1300));
        send(&mut path, 1, Side::Left, datagram(ends, 64, 1301));
        let [(right, _, whole), (left, _, error)] = &arrivals(&mut path)[..] else { panic!("two packets") };
        assert_eq!((*right, whole.len(), *left), (Side::Right, 1300, Side::Left));
        let error = IpView::parse(error).expect("a packet");
        assert_eq!(
            (error.src, &error.payload[..2], &error.payload[4..8]),
            (ip(hop), &head[..], &1300_u32.to_be_bytes()[..])
        );
    }
}

#[test]
fn no_error_is_sent_about_an_error() {
    let mut path = path(&["", ""]);
    let error = raw_icmp(ip(V4[0]), ip(V4[1]), RawIp { ttl: 1, ..RawIp::default() }, (3, 3, 0), &[7; 28]);
    send(&mut path, 0, Side::Left, Packet::new(error));
    assert_eq!(arrivals(&mut path), []);
}

#[test]
fn a_hop_answers_an_echo_request_and_nothing_else() {
    for (src, hop, request) in [(V4[1], "10.77.2.1", 8), (V6[1], "fd77:2::1", 128)] {
        let mut path = path(&["delay=1ms", "delay=2ms", "delay=4ms"]);
        let ask = |head| Packet::new(raw_icmp(ip(src), ip(hop), RawIp::default(), (head, 0, 0x0009_0001), b"data"));
        send(&mut path, 0, Side::Right, ask(request));
        send(&mut path, 0, Side::Right, ask(request + 1));
        send(&mut path, 0, Side::Right, datagram([src, hop], 64, 100));
        let [(side, at, bytes)] = &arrivals(&mut path)[..] else { panic!("one packet") };
        let reply = IpView::parse(bytes).expect("a packet");
        assert_eq!((*side, *at, reply.src, reply.dst), (Side::Right, 8000, ip(hop), ip(src)));
        assert_eq!(&reply.payload[4..], [0, 9, 0, 1, b'd', b'a', b't', b'a']);
    }
}

#[test]
fn a_packet_with_a_wrong_header_checksum_ends_at_the_first_hop() {
    let mut path = path(&["", ""]);
    let mut packet = datagram(V4, 64, 100);
    packet.bytes[8] ^= 1;
    send(&mut path, 0, Side::Left, packet);
    send(&mut path, 0, Side::Left, Packet::new(vec![0x45; 9]));
    assert_eq!(arrivals(&mut path), []);
}

#[test]
fn each_link_has_its_own_queue_and_a_slow_one_behind_a_hop_drops() {
    // 1,000 bytes take 1 ms on the first link and 10 ms on the second, whose queue holds two.
    let mut path = path(&["rate=8Mbit", "rate=800kbit,limit=2"]);
    for _ in 0..4 {
        send(&mut path, 0, Side::Left, datagram(V4, 64, 1000));
    }
    let at: Vec<_> = arrivals(&mut path).into_iter().map(|(_, at, _)| at).collect();
    assert_eq!(at, [11_000, 21_000]);
    let counted: Vec<_> = path.links().map(|link| (link.name().to_owned(), link.counters())).collect();
    let of = |sent, dropped| Counters { sent, delivered: sent - dropped, dropped, ..Counters::default() };
    let name = |name: &str| name.to_owned();
    assert_eq!(
        counted,
        [
            (name("left>hop1"), of(4, 0)),
            (name("hop1>left"), of(0, 0)),
            (name("hop1>right"), of(4, 2)),
            (name("right>hop1"), of(0, 0))
        ]
    );
}

/// A call that comes late finds the packets at the instants that the links promised.
#[test]
fn a_late_loop_makes_no_hop_slower() {
    let mut path = path(&["delay=1ms", "delay=1ms", "delay=1ms"]);
    send(&mut path, 0, Side::Left, datagram(V4, 64, 100));
    send(&mut path, 0, Side::Right, datagram([V4[1], V4[0]], 1, 100));
    let late = Instant::from_millis(50);
    let mut due = Vec::new();
    while let Some(arrival) = path.poll_arrival(late, &mut Observers::default()) {
        due.push((arrival.side, arrival.due.as_millis()));
    }
    assert_eq!(due, [(Side::Right, 2), (Side::Right, 3)]);
    assert_eq!(path.next_at(), None);
}

#[test]
fn a_change_holds_for_packets_that_enter_from_its_time_on_also_at_a_hop_and_in_a_late_loop() {
    let mut path = path(&["delay=1ms;@10ms:delay=2ms", "delay=5ms;left>right:@12ms:delay=50ms"]);
    for millis in [0, 9, 10, 11] {
        send(&mut path, millis, Side::Left, datagram(V4, 64, 100));
    }
    // They reach the hop at 1, 10, 12 and 13 ms.
    let mut due = Vec::new();
    while let Some(arrival) = path.poll_arrival(Instant::from_millis(200), &mut Observers::default()) {
        due.push(arrival.due.as_millis());
    }
    assert_eq!(due, [6, 15, 62, 63]);
    assert!(path.next_at().is_none() && !path.is_in_flight());
}

#[test]
fn the_next_instant_is_that_of_a_change_too() {
    let mut path = path(&["@10ms:loss=100%"]);
    assert_eq!((path.next_at(), path.is_in_flight()), (Some(Instant::from_millis(10)), false));
    assert!(path.poll_arrival(Instant::from_millis(9), &mut Observers::default()).is_none());
    assert_eq!(path.next_at(), Some(Instant::from_millis(10)));
    assert!(path.poll_arrival(Instant::from_millis(10), &mut Observers::default()).is_none());
    assert_eq!(path.next_at(), None);
}

#[test]
fn the_events_name_the_sides_the_hops_and_what_became_of_each_packet() {
    let mut path = path(&["", "mtu=1300"]);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut observers = Observers::default();
    let into = Rc::clone(&seen);
    observers.add(Rc::new(RefCell::new(move |_: Instant, event: &Event<'_>| {
        let line = match event {
            Event::Sent { host, link, packet, fate: Fate::Deliver(_) } => ("sent", host.0, link.0, packet.meta.id.0),
            Event::Forwarded { host, link, packet, .. } => ("forwarded", host.0, link.0, packet.meta.id.0),
            Event::Delivered { host, link, packet } => ("delivered", host.0, link.0, packet.meta.id.0),
            Event::StackDropped { host, packet, why: DropReason::TooBig } => ("too big", host.0, 9, packet.meta.id.0),
            other => panic!("{other:?}"),
        };
        into.borrow_mut().push(line);
    })));
    for len in [1300, 1400] {
        path.handle_packet(Instant::EPOCH, Side::Left, datagram(V4, 64, len), &mut observers);
        while path.poll_arrival(Instant::EPOCH, &mut observers).is_some() {}
    }
    let expected = [
        ("sent", 0, 0, 1),
        ("delivered", 2, 0, 1),
        ("forwarded", 2, 2, 1),
        ("sent", 0, 0, 2),
        ("delivered", 2, 0, 2),
        ("too big", 2, 9, 2),
        ("sent", 2, 1, 3),
    ];
    assert_eq!(*seen.borrow(), expected);
}

#[test]
fn the_address_of_a_hop_has_its_number_in_both_versions() {
    for number in [1, 9, 10, 63] {
        let mut path = path(&vec![""; number + 1]);
        for (ends, hop) in [(V4, format!("10.77.{number}.1")), (V6, format!("fd77:{number}::1"))] {
            send(&mut path, 0, Side::Left, datagram(ends, number as u8, 100));
            let [(_, _, bytes)] = &arrivals(&mut path)[..] else { panic!("one packet") };
            assert_eq!(IpView::parse(bytes).expect("a packet").src, ip(&hop));
        }
    }
}
