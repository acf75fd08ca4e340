//! Connections and totals as tables: the numbers are those of tcptrace, and the options print what they say.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::programs::{printed, scratch};

/// What the command prints in 80 columns.
#[track_caller]
fn tcplab(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcplab"));
    let output = command.args(args).stdin(Stdio::null()).env_remove("COLUMNS").output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn objects(args: &[&str]) -> Vec<Value> {
    tcplab(args).lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}

fn capture(lesson: &str) -> String {
    format!("{}/captures/{lesson}.pcapng", env!("CARGO_MANIFEST_DIR"))
}

/// A number of `tcptrace -lr`, its name in an object of ours, and what ours is multiplied with.
const COMPARED: [(&str, &str, f64); 14] = [
    ("total packets", "packets", 1.0),
    ("actual data pkts", "messages", 1.0),
    ("actual data bytes", "bytes", 1.0),
    ("unique bytes sent", "new_bytes", 1.0),
    ("rexmt data bytes", "repeated_bytes", 1.0),
    ("sack pkts sent", "sacks", 1.0),
    ("max segm size", "largest_segment", 1.0),
    ("max win adv", "window_max", 1.0),
    ("RTT samples", "rtt_samples", 1.0),
    ("RTT min", "rtt_min_s", 1e3),
    ("RTT max", "rtt_max_s", 1e3),
    ("RTT avg", "rtt_avg_s", 1e3),
    ("min win adv", "window_min", 1.0),
    ("idletime max", "idle_max_s", 1e3),
];

/// The numbers of the one connection that tcptrace finds: of both directions.
fn tcptrace(file: &str) -> Option<BTreeMap<String, [f64; 2]>> {
    let text = printed("tcptrace", &["-lrn", file])?;
    let mut numbers = BTreeMap::new();
    for line in text.lines() {
        let parts: Vec<_> = line.split("  ").map(str::trim).filter(|part| !part.is_empty()).collect();
        let mut values = parts.iter().filter_map(|part| part.split_whitespace().next()?.parse().ok());
        if let (Some(name), Some(one), Some(other)) = (parts.first(), values.next(), values.next()) {
            numbers.insert(name.trim_end_matches(':').to_owned(), [one, other]);
        }
    }
    Some(numbers)
}

#[test]
fn the_numbers_of_a_connection_are_those_of_tcptrace() {
    for lesson in ["lost-data", "handshake", "fast-retransmit", "half-close", "http", "reorder", "sack"] {
        // tcptrace takes the time 0 for none.
        let later = scratch(&format!("views-{lesson}.pcap"));
        let later = later.to_str().expect("UTF-8");
        let Some(_) = printed("editcap", &["-t", "1000", "-F", "nsecpcap", &capture(lesson), later]) else { return };
        let Some(theirs) = tcptrace(later) else { return };
        let file = later;
        let ours = &objects(&["show", "-q", "--json", "--flows", file])[0];
        for (name, field, factor) in COMPARED {
            let theirs = theirs.get(name).unwrap_or_else(|| panic!("{lesson}: tcptrace prints {name}: {theirs:?}"));
            for side in [0, 1] {
                let ours = ours[field][side].as_f64().unwrap_or(0.0) * factor;
                assert!(
                    (ours - theirs[side]).abs() < 0.06,
                    "{lesson}, {name} of side {side}: {ours}, {}",
                    theirs[side]
                );
            }
        }
    }
}

#[test]
fn totals_are_those_that_tshark_counts() {
    let file = capture("udp-vs-tcp");
    let fields =
        ["ip.proto", "ip.len", "tcp.len", "tcp.flags.syn", "tcp.flags.fin"].map(|field| ["-e", field]).concat();
    let first = ["-n", "-r", &file, "-T", "fields", "-E", "occurrence=f"];
    let Some(text) = printed("tshark", &[&first[..], &fields].concat()) else { return };
    let rows: Vec<Vec<_>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let count = |holds: &dyn Fn(&[&str]) -> bool| rows.iter().filter(|row| holds(row)).count();
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let totals = &objects(&["show", "-q", "--json", "--stats", &file])[0];
    assert_eq!(totals["packets"], rows.len());
    assert_eq!(totals["bytes"], rows.iter().map(|row| number(row[1])).sum::<u64>());
    assert_eq!(totals["ip_versions"], serde_json::json!({ "IPv4": rows.len() }));
    let protocols = serde_json::json!({ "TCP": count(&|row| row[0] == "6"), "UDP": count(&|row| row[0] == "17") });
    assert_eq!(totals["protocols"], protocols);
    let set = |field: &str| matches!(field, "1" | "True");
    let segments = &totals["segments"];
    let syns = segments["SYN"].as_u64().expect("a number") + segments["SYN|ACK"].as_u64().expect("a number");
    assert_eq!(syns, count(&|row| set(row[3])) as u64);
    assert_eq!(segments["FIN"], count(&|row| set(row[4])));
    let data = rows.iter().map(|row| number(row[2])).sum::<u64>();
    let ours = ["new_bytes", "repeated_bytes"].map(|field| totals[field].as_u64().expect("a number"));
    assert_eq!(ours.iter().sum::<u64>(), data);
    // The same totals for people.
    let text = tcplab(&["show", "-q", "--stats", &file]);
    assert!(text.contains(&format!("{} in ", rows.len())) && text.contains(" UDP"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
}

#[test]
fn a_run_names_each_drop_and_why_segments_were_sent_again() {
    let objects = objects(&["run", "-q", "--json", "--flows", "--stats", "lost-data"]);
    assert_eq!(objects.len(), 2, "one connection, and the totals: {objects:?}");
    assert_eq!(objects[0]["reasons"], serde_json::json!({ "tlp": [1, 0], "rto": [1, 0] }));
    assert_eq!(objects[0]["retransmissions"], serde_json::json!([2, 0]));
    // Each end measures its own round trips.
    assert_eq!(
        (&objects[0]["rtt_min_s"], &objects[0]["rtt_max_s"]),
        (&serde_json::json!([0.04, 0.04]), &serde_json::json!([0.04, 0.04]))
    );
    assert_eq!(objects[1]["drops"], serde_json::json!({ "scripted": 2 }));
    assert_eq!((&objects[1]["connections"], &objects[1]["closes"]["closed"]), (&1.into(), &1.into()));
    // What a router drops, and what arrives in another order or twice.
    let totals = |lesson: &str| self::objects(&["run", "-q", "--json", "--stats", lesson]).remove(0);
    let of = |object: &Value, field: &str, name: &str| object[field][name].as_u64().unwrap_or(0);
    assert_eq!(of(&totals("pmtud"), "drops", "too-big"), 3);
    assert_eq!(of(&totals("reorder"), "fates", "reordered"), 1);
    assert!(of(&totals("duplicate"), "fates", "duplicated") >= 3);
}

#[test]
fn tables_stand_in_place_of_the_ladder_and_fit_80_columns() {
    let file = capture("close-wait");
    let [table, long, stats] =
        ["--flows", "--flows=long", "--stats"].map(|option| tcplab(&["show", "-q", option, &file]));
    let both = tcplab(&["show", "-q", "--flows=table", "--stats", &file]);
    assert_eq!(both, table.clone() + &stats);
    assert!(table.starts_with("stream  left ") && table.matches("half closed").count() == 3, "{table}");
    assert_eq!(long.matches("\n  throughput").count(), 3, "{long}");
    for text in [&table, &long, &stats] {
        assert!(!text.contains('│') && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
    // With enough room each connection has one line, and long addresses have lines of their own.
    let wide = Command::new(env!("CARGO_BIN_EXE_tcplab"))
        .args(["show", "-q", "--flows", &file])
        .env("COLUMNS", "200")
        .output();
    let wide = String::from_utf8(wide.expect("it starts").stdout).expect("UTF-8");
    assert_eq!((table.lines().count(), wide.lines().count()), (8, 4), "{table}{wide}");
    // A run prints its story and the tables.
    let run = tcplab(&["run", "-q", "--flows", "--stats", "--color=never", "close-wait"]);
    assert!(run.starts_with("close-wait: ") && run.contains("\nstream  left ") && run.contains("\npackets "), "{run}");
    assert!(!run.contains("│──"), "{run}");
    let wrong =
        Command::new(env!("CARGO_BIN_EXE_tcplab")).args(["show", "--flows=wide", &file]).output().expect("it starts");
    let error = String::from_utf8(wrong.stderr).expect("UTF-8");
    assert!(wrong.status.code() == Some(2) && error.contains("long") && error.contains("table"), "{error}");
}

#[test]
fn the_page_lists_every_field_of_connections_and_totals() {
    let page = include_str!("../../docs/views.md");
    for object in objects(&["show", "-q", "--json", "--flows", "--stats", &capture("lost-data")]) {
        for field in object.as_object().expect("an object").keys() {
            assert!(page.contains(&format!("`{field}`")), "docs/views.md lists {field}");
        }
    }
}
