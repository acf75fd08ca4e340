//! Scenario files: what is wrong with one is said with its place; what is right runs the same everywhere; what a recipe
//! from a stranger can say.
#![cfg(feature = "scenario")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use common::golden;
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
        (outcome.completed, outcome.reports[1].result.clone().expect("ended").expect("well").received)
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
