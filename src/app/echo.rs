//! The echo service of RFC 862, over TCP and UDP: it sends back what it receives. The registry lists it.

use std::io;
use std::net::SocketAddr;

use super::{Listen, serve_each};
use crate::net::{Net, TcpStream, UdpSocket};

/// The port of RFC 862.
pub const PORT: u16 = 7;

/// Bytes read at once.
const BUFFER: usize = 8 * 1024;

/// Bytes of the answer that the client reads at once.
const ANSWER: usize = 16 * 1024;

/// The largest payload of a UDP datagram.
const DATAGRAM: usize = 65_507;

/// Echoes over TCP until the client ends, each client in a task of its own.
pub async fn server(net: Net, listen: Listen) -> io::Result<()> {
    serve_each(net, listen, "echo", |stream, _| async move {
        let _ = echo(&stream).await; // an error concerns this client only
    })
    .await
}

async fn echo(stream: &TcpStream) -> io::Result<()> {
    loop {
        // A client that says nothing takes no buffer.
        let bytes = stream.read_shared(BUFFER, <[u8]>::to_vec).await?;
        if bytes.is_empty() {
            return Ok(());
        }
        stream.write_all(&bytes).await?;
    }
}

/// Echoes datagrams. A datagram that cannot be sent back is lost.
pub async fn udp_server(net: Net, addr: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(&net, addr)?;
    let mut buf = vec![0; DATAGRAM];
    loop {
        let (count, from) = socket.recv_from(&mut buf).await?;
        let _ = socket.send_to(&buf[..count], from).await;
    }
}

/// Sends `message`, sends a FIN and reads the answer. It reads while it sends, so a message larger than all buffers
/// does not block.
pub async fn client(net: Net, server: SocketAddr, message: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut echoed = Vec::new();
    talk(net, server, message, |bytes| echoed.extend_from_slice(bytes)).await?;
    Ok(echoed)
}

/// As [`client`], without keeping the answer: its length.
pub(super) async fn count(net: Net, server: SocketAddr, message: Vec<u8>) -> io::Result<u64> {
    let mut count = 0;
    talk(net, server, message, |bytes| count += bytes.len() as u64).await?;
    Ok(count)
}

async fn talk(net: Net, server: SocketAddr, message: Vec<u8>, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let stream = TcpStream::connect(&net, server).await?;
    let writer = stream.clone();
    let writing = net.spawn_named("echo client, writing", async move {
        writer.write_all(&message).await?;
        writer.shutdown_write()
    });
    let mut read = |bytes: &[u8]| {
        take(bytes);
        bytes.len()
    };
    while stream.read_shared(ANSWER, &mut read).await? > 0 {}
    writing.await
}
