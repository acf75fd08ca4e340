//! Listening sockets: the SYN queue and the accept queue.
//!
//! ```text
//!   SYN --> half-open record --(final ACK)--> connection --> accept queue --> accept
//!           SYN queue                         FIFO
//! ```
//!
//! A half-open connection is a record, not a socket: the socket is made when the final ACK proves that somebody is there
//! (RFC 4987 calls it a SYN cache). Both queues take `backlog` entries. A SYN that finds either full is dropped without a
//! word, as Linux does, so that the client tries again; a final ACK that finds the accept queue full is dropped too, and
//! the record stays. Linux's accept queue takes one more than the backlog; here a backlog of 2 is 2.

use std::collections::VecDeque;

use crate::segment::{Options, Seq, Timestamps};
use crate::time::{Duration, Instant};

use super::address::{Addr, FourTuple};
use super::calls::TcpOptions;
use super::connection::ConnectionId;
use super::timers::Deadline;

slotmap::new_key_type! {
    /// Names a listening socket of a stack.
    pub struct ListenerId;
    /// Names a half-open connection.
    pub(super) struct HalfOpenId;
}

/// A socket in LISTEN.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) addr: Addr,
    pub(super) port: u16,
    pub(super) v6_only: bool,
    pub(super) backlog: usize,
    /// Half-open connections.
    pub(super) syn_queue: usize,
    /// Established connections that wait for accept, oldest first.
    pub(super) accept_queue: VecDeque<ConnectionId>,
    /// The descriptor.
    pub(super) token: u32,
    /// What its connections inherit.
    pub(super) options: TcpOptions,
    /// `SO_REUSEADDR`, which its connections inherit.
    pub(super) reuse: bool,
}

impl Listener {
    /// True if another SYN finds room.
    pub(super) fn takes_syn(&self) -> bool {
        self.syn_queue < self.backlog && self.takes_connection()
    }

    /// True if another established connection finds room.
    pub(super) fn takes_connection(&self) -> bool {
        self.accept_queue.len() < self.backlog
    }
}

/// A connection in SYN-RECEIVED: what came with the SYN, what our SYN|ACK said, and when it was sent.
#[derive(Debug)]
pub(super) struct HalfOpen {
    pub(super) tuple: FourTuple,
    pub(super) listener: ListenerId,
    pub(super) iss: Seq,
    pub(super) irs: Seq,
    /// The options of the SYN.
    pub(super) offered: Offered,
    /// The window of the SYN.
    pub(super) window: u16,
    /// When the first SYN|ACK was sent.
    pub(super) sent_at: Instant,
    /// How often it was sent again by the timer.
    pub(super) retries: u32,
    /// A retransmitted SYN called for it again.
    pub(super) said_again: bool,
    pub(super) deadline: Deadline,
    /// No challenge ACK before this instant.
    pub(super) challenge_at: Instant,
}

/// The options of a SYN, without the SACK blocks that it cannot have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offered {
    pub(super) mss: Option<u16>,
    pub(super) wscale: Option<u8>,
    pub(super) sack_permitted: bool,
    pub(super) ts: Option<Timestamps>,
}

impl From<Options> for Offered {
    fn from(options: Options) -> Self {
        let Options { mss, wscale, sack_permitted, ts, sack: _, irregular: _ } = options;
        Self { mss, wscale, sack_permitted, ts }
    }
}

impl From<Offered> for Options {
    fn from(offered: Offered) -> Self {
        let Offered { mss, wscale, sack_permitted, ts } = offered;
        Self { mss, wscale, sack_permitted, ts, ..Self::default() }
    }
}

/// How long to wait for the answer to the `n`-th SYN|ACK, counted from 0: smoltcp's own RTO for a SYN, one second doubled
/// each time up to 60 (RFC 6298, sections 2.1 and 5.5).
pub(super) fn syn_ack_timeout(n: u32) -> Duration {
    Duration::from_secs((1_u64 << n.min(6)).min(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_open_connection_costs_far_less_than_a_kibibyte() {
        assert!(size_of::<HalfOpen>() <= 256, "{}", size_of::<HalfOpen>());
    }
}
