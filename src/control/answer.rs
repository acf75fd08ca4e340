//! What the control interface answers: who may ask, the routes, and JSON. The body of each request and answer is an object.

use core::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use serde_json::{Value, json};

use super::request::Request;
use super::{Controlled, LinkState};
use crate::link::LinkLine;

/// The most connections in an answer.
const MOST_CONNECTIONS: usize = 1_000;

/// Whose requests are answered, by their header Host. A page of another site can make a browser send requests to this
/// machine, also under a name that leads here (DNS rebinding). Its Host is then that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// `localhost` and loopback addresses.
    Loopback,
    /// `localhost` and every address, but no other name.
    Addresses,
}

impl Hosts {
    fn allows(self, host: &str) -> bool {
        let name = host_of(host);
        let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match (self, ip) {
            (_, Err(_)) => name.eq_ignore_ascii_case("localhost"),
            (Self::Loopback, Ok(ip)) => ip.to_canonical().is_loopback(),
            (Self::Addresses, Ok(_)) => true,
        }
    }
}

/// The name or address in `HOST[:PORT]`.
fn host_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') && crate::link::digits::<u16>(port).is_some() => name,
        _ => host,
    }
}

/// An answer: its status and an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The status code of HTTP.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Response {
    fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    pub(super) fn error(status: u16, why: &str) -> Self {
        Self { status, body: json!({ "error": why }) }
    }

    /// As it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = format!("{}\n", self.body);
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            411 => "Length Required",
            413 => "Content Too Large",
            431 => "Request Header Fields Too Large",
            _ => "Error",
        };
        let allow = if self.status == 405 { "Allow: GET, POST\r\n" } else { "" };
        let (status, len) = (self.status, body.len());
        let head = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len}\r\nCache-Control: \
             no-store\r\n{allow}Connection: close\r\n\r\n"
        );
        (head + &body).into_bytes()
    }
}

/// The answer to the bytes of a request; `None` if more have to come. What it asks for is done.
pub fn answer(bytes: &[u8], hosts: Hosts, controlled: &mut dyn Controlled) -> Option<Response> {
    respond(bytes, hosts, Some(controlled))
}

/// As [`answer`]. Without something to act on, only whether the request is whole is told.
pub(super) fn respond(bytes: &[u8], hosts: Hosts, controlled: Option<&mut dyn Controlled>) -> Option<Response> {
    match Request::parse(bytes) {
        Ok(None) => None,
        Ok(Some(request)) => match controlled {
            Some(controlled) => Some(act(&request, hosts, controlled).unwrap_or_else(|refusal| refusal)),
            None => Some(Response::ok(Value::Null)),
        },
        Err(refusal) => Some(refusal),
    }
}

fn act(request: &Request<'_>, hosts: Hosts, controlled: &mut dyn Controlled) -> Result<Response, Response> {
    check_sender(request, hosts)?;
    let known = ["/", "/links", "/links/down", "/links/up", "/connections", "/connections/reset"];
    if !known.contains(&request.path) {
        let known = known[1..].join(", ");
        return Err(Response::error(404, &format!("there is no such path; there are {known}")));
    }
    match (request.method, request.path) {
        ("GET", "/") => Ok(Response::ok(json!({ "paths": known[1..] }))),
        ("GET", "/links") => Ok(links(controlled)),
        ("POST", "/links") => set_line(request.body, controlled),
        ("POST", "/links/down") => set_up(request.body, controlled, false),
        ("POST", "/links/up") => set_up(request.body, controlled, true),
        ("GET", "/connections") => Ok(connections(controlled)),
        ("POST", "/connections/reset") => reset(request.body, controlled),
        _ => Err(Response::error(405, "this path takes another method: GET shows, POST changes")),
    }
}

fn check_sender(request: &Request<'_>, hosts: Hosts) -> Result<(), Response> {
    let host = request.host.ok_or_else(|| Response::error(400, "the header Host is missing"))?;
    if !hosts.allows(host) {
        let why = "the header Host names another machine; ask with localhost or the address of the interface";
        return Err(Response::error(403, why));
    }
    let is_own = |origin: &str| origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host));
    if request.origin.is_some_and(|origin| !is_own(origin)) {
        return Err(Response::error(403, "the header Origin is that of a page of another site"));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetLine {
    line: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetUp {
    #[serde(default)]
    direction: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    local: SocketAddr,
    remote: SocketAddr,
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8], expected: &str) -> Result<T, Response> {
    serde_json::from_slice(body)
        .map_err(|error| Response::error(400, &format!("the body: {error}; expected {expected}")))
}

fn links(controlled: &mut dyn Controlled) -> Response {
    let links: Vec<_> = controlled.links().iter().map(link).collect();
    Response::ok(json!({ "links": links }))
}

fn link(state: &LinkState) -> Value {
    let LinkState { name, line, up, counters, queued: (packets, bytes) } = state;
    json!({
        "direction": name, "line": line, "up": up, "sent": counters.sent, "duplicated": counters.duplicated,
        "delivered": counters.delivered, "dropped": counters.dropped, "in_flight": counters.in_flight,
        "queue_packets": packets, "queue_bytes": bytes,
    })
}

/// The numbers of the directions that are meant; without a name, all.
fn directions(name: Option<&str>, controlled: &mut dyn Controlled) -> Result<Vec<usize>, Response> {
    let links = controlled.links();
    let Some(name) = name else { return Ok((0..links.len()).collect()) };
    let found: Vec<_> = (0..).zip(&links).filter(|(_, link)| link.name == name).map(|(at, _)| at).collect();
    if found.is_empty() {
        let known = links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Response::error(404, &format!("there is no direction `{name}`; there are {known}")));
    }
    Ok(found)
}

fn set_line(body: &[u8], controlled: &mut dyn Controlled) -> Result<Response, Response> {
    let SetLine { line } = read(body, r#"{"line":"[A>B:]ITEMS"}"#)?;
    let wrong = |why: &str| Response::error(400, why);
    let LinkLine { direction, items, .. } = LinkLine::parse_change(&line).map_err(|error| wrong(&error.to_string()))?;
    if items.unread().is_some() {
        return Err(wrong("a trace is read from its file at the start only: --link @TIME:rate=trace:FILE"));
    }
    let direction = direction.map(|(from, to)| format!("{from}>{to}"));
    for at in directions(direction.as_deref(), controlled)? {
        controlled.set_link(at, &items).map_err(|why| Response::error(409, &why))?;
    }
    Ok(links(controlled))
}

fn set_up(body: &[u8], controlled: &mut dyn Controlled, up: bool) -> Result<Response, Response> {
    let SetUp { direction } =
        if body.is_empty() { SetUp::default() } else { read(body, r#"{"direction":"A>B"}, or no body for all"#)? };
    for at in directions(direction.as_deref(), controlled)? {
        controlled.set_link_up(at, up);
    }
    Ok(links(controlled))
}

fn connections(controlled: &mut dyn Controlled) -> Response {
    let found = controlled.connections(MOST_CONNECTIONS);
    let rows: Vec<_> = found
        .iter()
        .map(|one| json!({ "local": one.local.to_string(), "remote": one.remote.to_string(), "state": one.state.to_string() }))
        .collect();
    Response::ok(json!({ "connections": rows }))
}

fn reset(body: &[u8], controlled: &mut dyn Controlled) -> Result<Response, Response> {
    let Reset { local, remote } = read(body, r#"{"local":"IP:PORT","remote":"IP:PORT"}"#)?;
    if !controlled.reset(local, remote) {
        return Err(Response::error(404, &format!("there is no connection {local} with {remote}")));
    }
    Ok(Response::ok(json!({ "local": local.to_string(), "remote": remote.to_string() })))
}
