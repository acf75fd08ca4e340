//! What a scenario takes in memory at its limits. A scenario may come from an untrusted capture, so a run takes less than
//! 256 MiB, whatever its programs are.

use crate::counting::{live, peak, reset_peak};
use tcplab::scenario::Scenario;
use tcplab::time::Instant;

/// The most memory of a run: 256 MiB.
const MOST: i64 = 256 << 20;

/// Two hosts and these programs.
fn scenario(programs: &str) -> Result<Scenario, String> {
    let text = format!("[hosts.client]\n[hosts.server]\n[links]\nclient-server = \"delay=5ms\"\n{programs}");
    Scenario::parse(&text).map_err(|error| error.to_string())
}

/// A server and 19,999 clients.
fn crowd(server: &str, client: &str) -> String {
    let clients = |count: u32| format!("[[programs]]\nhost = \"client\"\n{client}\ncount = {count}\n");
    format!(
        "[[programs]]\nhost = \"server\"\n{server}\ndaemon = true\nbacklog = 20000\n{}{}",
        clients(10_000),
        clients(9_999)
    )
}

/// The most bytes that are allocated while the scenario is built and runs for a quarter of a second, or until it gives up.
fn most_of(programs: &str) -> i64 {
    let before = live();
    let scenario = scenario(programs).unwrap_or_else(|error| panic!("{programs}: {error}"));
    reset_peak();
    let world = scenario.build(1).unwrap_or_else(|error| panic!("{programs}: {error}"));
    let ended = world.sim().try_run_until(Instant::from_millis(250));
    let most = peak() - before;
    println!("{} MiB, {:.90}", most >> 20, format!("{ended:?}"));
    most
}

/// Every crowd takes less than the most memory of a run.
fn all_take_less(crowds: &[(&str, String)]) {
    let most = crowds.iter().map(|(name, programs)| (name, most_of(programs)));
    let over: Vec<_> = most.filter(|(_, most)| *most >= MOST).map(|(name, most)| (name, most >> 20)).collect();
    assert!(over.is_empty(), "more than {} MiB: {over:?}", MOST >> 20);
}

/// Clients of these calls.
fn calls(server: &str, list: &str) -> String {
    crowd(&format!("app = \"{server}\""), &format!("do = [{list}]"))
}

/// Clients of this application.
fn app(name: &str, keys: &str) -> String {
    crowd(&format!("app = \"{name}\""), &format!("app = \"{name}\"\nto = \"server\"\n{keys}"))
}

#[test]
fn clients_that_wait_in_calls_take_less_than_256_mib() {
    all_take_less(&[
        ("read", calls("discard", r#""connect server:9", "send 1", "recv eof""#)),
        ("write", calls("discard", r#""connect server:9", "send 200000", "recv eof""#)),
        ("recvfrom", calls("discard", r#""socket udp", "recvfrom""#)),
        ("recvfrom all", calls("discard", r#""socket udp", "recvfrom all 1s""#)),
        ("datagrams", calls("discard", r#""socket udp", "sendto server:9 3000""#)),
    ]);
}

#[test]
fn clients_with_many_sockets_take_less_than_256_mib() {
    all_take_less(&[
        ("sockets", calls("discard", &r#""socket","#.repeat(49))),
        ("connections", calls("discard", &r#""connect server:9","#.repeat(40))),
    ]);
}

#[test]
fn clients_of_every_application_take_less_than_256_mib() {
    all_take_less(&[
        ("hello", app("hello", "")),
        ("echo", app("echo", "size = 3000")),
        ("bulk", app("bulk", "size = 100000")),
        ("http", app("http", "")),
    ]);
}
