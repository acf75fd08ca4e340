//! ICMP errors to sockets (RFC 1122, section 4.2.3.9; RFC 5461; RFC 5927).
//!
//! smoltcp answers echo requests by itself but lets no TCP socket hear of an error. An error quotes the IP header and
//! the first bytes of the packet that it is about: enough to find the connection, and to see whether the sequence
//! number is one that was really sent. While the handshake is under way an error ends it; afterwards it is only
//! remembered and becomes the reason when the connection times out. A smaller MTU on the way (RFC 1191, RFC 8201) lowers
//! the segment size of the connection.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::event::{Cause, State};
use crate::segment::{IpView, Protocol, Seq};

use super::address::FourTuple;
use super::connection::ConnectionError;
use super::{Slot, Stack};

/// What an ICMP error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    error: ConnectionError,
    protocol: Protocol,
    /// The connection, as seen from the host that sent the packet: us.
    tuple: FourTuple,
    /// The sequence number of the packet, if it was TCP.
    seq: Seq,
    /// The MTU of the next link, if a packet was too large for it.
    mtu: Option<usize>,
}

/// The plateaus of RFC 1191, section 7.1, for routers that do not tell the MTU.
const PLATEAUS: [usize; 8] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508];

impl Report {
    /// Reads an ICMP error; `None` for other messages and for those that quote too little.
    pub(super) fn parse(ip: &IpView<'_>) -> Option<Self> {
        let (&[kind, code], quoted) = (ip.payload.first_chunk::<2>()?, ip.payload.get(8..)?);
        let error = match (ip.protocol, kind, code) {
            (Protocol::Icmp, 3, 2 | 3) | (Protocol::Icmpv6, 1, 4) => ConnectionError::Refused,
            (Protocol::Icmp, 3, 4) | (Protocol::Icmpv6, 2, _) => ConnectionError::MessageTooLong,
            (Protocol::Icmp, 3, 0 | 6 | 9 | 11) | (Protocol::Icmpv6, 1, 0) => ConnectionError::NetUnreachable,
            (Protocol::Icmp, 3 | 11, _) | (Protocol::Icmpv6, 1 | 3, _) => ConnectionError::HostUnreachable,
            _ => return None,
        };
        let (src, dst, protocol, rest) = quoted_header(quoted)?;
        // Ports and sequence number, which is all that an old router quotes (RFC 792).
        let head = rest.first_chunk::<8>()?;
        let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let tuple = FourTuple::new(SocketAddr::new(src, port(0)), SocketAddr::new(dst, port(2)));
        let seq = Seq(u32::from_be_bytes([head[4], head[5], head[6], head[7]]));
        let mtu = (error == ConnectionError::MessageTooLong).then(|| next_mtu(ip, quoted));
        Some(Self { error, protocol, tuple, seq, mtu })
    }
}

/// The MTU that a report tells (RFC 1191, section 4; RFC 8201, section 4; RFC 4443, section 3.2).
fn next_mtu(ip: &IpView<'_>, quoted: &[u8]) -> usize {
    let word = |at: usize| ip.payload.get(at).map_or(0, |byte| usize::from(*byte));
    if ip.protocol == Protocol::Icmpv6 {
        return (4..8).fold(0, |mtu, at| mtu << 8 | word(at));
    }
    match word(6) << 8 | word(7) {
        0 => {
            let len = quoted.get(2..4).map_or(0, |len| usize::from(u16::from_be_bytes([len[0], len[1]])));
            PLATEAUS.into_iter().find(|plateau| *plateau < len).unwrap_or(len)
        }
        mtu => mtu,
    }
}

/// Reads the IP header of a quoted packet, which may be cut off behind it.
fn quoted_header(quoted: &[u8]) -> Option<(IpAddr, IpAddr, Protocol, &[u8])> {
    match quoted.first()? >> 4 {
        4 => {
            let fixed = quoted.first_chunk::<20>()?;
            let v4 = |at: usize| IpAddr::V4(Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]));
            let header_len = usize::from(fixed[0] & 0x0f) * 4;
            Some((v4(12), v4(16), fixed[9].into(), quoted.get(header_len.max(20)..)?))
        }
        6 => {
            let fixed = quoted.first_chunk::<40>()?;
            let v6 = |at: usize| {
                let bytes: [u8; 16] = core::array::from_fn(|i| fixed[at + i]);
                IpAddr::V6(Ipv6Addr::from(bytes))
            };
            Some((v6(8), v6(24), fixed[6].into(), &quoted[40..]))
        }
        _ => None,
    }
}

impl Stack {
    pub(super) fn on_icmp(&mut self, report: &Report) {
        match report.protocol {
            Protocol::Udp => self.udp.on_icmp(&report.tuple, report.error, &mut self.ready),
            Protocol::Tcp => match self.tables.exact.get(&report.tuple).copied() {
                Some(Slot::HalfOpen(id)) if self.tables.half_open[id].iss == report.seq && report.mtu.is_none() => {
                    self.forget_half_open(id, Cause::Icmp);
                }
                Some(Slot::Connection(id)) => {
                    let connection = &mut *self.tables.connections[id];
                    let Some(tcp) = &mut connection.tcp else { return };
                    let (snd_una, snd_nxt) = tcp.sent();
                    // RFC 5927, section 4.1: only what is in flight can have met an obstacle.
                    if report.seq < snd_una || report.seq >= snd_nxt {
                        return;
                    }
                    if let Some(mtu) = report.mtu.filter(|_| connection.state != State::SynSent) {
                        if let Some(mtu) = tcp.on_packet_too_big(mtu) {
                            self.path_mtus.learn(self.now, report.tuple.remote, mtu);
                            self.touch(id);
                        } else {
                            connection.soft_error = Some(report.error);
                        }
                        return;
                    }
                    if connection.state == State::SynSent && report.error != ConnectionError::MessageTooLong {
                        self.finish(id, Some(report.error), Cause::Icmp);
                    } else {
                        connection.soft_error = Some(report.error);
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
}
