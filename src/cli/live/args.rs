//! The options of the commands that need a TUN device: `serve` and `connect`.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::cli::control::ControlOptions;
pub(super) use crate::cli::host::{Capture, Tcp};
use crate::cli::tables::Form;
use crate::cli::{help, values};
use crate::link::{LinkArgument, parse_size};
use crate::sim::parse_address;

/// The options of the device.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Device")]
pub(in crate::cli) struct Device {
    /// Use the TUN device of this name, and create it if it does not exist [default: --sandbox]
    #[arg(long, value_name = "NAME", conflicts_with = "sandbox")]
    pub(super) tun: Option<String>,
    /// Use a TUN device in a private network namespace, and change nothing outside it (default)
    #[arg(long)]
    pub(super) sandbox: bool,
    /// Addresses of the userspace host [default: `192.168.69.1/24,fd69::1/64`]
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = cidr)]
    pub(super) address: Vec<(IpAddr, u8)>,
    /// Addresses of the kernel's side [default: `192.168.69.2/24,fd69::2/64`]
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = cidr)]
    pub(super) kernel_address: Vec<(IpAddr, u8)>,
    /// MTU: largest IP packet in bytes
    #[arg(long, value_name = "N", default_value_t = 1500, value_parser = mtu)]
    pub(super) mtu: u16,
    /// Impair packets, in the terms of tc-netem(8): `delay=50ms,loss=1%`; `host>kernel:loss=1%` for one direction;
    /// `@5s:loss=5%` from a time on; `@FILE` for a file of such lines; may be repeated [default: no impairment]
    #[arg(long, value_name = "SPEC")]
    pub(super) link: Vec<LinkArgument>,
    /// Random seed: with the same seed the link draws the same losses and delays [default: a fresh seed; -v prints it, the
    /// capture keeps it]
    #[arg(long, value_name = "N", value_parser = values::seed)]
    pub(super) seed: Option<u64>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = help::SERVE)]
pub(in crate::cli) struct Serve {
    /// Server to run
    // `named::command` replaces its values and adds it again. Without an index it would follow COMMAND.
    #[arg(index = 1)]
    pub(super) app: String,
    /// Port to listen on, or address and port [default: every address, the usual port of the server]
    #[arg(long, value_name = "[IP:]PORT", value_parser = listen)]
    pub(super) listen: Option<(Option<IpAddr>, u16)>,
    /// Backlog: connections that may wait to be accepted
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = backlog)]
    pub(super) backlog: u16,
    /// SYN cookies: answer SYNs without a record while the SYN queue is full
    #[arg(long, value_name = "on|off", default_value = "on", value_parser = switch,
        action = clap::ArgAction::Set)]
    pub(super) syn_cookies: bool,
    /// http: serve the files of this directory [default: .]
    #[arg(long, value_name = "DIR", conflicts_with = "size")]
    pub(super) dir: Option<PathBuf>,
    /// http: serve a generated file of N bytes under every path [default: serve a directory]
    #[arg(long, value_name = "N", value_parser = values::size)]
    pub(super) size: Option<u64>,
    /// Print the open descriptors at the end [default: not printed]
    #[arg(long)]
    pub(super) fds: bool,
    /// Print the table of connections at the end; `long`: each in full [default: not printed]
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "table")]
    pub(super) flows: Option<Form>,
    /// Print totals at the end: packets by protocol and by kind, retransmissions, drops by reason, round trips, rates
    /// [default: not printed]
    #[arg(long)]
    pub(super) stats: bool,
    #[command(flatten)]
    pub(super) device: Device,
    #[command(flatten)]
    pub(super) tcp: Tcp,
    #[command(flatten)]
    pub(super) capture: Capture,
    #[command(flatten)]
    pub(super) control: ControlOptions,
    /// Program to run on the kernel's side; its exit code becomes that of tcplab [default: serve until Ctrl-C]
    #[arg(index = 2, last = true, value_name = "COMMAND", help_heading = None::<&str>)]
    pub(super) command: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = help::CONNECT)]
pub(in crate::cli) struct Connect {
    /// Address and port of the server, such as `192.168.69.2:9000` or `[fd69::2]:9000`
    #[arg(value_name = "IP:PORT", value_parser = super::address::address)]
    pub(super) to: SocketAddr,
    #[command(flatten)]
    pub(super) device: Device,
    #[command(flatten)]
    pub(super) tcp: Tcp,
    #[command(flatten)]
    pub(super) capture: Capture,
    #[command(flatten)]
    pub(super) control: ControlOptions,
    /// Server to start first; its standard output goes to standard error [default: connect to a running server]
    #[arg(last = true, value_name = "COMMAND", help_heading = None::<&str>)]
    pub(super) command: Vec<OsString>,
}

fn cidr(text: &str) -> Result<(IpAddr, u8), String> {
    parse_address(text)
        .ok_or_else(|| "expected an address with its prefix length, such as 192.168.69.1/24 or fd69::1/64".to_owned())
}

fn mtu(text: &str) -> Result<u16, String> {
    values::within(parse_size(text), 1280..=65_535, "1500").map(|bytes| bytes as u16)
}

fn backlog(text: &str) -> Result<u16, String> {
    values::number(text, 1..=65_535, "128").map(|backlog| backlog as u16)
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

fn listen(text: &str) -> Result<(Option<IpAddr>, u16), String> {
    let port = text.parse().map(|port| (None, port));
    let both = || text.parse::<SocketAddr>().map(|addr| (Some(addr.ip()), addr.port()));
    let read = port.or_else(|_| both()).ok().filter(|(_, port)| *port != 0 && !text.starts_with('+'));
    read.ok_or_else(|| {
        "expected a port from 1 to 65535, or an address and a port, such as 8080, 192.168.69.1:8080 or [fd69::1]:8080"
            .to_owned()
    })
}
