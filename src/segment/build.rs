//! Builds packets: a TCP segment from its fields ([`SegmentTemplate`]), a UDP datagram, an IP header.
//!
//! The stack builds with it what smoltcp does not send (SYN|ACK of a half-open connection, RST, the ACK of TIME-WAIT, UDP).
//! Replay and tests build the segments that they feed.

use core::net::{IpAddr, SocketAddr};

use super::{Flags, Options, Seq, fill_checksums};

/// A segment to be written: the fields of [`super::Segment`], owned. Start from [`SegmentTemplate::new`] and change
/// what differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentTemplate<'a> {
    /// Source address and port.
    pub src: SocketAddr,
    /// Destination address and port.
    pub dst: SocketAddr,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK.
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// The window field, not scaled.
    pub window: u16,
    /// Options, written in the order MSS, window scale, SACK-permitted, timestamps, SACK.
    pub options: Options,
    /// The bytes of data.
    pub payload: &'a [u8],
    /// Time to live or hop limit.
    pub ttl: u8,
}

impl SegmentTemplate<'_> {
    /// An empty ACK segment between two endpoints of the same IP version, all numbers zero.
    pub fn new(src: SocketAddr, dst: SocketAddr) -> Self {
        Self {
            src,
            dst,
            seq: Seq(0),
            ack: Seq(0),
            flags: Flags::ACK,
            window: 0,
            options: Options::default(),
            payload: &[],
            ttl: 64,
        }
    }

    /// Writes the packet, checksums included, into `bytes`, whose old content is gone.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        let mut area = [0_u8; 40];
        let options_len = write_options(&self.options, &mut area);
        let tcp_len = 20 + options_len + self.payload.len();
        write_ip(bytes, self.src.ip(), self.dst.ip(), 6, self.ttl, tcp_len);
        bytes.extend_from_slice(&self.src.port().to_be_bytes());
        bytes.extend_from_slice(&self.dst.port().to_be_bytes());
        bytes.extend_from_slice(&self.seq.0.to_be_bytes());
        bytes.extend_from_slice(&if self.flags.contains(Flags::ACK) { self.ack.0 } else { 0 }.to_be_bytes());
        bytes.push((((20 + options_len) / 4) << 4) as u8);
        bytes.push(self.flags.0);
        bytes.extend_from_slice(&self.window.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&area[..options_len]);
        bytes.extend_from_slice(self.payload);
        fill_checksums(bytes);
    }

    /// The packet as new bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }
}

/// Writes a UDP datagram, checksums included.
pub(crate) fn udp_packet(src: SocketAddr, dst: SocketAddr, ttl: u8, payload: &[u8], bytes: &mut Vec<u8>) {
    bytes.clear();
    let len = 8 + payload.len();
    write_ip(bytes, src.ip(), dst.ip(), 17, ttl, len);
    bytes.extend_from_slice(&src.port().to_be_bytes());
    bytes.extend_from_slice(&dst.port().to_be_bytes());
    bytes.extend_from_slice(&(len as u16).to_be_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(payload);
    fill_checksums(bytes);
}

/// The IP header of a packet that carries `len` bytes of `protocol`: as smoltcp writes it, with don't-fragment set and
/// an identification of zero (RFC 6864 allows it for atomic datagrams).
pub(super) fn write_ip(bytes: &mut Vec<u8>, src: IpAddr, dst: IpAddr, protocol: u8, ttl: u8, len: usize) {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let total = ((20 + len) as u16).to_be_bytes();
            bytes.extend_from_slice(&[0x45, 0, total[0], total[1], 0, 0, 0x40, 0, ttl, protocol, 0, 0]);
            bytes.extend_from_slice(&src.to_bits().to_be_bytes());
            bytes.extend_from_slice(&dst.to_bits().to_be_bytes());
        }
        (src, dst) => {
            let len = (len as u16).to_be_bytes();
            bytes.extend_from_slice(&[0x60, 0, 0, 0, len[0], len[1], protocol, ttl]);
            for address in [src, dst] {
                let data = match address {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits().to_be_bytes(),
                    IpAddr::V6(v6) => v6.to_bits().to_be_bytes(),
                };
                bytes.extend_from_slice(&data);
            }
        }
    }
}

/// Writes the options in smoltcp's order, padded with end-of-options to a multiple of four. SACK blocks that would not
/// fit are left out. Returns the length.
fn write_options(options: &Options, area: &mut [u8; 40]) -> usize {
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        if let Some(place) = area.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
            at += bytes.len();
        }
    };
    if let Some(mss) = options.mss {
        let [high, low] = mss.to_be_bytes();
        put(&[2, 4, high, low]);
    }
    if let Some(shift) = options.wscale {
        put(&[3, 3, shift]);
    }
    if options.sack_permitted {
        put(&[4, 2]);
    }
    if let Some(ts) = options.ts {
        let mut option = [8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
        option[2..6].copy_from_slice(&ts.ts_val.to_be_bytes());
        option[6..].copy_from_slice(&ts.ts_ecr.to_be_bytes());
        put(&option);
    }
    // At most three blocks fit beside timestamps (RFC 2018, section 3).
    let room = if options.ts.is_some() { 3 } else { 4 };
    let count = options.sack_blocks().count().min(room);
    if count > 0 {
        put(&[5, (2 + 8 * count) as u8]);
        for block in options.sack_blocks().take(count) {
            put(&block.left.0.to_be_bytes());
            put(&block.right.0.to_be_bytes());
        }
    }
    at.next_multiple_of(4)
}
