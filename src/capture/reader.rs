//! Reads a capture of any program, record by record. `show`, `replay` and `diff` use it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::{ReadError, ReadProblem};
use super::link_layer;
use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::source::Source;
use super::{Direction, Format};
use crate::time::Instant;

/// A capture, from its first record to its last or to the first error, after which there is nothing more.
///
/// Read are pcap and pcapng in both byte orders and all resolutions of time, and below them raw IP, Ethernet (with VLAN
/// tags), PPP, BSD loopback and Linux cooked frames. A file that is cut off gives its whole records, then the error.
pub struct Reader {
    file: String,
    source: Source,
    container: Container,
    comment: Option<String>,
    number: u64,
    other: u64,
    ended: bool,
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
    /// As much of the IP packet as was captured, without link layer and padding. `None` if the frame carries no IP.
    pub packet: Option<&'a [u8]>,
    /// The length of the packet on the wire; of the frame if it carries no IP.
    pub original_len: u32,
    /// The length of the frame on the wire, link layer and padding included: Wireshark's `frame.len`.
    pub frame_len: u32,
    /// How much of the frame was captured: `frame.cap_len`.
    pub frame_captured_len: u32,
    /// The link layer, by its number in tcpdump.org/linktypes.html.
    pub link_type: u32,
    /// The direction, if the file has it.
    pub direction: Option<Direction>,
    /// The comments on it, one on each line.
    pub comment: Option<&'a str>,
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
        match open_container(&mut source) {
            Ok(container) => Ok(Self { file, source, container, comment: None, number: 0, other: 0, ended: false }),
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
            Err(problem) => {
                self.ended = true;
                Some(Err(ReadError { file: self.file.clone(), packet: Some(self.number + 1), problem }))
            }
        }
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

    /// Records so far that carry no IP packet.
    pub fn other_records(&self) -> u64 {
        self.other
    }

    /// Takes one record from the source. Nothing is borrowed yet.
    fn advance(&mut self) -> Result<Option<Taken>, ReadProblem> {
        let taken = match &mut self.container {
            Container::Pcap(pcap) => {
                let Some(record) = pcap.next_record(&mut self.source)? else { return Ok(None) };
                if !link_layer::is_known(pcap.link_type) {
                    return Err(ReadProblem::LinkType(pcap.link_type));
                }
                self.comment = None;
                Taken {
                    at: record.at,
                    link_type: pcap.link_type,
                    back: record.captured_len as usize,
                    captured_len: record.captured_len as usize,
                    original_len: record.original_len,
                    direction: None,
                }
            }
            Container::Pcapng(pcapng) => {
                let Some(record) = pcapng.next_record(&mut self.source)? else { return Ok(None) };
                // Beside an interface that is understood another one may be anything.
                if !pcapng.has_link_type(link_layer::is_known) {
                    return Err(ReadProblem::LinkType(record.link_type));
                }
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
        let found = link_layer::find(link_type, frame, original_len);
        self.other += u64::from(found.packet.is_none());
        Record {
            number: self.number,
            at,
            packet: found.packet.map(|(start, end)| &frame[start..end]),
            original_len: found.original_len,
            frame_len: original_len,
            frame_captured_len: captured_len as u32,
            link_type,
            direction: direction.or(found.direction),
            comment: self.comment.as_deref(),
        }
    }
}

/// A record that was taken from the source: where its frame is, and what is known of it.
struct Taken {
    at: Instant,
    link_type: u32,
    back: usize,
    captured_len: usize,
    original_len: u32,
    direction: Option<Direction>,
}

fn open_container(source: &mut Source) -> Result<Container, ReadProblem> {
    if let Some(pcap) = Pcap::open(source)? {
        return Ok(Container::Pcap(pcap));
    }
    match *source.peek(4)? {
        [] => Err(ReadProblem::Empty),
        [0x0a, 0x0d, 0x0d, 0x0a] => Pcapng::open(source).map(|pcapng| Container::Pcapng(Box::new(pcapng))),
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
