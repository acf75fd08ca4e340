//! Reads pcapng (draft-ietf-opsawg-pcapng), block by block. The crate pcap-file frames the blocks; what is in them is read
//! here, because its checks refuse files that exist: text that is not UTF-8, lengths that disagree, odd times.
//!
//! Only what carries packets has an effect: sections, interfaces, and the three kinds of packet blocks. Everything odd is a
//! warning with the block and the option, and costs no packet.

mod clock;
mod options;

use byteorder_slice::{BigEndian, LittleEndian};
use pcap_file::pcapng::{PcapNgFormatError, RawBlock, RawBlockParseError};

use super::Direction;
use super::error::ReadProblem;
use super::source::Source;
use super::warning::{Oddity, Subject, Warnings};
use crate::time::Instant;
use clock::{Clock, Times};
pub(super) use options::option_name;
use options::{COMMENT, EPB_FLAGS, IF_TSOFFSET, IF_TSRESOL, Order};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const NAMES: u32 = 4;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const CUSTOM: [u32; 2] = [0x0bad, 0x4000_0bad];

/// No capture program writes longer blocks (Wireshark's limit).
const MOST: u64 = 16 * 1024 * 1024;
/// Bytes of a block before its body: its type and its length.
const HEAD: usize = 8;

/// A file of sections.
pub(super) struct Pcapng {
    order: Order,
    comment: Option<String>,
    interfaces: Vec<Interface>,
    times: Times,
    /// Blocks so far.
    blocks: u64,
    /// Packets so far.
    packets: u64,
}

/// What packets need to know of their interface.
#[derive(Clone, Copy)]
struct Interface {
    /// `None` if its description could not be read.
    link_type: Option<u32>,
    /// 0 for no limit.
    snaplen: u32,
    clock: Clock,
}

/// One packet; its frame is among the bytes that were just taken from the source.
#[derive(Debug)]
pub(super) struct PcapngRecord {
    pub(super) at: Instant,
    /// `None` if it is not known.
    pub(super) link_type: Option<u32>,
    /// Where the frame begins, counted back from the first byte that was not taken.
    pub(super) back: usize,
    pub(super) captured_len: u32,
    pub(super) original_len: u32,
    pub(super) direction: Option<Direction>,
    pub(super) comment: Option<String>,
}

/// A block at the beginning of some bytes.
struct Framed {
    kind: u32,
    /// Bytes up to the next block.
    len: usize,
    /// Where its body ends.
    end: usize,
    order: Order,
    oddity: Option<Oddity>,
}

/// Why there is no block.
enum NoBlock {
    /// There are too few bytes.
    Incomplete,
    Problem(ReadProblem),
}

/// The fixed fields of a packet block, as they stand there.
struct Fields {
    interface: u32,
    /// `None` in a simple packet.
    ticks: Option<u64>,
    captured_len: u32,
    original_len: u32,
    /// Where the frame begins in the body.
    start: usize,
}

impl Pcapng {
    /// Reads the header of the first section.
    pub(super) fn open(source: &mut Source, warnings: &mut Warnings) -> Result<Self, ReadProblem> {
        let order = Order { big_endian: true };
        let mut pcapng =
            Self { order, comment: None, interfaces: Vec::new(), times: Times::default(), blocks: 0, packets: 0 };
        let framed = next_block(source, order)?.ok_or(ReadProblem::Empty)?;
        pcapng.take(&framed, &source.bytes()[HEAD..framed.end], warnings);
        source.advance(framed.len);
        Ok(pcapng)
    }

    /// The comment on the section that is being read.
    pub(super) fn section_comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The next packet; `None` at the end.
    pub(super) fn next_record(
        &mut self,
        source: &mut Source,
        warnings: &mut Warnings,
    ) -> Result<Option<PcapngRecord>, ReadProblem> {
        loop {
            let Some(framed) = next_block(source, self.order)? else { return Ok(None) };
            let record = self.take(&framed, &source.bytes()[HEAD..framed.end], warnings);
            source.advance(framed.len);
            if record.is_some() {
                self.packets += 1;
                return Ok(record);
            }
        }
    }

    /// Takes a block. Gives its packet, if it has one.
    fn take(&mut self, framed: &Framed, body: &[u8], warnings: &mut Warnings) -> Option<PcapngRecord> {
        self.blocks += 1;
        let (number, kind, packet) = (self.blocks, framed.kind, self.packets + 1);
        let mut odd = |option: Option<u16>, oddity: Oddity| {
            warnings.add(packet, Subject::Block { number, kind, option }, oddity);
        };
        if let Some(oddity) = framed.oddity {
            odd(None, oddity);
        }
        self.order = framed.order;
        let order = self.order;
        match kind {
            SECTION => self.section(body, &mut odd),
            INTERFACE => self.interface(body, &mut odd),
            ENHANCED_PACKET | PACKET | SIMPLE_PACKET => return self.packet(framed, body, &mut odd),
            NAMES => match options::names(order, body) {
                Some((rest, sound)) => {
                    if !sound {
                        odd(None, Oddity::Names);
                    }
                    options::walk(order, kind, rest, |_, _| {}, odd);
                }
                None => odd(None, Oddity::Names),
            },
            STATISTICS => match body.get(12..) {
                Some(rest) => options::walk(order, kind, rest, |_, _| {}, odd),
                None => odd(None, Oddity::BlockTooShort),
            },
            custom if CUSTOM.contains(&custom) && body.len() < 4 => odd(None, Oddity::BlockTooShort),
            _ => {}
        }
        None
    }

    fn section(&mut self, body: &[u8], odd: &mut dyn FnMut(Option<u16>, Oddity)) {
        self.interfaces.clear();
        self.times.restart();
        self.comment = None;
        if let Some(major) = self.order.u16(body, 4).filter(|major| *major != 1) {
            odd(None, Oddity::Version(major));
        }
        let Some(rest) = body.get(16..) else { return odd(None, Oddity::BlockTooShort) };
        let comment = &mut self.comment;
        let take = |code, value: &[u8]| {
            if code == COMMENT && comment.is_none() {
                *comment = Some(String::from_utf8_lossy(value).into_owned());
            }
        };
        options::walk(self.order, SECTION, rest, take, odd);
    }

    fn interface(&mut self, body: &[u8], odd: &mut dyn FnMut(Option<u16>, Oddity)) {
        let order = self.order;
        let mut clock = Clock::default();
        if let Some(rest) = body.get(8..) {
            let take = |code, value: &[u8]| match code {
                IF_TSRESOL => clock.resolution = value[0],
                IF_TSOFFSET => clock.offset = order.i64(value, 0).unwrap_or(0),
                _ => {}
            };
            options::walk(order, INTERFACE, rest, take, &mut *odd);
            if clock.is_fine() {
                odd(Some(IF_TSRESOL), Oddity::FineTime);
            }
        } else {
            odd(None, Oddity::BlockTooShort);
        }
        let snaplen = order.u32(body, 4).unwrap_or(0);
        // An interface that cannot be read keeps its number.
        self.interfaces.push(Interface { link_type: order.u16(body, 0).map(u32::from), snaplen, clock });
    }

    fn packet(
        &mut self,
        framed: &Framed,
        body: &[u8],
        odd: &mut dyn FnMut(Option<u16>, Oddity),
    ) -> Option<PcapngRecord> {
        let Some(fields) = self.fields(framed.kind, body) else {
            odd(None, Oddity::BlockTooShort);
            return None;
        };
        let there = (body.len() - fields.start) as u32;
        let mut captured_len = fields.captured_len;
        if captured_len > there {
            odd(None, Oddity::CapturedAboveBlock);
            captured_len = there;
        }
        let mut original_len = fields.original_len;
        if captured_len > original_len {
            odd(None, Oddity::CapturedAboveOriginal);
            original_len = captured_len;
        }
        let interface = self.interfaces.get(fields.interface as usize).copied();
        if interface.is_none() {
            odd(None, Oddity::NoInterface);
        }
        let interface = interface.unwrap_or_else(|| self.any_interface());
        let mut at = self.times.last;
        if let Some(ticks) = fields.ticks {
            let (placed, out_of_range) = self.times.place(interface.clock.nanos(ticks));
            at = placed;
            if out_of_range {
                odd(None, Oddity::TimeOutOfRange);
            }
        }
        let (mut flags, mut comment) = (0, None);
        if framed.kind != SIMPLE_PACKET {
            let rest = body.get(fields.start + (captured_len as usize).next_multiple_of(4)..).unwrap_or_default();
            let order = self.order;
            let take = |code, value: &[u8]| match code {
                COMMENT => add_comment(&mut comment, value),
                EPB_FLAGS => flags = order.u32(value, 0).unwrap_or(0),
                _ => {}
            };
            options::walk(order, framed.kind, rest, take, odd);
        }
        Some(PcapngRecord {
            at,
            link_type: interface.link_type,
            back: framed.len - HEAD - fields.start,
            captured_len,
            original_len,
            direction: match flags & 3 {
                1 => Some(Direction::Inbound),
                2 => Some(Direction::Outbound),
                _ => None,
            },
            comment,
        })
    }

    /// The fixed fields of a packet block.
    fn fields(&self, kind: u32, body: &[u8]) -> Option<Fields> {
        let word = |at: usize| self.order.u32(body, at);
        if kind == SIMPLE_PACKET {
            let original_len = word(0)?;
            let snaplen = self.interfaces.first().map_or(0, |interface| interface.snaplen);
            let limit = if snaplen == 0 { u32::MAX } else { snaplen };
            // Its captured length is not in the file: there is padding of up to three bytes.
            let captured_len = original_len.min(limit).min((body.len() - 4) as u32);
            return Some(Fields { interface: 0, ticks: None, captured_len, original_len, start: 4 });
        }
        let (high, low) = (word(4)?, word(8)?);
        let (captured_len, original_len) = (word(12)?, word(16)?);
        let interface = if kind == PACKET { self.order.u16(body, 0)?.into() } else { word(0)? };
        let ticks = u64::from(high) << 32 | u64::from(low);
        Some(Fields { interface, ticks: Some(ticks), captured_len, original_len, start: 20 })
    }

    /// The interface of packets whose own one is not described: as the others, if these have the same link type.
    fn any_interface(&self) -> Interface {
        let unknown = Interface { link_type: None, snaplen: 0, clock: Clock::default() };
        let Some(first) = self.interfaces.first() else { return unknown };
        let same = self.interfaces.iter().all(|interface| interface.link_type == first.link_type);
        if same { *first } else { unknown }
    }
}

/// Several comments on one packet stand one below the other.
fn add_comment(comment: &mut Option<String>, value: &[u8]) {
    let text = String::from_utf8_lossy(value);
    match comment {
        Some(before) => {
            before.push('\n');
            before.push_str(&text);
        }
        None => *comment = Some(text.into_owned()),
    }
}

/// The next block, which is then whole in the source. `None` at the end of the file.
fn next_block(source: &mut Source, order: Order) -> Result<Option<Framed>, ReadProblem> {
    if source.peek(1)?.is_empty() {
        return Ok(None);
    }
    loop {
        match frame(source.bytes(), order) {
            Ok(framed) => return Ok(Some(framed)),
            Err(NoBlock::Problem(problem)) => return Err(problem),
            Err(NoBlock::Incomplete) => {
                if source.read_more()? == 0 {
                    return Err(ReadProblem::CutOff);
                }
            }
        }
    }
}

/// Frames the block at the beginning of some bytes. `order` is that of the section so far.
fn frame(bytes: &[u8], order: Order) -> Result<Framed, NoBlock> {
    let big = Order { big_endian: true };
    let Some(word) = big.u32(bytes, 0) else { return Err(NoBlock::Incomplete) };
    let order = if word == SECTION {
        match big.u32(bytes, 8) {
            None => return Err(NoBlock::Incomplete),
            Some(magic) => Order { big_endian: magic == 0x1a2b_3c4d },
        }
    } else {
        order
    };
    let Some(len) = order.u32(bytes, 4) else { return Err(NoBlock::Incomplete) };
    if u64::from(len) > MOST {
        return Err(NoBlock::Problem(ReadProblem::TooLong { len: len.into(), most: MOST }));
    }
    let parsed = if order.big_endian {
        RawBlock::from_slice::<BigEndian>(bytes)
    } else {
        RawBlock::from_slice::<LittleEndian>(bytes)
    };
    let framed = |kind, len: usize, end, oddity| Framed { kind, len, end, order, oddity };
    match parsed {
        Ok((rest, block)) => {
            let len = bytes.len() - rest.len();
            Ok(framed(block.type_, len, len - 4, None))
        }
        Err(RawBlockParseError::IncompleteBuffer(..)) => Err(NoBlock::Incomplete),
        Err(RawBlockParseError::InvalidFormat(PcapNgFormatError::BlockLengthMismatch(len, _))) => {
            let kind = order.u32(bytes, 0).unwrap_or(0);
            Ok(framed(kind, len as usize, len as usize - 4, Some(Oddity::Trailer)))
        }
        Err(RawBlockParseError::InvalidFormat(PcapNgFormatError::BlockNotAligned(len))) if len >= 12 => {
            // The block is followed by padding, or by the next block at once. Its second length says which.
            let padded = len.next_multiple_of(4);
            if bytes.len() < len {
                return Err(NoBlock::Incomplete);
            }
            let again = |end: usize| order.u32(bytes, end - 4).is_some_and(|again| again as usize == len);
            let len = if again(len) { len } else { padded };
            if bytes.len() < len {
                return Err(NoBlock::Incomplete);
            }
            let kind = order.u32(bytes, 0).unwrap_or(0);
            Ok(framed(kind, len, len - 4, Some(Oddity::Unaligned)))
        }
        Err(error) => Err(NoBlock::Problem(ReadProblem::Damaged(chain(&error)))),
    }
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

/// How messages call a block.
pub(super) fn block_name(kind: u32) -> String {
    let name = match kind {
        SECTION => "section header",
        INTERFACE => "interface description",
        PACKET => "packet",
        SIMPLE_PACKET => "simple packet",
        NAMES => "name resolution",
        STATISTICS => "interface statistics",
        ENHANCED_PACKET => "enhanced packet",
        9 => "systemd journal",
        10 => "decryption secrets",
        kind if CUSTOM.contains(&kind) => "custom block",
        kind => return format!("type {kind:#x}"),
    };
    name.to_owned()
}
