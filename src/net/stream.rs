//! The traits of futures-io, hyper (feature `http`) and tokio (feature `tokio`) for [`TcpStream`]. Each method is one
//! non-blocking call and a wait for the descriptor. Flushing does nothing, because written bytes are already in the
//! send buffer.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice, IoSliceMut};

use super::tcp::TcpStream;
use super::wait::Interest;
use crate::socket::{Errno, Fd, Host, Shutdown};

impl TcpStream {
    fn poll_reading<T>(
        &self,
        cx: &Context<'_>,
        call: &'static str,
        op: impl FnOnce(&mut Host, Fd) -> Result<T, Errno>,
    ) -> Poll<io::Result<T>> {
        self.owned.poll(&self.reading, Interest::read, call, cx, op).map_err(io::Error::from)
    }

    fn poll_writing(
        &self,
        cx: &Context<'_>,
        call: &'static str,
        op: impl FnOnce(&mut Host, Fd) -> Result<usize, Errno>,
    ) -> Poll<io::Result<usize>> {
        self.owned.poll(&self.writing, Interest::write, call, cx, op).map_err(io::Error::from)
    }

    /// Reads into the scratch buffer and passes the bytes to `put`.
    #[cfg(feature = "http")]
    fn poll_scratch(&self, cx: &Context<'_>, limit: usize, put: impl FnOnce(&[u8])) -> Poll<io::Result<()>> {
        let net = self.owned.net.clone();
        let mut scratch = net.scratch();
        let room = limit.min(scratch.len());
        match self.poll_reading(cx, "read", |host, fd| host.read(fd, &mut scratch[..room])) {
            Poll::Ready(Ok(count)) => {
                put(&scratch[..count]);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ends our direction. It does nothing on a connection that is over.
    fn end_writing(&self) -> io::Result<()> {
        let net = &self.owned.net;
        match self.owned.fd().and_then(|fd| net.shutdown(fd, Shutdown::Write)) {
            Ok(()) | Err(Errno::ENOTCONN) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl futures_io::AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_reading(cx, "read", |host, fd| host.read(fd, buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_reading(cx, "readv", |host, fd| host.readv(fd, bufs))
    }
}

impl futures_io::AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, "write", |host, fd| host.write(fd, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, "writev", |host, fd| host.writev(fd, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends our direction, as shutdown(2).
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end_writing())
    }
}

#[cfg(feature = "http")]
impl hyper::rt::Read for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // hyper's interface needs unsafe code to read in place, so this copies once.
        self.poll_scratch(cx, buf.remaining(), |bytes| buf.put_slice(bytes))
    }
}

#[cfg(feature = "http")]
impl hyper::rt::Write for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, "write", |host, fd| host.write(fd, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end_writing())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, "writev", |host, fd| host.writev(fd, bufs))
    }
}

#[cfg(feature = "tokio")]
impl tokio::io::AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut tokio::io::ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = self.poll_reading(cx, "read", |host, fd| host.read(fd, buf.initialize_unfilled()));
        read.map_ok(|count| buf.advance(count))
    }
}

#[cfg(feature = "tokio")]
impl tokio::io::AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, "write", |host, fd| host.write(fd, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end_writing())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, "writev", |host, fd| host.writev(fd, bufs))
    }
}
