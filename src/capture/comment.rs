//! The comment on a packet: what it is and why it was sent, in the words of the RFCs, as far as that can be told at the
//! vantage point. Sequence numbers are relative: the SYN is 0, the first byte of data is 1, `1:1449` ends before 1449.
//!
//! What a segment is comes from [`Conversation`](crate::conversation::Conversation) alone; here it is only put into
//! words. How long a retransmission has waited is counted as RFC 6298, section 5 runs the timer: from the last time
//! that something was sent with nothing outstanding, acknowledged with something outstanding, or retransmitted.

use core::fmt::Write;

use super::Comments;
use super::flows::{Ends, Flow, FlowTable};
use super::other;
use crate::conversation::{AckKind, DataKind, Seen, Side};
use crate::event::{ChannelState, DropReason, Fate, Flip, TimerKind};
use crate::segment::{IpView, Options, Segment};
use crate::time::{Duration, Instant};

/// A packet, and what is known of it beside its bytes.
pub(super) struct Subject<'a> {
    pub(super) at: Instant,
    pub(super) from: Side,
    /// The whole packet: bytes that were not kept are zero.
    pub(super) bytes: &'a [u8],
    /// It was on a wire and nothing of it is missing: checksums can be verified.
    pub(super) verify: bool,
    pub(super) fate: Option<Fate>,
}

/// Writes the comment on a packet, and has its flow go on. If the packet is a segment that its connection has seen, says
/// what the segment is, and gives the flow.
pub(super) fn write<'a>(
    out: &mut String,
    comments: Comments,
    flows: &'a mut FlowTable,
    subject: &Subject<'_>,
) -> Option<(Seen, &'a Flow)> {
    let from = subject.from;
    let mut told = None;
    match IpView::parse(subject.bytes) {
        Err(malformed) => put(out, format_args!("no packet: {malformed}")),
        // A packet that was changed on the way is dropped by whom it reaches: the connection has not seen it.
        Ok(ip) if subject.verify && !ip.checksums_ok() => out.push_str("wrong checksum: changed on the way"),
        Ok(ip) => match Segment::parse(&ip) {
            Ok(segment) => {
                let (local, remote) = match from {
                    Side::Local => (segment.src, segment.dst),
                    Side::Remote => (segment.dst, segment.src),
                };
                let flow = flows.flow(Ends { local, remote });
                let seen = write_segment(out, flow, subject.at, from, &segment);
                if comments == Comments::Full {
                    write_variables(out, flow, from);
                }
                told = Some((seen, &*flow));
            }
            Err(why) => other::write(out, &ip, why),
        },
    }
    if let Some(fate) = subject.fate {
        write_fate(out, fate);
    }
    told
}

/// What has to be known of a flow from before the segment.
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own.
struct Before {
    peer_syn_open: bool,
    peer_fin_open: bool,
    idle: bool,
    own_known: bool,
    peer_known: bool,
    over: bool,
    /// Duplicate ACKs that the sender of the segment has received.
    dup_acks: u32,
    own_window: u32,
}

fn write_segment(out: &mut String, flow: &mut Flow, now: Instant, from: Side, segment: &Segment<'_>) -> Seen {
    let (own, peer) = (flow.conversation.sender(from), flow.conversation.sender(from.other()));
    let before = Before {
        peer_syn_open: peer.iss.is_some_and(|iss| peer.snd_una == iss),
        peer_fin_open: peer.fin.is_some() && !peer.is_fin_acked(),
        idle: own.flight_size() == 0,
        own_known: own.is_started(),
        peer_known: peer.is_started(),
        over: flow.conversation.is_over(),
        dup_acks: own.dup_acks,
        own_window: own.rcv_wnd,
    };
    let seen = flow.observe(now, from, segment);
    if segment.is_rst() {
        write_rst(out, &before, &seen);
    } else if segment.is_syn() {
        write_syn(out, flow, now, from, segment, &before, &seen);
    } else {
        write_data(out, flow, now, from, segment, &before, &seen);
        let window = flow.conversation.sender(from).rcv_wnd;
        if window == 0 && before.own_window != 0 && before.own_known && seen.data != DataKind::Unacceptable {
            out.push_str(", the window closes");
        }
    }
    run_timers(flow, now, from, &before, &seen);
    seen
}

fn write_rst(out: &mut String, before: &Before, seen: &Seen) {
    out.push_str(match seen.data {
        _ if !before.own_known && before.peer_syn_open => "RST: refuses the connection, nobody listens there",
        _ if before.over => "RST: the connection is over already",
        _ if !before.peer_known => "RST: of a connection that was not seen here",
        DataKind::Unacceptable => "RST: outside the window, nobody need believe it",
        _ => "RST: aborts the connection",
    });
}

fn write_syn(
    out: &mut String,
    flow: &Flow,
    now: Instant,
    from: Side,
    segment: &Segment<'_>,
    before: &Before,
    seen: &Seen,
) {
    let answers = segment.is_ack() && seen.newly_acked() > 0;
    let name = if segment.is_ack() { "SYN|ACK" } else { "SYN" };
    let why = match seen.data {
        DataKind::Unacceptable => {
            out.push_str("SYN in the midst of a connection: not taken, it is challenged (RFC 5961)");
            return;
        }
        DataKind::Retransmission { nth } if !answers => {
            put(out, format_args!("{name}, retransmission {nth}"));
            return write_waited(out, flow, now, from);
        }
        DataKind::Duplicate if !answers => {
            return put(out, format_args!("{name} again, though it is acknowledged"));
        }
        DataKind::Retransmission { .. } | DataKind::Duplicate => "SYN|ACK: answers the SYN that crossed its own",
        _ if segment.is_ack() => "SYN|ACK: accepts the connection",
        _ if seen.restarted => "SYN: opens another connection on the same ports",
        _ if before.peer_syn_open && !before.own_known => "SYN: opens the connection too, at the same time",
        _ => "SYN: opens the connection",
    };
    out.push_str(why);
    write_offer(out, &segment.options);
    if !segment.payload.is_empty() {
        put(out, format_args!(", carries {} bytes of data", segment.payload.len()));
    }
}

fn write_offer(out: &mut String, options: &Options) {
    let mut separator = ", offers ";
    let mut item = |text: core::fmt::Arguments<'_>| {
        put(out, format_args!("{separator}{text}"));
        separator = ", ";
    };
    if let Some(mss) = options.mss {
        item(format_args!("MSS {mss}"));
    }
    if let Some(shift) = options.wscale {
        item(format_args!("window scale {shift}"));
    }
    if options.sack_permitted {
        item(format_args!("SACK"));
    }
    if options.ts.is_some() {
        item(format_args!("timestamps"));
    }
    if separator != ", " {
        out.push_str(", no options");
    }
}

fn write_data(
    out: &mut String,
    flow: &Flow,
    now: Instant,
    from: Side,
    segment: &Segment<'_>,
    before: &Before,
    seen: &Seen,
) {
    let start = flow.relative(from, seen.start);
    let end = start.wrapping_add(segment.payload.len() as u32);
    let content = Content { start, end, fin: segment.is_fin() };
    match seen.data {
        DataKind::None => return write_ack(out, flow, from, segment, before, seen),
        DataKind::New => {
            content.write(out, "data ");
            if seen.repeated_bytes() > 0 {
                put(out, format_args!(", the first {} bytes again", seen.repeated_bytes()));
            }
        }
        DataKind::Gap => {
            content.write(out, "data ");
            out.push_str(", beyond a gap: what comes before it was not seen here");
        }
        DataKind::OutOfOrder => {
            content.write(out, "data ");
            out.push_str(", out of order: it fills a gap");
        }
        DataKind::Retransmission { nth } => {
            match nth {
                0 | 1 => out.push_str("retransmission of "),
                _ => put(out, format_args!("retransmission {nth} of ")),
            }
            content.write(out, "");
            if before.dup_acks >= 3 && nth <= 1 {
                put(out, format_args!(" after {} duplicate ACKs", before.dup_acks));
            } else if nth > 0 {
                write_waited(out, flow, now, from);
            }
        }
        DataKind::Duplicate => {
            out.push_str("needless retransmission of ");
            content.write(out, "");
            out.push_str(": all of it is acknowledged");
        }
        DataKind::Probe if end == start => out.push_str("zero-window probe"),
        DataKind::Probe => put(out, format_args!("zero-window probe with byte {start}")),
        DataKind::KeepAlive => out.push_str("keep-alive: is anybody there?"),
        DataKind::Unacceptable => {
            content.write(out, "data ");
            out.push_str(": outside every window that can be open, not taken");
        }
    }
    if seen.newly_acked() > 0 {
        out.push_str(", ");
        write_advance(out, flow, from, segment, before);
    }
}

/// The data of a segment and its FIN.
struct Content {
    start: u32,
    end: u32,
    fin: bool,
}

impl Content {
    fn write(&self, out: &mut String, data: &str) {
        let Self { start, end, fin } = *self;
        match (start == end, fin) {
            (false, false) => put(out, format_args!("{data}{start}:{end}")),
            (false, true) => put(out, format_args!("{data}{start}:{end} and FIN")),
            (true, true) => out.push_str("FIN"),
            (true, false) => out.push_str("segment without data"),
        }
    }
}

/// A segment that only acknowledges.
fn write_ack(out: &mut String, flow: &Flow, from: Side, segment: &Segment<'_>, before: &Before, seen: &Seen) {
    let up_to = flow.relative(from.other(), segment.ack);
    let window = flow.conversation.sender(from).rcv_wnd;
    match seen.ack {
        AckKind::None => out.push_str("segment without data and without an ACK"),
        AckKind::Advance { .. } => {
            out.push_str("ACK: ");
            write_advance(out, flow, from, segment, before);
        }
        AckKind::Duplicate(nth) => {
            put(out, format_args!("duplicate ACK {nth}: still waits for {up_to}"));
            let mut separator = ", has ";
            for block in segment.options.sack_blocks() {
                let left = flow.relative(from.other(), block.left);
                put(out, format_args!("{separator}{left}:{}", left.wrapping_add(block.right - block.left)));
                separator = " and ";
            }
        }
        AckKind::WindowUpdate if window == 0 => put(out, format_args!("ACK up to {up_to}")),
        AckKind::WindowUpdate => put(out, format_args!("window update: {window} bytes from {up_to} on")),
        AckKind::Old => put(out, format_args!("old ACK up to {up_to}: overtaken by a later one")),
        AckKind::BeyondSent => put(out, format_args!("ACK up to {up_to}: more than was seen here")),
        AckKind::Plain => put(out, format_args!("ACK up to {up_to} again")),
    }
}

/// What an acknowledgment that moves forward means.
fn write_advance(out: &mut String, flow: &Flow, from: Side, segment: &Segment<'_>, before: &Before) {
    let peer = flow.conversation.sender(from.other());
    if before.peer_syn_open && flow.conversation.handshake_seen() {
        out.push_str("completes the handshake");
    } else if before.peer_fin_open && peer.is_fin_acked() {
        out.push_str("the FIN has arrived");
    } else {
        put(out, format_args!("has everything up to {}", flow.relative(from.other(), segment.ack)));
    }
}

/// How long a retransmission has waited. That it was the timer is known where the timer was seen to go off.
fn write_waited(out: &mut String, flow: &Flow, now: Instant, from: Side) {
    let by_timer = from == Side::Local
        && matches!(flow.timer, Some((at, TimerKind::Retransmission | TimerKind::SynAck)) if at == now);
    out.push_str(if by_timer { " after RTO " } else { " after " });
    write_duration(out, flow.waited(from, now));
}

fn run_timers(flow: &mut Flow, now: Instant, from: Side, before: &Before, seen: &Seen) {
    let sends = matches!(seen.data, DataKind::New | DataKind::Gap) && (before.idle || seen.restarted);
    if sends || matches!(seen.data, DataKind::Retransmission { nth: 1.. } | DataKind::Duplicate) {
        flow.start_timer(from, now);
    }
    if seen.newly_acked() > 0 {
        flow.start_timer(from.other(), now);
    }
}

/// The variables of the side that sent the packet, for those who want to see everything.
fn write_variables(out: &mut String, flow: &Flow, from: Side) {
    let own = flow.conversation.sender(from);
    if own.is_started() {
        let (una, nxt) = (flow.relative(from, own.snd_una), flow.relative(from, own.snd_nxt));
        let (flight, window) = (own.flight_size(), own.snd_wnd);
        put(out, format_args!("; snd_una {una}, snd_nxt {nxt}, flight size {flight}, snd_wnd {window}"));
    }
    if let (Side::Local, Some(numbers)) = (from, &flow.numbers) {
        for (name, value) in [("srtt", numbers.srtt), ("rttvar", numbers.rttvar), ("rto", numbers.rto)] {
            if let Some(value) = value {
                put(out, format_args!(", {name} "));
                write_duration(out, value);
            }
        }
        for (name, value) in [("cwnd", numbers.cwnd), ("ssthresh", numbers.ssthresh)] {
            if let Some(value) = value {
                put(out, format_args!(", {name} {value}"));
            }
        }
    }
}

fn write_fate(out: &mut String, fate: Fate) {
    out.push_str(match fate {
        Fate::Deliver(_) => "",
        Fate::Reorder(_) => "; held back on the link: later packets may overtake it",
        Fate::Overtake(_) => "; sent ahead on the link: it may overtake earlier packets",
        Fate::Duplicate(_) => "; the link delivers it twice",
        Fate::Corrupt(Flip { byte, bit, .. }) => {
            return put(out, format_args!("; corrupted on the link: bit {bit} of byte {byte} flips"));
        }
        Fate::Drop(DropReason::Loss) => "; lost on the link",
        Fate::Drop(DropReason::BurstLoss(ChannelState::Bad)) => "; lost on the link: Gilbert–Elliott, bad state",
        Fate::Drop(DropReason::BurstLoss(ChannelState::Good)) => "; lost on the link: Gilbert–Elliott, good state",
        Fate::Drop(DropReason::Fault) => "; taken from the link, as was asked for",
        Fate::Drop(DropReason::QueueFull) => "; dropped, the queue of the link is full",
        Fate::Drop(DropReason::LinkDown { until }) => {
            out.push_str("; lost, the link is down until ");
            return write_duration(out, until);
        }
        Fate::Drop(DropReason::TooBig) => "; dropped, too big for the link",
        Fate::Drop(DropReason::NoRoute) => "; dropped, no way leads there",
        Fate::Drop(_) => "; dropped on the link",
    });
}

/// The kind of fate that a comment of ours tells of. Its numbers are not looked for.
pub(super) fn fate_in(comment: &str) -> Option<Fate> {
    let at = Instant::EPOCH;
    let (_, last) = comment.rsplit_once("; ")?;
    let kinds = [
        ("held back on the link", Fate::Reorder(at)),
        ("sent ahead on the link", Fate::Overtake(at)),
        ("the link delivers it twice", Fate::Duplicate(at)),
        ("corrupted on the link", Fate::Corrupt(Flip { at, byte: 0, bit: 0 })),
        ("lost", Fate::Drop(DropReason::Loss)),
        ("taken from the link", Fate::Drop(DropReason::Fault)),
        ("dropped", Fate::Drop(DropReason::QueueFull)),
    ];
    kinds.into_iter().find(|(words, _)| last.starts_with(words)).map(|(_, fate)| fate)
}

/// What a link does to a packet, without the comment on it.
pub(super) fn fate_words(fate: Fate) -> String {
    let mut words = String::new();
    write_fate(&mut words, fate);
    words.trim_start_matches("; ").to_owned()
}

/// `1.0 s`, `204.0 ms`, `1.204 s`, `85 us`: four digits that count, and no zeros that say nothing. Clocks of
/// microseconds run beside those of nanoseconds: 999.999 ms are a second.
pub(super) fn write_duration(out: &mut String, duration: Duration) {
    let mut micros = duration.as_micros();
    let unit = 10_u128.pow(micros.checked_ilog10().unwrap_or(0).saturating_sub(3));
    micros = (micros + unit / 2) / unit * unit;
    match micros {
        0..1_000 => put(out, format_args!("{micros} us")),
        1_000..1_000_000 => write_thousandths(out, micros, "ms"),
        _ => write_thousandths(out, micros / 1_000, "s"),
    }
}

fn write_thousandths(out: &mut String, thousandths: u128, unit: &str) {
    let (whole, fraction) = (thousandths / 1_000, thousandths % 1_000);
    if fraction == 0 {
        put(out, format_args!("{whole}.0 {unit}"));
    } else {
        put(out, format_args!("{whole}.{fraction:03}"));
        out.truncate(out.trim_end_matches('0').len());
        put(out, format_args!(" {unit}"));
    }
}

/// Writing into a string does not fail.
pub(super) fn put(out: &mut String, text: core::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}
