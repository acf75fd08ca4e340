//! One client of the control interface: a connection with one request and one answer. It never waits.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(unix)]
use std::os::unix::net::UnixStream;

use super::answer::{Hosts, Response, respond};
use super::request::MOST_BYTES;
use super::{AGAIN, Controlled};
use crate::time::Instant;

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.read(bytes),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    /// No more will be written. The client reads the end of the answer.
    fn shutdown(&self) {
        let how = std::net::Shutdown::Write;
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(how),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(how),
        };
    }

    #[cfg(unix)]
    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Client {
    stream: Stream,
    /// It is closed then, whatever it does.
    deadline: Instant,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// What has come of the request.
    Reading(Vec<u8>),
    /// What is left of the answer, and when to try again.
    Writing(Vec<u8>, Instant),
    /// The answer is written. What still comes is read and dropped until the client closes: to close with bytes unread
    /// would reset the connection, and the client might lose the answer.
    Closing,
    Done,
}

impl Client {
    pub(super) fn new(stream: Stream, deadline: Instant) -> Self {
        Self { stream, deadline, phase: Phase::Reading(Vec::new()) }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    pub(super) fn next_at(&self) -> Instant {
        match &self.phase {
            Phase::Writing(_, again) => (*again).min(self.deadline),
            _ => self.deadline,
        }
    }

    /// What to wait on for more of the request, or the end.
    #[cfg(unix)]
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        matches!(self.phase, Phase::Reading(_) | Phase::Closing).then(|| self.stream.descriptor())
    }

    /// Goes on as far as possible. True if the request was answered.
    pub(super) fn turn(&mut self, now: Instant, hosts: Hosts, controlled: &mut dyn Controlled) -> bool {
        let mut answered = false;
        if let Phase::Reading(request) = &mut self.phase {
            let came = read(&mut self.stream, request);
            let response = match came {
                // The deadline counts also if bytes keep coming.
                Ok(_) if now >= self.deadline && respond(request, hosts, None).is_none() => {
                    Some(Response::error(408, "the request did not come within 5 s"))
                }
                Ok(is_over) => match respond(request, hosts, Some(controlled)) {
                    Some(response) => {
                        answered = true;
                        Some(response)
                    }
                    None if is_over && request.is_empty() => {
                        self.phase = Phase::Done;
                        return false;
                    }
                    None if is_over => Some(Response::error(400, "the request ends too early")),
                    None => return false,
                },
                Err(_) => {
                    self.phase = Phase::Done;
                    return false;
                }
            };
            if let Some(response) = response {
                self.phase = Phase::Writing(response.to_bytes(), now);
            }
        }
        self.write(now);
        if let Phase::Closing = self.phase {
            let mut rest = Vec::new();
            if now >= self.deadline || read(&mut self.stream, &mut rest).unwrap_or(true) {
                self.phase = Phase::Done;
            }
        }
        answered
    }

    fn write(&mut self, now: Instant) {
        let Phase::Writing(answer, again) = &mut self.phase else { return };
        while !answer.is_empty() {
            match self.stream.write(answer) {
                Ok(count @ 1..) => drop(answer.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && now < self.deadline => {
                    *again = now + AGAIN;
                    return;
                }
                Ok(0) | Err(_) => {
                    self.phase = Phase::Done;
                    return;
                }
            }
        }
        self.stream.shutdown();
        self.phase = Phase::Closing;
    }
}

/// Reads what has come, as much as a request may have and a byte more. True at the end.
fn read(stream: &mut Stream, request: &mut Vec<u8>) -> io::Result<bool> {
    let mut bytes = [0; 4096];
    while request.len() <= MOST_BYTES {
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(true),
            Ok(count) => request.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
