//! SYNs that a listener holds: its owner accepts or refuses each one. BSD sockets have no such calls. A proxy needs them,
//! to answer when it knows whether its target answers.

use core::net::SocketAddr;

use super::{Errno, Fd, Host};
use crate::stack::HalfOpenId;

/// A SYN that waits for [`Host::answer_syn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldSyn(HalfOpenId);

impl Host {
    /// Whether the SYNs of a listener wait for [`Host::answer_syn`].
    ///
    /// # Errors
    /// `EINVAL` if `fd` does not listen, and as [`Host::listen`].
    pub fn hold_syns(&mut self, fd: Fd, on: bool) -> Result<(), Errno> {
        let id = self.listener(fd)?;
        self.stack.hold_syns(id, on);
        Ok(())
    }

    /// The next SYN of a listener that waits for an answer, and its sender. A held SYN is forgotten after 127 s.
    ///
    /// # Errors
    /// As [`Host::hold_syns`].
    pub fn poll_held_syn(&mut self, fd: Fd) -> Result<Option<(HeldSyn, SocketAddr)>, Errno> {
        let id = self.listener(fd)?;
        Ok(self.stack.poll_held_syn(id).map(|(held, from)| (HeldSyn(held), from)))
    }

    /// The next SYN that this listener held and whose connection will not come: it was refused, its sender has reset it, or
    /// the sender does not answer the SYN|ACK. With its sender. Whoever holds SYNs has to ask for it, since they are queued.
    ///
    /// # Errors
    /// As [`Host::hold_syns`].
    pub fn poll_gone_syn(&mut self, fd: Fd) -> Result<Option<(HeldSyn, SocketAddr)>, Errno> {
        let id = self.listener(fd)?;
        Ok(self.stack.poll_gone_syn(id).map(|(held, from)| (HeldSyn(held), from)))
    }

    /// Answers a held SYN: a SYN|ACK if it is accepted, else an RST. Nothing happens if it was forgotten.
    pub fn answer_syn(&mut self, held: HeldSyn, accept: bool) {
        self.stack.answer_syn(held.0, accept);
    }
}
