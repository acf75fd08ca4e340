//! Finds the IP packet in a frame of a link layer. Padding and checksums behind the packet are cut off by the packet's
//! own length. Link types are those of tcpdump.org/linktypes.html.

use super::Direction;

/// `LINKTYPE_NULL`: four bytes of address family in the byte order of the machine that wrote the file.
const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const PPP: u32 = 9;
/// Other numbers for raw IP in files of some systems.
const RAW_12: u32 = 12;
const RAW: u32 = 101;
/// `LINKTYPE_LOOP`: as NULL, but in network order.
const LOOP: u32 = 108;
const LINUX_SLL: u32 = 113;
const IPV4: u32 = 228;
const IPV6: u32 = 229;
const LINUX_SLL2: u32 = 276;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1Q, 802.1ad (`QinQ`), and two older numbers for the outer tag.
const VLAN: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];

/// What a frame contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FramePayload {
    /// Where the IP packet begins and ends in the frame, if it carries one.
    pub(super) packet: Option<(usize, usize)>,
    /// The length of the packet on the wire, or of the frame if there is no packet.
    pub(super) original_len: u32,
    /// The direction, if the link layer has one.
    pub(super) direction: Option<Direction>,
}

/// True if packets can be found below this link layer.
pub(super) fn is_known(link_type: u32) -> bool {
    matches!(link_type, NULL | ETHERNET | PPP | RAW_12 | RAW | LOOP | LINUX_SLL | IPV4 | IPV6 | LINUX_SLL2)
}

/// Finds the IP packet in a frame of which `frame` was captured and `original_len` bytes were on the wire.
pub(super) fn find(link_type: u32, frame: &[u8], original_len: u32) -> FramePayload {
    let (start, direction) = match link_type {
        NULL | LOOP => (after_family(frame), None),
        ETHERNET => (after_ethertype(frame, 12), None),
        PPP => (after_ppp(frame), None),
        RAW_12 | RAW | IPV4 | IPV6 => (Some(0), None),
        LINUX_SLL => (after_ethertype(frame, 14), frame.get(1).and_then(|kind| cooked_direction(*kind))),
        LINUX_SLL2 => (after_sll2(frame), frame.get(10).and_then(|kind| cooked_direction(*kind))),
        _ => (None, None),
    };
    let packet = start.and_then(|start| extent(frame, start).map(|end| (start, end)));
    let original_len = packet.map_or(original_len, |(start, end)| {
        let on_wire = original_len.saturating_sub(start as u32);
        let by_header = declared_len(&frame[start..]).map_or(on_wire, |len| on_wire.min(len as u32));
        by_header.max((end - start) as u32)
    });
    FramePayload { packet, original_len, direction }
}

/// Where the packet that begins at `start` ends in the frame, if it is one.
fn extent(frame: &[u8], start: usize) -> Option<usize> {
    let bytes = frame.get(start..).filter(|bytes| matches!(bytes.first().map(|byte| byte >> 4), Some(4 | 6)))?;
    Some(start + declared_len(bytes).map_or(bytes.len(), |len| bytes.len().min(len)))
}

/// The length by the IP header; `None` if it is not there, or left to hardware (zero).
fn declared_len(bytes: &[u8]) -> Option<usize> {
    let field = |at: usize| Some(usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
    match bytes.first()? >> 4 {
        4 => field(2).filter(|len| *len >= 20),
        _ => field(4).filter(|len| *len > 0).map(|len| len + 40),
    }
}

fn after_family(frame: &[u8]) -> Option<usize> {
    let family = u32::from_le_bytes(*frame.first_chunk()?);
    // AF_INET is 2 everywhere; AF_INET6 is 10, 23, 24, 28 or 30.
    matches!(family.min(family.swap_bytes()), 2 | 10 | 23 | 24 | 28 | 30).then_some(4)
}

/// Skips VLAN tags from the place where the type of the payload stands.
fn after_ethertype(frame: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let ethertype = u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]);
        match ethertype {
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return Some(at + 2),
            tag if VLAN.contains(&tag) => at += 4,
            _ => return None,
        }
    }
}

/// RFC 1661 and RFC 1662: address and control may be there or not, the protocol has two bytes or, compressed, one.
fn after_ppp(frame: &[u8]) -> Option<usize> {
    let at = if frame.starts_with(&[0xff, 0x03]) { 2 } else { 0 };
    match frame.get(at..)? {
        [0x21 | 0x57, ..] => Some(at + 1),
        [0x00, 0x21 | 0x57, ..] => Some(at + 2),
        _ => None,
    }
}

fn after_sll2(frame: &[u8]) -> Option<usize> {
    match u16::from_be_bytes(*frame.first_chunk()?) {
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => Some(20),
        // The header ends with an address; the tag and the type behind it are where a packet would be.
        tag if VLAN.contains(&tag) => after_ethertype(frame, 22),
        _ => None,
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
