//! Packets that no host may send, and replies to strangers (RFC 1122, sections 3.2.1.3, 3.2.2 and 4.2.3.10; RFC 4291; RFC 4443,
//! section 2.4). The host has a TCP listener and a UDP echo on every address.

use std::net::{IpAddr, SocketAddr};

use tcplab::event::{DropReason, HostEvent, LimitedReply};
use tcplab::segment::{Flags, Packet, PacketMeta, Segment, SegmentTemplate, complete_checksums};
use tcplab::socket::{Domain, Fd, Host, HostConfig, MsgFlags, Type};
use tcplab::time::{Duration, Instant};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

struct Alone {
    host: Host,
    echo: Fd,
    now: Instant,
}

impl Alone {
    fn new(change: impl FnOnce(&mut HostConfig)) -> Self {
        let own = [("192.0.2.1", 24), ("2001:db8::1", 64)];
        let addresses = own.map(|(addr, prefix)| (addr.parse().expect("an address"), prefix)).to_vec();
        let mut config = HostConfig { seed: 4, addresses, ..HostConfig::default() };
        change(&mut config);
        let mut host = Host::new(&config);
        host.observe_events(true);
        let bound = |host: &mut Host, kind, port: u16| {
            let fd = host.socket(Domain::Inet6, kind).expect("socket");
            host.bind(fd, SocketAddr::new("::".parse().expect("an address"), port)).expect("bind");
            fd
        };
        let listener = bound(&mut host, Type::Stream, 80);
        host.listen(listener, 8).expect("listen");
        let echo = bound(&mut host, Type::Datagram, 7);
        Self { host, echo, now: Instant::EPOCH }
    }

    /// The packets that follow from one. The echo server has had its turn. More than 100 are an endless exchange.
    fn feed(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut packet = Packet { bytes: bytes.to_vec(), ..Packet::default() };
        self.host.handle_packet(self.now, &mut packet);
        let mut sent = Vec::new();
        loop {
            let before = sent.len();
            while self.host.poll_transmit(self.now, &mut packet) {
                sent.push(packet.bytes.clone());
            }
            let mut text = [0; 2000];
            while let Ok((len, from)) = self.host.recvfrom(self.echo, &mut text, MsgFlags::NONE) {
                let _ = self.host.sendto(self.echo, &text[..len], MsgFlags::NONE, Some(from.expect("a sender")));
                sent.push(Vec::new());
            }
            assert!(sent.len() < 100, "an endless exchange");
            if sent.len() == before {
                sent.retain(|bytes| !bytes.is_empty());
                return sent;
            }
        }
    }

    fn drops(&mut self) -> Vec<DropReason> {
        std::iter::from_fn(|| self.host.poll_event())
            .filter_map(|event| match event {
                HostEvent::Dropped { why } => Some(why),
                _ => None,
            })
            .collect()
    }

    /// Asserts that the packet is dropped for this reason, that the counter counts it, and that nothing answers it.
    #[track_caller]
    fn refuses(&mut self, bytes: &[u8], why: DropReason, what: &str) {
        let before = self.host.counters().dropped(why);
        assert_eq!(self.feed(bytes), Vec::<Vec<u8>>::new(), "{what}: nothing is sent");
        assert_eq!(self.drops(), [why], "{what}");
        assert_eq!(self.host.counters().dropped(why), before + 1, "{what}");
        assert_eq!(self.host.next_at(), None, "{what}: nothing follows later");
    }
}

/// A packet, header by header, with right checksums. `options`: IPv4 options, or IPv6 extension headers with the first number.
fn packet(src: &str, dst: &str, protocol: u8, options: &[u8], first: u8, payload: &[u8]) -> Vec<u8> {
    let [src, dst]: [IpAddr; 2] = [src, dst].map(|addr| addr.parse().expect("an address"));
    let mut bytes = Vec::new();
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let len = 20 + options.len() + payload.len();
            bytes.extend([
                0x45 + (options.len() / 4) as u8,
                0,
                (len >> 8) as u8,
                len as u8,
                0,
                0,
                0,
                0,
                64,
                protocol,
                0,
                0,
            ]);
            bytes.extend(src.octets());
            bytes.extend(dst.octets());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let len = options.len() + payload.len();
            let first = if options.is_empty() { protocol } else { first };
            bytes.extend([0x60, 0, 0, 0, (len >> 8) as u8, len as u8, first, 64]);
            bytes.extend(src.octets());
            bytes.extend(dst.octets());
        }
        _ => panic!("two versions"),
    }
    bytes.extend(options);
    bytes.extend(payload);
    let mut packet = Packet { bytes, meta: PacketMeta { checksums_missing: true, ..PacketMeta::default() } };
    complete_checksums(&mut packet);
    packet.bytes
}

fn udp(from: u16, to: u16) -> Vec<u8> {
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &[0, 12, 0, 0], b"text"].concat()
}

fn syn(to: u16) -> Vec<u8> {
    [&4000_u16.to_be_bytes()[..], &to.to_be_bytes(), &[0, 0, 1, 0, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]]
        .concat()
}

fn ping(v6: bool) -> Vec<u8> {
    vec![if v6 { 128 } else { 8 }, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4]
}

/// Every kind of packet that a host answers, from one end to the other.
fn kinds(src: &str, dst: &str) -> Vec<(&'static str, Vec<u8>)> {
    let v6 = dst.contains(':');
    let icmp = if v6 { ICMPV6 } else { ICMP };
    vec![
        ("a SYN for a listener", packet(src, dst, TCP, &[], 0, &syn(80))),
        ("a SYN for a closed port", packet(src, dst, TCP, &[], 0, &syn(81))),
        ("a datagram for the echo port", packet(src, dst, UDP, &[], 0, &udp(4000, 7))),
        ("a datagram from echo to echo", packet(src, dst, UDP, &[], 0, &udp(7, 7))),
        ("a datagram for a closed port", packet(src, dst, UDP, &[], 0, &udp(4000, 9))),
        ("an echo request", packet(src, dst, icmp, &[], 0, &ping(v6))),
        ("an unknown protocol", packet(src, dst, 253, &[], 0, &[1, 2, 3, 4])),
    ]
}

#[test]
fn packets_from_sources_that_no_other_host_can_have_are_dropped_and_counted() {
    let own = ["192.0.2.1", "2001:db8::1"];
    let loopback = ["127.0.0.1", "127.255.255.254", "::1"];
    let broadcast = ["255.255.255.255", "192.0.2.255", "192.0.2.0"];
    let multicast = ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::2"];
    let reserved = ["240.0.0.1", "254.255.255.255", "0.0.0.0", "0.1.2.3", "::", "::ffff:192.0.2.9"];
    let mut alone = Alone::new(|_| {});
    for src in [&own[..], &loopback, &broadcast, &multicast, &reserved].concat() {
        let dst = if src.contains(':') { own[1] } else { own[0] };
        for (what, bytes) in kinds(src, dst) {
            alone.refuses(&bytes, DropReason::BadSource, &format!("{what} from {src}"));
        }
    }
}

#[test]
fn packets_to_addresses_that_are_no_unicast_address_of_the_host_are_dropped_and_counted() {
    let mut alone = Alone::new(|_| {});
    let v4 =
        ["255.255.255.255", "192.0.2.255", "192.0.2.0", "224.0.0.1", "240.0.0.1", "0.0.0.0", "192.0.2.7", "127.0.0.1"];
    for dst in v4 {
        for (what, bytes) in kinds("192.0.2.2", dst) {
            alone.refuses(&bytes, DropReason::NotLocal, &format!("{what} to {dst}"));
        }
    }
    let mapped = packet("::ffff:192.0.2.2", "::ffff:192.0.2.1", UDP, &[], 0, &udp(4000, 7));
    alone.refuses(&mapped, DropReason::BadSource, "mapped addresses");
    for dst in ["ff02::1", "::", "2001:db8::7", "::1"] {
        for (what, bytes) in kinds("2001:db8::2", dst) {
            alone.refuses(&bytes, DropReason::NotLocal, &format!("{what} to {dst}"));
        }
    }
}

#[test]
fn packets_from_another_host_are_answered_once_each() {
    for (src, dst) in [("192.0.2.2", "192.0.2.1"), ("198.51.100.255", "192.0.2.1"), ("2001:db8::2", "2001:db8::1")] {
        for (what, bytes) in kinds(src, dst) {
            let mut alone = Alone::new(|_| {});
            assert_eq!(
                alone.feed(&bytes).len(),
                1,
                "{what} from {src}: a datagram from echo to echo is legitimate too"
            );
            assert!(alone.drops().iter().all(|why| *why == DropReason::NoSocket));
        }
    }
}

#[test]
fn a_forged_segment_cannot_touch_a_connection_of_the_host_with_itself() {
    let mut alone = Alone::new(|_| {});
    let client = alone.host.socket(Domain::Inet, Type::Stream).expect("socket");
    let _ = alone.host.connect(client, "192.0.2.1:80".parse().expect("an end"));
    let mut packet = Packet::default();
    assert!(!alone.host.poll_transmit(alone.now, &mut packet), "it stays inside the host");
    assert_eq!(alone.host.connect(client, "192.0.2.1:80".parse().expect("an end")), Ok(()));
    let local = alone.host.getsockname(client).expect("an end");
    alone.drops();
    let forged = SegmentTemplate { flags: Flags::RST, ..SegmentTemplate::new("192.0.2.1:80".parse().unwrap(), local) };
    alone.refuses(&forged.to_bytes(), DropReason::BadSource, "a forged RST");
}

#[test]
fn packets_with_malformed_options_or_source_routes_are_dropped_and_counted() {
    let mut alone = Alone::new(|_| {});
    let v4: [(&str, &[u8], DropReason); 7] = [
        ("a length of zero", &[7, 0, 4, 0], DropReason::IpOptions),
        ("a length of one", &[130, 1, 0, 0], DropReason::IpOptions),
        ("a length beyond the header", &[7, 11, 4, 0, 0, 0, 0, 0], DropReason::IpOptions),
        ("a record route whose pointer is too small", &[7, 7, 3, 0, 0, 0, 0, 0], DropReason::IpOptions),
        ("a timestamp with an unknown flag", &[68, 8, 5, 2, 0, 0, 0, 0], DropReason::IpOptions),
        ("a loose source route", &[131, 7, 4, 192, 0, 2, 9, 0], DropReason::SourceRoute),
        ("a strict source route that is used up", &[137, 7, 8, 192, 0, 2, 9, 0], DropReason::SourceRoute),
    ];
    let payloads = |v6| [(TCP, syn(80)), (UDP, udp(4000, 7)), (if v6 { ICMPV6 } else { ICMP }, ping(v6))];
    for (what, options, why) in v4 {
        for (protocol, payload) in payloads(false) {
            alone.refuses(&packet("192.0.2.2", "192.0.2.1", protocol, options, 0, &payload), why, what);
        }
    }
    let v6: [(&str, u8, [u8; 6], DropReason); 6] = [
        ("a routing header of type 0", 43, [0, 1, 0, 0, 0, 0], DropReason::SourceRoute),
        ("a routing header of an unknown type", 43, [99, 1, 0, 0, 0, 0], DropReason::SourceRoute),
        ("an option that must not be skipped", 60, [0x40, 4, 0, 0, 0, 0], DropReason::IpOptions),
        ("an option that must be reported", 0, [0xc0, 4, 0, 0, 0, 0], DropReason::IpOptions),
        ("an option longer than its header", 60, [1, 9, 0, 0, 0, 0], DropReason::IpOptions),
        ("padding that is not zero", 0, [1, 4, 0, 0, 7, 0], DropReason::IpOptions),
    ];
    for (what, first, content, why) in v6 {
        for (protocol, payload) in payloads(true) {
            let extension = [&[protocol, 0][..], &content].concat();
            let bytes = packet("2001:db8::2", "2001:db8::1", protocol, &extension, first, &payload);
            alone.refuses(&bytes, why, what);
        }
    }
}

#[test]
fn a_routing_header_whose_checksum_counts_the_next_address_is_a_source_route() {
    let mut alone = Alone::new(|_| {});
    let next: std::net::Ipv6Addr = "2001:db8::9".parse().expect("an address");
    let route = [&[UDP, 2, 0, 1, 0, 0, 0, 0][..], &next.octets()].concat();
    let sound = packet("2001:db8::2", "2001:db8::9", UDP, &[], 0, &udp(4000, 7));
    let mut bytes = packet("2001:db8::2", "2001:db8::1", UDP, &route, 43, &udp(4000, 7));
    let end = bytes.len();
    bytes[end - 12..].copy_from_slice(&sound[40..]);
    alone.refuses(&bytes, DropReason::SourceRoute, "a routing header of type 0");
}

#[test]
fn sound_options_and_used_up_routing_headers_change_nothing() {
    for options in [&[1, 1, 1, 0][..], &[7, 7, 4, 0, 0, 0, 0, 0], &[148, 4, 0, 0], &[222, 4, 1, 2]] {
        let mut alone = Alone::new(|_| {});
        let said = alone.feed(&packet("192.0.2.2", "192.0.2.1", UDP, options, 0, &udp(4000, 7)));
        assert_eq!((said.len(), alone.drops()), (1, Vec::new()), "{options:?}");
        assert_eq!(said[0].len(), 32, "the answer has no options");
    }
    for (first, content) in [(43, [0, 0, 0, 0, 0, 0]), (60, [0x1e, 4, 9, 9, 9, 9]), (0, [5, 2, 0, 0, 1, 0])] {
        let mut alone = Alone::new(|_| {});
        let extension = [&[UDP, 0][..], &content].concat();
        let said = alone.feed(&packet("2001:db8::2", "2001:db8::1", UDP, &extension, first, &udp(4000, 7)));
        assert_eq!((said.len(), alone.drops()), (1, Vec::new()), "{first}");
    }
}

#[test]
fn there_is_no_icmp_error_about_an_icmp_error_or_a_fragment() {
    let mut alone = Alone::new(|_| {});
    let inner = packet("192.0.2.1", "192.0.2.2", UDP, &[], 0, &udp(9, 4000));
    for kind in [3, 4, 5, 11, 12] {
        let error = [&[kind, 3, 0, 0, 0, 0, 0, 0][..], &inner].concat();
        assert_eq!(alone.feed(&packet("192.0.2.2", "192.0.2.1", ICMP, &[], 0, &error)), Vec::<Vec<u8>>::new());
    }
    let inner = packet("2001:db8::1", "2001:db8::2", UDP, &[], 0, &udp(9, 4000));
    for kind in [1, 2, 3, 4, 100, 127] {
        let error = [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &inner].concat();
        assert_eq!(alone.feed(&packet("2001:db8::2", "2001:db8::1", ICMPV6, &[], 0, &error)), Vec::<Vec<u8>>::new());
    }
    let mut first = packet("192.0.2.2", "192.0.2.1", UDP, &[], 0, &udp(4000, 9));
    first[6] = 0x20;
    let mut fragment = Packet { bytes: first, meta: PacketMeta { checksums_missing: true, ..PacketMeta::default() } };
    complete_checksums(&mut fragment);
    alone.drops();
    alone.refuses(&fragment.bytes, DropReason::Fragment, "a first fragment");
}

fn limited(alone: &mut Alone) -> Vec<LimitedReply> {
    std::iter::from_fn(|| alone.host.poll_event())
        .filter_map(|event| match event {
            HostEvent::Limited { reply } => Some(reply),
            _ => None,
        })
        .collect()
}

#[test]
fn a_stranger_gets_six_icmp_errors_at_once_and_then_one_a_second() {
    for (src, dst) in [("192.0.2.2", "192.0.2.1"), ("2001:db8::2", "2001:db8::1")] {
        let mut alone = Alone::new(|_| {});
        let closed = packet(src, dst, UDP, &[], 0, &udp(4000, 9));
        let count = |alone: &mut Alone, packets: usize| (0..packets).map(|_| alone.feed(&closed).len()).sum::<usize>();
        assert_eq!(count(&mut alone, 10), 6);
        assert_eq!(limited(&mut alone), [LimitedReply::IcmpError; 4]);
        assert_eq!(alone.host.counters().icmp_errors_limited, 4);
        alone.now = Instant::from_nanos(999_999_999);
        assert_eq!(count(&mut alone, 1), 0);
        alone.now = Instant::from_secs(1);
        assert_eq!(count(&mut alone, 3), 1);
        // An unknown protocol is limited together with it, an echo request is not limited.
        assert_eq!(alone.feed(&packet(src, dst, 253, &[], 0, &[1, 2, 3, 4])).len(), 0);
        let v6 = dst.contains(':');
        let echo = packet(src, dst, if v6 { ICMPV6 } else { ICMP }, &[], 0, &ping(v6));
        assert_eq!((0..100).map(|_| alone.feed(&echo).len()).sum::<usize>(), 100);
    }
}

#[test]
fn ten_thousand_strangers_get_fifty_icmp_errors_at_once_and_a_thousand_in_a_second() {
    let mut alone = Alone::new(|_| {});
    let stranger = |n: u32| format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255);
    let closed = |n| packet(&stranger(n), "192.0.2.1", UDP, &[], 0, &udp(4000, 9));
    assert_eq!((1..=1_000).map(|n| alone.feed(&closed(n)).len()).sum::<usize>(), 50);
    let mut sent = 0;
    for n in 1_001..=11_000 {
        alone.now += Duration::from_micros(100);
        sent += alone.feed(&closed(n)).len();
    }
    assert_eq!(sent, 1_000);
    assert_eq!(alone.host.counters().icmp_errors_limited, 11_000 - 1_050);
}

#[test]
fn strangers_get_two_hundred_rsts_at_once_and_a_thousand_in_a_second() {
    let mut alone = Alone::new(|_| {});
    let mut rst = |n: u16, now: Instant| {
        alone.now = now;
        let closed = SegmentTemplate {
            flags: Flags::SYN,
            ..SegmentTemplate::new(at(1024 + n), "192.0.2.1:81".parse().unwrap())
        };
        let said = alone.feed(&closed.to_bytes());
        for bytes in &said {
            let ip = tcplab::segment::IpView::parse(bytes).expect("a packet");
            assert!(Segment::parse(&ip).expect("a segment").flags.contains(Flags::RST));
        }
        said.len()
    };
    assert_eq!((0..1_000).map(|n| rst(n, Instant::EPOCH)).sum::<usize>(), 200);
    let spread = (1..=10_000_u16).map(|n| rst(n, Instant::from_micros(100 * u64::from(n)))).sum::<usize>();
    assert_eq!(spread, 1_000);
    assert_eq!(alone.host.counters().resets_limited, 9_800);
    assert_eq!(limited(&mut alone).len(), 9_800);
    assert_eq!(alone.host.counters().dropped(DropReason::NoSocket), 11_000, "each segment is counted");
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::new("192.0.2.2".parse().expect("an address"), port)
}

#[test]
fn a_host_limits_nothing_that_it_sends_to_itself() {
    let mut alone = Alone::new(|_| {});
    for _ in 0..1_000 {
        let client = alone.host.socket(Domain::Inet, Type::Stream).expect("socket");
        let _ = alone.host.connect(client, "192.0.2.1:81".parse().expect("an end"));
        assert!(!alone.host.poll_transmit(alone.now, &mut Packet::default()));
        assert_eq!(
            alone.host.connect(client, "192.0.2.1:81".parse().expect("an end")),
            Err(tcplab::socket::Errno::ECONNREFUSED)
        );
        alone.host.close(client).expect("close");
    }
    assert_eq!(alone.host.counters().resets_limited, 0);
}
