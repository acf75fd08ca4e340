//! The errors of capture files: the operation, the file, the packet number, and what to do.

use std::io;

use super::Summary;
use crate::escape::Name;

/// A capture that cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[error("read {}{}: {problem}", Name(.file), AtPacket(*.packet))]
pub struct ReadError {
    /// The file, as it was named.
    pub file: String,
    /// The packet, counted from 1, at which it happened; `None` if it was before the first one.
    pub packet: Option<u64>,
    /// What is wrong.
    pub problem: ReadProblem,
}

/// What is wrong with a capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadProblem {
    /// A system call failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Zero bytes.
    #[error("the file is empty, it has not even a header; was the capture stopped before it began?")]
    Empty,
    /// The file begins with something else.
    #[error(
        "neither pcap nor pcapng ({}); what Wireshark can read is converted by \
         `editcap -F pcapng FILE NEW.pcapng`", Begins(*.0)
    )]
    UnknownFormat(u32),
    /// The file is compressed.
    #[error("the file is compressed; unpack it first (gunzip, zstd -d, lz4 -d)")]
    Compressed,
    /// The file ends in the middle of its header. One that ends in a later record is read up to there, with a warning.
    #[error("the file ends in the middle of a record, before the first packet; was the capture stopped as it began?")]
    CutOff,
    /// A length that no capture has.
    #[error(
        "a record of {len} bytes, where {most} is the most that can be: the file is damaged here, and \
         `editcap FILE NEW.pcapng` keeps what comes before"
    )]
    TooLong {
        /// The length.
        len: u64,
        /// The largest.
        most: u64,
    },
    /// Another malformed record.
    #[error("{0}: the file is damaged here, and `editcap FILE NEW.pcapng` keeps what Wireshark can make of it")]
    Damaged(String),
}

/// The type of a file, from its first four bytes.
struct Begins(u32);

impl core::fmt::Display for Begins {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let name = match &self.0.to_be_bytes() {
            b"snoo" => "Sun snoop",
            b"btsn" => "btsnoop",
            b"TRSN" => "Sniffer (DOS)",
            b"XCP\0" => "NetXray, Sniffer (Windows)",
            b"RTSS" => "Microsoft NetMon 1",
            b"GMBU" => "Microsoft NetMon 2",
            b"Obse" => "Viavi Observer",
            b"\x05VNF" => "Visual Networks",
            [0xaa, 0xaa, 0xaa, 0xaa] => "InfoVista 5View",
            [b'T', b'R', 0, _] => "HP-UX nettl",
            [0x01, 0x10, _, 0] => "Novell LANalyzer",
            b"+---" => "K12 text",
            _ => return write!(f, "it begins with {:08x}", self.0),
        };
        write!(f, "it looks like {name}")
    }
}

/// `, packet 7`, or nothing.
struct AtPacket(Option<u64>);

impl core::fmt::Display for AtPacket {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.map_or(Ok(()), |number| write!(f, ", packet {number}"))
    }
}

/// A capture that cannot be written, or not to its end.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}{}", Name(.file), Rest(.source, .summary.as_ref()))]
pub struct WriteError {
    operation: &'static str,
    /// The file, as it was named.
    pub file: String,
    /// The cause.
    pub source: io::Error,
    /// What is in the file and what is not; `None` if it was not even begun.
    pub summary: Option<Summary>,
}

/// What is kept and what is lost.
struct Rest<'a>(&'a io::Error, Option<&'a Summary>);

impl core::fmt::Display for Rest<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self(source, summary) = self;
        summary.map_or(Ok(()), |summary| {
            let Summary { captured, dropped, not_written } = summary;
            if source.kind() == io::ErrorKind::TimedOut {
                let not_written = not_written + dropped;
                return write!(f, "; {captured} packets are written, {not_written} are not (has the reader stopped?)");
            }
            write!(
                f,
                "; the capture ends with its last whole record: {captured} packets are kept, {not_written} are not \
                 written (make room, or keep less of each packet with a snaplen)"
            )
        })
    }
}

impl WriteError {
    pub(super) fn creating(file: &str, source: io::Error) -> Self {
        Self { operation: "create the capture", file: file.to_owned(), source, summary: None }
    }

    pub(super) fn writing(file: &str, source: io::Error, summary: Summary) -> Self {
        Self { operation: "write", file: file.to_owned(), source, summary: Some(summary) }
    }

    pub(super) fn stopped(file: &str, summary: Summary) -> Self {
        let source = io::Error::new(io::ErrorKind::TimedOut, "the data is not taken any more");
        Self { operation: "write", file: file.to_owned(), source, summary: Some(summary) }
    }

    pub(super) fn too_long(file: &str, len: usize) -> Self {
        let text = format!("a comment of {len} bytes does not fit, the format allows {}", super::encode::MAX_OPTION);
        Self::creating(file, io::Error::new(io::ErrorKind::InvalidInput, text))
    }
}
