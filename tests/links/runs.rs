//! Simulated runs with links that change: what happens when, the same bytes each time, and recipes with traces.

use std::cell::RefCell;
use std::rc::Rc;

use tcplab::event::{DropReason, Event, Fate};
use tcplab::link::Trace;
use tcplab::scenario::{Recipe, RecipeError, Scenario};
use tcplab::sim::Sim;
use tcplab::time::{Duration, Instant};

/// A transfer of 200,000 bytes over a link with these lines and faults.
fn scenario(lines: &str, faults: &str) -> Scenario {
    let text = format!(
        "until = \"4s\"\n[hosts.client]\n[hosts.server]\n[links]\nclient-server = {lines}\n\
         [[programs]]\nhost = \"server\"\napp = \"bulk\"\n\
         [[programs]]\nhost = \"client\"\napp = \"bulk\"\nto = \"server\"\nsize = 200000\n{faults}"
    );
    Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const CHANGES: &str = "[\"rate=5Mbit,delay=10ms,loss=1%\", \"@50ms:rate=1Mbit,limit=5\", \
    \"client>server:@300ms:loss=20%,jitter=2ms\", \"server>client:@300ms:duplicate=10%\", \"@600ms:loss=0,rate=2Mbit\"]";

/// The changes of a run, as `instant link items`, and the drops of packets that the client sent, by their instants.
fn changes_and_drops(scenario: &Scenario) -> (Vec<String>, Vec<u64>) {
    let world = scenario.build(7).expect("a network");
    let seen = Rc::new(RefCell::new((Vec::new(), Vec::new())));
    let into = Rc::clone(&seen);
    let mut last = Instant::EPOCH;
    world.observe(move |at: Instant, event: &Event<'_>| {
        assert!(at >= last, "events are in order of time");
        last = at;
        let (changes, drops) = &mut *into.borrow_mut();
        match event {
            Event::LinkChanged { link, items } => changes.push(format!("{} {} {items}", at.as_millis(), link.0)),
            Event::Sent { link, fate: Fate::Drop(DropReason::Loss), .. } if link.0 == 0 => drops.push(at.as_millis()),
            _ => {}
        }
    });
    let outcome = world.run();
    assert_eq!(outcome.failures, [""; 0]);
    seen.take()
}

#[test]
fn changes_are_events_at_their_time_and_packets_meet_them_from_then_on() {
    let (changes, drops) = changes_and_drops(&scenario(
        "[\"delay=10ms,rate=2Mbit\", \"@200ms:loss=10%\", \"client>server:@500ms:loss=0\", \"@3s:mtu=1400\"]",
        "",
    ));
    assert_eq!(changes, ["200 0 loss=10%", "200 1 loss=10%", "500 0 loss=0", "3000 0 mtu=1400", "3000 1 mtu=1400"]);
    assert!(drops.len() > 2 && drops.iter().all(|at| (200..500).contains(at)), "{drops:?}");
}

#[test]
fn a_fault_and_a_line_with_a_time_do_the_same() {
    let fault = "[[faults]]\nat = \"200ms\"\nlink = \"client-server\"\nline = \"client>server:loss=10%\"\n\
        [[faults]]\nat = \"500ms\"\nlink = \"client-server\"\nline = \"loss=0\"\n";
    let by_fault = changes_and_drops(&scenario("\"delay=10ms,rate=2Mbit\"", fault));
    let by_line = changes_and_drops(&scenario(
        "[\"delay=10ms,rate=2Mbit\", \"client>server:@200ms:loss=10%\", \"@500ms:loss=0\"]",
        "",
    ));
    assert_eq!(by_fault, by_line);
}

#[test]
fn two_runs_with_changing_links_and_the_run_of_their_recipe_give_the_same_bytes() {
    let mut scenario = scenario(CHANGES, "");
    let lines =
        ["@100ms:delay=30ms,reorder=2%", "server>client:@150ms:drop=ack:3+5"].map(|line| line.parse().expect(line));
    scenario.set_links(&lines).expect("lines");
    let recipe = Recipe::new(&scenario, 11);
    let (first, outcome) = recipe.rerun().expect("a run");
    assert_eq!(outcome.failures, [""; 0]);
    assert!(first.len() > 20_000);
    assert!(first == recipe.rerun_to_bytes().expect("a run"), "the same bytes");
    let again = Recipe::parse(&recipe.to_json()).expect("a recipe");
    assert_eq!(again, recipe);
    assert!(first == again.rerun_to_bytes().expect("a run"), "the same bytes from the recipe");
    let other = Recipe::new(&scenario, 12).rerun_to_bytes().expect("a run");
    assert!(first != other, "another seed gives other bytes");
    assert!(recipe.to_json().contains(r#""link.@100ms.delay":"30ms""#), "{}", recipe.to_json());
}

#[test]
fn changes_that_wait_do_not_keep_a_simulation_from_being_idle() {
    let sim = Sim::seeded(7);
    let (client, server) = (sim.host("client", "192.0.2.1/24"), sim.host("server", "192.0.2.2/24"));
    let link = sim.link(&client, &server, "delay=1ms");
    sim.link(&client, &server, "client>server:@10s:loss=100%");
    sim.link(&client, &server, "@20s:delay=5ms");
    sim.run_until_idle();
    assert_eq!(sim.now(), Instant::EPOCH);
    sim.run_for(Duration::from_secs(10));
    assert_eq!(
        (link.spec("client").to_string(), link.spec("server").to_string()),
        ("delay=1ms,loss=100%".into(), "delay=1ms".into())
    );
    sim.run_for(Duration::from_millis(9_999));
    assert_eq!(link.spec("server").delay, Duration::from_millis(1));
    sim.run_for(Duration::from_millis(1));
    assert_eq!(link.spec("server").delay, Duration::from_millis(5));
    // A line for a time that has passed holds at once.
    sim.link(&client, &server, "@5s:mtu=1000");
    assert_eq!(link.spec("client").to_string(), "delay=5ms,loss=100%,mtu=1000");
}

fn with_trace(trace: &Trace) -> Scenario {
    let mut scenario = scenario("[\"delay=10ms\", \"@100ms:rate=trace:some/cell\"]", "");
    assert_eq!(scenario.unread_traces().into_iter().collect::<Vec<_>>(), ["some/cell"]);
    assert!(scenario.build(1).err().expect("no trace").to_string().contains("some/cell"));
    scenario.give_trace(trace.renamed("some/cell"));
    assert!(scenario.unread_traces().is_empty());
    scenario
}

#[test]
fn a_trace_of_32_kib_is_in_the_recipe_and_one_byte_more_is_not() {
    // Four bytes in each line: 8,192 lines are 32 KiB.
    let lines = |count: usize| (0..count).fold(String::new(), |text, at| text + &format!("{}\n", 100 + at / 10));
    let short = lines(8_192);
    assert_eq!(short.len(), 32 << 10);
    let trace = Trace::parse("cell", short.as_bytes()).expect("a trace");
    let recipe = Recipe::new(&with_trace(&trace), 3);
    let again = Recipe::parse(&recipe.to_json()).expect("a recipe");
    assert!(again.rerun_to_bytes().expect("a run") == recipe.rerun_to_bytes().expect("a run"));
    assert!(recipe.to_json().contains(r#""traces":{"some/cell":"100 100 100"#));

    let long = format!("{}1000\n", lines(8_191));
    assert_eq!(long.len(), (32 << 10) + 1);
    let trace = Trace::parse("cell", long.as_bytes()).expect("a trace");
    let recipe = Recipe::new(&with_trace(&trace), 3);
    let bytes = recipe.rerun_to_bytes().expect("whoever has the trace can run it");
    let mut again = Recipe::parse(&recipe.to_json()).expect("a recipe");
    let error = again.rerun_to_bytes().expect_err("nobody gave the trace").to_string();
    assert!(matches!(again.rerun_to_bytes(), Err(RecipeError::NeedsTrace { bytes: 32_769, .. })), "{error}");
    assert!(error.ends_with("--trace FILE gives it"), "{error}");
    let other = Trace::parse("cell", format!("{}1001\n", lines(8_191)).as_bytes()).expect("a trace");
    assert!(!again.give_trace(&other), "another trace is not taken");
    assert!(again.give_trace(&trace.renamed("by another name")));
    assert!(again.rerun_to_bytes().expect("a run") == bytes);
}

#[test]
fn a_recipe_opens_no_file_and_has_only_traces_that_its_links_name() {
    let recipe = |traces: &str| {
        format!(
            r#"{{"tcplab":1,"scenario":"data","seed":1,"set":{{"link.rate":"trace:/etc/hostname"}},"at":"client"{traces}}}"#
        )
    };
    let error = |traces: &str| match Recipe::parse(&recipe(traces)) {
        Ok(recipe) => recipe.rerun_to_bytes().expect_err(traces).to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(error(""), "the trace `/etc/hostname` in the recipe: the recipe does not have it");
    assert_eq!(
        error(r#","traces":{"/etc/hostname":"1 2 3","x":"1"}"#),
        "the trace `x` in the recipe: no link line names it"
    );
    assert_eq!(
        error(r#","traces":{"/etc/hostname":"1 x 3"}"#),
        "the trace `/etc/hostname` in the recipe: line 2: expected a whole number of milliseconds, such as 42, from 0 to 4294967295"
    );
    assert_eq!(
        error(r#","traces":{"/etc/hostname":{"bytes":6,"sha256":"00"}}"#),
        "the recipe needs the trace `/etc/hostname` of 6 bytes, SHA-256 00; --trace FILE gives it"
    );
    assert!(
        error(r#","traces":{"/etc/hostname":{"bytes":6,"sha256":"00","path":"/x"}}"#)
            .starts_with("the comment is no recipe")
    );
    assert!(error(r#","traces":{"/etc/hostname":""}"#).contains("no packet could ever leave"));
    // With its contents it is run.
    let whole = Recipe::parse(&recipe(r#","traces":{"/etc/hostname":"1 2 3"}"#)).expect("a recipe");
    assert!(whole.rerun_to_bytes().is_ok());
}
