//! What a scenario may ask for in total. A scenario may come from an untrusted capture, so this is checked when a file is
//! read and when a key is set, before anything is built. `read` and `set` call it. The bounds of single values are where
//! the values are read.

use std::fmt;

use super::Scenario;
use super::link::LinkPart;
use super::program::{ProgramPart, What};
use crate::app::calls::Call;
use crate::link::LinkSpec;

/// Programs in all, each of `count` counted: the clients of one table, and as many more.
const MOST_PROGRAMS: u64 = 20_000;
/// Calls of all programs in all.
const MOST_CALLS: u64 = 1_000_000;
/// Bytes that all clients of echo may keep in memory: 64 MiB.
const MOST_KEPT: u64 = 64 << 20;
/// Bytes of all datagrams, each of which may be in flight: 64 MiB.
const MOST_DATAGRAMS: u64 = 64 << 20;
/// Bytes that all programs may send: 4 GiB.
const MOST_DATA: u64 = 4 << 30;
/// Packets with these bytes: some seconds of computing.
const MOST_PACKETS: u64 = 4_000_000;
/// Memory for the buffers of all hosts, as far as the file sets it: 1 GiB.
const MOST_BUFFERS: u64 = 1 << 30;
/// Bytes of a packet that are headers: IPv6, TCP, timestamps.
const HEADERS: u64 = 72;

/// What a list of calls costs when it is run once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    calls: u64,
    /// Bytes that are sent.
    bytes: u64,
    /// Bytes of these that are in datagrams.
    datagrams: u64,
    /// Writes and reads of single pieces.
    pieces: u64,
}

impl Cost {
    pub(super) fn of(calls: &[Call]) -> Self {
        let mut cost = Self { calls: calls.len() as u64, ..Self::default() };
        for call in calls {
            cost.add(call);
        }
        cost
    }

    fn add(&mut self, call: &Call) {
        match call {
            Call::Fails(call, _) => self.add(call),
            Call::SendPattern(count) => self.bytes = self.bytes.saturating_add(*count),
            Call::SendPaced(count, pace) => {
                self.bytes = self.bytes.saturating_add(*count);
                self.pieces = self.pieces.saturating_add(count / pace.by.max(1));
            }
            Call::RecvPaced(count, pace) => self.pieces = self.pieces.saturating_add(count / pace.by.max(1)),
            Call::Send(text) => self.bytes = self.bytes.saturating_add(text.len() as u64),
            Call::SendTo(_, text) => self.datagram(text.len() as u64),
            Call::SendToPattern(_, count) => self.datagram(*count),
            _ => {}
        }
    }

    fn datagram(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.datagrams = self.datagrams.saturating_add(bytes);
    }
}

/// The key that asks for too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excess {
    /// The table: `programs` with its number from 1, or `hosts` with its name.
    pub(super) table: &'static str,
    pub(super) item: String,
    pub(super) key: &'static str,
    /// What was expected.
    pub(super) expected: String,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, item, key, expected } = self;
        write!(f, "`{table}.{item}.{key}`: {expected}")
    }
}

/// Sums over the programs, with the program that asks for most.
struct Sum {
    total: u64,
    largest: (u64, usize, &'static str),
}

impl Sum {
    fn over(programs: &[ProgramPart], of: impl Fn(&ProgramPart) -> (u64, &'static str)) -> Self {
        let mut sum = Self { total: 0, largest: (0, 0, "count") };
        for (at, program) in programs.iter().enumerate() {
            let (each, key) = of(program);
            let asked = each.saturating_mul(u64::from(program.count));
            sum.total = sum.total.saturating_add(asked);
            if asked > sum.largest.0 {
                sum.largest = (asked, at, key);
            }
        }
        sum
    }

    fn check(&self, most: u64, what: &str) -> Result<(), Excess> {
        if self.total <= most {
            return Ok(());
        }
        let (_, at, key) = self.largest;
        let expected = format!("at most {most} {what}, and here are {}", self.total);
        Err(Excess { table: "programs", item: (at + 1).to_string(), key, expected })
    }
}

/// The first limit that the scenario exceeds.
pub(super) fn check(scenario: &Scenario) -> Result<(), Excess> {
    let programs = &scenario.programs;
    Sum::over(programs, |_| (1, "count")).check(MOST_PROGRAMS, "programs in all (the sum of `count`)")?;
    let calls = |program: &ProgramPart| match &program.what {
        What::Calls(_, cost) => (cost.calls, if program.count > 1 { "count" } else { "do" }),
        _ => (1, "count"),
    };
    Sum::over(programs, calls).check(MOST_CALLS, "calls in all (those in `do` times `count`)")?;
    let kept = |program: &ProgramPart| match &program.what {
        What::Client(app, _) if app.most_sent() < super::program::MOST_SENT => (program.size, "size"),
        _ => (0, "size"),
    };
    Sum::over(programs, kept)
        .check(MOST_KEPT, "bytes in all clients that keep them in memory (`size` times `count`)")?;
    Sum::over(programs, |program| (cost(program).datagrams, "do"))
        .check(MOST_DATAGRAMS, "bytes of datagrams in all")?;
    check_data(scenario)?;
    check_buffers(scenario)
}

/// Bytes that are sent, or the packets that they need, are too many. A run that ends by `until` sends no more than its
/// links let through.
fn check_data(scenario: &Scenario) -> Result<(), Excess> {
    let served = scenario.programs.iter().filter(|program| matches!(program.what, What::Server(_)));
    let served = served.map(|program| program.size).max().unwrap_or(0);
    let sent = |program: &ProgramPart| match &program.what {
        What::Calls(_, cost) => (cost.bytes, "do"),
        What::Client(app, _) if app.takes_files() => (served, "count"),
        What::Client(..) => (program.size, "size"),
        What::Server(_) => (0, "size"),
    };
    let sum = Sum::over(&scenario.programs, sent);
    let specs: Vec<_> = scenario.links.iter().flat_map(LinkPart::specs).collect();
    let bytes = sum.total.min(carried(scenario, &specs).unwrap_or(u64::MAX));
    if bytes > MOST_DATA {
        sum.check(MOST_DATA, "bytes that all programs send (`until` bounds them too, where each link has a rate)")?;
    }
    let mtu = scenario.hosts.iter().filter(|host| !host.router).map(|host| host.config.mtu as u64);
    let links = specs.iter().filter_map(|spec| spec.mtu.map(u64::from));
    let payload = mtu.chain(links).min().unwrap_or(1500).saturating_sub(HEADERS).max(8);
    if bytes / payload > MOST_PACKETS {
        sum.check(
            MOST_PACKETS.saturating_mul(payload),
            &format!("bytes that all programs send with packets of {} bytes", payload + HEADERS),
        )?;
    }
    Sum::over(&scenario.programs, |program| (cost(program).pieces, "do"))
        .check(MOST_PACKETS, "pieces in all (bytes divided by those behind `by`)")
}

/// What the calls of a program cost; nothing if it has none.
fn cost(program: &ProgramPart) -> Cost {
    if let What::Calls(_, cost) = &program.what { *cost } else { Cost::default() }
}

/// Bytes that all links carry until the end of the run; `None` without a bound.
fn carried(scenario: &Scenario, specs: &[&LinkSpec]) -> Option<u64> {
    let seconds = scenario.until?.as_secs_f64();
    // A change may raise the rate.
    let changes = !scenario.faults.is_empty() || scenario.links.iter().any(LinkPart::has_changes);
    if changes || scenario.links.is_empty() {
        return None;
    }
    let bits = specs.iter().try_fold(0_u64, |sum, spec| Some(sum.saturating_add(spec.rate?.bits_per_second())))?;
    Some((bits as f64 * seconds / 8.0) as u64)
}

impl Scenario {
    /// Hosts whose `buffer_limit` is set.
    fn hosts_with_limit(&self) -> impl Iterator<Item = &super::host::HostPart> {
        let default = crate::socket::HostConfig::default().buffer_limit;
        self.hosts.iter().filter(move |host| !host.router && host.config.buffer_limit != default)
    }

    /// Bytes that the file allows for buffers, as far as it sets them.
    pub(super) fn asked_buffers(&self) -> usize {
        self.hosts_with_limit().fold(0, |sum, host| sum.saturating_add(host.config.buffer_limit))
    }
}

fn check_buffers(scenario: &Scenario) -> Result<(), Excess> {
    let set = scenario.hosts_with_limit();
    let (mut total, mut largest) = (0_u64, None);
    for host in set {
        let asked = host.config.buffer_limit as u64;
        total = total.saturating_add(asked);
        if largest.is_none_or(|(most, _)| asked > most) {
            largest = Some((asked, &host.name));
        }
    }
    match largest {
        Some((_, name)) if total > MOST_BUFFERS => {
            let expected = format!("at most {MOST_BUFFERS} bytes for the buffers of all hosts, and here are {total}");
            Err(Excess { table: "hosts", item: name.clone(), key: "buffer_limit", expected })
        }
        _ => Ok(()),
    }
}
