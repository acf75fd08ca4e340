//! The ladder of a run: time runs down, a host stands on each side, an arrow is a segment.
//!
//! ```text
//!                            client 192.0.2.2:49152                                     server 192.0.2.1:80
//!    0.000000000 SYN-SENT     │── SYN 0:1 win 65535 <mss 1460,sackOK> ──────────────────→│
//!                             │   SYN: opens the connection, offers MSS 1460, SACK       │
//!    0.010000000              │                                                          │ SYN-RECEIVED
//! ```
//!
//! A [`Ladder`] is an observer: show it a run, then print it. Each connection has a ladder of its own, with the host
//! that sent first on the left. An arrow stands at the instant at which its segment is sent; a state stands where it
//! begins, as its host tells it, and holds until the next one. Sequence numbers count from the initial one of their
//! side, `start:end` as tcpdump writes them. Below the arrow stands what a capture would say of the packet, and whether
//! a host did not want it. [`super::Trace`] draws the same from a capture.

use core::fmt;
use core::net::SocketAddr;

use super::row::{Arrow, Body, Page, Row, Shown, describe};
use crate::capture::Narrator;
use crate::conversation::Side;
use crate::event::{ChannelState, DropReason, Event, Fate, HostEvent, HostId, Observer, State};
use crate::segment::{IpView, Packet, PacketId, Segment};
use crate::time::Instant;

/// A host that has not sent anything.
const UNSEEN: HostId = HostId(u32::MAX);

/// Draws the connections of a run.
#[derive(Default)]
pub struct Ladder {
    names: Vec<(HostId, String)>,
    narrator: Narrator,
    connections: Vec<Connection>,
    /// Packets that are no TCP segments.
    others: Vec<Step>,
}

/// One connection: left is the host that sent first.
struct Connection {
    ends: [(HostId, SocketAddr); 2],
    steps: Vec<Step>,
}

/// A row, and the packet on it.
struct Step {
    at: Instant,
    id: Option<PacketId>,
    row: Row,
}

impl Ladder {
    /// A ladder of nothing yet; hosts are named by their numbers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names hosts.
    pub fn name_hosts(&mut self, names: impl IntoIterator<Item = (HostId, String)>) {
        self.names.extend(names);
    }

    /// The ladder with escape sequences for a terminal.
    pub fn in_color(&self) -> String {
        self.draw(Page { color: true, numbers: false })
    }

    fn name(&self, host: HostId) -> String {
        let known = self.names.iter().find(|(id, _)| *id == host);
        known.map_or_else(|| format!("host {}", host.0), |(_, name)| name.clone())
    }

    fn sent(&mut self, at: Instant, host: HostId, packet: &Packet, fate: Fate) {
        let id = Some(packet.meta.id);
        let parsed = IpView::parse(&packet.bytes);
        let Some(segment) = parsed.as_ref().ok().and_then(|ip| Segment::parse(ip).ok()) else {
            let told = self.narrator.tell(at, Side::Local, &packet.bytes, false, Some(fate));
            let ends = parsed.map_or(String::new(), |ip| format!("{} → {}: ", ip.src, ip.dst));
            let row = Row { at: nanos(at), body: Body::Other(format!("{ends}{}", told.text)), ..Row::default() };
            self.others.push(Step { at, id, row });
            return;
        };
        let number = self.connection(host, segment.src, segment.dst);
        let connection = &mut self.connections[number];
        let from = usize::from(segment.src != connection.ends[0].1);
        connection.ends[from].0 = host;
        let side = if from == 0 { Side::Local } else { Side::Remote };
        let told = self.narrator.tell(at, side, &packet.bytes, false, Some(fate));
        let text = describe(&segment, side, &told, false);
        connection.sent(at, packet.meta.id, Arrow { from, text, fate: Some(fate) }, told.text.to_owned());
    }

    /// The number of the connection between two ends, `own` at `host`; a new one if they are not known.
    fn connection(&mut self, host: HostId, own: SocketAddr, other: SocketAddr) -> usize {
        let joins = |connection: &Connection| {
            let [left, right] = connection.ends.map(|(_, addr)| addr);
            [(left, right), (right, left)].contains(&(own, other))
        };
        self.connections.iter().position(joins).unwrap_or_else(|| {
            // The other host shows itself when it answers.
            self.connections.push(Connection { ends: [(host, own), (UNSEEN, other)], steps: Vec::new() });
            self.connections.len() - 1
        })
    }

    /// The row of a packet, if it is drawn.
    fn row_of(&mut self, id: PacketId) -> Option<&mut Row> {
        let steps = self.connections.iter_mut().flat_map(|connection| connection.steps.iter_mut().rev());
        steps.chain(&mut self.others).find(|step| step.id == Some(id)).map(|step| &mut step.row)
    }

    fn draw(&self, page: Page) -> String {
        let mut out = String::new();
        for connection in &self.connections {
            if !out.is_empty() {
                out.push('\n');
            }
            let ends = connection.ends.map(|(host, addr)| match host {
                UNSEEN => addr.to_string(),
                host => format!("{} {addr}", self.name(host)),
            });
            page.heading(&mut out, "", [&ends[0], &ends[1]]);
            for step in &connection.steps {
                page.row(&mut out, &step.row);
            }
        }
        if !self.others.is_empty() {
            out.push_str(if out.is_empty() { "not TCP:\n" } else { "\nnot TCP:\n" });
        }
        for step in &self.others {
            page.row(&mut out, &step.row);
        }
        out
    }
}

impl Connection {
    fn sent(&mut self, at: Instant, id: PacketId, arrow: Arrow, comment: String) {
        let other = 1 - arrow.from;
        let (id, body, comments) = (Some(id), Body::Arrow(arrow), vec![comment]);
        // States that this host came to at this instant belong to what it sends.
        match self
            .steps
            .last_mut()
            .filter(|step| step.at == at && step.id.is_none() && step.row.states[other].is_none())
        {
            Some(step) => (step.id, step.row.body, step.row.comments) = (id, body, comments),
            None => self.steps.push(Step { at, id, row: Row { at: nanos(at), body, comments, ..Row::default() } }),
        }
    }

    fn state(&mut self, at: Instant, end: usize, to: State) {
        let starts_there = |row: &Row| !matches!(&row.body, Body::Arrow(arrow) if arrow.from != end);
        let fits = |step: &&mut Step| step.at == at && step.row.states[end].is_none() && starts_there(&step.row);
        let shown = Some(Shown(Some(to)));
        if let Some(step) = self.steps.last_mut().filter(fits) {
            step.row.states[end] = shown;
        } else {
            let mut row = Row { at: nanos(at), ..Row::default() };
            row.states[end] = shown;
            self.steps.push(Step { at, id: None, row });
        }
    }
}

/// Nanoseconds since the epoch, where virtual time begins.
fn nanos(at: Instant) -> i64 {
    i64::try_from(at.as_nanos()).unwrap_or(i64::MAX)
}

impl Observer for Ladder {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        match *event {
            Event::Sent { host, packet, fate, .. } => self.sent(at, host, packet, fate),
            // What a router sends on is drawn already; what its link does to it is not.
            Event::Forwarded { host, packet, fate, .. } if !matches!(fate, Fate::Deliver(_)) => {
                let note = format!("behind {}: {}", self.name(host), Narrator::fate_words(fate));
                if let Some(row) = self.row_of(packet.meta.id) {
                    row.comments.push(note);
                    if let Body::Arrow(arrow) = &mut row.body {
                        arrow.fate = Some(fate);
                    }
                }
            }
            Event::StackDropped { host, packet, why } => {
                let note = format!("{} dropped it: {}", self.name(host), reason(why));
                let is_end = |connection: &Connection| connection.ends.iter().any(|(end, _)| *end == host);
                let on_the_way = !self.connections.iter().any(is_end);
                if let Some(row) = self.row_of(packet.meta.id) {
                    row.comments.push(note);
                    if let (true, Body::Arrow(arrow)) = (on_the_way, &mut row.body) {
                        arrow.fate = Some(Fate::Drop(why));
                    }
                }
            }
            Event::Host { host, event: HostEvent::State { local, remote, to, .. } } => {
                let number = self.connection(host, local, remote);
                let connection = &mut self.connections[number];
                connection.state(at, usize::from(local != connection.ends[0].1), to);
            }
            _ => {}
        }
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.draw(Page::default()))
    }
}

impl fmt::Debug for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ladder({} connections)", self.connections.len())
    }
}

/// A reason in words.
fn reason(why: DropReason) -> String {
    match why {
        DropReason::Loss => "lost on the link".to_owned(),
        DropReason::Fault => "a scripted fault".to_owned(),
        DropReason::QueueFull => "the queue of the link is full".to_owned(),
        DropReason::BurstLoss(ChannelState::Good) => "lost on the link, Gilbert–Elliott, good state".to_owned(),
        DropReason::BurstLoss(ChannelState::Bad) => "lost on the link, Gilbert–Elliott, bad state".to_owned(),
        DropReason::LinkDown { until } => format!("the link is down until {} s", until.as_secs_f64()),
        DropReason::TooBig => "larger than the link's MTU".to_owned(),
        DropReason::NoRoute => "no route".to_owned(),
        DropReason::HostUnreachable => "nobody has that address".to_owned(),
        DropReason::TtlExceeded => "its TTL is over".to_owned(),
        DropReason::Checksum => "wrong checksum".to_owned(),
        DropReason::SynQueueFull => "the SYN queue is full".to_owned(),
        DropReason::AcceptQueueFull => "the accept queue is full".to_owned(),
        DropReason::NoSocket => "no socket".to_owned(),
        DropReason::TimeWait => "in TIME-WAIT".to_owned(),
        DropReason::Rule(rule) => format!("the guard, rule {rule:?}"),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Listen, echo};
    use crate::link::{Fault, Verdict};
    use crate::segment::Flags;
    use crate::sim::Sim;

    /// Takes the first segment with data.
    struct FirstData(bool);

    impl Fault for FirstData {
        fn judge(&mut self, _: Instant, packet: &Packet) -> Verdict {
            if packet.bytes.len() > 100 && !core::mem::replace(&mut self.0, true) {
                Verdict::Drop
            } else {
                Verdict::Pass
            }
        }
    }

    #[test]
    fn a_lost_segment_is_marked_and_its_retransmission_is_named() {
        let sim = Sim::seeded(3);
        let ladder = sim.observe(Ladder::new());
        let (client, server) = (sim.host("client", "192.0.2.2/24"), sim.host("server", "192.0.2.1/24"));
        sim.link(&client, &server, "delay=1ms").fault(&client, FirstData(false));
        ladder.borrow_mut().name_hosts([&client, &server].map(|host| (host.id(), host.name().to_owned())));
        let listen = Listen::on(server.address(), 7);
        server.spawn_daemon(async move |net| echo::server(net, listen).await);
        client.spawn(async move |net| echo::client(net, listen.addr, vec![1; 200]).await);
        sim.run_until_idle();
        let text = ladder.borrow().to_string();
        let line = |needle: &str| text.lines().find(|line| line.contains(needle)).unwrap_or_else(|| panic!("{text}"));
        assert!(line("✗│").contains("FIN|ACK 1:202 ack 1 (200)"), "{text}");
        let behind = |needle: &str| text.lines().skip_while(|line| !line.contains(needle)).nth(1).expect("a comment");
        assert!(behind("✗│").ends_with("taken from the    │"), "{text}");
        let again = text.split_once("✗│").expect("it is lost").1;
        assert!(again.contains("1:202 ack 1 (200) ─") && again.contains("retransmission of 1:201 and FIN"), "{text}");
        assert!(line("ESTABLISHED").trim_start().starts_with("0.002"), "{text}");
        assert!(text.contains("TIME-WAIT"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 112 && line == line.trim_end()), "{text}");
    }

    #[test]
    fn without_names_and_states_a_ladder_still_shows_who_sent_what() {
        let mut ladder = Ladder::new();
        let [a, b] = ["192.0.2.1:1000", "192.0.2.2:80"].map(|addr| addr.parse().expect("an address"));
        let mut bytes = Vec::new();
        crate::segment::SegmentTemplate { flags: Flags::RST, ..crate::segment::SegmentTemplate::new(a, b) }
            .write(&mut bytes);
        let (packet, link) = (Packet::new(bytes), crate::event::LinkId(0));
        let fate = Fate::Deliver(Instant::from_secs(1));
        ladder.on_event(Instant::EPOCH, &Event::Sent { host: HostId(4), link, packet: &packet, fate });
        let other = Packet::new(vec![0x45]);
        ladder.on_event(Instant::EPOCH, &Event::Sent { host: HostId(4), link, packet: &other, fate });
        let text = ladder.to_string();
        assert!(text.contains("host 4 192.0.2.1:1000") && text.contains("192.0.2.2:80\n"), "{text}");
        assert!(text.contains("│── RST 1"), "{text}");
        assert!(
            text.ends_with(
                "\nnot TCP:\n  0.000000000 no packet: the IP header is cut off or its length is impossible\n"
            ),
            "{text}"
        );
    }
}
