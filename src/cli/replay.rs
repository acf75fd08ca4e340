//! `tcplab replay`: replays captures as tests. It prints one line for each conversation, and the ladder of one that does not
//! pass. The verdicts come from `crate::replay`.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::json;

use super::args::View;
use super::kind::{self, Kind};
use super::links::{self, GivenTrace};
use super::named::Files;
use super::output::{Output, json_line};
use super::output_file::Destination;
use super::pictures::{Pictures, Places, file_title};
use super::{CliError, named, values};
use crate::app::{Listen, Program, Registry};
use crate::capture::Settings;
use crate::escape::{Name, escaped};
use crate::event::{HostId, Observer};
use crate::net::Net;
use crate::replay::{Mode, Outcome, Replay, ReplayError, Report, Role, Verdict};
use crate::view::{Ladder, Style};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Captures to replay, pcap or pcapng
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Side that tcplab's stack plays
    #[arg(long, value_name = "ROLE", default_value = "near")]
    role: RoleName,
    /// How closely the replay must follow the capture [default: strict for captures with a recipe, else semantic]
    #[arg(long, value_name = "MODE")]
    mode: Option<ModeName>,
    /// Built-in server to run on tcplab's side [default: a program derived from the capture]
    #[arg(long, value_name = "APP")]
    app: Option<String>,
    /// http: serve the files of this directory [default: .]
    #[arg(long, value_name = "DIR", requires = "app", conflicts_with = "size")]
    dir: Option<PathBuf>,
    /// http: serve a generated file of N bytes under every path [default: serve a directory]
    #[arg(long, value_name = "N", requires = "app", value_parser = values::size)]
    size: Option<u64>,
    /// Ignore the recipe of a capture [default: a capture with a recipe is also made again and compared]
    #[arg(long)]
    no_recipe: bool,
    /// Trace of a link (`rate=trace:FILE`) that was too long for the capture; may be repeated [default: no trace]
    #[arg(long, value_name = "FILE")]
    trace: Vec<String>,
    /// Replay only this conversation of each file, counted from 0 [default: all conversations]
    #[arg(long, value_name = "N", value_parser = values::stream)]
    stream: Option<usize>,
    /// Write the packets at tcplab's stack to FILE, for Wireshark; `-` is standard output [default: no capture]
    #[arg(short, long = "write", value_name = "FILE")]
    write: Option<PathBuf>,
    /// Overwrite an existing file that is not a capture [default: such a file is kept, exit code 2]
    #[arg(long, requires = "write")]
    force: bool,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    pictures: Pictures,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleName {
    /// The side where the capture was taken, or the client if that is unclear
    Near,
    /// The client
    Client,
    /// The server
    Server,
    /// Both sides, one after the other
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeName {
    /// The same packets
    Strict,
    /// The same bytes, turns, close and acknowledgments
    Semantic,
}

/// Gives the exit code: 2 if a file cannot be read or has no such stream, else 1 if a conversation differs or stalls, or a
/// file has none that passes, else 0.
pub(super) fn run(args: &Args, registry: &Registry, output: Output) -> Result<u8, CliError> {
    args.files.iter().try_for_each(|file| kind::refuse_stdin("replay", file))?;
    let role = role(args)?;
    let program = program(args, registry)?;
    let inputs: Vec<_> = args.files.iter().map(PathBuf::as_path).collect();
    let destination = args.write.as_ref().map(|path| Destination::check(path, &inputs, args.force)).transpose()?;
    let places = args.pictures.check(&inputs, args.write.as_deref())?;
    if places.as_ref().is_some_and(Places::is_of_queues) {
        return Err(CliError::Usage(
            "--plot queue: a replay has no link with a queue; `tcplab run` plots the queues of a scenario".to_owned(),
        ));
    }
    let capture_to_stdout = destination.as_ref().is_some_and(Destination::is_stdout);
    let picture_to_stdout = places.as_ref().is_some_and(Places::is_stdout);
    let output = output.results_to_stderr(capture_to_stdout || picture_to_stdout);
    let capture = destination.map(|destination| destination.capture(Settings::default())).transpose()?;
    let capture = capture.map(|capture| Rc::new(RefCell::new(capture)));
    let traces = links::traces(&args.trace)?;
    let mut all = Report::default();
    // The conversation of the picture: the first that fails, else the first.
    let mut pictured: Option<(&PathBuf, Outcome)> = None;
    let mut code = 0;
    for file in &args.files {
        let open = |role| open(args, registry, file, role, program.as_ref(), &traces);
        let observed = |replay: Replay| match &capture {
            Some(capture) => replay.observe(Rc::clone(capture) as Rc<RefCell<dyn Observer>>),
            None => replay,
        };
        let outcomes = match open(role).and_then(|replay| observed(replay).run()) {
            Ok(report) => {
                output.warnings(&report.warnings);
                let broken = report.outcomes.iter().find(|outcome| outcome.verdict == Verdict::Error);
                code = code.max(if broken.is_some() { 2 } else { u8::from(!report.passed()) });
                if let Some(Outcome { file, reason, .. }) = broken {
                    let named = reason.contains(&*escaped(file));
                    output.error(&if named { reason.clone() } else { format!("{}: {reason}", Name(file)) });
                }
                report.outcomes
            }
            Err(error) => {
                code = 2;
                output.error(&format!("{error}{}", Kind::Capture.hint(file)));
                vec![unreadable(args, file, role, &error)]
            }
        };
        for outcome in &outcomes {
            report(outcome, output)?;
            let failed = has_failed(outcome);
            let replayed = failed || outcome.verdict == Verdict::Pass;
            if replayed && pictured.as_ref().is_none_or(|(_, first)| failed && !has_failed(first)) {
                pictured = Some((file, outcome.clone()));
            }
            if failed && places.is_none() && !args.view.no_ladder && !output.json && !output.is_quiet() {
                let replay = open(outcome.role).map_err(|error| CliError::Run(error.to_string()))?;
                draw(replay, outcome, &args.view.style(output), output)?;
            }
        }
        all.outcomes.extend(outcomes);
    }
    if let Some(places) = places {
        let Some((file, outcome)) = &pictured else {
            return Err(CliError::Usage(
                "--svg, --series: no conversation was replayed, so there is nothing to draw; \
                                        see the verdicts"
                    .to_owned(),
            ));
        };
        let replay = open(args, registry, file, outcome.role, program.as_ref(), &traces);
        let replay = replay.map_err(|error| CliError::Run(error.to_string()))?;
        let names = [(HostId(0), "tcplab".to_owned()), (HostId(1), "recording".to_owned())];
        let picture = places.of_run(names, (args.view.all, true))?;
        let replay = outcome.stream.into_iter().fold(replay, Replay::stream).mode(outcome.mode);
        let replay = picture.observers().into_iter().fold(replay, Replay::observe);
        replay.run().map_err(|error| CliError::Run(error.to_string()))?;
        picture.finish(&format!("replay of {}", file_title(file)), None, output)?;
    }
    summary(&all, args.files.len(), output);
    for given in traces.iter().filter(|given| !given.used.get()) {
        code = 2;
        output.error(&format!("--trace {}: no capture needs this trace; leave it out", Name(&given.path)));
    }
    if let Some(capture) = capture {
        let written = capture.borrow_mut().close().map_err(|error| CliError::Run(error.to_string()))?;
        output.note(format_args!("{} packets written", written.captured));
    }
    Ok(code)
}

fn role(args: &Args) -> Result<Role, CliError> {
    match (args.role, &args.app) {
        (RoleName::Near, Some(_)) | (RoleName::Server, _) => Ok(Role::Server),
        (RoleName::Client | RoleName::Both, Some(_)) => {
            Err(CliError::Usage("--app runs a server: leave out --role, or use --role server".to_owned()))
        }
        (RoleName::Near, None) => Ok(Role::Near),
        (RoleName::Client, None) => Ok(Role::Client),
        (RoleName::Both, None) => Ok(Role::Both),
    }
}

/// The program of `--app` and the files that it serves.
fn program<'r>(args: &Args, registry: &'r Registry) -> Result<Option<(&'r Program, Files)>, CliError> {
    let Some(name) = &args.app else { return Ok(None) };
    let program = named::program(registry, name)?;
    let files = Files::of(program, args.dir.clone(), args.size)?;
    Ok(Some((program, files)))
}

/// Opens a file, with the settings of the command line.
fn open(
    args: &Args,
    registry: &Registry,
    file: &PathBuf,
    role: Role,
    program: Option<&(&Program, Files)>,
    traces: &[GivenTrace],
) -> Result<Replay, ReplayError> {
    let mut replay = Replay::open(file)?.registry(registry).role(role);
    for given in traces {
        given.used.set(replay.give_trace(&given.trace) || given.used.get());
    }
    if let Some(mode) = args.mode {
        replay = replay.mode(mode.into());
    }
    if args.no_recipe {
        replay = replay.ignore_recipe();
    }
    if let Some(stream) = args.stream {
        replay = replay.stream(stream);
    }
    if let Some((program, files)) = program {
        let (program, files) = ((*program).clone(), files.clone());
        replay = replay.program(async move |net: Net| {
            let v6 = net.host().config().addresses.iter().any(|(ip, _)| ip.is_ipv6());
            let all = if v6 { std::net::Ipv6Addr::UNSPECIFIED.into() } else { std::net::IpAddr::from([0; 4]) };
            let options = files.options(Listen::on(all, program.port()));
            match program.start_server(net, options) {
                Some(server) => server.await.map(|_| ()),
                None => Ok(()),
            }
        });
    }
    Ok(replay)
}

fn has_failed(outcome: &Outcome) -> bool {
    matches!(outcome.verdict, Verdict::Differs | Verdict::Stalled)
}

/// Prints the ladder of a conversation that did not pass. It replays the conversation again, which gives the same packets.
fn draw(replay: Replay, outcome: &Outcome, style: &Style, output: Output) -> Result<(), CliError> {
    let mut ladder = Ladder::new();
    ladder.name_hosts([(HostId(0), "tcplab".to_owned()), (HostId(1), "recording".to_owned())]);
    ladder.count_from_first();
    let ladder = Rc::new(RefCell::new(ladder));
    let replay = outcome.stream.into_iter().fold(replay, Replay::stream).mode(outcome.mode);
    replay.observe(ladder.clone()).run().map_err(|error| CliError::Run(error.to_string()))?;
    output.result(ladder.borrow().draw(style))?;
    Ok(())
}

impl From<ModeName> for Mode {
    fn from(mode: ModeName) -> Self {
        match mode {
            ModeName::Strict => Self::Strict,
            ModeName::Semantic => Self::Semantic,
        }
    }
}

fn unreadable(args: &Args, file: &std::path::Path, role: Role, error: &ReplayError) -> Outcome {
    let mode = args.mode.map_or(Mode::Semantic, Mode::from);
    Outcome::unreadable(&file.display().to_string(), role, mode, error)
}

/// Prints the verdict as one line, its reason below it.
fn report(outcome: &Outcome, output: Output) -> io::Result<()> {
    let Outcome { file, stream, role, mode, verdict, packet, reason, notes, packets, .. } = outcome;
    if output.json {
        let line = json!({
            "file": file,
            "stream": stream,
            "role": role.to_string(),
            "mode": mode.to_string(),
            "verdict": verdict.to_string(),
            "packet": packet,
            "reason": reason,
            "packets": packets,
            "notes": notes,
        });
        return output.result(json_line(&line));
    }
    let stream = stream.map_or_else(|| "-".to_owned(), |stream| stream.to_string());
    let who = outcome.ends.map_or_else(String::new, |[client, server]| format!(" {client} > {server}"));
    let file = Name(file);
    output.result(format_args!("{verdict:<8} {file} {stream} {role} {mode}{who}, {packets} packets\n"))?;
    if *verdict != Verdict::Pass {
        let at = packet.map_or_else(String::new, |packet| format!("packet {packet}: "));
        for (nth, line) in reason.lines().enumerate() {
            output.result(format_args!("         {}{line}\n", if nth == 0 { at.as_str() } else { "" }))?;
        }
    }
    for note in notes {
        output.detail(format_args!("         {note}"));
    }
    Ok(())
}

/// Prints the number of conversations with each verdict.
fn summary(report: &Report, files: usize, output: Output) {
    let verdicts = [Verdict::Pass, Verdict::Differs, Verdict::Stalled, Verdict::Skipped, Verdict::Error];
    let counts = verdicts.map(|verdict| (verdict, report.count(verdict)));
    let shown = counts.iter().filter(|(verdict, count)| *count > 0 || *verdict == Verdict::Pass);
    output.note(format_args!("{files} files, {} conversations", report.outcomes.len()));
    for (verdict, count) in shown {
        output.note(format_args!("  {verdict:<8} {count:>6}"));
    }
    if report.count(Verdict::Skipped) > 0 {
        output.note("skipped conversations were not replayed; they do not count as passed");
    }
}
