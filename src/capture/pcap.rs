//! Reads pcap: a header of 24 bytes, then packets with a header of 16 bytes each, in the byte order of the writing
//! machine. It does not use pcap-file, whose checks refuse files that exist: packets above the snaplen, a snaplen of
//! zero, and longer packet headers (as of `editcap -F modpcap`).
//!
//! The length of a longer packet header is not stored in the file. It is the first length with which the first packets
//! of the file are valid. Wireshark does the same.

use std::io;

use super::error::ReadProblem;
use super::source::Source;
use crate::time::Instant;

/// No capture program writes longer packets.
const MOST: u32 = 262_144;
/// As long as more than this were not seen, more is looked at to find out how long headers are.
const LOOK_AT: usize = 16;

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
        pcap.packet_header = candidates[0];
        for packet_header in candidates {
            let candidate = Self { packet_header: *packet_header, ..pcap };
            if candidate.makes_sense(source)? {
                return Ok(Some(candidate));
            }
        }
        Ok(Some(pcap))
    }

    /// The next packet; `None` at the end.
    pub(super) fn next_record(&self, source: &mut Source) -> Result<Option<PcapRecord>, ReadProblem> {
        let header = source.peek(self.packet_header)?;
        if header.is_empty() {
            return Ok(None);
        }
        if header.len() < self.packet_header {
            return Err(ReadProblem::CutOff);
        }
        let [seconds, fraction, captured_len, original_len] = self.words(header);
        if captured_len > MOST {
            return Err(ReadProblem::TooLong { len: captured_len.into(), most: MOST.into() });
        }
        let whole = self.packet_header + captured_len as usize;
        if source.peek(whole)?.len() < whole {
            return Err(ReadProblem::CutOff);
        }
        source.advance(whole);
        // A fraction of a second or more is wrong, but means something; both fit into 64 bits.
        let nanos = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * u64::from(self.unit);
        Ok(Some(PcapRecord { at: Instant::from_nanos(nanos), captured_len, original_len }))
    }

    /// Whether the first packets are packets if their headers are so long.
    fn makes_sense(&self, source: &mut Source) -> io::Result<bool> {
        let mut at = 0;
        for _ in 0..LOOK_AT {
            let bytes = source.peek(at + self.packet_header)?;
            let Some(header) = bytes.get(at..at + self.packet_header) else {
                // The end, or cut off in a header. A file of one packet with a longer header looks the same, and is rarer.
                return Ok(true);
            };
            let [_, fraction, captured_len, original_len] = self.words(header);
            let too_late = u64::from(fraction) * u64::from(self.unit) >= 1_000_000_000;
            // Nothing of a packet is no packet: else a payload of zeros would look like many.
            let lengths_fit = (1..=original_len).contains(&captured_len) && original_len <= MOST;
            if !lengths_fit || too_late {
                return Ok(false);
            }
            at += self.packet_header + captured_len as usize;
        }
        Ok(true)
    }

    fn words(&self, header: &[u8]) -> [u32; 4] {
        core::array::from_fn(|n| self.word(header, 4 * n))
    }

    fn word(&self, bytes: &[u8], at: usize) -> u32 {
        let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        if self.big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
    }
}
