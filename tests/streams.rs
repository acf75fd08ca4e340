//! Whatever a cable does to packets, bytes in are bytes out: random, reordered, duplicated, lost and corrupted packets,
//! random sizes, buffers, MSS and congestion control, both directions at once, any order of closing.
//!
//! Each case follows from its seed; a failure names it. `TCPLAB_FUZZ_CASES` says how many cases are run.

use core::time::Duration;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::future::join;
use tcplab::congestion;
use tcplab::event::{Event, LinkId, Observer};
use tcplab::link::Counters;
use tcplab::net::{Net, TcpListener, TcpStream};
use tcplab::rng::Rng;
use tcplab::segment::{IpView, Packet, Segment};
use tcplab::sim::{LinkHandle, Sim};
use tcplab::socket::{Domain, Fd, HostConfig, SocketOption, Type};
use tcplab::time::Instant;

/// How many cases by default: some seconds.
const CASES: u64 = 100_000;

fn cases() -> u64 {
    env::var("TCPLAB_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES)
}

/// What one side does.
#[derive(Clone, Debug)]
struct Side {
    sends: usize,
    /// The most bytes of one write and of one read.
    chunk: usize,
    /// Sleeps between two writes, and between two reads.
    pauses: [Duration; 2],
    nodelay: bool,
    max_seg: Option<u16>,
    /// Ends its direction as soon as everything is written; otherwise when the other side has ended.
    ends_first: bool,
    config: HostConfig,
}

/// One case.
#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    v6: bool,
    cable: String,
    sides: [Side; 2],
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, "streams");
        let v6 = rng.chance(0.3);
        let cable = cable(&mut rng);
        let mut sides = [(); 2].map(|()| Side::new(&mut rng, v6));
        // Somebody has to begin.
        if !sides[0].ends_first && !sides[1].ends_first {
            sides[rng.below(2) as usize].ends_first = true;
        }
        Self { seed, v6, cable, sides }
    }
}

fn cable(rng: &mut Rng) -> String {
    let mut line = format!("delay={}ms", rng.below(40));
    let mut item = |rng: &mut Rng, key: &str, most: u64| {
        if rng.chance(0.5) {
            write!(line, ",{key}={}%", 1 + rng.below(most)).expect("text");
        }
    };
    item(rng, "loss", 15);
    item(rng, "reorder", 25);
    item(rng, "duplicate", 20);
    item(rng, "corrupt", 10);
    if rng.chance(0.3) {
        write!(line, ",rate={}kbit,limit={}", 200 + rng.below(5000), 3 + rng.below(50)).expect("text");
    }
    line
}

impl Side {
    fn new(rng: &mut Rng, v6: bool) -> Self {
        let pick = |rng: &mut Rng, from: &[usize]| from[rng.below(from.len() as u64) as usize];
        let pause = |rng: &mut Rng| Duration::from_millis(if rng.chance(0.7) { 0 } else { rng.below(300) });
        let most = pick(rng, &[1, 100, 3000, 12_000]) as u64;
        // A receive buffer below a segment makes a handful of bytes travel at a time.
        let config = HostConfig {
            mtu: if v6 { 1280 } else { pick(rng, &[576, 1500]) },
            rcv_buf: Some(pick(rng, &[300, 2000, 5000, 65_535, 100_000])),
            snd_buf: Some(pick(rng, &[200, 1000, 4000, 65_536])),
            congestion: congestion::by_name(["none", "reno", "cubic"][rng.below(3) as usize])
                .expect("a built-in controller"),
            timestamps: rng.chance(0.6),
            ack_delay: [None, Some(Duration::from_millis(10)), Some(Duration::from_millis(200))][rng.below(3) as usize],
            // No case shall end because somebody gave up.
            syn_retries: 60,
            synack_retries: 60,
            retries: 200,
            orphan_retries: 200,
            time_wait: Duration::from_hours(10),
            ..HostConfig::default()
        };
        Self {
            sends: rng.below(most + 1) as usize,
            chunk: pick(rng, &[7, 300, 1460, 20_000]).max(most as usize / 200),
            pauses: [pause(rng), pause(rng)],
            nodelay: rng.chance(0.3),
            max_seg: rng.chance(0.3).then(|| 100 + rng.below(1300) as u16),
            ends_first: rng.chance(0.6),
            config,
        }
    }
}

/// What a side of a case sends.
fn stream(seed: u64, side: usize, len: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed, ["client", "server"][side]);
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

async fn talk(net: Net, stream: TcpStream, side: Side, octets: Vec<u8>) -> Vec<u8> {
    stream.set_nodelay(side.nodelay).expect("TCP_NODELAY");
    let write = async {
        for chunk in octets.chunks(side.chunk) {
            stream.write_all(chunk).await.expect("write");
            if !side.pauses[0].is_zero() && octets.len() / side.chunk < 50 {
                net.sleep(side.pauses[0]).await;
            }
        }
        if side.ends_first {
            stream.shutdown_write().expect("shutdown");
        }
    };
    let read = async {
        let mut got = Vec::new();
        let mut buf = vec![0; side.chunk];
        loop {
            match stream.read(&mut buf).await.expect("read") {
                0 => return got,
                len => got.extend_from_slice(&buf[..len]),
            }
            if !side.pauses[1].is_zero() && got.len() < side.chunk * 50 {
                net.sleep(side.pauses[1]).await;
            }
        }
    };
    join(write, read).await.1
}

fn set_max_seg(net: &Net, fd: Fd, side: &Side) {
    if let Some(max_seg) = side.max_seg {
        net.setsockopt(fd, SocketOption::MaxSeg(max_seg)).expect("TCP_MAXSEG");
    }
}

/// Counts what happens to packets on each direction, and keeps everything as text if asked to.
#[derive(Default)]
struct Account {
    links: BTreeMap<LinkId, Counters>,
    log: Option<Vec<String>>,
}

thread_local! {
    /// The run is that of a failed case: its last events are printed.
    static LOG: Cell<bool> = const { Cell::new(false) };
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
            Event::Sent { link, .. } => count(link, |counters| counters.sent += 1),
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

/// Runs a case to its end. What was observed.
fn run(case: &Case, log: bool) -> Rc<RefCell<Account>> {
    let sim = Sim::seeded(case.seed);
    let account = sim.observe(Account { log: log.then(Vec::new), links: BTreeMap::new() });
    let addresses = if case.v6 { ["2001:db8::1/64", "2001:db8::2/64"] } else { ["192.0.2.1/24", "192.0.2.2/24"] };
    let host = |at: usize, name: &str| {
        sim.host_with(name, addresses[at], |config| {
            let HostConfig { seed, addresses, .. } = config.clone();
            *config = HostConfig { seed, addresses, ..case.sides[at].config.clone() };
        })
    };
    let (client, server) = (host(0, "client"), host(1, "server"));
    let link = sim.link(&client, &server, &case.cable);
    let to = SocketAddr::new(server.address(), 80);
    let [client_side, server_side] = case.sides.clone();
    let (octets, answer) = (stream(case.seed, 0, client_side.sends), stream(case.seed, 1, server_side.sends));
    let (sent, answered) = (octets.clone(), answer.clone());
    let served = server.spawn(async move |net| {
        let listener = TcpListener::bind(&net, to).expect("bind");
        set_max_seg(&net, listener.fd().expect("a listener"), &server_side);
        let (stream, _) = listener.accept().await.expect("accept");
        talk(net, stream, server_side, answer).await
    });
    let asked = client.spawn(async move |net| {
        let fd = net.socket(Domain::of(&to), Type::Stream).expect("socket");
        set_max_seg(&net, fd, &client_side);
        net.connect(fd, to).await.expect("connect");
        let stream = TcpStream::from_fd(&net, fd);
        talk(net, stream, client_side, octets).await
    });
    sim.limit_events(3_000_000);
    sim.limit_time(Duration::from_hours(24 * 30));
    sim.run_until(|| {
        conserved(&link, &account, ["client", "server"]);
        asked.is_finished() && served.is_finished()
    });
    let (mut asked, mut served) = (asked, served);
    assert!(served.try_take() == Some(sent), "what the server read is not what the client wrote");
    assert!(asked.try_take() == Some(answered), "what the client read is not what the server wrote");
    sim.run_until_idle();
    conserved(&link, &account, ["client", "server"]);
    for name in ["client", "server"] {
        assert_eq!(link.counters(name).in_flight, 0);
    }
    assert_eq!((client.sys(|host| host.descriptors().len()), server.sys(|host| host.descriptors().len())), (0, 0));
    account
}

/// Law 6: packets are conserved, by the counters of the link and by the events.
#[track_caller]
fn conserved(link: &LinkHandle, account: &RefCell<Account>, names: [&str; 2]) {
    for (at, name) in names.into_iter().enumerate() {
        let counters = link.counters(name);
        assert!(counters.conserved(), "{name}: {counters}");
        let seen = account.borrow().links.get(&LinkId(at as u32)).copied().unwrap_or_default();
        assert_eq!(Counters { in_flight: counters.in_flight, ..seen }, counters, "{name}: events and counters");
    }
}

fn run_case(seed: u64) {
    let case = Case::new(seed);
    let result = std::panic::catch_unwind(|| drop(run(&case, false)));
    if let Err(panic) = result {
        eprintln!("case {seed} failed: {case:#?}");
        LOG.set(true);
        let _ = std::panic::catch_unwind(|| drop(run(&case, true)));
        std::panic::resume_unwind(panic);
    }
}

/// Four tests, so that they use the cores that there are.
fn quarter(nth: u64) {
    if let Ok(seed) = env::var("TCPLAB_STREAMS_SEED") {
        return run_case(seed.parse().expect("a seed"));
    }
    (0..cases()).filter(|seed| seed % 4 == nth).for_each(run_case);
}

#[test]
fn bytes_in_are_bytes_out_and_packets_are_conserved_first_quarter() {
    quarter(0);
}

#[test]
fn bytes_in_are_bytes_out_and_packets_are_conserved_second_quarter() {
    quarter(1);
}

#[test]
fn bytes_in_are_bytes_out_and_packets_are_conserved_third_quarter() {
    quarter(2);
}

#[test]
fn bytes_in_are_bytes_out_and_packets_are_conserved_fourth_quarter() {
    quarter(3);
}

#[test]
fn the_same_seed_gives_the_same_events_and_the_same_packets() {
    let log = |seed| run(&Case::new(seed), true).borrow_mut().log.take().expect("a log");
    for seed in 0..(cases() / 100).max(1) {
        let (first, second) = (log(seed), log(seed));
        assert!(first.len() > 10);
        let at = first.iter().zip(&second).position(|(first, second)| first != second);
        assert_eq!((at, first.len()), (None, second.len()), "seed {seed}");
    }
    assert_ne!(log(1), log(2));
}
