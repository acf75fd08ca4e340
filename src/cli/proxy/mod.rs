//! `tcplab proxy`: a proxy between sockets of the kernel whose middle is a TCP connection of two userspace hosts over a
//! link. It needs no privileges.

mod command;
mod signals;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use clap::{Args as ClapArgs, ValueEnum};

use super::captures::{self, Captures};
use super::control::ControlOptions;
use super::host::{Capture, Tcp};
use super::output::Output;
use super::record::Vantage;
use super::tables::{self, Form};
use super::{CliError, ending, help, links, named, values};
use crate::app::Registry;
use crate::control::Control;
use crate::escape::Name;
use crate::link::LinkArgument;
use crate::proxy::{self, Address, Counts, MOST_PAIRS, Pair, Settings};
use crate::socket::HostConfig;
use crate::view::Flows;
use command::Running;
use signals::Signals;

/// How long connections may go on after COMMAND has ended.
const AFTER_COMMAND: Duration = Duration::from_millis(500);
/// How long the resets of the last connections may take.
const CLOSE_TIME: Duration = Duration::from_secs(2);
/// How often the control interface is looked at where its sockets cannot be waited for.
#[cfg(not(unix))]
const LOOK: Duration = Duration::from_millis(5);

#[derive(Debug, ClapArgs)]
#[command(after_help = help::PROXY)]
pub(super) struct Proxy {
    /// Where clients connect: `127.0.0.1:9000`, `[::1]:9000`, `localhost:9000` or `unix:PATH`; port 0 takes a free one; may be
    /// repeated, once for each --to
    #[arg(long, value_name = "ADDRESS", required = true)]
    listen: Vec<Address>,
    /// Where their connections go, in the same notations; may be repeated, once for each --listen
    #[arg(long, value_name = "ADDRESS", required = true)]
    to: Vec<Address>,
    /// Pass datagrams on, in place of connections
    #[arg(long, conflicts_with_all = ["cc", "rcvbuf", "sndbuf", "min_rto", "flows"])]
    udp: bool,
    /// Impair packets, in the terms of tc-netem(8): `delay=50ms,loss=1%`; `client>server:loss=1%` for one direction;
    /// `@5s:loss=5%` from a time on; `@FILE` for a file of such lines; may be repeated [default: no impairment]
    #[arg(long, value_name = "SPEC")]
    link: Vec<LinkArgument>,
    /// Random seed: with the same seed the link draws the same losses and delays [default: a fresh seed; -v prints it, the
    /// capture keeps it]
    #[arg(long, value_name = "N", value_parser = values::seed)]
    seed: Option<u64>,
    /// Print the table of connections of the middle at the end [default: not printed]
    #[arg(long)]
    flows: bool,
    #[command(flatten)]
    tcp: Tcp,
    #[command(flatten)]
    capture: Capture,
    /// Host of the middle at which the capture is taken; `all` writes a file for each, named after it
    #[arg(long, value_name = "HOST", default_value = "client", requires = "write", help_heading = "Capture")]
    at: At,
    #[command(flatten)]
    control: ControlOptions,
    /// Program to run when the proxy is ready; `TCPLAB_PROXY` in its environment is the address of --listen; its exit code
    /// becomes that of tcplab [default: run until Ctrl-C]
    #[arg(last = true, value_name = "COMMAND", help_heading = None::<&str>)]
    command: Vec<OsString>,
}

/// Where captures are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum At {
    /// At the host of the clients
    Client,
    /// At the host of the servers
    Server,
    /// At both, each with its file
    All,
}

impl At {
    fn ends(self) -> &'static [Vantage<'static>] {
        const ENDS: [Vantage<'static>; 2] =
            [Vantage { host: proxy::NEAR, interface: "client" }, Vantage { host: proxy::FAR, interface: "server" }];
        match self {
            Self::Client => &ENDS[..1],
            Self::Server => &ENDS[1..],
            Self::All => &ENDS,
        }
    }
}

/// Why the loop stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// COMMAND has ended with this exit code.
    Command(u8),
    /// A signal.
    Signal(u8),
}

/// A running proxy with its captures, its signals and COMMAND.
struct Session {
    proxy: proxy::Proxy,
    captures: Captures,
    /// When a capture has to be flushed.
    flush_at: Option<crate::time::Instant>,
    signals: Signals,
    running: Option<Running>,
    /// COMMAND has ended. What it has started goes on until the session ends.
    ended: Option<Running>,
    control: Option<Control>,
    udp: bool,
}

pub(super) fn run(args: &Proxy, registry: &Registry, output: Output) -> Result<u8, CliError> {
    let pairs = pairs(args)?;
    let seed = args.seed.unwrap_or_else(values::fresh_seed);
    let links = links::schedules(&args.link, ["client", "server"])?;
    let destinations = captures::destinations(&args.capture, args.at.ends())?;
    let host = HostConfig {
        seed,
        rcv_buf: args.tcp.rcvbuf,
        snd_buf: args.tcp.sndbuf,
        congestion: named::controller(registry, &args.tcp.cc)?,
        algorithms: registry.algorithms().clone(),
        min_rto: args.tcp.min_rto,
        ..HostConfig::default()
    };
    output.detail(format_args!("seed {seed}"));
    let control = args.control.open()?;
    let mut proxy =
        proxy::Proxy::open(&Settings { pairs, udp: args.udp, host, links }).map_err(|error| failed(&error))?;
    let addresses = proxy.addresses();
    if !args.command.is_empty() {
        Running::export("TCPLAB_PROXY", &addresses.join(","))?;
        #[cfg(not(all(feature = "live", target_os = "linux")))]
        if let Some(control) = &control {
            Running::export("TCPLAB_CONTROL", control.address())?;
        }
    }
    let captures = Captures::open(&args.capture, destinations, seed)?;
    let on_stdout = captures.is_on_stdout();
    let output = output.results_to_stderr(on_stdout);
    captures.observers().into_iter().for_each(|observer| proxy.observe(observer));
    let flows = args.flows.then(Flows::shared);
    if let Some(flows) = &flows {
        proxy.observe(flows.clone());
    }
    let signals = Signals::catch(&mut proxy)?;
    let (flush_at, running, ended, udp) = (None, None, None, args.udp);
    let mut session = Session { proxy, captures, flush_at, signals, running, ended, control, udp };
    for (listen, to) in addresses.iter().zip(&args.to) {
        output.note(format_args!("listening on {}, for {to}", Name(listen)));
    }
    if let Some(control) = &session.control {
        output.note(format_args!("control: {}", Name(control.address())));
    }
    if args.command.is_empty() {
        output.note("press Ctrl-C to stop");
    } else {
        session.running = Some(Running::start(&args.command, on_stdout)?);
    }
    // Not before COMMAND has started: programs that close every descriptor would take long.
    proxy::raise_descriptor_limit();
    let outcome = session.serve();
    let code = session.close(outcome, output)?;
    if let Some(flows) = flows {
        output.result(tables::flows(flows.borrow_mut().settle(), Form::Table, output))?;
    }
    Ok(code)
}

impl Session {
    fn serve(&mut self) -> Result<Stop, CliError> {
        loop {
            if let Some(stop) = self.next_until(None)? {
                return Ok(stop);
            }
        }
    }

    /// Waits until there is something to do, then makes one turn.
    fn next_until(&mut self, limit: Option<Instant>) -> Result<Option<Stop>, CliError> {
        self.proxy.turn();
        let due = self.captures.keep_flushed();
        self.flush_at = due.map(|due| self.proxy.now() + due);
        let limit = limit.map(|limit| self.proxy.now() + limit.saturating_duration_since(Instant::now()));
        let look = self.running.as_ref().and_then(Running::look_after).map(|after| self.proxy.now() + after);
        let control_at = self.control.as_ref().and_then(Control::next_at);
        #[cfg(not(unix))]
        let control_at = control_at.into_iter().chain(self.control.is_some().then(|| self.proxy.now() + LOOK)).min();
        let due = [self.flush_at, limit, look, control_at].into_iter().flatten();
        let until = self.proxy.next_at().into_iter().chain(due).min();
        let called = self.wait(until).map_err(|error| failed(&error))?;
        if let Some(control) = &mut self.control {
            control.turn(self.proxy.now(), &mut self.proxy);
        }
        if called && let Some(signal) = self.signals.poll_stop() {
            return Ok(Some(Stop::Signal(signal)));
        }
        let exit = match &mut self.running {
            Some(running) if called || look.is_some() => running.poll_exit()?,
            _ => None,
        };
        if exit.is_some() {
            self.ended = self.running.take();
        }
        Ok(exit.map(Stop::Command))
    }

    #[cfg(unix)]
    fn wait(&mut self, until: Option<crate::time::Instant>) -> Result<bool, proxy::ProxyError> {
        let control = self.control.iter().flat_map(Control::descriptors);
        let others: Vec<_> = self.running.iter().filter_map(Running::descriptor).chain(control).collect();
        self.proxy.wait_beside(until, &others)
    }

    #[cfg(not(unix))]
    fn wait(&mut self, until: Option<crate::time::Instant>) -> Result<bool, proxy::ProxyError> {
        self.proxy.wait(until)
    }

    /// Makes turns until no connection is left or the time is over. A signal ends it at once.
    fn drain(&mut self, limit: Duration) -> Result<Option<Stop>, CliError> {
        let deadline = Instant::now() + limit;
        while self.proxy.connections() > 0 && Instant::now() < deadline {
            if let Some(stop @ Stop::Signal(_)) = self.next_until(Some(deadline))? {
                return Ok(Some(stop));
            }
        }
        Ok(None)
    }

    /// Ends the connections, then the capture. Gives the exit code, which is that of COMMAND unless the capture failed.
    fn close(mut self, outcome: Result<Stop, CliError>, output: Output) -> Result<u8, CliError> {
        let ended = self.end_connections(outcome.as_ref().ok().copied());
        let counts = self.proxy.counts();
        let is_signal = !matches!(outcome, Ok(Stop::Command(_)));
        let signalled = ending::signalled(is_signal, || self.signals.poll_stop().is_some());
        let recorded = std::mem::take(&mut self.captures).close(None, signalled, output);
        output.note(summary(counts, self.udp));
        for (link, counters) in self.proxy.link_counters() {
            output.detail(format_args!("link {link}: {counters}"));
        }
        if self.proxy.lost_in_link() > 0 {
            output.note(format_args!(
                "{} packets dropped by the link, which held as many as it may (limit=N in --link raises that)",
                self.proxy.lost_in_link()
            ));
        }
        let code = match outcome? {
            Stop::Command(code) => code,
            Stop::Signal(signal) => 128 + signal,
        };
        ended?;
        ending::exit_code(code, Some(recorded), output)
    }

    fn end_connections(&mut self, stop: Option<Stop>) -> Result<(), CliError> {
        let Some(stop) = stop else { return Ok(()) };
        self.proxy.stop_listening();
        let hurry = match stop {
            Stop::Command(_) => self.drain(AFTER_COMMAND)?,
            Stop::Signal(_) => None,
        };
        self.proxy.reset_all();
        self.proxy.turn();
        if hurry.is_none() {
            self.drain(CLOSE_TIME)?;
        }
        Ok(())
    }
}

/// What has become of the connections, or of the flows of datagrams.
fn summary(counts: Counts, udp: bool) -> String {
    let Counts { opened, closed, reset, refused, paused, too_big, lost } = counts;
    let plural = if opened == 1 { "" } else { "s" };
    if udp {
        return format!(
            "{opened} flow{plural}: {too_big} datagrams above the MTU dropped, {lost} lost outside of the link"
        );
    }
    let mut text =
        format!("{opened} connection{plural}: {closed} closed, {reset} reset, {refused} refused by the target");
    if paused > 0 {
        let _ = write!(text, "; accepting paused {paused} times for want of file descriptors (ulimit -n)");
    }
    text
}

fn failed(error: &proxy::ProxyError) -> CliError {
    match error {
        proxy::ProxyError::Address(text) => CliError::Usage(text.clone()),
        error @ proxy::ProxyError::System { .. } => CliError::Run(error.to_string()),
    }
}

fn times(count: usize) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// `--listen` and `--to`, in pairs.
fn pairs(args: &Proxy) -> Result<Vec<Pair>, CliError> {
    let Proxy { listen, to, .. } = args;
    if listen.len() != to.len() {
        return Err(CliError::Usage(format!(
            "--listen is there {} and --to {}: give each --listen its --to",
            times(listen.len()),
            times(to.len())
        )));
    }
    if listen.len() > MOST_PAIRS {
        return Err(CliError::Usage(format!(
            "--listen: at most {MOST_PAIRS} pairs; start a second proxy for the others"
        )));
    }
    if let Some(same) = listen.iter().find(|listen| to.contains(listen) && !matches!(listen, Address::Inet(_, 0))) {
        return Err(CliError::Usage(format!(
            "--listen {same}: --to has this address too, so the proxy would connect to itself; give --to the address of a \
             server"
        )));
    }
    if let Some(to) = to.iter().find(|to| matches!(to, Address::Inet(_, 0))) {
        return Err(CliError::Usage(format!("--to {to}: expected a port from 1 to 65535")));
    }
    let is_unix = |address: &&Address| matches!(address, Address::Unix(_));
    if let Some(address) = listen.iter().chain(to).find(is_unix).filter(|_| args.udp) {
        return Err(CliError::Usage(format!("--udp: {address} has no UDP; give an address and a port")));
    }
    Ok(listen.iter().cloned().zip(to.iter().cloned()).map(|(listen, to)| Pair { listen, to }).collect())
}
