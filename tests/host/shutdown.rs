//! The ends of a connection: shutdown, half-close, close, reset, and what each end reads, writes and polls.

use std::time::Duration;

use crate::common::calls::{PORT, Pair, at, poll, read};
use tcplab::event::State;
use tcplab::socket::{Errno, Fd, Readiness, Shutdown, SocketOption};

const IN: Readiness = Readiness::READABLE;
const OUT: Readiness = Readiness::WRITABLE;
const ERR: Readiness = Readiness::ERROR;
const HUP: Readiness = Readiness::HANG_UP;
const RDHUP: Readiness = Readiness::READ_HANG_UP;

#[track_caller]
fn state(host: &tcplab::sim::HostHandle, fd: Fd) -> State {
    host.sys(|host| host.tcp_info(fd)).expect("a connection").state
}

#[test]
fn a_half_closed_connection_still_carries_data_the_other_way() {
    let net = Pair::new();
    let (client, server) = net.established();
    net.client.sys(|host| {
        host.write(client, b"question").expect("taken");
        host.shutdown(client, Shutdown::Write).expect("connected");
    });
    net.settle();
    assert_eq!((state(&net.client, client), state(&net.server, server)), (State::FinWait2, State::CloseWait));
    assert_eq!(net.server_reads(server), b"question");
    assert_eq!(net.server_reads(server), b"");
    assert_eq!(net.server_reads(server), b"", "the end stays the end");
    net.server.sys(|host| {
        assert_eq!(poll(host, server), IN | OUT | RDHUP);
        host.write(server, b"answer").expect("taken");
        host.close(server).expect("open");
    });
    net.settle();
    net.client.sys(|host| {
        assert_eq!(poll(host, client), IN | OUT | RDHUP | HUP);
        assert_eq!(read(host, client).as_deref(), Ok(&b"answer"[..]));
        assert_eq!(read(host, client).as_deref(), Ok(&b""[..]));
        assert_eq!(host.write(client, b"x"), Err(Errno::EPIPE));
    });
    assert_eq!(state(&net.client, client), State::TimeWait);
}

#[test]
fn shutdown_of_writing_twice_sends_one_fin() {
    let net = Pair::new();
    let (client, server) = net.established();
    net.client.sys(|host| {
        host.shutdown(client, Shutdown::Write).expect("connected");
        host.shutdown(client, Shutdown::Write).expect("still connected");
        assert_eq!(poll(host, client), OUT, "Linux: a write would not wait, it fails");
    });
    net.settle();
    assert_eq!(net.kinds(), ["F. 0", ". 0"]);
    assert_eq!(net.client.sys(|host| read(host, client)), Err(Errno::EAGAIN), "the peer may still speak");
    net.client.sys(|host| host.close(client)).expect("open");
    net.settle();
    net.assert_silence();
    assert_eq!(net.server_reads(server), b"");
}

#[test]
fn shutdown_of_reading_says_nothing_and_reads_find_the_end() {
    let net = Pair::new();
    let (client, server) = net.established();
    net.server.sys(|host| host.write(server, b"before")).expect("taken");
    net.settle();
    net.take();
    net.client.sys(|host| {
        host.shutdown(client, Shutdown::Read).expect("connected");
        assert_eq!(poll(host, client), IN | OUT | RDHUP);
        assert_eq!(read(host, client).as_deref(), Ok(&b"before"[..]), "what was there can be read");
        assert_eq!(read(host, client).as_deref(), Ok(&b""[..]));
    });
    net.settle();
    net.assert_silence();
    // As on Linux, what comes later is acknowledged and can be read too.
    net.server.sys(|host| host.write(server, b"after")).expect("taken");
    net.settle();
    assert_eq!(net.kinds(), ["P. 5", ". 0"]);
    assert_eq!(net.client.sys(|host| read(host, client)).as_deref(), Ok(&b"after"[..]));
    net.client.sys(|host| host.write(client, b"writing goes on")).expect("taken");
    net.settle();
    assert_eq!(net.server_reads(server), b"writing goes on");
}

#[test]
fn shutdown_of_both_is_a_fin_and_the_end_of_reads() {
    let net = Pair::new();
    let (client, _) = net.established();
    net.client.sys(|host| {
        host.shutdown(client, Shutdown::Both).expect("connected");
        assert_eq!(poll(host, client), IN | OUT | RDHUP | HUP);
        assert_eq!(read(host, client).as_deref(), Ok(&b""[..]));
        assert_eq!(host.write(client, b"x"), Err(Errno::EPIPE));
    });
    net.settle();
    assert_eq!(net.kinds(), ["F. 0", ". 0"]);
}

#[test]
fn a_fin_follows_everything_that_was_written() {
    let net = Pair::new();
    let (client, server) = net.established_with(&[SocketOption::SndBuf(65_536)], &[]);
    net.client.sys(|host| {
        assert_eq!(host.write(client, &vec![7; 60_000]), Ok(60_000));
        host.close(client).expect("open");
    });
    net.settle();
    assert_eq!(net.server_reads(server).len(), 60_000);
    assert_eq!(net.server_reads(server), b"");
}

#[test]
fn close_in_syn_sent_is_silent_and_a_late_syn_ack_gets_a_reset() {
    let net = Pair::new();
    let listener = net.listen(&[]);
    let client = net.connect(&[]);
    net.sim.run_for(Duration::from_millis(5));
    assert_eq!(net.kinds(), ["S 0"]);
    net.client.sys(|host| host.close(client)).expect("open");
    net.sim.run_for(Duration::from_millis(4));
    net.assert_silence();
    net.settle();
    assert_eq!(net.kinds(), ["S. 0", "R 0"]);
    net.sim.run_until_idle();
    net.assert_silence();
    assert_eq!(net.server.sys(|host| host.accept(listener)), Err(Errno::EAGAIN));
}

#[test]
fn shutdown_in_syn_sent_gives_the_attempt_up_without_a_word() {
    let net = Pair::new();
    net.cut();
    let client = net.connect(&[]);
    net.sim.run_for(Duration::from_millis(5));
    assert_eq!(net.kinds(), ["S 0"]);
    net.client.sys(|host| {
        assert_eq!(poll(host, client), Readiness::NONE);
        host.shutdown(client, Shutdown::Both).expect("Linux lets it");
        assert_eq!(host.take_error(client), Ok(Some(Errno::ECONNRESET)));
    });
    net.sim.run_until_idle();
    net.assert_silence();
}

#[test]
fn close_with_unread_data_is_a_reset() {
    let net = Pair::new();
    let (client, server) = net.established();
    net.client.sys(|host| host.write(client, b"12345")).expect("taken");
    net.settle();
    net.server.sys(|host| {
        host.read(server, &mut [0; 4]).expect("four of five");
        host.close(server).expect("open");
    });
    net.settle();
    assert_eq!(net.kinds(), ["P. 5", ". 0", "R. 0"]);
    net.client.sys(|host| {
        assert_eq!(poll(host, client), IN | OUT | ERR | HUP | RDHUP);
        assert_eq!(host.write(client, b"x"), Err(Errno::ECONNRESET));
        assert_eq!(host.write(client, b"x"), Err(Errno::EPIPE));
        assert_eq!(poll(host, client), IN | OUT | HUP | RDHUP);
    });
}

#[test]
fn close_with_everything_read_is_a_fin() {
    let net = Pair::new();
    let (client, server) = net.established();
    net.client.sys(|host| host.write(client, b"12345")).expect("taken");
    net.settle();
    net.server.sys(|host| {
        host.read(server, &mut [0; 5]).expect("all five");
        host.close(server).expect("open");
    });
    net.settle();
    assert_eq!(net.kinds(), ["P. 5", ". 0", "F. 0", ". 0"]);
}

#[test]
fn data_for_an_application_that_has_closed_is_answered_with_a_reset() {
    let net = Pair::new();
    let (client, server) = net.established();
    net.server.sys(|host| host.close(server)).expect("open");
    net.settle();
    net.client.sys(|host| {
        assert_eq!(read(host, client).as_deref(), Ok(&b""[..]));
        assert_eq!(host.write(client, b"anybody?"), Ok(8));
    });
    net.settle();
    net.client.sys(|host| assert_eq!(host.write(client, b"x"), Err(Errno::EPIPE)));
}

#[test]
fn a_connection_closed_by_its_peer_before_accept_can_be_accepted_and_read() {
    let net = Pair::new();
    let listener = net.listen(&[]);
    let client = net.connect(&[]);
    net.settle();
    net.client.sys(|host| {
        host.write(client, b"farewell").expect("taken");
        host.close(client).expect("open");
    });
    net.settle();
    let server = net.accept(listener);
    assert_eq!(net.server_reads(server), b"farewell");
    assert_eq!(net.server_reads(server), b"");
    assert_eq!(state(&net.server, server), State::CloseWait);
}

#[test]
fn a_connection_reset_before_accept_can_be_accepted_and_tells_of_it() {
    let net = Pair::new();
    let listener = net.listen(&[]);
    let client = net.connect(&[]);
    net.settle();
    net.client.sys(|host| {
        let linger = SocketOption::Linger(Some(Duration::ZERO));
        host.setsockopt(client, linger).expect("set");
    });
    let local = net.client.sys(|host| host.getsockname(client)).expect("connected");
    net.client.sys(|host| host.close(client)).expect("open");
    net.settle();
    let (server, peer) = net.server.sys(|host| host.accept(listener)).expect("Linux gives it out");
    assert_eq!((server, peer), (Fd(4), local));
    net.server.sys(|host| {
        assert_eq!(host.getpeername(server), Err(Errno::ENOTCONN));
        assert_eq!(read(host, server), Err(Errno::ECONNRESET));
        assert_eq!(read(host, server).as_deref(), Ok(&b""[..]));
        assert_eq!(host.close(server), Ok(()));
        assert_eq!(host.accept(listener), Err(Errno::EAGAIN), "it was taken from the queue");
    });
}

#[test]
fn what_came_before_a_reset_is_read_before_the_error() {
    let net = Pair::new();
    let (client, server) = net.established();
    net.server.sys(|host| host.write(server, b"last words")).expect("taken");
    net.settle();
    net.server_resets(server);
    // As on Linux; RFC 9293, section 3.10.7.4, would flush the queue.
    net.client.sys(|host| {
        assert_eq!(read(host, client).as_deref(), Ok(&b"last words"[..]));
        assert_eq!(read(host, client), Err(Errno::ECONNRESET));
    });
}

#[test]
fn closing_a_listener_resets_those_that_wait_and_spares_those_accepted() {
    let net = Pair::new();
    let (client, server) = net.established();
    let waiting = net.connect(&[]);
    net.settle();
    net.take();
    net.server.sys(|host| host.close(Fd(3))).expect("the listener");
    net.settle();
    assert_eq!(net.kinds(), ["R. 0"]);
    assert_eq!(net.client.sys(|host| host.connect(waiting, at("192.0.2.1", PORT))), Err(Errno::ECONNRESET));
    net.client.sys(|host| host.write(client, b"we go on")).expect("taken");
    net.settle();
    assert_eq!(net.server_reads(server), b"we go on");
}

#[test]
fn a_listener_whose_reading_is_shut_down_listens_no_more_and_can_listen_again() {
    let net = Pair::new();
    let listener = net.listen(&[]);
    net.server.sys(|host| {
        assert_eq!(host.shutdown(listener, Shutdown::Write), Ok(()), "this changes nothing");
        assert_eq!(host.accept(listener), Err(Errno::EAGAIN));
        host.shutdown(listener, Shutdown::Read).expect("listening");
        assert_eq!(host.accept(listener), Err(Errno::EINVAL));
    });
    net.connect(&[]);
    net.settle();
    assert_eq!(net.kinds(), ["S 0", "R. 0"]);
    net.server.sys(|host| host.listen(listener, 1)).expect("still bound");
    net.connect(&[]);
    net.settle();
    net.accept(listener);
}
