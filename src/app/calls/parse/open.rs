//! Which sockets a program has open at a line, and which of them is in hand. `parse` uses it to refuse a call that the
//! socket in hand cannot take. After `use`, the numbers of descriptors decide, and only the run knows them.

use super::super::Call;
use super::DATAGRAM;
use crate::socket::Type;

/// What an open socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// TCP, made by `socket` or `bind`.
    Fresh,
    Listener,
    Connection,
    /// UDP; true once it has a peer.
    Udp(bool),
}

/// The open sockets, the one in hand last.
#[derive(Debug, Default)]
pub(super) struct Open {
    sockets: Vec<Kind>,
    /// A `use` was there.
    unknown: bool,
}

const NO_CONNECTION: &str = "connect or accept before it: there is no connection";
pub(super) const NO_PEER: &str = "connect before it: the UDP socket in hand has no peer; or sendto and recvfrom";
pub(super) const NOT_UDP: &str = "a call for TCP; \"socket udp\" before it makes a UDP socket, which is in hand then";
pub(super) const ONLY_TCP: &str = "\"socket\" before it: a UDP socket is in hand, and the call is for TCP";
pub(super) const TOO_LONG: &str = "at most 65507 bytes: a UDP socket is in hand, and a datagram has no more";

impl Open {
    /// Follows a call. The error is what is expected.
    pub(super) fn follow(&mut self, call: &Call) -> Result<(), &'static str> {
        if let Call::Use(_) = call {
            self.unknown = true;
        }
        if self.unknown {
            return Ok(());
        }
        match call {
            Call::Fails(call, _) => self.follow_failing(call),
            _ => self.follow_one(call),
        }
    }

    /// A `connect` or `listen` that fails closes its socket.
    fn follow_failing(&mut self, call: &Call) -> Result<(), &'static str> {
        let made = self.sockets.len();
        self.follow_one(call)?;
        match call {
            Call::Connect(_) | Call::Listen(..) => {
                self.sockets.pop();
            }
            Call::Bind(_) | Call::SendTo(..) | Call::SendToPattern(..) => {}
            // It has made nothing: not a connection, not a socket.
            _ => self.sockets.truncate(made),
        }
        Ok(())
    }

    #[allow(clippy::match_same_arms)] // a row for each call
    fn follow_one(&mut self, call: &Call) -> Result<(), &'static str> {
        let hand = self.sockets.last().copied();
        match (call, hand) {
            (Call::Connect(_), Some(Kind::Udp(_))) => self.becomes(Kind::Udp(true)),
            (Call::Listen(..), Some(Kind::Udp(_))) => return Err(ONLY_TCP),
            (Call::Connect(_), Some(Kind::Fresh)) => self.becomes(Kind::Connection),
            (Call::Listen(..), Some(Kind::Fresh)) => self.becomes(Kind::Listener),
            (Call::Connect(_), _) => self.sockets.push(Kind::Connection),
            (Call::Listen(..), _) => self.sockets.push(Kind::Listener),
            (Call::Socket(_, Type::Stream), _) => self.sockets.push(Kind::Fresh),
            (Call::Socket(_, Type::Datagram), _) => self.sockets.push(Kind::Udp(false)),
            (Call::Bind(_), Some(Kind::Fresh | Kind::Udp(_))) => {}
            (Call::Bind(_), _) => self.sockets.push(Kind::Fresh),
            (Call::Accept, _) if self.sockets.contains(&Kind::Listener) => self.sockets.push(Kind::Connection),
            (Call::Accept, _) => return Err("listen before it"),
            (Call::Set(_), None) => {
                return Err("socket, connect, listen or accept before it: there is no descriptor");
            }
            (Call::SendTo(..) | Call::SendToPattern(..), None) => self.sockets.push(Kind::Udp(false)),
            (Call::SendTo(..) | Call::SendToPattern(..), Some(Kind::Udp(_))) => {}
            (Call::SendTo(..) | Call::SendToPattern(..), _) => return Err(NOT_UDP),
            (Call::RecvFrom | Call::RecvFromAll(_), Some(Kind::Udp(_))) => {}
            (Call::RecvFrom | Call::RecvFromAll(_), None) => return Err("sendto or \"socket udp\" before it"),
            (Call::RecvFrom | Call::RecvFromAll(_), _) => return Err(NOT_UDP),
            (Call::Close, Some(_)) => {
                self.sockets.pop();
            }
            (Call::Abort, Some(Kind::Connection)) => {
                self.sockets.pop();
            }
            (Call::RecvEof | Call::Abort, Some(Kind::Udp(_))) => return Err(ONLY_TCP),
            (call, Some(Kind::Udp(true))) if longest(call) > DATAGRAM => return Err(TOO_LONG),
            (_, Some(Kind::Connection | Kind::Udp(true))) => {}
            (Call::Sleep(_) | Call::Until(_) | Call::Use(_) | Call::Set(_), _) => {}
            (_, Some(Kind::Udp(false))) => return Err(NO_PEER),
            _ => return Err(NO_CONNECTION),
        }
        Ok(())
    }

    fn becomes(&mut self, kind: Kind) {
        self.sockets.pop();
        self.sockets.push(kind);
    }
}

/// The most bytes that a call writes at once.
fn longest(call: &Call) -> u64 {
    match call {
        Call::SendPattern(count) => *count,
        Call::SendPaced(count, pace) => (*count).min(pace.by),
        Call::Send(bytes) => bytes.len() as u64,
        _ => 0,
    }
}
