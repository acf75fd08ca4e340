//! What a host refuses by itself: addresses, ports, descriptors, buffers, arguments.

use std::io::IoSlice;

use super::{host, refusal, server, unbound_datagram};
use crate::common::calls::{PORT, Pair, any, at, datagram, poll, read, stream};
use tcplab::socket::{
    Domain, EpollCtl, Errno, Fd, Host, HostConfig, MsgFlags, OptionName, Readiness, Shutdown, SocketOption, Type,
};

/// Binds a socket to every ephemeral port but the last, 60999. All are shown to be free before.
fn hold_ephemeral_ports(host: &mut Host, kind: Type) {
    for port in 32_768..60_999 {
        let fd = host.socket(Domain::Inet, kind).expect("a descriptor");
        host.bind(fd, any(port)).expect("a free port");
    }
}

// ---- EADDRINUSE

pub(crate) fn a_port_that_is_bound() -> Errno {
    let mut host = host();
    let (first, second) = (stream(&mut host, &[]), stream(&mut host, &[]));
    host.bind(first, any(PORT)).expect("free");
    let errno = refusal(host.bind(second, any(PORT)));
    host.bind(second, any(PORT + 1)).expect("the next port is free");
    errno
}

pub(crate) fn a_datagram_port_that_is_bound() -> Errno {
    let mut host = host();
    datagram(&mut host, PORT);
    let second = unbound_datagram(&mut host);
    refusal(host.bind(second, at("192.0.2.2", PORT)))
}

pub(crate) fn a_port_on_which_another_socket_listens() -> Errno {
    let mut host = host();
    let [one, all] = [at("192.0.2.2", PORT), any(PORT)].map(|addr| {
        let fd = stream(&mut host, &[SocketOption::ReuseAddr(true)]);
        host.bind(fd, addr).expect("SO_REUSEADDR lets both bind");
        fd
    });
    host.listen(one, 1).expect("the first");
    let errno = refusal(host.listen(all, 1));
    host.close(one).expect("closed");
    host.listen(all, 1).expect("nobody listens any more");
    errno
}

pub(crate) fn a_bind_when_no_ephemeral_port_is_left() -> Errno {
    let mut host = host();
    hold_ephemeral_ports(&mut host, Type::Stream);
    let (last, beyond) = (stream(&mut host, &[]), stream(&mut host, &[]));
    host.bind(last, any(0)).expect("one is left");
    assert_eq!(host.getsockname(last).expect("bound").port(), 60_999);
    assert_eq!(host.listen(beyond, 1), Err(Errno::EADDRINUSE), "listen binds too");
    refusal(host.bind(beyond, any(0)))
}

// ---- EADDRNOTAVAIL

pub(crate) fn a_bind_to_an_address_of_somebody_else() -> Errno {
    let mut host = host();
    let (fd, udp) = (stream(&mut host, &[]), unbound_datagram(&mut host));
    assert_eq!(host.bind(udp, server()), Err(Errno::EADDRNOTAVAIL));
    refusal(host.bind(fd, server()))
}

pub(crate) fn a_connect_when_no_ephemeral_port_is_left() -> Errno {
    let mut host = host();
    hold_ephemeral_ports(&mut host, Type::Stream);
    let (last, beyond) = (stream(&mut host, &[]), stream(&mut host, &[]));
    assert_eq!(host.connect(last, server()), Err(Errno::EINPROGRESS), "one is left");
    let errno = refusal(host.connect(beyond, server()));
    assert_eq!(host.connect(beyond, at("192.0.2.1", 81)), Err(Errno::EINPROGRESS), "another 4-tuple is free");
    errno
}

pub(crate) fn a_connect_over_a_4_tuple_in_use() -> Errno {
    let mut host = host();
    let [first, second] = [(); 2].map(|()| {
        let fd = stream(&mut host, &[SocketOption::ReuseAddr(true)]);
        host.bind(fd, any(4000)).expect("SO_REUSEADDR lets both bind");
        fd
    });
    assert_eq!(host.connect(first, server()), Err(Errno::EINPROGRESS));
    refusal(host.connect(second, server()))
}

// ---- EAGAIN

pub(crate) fn a_read_of_nothing() -> Errno {
    let net = Pair::new();
    let (client, _) = net.established();
    let udp = net.client.sys(|host| datagram(host, 4000));
    assert_eq!(net.client.sys(|host| read(host, udp)), Err(Errno::EAGAIN));
    refusal(net.client.sys(|host| read(host, client)))
}

pub(crate) fn an_accept_of_nobody() -> Errno {
    let mut host = host();
    let fd = stream(&mut host, &[]);
    host.listen(fd, 1).expect("listening");
    refusal(host.accept(fd))
}

pub(crate) fn a_write_before_the_handshake_is_over() -> Errno {
    let net = Pair::new();
    let fd = net.connect(&[]);
    net.client.sys(|host| {
        assert_eq!(read(host, fd), Err(Errno::EAGAIN));
        refusal(host.write(fd, b"x"))
    })
}

pub(crate) fn a_datagram_when_no_ephemeral_port_is_left() -> Errno {
    let mut host = host();
    hold_ephemeral_ports(&mut host, Type::Datagram);
    let [last, beyond] = [(); 2].map(|()| unbound_datagram(&mut host));
    host.sendto(last, b"x", MsgFlags::NONE, Some(server())).expect("one is left");
    assert_eq!(host.connect(beyond, server()), Err(Errno::EAGAIN));
    refusal(host.sendto(beyond, b"x", MsgFlags::NONE, Some(server())))
}

// ---- EINVAL

pub(crate) fn calls_at_the_wrong_moment() -> Errno {
    let mut host = host();
    let [bound, fresh, listening] = [(); 3].map(|()| stream(&mut host, &[]));
    host.bind(bound, any(PORT)).expect("free");
    host.listen(listening, 1).expect("listening");
    let udp = datagram(&mut host, PORT);
    let results = [
        host.bind(bound, any(PORT + 1)),
        host.bind(listening, any(PORT + 1)),
        host.bind(udp, any(PORT + 1)),
        host.accept(fresh).map(drop),
        host.accept(bound).map(drop),
        host.fionread(listening).map(drop),
        host.tcp_info(fresh).map(drop),
    ];
    assert_eq!(results, [Err(Errno::EINVAL); 7]);
    assert_eq!(host.connect(fresh, server()), Err(Errno::EINPROGRESS));
    refusal(host.listen(fresh, 1))
}

pub(crate) fn values_out_of_range() -> Errno {
    let mut host = host();
    let epoll = host.epoll_create().expect("a descriptor");
    let fd = stream(&mut host, &[]);
    let v6 = host.socket(Domain::Inet6, Type::Stream).expect("a descriptor");
    let udp = datagram(&mut host, PORT);
    let mut events = Vec::new();
    assert_eq!(host.epoll_wait(epoll, &mut events, 0), Err(Errno::EINVAL));
    assert_eq!(host.sendto(udp, b"x", MsgFlags::NONE, Some(at("192.0.2.1", 0))), Err(Errno::EINVAL));
    host.setsockopt(v6, SocketOption::V6Only(true)).expect("not bound yet");
    assert_eq!(host.bind(v6, at("::ffff:192.0.2.2", PORT)), Err(Errno::EINVAL));
    refusal(host.setsockopt(fd, SocketOption::Ttl(0)))
}

pub(crate) fn a_loopback_address_as_the_source_of_what_leaves_the_host() -> Errno {
    let mut host = host();
    let (fd, udp) = (stream(&mut host, &[]), unbound_datagram(&mut host));
    for fd in [fd, udp] {
        host.bind(fd, at("127.0.0.1", PORT)).expect("its own");
    }
    assert_eq!(host.connect(udp, server()), Err(Errno::EINVAL));
    assert_eq!(host.sendto(udp, b"x", MsgFlags::NONE, Some(server())), Err(Errno::EINVAL));
    let errno = refusal(host.connect(fd, server()));
    assert_eq!(host.connect(fd, at("192.0.2.2", PORT)), Err(Errno::EINPROGRESS), "this stays inside");
    errno
}

pub(crate) fn reading_and_watching_what_is_no_socket_for_it() -> Errno {
    let mut host = host();
    let [epoll, other] = [(); 2].map(|()| host.epoll_create().expect("a descriptor"));
    let (fd, udp) = (stream(&mut host, &[]), unbound_datagram(&mut host));
    let watch = EpollCtl::Add(Readiness::READABLE, 0);
    assert_eq!(host.epoll_ctl(fd, epoll, watch), Err(Errno::EINVAL));
    assert_eq!(host.epoll_ctl(epoll, epoll, watch), Err(Errno::EINVAL));
    assert_eq!(host.epoll_ctl(epoll, other, watch), Err(Errno::EINVAL));
    assert_eq!(host.epoll_ctl(fd, udp, watch), Err(Errno::EINVAL), "not an epoll instance");
    assert_eq!(host.write(epoll, b"x"), Err(Errno::EINVAL));
    refusal(read(&mut host, epoll))
}

// ---- EBADF, ENOTSOCK

/// Every call that takes a descriptor, with the errno that it ends with.
fn every_call_on(host: &mut Host, fd: Fd) -> Vec<(&'static str, Option<Errno>)> {
    let mut buf = [0; 8];
    vec![
        ("bind", host.bind(fd, any(PORT)).err()),
        ("listen", host.listen(fd, 1).err()),
        ("accept", host.accept(fd).err()),
        ("connect", host.connect(fd, server()).err()),
        ("disconnect", host.disconnect(fd).err()),
        ("shutdown", host.shutdown(fd, Shutdown::Both).err()),
        ("getsockname", host.getsockname(fd).err()),
        ("getpeername", host.getpeername(fd).err()),
        ("setsockopt", host.setsockopt(fd, SocketOption::NoDelay(true)).err()),
        ("getsockopt", host.getsockopt(fd, OptionName::NoDelay).err()),
        ("SO_ERROR", host.take_error(fd).err()),
        ("SO_RCVTIMEO", host.timeouts(fd).err()),
        ("TCP_INFO", host.tcp_info(fd).err()),
        ("read", host.read(fd, &mut buf).err()),
        ("recvfrom", host.recvfrom(fd, &mut buf, MsgFlags::PEEK).err()),
        ("write", host.write(fd, b"x").err()),
        ("writev", host.writev(fd, &[IoSlice::new(b"x")]).err()),
        ("send", host.send(fd, b"x", MsgFlags(1)).err()),
        ("fionread", host.fionread(fd).err()),
        ("O_NONBLOCK", host.set_nonblocking(fd, true).err()),
    ]
}

pub(crate) fn every_call_on_a_closed_descriptor() -> Errno {
    let mut host = host();
    let fd = stream(&mut host, &[]);
    let epoll = host.epoll_create().expect("a descriptor");
    host.close(fd).expect("open");
    for (call, errno) in every_call_on(&mut host, fd) {
        assert_eq!(errno, Some(Errno::EBADF), "{call}");
    }
    for (call, errno) in every_call_on(&mut host, Fd(2)) {
        assert_eq!(errno, Some(Errno::EBADF), "{call} on standard error, which is the program's");
    }
    assert_eq!(host.epoll_ctl(epoll, fd, EpollCtl::Delete), Err(Errno::EBADF));
    assert_eq!(host.epoll_wait(fd, &mut Vec::new(), 1), Err(Errno::EBADF));
    assert_eq!(poll(&host, fd), Readiness::INVALID);
    refusal(host.close(fd))
}

pub(crate) fn socket_calls_on_an_epoll_instance() -> Errno {
    let mut host = host();
    let epoll = host.epoll_create().expect("a descriptor");
    // Linux gives ENOTTY for the ioctl, and lets fcntl pass.
    let others = ["read", "recvfrom", "write", "writev", "send", "fionread"];
    for (call, errno) in every_call_on(&mut host, epoll) {
        if !others.contains(&call) {
            assert_eq!(errno, Some(Errno::ENOTSOCK), "{call}");
        }
    }
    refusal(host.listen(epoll, 1))
}

// ---- EMFILE, ENOBUFS

pub(crate) fn one_descriptor_more_than_the_limit() -> Errno {
    let net = Pair::with(|config| config.descriptor_limit = 2);
    let listener = net.listen(&[]);
    net.connect(&[]);
    net.settle();
    net.server.sys(|host| {
        let second = stream(host, &[]);
        assert_eq!(host.epoll_create(), Err(Errno::EMFILE));
        assert_eq!(host.accept(listener), Err(Errno::EMFILE));
        let errno = refusal(host.socket(Domain::Inet, Type::Datagram));
        host.close(second).expect("open");
        assert_eq!(host.accept(listener).expect("it still waits").0, second);
        errno
    })
}

pub(crate) fn a_limit_of_buffers_of_one_byte_less_than_a_block() -> Errno {
    let connect = |limit| {
        let mut host = Host::new(&HostConfig { buffer_limit: limit, ..host().config().clone() });
        let fd = stream(&mut host, &[]);
        host.connect(fd, server())
    };
    assert_eq!(connect(4_096), Err(Errno::EINPROGRESS), "this is a block");
    refusal(connect(4_095))
}

pub(crate) fn one_datagram_more_than_the_queue_of_the_interface() -> Errno {
    let mut host = host();
    let fd = datagram(&mut host, PORT);
    for _ in 0..1000 {
        host.sendto(fd, b"x", MsgFlags::NONE, Some(server())).expect("room in the queue");
    }
    refusal(host.sendto(fd, b"x", MsgFlags::NONE, Some(server())))
}

// ---- EMSGSIZE, EDESTADDRREQ, EAFNOSUPPORT, EOPNOTSUPP, ENOPROTOOPT

pub(crate) fn a_datagram_of_one_byte_more_than_the_mtu() -> Errno {
    let mut host = host();
    let fd = datagram(&mut host, PORT);
    assert_eq!(host.sendto(fd, &[0; 1472], MsgFlags::NONE, Some(server())), Ok(1472));
    refusal(host.sendto(fd, &[0; 1473], MsgFlags::NONE, Some(server())))
}

pub(crate) fn a_datagram_to_nobody() -> Errno {
    let mut host = host();
    let fd = datagram(&mut host, PORT);
    refusal(host.write(fd, b"x"))
}

pub(crate) fn an_address_of_the_other_family() -> Errno {
    let mut host = host();
    let (fd, udp) = (stream(&mut host, &[]), unbound_datagram(&mut host));
    let v6 = at("2001:db8::1", PORT);
    assert_eq!(host.bind(fd, v6), Err(Errno::EAFNOSUPPORT));
    assert_eq!(host.bind(udp, v6), Err(Errno::EAFNOSUPPORT));
    assert_eq!(host.sendto(udp, b"x", MsgFlags::NONE, Some(v6)), Err(Errno::EAFNOSUPPORT));
    let six = host.socket(Domain::Inet6, Type::Stream).expect("a descriptor");
    assert_eq!(host.connect(six, server()), Err(Errno::EAFNOSUPPORT));
    refusal(host.connect(fd, v6))
}

pub(crate) fn stream_calls_on_a_datagram_socket() -> Errno {
    let mut host = host();
    let (fd, udp) = (stream(&mut host, &[]), datagram(&mut host, PORT));
    assert_eq!(host.accept(udp), Err(Errno::EOPNOTSUPP));
    assert_eq!(host.disconnect(fd), Err(Errno::EOPNOTSUPP));
    assert_eq!(host.send(udp, b"x", MsgFlags(1)), Err(Errno::EOPNOTSUPP), "MSG_OOB");
    refusal(host.listen(udp, 1))
}

pub(crate) fn options_of_another_protocol() -> Errno {
    let mut host = host();
    let (fd, udp) = (stream(&mut host, &[]), datagram(&mut host, PORT));
    assert_eq!(host.getsockopt(udp, OptionName::NoDelay), Err(Errno::ENOPROTOOPT));
    assert_eq!(host.setsockopt(fd, SocketOption::V6Only(true)), Err(Errno::ENOPROTOOPT));
    assert_eq!(host.tcp_info(udp), Err(Errno::ENOPROTOOPT));
    refusal(host.setsockopt(udp, SocketOption::NoDelay(true)))
}

// ---- EEXIST, ENOENT

pub(crate) fn watching_a_descriptor_twice() -> Errno {
    let mut host = host();
    let (epoll, fd) = (host.epoll_create().expect("a descriptor"), stream(&mut host, &[]));
    host.epoll_ctl(epoll, fd, EpollCtl::Add(Readiness::READABLE, 1)).expect("the first time");
    refusal(host.epoll_ctl(epoll, fd, EpollCtl::Add(Readiness::READABLE, 1)))
}

pub(crate) fn changing_what_is_not_watched() -> Errno {
    let mut host = host();
    let (epoll, fd) = (host.epoll_create().expect("a descriptor"), stream(&mut host, &[]));
    assert_eq!(host.epoll_ctl(epoll, fd, EpollCtl::Modify(Readiness::READABLE, 1)), Err(Errno::ENOENT));
    refusal(host.epoll_ctl(epoll, fd, EpollCtl::Delete))
}
