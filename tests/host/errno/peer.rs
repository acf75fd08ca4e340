//! What depends on a peer: refusals, resets, and where a connection stands.

use std::time::Duration;

use super::{host, refusal, server};
use crate::common::calls::{PORT, Pair, at, datagram, poll, read, stream};
use tcplab::socket::{Domain, Errno, Fd, MsgFlags, Readiness, Shutdown, SocketOption, Type};

// ---- ECONNREFUSED, ECONNABORTED

/// A client whose SYN was answered by an RST.
#[track_caller]
fn refused(net: &Pair) -> Fd {
    let fd = net.connect(&[]);
    net.settle();
    assert_eq!(net.kinds(), ["S 0", "R. 0"]);
    fd
}

pub(crate) fn a_connect_where_nobody_listens() -> Errno {
    let net = Pair::new();
    let fd = refused(&net);
    let errno = refusal(net.client.sys(|host| host.connect(fd, server())));
    assert_eq!(net.client.sys(|host| host.connect(fd, server())), Err(Errno::EINPROGRESS), "it can try again");
    errno
}

pub(crate) fn so_error_after_a_refusal() -> Errno {
    let net = Pair::new();
    let fd = refused(&net);
    net.client.sys(|host| {
        let all =
            [Readiness::READABLE, Readiness::WRITABLE, Readiness::ERROR, Readiness::HANG_UP, Readiness::READ_HANG_UP];
        assert_eq!(poll(host, fd), all.into_iter().fold(Readiness::NONE, |all, bit| all | bit));
        let errno = host.take_error(fd).expect("open").expect("an error waits");
        assert!(!poll(host, fd).contains(Readiness::ERROR), "it was taken");
        assert_eq!(host.take_error(fd), Ok(None));
        assert_eq!(read(host, fd), Ok(vec![]), "Linux: then there is only the end");
        errno
    })
}

pub(crate) fn a_read_after_a_refusal() -> Errno {
    let net = Pair::new();
    let fd = refused(&net);
    net.client.sys(|host| refusal(read(host, fd)))
}

pub(crate) fn a_write_after_a_refusal() -> Errno {
    let net = Pair::new();
    let fd = refused(&net);
    net.client.sys(|host| refusal(host.write(fd, b"hello")))
}

pub(crate) fn a_blocking_connect_where_nobody_listens() -> Errno {
    let net = Pair::new();
    let mut program = net.client.spawn(async |net| {
        let fd = net.socket(Domain::Inet, Type::Stream)?;
        net.connect(fd, at("192.0.2.1", PORT)).await
    });
    net.settle();
    refusal(program.try_take().expect("it has ended"))
}

pub(crate) fn a_datagram_to_a_closed_port() -> Errno {
    let net = Pair::new();
    let fd = net.client.sys(|host| {
        let fd = datagram(host, 4000);
        host.connect(fd, server()).expect("a peer");
        host.write(fd, b"anybody?").expect("sent");
        fd
    });
    net.settle();
    assert_eq!(net.take().len(), 2, "the datagram and the port unreachable");
    net.client.sys(|host| {
        assert!(poll(host, fd).contains(Readiness::ERROR));
        let errno = refusal(host.write(fd, b"anybody?"));
        host.write(fd, b"anybody?").expect("the error was told once");
        errno
    })
}

pub(crate) fn a_read_after_a_datagram_to_a_closed_port() -> Errno {
    let net = Pair::new();
    let [connected, free] = net.client.sys(|host| {
        let [connected, free] = [4000, 4001].map(|port| datagram(host, port));
        host.connect(connected, server()).expect("a peer");
        host.write(connected, b"anybody?").expect("sent");
        host.sendto(free, b"anybody?", MsgFlags::NONE, Some(server())).expect("sent");
        [connected, free]
    });
    net.settle();
    net.client.sys(|host| {
        assert_eq!(read(host, free), Err(Errno::EAGAIN), "a socket without peer is not told");
        refusal(read(host, connected))
    })
}

pub(crate) fn a_connect_after_so_error_told_of_the_refusal() -> Errno {
    let net = Pair::new();
    let fd = refused(&net);
    net.client.sys(|host| {
        assert_eq!(host.take_error(fd), Ok(Some(Errno::ECONNREFUSED)));
        refusal(host.connect(fd, server()))
    })
}

// ---- ECONNRESET

pub(crate) fn a_read_after_a_reset() -> Errno {
    let net = Pair::new();
    let (client, server) = net.established();
    net.server_resets(server);
    assert_eq!(net.kinds(), ["R. 0"]);
    net.client.sys(|host| {
        let errno = refusal(read(host, client));
        assert_eq!(read(host, client), Ok(vec![]), "told once, then the end");
        assert_eq!(host.write(client, b"x"), Err(Errno::EPIPE));
        errno
    })
}

pub(crate) fn a_write_after_a_reset() -> Errno {
    let net = Pair::new();
    let (client, server) = net.established();
    net.server_resets(server);
    net.client.sys(|host| refusal(host.write(client, b"x")))
}

pub(crate) fn so_error_after_a_reset() -> Errno {
    let net = Pair::new();
    let (client, server) = net.established();
    net.server_resets(server);
    net.client.sys(|host| host.take_error(client)).expect("open").expect("an error waits")
}

pub(crate) fn a_read_after_the_peer_closed_with_unread_data() -> Errno {
    let net = Pair::new();
    let (client, server) = net.established();
    net.client.sys(|host| host.write(client, b"never read")).expect("sent");
    net.settle();
    net.server.sys(|host| host.close(server)).expect("closed");
    net.settle();
    net.client.sys(|host| refusal(read(host, client)))
}

pub(crate) fn a_connect_of_a_program_that_was_slow_to_look() -> Errno {
    let net = Pair::new();
    let listener = net.listen(&[]);
    let fd = net.connect(&[]);
    net.settle();
    net.server_resets(net.accept(listener));
    net.client.sys(|host| refusal(host.connect(fd, server())))
}

pub(crate) fn so_error_after_a_shutdown_in_syn_sent() -> Errno {
    let net = Pair::new();
    let fd = net.connect(&[]);
    net.client.sys(|host| {
        assert_eq!(host.shutdown(fd, Shutdown::Write), Ok(()));
        host.take_error(fd).expect("open").expect("an error waits")
    })
}

// ---- EPIPE

pub(crate) fn a_write_after_shutdown() -> Errno {
    let net = Pair::new();
    let (client, _) = net.established();
    net.client.sys(|host| {
        host.shutdown(client, Shutdown::Write).expect("connected");
        refusal(host.write(client, b"x"))
    })
}

pub(crate) fn a_write_before_connect() -> Errno {
    let mut host = host();
    let fd = stream(&mut host, &[]);
    refusal(host.write(fd, b"x"))
}

pub(crate) fn a_write_to_a_listener() -> Errno {
    let mut host = host();
    let fd = stream(&mut host, &[]);
    host.listen(fd, 1).expect("listening");
    refusal(host.write(fd, b"x"))
}

pub(crate) fn a_write_after_a_reset_in_close_wait() -> Errno {
    let net = Pair::new();
    let (client, server) = net.established();
    net.server.sys(|host| host.shutdown(server, Shutdown::Write)).expect("connected");
    net.settle();
    net.server_resets(server);
    net.client.sys(|host| {
        assert_eq!(read(host, client), Ok(vec![]), "a reader has seen the end, and is told nothing else");
        assert!(poll(host, client).contains(Readiness::ERROR), "nor does it take what writers shall hear");
        refusal(host.write(client, b"x"))
    })
}

pub(crate) fn a_datagram_after_shutdown() -> Errno {
    let mut host = host();
    let fd = datagram(&mut host, PORT);
    host.connect(fd, server()).expect("a peer");
    host.shutdown(fd, Shutdown::Write).expect("connected");
    refusal(host.write(fd, b"x"))
}

// ---- ENOTCONN, EISCONN, EALREADY, EINPROGRESS

pub(crate) fn calls_that_need_a_connection_before_connect() -> Errno {
    let mut host = host();
    let fd = stream(&mut host, &[]);
    assert_eq!(host.getpeername(fd), Err(Errno::ENOTCONN));
    assert_eq!(host.shutdown(fd, Shutdown::Both), Err(Errno::ENOTCONN));
    assert_eq!(host.connect(fd, server()), Err(Errno::EINPROGRESS));
    assert_eq!(host.getpeername(fd), Err(Errno::ENOTCONN), "not yet");
    let listener = stream(&mut host, &[]);
    host.listen(listener, 1).expect("listening");
    assert_eq!(read(&mut host, listener), Err(Errno::ENOTCONN));
    assert_eq!(host.getpeername(listener), Err(Errno::ENOTCONN));
    let fresh = stream(&mut host, &[]);
    refusal(read(&mut host, fresh))
}

pub(crate) fn a_datagram_socket_without_peer() -> Errno {
    let mut host = host();
    let fd = datagram(&mut host, PORT);
    assert_eq!(host.shutdown(fd, Shutdown::Both), Err(Errno::ENOTCONN));
    host.connect(fd, server()).expect("a peer");
    assert_eq!(host.getpeername(fd), Ok(server()));
    host.disconnect(fd).expect("no peer any more");
    refusal(host.getpeername(fd))
}

pub(crate) fn calls_that_need_a_connection_when_it_is_over() -> Errno {
    let net = Pair::new();
    let (client, server) = net.established();
    net.server_resets(server);
    net.client.sys(|host| {
        assert_eq!(host.getpeername(client), Err(Errno::ENOTCONN));
        refusal(host.shutdown(client, Shutdown::Write))
    })
}

pub(crate) fn calls_that_need_a_connection_in_time_wait() -> Errno {
    let net = Pair::new();
    let (client, server) = net.established();
    net.client.sys(|host| host.shutdown(client, Shutdown::Write)).expect("connected");
    net.settle();
    net.server.sys(|host| host.close(server)).expect("closed");
    net.settle();
    assert_eq!(net.kinds(), ["F. 0", ". 0", "F. 0", ". 0"]);
    net.client.sys(|host| {
        assert_eq!(host.getpeername(client), Err(Errno::ENOTCONN));
        refusal(host.shutdown(client, Shutdown::Write))
    })
}

pub(crate) fn a_connect_when_connected() -> Errno {
    let net = Pair::new();
    let (client, peer) = net.established();
    assert_eq!(net.server.sys(|host| host.connect(peer, at("192.0.2.2", 1))), Err(Errno::EISCONN));
    let errno = refusal(net.client.sys(|host| host.connect(client, server())));
    net.server_resets(peer);
    assert_eq!(net.client.sys(|host| host.connect(client, server())), Err(Errno::EISCONN), "also when it is over");
    errno
}

pub(crate) fn a_connect_of_a_listener() -> Errno {
    let mut host = host();
    let fd = stream(&mut host, &[]);
    host.listen(fd, 1).expect("listening");
    refusal(host.connect(fd, server()))
}

pub(crate) fn a_second_connect() -> Errno {
    let mut host = host();
    let fd = stream(&mut host, &[]);
    assert_eq!(host.connect(fd, server()), Err(Errno::EINPROGRESS));
    refusal(host.connect(fd, server()))
}

pub(crate) fn a_first_connect() -> Errno {
    let mut host = host();
    let fd = stream(&mut host, &[]);
    refusal(host.connect(fd, server()))
}

pub(crate) fn a_blocking_connect_whose_time_is_over() -> Errno {
    let net = Pair::new();
    net.cut();
    let mut program = net.client.spawn(async |net| {
        let fd = net.socket(Domain::Inet, Type::Stream)?;
        net.setsockopt(fd, SocketOption::SndTimeo(Some(Duration::from_millis(400))))?;
        net.connect(fd, at("192.0.2.1", PORT)).await
    });
    net.settle();
    refusal(program.try_take().expect("it has ended"))
}
