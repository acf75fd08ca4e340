//! Finds the IP packet in a frame of a link layer: the innermost one, where IP is carried in IP. Padding and checksums
//! behind the packet are cut off by the packet's own length. Link types are those of tcpdump.org/linktypes.html.
//!
//! `ethernet` reads what begins with an `EtherType`, LLC, MPLS or PPP; `wlan` reads 802.11; `tunnel` reads what IP carries.
//! Each header costs one step of a bounded number. What is not looked into has a name ([`Unread`]).

mod ethernet;
mod tunnel;
mod unread;
mod wlan;

pub use unread::Unread;

use super::Direction;

/// Headers that are read of one frame.
const MOST_HEADERS: u8 = 32;

/// What a frame contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FramePayload {
    /// Where the IP packet begins and ends in the frame, if it carries one.
    pub(super) packet: Option<(usize, usize)>,
    /// The length of the packet on the wire, or of the frame if there is no packet.
    pub(super) original_len: u32,
    /// The direction, if the link layer has one.
    pub(super) direction: Option<Direction>,
    /// What it carries besides or instead.
    pub(super) unread: Option<Unread>,
}

/// The place of the IP packet in the frame, or what is there instead.
type Found = Result<usize, Unread>;

/// The frame ends in a header.
const CUT: Unread = Unread::Other("frames that end before the IP header");
const TOO_DEEP: Unread = Unread::Other("frames with more than 32 headers");
const NO_IP_HEADER: Unread = Unread::Other("frames without an IP header where one is announced");

/// A frame, and how many of its headers may still be read.
struct Walk<'a> {
    frame: &'a [u8],
    left: u8,
    /// Something beside the packet that is not looked into.
    besides: Option<Unread>,
}

/// True if packets can be found below this link layer.
pub(super) fn is_known(link_type: u32) -> bool {
    let mut walk = Walk::new(&[]);
    walk.link(link_type, 0) != Err(Unread::LinkType(link_type))
}

/// Finds the IP packet in a frame of which `frame` was captured and `original_len` bytes were on the wire.
pub(super) fn find(link_type: u32, frame: &[u8], original_len: u32) -> FramePayload {
    let mut walk = Walk::new(frame);
    let found = walk.link(link_type, 0);
    let direction = match link_type {
        113 => frame.get(1).and_then(|kind| cooked_direction(*kind)),
        276 => frame.get(10).and_then(|kind| cooked_direction(*kind)),
        _ => None,
    };
    match found {
        Ok(start) => {
            let (end, original_len) = extent(frame, start, original_len);
            FramePayload { packet: Some((start, end)), original_len, direction, unread: walk.besides }
        }
        Err(unread) => FramePayload { packet: None, original_len, direction, unread: Some(unread) },
    }
}

/// Finds the innermost IP packet in an IP packet, if there is another one in it. Gives the same as [`find`].
pub(super) fn find_inner(packet: &[u8], original_len: u32) -> Option<FramePayload> {
    let mut walk = Walk::new(packet);
    let start = walk.ip(0).ok().filter(|start| *start > 0)?;
    let (end, original_len) = extent(packet, start, original_len);
    Some(FramePayload { packet: Some((start, end)), original_len, direction: None, unread: walk.besides })
}

/// True for an IP fragment that may be a part of a packet in a packet.
pub(super) fn is_fragmented_tunnel(packet: &[u8]) -> bool {
    tunnel::is_fragment(packet)
}

/// Where the packet that begins at `start` ends in the frame, and its length on the wire.
fn extent(frame: &[u8], start: usize, original_len: u32) -> (usize, u32) {
    let bytes = &frame[start..];
    let declared = declared_len(bytes);
    let end = start + declared.map_or(bytes.len(), |len| bytes.len().min(len));
    let on_wire = original_len.saturating_sub(start as u32);
    let by_header = declared.map_or(on_wire, |len| on_wire.min(len as u32));
    (end, by_header.max((end - start) as u32))
}

/// The length by the IP header; `None` if it is not there, or left to hardware (zero).
fn declared_len(bytes: &[u8]) -> Option<usize> {
    let field = |at: usize| Some(usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
    match bytes.first()? >> 4 {
        4 => field(2).filter(|len| *len >= 20),
        _ => field(4).filter(|len| *len > 0).map(|len| len + 40),
    }
}

/// The packet type of a cooked header.
fn cooked_direction(kind: u8) -> Option<Direction> {
    match kind {
        0..=2 => Some(Direction::Inbound),
        4 => Some(Direction::Outbound),
        _ => None,
    }
}

impl<'a> Walk<'a> {
    fn new(frame: &'a [u8]) -> Self {
        Self { frame, left: MOST_HEADERS, besides: None }
    }

    fn byte(&self, at: usize) -> Result<u8, Unread> {
        self.frame.get(at).copied().ok_or(CUT)
    }

    fn u16(&self, at: usize) -> Result<u16, Unread> {
        Ok(u16::from_be_bytes([self.byte(at)?, self.byte(at + 1)?]))
    }

    fn u16_le(&self, at: usize) -> Result<u16, Unread> {
        self.u16(at).map(u16::swap_bytes)
    }

    fn u32(&self, at: usize) -> Result<u32, Unread> {
        Ok(u32::from(self.u16(at)?) << 16 | u32::from(self.u16(at + 2)?))
    }

    fn u32_le(&self, at: usize) -> Result<u32, Unread> {
        self.u32(at).map(u32::swap_bytes)
    }

    /// Counts a header.
    fn deeper(&mut self) -> Result<(), Unread> {
        self.left = self.left.checked_sub(1).ok_or(TOO_DEEP)?;
        Ok(())
    }

    /// A frame of a link type that begins at `at`.
    fn link(&mut self, link_type: u32, at: usize) -> Found {
        self.deeper()?;
        match link_type {
            // Null: a family in the byte order of the machine that wrote the file. Loop: in network order.
            0 | 108 => self.family(self.u32_le(at)?, at + 4),
            // Ethernet; with a header of netANALYZER; with a preamble (IEEE 802.3br).
            1 => self.ethernet(at),
            240 => self.ethernet(at + 4),
            274 => self.ethernet(at + 8),
            // Token Ring: the source address may announce routing information.
            6 => match self.byte(at + 8)? & 0x80 {
                0 => self.llc(at + 14),
                _ => self.llc(at + 14 + usize::from(self.byte(at + 14)? & 0x1f)),
            },
            9 => self.ppp(at),
            // PPP, or Cisco HDLC in the same framing.
            50 => match self.byte(at)? {
                0x0f | 0x8f => self.ethertype(at + 2),
                _ => self.ppp(at),
            },
            51 => self.pppoe(at),
            // FDDI: its LLC frames.
            10 => match self.byte(at)? & 0xf0 {
                0x50 => self.llc(at + 13),
                _ => Err(Unread::Other("FDDI frames without LLC")),
            },
            // Raw IP, under the numbers of several systems.
            12 | 14 | 101 | 228 | 229 => self.ip(at),
            // RFC 1483 and RFC 2684.
            100 => self.llc(at),
            104 => self.ethertype(at + 2),
            105 => self.wlan(at, false),
            107 => self.frame_relay(at),
            // OpenBSD: the header of an encrypting interface, and of its packet filter.
            109 => self.family(self.u32_le(at)?, at + 12),
            117 => {
                let (len, family) = (usize::from(self.byte(at)?), self.byte(at + 1)?);
                self.family(family.into(), at + len.next_multiple_of(4))
            }
            113 => self.cooked(self.u16(at + 14)?, at + 16),
            119 => self.prism(at),
            127 => self.radiotap(at),
            // IP over IEEE 1394 (macOS).
            138 => self.ethertype(at + 16),
            163 => self.avs(at),
            // Per-packet information: the link type stands in the header.
            192 => {
                let (len, inner) = (self.u16_le(at + 2)?, self.u32_le(at + 4)?);
                self.link(inner, at + usize::from(len.max(8)))
            }
            276 => self.cooked(self.u16(at)?, at + 20),
            other => Err(Unread::LinkType(other)),
        }
    }

    /// What is behind an address family of BSD, in either byte order.
    fn family(&mut self, family: u32, at: usize) -> Found {
        let family = family.min(family.swap_bytes());
        match family {
            // AF_INET is 2 everywhere; AF_INET6 is 10, 23, 24, 28 or 30.
            2 | 10 | 23 | 24 | 28 | 30 => self.ip(at),
            other => Err(Unread::AddressFamily(other)),
        }
    }

    /// What is behind a cooked header, by its protocol.
    fn cooked(&mut self, protocol: u16, at: usize) -> Found {
        match protocol {
            // Linux: 802.3 frames without and with LLC.
            1 => Err(Unread::Llc(0xff)),
            4 => self.llc(at),
            ethertype => self.by_ethertype(ethertype, at),
        }
    }

    /// RFC 2427: an address of two to four bytes, a control byte, the identifier of the protocol.
    fn frame_relay(&mut self, at: usize) -> Found {
        let mut end = at;
        while self.byte(end)? & 1 == 0 {
            end += 1;
            if end - at > 3 {
                return Err(Unread::Other("frame relay with a long address"));
            }
        }
        match (self.byte(end + 1)?, self.byte(end + 2)?) {
            (0x03, 0xcc | 0x8e) => self.ip(end + 3),
            (0x03, 0x80) => self.snap(end + 3),
            (0x03, 0x00) if self.byte(end + 3)? == 0x80 => self.snap(end + 4),
            // Cisco: an EtherType in place of the control byte.
            (0x03, _) => Err(Unread::Other("frame relay with another protocol")),
            _ => self.ethertype(end + 1),
        }
    }

    /// An IP packet. The innermost one, if there is another one in it.
    fn ip(&mut self, at: usize) -> Found {
        self.deeper()?;
        if !self.is_ip(at)? {
            return Err(NO_IP_HEADER);
        }
        Ok(self.tunnel(at).unwrap_or(at))
    }

    /// True if an IP header may begin here.
    fn is_ip(&self, at: usize) -> Result<bool, Unread> {
        let first = self.byte(at)?;
        Ok(match first >> 4 {
            4 => first & 0x0f >= 5,
            6 => true,
            _ => false,
        })
    }
}
