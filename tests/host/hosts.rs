//! What can be set for each host of a simulation, and that it has an effect: congestion control, buffers, delayed ACKs,
//! Nagle, keep-alive, backlog.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use tcplab::app::{Listen, bulk};
use tcplab::congestion;
use tcplab::event::{Event, HostId, Observer};
use tcplab::net::{TcpListener, TcpStream};
use tcplab::segment::{IpView, Segment};
use tcplab::sim::{HostHandle, Sim};
use tcplab::socket::{Domain, Errno, HostConfig, OptionName, SocketOption, SynCookies, Type};
use tcplab::time::{Duration, Instant};

/// When each segment was sent, by whom, with how many bytes of data, and whether it is a SYN.
#[derive(Default)]
struct Segments(Vec<(Instant, HostId, usize, bool)>);

impl Observer for Segments {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        if let Event::Sent { host, packet, .. } = event
            && let Ok(segment) = IpView::parse(&packet.bytes).and_then(|ip| Segment::parse(&ip))
        {
            self.0.push((at, *host, segment.payload.len(), segment.is_syn()));
        }
    }
}

struct Pair {
    sim: Sim,
    client: HostHandle,
    server: HostHandle,
    seen: Rc<RefCell<Segments>>,
    at: SocketAddr,
}

fn pair(client: impl FnOnce(&mut HostConfig), server: impl FnOnce(&mut HostConfig)) -> Pair {
    let sim = Sim::seeded(1);
    let seen = sim.observe(Segments::default());
    let client = sim.host_with("client", "192.0.2.2/24", client);
    let server = sim.host_with("server", "192.0.2.1/24", server);
    sim.link("client", "server", "delay=20ms");
    let at = SocketAddr::new(server.address(), 9);
    Pair { sim, client, server, seen, at }
}

impl Pair {
    fn of(&self, host: &HostHandle) -> Vec<(u128, usize)> {
        let began = |at: &Instant| at.since(Instant::EPOCH).as_millis();
        self.seen
            .borrow()
            .0
            .iter()
            .filter(|seen| seen.1 == host.id())
            .map(|(at, _, len, _)| (began(at), *len))
            .collect()
    }

    /// The client writes two small pieces, one right after the other; the server reads.
    fn two_writes(&self) {
        let at = self.at;
        self.server.spawn_daemon(move |net| bulk::receive(net, Listen::new(at)));
        self.write_twice();
    }

    /// The same to a program that reads nothing: where something is read, small segments are acknowledged then.
    fn two_writes_unread(&self) {
        let at = self.at;
        self.server.spawn_daemon(async move |net| {
            let accepted = TcpListener::bind(&net, at)?.accept().await?;
            net.sleep(Duration::from_hours(1)).await;
            drop(accepted);
            std::io::Result::Ok(())
        });
        self.write_twice();
    }

    fn write_twice(&self) {
        let at = self.at;
        self.client.spawn_daemon(async move |net| {
            let stream = TcpStream::connect(&net, at).await?;
            stream.write_all(&[0, 1, 2]).await?;
            net.sleep(Duration::from_millis(1)).await;
            stream.write_all(&[3, 4]).await?;
            net.sleep(Duration::from_hours(1)).await;
            std::io::Result::Ok(())
        });
        self.sim.run_for(Duration::from_millis(500));
    }
}

#[test]
fn nagle_holds_a_small_segment_back_until_the_first_is_acknowledged_unless_the_host_has_nodelay() {
    let data = |nodelay| {
        let pair = pair(|host| host.nodelay = nodelay, |host| host.ack_delay = None);
        pair.two_writes();
        pair.of(&pair.client).into_iter().filter(|(_, len)| *len > 0).collect::<Vec<_>>()
    };
    assert_eq!(data(true), [(40, 3), (41, 2)]);
    assert_eq!(data(false), [(40, 3), (80, 2)]);
}

#[test]
fn an_ack_is_delayed_as_long_as_its_host_says() {
    let second_ack = |delay| {
        let pair = pair(|_| {}, |host| (host.ack_delay, host.quick_acks) = (delay, 0));
        pair.two_writes_unread();
        pair.of(&pair.server)[1].0
    };
    assert_eq!(second_ack(None), 60);
    assert_eq!(second_ack(Some(Duration::from_millis(7))), 67);
    assert_eq!(second_ack(Some(Duration::from_millis(200))), 260);
}

#[test]
fn a_host_with_keep_alive_probes_an_idle_connection_at_its_own_times() {
    let pair = pair(
        |host| {
            host.keep_alive = true;
            (host.keep_alive_idle, host.keep_alive_interval) = (Duration::from_secs(10), Duration::from_secs(2));
            host.keep_alive_probes = 3;
        },
        |_| {},
    );
    let at = pair.at;
    let listener = pair.server.sys(|host| {
        let fd = host.socket(Domain::Inet, Type::Stream)?;
        host.bind(fd, at)?;
        host.listen(fd, 1).map(|()| fd)
    });
    listener.expect("it listens");
    let mut ended = pair.client.spawn(async move |net| {
        let stream = TcpStream::connect(&net, at).await.expect("connected");
        let error = stream.read(&mut [0; 1]).await.expect_err("nobody is there");
        (tcplab::app::errno(&error), net.now())
    });
    pair.sim.run_for(Duration::from_secs(11));
    assert!(
        !ended.is_finished() && pair.of(&pair.client).len() == 3,
        "SYN, ACK, one probe: {:?}",
        pair.of(&pair.client)
    );
    pair.sim.link("client", "server", "loss=100%");
    pair.sim.run_until(|| ended.is_finished());
    let (errno, at) = ended.try_take().expect("ended");
    assert_eq!(errno, Some(Errno::ETIMEDOUT));
    // The probe of 10 s was answered; 10 s later the next three go unanswered, 2 s apart.
    assert_eq!(at.since(Instant::EPOCH).as_secs(), 20 + 3 * 2);
}

#[test]
fn the_backlog_of_a_listener_is_at_most_that_of_its_host() {
    for (limit, asked, waiting) in [(2, 100, 2), (100, 2, 2), (4096, 3, 3)] {
        // A SYN cookie would answer the SYNs beyond the limit.
        let pair = pair(
            |_| {},
            |host| {
                host.backlog_limit = limit;
                host.syn_cookies = SynCookies::Off;
            },
        );
        let at = pair.at;
        pair.server.spawn_daemon(async move |net| {
            let listener = TcpListener::bind_with_backlog(&net, at, asked)?;
            net.sleep(Duration::from_hours(1)).await;
            drop(listener);
            std::io::Result::Ok(())
        });
        let calls: Vec<_> = (0..5)
            .map(|_| pair.client.spawn(async move |net| TcpStream::connect(&net, at).await.map(|_stream| net.now())))
            .collect();
        pair.sim.run_for(Duration::from_millis(500));
        assert_eq!(calls.iter().filter(|call| call.is_finished()).count(), waiting, "{limit} {asked}");
    }
}

#[test]
fn buffers_and_congestion_control_are_those_of_the_host() {
    let pair = pair(
        |host| {
            host.congestion = congestion::by_name("reno").expect("a built-in controller");
            host.snd_buf = Some(5_000);
        },
        |host| host.rcv_buf = Some(3_000),
    );
    let option = |host: &HostHandle, name| {
        host.sys(|host| {
            let fd = host.socket(Domain::Inet, Type::Stream).expect("a descriptor");
            host.getsockopt(fd, name).expect("an option")
        })
    };
    assert_eq!(option(&pair.client, OptionName::SndBuf), SocketOption::SndBuf(5_000));
    assert_eq!(option(&pair.server, OptionName::RcvBuf), SocketOption::RcvBuf(3_000));
    let at = pair.at;
    let mut received = pair.server.spawn(move |net| bulk::receive(net, Listen::new(at)));
    pair.client.spawn(move |net| bulk::send(net, at, 100_000));
    pair.sim.run_until(|| received.is_finished());
    assert_eq!(received.try_take().expect("ended").expect("received"), 100_000);
    // A window of 3,000 bytes for each round trip of 40 ms.
    assert!(pair.sim.now() >= Instant::from_millis(100_000 / 3_000 * 40), "{}", pair.sim.now());
    assert_eq!(HostConfig::default().congestion.name(), "cubic", "the default of Linux");
}
