//! Scenario files: what is wrong with one is said with its place; what is right runs the same everywhere; what a recipe
//! from a stranger can say.
#![cfg(feature = "scenario")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::golden;
use tcplab::capture::Reader;
use tcplab::event::{Event, Fate};
use tcplab::scenario::{Recipe, RecipeError, Scenario, keys, lessons};
use tcplab::segment::IpView;

const DOWNLOAD: &str = r#"
[hosts.client]
[hosts.server]

[links]
client-server = "rate=10Mbit,delay=20ms,loss=2%"

[[programs]]
host = "server"
app = "http"
size = 100000

[[programs]]
host = "client"
name = "download"
app = "http"
to = "server"
"#;

fn below(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

#[test]
fn a_wrong_file_gets_line_column_key_and_what_was_expected() {
    let mut all = String::new();
    let files = below("tests/scenarios/wrong");
    assert!(files.len() >= 40, "{} files", files.len());
    for path in files {
        let text = fs::read_to_string(&path).expect("a text").replace("\r\n", "\n");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let error = Scenario::parse(&text).expect_err(&name);
        assert!(error.line >= 1 && error.line <= text.lines().count().max(1) + 1, "{name}: {error}");
        assert!(!error.expected.is_empty(), "{name}");
        let _ = writeln!(all, "{name}: {error}");
    }
    golden("scenario/wrong.txt", &all);
}

#[test]
fn every_lesson_is_read_and_read_again_as_a_users_file() {
    assert!(lessons().count() >= 52);
    for name in lessons() {
        let lesson = Scenario::lesson(name).expect("it is on the list");
        let copy = Scenario::parse(lesson.text()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(lesson.story(), copy.story());
        assert_eq!((lesson.name(), copy.name()), (Some(name), None));
    }
    assert!(Scenario::lesson("no-such-lesson").is_none());
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_other_packets() {
    let scenario = Scenario::parse(DOWNLOAD).expect("a scenario");
    let of = |seed| Recipe::new(&scenario, seed).rerun_to_bytes().expect("it runs");
    let packets = |bytes: Vec<u8>| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("another-seed.pcapng");
        fs::write(&path, bytes).expect("written");
        let mut reader = Reader::open(&path).expect("a capture");
        let mut packets = Vec::new();
        while let Some(record) = reader.next_record() {
            packets.push(record.expect("a record").packet.expect("IP").to_vec());
        }
        packets
    };
    assert!(of(1) == of(1));
    assert_ne!(packets(of(1)), packets(of(2)));
}

#[test]
fn a_recipe_of_a_users_file_has_its_text_and_gives_the_same_bytes() {
    let mut scenario = Scenario::parse(DOWNLOAD).expect("a scenario");
    scenario.set("link.loss", "5%").expect("a setting");
    scenario.set("hosts.server.cc", "cubic").expect("a setting");
    let recipe = Recipe::new(&scenario, 9).at("server").snaplen(96).count(30);
    let json = recipe.to_json();
    assert!(!json.contains('\n') && json.starts_with(r#"{"tcplab":1,"scenario":"\n[hosts.client]"#), "{json}");
    assert!(
        json.ends_with(r#""set":{"hosts.server.cc":"cubic","link.loss":"5%"},"at":"server","snaplen":96,"count":30}"#)
    );
    let again = Recipe::parse(&json).expect("a recipe");
    assert_eq!(again, recipe);
    assert!(again.rerun_to_bytes().expect("it runs") == recipe.rerun_to_bytes().expect("it runs"));
}

#[test]
fn a_recipe_can_say_nothing_but_a_scenario() {
    let wrong = [
        "",
        "{}",
        "[1]",
        r#"{"tcplab":1}"#,
        r#"{"tcplab":2,"scenario":"handshake","seed":1,"set":{},"at":"client"}"#,
        r#"{"tcplab":1,"live":true}"#,
        r#"{"tcplab":1,"scenario":"handshake","seed":-1,"set":{},"at":"client"}"#,
        r#"{"tcplab":1,"scenario":"handshake","seed":1,"set":{},"at":"nobody"}"#,
        r#"{"tcplab":1,"scenario":"../../etc/passwd","seed":1,"set":{},"at":"client"}"#,
        r#"{"tcplab":1,"scenario":"/etc/passwd","seed":1,"set":{},"at":"client"}"#,
        r#"{"tcplab":1,"scenario":"mine.toml","seed":1,"set":{},"at":"client"}"#,
        r#"{"tcplab":1,"scenario":"","seed":1,"set":{},"at":"client"}"#,
        r#"{"tcplab":1,"scenario":"handshake","seed":1,"set":{},"at":"client","write":"/tmp/x"}"#,
        r#"{"tcplab":1,"scenario":"handshake","seed":1,"set":{"programs.1.dir":"/etc"},"at":"client"}"#,
        r#"{"tcplab":1,"scenario":"handshake","seed":1,"set":{"programs.1.do":"close"},"at":"client"}"#,
        r#"{"tcplab":1,"scenario":"handshake","seed":1,"set":{"link.loss":"1"},"at":"client"}"#,
        r#"{"tcplab":1,"scenario":"handshake","seed":1,"seed":2,"set":{},"at":"client"}"#,
        r#"{"tcplab":1,"scenario":"[hosts.a]\n[[programs]]\nhost=\"a\"\napp=\"http\"\ndir=\"/\"\n","seed":1,"set":{},"at":"a"}"#,
        r#"{"tcplab":1,"scenario":"[hosts.a]\nrcv_buf=\"1000MiB\"","seed":1,"set":{},"at":"a"}"#,
    ];
    for json in wrong {
        let error = Recipe::parse(json).expect_err(json);
        assert!(!error.to_string().is_empty());
    }
    assert!(matches!(Recipe::parse(r#"{"tcplab":1,"live":true}"#), Err(RecipeError::Live)));
}

#[test]
fn a_recipe_for_an_endless_run_is_given_up() {
    let text = "[hosts.a]\n[hosts.b]\n[links]\na-b = \"delay=1us\"\n[[programs]]\nhost = \"b\"\napp = \"discard\"\n\
                [[programs]]\nhost = \"a\"\ndo = [\"connect b:9\", \"send 1073741824\", \"send 1073741824\"]\n";
    let scenario = Scenario::parse(text).expect("a scenario");
    let (bytes, outcome) = Recipe::new(&scenario, 1).snaplen(1).count(10).rerun().expect("it runs");
    assert!(bytes.len() < 10_000 && outcome.failures[0].contains("2000000 events"), "{:?}", outcome.failures);
}

const TWO_HOSTS: &str = "[hosts.a]\n[hosts.b]\n[links]\na-b = \"delay=1ms\"\n";

/// A file of two hosts with these tables.
fn with(tables: &str) -> String {
    format!("{TWO_HOSTS}{tables}")
}

fn program(rest: &str) -> String {
    format!("[[programs]]\nhost = \"a\"\n{rest}\n")
}

#[test]
fn what_a_file_asks_for_in_total_is_refused_with_the_key_and_the_limit() {
    let wrong = |tables: &str| Scenario::parse(&with(tables)).expect_err(tables).to_string();
    let echo =
        |count: u32, size: &str| program(&format!("app = \"echo\"\nto = \"b\"\ncount = {count}\nsize = \"{size}\""));
    // A recipe of 400 bytes that asks for 10,000 programs of 16 MiB.
    let said = wrong(&echo(10_000, "16MiB"));
    assert!(said.contains("`programs.1.size`") && said.contains("at most 67108864 bytes"), "{said}");
    assert!(said.contains("here are 167772160000"), "{said}");
    // 100 tables of 10,000 programs.
    let said = wrong(&program("do = [\"sleep 1s\"]\ncount = 10000").repeat(100));
    assert!(said.contains("`programs.1.count`: expected at most 20000 programs in all"), "{said}");
    let said = wrong(&program(&format!("count = 10000\ndo = [{}]", "\"sleep 1s\",".repeat(101))));
    assert!(said.contains("`programs.1.count`") && said.contains("at most 1000000 calls"), "{said}");
    let said = wrong(&program("app = \"bulk\"\nto = \"b\"\nsize = \"1GiB\"").repeat(5));
    assert!(said.contains("`programs.1.size`") && said.contains("at most 4294967296 bytes"), "{said}");
    let said = wrong(&program("do = [\"connect b:9\", \"send 1073741824 by 1 every 1ns\"]"));
    assert!(said.contains("`programs.1.do`") && said.contains("at most 4000000 pieces"), "{said}");
    let said = wrong(&program("count = 100\ndo = [\"sendto b:9 65507\", \"sendto b:9 65507\"]").repeat(6));
    assert!(said.contains("`programs.1.do`") && said.contains("bytes of datagrams"), "{said}");
    let small = "[hosts.c]\nmtu = 576\n";
    let said = wrong(&format!("{}{small}", program("app = \"bulk\"\nto = \"b\"\nsize = \"1GiB\"").repeat(2)));
    assert!(said.contains("with packets of 576 bytes"), "{said}");
    let hosts = "[hosts.c]\nbuffer_limit = \"1GiB\"\n[hosts.d]\nbuffer_limit = \"64KiB\"\n";
    let said = wrong(hosts);
    assert!(said.contains("`hosts.c.buffer_limit`") && said.contains("at most 1073741824 bytes"), "{said}");
}

#[test]
fn a_file_may_ask_for_exactly_what_the_limits_are() {
    let right = |tables: &str| assert!(Scenario::parse(&with(tables)).is_ok(), "{tables}");
    let wrong = |tables: &str| Scenario::parse(&with(tables)).expect_err(tables).to_string();
    let sleepers = |count: u32| program(&format!("do = [\"sleep 1s\"]\ncount = {count}"));
    right(&sleepers(10_000).repeat(2));
    assert!(wrong(&(sleepers(10_000).repeat(2) + &sleepers(1))).contains("here are 20001"));
    let echo = |size: u64| program(&format!("app = \"echo\"\nto = \"b\"\ncount = 16\nsize = {size}"));
    right(&echo(4 << 20));
    assert!(wrong(&echo((4 << 20) + 1)).contains("`programs.1.size`"));
    let bulk = program("app = \"bulk\"\nto = \"b\"\nsize = \"1GiB\"").repeat(4);
    right(&bulk);
    assert!(wrong(&(bulk + &program("do = [\"connect b:9\", \"send 1\"]"))).contains("here are 4294967297"));
    // What the links carry until the end of the run counts, if it is less.
    let much = program("app = \"bulk\"\nto = \"b\"\nsize = \"1GiB\"").repeat(5);
    let bounded = |until: &str, rate: &str| {
        format!("until = \"{until}\"\n[hosts.a]\n[hosts.b]\n[links]\na-b = \"{rate}\"\n{much}")
    };
    assert!(Scenario::parse(&bounded("10s", "rate=100Mbit")).is_ok());
    assert!(Scenario::parse(&bounded("10s", "delay=1ms")).is_err());
}

#[test]
fn a_setting_that_asks_for_too_much_is_refused_and_changes_nothing() {
    let text = with(&program("name = \"up\"\napp = \"echo\"\nto = \"b\"\nsize = \"1MiB\""));
    let mut scenario = Scenario::parse(&text).expect("a scenario");
    let said = scenario.set("programs.up.count", "65").expect_err("too much").to_string();
    assert!(said.contains("programs.up.count=65") && said.contains("at most 67108864 bytes"), "{said}");
    scenario.set("programs.up.count", "64").expect("just enough");
    let recipe = format!(
        "{{\"tcplab\":1,\"scenario\":{},\"seed\":1,\"set\":{{\"programs.up.count\":\"65\"}},\"at\":\"a\"}}",
        serde_json::to_string(&text).expect("JSON")
    );
    assert!(matches!(Recipe::parse(&recipe), Err(RecipeError::Set(_))), "an untrusted capture cannot ask for more");
}

#[test]
fn hosts_without_an_address_get_different_ones_however_many_there_are() {
    let hosts = |count: usize| (0..count).fold(String::new(), |text, at| text + &format!("[hosts.h{at}]\n"));
    let first_and_last = |text: &str| {
        let world = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}")).build(1).expect("it is built");
        let addresses: Vec<_> = world.hosts().iter().map(|host| host.address().to_string()).collect();
        let unlike: std::collections::BTreeSet<_> = addresses.iter().collect();
        assert_eq!(unlike.len(), addresses.len(), "each has its own");
        (addresses[0].clone(), addresses[addresses.len() - 1].clone())
    };
    let ends = |first: &str, last: &str| (first.to_owned(), last.to_owned());
    assert_eq!(first_and_last(&hosts(254)), ends("192.0.2.1", "192.0.2.254"));
    assert_eq!(first_and_last(&hosts(255)), ends("198.18.0.1", "198.18.0.255"));
    assert_eq!(first_and_last(&hosts(1000)), ends("198.18.0.1", "198.18.3.232"));
    let said = Scenario::parse(&hosts(1001)).expect_err("too many").to_string();
    assert!(said.contains("`hosts`: expected at most 1000 hosts and routers, and here are 1001"), "{said}");
    // An address that is written is not given to another host.
    let written = "[hosts.a]\naddress = \"192.0.2.2/24\"\n[hosts.b]\n[hosts.c]\n";
    assert_eq!(first_and_last(written), ends("192.0.2.2", "192.0.2.4"));
    // The two ends of a network of 255 hosts reach each other.
    let text = format!(
        "{}[links]\nh0-h254 = \"delay=1ms\"\n[[programs]]\nhost = \"h0\"\napp = \"hello\"\n\
         [[programs]]\nhost = \"h254\"\napp = \"hello\"\nto = \"h0\"\n",
        hosts(255)
    );
    let outcome = Scenario::parse(&text).expect("a scenario").build(1).expect("it is built").run();
    assert_eq!(outcome.failures, Vec::<String>::new());
}

#[test]
fn a_run_whose_buffers_take_too_much_ends_early_and_says_so() {
    let many = "[hosts.a]\nsnd_buf = \"16MiB\"\n[hosts.b]\n[links]\na-b = \"delay=1ms\"\n\
        [[programs]]\nhost = \"b\"\ncount = 1\nstart = \"1s\"\ndo = [\"listen 9 100\", \"sleep 100s\"]\n\
        [[programs]]\nhost = \"a\"\nstart = \"2s\"\ncount = 100\ndo = [\"connect b:9\", \"send 16MiB\", \"close\"]\n";
    let scenario = Scenario::parse(many).expect("a scenario");
    let world = scenario.build(1).expect("it is built");
    world.sim().limit_memory(100 << 20);
    let outcome = world.run();
    assert!(outcome.failures[0].contains("the buffers of the hosts take more than 104857600 bytes"), "{outcome:?}");
    assert!(outcome.failures[0].contains("buffer_limit"), "{outcome:?}");
}

#[test]
fn a_run_whose_connections_take_too_much_ends_early_and_says_so() {
    let many = "[hosts.a]\n[hosts.b]\n[links]\na-b = \"delay=1ms\"\n\
        [[programs]]\nhost = \"b\"\napp = \"hello\"\n\
        [[programs]]\nhost = \"a\"\napp = \"hello\"\nto = \"b\"\ncount = 200\n";
    let world = Scenario::parse(many).expect("a scenario").build(1).expect("it is built");
    world.sim().limit_total_memory(100 << 10);
    let outcome = world.run();
    let said = &outcome.failures[0];
    assert!(said.contains("buffers, connections and packets on links together take more than 102400 bytes"), "{said}");
    assert!(said.contains("with a larger `every`, they take less"), "{said}");
}

/// Counts what links lose.
struct Drops(u64);

impl tcplab::event::Observer for Drops {
    fn on_event(&mut self, _: tcplab::time::Instant, event: &Event<'_>) {
        self.0 += u64::from(matches!(event, Event::LinkDropped { .. }));
    }
}

#[test]
fn over_a_link_without_delay_nothing_is_sent_again_that_was_not_lost() {
    let text = "[hosts.c]\n[hosts.s]\n[links]\nc-s = \"loss=1%\"\n\
        [[programs]]\nhost = \"s\"\napp = \"http\"\nsize = 500000\n\
        [[programs]]\nhost = \"c\"\napp = \"http\"\nto = \"s\"\n";
    let scenario = Scenario::parse(text).expect("a scenario");
    for seed in 1..=10 {
        let world = scenario.build(seed).expect("it is built");
        let (flows, drops) = (world.observe(tcplab::view::Flows::new()), world.observe(Drops(0)));
        assert_eq!(world.run().failures, Vec::<String>::new());
        let mut flows = flows.borrow_mut();
        flows.settle();
        let flow = &flows.flows()[0];
        let again: u64 = flow.account.retransmissions().iter().sum();
        let lost = drops.borrow().0;
        assert!(again <= lost, "seed {seed}: {again} sent again, {lost} lost");
    }
}

#[test]
fn the_buffers_of_a_run_have_96_mib_and_more_only_if_the_file_asks_for_it() {
    let many = |hosts: &str| {
        let text = format!(
            "{hosts}[links]\na-b = \"delay=1ms\"\n\
             [[programs]]\nhost = \"b\"\ndaemon = true\ndo = [\"listen 9 100\", \"sleep 100s\"]\n\
             [[programs]]\nhost = \"a\"\ncount = 13\ndo = [\"connect b:9\", \"send 8MiB\", \"close\"]\n"
        );
        Scenario::parse(&text).expect("a scenario").build(1).expect("it is built").run().failures
    };
    let buffers = "snd_buf = \"8MiB\"\n";
    let failures = many(&format!("[hosts.a]\n{buffers}[hosts.b]\n"));
    assert!(failures[0].contains("the buffers of the hosts take more than 100663296 bytes"), "{failures:?}");
    let failures = many(&format!("[hosts.a]\n{buffers}buffer_limit = \"256MiB\"\n[hosts.b]\n"));
    assert_eq!(failures, Vec::<String>::new());
}

#[test]
fn the_author_of_a_file_is_told_about_keys_and_not_about_functions() {
    let tables = program("name = \"server\"\ndo = [\"listen 80\", \"accept\"]");
    let outcome = Scenario::parse(&with(&tables)).expect("a scenario").build(1).expect("it is built").run();
    let said = &outcome.failures[0];
    assert!(said.contains("have not ended: server;") && said.contains("`daemon = true`"), "{said}");
    assert!(said.contains("\"server\": accept on 3"), "{said}");
    assert!(!said.contains("spawn_daemon") && !said.contains("Sim::"), "{said}");
    assert!(outcome.is_unfinished() && outcome.completed.is_none());
}

#[test]
fn no_text_makes_the_parser_panic() {
    // Cut, with a byte changed, with a line twice or left out.
    let mut rng = tcplab::rng::Rng::new(1, "mutations");
    for name in lessons() {
        let text = Scenario::lesson(name).expect("a lesson").text().to_owned();
        for _ in 0..40 {
            let mut octets = text.clone().into_bytes();
            let at = (rng.next_u64() % octets.len() as u64) as usize;
            match rng.next_u64() % 3 {
                0 => octets.truncate(at),
                1 => octets[at] = (rng.next_u64() % 128) as u8,
                _ => {
                    let copy = octets[at..].to_vec();
                    octets.extend(copy);
                }
            }
            let text = String::from_utf8_lossy(&octets).into_owned();
            if let Err(error) = Scenario::parse(&text) {
                assert!(error.line >= 1 && error.column >= 1, "{error}");
            }
            let _ = Recipe::parse(&text);
        }
    }
}

#[test]
fn exactly_the_packets_that_the_link_damaged_are_bad() {
    let lesson = Scenario::lesson("corrupt").expect("a lesson");
    let world = lesson.build(lesson.seed()).expect("it is built");
    let damaged = world.observe(Damaged::default());
    let server = world.id("server").expect("a host");
    let outcome = world.run();
    assert!(outcome.failures.is_empty());
    let Damaged { on_the_link, bad } = &*damaged.borrow();
    assert!(!on_the_link.is_empty());
    let bad: Vec<_> = bad.iter().filter(|(host, _)| *host == server).map(|(_, packet)| *packet).collect();
    assert_eq!(bad, *on_the_link);
}

/// Which packets the link damages, and which are found to be bad where they arrive.
#[derive(Default)]
struct Damaged {
    on_the_link: Vec<u64>,
    bad: Vec<(tcplab::event::HostId, u64)>,
}

impl tcplab::event::Observer for Damaged {
    fn on_event(&mut self, _: tcplab::time::Instant, event: &Event<'_>) {
        match event {
            Event::Sent { packet, fate: Fate::Corrupt(_), .. } => self.on_the_link.push(packet.meta.id.0),
            Event::Delivered { host, packet, .. } => {
                let sound = IpView::parse(&packet.bytes).is_ok_and(|ip| ip.checksums_ok() && ip.header_checksum_ok());
                if !sound {
                    self.bad.push((*host, packet.meta.id.0));
                }
            }
            _ => {}
        }
    }
}

#[test]
fn a_setting_is_a_key_of_the_file_with_a_new_value() {
    let ended = |settings: &[(&str, &str)]| {
        let mut scenario = Scenario::parse(DOWNLOAD).expect("a scenario");
        for (key, value) in settings {
            scenario.set(key, value).unwrap_or_else(|error| panic!("{error}"));
        }
        let outcome = scenario.build(1).expect("it is built").run();
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        (outcome.completed.expect("ended"), outcome.reports[1].result.clone().expect("ended").expect("well").received)
    };
    let lossless = ended(&[("link.loss", "0")]);
    assert_eq!(lossless.1, 100_000);
    assert_eq!(ended(&[("link.loss", "50%"), ("link.loss", "0")]), lossless, "the last value counts");
    assert!(ended(&[("link.loss", "0"), ("links.client-server.delay", "100ms")]).0 > lossless.0);
    assert!(ended(&[("link.loss", "0"), ("links.server>client.delay", "100ms")]).0 > lossless.0);
    assert_eq!(ended(&[("link.loss", "0"), ("programs.1.size", "10")]).1, 10);
    assert!(ended(&[("link.loss", "0"), ("programs.download.start", "1s")]).0 > lossless.0);
    let wrong = [
        ("loss", "1%"),
        ("link.los", "1%"),
        ("link.los", "0"),
        ("link.loss", "1"),
        ("links.client-router.loss", "1%"),
        ("links.client>client.loss", "1%"),
        ("host.colour", "blue"),
        ("hosts.nobody.cc", "reno"),
        ("hosts.client.cc", "vegas"),
        ("hosts.client.address", "nowhere"),
        ("hosts.client.address", "0.0.0.0/0"),
        ("host.address", "192.0.2.9/24"),
        ("programs.3.size", "1"),
        ("programs.download.do", "close"),
        ("until", "now"),
    ];
    for (key, value) in wrong {
        let mut scenario = Scenario::parse(DOWNLOAD).expect("a scenario");
        let error = scenario.set(key, value).expect_err(key);
        assert_eq!(error.key, key);
        assert!(!error.to_string().contains("link spec: link spec"), "{error}");
    }
}

#[test]
fn a_link_changes_when_a_fault_says_so_and_a_time_limit_ends_the_run() {
    let text = DOWNLOAD.replace(",loss=2%", "").replace("[[programs]]\nhost = \"server\"", "until = 1");
    assert!(Scenario::parse(&text).is_err(), "a key behind a table belongs to the table");
    let text = format!(
        "until = \"5s\"\n{}\n[[faults]]\nat = \"100ms\"\nlink = \"client-server\"\nline = \"loss=100%\"\n",
        DOWNLOAD.replace(",loss=2%", "")
    );
    let outcome = Scenario::parse(&text).expect("a scenario").build(1).expect("it is built").run();
    assert!(outcome.failures.is_empty(), "what still runs at the end of the time is no failure");
    assert_eq!(outcome.end, tcplab::time::Instant::from_secs(5));
    assert!(outcome.reports[1].result.is_none());
}

#[test]
fn a_program_that_does_not_go_as_it_is_written_is_a_failure() {
    let run = |calls: &str| {
        let text =
            format!("[hosts.a]\n[hosts.b]\n[links]\na-b = \"delay=1ms\"\n[[programs]]\nhost = \"a\"\ndo = [{calls}]\n");
        Scenario::parse(&text).expect("a scenario").build(1).expect("it is built").run().failures
    };
    assert_eq!(run(r#""connect b:80 -> ECONNREFUSED""#), Vec::<String>::new());
    let refused = run(r#""connect b:80""#);
    assert!(refused.len() == 1 && refused[0].contains("ECONNREFUSED") && refused[0].contains("program 1 on a"));
    let other = run(r#""connect b:80 -> ETIMEDOUT""#);
    assert!(other[0].contains("ECONNREFUSED"), "{other:?}");
    let well = run(r#""listen 80 -> EADDRINUSE""#);
    assert!(well[0].contains("it succeeded"), "{well:?}");
    let hangs = run(r#""listen 80", "accept""#);
    assert!(hangs[0].contains("accept"), "{hangs:?}");
}

#[test]
fn programs_make_every_kind_of_call() {
    let text = r#"
[hosts.a]
[hosts.b]
[hosts.c]
[links]
a-b = "delay=1ms"
a-c = "delay=1ms"
[[programs]]
host = "b"
do = ["listen 80", "accept", "accept", "use 4", "recv 3", "send \"four\"", "use 5", "recv 300", "send \"five\"", "sleep 300ms", "close"]
[[programs]]
host = "a"
do = [
    "use 9 -> EBADF",
    "socket", "bind 7000", "set nodelay on", "connect b:80", "send \"abc\"",
    "connect b:80", "send 300 by 100 every 1ms", "recv 4 by 2 every 1ms", "close",
    "use 3", "recv 4", "set rcvtimeo 10ms", "recv 1 -> EAGAIN", "until 500ms", "recv eof", "close",
    "connect b:81 -> ECONNREFUSED",
]
[[programs]]
host = "c"
do = ["socket udp", "bind 53", "recvfrom", "recvfrom all 100ms", "close"]
[[programs]]
host = "a"
do = ["sleep 10ms", "sendto c:53 \"who?\"", "sendto c:53 10", "sendto c:53 20"]
"#;
    let outcome = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}")).build(1).expect("it is built").run();
    assert_eq!(outcome.failures, Vec::<String>::new());
    let done = |at: usize| outcome.reports[at].result.clone().expect("ended").expect("well");
    assert_eq!((done(0).sent, done(0).received), (8, 303));
    assert_eq!((done(1).sent, done(1).received), (303, 8));
    assert_eq!((done(2).datagrams_received, done(2).received), (3, 34));
    assert_eq!((done(3).datagrams_sent, done(3).sent), (3, 34));
}

#[test]
fn the_page_on_scenarios_has_every_key_of_the_parser() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scenarios.md")).expect("the page");
    let mut missing = Vec::new();
    for (key, what) in keys() {
        let row = format!("| `{key}` | {} |", what.replace('|', "\\|"));
        if !page.contains(&row) {
            missing.push(row);
        }
    }
    assert!(missing.is_empty(), "docs/scenarios.md has no\n{}", missing.join("\n"));
}

#[test]
fn the_scenario_in_the_readme_runs() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("the page");
    let readme = readme.replace("\r\n", "\n");
    let mut count = 0;
    for block in readme.split("```toml\n").skip(1) {
        let text = block.split("```").next().expect("it ends");
        let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("README.md: {error}\n{text}"));
        let outcome = scenario.build(scenario.seed()).expect("it is built").run();
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        assert!(outcome.reports.iter().any(|report| matches!(&report.result, Some(Ok(done)) if done.received > 0)));
        count += 1;
    }
    assert!(count >= 1, "README.md shows a scenario");
}

#[test]
fn what_each_host_wrote_and_read_is_kept_on_request_only() {
    let scenario = Scenario::lesson("data").expect("a lesson");
    let world = scenario.build(1).expect("it is built");
    assert!(world.run().transcripts.is_empty());
    let world = scenario.build(1).expect("it is built");
    world.keep_transcripts();
    let transcripts: BTreeMap<_, _> = world.run().transcripts.into_iter().collect();
    let (client, server) = (&transcripts["client"][0], &transcripts["server"][0]);
    assert_eq!((client.written.len(), client.read.len()), (100, 3000));
    assert_eq!((&client.written, &client.read), (&server.read, &server.written));
}
