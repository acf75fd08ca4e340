//! Which fields of two segments differ, by name. Replay compares an expected segment with a live one.

use core::fmt;

use super::Segment;

/// A field of a segment that can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// Source address or port.
    Src,
    /// Destination address or port.
    Dst,
    /// SEG.SEQ.
    Seq,
    /// SEG.ACK, or whether there is one.
    Ack,
    /// Control bits.
    Flags,
    /// The window field.
    Window,
    /// Any option.
    Options,
    /// The bytes of data.
    Payload,
    /// Time to live or hop limit.
    Ttl,
    /// The ECN field of the IP header.
    Ecn,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Src => "src",
            Self::Dst => "dst",
            Self::Seq => "seq",
            Self::Ack => "ack",
            Self::Flags => "flags",
            Self::Window => "win",
            Self::Options => "options",
            Self::Payload => "payload",
            Self::Ttl => "ttl",
            Self::Ecn => "ecn",
        })
    }
}

/// One field with both of its values, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which field.
    pub field: Field,
    /// What was expected.
    pub expected: String,
    /// The actual value.
    pub actual: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, got {}", self.field, self.expected, self.actual)
    }
}

/// The fields in which `actual` differs from `expected`, in header order; empty if none does.
pub fn diff(expected: &Segment<'_>, actual: &Segment<'_>) -> Vec<Difference> {
    // Exhaustive, so that a new field cannot be forgotten here.
    let Segment { src, dst, seq, ack, flags, window, options, payload, ttl, ecn } = *expected;
    let mut differences = Vec::new();
    let mut note = |field, differs: bool, expected: String, actual: String| {
        if differs {
            differences.push(Difference { field, expected, actual });
        }
    };
    note(Field::Src, src != actual.src, src.to_string(), actual.src.to_string());
    note(Field::Dst, dst != actual.dst, dst.to_string(), actual.dst.to_string());
    note(Field::Seq, seq != actual.seq, seq.to_string(), actual.seq.to_string());
    let ack_text = |segment: &Segment<'_>| if segment.is_ack() { segment.ack.to_string() } else { "none".into() };
    note(Field::Ack, ack_text(expected) != ack_text(actual), ack_text(expected), ack_text(actual));
    note(Field::Flags, flags != actual.flags, flags.to_string(), actual.flags.to_string());
    note(Field::Window, window != actual.window, window.to_string(), actual.window.to_string());
    let options_text = |text: String| text.trim_start_matches(", ").to_owned();
    note(
        Field::Options,
        options != actual.options,
        options_text(options.to_string()),
        options_text(actual.options.to_string()),
    );
    note(Field::Payload, payload != actual.payload, payload_text(payload), payload_text(actual.payload));
    note(Field::Ttl, ttl != actual.ttl, ttl.to_string(), actual.ttl.to_string());
    note(Field::Ecn, ecn != actual.ecn, ecn.to_string(), actual.ecn.to_string());
    let _ = ack;
    differences
}

/// The length and the first bytes: enough to see what it is.
fn payload_text(payload: &[u8]) -> String {
    let start = &payload[..payload.len().min(16)];
    format!("{} bytes \"{}\"", payload.len(), start.escape_ascii())
}
