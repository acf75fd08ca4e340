//! Tests of the interface without a socket: who may ask, what is answered, what is done.

use core::net::SocketAddr;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{
    CLIENT_TIME, ConnectionState, Control, ControlAddress, Controlled, Hosts, LinkState, OpenError, Response, answer,
};
use crate::event::State;
use crate::link::{Counters, Link, LinkItems, LinkSpec};
use crate::time::{Duration, Instant};

/// Two links and a connection.
struct Fake {
    links: [Link; 2],
    connection: Option<(SocketAddr, SocketAddr)>,
}

fn fake() -> Fake {
    let link = |name| Link::new(&"delay=5ms".parse::<LinkSpec>().expect("a spec"), 7, name);
    let ends = ["192.0.2.1:80", "192.0.2.2:4000"].map(|addr| addr.parse().expect("an address"));
    Fake { links: [link("a>b"), link("b>a")], connection: Some((ends[0], ends[1])) }
}

impl Controlled for Fake {
    fn links(&mut self) -> Vec<LinkState> {
        let state = |link: &mut Link| LinkState {
            name: link.name().to_owned(),
            line: link.spec().to_string(),
            up: link.is_up(),
            counters: Counters { sent: 3, ..link.counters() },
            queued: (1, 40),
        };
        self.links.iter_mut().map(state).collect()
    }

    fn set_link(&mut self, direction: usize, items: &LinkItems) -> Result<(), String> {
        self.links[direction].set_items(items, Instant::EPOCH).map_err(|error| error.to_string())
    }

    fn set_link_up(&mut self, direction: usize, up: bool) {
        self.links[direction].set_up(up);
    }

    fn connections(&mut self, _most: usize) -> Vec<ConnectionState> {
        let state = State::Established;
        self.connection
            .iter()
            .map(|(local, remote)| ConnectionState { local: *local, remote: *remote, state })
            .collect()
    }

    fn reset(&mut self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.connection.take_if(|ends| *ends == (local, remote)).is_some()
    }
}

fn ask_with(fake: &mut Fake, head: &str, body: &str) -> Response {
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let whole = answer(request.as_bytes(), Hosts::Loopback, fake).expect("a whole request");
    for len in 0..request.len() {
        let early = answer(&request.as_bytes()[..len], Hosts::Loopback, &mut self::fake());
        assert!(early.is_none() || whole.status >= 400, "{len} bytes of {request}");
    }
    whole
}

fn ask(fake: &mut Fake, line: &str, body: &str) -> (u16, Value) {
    let Response { status, body } = ask_with(fake, &format!("{line} HTTP/1.1\r\nHost: localhost:1\r\n"), body);
    (status, body)
}

#[test]
fn links_are_shown_set_and_taken_down_and_up() {
    let mut fake = fake();
    let line = |fake: &mut Fake| fake.links().into_iter().map(|link| (link.line, link.up)).collect::<Vec<_>>();
    let (status, shown) = ask(&mut fake, "GET /links", "");
    assert_eq!(status, 200);
    assert_eq!(
        shown["links"][0],
        json!({
            "direction": "a>b", "line": "delay=5ms", "up": true, "sent": 3, "duplicated": 0, "delivered": 0, "dropped": 0,
            "in_flight": 0, "queue_packets": 1, "queue_bytes": 40,
        })
    );
    let (status, shown) = ask(&mut fake, "POST /links", r#"{"line":"a>b:delay=0,loss=5%"}"#);
    assert_eq!((status, &shown["links"][0]["line"]), (200, &json!("loss=5%")));
    assert_eq!(line(&mut fake), [("loss=5%".to_owned(), true), ("delay=5ms".to_owned(), true)]);
    assert_eq!(ask(&mut fake, "POST /links", r#"{"line":"mtu=1400"}"#).0, 200);
    assert_eq!(line(&mut fake), [("loss=5%,mtu=1400".to_owned(), true), ("delay=5ms,mtu=1400".to_owned(), true)]);
    assert_eq!(ask(&mut fake, "POST /links/down", r#"{"direction":"b>a"}"#).0, 200);
    assert_eq!(line(&mut fake).iter().map(|(_, up)| *up).collect::<Vec<_>>(), [true, false]);
    assert_eq!(ask(&mut fake, "POST /links/down", "").0, 200);
    assert_eq!(ask(&mut fake, "POST /links/up", "{}").0, 200);
    assert!(line(&mut fake).iter().all(|(_, up)| *up));
}

#[test]
fn connections_are_shown_and_reset_once() {
    let mut fake = fake();
    let (status, shown) = ask(&mut fake, "GET /connections", "");
    let ends = json!({ "local": "192.0.2.1:80", "remote": "192.0.2.2:4000", "state": "ESTABLISHED" });
    assert_eq!((status, &shown["connections"][0]), (200, &ends));
    let body = r#"{"local":"192.0.2.1:80","remote":"192.0.2.2:4000"}"#;
    assert_eq!(ask(&mut fake, "POST /connections/reset", body).0, 200);
    let (status, shown) = ask(&mut fake, "POST /connections/reset", body);
    assert_eq!((status, shown), (404, json!({ "error": "there is no connection 192.0.2.1:80 with 192.0.2.2:4000" })));
}

#[test]
fn a_wrong_request_gets_its_status_and_a_reason_and_does_nothing() {
    for (line, body, status, reason) in [
        ("GET /nothing", "", 404, "there are /links, /links/down"),
        ("PUT /links", "", 405, "another method"),
        ("GET /links/down", "", 405, "another method"),
        ("POST /links", "", 400, r#"expected {"line":"[A>B:]ITEMS"}"#),
        ("POST /links", "{}", 400, "missing field `line`"),
        ("POST /links", r#"{"line":"mtu=1400","x":1}"#, 400, "unknown field `x`"),
        ("POST /links", r#"{"line":"los=5%"}"#, 400, "unknown key `los`"),
        ("POST /links", r#"{"line":""}"#, 400, "at least one item"),
        ("POST /links", r#"{"line":"@5s:loss=5%"}"#, 400, "a line with a time cannot be used here"),
        ("POST /links", r#"{"line":"rate=trace:/etc/passwd"}"#, 400, "at the start only"),
        ("POST /links", r#"{"line":"a>c:loss=5%"}"#, 404, "there is no direction `a>c`; there are a>b, b>a"),
        ("POST /links/up", r#"{"direction":"x"}"#, 404, "there is no direction `x`"),
        ("POST /connections/reset", r#"{"local":"x","remote":"y"}"#, 400, r#"expected {"local":"IP:PORT""#),
    ] {
        let mut fake = fake();
        let (got, body) = ask(&mut fake, line, body);
        let error = body["error"].as_str().expect("a reason");
        assert!(got == status && error.contains(reason), "{line}: {got} {error}");
        assert!(fake.links().iter().all(|link| link.up && link.line == "delay=5ms") && fake.connection.is_some());
    }
    let mut fake = fake();
    for (request, status) in [
        ("GARBAGE\r\n\r\n".to_owned(), 400),
        ("GET /links HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("POST /links HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 411),
        ("POST /links HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16385\r\n\r\n".to_owned(), 413),
        ("POST /links HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n".to_owned(), 400),
        ("POST /links HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(), 400),
        (format!("GET /links HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "x: y\r\n".repeat(64)), 431),
        (format!("GET /links HTTP/1.1\r\nHost: localhost\r\nx: {}", "y".repeat(8192)), 431),
    ] {
        let response = answer(request.as_bytes(), Hosts::Loopback, &mut fake).expect("a refusal");
        assert_eq!(response.status, status, "{request}");
        let bytes = String::from_utf8(response.to_bytes()).expect("text");
        assert!(bytes.starts_with(&format!("HTTP/1.1 {status} ")) && !bytes.contains(" Error\r\n"), "{bytes}");
    }
}

#[test]
fn a_foreign_host_or_origin_is_refused() {
    let status = |hosts: Hosts, headers: &str| {
        let request = format!("POST /links/down HTTP/1.1\r\n{headers}\r\n\r\n");
        let mut fake = fake();
        let status = answer(request.as_bytes(), hosts, &mut fake).expect("an answer").status;
        assert_eq!(fake.links().iter().all(|link| link.up), status != 200);
        status
    };
    for host in ["localhost", "LOCALHOST:9", "127.0.0.1:80", "127.1.2.3", "[::1]", "[::1]:80", "[::ffff:127.0.0.1]:1"] {
        assert_eq!(status(Hosts::Loopback, &format!("Host: {host}")), 200, "{host}");
        assert_eq!(status(Hosts::Loopback, &format!("Host: {host}\r\nOrigin: http://{host}")), 200, "{host}");
    }
    for host in
        ["evil.example", "localhost.evil.example", "192.0.2.1:80", "localhost:1@evil", "", "127.0.0.1.nip.io:80"]
    {
        assert_eq!(status(Hosts::Loopback, &format!("Host: {host}")), 403, "{host}");
    }
    assert_eq!(status(Hosts::Addresses, "Host: 192.0.2.1:80"), 200);
    assert_eq!(status(Hosts::Addresses, "Host: evil.example:80"), 403);
    for origin in ["http://evil.example", "null", "https://localhost:9", "http://localhost:8", "http://localhost", ""] {
        assert_eq!(status(Hosts::Loopback, &format!("Host: localhost:9\r\nOrigin: {origin}")), 403, "{origin}");
    }
    assert_eq!(status(Hosts::Loopback, "Host: localhost\r\nHost: localhost"), 400);
}

#[test]
fn an_address_that_others_can_reach_has_to_be_allowed() {
    let open = |text: &str, anywhere| {
        Control::open(&text.parse::<ControlAddress>().expect(text), anywhere)
            .map(|control| control.address().to_owned())
    };
    for text in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let error = open(text, false).expect_err(text);
        assert!(
            matches!(error, OpenError::NotLoopback(_)) && error.to_string().contains("--control-anywhere"),
            "{error}"
        );
    }
    assert!(open("0.0.0.0:0", true).is_ok());
    let opened = open("127.0.0.1:0", false).expect("a port");
    assert!(opened.starts_with("127.0.0.1:") && !opened.ends_with(":0"), "{opened}");
    for text in ["", "unix:", "localhost:80", "127.0.0.1", "/tmp/x"] {
        assert_eq!(text.parse::<ControlAddress>().expect_err(text), "expected 127.0.0.1:PORT, [::1]:PORT or unix:PATH");
    }
}

/// An interface on a free port, and its address.
fn opened() -> (Control, String) {
    let control = Control::open(&"127.0.0.1:0".parse().expect("an address"), false).expect("a port");
    let address = control.address().to_owned();
    (control, address)
}

/// What a client gets after these turns.
fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("text");
    text
}

#[test]
fn a_request_that_comes_in_pieces_is_answered_and_one_that_does_not_come_is_not_waited_for() {
    let (mut control, address) = opened();
    let mut fake = fake();
    let begin = Instant::from_secs(100);
    let mut pieces = TcpStream::connect(&address).expect("it listens");
    let mut slow = TcpStream::connect(&address).expect("it listens");
    pieces.write_all(b"GET /links HTTP/1.1\r\nHo").expect("room");
    slow.write_all(b"GET /links HTTP/1.1\r\nHo").expect("room");
    assert!(!control.turn(begin, &mut fake));
    assert_eq!(control.next_at(), Some(begin + CLIENT_TIME));
    pieces.write_all(b"st: localhost\r\n\r\n").expect("room");
    assert_eq!(CLIENT_TIME, Duration::from_secs(5));
    let last = begin + Duration::from_nanos(4_999_999_999);
    assert!(control.turn(last, &mut fake), "a nanosecond before the end it is answered");
    assert!(rest(pieces).starts_with("HTTP/1.1 200 OK\r\n"));
    control.turn(begin + CLIENT_TIME, &mut fake);
    assert!(rest(slow).starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    control.turn(begin + CLIENT_TIME, &mut fake);
    assert_eq!(control.next_at(), None, "no client is left");
}

#[test]
fn eight_clients_are_served_at_a_time_and_the_ninth_waits() {
    let (mut control, address) = opened();
    let mut fake = fake();
    let silent: Vec<_> = (0..super::MOST_CLIENTS).map(|_| TcpStream::connect(&address).expect("it listens")).collect();
    let mut ninth = TcpStream::connect(&address).expect("the system takes it");
    ninth.write_all(b"GET /links HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("room");
    assert!(!control.turn(Instant::EPOCH, &mut fake));
    assert_eq!(control.clients.len(), super::MOST_CLIENTS);
    #[cfg(unix)]
    assert_eq!(control.descriptors().count(), super::MOST_CLIENTS, "the socket is not waited on");
    drop(silent);
    control.turn(Instant::EPOCH, &mut fake);
    assert!(control.turn(Instant::EPOCH, &mut fake));
    assert!(rest(ninth).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
#[cfg(unix)]
fn the_file_of_a_unix_socket_is_for_its_owner_and_only_the_own_one_is_removed() {
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::env::temp_dir().join(format!("tcplab-control-{}", std::process::id()));
    let address: ControlAddress = format!("unix:{}", path.display()).parse().expect("an address");
    let control = Control::open(&address, false).expect("a socket");
    assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
    assert!(matches!(Control::open(&address, false), Err(OpenError::Exists(_))));
    drop(control);
    assert!(!path.exists(), "it is removed");
    let control = Control::open(&address, false).expect("a socket");
    std::fs::remove_file(&path).expect("it is there");
    std::fs::write(&path, "of somebody else").expect("room");
    drop(control);
    assert_eq!(std::fs::read_to_string(&path).expect("it is kept"), "of somebody else");
    std::fs::remove_file(&path).expect("it is there");
}
