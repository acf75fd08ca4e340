//! Captures of a wire: comments and tags as everywhere, at either side or at both; the table of connections.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Place, installed, possible, str, text, wire};
use tcplab::capture::{Direction, Reader};

const LEFT: &str = "head -c 20000 /dev/zero | nc -N -l 9000 > /dev/null";
const RIGHT: &str = "nc -w 5 10.77.0.1 9000 < /dev/null | wc -c";

/// The records of a capture: time in nanoseconds, whether the host sent it, the bytes, the comment.
fn records(path: &Path) -> Vec<(u64, bool, Vec<u8>, String)> {
    let mut reader = Reader::open(path).expect("a capture");
    let mut all = Vec::new();
    while let Some(record) = reader.next_record() {
        let record = record.expect("a whole record");
        let (bytes, comment) =
            (record.packet.expect("a packet").to_vec(), record.comment.unwrap_or_default().to_owned());
        all.push((record.at.as_nanos(), record.direction == Some(Direction::Outbound), bytes, comment));
    }
    all
}

#[test]
fn both_captures_have_every_packet_with_comments_and_the_tags_of_their_side() {
    if !(possible() && installed(&["nc"])) {
        return;
    }
    let place = Place::new("both");
    let file = place.join("x.pcapng");
    let line = "left>right:delay=10ms,drop=data:3";
    let ran = wire(&["--link", line, "-w", str(&file), "--at", "all", "--left", LEFT, "--right", RIGHT]);
    assert_eq!((ran.code, ran.printed.trim()), (Some(0), "20000"), "{}", ran.said);
    assert_eq!(
        ran.said.matches(" packets captured, 0 dropped by the device queue, 0 not written\n").count(),
        2,
        "{}",
        ran.said
    );
    assert!(!file.exists());
    let [left, right] = ["x.left.pcapng", "x.right.pcapng"].map(|name| records(&place.join(name)));
    for record in left.iter().chain(&right) {
        assert!(!record.3.is_empty(), "a comment on each");
    }
    let lost: Vec<_> = left.iter().filter(|record| record.3.ends_with("[lost: scripted]")).collect();
    assert_eq!(lost.len(), 1, "{left:?}");
    assert!(lost[0].1 && lost[0].3.starts_with("data "), "{}", lost[0].3);
    assert!(left.iter().any(|record| record.3.contains("retransmission")), "the sender's view");
    // What was not lost arrives as it was sent, 10 ms later or more.
    let sent: Vec<_> = left.iter().filter(|record| record.1 && !record.3.contains("[lost")).collect();
    let come: Vec<_> = right.iter().filter(|record| !record.1).collect();
    assert!(!come.is_empty() && sent.len() == come.len(), "{} and {}", sent.len(), come.len());
    for (sent, come) in sent.iter().zip(come) {
        assert!(sent.2 == come.2 && come.0 >= sent.0 + 10_000_000);
    }
}

#[test]
fn the_capture_is_taken_at_the_left_side_unless_told() {
    if !(possible() && installed(&["nc"])) {
        return;
    }
    let place = Place::new("side");
    for (more, left) in [(&[][..], true), (&["--at", "left"], true), (&["--at", "right"], false)] {
        let file = place.join("x.pcapng");
        let args = ["--link", "delay=1ms", "-w", str(&file), "--left", LEFT, "--right", RIGHT];
        let ran = wire(&[&args[..], more].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.said);
        let records = records(&file);
        let (_, sent, ..) = records.iter().find(|record| record.3.starts_with("SYN:")).expect("a SYN");
        assert_eq!(*sent, !left, "{more:?}: the right side sends the SYN");
    }
}

#[test]
fn a_stream_is_read_by_tshark_while_it_is_written() {
    if !(possible() && installed(&["nc", "tshark"])) {
        return;
    }
    let tool = env!("CARGO_BIN_EXE_tcplab");
    let line = format!(
        "{tool} -q wire --link delay=2ms -w - --left '{LEFT}' --right '{RIGHT} >&2' | tshark -r - -T fields -e frame.comment"
    );
    let output = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).output().expect("sh");
    let comments = text(&output.stdout);
    assert!(
        comments.contains("SYN: opens the connection") && comments.contains("completes the handshake"),
        "{comments}"
    );
    assert_eq!(text(&output.stderr).matches("20000\n").count(), 1, "{}", text(&output.stderr));
}

#[test]
fn all_needs_a_file_and_a_side_needs_a_capture() {
    let ran = wire(&["-w", "-", "--at", "all", "--right", "true"]);
    assert!(ran.said.contains("--at all writes one file for each side; name a file with -w"), "{}", ran.said);
    assert_eq!(ran.code, Some(2));
    let ran = wire(&["--at", "right", "--right", "true"]);
    assert_eq!((ran.code, ran.said.contains("--write")), (Some(2), true), "{}", ran.said);
    let ran = wire(&["--link", "host>kernel:loss=1%", "--right", "true"]);
    assert_eq!((ran.code, ran.said.contains("`left>right:` and `right>left:`")), (Some(2), true), "{}", ran.said);
}

#[test]
fn flows_are_printed_as_a_table_or_as_objects() {
    if !(possible() && installed(&["nc"])) {
        return;
    }
    let args =
        ["--link", "delay=1ms", "--flows", "--left", LEFT, "--right", "nc -w 5 10.77.0.1 9000 < /dev/null > /dev/null"];
    let ran = wire(&args);
    assert!(
        ran.printed.starts_with("stream  left") && ran.printed.contains("10.77.0.1:9000"),
        "{}{}",
        ran.printed,
        ran.said
    );
    assert!(ran.printed.contains("/20000"), "{}", ran.printed);
    let ran = wire(&[&args[..], &["--json"]].concat());
    let flow: serde_json::Value = serde_json::from_str(ran.printed.trim()).expect("one object");
    assert_eq!(flow["bytes"], serde_json::json!([0, 20000]), "{flow}");
}
