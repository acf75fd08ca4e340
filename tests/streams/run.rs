//! Runs a case to its end, and checks after each event.

use core::time::Duration;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::future::join;
use tcplab::app::errno;
use tcplab::event::{Event, LinkId, Observer};
use tcplab::link::Counters;
use tcplab::net::{JoinHandle, Net, TcpListener, TcpStream};
use tcplab::rng::Rng;
use tcplab::segment::{IpView, Packet, Segment};
use tcplab::sim::{HostHandle, LinkHandle, Sim};
use tcplab::socket::{Domain, Errno, Fd, HostConfig, SocketOption, Type};
use tcplab::time::Instant;

use crate::agree::Wires;
use crate::case::{Case, Side};

/// What a side of a case sends.
fn stream(seed: u64, side: usize, len: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed, ["client", "server"][side]);
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

/// How a side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has read the end of the other direction, and written all.
    Whole,
    /// It closed with an RST.
    Aborted,
    /// A call failed.
    Failed(Option<Errno>),
    /// Nothing came for two days.
    Waited,
}

/// What is seen of a side from outside.
#[derive(Clone, Default)]
struct Place {
    /// The program's sockets and the connection, while there is one.
    connection: Rc<RefCell<Option<(Net, Fd)>>>,
    got: Rc<RefCell<Vec<u8>>>,
}

async fn talk(net: &Net, stream: &TcpStream, side: &Side, bytes: &[u8], place: &Place) -> io::Result<End> {
    stream.set_nodelay(side.nodelay)?;
    let write = async {
        let mut written = 0;
        for chunk in bytes.chunks(side.chunk) {
            if side.aborts_after.is_some_and(|after| written >= after) {
                break;
            }
            stream.write_all(chunk).await?;
            written += chunk.len();
            if !side.pauses[0].is_zero() && bytes.len() / side.chunk < 50 {
                net.sleep(side.pauses[0]).await;
            }
        }
        if side.aborts_after.is_some() {
            stream.abort();
            return Ok(End::Aborted);
        }
        if side.ends_first {
            stream.shutdown_write()?;
        }
        io::Result::Ok(End::Whole)
    };
    let read = async {
        let mut buf = vec![0; side.chunk];
        for reads in 0.. {
            for (_, size) in side.rcv_bufs.iter().filter(|(at, _)| *at == reads) {
                net.setsockopt(stream.fd()?, SocketOption::RcvBuf(*size)).map_err(io::Error::from)?;
            }
            match stream.read(&mut buf).await? {
                0 => break,
                len => place.got.borrow_mut().extend_from_slice(&buf[..len]),
            }
            if !side.pauses[1].is_zero() && place.got.borrow().len() < side.chunk * 50 {
                net.sleep(side.pauses[1]).await;
            }
        }
        io::Result::Ok(())
    };
    let (written, read) = join(write, read).await;
    let end = written?;
    if end == End::Whole {
        read?;
    }
    Ok(end)
}

/// As [`talk`]; a mortal side waits for two days at most.
async fn side_talks(net: Net, stream: TcpStream, side: Side, bytes: Vec<u8>, place: Place, mortal: bool) -> End {
    *place.connection.borrow_mut() = stream.fd().ok().map(|fd| (net.clone(), fd));
    let limit = if mortal { Duration::from_hours(48) } else { Duration::from_hours(24 * 365) };
    let result = net.timeout(limit, talk(&net, &stream, &side, &bytes, &place)).await;
    place.connection.borrow_mut().take();
    match result {
        Ok(Ok(end)) => end,
        Ok(Err(error)) => End::Failed(errno(&error)),
        Err(_) => End::Waited,
    }
}

fn set_max_seg(net: &Net, fd: Fd, side: &Side) {
    if let Some(max_seg) = side.max_seg {
        net.setsockopt(fd, SocketOption::MaxSeg(max_seg)).expect("TCP_MAXSEG");
    }
}

/// Counts what happens to packets on each direction, and keeps everything as text if asked to.
#[derive(Default)]
pub(crate) struct Account {
    links: BTreeMap<LinkId, Counters>,
    pub(crate) log: Option<Vec<String>>,
}

thread_local! {
    /// The run is that of a failed case: its last events are printed.
    pub(crate) static LOG: Cell<bool> = const { Cell::new(false) };
}

impl Drop for Account {
    fn drop(&mut self) {
        if let Some(log) = self.log.as_ref().filter(|_| LOG.get()) {
            eprintln!("the last events:\n{}", log[log.len().saturating_sub(80)..].join("\n"));
        }
    }
}

impl Observer for Account {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        let mut count = |link: &LinkId, add: fn(&mut Counters)| add(self.links.entry(*link).or_default());
        match event {
            Event::Sent { link, .. } | Event::Forwarded { link, .. } => count(link, |counters| counters.sent += 1),
            Event::Duplicated { link, .. } => count(link, |counters| counters.duplicated += 1),
            Event::Delivered { link, .. } => count(link, |counters| counters.delivered += 1),
            Event::LinkDropped { link, .. } => count(link, |counters| counters.dropped += 1),
            _ => {}
        }
        if let Some(log) = &mut self.log {
            log.push(format!("{at} {}", line(event)));
        }
    }
}

/// An event as a line: whose packet, which, and a digest of its bytes.
fn line(event: &Event<'_>) -> String {
    let show = |packet: &Packet| {
        let digest =
            packet.bytes.iter().fold(0xcbf2_9ce4_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        let text = IpView::parse(&packet.bytes)
            .and_then(|ip| Segment::parse(&ip).map(|segment| segment.to_string()))
            .unwrap_or_else(|_| "not a segment".to_owned());
        format!("{} {text} [{digest:08x}]", packet.meta.id.0)
    };
    match event {
        Event::Sent { host, packet, fate, .. } => format!("{} sent {} {fate:?}", host.0, show(packet)),
        Event::Duplicated { packet, .. } => format!("  copied {}", show(packet)),
        Event::Delivered { host, packet, .. } => format!("{} got {}", host.0, show(packet)),
        Event::LinkDropped { packet, why, .. } => format!("  lost {} {why:?}", packet.meta.id.0),
        Event::StackDropped { host, packet, why, .. } => format!("{} dropped {} {why:?}", host.0, packet.meta.id.0),
        other => format!("{other:?}"),
    }
}

/// A run under way.
struct Run {
    sim: Sim,
    hosts: [HostHandle; 2],
    links: Vec<LinkHandle>,
    account: Rc<RefCell<Account>>,
    wires: Rc<RefCell<Wires>>,
    places: [Place; 2],
    /// How often a host was compared with its wire.
    compared: Cell<u64>,
}

impl Run {
    fn new(case: &Case, log: bool) -> Self {
        let sim = Sim::seeded(case.seed);
        let account = sim.observe(Account { log: log.then(Vec::new), links: BTreeMap::new() });
        let addresses = match (case.v6, case.behind.is_some()) {
            (false, false) => ["192.0.2.1/24", "192.0.2.2/24"],
            (true, false) => ["2001:db8::1/64", "2001:db8::2/64"],
            (false, true) => ["192.0.2.1/24", "198.51.100.2/24"],
            (true, true) => ["2001:db8:1::1/64", "2001:db8:2::2/64"],
        };
        let host = |at: usize, name: &str| {
            sim.host_with(name, addresses[at], |config| {
                let HostConfig { seed, addresses, .. } = config.clone();
                *config = HostConfig { seed, addresses, ..case.sides[at].config.clone() };
            })
        };
        let hosts = [host(0, "client"), host(1, "server")];
        let [client, server] = &hosts;
        let links = match &case.behind {
            None => vec![sim.link(client, server, &case.cable)],
            Some(behind) => {
                let router = sim.router("router");
                router.set_icmp(case.icmp);
                vec![sim.link(client, &router, &case.cable), sim.link(&router, server, behind)]
            }
        };
        let wires = sim.observe(Wires::of([client, server]));
        sim.limit_events(3_000_000);
        sim.limit_time(Duration::from_hours(24 * 700));
        Self { sim, hosts, links, account, wires, places: Default::default(), compared: Cell::new(0) }
    }

    fn begin(&self, case: &Case) -> [JoinHandle<End>; 2] {
        let [client, server] = &self.hosts;
        let [client_place, server_place] = self.places.clone();
        let to = SocketAddr::new(server.address(), 80);
        let [client_side, server_side] = case.sides.clone();
        let bytes = [0, 1].map(|side: usize| stream(case.seed, side, case.sides[side].sends));
        let [asks, answers] = bytes;
        let mortal = case.mortal;
        let served = server.spawn(async move |net| {
            let listener = TcpListener::bind(&net, to).expect("bind");
            set_max_seg(&net, listener.fd().expect("a listener"), &server_side);
            let limit = if mortal { Duration::from_hours(48) } else { Duration::from_hours(24 * 365) };
            let Ok(accepted) = net.timeout(limit, listener.accept()).await else { return End::Waited };
            let (stream, _) = accepted.expect("accept");
            drop(listener);
            side_talks(net, stream, server_side, answers, server_place, mortal).await
        });
        let asked = client.spawn(async move |net| {
            let fd = net.socket(Domain::of(&to), Type::Stream).expect("socket");
            set_max_seg(&net, fd, &client_side);
            let connected = net.connect(fd, to).await;
            let stream = TcpStream::from_fd(&net, fd);
            if let Err(why) = connected {
                return End::Failed(Some(why));
            }
            side_talks(net, stream, client_side, asks, client_place, mortal).await
        });
        [asked, served]
    }

    /// After each event: packets are conserved, and host and wire agree.
    #[track_caller]
    fn check(&self) {
        for (cable, link) in self.links.iter().enumerate() {
            for (at, name) in link.ends().into_iter().enumerate() {
                let counters = link.counters(name);
                assert!(counters.conserved(), "{name}: {counters}");
                let id = LinkId((2 * cable + at) as u32);
                let seen = self.account.borrow().links.get(&id).copied().unwrap_or_default();
                assert_eq!(Counters { in_flight: counters.in_flight, ..seen }, counters, "{name}: events and counters");
            }
        }
        for (host, place) in self.hosts.iter().zip(&self.places) {
            match self.wires.borrow_mut().compare(host, place.connection.borrow().as_ref()) {
                Ok(compared) => self.compared.set(self.compared.get() + u64::from(compared)),
                Err(why) => panic!("{}: {why}", self.sim.now()),
            }
        }
    }
}

/// What came of a case.
pub(crate) struct Outcome {
    /// Every event, if it was asked for.
    pub(crate) log: Option<Vec<String>>,
    pub(crate) ends: [End; 2],
    /// How often a host was compared with its wire.
    pub(crate) compared: u64,
}

/// Runs a case to its end.
pub(crate) fn run(case: &Case, log: bool) -> Outcome {
    let run = Run::new(case, log);
    let [mut asked, mut served] = run.begin(case);
    let over = || asked.is_finished() && served.is_finished();
    let last = run.links.last().expect("a link").ends().map(str::to_owned);
    for (at, spec) in &case.changes {
        let at = Instant::from_millis(*at);
        run.sim.run_until(|| {
            run.check();
            over() || run.sim.now() >= at
        });
        if over() {
            break;
        }
        run.sim.link(&last[0], &last[1], spec);
    }
    run.sim.run_until(|| {
        run.check();
        over()
    });
    let ends = [asked.try_take().expect("it has ended"), served.try_take().expect("it has ended")];
    check_ends(case, &run, ends);
    run.sim.run_until_idle();
    run.check();
    for link in &run.links {
        assert!(link.ends().iter().all(|name| link.counters(name).in_flight == 0));
    }
    let descriptors = run.hosts.each_ref().map(|host| host.sys(|host| host.descriptors().len()));
    assert_eq!(descriptors, [0, 0]);
    let log = run.account.borrow_mut().log.take();
    Outcome { log, ends, compared: run.compared.get() }
}

/// Bytes in are bytes out. A run that was aborted has a reason, and what arrived is a part from the begin.
fn check_ends(case: &Case, run: &Run, ends: [End; 2]) {
    for (side, end) in ends.into_iter().enumerate() {
        let (host, other) = (&run.hosts[side], &run.hosts[1 - side]);
        let sent = stream(case.seed, 1 - side, case.sides[1 - side].sends);
        let got = run.places[side].got.borrow();
        assert!(sent.starts_with(&got), "what the {} read is not what was written", host.name());
        let mut wires = run.wires.borrow_mut();
        match end {
            End::Whole => {
                let whole = case.sides[1 - side].aborts_after.is_some() || got.len() == sent.len();
                assert!(whole, "{}: {} of {} bytes", host.name(), got.len(), sent.len());
            }
            _ if !case.mortal => panic!("the {} ended with {end:?}", host.name()),
            End::Aborted => assert!(wires.has_reset(host) || !wires.causes(host).is_empty()),
            End::Failed(Some(Errno::ETIMEDOUT)) => assert!(wires.gave_up(host), "{}", host.name()),
            End::Failed(Some(Errno::ECONNRESET | Errno::EPIPE | Errno::ENOTCONN | Errno::ECONNREFUSED)) => {
                assert!(wires.has_reset(other) || wires.gave_up(host), "{}: {end:?}", host.name());
            }
            End::Failed(why) => panic!("the {} failed with {why:?}", host.name()),
            End::Waited => {
                let alone = ends[1 - side] != End::Whole || wires.gave_up(other) || wires.has_reset(other);
                assert!(alone, "the {} waits for a peer that is there", host.name());
            }
        }
    }
}
