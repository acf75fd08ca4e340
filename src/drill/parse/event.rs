//! The whole of a script: option lines, the init command, events, the cleanup command. [`parse`](super::parse) calls
//! [`script`].

use core::ops::Range;

use winnow::Parser;
use winnow::combinator::opt;
use winnow::stream::Stream;

use super::call::call;
use super::input::{Input, Label, Parsed, at, expected, invalid, place_from, rest, span_from, spanned};
use super::packet::packet;
use super::source::{definition, is_word, option_value};
use super::time::time;
use super::token::{code, command, space};
use crate::drill::script::{Action, Direction, Event, OptionLine, Script, Time};
use crate::time::Duration;

/// A script, up to the end of the text.
pub(super) fn script(input: &mut Input<'_>) -> Parsed<Script> {
    let mut script = Script::default();
    space(input)?;
    while let Some(option) = opt(spanned(option_line)).parse_next(input)? {
        script.options.push(option);
    }
    script.init = opt(spanned(command)).parse_next(input)?;
    while !rest(input).is_empty() {
        let start = at(input);
        if !script.events.is_empty() {
            script.cleanup = opt(spanned(command)).parse_next(input)?;
        }
        if script.cleanup.is_some() {
            if !rest(input).is_empty() {
                let place = place_from(input, start);
                return invalid(place, "a command between events has a time; only the first and the last have none");
            }
            break;
        }
        if rest(input).starts_with("--") {
            return invalid(start..start + 2, "option lines stand before the first event");
        }
        let event = event(input, script.events.last())?;
        script.events.push(event);
    }
    if script.events.is_empty() {
        return expected(input, Label::Name("an event"));
    }
    Ok(script)
}

/// `--name`, `--name=value`, `-D NAME=VALUE`.
fn option_line(input: &mut Input<'_>) -> Parsed<OptionLine> {
    let next = rest(input);
    if let Some((argument, len)) = definition(next) {
        input.next_slice(len);
        space(input)?;
        return Ok(OptionLine { name: "define".to_owned(), value: Some(argument.to_owned()) });
    }
    let Some(name) = next.strip_prefix("--") else { return expected(input, Label::Name("an option line")) };
    let len = name.bytes().take_while(|byte| is_word(*byte) || *byte == b'-').count();
    if len == 0 {
        return invalid(at(input)..at(input) + 2, "an option line is `--name` or `--name=value`");
    }
    let behind = &name[len..];
    let value = behind.strip_prefix('=').map(|value| &value[..option_value(value)]);
    input.next_slice(2 + len + value.map_or(0, |value| 1 + value.len()));
    space(input)?;
    Ok(OptionLine { name: name[..len].to_owned(), value: value.map(str::to_owned) })
}

/// A time and what happens then.
fn event(input: &mut Input<'_>, before: Option<&Event>) -> Parsed<Event> {
    let start = at(input);
    let time = time(input)?;
    let place = place_from(input, start);
    in_order(before, time, place.clone())?;
    let action = match rest(input).as_bytes().first() {
        Some(b'<' | b'>') => packet.map(|packet| Action::Packet(Box::new(packet))).parse_next(input)?,
        Some(b'`') => command.map(Action::Command).parse_next(input)?,
        Some(b'%') => code.map(Action::Code).parse_next(input)?,
        Some(first) if is_word(*first) => call.map(|call| Action::Call(Box::new(call))).parse_next(input)?,
        _ => {
            return expected(
                input,
                Label::Name("a packet, a system call, a command in back quotes, or code in `%{ }%`"),
            );
        }
    };
    let returns = matches!(time, Time::AbsoluteBlocking(..) | Time::RelativeBlocking(..));
    if returns && !matches!(action, Action::Call(_)) {
        return invalid(place, "only a system call has a time at which it returns");
    }
    // packetdrill refuses these too. To send or to call "between two times" has no meaning.
    let open = matches!(time, Time::Any | Time::AbsoluteRange(..) | Time::RelativeRange(..));
    let expected = matches!(&action, Action::Packet(packet) if packet.direction == Direction::Outbound);
    if open && !expected {
        return invalid(place, "only a packet that is expected (`>`) has `*` or a range; this event needs one time");
    }
    let span = span_from(input, start);
    Ok(Event { time, action, span, line: input.state.line(span.start) })
}

/// The first event is at 0, and absolute times that follow one another do not go back.
fn in_order(before: Option<&Event>, time: Time, place: Range<usize>) -> Parsed<()> {
    let Some(at) = absolute(time) else { return Ok(()) };
    match before {
        None if at > Duration::ZERO => invalid(place, "the first event is at 0"),
        Some(before) if absolute(before.time).is_some_and(|before| at < before) => {
            invalid(place, "this time is before that of the event before it")
        }
        _ => Ok(()),
    }
}

/// When an event begins, if its time does not depend on others.
fn absolute(time: Time) -> Option<Duration> {
    match time {
        Time::Absolute(at) | Time::AbsoluteRange(at, _) | Time::AbsoluteBlocking(at, _) => Some(at),
        Time::Relative(_) | Time::RelativeRange(..) | Time::RelativeBlocking(..) | Time::Any => None,
    }
}
