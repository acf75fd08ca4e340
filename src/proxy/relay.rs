//! One socket of the kernel and one stream of a userspace host: what one receives is sent by the other. Both ends of the
//! proxy are made of relays, and `end` runs them.
//!
//! The end of one direction is passed on as the end of one direction. An error is passed on as a reset, of which the first
//! sign counts: the kernel reports an error once, and a read after it returns 0, which is no FIN.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use polling::Event;
use socket2::Socket;

use super::kernel;
use super::poll::Watched;
use crate::socket::{self, Errno, Fd, Host, MsgFlags, Readiness, SocketOption};
use crate::time::Duration;

/// Bytes in each direction in one turn of a relay.
const TURN: usize = 256 << 10;

/// How long a connection whose other end has been reset hears nothing before it asks, and from then on how often.
const PROBE: Duration = Duration::from_secs(1);

/// A socket of the kernel, joined to a stream of a host.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Relay {
    socket: Watched<Socket>,
    /// Reads give something, as far as is known.
    readable: bool,
    /// Writes take something, as far as is known.
    writable: bool,
    /// The kernel has said that something is wrong.
    suspect: bool,
    /// The end of what the socket receives has been passed on.
    read_ended: bool,
    /// The end of what the stream receives has been passed on.
    write_ended: bool,
}

/// Which of the two has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The socket of the kernel.
    Kernel,
    /// The stream of the host.
    Stream,
}

/// How it goes on with a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something has to change first.
    Wait,
    /// There is more to do.
    Again,
    /// Both directions have ended.
    Ended,
    /// One side has failed.
    Failed(Side),
}

impl Relay {
    pub(super) const fn new(socket: Watched<Socket>) -> Self {
        Self { socket, readable: true, writable: true, suspect: false, read_ended: false, write_ended: false }
    }

    /// connect(2) is under way: nothing is readable or writable before its end.
    pub(super) fn await_connection(&mut self) {
        (self.readable, self.writable) = (false, false);
    }

    /// True once connect(2) has succeeded. Without an error, the socket is writable then.
    pub(super) fn is_connected(&mut self) -> bool {
        self.writable && self.socket.peer_addr().is_ok()
    }

    /// What the poller says.
    pub(super) fn note(&mut self, event: Event) {
        self.readable |= event.readable;
        self.writable |= event.writable;
        // A system that does not tell is asked.
        self.suspect |= event.is_err().unwrap_or(true) || event.is_interrupt();
    }

    /// True if an error waits at the socket. It is an error of the whole connection.
    pub(super) fn has_failed(&mut self) -> bool {
        core::mem::take(&mut self.suspect) && !matches!(self.socket.take_error(), Ok(None))
    }

    /// Moves what can be moved between the socket and `stream`.
    pub(super) fn step(&mut self, host: &mut Host, stream: Fd, buffer: &mut [u8]) -> Step {
        if self.has_failed() {
            return Step::Failed(Side::Kernel);
        }
        if host.readiness(stream).contains(Readiness::ERROR) {
            return Step::Failed(Side::Stream);
        }
        let moved = self.receive(host, stream, buffer).and_then(|more| Ok(more | self.send(host, stream, buffer)?));
        match moved {
            Err(side) => Step::Failed(side),
            Ok(_) if self.read_ended && self.write_ended => Step::Ended,
            Ok(true) => Step::Again,
            Ok(false) => Step::Wait,
        }
    }

    /// From the socket to the stream. True if there is more.
    fn receive(&mut self, host: &mut Host, stream: Fd, buffer: &mut [u8]) -> Result<bool, Side> {
        let mut left = TURN;
        while self.readable && !self.read_ended {
            let room = host.send_room(stream).min(buffer.len());
            if room == 0 || left == 0 {
                return Ok(room > 0);
            }
            match (&*self.socket).read(&mut buffer[..room]) {
                Ok(0) => {
                    self.read_ended = true;
                    host.shutdown(stream, socket::Shutdown::Write).map_err(|_| Side::Stream)?;
                }
                Ok(count) => {
                    let taken = host.write(stream, &buffer[..count]).map_err(|_| Side::Stream)?;
                    debug_assert_eq!(taken, count, "there was room");
                    left = left.saturating_sub(count);
                }
                Err(error) if kernel::would_block(&error) => {
                    self.readable = false;
                    self.socket.ask_again(true, !self.writable);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Side::Kernel),
            }
        }
        Ok(false)
    }

    /// From the stream to the socket. True if there is more.
    fn send(&mut self, host: &mut Host, stream: Fd, buffer: &mut [u8]) -> Result<bool, Side> {
        let mut left = TURN;
        while self.writable && !self.write_ended {
            if left == 0 {
                return Ok(true);
            }
            match host.recv(stream, buffer, MsgFlags::PEEK) {
                Ok(0) => {
                    self.write_ended = true;
                    self.socket.shutdown(Shutdown::Write).map_err(|_| Side::Kernel)?;
                }
                Ok(count) => match (&*self.socket).write(&buffer[..count]) {
                    Ok(written) => {
                        host.read(stream, &mut buffer[..written]).map_err(|_| Side::Stream)?;
                        left = left.saturating_sub(written);
                    }
                    Err(error) if kernel::would_block(&error) => {
                        self.writable = false;
                        self.socket.ask_again(!self.readable, true);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return Err(Side::Kernel),
                },
                Err(Errno::EAGAIN) => return Ok(false),
                Err(_) => return Err(Side::Stream),
            }
        }
        Ok(false)
    }

    /// Closes the socket so that its peer sees a reset. A Unix socket has none: its peer sees the end of the stream.
    pub(super) fn reset(self) {
        kernel::reset_on_close(&self.socket);
    }
}

/// Resets the connection of a stream. In SYN-SENT nothing is sent.
pub(super) fn reset_stream(host: &mut Host, stream: Fd) {
    let _ = host.setsockopt(stream, SocketOption::Linger(Some(Duration::ZERO)));
    let _ = host.close(stream);
}

/// Lets a stream ask whether its peer is there. TCP does not send an RST again: if the link has lost it, the other end would
/// wait without end unless it has something to send.
pub(super) fn probe(host: &mut Host, stream: Fd) {
    for option in [
        SocketOption::KeepIdle(PROBE),
        SocketOption::KeepIntvl(PROBE),
        SocketOption::KeepCnt(127),
        SocketOption::KeepAlive(true),
    ] {
        let _ = host.setsockopt(stream, option);
    }
}
