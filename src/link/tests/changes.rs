//! Tests of links that change: the grammar of times and files, schedules, traces, and what happens to packets on the way.

use proptest::prelude::*;

use super::{any_spec, arrivals, link, nanos, packet, send};
use crate::event::{DropReason, Fate};
use crate::link::{
    Link, LinkArgument, LinkChange, LinkItems, LinkLine, LinkSchedule, LinkSpec, Trace, TraceError, read_lines,
};
use crate::time::{Duration, Instant};

fn lines(texts: &[&str]) -> Vec<LinkLine> {
    texts.iter().map(|text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))).collect()
}

fn scheduled(texts: &[&str]) -> Link {
    let [schedule, _] = LinkSchedule::of_link(&lines(texts), ["a", "b"]).expect("a schedule");
    let mut link = Link::new(&LinkSpec::default(), 7, "a>b");
    link.set_schedule(&schedule);
    link
}

fn traced(millis: &str) -> Link {
    let trace = Trace::parse("t", millis.replace(' ', "\n").as_bytes()).expect("a trace");
    Link::new(&LinkSpec { trace: Some(trace), ..LinkSpec::default() }, 7, "a>b")
}

fn millis(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

#[test]
fn a_line_with_a_time_reads_back_from_what_it_prints() {
    for (written, printed) in [
        ("@5s:loss=5%", "@5s:loss=5%"),
        ("a>b:@1500ms:rate=1Mbit,delay=0", "a>b:@1500ms:rate=1Mbit,delay=0"),
        ("@0:rate=0,loss=0%", "@0s:rate=0,loss=0"),
        (" a > b : @2s : drop=data:3,hold=0", "a>b:@2s:drop=data:3,hold=0"),
        ("@1s:rate=trace:dir/a>b@x:1", "@1s:rate=trace:dir/a>b@x:1"),
        ("@1s:down=3s..4s,down=5s..6s", "@1s:down=3s..4s,down=5s..6s"),
    ] {
        let line: LinkLine = written.parse().unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(line.to_string(), printed, "{written}");
        assert_eq!(printed.parse::<LinkLine>(), Ok(line), "{written}");
    }
}

#[test]
fn an_error_in_a_line_with_a_time_says_how_it_is_written() {
    let error = |line: &str| line.parse::<LinkLine>().expect_err(line).to_string();
    assert_eq!(
        error("@5:loss=1%"),
        "link spec: `@5:loss=1%`: a change is written `@TIME:ITEMS`, such as @5s:loss=5% or A>B:@500ms:rate=1Mbit"
    );
    assert_eq!(error("a>b:@5s:"), "link spec: `a>b:@5s:`: a change names at least one item, such as @5s:loss=5%");
    assert_eq!(
        error("@lines.txt"),
        "link spec: `@lines.txt`: a file of lines is read for --link only; write its lines here"
    );
    assert_eq!(
        error("delay=5ms,"),
        "link spec: `delay=5ms,`: an item is missing beside a comma; write KEY=VALUE there or leave the comma out"
    );
    assert_eq!(error("@1s:loss=0,loss=1%"), "link spec: `loss` is given twice");
    assert_eq!(error("@1s:drop=data:1,drop=0"), "link spec: `drop` is given twice");
    for line in ["rate=0", "loss=0", "@1s", "@1s:@2s:loss=1%", "@1s:a>b:loss=1%", "@-1s:loss=1%", "@:loss=1%", "@"] {
        line.parse::<LinkLine>().expect_err(line);
    }
    assert_eq!(
        "rate=trace:lte".parse::<LinkSpec>().expect_err("nobody reads it").to_string(),
        "link spec: `rate=trace:lte`: the trace was not given; --link reads its file, and --trace FILE gives it"
    );
}

#[test]
fn an_argument_is_a_line_or_a_file() {
    let file = |text: &str| match text.parse() {
        Ok(LinkArgument::File { direction, path }) => (direction.map(|(from, to)| format!("{from}>{to}")), path),
        other => panic!("{other:?}"),
    };
    assert_eq!(file("@lines"), (None, "lines".to_owned()));
    assert_eq!(file("@./5s"), (None, "./5s".to_owned()));
    assert_eq!(file("@/a>b:c,d"), (None, "/a>b:c,d".to_owned()));
    assert_eq!(file("a>b:@x"), (Some("a>b".to_owned()), "x".to_owned()));
    assert!(matches!("@5s:loss=1%".parse(), Ok(LinkArgument::Line(_))));
}

#[test]
fn a_file_of_lines_skips_comments_and_names_the_line_that_is_wrong() {
    let read = read_lines("# start\ndelay=5ms\r\n\n  @1s:loss=1%\na>b:@2s:loss=2%\n", None).expect("lines");
    assert_eq!(read, lines(&["delay=5ms", "@1s:loss=1%", "a>b:@2s:loss=2%"]));
    let [from, to] = ["a", "b"].map(str::to_owned);
    let given = Some((from, to));
    let read = read_lines("delay=5ms\na>b:@2s:loss=2%", given.as_ref()).expect("lines");
    assert_eq!(read, lines(&["a>b:delay=5ms", "a>b:@2s:loss=2%"]));
    let error = |text: &str| read_lines(text, given.as_ref()).expect_err(text).to_string();
    assert_eq!(error("\n#\n@1s:los=1%").split(';').next(), Some("line 3: link spec: unknown key `los`"));
    assert_eq!(error("b>a:loss=1%"), "line 1: the line is for b>a, and the file is given for a>b");
    assert!(error("loss=1%\n@other").starts_with("line 2: link spec: `@other`: a file of lines"));
    let most = "@1s:loss=1%\n".repeat(10_000);
    assert_eq!(read_lines(&most, None).expect("10,000 lines").len(), 10_000);
    assert_eq!(error(&(most + "delay=1s")), "line 10001: more than 10000 link lines");
}

#[test]
fn changes_are_in_order_of_time_and_a_direction_goes_before_both() {
    let [out, back] = LinkSchedule::of_link(
        &lines(&["delay=9s", "a>b:@2s:loss=2%", "@2s:loss=1%,mtu=1400", "@1s:delay=1ms", "b>a:delay=2s", "delay=1s"]),
        ["a", "b"],
    )
    .expect("two schedules");
    let told = |schedule: &LinkSchedule| {
        let changes = schedule.changes().iter().map(|change| format!("{:?} {}", change.at, change.items));
        (schedule.spec.to_string(), changes.collect::<Vec<_>>())
    };
    let both = ["1s delay=1ms", "2s loss=1%,mtu=1400", "2s loss=2%"].map(str::to_owned);
    assert_eq!(told(&out), ("delay=1s".to_owned(), both.to_vec()));
    assert_eq!(told(&back), ("delay=1s".to_owned(), both[..2].to_vec()), "a later line replaces an earlier one");
    let error = |texts: &[&str]| LinkSchedule::of_link(&lines(texts), ["a", "b"]).expect_err("wrong").to_string();
    assert_eq!(
        error(&["@2s:loss=1%,mtu=1400", "@2000ms:delay=1ms,mtu=1300"]),
        "link spec: `@2s:`: `mtu` changes twice at this time"
    );
    assert_eq!(error(&["a>c:@2s:loss=1%"]), "link spec: unknown direction `a>c`; the directions are `a>b:` and `b>a:`");
    assert!(error(&["@1s:rate=trace:x"]).contains("rate=trace:x"));
    let many: Vec<_> = (1..=10_001).map(|at| format!("@{at}ms:mtu=1400")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert!(LinkSchedule::of_link(&lines(&many[..10_000]), ["a", "b"]).is_ok());
    assert_eq!(error(&many), "link spec: more than 10000 changes of one direction");
}

#[test]
fn a_change_holds_from_its_nanosecond_on_and_what_it_does_not_name_stays() {
    let mut link = scheduled(&["delay=10ms,mtu=1400", "@1s:delay=20ms", "@2s:loss=100%", "@3s:loss=0,mtu=0"]);
    let mut at = |time: u64, len| send(&mut link, nanos(time), packet(time, len));
    assert_eq!(at(999_999_999, 40), Fate::Deliver(nanos(1_009_999_999)));
    assert_eq!(at(1_000_000_000, 40), Fate::Deliver(nanos(1_020_000_000)));
    assert_eq!(at(1_500_000_000, 1401), Fate::Drop(DropReason::TooBig));
    assert_eq!(at(2_000_000_000, 40), Fate::Drop(DropReason::Loss));
    assert_eq!(at(3_000_000_000, 1401), Fate::Deliver(nanos(3_020_000_000)));
    assert_eq!((link.next_change_at(), link.spec().to_string()), (None, "delay=20ms".to_owned()));
}

#[test]
fn the_times_of_changes_count_from_the_beginning_and_a_skipped_one_is_made_too() {
    let mut link = scheduled(&["@1s:delay=1ms", "@2s:mtu=100"]);
    link.set_beginning(millis(7_000));
    assert_eq!(link.next_change_at(), Some(millis(8_000)));
    assert!(link.poll_change(nanos(7_999_999_999)).is_none());
    assert_eq!(send(&mut link, millis(20_000), packet(0, 60)), Fate::Deliver(millis(20_001)));
    assert_eq!(link.spec().to_string(), "delay=1ms,mtu=100");
}

#[test]
fn packets_in_the_queue_keep_their_times_when_rate_and_limit_change() {
    // 1,500 bytes take 1 ms, later 10 ms.
    let mut link = scheduled(&["rate=12Mbit,limit=4", "@500us:rate=1200kbit,limit=2", "@20ms:rate=0"]);
    let sent: Vec<_> = (0..4).map(|id| send(&mut link, nanos(0), packet(id, 1500))).collect();
    assert_eq!(sent, [1, 2, 3, 4].map(|at| Fate::Deliver(millis(at))));
    // Four are in the queue, more than fit now. They stay.
    assert_eq!(send(&mut link, millis(1), packet(4, 1500)), Fate::Drop(DropReason::QueueFull));
    assert_eq!(link.queued(millis(1)), (3, 4500));
    assert_eq!(send(&mut link, millis(3), packet(5, 1500)), Fate::Deliver(millis(14)));
    assert_eq!(send(&mut link, millis(13), packet(6, 1500)), Fate::Deliver(millis(24)));
    // Without a rate a packet waits for those before it only.
    assert_eq!(send(&mut link, millis(20), packet(7, 1500)), Fate::Deliver(millis(24)));
    assert_eq!(send(&mut link, millis(25), packet(8, 1500)), Fate::Deliver(millis(25)));
    assert_eq!(arrivals(&mut link).len(), 8);
    assert!(link.counters().conserved());
}

#[test]
fn a_script_goes_on_counting_when_another_item_changes() {
    let mut link = scheduled(&["drop=packet:3", "@2ns:delay=1ms", "@4ns:drop=packet:1"]);
    let lost = |link: &mut Link, id| send(link, nanos(id), packet(id, 40)) == Fate::Drop(DropReason::Fault);
    assert_eq!([0, 1, 2, 3, 4, 5].map(|id| lost(&mut link, id)), [false, false, true, false, true, false]);
}

#[test]
fn a_link_that_is_taken_down_loses_what_enters_and_delivers_what_is_on_the_way() {
    let mut link = link("delay=5ms");
    assert_eq!(send(&mut link, millis(0), packet(0, 40)), Fate::Deliver(millis(5)));
    link.set_up(false);
    assert!(!link.is_up());
    assert_eq!(send(&mut link, millis(1), packet(1, 40)), Fate::Drop(DropReason::LinkDown { until: None }));
    link.set_items(&LinkItems::parse("delay=1ms").expect("items"), millis(2)).expect("no trace");
    assert!(!link.is_up(), "another line does not take it up");
    link.set_up(true);
    assert_eq!(send(&mut link, millis(3), packet(2, 40)), Fate::Deliver(millis(4)));
    assert_eq!(arrivals(&mut link), [(2, 4_000_000), (0, 5_000_000)]);
}

#[test]
fn a_trace_lets_1500_bytes_through_at_each_of_its_lines_and_repeats() {
    let mut link = traced("2 2 5 10");
    // Two opportunities at 2 ms, then 5 and 10, then 12, 12, 15, 20 ...
    let sent: Vec<_> = (0..6).map(|id| send(&mut link, millis(0), packet(id, 1500))).collect();
    assert_eq!(sent, [2, 2, 5, 10, 12, 12].map(|at| Fate::Deliver(millis(at))));
    // What nobody uses is lost. An opportunity at the instant of arrival has passed.
    assert_eq!(send(&mut link, millis(22), packet(6, 1500)), Fate::Deliver(millis(25)));
    assert_eq!(send(&mut link, nanos(31_999_999), packet(7, 1500)), Fate::Deliver(millis(32)));
}

#[test]
fn packets_share_an_opportunity_and_a_packet_uses_several() {
    let mut link = traced("1 2 3 4");
    let mut at = |now, id, len| send(&mut link, millis(now), packet(id, len));
    assert_eq!(at(0, 0, 700), Fate::Deliver(millis(1)));
    assert_eq!(at(0, 1, 800), Fate::Deliver(millis(1)), "1,500 bytes together");
    assert_eq!(at(0, 2, 1501), Fate::Deliver(millis(3)), "one byte more takes a second one");
    assert_eq!(at(0, 3, 1499), Fate::Deliver(millis(3)), "and leaves 1,499");
    assert_eq!(at(0, 4, 1), Fate::Deliver(millis(4)));
    // The rest of that opportunity has passed with it.
    assert_eq!(at(4, 5, 40), Fate::Deliver(millis(5)));
    assert_eq!(link.queued(millis(4)), (1, 40));
}

#[test]
fn a_trace_has_a_queue_with_a_limit() {
    let trace = Trace::parse("t", b"10\n").expect("a trace");
    assert_eq!((trace.bits_per_second(), trace.period()), (1_200_000, Duration::from_millis(10)));
    let spec = LinkSpec {
        trace: Some(trace),
        limit: "limit=2".parse::<LinkSpec>().expect("a limit").limit,
        ..LinkSpec::default()
    };
    let mut link = Link::new(&spec, 7, "a>b");
    let sent: Vec<_> = (0..3).map(|id| send(&mut link, millis(0), packet(id, 1500))).collect();
    assert_eq!(sent, [Fate::Deliver(millis(10)), Fate::Deliver(millis(20)), Fate::Drop(DropReason::QueueFull)]);
}

#[test]
fn a_trace_that_comes_later_begins_then_and_waits_for_the_queue() {
    let mut link = link("rate=1200kbit");
    assert_eq!(send(&mut link, millis(0), packet(0, 1500)), Fate::Deliver(millis(10)));
    let mut items = LinkItems::parse("rate=trace:t").expect("items");
    assert_eq!(items.unread(), Some("t"));
    items.give_trace(Trace::parse("t", b"3\n").expect("a trace"));
    link.set_items(&items, millis(5)).expect("it is read");
    // Opportunities at 8, 11, 14 ms. That at 8 ms comes before the queue is empty.
    assert_eq!(send(&mut link, millis(5), packet(1, 1500)), Fate::Deliver(millis(11)));
    link.set_items(&LinkItems::parse("delay=1ms").expect("items"), millis(6)).expect("no trace");
    assert_eq!(send(&mut link, millis(6), packet(2, 1500)), Fate::Deliver(millis(15)), "it goes on");
}

#[test]
fn a_file_that_is_no_trace_is_refused_with_its_line() {
    let error = |bytes: &[u8]| Trace::parse("t", bytes).expect_err("no trace");
    assert_eq!(error(b""), TraceError::Empty);
    assert_eq!(error(b"\n \n"), TraceError::Empty);
    assert_eq!(error(b"0\n0\n"), TraceError::NoTime);
    assert_eq!(error(b"1\n2.5\n"), TraceError::NoNumber(2));
    assert_eq!(error(b"1\n\n-1\n"), TraceError::NoNumber(3));
    assert_eq!(error(b"4294967296"), TraceError::NoNumber(1));
    assert_eq!(error(b"\xff"), TraceError::NoNumber(1));
    assert_eq!(error(b"5\n4\n").to_string(), "line 2: 4 comes after 5: the milliseconds do not fall");
    let mut most = vec![b' '; Trace::MOST_BYTES];
    most[0] = b'1';
    assert_eq!(Trace::parse("t", &most).expect("as long as it may be").millis(), [1]);
    most.push(b' ');
    assert_eq!(error(&most), TraceError::TooLong);
    assert_eq!(Trace::parse("t", b"0\r\n4294967295\r\n").expect("a trace").millis(), [0, u32::MAX]);
}

/// As mahimahi has it: at each opportunity, up to 1,500 bytes of what waits leave. `packets` are (instant, length).
fn mahimahi(trace: &[u32], packets: &[(u64, u64)]) -> Vec<u64> {
    let (period, mut left) = (u64::from(*trace.last().expect("not empty")), Vec::new());
    let mut departures = vec![0; packets.len()];
    let mut waiting: Vec<(usize, u64)> = Vec::new();
    let mut next = 0;
    for round in 0.. {
        for opportunity in trace {
            let at = (round * period + u64::from(*opportunity)) * 1_000_000;
            while next < packets.len() && packets[next].0 < at {
                waiting.push((next, packets[next].1));
                next += 1;
            }
            let mut room = 1_500;
            left.clear();
            for (id, bytes) in waiting.drain(..) {
                let now = bytes.min(room);
                room -= now;
                if now == bytes { departures[id] = at } else { left.push((id, bytes - now)) }
            }
            waiting.append(&mut left);
        }
        if next == packets.len() && waiting.is_empty() {
            return departures;
        }
    }
    unreachable!("the trace repeats")
}

proptest! {
    #[test]
    fn a_trace_lets_packets_out_as_a_step_by_step_model_does(
        steps in prop::collection::vec(0_u32..4, 1..20),
        last in 1_u32..5,
        packets in prop::collection::vec((0_u64..4_000_000, 1_u64..4_000), 1..60),
    ) {
        let mut sum = 0;
        let mut trace: Vec<_> = steps.into_iter().map(|step| { sum += step; sum }).collect();
        trace.push(sum + last);
        let mut now = 0;
        let packets: Vec<_> = packets.into_iter().map(|(gap, len)| { now += gap; (now, len) }).collect();
        let text = trace.iter().fold(String::new(), |text, millis| text + &format!("{millis}\n"));
        let mut link = traced(text.trim());
        let fates: Vec<_> = (0..).zip(&packets).map(|(id, (at, len))| send(&mut link, nanos(*at), packet(id, *len as usize))).collect();
        let expected: Vec<_> = mahimahi(&trace, &packets).into_iter().map(|at| Fate::Deliver(nanos(at))).collect();
        prop_assert_eq!(fates, expected);
    }

    #[test]
    fn packets_are_conserved_across_changes_and_arrive_when_their_fate_said(
        specs in prop::collection::vec((0_u64..60_000_000, any_spec(), any::<bool>()), 1..6),
        packets in prop::collection::vec((0_u64..3_000_000, 20_usize..1600), 1..150),
        down in prop::option::of(0_usize..150),
    ) {
        let mut link = Link::new(&LinkSpec::default(), 3, "a>b");
        for (at, spec, has_trace) in specs {
            let mut items = LinkItems::parse_change(&spec.to_string()).expect("a line");
            if has_trace {
                items.give_trace(Trace::parse("t", b"0\n1\n4\n").expect("a trace"));
            }
            link.add_change(LinkChange { at: Duration::from_nanos(at), items }).expect("few changes");
        }
        let (mut now, mut promised, mut told) = (Instant::EPOCH, Vec::new(), Vec::new());
        for (id, (gap, len)) in packets.into_iter().enumerate() {
            now += Duration::from_nanos(gap);
            link.set_up(down != Some(id));
            if let Some(at) = send(&mut link, now, packet(id as u64, len)).arrival() {
                prop_assert!(at >= now);
                promised.push((id as u64, at.as_nanos()));
            }
            prop_assert!(link.counters().conserved(), "{}", link.counters());
            while let Some(at) = link.next_at().filter(|at| *at <= now) {
                told.push((link.poll_packet(now).expect("it has arrived").meta.id.0, at.as_nanos()));
            }
        }
        told.extend(arrivals(&mut link));
        prop_assert!(promised.iter().all(|promise| told.contains(promise)));
        let counters = link.counters();
        prop_assert!(counters.conserved() && counters.in_flight == 0);
        prop_assert_eq!(told.len() as u64, promised.len() as u64 + counters.duplicated);
    }
}
