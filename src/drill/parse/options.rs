//! TCP options in `< >`. [`packet`](super::packet) calls [`options`].

use winnow::Parser;
use winnow::combinator::{alt, opt, preceded, repeat, separated, separated_pair};

use super::input::{Input, Parsed, at, invalid, place_from, unsupported};
use super::token::{any_or, hex, keyword, named, next_word, number, sign};
use crate::drill::script::{Direction, Options, TcpOption};

/// Bytes of options that a TCP header has at most.
const MAX_OPTIONS: usize = 40;
/// Options that packetdrill's relatives have: Multipath TCP (RFC 8684) under the names of its fork.
const UNSUPPORTED: [&str; 6] = ["mp_", "mpcapable", "dss", "add_addr", "remove_addr", "psp"];

/// `<...>`, or a list of options.
pub(super) fn options<'a>(direction: Direction) -> impl FnMut(&mut Input<'a>) -> Parsed<Options> {
    move |input| {
        let start = at(input);
        sign("<").parse_next(input)?;
        if opt(sign("...")).parse_next(input)?.is_some() {
            sign(">").parse_next(input)?;
            if direction == Direction::Inbound {
                return invalid(place_from(input, start), "`<...>` is only for a packet that is expected");
            }
            return Ok(Options::Any);
        }
        let list: Vec<_> = separated(0.., option, sign(",")).parse_next(input)?;
        sign(">").parse_next(input)?;
        let len: usize = list.iter().map(wire_len).sum();
        if len > MAX_OPTIONS {
            let message = format!("these options take {len} bytes; a TCP header has room for {MAX_OPTIONS}");
            return invalid(place_from(input, start), &message);
        }
        Ok(Options::List(list))
    }
}

/// One option.
fn option(input: &mut Input<'_>) -> Parsed<TcpOption> {
    let name = next_word(input);
    if UNSUPPORTED.iter().any(|start| name.starts_with(start)) {
        return unsupported(at(input)..at(input) + name.len(), name);
    }
    // In alphabetic order, as the message of an error lists them.
    let first = alt((
        accurate_ecn,
        preceded(keyword("FO"), opt(hex)).map(|cookie| TcpOption::FastOpen(cookie.unwrap_or_default())),
        preceded(keyword("FOEXP"), opt(hex)).map(|cookie| TcpOption::FastOpenExperimental(cookie.unwrap_or_default())),
        timestamp,
        keyword("eol").value(TcpOption::Eol),
    ));
    let second = alt((
        (named("kind"), opt(hex)).map(|(kind, data)| TcpOption::Unknown { kind, data: data.unwrap_or_default() }),
        preceded(keyword("md5"), digest).map(TcpOption::Md5),
        named("mss").map(TcpOption::Mss),
        keyword("nop").value(TcpOption::Nop),
        sack,
        keyword("sackOK").value(TcpOption::SackOk),
        named("wscale").map(TcpOption::Wscale),
    ));
    alt((first, second)).parse_next(input)
}

/// What is behind `md5`: `valid`, which is `None`, bytes, or nothing.
fn digest(input: &mut Input<'_>) -> Parsed<Option<Vec<u8>>> {
    let bytes = opt(hex).map(|digest| Some(digest.unwrap_or_default()));
    alt((keyword("valid").value(None), bytes)).parse_next(input)
}

/// `TS val N ecr N`
fn timestamp(input: &mut Input<'_>) -> Parsed<TcpOption> {
    keyword("TS").parse_next(input)?;
    let val = preceded(keyword("val"), any_or).parse_next(input)?;
    let ecr = preceded(keyword("ecr"), any_or).parse_next(input)?;
    Ok(TcpOption::Timestamp { val, ecr })
}

/// `sack L:R ...`
fn sack(input: &mut Input<'_>) -> Parsed<TcpOption> {
    keyword("sack").parse_next(input)?;
    let block = separated_pair(number, sign(":"), number);
    let blocks = repeat(1.., block).parse_next(input)?;
    Ok(TcpOption::Sack(blocks))
}

/// `ECN e0b N ceb N e1b N`: any of the three, in any order.
fn accurate_ecn(input: &mut Input<'_>) -> Parsed<TcpOption> {
    keyword("ECN").parse_next(input)?;
    let mut counts: Vec<(String, u32)> = Vec::new();
    loop {
        let start = at(input);
        let name = alt((keyword("e0b").value("e0b"), keyword("ceb").value("ceb"), keyword("e1b").value("e1b")));
        let Some((name, count)) = opt((name, number::<u32>)).parse_next(input)? else { break };
        if count >= 1 << 24 {
            return invalid(place_from(input, start), "a counter of this option has 24 bits");
        }
        if counts.iter().any(|(other, _)| other == name) {
            return invalid(place_from(input, start), "this counter is said twice");
        }
        counts.push((name.to_owned(), count));
    }
    Ok(TcpOption::AccEcn(counts))
}

/// Bytes that an option takes in the header.
fn wire_len(option: &TcpOption) -> usize {
    match option {
        TcpOption::Eol | TcpOption::Nop => 1,
        TcpOption::SackOk => 2,
        TcpOption::Wscale(_) => 3,
        TcpOption::Mss(_) => 4,
        TcpOption::Timestamp { .. } => 10,
        TcpOption::Sack(blocks) => 2 + 8 * blocks.len(),
        TcpOption::FastOpen(data) | TcpOption::Unknown { data, .. } => 2 + data.len(),
        TcpOption::FastOpenExperimental(cookie) => 4 + cookie.len(),
        TcpOption::Md5(_) => 18,
        TcpOption::AccEcn(counts) => 2 + 3 * counts.len(),
    }
}
