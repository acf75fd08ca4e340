//! The simulator as its users see it: real hosts on real links, a clock that jumps, runs that end, the same packets for
//! the same seed.

use std::net::{IpAddr, SocketAddr};

use crate::lab::{EventLog, lab, octets};
use tcplab::app::{Listen, bulk, echo};
use tcplab::event::{Event, HostEvent, Observer, State};
use tcplab::net::{TcpListener, TcpStream, UdpSocket};
use tcplab::sim::{Reason, Sim};
use tcplab::socket::{Domain, Errno, SocketOption, Type};
use tcplab::time::{Duration, Instant};

const PORT: u16 = 7;

#[test]
fn an_idle_connection_with_keep_alive_costs_a_handful_of_packets_in_a_day() {
    let lab = lab(1, "delay=20ms");
    let address = lab.at(PORT);
    lab.server.spawn_daemon(move |net| echo::server(net, Listen::new(address)));
    lab.sim.limit_events(200);
    lab.run(async move |net| {
        let stream = TcpStream::connect(&net, address).await.expect("connected");
        net.setsockopt(stream.fd().unwrap(), SocketOption::KeepAlive(true)).unwrap();
        net.sleep(Duration::from_hours(23)).await;
        stream.write_all(b"still there?").await.expect("it is");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("it is");
        assert_eq!(&answer, b"still there?");
    });
    // Handshake, one probe every two hours, the question.
    let sent = lab.link.counters("client").sent;
    assert!((2 + 11 + 1..2 + 11 + 8).contains(&sent), "{sent} packets");
    assert_eq!(lab.sim.now().since(Instant::EPOCH).as_secs(), 23 * 3600);
}

#[test]
fn keep_alive_finds_out_that_the_peer_is_gone_after_two_hours_and_eleven_minutes() {
    let lab = lab(1, "delay=20ms");
    let address = lab.at(PORT);
    lab.server.spawn_daemon(move |net| echo::server(net, Listen::new(address)));
    let stream = lab.run(async move |net| {
        let stream = TcpStream::connect(&net, address).await.expect("connected");
        net.setsockopt(stream.fd().unwrap(), SocketOption::KeepAlive(true)).unwrap();
        stream
    });
    lab.sim.link("client", "server", "loss=100%");
    let (error, took) = lab.timed(async move |_| stream.read(&mut [0; 1]).await.expect_err("nobody is there"));
    assert_eq!(tcplab::app::errno(&error), Some(Errno::ETIMEDOUT));
    // tcp(7): 7200 s idle, 9 probes 75 s apart.
    assert_eq!(took.as_secs(), 7200 + 9 * 75);
}

#[test]
fn a_run_to_rest_goes_through_time_wait() {
    let lab = lab(1, "delay=20ms");
    let address = lab.at(PORT);
    let server = lab.server.spawn(async move |net| {
        let listener = TcpListener::bind(&net, address).expect("bound");
        drop(listener.accept().await.expect("accepted"));
    });
    let client = lab.client.spawn(async move |net| {
        let stream = TcpStream::connect(&net, address).await.expect("connected");
        assert_eq!(stream.read(&mut [0; 1]).await.expect("the end"), 0);
    });
    lab.sim.run_until(|| server.is_finished() && client.is_finished());
    let closed = lab.sim.now();
    lab.sim.run_until_idle();
    let rest = lab.sim.now().since(closed);
    assert!((60_000..60_100).contains(&rest.as_millis()), "{rest:?}");
}

#[test]
fn a_run_ends_at_its_instant_and_a_condition_stops_it_between_two_events() {
    let lab = lab(1, "delay=20ms");
    let address = lab.at(PORT);
    lab.server.spawn_daemon(move |net| echo::server(net, Listen::new(address)));
    let called = lab.client.spawn(async move |net| TcpStream::connect(&net, address).await.expect("connected"));
    lab.sim.run_for(Duration::from_millis(39));
    assert!(!called.is_finished());
    assert_eq!(lab.sim.now(), Instant::from_millis(39));
    lab.sim.run_until(Instant::from_millis(40));
    assert!(called.is_finished(), "one round trip");
    let link = &lab.link;
    lab.sim.run_until(|| link.counters("client").delivered == 2);
    assert_eq!(lab.sim.now(), Instant::from_millis(60), "the ACK of the SYN|ACK");
}

#[test]
fn programs_that_talk_for_ever_are_given_up_with_the_names_of_those_who_wait() {
    let lab = lab(1, "delay=1ms");
    let address = lab.at(PORT);
    lab.server.spawn_daemon(move |net| echo::server(net, Listen::new(address)));
    drop(lab.client.spawn(async move |net| {
        let stream = TcpStream::connect(&net, address).await.expect("connected");
        let mut ball = [7];
        loop {
            stream.write_all(&ball).await.expect("there");
            stream.read_exact(&mut ball).await.expect("there");
        }
    }));
    lab.sim.limit_events(5_000);
    let gave_up = lab.sim.try_run_until_idle().expect_err("they do not stop");
    assert_eq!(gave_up.reason, Reason::Events(5_000));
    for part in [
        "5000 events handled and no rest",
        "host server: ",
        "task 1 \"server daemon 1\": accept on 3 since ",
        "task 2 \"echo\": read on 4 since ",
        "task 1 \"client program 2\": read on 3 since ",
        "link client>server: sent ",
    ] {
        assert!(gave_up.to_string().contains(part), "{part} is missing:\n{gave_up}");
    }
}

#[test]
fn sockets_beyond_the_total_limit_of_memory_end_the_run_and_those_at_it_do_not() {
    let run = |limit: usize| {
        let lab = lab(1, "");
        drop(lab.client.spawn(async |net| {
            for _ in 0..10 {
                net.socket(Domain::Inet, Type::Datagram).expect("a descriptor");
            }
            for _ in 0..200 {
                net.sleep(Duration::from_millis(1)).await;
            }
        }));
        lab.sim.limit_total_memory(limit);
        lab.sim.try_run_until_idle()
    };
    assert!(run(10 * Sim::DESCRIPTOR_BYTES).is_ok());
    let gave_up = run(10 * Sim::DESCRIPTOR_BYTES - 1).expect_err("one byte less");
    assert_eq!(gave_up.reason, Reason::TotalMemory(10 * Sim::DESCRIPTOR_BYTES - 1));
    assert!(gave_up.to_string().contains("take more than 30719 bytes (Sim::limit_total_memory)"), "{gave_up}");
}

#[test]
fn a_program_that_sleeps_too_long_or_waits_in_vain_is_named() {
    let lab = lab(1, "");
    let address = lab.at(PORT);
    drop(lab.client.spawn(async |net| net.sleep(Duration::from_hours(25)).await));
    let gave_up = lab.sim.try_run_until_idle().expect_err("beyond a day");
    assert_eq!(gave_up.reason, Reason::VirtualTime(Sim::LIMIT_TIME));
    assert!(gave_up.who.contains("task 1 \"client program 1\": sleep until 90000.000000000"), "{gave_up}");
    lab.sim.limit_time(Duration::from_hours(26));
    lab.sim.run_until_idle();

    drop(lab.server.spawn(async move |net| TcpListener::bind(&net, address).expect("bound").accept().await.map(drop)));
    let gave_up = lab.sim.try_run_until_idle().expect_err("nobody comes");
    assert_eq!(gave_up.reason, Reason::Unfinished(vec!["server program 2".to_owned()]));
    assert!(gave_up.who.contains("accept on 3 since 90000.000000000"), "{gave_up}");
}

/// Everything that happens while 200 kB go over a bad link.
fn story(seed: u64, observed: bool) -> (Vec<String>, String) {
    let lab = lab(seed, "rate=20Mbit,delay=5ms,loss=3%,reorder=2%,duplicate=2%,corrupt=1%");
    let log = observed.then(|| lab.sim.observe(EventLog::default()));
    let address = lab.at_v6(bulk::PORT);
    let mut received = lab.server.spawn(move |net| bulk::receive(net, Listen::new(address)));
    let mut sent = lab.client.spawn(move |net| bulk::send(net, address, 200_000));
    lab.sim.run_until_idle();
    sent.try_take().expect("ended").expect("sent");
    assert_eq!(received.try_take().expect("ended").expect("received"), 200_000);
    let counters = format!("{} {}", lab.link.counters("client"), lab.link.counters("server"));
    (log.map(|log| log.borrow().0.clone()).unwrap_or_default(), counters)
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_seed_other_packets() {
    let (events, counters) = story(1, true);
    assert!(events.len() > 500, "{}", events.len());
    assert_eq!(story(1, true), (events.clone(), counters));
    let (others, _) = story(2, true);
    let packets = |events: &[String]| -> Vec<String> {
        events.iter().filter(|line| line.contains("Sent")).take(3).cloned().collect()
    };
    assert_ne!(packets(&events), packets(&others), "ports and sequence numbers already differ");
}

#[test]
fn to_be_observed_changes_nothing() {
    assert_eq!(story(1, true).1, story(1, false).1);
}

/// The states of a host and its calls, in order.
#[derive(Default)]
struct Story(Vec<String>);

impl Observer for Story {
    fn on_event(&mut self, _: Instant, event: &Event<'_>) {
        match *event {
            Event::Host { host, event: HostEvent::State { from, to, .. } } => {
                self.0.push(format!("{} {from} to {to}", host.0));
            }
            Event::Host { host, event: HostEvent::Call { fd, call, result, .. } } => {
                self.0.push(format!("{} {call}({fd}) = {result:?}", host.0));
            }
            _ => {}
        }
    }
}

#[test]
fn calls_and_states_come_as_events() {
    let lab = lab(1, "delay=10ms");
    let story = lab.sim.observe(Story::default());
    let address = lab.at(PORT);
    let listener = lab.server.sys(|host| {
        let fd = host.socket(Domain::Inet, Type::Stream)?;
        host.bind(fd, address)?;
        host.listen(fd, 1).map(|()| fd)
    });
    let listener = listener.expect("it listens");
    lab.run(async move |net| {
        let fd = net.socket(Domain::Inet, Type::Stream).unwrap();
        net.connect(fd, address).await.unwrap();
        net.close(fd).unwrap();
    });
    lab.sim.run_for(Duration::from_secs(1));
    lab.server.sys(|host| {
        let (fd, _) = host.accept(listener).expect("one waits");
        assert_eq!(host.read(fd, &mut [0; 1]), Ok(0));
        host.close(fd).expect("open");
    });
    lab.sim.run_for(Duration::from_secs(1));

    let all = story.borrow().0.clone();
    let of = |host: &str| -> Vec<String> {
        all.iter().filter_map(|line| line.strip_prefix(host)).map(str::to_owned).collect()
    };
    let states = |lines: Vec<String>| lines.into_iter().filter(|line| line.contains(" to ")).collect::<Vec<_>>();
    let calls = |lines: Vec<String>| lines.into_iter().filter(|line| line.contains('(')).collect::<Vec<_>>();
    let name = |state: State| state.to_string();
    assert_eq!(
        states(of("1 ")),
        [
            "CLOSED to SYN-SENT",
            "SYN-SENT to ESTABLISHED",
            "ESTABLISHED to FIN-WAIT-1",
            "FIN-WAIT-1 to FIN-WAIT-2",
            "FIN-WAIT-2 to TIME-WAIT"
        ]
    );
    assert_eq!(states(of("0 ")).last(), Some(&format!("{} to {}", name(State::LastAck), name(State::Closed))));
    assert_eq!(
        calls(of("1 ")),
        ["socket(3) = Ok(3)", "connect(3) = Err(\"EINPROGRESS\")", "connect(3) = Ok(0)", "close(3) = Ok(0)"]
    );
    assert_eq!(
        calls(of("0 ")),
        [
            "socket(3) = Ok(3)",
            "bind(3) = Ok(0)",
            "listen(3) = Ok(0)",
            "accept(3) = Ok(4)",
            "read(4) = Ok(0)",
            "close(4) = Ok(0)"
        ]
    );
}

#[test]
fn one_listener_serves_both_ip_versions_unless_it_is_told_not_to() {
    let lab = lab(1, "delay=1ms");
    let [v4, v6] = lab.client_ips();
    let (at, at_v6) = (lab.at(PORT), lab.at_v6(PORT));
    let wildcard = SocketAddr::from(([0; 8], PORT));
    let mut peers = lab.server.spawn(async move |net| {
        let listener = TcpListener::bind(&net, wildcard)?;
        let first = listener.accept().await?.1.ip();
        let second = listener.accept().await?.1.ip();
        std::io::Result::Ok([first, second])
    });
    lab.run(async move |net| {
        TcpStream::connect(&net, at).await.expect("IPv4");
        TcpStream::connect(&net, at_v6).await.expect("IPv6");
    });
    lab.sim.run_until_idle();
    let IpAddr::V4(v4) = v4 else { panic!("the first address is IPv4") };
    assert_eq!(peers.try_take().expect("ended").expect("accepted"), [IpAddr::V6(v4.to_ipv6_mapped()), v6]);

    lab.server.sys(|host| {
        let fd = host.socket(Domain::Inet6, Type::Stream).unwrap();
        host.setsockopt(fd, SocketOption::V6Only(true)).unwrap();
        host.bind(fd, wildcard).unwrap();
        host.listen(fd, 1).unwrap();
    });
    lab.run(async move |net| {
        let error = TcpStream::connect(&net, at).await.expect_err("it listens on IPv6 only");
        assert_eq!(tcplab::app::errno(&error), Some(Errno::ECONNREFUSED));
        TcpStream::connect(&net, at_v6).await.expect("IPv6");
    });
}

#[test]
fn datagrams_of_both_ip_versions_reach_one_socket() {
    let lab = lab(1, "delay=1ms");
    let (at, at_v6) = (lab.at(PORT), lab.at_v6(PORT));
    lab.server.spawn_daemon(move |net| echo::udp_server(net, SocketAddr::from(([0; 8], PORT))));
    lab.run(async move |net| {
        for (own, server) in [("0.0.0.0:0", at), ("[::]:0", at_v6)] {
            let socket = UdpSocket::bind(&net, own.parse().unwrap()).expect("bound");
            socket.send_to(b"ping", server).await.expect("sent");
            let mut buf = [0; 16];
            assert_eq!(socket.recv_from(&mut buf).await.expect("echoed"), (4, server));
            assert_eq!(&buf[..4], b"ping");
        }
    });
}

#[test]
fn a_link_can_differ_by_direction_and_change_while_packets_are_under_way() {
    let lab = lab(1, "delay=10ms");
    lab.sim.link("client", "server", "server>client:delay=90ms");
    let address = lab.at(PORT);
    lab.server.spawn_daemon(move |net| echo::server(net, Listen::new(address)));
    let ((), took) = lab.timed(async move |net| drop(TcpStream::connect(&net, address).await.expect("connected")));
    assert_eq!(took, Duration::from_millis(100));
    assert_eq!(lab.link.spec("client").delay, Duration::from_millis(10));
    lab.sim.link("client", "server", "delay=1ms");
    let ((), took) = lab.timed(async move |net| drop(TcpStream::connect(&net, address).await.expect("connected")));
    assert_eq!(took, Duration::from_millis(2));
}

#[test]
fn a_fault_takes_just_the_packet_that_it_is_written_for() {
    let lab = lab(1, "delay=10ms");
    let mut seen = 0;
    lab.link.fault("client", move |_: Instant, _: &tcplab::segment::Packet| {
        seen += 1;
        if seen == 1 { tcplab::link::FaultAction::Drop } else { tcplab::link::FaultAction::Pass }
    });
    let address = lab.at(PORT);
    let message = octets(3_000);
    let expected = message.clone();
    lab.server.spawn_daemon(move |net| echo::server(net, Listen::new(address)));
    let (echoed, took) = lab.timed(move |net| echo::client(net, address, message));
    assert!(echoed.expect("echoed") == expected);
    assert_eq!(lab.link.counters("client").dropped, 1);
    assert!(took >= Duration::from_secs(1), "the SYN was sent again after an RTO of 1 s (RFC 6298): {took:?}");
}
