//! `tcplab serve`: a built-in server for programs of the real kernel.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::args::{App, Serve};
use super::{Session, Stop};
use crate::app::{self, Listen, chat, discard, echo, hello, http};
use crate::cli::CliError;
use crate::cli::output::Output;
use crate::net::{JoinHandle, Net};
use crate::socket::descriptor_table;
use crate::view::Flows;

impl App {
    fn port(self) -> u16 {
        match self {
            Self::Hello => hello::PORT,
            Self::Echo => echo::PORT,
            Self::Discard => discard::PORT,
            Self::Chat => chat::PORT,
            Self::Http => http::PORT,
        }
    }

    /// What a second terminal would say to it.
    fn client(self, ip: IpAddr, port: u16) -> String {
        match self {
            Self::Http => format!("curl http://{}/", SocketAddr::new(ip, port)),
            Self::Hello | Self::Echo | Self::Discard | Self::Chat => format!("nc {ip} {port}"),
        }
    }
}

pub(in crate::cli) fn run(args: &Serve, output: Output) -> Result<u8, CliError> {
    let source = source(args)?;
    let mut session = Session::open(&args.device, &args.capture, output)?;
    let output = output.results_to_stderr(session.captures_to_stdout());
    let flows = args.flows.then(Flows::shared);
    if let Some(flows) = &flows {
        session.live().observe(flows.clone());
    }
    let (ip, port) = args.listen.unwrap_or((None, args.app.port()));
    let own = session.net().host().config().addresses.clone();
    // Every address: IPv4 comes to the same socket, unless there is nothing but IPv4.
    let all = if own.iter().any(|(ip, _)| ip.is_ipv6()) { Ipv6Addr::UNSPECIFIED.into() } else { IpAddr::from([0; 4]) };
    let addr = SocketAddr::new(ip.unwrap_or(all), port);
    let listen = Listen { addr, backlog: usize::from(args.backlog) };
    let mut servers = start(&session.net(), args.app, listen, source);
    let outcome = serve(&mut session, args, &mut servers, listen, output);
    if args.fds {
        let text = descriptor_table(&session.net().host());
        output.result(&text)?;
    }
    let code = session.close(outcome)?;
    if let Some(flows) = flows {
        output.result(flows.borrow())?;
    }
    Ok(code)
}

fn serve(
    session: &mut Session,
    args: &Serve,
    servers: &mut [JoinHandle<io::Result<()>>],
    listen: Listen,
    output: Output,
) -> Result<Stop, CliError> {
    session.turn()?;
    check(servers, listen.addr)?;
    if args.command.is_empty() {
        let own = session.net().host().config().addresses[0].0;
        let ip = if listen.addr.ip().is_unspecified() { own } else { listen.addr.ip() };
        let client = args.app.client(ip, listen.addr.port());
        output.note(format_args!("in a second terminal: {}{client}", session.joining()));
        output.note("Ctrl-C ends it");
    } else {
        session.start(&args.command, false)?;
    }
    loop {
        if let Some(stop) = session.next()? {
            return Ok(stop);
        }
        check(servers, listen.addr)?;
    }
}

fn start(net: &Net, app: App, listen: Listen, source: http::Source) -> Vec<JoinHandle<io::Result<()>>> {
    let own = net.clone();
    match app {
        App::Hello => {
            vec![net.spawn_named("hello", async move { Ok(hello::server(own, listen).await?) })]
        }
        App::Echo => vec![
            net.spawn_named("echo", echo::server(own.clone(), listen)),
            net.spawn_named("echo, UDP", echo::udp_server(own, listen.addr)),
        ],
        App::Discard => vec![net.spawn_named("discard", discard::server(own, listen))],
        App::Chat => vec![net.spawn_named("chat", chat::server(own, listen))],
        App::Http => vec![net.spawn_named("http", http::server(own, listen, http::Settings::new(source)))],
    }
}

/// A server ends only when its socket fails.
fn check(servers: &mut [JoinHandle<io::Result<()>>], addr: SocketAddr) -> Result<(), CliError> {
    match servers.iter_mut().find_map(JoinHandle::try_take) {
        Some(Err(error)) => {
            let hint = match app::errno(&error) {
                Some(crate::socket::Errno::EADDRNOTAVAIL) => "; it is no address of the userspace host (--address)",
                _ => "",
            };
            Err(CliError::Run(format!("listen on {addr}: {error}{hint}")))
        }
        _ => Ok(()),
    }
}

/// What http serves.
fn source(args: &Serve) -> Result<http::Source, CliError> {
    if args.app != App::Http && (args.dir.is_some() || args.size.is_some()) {
        return Err(CliError::Usage("--dir and --size are for `serve http`".to_owned()));
    }
    if let Some(size) = args.size {
        return Ok(http::Source::Size(size));
    }
    let dir = args.dir.clone().unwrap_or_else(|| ".".into());
    if args.app == App::Http && !dir.is_dir() {
        return Err(CliError::Usage(format!("--dir {}: not a directory that can be read", dir.display())));
    }
    Ok(http::Source::Dir(dir))
}
