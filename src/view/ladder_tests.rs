//! Tests of the ladder: what is drawn, where it stands, what is folded.

use super::*;
use crate::app::{Listen, echo};
use crate::event::{Fate, HostEvent, LinkId};
use crate::link::{Fault, FaultAction};
use crate::segment::{Flags, Packet, SegmentTemplate, Seq};
use crate::sim::Sim;

/// Drops the first segment with data.
struct FirstData(bool);

impl Fault for FirstData {
    fn judge(&mut self, _: Instant, packet: &Packet) -> FaultAction {
        if packet.bytes.len() > 100 && !core::mem::replace(&mut self.0, true) {
            FaultAction::Drop
        } else {
            FaultAction::Pass
        }
    }
}

#[test]
fn a_lost_segment_is_marked_and_its_retransmission_is_named_and_marked() {
    let sim = Sim::seeded(3);
    let ladder = sim.observe(Ladder::new());
    let (client, server) = (sim.host("client", "192.0.2.2/24"), sim.host("server", "192.0.2.1/24"));
    sim.link(&client, &server, "delay=1ms").fault(&client, FirstData(false));
    ladder.borrow_mut().name_hosts([&client, &server].map(|host| (host.id(), host.name().to_owned())));
    let listen = Listen::on(server.address(), 7);
    server.spawn_daemon(async move |net| echo::server(net, listen).await);
    client.spawn(async move |net| echo::client(net, listen.addr, vec![1; 200]).await);
    sim.run_until_idle();
    let text = ladder.borrow().draw(&Style { width: 112, ..Style::default() });
    let line = |needle: &str| text.lines().find(|line| line.contains(needle)).unwrap_or_else(|| panic!("{text}"));
    assert!(line("✗ ").contains("FIN|PSH|ACK 1:202 ack 1 win 65408 (200)"), "{text}");
    assert!(text.contains("[lost: scripted]"), "{text}");
    let again = text.split_once("✗ ").expect("it is lost").1;
    assert!(again.contains("══ FIN|PSH|ACK 1:202 ack 1 (200) ═") && again.contains("retransmission of 1:201 and FIN"));
    assert!(line("ESTABLISHED").trim_start().starts_with("0.002"), "{text}");
    assert!(text.contains("TIME-WAIT") && text.contains("client 192.0.2.2:"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 112 && line == line.trim_end()), "{text}");
}

#[test]
fn without_names_and_states_a_ladder_still_shows_who_sent_what() {
    let mut ladder = Ladder::new();
    let [a, b] = ["192.0.2.1:1000", "192.0.2.2:80"].map(|addr| addr.parse().expect("an address"));
    let packet = Packet::new(SegmentTemplate { flags: Flags::RST, ..SegmentTemplate::new(a, b) }.to_bytes());
    let (fate, link) = (Fate::Deliver(Instant::from_secs(1)), LinkId(0));
    ladder.on_event(Instant::EPOCH, &Event::Sent { host: HostId(4), link, packet: &packet, fate });
    let other = Packet::new(vec![0x45]);
    ladder.on_event(Instant::EPOCH, &Event::Sent { host: HostId(4), link, packet: &other, fate });
    let text = ladder.to_string();
    assert!(text.contains("host 4 192.0.2.1:1000") && text.contains("192.0.2.2:80\n"), "{text}");
    assert!(text.contains("│── RST 1"), "{text}");
    let outside =
        "\noutside the connections:\n  0.000000000 no packet: the IP header is cut off or its length is impossible\n";
    assert!(text.ends_with(outside), "{text}");
}

#[test]
fn timers_and_phases_of_recovery_stand_beside_the_arrows_in_plain_words() {
    let mut ladder = Ladder::new();
    let [local, remote] = ["192.0.2.1:1000", "192.0.2.2:80"].map(|addr| addr.parse().expect("an address"));
    let mut template = SegmentTemplate { flags: Flags::ACK, ..SegmentTemplate::new(local, remote) };
    template.payload = b"x";
    let packet = Packet::new(template.to_bytes());
    let fate = Fate::Deliver(Instant::EPOCH);
    ladder.on_event(Instant::EPOCH, &Event::Sent { host: HostId(0), link: LinkId(0), packet: &packet, fate });
    let mut at = 204;
    let mut tell = |event| {
        ladder.on_event(Instant::from_millis(at), &Event::Host { host: HostId(0), event });
        at += 1;
    };
    for timer in TimerKind::ALL.into_iter().filter(|timer| *timer != TimerKind::SynAck) {
        tell(HostEvent::Timer { local, remote, timer });
    }
    let (open, disorder, recovery, loss) = (Phase::Open, Phase::Disorder, Phase::Recovery, Phase::Loss);
    let phases = [
        (open, disorder, false),
        (disorder, recovery, false),
        (recovery, open, false),
        (open, loss, false),
        (loss, open, true),
        (disorder, open, false),
    ];
    for (from, to, undone) in phases {
        tell(HostEvent::Recovery { local, remote, from, to, undone });
    }
    let shown = |text: &str| {
        let lines: Vec<_> = text.lines().skip(3).filter_map(|line| line.split('│').nth(1)).collect();
        lines.iter().map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    let expected = [
        "RTO 204.0 ms",
        "no answer for too long",
        "keep-alive timer",
        "FIN-WAIT-2 has reached its time limit",
        "2 MSL have passed",
        "the time of SO_LINGER has passed",
        "delayed ACK",
        "RACK: the reordering window has passed",
        "tail loss probe",
        "persist timer: zero-window probe",
        "the time of TCP_CORK has passed",
        "path MTU probe",
        "disorder: a segment may be missing",
        "fast recovery begins",
        "recovery ends",
        "recovery after the RTO begins",
        "undone: the loss was spurious",
        "disorder ends",
    ];
    assert_eq!(shown(&ladder.draw(&Style { all: true, ..Style::default() })), expected);
    // What happens with every few segments and loses nothing is left out.
    let often = ["delayed ACK", "disorder: a segment may be missing", "disorder ends"];
    let brief: Vec<_> = expected.into_iter().filter(|text| !often.contains(text)).collect();
    assert_eq!(shown(&ladder.draw(&Style::default())), brief);
}

/// Data in order, so many segments.
fn run_of(count: u32) -> Ladder {
    let mut ladder = Ladder::new();
    let [a, b] = ["192.0.2.1:1000", "192.0.2.2:80"].map(|addr| addr.parse().expect("an address"));
    for n in 0..count {
        let mut template = SegmentTemplate::new(a, b);
        (template.flags, template.seq, template.window, template.payload) = (Flags::ACK, Seq(n), 9, b"x");
        let packet = Packet::new(template.to_bytes());
        let fate = Fate::Deliver(Instant::EPOCH);
        let event = Event::Sent { host: HostId(0), link: LinkId(0), packet: &packet, fate };
        ladder.on_event(Instant::from_millis(n.into()), &event);
    }
    ladder
}

#[test]
fn the_middle_of_a_long_run_is_folded_and_all_opens_the_fold() {
    let arrows = |text: &str| text.matches("── ACK").count();
    let all = Style { all: true, ..Style::default() };
    // Six at the beginning, four at the end, and four between them are the least that is folded.
    for (count, drawn) in [(1, 1), (13, 13), (14, 10), (15, 10), (100, 10)] {
        let ladder = run_of(count);
        let text = ladder.to_string();
        assert_eq!(arrows(&text), drawn, "{count}: {text}");
        let said = format!("{} segments with {} bytes of data", count as usize - drawn, count as usize - drawn);
        assert_eq!(text.contains(&said), count as usize > drawn, "{count}: {text}");
        assert_eq!(text.contains("--all"), count as usize > drawn, "{count}: {text}");
        let text = ladder.draw(&all);
        assert!(arrows(&text) == count as usize && !text.contains("--all"), "{text}");
    }
}

#[test]
fn what_the_link_does_is_the_head_of_the_arrow() {
    let heads = |fate: Fate, ascii: bool| {
        let mut ladder = Ladder::new();
        let [a, b] = ["192.0.2.1:1000", "192.0.2.2:80"].map(|addr| addr.parse().expect("an address"));
        let packet = Packet::new(SegmentTemplate { flags: Flags::SYN, ..SegmentTemplate::new(a, b) }.to_bytes());
        ladder.on_event(Instant::EPOCH, &Event::Sent { host: HostId(0), link: LinkId(0), packet: &packet, fate });
        let text = ladder.draw(&Style { ascii, ..Style::default() });
        let line =
            text.lines().find(|line| line.contains(" SYN ")).expect("an arrow").trim_end_matches(['│', '|', ' ']);
        line.chars().next_back().expect("a head")
    };
    let at = Instant::EPOCH;
    let flip = crate::event::Flip { at, byte: 0, bit: 0 };
    let cases = [
        (Fate::Deliver(at), '→', '>'),
        (Fate::Drop(DropReason::Loss), '✗', 'X'),
        (Fate::Duplicate(at), '↠', '>'),
        (Fate::Reorder(at), '⇢', '>'),
        (Fate::Overtake(at), '⇉', '>'),
        (Fate::Corrupt(flip), '≁', '~'),
    ];
    for (fate, head, plain) in cases {
        assert_eq!((heads(fate, false), heads(fate, true)), (head, plain), "{fate:?}");
    }
}
