//! A link as one line of text, the same in tests, scenario files and on the command line:
//!
//! ```text
//! [A>B:][@TIME:]rate=10Mbit,delay=20ms,jitter=2ms:normal,loss=1%,reorder=0.5%,limit=64KiB,down=1s..2s,drop=data:3
//! ```
//!
//! | item | what it does |
//! |---|---|
//! | `rate=10Mbit` | bits of IP datagrams per second; without it sending takes no time and nothing queues |
//! | `rate=trace:FILE` | the opportunities to send of a trace file (see [`Trace`]) |
//! | `delay=20ms` | propagation delay |
//! | `jitter=2ms[:uniform\|normal\|pareto]` | how the delay varies; the order of packets stays |
//! | `loss=1%` | loss, each packet for itself |
//! | `loss=gemodel:1%[:10%[:100%[:0%]]]` | loss in bursts (Gilbert–Elliott): good to bad, bad to good, loss when bad, loss when good |
//! | `reorder=0.5%` | these skip the delay and overtake those on the way |
//! | `reorder=0.5%:3ms` | these are held back so long, and are overtaken |
//! | `duplicate=0.1%` | these arrive twice |
//! | `corrupt=0.01%` | in these a bit flips |
//! | `limit=100`, `limit=64KiB` | the queue in front of the rate, in packets or bytes, drop-tail; 1,000 packets by default, at most 1,000,000 packets or 1024MiB |
//! | `mtu=1400` | larger packets are dropped: in silence by a host's own link, with ICMP at a router |
//! | `down=1s..2s` | what enters or would leave in this time is lost; may be repeated |
//! | `drop=synack:1` | takes packets by kind and number (see [`Script`]); may be repeated |
//! | `hold=packet:7:300ms` | has packets arrive later, by kind and number; may be repeated |
//!
//! Keys are those of tc-netem(8) where it has them, in any order. The empty line is a link without delay, limit or
//! impairment. `A>B:` restricts the line to the direction from A to B. `@TIME:` is in `line`. A new key is one arm in
//! `LinkSpec::set`, one in `LinkSpec::take`, one line in its `Display`, its name in `KEYS`, and a row above.

use core::fmt;
use core::str::FromStr;

use super::jitter::Jitter;
use super::line::LinkItems;
use super::loss::Loss;
use super::script::{Outage, Script};
use super::trace::Trace;
use super::value::{self, Limit, Percent, Rate};
use crate::time::Duration;

/// What one direction of a wire does to packets. The default has no delay, no limit and no impairment.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LinkSpec {
    /// Bits of IP datagram per second; without it transmission takes no time and nothing queues.
    pub rate: Option<Rate>,
    /// The opportunities to send, instead of a rate.
    pub trace: Option<Trace>,
    /// Propagation delay, added after transmission.
    pub delay: Duration,
    /// How the delay varies.
    pub jitter: Option<Jitter>,
    /// Which packets are lost on the wire.
    pub loss: Loss,
    /// How many packets overtake others, or are overtaken.
    pub reorder: Percent,
    /// How much later than usual a packet chosen for `reorder` arrives. Without it, it is sent ahead instead, with no
    /// delay at all, as in tc-netem(8); where there is no delay to skip it is held back by
    /// [`LinkSpec::HOLD_WITHOUT_DELAY`].
    pub hold: Option<Duration>,
    /// How many packets arrive twice.
    pub duplicate: Percent,
    /// How many packets arrive with one bit flipped, anywhere in the packet.
    pub corrupt: Percent,
    /// What the queue in front of the transmitter holds. By default [`LinkSpec::DEFAULT_LIMIT`]. Without a rate there
    /// is no queue and the limit is never reached.
    pub limit: Option<Limit>,
    /// The largest packet in bytes. Larger ones are dropped without an ICMP error.
    pub mtu: Option<u16>,
    /// When the link is down.
    pub down: Vec<Outage>,
    /// Single packets that are lost or late.
    pub scripts: Vec<Script>,
}

/// Why a link line is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// No such key.
    #[error("link spec: unknown key `{0}`; known are {keys}", keys = KEYS.join(", "))]
    UnknownKey(String),
    /// An argument without text.
    #[error("the link line is empty; write items such as delay=50ms,loss=1%, or leave the option out")]
    Empty,
    /// No equals sign.
    #[error("link spec: `{0}` is not KEY=VALUE; known keys are {keys}", keys = KEYS.join(", "))]
    NoValue(String),
    /// The key was there before.
    #[error("link spec: `{0}` is given twice")]
    Twice(String),
    /// The value is not valid for the key.
    #[error("link spec: `{key}={value}`: expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// What it was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// There is a `>` but no `A>B:`.
    #[error("link spec: `{0}`: a direction is written `A>B:` and stands first")]
    Direction(String),
    /// There is a comma and no item behind it, or none before it.
    #[error("link spec: `{0}`: an item is missing beside a comma; write KEY=VALUE there or leave the comma out")]
    NoItem(String),
    /// There is an `@` but no `@TIME:`.
    #[error("link spec: `{0}`: a change is written `@TIME:ITEMS`, such as @5s:loss=5% or A>B:@500ms:rate=1Mbit")]
    Time(String),
    /// A change of nothing.
    #[error("link spec: `{0}`: a change names at least one item, such as @5s:loss=5%")]
    NoChange(String),
    /// A line with a time where none can be.
    #[error("link spec: `{0}`: a line with a time cannot be used here; leave out `@TIME:`")]
    Timed(String),
    /// A file of lines where none is read.
    #[error("link spec: `@{0}`: a file of lines is read for --link only; write its lines here")]
    File(String),
    /// The trace is a file, and nobody has read it.
    #[error("link spec: `rate=trace:{0}`: the trace was not given; --link reads its file, and --trace FILE gives it")]
    NoTrace(String),
    /// The ends of the link have other names.
    #[error("link spec: unknown direction `{direction}`; the directions are `{known}:` and `{other}:`")]
    UnknownDirection {
        /// What was written, `A>B`.
        direction: String,
        /// A direction of the link.
        known: String,
        /// The other direction.
        other: String,
    },
    /// Two changes of one item at one time.
    #[error("link spec: `@{time}:`: `{key}` changes twice at this time", time = Time(*.at))]
    ChangesTwice {
        /// When.
        at: Duration,
        /// The key.
        key: &'static str,
    },
    /// More changes than a link keeps.
    #[error("link spec: more than {most} changes of one direction", most = super::LinkSchedule::MOST_CHANGES)]
    TooManyChanges,
}

pub(super) const KEYS: [&str; 12] =
    ["rate", "delay", "jitter", "loss", "reorder", "duplicate", "corrupt", "limit", "mtu", "down", "drop", "hold"];
/// Those that may stand in a line more than once.
pub(super) const REPEATED: [&str; 3] = ["down", "drop", "hold"];
const RATE_EXPECTED: &str = "a rate above zero such as 10Mbit (bit, kbit, Mbit, Gbit, Tbit; Kibit, Mibit, Gibit, Tibit), \
    or a trace, trace:FILE";
const MTU_EXPECTED: &str = "bytes from 68 (RFC 791) to 65535, such as 1400";
const REORDER_EXPECTED: &str = "a probability such as 0.5%, or with the time that a packet is held back, 0.5%:3ms";

impl LinkSpec {
    /// The names of the items of a line.
    pub const KEYS: [&'static str; 12] = KEYS;

    /// The default queue of a link with a rate: 1,000 packets, as in tc-netem(8).
    pub const DEFAULT_LIMIT: Limit = Limit::Packets(1_000);
    /// How long a packet chosen for `reorder` is held back on a link without delay.
    pub const HOLD_WITHOUT_DELAY: Duration = Duration::from_millis(1);

    /// How long a packet chosen for `reorder` is held back; `None` if it is sent ahead.
    pub fn hold(&self) -> Option<Duration> {
        self.hold.or(self.delay.is_zero().then_some(Self::HOLD_WITHOUT_DELAY))
    }

    /// Bits per second that pass; the mean of a trace, rounded up. `None` without a rate.
    pub fn bits_per_second(&self) -> Option<u64> {
        self.rate.map(Rate::bits_per_second).or_else(|| self.trace.as_ref().map(Trace::bits_per_second))
    }

    /// Sets one item from its text.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), SpecError> {
        fn or_expected<T>(parsed: Option<T>, expected: &'static str) -> Result<T, &'static str> {
            parsed.ok_or(expected)
        }
        let percent = |value| or_expected(Percent::parse(value), Percent::EXPECTED);
        let set: Result<(), &'static str> = match key {
            "rate" => or_expected(parse_rate(value), RATE_EXPECTED).map(|rate| (self.rate, self.trace) = rate),
            "delay" => or_expected(value::parse_time(value), value::TIME_EXPECTED).map(|delay| self.delay = delay),
            "jitter" => or_expected(Jitter::parse(value), Jitter::EXPECTED).map(|jitter| self.jitter = Some(jitter)),
            "loss" => or_expected(Loss::parse(value), Loss::EXPECTED).map(|loss| self.loss = loss),
            "reorder" => or_expected(parse_reorder(value), REORDER_EXPECTED)
                .map(|(reorder, hold)| (self.reorder, self.hold) = (reorder, hold)),
            "duplicate" => percent(value).map(|duplicate| self.duplicate = duplicate),
            "corrupt" => percent(value).map(|corrupt| self.corrupt = corrupt),
            "limit" => or_expected(Limit::parse(value), Limit::EXPECTED).map(|limit| self.limit = Some(limit)),
            "mtu" => {
                let mtu = value::parse_size(value).and_then(|mtu| mtu.try_into().ok());
                or_expected(mtu.filter(|mtu| *mtu >= 68), MTU_EXPECTED).map(|mtu| self.mtu = Some(mtu))
            }
            "down" => or_expected(Outage::parse(value), Outage::EXPECTED).map(|outage| self.down.push(outage)),
            "drop" => {
                or_expected(Script::parse_drop(value), Script::DROP_EXPECTED).map(|script| self.scripts.push(script))
            }
            "hold" => {
                or_expected(Script::parse_hold(value), Script::HOLD_EXPECTED).map(|script| self.scripts.push(script))
            }
            unknown => return Err(SpecError::UnknownKey(unknown.to_owned())),
        };
        set.map_err(|expected| SpecError::Value { key: key.to_owned(), value: value.to_owned(), expected })
    }

    /// Takes the item with this key over from another spec.
    pub(super) fn take(&mut self, key: &str, from: &Self) {
        match key {
            "rate" => (self.rate, self.trace) = (from.rate, from.trace.clone()),
            "delay" => self.delay = from.delay,
            "jitter" => self.jitter = from.jitter,
            "loss" => self.loss = from.loss,
            "reorder" => (self.reorder, self.hold) = (from.reorder, from.hold),
            "duplicate" => self.duplicate = from.duplicate,
            "corrupt" => self.corrupt = from.corrupt,
            "limit" => self.limit = from.limit,
            "mtu" => self.mtu = from.mtu,
            "down" => self.down.clone_from(&from.down),
            // Both are scripts: those with and those without a time.
            _ => {
                let is_meant = |script: &Script| script.hold.is_some() == (key == "hold");
                self.scripts.retain(|script| !is_meant(script));
                self.scripts.extend(from.scripts.iter().filter(|script| is_meant(script)).cloned());
            }
        }
    }
}

/// A rate, or a trace that is still to be read.
fn parse_rate(text: &str) -> Option<(Option<Rate>, Option<Trace>)> {
    match text.strip_prefix("trace:") {
        Some(file) => Some((None, Some(Trace::unread(file)?))),
        None => Some((Some(Rate::parse(text)?), None)),
    }
}

fn parse_reorder(text: &str) -> Option<(Percent, Option<Duration>)> {
    match text.split_once(':') {
        None => Some((Percent::parse(text)?, None)),
        Some((percent, hold)) => Some((Percent::parse(percent)?, Some(value::parse_time(hold)?))),
    }
}

impl FromStr for LinkSpec {
    type Err = SpecError;

    /// Reads a line without a direction and without a time.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        let items = LinkItems::parse(text)?;
        match items.unread() {
            Some(trace) => Err(SpecError::NoTrace(trace.to_owned())),
            None => Ok(items.into_spec()),
        }
    }
}

impl fmt::Display for LinkSpec {
    /// The line that parses to the same spec: only what differs from the default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, trace, delay, jitter, loss, reorder, hold, duplicate, corrupt, limit, mtu, down, scripts } =
            self;
        let mut separator = "";
        let mut item = |f: &mut fmt::Formatter<'_>, key: &str, value: &dyn fmt::Display| {
            write!(f, "{separator}{key}={value}")?;
            separator = ",";
            Ok(())
        };
        if let Some(rate) = rate {
            item(f, "rate", rate)?;
        }
        if let Some(trace) = trace {
            item(f, "rate", &format_args!("trace:{trace}"))?;
        }
        if !delay.is_zero() {
            item(f, "delay", &Time(*delay))?;
        }
        if let Some(jitter) = jitter {
            item(f, "jitter", jitter)?;
        }
        if *loss != Loss::NONE {
            item(f, "loss", loss)?;
        }
        match hold {
            Some(hold) => item(f, "reorder", &format_args!("{reorder}:{}", Time(*hold)))?,
            None if *reorder > Percent::NEVER => item(f, "reorder", reorder)?,
            None => {}
        }
        if *duplicate > Percent::NEVER {
            item(f, "duplicate", duplicate)?;
        }
        if *corrupt > Percent::NEVER {
            item(f, "corrupt", corrupt)?;
        }
        if let Some(limit) = limit {
            item(f, "limit", limit)?;
        }
        if let Some(mtu) = mtu {
            item(f, "mtu", mtu)?;
        }
        for outage in down {
            item(f, "down", outage)?;
        }
        for script in scripts {
            item(f, if script.hold.is_some() { "hold" } else { "drop" }, script)?;
        }
        Ok(())
    }
}

/// A time as it is written in a line.
pub(super) struct Time(pub(super) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        value::write_time(f, self.0)
    }
}
