//! `tcplab run`: a scenario in virtual time; its story, its ladder, its captures, its events.

mod events;
mod pace;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::Args as ClapArgs;

use super::args::How;
use super::output::{Output, print};
use super::output_file::Destination;
use super::scenario::{Which, setting};
use super::{CliError, help};
use crate::app::Registry;
use crate::capture::{Capture, Format, WriteError};
use crate::event::{Event, Observer};
use crate::scenario::{Outcome, Recipe, Scenario, World};
use crate::time::Instant;
use crate::view::Ladder;
use events::Events;
use pace::Pace;

#[derive(Debug, ClapArgs)]
#[command(after_help = help::RUN)]
pub(super) struct Run {
    #[command(flatten)]
    which: Which,
    /// Where luck comes from [default: that of the scenario, else 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Change a key of the scenario; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Take the capture at this host, or at all of them, one file for each: x.client.pcapng [default: that of the
    /// scenario, else the first]
    #[arg(long, value_name = "HOST|all")]
    at: Option<String>,
    /// Run as slowly as the wall clock goes, but for the end of TIME-WAIT
    #[arg(long)]
    realtime: bool,
    #[command(flatten)]
    capture: Taken,
}

/// What is captured.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Capture")]
struct Taken {
    /// Every packet into a file for Wireshark; `-` is standard output
    #[arg(short, long = "write", value_name = "FILE")]
    write: Option<PathBuf>,
    /// The first N packets only
    #[arg(short, long = "count", value_name = "N", requires = "write")]
    count: Option<u64>,
    /// At most N bytes of each packet; 0 is all of them
    #[arg(short, long = "snaplen", value_name = "N", requires = "write")]
    snaplen: Option<u32>,
    /// Overwrite FILE also when it is not a capture [default: such a file is kept]
    #[arg(long, requires = "write")]
    force: bool,
    /// The old format, without comments (also by a name that ends in .pcap)
    #[arg(long, requires = "write")]
    pcap: bool,
    /// What is said about each packet
    #[arg(long, value_name = "HOW", default_value = "brief")]
    comments: How,
}

/// Captures that are open: where each goes.
type Captures = Vec<(String, Rc<RefCell<Capture>>)>;

pub(super) fn run(args: &Run, registry: &Registry, output: Output) -> Result<(), CliError> {
    let mut scenario = args.which.open(registry)?;
    for (key, value) in &args.set {
        scenario.set(key, value).map_err(|error| CliError::Usage(error.to_string()))?;
    }
    let seed = args.seed.unwrap_or_else(|| scenario.seed());
    let world = scenario.build(seed).map_err(|error| CliError::Usage(error.to_string()))?;
    let captures = destinations(args, &scenario, &world)?;
    // Whatever would go to standard output goes to standard error when a capture goes there.
    let to_stdout = !captures.iter().any(|(_, destination)| destination.is_stdout());
    let shown = Rc::default();
    if args.realtime {
        world.observe(Pace::new(Rc::clone(&shown)));
    }
    let captures = open(args, captures, &scenario, &world, seed)?;
    shown.borrow_mut().extend(captures.iter().map(|(_, capture)| Rc::clone(capture)));
    let names = || world.names().iter().cloned();
    let ladder = (!output.json).then(|| {
        let mut ladder = Ladder::new();
        ladder.name_hosts(names());
        world.observe(Beginning { ladder, left: MOST_DRAWN })
    });
    let events = output.json.then(|| world.observe(Events::new(names(), to_stdout, args.realtime)));
    let outcome = world.run();
    for (path, capture) in &captures {
        let summary = capture.borrow_mut().close().map_err(|error| failed(&error))?;
        output.note(format_args!("{} packets in {path}", summary.captured));
    }
    if let Some(events) = events {
        events.borrow_mut().finish(&outcome)?;
    }
    if let Some(ladder) = ladder {
        let Beginning { ladder, left } = &*ladder.borrow();
        if *left == 0 {
            output.note(format_args!("the ladder shows the first {MOST_DRAWN} events only; `-w` writes every packet"));
        }
        let text = told(&scenario, ladder, &outcome);
        if to_stdout {
            print(text)?;
        } else {
            output.note(text.trim_end());
        }
    }
    match outcome.failures.len() {
        0 => Ok(()),
        _ => Err(CliError::Run(format!("{}: {}", args.which.scenario, outcome.failures.join("\n")))),
    }
}

/// Events that the ladder shows: more nobody reads, and a long run would fill the memory with them.
const MOST_DRAWN: u32 = 200_000;

/// The ladder of the beginning of a run.
struct Beginning {
    ladder: Ladder,
    left: u32,
}

impl Observer for Beginning {
    fn wants_numbers(&self) -> bool {
        self.ladder.wants_numbers()
    }

    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        if self.left > 0 {
            self.left -= 1;
            self.ladder.on_event(at, event);
        }
    }
}

/// The hosts at which a capture is taken, and where each capture goes. Every destination is checked before the first is
/// opened.
fn destinations(args: &Run, scenario: &Scenario, world: &World) -> Result<Vec<(String, Destination)>, CliError> {
    let known = || scenario.hosts().collect::<Vec<_>>().join(", ");
    let unknown =
        |at: &str| CliError::Usage(format!("--at {at}: there is no host of that name; there are {}", known()));
    let hosts = match args.at.as_deref() {
        None => vec![scenario.at().to_owned()],
        Some("all") if world.find("all").is_none() => scenario.hosts().map(str::to_owned).collect(),
        Some(at) => vec![world.find(at).map(|host| host.name().to_owned()).ok_or_else(|| unknown(at))?],
    };
    let Some(path) = &args.capture.write else { return Ok(Vec::new()) };
    let several = args.at.as_deref() == Some("all") && hosts.len() > 1;
    let inputs: Vec<_> = args.which.file().into_iter().collect();
    let check = |path: &Path| Destination::check(path, &inputs, args.capture.force);
    if !several {
        let destination = check(path)?;
        return Ok(hosts.into_iter().map(|host| (host, destination.clone())).collect());
    }
    if path == Path::new("-") || check(path).is_ok_and(|destination| destination.is_stdout()) {
        return Err(CliError::Usage("--at all writes one file for each host: give -w a name, not `-`".to_owned()));
    }
    let each = |host: String| check(&beside(path, &host)).map(|destination| (host, destination));
    hosts.into_iter().map(each).collect()
}

/// Opens the captures.
fn open(
    args: &Run,
    destinations: Vec<(String, Destination)>,
    scenario: &Scenario,
    world: &World,
    seed: u64,
) -> Result<Captures, CliError> {
    let taken = &args.capture;
    let mut captures = Vec::new();
    for (host, destination) in destinations {
        let mut recipe = Recipe::new(scenario, seed).at(&host).comments(taken.comments.into());
        recipe = recipe.snaplen(taken.snaplen.unwrap_or(0));
        if let Some(count) = taken.count {
            recipe = recipe.count(count);
        }
        let mut settings = recipe.settings(world).map_err(|error| CliError::Usage(error.to_string()))?;
        if taken.pcap {
            settings = settings.format(Format::Pcap);
        }
        let capture = Rc::new(RefCell::new(destination.capture(settings)?));
        world.observe(pace::Shared(Rc::clone(&capture)));
        captures.push((destination.to_string(), capture));
    }
    Ok(captures)
}

/// `x.client.pcapng` for `x.pcapng`.
fn beside(path: &Path, host: &str) -> PathBuf {
    let ending = path.extension().map_or_else(|| host.to_owned(), |ending| format!("{host}.{}", ending.display()));
    path.with_extension(ending)
}

fn failed(error: &WriteError) -> CliError {
    CliError::Run(format!("{error}; another place for the capture is given with -w"))
}

/// The story, the ladder, the descriptors, what the programs did, and what to look at.
fn told(scenario: &Scenario, ladder: &Ladder, outcome: &Outcome) -> String {
    let mut parts = Vec::new();
    if let Some(name) = scenario.name() {
        parts.push(format!("{name}: {}\n", printable(scenario.summary())));
    } else if !scenario.summary().is_empty() {
        parts.push(format!("{}\n", printable(scenario.summary())));
    }
    if !scenario.story().is_empty() {
        parts.push(format!("{}\n", printable(scenario.story())));
    }
    parts.push(ladder.to_string());
    if let Some(table) = &outcome.table {
        parts.push(format!("descriptors of {} at {}\n{}", table.host, table.at, table.text));
    }
    let mut programs = String::new();
    for report in outcome.reports.iter().filter(|report| !report.daemon) {
        let _ = writeln!(programs, "{} on {}: {}", printable(&report.name), report.host, did(report));
    }
    parts.push(programs);
    if !scenario.look().is_empty() {
        let look = printable(&scenario.look().join("\n- "));
        parts.push(format!("In Wireshark (-w FILE writes the capture):\n- {look}\n"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// A text of the file's author, without what would command a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// What a program did, in a line.
fn did(report: &crate::scenario::Report) -> String {
    let at = report.ended.map_or(String::new(), |at| format!(", ended at {at}"));
    match &report.result {
        None => "has not ended".to_owned(),
        Some(Err(why)) => format!("failed: {why}{at}"),
        Some(Ok(done)) => {
            let datagrams = match (done.datagrams_sent, done.datagrams_received) {
                (0, 0) => String::new(),
                (sent, received) => format!(" ({sent} datagrams sent, {received} received)"),
            };
            format!("{} bytes sent, {} received{datagrams}{at}", done.sent, done.received)
        }
    }
}
