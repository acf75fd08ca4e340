//! Tests of each kind of segment, handshakes, and unusual beginnings and ends, as short exchanges.
//!
//! Initial sequence numbers stand just below 2^32, so that every exchange crosses the wrap-around.

use super::*;
use crate::segment::{Options, Seq, Timestamps};
use Side::{Local, Remote};
use core::net::{Ipv4Addr, SocketAddr};

pub(super) const ISS: Seq = Seq(u32::MAX - 2);
pub(super) const IRS: Seq = Seq(u32::MAX - 1000);
const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;
const FIN_ACK: Flags = Flags(0x11);
const SYN_ACK: Flags = Flags(0x12);

static BYTES: [u8; 70_000] = [0; 70_000];

pub(super) fn segment(flags: Flags, seq: Seq, ack: Seq, len: usize) -> Segment<'static> {
    let end = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let payload = &BYTES[..len];
    Segment { src: end, dst: end, seq, ack, flags, window: 1000, options: Options::default(), payload, ttl: 64, ecn: 0 }
}

/// A connection in relative numbers: the SYN of each side is 0, its first byte is 1.
pub(super) struct Tale {
    pub(super) talk: Conversation,
    pub(super) window: u16,
}

impl Tale {
    pub(super) fn new() -> Self {
        Self { talk: Conversation::new(), window: 1000 }
    }

    /// After a handshake without options.
    pub(super) fn open() -> Self {
        let mut tale = Self::new();
        tale.send(Local, SYN, 0, 0, 0);
        tale.send(Remote, SYN_ACK, 0, 1, 0);
        tale.send(Local, ACK, 1, 1, 0);
        tale
    }

    fn send(&mut self, from: Side, flags: Flags, seq: u32, ack: u32, len: usize) -> Seen {
        let (own, peer) = if from == Local { (ISS, IRS) } else { (IRS, ISS) };
        let segment = Segment { window: self.window, ..segment(flags, own + seq, peer + ack, len) };
        self.talk.observe(Instant::EPOCH, from, &segment)
    }

    #[track_caller]
    fn expect(&mut self, from: Side, flags: Flags, seq: u32, ack: u32, len: usize, words: &str) {
        assert_eq!(self.send(from, flags, seq, ack, len).to_string(), words);
    }

    #[track_caller]
    fn local_is(&self, una: u32, contiguous: u32, nxt: u32) {
        let local = self.talk.sender(Local);
        assert_eq!((local.snd_una, local.contiguous_end, local.snd_nxt), (ISS + una, ISS + contiguous, ISS + nxt));
    }
}

#[test]
fn a_short_conversation_from_syn_to_fin() {
    let mut tale = Tale::new();
    tale.expect(Local, SYN, 0, 0, 0, "in order");
    tale.local_is(0, 1, 1);
    tale.expect(Remote, SYN_ACK, 0, 1, 0, "in order, acknowledges 1 byte");
    tale.expect(Local, ACK, 1, 1, 0, "acknowledges 1 byte");
    tale.expect(Local, ACK, 1, 1, 100, "in order");
    tale.expect(Remote, ACK, 1, 101, 50, "in order, acknowledges 100 bytes");
    tale.expect(Local, FIN_ACK, 101, 51, 0, "in order, acknowledges 50 bytes");
    tale.local_is(101, 102, 102);
    assert_eq!(tale.talk.sender(Local).fin, Some(ISS + 101));
    assert!(!tale.talk.sender(Local).is_fin_acked() && !tale.talk.is_over());
    tale.expect(Remote, ACK, 51, 102, 0, "acknowledges 1 byte");
    assert!(tale.talk.sender(Local).is_fin_acked());
    tale.expect(Remote, FIN_ACK, 51, 102, 10, "in order");
    assert_eq!(tale.talk.sender(Remote).fin, Some(IRS + 61));
    tale.expect(Local, ACK, 102, 62, 0, "acknowledges 11 bytes");
    assert!(tale.talk.is_over());
    let local = tale.talk.sender(Local);
    assert_eq!((local.segments, local.bytes, local.retransmissions, local.flight_size()), (5, 100, 0, 0));
}

#[test]
fn a_retransmission_is_counted_until_the_ack_moves() {
    let mut tale = Tale::open();
    tale.send(Local, ACK, 1, 1, 100);
    tale.send(Local, ACK, 101, 1, 100);
    tale.expect(Local, ACK, 1, 1, 100, "retransmission 1");
    tale.expect(Local, ACK, 1, 1, 100, "retransmission 2");
    tale.expect(Local, ACK, 101, 1, 100, "retransmission");
    assert_eq!(tale.talk.sender(Local).retries, 2);
    tale.expect(Remote, ACK, 1, 101, 0, "acknowledges 100 bytes");
    assert_eq!(tale.talk.sender(Local).retries, 0);
    tale.expect(Local, ACK, 1, 1, 100, "spurious retransmission");
    tale.expect(Local, ACK, 51, 1, 100, "retransmission 1");
    assert_eq!(tale.talk.sender(Local).retransmissions, 5);
    tale.local_is(101, 201, 201);
}

#[test]
fn a_gap_is_filled_out_of_order_piece_by_piece() {
    let mut tale = Tale::open();
    tale.expect(Local, ACK, 101, 1, 100, "previous segment not seen");
    tale.local_is(1, 1, 201);
    tale.expect(Local, ACK, 301, 1, 100, "previous segment not seen");
    assert_eq!(tale.talk.sender(Local).ranges_beyond_holes(), 2);
    tale.expect(Local, ACK, 101, 1, 100, "retransmission");
    let seen = tale.send(Local, ACK, 51, 1, 100);
    assert_eq!((seen.data, seen.new_bytes, seen.repeated_bytes()), (DataKind::OutOfOrder, 50, 50));
    tale.expect(Local, ACK, 1, 1, 50, "out of order");
    tale.local_is(1, 201, 401);
    let seen = tale.send(Local, ACK, 201, 1, 300);
    assert_eq!((seen.data, seen.new_bytes), (DataKind::OutOfOrder, 200));
    tale.local_is(1, 501, 501);
    assert_eq!(tale.talk.sender(Local).ranges_beyond_holes(), 0);
}

#[test]
fn a_segment_partly_seen_is_named_after_its_first_new_byte() {
    let mut tale = Tale::open();
    tale.send(Local, ACK, 1, 1, 100);
    let seen = tale.send(Local, ACK, 51, 1, 100);
    assert_eq!((seen.data, seen.new_bytes, seen.end), (DataKind::New, 50, ISS + 151));
    tale.send(Local, ACK, 201, 1, 100);
    assert_eq!(tale.send(Local, ACK, 251, 1, 100).data, DataKind::New);
    assert_eq!(tale.send(Local, ACK, 101, 1, 300).data, DataKind::OutOfOrder);
    tale.local_is(1, 401, 401);
}

#[test]
fn duplicate_acks_are_those_of_rfc_5681() {
    let mut tale = Tale::open();
    tale.expect(Remote, ACK, 1, 1, 0, "ACK");
    tale.send(Local, ACK, 1, 1, 100);
    tale.expect(Remote, ACK, 1, 1, 0, "duplicate ACK 1");
    tale.expect(Remote, ACK, 1, 1, 0, "duplicate ACK 2");
    tale.expect(Remote, ACK, 1, 1, 10, "in order");
    tale.window = 900;
    tale.expect(Remote, ACK, 11, 1, 0, "window update");
    tale.expect(Remote, ACK, 11, 1, 0, "duplicate ACK 3");
    tale.expect(Remote, FIN_ACK, 11, 1, 0, "in order");
    tale.expect(Remote, ACK, 12, 51, 0, "acknowledges 50 bytes");
    tale.expect(Remote, ACK, 12, 51, 0, "duplicate ACK 1");
    tale.expect(Remote, ACK, 12, 1, 0, "old ACK");
    tale.expect(Remote, ACK, 12, 51, 0, "duplicate ACK 2");
}

#[test]
fn an_ack_of_bytes_not_seen_moves_nothing_and_is_remembered() {
    let mut tale = Tale::open();
    tale.expect(Remote, ACK, 1, 501, 0, "ACK of bytes not seen");
    tale.local_is(1, 1, 1);
    assert_eq!(tale.talk.sender(Remote).last_ack, Some(ISS + 501));
    assert_eq!(tale.talk.sender(Local).snd_wl2, ISS + 1);
    // Beyond the window of 1000 from what was seen, within it from what was acknowledged.
    tale.expect(Local, ACK, 1201, 1, 100, "previous segment not seen");
    tale.expect(Remote, ACK, 1, 1301, 0, "acknowledges 1300 bytes");
    tale.local_is(1301, 1301, 1301);
    assert_eq!(tale.talk.sender(Local).ranges_beyond_holes(), 0);
}

#[test]
fn the_right_edge_of_the_largest_window_bounds_a_gap() {
    let mut tale = Tale::open();
    tale.send(Local, ACK, 1, 1, 10);
    tale.expect(Local, ACK, 1002, 1, 10, "unacceptable segment");
    tale.local_is(1, 11, 11);
    tale.expect(Local, ACK, 1001, 1, 10, "previous segment not seen");
    let forged = Segment { seq: ISS - (1 << 30), ..segment(ACK, ISS, IRS + 1, 0) };
    let seen = tale.talk.observe(Instant::EPOCH, Local, &forged);
    assert_eq!((seen.data, seen.ack), (DataKind::Unacceptable, AckKind::None));
}

#[test]
fn probes_go_to_a_zero_window_and_keep_alives_to_an_open_one() {
    let mut tale = Tale::open();
    tale.send(Local, ACK, 1, 1, 10);
    tale.send(Remote, ACK, 1, 11, 0);
    tale.expect(Local, ACK, 10, 1, 0, "keep-alive");
    tale.expect(Local, ACK, 10, 1, 1, "keep-alive");
    tale.expect(Local, ACK, 9, 1, 2, "spurious retransmission");
    tale.window = 0;
    tale.expect(Remote, ACK, 1, 11, 0, "window update");
    tale.window = 1000;
    tale.expect(Local, ACK, 10, 1, 0, "zero-window probe");
    tale.expect(Local, ACK, 11, 1, 0, "ACK");
    tale.expect(Local, ACK, 11, 1, 1, "zero-window probe");
    tale.local_is(11, 12, 12);
    tale.expect(Local, ACK, 11, 1, 1, "zero-window probe");
    tale.expect(Remote, ACK, 1, 11, 0, "window update");
    tale.expect(Local, ACK, 11, 1, 1, "retransmission 1");
    tale.expect(Local, ACK, 11, 1, 10, "in order");
    assert_eq!(tale.talk.sender(Local).retransmissions, 2);
}

#[test]
fn a_probe_without_data_below_snd_una_is_one_of_the_window_while_that_is_zero_and_a_keep_alive_else() {
    let mut tale = Tale::open();
    tale.send(Local, ACK, 1, 1, 10);
    tale.window = 0;
    tale.expect(Remote, ACK, 1, 11, 0, "acknowledges 10 bytes");
    for _ in 0..3 {
        tale.window = 1000;
        tale.expect(Local, ACK, 10, 1, 0, "zero-window probe");
        tale.window = 0;
        tale.expect(Remote, ACK, 1, 11, 0, "ACK");
    }
    tale.window = 1000;
    tale.expect(Remote, ACK, 1, 11, 0, "window update");
    tale.expect(Local, ACK, 10, 1, 0, "keep-alive");
    tale.expect(Remote, ACK, 1, 11, 0, "ACK");
    tale.local_is(11, 11, 11);
    tale.expect(Local, ACK, 11, 1, 5, "in order");
    tale.expect(Local, ACK, 15, 1, 1, "retransmission");
    assert_eq!(tale.talk.sender(Local).retransmissions, 1, "neither probes nor keep-alives count");
}

#[test]
fn the_ack_that_a_probe_or_a_keep_alive_carries_is_no_duplicate() {
    let mut tale = Tale::open();
    tale.send(Remote, ACK, 1, 1, 10);
    tale.expect(Local, ACK, 0, 1, 0, "keep-alive");
    tale.window = 0;
    tale.send(Remote, ACK, 11, 1, 10);
    tale.window = 1000;
    tale.expect(Local, ACK, 0, 1, 0, "zero-window probe");
    assert_eq!(tale.talk.sender(Remote).dup_acks, 0, "it stands below the window of the receiver");
    tale.expect(Local, ACK, 1, 1, 0, "duplicate ACK 1");
}

#[test]
fn a_tail_loss_probe_is_new_data_or_the_last_segment_again() {
    let mut tale = Tale::open();
    tale.send(Local, ACK, 1, 1, 10);
    tale.send(Local, ACK, 11, 1, 10);
    tale.expect(Local, ACK, 11, 1, 10, "retransmission");
    tale.expect(Remote, ACK, 1, 21, 0, "acknowledges 20 bytes");
    tale.send(Local, ACK, 21, 1, 1);
    // One byte, but something is outstanding.
    tale.expect(Local, ACK, 21, 1, 1, "retransmission 1");
    tale.expect(Local, ACK, 22, 1, 10, "in order");
}

#[test]
fn a_fin_is_no_probe_and_is_retransmitted_like_data() {
    let mut tale = Tale::open();
    tale.window = 0;
    tale.send(Remote, ACK, 1, 1, 0);
    tale.expect(Local, FIN_ACK, 1, 1, 0, "in order");
    tale.expect(Local, FIN_ACK, 1, 1, 0, "retransmission 1");
    tale.expect(Remote, ACK, 1, 2, 0, "acknowledges 1 byte");
    tale.expect(Local, FIN_ACK, 1, 1, 0, "spurious retransmission");
    assert_eq!(tale.talk.sender(Local).fin, Some(ISS + 1));
    tale.expect(Local, ACK, 1, 1, 10, "in order");
    assert_eq!(tale.talk.sender(Local).fin, None);
}

#[test]
fn a_retransmitted_syn_is_a_retransmission_and_may_leave_out_options() {
    let mut talk = Conversation::new();
    let options = Options { wscale: Some(7), mss: Some(1460), ..Options::default() };
    let syn = Segment { options, ..segment(SYN, ISS, Seq(0), 0) };
    assert_eq!(talk.observe(Instant::EPOCH, Local, &syn).data, DataKind::New);
    assert_eq!(talk.observe(Instant::EPOCH, Local, &syn).to_string(), "retransmission 1");
    let bare = segment(SYN, ISS, Seq(0), 0);
    assert_eq!(talk.observe(Instant::EPOCH, Local, &bare).to_string(), "retransmission 2");
    assert_eq!(talk.sender(Local).offer, Offer::default());
    talk.observe(Instant::EPOCH, Remote, &segment(SYN_ACK, IRS, ISS + 1, 0));
    assert_eq!(talk.observe(Instant::EPOCH, Local, &syn).to_string(), "spurious retransmission");
    assert_eq!(talk.sender(Local).offer, Offer::default());
}

#[test]
fn options_are_in_force_when_both_syns_carried_them_and_syn_windows_are_not_scaled() {
    let ts = Some(Timestamps::default());
    let full = Options { mss: Some(1460), wscale: Some(15), sack_permitted: true, ts, ..Options::default() };
    for (theirs, in_force) in [(Options { wscale: Some(3), ..full }, true), (Options::default(), false)] {
        let mut talk = Conversation::new();
        talk.observe(Instant::EPOCH, Local, &Segment { options: full, ..segment(SYN, ISS, Seq(0), 0) });
        assert!(!talk.window_scaling() && !talk.handshake_seen());
        talk.observe(Instant::EPOCH, Remote, &Segment { options: theirs, ..segment(SYN_ACK, IRS, ISS + 1, 0) });
        assert_eq!(talk.sender(Local).snd_wnd, 1000);
        assert_eq!((talk.window_scaling(), talk.sack(), talk.timestamps()), (in_force, in_force, in_force));
        // A shift of 15 counts as 14.
        let shifts = if in_force { (14, 3) } else { (0, 0) };
        assert_eq!((talk.window_shift(Local), talk.window_shift(Remote)), shifts);
        talk.observe(Instant::EPOCH, Local, &segment(ACK, ISS + 1, IRS + 1, 0));
        assert_eq!(talk.sender(Remote).snd_wnd, 1000 << shifts.0);
        assert_eq!((talk.sender(Local).rcv_wnd, talk.sender(Local).window), (1000 << shifts.0, 1000));
    }
}

#[test]
fn an_older_segment_does_not_set_the_window() {
    let mut tale = Tale::open();
    tale.send(Local, ACK, 1, 1, 10);
    tale.send(Remote, ACK, 1, 1, 10);
    tale.window = 500;
    tale.send(Remote, ACK, 11, 1, 10);
    tale.window = 2000;
    tale.expect(Remote, ACK, 1, 1, 10, "retransmission 1");
    let local = tale.talk.sender(Local);
    assert_eq!((local.snd_wnd, local.max_snd_wnd, local.snd_wl1), (500, 1000, IRS + 11));
}

#[test]
fn both_sides_may_open_at_once() {
    let mut tale = Tale::new();
    tale.expect(Local, SYN, 0, 0, 0, "in order");
    tale.window = 700;
    tale.expect(Remote, SYN, 0, 0, 0, "in order");
    assert_eq!(tale.talk.sender(Local).snd_wnd, 700);
    tale.window = 800;
    tale.expect(Remote, SYN_ACK, 0, 1, 0, "retransmission 1, acknowledges 1 byte");
    assert_eq!(tale.talk.sender(Local).snd_wnd, 800);
    tale.expect(Local, SYN_ACK, 0, 1, 0, "spurious retransmission, acknowledges 1 byte");
    tale.expect(Local, ACK, 1, 1, 10, "in order");
    tale.local_is(1, 11, 11);
}

#[test]
fn data_on_a_syn_may_stay_unacknowledged() {
    let mut tale = Tale::new();
    tale.expect(Local, SYN, 0, 0, 10, "in order");
    tale.local_is(0, 11, 11);
    tale.expect(Remote, SYN_ACK, 0, 1, 0, "in order, acknowledges 1 byte");
    tale.expect(Local, ACK, 1, 1, 10, "retransmission 1, acknowledges 1 byte");
    tale.local_is(1, 11, 11);
}

#[test]
fn a_conversation_may_begin_in_the_middle() {
    let mut tale = Tale::new();
    tale.expect(Remote, ACK, 500, 1000, 0, "ACK");
    tale.expect(Local, ACK, 1100, 500, 50, "in order");
    tale.local_is(1000, 1150, 1150);
    let local = tale.talk.sender(Local);
    assert_eq!((local.iss, local.flight_size(), local.snd_wnd), (None, 150, 1000));
    tale.expect(Local, ACK, 1050, 500, 50, "retransmission");
    tale.expect(Remote, ACK, 500, 1150, 0, "acknowledges 150 bytes");
    assert!(!tale.talk.handshake_seen());
}

#[test]
fn the_first_ack_tells_what_was_outstanding_when_the_capture_began() {
    let mut tale = Tale::new();
    tale.expect(Local, ACK, 1100, 500, 50, "in order");
    tale.local_is(1100, 1150, 1150);
    tale.expect(Remote, ACK, 500, 1000, 0, "ACK");
    tale.local_is(1000, 1150, 1150);
    tale.expect(Remote, ACK, 500, 900, 0, "old ACK");
    tale.expect(Remote, ACK, 500, 1100, 0, "acknowledges 100 bytes");
}

#[test]
fn a_capture_of_one_direction_runs_on_past_every_window() {
    let mut talk = Conversation::new();
    for at in 0..100_000_u32 {
        let seq = ISS + at.wrapping_mul(60_000);
        let seen = talk.observe(Instant::EPOCH, Local, &segment(ACK, seq, IRS, 60_000));
        assert_eq!(seen.data, DataKind::New);
    }
    assert_eq!(talk.sender(Local).flight_size(), 1 << 30);
}

#[test]
fn a_syn_after_the_end_begins_everything_anew() {
    let mut tale = Tale::open();
    tale.send(Local, FIN_ACK, 1, 1, 0);
    tale.send(Remote, FIN_ACK, 1, 2, 0);
    tale.send(Local, ACK, 2, 2, 0);
    let seen = tale.send(Local, SYN, 5000, 0, 0);
    assert!(seen.restarted && seen.data == DataKind::New);
    assert_eq!(tale.talk.sender(Local).iss, Some(ISS + 5000));
    assert_eq!(tale.talk.sender(Local).segments, 1);
    assert!(!tale.talk.sender(Remote).is_started() && !tale.talk.is_over());
    tale.expect(Remote, SYN_ACK, 7000, 5001, 0, "in order, acknowledges 1 byte");
}

#[test]
fn a_syn_that_nobody_answered_gives_way_to_another() {
    let mut tale = Tale::new();
    tale.send(Local, SYN, 0, 0, 0);
    assert!(tale.send(Local, SYN, 77, 0, 0).restarted);
    tale.local_is(77, 78, 78);
}

#[test]
fn a_syn_in_the_midst_changes_nothing_until_it_is_answered() {
    let mut tale = Tale::open();
    tale.send(Local, ACK, 1, 1, 10);
    tale.expect(Local, SYN, 5000, 0, 0, "unacceptable segment");
    tale.local_is(1, 11, 11);
    tale.expect(Remote, SYN_ACK, 9000, 4000, 0, "unacceptable segment");
    tale.expect(Remote, ACK, 1, 11, 0, "acknowledges 10 bytes");
    let seen = tale.send(Remote, SYN_ACK, 9000, 5001, 0);
    assert_eq!((seen.restarted, seen.newly_acked()), (true, 1));
    tale.local_is(5001, 5001, 5001);
    tale.expect(Local, ACK, 5001, 9001, 0, "acknowledges 1 byte");
}

#[test]
fn a_reset_is_believed_inside_the_window_or_when_it_acknowledges_the_syn() {
    let rst = Flags::RST;
    let mut tale = Tale::open();
    tale.expect(Remote, rst, 0, 0, 0, "unacceptable segment");
    tale.expect(Remote, rst, 1002, 0, 0, "unacceptable segment");
    assert!(!tale.talk.is_over());
    tale.expect(Remote, rst, 1001, 0, 0, "no data");
    assert!(tale.talk.sender(Remote).rst && tale.talk.is_over());
    assert_eq!(tale.talk.sender(Local).snd_wnd, 1000);

    let refused = |ack: u32| {
        let mut tale = Tale::new();
        tale.send(Local, SYN, 0, 0, 0);
        tale.send(Remote, rst | ACK, 12345, ack, 0);
        tale.talk.is_over()
    };
    assert!(refused(1) && !refused(0) && !refused(2));
}

#[test]
fn rfc_6675_section_2_an_ack_with_a_sack_block_after_a_syn_ack_is_a_duplicate_though_scaling_rounds_the_window() {
    let open = |window| {
        let mut tale = Tale::new();
        let offer = Options { wscale: Some(7), sack_permitted: true, ..Options::default() };
        let mut say = |from, flags, (seq, ack): (u32, u32), len, window, options| {
            let (own, peer) = if from == Local { (ISS, IRS) } else { (IRS, ISS) };
            let segment = Segment { window, options, ..segment(flags, own + seq, peer + ack, len) };
            tale.talk.observe(Instant::EPOCH, from, &segment).to_string()
        };
        say(Local, SYN, (0, 0), 0, 65_535, offer);
        say(Remote, SYN_ACK, (0, 1), 0, 65_535, offer);
        say(Local, ACK, (1, 1), 0, 512, Options::default());
        say(Local, ACK, (1, 1), 100, 512, Options::default());
        say(Local, ACK, (101, 1), 100, 512, Options::default());
        let mut sack = Options::default();
        sack.sack[0] = crate::segment::SackBlock { left: ISS + 101, right: ISS + 201 };
        [(sack, window), (sack, window), (sack, window + 1), (Options::default(), window + 2)]
            .map(|(options, window)| say(Remote, ACK, (1, 1), 0, window, options))
    };
    // 512 << 7 is 65,536: one more than a SYN can say.
    for window in [511, 512, 1000] {
        assert_eq!(open(window), ["duplicate ACK 1", "duplicate ACK 2", "window update", "window update"]);
    }
}

#[test]
fn ranges_beyond_holes_are_bounded() {
    let mut tale = Tale::open();
    for piece in 0..200_u32 {
        tale.send(Local, ACK, 3 + piece * 4, 1, 2);
        assert!(tale.talk.sender(Local).ranges_beyond_holes() <= ranges::MAX_RANGES);
    }
    tale.local_is(1, 1, 801);
    tale.send(Remote, ACK, 1, 801, 0);
    tale.local_is(801, 801, 801);
    assert_eq!(tale.talk.sender(Local).ranges_beyond_holes(), 0);
}

#[test]
fn a_conversation_is_small() {
    assert!(size_of::<Conversation>() <= 256, "{}", size_of::<Conversation>());
    assert!(size_of::<Seen>() <= 40, "{}", size_of::<Seen>());
}
