//! The HTTP server over simulated links: what it serves, what it refuses, and whom it cuts off.
#![cfg(feature = "http")]

use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::lab::{Lab, lab, octets};
use tcplab::app::http::{HttpSettings, Source};
use tcplab::app::{Listen, Log, errno, http};
use tcplab::net::{Net, TcpStream};
use tcplab::socket::{Errno, descriptor_table};
use tcplab::time::Duration;

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

/// A directory to serve, with a secret beside it.
fn tree(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("apps-{name}"));
    let _ = fs::remove_dir_all(&root);
    let dir = root.join("www");
    fs::create_dir_all(dir.join("sub")).expect("made");
    for (path, content) in [
        ("secret", "the secret\n"),
        ("www/a.txt", "first\n"),
        ("www/b c.txt", "with a space\n"),
        ("www/sub/page.html", "<p>page</p>\n"),
    ] {
        fs::write(root.join(path), content).expect("written");
    }
    dir
}

fn serve_http(lab: &Lab, settings: HttpSettings) -> SocketAddr {
    let address = lab.at(http::PORT);
    lab.server.spawn_daemon(move |net| http::server(net, Listen::new(address), settings));
    address
}

/// One request on a connection of its own; the whole answer.
async fn ask(net: Net, address: SocketAddr, request: String) -> String {
    let stream = connect(&net, address).await;
    stream.write_all(request.as_bytes()).await.expect("sent");
    read_to_end(&stream).await
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n")
}

/// Status, and what is behind the empty line.
fn parts(answer: &str) -> (u16, &str) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body))
}

fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split_once("\r\n\r\n").map_or(answer, |(head, _)| head);
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

#[test]
fn http_serves_files_and_listings() {
    let lab = lab(1, LINK);
    let address = serve_http(&lab, HttpSettings::new(Source::Dir(tree("files"))));
    let get = |path: &str| {
        let request = request("GET", path);
        lab.run(move |net| ask(net, address, request))
    };
    for (path, status, body) in [
        ("/", 200, "a.txt\nb c.txt\nsub/\n"),
        ("/sub", 200, "page.html\n"),
        ("/a.txt", 200, "first\n"),
        ("/a.txt?query#x", 200, "first\n"),
        ("/b%20c.txt", 200, "with a space\n"),
        ("/sub/page.html", 200, "<p>page</p>\n"),
        ("/none.txt", 404, "404 Not Found\n"),
        ("/a.txt/none", 404, "404 Not Found\n"),
        ("/a.txt/", 404, "404 Not Found\n"),
        ("/a.txt/.", 404, "404 Not Found\n"),
        ("http://server/a.txt", 200, "first\n"),
        ("http://elsewhere:81/a.txt?q", 200, "first\n"),
        ("http://server", 200, "a.txt\nb c.txt\nsub/\n"),
    ] {
        let answer = get(path);
        assert_eq!(parts(&answer), (status, body), "{path}");
        assert_eq!(field(&answer, "date"), None, "a run gives the same bytes at any time");
        assert_eq!(field(&answer, "last-modified"), None);
        assert_eq!(field(&answer, "content-length"), Some(body.len().to_string().as_str()), "{path}");
    }
    assert_eq!(field(&get("/sub/page.html"), "content-type"), Some("text/html; charset=utf-8"));

    let head = lab.run(move |net| ask(net, address, request("HEAD", "/a.txt")));
    assert_eq!((parts(&head), field(&head, "content-length")), ((200, ""), Some("6")));
    let delete = lab.run(move |net| ask(net, address, request("DELETE", "/a.txt")));
    assert_eq!((parts(&delete).0, field(&delete, "allow")), (405, Some("GET, HEAD, POST, PUT")));
    let nonsense = lab.run(move |net| ask(net, address, "nonsense\r\n\r\n".to_owned()));
    assert_eq!(parts(&nonsense).0, 400);
}

#[test]
fn a_request_without_exactly_one_valid_host_is_refused() {
    let lab = lab(1, LINK);
    let address = serve_http(&lab, HttpSettings::new(Source::Dir(tree("host"))));
    let asked = |version: &str, hosts: &str| {
        let request = format!("GET /a.txt HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n");
        parts(&lab.run(move |net| ask(net, address, request))).0
    };
    for (version, hosts, status) in [
        ("1.1", "", 400),
        ("1.1", "Host: server\r\n", 200),
        ("1.1", "host: server:8080\r\n", 200),
        ("1.1", "Host: [fd69::1]:8080\r\n", 200),
        ("1.1", "Host:\r\n", 200),
        ("1.1", "Host: server\r\nHost: server\r\n", 400),
        ("1.1", "Host: server\r\nX: y\r\nhOST: other\r\n", 400),
        ("1.1", "Host: a b\r\n", 400),
        ("1.1", "Host: server/x\r\n", 400),
        ("1.1", "Host: user@server\r\n", 400),
        ("1.0", "", 200),
        ("1.0", "Host: server\r\n", 200),
        ("1.0", "Host: server\r\nHost: server\r\n", 400),
    ] {
        assert_eq!(asked(version, hosts), status, "HTTP/{version} {hosts:?}");
    }
    for method in ["HEAD", "POST", "DELETE"] {
        let answer = lab.run(move |net| ask(net, address, format!("{method} / HTTP/1.1\r\n\r\n")));
        assert_eq!((parts(&answer).0, field(&answer, "connection")), (400, Some("close")), "{method}");
    }
}

#[test]
fn a_target_that_is_no_path_is_refused() {
    let lab = lab(1, LINK);
    for source in [Source::Dir(tree("target")), Source::Size(10)] {
        let address = lab.at(if source == Source::Size(10) { 8081 } else { 8080 });
        lab.server.spawn_daemon(move |net| http::server(net, Listen::new(address), HttpSettings::new(source)));
        for (target, status) in [
            ("a.txt", 400),
            ("server:80", 400),
            ("*", 400),
            ("ftp://server/a.txt", 400),
            ("http://user@server/a.txt", 400),
            ("?q", 400),
            ("/a.txt", 200),
            ("HTTP://SERVER/a.txt", 200),
        ] {
            let answer = lab.run(move |net| ask(net, address, request("GET", target)));
            assert_eq!(parts(&answer).0, status, "{target}");
        }
        let long = format!("/{}", "x".repeat(100_000));
        let answer = lab.run(move |net| ask(net, address, request("GET", &long)));
        assert!(matches!(parts(&answer).0, 414 | 431), "{answer}");
        let answer = lab.run(move |net| ask(net, address, request("OPTIONS", "*")));
        assert_eq!((parts(&answer).0, field(&answer, "allow")), (405, Some("GET, HEAD, POST, PUT")));
    }
}

#[test]
fn head_ignores_a_range() {
    let lab = lab(1, LINK);
    let address = serve_http(&lab, HttpSettings::new(Source::Size(1000)));
    for range in ["bytes=0-9", "bytes=5000-", "bytes=-1"] {
        let request = format!("HEAD / HTTP/1.1\r\nHost: s\r\nRange: {range}\r\nConnection: close\r\n\r\n");
        let answer = lab.run(move |net| ask(net, address, request));
        assert_eq!((parts(&answer), field(&answer, "content-length")), ((200, ""), Some("1000")), "{range}");
        assert_eq!(field(&answer, "content-range"), None);
    }
}

#[cfg(unix)]
#[test]
fn a_listing_shows_names_with_control_characters_on_one_line_each() {
    let dir = tree("names");
    fs::write(dir.join("sub/two\nlines\u{1b}[31m"), "found\n").expect("written");
    let lab = lab(1, LINK);
    let address = serve_http(&lab, HttpSettings::new(Source::Dir(dir)));
    let listing = lab.run(move |net| ask(net, address, request("GET", "/sub/")));
    assert_eq!(parts(&listing).1, "page.html\ntwo%0Alines%1B[31m\n");
    let file = lab.run(move |net| ask(net, address, request("GET", "/sub/two%0Alines%1B[31m")));
    assert_eq!(parts(&file), (200, "found\n"));
}

#[test]
fn the_access_log_has_a_line_for_each_request() {
    let lab = lab(1, LINK);
    let lines = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&lines);
    let log = Some(Log::new(move |line| log.borrow_mut().push(line.to_owned())));
    let address = serve_http(&lab, HttpSettings { log, ..HttpSettings::new(Source::Dir(tree("log"))) });
    for (method, target) in [
        ("GET", "/a.txt"),
        ("HEAD", "/a.txt"),
        ("GET", "/none?q=%0A"),
        ("PUT", "/x"),
        ("BREW", "/"),
        ("GET", "/\u{9b}"),
    ] {
        lab.run(move |net| ask(net, address, request(method, target)));
    }
    lab.run(move |net| ask(net, address, "nonsense\r\n\r\n".to_owned()));
    lab.sim.run_until_idle();
    let lines = lines.borrow();
    // The port of the client differs from line to line.
    let said = |line: &String| {
        line.split_once(' ').map(|(client, rest)| (client.starts_with("192.168.69.2:"), rest.to_owned()))
    };
    let said: Vec<_> = lines.iter().filter_map(said).collect();
    let expected =
        ["GET /a.txt 200 6", "HEAD /a.txt 200 0", "GET /none?q=%0A 404 14", "PUT /x 200 17", "BREW / 405 23"];
    assert_eq!(said.iter().take(5).map(|(_, line)| line.as_str()).collect::<Vec<_>>(), expected);
    assert!(said.iter().all(|(ours, line)| *ours && line.bytes().all(|byte| matches!(byte, b' '..=b'~'))), "{said:?}");
    assert!(said.last().expect("a line").1.starts_with("malformed request 400 0"), "{said:?}");
}

#[test]
fn http_never_leaves_its_directory() {
    let dir = tree("traversal");
    #[cfg(unix)]
    for (target, link) in [("../secret", "leak"), ("..", "up"), ("a.txt", "inside"), ("/etc", "etc")] {
        std::os::unix::fs::symlink(target, dir.join(link)).expect("linked");
    }
    let lab = lab(1, LINK);
    let address = serve_http(&lab, HttpSettings::new(Source::Dir(dir)));
    let get = |path: &'static str| lab.run(move |net| ask(net, address, request("GET", path)));
    for path in [
        "/../secret",
        "/sub/../../secret",
        "/./../secret",
        "//../secret",
        "/%2e%2e/secret",
        "/%2E%2e/secret",
        "/.%2e/secret",
        "/..%2fsecret",
        "/%2e%2e%2fsecret",
        "/sub%2f..%2f..%2fsecret",
        "/..%5csecret",
        "/..\\secret",
        "/%2e%2e%5c%2e%2e%5csecret",
        "/%252e%252e/secret",
        "/%c0%ae%c0%ae/secret",
        "/a.txt%00",
        "/%00",
        "/secret%00.txt",
        "/leak",
        "/up/secret",
        "/up/www/../secret",
        "/etc/passwd",
        "http://server/../secret",
        "/%2fetc/passwd",
        "/a\0b",
    ] {
        let answer = get(path);
        assert!(matches!(parts(&answer).0, 400 | 403 | 404), "{path}: {answer}");
        assert!(!answer.contains("the secret") && !answer.contains("root:"), "{path}: {answer}");
    }
    #[cfg(unix)]
    assert_eq!(parts(&get("/inside")), (200, "first\n"), "a link that stays inside is a file like others");
    assert_eq!(parts(&get("/a.txt")), (200, "first\n"), "it still serves");
}

#[test]
fn http_serves_a_generated_file_and_its_ranges_over_a_bad_link() {
    let lab = lab(5, BAD_LINK);
    let address = serve_http(&lab, HttpSettings::new(Source::Size(1_000_000)));
    let get = |range: &'static str| {
        lab.run(async move |net| {
            let stream = connect(&net, address).await;
            let request = format!("GET /any HTTP/1.1\r\nHost: server\r\nConnection: close\r\n{range}\r\n");
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("an orderly end");
            let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
            (String::from_utf8(answer[..end].to_vec()).expect("text"), answer.split_off(end + 4))
        })
    };
    let whole: Vec<u8> = (0..1_000_000).map(|at| (at % 251) as u8).collect();
    let (head, body) = get("");
    assert_eq!((parts(&head).0, field(&head, "content-length")), (200, Some("1000000")));
    assert!(body == whole);
    let (head, body) = get("Range: bytes=500000-599999\r\n");
    assert_eq!((parts(&head).0, field(&head, "content-range")), (206, Some("bytes 500000-599999/1000000")));
    assert!(body == whole[500_000..600_000]);
    let (head, body) = get("Range: bytes=-1\r\n");
    assert_eq!((parts(&head).0, body), (206, whole[999_999..].to_vec()));
    assert_eq!(parts(&get("Range: bytes=1000000-\r\n").0).0, 416);
}

#[test]
fn http_keeps_a_connection_for_several_requests_and_counts_uploads() {
    let lab = lab(1, LINK);
    let address = serve_http(&lab, HttpSettings::new(Source::Dir(tree("keep-alive"))));
    lab.run(async move |net| {
        let stream = connect(&net, address).await;
        for turn in 0..3 {
            stream.write_all(b"GET /a.txt HTTP/1.1\r\nHost: server\r\n\r\n").await.expect("sent");
            let mut answer = Vec::new();
            while !answer.ends_with(b"first\n") {
                let mut buf = [0; 512];
                let count = stream.read(&mut buf).await.expect("no error");
                assert!(count > 0, "closed after {turn} requests");
                answer.extend_from_slice(&buf[..count]);
            }
            net.sleep(SECOND * 20).await; // below the time limit between requests
        }
        // Two at once, the second an upload; then the end of our direction, and both answers still come.
        let body = octets(100_000);
        let head = format!("PUT /x HTTP/1.1\r\nHost: server\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(b"GET /a.txt HTTP/1.1\r\nHost: server\r\n\r\n").await.expect("sent");
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(&body).await.expect("sent");
        stream.shutdown_write().expect("open");
        let answers = read_to_end(&stream).await;
        assert!(answers.contains("\r\n\r\nfirst\nHTTP/1.1 200 OK\r\n"), "{answers}");
        assert!(answers.ends_with("\r\n\r\n100000 bytes received\n"), "{answers}");
    });
    let chunked = "POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
        5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let answer = lab.run(move |net| ask(net, address, chunked.to_owned()));
    assert_eq!(parts(&answer), (200, "11 bytes received\n"));
}

#[test]
fn http_cuts_off_who_sends_nothing_who_reads_nothing_and_who_stops_in_an_upload() {
    let lab = lab(1, LINK);
    let settings = HttpSettings {
        header_timeout: SECOND * 5,
        stall_timeout: SECOND * 7,
        ..HttpSettings::new(Source::Size(10_000_000))
    };
    let address = serve_http(&lab, settings);
    let timed = |begin: &'static str| {
        lab.client.spawn(async move |net| {
            let stream = connect(&net, address).await;
            let start = net.now();
            stream.write_all(begin.as_bytes()).await.expect("sent");
            let answer = read_to_end(&stream).await;
            (net.now().since(start).as_secs(), parts(&answer).0)
        })
    };
    let mut silent = timed("");
    let mut half = timed("GET / HTTP/1.1\r\nHost: ser");
    let mut between = timed("HEAD / HTTP/1.1\r\nHost: server\r\n\r\n");
    let mut upload = timed("PUT / HTTP/1.1\r\nHost: server\r\nContent-Length: 100\r\n\r\nsome");
    let mut deaf = lab.client.spawn(async move |net| {
        let stream = connect(&net, address).await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: server\r\n\r\n").await.expect("sent");
        // The override timeout fills the window up to its edge; then nothing moves for seven seconds.
        net.sleep(SECOND * 16).await;
        let mut buf = vec![0; 65_536];
        let mut count = 0;
        loop {
            match stream.read(&mut buf).await {
                Ok(0) => return (count, None),
                Ok(more) => count += more,
                Err(error) => return (count, errno(&error)),
            }
        }
    });
    // Meanwhile others are served as ever.
    for _ in 0..17 {
        let (answer, took) = lab.timed(move |net| ask(net, address, request("HEAD", "/")));
        assert_eq!(parts(&answer).0, 200);
        assert!(took < SECOND, "{took:?}");
        lab.sim.run_for(SECOND);
    }
    lab.sim.run_until_idle();
    assert_eq!(silent.try_take(), Some((5, 0)), "closed without a word");
    assert_eq!(half.try_take().map(|(after, _)| after), Some(5));
    assert_eq!(between.try_take(), Some((5, 200)));
    assert_eq!(upload.try_take(), Some((7, 408)));
    let (count, error) = deaf.try_take().expect("ended");
    assert!(count < 1_000_000, "{count}: what the buffers hold");
    assert_eq!(error, Some(Errno::ECONNRESET));
    assert_eq!(lab.server.sys(|host| descriptor_table(host)), format!("3 LISTEN {address}\n"));
}
