//! Datagrams through the proxy: one flow for each source, and none above the MTU.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::lab::{Lab, PATIENCE, settings, text};

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("an option");
    socket
}

fn lab(links: [&str; 2]) -> (Lab, UdpSocket) {
    let target = socket();
    let mut settings = settings(&[&target.local_addr().expect("bound").to_string()], links);
    settings.udp = true;
    (Lab::start(settings), target)
}

#[test]
fn each_source_is_a_flow_and_gets_its_own_answers() {
    let (lab, target) = lab(["delay=20ms", "delay=10ms"]);
    let clients = [socket(), socket(), socket()];
    let mut buffer = [0; 2000];
    for round in 0..2 {
        let began = Instant::now();
        for (at, client) in clients.iter().enumerate() {
            client.send_to(&[at as u8], &lab.addresses[0]).expect("send");
        }
        for _ in &clients {
            let (len, from) = target.recv_from(&mut buffer).expect("it arrives");
            target.send_to(&[&buffer[..len], b"!"].concat(), from).expect("send");
        }
        for (at, client) in clients.iter().enumerate() {
            let (len, from) = client.recv_from(&mut buffer).expect("an answer");
            assert_eq!(
                (&buffer[..len], from.to_string()),
                (&[at as u8, b'!'][..], lab.addresses[0].clone()),
                "{round}"
            );
        }
        assert!((Duration::from_millis(30)..Duration::from_millis(300)).contains(&began.elapsed()));
    }
    assert_eq!(lab.stop().opened, 3);
}

#[test]
fn a_datagram_above_the_mtu_is_dropped_and_counted_and_one_of_the_mtu_is_not() {
    let (lab, target) = lab(["", ""]);
    let client = socket();
    // 20 bytes of IPv4 and 8 of UDP.
    for len in [1473, 1472, 0, 9000, 1] {
        client.send_to(&text(len, 1), &lab.addresses[0]).expect("send");
    }
    let mut buffer = [0; 2000];
    for expected in [1472, 0, 1] {
        let (len, from) = target.recv_from(&mut buffer).expect("it arrives");
        assert_eq!(buffer[..len], text(expected, 1));
        if expected == 1 {
            target.send_to(&text(1473, 2), from).expect("send");
            target.send_to(b"end", from).expect("send");
        }
    }
    assert_eq!(client.recv_from(&mut buffer).expect("an answer").0, 3);
    let counts = lab.stop();
    assert_eq!((counts.opened, counts.too_big, counts.lost), (1, 3, 0));
}

#[test]
fn a_link_that_loses_and_duplicates_does_so_to_datagrams() {
    let (lab, target) = lab(["duplicate=100%", "drop=udp:1"]);
    let client = socket();
    client.send_to(b"a", &lab.addresses[0]).expect("send");
    let mut buffer = [0; 10];
    for _ in 0..2 {
        let (len, from) = target.recv_from(&mut buffer).expect("it arrives twice");
        assert_eq!(&buffer[..len], b"a");
        target.send_to(b"b", from).expect("send");
    }
    assert_eq!(client.recv_from(&mut buffer).expect("the second answer").0, 1);
    client.set_read_timeout(Some(Duration::from_millis(50))).expect("an option");
    client.recv_from(&mut buffer).expect_err("the first is lost");
}

#[test]
fn a_target_that_is_not_there_costs_datagrams_and_nothing_else() {
    let (lab, target) = lab(["", ""]);
    let to = target.local_addr().expect("bound");
    drop(target);
    let client = socket();
    client.send_to(b"1", &lab.addresses[0]).expect("send");
    std::thread::sleep(Duration::from_millis(50));
    // The kernel tells of the first one when the second is sent.
    let target = UdpSocket::bind(to).expect("it was free");
    target.set_read_timeout(Some(PATIENCE)).expect("an option");
    client.send_to(b"2", &lab.addresses[0]).expect("send");
    let mut buffer = [0; 10];
    let (len, _) = target.recv_from(&mut buffer).expect("it arrives");
    assert_eq!(&buffer[..len], b"2");
}
