//! What can be said on the command line, and nothing else: clap's description of it.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::output_file::Destination;
use super::{CliError, help, named};
use crate::app::Registry;
use crate::bench::{self, Subject};
use crate::capture::Comments;
use crate::link::{TIME_EXPECTED, parse_time};
use crate::time::Duration;
use crate::view::Style;

/// A TCP laboratory: one userspace host, on a TUN device and on simulated links in virtual time.
#[derive(Debug, Parser)]
#[command(name = "tcplab", version, arg_required_else_help = true, max_term_width = 100, after_help = help::TCPLAB)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Flags that mean the same everywhere.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Everywhere")]
pub(super) struct Global {
    /// Results as JSON on standard output, one object per line
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// When to use colour; `auto` is on a terminal without `NO_COLOR`
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: Color,
    /// No progress and no summaries on standard error; warnings and errors remain
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// More on standard error
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
    /// One connection from handshake to close, drawn as a ladder and captured for Wireshark
    Demo(Demo),
    /// The lessons: stories of TCP that can be run, each a scenario file to start from
    #[command(after_help = help::LESSONS)]
    Lessons(super::lessons::Lessons),
    /// A lesson or a scenario file in virtual time: its story, its ladder, its capture
    #[command(after_help = help::RUN)]
    Run(super::run::Run),
    /// Many runs of a scenario on all cores, a row of CSV for each: seeds and settings, every one with every other
    Sweep(super::sweep::Sweep),
    /// A built-in server for programs of the real kernel, on a TUN device
    #[cfg(all(feature = "live", target_os = "linux"))]
    Serve(super::live::args::Serve),
    /// Standard input and output over the userspace stack, to a server of the real kernel (as nc)
    #[cfg(all(feature = "live", target_os = "linux"))]
    Connect(super::live::args::Connect),
    /// What this machine allows, and the next step where it does not
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[command(after_help = help::DOCTOR)]
    Doctor,
    /// The client of the demo
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[command(hide = true)]
    DemoClient {
        /// The server
        server: std::net::SocketAddr,
    },
    /// The ladder of a capture, ours or anybody's: who sent what when, and why
    Show(Show),
    /// Captures as tests: one side is fed to our stack, which plays the other
    #[command(after_help = help::REPLAY)]
    Replay(super::replay::Args),
    /// Measured runs, against bare smoltcp
    Bench(Bench),
    /// A completion script for a shell, on standard output
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// The manual page, on standard output
    #[command(after_help = help::MAN)]
    Man,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = help::DEMO)]
pub(super) struct Demo {
    /// The file that the capture is written to; `-` is standard output
    #[arg(short, long = "write", value_name = "FILE", default_value = "tcplab-demo.pcapng")]
    pub(super) write: std::path::PathBuf,
    /// Overwrite the file also when it is not a capture [default: such a file is kept]
    #[arg(long)]
    pub(super) force: bool,
    /// In virtual time, also where the machine has a TUN device: every run is the same
    #[arg(long)]
    pub(super) simulated: bool,
    /// What is said about each packet in the capture
    #[arg(long, value_name = "HOW", default_value = "brief")]
    pub(super) comments: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum How {
    /// What it is and why it was sent
    Brief,
    /// That, and srtt, rttvar, rto, cwnd, ssthresh, flight size
    Full,
    /// Nothing
    None,
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
    /// A capture in pcap or pcapng, of tcplab, tcpdump, Wireshark, ns-3 or others; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(super) file: std::path::PathBuf,
    /// A table of the connections instead: who, for how long, how much each way, how it ended
    #[arg(long)]
    pub(super) flows: bool,
    /// The sockets instead that the host at the vantage point must have had. Descriptors are not on the wire: their
    /// numbers are made up, from 3 on
    #[arg(long)]
    pub(super) fds: bool,
    /// Read the first N packets only [default: all]
    #[arg(short, long, value_name = "N")]
    pub(super) count: Option<u64>,
    #[command(flatten)]
    pub(super) view: View,
}

/// How a ladder is drawn.
#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(next_help_heading = "Ladder")]
pub(super) struct View {
    /// Draw long runs whole [default: the middle of a long run is one line that says how many segments it stands for]
    #[arg(long)]
    pub(super) all: bool,
    /// Print no ladder [default: the ladder is printed]
    #[arg(long)]
    pub(super) no_ladder: bool,
    /// Draw in ASCII only [default: lines and arrows of Unicode]
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
    /// Messages on established connections: what a packet costs
    Connections {
        /// Established connections
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = count())]
        count: u32,
        /// Messages in the measured phase
        #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = count())]
        messages: u32,
        #[command(flatten)]
        only: Only,
    },
    /// Short connections: connect, 1 KB there, 10 KB back, close
    Churn {
        /// Connections in all
        #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = count())]
        count: u32,
        /// Connections at a time
        #[arg(long, value_name = "P", default_value_t = 1, value_parser = count())]
        parallel: u32,
        /// How long the closing side waits in TIME-WAIT
        #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = time)]
        time_wait: Duration,
        #[command(flatten)]
        only: Only,
    },
    /// One connection that carries many megabytes over 1 Gbit/s and 1 ms
    Bulk {
        /// Megabytes to carry
        #[arg(long, value_name = "N", default_value_t = 200, value_parser = count())]
        count: u32,
        #[command(flatten)]
        flows: Flows,
        #[command(flatten)]
        only: Only,
    },
    /// One connection over 100 Mbit/s and 50 ms that loses 1 packet in 100
    Loss {
        /// Virtual seconds
        #[arg(long, value_name = "S", default_value_t = 20, value_parser = count())]
        seconds: u32,
        #[command(flatten)]
        flows: Flows,
    },
    /// Many flows through one bottleneck of 1 Gbit/s, three hops
    Dumbbell {
        /// Flows: pairs of hosts
        #[arg(long = "flows", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60_000))]
        count: u32,
        /// Virtual seconds
        #[arg(long, value_name = "S", default_value_t = 10, value_parser = count())]
        seconds: u32,
        #[command(flatten)]
        flows: Flows,
    },
    /// One connection to the kernel of this machine over a TUN device, each way, the sides in turn
    #[cfg(all(feature = "live", target_os = "linux"))]
    Tun {
        /// Runs of each side and direction; the median counts
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
        count: u32,
        /// Length of a run
        #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
        seconds: Duration,
        #[command(flatten)]
        only: Only,
    },
}

/// What the runs of long flows have in common.
#[derive(Clone, Debug, ClapArgs)]
pub(super) struct Flows {
    /// The congestion controller of every host
    #[arg(long, value_name = "NAME", default_value = "reno")]
    pub(super) cc: String,
    /// KiB of each socket buffer [default: 4096; of more than 16 flows 256]
    #[arg(long, value_name = "KIB", value_parser = clap::value_parser!(u32).range(4..=1 << 20))]
    pub(super) buffer: Option<u32>,
    /// The random seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// A capture of the first host that sends
    #[arg(short, long = "write", value_name = "FILE")]
    pub(super) write: Option<std::path::PathBuf>,
    /// Overwrite the file of -w also when it is not a capture [default: such a file is kept]
    #[arg(long, requires = "write")]
    pub(super) force: bool,
    /// At most so many bytes of each packet; 0 for all
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    pub(super) snaplen: u32,
}

impl Flows {
    /// For so many flows: what each needs of the same bottleneck is less, the more they are.
    pub(super) fn settings(&self, registry: &Registry, count: usize) -> Result<bench::FlowSettings, CliError> {
        let destination = self.write.as_ref().map(|path| Destination::check(path, &[], self.force)).transpose()?;
        let capture = match destination {
            None => None,
            Some(Destination::File(path)) => Some(bench::FlowCapture { path, snaplen: self.snaplen }),
            Some(Destination::Stdout) => {
                return Err(CliError::Usage("bench -w -: results go to standard output; name a file".to_owned()));
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
    /// One side only, for a profiler
    #[arg(long, value_name = "SIDE")]
    pub(super) only: Option<Side>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Side {
    Tcplab,
    BareSmoltcp,
}

impl From<Side> for Subject {
    fn from(side: Side) -> Self {
        match side {
            Side::Tcplab => Self::Tcplab,
            Side::BareSmoltcp => Self::BareSmoltcp,
        }
    }
}

/// At least one, and not more than memory can hold.
fn count() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=10_000_000)
}

fn time(text: &str) -> Result<Duration, String> {
    parse_time(text).ok_or_else(|| format!("expected {TIME_EXPECTED}"))
}

#[cfg(all(feature = "live", target_os = "linux"))]
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.01..=600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected seconds from 0.01 to 600, such as 2 or 0.5".to_owned())
}
