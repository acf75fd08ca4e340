//! What happened, typed. `drive`, links and stacks publish events; an [`Observer`] takes them and formats, counts or writes.
//! No observer changes what happens next. Packets are borrowed, everything else is small plain data, and no text is made
//! on the packet path. `names` has the stable strings under which events leave the program.

mod names;

use core::fmt;
use core::net::SocketAddr;
use std::cell::RefCell;
use std::rc::Rc;

use crate::segment::{Flags, IcmpError, Packet, complete_checksums};
use crate::time::{Duration, Instant};

/// Takes events, in the order in which they happen. Any `FnMut(Instant, &Event<'_>)` is one.
pub trait Observer {
    /// One event at its instant.
    fn on_event(&mut self, at: Instant, event: &Event<'_>);

    /// True if hosts are to tell [`HostEvent::Numbers`] with each segment that they send. Asked once, when the observer
    /// is given to a loop; without such an observer there is no such event, and no cost.
    fn wants_numbers(&self) -> bool {
        false
    }
}

impl<F: FnMut(Instant, &Event<'_>)> Observer for F {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        self(at, event);
    }
}

/// An observer that is read by its owner too.
impl<O: Observer + ?Sized> Observer for Rc<RefCell<O>> {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        self.borrow_mut().on_event(at, event);
    }

    fn wants_numbers(&self) -> bool {
        self.borrow().wants_numbers()
    }
}

/// The observers of a loop, each shown every event, in the order in which they came.
#[derive(Default)]
pub(crate) struct Observers(Vec<Rc<RefCell<dyn Observer>>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: Rc<RefCell<dyn Observer>>) {
        self.0.push(observer);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fills in the missing checksums of a packet of the next event. Without observers nobody reads them.
    #[inline]
    pub(crate) fn complete(&self, packet: &mut Packet) {
        if !self.0.is_empty() {
            complete_checksums(packet);
        }
    }
}

impl Observer for Observers {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        for observer in &self.0 {
            observer.borrow_mut().on_event(at, event);
        }
    }

    fn wants_numbers(&self) -> bool {
        self.0.iter().any(|observer| observer.borrow().wants_numbers())
    }
}

/// Numbers the hosts and routers of a run, in the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HostId(pub u32);

/// Numbers the directions of links of a run, in the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LinkId(pub u32);

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A host put a packet on a link; `fate` is what the link will do to it, decided at this instant.
    Sent {
        /// The sender.
        host: HostId,
        /// The link direction it goes into.
        link: LinkId,
        /// The packet, as sent.
        packet: &'a Packet,
        /// What the link will do.
        fate: Fate,
    },
    /// A router sent a packet of somebody else on; it keeps its number.
    Forwarded {
        /// The router.
        host: HostId,
        /// The link direction it goes into.
        link: LinkId,
        /// The packet, as sent on.
        packet: &'a Packet,
        /// What the link will do.
        fate: Fate,
    },
    /// A link made a copy of a packet.
    Duplicated {
        /// The link direction.
        link: LinkId,
        /// The packet.
        packet: &'a Packet,
    },
    /// A packet reached a host or a router.
    Delivered {
        /// The receiver.
        host: HostId,
        /// The link direction it came out of.
        link: LinkId,
        /// The packet, as it arrives.
        packet: &'a Packet,
    },
    /// A packet ended on a link.
    LinkDropped {
        /// The link direction.
        link: LinkId,
        /// The packet.
        packet: &'a Packet,
        /// Why.
        why: DropReason,
    },
    /// The queue in front of a link changed its length: a packet entered it. What left it since the last report is
    /// counted off. `packets` and `bytes` include the packet in transmission.
    LinkQueue {
        /// The link direction.
        link: LinkId,
        /// Packets that wait or are in transmission.
        packets: u64,
        /// Their bytes, IP headers included.
        bytes: u64,
        /// When the last of them has left, if none enters.
        empty_at: Instant,
    },
    /// A link does something else from now on, or is taken down or up. Packets on the way keep their fate.
    LinkChanged {
        /// The link direction.
        link: LinkId,
        /// The items that changed, as in a link line; `down` or `up`.
        items: &'a str,
    },
    /// A packet reached a host and its stack did not want it, or a router and it goes no further.
    StackDropped {
        /// The host.
        host: HostId,
        /// The packet.
        packet: &'a Packet,
        /// Why.
        why: DropReason,
    },
    /// Something happened inside a host: a program called, or its stack did something.
    Host {
        /// The host.
        host: HostId,
        /// What.
        event: HostEvent,
    },
}

/// What a link will do to a packet that enters it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It arrives at this instant.
    Deliver(Instant),
    /// It is held back: packets that enter after it may arrive before it.
    Reorder(Instant),
    /// It is sent ahead: it may arrive before packets that entered before it.
    Overtake(Instant),
    /// It arrives and so does a copy.
    Duplicate(Instant),
    /// It arrives with a bit flipped.
    Corrupt(Flip),
    /// It never arrives.
    Drop(DropReason),
}

impl Fate {
    /// When it arrives, if it does.
    pub fn arrival(self) -> Option<Instant> {
        match self {
            Self::Deliver(at) | Self::Reorder(at) | Self::Overtake(at) | Self::Duplicate(at) => Some(at),
            Self::Corrupt(flip) => Some(flip.at),
            Self::Drop(_) => None,
        }
    }
}

/// The bit that a link flips in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flip {
    /// When the packet arrives.
    pub at: Instant,
    /// The byte, counted from 0 at the first of the IP header.
    pub byte: u32,
    /// The bit in it, counted from 0, the most significant, as in the figures of the RFCs.
    pub bit: u8,
}

/// The states of the channel of Gilbert and Elliott.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelState {
    /// Where it begins.
    Good,
    /// Where the bursts are.
    Bad,
}

/// Why a packet went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The link lost it by chance.
    Loss,
    /// The link lost it by the model of Gilbert and Elliott, in this state of the channel.
    BurstLoss(ChannelState),
    /// A scripted fault took it.
    Fault,
    /// The queue in front of the link was full.
    QueueFull,
    /// The link was down.
    LinkDown {
        /// When it is up again, counted from the beginning of the run; `None` if that is not known.
        until: Option<Duration>,
    },
    /// The packet is larger than the link's MTU and may not be fragmented.
    TooBig,
    /// No route leads to that address.
    NoRoute,
    /// A router is at the last network on the way, and nobody there has that address.
    HostUnreachable,
    /// A router got it with a TTL or hop limit that ends there.
    TtlExceeded,
    /// The bytes are no packet.
    Malformed,
    /// A checksum is wrong.
    Checksum,
    /// An IP fragment: this host does not reassemble.
    Fragment,
    /// The destination is not an address of this host.
    NotLocal,
    /// The source is not an address that another host can have: an own one, loopback, broadcast, multicast, class E, 0/8.
    BadSource,
    /// The IP options or extension headers are malformed.
    IpOptions,
    /// A source route, or a routing header with segments left.
    SourceRoute,
    /// The SYN queue of the listener is full.
    SynQueueFull,
    /// The accept queue of the listener is full.
    AcceptQueueFull,
    /// The receive queue of the UDP socket is full.
    ReceiveQueueFull,
    /// The buffers of the host have reached their limit.
    NoMemory,
    /// A rule of TCP refused the segment.
    Rule(Rule),
    /// TIME-WAIT has no use for it.
    TimeWait,
    /// The half-open connection has no use for it.
    HalfOpen,
    /// No socket wants it and none may be told.
    NoSocket,
}

impl From<IcmpError> for DropReason {
    /// Why a packet went no further whose sender a router tells.
    fn from(error: IcmpError) -> Self {
        match error {
            IcmpError::NetUnreachable => Self::NoRoute,
            IcmpError::HostUnreachable => Self::HostUnreachable,
            IcmpError::TooBig { .. } => Self::TooBig,
            IcmpError::TimeExceeded => Self::TtlExceeded,
        }
    }
}

/// The rule of TCP by which the stack refused or edited a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// RFC 5961, section 3.2: an RST must hit RCV.NXT exactly.
    ExactRst,
    /// RFC 5961, section 4.2: a SYN in a synchronized state is challenged.
    SynChallenge,
    /// RFC 9293, section 3.10.7.4: a segment outside of the window is acknowledged and dropped.
    OutOfWindow,
    /// RFC 5961, section 5.2, and RFC 9293, section 3.10.7.4: the ACK is of something not sent, or far too old.
    AckOutOfRange,
    /// RFC 7323, section 5.3: the timestamp is older than the last one.
    Paws,
    /// RFC 9293, section 3.10.7.4: data beyond the right edge of the window is cut, and the FIN behind it.
    RightEdge,
    /// RFC 1122, section 4.2.2.13: data for an application that has gone.
    NoReader,
}

/// A state of RFC 9293, section 3.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the RFC describes them
pub enum State {
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

impl fmt::Display for State {
    /// As the RFC spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
            Self::Closed => "CLOSED",
        })
    }
}

/// What made a connection change its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A segment with these flags came.
    Received(Flags),
    /// A segment with these flags was sent.
    Sent(Flags),
    /// The application called.
    Call(&'static str),
    /// A timer went off.
    Timer(TimerKind),
    /// An ICMP error came.
    Icmp,
}

/// The timers of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimerKind {
    /// Retransmission of a SYN|ACK by a half-open connection.
    SynAck,
    /// Retransmission (RFC 6298).
    Retransmission,
    /// Too many retransmissions without an answer (RFC 9293, section 3.8.3: R2), or `TCP_USER_TIMEOUT`.
    UserTimeout,
    /// Keep-alive probe, or too many of them without an answer (RFC 9293, section 3.8.4).
    KeepAlive,
    /// A connection without an application waits no longer in FIN-WAIT-2.
    FinWait2,
    /// 2MSL are over.
    TimeWait,
    /// `SO_LINGER` is over.
    Linger,
    /// A delayed ACK is due (RFC 9293, section 3.8.6.3).
    DelayedAck,
    /// The reordering window of RACK is over (RFC 8985, section 6.3).
    Rack,
    /// A tail loss probe is due (RFC 8985, section 7.3).
    Tlp,
    /// A window of zero is probed (RFC 9293, section 3.8.6.1).
    Persist,
    /// `TCP_CORK` holds a partial segment no longer.
    Cork,
    /// A larger path MTU may be probed (RFC 4821, section 7.3).
    PathMtuProbe,
}

/// What became of a SYN cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CookieStep {
    /// The next SYN|ACK to the other end is a cookie.
    Sent,
    /// An ACK has brought a valid one: the connection is made.
    Received,
    /// An ACK has brought none that is valid.
    Failed,
}

/// A reply that a rate limit can hold back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitedReply {
    /// An ICMP error.
    IcmpError,
    /// An RST for a segment of no connection.
    Reset,
}

/// The phase of loss recovery (Linux's `ca_state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing is known to be missing.
    #[default]
    Open,
    /// Duplicate ACKs or SACKs came, but nothing is judged lost yet.
    Disorder,
    /// Fast recovery (RFC 5681, section 3.2; RFC 6675).
    Recovery,
    /// Recovery after a retransmission timeout (RFC 6298, section 5).
    Loss,
}

/// Why a segment that occupies sequence space, or a probe, is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It carries new text.
    #[default]
    New,
    /// `DupThresh` judged it lost (RFC 5681, section 3.2; RFC 6675; RFC 6582).
    FastRetransmit,
    /// RACK judged it lost by time (RFC 8985, section 6).
    Rack,
    /// A tail loss probe (RFC 8985, section 7), with new or old text.
    Tlp,
    /// The retransmission timer expired (RFC 6298).
    Rto,
    /// It was too large for the path (RFC 1191).
    PathMtu,
    /// It probes a window of zero (RFC 9293, section 3.8.6.1).
    Probe,
    /// It asks whether the peer is alive (RFC 9293, section 3.8.4).
    KeepAlive,
}

/// What a connection knows of its path and its congestion, right after it has sent a segment. What is not known is left
/// out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Numbers {
    /// SRTT: smoothed round-trip time (RFC 6298).
    pub srtt: Option<Duration>,
    /// RTTVAR: its variation (RFC 6298).
    pub rttvar: Option<Duration>,
    /// RTO: retransmission timeout, back-off included (RFC 6298).
    pub rto: Option<Duration>,
    /// Congestion window in bytes (RFC 5681).
    pub cwnd: Option<u64>,
    /// Slow start threshold in bytes (RFC 5681); `None` before the first reduction.
    pub ssthresh: Option<u64>,
    /// Bytes sent and not acknowledged (`FlightSize` of RFC 5681).
    pub flight_size: Option<u64>,
    /// Estimate of the bytes in the network (`pipe` of RFC 6675).
    pub pipe: Option<u64>,
    /// The phase of loss recovery.
    pub phase: Option<Phase>,
    /// Why the segment was sent; `None` if it is an ACK only.
    pub reason: Option<Reason>,
}

/// Something that happened inside a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostEvent {
    /// The packet just handled went no further.
    Dropped {
        /// Why.
        why: DropReason,
    },
    /// A rule edited the packet just handled before TCP saw it.
    Edited {
        /// Which rule.
        rule: Rule,
    },
    /// A connection changed its state.
    State {
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
        /// The state before.
        from: State,
        /// The state after.
        to: State,
        /// Why.
        cause: Cause,
    },
    /// A queue of a listener changed.
    Queue {
        /// Where it listens.
        local: SocketAddr,
        /// Half-open connections.
        syn_queue: usize,
        /// Connections that wait for accept.
        accept_queue: usize,
        /// The limit of each.
        backlog: usize,
    },
    /// A listener sent a SYN cookie, or an ACK brought one (RFC 4987, section 3.6).
    SynCookie {
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
        /// What became of it.
        step: CookieStep,
    },
    /// A rate limit held a reply to the packet just handled back.
    Limited {
        /// The reply.
        reply: LimitedReply,
    },
    /// A timer of a connection went off.
    Timer {
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
        /// Which.
        timer: TimerKind,
    },
    /// Loss recovery of a connection entered another phase.
    Recovery {
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
        /// The phase before.
        from: Phase,
        /// The phase after.
        to: Phase,
        /// The loss was spurious: cwnd and ssthresh are again what they were (RFC 3522, RFC 3708, RFC 5682).
        undone: bool,
    },
    /// What a connection knows of its path, right after a segment of it was sent. Only for those who ask
    /// ([`Observer::wants_numbers`]).
    Numbers {
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
        /// What it knows.
        numbers: Numbers,
    },
    /// A program made a call that did not have to wait.
    Call {
        /// The descriptor.
        fd: u32,
        /// The name of the call, as in section 2 of the manual.
        call: &'static str,
        /// Our end and the other end, if the socket is a stream that has both. Of accept it is the new connection.
        ends: Option<(SocketAddr, SocketAddr)>,
        /// The number that it returned, or the name of the errno.
        result: Result<i64, &'static str>,
    },
}
