//! What the library gives to tests of users: one test under many seeds, errors that point at the test and name the seed,
//! random numbers for programs, `try_*` that never panics.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use std::{env, fs};

use tcplab::app::{Listen, hello};
use tcplab::sim::{Sim, SimError};
use tcplab::testing;

/// Says to the tests below that are run by others that they are meant.
const INNER: &str = "TCPLAB_INNER_TEST";

/// A greeting over a link. Fails from seed 3 on.
fn greeting(sim: &Sim) {
    let server = sim.host("server", "192.0.2.1/24");
    let client = sim.host("client", "192.0.2.2/24");
    sim.link(&client, &server, "delay=10ms");
    let addr = SocketAddr::new(server.address(), 12345);
    server.spawn_daemon(move |net| hello::server(net, Listen::new(addr)));
    client.spawn(move |net| hello::client(net, addr));
    sim.run_until_idle();
    assert!(sim.seed() < 3, "the seed is too large");
}

#[test]
fn every_seed_is_run_once_and_in_order() {
    if env::var_os("TCPLAB_SEED").is_some() {
        return;
    }
    let ran = RefCell::new(Vec::new());
    testing::seeds([4, 1, 2], |sim| ran.borrow_mut().push(sim.seed()));
    assert_eq!(ran.into_inner(), [4, 1, 2]);
}

#[test]
fn inner_test_that_fails_from_seed_3_on() {
    if env::var_os(INNER).is_some() {
        testing::seeds(0..1000, greeting);
    }
}

/// Runs the test above in a process of its own.
fn inner(settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["--exact", "testing::inner_test_that_fails_from_seed_3_on", "--nocapture"]);
    command.env(INNER, "1").env_remove("TCPLAB_SEED").env_remove("TCPLAB_TRACE").env_remove("RUST_BACKTRACE");
    command.envs(settings.iter().copied()).output().expect("it starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_first_seed_that_fails_is_named_with_the_place_in_the_test() {
    let output = inner(&[]);
    let said = said(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("the test failed with seed 3: the seed is too large"), "{said}");
    assert!(said.contains("TCPLAB_SEED=3 runs it again"), "{said}");
    let places =
        said.matches("tests/simulation/testing.rs:").count() + said.matches("tests\\simulation\\testing.rs:").count();
    assert_eq!(places, 2, "the assertion, and the call of seeds: {said}");
    assert!(!said.contains("seed 4"), "{said}");
}

#[test]
fn one_seed_alone_is_run_again() {
    assert!(inner(&[("TCPLAB_SEED", "2")]).status.success());
    // It need not be among the seeds of the test.
    let output = inner(&[("TCPLAB_SEED", "5000")]);
    assert!(said(&output).contains("the test failed with seed 5000"), "{}", said(&output));
    let output = inner(&[("TCPLAB_SEED", "seven")]);
    assert!(said(&output).contains("TCPLAB_SEED=seven: expected a number"), "{}", said(&output));
}

#[test]
fn a_failing_test_leaves_its_ladder_and_its_captures() {
    let directory = place("traces");
    let kept = |output: &Output| {
        assert!(!output.status.success());
        let mut names: Vec<_> = fs::read_dir(&directory)
            .expect("it was made")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let output = inner(&[("TCPLAB_TRACE", directory.to_str().expect("UTF-8"))]);
    let name = "testing.inner_test_that_fails_from_seed_3_on-seed-3";
    let mut expected = vec![format!("{name}.txt")];
    if cfg!(feature = "capture") {
        expected.splice(0..0, [format!("{name}.client.pcapng"), format!("{name}.server.pcapng")]);
    }
    assert_eq!(kept(&output), expected, "of the seeds that passed nothing is left");
    assert!(said(&output).contains(&format!("its ladder is {}", directory.join(format!("{name}.txt")).display())));
    let ladder = fs::read_to_string(directory.join(format!("{name}.txt"))).expect("a ladder");
    assert!(ladder.contains("SYN") && ladder.contains("client") && ladder.contains("FIN"), "{ladder}");
    #[cfg(feature = "capture")]
    {
        let path = directory.join(format!("{name}.server.pcapng"));
        let mut reader = tcplab::capture::Reader::open(path).expect("a capture");
        let mut packets = 0;
        while let Some(record) = reader.next_record() {
            record.expect("a whole record");
            packets += 1;
        }
        assert!(packets >= 6, "{packets} packets from SYN to the last ACK");
    }
}

fn place(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("testing").join(name);
    let _ = fs::remove_dir_all(&directory);
    directory
}

/// The text of a panic, and the line of this file that it points at.
fn panics(act: impl FnOnce()) -> String {
    let text = catch_unwind(AssertUnwindSafe(act)).expect_err("it panics");
    text.downcast_ref::<String>()
        .cloned()
        .or_else(|| text.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .expect("a text")
}

#[test]
fn an_error_of_the_simulation_names_the_seed() {
    let sim = Sim::seeded(77);
    sim.host("one", "192.0.2.1/24");
    let wrong: [&dyn Fn(); 4] = [
        &|| drop(sim.host("one", "192.0.2.2/24")),
        &|| drop(sim.host("two", "somewhere")),
        &|| drop(sim.link("one", "nobody", "")),
        &|| drop(sim.router("a name")),
    ];
    for act in wrong {
        let text = panics(act);
        assert!(text.ends_with("(seed 77)"), "{text}");
    }
    let text = panics(|| sim.run_until(|| false));
    assert!(text.starts_with("the simulation with seed 77 gave up"), "{text}");
}

#[test]
fn two_hosts_with_one_address_are_refused() {
    let sim = Sim::seeded(1);
    sim.host("one", "192.0.2.1/24, 2001:db8::1/64");
    let same = |error: SimError| match error {
        SimError::AddressTaken { address, host } => (address.to_string(), host),
        other => panic!("{other}"),
    };
    for addresses in ["192.0.2.1/24", "198.51.100.1/24, 192.0.2.1/32", "2001:db8:0::1/64"] {
        let error = sim.try_host("two", addresses, |_| {}).expect_err("it is taken");
        assert_eq!(same(error).1, "one", "{addresses}");
        assert!(sim.find("two").is_none(), "nothing was added");
    }
    let error = sim.try_scripted_peer("peer", "192.0.2.1/24").expect_err("it is taken");
    assert_eq!(same(error), ("192.0.2.1".to_owned(), "one".to_owned()));
    sim.host("two", "192.0.2.2/24");
}

#[test]
fn what_is_tried_gives_an_error_and_never_panics() {
    let sim = Sim::seeded(1);
    for mtu in [0, 575, 65_536] {
        assert!(matches!(sim.try_host("a", "192.0.2.1/24", |host| host.mtu = mtu), Err(SimError::Setting { .. })));
    }
    for mtu in [576, 65_535] {
        assert!(
            sim.try_host(&format!("mtu-{mtu}"), &format!("192.0.2.{}/24", mtu % 250), |host| host.mtu = mtu).is_ok()
        );
    }
    assert!(sim.try_host("a", "192.0.2.9/24", |host| host.addresses.clear()).is_err());
    for addresses in ["", ",", "192.0.2.1", "192.0.2.1/33", "0.0.0.0/0", "224.0.0.1/4"] {
        assert!(sim.try_host("a", addresses, |_| {}).is_err(), "{addresses}");
        assert!(sim.try_scripted_peer("a", addresses).is_err(), "{addresses}");
    }
    let odd = |host: &mut tcplab::socket::HostConfig| {
        (host.rcv_buf, host.snd_buf, host.descriptor_limit, host.backlog_limit, host.buffer_limit) =
            (Some(0), Some(0), 0, 0, 0);
    };
    assert!(sim.try_host("odd", "192.0.2.100/24", odd).is_ok());
    for spec in ["", "delay", "loss=200%", "a>b", "mtu-576>odd:rate=0", "odd>nobody:delay=1ms"] {
        let _ = sim.try_link("mtu-576", "odd", spec);
        let _ = sim.try_link("odd", "odd", spec);
        let _ = sim.try_link("odd", "nobody", spec);
    }
    assert!(sim.try_router("").is_err() && sim.try_router("r").is_ok() && sim.try_router("r").is_err());
    assert!(sim.try_run_until_idle().is_ok());
}

#[test]
fn a_program_that_changes_its_own_network_gets_an_error() {
    let sim = std::rc::Rc::new(Sim::seeded(1));
    let host = sim.host("host", "192.0.2.1/24");
    let inside = std::rc::Rc::downgrade(&sim);
    let mut errors = host.spawn(async move |_| {
        let sim = inside.upgrade().expect("it runs");
        [
            sim.try_host("two", "192.0.2.2/24", |_| {}).err(),
            sim.try_router("r").err(),
            sim.try_link("host", "host", "").err(),
            sim.try_scripted_peer("p", "192.0.2.3/24").err(),
        ]
    });
    sim.run_until_idle();
    let errors = errors.try_take().expect("it has ended");
    assert_eq!(errors, [const { Some(SimError::Busy) }; 4]);
}

#[test]
fn random_numbers_for_programs_follow_from_seed_host_and_name() {
    let draw = |seed: u64, host: &'static str, name: &'static str| {
        let sim = Sim::seeded(seed);
        let host = sim.host(host, "192.0.2.1/24");
        let mut drawn = host.spawn(async move |net| {
            net.sleep(Duration::from_millis(1)).await;
            net.rng(name).next_u64()
        });
        sim.run_until_idle();
        (drawn.try_take().expect("it has ended"), sim.rng(name).next_u64())
    };
    let first = draw(1, "host", "load");
    assert_eq!(first, draw(1, "host", "load"));
    assert_ne!(first.0, first.1, "the source of the test is another one");
    for other in [draw(2, "host", "load"), draw(1, "host", "noise")] {
        assert!(first.0 != other.0 && first.1 != other.1);
    }
    assert_ne!(first.0, draw(1, "another", "load").0, "each host has its own");
}
