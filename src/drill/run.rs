//! Runs a script: our host and the scripted peer on a simulation, the events of the script one after the other. It ends
//! at the first event that does not come as the script has it.
//!
//! Packets of the host wait in a queue until the script mentions them. A packet that the script never mentions is found
//! when the next one is compared; what is left at the end fails only with `--no-extra`.

use core::net::{IpAddr, SocketAddr};
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use super::calls::{Addresses, Calls};
use super::code;
use super::compare::Relax;
use super::flow::Flow;
use super::packets;
use super::returns::Blocked;
use super::script::{Action, Body, Direction, Event, Packet, Script, Time};
use super::settings::{IpVersion, Settings};
use super::system;
use crate::event::Observer;
use crate::scenario::set_host_key;
use crate::sim::{Arrived, HostHandle, PeerHandle, Sim};
use crate::socket::{Domain, HostConfig};
use crate::time::{Duration, Instant};

/// How a run ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Something came otherwise.
    Fail(String),
    /// The script asks for what the host does not have.
    Unsupported(String),
    /// The script makes no sense.
    Error(String),
}

/// What a run found.
pub(super) struct Ran {
    pub(super) stop: Option<(Stop, Option<usize>)>,
    pub(super) relaxed: BTreeSet<Relax>,
    pub(super) skipped_asserts: usize,
    pub(super) notes: Vec<String>,
    pub(super) virtual_time: Duration,
    /// Of a measured run: the line of a blocking call, when it returned since the begin of the script, and its value.
    pub(super) returned: Vec<(usize, Duration, Option<i64>)>,
}

/// What a run is made of.
pub(super) struct Setup<'a> {
    pub(super) script: &'a Script,
    pub(super) settings: Settings,
    pub(super) config: HostConfig,
    /// Keys of the host from the command line, which win over the script.
    pub(super) host: &'a [(String, String)],
    pub(super) relax: &'a BTreeSet<Relax>,
    pub(super) observers: &'a [Rc<RefCell<dyn Observer>>],
    /// Blocking calls may return at any time, and the run notes what they returned.
    pub(super) measured: bool,
}

/// How long the run waits for a packet whose time is not compared.
pub(super) const LONGEST_WAIT: Duration = Duration::from_mins(20);
/// Events of the simulation between two events of the script.
const MOST_EVENTS: u64 = 200_000;
/// A script runs at most this long.
pub(super) const LONGEST: Duration = Duration::from_hours(24);
/// The first port of a client of the script.
const FIRST_PORT: u16 = 49_152;
/// Connections of a script that are remembered.
const MOST_FLOWS: usize = 1_024;
/// Notes that are kept.
const MOST_NOTES: usize = 100;

/// The event before.
pub(super) struct Before {
    /// When it was over.
    pub(super) finished: Instant,
    /// When it was due.
    pub(super) scheduled: Instant,
    pub(super) inbound: bool,
}

pub(super) struct Run<'a> {
    pub(super) setup: Setup<'a>,
    pub(super) sim: Sim,
    pub(super) peer: PeerHandle,
    pub(super) host: HostHandle,
    pub(super) calls: Calls,
    pub(super) flows: Vec<Flow>,
    pub(super) current: Option<usize>,
    pub(super) next_port: u16,
    pub(super) queue: VecDeque<Arrived>,
    pub(super) before: Before,
    pub(super) blocked: Option<Blocked<'a>>,
    pub(super) relaxed: BTreeSet<Relax>,
    pub(super) skipped_asserts: usize,
    pub(super) notes: Vec<String>,
    /// Packets that came otherwise, if they do not end the run.
    pub(super) not_fatal: Option<(Stop, usize)>,
    pub(super) returned_at: Vec<(usize, Duration, Option<i64>)>,
    /// Commands before the first call or packet, which were applied before the host was made.
    leading: usize,
    /// The line of a blocking call that failed while a later event waited for it.
    pub(super) blamed: Option<usize>,
}

/// Runs a script.
pub(super) fn run(setup: Setup<'_>) -> Ran {
    let mut setup = setup;
    let mut notes = Vec::new();
    let applied = apply_commands(&mut setup, &mut notes);
    let mut run = Run::new(setup);
    for note in notes {
        run.note(note);
    }
    let stop = match applied {
        Err((stop, line)) => Some((stop, line)),
        Ok(leading) => {
            run.leading = leading;
            run.events().map_err(|(stop, line)| (stop, Some(line))).err()
        }
    };
    let stop = stop.or(run.not_fatal.take().map(|(stop, line)| (stop, Some(line))));
    Ran {
        stop,
        relaxed: run.relaxed,
        skipped_asserts: run.skipped_asserts,
        notes: run.notes,
        virtual_time: run.sim.now().since(Instant::EPOCH),
        returned: run.returned_at,
    }
}

/// Applies a command to the settings of the host. The notes say what of it has no meaning here.
fn apply(setup: &mut Setup<'_>, command: &str) -> Result<Vec<String>, Stop> {
    let notes = system::apply(&mut setup.config, command).map_err(|refused| match refused {
        system::Refused::Unsupported(what) => Stop::Unsupported(what),
        system::Refused::Wrong(what) => Stop::Error(what),
    })?;
    setup.apply_host_keys()?;
    Ok(notes)
}

/// Applies the commands before the first call or packet to the settings of the host, and gives their number among the
/// events.
fn apply_commands(setup: &mut Setup<'_>, notes: &mut Vec<String>) -> Result<usize, (Stop, Option<usize>)> {
    let init = setup.script.init.iter().map(|init| (init.value.as_str(), None));
    let mut leading = 0;
    let commands = setup.script.events.iter().map_while(|event| match &event.action {
        Action::Command(command) => Some((command.as_str(), Some(event.line))),
        _ => None,
    });
    for (command, line) in init.chain(commands) {
        notes.extend(apply(setup, command).map_err(|stop| (stop, line))?);
        leading += usize::from(line.is_some());
    }
    setup.apply_host_keys().map_err(|stop| (stop, None))?;
    Ok(leading)
}

impl Setup<'_> {
    /// What option lines set wins over commands, and the command line over both.
    fn apply_host_keys(&mut self) -> Result<(), Stop> {
        for (key, value) in self.settings.host.iter().chain(self.host) {
            let set = set_host_key(&mut self.config, key, value);
            set.map_err(|expected| Stop::Error(format!("{key}={value}: expected {expected}")))?;
        }
        Ok(())
    }
}

impl<'a> Run<'a> {
    fn new(setup: Setup<'a>) -> Self {
        let settings = &setup.settings;
        let sim = Sim::seeded(0);
        sim.limit_events(MOST_EVENTS);
        let (local, remote) = (settings.local(), settings.remote());
        let prefix = if local.is_ipv4() { 32 } else { 128 };
        let host = sim.host_with("host", &format!("{local}/{prefix}"), |config| {
            let (seed, addresses) = (config.seed, core::mem::take(&mut config.addresses));
            let mtu = settings.mtu.unwrap_or(setup.config.mtu);
            *config = HostConfig { seed, addresses, mtu, ..setup.config.clone() };
        });
        let peer = sim.scripted_peer("script", &format!("{remote}/{prefix}"));
        sim.link(&host, &peer, "");
        for observer in setup.observers {
            sim.observe(Rc::clone(observer));
        }
        let mapped = |ip: IpAddr| match (ip, settings.ip_version) {
            (IpAddr::V4(v4), IpVersion::Mapped) => IpAddr::V6(v4.to_ipv6_mapped()),
            (ip, _) => ip,
        };
        let addresses = Addresses {
            domain: if mapped(local).is_ipv6() { Domain::Inet6 } else { Domain::Inet },
            bind: SocketAddr::new(mapped(local), settings.bind_port),
            connect: SocketAddr::new(mapped(remote), settings.connect_port),
        };
        Self {
            calls: Calls::new(host.clone(), addresses),
            setup,
            sim,
            peer,
            host,
            flows: Vec::new(),
            current: None,
            next_port: FIRST_PORT,
            queue: VecDeque::new(),
            before: Before { finished: Instant::EPOCH, scheduled: Instant::EPOCH, inbound: false },
            blocked: None,
            relaxed: BTreeSet::new(),
            skipped_asserts: 0,
            notes: Vec::new(),
            not_fatal: None,
            returned_at: Vec::new(),
            leading: 0,
            blamed: None,
        }
    }

    /// Keeps a note, once.
    fn note(&mut self, note: String) {
        if self.notes.len() < MOST_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn events(&mut self) -> Result<(), (Stop, usize)> {
        let script = self.setup.script;
        for (at, event) in script.events.iter().enumerate() {
            let came = self.event(event, at < self.leading, script.events.get(at + 1));
            let line = self.blamed.take().unwrap_or(event.line);
            match came {
                Ok(()) => {}
                Err(stop @ Stop::Fail(_)) if self.is_not_fatal(event) => {
                    self.not_fatal.get_or_insert((stop, line));
                }
                Err(stop) => return Err((stop, line)),
            }
            if self.sim.now() > Instant::EPOCH + LONGEST {
                return Err((Stop::Error("the script takes longer than 24 hours".to_owned()), line));
            }
        }
        let line = script.events.last().map_or(1, |event| event.line);
        self.finish_blocked().map_err(|stop| (stop, self.blamed.take().unwrap_or(line)))?;
        self.take_sent();
        if let Some(extra) = self.queue.pop_front() {
            let text = format!("a packet that the script does not mention: {}", self.describe(&extra));
            if self.setup.settings.no_extra {
                return Err((Stop::Fail(text), line));
            }
            let more = match self.queue.len() {
                0 => String::new(),
                count => format!(", and {count} more"),
            };
            self.note(format!("{text}{more}; --no-extra makes it a failure"));
        }
        Ok(())
    }

    fn is_not_fatal(&self, event: &Event) -> bool {
        match &event.action {
            Action::Packet(_) => self.setup.settings.packets_not_fatal,
            Action::Call(_) => self.setup.settings.calls_not_fatal,
            _ => false,
        }
    }

    /// `applied`: a command that was applied already.
    fn event(&mut self, event: &'a Event, applied: bool, next: Option<&Event>) -> Result<(), Stop> {
        match &event.action {
            Action::Packet(packet) if packet.direction == Direction::Outbound => return self.outbound(event, packet),
            Action::Call(_) => self.finish_blocked()?,
            _ => {}
        }
        let inbound = matches!(event.action, Action::Packet(_));
        let due = self.due(event.time, inbound).0;
        let one_turn = self.setup.settings.one_turn;
        if one_turn {
            self.run_before(due)?;
        } else {
            self.run_to(due)?;
        }
        // With `one_turn` the host answers after the last call of this instant.
        let held = one_turn
            && next.is_some_and(|next| {
                matches!(next.action, Action::Call(_)) && due_after(next.time, self.sim.now()).0 <= self.sim.now()
            });
        match &event.action {
            Action::Packet(packet) => {
                if let Body::Tcp(tcp) = &packet.body
                    && tcp.flags.ack
                    && tcp.ack.is_none()
                {
                    self.note(format!("line {}: ACK without `ack N`: the number on the wire is 0", event.line));
                }
                self.inbound(packet, held)?;
            }
            Action::Call(call) => self.call(event, call)?,
            Action::Command(_) if applied => {}
            Action::Command(command) => self.command(command)?,
            Action::Code(code) => self.code(event.line, code)?,
        }
        self.before = Before { finished: self.sim.now(), scheduled: due, inbound };
        if held { Ok(()) } else { self.run_to(self.sim.now()) }
    }

    /// The earliest and the latest instant of an event, without tolerance.
    pub(super) fn due(&self, time: Time, inbound: bool) -> (Instant, Instant) {
        let base = if inbound && self.before.inbound { self.before.scheduled } else { self.before.finished };
        due_after(time, base)
    }

    pub(super) fn tolerance(&self, at: Instant) -> Duration {
        self.setup.settings.tolerance(at.since(self.before.finished))
    }

    /// Runs up to an instant, its events included.
    pub(super) fn run_to(&mut self, at: Instant) -> Result<(), Stop> {
        let at = at.max(self.sim.now());
        let ran = self.sim.try_run_until(at);
        self.take_sent();
        ran.map_err(|gave_up| Stop::Fail(format!("the host does not come to rest: {gave_up}")))
    }

    /// Runs up to an instant, without its events.
    fn run_before(&mut self, at: Instant) -> Result<(), Stop> {
        if at > self.sim.now() {
            self.run_to(Instant::from_nanos(at.as_nanos() - 1))?;
            self.sim.advance_to(at);
        }
        Ok(())
    }

    pub(super) fn take_sent(&mut self) {
        while let Some(arrived) = self.peer.poll_packet() {
            packets::note_ack(&mut self.flows, &arrived.bytes);
            self.queue.push_back(arrived);
        }
    }

    /// Runs until a packet is in the queue, at most up to `until`.
    pub(super) fn wait_for_packet(&mut self, until: Instant) -> Result<Option<Arrived>, Stop> {
        loop {
            self.take_sent();
            if let Some(arrived) = self.queue.pop_front() {
                return Ok(Some(arrived));
            }
            match self.sim.next_at() {
                Some(at) if at <= until => self.run_to(at)?,
                _ => return Ok(None),
            }
        }
    }

    fn command(&mut self, command: &str) -> Result<(), Stop> {
        let before = self.setup.config.clone();
        let notes = apply(&mut self.setup, command)?;
        for note in notes {
            self.note(note);
        }
        if self.setup.config != before {
            let config = self.setup.config.clone();
            self.host.sys(|host| host.reconfigure(&config));
        }
        Ok(())
    }

    fn code(&mut self, line: usize, code: &str) -> Result<(), Stop> {
        let info = self.calls.under_test().and_then(|fd| self.host.sys(|host| host.tcp_info(fd).ok()));
        let evaluated = code::evaluate(code, info.as_ref());
        self.skipped_asserts += evaluated.skipped.len();
        for statement in evaluated.skipped {
            self.note(format!("line {line}: not evaluated: {statement}"));
        }
        evaluated.failed.map_or(Ok(()), |failed| Err(Stop::Fail(failed)))
    }

    /// `held`: the host takes the packet and answers when it runs next.
    fn inbound(&mut self, packet: &Packet, held: bool) -> Result<(), Stop> {
        if packet.udp_encapsulation.is_some() {
            return Err(Stop::Unsupported("TCP over UDP".to_owned()));
        }
        if let Some(outer) = packet.outer.first() {
            return Err(Stop::Unsupported(format!("the outer header {}", outer.value)));
        }
        let named = match &packet.body {
            Body::Tcp(tcp) => tcp.ports,
            Body::Udp(udp) => udp.ports,
            Body::Icmp(_) => None,
        };
        let new = match &packet.body {
            Body::Icmp(_) => self.current.is_none(),
            Body::Tcp(_) | Body::Udp(_) => match (named, self.current) {
                (Some(ports), _) => {
                    self.current = self.flows.iter().rposition(|flow| flow.named == Some(ports));
                    self.current.is_none()
                }
                // What has met a listener or no socket at all has no connection.
                (None, Some(current)) => !(self.flows[current].active || self.flows[current].is_mapped()),
                (None, None) => true,
            },
        };
        if new {
            self.open_flow(named)?;
        }
        let current = self.current.unwrap_or(0);
        let bytes = packets::inbound(packet, &mut self.flows[current]).map_err(Stop::Error)?;
        if held {
            self.peer.inject_held(bytes);
        } else {
            self.peer.inject(bytes);
        }
        Ok(())
    }

    /// A connection that the script opens.
    pub(super) fn open_flow(&mut self, named: Option<(u16, u16)>) -> Result<(), Stop> {
        let settings = &self.setup.settings;
        let local = SocketAddr::new(settings.local(), named.map_or(settings.bind_port, |(_, local)| local));
        let port = named.map_or(self.next_port, |(remote, _)| remote);
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
        self.add_flow(Flow::new(local, SocketAddr::new(settings.remote(), port), named, false))
    }

    pub(super) fn add_flow(&mut self, flow: Flow) -> Result<(), Stop> {
        if self.flows.len() == MOST_FLOWS {
            return Err(Stop::Error(format!("more than {MOST_FLOWS} connections")));
        }
        self.current = Some(self.flows.len());
        self.flows.push(flow);
        Ok(())
    }
}

/// The earliest and the latest instant of an event that follows one at `base`.
fn due_after(time: Time, base: Instant) -> (Instant, Instant) {
    let at = |offset: Duration| Instant::EPOCH + offset.min(LONGEST);
    let behind = |offset: Duration| base + offset.min(LONGEST);
    match time {
        Time::Absolute(offset) | Time::AbsoluteBlocking(offset, _) => (at(offset), at(offset)),
        Time::Relative(offset) | Time::RelativeBlocking(offset, _) => (behind(offset), behind(offset)),
        Time::AbsoluteRange(from, to) => (at(from), at(to)),
        Time::RelativeRange(from, to) => (behind(from), behind(to)),
        Time::Any => (base, base),
    }
}

/// An instant of a script in seconds.
pub(super) fn seconds(at: Instant) -> String {
    let micros = at.since(Instant::EPOCH).as_micros();
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
