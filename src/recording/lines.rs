//! Draws a segment as one line of text, and marks the fields that differ. The strict comparison of `replay` shows both lines
//! in its reason, and `diff` shows them too.

use super::CLIENT;
use crate::conversation::Side;
use crate::segment::{Field, Flags, Options, Segment, Seq};
use crate::time::Instant;

/// Columns of the time.
const TIME: usize = 14;

/// The words of a line, each with the field that it shows.
pub(crate) struct SegmentLine {
    from: Side,
    words: Vec<(Option<Field>, String)>,
}

impl SegmentLine {
    /// A segment sent by `from`; numbers count from `starts`, the initial ones of both ends.
    pub(crate) fn of(segment: &Segment<'_>, starts: [Seq; 2], from: Side) -> Self {
        let mut words = vec![(Some(Field::Flags), flags(segment.flags))];
        let start = segment.seq - starts[from]; // modulo 2^32, as it stands
        let end = start.wrapping_add(segment.len());
        let numbers = if segment.is_empty() { start.to_string() } else { format!("{start}:{end}") };
        words.push((Some(Field::Seq), numbers));
        if segment.is_ack() {
            words.push((None, "ack".to_owned()));
            words.push((Some(Field::Ack), (segment.ack - starts[from.other()]).to_string()));
        }
        words.push((None, "win".to_owned()));
        words.push((Some(Field::Window), segment.window.to_string()));
        let text = options(&segment.options);
        words.push((Some(Field::Options), text));
        words.push((Some(Field::Payload), format!("({})", segment.payload.len())));
        words.push((None, "ttl".to_owned()));
        words.push((Some(Field::Ttl), segment.ttl.to_string()));
        if segment.ecn != 0 {
            words.push((None, "ecn".to_owned()));
            words.push((Some(Field::Ecn), segment.ecn.to_string()));
        }
        Self { from, words }
    }

    /// A line of other words.
    pub(crate) fn of_words(from: Side, words: Vec<(Option<Field>, String)>) -> Self {
        Self { from, words }
    }

    /// A line that marks some of the fields of the line that [`draw`] gives.
    pub(crate) fn marks(&self, fields: &[Field]) -> String {
        let mut line = " ".repeat(TIME + 1 + "|--- ".len());
        for (field, word) in &self.words {
            let mark = if field.is_some_and(|field| fields.contains(&field)) { "^" } else { " " };
            line += &mark.repeat(word.chars().count());
            line.push(' ');
        }
        line.trim_end().to_owned()
    }
}

/// `0.020000000 |--- SYN|ACK 0:1 ack 1 win 65535 <mss 1460,sackOK> (0) ttl 64 -->|`
pub(crate) fn draw(at: Instant, drawn: &SegmentLine) -> String {
    let text = drawn.words.iter().map(|(_, word)| word.as_str()).collect::<Vec<_>>().join(" ");
    match drawn.from {
        CLIENT => format!("{:>TIME$} |--- {text} -->|", at.to_string()),
        _ => format!("{:>TIME$} |<-- {text} ---|", at.to_string()),
    }
}

fn flags(flags: Flags) -> String {
    const WORDS: [(u8, &str); 8] = [
        (Flags::SYN.0, "SYN"),
        (Flags::FIN.0, "FIN"),
        (Flags::RST.0, "RST"),
        (Flags::PSH.0, "PSH"),
        (Flags::URG.0, "URG"),
        (Flags::ACK.0, "ACK"),
        (Flags::ECE.0, "ECE"),
        (Flags::CWR.0, "CWR"),
    ];
    let words: Vec<_> = WORDS.iter().filter(|(flag, _)| flags.0 & flag != 0).map(|(_, word)| *word).collect();
    if words.is_empty() { "none".to_owned() } else { words.join("|") }
}

fn options(options: &Options) -> String {
    let text = options.to_string();
    let text = text.trim_start_matches(", ");
    if text.is_empty() { "<>".to_owned() } else { text.to_owned() }
}
