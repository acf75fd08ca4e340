//! `tcplab wire`: two kernels, our links between them, and a command on each side.
//!
//! ```text
//!   open: two namespaces --> captures --> left command       an error says what to do
//!   wait: until the left side listens --> the links begin --> right command
//!   next: wait, then one turn of the loop                    until the right command ends, or a signal
//!   close: what is on its way arrives, for a bounded time --> commands end --> captures --> summary
//! ```

pub(in crate::cli) mod args;

use std::ffi::OsString;
use std::time::{Duration, Instant};

use super::Stop;
use crate::cli::captures::{self, Captures};
use crate::cli::output::Output;
use crate::cli::record::Vantage;
use crate::cli::tables::{self, Form};
use crate::cli::{CliError, ending, links, values};
use crate::control::Control;
use crate::escape::Name;
use crate::link::LinkSchedule;
use crate::live::wire::{MOST_LINKS, Side, Wire};
use crate::live::{Foreground, Input, Launch, Privileges, Running, Signals};
use crate::view::Flows;
use args::Wait;

/// The longest wait for a socket on the left side.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How often the sockets of the left side are looked at.
const LOOK: Duration = Duration::from_millis(5);
/// How long packets may still cross after the right command has ended, so that its FINs arrive.
const AFTER_COMMAND: Duration = Duration::from_millis(500);
/// Without a packet for this long, and without one on a link, nothing more is to come.
const SILENCE: Duration = Duration::from_millis(10);

/// The directions of a line.
const DIRECTIONS: [&str; 2] = ["left", "right"];

struct Session<'a> {
    args: &'a args::Wire,
    wire: Wire,
    signals: Signals,
    captures: Captures,
    /// When a capture has to be flushed.
    flush_at: Option<crate::time::Instant>,
    left: Option<Running>,
    right: Option<Running>,
    control: Option<Control>,
    output: Output,
}

pub(in crate::cli) fn run(args: &args::Wire, output: Output) -> Result<u8, CliError> {
    let links = schedules(args)?;
    let end = |side: Side| Vantage { host: side.host(), interface: side.name() };
    let ends: Vec<_> = args.at.sides().into_iter().map(end).collect();
    let destinations = captures::destinations(&args.capture, &ends)?;
    let seed = args.seed.unwrap_or_else(values::fresh_seed);
    output.detail(format_args!("seed {seed}"));
    let control = args.control.open()?;
    let wire = Wire::open(&links, seed).map_err(|error| CliError::Run(error.to_string()))?;
    let captures = Captures::open(&args.capture, destinations, seed)?;
    let output = output.results_to_stderr(captures.is_on_stdout());
    let signals = Signals::catch();
    let signals = signals.map_err(|error| CliError::Run(format!("catch SIGINT, SIGTERM and SIGHUP: {error}")))?;
    let (flush_at, left, right) = (None, None, None);
    let mut session = Session { args, wire, signals, captures, flush_at, left, right, control, output };
    for observer in session.captures.observers() {
        session.wire.observe(observer);
    }
    let flows = args.flows.then(Flows::shared);
    if let Some(flows) = &flows {
        session.wire.observe(flows.clone());
    }
    output.note("path: tun tcplab0 on the left, tun tcplab0 on the right");
    if let Some(control) = &session.control {
        output.note(format_args!("control: {}", Name(control.address())));
    }
    let foreground = if args.right.is_none() { Foreground::keep() } else { None };
    let outcome = session.serve(foreground.is_some());
    let closed = session.close(foreground, outcome)?;
    if let Some(flows) = flows {
        output.result(tables::flows(flows.borrow_mut().settle(), Form::Table, output))?;
    }
    Ok(closed)
}

/// What each link does to the right and to the left.
fn schedules(args: &args::Wire) -> Result<Vec<[LinkSchedule; 2]>, CliError> {
    let all = &args.links.0;
    if all.len() > MOST_LINKS {
        return Err(CliError::Usage(format!(
            "--hop: there are {} links; at most {MOST_LINKS} are possible, because a packet begins with a TTL of 64",
            all.len()
        )));
    }
    all.iter().map(|lines| links::schedules(lines, DIRECTIONS)).collect()
}

impl Session<'_> {
    /// From the left command to the end of the right one.
    fn serve(&mut self, foreground: bool) -> Result<Stop, CliError> {
        if let Some(command) = &self.args.left {
            self.left = Some(self.start(Side::Left, &shell_command(command), true, Input::None)?);
            if let Some(stop) = self.await_left()? {
                return Ok(stop);
            }
        }
        self.wire.begin().map_err(|error| CliError::Run(error.to_string()))?;
        let input = if foreground { Input::Terminal } else { Input::Ours };
        let command = if let Some(command) = &self.args.right {
            shell_command(command)
        } else {
            self.tell_shell();
            vec![std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into())]
        };
        self.right = Some(self.start(Side::Right, &command, self.captures.is_on_stdout(), input)?);
        loop {
            if let Some(stop) = self.next(None)? {
                return Ok(stop);
            }
        }
    }

    fn start(&self, side: Side, command: &[OsString], to_stderr: bool, input: Input) -> Result<Running, CliError> {
        let launch = Launch { command, to_stderr, input, privileges: Privileges::Apart, own_processes: true };
        self.wire.start(side, &launch).map_err(|error| CliError::Run(format!("--{}: {error}", side.name())))
    }

    /// Makes turns until the right command may start.
    fn await_left(&mut self) -> Result<Option<Stop>, CliError> {
        let port = match self.args.wait {
            None => None,
            Some(Wait::Port(port)) => Some(port),
            Some(Wait::None) => return Ok(None),
        };
        let deadline = Instant::now() + LONGEST_WAIT;
        loop {
            let listens = self.wire.left_listens(port);
            if listens.map_err(|error| CliError::Run(format!("look at the sockets of the left side: {error}")))? {
                return Ok(None);
            }
            if Instant::now() >= deadline {
                let what =
                    port.map_or_else(|| "no socket listens".to_owned(), |port| format!("no socket has port {port}"));
                self.output.note(format_args!(
                    "{what} on the left side after {} s; the right command starts all the same (--wait PORT|none)",
                    LONGEST_WAIT.as_secs()
                ));
                return Ok(None);
            }
            if let Some(stop) = self.next(Some(LOOK))? {
                return Ok(Some(stop));
            }
        }
    }

    /// Waits until there is something to do, at most for `limit`, then makes one turn.
    fn next(&mut self, limit: Option<Duration>) -> Result<Option<Stop>, CliError> {
        let limit = limit.map(|limit| self.wire.now() + limit);
        let control_at = self.control.as_ref().and_then(Control::next_at);
        let until = self.wire.next_at().into_iter().chain(self.flush_at).chain(limit).chain(control_at).min();
        let commands = [&self.left, &self.right].into_iter().flatten().map(Running::descriptor);
        let control = self.control.iter().flat_map(Control::descriptors);
        let others: Vec<_> = self.signals.descriptors().chain(commands).chain(control).collect();
        let called = self.wire.wait(until, &others).map_err(|error| CliError::Run(error.to_string()))?;
        if called && let Some(stop) = self.stop()? {
            return Ok(Some(stop));
        }
        if let Some(control) = &mut self.control {
            control.turn(self.wire.now(), &mut self.wire);
        }
        self.wire.turn().map_err(|error| CliError::Run(error.to_string()))?;
        let due = self.captures.keep_flushed();
        self.flush_at = due.map(|due| self.wire.now() + due);
        Ok(None)
    }

    /// Called after a signal, or the end of a command.
    fn stop(&mut self) -> Result<Option<Stop>, CliError> {
        if let Some(signal) = self.signals.poll_stop() {
            return Ok(Some(Stop::Signal(signal)));
        }
        let failed = |error| CliError::Run(format!("wait for a command: {error}"));
        if let Some(right) = &mut self.right
            && let Some(code) = right.poll_exit().map_err(failed)?
        {
            return Ok(Some(Stop::Command(code as u8)));
        }
        if let Some(left) = &mut self.left
            && let Some(code) = left.poll_exit().map_err(failed)?
        {
            if code != 0 && self.right.is_none() {
                return Err(CliError::Run(format!(
                    "--left: the command ended with exit code {code} before a socket listened; try it alone"
                )));
            }
            if code != 0 {
                self.output.note(format_args!("the left command ended with exit code {code}"));
            }
        }
        Ok(None)
    }

    fn tell_shell(&self) {
        let other = self.wire.join_hint(Side::Left);
        self.output
            .note("this shell is on the right side, 10.77.0.2 and fd77::2; the left side is 10.77.0.1 and fd77::1");
        self.output.note(format_args!("in a second terminal: {other} COMMAND runs on the left side"));
        self.output.note("exit ends tcplab");
    }

    /// Makes turns until nothing is on its way any more, for a bounded time. A signal ends it at once.
    fn drain(&mut self) -> Result<(), CliError> {
        let deadline = Instant::now() + AFTER_COMMAND;
        let mut last = (self.wire.packets(), Instant::now());
        while Instant::now() < deadline {
            if let Some(Stop::Signal(_)) = self.next(Some(SILENCE))? {
                return Ok(());
            }
            let packets = self.wire.packets();
            if packets != last.0 || self.wire.is_in_flight() {
                last = (packets, Instant::now());
            } else if last.1.elapsed() >= SILENCE {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Ends the commands, and closes captures and devices. Gives the exit code, which is that of the right command unless a
    /// capture failed.
    fn close(mut self, foreground: Option<Foreground>, outcome: Result<Stop, CliError>) -> Result<u8, CliError> {
        let drained = match outcome {
            Ok(Stop::Command(_)) => self.drain(),
            _ => Ok(()),
        };
        // The shell first: a job of it that still runs must not write to the terminal.
        self.right = None;
        drop(foreground);
        let counters = Side::BOTH.map(|side| self.wire.counters(side));
        self.left = None;
        let dropped = counters.iter().map(|counters| counters.dropped_by_queue).sum();
        let is_signal = !matches!(outcome, Ok(Stop::Command(_)));
        let signalled = ending::signalled(is_signal, || self.signals.poll_stop().is_some());
        let recorded = std::mem::take(&mut self.captures).close(Some(dropped), signalled, self.output);
        self.tell_counters();
        let code = match outcome? {
            Stop::Command(code) => code,
            Stop::Signal(signal) => 128 + signal as u8,
        };
        drained?;
        ending::exit_code(code, Some(recorded), self.output)
    }

    /// What was lost beside the links. `-v` tells the counters of the links, and how late packets were.
    fn tell_counters(&self) {
        for side in Side::BOTH {
            let counters = self.wire.counters(side);
            let lost = [
                (counters.dropped_by_queue, "dropped by the device queue, which the link did not empty in time"),
                (counters.not_written, "not written: the kernel's queue was full"),
                (counters.while_down, "lost while the device was down"),
                (counters.no_ip, "refused by the kernel, because a link had corrupted the IP version"),
            ];
            for (count, what) in lost.into_iter().filter(|(count, _)| *count > 0) {
                self.output.note(format_args!("{}: {count} packets {what}", side.name()));
            }
        }
        if self.wire.lost_in_links() > 0 {
            self.output.note(format_args!(
                "{} packets dropped by the links, which held as many as they may (limit=N in --link raises that)",
                self.wire.lost_in_links()
            ));
        }
        for (name, counters) in self.wire.links() {
            self.output.detail(format_args!("link {name}: {counters}"));
        }
        self.output.detail(self.wire.lateness());
    }
}

/// A command line for the shell.
fn shell_command(line: &OsString) -> Vec<OsString> {
    vec!["/bin/sh".into(), "-c".into(), line.clone()]
}
