//! `tcplab run`: runs a scenario in virtual time. It prints the story, the ladder and a summary, or the events as JSON. It
//! writes captures.

pub(super) mod events;
pub(super) mod pace;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::Args as ClapArgs;

use super::args::{How, View};
use super::output::Output;
use super::output_file::Destination;
use super::pictures::{Pictures, Places};
use super::scenario::{Which, setting, wrong_setting};
use super::tables::{self, Tables};
use super::{CliError, help, values};
use crate::app::Registry;
use crate::capture::{Capture, Format, WriteError};
use crate::escape::{Name, escaped};
use crate::scenario::{Recipe, RunOutcome, Scenario, World};
use crate::view::{Flows, Ladder, RunStats, filled};
use events::Events;
use pace::Pace;

#[derive(Debug, ClapArgs)]
#[command(after_help = help::RUN)]
pub(super) struct Run {
    #[command(flatten)]
    which: Which,
    /// Random seed [default: the seed of the scenario, else 1]
    #[arg(long, value_name = "N", value_parser = values::seed)]
    seed: Option<u64>,
    /// Change a key of the scenario; may be repeated [default: no changes]
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Capture at this host; `all` writes one file for each host, such as x.client.pcapng [default: the host that the
    /// scenario names, else the first]
    #[arg(long, value_name = "HOST|all", requires = "write")]
    at: Option<String>,
    /// Pace the run by the wall clock, except for the end of TIME-WAIT [default: as fast as possible]
    #[arg(long)]
    realtime: bool,
    #[command(flatten)]
    capture: Taken,
    #[command(flatten)]
    tables: Tables,
    #[command(flatten)]
    view: View,
    /// Draw all hosts side by side, a column each, in place of each connection by itself [default: each by itself]
    #[arg(long, help_heading = "Ladder", conflicts_with_all = ["no_ladder", "svg"])]
    joint: bool,
    #[command(flatten)]
    pictures: Pictures,
}

/// The options of the capture.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Capture")]
struct Taken {
    /// Write a capture for Wireshark to FILE; `-` is standard output [default: no capture]
    #[arg(short, long = "write", value_name = "FILE")]
    write: Option<PathBuf>,
    /// Capture only the first N packets [default: all packets]
    #[arg(short, long = "count", value_name = "N", requires = "write", value_parser = values::packets)]
    count: Option<u64>,
    /// Capture at most N bytes of each packet; 0 is all bytes [default: 0]
    #[arg(short, long = "snaplen", value_name = "N", requires = "write", value_parser = values::snaplen)]
    snaplen: Option<u32>,
    /// Overwrite an existing file that is not a capture [default: such a file is kept, exit code 2]
    #[arg(long, requires = "write")]
    force: bool,
    /// Write pcap, which has no comments [default: pcapng, unless the name ends in .pcap]
    #[arg(long, requires = "write")]
    pcap: bool,
    /// How much each comment says
    #[arg(long, value_name = "HOW", default_value = "brief")]
    comments: How,
}

/// Open captures, each with its destination.
type Captures = Vec<(String, Rc<RefCell<Capture>>)>;

pub(super) fn run(args: &Run, registry: &Registry, output: Output) -> Result<(), CliError> {
    let mut scenario = args.which.open(&args.set, registry)?;
    for (key, value) in &args.set {
        scenario.set(key, value).map_err(|error| wrong_setting(&error))?;
    }
    args.capture.comments.check(args.capture.pcap)?;
    let seed = args.seed.unwrap_or_else(|| scenario.seed());
    let world = scenario.build(seed).map_err(|error| CliError::Usage(error.to_string()))?;
    let captures = destinations(args, &scenario, &world)?;
    let inputs: Vec<_> = args.which.file().into_iter().collect();
    let places = args.pictures.check(&inputs, args.capture.write.as_deref())?;
    // Results go to standard error when a capture or a picture goes to standard output.
    let picture_to_stdout = places.as_ref().is_some_and(Places::is_stdout);
    let capture_to_stdout = captures.iter().any(|(_, destination)| destination.is_stdout());
    let to_stdout = !picture_to_stdout && !capture_to_stdout;
    let output = output.results_to_stderr(!to_stdout);
    let shown = pace::Flushed::default();
    if args.realtime {
        world.observe(Pace::by_wall_clock(Rc::clone(&shown)));
    }
    let captures = open(args, captures, &scenario, &world, seed)?;
    shown.borrow_mut().extend(captures.iter().map(|(_, capture)| Rc::clone(capture)));
    let names = || world.names().iter().cloned();
    let (flows, stats) = (args.tables.flows, args.tables.stats);
    let flows = flows.map(|form| (form, world.observe(Flows::new())));
    let stats = stats.then(|| world.observe(RunStats::new()));
    let picture = places.map(|places| places.of_run(names(), (args.view.all, false))).transpose()?;
    if let Some(picture) = &picture {
        picture.observers().into_iter().for_each(|observer| _ = world.observe(observer));
    }
    let ladder = (!output.json && !args.view.no_ladder && !args.tables.any() && picture.is_none()).then(|| {
        let mut ladder = Ladder::new();
        ladder.name_hosts(names());
        world.observe(ladder)
    });
    let events =
        (output.json && !args.tables.any()).then(|| world.observe(Events::new(names(), to_stdout, args.realtime)));
    let outcome = world.run();
    let closed: Vec<_> = captures.iter().map(|(path, capture)| (path, capture.borrow_mut().close())).collect();
    let flows = flows.map(|(form, flows)| tables::flows(flows.borrow_mut().settle(), form, output));
    let stats = stats.map(|stats| {
        let mut stats = stats.borrow_mut();
        let (stats, trace) = stats.settle();
        tables::stats(stats, trace, output)
    });
    let ladder = ladder.map(|ladder| drawn(&ladder.borrow(), args, output)).transpose()?;
    let parts: Vec<_> = [ladder, flows, stats].into_iter().flatten().collect();
    if let Some(events) = events {
        events.borrow_mut().finish(&outcome)?;
    } else if output.json {
        output.result(parts.concat())?;
    } else {
        output.result(report_text(&scenario, &parts.join("\n"), &outcome, output))?;
    }
    for (path, summary) in closed {
        let summary = summary.map_err(|error| failed(&error))?;
        output.note(format_args!("{} packets in {path}", summary.captured));
    }
    if let Some(picture) = picture {
        picture.finish(scenario.name().unwrap_or(scenario.summary()), Some(&scenario), output)?;
    }
    let failures: Vec<_> = outcome.failures.iter().map(|failure| escaped(failure)).collect();
    match failures.len() {
        0 => Ok(()),
        _ => Err(CliError::Failures(Name(&args.which.scenario).to_string(), failures.join("\n"))),
    }
}

/// The ladder as text.
fn drawn(ladder: &Ladder, args: &Run, output: Output) -> Result<String, CliError> {
    let style = args.view.style(output);
    if !args.joint {
        return Ok(ladder.draw(&style));
    }
    ladder.draw_joint(&style).map_err(|columns| {
        CliError::Usage(format!(
            "--joint: the hosts need {columns} columns, and here are {}; widen the terminal, or set COLUMNS={columns}",
            style.width
        ))
    })
}

/// The hosts at which a capture is taken, and where each capture goes. Every destination is checked before the first is
/// opened.
fn destinations(args: &Run, scenario: &Scenario, world: &World) -> Result<Vec<(String, Destination)>, CliError> {
    let known = || scenario.hosts().collect::<Vec<_>>().join(", ");
    let unknown = |at: &str| {
        CliError::Usage(format!("--at {}: there is no host of that name; the hosts are {}", Name(at), known()))
    };
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
        return Err(CliError::Usage(
            "--at all writes one file for each host; name a file with -w instead of `-`".to_owned(),
        ));
    }
    let each = |host: String| check(&Destination::beside(path, &host)).map(|destination| (host, destination));
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
        world.observe(Rc::clone(&capture));
        captures.push((destination.to_string(), capture));
    }
    Ok(captures)
}

fn failed(error: &WriteError) -> CliError {
    CliError::Run(format!("{error}; -w FILE names another place for the capture"))
}

/// The story, the ladder or the tables, the descriptors, what to look at, and what the programs did. Prose is filled to the width.
fn report_text(scenario: &Scenario, ladder: &str, outcome: &RunOutcome, output: Output) -> String {
    let width = output.width();
    let mut parts = Vec::new();
    let summary = match scenario.name() {
        Some(name) => format!("{name}: {}", scenario.summary()),
        None => scenario.summary().to_owned(),
    };
    let title: Vec<_> = filled(&summary, width).lines().map(|line| output.title(line) + "\n").collect();
    parts.push(title.concat());
    parts.push(filled(scenario.story(), width));
    parts.push(ladder.to_owned());
    if let Some(table) = &outcome.table {
        parts.push(format!("descriptors of {} at {}\n{}", table.host, table.at, table.text));
    }
    if !scenario.look().is_empty() {
        let look = scenario.look().join("\n- ");
        parts.push(filled(&format!("In Wireshark (-w FILE writes the capture):\n- {look}\n"), width));
    }
    let programs = outcome.reports.iter().filter(|report| !report.daemon);
    let programs = programs.map(|report| {
        let text = filled(&format!("{} on {}: {}", escaped(&report.name), report.host, did(report)), width);
        if matches!(report.result, Some(Ok(_))) {
            return text;
        }
        text.lines().map(|line| output.verdict(false, line) + "\n").collect()
    });
    parts.push(programs.collect());
    parts.retain(|part| !part.trim().is_empty());
    parts.join("\n")
}

/// One line that says what a program did.
fn did(report: &crate::scenario::ProgramReport) -> String {
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
