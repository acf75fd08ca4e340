//! Socket options: one value per option, for setsockopt(2) and getsockopt(2).

use crate::time::Duration;

use super::Errno;

/// An option with its value. `setsockopt` takes one; `getsockopt` takes an [`OptionName`] and gives one back.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum SocketOption {
    /// `SO_REUSEADDR`: bind although connections in TIME-WAIT hold the port.
    ReuseAddr(bool),
    /// `SO_LINGER`: what close does with data not yet sent; zero seconds means reset.
    Linger(Option<Duration>),
    /// `SO_KEEPALIVE`
    KeepAlive(bool),
    /// `SO_RCVBUF`: octets of the receive buffer. Linux doubles what is asked for; this host takes it as it is.
    RcvBuf(usize),
    /// `SO_SNDBUF`: octets of the send buffer, taken as asked for.
    SndBuf(usize),
    /// `SO_RCVTIMEO`: how long a blocking read or accept waits; `None` is for ever.
    RcvTimeo(Option<Duration>),
    /// `SO_SNDTIMEO`: how long a blocking write or connect waits; `None` is for ever.
    SndTimeo(Option<Duration>),
    /// `TCP_NODELAY`: no Nagle algorithm.
    NoDelay(bool),
    /// `TCP_MAXSEG`: the largest segment to announce and to send.
    MaxSeg(u16),
    /// `TCP_KEEPIDLE`: time without a segment before the first probe.
    KeepIdle(Duration),
    /// `TCP_KEEPINTVL`: time between probes.
    KeepIntvl(Duration),
    /// `TCP_KEEPCNT`: probes without an answer before the connection is given up.
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

/// The name of an option, to ask for it.
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
    MaxSeg,
    KeepIdle,
    KeepIntvl,
    KeepCnt,
    UserTimeout,
    QuickAck,
    V6Only,
    Ttl,
}

/// What every socket holds of its options, set or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OptionTable {
    pub(crate) reuse_addr: bool,
    pub(crate) linger: Option<Duration>,
    pub(crate) rcv_timeo: Option<Duration>,
    pub(crate) snd_timeo: Option<Duration>,
    pub(crate) v6_only: bool,
    pub(crate) error: Option<Errno>,
}
