//! The descriptor table as values and as text, for `--fds` and traces: `3 LISTEN 0.0.0.0:8080`, `4 ESTABLISHED
//! 192.0.2.1:8080 ↔ 192.0.2.2:54321`.

use core::fmt;
use core::net::SocketAddr;

use crate::event::State;

use super::stream::StreamState;
use super::{Descriptor, Fd, Host};

/// One open descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorRow {
    /// Its number.
    pub fd: Fd,
    /// The state of a stream (CLOSED before listen and connect); `None` for the others.
    pub state: Option<State>,
    /// `TCP`, `UDP` or `epoll`.
    pub kind: &'static str,
    /// The local address; `None` for an epoll instance.
    pub local: Option<SocketAddr>,
    /// The remote address.
    pub remote: Option<SocketAddr>,
    /// Bytes that wait to be read; for a listener, connections that wait for accept.
    pub recv_q: usize,
}

impl fmt::Display for DescriptorRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.fd)?;
        match self.state {
            Some(state) => write!(f, "{state}")?,
            None => f.write_str(self.kind)?,
        }
        if let Some(local) = self.local {
            write!(f, " {local}")?;
        }
        match self.remote {
            Some(remote) => write!(f, " ↔ {remote}"),
            None => Ok(()),
        }
    }
}

/// The open descriptors of a host as text, one on each line.
pub fn descriptor_table(host: &Host) -> String {
    host.descriptors().iter().fold(String::new(), |text, row| text + &format!("{row}\n"))
}

impl Host {
    /// The open descriptors in order.
    pub fn descriptors(&self) -> Vec<DescriptorRow> {
        self.table.iter().map(|(fd, entry)| self.row(fd, entry)).collect()
    }

    /// One line for a descriptor, also for one that is not open.
    pub fn describe(&self, fd: Fd) -> String {
        self.table.at(fd).map_or_else(|| format!("{fd} not open"), |entry| self.row(fd, entry).to_string())
    }

    fn row(&self, fd: Fd, entry: &Descriptor) -> DescriptorRow {
        match entry {
            Descriptor::Stream(stream) => {
                let (local, mut remote) = self.stream_endpoints(stream);
                let (state, recv_q) = match stream.role {
                    StreamState::Fresh => (State::Closed, 0),
                    StreamState::Listening(id) => (State::Listen, self.stack.queue_lengths(id).1),
                    StreamState::Connecting(id) | StreamState::Connected(id) => {
                        remote = self.stack.endpoints(id).map(|(_, _, remote)| super::presented(stream.domain, remote));
                        (self.stack.condition(id).state, self.stack.unread(id))
                    }
                };
                DescriptorRow { fd, state: Some(state), kind: "TCP", local: Some(local), remote, recv_q }
            }
            Descriptor::Datagram(datagram) => {
                let (local, remote) = self.datagram_endpoints(datagram);
                let recv_q = self.stack.next_datagram(datagram.id).unwrap_or(0);
                DescriptorRow { fd, state: None, kind: "UDP", local: Some(local), remote, recv_q }
            }
            Descriptor::Epoll(_) => {
                DescriptorRow { fd, state: None, kind: "epoll", local: None, remote: None, recv_q: 0 }
            }
        }
    }
}
