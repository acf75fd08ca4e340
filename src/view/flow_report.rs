//! The connections of a run or of a capture in full, as `tcptrace -l` has them: for each direction segments, bytes,
//! retransmissions by kind and by reason, round trips, windows, idle time and throughput. `--flows=long` prints it.

use core::fmt::Write as _;

use super::flows::states;
use super::text::columns;
use crate::conversation::{Kind, Side};
use crate::event::Reason;
use crate::time::Duration;
use crate::trace::{Flow, Measured};

/// Columns of the names, and of the numbers of a direction.
const NAME: usize = 26;
const VALUE: usize = 24;

/// Wireshark's kinds of retransmission.
const AGAIN: [(&str, Kind); 3] = [
    ("  fast", Kind::FastRetransmission),
    ("  spurious", Kind::SpuriousRetransmission),
    ("  others", Kind::Retransmission),
];

/// What else is counted of each direction.
const COUNTED: [(&str, Kind); 6] = [
    ("out of order", Kind::OutOfOrder),
    ("previous not captured", Kind::PreviousNotCaptured),
    ("duplicate ACKs", Kind::DuplicateAck),
    ("zero windows", Kind::ZeroWindow),
    ("zero-window probes", Kind::ZeroWindowProbe),
    ("keep-alives", Kind::KeepAlive),
];

/// Connections one below the other, each with a line for each number. The first column of numbers is of the left end as
/// the sender, the second of the right one. Only lines with long addresses are wider than 80 columns.
pub fn flow_report<'a>(flows: impl IntoIterator<Item = &'a Flow>) -> String {
    let mut out = String::new();
    for flow in flows {
        if !out.is_empty() {
            out.push('\n');
        }
        report(flow, &mut out);
    }
    out
}

fn report(flow: &Flow, out: &mut String) {
    let account = &flow.account;
    let _ = writeln!(out, "stream #{} {} ↔ {}", flow.number, flow.ends[0], flow.ends[1]);
    let opener = account.opener.map_or("not seen", |side| if side == Side::Local { "left" } else { "right" });
    let ones = [
        ("opened by", opener.to_owned()),
        ("first segment at", format!("{} s", account.first)),
        ("open for", format!("{:.6} s", account.open_for().as_secs_f64())),
        ("end", account.close.to_string()),
        ("states at the end", states(flow)),
    ];
    for (name, value) in ones {
        let _ = writeln!(out, "  {name:<NAME$}{value}");
    }
    line(out, "", &["left to right".to_owned(), "right to left".to_owned()]);
    let mut all = |name: &str, value: &dyn Fn(Side, &Measured) -> String| {
        line(out, name, &Side::BOTH.map(|side| value(side, &flow.measured[side as usize])));
    };
    let retransmissions = account.retransmissions();
    all("segments", &|side, _| account.segments[side as usize].to_string());
    all("segments with data", &|side, _| account.messages[side as usize].to_string());
    all("bytes of data", &|side, _| account.bytes[side as usize].to_string());
    all("  new", &|_, measured| measured.new_bytes.to_string());
    all("  sent again", &|_, measured| measured.repeated_bytes.to_string());
    all("largest segment", &|_, measured| bytes(measured.largest));
    all("segments sent again", &|side, _| retransmissions[side as usize].to_string());
    for (name, kind) in AGAIN {
        all(name, &|side, _| account.count(side, kind).to_string());
    }
    for reason in Reason::ALL {
        if flow.measured.iter().any(|measured| measured.resent_for(reason) > 0) {
            all(&format!("  reason: {}", reason.name()), &|_, measured| measured.resent_for(reason).to_string());
        }
    }
    for (name, kind) in COUNTED {
        all(name, &|side, _| account.count(side, kind).to_string());
    }
    all("segments with SACK", &|_, measured| measured.sacks.to_string());
    let unknown = || "-".to_owned();
    all("smallest window", &|_, measured| measured.windows.map_or_else(unknown, |(least, _)| bytes(least)));
    all("largest window", &|_, measured| measured.windows.map_or_else(unknown, |(_, most)| bytes(most)));
    all("round trips", &|_, measured| measured.rtt.count.to_string());
    all("  min/avg/max", &|_, measured| {
        let rtt = &measured.rtt;
        if rtt.count > 0 { min_avg_max([rtt.min, rtt.mean(), rtt.max]) } else { unknown() }
    });
    all("longest idle time", &|_, measured| format!("{:.1} ms", milliseconds(measured.idle)));
    all("throughput", &|_, measured| {
        bytes_per_second(measured.new_bytes, account.open_for()).map_or_else(unknown, rate)
    });
}

fn line(out: &mut String, name: &str, values: &[String; 2]) {
    let pad = VALUE.saturating_sub(columns(&values[0])).max(2);
    let text = format!("  {name:<NAME$}{}{:pad$}{}", values[0], "", values[1]);
    out.push_str(text.trim_end());
    out.push('\n');
}

fn bytes(count: u32) -> String {
    format!("{count} bytes")
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// `40.0/41.2/60.0 ms`
pub(super) fn min_avg_max(times: [Duration; 3]) -> String {
    let [min, avg, max] = times.map(milliseconds);
    format!("{min:.1}/{avg:.1}/{max:.1} ms")
}

/// A number of bytes over a time. `None` if there is no time.
pub(super) fn bytes_per_second(bytes: u64, time: Duration) -> Option<f64> {
    (!time.is_zero()).then(|| bytes as f64 / time.as_secs_f64())
}

/// Bytes for each second as bits, with a unit.
pub(super) fn rate(bytes_per_second: f64) -> String {
    let bits = 8.0 * bytes_per_second;
    match bits {
        _ if bits >= 1e9 => format!("{:.1} Gbit/s", bits / 1e9),
        _ if bits >= 1e6 => format!("{:.1} Mbit/s", bits / 1e6),
        _ if bits >= 1e3 => format!("{:.1} kbit/s", bits / 1e3),
        _ => format!("{bits:.0} bit/s"),
    }
}
