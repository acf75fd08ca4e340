//! The program that is a list of calls, one per line, for scenario files and replay:
//!
//! ```text
//! connect server:80      connect, to a host of the table or an address: 10.0.0.2:80, [fd00::2]:80
//! listen 80 [backlog]    listen, on every address, or on one: listen 10.0.0.2:80
//! accept                 accept the next connection; the calls below are about it from now on
//! send 3000              write so many octets of the pattern of `bulk`
//! send "GET /\r\n"       write a text; escapes \" \\ \n \r \t \0 \xHH
//! recv 10                read exactly so many octets
//! recv eof               read to the end
//! sleep 1.5s             wait: ns, us, ms, s, m
//! shutdown wr            end a direction: wr, rd or rdwr
//! close                  close the connection; the listener, if there is no connection
//! abort                  close the connection with an RST
//! ```
//!
//! Everything after `#` outside a text is a comment. The program stops at the first call that fails. At its end every
//! descriptor that is still open is closed, oldest first, as when a process ends.

mod parse;

pub use parse::{ParseError, parse};

use std::fmt;
use std::net::SocketAddr;

use super::bulk;
use crate::net::Net;
use crate::socket::{Domain, Errno, Fd, Shutdown, SocketOption, Type};
use crate::time::Duration;

/// Octets read at once.
const BUFFER: usize = 16 * 1024;

/// One call of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Connect to this address.
    Connect(SocketAddr),
    /// Listen on this address with this backlog.
    Listen(SocketAddr, usize),
    /// Accept the next connection.
    Accept,
    /// Write so many octets of the pattern; it goes on where the send before it on this connection ended.
    SendPattern(u64),
    /// Write these octets.
    Send(Vec<u8>),
    /// Read exactly so many octets.
    Recv(u64),
    /// Read to the end.
    RecvEof,
    /// Wait.
    Sleep(Duration),
    /// End one or both directions.
    Shutdown(Shutdown),
    /// Close the connection; without one, the listener.
    Close,
    /// Close the connection with an RST.
    Abort,
}

impl fmt::Display for Call {
    /// As it is written in a program.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(addr) => write!(f, "connect {addr}"),
            Self::Listen(addr, backlog) => write!(f, "listen {addr} {backlog}"),
            Self::Accept => f.write_str("accept"),
            Self::SendPattern(count) => write!(f, "send {count}"),
            Self::Send(octets) => {
                f.write_str("send \"")?;
                for &octet in octets {
                    match octet {
                        b'"' | b'\\' => write!(f, "\\{}", char::from(octet))?,
                        b' '..=b'~' => write!(f, "{}", char::from(octet))?,
                        b'\n' => f.write_str("\\n")?,
                        b'\r' => f.write_str("\\r")?,
                        _ => write!(f, "\\x{octet:02x}")?,
                    }
                }
                f.write_str("\"")
            }
            Self::Recv(count) => write!(f, "recv {count}"),
            Self::RecvEof => f.write_str("recv eof"),
            Self::Sleep(time) => {
                let nanos = time.as_nanos();
                let units = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
                let (unit, scale) = units.into_iter().find(|&(_, scale)| nanos % scale == 0).unwrap_or(("ns", 1));
                write!(f, "sleep {}{unit}", nanos / scale)
            }
            Self::Shutdown(how) => f.write_str(match how {
                Shutdown::Read => "shutdown rd",
                Shutdown::Write => "shutdown wr",
                Shutdown::Both => "shutdown rdwr",
            }),
            Self::Close => f.write_str("close"),
            Self::Abort => f.write_str("abort"),
        }
    }
}

/// What a program has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Calls that went well.
    pub calls: usize,
    /// Octets written.
    pub sent: u64,
    /// Octets read.
    pub received: u64,
}

/// The call that ended a program early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("call {number} ({call}): {why}")]
pub struct Failed {
    /// Which, from 1.
    pub number: usize,
    /// The call.
    pub call: Call,
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
    #[error("the peer ended after {got} of {wanted} octets")]
    Eof {
        /// Octets that came.
        got: u64,
        /// Octets that were asked for.
        wanted: u64,
    },
    /// There is no connection, or no listener, to make the call on. `parse` refuses such a program.
    #[error("there is no descriptor to make it on")]
    NoDescriptor,
}

impl From<Errno> for Why {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// Runs a program. `before` is told of each call when it is made: its number from 1, and the call.
pub async fn run(net: Net, calls: &[Call], before: impl FnMut(usize, &Call)) -> Result<Done, Failed> {
    run_heard(net, calls, before, |_| {}).await
}

/// As [`run`], and `heard` is told of the octets that were read, as they come.
pub async fn run_heard(
    net: Net,
    calls: &[Call],
    mut before: impl FnMut(usize, &Call),
    heard: impl FnMut(&[u8]),
) -> Result<Done, Failed> {
    let buf = vec![0; BUFFER];
    let done = Done::default();
    let mut process = Process { net, open: Vec::new(), listener: None, connection: None, offset: 0, done, buf, heard };
    for (index, call) in calls.iter().enumerate() {
        before(index + 1, call);
        if let Err(why) = process.make(call).await {
            return Err(Failed { number: index + 1, call: call.clone(), why, done: process.done });
        }
        process.done.calls += 1;
    }
    Ok(process.done)
}

/// A program that runs, with what it has open. Dropping it closes that.
struct Process<H> {
    net: Net,
    /// Oldest first.
    open: Vec<Fd>,
    listener: Option<Fd>,
    connection: Option<Fd>,
    /// How much of the pattern was sent on the connection.
    offset: u64,
    done: Done,
    buf: Vec<u8>,
    heard: H,
}

impl<H> Drop for Process<H> {
    fn drop(&mut self) {
        for &fd in &self.open {
            let _ = self.net.close(fd); // nobody is left to be told
        }
    }
}

impl<H: FnMut(&[u8])> Process<H> {
    async fn make(&mut self, call: &Call) -> Result<(), Why> {
        match *call {
            Call::Connect(addr) => {
                let fd = self.socket(&addr)?;
                self.connection = Some(fd);
                self.offset = 0;
                self.net.connect(fd, addr).await?;
            }
            Call::Listen(addr, backlog) => {
                let fd = self.socket(&addr)?;
                self.listener = Some(fd);
                self.net.setsockopt(fd, SocketOption::ReuseAddr(true))?;
                self.net.bind(fd, addr)?;
                self.net.listen(fd, backlog)?;
            }
            Call::Accept => {
                let (fd, _) = self.net.accept(self.listener.ok_or(Why::NoDescriptor)?).await?;
                self.open.push(fd);
                self.connection = Some(fd);
                self.offset = 0;
            }
            Call::SendPattern(count) => self.send_pattern(count).await?,
            Call::Send(ref octets) => self.send(octets).await?,
            Call::Recv(count) => self.receive(count).await?,
            Call::RecvEof => while self.read(BUFFER as u64).await? > 0 {},
            Call::Sleep(time) => self.net.sleep(time).await,
            Call::Shutdown(how) => self.net.shutdown(self.connection()?, how)?,
            Call::Close => {
                let fd = self.connection.take().or_else(|| self.listener.take()).ok_or(Why::NoDescriptor)?;
                self.close(fd)?;
            }
            Call::Abort => {
                let fd = self.connection.take().ok_or(Why::NoDescriptor)?;
                self.net.setsockopt(fd, SocketOption::Linger(Some(Duration::ZERO)))?;
                self.close(fd)?;
            }
        }
        Ok(())
    }

    fn socket(&mut self, addr: &SocketAddr) -> Result<Fd, Errno> {
        let fd = self.net.socket(Domain::of(addr), Type::Stream)?;
        self.open.push(fd);
        Ok(fd)
    }

    fn connection(&self) -> Result<Fd, Why> {
        self.connection.ok_or(Why::NoDescriptor)
    }

    fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        self.open.retain(|&open| open != fd);
        self.net.close(fd)
    }

    async fn send_pattern(&mut self, count: u64) -> Result<(), Why> {
        let end = self.offset.saturating_add(count);
        while self.offset < end {
            let piece = bulk::pattern(self.offset, end - self.offset);
            self.send(piece).await?;
            self.offset += piece.len() as u64;
        }
        Ok(())
    }

    async fn send(&mut self, mut octets: &[u8]) -> Result<(), Why> {
        let fd = self.connection()?;
        // A write that an error cut short is followed by one that gives the error.
        while !octets.is_empty() {
            let count = self.net.write(fd, octets).await?;
            self.done.sent += count as u64;
            octets = &octets[count..];
        }
        Ok(())
    }

    async fn receive(&mut self, wanted: u64) -> Result<(), Why> {
        let mut got = 0;
        while got < wanted {
            match self.read(wanted - got).await? {
                0 => return Err(Why::Eof { got, wanted }),
                count => got += count,
            }
        }
        Ok(())
    }

    async fn read(&mut self, limit: u64) -> Result<u64, Why> {
        let limit = limit.min(BUFFER as u64) as usize;
        let count = self.net.read(self.connection()?, &mut self.buf[..limit]).await? as u64;
        self.done.received += count;
        (self.heard)(&self.buf[..count as usize]);
        Ok(count)
    }
}
