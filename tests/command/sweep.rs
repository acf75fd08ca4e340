//! Sweeps: the rows do not depend on the number of threads, and shards are parts of the whole.
#![cfg(feature = "cli")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

const SCENARIO: &str = r#"
[hosts.client]
[hosts.server]
[links]
client-server = "rate=10Mbit,delay=5ms"
[[programs]]
host = "server"
app = "bulk"
[[programs]]
host = "client"
name = "upload"
app = "bulk"
to = "server"
size = 20000
"#;

fn scenario(name: &str) -> PathBuf {
    written(name, SCENARIO)
}

fn sweep(path: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("tcplab").expect("the binary of this package");
    command.arg("sweep").arg(path).args(arguments).env_remove("NO_COLOR").output().expect("it starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

const PRODUCT: [&str; 6] = ["--seed", "1..5", "--set", "link.loss=0,3%", "--set", "host.cc=reno,cubic"];

#[test]
fn one_thread_and_several_give_the_same_rows_in_the_order_of_the_product() {
    let path = scenario("sweep-threads.toml");
    let one = sweep(&path, &[&PRODUCT[..], &["-j", "1"]].concat());
    assert_eq!((one.status.code(), one.stderr.is_empty()), (Some(0), true), "{one:?}");
    for jobs in ["2", "7"] {
        assert_eq!(stdout(&sweep(&path, &[&PRODUCT[..], &["-j", jobs]].concat())), stdout(&one));
    }
    let text = stdout(&one);
    let mut lines = text.lines();
    let header = "link.loss,host.cc,seed,result,goodput_mbit,bytes,completion_s,connections,packets,retransmissions,\
                  drops,fairness";
    assert_eq!(lines.next(), Some(header));
    let mut expected = Vec::new();
    for loss in ["0", "3%"] {
        for cc in ["reno", "cubic"] {
            expected.extend((1..=5).map(|seed| format!("{loss},{cc},{seed},ok,")));
        }
    }
    assert_eq!(lines.clone().count(), expected.len());
    for (line, expected) in lines.zip(expected) {
        assert!(line.starts_with(&expected), "{line}");
        let fields: Vec<_> = line.split(',').collect();
        assert_eq!((fields.len(), fields[5]), (12, "20000"), "{line}");
        if fields[0] == "0" {
            assert_eq!((fields[9], fields[10], fields[11]), ("0", "0", "1.000000"), "{line}");
        }
    }
}

#[test]
fn shards_together_are_the_whole_and_have_nothing_in_common() {
    let path = scenario("sweep-shards.toml");
    let whole: Vec<_> = stdout(&sweep(&path, &PRODUCT)).lines().map(str::to_owned).collect();
    let (mut seen, mut count) = (BTreeSet::new(), 0);
    for part in ["1/3", "2/3", "3/3"] {
        let shard = stdout(&sweep(&path, &[&PRODUCT[..], &["--shard", part]].concat()));
        assert_eq!(shard.lines().next(), Some(whole[0].as_str()));
        seen.extend(shard.lines().skip(1).map(str::to_owned));
        count += shard.lines().count() - 1;
    }
    assert_eq!(count, whole.len() - 1);
    assert_eq!(seen, whole[1..].iter().cloned().collect());
    assert_eq!(stdout(&sweep(&path, &["--shard", "2/2"])).lines().count(), 1, "an empty part has its header");
}

#[test]
fn json_has_the_same_numbers() {
    let path = scenario("sweep-json.toml");
    let text = stdout(&sweep(&path, &["--json", "--seed", "3", "--set", "link.delay=5ms,50ms"]));
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    assert_eq!(lines.len(), 2);
    for (line, delay) in lines.iter().zip(["5ms", "50ms"]) {
        assert_eq!((line["seed"].as_u64(), line["set"]["link.delay"].as_str()), (Some(3), Some(delay)));
        assert_eq!(line["bytes"], 20_000);
    }
}

/// A link so slow that the client has not ended after ten seconds.
fn unfinished() -> String {
    let slow = SCENARIO.replace("rate=10Mbit", "rate=1Mbit").replace("size = 20000", "size = \"10MB\"");
    format!("until = \"10s\"\n{slow}")
}

fn written(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("written");
    path
}

/// The fields of a row by the names of the header.
fn fields(text: &str, row: usize) -> std::collections::BTreeMap<String, String> {
    let lines: Vec<_> = text.lines().collect();
    lines[0].split(',').map(str::to_owned).zip(lines[row].split(',').map(str::to_owned)).collect()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

#[test]
fn a_program_that_has_not_ended_is_unfinished_and_its_goodput_is_over_the_time_run() {
    let path = written("sweep-unfinished.toml", &unfinished());
    let output = sweep(&path, &[]);
    assert_eq!(output.status.code(), Some(0), "it went as the file says: {output:?}");
    let row = fields(&stdout(&output), 1);
    assert_eq!((row["result"].as_str(), row["completion_s"].as_str()), ("unfinished", ""));
    // 1 Mbit/s of packets of 1,500 bytes, of which 1,448 are data, for 10 s.
    let (goodput, bytes) = (number(&row["goodput_mbit"]), number(&row["bytes"]));
    assert!((0.90..0.966).contains(&goodput), "{goodput}");
    assert!((goodput - bytes * 8.0 / 10.0 / 1e6).abs() < 1e-5, "{goodput} is {bytes} bytes in 10 s");
    let line = stdout(&sweep(&path, &["--json"]));
    let line: serde_json::Value = serde_json::from_str(&line).expect("an object");
    assert_eq!((line["result"].as_str(), line["completion_s"].is_null()), (Some("unfinished"), true));

    // Nothing can happen any more: it is unfinished too, and the sweep fails.
    let hangs = format!("{SCENARIO}[[programs]]\nhost = \"client\"\ndo = [\"listen 80\", \"accept\"]\n");
    let output = sweep(&written("sweep-hangs.toml", &hangs), &[]);
    let row = fields(&stdout(&output), 1);
    assert_eq!(
        (output.status.code(), row["result"].as_str(), row["completion_s"].as_str()),
        (Some(1), "unfinished", "")
    );
}

#[test]
fn a_warm_up_is_left_out_of_all_figures() {
    let path = written("sweep-warmup.toml", &unfinished());
    let whole = fields(&stdout(&sweep(&path, &[])), 1);
    let later = fields(&stdout(&sweep(&path, &["--warmup", "5s"])), 1);
    let bytes = |row: &std::collections::BTreeMap<String, String>| number(&row["bytes"]);
    // The link is full: half of the time carries half of the bytes.
    assert!((bytes(&later) / bytes(&whole) - 0.5).abs() < 0.01, "{later:?} {whole:?}");
    let goodput = number(&later["goodput_mbit"]);
    assert!((goodput - bytes(&later) * 8.0 / 5.0 / 1e6).abs() < 1e-5, "{goodput}");
    assert!(number(&later["packets"]) < 0.6 * number(&whole["packets"]));
    let none = fields(&stdout(&sweep(&path, &["--warmup", "10s"])), 1);
    assert_eq!((none["bytes"].as_str(), none["goodput_mbit"].as_str()), ("0", ""), "no time is measured");
}

#[test]
fn flows_give_a_row_for_each_connection() {
    let text = SCENARIO.replace("size = 20000", "size = 20000\ncount = 3\nevery = \"10ms\"");
    let path = written("sweep-flows.toml", &text);
    let run = fields(&stdout(&sweep(&path, &[])), 1);
    let flows = stdout(&sweep(&path, &["--flows", "--set", "link.delay=5ms,6ms"]));
    assert_eq!(
        flows.lines().next(),
        Some("link.delay,seed,result,flow,client,server,begin_s,end_s,goodput_mbit,bytes,packets,retransmissions")
    );
    assert_eq!(flows.lines().count(), 1 + 2 * 3);
    let rows: Vec<_> = (1..=3).map(|row| fields(&flows, row)).collect();
    for (at, row) in rows.iter().enumerate() {
        assert_eq!((row["link.delay"].as_str(), row["flow"].as_str()), ("5ms", at.to_string().as_str()));
        assert_eq!((row["bytes"].as_str(), row["retransmissions"].as_str()), ("20000", "0"));
        assert!(row["client"].starts_with("192.0.2.1:") && row["server"] == "192.0.2.2:5001", "{row:?}");
        assert!((number(&row["begin_s"]) - 0.01 * at as f64).abs() < 1e-6, "{row:?}");
        assert!(number(&row["end_s"]) > number(&row["begin_s"]) && number(&row["goodput_mbit"]) > 1.0, "{row:?}");
    }
    let packets: f64 = rows.iter().map(|row| number(&row["packets"])).sum();
    assert!((packets - number(&run["packets"])).abs() < 0.5, "each packet is of one connection");
    let line = stdout(&sweep(&path, &["--flows", "--json"]));
    let line: serde_json::Value = serde_json::from_str(&line).expect("an object");
    assert_eq!(line["flows"].as_array().map(Vec::len), Some(3));
    let none = written("sweep-no-flows.toml", "[hosts.a]\n");
    assert_eq!(stdout(&sweep(&none, &["--flows"])).lines().nth(1), Some("1,ok,,,,,,,,,"), "a run without connections");
}

#[test]
fn the_same_key_twice_is_an_error() {
    let path = scenario("sweep-twice.toml");
    for (arguments, key) in [
        (&["--set", "link.loss=0", "--set", "link.loss=1%"][..], "link.loss"),
        (&["--cc", "reno", "--set", "host.cc=cubic,bbr"], "host.cc"),
        (&["--link", "delay=1ms", "--set", "link.delay=2ms,3ms"], "link.delay"),
    ] {
        let output = sweep(&path, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true), "{arguments:?}");
        assert!(said.contains(key), "{arguments:?}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_sweep_of_a_billion_runs_begins_at_once_and_takes_little_memory() {
    use std::io::BufRead;
    let path = scenario("sweep-long.toml");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_tcplab"))
        .args(["sweep", "-j", "2", "--seed", "1..1000000000"])
        .arg(&path)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let mut lines = std::io::BufReader::new(child.stdout.take().expect("piped")).lines();
    let rows: Vec<_> = lines.by_ref().take(301).map(|line| line.expect("a line")).collect();
    assert!(rows[300].starts_with("300,ok,"), "{}", rows[300]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(kib < 64 * 1024, "{kib} KiB for 300 of 10^9 runs");
}

#[test]
fn wrong_usage_exits_2_and_a_run_that_fails_exits_1_behind_its_row() {
    let path = scenario("sweep-wrong.toml");
    let wrong: [&[&str]; 9] = [
        &["--seed", "5..1"],
        &["--seed", "x"],
        &["--seed", "0..18446744073709551615"],
        &["--set", "link.loss"],
        &["--set", "link.los=1%"],
        &["--set", "link.loss=0,1"],
        &["--shard", "3/2"],
        &["--shard", "0/2"],
        &["-j", "0"],
    ];
    for arguments in wrong {
        let output = sweep(&path, arguments);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true), "{arguments:?}");
    }
    assert_eq!(sweep(Path::new("no-such-lesson"), &[]).status.code(), Some(2));
    assert_eq!(sweep(Path::new("/nowhere/x.toml"), &[]).status.code(), Some(2));
    let failed = sweep(&path, &["--seed", "1..2", "--set", "link.loss=100%"]);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(stdout(&failed).lines().filter(|line| line.contains(",failed,")).count(), 2);
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(said.contains("2 of 2 runs") && said.contains("ETIMEDOUT"), "{said}");
}
