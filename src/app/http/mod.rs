//! An HTTP/1.1 server on hyper (RFC 9110, RFC 9112). It serves the files of a directory, or one generated file of a
//! given size under every path. It supports GET, HEAD and, for GET, one range of bytes. POST and PUT discard the upload;
//! the response contains the number of bytes.
//!
//! A request without exactly one valid Host field is refused (RFC 9112, section 3.2), and so is a target that is neither
//! a path nor an absolute URL. A directory with an index.html is redirected to its name with a slash.
//!
//! Responses have no Date and no Last-Modified field, so every run gives the same bytes. A client that sends no request
//! is closed after [`HttpSettings::header_timeout`], also between requests. A client that stops in an upload, or reads
//! nothing, is closed after [`HttpSettings::stall_timeout`].

mod access;
mod body;
mod client;
mod path;
mod patient;

pub use client::get;
pub use path::{Refusal, resolve};

use std::convert::Infallible;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};

use self::access::{Entry, Logged};
use self::body::{RequestedRange, ResponseBody};
use self::patient::Patient;
use super::{Listen, Log, serve_each};
use crate::net::{HyperTimer, Net, TcpStream};
use crate::time::Duration;

/// The usual port of an HTTP server without privileges.
pub const PORT: u16 = 8080;

/// The media type of unknown content (RFC 2046, section 4.5.1).
static BINARY: mime::Mime = mime::APPLICATION_OCTET_STREAM;

/// What is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The files of a directory and below.
    Dir(PathBuf),
    /// This number of bytes of the pattern of [`bulk`](super::bulk), under every path.
    Size(u64),
}

/// What is served and how long the server waits for a client.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// What is served.
    pub source: Source,
    /// For the first byte after the handshake, and for the header of a request, counted from that byte or from the end of
    /// the previous response.
    pub header_timeout: Duration,
    /// For the next byte of an upload, and for the client to read when the send buffer is full.
    pub stall_timeout: Duration,
    /// Gets a line for each request at the end of its response: client, method, target, status, bytes of the body that
    /// were sent. Control characters are escaped.
    pub log: Option<Log>,
}

impl HttpSettings {
    /// 30 seconds for each, and no log.
    pub fn new(source: Source) -> Self {
        let limit = Duration::from_secs(30);
        Self { source, header_timeout: limit, stall_timeout: limit, log: None }
    }
}

/// Serves without end, each connection in a task of its own.
pub async fn server(net: Net, listen: Listen, settings: HttpSettings) -> io::Result<()> {
    let settings = Rc::new(settings);
    let mut http = http1::Builder::new();
    // A client may send a FIN after its request and still read the response.
    http.half_close(true);
    http.timer(HyperTimer::new(&net)).header_read_timeout(settings.header_timeout).auto_date_header(false);
    serve_each(net, listen, "http", move |stream, peer| connection(http.clone(), stream, peer, Rc::clone(&settings)))
        .await
}

async fn connection(http: http1::Builder, stream: TcpStream, peer: SocketAddr, settings: Rc<HttpSettings>) {
    let net = stream.net().clone();
    // hyper has a buffer of 8 KiB from its first read on. A client that says nothing takes none.
    let Ok(Ok(())) = net.timeout(settings.header_timeout, stream.readable()).await else { return };
    let answer = service_fn(|request: Request<Incoming>| {
        let (net, settings) = (net.clone(), Rc::clone(&settings));
        async move {
            let entry = settings.log.clone().map(|log| Entry::new(log, peer, request.method(), request.uri()));
            let response = respond(&net, &settings, request).await;
            let status = response.status();
            Ok::<_, Infallible>(response.map(|body| Logged::new(body, entry.map(|entry| entry.with(status)))))
        }
    });
    let stream = Patient::new(stream, settings.stall_timeout);
    // An error ends this connection only.
    if let Err(error) = http.serve_connection(stream, answer).await
        && error.is_parse()
        && let Some(log) = &settings.log
    {
        log.line(&access::malformed(peer, &error));
    }
}

async fn respond(net: &Net, settings: &HttpSettings, request: Request<Incoming>) -> Response<ResponseBody> {
    if !has_one_host(&request) {
        return closing(message(StatusCode::BAD_REQUEST));
    }
    let plain = matches!(*request.method(), Method::GET | Method::HEAD | Method::POST | Method::PUT);
    if plain && !is_target(request.uri()) {
        return closing(message(StatusCode::BAD_REQUEST));
    }
    match *request.method() {
        Method::GET => download(&settings.source, &request),
        Method::HEAD => without_body(download(&settings.source, &request)),
        Method::POST | Method::PUT => upload(net, settings.stall_timeout, request.into_body()).await,
        _ => {
            let mut response = message(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT"));
            response
        }
    }
}

/// True if the request names its host as RFC 9112, section 3.2, demands: HTTP/1.1 with exactly one Host field, HTTP/1.0
/// with one at most. Its value is a host and perhaps a port, or empty.
fn has_one_host<B>(request: &Request<B>) -> bool {
    let mut fields = request.headers().get_all(header::HOST).iter();
    match (fields.next(), fields.next()) {
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
        (Some(host), None) => {
            let host = host.as_bytes();
            let parsed = || Authority::try_from(host).is_ok();
            host.is_empty() || !host.contains(&b'@') && parsed()
        }
    }
}

/// True for a path that begins with a slash, and for an absolute URL without a user name (RFC 9112, section 3.2).
fn is_target(uri: &Uri) -> bool {
    let is_url = match (uri.scheme_str(), uri.authority()) {
        (None, None) => true,
        (Some("http" | "https"), Some(authority)) => !authority.as_str().contains('@'),
        _ => false,
    };
    is_url && uri.path().starts_with('/')
}

/// The fields of an answer with its length, without the bytes.
fn without_body(response: Response<ResponseBody>) -> Response<ResponseBody> {
    let (mut parts, content) = response.into_parts();
    let len = hyper::body::Body::size_hint(&content).lower();
    parts.headers.insert(header::CONTENT_LENGTH, len.into());
    Response::from_parts(parts, ResponseBody::EMPTY)
}

async fn upload(net: &Net, limit: Duration, mut body: Incoming) -> Response<ResponseBody> {
    let mut count = 0_u64;
    loop {
        match net.timeout(limit, body.frame()).await {
            Ok(Some(Ok(frame))) => count += frame.data_ref().map_or(0, Bytes::len) as u64,
            Ok(None) => return text(StatusCode::OK, format!("{count} bytes received\n")),
            Ok(Some(Err(_))) => return closing(message(StatusCode::BAD_REQUEST)),
            Err(_) => return closing(message(StatusCode::REQUEST_TIMEOUT)),
        }
    }
}

fn download<B>(source: &Source, request: &Request<B>) -> Response<ResponseBody> {
    let field = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    // Only GET has ranges (RFC 9110, section 14.2). No answer carries a validator, so that no If-Range can match (RFC
    // 9110, section 13.1.5).
    let ranged = request.method() == Method::GET && field(header::IF_RANGE).is_none();
    let range = field(header::RANGE).filter(|_| ranged);
    match source {
        Source::Size(len) => part(*len, range, |range| Ok(ResponseBody::Pattern(range)), BINARY.as_ref()),
        Source::Dir(dir) => match file(dir, request.uri().path()) {
            Ok(Resource::File(file, len, kind)) => part(len, range, |range| ResponseBody::of_file(file, range), kind),
            Ok(Resource::Listing(listing)) => text(StatusCode::OK, listing),
            Ok(Resource::WithSlash) => with_slash(request.uri()),
            Err(Refusal::Malformed) => message(StatusCode::BAD_REQUEST),
            Err(Refusal::Forbidden) => message(StatusCode::FORBIDDEN),
            Err(Refusal::NotFound) => message(StatusCode::NOT_FOUND),
        },
    }
}

enum Resource {
    File(File, u64, &'static str),
    Listing(String),
    /// A directory whose index.html has relative links that need a slash behind its name.
    WithSlash,
}

/// Redirects to the same target with a slash at its end. A target that begins with two slashes would name a host.
fn with_slash(uri: &Uri) -> Response<ResponseBody> {
    let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
    let mut response = message(StatusCode::MOVED_PERMANENTLY);
    set(&mut response, header::LOCATION, &format!("/{}/{query}", uri.path().trim_matches('/')));
    response
}

fn file(dir: &Path, url_path: &str) -> Result<Resource, Refusal> {
    let refusal = |_: io::Error| Refusal::Forbidden;
    let mut path = resolve(dir, url_path)?;
    if path.is_dir() {
        match resolve(dir, &format!("{url_path}/index.html")) {
            Ok(_) if !url_path.ends_with('/') => return Ok(Resource::WithSlash),
            Ok(index) => path = index,
            Err(_) => return Ok(Resource::Listing(listing(&path).map_err(refusal)?)),
        }
    }
    // Opening a pipe would wait for a writer, so check the type first.
    let metadata = fs::metadata(&path).map_err(refusal)?;
    if !metadata.is_file() {
        return Err(Refusal::Forbidden);
    }
    let file = File::open(&path).map_err(refusal)?;
    Ok(Resource::File(file, metadata.len(), media_type(&path)))
}

/// The names in a directory, one per line, sorted; directories end with a slash. Control characters, characters that
/// cannot be seen, `%`, and bytes that are not UTF-8 are percent-encoded, so that each line is one name.
fn listing(dir: &Path) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let slash = if entry.path().is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}\n", path::listed(&entry.file_name())));
    }
    names.sort_unstable();
    Ok(names.concat())
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "html" | "htm" => "text/html; charset=utf-8",
        "txt" | "md" | "rs" | "toml" => "text/plain; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        _ => BINARY.as_ref(),
    }
}

fn part(
    len: u64,
    range: Option<&str>,
    content: impl FnOnce(std::ops::Range<u64>) -> io::Result<ResponseBody>,
    kind: &'static str,
) -> Response<ResponseBody> {
    let (status, data, place) = match range.map_or(RequestedRange::Whole, |field| RequestedRange::parse(field, len)) {
        RequestedRange::Whole => (StatusCode::OK, 0..len, None),
        RequestedRange::Range(range) => {
            let place = format!("bytes {}-{}/{len}", range.start, range.end - 1);
            (StatusCode::PARTIAL_CONTENT, range, Some(place))
        }
        RequestedRange::Unsatisfiable => {
            let mut response = message(StatusCode::RANGE_NOT_SATISFIABLE);
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{len}"));
            return response;
        }
    };
    let Ok(content) = content(data) else { return message(StatusCode::FORBIDDEN) };
    let mut response = Response::new(content);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(place) = place {
        set(&mut response, header::CONTENT_RANGE, &place);
    }
    response
}

fn set(response: &mut Response<ResponseBody>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn text(status: StatusCode, text: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Text(text.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn message(status: StatusCode) -> Response<ResponseBody> {
    text(status, format!("{status}\n"))
}

fn closing(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests;
