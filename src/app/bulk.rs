//! Bulk transfer of a fixed pattern. The client sends a number of bytes, and the receiver checks every byte. So it
//! finds bytes that are lost, duplicated or out of order.
//! The byte at offset n of a stream is n modulo 251. 251 is a prime, so a shift by a power of two or by a usual segment
//! size is found.

use std::io;
use std::net::SocketAddr;

use super::{Listen, accept};
use crate::net::{Net, TcpListener, TcpStream};

/// The port of the receiver, as of iperf.
pub const PORT: u16 = 5001;

const PERIOD: usize = 251;

/// Bytes that are written or read at once: a whole number of periods, about 64 KiB.
const CHUNK: usize = PERIOD * 261;

/// One chunk of pattern from any place in the period on.
static TABLE: [u8; CHUNK + PERIOD] = {
    let mut table = [0; CHUNK + PERIOD];
    let mut at = 0;
    while at < table.len() {
        table[at] = (at % PERIOD) as u8;
        at += 1;
    }
    table
};

/// The pattern from `offset`: at most `limit` bytes, and at most [`CHUNK`].
pub(super) fn pattern(offset: u64, limit: u64) -> &'static [u8] {
    let start = (offset % PERIOD as u64) as usize;
    let len = usize::try_from(limit).unwrap_or(CHUNK).min(CHUNK);
    &TABLE[start..start + len]
}

/// `count` bytes of the pattern, from its beginning.
pub(crate) fn bytes(count: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < count {
        bytes.extend_from_slice(pattern(bytes.len() as u64, count - bytes.len() as u64));
    }
    bytes
}

/// The first place where `bytes` differ from the pattern. They begin at `offset` of the stream.
fn first_difference(mut offset: u64, mut bytes: &[u8]) -> Option<u64> {
    while !bytes.is_empty() {
        let expected = pattern(offset, bytes.len() as u64);
        let (head, rest) = bytes.split_at(expected.len());
        if head != expected {
            let at = head.iter().zip(expected).position(|(found, expected)| found != expected);
            return at.map(|at| offset + at as u64);
        }
        offset += head.len() as u64;
        bytes = rest;
    }
    None
}

/// Connects, sends `count` bytes of the pattern, sends a FIN and waits until the receiver has closed.
pub async fn send(net: Net, to: SocketAddr, count: u64) -> io::Result<()> {
    let stream = TcpStream::connect(&net, to).await?;
    write(&stream, count).await?;
    stream.shutdown_write()?;
    let mut rest = [0; 64];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Writes `count` bytes of the pattern, from its beginning.
pub async fn write(stream: &TcpStream, count: u64) -> io::Result<()> {
    let mut sent = 0;
    while sent < count {
        sent += stream.write(pattern(sent, count - sent)).await? as u64;
    }
    Ok(())
}

/// Reads to the end and gives the number of bytes. `InvalidData` names the first byte that is not of the pattern.
pub async fn check(stream: &TcpStream) -> io::Result<u64> {
    let mut received = 0;
    loop {
        let check = |bytes: &[u8]| match first_difference(received, bytes) {
            None => Ok(bytes.len()),
            Some(at) => Err((at, bytes[(at - received) as usize])),
        };
        match stream.read_shared(CHUNK, check).await? {
            Ok(0) => return Ok(received),
            Ok(count) => received += count as u64,
            Err((at, found)) => {
                let message = format!("byte {at} is {found}, expected {}", at % PERIOD as u64);
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        }
    }
}

/// Receives one transfer, checks it and gives the number of bytes.
pub async fn receive(net: Net, listen: Listen) -> io::Result<u64> {
    let listener = TcpListener::bind_with_backlog(&net, listen.addr, listen.backlog)?;
    let (stream, _) = accept(&net, &listener).await?;
    check(&stream).await
}

/// Receives transfers without end, each in a task of its own. Calls `done` with the result of each.
pub async fn server(
    net: Net,
    listen: Listen,
    done: impl Fn(SocketAddr, io::Result<u64>) + Clone + 'static,
) -> io::Result<()> {
    super::serve_each(net, listen, "bulk", |stream, peer| {
        let done = done.clone();
        async move { done(peer, check(&stream).await) }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_the_same_however_it_is_cut() {
        let whole: Vec<u8> = (0..200_000_u64).map(|at| (at % 251) as u8).collect();
        for start in [0, 1, 250, 251, 65_535, 131_072] {
            let piece = pattern(start, 1460);
            assert_eq!(piece, &whole[start as usize..][..1460], "from {start}");
        }
        assert_eq!(pattern(5, u64::MAX).len(), CHUNK);
        assert!(pattern(5, 0).is_empty());
    }

    #[test]
    fn a_difference_is_found_at_its_place() {
        let mut bytes: Vec<u8> = (1000..200_000_u64).map(|at| (at % 251) as u8).collect();
        assert_eq!(first_difference(1000, &bytes), None);
        bytes[150_000] ^= 1;
        assert_eq!(first_difference(1000, &bytes), Some(151_000));
        assert_eq!(first_difference(1001, &bytes), Some(1001));
    }
}
