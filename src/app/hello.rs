//! The usual first program of a sockets tutorial, in seven calls. The server listens, sends a greeting to each client
//! and closes. The client connects, reads and closes. Both use descriptors, as the tutorial does.

use std::net::SocketAddr;

use super::Listen;
use crate::net::Net;
use crate::socket::{Domain, Errno, Fd, SocketOption, Type};

/// The port of the tutorial.
pub const PORT: u16 = 12345;

/// Bytes read at once.
const BUFFER: usize = 1024;

/// What the server sends.
pub const GREETING: &[u8] = b"Hello, Client!";

/// Sends [`GREETING`] to each client, one after the other. Returns only with an error of the listening socket.
pub async fn server(net: Net, listen: Listen) -> Result<(), Errno> {
    let listener = net.socket(Domain::of(&listen.addr), Type::Stream)?;
    net.setsockopt(listener, SocketOption::ReuseAddr(true))?;
    net.bind(listener, listen.addr)?;
    net.listen(listener, listen.backlog)?;
    loop {
        let client = match net.accept(listener).await {
            Ok((client, _)) => client,
            Err(Errno::ECONNABORTED) => continue,
            Err(Errno::EMFILE | Errno::ENOBUFS) => {
                net.sleep(super::EXHAUSTED).await;
                continue;
            }
            Err(errno) => return Err(errno),
        };
        let _ = net.write(client, GREETING).await; // an error concerns this client only
        net.close(client)?;
    }
}

/// Connects and reads until the server closes. Returns the bytes.
pub async fn client(net: Net, server: SocketAddr) -> Result<Vec<u8>, Errno> {
    let fd = net.socket(Domain::of(&server), Type::Stream)?;
    let greeting = read_greeting(&net, fd, server).await;
    net.close(fd)?;
    greeting
}

async fn read_greeting(net: &Net, fd: Fd, server: SocketAddr) -> Result<Vec<u8>, Errno> {
    net.connect(fd, server).await?;
    let mut greeting = Vec::new();
    loop {
        let read = |bytes: &[u8]| {
            greeting.extend_from_slice(bytes);
            bytes.is_empty()
        };
        if net.read_shared(fd, BUFFER, read).await? {
            return Ok(greeting);
        }
    }
}
