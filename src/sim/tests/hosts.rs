//! The loop with real hosts: programs, daemons, calls between runs, a partition, and runs that cannot end.

use core::net::SocketAddr;

use super::fake::Seen;
use crate::link::FaultAction;
use crate::net::{JoinHandle, TcpListener, TcpStream};
use crate::segment::{IpView, Packet, Segment};
use crate::sim::{HostHandle, LinkHandle, Reason, Sim};
use crate::socket::{Domain, Type};
use crate::time::{Duration, Instant};

/// client and server, and an echo server that serves without end.
fn pair(seed: u64, line: &str) -> (Sim, HostHandle, LinkHandle, SocketAddr) {
    let sim = Sim::seeded(seed);
    let server = sim.host("server", "192.0.2.1/24");
    let client = sim.host("client", "192.0.2.2/24");
    let link = sim.link(&client, &server, line);
    let addr = SocketAddr::new(server.address(), 7);
    server.spawn_daemon(async move |net| {
        let listener = TcpListener::bind(&net, addr).expect("the port is free");
        loop {
            let (stream, _) = listener.accept().await.expect("a listener goes on");
            net.spawn(async move {
                let mut bytes = Vec::new();
                if stream.read_to_end(&mut bytes).await.is_ok() {
                    stream.write_all(&bytes).await.expect("the client still reads");
                }
            });
        }
    });
    (sim, client, link, addr)
}

fn echo(client: &HostHandle, addr: SocketAddr, len: usize) -> JoinHandle<usize> {
    client.spawn(async move |net| {
        let stream = TcpStream::connect(&net, addr).await.expect("the server listens");
        stream.write_all(&vec![0x5a; len]).await.expect("the server reads");
        stream.shutdown_write().expect("still open");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("the echo comes back");
        bytes.len()
    })
}

#[test]
fn bytes_come_back_over_a_bad_link_and_the_same_seed_gives_the_same_events() {
    let run = |seed| {
        let (sim, client, link, addr) =
            pair(seed, "rate=10Mbit,delay=5ms,loss=3%,reorder=3%,duplicate=3%,corrupt=1%,limit=20");
        let seen = sim.observe(Seen::default());
        let mut echoed = echo(&client, addr, 200_000);
        sim.run_until_idle();
        assert_eq!(echoed.try_take(), Some(200_000));
        let counters = link.counters("client");
        assert!(counters.conserved() && counters.in_flight == 0 && counters.dropped > 0, "{counters}");
        seen.take().0
    };
    let events = run(1);
    assert_eq!(events, run(1));
    assert_ne!(events, run(2));
}

#[test]
fn a_scripted_fault_costs_one_retransmission_timeout() {
    let (sim, client, link, addr) = pair(7, "delay=1ms");
    let mut first = true;
    link.fault("server", move |_: Instant, packet: &Packet| {
        let is_syn = IpView::parse(&packet.bytes).is_ok_and(|ip| Segment::parse(&ip).is_ok_and(|tcp| tcp.is_syn()));
        if is_syn && core::mem::replace(&mut first, false) { FaultAction::Drop } else { FaultAction::Pass }
    });
    let echoed = echo(&client, addr, 10);
    sim.run_until(|| echoed.is_finished());
    assert!((Instant::from_secs(1)..Instant::from_secs(2)).contains(&sim.now()), "{}", sim.now());
    assert_eq!(link.counters("server").dropped, 1);
}

#[test]
fn a_partition_is_a_change_of_the_link_and_heals() {
    let (sim, client, link, addr) = pair(7, "delay=1ms");
    sim.link("client", "server", "client>server:delay=1ms,loss=100%");
    let mut echoed = echo(&client, addr, 10);
    sim.run_for(Duration::from_secs(5));
    assert_eq!((sim.now(), echoed.is_finished()), (Instant::from_secs(5), false));
    assert_eq!(link.counters("client").delivered, 0);
    assert_eq!(link.spec("server").to_string(), "delay=1ms");
    sim.link("server", "client", "delay=1ms");
    sim.run_until_idle();
    assert_eq!(echoed.try_take(), Some(10));
}

#[test]
fn a_program_that_waits_for_ever_is_named_and_a_daemon_is_not() {
    let (sim, client, ..) = pair(7, "");
    sim.run_until_idle();
    client.spawn(async move |net| {
        let listener = TcpListener::bind(&net, SocketAddr::new("0.0.0.0".parse().expect("an address"), 9));
        listener.expect("the port is free").accept().await.map(|_| ()).expect("no client connects");
    });
    let gave_up = sim.try_run_until_idle().expect_err("no client connects");
    assert!(
        matches!(&gave_up.reason, Reason::Unfinished(programs) if programs[..] == ["client program 2"]),
        "{gave_up}"
    );
    let text = gave_up.to_string();
    assert!(text.contains("\"client program 2\": accept on 3"), "{text}");
    assert!(text.contains("\"server daemon 1\": accept on 3"), "{text}");
}

#[test]
fn calls_between_runs_are_made_at_the_present_instant() {
    let (sim, client, _, addr) = pair(7, "delay=10ms");
    sim.run_for(Duration::from_secs(3));
    let fd = client.sys(|host| {
        assert_eq!(host.now(), Instant::from_secs(3));
        let fd = host.socket(Domain::Inet, Type::Stream).expect("a descriptor");
        host.connect(fd, addr).expect_err("under way");
        fd
    });
    sim.run_for(Duration::from_millis(20));
    assert_eq!(client.sys(|host| host.getpeername(fd)), Ok(addr));
    assert_eq!(sim.find("client").map(|found| found.id()), Some(client.id()));
}
