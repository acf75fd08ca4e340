//! Hostile packets: random bytes, and real packets with bits flipped, cut short, spliced, with hostile options, with
//! wrong and with mended checksums, quoted in ICMP errors. Nothing makes a host panic, and afterwards it serves an honest
//! client.
//!
//! Each world follows from its seed; a failure names it. `TCPLAB_FUZZ_CASES` says how many packets are tried (`make fuzz`
//! tries a million in the release profile).

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::fuzz::{cases, each_case};
use tcplab::congestion;
use tcplab::rng::Rng;
use tcplab::segment::{Flags, IpView, Options, Packet, Protocol, SackBlock, Segment, SegmentTemplate, Seq, Timestamps};
use tcplab::socket::{Domain, Fd, Host, HostConfig, Shutdown, SocketOption, Type};
use tcplab::time::Instant;

/// How many packets by default.
const CASES: u64 = 600_000;
/// How many of them one host gets.
const PER_HOST: u64 = 600;

/// The server under attack, an honest host beside it, and a wire between them on which everything is overheard.
struct World {
    rng: Rng,
    now: Instant,
    hosts: [Host; 2],
    v6: bool,
    /// Packets that were on the wire, the newest last: what mutations start from.
    seen: Vec<Vec<u8>>,
    /// Descriptors of the server: listeners, connections, UDP.
    fds: Vec<Fd>,
    client_fds: Vec<Fd>,
}

fn address(v6: bool, last: u8) -> IpAddr {
    if v6 { format!("2001:db8::{last}") } else { format!("192.0.2.{last}") }.parse().expect("an address")
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, "fuzz");
        let v6 = rng.chance(0.4);
        let mut host = |last: u8| {
            Host::new(&HostConfig {
                seed: rng.next_u64(),
                addresses: vec![(address(v6, last), if v6 { 64 } else { 24 })],
                mtu: [1280, 1500][rng.below(2) as usize],
                rcv_buf: Some([100, 1000, 65_535, 300_000][rng.below(4) as usize]),
                snd_buf: Some([100, 1000, 65_535, 300_000][rng.below(4) as usize]),
                congestion: congestion::by_name(["none", "reno", "cubic"][rng.below(3) as usize])
                    .expect("a built-in controller"),
                timestamps: rng.chance(0.5),
                ack_delay: rng.chance(0.5).then_some(Duration::from_millis(10)),
                ..HostConfig::default()
            })
        };
        let hosts = [host(1), host(2)];
        let mut world = Self {
            rng,
            now: Instant::from_secs(1),
            hosts,
            v6,
            seen: Vec::new(),
            fds: Vec::new(),
            client_fds: Vec::new(),
        };
        world.set_up();
        world
    }

    fn at(&self, last: u8, port: u16) -> SocketAddr {
        SocketAddr::new(address(self.v6, last), port)
    }

    fn domain(&self) -> Domain {
        if self.v6 { Domain::Inet6 } else { Domain::Inet }
    }

    fn set_up(&mut self) {
        let domain = self.domain();
        for port in [80, 81] {
            let addr = self.at(1, port);
            let server = &mut self.hosts[0];
            let fd = server.socket(domain, Type::Stream).expect("socket");
            server.bind(fd, addr).expect("bind");
            server.listen(fd, 16).expect("listen");
            self.fds.push(fd);
        }
        let udp = self.hosts[0].socket(domain, Type::Datagram).expect("socket");
        let addr = self.at(1, 7);
        self.hosts[0].bind(udp, addr).expect("bind");
        self.fds.push(udp);
        // Each connection goes as far as luck has it: half-open, open, with data both ways, half-closed, closing.
        for _ in 0..4 + self.rng.below(5) {
            self.begin_connection();
            for _ in 0..self.rng.below(8) {
                self.live();
            }
        }
    }

    fn begin_connection(&mut self) {
        let domain = self.domain();
        let (to, from) = if self.rng.chance(0.2) { (0, 1) } else { (1, 0) };
        let port = if self.rng.chance(0.8) { 80 } else { 9 };
        let remote = self.at(if to == 1 { 1 } else { 2 }, port);
        let host = &mut self.hosts[usize::from(from == 0)];
        let fd = host.socket(domain, Type::Stream).expect("socket");
        let _ = host.connect(fd, remote);
        if from == 0 {
            self.client_fds.push(fd);
        } else {
            self.fds.push(fd);
        }
    }

    /// One step of ordinary life: a call, or packets from one host to the other, some of which are lost.
    fn live(&mut self) {
        let which = self.rng.below(2) as usize;
        let fds = if which == 0 { &self.fds } else { &self.client_fds };
        let fd = fds.get(self.rng.below(fds.len() as u64) as usize).copied();
        let host = &mut self.hosts[which];
        host.set_now(self.now);
        if let Some(fd) = fd {
            let mut buf = [0; 700];
            let len = self.rng.below(700) as usize;
            match self.rng.below(12) {
                0..=3 => drop(host.write(fd, &buf[..len])),
                4..=6 => drop(host.read(fd, &mut buf[..len])),
                7 => drop(host.shutdown(fd, Shutdown::Write)),
                8 => drop(host.setsockopt(fd, SocketOption::KeepAlive(len.is_multiple_of(2)))),
                9 => {
                    if let Ok((new, _)) = host.accept(fd) {
                        self.fds.push(new);
                    }
                }
                10 if which == 1 => drop(host.close(fd)),
                // The two listeners and the UDP socket stay.
                10 if fd.0 > 5 => {
                    let _ = host.close(fd);
                    self.fds.retain(|other| *other != fd);
                }
                _ => {}
            }
        }
        self.client_fds.truncate(64);
        self.exchange(0.1);
    }

    /// Time passes, timers fire, and what the hosts send reaches the other, unless it is lost.
    fn exchange(&mut self, loss: f64) {
        if self.rng.chance(0.3) {
            self.now += Duration::from_millis(1 << self.rng.below(12));
        }
        for _ in 0..4 {
            let mut quiet = true;
            for from in 0..2 {
                self.hosts[from].handle_timeout(self.now);
                let mut packet = Packet::default();
                while self.hosts[from].poll_transmit(self.now, &mut packet) {
                    Self::check(&packet);
                    quiet = false;
                    self.seen.push(packet.bytes.clone());
                    if !self.rng.chance(loss) {
                        let mut copy = Packet::new(packet.bytes.clone());
                        self.hosts[1 - from].handle_packet(self.now, &mut copy);
                    }
                }
                let _ = self.hosts[from].next_at();
                while self.hosts[from].poll_ready().is_some() {}
            }
            if quiet {
                break;
            }
        }
        let extra = self.seen.len().saturating_sub(64);
        self.seen.drain(..extra);
    }

    /// What a host sends is a good packet, whatever it was given.
    fn check(packet: &Packet) {
        let ip = IpView::parse(&packet.bytes).expect("a host sends good packets");
        assert!(ip.checksums_ok(), "bad checksum: {:02x?}", packet.bytes);
        assert!(packet.bytes.len() <= 1500);
        if ip.protocol == Protocol::Tcp {
            Segment::parse(&ip).expect("a host sends good segments");
        }
    }

    /// One hostile packet.
    fn hostile(&mut self) -> Vec<u8> {
        let seen = self.rng.below(self.seen.len().max(1) as u64) as usize;
        let base = self.seen.get(seen).cloned().unwrap_or_else(|| vec![0x45; 40]);
        match self.rng.below(16) {
            0 => self.random_bytes(),
            1 => self.quote(&base),
            2 => self.splice(&base),
            3..=5 => self.with_hostile_options(&base),
            6..=10 => self.near_the_window(&base),
            _ => self.mutate(base),
        }
    }

    fn octets(&mut self, len: u64) -> Vec<u8> {
        (0..len).map(|_| self.rng.next_u64() as u8).collect()
    }

    fn random_bytes(&mut self) -> Vec<u8> {
        let len = self.rng.below(120);
        let mut octets = self.octets(len);
        // Half of them at least begin as an IP packet of this length, to our address.
        if self.rng.chance(0.5) && octets.len() >= 44 {
            let (src, dst) = (self.at(2, 0).ip(), self.at(1, 0).ip());
            let protocol = [1, 6, 6, 17, 58, 0, 43, 44, 60][self.rng.below(9) as usize];
            octets = ip_packet(src, dst, protocol, &octets[..]);
            fix_checksums(&mut octets);
        }
        octets
    }

    /// Bits flipped, bytes set to what hurts, cut short or made longer; the checksums right or wrong.
    fn mutate(&mut self, mut octets: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.rng.below(4) {
            if octets.is_empty() {
                break;
            }
            let at = self.rng.below(octets.len() as u64) as usize;
            match self.rng.below(6) {
                0 | 1 => octets[at] ^= 1 << self.rng.below(8),
                2 => octets[at] = [0, 1, 0x7f, 0x80, 0xff][self.rng.below(5) as usize],
                3 => octets[at] = self.rng.next_u64() as u8,
                4 => octets.truncate(at),
                _ => {
                    let more = self.rng.below(40);
                    let more = self.octets(more);
                    octets.extend(more);
                }
            }
        }
        if self.rng.chance(0.8) {
            if self.rng.chance(0.7) {
                set_length(&mut octets);
            }
            fix_checksums(&mut octets);
        }
        octets
    }

    /// The header of one packet before the tail of another.
    fn splice(&mut self, base: &[u8]) -> Vec<u8> {
        let other = self.rng.below(self.seen.len().max(1) as u64) as usize;
        let other = self.seen.get(other).cloned().unwrap_or_default();
        let at = self.rng.below(base.len() as u64 + 1) as usize;
        let mut octets = base[..at].to_vec();
        octets.extend_from_slice(&other[at.min(other.len())..]);
        set_length(&mut octets);
        fix_checksums(&mut octets);
        octets
    }

    /// A segment of a connection that exists, with an options area of anything.
    fn with_hostile_options(&mut self, base: &[u8]) -> Vec<u8> {
        let Ok(ip) = IpView::parse(base) else { return base.to_vec() };
        let Ok(segment) = Segment::parse(&ip) else { return base.to_vec() };
        let payload_len = self.rng.below(60);
        let payload = self.octets(payload_len);
        let words = self.rng.below(11) as usize;
        let mut tcp = ip.payload[..20].to_vec();
        tcp[12] = ((5 + words) as u8) << 4;
        if self.rng.chance(0.4) {
            tcp[13] = self.rng.next_u64() as u8;
        }
        for _ in 0..words * 4 {
            let kind = self.rng.below(12) as u8;
            tcp.push(if self.rng.chance(0.7) { kind } else { self.rng.next_u64() as u8 });
        }
        tcp.extend(payload);
        let (src, dst) = self.towards_us(&segment);
        let mut octets = ip_packet(src.ip(), dst.ip(), 6, &tcp);
        octets.splice(ip_len(&octets)..ip_len(&octets) + 4, [src.port(), dst.port()].map(u16::to_be_bytes).concat());
        fix_checksums(&mut octets);
        octets
    }

    /// Both ends, so that the packet goes to the server.
    fn towards_us(&self, segment: &Segment<'_>) -> (SocketAddr, SocketAddr) {
        if segment.dst.ip() == self.at(1, 0).ip() { (segment.src, segment.dst) } else { (segment.dst, segment.src) }
    }

    /// A well-formed segment whose numbers lie at and around those of a connection: what gets furthest.
    fn near_the_window(&mut self, base: &[u8]) -> Vec<u8> {
        let Some(segment) = IpView::parse(base).ok().and_then(|ip| Segment::parse(&ip).ok()) else {
            return base.to_vec();
        };
        let ours = segment.dst == self.towards_us(&segment).1;
        let (seq, ack) = if ours { (segment.end(), segment.ack) } else { (segment.ack, segment.end()) };
        let (src, dst) = self.towards_us(&segment);
        let near = |rng: &mut Rng, seq: Seq| {
            let by = [0, 1, 2, 10, 99, 100, 101, 999, 1000, 1001, 65_535, 65_536, 1 << 30, 1 << 31];
            let bound = if rng.chance(0.7) { 5 } else { 14 };
            let by = by[rng.below(bound) as usize];
            if rng.chance(0.6) { seq } else { seq + if rng.chance(0.5) { by } else { 0_u32.wrapping_sub(by) } }
        };
        let len = [0, 0, 0, 1, 10, 100, 101, 1200][self.rng.below(8) as usize];
        let payload = self.octets(len);
        let flags = [0x10, 0x10, 0x10, 0x18, 0x11, 0x11, 0x19, 0x02, 0x12, 0x04, 0x14, 0x00, 0x01, 0x13, 0x30, 0x15];
        let mut options = Options::default();
        if self.rng.chance(0.5) {
            let base = segment.options.ts.unwrap_or_default();
            let ts_val = base.ts_val.wrapping_add((self.rng.below(40) as u32).wrapping_sub(20));
            options.ts = Some(Timestamps { ts_val, ts_ecr: base.ts_ecr });
        }
        if self.rng.chance(0.2) {
            let left = near(&mut self.rng, ack);
            options.sack[0] = SackBlock { left, right: near(&mut self.rng, left) };
        }
        if self.rng.chance(0.2) {
            options.mss = Some([0, 1, 48, 536, 65_535][self.rng.below(5) as usize]);
            options.wscale = Some([0, 1, 14, 15, 255][self.rng.below(5) as usize]);
        }
        SegmentTemplate {
            seq: near(&mut self.rng, seq),
            ack: near(&mut self.rng, ack),
            flags: Flags(flags[self.rng.below(16) as usize]),
            window: [0, 0, 1, 2, 100, 1000, 65_535][self.rng.below(7) as usize],
            options,
            payload: &payload,
            ..SegmentTemplate::new(src, dst)
        }
        .to_bytes()
    }

    /// An ICMP error about a packet, which may be cut short or changed.
    fn quote(&mut self, base: &[u8]) -> Vec<u8> {
        let mut quoted = if self.rng.chance(0.3) { self.mutate(base.to_vec()) } else { base.to_vec() };
        quoted.truncate(if self.rng.chance(0.5) { 28 } else { self.rng.below(200) as usize });
        let mut icmp = vec![self.rng.below(14) as u8, self.rng.below(16) as u8, 0, 0];
        let rest = self.octets(4);
        icmp.extend(rest);
        if self.v6 {
            icmp[0] = [1, 2, 3, 4, 128, 129, 133, 135][self.rng.below(8) as usize];
        }
        icmp.extend(quoted);
        let router = 2 + self.rng.below(2) as u8;
        let (src, dst) = (self.at(router, 0).ip(), self.at(1, 0).ip());
        let mut octets = ip_packet(src, dst, if self.v6 { 58 } else { 1 }, &icmp);
        fix_checksums(&mut octets);
        octets
    }

    /// A client that nobody has tampered with asks and is answered.
    fn serves_an_honest_client(&mut self) {
        let domain = self.domain();
        // The attack may have filled the queues: they are emptied as a server would, and half-open connections time out.
        for _ in 0..30 {
            while let Ok((fd, _)) = self.hosts[0].accept(self.fds[1]) {
                let _ = self.hosts[0].close(fd);
            }
            self.now += Duration::from_secs(10);
            self.exchange(0.0);
        }
        let remote = self.at(1, 81);
        let fd = self.hosts[1].socket(domain, Type::Stream).expect("socket");
        let _ = self.hosts[1].connect(fd, remote);
        self.settle();
        self.hosts[1].set_now(self.now);
        assert_eq!(self.hosts[1].connect(fd, remote), Ok(()), "an honest client is not let in");
        let local = self.hosts[1].getsockname(fd).expect("an address");
        // A hostile SYN may have brought another connection here, which stands before it in the queue.
        let mut queue = core::iter::from_fn(|| self.hosts[0].accept(self.fds[1]).ok());
        let (served, _) = queue.find(|(_, peer)| *peer == local).expect("the client's connection");
        assert_eq!(self.hosts[1].write(fd, b"are you there?"), Ok(14));
        self.settle();
        let mut buf = [0; 100];
        assert_eq!(self.hosts[0].read(served, &mut buf), Ok(14));
        assert_eq!(self.hosts[0].write(served, &buf[..14]), Ok(14));
        self.settle();
        assert_eq!((self.hosts[1].read(fd, &mut buf), &buf[..14]), (Ok(14), &b"are you there?"[..]));
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            self.now += Duration::from_millis(100);
            self.exchange(0.0);
        }
    }
}

/// A packet with a length that is right and checksums that are not.
fn ip_packet(src: IpAddr, dst: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut octets = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
            header.extend(src.octets());
            header.extend(dst.octets());
            header
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
            header.extend(src.octets());
            header.extend(dst.octets());
            header
        }
        _ => panic!("two versions"),
    };
    octets.extend_from_slice(payload);
    set_length(&mut octets);
    octets
}

fn ip_len(octets: &[u8]) -> usize {
    match octets.first() {
        Some(first) if first >> 4 == 6 => 40,
        Some(first) => usize::from(first & 0x0f) * 4,
        None => 0,
    }
}

fn set_length(octets: &mut [u8]) {
    let len = octets.len() as u16;
    match octets {
        [first, _, high, low, _, _, ..] if *first >> 4 == 4 => [*high, *low] = len.to_be_bytes(),
        [first, _, _, _, high, low, ..] if *first >> 4 == 6 => {
            [*high, *low] = len.saturating_sub(40).to_be_bytes();
        }
        _ => {}
    }
}

/// Computes the checksums anew, independently of the crate (RFC 1071).
fn fix_checksums(octets: &mut [u8]) {
    let header_len = ip_len(octets);
    if header_len < 20 || octets.len() < header_len || ![4, 6].contains(&(octets[0] >> 4)) {
        return;
    }
    let v4 = octets[0] >> 4 == 4;
    let (header, payload) = octets.split_at_mut(header_len);
    let protocol = if v4 { header[9] } else { header[6] };
    if v4 {
        header[10..12].fill(0);
        let sum = !fold(sum(header));
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    let place = match protocol {
        6 => 16,
        17 => 6,
        1 | 58 => 2,
        _ => return,
    };
    if payload.len() < place + 2 {
        return;
    }
    payload[place..place + 2].fill(0);
    let addresses = if v4 { &header[12..20] } else { &header[8..40] };
    let pseudo = if protocol == 1 { 0 } else { sum(addresses) + u32::from(protocol) + payload.len() as u32 };
    let sum = match !fold(pseudo + sum(payload)) {
        0 if protocol == 17 => 0xffff,
        sum => sum,
    };
    payload[place..place + 2].copy_from_slice(&sum.to_be_bytes());
}

fn sum(octets: &[u8]) -> u32 {
    octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

fn attack(seed: u64) {
    let mut world = World::new(seed);
    let mut last = Vec::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..PER_HOST {
            let octets = world.hostile();
            last.clone_from(&octets);
            let mut packet = Packet::new(octets);
            world.hosts[0].handle_packet(world.now, &mut packet);
            if world.rng.chance(0.5) {
                world.live();
            }
            if world.rng.chance(0.02) {
                world.begin_connection();
            }
        }
        world.serves_an_honest_client();
    }));
    if let Err(panic) = result {
        eprintln!("seed {seed} failed at {}; the last hostile packet: {last:02x?}", world.now);
        resume_unwind(panic);
    }
}

#[test]
fn no_packet_makes_a_host_panic_and_it_still_serves_an_honest_client() {
    if let Ok(seed) = env::var("TCPLAB_FUZZ_SEED") {
        return attack(seed.parse().expect("a seed"));
    }
    each_case((cases(CASES) / PER_HOST).max(1), attack);
}

#[test]
fn the_checksums_of_this_test_are_those_of_the_crate() {
    for v6 in [false, true] {
        let (src, dst) = (SocketAddr::new(address(v6, 1), 1), SocketAddr::new(address(v6, 2), 2));
        let good = SegmentTemplate { payload: b"odd", ..SegmentTemplate::new(src, dst) }.to_bytes();
        let mut again = good.clone();
        fix_checksums(&mut again);
        assert_eq!(again, good);
    }
}
