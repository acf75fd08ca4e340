//! A trace from a capture, record by record as they are read. What is kept is the state of each connection, never the
//! packets.
//!
//! Packets are read by the lenient parser of `segment`: what was cut off by a snaplen is made up for, and fragments are put
//! together. States are inferred (see `states`), unless a tag of ours says that the packet was lost on the
//! link: then it does not arrive. A comment of ours tells what its host knew, and is preferred to what can be seen here.

use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};

use super::{Content, MOST_ADDRESSES, PacketStep, Trace, Vantage, is_again, segment_step};
use crate::annotate::{Direction, Subject, Tag, tags};
use crate::capture::Record;
use crate::conversation::Side;
use crate::segment::{Captured, IpView, Protocol, Quoted, Segment};

impl Trace {
    /// Takes the next record of a capture. `ours` says that tcplab wrote the file, so that its comments can be relied
    /// upon. Gives one segment or packet, and the states that it implies, as steps.
    pub fn record(&mut self, record: &Record<'_>, ours: bool) {
        self.origin.get_or_insert(record.at);
        self.from_first = true;
        let comment = record.comment.filter(|comment| !comment.is_empty());
        let Some(packet) = record.packet else {
            let name = record.unread.map_or_else(String::new, |unread| format!("{unread}, "));
            let words = format!("not looked into: {name}{} bytes", record.original_len);
            self.push_packet(record, None, words, comment, ours);
            return;
        };
        let mut parser = core::mem::take(&mut self.parser);
        self.packet(record, &parser.parse(packet, record.original_len), ours);
        self.parser = parser;
    }

    fn packet(&mut self, record: &Record<'_>, captured: &Captured<'_>, ours: bool) {
        let comment = record.comment.filter(|comment| !comment.is_empty());
        let told = comment.filter(|_| ours).map(tags::parse);
        let tag = told.and_then(|told| told.tag);
        let direction = record.direction.unwrap_or(Direction::Outbound);
        let (cut, copy) = (captured.options_cut, tag == Some(Tag::Copy));
        let (ip, segment) = (captured.ip, captured.segment);
        let subject =
            Subject { at: record.at, direction, ip, segment, corrupted: false, copy, missing: captured.missing };
        let verify = ours && record.direction == Some(Direction::Inbound) && captured.is_verifiable();
        let subject = if verify { subject.verified() } else { subject };
        if let Ok(ip) = &subject.ip {
            self.note_addresses(ip, record.direction);
        }
        let answers = subject.segment.is_ok_and(|segment| self.answers(&segment));
        let annotation = self.interface.annotate(&subject);
        let words = told.map_or(annotation.words, |told| told.words);
        let (Some(annotated), Ok(segment)) = (annotation.segment, &subject.segment) else {
            let words = words.to_owned();
            if let Ok(segment) = &subject.segment {
                return self.corrupted(record, (subject.ip.ok().as_ref(), segment), &words, cut, ours);
            }
            return self.push_packet(record, subject.ip.ok().as_ref(), words, comment, ours);
        };
        let (known, stream, observed) = (annotated.stream.notes.flow, annotated.stream.number, annotated.observed);
        let begun = self.flows.begun;
        let Some(number) = self.flows.place(record.at, Vantage::Capture, (known, answers), annotated.stream.ends)
        else {
            return;
        };
        let Some(flow) = self.flows.get_mut(number) else { return };
        let before = flow.states();
        let from = flow.side_of(segment.src);
        let arrives = !tag.is_some_and(Tag::is_loss);
        let conversation = &annotated.stream.conversation;
        flow.take(record.at, from, segment, &observed, conversation, (arrives, subject.copy));
        flow.came(record.at, from.other(), segment, &observed.seen);
        if let Some(reason) = told.and_then(|told| told.variables?.reason).filter(|_| is_again(&observed)) {
            flow.measured[from as usize].resent(reason);
        }
        let mut step = segment_step(&annotated, segment, from, words);
        step.begins = begun == number;
        step.states = flow.states();
        step.window_changed = flow.note_window(from, step.window, segment.is_syn());
        (step.packet, step.len, step.tag, step.options_cut) = (record.number, record.original_len, tag, cut);
        step.variables = told.and_then(|told| told.variables);
        step.comment = comment.map(str::to_owned);
        if let Some(comment) = comment.filter(|_| !ours) {
            comment.clone_into(&mut step.words);
        }
        if captured.missing > 0 && record.is_whole() {
            let _ = write!(step.words, ", {} bytes of it are not in the file", captured.missing);
        }
        if known != Some(number) {
            self.interface.set_flow(stream, number);
        }
        let (begins, after) = (step.begins, step.states);
        self.push(record.at, Vantage::Capture, Some(number), Content::Segment(Box::new(step)));
        for side in Side::BOTH {
            let to = after[side as usize];
            if begins || to != before[side as usize] {
                self.push(record.at, Vantage::Capture, Some(number), Content::State { side, to, cause: None });
            }
        }
    }

    /// A segment that a link has changed: its connection has not taken it, but it can be drawn.
    fn corrupted(
        &mut self,
        record: &Record<'_>,
        (ip, segment): (Option<&IpView<'_>>, &Segment<'_>),
        words: &str,
        cut: bool,
        ours: bool,
    ) {
        let comment = record.comment.filter(|comment| !comment.is_empty());
        let number = self.flows.find(segment.src, segment.dst);
        let Some((number, flow)) = number.and_then(|number| Some((number, self.flows.get(number)?))) else {
            return self.push_packet(record, ip, words.to_owned(), comment, ours);
        };
        let from = flow.side_of(segment.src);
        let step = super::SegmentStep {
            packet: record.number,
            len: record.original_len,
            from,
            flags: segment.flags,
            seq: 0,
            ack: None,
            window: segment.window.into(),
            window_changed: false,
            options: segment.options,
            sacked: Vec::new(),
            options_cut: cut,
            payload: segment.payload.len(),
            arrival: None,
            seen: None,
            kinds: crate::conversation::Kinds::default(),
            words: words.to_owned(),
            tag: None,
            behind: None,
            path: Vec::new(),
            variables: None,
            comment: comment.map(str::to_owned),
            begins: false,
            states: flow.states(),
        };
        self.push(record.at, Vantage::Capture, Some(number), Content::Segment(Box::new(step)));
    }

    fn push_packet(
        &mut self,
        record: &Record<'_>,
        ip: Option<&IpView<'_>>,
        words: String,
        comment: Option<&str>,
        ours: bool,
    ) {
        let told = comment.filter(|_| ours).map(tags::parse);
        let step = PacketStep {
            packet: record.number,
            len: record.original_len,
            protocol: ip.map(|ip| ip.protocol),
            ends: ip.map(|ip| (ip.src, ip.dst)),
            words,
            tag: told.and_then(|told| told.tag),
            behind: None,
            path: Vec::new(),
            comment: comment.map(str::to_owned),
        };
        let quoted = ip.and_then(Quoted::parse).filter(|quoted| quoted.protocol == Protocol::Tcp);
        let flow = quoted.and_then(|quoted| self.flows.find(quoted.src, quoted.dst));
        self.push(record.at, Vantage::Capture, flow, Content::Packet(step));
    }

    fn note_addresses(&mut self, ip: &IpView<'_>, direction: Option<Direction>) {
        let addresses = &mut self.addresses;
        for address in [ip.src, ip.dst] {
            if addresses.packets.len() < MOST_ADDRESSES || addresses.packets.contains_key(&address) {
                *addresses.packets.entry(address).or_default() += 1;
            }
        }
        if addresses.own.len() < MOST_ADDRESSES {
            match direction {
                Some(Direction::Outbound) => _ = addresses.own.insert(ip.src),
                Some(Direction::Inbound) if !is_multicast(ip.dst) => _ = addresses.own.insert(ip.dst),
                _ => {}
            }
        }
        if let (Protocol::Udp, false, &[a, b, c, d, ..]) = (ip.protocol, ip.fragment, ip.payload)
            && addresses.datagrams.len() < MOST_ADDRESSES
        {
            let ends = [
                SocketAddr::new(ip.src, u16::from_be_bytes([a, b])),
                SocketAddr::new(ip.dst, u16::from_be_bytes([c, d])),
            ];
            addresses.datagrams.entry(ends).or_insert(self.flows.begun);
        }
    }
}

fn is_multicast(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::from([255; 4])
}
