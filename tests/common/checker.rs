//! Looks at a capture from the host's own vantage point and names each segment of the host, or each missing one, that
//! breaks a rule: ACKs that are owed (RFC 9293, section 3.8.6.3; RFC 5681, section 4.2; RFC 2018), segments that the peer
//! would not accept (RFC 9293, section 3.4; RFC 7323), and text sent again that was acknowledged or `SACKed`. It knows the
//! wire only. `flow` has the state of one connection; the live tests call [`check`].

#![allow(dead_code, reason = "each test binary compiles this module anew and uses its own part of it")]

#[path = "checker/arrivals.rs"]
mod arrivals;
#[path = "checker/departures.rs"]
mod departures;
#[path = "checker/flow.rs"]
mod flow;
#[path = "checker/ranges.rs"]
mod ranges;
#[cfg(test)]
#[path = "checker/tests.rs"]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use tcplab::capture::Reader;
use tcplab::segment::{IpView, Segment};
use tcplab::time::{Duration, Instant};

use flow::Flow;

/// The longest delay of an ACK: Linux's `TCP_DELACK_MAX`, less than the 0.5 s of RFC 9293, section 3.8.6.3.
const LONGEST_DELAY: Duration = Duration::from_millis(200);
/// A loop reads, then sends. So an ACK that is due leaves at the latest with so many later times in the capture. Counting
/// times and not milliseconds, a machine that is busy does no harm.
const MOMENTS: usize = 3;

/// One TCP segment as the host saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) at: Instant,
    /// The host sent it.
    pub(crate) ours: bool,
    pub(crate) segment: Segment<'a>,
    /// Bytes of the TCP header with its options.
    pub(crate) header: usize,
}

/// A segment that arrived, as far as it matters. A loop hands over all packets of a batch and sends the answers then, each
/// in the words of its own moment. So arrivals wait in the checker until an answer shows how many of them it knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    at: Instant,
    segment: Segment<'static>,
    batch: u64,
    /// `Last.ACK.sent` at the latest when it is processed.
    acked: i64,
}

/// The text of arrivals does not matter here: programs compare it.
static NO_TEXT: [u8; 65_536] = [0; 65_536];

impl Arrival {
    fn new(seen: &Seen<'_>, batch: u64, acked: i64) -> Self {
        let segment = Segment { payload: &NO_TEXT[..seen.segment.payload.len()], ..seen.segment };
        Self { at: seen.at, segment, batch, acked }
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// One line for each breach of a rule.
    pub(crate) breaches: Vec<String>,
    pub(crate) counts: Counts,
}

/// What the histories had in them, so that nobody takes an empty check for a good one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) connections: usize,
    pub(crate) sent: usize,
    pub(crate) received: usize,
    /// Segments with text that were sent again.
    pub(crate) sent_again: usize,
    /// Text that came out of order, or again.
    pub(crate) out_of_order: usize,
    pub(crate) duplicates: usize,
    /// ACKs with SACK blocks, and those of them with a DSACK.
    pub(crate) sacks: usize,
    pub(crate) dsacks: usize,
    /// Connections in which both FINs were acknowledged.
    pub(crate) closed: usize,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.sent += other.sent;
        self.received += other.received;
        self.sent_again += other.sent_again;
        self.out_of_order += other.out_of_order;
        self.duplicates += other.duplicates;
        self.sacks += other.sacks;
        self.dsacks += other.dsacks;
        self.closed += other.closed;
    }
}

/// The times at which something passed, in order, each once.
#[derive(Debug, Default)]
pub(crate) struct Moments(Vec<Instant>);

impl Moments {
    fn note(&mut self, at: Instant) {
        if self.0.last().is_none_or(|last| *last < at) {
            self.0.push(at);
        }
    }

    /// True if the host had time enough to send what was due at `due`.
    fn is_late(&self, due: Instant) -> bool {
        self.0.len() - self.0.partition_point(|at| *at <= due) > MOMENTS
    }
}

/// A check of all connections of one host.
#[derive(Debug)]
pub(crate) struct Checker {
    flows: BTreeMap<(SocketAddr, SocketAddr), Flow>,
    moments: Moments,
    findings: Findings,
    /// When something left in this batch.
    departed: Option<Instant>,
    /// The number of the batch. What arrives while its answers leave belongs to the next one.
    batch: u64,
    reads_at_once: bool,
}

impl Checker {
    /// `reads_at_once`: the programs of the host read all that comes as soon as it is there.
    pub(crate) fn new(reads_at_once: bool) -> Self {
        let (flows, moments, findings) = (BTreeMap::new(), Moments::default(), Findings::default());
        Self { flows, moments, findings, departed: None, batch: 0, reads_at_once }
    }

    /// Takes the next segment of the capture.
    pub(crate) fn take(&mut self, seen: &Seen<'_>) {
        let segment = &seen.segment;
        self.moments.note(seen.at);
        let ends = if seen.ours { (segment.src, segment.dst) } else { (segment.dst, segment.src) };
        let flow = self.flows.entry(ends).or_insert_with(|| {
            self.findings.counts.connections += 1;
            Flow::new(ends, self.reads_at_once)
        });
        if seen.ours {
            self.departed = Some(seen.at);
        } else if self.departed.is_some_and(|at| at < seen.at) {
            self.departed = None;
            self.batch += 1;
        }
        let batch = self.batch + u64::from(self.departed.is_some());
        if seen.ours {
            self.findings.counts.sent += 1;
            flow.on_departure(seen, &self.moments, &mut self.findings);
        } else {
            self.findings.counts.received += 1;
            flow.waiting.push_back(Arrival::new(seen, batch, flow.acked()));
        }
        for flow in self.flows.values_mut() {
            flow.settle(self.batch, &self.moments, &mut self.findings);
        }
    }

    /// The capture is over. What was not due yet is not missed.
    pub(crate) fn end(mut self) -> Findings {
        for flow in self.flows.values_mut() {
            flow.settle(u64::MAX, &self.moments, &mut self.findings);
        }
        self.findings.counts.closed = self.flows.values().filter(|flow| flow.is_closed()).count();
        self.findings
    }
}

/// Checks a capture of the host with these addresses. Packets that were not captured whole are an error of the test.
pub(crate) fn check(capture: &Path, ours: &[IpAddr], reads_at_once: bool) -> Findings {
    let mut reader = Reader::open(capture).expect("a capture");
    let mut checker = Checker::new(reads_at_once);
    while let Some(record) = reader.next_record() {
        let record = record.expect("a whole record");
        assert!(record.is_whole(), "packet {} is cut", record.number);
        let Some(ip) = record.packet.and_then(|packet| IpView::parse(packet).ok()) else { continue };
        // The kernel also sends ICMPv6.
        let Ok(segment) = Segment::parse(&ip) else { continue };
        let ours = ours.contains(&segment.src.ip());
        if ours || ip.checksums_ok() {
            let header = ip.payload.len() - segment.payload.len();
            checker.take(&Seen { at: record.at, ours, segment, header });
        }
    }
    checker.end()
}
