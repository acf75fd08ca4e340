//! The BSD calls for programs. A call that may block is async, and returns when a blocking call on Linux would return.
//!
//! With `O_NONBLOCK` or `MSG_DONTWAIT` a call never waits: it returns EAGAIN, and connect returns EINPROGRESS.
//! `SO_RCVTIMEO` limits read, recv and accept. `SO_SNDTIMEO` limits write, send and connect. After the timeout the
//! result is EAGAIN, from connect EINPROGRESS (socket(7)). A call that does not wait makes exactly one call on the
//! host.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::Poll;
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use super::handle::Net;
use super::wait::{Interest, Place};
use crate::socket::{
    Domain, EpollCtl, EpollEvent, Errno, Fd, Host, Message, MsgFlags, OptionName, PollFd, Readiness, Shutdown,
    SocketOption, Type,
};
use crate::time::Duration;

/// How long a call may wait.
#[derive(Clone, Copy, Debug)]
enum Patience {
    /// As set on the descriptor: `O_NONBLOCK`, and `SO_RCVTIMEO` or `SO_SNDTIMEO`.
    AsSet,
    /// `MSG_DONTWAIT`
    None,
    /// For this time, or without end, whatever is set on the descriptor.
    Given(Option<Duration>),
}

impl Patience {
    fn of(flags: MsgFlags) -> Self {
        if flags.contains(MsgFlags::DONTWAIT) { Self::None } else { Self::AsSet }
    }
}

/// Ends a wait when the call is over or its future is dropped.
struct Wait<'a> {
    net: &'a Net,
    place: Place,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.net.end_wait(&self.place);
    }
}

impl Net {
    /// Repeats `op` until it returns something else than EAGAIN, or the time is over. `patience` is called only when
    /// `op` would wait.
    async fn block_on<T>(
        &self,
        interest: Interest,
        patience: Patience,
        mut op: impl FnMut(&mut Host) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let wait = Wait { net: self, place: Place::default() };
        let mut limit: Option<Option<super::Sleep>> = None;
        poll_fn(|cx| {
            let result = op(&mut self.host_mut());
            if !matches!(result, Err(Errno::EAGAIN)) {
                return Poll::Ready(result);
            }
            let sleep = match &mut limit {
                Some(sleep) => sleep,
                None => match self.patience(interest, patience) {
                    Ok(time) => limit.insert(time.map(|time| self.sleep(time))),
                    Err(errno) => return Poll::Ready(Err(errno)),
                },
            };
            if let Some(sleep) = sleep
                && Pin::new(sleep).poll(cx).is_ready()
            {
                return Poll::Ready(Err(Errno::EAGAIN));
            }
            self.wait(&wait.place, interest, cx);
            Poll::Pending
        })
        .await
    }

    /// How long to wait, `None` without a limit; EAGAIN if the call may not wait.
    fn patience(&self, interest: Interest, patience: Patience) -> Result<Option<Duration>, Errno> {
        let fd = match (patience, interest.fd) {
            (Patience::Given(limit), _) => return Ok(limit),
            (Patience::AsSet, Some(fd)) => fd,
            (Patience::AsSet, None) => return Ok(None),
            (Patience::None, _) => return Err(Errno::EAGAIN),
        };
        let host = self.host();
        if host.is_nonblocking(fd)? {
            return Err(Errno::EAGAIN);
        }
        let (receive, send) = host.timeouts(fd)?;
        Ok(if interest.events.intersects(Readiness::WRITABLE) { send } else { receive })
    }

    async fn receive<T>(
        &self,
        fd: Fd,
        call: &'static str,
        patience: Patience,
        op: impl FnMut(&mut Host) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.block_on(Interest::read(fd, call), patience, op).await
    }

    /// Writes everything. After an error the bytes already written count (write(2)). With a zero timeout it writes what
    /// fits.
    async fn write_all(
        &self,
        fd: Fd,
        call: &'static str,
        patience: Patience,
        buf: &[u8],
        mut op: impl FnMut(&mut Host, &[u8]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut written = 0;
        loop {
            let rest = &buf[written..];
            match self.block_on(Interest::write(fd, call), patience, |host| op(host, rest)).await {
                Ok(count) => written += count,
                Err(errno) if written == 0 => return Err(errno),
                Err(_) => return Ok(written),
            }
            if written >= buf.len() {
                return Ok(written);
            }
        }
    }

    /// socket(2)
    pub fn socket(&self, domain: Domain, kind: Type) -> Result<Fd, Errno> {
        self.host_mut().socket(domain, kind)
    }

    /// bind(2)
    pub fn bind(&self, fd: Fd, addr: SocketAddr) -> Result<(), Errno> {
        self.host_mut().bind(fd, addr)
    }

    /// listen(2)
    pub fn listen(&self, fd: Fd, backlog: usize) -> Result<(), Errno> {
        self.host_mut().listen(fd, backlog)
    }

    /// accept(2): the oldest connection that waits, and its peer. Limited by `SO_RCVTIMEO`.
    pub async fn accept(&self, fd: Fd) -> Result<(Fd, SocketAddr), Errno> {
        self.receive(fd, "accept", Patience::AsSet, |host| host.accept(fd)).await
    }

    /// connect(2): returns when the connection is established or has failed. EINPROGRESS with `O_NONBLOCK`, or when
    /// `SO_SNDTIMEO` is over; the attempt continues.
    pub async fn connect(&self, fd: Fd, addr: SocketAddr) -> Result<(), Errno> {
        let first = self.host_mut().connect(fd, addr);
        let patient = matches!(first, Err(Errno::EINPROGRESS | Errno::EALREADY)) && !self.host().is_nonblocking(fd)?;
        if !patient {
            return first;
        }
        let under_way = |result| match result {
            Err(Errno::EALREADY | Errno::EINPROGRESS) => Err(Errno::EAGAIN),
            other => other,
        };
        self.block_on(Interest::write(fd, "connect"), Patience::AsSet, |host| under_way(host.connect(fd, addr)))
            .await
            .map_err(|errno| if errno == Errno::EAGAIN { Errno::EINPROGRESS } else { errno })
    }

    /// read(2): as much as is there, at least one byte; 0 is the end.
    pub async fn read(&self, fd: Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        self.receive(fd, "read", Patience::AsSet, |host| host.read(fd, buf)).await
    }

    /// As [`Net::read`], at most `limit` and 65,536 bytes, and gives them to `take`. The buffer is one for all tasks, so a
    /// task that waits has none.
    pub(crate) async fn read_shared<T>(
        &self,
        fd: Fd,
        limit: usize,
        mut take: impl FnMut(&[u8]) -> T,
    ) -> Result<T, Errno> {
        let read = |host: &mut Host| self.read_scratch(limit, |buf| host.read(fd, buf), &mut take);
        self.receive(fd, "read", Patience::AsSet, read).await
    }

    /// write(2): a blocking write takes everything before it returns, unless an error comes between.
    pub async fn write(&self, fd: Fd, buf: &[u8]) -> Result<usize, Errno> {
        self.write_all(fd, "write", Patience::AsSet, buf, |host, rest| host.write(fd, rest)).await
    }

    /// readv(2)
    pub async fn readv(&self, fd: Fd, bufs: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
        self.receive(fd, "readv", Patience::AsSet, |host| host.readv(fd, bufs)).await
    }

    /// writev(2): everything, as [`Net::write`].
    pub async fn writev(&self, fd: Fd, bufs: &[IoSlice<'_>]) -> Result<usize, Errno> {
        self.writev_all(fd, "writev", Patience::AsSet, bufs, |host| host.writev(fd, bufs)).await
    }

    /// Writes the bytes that did not fit into `first`, buffer by buffer. A datagram is never split.
    async fn writev_all(
        &self,
        fd: Fd,
        call: &'static str,
        patience: Patience,
        bufs: &[IoSlice<'_>],
        first: impl FnMut(&mut Host) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut written = self.block_on(Interest::write(fd, call), patience, first).await?;
        let mut passed = 0;
        for buf in bufs {
            let rest = buf.get(written.saturating_sub(passed)..).unwrap_or_default();
            passed += buf.len();
            if rest.is_empty() {
                continue;
            }
            let write = self.write_all(fd, call, patience, rest, |host, rest| host.write(fd, rest));
            let Ok(count) = write.await else { break };
            written += count;
            if count < rest.len() {
                break;
            }
        }
        Ok(written)
    }

    /// send(2): everything, as [`Net::write`]; what fits with `MSG_DONTWAIT`.
    pub async fn send(&self, fd: Fd, buf: &[u8], flags: MsgFlags) -> Result<usize, Errno> {
        self.write_all(fd, "send", Patience::of(flags), buf, |host, rest| host.send(fd, rest, flags)).await
    }

    /// recv(2)
    pub async fn recv(&self, fd: Fd, buf: &mut [u8], flags: MsgFlags) -> Result<usize, Errno> {
        self.receive(fd, "recv", Patience::of(flags), |host| host.recv(fd, buf, flags)).await
    }

    /// sendto(2)
    pub async fn sendto(&self, fd: Fd, buf: &[u8], flags: MsgFlags, to: Option<SocketAddr>) -> Result<usize, Errno> {
        let op = |host: &mut Host, rest: &[u8]| host.sendto(fd, rest, flags, to);
        self.write_all(fd, "sendto", Patience::of(flags), buf, op).await
    }

    /// recvfrom(2): the bytes and, of a datagram, the sender.
    pub async fn recvfrom(
        &self,
        fd: Fd,
        buf: &mut [u8],
        flags: MsgFlags,
    ) -> Result<(usize, Option<SocketAddr>), Errno> {
        self.receive(fd, "recvfrom", Patience::of(flags), |host| host.recvfrom(fd, buf, flags)).await
    }

    /// As [`Net::recvfrom`], of a datagram whose bytes nobody needs: its length, at most `limit`.
    pub(crate) async fn recvfrom_shared(&self, fd: Fd, limit: usize) -> Result<usize, Errno> {
        let recvfrom = |host: &mut Host, buf: &mut [u8]| host.recvfrom(fd, buf, MsgFlags::NONE).map(|(len, _)| len);
        let read = |host: &mut Host| self.read_scratch(limit, |buf| recvfrom(host, buf), <[u8]>::len);
        self.receive(fd, "recvfrom", Patience::AsSet, read).await
    }

    /// sendmsg(2) without control data: everything, as [`Net::write`]; what fits with `MSG_DONTWAIT`.
    pub async fn sendmsg(
        &self,
        fd: Fd,
        bufs: &[IoSlice<'_>],
        flags: MsgFlags,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        let first = |host: &mut Host| host.sendmsg(fd, bufs, flags, to);
        self.writev_all(fd, "sendmsg", Patience::of(flags), bufs, first).await
    }

    /// recvmsg(2) without control data: length, sender, and whether a datagram was cut.
    pub async fn recvmsg(&self, fd: Fd, bufs: &mut [IoSliceMut<'_>], flags: MsgFlags) -> Result<Message, Errno> {
        self.receive(fd, "recvmsg", Patience::of(flags), |host| host.recvmsg(fd, bufs, flags)).await
    }

    /// shutdown(2)
    pub fn shutdown(&self, fd: Fd, how: Shutdown) -> Result<(), Errno> {
        self.host_mut().shutdown(fd, how)
    }

    /// close(2). Calls that other tasks wait in on this descriptor end with EBADF (on Linux they would wait on).
    pub fn close(&self, fd: Fd) -> Result<(), Errno> {
        let closed = self.host_mut().close(fd);
        self.wake_all(fd);
        closed
    }

    /// getsockname(2)
    pub fn getsockname(&self, fd: Fd) -> Result<SocketAddr, Errno> {
        self.host().getsockname(fd)
    }

    /// getpeername(2)
    pub fn getpeername(&self, fd: Fd) -> Result<SocketAddr, Errno> {
        self.host().getpeername(fd)
    }

    /// setsockopt(2)
    pub fn setsockopt(&self, fd: Fd, option: SocketOption) -> Result<(), Errno> {
        self.host_mut().setsockopt(fd, option)
    }

    /// getsockopt(2)
    pub fn getsockopt(&self, fd: Fd, name: OptionName) -> Result<SocketOption, Errno> {
        self.host().getsockopt(fd, name)
    }

    /// getsockopt(2) of `SO_ERROR`: takes the error that waits.
    pub fn take_error(&self, fd: Fd) -> Result<Option<Errno>, Errno> {
        self.host_mut().take_error(fd)
    }

    /// fcntl(2) with `F_SETFL` and `O_NONBLOCK`.
    pub fn set_nonblocking(&self, fd: Fd, on: bool) -> Result<(), Errno> {
        self.host_mut().set_nonblocking(fd, on)
    }

    /// fcntl(2) with `F_GETFL`: is `O_NONBLOCK` set?
    pub fn is_nonblocking(&self, fd: Fd) -> Result<bool, Errno> {
        self.host().is_nonblocking(fd)
    }

    /// ioctl(2) with `FIONREAD`: bytes that a read would give at once.
    pub fn fionread(&self, fd: Fd) -> Result<usize, Errno> {
        self.host().fionread(fd)
    }

    /// poll(2): waits until an entry has something to report or the time is over (`None`: no limit; zero: not at all)
    /// and gives the number of entries with `revents`.
    pub async fn poll(&self, fds: &mut [PollFd], timeout: Option<Duration>) -> usize {
        let ready = |host: &mut Host| match host.poll(fds) {
            0 => Err(Errno::EAGAIN),
            count => Ok(count),
        };
        self.block_on(Interest::any("poll"), Patience::Given(timeout), ready).await.unwrap_or(0)
    }

    /// `epoll_create(2)`
    pub fn epoll_create(&self) -> Result<Fd, Errno> {
        self.host_mut().epoll_create()
    }

    /// `epoll_ctl(2)`
    pub fn epoll_ctl(&self, epoll: Fd, fd: Fd, ctl: EpollCtl) -> Result<(), Errno> {
        let done = self.host_mut().epoll_ctl(epoll, fd, ctl);
        // A task that waits on this set must check the new descriptor.
        self.wake_all(epoll);
        done
    }

    /// `epoll_wait(2)`: at most `max` events into `events`, whose old content is gone; 0 when the time is over (`None`:
    /// no limit).
    pub async fn epoll_wait(
        &self,
        epoll: Fd,
        events: &mut Vec<EpollEvent>,
        max: usize,
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        let ready = |host: &mut Host| {
            events.clear();
            match host.epoll_wait(epoll, events, max) {
                Ok(0) => Err(Errno::EAGAIN),
                other => other,
            }
        };
        match self.block_on(Interest::any("epoll_wait"), Patience::Given(timeout), ready).await {
            Err(Errno::EAGAIN) => Ok(0),
            other => other,
        }
    }
}
