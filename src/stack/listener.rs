//! Listening sockets: the SYN queue and the accept queue.
//!
//! ```text
//!   SYN --> half-open record --(final ACK)--> connection --> accept queue --> accept
//!           SYN queue                         FIFO
//! ```
//!
//! A half-open connection is a record: the connection is made when the final ACK proves that somebody is there
//! (RFC 4987 calls it a SYN cache). Both queues take `backlog` entries; clients that have returned a cookie find room
//! beyond it. A SYN that finds the accept queue full is dropped without an answer, as Linux does, so that the client tries
//! again; one that finds the SYN queue full is answered by a SYN cookie (`cookies`). A final ACK that finds the accept queue
//! full is dropped too, and the record stays. Linux's accept queue takes one more than the backlog; here that is a setting of
//! the host.

use core::net::SocketAddr;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::recovery::TsClock;
use crate::segment::Seq;
use crate::time::Instant;

use super::address::{Addr, FourTuple};
use super::config::TcpOptions;
use super::connection::ConnectionId;
use super::tcp::{Offer, Terms};
use super::timers::Deadline;

slotmap::new_key_type! {
    /// Names a listening socket of a stack.
    pub struct ListenerId;
    /// Names a half-open connection.
    pub struct HalfOpenId;
}

/// See [`Listener::takes_verified`].
const VERIFIED: usize = 128;

/// A socket in LISTEN.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "settings, each of its own")]
pub(super) struct Listener {
    pub(super) addr: Addr,
    pub(super) port: u16,
    pub(super) v6_only: bool,
    pub(super) backlog: usize,
    /// The accept queue takes one connection more than the backlog, as on Linux.
    pub(super) plus_one: bool,
    /// SYNs wait for [`Stack::answer_syn`](super::Stack::answer_syn).
    pub(super) holds: bool,
    pub(super) held: VecDeque<HalfOpenId>,
    /// Records that were forgotten before their connection was made, for an owner that holds SYNs.
    pub(super) gone: VecDeque<(HalfOpenId, SocketAddr)>,
    /// Half-open connections.
    pub(super) syn_queue: usize,
    /// Established connections that wait for accept, oldest first.
    pub(super) accept_queue: VecDeque<ConnectionId>,
    /// The descriptor.
    pub(super) token: u32,
    /// Clients that have returned a SYN cookie and found the accept queue full.
    pub(super) waiting: VecDeque<HalfOpenId>,
    /// When it last sent a SYN cookie.
    pub(super) cookie_at: Option<Instant>,
    /// What its connections inherit.
    pub(super) options: Arc<TcpOptions>,
    /// `SO_REUSEADDR`, which its connections inherit.
    pub(super) reuse: bool,
}

impl Listener {
    /// True if another SYN finds room.
    pub(super) fn takes_syn(&self) -> bool {
        self.syn_queue < self.backlog && self.takes_connection()
    }

    /// True if the SYN queue takes another client that has returned its cookie: as many as the backlog beyond it, at least
    /// 128.
    pub(super) fn takes_verified(&self) -> bool {
        self.syn_queue < self.backlog + self.backlog.max(VERIFIED)
    }

    /// True if another established connection finds room.
    pub(super) fn takes_connection(&self) -> bool {
        self.accept_queue.len() < self.backlog + usize::from(self.plus_one)
    }
}

/// A connection in SYN-RECEIVED: what our SYN|ACK says, and when it left.
#[derive(Debug)]
pub(super) struct HalfOpen {
    pub(super) tuple: FourTuple,
    pub(super) listener: ListenerId,
    pub(super) iss: Seq,
    /// What our SYN|ACK offers.
    pub(super) offer: Offer,
    /// What follows from the SYN.
    pub(super) terms: Terms,
    /// `SO_RCVBUF` when the SYN came; the listener's may change meanwhile.
    pub(super) rcv_buf: Option<usize>,
    /// `TSval` of the SYN, and when it came.
    pub(super) ts_recent: Option<(u32, Instant)>,
    /// When the SYN|ACK last left, and how often it left. Of a cookie the first is not known.
    pub(super) sent_at: Option<Instant>,
    pub(super) sends: u32,
    /// How often the timer sent it again.
    pub(super) retries: u32,
    /// The listener has not answered: no SYN|ACK leaves.
    pub(super) held: bool,
    pub(super) deadline: Deadline,
    /// No challenge ACK before this instant.
    pub(super) challenge_at: Instant,
    /// The timestamp clock of the connection.
    pub(super) clock: TsClock,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_open_connection_costs_far_less_than_a_kibibyte() {
        assert!(size_of::<HalfOpen>() <= 256, "{}", size_of::<HalfOpen>());
    }
}
