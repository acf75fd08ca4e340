//! What is seen only from inside: a disk that fills up, a writer with and without a thread, the table of flows, frames of all
//! link layers, and files of formats that no program here writes, put together by hand.

mod files;
mod odd;
mod words;

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use super::link_layer;
use super::sink::Target;
use super::{Capture, Comments, Direction, Format, Numbers, Reader, Settings, Summary, WhenBehind};
use crate::segment::{Flags, SegmentTemplate, Seq};
use crate::time::Instant;

/// A disk with room for so many bytes, which others can look at.
#[derive(Clone, Default)]
struct Disk {
    room: usize,
    is_pipe: bool,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.bytes.lock().unwrap();
        let len = bytes.len().min(self.room - disk.len());
        if len == 0 {
            return Err(if self.is_pipe { ErrorKind::BrokenPipe } else { ErrorKind::StorageFull }.into());
        }
        disk.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Disk {
    fn cut_back(&mut self, len: u64) -> io::Result<bool> {
        self.bytes.lock().unwrap().truncate(len as usize);
        Ok(true)
    }
}

fn disk(room: usize) -> Disk {
    Disk { room, ..Disk::default() }
}

fn on(disk: &Disk, settings: Settings) -> Capture {
    settings.begin(Box::new(disk.clone()), Format::Pcapng, "disk".to_owned()).expect("the head fits")
}

/// Data from the local side, one segment after the other.
fn segment(nth: u32, len: usize) -> Vec<u8> {
    let (local, remote): (SocketAddr, SocketAddr) =
        ("192.0.2.1:80".parse().unwrap(), "192.0.2.2:4000".parse().unwrap());
    let payload = vec![nth as u8; len];
    let mut template = SegmentTemplate::new(local, remote);
    template.seq = Seq(1_000) + nth * len as u32;
    template.flags = Flags::ACK;
    template.window = 1_000;
    template.payload = &payload;
    template.to_bytes()
}

fn feed(capture: &mut Capture, packets: u32, len: usize) {
    for nth in 0..packets {
        let at = Instant::from_nanos(u64::from(nth) * 1_001);
        capture.packet(at, Some(Direction::Outbound), &segment(nth, len), None);
    }
}

fn count(bytes: Vec<u8>) -> u64 {
    let mut reader = Reader::from_read(io::Cursor::new(bytes), "disk").expect("a capture");
    let mut records = 0;
    while let Some(record) = reader.next_record() {
        assert!(record.expect("a whole record").is_whole());
        records += 1;
    }
    records
}

#[test]
fn a_full_disk_ends_the_file_with_its_last_whole_record_wherever_it_is_full() {
    for own_thread in [false, true] {
        for room in (400..200_000).step_by(7_919) {
            let disk = disk(room);
            let mut capture = on(&disk, Settings::default().own_thread(own_thread));
            feed(&mut capture, 1_000, 300);
            let error = capture.close().expect_err("there is no room");
            let summary = error.summary.expect("it was begun");
            assert_eq!(summary.captured + summary.not_written, 1_000, "{error}");
            assert_eq!(count(disk.bytes.lock().unwrap().clone()), summary.captured, "{error}");
            assert!(error.to_string().contains(&format!("{} packets are kept", summary.captured)), "{error}");
            assert_eq!(capture.close().expect("the same summary and no error"), summary);
        }
    }
}

#[test]
fn a_disk_without_room_for_the_head_is_told_at_once() {
    let begun = Settings::default().begin(Box::new(disk(10)), Format::Pcapng, "disk".to_owned());
    let error = begun.expect_err("no room");
    assert!(error.to_string().starts_with("create the capture disk: "), "{error}");
    assert!(error.summary.is_none());
}

#[test]
fn a_reader_who_leaves_ends_the_capture_without_an_error() {
    let disk = Disk { is_pipe: true, ..disk(5_000) };
    let mut capture = on(&disk, Settings::default().own_thread(false));
    feed(&mut capture, 5, 300);
    capture.flush();
    assert!(!capture.is_done());
    feed(&mut capture, 100, 300);
    capture.flush();
    assert!(capture.is_done());
    let summary = capture.close().expect("no error");
    assert_eq!(summary.captured + summary.not_written, 105);
    assert!(summary.captured >= 5);
}

#[test]
fn with_a_thread_and_without_one_the_bytes_are_the_same() {
    let bytes = [false, true].map(|own_thread| {
        let disk = disk(usize::MAX);
        let mut capture = on(&disk, Settings::default().own_thread(own_thread).snaplen(100));
        feed(&mut capture, 5_000, 700);
        let summary = capture.close().expect("there is room");
        assert_eq!(summary, Summary { captured: 5_000, dropped: 0, not_written: 0 });
        disk.bytes.lock().unwrap().clone()
    });
    assert!(bytes[0] == bytes[1]);
}

#[test]
fn a_flush_is_seen_by_the_reader_of_a_stream() {
    let disk = disk(usize::MAX);
    let mut capture = on(&disk, Settings::default());
    feed(&mut capture, 3, 100);
    capture.flush();
    for _ in 0..10_000_000 {
        if count(disk.bytes.lock().unwrap().clone()) == 3 {
            return;
        }
        std::thread::yield_now();
    }
    panic!("three packets were flushed and do not come");
}

/// Takes nothing until it may.
struct Stuck(Arc<Mutex<()>>, bool);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if core::mem::replace(&mut self.1, true) {
            drop(self.0.lock());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_is_stuck_costs_packets_and_no_time() {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap();
    let settings = Settings::default().when_behind(WhenBehind::Drop);
    let mut capture = settings.stream(Stuck(Arc::clone(&gate), false), "stuck").expect("the head goes out");
    feed(&mut capture, 20_000, 5_000); // more than waits for a writer in a burst
    drop(closed);
    let summary = capture.close().expect("no error");
    assert!(summary.dropped > 0, "{summary:?}");
    assert_eq!(summary.captured + summary.dropped, 20_000);
}

#[test]
fn a_target_that_begins_late_gets_every_packet_though_each_was_flushed() {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap();
    let settings = Settings::default().when_behind(WhenBehind::Drop);
    let mut capture = settings.stream(Stuck(Arc::clone(&gate), false), "stuck").expect("the head goes out");
    // More batches than a burst may have, if each flush made one; far less than its bytes.
    for nth in 0..10_000 {
        let at = Instant::from_nanos(u64::from(nth) * 1_001);
        capture.packet(at, Some(Direction::Outbound), &segment(nth, 100), None);
        capture.flush();
    }
    assert!(!capture.is_flushed(), "the caller has to ask again");
    drop(closed);
    let summary = capture.close().expect("no error");
    assert_eq!(summary, Summary { captured: 10_000, dropped: 0, not_written: 0 });
}

#[test]
fn a_target_that_takes_nothing_is_given_up_with_the_number_of_packets_that_are_not_written() {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap();
    let settings = Settings::default().when_behind(WhenBehind::Drop);
    let mut capture = settings.stream(Stuck(Arc::clone(&gate), false), "stuck").expect("the head goes out");
    feed(&mut capture, 20_000, 5_000);
    let mut asked = 0;
    let go_on = |_| {
        asked += 1;
        asked < 10
    };
    let error = capture.close_while(go_on).expect_err("it is given up");
    let summary = error.summary.expect("it has begun");
    assert_eq!((asked, summary.captured), (10, 0));
    assert!(summary.dropped > 0 && summary.not_written + summary.dropped == 20_000, "{summary:?}");
    let expected =
        "write stuck: the data is not taken any more; 0 packets are written, 20000 are not (has the reader stopped?)";
    assert_eq!(error.to_string(), expected);
    assert_eq!(capture.close().expect("closed already"), summary);
    drop(closed);
}

#[test]
fn closing_goes_on_while_the_target_takes_something() {
    let gate = Arc::new(Mutex::new(()));
    let mut closed = Some(gate.lock().unwrap());
    let settings = Settings::default().when_behind(WhenBehind::Drop);
    let mut capture = settings.stream(Stuck(Arc::clone(&gate), false), "stuck").expect("the head goes out");
    feed(&mut capture, 5000, 5_000);
    let mut last = 0;
    let go_on = |written| {
        assert!(written >= last, "it counts the bytes");
        last = written;
        closed = None;
        std::thread::yield_now();
        true
    };
    let summary = capture.close_while(go_on).expect("no error");
    assert_eq!((summary.captured, summary.dropped, summary.not_written), (5000, 0, 0));
    let disk = disk(usize::MAX);
    let mut in_place = on(&disk, Settings::default().own_thread(false));
    feed(&mut in_place, 7, 100);
    assert_eq!(in_place.close_while(|_| false).expect("nothing is left to write").captured, 7);
}

#[test]
fn what_a_host_reports_behind_a_dropped_packet_is_dropped_with_it() {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap();
    let settings = Settings::default().when_behind(WhenBehind::Drop).comments(Comments::Full);
    let mut capture = settings.stream(Stuck(Arc::clone(&gate), false), "stuck").expect("the head goes out");
    let ends = ["192.0.2.1:80", "192.0.2.2:4000"].map(|end| end.parse::<SocketAddr>().unwrap());
    feed(&mut capture, 20_000, 5_000);
    let before = capture.batch.notes();
    for nth in 0..10_000 {
        feed(&mut capture, 1, 5_000);
        capture.numbers(ends[0], ends[1], Numbers { cwnd: Some(nth), ..Numbers::default() });
    }
    assert_eq!(capture.batch.notes(), before);
    drop(closed);
    // A host that only reports.
    let disk = disk(usize::MAX);
    let mut capture = on(&disk, Settings::default().comments(Comments::Full));
    for _ in 0..100_000 {
        capture.numbers(ends[0], ends[1], Numbers::default());
    }
    assert_eq!(capture.batch.notes(), super::writer::MOST_NOTES);
}

#[test]
fn the_count_that_was_asked_for_is_kept() {
    let disk = disk(usize::MAX);
    let mut capture = on(&disk, Settings::default().count(7));
    feed(&mut capture, 6, 100);
    assert!(!capture.is_done());
    feed(&mut capture, 100, 100);
    assert!(capture.is_done());
    assert_eq!(capture.close().expect("room").captured, 7);
}

#[test]
fn the_packet_is_found_in_frames_of_every_link_layer() {
    let packet = segment(0, 10);
    let padded: Vec<u8> = packet.iter().copied().chain([0; 6]).collect();
    let cases: &[(&str, u32, &[u8], Option<Direction>)] = &[
        ("null, little-endian", 0, &[2, 0, 0, 0], None),
        ("null, big-endian", 0, &[0, 0, 0, 2], None),
        ("Ethernet", 1, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0], None),
        ("VLAN", 1, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0, 0, 1, 8, 0], None),
        ("QinQ", 1, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 8, 0], None),
        ("PPP in HDLC framing", 9, &[0xff, 3, 0, 0x21], None),
        ("PPP", 9, &[0, 0x21], None),
        ("PPP, compressed", 9, &[0x21], None),
        ("raw, as BSD has it", 12, &[], None),
        ("raw", 101, &[], None),
        ("cooked, received", 113, &[0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0], Some(Direction::Inbound)),
        ("cooked, sent", 113, &[0, 4, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0], Some(Direction::Outbound)),
        ("IPv4", 228, &[], None),
        (
            "cooked 2, sent",
            276,
            &[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 4, 6, 0, 0, 0, 0, 0, 0, 0, 0],
            Some(Direction::Outbound),
        ),
    ];
    for (name, link_type, header, direction) in cases {
        let frame = [header, padded.as_slice()].concat();
        let found = link_layer::find(*link_type, &frame, frame.len() as u32);
        let (start, end) = found.packet.unwrap_or_else(|| panic!("{name}: no packet"));
        assert_eq!(frame[start..end], packet, "{name}");
        assert_eq!(found.original_len as usize, packet.len(), "{name}: the padding is no part of it");
        assert_eq!(found.direction, *direction, "{name}");
        // Cut anywhere it is the beginning of the packet or nothing, and the length on the wire stays.
        for len in 0..frame.len() {
            let cut = link_layer::find(*link_type, &frame[..len], frame.len() as u32);
            if let Some((start, end)) = cut.packet {
                assert!(packet.starts_with(&frame[start..end]), "{name} cut to {len}");
                let known = end - start >= 4;
                assert!(!known || cut.original_len as usize == packet.len(), "{name} cut to {len}");
            }
        }
    }
    let arp = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 6, 0, 1];
    let named = link_layer::find(1, &arp, 60).unread.expect("a name");
    assert_eq!(named.to_string(), "EtherType 0x0806 (ARP)");
    assert_eq!(link_layer::find(1, &arp, 60).packet, None);
    assert_eq!(link_layer::find(1, &arp, 60).original_len, 60);
}
