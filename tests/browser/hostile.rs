//! Text of a capture that would be a program in a page: it is shown as it stands, and nothing of it runs. The page asks for
//! nothing, and its Content-Security-Policy would not let it.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tcplab::segment::{Flags, SegmentTemplate, Seq};

use crate::driver::Lent;
use crate::pages::{capture, page, place};

/// Each would run if it were put into a page as it is.
const HOSTILE: [&str; 8] = [
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 2</script>",
    "<img src=x onerror=\"window.hacked = 3\">",
    "\"><svg onload='window.hacked = 4'>",
    "<!-- <script> --><iframe srcdoc=\"<script>parent.hacked = 5</script>\"></iframe>",
    "]]></style><style>*{display:none}</style>&lt;script&gt;",
    "${window.hacked = 6} `\\u003cscript>window.hacked = 7\\u003c/script>`",
    "javascript:window.hacked=8 <a href='javascript:window.hacked=9' autofocus onfocus='window.hacked=10'>\u{202e}\u{2028}",
];

/// A block of a pcapng file, with options: their codes and texts.
fn block(kind: u32, fixed: &[u8], options: &[(u16, &str)]) -> Vec<u8> {
    let padded = |bytes: &[u8]| [bytes, &[0; 3][..bytes.len().wrapping_neg() % 4]].concat();
    let mut body = padded(fixed);
    for (code, text) in options {
        body.extend(code.to_le_bytes());
        body.extend((text.len() as u16).to_le_bytes());
        body.extend(padded(text.as_bytes()));
    }
    body.extend([0; 4]);
    let len = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &len, &body, &len].concat()
}

/// A capture with hostile texts in comments of packets, interface and section, in names of programs and hosts, and in data.
fn hostile_capture() -> Vec<u8> {
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let [script, end, img, svg, ..] = HOSTILE;
    let mut file = block(0x0a0d_0d0a, &section, &[(1, script), (2, end), (3, img), (4, svg)]);
    let interface = [101_u16.to_le_bytes(), [0; 2], [0; 2], [0; 2]].concat();
    file.extend(block(1, &interface, &[(1, svg), (2, img), (3, script), (12, end)]));
    // A name of the left host.
    let name = [&[192, 0, 2, 1][..], img.as_bytes(), &[0]].concat();
    let mut record = [&1_u16.to_le_bytes()[..], &(name.len() as u16).to_le_bytes(), &name].concat();
    record.resize(record.len().next_multiple_of(4), 0);
    record.extend([0; 4]);
    file.extend(block(4, &record, &[]));
    let [left, right]: [SocketAddr; 2] =
        ["192.0.2.1:33000", "192.0.2.2:80"].map(|end| end.parse().expect("an address"));
    let syn = SegmentTemplate { flags: Flags::SYN, seq: Seq(99), window: 1000, ..SegmentTemplate::new(left, right) };
    let mut packets = vec![syn.to_bytes()];
    let mut seq = 100;
    for text in HOSTILE {
        let data = SegmentTemplate {
            flags: Flags::ACK | Flags::PSH,
            seq: Seq(seq),
            ack: Seq(1),
            window: 1000,
            payload: text.as_bytes(),
            ..SegmentTemplate::new(left, right)
        };
        packets.push(data.to_bytes());
        seq += text.len() as u32;
    }
    for (number, packet) in packets.iter().enumerate() {
        let len = (packet.len() as u32).to_le_bytes();
        let at = (number as u32 * 1000).to_le_bytes();
        let fixed = [&[0; 4][..], &[0; 4], &at, &len, &len, packet].concat();
        let comment = HOSTILE[number.saturating_sub(1)];
        let tagged = format!("{comment} [lost: {comment}] [cwnd={comment}]");
        file.extend(block(6, &fixed, &[(1, if number == 0 { comment } else { &tagged })]));
    }
    file
}

fn hostile_page(name: &str) -> PathBuf {
    let place = place(name);
    // The name of a file is text from outside as well.
    let capture = place.join("<img src=x onerror=window.hacked=11>.pcapng");
    fs::write(&capture, hostile_capture()).expect("the capture");
    page(&capture, &place)
}

#[test]
fn text_of_a_capture_is_shown_and_does_not_run() {
    let Some(browser) = Lent::new() else { return };
    let count = "['script', 'img', 'iframe', 'style', 'a', 'object', 'embed', 'base', 'form']
        .map((name) => document.getElementsByTagName(name).length)";
    browser.open_page(&page(&capture("data"), &place("harmless")), "p=1");
    let harmless = browser.eval(count);
    browser.open_page(&hostile_page("hostile"), "p=1");
    for (at, text) in HOSTILE.iter().enumerate() {
        let number = at + 2;
        browser.press("j");
        browser.until(&format!(r##"location.hash === "#p={number}""##));
        let panel = browser.text("document.querySelector('#packet').textContent");
        // Control characters may be escaped for the eye; the rest stands as it is.
        let plain = text.split(['\u{202e}', '\u{2028}']).next().expect("a part");
        assert!(panel.contains(plain), "packet {number} shows {plain:?}: {panel:?}");
    }
    browser.click("#scheme");
    browser.click("#zoom-in");
    for kind in ["window", "sequence"] {
        browser.choose("#plot-kind", kind);
    }
    assert_eq!(browser.eval("typeof window.hacked"), "undefined");
    assert_eq!(browser.eval(count), harmless, "no element is made of text");
    let handlers = "[...document.querySelectorAll('*')].flatMap((element) => [...element.attributes])
        .filter((attribute) => attribute.name.startsWith('on') || /^\\s*javascript:/i.test(attribute.value)).length";
    assert_eq!(browser.eval(handlers), 0);
    assert_eq!(browser.log(), Vec::<String>::new());
}

/// A server on this machine: its address, and the requests that it gets. It answers none of them.
fn server() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("an address");
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut head = [0; 400];
                if let Ok(len @ 1..) = stream.read(&mut head) {
                    let _ = sender.send(String::from_utf8_lossy(&head[..len]).into_owned());
                }
            });
        }
    });
    (at, requests)
}

#[test]
fn the_page_asks_for_nothing_and_may_not() {
    let Some(browser) = Lent::new() else { return };
    browser.open_page(&page(&capture("sack"), &place("requests")), "p=1");
    for key in ["j", "l", "r", "s", "+", "0", "\u{e010}"] {
        browser.press(key);
    }
    assert_eq!(browser.eval("performance.getEntriesByType('resource').map((entry) => entry.name)"), json!([]));
    assert_eq!(browser.log(), Vec::<String>::new());
    let policy = browser.text(r#"document.querySelector('meta[http-equiv="Content-Security-Policy"]').content"#);
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    // What a program in the page would try, if one could get there.
    let (at, requests) = server();
    let violations = browser.run_async(&format!(
        "const url = 'http://{at}/';
         const seen = new Set();
         document.addEventListener('securitypolicyviolation', (event) => seen.add(event.effectiveDirective));
         const add = (name, attributes) => document.body.append(Object.assign(document.createElement(name), attributes));
         add('img', {{ src: url }});
         add('iframe', {{ src: url }});
         add('link', {{ rel: 'stylesheet', href: url }});
         add('script', {{ src: url }});
         add('script', {{ textContent: 'window.hacked = 12' }});
         add('video', {{ src: url }});
         add('object', {{ data: url }});
         await fetch(url).then(() => seen.add('fetched'), () => 0);
         try {{ new WebSocket('ws://{at}/'); }} catch {{ }}
         const end = performance.now() + 5000;
         while (seen.size < 7 && performance.now() < end) await new Promise((next) => setTimeout(next, 5));
         return [...seen].sort();"
    ));
    let expected =
        ["connect-src", "frame-src", "img-src", "media-src", "object-src", "script-src-elem", "style-src-elem"];
    assert_eq!(violations, json!(expected));
    assert_eq!(browser.eval("typeof window.hacked"), "undefined");
    // Chromium may open a connection and send nothing. A request would come before that of a page that may ask.
    let control = place("control").join("control.html");
    fs::write(&control, format!("<!DOCTYPE html><title>control</title><img src=\"http://{at}/control\">"))
        .expect("a page");
    browser.open(&control, "");
    let first = requests.recv_timeout(Duration::from_secs(20)).expect("the request of the other page");
    assert_eq!(first.lines().next(), Some("GET /control HTTP/1.1"));
}
