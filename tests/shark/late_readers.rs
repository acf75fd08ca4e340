//! `serve -w - -- COMMAND | wireshark -k -i -`: Wireshark needs some seconds before it reads. Then it gets everything.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use super::{programs, run, tcplab};
use crate::common::left_out;
use tcplab::capture::Reader;

#[test]
fn a_reader_that_begins_late_gets_every_packet() {
    if run(&["doctor"]).status.code() != Some(0) || programs::run("curl", &["--version"]).is_none() {
        left_out("a capture with a late reader", "`tcplab doctor` says what to do");
        return;
    }
    let client = ["curl", "-sS", "-o", "/dev/null", "http://192.168.69.1:8080/"];
    let args = [&["serve", "http", "--size", "1000000", "-w", "-", "--"], &client[..]].concat();
    let mut child = tcplab(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let pipe = child.stdout.take().expect("a pipe");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
    // COMMAND has ended, the pipe is full, and nobody has read for two seconds.
    let mut line = String::new();
    while !line.starts_with("the capture waits for its reader") {
        line.clear();
        assert!(said.read_line(&mut line).expect("a line") > 0, "it waits for its reader");
    }
    let mut reader = Reader::from_read(pipe, "the pipe").expect("a capture");
    let mut packets = 0;
    while let Some(record) = reader.next_record() {
        record.expect("a whole record");
        packets += 1;
    }
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("text");
    assert_eq!(child.wait().expect("a child").code(), Some(0), "{rest}");
    assert!(!reader.is_torn() && packets > 700, "{packets} packets");
    assert_eq!(rest, format!("{packets} packets captured, 0 dropped by the device queue, 0 not written\n"));
}
