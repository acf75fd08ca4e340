//! The ladder of a run: what is lost, overtaken or copied on the way, routers between the hosts, and calls beside the bars.

use std::cell::RefCell;
use std::rc::Rc;

use tcplab::scenario::{Scenario, lessons};
use tcplab::view::{Flows, Ladder, Style, flow_report, flow_table};

use crate::common::golden;

/// The ladder of a lesson in this style, and its connections.
fn ladder(name: &str, style: &Style) -> String {
    drawn(name, &[*style]).remove(0)
}

/// The same in several styles.
fn drawn(name: &str, styles: &[Style]) -> Vec<String> {
    let ladder = shown(name);
    styles.iter().map(|style| ladder.borrow().draw(style)).collect()
}

/// A ladder that was shown the run of a lesson.
fn shown(name: &str) -> Rc<RefCell<Ladder>> {
    let scenario = Scenario::lesson(name).expect("it is on the list");
    let world = scenario.build(scenario.seed()).expect("a lesson is valid");
    let mut ladder = Ladder::new();
    ladder.name_hosts(world.names().iter().cloned());
    let ladder = world.observe(ladder);
    world.run();
    ladder
}

fn at(width: usize) -> Style {
    Style { width, ..Style::default() }
}

/// What stands between the bars, line by line, without what is empty there.
fn between(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.split('│').nth(1)).collect()
}

#[test]
fn ladder_and_connections_of_every_lesson_are_those_that_were_looked_at() {
    for name in lessons() {
        let scenario = Scenario::lesson(name).expect("it is on the list");
        let world = scenario.build(scenario.seed()).expect("a lesson is valid");
        let mut ladder = Ladder::new();
        ladder.name_hosts(world.names().iter().cloned());
        let (ladder, flows) = (world.observe(ladder), world.observe(Flows::new()));
        world.run();
        let mut flows = flows.borrow_mut();
        flows.settle();
        let tables = format!("{}\n{}", flow_table(flows.flows(), 80), flow_report(flows.flows()));
        golden(&format!("ladder/{name}.txt"), &format!("{}\n{tables}", ladder.borrow().draw(&at(80))));
        assert!(tables.lines().all(|line| line.chars().count() <= 80), "{name}: {tables}");
    }
}

/// The joint ladder of a lesson, or the columns that it needs.
fn joint(name: &str, widths: &[usize]) -> Vec<Result<String, usize>> {
    let ladder = shown(name);
    widths.iter().map(|width| ladder.borrow().draw_joint(&at(*width))).collect()
}

#[test]
fn the_joint_ladder_has_a_column_for_each_host_and_router() {
    for name in ["pmtud", "udp-vs-tcp", "bind-in-use"] {
        let drawn = joint(name, &[110]).remove(0).expect("it is wide enough");
        golden(&format!("views/joint-{name}.txt"), &drawn);
    }
}

#[test]
fn at_the_least_width_and_above_a_joint_ladder_fits_and_below_it_says_how_wide_it_must_be() {
    for name in lessons().filter(|name| !["hystart", "window-scaling", "bufferbloat"].contains(name)) {
        let least = joint(name, &[1]).remove(0).expect_err("too narrow");
        let widths = [least - 1, least, least + 1, least + 30, 250];
        let drawn = joint(name, &widths);
        assert_eq!(drawn[0], Err(least), "{name}");
        for (width, drawn) in widths.iter().zip(&drawn).skip(1) {
            let drawn = drawn.as_ref().expect("wide enough");
            let long = drawn.lines().find(|line| line.chars().count() > *width);
            assert_eq!(long, None, "{name} in {width} columns");
        }
    }
}

#[test]
fn a_lost_segment_ends_on_the_way_and_does_not_touch_the_other_bar() {
    for width in [60, 80, 120, 200] {
        let text = ladder("lost-data", &at(width));
        let lost: Vec<_> = text.lines().filter(|line| line.contains('✗')).collect();
        assert_eq!(lost.len(), 2, "{text}");
        for line in lost {
            let (_, behind) = line.split_once('✗').expect("it is there");
            let gap = behind.chars().take_while(|c| *c == ' ').count();
            assert!(gap >= 5 && behind[gap..].starts_with('│'), "{line:?}");
        }
        assert!(!text.contains('╲'), "nothing happens while a segment of this lesson is on its way: {text}");
    }
}

#[test]
fn segments_arrive_in_the_order_in_which_they_arrive() {
    let text = ladder("reorder", &at(80));
    let order = |what: &str| {
        between(&text).iter().position(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {text}"))
    };
    assert!(order("── ACK 15929:17377 ack 1 (1448) ─") < order("── ACK 17377:18825 ack 1 (1448) ─"));
    assert!(order("╲── 17377:18825 ──") < order("╲── 15929:17377 ──"), "{text}");
    assert!(between(&text)[order("── ACK 15929:17377")].contains("⇢╲"), "{text}");
    assert!(text.contains("ACK ack 15929 sack 17377:20002 ──│"), "{text}");
    // Each arrow that slopes has an end, unless it is folded.
    let all = ladder("reorder", &Style { all: true, ..at(80) });
    let (down, up) = (all.matches('╲').count(), all.matches('╱').count());
    assert!(down % 2 == 0 && up % 2 == 0 && down > 20 && up > 20, "{down} {up}: {all}");
    // Where there is no room arrows do not slope.
    let narrow = ladder("reorder", &at(60));
    assert!(!narrow.contains(['╲', '╱']) && narrow.contains('⇢'), "{narrow}");
    let plain = ladder("reorder", &Style { ascii: true, ..at(80) });
    assert!(plain.is_ascii() && plain.contains("\\-- 17377:18825 --") && plain.contains(">\\"), "{plain}");
}

#[test]
fn a_copy_arrives_once_more_and_is_acknowledged_with_a_dsack_block() {
    let text = ladder("duplicate", &at(80));
    let lines = between(&text);
    let copy = lines.iter().position(|line| line.contains("copy of 1449:2897")).expect("a copy");
    assert!(lines[..copy].iter().any(|line| line.contains("╲── 1449:2897 ──")), "{text}");
    assert!(lines[copy..copy + 4].iter().any(|line| line.contains("dsack 1449:2897")), "{text}");
}

#[test]
fn a_router_has_a_column_and_a_packet_that_it_drops_ends_there_or_behind_it() {
    let text = ladder("pmtud", &at(120));
    assert!(text.lines().next().is_some_and(|line| line.trim() == "router"), "{text}");
    let lost = text.lines().find(|line| line.contains('✗')).expect("a loss");
    assert!(lost.contains("──┼──") && lost.find('┼') < lost.find('✗'), "the link behind the router drops it: {lost:?}");
    let icmp = text.lines().find(|line| line.contains("ICMP fragmentation needed ──")).expect("an error");
    assert!(icmp.contains("│←─") && icmp.trim_end().ends_with('│'), "{icmp:?}");
    // A router without a route drops the packet itself.
    let text = ladder("unreachable", &at(120));
    let router = text.lines().find(|line| line.contains('┆')).and_then(|line| line.chars().position(|c| c == '┆'));
    let lost = text.lines().find(|line| line.contains('✗')).and_then(|line| line.chars().position(|c| c == '✗'));
    assert!(router.is_some() && router == lost, "{text}");
    // Where there is no room for it the words below the arrow name it.
    let narrow = ladder("unreachable", &at(40));
    let said = narrow.replace(['│', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!narrow.contains('┆') && said.contains("[behind near: lost: no-route]"), "{narrow}");
}

#[test]
fn on_a_wide_terminal_calls_timers_and_states_stand_beside_the_bars() {
    let [wide, usual] = <[String; 2]>::try_from(drawn("lost-data", &[at(200), at(120)])).expect("two");
    let beside = |text: &str| {
        let outer = text.lines().filter(|line| line.matches('│').count() == 2).flat_map(|line| {
            let mut parts = line.split('│');
            [parts.next(), parts.nth(1)].into_iter().flatten()
        });
        outer.collect::<Vec<_>>().join("\n")
    };
    for note in ["write(3) = 100", "accept(4", "tail loss probe", "RTO 240.0 ms", "recovery ends", "read(4) = 100"] {
        let note = note.replace("accept(4", "accept(3) = 4");
        assert!(beside(&wide).contains(&note) && !beside(&usual).contains(&note), "{note}: {wide}");
        assert!(usual.contains(&note), "{note}: {usual}");
    }
    assert!(wide.lines().count() < usual.lines().count(), "a call and what it sends share a row");
    assert!(wide.contains("SYN-SENT │──") && wide.contains("──│ SYN-RECEIVED"), "{wide}");
}

#[test]
fn retransmissions_losses_copies_and_what_is_overtaken_have_colours_of_their_own() {
    let painted = |name: &str| ladder(name, &Style { color: true, ..at(80) });
    let line = |text: &str, what: &str| text.lines().find(|line| line.contains(what)).map(str::to_owned);
    let lost = painted("lost-data");
    assert!(line(&lost, "✗").is_some_and(|line| line.contains("\x1b[31m")), "{lost}");
    assert!(line(&lost, "══→").is_some_and(|line| line.contains("\x1b[33m")), "{lost}");
    let copies = painted("duplicate");
    assert!(line(&copies, "↠").is_some_and(|line| line.contains("\x1b[35m")), "{copies}");
    let overtaken = painted("reorder");
    assert!(line(&overtaken, "⇢").is_some_and(|line| line.contains("\x1b[36m")), "{overtaken}");
    assert!(line(&overtaken, "── SYN 0:1").is_some_and(|line| !line.contains('\x1b')), "{overtaken}");
    // Colour changes nothing else.
    let plain = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[35m", "\x1b[36m"]
        .iter()
        .fold(copies, |text, code| text.replace(code, ""));
    assert_eq!(plain, ladder("duplicate", &at(80)));
}
