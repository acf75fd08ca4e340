//! What a capture or a run holds in total: packets by protocol and by kind, retransmissions, drops by reason, round trips,
//! duration and rates. `--stats` prints it.

use core::fmt::Write as _;
use std::collections::BTreeMap;

use super::flow_report::{bytes_per_second, min_avg_max, rate};
use super::flows::with_commas;
use super::text::wrapped;
use crate::annotate::Tag;
use crate::conversation::Kind;
use crate::event::{Event, Observer};
use crate::segment::{Flags, Protocol};
use crate::time::{Duration, Instant};
use crate::trace::{Content, RoundTrips, SegmentStep, Step, Trace, Vantage};

/// What segments are, by flags and data. A segment counts once.
pub(super) const PARTS: [&str; 6] = ["SYN", "SYN|ACK", "RST", "FIN", "data", "ACK"];

/// Counts by name.
type Counts = BTreeMap<&'static str, u64>;

/// Totals of packets. [`Stats::step`] takes the steps of a trace.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Packets, each counted where it was sent, or passed the interface of a capture.
    pub packets: u64,
    /// Their bytes, IP headers included.
    pub bytes: u64,
    /// Packets by protocol.
    pub(super) protocols: Counts,
    /// Packets by IP version.
    pub(super) versions: Counts,
    /// Segments, in the order of [`PARTS`].
    pub(super) parts: [u64; PARTS.len()],
    /// Segments by Wireshark's kinds, in the order of [`Kind::ALL`].
    pub(super) kinds: [u64; Kind::COUNT],
    /// What links did to packets that were not lost, by the names of the tags.
    pub(super) fates: Counts,
    /// Drops by the stable name of their reason.
    pub(super) drops: Counts,
    ends: Option<(Instant, Instant)>,
}

/// The totals of the connections of a trace.
#[derive(Clone, Debug, Default)]
pub(super) struct OfFlows {
    pub(super) count: u64,
    pub(super) closes: Counts,
    pub(super) new_bytes: u64,
    pub(super) repeated_bytes: u64,
    pub(super) messages: u64,
    pub(super) retransmissions: u64,
    pub(super) rtt: RoundTrips,
}

impl Stats {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts the next step of a trace. Steps that are no packets count nothing.
    pub fn step(&mut self, trace: &Trace, step: &Step) {
        let (len, tag, protocol, v6) = match &step.content {
            Content::Segment(segment) => {
                self.segment(segment);
                let flow = step.flow.and_then(|number| trace.flow(number));
                (segment.len, segment.tag, "TCP", flow.map(|flow| flow.ends[0].is_ipv6()))
            }
            Content::Packet(packet) => {
                let protocol = packet.protocol.map_or("not looked into", name_of);
                (packet.len, packet.tag, protocol, packet.ends.map(|(src, _)| src.is_ipv6()))
            }
            _ => return,
        };
        self.packets += 1;
        self.bytes += u64::from(len);
        *self.protocols.entry(protocol).or_default() += 1;
        if let Some(v6) = v6 {
            *self.versions.entry(if v6 { "IPv6" } else { "IPv4" }).or_default() += 1;
        }
        let (first, last) = self.ends.unwrap_or((step.at, step.at));
        self.ends = Some((first.min(step.at), last.max(step.at)));
        // The links of a run tell of each loss themselves.
        let told = matches!(step.vantage, Vantage::Host(_)) && matches!(tag, Some(Tag::Lost(_)));
        if let Some(tag) = tag.filter(|_| !told) {
            self.tag(tag);
        }
    }

    fn segment(&mut self, segment: &SegmentStep) {
        let has = |flag| segment.flags.contains(flag);
        let part = match (has(Flags::SYN), has(Flags::RST)) {
            (_, true) => 2,
            (true, _) if has(Flags::ACK) => 1,
            (true, _) => 0,
            _ if has(Flags::FIN) => 3,
            _ if segment.payload > 0 => 4,
            _ => 5,
        };
        self.parts[part] += 1;
        if segment.tag != Some(Tag::Copy) {
            segment.kinds.iter().for_each(|kind| self.kinds[kind as usize] += 1);
        }
    }

    fn tag(&mut self, tag: Tag) {
        let name = match tag {
            Tag::Lost(why) => return *self.drops.entry(why.name()).or_default() += 1,
            Tag::Duplicated => "duplicated",
            Tag::Reordered => "reordered",
            Tag::Overtakes => "overtakes",
            Tag::Corrupted { .. } => "corrupted",
            Tag::Copy => "copy",
        };
        *self.fates.entry(name).or_default() += 1;
    }

    /// From the first packet to the last.
    pub fn duration(&self) -> Duration {
        self.ends.map_or(Duration::ZERO, |(first, last)| last - first)
    }

    /// The totals, and those of the connections of the trace, as lines of at most `width` columns.
    pub fn text(&self, trace: &Trace, width: usize) -> String {
        let (flows, duration) = (OfFlows::of(trace), self.duration());
        let mut packets = format!("{} in {:.6} s", with_commas(self.packets), duration.as_secs_f64());
        if let Some(bytes) = bytes_per_second(self.bytes, duration) {
            let _ = write!(packets, ": {:.1} packets/s, {}", self.packets as f64 / duration.as_secs_f64(), rate(bytes));
        }
        let kinds = Kind::ALL.into_iter().map(|kind| (kind.name(), self.kinds[kind as usize]));
        let lines = [
            ("packets", packets),
            ("bytes", format!("{} with headers", with_commas(self.bytes))),
            ("IP versions", counts(by_name(&self.versions))),
            ("protocols", counts(by_name(&self.protocols))),
            ("segments", counts(PARTS.into_iter().zip(self.parts))),
            ("kinds of segments", counts(kinds)),
            ("data", data(&flows)),
            ("sent again", again(&flows)),
            ("dropped", counts(by_name(&self.drops))),
            ("what links did", counts(by_name(&self.fates))),
            ("connections", connections(&flows)),
            ("round trips", round_trips(&flows.rtt)),
        ];
        let mut out = String::new();
        for (name, value) in lines {
            for (n, line) in wrapped(&value, width.saturating_sub(NAME).max(10)).iter().enumerate() {
                let _ = writeln!(out, "{:<NAME$}{line}", if n == 0 { name } else { "" });
            }
        }
        out
    }
}

/// Columns of a name.
const NAME: usize = 19;

impl OfFlows {
    pub(super) fn of(trace: &Trace) -> Self {
        let mut all = Self { count: trace.flows().len() as u64 + trace.forgotten_flows(), ..Self::default() };
        for flow in trace.flows() {
            *all.closes.entry(flow.account.close.kind()).or_default() += 1;
            all.messages += flow.account.messages.iter().sum::<u64>();
            all.retransmissions += flow.account.retransmissions().iter().sum::<u64>();
            for measured in &flow.measured {
                all.new_bytes += measured.new_bytes;
                all.repeated_bytes += measured.repeated_bytes;
                all.rtt = all.rtt.and(&measured.rtt);
            }
        }
        all
    }

    /// Retransmissions among the segments with data, from 0. `None` without such segments.
    pub(super) fn share(&self) -> Option<f64> {
        (self.messages > 0).then(|| self.retransmissions as f64 / self.messages as f64)
    }
}

fn name_of(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Icmp => "ICMP",
        Protocol::Icmpv6 => "ICMPv6",
        Protocol::Other(_) => "others",
    }
}

fn by_name(counts: &Counts) -> impl Iterator<Item = (&'static str, u64)> {
    counts.iter().map(|(name, count)| (*name, *count))
}

/// `12 data, 3 ACK`, without what did not happen.
fn counts(all: impl Iterator<Item = (&'static str, u64)>) -> String {
    let there: Vec<_> =
        all.filter(|(_, count)| *count > 0).map(|(name, count)| format!("{} {name}", with_commas(count))).collect();
    if there.is_empty() { "none".to_owned() } else { there.join(", ") }
}

fn data(flows: &OfFlows) -> String {
    let (new, again) = (with_commas(flows.new_bytes), with_commas(flows.repeated_bytes));
    format!("{new} bytes sent first, {again} bytes sent again")
}

fn again(flows: &OfFlows) -> String {
    let count = with_commas(flows.retransmissions);
    match flows.share() {
        Some(share) => {
            format!("{count} of {} segments with data: {:.2} %", with_commas(flows.messages), 100.0 * share)
        }
        None => count,
    }
}

fn connections(flows: &OfFlows) -> String {
    match flows.count {
        0 => "none".to_owned(),
        count => format!("{}: {}", with_commas(count), counts(by_name(&flows.closes))),
    }
}

fn round_trips(rtt: &RoundTrips) -> String {
    match rtt.count {
        0 => "none measured".to_owned(),
        count => format!("min/avg/max {} of {}", min_avg_max([rtt.min, rtt.mean(), rtt.max]), with_commas(count)),
    }
}

/// The totals of a run: an observer.
pub struct RunStats {
    trace: Trace,
    stats: Stats,
}

impl Default for RunStats {
    fn default() -> Self {
        Self { trace: Trace::new().forgetting(), stats: Stats::new() }
    }
}

impl RunStats {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The run is over: what was sent last is counted. Gives the totals, and the trace with the connections.
    pub fn settle(&mut self) -> (&Stats, &Trace) {
        self.trace.settle();
        self.drain();
        (&self.stats, &self.trace)
    }

    fn drain(&mut self) {
        while let Some(step) = self.trace.next_step() {
            self.stats.step(&self.trace, &step);
        }
    }
}

impl Observer for RunStats {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        match event {
            Event::LinkDropped { why, .. } | Event::StackDropped { why, .. } => self.stats.tag(Tag::Lost(*why)),
            Event::Forwarded { fate, .. } => match Tag::of(*fate) {
                None | Some(Tag::Lost(_)) => {}
                Some(tag) => self.stats.tag(tag),
            },
            _ => {}
        }
        self.trace.on_event(at, event);
        self.drain();
    }
}

impl core::fmt::Debug for RunStats {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RunStats({} packets)", self.stats.packets)
    }
}
