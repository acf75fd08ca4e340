//! The table: its bound, its numbers, and which segments belong to which stream.

use core::net::{Ipv4Addr, SocketAddr};
use std::collections::BTreeMap;

use proptest::prelude::*;

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

fn segment_of(port: u16, client: bool, flags: Flags, seq: u32, ack: u32) -> Segment<'static> {
    let (own, peer) = (end(port), server());
    let (src, dst) = if client { (own, peer) } else { (peer, own) };
    let options = Options::default();
    Segment { src, dst, seq: Seq(seq), ack: Seq(ack), flags, window: 8000, options, payload: &[], ttl: 64, ecn: 0 }
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
        let segment = Segment { payload: &BYTES[..len], ..segment_of(self.port, client, flags, seq, ack) };
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
fn a_syn_flood_removes_no_connection_whose_handshake_has_finished() {
    let mut feed = Feed::new(64);
    for port in 1..=40 {
        feed.port = port;
        feed.open(100, 200);
    }
    for port in 1000..3000 {
        feed.port = port;
        feed.send(true, SYN, 7, 0, 0);
    }
    assert_eq!((feed.table.len(), feed.table.begun(), feed.table.forgotten()), (64, 2040, 1976));
    let kept: Vec<_> = feed.table.streams().map(|stream| stream.number).collect();
    assert_eq!(kept, (0..40).chain(2016..2040).collect::<Vec<_>>(), "and the newest of the others");
    // Connections take the places of the flood, but for one in eight.
    for port in 4000..4100 {
        feed.port = port;
        feed.open(100, 200);
    }
    let half_open = feed.table.streams().filter(|stream| stream.account.is_half_open()).count();
    assert_eq!((feed.table.len(), half_open), (64, 8));
}

#[test]
fn streams_whose_handshake_has_not_finished_have_a_limit_of_their_own() {
    let mut feed = Feed::new(1000);
    feed.table = Table::with_limit(1000).half_open_limit(3);
    for port in 1..=3 {
        feed.port = port;
        feed.send(true, SYN, 7, 0, 0);
    }
    assert_eq!(feed.table.len(), 3);
    feed.port = 4;
    feed.send(true, SYN, 7, 0, 0);
    assert_eq!(feed.table.streams().map(|stream| stream.number).collect::<Vec<_>>(), [1, 2, 3]);
    for port in 10..20 {
        feed.port = port;
        feed.open(100, 200);
    }
    assert_eq!(feed.table.len(), 12, "the others do not count");
}

#[test]
fn a_handshake_has_finished_when_a_side_goes_on_behind_its_syn_or_both_sides_speak() {
    let half_open = |passes: &[(bool, Flags)]| {
        let mut feed = Feed::new(9);
        for (client, flags) in passes {
            let (own, peer) = if *client { (101, 201) } else { (201, 101) };
            let own = if flags.intersects(SYN) { own - 1 } else { own };
            feed.send(*client, *flags, own, peer, 0);
        }
        feed.table.get(0).expect("a stream").account.is_half_open()
    };
    let (syn, answer, ack) = ((true, SYN), (false, SYN_ACK), (true, ACK));
    let open: [&[(bool, Flags)]; 4] = [&[syn, answer, ack], &[syn, ack], &[ack, (false, ACK)], &[ack, ack, ack]];
    let not: [&[(bool, Flags)]; 6] = [
        &[syn],
        &[syn, syn, answer, answer],
        &[syn, (false, RST_ACK)],
        &[syn, answer, (true, RST)],
        &[ack, ack],
        &[ack, (false, RST)],
    ];
    assert_eq!(open.map(half_open), [false; 4]);
    assert_eq!(not.map(half_open), [true; 6]);
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

#[test]
fn other_bytes_for_the_same_numbers_are_reported_and_memory_is_given_back() {
    let mut feed = Feed::new(2);
    feed.table = Table::with_limit(2).compare_bytes(300);
    let kinds = |feed: &mut Feed, seq, bytes: &[u8]| {
        feed.now += Duration::from_millis(1);
        let segment = Segment { payload: bytes, ..segment_of(feed.port, true, ACK, seq, 5001) };
        feed.table.observe(feed.now, &segment).1.kinds.contains(Kind::BytesDiffer)
    };
    feed.open(1000, 5000);
    assert!(!kinds(&mut feed, 1001, &[1; 100]) && !kinds(&mut feed, 1101, &[2; 100]));
    assert!(!kinds(&mut feed, 1001, &[1; 100]), "the same again");
    assert!(!kinds(&mut feed, 1051, &[[1; 50], [2; 50]].concat()), "the same with other borders");
    assert!(kinds(&mut feed, 1101, &[[2; 99], [3; 99]].concat()[..100]), "the last byte is another one");
    assert!(!kinds(&mut feed, 1101, &[2; 100]), "the first bytes stay");
    assert_eq!(feed.table.not_compared(), 0);
    assert!(!kinds(&mut feed, 1201, &[4; 101]), "200 bytes are kept: no room for 101 more");
    assert_eq!(feed.table.not_compared(), 1);
    assert!(!kinds(&mut feed, 1201, &[5; 101]));
    // Two other streams push the first one out.
    for port in [2, 3] {
        feed.port = port;
        feed.open(1000, 5000);
    }
    feed.table.take_forgotten();
    let before = feed.table.not_compared();
    assert!(!kinds(&mut feed, 1001, &[1; 300]) && kinds(&mut feed, 1001, &[2; 300]));
    assert_eq!(feed.table.not_compared(), before);
}

#[test]
fn bytes_that_were_not_captured_are_not_compared() {
    let mut feed = Feed::new(2);
    feed.table = Table::with_limit(2).compare_bytes(1 << 20);
    feed.open(1000, 5000);
    let segment = segment_of(1000, true, ACK, 1001, 5001);
    feed.table.observe(feed.now, &Segment { payload: &[1; 100], ..segment });
    let mut cut = [1; 100];
    cut[60..].fill(0);
    let again = Segment { payload: &cut, ..segment };
    let placed = feed.table.place(feed.now, &again);
    assert!(!placed.stream.observe_cut(feed.now, &again, 40).kinds.contains(Kind::BytesDiffer));
    let placed = feed.table.place(feed.now, &again);
    assert!(placed.stream.observe_cut(feed.now, &again, 39).kinds.contains(Kind::BytesDiffer));
}

/// Segments, bytes and kinds of each side of a stream.
type Recount = ([u64; 2], [u64; 2], [[u32; Kind::COUNT]; 2]);

/// What happens on the wire in the property tests: one of a few clients and the server send anything.
#[derive(Clone, Debug)]
struct Passes {
    port: u16,
    client: bool,
    flags: u8,
    seq: u32,
    ack: u32,
    len: usize,
    window: u16,
    pause: u64,
}

fn passes() -> impl Strategy<Value = Passes> {
    let flags = prop_oneof![8 => Just(0x10), 2 => Just(0x02), 2 => Just(0x12), 1 => Just(0x11), 1 => Just(0x04), 1 => any::<u8>()];
    let len = prop_oneof![Just(0), Just(1), Just(100), 0_usize..1460];
    let window = prop_oneof![4 => Just(1000), 1 => Just(0), 1 => Just(900)];
    (1_u16..12, any::<bool>(), flags, 0_u32..500, 0_u32..500, len, window, 0_u64..30).prop_map(
        |(port, client, flags, seq, ack, len, window, pause)| Passes {
            port,
            client,
            flags,
            seq,
            ack,
            len,
            window,
            pause,
        },
    )
}

proptest! {
    #[test]
    fn the_bound_holds_numbers_are_stable_and_accounts_equal_a_recount(
        limit in 1_usize..8,
        passes in prop::collection::vec(passes(), 1..300),
    ) {
        let mut feed = Feed::new(limit);
        let mut recount: BTreeMap<usize, Recount> = BTreeMap::new();
        let mut ends_of = BTreeMap::new();
        let mut forgotten = 0;
        for pass in &passes {
            feed.now += Duration::from_millis(pass.pause);
            let (own, peer) = if pass.client { (1000, 5000) } else { (5000, 1000) };
            let segment = Segment {
                payload: &BYTES[..pass.len],
                window: pass.window,
                ..segment_of(pass.port, pass.client, Flags(pass.flags), own + pass.seq, peer + pass.ack)
            };
            let begun = feed.table.begun();
            let placed = feed.table.place(feed.now, &segment);
            let (number, begins) = (placed.stream.number, placed.begins);
            prop_assert_eq!(begins, number == begun, "numbers rise by one with each stream that begins");
            let observed = placed.stream.observe(feed.now, &segment);
            prop_assert_eq!(observed.from, placed.from);
            prop_assert_eq!(placed.stream.ends[observed.from as usize], segment.src);
            let ends = placed.stream.ends;
            prop_assert_eq!(*ends_of.entry(number).or_insert(ends), ends);
            let (segments, bytes, kinds) = recount.entry(number).or_default();
            segments[observed.from as usize] += 1;
            bytes[observed.from as usize] += pass.len as u64;
            for kind in observed.kinds.iter() {
                kinds[observed.from as usize][kind as usize] += 1;
            }
            prop_assert_eq!(observed.kinds.dup_ack() > 0, observed.kinds.contains(Kind::DuplicateAck));
            if let Some(old) = feed.table.take_forgotten() {
                forgotten += 1;
                prop_assert!(feed.table.get(old.number).is_none());
                check(&old.account, &recount[&old.number])?;
            }
            prop_assert!(feed.table.len() <= limit);
            prop_assert_eq!(feed.table.len() + forgotten, feed.table.begun());
            prop_assert_eq!(feed.table.forgotten(), forgotten);
        }
        for stream in feed.table.streams() {
            prop_assert_eq!(stream.ends, ends_of[&stream.number]);
            check(&stream.account, &recount[&stream.number])?;
        }
    }
}

fn check(account: &Account, recount: &Recount) -> Result<(), TestCaseError> {
    prop_assert_eq!((account.segments, account.bytes), (recount.0, recount.1));
    for side in Side::BOTH {
        for kind in Kind::ALL {
            prop_assert_eq!(account.count(side, kind), recount.2[side as usize][kind as usize]);
        }
        let again = Kind::ALL.into_iter().filter(|kind| kind.is_retransmission());
        let again: u32 = again.map(|kind| account.count(side, kind)).sum();
        prop_assert_eq!(account.retransmissions()[side as usize], u64::from(again));
    }
    Ok(())
}

#[test]
fn each_kind_has_a_name_of_its_own() {
    let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    for (at, name) in names.iter().enumerate() {
        assert!(!names[..at].contains(name) && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
        assert_eq!(Kind::ALL[at] as usize, at);
    }
}
