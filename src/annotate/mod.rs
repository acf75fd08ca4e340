//! The words on a packet: what it is and why it was sent, as far as that can be told at one vantage point. Comments in
//! captures, ladders and JSON all come from here, so that they say the same.
//!
//! An `Annotator` stands at the interface of one host. It is shown what passes there, ingress when it is delivered and
//! egress when it is sent, and what the host tells of itself (timers, numbers, calls). Counts that depend on the place,
//! duplicate ACKs and retransmissions, are those of this place. `capture` has one for each file, `trace` one for each host.
//!
//! - `words`: segments, in the terms of RFC 9293, RFC 5681 and RFC 6298; `packet`: UDP, ICMP and the rest;
//! - `tags`: the brackets behind the words, and their grammar; `reason`: why a packet was dropped, in words;
//! - `notes`: what a host tells of itself and no packet shows, in words.

mod notes;
mod packet;
mod reason;
pub mod tags;
#[cfg(test)]
mod tests;
mod words;

use core::net::SocketAddr;

pub use notes::{recovery, syn_cookie, timer};
pub use reason::reason;
pub use tags::{Tag, Variables};
pub(crate) use words::write_duration;

use crate::conversation::{DataKind, Observed, Side, Stream, Table};
use crate::event::{Numbers, TimerKind};
use crate::segment::{IpView, Malformed, Segment};
use crate::time::{Duration, Instant};
use tags::put;

/// Which way a packet passes the vantage point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the host.
    Inbound,
    /// From the host.
    Outbound,
}

/// A packet that passes the vantage point, parsed by whoever knows whether it is whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) at: Instant,
    pub(crate) direction: Direction,
    pub(crate) ip: Result<IpView<'a>, Malformed>,
    pub(crate) segment: Result<Segment<'a>, Malformed>,
    /// A checksum is wrong. The receiver drops the packet, so that its connection does not see it.
    pub(crate) corrupted: bool,
    /// A link has made it: it is not sent again by the host.
    pub(crate) copy: bool,
    /// Bytes at its end that were not captured.
    pub(crate) missing: usize,
}

impl<'a> Subject<'a> {
    /// A packet as it stands on the wire.
    pub(crate) fn parse(at: Instant, direction: Direction, bytes: &'a [u8]) -> Self {
        let ip = IpView::parse(bytes);
        let segment = ip.as_ref().map_err(|why| *why).and_then(Segment::parse);
        Self { at, direction, ip, segment, corrupted: false, copy: false, missing: 0 }
    }

    /// The same, with the checksums verified.
    pub(crate) fn verified(self) -> Self {
        let corrupted = self.ip.is_ok_and(|ip| !ip.checksums_ok());
        Self { corrupted, ..self }
    }
}

/// What there is to say of one packet.
pub(crate) struct Annotation<'a> {
    /// What it is and why it was sent. Nothing of what became of it: that is the tag's.
    pub(crate) words: &'a str,
    /// If it is a segment that its connection takes.
    pub(crate) segment: Option<Annotated<'a>>,
}

/// A segment, and the connection that has observed it.
pub(crate) struct Annotated<'a> {
    pub(crate) stream: &'a Stream<Notes>,
    pub(crate) observed: Observed,
    /// What its host told of the connection right behind it, or last. At the interface of that host only.
    numbers: Option<Numbers>,
}

impl Annotated<'_> {
    /// The variables of the side that sent the segment. What its host tells of itself is known at its own interface only.
    pub(crate) fn variables(&self) -> Variables {
        let from = self.observed.from;
        let own = self.stream.conversation.sender(from);
        if !own.is_started() {
            return Variables::default();
        }
        let relative = |seq| Some(u64::from(self.stream.relative(from, seq)));
        let variables = Variables {
            snd_una: relative(own.snd_una),
            snd_nxt: relative(own.snd_nxt),
            snd_wnd: Some(own.snd_wnd.into()),
            flight_size: Some(own.flight_size().into()),
            ..Variables::default()
        };
        self.numbers.map_or(variables, |numbers| variables.with(&numbers))
    }
}

/// What is known of a connection beside its packets.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// When the retransmission timer of each side was last started (RFC 6298, section 5).
    timer_started: [Instant; 2],
    /// The last retransmission timer of the host that went off.
    timer: Option<(Instant, TimerKind)>,
    /// What the host told of the connection. What holds for one segment only is taken with it: a segment of which nothing
    /// is told, as those of TIME-WAIT, has other values.
    numbers: Option<Numbers>,
    /// When the keep-alive timer of the host last went off.
    keep_alive_at: Option<Instant>,
    /// Calls that send, made since the last segment of the host, and when.
    calls: [Option<&'static str>; 2],
    called_at: Instant,
    /// The side has sent its SYN again and has not been answered since.
    syn_repeated: [bool; 2],
    /// The next SYN|ACK of the host is a SYN cookie.
    cookie: bool,
    /// The last segment of the side was a probe that the peer has not answered.
    probed: [Option<DataKind>; 2],
    /// The number under which the owner of the annotator knows the connection.
    pub(crate) flow: Option<usize>,
}

impl Notes {
    /// What the host told, for a segment of its own.
    fn take_numbers(&mut self, own: bool) -> Option<Numbers> {
        let told = self.numbers.filter(|_| own);
        if let Some(numbers) = self.numbers.as_mut().filter(|_| own) {
            (numbers.flight_size, numbers.pipe, numbers.reason) = (None, None, None);
        }
        told
    }
}

/// Says what packets are, one after the other, in the order in which they pass the interface of a host.
#[derive(Debug)]
pub(crate) struct Annotator {
    table: Table<Notes>,
    words: String,
}

/// Connections of which an annotator remembers something though their handshake has not finished: a SYN flood costs no
/// more memory than these. With SYN cookies each has two sides.
const HALF_OPEN: usize = 1 << 13;

impl Default for Annotator {
    fn default() -> Self {
        Self { table: Table::new().half_open_limit(HALF_OPEN), words: String::new() }
    }
}

/// Bytes that an annotator of a capture keeps to compare retransmissions with.
#[cfg(feature = "capture")]
const COMPARED: usize = 16 << 20;

impl Annotator {
    /// An annotator that also says where the bytes of a retransmission differ from those sent before.
    #[cfg(feature = "capture")]
    pub(crate) fn comparing() -> Self {
        Self { table: Table::new().half_open_limit(HALF_OPEN).compare_bytes(COMPARED), words: String::new() }
    }

    /// Says what a packet is.
    pub(crate) fn annotate(&mut self, subject: &Subject<'_>) -> Annotation<'_> {
        let Self { table, words } = self;
        words.clear();
        let segment = match (&subject.ip, &subject.segment) {
            (Err(malformed), _) => {
                put(words, format_args!("no packet: {malformed}"));
                None
            }
            _ if subject.corrupted => {
                words.push_str("wrong checksum: a link has changed the packet");
                None
            }
            (Ok(_), Ok(segment)) => {
                let known = segment.is_syn() && table.find(segment.src, segment.dst).is_some();
                let placed = table.place(subject.at, segment);
                let reopens = known && placed.begins;
                let stream = placed.stream;
                let own = own_side(stream, subject.direction, segment);
                let observed = words::write(words, stream, (own, reopens), subject, segment);
                let numbers = stream.notes.take_numbers(own == observed.from);
                Some(Annotated { stream, observed, numbers })
            }
            (Ok(ip), Err(why)) => {
                packet::write(words, ip, *why);
                None
            }
        };
        Annotation { words, segment }
    }

    /// Has a connection observe a segment, without a word.
    pub(crate) fn follow(&mut self, at: Instant, direction: Direction, segment: &Segment<'_>) -> Annotated<'_> {
        let stream = self.table.place(at, segment).stream;
        let own = own_side(stream, direction, segment);
        let observed = words::observe(stream, own, at, segment);
        let numbers = stream.notes.take_numbers(own == observed.from);
        Annotated { stream, observed, numbers }
    }

    /// Fixes which end is the first of a connection that was not seen here so far.
    pub(crate) fn orient(&mut self, at: Instant, ends: [SocketAddr; 2]) {
        self.table.find_or_begin(at, ends[0], ends[1]);
    }

    /// True if something was seen or told of a connection between these ends.
    pub(crate) fn knows(&self, one: SocketAddr, other: SocketAddr) -> bool {
        self.table.find(one, other).is_some()
    }

    /// The owner knows this stream of the table by this number.
    pub(crate) fn set_flow(&mut self, stream: usize, flow: usize) {
        if let Some(stream) = self.table.get_mut(stream) {
            stream.notes.flow = Some(flow);
        }
    }

    /// A timer of the host went off. Returns how long a retransmission timer has run, as far as that was seen.
    pub(crate) fn timer(
        &mut self,
        at: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        timer: TimerKind,
    ) -> Option<Duration> {
        let stream = self.table.find_or_begin(at, local, remote);
        let side = stream.side_of(local);
        let outstanding = stream.conversation.sender(side).flight_size() > 0;
        let started = &mut stream.notes.timer_started[side as usize];
        match timer {
            TimerKind::Retransmission | TimerKind::SynAck => {
                stream.notes.timer = Some((at, timer));
                Some(at - *started).filter(|ran| outstanding && *ran > Duration::ZERO)
            }
            // RFC 8985, section 7.3: the sender re-arms the retransmission timer.
            TimerKind::Tlp => {
                *started = at;
                None
            }
            TimerKind::KeepAlive => {
                stream.notes.keep_alive_at = Some(at);
                None
            }
            _ => None,
        }
    }

    /// The host told of a connection, right after it has sent a segment.
    pub(crate) fn numbers(&mut self, at: Instant, local: SocketAddr, remote: SocketAddr, numbers: Numbers) {
        self.table.find_or_begin(at, local, remote).notes.numbers = Some(numbers);
    }

    /// The next SYN|ACK of the host to this end is a SYN cookie.
    pub(crate) fn syn_cookie(&mut self, at: Instant, local: SocketAddr, remote: SocketAddr) {
        self.table.find_or_begin(at, local, remote).notes.cookie = true;
    }

    /// A program of the host made a call on a connection that may send something.
    pub(crate) fn call(&mut self, at: Instant, local: SocketAddr, remote: SocketAddr, call: &'static str) {
        let notes = &mut self.table.find_or_begin(at, local, remote).notes;
        if notes.called_at != at {
            (notes.calls, notes.called_at) = ([None; 2], at);
        }
        match &mut notes.calls {
            [first @ None, _] => *first = Some(call),
            [Some(first), second @ None] if *first != call => *second = Some(call),
            _ => {}
        }
    }
}

/// Whether a call makes its connection send: the annotator is told of these.
pub(crate) fn sends(call: &str, result: Result<i64, &'static str>) -> bool {
    match call {
        "connect" => result == Err("EINPROGRESS"),
        "write" | "writev" | "send" | "sendto" | "sendmsg" | "shutdown" | "close" => result.is_ok(),
        _ => false,
    }
}

fn own_side(stream: &Stream<Notes>, direction: Direction, segment: &Segment<'_>) -> Side {
    let from = stream.side_of(segment.src);
    match direction {
        Direction::Outbound => from,
        Direction::Inbound => from.other(),
    }
}
