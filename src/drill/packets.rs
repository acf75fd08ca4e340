//! Packets of a script as bytes, and packets of the host as a script has them. `run` sends the former and compares the
//! latter.

use core::net::SocketAddr;

use super::flow::{Flow, pattern};
use super::icmp;
use super::script::{
    Body, Direction, Ecn, Flags, Icmp, IpInfo, Options, Packet, Quoted, Span, Spanned, Tcp, TcpOption, Udp,
};
use super::wire;
use crate::segment::{self, IpView, Protocol, RawIp, RawSegment, Segment, raw_icmp, raw_udp};

/// The bytes of an inbound packet. The error says what cannot be sent.
pub(super) fn inbound(packet: &Packet, flow: &mut Flow) -> Result<Vec<u8>, String> {
    let ip = raw_ip(packet.ip);
    match &packet.body {
        Body::Tcp(tcp) => inbound_tcp(tcp, ip, flow),
        Body::Udp(udp) => Ok(raw_udp(flow.remote, flow.local, ip, &pattern(0, usize::from(udp.len)))),
        Body::Icmp(icmp) => inbound_icmp(icmp, ip, flow),
    }
}

fn raw_ip(info: IpInfo) -> RawIp {
    let ecn = match info.ecn {
        Some(Ecn::Ect1) => 1,
        Some(Ecn::Ect0 | Ecn::Ect01) => 2,
        Some(Ecn::Ce) => 3,
        Some(Ecn::NotEct) | None => 0,
    };
    RawIp { tos: info.tos.unwrap_or(0) | ecn, ttl: info.ttl.unwrap_or(255), flow_label: info.flow_label.unwrap_or(0) }
}

/// Control bits and the names of their flags.
fn bits(flags: Flags) -> u16 {
    let Flags { fin, syn, rst, psh, ack, urg, ece, cwr, ae } = flags;
    let order = [fin, syn, rst, psh, ack, urg, ece, cwr, ae];
    order.iter().enumerate().fold(0, |bits, (at, set)| bits | u16::from(*set) << at)
}

/// The flags of control bits.
pub(super) fn flags(bits: u16) -> Flags {
    let set = |at: u16| bits >> at & 1 == 1;
    Flags {
        fin: set(0),
        syn: set(1),
        rst: set(2),
        psh: set(3),
        ack: set(4),
        urg: set(5),
        ece: set(6),
        cwr: set(7),
        ae: set(8),
    }
}

fn inbound_tcp(tcp: &Tcp, ip: RawIp, flow: &mut Flow) -> Result<Vec<u8>, String> {
    let Some(seq) = tcp.seq else { return Err("a packet that is sent needs a sequence number".to_owned()) };
    let Options::List(list) = &tcp.options else {
        return Err("a packet that is sent needs its options".to_owned());
    };
    let Some(window) = tcp.win else { return Err("a packet that is sent needs `win`".to_owned()) };
    let options: Vec<_> = list
        .iter()
        .map(|option| match option {
            TcpOption::Sack(blocks) => {
                let edges = blocks.iter().map(|(left, right)| (flow.to_wire(*left), flow.to_wire(*right)));
                TcpOption::Sack(edges.collect())
            }
            TcpOption::Timestamp { val, ecr } => {
                let echo = ecr.map(|ecr| if ecr == 0 { 0 } else { flow.echo_to_wire(ecr) });
                TcpOption::Timestamp { val: *val, ecr: echo }
            }
            other => other.clone(),
        })
        .collect();
    let Some(options) = wire::write(&options) else { return Err("the options take more than 40 bytes".to_owned()) };
    flow.note_remote(seq, tcp.flags.syn);
    let text = seq.wrapping_add(u32::from(tcp.flags.syn));
    let ack = match tcp.ack {
        Some(ack) if tcp.absolute => ack,
        Some(ack) => flow.to_wire(ack),
        None => 0,
    };
    let payload = flow.remote_payload(text, tcp.len as usize);
    let segment = RawSegment {
        src: flow.remote,
        dst: flow.local,
        ip,
        seq,
        ack,
        flags: bits(tcp.flags),
        window,
        urgent: tcp.urg.unwrap_or(0),
        options: &options,
        payload: &payload,
    };
    Ok(segment.to_bytes())
}

fn inbound_icmp(icmp: &Icmp, ip: RawIp, flow: &Flow) -> Result<Vec<u8>, String> {
    let (src, dst) = (flow.remote.ip(), flow.local.ip());
    let v6 = src.is_ipv6();
    let (kind, code) = icmp::numbers(v6, &icmp.kind.value, icmp.code.as_ref().map(|code| &code.value))?;
    let word = match (icmp.mtu, icmp.id) {
        (Some(mtu), _) => mtu,
        (None, Some(id)) => u32::from(id) << 16,
        (None, None) => 0,
    };
    let mut body = match &icmp.quoted {
        None => Vec::new(),
        // What the host had sent: from its address to that of the script.
        Some(Quoted::Tcp { seq, len, .. }) => {
            let segment = RawSegment {
                src: flow.local,
                dst: flow.remote,
                ip: RawIp::default(),
                seq: flow.to_wire(*seq),
                ack: 0,
                flags: 0,
                window: 0,
                urgent: 0,
                options: &[],
                payload: &vec![0; *len as usize],
            };
            segment.to_bytes()
        }
        Some(Quoted::Udp(len)) => raw_udp(flow.local, flow.remote, RawIp::default(), &pattern(0, usize::from(*len))),
        Some(Quoted::Raw(len)) => vec![0; usize::from(*len)],
    };
    // An error quotes 548 bytes (RFC 1812, section 4.3.2.3) or 1,232 (RFC 4443, section 2.4) at most.
    body.truncate(if v6 { 1_232 } else { 548 });
    Ok(raw_icmp(src, dst, ip, (kind, code, word), &body))
}

/// Notes in its connection how far a packet of the host acknowledges the script's side. An RST accepts nothing.
pub(super) fn note_ack(flows: &mut [Flow], bytes: &[u8]) {
    let Ok(segment) = IpView::parse(bytes).and_then(|ip| Segment::parse(&ip)) else { return };
    let accepts = segment.flags.contains(segment::Flags::ACK) && !segment.flags.contains(segment::Flags::RST);
    let flow = flows.iter_mut().rev().find(|flow| flow.local == segment.src && flow.remote == segment.dst);
    if let Some(flow) = flow.filter(|_| accepts) {
        flow.note_ack(segment.ack.0, segment.is_syn());
    }
}

/// A packet of the host, read.
pub(super) struct Seen<'a> {
    pub(super) ip: IpView<'a>,
    /// Both ends, and the segment's own fields, if it carries TCP or UDP.
    pub(super) ends: Option<(SocketAddr, SocketAddr)>,
    /// The text of the segment or datagram.
    pub(super) payload: &'a [u8],
}

impl<'a> Seen<'a> {
    /// Reads a packet. `None` for what is no packet.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let ip = IpView::parse(bytes).ok()?;
        let port = |at: usize| Some(u16::from_be_bytes(*ip.payload.get(at..at + 2)?.first_chunk()?));
        let ends = match ip.protocol {
            Protocol::Tcp | Protocol::Udp => {
                Some((SocketAddr::new(ip.src, port(0)?), SocketAddr::new(ip.dst, port(2)?)))
            }
            _ => None,
        };
        let payload = match ip.protocol {
            Protocol::Tcp => Segment::parse(&ip).ok()?.payload,
            Protocol::Udp => ip.payload.get(8..)?,
            _ => &[],
        };
        Some(Self { ip, ends, payload })
    }

    /// The packet in the words of a script, in the numbers of `flow`.
    pub(super) fn packet(&self, flow: &Flow) -> Option<Packet> {
        let ip = self.ip;
        let ecn = match ip.ecn {
            0 => Ecn::NotEct,
            1 => Ecn::Ect1,
            2 => Ecn::Ect0,
            _ => Ecn::Ce,
        };
        let info = IpInfo { ecn: Some(ecn), tos: Some(ip.tos()), flow_label: Some(ip.flow_label()), ttl: Some(ip.ttl) };
        let body = match ip.protocol {
            Protocol::Tcp => Body::Tcp(self.tcp(flow)?),
            Protocol::Udp => Body::Udp(Udp { ports: Self::named(flow), len: self.payload.len() as u16 }),
            Protocol::Icmp | Protocol::Icmpv6 => {
                let &[kind, code] = ip.payload.first_chunk::<2>()?;
                let (kind, code) = icmp::names(ip.src.is_ipv6(), kind, code);
                let word = |value| Spanned { value, span: Span::default() };
                let mtu = ip.payload.get(4..8)?.first_chunk().map(|mtu| u32::from_be_bytes(*mtu));
                Body::Icmp(Icmp { kind: word(kind), code: code.map(word), mtu, id: None, quoted: None })
            }
            Protocol::Other(_) => return None,
        };
        Some(Packet { direction: Direction::Outbound, ip: info, body, udp_encapsulation: None, outer: Vec::new() })
    }

    /// The ports as the script names them, if it does: local, remote.
    fn named(flow: &Flow) -> Option<(u16, u16)> {
        flow.named.map(|(remote, local)| (local, remote))
    }

    fn tcp(&self, flow: &Flow) -> Option<Tcp> {
        let header = self.ip.payload.first_chunk::<20>()?;
        let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let header_len = usize::from(header[12] >> 4) * 4;
        let flags = flags(half(12) & 0x01ff);
        Some(Tcp {
            ports: Self::named(flow),
            flags,
            seq: Some(flow.to_script(word(4))),
            absolute: false,
            len: self.payload.len() as u32,
            ack: Some(word(8)),
            win: Some(half(14)),
            urg: Some(half(18)).filter(|urgent| *urgent != 0),
            options: Options::List(wire::read(self.ip.payload.get(20..header_len)?)),
        })
    }
}
