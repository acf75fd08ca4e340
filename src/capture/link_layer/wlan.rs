//! 802.11 frames (IEEE 802.11, clause 9), bare or behind a header of the driver: radiotap (radiotap.org), Prism, AVS.
//! `link_layer` calls this file.
//!
//! Encrypted frames, and fragments but the first, are not looked into. Of an aggregate (A-MSDU) the first packet is read.

use super::{Found, Unread, Walk};

impl Walk<'_> {
    /// A radiotap header: version, length, a bitmap of fields, the fields.
    pub(super) fn radiotap(&mut self, at: usize) -> Found {
        self.deeper()?;
        let len = usize::from(self.u16_le(at + 2)?);
        // The bitmap goes on while the highest bit of its last word is set.
        let (mut word_at, present) = (at + 4, self.u32_le(at + 4)?);
        while word_at < at + len && self.u32_le(word_at)? & 0x8000_0000 != 0 {
            word_at += 4;
        }
        let fields = word_at + 4 - at;
        // The flags come first, but for a timestamp that is aligned to eight bytes.
        let flags_at = if present & 1 == 0 { fields } else { fields.next_multiple_of(8) + 8 };
        let flags = if present & 2 == 0 || flags_at >= len { 0 } else { self.byte(at + flags_at)? };
        self.wlan(at + len, flags & 0x20 != 0)
    }

    /// A Prism header says how long it is. Newer drivers write an AVS header under the same number.
    pub(super) fn prism(&mut self, at: usize) -> Found {
        if matches!(self.u32(at)?, 0x8021_1001 | 0x8021_1002) {
            return self.avs(at);
        }
        self.deeper()?;
        // Its numbers are in the byte order of the machine.
        let len = self.u32_le(at + 4)?;
        let len = len.min(len.swap_bytes()) as usize;
        self.wlan(at.saturating_add(len), false)
    }

    /// An AVS header: version and length in network order.
    pub(super) fn avs(&mut self, at: usize) -> Found {
        self.deeper()?;
        let len = self.u32(at + 4)? as usize;
        self.wlan(at.saturating_add(len), false)
    }

    /// A frame. `padded` says that its header is followed by padding to a multiple of four.
    pub(super) fn wlan(&mut self, at: usize, padded: bool) -> Found {
        self.deeper()?;
        let control = self.u16_le(at)?;
        let (kind, subtype, flags) = (control >> 2 & 3, control >> 4 & 0xf, control >> 8);
        match kind {
            0 => return Err(Unread::Other("802.11 management frames")),
            1 => return Err(Unread::Other("802.11 control frames")),
            2 => {}
            _ => return Err(Unread::Other("802.11 extension frames")),
        }
        if subtype & 4 != 0 {
            return Err(Unread::Other("802.11 frames without data"));
        }
        if flags & 0x40 != 0 {
            return Err(Unread::Other("encrypted 802.11 frames"));
        }
        if self.u16_le(at + 22)? & 0xf != 0 {
            return Err(Unread::Other("802.11 fragments"));
        }
        // Three addresses, or four between two access points; then quality of service, then high throughput.
        let mut len = if flags & 3 == 3 { 30 } else { 24 };
        let mut aggregate = false;
        if subtype & 8 != 0 {
            aggregate = self.byte(at + len)? & 0x80 != 0;
            len += if flags & 0x80 != 0 { 6 } else { 2 };
        }
        if padded {
            len = len.next_multiple_of(4);
        }
        if aggregate {
            // Two addresses and a length before each packet.
            let first = usize::from(self.u16(at + len + 12)?);
            let second = at + len + (14 + first).next_multiple_of(4);
            // A checksum of four bytes may follow the last one.
            if self.frame.len() > second + 14 {
                self.besides = Some(Unread::Other("802.11 aggregates, of which the first packet is read"));
            }
            len += 14;
        }
        self.llc(at + len)
    }
}
