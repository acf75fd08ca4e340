//! pcapng, parsed by pcap-file, block by block. Only what carries packets is looked into: sections, interfaces, and the
//! three kinds of packet blocks. Names, statistics, secrets and custom blocks cannot make a capture unreadable.
//!
//! pcap-file gives the time of a packet by its interface's resolution (a power of ten or of two) and offset; a simple
//! packet has none, and is shown at the time of the packet before it.

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::packet::PacketOption;
use pcap_file::pcapng::blocks::section_header::SectionHeaderOption;
use pcap_file::pcapng::blocks::{ENHANCED_PACKET_BLOCK, PACKET_BLOCK, SIMPLE_PACKET_BLOCK};
use pcap_file::pcapng::{Block, PcapNgParseError, PcapNgParser};

use super::Direction;
use super::error::ReadProblem;
use super::source::Source;
use crate::time::{Duration, Instant};

/// No capture program writes longer blocks (Wireshark's limit).
const MOST: u64 = 16 * 1024 * 1024;

/// A file of sections.
pub(super) struct Pcapng {
    parser: PcapNgParser,
    last: Instant,
}

/// One packet; its frame is among the bytes that were just taken from the source.
#[derive(Debug)]
pub(super) struct PcapngRecord {
    pub(super) at: Instant,
    pub(super) link_type: u32,
    /// Where the frame begins, counted back from the first byte that was not taken.
    pub(super) back: usize,
    pub(super) captured_len: u32,
    pub(super) original_len: u32,
    pub(super) direction: Option<Direction>,
    pub(super) comment: Option<String>,
}

/// The options of a packet block.
#[derive(Default)]
struct Said {
    flags: u32,
    comment: Option<String>,
}

impl Pcapng {
    /// Reads the header of the first section.
    pub(super) fn open(source: &mut Source) -> Result<Self, ReadProblem> {
        let (len, parser) =
            parse(source, |bytes| PcapNgParser::new(bytes).map(|(rest, parser)| (bytes.len() - rest.len(), parser)))?
                .ok_or(ReadProblem::Empty)?;
        source.advance(len);
        Ok(Self { parser, last: Instant::EPOCH })
    }

    /// The comment on the section that is being read.
    pub(super) fn section_comment(&self) -> Option<&str> {
        self.parser.section().options.iter().find_map(|option| match option {
            SectionHeaderOption::Common(CommonOption::Comment(text)) => Some(text.as_ref()),
            _ => None,
        })
    }

    /// True if packets of some interface of this section can be read by `is_known`.
    pub(super) fn has_link_type(&self, is_known: fn(u32) -> bool) -> bool {
        self.parser.interfaces().iter().any(|interface| is_known(interface.linktype.into()))
    }

    /// The next packet; `None` at the end.
    pub(super) fn next_record(&mut self, source: &mut Source) -> Result<Option<PcapngRecord>, ReadProblem> {
        loop {
            let Self { parser, last } = self;
            let next = parse(source, |bytes| {
                let (rest, raw) = parser.next_raw_block(bytes)?;
                let len = bytes.len() - rest.len();
                let packet = match raw.type_ {
                    ENHANCED_PACKET_BLOCK | PACKET_BLOCK | SIMPLE_PACKET_BLOCK => {
                        Some(read_packet(parser, &raw.try_into_block(parser.state())?, len, *last))
                    }
                    _ => None,
                };
                Ok((len, packet))
            })?;
            let Some((len, packet)) = next else { return Ok(None) };
            source.advance(len);
            if let Some(packet) = packet {
                let record = packet?;
                self.last = record.at;
                return Ok(Some(record));
            }
        }
    }
}

/// Has pcap-file parse what is there, and reads more while that is not enough. `None` at the end of the file.
fn parse<T>(
    source: &mut Source,
    mut parse: impl FnMut(&[u8]) -> Result<T, PcapNgParseError>,
) -> Result<Option<T>, ReadProblem> {
    if source.peek(1)?.is_empty() {
        return Ok(None);
    }
    loop {
        match parse(source.bytes()) {
            Ok(parsed) => return Ok(Some(parsed)),
            Err(PcapNgParseError::IncompleteBuffer(len, _)) if len as u64 > MOST => {
                return Err(ReadProblem::TooLong { len: len as u64, most: MOST });
            }
            Err(PcapNgParseError::IncompleteBuffer(..)) => {
                if source.read_more()? == 0 {
                    return Err(ReadProblem::CutOff);
                }
            }
            Err(error) => return Err(ReadProblem::Damaged(chain(&error))),
        }
    }
}

/// A packet block of `len` bytes.
fn read_packet(
    parser: &PcapNgParser,
    block: &Block<'_>,
    len: usize,
    last: Instant,
) -> Result<PcapngRecord, ReadProblem> {
    // Type and length of a block are 8 bytes, its fixed fields 20 (4 in a simple one); then comes the frame.
    let before = if matches!(block, Block::SimplePacket(_)) { 12 } else { 28 };
    let (interface, at, data, original_len, said) = match block {
        Block::EnhancedPacket(packet) => {
            let said = say(packet.options.iter().map(|option| match option {
                EnhancedPacketOption::Flags(flags) => (Some(*flags), None),
                EnhancedPacketOption::Common(CommonOption::Comment(text)) => (None, Some(text.as_ref())),
                _ => (None, None),
            }));
            (packet.interface_id, instant(packet.timestamp)?, &packet.data, packet.original_len, said)
        }
        Block::Packet(packet) => {
            let said = say(packet.options.iter().map(|option| match option {
                PacketOption::Flags(flags) => (Some(*flags), None),
                PacketOption::Common(CommonOption::Comment(text)) => (None, Some(text.as_ref())),
                _ => (None, None),
            }));
            (packet.interface_id.into(), instant(packet.timestamp)?, &packet.data, packet.original_len, said)
        }
        Block::SimplePacket(packet) => (0, last, &packet.data, packet.original_len, Said::default()),
        _ => return Err(ReadProblem::Damaged("a packet block that is none".to_owned())),
    };
    let Some(interface) = parser.interfaces().get(interface as usize) else {
        return Err(ReadProblem::Damaged(format!("a packet of interface {interface}, which is not described")));
    };
    Ok(PcapngRecord {
        at,
        link_type: interface.linktype.into(),
        back: len - before,
        captured_len: data.len() as u32,
        original_len,
        direction: match said.flags & 3 {
            1 => Some(Direction::Inbound),
            2 => Some(Direction::Outbound),
            _ => None,
        },
        comment: said.comment,
    })
}

/// Several comments on one packet stand one below the other.
fn say<'a>(options: impl Iterator<Item = (Option<u32>, Option<&'a str>)>) -> Said {
    let mut said = Said::default();
    for (flags, comment) in options {
        said.flags = flags.unwrap_or(said.flags);
        match (&mut said.comment, comment) {
            (Some(before), Some(text)) => {
                before.push('\n');
                before.push_str(text);
            }
            (none, Some(text)) => *none = Some(text.to_owned()),
            _ => {}
        }
    }
    said
}

fn instant(timestamp: Duration) -> Result<Instant, ReadProblem> {
    u64::try_from(timestamp.as_nanos())
        .map(Instant::from_nanos)
        .map_err(|_| ReadProblem::Damaged(format!("a time {} seconds after 1970", timestamp.as_secs())))
}

/// An error with its causes in one line, because pcap-file's outer errors have little detail.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        if !text.ends_with(&inner) {
            text.push_str(": ");
            text.push_str(&inner);
        }
        cause = error.source();
    }
    text
}
