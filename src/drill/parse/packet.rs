//! Packets: direction, IP header, outer headers, and a TCP segment or a UDP datagram. ICMP has a file of its own.
//! [`event`](super::event) calls [`packet`].

use winnow::Parser;
use winnow::combinator::{alt, opt, preceded};
use winnow::stream::Stream;

use super::icmp::icmp;
use super::input::{Input, Label, Parsed, at, expected, invalid, place_from, rest, spanned, unsupported};
use super::options::options;
use super::token::{
    keyword, length, named, next_word, number, ports, run_of, sequence, sign, space, udp_encapsulation, word,
};
use crate::drill::script::{Body, Direction, Ecn, Flags, IpInfo, Options, Packet, Tcp, Udp};

/// Bytes of payload that a segment has at most: what an IPv4 packet has behind two headers without options.
pub const MAX_PAYLOAD: u32 = 65_535 - 40;

/// Why a digit among the flags is refused.
const COUNTER: &str = "a digit stands for A, W and E; it stands once and without them";

/// Outer headers that the language has.
const OUTER: [&str; 6] = ["gre", "mpls", "ipv4", "ipv6", "encap", "psp"];
/// Protocols of packetdrill's relatives.
const OTHER_PROTOCOLS: [&str; 3] = ["sctp", "udplite", "dccp"];

/// A packet, sent to the stack or expected from it.
pub(super) fn packet(input: &mut Input<'_>) -> Parsed<Packet> {
    let direction =
        alt((sign("<").value(Direction::Inbound), sign(">").value(Direction::Outbound))).parse_next(input)?;
    let ip_before = opt(ip_info(direction)).parse_next(input)?;
    let mut outer = Vec::new();
    while OUTER.contains(&next_word(input)) {
        outer.push(spanned(outer_header)(input)?);
    }
    let ip = match ip_before {
        Some(ip) => ip,
        None => opt(ip_info(direction)).parse_next(input)?.unwrap_or_default(),
    };
    let body = match next_word(input) {
        "icmp" => Body::Icmp(icmp(input)?),
        "udp" => Body::Udp(udp(input)?),
        other if OTHER_PROTOCOLS.contains(&other) => return unsupported(at(input)..at(input) + other.len(), other),
        _ => {
            return segment(input, direction).map(|(tcp, udp_encapsulation)| Packet {
                direction,
                ip,
                body: Body::Tcp(tcp),
                udp_encapsulation,
                outer,
            });
        }
    };
    Ok(Packet { direction, ip, body, udp_encapsulation: None, outer })
}

/// An outer header up to its colon. What it says is kept as text.
fn outer_header(input: &mut Input<'_>) -> Parsed<String> {
    let line = rest(input).split('\n').next().unwrap_or_default();
    // The colons of an IPv6 address have no white space behind them.
    let behind = |at: usize| line[at + 1..].chars().next().is_none_or(char::is_whitespace);
    let end = line.match_indices(':').map(|(at, _)| at).find(|at| behind(*at));
    let Some(end) = end else {
        // What follows `encap` has a form of its own, without a colon.
        let name = next_word(input);
        if matches!(name, "encap" | "psp") {
            return unsupported(at(input)..at(input) + name.len(), name);
        }
        word("an outer header").parse_next(input)?;
        return expected(input, Label::Name("`:` behind the outer header"));
    };
    input.next_slice(end + 1);
    space(input)?;
    Ok(line[..end].split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}

/// What is said about the IP header, in parentheses or brackets.
fn ip_info<'a>(direction: Direction) -> impl FnMut(&mut Input<'a>) -> Parsed<IpInfo> {
    move |input| {
        let close = alt((sign("(").value(")"), sign("[").value("]"))).parse_next(input)?;
        let mut ip = IpInfo::default();
        loop {
            let start = at(input);
            if !ip_part(input, &mut ip)? {
                return invalid(place_from(input, start), "this is said twice");
            }
            if ip.ecn == Some(Ecn::Ect01) && direction == Direction::Inbound {
                return invalid(place_from(input, start), "`ect01` is only for a packet that is expected");
            }
            if opt(sign(",")).parse_next(input)?.is_none() {
                break;
            }
        }
        sign(close).parse_next(input)?;
        Ok(ip)
    }
}

/// One part of it. False if there is one already.
fn ip_part(input: &mut Input<'_>, ip: &mut IpInfo) -> Parsed<bool> {
    let ecn = alt((
        keyword("noecn").value(Ecn::NotEct),
        keyword("ect0").value(Ecn::Ect0),
        keyword("ect1").value(Ecn::Ect1),
        keyword("ect01").value(Ecn::Ect01),
        keyword("ce").value(Ecn::Ce),
    ));
    if let Some(ecn) = opt(ecn).parse_next(input)? {
        return Ok(ip.ecn.replace(ecn).is_none());
    }
    if let Some(tos) = opt(preceded(alt((keyword("tos"), keyword("class"))), number)).parse_next(input)? {
        return Ok(ip.tos.replace(tos).is_none());
    }
    if let Some(ttl) = opt(preceded(alt((keyword("ttl"), keyword("hlim"))), number)).parse_next(input)? {
        return Ok(ip.ttl.replace(ttl).is_none());
    }
    let start = at(input);
    let label: u32 = named("flowlabel").parse_next(input)?;
    if label >= 1 << 20 {
        return invalid(place_from(input, start), "a flow label has 20 bits");
    }
    Ok(ip.flow_label.replace(label).is_none())
}

/// `udp (LEN)`
fn udp(input: &mut Input<'_>) -> Parsed<Udp> {
    keyword("udp").parse_next(input)?;
    let ports = opt(ports).parse_next(input)?;
    Ok(Udp { ports, len: length(input)? })
}

/// A TCP segment, and the UDP header in front of it.
fn segment(input: &mut Input<'_>, direction: Direction) -> Parsed<(Tcp, Option<(u16, u16)>)> {
    let ports = opt(ports).parse_next(input)?;
    let flags = flags(input)?;
    let start = at(input);
    let (seq, len) = if opt(sign("...")).parse_next(input)?.is_some() {
        if direction == Direction::Inbound {
            return invalid(place_from(input, start), "a packet that is sent has a sequence number");
        }
        (None, length(input)?)
    } else {
        let (seq, len) = sequence(input)?;
        (Some(seq), len)
    };
    if len > MAX_PAYLOAD {
        return invalid(place_from(input, start), &format!("a segment has at most {MAX_PAYLOAD} bytes of payload"));
    }
    let absolute = opt(sign("!")).parse_next(input)?.is_some();
    let ack = opt(named("ack")).parse_next(input)?;
    let win = match direction {
        Direction::Inbound => Some(named("win").parse_next(input)?),
        Direction::Outbound => opt(named("win")).parse_next(input)?,
    };
    let urg = opt(named("urg")).parse_next(input)?;
    let before = udp_encapsulation(input)?;
    let options = opt(options(direction)).parse_next(input)?.unwrap_or(Options::List(Vec::new()));
    let encapsulation = if before.is_some() { before } else { udp_encapsulation(input)? };
    Ok((Tcp { ports, flags, seq, absolute, len, ack, win, urg, options }, encapsulation))
}

/// The flags: letters, `.` for ACK, a digit for the three bits of accurate ECN, `-` for none.
fn flags(input: &mut Input<'_>) -> Parsed<Flags> {
    let start = at(input);
    let next = rest(input);
    let letters = next.find(|c: char| c.is_whitespace()).map_or(next, |end| &next[..end]);
    let known = |c: char| matches!(c, 'F' | 'S' | 'R' | 'P' | '.' | 'U' | 'E' | 'W' | 'C' | 'A' | '-' | '0'..='7');
    if letters.is_empty() || !letters.chars().all(known) || letters == "..." {
        return expected(input, Label::Name("flags"));
    }
    let letters = run_of(input, known)?;
    let place = place_from(input, start);
    space(input)?;
    let mut flags = Flags::default();
    let mut counter = false;
    for letter in letters.chars() {
        let flag = match letter {
            'F' => &mut flags.fin,
            'S' => &mut flags.syn,
            'R' => &mut flags.rst,
            'P' => &mut flags.psh,
            '.' => &mut flags.ack,
            'U' => &mut flags.urg,
            'E' => &mut flags.ece,
            'W' | 'C' => &mut flags.cwr,
            'A' => &mut flags.ae,
            _ if letter == '-' && letters.len() == 1 => return Ok(flags),
            _ if letter == '-' => return invalid(place, "`-` stands alone: it means no flag"),
            digit => {
                let bits = digit.to_digit(8).unwrap_or_default();
                if counter || flags.ae || flags.cwr || flags.ece {
                    return invalid(place, COUNTER);
                }
                counter = true;
                (flags.ae, flags.cwr, flags.ece) = (bits & 4 != 0, bits & 2 != 0, bits & 1 != 0);
                continue;
            }
        };
        if counter && matches!(letter, 'A' | 'W' | 'C' | 'E') {
            return invalid(place, COUNTER);
        }
        if core::mem::replace(flag, true) {
            return invalid(place, &format!("the flag `{letter}` is said twice"));
        }
    }
    Ok(flags)
}
