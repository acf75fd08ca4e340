//! What each row changes at both ends of its flow: states, SND.* and RCV.*, congestion, timers, ranges. The page adds the
//! changes up to the cursor, so that it needs no copy of the fold.

use core::fmt::Write as _;

use super::super::model::{FlowRows, Model};
use super::columns::write_list;
use crate::conversation::Side;
use crate::event::{Phase, State, TimerKind};
use crate::time::{Duration, Instant};
use crate::trace::Step;
use crate::trace::ends::{End, Ends, Known, Space};

/// The states, in the order of their numbers in a page.
pub(super) const STATES: [State; 11] = [
    State::Listen,
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
    State::Closed,
];

/// The timers that can be inferred.
pub(super) const TIMERS: [TimerKind; 3] = [TimerKind::Retransmission, TimerKind::Persist, TimerKind::TimeWait];

/// Numbers of one end: state, SND.UNA, SND.NXT, SND.WND, RCV.NXT, RCV.WND, cwnd, ssthresh, pipe, srtt, rttvar, rto, phase,
/// and the bits of those that the end tells. -1 is unknown.
const NUMBERS: usize = 14;
/// Codes of the right end begin here.
const RIGHT: usize = 20;
/// The codes of lists: `SACKed` ranges, lost ranges, timers.
const LISTS: [usize; 3] = [14, 15, 16];
/// Ranges of a list that stand in a page.
const MOST_RANGES: usize = 64;

#[derive(Clone, PartialEq, Eq)]
struct Values {
    numbers: [i64; NUMBERS],
    sacked: Vec<i64>,
    lost: Vec<i64>,
    /// Of each timer: which, when it was started, how long it takes or -1.
    timers: Vec<(i64, Instant, i64)>,
}

impl Values {
    fn unknown() -> Self {
        Self { numbers: [-1; NUMBERS], sacked: Vec::new(), lost: Vec::new(), timers: Vec::new() }
    }

    fn of(end: &End) -> Self {
        let mut numbers = [-1; NUMBERS];
        let mut told = 0;
        let mut set = |place: usize, known: Option<(i64, bool)>| {
            if let Some((value, is_told)) = known {
                numbers[place] = value;
                told |= i64::from(is_told) << place;
            }
        };
        let count = |known: Option<Known<u64>>| known.map(|known| (known.value as i64, known.told));
        let time = |known: Option<Known<Duration>>| known.map(|known| (known.value.as_nanos() as i64, known.told));
        set(0, end.state.map(|known| (state_place(known.value).into(), known.told)));
        let counts =
            [end.snd_una, end.snd_nxt, end.snd_wnd, end.rcv_nxt, end.rcv_wnd, end.cwnd, end.ssthresh, end.pipe];
        for (place, known) in counts.into_iter().enumerate() {
            set(1 + place, count(known));
        }
        for (place, known) in [end.srtt, end.rttvar, end.rto].into_iter().enumerate() {
            set(9 + place, time(known));
        }
        let phase = |phase: Phase| Phase::ALL.iter().position(|other| *other == phase).map_or(-1, |place| place as i64);
        set(12, end.phase.map(|known| (phase(known.value), known.told)));
        numbers[13] = told;
        let space = end.space();
        let ranges = |kind: Space| {
            let parts = space.iter().filter(|part| part.kind == kind).take(MOST_RANGES);
            parts.flat_map(|part| [part.start as i64, part.end as i64]).collect()
        };
        let place = |timer| TIMERS.iter().position(|other| *other == timer).unwrap_or(0) as i64;
        let timers = end.timers().into_iter().map(|running| {
            let takes = running.due.map_or(-1, |due| (due - running.since).as_nanos() as i64);
            (place(running.timer), running.since, takes)
        });
        Self { numbers, sacked: ranges(Space::Sacked), lost: ranges(Space::Lost), timers: timers.collect() }
    }
}

pub(super) fn state_place(state: State) -> u32 {
    STATES.iter().position(|other| *other == state).unwrap_or(0) as u32
}

/// For each row a list: code and difference of each number that changes, code and list of each list that does. Ranges are
/// relative to SND.UNA, starts of timers to the row.
pub(super) fn changes(model: &Model) -> String {
    let mut flows: Vec<_> = model.flows.iter().map(Fold::new).collect();
    let mut out = "[".to_owned();
    for (number, row) in model.rows.iter().enumerate() {
        out.push_str(if number > 0 { ",[" } else { "[" });
        if let Some(fold) = row.flow.and_then(|flow| flows.get_mut(flow)) {
            fold.advance(row.last, |step| model.step(step));
            fold.write_changes(row.at, &mut out);
        }
        out.push(']');
    }
    out.push(']');
    out
}

/// Both ends of one flow, and what was written of them.
struct Fold<'a> {
    steps: &'a [usize],
    ends: Ends,
    written: [Values; 2],
}

impl<'a> Fold<'a> {
    fn new(flow: &'a FlowRows) -> Self {
        Self { steps: &flow.steps, ends: Ends::new(), written: [Values::unknown(), Values::unknown()] }
    }

    /// Takes the steps of the flow up to this one.
    fn advance<'s>(&mut self, last: usize, step: impl Fn(usize) -> Option<&'s Step>) {
        while let Some((first, rest)) = self.steps.split_first()
            && *first <= last
        {
            if let Some(step) = step(*first) {
                self.ends.take(step);
            }
            self.steps = rest;
        }
    }

    fn write_changes(&mut self, at: Instant, out: &mut String) {
        let is_first = out.len();
        let comma = |out: &mut String| {
            if out.len() > is_first {
                out.push(',');
            }
        };
        for side in Side::BOTH {
            let values = Values::of(self.ends.end(side));
            let written = &mut self.written[side as usize];
            let base = RIGHT * side as usize;
            for (place, (now, before)) in values.numbers.iter().zip(written.numbers).enumerate() {
                if *now != before {
                    comma(out);
                    let _ = write!(out, "{},{}", base + place, now - before);
                }
            }
            let una = values.numbers[1];
            for (code, now, before) in
                [(LISTS[0], &values.sacked, &written.sacked), (LISTS[1], &values.lost, &written.lost)]
            {
                if now != before {
                    comma(out);
                    let _ = write!(out, "{},", base + code);
                    write_list(out, now.iter().map(|bound| bound - una));
                }
            }
            if values.timers != written.timers {
                comma(out);
                let _ = write!(out, "{},", base + LISTS[2]);
                let since = |since: Instant| {
                    if since <= at { -((at - since).as_nanos() as i64) } else { (since - at).as_nanos() as i64 }
                };
                let flat = values.timers.iter().flat_map(|(timer, start, takes)| [*timer, since(*start), *takes]);
                write_list(out, flat);
            }
            *written = values;
        }
    }
}
