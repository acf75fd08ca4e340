//! `tcplab serve`: runs a server of the registry on the userspace host, for clients on the kernel's TCP.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use super::args::Serve;
use super::{Session, Stop, Wanted};
use crate::app::calls::Done;
use crate::app::{self, Listen, Log, Program, Registry, ServerOptions};
use crate::cli::CliError;
use crate::cli::named::{self, Files};
use crate::cli::output::{Output, json_line};
use crate::cli::tables;
use crate::net::{JoinHandle, Net};
use crate::socket::{Host, SynCookies, descriptor_table};
use crate::view::{Flows, RunStats, json};

/// A running server.
type Server = JoinHandle<io::Result<Done>>;

pub(in crate::cli) fn run(args: &Serve, registry: &Registry, output: Output) -> Result<u8, CliError> {
    let program = named::program(registry, &args.app)?;
    let files = Files::of(program, args.dir.clone(), args.size)?;
    check_address(args)?;
    let syn_cookies = if args.syn_cookies { SynCookies::On } else { SynCookies::Off };
    let wanted = Wanted { device: &args.device, tcp: &args.tcp, capture: &args.capture, syn_cookies };
    let control = args.control.open()?;
    let mut session = Session::open(&wanted, registry, output)?;
    session.attach(control);
    let output = output.results_to_stderr(session.captures_to_stdout());
    let flows = args.flows.map(|form| (form, Flows::shared()));
    if let Some((_, flows)) = &flows {
        session.live().observe(flows.clone());
    }
    let stats = args.stats.then(|| Rc::new(RefCell::new(RunStats::new())));
    if let Some(stats) = &stats {
        session.live().observe(stats.clone());
    }
    let (ip, port) = args.listen.unwrap_or((None, program.port()));
    let own = session.net().host().config().addresses.clone();
    // An IPv6 socket on every address takes IPv4 too. A host with IPv4 only needs an IPv4 socket.
    let all = if own.iter().any(|(ip, _)| ip.is_ipv6()) { Ipv6Addr::UNSPECIFIED.into() } else { IpAddr::from([0; 4]) };
    let addr = SocketAddr::new(ip.unwrap_or(all), port);
    let listen = Listen { addr, backlog: usize::from(args.backlog) };
    let mut options = files.options(listen);
    if output.is_verbose() {
        let name = program.name().to_owned();
        options.log = Some(Log::new(move |line| output.detail(format_args!("{name}: {line}"))));
    }
    let mut servers = start(&session.net(), program, &options);
    let outcome = serve(&mut session, args, program, &mut servers, listen, output);
    let descriptors = args.fds.then(|| {
        let (net, json) = (session.net(), output.json);
        if json { json_rows(&net.host()) } else { descriptor_table(&net.host()) }
    });
    let closed = session.close(outcome);
    if let Some(descriptors) = descriptors {
        output.result(descriptors)?;
    }
    let code = closed?;
    if let Some((form, flows)) = flows {
        output.result(tables::flows(flows.borrow_mut().settle(), form, output))?;
    }
    if let Some(stats) = stats {
        let mut stats = stats.borrow_mut();
        let (stats, trace) = stats.settle();
        output.result(tables::stats(stats, trace, output))?;
    }
    Ok(code)
}

/// The open descriptors, an object on each line.
fn json_rows(host: &Host) -> String {
    host.descriptors().iter().fold(String::new(), |text, row| text + &json_line(&json::descriptor(row)))
}

/// Refuses an address of `--listen` that the userspace host has not.
fn check_address(args: &Serve) -> Result<(), CliError> {
    let own = super::place::own_addresses(&args.device);
    match args.listen {
        Some((Some(ip), _)) if !ip.is_unspecified() && !own.iter().any(|(address, _)| *address == ip) => {
            let own: Vec<_> = own.iter().map(|(address, _)| address.to_string()).collect();
            Err(CliError::Usage(format!(
                "--listen {ip}: this is not an address of the userspace host, which has {}; name one of them, leave out the \
                 address, or set it with --address",
                own.join(" and ")
            )))
        }
        _ => Ok(()),
    }
}

fn serve(
    session: &mut Session,
    args: &Serve,
    program: &Program,
    servers: &mut [Server],
    listen: Listen,
    output: Output,
) -> Result<Stop, CliError> {
    session.turn()?;
    check(servers, listen.addr)?;
    if args.command.is_empty() {
        let own = session.net().host().config().addresses[0].0;
        let ip = if listen.addr.ip().is_unspecified() { own } else { listen.addr.ip() };
        let client = program.command_for(SocketAddr::new(ip, listen.addr.port()));
        output.note(format_args!("in a second terminal: {}{client}", session.joining()));
        output.note("press Ctrl-C to stop");
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

/// Starts the servers of a program.
fn start(net: &Net, program: &Program, options: &ServerOptions) -> Vec<Server> {
    let name = program.name().to_owned();
    let stream = program.start_server(net.clone(), options.clone()).map(|server| net.spawn_named(name.clone(), server));
    let datagram = program.start_udp_server(net.clone(), options.clone());
    let datagram = datagram.map(|server| net.spawn_named(format!("{name}, UDP"), server));
    stream.into_iter().chain(datagram).collect()
}

/// A server ends only when its socket fails.
fn check(servers: &mut [Server], addr: SocketAddr) -> Result<(), CliError> {
    match servers.iter_mut().find_map(JoinHandle::try_take) {
        Some(Err(error)) => {
            let hint = match app::errno(&error) {
                Some(crate::socket::Errno::EADDRNOTAVAIL) => {
                    "; this is not an address of the userspace host (see --address)"
                }
                _ => "",
            };
            Err(CliError::Run(format!("listen on {addr}: {error}{hint}")))
        }
        _ => Ok(()),
    }
}
