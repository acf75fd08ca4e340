//! A SYN flood: 200,000 SYNs from made-up addresses. Memory stays bounded, and established connections go on. With SYN
//! cookies an honest client is served at once, without them once the half-open entries have timed out.

use std::net::{Ipv4Addr, SocketAddr};

use crate::common::wire::{Peer, SYN_ACK, Wire, secs};
use crate::counting::{live, peak, reset_peak};
use tcplab::event::DropReason;
use tcplab::segment::{IpView, Packet};
use tcplab::socket::{Domain, Errno, Fd, Host, HostConfig, SynCookies, Type};
use tcplab::time::{Duration, Instant};

const BACKLOG: usize = 128;
const SYNS: u32 = 200_000;

/// What the flood may cost in all: a kibibyte for each half-open connection that the backlog allows, and 16 KiB for the
/// packets on the way and the tables.
const BOUND: i64 = BACKLOG as i64 * 1024 + 16 * 1024;

/// The server, one honest neighbour on the same wire, and nobody behind the made-up addresses.
struct Street {
    wire: Wire,
    client: Host,
    packet: Packet,
    /// SYN|ACKs to addresses where nobody is.
    unanswered: u32,
}

impl Street {
    fn new(cookies: SynCookies) -> Self {
        let addresses = vec![("192.0.2.2".parse().unwrap(), 24)];
        let mut wire = Wire::new(|config| config.syn_cookies = cookies);
        wire.host.observe_events(false);
        let client = Host::new(&HostConfig { seed: 5, addresses, ..HostConfig::default() });
        Self { wire, client, packet: Packet::default(), unanswered: 0 }
    }

    /// Carries packets to and fro, in no time, until both are silent.
    fn settle(&mut self) {
        let (now, packet) = (self.wire.now, &mut self.packet);
        loop {
            let mut moved = false;
            while self.client.poll_transmit(now, packet) {
                self.wire.host.handle_packet(now, packet);
                moved = true;
            }
            while self.wire.host.poll_transmit(now, packet) {
                let ip = IpView::parse(&packet.bytes).expect("an IP packet");
                if ip.dst == Ipv4Addr::new(192, 0, 2, 2) {
                    self.client.handle_packet(now, packet);
                } else {
                    assert_eq!(ip.payload[13], SYN_ACK.0, "strangers get SYN|ACKs and nothing else, no RST");
                    self.unanswered += 1;
                }
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    fn run_until(&mut self, end: Instant) {
        self.settle();
        while let Some(at) = [self.wire.host.next_at(), self.client.next_at()].into_iter().flatten().min()
            && at <= end
        {
            self.wire.now = self.wire.now.max(at);
            self.wire.host.handle_timeout(self.wire.now);
            self.client.handle_timeout(self.wire.now);
            self.settle();
        }
        self.wire.now = end;
        self.wire.host.set_now(end);
        self.client.set_now(end);
    }

    fn connect(&mut self) -> Fd {
        let fd = self.client.socket(Domain::Inet, Type::Stream).expect("socket");
        assert_eq!(self.client.connect(fd, "192.0.2.1:80".parse().unwrap()), Err(Errno::EINPROGRESS));
        fd
    }
}

/// A SYN from an address that nobody has.
fn made_up(number: u32) -> Peer {
    let ip = Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + number);
    Peer::at(SocketAddr::new(ip.into(), 1024 + (number % 60_000) as u16))
}

/// What a flood of 200,000 SYNs in 20 s did.
struct Flooded {
    street: Street,
    listener: Fd,
    /// The client that began to connect in the midst of it, and the first instants when it was connected and served.
    honest: Fd,
    connected: Option<Instant>,
    began: Instant,
}

/// One SYN each 100 microseconds, while an established connection transfers. Memory has its bound.
fn flooded(cookies: SynCookies) -> Flooded {
    let mut street = Street::new(cookies);
    let listener = street.wire.listen(BACKLOG);
    let sender = street.connect();
    street.settle();
    let (receiver, _) = street.wire.host.accept(listener).expect("established before the flood");
    let mut chunk = vec![0; 65_536];
    // The transfer has its buffers before anything is counted.
    street.client.write(sender, &chunk).expect("write");
    street.run_until(Instant::from_millis(100));
    while street.wire.host.read(receiver, &mut chunk).is_ok() {}
    street.run_until(Instant::from_millis(200));

    let mut before = live();
    reset_peak();
    let (mut honest, mut connected, mut began) = (None, None, Instant::EPOCH);
    let (mut written, mut read) = (0, 0);
    for number in 0..SYNS {
        street.wire.now += Duration::from_micros(100);
        let now = street.wire.now;
        street.client.set_now(now);
        street.packet.bytes.clear();
        made_up(number).syn().write(&mut street.packet.bytes);
        street.wire.host.handle_packet(now, &mut street.packet);
        if number % 10 == 0 {
            written += street.client.write(sender, &chunk[..1000]).unwrap_or(0);
            read += street.wire.host.read(receiver, &mut chunk).unwrap_or(0);
        }
        if number == SYNS / 2 {
            // Its buffers are the client's own affair.
            let without = live();
            honest = Some(street.connect());
            began = now;
            before += live() - without;
        }
        street.run_until(now);
        if let Some(fd) = honest.filter(|_| connected.is_none())
            && street.client.getpeername(fd).is_ok()
        {
            connected = Some(now);
            // So are those of its connection at the server, which is none of the flood.
            before += 8 * 1024;
        }
    }
    let cost = peak() - before;
    println!("200,000 SYNs, SYN cookies {cookies:?}: at most {cost} bytes above the start");
    assert!(cost <= BOUND, "{cost} bytes");
    street.run_until(Instant::from_secs(21));
    read += street.wire.host.read(receiver, &mut chunk).unwrap_or(0);
    assert_eq!(written, 1000 * (SYNS as usize) / 10, "the established connection goes on at full rate");
    assert_eq!(read, written);
    Flooded { street, listener, honest: honest.expect("it began in the midst of the flood"), connected, began }
}

/// The honest client is accepted and served.
fn serve(street: &mut Street, listener: Fd, honest: Fd) {
    let mut chunk = [0; 100];
    let (served, _) = street.wire.host.accept(listener).expect("the honest client");
    street.wire.host.write(served, b"Hello, Client!").expect("write");
    street.settle();
    assert_eq!(street.client.read(honest, &mut chunk), Ok(14));
    assert_eq!(&chunk[..14], b"Hello, Client!");
}

#[test]
fn with_cookies_200_000_syns_cost_a_bounded_number_of_bytes_and_a_client_is_served_at_once() {
    let Flooded { mut street, listener, honest, connected, began } = flooded(SynCookies::On);
    assert_eq!(connected, Some(began), "at the instant at which it began");
    assert!(street.unanswered >= SYNS, "each SYN is answered: {}", street.unanswered);
    serve(&mut street, listener, honest);
    let counters = street.wire.host.counters();
    assert_eq!(counters.syn_cookies_sent, u64::from(SYNS) - BACKLOG as u64 + 1);
    assert_eq!((counters.syn_cookies_received, counters.syn_cookies_failed), (1, 0));
    assert_eq!(counters.dropped(DropReason::SynQueueFull), 0);
}

#[test]
fn without_cookies_200_000_syns_cost_a_bounded_number_of_bytes_and_stop_nobody_for_ever() {
    let Flooded { mut street, listener, honest, connected, .. } = flooded(SynCookies::Off);
    assert_eq!(connected, None);
    assert!(street.unanswered < 10 * BACKLOG as u32, "only those that found room are answered: {}", street.unanswered);
    // The places are free 63 seconds after the first SYNs; the client's next SYN finds one.
    street.run_until(Instant::from_secs(63));
    assert_eq!(street.client.connect(honest, "192.0.2.1:80".parse().unwrap()), Err(Errno::EALREADY));
    street.run_until(Instant::from_secs(80));
    assert_eq!(street.client.connect(honest, "192.0.2.1:80".parse().unwrap()), Ok(()));
    serve(&mut street, listener, honest);
}

#[test]
fn a_flood_that_goes_on_keeps_the_queue_full_and_nothing_more() {
    // Slower and longer than the life of a half-open connection: places are freed and taken again all the time.
    let mut wire = Wire::new(|config| config.syn_cookies = SynCookies::Off);
    wire.listen(BACKLOG);
    let (mut answered, mut refused) = (0, 0);
    for number in 0..4000 {
        match wire.feed(&made_up(number).syn()).len() {
            0 => refused += 1,
            _ => answered += 1,
        }
        wire.run_for(Duration::from_millis(100));
        let drops = wire.drops();
        assert!(drops.iter().all(|why| *why == DropReason::SynQueueFull), "{drops:?}");
    }
    // 400 seconds are six lives of 63 seconds and a part of the seventh.
    assert_eq!(answered, 7 * BACKLOG);
    assert_eq!(answered + refused, 4000);
    wire.run_for(secs(63));
    assert_eq!(wire.host.next_at(), None);
}
