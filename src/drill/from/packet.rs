//! One recorded packet in the words of a script: numbers counted from the initial ones of both sides, everything else as it
//! was recorded. `weave` calls it for each packet.

use crate::conversation::Side;
use crate::drill::icmp;
use crate::drill::packets::flags;
use crate::drill::script::{
    Body, Direction, Ecn, Icmp, IpInfo, Options, Packet, Quoted, Span, Spanned, Tcp, TcpOption,
};
use crate::drill::wire;
use crate::recording::{Recorded, Recording};
use crate::segment::{self, Flags, IpView, Seq};

/// How the packets of a conversation are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The side of the host under test.
    pub(super) ours: Side,
    /// The initial sequence numbers of both sides.
    pub(super) iss: [Seq; 2],
    /// ECN bits are written: a packet of the conversation has some.
    pub(super) ecn: bool,
}

/// The packet as a script has it. `None`: the language has no words for it.
pub(super) fn packet(recording: &Recording, recorded: &Recorded, manner: Manner) -> Option<Packet> {
    let outbound = recorded.from == manner.ours;
    let direction = if outbound { Direction::Outbound } else { Direction::Inbound };
    let body =
        if recorded.icmp { icmp(recording, recorded, manner)? } else { Body::Tcp(tcp(recording, recorded, manner)?) };
    let ecn = match recorded.ecn {
        // RFC 3168, section 6.1.1, has none on a SYN.
        _ if !manner.ecn || recorded.icmp || recorded.has(Flags::SYN) => None,
        0 => Some(Ecn::NotEct),
        1 => Some(Ecn::Ect1),
        2 => Some(Ecn::Ect0),
        _ => Some(Ecn::Ce),
    };
    let ip = IpInfo { ecn, ..IpInfo::default() };
    Some(Packet { direction, ip, body, udp_encapsulation: None, outer: Vec::new() })
}

fn tcp(recording: &Recording, recorded: &Recorded, Manner { iss, .. }: Manner) -> Option<Tcp> {
    let header = &recording.bytes[recorded.header.clone()];
    let half = |at: usize| Some(u16::from_be_bytes([*header.get(at)?, *header.get(at + 1)?]));
    let (own, peer) = (iss[recorded.from], iss[recorded.from.other()]);
    let flags = flags(half(12)? & 0x01ff);
    let urgent = half(18)?;
    let mut options = wire::read(header.get(20..)?);
    for option in &mut options {
        if let TcpOption::Sack(blocks) = option {
            for (left, right) in blocks {
                (*left, *right) = (left.wrapping_sub(peer.0), right.wrapping_sub(peer.0));
            }
        }
    }
    Some(Tcp {
        ports: None,
        flags,
        seq: Some(recorded.seq.0.wrapping_sub(own.0)),
        absolute: false,
        len: recorded.payload.len() as u32,
        ack: flags.ack.then(|| recorded.ack.0.wrapping_sub(peer.0)),
        win: Some(recorded.window),
        urg: (flags.urg || urgent != 0).then_some(urgent),
        options: Options::List(options),
    })
}

/// An ICMP error about a packet of the host under test.
fn icmp(recording: &Recording, recorded: &Recorded, Manner { ours, iss, .. }: Manner) -> Option<Body> {
    let ip = IpView::parse_captured(&recording.bytes[recorded.payload.clone()]).ok()?;
    let quoted = segment::Quoted::parse(&ip)?;
    let (kind, code) = quoted.kind;
    let v6 = ip.src.is_ipv6();
    let word = |at: usize| ip.payload.get(at..at + 4)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    let half = |at: usize| ip.payload.get(at..at + 2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
    let too_big = if v6 { kind == 2 } else { (kind, code) == (3, 4) };
    // The quoted packet begins behind the 8 bytes of the ICMP header.
    let (header, total) = if v6 { (40, 40 + half(12)?) } else { (u16::from(ip.payload.get(8)? & 15) * 4, half(10)?) };
    let offset = ip.payload.get(8 + usize::from(header) + 12).map_or(20, |byte| u16::from(byte >> 4) * 4);
    let len = total.saturating_sub(header).saturating_sub(offset.max(20));
    let (kind, code) = icmp::names(v6, kind, code);
    let spanned = |value| Spanned { value, span: Span::default() };
    Some(Body::Icmp(Icmp {
        kind: spanned(kind),
        code: code.map(spanned),
        mtu: if too_big { word(4) } else { None },
        id: None,
        quoted: Some(Quoted::Tcp {
            seq: quoted.seq?.0.wrapping_sub(iss[ours].0),
            len: u32::from(len),
            udp_encapsulation: None,
        }),
    }))
}
