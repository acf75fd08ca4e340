//! The options of pcapng blocks (draft-ietf-opsawg-pcapng, section 3.5). An odd option costs that option; one that reaches
//! beyond its block costs those behind it too. `pcapng` calls this file.

use super::{ENHANCED_PACKET, INTERFACE, NAMES, PACKET, SECTION, STATISTICS};
use crate::capture::warning::Oddity;

pub(super) const COMMENT: u16 = 1;
pub(super) const EPB_FLAGS: u16 = 2;
pub(super) const IF_TSRESOL: u16 = 9;
pub(super) const IF_TSOFFSET: u16 = 14;

/// What an option holds.
#[derive(Clone, Copy)]
enum Value {
    Text,
    Bytes(u16),
    /// A number of an enterprise, then text.
    CustomText,
    /// A number of an enterprise, then bytes.
    Custom,
    Any,
}

/// Numbers in the byte order of the section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) big_endian: bool,
}

impl Order {
    /// The 16-bit number at a place.
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let field = *bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u16::from_be_bytes(field) } else { u16::from_le_bytes(field) })
    }

    /// The 32-bit number at a place.
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let field = *bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(field) } else { u32::from_le_bytes(field) })
    }

    /// The signed 64-bit number at a place.
    pub(super) fn i64(self, bytes: &[u8], at: usize) -> Option<i64> {
        let field = *bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { i64::from_be_bytes(field) } else { i64::from_le_bytes(field) })
    }
}

/// Gives each sound option of a block to `take`, and each oddity with the code of its option to `odd`.
pub(super) fn walk<'a>(
    order: Order,
    kind: u32,
    mut bytes: &'a [u8],
    mut take: impl FnMut(u16, &'a [u8]),
    mut odd: impl FnMut(Option<u16>, Oddity),
) {
    while !bytes.is_empty() {
        let (Some(code), Some(len)) = (order.u16(bytes, 0), order.u16(bytes, 2)) else {
            return odd(None, Oddity::OptionOverrun);
        };
        if code == 0 {
            // What stands behind the end is padding.
            if len != 0 {
                odd(Some(code), Oddity::OptionLen { expected: 0 });
            }
            return;
        }
        let len = usize::from(len);
        let Some(value) = bytes.get(4..4 + len) else { return odd(Some(code), Oddity::OptionOverrun) };
        match value_of(kind, code) {
            Value::Bytes(expected) if len != usize::from(expected) => odd(Some(code), Oddity::OptionLen { expected }),
            Value::Custom | Value::CustomText if len < 4 => odd(Some(code), Oddity::OptionLen { expected: 4 }),
            what => {
                let text = match what {
                    Value::Text => value,
                    Value::CustomText => &value[4..],
                    _ => &[],
                };
                if core::str::from_utf8(text).is_err() {
                    odd(Some(code), Oddity::NotUtf8);
                }
                take(code, value);
            }
        }
        // The padding of the last option may be missing.
        bytes = bytes.get(4 + len.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// The records of a block of names, which end with a record of type 0. True if they can all be read.
pub(super) fn names(order: Order, mut bytes: &[u8]) -> Option<(&[u8], bool)> {
    let mut sound = true;
    loop {
        let (kind, len) = (order.u16(bytes, 0)?, usize::from(order.u16(bytes, 2)?));
        let rest = bytes.get(4 + len.next_multiple_of(4)..)?;
        let value = &bytes[4..4 + len];
        let address = match kind {
            0 => return Some((rest, sound)),
            1 => 4,
            2 => 16,
            3 => 6,
            4 => 8,
            _ => len,
        };
        let names = value.get(address..);
        sound &= names.is_some_and(|names| core::str::from_utf8(names).is_ok());
        bytes = rest;
    }
}

/// The name of an option in the specification, and what it holds.
fn named(kind: u32, code: u16) -> Option<(&'static str, Value)> {
    use Value::{Any, Bytes, Custom, CustomText, Text};
    Some(match (kind, code) {
        (_, 0) => ("opt_endofopt", Bytes(0)),
        (_, COMMENT) => ("opt_comment", Text),
        (_, 2988 | 19372) => ("opt_custom", CustomText),
        (_, 2989 | 19373) => ("opt_custom", Custom),
        (SECTION, 2) => ("shb_hardware", Text),
        (SECTION, 3) => ("shb_os", Text),
        (SECTION, 4) => ("shb_userappl", Text),
        (INTERFACE, 2) => ("if_name", Text),
        (INTERFACE, 3) => ("if_description", Text),
        (INTERFACE, 4) => ("if_IPv4addr", Bytes(8)),
        (INTERFACE, 5) => ("if_IPv6addr", Bytes(17)),
        (INTERFACE, 6) => ("if_MACaddr", Bytes(6)),
        (INTERFACE, 7) => ("if_EUIaddr", Bytes(8)),
        (INTERFACE, 8) => ("if_speed", Bytes(8)),
        (INTERFACE, IF_TSRESOL) => ("if_tsresol", Bytes(1)),
        (INTERFACE, 10) => ("if_tzone", Bytes(4)),
        (INTERFACE, 11) => ("if_filter", Any),
        (INTERFACE, 12) => ("if_os", Text),
        (INTERFACE, 13) => ("if_fcslen", Bytes(1)),
        (INTERFACE, IF_TSOFFSET) => ("if_tsoffset", Bytes(8)),
        (INTERFACE, 15) => ("if_hardware", Text),
        (INTERFACE, 16) => ("if_txspeed", Bytes(8)),
        (INTERFACE, 17) => ("if_rxspeed", Bytes(8)),
        (INTERFACE, 18) => ("if_iana_tzname", Text),
        (ENHANCED_PACKET, EPB_FLAGS) => ("epb_flags", Bytes(4)),
        (ENHANCED_PACKET, 3) => ("epb_hash", Any),
        (ENHANCED_PACKET, 4) => ("epb_dropcount", Bytes(8)),
        (ENHANCED_PACKET, 5) => ("epb_packetid", Bytes(8)),
        (ENHANCED_PACKET, 6) => ("epb_queue", Bytes(4)),
        (ENHANCED_PACKET, 7) => ("epb_verdict", Any),
        (ENHANCED_PACKET, 8) => ("epb_processid_threadid", Bytes(8)),
        (PACKET, EPB_FLAGS) => ("pack_flags", Bytes(4)),
        (PACKET, 3) => ("pack_hash", Any),
        (NAMES, 2) => ("ns_dnsname", Text),
        (NAMES, 3) => ("ns_dnsIP4addr", Bytes(4)),
        (NAMES, 4) => ("ns_dnsIP6addr", Bytes(16)),
        (STATISTICS, 2) => ("isb_starttime", Bytes(8)),
        (STATISTICS, 3) => ("isb_endtime", Bytes(8)),
        (STATISTICS, 4) => ("isb_ifrecv", Bytes(8)),
        (STATISTICS, 5) => ("isb_ifdrop", Bytes(8)),
        (STATISTICS, 6) => ("isb_filteraccept", Bytes(8)),
        (STATISTICS, 7) => ("isb_osdrop", Bytes(8)),
        (STATISTICS, 8) => ("isb_usrdeliv", Bytes(8)),
        _ => return None,
    })
}

fn value_of(kind: u32, code: u16) -> Value {
    named(kind, code).map_or(Value::Any, |(_, value)| value)
}

/// How messages call an option.
pub(in crate::capture) fn option_name(kind: u32, code: u16) -> String {
    named(kind, code).map_or_else(|| format!("of code {code}"), |(name, _)| name.to_owned())
}
