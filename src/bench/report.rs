//! The output of a run: one JSON object for each side, or a table with tcplab, the reference, their ratio and the
//! target.

use core::fmt;

use serde_json::json;

use super::loss::mathis;
use super::measure::CPU_TIME_KNOWN;
use super::{Bench, FlowSettings, Measured, Subject};

/// One side of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BenchLine {
    /// The subject of the figures.
    pub subject: Subject,
    /// The figures.
    pub figures: Measured,
}

/// A run: tcplab first, then the references.
#[derive(Clone, Debug)]
pub(crate) struct BenchReport {
    /// What was run.
    pub bench: Bench,
    /// The figures of each side.
    pub lines: Vec<BenchLine>,
    /// tcplab with few connections (one, or ten flows) or without the capture, to compare with.
    pub beside: Option<Measured>,
}

impl Measured {
    /// Frames for each second of CPU time.
    pub(crate) fn frames_per_cpu_s(&self) -> f64 {
        self.frames as f64 / self.cpu_s()
    }

    /// CPU nanoseconds for each packet.
    pub(crate) fn cpu_ns_per_packet(&self) -> f64 {
        self.cpu_s() * 1e9 / self.packets.max(1) as f64
    }

    /// Connections for each second of CPU time.
    pub(crate) fn connections_per_cpu_s(&self) -> f64 {
        self.connections as f64 / self.cpu_s()
    }

    fn cpu_s(&self) -> f64 {
        self.taken.cpu.as_secs_f64().max(1e-9)
    }
}

impl BenchLine {
    /// The fields of `--json`.
    pub(crate) fn json(&self, bench: &Bench) -> serde_json::Value {
        let figures = &self.figures;
        let mut object = json!({
            "bench": bench.name(),
            "subject": self.subject.name(),
            "packets": figures.packets,
            "frames": figures.frames,
            "connections": figures.connections,
            "hosts": figures.hosts,
            "buffer_kib": figures.buffer_kib,
            "sim_s": figures.sim_s,
            "cpu_s": figures.taken.cpu.as_secs_f64(),
            "wall_s": figures.taken.wall.as_secs_f64(),
            "frames_per_cpu_s": figures.frames_per_cpu_s(),
            "goodput_mbit": figures.goodput_mbit(),
            "retransmissions": figures.retransmissions,
            "dropped": figures.dropped,
            "peak_rss_kib": figures.peak_rss_kib,
            "cpu_ns_per_packet": figures.cpu_ns_per_packet(),
        });
        if !CPU_TIME_KNOWN {
            object["cpu_s_is_wall_time"] = true.into();
        }
        if let Bench::Churn(workload) = bench {
            object["parallel"] = workload.parallel.into();
            object["time_wait_s"] = workload.time_wait.as_secs_f64().into();
            object["connections_per_cpu_s"] = figures.connections_per_cpu_s().into();
        }
        #[cfg(all(feature = "live", target_os = "linux"))]
        if let Bench::Tun(workload) = bench {
            object["direction"] = workload.direction.name().into();
        }
        if let Some(bytes) = figures.bytes_per_end {
            object["bytes_per_end_beyond_buffers"] = bytes.into();
        }
        object
    }
}

impl BenchReport {
    fn figures(&self, subject: Subject) -> Option<&Measured> {
        self.lines.iter().find(|line| line.subject == subject).map(|line| &line.figures)
    }

    /// What ns-3 3.37 makes of the same scenario, in frames per CPU second: on the machine of `docs/performance.md`, in turn
    /// with tcplab, or on a slower one.
    fn ns3(&self) -> String {
        let figure = match &self.bench {
            Bench::Bulk(_) => "91,000",
            Bench::Loss(_) => "171,000",
            Bench::Churn(_) => "127,000",
            Bench::Dumbbell(workload) if workload.count >= 1_000 => "1,811 (slower machine)",
            Bench::Dumbbell(workload) if workload.count >= 100 => "32,700 (slower machine)",
            Bench::Dumbbell(_) => "195,000",
            Bench::Connections(_) => return String::new(),
            #[cfg(all(feature = "live", target_os = "linux"))]
            Bench::Tun(_) => return String::new(),
        };
        format!("ns-3: {figure}")
    }

    /// One row: the value of each side, tcplab's over the reference's, the target.
    fn row(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        target: &str,
        value: impl Fn(&Measured) -> Option<f64>,
    ) -> fmt::Result {
        write!(f, "{name:<26}")?;
        for line in &self.lines {
            let text = value(&line.figures).map_or("-".to_owned(), number);
            write!(f, " {text:>width$}", width = line.subject.name().len().max(12))?;
        }
        let of = |subject| self.figures(subject).and_then(&value);
        let ratio = match (of(Subject::Tcplab), of(Subject::BareSmoltcp)) {
            (Some(ours), Some(theirs)) if theirs != 0.0 => format!("{:.2}", ours / theirs),
            _ => "-".to_owned(),
        };
        writeln!(f, " {ratio:>7}  {target}")
    }
}

#[cfg(all(feature = "live", target_os = "linux"))]
impl BenchReport {
    /// CPU time is that of both ends: the kernel's is a thread of this process.
    fn over_tun(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.row(f, "goodput, Mbit/s", "0.9 x", |figures| Some(figures.goodput_mbit()))?;
        self.row(f, "packets", "", |figures| Some(figures.packets as f64))?;
        self.row(f, "CPU ns per packet", "", |figures| Some(figures.cpu_ns_per_packet()))?;
        self.row(f, "segments sent again", "", |figures| Some(figures.retransmissions as f64))
    }
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.lines.first() else { return Ok(()) };
        match &self.bench {
            Bench::Connections(workload) => writeln!(
                f,
                "connections: {} established, buffers of {} KiB, {} messages of one segment, echoed",
                workload.count, first.figures.buffer_kib, workload.messages
            )?,
            Bench::Churn(workload) => writeln!(
                f,
                "churn: {} connections, {} at a time, 1 KB there and 10 KB back, TIME-WAIT {} s",
                workload.count,
                workload.parallel,
                workload.time_wait.as_secs_f64()
            )?,
            Bench::Bulk(workload) => writeln!(
                f,
                "bulk: {} MB on one connection, 1 Gbit/s, 1 ms, MSS 1460, {}",
                workload.megabytes,
                described(&workload.flows)
            )?,
            Bench::Loss(workload) => writeln!(
                f,
                "loss: one connection for {} s, 100 Mbit/s, 50 ms there and back, 1 in 100 lost, {}",
                workload.seconds,
                described(&workload.flows)
            )?,
            Bench::Dumbbell(workload) => writeln!(
                f,
                "dumbbell: {} flows for {} s through 1 Gbit/s, 5 ms, 1,000 packets, {}",
                workload.count,
                workload.seconds,
                described(&workload.flows)
            )?,
            #[cfg(all(feature = "live", target_os = "linux"))]
            Bench::Tun(workload) => writeln!(
                f,
                "tun: one connection to the kernel for {} s, MTU 1500; the userspace host: {}, congestion control {}",
                workload.length.as_secs_f64(),
                workload.direction.name(),
                workload.congestion.name()
            )?,
        }
        if !CPU_TIME_KNOWN {
            writeln!(f, "this system does not provide CPU time: wall time is used")?;
        }
        write!(f, "{:<26}", "")?;
        for line in &self.lines {
            write!(f, " {:>12}", line.subject.name())?;
        }
        writeln!(f, " {:>7}  target", "ratio")?;
        #[cfg(all(feature = "live", target_os = "linux"))]
        if let Bench::Tun(_) = self.bench {
            return self.over_tun(f);
        }
        self.row(f, "packets", "", |figures| Some(figures.packets as f64))?;
        self.row(f, "frames", "", |figures| Some(figures.frames as f64))?;
        let target = if self.bench.has_reference() { "1.25 x (in instructions)" } else { "" };
        self.row(f, "CPU ns per packet", target, |figures| Some(figures.cpu_ns_per_packet()))?;
        self.row(f, "frames per CPU second", &self.ns3(), |figures| Some(figures.frames_per_cpu_s()))?;
        if let Bench::Bulk(_) | Bench::Loss(_) | Bench::Dumbbell(_) = self.bench {
            let target = match self.bench {
                Bench::Loss(_) => format!("0.7 to 1.2 x {:.2} (Mathis)", mathis() / 1e6),
                _ => String::new(),
            };
            self.row(f, "goodput, Mbit/s", &target, |figures| Some(figures.goodput_mbit()))?;
            self.row(f, "lost packets", "", |figures| Some(figures.dropped as f64))?;
        }
        if let Bench::Churn(_) = self.bench {
            let target = "80,000";
            self.row(f, "connections per CPU second", target, |figures| Some(figures.connections_per_cpu_s()))?;
        }
        if let Some(beside) = &self.beside {
            let ns = |figures: &Measured| figures.cpu_s() * 1e9 / figures.frames.max(1) as f64;
            let wall = |figures: &Measured| figures.taken.wall.as_secs_f64();
            let (ours, few) = (&first.figures, ns(beside));
            let (name, times, target) = match self.bench {
                Bench::Dumbbell(_) => {
                    ("times ten flows, per frame", ns(ours) / few, format!("2 x at 1,000 (ten: {few:.0} ns)"))
                }
                Bench::Bulk(_) => {
                    let target = format!("1.25 x with -s 128, 1.6 x whole ({:.3} s without)", wall(beside));
                    ("wall, times no capture", wall(ours) / wall(beside), target)
                }
                _ => ("times one connection", ns(ours) / few, format!("3 x at 100,000 (one: {few:.0} ns)")),
            };
            writeln!(f, "{name:<26} {times:>12.2} {:>20}  {target}", "")?;
        }
        if let Bench::Connections(_) = self.bench {
            let target = "3,072 (measured from 1,000 connections up)";
            self.row(f, "bytes per end, w/o buffers", target, |figures| figures.bytes_per_end.map(|b| b as f64))?;
        }
        self.row(f, "peak resident KiB", "", |figures| figures.peak_rss_kib.map(|kib| kib as f64))?;
        self.row(f, "CPU s", "", |figures| Some(figures.taken.cpu.as_secs_f64()))
    }
}

fn described(flows: &FlowSettings) -> String {
    format!("congestion control {}, buffers of {} KiB", flows.congestion.name(), flows.buffer / 1024)
}

/// Groups of three digits; decimals for small ones.
fn number(value: f64) -> String {
    if value.abs() < 100.0 && value.fract().abs() > 0.0 {
        return format!("{value:.3}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_written_in_groups_of_three() {
        let texts = [0.0, 7.25, 999.6, 1_000.0, 1_234_567.0, -4_096.0].map(number);
        assert_eq!(texts, ["0", "7.250", "1,000", "1,000", "1,234,567", "-4,096"]);
    }
}
