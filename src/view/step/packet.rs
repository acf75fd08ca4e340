//! A packet in detail: its fields, its options, its bytes. The text is escaped by `Screen`.

use core::fmt::Write as _;

use super::super::label::{flags, said};
use super::super::model::Model;
use super::super::text::seconds;
use crate::segment::{CaptureParser, IpView, Segment};
use crate::trace::{Content, SegmentStep, Step};

/// The lines of the packet on a row; what the row is, if it is no packet.
pub(super) fn lines(model: &Model, row: usize) -> Vec<String> {
    let Some(step) = model.step_of(row) else {
        return vec!["This step is no packet: a state changes.".to_owned()];
    };
    let (number, len) = match &step.content {
        Content::Segment(segment) => (segment.packet, segment.len),
        Content::Packet(packet) => (packet.packet, packet.len),
        _ => return vec!["This step is no packet: a host did something by itself.".to_owned()],
    };
    let at = seconds(model.since_origin(step.at), 9, 30).unwrap_or_default();
    let mut all = vec![format!("packet {number} at {at} s, {len} bytes")];
    all.extend(fate(model, step));
    let (words, comment) = match &step.content {
        Content::Segment(segment) => (said(segment, &model.trace), segment.comment.as_ref()),
        Content::Packet(packet) => (packet.words.clone(), packet.comment.as_ref()),
        _ => (String::new(), None),
    };
    if let Some(comment) = comment.filter(|comment| **comment != words) {
        all.extend(comment.lines().map(|line| format!("comment  {line}")));
    }
    all.push(words);
    let bytes = model.packets.of(number);
    let mut parser = CaptureParser::new();
    if let Some(bytes) = bytes {
        let captured = parser.parse(bytes, len);
        all.push(String::new());
        match &captured.ip {
            Ok(ip) => all.extend(ip_fields(ip)),
            Err(why) => all.push(format!("IP       {why}")),
        }
        match (&captured.segment, &step.content) {
            (Ok(tcp), Content::Segment(segment)) => all.extend(tcp_fields(tcp, segment)),
            (Ok(_) | Err(crate::segment::Malformed::NotTcp), _) => {}
            (Err(why), _) => all.push(format!("TCP      {why}")),
        }
    }
    all.push(String::new());
    match bytes {
        Some(bytes) => {
            all.push(match bytes.len() as u64 {
                kept if kept == u64::from(len) => format!("bytes    all {len}"),
                kept => format!("bytes    the first {kept} of {len}"),
            });
            all.extend(dump(bytes));
        }
        None => all.push("bytes    not kept".to_owned()),
    }
    all
}

/// When the packet arrives, or what becomes of it.
fn fate(model: &Model, step: &Step) -> Option<String> {
    let Content::Segment(segment) = &step.content else { return None };
    let arrival = segment.arrival.and_then(|at| seconds(model.since_origin(at), 9, 30));
    arrival.map(|at| format!("arrives at {at} s"))
}

fn ip_fields(ip: &IpView<'_>) -> Vec<String> {
    let version = if ip.src.is_ipv4() { 4 } else { 6 };
    let protocol = ip.protocol.number();
    let fragment = if ip.fragment { ", a fragment" } else { "" };
    let ecn = ["Not-ECT", "ECT(1)", "ECT(0)", "CE"][usize::from(ip.ecn & 3)];
    vec![
        format!("IP       version {version}, header {} bytes, protocol {protocol}{fragment}", ip.header.len()),
        format!("         {} → {}", ip.src, ip.dst),
        format!("         {} {}, ECN {ecn}", if version == 4 { "TTL" } else { "hop limit" }, ip.ttl),
    ]
}

fn tcp_fields(tcp: &Segment<'_>, segment: &SegmentStep) -> Vec<String> {
    let mut all = vec![
        format!("TCP      port {} → {}", tcp.src.port(), tcp.dst.port()),
        format!("         flags {}", flags(tcp.flags)),
        format!("         seq {} (in the header {})", segment.seq, tcp.seq.0),
    ];
    if let Some(ack) = segment.ack {
        all.push(format!("         ack {ack} (in the header {})", tcp.ack.0));
    }
    all.push(format!("         window {} (in the header {})", segment.window, tcp.window));
    all.push(format!("         {} bytes of data", segment.payload));
    let options = &tcp.options;
    let mut list = Vec::new();
    if let Some(mss) = options.mss {
        list.push(format!("MSS {mss}"));
    }
    if let Some(shift) = options.wscale {
        list.push(format!("window scale {shift} (times {})", 1_u32 << shift.min(14)));
    }
    if options.sack_permitted {
        list.push("SACK permitted".to_owned());
    }
    if let Some(ts) = options.ts {
        list.push(format!("timestamps TSval {} TSecr {}", ts.ts_val, ts.ts_ecr));
    }
    list.extend(segment.sacked.iter().map(|(left, right)| format!("SACK {left}:{right}")));
    if options.irregular || segment.options_cut {
        list.push("some options cannot be read".to_owned());
    }
    if list.is_empty() {
        list.push("none".to_owned());
    }
    for (n, option) in list.iter().enumerate() {
        all.push(format!("{:<9}{option}", if n == 0 { "options" } else { "" }));
    }
    all
}

/// Sixteen bytes on a line, in hexadecimal and as ASCII.
fn dump(bytes: &[u8]) -> impl Iterator<Item = String> {
    bytes.chunks(16).enumerate().map(|(n, chunk)| {
        let mut line = format!("{:04x}  ", n * 16);
        for byte in chunk {
            let _ = write!(line, "{byte:02x} ");
        }
        let text: String =
            chunk.iter().map(|byte| if matches!(byte, 0x20..=0x7e) { char::from(*byte) } else { '.' }).collect();
        format!("{line:<55}{text}")
    })
}
