//! The built-in programs over simulated links, as their users meet them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::lab::{Lab, Log, lab, octets};
use tcplab::app::calls::{self, Done, Failed, Why};
use tcplab::app::{Listen, bulk, chat, discard, echo, errno, hello};
use tcplab::event::{Event, Observer};
use tcplab::net::{Net, TcpStream, UdpSocket};
use tcplab::socket::{Errno, descriptor_table};
use tcplab::time::{Duration, Instant};

const LINK: &str = "delay=10ms";
const BAD_LINK: &str = "rate=20Mbit,delay=10ms,loss=3%,reorder=2%,duplicate=2%,corrupt=0.5%";
const SECOND: Duration = Duration::from_secs(1);

async fn connect(net: &Net, address: SocketAddr) -> TcpStream {
    TcpStream::connect(net, address).await.expect("somebody listens")
}

async fn read_to_end(stream: &TcpStream) -> String {
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).await.expect("an orderly end");
    String::from_utf8(octets).expect("text")
}

// ---- hello, echo, discard

#[test]
fn hello_greets_each_client() {
    let lab = lab(1, LINK);
    lab.server.spawn_daemon(|net| hello::server(net, Listen::on([0; 16].into(), hello::PORT)));
    for address in [lab.at(hello::PORT), lab.at_v6(hello::PORT), lab.at(hello::PORT)] {
        let greeting = lab.run(move |net| hello::client(net, address)).expect("no call fails");
        assert_eq!(String::from_utf8_lossy(&greeting), "Hello, Client!");
    }
    lab.sim.run_until_idle();
    assert_eq!(lab.server.sys(|host| descriptor_table(host)), "3 LISTEN [::]:12345\n");
}

#[test]
fn hello_greets_a_client_that_speaks_first() {
    let lab = lab(1, LINK);
    let address = lab.at(hello::PORT);
    lab.server.spawn_daemon(move |net| hello::server(net, Listen::new(address)));
    lab.run(async move |net| {
        let stream = connect(&net, address).await;
        stream.write_all(b"Hello, Server!").await.expect("sent");
        let mut greeting = [0; 14];
        stream.read_exact(&mut greeting).await.expect("written before the close, sent before the RST");
        assert_eq!(&greeting, hello::GREETING);
        // The server has closed without reading.
        let error = stream.read(&mut greeting).await.expect_err("a reset (RFC 1122)");
        assert_eq!(errno(&error), Some(Errno::ECONNRESET));
    });
}

#[test]
fn hello_outlives_clients_that_do_not_wait() {
    let lab = lab(1, LINK);
    let address = lab.at(hello::PORT);
    lab.server.spawn_daemon(move |net| hello::server(net, Listen::new(address)));
    lab.run(async move |net| connect(&net, address).await.abort());
    let greeting = lab.run(move |net| hello::client(net, address)).expect("no call fails");
    assert_eq!(greeting, hello::GREETING);
}

#[test]
fn echo_sends_back_what_it_gets_over_a_bad_link() {
    let lab = lab(2, BAD_LINK);
    let address = lab.at(echo::PORT);
    lab.server.spawn_daemon(move |net| echo::server(net, Listen::new(address)));
    let message = octets(500_000);
    let sent = message.clone();
    let echoed = lab.run(move |net| echo::client(net, address, sent)).expect("no call fails");
    assert!(echoed == message);
    assert!(lab.link.counters("client").dropped > 0, "the link did lose something");
}

#[test]
fn echo_serves_many_clients_at_once() {
    let lab = lab(2, "rate=100Mbit,delay=5ms,loss=1%");
    let address = lab.at_v6(echo::PORT);
    lab.server.spawn_daemon(move |net| echo::server(net, Listen::new(address)));
    let mut clients: Vec<_> =
        (0..50_u8).map(|number| lab.client.spawn(move |net| echo::client(net, address, vec![number; 5_000]))).collect();
    lab.sim.run_until_idle();
    for (number, client) in clients.iter_mut().enumerate() {
        let echoed = client.try_take().expect("ended").expect("no call fails");
        assert!(echoed.len() == 5_000 && echoed.iter().all(|&octet| usize::from(octet) == number));
    }
}

#[test]
fn echo_returns_datagrams_one_by_one_up_to_the_largest() {
    let lab = lab(1, LINK);
    let address = lab.at(echo::PORT);
    lab.server.spawn_daemon(move |net| echo::udp_server(net, address));
    lab.run(async move |net| {
        let socket = UdpSocket::bind(&net, "0.0.0.0:0".parse().unwrap()).expect("bound");
        socket.connect(address).expect("a peer is fixed");
        let mut buf = [0; 2_000];
        for len in [0, 1, 100, 1_472] {
            socket.send(&octets(len)).await.expect("sent");
            let echoed = net.timeout(SECOND, socket.recv(&mut buf)).await.expect("in time").expect("no error");
            assert_eq!(buf[..echoed], octets(len));
        }
        let too_long = socket.send(&octets(1_473)).await.expect_err("above the MTU");
        assert_eq!(errno(&too_long), Some(Errno::EMSGSIZE));
    });
}

#[test]
fn discard_reads_everything_and_says_nothing() {
    let lab = lab(1, LINK);
    let address = lab.at(discard::PORT);
    lab.server.spawn_daemon(move |net| discard::server(net, Listen::new(address)));
    let answer = lab.run(async move |net| {
        let stream = connect(&net, address).await;
        stream.write_all(&octets(1_000_000)).await.expect("it is taken");
        stream.shutdown_write().expect("open");
        read_to_end(&stream).await
    });
    assert_eq!(answer, "");
}

// ---- chat

#[test]
fn what_one_writes_all_others_read() {
    let lab = lab(1, LINK);
    let address = lab.at(chat::PORT);
    lab.server.spawn_daemon(move |net| chat::server(net, Listen::new(address)));
    let log = Log::default();
    let names = ["ada", "bob", "cyd"];
    for (at, name) in names.into_iter().enumerate() {
        let log = log.clone();
        drop(lab.client.spawn(async move |net| {
            let stream = connect(&net, address).await;
            net.sleep(SECOND * (at as u32 + 1)).await;
            stream.write_all(format!("{name} is here\n").as_bytes()).await.expect("sent");
            net.sleep(SECOND * (5 - at as u32)).await;
            stream.shutdown_write().expect("open");
            for line in read_to_end(&stream).await.lines() {
                log.note(format!("{name} reads: {line}"));
            }
        }));
    }
    lab.sim.run_until_idle();
    let mut lines = log.lines();
    lines.sort();
    assert_eq!(
        lines,
        [
            "ada reads: bob is here",
            "ada reads: cyd is here",
            "bob reads: ada is here",
            "bob reads: cyd is here",
            "cyd reads: ada is here",
            "cyd reads: bob is here"
        ]
    );
}

#[test]
fn a_chat_client_that_does_not_read_is_expelled_and_holds_nobody() {
    const PIECES: usize = 500;
    let lab = lab(1, LINK);
    let address = lab.at(chat::PORT);
    lab.server.spawn_daemon(move |net| chat::server(net, Listen::new(address)));
    let sleeper = lab.run(async move |net| connect(&net, address).await);
    let mut listener = lab.client.spawn(async move |net| {
        let stream = connect(&net, address).await;
        let (mut buf, mut count, mut slowest) = (vec![0; 8_192], 0, Duration::ZERO);
        while count < PIECES * 1_000 {
            let begin = net.now();
            count += stream.read(&mut buf).await.expect("no error");
            slowest = slowest.max(net.now().since(begin));
        }
        slowest
    });
    let talker = lab.client.spawn(async move |net| {
        let stream = connect(&net, address).await;
        net.sleep(SECOND).await;
        for _ in 0..PIECES {
            stream.write_all(&[b'x'; 1_000]).await.expect("sent");
            net.sleep(Duration::from_millis(10)).await;
        }
    });
    lab.sim.run_until(|| talker.is_finished() && listener.is_finished());
    let slowest = listener.try_take().expect("ended");
    assert!(slowest <= SECOND + Duration::from_millis(50), "nothing held the one who reads: {slowest:?}");

    // 500 kB are more than the buffers on the way and the outbox: the sleeper finds an RST.
    let error = lab.run(async move |_| {
        let mut buf = vec![0; 8_192];
        loop {
            match sleeper.read(&mut buf).await {
                Ok(0) => panic!("an orderly end"),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    });
    assert_eq!(errno(&error), Some(Errno::ECONNRESET));
    lab.sim.run_until_idle();
    assert_eq!(lab.server.sys(|host| descriptor_table(host)), format!("3 LISTEN {address}\n"), "all have left");
}

// ---- bulk

#[test]
fn bulk_checks_every_byte_over_a_bad_link() {
    let lab = lab(4, BAD_LINK);
    let address = lab.at(bulk::PORT);
    let mut received = lab.server.spawn(move |net| bulk::receive(net, Listen::new(address)));
    let mut sent = lab.client.spawn(move |net| bulk::send(net, address, 3_000_000));
    lab.sim.run_until_idle();
    sent.try_take().expect("ended").expect("no error");
    assert_eq!(received.try_take().expect("ended").expect("no error"), 3_000_000);
}

#[test]
fn bulk_names_the_first_byte_that_is_wrong() {
    let lab = lab(4, LINK);
    let address = lab.at(bulk::PORT);
    let results = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&results);
    lab.server.spawn_daemon(move |net| {
        bulk::server(net, Listen::new(address), move |_, result| {
            noted.borrow_mut().push(result.map_err(|error| error.to_string()));
        })
    });
    lab.run(async move |net| {
        let stream = connect(&net, address).await;
        bulk::write(&stream, 100_000).await.expect("sent");
        stream.write_all(&[0]).await.expect("sent");
        drop(stream);
        net.sleep(SECOND).await;
        bulk::send(net.clone(), address, 0).await.expect("an empty one");
        bulk::send(net, address, 252).await.expect("a short one");
    });
    lab.sim.run_until_idle();
    let wrong = format!("byte 100000 is 0, expected {}", 100_000 % 251);
    assert_eq!(*results.borrow(), [Err(wrong), Ok(0), Ok(252)]);
}

// ---- programs that are lists of calls

/// The protocol of each packet that a host sends.
#[derive(Default)]
struct Protocols(Vec<u8>);

impl Observer for Protocols {
    fn on_event(&mut self, _: Instant, event: &Event<'_>) {
        if let Event::Sent { packet, .. } = event {
            self.0.push(packet.bytes[9]);
        }
    }
}

fn program(lab: &Lab, text: &str) -> Vec<calls::Call> {
    let hosts = BTreeMap::from([("server".to_owned(), lab.server.address())]);
    calls::parse(text.lines(), &hosts).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs one program on each host; what became of them.
fn run_both(lab: &Lab, server: &str, client: &str) -> [Result<Done, Failed>; 2] {
    let start = |host: &tcplab::sim::HostHandle, text: &str| {
        let calls = program(lab, text);
        host.spawn(async move |net| calls::run(net, &calls, |_, _| {}).await)
    };
    let mut handles = [start(&lab.server, server), start(&lab.client, client)];
    lab.sim.run_until_idle();
    handles.each_mut().map(|handle| handle.try_take().expect("ended"))
}

#[test]
fn every_call_of_a_list_does_what_it_says() {
    let lab = lab(1, LINK);
    let log = Log::default();
    let (calls, noted) = (
        program(
            &lab,
            "connect server:80  # a comment\n\nsend \"GET /\\r\\n\"\nsend 1000\nrecv 10\nsleep 1.5s\nshutdown wr\nrecv eof\nclose\nconnect server:80\nsend 1\nabort",
        ),
        log.clone(),
    );
    let mut client = lab.client.spawn(async move |net| {
        let clock = net.clone();
        calls::run(net, &calls, |number, call| noted.note(format!("{} {number} {call}", clock.now().as_millis()))).await
    });
    let calls = program(&lab, "listen 80 5\naccept\nrecv 1007\nsend 10\nrecv eof\nsend 5\nclose\naccept\nrecv eof");
    let mut server = lab.server.spawn(async move |net| calls::run(net, &calls, |_, _| {}).await);
    lab.sim.run_until_idle();

    assert_eq!(client.try_take(), Some(Ok(Done { calls: 11, sent: 1008, received: 15, ..Done::default() })));
    let failed = server.try_take().expect("ended").expect_err("the second connection is aborted");
    assert_eq!(failed.to_string(), "call 9 (recv eof): ECONNRESET (Connection reset by peer)");
    assert_eq!(failed.why, Why::Errno(Errno::ECONNRESET));
    assert_eq!(
        log.lines(),
        [
            "0 1 connect 192.168.69.1:80",
            "20 2 send \"GET /\\r\\n\"",
            "20 3 send 1000",
            "20 4 recv 10",
            "40 5 sleep 1500ms",
            "1540 6 shutdown wr",
            "1540 7 recv eof",
            "1560 8 close",
            "1560 9 connect 192.168.69.1:80",
            "1580 10 send 1",
            "1580 11 abort"
        ]
    );
    for host in [&lab.server, &lab.client] {
        assert_eq!(host.sys(|host| descriptor_table(host)), "", "at its end everything is closed");
    }
}

#[test]
fn a_udp_socket_that_is_connected_sends_and_receives_datagrams_and_no_other_socket_is_opened() {
    let lab = lab(1, LINK);
    let packets = lab.sim.observe(Protocols::default());
    let [server, client] = run_both(
        &lab,
        "socket udp\nbind 53\nrecvfrom\nconnect 192.168.69.2:5000\nsend \"yes\"\nclose",
        "socket udp\nbind 5000\nconnect server:53\nsend 100\nrecv 3\nclose",
    );
    let one = Done { datagrams_sent: 1, datagrams_received: 1, ..Done::default() };
    assert_eq!(server, Ok(Done { calls: 6, sent: 3, received: 100, ..one }));
    assert_eq!(client, Ok(Done { calls: 6, sent: 100, received: 3, ..one }));
    assert_eq!(packets.borrow().0, [17, 17], "two datagrams and nothing else");
}

#[test]
fn set_bind_and_close_are_about_the_socket_that_was_made_last() {
    let lab = lab(1, LINK);
    let [server, client] = run_both(
        &lab,
        "listen 80\naccept\nsocket udp\nbind 53\nset ttl 9\nrecvfrom\nclose\nrecv 5\nclose\nclose",
        "connect server:80\nsleep 50ms\nsocket udp\nset ttl 7\nsendto server:53 4\nclose\nsend 5\nclose",
    );
    assert_eq!(server.map(|done| (done.calls, done.received)), Ok((10, 9)));
    assert_eq!(client.map(|done| (done.calls, done.sent)), Ok((8, 9)));
}

#[test]
fn a_call_that_fails_is_named_with_its_place_and_reason() {
    let lab = lab(1, LINK);
    let [server, client] = run_both(&lab, "listen 80\naccept\nsend 5\nclose", "connect server:80\nrecv 5\nrecv 10");
    assert_eq!(server, Ok(Done { calls: 4, sent: 5, ..Done::default() }));
    let failed = client.expect_err("five bytes are not ten more");
    assert_eq!(failed.to_string(), "call 3 (recv 10): the peer ended after 0 of 10 bytes");
    assert_eq!(failed.done, Done { calls: 2, received: 5, ..Done::default() });

    let [_, client] = run_both(&lab, "sleep 1s", "sleep 1s\nconnect server:81");
    let failed = client.expect_err("nobody listens");
    assert_eq!(failed.to_string(), "call 2 (connect 192.168.69.1:81): ECONNREFUSED (Connection refused)");

    let [server, client] = run_both(
        &lab,
        "listen 80\naccept\nsleep 1s\nshutdown rdwr\nrecv eof",
        "connect server:80\nshutdown rd\nrecv eof",
    );
    assert_eq!(server.map(|done| done.calls), Ok(5));
    assert_eq!(client.map(|done| done.calls), Ok(3));
}

#[test]
fn a_line_that_is_no_call_is_named_with_what_could_stand_there() {
    let hosts = BTreeMap::from([("server".to_owned(), [192, 168, 69, 1].into())]);
    for (text, message) in [
        (
            "connect server:80\nsendd 10",
            "line 2: \"sendd\": expected connect, listen, accept, send, recv, sleep, until, shutdown, close, abort, socket, \
             bind, set, use, sendto or recvfrom",
        ),
        ("connect srever:80", "line 1: \"srever:80\": expected an address or one of the hosts server"),
        ("connect", "line 1: the line ends: expected HOST:PORT, for example server:80, 10.0.0.2:80 or [fd00::2]:80"),
        ("# nothing\n\nsend 10", "line 3: \"send\": expected connect or accept before it: there is no connection"),
        ("listen 80\naccept\nsend \"open", "line 3: \"\"open\": expected a closing quotation mark"),
        ("listen 80\naccept\nrecv ten", "line 3: \"ten\": expected a number of bytes such as 3000 or 64KiB, or eof"),
        ("sleep 5", "line 1: \"5\": expected a time with its unit, such as 20ms or 1.5s (h, min, s, ms, us, ns)"),
        ("accept", "line 1: \"accept\": expected listen before it"),
    ] {
        let error = calls::parse(text.lines(), &hosts).expect_err(text);
        assert_eq!(error.to_string(), message, "{text}");
    }
}

#[test]
fn a_server_without_a_port_says_why() {
    let lab = lab(1, LINK);
    let address = lab.at(echo::PORT);
    let serve =
        |server: &tcplab::sim::HostHandle| server.spawn_daemon(move |net| echo::server(net, Listen::new(address)));
    let _first = serve(&lab.server);
    let mut second = serve(&lab.server);
    let mut elsewhere = serve(&lab.client);
    lab.sim.run_until_idle();
    let reason = |result: Option<io::Result<()>>| errno(&result.expect("ended").expect_err("no port"));
    assert_eq!(reason(second.try_take()), Some(Errno::EADDRINUSE));
    assert_eq!(reason(elsewhere.try_take()), Some(Errno::EADDRNOTAVAIL));
}
