//! Socket options: one value per option, for setsockopt(2) and getsockopt(2).

use std::sync::Arc;

use crate::congestion::Algorithms;
use crate::stack::{HostConfig, TcpInfo, TcpOptions};
use crate::time::Duration;

use super::stream::StreamState;
use super::{CongestionName, Descriptor, Domain, Errno, Fd, Host};

/// An option with its value. `setsockopt` takes one; `getsockopt` takes an [`OptionName`] and gives one back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketOption {
    /// `SO_REUSEADDR`: bind although connections in TIME-WAIT hold the port.
    ReuseAddr(bool),
    /// `SO_LINGER`: zero seconds make close a reset. Any other time is stored and changes nothing. On Linux close would
    /// wait that long for the peer's acknowledgment, but no call waits here.
    Linger(Option<Duration>),
    /// `SO_KEEPALIVE`
    KeepAlive(bool),
    /// `SO_RCVBUF`: bytes of the receive buffer, which from then on does not grow. Linux doubles the value; this host
    /// takes it as it is. This host refuses zero, which Linux would raise to its minimum. getsockopt tells the initial
    /// size of a buffer that was not set.
    RcvBuf(usize),
    /// `SO_SNDBUF`: bytes of the send buffer, as [`RcvBuf`](Self::RcvBuf).
    SndBuf(usize),
    /// `SO_RCVTIMEO`: how long a blocking read or accept waits; `None` is without a limit.
    RcvTimeo(Option<Duration>),
    /// `SO_SNDTIMEO`: how long a blocking write or connect waits; `None` is without a limit.
    SndTimeo(Option<Duration>),
    /// `TCP_NODELAY`: no Nagle algorithm.
    NoDelay(bool),
    /// `TCP_CORK`: only full-sized segments are sent, until the option is cleared or 200 ms have passed.
    Cork(bool),
    /// `TCP_CONGESTION`: the congestion controller, one of [`HostConfig::algorithms`]. Other names are refused with
    /// `ENOENT`.
    Congestion(CongestionName),
    /// `TCP_MAXSEG`: the largest segment to announce and to send; zero takes the limit away.
    MaxSeg(u16),
    /// `TCP_KEEPIDLE`: time without a segment before the first probe.
    KeepIdle(Duration),
    /// `TCP_KEEPINTVL`: time between probes.
    KeepIntvl(Duration),
    /// `TCP_KEEPCNT`: probes without an answer before the connection is aborted.
    KeepCnt(u32),
    /// `TCP_USER_TIMEOUT`: how long sent data may stay unacknowledged; zero is the system's own limit.
    UserTimeout(Duration),
    /// `TCP_QUICKACK`: acknowledge at once.
    QuickAck(bool),
    /// `IPV6_V6ONLY`
    V6Only(bool),
    /// `IP_TTL`, also the hop limit over IPv6.
    Ttl(u8),
}

/// The name of an option, for getsockopt(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // the names are those of SocketOption
pub enum OptionName {
    ReuseAddr,
    Linger,
    KeepAlive,
    RcvBuf,
    SndBuf,
    RcvTimeo,
    SndTimeo,
    NoDelay,
    Cork,
    Congestion,
    MaxSeg,
    KeepIdle,
    KeepIntvl,
    KeepCnt,
    UserTimeout,
    QuickAck,
    V6Only,
    Ttl,
}

/// The options of a socket, set or default.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Options {
    pub(super) nonblocking: bool,
    pub(super) reuse_addr: bool,
    pub(super) linger: Option<Duration>,
    pub(super) rcv_timeo: Option<Duration>,
    pub(super) snd_timeo: Option<Duration>,
    pub(super) v6_only: bool,
    /// Shared by sockets that have the same.
    pub(super) tcp: Arc<TcpOptions>,
}

impl Options {
    /// The options of a new socket: Linux's defaults, and what the host says.
    pub(super) fn new(config: &HostConfig) -> Self {
        Self {
            nonblocking: false,
            reuse_addr: false,
            linger: None,
            rcv_timeo: None,
            snd_timeo: None,
            v6_only: false,
            tcp: Arc::new(TcpOptions::new(config)),
        }
    }

    /// Bytes that the queue of a datagram socket takes.
    pub(super) fn udp_queue(&self, config: &HostConfig) -> usize {
        self.tcp.rcv_buf.unwrap_or(config.udp_buf)
    }
}

/// No window is larger (RFC 7323, section 2.2).
const MAX_BUFFER: usize = 1 << 30;

impl Host {
    pub(super) fn options_of(&self, fd: Fd) -> Result<&Options, Errno> {
        match self.table.at(fd).ok_or(Errno::EBADF)? {
            Descriptor::Stream(stream) => Ok(&stream.options),
            Descriptor::Datagram(datagram) => Ok(&datagram.options),
            Descriptor::Epoll(_) => Err(Errno::ENOTSOCK),
        }
    }

    pub(super) fn options_mut(&mut self, fd: Fd) -> Result<&mut Options, Errno> {
        match self.table.at_mut(fd).ok_or(Errno::EBADF)? {
            Descriptor::Stream(stream) => Ok(&mut stream.options),
            Descriptor::Datagram(datagram) => Ok(&mut datagram.options),
            Descriptor::Epoll(_) => Err(Errno::ENOTSOCK),
        }
    }

    /// setsockopt(2). Buffer sizes and `TCP_MAXSEG` take effect on connections made later; the buffers of a connection
    /// are fixed (Linux could still enlarge them).
    ///
    /// # Errors
    /// `EINVAL` for a value out of range, `ENOENT` for a congestion controller that the host does not have, `ENOPROTOOPT` for a TCP option of a datagram socket or an IPv6 option of an
    /// IPv4 socket, `EBADF`, `ENOTSOCK`.
    pub fn setsockopt(&mut self, fd: Fd, option: SocketOption) -> Result<(), Errno> {
        let result = self.check_option(fd, &option).and_then(|()| {
            let algorithms = &self.stack.config().algorithms;
            let mut options = self.options_of(fd)?.clone();
            options.set(option, algorithms)?;
            *self.options_mut(fd)? = options;
            self.apply_options(fd);
            Ok(())
        });
        self.report("setsockopt", fd, result.map(|()| 0)).and(result)
    }

    fn check_option(&self, fd: Fd, option: &SocketOption) -> Result<(), Errno> {
        use SocketOption as O;
        let (domain, is_stream, is_bound) = match self.table.at(fd).ok_or(Errno::EBADF)? {
            Descriptor::Stream(stream) => {
                (stream.domain, true, stream.binding.is_some() || stream.connection().is_some())
            }
            Descriptor::Datagram(datagram) => {
                (datagram.domain, false, self.stack.udp_endpoints(datagram.id).0.is_some())
            }
            Descriptor::Epoll(_) => return Err(Errno::ENOTSOCK),
        };
        let seconds = |duration: &Duration| (1..=32_767).contains(&duration.as_secs());
        let in_range = match option {
            O::RcvBuf(size) | O::SndBuf(size) => (1..=MAX_BUFFER).contains(size),
            // Linux's TCP_MIN_MSS and MAX_TCP_WINDOW.
            O::MaxSeg(size) => *size == 0 || (88..=32_767).contains(size),
            O::KeepIdle(time) | O::KeepIntvl(time) => seconds(time),
            O::KeepCnt(count) => (1..=127).contains(count),
            O::Ttl(ttl) => *ttl != 0,
            O::V6Only(_) => !is_bound,
            _ => true,
        };
        let of_tcp = matches!(
            option,
            O::NoDelay(_)
                | O::Cork(_)
                | O::Congestion(_)
                | O::MaxSeg(_)
                | O::KeepIdle(_)
                | O::KeepIntvl(_)
                | O::KeepCnt(_)
                | O::UserTimeout(_)
                | O::QuickAck(_)
        );
        if (of_tcp && !is_stream) || (matches!(option, O::V6Only(_)) && domain == Domain::Inet) {
            Err(Errno::ENOPROTOOPT)
        } else if in_range {
            Ok(())
        } else {
            Err(Errno::EINVAL)
        }
    }

    fn apply_options(&mut self, fd: Fd) {
        match self.table.at(fd) {
            Some(Descriptor::Stream(stream)) => match stream.role {
                StreamState::Fresh => {}
                StreamState::Listening(id) => self.stack.set_listener_options(id, &stream.options.tcp),
                StreamState::Connecting(id) | StreamState::Connected(id) => {
                    self.stack.apply_options(id, &stream.options.tcp);
                }
            },
            Some(Descriptor::Datagram(datagram)) => {
                let options = &datagram.options;
                let limit = options.udp_queue(self.stack.config());
                self.stack.set_udp_options(datagram.id, limit, options.tcp.ttl);
            }
            Some(Descriptor::Epoll(_)) | None => {}
        }
    }

    /// getsockopt(2).
    ///
    /// # Errors
    /// `ENOPROTOOPT` as [`Host::setsockopt`], `EBADF`, `ENOTSOCK`.
    pub fn getsockopt(&self, fd: Fd, name: OptionName) -> Result<SocketOption, Errno> {
        let config = self.stack.config();
        let is_stream = matches!(self.table.at(fd), Some(Descriptor::Stream(_)));
        let initial =
            if is_stream { (config.rcv_buf_initial, config.snd_buf_initial) } else { (config.udp_buf, config.udp_buf) };
        let value = self.options_of(fd)?.value(name, initial);
        if let Err(Errno::ENOPROTOOPT) = self.check_option(fd, &value) {
            return Err(Errno::ENOPROTOOPT);
        }
        // Of a connection the value of now: buffers grow, and the path limits segments.
        let Some(Descriptor::Stream(stream)) = self.table.at(fd) else { return Ok(value) };
        let Some(id) = stream.connection() else { return Ok(value) };
        let sizes = self.stack.buffer_sizes(id);
        Ok(match (name, sizes) {
            (OptionName::MaxSeg, _) => SocketOption::MaxSeg(self.stack.snd_mss(id) as u16),
            (OptionName::RcvBuf, Some((rcv_buf, _))) => SocketOption::RcvBuf(rcv_buf),
            (OptionName::SndBuf, Some((_, snd_buf))) => SocketOption::SndBuf(snd_buf),
            (OptionName::Congestion, _) => match self.stack.controller_name(id) {
                Some(name) => SocketOption::Congestion(name.into()),
                None => value,
            },
            _ => value,
        })
    }

    /// getsockopt(2) `SO_ERROR`: takes the error that waits.
    ///
    /// # Errors
    /// `EBADF`, `ENOTSOCK`.
    pub fn take_error(&mut self, fd: Fd) -> Result<Option<Errno>, Errno> {
        match self.table.at(fd).ok_or(Errno::EBADF)? {
            Descriptor::Stream(stream) => {
                let id = stream.connection();
                Ok(id.and_then(|id| self.stack.take_error(id)).map(Errno::from))
            }
            Descriptor::Datagram(datagram) => Ok(self.stack.take_udp_error(datagram.id).map(Errno::from)),
            Descriptor::Epoll(_) => Err(Errno::ENOTSOCK),
        }
    }

    /// `SO_RCVTIMEO` and `SO_SNDTIMEO`.
    ///
    /// # Errors
    /// `EBADF`, `ENOTSOCK`.
    pub fn timeouts(&self, fd: Fd) -> Result<(Option<Duration>, Option<Duration>), Errno> {
        self.options_of(fd).map(|options| (options.rcv_timeo, options.snd_timeo))
    }

    /// getsockopt(2) `TCP_INFO` of a connection.
    ///
    /// # Errors
    /// `ENOPROTOOPT` for a datagram socket, `ENOTSOCK`, `EINVAL` for a stream that never was a connection (Linux answers
    /// with zeros), `EBADF`.
    pub fn tcp_info(&self, fd: Fd) -> Result<TcpInfo, Errno> {
        match self.table.at(fd).ok_or(Errno::EBADF)? {
            Descriptor::Stream(stream) => stream.connection().map(|id| self.stack.tcp_info(id)).ok_or(Errno::EINVAL),
            Descriptor::Datagram(_) => Err(Errno::ENOPROTOOPT),
            Descriptor::Epoll(_) => Err(Errno::ENOTSOCK),
        }
    }
}

impl Options {
    fn set(&mut self, option: SocketOption, algorithms: &Algorithms) -> Result<(), Errno> {
        use SocketOption as O;
        match option {
            O::ReuseAddr(on) => self.reuse_addr = on,
            O::Linger(time) => self.linger = time,
            O::KeepAlive(on) => self.tcp_mut().keep_alive = on,
            O::RcvBuf(size) => self.tcp_mut().rcv_buf = Some(size),
            O::SndBuf(size) => self.tcp_mut().snd_buf = Some(size),
            O::RcvTimeo(time) => self.rcv_timeo = time.filter(|time| !time.is_zero()),
            O::SndTimeo(time) => self.snd_timeo = time.filter(|time| !time.is_zero()),
            O::NoDelay(on) => self.tcp_mut().nodelay = on,
            O::Cork(on) => self.tcp_mut().cork = on,
            O::Congestion(name) => {
                self.tcp_mut().congestion = algorithms.by_name(name.as_str()).ok_or(Errno::ENOENT)?.clone();
            }
            O::MaxSeg(size) => self.tcp_mut().max_seg = Some(size).filter(|size| *size != 0),
            O::KeepIdle(time) => self.tcp_mut().keep_alive_times.idle = time,
            O::KeepIntvl(time) => self.tcp_mut().keep_alive_times.interval = time,
            O::KeepCnt(count) => self.tcp_mut().keep_alive_times.count = count,
            O::UserTimeout(time) => self.tcp_mut().user_timeout = Some(time).filter(|time| !time.is_zero()),
            O::QuickAck(on) => self.tcp_mut().quick_ack = on,
            O::V6Only(on) => self.v6_only = on,
            O::Ttl(ttl) => self.tcp_mut().ttl = ttl,
        }
        Ok(())
    }

    /// `initial`: the sizes of receive and send buffer that nobody has set.
    fn value(&self, name: OptionName, initial: (usize, usize)) -> SocketOption {
        use OptionName as N;
        use SocketOption as O;
        let tcp = &self.tcp;
        match name {
            N::ReuseAddr => O::ReuseAddr(self.reuse_addr),
            N::Linger => O::Linger(self.linger),
            N::KeepAlive => O::KeepAlive(tcp.keep_alive),
            N::RcvBuf => O::RcvBuf(tcp.rcv_buf.unwrap_or(initial.0)),
            N::SndBuf => O::SndBuf(tcp.snd_buf.unwrap_or(initial.1)),
            N::RcvTimeo => O::RcvTimeo(self.rcv_timeo),
            N::SndTimeo => O::SndTimeo(self.snd_timeo),
            N::NoDelay => O::NoDelay(tcp.nodelay),
            N::Cork => O::Cork(tcp.cork),
            N::Congestion => O::Congestion(tcp.congestion.name().into()),
            N::MaxSeg => O::MaxSeg(tcp.max_seg.unwrap_or(536)),
            N::KeepIdle => O::KeepIdle(tcp.keep_alive_times.idle),
            N::KeepIntvl => O::KeepIntvl(tcp.keep_alive_times.interval),
            N::KeepCnt => O::KeepCnt(tcp.keep_alive_times.count),
            N::UserTimeout => O::UserTimeout(tcp.user_timeout.unwrap_or_default()),
            N::QuickAck => O::QuickAck(tcp.quick_ack),
            N::V6Only => O::V6Only(self.v6_only),
            N::Ttl => O::Ttl(tcp.ttl),
        }
    }

    /// Those of TCP, for this socket alone.
    fn tcp_mut(&mut self) -> &mut TcpOptions {
        Arc::make_mut(&mut self.tcp)
    }
}
