//! `tcplab demo`: a client and a server, both of whom say something, the ladder of their connection, and its capture. On
//! a TUN device with a client of the real kernel where the machine allows it, else in virtual time.

#[cfg(all(feature = "live", target_os = "linux"))]
mod on_tun;
mod simulated;

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::CliError;
use super::args::Demo;
use super::output::{Output, print};
use crate::app::Listen;
use crate::capture::{Capture, WriteError};
use crate::net::{Net, TcpListener};
use crate::view::Ladder;

#[cfg(all(feature = "live", target_os = "linux"))]
pub(super) use on_tun::client;

/// The port of the tutorial.
const PORT: u16 = crate::app::hello::PORT;
/// What the client says.
const NAME: &[u8] = b"Client";

pub(super) fn run(args: &Demo, output: Output) -> Result<(), CliError> {
    if args.simulated {
        return simulated::run(args, "asked for with --simulated", output);
    }
    on_tun_if_possible(args, output)
}

#[cfg(all(feature = "live", target_os = "linux"))]
fn on_tun_if_possible(args: &Demo, output: Output) -> Result<(), CliError> {
    match on_tun::prepare() {
        Ok(tun) => on_tun::run(tun, args, output),
        Err(reason) => simulated::run(args, &reason, output),
    }
}

#[cfg(not(all(feature = "live", target_os = "linux")))]
fn on_tun_if_possible(args: &Demo, output: Output) -> Result<(), CliError> {
    simulated::run(args, "this build has no TUN device (Linux, feature `live`)", output)
}

/// Reads a name, greets it, and closes when the client has.
async fn server(net: Net, listen: Listen) -> io::Result<()> {
    let (stream, _) = TcpListener::bind_with_backlog(&net, listen.addr, listen.backlog)?.accept().await?;
    let mut name = vec![0; 64];
    let count = stream.read(&mut name).await?;
    stream.write_all(&[b"Hello, ", &name[..count], b"!"].concat()).await?;
    while stream.read(&mut name).await? > 0 {}
    Ok(())
}

/// What is shown at the end of both.
fn finish(
    ladder: &Ladder,
    greeting: &[u8],
    capture: &mut Capture,
    path: &Path,
    output: Output,
) -> Result<(), CliError> {
    if output.color() {
        print(ladder.in_color())?;
    } else {
        print(ladder)?;
    }
    output.note(format_args!("the client read: {}", String::from_utf8_lossy(greeting)));
    let summary = capture.close().map_err(|error| failed(&error))?;
    output.note(format_args!("{} packets in {}: open it in Wireshark", summary.captured, path.display()));
    Ok(())
}

fn failed(error: &WriteError) -> CliError {
    CliError::Run(format!("{error}; another place for the capture is given with -w"))
}

/// Where the server is.
fn listen(address: std::net::IpAddr) -> Listen {
    Listen::new(SocketAddr::new(address, PORT))
}
