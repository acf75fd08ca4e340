//! Histories written by hand: one that keeps every rule, and one for each rule that breaks it.

use std::net::SocketAddr;

use tcplab::segment::{Flags, Options, SackBlock, Segment, Seq, Timestamps};
use tcplab::time::{Duration, Instant};

use super::{Checker, Findings, Seen};

const OURS: Seq = Seq(u32::MAX - 2_000);
const PEERS: Seq = Seq(7_000);
const FULL: usize = 1_448;
static TEXT: [u8; LEN] = text();
const LEN: usize = 50 * PERIOD + 2_048;
/// Byte n is n modulo this.
const PERIOD: usize = 251;

const fn text() -> [u8; LEN] {
    let mut text = [0; LEN];
    let mut at = 0;
    while at < text.len() {
        text[at] = (at % PERIOD) as u8;
        at += 1;
    }
    text
}

fn host() -> SocketAddr {
    "192.0.2.1:80".parse().expect("an address")
}

fn kernel() -> SocketAddr {
    "192.0.2.2:40000".parse().expect("an address")
}

/// A history after its handshake. Positions count from the SYNs, which are at 0; times are milliseconds.
struct History {
    checker: Checker,
    at: u64,
    /// The `TSval` that each side echoes, by RFC 7323, section 4.3, and our last ACK.
    echoes: [u32; 2],
    acked: i64,
}

type Adjust = fn(&mut Segment<'_>);

fn same(_: &mut Segment<'_>) {}

impl History {
    fn begin() -> Self {
        Self::with(true)
    }

    fn with(reads_at_once: bool) -> Self {
        let mut history = Self { checker: Checker::new(reads_at_once), at: 0, echoes: [0, 0], acked: 1 };
        let syn = Options { mss: Some(1460), wscale: Some(7), sack_permitted: true, ..Options::default() };
        history.pass(false, 0, 0, 0, |segment| (segment.flags, segment.window) = (Flags::SYN, 64_000), syn);
        history.pass(true, 0, 0, 1, |segment| (segment.flags, segment.window) = (Flags::SYN | Flags::ACK, 64_000), syn);
        history.arrives(1, 0, 1);
        history
    }

    fn pass(
        &mut self,
        ours: bool,
        begin: i64,
        len: usize,
        ack: i64,
        adjust: impl FnOnce(&mut Segment<'_>),
        options: Options,
    ) {
        let at = Instant::from_secs(1) + Duration::from_millis(self.at);
        let ts = Timestamps { ts_val: self.at as u32, ts_ecr: self.echoes[usize::from(ours)] };
        if ours {
            (self.echoes[0], self.acked) = (ts.ts_val, ack);
        } else if (1..=self.acked).contains(&begin) {
            self.echoes[1] = ts.ts_val;
        }
        let (src, dst) = if ours { (host(), kernel()) } else { (kernel(), host()) };
        let (mine, other) = if ours { (OURS, PEERS) } else { (PEERS, OURS) };
        let at_text = usize::try_from(begin - 1).unwrap_or(0) % (50 * PERIOD);
        let mut segment = Segment {
            src,
            dst,
            seq: mine + begin as u32,
            ack: other + ack as u32,
            flags: Flags::ACK,
            window: 500,
            options: Options { ts: Some(ts), ..options },
            payload: &TEXT[at_text..at_text + len],
            ttl: 64,
            ecn: 0,
        };
        adjust(&mut segment);
        let blocks = segment.options.sack.iter().filter(|block| block.left != block.right).count();
        let header = 20 + 12 + if blocks == 0 { 0 } else { 4 + 8 * blocks };
        self.checker.take(&Seen { at, ours, segment, header });
    }

    fn arrives(&mut self, begin: i64, len: usize, ack: i64) {
        self.pass(false, begin, len, ack, same, Options::default());
    }

    fn leaves(&mut self, begin: i64, len: usize, ack: i64) {
        self.pass(true, begin, len, ack, same, Options::default());
    }

    fn arrives_with(&mut self, begin: i64, len: usize, ack: i64, adjust: Adjust) {
        self.pass(false, begin, len, ack, adjust, Options::default());
    }

    fn leaves_with(&mut self, begin: i64, len: usize, ack: i64, adjust: impl FnOnce(&mut Segment<'_>)) {
        self.pass(true, begin, len, ack, adjust, Options::default());
    }

    /// Time passes in which another connection is heard.
    fn wait(&mut self, millis: u64) {
        let before = (self.echoes, self.acked);
        for _ in 0..8 {
            self.at += millis.div_ceil(8);
            let other = |segment: &mut Segment<'_>| segment.src.set_port(1);
            self.pass(false, 1, 0, 1, other, Options::default());
        }
        (self.echoes, self.acked) = before;
    }

    fn end(self) -> Findings {
        self.checker.end()
    }

    /// Exactly one breach, with these words.
    #[track_caller]
    fn breaks(self, words: &str) {
        let breaches = self.end().breaches;
        assert!(breaches.len() == 1 && breaches[0].contains(words), "expected `{words}`: {breaches:#?}");
    }
}

/// SACK blocks, in positions of the sender of the text.
fn sack(base: Seq, blocks: &[(u32, u32)]) -> [SackBlock; 4] {
    let mut all = [SackBlock::default(); 4];
    for (place, (left, right)) in all.iter_mut().zip(blocks) {
        *place = SackBlock { left: base + *left, right: base + *right };
    }
    all
}

#[test]
fn a_sound_history_has_no_breach_and_is_counted() {
    let mut history = History::begin();
    // Two full segments, one ACK.
    history.arrives(1, FULL, 1);
    history.arrives(1 + FULL as i64, FULL, 1);
    history.at += 1;
    history.leaves(1, 0, 2_897);
    // A hole, an ACK with SACK, the hole is filled, the same again, a DSACK.
    history.arrives(3_897, 100, 1);
    history.leaves_with(1, 0, 2_897, |segment| segment.options.sack = sack(PEERS, &[(3_897, 3_997)]));
    history.arrives(2_897, 1_000, 1);
    history.leaves(1, 0, 3_997);
    history.arrives(2_897, 1_000, 1);
    history.leaves_with(1, 0, 3_997, |segment| segment.options.sack = sack(PEERS, &[(2_897, 3_897)]));
    // Text of ours: the second segment is SACKed, the first is sent again.
    history.leaves(1, FULL, 3_997);
    history.leaves(1_449, FULL, 3_997);
    history.at += 1;
    history.arrives_with(3_997, 0, 1, |segment| segment.options.sack = sack(OURS, &[(1_449, 2_897)]));
    history.leaves(1, FULL, 3_997);
    history.at += 1;
    history.arrives(3_997, 0, 2_897);
    // A delayed ACK, then both FINs.
    history.arrives(3_997, 10, 2_897);
    history.at += 200;
    history.leaves(2_897, 0, 4_007);
    history.leaves_with(2_897, 0, 4_007, |segment| segment.flags = Flags::FIN | Flags::ACK);
    history.arrives_with(4_007, 0, 2_898, |segment| segment.flags = Flags::FIN | Flags::ACK);
    history.leaves(2_898, 0, 4_008);
    history.wait(1_000);
    let Findings { breaches, counts } = history.end();
    assert_eq!(breaches, [""; 0]);
    assert_eq!((counts.closed, counts.sent_again, counts.out_of_order, counts.duplicates), (1, 1, 1, 1));
    assert_eq!((counts.sacks, counts.dsacks), (1, 0));
}

#[test]
fn rfc_9293_section_3_8_6_3_text_in_order_waits_at_most_200_ms_for_its_ack() {
    let mut history = History::begin();
    history.arrives(1, 10, 1);
    history.wait(400);
    history.breaks("no ACK within 200ms for text in order");
}

#[test]
fn rfc_5681_section_4_2_every_second_full_segment_is_acknowledged_at_once() {
    let mut history = History::begin();
    history.arrives(1, FULL, 1);
    history.arrives(1_449, FULL, 1);
    history.wait(40);
    history.leaves(1, 0, 2_897);
    history.breaks("two full segments came at");
    // A program that reads late: a delayed ACK.
    let mut history = History::with(false);
    history.arrives(1, FULL, 1);
    history.arrives(1_449, FULL, 1);
    history.wait(40);
    history.leaves(1, 0, 2_897);
    assert_eq!(history.end().breaches, [""; 0]);
}

#[test]
fn rfc_5681_section_4_2_each_segment_beyond_a_hole_draws_an_ack() {
    let mut history = History::begin();
    history.arrives(1_449, FULL, 1);
    history.arrives(2_897, FULL, 1);
    history.leaves_with(1, 0, 1, |segment| segment.options.sack = sack(PEERS, &[(1_449, 4_345)]));
    history.wait(10);
    history.breaks("no ACK at once for a segment beyond a hole");
}

#[test]
fn what_fills_a_hole_what_came_before_and_a_fin_draw_an_ack_at_once() {
    let mut history = History::begin();
    history.arrives(1_449, FULL, 1);
    history.leaves_with(1, 0, 1, |segment| segment.options.sack = sack(PEERS, &[(1_449, 2_897)]));
    history.arrives(1, FULL, 1);
    history.wait(10);
    history.breaks("no ACK at once for text that fills a part of a hole");

    let mut history = History::begin();
    history.arrives(1, 10, 1);
    history.leaves(1, 0, 11);
    history.arrives(1, 10, 1);
    history.wait(10);
    history.breaks("no ACK at once for text out of the window");

    let mut history = History::begin();
    history.arrives_with(1, 0, 1, |segment| segment.flags = Flags::FIN | Flags::ACK);
    history.wait(10);
    history.breaks("no ACK at once for a FIN");
}

#[test]
fn rfc_9293_section_3_10_7_4_the_ack_is_rcv_nxt() {
    let mut history = History::begin();
    history.arrives(1, 10, 1);
    history.leaves(1, 0, 5);
    history.at += 1;
    history.leaves(1, 0, 11);
    history.breaks("it acknowledges 5, and RCV.NXT is 11");

    let mut history = History::begin();
    history.leaves(1, 0, 2);
    history.breaks("it acknowledges 2, and RCV.NXT is 1");
}

#[test]
fn a_window_probe_is_answered_at_once_and_once_in_half_a_second() {
    let mut history = History::begin();
    history.wait(600);
    history.arrives(0, 0, 1);
    history.leaves(1, 0, 1);
    history.arrives(0, 0, 1);
    history.wait(600);
    history.arrives(0, 0, 1);
    history.wait(10);
    history.breaks("no ACK at once for a segment out of the window");
}

#[test]
fn rfc_9293_section_3_4_nothing_goes_beyond_the_window_of_the_peer() {
    let mut history = History::begin();
    // 500 units of 128 bytes.
    for at in (0..43).map(|nth| 1 + nth * FULL as i64) {
        history.leaves(at, FULL, 1);
    }
    history.leaves(62_265, 1_448, 1);
    history.arrives(1, 0, 63_713);
    history.arrives_with(1, 0, 63_713, |segment| segment.window = 0);
    assert_eq!(history.end().breaches, [""; 0]);

    let mut history = History::begin();
    history.arrives_with(1, 0, 1, |segment| segment.window = 1);
    // The edge does not move to the left.
    history.leaves(1, FULL, 1);
    assert_eq!(history.end().breaches, [""; 0]);

    let mut history = History::begin();
    for at in (0..44).map(|nth| 1 + nth * FULL as i64) {
        history.leaves(at, FULL, 1);
    }
    history.leaves(63_713, 289, 1);
    history.breaks("63713:64002 goes beyond the window, which ends at 64001");
}

#[test]
fn an_ack_is_at_snd_nxt_or_asks_the_peer() {
    let mut history = History::begin();
    history.leaves(1, 100, 1);
    history.leaves(0, 0, 1);
    history.leaves(101, 0, 1);
    assert_eq!(history.end().breaches, [""; 0]);
    let mut history = History::begin();
    history.leaves(1, 100, 1);
    history.leaves(51, 0, 1);
    history.breaks("an ACK at 51, with SND.UNA 1 and SND.NXT 101");
}

#[test]
fn what_was_acknowledged_or_sacked_is_not_sent_again() {
    let sent = || {
        let mut history = History::begin();
        history.leaves(1, FULL, 1);
        history.leaves(1_449, FULL, 1);
        history.leaves(2_897, FULL, 1);
        history.at += 1;
        history
    };
    let mut history = sent();
    history.arrives(1, 0, 1_449);
    history.leaves(1, FULL, 1);
    history.breaks("1:1449 again, and all before 1449 is acknowledged");

    let mut history = sent();
    history.arrives_with(1, 0, 1, |segment| segment.options.sack = sack(OURS, &[(1_449, 2_897)]));
    history.leaves(1_449, FULL, 1);
    history.breaks("1449:2897 again, and 1449:2897 of it was SACKed");

    // A DSACK is no SACK (RFC 2883).
    let mut history = sent();
    history.arrives_with(1, 0, 1_449, |segment| segment.options.sack = sack(OURS, &[(1, 1_449)]));
    history.leaves(1_449, FULL, 1);
    let Findings { breaches, counts } = history.end();
    assert_eq!((breaches, counts.dsacks), (vec![], 1));
}

#[test]
fn the_same_position_has_the_same_byte_and_none_is_left_out() {
    let mut history = History::begin();
    history.leaves(1, 100, 1);
    history.leaves_with(1, 100, 1, |segment| segment.payload = &TEXT[7..107]);
    history.breaks("1:101 again with other bytes");
    let mut history = History::begin();
    history.leaves(2, 100, 1);
    history.breaks("text at 2 leaves out what begins at 1");
    let mut history = History::begin();
    history.leaves_with(1, 10, 1, |segment| segment.flags = Flags::FIN | Flags::ACK);
    history.leaves(12, 1, 1);
    history.breaks("12:13 does not agree with the FIN before");
}

#[test]
fn rfc_9293_section_3_7_1_options_count_in_the_mss() {
    let mut history = History::begin();
    history.leaves(1, 1_449, 1);
    history.breaks("1461 bytes of text and options, and the peer takes 1460");
}

#[test]
fn rfc_9293_section_3_8_6_the_right_edge_does_not_move_to_the_left() {
    let mut history = History::begin();
    history.leaves_with(1, 0, 1, |segment| segment.window = 512);
    history.leaves_with(1, 0, 1, |segment| segment.window = 511);
    history.breaks("the right edge goes from 65537 to 65409");
    // RFC 7323, section 2.4: by less than a unit it does.
    let mut history = History::begin();
    history.leaves_with(1, 0, 1, |segment| segment.window = 600);
    history.arrives(1, 10, 1);
    history.leaves_with(1, 0, 11, |segment| segment.window = 599);
    assert_eq!(history.end().breaches, [""; 0]);
}

#[test]
fn rfc_7323_section_3_2_timestamps_are_on_each_segment_grow_and_echo_ts_recent() {
    let mut history = History::begin();
    history.leaves_with(1, 0, 1, |segment| segment.options.ts = None);
    history.breaks("a segment without timestamps");
    let mut history = History::begin();
    history.at += 10;
    history.leaves(1, 0, 1);
    history.at -= 1;
    history.leaves(1, 0, 1);
    history.breaks("TSval 9 is older than the one before");
    let mut history = History::begin();
    history.at += 10;
    history.arrives(1, 1, 1);
    history.leaves_with(1, 0, 2, |segment| segment.options.ts = Some(Timestamps { ts_val: 10, ts_ecr: 9 }));
    history.breaks("TSecr is 9, TS.Recent is 10 to 10");
}

#[test]
fn rfc_2018_section_4_a_sack_says_what_arrived_and_the_newest_first() {
    let holes = || {
        let mut history = History::begin();
        history.arrives(1_001, 100, 1);
        history.leaves_with(1, 0, 1, |segment| segment.options.sack = sack(PEERS, &[(1_001, 1_101)]));
        history.arrives(2_001, 100, 1);
        history
    };
    let mut history = holes();
    history.leaves_with(1, 0, 1, |segment| segment.options.sack = sack(PEERS, &[(2_001, 2_101), (1_001, 1_101)]));
    assert_eq!(history.end().breaches, [""; 0]);
    let mut history = holes();
    history.leaves_with(1, 0, 1, |segment| segment.options.sack = sack(PEERS, &[(1_001, 1_101), (2_001, 2_101)]));
    history.breaks("the first SACK block is Some((1001, 1101)), and (2001, 2101) came last");
    let mut history = holes();
    history.leaves_with(1, 0, 1, |segment| segment.options.sack = sack(PEERS, &[(2_001, 2_102)]));
    history.breaks("a SACK of (2001, 2102), which has not arrived");
    let mut history = holes();
    history.leaves_with(1, 0, 1, |segment| {
        segment.options.sack = sack(PEERS, &[(2_001, 2_101), (2_001, 2_101)]);
    });
    history.breaks("a DSACK of (2001, 2101), which did not come twice");
}

#[test]
fn a_fin_beyond_a_hole_is_in_the_sack_block() {
    let mut history = History::begin();
    history.arrives_with(101, 100, 1, |segment| segment.flags = Flags::FIN | Flags::ACK);
    history.leaves_with(1, 0, 1, |segment| segment.options.sack = sack(PEERS, &[(101, 202)]));
    history.arrives(1, 100, 1);
    history.leaves(1, 0, 202);
    assert_eq!(history.end().breaches, [""; 0]);
}

#[test]
fn the_answers_to_a_batch_are_each_in_the_words_of_their_moment() {
    let mut history = History::begin();
    history.arrives(1_001, 100, 1);
    history.arrives(2_001, 100, 1);
    history.arrives(1, 1_000, 1);
    let first = sack(PEERS, &[(1_001, 1_101)]);
    let second = sack(PEERS, &[(2_001, 2_101), (1_001, 1_101)]);
    let third = sack(PEERS, &[(2_001, 2_101)]);
    for (ack, blocks) in [(1, first), (1, second), (1_101, third)] {
        history.leaves_with(1, 0, ack, |segment| segment.options.sack = blocks);
    }
    assert_eq!(history.end().breaches, [""; 0]);
    // After the next arrival an answer in the words of before is wrong.
    let mut history = History::begin();
    history.arrives(1, 100, 1);
    history.leaves(1, 0, 101);
    history.arrives(101, 100, 1);
    history.leaves(1, 100, 201);
    history.at += 1;
    history.arrives(201, 0, 101);
    history.leaves(101, 0, 101);
    history.breaks("it acknowledges 101, and RCV.NXT is 201");
}
