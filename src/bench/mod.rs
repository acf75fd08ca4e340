//! The measured runs of `tcplab bench`: the same work on tcplab, in the simulator with everything that it does, and on
//! bare smoltcp. Each run sets up first and measures then.
//!
//! - `connections`: messages on many established connections, up to 100,000;
//! - `churn`: short connections, one after the other or many at a time;
//! - `bulk`: one connection that carries many megabytes; `loss`: one on a lossy path; `dumbbell`: many through one
//!   bottleneck; `flow` is what these three have in common;
//! - `tun`: one connection to the kernel of this machine, over a TUN device;
//! - `bare`: the reference; `measure`: time and memory; `report`: JSON and the table.
//!
//! A *packet* is one that a host sent; a *frame* is one packet on one hop. Virtual time only orders events here;
//! on the TUN it is the wall's.

mod bare;
mod bulk;
mod churn;
mod connections;
mod dumbbell;
mod flow;
mod loss;
mod measure;
mod report;
#[cfg(all(feature = "live", target_os = "linux"))]
mod tun;

pub(crate) use bulk::Workload as Bulk;
pub(crate) use churn::Workload as Churn;
pub(crate) use connections::Workload as Connections;
pub(crate) use dumbbell::Workload as Dumbbell;
pub(crate) use flow::{FlowCapture, FlowSettings};
pub(crate) use loss::Workload as Loss;
pub(crate) use measure::Taken;
pub(crate) use report::{BenchLine, BenchReport};
#[cfg(all(feature = "live", target_os = "linux"))]
pub(crate) use tun::{FlowDirection, Workload as OverTun, prepare};

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use crate::capture::{Capture, WriteError};
use crate::link::Counters;
use crate::net::Net;
use crate::sim::{GaveUp, HostHandle, LinkHandle, Sim};
use crate::socket::HostConfig;
use crate::time::Duration;

/// Connections to one port of the server: about half of the client's ephemeral ports, so that a free one is found at
/// once. Then comes the server's next port.
const PORTS_EACH: usize = 14_000;

/// Which run, and how much of it.
#[derive(Clone, Debug)]
pub(crate) enum Bench {
    /// Messages on established connections.
    Connections(Connections),
    /// Short connections.
    Churn(Churn),
    /// One connection that carries many megabytes.
    Bulk(Bulk),
    /// One connection over a path that loses packets.
    Loss(Loss),
    /// Many flows through one bottleneck.
    Dumbbell(Dumbbell),
    /// One connection to the kernel.
    #[cfg(all(feature = "live", target_os = "linux"))]
    Tun(OverTun),
}

/// Which side to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// This library.
    Tcplab,
    /// smoltcp, one set for each connection.
    BareSmoltcp,
    /// smoltcp, all sockets of a host in one set.
    OneSet,
}

impl Subject {
    /// The name in the output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcplab => "tcplab",
            Self::BareSmoltcp => "bare-smoltcp",
            Self::OneSet => "bare-smoltcp-one-set",
        }
    }
}

/// The measured figures. `None` if the system does not provide it or the run does not have it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// Packets that hosts sent.
    pub packets: u64,
    /// Packets, counted once on each hop.
    pub frames: u64,
    /// Connections.
    pub connections: u64,
    /// Hosts, without the routers between them.
    pub hosts: u64,
    /// KiB of each buffer.
    pub buffer_kib: u64,
    /// Virtual time.
    pub sim_s: f64,
    /// CPU and wall time of the measured phase.
    pub taken: Taken,
    /// Bytes that programs got.
    pub bytes: u64,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Packets lost.
    pub dropped: u64,
    /// The most that was resident, set-up included.
    pub peak_rss_kib: Option<u64>,
    /// Memory of one end of a connection beyond its two buffers.
    pub bytes_per_end: Option<i64>,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BenchError {
    /// A call of a program.
    #[error("bench: a program failed: {0}")]
    Program(#[from] io::Error),
    /// The simulation did not come to its end.
    #[error("bench: {0}")]
    GaveUp(#[from] GaveUp),
    /// The reference has no next event and has not finished.
    #[error("bench: the reference is stuck at {now} ns of virtual time")]
    Stuck {
        /// Nanoseconds of virtual time.
        now: u64,
    },
    /// The capture of the run.
    #[error("bench: {0}")]
    Capture(#[from] WriteError),
    /// The private network namespace.
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[error("bench: {0}")]
    Sandbox(#[from] crate::live::SandboxError),
    /// The device.
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[error("bench: {0}")]
    Tun(#[from] crate::device::TunError),
    /// The loop on the device.
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[error("bench: {0}")]
    Live(#[from] crate::live::LiveError),
}

impl Bench {
    /// The name on the command line.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Connections(_) => "connections",
            Self::Churn(_) => "churn",
            Self::Bulk(_) => "bulk",
            Self::Loss(_) => "loss",
            Self::Dumbbell(_) => "dumbbell",
            #[cfg(all(feature = "live", target_os = "linux"))]
            Self::Tun(_) => "tun",
        }
    }

    /// Whether bare smoltcp does the same work. It has no links and draws no random numbers.
    pub(crate) const fn has_reference(&self) -> bool {
        !matches!(self, Self::Loss(_) | Self::Dumbbell(_))
    }

    /// Runs it on one side; on tcplab, if the other has no such run.
    pub(crate) fn run(&self, subject: Subject) -> Result<Measured, BenchError> {
        let one_set = subject == Subject::OneSet;
        measure::forget_peak();
        let figures = match (self, subject) {
            (Self::Connections(workload), Subject::Tcplab) => connections::run(workload)?,
            (Self::Connections(workload), _) => bare::connections::run(workload, one_set),
            (Self::Churn(workload), Subject::Tcplab) => churn::run(workload)?,
            (Self::Churn(workload), _) => bare::churn::run(workload, one_set),
            (Self::Bulk(workload), Subject::Tcplab) => bulk::run(workload)?,
            (Self::Bulk(workload), _) => bare::bulk::run(workload, one_set)?,
            (Self::Loss(workload), _) => loss::run(workload)?,
            (Self::Dumbbell(workload), _) => dumbbell::run(workload)?,
            #[cfg(all(feature = "live", target_os = "linux"))]
            (Self::Tun(workload), Subject::Tcplab) => tun::run(workload)?,
            #[cfg(all(feature = "live", target_os = "linux"))]
            (Self::Tun(workload), _) => bare::tun::run(workload)?,
        };
        Ok(Measured { peak_rss_kib: measure::peak_kib(), ..figures })
    }
}

impl Measured {
    /// Of an odd number of runs, the one with the middle goodput.
    #[cfg(all(feature = "live", target_os = "linux"))]
    pub(crate) fn median(mut runs: Vec<Self>) -> Option<Self> {
        runs.sort_by(|one, other| one.goodput_mbit().total_cmp(&other.goodput_mbit()));
        runs.get(runs.len() / 2).copied()
    }

    /// Of an odd number of runs, the one with the middle wall time.
    pub(crate) fn middle_by_wall(mut runs: Vec<Self>) -> Option<Self> {
        runs.sort_by_key(|run| run.taken.wall);
        runs.get(runs.len() / 2).copied()
    }

    /// Bytes that programs got, in Mbit for each second, of virtual time where there is one.
    pub(crate) fn goodput_mbit(&self) -> f64 {
        let seconds = if self.sim_s > 0.0 { self.sim_s } else { self.taken.wall.as_secs_f64() };
        if seconds > 0.0 { self.bytes as f64 * 8.0 / seconds / 1e6 } else { 0.0 }
    }
}

/// A client and a server with a link between them.
struct Hosts {
    sim: Sim,
    client: HostHandle,
    server: HostHandle,
    link: LinkHandle,
}

fn two_hosts(seed: u64, link: &str, adjust: impl Fn(&mut HostConfig)) -> Hosts {
    let sim = Sim::seeded(seed);
    sim.limit_events(u64::MAX);
    sim.limit_time(Duration::MAX);
    let server = sim.host_with("server", "10.0.0.1/8", &adjust);
    let client = sim.host_with("client", "10.0.0.2/8", &adjust);
    let link = sim.link(&client, &server, link);
    Hosts { sim, client, server, link }
}

impl Hosts {
    /// Runs a program on the client to its end.
    fn run<T: 'static>(&self, program: impl AsyncFnOnce(Net) -> io::Result<T> + 'static) -> Result<T, BenchError> {
        let mut handle = self.client.spawn(program);
        self.sim.try_run_until(|| handle.is_finished())?;
        Ok(handle.try_take().expect("it has ended")?)
    }

    /// Of both directions.
    fn counters(&self) -> Counters {
        let [one, other] = [&self.client, &self.server].map(|host| self.link.counters(host));
        Counters {
            sent: one.sent + other.sent,
            duplicated: one.duplicated + other.duplicated,
            delivered: one.delivered + other.delivered,
            dropped: one.dropped + other.dropped,
            in_flight: one.in_flight + other.in_flight,
        }
    }

    /// Segments that the two hosts sent again.
    fn retransmissions(&self) -> u64 {
        [&self.client, &self.server].map(|host| host.sys(|host| host.retransmissions())).iter().sum()
    }
}

/// Ends a capture. The rest that it writes is part of the cost.
fn finish(capture: Option<Rc<RefCell<Capture>>>) -> Result<(), BenchError> {
    if let Some(capture) = capture {
        capture.borrow_mut().close()?;
    }
    Ok(())
}

/// Bytes for one end of a connection beyond its buffers, by what has become resident since.
///
/// Memory that an earlier run returned to the allocator is used again and is not counted. So only the first run of a
/// process is exact.
fn per_end(before_kib: Option<u64>, connections: usize, buffers: usize) -> Option<i64> {
    // With few connections the memory of the process itself would dominate.
    if connections < 1_000 {
        return None;
    }
    let grown = measure::resident_kib()? as i64 - before_kib? as i64;
    Some(grown * 1024 / (2 * connections as i64) - buffers as i64)
}
