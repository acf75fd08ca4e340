//! Packets whose checksums a host left out. They are complete wherever bytes are read, and nowhere else.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::fake::{Fake, idle, network, send_packet};
use crate::device::CableEnd;
use crate::event::{Event, HostId};
use crate::link::FaultAction;
use crate::segment::{IpView, Packet, PacketId, Protocol, Quoted, SegmentTemplate, complete_checksums};
use crate::sim::network::Network;
use crate::time::Instant;

const ADA: HostId = HostId(0);
const BOB: HostId = HostId(1);

fn unfinished(ttl: u8) -> Packet {
    let [src, dst] = ["192.0.2.1:7", "192.0.2.2:7"].map(|end| end.parse().expect("an address"));
    let mut packet = Packet::default();
    SegmentTemplate { ttl, ..SegmentTemplate::new(src, dst) }
        .write_without_checksums(5, &mut packet, |bytes| bytes.extend_from_slice(b"texts"));
    packet
}

fn is_complete(bytes: &[u8]) -> bool {
    IpView::parse(bytes).is_ok_and(|ip| ip.checksums_ok())
}

/// ada, a router and bob in a row, and the cables between them.
fn row(line: &str) -> (Network<Fake>, [usize; 2]) {
    let (mut network, _) = network(7, &[]);
    let router = network.add_router("router");
    let cables = [network.cable(ADA, router), network.cable(router, BOB)];
    for cable in cables {
        network.fabric.cables[cable][CableEnd::A].set_spec(&line.parse().expect(line));
    }
    (network, cables)
}

/// Numbers and bytes of packets.
type Seen = Rc<RefCell<Vec<(PacketId, Vec<u8>)>>>;

/// The packets of all events from now on, each checked.
fn watch(network: &mut Network<Fake>) -> Seen {
    let seen = Seen::default();
    let into = Rc::clone(&seen);
    network.observe(Rc::new(RefCell::new(move |_: Instant, event: &Event<'_>| {
        let (Event::Sent { packet, .. }
        | Event::Forwarded { packet, .. }
        | Event::Duplicated { packet, .. }
        | Event::Delivered { packet, .. }
        | Event::LinkDropped { packet, .. }
        | Event::StackDropped { packet, .. }) = event
        else {
            return;
        };
        assert!(!packet.meta.checksums_missing && is_complete(&packet.bytes), "{event:?}");
        into.borrow_mut().push((packet.meta.id, packet.bytes.clone()));
    })));
    seen
}

#[test]
fn a_packet_without_checksums_is_complete_in_every_event_and_stays_without_where_nobody_reads_it() {
    let run = |observed: bool| {
        let (mut network, _) = row("delay=1ms,duplicate=50%,loss=20%");
        let seen = observed.then(|| watch(&mut network));
        (0..50).for_each(|_| send_packet(&mut network, 0, unfinished(64)));
        // The last is for an address that no link leads to.
        let mut lost = unfinished(64);
        lost.bytes[19] = 77;
        send_packet(&mut network, 0, lost);
        assert_eq!(idle(&mut network), Ok(()));
        (core::mem::take(&mut network.host(BOB).endpoint.inbox), seen.map(|seen| seen.take()))
    };
    let ((plain, _), (observed, seen)) = (run(false), run(true));
    assert!(plain.iter().all(|packet| packet.meta.checksums_missing && packet.meta.sound));
    assert!(observed.iter().all(|packet| !packet.meta.checksums_missing && packet.meta.sound));
    let complete = |mut packet: Packet| {
        complete_checksums(&mut packet);
        packet
    };
    let plain: Vec<_> = plain.into_iter().map(complete).collect();
    assert_eq!(plain, observed, "the same bytes with and without observers");
    assert!(plain.len() > 30);
    let seen = seen.expect("observed");
    assert!(observed.iter().all(|packet| seen.contains(&(packet.meta.id, packet.bytes.clone()))));
}

#[test]
fn an_observer_that_comes_while_a_packet_is_on_the_way_sees_it_complete() {
    let (mut network, _) = row("delay=1ms");
    send_packet(&mut network, 0, unfinished(64));
    while network.host(ADA).woken {
        network.step(Instant::EPOCH);
    }
    let seen = watch(&mut network);
    assert_eq!(idle(&mut network), Ok(()));
    assert_eq!(seen.borrow().len(), 4, "delivered, forwarded, delivered, dropped by the stack of bob");
}

#[test]
fn a_bit_flipped_in_a_packet_without_checksums_is_detected() {
    let (mut network, _) = network(7, &[(0, 1, "corrupt=100%")]);
    (0..200).for_each(|_| send_packet(&mut network, 0, unfinished(64)));
    assert_eq!(idle(&mut network), Ok(()));
    let inbox = &network.host(BOB).endpoint.inbox;
    assert_eq!(inbox.len(), 200);
    for packet in inbox {
        assert!(!packet.meta.sound && !packet.meta.checksums_missing);
        let ip = IpView::parse(&packet.bytes);
        // Some flips end the packet elsewhere, turn it into a fragment, or into a protocol without a checksum.
        let unreadable = ip.is_ok_and(|ip| ip.fragment || ip.protocol != Protocol::Tcp);
        assert!(unreadable || !is_complete(&packet.bytes), "{:02x?}", packet.bytes);
    }
}

#[test]
fn a_fault_in_code_sees_complete_packets() {
    let (mut network, cables) = row("");
    let seen = Rc::new(Cell::new(0));
    let count = Rc::clone(&seen);
    network.fabric.cables[cables[1]][CableEnd::A].add_fault(move |_: Instant, packet: &Packet| {
        assert!(is_complete(&packet.bytes) && !packet.meta.checksums_missing);
        count.set(count.get() + 1);
        FaultAction::Pass
    });
    send_packet(&mut network, 0, unfinished(64));
    assert_eq!(idle(&mut network), Ok(()));
    assert_eq!(seen.get(), 1);
}

#[test]
fn a_router_quotes_a_complete_packet() {
    let (mut network, _) = row("");
    send_packet(&mut network, 0, unfinished(1));
    assert_eq!(idle(&mut network), Ok(()));
    let [error] = &network.host(ADA).endpoint.inbox[..] else { panic!("one ICMP error") };
    let ip = IpView::parse(&error.bytes).expect("a packet");
    assert!(ip.checksums_ok() && Quoted::parse(&ip).is_some());
    assert!(is_complete(&ip.payload[8..]), "the packet is short enough to be quoted whole");
}

#[test]
fn a_scripted_peer_gets_complete_packets() {
    let (mut network, _) = network(7, &[]);
    let peer = network.add_peer("peer", vec![("192.0.2.9".parse().expect("an address"), 24)]);
    network.cable(ADA, peer);
    send_packet(&mut network, 0, unfinished(64));
    assert_eq!(idle(&mut network), Ok(()));
    let arrived = network.poll_arrived(peer).expect("it has come");
    let mut sent = unfinished(64);
    complete_checksums(&mut sent);
    assert_eq!(arrived.bytes, sent.bytes);
}
