//! Descriptors and BSD calls over the stack.

mod errno;
mod options;
mod types;

pub use errno::Errno;
pub use options::{OptionName, SocketOption};
pub use types::{Domain, EpollCtl, EpollEvent, Fd, MsgFlags, PollFd, Readiness, Shutdown, Type};

use core::net::{IpAddr, SocketAddr};
use std::io::{IoSlice, IoSliceMut};

use crate::event::StackEvent;
use crate::segment::Packet;
use crate::time::{Duration, Instant};

/// Settings of a host. Start from `HostConfig::default()`; fields are public.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// seed of this host
    pub seed: u64,
    /// addresses with prefix length
    pub addresses: Vec<(IpAddr, u8)>,
    /// a default route exists
    pub default_route: bool,
    /// MTU
    pub mtu: usize,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self { seed: 0, addresses: Vec::new(), default_route: false, mtu: 1500 }
    }
}

/// A host: stack and descriptor table.
#[derive(Debug)]
pub struct Host {}

#[allow(unused_variables, missing_docs, clippy::needless_pass_by_ref_mut, clippy::unused_self)]
impl Host {
    pub fn new(config: &HostConfig) -> Self { todo!() }
    pub fn now(&self) -> Instant { todo!() }
    /// Moves the clock forward (never back); the loop calls it before programs run.
    pub fn set_now(&mut self, now: Instant) { todo!() }
    pub fn handle_packet(&mut self, now: Instant, packet: &mut Packet) { todo!() }
    /// Fires what is due.
    pub fn handle_timeout(&mut self, now: Instant) { todo!() }
    /// Writes the next packet to send into `packet` (its old content is gone); false if there is none.
    pub fn poll_transmit(&mut self, now: Instant, packet: &mut Packet) -> bool { todo!() }
    /// Earliest deadline; `Some(now)` or earlier means "call poll_transmit/handle_timeout at once".
    pub fn next_at(&mut self) -> Option<Instant> { todo!() }
    pub fn poll_event(&mut self) -> Option<StackEvent> { todo!() }
    /// Events are queued only when asked for.
    pub fn observe_events(&mut self, on: bool) { todo!() }
    /// A descriptor whose readiness may have changed since it was last returned here (each once, FIFO).
    pub fn poll_ready(&mut self) -> Option<Fd> { todo!() }
    pub fn readiness(&self, fd: Fd) -> Readiness { todo!() }

    pub fn socket(&mut self, domain: Domain, kind: Type) -> Result<Fd, Errno> { todo!() }
    pub fn bind(&mut self, fd: Fd, addr: SocketAddr) -> Result<(), Errno> { todo!() }
    pub fn listen(&mut self, fd: Fd, backlog: usize) -> Result<(), Errno> { todo!() }
    /// EAGAIN when none is ready.
    pub fn accept(&mut self, fd: Fd) -> Result<(Fd, SocketAddr), Errno> { todo!() }
    /// Stream: EINPROGRESS first; then EALREADY while under way; Ok(()) once when established (then EISCONN), or the error.
    pub fn connect(&mut self, fd: Fd, addr: SocketAddr) -> Result<(), Errno> { todo!() }
    /// Ok(0) is end of file; EAGAIN when nothing is there.
    pub fn read(&mut self, fd: Fd, buf: &mut [u8]) -> Result<usize, Errno> { todo!() }
    /// As much as fits; EAGAIN when nothing fits.
    pub fn write(&mut self, fd: Fd, buf: &[u8]) -> Result<usize, Errno> { todo!() }
    pub fn readv(&mut self, fd: Fd, bufs: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> { todo!() }
    pub fn writev(&mut self, fd: Fd, bufs: &[IoSlice<'_>]) -> Result<usize, Errno> { todo!() }
    pub fn send(&mut self, fd: Fd, buf: &[u8], flags: MsgFlags) -> Result<usize, Errno> { todo!() }
    pub fn recv(&mut self, fd: Fd, buf: &mut [u8], flags: MsgFlags) -> Result<usize, Errno> { todo!() }
    pub fn sendto(&mut self, fd: Fd, buf: &[u8], flags: MsgFlags, to: Option<SocketAddr>) -> Result<usize, Errno> { todo!() }
    pub fn recvfrom(&mut self, fd: Fd, buf: &mut [u8], flags: MsgFlags) -> Result<(usize, Option<SocketAddr>), Errno> { todo!() }
    pub fn shutdown(&mut self, fd: Fd, how: Shutdown) -> Result<(), Errno> { todo!() }
    pub fn close(&mut self, fd: Fd) -> Result<(), Errno> { todo!() }
    pub fn getsockname(&self, fd: Fd) -> Result<SocketAddr, Errno> { todo!() }
    pub fn getpeername(&self, fd: Fd) -> Result<SocketAddr, Errno> { todo!() }
    pub fn setsockopt(&mut self, fd: Fd, option: SocketOption) -> Result<(), Errno> { todo!() }
    pub fn getsockopt(&self, fd: Fd, name: OptionName) -> Result<SocketOption, Errno> { todo!() }
    /// SO_ERROR: takes the pending error.
    pub fn take_error(&mut self, fd: Fd) -> Result<Option<Errno>, Errno> { todo!() }
    /// fcntl(F_SETFL, O_NONBLOCK); only blocking wrappers (net) look at it.
    pub fn set_nonblocking(&mut self, fd: Fd, on: bool) -> Result<(), Errno> { todo!() }
    pub fn is_nonblocking(&self, fd: Fd) -> Result<bool, Errno> { todo!() }
    /// ioctl(FIONREAD)
    pub fn fionread(&self, fd: Fd) -> Result<usize, Errno> { todo!() }
    /// SO_RCVTIMEO, SO_SNDTIMEO
    pub fn timeouts(&self, fd: Fd) -> Result<(Option<Duration>, Option<Duration>), Errno> { todo!() }
    /// poll(2) without waiting: fills revents, returns how many are not empty.
    pub fn poll(&self, fds: &mut [PollFd]) -> usize { todo!() }
    pub fn epoll_create(&mut self) -> Result<Fd, Errno> { todo!() }
    pub fn epoll_ctl(&mut self, epoll: Fd, fd: Fd, ctl: EpollCtl) -> Result<(), Errno> { todo!() }
    /// Without waiting.
    pub fn epoll_wait(&mut self, epoll: Fd, events: &mut Vec<EpollEvent>, max: usize) -> Result<usize, Errno> { todo!() }
    /// One line per descriptor, for diagnostics.
    pub fn descriptor_lines(&self) -> Vec<String> { todo!() }
}
