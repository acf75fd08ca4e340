//! The command line as clap describes it: commands, options, defaults. `cli::command_line` parses with it. The first line
//! of each option says what it does; the default follows in brackets, written here or added by clap.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::output_file::Destination;
use super::tables::Tables;
use super::{CliError, help, named, values};
use crate::app::Registry;
use crate::bench::{self, Subject};
use crate::capture::Comments;
use crate::link::{digits, parse_size, parse_time};
use crate::time::Duration;
use crate::view::Style;

/// A TCP laboratory: a userspace host on a TUN device, and on simulated links in virtual time.
#[derive(Debug, Parser)]
#[command(name = "tcplab", version, arg_required_else_help = true, max_term_width = 100, after_help = help::TCPLAB)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The options that every command has.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Common options")]
pub(super) struct Global {
    /// Print results as JSON, one object on each line [default: text]
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// When to use colours; `auto`: on a terminal, unless `NO_COLOR` is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: Color,
    /// Print only warnings and errors on standard error [default: summaries and progress too]
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Print details on standard error [default: no details]
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run one connection from handshake to close; draw its ladder and write its capture
    Demo(Demo),
    /// List the lessons, print one as a scenario file, or write all as HTML pages
    #[command(after_help = help::LESSONS)]
    Lessons(super::lessons::Lessons),
    /// Run a lesson or a scenario file in virtual time
    #[command(after_help = help::RUN)]
    Run(super::run::Run),
    /// Run a scenario with many seeds and settings on all cores; print a row of CSV for each run
    Sweep(super::sweep::Sweep),
    /// Run a built-in server on a TUN device, for clients on the kernel's TCP
    #[cfg(all(feature = "live", target_os = "linux"))]
    Serve(super::live::args::Serve),
    /// Connect standard input and output to a server on the kernel's TCP, as nc does
    #[cfg(all(feature = "live", target_os = "linux"))]
    Connect(super::live::args::Connect),
    /// Put a bad network in front of a program, without root: a proxy with a link inside
    Proxy(super::proxy::Proxy),
    /// Join two kernels in private network namespaces by links, and run a command on each side
    #[cfg(all(feature = "live", target_os = "linux"))]
    Wire(super::live::wire::args::Wire),
    /// Check what this machine allows, and say what to do where it does not
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[command(after_help = help::DOCTOR)]
    Doctor,
    /// Run the client of the demo
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[command(hide = true)]
    DemoClient {
        /// The server
        server: std::net::SocketAddr,
    },
    /// Print a capture as a ladder, a table of connections, or a list of sockets
    Show(Show),
    /// Step through a capture or a lesson on the terminal: its ladder, both ends beside it
    #[command(after_help = help::STEP)]
    Step(super::step::Args),
    /// Replay captures as tests: a scripted peer sends one side, tcplab's stack plays the other
    #[command(after_help = help::REPLAY)]
    Replay(super::replay::Args),
    /// Compare two captures, conversation by conversation
    Diff(super::diff::Diff),
    /// Run packetdrill scripts on the userspace stack, in virtual time
    #[command(after_help = help::DRILL)]
    Drill(super::drill::Args),
    /// Measure tcplab against bare smoltcp
    Bench(Bench),
    /// Play lessons and scenario files into Wireshark: its plugin, and a profile
    Extcap(super::extcap::Extcap),
    /// Print a completion script for a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// Shell to print the script for
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = help::MAN)]
    Man,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = help::DEMO)]
pub(super) struct Demo {
    /// Write the capture to FILE; `-` is standard output
    #[arg(short, long = "write", value_name = "FILE", default_value = "tcplab-demo.pcapng")]
    pub(super) write: std::path::PathBuf,
    /// Overwrite an existing file that is not a capture [default: such a file is kept, exit code 2]
    #[arg(long)]
    pub(super) force: bool,
    /// Run in virtual time, where every run is the same [default: use a TUN device where the machine has one]
    #[arg(long)]
    pub(super) simulated: bool,
    /// How much each comment in the capture says
    #[arg(long, value_name = "HOW", default_value = "brief")]
    pub(super) comments: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum How {
    /// What the packet is and why it was sent
    Brief,
    /// The same, and the sender's srtt, rttvar, rto, cwnd, ssthresh and flight size
    Full,
    /// No comments
    None,
}

impl How {
    /// Refuses long comments in a file of the format pcap, which has none.
    pub(super) fn check(self, pcap: bool) -> Result<(), CliError> {
        if self == Self::Full && pcap {
            return Err(CliError::Usage(
                "--comments full: a file of --pcap has no comments; leave one of them out".to_owned(),
            ));
        }
        Ok(())
    }
}

impl From<How> for Comments {
    fn from(how: How) -> Self {
        match how {
            How::Brief => Self::Brief,
            How::Full => Self::Full,
            How::None => Self::None,
        }
    }
}

#[derive(Debug, ClapArgs)]
#[command(after_help = help::SHOW)]
pub(super) struct Show {
    /// Capture to read, pcap or pcapng; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(super) file: std::path::PathBuf,
    /// Print the sockets that the host at the vantage point must have had; their numbers are assigned from 3 up
    /// [default: the ladder]
    #[arg(long)]
    pub(super) fds: bool,
    /// Read only the first N packets [default: all packets]
    #[arg(short, long, value_name = "N", value_parser = values::packets)]
    pub(super) count: Option<u64>,
    #[command(flatten)]
    pub(super) tables: Tables,
    #[command(flatten)]
    pub(super) view: View,
    #[command(flatten)]
    pub(super) pictures: super::pictures::Pictures,
}

/// How the ladder is drawn.
#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(next_help_heading = "Ladder")]
pub(super) struct View {
    /// Draw every segment [default: the middle of a long run is one line with the number of segments]
    #[arg(long)]
    pub(super) all: bool,
    /// Print no ladder [default: the ladder is printed]
    #[arg(long)]
    pub(super) no_ladder: bool,
    /// Draw with ASCII characters only [default: Unicode lines and arrows]
    #[arg(long)]
    pub(super) ascii: bool,
}

impl View {
    /// The style of a ladder on standard output.
    pub(super) fn style(self, output: super::output::Output) -> Style {
        Style { width: output.width(), color: output.color(), ascii: self.ascii, all: self.all }
    }
}

#[derive(Debug, ClapArgs)]
#[command(after_help = help::BENCH)]
pub(super) struct Bench {
    #[command(subcommand)]
    pub(super) name: Name,
}

#[derive(Debug, Subcommand)]
pub(super) enum Name {
    /// Measure messages on established connections: the cost of a packet
    Connections {
        /// Number of established connections
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = count)]
        count: u32,
        /// Number of messages in the measured phase
        #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = count)]
        messages: u32,
        #[command(flatten)]
        only: Only,
    },
    /// Measure short connections: connect, send 1 KB, receive 10 KB, close
    Churn {
        /// Number of connections
        #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = count)]
        count: u32,
        /// Number of connections at a time
        #[arg(long, value_name = "P", default_value_t = 1, value_parser = count)]
        parallel: u32,
        /// Duration of TIME-WAIT on the side that closes first
        #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = values::time)]
        time_wait: Duration,
        #[command(flatten)]
        only: Only,
    },
    /// Measure one connection that sends many megabytes over a link of 1 Gbit/s and 1 ms
    Bulk {
        /// Megabytes to send
        #[arg(long, value_name = "N", default_value_t = 200, value_parser = count)]
        count: u32,
        #[command(flatten)]
        flows: Flows,
        #[command(flatten)]
        only: Only,
    },
    /// Measure one connection over a link of 100 Mbit/s and 50 ms with 1 % loss
    Loss {
        /// Length of the run in seconds of virtual time
        #[arg(long, value_name = "S", default_value_t = 20, value_parser = virtual_seconds)]
        seconds: u32,
        #[command(flatten)]
        flows: Flows,
    },
    /// Measure many flows through one bottleneck of 1 Gbit/s, over three hops
    Dumbbell {
        /// Number of flows, each between its own pair of hosts
        #[arg(long = "flows", value_name = "N", default_value_t = 10, value_parser = pairs)]
        count: u32,
        /// Length of the run in seconds of virtual time
        #[arg(long, value_name = "S", default_value_t = 10, value_parser = virtual_seconds)]
        seconds: u32,
        #[command(flatten)]
        flows: Flows,
    },
    /// Measure one connection to this machine's kernel over a TUN device, in both directions
    #[cfg(all(feature = "live", target_os = "linux"))]
    Tun {
        /// Runs of each subject in each direction; the result is the median
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = runs)]
        count: u32,
        /// Length of a run in seconds
        #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
        seconds: Duration,
        /// Congestion controller of the userspace host
        #[arg(long, value_name = "NAME", default_value = "cubic")]
        cc: String,
        #[command(flatten)]
        only: Only,
    },
}

/// The options of the benches with long flows.
#[derive(Clone, Debug, ClapArgs)]
pub(super) struct Flows {
    /// Congestion controller of every host
    #[arg(long, value_name = "NAME", default_value = "cubic")]
    pub(super) cc: String,
    /// Size of each socket buffer in KiB [default: 4096, or 256 with more than 16 flows]
    #[arg(long, value_name = "KIB", value_parser = kibibytes)]
    pub(super) buffer: Option<u32>,
    /// Random seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = values::seed)]
    pub(super) seed: u64,
    /// Write a capture of the first sending host to FILE [default: no capture]
    #[arg(short, long = "write", value_name = "FILE")]
    pub(super) write: Option<std::path::PathBuf>,
    /// Overwrite an existing file that is not a capture [default: such a file is kept, exit code 2]
    #[arg(long, requires = "write")]
    pub(super) force: bool,
    /// Capture at most N bytes of each packet; 0 is all bytes
    #[arg(short, long, value_name = "N", default_value_t = 0, value_parser = values::snaplen)]
    pub(super) snaplen: u32,
}

impl Flows {
    /// The settings for `count` flows. With many flows, each needs smaller buffers.
    pub(super) fn settings(&self, registry: &Registry, count: usize) -> Result<bench::FlowSettings, CliError> {
        let destination = self.write.as_ref().map(|path| Destination::check(path, &[], self.force)).transpose()?;
        let capture = match destination {
            None => None,
            Some(Destination::File(path)) => Some(bench::FlowCapture { path, snaplen: self.snaplen }),
            Some(Destination::Stdout) => {
                return Err(CliError::Usage(
                    "bench -w -: standard output is for the results; name a file, such as -w bench.pcapng".to_owned(),
                ));
            }
        };
        let buffer = self.buffer.unwrap_or(if count > 16 { 256 } else { 4096 });
        Ok(bench::FlowSettings {
            buffer: buffer as usize * 1024,
            congestion: named::controller(registry, &self.cc)?,
            seed: self.seed,
            capture,
        })
    }
}

#[derive(Clone, Copy, Debug, ClapArgs)]
pub(super) struct Only {
    /// Run only this subject, for a profiler [default: run all]
    #[arg(long, value_name = "SIDE")]
    pub(super) only: Option<SubjectName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SubjectName {
    Tcplab,
    BareSmoltcp,
}

impl From<SubjectName> for Subject {
    fn from(side: SubjectName) -> Self {
        match side {
            SubjectName::Tcplab => Self::Tcplab,
            SubjectName::BareSmoltcp => Self::BareSmoltcp,
        }
    }
}

/// At least one. The upper bound keeps the run within memory.
fn count(text: &str) -> Result<u32, String> {
    values::number(text, 1..=10_000_000, "100").map(|number| number as u32)
}

/// Flows, each with two hosts.
fn pairs(text: &str) -> Result<u32, String> {
    values::number(text, 1..=60_000, "10").map(|number| number as u32)
}

#[cfg(all(feature = "live", target_os = "linux"))]
fn runs(text: &str) -> Result<u32, String> {
    values::number(text, 1..=1000, "5").map(|number| number as u32)
}

/// A buffer: a number of KiB, or bytes with their unit.
fn kibibytes(text: &str) -> Result<u32, String> {
    const EXPECTED: &str =
        "expected KiB from 4 to 1048576, such as 256, or bytes with their unit, such as 256KiB or 1MiB";
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let read = parse_size(text).map(|number| if plain { number } else { number / 1024 });
    read.filter(|number| (4..=1 << 20).contains(number)).map(|number| number as u32).ok_or_else(|| EXPECTED.to_owned())
}

#[cfg(all(feature = "live", target_os = "linux"))]
fn seconds(text: &str) -> Result<Duration, String> {
    let plain = text.parse().ok().filter(|seconds| (0.01..=600.0).contains(seconds)).map(Duration::from_secs_f64);
    let range = Duration::from_millis(10)..=Duration::from_mins(10);
    let read = plain.or_else(|| parse_time(text)).filter(|time| range.contains(time));
    read.ok_or_else(|| "expected seconds from 0.01 to 600, such as 2, 0.5 or 500ms".to_owned())
}

/// Seconds of virtual time: a whole number, also as a time with its unit.
fn virtual_seconds(text: &str) -> Result<u32, String> {
    let time = parse_time(text).filter(|time| time.subsec_nanos() == 0).map(|time| time.as_secs());
    values::within(time.or_else(|| digits(text)), 1..=10_000_000, "20, 20s or 2min").map(|number| number as u32)
}
