//! System calls: name, arguments, result. Arguments are numbers, constants, strings, arrays and structs.
//! [`event`](super::event) calls [`call`].

use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use winnow::Parser;
use winnow::combinator::{alt, delimited, opt, separated};
use winnow::stream::Stream;

use super::input::{Input, Label, Parsed, at, expected, invalid, nested, place_from, rest, spanned, unsupported};
use super::token::{any_or, integer, keyword, next_word, number, sign, space, strings, word};
use crate::drill::script::{Call, CallResult, Field, Value};

/// `NAME(ARGUMENTS) = RESULT`
pub(super) fn call(input: &mut Input<'_>) -> Parsed<Call> {
    let name = spanned(|input| word("a system call").map(str::to_owned).parse_next(input))(input)?;
    sign("(").parse_next(input)?;
    let args = separated(0.., spanned(value), sign(",")).parse_next(input)?;
    sign(")").parse_next(input)?;
    sign("=").parse_next(input)?;
    let result = spanned(result)(input)?;
    Ok(Call { name, args, result })
}

/// `N`, `...`, `-1 ERRNO`, each with a note in parentheses or without.
fn result(input: &mut Input<'_>) -> Parsed<CallResult> {
    let value = alt((sign("...").value(None), integer.map(Some))).parse_next(input)?;
    let errno = match value {
        Some(..0) => opt(word("the name of an error")).parse_next(input)?.map(str::to_owned),
        _ => None,
    };
    let note = opt(note).parse_next(input)?;
    Ok(CallResult { value, errno, note })
}

/// Text in parentheses, which may have parentheses in it.
fn note(input: &mut Input<'_>) -> Parsed<String> {
    let next = rest(input);
    if !next.starts_with('(') {
        return expected(input, Label::Name("a note in parentheses"));
    }
    let mut open = 0_usize;
    for (end, byte) in next.bytes().enumerate() {
        match byte {
            b'(' => open += 1,
            b')' if open > 1 => open -= 1,
            b')' => {
                input.next_slice(end + 1);
                space(input)?;
                return Ok(next[1..end].trim_ascii().to_owned());
            }
            _ => {}
        }
    }
    invalid(at(input)..at(input) + 1, "this note has no `)`")
}

/// An argument, or a part of one.
fn value(input: &mut Input<'_>) -> Parsed<Value> {
    let next = rest(input);
    match next.as_bytes().first() {
        Some(b'"') => strings.map(Value::String).parse_next(input),
        Some(b'[') => {
            let opened = at(input);
            sign("[").parse_next(input)?;
            let parts = nested(input, opened, |input| separated(0.., spanned(value), sign(",")).parse_next(input))?;
            sign("]").parse_next(input)?;
            Ok(Value::Array(parts))
        }
        Some(b'{') => {
            let opened = at(input);
            sign("{").parse_next(input)?;
            let fields = nested(input, opened, |input| separated(0.., field, sign(",")).parse_next(input))?;
            sign("}").parse_next(input)?;
            Ok(Value::Struct(fields))
        }
        Some(b'.') if next.starts_with("...") => sign("...").value(Value::Any).parse_next(input),
        Some(first) if *first == b'-' || first.is_ascii_alphanumeric() || *first == b'_' => {
            if function(input) {
                converted(input)
            } else {
                constants(input)
            }
        }
        _ => expected(input, Label::Name("an argument")),
    }
}

/// `NAME = VALUE`, `NAME(N) = VALUE`, or a value alone.
fn field(input: &mut Input<'_>) -> Parsed<Field> {
    let length = delimited(sign("("), any_or, sign(")"));
    let name = (word("the name of a field"), opt(length), sign("="));
    let named = opt(name).parse_next(input)?;
    let value = spanned(value)(input)?;
    let (name, length) = match named {
        Some((name, length, ())) => (Some(name.to_owned()), length.flatten()),
        None => (None, None),
    };
    Ok(Field { name, length, value })
}

/// `A`, `A | B`
fn constants(input: &mut Input<'_>) -> Parsed<Value> {
    let one = |input: &mut Input<'_>| {
        alt((integer.map(Value::Integer), word("a constant").map(|name: &str| Value::Word(name.to_owned()))))
            .parse_next(input)
    };
    let mut all: Vec<_> = separated(1.., one, sign("|")).parse_next(input)?;
    match all.len() {
        1 => Ok(all.remove(0)),
        _ => Ok(Value::Or(all)),
    }
}

/// True if a word with a parenthesis behind it comes next.
fn function(input: &Input<'_>) -> bool {
    let name = next_word(input);
    !name.is_empty() && rest(input)[name.len()..].trim_ascii_start().starts_with('(')
}

/// A function whose value is known: a port or an address.
fn converted(input: &mut Input<'_>) -> Parsed<Value> {
    let (start, name) = (at(input), next_word(input));
    match name {
        "htons" => {
            (keyword("htons"), sign("("), number, sign(")")).map(|(.., port, ())| Value::Htons(port)).parse_next(input)
        }
        "inet_addr" => {
            (keyword("inet_addr"), sign("(")).parse_next(input)?;
            let address = address::<Ipv4Addr>(input)?;
            sign(")").parse_next(input)?;
            Ok(Value::InetAddr(address))
        }
        "inet6_addr" => {
            (keyword("inet6_addr"), sign("(")).parse_next(input)?;
            let address = address::<Ipv6Addr>(input)?;
            sign(")").parse_next(input)?;
            Ok(Value::Inet6Addr(address))
        }
        "inet_pton" => {
            (keyword("inet_pton"), sign("(")).parse_next(input)?;
            let family = alt((keyword("AF_INET6").value(true), keyword("AF_INET").value(false)));
            let (v6, ()) = (family, sign(",")).parse_next(input)?;
            let value = if v6 { Value::Inet6Addr(address(input)?) } else { Value::InetAddr(address(input)?) };
            sign(")").parse_next(input)?;
            Ok(value)
        }
        _ => unsupported(start..start + name.len(), name),
    }
}

/// An address in a string.
fn address<A: FromStr>(input: &mut Input<'_>) -> Parsed<A> {
    let start = at(input);
    let text = strings(input)?;
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) => invalid(place_from(input, start), "this is not an address"),
    }
}
