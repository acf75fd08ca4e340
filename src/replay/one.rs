//! Replays one conversation with one side: the host, its program, the comparison, the outcome. `replay` calls it for
//! each conversation and role.

use super::feeder;
use super::live;
use super::program;
use super::report::{Mode, Outcome, Verdict};
use super::run::{Ending, Observers, OurProgram, Played, Setup, UserProgram};
use super::semantic::{self, Finding};
use super::strict;
use crate::conversation::Side;
use crate::recording::infer::{self, HostManner};
use crate::recording::{Opening, Recording, SideFacts, Skip, exact};
use crate::socket::HostConfig;
use crate::time::Instant;

/// A clock that begins later leaves no room for timers.
const LATEST: Instant = Instant::from_secs(1 << 33);

/// A conversation and the side that is ours.
struct One<'a> {
    recording: &'a Recording,
    facts: &'a [SideFacts; 2],
    ours: Side,
    opening: Opening,
    program: Option<&'a UserProgram>,
    host: Option<&'a HostConfig>,
}

/// What plays our side.
#[derive(Clone, Copy)]
pub(super) struct Ours<'a> {
    pub(super) end: Side,
    /// The user's program, if there is one.
    pub(super) program: Option<&'a UserProgram>,
    /// The settings of the host, from the recipe.
    pub(super) host: Option<&'a HostConfig>,
}

/// Replays a conversation and fills in `outcome`.
pub(super) fn replay(
    recording: &Recording,
    Ours { end: ours, program, host }: Ours<'_>,
    mut outcome: Outcome,
    observers: &Observers,
) -> Outcome {
    let alone = (outcome.mode == Mode::Strict).then_some(ours);
    let (opening, facts) = match infer::examine(recording, alone) {
        Ok(known) => known,
        Err(Skip { packet, reason }) => {
            (outcome.packet, outcome.reason) = (packet, reason);
            return outcome;
        }
    };
    let one = One { recording, facts: &facts, ours, opening, program, host };
    let (played, findings) = match outcome.mode {
        Mode::Strict => one.strictly(observers),
        Mode::Semantic => one.semantically(observers),
    };
    outcome.notes = notes(&one, &played);
    outcome.verdict = match &played.ending {
        Ending::Stalled { packet, waited } => {
            (outcome.packet, outcome.reason) = (Some(*packet), format!("waits for {waited}"));
            Verdict::Stalled
        }
        Ending::Finished if findings.is_empty() => Verdict::Pass,
        Ending::Finished => Verdict::Differs,
    };
    let mut findings = findings.into_iter();
    if outcome.verdict == Verdict::Differs
        && let Some(first) = findings.next()
    {
        (outcome.packet, outcome.reason) = (first.packet, first.text);
    }
    outcome.notes.extend(findings.map(|finding| finding.text));
    (outcome.fed, outcome.steps) = (played.fed, played.steps);
    outcome.sent = played.live.stream.bytes;
    outcome.recorded.clone_from(&facts[ours].stream);
    outcome
}

impl One<'_> {
    fn semantically(&self, observers: &Observers) -> (Played, Vec<Finding>) {
        let Self { recording, facts, ours, opening, .. } = *self;
        let ends = live::addresses(recording.ends);
        let derived = program::derive(recording, facts, ours, opening, ends[ours], ends[ours.other()]);
        let program = match self.program {
            Some(program) => OurProgram::User(program.clone()),
            None => OurProgram::Derived(derived.calls.clone()),
        };
        let config = infer::settings(recording, facts, ours, ends[ours].ip());
        let start = Instant::EPOCH;
        let nodelay = self.program.is_none();
        let setup = Setup { recording, facts, ours, ends, config, program, start, nodelay };
        let played = feeder::play(setup, observers);
        let case = semantic::Case {
            recording,
            facts,
            ours,
            opening,
            program: &derived,
            derived: self.program.is_none(),
            played: &played,
            start,
        };
        let findings = semantic::judge(&case);
        (played, findings)
    }

    /// Settings of the host that a recording does not show are tried, the usual ones first. If none fit, the attempt that came
    /// farthest is reported.
    fn strictly(&self, observers: &Observers) -> (Played, Vec<Finding>) {
        let sizes = if self.program.is_some() { 1 } else { 5 };
        let manners = infer::manners(self.host, sizes);
        let mut farthest: Option<(u64, (Played, Vec<Finding>))> = None;
        for manner in &manners {
            // The first attempt is shown.
            let none = Observers::new();
            let observers = if farthest.is_none() { observers } else { &none };
            let (played, findings) = self.strictly_with(manner, observers);
            let Some(finding) = findings.first() else { return (played, findings) };
            let packet = finding.packet.unwrap_or(0);
            if farthest.as_ref().is_none_or(|(best, _)| packet > *best) {
                farthest = Some((packet, (played, findings)));
            }
        }
        let farthest = farthest.expect("there is a first").1;
        if self.host.is_some() {
            // A socket may have other buffers and another MSS than its host.
            let guessed = Self { host: None, ..*self }.strictly(&Observers::new());
            return if guessed.1.is_empty() { guessed } else { farthest };
        }
        farthest
    }

    fn strictly_with(&self, manner: &HostManner, observers: &Observers) -> (Played, Vec<Finding>) {
        let Self { recording, facts, ours, opening, .. } = *self;
        let ends = live::addresses(recording.ends);
        let config = infer::exact_settings(recording, facts, ours, ends[ours].ip(), manner);
        let config = match self.host {
            // With the buffers of the recording: a socket may have its own.
            Some(host) if ends == recording.ends => HostConfig { rcv_buf: config.rcv_buf, ..host.clone() },
            _ => config,
        };
        let program = if let Some(program) = self.program {
            OurProgram::User(program.clone())
        } else {
            let ends = (ends[ours], ends[ours.other()]);
            let size = config.rcv_buf.unwrap_or(HostConfig::default().rcv_buf_initial);
            let exact = exact::derive(recording, facts, ours, opening, ends, size, manner.quick_acks);
            OurProgram::Exact(exact::Exact { nodelay: manner.nodelay, ..exact })
        };
        // Timestamps count milliseconds of the clock: they run as recorded if the clock does.
        let start = recording.started.min(LATEST);
        let setup = Setup { recording, facts, ours, ends, config, program, start, nodelay: false };
        strict::play(setup, observers)
    }
}

/// The notes: what is reported and not compared.
fn notes(one: &One<'_>, played: &Played) -> Vec<String> {
    let One { recording, facts, ours, .. } = *one;
    let mut notes = Vec::new();
    let recorded = recording.packets.iter().filter(|packet| packet.from == ours).count();
    let sent = played.live.emitted.len();
    notes.push(format!("segments of our side: {sent}, in the recording {recorded}"));
    if played.split_acks > 0 {
        notes.push(format!("acknowledgments split, since we had not sent all that they cover: {}", played.split_acks));
    }
    if played.split_segments > 0 {
        notes.push(format!("segments split, larger than our MSS or window: {}", played.split_segments));
    }
    if !recording.left_out.is_empty() {
        notes.push(format!("packets of refused attempts to connect, left out: {}", recording.left_out.len()));
    }
    if facts[ours].retransmissions > 0 {
        notes.push(format!("retransmissions of our side in the recording: {}", facts[ours].retransmissions));
    }
    if played.live.late_resets > 0 {
        let count = played.live.late_resets;
        notes.push(format!("segments that came when the connection was over, answered with RST: {count}"));
    }
    if played.live.others > 0 {
        notes.push(format!("packets of our side that belong to another connection: {}", played.live.others));
    }
    for kind in &recording.strange_options {
        notes.push(format!("option {kind} left out: the stack does not have it"));
    }
    notes
}
