//! Routers: packets find their way by the longest prefix over the fewest hops, lose one of their TTL at each, and what
//! cannot go on is told of by ICMP, or not.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::lab::octets;
use tcplab::app::{Listen, bulk, echo, errno};
use tcplab::event::{DropReason, Event, Observer};
use tcplab::net::{TcpStream, UdpSocket};
use tcplab::segment::{IpView, Protocol};
use tcplab::sim::{HostHandle, Sim};
use tcplab::socket::{Errno, SocketOption};
use tcplab::time::{Duration, Instant};
use tcplab::view::{Ladder, Style};

/// Wide enough for every comment of these tests.
const WIDE: Style = Style { width: 140, color: false, ascii: false, all: false };

/// Drops at hosts and routers, and ICMP that was sent.
#[derive(Default)]
struct Told {
    dropped: Vec<(u32, DropReason)>,
    icmp: Vec<String>,
}

impl Observer for Told {
    fn on_event(&mut self, _: Instant, event: &Event<'_>) {
        match *event {
            Event::StackDropped { host, why, .. } => self.dropped.push((host.0, why)),
            Event::Sent { packet, .. } => {
                let ip = IpView::parse(&packet.bytes).expect("a packet");
                assert!(ip.checksums_ok(), "what is sent is right");
                if matches!(ip.protocol, Protocol::Icmp | Protocol::Icmpv6) {
                    self.icmp.push(format!("{} {} {}", ip.src, ip.payload[0], ip.payload[1]));
                }
            }
            _ => {}
        }
    }
}

/// `client - r1 - r2 - server`, 1 ms each.
struct Path {
    sim: Sim,
    client: HostHandle,
    server: HostHandle,
    told: Rc<RefCell<Told>>,
}

fn path(last_link: &str) -> Path {
    let sim = Sim::seeded(7);
    let told = sim.observe(Told::default());
    let client = sim.host("client", "10.0.1.2/24, fd01::2/64");
    let (r1, r2) = (sim.router("r1"), sim.router("r2"));
    let server = sim.host("server", "10.0.2.2/24, fd02::2/64");
    sim.link(&client, &r1, "delay=1ms");
    sim.link(&r1, &r2, "delay=1ms");
    sim.link("r2", "server", last_link);
    Path { sim, client, server, told }
}

impl Path {
    fn run<T: 'static>(&self, program: impl AsyncFnOnce(tcplab::net::Net) -> T + 'static) -> T {
        let mut handle = self.client.spawn(program);
        self.sim.run_until(|| handle.is_finished());
        handle.try_take().expect("it has ended")
    }

    fn connect(&self, to: &str) -> (io::Result<()>, Duration) {
        let (to, began) = (to.parse().expect("an address and a port"), self.sim.now());
        let result = self.run(async move |net| TcpStream::connect(&net, to).await.map(drop));
        (result, self.sim.now().since(began))
    }
}

#[test]
fn a_stream_crosses_two_routers_in_both_ip_versions_and_arrives_whole() {
    let path = path("delay=1ms,loss=2%,duplicate=1%,corrupt=1%");
    for (port, address) in (7..).zip(path.server.addresses()) {
        let at = SocketAddr::new(address.0, port);
        path.server.spawn_daemon(move |net| echo::server(net, Listen::new(at)));
        let message = octets(100_000);
        let echoed = path.run(move |net| echo::client(net, at, message)).expect("echoed");
        assert!(echoed == octets(100_000));
    }
}

#[test]
fn a_round_trip_over_three_links_takes_the_sum_of_their_delays() {
    let path = path("delay=1ms");
    path.server.spawn_daemon(|net| echo::server(net, Listen::new("10.0.2.2:7".parse().unwrap())));
    let (result, took) = path.connect("10.0.2.2:7");
    assert_eq!((result.is_ok(), took), (true, Duration::from_millis(6)));
}

#[test]
fn each_router_takes_one_from_the_ttl_and_tells_when_it_is_over() {
    let path = path("delay=1ms");
    path.server.spawn_daemon(|net| echo::udp_server(net, "[::]:7".parse().unwrap()));
    for (server, from) in
        [("10.0.2.2:7", ["198.18.0.1 11 0", "198.18.0.2 11 0"]), ("[fd02::2]:7", ["2001:2::1 3 0", "2001:2::2 3 0"])]
    {
        let server: SocketAddr = server.parse().unwrap();
        let ask = async move |net: tcplab::net::Net, ttl| {
            let own = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(&net, own.parse().unwrap())?;
            net.setsockopt(socket.fd().unwrap(), SocketOption::Ttl(ttl))?;
            socket.connect(server)?;
            socket.send(b"who is there?").await?;
            socket.recv(&mut [0; 20]).await
        };
        for (ttl, from) in (1..).zip(from) {
            let error = path.run(async move |net| ask(net, ttl).await).expect_err("it does not get so far");
            assert_eq!(errno(&error), Some(Errno::EHOSTUNREACH), "TTL {ttl}");
            assert_eq!(path.told.borrow_mut().icmp.split_off(0), [from]);
        }
        assert_eq!(path.run(async move |net| ask(net, 3).await).expect("it gets there"), 13);
    }
    let expected = [0, 1, 0, 1].map(|router| (router + 1, DropReason::TtlExceeded));
    assert_eq!(path.told.borrow().dropped, expected);
}

#[test]
fn an_address_that_nobody_has_is_unreachable_and_so_is_a_network_that_is_nowhere() {
    let path = path("delay=1ms");
    let errno_of = |to| {
        let (result, took) = path.connect(to);
        (errno(&result.expect_err("unreachable")), took.as_millis())
    };
    // The last router knows the network; the first knows that there is none.
    assert_eq!(errno_of("10.0.2.9:7"), (Some(Errno::EHOSTUNREACH), 4));
    assert_eq!(errno_of("10.0.9.9:7"), (Some(Errno::ENETUNREACH), 2));
    assert_eq!(errno_of("[fd02::9]:7"), (Some(Errno::EHOSTUNREACH), 4));
    assert_eq!(errno_of("[fd09::9]:7"), (Some(Errno::ENETUNREACH), 2));
    assert_eq!(path.told.borrow().icmp, ["198.18.0.2 3 1", "198.18.0.1 3 0", "2001:2::2 1 3", "2001:2::1 1 0"]);
    let unknown = [(2, DropReason::HostUnreachable), (1, DropReason::NoRoute)];
    assert_eq!(path.told.borrow().dropped, [unknown, unknown].concat());
}

#[test]
fn a_link_that_loses_everything_is_silent_and_connect_times_out() {
    let path = path("loss=100%");
    let (result, took) = path.connect("10.0.2.2:7");
    assert_eq!(errno(&result.expect_err("nobody answers")), Some(Errno::ETIMEDOUT));
    assert!(took >= Duration::from_mins(1), "{took:?}");
    assert!(path.told.borrow().icmp.is_empty());
}

/// A transfer of full segments over a last link that takes less; how often the router said so.
fn too_big(silent: bool, mtu: u16) -> (usize, usize, u64) {
    let path = path(&format!("delay=1ms,mtu={mtu}"));
    let at: SocketAddr = "10.0.2.2:9".parse().unwrap();
    let r2 = path.sim.find_router("r2").expect("a router");
    r2.set_icmp(!silent);
    let received = path.server.spawn(move |net| bulk::receive(net, Listen::new(at)));
    drop(path.client.spawn(move |net| bulk::send(net, at, 10_000)));
    path.sim.run_for(Duration::from_secs(20));
    assert!(received.is_finished(), "path MTU discovery finds what passes, also in silence");
    let told = path.told.borrow();
    assert!(told.icmp.iter().all(|line| line == "198.18.0.2 3 4"), "{:?}", told.icmp);
    let too_big = told.dropped.iter().filter(|drop| **drop == (2, DropReason::TooBig)).count();
    (told.icmp.len(), too_big, r2.dropped())
}

#[test]
fn a_packet_too_big_for_the_next_link_is_told_of_unless_the_router_is_a_black_hole() {
    assert_eq!(too_big(false, 1500), (0, 0, 0));
    let (told, dropped, counted) = too_big(false, 1499);
    // Of the initial window six segments are full; the reports about the first stop the rest.
    assert!(dropped == 6 && told == dropped && counted == dropped as u64, "{told} {dropped} {counted}");
    let (told, dropped, _) = too_big(true, 1499);
    assert!(told == 0 && (6..10).contains(&dropped), "{told} {dropped}");
}

#[test]
fn the_next_connection_to_a_destination_uses_the_path_mtu_that_was_reported_for_ten_minutes() {
    let path = path("delay=1ms,mtu=1400");
    let at: SocketAddr = "10.0.2.2:9".parse().unwrap();
    let too_big = || path.told.borrow().dropped.iter().filter(|drop| **drop == (2, DropReason::TooBig)).count();
    let transfer = || {
        let received = path.server.spawn(move |net| bulk::receive(net, Listen::new(at)));
        let sent = path.client.spawn(move |net| bulk::send(net, at, 50_000));
        path.sim.run_for(Duration::from_mins(2));
        assert!(received.is_finished() && sent.is_finished());
    };
    transfer();
    let first = too_big();
    assert!(first > 0);
    transfer();
    assert_eq!(too_big(), first, "no segment of the second connection is too large");
    path.sim.run_for(Duration::from_mins(10));
    transfer();
    assert!(too_big() > first, "after ten minutes the MTU of the link is tried again");
}

#[test]
fn a_thousand_hosts_behind_one_router_reach_one_server() {
    let sim = Sim::seeded(7);
    let router = sim.router("router");
    let server = sim.host("server", "10.9.0.1/16");
    sim.link(&router, &server, "delay=1ms");
    let at: SocketAddr = "10.9.0.1:7".parse().unwrap();
    server.spawn_daemon(move |net| echo::udp_server(net, at));
    let clients = (0..1_000).map(|n| {
        let client = sim.host(&format!("client{n}"), &format!("10.1.{}.{}/16", n / 250, n % 250 + 1));
        sim.link(&client, &router, "delay=1ms");
        client.spawn(async move |net| {
            let socket = UdpSocket::bind(&net, "0.0.0.0:0".parse().unwrap())?;
            socket.send_to(b"ping", at).await?;
            socket.recv_from(&mut [0; 9]).await
        })
    });
    let clients: Vec<_> = clients.collect();
    sim.run_until_idle();
    assert!(clients.into_iter().all(|mut client| matches!(client.try_take(), Some(Ok((4, from))) if from == at)));
    assert_eq!((router.forwarded(), router.dropped()), (2_000, 0));
    assert_eq!(sim.now(), Instant::from_millis(4));
}

#[test]
fn a_new_link_is_a_new_way() {
    let path = path("delay=50ms");
    path.server.spawn_daemon(|net| echo::server(net, Listen::new("10.0.2.2:7".parse().unwrap())));
    assert_eq!(path.connect("10.0.2.2:7").1, Duration::from_millis(104));
    path.sim.link("r1", "server", "delay=2ms");
    assert_eq!(path.connect("10.0.2.2:7").1, Duration::from_millis(6));
}

#[test]
fn a_ladder_shows_each_segment_once_and_what_befell_it_behind_a_router() {
    let path = path("delay=1ms,mtu=1000");
    let ladder = path.sim.observe(Ladder::new());
    ladder.borrow_mut().name_hosts([(path.sim.find_router("r2").unwrap().id(), "r2".to_owned())]);
    let at: SocketAddr = "10.0.2.2:9".parse().unwrap();
    drop(path.server.spawn(move |net| bulk::receive(net, Listen::new(at))));
    drop(path.client.spawn(move |net| bulk::send(net, at, 2_000)));
    path.sim.run_for(Duration::from_millis(100));
    let text = ladder.borrow().draw(&WIDE);
    assert_eq!(text.matches("── SYN 0:1").count(), 1, "{text}");
    assert!(text.contains("[behind r2: lost: too-big]") && text.contains("┼─"), "{text}");
    let lost = text.lines().find(|line| line.contains('✗')).expect("an arrow that does not arrive");
    assert!(lost.rfind('┼') < lost.find('✗') && !lost.contains("✗│"), "behind both routers: {text}");
}

#[test]
fn a_ladder_says_what_a_later_link_did_to_a_segment() {
    let path = path("delay=1ms,drop=data:1");
    let ladder = path.sim.observe(Ladder::new());
    ladder.borrow_mut().name_hosts([(path.sim.find_router("r2").unwrap().id(), "r2".to_owned())]);
    let at: SocketAddr = "10.0.2.2:9".parse().unwrap();
    drop(path.server.spawn(move |net| bulk::receive(net, Listen::new(at))));
    drop(path.client.spawn(move |net| bulk::send(net, at, 500)));
    path.sim.run_for(Duration::from_secs(3));
    let text = ladder.borrow().draw(&WIDE);
    let lines: Vec<_> = text.lines().collect();
    let flat = text.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("[behind r2: lost: scripted]"), "{text}");
    let said = "[behind r2:";
    let said = lines.iter().position(|line| line.contains(said)).unwrap_or_else(|| panic!("{text}"));
    let arrow = lines[..said].iter().rfind(|line| line.contains("✗ ")).expect("an arrow that does not arrive");
    assert!(arrow.contains("ack 1 win 65408 (500)"), "{text}");
    assert!(text.contains("tail loss probe") && text.contains("retransmission of 1:501 and FIN"), "{text}");
}

#[test]
fn the_errors_of_routers_name_what_is_wrong() {
    let sim = Sim::seeded(7);
    let router = sim.router("r");
    assert!(sim.find("r").is_none() && sim.find_router("r").is_some_and(|found| found.id() == router.id()));
    let error = sim.try_router("r").expect_err("taken").to_string();
    assert_eq!(error, "`r`: there is a host or router of that name already");
    assert!(sim.try_router("a>b").expect_err("wrong").to_string().starts_with("`a>b`: a name is not empty"));
    assert_eq!(
        sim.try_link("r", "s", "").expect_err("no s").to_string(),
        "there is no host or router `s`; there are r"
    );
}
