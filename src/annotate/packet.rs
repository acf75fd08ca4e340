//! One line for a packet that is not a TCP segment: UDP, ICMP (RFC 792; for version 6 RFC 4443, RFC 4861, RFC 3810),
//! fragments, and whatever else an IP header can announce.

use super::tags::put;
use crate::segment::{IpView, Malformed, Protocol, Quoted};

/// Says what the packet is; `why` it could not be read as a segment.
pub(super) fn write(out: &mut String, ip: &IpView<'_>, why: Malformed) {
    if ip.fragment {
        return put(out, format_args!("fragment of an IP packet, protocol {}", ip.protocol.number()));
    }
    match ip.protocol {
        Protocol::Tcp => put(out, format_args!("no segment: {why}")),
        Protocol::Udp => match ip.payload {
            [a, b, c, d, _, _, _, _, data @ ..] => {
                let (src, dst) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
                put(out, format_args!("UDP from port {src} to port {dst}, {} bytes", data.len()));
            }
            _ => out.push_str("UDP, cut off"),
        },
        Protocol::Icmp => write_icmp(out, "ICMP", ip, icmp_name),
        Protocol::Icmpv6 => write_icmp(out, "ICMPv6", ip, icmpv6_name),
        Protocol::Other(number) => put(out, format_args!("IP protocol {number}, {} bytes", ip.payload.len())),
    }
}

type Name = fn(u8, u8) -> Option<(&'static str, Rest)>;

/// What follows the first four bytes of a message.
enum Rest {
    Echo,
    /// The packet that the error is about.
    About,
    Nothing,
}

fn write_icmp(out: &mut String, family: &str, ip: &IpView<'_>, name: Name) {
    let [kind, code, _, _, rest @ ..] = ip.payload else {
        return put(out, format_args!("{family}, cut off"));
    };
    let Some((name, follows)) = name(*kind, *code) else {
        return put(out, format_args!("{family} type {kind} code {code}"));
    };
    put(out, format_args!("{family} {name}"));
    match (follows, rest) {
        (Rest::Echo, [a, b, c, d, ..]) => {
            let (id, number) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
            put(out, format_args!(", id {id}, number {number}"));
        }
        (Rest::About, _) => Quoted::parse(ip).iter().for_each(|quoted| write_quoted(out, quoted)),
        _ => {}
    }
}

/// The packet inside an error is cut off: the ports say which it is.
fn write_quoted(out: &mut String, quoted: &Quoted) {
    let name = if quoted.protocol == Protocol::Tcp { "TCP" } else { "UDP" };
    put(out, format_args!(", about {name} from port {} to port {}", quoted.src.port(), quoted.dst.port()));
}

fn icmp_name(kind: u8, code: u8) -> Option<(&'static str, Rest)> {
    Some(match (kind, code) {
        (0, 0) => ("echo reply", Rest::Echo),
        (8, 0) => ("echo request", Rest::Echo),
        (3, 0) => ("network unreachable", Rest::About),
        (3, 1) => ("host unreachable", Rest::About),
        (3, 2) => ("protocol unreachable", Rest::About),
        (3, 3) => ("port unreachable", Rest::About),
        (3, 4) => ("fragmentation needed", Rest::About),
        (3, _) => ("destination unreachable", Rest::About),
        (5, _) => ("redirect", Rest::About),
        (11, _) => ("time exceeded", Rest::About),
        (12, _) => ("parameter problem", Rest::About),
        _ => return None,
    })
}

fn icmpv6_name(kind: u8, code: u8) -> Option<(&'static str, Rest)> {
    Some(match (kind, code) {
        (128, 0) => ("echo request", Rest::Echo),
        (129, 0) => ("echo reply", Rest::Echo),
        (1, 0) => ("no route to destination", Rest::About),
        (1, 3) => ("address unreachable", Rest::About),
        (1, 4) => ("port unreachable", Rest::About),
        (1, _) => ("destination unreachable", Rest::About),
        (2, _) => ("packet too big", Rest::About),
        (3, _) => ("time exceeded", Rest::About),
        (4, _) => ("parameter problem", Rest::About),
        (130, _) => ("multicast listener query", Rest::Nothing),
        (131 | 143, _) => ("multicast listener report", Rest::Nothing),
        (133, _) => ("router solicitation", Rest::Nothing),
        (134, _) => ("router advertisement", Rest::Nothing),
        (135, _) => ("neighbor solicitation", Rest::Nothing),
        (136, _) => ("neighbor advertisement", Rest::Nothing),
        _ => return None,
    })
}
