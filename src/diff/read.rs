//! Reads a capture into its conversations. Memory is bounded by limits on packets, bytes and conversations. A file beyond
//! them is refused: a part of it that looks like the whole would be a wrong answer.

use core::net::SocketAddr;
use core::ops::Range;
use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::contents::{CLIENT, Content, Contents, Item, Kept, Talk};
use crate::capture::{ReadError, Reader, Record};
use crate::conversation::{DataKind, Side, Table};
use crate::escape::Name;
use crate::segment::{CaptureParser, Captured, IpView, Protocol, Quoted, Segment, Seq};

/// Packets of a file at most.
pub const MOST_PACKETS: u64 = 2_000_000;
/// Bytes of data of a file at most.
pub const MOST_BYTES: usize = 256 << 20;
/// Conversations of a file at most.
pub const MOST_CONVERSATIONS: usize = 200_000;

/// Why the contents of a capture are not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file is beyond a limit.
    #[error(
        "compare {}: it has more than {limit}, which is the limit; compare a part, such as that of \
         `tshark -r FILE -Y 'tcp.stream < 1000' -w PART`, or with `-s 128` for less of each packet",
        Name(.file)
    )]
    TooLarge {
        /// The file.
        file: String,
        /// The limit, in words.
        limit: String,
    },
}

/// How much of a file is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) packets: u64,
    pub(super) bytes: usize,
    pub(super) conversations: usize,
}

/// Reads a capture to its end.
///
/// # Errors
/// The file cannot be read, or is beyond a limit.
pub fn read(reader: &mut Reader) -> Result<Contents, DiffError> {
    let limits = Limits { packets: MOST_PACKETS, bytes: MOST_BYTES, conversations: MOST_CONVERSATIONS };
    read_within(reader, limits)
}

pub(super) fn read_within(reader: &mut Reader, limits: Limits) -> Result<Contents, DiffError> {
    let too_large = |reader: &Reader, limit: String| DiffError::TooLarge { file: reader.file().to_owned(), limit };
    let mut taker = Taker {
        contents: Contents::default(),
        table: Table::with_limit(limits.conversations.saturating_add(1)),
        by_stream: Vec::new(),
        others: HashMap::default(),
    };
    let mut parser = CaptureParser::new();
    while let Some(record) = reader.next_record() {
        let record = record?;
        taker.contents.records += 1;
        taker.take(&record, &mut parser);
        let contents = &taker.contents;
        let over = if contents.records > limits.packets {
            Some(format!("{} packets", limits.packets))
        } else if contents.bytes.len() > limits.bytes {
            Some(format!("{} bytes of data", limits.bytes))
        } else if contents.talks.len() > limits.conversations {
            Some(format!("{} conversations", limits.conversations))
        } else {
            None
        };
        if let Some(limit) = over {
            return Err(too_large(reader, limit));
        }
    }
    let mut contents = taker.contents;
    contents.unread = reader.unread_summary();
    contents.warnings = reader.warnings().iter().map(ToString::to_string).collect();
    Ok(contents)
}

struct Taker {
    contents: Contents,
    table: Table,
    /// The conversation of each stream of the table.
    by_stream: Vec<usize>,
    /// The conversations of other protocols, by protocol and ends, the lower end first.
    others: HashMap<(u8, [SocketAddr; 2]), usize, FixedState>,
}

impl Taker {
    fn take(&mut self, record: &Record<'_>, parser: &mut CaptureParser) {
        let Some(packet) = record.packet else { return };
        let captured = parser.parse(packet, record.original_len);
        let Ok(ip) = captured.ip else {
            self.contents.malformed += 1;
            return;
        };
        self.contents.cut += u64::from(captured.missing > 0);
        match (ip.protocol, &captured.segment) {
            (Protocol::Tcp, Ok(segment)) => self.take_segment(record, &captured, &ip, segment),
            (Protocol::Udp, _) if ip.payload.len() >= 8 && !ip.fragment => self.take_datagram(record, &captured, &ip),
            (Protocol::Icmp | Protocol::Icmpv6, _) if !ip.fragment => self.take_icmp(record, &captured, &ip),
            _ => self.take_other(record, &captured, &ip, ip.payload),
        }
    }

    fn take_segment(&mut self, record: &Record<'_>, captured: &Captured<'_>, ip: &IpView<'_>, segment: &Segment<'_>) {
        let (stream, observed) = self.table.observe(record.at, segment);
        let unacceptable = observed.seen.data == DataKind::Unacceptable;
        let (number, ends) = (stream.number, stream.ends);
        let opened = stream.account.opener.is_some();
        if number == self.by_stream.len() {
            self.by_stream.push(self.contents.talks.len());
            let ends = if opened { ends } else { client_first(ends) };
            self.contents.talks.push(Talk::new(Protocol::Tcp, ends, record.at));
        }
        let talk = self.by_stream[number];
        let header = &ip.payload[..ip.payload.len() - segment.payload.len()];
        let area = self.keep(&normalised_area(header.get(20..).unwrap_or_default()));
        let payload = self.keep(segment.payload);
        let talk_ref = &mut self.contents.talks[talk];
        let from = talk_ref.side_of(segment.src);
        let own = talk_ref.start(from, segment.seq, segment.is_syn());
        let mut options = Kept::without_timestamps(segment.options);
        let mut ack = Seq(0);
        if segment.is_ack() {
            let peer = talk_ref.start(from.other(), segment.ack, false);
            ack = Seq(segment.ack - peer);
            for block in &mut options.sack {
                // Unused places stay empty.
                if block.left != block.right {
                    (block.left, block.right) = (Seq(block.left - peer), Seq(block.right - peer));
                }
            }
        }
        let word = |at: usize| header.get(at..at + 2).map_or(0, |word| u16::from_be_bytes([word[0], word[1]]));
        let kept = Kept {
            seq: Seq(segment.seq - own),
            ack,
            flags: segment.flags,
            window: segment.window,
            options,
            options_cut: captured.options_cut,
            urgent: word(18),
            reserved: header.get(12).map_or(0, |byte| byte & 0x0f),
            area,
            payload,
            unacceptable,
        };
        self.push(talk, record, captured, ip, from, Content::Segment(Box::new(kept)));
    }

    fn take_datagram(&mut self, record: &Record<'_>, captured: &Captured<'_>, ip: &IpView<'_>) {
        let port = |at: usize| u16::from_be_bytes([ip.payload[at], ip.payload[at + 1]]);
        let (src, dst) = (SocketAddr::new(ip.src, port(0)), SocketAddr::new(ip.dst, port(2)));
        let payload = self.keep(&ip.payload[8..]);
        let talk = self.other(Protocol::Udp, [src, dst], record);
        let from = self.contents.talks[talk].side_of(src);
        self.push(talk, record, captured, ip, from, Content::Datagram(payload));
    }

    /// An error belongs to the conversation that it is about, if there is one.
    fn take_icmp(&mut self, record: &Record<'_>, captured: &Captured<'_>, ip: &IpView<'_>) {
        if let Some(quoted) = Quoted::parse(ip)
            && let Some(talk) = self.talk_of(&quoted)
        {
            let rest = ip.payload.get(4..8).and_then(|rest| rest.try_into().ok()).unwrap_or_default();
            let about = self.contents.talks[talk].side_of(quoted.src);
            let start = self.contents.talks[talk].starts[about as usize];
            let seq = quoted.seq.zip(start).map(|(seq, start)| seq - start);
            let src = SocketAddr::new(ip.src, 0);
            let content = Content::Error { kind: quoted.kind, rest, about, seq, src };
            return self.push(talk, record, captured, ip, about.other(), content);
        }
        self.take_other(record, captured, ip, &normalised_icmp(ip));
    }

    fn talk_of(&self, quoted: &Quoted) -> Option<usize> {
        match quoted.protocol {
            Protocol::Tcp => {
                let stream = self.table.find(quoted.src, quoted.dst)?;
                self.by_stream.get(stream.number).copied()
            }
            other => self.others.get(&(other.number(), sorted([quoted.src, quoted.dst]))).copied(),
        }
    }

    fn take_other(&mut self, record: &Record<'_>, captured: &Captured<'_>, ip: &IpView<'_>, bytes: &[u8]) {
        let (src, dst) = (SocketAddr::new(ip.src, 0), SocketAddr::new(ip.dst, 0));
        let kept = self.keep(bytes);
        let talk = self.other(ip.protocol, [src, dst], record);
        let from = self.contents.talks[talk].side_of(src);
        self.push(talk, record, captured, ip, from, Content::Other(kept));
    }

    /// The conversation of these ends that is no TCP connection; begun if there is none.
    fn other(&mut self, protocol: Protocol, ends: [SocketAddr; 2], record: &Record<'_>) -> usize {
        let talks = &mut self.contents.talks;
        *self.others.entry((protocol.number(), sorted(ends))).or_insert_with(|| {
            talks.push(Talk::new(protocol, client_first(ends), record.at));
            talks.len() - 1
        })
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.contents.bytes.len();
        self.contents.bytes.extend_from_slice(bytes);
        start..self.contents.bytes.len()
    }

    fn push(
        &mut self,
        talk: usize,
        record: &Record<'_>,
        captured: &Captured<'_>,
        ip: &IpView<'_>,
        from: Side,
        content: Content,
    ) {
        let v6 = ip.src.is_ipv6();
        let [first, second] = ip.header.first_chunk::<2>().copied().unwrap_or_default();
        let class = if v6 { (first << 4) | (second >> 4) } else { second };
        let fixed = if v6 { 40 } else { 20 };
        let ip_options = self.keep(ip.header.get(fixed..).unwrap_or_default());
        let talk = &mut self.contents.talks[talk];
        talk.items.push(Item {
            number: record.number,
            at: record.at.since(talk.began),
            from,
            ttl: ip.ttl,
            ecn: ip.ecn,
            dscp: class >> 2,
            df: !v6 && ip.header.get(6).is_some_and(|byte| byte & 0x40 != 0),
            ip_options,
            missing: captured.missing,
            content,
        });
    }
}

fn sorted(ends: [SocketAddr; 2]) -> [SocketAddr; 2] {
    if ends[0] <= ends[1] { ends } else { [ends[1], ends[0]] }
}

/// Where nothing says who began, the lower port is that of the server. Without ports the lower address is the first.
fn client_first([one, other]: [SocketAddr; 2]) -> [SocketAddr; 2] {
    let swapped = match one.port().cmp(&other.port()) {
        core::cmp::Ordering::Less => true,
        core::cmp::Ordering::Greater => false,
        core::cmp::Ordering::Equal => one > other,
    };
    if swapped { [other, one] } else { [one, other] }
}

/// The options area of a TCP header, without the values of timestamps and SACK blocks, which are compared elsewhere or never
/// the same.
fn normalised_area(area: &[u8]) -> Vec<u8> {
    let mut out = area.to_vec();
    let mut at = 0;
    while let Some(&kind) = out.get(at) {
        match kind {
            0 => break,
            1 => at += 1,
            _ => {
                let Some(len) = out.get(at + 1).map(|len| usize::from(*len)).filter(|len| *len >= 2) else { break };
                let end = (at + len).min(out.len());
                if matches!(kind, 5 | 8) {
                    out[(at + 2).min(end)..end].fill(0);
                }
                at += len;
            }
        }
    }
    out
}

/// An ICMP message without its checksum, the identifier of an echo, and identification and checksum of a quoted IPv4 header.
fn normalised_icmp(ip: &IpView<'_>) -> Vec<u8> {
    let mut out = ip.payload.to_vec();
    let mut clear = |range: Range<usize>| {
        if let Some(bytes) = out.get_mut(range) {
            bytes.fill(0);
        }
    };
    clear(2..4);
    let kind = ip.payload.first().copied().unwrap_or_default();
    let echo = match ip.protocol {
        Protocol::Icmp => matches!(kind, 0 | 8),
        _ => matches!(kind, 128 | 129),
    };
    if echo {
        clear(4..6);
    } else if ip.payload.get(8).is_some_and(|byte| byte >> 4 == 4) && ip.protocol == Protocol::Icmp {
        clear(12..14);
        clear(18..20);
    }
    out
}

/// `client` or `server`.
pub(super) fn name(side: Side) -> &'static str {
    if side == CLIENT { "client" } else { "server" }
}
