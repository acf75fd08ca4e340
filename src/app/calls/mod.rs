//! The program that is a list of calls, one per line. Scenario files and replay use it.
//!
//! ```text
//! connect server:80        connect, to a host of the table or an address: 10.0.0.2:80, [fd00::2]:80
//! listen 80 [backlog]      listen, on every address, or on one: listen 10.0.0.2:80
//! accept                   accept the next connection; the calls below are about it from now on
//! send 3000                write this number of bytes of the pattern of `bulk`; also 64KiB, 1MB
//! send "GET /\r\n"         write a text; escapes \" \\ \n \r \t \0 \xHH
//! send 3000 by 10 every 5ms   write them in pieces, with a pause behind each
//! recv 10                  read exactly this number of bytes
//! recv 3000 by 10 every 5ms   read them in pieces, with a pause behind each
//! recv eof                 read to the end
//! sleep 1.5s               wait: ns, us, ms, s, min, h
//! until 10s                wait until the host's clock has this time
//! shutdown wr              end a direction: wr, rd or rdwr
//! close                    close the socket in hand; the one before it is in hand again
//! abort                    close the connection with an RST
//! socket [udp]             make a socket
//! bind 5000                bind it, as listen has its address
//! set nodelay on           setsockopt(2)
//! use 4                    take this descriptor in hand
//! sendto server:53 100     send a datagram of this number of bytes of the pattern, or a text
//! recvfrom                 read a datagram
//! recvfrom all 1s          read datagrams until none has arrived for this time
//! CALL -> ECONNREFUSED     the call must fail with this error, or the program has failed
//! ```
//!
//! `set` takes `reuseaddr`, `nodelay`, `quickack`, `keepalive`, `v6only` (`on`, `off`), `rcvbuf`, `sndbuf`, `maxseg`,
//! `keepcnt`, `ttl` (a number), `keepidle`, `keepintvl`, `usertimeout`, `rcvtimeo`, `sndtimeo`, `linger` (a time).
//!
//! Every call is about the socket in hand, which is the one that was made, accepted or named by `use` last, or it is an
//! error. Three calls make a socket if the one in hand is none that they could be about: `connect`, `listen` and `bind`
//! make one of TCP beside a connection or a listener, and without a socket. `sendto` makes one of UDP if there is none.
//! `accept` is about the listener that was in hand last. `connect` gives a UDP socket its peer: then each `send` is a
//! datagram, and `recv` reads datagrams until so many bytes have come.
//!
//! Descriptors are numbered for each host: a call gets the lowest free number from 3. A listener made by `listen` alone
//! has `SO_REUSEADDR`; one made by `socket` has the options that are set. Everything after `#` outside a text is a
//! comment.
//! The program stops at the first call that fails. At its end every open descriptor is closed, the oldest first, as
//! when a process ends.

mod parse;
mod process;

pub use parse::{ParseError, parse};

use std::fmt;
use std::net::SocketAddr;

use crate::net::Net;
use crate::socket::{Domain, Errno, Fd, Shutdown, SocketOption, Type};
use crate::time::{Duration, Instant};
use process::Process;

/// One call of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Connect to this address.
    Connect(SocketAddr),
    /// Listen on this address with this backlog.
    Listen(SocketAddr, usize),
    /// Accept the next connection.
    Accept,
    /// Write this number of bytes of the pattern. It continues where the previous send on this connection ended. On a UDP
    /// socket it is one datagram, from the beginning of the pattern.
    SendPattern(u64),
    /// Write these bytes.
    Send(Vec<u8>),
    /// Read exactly this number of bytes.
    Recv(u64),
    /// Read to the end.
    RecvEof,
    /// Wait.
    Sleep(Duration),
    /// End one or both directions.
    Shutdown(Shutdown),
    /// Close the socket in hand.
    Close,
    /// Close the connection with an RST.
    Abort,
    /// Write this number of bytes of the pattern in pieces, with a pause after each.
    SendPaced(u64, Pace),
    /// Read exactly this number of bytes in pieces, with a pause after each.
    RecvPaced(u64, Pace),
    /// Wait until this instant.
    Until(Instant),
    /// Make a socket.
    Socket(Domain, Type),
    /// Bind the new socket.
    Bind(SocketAddr),
    /// Set an option.
    Set(SocketOption),
    /// Take this descriptor in hand.
    Use(Fd),
    /// Send a datagram with this number of bytes of the pattern.
    SendToPattern(SocketAddr, u64),
    /// Send a datagram with these bytes.
    SendTo(SocketAddr, Vec<u8>),
    /// Read a datagram.
    RecvFrom,
    /// Read datagrams until none has arrived for this time.
    RecvFromAll(Duration),
    /// The call must fail with this error.
    Fails(Box<Call>, Errno),
}

/// How bytes are written or read in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes at once.
    pub by: u64,
    /// The pause behind each piece.
    pub every: Duration,
}

impl fmt::Display for Call {
    /// As it is written in a program.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(addr) => write!(f, "connect {addr}"),
            Self::Listen(addr, backlog) => write!(f, "listen {addr} {backlog}"),
            Self::Accept => f.write_str("accept"),
            Self::SendPattern(count) => write!(f, "send {count}"),
            Self::Send(bytes) => write!(f, "send {}", Text(bytes)),
            Self::Recv(count) => write!(f, "recv {count}"),
            Self::RecvEof => f.write_str("recv eof"),
            Self::Sleep(time) => write!(f, "sleep {}", Time(*time)),
            Self::Shutdown(how) => f.write_str(match how {
                Shutdown::Read => "shutdown rd",
                Shutdown::Write => "shutdown wr",
                Shutdown::Both => "shutdown rdwr",
            }),
            Self::Close => f.write_str("close"),
            Self::Abort => f.write_str("abort"),
            Self::SendPaced(count, pace) => write!(f, "send {count} {pace}"),
            Self::RecvPaced(count, pace) => write!(f, "recv {count} {pace}"),
            Self::Until(at) => write!(f, "until {}", Time(*at - Instant::EPOCH)),
            Self::Socket(domain, kind) => f.write_str(match (kind, domain) {
                (Type::Stream, Domain::Inet) => "socket tcp",
                (Type::Stream, Domain::Inet6) => "socket tcp6",
                (Type::Datagram, Domain::Inet) => "socket udp",
                (Type::Datagram, Domain::Inet6) => "socket udp6",
            }),
            Self::Bind(addr) => write!(f, "bind {addr}"),
            Self::Set(option) => write!(f, "set {}", parse::Setting(*option)),
            Self::Use(fd) => write!(f, "use {fd}"),
            Self::SendToPattern(addr, count) => write!(f, "sendto {addr} {count}"),
            Self::SendTo(addr, bytes) => write!(f, "sendto {addr} {}", Text(bytes)),
            Self::RecvFrom => f.write_str("recvfrom"),
            Self::RecvFromAll(time) => write!(f, "recvfrom all {}", Time(*time)),
            Self::Fails(call, errno) => write!(f, "{call} -> {}", errno.name()),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {} every {}", self.by, Time(self.every))
    }
}

/// Bytes as a text in quotation marks.
struct Text<'a>(&'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for &byte in self.0 {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                b' '..=b'~' => write!(f, "{}", char::from(byte))?,
                b'\n' => f.write_str("\\n")?,
                b'\r' => f.write_str("\\r")?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        f.write_str("\"")
    }
}

/// A time in its largest whole unit.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let units = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
        let (unit, scale) = units.into_iter().find(|&(_, scale)| nanos.is_multiple_of(scale)).unwrap_or(("ns", 1));
        write!(f, "{}{unit}", nanos / scale)
    }
}

/// What a program has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Calls that succeeded.
    pub calls: usize,
    /// Bytes written.
    pub sent: u64,
    /// Bytes read.
    pub received: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Datagrams read.
    pub datagrams_received: u64,
}

/// The call that failed and ended the program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("call {number} ({call}): {why}")]
pub struct Failed {
    /// Which, from 1.
    pub number: usize,
    /// The call.
    pub call: Box<Call>,
    /// What went wrong.
    pub why: Why,
    /// What was done before.
    pub done: Done,
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A socket call gave an error.
    #[error("{0}")]
    Errno(Errno),
    /// The peer ended before everything had come.
    #[error("the peer ended after {got} of {wanted} bytes")]
    Eof {
        /// Bytes that came.
        got: u64,
        /// Bytes that were asked for.
        wanted: u64,
    },
    /// There is no connection, or no listener, to make the call on. `parse` refuses such a program.
    #[error("there is no descriptor to make it on")]
    NoDescriptor,
    /// It succeeded, and was expected to fail.
    #[error("it succeeded; it was expected to fail with {0}")]
    WentWell(Errno),
}

impl From<Errno> for Why {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// Runs a program. `before` gets each call when it is made: its number from 1, and the call.
pub async fn run(net: Net, calls: &[Call], before: impl FnMut(usize, &Call)) -> Result<Done, Failed> {
    run_reading(net, calls, before, |_| {}).await
}

/// As [`run`]. `on_read` also gets the bytes that were read, as they arrive.
pub async fn run_reading(
    net: Net,
    calls: &[Call],
    mut before: impl FnMut(usize, &Call),
    on_read: impl FnMut(&[u8]),
) -> Result<Done, Failed> {
    let mut process = Process::new(net, on_read);
    for (index, call) in calls.iter().enumerate() {
        before(index + 1, call);
        if let Err(why) = process.make_expecting(call).await {
            return Err(Failed { number: index + 1, call: Box::new(call.clone()), why, done: process.done });
        }
        process.done.calls += 1;
    }
    Ok(process.done)
}
