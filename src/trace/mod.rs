//! The model of what happened: hosts, flows, and steps in the order in which they happened. Renderers in `view` take the
//! steps one at a time and make ladders, tables and JSON of them.
//!
//! ```text
//!   a run       events  --on_event-->  +-------+
//!   a capture   records --record---->  | Trace | --next_step--> ladder, JSON       flows() --> tables
//!                                      +-------+
//! ```
//!
//! A step has a vantage point. In a run each segment is annotated at the interface of the host that sends it, so that
//! duplicate ACKs and retransmissions are those of the sender. In a capture everything is annotated at its one interface;
//! a comment of ours on a packet says what its host knew. What is only inferred is marked: a state without a cause.
//!
//! - `events`: from the events of a run; `records`: from a capture; `states`: the states that segments imply;
//! - `ends`: what is known of both ends of a flow after each step; `flow`: one connection; `measured`: round trips, windows
//!   and idle times of a side.

pub mod ends;
mod events;
mod flow;
mod measured;
#[cfg(feature = "capture")]
mod records;
mod states;
#[cfg(test)]
mod tests;

use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use foldhash::fast::FixedState;

use crate::annotate::{Annotated, Annotator, Tag, Variables};
use crate::conversation::{Kinds, Observed, Seen, Side};
use crate::event::{Cause, CookieStep, DropReason, HostId, LinkId, Phase, State, TimerKind};
#[cfg(feature = "capture")]
use crate::segment::CaptureParser;
use crate::segment::{Flags, Options, PacketId, Protocol, Segment};
use crate::time::{Duration, Instant};
pub use flow::Flow;
use flow::FlowList;
pub use measured::{Measured, RoundTrips};

/// Where a step was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vantage {
    /// At the interface of a host of a run.
    Host(HostId),
    /// At the interface where a capture was taken.
    Capture,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Step {
    /// When it happened at the vantage point.
    pub at: Instant,
    /// Where.
    pub vantage: Vantage,
    /// The number of the flow that it belongs to.
    pub flow: Option<usize>,
    /// What it was.
    pub content: Content,
}

/// What a step is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content {
    /// A TCP segment was sent, or passed the interface of a capture.
    Segment(Box<SegmentStep>),
    /// The same for a packet of another protocol, or for bytes that are no packet.
    Packet(PacketStep),
    /// A connection changed its state.
    State {
        /// The side that changed.
        side: Side,
        /// The state after; `None` where it cannot be told.
        to: Option<State>,
        /// Why. `None` if the state is inferred from the segments.
        cause: Option<Cause>,
    },
    /// A program made a call that did not have to wait.
    Call {
        /// The side of the flow, if it belongs to one.
        side: Option<Side>,
        /// The descriptor.
        fd: u32,
        /// The name of the call.
        call: &'static str,
        /// The number that it returned, or the name of the errno.
        result: Result<i64, &'static str>,
    },
    /// A timer of a connection went off.
    Timer {
        /// The side whose timer it is.
        side: Side,
        /// Which.
        timer: TimerKind,
        /// How long it had run, for a retransmission timer, as far as that was seen.
        ran: Option<Duration>,
    },
    /// An ACK has brought a SYN cookie. That one was sent is among the words of its SYN|ACK.
    SynCookie {
        /// The side of the listener.
        side: Side,
        /// Whether it is valid.
        step: CookieStep,
    },
    /// Loss recovery of a connection entered another phase.
    Recovery {
        /// The side whose data it is about.
        side: Side,
        /// The phase before.
        from: Phase,
        /// The phase after.
        to: Phase,
        /// The loss was spurious.
        undone: bool,
    },
    /// What a side knows of its path and its congestion.
    Sender(Box<SenderStep>),
    /// The queues of a listener changed.
    ListenQueues {
        /// Where it listens.
        local: SocketAddr,
        /// Half-open connections.
        syn_queue: usize,
        /// Connections that wait for accept.
        accept_queue: usize,
        /// The limit of each.
        backlog: usize,
    },
    /// The queue of a link changed its length.
    LinkQueue {
        /// The direction of the link.
        link: LinkId,
        /// Packets that wait or are in transmission.
        packets: u64,
        /// Their bytes.
        bytes: u64,
        /// When the last of them has left, if none enters.
        empty_at: Instant,
    },
    /// A host did not take a packet that reached it.
    Refused {
        /// The side of the flow where it happened.
        side: Option<Side>,
        /// The packet.
        packet: u64,
        /// Why.
        why: DropReason,
    },
}

/// A packet came to a host or to a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Which.
    pub host: HostId,
    /// When.
    pub at: Instant,
    /// Steps that were there by then: the passage lies behind them.
    pub(crate) behind: u64,
}

/// Passages of a packet that are kept. No sensible way is longer.
const MOST_PASSAGES: usize = 32;

/// A TCP segment. Sequence numbers are relative to the initial one of their side.
#[derive(Clone, Debug)]
pub struct SegmentStep {
    /// The number of the packet in the run, or of the record in the capture.
    pub packet: u64,
    /// The length of the IP packet on the wire.
    pub len: u32,
    /// The side that sent it: [`Side::Local`] is the left one, which opened the connection or was seen first.
    pub from: Side,
    /// The control bits.
    pub flags: Flags,
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK, if it has one.
    pub ack: Option<u32>,
    /// The window in bytes, scaled if the scale is known.
    pub window: u32,
    /// The side has advertised another window before.
    pub window_changed: bool,
    /// The options.
    pub options: Options,
    /// SACK blocks, relative to the initial sequence number of the other side, in the order of the option.
    pub sacked: Vec<(u32, u32)>,
    /// Some of the options were not captured.
    pub options_cut: bool,
    /// Bytes of data.
    pub payload: usize,
    /// When it reached the host at the other end, in a run. `None` if it did not, or was taken out before it did.
    pub arrival: Option<Instant>,
    /// What it is, by the bytes seen before at the vantage point. `None` if no connection takes it.
    pub seen: Option<Seen>,
    /// What it is in Wireshark's terms.
    pub kinds: Kinds,
    /// What it is and why it was sent.
    pub words: String,
    /// What its first link does to it.
    pub tag: Option<Tag>,
    /// What a link behind a router does to it, and the router.
    pub behind: Option<(HostId, Tag)>,
    /// In a run: where it came, in order. These are routers, and the host at the end; a copy comes there once more.
    pub path: Vec<Passage>,
    /// The variables of its sender: of a run as its host knows them, of a capture where a comment tells them.
    pub variables: Option<Variables>,
    /// The comment that stands in the capture.
    pub comment: Option<String>,
    /// The flow begins with it.
    pub begins: bool,
    /// The states of both sides after it, as far as they are known.
    pub states: [Option<State>; 2],
}

/// A packet that is not a TCP segment.
#[derive(Clone, Debug)]
pub struct PacketStep {
    /// The number of the packet in the run, or of the record in the capture.
    pub packet: u64,
    /// Its length on the wire.
    pub len: u32,
    /// What its IP header carries, if it has one.
    pub protocol: Option<Protocol>,
    /// Source and destination, if it has an IP header.
    pub ends: Option<(IpAddr, IpAddr)>,
    /// What it is.
    pub words: String,
    /// What its first link does to it.
    pub tag: Option<Tag>,
    /// What a link behind a router does to it, and the router.
    pub behind: Option<(HostId, Tag)>,
    /// In a run: where it came, in order. These are routers, and the host at the end; a copy comes there once more.
    pub path: Vec<Passage>,
    /// The comment that stands in the capture.
    pub comment: Option<String>,
}

/// What one side knows as a sender. A field is `None` while the host does not tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderStep {
    /// The side.
    pub side: Side,
    /// cwnd, ssthresh, pipe, srtt, rttvar, rto, the phase of loss recovery and the rest.
    pub variables: Variables,
    /// Ranges that the peer has selectively acknowledged, relative, in order.
    pub scoreboard: Option<Vec<(u32, u32)>>,
    /// Timers that run, and when they go off.
    pub timers: Option<Vec<(TimerKind, Instant)>>,
}

/// A host or router of a run.
#[derive(Debug, Default)]
struct HostEntry {
    name: Option<String>,
    annotator: Annotator,
    /// It sends packets of others on: it is no end of a connection.
    router: bool,
    /// The flows of descriptors, for calls after the connection is over.
    descriptors: BTreeMap<u32, usize>,
}

/// What happened so far. Steps that are not taken out stay, up to a limit.
pub struct Trace {
    hosts: BTreeMap<HostId, HostEntry>,
    /// The annotator of a capture.
    #[cfg(feature = "capture")]
    interface: Annotator,
    flows: FlowList,
    steps: VecDeque<Step>,
    /// How many steps were taken out.
    taken: u64,
    /// Where the step of a packet stands, counted from the first ever. Looked up, never iterated.
    by_packet: HashMap<PacketId, u64, FixedState>,
    /// The packet that a host has just sent: what the host tells right behind it belongs to it.
    sent: Option<events::Sent>,
    limit: usize,
    left_out: u64,
    wants_steps: bool,
    /// When the first step happened.
    origin: Option<Instant>,
    /// Times of a ladder count from there, not from the epoch.
    from_first: bool,
    /// Reads the packets of a capture.
    #[cfg(feature = "capture")]
    parser: CaptureParser,
    addresses: Addresses,
}

/// Which addresses a capture has, for those who look for the host at its vantage point.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    /// Packets to and from each address.
    pub(crate) packets: BTreeMap<IpAddr, u64>,
    /// Addresses that the directions tell to be those of the host.
    pub(crate) own: BTreeSet<IpAddr>,
    /// Pairs of UDP sockets, and how many flows there were when they were first seen.
    pub(crate) datagrams: BTreeMap<[SocketAddr; 2], usize>,
}

/// Addresses and pairs of UDP sockets that are kept.
#[cfg(feature = "capture")]
const MOST_ADDRESSES: usize = 1 << 16;

impl Default for Trace {
    fn default() -> Self {
        Self {
            hosts: BTreeMap::new(),
            #[cfg(feature = "capture")]
            interface: Annotator::comparing(),
            flows: FlowList::default(),
            steps: VecDeque::new(),
            taken: 0,
            by_packet: HashMap::default(),
            sent: None,
            limit: usize::MAX,
            left_out: 0,
            wants_steps: true,
            origin: None,
            from_first: false,
            #[cfg(feature = "capture")]
            parser: CaptureParser::new(),
            addresses: Addresses::default(),
        }
    }
}

impl Trace {
    /// A trace of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A trace that keeps at most so many steps that are not taken out; later ones are counted.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// A trace that keeps the accounts of flows only. It forgets flows as [`Trace::forgetting`] does.
    #[must_use]
    pub fn of_flows() -> Self {
        Self { wants_steps: false, ..Self::default() }.forgetting()
    }

    /// The trace forgets the oldest of the flows whose handshake has not finished, when there are more than some
    /// thousands. Whoever takes its steps out at once misses nothing.
    #[must_use]
    pub fn forgetting(mut self) -> Self {
        self.flows.forgets = true;
        self
    }

    /// Names hosts; others are named by their numbers.
    pub fn name_hosts(&mut self, names: impl IntoIterator<Item = (HostId, String)>) {
        for (host, name) in names {
            self.hosts.entry(host).or_default().name = Some(name);
        }
    }

    /// The name of a host.
    pub fn host_name(&self, host: HostId) -> String {
        let name = self.hosts.get(&host).and_then(|entry| entry.name.clone());
        name.unwrap_or_else(|| format!("host {}", host.0))
    }

    /// The flows so far, in the order in which they began, without those that were forgotten.
    pub fn flows(&self) -> &[Flow] {
        &self.flows.list
    }

    /// The flow of this number, unless it was forgotten.
    pub fn flow(&self, number: usize) -> Option<&Flow> {
        self.flows.get(number)
    }

    /// Flows that were forgotten. Their handshake had not finished.
    pub fn forgotten_flows(&self) -> u64 {
        self.flows.forgotten
    }

    /// Segments of flows of which nothing was kept, because there were too many others.
    pub fn refused_segments(&self) -> u64 {
        self.flows.refused
    }

    /// When the first step happened.
    pub fn origin(&self) -> Option<Instant> {
        self.origin
    }

    /// Times of a ladder count from the first step. Those of a capture always do; those of a run count from the epoch.
    pub fn count_from_first(&mut self) {
        self.from_first = true;
    }

    /// What the times of a ladder count from.
    pub(crate) fn ladder_origin(&self) -> Instant {
        self.origin.filter(|_| self.from_first).unwrap_or(Instant::EPOCH)
    }

    /// Nanoseconds since what the times of a ladder count from. A capture may be out of order.
    pub(crate) fn since_ladder_origin(&self, at: Instant) -> i64 {
        let nanos = i128::from(at.as_nanos()) - i128::from(self.ladder_origin().as_nanos());
        nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// Takes out the next step.
    pub fn next_step(&mut self) -> Option<Step> {
        let step = self.steps.pop_front()?;
        self.taken += 1;
        match &step.content {
            Content::Segment(segment) => _ = self.by_packet.remove(&PacketId(segment.packet)),
            Content::Packet(packet) => _ = self.by_packet.remove(&PacketId(packet.packet)),
            _ => {}
        }
        Some(step)
    }

    /// The steps that were not taken out.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter()
    }

    /// Steps that were made, those that were taken out included.
    pub(crate) fn made(&self) -> u64 {
        self.taken + self.steps.len() as u64
    }

    /// True for a node of a run that sends packets of others on.
    pub(crate) fn is_router(&self, host: HostId) -> bool {
        self.hosts.get(&host).is_some_and(|entry| entry.router)
    }

    /// Steps that were not kept because of the limit.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// True if no more steps are kept: until some are taken out, what happens is only counted.
    pub fn is_full(&self) -> bool {
        self.steps.len() >= self.limit
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Whether a segment cannot be the first of its flow, where a table of flows is all that is wanted.
    fn answers(&self, segment: &Segment<'_>) -> bool {
        !self.wants_steps && (segment.is_rst() || segment.is_syn() && segment.is_ack())
    }

    fn push(&mut self, at: Instant, vantage: Vantage, flow: Option<usize>, content: Content) {
        if self.is_full() {
            self.left_out += 1;
        } else if self.wants_steps {
            self.steps.push_back(Step { at, vantage, flow, content });
        }
    }
}

/// Whether a segment was sent before: by the bytes that were seen, or as Wireshark's users expect it.
fn is_again(observed: &Observed) -> bool {
    observed.seen.data.is_repeated() || observed.kinds.is_retransmission()
}

/// What a segment is, put together from an annotation.
fn segment_step(annotated: &Annotated<'_>, segment: &Segment<'_>, from: Side, words: &str) -> SegmentStep {
    let observed = &annotated.observed;
    let sender = annotated.stream.conversation.sender(observed.from);
    SegmentStep {
        packet: 0,
        len: 0,
        from,
        flags: segment.flags,
        seq: observed.seq,
        ack: observed.ack,
        window: if segment.is_syn() { u32::from(segment.window) } else { sender.rcv_wnd },
        window_changed: false,
        options: segment.options,
        sacked: segment
            .options
            .sack_blocks()
            .map(|block| [block.left, block.right].map(|seq| annotated.stream.relative(observed.from.other(), seq)))
            .map(|[left, right]| (left, right))
            .collect(),
        options_cut: false,
        payload: segment.payload.len(),
        arrival: None,
        seen: Some(observed.seen),
        kinds: observed.kinds,
        words: words.to_owned(),
        tag: None,
        behind: None,
        path: Vec::new(),
        variables: Some(annotated.variables()),
        comment: None,
        begins: false,
        states: [None; 2],
    }
}

impl core::fmt::Debug for Trace {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Trace({} flows, {} steps)", self.flows.list.len(), self.taken + self.steps.len() as u64)
    }
}
