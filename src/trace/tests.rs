//! Tests of the model, from events and from records.

use super::*;
use crate::event::{Event, Fate, HostEvent, Numbers, Observer, Reason};
use crate::segment::{Packet, SegmentTemplate, Seq};

const SYN_ACK: Flags = Flags(0x12);

fn ends() -> [SocketAddr; 2] {
    ["192.0.2.1:1000", "192.0.2.2:80"].map(|end| end.parse().expect("an address"))
}

/// A segment of a side: `(seq, ack, bytes of data)`.
fn segment(side: usize, flags: Flags, (seq, ack, len): (u32, u32, usize), number: u64) -> Packet {
    let payload = vec![b'x'; len];
    let mut template = SegmentTemplate::new(ends()[side], ends()[1 - side]);
    (template.flags, template.seq, template.ack) = (flags, Seq(seq), Seq(ack));
    (template.window, template.payload) = (1000, &payload);
    let mut packet = Packet::new(template.to_bytes());
    packet.meta.id = PacketId(number);
    packet
}

fn sent(trace: &mut Trace, at: Instant, side: u32, packet: &Packet, fate: Fate) {
    trace.on_event(at, &Event::Sent { host: HostId(side), link: LinkId(side), packet, fate });
}

fn delivered(trace: &mut Trace, at: Instant, side: u32, packet: &Packet) {
    trace.on_event(at, &Event::Delivered { host: HostId(side), link: LinkId(1 - side), packet });
}

fn segments(trace: &mut Trace) -> Vec<SegmentStep> {
    trace.settle();
    let steps = core::iter::from_fn(|| trace.next_step());
    steps
        .filter_map(|step| match step.content {
            Content::Segment(segment) => Some(*segment),
            _ => None,
        })
        .collect()
}

#[test]
fn duplicate_acks_in_flight_are_not_counted_by_the_sender() {
    let mut trace = Trace::new();
    let at = Instant::from_millis;
    let deliver = |millis| Fate::Deliver(at(millis));
    let syn = segment(0, Flags::SYN, (0, 0, 0), 1);
    let answer = segment(1, SYN_ACK, (0, 1, 0), 2);
    sent(&mut trace, at(0), 0, &syn, deliver(10));
    delivered(&mut trace, at(10), 1, &syn);
    sent(&mut trace, at(10), 1, &answer, deliver(20));
    delivered(&mut trace, at(20), 0, &answer);
    let data: Vec<_> = (0..6).map(|n| segment(0, Flags::ACK, (1 + 10 * n, 1, 10), 3 + u64::from(n))).collect();
    for packet in &data {
        sent(&mut trace, at(20), 0, packet, deliver(30));
    }
    let acks: Vec<_> = (0..7).map(|n| segment(1, Flags::ACK, (1, 11, 0), 20 + n)).collect();
    for ack in &acks {
        sent(&mut trace, at(30), 1, ack, deliver(40));
    }
    // Four of the seven have arrived: the first one and three duplicates.
    for ack in &acks[..4] {
        delivered(&mut trace, at(40), 0, ack);
    }
    let again = segment(0, Flags::ACK, (11, 1, 10), 40);
    sent(&mut trace, at(40), 0, &again, deliver(50));
    let steps = segments(&mut trace);
    assert_eq!(steps.last().map(|step| &*step.words), Some("fast retransmission of 11:21 after 3 duplicate ACKs"));
    assert_eq!(steps.len(), 2 + 6 + 7 + 1);
    assert_eq!(trace.flows().len(), 1, "both hosts have observed one connection");
    let account = &trace.flows()[0].account;
    assert_eq!((account.segments, account.bytes), ([8, 8], [70, 0]));
}

#[test]
fn a_timer_that_is_told_of_behind_the_packet_is_named_on_it() {
    let mut trace = Trace::new();
    let at = Instant::from_secs;
    let syn = segment(0, Flags::SYN, (0, 0, 0), 1);
    let lost = Fate::Drop(DropReason::Loss);
    sent(&mut trace, at(0), 0, &syn, lost);
    sent(&mut trace, at(1), 0, &syn, lost);
    let [local, remote] = ends();
    let timer = HostEvent::Timer { local, remote, timer: TimerKind::Retransmission };
    trace.on_event(at(1), &Event::LinkDropped { link: LinkId(0), packet: &syn, why: DropReason::Loss });
    trace.on_event(at(1), &Event::Host { host: HostId(0), event: timer });
    let steps = segments(&mut trace);
    assert_eq!(steps[1].words, "SYN, retransmission 1 after RTO 1.0 s");
    assert_eq!(steps[1].tag, Some(Tag::Lost(DropReason::Loss)));
    assert_eq!(steps.len(), 2);
}

#[test]
fn what_a_host_tells_of_its_recovery_stands_before_the_segment_that_it_is_about() {
    let mut trace = Trace::new();
    let at = Instant::from_millis;
    let [local, remote] = ends();
    let tell = |trace: &mut Trace, millis, event| trace.on_event(at(millis), &Event::Host { host: HostId(0), event });
    let lost = Fate::Drop(DropReason::Loss);
    let data = segment(0, Flags::ACK, (1, 1, 10), 1);
    sent(&mut trace, at(0), 0, &data, lost);
    let again = segment(0, Flags::ACK, (1, 1, 10), 2);
    sent(&mut trace, at(204), 0, &again, lost);
    let timer = |timer| HostEvent::Timer { local, remote, timer };
    tell(&mut trace, 204, timer(TimerKind::Retransmission));
    let (from, to, undone) = (Phase::Open, Phase::Loss, false);
    tell(&mut trace, 204, HostEvent::Recovery { local, remote, from, to, undone });
    let numbers = Numbers { phase: Some(to), reason: Some(Reason::Rto), ..Numbers::default() };
    tell(&mut trace, 204, HostEvent::Numbers { local, remote, numbers });
    tell(&mut trace, 300, timer(TimerKind::DelayedAck));
    trace.settle();
    let steps: Vec<_> = core::iter::from_fn(|| trace.next_step()).map(|step| step.content).collect();
    assert!(matches!(&steps[0], Content::Segment(_)));
    let ran = Some(Duration::from_millis(204));
    let side = Side::Local;
    assert!(
        matches!(steps[1], Content::Timer { side: Side::Local, timer: TimerKind::Retransmission, ran: r } if r == ran)
    );
    assert!(matches!(steps[2], Content::Recovery { side: s, to: Phase::Loss, undone: false, .. } if s == side));
    assert!(matches!(&steps[3], Content::Sender(told) if told.variables.reason == Some(Reason::Rto)));
    let Content::Segment(again) = &steps[4] else { panic!("{steps:?}") };
    assert_eq!(again.words, "retransmission of 1:11 after RTO 204.0 ms");
    let told = again.variables.map(|variables| (variables.phase, variables.reason));
    assert_eq!(told, Some((Some(Phase::Loss), Some(Reason::Rto))));
    assert!(matches!(steps[5], Content::Timer { timer: TimerKind::DelayedAck, ran: None, .. }));
    assert_eq!(steps.len(), 6);
}

#[test]
fn what_a_router_does_to_a_packet_stands_on_its_step_and_the_router_is_no_end() {
    let mut trace = Trace::new();
    let (at, router) = (Instant::EPOCH, HostId(7));
    let syn = segment(0, Flags::SYN, (0, 0, 0), 1);
    sent(&mut trace, at, 0, &syn, Fate::Deliver(at));
    trace.on_event(at, &Event::Delivered { host: router, link: LinkId(0), packet: &syn });
    let fate = Fate::Drop(DropReason::QueueFull);
    trace.on_event(at, &Event::Forwarded { host: router, link: LinkId(2), packet: &syn, fate });
    let step = &segments(&mut trace)[0];
    assert_eq!(step.behind, Some((router, Tag::Lost(DropReason::QueueFull))));
    assert_eq!(trace.flows()[0].hosts, [Some(HostId(0)), None]);
}

#[test]
fn a_refused_segment_belongs_to_the_host_that_it_reached() {
    let mut trace = Trace::new();
    let at = Instant::EPOCH;
    let syn = segment(0, Flags::SYN, (0, 0, 0), 1);
    sent(&mut trace, at, 0, &syn, Fate::Deliver(at));
    delivered(&mut trace, at, 1, &syn);
    trace.on_event(at, &Event::StackDropped { host: HostId(1), packet: &syn, why: DropReason::NoSocket });
    trace.settle();
    let steps: Vec<_> = core::iter::from_fn(|| trace.next_step()).collect();
    assert!(matches!(&steps[0].content, Content::Segment(segment) if segment.tag.is_none()), "the SYN arrives");
    let refused = |content: &Content| {
        matches!(content, Content::Refused { side: Some(Side::Remote), packet: 1, why: DropReason::NoSocket })
    };
    assert!(refused(&steps[1].content) && steps.len() == 2, "{steps:?}");
}

#[test]
fn no_more_steps_than_the_limit_are_kept_and_the_rest_is_counted() {
    let mut trace = Trace::with_limit(3);
    let syn = segment(0, Flags::SYN, (0, 0, 0), 1);
    for _ in 0..10 {
        sent(&mut trace, Instant::EPOCH, 0, &syn, Fate::Deliver(Instant::EPOCH));
    }
    trace.settle();
    assert_eq!(trace.steps().count(), 3);
    assert!(trace.is_full() && trace.left_out() > 0);
    assert!(trace.by_packet.len() <= 3);
    let mut unlimited = Trace::with_limit(usize::MAX);
    sent(&mut unlimited, Instant::EPOCH, 0, &syn, Fate::Deliver(Instant::EPOCH));
    assert_eq!((segments(&mut unlimited).len(), unlimited.left_out(), unlimited.by_packet.len()), (1, 0, 0));
}

/// A segment between the server and a client of this number.
fn from_client(number: u32, to_server: bool, flags: Flags, (seq, ack): (u32, u32)) -> Packet {
    let client = SocketAddr::from(((0x0a00_0000 + number).to_be_bytes(), 1000));
    let (src, dst) = if to_server { (client, ends()[1]) } else { (ends()[1], client) };
    let mut template = SegmentTemplate::new(src, dst);
    (template.flags, template.seq, template.ack) = (flags, Seq(seq), Seq(ack));
    Packet::new(template.to_bytes())
}

#[test]
fn of_many_half_open_flows_some_thousands_are_kept_and_of_the_others_all() {
    let mut trace = Trace::of_flows();
    let at = Instant::EPOCH;
    let send = |trace: &mut Trace, to_server: bool, packet: &Packet| {
        let host = u32::from(!to_server);
        sent(trace, at, host, packet, Fate::Deliver(at));
        delivered(trace, at, 1 - host, packet);
    };
    let whole = |trace: &mut Trace, number| {
        send(trace, true, &from_client(number, true, Flags::SYN, (0, 0)));
        send(trace, false, &from_client(number, false, SYN_ACK, (0, 1)));
        send(trace, true, &from_client(number, true, Flags::ACK, (1, 1)));
    };
    whole(&mut trace, 0);
    for number in 1..=50_000 {
        send(&mut trace, true, &from_client(number, true, Flags::SYN, (0, 0)));
    }
    // The answer to one that was forgotten begins no flow. Another one goes on, and one is new.
    send(&mut trace, false, &from_client(2, false, SYN_ACK, (0, 1)));
    send(&mut trace, true, &from_client(1, true, Flags::ACK, (1, 1)));
    send(&mut trace, false, &from_client(1, false, Flags::ACK, (1, 1)));
    whole(&mut trace, 60_000);
    trace.settle();
    assert!(trace.flows().len() < 20_000, "{}", trace.flows().len());
    let open = trace.flows().iter().filter(|flow| !flow.account.is_half_open()).count();
    assert_eq!(open, 3);
    let half_open = trace.flows().len() - open;
    assert_eq!(half_open as u64 + trace.forgotten_flows(), 50_000);
    assert_eq!(trace.flow(0).map(|flow| flow.number), Some(0));
    assert!(trace.flow(1).is_none());
    let listed: Vec<_> = crate::view::listed_flows(&trace).map(|flow| flow.number).collect();
    assert_eq!(listed.len(), 1003);
    assert_eq!(crate::view::unlisted_flows(&trace), "49,000 never finished their handshake and are not listed\n");
}

#[cfg(feature = "capture")]
mod records {
    use super::*;
    use crate::capture::Record;
    use crate::segment::Timestamps;
    use crate::view::{LadderWriter, Style};

    fn record(number: u64, packet: &[u8], original_len: u32) -> Record<'_> {
        Record {
            number,
            at: Instant::from_millis(number),
            packet: Some(packet),
            unread: None,
            original_len,
            frame_len: original_len,
            frame_captured_len: packet.len() as u32,
            link_type: 101,
            direction: None,
            comment: None,
        }
    }

    fn syn() -> Vec<u8> {
        let [src, dst] = ends();
        let mut template = SegmentTemplate { flags: Flags::SYN, ..SegmentTemplate::new(src, dst) };
        template.options.mss = Some(1460);
        template.options.sack_permitted = true;
        template.options.ts = Some(Timestamps { ts_val: 1, ts_ecr: 0 });
        template.options.wscale = Some(7);
        template.to_bytes()
    }

    fn drawn(trace: &mut Trace) -> String {
        let mut text = String::new();
        let mut ladder = LadderWriter::new(Style::default());
        while let Some(step) = trace.next_step() {
            ladder.step(trace, step, &mut text);
        }
        ladder.finish(trace, &mut text);
        text
    }

    #[test]
    fn a_segment_that_was_cut_off_anywhere_is_drawn_as_far_as_it_is_there() {
        let packet = syn();
        for kept in 0..packet.len() {
            let mut trace = Trace::new();
            trace.record(&record(1, &packet[..kept], packet.len() as u32), false);
            let text = drawn(&mut trace);
            assert_eq!(text.contains("── SYN 0:1"), kept >= 34, "{kept}: {text}");
            assert_eq!(text.contains('…'), kept >= 34, "{kept}: {text}");
        }
    }

    #[test]
    fn a_length_that_was_left_to_hardware_is_the_one_of_the_record() {
        let mut packet = syn();
        packet[2..4].fill(0);
        let mut trace = Trace::new();
        trace.record(&record(1, &packet, packet.len() as u32), false);
        let steps = segments(&mut trace);
        assert_eq!((steps.len(), steps[0].len), (1, packet.len() as u32));
    }

    #[test]
    fn time_may_run_backwards() {
        let packet = syn();
        let mut trace = Trace::new();
        trace.record(&record(9, &packet, packet.len() as u32), false);
        trace.record(&record(4, &packet, packet.len() as u32), false);
        let text = drawn(&mut trace);
        assert!(text.lines().any(|line| line.starts_with(" -0.005000000   #0 ")), "{text}");
    }

    #[test]
    fn a_tag_of_ours_is_believed_and_one_of_others_is_only_text() {
        let packet = syn();
        let comment = "SYN: opens the connection [lost: scripted]";
        for ours in [true, false] {
            let mut trace = Trace::new();
            trace.record(&Record { comment: Some(comment), ..record(1, &packet, packet.len() as u32) }, ours);
            let step = &segments(&mut trace)[0];
            assert_eq!(step.tag.is_some(), ours);
            assert_eq!(step.words == comment, !ours);
            assert_eq!(step.comment.as_deref(), Some(comment));
        }
    }
}
