//! The loop with small endpoints in the place of hosts: the order of events, the end of a run, and the text of a
//! failure.

mod checksums;
mod fake;
mod hosts;
mod peer;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use proptest::prelude::*;

use super::network::{Progress, RunningProgram};
use super::run::Limits;
use super::{Reason, Sim};
use crate::device::CableEnd;
use crate::event::{HostId, LinkId};
use crate::link::FaultAction;
use crate::segment::Packet;
use crate::time::{Duration, Instant};
use fake::{assert_log, idle, network, observe, send, ticks};

#[test]
fn packets_that_arrive_together_come_in_the_order_in_which_they_were_sent() {
    let (mut network, log) = network(7, &[(0, 2, "delay=1ms"), (1, 2, "delay=1ms")]);
    // Not in the order of hosts or links: bob sends first, and cyd's deadline was there before both.
    ticks(&mut network, 2, Instant::from_millis(1));
    send(&mut network, 1, 2, b"first");
    send(&mut network, 0, 2, b"second");
    assert_eq!(idle(&mut network), Ok(()));
    assert_log(
        &log,
        &["cyd timer 0.001000000 at 0.001000000", "cyd packet 1 at 0.001000000", "cyd packet 2 at 0.001000000"],
    );
}

#[test]
fn a_deadline_named_after_a_packet_was_sent_comes_after_it() {
    let (mut network, log) = network(7, &[(0, 1, "delay=1ms")]);
    send(&mut network, 0, 1, b"");
    assert_eq!(network.step(Instant::EPOCH), Progress::Handled);
    ticks(&mut network, 1, Instant::from_millis(1));
    assert_eq!(idle(&mut network), Ok(()));
    assert_log(&log, &["bob packet 1 at 0.001000000", "bob timer 0.001000000 at 0.001000000"]);
}

#[test]
fn one_event_is_one_packet_and_all_that_the_host_does_about_it() {
    let (mut network, log) = network(7, &[(0, 1, "delay=1ms")]);
    network.host(HostId(1)).endpoint.echoes = 2;
    send(&mut network, 0, 1, b"");
    send(&mut network, 0, 1, b"");
    let mut events = 0;
    while network.step(Instant::FAR_FUTURE) == Progress::Handled {
        events += 1;
    }
    // ada's turn, two packets at bob, two answers at ada.
    assert_eq!(events, 5);
    let log = log.borrow();
    assert_eq!(log[1..5], ["packet 1", "runs", "packet 2", "runs"].map(|what| format!("bob {what} at 0.001000000")));
}

#[test]
fn the_clock_jumps_to_the_next_deadline_and_run_until_an_instant_ends_there() {
    let (mut network, log) = network(7, &[]);
    ticks(&mut network, 0, Instant::from_secs(3600));
    assert_eq!(idle(&mut network), Ok(()));
    assert_eq!(network.now(), Instant::from_secs(3600));
    assert_log(&log, &["ada timer 3600.000000000 at 3600.000000000"]);

    ticks(&mut network, 0, Instant::from_secs(4000));
    let network = RefCell::new(network);
    let until = |nanos| Limits::default().run_until(&network, &mut Instant::from_nanos(nanos));
    assert_eq!(until(3_999_999_999_999), Ok(()));
    assert_eq!(log.borrow().iter().filter(|line| line.contains("timer")).count(), 1);
    assert_eq!(until(4_000_000_000_000), Ok(()), "an event at the very instant still belongs to the run");
    assert_eq!(log.borrow().iter().filter(|line| line.contains("timer")).count(), 2);
    assert_eq!(until(5_000_000_000_000), Ok(()));
    assert_eq!(network.borrow().now(), Instant::from_secs(5000));
    assert_eq!(until(0), Ok(()), "the clock never goes back");
    assert_eq!(network.borrow().now(), Instant::from_secs(5000));
}

#[test]
fn a_deadline_that_is_over_is_due_now() {
    let (mut network, log) = network(7, &[]);
    network.scheduler.now = Instant::from_secs(9);
    ticks(&mut network, 0, Instant::from_secs(1));
    assert_eq!(idle(&mut network), Ok(()));
    assert_log(&log, &["ada timer 1.000000000 at 9.000000000"]);
}

#[test]
fn run_until_a_condition_stops_at_once_or_says_that_it_never_came_true() {
    let (mut network, log) = network(7, &[(0, 1, "delay=1ms")]);
    network.host(HostId(1)).endpoint.echoes = 1;
    send(&mut network, 0, 1, b"");
    let network = RefCell::new(network);
    let arrived = |who: &'static str| {
        let log = Rc::clone(&log);
        move || log.borrow().iter().any(|line| line.starts_with(&format!("{who} packet")))
    };
    let run = |who| Limits::default().run_until(&network, &mut arrived(who));
    assert_eq!(run("bob"), Ok(()));
    assert_eq!(network.borrow().now(), Instant::from_millis(1));
    assert_eq!(run("ada"), Ok(()));
    assert_eq!(network.borrow().now(), Instant::from_millis(2));
    assert_eq!(run("cyd").expect_err("cyd has no link").reason, Reason::NeverTrue);
}

#[test]
fn the_limit_of_events_is_exact_and_the_message_says_who_waits_for_what() {
    let ping_pong = |events| {
        let (mut network, _) = network(7, &[(0, 1, "delay=1ms")]);
        network.host(HostId(0)).endpoint.echoes = 2;
        network.host(HostId(1)).endpoint.echoes = 3;
        network.host(HostId(1)).endpoint.timers.insert(Instant::from_secs(1));
        send(&mut network, 0, 1, b"");
        Limits { events, ..Limits::default() }.run_until_idle(&mut network)
    };
    // ada's turn, six packets, one timer.
    assert_eq!(ping_pong(8), Ok(()));
    assert_eq!(ping_pong(7).expect_err("one more").reason, Reason::Events(7));
    assert_eq!(
        ping_pong(4).expect_err("many more").to_string(),
        "the simulation with seed 7 gave up at 0.003000000: 4 events handled and no rest (Sim::limit_events)\n\
         \x20 host ada: no deadline\n\
         \x20   task 1 \"ada\": accept on 3\n\
         \x20 host bob: next deadline 1.000000000\n\
         \x20   task 1 \"bob\": accept on 3\n\
         \x20 host cyd: no deadline\n\
         \x20   task 1 \"cyd\": accept on 3\n\
         \x20 link ada>bob: sent 2, duplicated 0, delivered 2, dropped 0, in flight 0\n\
         \x20 link bob>ada: sent 2, duplicated 0, delivered 1, dropped 0, in flight 1, next arrival 0.004000000\n"
    );
}

#[test]
fn the_limit_of_virtual_time_is_exact() {
    let limits = Limits { time: Duration::from_secs(10), ..Limits::default() };
    let (mut network, _) = network(7, &[]);
    ticks(&mut network, 0, Instant::from_secs(10));
    assert_eq!(limits.run_until_idle(&mut network), Ok(()));
    ticks(&mut network, 0, Instant::from_nanos(20_000_000_001));
    let gave_up = limits.run_until_idle(&mut network).expect_err("a nanosecond too far");
    assert_eq!((gave_up.reason, gave_up.at), (Reason::VirtualTime(limits.time), Instant::from_secs(10)));
}

#[test]
fn a_program_that_never_ends_is_named_when_nothing_can_happen_any_more() {
    let (mut network, _) = network(7, &[]);
    let ended = Rc::new(Cell::new(false));
    network.programs.push(RunningProgram { name: "ada program 1".to_owned(), ended: Rc::clone(&ended) });
    let text = idle(&mut network).expect_err("it has not ended").to_string();
    let expected = "the simulation with seed 7 gave up at 0.000000000: nothing can happen any more and these programs have not \
        ended: ada program 1 (one that serves without end is started with spawn_daemon)\n  host ada: no deadline\n";
    assert!(text.starts_with(expected), "{text}");
    ended.set(true);
    assert_eq!(idle(&mut network), Ok(()));
}

#[test]
fn a_host_with_several_links_chooses_by_the_destination() {
    let (mut network, log) = network(7, &[(0, 1, "delay=1ms"), (0, 2, "delay=2ms")]);
    let seen = observe(&mut network);
    send(&mut network, 0, 2, b"");
    send(&mut network, 0, 1, b"");
    send(&mut network, 0, 8, b"");
    assert_eq!(idle(&mut network), Ok(()));
    assert_log(&log, &["bob packet 2 at 0.001000000", "cyd packet 1 at 0.002000000"]);
    assert!(seen.borrow().0.iter().any(|line| line.contains("StackDropped") && line.contains("NoRoute")));
}

#[test]
fn events_come_in_order_and_only_when_somebody_looks() {
    let (mut network, _) = network(7, &[(0, 1, "duplicate=100%")]);
    send(&mut network, 0, 1, b"x");
    assert_eq!(idle(&mut network), Ok(()));
    assert!(
        (0..3)
            .map(HostId)
            .all(|host| !network.host(host).endpoint.observed && network.host(host).endpoint.events.is_empty())
    );

    let seen = observe(&mut network);
    send(&mut network, 0, 1, b"x");
    assert_eq!(idle(&mut network), Ok(()));
    let kinds: Vec<_> =
        seen.borrow().0.iter().map(|line| line.split([' ', '(']).nth(1).expect("a kind").to_owned()).collect();
    assert_eq!(kinds, ["Sent", "Duplicated", "Delivered", "StackDropped", "Delivered", "StackDropped"]);
    let ids: BTreeSet<_> = seen.borrow().1.iter().copied().collect();
    assert_eq!(ids, BTreeSet::from([2]), "the copy keeps the number of its original");
}

#[test]
fn the_cable_between_two_hosts_is_one_and_its_directions_are_numbered_as_they_are_made() {
    let (mut network, _) = network(7, &[(0, 1, ""), (1, 2, "")]);
    assert_eq!(network.cable(HostId(1), HostId(0)), 0);
    assert_eq!(network.cable(HostId(1), HostId(2)), 1);
    let ids = network.fabric.cables.iter().flat_map(|cable| [cable.link_id(CableEnd::A), cable.link_id(CableEnd::B)]);
    assert!(ids.eq((0..4).map(LinkId)));
    assert_eq!(network.fabric.cables[1][CableEnd::A].name(), "bob>cyd");
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_seed_others() {
    let run = |seed| {
        let line = "rate=1Mbit,delay=2ms,loss=5%,reorder=10%,duplicate=10%,corrupt=1%";
        let (mut network, _) = network(seed, &[(0, 1, line), (1, 2, line)]);
        let seen = observe(&mut network);
        for host in 0..3 {
            network.host(HostId(host as u32)).endpoint.echoes = 100;
        }
        for i in 0..20 {
            send(&mut network, 0, 1, &vec![i; usize::from(i) * 50]);
            send(&mut network, 1, 2, &[i; 9]);
            ticks(&mut network, 2, Instant::from_millis(u64::from(i)));
        }
        assert_eq!(idle(&mut network), Ok(()));
        let seen = seen.borrow();
        assert!(seen.0.len() > 300, "{}", seen.0.len());
        seen.0.clone()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn packets_are_used_again() {
    let (mut network, _) = network(7, &[(0, 1, "delay=1ms,reorder=10%")]);
    for host in 0..2 {
        network.host(HostId(host as u32)).endpoint.echoes = u64::MAX;
    }
    let drop_late =
        |now: Instant, _: &Packet| if now < Instant::from_secs(1) { FaultAction::Pass } else { FaultAction::Drop };
    network.fabric.cables[0][CableEnd::A].add_fault(drop_late);
    for _ in 0..10 {
        send(&mut network, 0, 1, &[0; 1000]);
    }
    let mut most = 0;
    while network.step(Instant::FAR_FUTURE) == Progress::Handled {
        let in_flight = |end| network.fabric.cables[0][end].counters().in_flight as usize;
        most = most.max(in_flight(CableEnd::A) + in_flight(CableEnd::B));
        assert!(network.pool.spare() <= most + 2, "at most one in hand and one being sent beside those on the way");
    }
    let counters = network.fabric.cables[0][CableEnd::A].counters();
    assert!(counters.sent > 1_000 && counters.in_flight == 0, "{counters}");
}

proptest! {
    #[test]
    fn packets_are_conserved_in_a_network(
        seed: u64,
        lines in prop::array::uniform3(prop::sample::select(&[
            "", "loss=30%", "rate=1Mbit,limit=2", "duplicate=40%,delay=1ms", "mtu=100", "reorder=50%,corrupt=50%",
        ][..])),
        sent in prop::collection::vec((0_usize..3, 0_usize..3, 0_usize..200), 1..60),
    ) {
        let (mut network, _) = network(seed, &[(0, 1, lines[0]), (1, 2, lines[1]), (2, 0, lines[2])]);
        for host in 0..3 {
            network.host(HostId(host as u32)).endpoint.echoes = 10;
        }
        for (from, hop, len) in sent {
            send(&mut network, from, (from + 1 + hop % 2) % 3, &vec![0; len]);
        }
        while network.step(Instant::FAR_FUTURE) == Progress::Handled {
            for cable in &network.fabric.cables {
                prop_assert!(cable[CableEnd::A].counters().conserved() && cable[CableEnd::B].counters().conserved());
            }
        }
        prop_assert!(network.fabric.cables.iter().all(|cable| cable[CableEnd::A].counters().in_flight == 0));
    }
}

#[test]
fn errors_of_a_description_name_what_is_wrong_and_what_there_is() {
    let sim = Sim::seeded(7);
    let host = |name, addresses| sim.try_host(name, addresses, |_| {}).expect_err("wrong").to_string();
    let expected = "is not an address with its prefix length, such as 192.0.2.1/24 or 2001:db8::1/64";
    assert_eq!(host("a", "192.0.2.1"), format!("`192.0.2.1` {expected}"));
    assert_eq!(host("a", "192.0.2.1/33"), format!("`192.0.2.1/33` {expected}"));
    assert_eq!(host("a", "192.0.2.1/24, ::1/129"), format!("`::1/129` {expected}"));
    assert_eq!(host("a", ""), format!("`` {expected}"));
    for nobodys in ["0.0.0.0/0", "255.255.255.255/32", "224.0.0.1/24", "::/64", "ff02::1/64"] {
        assert_eq!(host("a", nobodys), format!("`{nobodys}` {expected}"));
    }
    assert!(host("a>b", "192.0.2.1/24").starts_with("`a>b`: a name is not empty and has no `>`"));
    assert!(host("", "192.0.2.1/24").starts_with("``"));
    let link = |line| sim.try_link("a", "b", line).expect_err("wrong").to_string();
    assert_eq!(
        link("delay=1"),
        "link spec: `delay=1`: expected a time with its unit, such as 20ms or 1.5s (h, min, s, ms, us, ns)"
    );
    assert_eq!(link(""), "there is no host or router `a`; there are ");
}
