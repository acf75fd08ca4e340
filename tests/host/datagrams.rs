//! UDP sockets: who hears which datagram, how large it may be, and what happens when nobody takes it.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use crate::common::calls::{PORT, Pair, any, at, datagram, poll, read};
use tcplab::sim::HostHandle;
use tcplab::socket::{Domain, Errno, Fd, MsgFlags, Readiness, Shutdown, SocketOption, Type};

/// A datagram socket bound to `addr`.
#[track_caller]
fn bound(host: &HostHandle, addr: SocketAddr) -> Fd {
    host.sys(|host| {
        let fd = host.socket(Domain::of(&addr), Type::Datagram).expect("a descriptor");
        host.setsockopt(fd, SocketOption::ReuseAddr(true)).expect("set");
        host.bind(fd, addr).expect("free");
        fd
    })
}

#[track_caller]
fn send(host: &HostHandle, fd: Fd, text: &str, to: SocketAddr) {
    let sent = host.sys(|host| host.sendto(fd, text.as_bytes(), MsgFlags::NONE, Some(to)));
    assert_eq!(sent, Ok(text.len()));
}

/// Everything that waits in the queue of a socket.
fn hears(host: &HostHandle, fd: Fd) -> Vec<String> {
    host.sys(|host| {
        std::iter::from_fn(|| read(host, fd).ok()).map(|octets| String::from_utf8(octets).expect("text")).collect()
    })
}

#[test]
fn a_datagram_goes_to_the_connected_then_the_bound_then_the_wildcard_socket() {
    let net = Pair::new();
    let wildcard = bound(&net.server, any(PORT));
    let own = bound(&net.server, at("192.0.2.1", PORT));
    let connected = bound(&net.server, at("192.0.2.1", PORT));
    net.server.sys(|host| host.connect(connected, at("192.0.2.2", 4000))).expect("a peer");
    let [four, five] = [4000, 4001].map(|port| bound(&net.client, any(port)));
    send(&net.client, four, "from the peer", at("192.0.2.1", PORT));
    send(&net.client, five, "from another", at("192.0.2.1", PORT));
    send(&net.server, own, "by loopback", at("127.0.0.1", PORT));
    net.settle();
    assert_eq!(hears(&net.server, connected), ["from the peer"]);
    assert_eq!(hears(&net.server, own), ["from another"]);
    assert_eq!(hears(&net.server, wildcard), ["by loopback"]);
}

#[test]
fn a_connected_socket_hears_only_its_peer_until_it_is_disconnected() {
    let net = Pair::new();
    let server = bound(&net.server, any(PORT));
    net.server.sys(|host| host.connect(server, at("192.0.2.2", 4000))).expect("a peer");
    let [peer, other] = [4000, 4001].map(|port| bound(&net.client, any(port)));
    send(&net.client, peer, "peer", at("192.0.2.1", PORT));
    send(&net.client, other, "other", at("192.0.2.1", PORT));
    net.settle();
    assert_eq!(hears(&net.server, server), ["peer"]);
    assert_eq!(net.take().len(), 3, "two datagrams and a port unreachable");
    net.server.sys(|host| {
        assert_eq!(host.getsockname(server), Ok(at("192.0.2.1", PORT)));
        host.disconnect(server).expect("connected");
        assert_eq!(host.write(server, b"x"), Err(Errno::EDESTADDRREQ));
    });
    send(&net.client, other, "again", at("192.0.2.1", PORT));
    net.settle();
    assert_eq!(hears(&net.server, server), ["again"]);
}

#[test]
fn recvfrom_names_the_sender_and_an_ipv6_socket_sees_ipv4_as_mapped() {
    let net = Pair::new();
    let server = bound(&net.server, at("::", PORT));
    let v4 = bound(&net.client, any(4000));
    let v6 = bound(&net.client, at("::", 4006));
    send(&net.client, v4, "four", at("192.0.2.1", PORT));
    send(&net.client, v6, "six", at("2001:db8::1", PORT));
    send(&net.client, v6, "mapped", at("::ffff:192.0.2.1", PORT));
    net.settle();
    net.server.sys(|host| {
        let mut next = || host.recvfrom(server, &mut [0; 99], MsgFlags::NONE).expect("a datagram").1;
        assert_eq!(next(), Some(at("::ffff:192.0.2.2", 4000)));
        assert_eq!(next(), Some(at("2001:db8::2", 4006)));
        assert_eq!(next(), Some(at("::ffff:192.0.2.2", 4006)));
        let answer = host.sendto(server, b"answer", MsgFlags::NONE, Some(at("::ffff:192.0.2.2", 4000)));
        assert_eq!(answer, Ok(6));
    });
    net.settle();
    assert_eq!(hears(&net.client, v4), ["answer"]);
}

#[test]
fn the_largest_datagram_fits_the_mtu_exactly_and_one_byte_more_is_refused() {
    let net = Pair::new();
    for (own, to, most) in [("0.0.0.0", "192.0.2.1", 1472), ("::", "2001:db8::1", 1452)] {
        let server = bound(&net.server, at(own, PORT));
        let client = bound(&net.client, at(own, 0));
        net.client.sys(|host| {
            let to = Some(at(to, PORT));
            assert_eq!(host.sendto(client, &vec![7; most + 1], MsgFlags::NONE, to), Err(Errno::EMSGSIZE));
            assert_eq!(host.sendto(client, &vec![7; most], MsgFlags::NONE, to), Ok(most));
        });
        net.settle();
        assert_eq!(net.take().iter().map(|shot| shot.bytes.len()).collect::<Vec<_>>(), [1500]);
        assert_eq!(net.server_reads(server).len(), most);
    }
}

#[test]
fn a_full_queue_drops_what_comes_and_keeps_what_it_has() {
    let net = Pair::new();
    let server = bound(&net.server, any(PORT));
    // A datagram of 744 bytes counts as 1,000 with its overhead: three fit.
    net.server.sys(|host| host.setsockopt(server, SocketOption::RcvBuf(3999))).expect("in range");
    let client = bound(&net.client, any(4000));
    let letters = ["a", "b", "c", "d"];
    for letter in letters {
        send(&net.client, client, &letter.repeat(744), at("192.0.2.1", PORT));
    }
    net.settle();
    assert_eq!(net.take().len(), 4, "nobody is told");
    assert_eq!(hears(&net.server, server), letters[..3].iter().map(|letter| letter.repeat(744)).collect::<Vec<_>>());
    send(&net.client, client, "room again", at("192.0.2.1", PORT));
    net.settle();
    assert_eq!(hears(&net.server, server), ["room again"]);
}

#[test]
fn what_does_not_fit_the_buffer_is_lost_and_msg_trunc_tells() {
    let net = Pair::new();
    let server = bound(&net.server, any(PORT));
    let client = bound(&net.client, any(4000));
    for text in ["first datagram", "second", ""] {
        send(&net.client, client, text, at("192.0.2.1", PORT));
    }
    net.settle();
    net.server.sys(|host| {
        let mut buf = [0; 5];
        assert_eq!(host.fionread(server), Ok(14), "of the next datagram only");
        assert_eq!(host.recv(server, &mut buf, MsgFlags::PEEK | MsgFlags::TRUNC), Ok(14));
        let (mut first, mut second) = ([0; 2], [0; 4]);
        let mut bufs = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        let message = host.recvmsg(server, &mut bufs, MsgFlags::NONE).expect("a datagram");
        assert_eq!((message.len, message.flags), (6, MsgFlags::TRUNC));
        assert_eq!((&first, &second), (b"fi", b"rst "));
        let message = host.recvmsg(server, &mut [IoSliceMut::new(&mut [0; 6])], MsgFlags::NONE).expect("a datagram");
        assert_eq!((message.len, message.flags), (6, MsgFlags::NONE), "the rest of the first is gone");
        assert_eq!(poll(host, server), Readiness::READABLE | Readiness::WRITABLE, "an empty datagram is one too");
        assert_eq!(host.recv(server, &mut buf, MsgFlags::NONE), Ok(0));
        assert_eq!(host.recv(server, &mut buf, MsgFlags::NONE), Err(Errno::EAGAIN));
        assert_eq!(poll(host, server), Readiness::WRITABLE);
    });
}

#[test]
fn several_buffers_make_one_datagram() {
    let net = Pair::new();
    let server = bound(&net.server, any(PORT));
    let client = bound(&net.client, any(4000));
    net.client.sys(|host| {
        host.connect(client, at("192.0.2.1", PORT)).expect("a peer");
        assert_eq!(host.writev(client, &["one ", "and ", "two"].map(|part| IoSlice::new(part.as_bytes()))), Ok(11));
    });
    net.settle();
    assert_eq!(hears(&net.server, server), ["one and two"]);
}

#[test]
fn shutdown_of_reading_is_the_end_of_a_blocking_read() {
    let net = Pair::new();
    let client = net.client.sys(|host| datagram(host, 4000));
    net.client.sys(|host| host.connect(client, at("192.0.2.1", PORT))).expect("a peer");
    let mut reader = net.client.spawn(async move |net| net.read(client, &mut [0; 8]).await);
    net.settle();
    assert!(!reader.is_finished());
    net.client.sys(|host| host.shutdown(client, Shutdown::Read)).expect("connected");
    net.settle();
    assert_eq!(reader.try_take(), Some(Ok(0)));
    net.assert_silence();
}

#[test]
fn a_socket_that_sends_before_bind_gets_an_ephemeral_port_and_keeps_it() {
    let net = Pair::new();
    let server = bound(&net.server, any(PORT));
    let client = net.client.sys(|host| host.socket(Domain::Inet, Type::Datagram)).expect("a descriptor");
    assert_eq!(net.client.sys(|host| host.getsockname(client)), Ok(any(0)));
    for text in ["one", "two"] {
        send(&net.client, client, text, at("192.0.2.1", PORT));
    }
    let port = net.client.sys(|host| host.getsockname(client)).expect("bound").port();
    assert!((32_768..=60_999).contains(&port), "{port}");
    net.settle();
    net.server.sys(|host| {
        for _ in 0..2 {
            let from = host.recvfrom(server, &mut [0; 9], MsgFlags::NONE).expect("a datagram").1;
            assert_eq!(from, Some(at("192.0.2.2", port)));
        }
    });
}

#[test]
fn of_two_sockets_on_one_address_the_last_hears_and_the_first_takes_over_when_it_is_closed() {
    let net = Pair::new();
    let [first, last] = [(); 2].map(|()| bound(&net.server, any(PORT)));
    let client = bound(&net.client, any(4000));
    send(&net.client, client, "one", at("192.0.2.1", PORT));
    net.settle();
    assert_eq!(hears(&net.server, last), ["one"]);
    net.server.sys(|host| host.close(last)).expect("open");
    send(&net.client, client, "two", at("192.0.2.1", PORT));
    net.settle();
    assert_eq!(hears(&net.server, first), ["two"]);
}
