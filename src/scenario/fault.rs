//! `[[faults]]`: what chance cannot tell. A fault takes or holds back certain packets of one direction (`on`, `packet`,
//! `action`), or changes a link at an instant (`at`, `link`, `line`).

use super::error::ScenarioError;
use super::host::time;
use super::link::LinkPart;
use super::source::{Entry, Section};
use crate::link::{Fault, Verdict, parse_time};
use crate::segment::{Flags, IpView, Packet, Protocol, Segment};
use crate::time::{Duration, Instant};

/// A fault as it is written.
#[derive(Clone, Debug)]
pub(super) enum FaultPart {
    Packet { from: String, to: String, which: Which, action: Action },
    Change { at: Instant, link: String, line: String },
}

/// Keys of a fault with what they mean.
pub(super) const KEYS: [(&str, &str); 6] = [
    ("on", "the direction of a link, A>B"),
    (
        "packet",
        "which packets: any, syn, syn|ack, ack (without data), data, fin, rst or udp, then which of them, from 1: \
        \"data 3\", \"data 3..5\", \"syn\" (all)",
    ),
    ("action", "what becomes of them: \"drop\", or \"delay 30ms\", which packets behind them do not wait for"),
    ("at", "when a link changes"),
    ("link", "which link, A-B"),
    ("line", "its new items, a link line; keys that it does not name stay as they are"),
];

const PACKET: &str = "any, syn, syn|ack, ack, data, fin, rst or udp, and which of them from 1, such as \"data 3\" or \
    \"data 3..5\"";
const ACTION: &str = "drop, or delay and a time, such as \"delay 30ms\"";

/// Packets of a kind, counted from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Which {
    kind: Kind,
    first: u64,
    last: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Syn,
    SynAck,
    Ack,
    Data,
    Fin,
    Rst,
    Udp,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Drop,
    Delay(Duration),
}

impl FaultPart {
    pub(super) fn read(section: &Section<'_, '_>, links: &[LinkPart]) -> Result<Self, ScenarioError> {
        let known = KEYS.map(|(key, _)| key);
        let entries = section.entries();
        if let Some(entry) = entries.iter().find(|entry| !known.contains(&entry.key)) {
            return Err(entry.unknown(&known));
        }
        let find = |key: &str| entries.iter().find(|entry| entry.key == key);
        let need = |key: &str, expected: &str| find(key).ok_or_else(|| section.missing(key, expected));
        let misplaced = |keys: [&str; 3], other: &str| match keys.into_iter().find_map(find) {
            Some(entry) => Err(entry.unknown_name(&format!("it not to be in a fault with `{other}`"))),
            None => Ok(()),
        };
        if find("at").is_some() {
            misplaced(["on", "packet", "action"], "at")?;
            return Self::change(need("at", "")?, need("link", "a link, A-B")?, need("line", "a link line")?, links);
        }
        misplaced(["at", "link", "line"], "on")?;
        let on = need("on", "the direction of a link, A>B (or `at`, `link` and `line`)")?;
        let packet = need("packet", PACKET)?;
        let action = need("action", ACTION)?;
        let expected = "the direction of a link, A>B";
        let direction = on.string(expected)?.split_once('>');
        let (from, to) = direction
            .filter(|(from, to)| links.iter().any(|link| link.joins(from, to)))
            .ok_or_else(|| on.wrong(format!("{expected}, of {}", names(links))))?;
        let which = Which::parse(packet.string(PACKET)?).ok_or_else(|| packet.wrong(PACKET))?;
        let action = Action::parse(action.string(ACTION)?).ok_or_else(|| action.wrong(ACTION))?;
        Ok(Self::Packet { from: from.to_owned(), to: to.to_owned(), which, action })
    }

    fn change(
        at: &Entry<'_, '_>,
        link: &Entry<'_, '_>,
        line: &Entry<'_, '_>,
        links: &[LinkPart],
    ) -> Result<Self, ScenarioError> {
        let instant = time(&at.scalar("a time")?).map_err(|expected| at.wrong(expected))?;
        let name = link.string("a link, A-B")?;
        let known = links.iter().find(|link| link.name == name);
        let known = known.ok_or_else(|| link.wrong(format!("a link: {}", names(links))))?;
        let text = line.string("a link line")?;
        // Tried on a copy: whatever the link is set to later, this line can be laid over it.
        known.clone().merge(text).map_err(|(_, expected)| line.wrong(expected))?;
        Ok(Self::Change { at: Instant::EPOCH + instant, link: name.to_owned(), line: text.to_owned() })
    }
}

fn names(links: &[LinkPart]) -> String {
    links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ")
}

impl Which {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let kind = match words.next()? {
            "any" => Kind::Any,
            "syn" => Kind::Syn,
            "syn|ack" => Kind::SynAck,
            "ack" => Kind::Ack,
            "data" => Kind::Data,
            "fin" => Kind::Fin,
            "rst" => Kind::Rst,
            "udp" => Kind::Udp,
            _ => return None,
        };
        let (first, last) = match words.next() {
            None => (1, u64::MAX),
            Some(range) => match range.split_once("..") {
                Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
                None => (range.parse().ok()?, range.parse().ok()?),
            },
        };
        (words.next().is_none() && first >= 1 && first <= last).then_some(Self { kind, first, last })
    }
}

impl Kind {
    fn is(self, packet: &Packet) -> bool {
        let Ok(ip) = IpView::parse(&packet.bytes) else { return self == Self::Any };
        let Ok(segment) = Segment::parse(&ip) else {
            return self == Self::Any || (self == Self::Udp && ip.protocol == Protocol::Udp);
        };
        match self {
            Self::Any => true,
            Self::Syn => segment.is_syn() && !segment.is_ack(),
            Self::SynAck => segment.is_syn() && segment.is_ack(),
            Self::Ack => segment.flags == Flags::ACK && segment.payload.is_empty(),
            Self::Data => !segment.payload.is_empty(),
            Self::Fin => segment.is_fin(),
            Self::Rst => segment.is_rst(),
            Self::Udp => false,
        }
    }
}

impl Action {
    fn parse(text: &str) -> Option<Self> {
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            ["drop"] => Some(Self::Drop),
            ["delay", time] => parse_time(time).map(Self::Delay),
            _ => None,
        }
    }
}

/// A fault at work: it counts.
pub(super) struct Scripted {
    which: Which,
    action: Action,
    seen: u64,
}

impl Scripted {
    pub(super) fn new(which: Which, action: Action) -> Self {
        Self { which, action, seen: 0 }
    }
}

impl Fault for Scripted {
    fn judge(&mut self, _: Instant, packet: &Packet) -> Verdict {
        if !self.which.kind.is(packet) {
            return Verdict::Pass;
        }
        self.seen += 1;
        match self.action {
            _ if !(self.which.first..=self.which.last).contains(&self.seen) => Verdict::Pass,
            Action::Drop => Verdict::Drop,
            Action::Delay(time) => Verdict::Delay(time),
        }
    }
}
