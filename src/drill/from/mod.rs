//! Writes a script from a recorded conversation. The packets are those of the recording. The calls and the settings of the
//! host are derived from them, as `replay` does it; several are tried, and the script that passes is taken.
//!
//! ```text
//!   crate::recording --> calls (what the program did) --+
//!          |        '--> host (settings) ---------------+--> weave --> a trial run --> the text
//!          '-----------> packet (one packet) -----------+
//! ```

mod calls;
mod host;
mod packet;
mod weave;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use super::compare::Relax;
use super::run::{self, Ran, Setup};
use super::script::{Action, OptionLine, Script, Time};
use super::settings::Settings;
use super::system::System;
use crate::app::Registry;
use crate::capture::{ReadError, Reader};
use crate::conversation::Side;
use crate::escape::Name;
use crate::recording::infer::{self, HostManner};
use crate::recording::{CLIENT, Opening, Origin, Recording, SERVER, SideFacts, Skip, exact, find, near, origin};
use crate::segment::Flags;
use crate::socket::HostConfig;
use crate::time::Duration;
use calls::Timed;
use packet::Manner;

/// The side of a recorded conversation that is the host under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FromRole {
    /// The side that opened the connection.
    Client,
    /// The side that accepted it.
    Server,
}

/// Why no script is written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FromError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file has no conversation.
    #[error("{}: no TCP conversation among {packets} packets{unread}; give a capture with one", Name(.file))]
    NoConversation {
        /// The file.
        file: String,
        /// How many packets it has.
        packets: u64,
        /// What was not looked into, for the message; may be empty.
        unread: String,
    },
    /// The file has no stream of this number.
    #[error("{}: there is no stream {stream}: it has {count}, from 0; choose one of them with --stream", Name(.file))]
    NoStream {
        /// The file.
        file: String,
        /// The number.
        stream: usize,
        /// How many it has.
        count: usize,
    },
    /// A script of the conversation cannot be written.
    #[error("{}, stream {stream}{}: {reason}", Name(.file), packet.map_or_else(String::new, |packet| format!(", packet {packet}")))]
    Unusable {
        /// The file.
        file: String,
        /// The stream.
        stream: usize,
        /// The packet at which it shows.
        packet: Option<u64>,
        /// The reason.
        reason: String,
    },
}

/// Writes a script from a conversation of a capture: of the first one, or of `stream`, counted from 0. The host under test
/// is the side on which the capture was taken, unless `role` says otherwise.
///
/// # Errors
/// The file cannot be read, has no such conversation, or one without its beginning.
pub fn from_capture(
    path: impl AsRef<Path>,
    stream: Option<usize>,
    role: Option<FromRole>,
) -> Result<String, FromError> {
    let path = path.as_ref();
    from_reader(&mut Reader::open(path)?, &path.display().to_string(), stream, role).map(|(script, _)| script)
}

/// As [`from_capture`], from a stream or from memory; `name` is for messages and for the head of the script.
///
/// # Errors
/// As there.
pub fn from_read(
    input: impl Read + Send + 'static,
    name: &str,
    stream: Option<usize>,
    role: Option<FromRole>,
) -> Result<String, FromError> {
    from_reader(&mut Reader::from_read(input, name)?, name, stream, role).map(|(script, _)| script)
}

/// As [`from_capture`]; also gives what is odd in the file.
pub(crate) fn from_reader(
    reader: &mut Reader,
    file: &str,
    stream: Option<usize>,
    role: Option<FromRole>,
) -> Result<(String, Vec<String>), FromError> {
    let mut found = find(reader)?;
    let warnings = core::mem::take(&mut found.warnings);
    let (count, wanted) = (found.recordings.len(), stream.unwrap_or(0));
    let Some(recording) = found.recordings.get_mut(wanted) else {
        return Err(match stream {
            Some(stream) if count > 0 => FromError::NoStream { file: file.to_owned(), stream, count },
            _ => {
                let unread = found.unread.as_ref().map_or_else(String::new, |unread| format!("; {unread}"));
                FromError::NoConversation { file: file.to_owned(), packets: found.packets, unread }
            }
        });
    };
    let ours = match role {
        Some(FromRole::Client) => CLIENT,
        Some(FromRole::Server) => SERVER,
        None => near(recording).unwrap_or(CLIENT),
    };
    let host = match Origin::of(found.comment.as_deref(), &Registry::default()) {
        // What the far side's settings are is not known.
        Origin::Recipe(recipe) if near(recording).is_none_or(|near| near == ours) => origin::host(&recipe),
        _ => None,
    };
    let doubles = recording.remove_doubles(ours);
    let recording = &*recording;
    let unusable =
        |Skip { packet, reason }: Skip| FromError::Unusable { file: file.to_owned(), stream: wanted, packet, reason };
    let (opening, facts) = infer::examine(recording, Some(ours)).map_err(unusable)?;
    let source = Source { recording, facts: &facts, ours, opening, doubles, host };
    Ok((source.text(file), warnings))
}

/// A conversation, and the side of the host under test.
struct Source<'a> {
    recording: &'a Recording,
    facts: &'a [SideFacts; 2],
    ours: Side,
    opening: Opening,
    /// Packets that were in the file twice.
    doubles: usize,
    /// The settings of the host, if the capture has a recipe.
    host: Option<HostConfig>,
}

/// A script that was tried.
struct Tried {
    script: Script,
    left_out: weave::LeftOut,
    /// The packets before the event at which it failed, if it did with everything relaxed.
    failed: Option<usize>,
    /// What it needed relaxed. `None`: its calls do not return in the order of the recording.
    needed: Option<BTreeSet<Relax>>,
}

impl Tried {
    /// The better one is the greater one.
    fn rank(&self) -> (bool, usize, usize) {
        let spared = self.needed.as_ref().map_or(0, |needed| Relax::ALL.len() + 1 - needed.len());
        (self.failed.is_none(), spared, self.failed.unwrap_or(0))
    }
}

impl Source<'_> {
    /// The script of the first manner of a host that passes, or of the one that comes farthest.
    fn text(&self, file: &str) -> String {
        let mut best: Option<Tried> = None;
        let causes = [(true, false), (false, false), (true, true), (false, true)].map(Attempt::Causes);
        let guessed = infer::manners(None, 5).into_iter().map(|manner| Attempt::Program(manner, None));
        let known = self.host.iter().flat_map(|host| {
            let manners = infer::manners(Some(host), 0);
            [true, false].into_iter().flat_map(move |own| {
                let manners = manners.clone();
                manners.into_iter().map(move |manner| Attempt::Program(manner, Some((host, own))))
            })
        });
        for attempt in known.chain(guessed).chain(causes) {
            let tried = match &attempt {
                Attempt::Program(manner, host) => self.program(manner, *host),
                Attempt::Causes(manner) => self.causes(*manner),
            };
            let done = tried.failed.is_none() && tried.needed.as_ref().is_some_and(BTreeSet::is_empty);
            if best.as_ref().is_none_or(|best| tried.rank() > best.rank()) {
                best = Some(tried);
            }
            if done {
                break;
            }
        }
        let Some(best) = best else { return String::new() };
        let name = Path::new(file).file_name().map_or_else(|| file.into(), |name| name.to_string_lossy());
        let side = if self.ours == CLIENT { "client" } else { "server" };
        let stream = self.recording.stream;
        let first = "the packets are those of the recording";
        let mut lines = vec![format!("From {}, stream {stream}, as the {side}: {first}.", Name(&name))];
        match &best.needed {
            Some(needed) if best.failed.is_none() => {
                let names: Vec<_> = needed.iter().map(|relax| relax.name()).collect();
                if !names.is_empty() {
                    lines.push(format!("It passes with --relax {}.", names.join(",")));
                }
            }
            _ => {
                lines.push("It does not pass, also with everything relaxed: this host does something else.".to_owned());
            }
        }
        if self.doubles > 0 {
            lines.push(format!("{} packets are in the capture twice, and in the script once.", self.doubles));
        }
        let refused = self.recording.left_out.iter().map(|packet| (packet.number, REFUSED));
        let left_out = refused.chain(best.left_out.iter().copied());
        lines.extend(left_out.map(|(packet, why)| format!("Packet {packet} is left out: {why}.")));
        format!("// {}\n{}", lines.join("\n// "), best.script)
    }

    /// A host of this stack and a program. `host`: its settings, and whether its socket has the buffer that they have.
    fn program(&self, manner: &HostManner, host: Option<(&HostConfig, bool)>) -> Tried {
        let Self { recording, facts, ours, opening, .. } = *self;
        let ends = recording.ends;
        let config = infer::exact_settings(recording, facts, ours, ends[ours].ip(), manner);
        let config = match host {
            Some((host, true)) => host.clone(),
            Some((host, false)) => HostConfig { rcv_buf: config.rcv_buf, ..host.clone() },
            None => config,
        };
        let size = config.rcv_buf.unwrap_or(HostConfig::default().rcv_buf_initial);
        let sides = (ends[ours], ends[ours.other()]);
        let program = exact::derive(recording, facts, ours, opening, sides, size, manner.quick_acks);
        let program = exact::Exact { nodelay: manner.nodelay, ..program };
        let calls = calls::calls(recording, facts, ours, &program);
        self.tried(&calls, &keep_alive(config, &program))
    }

    /// A host that sends as little as it can by itself. `patient`: it retransmits late. `fin_with_acks`: as BSD does.
    fn causes(&self, (patient, fin_with_acks): (bool, bool)) -> Tried {
        let Self { recording, facts, ours, opening, .. } = *self;
        let ends = recording.ends;
        let offer = recording.conversation.sender(ours).offer;
        let usual = HostConfig::default();
        let config = infer::settings(recording, facts, ours, ends[ours].ip());
        let late = Duration::from_mins(1);
        let config = HostConfig {
            window_scaling: offer.wscale.is_some() || recording.conversation.sender(ours).iss.is_none(),
            window_scale: offer.wscale,
            ack_delay: Some(Duration::from_millis(500)),
            ack_delay_max: Duration::from_millis(500),
            quick_acks: 0,
            fin_with_acks,
            nodelay: true,
            mss_option: offer.mss.is_some() || recording.conversation.sender(ours).iss.is_none(),
            ecn_syn_retries: 127,
            ecn: recording.packets.iter().any(|p| p.from == ours && p.has(Flags::SYN | Flags::ECE)),
            tlp: !patient,
            initial_rto: if patient { late } else { usual.initial_rto },
            min_rto: if patient { late } else { usual.min_rto },
            ..config
        };
        let program = exact::derive(recording, facts, ours, opening, (ends[ours], ends[ours.other()]), 0, false);
        let calls = calls::packet_by_packet(recording, facts, ours, &program);
        self.tried(&calls, &keep_alive(config, &program))
    }

    fn tried(&self, calls: &[Timed], config: &HostConfig) -> Tried {
        let Self { recording, facts, ours, .. } = *self;
        let ecn = self.has_ecn();
        let manner = Manner { ours, iss: [facts[CLIENT].iss, facts[SERVER].iss], ecn };
        let (mut script, left_out) = weave::weave(recording, calls, manner, self.options(config));
        let measured = trial(&script, &Relax::ALL.into_iter().collect(), true);
        if let Some((_, line)) = measured.stop {
            let failed = Some(packets_before(&script, line));
            return Tried { script, left_out, failed, needed: None };
        }
        fill(&mut script, &measured.returned);
        let strict = trial(&script, &BTreeSet::new(), false);
        if strict.stop.is_none() {
            return Tried { script, left_out, failed: None, needed: Some(BTreeSet::new()) };
        }
        let relaxed = trial(&script, &Relax::ALL.into_iter().collect(), false);
        let failed = relaxed.stop.map(|(_, line)| packets_before(&script, line));
        Tried { script, left_out, failed, needed: Some(relaxed.relaxed) }
    }

    /// ECN was negotiated (RFC 3168, section 6.1.1). Otherwise its bits in IP headers have no meaning, and are not written.
    fn has_ecn(&self) -> bool {
        let syn = |from: Side, flags: Flags| {
            let mut syns = self.recording.packets.iter().filter(|p| p.from == from && p.has(Flags::SYN));
            syns.any(|p| Flags(p.flags.0 & (Flags::ECE | Flags::CWR).0) == flags)
        };
        syn(CLIENT, Flags::ECE | Flags::CWR) && syn(SERVER, Flags::ECE)
    }

    fn options(&self, config: &HostConfig) -> Vec<OptionLine> {
        let line = |name: &str, value: &str| OptionLine { name: name.to_owned(), value: Some(value.to_owned()) };
        let mut options = vec![line("as", "linux"), OptionLine { name: "one_turn".to_owned(), value: None }];
        if self.recording.ends[CLIENT].is_ipv6() {
            options.push(line("ip_version", "ipv6"));
        }
        options.extend(host::lines(config));
        options
    }
}

/// Why packets are left out that stand before the recording.
const REFUSED: &str = "it belongs to an attempt to connect that was refused";

/// A way to a script.
enum Attempt<'a> {
    Program(HostManner, Option<(&'a HostConfig, bool)>),
    Causes((bool, bool)),
}

/// With the keep-alive probes of the recording.
fn keep_alive(config: HostConfig, program: &exact::Exact) -> HostConfig {
    let Some((idle, interval, probes)) = program.keep_alive else { return config };
    HostConfig {
        keep_alive: true,
        keep_alive_idle: idle,
        keep_alive_interval: interval,
        keep_alive_probes: probes.unwrap_or(config.keep_alive_probes),
        ..config
    }
}

/// How many packets stand before a line.
fn packets_before(script: &Script, line: Option<usize>) -> usize {
    let before = script.events.iter().take(line.unwrap_or(1).saturating_sub(1));
    before.filter(|event| matches!(event.action, Action::Packet(_))).count()
}

/// Runs a script.
fn trial(script: &Script, relax: &BTreeSet<Relax>, measured: bool) -> Ran {
    let settings = Settings::of(script, &[]).unwrap_or_default();
    let config = System::of(script).config();
    run::run(Setup { script, settings, config, host: &[], relax, observers: &[], measured })
}

/// Writes down when the blocking calls returned. One that returned at once does not block.
fn fill(script: &mut Script, returned: &[(usize, Duration, Option<i64>)]) {
    let mut before = 0;
    for event in &mut script.events {
        let start = match event.time {
            Time::Relative(offset) | Time::RelativeBlocking(offset, _) => before + weave::micros(offset),
            _ => before,
        };
        if let (Time::RelativeBlocking(offset, _), Action::Call(call)) = (event.time, &mut event.action)
            && let Some((_, at, _)) = returned.iter().find(|(line, ..)| *line == event.line)
            && call.name.value == "write"
        {
            let took = weave::micros(*at).saturating_sub(start);
            event.time = if took == 0 {
                Time::Relative(offset)
            } else {
                Time::RelativeBlocking(offset, offset + Duration::from_micros(took))
            };
        }
        if let Action::Call(call) = &mut event.action
            && let Some((.., Some(value))) = returned.iter().find(|(line, ..)| *line == event.line)
            && call.name.value == "read"
        {
            call.result.value.value = Some(*value);
        }
        before = start;
    }
}
