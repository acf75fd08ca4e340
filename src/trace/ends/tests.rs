//! What is known of both ends, from steps that are put together by hand, and what holds whatever the steps are.

use proptest::prelude::*;

use super::ranges::{MOST, Ranges, divide};
use super::*;
use crate::annotate::Variables;
use crate::conversation::{Kinds, Seen};
use crate::event::{Cause, DropReason, HostId, Phase, State};
use crate::segment::{Options, Seq};
use crate::time::Duration;

const L: Side = Side::Local;
const R: Side = Side::Remote;
const ACK: Flags = Flags::ACK;

/// A segment step of a run.
fn segment(from: Side, flags: Flags, (seq, ack, payload): (u32, u32, usize)) -> SegmentStep {
    let len = payload as u32 + u32::from(flags.contains(Flags::SYN)) + u32::from(flags.contains(Flags::FIN));
    let data = if len == 0 { DataKind::None } else { DataKind::New };
    let ack = flags.contains(ACK).then_some(ack);
    let seen = Seen {
        data,
        ack: if ack.is_some() { AckKind::Plain } else { AckKind::None },
        start: Seq(7) + seq,
        end: Seq(7) + seq + len,
        new_bytes: len,
        restarted: false,
    };
    SegmentStep {
        packet: 0,
        len: 40,
        from,
        flags,
        seq,
        ack,
        window: 1000,
        window_changed: false,
        options: Options::default(),
        sacked: Vec::new(),
        options_cut: false,
        payload,
        arrival: None,
        seen: Some(seen),
        kinds: Kinds::default(),
        words: String::new(),
        tag: None,
        behind: None,
        path: Vec::new(),
        variables: None,
        comment: None,
        begins: false,
        states: [None; 2],
    }
}

/// A step at this millisecond; in a run, a segment that is not lost arrives 10 ms later.
fn step(millis: u64, in_run: bool, content: Content) -> Step {
    let vantage = if in_run { Vantage::Host(HostId(0)) } else { Vantage::Capture };
    let mut step = Step { at: Instant::from_millis(millis), vantage, flow: Some(0), content };
    if let Content::Segment(segment) = &mut step.content
        && in_run
        && segment.tag.is_none()
    {
        segment.arrival = Some(Instant::from_millis(millis + 10));
    }
    step
}

/// `0-1 acknowledged, 1-11 lost`
fn space(end: &End) -> String {
    let parts = end.space();
    let parts = parts.iter().map(|part| format!("{}-{} {}", part.start, part.end, part.kind.name()));
    parts.collect::<Vec<_>>().join(", ")
}

fn value<T>(known: Option<Known<T>>) -> Option<T> {
    known.map(|known| known.value)
}

/// A connection whose handshake is over, at 40 ms.
fn open(in_run: bool) -> Ends {
    let mut ends = Ends::new();
    let mut take = |millis, segment| ends.take(&step(millis, in_run, Content::Segment(Box::new(segment))));
    take(0, segment(L, Flags::SYN, (0, 0, 0)));
    take(10, segment(R, Flags(0x12), (0, 1, 0)));
    take(20, segment(L, ACK, (1, 1, 0)));
    ends.advance(Instant::from_millis(40));
    ends
}

fn take(ends: &mut Ends, millis: u64, in_run: bool, segment: SegmentStep) {
    ends.take(&step(millis, in_run, Content::Segment(Box::new(segment))));
}

#[test]
fn in_a_run_a_segment_changes_the_other_end_when_it_arrives() {
    let mut ends = open(true);
    assert_eq!(space(ends.end(L)), "0-1 acknowledged, 1-1001 window");
    take(&mut ends, 50, true, segment(L, ACK, (1, 1, 10)));
    assert_eq!(space(ends.end(L)), "0-1 acknowledged, 1-11 in-flight, 11-1001 window");
    assert_eq!(value(ends.end(R).rcv_nxt), Some(1), "it is on the way");
    ends.advance(Instant::from_millis(59));
    assert_eq!(value(ends.end(R).rcv_nxt), Some(1));
    ends.advance(Instant::from_millis(60));
    assert_eq!(value(ends.end(R).rcv_nxt), Some(11));
    take(&mut ends, 60, true, segment(R, ACK, (1, 11, 0)));
    assert_eq!(value(ends.end(L).snd_una), Some(1));
    ends.advance(Instant::from_millis(70));
    assert_eq!(space(ends.end(L)), "0-11 acknowledged, 11-1011 window");
    assert_eq!(ends.end(L).flight_size().map(|flight| flight.value), Some(0));
    assert_eq!(space(ends.end(R)), "0-1 acknowledged, 1-1001 window", "nothing else happened");
}

#[test]
fn in_a_capture_a_segment_changes_the_other_end_when_it_passes_unless_it_is_lost() {
    let mut ends = open(false);
    take(&mut ends, 50, false, segment(L, ACK, (1, 1, 10)));
    assert_eq!(value(ends.end(R).rcv_nxt), Some(11));
    let lost = SegmentStep { tag: Some(Tag::Lost(DropReason::Loss)), ..segment(L, ACK, (11, 1, 10)) };
    take(&mut ends, 51, false, lost);
    assert_eq!(value(ends.end(R).rcv_nxt), Some(11));
    assert_eq!(space(ends.end(L)), "0-1 acknowledged, 1-11 in-flight, 11-21 lost, 21-1001 window");
    assert!(!ends.end(R).rcv_nxt.unwrap().told);
    take(&mut ends, 60, false, segment(R, ACK, (1, 11, 0)));
    assert_eq!(ends.end(R).rcv_nxt, Some(Known::told(11)));
    assert_eq!(ends.end(L).snd_una, Some(Known::inferred(11)));
}

#[test]
fn what_is_lost_is_in_flight_again_when_it_is_sent_again_and_sacked_when_it_is_sacked() {
    let mut ends = open(true);
    let lost = SegmentStep { tag: Some(Tag::Lost(DropReason::Fault)), ..segment(L, ACK, (1, 1, 10)) };
    take(&mut ends, 50, true, lost.clone());
    take(&mut ends, 51, true, segment(L, ACK, (11, 1, 10)));
    assert_eq!(space(ends.end(L)), "0-1 acknowledged, 1-11 lost, 11-21 in-flight, 21-1001 window");
    assert_eq!(ends.end(L).lost_bytes(), 10);
    take(&mut ends, 61, true, SegmentStep { sacked: vec![(11, 21)], ..segment(R, ACK, (1, 1, 0)) });
    take(&mut ends, 80, true, segment(R, ACK, (1, 1, 0)));
    assert_eq!(space(ends.end(L)), "0-1 acknowledged, 1-11 lost, 11-21 sacked, 21-1001 window");
    assert_eq!(value(ends.end(L).pipe), Some(0));
    take(&mut ends, 81, true, segment(L, ACK, (1, 1, 10)));
    assert_eq!(space(ends.end(L)), "0-1 acknowledged, 1-11 in-flight, 11-21 sacked, 21-1001 window");
    ends.advance(Instant::from_millis(91));
    assert_eq!(value(ends.end(R).rcv_nxt), Some(21), "the hole is filled");
}

#[test]
fn a_packet_that_a_router_lost_is_lost() {
    let mut ends = open(true);
    let lost = Some((HostId(7), Tag::Lost(DropReason::QueueFull)));
    take(&mut ends, 50, true, SegmentStep { behind: lost, ..segment(L, ACK, (1, 1, 10)) });
    assert_eq!(space(ends.end(L)), "0-1 acknowledged, 1-11 lost, 11-1001 window");
}

#[test]
fn a_segment_that_a_host_refuses_changes_nothing_there() {
    let mut ends = open(true);
    take(&mut ends, 50, true, SegmentStep { packet: 9, ..segment(L, ACK, (1, 1, 10)) });
    let refused = Content::Refused { side: Some(R), packet: 9, why: DropReason::NoMemory };
    ends.take(&step(60, true, refused));
    assert_eq!(value(ends.end(R).rcv_nxt), Some(1));
}

#[test]
fn in_a_capture_without_fates_a_loss_is_inferred_as_rfc_6675_has_it() {
    let mut ends = open(false);
    for n in 0..4 {
        take(&mut ends, 50, false, segment(L, ACK, (1 + 10 * n, 1, 10)));
    }
    let sacks = |right| SegmentStep { sacked: vec![(11, right)], ..segment(R, ACK, (1, 1, 0)) };
    take(&mut ends, 60, false, sacks(31));
    assert_eq!(ends.end(L).lost_bytes(), 0, "20 bytes are (DupThresh - 1) * SMSS");
    take(&mut ends, 61, false, sacks(41));
    assert_eq!(space(ends.end(L)), "0-1 acknowledged, 1-11 lost, 11-41 sacked, 41-1001 window");
    take(&mut ends, 62, false, segment(L, ACK, (1, 1, 10)));
    take(&mut ends, 63, false, sacks(41));
    assert_eq!(ends.end(L).lost_bytes(), 0, "it was sent again");
}

#[test]
fn without_sack_the_third_duplicate_ack_tells_of_a_loss() {
    let mut ends = open(false);
    for n in 0..4 {
        take(&mut ends, 50, false, segment(L, ACK, (1 + 10 * n, 1, 10)));
    }
    for n in 1..=3 {
        let mut again = segment(R, ACK, (1, 1, 0));
        again.seen.as_mut().unwrap().ack = AckKind::Duplicate(n);
        take(&mut ends, 60, false, again);
        assert_eq!(ends.end(L).lost_bytes(), if n == 3 { 10 } else { 0 });
    }
}

#[test]
fn what_passed_nowhere_is_lost_until_it_passes() {
    let mut ends = open(false);
    take(&mut ends, 50, false, segment(L, ACK, (11, 1, 10)));
    assert_eq!(space(ends.end(L)), "0-1 acknowledged, 1-11 lost, 11-21 in-flight, 21-1001 window");
    assert_eq!(value(ends.end(R).rcv_nxt), Some(1));
    take(&mut ends, 51, false, segment(L, ACK, (1, 1, 10)));
    assert_eq!(space(ends.end(L)), "0-1 acknowledged, 1-21 in-flight, 21-1001 window");
    assert_eq!(value(ends.end(R).rcv_nxt), Some(21));
}

#[test]
fn of_a_direction_that_is_not_seen_the_acknowledgments_tell() {
    let mut ends = Ends::new();
    take(&mut ends, 0, false, segment(R, ACK, (1, 501, 0)));
    assert_eq!(space(ends.end(L)), "0-501 acknowledged, 501-1501 window");
    assert_eq!(ends.end(L).snd_nxt, Some(Known::inferred(501)));
    assert!(ends.end(L).cwnd.is_none() && ends.end(L).state.is_none());
}

#[test]
fn numbers_that_a_host_tells_are_marked_and_stay_until_it_tells_others() {
    let mut ends = open(true);
    let variables = Variables {
        cwnd: Some(14_600),
        ssthresh: Some(7300),
        rto: Some(Duration::from_millis(204)),
        srtt: Some(Duration::from_millis(4)),
        phase: Some(Phase::Recovery),
        pipe: Some(10),
        snd_una: Some(1),
        snd_nxt: Some(11),
        snd_wnd: Some(500),
        ..Variables::default()
    };
    take(&mut ends, 50, true, SegmentStep { variables: Some(variables), ..segment(L, ACK, (1, 1, 10)) });
    let end = ends.end(L);
    assert_eq!((end.cwnd, end.ssthresh), (Some(Known::told(14_600)), Some(Known::told(7300))));
    assert_eq!((end.snd_wnd, end.pipe), (Some(Known::told(500)), Some(Known::told(10))));
    assert_eq!(end.phase, Some(Known::told(Phase::Recovery)));
    assert_eq!(space(end), "0-1 acknowledged, 1-11 in-flight, 11-501 window");
    let at = Instant::from_millis(50);
    let timer = Running { timer: TimerKind::Retransmission, since: at, due: Some(at + Duration::from_millis(204)) };
    assert_eq!(end.timers(), [timer]);
    assert!(ends.end(R).cwnd.is_none(), "the other end tells nothing");
}

#[test]
fn a_state_that_a_host_tells_is_marked_and_time_wait_has_a_timer() {
    let mut ends = open(false);
    let states = [Some(State::Established); 2];
    take(&mut ends, 50, false, SegmentStep { states, ..segment(L, ACK, (1, 1, 0)) });
    assert_eq!(ends.end(L).state, Some(Known::inferred(State::Established)));
    let cause = Some(Cause::Received(Flags(0x11)));
    ends.take(&step(60, true, Content::State { side: L, to: Some(State::TimeWait), cause }));
    assert_eq!(ends.end(L).state, Some(Known::told(State::TimeWait)));
    assert_eq!(ends.end(L).timers()[0].timer, TimerKind::TimeWait);
    assert_eq!(ends.end(R).state, Some(Known::inferred(State::Established)));
}

#[test]
fn numbers_beyond_4_gib_do_not_wrap() {
    let mut ends = open(false);
    let mut at = 1_u64;
    for _ in 0..9 {
        take(&mut ends, 50, false, segment(L, ACK, (at as u32, 1, 500_000_000)));
        at += 500_000_000;
        take(&mut ends, 50, false, segment(R, ACK, (1, at as u32, 0)));
    }
    assert_eq!(value(ends.end(L).snd_una), Some(4_500_000_001));
    assert_eq!(value(ends.end(R).rcv_nxt), Some(4_500_000_001));
}

#[test]
fn of_many_segments_on_the_way_the_oldest_count_as_arrived() {
    let mut ends = open(true);
    for n in 0..=MOST_ON_THE_WAY as u32 {
        assert_eq!(value(ends.end(R).rcv_nxt), Some(1), "{n}");
        let mut step = step(50, true, Content::Segment(Box::new(segment(L, ACK, (1 + n, 1, 1)))));
        if let Content::Segment(segment) = &mut step.content {
            segment.arrival = Some(Instant::from_secs(100));
        }
        ends.take(&step);
    }
    assert_eq!(ends.on_the_way.len(), MOST_ON_THE_WAY);
    assert_eq!(value(ends.end(R).rcv_nxt), Some(2));
}

#[test]
fn of_more_ranges_than_a_set_has_the_highest_is_forgotten() {
    let mut set = Ranges::default();
    for n in 0..=MOST as u64 {
        set.add(2 * n, 2 * n + 1);
        assert_eq!(set.bytes(), (n + 1).min(MOST as u64));
    }
    let mut whole = Ranges::default();
    whole.add(0, 10 * MOST as u64);
    (0..MOST as u64).for_each(|n| whole.remove(10 * n + 5, 10 * n + 6));
    assert_eq!(whole.iter().count(), MOST);
}

/// The ranges are in order and without gaps, and their kinds alternate.
fn check(parts: &[Extent], una: u64, nxt: u64, edge: u64) -> Result<(), TestCaseError> {
    let mut at = 0;
    for (n, part) in parts.iter().enumerate() {
        prop_assert_eq!(part.start, at);
        prop_assert!(part.end > part.start);
        prop_assert!(n == 0 || parts[n - 1].kind != part.kind);
        match part.kind {
            Space::Acknowledged => prop_assert_eq!((part.start, part.end), (0, una)),
            Space::Window => prop_assert_eq!((part.start, part.end), (nxt, edge)),
            _ => prop_assert!(part.start >= una && part.end <= nxt),
        }
        at = part.end;
    }
    prop_assert_eq!(at, nxt.max(edge));
    Ok(())
}

proptest! {
    #[test]
    fn a_space_is_divided_into_ranges_in_order_that_cover_it(
        (una, flight, window) in (0..50_u64, 0..50_u64, 0..80_u64),
        sets in prop::array::uniform2(prop::collection::vec((0..120_u64, 0..20_u64), 0..12)),
    ) {
        let (nxt, edge) = (una + flight, una + window);
        let [sacked, lost] = sets.map(|list| {
            let mut set = Ranges::default();
            for (start, len) in &list {
                set.add(*start, start + len);
            }
            set
        });
        let parts = divide(una, nxt, edge, &sacked, &lost);
        check(&parts, una, nxt, edge)?;
        for byte in una..nxt {
            let is_in = |set: &Ranges| set.iter().any(|(start, end)| (start..end).contains(&byte));
            let expected = match (is_in(&sacked), is_in(&lost)) {
                (true, _) => Space::Sacked,
                (false, true) => Space::Lost,
                (false, false) => Space::InFlight,
            };
            let part = parts.iter().find(|part| (part.start..part.end).contains(&byte));
            prop_assert_eq!(part.map(|part| part.kind), Some(expected), "{}", byte);
        }
    }

    #[test]
    fn a_set_of_ranges_has_the_bytes_that_were_added_and_not_removed(
        changes in prop::collection::vec((any::<bool>(), 0..100_u64, 0..20_u64), 0..40),
    ) {
        let (mut set, mut bytes) = (Ranges::default(), [false; 120]);
        for (adds, start, len) in changes {
            if adds { set.add(start, start + len) } else { set.remove(start, start + len) }
            bytes[start as usize..(start + len) as usize].fill(adds);
            let listed = |byte: u64| set.iter().any(|(start, end)| (start..end).contains(&byte));
            prop_assert!((0..120).all(|byte| listed(byte) == bytes[byte as usize]));
            prop_assert_eq!(set.bytes(), bytes.iter().filter(|byte| **byte).count() as u64);
        }
    }

    #[test]
    fn whatever_the_steps_are_the_ranges_cover_the_space(
        in_run in any::<bool>(),
        steps in prop::collection::vec(
            (any::<bool>(), 0..60_u32, 0..60_u32, 0..8_usize, 0..4_u32, 0..6_u8, (0..60_u32, 0..9_u32)),
            0..40,
        ),
    ) {
        let mut ends = Ends::new();
        for (n, (left, seq, ack, payload, window, how, (sack, blocks))) in steps.into_iter().enumerate() {
            let from = if left { L } else { R };
            let mut sent = segment(from, if how == 5 { Flags::SYN } else { ACK }, (seq, ack, payload));
            sent.tag = (how == 0).then_some(Tag::Lost(DropReason::Loss));
            sent.window = window * 20;
            sent.sacked = (0..blocks / 3).map(|n| (sack + 3 * n, sack + 3 * n + blocks)).collect();
            if how == 1 {
                let told = Some(u64::from(sack));
                let (snd_una, snd_nxt) = (told, Some(u64::from(ack)));
                sent.variables = Some(Variables { snd_una, snd_nxt, snd_wnd: told, cwnd: told, ..Variables::default() });
            }
            take(&mut ends, 3 * n as u64, in_run, sent);
            for side in Side::BOTH {
                let end = ends.end(side);
                let Some((una, nxt)) = value(end.snd_una).zip(value(end.snd_nxt)) else {
                    prop_assert!(end.space().is_empty());
                    continue;
                };
                prop_assert!(una <= nxt);
                check(&end.space(), una, nxt, end.edge().unwrap_or(nxt))?;
                let flight = end.flight_size().map(|flight| flight.value);
                prop_assert!(end.lost_bytes() <= flight.unwrap_or_default());
            }
        }
    }
}

/// At the next segment of a host, what was inferred until then is what the host tells with it.
#[cfg(feature = "scenario")]
#[test]
fn what_is_inferred_from_arrivals_is_what_the_host_tells_next() {
    use crate::event::{Event, Observer};
    use crate::trace::Trace;

    struct Told(Trace);
    impl Observer for Told {
        fn on_event(&mut self, at: Instant, event: &Event<'_>) {
            self.0.on_event(at, event);
        }

        fn wants_numbers(&self) -> bool {
            true
        }
    }

    let (mut all_compared, mut all_exact) = (0, 0);
    for lesson in ["sack", "fast-retransmit", "zero-window", "tail-loss-probe", "close", "reorder", "lost-synack"] {
        let world = crate::scenario::Scenario::lesson(lesson).unwrap().build(1).unwrap();
        let trace = world.observe(Told(Trace::new()));
        world.run();
        let trace = &mut trace.borrow_mut().0;
        trace.settle();
        let flows = trace.flows().len();
        let mut all = vec![Ends::new(); flows];
        let (mut compared, mut exact) = (0, 0);
        for step in core::iter::from_fn(|| trace.next_step()) {
            let Some(ends) = step.flow.map(|flow| &mut all[flow]) else { continue };
            if let Content::Segment(segment) = &step.content
                && let Some(Variables { snd_una: Some(una), snd_wnd: Some(wnd), .. }) = segment.variables
                && ends.end(segment.from).snd_una.is_some()
                && !segment.flags.contains(Flags::RST)
            {
                // Of what arrives at this instant, the host may have taken a part.
                let known = |ends: &Ends| {
                    let end = ends.end(segment.from);
                    (value(end.snd_una), value(end.snd_wnd), value(end.rcv_nxt))
                };
                ends.advance(step.at);
                let (una_here, wnd_here, next_here) = known(ends);
                let next = segment.ack.filter(|ack| *ack > 0).map(u64::from);
                let packet = format!("{lesson}, packet {}: {:?}", segment.packet, known(ends));
                assert!(Some(una) <= una_here, "{packet}: {una}");
                exact += usize::from(Some(una) == una_here && next == next_here && Some(wnd) == wnd_here);
                compared += 1;
            }
            ends.take(&step);
        }
        assert!(compared > 3, "{lesson}: {compared}");
        all_compared += compared;
        all_exact += exact;
    }
    assert!(all_exact * 2 > all_compared, "{all_exact} of {all_compared}");
}
