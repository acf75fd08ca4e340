//! The table: its bound, its numbers, and which segments belong to which stream.

use core::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::segment::{Options, Seq};
use crate::time::Duration;

const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;
const RST: Flags = Flags::RST;
const FIN_ACK: Flags = Flags(0x11);
const SYN_ACK: Flags = Flags(0x12);
const RST_ACK: Flags = Flags(0x14);

static BYTES: [u8; 2000] = [7; 2000];

fn end(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), port))
}

fn server() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(198, 51, 100, 2), 80))
}

/// Segments of the client with this port (`true`) and of the server, a millisecond apart.
struct Feed {
    table: Table,
    now: Instant,
    port: u16,
}

impl Feed {
    fn new(limit: usize) -> Self {
        Self { table: Table::with_limit(limit), now: Instant::EPOCH, port: 1000 }
    }

    /// The number of the stream, and what the segment is.
    fn send(&mut self, client: bool, flags: Flags, seq: u32, ack: u32, len: usize) -> (usize, Observed) {
        self.now += Duration::from_millis(1);
        let (own, peer) = (end(self.port), server());
        let (src, dst) = if client { (own, peer) } else { (peer, own) };
        let (seq, ack) = (Seq(seq), Seq(ack));
        let (options, payload) = (Options::default(), &BYTES[..len]);
        let segment = Segment { src, dst, seq, ack, flags, window: 8000, options, payload, ttl: 64 };
        let (stream, observed) = self.table.observe(self.now, &segment);
        (stream.number, observed)
    }

    fn open(&mut self, iss: u32, irs: u32) -> usize {
        self.send(true, SYN, iss, 0, 0);
        self.send(false, SYN_ACK, irs, iss + 1, 0);
        self.send(true, ACK, iss + 1, irs + 1, 0).0
    }

    fn close_of(&self, number: usize) -> Close {
        self.table.get(number).expect("remembered").account.close
    }
}

#[test]
fn a_table_keeps_as_many_streams_as_its_limit_and_forgets_the_one_used_least_recently() {
    let mut feed = Feed::new(3);
    for port in 1..=3 {
        feed.port = port;
        assert_eq!(feed.open(100, 200), usize::from(port) - 1);
    }
    assert_eq!((feed.table.len(), feed.table.forgotten()), (3, 0));
    assert!(feed.table.take_forgotten().is_none());
    feed.port = 1;
    assert_eq!(feed.send(true, ACK, 101, 201, 10).0, 0, "used again");
    feed.port = 4;
    assert_eq!(feed.send(true, SYN, 7, 0, 0).0, 3);
    assert_eq!((feed.table.len(), feed.table.begun(), feed.table.forgotten()), (3, 4, 1));
    assert_eq!(feed.table.take_forgotten().expect("one was forgotten").number, 1);
    assert!(feed.table.take_forgotten().is_none());
    assert_eq!(feed.table.streams().map(|stream| stream.number).collect::<Vec<_>>(), [0, 2, 3]);
    feed.port = 2;
    let (number, observed) = feed.send(true, ACK, 101, 201, 10);
    assert_eq!((number, observed.seq, observed.ack), (4, 1, Some(1)), "seen from the middle, under a new number");
}

#[test]
fn a_stream_is_found_whichever_end_is_named_first_and_the_opener_is_the_local_side() {
    let mut feed = Feed::new(9);
    feed.send(false, SYN_ACK, 5000, 1001, 0);
    let (number, observed) = feed.send(true, SYN, 1000, 0, 0);
    assert_eq!((number, observed.from, observed.seen.data), (0, Side::Local, DataKind::OutOfOrder));
    for (one, other) in [(server(), end(1000)), (end(1000), server())] {
        let stream = feed.table.find(one, other).expect("a stream");
        assert_eq!((stream.ends, stream.account.opener), ([end(1000), server()], Some(Side::Local)));
    }
    let (_, observed) = feed.send(true, ACK, 1001, 5001, 10);
    assert_eq!((observed.seq, observed.ack, observed.seen.data), (1, Some(1), DataKind::New));
    assert!(feed.table.find(end(1), server()).is_none());
}

#[test]
fn a_syn_at_the_end_of_the_capture_belongs_to_what_follows_it_on_the_wire() {
    let mut feed = Feed::new(9);
    feed.send(true, ACK, 1001, 5001, 10);
    feed.send(false, ACK, 5001, 1011, 20);
    let (number, observed) = feed.send(true, SYN, 1000, 0, 0);
    assert_eq!((number, observed.seq, observed.seen.data), (0, 0, DataKind::OutOfOrder));
    assert_eq!(feed.send(true, ACK, 1011, 5021, 10).1.seq, 11);
    assert_eq!(feed.table.begun(), 1);
}

#[test]
fn refused_and_later_accepted_is_one_stream() {
    let mut feed = Feed::new(9);
    for _ in 0..2 {
        feed.send(true, SYN, 1000, 0, 0);
        assert_eq!(feed.close_of(0), Close::Open);
        feed.send(false, RST_ACK, 0, 1001, 0);
        assert_eq!(feed.close_of(0), Close::Refused(Side::Remote));
    }
    assert_eq!(feed.open(1000, 5000), 0);
    assert_eq!(feed.close_of(0), Close::Open);
    feed.send(true, FIN_ACK, 1001, 5001, 0);
    feed.send(false, FIN_ACK, 5001, 1002, 0);
    assert_eq!(feed.close_of(0), Close::Closed(Side::Local));
    assert_eq!(feed.table.begun(), 1);
}

#[test]
fn a_half_open_connection_recovers_as_figure_9_of_rfc_9293_has_it() {
    let mut feed = Feed::new(9);
    feed.send(true, SYN, 1000, 0, 0);
    feed.send(false, ACK, 7_777_777, 424_242, 0);
    feed.send(true, RST, 424_242, 0, 0);
    assert_eq!(feed.open(1000, 5000), 0);
    let (number, observed) = feed.send(false, ACK, 5001, 1001, 20);
    assert_eq!((number, observed.seq, observed.seen.data), (0, 1, DataKind::New));
    assert_eq!((feed.close_of(0), feed.table.begun()), (Close::Open, 1));
}

#[test]
fn of_two_syn_acks_the_one_that_is_acknowledged_counts() {
    for (acked, data) in [(5001, 5001), (16_000_001, 16_000_001)] {
        let mut feed = Feed::new(9);
        feed.send(true, SYN, 1000, 0, 0);
        feed.send(false, SYN_ACK, 5000, 1001, 0);
        let (_, observed) = feed.send(false, SYN_ACK, 16_000_000, 1001, 0);
        assert_eq!((observed.seq, observed.seen.data), (0, DataKind::Unacceptable));
        let (_, observed) = feed.send(true, ACK, 1001, acked, 0);
        assert_eq!((observed.ack, observed.seen.newly_acked()), (Some(1), 1));
        let (number, observed) = feed.send(false, ACK, data, 1001, 20);
        assert_eq!((number, observed.seq, observed.seen.data), (0, 1, DataKind::New));
        assert_eq!(feed.table.begun(), 1);
    }
}

#[test]
fn ports_used_again_are_another_stream_with_and_without_a_recorded_close() {
    for closed in [true, false] {
        let mut feed = Feed::new(9);
        feed.open(1000, 5000);
        if closed {
            feed.send(true, FIN_ACK, 1001, 5001, 0);
            feed.send(false, FIN_ACK, 5001, 1002, 0);
        }
        assert_eq!(feed.open(900_000, 7_000_000), 1);
        let (number, observed) = feed.send(false, ACK, 7_000_001, 900_001, 8);
        assert_eq!((number, observed.seq, observed.ack), (1, 1, Some(1)));
        let expected = if closed { Close::Closed(Side::Local) } else { Close::Open };
        assert_eq!((feed.close_of(0), feed.close_of(1), feed.table.begun()), (expected, Close::Open, 2));
        assert_eq!(feed.table.find(end(1000), server()).map(|stream| stream.number), Some(1));
    }
}

#[test]
fn a_syn_that_is_challenged_leaves_the_open_connection_to_go_on() {
    let mut feed = Feed::new(9);
    feed.open(1000, 5000);
    assert_eq!(feed.send(true, SYN, 900_000, 0, 0).0, 1);
    assert_eq!(feed.send(false, ACK, 5001, 1001, 0).0, 0, "the challenge ACK");
    assert_eq!(feed.send(true, ACK, 1001, 5001, 10).0, 0);
    assert_eq!(feed.send(true, RST, 1011, 0, 0).0, 0);
    assert_eq!(feed.send(true, SYN, 900_000, 0, 0).0, 1, "the same SYN again");
    assert_eq!(feed.send(false, RST_ACK, 0, 900_001, 0).0, 1);
    assert_eq!(feed.close_of(0), Close::Reset(Side::Local));
    assert_eq!(feed.close_of(1), Close::Refused(Side::Remote));
    assert_eq!(feed.table.begun(), 2);
}

#[test]
fn a_fin_with_an_old_number_ends_nothing() {
    let mut feed = Feed::new(9);
    feed.open(1000, 5000);
    feed.send(true, ACK, 1001, 5001, 50);
    feed.send(false, ACK, 5001, 1051, 0);
    feed.send(true, FIN_ACK, 1001, 5001, 0);
    assert_eq!(feed.close_of(0), Close::Open);
    feed.send(true, FIN_ACK, 1051, 5001, 0);
    assert_eq!(feed.close_of(0), Close::Half(Side::Local));
}
