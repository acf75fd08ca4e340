//! `tcplab connect`: connects standard input and output to a server, as nc does. The connection is one of the userspace
//! stack.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::args::Connect;
use super::record::Recording;
use super::terminal::{self, Pipe};
use super::{Session, Stop, Wanted};
use crate::app::{Registry, errno};
use crate::cli::CliError;
use crate::cli::output::Output;
use crate::device;
use crate::net::{Net, TcpStream};
use crate::socket::{Errno, SynCookies};

/// Time limit for COMMAND to start listening.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time limit for an answer after COMMAND has ended, which may have started a server in the background.
const ANSWER_AFTER_COMMAND: Duration = Duration::from_secs(10);
/// Pause between two looks at the routes of the kernel.
const LOOK: Duration = Duration::from_millis(100);
/// Pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(50);
/// How long standard input is read after the server has closed its direction.
const INPUT_AFTER_FIN: Duration = Duration::from_millis(500);
/// How long COMMAND may run after the connection has ended.
const COMMAND_AFTER_END: Duration = Duration::from_secs(2);

pub(in crate::cli) fn run(args: &Connect, registry: &Registry, output: Output) -> Result<u8, CliError> {
    output.refuse_json("connect", "standard output is for the data from the server")?;
    if Recording::destination(&args.capture)?.is_some_and(|destination| destination.is_stdout()) {
        let text = "-w -: standard output is for the data from the server; name a file with -w FILE";
        return Err(CliError::Usage(text.to_owned()));
    }
    let (device, tcp, capture) = (&args.device, &args.tcp, &args.capture);
    let wanted = Wanted { device, tcp, capture, syn_cookies: SynCookies::default() };
    let control = args.control.open()?;
    let mut session = Session::open(&wanted, registry, output)?;
    session.attach(control);
    let outcome = talk(&mut session, args, output);
    session.close(outcome)
}

fn talk(session: &mut Session, args: &Connect, output: Output) -> Result<Stop, CliError> {
    session.turn()?;
    let with_command = !args.command.is_empty();
    if with_command {
        session.start(&args.command, true)?;
    } else if session.own_namespace {
        let (joining, port) = (session.joining(), args.to.port());
        output.note(format_args!("start a server in a second terminal: {joining}nc -l {port}"));
    }
    // A new namespace has no server until the user starts one, so there is no time limit.
    let patience = if session.own_namespace && !with_command {
        None
    } else {
        Some(if with_command { PATIENCE } else { Duration::ZERO })
    };
    let kernel = args.device.kernel_addresses();
    let target = Target { to: args.to, kernel: &kernel, with_command };
    let stream = match connect(session, &target, patience)? {
        Ok(stream) => stream,
        Err(stop) => return Ok(stop),
    };
    output.detail(format_args!("connected to {}", args.to));
    let started = terminal::input(session.wakes.sender())
        .and_then(|input| Ok((input, terminal::output(session.wakes.sender())?)));
    let (input, out) = started.map_err(|error| CliError::Run(format!("start a thread: {error}")))?;
    let net = session.net();
    let writer = stream.clone();
    let reading = stream.clone();
    drop(stream);
    let sending = net.spawn_named("from standard input", send(input, writer));
    let mut receiving = net.spawn_named("to standard output", receive(reading, out));
    let mut code = None;
    let result = loop {
        if let Some(result) = receiving.try_take() {
            break result;
        }
        match session.next()? {
            Some(Stop::Command(exit)) => code = Some(exit),
            Some(stop) => return Ok(stop),
            None => {}
        }
    };
    match result {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {} // the reader of standard output has closed it
        Err(error) => return Err(CliError::Run(format!("read from {}: {error}", args.to))),
    }
    // The server has closed its direction. Input that has been read is still sent.
    let deadline = Instant::now() + INPUT_AFTER_FIN;
    while !sending.is_finished() && Instant::now() < deadline {
        match session.next_until(Some(deadline))? {
            Some(Stop::Command(exit)) => code = Some(exit),
            Some(stop) => return Ok(stop),
            None => {}
        }
    }
    session.live().end_programs();
    match (code, with_command) {
        (Some(code), _) => Ok(Stop::Command(code)),
        (None, false) => Ok(Stop::Command(0)),
        (None, true) => Ok(session.await_command(COMMAND_AFTER_END)?.unwrap_or(Stop::Command(0))),
    }
}

/// Where to connect.
struct Target<'a> {
    to: SocketAddr,
    /// The addresses of the kernel's side of the device.
    kernel: &'a [IpAddr],
    with_command: bool,
}

impl Target<'_> {
    /// Why no packet reaches the address, as far as the kernel can tell.
    fn no_route(&self) -> Option<&'static str> {
        match device::source_to(self.to.ip()) {
            None => Some("no route"),
            // It would send the packet back through the device, where it came from.
            Some(source) if source != self.to.ip() && self.kernel.contains(&source) => Some("no host there"),
            Some(_) => None,
        }
    }

    fn unreachable(&self, why: &str) -> CliError {
        let to = self.to;
        let kernel = self.kernel.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        CliError::Run(format!(
            "connect to {to}: {why}: the kernel cannot pass packets on to {}; its side of the device has {kernel}, and \
             --kernel-address gives it another",
            to.ip()
        ))
    }
}

/// Tries until the server listens or the time limit is over. The inner error is a reason to stop.
fn connect(
    session: &mut Session,
    target: &Target<'_>,
    patience: Option<Duration>,
) -> Result<Result<TcpStream, Stop>, CliError> {
    let (to, began) = (target.to, Instant::now());
    let (mut code, mut ended) = (None, None);
    loop {
        let net = session.net();
        let mut attempt = net.spawn_named("connect", attempt(net.clone(), to, code.is_none()));
        let mut look = Instant::now();
        let result = loop {
            if let Some(result) = attempt.try_take() {
                break result;
            }
            // COMMAND may give the kernel the address or the route, and the user of a second terminal is told at once.
            let last_chance = code.is_some() || !target.with_command || began.elapsed() > PATIENCE;
            if Instant::now() >= look {
                if let Some(why) = target.no_route().filter(|_| last_chance) {
                    return Err(target.unreachable(why));
                }
                look = Instant::now() + LOOK;
            }
            if let (Some(code), Some(ended)) = (code, ended)
                && Instant::elapsed(&ended) > ANSWER_AFTER_COMMAND
            {
                return Err(CliError::Run(format!(
                    "connect to {to}: no answer, and COMMAND has ended with exit code {code}; start a server there"
                )));
            }
            match session.next_until(Some(look))? {
                Some(Stop::Command(exit)) => (code, ended, look) = (Some(exit), Some(Instant::now()), Instant::now()),
                Some(stop) => return Ok(Err(stop)),
                None => {}
            }
        };
        let error = match result {
            Ok(stream) => return Ok(Ok(stream)),
            Err(error) => error,
        };
        let refused = errno(&error) == Some(Errno::ECONNREFUSED);
        if let (true, Some(code)) = (refused, code) {
            return Err(CliError::Run(format!(
                "connect to {to}: no server listens, and COMMAND has ended with exit code {code}; start a server there"
            )));
        }
        if !refused || patience.is_some_and(|patience| began.elapsed() >= patience) {
            let hint = if refused { "; start a server there" } else { "" };
            return Err(CliError::Run(format!("connect to {to}: {error}{hint}")));
        }
    }
}

/// One attempt. A pause follows a refusal.
async fn attempt(net: Net, to: SocketAddr, pause: bool) -> io::Result<TcpStream> {
    let result = TcpStream::connect(&net, to).await;
    if result.is_err() && pause {
        net.sleep(PAUSE).await;
    }
    result
}

async fn send(input: Pipe, stream: TcpStream) -> io::Result<()> {
    loop {
        let bytes = input.take().await;
        if bytes.is_empty() {
            return stream.shutdown_write();
        }
        stream.write_all(&bytes).await?;
    }
}

async fn receive(stream: TcpStream, out: Pipe) -> io::Result<()> {
    let mut buf = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut buf).await? {
            0 => return out.end().await,
            count => out.give(&buf[..count]).await?,
        }
    }
}
