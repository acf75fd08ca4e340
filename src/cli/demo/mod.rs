//! `tcplab demo`: a client and a server exchange a greeting. The demo prints the ladder of their connection and writes its
//! capture. With a TUN device the client is on the kernel's TCP; without one the demo runs in virtual time.

#[cfg(all(feature = "live", target_os = "linux"))]
mod on_tun;
mod simulated;

use std::io;
use std::net::SocketAddr;

use super::CliError;
use super::args::Demo;
use super::output::Output;
use super::output_file::Destination;
use crate::app::Listen;
use crate::capture::{Capture, WriteError};
use crate::net::{Net, TcpListener};
use crate::view::{Ladder, Style};

#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) use on_tun::client;

/// The port of the server.
const PORT: u16 = crate::app::hello::PORT;
/// The data that the client sends.
const NAME: &[u8] = b"Client";

pub(super) fn run(args: &Demo, output: Output) -> Result<(), CliError> {
    let destination = Destination::check(&args.write, &[], args.force)?;
    let output = output.results_to_stderr(destination.is_stdout());
    if args.simulated {
        return simulated::run(args, &destination, "requested by --simulated", output);
    }
    on_tun_if_possible(args, &destination, output)
}

#[cfg(all(feature = "live", target_os = "linux"))]
fn on_tun_if_possible(args: &Demo, destination: &Destination, output: Output) -> Result<(), CliError> {
    match on_tun::prepare() {
        Ok(tun) => on_tun::run(tun, args, destination, output),
        Err(reason) => simulated::run(args, destination, &reason, output),
    }
}

#[cfg(not(all(feature = "live", target_os = "linux")))]
fn on_tun_if_possible(args: &Demo, destination: &Destination, output: Output) -> Result<(), CliError> {
    simulated::run(args, destination, "this build has no TUN device (Linux, feature `live`)", output)
}

/// Reads a name, sends a greeting, and closes after the client has closed.
async fn server(net: Net, listen: Listen) -> io::Result<()> {
    let (stream, _) = TcpListener::bind_with_backlog(&net, listen.addr, listen.backlog)?.accept().await?;
    let mut name = vec![0; 64];
    let count = stream.read(&mut name).await?;
    stream.write_all(&[b"Hello, ", &name[..count], b"!"].concat()).await?;
    while stream.read(&mut name).await? > 0 {}
    Ok(())
}

/// Prints the ladder and the summary, and closes the capture.
fn finish(
    ladder: &Ladder,
    greeting: &[u8],
    capture: &mut Capture,
    destination: &Destination,
    output: Output,
) -> Result<(), CliError> {
    // With --json the events have been printed.
    if !output.json {
        let style = Style { width: output.width(), color: output.color(), ..Style::default() };
        output.result(ladder.draw(&style))?;
    }
    output.note(format_args!("the client read: {}", String::from_utf8_lossy(greeting)));
    let summary = capture.close().map_err(|error| failed(&error))?;
    output.note(format_args!("{} packets in {destination}: open it in Wireshark", summary.captured));
    Ok(())
}

fn failed(error: &WriteError) -> CliError {
    CliError::Run(format!("{error}; -w FILE names another place for the capture"))
}

/// The address on which the server listens.
fn listen(address: std::net::IpAddr) -> Listen {
    Listen::new(SocketAddr::new(address, PORT))
}
