//! Programs and what is wrong with them, in tables.

use super::*;
use crate::socket::SocketOption;
use crate::time::Duration;

fn hosts() -> BTreeMap<String, IpAddr> {
    let host = |name: &str, ip: &str| (name.to_owned(), ip.parse().expect("an address"));
    BTreeMap::from([host("client", "10.0.0.1"), host("server", "10.0.0.2"), host("six", "fd00::2")])
}

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn fails(call: Call, errno: Errno) -> Call {
    Call::Fails(Box::new(call), errno)
}

/// Reads one call where a listener is there, and a connection is in hand; for `sendto` a UDP socket.
fn one(text: &str) -> Result<Call, String> {
    let hand = if text.starts_with("sendto") { "socket udp" } else { "connect server:1" };
    let program = ["listen 1", hand, text];
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
        ("sleep 2min", Call::Sleep(Duration::from_mins(2))),
        ("sleep 1h", Call::Sleep(Duration::from_hours(1))),
        ("send 1MB", Call::SendPattern(1_000_000)),
        ("send 64KiB by 1kb every 1ms", Call::SendPaced(65_536, Pace { by: 1000, every: Duration::from_millis(1) })),
        ("recv 1.5KiB", Call::Recv(1536)),
        ("sendto server:53 1KiB", Call::SendToPattern(addr("10.0.0.2:53"), 1024)),
        ("set sndbuf 1MiB", Call::Set(SocketOption::SndBuf(1 << 20))),
        ("sleep 0s", Call::Sleep(Duration::ZERO)),
        ("shutdown wr", Call::Shutdown(Shutdown::Write)),
        ("shutdown rd", Call::Shutdown(Shutdown::Read)),
        ("shutdown rdwr", Call::Shutdown(Shutdown::Both)),
        ("close", Call::Close),
        ("abort", Call::Abort),
        ("until 2.5s", Call::Until(Instant::from_millis(2500))),
        ("socket", Call::Socket(Domain::Inet, Type::Stream)),
        ("socket tcp6", Call::Socket(Domain::Inet6, Type::Stream)),
        ("socket udp", Call::Socket(Domain::Inet, Type::Datagram)),
        ("socket udp6 # v6", Call::Socket(Domain::Inet6, Type::Datagram)),
        ("bind 5000", Call::Bind(addr("0.0.0.0:5000"))),
        ("bind 10.0.0.1:5000", Call::Bind(addr("10.0.0.1:5000"))),
        ("use 4", Call::Use(Fd(4))),
        ("send 100 by 10 every 5ms", Call::SendPaced(100, Pace { by: 10, every: Duration::from_millis(5) })),
        ("recv 100 by 1 every 1s", Call::RecvPaced(100, Pace { by: 1, every: Duration::from_secs(1) })),
        ("sendto server:53 65507", Call::SendToPattern(addr("10.0.0.2:53"), 65_507)),
        ("sendto server:53 \"who?\"", Call::SendTo(addr("10.0.0.2:53"), b"who?".to_vec())),
        ("set reuseaddr off", Call::Set(SocketOption::ReuseAddr(false))),
        ("set nodelay on", Call::Set(SocketOption::NoDelay(true))),
        ("set cork on", Call::Set(SocketOption::Cork(true))),
        ("set cc bbr", Call::Set(SocketOption::Congestion("bbr".into()))),
        ("set quickack on", Call::Set(SocketOption::QuickAck(true))),
        ("set keepalive on", Call::Set(SocketOption::KeepAlive(true))),
        ("set v6only on", Call::Set(SocketOption::V6Only(true))),
        ("set rcvbuf 16777216", Call::Set(SocketOption::RcvBuf(16 << 20))),
        ("set sndbuf 1", Call::Set(SocketOption::SndBuf(1))),
        ("set maxseg 536", Call::Set(SocketOption::MaxSeg(536))),
        ("set keepcnt 3", Call::Set(SocketOption::KeepCnt(3))),
        ("set ttl 255", Call::Set(SocketOption::Ttl(255))),
        ("set keepidle 10s", Call::Set(SocketOption::KeepIdle(Duration::from_secs(10)))),
        ("set keepintvl 1s", Call::Set(SocketOption::KeepIntvl(Duration::from_secs(1)))),
        ("set usertimeout 5s", Call::Set(SocketOption::UserTimeout(Duration::from_secs(5)))),
        ("set rcvtimeo 1s", Call::Set(SocketOption::RcvTimeo(Some(Duration::from_secs(1))))),
        ("set sndtimeo 1s", Call::Set(SocketOption::SndTimeo(Some(Duration::from_secs(1))))),
        ("set linger 0s", Call::Set(SocketOption::Linger(Some(Duration::ZERO)))),
        ("connect server:81 -> ECONNREFUSED", fails(Call::Connect(addr("10.0.0.2:81")), Errno::ECONNREFUSED)),
        ("listen 80 -> EADDRINUSE", fails(Call::Listen(addr("0.0.0.0:80"), 128), Errno::EADDRINUSE)),
        ("recv eof -> ECONNRESET # RST", fails(Call::RecvEof, Errno::ECONNRESET)),
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
        ("send", "the line ends: expected a number of bytes such as 3000 or 64KiB, or a text in quotation marks".to_owned()),
        ("send all", "\"all\": expected a number of bytes such as 3000 or 64KiB, or a text in quotation marks".to_owned()),
        ("send -1", "\"-1\": expected a number of bytes such as 3000 or 64KiB, or a text in quotation marks".to_owned()),
        ("send \"open", "\"\"open\": expected a closing quotation mark".to_owned()),
        (r#"send "\q""#, "\"\\q\": expected an escape: \\\" \\\\ \\n \\r \\t \\0 or \\xHH".to_owned()),
        ("recv ten", "\"ten\": expected a number of bytes such as 3000 or 64KiB, or eof".to_owned()),
        ("recv 99999999999999999999", "\"99999999999999999999\": expected a number of bytes such as 3000 or 64KiB, or eof".to_owned()),
        ("sleep 1", format!("\"1\": expected {TIME_EXPECTED}")),
        ("sleep s", format!("\"s\": expected {TIME_EXPECTED}")),
        ("sleep 1.s", format!("\"1.s\": expected {TIME_EXPECTED}")),
        ("sleep -1s", format!("\"-1s\": expected {TIME_EXPECTED}")),
        ("sleep 99999999999999999999s", format!("\"99999999999999999999s\": expected {TIME_EXPECTED}")),
        ("shutdown", "the line ends: expected wr, rd or rdwr".to_owned()),
        ("until now", format!("\"now\": expected {TIME_EXPECTED}")),
        ("connect server:80 -> EWHAT", format!("\"EWHAT\": expected {ERRNO}")),
        ("connect server:80 -> EPIPE 1", "\"1\": expected nothing more on this line".to_owned()),
        ("close ->", format!("the line ends: expected {ERRNO}")),
        (
            "set",
            "the line ends: expected reuseaddr, nodelay, cork, cc, quickack, keepalive, v6only, rcvbuf, sndbuf, maxseg, \
            keepcnt, ttl, keepidle, keepintvl, usertimeout, rcvtimeo, sndtimeo or linger"
                .to_owned(),
        ),
        ("set nodelay 1", "\"1\": expected on or off".to_owned()),
        ("set rcvbuf 16777217", "\"16777217\": expected bytes up to 16777216, for example 65536 or 64KiB".to_owned()),
        ("use 2", "\"2\": expected the number of a descriptor, from 3 up".to_owned()),
        ("send 10 by 0 every 1s", "\"0\": expected a number of bytes from 1 up, such as 100".to_owned()),
        ("send 10 by 1", "the line ends: expected every TIME behind it, for example every 5ms".to_owned()),
        (
            "sendto server:1 65508",
            "\"65508\": expected a number of bytes up to 65507, or a text in quotation marks as long".to_owned(),
        ),
        ("socket raw", "\"raw\": expected nothing more on this line".to_owned()),
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
        (
            "set nodelay on",
            "line 1: \"set\": expected socket, connect, listen or accept before it: there is no descriptor",
        ),
        ("recvfrom", "line 1: \"recvfrom\": expected sendto or \"socket udp\" before it"),
        (
            "connect server:80 -> EPIPE\nsend 1",
            "line 2: \"send\": expected connect or accept before it: there is no connection",
        ),
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
fn a_call_that_the_socket_in_hand_cannot_take_is_refused() {
    use super::open::{NO_PEER, NOT_UDP, ONLY_TCP, TOO_LONG};
    let table = [
        ("socket udp\nlisten 80", format!("line 2: \"listen\": expected {ONLY_TCP}")),
        ("socket udp\nrecv 5", format!("line 2: \"recv\": expected {NO_PEER}")),
        ("socket udp\nsend 5", format!("line 2: \"send\": expected {NO_PEER}")),
        ("socket udp\nconnect server:53\nrecv eof", format!("line 3: \"recv\": expected {ONLY_TCP}")),
        ("socket udp\nconnect server:53\nabort", format!("line 3: \"abort\": expected {ONLY_TCP}")),
        ("socket udp\nconnect server:53\nsend 65508", format!("line 3: \"send\": expected {TOO_LONG}")),
        ("socket\nsendto server:53 1", format!("line 2: \"sendto\": expected {NOT_UDP}")),
        ("connect server:80\nsendto server:53 1", format!("line 2: \"sendto\": expected {NOT_UDP}")),
        ("listen 80\nrecvfrom", format!("line 2: \"recvfrom\": expected {NOT_UDP}")),
    ];
    for (text, error) in table {
        assert_eq!(parse(text.lines(), &hosts()).map_err(|error| error.to_string()), Err(error), "{text}");
    }
    // After `use` only the run knows what is in hand.
    assert!(parse(["connect server:80", "use 3", "recvfrom"], &hosts()).is_ok());
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
