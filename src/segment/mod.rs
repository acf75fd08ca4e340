//! A parsed view of one packet: IP header, TCP header, payload, borrowed from the bytes that were on the wire.
//!
//! ```text
//!  Packet (owned bytes) --IpView--> addresses, protocol, fragment? --Segment--> ports, RFC 9293 header, options, payload
//! ```
//!
//! Parsing checks lengths and offsets only. [`IpView::checksums_ok`] verifies checksums, because a capture may hold packets
//! whose checksums were left to the hardware. Parsing does not allocate.
//!
//! - `ip`, `ip_options`, `options`: the strict parser of a host; `captured`, `fragments`: the lenient one of captures;
//! - `edit`, `build`, `raw`, `layout`: the only places that write header bytes; `icmp`, `quoted`: ICMP errors and the packets in
//!   them;
//! - `checksum`, `notation`, `diff`, `seq`, `packet`.
//!
//! Formats: RFC 791, RFC 8200, RFC 9293 section 3.1, RFC 7323, RFC 2018.

mod build;
mod captured;
mod checksum;
mod diff;
#[cfg(any(test, all(feature = "live", target_os = "linux")))]
mod echo;
mod edit;
mod fragments;
mod icmp;
mod ip;
mod ip_options;
mod layout;
mod notation;
mod options;
mod packet;
mod quoted;
mod raw;
mod seq;

pub use build::SegmentTemplate;
pub use captured::{CaptureParser, Captured};
pub use checksum::complete_checksums;
pub use diff::{Difference, Field, diff};
pub use edit::HeaderEditor;
pub use ip::{IpView, Malformed, Protocol};
pub use layout::OptionLayout;
pub use options::{Options, SackBlock, Timestamps};
pub use packet::{Packet, PacketId, PacketMeta};
pub use quoted::Quoted;
pub use raw::{RawIp, RawSegment};
pub use seq::Seq;

pub(crate) use build::udp_packet;
pub(crate) use checksum::fill_checksums;
pub(crate) use edit::decrement_ttl;
pub(crate) use icmp::IcmpError;
pub(crate) use ip_options::OptionFault;
#[cfg(feature = "drill")]
pub(crate) use raw::{raw_icmp, raw_udp};

use core::net::{IpAddr, SocketAddr};
use core::ops::BitOr;

/// The MSS of a host that offers none: 536 bytes over IPv4, 1220 over IPv6 (RFC 9293, section 3.7.1). `address` is one of
/// the host's.
pub const fn default_mss(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(_) => 536,
        IpAddr::V6(_) => 1220,
    }
}

/// The control bits of a TCP header (RFC 9293, section 3.1), low byte only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push function.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field is significant.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(0x20);
    /// Echo of a congestion mark; on a SYN, part of the negotiation of ECN (RFC 3168, section 6.1).
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced (RFC 3168, section 6.1).
    pub const CWR: Self = Self(0x80);

    /// True if every bit of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if any bit of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These flags without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One TCP segment and the addresses of the packet that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Source address and port.
    pub src: SocketAddr,
    /// Destination address and port.
    pub dst: SocketAddr,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK; meaningless unless [`Flags::ACK`] is set.
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// The window field as it stands in the header, not scaled.
    pub window: u16,
    /// The options that this host uses.
    pub options: Options,
    /// The bytes of data.
    pub payload: &'a [u8],
    /// IP time to live or hop limit.
    pub ttl: u8,
    /// The ECN field of the IP header, from 0 to 3 (RFC 3168, section 5).
    pub ecn: u8,
}

impl<'a> Segment<'a> {
    /// Reads the TCP segment of an IP packet whose protocol is TCP.
    ///
    /// # Errors
    /// [`Malformed`] names the length that does not fit.
    pub fn parse(ip: &IpView<'a>) -> Result<Self, Malformed> {
        let tcp = ip.payload;
        if ip.protocol != Protocol::Tcp {
            return Err(Malformed::NotTcp);
        }
        if ip.fragment {
            return Err(Malformed::Fragment);
        }
        let Some((header, _)) = tcp.split_first_chunk::<20>() else {
            return Err(Malformed::TcpHeader);
        };
        let header_len = usize::from(header[12] >> 4) * 4;
        if header_len < 20 || header_len > tcp.len() {
            return Err(Malformed::TcpHeader);
        }
        let options = Options::parse(&tcp[20..header_len]);
        Ok(Self::from_header(ip, header, header_len, options))
    }

    /// The same with options that were read elsewhere.
    fn parse_with(ip: &IpView<'a>, options: Options) -> Result<Self, Malformed> {
        let Some((header, _)) = ip.payload.split_first_chunk::<20>() else {
            return Err(Malformed::TcpHeader);
        };
        let header_len = usize::from(header[12] >> 4) * 4;
        if header_len < 20 || header_len > ip.payload.len() {
            return Err(Malformed::TcpHeader);
        }
        Ok(Self::from_header(ip, header, header_len, options))
    }

    #[inline]
    fn from_header(ip: &IpView<'a>, header: &[u8; 20], header_len: usize, options: Options) -> Self {
        Self {
            src: SocketAddr::new(ip.src, u16::from_be_bytes([header[0], header[1]])),
            dst: SocketAddr::new(ip.dst, u16::from_be_bytes([header[2], header[3]])),
            seq: Seq(u32::from_be_bytes([header[4], header[5], header[6], header[7]])),
            ack: Seq(u32::from_be_bytes([header[8], header[9], header[10], header[11]])),
            flags: Flags(header[13]),
            window: u16::from_be_bytes([header[14], header[15]]),
            options,
            payload: &ip.payload[header_len..],
            ttl: ip.ttl,
            ecn: ip.ecn,
        }
    }

    /// SEG.LEN: bytes of data, plus one each for SYN and FIN (RFC 9293, section 3.4).
    pub fn len(&self) -> u32 {
        self.payload.len() as u32 + u32::from(self.is_syn()) + u32::from(self.is_fin())
    }

    /// True if the segment occupies no sequence space: a bare ACK or an RST.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sequence number after the segment: SEG.SEQ + SEG.LEN.
    pub fn end(&self) -> Seq {
        self.seq + self.len()
    }

    /// SYN is set.
    pub const fn is_syn(&self) -> bool {
        self.flags.contains(Flags::SYN)
    }

    /// FIN is set.
    pub const fn is_fin(&self) -> bool {
        self.flags.contains(Flags::FIN)
    }

    /// RST is set.
    pub const fn is_rst(&self) -> bool {
        self.flags.contains(Flags::RST)
    }

    /// ACK is set.
    pub const fn is_ack(&self) -> bool {
        self.flags.contains(Flags::ACK)
    }
}
