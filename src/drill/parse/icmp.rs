//! ICMP messages and the packets quoted in them. [`packet`](super::packet) calls [`icmp`].

use winnow::Parser;
use winnow::combinator::{alt, delimited, opt, preceded};

use super::input::{Input, Parsed, on_new_line, rest, spanned};
use super::token::{keyword, length, named, next_word, number, sequence, sign, udp_encapsulation, word};
use crate::drill::script::{Icmp, Quoted, Spanned, Word};

/// `icmp TYPE [CODE] [mtu N] [id N] [[QUOTED]]`
pub(super) fn icmp(input: &mut Input<'_>) -> Parsed<Icmp> {
    keyword("icmp").parse_next(input)?;
    let kind = spanned(name_or_number("a type of ICMP message"))(input)?;
    let code = code(input)?;
    let mtu = opt(named("mtu")).parse_next(input)?;
    let id = opt(named("id")).parse_next(input)?;
    let quoted = opt(quoted).parse_next(input)?;
    Ok(Icmp { kind, code, mtu, id, quoted })
}

/// The code, if there is one. A number on a later line is not a code, but the time of the next event.
fn code(input: &mut Input<'_>) -> Parsed<Option<Spanned<Word>>> {
    let is_time = on_new_line(input) && rest(input).starts_with(|first: char| first.is_ascii_digit());
    if is_time || matches!(next_word(input), "mtu" | "id") {
        return Ok(None);
    }
    opt(spanned(name_or_number("a code"))).parse_next(input)
}

fn name_or_number<'a>(what: &'static str) -> impl FnMut(&mut Input<'a>) -> Parsed<Word> {
    move |input| {
        alt((word(what).map(|name: &str| Word::Name(name.to_owned())), number.map(Word::Number))).parse_next(input)
    }
}

/// The quoted packet, in brackets.
fn quoted(input: &mut Input<'_>) -> Parsed<Quoted> {
    let udp = preceded(keyword("udp"), length).map(Quoted::Udp);
    let raw = preceded(keyword("raw"), length).map(Quoted::Raw);
    let tcp = (sequence, udp_encapsulation).map(|((seq, len), udp_encapsulation)| Quoted::Tcp {
        seq,
        len,
        udp_encapsulation,
    });
    delimited(sign("["), alt((udp, raw, tcp)), sign("]")).parse_next(input)
}
