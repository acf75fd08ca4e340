//! Ethernet, VLAN tags (IEEE 802.1Q), LLC and SNAP (IEEE 802.2), MPLS (RFC 3032), `PPPoE` (RFC 2516), PPP (RFC 1661),
//! provider backbones (IEEE 802.1ah), network service headers (RFC 8300). `link_layer` calls this file.

use super::{CUT, Found, Unread, Walk};

/// Smaller numbers in the place of an `EtherType` are lengths.
const LEAST_ETHERTYPE: u16 = 0x0600;

impl Walk<'_> {
    /// A frame that begins with two addresses.
    pub(super) fn ethernet(&mut self, at: usize) -> Found {
        self.deeper()?;
        self.ethertype(at + 12)
    }

    /// What follows an `EtherType`, or a length.
    pub(super) fn ethertype(&mut self, at: usize) -> Found {
        match self.u16(at)? {
            length if length < LEAST_ETHERTYPE => self.llc(at + 2),
            ethertype => self.by_ethertype(ethertype, at + 2),
        }
    }

    /// What an `EtherType` announces, which begins at `at`.
    pub(super) fn by_ethertype(&mut self, ethertype: u16, at: usize) -> Found {
        self.deeper()?;
        match ethertype {
            0x0800 | 0x86dd => self.ip(at),
            // 802.1Q, 802.1ad (QinQ), and older numbers for the outer tag.
            0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => self.ethertype(at + 2),
            // A tag of 802.1BR, and Cisco's VN-Tag.
            0x893f => self.ethertype(at + 6),
            0x8926 => self.ethertype(at + 4),
            // 802.1ah: a service tag, then a frame of a customer.
            0x88e7 => self.ethernet(at + 4),
            0x6558 => self.ethernet(at),
            0x8847 | 0x8848 => self.mpls(at),
            0x8864 => self.pppoe(at),
            0x880b => self.ppp(at),
            0x8870 => self.llc(at),
            0x894f => self.service_header(at),
            other => Err(Unread::EtherType(other)),
        }
    }

    /// A header of IEEE 802.2.
    pub(super) fn llc(&mut self, at: usize) -> Found {
        self.deeper()?;
        match (self.byte(at)?, self.byte(at + 1)?) {
            (0xaa | 0xab, 0xaa | 0xab) => self.snap(at + 3),
            (0x06, _) => self.ip(at + 3),
            (service, _) => Err(Unread::Llc(service)),
        }
    }

    /// An organization and its protocol.
    pub(super) fn snap(&mut self, at: usize) -> Found {
        let (organization, protocol) = (self.u32(at)? >> 8, self.u16(at + 3)?);
        match organization {
            // RFC 1042; IEEE 802.1H; RFC 2684, whose frames may have a checksum (1) or not (7).
            0 | 0xf8 if protocol >= LEAST_ETHERTYPE => self.by_ethertype(protocol, at + 5),
            0x80c2 if matches!(protocol, 1 | 7) => self.ethernet(at + 7),
            _ => Err(Unread::Snap(organization, protocol)),
        }
    }

    /// A stack of labels. What is behind it is not announced: it is an IP packet by its version, or a frame.
    pub(super) fn mpls(&mut self, mut at: usize) -> Found {
        loop {
            self.deeper()?;
            let last = self.byte(at + 2)? & 1 != 0;
            at += 4;
            if last {
                break;
            }
        }
        if self.is_ip(at)? {
            return self.ip(at);
        }
        // RFC 4448: a frame, with a control word before it or without one.
        let (left, control) = (self.left, self.byte(at)? >> 4 == 0);
        let begin = if control { [at + 4, at] } else { [at, at + 4] };
        for start in begin {
            self.left = left;
            if let Ok(found) = self.ethernet(start) {
                return Ok(found);
            }
        }
        Err(Unread::Other("MPLS without an IP packet"))
    }

    /// RFC 2516: version, code, session and length, then PPP without address and control.
    pub(super) fn pppoe(&mut self, at: usize) -> Found {
        match self.byte(at + 1)? {
            0 => self.ppp(at + 6),
            _ => Err(Unread::EtherType(0x8863)),
        }
    }

    /// RFC 1661 and RFC 1662: address and control may be there or not, the protocol has two bytes or, compressed, one.
    pub(super) fn ppp(&mut self, mut at: usize) -> Found {
        self.deeper()?;
        if self.frame.get(at..).is_some_and(|frame| frame.starts_with(&[0xff, 0x03])) {
            at += 2;
        }
        let first = self.byte(at)?;
        let (protocol, at) = if first & 1 != 0 { (first.into(), at + 1) } else { (self.u16(at)?, at + 2) };
        match protocol {
            0x0021 | 0x0057 => self.ip(at),
            0x0281 | 0x0283 => self.mpls(at),
            other => Err(Unread::PppProtocol(other)),
        }
    }

    /// RFC 8300.
    pub(super) fn service_header(&mut self, at: usize) -> Found {
        self.deeper()?;
        let len = usize::from(self.byte(at + 1)? & 0x3f) * 4;
        let at_payload = at + len.max(8);
        match self.byte(at + 3)? {
            1 | 2 => self.ip(at_payload),
            3 => self.ethernet(at_payload),
            4 => self.service_header(at_payload),
            5 => self.mpls(at_payload),
            _ if self.frame.len() < at_payload => Err(CUT),
            _ => Err(Unread::EtherType(0x894f)),
        }
    }
}
