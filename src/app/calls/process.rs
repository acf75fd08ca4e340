//! A running list of calls: its open descriptors, and what each call does with them.

use std::net::SocketAddr;

use super::{Call, Done, Pace, Why};
use crate::app::bulk;
use crate::net::Net;
use crate::socket::{Domain, Errno, Fd, MsgFlags, SocketOption, Type};
use crate::time::Duration;

/// Bytes read from a stream at once.
const BUFFER: usize = 16 * 1024;

/// A running program with its open descriptors. Dropping it closes them.
pub(super) struct Process<H> {
    net: Net,
    /// Oldest first.
    open: Vec<Fd>,
    /// Made by `socket`, not yet connected and not listening.
    fresh: Option<Fd>,
    listener: Option<Fd>,
    connection: Option<Fd>,
    datagram: Option<Fd>,
    /// How much of the pattern was sent on the connection.
    offset: u64,
    pub(super) done: Done,
    buf: Vec<u8>,
    on_read: H,
}

impl<H> Drop for Process<H> {
    fn drop(&mut self) {
        for &fd in &self.open {
            let _ = self.net.close(fd); // a drop cannot report an error
        }
    }
}

impl<H: FnMut(&[u8])> Process<H> {
    pub(super) fn new(net: Net, on_read: H) -> Self {
        Self {
            net,
            open: Vec::new(),
            fresh: None,
            listener: None,
            connection: None,
            datagram: None,
            offset: 0,
            done: Done::default(),
            // A whole datagram fits.
            buf: vec![0; 64 * 1024],
            on_read,
        }
    }

    /// Makes a call. It must succeed, or fail with the error that the program names.
    pub(super) async fn make_expecting(&mut self, call: &Call) -> Result<(), Why> {
        let Call::Fails(call, expected) = call else { return self.make(call).await };
        match self.make(call).await {
            Ok(()) => Err(Why::WentWell(*expected)),
            Err(Why::Errno(errno)) if errno == *expected => {
                // A socket that could not connect or listen is closed.
                match **call {
                    Call::Connect(_) => self.drop_connection(),
                    Call::Listen(..) => self.drop_listener(),
                    _ => {}
                }
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    async fn make(&mut self, call: &Call) -> Result<(), Why> {
        match *call {
            Call::Connect(addr) => {
                let fd = self.fresh_or_new(&addr)?;
                self.fresh = None;
                self.connection = Some(fd);
                self.offset = 0;
                self.net.connect(fd, addr).await?;
            }
            Call::Listen(addr, backlog) => self.listen(addr, backlog)?,
            Call::Accept => {
                let (fd, _) = self.net.accept(self.listener.ok_or(Why::NoDescriptor)?).await?;
                self.open.push(fd);
                self.connection = Some(fd);
                self.offset = 0;
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
            Call::RecvEof => while self.read(BUFFER as u64).await? > 0 {},
            Call::Sleep(time) => self.net.sleep(time).await,
            Call::Until(at) => self.net.sleep_until(at).await,
            Call::Shutdown(how) => self.net.shutdown(self.connection()?, how)?,
            Call::Close => self.close_current()?,
            Call::Abort => {
                let fd = self.connection.take().ok_or(Why::NoDescriptor)?;
                self.net.setsockopt(fd, SocketOption::Linger(Some(Duration::ZERO)))?;
                self.close(fd)?;
            }
            Call::Socket(domain, kind) => {
                let fd = self.socket(domain, kind)?;
                *(if kind == Type::Stream { &mut self.fresh } else { &mut self.datagram }) = Some(fd);
            }
            Call::Bind(addr) => {
                let fd = match (self.fresh, self.datagram) {
                    (None, Some(fd)) => fd,
                    _ => self.fresh_or_new(&addr)?,
                };
                self.net.bind(fd, addr)?;
            }
            Call::Set(option) => {
                let fd = self.fresh.or(self.connection).or(self.datagram).or(self.listener).ok_or(Why::NoDescriptor)?;
                self.net.setsockopt(fd, option)?;
            }
            Call::Use(fd) => {
                let known = self.open.contains(&fd);
                self.connection = Some(known.then_some(fd).ok_or(Errno::EBADF)?);
                self.offset = 0;
            }
            Call::SendToPattern(to, count) => self.send_to(to, &bulk::bytes(count)).await?,
            Call::SendTo(to, ref bytes) => self.send_to(to, bytes).await?,
            Call::RecvFrom => {
                let fd = self.datagram.ok_or(Why::NoDescriptor)?;
                let (len, _) = self.net.recvfrom(fd, &mut self.buf, MsgFlags::NONE).await?;
                self.note_datagram(len);
            }
            Call::RecvFromAll(limit) => {
                let fd = self.datagram.ok_or(Why::NoDescriptor)?;
                let net = self.net.clone();
                while let Ok(read) = net.timeout(limit, net.recvfrom(fd, &mut self.buf, MsgFlags::NONE)).await {
                    self.note_datagram(read?.0);
                }
            }
            // A call can be expected to fail once.
            Call::Fails(..) => return Err(Why::NoDescriptor),
        }
        Ok(())
    }

    fn listen(&mut self, addr: SocketAddr, backlog: usize) -> Result<(), Why> {
        let own = self.fresh.is_none();
        let fd = self.fresh_or_new(&addr)?;
        if own {
            self.net.setsockopt(fd, SocketOption::ReuseAddr(true))?;
        }
        let bound = self.net.getsockname(fd)?.port() != 0;
        if !bound {
            self.net.bind(fd, addr)?;
        }
        self.net.listen(fd, backlog)?;
        self.fresh = None;
        self.listener = Some(fd);
        Ok(())
    }

    /// What `socket` has made, or a socket for this address.
    fn fresh_or_new(&mut self, addr: &SocketAddr) -> Result<Fd, Errno> {
        if self.fresh.is_none() {
            self.fresh = Some(self.socket(Domain::of(addr), Type::Stream)?);
        }
        self.fresh.ok_or(Errno::EBADF)
    }

    fn socket(&mut self, domain: Domain, kind: Type) -> Result<Fd, Errno> {
        let fd = self.net.socket(domain, kind)?;
        self.open.push(fd);
        Ok(fd)
    }

    fn connection(&self) -> Result<Fd, Why> {
        self.connection.ok_or(Why::NoDescriptor)
    }

    fn close_current(&mut self) -> Result<(), Why> {
        let slots = [&mut self.connection, &mut self.fresh, &mut self.datagram, &mut self.listener];
        let fd = slots.into_iter().find_map(Option::take).ok_or(Why::NoDescriptor)?;
        Ok(self.close(fd)?)
    }

    fn drop_connection(&mut self) {
        if let Some(fd) = self.connection.take() {
            let _ = self.close(fd); // the error that matters is known
        }
    }

    fn drop_listener(&mut self) {
        if let Some(fd) = self.fresh.take() {
            let _ = self.close(fd); // the error that matters is known
        }
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

    async fn send(&mut self, mut bytes: &[u8]) -> Result<(), Why> {
        let fd = self.connection()?;
        // A write that an error cut short is followed by one that gives the error.
        while !bytes.is_empty() {
            let count = self.net.write(fd, bytes).await?;
            self.done.sent += count as u64;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    async fn send_to(&mut self, to: SocketAddr, bytes: &[u8]) -> Result<(), Why> {
        let fd = match self.datagram {
            Some(fd) => fd,
            None => self.socket(Domain::of(&to), Type::Datagram)?,
        };
        self.datagram = Some(fd);
        self.net.sendto(fd, bytes, MsgFlags::NONE, Some(to)).await?;
        self.done.sent += bytes.len() as u64;
        self.done.datagrams_sent += 1;
        Ok(())
    }

    fn note_datagram(&mut self, len: usize) {
        self.done.received += len as u64;
        self.done.datagrams_received += 1;
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
        (self.on_read)(&self.buf[..count as usize]);
        Ok(count)
    }
}
