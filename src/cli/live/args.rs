//! What can be said to the commands that need a TUN device.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::cli::args::How;
use crate::cli::help;
use crate::link::LinkLine;
use crate::sim::parse_address;

/// Where the host is.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Device")]
pub(in crate::cli) struct Device {
    /// The TUN device of that name, made unless it is there; without it a private network namespace (--sandbox)
    #[arg(long, value_name = "NAME", conflicts_with = "sandbox")]
    pub(super) tun: Option<String>,
    /// A TUN device in a private network namespace: nothing outside of it is changed (the default)
    #[arg(long)]
    pub(super) sandbox: bool,
    /// Addresses of the userspace host [default: `192.168.69.1/24,fd69::1/64`]
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = cidr)]
    pub(super) address: Vec<(IpAddr, u8)>,
    /// Addresses of the kernel's side [default: `192.168.69.2/24,fd69::2/64`]
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = cidr)]
    pub(super) kernel_address: Vec<(IpAddr, u8)>,
    /// The largest packet in bytes
    #[arg(long, value_name = "N", default_value_t = 1500, value_parser = clap::value_parser!(u16).range(1280..))]
    pub(super) mtu: u16,
    /// What the way does to packets, as in tc-netem(8): `delay=50ms,loss=1%`; `host>kernel:loss=1%` for one direction;
    /// can be repeated
    #[arg(long, value_name = "SPEC")]
    pub(super) link: Vec<LinkLine>,
}

/// What is captured.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Capture")]
pub(in crate::cli) struct Capture {
    /// Every packet into a file for Wireshark; `-` is standard output
    #[arg(short, long = "write", value_name = "FILE")]
    pub(super) write: Option<PathBuf>,
    /// The first N packets only
    #[arg(short, long = "count", value_name = "N", requires = "write")]
    pub(super) count: Option<u64>,
    /// At most N bytes of each packet; 0 is all of them
    #[arg(short, long = "snaplen", value_name = "N", requires = "write")]
    pub(super) snaplen: Option<u32>,
    /// Overwrite FILE also when it is not a capture [default: such a file is kept]
    #[arg(long, requires = "write")]
    pub(super) force: bool,
    /// Each packet is written at once, for who reads the file meanwhile
    #[arg(short = 'U', long, requires = "write")]
    pub(super) packet_buffered: bool,
    /// The old format, without comments (also by a name that ends in .pcap)
    #[arg(long, requires = "write")]
    pub(super) pcap: bool,
    /// What is said about each packet
    #[arg(long, value_name = "HOW", default_value = "brief")]
    pub(super) comments: How,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = help::SERVE)]
pub(in crate::cli) struct Serve {
    /// The server
    // `named::command` puts its values in and adds it anew: without an index it would come after COMMAND.
    #[arg(index = 1)]
    pub(super) app: String,
    /// Where [default: every address, the port of the program]
    #[arg(long, value_name = "[IP:]PORT", value_parser = listen)]
    pub(super) listen: Option<(Option<IpAddr>, u16)>,
    /// Connections that may wait to be accepted
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) backlog: u16,
    /// http: the files of a directory [default: .]
    #[arg(long, value_name = "DIR", conflicts_with = "size")]
    pub(super) dir: Option<PathBuf>,
    /// http: a generated file of N bytes under every path
    #[arg(long, value_name = "N")]
    pub(super) size: Option<u64>,
    /// Print the open descriptors at the end
    #[arg(long)]
    pub(super) fds: bool,
    /// Print the connections at the end: who, for how long, how much each way, how it ended
    #[arg(long)]
    pub(super) flows: bool,
    #[command(flatten)]
    pub(super) device: Device,
    #[command(flatten)]
    pub(super) capture: Capture,
    /// A program to run beside the host; its exit code is ours. Without it: until Ctrl-C
    #[arg(index = 2, last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = help::CONNECT)]
pub(in crate::cli) struct Connect {
    /// Address and port, such as `192.168.69.2:9000` or `[fd69::2]:9000`
    #[arg(value_name = "IP:PORT")]
    pub(super) to: SocketAddr,
    #[command(flatten)]
    pub(super) device: Device,
    #[command(flatten)]
    pub(super) capture: Capture,
    /// A server to start first; its standard output goes to standard error
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

fn cidr(text: &str) -> Result<(IpAddr, u8), String> {
    parse_address(text)
        .ok_or_else(|| "expected an address with its prefix length, such as 192.168.69.1/24 or fd69::1/64".to_owned())
}

fn listen(text: &str) -> Result<(Option<IpAddr>, u16), String> {
    let port = text.parse().map(|port| (None, port));
    let both = || text.parse::<SocketAddr>().map(|addr| (Some(addr.ip()), addr.port()));
    port.or_else(|_| both())
        .map_err(|_| "expected a port, or an address and a port: 8080, 192.168.69.1:8080, [fd69::1]:8080".to_owned())
}
