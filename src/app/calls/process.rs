//! A running list of calls: its open descriptors, which of them is in hand, and what each call does with it.

use std::net::SocketAddr;

use super::parse::DATAGRAM;
use super::{Call, Done, Pace, Why};
use crate::app::bulk;
use crate::net::Net;
use crate::socket::{Domain, Errno, Fd, MsgFlags, SocketOption, Type};
use crate::time::Duration;

/// Bytes read from a stream at once.
const BUFFER: usize = 16 * 1024;

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// TCP, made by `socket` or `bind`: not yet connected and not listening.
    Fresh,
    Listener,
    Connection,
    Datagram,
}

/// An open descriptor.
#[derive(Clone, Copy, Debug)]
struct Opened {
    fd: Fd,
    kind: Kind,
    /// How much of the pattern was sent on it.
    offset: u64,
}

/// A running program with its open descriptors. Dropping it closes them.
pub(super) struct Process<H> {
    net: Net,
    /// Oldest first.
    open: Vec<Opened>,
    /// The order in which descriptors came into hand; the last one is in hand.
    hands: Vec<Fd>,
    pub(super) done: Done,
    on_read: H,
}

impl<H> Drop for Process<H> {
    fn drop(&mut self) {
        for opened in &self.open {
            let _ = self.net.close(opened.fd); // a drop cannot report an error
        }
    }
}

impl<H: FnMut(&[u8])> Process<H> {
    pub(super) fn new(net: Net, on_read: H) -> Self {
        Self { net, open: Vec::new(), hands: Vec::new(), done: Done::default(), on_read }
    }

    /// Makes a call. It must succeed, or fail with the error that the program names.
    pub(super) async fn make_expecting(&mut self, call: &Call) -> Result<(), Why> {
        let Call::Fails(call, expected) = call else { return self.make(call).await };
        let unused = matches!(self.kind(), Some(Kind::Fresh | Kind::Datagram));
        let before = self.hands.len();
        match self.make(call).await {
            Ok(()) => Err(Why::WentWell(*expected)),
            Err(Why::Errno(errno)) if errno == *expected => {
                // A socket that could not connect or listen is closed.
                if matches!(**call, Call::Connect(_) | Call::Listen(..)) && (unused || self.hands.len() > before) {
                    let _ = self.close_current(); // the error that matters is known
                }
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    async fn make(&mut self, call: &Call) -> Result<(), Why> {
        match *call {
            Call::Connect(addr) => {
                let fd = self.unused_or_new(&addr)?;
                self.becomes(fd, Kind::Connection);
                self.net.connect(fd, addr).await?;
            }
            Call::Listen(addr, backlog) => self.listen(addr, backlog)?,
            Call::Accept => {
                let fd = self.listener().ok_or(Why::NoDescriptor)?;
                let (fd, _) = self.net.accept(fd).await?;
                self.take_in_hand(fd, Kind::Connection);
            }
            Call::SendPattern(count) => self.send_pattern(count).await?,
            Call::Send(ref bytes) => self.send(bytes).await?,
            Call::SendPaced(count, Pace { by, every }) => {
                let mut left = count;
                while left > 0 {
                    self.send_pattern(left.min(by)).await?;
                    left = left.saturating_sub(by);
                    self.net.sleep(every).await;
                }
            }
            Call::Recv(count) => self.receive(count).await?,
            Call::RecvPaced(count, Pace { by, every }) => {
                let mut left = count;
                while left > 0 {
                    self.receive(left.min(by)).await?;
                    left = left.saturating_sub(by);
                    self.net.sleep(every).await;
                }
            }
            Call::RecvEof if self.kind() == Some(Kind::Datagram) => return Err(Errno::EOPNOTSUPP.into()),
            Call::RecvEof => while self.read(BUFFER as u64).await? > 0 {},
            Call::Sleep(time) => self.net.sleep(time).await,
            Call::Until(at) => self.net.sleep_until(at).await,
            Call::Shutdown(how) => self.net.shutdown(self.hand()?, how)?,
            Call::Close => self.close_current()?,
            Call::Abort => {
                self.net.setsockopt(self.hand()?, SocketOption::Linger(Some(Duration::ZERO)))?;
                self.close_current()?;
            }
            Call::Socket(domain, kind) => {
                self.socket(domain, kind)?;
            }
            Call::Bind(addr) => {
                let fd = self.unused_or_new(&addr)?;
                self.net.bind(fd, addr)?;
            }
            Call::Set(option) => self.net.setsockopt(self.hand()?, option)?,
            Call::Use(fd) => {
                let kind = self.open.iter().find(|open| open.fd == fd).map(|open| open.kind).ok_or(Errno::EBADF)?;
                self.take_in_hand(fd, kind);
            }
            Call::SendToPattern(to, count) => self.send_to(to, &bulk::bytes(count)).await?,
            Call::SendTo(to, ref bytes) => self.send_to(to, bytes).await?,
            Call::RecvFrom => {
                let fd = self.hand()?;
                let len = self.net.recvfrom_shared(fd, DATAGRAM as usize).await?;
                self.note_datagram(len);
            }
            Call::RecvFromAll(limit) => {
                let fd = self.hand()?;
                let net = self.net.clone();
                loop {
                    let read = net.timeout(limit, net.recvfrom_shared(fd, DATAGRAM as usize));
                    let Ok(read) = read.await else { break };
                    self.note_datagram(read?);
                }
            }
            // A call can be expected to fail once.
            Call::Fails(..) => return Err(Why::NoDescriptor),
        }
        Ok(())
    }

    fn listen(&mut self, addr: SocketAddr, backlog: usize) -> Result<(), Why> {
        let own = !matches!(self.kind(), Some(Kind::Fresh | Kind::Datagram));
        let fd = self.unused_or_new(&addr)?;
        if own {
            self.net.setsockopt(fd, SocketOption::ReuseAddr(true))?;
        }
        let bound = self.net.getsockname(fd)?.port() != 0;
        if !bound {
            self.net.bind(fd, addr)?;
        }
        self.net.listen(fd, backlog)?;
        self.becomes(fd, Kind::Listener);
        Ok(())
    }

    // ---- descriptors

    /// The descriptor in hand.
    fn hand(&self) -> Result<Fd, Why> {
        self.hands.last().copied().ok_or(Why::NoDescriptor)
    }

    /// What the descriptor in hand is.
    fn kind(&self) -> Option<Kind> {
        let hand = self.hands.last()?;
        self.open.iter().find(|open| open.fd == *hand).map(|open| open.kind)
    }

    /// The listener in hand, else the one that was in hand last.
    fn listener(&self) -> Option<Fd> {
        let is_listener = |fd: &Fd| self.open.iter().any(|open| open.fd == *fd && open.kind == Kind::Listener);
        self.hands.iter().rev().copied().find(is_listener)
    }

    fn take_in_hand(&mut self, fd: Fd, kind: Kind) {
        if !self.open.iter().any(|open| open.fd == fd) {
            self.open.push(Opened { fd, kind, offset: 0 });
        }
        self.hands.retain(|known| *known != fd);
        self.hands.push(fd);
    }

    /// A TCP socket becomes this. A UDP socket stays one.
    fn becomes(&mut self, fd: Fd, kind: Kind) {
        if let Some(open) = self.open.iter_mut().find(|open| open.fd == fd && open.kind == Kind::Fresh) {
            open.kind = kind;
        }
    }

    /// The socket in hand if it is not connected and not listening, or of UDP; else a new TCP socket for this address.
    fn unused_or_new(&mut self, addr: &SocketAddr) -> Result<Fd, Why> {
        match self.kind() {
            Some(Kind::Fresh | Kind::Datagram) => self.hand(),
            _ => Ok(self.socket(Domain::of(addr), Type::Stream)?),
        }
    }

    fn socket(&mut self, domain: Domain, kind: Type) -> Result<Fd, Errno> {
        let fd = self.net.socket(domain, kind)?;
        self.take_in_hand(fd, if kind == Type::Stream { Kind::Fresh } else { Kind::Datagram });
        Ok(fd)
    }

    /// Closes the descriptor in hand. The one that was in hand before is in hand again.
    fn close_current(&mut self) -> Result<(), Why> {
        let fd = self.hands.pop().ok_or(Why::NoDescriptor)?;
        self.open.retain(|open| open.fd != fd);
        Ok(self.net.close(fd)?)
    }

    // ---- data

    async fn send_pattern(&mut self, count: u64) -> Result<(), Why> {
        if self.kind() == Some(Kind::Datagram) {
            if count > DATAGRAM {
                return Err(Errno::EMSGSIZE.into());
            }
            return self.send(&bulk::bytes(count)).await;
        }
        let fd = self.hand()?;
        let begin = self.open.iter().find(|open| open.fd == fd).map_or(0, |open| open.offset);
        let end = begin.saturating_add(count);
        let mut offset = begin;
        while offset < end {
            let piece = bulk::pattern(offset, end - offset);
            self.send(piece).await?;
            offset += piece.len() as u64;
            if let Some(open) = self.open.iter_mut().find(|open| open.fd == fd) {
                open.offset = offset;
            }
        }
        Ok(())
    }

    async fn send(&mut self, mut bytes: &[u8]) -> Result<(), Why> {
        let fd = self.hand()?;
        if self.kind() == Some(Kind::Datagram) {
            self.net.write(fd, bytes).await?;
            self.done.sent += bytes.len() as u64;
            self.done.datagrams_sent += 1;
            return Ok(());
        }
        // A write that an error cut short is followed by one that gives the error.
        while !bytes.is_empty() {
            let count = self.net.write(fd, bytes).await?;
            self.done.sent += count as u64;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    async fn send_to(&mut self, to: SocketAddr, bytes: &[u8]) -> Result<(), Why> {
        let fd = match self.hands.last() {
            Some(fd) => *fd,
            None => self.socket(Domain::of(&to), Type::Datagram)?,
        };
        self.net.sendto(fd, bytes, MsgFlags::NONE, Some(to)).await?;
        self.done.sent += bytes.len() as u64;
        self.done.datagrams_sent += 1;
        Ok(())
    }

    fn note_datagram(&mut self, len: usize) {
        self.done.received += len as u64;
        self.done.datagrams_received += 1;
    }

    /// Reads so many bytes; of UDP, datagrams until so many bytes have come.
    async fn receive(&mut self, wanted: u64) -> Result<(), Why> {
        let datagrams = self.kind() == Some(Kind::Datagram);
        let mut got = 0;
        while got < wanted {
            match self.read(wanted - got).await? {
                // A datagram may be empty.
                0 if datagrams => {}
                0 => return Err(Why::Eof { got, wanted }),
                count => got += count,
            }
            self.done.datagrams_received += u64::from(datagrams);
        }
        Ok(())
    }

    async fn read(&mut self, limit: u64) -> Result<u64, Why> {
        let most = if self.kind() == Some(Kind::Datagram) { DATAGRAM } else { BUFFER as u64 };
        let fd = self.hand()?;
        let on_read = &mut self.on_read;
        let take = |bytes: &[u8]| {
            on_read(bytes);
            bytes.len() as u64
        };
        let count = self.net.read_shared(fd, limit.min(most) as usize, take).await?;
        self.done.received += count;
        Ok(count)
    }
}
