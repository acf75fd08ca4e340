//! The control interface of `serve` on the live path: a link goes down and up during a transfer, a connection is reset, and
//! the sockets are opened and removed as docs/control.md says.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tcplab::capture::Reader;

use super::common::left_out;
use super::{place, tcplab, text};

/// True if this machine has sandboxes with a TUN device in them, and these programs.
fn possible(programs: &[&str]) -> bool {
    let found = |program: &&&str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file())
    };
    if let Some(program) = programs.iter().find(|program| !found(program)) {
        left_out(&format!("the control interface with {program}"), "make deps");
        return false;
    }
    let possible = tcplab(&["doctor"], Path::new(".")).status.code() == Some(0);
    if !possible {
        left_out("the control interface on a TUN device", "`tcplab doctor` says what to do");
    }
    possible
}

/// How many packets of a capture have this in their comment.
fn commented(file: &Path, word: &str) -> usize {
    let mut reader = Reader::open(file).expect("a capture");
    let mut count = 0;
    while let Some(record) = reader.next_record() {
        count += usize::from(record.expect("a whole record").comment.is_some_and(|comment| comment.contains(word)));
    }
    count
}

#[test]
fn a_link_goes_down_and_up_during_a_transfer_and_counters_and_capture_show_it() {
    if !possible(&["curl"]) {
        return;
    }
    let dir = place("down-and-up");
    let script = "curl -s -o got --max-time 30 http://192.168.69.1:8080/ & transfer=$!\n\
        ask() { curl -sS --unix-socket \"${TCPLAB_CONTROL#unix:}\" http://localhost/$1 $2 $3; }\n\
        sleep 0.3; ask links/down -d '{\"direction\":\"host>kernel\"}'\n\
        sleep 0.5; ask links/up -d '{}'\n\
        wait $transfer && ask links\n";
    let link = ["--link", "rate=20Mbit,delay=2ms,limit=5000", "--control", "unix:c.sock", "-w", "x.pcapng"];
    let serve = [&["serve", "http", "--size", "5000000"], &link[..], &["--", "sh", "-c", script]].concat();
    let output = tcplab(&serve, &dir);
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{said}");
    assert!(said.contains(&format!("control: unix:{}/c.sock\n", dir.display())), "{said}");
    assert_eq!(fs::metadata(dir.join("got")).expect("the file").len(), 5_000_000);
    let answers: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let [down, up, end] = &answers[..] else { panic!("{out}") };
    let of = |answer: &Value, at: usize, key: &str| answer["links"][at][key].clone();
    let number = |answer: &Value, at: usize, key: &str| of(answer, at, key).as_u64().expect("a number");
    assert_eq!([of(down, 0, "up"), of(down, 1, "up"), of(up, 0, "up")], [Value::from(false), true.into(), true.into()]);
    assert_eq!(of(end, 0, "direction"), "host>kernel");
    assert_eq!(of(end, 0, "line"), "rate=20Mbit,delay=2ms,limit=5000");
    assert_eq!(number(down, 0, "dropped"), 0, "nothing was lost before");
    let lost = number(up, 0, "dropped");
    assert!(lost > 0, "what enters a link that is down is lost");
    assert_eq!((number(end, 0, "dropped"), number(end, 1, "dropped")), (lost, 0), "and nothing else");
    assert!(number(end, 0, "delivered") > number(up, 0, "delivered") + 100, "the transfer went on");
    for at in [0, 1] {
        let [sent, duplicated, delivered, dropped, in_flight] =
            ["sent", "duplicated", "delivered", "dropped", "in_flight"].map(|key| number(end, at, key));
        assert_eq!(sent + duplicated, delivered + dropped + in_flight);
    }
    assert_eq!(commented(&dir.join("x.pcapng"), "[lost: link-down]"), lost as usize);
    assert!(!dir.join("c.sock").exists(), "the file of the socket is removed");
}

/// The client in docs/control.md.
fn documented_client() -> String {
    let page = include_str!("../../docs/control.md");
    let (_, rest) = page.split_once("```python\n").expect("a client");
    let client = rest.split("```").next().expect("its end").to_owned();
    assert!(client.lines().filter(|line| !line.is_empty()).count() <= 10, "ten lines");
    client
}

#[test]
fn the_documented_python_client_resets_a_connection_and_both_ends_see_it() {
    if !possible(&["python3"]) {
        return;
    }
    let dir = place("reset");
    let client = documented_client()
        + r#"
s = socket.create_connection(("192.168.69.1", 7))
s.sendall(b"x")
assert s.recv(1) == b"x"
control("/links", {"line": "kernel>host:delay=1ms"})
found = control("/connections")["connections"]
port = s.getsockname()[1]
ends = {"local": "192.168.69.1:7", "remote": "192.168.69.2:%d" % port}
assert found == [dict(ends, state="ESTABLISHED")], found
assert control("/connections/reset", ends) == ends
try:
    s.recv(1)
    print("not reset")
except ConnectionResetError:
    print("reset")
assert control("/connections/reset", ends)["error"].startswith("there is no connection")
assert control("/connections") == {"connections": []}
print(control("/links")["links"][1]["line"])
"#;
    fs::write(dir.join("client.py"), client).expect("written");
    let args = ["serve", "echo", "--control", "unix:c.sock", "-w", "x.pcapng", "-v", "--", "python3", "client.py"];
    let output = tcplab(&args, &dir);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), "reset\ndelay=1ms\n".to_owned()),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(commented(&dir.join("x.pcapng"), "RST"), 1, "one RST, to the kernel's end");
}

#[test]
fn a_tcp_address_is_reached_from_outside_of_the_sandbox_and_a_foreign_host_is_refused() {
    if !possible(&[]) {
        return;
    }
    let dir = place("outside");
    fs::write(dir.join("running"), "").expect("written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tcplab"))
        .args(["serve", "echo", "--link", "delay=5ms", "--control", "127.0.0.1:0", "--"])
        .args(["sh", "-c", "while [ -e running ]; do sleep 0.05; done; echo $TCPLAB_CONTROL"])
        .current_dir(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with("control: ") {
        line.clear();
        assert!(said.read_line(&mut line).expect("text") > 0, "it tells its port");
    }
    let address = line.trim_start_matches("control: ").trim().to_owned();
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        stream.write_all(request.as_bytes()).expect("it takes it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer
    };
    // More clients than are served at a time; they say nothing, and hold nobody up for long.
    let silent: Vec<_> = (0..4).map(|_| TcpStream::connect(&address).expect("it listens")).collect();
    let shown = ask(&format!("GET /links HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    assert!(shown.starts_with("HTTP/1.1 200 OK\r\n") && shown.contains("\"line\":\"delay=5ms\""), "{shown}");
    let refused = ask("GET /links HTTP/1.1\r\nHost: lab.example\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 403 ") && !refused.contains("delay"), "{refused}");
    let post = "POST /links HTTP/1.1\r\nHost: localhost\r\nOrigin: http://lab.example\r\nContent-Length: 19\r\n\r\n{\"line\":\"mtu=1400\"}";
    assert!(ask(post).starts_with("HTTP/1.1 403 "));
    assert!(ask("\r\n\r\n\0").starts_with("HTTP/1.1 400 "));
    let after = ask(&format!("GET /links HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    assert!(after.contains("\"line\":\"delay=5ms\"") && !after.contains("mtu"), "{after}");
    drop(silent);
    fs::remove_file(dir.join("running")).expect("it is there");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), format!("{address}\n")));
}

#[test]
fn an_address_that_cannot_be_is_refused_and_an_existing_file_is_kept() {
    let dir = place("refused");
    fs::write(dir.join("mine"), "kept").expect("written");
    for (address, expected) in [
        ("unix:mine", "--control unix:"),
        ("unix:missing/c.sock", "make the directory first"),
        ("0.0.0.0:0", "--control-anywhere"),
        ("localhost:1", "expected 127.0.0.1:PORT, [::1]:PORT or unix:PATH"),
    ] {
        let output = tcplab(&["serve", "echo", "--control", address, "--", "true"], &dir);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(expected), "{address}: {:?} {said}", output.status);
    }
    assert_eq!(fs::read_to_string(dir.join("mine")).expect("it is there"), "kept");
    assert_eq!(fs::read_dir(&dir).expect("a directory").count(), 1);
}
