//! A capture as a ladder, record by record as they are read: what is kept is the state of each connection, never the
//! packets. Streams stand between each other as their packets do; each row carries the number of its stream.
//!
//! What was cut off by a snaplen is made up for: lengths are those of the IP header, and an option of which only a part
//! is there is left out (`…`). States are inferred (see `states`), unless a comment of ours says that the packet was
//! lost on the link: then it does not arrive.

use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};

use super::row::{Arrow, Body, Page, Row, Shown, describe, flags};
use super::streams::{Stream, Streams};
use crate::capture::{Direction, Narrator, Record};
use crate::conversation::Side;
use crate::event::{Fate, State};
use crate::segment::{IpView, Protocol, Segment};
use crate::time::Instant;

/// Reads records into a ladder, and keeps the accounts of the connections.
#[derive(Default)]
pub struct Trace {
    narrator: Narrator,
    streams: Streams,
    /// Streams that have a heading.
    headed: usize,
    origin: Option<Instant>,
    whole: Vec<u8>,
    /// Packets to and from each address, and what tells which is the vantage point.
    pub(super) addresses: BTreeMap<IpAddr, u64>,
    pub(super) own: BTreeSet<IpAddr>,
    /// Pairs of UDP sockets in order of appearance, and when they were seen: behind how many streams.
    pub(super) datagrams: BTreeMap<[SocketAddr; 2], usize>,
}

/// One packet of a capture, as the ladder has it.
#[derive(Clone, Debug)]
pub struct Step {
    /// The number of its record.
    pub number: u64,
    /// When it passed.
    pub at: Instant,
    /// Its length on the wire, from the IP header on.
    pub len: u32,
    /// The comment in the file, or what there is to say of the packet.
    pub comment: String,
    /// If it is a segment of a connection.
    pub segment: Option<Shape>,
    /// A new stream has begun with it.
    begins: bool,
    row: Row,
}

/// A segment of a connection. Numbers are relative to the first of their side.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The number of its stream.
    pub stream: usize,
    /// The side that sent it: 0 is the left one.
    pub from: usize,
    /// `SYN|ACK`
    pub flags: String,
    /// SEG.SEQ
    pub seq: u32,
    /// SEG.ACK, if it has one.
    pub ack: Option<u32>,
    /// The window in bytes, scaled if the scale is known.
    pub window: u32,
    /// Bytes of data.
    pub payload: usize,
    /// The states of both sides behind it.
    pub states: [Option<State>; 2],
}

impl Trace {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The connections so far, in order of appearance.
    pub fn streams(&self) -> &[Stream] {
        &self.streams.list
    }

    /// Takes the next record. `ours` says that tcplab wrote the file, and that its comments can be relied upon.
    pub fn take(&mut self, record: &Record<'_>, ours: bool) -> Step {
        let origin = *self.origin.get_or_insert(record.at);
        let said = record.comment.filter(|comment| !comment.is_empty());
        let mut step = Step {
            number: record.number,
            at: record.at,
            len: record.original_len,
            comment: said.unwrap_or_default().to_owned(),
            segment: None,
            begins: false,
            row: Row { at: between(origin, record.at), ..Row::default() },
        };
        let Some(packet) = record.packet else {
            let text = format!("no IP packet: {} bytes of link type {}", record.original_len, record.link_type);
            step.row.body = Body::Other(text);
            step.row.comments.extend(said.map(str::to_owned));
            return step;
        };
        let mut whole = core::mem::take(&mut self.whole);
        let cut = make_whole(&mut whole, packet, record.original_len);
        let verify = ours && record.direction == Some(Direction::Inbound) && record.is_whole();
        let fate = if ours { said.and_then(Narrator::fate_in) } else { None };
        self.look_at(&mut step, &whole, record.direction, (verify, cut), fate);
        self.whole = whole;
        step
    }

    fn look_at(
        &mut self,
        step: &mut Step,
        packet: &[u8],
        direction: Option<Direction>,
        (verify, cut): (bool, bool),
        fate: Option<Fate>,
    ) {
        let parsed = IpView::parse(packet);
        if let Ok(ip) = &parsed {
            self.note_addresses(ip, direction);
        }
        let segment = parsed.as_ref().ok().and_then(|ip| Segment::parse(ip).ok());
        let Some(segment) = segment else {
            let told = self.narrator.tell(step.at, Side::Local, packet, false, None);
            let ends = parsed.map_or(String::new(), |ip| format!("{} → {}: ", ip.src, ip.dst));
            step.row.body = Body::Other(format!("{ends}{}", told.text));
            if step.comment.is_empty() {
                told.text.clone_into(&mut step.comment);
            } else if step.comment != told.text {
                step.row.comments.push(step.comment.clone());
            }
            return;
        };
        let known = self.streams.list.len();
        let mut number = self.streams.of(step.at, &segment);
        let from = self.streams.list[number].side_of(segment.src);
        let before = self.streams.list[number].states();
        let arrives = !matches!(fate, Some(Fate::Drop(_) | Fate::Corrupt(_)));
        let told = self.narrator.tell(step.at, from, packet, verify, None);
        let text = describe(&segment, from, &told, cut);
        if let Some((seen, flow)) = &told.segment {
            number = self.streams.take(number, step.at, &segment, (seen, &flow.conversation), arrives);
            step.segment = Some(Shape {
                stream: number,
                from: from as usize,
                flags: flags(segment.flags),
                seq: flow.relative(from, segment.seq),
                ack: segment.is_ack().then(|| flow.relative(from.other(), segment.ack)),
                window: flow.conversation.sender(from).rcv_wnd,
                payload: segment.payload.len(),
                states: self.streams.list[number].states(),
            });
        }
        if step.comment.is_empty() {
            told.text.clone_into(&mut step.comment);
        }
        step.begins = self.streams.list.len() > known;
        let after = self.streams.list[number].states();
        step.row.states =
            core::array::from_fn(|side| (step.begins || before[side] != after[side]).then_some(Shown(after[side])));
        step.row.stream = Some(number);
        step.row.comments.push(step.comment.clone());
        step.row.body = Body::Arrow(Arrow { from: from as usize, text, fate });
    }

    fn note_addresses(&mut self, ip: &IpView<'_>, direction: Option<Direction>) {
        for address in [ip.src, ip.dst] {
            *self.addresses.entry(address).or_default() += 1;
        }
        match direction {
            Some(Direction::Outbound) => _ = self.own.insert(ip.src),
            Some(Direction::Inbound) if !is_multicast(ip.dst) => _ = self.own.insert(ip.dst),
            _ => {}
        }
        if let (Protocol::Udp, false, &[a, b, c, d, ..]) = (ip.protocol, ip.fragment, ip.payload) {
            let ends = [
                SocketAddr::new(ip.src, u16::from_be_bytes([a, b])),
                SocketAddr::new(ip.dst, u16::from_be_bytes([c, d])),
            ];
            self.datagrams.entry(ends).or_insert(self.streams.list.len());
        }
    }

    /// Writes a step behind those before it. `color` is for a terminal.
    pub fn draw(&mut self, out: &mut String, step: &Step, color: bool) {
        let page = Page { color, numbers: true };
        if let (true, Some(number)) = (step.begins, step.row.stream) {
            let stream = &self.streams.list[number];
            let [left, right] = stream.ends.map(|end| end.to_string());
            let how = if self.headed == 0 { " (states inferred from the packets, ? is unknown)" } else { "" };
            if self.headed > 0 {
                out.push('\n');
            }
            page.heading(out, &format!("stream #{number} {left} ↔ {right}{how}"), [&left, &right]);
            self.headed += 1;
        }
        page.row(out, &step.row);
    }
}

impl core::fmt::Debug for Trace {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Trace({} streams)", self.streams.list.len())
    }
}

fn is_multicast(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::from([255; 4])
}

/// Nanoseconds from one instant to another, which may be earlier in a capture that is out of order.
fn between(origin: Instant, at: Instant) -> i64 {
    let nanos = i128::from(at.as_nanos()) - i128::from(origin.as_nanos());
    nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// The largest packet of either version of IP.
const LARGEST: usize = 40 + 65_535;

/// Fills a packet that was cut off up to its length with zeros, and writes the length that was left to hardware (TSO).
/// True if an option of TCP was cut off: what is left of it is taken out.
fn make_whole(whole: &mut Vec<u8>, packet: &[u8], original_len: u32) -> bool {
    whole.clear();
    whole.extend_from_slice(packet);
    whole.resize((original_len as usize).clamp(packet.len(), LARGEST.max(packet.len())), 0);
    if whole.len() >= 20
        && whole[0] >> 4 == 4
        && whole[2..4] == [0, 0]
        && let Ok(len) = u16::try_from(whole.len())
    {
        whole[2..4].copy_from_slice(&len.to_be_bytes());
    }
    let kept = packet.len();
    if kept >= whole.len() {
        return false;
    }
    let Ok(ip) = IpView::parse(whole) else { return false };
    let start = ip.total_len() - ip.payload.len();
    if ip.protocol != Protocol::Tcp || ip.fragment || whole.len() < start + 20 {
        return false;
    }
    let end = (start + usize::from(whole[start + 12] >> 4) * 4).min(whole.len());
    let mut at = start + 20;
    while at < kept.min(end) {
        let len = match whole[at] {
            0 => return false,
            1 => 1,
            _ => usize::from(whole[at + 1..].first().copied().unwrap_or(0)).max(2),
        };
        if at + len > kept {
            break;
        }
        at += len;
    }
    let cut = at < end && kept < end;
    if cut {
        whole[at..end].fill(0);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Flags, SegmentTemplate, Timestamps};

    fn record(number: u64, packet: &[u8], original_len: u32) -> Record<'_> {
        Record {
            number,
            at: Instant::from_millis(number),
            packet: Some(packet),
            original_len,
            frame_len: original_len,
            frame_captured_len: packet.len() as u32,
            link_type: 101,
            direction: None,
            comment: None,
        }
    }

    fn syn() -> Vec<u8> {
        let ends = ["192.0.2.1:1000", "192.0.2.2:80"].map(|end| end.parse().unwrap());
        let mut template = SegmentTemplate { flags: Flags::SYN, ..SegmentTemplate::new(ends[0], ends[1]) };
        template.options.mss = Some(1460);
        template.options.sack_permitted = true;
        template.options.ts = Some(Timestamps { ts_val: 1, ts_ecr: 0 });
        template.options.wscale = Some(7);
        template.to_bytes()
    }

    #[test]
    fn a_segment_that_was_cut_off_anywhere_is_drawn_as_far_as_it_is_there() {
        let packet = syn();
        for kept in 0..packet.len() {
            let mut trace = Trace::new();
            let step = trace.take(&record(1, &packet[..kept], packet.len() as u32), false);
            let mut text = String::new();
            trace.draw(&mut text, &step, false);
            assert_eq!(text.contains("── SYN 0:1"), kept >= 34, "{kept}: {text}");
            assert_eq!(text.contains('…'), kept >= 34, "{kept}: {text}");
            assert_eq!(step.len, packet.len() as u32);
        }
    }

    #[test]
    fn a_length_that_was_left_to_hardware_is_the_one_of_the_record() {
        let mut packet = syn();
        packet[2..4].fill(0);
        let len = packet.len() as u32;
        assert!(Trace::new().take(&record(1, &packet, len), false).segment.is_some());
    }

    #[test]
    fn time_may_run_backwards() {
        let packet = syn();
        let mut trace = Trace::new();
        trace.take(&record(9, &packet, packet.len() as u32), false);
        let step = trace.take(&record(4, &packet, packet.len() as u32), false);
        let mut text = String::new();
        trace.draw(&mut text, &step, false);
        assert!(text.starts_with(" -0.005000000   #0 "), "{text}");
    }
}
