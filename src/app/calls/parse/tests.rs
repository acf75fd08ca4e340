//! Programs and what is wrong with them, in tables.

use super::*;

fn hosts() -> BTreeMap<String, IpAddr> {
    let host = |name: &str, ip: &str| (name.to_owned(), ip.parse().expect("an address"));
    BTreeMap::from([host("client", "10.0.0.1"), host("server", "10.0.0.2"), host("six", "fd00::2")])
}

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Reads one call where a connection and a listener are there.
fn one(text: &str) -> Result<Call, String> {
    let program = ["listen 1", "connect server:1", text];
    parse(program, &hosts()).map(|calls| calls[2].clone()).map_err(|error| error.to_string())
}

#[test]
fn calls() {
    let table = [
        ("connect server:80", Call::Connect(addr("10.0.0.2:80"))),
        ("connect six:80", Call::Connect(addr("[fd00::2]:80"))),
        ("connect 10.0.0.9:80", Call::Connect(addr("10.0.0.9:80"))),
        ("connect [fd00::9]:65535", Call::Connect(addr("[fd00::9]:65535"))),
        ("listen 80", Call::Listen(addr("0.0.0.0:80"), 128)),
        ("listen 80 2", Call::Listen(addr("0.0.0.0:80"), 2)),
        ("listen [::]:80 0", Call::Listen(addr("[::]:80"), 0)),
        ("accept", Call::Accept),
        ("  accept\t# the next one", Call::Accept),
        ("send 3000", Call::SendPattern(3000)),
        ("send \"text\"", Call::Send(b"text".to_vec())),
        ("send \"\"", Call::Send(Vec::new())),
        ("send \"a # b\" # c", Call::Send(b"a # b".to_vec())),
        (r#"send "\"\\\r\n\t\0\x7f\xff""#, Call::Send(b"\"\\\r\n\t\0\x7f\xff".to_vec())),
        ("send \"ß\"", Call::Send("ß".into())),
        ("recv 10", Call::Recv(10)),
        ("recv eof", Call::RecvEof),
        ("sleep 1s", Call::Sleep(Duration::from_secs(1))),
        ("sleep 1.5s", Call::Sleep(Duration::from_millis(1500))),
        ("sleep 200ms", Call::Sleep(Duration::from_millis(200))),
        ("sleep 0.25us", Call::Sleep(Duration::from_nanos(250))),
        ("sleep 7ns", Call::Sleep(Duration::from_nanos(7))),
        ("sleep 2m", Call::Sleep(Duration::from_mins(2))),
        ("sleep 0.5m", Call::Sleep(Duration::from_secs(30))),
        ("sleep 0s", Call::Sleep(Duration::ZERO)),
        ("shutdown wr", Call::Shutdown(Shutdown::Write)),
        ("shutdown rd", Call::Shutdown(Shutdown::Read)),
        ("shutdown rdwr", Call::Shutdown(Shutdown::Both)),
        ("close", Call::Close),
        ("abort", Call::Abort),
    ];
    for (text, call) in table {
        assert_eq!(one(text), Ok(call.clone()), "{text}");
        // What is printed is read back as the same.
        assert_eq!(one(&call.to_string()), Ok(call), "{text}");
    }
}

#[test]
fn errors_name_the_line_the_word_and_what_was_expected() {
    let table = [
        ("conect server:80", format!("\"conect\": expected {CALLS}")),
        ("\"connect\"", format!("\"\"connect\"\": expected {CALLS}")),
        ("connect", format!("the line ends: expected {ADDRESS}")),
        ("connect server", format!("\"server\": expected {ADDRESS}")),
        ("connect server:http", "\"server:http\": expected a port from 1 to 65535 behind the colon".to_owned()),
        ("connect server:0", "\"server:0\": expected a port from 1 to 65535 behind the colon".to_owned()),
        ("connect 10.0.0.1:0", "\"10.0.0.1:0\": expected a port from 1 to 65535".to_owned()),
        ("connect srv:80", "\"srv:80\": expected an address or one of the hosts client, server, six".to_owned()),
        ("connect server:80 now", "\"now\": expected nothing more on this line".to_owned()),
        ("listen", format!("the line ends: expected {LISTEN}")),
        ("listen 65536", format!("\"65536\": expected {LISTEN}")),
        ("listen 80 many", "\"many\": expected a backlog (a number), or nothing".to_owned()),
        ("listen 80 1 1", "\"1\": expected nothing more on this line".to_owned()),
        ("send", "the line ends: expected a number of octets, or a text in quotation marks".to_owned()),
        ("send all", "\"all\": expected a number of octets, or a text in quotation marks".to_owned()),
        ("send -1", "\"-1\": expected a number of octets, or a text in quotation marks".to_owned()),
        ("send \"open", "\"\"open\": expected a closing quotation mark".to_owned()),
        (r#"send "\q""#, "\"\\q\": expected an escape: \\\" \\\\ \\n \\r \\t \\0 or \\xHH".to_owned()),
        ("recv ten", "\"ten\": expected a number of octets, or eof".to_owned()),
        ("recv 99999999999999999999", "\"99999999999999999999\": expected a number of octets, or eof".to_owned()),
        ("sleep 1", format!("\"1\": expected {DURATION}")),
        ("sleep s", format!("\"s\": expected {DURATION}")),
        ("sleep 1.s", format!("\"1.s\": expected {DURATION}")),
        ("sleep -1s", format!("\"-1s\": expected {DURATION}")),
        ("sleep 1.0000000001s", format!("\"1.0000000001s\": expected {DURATION}")),
        ("sleep 99999999999999999999s", format!("\"99999999999999999999s\": expected {DURATION}")),
        ("shutdown", "the line ends: expected wr, rd or rdwr".to_owned()),
        ("shutdown both", "\"both\": expected wr, rd or rdwr".to_owned()),
    ];
    for (text, error) in table {
        assert_eq!(one(text), Err(format!("line 3: {error}")), "{text}");
    }
}

#[test]
fn a_call_for_which_nothing_is_open_is_refused() {
    let table = [
        ("accept", "line 1: \"accept\": expected listen before it"),
        ("send 1", "line 1: \"send\": expected connect or accept before it: there is no connection"),
        ("close", "line 1: \"close\": expected connect or accept before it: there is no connection"),
        ("listen 80\n\nrecv 1", "line 3: \"recv\": expected connect or accept before it: there is no connection"),
        ("listen 80\nclose\naccept", "line 3: \"accept\": expected listen before it"),
        (
            "connect server:80\nabort\nclose",
            "line 3: \"close\": expected connect or accept before it: there is no connection",
        ),
    ];
    for (text, error) in table {
        assert_eq!(parse(text.lines(), &hosts()).map_err(|error| error.to_string()), Err(error.to_owned()), "{text}");
    }
}

#[test]
fn a_program_is_read_in_order_past_comments_and_empty_lines() {
    let text = "# the server\nlisten 80 1\n\naccept\nrecv eof  # all of it\nclose\nclose\n";
    let listen = Call::Listen(addr("0.0.0.0:80"), 1);
    assert_eq!(parse(text.lines(), &hosts()), Ok(vec![listen, Call::Accept, Call::RecvEof, Call::Close, Call::Close]));
}

#[test]
fn a_port_alone_listens_on_ipv6_where_there_is_nothing_else() {
    let hosts = BTreeMap::from([("six".to_owned(), "fd00::2".parse().expect("an address"))]);
    assert_eq!(parse(["listen 80"], &hosts), Ok(vec![Call::Listen(addr("[::]:80"), 128)]));
    assert_eq!(parse(["listen 80"], &BTreeMap::new()), Ok(vec![Call::Listen(addr("0.0.0.0:80"), 128)]));
}
