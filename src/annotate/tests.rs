//! Tests of the words at a vantage point. Those of whole captures are in `capture` and in tests/files/capture.rs.

use super::Direction::{Inbound, Outbound};
use super::*;
use crate::segment::{Flags, SegmentTemplate, Seq};

const SYN_ACK: Flags = Flags(0x12);
const CE: u8 = 0b11;

/// A host at 192.0.2.1:80 and what passes its interface.
struct Interface {
    annotator: Annotator,
    said: Vec<String>,
}

impl Interface {
    fn new() -> Self {
        Self { annotator: Annotator::default(), said: Vec::new() }
    }

    /// A segment passes, `window` bytes being offered: `(seq, ack, bytes of data)`.
    fn pass(&mut self, at: u64, direction: Direction, flags: Flags, (seq, ack, len): (u32, u32, usize), window: u16) {
        self.pass_as(at, direction, flags, (seq, ack, len), window, false);
    }

    fn pass_as(
        &mut self,
        at: u64,
        direction: Direction,
        flags: Flags,
        (seq, ack, len): (u32, u32, usize),
        window: u16,
        copy: bool,
    ) {
        let ends = ends();
        let [src, dst] = if direction == Outbound { ends } else { [ends[1], ends[0]] };
        let payload = vec![b'x'; len];
        let mut template = SegmentTemplate::new(src, dst);
        (template.flags, template.seq, template.ack) = (flags, Seq(seq), Seq(ack));
        (template.window, template.payload) = (window, &payload);
        let bytes = template.to_bytes();
        let subject = Subject { copy, ..Subject::parse(Instant::from_millis(at), direction, &bytes) };
        let words = self.annotator.annotate(&subject).words.to_owned();
        self.said.push(words);
    }

    /// The handshake, opened by the host.
    fn open(&mut self) {
        self.pass(0, Outbound, Flags::SYN, (0, 0, 0), 1000);
        self.pass(20, Inbound, SYN_ACK, (0, 1, 0), 1000);
        self.pass(20, Outbound, Flags::ACK, (1, 1, 0), 1000);
        self.said.clear();
    }
}

fn ends() -> [SocketAddr; 2] {
    ["192.0.2.1:80", "192.0.2.2:4000"].map(|end| end.parse().expect("an address"))
}

#[test]
fn duplicate_acks_are_counted_when_they_arrive() {
    let mut host = Interface::new();
    host.open();
    for n in 0..5 {
        host.pass(30, Outbound, Flags::ACK, (1 + 100 * n, 1, 100), 1000);
    }
    host.pass(50, Inbound, Flags::ACK, (1, 101, 0), 1000);
    for _ in 0..3 {
        host.pass(51, Inbound, Flags::ACK, (1, 101, 0), 1000);
    }
    host.pass(51, Outbound, Flags::ACK, (101, 1, 100), 1000);
    assert_eq!(
        host.said[5..],
        [
            "ACK: acknowledges everything up to 101",
            "duplicate ACK 1: expects 101",
            "duplicate ACK 2: expects 101",
            "duplicate ACK 3: expects 101",
            "fast retransmission of 101:201 after 3 duplicate ACKs",
        ]
    );
}

#[test]
fn every_answer_to_a_zero_window_probe_is_named() {
    let mut host = Interface::new();
    host.open();
    host.pass(30, Outbound, Flags::ACK, (1, 1, 100), 1000);
    host.pass(50, Inbound, Flags::ACK, (1, 101, 0), 0);
    for at in [1000, 3000] {
        host.pass(at, Outbound, Flags::ACK, (101, 1, 1), 1000);
        host.pass(at + 20, Inbound, Flags::ACK, (1, 101, 0), 0);
    }
    host.pass(4000, Inbound, Flags::ACK, (1, 101, 0), 500);
    assert_eq!(
        host.said[1..],
        [
            "ACK: acknowledges everything up to 101, the window closes",
            "zero-window probe with byte 101",
            "ACK of the zero-window probe: expects 101, window 0",
            "zero-window probe with byte 101",
            "ACK of the zero-window probe: expects 101, window 0",
            "window update: 500 bytes from 101 on",
        ]
    );
}

#[test]
fn probes_without_data_are_named_by_the_window_and_so_are_their_answers() {
    let mut host = Interface::new();
    host.open();
    host.pass(30, Outbound, Flags::ACK, (1, 1, 100), 1000);
    host.pass(50, Inbound, Flags::ACK, (1, 101, 0), 0);
    for at in [250, 650] {
        host.pass(at, Outbound, Flags::ACK, (100, 1, 0), 1000);
        host.pass(at + 20, Inbound, Flags::ACK, (1, 101, 0), 0);
    }
    host.pass(1450, Outbound, Flags::ACK, (100, 1, 0), 1000);
    host.pass(1470, Inbound, Flags::ACK, (1, 101, 0), 500);
    host.pass(9000, Outbound, Flags::ACK, (100, 1, 0), 1000);
    host.pass(9020, Inbound, Flags::ACK, (1, 101, 0), 500);
    assert_eq!(
        host.said[2..],
        [
            "zero-window probe",
            "ACK of the zero-window probe: expects 101, window 0",
            "zero-window probe",
            "ACK of the zero-window probe: expects 101, window 0",
            "zero-window probe",
            "ACK of the zero-window probe: expects 101, window 500",
            "keep-alive probe",
            "ACK of the keep-alive probe",
        ]
    );
}

#[test]
fn a_tail_loss_probe_is_named_by_what_the_wire_shows() {
    let mut host = Interface::new();
    host.open();
    let [local, remote] = ends();
    host.pass(30, Outbound, Flags::ACK, (1, 1, 100), 1000);
    host.pass(30, Outbound, Flags::ACK, (101, 1, 100), 1000);
    host.annotator.timer(Instant::from_millis(75), local, remote, TimerKind::Tlp);
    host.pass(75, Outbound, Flags::ACK, (101, 1, 100), 1000);
    assert_eq!(host.said[2], "retransmission of 101:201");
}

#[test]
fn what_ecn_says_is_named() {
    let mut host = Interface::new();
    let (ece, cwr) = (Flags::ECE, Flags::CWR);
    host.pass(0, Outbound, Flags::SYN | ece | cwr, (0, 0, 0), 1000);
    host.pass(20, Inbound, SYN_ACK | ece, (0, 1, 0), 1000);
    host.pass(20, Outbound, Flags::ACK, (1, 1, 10), 1000);
    host.pass(40, Inbound, Flags::ACK | ece, (1, 11, 0), 1000);
    host.pass(40, Outbound, Flags::ACK | cwr, (11, 1, 10), 1000);
    let [dst, src] = ends();
    let mut template = SegmentTemplate::new(src, dst);
    (template.flags, template.seq, template.ack, template.window) = (Flags::ACK, Seq(1), Seq(11), 1000);
    (template.payload, template.ecn) = (b"x", CE);
    let marked = template.to_bytes();
    let subject = Subject::parse(Instant::from_millis(41), Inbound, &marked);
    host.said.push(host.annotator.annotate(&subject).words.to_owned());
    assert_eq!(
        host.said,
        [
            "SYN: opens the connection, offers ECN",
            "SYN|ACK: accepts the connection, offers ECN",
            "data 1:11, completes the handshake",
            "ACK: acknowledges everything up to 11, echoes a congestion mark (ECE)",
            "data 11:21, has reduced cwnd (CWR)",
            "data 1:2, marked CE: congestion on the way",
        ]
    );
}

#[test]
fn a_copy_that_a_link_has_made_is_not_a_retransmission() {
    let mut host = Interface::new();
    host.open();
    host.pass(30, Inbound, Flags::ACK, (1, 1, 100), 1000);
    host.pass_as(31, Inbound, Flags::ACK, (1, 1, 100), 1000, true);
    host.pass_as(32, Inbound, Flags::ACK, (101, 1, 0), 1000, true);
    assert_eq!(host.said, ["data 1:101", "copy made by a link: data 1:101", "copy made by a link: ACK up to 1"]);
}

#[test]
fn an_answer_to_a_repeated_syn_is_told_from_the_timer() {
    let mut host = Interface::new();
    host.pass(10, Inbound, Flags::SYN, (0, 0, 0), 1000);
    host.pass(10, Outbound, SYN_ACK, (0, 1, 0), 1000);
    host.pass(1010, Inbound, Flags::SYN, (0, 0, 0), 1000);
    host.pass(1010, Outbound, SYN_ACK, (0, 1, 0), 1000);
    let [local, remote] = ends();
    host.annotator.timer(Instant::from_millis(1010), local, remote, TimerKind::SynAck);
    host.pass(1010, Outbound, SYN_ACK, (0, 1, 0), 1000);
    assert_eq!(host.said[3], "SYN|ACK again: answers the SYN that came again");
    assert_eq!(host.said[4], "SYN|ACK, retransmission 2 after RTO 1.0 s");
}

#[test]
fn a_reset_by_the_keep_alive_timer_is_not_from_the_close_that_follows_at_the_same_instant() {
    let words = |timer: Option<TimerKind>| {
        let mut host = Interface::new();
        host.open();
        let [local, remote] = ends();
        if let Some(timer) = timer {
            host.annotator.timer(Instant::from_millis(30), local, remote, timer);
        }
        host.annotator.call(Instant::from_millis(30), local, remote, "close");
        host.pass(30, Outbound, Flags::RST | Flags::ACK, (1, 1, 0), 0);
        host.said.remove(0)
    };
    assert_eq!(words(Some(TimerKind::KeepAlive)), "RST: aborts the connection");
    assert_eq!(words(Some(TimerKind::DelayedAck)), "RST: aborts the connection (from close)");
    assert_eq!(words(None), "RST: aborts the connection (from close)");
}

#[test]
fn calls_are_named_on_what_they_send_at_the_same_instant_and_on_nothing_else() {
    let mut host = Interface::new();
    host.open();
    let [local, remote] = ends();
    host.annotator.call(Instant::from_millis(30), local, remote, "write");
    host.annotator.call(Instant::from_millis(30), local, remote, "write");
    host.annotator.call(Instant::from_millis(30), local, remote, "close");
    host.pass(30, Inbound, Flags::ACK, (1, 1, 5), 1000);
    host.pass(30, Outbound, Flags::ACK, (1, 6, 0), 1000);
    host.pass(30, Outbound, Flags::FIN | Flags::ACK, (1, 6, 10), 1000);
    host.annotator.call(Instant::from_millis(40), local, remote, "write");
    host.pass(41, Outbound, Flags::FIN | Flags::ACK, (1, 6, 10), 1000);
    assert_eq!(
        host.said,
        [
            "data 1:6",
            "ACK: acknowledges everything up to 6",
            "data 1:11 and FIN (from write, close)",
            "retransmission of 1:11 and FIN after 11.0 ms",
        ]
    );
    let cases = [
        ("connect", Err("EINPROGRESS"), true),
        ("connect", Ok(0), false),
        ("write", Ok(1), true),
        ("write", Err("EPIPE"), false),
        ("read", Ok(1), false),
        ("close", Ok(0), true),
    ];
    for (call, result, expected) in cases {
        assert_eq!(sends(call, result), expected, "{call} {result:?}");
    }
}

#[test]
fn what_a_host_told_of_a_connection_is_kept_while_the_connection_is_used() {
    let mut table: Table<Notes> = Table::with_limit(10);
    let ends = |port| (ends()[0], SocketAddr::new(ends()[1].ip(), port));
    let timer = Some((Instant::from_secs(1), TimerKind::SynAck));
    let (local, remote) = ends(1);
    table.find_or_begin(Instant::EPOCH, local, remote).notes.timer = timer;
    for port in 2..1_000 {
        let (local, remote) = ends(port);
        table.find_or_begin(Instant::EPOCH, local, remote);
        let (local, remote) = ends(1);
        assert_eq!(table.find_or_begin(Instant::EPOCH, local, remote).notes.timer, timer);
        assert!(table.len() <= 10);
    }
    let (local, remote) = ends(2);
    assert_eq!(table.find_or_begin(Instant::EPOCH, local, remote).notes.timer, None);
}
