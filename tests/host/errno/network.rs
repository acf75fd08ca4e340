//! What the network does to a host: silence, ICMP errors, no route.

use std::time::Duration;

use super::{host, refusal, server, unbound_datagram};
use crate::common::calls::{PORT, Pair, at, datagram, poll, read, stream, unreachable};
use tcplab::socket::{Domain, Errno, Host, HostConfig, MsgFlags, Readiness, SocketOption, Type};

// ---- ETIMEDOUT

pub(crate) fn a_connect_over_a_dead_link() -> Errno {
    let net = Pair::new();
    net.cut();
    let fd = net.connect(&[]);
    // Six retransmissions, after 1, 2, 4, ... 32 s, and 64 s of waiting.
    net.sim.run_for(Duration::from_secs(122));
    assert_eq!(net.client.sys(|host| host.connect(fd, server())), Err(Errno::EALREADY));
    net.sim.run_for(Duration::from_secs(5));
    assert_eq!(net.kinds(), ["S 0"; 7]);
    let errno = refusal(net.client.sys(|host| host.connect(fd, server())));
    net.assert_silence();
    errno
}

pub(crate) fn a_read_when_what_was_written_is_never_acknowledged() -> Errno {
    let net = Pair::with(|config| (config.retries, config.tlp) = (3, false));
    let (client, _) = net.established();
    net.cut();
    net.client.sys(|host| host.write(client, b"hello")).expect("taken");
    net.sim.run_for(Duration::from_mins(5));
    assert_eq!(net.kinds(), ["P. 5"; 4], "and no RST: nobody hears it");
    net.client.sys(|host| refusal(read(host, client)))
}

pub(crate) fn a_write_when_what_was_written_is_never_acknowledged() -> Errno {
    let net = Pair::with(|config| config.retries = 3);
    let (client, _) = net.established();
    net.cut();
    net.client.sys(|host| host.write(client, b"hello")).expect("taken");
    net.sim.run_for(Duration::from_mins(5));
    net.client.sys(|host| refusal(host.write(client, b"x")))
}

// ---- EHOSTUNREACH, ENETUNREACH

/// A router answers the SYN of a client with ICMP destination unreachable.
fn connect_met_by_icmp(code: u8) -> Errno {
    let net = Pair::new();
    net.cut();
    let fd = net.connect(&[]);
    net.sim.run_for(Duration::from_millis(1));
    let sent = net.take();
    net.client.sys(|host| {
        let now = host.now();
        host.handle_packet(now, &mut unreachable(code, &sent[0]));
        assert!(poll(host, fd).contains(Readiness::ERROR));
    });
    net.sim.run_for(Duration::from_mins(5));
    net.assert_silence();
    net.client.sys(|host| refusal(host.connect(fd, server())))
}

pub(crate) fn a_syn_answered_by_icmp_port_unreachable() -> Errno {
    connect_met_by_icmp(3)
}

pub(crate) fn a_syn_answered_by_icmp_host_unreachable() -> Errno {
    connect_met_by_icmp(1)
}

pub(crate) fn a_syn_answered_by_icmp_net_unreachable() -> Errno {
    connect_met_by_icmp(0)
}

/// Data of a connection meets ICMP destination unreachable and is then never acknowledged.
fn data_met_by_icmp(code: u8) -> Errno {
    let net = Pair::with(|config| config.retries = 3);
    let (client, _) = net.established();
    net.cut();
    net.client.sys(|host| host.write(client, b"hello")).expect("taken");
    net.sim.run_for(Duration::from_millis(1));
    let sent = net.take();
    net.client.sys(|host| {
        let now = host.now();
        host.handle_packet(now, &mut unreachable(code, &sent[0]));
        assert_eq!(read(host, client), Err(Errno::EAGAIN), "a soft error ends nothing");
        assert_eq!(host.take_error(client), Ok(None));
    });
    net.sim.run_for(Duration::from_mins(5));
    net.client.sys(|host| refusal(read(host, client)))
}

pub(crate) fn data_that_met_icmp_host_unreachable_and_timed_out() -> Errno {
    data_met_by_icmp(1)
}

pub(crate) fn data_that_met_icmp_net_unreachable_and_timed_out() -> Errno {
    data_met_by_icmp(0)
}

pub(crate) fn a_datagram_that_met_icmp_host_unreachable() -> Errno {
    let net = Pair::new();
    net.cut();
    let fd = net.client.sys(|host| {
        let fd = datagram(host, 4000);
        host.connect(fd, server()).expect("a peer");
        host.write(fd, b"hello").expect("sent");
        fd
    });
    net.sim.run_for(Duration::from_millis(1));
    let sent = net.take();
    net.client.sys(|host| {
        let now = host.now();
        host.handle_packet(now, &mut unreachable(1, &sent[0]));
        host.take_error(fd).expect("open").expect("an error waits")
    })
}

pub(crate) fn an_address_without_route() -> Errno {
    let mut host = Host::new(&HostConfig { default_route: false, ..host().config().clone() });
    let (fd, udp) = (stream(&mut host, &[]), unbound_datagram(&mut host));
    let far = at("198.51.100.1", PORT);
    assert_eq!(host.connect(udp, far), Err(Errno::ENETUNREACH));
    assert_eq!(host.sendto(udp, b"x", MsgFlags::NONE, Some(far)), Err(Errno::ENETUNREACH));
    let errno = refusal(host.connect(fd, far));
    assert_eq!(host.connect(fd, server()), Err(Errno::EINPROGRESS), "on the link all is well");
    errno
}

pub(crate) fn an_address_of_a_version_that_the_host_has_not() -> Errno {
    let mut host = host();
    let fd = host.socket(Domain::Inet6, Type::Stream).expect("a descriptor");
    refusal(host.connect(fd, at("2001:db8::1", PORT)))
}

pub(crate) fn a_mapped_address_from_a_socket_for_ipv6_only() -> Errno {
    let mut host = host();
    let [tcp, udp] = [Type::Stream, Type::Datagram].map(|kind| {
        let fd = host.socket(Domain::Inet6, kind).expect("a descriptor");
        host.setsockopt(fd, SocketOption::V6Only(true)).expect("not bound");
        fd
    });
    let mapped = at("::ffff:192.0.2.1", PORT);
    assert_eq!(host.connect(udp, mapped), Err(Errno::ENETUNREACH));
    assert_eq!(host.sendto(udp, b"x", MsgFlags::NONE, Some(mapped)), Err(Errno::ENETUNREACH));
    refusal(host.connect(tcp, mapped))
}

pub(crate) fn a_multicast_address() -> Errno {
    let mut host = host();
    let fd = stream(&mut host, &[]);
    assert_eq!(host.connect(fd, at("255.255.255.255", PORT)), Err(Errno::ENETUNREACH));
    refusal(host.connect(fd, at("224.0.0.1", PORT)))
}
