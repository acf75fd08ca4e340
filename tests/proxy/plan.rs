//! What one connection of a crowd does: its bytes in both directions and its ending follow from its number. Both ends know the
//! plan, so that each of them can judge what it sees.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use crate::lab::{abort, is_reset, text};

/// Bytes that a stream begins with, so that the server knows which connection it is.
const HEADER: usize = 8;

/// Who ends a connection how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Both write everything and end their direction.
    Orderly,
    /// The client ends its direction; the server sends when it has seen that.
    ClientFirst,
    /// The server ends its direction; the client sends the rest when it has seen that.
    ServerFirst,
    /// The client aborts after some bytes.
    ClientAborts,
    /// The server aborts after some bytes.
    ServerAborts,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) number: u64,
    pub(crate) way: Way,
    /// Bytes from the client, the header included, and from the server.
    pub(crate) sizes: [usize; 2],
}

/// What one end has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every byte, and the end of the stream.
    Whole,
    /// Bytes that are right, and a reset.
    Reset,
    /// It has aborted by itself.
    Aborted,
}

impl Plan {
    pub(crate) fn new(number: u64, largest: usize) -> Self {
        let draws = text(16, number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let draw = |at: usize| usize::from(draws[at]) << 8 | usize::from(draws[at + 1]);
        let ways = [Way::Orderly, Way::ClientFirst, Way::ServerFirst, Way::ClientAborts, Way::ServerAborts];
        // Mostly small, sometimes large.
        let size = |at: usize| draw(at) % [100, 5_000, largest][draw(at + 2) % 3];
        Self { number, way: ways[draw(0) % ways.len()], sizes: [HEADER + size(2), size(6)] }
    }

    /// Reads the header of a connection. None: it was reset before.
    pub(crate) fn read(mut stream: &TcpStream, largest: usize) -> Option<Self> {
        let mut header = [0; HEADER];
        match stream.read_exact(&mut header) {
            Ok(()) => Some(Self::new(u64::from_be_bytes(header), largest)),
            Err(error) if is_reset(&error) => None,
            Err(error) => panic!("the header: {error}"),
        }
    }

    fn bytes(&self, from: usize) -> Vec<u8> {
        let mut bytes = text(self.sizes[from], self.number << 1 | from as u64);
        if from == 0 {
            bytes[..HEADER].copy_from_slice(&self.number.to_be_bytes());
        }
        bytes
    }

    /// Plays one end: 0 is the client, 1 the server, whose header was read.
    pub(crate) fn play(&self, end: usize, stream: TcpStream) -> Verdict {
        let (first, aborts) = match self.way {
            Way::Orderly => (None, None),
            Way::ClientFirst => (Some(0), None),
            Way::ServerFirst => (Some(1), None),
            Way::ClientAborts => (None, Some(0)),
            Way::ServerAborts => (None, Some(1)),
        };
        let (ours, theirs) = (self.bytes(end), self.bytes(1 - end));
        let skipped = if end == 1 { HEADER } else { 0 };
        if aborts == Some(end) {
            let part = &ours[..HEADER.max(ours.len() / 2).min(ours.len())];
            let _ = (&stream).write_all(part); // the other end may have gone
            abort(stream);
            return Verdict::Aborted;
        }
        let write = |bytes: &[u8]| (&stream).write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let read = || {
            let mut read = Vec::with_capacity(theirs.len());
            let ended = (&stream).read_to_end(&mut read);
            assert!(theirs[skipped..].starts_with(&read), "{self:?}: a wrong byte of {}", read.len());
            ended.map(|_| read.len() == theirs.len() - skipped)
        };
        // Who does not end first waits for the end of the other; the header of the client is written before.
        let (written, ended) = match first {
            Some(first) if first != end => {
                let begin = if end == 0 { HEADER } else { 0 };
                let begun = (&stream).write_all(&ours[..begin]);
                let ended = read();
                (begun.and_then(|()| write(&ours[begin..])), ended)
            }
            _ => thread::scope(|scope| {
                let writer = scope.spawn(|| write(&ours));
                let ended = read();
                (writer.join().expect("a writer"), ended)
            }),
        };
        match (written, ended) {
            (Ok(()), Ok(true)) => Verdict::Whole,
            // The kernel tells an error once. Who has been told by a write reads the end of the stream.
            (written, ended) => {
                let told = |error: &std::io::Error| is_reset(error) || error.kind() == std::io::ErrorKind::NotConnected;
                let errors = [written.as_ref().err(), ended.as_ref().err()];
                assert!(errors.iter().flatten().all(|error| told(error)), "{self:?}: {errors:?}");
                assert!(errors.iter().any(Option::is_some), "{self:?}: an end of file in the middle");
                Verdict::Reset
            }
        }
    }

    /// What each end may have seen.
    pub(crate) fn check(&self, end: usize, verdict: Verdict) {
        let expected: &[Verdict] = match (self.way, end) {
            (Way::ClientAborts, 0) | (Way::ServerAborts, 1) => &[Verdict::Aborted],
            (Way::ClientAborts | Way::ServerAborts, _) => &[Verdict::Reset],
            _ => &[Verdict::Whole],
        };
        assert!(expected.contains(&verdict), "{self:?}: end {end} has seen {verdict:?}");
    }
}
