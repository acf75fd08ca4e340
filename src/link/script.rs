//! Scripted faults in a link line: `drop=synack:1`, `hold=packet:7:300ms`, and the times when the link is down,
//! `down=1s..2s`.
//!
//! `drop=WHAT[:WHICH]` drops packets. `hold=WHAT[:WHICH]:TIME` delays them by that time; packets behind them do not
//! wait. WHAT is `packet` (any), `syn` (without ACK), `synack`, `data` (with bytes of data), `ack` (bare: neither data
//! nor SYN, FIN, RST), `fin`, `rst`, `udp` or `icmp`. WHICH counts packets of that kind as they enter this direction,
//! from 1, over all connections and with retransmissions: a number, a range `4-6`, several of them `1+4-6`; without it,
//! all.
//!
//! Both may be written several times in one line. They count from 1 again when the link gets another line.

use core::fmt;

use super::fault::FaultAction;
use super::value;
use crate::segment::{IpView, Packet, Protocol, Segment};
use crate::time::Duration;

/// A scripted fault of a link line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The kind of packet.
    pub what: PacketKind,
    /// Which packets of that kind, numbered from 1: inclusive ranges, in the order written. Empty means all.
    pub which: Vec<(u64, u64)>,
    /// How much later they arrive; `None` if they are dropped.
    pub hold: Option<Duration>,
}

/// A kind of packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// Any.
    Packet,
    /// A SYN without ACK.
    Syn,
    /// A SYN with ACK.
    SynAck,
    /// Bytes of data.
    Data,
    /// A bare ACK.
    Ack,
    /// A FIN.
    Fin,
    /// An RST.
    Rst,
    /// A datagram of UDP.
    Udp,
    /// ICMP of either version.
    Icmp,
}

/// A time when the link is down, counted from the beginning of the run: from the first instant up to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// It goes down.
    pub from: Duration,
    /// It is up again.
    pub until: Duration,
}

const KINDS: [(&str, PacketKind); 9] = [
    ("packet", PacketKind::Packet),
    ("syn", PacketKind::Syn),
    ("synack", PacketKind::SynAck),
    ("data", PacketKind::Data),
    ("ack", PacketKind::Ack),
    ("fin", PacketKind::Fin),
    ("rst", PacketKind::Rst),
    ("udp", PacketKind::Udp),
    ("icmp", PacketKind::Icmp),
];

impl PacketKind {
    fn is_kind_of(self, packet: &HeaderFacts) -> bool {
        match self {
            Self::Packet => true,
            Self::Syn => packet.syn && !packet.ack,
            Self::SynAck => packet.syn && packet.ack,
            Self::Data => packet.data,
            Self::Ack => packet.ack && !packet.data && !packet.syn && !packet.fin && !packet.rst,
            Self::Fin => packet.fin,
            Self::Rst => packet.rst,
            Self::Udp => packet.protocol == Some(Protocol::Udp),
            Self::Icmp => matches!(packet.protocol, Some(Protocol::Icmp | Protocol::Icmpv6)),
        }
    }
}

/// The properties of a packet that give its kind.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // A header has them one by one.
struct HeaderFacts {
    protocol: Option<Protocol>,
    syn: bool,
    ack: bool,
    fin: bool,
    rst: bool,
    data: bool,
}

impl HeaderFacts {
    fn of(packet: &Packet) -> Self {
        let Ok(ip) = IpView::parse(&packet.bytes) else { return Self::default() };
        let facts = Self { protocol: Some(ip.protocol), ..Self::default() };
        match Segment::parse(&ip) {
            Ok(segment) => Self {
                syn: segment.is_syn(),
                ack: segment.is_ack(),
                fin: segment.is_fin(),
                rst: segment.is_rst(),
                data: !segment.payload.is_empty(),
                ..facts
            },
            Err(_) => facts,
        }
    }
}

impl Script {
    pub(super) const DROP_EXPECTED: &str = "packets to lose, WHAT[:WHICH] such as data:3, synack:1 or packet:1+4-6 \
        (packet, syn, synack, data, ack, fin, rst, udp, icmp)";
    pub(super) const HOLD_EXPECTED: &str = "packets to hold back, WHAT[:WHICH]:TIME such as packet:7:300ms \
        (packet, syn, synack, data, ack, fin, rst, udp, icmp)";

    pub(super) fn parse_drop(text: &str) -> Option<Self> {
        let (what, which) = parse_packets(text)?;
        Some(Self { what, which, hold: None })
    }

    pub(super) fn parse_hold(text: &str) -> Option<Self> {
        let (packets, time) = text.rsplit_once(':')?;
        let (what, which) = parse_packets(packets)?;
        Some(Self { what, which, hold: Some(value::parse_time(time)?) })
    }
}

fn parse_packets(text: &str) -> Option<(PacketKind, Vec<(u64, u64)>)> {
    let (what, which) = text.split_once(':').map_or((text, None), |(what, which)| (what, Some(which)));
    let (_, kind) = KINDS.iter().find(|(name, _)| *name == what)?;
    let ranges = which.map_or(Some(Vec::new()), |which| which.split('+').map(parse_range).collect())?;
    Some((*kind, ranges))
}

fn parse_range(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (value::digits(first)?, value::digits(last)?);
    (0 < first && first <= last).then_some((first, last))
}

impl fmt::Display for Script {
    /// The value behind `drop=` or `hold=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = KINDS.iter().find(|(_, kind)| *kind == self.what);
        f.write_str(named.map_or("packet", |(name, _)| name))?;
        for (at, (first, last)) in self.which.iter().enumerate() {
            write!(f, "{}{first}", if at == 0 { ':' } else { '+' })?;
            if first != last {
                write!(f, "-{last}")?;
            }
        }
        if let Some(hold) = self.hold {
            f.write_str(":")?;
            value::write_time(f, hold)?;
        }
        Ok(())
    }
}

impl Outage {
    pub(super) const EXPECTED: &str = "a time when the link is down, counted from the beginning, such as 1s..2s";

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (from, until) = text.split_once("..")?;
        let outage = Self { from: value::parse_time(from)?, until: value::parse_time(until)? };
        (outage.from < outage.until).then_some(outage)
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        value::write_time(f, self.from)?;
        f.write_str("..")?;
        value::write_time(f, self.until)
    }
}

/// The scripts of one direction, each with how many of its kind it has seen.
#[derive(Debug, Default)]
pub(super) struct Scripts(Vec<(Script, u64)>);

impl Scripts {
    pub(super) fn new(scripts: &[Script]) -> Self {
        Self(scripts.iter().map(|script| (script.clone(), 0)).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A drop wins, and delays are added.
    pub(super) fn judge(&mut self, packet: &Packet) -> FaultAction {
        let facts = HeaderFacts::of(packet);
        let mut verdict = FaultAction::Pass;
        for (script, seen) in &mut self.0 {
            if !script.what.is_kind_of(&facts) {
                continue;
            }
            *seen += 1;
            if script.which.is_empty() || script.which.iter().any(|(first, last)| (*first..=*last).contains(seen)) {
                verdict = verdict.and(script.hold.map_or(FaultAction::Drop, FaultAction::Delay));
            }
        }
        verdict
    }
}
