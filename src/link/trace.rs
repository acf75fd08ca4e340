//! A trace of opportunities to send, in the format of mahimahi: `rate=trace:FILE`.
//!
//! Each line is a whole number of milliseconds from the start, at which 1,500 bytes may leave. Equal lines add up. The
//! numbers do not fall. After the last line the trace repeats, with the last number as its start. Bytes of one opportunity
//! that nothing waits for are lost. Packets use an opportunity together, and a packet uses several one after the other.

use core::fmt;
use std::sync::Arc;

use crate::time::{Duration, Instant};

/// Bytes of IP datagrams that one opportunity lets through.
pub const OPPORTUNITY: u32 = 1_500;

const NANOS: u64 = 1_000_000;

/// A trace. Clones share its memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Trace {
    name: Arc<str>,
    /// The milliseconds of the opportunities; `None` while the file is not read.
    millis: Option<Arc<[u32]>>,
}

/// Why a file is no trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// Too long.
    #[error("a trace has at most {} bytes", Trace::MOST_BYTES)]
    TooLong,
    /// A line that is no number.
    #[error("line {0}: expected a whole number of milliseconds, such as 42, from 0 to {max}", max = u32::MAX)]
    NoNumber(usize),
    /// A number that is less than the one before it.
    #[error("line {line}: {number} comes after {before}: the milliseconds do not fall")]
    Falls {
        /// The number of the line, from 1.
        line: usize,
        /// What stands there.
        number: u32,
        /// What stands before it.
        before: u32,
    },
    /// No opportunity.
    #[error("the trace has no line, so no packet could ever leave")]
    Empty,
    /// The trace takes no time.
    #[error("the last line is 0, so the trace lasts no time; it has to be above 0")]
    NoTime,
}

impl Trace {
    /// The most bytes of a file: an hour of 70 Mbit/s.
    pub const MOST_BYTES: usize = 32 << 20;

    /// Reads a trace. `name` is printed in its place.
    ///
    /// # Errors
    /// [`TraceError`], which names the line.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, TraceError> {
        if bytes.len() > Self::MOST_BYTES {
            return Err(TraceError::TooLong);
        }
        let mut millis: Vec<u32> = Vec::new();
        for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let text = text.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let digits = core::str::from_utf8(text).ok().and_then(super::value::digits::<u32>);
            let number = digits.ok_or(TraceError::NoNumber(line))?;
            match millis.last() {
                Some(before) if *before > number => return Err(TraceError::Falls { line, number, before: *before }),
                _ => millis.push(number),
            }
        }
        match millis.last() {
            None => Err(TraceError::Empty),
            Some(0) => Err(TraceError::NoTime),
            Some(_) => Ok(Self { name: name.into(), millis: Some(millis.into()) }),
        }
    }

    /// A trace whose file is still to be read; `None` without a name.
    pub(super) fn unread(path: &str) -> Option<Self> {
        (!path.is_empty()).then(|| Self { name: path.into(), millis: None })
    }

    /// The path, if the file is still to be read.
    pub(super) fn unread_path(&self) -> Option<&str> {
        self.millis.is_none().then_some(&*self.name)
    }

    /// False while the file is still to be read.
    pub fn is_read(&self) -> bool {
        self.millis.is_some()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same trace by another name.
    #[must_use]
    pub fn renamed(&self, name: &str) -> Self {
        Self { name: name.into(), millis: self.millis.clone() }
    }

    /// The milliseconds of its opportunities.
    pub fn millis(&self) -> &[u32] {
        self.millis.as_deref().unwrap_or(&[])
    }

    /// After this time it repeats.
    pub fn period(&self) -> Duration {
        Duration::from_nanos(self.period_nanos())
    }

    fn period_nanos(&self) -> u64 {
        self.millis().last().map_or(0, |last| u64::from(*last) * NANOS)
    }

    /// Bits per second in the mean, rounded up.
    pub fn bits_per_second(&self) -> u64 {
        let bits = self.millis().len() as u128 * u128::from(OPPORTUNITY) * 8 * 1_000_000_000;
        bits.div_ceil(u128::from(self.period_nanos().max(1))) as u64
    }

    /// The number of the first opportunity later than `after`, for a trace that began at `began`.
    fn first_after(&self, began: Instant, after: Instant) -> u64 {
        if after < began {
            return 0;
        }
        let (period, count) = (self.period_nanos().max(1), self.millis().len() as u64);
        let offset = after.nanos_since(began);
        let passed = self.millis().partition_point(|millis| u64::from(*millis) * NANOS <= offset % period);
        (offset / period).saturating_mul(count).saturating_add(passed as u64)
    }

    /// The instant of the opportunity with this number; the far future if it is beyond what an instant can be.
    fn at(&self, began: Instant, number: u64) -> Instant {
        let count = self.millis().len() as u64;
        let Some(millis) = number.checked_rem(count).and_then(|at| self.millis().get(at as usize)) else {
            return Instant::FAR_FUTURE;
        };
        let offset = (number / count).saturating_mul(self.period_nanos()).saturating_add(u64::from(*millis) * NANOS);
        Instant::from_nanos(began.as_nanos().saturating_add(offset))
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({}, {} opportunities)", self.name, self.millis().len())
    }
}

/// The use of a trace by one transmitter.
#[derive(Debug)]
pub(super) struct Opportunities {
    trace: Trace,
    began: Instant,
    /// What had to leave before the trace began leaves until then.
    not_before: Instant,
    /// The number of the opportunity that the next byte uses, if it has not passed.
    next: u64,
    /// What is left of it, in bytes.
    left: u32,
}

impl Opportunities {
    pub(super) fn new(trace: &Trace, began: Instant, not_before: Instant) -> Self {
        Self { trace: trace.clone(), began, not_before, next: 0, left: OPPORTUNITY }
    }

    /// When the last of `len` bytes that enter now leaves. An opportunity at `now` has passed, as in mahimahi.
    pub(super) fn depart(&mut self, now: Instant, len: u64) -> Instant {
        let after = now.max(self.not_before);
        if self.trace.at(self.began, self.next) <= after {
            (self.next, self.left) = (self.trace.first_after(self.began, after), OPPORTUNITY);
        }
        let used = u64::from(OPPORTUNITY - self.left) + len.max(1);
        let last = self.next.saturating_add((used - 1) / u64::from(OPPORTUNITY));
        self.left = OPPORTUNITY - ((used - 1) % u64::from(OPPORTUNITY) + 1) as u32;
        self.next = last;
        let departure = self.trace.at(self.began, last);
        if self.left == 0 {
            (self.next, self.left) = (last.saturating_add(1), OPPORTUNITY);
        }
        departure
    }
}
