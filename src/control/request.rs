//! The HTTP/1 request of a client (RFC 9112): method, path, the headers that matter, body. httparse reads the head; this
//! adds the bounds and the rules of bodies. Nothing here acts.

use super::answer::Response;

/// The most bytes of a head.
pub(super) const MOST_HEAD: usize = 8 << 10;
/// The most bytes of a body.
pub(super) const MOST_BODY: usize = 16 << 10;
/// The most bytes of a request.
pub(super) const MOST_BYTES: usize = MOST_HEAD + MOST_BODY;
/// The most headers.
const MOST_HEADERS: usize = 64;

/// A whole request.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) host: Option<&'a str>,
    pub(super) origin: Option<&'a str>,
    pub(super) body: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads a request; `None` if more bytes have to come.
    ///
    /// # Errors
    /// The response that refuses it.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Response> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let refused = |status, why: &str| Err(Response::error(status, why));
        let len = match head.parse(&bytes[..bytes.len().min(MOST_HEAD)]) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if bytes.len() >= MOST_HEAD => {
                return refused(431, &format!("the head of the request has more than {MOST_HEAD} bytes"));
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return refused(431, &format!("the request has more than {MOST_HEADERS} headers"));
            }
            Err(error) => return refused(400, &format!("this is not an HTTP/1 request: {error}")),
        };
        let (Some(method), Some(target)) = (head.method, head.path) else {
            return refused(400, "no method and no path");
        };
        let mut fields = Fields::default();
        for header in &*head.headers {
            let Ok(value) = core::str::from_utf8(header.value).map(str::trim) else {
                return refused(400, "a header is not text");
            };
            fields.take(header.name, value)?;
        }
        if fields.is_chunked {
            return refused(411, "the body needs a Content-Length; Transfer-Encoding is not taken");
        }
        let body = bytes.get(len..).unwrap_or_default();
        match fields.length {
            Some(length) if length > MOST_BODY => {
                refused(413, &format!("the body has {length} bytes; at most {MOST_BODY} are taken"))
            }
            length => {
                let Some(body) = body.get(..length.unwrap_or(0)) else { return Ok(None) };
                let path = target.split('?').next().unwrap_or(target);
                Ok(Some(Self { method, path, host: fields.host, origin: fields.origin, body }))
            }
        }
    }
}

#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a str>,
    origin: Option<&'a str>,
    length: Option<usize>,
    is_chunked: bool,
}

impl<'a> Fields<'a> {
    fn take(&mut self, name: &str, value: &'a str) -> Result<(), Response> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let twice = |was: bool| {
            if was {
                Err(Response::error(400, &format!("the header {} is there twice", name.to_ascii_lowercase())))
            } else {
                Ok(())
            }
        };
        if is("host") {
            twice(self.host.replace(value).is_some())?;
        } else if is("origin") {
            twice(self.origin.replace(value).is_some())?;
        } else if is("transfer-encoding") {
            self.is_chunked = true;
        } else if is("content-length") {
            let wrong = || Response::error(400, "Content-Length is not a number of bytes");
            let length = crate::link::digits(value).ok_or_else(wrong)?;
            twice(self.length.replace(length).is_some())?;
        }
        Ok(())
    }
}
