//! The HTTP/1.1 client: one request and one response on a connection (RFC 9112). Scenarios use it.

use std::io;
use std::net::SocketAddr;

use crate::net::{Net, TcpStream};

/// The longest response header that is read, in bytes.
const HEAD: usize = 16 * 1024;

/// Downloads `path` and returns the number of bytes. A status other than 200 is an error. A response that ends before
/// its Content-Length is an error.
pub async fn get(net: Net, server: SocketAddr, path: &str) -> io::Result<u64> {
    let stream = TcpStream::connect(&net, server).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let end = loop {
        let room = HEAD - answer.len();
        let read = |bytes: &[u8]| {
            answer.extend_from_slice(bytes);
            bytes.len()
        };
        if room == 0 || stream.read_shared(room, read).await? == 0 {
            return Err(wrong(&format!("the head of the answer does not end within {} bytes", answer.len())));
        }
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.lines().next().unwrap_or_default();
    if status.split_whitespace().nth(1) != Some("200") {
        return Err(wrong(&format!("the server answered {status:?}")));
    }
    let length = |line: &str| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") { value.trim().parse::<u64>().ok() } else { None }
    };
    let expected = head.lines().find_map(length);
    let mut received = (answer.len() - end) as u64;
    drop((answer, head));
    while let count @ 1.. = stream.read_shared(HEAD, <[u8]>::len).await? {
        received += count as u64;
    }
    match expected {
        Some(expected) if expected != received => {
            Err(wrong(&format!("the answer ended after {received} of {expected} bytes")))
        }
        _ => Ok(received),
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
