//! How the values of options are read. Each error says what is expected, with an example. The structures of `args` name
//! these functions.

use std::ops::RangeInclusive;

use crate::link::{SIZE_EXPECTED, TIME_EXPECTED, digits, parse_size, parse_time};
use crate::time::Duration;

/// A time with its unit.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    parse_time(text).ok_or_else(|| format!("expected {TIME_EXPECTED}"))
}

/// A random seed.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    number(text, 0..=u64::MAX, "7")
}

/// A seed from the operating system. The draws of a link follow from it, and the secret of the initial sequence numbers,
/// which cannot be predicted then (RFC 6528). Who gives `--seed` chooses both.
#[allow(clippy::disallowed_types)] // another number in each run is what is wanted
pub(super) fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// A number of packets. Without the option there is no limit, so 0 has no meaning.
pub(super) fn packets(text: &str) -> Result<u64, String> {
    number(text, 1..=u64::MAX, "100")
}

/// Bytes of each packet.
pub(super) fn snaplen(text: &str) -> Result<u32, String> {
    let read = parse_size(text).and_then(|bytes| bytes.try_into().ok());
    read.ok_or_else(|| "expected bytes from 0 (all) to 4294967295, such as 128".to_owned())
}

/// Bytes of a generated file.
pub(super) fn size(text: &str) -> Result<u64, String> {
    parse_size(text).ok_or_else(|| format!("expected {SIZE_EXPECTED}"))
}

/// The number of a conversation.
pub(super) fn stream(text: &str) -> Result<usize, String> {
    number(text, 0..=usize::MAX as u64, "0").map(|number| number as usize)
}

/// Microseconds.
pub(super) fn microseconds(text: &str) -> Result<u64, String> {
    number(text, 0..=u64::MAX, "4000")
}

/// Threads.
pub(super) fn jobs(text: &str) -> Result<u16, String> {
    number(text, 1..=1024, "4").map(|number| number as u16)
}

/// A whole number in a range. `example` is one that is right.
pub(super) fn number(text: &str, range: RangeInclusive<u64>, example: &str) -> Result<u64, String> {
    within(digits(text), range, example)
}

/// A number that was read, if it lies in a range.
pub(super) fn within(read: Option<u64>, range: RangeInclusive<u64>, example: &str) -> Result<u64, String> {
    let (least, most) = (range.start(), range.end());
    read.filter(|number| range.contains(number))
        .ok_or_else(|| format!("expected a whole number from {least} to {most}, such as {example}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_digits_only_and_lies_in_its_range() {
        assert_eq!(number("10", 1..=10, "3"), Ok(10));
        for text in ["", "0", "11", "-1", "+1", "1.0", "1e1", "0x1", " 1", "99999999999999999999"] {
            let said = number(text, 1..=10, "3").expect_err(text);
            assert_eq!(said, "expected a whole number from 1 to 10, such as 3", "{text}");
        }
    }
}
