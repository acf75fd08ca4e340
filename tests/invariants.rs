//! Invariants that running code shows: one egress for each connection touched in a batch (5), and a cost per packet that
//! does not grow with the number of connections (8). `streams.rs` compares the packets of the same seed (2) and counts
//! packets (6).

#![allow(unsafe_code, reason = "a counting allocator is an unsafe trait")]

#[path = "common/bare.rs"]
mod bare;

use core::cell::Cell;
use core::net::SocketAddr;
use std::alloc::{GlobalAlloc, Layout, System};

use bare::{Setting, Wire};
use tcplab::segment::{Flags, IpView, Options, Packet, Segment, SegmentTemplate, Seq};
use tcplab::socket::{Domain, Fd, Host, HostConfig, Type};
use tcplab::time::Instant;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes that are allocated and not freed.
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator; it counts what each thread asks for.
struct Counting;

// SAFETY: every call goes to the system's allocator as it is; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        let _ = LIVE.try_with(|live| live.set(live.get() + layout.size() as i64));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = LIVE.try_with(|live| live.set(live.get() - layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_batch_of_segments_is_acknowledged_once() {
    for setting in Setting::all() {
        for segments in [1_u32, 2, 7, 40] {
            let mut wire = Wire::established(setting, |config| config.rcv_buf = Some(60_000));
            let (rcv, nxt) = (wire.rcv_nxt, wire.snd_nxt);
            for nth in 0..segments {
                let segment = wire.segment(Flags::ACK, rcv + nth * 100, nxt, &[0; 100]);
                wire.feed(&segment);
            }
            let sent = wire.sent();
            assert_eq!(sent.len(), 1, "{segments} segments: {sent:?}");
            assert_eq!(sent[0].ack, rcv + segments * 100);
        }
    }
}

#[test]
fn an_answer_rides_on_the_one_egress_of_the_batch() {
    let mut wire = Wire::established(Setting::plain(), |_| {});
    let (rcv, nxt) = (wire.rcv_nxt, wire.snd_nxt);
    for nth in 0..5 {
        let segment = wire.segment(Flags::ACK, rcv + nth * 10, nxt, b"0123456789");
        wire.feed(&segment);
    }
    assert_eq!(wire.read().map(|octets| octets.len()), Ok(50));
    let sent = wire.write(b"thank you");
    assert_eq!((sent.len(), sent[0].ack, &sent[0].payload[..]), (1, rcv + 50, &b"thank you"[..]));
}

/// A server with many established connections, and the numbers of each.
struct Server {
    host: Host,
    now: Instant,
    listener: Fd,
    /// The client's SND.NXT and RCV.NXT.
    clients: Vec<(SocketAddr, Seq, Seq)>,
    packet: Packet,
    accepted: Vec<Fd>,
}

impl Server {
    fn new(connections: u32) -> Self {
        let config = HostConfig {
            addresses: vec![("192.0.2.1".parse().expect("an address"), 24)],
            rcv_buf: Some(1024),
            snd_buf: Some(1024),
            ack_delay: None,
            ..HostConfig::default()
        };
        let mut host = Host::new(&config);
        let listener = host.socket(Domain::Inet, Type::Stream).expect("socket");
        host.bind(listener, Self::address()).expect("bind");
        host.listen(listener, 4).expect("listen");
        let mut server = Self {
            host,
            now: Instant::from_secs(1),
            listener,
            clients: Vec::new(),
            packet: Packet::default(),
            accepted: Vec::new(),
        };
        (0..connections).for_each(|nth| server.open(nth));
        server
    }

    fn address() -> SocketAddr {
        "192.0.2.1:80".parse().expect("an address")
    }

    fn open(&mut self, nth: u32) {
        let client = SocketAddr::new([198, 18, (nth >> 8) as u8, nth as u8].into(), 4000);
        let syn = SegmentTemplate {
            seq: Seq(nth),
            flags: Flags::SYN,
            window: 60_000,
            options: Options { mss: Some(1460), ..Options::default() },
            ..SegmentTemplate::new(client, Self::address())
        };
        self.feed(&syn);
        let (iss, _) = self.next().expect("a SYN|ACK");
        self.clients.push((client, Seq(nth) + 1, iss + 1));
        self.say(nth as usize, b"");
        assert_eq!(self.next(), None);
        self.accepted.push(self.host.accept(self.listener).expect("a connection").0);
    }

    fn feed(&mut self, segment: &SegmentTemplate<'_>) {
        segment.write(&mut self.packet.bytes);
        self.host.handle_packet(self.now, &mut self.packet);
    }

    fn say(&mut self, nth: usize, payload: &[u8]) {
        let (client, seq, ack) = self.clients[nth];
        self.clients[nth].1 = seq + payload.len() as u32;
        let segment =
            SegmentTemplate { seq, ack, window: 60_000, payload, ..SegmentTemplate::new(client, Self::address()) };
        self.feed(&segment);
    }

    /// The next packet of the host: SEG.SEQ, and whose it is.
    fn next(&mut self) -> Option<(Seq, SocketAddr)> {
        self.host.poll_transmit(self.now, &mut self.packet).then(|| {
            let ip = IpView::parse(&self.packet.bytes).expect("a packet");
            let segment = Segment::parse(&ip).expect("a segment");
            (segment.seq, segment.dst)
        })
    }

    /// One client sends, the server reads, acknowledges, and says when it wants to be called again.
    fn exchange(&mut self, nth: usize) {
        self.say(nth, &[7; 64]);
        assert!(self.next().is_some() && self.next().is_none(), "one ACK");
        let mut buf = [0; 64];
        assert_eq!(self.host.read(self.accepted[nth], &mut buf), Ok(64));
        assert_eq!(self.next(), None);
        while self.host.poll_ready().is_some() {}
        let _ = self.host.next_at();
    }
}

#[test]
fn connections_are_given_their_egress_in_order_of_first_touch_and_each_once() {
    let mut server = Server::new(50);
    let order = [7, 3, 7, 49, 0, 3, 3, 12, 7];
    for nth in order {
        server.say(nth, b"data");
    }
    let sent: Vec<_> = core::iter::from_fn(|| server.next()).map(|(_, to)| to).collect();
    let expected: Vec<_> = [7, 3, 49, 0, 12].map(|nth| server.clients[nth].0).to_vec();
    assert_eq!(sent, expected);
}

/// Allocations are what can be counted everywhere; instructions are counted by the benchmarks. A packet that made the
/// host walk its connections would copy, sort or collect them.
#[test]
fn a_packet_costs_no_more_with_ten_thousand_connections_than_with_one() {
    let cost = |connections: u32| {
        let mut server = Server::new(connections);
        let nth = |packet: u32| (packet.wrapping_mul(2_654_435_761) % connections) as usize;
        // Queues and spare packets grow to their size first.
        (0..64).for_each(|packet| server.exchange(nth(packet)));
        let before = ALLOCATIONS.get();
        (0..1000).for_each(|packet| server.exchange(nth(packet)));
        ALLOCATIONS.get() - before
    };
    let costs = [1, 100, 10_000].map(cost);
    assert_eq!(costs, [0; 3], "allocations for 1,000 packets with 1, 100 and 10,000 connections");
}

#[test]
fn a_host_that_goes_gives_back_the_memory_of_its_connections() {
    // What is made once for a thread is made here.
    drop(Server::new(1));
    let before = LIVE.get();
    drop(Server::new(100));
    assert_eq!(LIVE.get() - before, 0, "bytes that nobody can free");
}
