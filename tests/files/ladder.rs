//! The ladder of every lesson: it fits every width of a terminal, it names segments as the captures do, and the captures
//! that are kept differ from those of the last version in their comments only.
#![cfg(feature = "cli")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

use crate::programs::scratch;
use tcplab::capture::{Direction, Reader, Settings};
use tcplab::event::{Event, HostId};
use tcplab::scenario::{Recipe, Scenario, World, lessons};
use tcplab::segment::Packet;
use tcplab::time::Instant;
use tcplab::trace::{Content, Trace, Vantage};
use tcplab::view::{Ladder, LadderWriter, NARROWEST, Style};
use unicode_width::UnicodeWidthStr;

fn build(name: &str) -> (Scenario, World) {
    let scenario = Scenario::lesson(name).expect("it is on the list");
    let world = scenario.build(scenario.seed()).expect("a lesson is valid");
    (scenario, world)
}

#[track_caller]
fn fits(text: &str, width: usize, what: &str) {
    for line in text.lines() {
        assert!(line.width() <= width, "{what} at {width}: {} columns: {line:?}", line.width());
        assert_eq!(line, line.trim_end(), "{what} at {width}");
    }
}

#[test]
fn no_line_of_a_ladder_is_wider_than_the_terminal() {
    for name in lessons() {
        let (_, world) = build(name);
        let mut ladder = Ladder::new();
        ladder.name_hosts(world.names().iter().cloned());
        let ladder = world.observe(ladder);
        world.run();
        for width in NARROWEST..=250 {
            // Each style at many widths; all of them would take minutes.
            let (ascii, all) = (width % 3 == 0, width % 16 == 0);
            let text = ladder.borrow().draw(&Style { width, ascii, all, color: false });
            assert!(!text.is_empty() && (!ascii || text.is_ascii()), "{name} at {width}");
            fits(&text, width, name);
        }
    }
}

#[test]
fn names_and_comments_of_any_text_fit_and_command_nothing() {
    let odd = [
        "漢字のホスト名がとても長い場合",
        "a\x1b[31mb\u{202e}c\u{7}",
        "e\u{301}e\u{301}👩\u{200d}👩\u{200d}👧\u{fe0f}",
        "x\ty\nz",
        "",
    ];
    let packets = Rc::new(RefCell::new(Vec::new()));
    let (_, world) = build("data");
    let seen = Rc::clone(&packets);
    world.observe(move |at: Instant, event: &Event<'_>| {
        if let Event::Sent { host, packet, .. } = event {
            seen.borrow_mut().push((at, *host, (*packet).clone()));
        }
    });
    let ladders: Vec<_> = odd
        .iter()
        .map(|name| {
            let mut ladder = Ladder::new();
            ladder.name_hosts(world.names().iter().map(|(host, _)| (*host, (*name).to_owned())));
            world.observe(ladder)
        })
        .collect();
    world.run();
    for width in NARROWEST..=250 {
        for ladder in &ladders {
            let text = ladder.borrow().draw(&Style { width, ..Style::default() });
            fits(&text, width, "names");
            assert!(!text.contains(|c: char| c.is_control() && c != '\n') && !text.contains('\u{202e}'), "{text:?}");
        }
    }
    // Comments that others have written on packets.
    let packets = packets.borrow();
    for width in (NARROWEST..=250).step_by(7) {
        let (mut trace, mut text) = (Trace::new(), String::new());
        let mut ladder = LadderWriter::new(Style { width, ..Style::default() });
        for (n, (at, _, Packet { bytes, .. })) in packets.iter().enumerate() {
            let comment = odd[n % odd.len()].repeat(1 + n % 7);
            let record = tcplab::capture::Record::of_packet(n as u64 + 1, *at, bytes, Some(&comment));
            trace.record(&record, false);
            while let Some(step) = trace.next_step() {
                ladder.step(&trace, step, &mut text);
            }
        }
        ladder.finish(&trace, &mut text);
        fits(&text, width, "comments");
        assert!(text.lines().count() > 10 && !text.contains('\x1b') && !text.contains('\u{202e}'), "{text}");
    }
}

#[test]
fn the_command_draws_for_the_width_that_it_is_told_and_80_columns_into_a_pipe() {
    let run = |columns: Option<&str>, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcplab"));
        command.args(args).stdin(Stdio::null()).env_remove("COLUMNS");
        if let Some(columns) = columns {
            command.env("COLUMNS", columns);
        }
        let output = command.output().expect("it starts");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let widest = |text: &str| text.lines().map(UnicodeWidthStr::width).max().unwrap_or(0);
    for (columns, expected) in [(None, 80), (Some("20"), 20), (Some("133"), 133), (Some("many"), 80), (Some("5"), 20)] {
        let text = run(columns, &["run", "-q", "handshake"]);
        assert!(widest(&text) <= expected && widest(&text) + 30 > expected, "{columns:?}: {}\n{text}", widest(&text));
    }
    let plain = run(None, &["run", "-q", "slow-start"]);
    assert!(plain.contains("left out; --all shows them") || plain.contains("--all"), "{plain}");
    let all = run(None, &["run", "-q", "--all", "slow-start"]);
    assert!(!all.contains("--all") && all.lines().count() > plain.lines().count(), "{all}");
    assert!(run(None, &["run", "-q", "--ascii", "--all", "handshake"]).contains("|-- SYN 0:1"));
    let none = run(None, &["run", "-q", "--no-ladder", "handshake"]);
    assert!(!none.contains('│') && none.contains("bytes sent"), "{none}");
    // The summary comes last.
    assert!(plain.trim_end().lines().last().is_some_and(|line| line.contains("ended at")), "{plain}");
}

/// What a ladder of the run and a capture at a host say of each segment that the host sent.
#[test]
fn a_run_and_the_capture_of_each_host_name_every_segment_alike() {
    for name in lessons() {
        let (scenario, world) = build(name);
        let recipe = |host: &str| Recipe::new(&scenario, scenario.seed()).at(host);
        let captures: Vec<_> = scenario
            .hosts()
            .map(|host| {
                let path = scratch(&format!("ladder-{name}.{host}.pcapng"));
                let settings: Settings = recipe(host).settings(&world).expect("a host of the lesson");
                let id = world.find(host).expect("a host").id();
                (id, world.observe(settings.create(&path).expect("a place for it")), path)
            })
            .collect();
        let trace = world.observe(Trace::new());
        world.run();
        let mut trace = trace.borrow_mut();
        trace.settle();
        let mut told: BTreeMap<HostId, Vec<String>> = BTreeMap::new();
        while let Some(step) = trace.next_step() {
            if let (Vantage::Host(host), Content::Segment(segment)) = (step.vantage, &step.content) {
                let tag = segment.tag.map_or(String::new(), |tag| format!(" [{tag}]"));
                told.entry(host).or_default().push(format!("{} {}{tag}", step.at, segment.words));
            }
        }
        for (host, capture, path) in captures {
            capture.borrow_mut().close().expect("written");
            let shown = shown_of_own(&path);
            assert_eq!(told.remove(&host).unwrap_or_default(), shown, "{name}: {}", path.display());
        }
    }
}

/// What `show` says of the segments that the host at the vantage point sent.
fn shown_of_own(path: &Path) -> Vec<String> {
    let mut reader = Reader::open(path).expect("a capture");
    let (mut trace, mut shown) = (Trace::new(), Vec::new());
    while let Some(record) = reader.next_record() {
        let record = record.expect("a record");
        trace.record(&record, true);
        let own = record.direction == Some(Direction::Outbound);
        while let Some(step) = trace.next_step() {
            if let (true, Content::Segment(segment)) = (own, &step.content) {
                let tag = segment.tag.map_or(String::new(), |tag| format!(" [{tag}]"));
                shown.push(format!("{} {}{tag}", step.at, segment.words));
            }
        }
    }
    shown
}

#[test]
fn a_run_counts_the_duplicate_acks_that_have_arrived() {
    let (_, world) = build("fast-retransmit");
    let ladder = world.observe(Ladder::new());
    world.run();
    let text = ladder.borrow().draw(&Style { width: 200, ..Style::default() });
    assert!(text.contains("fast retransmission of 5793:7241 after 3 duplicate ACKs"), "{text}");
}

#[test]
fn copies_made_by_a_link_are_not_called_retransmissions() {
    let (scenario, world) = build("duplicate");
    let path = scratch("ladder-copies.pcapng");
    let settings = Recipe::new(&scenario, scenario.seed()).at("server").settings(&world).expect("a host");
    let capture = world.observe(settings.create(&path).expect("a place for it"));
    world.run();
    capture.borrow_mut().close().expect("written");
    let mut reader = Reader::open(&path).expect("a capture");
    let (mut copies, mut trace) = (0, Trace::new());
    while let Some(record) = reader.next_record() {
        let record = record.expect("a record");
        let comment = record.comment.unwrap_or_default();
        let copy = comment.starts_with("copy made by a link: ") && comment.ends_with(" [copy]");
        assert!(copy || !comment.contains("cop"), "{comment}");
        assert!(!comment.contains("retransmission"), "{comment}");
        copies += usize::from(copy);
        trace.record(&record, true);
    }
    assert!(copies >= 3, "{copies}");
    assert!(trace.flows().iter().all(|flow| flow.account.retransmissions() == [0, 0]));
}

#[test]
fn the_events_of_no_lesson_have_a_name_of_the_source() {
    let names = ["why", "rule", "timer", "cause", "fate"];
    for name in lessons() {
        let output = Command::new(env!("CARGO_BIN_EXE_tcplab"))
            .args(["run", "-q", "--json", name])
            .stdin(Stdio::null())
            .output()
            .expect("it starts");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.lines().count() > 10, "{name}");
        for line in text.lines() {
            let object: serde_json::Value = serde_json::from_str(line).expect("a JSON object");
            for field in names.iter().filter_map(|field| object[field].as_str()) {
                let words: Vec<_> = field.split(' ').collect();
                // The flags behind `received` and `sent` are tcpdump's letters.
                let flags = matches!(words[0], "received" | "sent");
                let named = if flags { &words[..1] } else { &words[..] };
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                assert!(named.iter().all(|word| word.chars().all(plain)), "{name}: {line}");
            }
        }
    }
}
