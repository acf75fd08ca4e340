//! `tcplab step`: the terminal UI. It reads a capture, or runs a lesson or a scenario file, then takes keys until `q`. The
//! screen is `view::step`; here are the terminal, the signals and the bounds. The terminal is restored on every end.

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Args as ClapArgs;
use ratatui::crossterm::event::{self, Event as Input};

use super::CliError;
use super::kind::Kind;
use super::output::Output;
use super::scenario::Which;
use crate::app::Registry;
use crate::capture::Reader;
use crate::escape;
use crate::event::{Event, Observer};
use crate::scenario::Scenario;
use crate::time::Instant;
use crate::trace::Trace;
use crate::view::step::{Look, Model, Next, Packets, Screen, Story};

/// Packets of a capture that are read.
const MOST_PACKETS: u64 = 200_000;
/// Steps of a run that are kept.
const MOST_STEPS: usize = 500_000;
/// How soon a signal is noticed.
const NOTICED_WITHIN: Duration = Duration::from_millis(100);

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Capture (pcap or pcapng), scenario file, or name of a lesson (see `tcplab lessons`)
    #[arg(value_name = "FILE|LESSON")]
    what: PathBuf,
    /// Draw with ASCII characters only [default: Unicode lines and arrows]
    #[arg(long)]
    ascii: bool,
}

/// What is opened.
enum Opened {
    Capture(Box<Reader>),
    Scenario(Box<Scenario>),
}

pub(super) fn run(args: &Args, registry: &Registry, output: Output) -> Result<u8, CliError> {
    output.refuse_json("step", "it draws on a terminal; `tcplab show --json FILE` prints the packets")?;
    let name = escape::path(&args.what).to_string();
    let opened = open(args, &name, registry)?;
    check_terminal(&opened, &name)?;
    let look = Look { color: output.color(), ascii: args.ascii };
    let mut warnings = Vec::new();
    let (model, topic) = match opened {
        Opened::Capture(mut reader) => {
            let model = of_capture(&mut reader, &name)?;
            warnings.extend(reader.unread_summary());
            warnings.extend(reader.warnings().iter().map(ToString::to_string));
            (model.with_notes(warnings.clone()), None)
        }
        Opened::Scenario(scenario) => (of_run(&scenario, &name)?, Some(scenario.topic().to_owned())),
    };
    if model.is_empty() {
        return Err(CliError::Usage(format!("step {name}: there is nothing to step through: no packet, no call")));
    }
    let code = show(&mut Screen::new(model, topic.as_deref(), look), output)?;
    output.warnings(&warnings);
    Ok(code)
}

/// Opens what is named: a lesson, a scenario file, else a capture.
fn open(args: &Args, name: &str, registry: &Registry) -> Result<Opened, CliError> {
    let path = &args.what;
    if path.as_os_str() == "-" {
        return Err(CliError::Usage(
            "step -: standard input has the keys, so it cannot have the capture: name a file, or use `tcplab show -`"
                .to_owned(),
        ));
    }
    let word = path.to_str().unwrap_or_default();
    let is_scenario = path.extension().is_some_and(|ending| ending == "toml");
    if is_scenario || Scenario::lesson(word).is_some() {
        let which = Which { scenario: word.to_owned(), link: None, cc: None };
        return Ok(Opened::Scenario(Box::new(which.open(&[], registry)?)));
    }
    if !path.exists() && path.extension().is_none() && path.components().count() == 1 {
        return Err(CliError::Usage(format!(
            "step {name}: there is no such file and no lesson of that name; `tcplab lessons` lists the lessons"
        )));
    }
    let reader = Reader::open(path).map_err(|error| CliError::Usage(format!("{error}{}", Kind::Capture.hint(path))))?;
    Ok(Opened::Capture(Box::new(reader)))
}

/// Refuses what is no terminal, and says what prints instead.
fn check_terminal(opened: &Opened, name: &str) -> Result<(), CliError> {
    let instead = match opened {
        Opened::Capture(_) => format!("`tcplab show {name}` prints the ladder"),
        Opened::Scenario(_) => format!("`tcplab run {name}` prints the ladder"),
    };
    let is_dumb = cfg!(unix) && std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let why = match (io::stdin().is_terminal(), io::stdout().is_terminal()) {
        (_, false) => "standard output is not a terminal",
        (false, _) => "standard input is not a terminal",
        _ if is_dumb => "the terminal cannot move its cursor (TERM is not set, or dumb)",
        _ => return Ok(()),
    };
    Err(CliError::Usage(format!("step {name}: {why}; {instead}")))
}

fn of_capture(reader: &mut Reader, name: &str) -> Result<Model, CliError> {
    let (mut trace, mut packets, mut steps) = (Trace::new(), Packets::default(), Vec::new());
    let mut count = 0;
    let mut notes = Vec::new();
    loop {
        let ours = reader.is_ours();
        let Some(record) = reader.next_record() else { break };
        let record = record?;
        if count == MOST_PACKETS {
            notes.push(format!(
                "only the first {MOST_PACKETS} packets are here; `editcap -r {name} next.pcapng {}-{}` makes a file of the next",
                MOST_PACKETS + 1,
                2 * MOST_PACKETS
            ));
            break;
        }
        count += 1;
        if let Some(packet) = record.packet {
            packets.keep(record.number, packet);
        }
        trace.record(&record, ours);
        steps.extend(core::iter::from_fn(|| trace.next_step()));
    }
    Ok(Model::new(name, trace, steps, packets).with_notes(notes))
}

/// Observes a run.
#[derive(Default)]
struct Recorder {
    trace: Trace,
    packets: Packets,
}

impl Observer for Recorder {
    fn on_event(&mut self, at: Instant, event: &Event<'_>) {
        if let Event::Sent { packet, .. } = event
            && !self.trace.is_full()
        {
            self.packets.keep(packet.meta.id.0, &packet.bytes);
        }
        self.trace.on_event(at, event);
    }

    fn wants_numbers(&self) -> bool {
        true
    }
}

fn of_run(scenario: &Scenario, name: &str) -> Result<Model, CliError> {
    let world = scenario.build(scenario.seed()).map_err(|error| CliError::Usage(error.to_string()))?;
    let mut trace = Trace::with_limit(MOST_STEPS);
    trace.name_hosts(world.names().iter().cloned());
    let recorder = world.observe(Recorder { trace, packets: Packets::default() });
    let outcome = world.run();
    let Recorder { mut trace, packets } = take(&recorder);
    trace.settle();
    let mut notes = outcome.failures;
    if trace.left_out() > 0 {
        notes.push(format!("only the first {MOST_STEPS} steps are here"));
    }
    let story = Story {
        summary: scenario.summary().to_owned(),
        story: scenario.story().to_owned(),
        look: scenario.look().to_vec(),
    };
    Ok(Model::new(name, trace, Vec::new(), packets).with_story(story).with_notes(notes))
}

fn take(recorder: &Rc<RefCell<Recorder>>) -> Recorder {
    core::mem::take(&mut recorder.borrow_mut())
}

/// Restores the terminal when it goes out of scope. In a panic, the hook of ratatui does it.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        let _ = ratatui::try_restore();
    }
}

/// Draws and takes keys until the end: the exit code.
fn show(screen: &mut Screen, output: Output) -> Result<u8, CliError> {
    let stopped = signals()?;
    ratatui::crossterm::style::force_color_output(output.color());
    let _restore = Restore;
    let mut terminal = ratatui::try_init()
        .map_err(|error| CliError::Run(format!("step: set up the terminal: {error}; `tcplab show` needs none")))?;
    loop {
        terminal.draw(|frame| screen.draw(frame))?;
        loop {
            match stopped.load(Ordering::Relaxed) {
                0 => {}
                signal => return Ok(128 + signal as u8),
            }
            if !event::poll(NOTICED_WITHIN)? {
                continue;
            }
            match event::read()? {
                Input::Key(key) if screen.key(&key) == Next::Quit => return Ok(0),
                Input::Key(_) | Input::Resize(..) => break,
                _ => {}
            }
        }
    }
}

/// The number of the signal that asks for an end; 0 before one comes.
fn signals() -> Result<Arc<AtomicUsize>, CliError> {
    let stopped = Arc::new(AtomicUsize::new(0));
    #[cfg(unix)]
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register_usize(signal, Arc::clone(&stopped), signal as usize)
            .map_err(|error| CliError::Run(format!("step: handle signal {signal}: {error}")))?;
    }
    Ok(stopped)
}
