//! The texts of a ladder: what stands on an arrow, below it and beside it. `ladder` puts them into rows, `order` names what
//! arrives, and `json` takes the names of flags.

use core::fmt::Write as _;

use super::arrows::Manner;
use crate::annotate::Tag;
use crate::annotate::{self, reason};
use crate::conversation::Side;
use crate::conversation::{AckKind, DataKind, Kind};
use crate::event::HostId;
use crate::segment::{Flags, Options};
use crate::trace::{Content, Step, Vantage};
use crate::trace::{PacketStep, SegmentStep, Trace};

/// Sent before, as its sender knows it.
pub(super) fn is_again(segment: &SegmentStep) -> bool {
    match segment.seen.map(|seen| seen.data) {
        Some(DataKind::Retransmission { .. } | DataKind::Duplicate) => true,
        Some(DataKind::OutOfOrder) => segment.kinds.is_retransmission(),
        _ => false,
    }
}

/// What stands below the arrow: the words and what becomes of the segment.
pub(super) fn said(segment: &SegmentStep, trace: &Trace) -> String {
    let mut text = segment.words.clone();
    add_fate(&mut text, segment.tag, segment.behind, trace);
    if let Some(variables) = segment.variables.as_ref().filter(|_| segment.comment.is_some()) {
        let _ = write!(text, " [{variables}]");
    }
    text
}

/// The same of a packet that is no segment.
pub(super) fn packet_said(packet: &PacketStep, trace: &Trace) -> String {
    let mut text = packet.words.clone();
    add_fate(&mut text, packet.tag, packet.behind, trace);
    text
}

fn add_fate(text: &mut String, tag: Option<Tag>, behind: Option<(HostId, Tag)>, trace: &Trace) {
    if let Some(tag) = tag {
        let _ = write!(text, " [{tag}]");
    }
    if let Some((router, tag)) = behind {
        let _ = write!(text, " [behind {}: {tag}]", trace.host_name(router));
    }
}

/// `read(3) = 14`, `connect(3): EINPROGRESS`
pub(super) fn call_text(fd: u32, call: &str, result: Result<i64, &'static str>) -> String {
    let of = if call == "socket" { String::new() } else { fd.to_string() };
    match result {
        Ok(result) => format!("{call}({of}) = {result}"),
        Err(errno) => format!("{call}({of}): {errno}"),
    }
}

/// The text of what belongs to no side of a connection.
pub(super) fn without_ends(trace: &Trace, step: &Step) -> Option<String> {
    let host = || match step.vantage {
        Vantage::Host(host) => trace.host_name(host),
        Vantage::Capture => "here".to_owned(),
    };
    match &step.content {
        Content::Packet(packet) => {
            let ends = packet.ends.map_or(String::new(), |(src, dst)| format!("{src} → {dst}: "));
            let tag = packet.tag.or(packet.behind.map(|(_, tag)| tag));
            Some(format!("{ends}{}{}", packet.words, tag.map_or(String::new(), |tag| format!(" [{tag}]"))))
        }
        Content::Call { side: None, fd, call, result } => {
            Some(format!("{}: {}", host(), call_text(*fd, call, *result)))
        }
        Content::Refused { side: None, why, .. } => Some(format!("{}: packet not taken: {}", host(), reason(*why))),
        _ => None,
    }
}

/// What a side did by itself.
pub(super) fn beside_text(step: &Step) -> (Side, String) {
    match &step.content {
        Content::Timer { side, timer, ran } => (*side, annotate::timer(*timer, *ran)),
        Content::Recovery { side, from, to, undone } => (*side, annotate::recovery(*from, *to, *undone).to_owned()),
        Content::SynCookie { side, step } => (*side, annotate::syn_cookie(*step).to_owned()),
        Content::Call { side: Some(side), fd, call, result } => (*side, call_text(*fd, call, *result)),
        Content::Refused { side: Some(side), why, .. } => (*side, format!("not taken: {}", reason(*why))),
        _ => (Side::Local, String::new()),
    }
}

/// `PSH|ACK 1:15 ack 1 (14)`: flags, relative sequence numbers `start:end`, the acknowledgment, the window where it
/// is another one than before, options on a SYN, bytes of data, SACK blocks.
pub(super) fn describe(segment: &SegmentStep) -> String {
    let mut text = flags(segment.flags);
    let Some(seen) = &segment.seen else { return text };
    let (syn, rst) = (segment.flags.contains(Flags::SYN), segment.flags.contains(Flags::RST));
    let len = sequence_len(segment);
    if len > 0 {
        let _ = write!(text, " {}:{}", segment.seq, segment.seq.wrapping_add(len));
    } else if rst {
        let _ = write!(text, " {}", segment.seq);
    }
    if let Some(ack) = segment.ack {
        let _ = write!(text, " ack {ack}");
    }
    let tells = segment.window_changed || seen.ack == AckKind::WindowUpdate || segment.window == 0;
    if syn || (tells && !rst && seen.data != DataKind::Unacceptable) {
        let _ = write!(text, " win {}", segment.window);
    }
    if syn {
        write_options(&mut text, &segment.options, segment.options_cut);
    }
    if segment.payload > 0 {
        let _ = write!(text, " ({})", segment.payload);
    }
    write_sack(&mut text, segment);
    text
}

/// Beginnings of a description, the longest first, for arrows that are too short for all of it.
pub(super) fn beginnings(text: &str) -> Vec<String> {
    let before = |what: &str| text.find(what).map(|at| text[..at].to_owned());
    let flags = text.split(' ').next().map(str::to_owned);
    let parts = [before(" dsack "), before(" sack "), before(" <"), before(" ack "), flags];
    let mut all: Vec<_> = parts.into_iter().flatten().collect();
    all.sort_by_key(|text| core::cmp::Reverse(text.len()));
    all
}

/// What arrives: the bytes, or the number that is acknowledged.
pub(super) fn arrival(segment: &SegmentStep, copy: bool) -> String {
    let syn = segment.flags.contains(Flags::SYN);
    let control: Vec<_> = [(Flags::FIN, "FIN "), (Flags::RST, "RST ")]
        .into_iter()
        .filter_map(|(flag, word)| segment.flags.contains(flag).then_some(word))
        .collect();
    let (len, copy) = (sequence_len(segment), if copy { "copy of " } else { "" });
    let text = match segment.ack {
        _ if syn => flags(segment.flags),
        _ if len > 0 => format!("{}{}:{}", control.concat(), segment.seq, segment.seq.wrapping_add(len)),
        _ if !control.is_empty() => control.concat(),
        Some(ack) => format!("ACK {ack}"),
        None => flags(segment.flags),
    };
    format!("{copy}{}", text.trim_end())
}

/// How an arrow is drawn, by what becomes of the segment and by what it is.
pub(super) fn manner(segment: &SegmentStep, tag: Option<Tag>) -> Manner {
    let duplicate_ack = segment.payload == 0 && segment.kinds.contains(Kind::DuplicateAck);
    match tag {
        Some(tag) if tag.is_loss() => Manner::Lost,
        _ if is_again(segment) => Manner::Again,
        Some(Tag::Duplicated | Tag::Copy) => Manner::Duplicate,
        Some(Tag::Reordered | Tag::Overtakes) => Manner::Reordered,
        _ if duplicate_ack => Manner::Duplicate,
        _ if segment.kinds.contains(Kind::OutOfOrder) => Manner::Reordered,
        _ => Manner::Plain,
    }
}

/// SEG.LEN, with SYN and FIN.
fn sequence_len(segment: &SegmentStep) -> u32 {
    let control = [Flags::SYN, Flags::FIN].into_iter().filter(|flag| segment.flags.contains(*flag)).count();
    segment.payload as u32 + control as u32
}

/// ` dsack 1:1449 sack 2897:4345,5793:7241`. The first block may tell of a duplicate (RFC 2883, section 4).
fn write_sack(text: &mut String, segment: &SegmentStep) {
    let Some(((start, end), rest)) = segment.sacked.split_first() else { return };
    let below = segment.ack.is_some_and(|ack| *end <= ack);
    let within = rest.first().is_some_and(|(left, right)| left <= start && end <= right);
    let duplicate = below || within;
    let _ = write!(text, " {} {start}:{end}", if duplicate { "dsack" } else { "sack" });
    for (n, (start, end)) in rest.iter().enumerate() {
        let _ = write!(text, "{}{start}:{end}", if duplicate && n == 0 { " sack " } else { "," });
    }
}

/// ` <mss 1460,sackOK,TS>`. The values of timestamps say little: that they are there is enough.
fn write_options(text: &mut String, options: &Options, cut: bool) {
    let rest = Options { ts: None, ..*options }.to_string();
    let rest = rest.trim_start_matches(", <").trim_end_matches('>');
    let all = [rest, options.ts.map_or("", |_| "TS"), if cut { "…" } else { "" }];
    let all: Vec<_> = all.into_iter().filter(|text| !text.is_empty()).collect();
    if !all.is_empty() {
        let _ = write!(text, " <{}>", all.join(","));
    }
}

/// `SYN|ACK`
pub(crate) fn flags(flags: Flags) -> String {
    const WORDS: [(Flags, &str); 8] = [
        (Flags::SYN, "SYN"),
        (Flags::FIN, "FIN"),
        (Flags::RST, "RST"),
        (Flags::PSH, "PSH"),
        (Flags::URG, "URG"),
        (Flags::ACK, "ACK"),
        (Flags::ECE, "ECE"),
        (Flags::CWR, "CWR"),
    ];
    let words: Vec<_> = WORDS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, word)| *word).collect();
    if words.is_empty() { "no flags".to_owned() } else { words.join("|") }
}
