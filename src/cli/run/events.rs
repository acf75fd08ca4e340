//! `run --json`: an observer that prints each event as one JSON object on a line. docs/events.md describes every field.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::cli::output::json_line;
use crate::event::{Event, Fate, HostEvent, HostId, Observer, Phase, Reason};
use crate::scenario::RunOutcome;
use crate::segment::{IpView, Packet, Protocol, Segment};
use crate::time::{Duration, Instant};

/// Bytes of lines that are gathered before they are written.
const GATHER: usize = 64 * 1024;

/// Writes events as lines of JSON.
pub(in crate::cli) struct Events {
    names: BTreeMap<HostId, String>,
    to_stdout: bool,
    /// Writes each line at once.
    at_once: bool,
    text: Vec<u8>,
    error: Option<io::Error>,
}

impl Events {
    pub(in crate::cli) fn new(names: impl Iterator<Item = (HostId, String)>, to_stdout: bool, at_once: bool) -> Self {
        Self { names: names.collect(), to_stdout, at_once, text: Vec::new(), error: None }
    }

    /// Writes the results of the programs and the last line.
    pub(super) fn finish(&mut self, outcome: &RunOutcome) -> io::Result<()> {
        for report in &outcome.reports {
            let (sent, received, failure) = match &report.result {
                Some(Ok(done)) => (json!(done.sent), json!(done.received), Value::Null),
                Some(Err(why)) => (Value::Null, Value::Null, json!(why)),
                None => (Value::Null, Value::Null, Value::Null),
            };
            self.line(&json!({
                "at": outcome.end.to_string(), "event": "program", "name": report.name, "host": report.host,
                "daemon": report.daemon, "ended": report.ended.map(|at| at.to_string()),
                "sent": sent, "received": received, "failure": failure,
            }));
        }
        if let Some(table) = &outcome.table {
            let rows: Vec<_> = table.text.lines().collect();
            self.line(&json!({ "at": table.at.to_string(), "event": "descriptors", "host": table.host, "rows": rows }));
        }
        self.line(&json!({
            "at": outcome.end.to_string(), "event": "end", "completed": outcome.completed.map(|at| at.as_secs_f64()),
            "failures": outcome.failures,
        }));
        self.flush();
        self.error.take().map_or(Ok(()), Err)
    }

    /// Writes what is gathered. Only events are printed: there was no scenario.
    pub(in crate::cli) fn close(&mut self) -> io::Result<()> {
        self.flush();
        self.error.take().map_or(Ok(()), Err)
    }

    fn line(&mut self, value: &Value) {
        self.text.extend_from_slice(json_line(value).as_bytes());
        if self.at_once || self.text.len() > GATHER {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let written = if self.to_stdout {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&self.text).and_then(|()| stdout.flush())
        } else {
            io::stderr().lock().write_all(&self.text)
        };
        self.text.clear();
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }

    fn name(&self, host: HostId) -> Value {
        json!(self.names.get(&host))
    }
}

impl Observer for Events {
    fn wants_numbers(&self) -> bool {
        true
    }

    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        let mut line = Map::new();
        line.insert("at".to_owned(), json!(at.to_string()));
        let mut put = |key: &str, value: Value| line.insert(key.to_owned(), value);
        match *event {
            Event::Sent { host, link, packet, fate } | Event::Forwarded { host, link, packet, fate } => {
                let forwarded = matches!(event, Event::Forwarded { .. });
                put("event", json!(if forwarded { "forwarded" } else { "sent" }));
                put("host", self.name(host));
                put("link", json!(link.0));
                put("fate", json!(fate_name(fate)));
                put("arrives", json!(fate.arrival().map(|at| at.to_string())));
                line.extend(described(packet));
            }
            Event::Duplicated { link, packet } => {
                put("event", json!("duplicated"));
                put("link", json!(link.0));
                line.extend(described(packet));
            }
            Event::Delivered { host, link, packet } => {
                put("event", json!("delivered"));
                put("host", self.name(host));
                put("link", json!(link.0));
                line.extend(described(packet));
            }
            Event::LinkDropped { link, packet, why } => {
                put("event", json!("dropped"));
                put("link", json!(link.0));
                put("why", json!(why.name()));
                line.extend(described(packet));
            }
            Event::LinkQueue { link, packets, bytes, .. } => {
                put("event", json!("link-queue"));
                put("link", json!(link.0));
                put("packets", json!(packets));
                put("bytes", json!(bytes));
            }
            Event::LinkChanged { link, items } => {
                put("event", json!("link-changed"));
                put("link", json!(link.0));
                put("items", json!(items));
            }
            Event::StackDropped { host, packet, why } => {
                put("event", json!("refused"));
                put("host", self.name(host));
                put("why", json!(why.name()));
                line.extend(described(packet));
            }
            Event::Host { host, event } => {
                put("host", self.name(host));
                line.extend(inside(event));
            }
        }
        self.line(&Value::Object(line));
    }
}

fn fate_name(fate: Fate) -> String {
    match fate {
        Fate::Deliver(_) => "deliver".to_owned(),
        Fate::Reorder(_) => "reorder".to_owned(),
        Fate::Overtake(_) => "overtake".to_owned(),
        Fate::Duplicate(_) => "duplicate".to_owned(),
        Fate::Corrupt(_) => "corrupt".to_owned(),
        Fate::Drop(why) => format!("drop {}", why.name()),
    }
}

/// The fields of a packet.
fn described(packet: &Packet) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("packet", json!(packet.meta.id.0));
    put("len", json!(packet.bytes.len()));
    let Ok(ip) = IpView::parse(&packet.bytes) else { return fields };
    put("protocol", json!(protocol(ip.protocol)));
    let Ok(segment) = Segment::parse(&ip) else {
        put("src", json!(ip.src.to_string()));
        put("dst", json!(ip.dst.to_string()));
        put("payload", json!(ip.payload.len()));
        return fields;
    };
    put("src", json!(segment.src.to_string()));
    put("dst", json!(segment.dst.to_string()));
    put("flags", json!(segment.flags.to_string()));
    put("seq", json!(segment.seq.0));
    put("ack", if segment.is_ack() { json!(segment.ack.0) } else { Value::Null });
    put("window", json!(segment.window));
    put("payload", json!(segment.payload.len()));
    fields
}

fn protocol(protocol: Protocol) -> String {
    match protocol {
        Protocol::Tcp => "tcp".to_owned(),
        Protocol::Udp => "udp".to_owned(),
        Protocol::Icmp => "icmp".to_owned(),
        Protocol::Icmpv6 => "icmpv6".to_owned(),
        Protocol::Other(number) => number.to_string(),
    }
}

/// The fields of what happened inside a host.
fn inside(event: HostEvent) -> Map<String, Value> {
    let value = match event {
        HostEvent::Dropped { why } => json!({ "event": "refused", "why": why.name() }),
        HostEvent::Edited { rule } => json!({ "event": "edited", "rule": rule.name() }),
        HostEvent::State { local, remote, from, to, cause } => json!({
            "event": "state", "local": local.to_string(), "remote": remote.to_string(),
            "from": from.to_string(), "to": to.to_string(), "cause": cause.to_string(),
        }),
        HostEvent::Queue { local, syn_queue, accept_queue, backlog } => json!({
            "event": "queue", "local": local.to_string(), "syn_queue": syn_queue, "accept_queue": accept_queue,
            "backlog": backlog,
        }),
        HostEvent::SynCookie { local, remote, step } => json!({
            "event": "syn-cookie", "local": local.to_string(), "remote": remote.to_string(), "step": step.name(),
        }),
        HostEvent::Limited { reply } => json!({ "event": "limited", "reply": reply.name() }),
        HostEvent::Timer { local, remote, timer } => json!({
            "event": "timer", "local": local.to_string(), "remote": remote.to_string(), "timer": timer.name(),
        }),
        HostEvent::Numbers { local, remote, numbers } => {
            let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
            json!({
                "event": "numbers", "local": local.to_string(), "remote": remote.to_string(),
                "srtt_s": seconds(numbers.srtt), "rttvar_s": seconds(numbers.rttvar), "rto_s": seconds(numbers.rto),
                "cwnd": numbers.cwnd, "ssthresh": numbers.ssthresh, "flight_size": numbers.flight_size,
                "pipe": numbers.pipe, "phase": numbers.phase.map(Phase::name),
                "reason": numbers.reason.map(Reason::name),
            })
        }
        HostEvent::Recovery { local, remote, from, to, undone } => json!({
            "event": "recovery", "local": local.to_string(), "remote": remote.to_string(),
            "from": from.name(), "to": to.name(), "undone": undone,
        }),
        HostEvent::Call { fd, call, ends, result } => json!({
            "event": "call", "fd": fd, "call": call, "result": result.ok(), "errno": result.err(),
            "local": ends.map(|(local, _)| local.to_string()), "remote": ends.map(|(_, remote)| remote.to_string()),
        }),
    };
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
