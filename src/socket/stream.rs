//! The socket calls for a stream socket (tcp(7)).

use core::net::SocketAddr;
use std::io::{IoSlice, IoSliceMut};

use crate::event::State;
use crate::stack::{Binding, ConnectRefusal, ConnectionId, ListenerId, Received, Sent};

use super::options::Options;
use super::{
    Descriptor, Domain, Errno, Fd, Host, MsgFlags, Shutdown, Transcript, canonical, destination, presented, unbound,
};

/// States without a peer for getpeername(2): Linux's socket is CLOSED as soon as TIME-WAIT has taken over.
const fn is_unconnected(state: State) -> bool {
    matches!(state, State::SynSent | State::Closed | State::TimeWait)
}

/// A stream socket.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) domain: Domain,
    pub(super) options: Options,
    /// The address of bind. Connections made by accept have none.
    pub(super) binding: Option<Binding>,
    pub(super) role: StreamState,
}

/// The state of a stream socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamState {
    /// Neither listen nor connect was called.
    Fresh,
    /// It listens.
    Listening(ListenerId),
    /// connect was called and has not reported success or an error.
    Connecting(ConnectionId),
    /// A connection.
    Connected(ConnectionId),
}

impl Stream {
    pub(super) const fn new(domain: Domain, options: Options) -> Self {
        Self { domain, options, binding: None, role: StreamState::Fresh }
    }

    /// The connection, if there is one.
    pub(super) const fn connection(&self) -> Option<ConnectionId> {
        match self.role {
            StreamState::Connecting(id) | StreamState::Connected(id) => Some(id),
            StreamState::Fresh | StreamState::Listening(_) => None,
        }
    }

    /// How a binding to `addr` holds its port.
    fn binding_at(&self, addr: SocketAddr) -> Binding {
        Binding { addr, v6_only: self.options.v6_only, reuse: self.options.reuse_addr }
    }
}

impl Host {
    pub(super) fn listener(&self, fd: Fd) -> Result<ListenerId, Errno> {
        match self.stream(fd)?.role {
            StreamState::Listening(id) => Ok(id),
            _ => Err(Errno::EINVAL),
        }
    }

    fn stream(&self, fd: Fd) -> Result<&Stream, Errno> {
        match self.table.at(fd) {
            Some(Descriptor::Stream(stream)) => Ok(stream),
            Some(Descriptor::Datagram(_)) => Err(Errno::EOPNOTSUPP),
            Some(Descriptor::Epoll(_)) => Err(Errno::ENOTSOCK),
            None => Err(Errno::EBADF),
        }
    }

    fn stream_mut(&mut self, fd: Fd) -> Result<&mut Stream, Errno> {
        self.stream(fd)?;
        match self.table.at_mut(fd) {
            Some(Descriptor::Stream(stream)) => Ok(stream),
            _ => Err(Errno::EBADF),
        }
    }

    pub(super) fn bind_stream(&mut self, fd: Fd, addr: SocketAddr) -> Result<(), Errno> {
        let stream = self.stream(fd)?;
        let addr = canonical(stream.domain, stream.options.v6_only, addr)?;
        if stream.binding.is_some() || stream.role != StreamState::Fresh {
            return Err(Errno::EINVAL);
        }
        let mut binding = stream.binding_at(addr);
        let port = self.stack.bind_tcp(&binding)?;
        binding.addr.set_port(port);
        self.stream_mut(fd)?.binding = Some(binding);
        Ok(())
    }

    pub(super) fn listen_stream(&mut self, fd: Fd, backlog: usize) -> Result<(), Errno> {
        let backlog = backlog.min(self.config().backlog_limit);
        let stream = self.stream(fd)?;
        match stream.role {
            StreamState::Fresh => {}
            StreamState::Listening(id) => {
                self.stack.set_backlog(id, backlog);
                return Ok(());
            }
            StreamState::Connecting(_) | StreamState::Connected(_) => return Err(Errno::EINVAL),
        }
        if stream.binding.is_none() {
            self.bind_stream(fd, unbound(self.stream(fd)?.domain))?;
        }
        let stream = self.stream(fd)?;
        let (binding, options) = (stream.binding.ok_or(Errno::EINVAL)?, stream.options.tcp.clone());
        let id = self.stack.listen(&binding, backlog, &options, fd.0)?;
        self.stream_mut(fd)?.role = StreamState::Listening(id);
        Ok(())
    }

    pub(super) fn accept_stream(&mut self, fd: Fd) -> Result<(Fd, SocketAddr), Errno> {
        let stream = self.stream(fd)?;
        let StreamState::Listening(listener) = stream.role else { return Err(Errno::EINVAL) };
        let (domain, options) = (stream.domain, Options { nonblocking: false, ..stream.options.clone() });
        let new = self.table.next_free().ok_or(Errno::EMFILE)?;
        let id = self.stack.accept(listener, new.0).ok_or(Errno::EAGAIN)?;
        self.table.insert(
            new,
            Descriptor::Stream(Stream { domain, options, binding: None, role: StreamState::Connected(id) }),
        );
        // A connection that its peer has reset meanwhile is accepted too, as on Linux. A read then returns the error.
        Ok((new, presented(domain, self.stack.account(id).remote)))
    }

    pub(super) fn connect_stream(&mut self, fd: Fd, addr: SocketAddr) -> Result<(), Errno> {
        let stream = self.stream(fd)?;
        if Domain::of(&addr) != stream.domain {
            return Err(Errno::EAFNOSUPPORT);
        }
        match stream.role {
            // Once connected, always connected, even when the connection is over (Linux).
            StreamState::Listening(_) | StreamState::Connected(_) => Err(Errno::EISCONN),
            StreamState::Connecting(id) if self.stack.is_over(id) => {
                // The attempt has failed. Report it once; then the socket can connect again. Linux returns ECONNABORTED
                // if SO_ERROR has reported the error already.
                let error = self.stack.take_error(id).map_or(Errno::ECONNABORTED, Errno::from);
                self.stack.close(id, false);
                self.stream_mut(fd)?.role = StreamState::Fresh;
                Err(error)
            }
            StreamState::Connecting(id) if self.stack.account(id).opened_at.is_none() => Err(Errno::EALREADY),
            StreamState::Connecting(id) => {
                self.stream_mut(fd)?.role = StreamState::Connected(id);
                Ok(())
            }
            StreamState::Fresh => self.begin_connect(fd, addr),
        }
    }

    fn begin_connect(&mut self, fd: Fd, addr: SocketAddr) -> Result<(), Errno> {
        let stream = self.stream(fd)?;
        let remote = canonical(stream.domain, stream.options.v6_only, addr).map_err(|_| Errno::ENETUNREACH)?;
        let remote = destination(remote)?;
        if remote.port() == 0 {
            // Linux sends the SYN and gets an RST, because no socket can listen on port 0.
            return Err(Errno::ECONNREFUSED);
        }
        let (binding, options) = (stream.binding, stream.options.tcp.clone());
        match self.stack.connect(binding.as_ref(), remote, &options, fd.0) {
            Ok(id) => {
                self.stream_mut(fd)?.role = StreamState::Connecting(id);
                Err(Errno::EINPROGRESS)
            }
            Err(ConnectRefusal::NoRoute) => Err(Errno::ENETUNREACH),
            Err(ConnectRefusal::LoopbackSource) => Err(Errno::EINVAL),
            Err(ConnectRefusal::NotAvailable) => Err(Errno::EADDRNOTAVAIL),
            Err(ConnectRefusal::NoBuffers) => Err(Errno::ENOBUFS),
        }
    }

    pub(super) fn send_stream(
        &mut self,
        connection: Option<ConnectionId>,
        bufs: &[IoSlice<'_>],
    ) -> Result<usize, Errno> {
        let Some(id) = connection else { return Err(Errno::EPIPE) };
        if let Some(error) = self.stack.take_error(id) {
            return Err(error.into());
        }
        let mut sent = 0;
        for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
            match self.stack.send(id, buf) {
                Sent::Taken(0) | Sent::NotYet if sent == 0 => return Err(Errno::EAGAIN),
                Sent::Ended if sent == 0 => return Err(Errno::EPIPE),
                Sent::Taken(taken) => {
                    self.transcribe(id, |transcript| transcript.written.extend_from_slice(&buf[..taken]));
                    sent += taken;
                    if taken < buf.len() {
                        break;
                    }
                }
                Sent::NotYet | Sent::Ended => break,
            }
        }
        Ok(sent)
    }

    /// Bytes that a write to this stream takes now; zero unless poll(2) calls it writable.
    #[cfg(feature = "proxy")]
    pub(crate) fn send_room(&self, fd: Fd) -> usize {
        let connection = self.stream(fd).ok().and_then(Stream::connection);
        connection.map_or(0, |id| self.stack.send_room(id))
    }

    pub(super) fn receive_stream(
        &mut self,
        connection: Option<ConnectionId>,
        bufs: &mut [IoSliceMut<'_>],
        flags: MsgFlags,
    ) -> Result<usize, Errno> {
        let Some(id) = connection else { return Err(Errno::ENOTCONN) };
        let peek = flags.contains(MsgFlags::PEEK);
        if peek && bufs.len() > 1 { self.peek_stream(id, bufs) } else { self.receive_stream_from(id, bufs, peek) }
    }

    fn receive_stream_from(
        &mut self,
        id: ConnectionId,
        bufs: &mut [IoSliceMut<'_>],
        peek: bool,
    ) -> Result<usize, Errno> {
        let mut received = 0;
        for buf in bufs.iter_mut().filter(|buf| !buf.is_empty()) {
            match self.stack.receive(id, buf, peek) {
                Received::Data(len) => {
                    if !peek {
                        self.transcribe(id, |transcript| transcript.read.extend_from_slice(&buf[..len]));
                    }
                    received += len;
                    if len < buf.len() {
                        break;
                    }
                }
                Received::Nothing | Received::End if received > 0 => break,
                Received::Nothing if self.stack.read_ended(id) => return Ok(0),
                Received::Nothing => return Err(Errno::EAGAIN),
                Received::End => return self.end_of_stream(id),
            }
        }
        Ok(received)
    }

    /// Writes into the transcript of a connection, if there is one.
    fn transcribe(&mut self, id: ConnectionId, write: impl FnOnce(&mut Transcript)) {
        if let Some(transcripts) = &mut self.transcripts {
            let account = self.stack.account(id);
            write(transcripts.of(id, account.local, account.remote));
        }
    }

    /// `MSG_PEEK` into several buffers: the stack looks once, since a second look would see the same bytes.
    fn peek_stream(&mut self, id: ConnectionId, bufs: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
        let mut whole = vec![0; bufs.iter().map(|buf| buf.len()).sum()];
        let len = self.receive_stream_from(id, &mut [IoSliceMut::new(&mut whole)], true)?;
        let mut rest = &whole[..len];
        for buf in bufs {
            let (now, later) = rest.split_at(buf.len().min(rest.len()));
            buf[..now.len()].copy_from_slice(now);
            rest = later;
        }
        Ok(len)
    }

    /// The result when nothing is left to read: the error of the connection once, then the end. After the peer's FIN a
    /// read returns the end of the stream. Linux reports later errors only to writers and `SO_ERROR`.
    fn end_of_stream(&mut self, id: ConnectionId) -> Result<usize, Errno> {
        if self.stack.fin_received(id) {
            return Ok(0);
        }
        self.stack.take_error(id).map_or(Ok(0), |error| Err(error.into()))
    }

    pub(super) fn shutdown_stream(&mut self, fd: Fd, how: Shutdown) -> Result<(), Errno> {
        let stream = self.stream(fd)?;
        match stream.role {
            StreamState::Fresh => Err(Errno::ENOTCONN),
            StreamState::Listening(_) if how == Shutdown::Write => Ok(()),
            // Linux: a listener whose reading ends stops listening, and keeps its port.
            StreamState::Listening(id) => {
                let binding = stream.binding.ok_or(Errno::EINVAL)?;
                self.stack.close_listener(id, &binding);
                self.stack.hold_bound(&binding);
                self.stream_mut(fd)?.role = StreamState::Fresh;
                Ok(())
            }
            StreamState::Connecting(id) | StreamState::Connected(id) => {
                if self.stack.is_over(id) {
                    return Err(Errno::ENOTCONN);
                }
                // Linux ends the attempt for each direction, and sends nothing.
                if self.stack.condition(id).state == State::SynSent {
                    self.stack.give_up(id);
                    return Ok(());
                }
                if how != Shutdown::Write {
                    self.stack.shutdown_read(id);
                }
                if how != Shutdown::Read {
                    self.stack.shutdown_write(id);
                }
                Ok(())
            }
        }
    }

    pub(super) fn close_stream(&mut self, stream: &Stream) {
        let Stream { domain: _, options, binding, role } = stream;
        match role {
            StreamState::Fresh => {}
            StreamState::Listening(id) => {
                if let Some(binding) = binding {
                    self.stack.close_listener(*id, binding);
                }
                return;
            }
            StreamState::Connecting(id) | StreamState::Connected(id) => {
                self.stack.close(*id, options.linger.is_some_and(|linger| linger.is_zero()));
            }
        }
        if let Some(binding) = binding {
            self.stack.unbind_tcp(binding);
        }
    }

    /// The local and the remote address, in the family of the socket.
    pub(super) fn stream_endpoints(&self, stream: &Stream) -> (SocketAddr, Option<SocketAddr>) {
        if let Some((state, local, remote)) = stream.connection().and_then(|id| self.stack.endpoints(id)) {
            (presented(stream.domain, local), Some(presented(stream.domain, remote)).filter(|_| !is_unconnected(state)))
        } else {
            let addr = stream.binding.map_or(unbound(stream.domain), |binding| binding.addr);
            (presented(stream.domain, addr), None)
        }
    }

    pub(super) fn stream_unread(&self, stream: &Stream) -> Result<usize, Errno> {
        match stream.role {
            StreamState::Listening(_) => Err(Errno::EINVAL),
            _ => Ok(stream.connection().map_or(0, |id| self.stack.unread(id))),
        }
    }
}
