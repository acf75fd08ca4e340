//! Socket options: set and asked for, out of range, and what they do on the wire.

use std::time::Duration;

use crate::common::calls::{DELAY, PORT, Pair, Shot, any, at, datagram, read, stream};
use tcplab::congestion::{self, Algorithm};
use tcplab::event::State;
use tcplab::link::FaultAction;
use tcplab::segment::{IpView, Packet, Segment};
use tcplab::socket::{CongestionName, Domain, Errno, Host, HostConfig, OptionName, SocketOption, TcpInfo, Type};
use tcplab::time::Instant;

const MILLI: Duration = Duration::from_millis(1);

#[track_caller]
fn largest(shots: &[Shot]) -> usize {
    shots.iter().map(|shot| shot.segment().payload.len()).max().expect("something was sent")
}

#[track_caller]
fn assert_get(host: &Host, fd: tcplab::socket::Fd, name: OptionName, value: SocketOption) {
    assert_eq!(host.getsockopt(fd, name), Ok(value));
}

#[test]
fn every_option_has_linux_default_and_gives_back_what_was_set() {
    use OptionName as N;
    use SocketOption as O;
    let seconds = Duration::from_secs;
    let table = [
        (N::ReuseAddr, O::ReuseAddr(false), O::ReuseAddr(true)),
        (N::Linger, O::Linger(None), O::Linger(Some(seconds(5)))),
        (N::KeepAlive, O::KeepAlive(false), O::KeepAlive(true)),
        (N::RcvBuf, O::RcvBuf(65_536), O::RcvBuf(4096)),
        (N::SndBuf, O::SndBuf(16_384), O::SndBuf(4096)),
        (N::RcvTimeo, O::RcvTimeo(None), O::RcvTimeo(Some(MILLI))),
        (N::SndTimeo, O::SndTimeo(None), O::SndTimeo(Some(MILLI))),
        (N::NoDelay, O::NoDelay(false), O::NoDelay(true)),
        (N::Cork, O::Cork(false), O::Cork(true)),
        (N::Congestion, O::Congestion("cubic".into()), O::Congestion("bbr".into())),
        (N::MaxSeg, O::MaxSeg(536), O::MaxSeg(88)),
        (N::KeepIdle, O::KeepIdle(seconds(7200)), O::KeepIdle(seconds(32_767))),
        (N::KeepIntvl, O::KeepIntvl(seconds(75)), O::KeepIntvl(seconds(1))),
        (N::KeepCnt, O::KeepCnt(9), O::KeepCnt(127)),
        (N::UserTimeout, O::UserTimeout(Duration::ZERO), O::UserTimeout(seconds(30))),
        (N::QuickAck, O::QuickAck(false), O::QuickAck(true)),
        (N::V6Only, O::V6Only(false), O::V6Only(true)),
        (N::Ttl, O::Ttl(64), O::Ttl(255)),
    ];
    let mut host = Host::new(&HostConfig::default());
    let fd = host.socket(Domain::Inet6, Type::Stream).expect("a descriptor");
    for (name, default, other) in table {
        assert_get(&host, fd, name, default);
        assert_eq!(host.setsockopt(fd, other), Ok(()));
        assert_get(&host, fd, name, other);
    }
    host.setsockopt(fd, O::MaxSeg(0)).expect("no limit any more");
    assert_get(&host, fd, N::MaxSeg, O::MaxSeg(536));
    host.setsockopt(fd, O::RcvTimeo(Some(Duration::ZERO))).expect("zero is for ever");
    assert_get(&host, fd, N::RcvTimeo, O::RcvTimeo(None));
}

#[test]
fn values_just_out_of_range_are_refused_and_those_at_the_edge_are_not() {
    use SocketOption as O;
    let mut host = Host::new(&HostConfig::default());
    let fd = stream(&mut host, &[]);
    let seconds = Duration::from_secs;
    let good = [
        O::MaxSeg(88),
        O::MaxSeg(32_767),
        O::KeepIdle(seconds(1)),
        O::KeepIdle(seconds(32_767)),
        O::KeepIntvl(seconds(32_767)),
        O::KeepCnt(1),
        O::KeepCnt(127),
        O::Ttl(1),
        O::RcvBuf(1),
        O::SndBuf(1 << 30),
    ];
    for option in good {
        assert_eq!(host.setsockopt(fd, option), Ok(()), "{option:?}");
    }
    let bad = [
        O::MaxSeg(87),
        O::MaxSeg(32_768),
        O::KeepIdle(seconds(0)),
        O::KeepIdle(seconds(32_768)),
        O::KeepIntvl(seconds(32_768)),
        O::KeepCnt(0),
        O::KeepCnt(128),
        O::Ttl(0),
        O::RcvBuf(0),
        O::SndBuf((1 << 30) + 1),
    ];
    for option in bad {
        assert_eq!(host.setsockopt(fd, option), Err(Errno::EINVAL), "{option:?}");
    }
    assert_get(&host, fd, OptionName::KeepCnt, SocketOption::KeepCnt(127));
}

#[test]
fn maxseg_is_announced_with_the_syn_and_kept_in_both_directions() {
    let net = Pair::new();
    let listener = net.listen(&[]);
    let client = net.connect(&[SocketOption::MaxSeg(500)]);
    net.settle();
    let server = net.accept(listener);
    let shots = net.take();
    assert_eq!([0, 1].map(|at: usize| shots[at].segment().options.mss), [Some(500), Some(1460)]);
    for (from, fd) in [(&net.client, client), (&net.server, server)] {
        from.sys(|host| host.write(fd, &[7; 5000])).expect("taken");
        net.settle();
        // Timestamps take 12 of the 500 bytes (RFC 6691).
        assert_eq!(largest(&net.take_from(from)), 488);
        let info = from.sys(|host| host.tcp_info(fd)).expect("connected");
        assert_eq!(info.snd_mss, 488);
        assert!(info.rtt >= Duration::from_micros(1), "zero is no sample");
        assert_eq!(from.sys(|host| host.getsockopt(fd, OptionName::MaxSeg)), Ok(SocketOption::MaxSeg(488)));
    }
    assert_eq!(
        net.server.sys(|host| host.tcp_info(server)).expect("connected").rcv_mss,
        488,
        "the size of the segments that came, as on Linux"
    );
}

#[test]
fn maxseg_of_a_listener_is_announced_with_the_syn_ack() {
    let net = Pair::new();
    net.listen(&[SocketOption::MaxSeg(600)]);
    let client = net.connect(&[]);
    net.settle();
    let shots = net.take();
    assert_eq!([0, 1].map(|at: usize| shots[at].segment().options.mss), [Some(1460), Some(600)]);
    net.client.sys(|host| host.write(client, &[7; 5000])).expect("taken");
    net.settle();
    assert_eq!(largest(&net.take_from(&net.client)), 588);
}

#[test]
fn nagle_holds_a_small_segment_until_the_last_is_acknowledged_and_nodelay_does_not() {
    for (nodelay, sent_at_once) in [(false, 1), (true, 2)] {
        let net = Pair::new();
        let (client, _) = net.established_with(&[SocketOption::NoDelay(nodelay)], &[]);
        for octet in [b"a", b"b"] {
            net.client.sys(|host| host.write(client, octet)).expect("taken");
            net.sim.run_for(MILLI);
        }
        assert_eq!(net.kinds(), vec!["P. 1"; sent_at_once], "nodelay {nodelay}");
        net.settle();
        assert_eq!(net.take_from(&net.client).len(), 2 - sent_at_once, "nodelay {nodelay}");
    }
}

#[test]
fn nodelay_may_be_set_while_nagle_holds_a_segment_back() {
    let net = Pair::new();
    let (client, _) = net.established();
    for octet in [b"a", b"b"] {
        net.client.sys(|host| host.write(client, octet)).expect("taken");
        net.sim.run_for(MILLI);
    }
    assert_eq!(net.kinds(), ["P. 1"]);
    net.client.sys(|host| host.setsockopt(client, SocketOption::NoDelay(true))).expect("set");
    net.sim.run_for(MILLI);
    assert_eq!(net.kinds(), ["P. 1"]);
}

#[test]
fn quickack_acknowledges_at_once_and_without_it_an_ack_is_delayed() {
    for (quick, wait) in [(true, Duration::ZERO), (false, Duration::from_millis(40))] {
        let net = Pair::with(|config| config.quick_acks = 0);
        let (client, server) = net.established();
        net.server.sys(|host| host.setsockopt(server, SocketOption::QuickAck(quick))).expect("set");
        net.client.sys(|host| host.write(client, b"hello")).expect("taken");
        net.settle();
        let shots = net.take();
        assert_eq!(shots.len(), 2, "{shots:?}");
        assert_eq!(shots[1].at - shots[0].at, DELAY + wait, "quick {quick}");
    }
}

#[test]
fn ttl_is_that_of_every_packet_of_a_socket() {
    let net = Pair::new();
    net.listen(&[SocketOption::Ttl(33)]);
    let client = net.connect(&[SocketOption::Ttl(1)]);
    net.settle();
    let shots = net.take();
    assert_eq!(shots.iter().map(|shot| shot.ip().ttl).collect::<Vec<_>>(), [1, 33, 1]);
    net.client.sys(|host| {
        host.setsockopt(client, SocketOption::Ttl(200)).expect("set");
        host.write(client, b"hello").expect("taken");
        let udp = datagram(host, 4000);
        host.setsockopt(udp, SocketOption::Ttl(17)).expect("set");
        host.sendto(udp, b"x", tcplab::socket::MsgFlags::NONE, Some(at("192.0.2.1", 9))).expect("sent");
    });
    net.sim.run_for(MILLI);
    let mut ttls: Vec<_> = net.take().iter().map(|shot| shot.ip().ttl).collect();
    ttls.sort_unstable();
    assert_eq!(ttls, [17, 200]);
}

#[test]
fn rcvbuf_is_the_window_and_all_that_a_sender_can_put_there() {
    let net = Pair::new();
    let listener = net.listen(&[SocketOption::RcvBuf(5000)]);
    let client = net.connect(&[]);
    net.settle();
    let server = net.accept(listener);
    let syn_ack = net.take_from(&net.server).remove(0);
    assert_eq!((syn_ack.segment().window, syn_ack.segment().options.wscale), (5000, Some(0)));
    net.client.sys(|host| host.write(client, &[7; 5001])).expect("taken");
    // The last part of the window is less than a segment: it is filled by the override timeout.
    net.sim.run_for(Duration::from_millis(190));
    assert_eq!(net.server.sys(|host| host.fionread(server)), Ok(3 * 1448));
    net.sim.run_for(Duration::from_millis(200));
    assert_eq!(net.server.sys(|host| host.fionread(server)), Ok(5000));
    let shots = net.take_from(&net.server);
    assert_eq!(shots.last().expect("ACKs").segment().window, 0);
    assert_eq!(net.server_reads(server).len(), 5000);
    net.sim.run_for(Duration::from_secs(2));
    assert_eq!(net.server_reads(server).len(), 1);
}

#[test]
fn sndbuf_is_what_write_takes_and_not_an_byte_more() {
    let net = Pair::new();
    let (client, server) = net.established_with(&[SocketOption::SndBuf(3000)], &[]);
    net.client.sys(|host| {
        assert_eq!(host.write(client, &[7; 2999]), Ok(2999));
        assert_eq!(host.write(client, &[7; 2]), Ok(1));
        assert_eq!(host.write(client, &[7; 1]), Err(Errno::EAGAIN));
    });
    net.settle();
    assert_eq!(net.client.sys(|host| host.write(client, &[7; 4000])), Ok(3000), "all was acknowledged");
    net.settle();
    assert_eq!(net.server_reads(server).len(), 6000);
}

#[test]
fn linger_of_zero_makes_close_a_reset_and_any_other_time_leaves_it_a_fin() {
    for (linger, expected) in [(Some(0), ["R. 0"]), (Some(1), ["F. 0"]), (None, ["F. 0"])] {
        let net = Pair::new();
        let (client, _) = net.established_with(&[SocketOption::Linger(linger.map(Duration::from_secs))], &[]);
        net.client.sys(|host| host.close(client)).expect("open");
        net.sim.run_for(MILLI);
        assert_eq!(net.kinds(), expected, "{linger:?}");
    }
}

#[test]
fn linger_of_zero_throws_away_what_was_not_sent() {
    let net = Pair::new();
    let (client, server) = net.established_with(&[SocketOption::Linger(Some(Duration::ZERO))], &[]);
    let written = net.client.sys(|host| {
        let written = host.write(client, &vec![7; 60_000]).expect("taken");
        host.close(client).expect("open");
        written
    });
    net.settle();
    let kinds = net.kinds();
    // ACKs that were on the way are answered by an RST too.
    let reset = kinds.iter().position(|kind| kind == "R. 0").expect("a reset");
    assert!(kinds[reset + 1..].iter().all(|kind| kind == "R 0" || kind == ". 0"), "{kinds:?}");
    let sent: usize = kinds.iter().filter_map(|kind| kind.split_once(' ')?.1.parse::<usize>().ok()).sum();
    assert!((1..written).contains(&sent), "what the congestion window let go, and no more: {kinds:?}");
    assert_eq!(net.server.sys(|host| read(host, server).map(|octets| octets.len())), Ok(sent));
    assert_eq!(net.server.sys(|host| read(host, server)), Err(Errno::ECONNRESET));
}

#[test]
fn reuseaddr_binds_although_a_connection_is_in_time_wait() {
    for reuse in [false, true] {
        let net = Pair::new();
        let (client, server) = net.established_with(&[], &[SocketOption::ReuseAddr(reuse)]);
        net.server.sys(|host| {
            host.close(server).expect("open");
            host.close(tcplab::socket::Fd(3)).expect("the listener");
        });
        net.settle();
        net.client.sys(|host| host.close(client)).expect("open");
        net.settle();
        let bind = || {
            net.server.sys(|host| {
                let fd = stream(host, &[SocketOption::ReuseAddr(reuse)]);
                host.bind(fd, any(PORT)).and_then(|()| host.listen(fd, 1))
            })
        };
        assert_eq!(bind(), if reuse { Ok(()) } else { Err(Errno::EADDRINUSE) });
        if !reuse {
            net.sim.run_for(Duration::from_secs(58));
            assert_eq!(bind(), Err(Errno::EADDRINUSE), "not yet");
            net.sim.run_for(Duration::from_secs(2));
            assert_eq!(bind(), Ok(()), "2 MSL are over");
        }
    }
}

#[test]
fn an_ipv6_listener_takes_ipv4_peers_as_mapped_addresses_unless_it_is_v6only() {
    for v6_only in [false, true] {
        let net = Pair::new();
        let listener = net.server.sys(|host| {
            let fd = host.socket(Domain::Inet6, Type::Stream).expect("a descriptor");
            host.setsockopt(fd, SocketOption::V6Only(v6_only)).expect("not bound");
            host.bind(fd, at("::", PORT)).expect("free");
            assert_eq!(host.setsockopt(fd, SocketOption::V6Only(false)), Err(Errno::EINVAL), "too late");
            host.listen(fd, 8).expect("listening");
            let v4 = stream(host, &[]);
            let both = host.bind(v4, any(PORT));
            assert_eq!(both, if v6_only { Ok(()) } else { Err(Errno::EADDRINUSE) });
            fd
        });
        let client = net.connect(&[]);
        net.settle();
        let accepted = net.server.sys(|host| host.accept(listener));
        if v6_only {
            assert_eq!(net.kinds(), ["S 0", "R. 0"]);
            assert_eq!(accepted, Err(Errno::EAGAIN));
            continue;
        }
        let local = net.client.sys(|host| host.getsockname(client)).expect("connected");
        let (fd, peer) = accepted.expect("a connection");
        assert_eq!(peer, at("::ffff:192.0.2.2", local.port()));
        net.server.sys(|host| {
            assert_eq!(host.getpeername(fd), Ok(peer));
            assert_eq!(host.getsockname(fd), Ok(at("::ffff:192.0.2.1", PORT)));
        });
    }
}

#[test]
fn rcvtimeo_ends_a_blocking_read_and_accept_with_eagain_at_its_instant() {
    let net = Pair::new();
    let (client, _) = net.established();
    let start = net.sim.now();
    let mut reader = net.client.spawn(async move |net| {
        net.setsockopt(client, SocketOption::RcvTimeo(Some(Duration::from_secs(3)))).expect("set");
        (net.read(client, &mut [0; 8]).await, net.now())
    });
    let mut accepter = net.client.spawn(async |net| {
        let fd = net.socket(Domain::Inet, Type::Stream).expect("a descriptor");
        net.setsockopt(fd, SocketOption::RcvTimeo(Some(Duration::from_secs(2)))).expect("set");
        net.listen(fd, 1).expect("listening");
        (net.accept(fd).await.map(drop), net.now())
    });
    net.sim.run_until_idle();
    assert_eq!(reader.try_take(), Some((Err(Errno::EAGAIN), start + Duration::from_secs(3))));
    assert_eq!(accepter.try_take(), Some((Err(Errno::EAGAIN), start + Duration::from_secs(2))));
}

#[test]
fn sndtimeo_ends_a_blocking_write_with_what_was_taken_or_eagain() {
    let net = Pair::new();
    let (client, server) = net.established_with(&[SocketOption::SndBuf(65_536)], &[SocketOption::RcvBuf(65_536)]);
    let start = net.sim.now();
    let mut writer = net.client.spawn(async move |net| {
        net.setsockopt(client, SocketOption::SndTimeo(Some(Duration::from_secs(1)))).expect("set");
        let first = net.write(client, &vec![7; 200_000]).await;
        let second = net.write(client, &[7; 1]).await;
        (first, second, net.now())
    });
    net.sim.run_until(|| writer.is_finished());
    let (first, second, end) = writer.try_take().expect("it has ended");
    // The window is rounded down by its scale of one (RFC 7323, section 2.3).
    let buffers = 65_536 + 65_534;
    assert_eq!((first, second), (Ok(buffers), Err(Errno::EAGAIN)));
    // The first write waits twice, since the override timeout fills the window up to its edge; then the second one.
    let waited = end - start;
    assert!((Duration::from_secs(3)..Duration::from_millis(3500)).contains(&waited), "{waited:?}");
    assert_eq!(net.server.sys(|host| host.fionread(server)), Ok(65_534));
}

#[test]
fn tcp_info_tells_state_options_round_trip_and_segment_sizes() {
    let net = Pair::with(|config| config.congestion = congestion::by_name("none").expect("a built-in controller"));
    let (client, server) = net.established();
    net.client.sys(|host| host.write(client, &[7; 3 * 1448])).expect("taken");
    net.sim.run_for(MILLI);
    let info = net.client.sys(|host| host.tcp_info(client)).expect("connected");
    assert_eq!(info.state, State::Established);
    assert_eq!(info.options, TcpInfo::TIMESTAMPS | TcpInfo::SACK | TcpInfo::WSCALE);
    assert_eq!(info.rtt, 2 * DELAY);
    assert_eq!((info.snd_mss, info.unacked, info.retransmits, info.total_retrans), (1448, 3, 0, 0));
    assert!(info.rto >= Duration::from_millis(200), "{info:?}");
    net.settle();
    let (ours, theirs) = (
        net.client.sys(|host| host.tcp_info(client)).expect("connected"),
        net.server.sys(|host| host.tcp_info(server)).expect("connected"),
    );
    assert_eq!((ours.unacked, theirs.rcv_mss), (0, 1448));
    net.client.sys(|host| host.close(client)).expect("open");
    net.settle();
    assert_eq!(net.server.sys(|host| host.tcp_info(server)).expect("connected").state, State::CloseWait);
}

#[test]
fn tcp_info_counts_retransmissions_after_a_loss() {
    // A tail loss probe would come before the timeout.
    let net = Pair::with(|config| config.tlp = false);
    let (client, server) = net.established();
    let mut lost = 0;
    net.link.fault(&net.client, move |_: Instant, packet: &Packet| {
        let data = IpView::parse(&packet.bytes)
            .and_then(|ip| Segment::parse(&ip))
            .is_ok_and(|segment| !segment.payload.is_empty());
        lost += u32::from(data);
        if data && lost <= 2 { FaultAction::Drop } else { FaultAction::Pass }
    });
    net.client.sys(|host| host.write(client, b"hello")).expect("taken");
    let rto = net.client.sys(|host| host.tcp_info(client)).expect("connected").rto;
    net.sim.run_for(rto + MILLI);
    let info = net.client.sys(|host| host.tcp_info(client)).expect("connected");
    assert_eq!((info.retransmits, info.total_retrans, info.unacked), (1, 1, 1));
    assert_eq!(info.rto, 2 * rto, "backed off");
    net.sim.run_for(2 * rto + Duration::from_millis(100));
    let info = net.client.sys(|host| host.tcp_info(client)).expect("connected");
    assert_eq!((info.retransmits, info.total_retrans, info.unacked), (0, 2, 0));
    assert_eq!(net.server_reads(server), b"hello");
    assert_eq!(net.kinds(), ["P. 5", "P. 5", "P. 5", ". 0"]);
}

#[test]
fn tcp_congestion_takes_the_names_that_the_host_knows_and_others_are_enoent() {
    let own = Algorithm::new("own", "a controller of a user", congestion::Reno::new).expect("a good name");
    let mut config = HostConfig { congestion: own.clone(), ..HostConfig::default() };
    config.algorithms.add(own).expect("a new name");
    let mut host = Host::new(&config);
    let fd = stream(&mut host, &[]);
    assert_get(&host, fd, OptionName::Congestion, SocketOption::Congestion("own".into()));
    for name in ["none", "reno", "cubic", "bbr", "own"] {
        assert_eq!(host.setsockopt(fd, SocketOption::Congestion(name.into())), Ok(()), "{name}");
        assert_get(&host, fd, OptionName::Congestion, SocketOption::Congestion(name.into()));
    }
    for name in ["", "vegas", "CUBIC", "cubic ", "a-name-of-more-than-15-bytes"] {
        assert_eq!(host.setsockopt(fd, SocketOption::Congestion(name.into())), Err(Errno::ENOENT), "{name}");
    }
    assert_get(&host, fd, OptionName::Congestion, SocketOption::Congestion("own".into()));
    assert_eq!(
        Host::new(&HostConfig::default()).config().algorithms.names(),
        "cubic, reno, bbr, none",
        "another host does not know it"
    );
}

#[test]
fn each_socket_has_its_own_controller_and_accepted_ones_that_of_the_listener() {
    let net = Pair::new();
    let (bbr, reno) = (SocketOption::Congestion("bbr".into()), SocketOption::Congestion("reno".into()));
    let (client, server) = net.established_with(&[bbr], &[reno]);
    let name = |from: &tcplab::sim::HostHandle, fd| from.sys(|host| host.getsockopt(fd, OptionName::Congestion));
    assert_eq!([name(&net.client, client), name(&net.server, server)], [Ok(bbr), Ok(reno)]);
    net.client.sys(|host| host.setsockopt(client, reno)).expect("in the middle of a connection");
    assert_eq!(name(&net.client, client), Ok(reno));
    let other = net.client.sys(|host| stream(host, &[]));
    assert_eq!(name(&net.client, other), Ok(SocketOption::Congestion("cubic".into())));
}

#[test]
fn a_name_of_a_controller_ends_after_15_bytes_and_never_inside_a_character() {
    let name = |text: &str| CongestionName::from(text).as_str().to_owned();
    assert_eq!(name("fifteen-bytes-x"), "fifteen-bytes-x");
    assert_eq!(name("fifteen-bytes-xy"), "fifteen-bytes-x");
    assert_eq!(name("fourteen-bytesé"), "fourteen-bytes");
    assert_eq!(CongestionName::exact("fifteen-bytes-xy"), None);
    assert_eq!(format!("{:?} {}", CongestionName::from("bbr"), CongestionName::from("bbr")), "\"bbr\" bbr");
}

#[test]
fn a_datagram_socket_has_a_queue_of_its_own_size_and_no_options_of_tcp() {
    let mut host = Host::new(&HostConfig::default());
    let fd = datagram(&mut host, 53);
    assert_get(&host, fd, OptionName::RcvBuf, SocketOption::RcvBuf(212_992));
    for (name, option) in [
        (OptionName::Cork, SocketOption::Cork(true)),
        (OptionName::Congestion, SocketOption::Congestion("reno".into())),
    ] {
        assert_eq!(host.getsockopt(fd, name), Err(Errno::ENOPROTOOPT));
        assert_eq!(host.setsockopt(fd, option), Err(Errno::ENOPROTOOPT));
    }
}
