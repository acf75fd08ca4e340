//! Replays one conversation with one side: the host, its program, the comparison, the outcome. `replay` calls it for
//! each conversation and role.

use super::exact;
use super::feeder;
use super::live;
use super::program;
use super::recording::{CLIENT, Opening, Recorded, Recording, SERVER, SideFacts, Skip};
use super::report::{Mode, Outcome, Verdict};
use super::run::{Ending, Observers, OurProgram, Played, Setup, UserProgram};
use super::semantic::{self, Finding};
use super::strict;
use crate::congestion::{self, Algorithm};
use crate::conversation::Side;
use crate::segment::Flags;
use crate::socket::HostConfig;
use crate::stack::window_shift;
use crate::time::{Duration, Instant};

/// The longest conversation that is replayed, since virtual time is limited.
const LONGEST: Duration = Duration::from_hours(24 * 30);

/// The most bytes of a stream that is replayed, since it is kept in memory.
const MOST_BYTES: usize = 1 << 30;

/// Bytes of the usual send buffer.
const SND_BUF: usize = 64 << 10;

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
    let (opening, facts) = match examine(recording, alone) {
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
        let config = settings(recording, facts, ours, ends[ours].ip());
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
        let usual = HostConfig::default();
        let congestion = self.host.map_or(&usual.congestion, |host| &host.congestion).clone();
        let ack_delay = self.host.map_or(usual.ack_delay, |host| host.ack_delay);
        let plain = HostManner {
            congestion,
            nodelay: false,
            quick_acks: false,
            snd_buf: None,
            ack_delay,
            mtu_probing: true,
            tlp: true,
        };
        // Options of sockets, which the settings of a host do not contain.
        let mut manners = vec![
            plain.clone(),
            HostManner { nodelay: true, ..plain.clone() },
            HostManner { quick_acks: true, ..plain.clone() },
            HostManner { mtu_probing: false, ..plain.clone() },
            HostManner { tlp: false, ..plain.clone() },
        ];
        let sizes = if self.program.is_some() { 1 } else { 5 };
        if self.host.is_none() {
            let others = ["cubic", "none"].into_iter().filter_map(congestion::by_name);
            for congestion in core::iter::once(usual.congestion).chain(others) {
                for ack_delay in [usual.ack_delay, None] {
                    // The size of the send buffer shows in where writes end.
                    for snd_buf in core::iter::once(None).chain((0..sizes).map(|doubled| Some(SND_BUF << doubled))) {
                        let congestion = congestion.clone();
                        let manner = HostManner { congestion, snd_buf, ack_delay, ..plain };
                        manners.extend([manner.clone(), HostManner { nodelay: true, ..manner }]);
                    }
                }
            }
        }
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
        let rcv_buf = receive_buffer(recording, facts, ours);
        let config = HostConfig {
            congestion: manner.congestion.clone(),
            ack_delay: manner.ack_delay,
            rcv_buf,
            snd_buf: manner.snd_buf,
            mtu_probing: manner.mtu_probing,
            tlp: manner.tlp,
            retries: retries(recording, ours).unwrap_or(HostConfig::default().retries),
            syn_retries: syn_retries(recording, ours).unwrap_or(HostConfig::default().syn_retries),
            ..settings(recording, facts, ours, ends[ours].ip())
        };
        let config = match self.host {
            // With the buffers of the recording: a socket may have its own.
            Some(host) if ends == recording.ends => HostConfig { rcv_buf: config.rcv_buf, ..host.clone() },
            _ => config,
        };
        let program = if let Some(program) = self.program {
            OurProgram::User(program.clone())
        } else {
            let ends = (ends[ours], ends[ours.other()]);
            let size = rcv_buf.unwrap_or(HostConfig::default().rcv_buf_initial);
            let exact = exact::derive(recording, facts, ours, opening, ends, size, manner.quick_acks);
            OurProgram::Exact(exact::Exact { nodelay: manner.nodelay, ..exact })
        };
        // Timestamps count milliseconds of the clock: they run as recorded if the clock does.
        let start = recording.started.min(LATEST);
        let setup = Setup { recording, facts, ours, ends, config, program, start, nodelay: false };
        strict::play(setup, observers)
    }
}

/// Settings of a host that cannot be inferred from segments.
#[derive(Clone)]
#[allow(clippy::struct_excessive_bools)] // Each is a setting of its own.
struct HostManner {
    congestion: Algorithm,
    nodelay: bool,
    quick_acks: bool,
    snd_buf: Option<usize>,
    ack_delay: Option<Duration>,
    mtu_probing: bool,
    tlp: bool,
}

/// How often a SYN was sent again that was never answered: so often and no more.
fn syn_retries(recording: &Recording, ours: Side) -> Option<u32> {
    let silent = recording.packets.iter().all(|packet| packet.from == ours);
    silent.then_some(recording.packets.len() as u32 - 1)
}

/// How often a segment was sent again by the retransmission timer before the connection was given up: at intervals that
/// double, without an answer.
fn retries(recording: &Recording, ours: Side) -> Option<u32> {
    let last = recording.packets.last().filter(|last| last.from == ours && !last.payload.is_empty())?;
    let again = |packet: &&Recorded| packet.from == ours && packet.seq == last.seq && !packet.payload.is_empty();
    let times: Vec<_> = recording.packets.iter().rev().take_while(again).map(|packet| packet.at).collect();
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[0].saturating_sub(pair[1])).collect();
    let doubles = |pair: &&[Duration]| (pair[1] * 19..pair[1] * 21).contains(&(pair[0] * 10));
    (gaps.len() > 1).then(|| 1 + gaps.windows(2).take_while(doubles).count() as u32)
}

/// The receive buffer of a host of this stack: `None` if it grows. Else the largest window that it offered. One that did
/// not scale may have more.
fn receive_buffer(recording: &Recording, facts: &[SideFacts; 2], ours: Side) -> Option<usize> {
    let default = HostConfig::default();
    let own = recording.conversation.sender(ours);
    let shift = recording.conversation.window_shift(ours);
    let grows = own.offer.wscale == Some(window_shift(default.rcv_buf_max));
    let syn = recording.packets.iter().find(|packet| packet.from == ours && packet.has(Flags::SYN));
    if grows && syn.is_some_and(|syn| syn.window == u16::MAX) {
        return None;
    }
    let offered = own.offer.wscale.filter(|shift| (1..=14).contains(shift));
    let resets = recording.packets.iter().filter(|p| p.from == ours && p.has(Flags::RST) && p.is_acceptable());
    let of_resets = resets.map(|p| u32::from(p.window) << shift).max().unwrap_or(0);
    let largest = facts[ours].window.max(of_resets) as usize;
    Some(match offered {
        // Nothing but the SYN was seen, or the peer does not scale.
        Some(offered) if largest <= 0xffff => 1 << (15 + u32::from(offered)),
        _ if largest == 0xffff && shift == 0 && offered.is_none() => default.rcv_buf_initial,
        _ => largest.max(1),
    })
}

/// How a conversation begins and what both sides did, or why it is not replayed.
///
/// The strict comparison also covers attempts without a connection, if our side, `alone`, sent packets by itself.
fn examine(recording: &Recording, alone: Option<Side>) -> Result<(Opening, [SideFacts; 2]), Skip> {
    if let Some(trouble) = &recording.trouble {
        return Err(trouble.clone());
    }
    let said_syn = |end: Side| recording.packets.iter().any(|p| p.from == end && p.has(Flags::SYN));
    let opening = match (recording.opening(), alone) {
        (Ok(opening), _) => opening,
        (Err(_), Some(CLIENT)) if said_syn(CLIENT) && !recording.packets[0].has(Flags::ACK) && !said_syn(SERVER) => {
            Opening::Refused
        }
        (Err(_), Some(_)) if said_syn(CLIENT) && said_syn(SERVER) && !recording.packets[0].has(Flags::ACK) => {
            Opening::Open
        }
        (Err(skip), _) => return Err(skip),
    };
    if recording.duration() > LONGEST {
        let last = recording.packets.last().map(|packet| packet.number);
        return Err(Skip::new(last, format!("it lasts longer than {} days", LONGEST.as_secs() / 86_400)));
    }
    if recording.bytes.len() > MOST_BYTES {
        return Err(Skip::new(None, format!("it carries more than {} MiB", MOST_BYTES >> 20)));
    }
    Ok((opening, recording.facts()?))
}

/// The settings of the recorded host, as far as they can be inferred.
fn settings(recording: &Recording, facts: &[SideFacts; 2], ours: Side, ip: std::net::IpAddr) -> HostConfig {
    let default = HostConfig::default();
    let offer = recording.conversation.sender(ours).offer;
    let (headers, prefix) = if ip.is_ipv4() { (40, 32) } else { (60, 128) };
    let (own, theirs) = (&facts[ours], &facts[ours.other()]);
    let wanted = (own.window as usize).max(2 * own.peer_flight as usize).min(theirs.stream.len());
    HostConfig {
        addresses: vec![(ip, prefix)],
        mtu: offer.mss.map_or(default.mtu, |mss| usize::from(mss) + headers).clamp(576, 65_535),
        rcv_buf: Some(wanted.clamp(default.rcv_buf_initial, 16 << 20)),
        snd_buf: Some(own.stream.len().clamp(SND_BUF, 4 << 20)),
        congestion: congestion::by_name("none").unwrap_or_default(),
        timestamps: offer.timestamps,
        sack: offer.sack_permitted,
        ..default
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
    if recording.left_out > 0 {
        notes.push(format!("packets of refused attempts to connect, left out: {}", recording.left_out));
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
