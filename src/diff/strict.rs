//! Packet by packet: all fields that are not removed before. The first packet that differs ends the comparison.

use super::contents::{Content, Contents, Item, Talk};
use super::read::name;
use super::{Finding, Pair, drawn};
use crate::recording::lines::SegmentLine;
use crate::segment::{Field, Protocol, Seq, diff};
use crate::time::Duration;

/// Compares two conversations. Gives the number of packets that are the same, and the first that is not.
pub(super) fn compare(
    a: (&Contents, &Talk),
    b: (&Contents, &Talk),
    tolerance: Option<Duration>,
) -> (u64, Option<Finding>) {
    let mut same = 0;
    for nth in 0..a.1.items.len().max(b.1.items.len()) {
        let (one, other) = (a.1.items.get(nth), b.1.items.get(nth));
        let (fields, marks) = match (one, other) {
            (Some(one), Some(other)) => {
                let mut found = differences((a.0, a.1, one), (b.0, other));
                let apart = one.at.abs_diff(other.at);
                if tolerance.is_some_and(|tolerance| apart > tolerance) {
                    found.0.push(Pair::new("time", seconds(one.at), seconds(other.at)));
                }
                found
            }
            _ => (vec![Pair::new("packets", a.1.items.len(), b.1.items.len())], Vec::new()),
        };
        if fields.is_empty() {
            same += 1;
            continue;
        }
        let mut lines = Vec::new();
        for (label, item, contents) in [("A", one, a.0), ("B", other, b.0)] {
            match item {
                Some(item) => {
                    let [line, marks] = drawn(label, item.at, &line(contents, item, a.1.protocol), &marks);
                    lines.push(line);
                    lines.extend(Some(marks).filter(|marks| !marks.is_empty()));
                }
                None => lines.push(format!("{:>14} no further packet   {label}", "")),
            }
        }
        let packets = [one.map(|item| item.number), other.map(|item| item.number)];
        return (same, Some(Finding { packets, fields, lines }));
    }
    (same, None)
}

fn seconds(at: Duration) -> String {
    format!("{}.{:09}", at.as_secs(), at.subsec_nanos())
}

/// The fields that differ, and what to mark in the lines.
fn differences((of_a, talk, a): (&Contents, &Talk, &Item), (of_b, b): (&Contents, &Item)) -> (Vec<Pair>, Vec<Field>) {
    if a.from != b.from {
        return (vec![Pair::new("from", name(a.from), name(b.from))], Vec::new());
    }
    let (mut fields, mut marks) = (Vec::new(), Vec::new());
    let mut note = |field: &str, a: String, b: String| {
        if a != b {
            fields.push(Pair { field: field.to_owned(), a, b });
        }
    };
    let bytes = |contents: &Contents, range: &core::ops::Range<usize>| contents.bytes[range.clone()].to_vec();
    match (&a.content, &b.content) {
        (Content::Segment(one), Content::Segment(other)) => {
            // What was not captured cannot be compared. The bytes that are missing are at the end.
            let lengths = [one, other].map(|kept| kept.payload.len());
            let len = if lengths[0] == lengths[1] {
                lengths[0] - a.missing.max(b.missing).min(lengths[0])
            } else {
                usize::MAX
            };
            let (mut left, mut right) =
                (one.segment(a, &of_a.bytes, talk.ends, len), other.segment(b, &of_b.bytes, talk.ends, len));
            if one.options_cut || other.options_cut {
                (left.options, right.options) = Default::default();
            }
            for difference in diff(&left, &right) {
                marks.push(difference.field);
                note(&difference.field.to_string(), difference.expected, difference.actual);
            }
            if lengths[0] == lengths[1] && left.payload != right.payload {
                payload_place(left.payload, right.payload, &mut note);
            }
            note("urgent", one.urgent.to_string(), other.urgent.to_string());
            note("reserved bits", one.reserved.to_string(), other.reserved.to_string());
            let areas = [(of_a, one), (of_b, other)].map(|(contents, kept)| bytes(contents, &kept.area));
            if left.options == right.options && !one.options_cut && !other.options_cut {
                note("option bytes", hex(&areas[0]), hex(&areas[1]));
            }
        }
        (Content::Datagram(one), Content::Datagram(other)) | (Content::Other(one), Content::Other(other)) => {
            note("length", one.len().to_string(), other.len().to_string());
            let len =
                if one.len() == other.len() { one.len() - a.missing.max(b.missing).min(one.len()) } else { usize::MAX };
            let [left, right] = [(of_a, one), (of_b, other)].map(|(contents, range)| {
                let bytes = &contents.bytes[range.clone()];
                &bytes[..bytes.len().min(len)]
            });
            if left != right {
                marks.push(Field::Payload);
                payload_place(left, right, &mut note);
            }
        }
        (
            Content::Error { kind, rest, about, seq, src },
            Content::Error { kind: other_kind, rest: other_rest, about: other_about, seq: other_seq, src: other_src },
        ) => {
            note("src", src.ip().to_string(), other_src.ip().to_string());
            note("ICMP type and code", format!("{} {}", kind.0, kind.1), format!("{} {}", other_kind.0, other_kind.1));
            note("ICMP header", hex(rest), hex(other_rest));
            note("quoted packet of", name(*about).to_owned(), name(*other_about).to_owned());
            let text = |seq: &Option<u32>| seq.map_or("unknown".to_owned(), |seq| seq.to_string());
            note("quoted seq", text(seq), text(other_seq));
        }
        (one, other) => note("packet", word(one, talk.protocol), word(other, talk.protocol)),
    }
    if !matches!((&a.content, &b.content), (Content::Segment(_), Content::Segment(_))) {
        note("ttl", a.ttl.to_string(), b.ttl.to_string());
        note("ecn", a.ecn.to_string(), b.ecn.to_string());
    }
    note("dscp", a.dscp.to_string(), b.dscp.to_string());
    note("don't fragment", a.df.to_string(), b.df.to_string());
    note("IP options", hex(&bytes(of_a, &a.ip_options)), hex(&bytes(of_b, &b.ip_options)));
    (fields, marks)
}

/// Where two payloads differ first.
fn payload_place(one: &[u8], other: &[u8], note: &mut impl FnMut(&str, String, String)) {
    let at = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let text = |bytes: &[u8]| match bytes.get(at..) {
        Some([]) | None => "ends".to_owned(),
        Some(rest) => format!("\"{}\"", rest[..rest.len().min(16)].escape_ascii()),
    };
    note(&format!("from byte {at}"), text(one), text(other));
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "none".to_owned();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn word(content: &Content, protocol: Protocol) -> String {
    match content {
        Content::Segment(_) => "TCP".to_owned(),
        Content::Datagram(_) => "UDP".to_owned(),
        Content::Error { .. } => "ICMP error".to_owned(),
        Content::Other(_) => match protocol {
            Protocol::Icmp | Protocol::Icmpv6 => "ICMP".to_owned(),
            other => format!("protocol {}", other.number()),
        },
    }
}

/// A packet as a line.
fn line(contents: &Contents, item: &Item, protocol: Protocol) -> SegmentLine {
    let nowhere = core::net::SocketAddr::from(([0, 0, 0, 0], 0));
    match &item.content {
        Content::Segment(kept) => {
            let segment = kept.segment(item, &contents.bytes, [nowhere; 2], usize::MAX);
            SegmentLine::of(&segment, [Seq(0); 2], item.from)
        }
        Content::Error { kind, about, seq, .. } => {
            let number = seq.map_or(String::new(), |seq| format!(" seq {seq}"));
            let text = format!("ICMP type {} code {}, about a packet of the {}{number}", kind.0, kind.1, name(*about));
            SegmentLine::of_words(item.from, vec![(None, text)])
        }
        other @ (Content::Datagram(range) | Content::Other(range)) => SegmentLine::of_words(
            item.from,
            vec![
                (None, word(other, protocol)),
                (Some(Field::Payload), format!("({})", range.len())),
                (None, "ttl".to_owned()),
                (Some(Field::Ttl), item.ttl.to_string()),
            ],
        ),
    }
}
