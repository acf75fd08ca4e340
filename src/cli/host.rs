//! The options of the commands with userspace hosts in real time: TCP of a host, and the capture. `serve`, `connect` and
//! `proxy` have them.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::args::How;
use super::values;
use crate::link::{SIZE_EXPECTED, TIME_EXPECTED, parse_size, parse_time};
use crate::time::Duration;

/// The options of the userspace host's TCP.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "TCP")]
pub(super) struct Tcp {
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
pub(super) struct Capture {
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
