//! One connection as the host knows it: who has it, its limits, its error, its account; and its TCP while there is one.
//! A connection outlives its TCP. When TCP is over (TIME-WAIT, CLOSED), its memory goes at once; what the application has
//! not read yet stays until it reads it or closes the descriptor.

use core::net::SocketAddr;
use std::collections::VecDeque;

use crate::event::State;
use crate::time::{Duration, Instant};

use super::address::FourTuple;
use super::config::HostConfig;
use super::listener::ListenerId;
use super::tcp::{Receiver, Retries, Tcp};
use super::time_wait::TimeWaitId;
use super::timers::Deadline;

slotmap::new_key_type! {
    /// Names a connection of a stack, for as long as it exists.
    pub struct ConnectionId;
}

/// What a host knows of one connection.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own; the state machine is `state`")]
pub(super) struct Connection {
    pub(super) tuple: FourTuple,
    /// Gone once TCP is over.
    pub(super) tcp: Option<Tcp>,
    pub(super) state: State,
    pub(super) owner: Owner,
    pub(super) deadline: Deadline,
    /// Stands in the queue of connections that are to be given their egress.
    pub(super) dirty: bool,
    /// Stands in the queue of connections that may give memory back.
    pub(super) resting: bool,
    /// The other end is this host too.
    pub(super) loops_back: bool,
    /// Made by connect: false for one that a listener made.
    pub(super) active: bool,
    /// Holds its port with `SO_REUSEADDR`.
    pub(super) reuse: bool,
    pub(super) fin_received: bool,
    pub(super) limits: Limits,
    pub(super) shut: Shut,
    pub(super) error: Option<ConnectionError>,
    /// What ICMP said; becomes the error when the connection times out (RFC 1122, section 4.2.3.9).
    pub(super) soft_error: Option<ConnectionError>,
    /// The record that has taken over.
    pub(super) time_wait: Option<TimeWaitId>,
    /// What was in the receive buffer when TCP ended.
    pub(super) unread: Unread,
    pub(super) account: Tally,
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

/// What the application has shut down.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shut {
    pub(super) read: bool,
    pub(super) write: bool,
}

/// When to stop trying.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// `TCP_USER_TIMEOUT`
    pub(super) user_timeout: Option<Duration>,
    /// Since when something sent waits for its acknowledgment without progress, or a closed window is probed.
    pub(super) unacked_since: Option<Instant>,
    /// When an orphan has waited long enough in FIN-WAIT-2.
    pub(super) fin_wait_2_until: Option<Instant>,
    /// Boxed: most connections have none.
    pub(super) keep_alive: Option<Box<KeepAlive>>,
    /// When the last segment came.
    pub(super) heard_at: Instant,
    /// Keep-alive probes sent since then.
    pub(super) keep_alives: u32,
    /// Nothing waits to be sent or acknowledged: keep-alive may ask.
    pub(super) idle: bool,
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
        (self.unacked_since, self.fin_wait_2_until, self.keep_alive) = (None, None, None);
    }

    /// The earliest of the host's own deadlines.
    pub(super) fn next_at(&self) -> Option<Instant> {
        Instant::earliest([self.user_timeout_at(), self.fin_wait_2_until, self.keep_alive_at()])
    }

    pub(super) fn user_timeout_at(&self) -> Option<Instant> {
        let (timeout, since) = (self.user_timeout?, self.unacked_since?);
        Some(since + timeout)
    }

    /// Whether to stop asking. `TCP_USER_TIMEOUT`, where it is set, stands for the number of probes (Linux).
    pub(super) fn keep_alive_is_over(&self, now: Instant) -> bool {
        match self.user_timeout {
            Some(timeout) => self.keep_alives > 0 && now - self.heard_at >= timeout,
            None => self.keep_alive.as_ref().is_none_or(|keep_alive| self.keep_alives >= keep_alive.count),
        }
    }

    /// The next probe, or the end after the last. While something waits to be sent or acknowledged, other timers run.
    pub(super) fn keep_alive_at(&self) -> Option<Instant> {
        let KeepAlive { idle, interval, .. } = self.keep_alive.as_deref().filter(|_| self.idle)?;
        Some(self.heard_at + *idle + *interval * self.keep_alives)
    }
}

/// Bytes left over from a connection whose TCP is over.
#[derive(Debug, Default)]
pub(super) struct Unread {
    bytes: Vec<u8>,
    at: usize,
}

impl Unread {
    pub(super) const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn remaining(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.at += len;
        if self.at == self.bytes.len() {
            *self = Self::default();
        }
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

/// The account of a connection that RFC 147 asked for: both ends, how long it was open, messages and bytes each way. A
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
    /// Writes that put bytes into the send buffer.
    pub messages_sent: u64,
    /// Bytes that the application wrote.
    pub bytes_sent: u64,
    /// Reads that took bytes.
    pub messages_received: u64,
    /// Bytes that the application read.
    pub bytes_received: u64,
}

/// The account without the ends, which the connection knows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) opened_at: Option<Instant>,
    pub(super) closed_at: Option<Instant>,
    pub(super) messages_sent: u64,
    pub(super) bytes_sent: u64,
    pub(super) messages_received: u64,
    pub(super) bytes_received: u64,
}

impl core::fmt::Display for Account {
    /// `192.0.2.1:80 ↔ 192.0.2.2:4000 open 1.500 s, sent 2 messages 300 bytes, received 1 message 14 bytes`
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
    /// Puts it into the queue of those that are to be given their egress, once.
    pub(super) fn mark_dirty(&mut self, id: ConnectionId, dirty: &mut VecDeque<ConnectionId>) {
        if !core::mem::replace(&mut self.dirty, true) {
            dirty.push_back(id);
        }
    }

    /// Bytes that wait to be read.
    pub(super) fn unread(&self) -> usize {
        let tcp = self.tcp.as_ref();
        tcp.map_or(self.unread.remaining().len(), |tcp| tcp.receiver().map_or(0, Receiver::unread))
    }

    /// The account as it is now.
    pub(super) fn account(&self) -> Account {
        let Tally { opened_at, closed_at, messages_sent, bytes_sent, messages_received, bytes_received } = self.account;
        Account {
            local: self.tuple.local_addr(),
            remote: self.tuple.remote_addr(),
            opened_at,
            closed_at,
            messages_sent,
            bytes_sent,
            messages_received,
            bytes_received,
        }
    }

    /// Segments that this end sent again.
    pub(super) fn retransmissions(&self) -> u64 {
        self.tcp.as_ref().map_or(0, Tcp::retransmissions)
    }

    /// How often what may be sent again. `SO_LINGER` and close leave fewer tries (Linux's `tcp_orphan_retries`).
    pub(super) fn retries(&self, config: &HostConfig) -> Retries {
        let text = if self.owner == Owner::Orphan { config.orphan_retries } else { config.retries };
        Retries { syn: config.syn_retries, syn_ack: config.synack_retries, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_takes_one_and_a_half_kib_at_most() {
        assert!(size_of::<Connection>() <= 1_536, "{}", size_of::<Connection>());
    }
}
