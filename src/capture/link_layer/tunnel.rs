//! What IP carries that carries IP again: IP in IP (RFC 2003, 2473, 4213), GRE (RFC 2784, 2890, 2637) with ERSPAN, AH
//! (RFC 4302), MPLS (RFC 4023), `EtherIP` (RFC 3378); over UDP also VXLAN (RFC 7348), Geneve (RFC 8926), GTP-U (3GPP TS
//! 29.281), Teredo (RFC 4380), L2TP (RFC 2661) and MPLS (RFC 7510). `link_layer` calls this file.
//!
//! If no packet is found in a packet, the outer one is the one that counts.

use super::{CUT, Found, NO_IP_HEADER, Unread, Walk};

const TCP: u8 = 6;
const UDP: u8 = 17;
const AH: u8 = 51;
/// IP, IPv6, GRE, `EtherIP`, MPLS.
const TUNNELS: [u8; 5] = [4, 41, 47, 97, 137];

/// True for a fragment of a packet that may carry a packet.
pub(super) fn is_fragment(packet: &[u8]) -> bool {
    let mut walk = Walk::new(packet);
    matches!(walk.payload_of_ip(0), Ok((protocol, _, true)) if protocol == UDP || TUNNELS.contains(&protocol))
}

impl Walk<'_> {
    /// The innermost packet in the IP packet at `at`, if it carries one.
    pub(super) fn tunnel(&mut self, at: usize) -> Option<usize> {
        let (protocol, payload, fragment) = self.payload_of_ip(at).ok()?;
        if fragment || protocol == TCP {
            return None;
        }
        let (left, besides) = (self.left, self.besides);
        let found = match protocol {
            4 | 41 => self.ip(payload),
            47 => self.gre(payload),
            97 => self.ethernet(payload + 2),
            137 => self.mpls(payload),
            UDP => self.udp(payload),
            _ => Err(NO_IP_HEADER),
        };
        let found = found.ok().filter(|start| self.is_plausible(*start));
        if found.is_none() {
            (self.left, self.besides) = (left, besides);
        }
        found
    }

    /// True if the length of the packet at `at` may be one. What an unknown protocol carries may look like a packet.
    fn is_plausible(&self, at: usize) -> bool {
        match (self.frame[at] >> 4, self.u16(at + 2)) {
            (4, Ok(len)) => len == 0 || len >= u16::from(self.frame[at] & 0x0f) * 4,
            _ => true,
        }
    }

    /// The protocol of an IP packet behind extension headers and AH, where its payload begins, and whether it is a fragment.
    fn payload_of_ip(&mut self, at: usize) -> Result<(u8, usize, bool), Unread> {
        let first = self.byte(at)?;
        let (mut protocol, mut payload, mut fragment) = if first >> 4 == 4 {
            let fragment = self.u16(at + 6)? & 0x3fff != 0;
            (self.byte(at + 9)?, at + usize::from(first & 0x0f) * 4, fragment)
        } else {
            (self.byte(at + 6)?, at + 40, false)
        };
        while !fragment {
            let unit = match protocol {
                0 | 43 | 60 | 135 | 139 | 140 if first >> 4 == 6 => 8,
                44 if first >> 4 == 6 => {
                    // An atomic fragment is a whole datagram (RFC 6946).
                    fragment = self.u16(payload + 2)? & 0xfff9 != 0;
                    0
                }
                AH => 4,
                _ => break,
            };
            self.deeper()?;
            protocol = self.byte(payload)?;
            let len = usize::from(self.byte(payload + 1)?);
            payload += match unit {
                0 => 8,
                4 => (len + 2) * 4,
                _ => (len + 1) * 8,
            };
        }
        Ok((protocol, payload, fragment))
    }

    fn gre(&mut self, at: usize) -> Found {
        self.deeper()?;
        let (flags, protocol) = (self.u16(at)?, self.u16(at + 2)?);
        let has = |bit: u16| flags & bit != 0;
        let word = |bit: u16| if has(bit) { 4 } else { 0 };
        let mut payload = at + 4;
        match flags & 7 {
            0 => {
                // Checksum and offset of routing share a word; key; sequence number.
                payload += if has(0xc000) { 4 } else { 0 } + word(0x2000) + word(0x1000);
                if has(0x4000) {
                    loop {
                        self.deeper()?;
                        let (family, len) = (self.u16(payload)?, usize::from(self.byte(payload + 3)?));
                        payload += 4 + len;
                        if family == 0 && len == 0 {
                            break;
                        }
                    }
                }
            }
            // RFC 2637: the key is there, then sequence and acknowledgment numbers.
            1 => payload += 4 + word(0x1000) + word(0x0080),
            _ => return Err(NO_IP_HEADER),
        }
        match protocol {
            // ERSPAN type I has no header, type II one of eight bytes and a sequence number in GRE.
            0x88be if has(0x1000) => self.ethernet(payload + 8),
            0x88be => self.ethernet(payload),
            // Type III: twelve bytes, and eight more if the last bit says so.
            0x22eb => match self.byte(payload + 11)? & 1 {
                0 => self.ethernet(payload + 12),
                _ => self.ethernet(payload + 20),
            },
            // WCCP: a header of redirection may stand before the packet.
            0x883e if self.is_ip(payload)? => self.ip(payload),
            0x883e => self.ip(payload + 4),
            ethertype => self.by_ethertype(ethertype, payload),
        }
    }

    /// The protocols over UDP, by the port of either end.
    fn udp(&mut self, at: usize) -> Found {
        self.deeper()?;
        let ports = [self.u16(at + 2)?, self.u16(at)?];
        let payload = at + 8;
        for port in ports {
            let left = self.left;
            let found = match port {
                4789 => self.vxlan(payload),
                4790 => self.vxlan_gpe(payload),
                6081 => {
                    let options = usize::from(self.byte(payload)? & 0x3f) * 4;
                    self.by_ethertype(self.u16(payload + 2)?, payload + 8 + options)
                }
                2152 => self.gtp(payload),
                3544 => self.teredo(payload),
                1701 => self.l2tp(payload),
                6635 => self.mpls(payload),
                _ => continue,
            };
            if found.is_ok() {
                return found;
            }
            self.left = left;
        }
        Err(NO_IP_HEADER)
    }

    fn vxlan(&mut self, at: usize) -> Found {
        match self.byte(at)? & 0x08 {
            0 => Err(NO_IP_HEADER),
            _ => self.ethernet(at + 8),
        }
    }

    /// The protocol stands in the header (draft-ietf-nvo3-vxlan-gpe).
    fn vxlan_gpe(&mut self, at: usize) -> Found {
        match (self.byte(at)? & 0x04, self.byte(at + 3)?) {
            (4, 1 | 2) => self.ip(at + 8),
            (4, 4) => self.service_header(at + 8),
            (4, 5) => self.mpls(at + 8),
            _ => self.ethernet(at + 8),
        }
    }

    fn gtp(&mut self, at: usize) -> Found {
        let (flags, kind) = (self.byte(at)?, self.byte(at + 1)?);
        if flags & 0xf0 != 0x30 || kind != 255 {
            return Err(NO_IP_HEADER);
        }
        let mut payload = at + 8;
        if flags & 0x07 != 0 {
            payload += 4;
            while flags & 0x04 != 0 && self.byte(payload - 1)? != 0 {
                self.deeper()?;
                payload += usize::from(self.byte(payload)?.max(1)) * 4;
            }
        }
        self.ip(payload)
    }

    fn teredo(&mut self, mut at: usize) -> Found {
        if self.u16(at)? == 1 {
            at += 13 + usize::from(self.byte(at + 2)?) + usize::from(self.byte(at + 3)?);
        }
        if self.u16(at)? == 0 {
            at += 8;
        }
        self.ip(at)
    }

    fn l2tp(&mut self, at: usize) -> Found {
        let flags = self.u16(at)?;
        if flags & 0x8000 != 0 || flags & 0x000f != 2 {
            return Err(NO_IP_HEADER);
        }
        let has = |bit: u16, len: usize| if flags & bit != 0 { len } else { 0 };
        let mut payload = at + 2 + has(0x4000, 2) + 4 + has(0x0800, 4);
        if flags & 0x0200 != 0 {
            payload += 2 + usize::from(self.u16(payload)?);
        }
        if payload <= self.frame.len() { self.ppp(payload) } else { Err(CUT) }
    }
}
