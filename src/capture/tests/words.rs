//! Words and tags that the runs of tests/files/capture.rs do not show.

use core::net::SocketAddr;

use super::{on, segment};
use crate::annotate::write_duration;
use crate::capture::{Capture, Comments, Numbers, Reader, Settings};
use crate::event::{DropReason, Event, Fate, Flip, HostEvent, HostId, LinkId, Observer, Phase, Reason, TimerKind};
use crate::segment::{Flags, Packet, SegmentTemplate, Seq};
use crate::time::{Duration, Instant};

/// The comment on each packet of a capture at host 0.
fn comments(settings: Settings, run: impl FnOnce(&mut Capture)) -> Vec<String> {
    let disk = super::disk(usize::MAX);
    let mut capture = on(&disk, settings.own_thread(false));
    run(&mut capture);
    capture.close().expect("room");
    let bytes = disk.bytes.lock().unwrap().clone();
    let mut reader = Reader::from_read(std::io::Cursor::new(bytes), "disk").expect("a capture");
    let mut comments = Vec::new();
    while let Some(record) = reader.next_record() {
        comments.push(record.expect("a record").comment.unwrap_or_default().to_owned());
    }
    comments
}

const HOST: HostId = HostId(0);

fn sent(packet: &Packet, fate: Fate) -> Event<'_> {
    Event::Sent { host: HOST, link: LinkId(0), packet, fate }
}

#[test]
fn a_timer_that_went_off_is_named_whether_it_is_told_of_before_or_after_the_packet() {
    let packet = Packet::new(segment(0, 100));
    let timer = Event::Host {
        host: HOST,
        event: HostEvent::Timer {
            local: "192.0.2.1:80".parse().unwrap(),
            remote: "192.0.2.2:4000".parse().unwrap(),
            timer: TimerKind::Retransmission,
        },
    };
    let at = |secs| Instant::from_secs(secs);
    let said = comments(Settings::default(), |capture| {
        capture.on_event(at(0), &sent(&packet, Fate::Drop(DropReason::QueueFull)));
        capture.on_event(at(1), &timer);
        capture.on_event(at(1), &sent(&packet, Fate::Corrupt(Flip { at: at(2), byte: 57, bit: 3 })));
        capture.on_event(at(3), &sent(&packet, Fate::Duplicate(at(4))));
        capture.on_event(at(3), &timer);
        capture.on_event(at(4), &sent(&packet, Fate::Reorder(at(5))));
    });
    let expected = [
        "data 1:101 [lost: queue-full]",
        "retransmission of 1:101 after RTO 1.0 s [corrupted: byte=57 bit=3]",
        "retransmission 2 of 1:101 after RTO 2.0 s [duplicated]",
        "retransmission 3 of 1:101 after 1.0 s [reordered]",
    ];
    assert_eq!(said, expected);
}

#[test]
fn only_packets_of_the_host_at_the_vantage_point_are_taken() {
    let packet = Packet::new(segment(0, 100));
    let said = comments(Settings::default().comments(Comments::None), |capture| {
        capture.on_event(Instant::EPOCH, &sent(&packet, Fate::Deliver(Instant::EPOCH)));
        let other =
            Event::Sent { host: HostId(1), link: LinkId(1), packet: &packet, fate: Fate::Deliver(Instant::EPOCH) };
        capture.on_event(Instant::EPOCH, &other);
        capture.on_event(Instant::EPOCH, &Event::Delivered { host: HostId(1), link: LinkId(0), packet: &packet });
        capture.on_event(Instant::EPOCH, &Event::Delivered { host: HOST, link: LinkId(1), packet: &packet });
    });
    assert_eq!(said, ["", ""], "one sent, one delivered, and no comments");
}

#[test]
fn what_was_changed_on_the_way_is_told_and_does_not_count() {
    let mut packet = Packet::new(segment(0, 100));
    packet.bytes[60] ^= 1;
    let said = comments(Settings::default(), |capture| {
        capture.on_event(Instant::EPOCH, &Event::Delivered { host: HOST, link: LinkId(1), packet: &packet });
        packet.bytes[60] ^= 1;
        capture.on_event(Instant::EPOCH, &Event::Delivered { host: HOST, link: LinkId(1), packet: &packet });
        packet.bytes.truncate(10);
        capture.on_event(Instant::EPOCH, &Event::Delivered { host: HOST, link: LinkId(1), packet: &packet });
    });
    let broken = "no packet: the IP header is cut off or its length is impossible";
    assert_eq!(said, ["wrong checksum: a link has changed the packet", "data 1:101", broken]);
}

#[test]
fn numbers_that_a_connection_tells_stand_in_full_comments() {
    let packet = Packet::new(segment(0, 100));
    let numbers = Numbers {
        srtt: Some(Duration::from_micros(40_100)),
        rttvar: None,
        rto: Some(Duration::from_secs(1)),
        cwnd: Some(14_480),
        ..Numbers::default()
    };
    let said = comments(Settings::default().comments(Comments::Full), |capture| {
        capture.numbers("192.0.2.1:80".parse().unwrap(), "192.0.2.2:4000".parse().unwrap(), numbers);
        capture.on_event(Instant::EPOCH, &sent(&packet, Fate::Deliver(Instant::EPOCH)));
    });
    let variables = "snd_una=1 snd_nxt=101 snd_wnd=0 srtt=40.1ms rto=1000ms cwnd=14480 flight_size=100";
    assert_eq!(said, [format!("data 1:101 [{variables}]")]);
}

#[test]
fn why_a_segment_was_sent_stands_in_full_comments_and_only_on_that_segment() {
    let packet = Packet::new(segment(0, 100));
    let ends: [SocketAddr; 2] = ["192.0.2.1:80", "192.0.2.2:4000"].map(|end| end.parse().unwrap());
    let numbers = |phase, reason| Event::Host {
        host: HOST,
        event: HostEvent::Numbers {
            local: ends[0],
            remote: ends[1],
            numbers: Numbers { pipe: Some(100), phase: Some(phase), reason: Some(reason), ..Numbers::default() },
        },
    };
    let run = |capture: &mut Capture| {
        let send = sent(&packet, Fate::Deliver(Instant::EPOCH));
        capture.on_event(Instant::EPOCH, &send);
        capture.on_event(Instant::EPOCH, &numbers(Phase::Open, Reason::New));
        capture.on_event(Instant::EPOCH, &send);
        capture.on_event(Instant::EPOCH, &numbers(Phase::Recovery, Reason::Rack));
        capture.on_event(Instant::EPOCH, &Event::Delivered { host: HOST, link: LinkId(1), packet: &packet });
        capture.on_event(Instant::EPOCH, &send);
    };
    let full = comments(Settings::default().comments(Comments::Full), run);
    let wire = "snd_una=1 snd_nxt=101 snd_wnd=0 flight_size=100 pipe=100";
    let again = "retransmission of 1:101";
    assert_eq!(full[0], format!("data 1:101 [{wire} phase=open reason=new]"));
    assert_eq!(full[1], format!("{again} [{wire} phase=recovery reason=rack]"));
    let wire = wire.trim_end_matches(" pipe=100");
    assert!(full[3].ends_with(&format!(" [{wire} phase=recovery]")), "nothing was told of this one: {}", full[3]);
    let brief = comments(Settings::default(), run);
    assert_eq!(brief[..2], ["data 1:101", again], "the wire does not show it");
}

#[test]
fn a_tail_loss_probe_starts_the_retransmission_timer_anew() {
    let packets = [segment(0, 100), segment(1, 100)].map(Packet::new);
    let timer = |timer| Event::Host {
        host: HOST,
        event: HostEvent::Timer {
            local: "192.0.2.1:80".parse().unwrap(),
            remote: "192.0.2.2:4000".parse().unwrap(),
            timer,
        },
    };
    let said = comments(Settings::default(), |capture| {
        let at = Instant::from_millis;
        let send = |n: usize| sent(&packets[n], Fate::Drop(DropReason::Loss));
        capture.on_event(at(0), &send(0));
        capture.on_event(at(50), &timer(TimerKind::Tlp));
        capture.on_event(at(50), &send(1));
        capture.on_event(at(250), &timer(TimerKind::Retransmission));
        capture.on_event(at(250), &send(0));
    });
    assert_eq!(said[2], "retransmission of 1:101 after RTO 200.0 ms [lost: loss]");
}

#[test]
fn keep_alives_and_resets_are_named() {
    let ends = ["192.0.2.1:80", "192.0.2.2:4000"].map(|end| end.parse().unwrap());
    let send = |capture: &mut Capture, from: usize, flags: Flags, seq: u32, ack: u32| {
        let mut template = SegmentTemplate::new(ends[from], ends[1 - from]);
        (template.flags, template.seq, template.ack, template.window) = (flags, Seq(seq), Seq(ack), 500);
        let packet = Packet::new(template.to_bytes());
        let delivered = Event::Delivered { host: HOST, link: LinkId(1), packet: &packet };
        let event = if from == 0 { sent(&packet, Fate::Deliver(Instant::EPOCH)) } else { delivered };
        capture.on_event(Instant::EPOCH, &event);
    };
    let said = comments(Settings::default(), |capture| {
        send(capture, 1, Flags::SYN, 10, 0);
        send(capture, 0, Flags::SYN | Flags::ACK, 70, 11);
        send(capture, 1, Flags::ACK, 11, 71);
        send(capture, 0, Flags::ACK, 70, 11);
        send(capture, 1, Flags::ACK, 11, 71);
        send(capture, 1, Flags::RST, 900_000, 0);
        send(capture, 1, Flags::SYN, 500, 0);
        send(capture, 1, Flags::RST, 11, 0);
        send(capture, 0, Flags::RST, 71, 0);
    });
    let expected = [
        "SYN: opens the connection, no options",
        "SYN|ACK: accepts the connection, no options",
        "ACK: completes the handshake",
        "keep-alive probe",
        "ACK of the keep-alive probe",
        "RST: outside the window, the receiver ignores it",
        "SYN while a connection is open on the same ports: a challenge ACK answers it (RFC 5961)",
        "RST: aborts the connection",
        "RST: the connection is closed already",
    ];
    assert_eq!(said, expected);
}

#[test]
fn durations_have_four_digits() {
    let cases = [(0, "0 us"), (85, "85 us"), (999, "999 us"), (1_000, "1.0 ms"), (204_000, "204.0 ms")];
    let larger = [(999_999, "1.0 s"), (1_204_000, "1.204 s"), (40_096, "40.1 ms"), (75_000_000, "75.0 s")];
    for (micros, expected) in cases.into_iter().chain(larger) {
        let mut text = String::new();
        write_duration(&mut text, Duration::from_micros(micros));
        assert_eq!(text, expected);
    }
}
