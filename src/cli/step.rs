//! `tcplab step`: the terminal UI. It reads a capture, or runs a lesson or a scenario file, then takes keys until `q`. The
//! screen is `view::step`; here are the terminal, the signals and the bounds. The terminal is restored on every end.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use ratatui::crossterm::event::{self, Event as Input};

use super::CliError;
use super::kind::Kind;
use super::output::Output;
use super::pages::story;
use super::scenario::Which;
use crate::app::Registry;
use crate::capture::{ReadError, Reader};
use crate::escape;
use crate::scenario::Scenario;
use crate::view::model::{MOST_PACKETS, MOST_STEPS, Model, Recorder};
use crate::view::step::{Look, Next, Screen};

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
    let (model, topic, failure) = match opened {
        Opened::Capture(mut reader) => {
            let (model, failure) = of_capture(&mut reader, &name, MOST_PACKETS);
            (model, None, failure)
        }
        Opened::Scenario(scenario) => (of_run(&scenario, &name)?, Some(scenario.topic().to_owned()), None),
    };
    if model.is_empty() {
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        return Err(CliError::Usage(format!("step {name}: there is nothing to step through: no packet, no call")));
    }
    let notes = model.notes().to_vec();
    let code = show(&mut Screen::new(model, topic.as_deref(), look), output)?;
    let failed = failure.as_ref().map(ToString::to_string);
    notes.iter().filter(|note| failed.as_ref() != Some(*note)).for_each(|note| output.note(note));
    // What could be read was shown.
    failure.map_or(Ok(code), |failure| Err(failure.into()))
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
        let which = Which { scenario: word.to_owned(), link: Vec::new(), trace: Vec::new(), cc: None };
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

/// Reads a capture, at most so many packets. After an error, the packets before it are there.
fn of_capture(reader: &mut Reader, name: &str, most: u64) -> (Model, Option<ReadError>) {
    let mut recorder = Recorder::default();
    let (mut count, mut notes, mut failure) = (0, Vec::new(), None);
    loop {
        let ours = reader.is_ours();
        let Some(record) = reader.next_record() else { break };
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                notes.push(error.to_string());
                failure = Some(error);
                break;
            }
        };
        if count == most {
            notes.push(format!(
                "only the first {most} packets are here; `editcap -r {name} next.pcapng {}-{}` makes a file of the next",
                most + 1,
                2 * most
            ));
            break;
        }
        count += 1;
        recorder.record(&record, ours);
    }
    notes.extend(reader.unread_summary());
    notes.extend(reader.warnings().iter().map(ToString::to_string));
    (Model::new(name, recorder).with_notes(notes), failure)
}

fn of_run(scenario: &Scenario, name: &str) -> Result<Model, CliError> {
    let world = scenario.build(scenario.seed()).map_err(|error| CliError::Usage(error.to_string()))?;
    let mut recorder = Recorder::with_limit(MOST_STEPS);
    recorder.name_hosts(world.names().iter().cloned());
    let recorder = world.observe(recorder);
    let mut notes = world.run().failures;
    let recorded = recorder.take();
    if recorded.left_out() > 0 {
        notes.push(format!("only the first {MOST_STEPS} steps are here"));
    }
    Ok(Model::new(name, recorded).with_story(story(scenario)).with_notes(notes))
}

/// Restores the terminal when it goes out of scope. In a panic, the hook of ratatui has done it: a second time would move
/// the cursor back, over the message.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = ratatui::try_restore();
        }
    }
}

/// Draws and takes keys until the end: the exit code.
fn show(screen: &mut Screen, output: Output) -> Result<u8, CliError> {
    #[cfg(unix)]
    end_on_signals().map_err(|error| CliError::Run(format!("step: handle signals: {error}")))?;
    ratatui::crossterm::style::force_color_output(output.color());
    let _restore = Restore;
    let mut terminal = ratatui::try_init()
        .map_err(|error| CliError::Run(format!("step: set up the terminal: {error}; `tcplab show` needs none")))?;
    loop {
        terminal.draw(|frame| screen.draw(frame))?;
        loop {
            let input = event::read()?;
            // Only a test asks for this, to see that a panic restores the terminal.
            #[cfg(debug_assertions)]
            assert!(std::env::var_os("TCPLAB_TEST_STEP_PANIC").is_none(), "TCPLAB_TEST_STEP_PANIC is set");
            match input {
                Input::Key(key) if screen.key(&key) == Next::Quit => return Ok(0),
                Input::Key(_) | Input::Resize(..) => break,
                _ => {}
            }
        }
    }
}

/// Restores the terminal and ends the process when a signal comes. A thread does it, because the reader of keys does not
/// return any more when the terminal has gone.
#[cfg(unix)]
fn end_on_signals() -> io::Result<()> {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP] {
        let (mut told, teller) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(signal, teller)?;
        std::thread::spawn(move || {
            if told.read(&mut [0]).is_ok_and(|count| count > 0) {
                let _ = ratatui::try_restore();
                let _ = ratatui::crossterm::execute!(io::stdout(), ratatui::crossterm::cursor::Show);
                std::process::exit(128 + signal);
            }
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pcap of so many SYNs.
    fn reader(count: u32) -> Reader {
        let [src, dst] = ["192.0.2.1:1000", "192.0.2.2:80"].map(|end| end.parse().unwrap());
        let mut file = Vec::new();
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
            file.extend(word.to_le_bytes());
        }
        let packet = crate::segment::SegmentTemplate::new(src, dst).to_bytes();
        for second in 0..count {
            let len = packet.len() as u32;
            for word in [second, 0, len, len] {
                file.extend(word.to_le_bytes());
            }
            file.extend(&packet);
        }
        Reader::from_read(io::Cursor::new(file), "x.pcap").unwrap()
    }

    #[test]
    fn of_a_capture_with_more_packets_than_are_read_the_reader_is_told() {
        assert!(of_capture(&mut reader(3), "x.pcap", 3).0.notes().is_empty());
        let (model, failure) = of_capture(&mut reader(4), "x.pcap", 3);
        let expected =
            "only the first 3 packets are here; `editcap -r x.pcap next.pcapng 4-6` makes a file of the next";
        assert_eq!(model.notes(), [expected]);
        assert!(failure.is_none() && !model.is_empty() && of_capture(&mut reader(0), "x.pcap", 3).0.is_empty());
    }
}
