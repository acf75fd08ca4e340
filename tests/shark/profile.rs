//! The profile: its files are what they were, and tshark colours the packets and shows the columns as it says.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{place, programs, run, text};
use crate::common::golden;

#[test]
fn the_files_of_the_profile_are_kept_unless_tcplab_wrote_them() {
    let dir = place("profile");
    let profile = dir.join("a/b");
    let args = ["extcap", "--profile", profile.to_str().expect("UTF-8")];
    let written = run(&args);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    let names = ["colorfilters", "preferences"];
    let expected = names.map(|name| format!("wrote {}\n", profile.join(name).display())).concat();
    assert_eq!(text(&written.stdout), expected);
    for name in names {
        golden(&format!("extcap/{name}"), &fs::read_to_string(profile.join(name)).expect("a file"));
    }
    assert_eq!(fs::read_dir(&profile).expect("a directory").count(), 2);
    assert_eq!(run(&args).status.code(), Some(0), "our own files are written again");
    // Wireshark writes its own when a preference is changed.
    fs::remove_file(profile.join("colorfilters")).expect("a file");
    fs::write(profile.join("preferences"), "# Configuration file for Wireshark\n").expect("a file");
    let refused = run(&args);
    assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(2), String::new()));
    assert!(text(&refused.stderr).contains("add --force"), "{}", text(&refused.stderr));
    assert!(!profile.join("colorfilters").exists(), "nothing is written");
    assert_eq!(run(&[&args[..], &["--force"]].concat()).status.code(), Some(0));
}

#[test]
fn tshark_colours_what_the_link_did_and_what_tcp_did() {
    let home = place("colours");
    let profile = home.join("wireshark/profiles/tcplab");
    assert_eq!(run(&["extcap", "--profile", profile.to_str().expect("UTF-8")]).status.code(), Some(0));
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    // The capture of the lesson is taken behind the link that corrupts.
    let corrupted = home.join("corrupt.pcapng");
    let args = ["run", "-q", "--no-ladder", "corrupt", "--at", "client", "-w", corrupted.to_str().expect("UTF-8")];
    assert_eq!(run(&args).status.code(), Some(0));
    let lesson = |name: &str| captures.join(format!("{name}.pcapng"));
    let expected = [
        (lesson("fast-retransmit"), &["SYN or FIN", "duplicate ACK", "lost on the link", "retransmission"][..]),
        (corrupted, &["corrupted by the link"]),
        (lesson("duplicate"), &["duplicated by the link", "reset"]),
        (lesson("undo"), &["reordered by the link"]),
        (lesson("reorder"), &["out of order, or missing"]),
        (lesson("zero-window"), &["window full or zero"]),
        (lesson("keep-alive"), &["keep-alive"]),
        (lesson("unreachable"), &["ICMP"]),
        (lesson("udp-vs-tcp"), &["UDP"]),
    ];
    let mut rules = 0;
    for (file, names) in expected {
        let output = Command::new("tshark")
            .args(["-n", "-C", "tcplab", "--color", "-T", "fields", "-e", "frame.coloring_rule.name"])
            .args(["-e", "frame.comment", "-r"])
            .arg(&file)
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", &home)
            .env("COLORTERM", "truecolor")
            .env("LC_ALL", "C.UTF-8")
            .output();
        let Ok(output) = output else {
            programs::run("tshark", &["--version"]); // notes what is left out
            return;
        };
        let (table, said) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && !said.to_lowercase().contains("filter"), "{said}");
        for name in names {
            rules += 1;
            assert!(table.lines().any(|line| line.starts_with(&format!("{name}\t"))), "no packet of {name}:\n{table}");
        }
        // Every packet with a tag has the colour of the tag.
        for line in table.lines() {
            let (rule, comment) = line.split_once('\t').unwrap_or((line, ""));
            let tags = [
                ("[lost: ", "lost on the link"),
                ("[corrupted: ", "corrupted by the link"),
                ("[duplicated]", "duplicated by the link"),
                ("[copy]", "duplicated by the link"),
                ("[reordered]", "reordered by the link"),
                ("[overtakes]", "reordered by the link"),
            ];
            match tags.iter().find(|(tag, _)| comment.contains(tag)) {
                Some((_, name)) => assert_eq!(rule, *name, "{line}"),
                None => assert!(!rule.ends_with("by the link") && !rule.ends_with("on the link"), "{line}"),
            }
        }
    }
    let written = fs::read_to_string(profile.join("colorfilters")).expect("a file");
    assert_eq!(written.lines().filter(|line| line.starts_with('@')).count(), rules, "every rule has its packet");
}

#[test]
fn tshark_shows_the_columns_of_the_profile() {
    let home = place("columns");
    let profile = home.join("wireshark/profiles/tcplab");
    assert_eq!(run(&["extcap", "--profile", profile.to_str().expect("UTF-8")]).status.code(), Some(0));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/fast-retransmit.pcapng");
    let output = Command::new("tshark")
        .args(["-n", "-C", "tcplab", "-r"])
        .arg(&file)
        .env("HOME", &home)
        .env("XDG_CONFIG_HOME", &home)
        .output();
    let Ok(output) = output else {
        programs::run("tshark", &["--version"]);
        return;
    };
    let shown = text(&output.stdout);
    let line = shown.lines().nth(6).expect("seven packets");
    // Number, time, ends, protocol, seq, ack, data, then the information, then the comment.
    assert!(line.contains(" TCP 5793 1 1448 "), "{line}");
    assert!(line.ends_with(" data 5793:7241 [lost: scripted]"), "{line}");
}
