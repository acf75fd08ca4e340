//! The blocking-style calls of `net`: they return when a blocking call on Linux would, and not later than their limits.

use std::io::{self, IoSlice, IoSliceMut};

use crate::lab::{Lab, lab, octets};
use tcplab::net::{TcpListener, TcpStream, UdpSocket};
use tcplab::socket::{
    Domain, EpollCtl, EpollEvent, Errno, Fd, MsgFlags, PollFd, Readiness, SocketOption, Type, descriptor_table,
};
use tcplab::time::Duration;

const PORT: u16 = 5000;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// A round trip of 20 ms.
const LINK: &str = "delay=10ms";

/// Accepts one connection and hands it, with its host, to `serve`.
fn serve<T: 'static>(
    lab: &Lab,
    serve: impl AsyncFnOnce(TcpStream) -> io::Result<T> + 'static,
) -> tcplab::net::JoinHandle<io::Result<T>> {
    let address = lab.at(PORT);
    lab.server.spawn_daemon(async move |net| {
        let (stream, _) = TcpListener::bind(&net, address)?.accept().await?;
        serve(stream).await
    })
}

#[test]
fn so_rcvtimeo_limits_read_and_accept() {
    let lab = lab(1, LINK);
    drop(serve(&lab, async |stream| {
        stream.net().sleep(MINUTE).await;
        Ok(())
    }));
    let address = lab.at(PORT);
    lab.run(async move |net| {
        let fd = net.socket(Domain::Inet, Type::Stream).unwrap();
        net.connect(fd, address).await.unwrap();
        net.setsockopt(fd, SocketOption::RcvTimeo(Some(SECOND * 2))).unwrap();
        let begin = net.now();
        assert_eq!(net.read(fd, &mut [0; 1]).await, Err(Errno::EAGAIN));
        assert_eq!(net.now().since(begin), SECOND * 2);
        assert_eq!(net.recv(fd, &mut [0; 1], MsgFlags::DONTWAIT).await, Err(Errno::EAGAIN));
        net.set_nonblocking(fd, true).unwrap();
        assert_eq!(net.read(fd, &mut [0; 1]).await, Err(Errno::EAGAIN));
        assert_eq!(net.now().since(begin), SECOND * 2, "neither of them waits");

        let listener = net.socket(Domain::Inet, Type::Stream).unwrap();
        net.setsockopt(listener, SocketOption::RcvTimeo(Some(SECOND))).unwrap();
        net.listen(listener, 1).unwrap();
        assert_eq!(net.accept(listener).await, Err(Errno::EAGAIN));
        assert_eq!(net.now().since(begin), SECOND * 3);
    });
}

#[test]
fn so_sndtimeo_limits_connect_and_write() {
    let lab = lab(1, LINK);
    drop(serve(&lab, async |stream| {
        stream.net().sleep(MINUTE).await;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await
    }));
    let (address, nobody) = (lab.at(PORT), "192.168.69.77:1".parse().unwrap());
    lab.run(async move |net| {
        let fd = net.socket(Domain::Inet, Type::Stream).unwrap();
        net.setsockopt(fd, SocketOption::SndBuf(65_536)).unwrap();
        net.connect(fd, address).await.unwrap();
        net.setsockopt(fd, SocketOption::SndTimeo(Some(SECOND * 3))).unwrap();
        let begin = net.now();
        let written = net.write(fd, &octets(1_000_000)).await.expect("what fitted counts");
        assert!((100_000..200_000).contains(&written), "{written}: about two buffers of 64 KiB");
        assert_eq!(net.write(fd, b"more").await, Err(Errno::EAGAIN));
        let waited = net.now().since(begin);
        // During the first wait the override timeout fills the window up to its edge: a second wait begins.
        assert!((SECOND * 9..SECOND * 10).contains(&waited), "{waited:?}");

        let lost = net.socket(Domain::Inet, Type::Stream).unwrap();
        net.setsockopt(lost, SocketOption::SndTimeo(Some(SECOND * 2))).unwrap();
        let begin = net.now();
        assert_eq!(net.connect(lost, nobody).await, Err(Errno::EINPROGRESS));
        assert_eq!(net.now().since(begin), SECOND * 2);
    });
}

#[test]
fn a_non_blocking_connect_is_finished_by_poll() {
    let lab = lab(1, LINK);
    drop(serve(&lab, async |_| Ok(())));
    let address = lab.at(PORT);
    lab.run(async move |net| {
        let fd = net.socket(Domain::Inet, Type::Stream).unwrap();
        net.set_nonblocking(fd, true).unwrap();
        assert_eq!(net.connect(fd, address).await, Err(Errno::EINPROGRESS));
        assert_eq!(net.connect(fd, address).await, Err(Errno::EALREADY));
        let mut fds = [PollFd { fd, events: Readiness::WRITABLE, revents: Readiness::NONE }];
        let begin = net.now();
        assert_eq!(net.poll(&mut fds, Some(SECOND)).await, 1);
        assert_eq!((fds[0].revents, net.now().since(begin)), (Readiness::WRITABLE, Duration::from_millis(20)));
        assert_eq!(net.take_error(fd), Ok(None));
    });
}

#[test]
fn poll_and_epoll_wait_end_with_the_time_or_with_what_comes() {
    let lab = lab(1, LINK);
    drop(serve(&lab, async |stream| {
        for _ in 0..2 {
            stream.net().sleep(SECOND * 5).await;
            stream.write_all(b"!").await?;
        }
        Ok(())
    }));
    let address = lab.at(PORT);
    lab.run(async move |net| {
        let idle = net.socket(Domain::Inet, Type::Datagram).unwrap();
        let fd = net.socket(Domain::Inet, Type::Stream).unwrap();
        net.connect(fd, address).await.unwrap();
        let begin = net.now();
        let entry = |fd| PollFd { fd, events: Readiness::READABLE, revents: Readiness::NONE };
        let mut fds = [entry(idle), entry(fd)];
        assert_eq!(net.poll(&mut fds, Some(Duration::ZERO)).await, 0);
        assert_eq!(net.now(), begin);
        assert_eq!(net.poll(&mut fds, Some(SECOND)).await, 0);
        assert_eq!(net.now().since(begin), SECOND);
        assert_eq!(net.poll(&mut fds, None).await, 1);
        assert_eq!([fds[0].revents, fds[1].revents], [Readiness::NONE, Readiness::READABLE]);
        assert_eq!(net.fionread(fd), Ok(1));
        assert_eq!(net.read(fd, &mut [0; 8]).await, Ok(1));

        let epoll = net.epoll_create().unwrap();
        net.epoll_ctl(epoll, idle, EpollCtl::Add(Readiness::READABLE, 1)).unwrap();
        let mut events = vec![EpollEvent { events: Readiness::ERROR, data: 99 }];
        let begin = net.now();
        assert_eq!(net.epoll_wait(epoll, &mut events, 8, Some(SECOND)).await, Ok(0));
        assert_eq!((events.len(), net.now().since(begin)), (0, SECOND));
        // A descriptor added while somebody waits counts.
        let adding = net.clone();
        drop(net.spawn(async move {
            adding.sleep(SECOND).await;
            adding.epoll_ctl(epoll, fd, EpollCtl::Add(Readiness::READABLE, 7))
        }));
        assert_eq!(net.epoll_wait(epoll, &mut events, 8, None).await, Ok(1));
        assert_eq!(events, [EpollEvent { events: Readiness::READABLE, data: 7 }]);
        assert_eq!(net.read(fd, &mut [0; 8]).await, Ok(1));
        // The end of the stream is something to read too.
        assert_eq!(net.epoll_wait(epoll, &mut events, 8, Some(MINUTE)).await, Ok(1));
        assert_eq!(net.read(fd, &mut [0; 8]).await, Ok(0));
        assert_eq!(net.epoll_wait(fd, &mut events, 8, None).await, Err(Errno::EINVAL));
    });
}

#[test]
fn vectors_and_messages_go_whole() {
    let lab = lab(1, LINK);
    let address = lab.at(PORT);
    let head = octets(50_000);
    let tail = octets(150_000);
    let expected = [&head[..], &tail[..], &head[..], &tail[..]].concat();
    let mut served = serve(&lab, async |stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.map(|_| all)
    });
    lab.run(async move |net| {
        let fd = net.socket(Domain::Inet, Type::Stream).unwrap();
        net.connect(fd, address).await.unwrap();
        let bufs = [IoSlice::new(&head), IoSlice::new(&[]), IoSlice::new(&tail)];
        assert_eq!(net.writev(fd, &bufs).await, Ok(200_000));
        assert_eq!(net.sendmsg(fd, &bufs, MsgFlags::NOSIGNAL, None).await, Ok(200_000));
        net.close(fd).unwrap();
    });
    lab.sim.run_until(|| served.is_finished());
    assert!(served.try_take().unwrap().unwrap() == expected);

    lab.server.spawn_daemon(async move |net| {
        let fd = net.socket(Domain::Inet, Type::Datagram).unwrap();
        net.bind(fd, address).unwrap();
        let (mut one, mut two) = ([0; 4], [0; 4]);
        let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        let message = net.recvmsg(fd, &mut bufs, MsgFlags::NONE).await.unwrap();
        assert_eq!((message.len, message.flags), (8, MsgFlags::TRUNC), "the datagram was longer");
        let back = [IoSlice::new(&one), IoSlice::new(b"-"), IoSlice::new(&two)];
        assert_eq!(net.sendmsg(fd, &back, MsgFlags::NONE, message.from).await, Ok(9));
    });
    lab.run(async move |net| {
        let fd = net.socket(Domain::Inet, Type::Datagram).unwrap();
        net.connect(fd, address).await.unwrap();
        let bufs = [IoSlice::new(b"data"), IoSlice::new(b"gram too long")];
        assert_eq!(net.sendmsg(fd, &bufs, MsgFlags::NONE, None).await, Ok(17));
        let mut buf = [0; 16];
        assert_eq!(net.recvfrom(fd, &mut buf, MsgFlags::NONE).await, Ok((9, Some(address))));
        assert_eq!(&buf[..9], b"data-gram");
    });
}

#[test]
fn descriptors_are_the_lowest_free_ones_whoever_opens_them() {
    let lab = lab(1, LINK);
    lab.run(async |net| {
        let listener = TcpListener::bind(&net, "0.0.0.0:1".parse().unwrap()).unwrap();
        let datagrams = UdpSocket::bind(&net, "0.0.0.0:1".parse().unwrap()).unwrap();
        let epoll = net.epoll_create().unwrap();
        assert_eq!([listener.fd().unwrap(), datagrams.fd().unwrap(), epoll], [Fd(3), Fd(4), Fd(5)]);
        assert_eq!(descriptor_table(&net.host()), "3 LISTEN 0.0.0.0:1\n4 UDP 0.0.0.0:1\n5 epoll\n");
        drop(datagrams);
        assert_eq!(net.socket(Domain::Inet6, Type::Stream), Ok(Fd(4)));
    });
}
