//! Times of events: `0.1`, `+.1`, `*`, `0.1~0.2`, `+.1~+.2`, `0.1...0.3`, `+0...0.1`. They are kept in microseconds, and
//! digits behind the sixth are cut off, as in packetdrill. [`event`](super::event) calls [`time`].

use core::ops::Range;

use winnow::Parser;
use winnow::combinator::{opt, preceded};
use winnow::stream::Stream;

use super::input::{Input, Label, Parsed, at, expected, invalid, place_from, rest};
use super::token::{next_word, sign, space};
use crate::drill::script::Time;
use crate::time::Duration;

/// Seconds that a time has at most: more than 30 years.
pub const MAX_SECONDS: u64 = 1_000_000_000;

/// Units that are written behind a number by mistake.
const UNITS: [&str; 8] = ["s", "sec", "ms", "msec", "us", "usec", "ns", "m"];

/// The time at the begin of an event.
pub(super) fn time(input: &mut Input<'_>) -> Parsed<Time> {
    if rest(input).starts_with('-') {
        return invalid(at(input)..at(input) + 1, "a time is not negative");
    }
    if !rest(input).starts_with(|first: char| matches!(first, '*' | '+' | '.') || first.is_ascii_digit()) {
        return expected(input, Label::Name("a time"));
    }
    if opt(sign("*")).parse_next(input)?.is_some() {
        return Ok(Time::Any);
    }
    let relative = opt(sign("+")).parse_next(input)?.is_some();
    let first = seconds(input)?;
    if opt(sign("~")).parse_next(input)?.is_some() {
        let start = at(input);
        let end = if relative { preceded(sign("+"), seconds).parse_next(input)? } else { seconds(input)? };
        in_order(first, end, place_from(input, start))?;
        return Ok(if relative { Time::RelativeRange(first, end) } else { Time::AbsoluteRange(first, end) });
    }
    if opt(sign("...")).parse_next(input)?.is_some() {
        let start = at(input);
        let end = seconds(input)?;
        in_order(first, end, place_from(input, start))?;
        return Ok(if relative { Time::RelativeBlocking(first, end) } else { Time::AbsoluteBlocking(first, end) });
    }
    Ok(if relative { Time::Relative(first) } else { Time::Absolute(first) })
}

fn in_order(first: Duration, end: Duration, place: Range<usize>) -> Parsed<()> {
    if end < first { invalid(place, "the second time is before the first") } else { Ok(()) }
}

/// Seconds, with or without decimals.
fn seconds(input: &mut Input<'_>) -> Parsed<Duration> {
    let start = at(input);
    let next = rest(input);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(next);
    // The point of `0...0.1` is not a decimal point.
    let behind = next[whole..].strip_prefix('.').filter(|_| !next[whole..].starts_with("..."));
    let decimals = behind.map_or(0, digits);
    if whole + decimals == 0 {
        return expected(input, Label::Name("a number of seconds"));
    }
    input.next_slice(whole + behind.map_or(0, |_| 1 + decimals));
    let unit = next_word(input);
    if UNITS.contains(&unit) {
        return invalid(at(input)..at(input) + unit.len(), "a time is in seconds and has no unit");
    }
    let decimals = behind.map_or("", |behind| &behind[..decimals]).bytes().chain(core::iter::repeat(b'0'));
    let micros = decimals.take(6).fold(0, |micros, digit| micros * 10 + u64::from(digit - b'0'));
    let seconds = if whole == 0 { Some(0) } else { next[..whole].parse::<u64>().ok() };
    let Some(seconds) = seconds.filter(|seconds| *seconds + u64::from(micros > 0) <= MAX_SECONDS) else {
        return invalid(place_from(input, start), &format!("a time has at most {MAX_SECONDS} seconds"));
    };
    space(input)?;
    Ok(Duration::from_micros(seconds * 1_000_000 + micros))
}
