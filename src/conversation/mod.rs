//! Both directions of one TCP connection, seen packet by packet: the RFC 9293 variables of each side, and what each
//! segment is: new, a retransmission, out of order, a probe, a keep-alive, the third duplicate ACK.
//!
//! A [`Conversation`] is not an endpoint. It observes segments at one *vantage point*, in the order in which they pass.
//! `snd_nxt` is what was seen to be sent, not what a host has in its buffers. At the stack's own interface no segment
//! is missing, and the variables are those of the RFC. A capture may begin in the middle: then `iss` stays `None`, the
//! first segment of each direction is its start, and windows are not scaled. A capture may also miss packets. Every
//! segment is checked against the largest window that can be open before it moves a variable. A forged segment outside
//! the window moves nothing; one inside the window does.
//!
//! A conversation has no clock and no I/O. It allocates only when bytes arrive beyond a hole, and for a SYN in the midst of a
//! connection. A segment in order and a bare ACK take about 130 instructions. The stack observes its own segments with it.
//!
//! A [`Table`] holds all connections that pass a vantage point. It adds what only observers need: the account, Wireshark's
//! kinds, which use the time, and the comparison of bytes.
//!
//! - `sender`: the variables of one side, and the place of its data in sequence space (RFC 9293, section 3.4);
//! - `ack`: what acknowledgments do to them (RFC 9293, section 3.10.7.4; RFC 5681, section 2);
//! - `handshake`: SYN, RST, and one connection after another on the same pair of sockets (RFC 5961, RFC 7323);
//! - `ranges`: what was seen beyond a hole; `seen`: what a segment is;
//! - `table`, `stream`: connections by their 4-tuples, and the account of each; `kind`, `memory`: what only observers need.

mod ack;
mod ends;
mod handshake;
mod kind;
mod memory;
#[cfg(test)]
mod model_tests;
mod ranges;
mod seen;
mod sender;
mod stream;
mod table;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;

pub(crate) use ends::ByEnds;
pub use kind::{Kind, Kinds};
pub use seen::{AckKind, DataKind, Seen};
pub use sender::{Offer, Sender};
pub use stream::{Account, Close, Observed, Stream};
pub use table::{Placed, Table};

use crate::segment::{Flags, Segment};
use crate::time::Instant;
use sender::sequence_len;

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The host at the vantage point; in a capture whichever end the reader takes for it.
    Local,
    /// The other one.
    Remote,
}

impl Side {
    /// Both sides, in the order of their numbers.
    pub const BOTH: [Self; 2] = [Self::Local, Self::Remote];

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Local => Self::Remote,
            Self::Remote => Self::Local,
        }
    }
}

/// A pair with one element for each side is indexed by the side.
impl<T> core::ops::Index<Side> for [T; 2] {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        &self.as_slice()[side as usize]
    }
}

impl<T> core::ops::IndexMut<Side> for [T; 2] {
    fn index_mut(&mut self, side: Side) -> &mut T {
        &mut self.as_mut_slice()[side as usize]
    }
}

/// One TCP connection as seen at a vantage point. Input: [`Conversation::observe`], once for each segment, in the order
/// of passage. Everything else reads.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    sides: [Sender; 2],
    opened_at: Option<Instant>,
    last_at: Instant,
}

impl Conversation {
    /// A connection of which nothing has been seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one segment sent by `from`, which passes the vantage point at `now`. Returns what it is.
    #[inline]
    pub fn observe(&mut self, now: Instant, from: Side, segment: &Segment<'_>) -> Seen {
        self.last_at = now;
        self.opened_at.get_or_insert(now);
        if segment.flags.intersects(Flags(Flags::SYN.0 | Flags::RST.0)) {
            // A segment with both bits is an RST: that is checked first in every state (RFC 9293, section 3.10.7).
            return if segment.is_rst() {
                self.observe_rst(from, segment)
            } else {
                self.observe_syn(now, from, segment)
            };
        }
        self.observe_plain(from, segment, sequence_len(segment))
    }

    /// The variables of one side.
    pub fn sender(&self, side: Side) -> &Sender {
        &self.sides[side as usize]
    }

    /// When the first segment of the connection passed; `None` before that.
    pub fn opened_at(&self) -> Option<Instant> {
        self.opened_at
    }

    /// When the last segment passed; the epoch before that.
    pub fn last_at(&self) -> Instant {
        self.last_at
    }

    /// Both SYNs were seen: the options are known, and windows can be scaled.
    pub fn handshake_seen(&self) -> bool {
        self.sides.iter().all(|sender| sender.iss.is_some())
    }

    /// Window scaling is in force: both SYNs were seen and carried the option (RFC 7323, section 2.2).
    pub fn window_scaling(&self) -> bool {
        self.both_offered(|offer| offer.wscale.is_some())
    }

    /// By how many bits the windows that `side` advertises are shifted, outside of its SYN: at most 14, and 0 unless
    /// scaling is in force.
    pub fn window_shift(&self, side: Side) -> u8 {
        self.sender(side).shift
    }

    /// Selective acknowledgments are in force: both SYNs permitted them (RFC 2018, section 2).
    pub fn sack(&self) -> bool {
        self.both_offered(|offer| offer.sack_permitted)
    }

    /// Timestamps are in force: both SYNs carried them (RFC 7323, section 3.2).
    pub fn timestamps(&self) -> bool {
        self.both_offered(|offer| offer.timestamps)
    }

    /// The connection is over: an acceptable RST, or a FIN from each side. Another one may follow on the same pair of
    /// sockets.
    pub fn is_over(&self) -> bool {
        self.sides.iter().any(|sender| sender.rst) || self.sides.iter().all(|sender| sender.fin.is_some())
    }

    /// Data first: the acknowledgment of a segment that cannot belong to the connection counts for nothing.
    #[inline]
    fn observe_plain(&mut self, from: Side, segment: &Segment<'_>, len: u32) -> Seen {
        let (own, peer) = self.pair(from);
        let placed = own.take_data(peer, segment, len);
        // A probe without data is no duplicate ACK: it stands below the window, and its receiver answers and drops it
        // (RFC 9293, section 3.10.7.4).
        let is_probe = matches!(placed.kind, DataKind::Probe | DataKind::KeepAlive);
        let ack = if segment.is_ack() && placed.kind != DataKind::Unacceptable {
            peer.take_ack(own, segment, if is_probe { 1 } else { len })
        } else {
            AckKind::None
        };
        Seen {
            data: placed.kind,
            ack,
            start: segment.seq,
            end: segment.seq + len,
            new_bytes: placed.new_bytes,
            restarted: false,
        }
    }

    fn both_offered(&self, what: impl Fn(&Offer) -> bool) -> bool {
        self.sides.iter().all(|sender| sender.iss.is_some() && what(&sender.offer))
    }

    fn sender_mut(&mut self, side: Side) -> &mut Sender {
        &mut self.sides[side as usize]
    }

    /// The variables of `side`, and those of its peer.
    fn pair(&mut self, side: Side) -> (&mut Sender, &mut Sender) {
        let [local, remote] = &mut self.sides;
        match side {
            Side::Local => (local, remote),
            Side::Remote => (remote, local),
        }
    }
}
