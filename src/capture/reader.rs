//! Reads a capture of any program, record by record. `show`, `replay` and `drill --from` use it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::{ReadError, ReadProblem};
use super::link_layer::{self, FramePayload, Unread};
use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::source::Source;
use super::warning::{Oddity, Subject, Warning, Warnings};
use super::{Direction, Format};
use crate::segment::CaptureParser;
use crate::time::Instant;

/// Kinds of frames that are counted by name. The frames of further kinds are counted together.
const MOST_NAMES: usize = 256;
/// The link type of a packet whose interface the file does not describe.
const NO_LINK_TYPE: u32 = u32::MAX;

/// A capture, from its first record to its last or to the first error, after which there is nothing more.
///
/// Read are pcap and pcapng in both byte orders and all resolutions of time. Below them are read raw IP, Ethernet, VLAN
/// tags, MPLS, `PPPoE`, PPP, LLC, 802.11, BSD loopback and Linux cooked frames, and IP in IP, GRE, VXLAN and the like. What is
/// not looked into is counted by its name ([`Reader::unread`]).
///
/// A file that ends in the middle of a record gives its whole records. This, and whatever is odd and costs no packet, is
/// one of the [`warnings`](Reader::warnings).
pub struct Reader {
    file: String,
    source: Source,
    container: Container,
    comment: Option<String>,
    number: u64,
    other: u64,
    unread: BTreeMap<Unread, u64>,
    warnings: Warnings,
    /// Puts fragments of tunnels together.
    outer: CaptureParser,
    ended: bool,
    torn: bool,
}

enum Container {
    Pcap(Pcap),
    Pcapng(Box<Pcapng>),
}

/// One packet of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// From 1, as Wireshark counts.
    pub number: u64,
    /// When it passed, to the nanosecond if the file has it.
    pub at: Instant,
    /// As much of the IP packet as was captured, without link layer and padding. Of packets in packets it is the innermost
    /// one. `None` if no IP packet is found in the frame.
    pub packet: Option<&'a [u8]>,
    /// What was not looked into.
    pub unread: Option<Unread>,
    /// The length of the packet on the wire; of the frame if it carries no IP.
    pub original_len: u32,
    /// The length of the frame on the wire, link layer and padding included: Wireshark's `frame.len`.
    pub frame_len: u32,
    /// How much of the frame was captured: `frame.cap_len`.
    pub frame_captured_len: u32,
    /// The link layer, by its number in tcpdump.org/linktypes.html. [`u32::MAX`] if the file does not say it.
    pub link_type: u32,
    /// The direction, if the file has it.
    pub direction: Option<Direction>,
    /// The comments on it, one on each line.
    pub comment: Option<&'a str>,
}

impl<'a> Record<'a> {
    /// A record of a whole IP packet, as a capture of raw IP has it.
    pub fn of_packet(number: u64, at: Instant, packet: &'a [u8], comment: Option<&'a str>) -> Self {
        let len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        Self {
            number,
            at,
            packet: Some(packet),
            unread: None,
            original_len: len,
            frame_len: len,
            frame_captured_len: len,
            link_type: super::encode::LINK_TYPE_RAW.into(),
            direction: None,
            comment,
        }
    }
}

impl Record<'_> {
    /// True if all of the packet was captured.
    pub fn is_whole(&self) -> bool {
        self.packet.is_some_and(|packet| packet.len() as u64 == u64::from(self.original_len))
    }
}

impl Reader {
    /// Opens a capture file.
    ///
    /// # Errors
    /// It cannot be opened, or is no capture. Errors behind the header come from [`Reader::next_record`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let file = path.as_ref().display().to_string();
        match File::open(&path) {
            Ok(input) => Self::from_read(input, &file),
            Err(error) => Err(ReadError { file, packet: None, problem: error.into() }),
        }
    }

    /// Reads a capture from a stream or from memory; `name` is for messages.
    ///
    /// # Errors
    /// It cannot be read, or is no capture.
    pub fn from_read(input: impl Read + Send + 'static, name: &str) -> Result<Self, ReadError> {
        let mut source = Source::new(Box::new(input));
        let file = name.to_owned();
        let mut warnings = Warnings::new(name);
        match open_container(&mut source, &mut warnings) {
            Ok(container) => Ok(Self {
                file,
                source,
                container,
                comment: None,
                number: 0,
                other: 0,
                unread: BTreeMap::new(),
                warnings,
                outer: CaptureParser::new(),
                ended: false,
                torn: false,
            }),
            Err(problem) => Err(ReadError { file, packet: None, problem }),
        }
    }

    /// The next record; `None` at the end, and after an error.
    pub fn next_record(&mut self) -> Option<Result<Record<'_>, ReadError>> {
        if self.ended {
            return None;
        }
        match self.advance() {
            Ok(Some(found)) => Some(Ok(self.record(&found))),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(ReadProblem::CutOff) => {
                (self.ended, self.torn) = (true, true);
                let bytes = self.source.bytes().len() as u64;
                self.warnings.add(self.number + 1, Subject::File, Oddity::Torn { bytes });
                None
            }
            Err(problem) => {
                self.ended = true;
                Some(Err(ReadError { file: self.file.clone(), packet: Some(self.number + 1), problem }))
            }
        }
    }

    /// The file, as it was named.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The format of the file.
    pub fn format(&self) -> Format {
        match self.container {
            Container::Pcap(_) => Format::Pcap,
            Container::Pcapng(_) => Format::Pcapng,
        }
    }

    /// True if tcplab wrote the section that is being read: the brackets in its comments can be relied upon.
    pub fn is_ours(&self) -> bool {
        self.section_comment().is_some_and(is_ours)
    }

    /// The comment on the section that is being read: in our captures the recipe of the run.
    pub fn section_comment(&self) -> Option<&str> {
        match &self.container {
            Container::Pcap(_) => None,
            Container::Pcapng(pcapng) => pcapng.section_comment(),
        }
    }

    /// Records so far in which no IP packet was found.
    pub fn other_records(&self) -> u64 {
        self.other
    }

    /// What was not looked into so far, and how many records carry it.
    pub fn unread(&self) -> impl Iterator<Item = (Unread, u64)> {
        self.unread.iter().map(|(unread, count)| (*unread, *count))
    }

    /// The line that a summary has about it: `not looked into: 12 packets of link type 204 (PPP with direction)`.
    pub fn unread_summary(&self) -> Option<String> {
        let names = self.unread().map(|(unread, count)| {
            let packets = if count == 1 { "packet" } else { "packets" };
            format!("{count} {packets} of {unread}")
        });
        let names: Vec<_> = names.collect();
        (!names.is_empty()).then(|| format!("not looked into: {}", names.join(", ")))
    }

    /// True if the file ends in the middle of a record, and that was reached.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    /// What is odd so far, each kind once.
    pub fn warnings(&self) -> &[Warning] {
        self.warnings.list()
    }

    /// Takes one record from the source. Nothing is borrowed yet.
    fn advance(&mut self) -> Result<Option<Taken>, ReadProblem> {
        let Self { container, source, warnings, number, .. } = self;
        let taken = match container {
            Container::Pcap(pcap) => {
                let Some(record) = pcap.next_record(source, *number + 1, warnings)? else { return Ok(None) };
                self.comment = None;
                Taken {
                    at: record.at,
                    link_type: Some(pcap.link_type),
                    back: record.captured_len as usize,
                    captured_len: record.captured_len as usize,
                    original_len: record.original_len,
                    direction: None,
                }
            }
            Container::Pcapng(pcapng) => {
                let Some(record) = pcapng.next_record(source, warnings)? else { return Ok(None) };
                self.comment = record.comment;
                Taken {
                    at: record.at,
                    link_type: record.link_type,
                    back: record.back,
                    captured_len: record.captured_len as usize,
                    original_len: record.original_len,
                    direction: record.direction,
                }
            }
        };
        self.number += 1;
        Ok(Some(taken))
    }

    fn record(&mut self, taken: &Taken) -> Record<'_> {
        let Taken { at, link_type, back, captured_len, original_len, direction } = *taken;
        let frame = self.source.taken(back, captured_len);
        let mut found = match link_type {
            Some(link_type) => link_layer::find(link_type, frame, original_len),
            None => FramePayload {
                packet: None,
                original_len,
                direction: None,
                unread: Some(Unread::Other("interfaces that the file does not describe")),
            },
        };
        let mut packet = found.packet.map(|(start, end)| &frame[start..end]);
        if let Some(outer) = packet.filter(|packet| link_layer::is_fragmented_tunnel(packet)) {
            let whole = self.outer.parse(outer, found.original_len);
            if whole.reassembled
                && let Some(inner) = link_layer::find_inner(whole.bytes, whole.bytes.len() as u32)
            {
                packet = inner.packet.map(|(start, end)| &whole.bytes[start..end]);
                (found.original_len, found.unread) = (inner.original_len, inner.unread);
            }
        }
        self.other += u64::from(packet.is_none());
        if let Some(unread) = found.unread {
            let room = self.unread.len() < MOST_NAMES || self.unread.contains_key(&unread);
            let name = if room { unread } else { Unread::Other("further kinds") };
            *self.unread.entry(name).or_default() += 1;
        }
        Record {
            number: self.number,
            at,
            packet,
            unread: found.unread,
            original_len: found.original_len,
            frame_len: original_len,
            frame_captured_len: captured_len as u32,
            link_type: link_type.unwrap_or(NO_LINK_TYPE),
            direction: direction.or(found.direction),
            comment: self.comment.as_deref(),
        }
    }
}

/// A record that was taken from the source: where its frame is, and what is known of it.
struct Taken {
    at: Instant,
    link_type: Option<u32>,
    back: usize,
    captured_len: usize,
    original_len: u32,
    direction: Option<Direction>,
}

fn open_container(source: &mut Source, warnings: &mut Warnings) -> Result<Container, ReadProblem> {
    if let Some(pcap) = Pcap::open(source)? {
        return Ok(Container::Pcap(pcap));
    }
    match *source.peek(4)? {
        [] => Err(ReadProblem::Empty),
        [0x0a, 0x0d, 0x0d, 0x0a] => Pcapng::open(source, warnings).map(|pcapng| Container::Pcapng(Box::new(pcapng))),
        // gzip, zstd, lz4
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd] | [0x04, 0x22, 0x4d, 0x18] => Err(ReadProblem::Compressed),
        [a, b, c, d] => Err(ReadProblem::UnknownFormat(u32::from_be_bytes([a, b, c, d]))),
        _ => Err(ReadProblem::CutOff),
    }
}

impl core::fmt::Debug for Reader {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Reader({} after packet {})", self.file, self.number)
    }
}

/// Whether a section comment is one of tcplab's: a line of JSON that begins with our mark. The one place that decides it.
pub(crate) fn is_ours(section_comment: &str) -> bool {
    section_comment.trim_start().starts_with("{\"tcplab\":")
}
