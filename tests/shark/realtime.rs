//! `run --realtime -w -`: a packet is readable when its time has come. That it is not later is a matter of the machine:
//! docs/performance.md has the figure, and the unit tests of the pace have the order.

use std::process::Stdio;
use std::time::Instant;

use super::tcplab;
use tcplab::capture::Reader;
use tcplab::time;

#[test]
fn no_packet_is_readable_before_its_time() {
    let began = Instant::now();
    let args = ["run", "-q", "--no-ladder", "--realtime", "fast-retransmit", "-w", "-"];
    let mut child = tcplab(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut reader = Reader::from_read(child.stdout.take().expect("a pipe"), "a pipe").expect("a capture");
    let mut last = time::Instant::EPOCH;
    let mut packets = 0;
    while let Some(record) = reader.next_record() {
        let at = record.expect("a record").at;
        assert!(began.elapsed() >= at - time::Instant::EPOCH, "packet {packets} of {at}");
        (last, packets) = (at, packets + 1);
    }
    assert!(packets > 20 && last > time::Instant::EPOCH, "{packets} packets until {last}");
    assert!(child.wait().expect("a child").success());
}
