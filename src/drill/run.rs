//! Runs a script: our host and the scripted peer on a simulation, the events of the script one after the other. It ends
//! at the first event that does not come as the script has it.
//!
//! Packets of the host wait in a queue until the script mentions them. A packet that the script never mentions is found
//! when the next one is compared; what is left at the end fails only with `--no-extra`.

use core::net::{IpAddr, SocketAddr};
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use super::calls::{Addresses, Calls, Effect, Issued, Refused, Returned};
use super::code;
use super::compare::{Difference, Relax, compare};
use super::flow::Flow;
use super::packets::{self, Seen};
use super::script::{Action, Body, Call, Direction, Event, Packet, Script, Tcp, TcpOption, Time};
use super::settings::{IpVersion, Settings};
use super::system::{self, Meaning};
use crate::event::Observer;
use crate::net::JoinHandle;
use crate::scenario::set_host_key;
use crate::segment::{Flags, IpView, Segment};
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
}

/// What a run is made of.
pub(super) struct Setup<'a> {
    pub(super) script: &'a Script,
    pub(super) settings: Settings,
    pub(super) config: HostConfig,
    /// Keys of the host that win over the script.
    pub(super) host: &'a [(String, String)],
    pub(super) relax: &'a BTreeSet<Relax>,
    pub(super) observers: &'a [Rc<RefCell<dyn Observer>>],
}

/// How long the run waits for a packet whose time is not compared.
const LONGEST_WAIT: Duration = Duration::from_mins(20);
/// Events of the simulation between two events of the script.
const MOST_EVENTS: u64 = 200_000;
/// A script runs at most this long.
const LONGEST: Duration = Duration::from_hours(24);
/// The first port of a client of the script.
const FIRST_PORT: u16 = 49_152;
/// Connections of a script that are remembered.
const MOST_FLOWS: usize = 1_024;
/// Notes that are kept.
const MOST_NOTES: usize = 100;

/// The event before.
struct Before {
    /// When it was over.
    finished: Instant,
    /// When it was due.
    scheduled: Instant,
    inbound: bool,
}

/// A blocking call that has not returned.
struct Blocked<'a> {
    call: &'a Call,
    event: &'a Event,
    handle: JoinHandle<(Instant, Returned)>,
    /// When it has to return, and how far that may be off.
    due: Instant,
    tolerance: Duration,
}

struct Run<'a> {
    setup: Setup<'a>,
    sim: Sim,
    peer: PeerHandle,
    host: HostHandle,
    calls: Calls,
    flows: Vec<Flow>,
    current: Option<usize>,
    next_port: u16,
    queue: VecDeque<Arrived>,
    before: Before,
    blocked: Option<Blocked<'a>>,
    relaxed: BTreeSet<Relax>,
    skipped_asserts: usize,
    notes: Vec<String>,
    /// Packets that came otherwise, if they do not end the run.
    not_fatal: Option<(Stop, usize)>,
}

/// Runs a script.
pub(super) fn run(setup: Setup<'_>) -> Ran {
    let mut setup = setup;
    let mut notes = Vec::new();
    let applied = apply_commands(&mut setup, &mut notes);
    let mut run = Run::new(setup, notes);
    let stop = match applied {
        Err((stop, line)) => Some((stop, line)),
        Ok(()) => run.events().map_err(|(stop, line)| (stop, Some(line))).err(),
    };
    let stop = stop.or(run.not_fatal.take().map(|(stop, line)| (stop, Some(line))));
    Ran {
        stop,
        relaxed: run.relaxed,
        skipped_asserts: run.skipped_asserts,
        notes: run.notes,
        virtual_time: run.sim.now().since(Instant::EPOCH),
    }
}

/// Applies a command to the settings of the host. A note says that it has no meaning here.
fn apply(setup: &mut Setup<'_>, command: &str) -> Result<Option<String>, Stop> {
    let meaning = system::apply(&mut setup.config, command);
    setup.apply_host_keys()?;
    match meaning {
        Meaning::Applied => Ok(None),
        Meaning::Noted(note) => Ok(Some(note)),
        Meaning::Unsupported(what) => Err(Stop::Unsupported(what)),
    }
}

/// Applies the commands before the first call or packet to the settings of the host.
fn apply_commands(setup: &mut Setup<'_>, notes: &mut Vec<String>) -> Result<(), (Stop, Option<usize>)> {
    let init = setup.script.init.iter().map(|init| (init.value.as_str(), None));
    let commands = setup.script.events.iter().map_while(|event| match &event.action {
        Action::Command(command) => Some((command.as_str(), Some(event.line))),
        _ => None,
    });
    for (command, line) in init.chain(commands) {
        notes.extend(apply(setup, command).map_err(|stop| (stop, line))?);
    }
    setup.apply_host_keys().map_err(|stop| (stop, None))
}

impl Setup<'_> {
    /// What the command line sets wins over the script.
    fn apply_host_keys(&mut self) -> Result<(), Stop> {
        for (key, value) in self.host {
            let set = set_host_key(&mut self.config, key, value);
            set.map_err(|expected| Stop::Error(format!("{key}={value}: expected {expected}")))?;
        }
        Ok(())
    }
}

impl<'a> Run<'a> {
    fn new(setup: Setup<'a>, notes: Vec<String>) -> Self {
        let settings = &setup.settings;
        let sim = Sim::seeded(0);
        sim.limit_events(MOST_EVENTS);
        let (local, remote) = (settings.local(), settings.remote());
        let prefix = if local.is_ipv4() { 32 } else { 128 };
        let host = sim.host_with("host", &format!("{local}/{prefix}"), |config| {
            let (seed, addresses) = (config.seed, core::mem::take(&mut config.addresses));
            *config = HostConfig { seed, addresses, mtu: settings.mtu, ..setup.config.clone() };
        });
        let peer = sim.scripted_peer("script", &format!("{remote}/{prefix}"));
        sim.link(&host, &peer, "");
        for observer in setup.observers {
            sim.observe(Shared(Rc::clone(observer)));
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
            notes,
            not_fatal: None,
        }
    }

    fn events(&mut self) -> Result<(), (Stop, usize)> {
        let script = self.setup.script;
        for event in &script.events {
            let line = event.line;
            match self.event(event) {
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
        self.finish_blocked().map_err(|stop| (stop, line))?;
        if self.setup.settings.no_extra {
            self.take_sent();
            if let Some(extra) = self.queue.pop_front() {
                let text = self.describe(&extra);
                return Err((Stop::Fail(format!("a packet that the script does not mention: {text}")), line));
            }
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

    fn event(&mut self, event: &'a Event) -> Result<(), Stop> {
        match &event.action {
            Action::Packet(packet) if packet.direction == Direction::Outbound => return self.outbound(event, packet),
            Action::Call(_) => self.finish_blocked()?,
            _ => {}
        }
        let inbound = matches!(event.action, Action::Packet(_));
        let due = self.due(event.time, inbound).0;
        self.run_to(due)?;
        match &event.action {
            Action::Packet(packet) => self.inbound(packet)?,
            Action::Call(call) => self.call(event, call)?,
            Action::Command(command) => self.command(command)?,
            Action::Code(code) => self.code(code)?,
        }
        self.run_to(self.sim.now())?;
        self.before = Before { finished: self.sim.now(), scheduled: due, inbound };
        Ok(())
    }

    /// The earliest and the latest instant of an event, without tolerance.
    fn due(&self, time: Time, inbound: bool) -> (Instant, Instant) {
        let base = if inbound && self.before.inbound { self.before.scheduled } else { self.before.finished };
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

    fn tolerance(&self, at: Instant) -> Duration {
        self.setup.settings.tolerance(at.since(self.before.finished))
    }

    /// Runs up to an instant, its events included.
    fn run_to(&mut self, at: Instant) -> Result<(), Stop> {
        let at = at.max(self.sim.now());
        let ran = self.sim.try_run_until(at);
        self.take_sent();
        ran.map_err(|gave_up| Stop::Fail(format!("the host does not come to rest: {gave_up}")))
    }

    fn take_sent(&mut self) {
        while let Some(arrived) = self.peer.poll_packet() {
            self.queue.push_back(arrived);
        }
    }

    /// Runs until a packet is in the queue, at most up to `until`.
    fn wait_for_packet(&mut self, until: Instant) -> Result<Option<Arrived>, Stop> {
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

    fn call(&mut self, event: &'a Event, call: &'a Call) -> Result<(), Stop> {
        let start = self.sim.now();
        let issued = self.calls.issue(call).map_err(|refused| match refused {
            Refused::Unsupported(what) => Stop::Unsupported(what),
            Refused::Wrong(what) => Stop::Error(what),
        })?;
        let mut handle = match issued {
            Issued::Returned(returned) => return self.returned(call, &returned),
            Issued::Running(handle) => handle,
        };
        self.run_to(start)?;
        let end = match event.time {
            Time::AbsoluteBlocking(_, end) => Instant::EPOCH + end.min(LONGEST),
            Time::RelativeBlocking(_, end) => self.before.finished + end.min(LONGEST),
            _ => {
                let Some((_, returned)) = handle.try_take() else {
                    let how = "it blocks; a call that may block has two times, `+0...0.1`";
                    return Err(Stop::Fail(format!("{}: {how}", call.name.value)));
                };
                return self.returned(call, &returned);
            }
        };
        let tolerance = self.setup.settings.tolerance(end.since(start));
        self.blocked = Some(Blocked { call, event, handle, due: end, tolerance });
        Ok(())
    }

    /// Waits for the blocking call that has not returned.
    fn finish_blocked(&mut self) -> Result<(), Stop> {
        let Some(mut blocked) = self.blocked.take() else { return Ok(()) };
        let name = &blocked.call.name.value;
        let line = blocked.event.line;
        let relaxed = self.setup.relax.contains(&Relax::Timing);
        let until = blocked.due + if relaxed { LONGEST_WAIT } else { blocked.tolerance };
        let returned = loop {
            if let Some(returned) = blocked.handle.try_take() {
                break returned;
            }
            match self.sim.next_at() {
                Some(at) if at <= until => self.run_to(at)?,
                _ => {
                    return Err(Stop::Fail(format!(
                        "line {line}: {name} has not returned by {}",
                        seconds(blocked.due)
                    )));
                }
            }
        };
        let (at, returned) = returned;
        let early = at + blocked.tolerance < blocked.due;
        let late = at > blocked.due + blocked.tolerance;
        if early || late {
            if !relaxed {
                let (due, at) = (seconds(blocked.due), seconds(at));
                return Err(Stop::Fail(format!("line {line}: {name} should return at {due} and returned at {at}")));
            }
            self.relaxed.insert(Relax::Timing);
        }
        self.returned(blocked.call, &returned)?;
        self.before.finished = self.before.finished.max(at);
        Ok(())
    }

    /// Compares what a call returned with what the script has.
    fn returned(&mut self, call: &Call, returned: &Returned) -> Result<(), Stop> {
        let expected = &call.result.value;
        let name = &call.name.value;
        let actual = match returned.result {
            Ok(value) => value.to_string(),
            Err(errno) => format!("-1 {errno}"),
        };
        let same_errno = |errno: &str| match returned.result {
            Ok(_) => false,
            Err(actual) => {
                let errno = if errno == "EWOULDBLOCK" { "EAGAIN" } else { errno };
                actual.name() == errno
            }
        };
        let opened = returned.effect == Effect::Opened;
        let as_expected = match (expected.value, &expected.errno) {
            (None, _) => true,
            (Some(_), Some(errno)) => same_errno(errno),
            (Some(-1), None) => returned.result.is_err(),
            (Some(value), None) => match returned.result {
                Ok(actual) => actual == value || (opened && value >= 0),
                Err(_) => false,
            },
        };
        if !as_expected {
            return Err(Stop::Fail(format!("{name} returned {actual}, the script has {}", call.result.value)));
        }
        if let Some((expected, actual)) = &returned.differs {
            return Err(Stop::Fail(format!("{name} gave {actual}, the script has {expected}")));
        }
        let settled = self.calls.settle(returned, expected.value.filter(|value| *value >= 0));
        settled.map_err(|(expected, actual)| Stop::Fail(format!("{name} read {actual}, not {expected}")))?;
        if name == "listen" && returned.result.is_ok() {
            self.current = None;
        }
        Ok(())
    }

    fn command(&mut self, command: &str) -> Result<(), Stop> {
        // Those before the first call were applied before the host was made. To apply them again changes nothing.
        let before = self.setup.config.clone();
        match apply(&mut self.setup, command)? {
            Some(note) if !self.notes.contains(&note) && self.notes.len() < MOST_NOTES => self.notes.push(note),
            _ => {}
        }
        if self.setup.config != before {
            let config = self.setup.config.clone();
            self.host.sys(|host| host.reconfigure(&config));
        }
        Ok(())
    }

    fn code(&mut self, code: &str) -> Result<(), Stop> {
        let info = self.calls.under_test().and_then(|fd| self.host.sys(|host| host.tcp_info(fd).ok()));
        let evaluated = code::evaluate(code, info.as_ref());
        self.skipped_asserts += evaluated.skipped;
        evaluated.failed.map_or(Ok(()), |failed| Err(Stop::Fail(failed)))
    }

    fn inbound(&mut self, packet: &Packet) -> Result<(), Stop> {
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
        self.peer.inject(bytes);
        Ok(())
    }

    /// A connection that the script opens.
    fn open_flow(&mut self, named: Option<(u16, u16)>) -> Result<(), Stop> {
        let settings = &self.setup.settings;
        let local = SocketAddr::new(settings.local(), named.map_or(settings.bind_port, |(_, local)| local));
        let port = named.map_or(self.next_port, |(remote, _)| remote);
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
        self.add_flow(Flow::new(local, SocketAddr::new(settings.remote(), port), named, false))
    }

    fn add_flow(&mut self, flow: Flow) -> Result<(), Stop> {
        if self.flows.len() == MOST_FLOWS {
            return Err(Stop::Error(format!("more than {MOST_FLOWS} connections")));
        }
        self.current = Some(self.flows.len());
        self.flows.push(flow);
        Ok(())
    }

    fn outbound(&mut self, event: &Event, packet: &Packet) -> Result<(), Stop> {
        if packet.udp_encapsulation.is_some() {
            return Err(Stop::Unsupported("TCP over UDP".to_owned()));
        }
        let (from, to) = self.due(event.time, false);
        let any = event.time == Time::Any;
        let relaxed = self.setup.relax.contains(&Relax::Timing);
        let tolerance = self.tolerance(to);
        let (earliest, latest) = (from.as_nanos().saturating_sub(tolerance.as_nanos() as u64), to + tolerance);
        let until = if any || relaxed { self.sim.now() + LONGEST_WAIT } else { latest };
        let Some(first) = self.wait_for_packet(until)? else {
            return Err(Stop::Fail(self.nothing_came(event, until)));
        };
        let wanted = match &packet.body {
            Body::Tcp(tcp) => tcp.len as usize,
            _ => 0,
        };
        let parts = self.join(first, wanted, until)?;
        let at = parts.last().map_or(self.sim.now(), |part| part.at);
        self.match_packet(event, packet, &parts)?;
        if !any && !(earliest..=latest.as_nanos()).contains(&at.as_nanos()) {
            if !relaxed {
                let (from, to) = (seconds(from), seconds(to));
                let when = if from == to { from } else { format!("between {from} and {to}") };
                let allowed = tolerance.as_micros();
                return Err(Stop::Fail(format!(
                    "the packet was expected at {when} and was sent at {}; the tolerance is {allowed} us",
                    seconds(at)
                )));
            }
            self.relaxed.insert(Relax::Timing);
        }
        self.before = Before { finished: self.sim.now(), scheduled: from, inbound: false };
        Ok(())
    }

    /// Says that a packet did not come, and what came later instead.
    fn nothing_came(&mut self, event: &Event, until: Instant) -> String {
        let mut text = format!("no packet by {}", seconds(until));
        let Action::Packet(packet) = &event.action else { return text };
        if let Ok(Some(later)) = self.wait_for_packet(self.sim.now() + LONGEST_WAIT) {
            text = format!("{text}; the next one is at {}: {}", seconds(later.at), self.describe(&later));
        }
        format!("{text}\nexpected: {packet}")
    }

    /// Joins segments that the host sent one after the other, until there is as much text as the script has in one.
    fn join(&mut self, first: Arrived, wanted: usize, until: Instant) -> Result<Vec<Arrived>, Stop> {
        let mut parts = vec![first];
        if self.setup.settings.strict_segments {
            return Ok(parts);
        }
        let mut have = text_len(&parts[0]);
        while have > 0 && have < wanted {
            let Some(next) = self.wait_for_packet(until)? else { break };
            let more = text_len(&next);
            let follows = more > 0 && have + more <= wanted && continues(&parts[parts.len() - 1], &next);
            if !follows {
                self.queue.push_front(next);
                break;
            }
            have += more;
            parts.push(next);
        }
        Ok(parts)
    }

    /// Finds the connection of a packet of the host, or makes the one that a SYN opens.
    fn flow_of(&mut self, seen: &Seen<'_>, expected: &Packet) -> Result<usize, Stop> {
        let Some((local, remote)) = seen.ends else { return Ok(self.current.unwrap_or(0)) };
        if let Some(at) = self.flows.iter().rposition(|flow| flow.local == local && flow.remote == remote) {
            self.current = Some(at);
            return Ok(at);
        }
        let named = match &expected.body {
            Body::Tcp(tcp) => tcp.ports.map(|(local, remote)| (remote, local)),
            Body::Udp(udp) => udp.ports.map(|(local, remote)| (remote, local)),
            Body::Icmp(_) => None,
        };
        self.add_flow(Flow::new(local, remote, named, true))?;
        Ok(self.flows.len() - 1)
    }

    fn match_packet(&mut self, event: &Event, expected: &Packet, parts: &[Arrived]) -> Result<(), Stop> {
        let last = &parts[parts.len() - 1];
        let Some(seen) = Seen::new(&last.bytes) else {
            return Err(Stop::Fail("the host sent what is no packet".to_owned()));
        };
        if self.flows.is_empty() && seen.ends.is_none() {
            self.open_flow(None)?;
        }
        let at = self.flow_of(&seen, expected)?;
        let flow = &mut self.flows[at];
        if let (Body::Tcp(tcp), Ok(segment)) = (&expected.body, Segment::parse(&seen.ip)) {
            if segment.is_syn()
                && let Some(seq) = tcp.seq
            {
                flow.learn(seq, segment.seq.0);
            }
        }
        let Some(mut actual) = seen.packet(flow) else {
            return Err(Stop::Fail("the host sent a packet of another protocol".to_owned()));
        };
        if let (Body::Tcp(Tcp { absolute: true, .. }), Body::Tcp(have)) = (&expected.body, &mut actual.body) {
            have.seq = have.seq.map(|seq| flow.to_wire(seq));
        }
        let mut text_ok = true;
        let mut stamp = None;
        if let (Body::Tcp(want), Body::Tcp(have)) = (&expected.body, &mut actual.body) {
            (text_ok, stamp) = check_text(flow, want, have, parts, self.setup.settings.tick);
        }
        let differences = compare(expected, &actual, text_ok, stamp);
        let hard = differences.iter().any(|one| one.relax.is_none_or(|relax| !self.setup.relax.contains(&relax)));
        if hard {
            return Err(Stop::Fail(show_differences(event, expected, &actual, &differences)));
        }
        self.relaxed.extend(differences.iter().filter_map(|one| one.relax));
        Ok(())
    }

    fn describe(&self, arrived: &Arrived) -> String {
        let packet = Seen::new(&arrived.bytes).and_then(|seen| {
            let flow = self.flows.iter().rev().find(|flow| seen.ends == Some((flow.local, flow.remote)));
            let flow = flow.or(self.flows.last());
            flow.and_then(|flow| seen.packet(flow))
        });
        packet.map_or_else(|| "a packet of another connection".to_owned(), |packet| shown(&packet).to_string())
    }
}

/// Checks the text of joined segments, and makes one segment of them. Learns the timestamp.
fn check_text(flow: &mut Flow, want: &Tcp, have: &mut Tcp, parts: &[Arrived], tick: u64) -> (bool, Option<u32>) {
    let mut ok = true;
    let mut total = 0;
    for (nth, part) in parts.iter().enumerate() {
        let Ok(segment) = IpView::parse(&part.bytes).and_then(|ip| Segment::parse(&ip)) else { continue };
        let from = flow.to_script(segment.seq.0).wrapping_add(u32::from(segment.is_syn()));
        ok &= flow.local_payload(from, segment.payload.len()) == segment.payload;
        total += segment.payload.len() as u32;
        if nth == 0 {
            have.seq = Some(flow.to_script(segment.seq.0));
        }
    }
    have.len = total;
    let stamp_of = |tcp: &Tcp| match &tcp.options {
        super::script::Options::List(list) => list.iter().find_map(|option| match option {
            TcpOption::Timestamp { val, .. } => *val,
            _ => None,
        }),
        super::script::Options::Any => None,
    };
    let (Some(script), Some(wire)) = (stamp_of(want), stamp_of(have)) else { return (ok, None) };
    let stamp = flow.first_stamp().filter(|_| tick > 0).map(|(first, first_wire)| {
        // Our clock of timestamps has milliseconds.
        let micros = u64::from(script.wrapping_sub(first)) * tick;
        first_wire.wrapping_add((micros / 1_000) as u32)
    });
    flow.learn_stamp(script, wire);
    (ok, stamp)
}

/// Bytes of text in a packet.
fn text_len(arrived: &Arrived) -> usize {
    Seen::new(&arrived.bytes).map_or(0, |seen| seen.payload.len())
}

/// True if `next` continues the text of `last`, which carries neither PSH nor FIN.
fn continues(last: &Arrived, next: &Arrived) -> bool {
    let (Ok(last_ip), Ok(next_ip)) = (IpView::parse(&last.bytes), IpView::parse(&next.bytes)) else { return false };
    let (Ok(last), Ok(next)) = (Segment::parse(&last_ip), Segment::parse(&next_ip)) else { return false };
    let ends = Flags::FIN | Flags::PSH | Flags::SYN | Flags::RST;
    (last.src, last.dst) == (next.src, next.dst) && next.seq == last.end() && !last.flags.intersects(ends)
}

/// A packet of the host without what scripts do not write: what it says about the IP header.
fn shown(packet: &Packet) -> Packet {
    Packet { ip: super::script::IpInfo::default(), ..packet.clone() }
}

fn show_differences(_event: &Event, expected: &Packet, actual: &Packet, differences: &[Difference]) -> String {
    let mut text = format!("expected: {expected}\nactual:   {}", shown(actual));
    for Difference { field, expected, actual, .. } in differences {
        text.push_str(&format!("\n  {field}: expected {expected}, was {actual}"));
    }
    text
}

/// An instant of a script in seconds.
fn seconds(at: Instant) -> String {
    let micros = at.since(Instant::EPOCH).as_micros();
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// An observer that the caller reads afterwards.
struct Shared(Rc<RefCell<dyn Observer>>);

impl Observer for Shared {
    fn on_event(&mut self, at: Instant, event: &crate::event::Event<'_>) {
        self.0.borrow_mut().on_event(at, event);
    }

    fn wants_numbers(&self) -> bool {
        self.0.borrow().wants_numbers()
    }
}
