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
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, SCENARIO).expect("written");
    path
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
