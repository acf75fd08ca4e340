//! The brackets at the end of a comment, and their grammar. Whoever reads a comment of ours parses the brackets, never
//! the words. `capture` writes them, `trace` reads them.
//!
//! ```text
//! comment   = words [ " [" [ fate ] "]" ] [ " [" pair *( " " pair ) "]" ]
//! fate      = "lost: " reason        the first link drops the packet; the reasons are those of docs/events.md
//!           | "duplicated"           the link delivers it twice
//!           | "reordered"            the link holds it back: later packets may overtake it
//!           | "overtakes"            the link sends it ahead of earlier packets
//!           | "corrupted: byte=" number " bit=" number
//!           | "copy"                 a copy that a link has made arrives
//! pair      = variable "=" value     a variable is of lower-case letters and underscores
//! value     = number | time | name   of one variable always the same
//! time      = number [ "." 1*6digit ] "ms"
//! number    = digits                 without zeros in front
//! name      = letters, digits and "-"
//! ```
//!
//! A packet that its first link simply delivers has no first bracket. An empty one stands where the words themselves end
//! like a bracket. Readers skip variables that they do not know, and names of phases and reasons that they do not know.

use core::fmt::{self, Write};

use crate::event::{DropReason, Fate, Flip, Numbers, Phase, Reason};
use crate::time::Duration;

/// What became of a packet, as the first bracket tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tag {
    /// The link drops it. How long a link is down is not told: [`DropReason::LinkDown`] has `None`.
    Lost(DropReason),
    /// The link delivers it twice.
    Duplicated,
    /// The link holds it back.
    Reordered,
    /// The link sends it ahead.
    Overtakes,
    /// The link flips this bit of this byte.
    Corrupted {
        /// Counted from 0 at the first byte of the IP header.
        byte: u32,
        /// Counted from 0, the most significant.
        bit: u8,
    },
    /// A copy that a link has made arrives.
    Copy,
}

impl Tag {
    /// The tag of a fate; none for a packet that is simply delivered.
    pub fn of(fate: Fate) -> Option<Self> {
        Some(match fate {
            Fate::Deliver(_) => return None,
            Fate::Reorder(_) => Self::Reordered,
            Fate::Overtake(_) => Self::Overtakes,
            Fate::Duplicate(_) => Self::Duplicated,
            Fate::Corrupt(Flip { byte, bit, .. }) => Self::Corrupted { byte, bit },
            Fate::Drop(DropReason::LinkDown { .. }) => Self::Lost(DropReason::LinkDown { until: None }),
            Fate::Drop(why) => Self::Lost(why),
        })
    }

    /// True unless the packet reaches the other end of the link as it was sent.
    pub const fn is_loss(self) -> bool {
        matches!(self, Self::Lost(_) | Self::Corrupted { .. })
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(reason) = text.strip_prefix("lost: ") {
            return DropReason::from_name(reason).map(Self::Lost);
        }
        if let Some(flip) = text.strip_prefix("corrupted: byte=") {
            let (byte, bit) = flip.split_once(" bit=")?;
            return Some(Self::Corrupted { byte: number(byte)?, bit: number(bit)? });
        }
        Some(match text {
            "duplicated" => Self::Duplicated,
            "reordered" => Self::Reordered,
            "overtakes" => Self::Overtakes,
            "copy" => Self::Copy,
            _ => return None,
        })
    }
}

impl fmt::Display for Tag {
    /// What stands in the bracket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Lost(why) => write!(f, "lost: {}", why.name()),
            Self::Duplicated => f.write_str("duplicated"),
            Self::Reordered => f.write_str("reordered"),
            Self::Overtakes => f.write_str("overtakes"),
            Self::Corrupted { byte, bit } => write!(f, "corrupted: byte={byte} bit={bit}"),
            Self::Copy => f.write_str("copy"),
        }
    }
}

/// The variables of the sender of a packet, as the second bracket tells them. Sequence numbers are relative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)] // RFC 9293, section 3.3.1; RFC 5681; RFC 6298; RFC 6675
pub struct Variables {
    pub snd_una: Option<u64>,
    pub snd_nxt: Option<u64>,
    /// Bytes, scaled.
    pub snd_wnd: Option<u64>,
    pub srtt: Option<Duration>,
    pub rttvar: Option<Duration>,
    pub rto: Option<Duration>,
    pub cwnd: Option<u64>,
    pub ssthresh: Option<u64>,
    pub flight_size: Option<u64>,
    pub pipe: Option<u64>,
    /// The phase of loss recovery.
    pub phase: Option<Phase>,
    /// Why the packet was sent; `None` if it only acknowledges.
    pub reason: Option<Reason>,
}

impl Variables {
    /// True if nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, with what the host tells of the connection.
    #[must_use]
    pub(crate) fn with(self, numbers: &Numbers) -> Self {
        let Numbers { srtt, rttvar, rto, cwnd, ssthresh, flight_size, pipe, phase, reason } = *numbers;
        let flight_size = flight_size.or(self.flight_size);
        Self { srtt, rttvar, rto, cwnd, ssthresh, flight_size, pipe, phase, reason, ..self }
    }

    fn counts(&self) -> [(&'static str, Option<u64>); 3] {
        [("snd_una", self.snd_una), ("snd_nxt", self.snd_nxt), ("snd_wnd", self.snd_wnd)]
    }

    fn times(&self) -> [(&'static str, Option<Duration>); 3] {
        [("srtt", self.srtt), ("rttvar", self.rttvar), ("rto", self.rto)]
    }

    fn congestion(&self) -> [(&'static str, Option<u64>); 4] {
        let Self { cwnd, ssthresh, flight_size, pipe, .. } = *self;
        [("cwnd", cwnd), ("ssthresh", ssthresh), ("flight_size", flight_size), ("pipe", pipe)]
    }

    fn names(&self) -> [(&'static str, Option<&'static str>); 2] {
        [("phase", self.phase.map(Phase::name)), ("reason", self.reason.map(Reason::name))]
    }

    fn parse(text: &str) -> Option<Self> {
        let mut variables = Self::default();
        for pair in text.split(' ') {
            let (name, value) = pair.split_once('=')?;
            let name_ok = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if !name_ok || value.is_empty() {
                return None;
            }
            let count = || number::<u64>(value);
            match name {
                "snd_una" => variables.snd_una = Some(count()?),
                "snd_nxt" => variables.snd_nxt = Some(count()?),
                "snd_wnd" => variables.snd_wnd = Some(count()?),
                "srtt" => variables.srtt = Some(millis(value)?),
                "rttvar" => variables.rttvar = Some(millis(value)?),
                "rto" => variables.rto = Some(millis(value)?),
                "cwnd" => variables.cwnd = Some(count()?),
                "ssthresh" => variables.ssthresh = Some(count()?),
                "flight_size" => variables.flight_size = Some(count()?),
                "pipe" => variables.pipe = Some(count()?),
                // Newer writers may know more phases and reasons.
                "phase" => variables.phase = Phase::from_name(value),
                "reason" => variables.reason = Reason::from_name(value),
                // And more variables.
                _ => {}
            }
        }
        Some(variables)
    }
}

impl fmt::Display for Variables {
    /// What stands in the bracket; nothing if nothing is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut count = |f: &mut fmt::Formatter<'_>, name: &str, value: u64| {
            write!(f, "{separator}{name}={value}")?;
            separator = " ";
            Ok(())
        };
        for (name, value) in self.counts() {
            value.map_or(Ok(()), |value| count(f, name, value))?;
        }
        for (name, value) in self.times() {
            if let Some(value) = value {
                let nanos = value.as_nanos();
                let fraction = format!("{:06}", nanos % 1_000_000);
                let fraction = fraction.trim_end_matches('0');
                let point = if fraction.is_empty() { "" } else { "." };
                write!(f, "{separator}{name}={}{point}{fraction}ms", nanos / 1_000_000)?;
                separator = " ";
            }
        }
        for (name, value) in self.congestion() {
            if let Some(value) = value {
                write!(f, "{separator}{name}={value}")?;
                separator = " ";
            }
        }
        for (name, value) in self.names() {
            if let Some(value) = value {
                write!(f, "{separator}{name}={value}")?;
                separator = " ";
            }
        }
        Ok(())
    }
}

/// A comment, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// What is said of the packet.
    pub words: &'a str,
    /// The first bracket.
    pub tag: Option<Tag>,
    /// The second bracket.
    pub variables: Option<Variables>,
}

/// Appends the brackets to the words in `comment`. Empty variables are left out.
pub fn write(comment: &mut String, tag: Option<Tag>, variables: Option<&Variables>) {
    let separator = |comment: &String| if comment.is_empty() { "" } else { " " };
    if let Some(tag) = tag {
        let space = separator(comment);
        put(comment, format_args!("{space}[{tag}]"));
    } else if comment.ends_with(']') {
        let read = parse(comment);
        // Words that read like brackets: an empty one says that they are words.
        if read.words.len() != comment.len() {
            let space = separator(comment);
            put(comment, format_args!("{space}[]"));
        }
    }
    if let Some(variables) = variables.filter(|variables| !variables.is_empty()) {
        let space = separator(comment);
        put(comment, format_args!("{space}[{variables}]"));
    }
}

/// Takes a comment apart. One without brackets of this grammar is all words.
pub fn parse(comment: &str) -> Parsed<'_> {
    let mut rest = comment;
    let mut variables = None;
    if let Some((before, inside)) = last_bracket(rest)
        && let Some(found) = Variables::parse(inside)
    {
        (rest, variables) = (before, Some(found));
    }
    if let Some((before, inside)) = last_bracket(rest) {
        if inside.is_empty() {
            return Parsed { words: before, tag: None, variables };
        }
        if let Some(tag) = Tag::parse(inside) {
            return Parsed { words: before, tag: Some(tag), variables };
        }
    }
    Parsed { words: rest, tag: None, variables }
}

/// What stands before the bracket at the end of a text, without the blank between, and what is in the bracket.
fn last_bracket(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_suffix(']')?;
    let start = inner.rfind('[')?;
    let before = &inner[..start];
    let before = if before.is_empty() { before } else { before.strip_suffix(' ')? };
    Some((before, &inner[start + 1..]))
}

/// A number as this module writes it: digits, no sign, no zero in front.
fn number<N: core::str::FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|digit| digit.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// `40.1ms`, to the nanosecond.
fn millis(text: &str) -> Option<Duration> {
    let text = text.strip_suffix("ms")?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 6 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<6}").parse().ok()?;
    number::<u64>(whole)?.checked_mul(1_000_000)?.checked_add(nanos).map(Duration::from_nanos)
}

/// Writing into a string does not fail.
pub(crate) fn put(out: &mut String, text: fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{ChannelState, Rule};
    use crate::time::Instant;

    fn tags() -> impl Strategy<Value = Option<Tag>> {
        let reasons: Vec<_> = DropReason::ALL.into_iter().chain(Rule::ALL.into_iter().map(DropReason::Rule)).collect();
        let fixed = [Tag::Duplicated, Tag::Reordered, Tag::Overtakes, Tag::Copy];
        let tag = prop_oneof![
            proptest::sample::select(reasons).prop_map(Tag::Lost),
            proptest::sample::select(fixed.to_vec()),
            (any::<u32>(), 0..8_u8).prop_map(|(byte, bit)| Tag::Corrupted { byte, bit }),
        ];
        proptest::option::of(tag)
    }

    fn variables() -> impl Strategy<Value = Variables> {
        let count = || proptest::option::of(any::<u64>());
        let time = || proptest::option::of((0..u64::MAX / 2).prop_map(Duration::from_nanos));
        let names = (
            proptest::option::of(proptest::sample::select(Phase::ALL.to_vec())),
            proptest::option::of(proptest::sample::select(Reason::ALL.to_vec())),
        );
        (count(), count(), count(), time(), time(), time(), (count(), count(), count(), count()), names).prop_map(
            |(snd_una, snd_nxt, snd_wnd, srtt, rttvar, rto, (cwnd, ssthresh, flight_size, pipe), (phase, reason))| {
                Variables {
                    snd_una,
                    snd_nxt,
                    snd_wnd,
                    srtt,
                    rttvar,
                    rto,
                    cwnd,
                    ssthresh,
                    flight_size,
                    pipe,
                    phase,
                    reason,
                }
            },
        )
    }

    /// Words of every kind, those included that end like a bracket.
    fn words() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            ".{0,8}",
            Just("[lost: loss]".to_owned()),
            Just(" [duplicated]".to_owned()),
            Just(" []".to_owned()),
            Just(" [cwnd=1 rto=2ms]".to_owned()),
            Just(" [odd=x]".to_owned()),
            Just("]".to_owned()),
            Just(" [".to_owned()),
        ];
        proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(words in words(), tag in tags(), variables in variables()) {
            for variables in [None, Some(variables)] {
                let mut comment = words.clone();
                write(&mut comment, tag, variables.as_ref());
                let variables = variables.filter(|variables| !variables.is_empty());
                prop_assert_eq!(parse(&comment), Parsed { words: &words, tag, variables }, "{}", comment);
            }
        }

        #[test]
        fn any_comment_can_be_read(comment in ".{0,40}") {
            let read = parse(&comment);
            prop_assert!(comment.starts_with(read.words));
        }
    }

    #[test]
    fn brackets_stand_behind_the_words() {
        let mut comment = "data 8453:9901".to_owned();
        let variables = Variables {
            srtt: Some(Duration::from_micros(40_100)),
            rto: Some(Duration::from_secs(1)),
            cwnd: Some(14_480),
            ..Variables::default()
        };
        write(&mut comment, Tag::of(Fate::Drop(DropReason::Fault)), Some(&variables));
        assert_eq!(comment, "data 8453:9901 [lost: scripted] [srtt=40.1ms rto=1000ms cwnd=14480]");
        let read = parse(&comment);
        assert_eq!((read.words, read.tag), ("data 8453:9901", Some(Tag::Lost(DropReason::Fault))));
        let mut plain = "ACK".to_owned();
        write(&mut plain, Tag::of(Fate::Deliver(Instant::EPOCH)), None);
        assert_eq!(plain, "ACK", "a packet that is delivered has no bracket");
    }

    #[test]
    fn every_fate_but_delivery_has_a_tag_that_is_read_again() {
        let at = Instant::from_secs(1);
        let fates = [
            (Fate::Reorder(at), "reordered"),
            (Fate::Overtake(at), "overtakes"),
            (Fate::Duplicate(at), "duplicated"),
            (Fate::Corrupt(Flip { at, byte: 9, bit: 1 }), "corrupted: byte=9 bit=1"),
            (Fate::Drop(DropReason::BurstLoss(ChannelState::Bad)), "lost: gemodel-bad"),
            (Fate::Drop(DropReason::LinkDown { until: Some(Duration::from_secs(2)) }), "lost: link-down"),
        ];
        for (fate, text) in fates {
            let tag = Tag::of(fate).expect("a tag");
            assert_eq!(tag.to_string(), text);
            assert_eq!(Tag::parse(text), Some(tag));
            let lost = matches!(fate, Fate::Drop(_) | Fate::Corrupt(_));
            assert_eq!(tag.is_loss(), lost, "{text}");
        }
        for text in ["lost: nothing", "lost:loss", "corrupted: byte=09 bit=1", "corrupted: byte=9 bit=x", "Copy", " "] {
            assert_eq!(Tag::parse(text), None, "{text}");
        }
    }

    #[test]
    fn variables_that_are_not_known_are_skipped() {
        let read = parse("ACK [later=on cwnd=10]");
        assert_eq!(read.words, "ACK");
        assert_eq!(read.variables, Some(Variables { cwnd: Some(10), ..Variables::default() }));
        let read = parse("ACK [phase=later reason=rack cwnd=10]").variables;
        assert_eq!(read, Some(Variables { cwnd: Some(10), reason: Some(Reason::Rack), ..Variables::default() }));
        assert_eq!(parse("ACK [cwnd=ten]").variables, None);
        assert_eq!(parse("ACK [cwnd=10 ]").variables, None);
        assert_eq!(parse("ACK[cwnd=10]").variables, None);
    }
}
