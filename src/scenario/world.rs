//! A scenario as a network that stands and waits to run.

use core::net::IpAddr;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::error::BuildError;
use super::program::{ProgramPart, What, resolve};
use super::read::addresses;
use super::run::ProgramReport;
use super::{Scenario, host};
use crate::app::{self, ClientOptions, Listen, Program, ServerOptions, calls};
use crate::escape::Name;
use crate::event::{HostId, Observer};
use crate::net::Net;
use crate::sim::{HostHandle, Sim};
use crate::socket::HostConfig;
use crate::time::Instant;

/// The limit of events in a run, since a scenario may come from an untrusted capture.
const MOST_EVENTS: u64 = 20_000_000;

/// The limit of memory for the buffers of all hosts, for the same reason: 96 MiB. Hosts whose `buffer_limit` is set may
/// take more, up to 1 GiB together.
const MOST_MEMORY: usize = 96 << 20;

/// The limit of memory for connections and packets on links, with what buffers leave of theirs. A run with 20,000 programs
/// then takes less than 256 MiB.
const MOST_BESIDE: usize = 48 << 20;

/// What the buffers of one host take at most if the file does not say it. The limit of all hosts is checked between
/// events, and in one event each program of a host may write. Windows close at 7/8 of it, and that is more than the limit
/// of all hosts.
const MOST_OF_ONE: usize = MOST_MEMORY + MOST_MEMORY / 4;

/// A network with its programs, at the beginning of its time. Observe it, then run it.
pub struct World {
    pub(super) sim: Sim,
    hosts: Vec<HostHandle>,
    /// Of hosts and routers.
    names: Vec<(HostId, String)>,
    pub(super) until: Option<Instant>,
    pub(super) fds: Option<(HostHandle, Instant)>,
    pub(super) reports: Rc<RefCell<Vec<ProgramReport>>>,
}

impl Scenario {
    /// Builds the network and puts the programs on it.
    ///
    /// # Errors
    /// Parts that do not fit together, which a file that was read and not set otherwise has none of.
    pub fn build(&self, seed: u64) -> Result<World, BuildError> {
        let wrong = |error: &dyn std::fmt::Display| BuildError(error.to_string());
        let sim = Sim::seeded(seed);
        sim.limit_events(MOST_EVENTS);
        let buffers = MOST_MEMORY.max(self.asked_buffers());
        sim.limit_memory(buffers);
        sim.limit_total_memory(buffers + MOST_BESIDE);
        let (mut hosts, mut names) = (Vec::new(), Vec::new());
        for part in &self.hosts {
            let id = if part.router {
                let router = sim.try_router(&part.name).map_err(|error| wrong(&error))?;
                router.set_icmp(part.icmp);
                router.id()
            } else {
                let host = add_host(&sim, part).map_err(|error| wrong(&error))?;
                hosts.push(host.clone());
                host.id()
            };
            names.push((id, part.name.clone()));
        }
        for link in &self.links {
            let [a, b] = &link.ends;
            if let Some(trace) = link.unread().next() {
                let (name, trace) = (Name(&link.name), Name(trace));
                return Err(BuildError(format!(
                    "`links.{name}` has rate=trace:{trace}, and the file of this trace was not given; add --trace {trace}"
                )));
            }
            let faults = self.faults.iter().filter(|fault| fault.link == link.name).flat_map(|fault| &fault.lines);
            for line in link.lines().chain(faults.cloned()) {
                sim.try_link_line(a, b, &line).map_err(|error| wrong(&error))?;
            }
        }
        let find = |name: &str| hosts.iter().find(|host| host.name() == name).cloned();
        let fds = self.fds.as_ref().and_then(|(name, at)| Some((find(name)?, *at)));
        let until = self.until.map(|until| Instant::EPOCH + until);
        let world = World { hosts, names, until, fds, reports: Rc::default(), sim };
        let addresses = addresses(&self.hosts);
        for (at, program) in self.programs.iter().enumerate() {
            start(&world, &addresses, at + 1, program)?;
        }
        Ok(world)
    }
}

fn start(
    world: &World,
    addresses: &BTreeMap<String, IpAddr>,
    number: usize,
    program: &ProgramPart,
) -> Result<(), BuildError> {
    let host = world.find(&program.host).ok_or_else(|| BuildError(format!("no host {}", program.host)))?;
    // The calls are parsed once for all copies.
    let task = Task::new(program, addresses)?;
    for copy in 0..program.count {
        let name = match (&program.name, program.count) {
            (Some(name), 1) => name.clone(),
            (Some(name), _) => format!("{name} {}", copy + 1),
            (None, 1) => format!("program {number}"),
            (None, _) => format!("program {number}.{}", copy + 1),
        };
        let slot = {
            let mut reports = world.reports.borrow_mut();
            reports.push(ProgramReport::new(name.clone(), host.name().to_owned(), program.daemon));
            reports.len() - 1
        };
        let reports = Rc::clone(&world.reports);
        let task = task.clone();
        let start = Instant::EPOCH + program.start + program.every * copy;
        let body = async move |net: Net| {
            if start > Instant::EPOCH {
                net.sleep_until(start).await;
            }
            let result = task.run(&net).await;
            reports.borrow_mut()[slot].end(net.now(), result);
        };
        host.spawn_named(name, program.daemon, body);
    }
    Ok(())
}

fn add_host(sim: &Sim, part: &host::HostPart) -> Result<HostHandle, crate::sim::SimError> {
    sim.try_host(&part.name, &part.address, |config| {
        let default_route = part.config.default_route;
        let (seed, addresses) = (config.seed, core::mem::take(&mut config.addresses));
        *config = HostConfig { seed, addresses, default_route, ..part.config.clone() };
        if config.buffer_limit == HostConfig::default().buffer_limit {
            config.buffer_limit = MOST_OF_ONE;
        }
    })
}

impl World {
    /// The simulation.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// The hosts in order.
    pub fn hosts(&self) -> &[HostHandle] {
        &self.hosts
    }

    /// The names of hosts and routers by their number in events.
    pub fn names(&self) -> &[(HostId, String)] {
        &self.names
    }

    /// The host of that name.
    pub fn find(&self, name: &str) -> Option<HostHandle> {
        self.hosts.iter().find(|host| host.name() == name).cloned()
    }

    /// The number of a host in events.
    pub fn id(&self, name: &str) -> Option<HostId> {
        self.find(name).map(|host| host.id())
    }

    /// Shows everything that happens to `observer`.
    pub fn observe<O: Observer + 'static>(&self, observer: O) -> Rc<RefCell<O>> {
        self.sim.observe(observer)
    }
}

/// What a program does, with its addresses.
#[derive(Clone)]
enum Task {
    Calls(Rc<[calls::Call]>),
    Server(Program, ServerOptions),
    Client(Program, ClientOptions),
}

impl Task {
    fn new(program: &ProgramPart, table: &BTreeMap<String, IpAddr>) -> Result<Self, BuildError> {
        let host = &program.host;
        Ok(match &program.what {
            What::Calls(lines, _) => {
                let calls = calls::parse(lines.iter().map(String::as_str), table);
                let calls = calls.map_err(|error| BuildError(format!("program on {host}: {error}")))?;
                Self::Calls(calls.into())
            }
            What::Server(app) => {
                let ip = table.get(host).copied().ok_or_else(|| BuildError(format!("{host} has no address")))?;
                let any: IpAddr = match ip {
                    IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
                    IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
                };
                let listen = Listen { backlog: program.backlog, ..Listen::on(any, program.port.unwrap_or(app.port())) };
                // With a size, no server opens a directory.
                let options = ServerOptions { size: Some(program.size), ..ServerOptions::new(listen) };
                Self::Server(app.clone(), options)
            }
            What::Client(app, _) if program.size > app.most_sent() => {
                let (name, most) = (app.name(), app.most_sent());
                return Err(BuildError(format!("the client of {name} on {host} sends at most {most} bytes")));
            }
            What::Client(app, to) => {
                let port = program.port.unwrap_or(app.port());
                let to = resolve(to, port, table).ok_or_else(|| BuildError(format!("{to} has no address")))?;
                Self::Client(app.clone(), ClientOptions::new(to, program.size))
            }
        })
    }

    /// Gives what was sent and received, or what went wrong.
    async fn run(self, net: &Net) -> Result<calls::Done, String> {
        let net = net.clone();
        let (running, missing) = match self {
            Self::Calls(calls) => {
                return calls::run(net, &calls, |_, _| {}).await.map_err(|failed| failed.to_string());
            }
            Self::Server(app, options) => (app.start_server(net, options), "server"),
            Self::Client(app, options) => (app.start_client(net, options), "client"),
        };
        // Reading the file has refused a program without it.
        let running = running.ok_or_else(|| format!("the program has no {missing}"))?;
        running.await.map_err(|error| described(&error))
    }
}

/// The errno inside, if there is one.
fn described(error: &std::io::Error) -> String {
    app::errno(error).map_or_else(|| error.to_string(), |errno| errno.to_string())
}
