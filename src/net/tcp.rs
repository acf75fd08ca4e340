//! TCP sockets for async programs: a listener and a stream that close their descriptor when they are dropped.
//!
//! They ignore `O_NONBLOCK` and the timeouts of the descriptor; use [`Net::timeout`]. Errors are `std::io::Error` with
//! the [`Errno`] inside. A stream can be cloned to read in one task and write in another. The descriptor is closed with
//! the last clone.

use core::cell::Cell;
use core::task::{Context, Poll};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::handle::Net;
use super::wait::{Interest, Place};
use crate::socket::{Domain, Errno, Fd, Host, Shutdown, SocketOption, Type};
use crate::time::Duration;

/// The backlog of [`TcpListener::bind`], as in Rust's standard library.
const BACKLOG: usize = 128;

/// Bytes that [`TcpStream::read_to_end`] reads at once.
const CHUNK: usize = 16 * 1024;

/// A descriptor that is closed with its owner.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) net: Net,
    fd: Cell<Option<Fd>>,
}

impl Owned {
    pub(super) fn new(net: &Net, fd: Fd) -> Self {
        Self { net: net.clone(), fd: Cell::new(Some(fd)) }
    }

    pub(super) fn socket(net: &Net, addr: &SocketAddr, kind: Type) -> Result<Self, Errno> {
        Ok(Self::new(net, net.socket(Domain::of(addr), kind)?))
    }

    /// The descriptor, EBADF once it is closed.
    pub(super) fn fd(&self) -> Result<Fd, Errno> {
        self.fd.get().ok_or(Errno::EBADF)
    }

    fn close(&self) {
        if let Some(fd) = self.fd.take() {
            let _ = self.net.close(fd); // a drop cannot report an error, as in the standard library
        }
    }

    /// Awaits a call that may wait.
    pub(super) async fn wait<T>(
        &self,
        interest: fn(Fd, &'static str) -> Interest,
        call: &'static str,
        mut op: impl FnMut(&mut Host, Fd) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let pending = Pending { owned: self, place: Place::default() };
        core::future::poll_fn(|cx| self.poll(&pending.place, interest, call, cx, &mut op)).await
    }

    /// Makes the call, or waits at `place` when it would block.
    pub(super) fn poll<T>(
        &self,
        place: &Place,
        interest: fn(Fd, &'static str) -> Interest,
        call: &'static str,
        cx: &Context<'_>,
        op: impl FnOnce(&mut Host, Fd) -> Result<T, Errno>,
    ) -> Poll<Result<T, Errno>> {
        let fd = self.fd()?;
        let result = op(&mut self.net.host_mut(), fd);
        if matches!(result, Err(Errno::EAGAIN)) {
            self.net.wait(place, interest(fd, call), cx);
            return Poll::Pending;
        }
        self.net.end_wait(place);
        Poll::Ready(result)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.close();
    }
}

/// Ends the wait when the call is over or its future is dropped.
struct Pending<'a> {
    owned: &'a Owned,
    place: Place,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.owned.net.end_wait(&self.place);
    }
}

/// A TCP socket that listens. Dropping it closes it.
#[derive(Debug)]
pub struct TcpListener {
    owned: Owned,
}

impl TcpListener {
    /// Binds with `SO_REUSEADDR` and listens with a backlog of 128.
    pub fn bind(net: &Net, addr: SocketAddr) -> io::Result<Self> {
        Self::bind_with_backlog(net, addr, BACKLOG)
    }

    /// Binds with `SO_REUSEADDR` and listens.
    pub fn bind_with_backlog(net: &Net, addr: SocketAddr, backlog: usize) -> io::Result<Self> {
        let owned = Owned::socket(net, &addr, Type::Stream)?;
        let fd = owned.fd()?;
        net.setsockopt(fd, SocketOption::ReuseAddr(true))?;
        net.bind(fd, addr)?;
        net.listen(fd, backlog)?;
        Ok(Self { owned })
    }

    /// The oldest connection that waits, and its peer.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (fd, peer) = self.owned.wait(Interest::read, "accept", Host::accept).await?;
        Ok((TcpStream::from_fd(&self.owned.net, fd), peer))
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.owned.net.getsockname(self.owned.fd()?)?)
    }

    /// Its descriptor, for options. It stays this listener's.
    pub fn fd(&self) -> io::Result<Fd> {
        Ok(self.owned.fd()?)
    }
}

/// A TCP connection. It reads and writes through `&self`, or by the traits of futures-io, hyper and tokio.
#[derive(Debug)]
pub struct TcpStream {
    pub(super) owned: Rc<Owned>,
    /// The waits of the poll functions of the traits.
    pub(super) reading: Place,
    pub(super) writing: Place,
}

impl Clone for TcpStream {
    fn clone(&self) -> Self {
        Self { owned: Rc::clone(&self.owned), reading: Place::default(), writing: Place::default() }
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        self.owned.net.end_wait(&self.reading);
        self.owned.net.end_wait(&self.writing);
    }
}

impl TcpStream {
    /// Takes a connected descriptor, for example from [`Net::accept`]; it is closed with the stream.
    pub fn from_fd(net: &Net, fd: Fd) -> Self {
        Self { owned: Rc::new(Owned::new(net, fd)), reading: Place::default(), writing: Place::default() }
    }

    /// Connects. Dropping the future aborts the attempt.
    pub async fn connect(net: &Net, addr: SocketAddr) -> io::Result<Self> {
        let owned = Owned::socket(net, &addr, Type::Stream)?;
        let connect = |host: &mut Host, fd| match host.connect(fd, addr) {
            Err(Errno::EINPROGRESS | Errno::EALREADY) => Err(Errno::EAGAIN),
            other => other,
        };
        owned.wait(Interest::write, "connect", connect).await?;
        Ok(Self { owned: Rc::new(owned), reading: Place::default(), writing: Place::default() })
    }

    /// Reads the bytes that have arrived, at least one; 0 is the end.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.owned.wait(Interest::read, "read", |host, fd| host.read(fd, buf)).await?)
    }

    /// Reads the bytes that have arrived, at most `limit` and 65,536, and gives them to `take`. None are the end. The buffer
    /// is one for all tasks, so a task that waits has none.
    pub(crate) async fn read_shared<T>(&self, limit: usize, mut take: impl FnMut(&[u8]) -> T) -> io::Result<T> {
        let net = &self.owned.net;
        let read = |host: &mut Host, fd| net.read_scratch(limit, |buf| host.read(fd, buf), &mut take);
        Ok(self.owned.wait(Interest::read, "read", read).await?)
    }

    /// Waits until there is something to read: bytes, the end, or an error.
    #[cfg(feature = "http")]
    pub(crate) async fn readable(&self) -> io::Result<()> {
        use crate::socket::Readiness;
        let ready = |host: &mut Host, fd| {
            // Everything but room to write.
            let others = Readiness(!Readiness::WRITABLE.0);
            if host.readiness(fd).intersects(others) { Ok(()) } else { Err(Errno::EAGAIN) }
        };
        Ok(self.owned.wait(Interest::read, "read", ready).await?)
    }

    /// Fills the buffer; `UnexpectedEof` if the peer ends before.
    pub async fn read_exact(&self, buf: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.read(&mut buf[filled..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        Ok(())
    }

    /// Appends everything up to the end to `buf`. Returns the number of bytes.
    pub async fn read_to_end(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let start = buf.len();
        loop {
            // The buffer has only received bytes, also when the future is dropped, and no room for others.
            let read = |bytes: &[u8]| {
                buf.extend_from_slice(bytes);
                bytes.is_empty()
            };
            if self.read_shared(CHUNK, read).await? {
                return Ok(buf.len() - start);
            }
        }
    }

    /// Writes as much as fits into the send buffer, at least one byte.
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        Ok(self.owned.wait(Interest::write, "write", |host, fd| host.write(fd, buf)).await?)
    }

    /// Writes everything. After an error it is unknown how much was written.
    pub async fn write_all(&self, mut buf: &[u8]) -> io::Result<()> {
        while !buf.is_empty() {
            let count = self.write(buf).await?;
            buf = &buf[count..];
        }
        Ok(())
    }

    /// shutdown(2)
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        Ok(self.owned.net.shutdown(self.owned.fd()?, how)?)
    }

    /// Ends our direction: the peer reads to the end. We can still read.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// Closes with an RST (`SO_LINGER` of zero), for every clone.
    pub fn abort(&self) {
        if let Ok(fd) = self.owned.fd() {
            let _ = self.owned.net.setsockopt(fd, SocketOption::Linger(Some(Duration::ZERO)));
            self.owned.close();
        }
    }

    /// `TCP_NODELAY`. Nagle's algorithm is used when it is off.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        Ok(self.owned.net.setsockopt(self.owned.fd()?, SocketOption::NoDelay(on))?)
    }

    /// The local address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.owned.net.getsockname(self.owned.fd()?)?)
    }

    /// The remote address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.owned.net.getpeername(self.owned.fd()?)?)
    }

    /// Its descriptor, for options. It stays this stream's.
    pub fn fd(&self) -> io::Result<Fd> {
        Ok(self.owned.fd()?)
    }

    /// The handle of its host.
    pub fn net(&self) -> &Net {
        &self.owned.net
    }
}
