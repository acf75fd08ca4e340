//! The socket calls for a datagram socket (udp(7)).

use core::net::SocketAddr;
use std::io::{IoSlice, IoSliceMut};

use crate::stack::{Binding, SendRefusal, UdpId};

use super::options::Options;
use super::{
    Descriptor, Domain, Errno, Fd, Host, Message, MsgFlags, Shutdown, canonical, destination, presented, unbound,
};

/// A datagram socket.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) domain: Domain,
    pub(super) options: Options,
    pub(super) id: UdpId,
    read_ended: bool,
    write_ended: bool,
}

impl Datagram {
    pub(super) const fn new(domain: Domain, options: Options, id: UdpId) -> Self {
        Self { domain, options, id, read_ended: false, write_ended: false }
    }

    /// The destination of datagrams for `addr`. A socket with `IPV6_V6ONLY` cannot send to a mapped address.
    fn destination(&self, addr: SocketAddr) -> Result<SocketAddr, Errno> {
        match canonical(self.domain, self.options.v6_only, addr) {
            Ok(addr) => destination(addr),
            Err(Errno::EINVAL) => Err(Errno::ENETUNREACH),
            Err(errno) => Err(errno),
        }
    }
}

impl Host {
    fn datagram(&self, fd: Fd) -> Result<&Datagram, Errno> {
        match self.table.at(fd) {
            Some(Descriptor::Datagram(datagram)) => Ok(datagram),
            Some(Descriptor::Stream(_)) => Err(Errno::EOPNOTSUPP),
            Some(Descriptor::Epoll(_)) => Err(Errno::ENOTSOCK),
            None => Err(Errno::EBADF),
        }
    }

    pub(super) fn bind_datagram(&mut self, fd: Fd, addr: SocketAddr) -> Result<(), Errno> {
        let datagram = self.datagram(fd)?;
        let addr = canonical(datagram.domain, datagram.options.v6_only, addr)?;
        let id = datagram.id;
        if self.stack.udp_endpoints(id).0.is_some() {
            return Err(Errno::EINVAL);
        }
        let binding = Binding { addr, v6_only: datagram.options.v6_only, reuse: datagram.options.reuse_addr };
        self.stack.bind_udp(id, &binding)?;
        Ok(())
    }

    /// A socket that sends before it was bound gets a free port.
    fn bind_if_needed(&mut self, fd: Fd) -> Result<(), Errno> {
        let datagram = self.datagram(fd)?;
        if self.stack.udp_endpoints(datagram.id).0.is_some() {
            return Ok(());
        }
        let addr = unbound(datagram.domain);
        self.bind_datagram(fd, addr).map_err(|_| Errno::EAGAIN)
    }

    pub(super) fn connect_datagram(&mut self, fd: Fd, addr: Option<SocketAddr>) -> Result<(), Errno> {
        let datagram = self.datagram(fd)?;
        let id = datagram.id;
        let remote = match addr {
            Some(addr) => Some(datagram.destination(addr)?),
            None => None,
        };
        self.bind_if_needed(fd)?;
        self.stack.connect_udp(id, remote).map_err(refusal)
    }

    pub(super) fn send_datagram(
        &mut self,
        fd: Fd,
        bufs: &[IoSlice<'_>],
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        let datagram = self.datagram(fd)?;
        let id = datagram.id;
        if datagram.write_ended {
            return Err(Errno::EPIPE);
        }
        let remote = match to {
            Some(to) => datagram.destination(to)?,
            None => self.stack.udp_endpoints(id).1.ok_or(Errno::EDESTADDRREQ)?,
        };
        if remote.port() == 0 {
            return Err(Errno::EINVAL);
        }
        if let Some(error) = self.stack.take_udp_error(id) {
            return Err(error.into());
        }
        self.bind_if_needed(fd)?;
        let sent = match bufs {
            [buf] => self.stack.send_udp(id, remote, buf),
            bufs => {
                self.stack.send_udp(id, remote, &bufs.iter().flat_map(|buf| buf.iter().copied()).collect::<Vec<_>>())
            }
        };
        sent.map(|()| bufs.iter().map(|buf| buf.len()).sum()).map_err(refusal)
    }

    pub(super) fn receive_datagram(
        &mut self,
        fd: Fd,
        bufs: &mut [IoSliceMut<'_>],
        flags: MsgFlags,
    ) -> Result<Message, Errno> {
        let datagram = self.datagram(fd)?;
        let (id, domain, read_ended) = (datagram.id, datagram.domain, datagram.read_ended);
        if let Some(error) = self.stack.take_udp_error(id) {
            return Err(error.into());
        }
        let peek = flags.contains(MsgFlags::PEEK);
        let room: usize = bufs.iter().map(|buf| buf.len()).sum();
        let received = match bufs {
            [buf] => self.stack.receive_udp(id, buf, peek),
            bufs => {
                let mut whole = vec![0; room];
                let received = self.stack.receive_udp(id, &mut whole, peek);
                let mut rest = &whole[..];
                for buf in bufs {
                    let (now, later) = rest.split_at(buf.len());
                    buf.copy_from_slice(now);
                    rest = later;
                }
                received
            }
        };
        let Some((len, from)) = received else {
            return if read_ended { Ok(Message::of_stream(0)) } else { Err(Errno::EAGAIN) };
        };
        let truncated = len > room;
        Ok(Message {
            len: if flags.contains(MsgFlags::TRUNC) { len } else { len.min(room) },
            from: Some(presented(domain, from)),
            flags: if truncated { MsgFlags::TRUNC } else { MsgFlags::NONE },
        })
    }

    pub(super) fn shutdown_datagram(&mut self, fd: Fd, how: Shutdown) -> Result<(), Errno> {
        let id = self.datagram(fd)?.id;
        if self.stack.udp_endpoints(id).1.is_none() {
            return Err(Errno::ENOTCONN);
        }
        if let Some(Descriptor::Datagram(datagram)) = self.table.at_mut(fd) {
            datagram.read_ended |= how != Shutdown::Write;
            datagram.write_ended |= how != Shutdown::Read;
        }
        self.stack.push_ready(fd.0);
        Ok(())
    }

    /// True after shutdown of reading: a read finds the end.
    pub(super) const fn datagram_read_ended(datagram: &Datagram) -> bool {
        datagram.read_ended
    }

    /// The local and the remote address, in the family of the socket.
    pub(super) fn datagram_endpoints(&self, datagram: &Datagram) -> (SocketAddr, Option<SocketAddr>) {
        let (local, remote) = self.stack.udp_endpoints(datagram.id);
        let present = |addr| presented(datagram.domain, addr);
        (present(local.unwrap_or(unbound(datagram.domain))), remote.map(present))
    }
}

fn refusal(refusal: SendRefusal) -> Errno {
    match refusal {
        SendRefusal::TooBig => Errno::EMSGSIZE,
        SendRefusal::NoRoute => Errno::ENETUNREACH,
        SendRefusal::LoopbackSource => Errno::EINVAL,
        SendRefusal::NoBuffers => Errno::ENOBUFS,
        SendRefusal::NoPort => Errno::EAGAIN,
    }
}
