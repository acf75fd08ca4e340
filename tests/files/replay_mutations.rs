//! The comparison is itself compared: a recording in which one thing was changed must not pass, and one in which nothing
//! was must. The program on our side is the real one, so that nothing of the recording tells it what to do.
#![cfg(feature = "replay")]

use std::io::{self, Cursor};
use std::net::SocketAddr;
use std::path::Path;

use crate::programs;
use tcplab::app::{Listen, echo};
use tcplab::capture::{Capture, Direction, Reader, Settings};
use tcplab::net::{Net, TcpStream};
use tcplab::replay::{Mode, Outcome, Replay, Role, Verdict};
use tcplab::rng::Rng;
use tcplab::segment::{Flags, IpView, Options, Segment, SegmentTemplate};
use tcplab::sim::Sim;
use tcplab::time::Instant;

const SERVER: &str = "192.0.2.1:7";

async fn serve(net: Net) -> io::Result<()> {
    echo::server(net, Listen::new(SERVER.parse().expect("an address"))).await
}

/// Three questions, each after the answer to the one before; then the client closes.
async fn ask(net: Net) -> io::Result<()> {
    let stream = TcpStream::connect(&net, SERVER.parse().expect("an address")).await?;
    for len in [100, 3_000, 500_usize] {
        let question: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        stream.write_all(&question).await?;
        stream.read_exact(&mut vec![0; len]).await?;
    }
    stream.shutdown_write()?;
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

/// One packet of a recording, to be changed.
#[derive(Clone)]
struct Packet {
    at: Instant,
    direction: Option<Direction>,
    src: SocketAddr,
    dst: SocketAddr,
    seq: u32,
    ack: u32,
    flags: Flags,
    window: u16,
    options: Options,
    payload: Vec<u8>,
    ttl: u8,
}

impl Packet {
    fn bytes(&self) -> Vec<u8> {
        let (seq, ack) = (tcplab::segment::Seq(self.seq), tcplab::segment::Seq(self.ack));
        let Self { flags, window, options, ttl, .. } = *self;
        let plain = SegmentTemplate::new(self.src, self.dst);
        SegmentTemplate { seq, ack, flags, window, options, payload: &self.payload, ttl, ..plain }.to_bytes()
    }
}

/// The conversation as captured at one of its hosts.
fn record(role: Role) -> Vec<Packet> {
    let sim = Sim::seeded(3);
    let (client, server) = (sim.host("client", "192.0.2.2/24"), sim.host("server", "192.0.2.1/24"));
    sim.link(&client, &server, "rate=10Mbit,delay=10ms");
    let path = programs::scratch(&format!("mutations-{role}-{:?}.pcapng", std::thread::current().id()));
    let at = if role == Role::Client { client.id() } else { server.id() };
    let capture = sim.observe(Settings::default().at(at).create(&path).expect("a place for it"));
    server.spawn_daemon(serve);
    client.spawn(ask);
    sim.run_until_idle();
    capture.borrow_mut().close().expect("written");
    read(&path)
}

fn read(path: &Path) -> Vec<Packet> {
    let mut reader = Reader::open(path).expect("a capture");
    let mut packets = Vec::new();
    while let Some(record) = reader.next_record() {
        let record = record.expect("a record");
        let bytes = record.packet.expect("a packet");
        let segment = Segment::parse(&IpView::parse(bytes).expect("IP")).expect("a segment");
        let Segment { src, dst, seq, ack, flags, window, options, payload, ttl, ecn: _ } = segment;
        let (at, direction, payload) = (record.at, record.direction, payload.to_vec());
        packets.push(Packet { at, direction, src, dst, seq: seq.0, ack: ack.0, flags, window, options, payload, ttl });
    }
    packets
}

fn write(packets: &[Packet]) -> Vec<u8> {
    let path = programs::scratch(&format!("mutated-{:?}.pcapng", std::thread::current().id()));
    let mut capture = Capture::create(&path).expect("a place for it");
    for packet in packets {
        capture.packet(packet.at, packet.direction, &packet.bytes(), None);
    }
    capture.close().expect("written");
    std::fs::read(path).expect("written a moment ago")
}

fn replay(packets: &[Packet], role: Role, mode: Mode) -> Outcome {
    let replay = Replay::from_read(Cursor::new(write(packets)), "mutated.pcapng").expect("a capture");
    let replay = replay.role(role).mode(mode);
    let replay = if role == Role::Client { replay.program(ask) } else { replay.program(serve) };
    replay.run().expect("nothing is written").outcomes.remove(0)
}

fn ours(packet: &Packet, role: Role) -> bool {
    (packet.dst.port() == 7) == (role == Role::Client)
}

const BOTH: [Role; 2] = [Role::Client, Role::Server];

#[test]
fn what_was_not_changed_passes() {
    for role in BOTH {
        let packets = record(role);
        assert!(packets.len() >= 14, "{}", packets.len());
        for mode in [Mode::Strict, Mode::Semantic] {
            let outcome = replay(&packets, role, mode);
            assert_eq!(outcome.verdict, Verdict::Pass, "{outcome}\n{:?}", outcome.notes);
        }
    }
}

/// Applies `change` to each packet of ours in turn (it says whether it could), and replays what comes of it.
fn each(mode: Mode, change: impl Fn(&mut Vec<Packet>, usize) -> bool) -> Vec<(usize, Role, Outcome)> {
    let mut outcomes = Vec::new();
    for role in BOTH {
        let packets = record(role);
        for at in (0..packets.len()).filter(|at| ours(&packets[*at], role)) {
            let mut changed = packets.clone();
            if change(&mut changed, at) {
                outcomes.push((at, role, replay(&changed, role, mode)));
            }
        }
    }
    assert!(!outcomes.is_empty(), "nothing was changed");
    outcomes
}

#[track_caller]
fn all_found(outcomes: &[(usize, Role, Outcome)]) {
    for (at, role, outcome) in outcomes {
        assert_ne!(outcome.verdict, Verdict::Pass, "packet {} changed, as {role}: {outcome}", at + 1);
    }
}

fn flip(packets: &mut [Packet], at: usize) -> bool {
    let Some(octet) = packets[at].payload.last_mut() else { return false };
    *octet ^= 1;
    true
}

fn drop_one(packets: &mut Vec<Packet>, at: usize) -> bool {
    packets.remove(at);
    true
}

fn swap(packets: &mut [Packet], at: usize) -> bool {
    let Some(next) = packets.get(at + 1) else { return false };
    let (first, second) = (packets[at].at, next.at);
    packets.swap(at, at + 1);
    (packets[at].at, packets[at + 1].at) = (first, second);
    true
}

#[test]
fn strict_finds_every_single_change() {
    all_found(&each(Mode::Strict, |packets, at| flip(packets, at)));
    all_found(&each(Mode::Strict, drop_one));
    all_found(&each(Mode::Strict, |packets, at| swap(packets, at)));
    for flag in [Flags::PSH, Flags::FIN, Flags::RST, Flags::URG, Flags::SYN, Flags::ACK] {
        all_found(&each(Mode::Strict, |packets, at| {
            packets[at].flags = Flags(packets[at].flags.0 ^ flag.0);
            true
        }));
    }
    for shift in [1_u32, u32::MAX] {
        all_found(&each(Mode::Strict, |packets, at| {
            packets[at].ack = packets[at].ack.wrapping_add(shift);
            packets[at].flags.contains(Flags::ACK)
        }));
        all_found(&each(Mode::Strict, |packets, at| {
            packets[at].seq = packets[at].seq.wrapping_add(shift);
            // The initial number is taken off: with it everything would have to move.
            !packets[at].flags.contains(Flags::SYN)
        }));
        all_found(&each(Mode::Strict, |packets, at| {
            packets[at].window = packets[at].window.wrapping_add(shift as u16);
            true
        }));
    }
    all_found(&each(Mode::Strict, |packets, at| {
        packets[at].options.mss = packets[at].options.mss.map(|mss| mss - 1);
        packets[at].options.mss.is_some()
    }));
    all_found(&each(Mode::Strict, |packets, at| {
        packets[at].ttl -= 1;
        true
    }));
}

#[test]
fn strict_says_which_packet_and_marks_the_field() {
    let outcomes = each(Mode::Strict, |packets, at| {
        packets[at].window = 1;
        at > 2
    });
    for (at, _, outcome) in outcomes.iter().filter(|(at, ..)| *at > 6) {
        assert_eq!(outcome.packet, Some(*at as u64 + 1), "{outcome}");
        let lines: Vec<_> = outcome.reason.lines().collect();
        let [said, recorded, replayed, marks] = lines.as_slice() else { panic!("{outcome}") };
        assert!(said.starts_with("win: expected 1, got "), "{outcome}");
        assert!(recorded.ends_with("|   recorded") && replayed.ends_with("|   replayed"), "{outcome}");
        let place = replayed.find(" win ").expect("the window is shown") + 5;
        assert_eq!(marks.find('^'), Some(place), "{outcome}");
    }
}

#[test]
fn semantic_finds_other_bytes_and_missing_ones() {
    all_found(&each(Mode::Semantic, |packets, at| flip(packets, at)));
    all_found(&each(Mode::Semantic, |packets, at| !packets[at].payload.is_empty() && drop_one(packets, at)));
}

/// What was changed on the other side shows in what our side answers.
#[test]
fn semantic_finds_other_bytes_of_the_peer() {
    let packets = record(Role::Server);
    for at in (0..packets.len()).filter(|at| !ours(&packets[*at], Role::Server) && !packets[*at].payload.is_empty()) {
        let mut changed = packets.clone();
        flip(&mut changed, at);
        let outcome = replay(&changed, Role::Server, Mode::Semantic);
        assert_eq!(outcome.verdict, Verdict::Differs, "{outcome}");
        assert!(outcome.reason.starts_with("bytes of our side: at offset "), "{outcome}");
    }
}

#[test]
fn semantic_finds_another_kind_of_close_and_another_place() {
    let fin = |packets: &[Packet], at: usize| packets[at].flags.contains(Flags::FIN);
    let reset = each(Mode::Semantic, |packets, at| {
        let found = fin(packets, at);
        packets[at].flags = Flags(packets[at].flags.0 & !Flags::FIN.0 | Flags::RST.0);
        found
    });
    all_found(&reset);
    let none = each(Mode::Semantic, |packets, at| {
        let found = fin(packets, at);
        packets[at].flags = packets[at].flags.without(Flags::FIN);
        found
    });
    all_found(&none);
    // The FIN on the last segment with text before it, which loses its end.
    let earlier = each(Mode::Semantic, |packets, at| {
        if !fin(packets, at) {
            return false;
        }
        let src = packets[at].src;
        let Some(text) = packets[..at].iter().rposition(|p| p.src == src && p.payload.len() > 10) else { return false };
        let cut = packets[text].payload.len() - 5;
        packets[text].payload.truncate(cut);
        packets[text].flags = packets[text].flags | Flags::FIN;
        packets.remove(at);
        true
    });
    all_found(&earlier);
}

/// Whatever numbers, flags and lengths packets have: a verdict.
#[test]
fn packets_with_any_numbers_give_a_verdict_and_never_a_panic() {
    let cases = std::env::var("TCPLAB_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1_500);
    let recorded = BOTH.map(record);
    for case in 0..cases {
        let mut rng = Rng::new(case, "any numbers in a replayed capture");
        let mut packets = recorded[rng.below(2) as usize].clone();
        for _ in 0..=rng.below(4) {
            let at = rng.below(packets.len() as u64) as usize;
            let odd = [0, 1, u32::MAX, 0x7fff_ffff, 0x8000_0000, rng.next_u32(), rng.below(5_000) as u32];
            let number = odd[rng.below(7) as usize];
            let packet = &mut packets[at];
            match rng.below(12) {
                0 => packet.seq = number,
                1 => packet.ack = number,
                2 => packet.seq = packet.seq.wrapping_add(number),
                3 => packet.ack = packet.ack.wrapping_add(number),
                4 => packet.flags = Flags(rng.next_u32() as u8),
                5 => packet.window = number as u16,
                6 => packet.payload = vec![7; rng.below(3_000) as usize],
                7 => {
                    packet.options = Options { wscale: Some(number as u8), mss: Some(number as u16), ..packet.options }
                }
                8 => packet.options = Options::default(),
                9 => packet.at = Instant::from_nanos(u64::from(number) << rng.below(33)),
                10 => {
                    packets.remove(at);
                }
                _ => {
                    let to = rng.below(packets.len() as u64) as usize;
                    packets.swap(at, to);
                }
            }
            if packets.is_empty() {
                break;
            }
        }
        let mode = [Mode::Semantic, Mode::Strict][rng.below(2) as usize];
        let replay = Replay::from_read(Cursor::new(write(&packets)), "any.pcapng").expect("a capture");
        replay.role(Role::Both).mode(mode).run().expect("nothing is written");
    }
}
