//! A UDP socket for async programs. Dropping it closes it. On a connected socket an ICMP error is the result of the
//! next call (ECONNREFUSED), as on Linux.

use std::io;
use std::net::SocketAddr;

use super::handle::Net;
use super::tcp::Owned;
use super::wait::Interest;
use crate::socket::{Errno, Fd, Host, MsgFlags, Type};

/// A UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    owned: Owned,
}

impl UdpSocket {
    /// A socket bound to an address; port 0 takes a free one.
    pub fn bind(net: &Net, addr: SocketAddr) -> io::Result<Self> {
        let owned = Owned::socket(net, &addr, Type::Datagram)?;
        net.bind(owned.fd()?, addr)?;
        Ok(Self { owned })
    }

    /// Sets the peer. [`send`](Self::send) sends there, and only datagrams from there are received.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        let fd = self.owned.fd()?;
        Ok(self.owned.net.host_mut().connect(fd, peer)?)
    }

    /// Sends one datagram to `to`. Waits for room in the send buffer.
    pub async fn send_to(&self, buf: &[u8], to: SocketAddr) -> io::Result<usize> {
        let send = |host: &mut Host, fd| host.sendto(fd, buf, MsgFlags::NONE, Some(to));
        Ok(self.owned.wait(Interest::write, "sendto", send).await?)
    }

    /// Receives one datagram and its sender. Bytes that do not fit into `buf` are lost.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let receive = |host: &mut Host, fd| host.recvfrom(fd, buf, MsgFlags::NONE);
        let (count, from) = self.owned.wait(Interest::read, "recvfrom", receive).await?;
        Ok((count, from.ok_or(Errno::ENOTCONN)?))
    }

    /// Sends one datagram to the connected peer.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        let send = |host: &mut Host, fd| host.send(fd, buf, MsgFlags::NONE);
        Ok(self.owned.wait(Interest::write, "send", send).await?)
    }

    /// Receives one datagram from the connected peer. Bytes that do not fit into `buf` are lost.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let receive = |host: &mut Host, fd| host.recv(fd, buf, MsgFlags::NONE);
        Ok(self.owned.wait(Interest::read, "recv", receive).await?)
    }

    /// The local address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.owned.net.getsockname(self.owned.fd()?)?)
    }

    /// The connected peer.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.owned.net.getpeername(self.owned.fd()?)?)
    }

    /// Its descriptor, for options. It stays this socket's.
    pub fn fd(&self) -> io::Result<Fd> {
        Ok(self.owned.fd()?)
    }
}
