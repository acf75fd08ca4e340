//! The seven calls of every sockets tutorial: socket, bind, listen, accept, connect, read and write, close. Once as the
//! tutorial writes them, with its descriptors; then over IPv6, and with async sockets.

use std::io;
use std::net::SocketAddr;

use crate::lab::{Lab, lab, octets};
use tcplab::net::{Net, TcpListener, TcpStream};
use tcplab::sim::HostHandle;
use tcplab::socket::{Domain, Errno, Fd, Type, descriptor_table};
use tcplab::time::Duration;

const PORT: u16 = 12345;

// ---- the tutorial

/// Serves two clients. The second comes while the first is still there. Gives the descriptor table of that moment.
async fn server(net: Net, address: SocketAddr) -> Result<String, Errno> {
    let listener = net.socket(Domain::of(&address), Type::Stream)?;
    net.bind(listener, address)?;
    net.listen(listener, 5)?;

    let mut buf = [0; 1024];
    let (first, _) = net.accept(listener).await?;
    let len = net.read(first, &mut buf).await?;
    assert_eq!(&buf[..len], b"Hello, Server!");
    net.write(first, b"Hello, Client!").await?;

    let (second, _) = net.accept(listener).await?;
    let len = net.read(second, &mut buf).await?;
    assert_eq!(&buf[..len], b"Hello, Server!");
    net.write(second, b"Hello, Client!").await?;
    assert_eq!([listener, first, second], [Fd(3), Fd(4), Fd(5)]);
    let table = descriptor_table(&net.host());

    net.close(second)?;
    net.close(first)?;
    net.close(listener)?;
    Ok(table)
}

/// Greets, reads the answer, then to the end. Gives its own address.
async fn client(net: Net, server: SocketAddr) -> Result<SocketAddr, Errno> {
    let fd = net.socket(Domain::of(&server), Type::Stream)?;
    assert_eq!(fd, Fd(3));
    net.connect(fd, server).await?;
    net.write(fd, b"Hello, Server!").await?;

    let mut buf = [0; 1024];
    let len = net.read(fd, &mut buf).await?;
    assert_eq!(&buf[..len], b"Hello, Client!");
    let address = net.getsockname(fd)?;
    assert_eq!(net.getpeername(fd)?, server);

    assert_eq!(net.read(fd, &mut buf).await?, 0);
    net.close(fd)?;
    Ok(address)
}

/// Runs the tutorial with two client hosts and compares the table that the server has printed.
fn tutorial(lab: &Lab, other: &HostHandle, bound: SocketAddr, address: SocketAddr) {
    let mut served = lab.server.spawn(move |net| server(net, bound));
    let mut first = lab.client.spawn(move |net| client(net, address));
    let mut second = other.spawn(async move |net| {
        net.sleep(Duration::from_secs(1)).await;
        client(net, address).await
    });
    lab.sim.run_until_idle();

    let first = first.try_take().expect("ended").expect("no call fails");
    let second = second.try_take().expect("ended").expect("no call fails");
    let table = served.try_take().expect("ended").expect("no call fails");
    assert_eq!(
        table,
        format!("3 LISTEN {bound}\n4 ESTABLISHED {address} ↔ {first}\n5 ESTABLISHED {address} ↔ {second}\n")
    );
    for host in [&lab.server, &lab.client, other] {
        assert_eq!(host.sys(|host| descriptor_table(host)), "", "{} has closed everything", host.name());
    }
}

fn with_a_second_client() -> (Lab, HostHandle) {
    let lab = lab(1, "delay=10ms");
    let other = lab.sim.host("other", "192.168.69.3/24, fd69::3/64");
    lab.sim.link(&other, &lab.server, "delay=10ms");
    (lab, other)
}

#[test]
fn the_seven_calls_of_the_tutorial() {
    let (lab, other) = with_a_second_client();
    tutorial(&lab, &other, SocketAddr::from(([0, 0, 0, 0], PORT)), lab.at(PORT));
}

#[test]
fn the_seven_calls_over_ipv6() {
    let (lab, other) = with_a_second_client();
    tutorial(&lab, &other, SocketAddr::from(([0; 8], PORT)), lab.at_v6(PORT));
}

// ---- the same with async sockets

async fn async_server(net: Net, address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(&net, address)?;
    let (stream, peer) = listener.accept().await?;
    assert_eq!([listener.fd()?, stream.fd()?], [Fd(3), Fd(4)]);
    assert_eq!(stream.peer_addr()?, peer);
    let mut greeting = [0; 14];
    stream.read_exact(&mut greeting).await?;
    assert_eq!(&greeting, b"Hello, Server!");
    stream.write_all(b"Hello, Client!").await?;
    let (next, _) = listener.accept().await?;
    assert_eq!(next.fd()?, Fd(5));
    Ok(())
}

async fn async_client(net: Net, server: SocketAddr) -> io::Result<()> {
    let stream = TcpStream::connect(&net, server).await?;
    assert_eq!(stream.fd()?, Fd(3));
    stream.write_all(b"Hello, Server!").await?;
    let mut greeting = [0; 14];
    stream.read_exact(&mut greeting).await?;
    assert_eq!(&greeting, b"Hello, Client!");
    let next = TcpStream::connect(&net, server).await?;
    assert_eq!(next.fd()?, Fd(4));
    for stream in [stream, next] {
        assert_eq!(stream.read(&mut greeting).await?, 0, "dropping the server's end has closed it");
    }
    Ok(())
}

#[test]
fn the_tutorial_with_async_sockets() {
    let lab = lab(1, "delay=10ms");
    for address in [lab.at(PORT), lab.at_v6(PORT)] {
        let mut served = lab.server.spawn(move |net| async_server(net, address));
        let mut called = lab.client.spawn(move |net| async_client(net, address));
        lab.sim.run_until_idle();
        served.try_take().expect("ended").expect("no call fails");
        called.try_take().expect("ended").expect("no call fails");
        for host in [&lab.server, &lab.client] {
            assert_eq!(host.sys(|host| descriptor_table(host)), "", "dropped is closed");
        }
    }
}

// ---- streams, both ways at once

/// Writes everything and ends its direction, while it reads to the end.
async fn exchange(stream: TcpStream, ours: Vec<u8>) -> io::Result<Vec<u8>> {
    let writer = stream.clone();
    let writing = stream.net().spawn(async move {
        writer.write_all(&ours).await?;
        writer.shutdown_write()
    });
    let mut theirs = Vec::new();
    stream.read_to_end(&mut theirs).await?;
    writing.await?;
    Ok(theirs)
}

#[test]
fn a_megabyte_each_way_at_once_arrives_whole() {
    let lab = lab(3, "rate=50Mbit,delay=5ms,loss=1%,reorder=1%,duplicate=1%");
    for address in [lab.at(PORT), lab.at_v6(PORT)] {
        let (up, down) = (octets(1_000_000), octets(1_300_000));
        let (sent_up, sent_down) = (up.clone(), down.clone());
        let mut server = lab.server.spawn(async move |net| {
            let listener = TcpListener::bind(&net, address)?;
            exchange(listener.accept().await?.0, sent_down).await
        });
        let mut client = lab.client.spawn(async move |net| {
            let stream = TcpStream::connect(&net, address).await?;
            exchange(stream, sent_up).await
        });
        lab.sim.run_until_idle();
        assert!(server.try_take().expect("ended").expect("no error") == up);
        assert!(client.try_take().expect("ended").expect("no error") == down);
    }
}
