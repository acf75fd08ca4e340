//! The network against closed forms and invariants: times to the nanosecond, packets conserved at every hop, harm that
//! is always caught, the same bytes for the same seed.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proptest::prelude::*;
use tcplab::app::{Listen, bulk};
use tcplab::event::{DropReason, Event, Fate, LinkId, Observer};
use tcplab::link::Counters;
use tcplab::net::{Net, UdpSocket};
use tcplab::segment::PacketId;
use tcplab::sim::{HostHandle, Sim};
use tcplab::time::{Duration, Instant};

/// When each datagram, which starts with its number, arrived.
#[derive(Default)]
struct Arrivals {
    at: Vec<(HostNumber, u64)>,
}

type HostNumber = u32;

impl Observer for Arrivals {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        if let Event::Delivered { host, .. } = event {
            self.at.push((host.0, at.as_nanos()));
        }
    }
}

/// Sends datagrams of these lengths (of the whole packet, IPv4) at once.
fn burst(sim: &Sim, from: &HostHandle, to: SocketAddr, lens: Vec<usize>) {
    drop(from.spawn(async move |net| {
        let socket = UdpSocket::bind(&net, "0.0.0.0:0".parse().unwrap()).expect("bound");
        for len in lens {
            socket.send_to(&vec![0; len - 28], to).await.expect("sent");
        }
    }));
    sim.run_until_idle();
}

/// Takes every datagram to port 9 and says nothing.
async fn sink(net: Net) -> std::io::Result<()> {
    let socket = UdpSocket::bind(&net, "0.0.0.0:9".parse().unwrap())?;
    loop {
        socket.recv_from(&mut [0; 2000]).await?;
    }
}

/// The time of so many bytes at so many bits per second, as an exact fraction of nanoseconds, rounded up.
fn transmission(octets: usize, rate: u64) -> u64 {
    (octets as u128 * 8 * 1_000_000_000).div_ceil(u128::from(rate)) as u64
}

#[test]
fn a_burst_through_one_link_arrives_to_the_nanosecond() {
    let sim = Sim::seeded(1);
    let (client, server) = (sim.host("client", "192.0.2.2/24"), sim.host("server", "192.0.2.1/24"));
    sim.link(&client, &server, "rate=7Mbit,delay=12345us");
    let arrivals = sim.observe(Arrivals::default());
    server.spawn_daemon(sink);
    let lens = vec![1500, 28, 333, 1500, 999];
    burst(&sim, &client, "192.0.2.1:9".parse().unwrap(), lens.clone());
    let mut sent = 0;
    let expected: Vec<_> = lens
        .iter()
        .map(|len| {
            sent += len;
            (server.id().0, transmission(sent, 7_000_000) + 12_345_000)
        })
        .collect();
    let seen: Vec<_> = arrivals.borrow().at.iter().filter(|(host, _)| *host == server.id().0).copied().collect();
    assert_eq!(seen, expected);
}

/// Full packets, back to back, over `fast` and then `slow`: each waits for the one before it at the slow link.
#[test]
fn a_burst_through_two_links_queues_at_the_slower_one_to_the_nanosecond() {
    for (first, second) in [(100_000_000_u64, 7_000_000_u64), (7_000_000, 100_000_000), (9_999_991, 9_999_991)] {
        let sim = Sim::seeded(1);
        let (client, server) = (sim.host("client", "10.0.1.2/24"), sim.host("server", "10.0.2.2/24"));
        let router = sim.router("router");
        sim.link(&client, &router, &format!("rate={first}bit,delay=3ms"));
        sim.link(&router, &server, &format!("rate={second}bit,delay=5ms"));
        let arrivals = sim.observe(Arrivals::default());
        server.spawn_daemon(sink);
        burst(&sim, &client, "10.0.2.2:9".parse().unwrap(), vec![1500; 20]);
        // The end of the last transmission on the second link, as nanoseconds and a fraction of the rate.
        let (mut end, mut expected) = (0_u128, Vec::new());
        let rate = u128::from(second);
        for n in 1..=20 {
            let at_router = u128::from(transmission(1500 * n, first) + 3_000_000);
            end = end.max(at_router * rate) + 1500 * 8 * 1_000_000_000;
            expected.push((server.id().0, end.div_ceil(rate) as u64 + 5_000_000));
        }
        let seen: Vec<_> = arrivals.borrow().at.iter().filter(|(host, _)| *host == server.id().0).copied().collect();
        assert_eq!(seen, expected, "{first} then {second}");
    }
}

#[test]
fn a_queue_at_a_router_holds_exactly_its_limit() {
    // A burst of 30 at once into a link with room for 10, the one in transmission included.
    for (limit, expected) in [("10", 10), ("15000B", 10), ("14999B", 9), ("30", 30)] {
        let sim = Sim::seeded(1);
        let (client, server) = (sim.host("client", "10.0.1.2/24"), sim.host("server", "10.0.2.2/24"));
        let router = sim.router("router");
        sim.link(&client, &router, "delay=1ms");
        let link = sim.link(&router, &server, &format!("rate=1Mbit,limit={limit}"));
        burst(&sim, &client, "10.0.2.2:9".parse().unwrap(), vec![1500; 30]);
        let counters = link.counters("router");
        assert_eq!((counters.delivered, counters.dropped), (expected, 30 - expected), "{limit}");
    }
}

/// Follows every packet and counts at every link, router and host.
#[derive(Default)]
struct Account {
    links: BTreeMap<LinkId, Counters>,
    /// Per router: delivered to it, sent on by it, dropped by it.
    routers: BTreeMap<u32, [u64; 3]>,
    /// What was just delivered: a router may also drop an error of its own that has no way to go.
    just: Option<PacketId>,
    harmed: BTreeMap<PacketId, (u32, u32)>,
    digest: u64,
}

impl Observer for Account {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        let link = |account: &mut Self, link, add: fn(&mut Counters)| add(account.links.entry(link).or_default());
        match *event {
            Event::Sent { link: id, host, packet, fate } | Event::Forwarded { link: id, host, packet, fate } => {
                link(self, id, |counters| counters.sent += 1);
                if matches!(event, Event::Forwarded { .. }) {
                    self.routers.get_mut(&host.0).expect("only a router forwards")[1] += 1;
                }
                if let Fate::Corrupt(_) = fate {
                    self.harmed.entry(packet.meta.id).or_default().0 += 1;
                }
            }
            Event::Duplicated { link: id, .. } => link(self, id, |counters| counters.duplicated += 1),
            Event::Delivered { link: id, host, packet } => {
                link(self, id, |counters| counters.delivered += 1);
                self.just = Some(packet.meta.id);
                if let Some(router) = self.routers.get_mut(&host.0) {
                    router[0] += 1;
                }
                for octet in &packet.bytes {
                    self.digest = (self.digest ^ u64::from(*octet) ^ at.as_nanos()).wrapping_mul(0x0100_0000_01b3);
                }
            }
            Event::LinkDropped { link: id, .. } => link(self, id, |counters| counters.dropped += 1),
            Event::StackDropped { host, packet, why } => {
                if let Some(router) = self.routers.get_mut(&host.0).filter(|_| self.just == Some(packet.meta.id)) {
                    router[2] += 1;
                }
                if matches!(why, DropReason::Checksum | DropReason::Malformed | DropReason::Fragment) {
                    self.harmed.entry(packet.meta.id).or_default().1 += 1;
                }
            }
            _ => {}
        }
    }
}

/// A network of routers joined by `joins`, with a host at each router, all of them talking to the next.
fn busy_network(seed: u64, routers: usize, joins: &[(usize, usize, usize)], specs: &[String]) -> (u64, Vec<String>) {
    let sim = Sim::seeded(seed);
    let account = sim.observe(Account::default());
    let spec = |at: usize| specs[at % specs.len()].as_str();
    let names: Vec<_> = (0..routers).map(|n| format!("r{n}")).collect();
    let mut links = Vec::new();
    for name in &names {
        let router = sim.router(name);
        account.borrow_mut().routers.insert(router.id().0, [0; 3]);
    }
    // A chain, so that everybody is reached, and joins across it.
    for at in 1..routers {
        links.push((sim.link(&names[at - 1], &names[at], spec(at)), names[at - 1].clone(), names[at].clone()));
    }
    for (a, b, at) in joins {
        let (a, b) = (a % routers, b % routers);
        if a != b {
            links.push((sim.link(&names[a], &names[b], spec(*at)), names[a].clone(), names[b].clone()));
        }
    }
    let hosts: Vec<_> =
        (0..routers).map(|n| sim.host(&format!("h{n}"), &format!("10.0.{n}.2/24, fd00:{n}::2/64"))).collect();
    for (at, host) in hosts.iter().enumerate() {
        links.push((sim.link(host, &names[at], spec(at + 1)), host.name().to_owned(), names[at].clone()));
    }
    for (at, host) in hosts.iter().enumerate() {
        let (server, version) = (&hosts[(at + 1) % routers], at % 2);
        let to = SocketAddr::new(server.addresses()[version].0, 9);
        server.spawn_daemon(move |net| bulk::receive(net, Listen::new(to)));
        host.spawn_daemon(move |net| bulk::send(net, to, 20_000));
        // Nobody has this address.
        let nobody: SocketAddr = format!("10.0.{}.99:9", (at + 2) % routers).parse().unwrap();
        host.spawn_daemon(async move |net| {
            let socket = UdpSocket::bind(&net, "0.0.0.0:0".parse().unwrap())?;
            for _ in 0..5 {
                socket.send_to(&[0; 600], nobody).await?;
                net.sleep(Duration::from_millis(30)).await;
            }
            std::io::Result::Ok(())
        });
    }
    for _ in 0..20 {
        sim.run_for(Duration::from_millis(500));
        for (link, a, b) in &links {
            assert!([a, b].iter().all(|end| link.counters(end).conserved()), "{link:?}");
        }
    }
    let account = account.borrow();
    for (router, [delivered, forwarded, dropped]) in &account.routers {
        assert_eq!(*delivered, forwarded + dropped, "router {router}");
    }
    let forwarded: u64 = account.routers.values().map(|[_, forwarded, _]| forwarded).sum();
    assert!(forwarded > 0, "nothing was sent on");
    let mut counters = Vec::new();
    for (at, (link, a, b)) in links.iter().enumerate() {
        for end in [a, b] {
            counters.push(format!("{at} {end} {}", link.counters(end)));
        }
    }
    (account.digest, counters)
}

const ITEMS: [&str; 12] = [
    "rate=5Mbit",
    "delay=3ms",
    "jitter=2ms:normal",
    "loss=3%",
    "loss=gemodel:2%:30%",
    "reorder=5%",
    "duplicate=3%",
    "corrupt=2%",
    "limit=6",
    "mtu=1000",
    "down=200ms..900ms",
    "drop=data:2,hold=packet:5:40ms",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn packets_are_conserved_at_every_link_and_router_of_any_network(
        seed: u64,
        routers in 2_usize..6,
        joins in prop::collection::vec((0_usize..6, 0_usize..6, 0_usize..6), 0..4),
        specs in prop::collection::vec(prop::sample::subsequence(&ITEMS[..], 0..5), 1..5),
    ) {
        let lines: Vec<_> = specs
            .iter()
            .map(|items| {
                let twice = items.iter().filter(|item| item.starts_with("loss")).count() == 2;
                let kept = items.iter().filter(|item| !(twice && item.starts_with("loss=3")));
                kept.copied().collect::<Vec<_>>().join(",")
            })
            .collect();
        busy_network(seed, routers, &joins, &lines);
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_in_a_network_of_routers_and_another_seed_others() {
    let specs = ["rate=5Mbit,delay=3ms,jitter=1ms,loss=2%,corrupt=1%", "delay=1ms,loss=gemodel:1%:30%,duplicate=2%"];
    let specs = specs.map(str::to_owned);
    let run = |seed| busy_network(seed, 5, &[(0, 3, 1), (1, 4, 0)], &specs);
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}

#[test]
fn a_flipped_bit_is_always_caught_at_a_router_or_at_the_host_and_the_event_says_so() {
    let sim = Sim::seeded(5);
    let account = sim.observe(Account::default());
    let (client, server) = (sim.host("client", "10.0.1.2/24"), sim.host("server", "10.0.2.2/24"));
    let router = sim.router("router");
    account.borrow_mut().routers.insert(router.id().0, [0; 3]);
    let first = sim.link(&client, &router, "delay=1ms,corrupt=5%");
    sim.link(&router, &server, "delay=1ms");
    let at: SocketAddr = "10.0.2.2:9".parse().unwrap();
    let mut received = server.spawn(move |net| bulk::receive(net, Listen::new(at)));
    client.spawn(move |net| bulk::send(net, at, 3_000_000));
    sim.run_until_idle();
    // The receiver of `bulk` compares every byte.
    assert_eq!(received.try_take().expect("ended").expect("every byte is right"), 3_000_000);
    let account = account.borrow();
    assert!(account.harmed.len() > 100, "{}", account.harmed.len());
    assert!(account.harmed.values().all(|(harmed, caught)| (*harmed, *caught) == (1, 1)), "{:?}", account.harmed);
    assert!(router.dropped() > 0, "a wrong IP header ends at the router");
    assert!(first.counters("client").conserved());
}
