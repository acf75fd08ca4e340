//! BSD sockets: the descriptor table of a host and its calls, as in section 2 of the Linux manual.
//!
//! Everything here is non-blocking. A call that would wait returns `EAGAIN` (connect: `EINPROGRESS`), with and without
//! `O_NONBLOCK`. [`crate::net`] builds waiting on readiness. Errors are Linux's. A [`Host`] is a stack with its
//! descriptor table. `drive` moves it, and programs call it. Its clock is the latest instant that it was given.
//!
//! * `stream`, `datagram`: what the calls do for each type of socket;
//! * `options`: setsockopt and getsockopt; `poll`: readiness, poll, epoll;
//! * `table`: descriptors; `listing`: the table as text.

mod datagram;
mod errno;
mod held;
mod ioctl;
mod listing;
mod options;
mod packets;
mod poll;
mod stream;
mod table;
mod transcript;
mod types;

pub use errno::Errno;
pub use held::HeldSyn;
pub use listing::{DescriptorRow, descriptor_table};
pub use options::{OptionName, SocketOption};
pub use transcript::Transcript;
pub use types::{
    CongestionName, Domain, EpollCtl, EpollEvent, Fd, Message, MsgFlags, PollFd, Readiness, Shutdown, Type,
};

pub use crate::event::Phase;
pub use crate::stack::{Account, Counters, HostConfig, SynCookies, TcpInfo, WindowUpdate};

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::io::{IoSlice, IoSliceMut};

use crate::event::HostEvent;
use crate::stack::Stack;
use crate::time::Instant;

use datagram::Datagram;
use options::Options;
use poll::Epoll;
use stream::Stream;
use table::Table;
use transcript::Transcripts;

/// A host: TCP/IP and a descriptor table.
///
/// - *driven by a loop*: [`handle_packet`](Self::handle_packet), [`handle_timeout`](Self::handle_timeout),
///   [`poll_transmit`](Self::poll_transmit), [`next_at`](Self::next_at), [`poll_ready`](Self::poll_ready),
///   [`poll_event`](Self::poll_event);
/// - *called by programs*: everything that is named like a system call.
#[derive(Debug)]
pub struct Host {
    stack: Stack,
    table: Table<Descriptor>,
    /// Descriptors that are epoll instances, in the order in which they were made.
    epolls: Vec<Fd>,
    /// The options of a new socket.
    defaults: Options,
    transcripts: Option<Transcripts>,
    /// Whether events are kept.
    observed: bool,
}

/// What a descriptor refers to.
#[derive(Debug)]
enum Descriptor {
    Stream(Stream),
    /// Boxed: there may be many streams, and their entries are small.
    Datagram(Box<Datagram>),
    Epoll(Epoll),
}

impl Host {
    /// A host with these settings, at the epoch, with no descriptor open.
    pub fn new(config: &HostConfig) -> Self {
        Self {
            table: Table::new(config.descriptor_limit),
            stack: Stack::new(config),
            epolls: Vec::new(),
            defaults: Options::new(config),
            transcripts: None,
            observed: false,
        }
    }

    /// The clock of the host.
    pub fn now(&self) -> Instant {
        self.stack.now()
    }

    /// Moves the clock forward (never back). A loop does it before programs run.
    pub fn set_now(&mut self, now: Instant) {
        self.stack.set_now(now);
    }

    /// Changes the settings, as sysctl(8) does. Sockets and connections that exist keep what they took over when they were
    /// made. Seed, addresses, MTU, controllers and the limit of all buffers stay as they are.
    pub fn reconfigure(&mut self, config: &HostConfig) {
        self.stack.reconfigure(config);
        self.defaults = Options::new(self.stack.config());
    }

    /// The settings of the host.
    pub fn config(&self) -> &HostConfig {
        self.stack.config()
    }

    /// The earliest deadline of the host; now or earlier means that it is due at once.
    #[must_use]
    pub fn next_at(&mut self) -> Option<Instant> {
        self.stack.next_at()
    }

    /// A descriptor whose readiness may have changed since it was last returned here: each once, first in first out.
    #[must_use]
    pub fn poll_ready(&mut self) -> Option<Fd> {
        let fd = Fd(self.stack.poll_ready()?);
        for at in 0..self.epolls.len() {
            let epoll = self.epolls[at];
            if let Some(Descriptor::Epoll(set)) = self.table.at(epoll)
                && set.watches(fd)
            {
                self.stack.push_ready(epoll.0);
            }
        }
        Some(fd)
    }

    /// True if [`Host::poll_ready`] has something.
    pub fn has_ready(&self) -> bool {
        self.stack.has_ready()
    }

    /// The next event: calls and what happened in the stack. Events are queued only after [`Host::observe_events`].
    #[must_use]
    pub fn poll_event(&mut self) -> Option<HostEvent> {
        self.stack.poll_event()
    }

    /// Connections that are not over, with or without a descriptor. Those in TIME-WAIT are not counted.
    pub fn connections(&self) -> usize {
        self.stack.connections()
    }

    /// Resets a connection from outside of its program: the peer gets an RST, and the program gets `ECONNRESET`. False if
    /// there is none between these ends.
    #[cfg(feature = "control")]
    pub fn reset(&mut self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.stack.reset(local, remote)
    }

    /// The connections that are not over, at most `most`: state, own end, other end.
    #[cfg(feature = "control")]
    pub fn connection_list(&self, most: usize) -> Vec<(crate::event::State, SocketAddr, SocketAddr)> {
        self.stack.connection_list(most)
    }

    /// Bytes that the buffers of all connections take, in whole blocks.
    pub fn buffered(&self) -> usize {
        self.stack.buffered()
    }

    /// How many descriptors are open.
    pub fn open_descriptors(&self) -> usize {
        self.table.open()
    }

    /// Segments that connections of this host retransmitted, closed connections included.
    pub fn retransmissions(&self) -> u64 {
        self.stack.retransmissions()
    }

    /// What the host has counted since it began: SYN cookies, dropped packets, replies that a rate limit held back.
    pub fn counters(&self) -> &Counters {
        self.stack.counters()
    }

    /// Records from now on what programs write and read on each connection.
    pub fn keep_transcripts(&mut self) {
        self.transcripts.get_or_insert_default();
    }

    /// What programs wrote and read, connection by connection, since [`Host::keep_transcripts`].
    pub fn transcripts(&self) -> Vec<Transcript> {
        self.transcripts.as_ref().map_or(Vec::new(), |transcripts| transcripts.all().to_vec())
    }

    /// Whether to keep events for [`Host::poll_event`].
    pub fn observe_events(&mut self, on: bool) {
        self.observed = on;
        self.stack.observe_events(on);
    }

    /// Whether connections publish their numbers with each segment that they send ([`HostEvent::Numbers`]).
    pub fn observe_numbers(&mut self, on: bool) {
        self.stack.observe_numbers(on);
    }

    /// socket(2).
    ///
    /// # Errors
    /// `EMFILE` if no descriptor is free.
    pub fn socket(&mut self, domain: Domain, kind: Type) -> Result<Fd, Errno> {
        let options = self.defaults.clone();
        let fd = self.table.next_free().ok_or(Errno::EMFILE);
        let result = fd.inspect(|&fd| {
            let entry = match kind {
                Type::Stream => Descriptor::Stream(Stream::new(domain, options)),
                Type::Datagram => {
                    let id = self.stack.open_udp(fd.0, options.udp_queue(self.stack.config()), options.tcp.ttl);
                    Descriptor::Datagram(Box::new(Datagram::new(domain, options, id)))
                }
            };
            self.table.insert(fd, entry);
        });
        self.report("socket", result.unwrap_or(Fd(0)), result.map(|fd| i64::from(fd.0))).and(result)
    }

    /// bind(2): an own address or the wildcard; port 0 takes a free one.
    ///
    /// # Errors
    /// `EADDRINUSE`, `EADDRNOTAVAIL`, `EAFNOSUPPORT`, `EINVAL` if already bound, `EBADF`.
    pub fn bind(&mut self, fd: Fd, addr: SocketAddr) -> Result<(), Errno> {
        let result = self.bind_any(fd, addr);
        self.report("bind", fd, result.map(|()| 0)).and(result)
    }

    /// listen(2). Each of the two queues takes `backlog` connections, at least 1. A socket that is not bound is bound to a
    /// free port; one that listens gets the new backlog.
    ///
    /// # Errors
    /// `EADDRINUSE` if another socket listens there, `EINVAL` if connected, `EOPNOTSUPP` for a datagram socket.
    pub fn listen(&mut self, fd: Fd, backlog: usize) -> Result<(), Errno> {
        let result = self.listen_stream(fd, backlog);
        self.report("listen", fd, result.map(|()| 0)).and(result)
    }

    /// accept(2): the oldest established connection as a new descriptor, and its peer. The listener goes on.
    ///
    /// # Errors
    /// `EAGAIN` if none waits, `EINVAL` if the socket does not listen, `EMFILE`, `EOPNOTSUPP`.
    pub fn accept(&mut self, fd: Fd) -> Result<(Fd, SocketAddr), Errno> {
        let result = self.accept_stream(fd);
        self.report("accept", fd, result.map(|(fd, _)| i64::from(fd.0))).and(result)
    }

    /// connect(2). For a stream the first call sends the SYN and returns `EINPROGRESS`; later ones return `EALREADY` until
    /// the handshake is over, then success once or the error, then `EISCONN`, also when the connection
    /// is over. For a datagram socket the peer is fixed.
    ///
    /// # Errors
    /// As above, and `ECONNREFUSED`, `ETIMEDOUT`, `EHOSTUNREACH`, `ENETUNREACH`, `EADDRNOTAVAIL`, `EAFNOSUPPORT`,
    /// `ENOBUFS`.
    pub fn connect(&mut self, fd: Fd, addr: SocketAddr) -> Result<(), Errno> {
        let result = match self.table.at(fd) {
            Some(Descriptor::Datagram(_)) => self.connect_datagram(fd, Some(addr)),
            _ => self.connect_stream(fd, addr),
        };
        self.report("connect", fd, result.map(|()| 0)).and(result)
    }

    /// connect(2) with `AF_UNSPEC`: a datagram socket loses its peer.
    ///
    /// # Errors
    /// `EBADF`; `EOPNOTSUPP` for a stream (Linux would reset the connection).
    pub fn disconnect(&mut self, fd: Fd) -> Result<(), Errno> {
        self.connect_datagram(fd, None)
    }

    /// read(2). `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    /// `EAGAIN`, `ENOTCONN`, `ECONNRESET`, `ETIMEDOUT`, `EBADF`, `EINVAL` for an epoll instance.
    pub fn read(&mut self, fd: Fd, buf: &mut [u8]) -> Result<usize, Errno> {
        self.receive("read", fd, &mut [IoSliceMut::new(buf)], MsgFlags::NONE).map(|message| message.len)
    }

    /// write(2): takes what fits into the send buffer.
    ///
    /// # Errors
    /// `EAGAIN`, `EPIPE`, `ECONNRESET`, `ETIMEDOUT`, `EDESTADDRREQ` for a datagram socket without peer, `EMSGSIZE`.
    pub fn write(&mut self, fd: Fd, buf: &[u8]) -> Result<usize, Errno> {
        self.transmit("write", fd, &[IoSlice::new(buf)], None)
    }

    /// readv(2): as [`Host::read`], into several buffers in turn.
    ///
    /// # Errors
    /// As read.
    pub fn readv(&mut self, fd: Fd, bufs: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
        self.receive("readv", fd, bufs, MsgFlags::NONE).map(|message| message.len)
    }

    /// writev(2): as [`Host::write`], from several buffers in turn; one datagram of all of them.
    ///
    /// # Errors
    /// As write.
    pub fn writev(&mut self, fd: Fd, bufs: &[IoSlice<'_>]) -> Result<usize, Errno> {
        self.transmit("writev", fd, bufs, None)
    }

    /// send(2). [`MsgFlags::DONTWAIT`] and [`MsgFlags::NOSIGNAL`] change nothing at this level.
    ///
    /// # Errors
    /// As write; `EOPNOTSUPP` for other flags.
    pub fn send(&mut self, fd: Fd, buf: &[u8], flags: MsgFlags) -> Result<usize, Errno> {
        self.transmit_with("send", fd, &[IoSlice::new(buf)], flags, None)
    }

    /// recv(2). [`MsgFlags::PEEK`] leaves the data. [`MsgFlags::TRUNC`] gives the whole length of a datagram. On a
    /// stream `TRUNC` changes nothing (Linux would discard the bytes).
    ///
    /// # Errors
    /// As read.
    pub fn recv(&mut self, fd: Fd, buf: &mut [u8], flags: MsgFlags) -> Result<usize, Errno> {
        self.receive("recv", fd, &mut [IoSliceMut::new(buf)], flags).map(|message| message.len)
    }

    /// sendto(2). A stream ignores the address, as on Linux.
    ///
    /// # Errors
    /// As write; `EMSGSIZE` for a datagram above the MTU, `ENOBUFS` if too many packets wait for the link.
    pub fn sendto(&mut self, fd: Fd, buf: &[u8], flags: MsgFlags, to: Option<SocketAddr>) -> Result<usize, Errno> {
        self.transmit_with("sendto", fd, &[IoSlice::new(buf)], flags, to)
    }

    /// recvfrom(2): also who sent it, for a datagram.
    ///
    /// # Errors
    /// As read.
    pub fn recvfrom(&mut self, fd: Fd, buf: &mut [u8], flags: MsgFlags) -> Result<(usize, Option<SocketAddr>), Errno> {
        self.receive("recvfrom", fd, &mut [IoSliceMut::new(buf)], flags).map(|message| (message.len, message.from))
    }

    /// sendmsg(2) without control data.
    ///
    /// # Errors
    /// As sendto.
    pub fn sendmsg(
        &mut self,
        fd: Fd,
        bufs: &[IoSlice<'_>],
        flags: MsgFlags,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        self.transmit_with("sendmsg", fd, bufs, flags, to)
    }

    /// recvmsg(2) without control data: length, sender, and whether a datagram was cut.
    ///
    /// # Errors
    /// As read.
    pub fn recvmsg(&mut self, fd: Fd, bufs: &mut [IoSliceMut<'_>], flags: MsgFlags) -> Result<Message, Errno> {
        self.receive("recvmsg", fd, bufs, flags)
    }

    fn receive(
        &mut self,
        call: &'static str,
        fd: Fd,
        bufs: &mut [IoSliceMut<'_>],
        flags: MsgFlags,
    ) -> Result<Message, Errno> {
        let result = match self.table.at(fd) {
            Some(Descriptor::Stream(stream)) => {
                self.receive_stream(stream.connection(), bufs, flags).map(Message::of_stream)
            }
            Some(Descriptor::Datagram(_)) => self.receive_datagram(fd, bufs, flags),
            Some(Descriptor::Epoll(_)) => Err(Errno::EINVAL),
            None => Err(Errno::EBADF),
        };
        self.report(call, fd, result.map(|message| message.len as i64)).and(result)
    }

    fn transmit_with(
        &mut self,
        call: &'static str,
        fd: Fd,
        bufs: &[IoSlice<'_>],
        flags: MsgFlags,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        const KNOWN: MsgFlags = MsgFlags(MsgFlags::DONTWAIT.0 | MsgFlags::NOSIGNAL.0);
        if !KNOWN.contains(flags) && self.table.at(fd).is_some() {
            return self.report(call, fd, Err(Errno::EOPNOTSUPP)).map(|()| 0);
        }
        self.transmit(call, fd, bufs, to)
    }

    fn transmit(
        &mut self,
        call: &'static str,
        fd: Fd,
        bufs: &[IoSlice<'_>],
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        let result = match self.table.at(fd) {
            Some(Descriptor::Stream(stream)) => self.send_stream(stream.connection(), bufs),
            Some(Descriptor::Datagram(_)) => self.send_datagram(fd, bufs, to),
            Some(Descriptor::Epoll(_)) => Err(Errno::EINVAL),
            None => Err(Errno::EBADF),
        };
        self.report(call, fd, result.map(|len| len as i64)).and(result)
    }

    /// shutdown(2). For writing a FIN follows the written bytes. For reading nothing is sent; reads return what has
    /// arrived, and then the end. In SYN-SENT the attempt ends and nothing is sent, as on Linux. A listener stops
    /// listening after shutdown of reading.
    ///
    /// # Errors
    /// `ENOTCONN` if not connected.
    pub fn shutdown(&mut self, fd: Fd, how: Shutdown) -> Result<(), Errno> {
        let result = match self.table.at(fd) {
            Some(Descriptor::Stream(_)) => self.shutdown_stream(fd, how),
            Some(Descriptor::Datagram(_)) => self.shutdown_datagram(fd, how),
            Some(Descriptor::Epoll(_)) => Err(Errno::ENOTSOCK),
            None => Err(Errno::EBADF),
        };
        self.report("shutdown", fd, result.map(|()| 0)).and(result)
    }

    /// close(2). A stream continues without a descriptor until its FIN is acknowledged. With unread data, or
    /// `SO_LINGER` of zero, an RST is sent. In SYN-SENT nothing is sent.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        let ends = if self.observed { self.ends(fd) } else { None };
        let result = match self.table.remove(fd) {
            Some(Descriptor::Stream(stream)) => {
                self.close_stream(&stream);
                Ok(())
            }
            Some(Descriptor::Datagram(datagram)) => {
                self.stack.close_udp(datagram.id);
                Ok(())
            }
            Some(Descriptor::Epoll(_)) => {
                self.epolls.retain(|epoll| *epoll != fd);
                Ok(())
            }
            None => Err(Errno::EBADF),
        };
        self.forget_watched(fd);
        if self.observed {
            self.report_with("close", fd, ends, result.map(|()| 0));
        }
        result
    }

    /// getsockname(2).
    ///
    /// # Errors
    /// `EBADF`, `ENOTSOCK`.
    pub fn getsockname(&self, fd: Fd) -> Result<SocketAddr, Errno> {
        match self.table.at(fd).ok_or(Errno::EBADF)? {
            Descriptor::Stream(stream) => Ok(self.stream_endpoints(stream).0),
            Descriptor::Datagram(datagram) => Ok(self.datagram_endpoints(datagram).0),
            Descriptor::Epoll(_) => Err(Errno::ENOTSOCK),
        }
    }

    /// getpeername(2).
    ///
    /// # Errors
    /// `ENOTCONN`, `EBADF`, `ENOTSOCK`.
    pub fn getpeername(&self, fd: Fd) -> Result<SocketAddr, Errno> {
        match self.table.at(fd).ok_or(Errno::EBADF)? {
            Descriptor::Stream(stream) => self.stream_endpoints(stream).1.ok_or(Errno::ENOTCONN),
            Descriptor::Datagram(datagram) => self.datagram_endpoints(datagram).1.ok_or(Errno::ENOTCONN),
            Descriptor::Epoll(_) => Err(Errno::ENOTSOCK),
        }
    }

    /// fcntl(2) `F_SETFL` with or without `O_NONBLOCK`. Only the waiting calls of [`crate::net`] look at it.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn set_nonblocking(&mut self, fd: Fd, on: bool) -> Result<(), Errno> {
        self.options_mut(fd)?.nonblocking = on;
        Ok(())
    }

    /// fcntl(2) `F_GETFL`: whether `O_NONBLOCK` is set.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn is_nonblocking(&self, fd: Fd) -> Result<bool, Errno> {
        Ok(self.options_of(fd)?.nonblocking)
    }

    /// The account of a connection; `None` for a socket that is none.
    pub fn account(&self, fd: Fd) -> Option<Account> {
        match self.table.at(fd)? {
            Descriptor::Stream(stream) => stream.connection().map(|id| self.stack.account(id)),
            _ => None,
        }
    }

    /// Publishes a call as an event. A call that would wait is not published.
    #[inline]
    fn report(&mut self, call: &'static str, fd: Fd, result: Result<i64, Errno>) -> Result<(), Errno> {
        if self.observed {
            let socket = match result {
                Ok(accepted) if call == "accept" => Fd(accepted as u32),
                _ => fd,
            };
            let ends = self.ends(socket);
            self.report_with(call, fd, ends, result);
        }
        result.map(|_| ())
    }

    #[cold]
    fn report_with(
        &mut self,
        call: &'static str,
        fd: Fd,
        ends: Option<(SocketAddr, SocketAddr)>,
        result: Result<i64, Errno>,
    ) {
        if result != Err(Errno::EAGAIN) && result != Err(Errno::EALREADY) {
            self.stack.report(HostEvent::Call { fd: fd.0, call, ends, result: result.map_err(Errno::name) });
        }
    }

    /// Both ends of a stream as on the wire, for events.
    fn ends(&self, fd: Fd) -> Option<(SocketAddr, SocketAddr)> {
        let Some(Descriptor::Stream(stream)) = self.table.at(fd) else { return None };
        let (_, local, remote) = stream.connection().and_then(|id| self.stack.endpoints(id))?;
        Some((local, remote))
    }

    fn bind_any(&mut self, fd: Fd, addr: SocketAddr) -> Result<(), Errno> {
        match self.table.at(fd) {
            Some(Descriptor::Stream(_)) => self.bind_stream(fd, addr),
            Some(Descriptor::Datagram(_)) => self.bind_datagram(fd, addr),
            Some(Descriptor::Epoll(_)) => Err(Errno::ENOTSOCK),
            None => Err(Errno::EBADF),
        }
    }
}

/// The address for the stack: an IPv4-mapped address given to an IPv6 socket is IPv4.
fn canonical(domain: Domain, v6_only: bool, addr: SocketAddr) -> Result<SocketAddr, Errno> {
    if Domain::of(&addr) != domain {
        return Err(Errno::EAFNOSUPPORT);
    }
    let ip = addr.ip().to_canonical();
    if domain == Domain::Inet6 && ip.is_ipv4() && v6_only {
        return Err(Errno::EINVAL);
    }
    Ok(SocketAddr::new(ip, addr.port()))
}

/// The address as a program of this family sees it: IPv4 on an IPv6 socket is mapped.
fn presented(domain: Domain, addr: SocketAddr) -> SocketAddr {
    match (domain, addr.ip()) {
        (Domain::Inet6, IpAddr::V4(v4)) => SocketAddr::new(IpAddr::V6(v4.to_ipv6_mapped()), addr.port()),
        _ => addr,
    }
}

/// The address of a socket that is not bound.
const fn unbound(domain: Domain) -> SocketAddr {
    match domain {
        Domain::Inet => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        Domain::Inet6 => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    }
}

/// The destination of a connect or a datagram: the unspecified address means this host, as on Linux.
fn destination(addr: SocketAddr) -> Result<SocketAddr, Errno> {
    let ip = match addr.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(v4) if v4.is_multicast() || v4.is_broadcast() => return Err(Errno::ENETUNREACH),
        IpAddr::V6(v6) if v6.is_multicast() => return Err(Errno::ENETUNREACH),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, addr.port()))
}
