//! One connection: the smoltcp socket that does TCP, what was seen of both directions, and what the host must remember
//! that smoltcp does not.
//!
//! A connection outlives its socket. When TCP is over (TIME-WAIT, CLOSED), the socket and its buffers go at once; what
//! the application has not read yet stays until it reads it or closes the descriptor.

use core::net::SocketAddr;

use crate::conversation::{Conversation, Side};
use crate::event::State;
use crate::segment::Seq;
use crate::time::{Duration, Instant};

use super::address::FourTuple;
use super::listener::ListenerId;
use super::tcp::Tcp;
use super::time_wait::TimeWaitId;
use super::timers::Deadline;
use super::watch::Watch;

slotmap::new_key_type! {
    /// Names a connection of a stack, for as long as it exists.
    pub struct ConnectionId;
}

/// What a host knows of one connection.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own; the state machine is `state`")]
pub(super) struct Connection {
    pub(super) tuple: FourTuple,
    /// The smoltcp socket; gone once TCP is over.
    pub(super) tcp: Option<Tcp>,
    pub(super) state: State,
    pub(super) owner: Owner,
    pub(super) conversation: Conversation,
    pub(super) watch: Watch,
    pub(super) deadline: Deadline,
    /// Stands in the queue of connections that are to be given their egress.
    pub(super) dirty: bool,
    /// The other end is this host too.
    pub(super) loops_back: bool,
    /// Made by connect: false for one that a listener made.
    pub(super) active: bool,
    pub(super) irs: Seq,
    pub(super) fin_received: bool,
    /// The largest `TSval` taken from the peer, and when (RFC 7323, section 4.3: `TS.Recent`).
    pub(super) ts_recent: Option<(u32, Instant)>,
    /// No challenge ACK before this instant.
    pub(super) challenge_at: Instant,
    pub(super) max_seg: Option<u16>,
    /// Holds its port with `SO_REUSEADDR`.
    pub(super) reuse: bool,
    /// The most octets of data that came in one segment.
    pub(super) largest_received: u32,
    pub(super) limits: Limits,
    pub(super) shut: Shut,
    pub(super) error: Option<ConnectionError>,
    /// What ICMP said; becomes the error when the connection times out (RFC 1122, section 4.2.3.9).
    pub(super) soft_error: Option<ConnectionError>,
    /// The record that has taken over.
    pub(super) time_wait: Option<TimeWaitId>,
    /// What was in the receive buffer when the socket went.
    pub(super) unread: Unread,
    pub(super) account: Account,
}

/// Who has a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It waits in the accept queue.
    Queue(ListenerId),
    /// A descriptor, by its number.
    Descriptor(u32),
    /// Nobody: the application has closed it, TCP goes on until it is done.
    Orphan,
}

/// What has been shut down, and what waits for the handshake to be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shut {
    pub(super) read: bool,
    pub(super) write: bool,
    /// close or shutdown in SYN-RECEIVED: smoltcp would send a FIN in place of the SYN.
    pub(super) write_when_established: bool,
}

/// When to stop trying.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Retransmissions of the same octets.
    pub(super) retries: u32,
    /// `TCP_USER_TIMEOUT`
    pub(super) user_timeout: Option<Duration>,
    /// Since when something sent waits for its acknowledgment without progress.
    pub(super) unacked_since: Option<Instant>,
    /// When the last retransmission will have been in vain.
    pub(super) give_up_at: Option<Instant>,
    /// When an orphan has waited long enough in FIN-WAIT-2.
    pub(super) fin_wait_2_until: Option<Instant>,
    pub(super) keep_alive: Option<KeepAlive>,
    /// When the last segment came.
    pub(super) heard_at: Instant,
    /// Keep-alive probes sent since then.
    pub(super) keep_alives: u32,
    /// Zero-window probes sent since then.
    pub(super) window_probes: u32,
}

/// `SO_KEEPALIVE` and its times (RFC 9293, section 3.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeepAlive {
    pub(crate) idle: Duration,
    pub(crate) interval: Duration,
    pub(crate) count: u32,
}

impl Limits {
    /// Nothing is waited for any more.
    pub(super) fn stop(&mut self) {
        (self.give_up_at, self.unacked_since, self.fin_wait_2_until, self.keep_alive) = (None, None, None, None);
    }

    /// The earliest of the host's own deadlines.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let first = earlier(self.give_up_at, self.user_timeout_at());
        earlier(earlier(first, self.fin_wait_2_until), self.keep_alive_at())
    }

    pub(super) fn user_timeout_at(&self) -> Option<Instant> {
        let (timeout, since) = (self.user_timeout?, self.unacked_since?);
        Some(since + timeout)
    }

    /// Whether to stop asking. `TCP_USER_TIMEOUT`, where it is set, stands for the number of probes (Linux).
    pub(super) fn keep_alive_is_over(&self, now: Instant) -> bool {
        match self.user_timeout {
            Some(timeout) => self.keep_alives > 0 && now - self.heard_at >= timeout,
            None => self.keep_alive.is_none_or(|keep_alive| self.keep_alives >= keep_alive.count),
        }
    }

    /// The next probe, or the end after the last. While something sent is unacknowledged, retransmission finds out.
    pub(super) fn keep_alive_at(&self) -> Option<Instant> {
        let KeepAlive { idle, interval, .. } = self.keep_alive.as_ref().filter(|_| self.unacked_since.is_none())?;
        Some(self.heard_at + *idle + *interval * self.keep_alives)
    }
}

/// The earlier of two deadlines that may not be there.
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Octets left over from a socket that is gone.
#[derive(Debug, Default)]
pub(super) struct Unread {
    octets: Vec<u8>,
    at: usize,
}

impl Unread {
    pub(super) fn remaining(&self) -> &[u8] {
        &self.octets[self.at..]
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.at += len;
        if self.at == self.octets.len() {
            *self = Self::default();
        }
    }

    /// Copies what waits in the receive buffer of a socket.
    pub(super) fn salvage(&mut self, tcp: &mut Tcp) {
        let socket = tcp.socket_mut();
        let mut octets = vec![0; socket.recv_queue()];
        let mut len = 0;
        while let Ok(read @ 1..) = socket.recv_slice(&mut octets[len..]) {
            len += read;
        }
        octets.truncate(len);
        *self = Self { octets, at: 0 };
    }
}

/// Why a connection ended, or could not begin. The socket layer gives it its errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionError {
    /// An RST or an ICMP port unreachable answered the SYN.
    Refused,
    /// The peer reset the connection.
    Reset,
    /// The peer reset the connection after it had ended its direction.
    ResetAfterFin,
    /// No answer within the limits.
    TimedOut,
    /// ICMP said that the host cannot be reached.
    HostUnreachable,
    /// ICMP said that the network cannot be reached.
    NetUnreachable,
    /// ICMP said that the packet is too big for some link.
    MessageTooLong,
}

/// The account of a connection that RFC 147 asked for: both ends, how long it was open, messages and octets each way. A
/// message is one successful call of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// When it was established, if it was.
    pub opened_at: Option<Instant>,
    /// When TCP was over.
    pub closed_at: Option<Instant>,
    /// Writes that put octets into the send buffer.
    pub messages_sent: u64,
    /// Octets that the application wrote.
    pub bytes_sent: u64,
    /// Reads that took octets.
    pub messages_received: u64,
    /// Octets that the application read.
    pub bytes_received: u64,
}

impl Account {
    pub(super) fn new(tuple: &FourTuple) -> Self {
        Self {
            local: tuple.local_addr(),
            remote: tuple.remote_addr(),
            opened_at: None,
            closed_at: None,
            messages_sent: 0,
            bytes_sent: 0,
            messages_received: 0,
            bytes_received: 0,
        }
    }
}

impl core::fmt::Display for Account {
    /// `192.0.2.1:80 ↔ 192.0.2.2:4000 open 1.500 s, sent 2 messages 300 octets, received 1 message 14 octets`
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} ↔ {} ", self.local, self.remote)?;
        match (self.opened_at, self.closed_at) {
            (Some(opened), Some(closed)) => write!(f, "open {:.3} s", (closed - opened).as_secs_f64())?,
            (Some(opened), None) => write!(f, "open since {opened}")?,
            (None, _) => write!(f, "never open")?,
        }
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        write!(
            f,
            ", sent {} message{} {} bytes, received {} message{} {} bytes",
            self.messages_sent,
            plural(self.messages_sent),
            self.bytes_sent,
            self.messages_received,
            plural(self.messages_received),
            self.bytes_received
        )
    }
}

impl Connection {
    /// RCV.NXT of a synchronized connection.
    pub(super) fn rcv_nxt(&self, tcp: &Tcp) -> Seq {
        tcp.rcv_nxt(self.irs, self.account.bytes_received, self.fin_received)
    }

    /// The right edge of the receive window: what was advertised, and never more than the buffer holds. smoltcp shifts
    /// the unscaled window of its SYN|ACK as if it were scaled, so that its own edge can lie beyond its buffer.
    pub(super) fn right_edge(&self, tcp: &Tcp) -> Seq {
        let rcv_nxt = self.rcv_nxt(tcp);
        let ours = self.conversation.sender(Side::Local);
        let advertised = ours.last_ack.map_or(rcv_nxt, |ack| ack + ours.rcv_wnd).max(rcv_nxt);
        advertised.min(rcv_nxt + tcp.free_window())
    }

    /// Segments that this end sent again.
    pub(super) fn retransmissions(&self) -> u64 {
        u64::from(self.conversation.sender(Side::Local).retransmissions)
    }

    /// True once both SYNs are acknowledged as far as this end knows.
    pub(super) const fn is_synchronized(&self) -> bool {
        !matches!(self.state, State::SynSent | State::Closed | State::Listen)
    }
}
