//! The arguments and results of the socket calls: descriptors, families, flags, readiness.

use core::fmt;
use core::net::SocketAddr;
use core::ops::{BitAnd, BitOr, BitOrAssign};

/// A file descriptor of this host: the lowest free number from 3 up, as after standard input, output and error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fd(pub u32);

impl fmt::Display for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The address family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// `AF_INET`
    Inet,
    /// `AF_INET6`
    Inet6,
}

impl Domain {
    /// The family of an address.
    pub const fn of(addr: &SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(_) => Self::Inet,
            SocketAddr::V6(_) => Self::Inet6,
        }
    }
}

/// The type of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `SOCK_STREAM`: TCP.
    Stream,
    /// `SOCK_DGRAM`: UDP.
    Datagram,
}

/// Which half of a connection shutdown(2) ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// `SHUT_RD`
    Read,
    /// `SHUT_WR`
    Write,
    /// `SHUT_RDWR`
    Both,
}

/// The name of a congestion controller, the value of `TCP_CONGESTION`: at most 15 bytes, as on Linux.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CongestionName {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl CongestionName {
    /// The most bytes of a name. Linux's `TCP_CA_NAME_MAX` counts a zero byte too.
    pub const MAX: usize = 15;

    /// The name; `None` if it is longer than 15 bytes.
    pub fn exact(name: &str) -> Option<Self> {
        (name.len() <= Self::MAX).then(|| name.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl From<&str> for CongestionName {
    /// A longer name ends after 15 bytes, as on Linux, or before the character that the limit would cut.
    fn from(name: &str) -> Self {
        let len = name.floor_char_boundary(Self::MAX);
        let mut bytes = [0; Self::MAX];
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        Self { len: len as u8, bytes }
    }
}

impl fmt::Display for CongestionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for CongestionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

macro_rules! bit_set {
    ($type:ident) => {
        impl $type {
            /// No bit.
            pub const NONE: Self = Self(0);

            /// True if every bit of `other` is set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// True if any bit of `other` is set.
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// True if no bit is set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }
        }

        impl BitOr for $type {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl BitOrAssign for $type {
            fn bitor_assign(&mut self, other: Self) {
                self.0 |= other.0;
            }
        }

        impl BitAnd for $type {
            type Output = Self;

            fn bitand(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
        }
    };
}

/// Flags of send(2) and recv(2), with Linux's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct MsgFlags(pub u32);

impl MsgFlags {
    /// Leave the data in the queue.
    pub const PEEK: Self = Self(0x02);
    /// As a result of recvmsg(2): the datagram was longer than the buffers. As an argument of recv(2): return the real
    /// length.
    pub const TRUNC: Self = Self(0x20);
    /// Do not wait, also without `O_NONBLOCK` on the descriptor.
    pub const DONTWAIT: Self = Self(0x40);
    /// No SIGPIPE. This host has no signals, so the flag changes nothing.
    pub const NOSIGNAL: Self = Self(0x4000);
}

bit_set!(MsgFlags);

/// What poll(2) waits for and gives back, with Linux's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Readiness(pub u32);

impl Readiness {
    /// `POLLIN`: data, an end of file, or a connection to accept.
    pub const READABLE: Self = Self(0x01);
    /// `POLLOUT`: room for data, or the end of a connect.
    pub const WRITABLE: Self = Self(0x04);
    /// `POLLERR`: an error waits in `SO_ERROR`.
    pub const ERROR: Self = Self(0x08);
    /// `POLLHUP`: both directions are shut down.
    pub const HANG_UP: Self = Self(0x10);
    /// `POLLNVAL`: not an open descriptor.
    pub const INVALID: Self = Self(0x20);
    /// `POLLRDHUP`: the peer has ended its direction.
    pub const READ_HANG_UP: Self = Self(0x2000);
}

bit_set!(Readiness);

/// One entry of poll(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollFd {
    /// The descriptor.
    pub fd: Fd,
    /// What is waited for. [`Readiness::ERROR`], [`Readiness::HANG_UP`] and [`Readiness::INVALID`] are always reported.
    pub events: Readiness,
    /// What there is.
    pub revents: Readiness,
}

/// What `epoll_ctl(2)` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpollCtl {
    /// `EPOLL_CTL_ADD` with the events waited for and the user's data. Level-triggered.
    Add(Readiness, u64),
    /// `EPOLL_CTL_MOD`
    Modify(Readiness, u64),
    /// `EPOLL_CTL_DEL`
    Delete,
}

/// One event that `epoll_wait(2)` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpollEvent {
    /// What there is.
    pub events: Readiness,
    /// The user's data given with [`EpollCtl::Add`].
    pub data: u64,
}

/// What recvmsg(2) gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Bytes received, or with [`MsgFlags::TRUNC`] the whole length of the datagram.
    pub len: usize,
    /// The sender of a datagram.
    pub from: Option<SocketAddr>,
    /// [`MsgFlags::TRUNC`] if the datagram was longer than the buffers.
    pub flags: MsgFlags,
}

impl Message {
    pub(super) const fn of_stream(len: usize) -> Self {
        Self { len, from: None, flags: MsgFlags::NONE }
    }
}
