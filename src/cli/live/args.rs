//! The options of the commands that need a TUN device: `serve` and `connect`.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::cli::args::How;
use crate::cli::control::ControlOptions;
use crate::cli::tables::Form;
use crate::cli::{help, values};
use crate::link::{LinkArgument, SIZE_EXPECTED, TIME_EXPECTED, parse_size, parse_time};
use crate::sim::parse_address;
use crate::time::Duration;

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

/// The options of the userspace host's TCP.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "TCP")]
pub(in crate::cli) struct Tcp {
    /// Congestion controller of the userspace host
    #[arg(long, value_name = "NAME", default_value = "cubic")]
    pub(super) cc: String,
    /// Receive buffer of each connection, in bytes or as `256KiB`; it does not grow then [default: it grows with the flow]
    #[arg(long, value_name = "SIZE", value_parser = buffer)]
    pub(super) rcvbuf: Option<usize>,
    /// Send buffer of each connection, in bytes or as `256KiB`; it does not grow then [default: it grows with the flow]
    #[arg(long, value_name = "SIZE", value_parser = buffer)]
    pub(super) sndbuf: Option<usize>,
    /// Smallest retransmission timeout: Linux has `200ms`, RFC 6298 has `1s`
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = timeout)]
    pub(super) min_rto: Duration,
}

/// The options of the capture.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Capture")]
pub(in crate::cli) struct Capture {
    /// Write a capture for Wireshark to FILE; `-` is standard output [default: no capture]
    #[arg(short, long = "write", value_name = "FILE")]
    pub(super) write: Option<PathBuf>,
    /// Capture only the first N packets [default: all packets]
    #[arg(short, long = "count", value_name = "N", requires = "write", value_parser = values::packets)]
    pub(super) count: Option<u64>,
    /// Capture at most N bytes of each packet; 0 is all bytes [default: 0]
    #[arg(short, long = "snaplen", value_name = "N", requires = "write", value_parser = values::snaplen)]
    pub(super) snaplen: Option<u32>,
    /// Overwrite an existing file that is not a capture [default: such a file is kept, exit code 2]
    #[arg(long, requires = "write")]
    pub(super) force: bool,
    /// Write each packet at once, for a reader of the growing file [default: once a second to a file, every 50 ms to a pipe]
    #[arg(short = 'U', long, requires = "write")]
    pub(super) packet_buffered: bool,
    /// Write pcap, which has no comments [default: pcapng, unless the name ends in .pcap]
    #[arg(long, requires = "write")]
    pub(super) pcap: bool,
    /// How much each comment says
    #[arg(long, value_name = "HOW", default_value = "brief")]
    pub(super) comments: How,
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

/// The largest buffer that `SO_RCVBUF` takes (RFC 7323, section 2.3).
const MOST_BUFFER: u64 = 1 << 30;

fn buffer(text: &str) -> Result<usize, String> {
    let read = parse_size(text).filter(|bytes| (1..=MOST_BUFFER).contains(bytes));
    read.map(|bytes| bytes as usize).ok_or_else(|| format!("expected {SIZE_EXPECTED}, from 1 to {MOST_BUFFER} bytes"))
}

/// At least 1 ms, and at most the largest timeout.
fn timeout(text: &str) -> Result<Duration, String> {
    let read = parse_time(text).filter(|time| (Duration::from_millis(1)..=Duration::from_mins(2)).contains(time));
    read.ok_or_else(|| format!("expected {TIME_EXPECTED}, from 1ms to 120s"))
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
