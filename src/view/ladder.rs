//! The ladder of a connection: time runs down, a host stands on each side, an arrow is a segment.
//!
//! ```text
//!                            client 192.0.2.2:49152                                     server 192.0.2.1:80
//!    0.000000000 SYN-SENT     |--- SYN 0:1 win 65535 <mss 1460,sackOK> ----------------->|
//!    0.010000000              |                                                          | SYN-RECEIVED
//! ```
//!
//! A [`Ladder`] is an observer: show it a run, then print it. Each connection has a ladder of its own, with the host
//! that sent first on the left. An arrow stands at the instant at which its segment is sent; a state stands where it begins,
//! and holds until the next one. Sequence numbers count from the initial one of their side, `start:end` as tcpdump
//! writes them. On the right stands what is remarkable: what the link did, and what the segment is by [`Conversation`]
//! (retransmission, duplicate ACK).

use core::fmt;
use core::net::SocketAddr;

use crate::conversation::{AckKind, Conversation, DataKind, Side};
use crate::event::{ChannelState, DropReason, Event, Fate, HostEvent, HostId, Observer, State};
use crate::segment::{Flags, IpView, Options, Packet, PacketId, Segment, Seq};
use crate::time::Instant;

/// A host that has not sent anything.
const UNSEEN: HostId = HostId(u32::MAX);
/// Columns between the two bars.
const WIDTH: usize = 66;
/// Columns of a state.
const STATE: usize = 12;

/// Draws the connections of a run.
#[derive(Debug, Default)]
pub struct Ladder {
    names: Vec<(HostId, String)>,
    connections: Vec<Connection>,
    /// Packets that are no TCP segments.
    others: u64,
}

/// One connection: left is the host that sent first.
#[derive(Debug)]
struct Connection {
    ends: [(HostId, SocketAddr); 2],
    conversation: Conversation,
    rows: Vec<Row>,
}

/// What happened at one instant, as far as it fits on one line.
#[derive(Debug)]
struct Row {
    at: Instant,
    arrow: Option<Arrow>,
    states: [Option<State>; 2],
    notes: Vec<String>,
}

#[derive(Debug)]
struct Arrow {
    id: PacketId,
    from: usize,
    text: String,
    lost: bool,
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

    fn name(&self, host: HostId) -> String {
        let known = self.names.iter().find(|(id, _)| *id == host);
        known.map_or_else(|| format!("host {}", host.0), |(_, name)| name.clone())
    }

    fn sent(&mut self, at: Instant, host: HostId, packet: &Packet, fate: Fate) {
        let Ok(segment) = IpView::parse(&packet.bytes).and_then(|ip| Segment::parse(&ip)) else {
            self.others += 1;
            return;
        };
        self.connection(host, segment.src, segment.dst).sent(at, host, packet.meta.id, &segment, fate);
    }

    /// The connection between two ends, `own` at `host`; a new one if they are not known.
    fn connection(&mut self, host: HostId, own: SocketAddr, other: SocketAddr) -> &mut Connection {
        let joins = |connection: &Connection| {
            let [left, right] = connection.ends.map(|(_, addr)| addr);
            [(left, right), (right, left)].contains(&(own, other))
        };
        let found = self.connections.iter().position(joins).unwrap_or_else(|| {
            // The other host shows itself when it answers.
            let ends = [(host, own), (UNSEEN, other)];
            self.connections.push(Connection { ends, conversation: Conversation::new(), rows: Vec::new() });
            self.connections.len() - 1
        });
        &mut self.connections[found]
    }

    /// The row of a packet, if it is drawn.
    fn row_of(&mut self, id: PacketId) -> Option<&mut Row> {
        let rows = self.connections.iter_mut().flat_map(|connection| connection.rows.iter_mut().rev());
        rows.into_iter().find(|row| row.arrow.as_ref().is_some_and(|arrow| arrow.id == id))
    }
}

impl Connection {
    fn sent(&mut self, at: Instant, host: HostId, id: PacketId, segment: &Segment<'_>, fate: Fate) {
        let from = usize::from(segment.src != self.ends[0].1);
        self.ends[from].0 = host;
        let side = if from == 0 { Side::Local } else { Side::Remote };
        let seen = self.conversation.observe(at, side, segment);
        let text = self.describe(side, segment);
        let arrow = Arrow { id, from, text, lost: matches!(fate, Fate::Drop(_)) };
        let notes = [data_remark(seen.data), ack_remark(seen.ack), fate_note(fate)].into_iter().flatten().collect();
        // States that this host came to at this instant belong to what it sends.
        match self.rows.last_mut().filter(|row| row.at == at && row.arrow.is_none() && row.states[1 - from].is_none()) {
            Some(row) => (row.arrow, row.notes) = (Some(arrow), notes),
            None => self.rows.push(Row { at, arrow: Some(arrow), states: [None; 2], notes }),
        }
    }

    fn state(&mut self, at: Instant, end: usize, to: State) {
        let fits = |row: &&mut Row| {
            row.at == at && row.states[end].is_none() && row.arrow.as_ref().is_none_or(|arrow| arrow.from == end)
        };
        if let Some(row) = self.rows.last_mut().filter(fits) {
            row.states[end] = Some(to);
        } else {
            let mut states = [None; 2];
            states[end] = Some(to);
            self.rows.push(Row { at, arrow: None, states, notes: Vec::new() });
        }
    }

    /// `PSH|ACK 1:15 ack 1 (14)`; window and options on a SYN.
    fn describe(&self, side: Side, segment: &Segment<'_>) -> String {
        let (own, peer) = (self.conversation.sender(side), self.conversation.sender(side.other()));
        let relative = |seq: Seq, iss: Option<Seq>| iss.map_or(seq.0, |iss| seq - iss);
        let start = relative(segment.seq, own.iss);
        let mut words = vec![flags(segment.flags)];
        if !segment.is_empty() {
            words.push(format!("{start}:{}", relative(segment.end(), own.iss)));
        } else if segment.is_rst() {
            words.push(start.to_string());
        }
        if segment.is_ack() {
            words.push(format!("ack {}", relative(segment.ack, peer.iss)));
        }
        if segment.is_syn() {
            words.push(format!("win {}", segment.window));
            words.extend(options(&segment.options));
        } else if !segment.payload.is_empty() {
            words.push(format!("({})", segment.payload.len()));
        }
        words.join(" ")
    }
}

impl Observer for Ladder {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        match *event {
            Event::Sent { host, packet, fate, .. } => self.sent(at, host, packet, fate),
            // What happens on a later link belongs to the arrow that is there.
            Event::Forwarded { host, packet, fate, .. } => {
                if let Some(note) = fate_note(fate) {
                    let note = format!("behind {}: {note}", self.name(host));
                    if let Some(row) = self.row_of(packet.meta.id) {
                        row.notes.push(note);
                    }
                }
            }
            Event::StackDropped { host, packet, why } => {
                let note = format!("{} dropped it: {}", self.name(host), reason(why));
                if let Some(row) = self.row_of(packet.meta.id) {
                    row.notes.push(note);
                }
            }
            Event::Host { host, event: HostEvent::State { local, remote, to, .. } } => {
                let connection = self.connection(host, local, remote);
                connection.state(at, usize::from(local != connection.ends[0].1), to);
            }
            _ => {}
        }
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, connection) in self.connections.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            let [left, right] = connection.ends.map(|(host, addr)| match host {
                UNSEEN => addr.to_string(),
                host => format!("{} {addr}", self.name(host)),
            });
            let gap = (WIDTH + 1).saturating_sub(left.chars().count());
            writeln!(f, "{:28}{left}{:gap$}{right}", "", "")?;
            for row in &connection.rows {
                row.fmt(f)?;
            }
        }
        match self.others {
            0 => Ok(()),
            others => writeln!(f, "{others} packets that are not TCP"),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [left, right] = self.states.map(|state| state.map_or(String::new(), |state| state.to_string()));
        let mut line = format!("{:>14} {left:<STATE$} |", self.at.to_string());
        match &self.arrow {
            Some(arrow) => line += &arrow.to_string(),
            None => line += &" ".repeat(WIDTH),
        }
        line += "| ";
        line += &right;
        if !self.notes.is_empty() {
            line = format!("{line:<width$}  {}", self.notes.join("; "), width = 15 + STATE + 2 + WIDTH + 2);
        }
        writeln!(f, "{}", line.trim_end())
    }
}

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = match (self.lost, self.from) {
            (true, _) => "X",
            (false, 0) => ">",
            (false, _) => "<",
        };
        let shaft = "-".repeat(WIDTH.saturating_sub(self.text.chars().count() + 6));
        match self.from {
            0 => write!(f, "--- {} {shaft}{head}", self.text),
            _ => write!(f, "{head}{shaft} {} ---", self.text),
        }
    }
}

/// `<mss 1460,sackOK,TS>`. The values of timestamps say little: that they are there is enough.
fn options(options: &Options) -> Option<String> {
    let rest = Options { ts: None, ..*options }.to_string();
    let rest = rest.trim_start_matches(", <").trim_end_matches('>');
    let all: Vec<_> = [rest, options.ts.map_or("", |_| "TS")].into_iter().filter(|text| !text.is_empty()).collect();
    (!all.is_empty()).then(|| format!("<{}>", all.join(",")))
}

fn flags(flags: Flags) -> String {
    const WORDS: [(Flags, &str); 6] = [
        (Flags::SYN, "SYN"),
        (Flags::FIN, "FIN"),
        (Flags::RST, "RST"),
        (Flags::PSH, "PSH"),
        (Flags::URG, "URG"),
        (Flags::ACK, "ACK"),
    ];
    let words: Vec<_> = WORDS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, word)| *word).collect();
    if words.is_empty() { "no flags".to_owned() } else { words.join("|") }
}

fn data_remark(kind: DataKind) -> Option<String> {
    match kind {
        DataKind::None | DataKind::New => None,
        other => Some(other.to_string()),
    }
}

fn ack_remark(kind: AckKind) -> Option<String> {
    match kind {
        AckKind::None | AckKind::Plain | AckKind::Advance { .. } => None,
        other => Some(other.to_string()),
    }
}

fn fate_note(fate: Fate) -> Option<String> {
    match fate {
        Fate::Deliver(_) => None,
        Fate::Reorder(at) => Some(format!("held back until {at}")),
        Fate::Overtake(at) => Some(format!("sent ahead, there at {at}")),
        Fate::Duplicate(_) => Some("duplicated".to_owned()),
        Fate::Corrupt(flip) => Some(format!("corrupted: bit {} of octet {}", flip.bit, flip.octet)),
        Fate::Drop(why) => Some(format!("dropped: {}", reason(why))),
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
        DropReason::Guard(rule) => format!("the guard, rule {rule:?}"),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Listen, echo};
    use crate::link::{Fault, Verdict};
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
        assert!(line("X|").contains("FIN|ACK 1:202 ack 1 (200)"), "{text}");
        assert!(line("X|").ends_with("dropped: a scripted fault"), "{text}");
        assert!(line("  retransmission 1").contains(" 1:202 ack 1 (200) -"), "{text}");
        assert!(line("ESTABLISHED").trim_start().starts_with("0.002"), "{text}");
        assert!(text.contains("TIME-WAIT"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 180 && line == line.trim_end()), "{text}");
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
        assert!(text.contains("|--- RST 0"), "{text}");
        assert!(text.ends_with("1 packets that are not TCP\n"), "{text}");
    }
}
