//! What connections cost in bytes when nobody uses them: half open, in TIME-WAIT, and gone. What a burst of packets
//! leaves behind.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use crate::common::wire::{ACK, ALMOST_A_MINUTE, FIN_ACK, Peer, RST, Wire, accepted, nothing, only, secs};
use crate::counting::{live, peak, reset_peak};
use tcplab::event::DropReason;
use tcplab::net::{TcpListener, TcpStream};
use tcplab::sim::Sim;
use tcplab::socket::{Domain, Errno, MsgFlags, SocketOption, Type};
use tcplab::time::{Duration, Instant};

const COUNT: i64 = 10_000;

/// A client of its own for each number.
fn peer(number: u32) -> Peer {
    let ip = Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + number / 1000);
    Peer::at(SocketAddr::new(ip.into(), 10_000 + (number % 1000) as u16))
}

fn quiet() -> Wire {
    let mut wire = Wire::new(|config| config.backlog_limit = usize::MAX);
    wire.host.observe_events(false);
    wire
}

#[test]
fn a_half_open_connection_costs_at_most_a_kibibyte_and_vanishes_after_its_retries() {
    let mut wire = quiet();
    wire.listen(COUNT as usize);
    let before = live();
    let flood = |wire: &mut Wire, from: u32| {
        for number in from..from + COUNT as u32 {
            only(wire.feed(&peer(number).syn()));
        }
    };
    flood(&mut wire, 0);
    let each = (live() - before) / COUNT;
    println!("half open: {each} bytes each");
    assert!(each <= 1024, "{each} bytes");
    assert!(each <= 512, "{each} bytes: well below the kibibyte that is promised");

    let retransmitted = wire.run_until(Instant::from_secs(63)).len();
    assert_eq!(retransmitted, 5 * COUNT as usize);
    assert_eq!(wire.host.next_at(), None, "nothing is left of them");
    let left = live() - before;
    println!("after their end: {} bytes each of room for the next", left / COUNT);
    assert!(left / COUNT <= 256, "{left} bytes");

    // What is left is room in tables, not records: as many again need no more than the first did, but for the queue
    // in which 10,000 SYN|ACKs waited at one instant: room for 16,384 of 40 bytes.
    flood(&mut wire, COUNT as u32);
    let queue = 2 * size_of::<tcplab::segment::Packet>() as i64;
    assert!((live() - before) / COUNT <= each + queue, "{} bytes", live() - before);
    wire.run_for(secs(63));
    assert_eq!(wire.host.next_at(), None);
    assert!(live() - before <= left + 4096, "{} bytes, {left} the first time", live() - before);
}

#[test]
fn half_open_connections_that_are_reset_leave_nothing_behind() {
    let mut wire = quiet();
    wire.listen(16);
    let once = |wire: &mut Wire, number| {
        let mut peer = peer(number);
        peer.half_open(wire);
        nothing(&wire.feed(&peer.segment(RST)));
    };
    // Somebody's timer is earlier than theirs, and none of theirs has come when the last is gone.
    peer(500_000).half_open(&mut wire);
    once(&mut wire, 0);
    let before = live();
    reset_peak();
    for number in 0..100_000 {
        once(&mut wire, number);
    }
    println!("100,000 SYN and RST: at most {} bytes", peak() - before);
    assert!(peak() - before <= 32 * 1024, "{} bytes", peak() - before);
}

#[test]
fn connections_with_timers_far_ahead_leave_nothing_behind_when_they_are_reset() {
    let mut wire = quiet();
    let listener = wire.listen(16);
    wire.host.setsockopt(listener, SocketOption::KeepAlive(true)).expect("SO_KEEPALIVE");
    let once = |wire: &mut Wire, number| {
        let mut peer = peer(number);
        let fd = accepted(wire, listener, &mut peer);
        nothing(&wire.feed(&peer.segment(RST)));
        wire.host.close(fd).expect("close");
    };
    peer(500_000).half_open(&mut wire);
    once(&mut wire, 0);
    let before = live();
    for number in 0..20_000 {
        once(&mut wire, number);
    }
    let left = live() - before;
    println!("20,000 connections with keep-alive, reset: {left} bytes left");
    assert!(left <= 32 * 1024, "{left} bytes");
}

/// Brings a connection to TIME-WAIT by an active close.
fn time_wait(wire: &mut Wire, listener: tcplab::socket::Fd, peer: &mut Peer) {
    let fd = accepted(wire, listener, peer);
    wire.host.close(fd).expect("close");
    let fin = only(wire.drain());
    assert!(fin.is(FIN_ACK));
    peer.rcv += 1;
    let ack = only(wire.feed(&peer.segment(FIN_ACK)));
    assert!(ack.is(ACK));
    peer.nxt += 1;
}

#[test]
fn time_wait_costs_a_small_record_and_ends_after_60_seconds() {
    let mut wire = quiet();
    let listener = wire.listen(16);
    time_wait(&mut wire, listener, &mut peer(COUNT as u32));
    wire.run_for(secs(60));
    let before = live();
    for number in 0..COUNT as u32 {
        time_wait(&mut wire, listener, &mut peer(number));
    }
    let each = (live() - before) / COUNT;
    println!("TIME-WAIT: {each} bytes each");
    assert!(each <= 320, "{each} bytes: record, entry in the table, place in the queue");
    nothing(&wire.run_for(secs(60)));
    assert_eq!(wire.host.next_at(), None, "nothing is left of them");
    let left = live() - before;
    println!("after their end: {} bytes each of room for the next", left / COUNT);

    let before = live();
    for number in 0..COUNT as u32 {
        time_wait(&mut wire, listener, &mut peer(number));
    }
    assert!((live() - before) / COUNT <= 16, "{} bytes more", live() - before);
}

#[test]
fn a_fin_that_is_retransmitted_without_end_costs_nothing() {
    let mut wire = quiet();
    let listener = wire.listen(16);
    let mut peer = peer(1);
    time_wait(&mut wire, listener, &mut peer);
    peer.nxt -= 1;
    let before = live();
    reset_peak();
    for _ in 0..100_000 {
        wire.now += Duration::from_micros(100);
        only(wire.feed(&peer.segment(FIN_ACK)));
    }
    println!("100,000 FINs in TIME-WAIT: at most {} bytes", peak() - before);
    assert!(peak() - before <= 16 * 1024, "{} bytes", peak() - before);
    // Every one of them began the wait again.
    nothing(&wire.run_for(ALMOST_A_MINUTE));
    assert!(wire.host.next_at().is_some());
    nothing(&wire.run_for(Duration::from_nanos(1)));
    assert_eq!(wire.host.next_at(), None);
}

#[test]
fn past_the_limit_of_buffers_new_connections_wait_until_something_is_read() {
    // Eight blocks of 4 KiB; with seven in use no window opens further and nobody new is taken.
    let mut wire = Wire::new(|config| config.buffer_limit = 8 * 4096);
    let listener = wire.listen(16);
    let (mut first, mut second) = (peer(1), peer(2));
    let fd = accepted(&mut wire, listener, &mut first);
    second.half_open(&mut wire);
    for _ in 0..24 {
        wire.feed(&first.data(&[7; 1_024]));
        first.nxt += 1_024;
    }
    nothing(&wire.feed(&second.ack()).into_iter().filter(|said| said.is(RST)).collect::<Vec<_>>());
    wire.host.accept(listener).expect("six blocks are in use: one more connection is taken");
    for _ in 0..4 {
        wire.feed(&first.data(&[7; 1_024]));
        first.nxt += 1_024;
    }
    wire.drops();
    let mut third = peer(3);
    nothing(&wire.feed(&third.syn()));
    assert_eq!(wire.drops(), [DropReason::NoMemory]);
    let active = wire.host.socket(Domain::Inet, Type::Stream).expect("socket");
    assert_eq!(wire.host.connect(active, third.addr), Err(Errno::ENOBUFS));

    assert_eq!(wire.read(fd).len(), 28 * 1_024);
    wire.drain();
    third.half_open(&mut wire);
    nothing(&wire.feed(&third.ack()));
    wire.host.accept(listener).expect("there is room again");
}

#[test]
fn an_established_connection_that_ends_gives_all_back_but_room_for_the_next() {
    let mut wire = quiet();
    let listener = wire.listen(16);
    let once = |wire: &mut Wire, number| {
        let mut peer = peer(number);
        let fd = accepted(wire, listener, &mut peer);
        wire.feed(&peer.data(b"request"));
        assert_eq!(wire.read(fd), b"request");
        wire.host.write(fd, &[7; 3000]).expect("write");
        wire.drain();
        nothing(&wire.feed(&peer.segment(RST)).into_iter().filter(|said| said.is(RST)).collect::<Vec<_>>());
        peer.nxt += 7;
        nothing(&wire.feed(&peer.segment(RST)));
        wire.host.close(fd).expect("close");
        nothing(&wire.drain());
    };
    for number in 0..100 {
        once(&mut wire, number);
    }
    let before = live();
    for number in 100..2100 {
        once(&mut wire, number);
    }
    println!("2,000 short connections: {} bytes", live() - before);
    assert!(live() - before <= 32 * 1024, "{} bytes", live() - before);
}

#[test]
fn the_memory_of_a_burst_of_packets_is_given_back() {
    let sim = Sim::seeded(1);
    let (client, server) = (sim.host("client", "192.0.2.2/24"), sim.host("server", "192.0.2.1/24"));
    sim.link(&client, &server, "delay=1s");
    let fd = client.sys(|host| host.socket(Domain::Inet, Type::Datagram)).expect("socket");
    // The server drops packets for another address.
    let other = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 77).into(), 7);
    let send = |count: usize| {
        for _ in 0..count {
            client.sys(|host| host.sendto(fd, &[7; 1400], MsgFlags::NONE, Some(other))).expect("sendto");
            sim.run_for(Duration::from_micros(1));
        }
        sim.run_for(Duration::from_secs(1));
    };
    send(1);
    let before = live();
    reset_peak();
    send(20_000);
    let after = live() - before;
    println!("a burst of {} bytes leaves {after}", peak() - before);
    assert!(peak() - before > 20_000 * 1400, "{} bytes", peak() - before);
    assert!(after <= 9 << 20, "{after} bytes: the pool keeps at most 8 MiB");
    for _ in 0..10_000 {
        send(1);
    }
    let after = live() - before;
    println!("after 10,000 packets more: {after}");
    assert!(after <= 1 << 20, "{after} bytes: the pool keeps 256 packets that are not needed");
}

#[test]
fn an_idle_connection_takes_at_most_3_kib_at_each_end() {
    const CONNECTIONS: i64 = 2_000;
    let sim = Sim::seeded(1);
    let (client, server) = (sim.host("client", "192.0.2.2/24"), sim.host("server", "192.0.2.1/24"));
    sim.link(&client, &server, "delay=50us");
    let addr = SocketAddr::new(server.address(), 7);
    let before = live();
    server.spawn_daemon(async move |net| {
        let listener = TcpListener::bind(&net, addr)?;
        loop {
            let (stream, _) = listener.accept().await?;
            net.spawn_named("echo", async move {
                let mut buf = [0; 256];
                while let Ok(count @ 1..) = stream.read(&mut buf).await {
                    if stream.write_all(&buf[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
        #[allow(unreachable_code)]
        Ok::<_, std::io::Error>(())
    });
    // Each connection has carried more than a segment both ways, and has rested; the last message is a second later.
    let streams = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&streams);
    let mut client = client.spawn(async move |net| {
        let mut buf = vec![0; 4096];
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(&net, addr).await?;
            stream.write_all(&[1; 4096]).await?;
            stream.read_exact(&mut buf).await?;
            kept.borrow_mut().push(stream);
        }
        net.sleep(Duration::from_secs(2)).await;
        let streams = kept.borrow().clone();
        streams[0].write_all(&[1; 64]).await?;
        streams[0].read_exact(&mut buf[..64]).await
    });
    sim.run_until_idle();
    client.try_take().expect("ended").expect("no call fails");
    let each = (live() - before) / (2 * CONNECTIONS);
    println!("an idle connection: {each} bytes at each end");
    assert!(each <= 3 * 1024, "{each} bytes");
    assert_eq!(streams.borrow().len() as i64, CONNECTIONS);
}
