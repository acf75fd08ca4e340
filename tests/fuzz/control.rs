//! The control interface gets changed and random requests. It answers or waits for more, and never panics. `fuzz` says what
//! else is asserted of each input.
#![cfg(feature = "control")]

use core::net::SocketAddr;

use tcplab::control::{Controlled, Hosts, LinkState, answer};
use tcplab::link::{Link, LinkItems, LinkSpec};
use tcplab::rng::Rng;
use tcplab::time::Instant;

use crate::fuzz::{cases, each_case};

struct Lab(Link);

impl Controlled for Lab {
    fn links(&mut self) -> Vec<LinkState> {
        let (name, line) = (self.0.name().to_owned(), self.0.spec().to_string());
        vec![LinkState { name, line, up: self.0.is_up(), counters: self.0.counters(), queued: (0, 0) }]
    }

    fn set_link(&mut self, _: usize, items: &LinkItems) -> Result<(), String> {
        self.0.set_items(items, Instant::EPOCH).map_err(|error| error.to_string())
    }

    fn set_link_up(&mut self, _: usize, up: bool) {
        self.0.set_up(up);
    }

    fn reset(&mut self, local: SocketAddr, _: SocketAddr) -> bool {
        local.port() == 80
    }
}

const HEADS: [&str; 6] = [
    "GET /links HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /connections HTTP/1.0\r\nHost: 127.0.0.1:80\r\nOrigin: http://127.0.0.1:80\r\n\r\n",
    "POST /links HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 34\r\n\r\n{\"line\":\"a>b:loss=gemodel:1%:10%\"}",
    "POST /links HTTP/1.1\r\nHost: localhost\r\nContent-Length: 47\r\n\r\n{\"line\":\"rate=1Mbit,drop=data:1-3,down=1s..2s\"}",
    "POST /links/down HTTP/1.1\r\nHost: localhost\r\nContent-Length: 19\r\n\r\n{\"direction\":\"a>b\"}",
    "POST /connections/reset HTTP/1.1\r\nHost: localhost\r\nContent-Length: 44\r\n\r\n{\"local\":\"[::1]:80\",\"remote\":\"127.0.0.1:9\"}\n",
];

/// A request with a few bytes changed, put in, taken out, or with a part of another behind it.
fn request(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = HEADS[rng.below(HEADS.len() as u64) as usize].as_bytes().to_vec();
    for _ in 0..rng.below(6) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        match rng.below(5) {
            0 if at < bytes.len() => bytes[at] = rng.next_u64() as u8,
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.insert(at, b"\r\n :,>@=%{}\"\\0/"[rng.below(15) as usize]),
            3 => bytes.truncate(at),
            _ => {
                let other = HEADS[rng.below(HEADS.len() as u64) as usize].as_bytes();
                bytes.splice(at..at, other[rng.below(other.len() as u64) as usize..].iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn no_request_makes_the_control_interface_panic() {
    let mut lab = Lab(Link::new(&LinkSpec::default(), 7, "a>b"));
    let (mut done, mut refused, mut partial) = (0, 0, 0);
    each_case(cases(20_000), |case| {
        let mut rng = Rng::new(case, "control");
        let bytes = request(&mut rng);
        match answer(&bytes, Hosts::Loopback, &mut lab) {
            Some(response) if response.status == 200 => done += 1,
            Some(response) => {
                refused += 1;
                assert!((400..500).contains(&response.status) && response.body["error"].is_string());
            }
            None => partial += 1,
        }
    });
    assert!(done > 100 && refused > 100 && partial > 100, "{done} {refused} {partial}");
}
