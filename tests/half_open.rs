//! A connection that was a half-open record goes on exactly as one that a listening smoltcp socket made by itself: both
//! are fed the same segments, and all that they say is compared, the instants too.

mod common;

use std::cell::Cell;
use std::net::SocketAddr;

use common::wire::{ACK, Said, Wire, nothing};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::wire::HardwareAddress;
use tcplab::congestion;
use tcplab::segment::{Flags, Options, SegmentTemplate, Seq, Timestamps};
use tcplab::socket::Fd;
use tcplab::time::Instant;

const BUFFER: usize = 64 * 1024;
const IRS: Seq = Seq(4_294_967_000);

/// What both have in common for the script: the other end is the test.
trait End {
    fn feed(&mut self, at: Instant, segment: &SegmentTemplate<'_>) -> Vec<Said>;
    fn run_until(&mut self, end: Instant) -> Vec<Said>;
    fn write(&mut self, octets: &[u8]) -> Vec<Said>;
    fn read(&mut self) -> (Vec<u8>, Vec<Said>);
}

// ---- smoltcp by itself

thread_local! {
    static CLOCK: Cell<u32> = const { Cell::new(0) };
}

struct Bare {
    interface: Interface,
    set: SocketSet<'static>,
    handle: SocketHandle,
    wire: OnePacket,
    now: Instant,
}

#[derive(Default)]
struct OnePacket {
    to_host: Option<Vec<u8>>,
    from_host: Vec<Vec<u8>>,
}

struct Incoming(Vec<u8>);
struct Outgoing<'a>(&'a mut Vec<Vec<u8>>);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.push(packet);
        result
    }
}

impl Device for OnePacket {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Incoming, Outgoing<'_>)> {
        Some((Incoming(self.to_host.take()?), Outgoing(&mut self.from_host)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.from_host))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities.checksum.tcp = Checksum::Both;
        capabilities
    }
}

const fn micros(at: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros_const((at.as_nanos() / 1000) as i64)
}

impl Bare {
    fn new(congestion: tcp::CongestionControl, timestamps: bool) -> Self {
        let mut wire = OnePacket::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = 7;
        let mut interface = Interface::new(config, &mut wire, micros(Instant::EPOCH));
        interface.set_any_ip(true);
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_congestion_control(congestion);
        socket.set_ack_delay(Some(smoltcp::time::Duration::from_millis(10)));
        socket.set_hop_limit(Some(64));
        if timestamps {
            socket.set_tsval_generator(Some(|| CLOCK.get()));
        }
        socket.listen(80).expect("a fresh socket listens");
        let mut set = SocketSet::new(Vec::new());
        let handle = set.add(socket);
        Self { interface, set, handle, wire, now: Instant::EPOCH }
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }

    fn drain(&mut self) -> Vec<Said> {
        let now = micros(self.now);
        loop {
            let before = self.wire.from_host.len();
            if self.interface.poll_at(now, &self.set).is_some_and(|at| at <= now) {
                self.interface.poll_egress(now, &mut self.wire, &mut self.set);
            }
            if self.wire.from_host.len() == before {
                break;
            }
        }
        self.wire.from_host.drain(..).map(|bytes| Said::parse(self.now, &bytes)).collect()
    }

    fn set_now(&mut self, now: Instant) {
        self.now = now;
        CLOCK.set((now.as_nanos() / 1_000_000) as u32);
    }
}

impl End for Bare {
    fn feed(&mut self, at: Instant, segment: &SegmentTemplate<'_>) -> Vec<Said> {
        self.set_now(at);
        self.wire.to_host = Some(segment.to_bytes());
        self.interface.poll_ingress_single(micros(at), &mut self.wire, &mut self.set);
        self.drain()
    }

    fn run_until(&mut self, end: Instant) -> Vec<Said> {
        let mut said = Vec::new();
        while let Some(at) = self.interface.poll_at(micros(self.now), &self.set)
            && at <= micros(end)
        {
            self.set_now(self.now.max(Instant::from_micros(at.total_micros() as u64)));
            said.extend(self.drain());
        }
        self.set_now(end);
        said
    }

    fn write(&mut self, octets: &[u8]) -> Vec<Said> {
        assert_eq!(self.socket().send_slice(octets), Ok(octets.len()));
        self.drain()
    }

    fn read(&mut self) -> (Vec<u8>, Vec<Said>) {
        let mut octets = vec![0; BUFFER];
        let len = self.socket().recv_slice(&mut octets).expect("open");
        octets.truncate(len);
        (octets, self.drain())
    }
}

// ---- the host

struct Ours {
    wire: Wire,
    listener: Fd,
    accepted: Option<Fd>,
}

impl Ours {
    fn fd(&mut self) -> Fd {
        let Self { wire, listener, accepted } = self;
        *accepted.get_or_insert_with(|| wire.host.accept(*listener).expect("established").0)
    }
}

impl End for Ours {
    fn feed(&mut self, at: Instant, segment: &SegmentTemplate<'_>) -> Vec<Said> {
        nothing(&self.wire.run_until(at));
        self.wire.feed(segment)
    }

    fn run_until(&mut self, end: Instant) -> Vec<Said> {
        self.wire.run_until(end)
    }

    fn write(&mut self, octets: &[u8]) -> Vec<Said> {
        let fd = self.fd();
        assert_eq!(self.wire.host.write(fd, octets), Ok(octets.len()));
        self.wire.drain()
    }

    fn read(&mut self) -> (Vec<u8>, Vec<Said>) {
        let fd = self.fd();
        (self.wire.read(fd), self.wire.drain())
    }
}

// ---- the script

#[derive(Clone, Copy, Debug)]
struct Case {
    options: Options,
    /// When the final ACK comes, in milliseconds: later than a second means that a SYN|ACK was lost.
    ack_at: u64,
    /// The window field of the SYN and of all that follow.
    windows: (u16, u16),
    /// Data in the final ACK.
    early: &'static [u8],
}

/// Plays the case and gives all that was said, with sequence numbers and timestamps counted from their first.
fn play(end: &mut impl End, case: &Case) -> Vec<String> {
    let (peer, host): (SocketAddr, SocketAddr) = ("192.0.2.2:4001".parse().unwrap(), "192.0.2.1:80".parse().unwrap());
    let mut said = Vec::new();
    let ms = Instant::from_millis;
    let template = SegmentTemplate::new(peer, host);
    let syn = SegmentTemplate {
        seq: IRS,
        flags: Flags::SYN,
        window: case.windows.0,
        options: case.options,
        ..template.clone()
    };
    said.extend(end.feed(ms(0), &syn));
    let (iss, ts_val) = (said[0].seq, said[0].options.ts.map_or(0, |ts| ts.ts_val));
    let segment = |seq: u32, ack: u32, at: u64, payload: &'static [u8]| SegmentTemplate {
        seq: IRS + seq,
        ack: iss + ack,
        flags: if payload.is_empty() { ACK } else { ACK | Flags::PSH },
        window: case.windows.1,
        options: Options {
            ts: case.options.ts.map(|ts| Timestamps { ts_val: ts.ts_val + at as u32, ts_ecr: ts_val }),
            ..Options::default()
        },
        payload,
        ..template.clone()
    };
    let start = case.ack_at;
    said.extend(end.run_until(ms(start)));
    said.extend(end.feed(ms(start), &segment(1, 1, start, case.early)));
    let early = case.early.len() as u32;
    said.extend(end.write(&vec![7; 20_000]));
    said.extend(end.run_until(ms(start + 50)));
    // Growth of the congestion window, the RTT of data, a hole, its answer, a timeout.
    for (at, seq, ack, payload) in [
        (50, 1 + early, 537, b"".as_slice()),
        (60, 1 + early, 1461, b""),
        (90, 1 + early, 1461, b"in order"),
        (95, 109 + early, 1461, b"behind a hole"),
        (130, 1 + early, 1461, b""),
        (140, 9 + early, 2921, &[1; 100]),
    ] {
        said.extend(end.run_until(ms(start + at)));
        // Nothing is acknowledged that was not sent.
        let sent = said.iter().map(|said| said.seq.distance(iss) as u32 + said.payload.len() as u32).max().unwrap_or(1);
        said.extend(end.feed(ms(start + at), &segment(seq, ack.min(sent.max(1)), start + at, payload)));
    }
    let (octets, more) = end.read();
    assert_eq!(octets.len(), case.early.len() + 8 + 100 + 13);
    said.extend(more);
    said.extend(end.run_until(ms(start + 30_000)));
    let relative = |said: &Said| {
        let mut options = said.options;
        for block in &mut options.sack {
            (block.left, block.right) = (Seq(block.left.0.wrapping_sub(IRS.0)), Seq(block.right.0.wrapping_sub(IRS.0)));
        }
        if let Some(ts) = &mut options.ts {
            ts.ts_val = ts.ts_val.wrapping_sub(ts_val);
        }
        format!(
            "{} {:?} seq {} ack {} win {} len {} {options:?}",
            said.at,
            said.flags,
            said.seq.distance(iss),
            said.ack.distance(IRS),
            said.window,
            said.payload.len()
        )
    };
    said.iter().map(relative).collect()
}

fn compare(congestion: &str, case: &Case) {
    let control = match congestion {
        "none" => tcp::CongestionControl::None,
        "reno" => tcp::CongestionControl::Reno,
        _ => tcp::CongestionControl::Cubic,
    };
    let expected = play(&mut Bare::new(control, case.options.ts.is_some()), case);
    let mut wire =
        Wire::new(|config| config.congestion = congestion::by_name(congestion).expect("a built-in controller"));
    let listener = wire.listen(1);
    let got = play(&mut Ours { wire, listener, accepted: None }, case);
    // The echo is TS.Recent here (RFC 7323, section 4.3); smoltcp echoes the latest TSval.
    let without_echo = |text: &String| {
        let (head, tail) = text.split_once("ts_ecr: ").unwrap_or((text, ""));
        format!("{head}{}", tail.trim_start_matches(|c: char| c.is_ascii_digit()))
    };
    for (at, (expected, got)) in expected.iter().map(without_echo).zip(got.iter().map(without_echo)).enumerate() {
        assert_eq!(got, expected, "segment {at} (left: the host, right: smoltcp), {case:?}");
    }
    assert_eq!(got.len(), expected.len(), "{case:?}\n{got:#?}\n{expected:#?}");
    assert!(got.len() > 10, "the script makes both talk: {got:#?}");
}

#[test]
fn a_half_open_record_becomes_the_connection_that_smoltcp_would_have_made() {
    for bits in 0_u8..16 {
        let has = |bit: u8| bits & 1 << bit != 0;
        let options = Options {
            mss: has(0).then_some(1200),
            wscale: has(1).then_some(3),
            sack_permitted: has(2),
            ts: has(3).then_some(Timestamps { ts_val: 5000, ts_ecr: 0 }),
            ..Options::default()
        };
        for ack_at in [0, 40, 999, 1040, 3040, 7500] {
            for windows in [(65_000, 65_000), (4000, 3000), (0, 8000)] {
                for early in [b"".as_slice(), b"early"] {
                    for congestion in ["none", "reno", "cubic"] {
                        compare(congestion, &Case { options, ack_at, windows, early });
                    }
                }
            }
        }
    }
}
