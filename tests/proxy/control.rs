//! `tcplab proxy --control`: the link goes down and up during a transfer, connections are shown and reset. The test is the
//! client, the target and the one who asks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{Ending, PATIENCE, abort, patient, read_all, send_all, text};

/// The command `tcplab proxy` with a control interface. Dropping it kills it.
struct Controlled {
    child: Child,
    err: BufReader<ChildStderr>,
    listen: String,
    control: String,
}

impl Controlled {
    fn start(to: &str, link: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tcplab"))
            .args(["proxy", "--listen", "127.0.0.1:0", "--to", to, "--link", link, "--control", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command");
        let mut err = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = |begin: &str, end: char| {
            let mut line = String::new();
            err.read_line(&mut line).expect("text");
            let rest = line.strip_prefix(begin).unwrap_or_else(|| panic!("{begin}: {line}"));
            rest.split(end).next().expect("an address").to_owned()
        };
        let listen = line("listening on ", ',');
        let control = line("control: ", '\n');
        Self { child, err, listen, control }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(&self.control).expect("it listens");
        patient(&stream);
        let length = body.len();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).expect("it takes it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        let (_, json) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// The counter of a direction: 0 is from the client to the server.
    fn counter(&self, direction: usize, name: &str) -> u64 {
        self.ask("GET", "/links", "")["links"][direction][name].as_u64().expect("a number")
    }

    /// Ends it by a signal, and gives what it said.
    fn stop(mut self) -> String {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill");
        assert!(sent.success());
        let mut rest = String::new();
        self.err.read_to_string(&mut rest).expect("text");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(143), "{rest}");
        rest
    }
}

impl Drop for Controlled {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Everything that can be read without waiting.
fn read_now(mut stream: &TcpStream, into: &mut Vec<u8>) {
    stream.set_nonblocking(true).expect("an option");
    let mut buffer = [0; 16_384];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        into.extend_from_slice(&buffer[..count]);
    }
    stream.set_nonblocking(false).expect("an option");
}

#[test]
fn the_link_goes_down_and_up_during_a_transfer_and_every_byte_arrives() {
    const LEN: usize = 4_000_000;
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let lab = Controlled::start(&target.local_addr().expect("it is bound").to_string(), "rate=20Mbit,delay=2ms");
    let client = TcpStream::connect(&lab.listen).expect("it listens");
    patient(&client);
    let (server, _) = target.accept().expect("the proxy connects");
    patient(&server);
    let sender = thread::spawn(move || send_all(&server, &text(LEN, 3)));
    let mut got = vec![0; 100_000];
    (&client).read_exact(&mut got).expect("the transfer runs");
    let before = [0, 1].map(|direction| lab.counter(direction, "dropped"));
    assert_eq!(before, [0, 0], "nothing was lost before");
    let down = lab.ask("POST", "/links/down", r#"{"direction":"server>client"}"#);
    assert_eq!((&down["links"][0]["up"], &down["links"][1]["up"]), (&Value::from(true), &Value::from(false)));
    until("what enters a link that is down is lost", || lab.counter(1, "dropped") > 0);
    until("what was on its way arrives", || lab.counter(1, "in_flight") == 0);
    let delivered = lab.counter(1, "delivered");
    read_now(&client, &mut got);
    assert!(got.len() < LEN, "it is not over");
    until("a retransmission is lost too", || lab.counter(1, "dropped") > 1);
    assert_eq!(lab.counter(1, "delivered"), delivered, "nothing arrives meanwhile");
    let up = lab.ask("POST", "/links/up", "{}");
    let lost = up["links"][1]["dropped"].as_u64().expect("a number");
    let (rest, ending) = read_all(&client);
    got.extend(rest);
    assert_eq!((ending, got == text(LEN, 3)), (Ending::Eof, true), "{} bytes", got.len());
    sender.join().expect("it could send");
    let end = lab.ask("GET", "/links", "");
    for direction in [0, 1] {
        let number = |name: &str| end["links"][direction][name].as_u64().expect("a number");
        assert_eq!(number("sent"), number("delivered") + number("dropped") + number("in_flight"));
    }
    assert_eq!([0, 1].map(|direction| lab.counter(direction, "dropped")), [0, lost], "and nothing else was lost");
    drop(client);
    until("the connection ends", || lab.ask("GET", "/connections", "")["connections"][0]["state"] != "ESTABLISHED");
    let said = lab.stop();
    assert!(said.contains("1 connection: 1 closed, 0 reset"), "{said}");
}

#[test]
fn a_line_is_set_and_connections_are_shown_and_reset_by_the_name_that_either_host_has_for_them() {
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = target.local_addr().expect("it is bound");
    let lab = Controlled::start(&to.to_string(), "delay=1ms");
    let set = lab.ask("POST", "/links", r#"{"line":"client>server:loss=1%"}"#);
    let lines = [0, 1].map(|at| set["links"][at]["line"].as_str().expect("a line").to_owned());
    assert_eq!(lines, ["delay=1ms,loss=1%", "delay=1ms"]);
    let open = || {
        let client = TcpStream::connect(&lab.listen).expect("it listens");
        patient(&client);
        let (server, _) = target.accept().expect("the proxy connects");
        patient(&server);
        (client, server)
    };
    let kept = open();
    let shown = || {
        let found = lab.ask("GET", "/connections", "")["connections"].as_array().expect("a list").clone();
        let of = |one: &Value, end: &str| one[end].as_str().expect("an address").to_owned();
        found.iter().map(|one| [of(one, "local"), of(one, "remote"), of(one, "state")]).collect::<Vec<_>>()
    };
    until("it is open", || shown().iter().any(|one| one[2] == "ESTABLISHED"));
    let first = shown();
    for swapped in [false, true] {
        let (client, server) = open();
        until("both are open", || shown().iter().filter(|one| one[2] == "ESTABLISHED").count() == 2);
        let new = shown().into_iter().find(|one| !first.contains(one)).expect("the second one");
        assert!(new[0].starts_with("10.78.0.1:") && new[1] == format!("10.78.1.1:{}", to.port()), "{new:?}");
        let [local, remote] = if swapped { [&new[1], &new[0]] } else { [&new[0], &new[1]] };
        let body = format!(r#"{{"local":"{local}","remote":"{remote}"}}"#);
        assert_eq!(lab.ask("POST", "/connections/reset", &body)["local"], **local);
        assert_eq!([read_all(&client).1, read_all(&server).1], [Ending::Reset; 2], "{body}");
        let again = lab.ask("POST", "/connections/reset", &body);
        assert!(again["error"].as_str().is_some_and(|text| text.starts_with("there is no connection")), "{again}");
        assert_eq!(shown(), first, "the other one goes on");
    }
    send_all(&kept.0, b"still there");
    assert_eq!(read_all(&kept.1), (b"still there".to_vec(), Ending::Eof));
    abort(kept.0);
    let said = lab.stop();
    assert!(said.contains("3 connections:"), "{said}");
}

#[test]
fn a_connection_is_reset_by_the_name_of_the_other_host_before_that_host_has_it() {
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = target.local_addr().expect("it is bound");
    // The SYN-ACK takes 300 ms. Meanwhile the other direction is taken down, so the ACK of the handshake is lost.
    let lab = Controlled::start(&to.to_string(), "server>client:delay=300ms");
    let client = TcpStream::connect(&lab.listen).expect("it listens");
    patient(&client);
    let (server, _) = target.accept().expect("the proxy connects");
    patient(&server);
    lab.ask("POST", "/links/down", r#"{"direction":"client>server"}"#);
    let shown = || lab.ask("GET", "/connections", "")["connections"][0].clone();
    until("the client's host has it", || shown()["state"] == "ESTABLISHED");
    let one = shown();
    let body = format!(r#"{{"local":{},"remote":{}}}"#, one["remote"], one["local"]);
    let reset = lab.ask("POST", "/connections/reset", &body);
    assert_eq!((&reset["local"], &reset["remote"]), (&one["remote"], &one["local"]), "{reset}");
    assert_eq!(read_all(&client).1, Ending::Reset);
    lab.ask("POST", "/links/up", "{}");
    assert_eq!(read_all(&server).1, Ending::Reset);
    let said = lab.stop();
    assert!(said.contains("1 connection: 0 closed, 1 reset"), "{said}");
}
