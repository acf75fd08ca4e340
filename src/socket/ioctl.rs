//! ioctl(2) of sockets: how much waits to be read, and how much was written and not acknowledged (tcp(7), udp(7)).

use super::stream::{Stream, StreamState};
use super::{Descriptor, Errno, Fd, Host};

impl Host {
    /// ioctl(2) `FIONREAD`: bytes that can be read; for a datagram socket, of the next datagram.
    ///
    /// # Errors
    /// `EINVAL` for a listening socket, `EBADF`.
    pub fn fionread(&self, fd: Fd) -> Result<usize, Errno> {
        match self.table.at(fd).ok_or(Errno::EBADF)? {
            Descriptor::Stream(stream) => self.stream_unread(stream),
            Descriptor::Datagram(datagram) => Ok(self.stack.next_datagram(datagram.id).unwrap_or(0)),
            Descriptor::Epoll(_) => Err(Errno::EINVAL),
        }
    }

    /// ioctl(2) `SIOCOUTQ`: bytes that were written and not acknowledged; 0 for a datagram socket.
    ///
    /// # Errors
    /// `EINVAL` for a listening socket and for epoll, `EBADF`.
    pub fn siocoutq(&self, fd: Fd) -> Result<usize, Errno> {
        match self.table.at(fd).ok_or(Errno::EBADF)? {
            Descriptor::Stream(Stream { role: StreamState::Listening(_), .. }) | Descriptor::Epoll(_) => {
                Err(Errno::EINVAL)
            }
            Descriptor::Stream(stream) => Ok(stream.connection().map_or(0, |id| self.stack.unacknowledged(id))),
            Descriptor::Datagram(_) => Ok(0),
        }
    }
}
