//! The smallest parts of the grammar: words, numbers, strings, signs. Each of them skips the white space behind it.

use winnow::ascii::multispace0;
use winnow::combinator::{alt, delimited, opt, preceded, separated_pair};
use winnow::stream::Stream;
use winnow::token::{literal, take_while};
use winnow::{ModalParser, Parser};

use super::input::{Fail, Input, Label, Parsed, at, expected, invalid, place_from, rest};
use super::source::{is_word, string_end};

/// White space. Comments are white space by now.
pub(super) fn space(input: &mut Input<'_>) -> Parsed<()> {
    multispace0.void().parse_next(input)
}

/// This text, whatever comes behind it.
pub(super) fn sign<'a>(text: &'static str) -> impl ModalParser<Input<'a>, (), Fail> {
    move |input: &mut Input<'a>| {
        if !rest(input).starts_with(text) {
            return expected(input, Label::Text(text));
        }
        (literal(text), space).void().parse_next(input)
    }
}

/// This word, and not a longer one.
pub(super) fn keyword<'a>(word: &'static str) -> impl ModalParser<Input<'a>, (), Fail> {
    move |input: &mut Input<'a>| {
        let next = rest(input);
        if !next.starts_with(word) || next.as_bytes().get(word.len()).copied().is_some_and(is_word) {
            return expected(input, Label::Text(word));
        }
        (literal(word), space).void().parse_next(input)
    }
}

/// The word that comes next, without reading it. Empty if there is none.
pub(super) fn next_word<'a>(input: &Input<'a>) -> &'a str {
    let next = rest(input);
    let len = next.bytes().take_while(|byte| is_word(*byte)).count();
    if next.as_bytes().first().is_some_and(u8::is_ascii_digit) { "" } else { &next[..len] }
}

/// A word: letters, digits and `_`, the first not a digit.
pub(super) fn word<'a>(what: &'static str) -> impl ModalParser<Input<'a>, &'a str, Fail> {
    move |input: &mut Input<'a>| {
        let word = next_word(input);
        if word.is_empty() {
            return expected(input, Label::Name(what));
        }
        input.next_slice(word.len());
        space(input)?;
        Ok(word)
    }
}

/// An integer, decimal, or hexadecimal behind `0x`. It may be negative.
pub(super) fn integer(input: &mut Input<'_>) -> Parsed<i64> {
    let start = at(input);
    let next = rest(input);
    let (sign, digits) = match next.as_bytes().first() {
        Some(b'-') => (-1, &next[1..]),
        _ => (1, next),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return expected(input, Label::Name("a number"));
    }
    let len = digits.bytes().take_while(|byte| is_word(*byte)).count();
    let all = &digits[..len];
    let read = match all.strip_prefix("0x").or_else(|| all.strip_prefix("0X")) {
        Some(hex) => i128::from_str_radix(hex, 16),
        None => all.parse::<i128>(),
    };
    input.next_slice(next.len() - digits.len() + len);
    // A value of 64 bits without a sign is kept as the one with the same bits.
    let value = match read.map(|value| value * sign) {
        Ok(value) if i64::try_from(value).is_ok() || u64::try_from(value).is_ok() => value as i64,
        Ok(_) => return invalid(place_from(input, start), "a number has at most 64 bits"),
        Err(_) if all.bytes().all(|byte| byte.is_ascii_digit()) => {
            return invalid(place_from(input, start), "a number has at most 64 bits");
        }
        Err(_) => return invalid(place_from(input, start), "this is not a number"),
    };
    space(input)?;
    Ok(value)
}

/// A number without a sign that fits `T`.
pub(super) fn number<T: TryFrom<i64>>(input: &mut Input<'_>) -> Parsed<T> {
    let start = at(input);
    if !rest(input).starts_with(|first: char| first.is_ascii_digit()) {
        return expected(input, Label::Name("a number"));
    }
    let value = integer(input)?;
    // One that is negative by now has more than 63 bits.
    if let Some(value) = T::try_from(value).ok().filter(|_| value >= 0) {
        return Ok(value);
    }
    let most = (1_u64 << (8 * size_of::<T>()).min(63)) - 1;
    invalid(place_from(input, start), &format!("this number is at most {most}"))
}

/// Bytes in hexadecimal, two digits each.
pub(super) fn hex(input: &mut Input<'_>) -> Parsed<Vec<u8>> {
    let start = at(input);
    let next = rest(input);
    let len = next.bytes().take_while(|byte| is_word(*byte)).count();
    let digits = &next.as_bytes()[..len];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return expected(input, Label::Name("hexadecimal digits"));
    }
    input.next_slice(len);
    if !len.is_multiple_of(2) {
        return invalid(place_from(input, start), "a byte has two hexadecimal digits; one digit is missing");
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
    let bytes = digits.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    space(input)?;
    Ok(bytes)
}

/// Strings that follow one another, joined.
pub(super) fn strings(input: &mut Input<'_>) -> Parsed<String> {
    let mut all = string(input)?;
    while rest(input).starts_with('"') {
        all += &string(input)?;
    }
    Ok(all)
}

/// A string in double quotes.
fn string(input: &mut Input<'_>) -> Parsed<String> {
    let start = at(input);
    let next = rest(input);
    let end = if next.starts_with('"') { string_end(next) } else { None };
    let Some(end) = end else { return expected(input, Label::Name("a string")) };
    let (mut text, inside) = (String::new(), &next[1..end - 1]);
    let mut chars = inside.char_indices();
    while let Some((_, c)) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        let (escape, c) = chars.next().unwrap_or((0, '\\'));
        text.push(match c {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => '\0',
            '\\' | '"' => c,
            _ => {
                let Some(c) = inside.get(escape..escape + 3).and_then(hex_escape) else {
                    let place = start + escape..start + escape + 1 + c.len_utf8();
                    return invalid(place, r#"an escape is \n, \r, \t, \0, \", \\, or \x and two hexadecimal digits"#);
                };
                chars.nth(1);
                c
            }
        });
    }
    input.next_slice(end);
    space(input)?;
    Ok(text)
}

/// The character of `xHH`. A byte is kept as the character with its number.
fn hex_escape(escape: &str) -> Option<char> {
    let digits = escape.strip_prefix('x').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok().map(char::from)
}

/// Text in back quotes.
pub(super) fn command(input: &mut Input<'_>) -> Parsed<String> {
    enclosed(input, "`", "`", "a command in back quotes")
}

/// `%{ ... }%`
pub(super) fn code(input: &mut Input<'_>) -> Parsed<String> {
    enclosed(input, "%{", "}%", "code in `%{ }%`")
}

fn enclosed(input: &mut Input<'_>, open: &str, close: &str, what: &'static str) -> Parsed<String> {
    let inside = rest(input).strip_prefix(open).and_then(|next| next.split_once(close));
    let Some((inside, _)) = inside else { return expected(input, Label::Name(what)) };
    input.next_slice(open.len() + inside.len() + close.len());
    space(input)?;
    Ok(inside.to_owned())
}

/// `keyword N`
pub(super) fn named<'a, T: TryFrom<i64>>(name: &'static str) -> impl ModalParser<Input<'a>, T, Fail> {
    preceded(keyword(name), number)
}

/// `...`, which is `None`, or a number.
pub(super) fn any_or<T: TryFrom<i64>>(input: &mut Input<'_>) -> Parsed<Option<T>> {
    alt((sign("...").map(|()| None), number.map(Some))).parse_next(input)
}

/// `SPORT > DPORT`
pub(super) fn ports(input: &mut Input<'_>) -> Parsed<(u16, u16)> {
    let behind = rest(input).trim_start_matches(|c: char| c.is_ascii_digit());
    if behind.len() == rest(input).len() || !behind.trim_ascii_start().starts_with('>') {
        return expected(input, Label::Name("ports"));
    }
    separated_pair(number, sign(">"), number).parse_next(input)
}

/// `/udp(SPORT > DPORT)`, if it is there.
pub(super) fn udp_encapsulation(input: &mut Input<'_>) -> Parsed<Option<(u16, u16)>> {
    opt(preceded((sign("/"), keyword("udp")), delimited(sign("("), ports, sign(")")))).parse_next(input)
}

/// `(LEN)`
pub(super) fn length<T: TryFrom<i64>>(input: &mut Input<'_>) -> Parsed<T> {
    delimited(sign("("), number, sign(")")).parse_next(input)
}

/// `SEQ:END(LEN)`: the number and the length.
pub(super) fn sequence(input: &mut Input<'_>) -> Parsed<(u32, u32)> {
    let start = at(input);
    let (seq, end): (u32, u32) = separated_pair(number, sign(":"), number).parse_next(input)?;
    let len: u32 = length(input)?;
    if seq.wrapping_add(len) != end {
        let message = format!("{seq} and {len} bytes end at {}, not at {end}", seq.wrapping_add(len));
        return invalid(place_from(input, start), &message);
    }
    Ok((seq, len))
}

/// Text of some characters.
pub(super) fn run_of<'a>(input: &mut Input<'a>, allowed: impl Fn(char) -> bool) -> Parsed<&'a str> {
    take_while(1.., allowed).parse_next(input)
}
