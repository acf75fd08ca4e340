//! One end of a connection as text: state, SND.*, RCV.*, congestion, timers, and the bar of its sequence space.
//!
//! `~` stands before what is inferred, `-` where nothing is known. The bar divides the sequence space of what the end sends:
//! acknowledged, `SACKed`, lost, in flight, window. It is drawn around what is in flight; `«` and `»` say that more lies
//! beyond.

use core::fmt::Display;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::super::text::columns;
use super::{Look, fitted};
use crate::event::Phase;
use crate::time::{Duration, Instant};
use crate::trace::ends::{End, Extent, Known, Space};

/// Lines of a panel where there is little room, its title included.
pub(super) const LINES: usize = 10;

/// An end, under its title, in lines of at most `width` columns. With `tall`, each variable has a line.
pub(super) fn lines(
    title: &str,
    end: &End,
    now: Instant,
    (width, tall): (usize, bool),
    look: Look,
) -> Vec<Line<'static>> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let phase = end.phase.filter(|phase| phase.value != Phase::Open).map(|phase| phase.value.name());
    let state = format!("{} {}", shown(end.state), phase.map_or(String::new(), |phase| format!("[{phase}]")));
    let mut all = vec![Line::styled(fitted(title, width, look), bold)];
    let mut put = |text: String| all.push(Line::raw(fitted(text.trim_end(), width, look)));
    let (una, nxt, wnd) = (shown(end.snd_una), shown(end.snd_nxt), shown(end.snd_wnd));
    let (rcv_nxt, rcv_wnd) = (shown(end.rcv_nxt), shown(end.rcv_wnd));
    let (cwnd, ssthresh, flight) = (shown(end.cwnd), shown(end.ssthresh), shown(end.flight_size()));
    let (pipe, srtt, rto) = (shown(end.pipe), time(end.srtt), time(end.rto));
    if tall {
        let rows = [
            ("state", &state),
            ("SND.UNA", &una),
            ("SND.NXT", &nxt),
            ("SND.WND", &wnd),
            ("RCV.NXT", &rcv_nxt),
            ("RCV.WND", &rcv_wnd),
            ("cwnd", &cwnd),
            ("ssthresh", &ssthresh),
            ("flight_size", &flight),
            ("pipe", &pipe),
            ("srtt", &srtt),
            ("rttvar", &time(end.rttvar)),
            ("rto", &rto),
        ];
        for (name, value) in &rows {
            put(format!("{name:<12}{value}"));
        }
        let timers = end.timers();
        if timers.is_empty() {
            put(format!("{:<12}-", "timers"));
        }
        for timer in timers {
            put(format!("{:<12}{}", "timer", timer_text(&timer, now)));
        }
        put(String::new());
    } else {
        put(state);
        put(format!("SND una {una} nxt {nxt} wnd {wnd}"));
        put(format!("RCV nxt {rcv_nxt} wnd {rcv_wnd}"));
        put(format!("cwnd {cwnd} ssthresh {ssthresh}"));
        put(format!("flight_size {flight} pipe {pipe}"));
        put(format!("srtt {srtt} rto {rto}"));
        let timers: Vec<_> = end.timers().iter().map(|timer| timer_text(timer, now)).collect();
        put(format!("timer {}", if timers.is_empty() { "-".to_owned() } else { timers.join(", ") }));
    }
    all.push(bar(end, width, look));
    all.extend(legend(width, look));
    all
}

fn shown<T: Display>(known: Option<Known<T>>) -> String {
    known.map_or("-".to_owned(), |known| format!("{}{}", if known.told { "" } else { "~" }, known.value))
}

fn time(known: Option<Known<Duration>>) -> String {
    let Some(known) = known else { return "-".to_owned() };
    let mut text = if known.told { String::new() } else { "~".to_owned() };
    crate::annotate::write_duration(&mut text, known.value);
    text
}

/// `retransmission, due in 0.2 s`
fn timer_text(timer: &crate::trace::ends::Running, now: Instant) -> String {
    let mut text = format!("~{}, ", timer.timer.name());
    match timer.due {
        Some(due) if due > now => {
            text.push_str("due in ");
            crate::annotate::write_duration(&mut text, due - now);
        }
        Some(_) => text.push_str("due"),
        None => {
            text.push_str("for ");
            crate::annotate::write_duration(&mut text, now.max(timer.since) - timer.since);
        }
    }
    text
}

/// The sign of a kind of bytes, and its style.
fn sign(kind: Space, look: Look) -> (char, Style) {
    let (unicode, ascii, color) = match kind {
        Space::Acknowledged => ('─', '-', None),
        Space::Sacked => ('▓', 's', Some(Color::Green)),
        Space::Lost => ('✗', 'x', Some(Color::Red)),
        Space::InFlight => ('█', '#', Some(Color::Cyan)),
        Space::Window => ('·', '.', None),
    };
    (if look.ascii { ascii } else { unicode }, color.map_or(Style::new(), |color| look.color(color)))
}

/// What the signs of the bar mean, if that fits.
fn legend(width: usize, look: Look) -> Option<Line<'static>> {
    let names = [
        ["acknowledged", "SACKed", "lost", "in flight", "window"],
        ["acked", "SACKed", "lost", "in flight", "window"],
        ["acked", "SACK", "lost", "flight", "wnd"],
        ["ack", "sack", "lost", "sent", "wnd"],
    ];
    let total = |names: &[&str; 5]| names.iter().map(|name| name.len() + 2).sum::<usize>() - 1;
    let names = names.into_iter().find(|names| total(names) <= width)?;
    let mut spans = Vec::new();
    for (kind, name) in Space::ALL.into_iter().zip(names) {
        let (sign, style) = sign(kind, look);
        spans.push(Span::styled(sign.to_string(), style));
        spans.push(Span::raw(format!("{name} ")));
    }
    Some(Line::from(spans))
}

/// The part of the sequence space that the bar shows.
fn section(space: &[Extent]) -> Option<(u64, u64)> {
    let of = |kind: Space| space.iter().find(|part| part.kind == kind);
    let (una, end) = (of(Space::Acknowledged).map_or(0, |part| part.end), space.last()?.end);
    let nxt = of(Space::Window).map_or(end, |part| part.start);
    // Some of the window, and some of what is acknowledged, beside what is in flight.
    let flight = nxt - una;
    let right = if flight == 0 { end } else { end.min(nxt + flight.max(1)) };
    let shown = (right - una).max(1);
    Some((una.saturating_sub(shown / 4 + 1), right))
}

/// The bar: each column is the most important kind of bytes in it.
fn bar(end: &End, width: usize, look: Look) -> Line<'static> {
    let space = end.space();
    let cells = width.saturating_sub(2);
    let Some((from, to)) = section(&space).filter(|(from, to)| from < to && cells > 0) else {
        return Line::raw("");
    };
    let last = space.last().map_or(0, |part| part.end);
    let column = |at: u64| (u128::from(at.saturating_sub(from)) * cells as u128 / u128::from(to - from)) as usize;
    let weight = |kind: Space| match kind {
        Space::Lost => 4,
        Space::Sacked => 3,
        Space::InFlight => 2,
        Space::Window => 1,
        Space::Acknowledged => 0,
    };
    let mut kinds: Vec<Option<Space>> = vec![None; cells];
    for part in space.iter().filter(|part| part.end > from && part.start < to) {
        let begin = column(part.start.max(from)).min(cells - 1);
        let end = column(part.end.min(to)).clamp(begin + 1, cells);
        for cell in &mut kinds[begin..end] {
            if cell.is_none_or(|before| weight(part.kind) > weight(before)) {
                *cell = Some(part.kind);
            }
        }
    }
    let (more_before, more_behind) = if look.ascii { ("<", ">") } else { ("«", "»") };
    let begins = if from > 0 { more_before } else { "[" };
    let ends = if to < last { more_behind } else { "]" };
    let mut spans = vec![Span::raw(begins)];
    for kind in kinds {
        let (sign, style) = kind.map_or((' ', Style::new()), |kind| sign(kind, look));
        match spans.last_mut() {
            Some(span) if span.style == style && span.content.len() > 2 => span.content.to_mut().push(sign),
            _ => spans.push(Span::styled(sign.to_string(), style)),
        }
    }
    spans.push(Span::raw(ends));
    debug_assert!(spans.iter().map(|span| columns(&span.content)).sum::<usize>() <= width);
    Line::from(spans)
}
