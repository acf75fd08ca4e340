//! Reads pcap: a header of 24 bytes, then packets with a header of 16 bytes each, in the byte order of the writing
//! machine. It does not use pcap-file, whose checks refuse files that exist: packets above the snaplen, a snaplen of
//! zero, and longer packet headers (as of `editcap -F modpcap`).
//!
//! The length of a longer packet header is not stored in the file. Each length that may be is tried on the first packets,
//! and the one with the fewest oddities is taken, the usual one before the others.

use std::io;

use super::error::ReadProblem;
use super::link_layer;
use super::source::Source;
use super::warning::{Oddity, Subject, Warnings};
use crate::time::Instant;

/// No capture program writes longer packets.
const MOST: u32 = 262_144;
/// So many packets are looked at to find out how long their headers are, if so many are there already.
const LOOK_AT: usize = 16;
/// So many are waited for, on a pipe.
const WAIT_FOR: usize = 2;

/// How much speaks against a length of the headers: the records are impossible.
const IMPOSSIBLE: u32 = 1_000;
/// The first packet is not one of the link layer.
const NO_PACKET: u32 = 10;
/// A field that no program writes.
const ODD_FIELD: u32 = 4;
/// An empty record, or a file that ends in a record.
const RARE: u32 = 1;

/// The fields of the file header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    big_endian: bool,
    /// Nanoseconds in the unit of the fraction.
    unit: u32,
    pub(super) link_type: u32,
    /// Bytes in the header of a packet.
    packet_header: usize,
}

/// One packet, the last bytes of which were just taken from the source.
#[derive(Clone, Copy, Debug)]
pub(super) struct PcapRecord {
    pub(super) at: Instant,
    pub(super) captured_len: u32,
    pub(super) original_len: u32,
}

impl Pcap {
    /// Reads the header of the file, if the magic number is one of pcap's.
    pub(super) fn open(source: &mut Source) -> Result<Option<Self>, ReadProblem> {
        let header = source.peek(24)?;
        let Some(magic) = header.first_chunk::<4>() else { return Ok(None) };
        let (big_endian, unit, modified) = match u32::from_be_bytes(*magic) {
            0xa1b2_c3d4 => (true, 1_000, false),
            0xd4c3_b2a1 => (false, 1_000, false),
            0xa1b2_3c4d => (true, 1, false),
            0x4d3c_b2a1 => (false, 1, false),
            0xa1b2_cd34 => (true, 1_000, true),
            0x34cd_b2a1 => (false, 1_000, true),
            _ => return Ok(None),
        };
        if header.len() < 24 {
            return Err(ReadProblem::CutOff);
        }
        let mut pcap = Self { big_endian, unit, link_type: 0, packet_header: 16 };
        // The upper bits are the length of the checksum at the end of each frame.
        pcap.link_type = pcap.word(header, 20) & 0x03ff_ffff;
        source.advance(24);
        // Modified (24), SuSE 6.3 (28) have a magic number of their own; plain, Nokia (20), Red Hat 6.1 (24) not.
        let candidates: &[usize] = if modified { &[24, 28] } else { &[16, 20, 24] };
        let mut least = u32::MAX;
        for packet_header in candidates {
            let candidate = Self { packet_header: *packet_header, ..pcap };
            let against = candidate.against(source)?;
            if against < least {
                (least, pcap.packet_header) = (against, *packet_header);
            }
            if least == 0 {
                break;
            }
        }
        Ok(Some(pcap))
    }

    /// The next packet, which has this number; `None` at the end.
    pub(super) fn next_record(
        &self,
        source: &mut Source,
        number: u64,
        warnings: &mut Warnings,
    ) -> Result<Option<PcapRecord>, ReadProblem> {
        let header = source.peek(self.packet_header)?;
        if header.is_empty() {
            return Ok(None);
        }
        if header.len() < self.packet_header {
            return Err(ReadProblem::CutOff);
        }
        let [seconds, fraction, captured_len, mut original_len] = self.words(header);
        if captured_len > MOST {
            return Err(ReadProblem::TooLong { len: captured_len.into(), most: MOST.into() });
        }
        let whole = self.packet_header + captured_len as usize;
        if source.peek(whole)?.len() < whole {
            return Err(ReadProblem::CutOff);
        }
        source.advance(whole);
        if captured_len > original_len {
            warnings.add(number, Subject::File, Oddity::CapturedAboveOriginal);
            original_len = captured_len;
        }
        let fraction = u64::from(fraction) * u64::from(self.unit);
        if fraction >= 1_000_000_000 {
            warnings.add(number, Subject::File, Oddity::Fraction);
        }
        // Both fit into 64 bits.
        let nanos = u64::from(seconds) * 1_000_000_000 + fraction;
        Ok(Some(PcapRecord { at: Instant::from_nanos(nanos), captured_len, original_len }))
    }

    /// How much speaks against headers of this length, judged by the first packets.
    fn against(&self, source: &mut Source) -> io::Result<u32> {
        let (mut at, mut against) = (0, 0);
        for nth in 0..LOOK_AT {
            let end = at + self.packet_header;
            if nth >= WAIT_FOR && source.bytes().len() < end {
                break; // more may come later, on a pipe
            }
            let bytes = source.peek(end)?;
            let Some(header) = bytes.get(at..end) else {
                // The end of the file, or of what is there of a record.
                against += if bytes.len() > at { RARE } else { 0 };
                break;
            };
            let [_, fraction, captured_len, original_len] = self.words(header);
            if captured_len > MOST {
                return Ok(against + IMPOSSIBLE);
            }
            let late = u64::from(fraction) * u64::from(self.unit) >= 1_000_000_000;
            let longer = captured_len > original_len || original_len > MOST;
            against += ODD_FIELD * (u32::from(late) + u32::from(longer));
            against += RARE * u32::from(captured_len == 0);
            at = end + captured_len as usize;
            if nth == 0 {
                let frame = source.peek(at)?.get(end..).unwrap_or_default();
                let known = link_layer::is_known(self.link_type);
                if known && !frame.is_empty() && link_layer::find(self.link_type, frame, original_len).packet.is_none()
                {
                    against += NO_PACKET;
                }
            }
        }
        Ok(against)
    }

    fn words(&self, header: &[u8]) -> [u32; 4] {
        core::array::from_fn(|n| self.word(header, 4 * n))
    }

    fn word(&self, bytes: &[u8], at: usize) -> u32 {
        let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        if self.big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
    }
}
