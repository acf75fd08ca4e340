//! Descriptors and data: accept, readiness, peeking, several buffers, ports, loopback, the table and the account.

use std::collections::BTreeSet;
use std::io::{IoSlice, IoSliceMut};
use std::time::Duration;

use crate::common;
use crate::common::calls::{PORT, Pair, any, at, datagram, poll, read, stream};
use tcplab::event::State;
use tcplab::socket::{
    Domain, EpollCtl, EpollEvent, Errno, Fd, Host, HostConfig, MsgFlags, PollFd, Readiness, SocketOption, Type,
    descriptor_table,
};

const IN: Readiness = Readiness::READABLE;
const OUT: Readiness = Readiness::WRITABLE;

#[test]
fn accept_gives_connections_out_in_the_order_of_their_handshakes() {
    let net = Pair::new();
    let listener = net.listen(&[]);
    let mut ports = Vec::new();
    for _ in 0..4 {
        let fd = net.connect(&[]);
        ports.push(net.client.sys(|host| host.getsockname(fd)).expect("bound").port());
        net.settle();
    }
    let accepted = net.server.sys(|host| {
        assert_eq!(poll(host, listener), IN);
        let accepted: Vec<_> = (0..4).map(|_| host.accept(listener).expect("it waits")).collect();
        assert_eq!(poll(host, listener), Readiness::NONE);
        assert_eq!(host.accept(listener), Err(Errno::EAGAIN));
        accepted
    });
    assert_eq!(accepted.iter().map(|(_, peer)| peer.port()).collect::<Vec<_>>(), ports);
    assert_eq!(accepted.iter().map(|(fd, _)| fd.0).collect::<Vec<_>>(), [4, 5, 6, 7]);
}

#[test]
fn a_listener_goes_on_while_its_children_live_and_they_do_when_it_is_closed() {
    let net = Pair::new();
    let (first, first_there) = net.established();
    let second = net.connect(&[]);
    net.settle();
    let second_there = net.accept(Fd(3));
    net.server.sys(|host| host.close(Fd(3))).expect("the listener");
    for (ours, theirs) in [(first, first_there), (second, second_there)] {
        net.client.sys(|host| host.write(ours, b"hello")).expect("taken");
        net.settle();
        assert_eq!(net.server_reads(theirs), b"hello");
        net.server.sys(|host| host.close(theirs)).expect("open");
    }
}

#[test]
fn an_accepted_socket_inherits_the_options_of_its_listener_but_not_o_nonblock() {
    let net = Pair::new();
    let listener = net.listen(&[SocketOption::NoDelay(true), SocketOption::RcvBuf(5000)]);
    net.server.sys(|host| host.set_nonblocking(listener, true)).expect("open");
    net.connect(&[]);
    net.settle();
    let fd = net.accept(listener);
    net.server.sys(|host| {
        use tcplab::socket::OptionName as N;
        assert_eq!(host.getsockopt(fd, N::NoDelay), Ok(SocketOption::NoDelay(true)));
        assert_eq!(host.getsockopt(fd, N::RcvBuf), Ok(SocketOption::RcvBuf(5000)));
        assert_eq!(host.is_nonblocking(fd), Ok(false));
    });
}

#[test]
fn poll_reports_what_was_asked_for_and_what_is_always_told() {
    let net = Pair::new();
    let (client, server) = net.established_with(&[SocketOption::SndBuf(65_536)], &[]);
    net.client.sys(|host| {
        let fresh = stream(host, &[]);
        let entry = |fd, events| PollFd { fd, events, revents: Readiness(!0) };
        let mut fds =
            [entry(client, IN), entry(client, OUT | IN), entry(fresh, Readiness::NONE), entry(Fd(99), Readiness::NONE)];
        assert_eq!(host.poll(&mut fds), 3);
        let revents = fds.map(|entry| entry.revents);
        assert_eq!(revents, [Readiness::NONE, OUT, Readiness::HANG_UP, Readiness::INVALID]);
        // A send buffer is writable while a third of it is free (Linux's `sk_stream_is_writeable`).
        assert_eq!(host.write(client, &vec![7; 43_690]), Ok(43_690));
        assert_eq!(poll(host, client), OUT);
        assert_eq!(host.write(client, &[7; 2]), Ok(2));
        assert_eq!(poll(host, client), Readiness::NONE);
        assert_eq!(host.write(client, &vec![7; 65_536]), Ok(21_844), "a write takes what there is room for");
    });
    net.settle();
    net.server.sys(|host| assert_eq!(poll(host, server), IN | OUT));
    net.client.sys(|host| assert_eq!(poll(host, client), OUT));
}

#[test]
fn epoll_tells_until_the_condition_is_gone_and_everybody_gets_a_turn() {
    let net = Pair::new();
    let (client, server) = net.established();
    let listener = Fd(3);
    let mut events = Vec::new();
    let epoll = net.server.sys(|host| {
        let epoll = host.epoll_create().expect("a descriptor");
        host.epoll_ctl(epoll, server, EpollCtl::Add(IN, 1)).expect("watched");
        host.epoll_ctl(epoll, listener, EpollCtl::Add(IN, 2)).expect("watched");
        assert_eq!(host.epoll_wait(epoll, &mut events, 8), Ok(0));
        assert_eq!(poll(host, epoll), Readiness::NONE);
        epoll
    });
    net.client.sys(|host| host.write(client, b"hello")).expect("taken");
    net.connect(&[]);
    net.settle();
    net.server.sys(|host| {
        assert_eq!(poll(host, epoll), IN);
        let mut turns = Vec::new();
        for _ in 0..4 {
            assert_eq!(host.epoll_wait(epoll, &mut events, 1), Ok(1));
            turns.push(events[0].data);
        }
        assert_eq!(turns, [1, 2, 1, 2], "level-triggered, and each in its turn");
        read(host, server).expect("data");
        assert_eq!(host.epoll_wait(epoll, &mut events, 8), Ok(1));
        assert_eq!(events, [EpollEvent { events: IN, data: 2 }]);
        host.epoll_ctl(epoll, server, EpollCtl::Modify(OUT, 7)).expect("watched");
        host.epoll_ctl(epoll, listener, EpollCtl::Delete).expect("watched");
        assert_eq!(host.epoll_wait(epoll, &mut events, 8), Ok(1));
        assert_eq!(events, [EpollEvent { events: OUT, data: 7 }]);
        host.close(server).expect("open");
        assert_eq!(host.epoll_wait(epoll, &mut events, 8), Ok(0), "a closed descriptor leaves the set");
    });
}

#[test]
fn a_blocking_poll_and_epoll_wait_wake_up_with_the_packet() {
    let net = Pair::new();
    let (client, server) = net.established();
    let start = net.sim.now();
    let mut poller = net.server.spawn(async move |net| {
        let mut fds = [PollFd { fd: server, events: IN, revents: Readiness::NONE }];
        let in_vain = net.poll(&mut fds, Some(Duration::from_millis(5))).await;
        (in_vain, net.poll(&mut fds, None).await, fds[0].revents, net.now())
    });
    let mut waiter = net.server.spawn(async move |net| {
        let epoll = net.epoll_create().expect("a descriptor");
        net.epoll_ctl(epoll, server, EpollCtl::Add(IN, 1)).expect("watched");
        let mut events = Vec::new();
        let in_vain = net.epoll_wait(epoll, &mut events, 8, Some(Duration::from_millis(5))).await;
        (in_vain, net.epoll_wait(epoll, &mut events, 8, None).await, net.now())
    });
    net.client.sys(|host| host.write(client, b"hello")).expect("taken");
    net.settle();
    let arrival = start + common::calls::DELAY;
    assert_eq!(poller.try_take(), Some((0, 1, IN, arrival)));
    assert_eq!(waiter.try_take(), Some((Ok(0), Ok(1), arrival)));
}

#[test]
fn peeking_leaves_the_data_and_fionread_counts_it() {
    let net = Pair::new();
    let (client, server) = net.established();
    net.client.sys(|host| host.write(client, b"hello")).expect("taken");
    net.settle();
    net.server.sys(|host| {
        let mut buf = [0; 3];
        for _ in 0..2 {
            assert_eq!(host.recv(server, &mut buf, MsgFlags::PEEK), Ok(3));
            assert_eq!(&buf, b"hel");
            assert_eq!(host.fionread(server), Ok(5));
        }
        let (mut first, mut second) = ([0; 2], [0; 9]);
        let mut bufs = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(host.recvmsg(server, &mut bufs, MsgFlags::PEEK).expect("data").len, 5);
        assert_eq!((&first, &second[..3]), (b"he", &b"llo"[..]));
        assert_eq!(host.recvfrom(server, &mut buf, MsgFlags::NONE), Ok((3, None)));
        assert_eq!(host.fionread(server), Ok(2));
        assert_eq!(read(host, server).as_deref(), Ok(&b"lo"[..]));
        assert_eq!(host.fionread(server), Ok(0));
        assert_eq!(host.recv(server, &mut buf, MsgFlags::PEEK | MsgFlags::DONTWAIT), Err(Errno::EAGAIN));
    });
}

#[test]
fn several_buffers_are_written_and_filled_in_turn() {
    let net = Pair::new();
    let (client, server) = net.established();
    net.client.sys(|host| {
        assert_eq!(host.writev(client, &["one ", "", "two "].map(|part| IoSlice::new(part.as_bytes()))), Ok(8));
        let sent = host.sendmsg(client, &[IoSlice::new(b"three")], MsgFlags::NOSIGNAL, None);
        assert_eq!(sent, Ok(5));
    });
    net.settle();
    net.server.sys(|host| {
        let (mut first, mut second, mut third) = ([0; 3], [0; 0], [0; 6]);
        let mut bufs = [&mut first[..], &mut second, &mut third].map(IoSliceMut::new);
        assert_eq!(host.readv(server, &mut bufs), Ok(9));
        assert_eq!((&first, &third), (b"one", b" two t"));
        let mut bufs = [&mut first[..], &mut third].map(IoSliceMut::new);
        let message = host.recvmsg(server, &mut bufs, MsgFlags::NONE).expect("data");
        assert_eq!((message.len, message.from, message.flags), (4, None, MsgFlags::NONE));
        assert_eq!((&first, third[0]), (b"hre", b'e'));
    });
}

#[test]
fn ephemeral_ports_lie_in_linux_range_and_are_not_used_twice() {
    let mut host = Host::new(&HostConfig {
        addresses: vec![("192.0.2.2".parse().expect("an address"), 24)],
        rcv_buf: Some(64),
        snd_buf: Some(64),
        ..HostConfig::default()
    });
    let mut ports = BTreeSet::new();
    for n in 0..1000 {
        let fd = stream(&mut host, &[]);
        if n % 2 == 0 {
            host.bind(fd, any(0)).expect("a free port");
        } else {
            assert_eq!(host.connect(fd, at("192.0.2.1", PORT)), Err(Errno::EINPROGRESS));
        }
        let port = host.getsockname(fd).expect("bound").port();
        assert!((32_768..=60_999).contains(&port), "{port}");
        assert!(ports.insert(port), "{port} twice");
    }
    let udp = datagram(&mut host, 0);
    assert!((32_768..=60_999).contains(&host.getsockname(udp).expect("bound").port()));
}

#[test]
fn a_host_talks_to_itself_over_every_address_and_nothing_reaches_the_wire() {
    let cases = [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("0.0.0.0", "127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.8.9.10", "127.8.9.10"),
        ("127.0.0.1", "0.0.0.0", "127.0.0.1"),
        ("::1", "::1", "::1"),
        ("::", "2001:db8::1", "2001:db8::1"),
        ("::1", "::", "::1"),
        ("::", "::ffff:127.0.0.1", "::ffff:127.0.0.1"),
    ];
    for (listens, connects, seen) in cases {
        let net = Pair::new();
        let domain = Domain::of(&at(listens, 0));
        let (listener, client) = net.server.sys(|host| {
            let fds = [(); 2].map(|()| host.socket(domain, Type::Stream).expect("a descriptor"));
            host.bind(fds[0], at(listens, PORT)).expect("free");
            host.listen(fds[0], 1).expect("listening");
            assert_eq!(host.connect(fds[1], at(connects, PORT)), Err(Errno::EINPROGRESS), "{connects}");
            (fds[0], fds[1])
        });
        net.settle();
        let fd = net.accept(listener);
        net.server.sys(|host| {
            assert_eq!(host.getpeername(fd).map(|peer| peer.ip()), Ok(at(seen, 0).ip()), "{connects}");
            host.write(client, b"to myself").expect("taken");
        });
        net.settle();
        assert_eq!(net.server_reads(fd), b"to myself");
        net.server.sys(|host| [client, fd].map(|fd| host.close(fd).expect("open")));
        net.sim.run_until_idle();
        net.assert_silence();
    }
}

#[test]
fn a_packet_from_the_link_with_a_loopback_address_is_dropped() {
    let net = Pair::new();
    let listener = net.listen(&[]);
    for (src, dst) in [("127.0.0.1", "192.0.2.1"), ("192.0.2.2", "127.0.0.1"), ("::1", "2001:db8::1")] {
        net.server.sys(|host| {
            let syn = tcplab::segment::SegmentTemplate {
                flags: tcplab::segment::Flags::SYN,
                ..tcplab::segment::SegmentTemplate::new(at(src, 4000), at(dst, PORT))
            };
            let now = host.now();
            host.handle_packet(now, &mut tcplab::segment::Packet::new(syn.to_bytes()));
        });
        net.sim.run_until_idle();
        net.assert_silence();
        assert_eq!(net.server.sys(|host| host.accept(listener)), Err(Errno::EAGAIN));
    }
}

#[test]
fn the_descriptor_table_reads_as_the_tutorial_has_it() {
    let net = Pair::new();
    let (client, server) = net.established();
    let local = net.client.sys(|host| host.getsockname(client)).expect("connected");
    net.client.sys(|host| host.write(client, b"hello")).expect("taken");
    net.settle();
    net.server.sys(|host| {
        stream(host, &[]);
        datagram(host, 53);
        host.epoll_create().expect("a descriptor");
        let expected = format!(
            "3 LISTEN 0.0.0.0:8080\n\
             4 ESTABLISHED 192.0.2.1:8080 ↔ {local}\n\
             5 CLOSED 0.0.0.0:0\n\
             6 UDP 0.0.0.0:53\n\
             7 epoll\n"
        );
        assert_eq!(descriptor_table(host), expected);
        assert_eq!(host.describe(Fd(4)), format!("4 ESTABLISHED 192.0.2.1:8080 ↔ {local}"));
        assert_eq!(host.describe(Fd(8)), "8 not open");
        let row = host.descriptors()[1];
        assert_eq!((row.fd, row.state, row.recv_q), (server, Some(State::Established), 5));
        host.close(server).expect("open");
        assert!(descriptor_table(host).starts_with("3 LISTEN 0.0.0.0:8080\n5 CLOSED"));
        assert_eq!(stream(host, &[]), Fd(4), "the lowest free number");
    });
}

#[test]
fn the_account_counts_messages_and_bytes_each_way_and_the_time_open() {
    let net = Pair::new();
    let (client, server) = net.established();
    net.client.sys(|host| {
        host.write(client, b"hello").expect("taken");
        host.write(client, b"world!").expect("taken");
    });
    net.settle();
    net.server_reads(server);
    net.server.sys(|host| host.write(server, b"hi")).expect("taken");
    net.settle();
    net.client.sys(|host| read(host, client)).expect("data");
    let account = net.client.sys(|host| host.account(client)).expect("a connection");
    assert_eq!((account.messages_sent, account.bytes_sent), (2, 11));
    assert_eq!((account.messages_received, account.bytes_received), (1, 2));
    assert_eq!(account.remote, at("192.0.2.1", PORT));
    assert_eq!(account.opened_at.map(tcplab::time::Instant::as_millis), Some(20));
    assert_eq!(account.closed_at, None);
    let server_side = net.server.sys(|host| host.account(server)).expect("a connection");
    assert_eq!(server_side.opened_at.map(tcplab::time::Instant::as_millis), Some(30));
    // The peer resets at 1.5 s, which is 1.49 s after the client's handshake was over.
    net.server_resets(server);
    let local = account.local;
    let text = net.client.sys(|host| host.account(client)).expect("a connection").to_string();
    let expected =
        format!("{local} ↔ 192.0.2.1:8080 open 1.490 s, sent 2 messages 11 bytes, received 1 message 2 bytes");
    assert_eq!(text, expected);
    assert_eq!(net.server.sys(|host| host.account(Fd(3))), None, "a listener is no connection");
}
