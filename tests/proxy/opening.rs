//! How connections begin: the far host answers a SYN when the kernel's connect to the target has ended.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tcplab::segment::Flags;

use crate::lab::{Ending, Lab, abort, read_all, settings};

const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);
const RST_ACK: Flags = Flags(Flags::RST.0 | Flags::ACK.0);

/// A port that nobody listens on.
fn closed_port() -> String {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").to_string()
}

#[test]
fn a_refused_target_costs_one_round_trip_of_the_link() {
    let lab = Lab::start(settings(&[&closed_port()], ["delay=60ms", "delay=40ms"]));
    let began = Instant::now();
    let client = lab.connect();
    assert_eq!(read_all(&client), (Vec::new(), Ending::Reset));
    let took = began.elapsed();
    assert!((Duration::from_millis(100)..Duration::from_millis(300)).contains(&took), "{took:?}");
    assert_eq!([Flags::SYN, SYN_ACK, RST_ACK].map(|flags| lab.count(flags)), [1, 0, 1]);
    let counts = lab.stop();
    assert_eq!((counts.opened, counts.refused, counts.reset, counts.closed), (1, 1, 0, 0));
}

#[test]
fn the_syn_is_held_until_the_target_answers() {
    // A listener whose queue is full does not answer. Linux takes one connection more than the backlog.
    let target = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    target.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("an address").into()).expect("a free port");
    target.listen(0).expect("it is bound");
    let target = TcpListener::from(target);
    let to = target.local_addr().expect("it is bound");
    let first = std::net::TcpStream::connect(to).expect("there is room for one");
    let lab = Lab::start(settings(&[&to.to_string()], ["delay=1ms", "delay=1ms"]));
    let mut client = lab.connect();
    client.write_all(b"early").expect("the kernel takes it");
    thread::sleep(Duration::from_millis(300));
    assert_eq!([Flags::SYN, SYN_ACK].map(|flags| lab.count(flags)), [1, 0]);
    drop(target.accept().expect("the first"));
    drop(first);
    // The kernel sends its SYN again after a second, and so does the near host, whose second SYN changes nothing.
    let (mut server, _) = target.accept().expect("the client");
    let mut early = [0; 5];
    server.read_exact(&mut early).expect("it arrives");
    assert_eq!((&early, lab.count(SYN_ACK), lab.count(RST_ACK)), (b"early", 1, 0));
}

#[test]
fn a_client_that_leaves_while_its_syn_is_held_leaves_nothing_behind() {
    let (lab, target) = Lab::with_target("delay=50ms");
    abort(lab.connect());
    // Its SYN arrives, the target is asked, and the near host answers the SYN|ACK with an RST.
    let (server, _) = target.accept().expect("the proxy connects");
    assert_eq!(read_all(&server), (Vec::new(), Ending::Reset));
    let counts = lab.stop();
    assert_eq!((counts.opened, counts.reset, counts.closed), (1, 1, 0));
}

#[test]
fn each_pair_has_its_own_target_and_a_name_is_tried_at_all_its_addresses() {
    let targets = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    // `localhost` is ::1 first on many machines.
    let to = targets.each_ref().map(|target| format!("localhost:{}", target.local_addr().expect("bound").port()));
    let lab = Lab::start(settings(&[&to[0], &to[1]], ["", ""]));
    assert_eq!(lab.addresses.len(), 2);
    for (at, target) in targets.iter().enumerate().rev() {
        let mut client = std::net::TcpStream::connect(&lab.addresses[at]).expect("the proxy listens");
        let (mut server, _) = target.accept().expect("the proxy connects");
        let mut byte = [0];
        client.write_all(&[at as u8]).expect("write");
        server.read_exact(&mut byte).expect("it arrives");
        assert_eq!(byte, [at as u8]);
    }
}

#[test]
fn an_urgent_byte_stays_in_its_place() {
    let (lab, target) = Lab::with_target("");
    let [mut client, server] = lab.pair(&target);
    client.write_all(b"ab").expect("write");
    socket2::SockRef::from(&client).send_out_of_band(b"!").expect("write");
    client.write_all(b"cd").expect("write");
    drop(client);
    assert_eq!(read_all(&server), (b"ab!cd".to_vec(), Ending::Eof));
}
