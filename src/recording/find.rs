//! Finds the TCP conversations in a capture of any link type.
//!
//! [`CaptureParser`] reads the packets, and [`Table`] finds the connection of a segment. A conversation with a packet
//! that was cut off, or with a segment that cannot be read, is not replayed. When the file is read,
//! [`Recording::settle`] puts each conversation in order.

use std::net::SocketAddr;

use super::packets::{CLIENT, Recorded, Recording, SERVER, Skip};
use crate::capture::{Direction, ReadError, Reader, Record};
use crate::conversation::{Conversation, DataKind, Side, Table};
use crate::escape::Name;
use crate::segment::{CaptureParser, Flags, IpView, Malformed, Options, Protocol, Quoted, Segment, Seq};
use crate::time::{Duration, Instant};

/// The content of a file.
#[derive(Debug, Default)]
pub(crate) struct FileContent {
    pub(crate) recordings: Vec<Recording>,
    /// The comment on the section: in our captures the recipe.
    pub(crate) comment: Option<String>,
    /// Packets of the file, of whatever kind.
    pub(crate) packets: u64,
    /// What was not looked into, as a line of a summary.
    pub(crate) unread: Option<String>,
    /// The file ends in the middle of a record.
    #[cfg_attr(not(feature = "replay"), expect(dead_code, reason = "only `replay` compares files"))]
    pub(crate) torn: bool,
    /// What is odd in the file and in its packets.
    pub(crate) warnings: Vec<String>,
}

/// Packets whose checksum is wrong.
#[derive(Debug, Default)]
struct BadChecksums {
    count: u64,
    /// The first of them.
    first: u64,
}

impl BadChecksums {
    fn add(&mut self, number: u64) {
        self.count += 1;
        if self.count == 1 {
            self.first = number;
        }
    }

    /// A warning, if there are any: what they are, and what it means.
    fn warning(&self, file: &str, kind: &str, meaning: &str) -> Option<String> {
        let segments = if self.count == 1 { "segment has" } else { "segments have" };
        let Self { count, first } = self;
        (*count > 0).then(|| format!("{}: {count} {segments} {kind}, first packet {first}: {meaning}", Name(file)))
    }
}

struct Finder {
    recordings: Vec<Recording>,
    /// Its streams have the numbers of the recordings.
    table: Table,
    /// The file is of a stack that fills in its checksums: a segment whose checksum is wrong was corrupted on the way.
    checksums_tell: bool,
    wrong: BadChecksums,
    partial: BadChecksums,
}

/// Reads a capture to its end.
///
/// # Errors
/// The file cannot be read; the error names it and the packet.
pub(crate) fn find(reader: &mut Reader) -> Result<FileContent, ReadError> {
    let checksums_tell = reader.is_ours();
    let (wrong, partial) = (BadChecksums::default(), BadChecksums::default());
    let mut finder = Finder { recordings: Vec::new(), table: Table::new(), checksums_tell, wrong, partial };
    let mut parser = CaptureParser::new();
    let mut packets = 0;
    while let Some(record) = reader.next_record() {
        let record = record?;
        packets += 1;
        finder.take(&record, &mut parser);
    }
    for recording in &mut finder.recordings {
        recording.settle();
        recording.torn = reader.is_torn();
    }
    let comment = reader.section_comment().map(str::to_owned);
    let mut warnings: Vec<_> = reader.warnings().iter().map(ToString::to_string).collect();
    warnings.extend(finder.warnings(reader.file()));
    let (unread, torn) = (reader.unread_summary(), reader.is_torn());
    Ok(FileContent { recordings: finder.recordings, comment, packets, unread, torn, warnings })
}

impl Finder {
    fn take(&mut self, record: &Record<'_>, parser: &mut CaptureParser) {
        let Some(packet) = record.packet else { return };
        let captured = parser.parse(packet, record.original_len);
        let Ok(ip) = captured.ip else { return };
        if ip.protocol != Protocol::Tcp {
            let quoted = Quoted::parse(&ip).filter(|quoted| captured.missing == 0 && quoted.src.ip() == ip.dst);
            if let Some(quoted) = quoted
                && let Some(recording) = self.recording(quoted.src, quoted.dst)
            {
                recording.push_icmp(record, quoted.src, captured.bytes);
            }
            return;
        }
        let segment = match captured.segment {
            Ok(segment) => segment,
            // Its datagram may be completed by another fragment.
            Err(Malformed::Fragment) => return,
            Err(malformed) => {
                let ports = |at: usize| ip.payload.get(at..at + 2).map(|port| u16::from_be_bytes([port[0], port[1]]));
                if let (Some(from), Some(to)) = (ports(0), ports(2))
                    && let Some(recording) = self.recording(SocketAddr::new(ip.src, from), SocketAddr::new(ip.dst, to))
                {
                    recording.trouble.get_or_insert(Skip::new(record.number, malformed.to_string()));
                }
                return;
            }
        };
        let header = ip.payload.get(..ip.payload.len() - segment.payload.len()).unwrap_or_default();
        let bad_checksum = captured.is_verifiable() && !ip.checksums_ok();
        if bad_checksum {
            let partial = ip.header_checksum_ok() && ip.checksum_is_partial() && !self.checksums_tell;
            if partial { &mut self.partial } else { &mut self.wrong }.add(record.number);
        }
        if bad_checksum && self.checksums_tell {
            if let Some(recording) = self.recording(segment.src, segment.dst) {
                recording.push_corrupted(record, &segment, header);
            }
            return;
        }
        let recording = self.place(record, &segment, header, bad_checksum);
        recording.note_ident(&ip);
        if captured.missing > 0 {
            let reason = format!(
                "cut off: {} of {} bytes of the packet were captured; capture with a larger snaplen",
                captured.bytes.len() - captured.missing,
                captured.bytes.len()
            );
            recording.trouble.get_or_insert(Skip::new(record.number, reason));
        }
        recording.note_options(record.number, header.get(20..).unwrap_or_default());
    }

    /// What is said about wrong checksums.
    fn warnings(&self, file: &str) -> impl Iterator<Item = String> {
        let meaning = if self.checksums_tell {
            "they were corrupted on the way, and TCP does not take them"
        } else {
            "they are taken as if it were right. If the host that sent them took the capture, its network card fills in the \
             checksum later (checksum offload); else they were corrupted or edited, and no TCP took them"
        };
        let partial = "the host that took the capture left it to its network card (checksum offload), so it was right on \
                       the wire";
        let wrong = self.wrong.warning(file, "a wrong checksum", meaning);
        wrong.into_iter().chain(self.partial.warning(file, "an unfinished checksum", partial))
    }

    /// The newest conversation between two ends.
    fn recording(&mut self, one: SocketAddr, other: SocketAddr) -> Option<&mut Recording> {
        let number = self.table.find(one, other)?.number;
        self.recordings.get_mut(number)
    }

    /// Puts a segment into its conversation, and gives that.
    fn place(
        &mut self,
        record: &Record<'_>,
        segment: &Segment<'_>,
        header: &[u8],
        bad_checksum: bool,
    ) -> &mut Recording {
        let (stream, _) = self.table.observe(record.at, segment);
        let (number, ends) = (stream.number, stream.ends);
        if number == self.recordings.len() {
            self.recordings.push(Recording::new(number, ends, record.at));
        }
        let recording = &mut self.recordings[number];
        recording.push(record, segment, header, bad_checksum);
        recording
    }
}

impl Recording {
    fn new(stream: usize, ends: [SocketAddr; 2], started: Instant) -> Self {
        Self {
            stream,
            ends,
            started,
            packets: Vec::new(),
            left_out: Vec::new(),
            left_out_time: Duration::ZERO,
            bytes: Vec::new(),
            conversation: Conversation::new(),
            outbound: [0; 2],
            torn: false,
            trouble: None,
            strange_options: Vec::new(),
        }
    }

    fn end_of(&self, src: SocketAddr) -> Side {
        if src == self.ends[CLIENT] { CLIENT } else { SERVER }
    }

    fn push(&mut self, record: &Record<'_>, segment: &Segment<'_>, header: &[u8], bad_checksum: bool) {
        let kind = DataKind::New; // until the recording is settled
        let recorded = Recorded { kind, bad_checksum, ..self.recorded(record, segment, header) };
        let from = recorded.from;
        self.packets.push(recorded);
        self.outbound[from] += u32::from(record.direction == Some(Direction::Outbound));
        self.outbound[from.other()] += u32::from(record.direction == Some(Direction::Inbound));
    }

    /// Notes the identification of the last packet.
    fn note_ident(&mut self, ip: &IpView<'_>) {
        let ident = ip.header.get(4..6).filter(|_| ip.src.is_ipv4()).map_or(0, |id| u16::from_be_bytes([id[0], id[1]]));
        if let Some(last) = self.packets.last_mut() {
            last.ident = ident;
        }
    }

    /// Keeps bytes, and gives their range.
    fn keep(&mut self, bytes: &[u8]) -> core::ops::Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// An ICMP error for the end `about`: it comes from its peer in the conversation.
    fn push_icmp(&mut self, record: &Record<'_>, about: SocketAddr, bytes: &[u8]) {
        let payload = self.keep(bytes);
        let unseen = self.unseen(record, self.end_of(about).other(), payload);
        self.packets.push(Recorded { icmp: true, ..unseen });
    }

    /// A segment that was corrupted on the way. No TCP took it.
    fn push_corrupted(&mut self, record: &Record<'_>, segment: &Segment<'_>, header: &[u8]) {
        let recorded = self.recorded(record, segment, header);
        self.packets.push(Recorded { bad_checksum: true, ..recorded });
    }

    /// A segment, whose header and text are kept. Nothing is said about whether TCP took it.
    fn recorded(&mut self, record: &Record<'_>, segment: &Segment<'_>, header: &[u8]) -> Recorded {
        let header = self.keep(header);
        let payload = self.keep(segment.payload);
        let unseen = self.unseen(record, self.end_of(segment.src), payload);
        let Segment { seq, ack, flags, window, options, ttl, ecn, .. } = *segment;
        Recorded { seq, ack, flags, window, options, ttl, ecn, header, ..unseen }
    }

    /// A packet that no TCP took anything from.
    fn unseen(&self, record: &Record<'_>, from: Side, payload: core::ops::Range<usize>) -> Recorded {
        Recorded {
            number: record.number,
            at: self.duration().max(record.at.since(self.started)),
            from,
            seq: Seq(0),
            ack: Seq(0),
            flags: Flags::default(),
            window: 0,
            options: Options::default(),
            ttl: 64,
            ecn: 0,
            header: 0..0,
            ident: 0,
            payload,
            kind: DataKind::Unacceptable,
            bad_checksum: false,
            icmp: false,
        }
    }

    /// Options that the stack does not have. Most of them may be left out, signatures may not.
    fn note_options(&mut self, number: u64, mut area: &[u8]) {
        while let [kind, rest @ ..] = area {
            match kind {
                0 => break,
                1 => {
                    area = rest;
                    continue;
                }
                2..=5 | 8 => {}
                19 | 29 => {
                    let name = if *kind == 19 { "MD5 signatures (RFC 2385)" } else { "TCP-AO (RFC 5925)" };
                    let reason = format!("the stack does not have the option that signs the segments, {name}");
                    self.trouble.get_or_insert(Skip::new(number, reason));
                }
                kind if !self.strange_options.contains(kind) => self.strange_options.push(*kind),
                _ => {}
            }
            let Some(len) = rest.first().map(|len| usize::from(*len).max(2)) else { break };
            area = area.get(len..).unwrap_or_default();
        }
    }
}
