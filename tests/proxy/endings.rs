//! How connections end: what one end does is what the other end sees, on both sides.

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tcplab::proxy::Counts;

use crate::lab::{
    Ending, Lab, PATIENCE, abort, both_sides, fill, read_all, send_all, settings, text, write_until_reset,
};

/// Waits until the proxy has nothing to do with the connections any more, and checks their number.
fn assert_counts(lab: Lab, closed: u64, reset: u64) {
    lab.await_end();
    let Counts { opened, closed: is_closed, reset: is_reset, refused, paused, .. } = lab.stop();
    assert_eq!((opened, is_closed, is_reset, refused, paused), (closed + reset, closed, reset, 0, 0));
}

#[test]
fn over_a_link_with_a_delay_every_second_segment_is_acknowledged() {
    let (lab, target) = Lab::with_target("delay=20ms");
    let [client, server] = lab.pair(&target);
    let sent = text(600_000, 5);
    let sender = sent.clone();
    let client = thread::spawn(move || {
        send_all(&client, &sender);
        read_all(&client)
    });
    assert_eq!(read_all(&server), (sent, Ending::Eof));
    // The answer arrives behind the ACKs.
    send_all(&server, b"x");
    assert_eq!(client.join().expect("it could send"), (b"x".to_vec(), Ending::Eof));
    let (data, acks) = lab.data_and_acks();
    assert!(data >= 600_000 / 1448 && acks * 5 >= data * 2, "{acks} ACKs of {data} segments");
}

#[test]
fn after_orderly_closes_every_byte_has_arrived_in_both_directions() {
    let (lab, target) = Lab::with_target("delay=2ms,loss=1%,duplicate=1%,reorder=2%");
    both_sides(&lab, &target, |side, one, other| {
        let (there, back) = (text(300_000, 1), text(200_000, 2));
        thread::scope(|scope| {
            scope.spawn(|| send_all(&one, &there));
            scope.spawn(|| send_all(&other, &back));
            let read = scope.spawn(|| read_all(&other));
            assert_eq!(read_all(&one), (back.clone(), Ending::Eof), "{side}");
            assert_eq!(read.join().expect("a reader"), (there.clone(), Ending::Eof), "{side}");
        });
    });
    assert_counts(lab, 2, 0);
}

#[test]
fn one_end_goes_on_sending_after_the_other_has_ended_its_direction() {
    let (lab, target) = Lab::with_target("delay=2ms,loss=1%");
    both_sides(&lab, &target, |side, one, other| {
        let answer = text(400_000, 3);
        send_all(&one, b"question");
        assert_eq!(read_all(&other), (b"question".to_vec(), Ending::Eof), "{side}");
        thread::scope(|scope| {
            scope.spawn(|| send_all(&other, &answer));
            assert_eq!(read_all(&one), (answer.clone(), Ending::Eof), "{side}");
        });
    });
    assert_counts(lab, 2, 0);
}

#[test]
fn an_abort_is_a_reset_at_the_other_end_and_no_end_of_file() {
    let (lab, target) = Lab::with_target("delay=2ms");
    both_sides(&lab, &target, |side, mut one, mut other| {
        one.write_all(b"begin").expect("write");
        other.read_exact(&mut [0; 5]).expect("it arrives");
        abort(one);
        assert_eq!(read_all(&other), (Vec::new(), Ending::Reset), "{side}");
    });
    assert_counts(lab, 0, 2);
}

#[test]
fn what_arrives_before_an_abort_is_a_prefix() {
    let (lab, target) = Lab::with_target("delay=2ms,loss=1%");
    both_sides(&lab, &target, |side, one, other| {
        let bytes = text(8_000_000, 4);
        let sent = fill(&one, &bytes);
        assert!((100_000..bytes.len()).contains(&sent), "{side}: a slow reader stalls the writer: {sent}");
        abort(one);
        let (read, ending) = read_all(&other);
        assert_eq!(ending, Ending::Reset, "{side}");
        assert!(read.len() <= sent && read == bytes[..read.len()], "{side}: {} of {sent}", read.len());
    });
    assert_counts(lab, 0, 2);
}

#[test]
fn an_abort_is_noticed_while_nothing_is_read_from_the_one_who_aborts() {
    let (lab, target) = Lab::with_target("delay=2ms");
    both_sides(&lab, &target, |side, one, other| {
        // The proxy cannot pass on what `one` has sent, so it does not read from it.
        fill(&one, &text(8_000_000, 5));
        let began = Instant::now();
        abort(one);
        write_until_reset(&other);
        assert!(began.elapsed() < Duration::from_secs(2), "{side}");
    });
    assert_counts(lab, 0, 2);
}

#[test]
fn an_abort_after_the_own_end_of_file_is_a_reset_too() {
    let (lab, target) = Lab::with_target("delay=2ms");
    both_sides(&lab, &target, |side, one, other| {
        send_all(&one, b"all");
        assert_eq!(read_all(&other), (b"all".to_vec(), Ending::Eof), "{side}");
        abort(one);
        write_until_reset(&other);
    });
    assert_counts(lab, 0, 2);
}

#[test]
fn a_close_with_unread_data_is_an_abort() {
    let (lab, target) = Lab::with_target("delay=2ms");
    both_sides(&lab, &target, |side, one, mut other| {
        other.write_all(b"never read").expect("write");
        one.peek(&mut [0; 1]).expect("it arrives");
        drop(one);
        assert_eq!(read_all(&other), (Vec::new(), Ending::Reset), "{side}");
    });
    assert_counts(lab, 0, 2);
}

#[test]
fn the_end_of_a_connection_whose_rst_was_lost_is_found_by_a_probe() {
    let check = |links: [&str; 2], client_aborts: bool| {
        let (lab, target) = Lab::with_links(links);
        let [client, server] = lab.pair(&target);
        let (one, mut other) = if client_aborts { (client, server) } else { (server, client) };
        // Both ends know that the connection is open.
        (&one).write_all(b"x").expect("write");
        other.read_exact(&mut [0; 1]).expect("it arrives");
        let began = Instant::now();
        abort(one);
        assert_eq!(read_all(&other), (Vec::new(), Ending::Reset));
        assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&began.elapsed()));
        assert_counts(lab, 0, 1);
    };
    thread::scope(|scope| {
        scope.spawn(|| check(["drop=rst:1", ""], true));
        scope.spawn(|| check(["", "drop=rst:1"], false));
    });
}

#[test]
fn an_abort_of_a_unix_socket_becomes_a_close() {
    let dir = std::env::temp_dir().join(format!("tcplab-proxy-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let (listen, to) = (dir.join("listen"), dir.join("to"));
    let target = UnixListener::bind(&to).expect("a socket");
    let mut settings = settings(&[&format!("unix:{}", to.display())], ["delay=2ms", "delay=2ms"]);
    settings.pairs[0].listen = format!("unix:{}", listen.display()).parse().expect("an address");
    // What a process left behind that has gone is replaced.
    drop(UnixListener::bind(&listen).expect("a socket"));
    let lab = Lab::start(settings);
    let pair = || {
        let client = UnixStream::connect(&listen).expect("the proxy listens");
        let (server, _) = target.accept().expect("the proxy connects");
        [client, server].map(|stream| {
            stream.set_read_timeout(Some(PATIENCE)).expect("an option");
            stream
        })
    };
    let [mut client, mut server] = pair();
    client.write_all(b"question").expect("write");
    client.shutdown(Shutdown::Write).expect("it is open");
    let mut read = Vec::new();
    server.read_to_end(&mut read).expect("the end of the direction");
    assert_eq!(read, b"question");
    server.write_all(b"answer").expect("write");
    drop(server);
    read.clear();
    client.read_to_end(&mut read).expect("the end");
    assert_eq!(read, b"answer");
    // A close with unread data is the abort of a Unix socket.
    let [mut client, server] = pair();
    client.write_all(b"never read").expect("write");
    server.set_nonblocking(false).expect("an option");
    SockRef::from(&server).peek(&mut [MaybeUninit::uninit(); 8]).expect("it arrives");
    drop(server);
    assert_eq!(client.read(&mut [0; 8]).map_err(|error| error.kind()).unwrap_or(0), 0);
    drop((client, lab));
    std::fs::remove_dir_all(dir).expect("it was ours");
}
