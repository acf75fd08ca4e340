//! The values of a link spec, as tc-netem(8) and tc(8) write them, but with their unit: `10Mbit`, `20ms`, `0.5%`, `64KiB`.
//! Only 0, and a size in bytes, need none. Options, scenario files and lists of calls read times and sizes with the same
//! functions. Numbers are parsed as integers, so `0.1ms` is exactly 100,000 ns. Digits below the smallest unit are cut off. Every value prints as the shortest text that parses to the same value.

use core::fmt;
use core::num::NonZeroU64;
use core::str::FromStr;

use crate::time::Duration;

/// A rate in bits per second, from 1 to 10^18.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(NonZeroU64);

/// A probability in percent, from 0 to 100. It keeps the number that was written, so that it prints as it was read.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct Percent(f64);

/// How much the queue in front of a link holds, the packet in transmission included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// A number of packets.
    Packets(u64),
    /// A number of bytes of IP datagrams.
    Bytes(u64),
}

const RATES: [(&str, u64); 9] = [
    ("bit", 1),
    ("kbit", 1_000),
    ("mbit", 1_000_000),
    ("gbit", 1_000_000_000),
    ("tbit", 1_000_000_000_000),
    ("kibit", 1 << 10),
    ("mibit", 1 << 20),
    ("gibit", 1 << 30),
    ("tibit", 1 << 40),
];
const TIMES: [(&str, u64); 14] = [
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
    ("min", 60_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("sec", 1_000_000_000),
    ("secs", 1_000_000_000),
    ("msec", 1_000_000),
    ("msecs", 1_000_000),
    ("usec", 1_000),
    ("usecs", 1_000),
    ("\u{b5}s", 1_000),
];
const SIZES: [(&str, u64); 7] = [
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
];

impl Rate {
    const MAX: u64 = 1_000_000_000_000_000_000;

    /// A rate in bits per second; `None` for zero, which would be a link that is down, and above 10^18.
    pub const fn from_bits_per_second(bits: u64) -> Option<Self> {
        match NonZeroU64::new(bits) {
            Some(bits) if bits.get() <= Self::MAX => Some(Self(bits)),
            _ => None,
        }
    }

    /// Bits per second.
    pub const fn bits_per_second(self) -> u64 {
        self.0.get()
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        quantity(text, &RATES).and_then(Self::from_bits_per_second)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 5] =
            [("Tbit", 1_000_000_000_000), ("Gbit", 1_000_000_000), ("Mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];
        write_in_largest_unit(f, self.0.get(), &UNITS)
    }
}

impl Percent {
    /// Never.
    pub const NEVER: Self = Self(0.0);
    /// Always.
    pub const ALWAYS: Self = Self(100.0);

    /// A probability of `percent` per cent; `None` unless it is from 0 to 100.
    pub fn new(percent: f64) -> Option<Self> {
        (0.0..=100.0).contains(&percent).then_some(Self(percent))
    }

    /// The number that was written, from 0 to 100.
    pub fn percent(self) -> f64 {
        self.0
    }

    /// From 0 to 1.
    pub fn probability(self) -> f64 {
        self.0 / 100.0
    }

    pub(super) const EXPECTED: &str = "a probability from 0% to 100% such as 0.5%";

    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?;
        let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        // Minus zero and exponents are kept out by the check above.
        if plain { number.parse().ok().and_then(Self::new) } else { None }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl Limit {
    /// The most packets in a queue.
    pub const MOST_PACKETS: u64 = 1_000_000;
    /// The most bytes in a queue.
    pub const MOST_BYTES: u64 = 1 << 30;

    pub(super) const EXPECTED: &str = "a queue of at least one packet, or of bytes: 100, 1500B, 64KiB, 1MiB; at \
        most 1000000 packets or 1024MiB";

    pub(super) fn parse(text: &str) -> Option<Self> {
        let limit = match digits(text) {
            Some(packets) => Self::Packets(packets),
            None => Self::Bytes(quantity(text, &SIZES)?),
        };
        let allowed = match limit {
            Self::Packets(packets) => (1..=Self::MOST_PACKETS).contains(&packets),
            Self::Bytes(bytes) => (1..=Self::MOST_BYTES).contains(&bytes),
        };
        allowed.then_some(limit)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 3] = [("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
        match self {
            Self::Packets(packets) => packets.fmt(f),
            Self::Bytes(data) => write_in_largest_unit(f, *data, &UNITS),
        }
    }
}

/// What a time looks like, for messages.
pub const TIME_EXPECTED: &str = "a time with its unit, such as 20ms or 1.5s (h, min, s, ms, us, ns)";

/// Reads a time with its unit: `20ms`, `1.5s`, `2min`. Only 0 needs no unit.
pub fn parse_time(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    quantity(text, &TIMES).map(Duration::from_nanos)
}

/// What a size looks like, for messages.
pub const SIZE_EXPECTED: &str = "bytes, such as 65536, 64KiB (65,536 bytes) or 1MB (1,000,000 bytes)";

/// Reads a number of bytes: `65536`, `64KiB`, `1MB`.
pub fn parse_size(text: &str) -> Option<u64> {
    digits(text).or_else(|| quantity(text, &SIZES))
}

/// A number of digits only, without a sign.
pub(crate) fn digits<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

pub(super) fn write_time(f: &mut fmt::Formatter<'_>, time: Duration) -> fmt::Result {
    const UNITS: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
    write_in_largest_unit(f, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), &UNITS)
}

/// A decimal number and one of the units, in any case, as a whole number of the smallest unit.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit_at);
    let (_, scale) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || decimals.contains('.') || decimals.len() > 18 || number.ends_with('.') {
        return None;
    }
    let (whole, tenths) = (whole.parse::<u64>().ok()?, 10_u128.pow(decimals.len() as u32));
    let fraction: u128 = if decimals.is_empty() { 0 } else { decimals.parse().ok()? };
    let scale = u128::from(*scale);
    (u128::from(whole) * scale + fraction * scale / tenths).try_into().ok()
}

fn write_in_largest_unit(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fits = units.iter().find(|(_, scale)| value.is_multiple_of(*scale));
    let (unit, scale) = fits.expect("the last unit is 1 and divides everything");
    write!(f, "{}{unit}", value / scale)
}
