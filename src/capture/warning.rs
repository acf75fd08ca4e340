//! What is odd in a capture and costs no packet. `pcap`, `pcapng` and [`Reader`](super::Reader) report it; the commands
//! print it.
//!
//! Equal oddities are one warning with a count, because a program that writes one odd option writes it on every packet.

use core::fmt;

use crate::escape::Name;

/// Kinds of oddities that are kept of one file. Further kinds are only counted.
const MOST: usize = 64;

/// Something odd in a file: the packets are read, and what is odd is left out or mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file, as it was named.
    pub file: String,
    /// The packet, counted from 1, before or at which it was first seen.
    pub packet: u64,
    /// How often it was seen.
    pub count: u64,
    subject: Subject,
    oddity: Oddity,
}

/// Where an oddity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The file as a whole, or a packet of a pcap file.
    File,
    /// A block of pcapng.
    Block {
        /// Counted from 1.
        number: u64,
        /// Its type.
        kind: u32,
        /// The code of an option in it.
        option: Option<u16>,
    },
}

/// What is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    /// Text that is not UTF-8.
    NotUtf8,
    /// An option of another length than its kind has.
    OptionLen { expected: u16 },
    /// An option that reaches beyond its block, or bytes that are too few for one.
    OptionOverrun,
    /// A block too short for its fixed fields.
    BlockTooShort,
    /// The length at the end of a block is not the length at its beginning.
    Trailer,
    /// The length of a block is not a multiple of four.
    Unaligned,
    /// The version of the format.
    Version(u16),
    /// A resolution of time finer than a nanosecond.
    FineTime,
    /// A time before 1970, or later than 64 bits of nanoseconds hold.
    TimeOutOfRange,
    /// More was captured of a packet than it had.
    CapturedAboveOriginal,
    /// More was captured of a packet than is in its block.
    CapturedAboveBlock,
    /// A fraction of a second that is a second or more.
    Fraction,
    /// A packet of an interface that is not described.
    NoInterface,
    /// The records of a block of names.
    Names,
    /// The file ends in a record.
    Torn { bytes: u64 },
    /// Of the kinds above, those for which there is no room.
    More,
}

/// The warnings of one file.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    file: String,
    list: Vec<Warning>,
}

impl Warnings {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), list: Vec::new() }
    }

    pub(super) fn list(&self) -> &[Warning] {
        &self.list
    }

    /// Notes an oddity at a packet.
    #[cold]
    pub(super) fn add(&mut self, packet: u64, subject: Subject, oddity: Oddity) {
        let same = |known: &&mut Warning| known.oddity == oddity && known.subject.is_like(subject);
        if let Some(known) = self.list.iter_mut().find(same) {
            known.count += 1;
        } else if self.list.len() < MOST {
            self.list.push(Warning { file: self.file.clone(), packet, count: 1, subject, oddity });
        } else {
            // Its place is the last one of the list.
            self.list.truncate(MOST - 1);
            self.list.push(Warning {
                file: self.file.clone(),
                packet,
                count: 2,
                subject: Subject::File,
                oddity: Oddity::More,
            });
        }
    }
}

impl Subject {
    /// The same kind of block and option.
    fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::File, Self::File) => true,
            (Self::Block { kind, option, .. }, Self::Block { kind: other_kind, option: other_option, .. }) => {
                (kind, option) == (other_kind, other_option)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {}", Name(&self.file))?;
        match self.subject {
            Subject::File => {
                if !matches!(self.oddity, Oddity::More) {
                    write!(f, ", packet {}", self.packet)?;
                }
            }
            Subject::Block { number, kind, option } => {
                write!(f, ", block {number} ({})", super::pcapng::block_name(kind))?;
                if let Some(code) = option {
                    write!(f, ", option {}", super::pcapng::option_name(kind, code))?;
                }
            }
        }
        write!(f, ": {}", self.oddity)?;
        if self.count > 1 && !matches!(self.oddity, Oddity::More) {
            write!(f, " ({} times)", self.count)
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NotUtf8 => "the text is not UTF-8; bytes that are not are shown as \u{fffd}",
            Self::OptionLen { expected } => return write!(f, "it should have {expected} bytes; it is ignored"),
            Self::OptionOverrun => "an option reaches beyond the block; it and those behind it are ignored",
            Self::BlockTooShort => "the block is shorter than its fixed fields; it is ignored",
            Self::Trailer => {
                "the length at the end of the block is another one than at its beginning; the latter is used"
            }
            Self::Unaligned => "the length of the block is not a multiple of four",
            Self::Version(major) => return write!(f, "version {major} of the format is read as version 1"),
            Self::FineTime => "times are finer than a nanosecond; they are cut to nanoseconds",
            Self::TimeOutOfRange => {
                "the time is before 1970 or after 2554; the packet is shown at a time near that of the packet before it"
            }
            Self::CapturedAboveOriginal => {
                "more was captured than the original length; the captured length is taken for the original one"
            }
            Self::CapturedAboveBlock => "the captured length is larger than the record; what is in the record is read",
            Self::Fraction => "the fraction of the second is a second or more; it is added to the seconds",
            Self::NoInterface => {
                "the packet is of an interface that the file does not describe; its link type is that of the others, \
                 where they have the same"
            }
            Self::Names => "the names in it cannot all be read; they are ignored",
            Self::Torn { bytes } => {
                return write!(
                    f,
                    "the file ends in the middle of this record, as after kill -9; its {bytes} bytes are not read, and \
                     what was not yet written is lost"
                );
            }
            Self::More => "there are further oddities of other kinds",
        };
        f.write_str(text)
    }
}
