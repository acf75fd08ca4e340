//! The access log of the HTTP server: a line for each request, written when its response has been sent or was cut off.
//! `tcplab serve http -v` prints it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fmt, io};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::{Method, StatusCode, Uri};

use super::body::ResponseBody;
use crate::app::Log;

/// A line of the log that is not complete yet.
pub(super) struct Entry {
    log: Log,
    begin: String,
    status: StatusCode,
}

impl Entry {
    pub(super) fn new(log: Log, client: SocketAddr, method: &Method, target: &Uri) -> Self {
        let client = canonical(client);
        let begin = format!("{client} {} {}", Escaped(method.as_str()), Escaped(&target.to_string()));
        Self { log, begin, status: StatusCode::OK }
    }

    pub(super) fn with(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

/// An IPv4 address as such, also of a socket of IPv6.
fn canonical(client: SocketAddr) -> SocketAddr {
    SocketAddr::new(client.ip().to_canonical(), client.port())
}

/// The line for a request that cannot be parsed.
pub(super) fn malformed(client: SocketAddr, why: &hyper::Error) -> String {
    format!("{} malformed request 400 0: {}", canonical(client), Escaped(&why.to_string()))
}

/// A body that counts its bytes. When it is dropped, the line is complete.
pub(super) struct Logged {
    body: ResponseBody,
    sent: u64,
    entry: Option<Entry>,
}

impl Logged {
    pub(super) fn new(body: ResponseBody, entry: Option<Entry>) -> Self {
        Self { body, sent: 0, entry }
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        if let Some(Entry { log, begin, status }) = &self.entry {
            log.line(&format!("{begin} {} {}", status.as_u16(), self.sent));
        }
    }
}

impl Body for Logged {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            this.sent += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A text from a client, of printable ASCII only.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            ' '..='~' => write!(f, "{c}"),
            _ => write!(f, "{}", c.escape_default()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_a_client_do_not_reach_the_log() {
        assert_eq!(Escaped("GET /a\u{1b}[31m\n\u{9b}\u{f6}").to_string(), "GET /a\\u{1b}[31m\\n\\u{9b}\\u{f6}");
    }
}
