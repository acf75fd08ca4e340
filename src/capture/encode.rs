//! Encodes records as bytes. Every header and every packet is built whole in a buffer. Writing many small pieces is
//! five times slower, and the file could end in the middle of one.
//!
//! Both formats are written little-endian on every machine, link type 101 (raw IP), times in nanoseconds:
//!
//! ```text
//! pcapng  section header {comment: the recipe}  interface {if_tsresol 9}  packet {flags: direction, comment} ...
//! pcap    magic a1b23c4d, version 2.4, snaplen, 101                       time, lengths, bytes ...
//! ```
//!
//! pcapng is draft-ietf-opsawg-pcapng, pcap is draft-ietf-opsawg-pcap. No name of a host, a system or a path is in a
//! file, so that the same packets make the same bytes.

use super::{Direction, Format};
use crate::time::Instant;

/// `LINKTYPE_RAW`: the bytes begin with an IPv4 or IPv6 header.
pub(super) const LINK_TYPE_RAW: u16 = 101;
/// The snaplen in a pcap header when packets are not cut: larger than any IP datagram, and small enough for all
/// readers.
const WHOLE: u32 = 262_144;
/// The longest value of a pcapng option: its length has 16 bits and is padded to a multiple of four.
pub(super) const MAX_OPTION: usize = 65_532;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const EPB_FLAGS: u16 = 2;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;

/// The header of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) snaplen: Option<u32>,
    pub(super) section_comment: Option<String>,
    pub(super) interface: Option<String>,
}

/// One packet on its way into a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct EncodedRecord<'a> {
    pub(super) at: Instant,
    pub(super) direction: Option<Direction>,
    /// As much of the packet as goes into the file.
    pub(super) bytes: &'a [u8],
    pub(super) original_len: u32,
    /// Empty for none.
    pub(super) comment: &'a str,
}

/// Appends what a file of this format begins with.
pub(super) fn head(out: &mut Vec<u8>, format: Format, head: &Head) {
    let Head { snaplen, section_comment, interface } = head;
    match format {
        Format::Pcap => {
            out.extend_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
            out.extend_from_slice(&[2, 0, 4, 0]);
            out.extend_from_slice(&[0; 8]);
            out.extend_from_slice(&snaplen.unwrap_or(WHOLE).to_le_bytes());
            out.extend_from_slice(&u32::from(LINK_TYPE_RAW).to_le_bytes());
        }
        Format::Pcapng => {
            block(out, 0x0a0d_0d0a, |out| {
                out.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
                out.extend_from_slice(&[1, 0, 0, 0]);
                out.extend_from_slice(&(-1_i64).to_le_bytes());
                if let Some(comment) = section_comment {
                    option(out, OPT_COMMENT, comment.as_bytes());
                }
                option(out, SHB_USERAPPL, b"tcplab");
                option(out, OPT_END, &[]);
            });
            block(out, 1, |out| {
                out.extend_from_slice(&LINK_TYPE_RAW.to_le_bytes());
                out.extend_from_slice(&[0; 2]);
                out.extend_from_slice(&snaplen.unwrap_or(0).to_le_bytes());
                if let Some(name) = interface {
                    option(out, IF_NAME, name.as_bytes());
                }
                option(out, IF_TSRESOL, &[9]);
                option(out, OPT_END, &[]);
            });
        }
    }
}

/// Appends one packet.
pub(super) fn packet(out: &mut Vec<u8>, format: Format, record: &EncodedRecord<'_>) {
    let EncodedRecord { at, direction, bytes, original_len, comment } = *record;
    let nanos = at.as_nanos();
    let captured_len = bytes.len() as u32;
    match format {
        Format::Pcap => {
            let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
            for word in [seconds as u32, fraction as u32, captured_len, original_len] {
                out.extend_from_slice(&word.to_le_bytes());
            }
            out.extend_from_slice(bytes);
        }
        Format::Pcapng => block(out, 6, |out| {
            for word in [0, (nanos >> 32) as u32, nanos as u32, captured_len, original_len] {
                out.extend_from_slice(&word.to_le_bytes());
            }
            out.extend_from_slice(bytes);
            pad(out, bytes.len());
            if direction.is_none() && comment.is_empty() {
                return;
            }
            if let Some(direction) = direction {
                let flags: u32 = match direction {
                    Direction::Inbound => 1,
                    Direction::Outbound => 2,
                };
                option(out, EPB_FLAGS, &flags.to_le_bytes());
            }
            if !comment.is_empty() {
                option(out, OPT_COMMENT, cut(comment).as_bytes());
            }
            option(out, OPT_END, &[]);
        }),
    }
}

/// A pcapng block: its type, its length, what is in it, its length again.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let len = ((out.len() - start + 4) as u32).to_le_bytes();
    out[start + 4..start + 8].copy_from_slice(&len);
    out.extend_from_slice(&len);
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    debug_assert!(value.len() <= MAX_OPTION, "longer values are refused or cut before they come here");
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

fn pad(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&[0; 3][..len.wrapping_neg() % 4]);
}

/// As much of a text as fits into an option.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_OPTION)]
}
