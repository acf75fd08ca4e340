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
    let mut buf = vec![0; HEAD];
    let mut filled = 0;
    let end = loop {
        match stream.read(&mut buf[filled..]).await? {
            0 => return Err(wrong(&format!("the head of the answer does not end within {filled} bytes"))),
            count => filled += count,
        }
        if let Some(end) = buf[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&buf[..end]).into_owned();
    let status = head.lines().next().unwrap_or_default();
    if status.split_whitespace().nth(1) != Some("200") {
        return Err(wrong(&format!("the server answered {status:?}")));
    }
    let length = |line: &str| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") { value.trim().parse::<u64>().ok() } else { None }
    };
    let expected = head.lines().find_map(length);
    let mut received = (filled - end) as u64;
    loop {
        match stream.read(&mut buf).await? {
            0 => break,
            count => received += count as u64,
        }
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
