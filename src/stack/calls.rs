//! What the socket layer asks of the stack: bind, listen, accept, connect, data, close. Descriptors, blocking and errno
//! are its business; here are connections and refusals.

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::event::{Cause, State};

#[cfg(feature = "control")]
use super::Slot;
use super::Stack;
use super::address::{Addr, FourTuple};
use super::config::TcpOptions;
use super::connection::{Account, ConnectionError, ConnectionId, Owner};
use super::half_open::connection_holder;
use super::listener::{Listener, ListenerId};
use super::ports::{Holder, Ports, Role, Wanted};
use super::tcp::{Receiver, Sender};

/// How a socket is bound: the address as the socket layer was given it, and how it holds its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) addr: SocketAddr,
    pub(crate) v6_only: bool,
    pub(crate) reuse: bool,
}

impl Binding {
    fn holder(&self, role: Role) -> Holder {
        Holder { addr: Addr::new(self.addr.ip()), v6_only: self.v6_only, reuse: self.reuse, role }
    }
}

/// Why bind was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BindError {
    /// Somebody holds the port.
    InUse,
    /// Not an address of this host.
    NotAvailable,
}

/// Why connect was refused before a SYN was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectRefusal {
    /// No route to the address.
    NoRoute,
    /// A loopback address cannot be the source of a packet that leaves the host (RFC 1122, section 3.2.1.3).
    LoopbackSource,
    /// All ephemeral ports are in use, or the tuple is.
    NotAvailable,
    /// The buffers do not fit below the host's limit.
    NoBuffers,
}

/// What a receive call found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes.
    Data(usize),
    /// Nothing yet.
    Nothing,
    /// Nothing, and nothing will come: the peer's FIN, or the end of the connection.
    End,
}

/// What a send call found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// So many bytes were taken; zero if the buffer is full.
    Taken(usize),
    /// The handshake is not over.
    NotYet,
    /// This direction has ended.
    Ended,
}

/// What poll(2) shows of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // poll(2) has them one by one
pub(crate) struct Condition {
    pub(crate) state: State,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer or the application has ended reading.
    pub(crate) read_ended: bool,
    /// Writing has ended too.
    pub(crate) both_ended: bool,
    pub(crate) error: bool,
}

impl Stack {
    /// Holds the port of `binding` for a TCP socket, or a free one if it is zero. Returns the port.
    pub(crate) fn bind_tcp(&mut self, binding: &Binding) -> Result<u16, BindError> {
        let ip = binding.addr.ip();
        if !ip.is_unspecified() && !self.addresses.is_own(ip) {
            return Err(BindError::NotAvailable);
        }
        let holder = binding.holder(Role::Bound);
        let offset = self.port_offset(ip).wrapping_add(self.connects);
        self.connects = self.connects.wrapping_add(1);
        let port = choose_port(&mut self.ports, binding.addr.port(), &holder, offset)?;
        self.ports.hold(port, holder);
        Ok(port)
    }

    /// Gives the port of a bound TCP socket back.
    pub(crate) fn unbind_tcp(&mut self, binding: &Binding) {
        self.ports.release(binding.addr.port(), &binding.holder(Role::Bound));
    }

    /// Holds the port of a binding that was made before: a listener that stops listening stays bound.
    pub(crate) fn hold_bound(&mut self, binding: &Binding) {
        self.ports.hold(binding.addr.port(), binding.holder(Role::Bound));
    }

    pub(super) fn port_offset(&self, ip: IpAddr) -> u32 {
        let anyone = SocketAddr::new(ip, 0);
        self.secret.port_offset(&FourTuple::new(anyone, anyone))
    }

    /// Makes a bound socket listen. Fails if another one listens on an overlapping address.
    pub(crate) fn listen(
        &mut self,
        binding: &Binding,
        backlog: usize,
        options: &Arc<TcpOptions>,
        token: u32,
    ) -> Result<ListenerId, BindError> {
        let port = binding.addr.port();
        self.ports.release(port, &binding.holder(Role::Bound));
        // With SO_REUSEADDR several sockets may be bound to a port, but only one of them may listen.
        if self.ports.is_listened_on(port, &binding.holder(Role::Listening)) {
            self.ports.hold(port, binding.holder(Role::Bound));
            return Err(BindError::InUse);
        }
        self.ports.hold(port, binding.holder(Role::Listening));
        let addr = Addr::new(binding.addr.ip());
        let id = self.tables.listeners.insert(Listener {
            addr,
            port,
            v6_only: binding.v6_only,
            backlog: backlog.max(1),
            plus_one: self.config.backlog_plus_one,
            holds: false,
            held: std::collections::VecDeque::new(),
            gone: std::collections::VecDeque::new(),
            syn_queue: 0,
            accept_queue: std::collections::VecDeque::new(),
            token,
            waiting: std::collections::VecDeque::new(),
            cookie_at: None,
            options: Arc::clone(options),
            reuse: binding.reuse,
        });
        self.tables.listening.insert((addr, port), id);
        Ok(id)
    }

    /// Changes the backlog of a listener.
    pub(crate) fn set_backlog(&mut self, id: ListenerId, backlog: usize) {
        self.tables.listeners[id].backlog = backlog.max(1);
    }

    /// What connections made from now on inherit.
    pub(crate) fn set_listener_options(&mut self, id: ListenerId, options: &Arc<TcpOptions>) {
        self.tables.listeners[id].options = Arc::clone(options);
    }

    /// Takes the oldest established connection and gives it to a descriptor.
    pub(crate) fn accept(&mut self, id: ListenerId, token: u32) -> Option<ConnectionId> {
        let connection_id = self.tables.listeners[id].accept_queue.pop_front()?;
        self.tables.connections[connection_id].owner = Owner::Descriptor(token);
        self.ready.push(token);
        self.report_queue(id);
        self.ask_waiting(id);
        Some(connection_id)
    }

    /// Half-open connections and connections that wait for accept, and the limit of each queue.
    pub(crate) fn queue_lengths(&self, id: ListenerId) -> (usize, usize, usize) {
        let listener = &self.tables.listeners[id];
        (listener.syn_queue, listener.accept_queue.len(), listener.backlog)
    }

    /// Ends a listener: half-open connections are forgotten, those that wait for accept are reset (Linux).
    pub(crate) fn close_listener(&mut self, id: ListenerId, binding: &Binding) {
        // In the order of their slots, which follows from the order of events and is no hash order.
        let half_open: Vec<_> =
            self.tables.half_open.iter().filter(|(_, half_open)| half_open.listener == id).map(|(id, _)| id).collect();
        for half_open in half_open {
            self.forget_half_open(half_open, Cause::Call("close"));
        }
        let Some(listener) = self.tables.listeners.remove(id) else { return };
        self.tables.listening.remove(&(listener.addr, listener.port));
        self.ports.release(listener.port, &binding.holder(Role::Listening));
        for waiting in listener.accept_queue {
            self.tables.connections[waiting].owner = Owner::Orphan;
            if self.tables.connections[waiting].tcp.is_some() {
                self.abort(waiting, Cause::Call("close"));
            } else {
                self.tables.connections.remove(waiting);
            }
        }
    }

    /// Begins a connection to `remote` from where the socket is bound, or from an address and port of the stack's choice.
    pub(crate) fn connect(
        &mut self,
        bound: Option<&Binding>,
        remote: SocketAddr,
        options: &Arc<TcpOptions>,
        token: u32,
    ) -> Result<ConnectionId, ConnectRefusal> {
        let source = self.addresses.source_for(remote.ip()).ok_or(ConnectRefusal::NoRoute)?;
        let ip = bound.map(|binding| binding.addr.ip()).filter(|ip| !ip.is_unspecified()).unwrap_or(source);
        if ip.is_ipv4() != remote.is_ipv4() {
            return Err(ConnectRefusal::NoRoute);
        }
        if ip.is_loopback() && !self.addresses.is_own(remote.ip()) {
            return Err(ConnectRefusal::LoopbackSource);
        }
        if self.pool.is_under_pressure() {
            return Err(ConnectRefusal::NoBuffers);
        }
        let tuple_at = |port| FourTuple::new(SocketAddr::new(ip, port), remote);
        let is_free = |port: u16| !self.tables.exact.contains_key(&tuple_at(port));
        let port = if let Some(binding) = bound {
            Some(binding.addr.port()).filter(|port| is_free(*port))
        } else {
            let offset = self.secret.port_offset(&tuple_at(0)).wrapping_add(self.connects);
            let wanted = Wanted::Connection(tuple_at(0));
            self.ports.ephemeral(wanted, offset, |ports, port| !ports.is_bound(port) && is_free(port))
        };
        let tuple = tuple_at(port.ok_or(ConnectRefusal::NotAvailable)?);
        // RFC 6056, section 3.3.4: the next search begins behind this port.
        self.connects = self.connects.wrapping_add(1);
        let reuse = bound.is_some_and(|binding| binding.reuse);
        self.ports.hold(tuple.local_port, connection_holder(&tuple, reuse));
        let id = self.open(tuple, options, token);
        self.tables.connections[id].reuse = reuse;
        Ok(id)
    }

    /// Puts bytes into the send buffer.
    pub(crate) fn send(&mut self, id: ConnectionId, bytes: &[u8]) -> Sent {
        let connection = &mut *self.tables.connections[id];
        let Some(tcp) = connection.tcp.as_mut().filter(|_| !connection.shut.write) else { return Sent::Ended };
        match connection.state {
            State::SynSent | State::SynReceived => return Sent::NotYet,
            State::Established | State::CloseWait => {}
            _ => return Sent::Ended,
        }
        let taken = tcp.write(bytes, &mut self.pool);
        if taken > 0 {
            connection.limits.idle = false;
            connection.account.messages_sent += 1;
            connection.account.bytes_sent += taken as u64;
            connection.mark_dirty(id, &mut self.dirty);
        }
        Sent::Taken(taken)
    }

    /// Bytes that [`Stack::send`] takes now, if so many fit that poll(2) calls the socket writable.
    #[cfg(feature = "proxy")]
    pub(crate) fn send_room(&self, id: ConnectionId) -> usize {
        let connection = &*self.tables.connections[id];
        let open = matches!(connection.state, State::Established | State::CloseWait) && !connection.shut.write;
        let sender = connection.tcp.as_ref().and_then(|tcp| tcp.sender()).filter(|sender| open && sender.is_writable());
        sender.map_or(0, |sender| sender.free_space().min(self.pool.room()))
    }

    /// Takes bytes from the receive buffer, or only looks at them.
    pub(crate) fn receive(&mut self, id: ConnectionId, bytes: &mut [u8], peek: bool) -> Received {
        let connection = &mut *self.tables.connections[id];
        let Some(tcp) = &mut connection.tcp else {
            let remaining = connection.unread.remaining();
            let len = remaining.len().min(bytes.len());
            if remaining.is_empty() {
                return Received::End;
            }
            bytes[..len].copy_from_slice(&remaining[..len]);
            if !peek {
                connection.unread.consume(len);
                connection.account.messages_received += 1;
                connection.account.bytes_received += len as u64;
            }
            return Received::Data(len);
        };
        let len = tcp.read(self.now, bytes, peek, &mut self.pool);
        if len == 0 {
            let waiting = tcp.receiver().map_or(0, Receiver::unread);
            return if waiting == 0 && (connection.fin_received || connection.state == State::Closed) {
                Received::End
            } else {
                Received::Nothing
            };
        }
        if !peek {
            connection.account.messages_received += 1;
            connection.account.bytes_received += len as u64;
            // The window may have opened.
            connection.mark_dirty(id, &mut self.dirty);
        }
        Received::Data(len)
    }

    /// Bytes that wait to be read.
    pub(crate) fn unread(&self, id: ConnectionId) -> usize {
        self.tables.connections[id].unread()
    }

    /// What poll(2) asks about.
    pub(crate) fn condition(&self, id: ConnectionId) -> Condition {
        let connection = &*self.tables.connections[id];
        let ended = connection.tcp.is_none() || connection.state == State::Closed;
        let read_ended = connection.fin_received || ended || connection.shut.read;
        let room = connection.tcp.as_ref().and_then(|tcp| tcp.sender()).is_some_and(Sender::is_writable);
        let open = matches!(connection.state, State::Established | State::CloseWait);
        Condition {
            state: self.shown_state(connection),
            readable: read_ended || connection.unread() > 0,
            writable: ended || (open && room) || (connection.shut.write && connection.account.opened_at.is_some()),
            read_ended,
            both_ended: read_ended && (connection.shut.write || connection.tcp.is_none()),
            error: connection.error.is_some(),
        }
    }

    /// True once TCP is over for a connection.
    pub(crate) fn is_over(&self, id: ConnectionId) -> bool {
        self.tables.connections[id].tcp.is_none()
    }

    /// Takes the error of a connection.
    pub(crate) fn take_error(&mut self, id: ConnectionId) -> Option<ConnectionError> {
        self.tables.connections[id].error.take()
    }

    /// True once the peer has ended its direction.
    pub(crate) fn fin_received(&self, id: ConnectionId) -> bool {
        self.tables.connections[id].fin_received
    }

    /// Ends an attempt to connect in SYN-SENT without a word. The error is Linux's (`tcp_disconnect`).
    pub(crate) fn give_up(&mut self, id: ConnectionId) {
        self.finish(id, Some(ConnectionError::Reset), Cause::Call("shutdown"));
    }

    /// Ends the direction from here: a FIN follows what was written.
    pub(crate) fn shutdown_write(&mut self, id: ConnectionId) {
        if !self.tables.connections[id].shut.write {
            self.end_writing(id, "shutdown");
        }
    }

    /// Ends reading. As on Linux nothing goes on the wire, and what still comes can be read.
    pub(crate) fn shutdown_read(&mut self, id: ConnectionId) {
        self.tables.connections[id].shut.read = true;
        self.touch(id);
    }

    /// True after [`Stack::shutdown_read`].
    pub(crate) fn read_ended(&self, id: ConnectionId) -> bool {
        self.tables.connections[id].shut.read
    }

    /// The application has no use for the connection any more. With unread data or `reset` the peer gets an RST (RFC 2525,
    /// section 2.17), in SYN-SENT nothing, otherwise a FIN, and the connection goes on by itself.
    pub(crate) fn close(&mut self, id: ConnectionId, reset: bool) {
        let unread = self.unread(id);
        let connection = &mut *self.tables.connections[id];
        connection.owner = Owner::Orphan;
        if connection.tcp.is_none() {
            self.tables.connections.remove(id);
            return;
        }
        match connection.state {
            State::SynSent => self.finish(id, None, Cause::Call("close")),
            State::Closed => {}
            _ if reset || (unread > 0 && self.config.reset_on_unread_close) => self.abort(id, Cause::Call("close")),
            State::FinWait2 => {
                connection.limits.fin_wait_2_until = Some(self.now + self.config.fin_timeout);
                self.mark_dirty(id);
            }
            _ => self.end_writing(id, "close"),
        }
    }

    /// Resets a connection: the peer gets an RST, and the application sees a reset. False if there is none between these
    /// ends.
    #[cfg(feature = "control")]
    pub(crate) fn reset(&mut self, local: SocketAddr, remote: SocketAddr) -> bool {
        let tuple = FourTuple::between(&local, &remote);
        let Some(Slot::Connection(id)) = self.tables.exact.get(&tuple).copied() else { return false };
        self.tables.connections[id].error.get_or_insert(ConnectionError::Reset);
        self.abort(id, Cause::Call("reset"));
        true
    }

    /// The connections whose TCP is not over, at most `most`: state, own end, other end.
    #[cfg(feature = "control")]
    pub(crate) fn connection_list(&self, most: usize) -> Vec<(State, SocketAddr, SocketAddr)> {
        let open = self.tables.connections.iter().filter(|(_, connection)| connection.tcp.is_some());
        open.filter_map(|(id, _)| self.endpoints(id)).take(most).collect()
    }

    /// Applies options that may change while a connection lives.
    pub(crate) fn apply_options(&mut self, id: ConnectionId, options: &Arc<TcpOptions>) {
        let now = self.now;
        let connection = &mut *self.tables.connections[id];
        connection.limits.user_timeout = options.user_timeout;
        connection.limits.keep_alive = options.keep_alive.then(|| Box::new(options.keep_alive_times));
        if let Some(tcp) = &mut connection.tcp {
            tcp.set_options(now, options);
            // Who has connected and heard nothing since is idle too.
            connection.limits.idle = tcp.is_idle();
        }
        self.mark_dirty(id);
    }

    /// The account of a connection.
    pub(crate) fn account(&self, id: ConnectionId) -> Account {
        self.tables.connections[id].account()
    }
}

/// The port that was asked for, if nobody else holds it, or a free one.
pub(super) fn choose_port(ports: &mut Ports, port: u16, holder: &Holder, offset: u32) -> Result<u16, BindError> {
    let chosen = match port {
        0 => ports.ephemeral(Wanted::Binding(*holder), offset, |ports, port| !ports.conflict(port, holder)),
        port => Some(port).filter(|port| !ports.conflict(*port, holder)),
    };
    chosen.ok_or(BindError::InUse)
}
