//! What programs wrote and read on each connection, recorded on request. Tests and replay compare it with the bytes on
//! the wire.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use crate::stack::ConnectionId;

/// What programs wrote and read on one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// The local address.
    pub local: SocketAddr,
    /// The remote address.
    pub remote: SocketAddr,
    /// Bytes that were written.
    pub written: Vec<u8>,
    /// Bytes that were read.
    pub read: Vec<u8>,
}

/// The transcripts of a host, in the order of their first bytes.
#[derive(Debug, Default)]
pub(super) struct Transcripts {
    all: Vec<Transcript>,
    places: BTreeMap<ConnectionId, usize>,
}

impl Transcripts {
    pub(super) fn all(&self) -> &[Transcript] {
        &self.all
    }

    pub(super) fn of(&mut self, id: ConnectionId, local: SocketAddr, remote: SocketAddr) -> &mut Transcript {
        let at = *self.places.entry(id).or_insert_with(|| {
            self.all.push(Transcript { local, remote, written: Vec::new(), read: Vec::new() });
            self.all.len() - 1
        });
        &mut self.all[at]
    }
}
