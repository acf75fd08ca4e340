//! The commands that need a Linux kernel on the other side. `serve` and `connect` share a [`Session`]: a host on a
//! TUN device with its capture, its signals and COMMAND. `wire` has two kernels and no host.
//!
//! ```text
//!   open: sandbox --> TUN --> address, MTU, up --> host --> capture        an error says what to do
//!   next: wait, then one turn of the loop          until a signal, the end of COMMAND, or the end of the programs
//!   close: programs end --> FINs go out, for a bounded time --> capture --> summary
//! ```

mod address;
pub(super) mod args;
pub(super) mod connect;
pub(super) mod doctor;
mod place;
pub(super) mod serve;
mod terminal;
pub(super) mod wire;

use std::ffi::OsString;
use std::time::{Duration, Instant};

use super::output::Output;
use super::{CliError, ending, record};
use crate::app::Registry;
use crate::control::Control;
use crate::escape::Name;
use crate::live::{Live, Running, Signals, WakeReceiver};
use crate::net::Net;
use crate::socket::SynCookies;
use record::{Recording, Vantage};

/// Time limit for the last FINs.
const CLOSE_TIME: Duration = Duration::from_secs(2);
/// How long programs may run after COMMAND has ended, so that its FINs arrive.
const AFTER_COMMAND: Duration = Duration::from_millis(500);

/// A host on a TUN device.
pub(super) struct Session {
    live: Live,
    signals: Signals,
    wakes: WakeReceiver,
    recording: Option<Recording>,
    /// When the recording has to be flushed.
    flush_at: Option<crate::time::Instant>,
    running: Option<Running>,
    /// COMMAND has ended. What it has started goes on until the session ends.
    ended: Option<Running>,
    own_namespace: bool,
    control: Option<Control>,
    output: Output,
}

/// The options of a command that needs a TUN device.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) device: &'a args::Device,
    pub(super) tcp: &'a args::Tcp,
    pub(super) capture: &'a args::Capture,
    pub(super) syn_cookies: SynCookies,
}

/// Why the loop stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// COMMAND has ended with this exit code.
    Command(u8),
    /// A signal.
    Signal(i32),
}

impl Session {
    /// Opens everything that the first packet needs. The process must not have started a thread.
    pub(super) fn open(wanted: &Wanted<'_>, registry: &Registry, output: Output) -> Result<Self, CliError> {
        let Wanted { device, tcp, capture, syn_cookies } = *wanted;
        let destination = Recording::destination(capture)?;
        let mut place = place::Place::open(device, tcp, registry)?;
        place.host.syn_cookies = syn_cookies;
        let seed = place.host.seed;
        output.detail(format_args!("seed {seed}"));
        let name = place.tun.name().to_owned();
        let mut live = Live::new(&place.host, place.tun, [&place.links[0], &place.links[1]]);
        let vantage = Vantage { host: crate::live::HOST, interface: &name };
        let recording =
            destination.map(|destination| Recording::open(capture, &destination, vantage, seed)).transpose()?;
        if let Some(recording) = &recording {
            live.observe(recording.observer());
        }
        output.note(format_args!("path: tun {name}"));
        let own_namespace = device.tun.is_none();
        Ok(Self { recording, own_namespace, ..Self::over(live, output)? })
    }

    /// A session over a host in a namespace of its own, without a capture.
    pub(super) fn over(live: Live, output: Output) -> Result<Self, CliError> {
        let failed = |what| move |error| CliError::Run(format!("{what}: {error}"));
        let signals = Signals::catch().map_err(failed("catch SIGINT, SIGTERM and SIGHUP"))?;
        let wakes = WakeReceiver::new().map_err(failed("make a pair of sockets for wake-ups"))?;
        let (recording, flush_at, running, ended, control) = (None, None, None, None, None);
        Ok(Self { live, signals, wakes, recording, flush_at, running, ended, own_namespace: true, control, output })
    }

    /// Serves a control interface from now on.
    pub(super) fn attach(&mut self, control: Option<Control>) {
        if let Some(control) = &control {
            self.output.note(format_args!("control: {}", Name(control.address())));
        }
        self.control = control;
    }

    /// True if standard output carries the capture.
    pub(super) fn captures_to_stdout(&self) -> bool {
        self.recording.as_ref().is_some_and(Recording::is_on_stdout)
    }

    pub(super) fn net(&self) -> Net {
        self.live.net()
    }

    pub(super) fn live(&mut self) -> &mut Live {
        &mut self.live
    }

    /// Starts COMMAND. Its standard output goes to standard error where tcplab prints data on standard output.
    pub(super) fn start(&mut self, command: &[OsString], to_stderr: bool) -> Result<(), CliError> {
        let on_stdout = self.captures_to_stdout();
        let running = crate::live::start(command, to_stderr || on_stdout);
        self.running = Some(running.map_err(|error| CliError::Usage(error.to_string()))?);
        Ok(())
    }

    /// The command that enters the namespace from another terminal; empty if there is no namespace.
    pub(super) fn joining(&self) -> String {
        if self.own_namespace { format!("{} ", crate::live::join_hint()) } else { String::new() }
    }

    /// One turn, without waiting.
    pub(super) fn turn(&mut self) -> Result<(), CliError> {
        self.live.turn().map_err(|error| CliError::Run(error.to_string()))?;
        let due = self.recording.as_mut().and_then(Recording::keep_flushed);
        self.flush_at = due.map(|due| self.live.now() + due);
        Ok(())
    }

    /// Waits until there is something to do, then makes one turn. The caller sees the result before the next wait.
    pub(super) fn next(&mut self) -> Result<Option<Stop>, CliError> {
        self.next_until(None)
    }

    pub(super) fn next_until(&mut self, limit: Option<Instant>) -> Result<Option<Stop>, CliError> {
        let limit = limit.map(|limit| self.live.now() + limit.saturating_duration_since(Instant::now()));
        let control_at = self.control.as_ref().and_then(Control::next_at);
        let until = self.live.next_at().into_iter().chain(self.flush_at).chain(limit).chain(control_at).min();
        let command = self.running.iter().map(Running::descriptor);
        let control = self.control.iter().flat_map(Control::descriptors);
        let others: Vec<_> =
            self.signals.descriptors().chain([self.wakes.descriptor()]).chain(command).chain(control).collect();
        let called = self.live.wait(until, &others).map_err(|error| CliError::Run(error.to_string()))?;
        if called && let Some(stop) = self.stop()? {
            return Ok(Some(stop));
        }
        if let Some(control) = &mut self.control {
            control.turn(self.live.now(), &mut self.live);
        }
        self.turn()?;
        Ok(None)
    }

    /// Called after a signal, a wake-up by another thread, or the end of COMMAND.
    fn stop(&mut self) -> Result<Option<Stop>, CliError> {
        self.wakes.clear();
        if let Some(signal) = self.signals.poll_stop() {
            return Ok(Some(Stop::Signal(signal)));
        }
        let Some(running) = &mut self.running else { return Ok(None) };
        let exit = running.poll_exit().map_err(|error| CliError::Run(format!("wait for COMMAND: {error}")))?;
        Ok(exit.map(|code| {
            self.ended = self.running.take();
            Stop::Command(code as u8)
        }))
    }

    /// Makes turns until no connection is left or the time is over. A signal ends it at once.
    pub(super) fn drain(&mut self, limit: Duration) -> Result<Option<Stop>, CliError> {
        let deadline = Instant::now() + limit;
        while self.net().host().connections() > 0 && Instant::now() < deadline {
            match self.next_until(Some(deadline))? {
                Some(Stop::Signal(signal)) => return Ok(Some(Stop::Signal(signal))),
                Some(Stop::Command(_)) | None => {}
            }
        }
        Ok(None)
    }

    /// Makes turns until COMMAND has ended, for a bounded time.
    pub(super) fn await_command(&mut self, limit: Duration) -> Result<Option<Stop>, CliError> {
        let deadline = Instant::now() + limit;
        while self.running.is_some() && Instant::now() < deadline {
            if let Some(stop) = self.next_until(Some(deadline))? {
                return Ok(Some(stop));
            }
        }
        Ok(None)
    }

    /// Closes connections, capture and device in this order. Gives the exit code, which is `code` unless the capture
    /// failed.
    pub(super) fn close(mut self, outcome: Result<Stop, CliError>) -> Result<u8, CliError> {
        let ended = self.end_connections(outcome.as_ref().ok().copied());
        let dropped = self.live.tun().tx_dropped().unwrap_or(0);
        let is_signal = !matches!(outcome, Ok(Stop::Command(_)));
        let signalled = ending::signalled(is_signal, || self.signals.poll_stop().is_some());
        let recorded = self.recording.take().map(|recording| recording.close(Some(dropped), signalled, self.output));
        if recorded.is_none() && dropped > 0 {
            self.output.note(format_args!("{dropped} packets dropped by the device queue"));
        }
        if self.live.lost_in_write() > 0 {
            self.output
                .note(format_args!("{} packets not written: the kernel's queue was full", self.live.lost_in_write()));
        }
        if self.live.lost_while_down() > 0 {
            self.output.note(format_args!("{} packets lost while the device was down", self.live.lost_while_down()));
        }
        if self.live.lost_as_no_ip() > 0 {
            self.output.note(format_args!(
                "{} packets refused by the kernel, because a link had corrupted the IP version",
                self.live.lost_as_no_ip()
            ));
        }
        if self.live.lost_in_link() > 0 {
            self.output.note(format_args!(
                "{} packets dropped by the link, which held as many as it may (limit=N in --link raises that)",
                self.live.lost_in_link()
            ));
        }
        self.tell_counters();
        let code = match outcome? {
            Stop::Command(code) => code,
            Stop::Signal(signal) => 128 + signal as u8,
        };
        ended?;
        ending::exit_code(code, recorded, self.output)
    }

    /// What was unusual about the packets that came. `-v` tells every reason for which one was dropped.
    fn tell_counters(&self) {
        let counters = self.net().host().counters().clone();
        if counters.syn_cookies_sent > 0 {
            self.output.note(format_args!(
                "SYN queue full: {} SYN cookies sent, {} came back",
                counters.syn_cookies_sent, counters.syn_cookies_received
            ));
        }
        let limited = counters.icmp_errors_limited + counters.resets_limited;
        if limited > 0 {
            self.output.note(format_args!(
                "not sent because of the rate limit: {} ICMP errors, {} RSTs",
                counters.icmp_errors_limited, counters.resets_limited
            ));
        }
        for (why, count) in counters.drops() {
            self.output.detail(format_args!("{count} packets dropped by the host: {}", crate::annotate::reason(why)));
        }
    }

    fn end_connections(&mut self, stop: Option<Stop>) -> Result<(), CliError> {
        let Some(stop) = stop else { return Ok(()) }; // an error: the device may be gone
        let hurry = match stop {
            Stop::Command(_) => self.drain(AFTER_COMMAND)?,
            Stop::Signal(_) => None,
        };
        self.live.end_programs();
        self.turn()?;
        if hurry.is_none() {
            self.drain(CLOSE_TIME)?;
        }
        Ok(())
    }
}
